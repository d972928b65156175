/*
 * A vCPU's libunicorn engine: what memory it sees, what it asks us for, and running it.
 *
 * RAM is mapped into the engine where the guest has it, so the guest writes straight to the
 * block's host memory. Everything else, the holes between included, is one kind of window that
 * leads to the address space: the library then never finds an address unmapped, which it could not
 * recover from.
 *
 * An engine has no way to forget translations that does not take seconds; making a new one takes a
 * millisecond. So that is what happens when memory was changed behind its back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/ioport.h"

/* Between two looks at whether the guest's paging is one that the library can do. */
#define PAGING_CHECK_BLOCKS 0x4000

struct TCGWindow {
    uint64_t base;
};

/* ---- the layout, as the listener is told it ---- */

static GArray *ram;                 /* TCGRam by address; BQL */
static unsigned generation = 1;     /* goes up with every change; BQL */

static bool section_ram(MemoryRegionSection *section, TCGRam *out)
{
    MemoryRegion *mr = section->mr;
    RAMBlock *rb;

    if (!memory_region_is_ram(mr) || !section->size ||
        (section->offset_within_address_space | section->size) & ~TARGET_PAGE_MASK) {
        return false; /* RAM in odd pieces is reached like a device */
    }
    rb = mr->ram_block;
    *out = (TCGRam) {
        .addr = section->offset_within_address_space,
        .size = section->size,
        .rb = rb,
        .offset = section->offset_within_region,
        .host = rb->host + section->offset_within_region,
        .readonly = section->readonly || mr->readonly,
    };
    return true;
}

static void tcg_region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    TCGRam r;
    guint at = 0;

    if (section_ram(section, &r)) {
        while (at < ram->len && g_array_index(ram, TCGRam, at).addr < r.addr) {
            at++;
        }
        g_array_insert_val(ram, at, r);
        generation++;
    }
}

static void tcg_region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    for (guint i = 0; i < ram->len; i++) {
        if (g_array_index(ram, TCGRam, i).addr == section->offset_within_address_space) {
            g_array_remove_index(ram, i);
            generation++;
            break;
        }
    }
}

static void tcg_memory_commit(MemoryListener *listener)
{
    static unsigned told;
    CPUState *cpu;

    if (told != generation) {
        told = generation;
        CPU_FOREACH(cpu) {
            cpu_exit(cpu); /* to come back with the new layout */
        }
    }
}

void tcg_memory_init(void)
{
    static MemoryListener listener = {
        .name = "tcg",
        .priority = MEMORY_LISTENER_PRIORITY_ACCEL,
        .region_add = tcg_region_add,
        .region_del = tcg_region_del,
        .commit = tcg_memory_commit,
        .log_global_start = tcg_dirty_log_global_start,
        .log_global_stop = tcg_dirty_log_global_stop,
        .log_sync_global = tcg_dirty_log_sync_global,
    };

    ram = g_array_new(false, false, sizeof(TCGRam));
    memory_listener_register(&listener, &address_space_memory);
}

const TCGRam *tcg_ram_at(uint64_t addr)
{
    for (guint i = 0; i < ram->len; i++) {
        TCGRam *r = &g_array_index(ram, TCGRam, i);

        if (addr - r->addr < r->size) {
            return r;
        }
    }
    return NULL;
}

void tcg_flush_code(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu->accel) {
            tcg_vcpu(cpu)->flush_code = true;
            cpu_exit(cpu);
        }
    }
}

/* ---- what the engine asks for ---- */

static uint64_t on_mmio_read(uc_engine *uc, uint64_t offset, unsigned size, void *opaque)
{
    const TCGWindow *w = opaque;
    uint64_t value = 0;

    address_space_read(&address_space_memory, w->base + offset, MEMTXATTRS_UNSPECIFIED, &value,
                       MIN(size, sizeof(value)));
    return value;
}

static void on_mmio_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value,
                          void *opaque)
{
    const TCGWindow *w = opaque;

    address_space_write(&address_space_memory, w->base + offset, MEMTXATTRS_UNSPECIFIED, &value,
                        MIN(size, sizeof(value)));
}

static uint32_t on_in(uc_engine *uc, uint32_t port, int size, void *opaque)
{
    return size == 1 ? cpu_inb(port) : size == 2 ? cpu_inw(port) : cpu_inl(port);
}

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t value, void *opaque)
{
    switch (size) {
    case 1:
        cpu_outb(port, value);
        break;
    case 2:
        cpu_outw(port, value);
        break;
    default:
        cpu_outl(port, value);
        break;
    }
}

static void leave(TCGVcpu *v, TCGExit why)
{
    v->stopped = true;
    v->why = why;
    uc_emu_stop(v->uc);
}

static void on_interrupt(uc_engine *uc, uint32_t vector, void *opaque)
{
    TCGVcpu *v = opaque;

    v->vector = vector;
    leave(v, TCG_EXIT_EXCEPTION);
}

static void on_syscall(uc_engine *uc, void *opaque)
{
    leave(opaque, TCG_EXIT_SYSCALL);
}

static void on_sysenter(uc_engine *uc, void *opaque)
{
    leave(opaque, TCG_EXIT_SYSENTER);
}

static int on_cpuid(uc_engine *uc, void *opaque)
{
    TCGVcpu *v = opaque;
    uint32_t eax, ebx, ecx, edx;

    cpu_x86_cpuid(cpu_env(v->cpu), tcg_reg(v, UC_X86_REG_EAX), tcg_reg(v, UC_X86_REG_ECX), &eax,
                  &ebx, &ecx, &edx);
    tcg_set_reg(v, UC_X86_REG_RAX, eax);
    tcg_set_reg(v, UC_X86_REG_RBX, ebx);
    tcg_set_reg(v, UC_X86_REG_RCX, ecx);
    tcg_set_reg(v, UC_X86_REG_RDX, edx);
    return 1; /* done: the library's own answer is not wanted */
}

/* With paging, is the code that runs, and its stack, where the library thinks? */
static bool paging_is_one_to_one(TCGVcpu *v)
{
    CPUX86State *env = cpu_env(v->cpu);
    uint64_t phys, rip, rsp;

    tcg_get_event_registers(v);
    if (!(env->cr[0] & CR0_PG_MASK)) {
        return true;
    }
    rip = env->segs[R_CS].base + env->eip;
    rsp = env->segs[R_SS].base + env->regs[R_ESP];
    return tcg_translate(env, rip, &phys) && phys == rip &&
           (!tcg_translate(env, rsp, &phys) || phys == rsp);
}

static void on_block(uc_engine *uc, uint64_t address, uint32_t size, void *opaque)
{
    TCGVcpu *v = opaque;
    unsigned attention = qatomic_read(&v->attention);

    if (unlikely(++v->blocks % PAGING_CHECK_BLOCKS == 0 && !tcg_layout.translates) &&
        tcg_reg(v, UC_X86_REG_CR0) & CR0_PG_MASK) {
        leave(v, TCG_EXIT_STOP); /* the check is made outside */
        return;
    }
    if (likely(!attention)) {
        return;
    }
    if (v->pass) {
        v->pass = false;
        return;
    }
    if (attention & (ATT_KICK | ATT_YIELD) || tcg_reg(v, UC_X86_REG_EFLAGS) & IF_MASK) {
        leave(v, TCG_EXIT_STOP);
    }
}

/* ---- making and running ---- */

static bool map_window(TCGVcpu *v, uint64_t base, uint64_t end, bool executable)
{
    TCGWindow *w = g_new(TCGWindow, 1);

    w->base = base;
    g_array_append_val(v->windows, w);
    return !uc_mmio_map(v->uc, base, end - base, on_mmio_read, w, on_mmio_write, w) &&
           (!executable || !uc_mem_protect(v->uc, base, end - base, UC_PROT_ALL));
}

/* RAM, and windows in all the holes up to the last page that the library can name. */
static bool map_memory(TCGVcpu *v, Error **errp)
{
    const uint64_t limit = -(uint64_t)TARGET_PAGE_SIZE;
    uint64_t at = 0;
    bool ok = true;

    for (guint i = 0; ok && i < ram->len; i++) {
        TCGRam *r = &g_array_index(ram, TCGRam, i);

        ok = r->addr == at || map_window(v, at, r->addr, false);
        if (r->readonly) {
            /*
             * The library stops for good at a write to protected memory; behind a window it
             * vanishes. Code there runs, if slowly.
             */
            ok = ok && map_window(v, r->addr, r->addr + r->size, true);
        } else {
            ok = ok && !uc_mem_map_ptr(v->uc, r->addr, r->size, UC_PROT_ALL, r->host);
        }
        at = r->addr + r->size;
    }
    if (!ok || (at < limit && !map_window(v, at, limit, false))) {
        error_setg(errp, "libunicorn cannot map memory below 0x%" PRIx64, at);
        return false;
    }
    v->map_generation = generation;
    return true;
}

static bool add_hooks(TCGVcpu *v)
{
    uc_hook h;

    return !uc_hook_add(v->uc, &h, UC_HOOK_BLOCK, on_block, v, 1, 0) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INTR, on_interrupt, v, 1, 0) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INSN, on_in, v, 1, 0, UC_X86_INS_IN) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INSN, on_out, v, 1, 0, UC_X86_INS_OUT) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INSN, on_cpuid, v, 1, 0, UC_X86_INS_CPUID) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INSN, on_syscall, v, 1, 0, UC_X86_INS_SYSCALL) &&
           !uc_hook_add(v->uc, &h, UC_HOOK_INSN, on_sysenter, v, 1, 0, UC_X86_INS_SYSENTER);
}

bool tcg_engine_open(TCGVcpu *v, Error **errp)
{
    uc_err err = uc_open(UC_ARCH_X86, UC_MODE_64, &v->uc);

    if (err != UC_ERR_OK) {
        error_setg(errp, "libunicorn: %s", uc_strerror(err));
        v->uc = NULL;
        return false;
    }
    v->windows = g_array_new(false, false, sizeof(TCGWindow *));
    if (!map_memory(v, errp)) {
        tcg_engine_close(v);
        return false;
    }
    if (!add_hooks(v) || uc_context_alloc(v->uc, &v->context) != UC_ERR_OK) {
        error_setg(errp, "libunicorn cannot be hooked");
        tcg_engine_close(v);
        return false;
    }
    return true;
}

void tcg_engine_close(TCGVcpu *v)
{
    if (!v->uc) {
        return;
    }
    if (v->context) {
        uc_context_free(v->context);
        v->context = NULL;
    }
    uc_close(v->uc);
    v->uc = NULL;
    v->write_hooks = false;
    for (guint i = 0; i < v->windows->len; i++) {
        g_free(g_array_index(v->windows, TCGWindow *, i));
    }
    g_array_free(v->windows, true);
    v->windows = NULL;
    v->last_ram = NULL;
}

bool tcg_engine_prepare(TCGVcpu *v, Error **errp)
{
    if (v->uc && (v->flush_code || v->map_generation != generation)) {
        if (!v->cpu->vcpu_dirty) {
            tcg_get_registers(v);
            v->cpu->vcpu_dirty = true;
        }
        tcg_engine_close(v);
    }
    v->flush_code = false;
    if (!v->uc) {
        assert(v->cpu->vcpu_dirty);
        if (!tcg_engine_open(v, errp)) {
            return false;
        }
    }
    if (v->cpu->vcpu_dirty) {
        tcg_put_registers(v);
        v->cpu->vcpu_dirty = false;
    }
    tcg_dirty_update_hooks(v);
    return true;
}

static bool at_zero(TCGVcpu *v)
{
    uint64_t rip = tcg_reg(v, UC_X86_REG_RIP);
    const TCGSegment *seg;

    if (!rip) {
        return true;
    }
    uc_context_save(v->uc, v->context);
    seg = tcg_context_at(v, tcg_layout.segs);
    return (uint32_t)(seg[R_CS].base + rip) == 0;
}

TCGExit tcg_engine_run(TCGVcpu *v)
{
    uint64_t pc = tcg_reg(v, UC_X86_REG_RIP);
    uc_err err;

    if (!tcg_layout.translates && !paging_is_one_to_one(v)) {
        error_report("tcg: the guest's page tables do not map addresses one to one, which this "
                     "version of libunicorn cannot do; use -accel kvm");
        return TCG_EXIT_ERROR;
    }
    /*
     * The library wants an address to stop at, and looks up the byte before it on its way out,
     * which may be a page fault and so change CR2. Address 0 is the one where it does not. If the
     * guest gets there, one block is executed with another end.
     */
    v->stopped = false;
    err = uc_emu_start(v->uc, pc, 0, 0, 0);
    if (err == UC_ERR_OK && !v->stopped && at_zero(v)) {
        uint64_t cr2 = tcg_reg(v, UC_X86_REG_CR2);

        qatomic_or(&v->attention, ATT_YIELD);
        v->pass = true;
        err = uc_emu_start(v->uc, tcg_reg(v, UC_X86_REG_RIP), UINT64_MAX, 0, 0);
        if (v->why != TCG_EXIT_EXCEPTION) {
            tcg_set_reg(v, UC_X86_REG_CR2, cr2);
        }
    }
    v->pass = false;
    switch (err) {
    case UC_ERR_OK:
        return v->stopped ? v->why : TCG_EXIT_HALT;
    case UC_ERR_INSN_INVALID:
        v->vector = 6;
        return TCG_EXIT_EXCEPTION;
    default:
        error_report("tcg: libunicorn: %s, at 0x%" PRIx64, uc_strerror(err),
                     tcg_reg(v, UC_X86_REG_RIP));
        return TCG_EXIT_ERROR;
    }
}
