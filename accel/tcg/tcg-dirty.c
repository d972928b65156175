/*
 * Which pages the guest writes, under TCG.
 *
 * Two ways, chosen by -accel tcg,dirty-tracking=: the kernel's asynchronous write protection of
 * the blocks' mappings (system/dirty-wp.h), which costs the guest a fault for the first write to a
 * page after each collection; or a hook on every store, which makes all stores slow but needs
 * nothing of the host. `auto` takes the first where it works for all of RAM.
 *
 * Locking: the state below is changed under the BQL; log_sync_global runs without it, while
 * logging is on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "system/cpus.h"
#include "system/dirty-wp.h"

TCGDirtyTracking tcg_dirty_tracking;

static DirtyWP *tracker;            /* while the kernel tracks */
static GPtrArray *tracked;          /* RAMBlock *: what it tracks */
static bool want_hooks;             /* while hooks do */

bool tcg_dirty_init(Error **errp)
{
    Error *err = NULL;

    if (tcg_dirty_tracking == TCG_DIRTY_WP_ASYNC && !dirty_wp_available(&err)) {
        error_propagate_prepend(errp, err, "dirty-tracking=wp-async: ");
        return false;
    }
    if (tcg_dirty_tracking == TCG_DIRTY_HOOKS && tcg_layout.translates) {
        /* Hooks are told linear addresses. */
        error_setg(errp, "dirty-tracking=hooks does not work with this version of libunicorn");
        return false;
    }
    return true;
}

/* ---- hooks ---- */

static void on_write(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                     void *opaque)
{
    TCGVcpu *v = opaque;
    const TCGRam *r = v->last_ram;
    uint64_t offset;

    if (!r || address - r->addr >= r->size) {
        r = tcg_ram_at(address);
        if (!r) {
            return;
        }
        v->last_ram = r;
    }
    offset = r->offset + (address - r->addr);
    ram_block_set_dirty(r->rb, offset, MIN(size, r->offset + r->size - offset));
}

void tcg_dirty_update_hooks(TCGVcpu *v)
{
    v->last_ram = NULL; /* the layout may have changed */
    if (v->write_hooks == want_hooks || !v->uc) {
        return;
    }
    /* Only code translated with the hook in place calls it. */
    if (!v->cpu->vcpu_dirty) {
        tcg_get_registers(v);
        v->cpu->vcpu_dirty = true;
    }
    tcg_engine_close(v);
    if (!tcg_engine_open(v, &error_fatal)) {
        return;
    }
    tcg_put_registers(v);
    v->cpu->vcpu_dirty = false;
    if (want_hooks) {
        uc_hook_add(v->uc, &v->write_hook, UC_HOOK_MEM_WRITE, on_write, v, 1, 0);
        v->write_hooks = true;
    }
}

static void leave_guest_code(CPUState *cpu, run_on_cpu_data data)
{
    /* That it runs is all: the engine is brought up to date before guest code runs again. */
}

static void set_hooks(bool on)
{
    CPUState *cpu;

    qatomic_set(&want_hooks, on);
    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, leave_guest_code, RUN_ON_CPU_NULL);
    }
}

/* ---- the kernel ---- */

static bool track_block(RAMBlock *rb, Error **errp)
{
    if (!dirty_wp_add_block(tracker, rb, errp)) {
        return false;
    }
    g_ptr_array_add(tracked, rb);
    return true;
}

static void stop_tracking(void)
{
    g_clear_pointer(&tracker, dirty_wp_free);
    g_clear_pointer(&tracked, g_ptr_array_unref);
}

static bool start_tracking(Error **errp)
{
    RAMBlock *rb;

    tracker = dirty_wp_new(errp);
    if (!tracker) {
        return false;
    }
    tracked = g_ptr_array_new();
    RAMBLOCK_FOREACH(rb) {
        if (!(rb->flags & RAM_READONLY) && !track_block(rb, errp)) {
            stop_tracking();
            return false;
        }
    }
    return true;
}

/* ---- the listener ---- */

bool tcg_dirty_log_global_start(MemoryListener *listener, Error **errp)
{
    Error *err = NULL;

    if (!first_cpu) {
        return true; /* nobody writes but this program itself, which marks what it writes */
    }
    if (tcg_dirty_tracking != TCG_DIRTY_HOOKS) {
        if (start_tracking(&err)) {
            return true;
        }
        if (tcg_dirty_tracking == TCG_DIRTY_WP_ASYNC || tcg_layout.translates) {
            error_propagate_prepend(errp, err, "dirty tracking: ");
            return false;
        }
        info_report("tcg: %s; tracking writes by hooks", error_get_pretty(err));
        error_free(err);
    }
    set_hooks(true);
    return true;
}

void tcg_dirty_log_global_stop(MemoryListener *listener)
{
    if (tracker) {
        stop_tracking();
    } else if (want_hooks) {
        set_hooks(false);
    }
}

void tcg_dirty_log_sync_global(MemoryListener *listener, bool last_stage)
{
    if (!tracker) {
        return; /* hooks have reported everything already */
    }
    for (guint i = 0; i < tracked->len; i++) {
        RAMBlock *rb = g_ptr_array_index(tracked, i);
        int ret = dirty_wp_sync_block(tracker, rb);

        if (ret < 0) {
            /* Nothing may be lost: all of the block counts as written. */
            warn_report_once("tcg: RAM block '%s': dirty tracking: %s", rb->idstr, strerror(-ret));
            ram_block_set_dirty(rb, 0, rb->used_length);
        }
    }
}
