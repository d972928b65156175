/*
 * KVM's dirty ring: instead of a bitmap to be read whole, each vCPU notes the pages that it
 * writes in a ring shared with us. A ring that fills stops its vCPU until it is emptied.
 *
 * An entry is taken in three steps: publish the page (ram_block_set_dirty), mark the entry as seen,
 * and have the kernel reset what was seen (KVM_RESET_DIRTY_RINGS), which write-protects the pages
 * anew. A write after that makes a new entry, so whoever reads the page after it was published
 * misses nothing.
 *
 * Locking: rings are emptied under the slots lock, because entries name slots.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "hw/core/cpu.h"
#include "kvm-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/cpus.h"

#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif

/* How long the rings are left alone when nobody asks, milliseconds. */
#define REAP_INTERVAL_MS 1000

struct KVMDirtyRingReaper {
    QemuThread thread;
};

uint32_t kvm_dirty_ring_size(void)
{
    return kvm_state ? kvm_state->dirty_ring_size : 0;
}

bool kvm_dirty_ring_enabled(void)
{
    return kvm_dirty_ring_size() != 0;
}

int kvm_dirty_ring_init(KVMState *s)
{
    uint64_t bytes = (uint64_t)s->dirty_ring_size * sizeof(struct kvm_dirty_gfn);
    unsigned int cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int max = kvm_vm_check_extension(s, cap), ret;

    if (max <= 0) {
        cap = KVM_CAP_DIRTY_LOG_RING;
        max = kvm_vm_check_extension(s, cap);
    }
    if (max <= 0) {
        error_report("this KVM has no dirty ring: leave dirty-ring-size out");
        return -ENOTSUP;
    }
    if (bytes > (uint64_t)max) {
        error_report("dirty-ring-size %u is too big: KVM's limit is %zu", s->dirty_ring_size,
                     max / sizeof(struct kvm_dirty_gfn));
        return -EINVAL;
    }
    ret = kvm_vm_enable_cap(s, cap, bytes);
    if (ret < 0) {
        error_report("KVM refuses a dirty ring of %u entries: %s", s->dirty_ring_size,
                     strerror(-ret));
        return ret;
    }
    s->dirty_ring_bytes = bytes;
    return 0;
}

int kvm_dirty_ring_map(CPUState *cpu, Error **errp)
{
    KVMState *s = kvm_state;
    void *ring;

    if (!s->dirty_ring_size) {
        return 0;
    }
    ring = mmap(NULL, s->dirty_ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->kvm_fd,
                KVM_DIRTY_LOG_PAGE_OFFSET * qemu_real_host_page_size());
    if (ring == MAP_FAILED) {
        int err = errno;

        error_setg_errno(errp, err, "the dirty ring of CPU %d can't be mapped", cpu->cpu_index);
        return -err;
    }
    kvm_slots_lock();
    cpu->kvm_dirty_gfns = ring;
    cpu->kvm_fetch_index = cpu->kvm_peek_index = 0;
    kvm_slots_unlock();
    return 0;
}

void kvm_dirty_ring_unmap(CPUState *cpu)
{
    if (cpu->kvm_dirty_gfns) {
        kvm_slots_lock();
        munmap(cpu->kvm_dirty_gfns, kvm_state->dirty_ring_bytes);
        cpu->kvm_dirty_gfns = NULL;
        kvm_slots_unlock();
    }
}

static unsigned reap_cpu(KVMState *s, CPUState *cpu)
{
    struct kvm_dirty_gfn *ring = cpu->kvm_dirty_gfns;
    uint32_t mask = s->dirty_ring_size - 1;
    unsigned count = 0;

    if (!ring) {
        return 0;
    }
    for (;;) {
        struct kvm_dirty_gfn *entry = &ring[cpu->kvm_fetch_index & mask];
        KVMSlot *slot;

        if (qatomic_load_acquire(&entry->flags) != KVM_DIRTY_GFN_F_DIRTY) {
            break;
        }
        slot = kvm_slot_by_id(s, entry->slot);
        if (slot && entry->offset < slot->memory_size / TARGET_PAGE_SIZE) {
            ram_block_set_dirty(slot->block,
                                slot->block_offset + entry->offset * TARGET_PAGE_SIZE,
                                TARGET_PAGE_SIZE);
        }
        qatomic_store_release(&entry->flags, KVM_DIRTY_GFN_F_RESET);
        cpu->kvm_fetch_index++;
        count++;
    }
    cpu->dirty_pages += count;
    return count;
}

void kvm_dirty_ring_reap_locked(KVMState *s, CPUState *cpu)
{
    uint64_t total = 0;
    int ret;

    if (cpu) {
        total = reap_cpu(s, cpu);
    } else {
        CPU_FOREACH(cpu) {
            total += reap_cpu(s, cpu);
        }
    }
    if (total) {
        ret = kvm_vm_ioctl(s, KVM_RESET_DIRTY_RINGS);
        if (ret < 0) {
            error_report_once("KVM can't reset its dirty rings: %s", strerror(-ret));
        }
    }
}

void kvm_dirty_ring_reap(KVMState *s, CPUState *cpu)
{
    kvm_slots_lock();
    kvm_dirty_ring_reap_locked(s, cpu);
    kvm_slots_unlock();
}

/* What is in the ring is looked at once: the walk goes on where the last one ended. */
uint64_t kvm_dirty_ring_count(CPUState *cpu)
{
    struct kvm_dirty_gfn *ring;
    uint32_t size = kvm_state->dirty_ring_size;
    uint64_t count = 0;

    kvm_slots_lock();
    ring = cpu->kvm_dirty_gfns;
    if (ring) {
        if ((int32_t)(cpu->kvm_peek_index - cpu->kvm_fetch_index) < 0) {
            cpu->kvm_peek_index = cpu->kvm_fetch_index;
        }
        while (cpu->kvm_peek_index - cpu->kvm_fetch_index < size &&
               qatomic_load_acquire(&ring[cpu->kvm_peek_index & (size - 1)].flags) ==
                   KVM_DIRTY_GFN_F_DIRTY) {
            cpu->kvm_peek_index++;
        }
        count = cpu->dirty_pages + (cpu->kvm_peek_index - cpu->kvm_fetch_index);
    }
    kvm_slots_unlock();
    return count;
}

static void leave_guest(CPUState *cpu, run_on_cpu_data data)
{
}

void kvm_dirty_ring_flush(void)
{
    BQL_LOCK_GUARD();
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, leave_guest, RUN_ON_CPU_NULL);
    }
}

static void *reaper_thread(void *opaque)
{
    KVMState *s = opaque;

    for (;;) {
        g_usleep(REAP_INTERVAL_MS * 1000);
        if (kvm_slots_logging()) {
            kvm_dirty_ring_reap(s, NULL);
        }
    }
    return NULL;
}

void kvm_dirty_ring_start_reaper(KVMState *s)
{
    s->reaper = g_new0(struct KVMDirtyRingReaper, 1);
    qemu_thread_create(&s->reaper->thread, "kvm-reaper", reaper_thread, s, QEMU_THREAD_DETACHED);
}
