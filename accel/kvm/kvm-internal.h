/*
 * Between the files of accel/kvm/.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_KVM_INTERNAL_H
#define ACCEL_KVM_INTERNAL_H

#include "system/kvm_int.h"

/* kvm-slots.c */

/** Follow the system's memory. The VM exists, no vCPU does. */
void kvm_slots_init(KVMState *s);
/** The slot with the kernel's number @id, if it is in use. Slots lock. */
KVMSlot *kvm_slot_by_id(KVMState *s, unsigned int id);
/** Ask the kernel for every slot's dirty bitmap and publish it. Slots lock. */
void kvm_slots_sync_bitmaps(KVMState *s);
/** Is any slot logged? Any thread. */
bool kvm_slots_logging(void);

/* kvm-dirty-ring.c */

/** Turn the ring on as dirty_ring_size asks; before any vCPU. 0 or -errno, reported. */
int kvm_dirty_ring_init(KVMState *s);
/** The same, when vCPUs may exist: the thread that empties rings now and then. */
void kvm_dirty_ring_start_reaper(KVMState *s);
/** Map and unmap a vCPU's ring. */
int kvm_dirty_ring_map(CPUState *cpu, Error **errp);
void kvm_dirty_ring_unmap(CPUState *cpu);
/**
 * Publish what the rings hold (@cpu NULL: all), and let the kernel reuse it. Takes the slots
 * lock.
 */
void kvm_dirty_ring_reap(KVMState *s, CPUState *cpu);
/* Pages that the ring has noted since the start, whether they were taken out or not. Any thread. */
uint64_t kvm_dirty_ring_count(CPUState *cpu);
/** The same with the slots lock held. */
void kvm_dirty_ring_reap_locked(KVMState *s, CPUState *cpu);
/** Have each vCPU leave the guest, so that what its hardware has noted reaches its ring. BQL. */
void kvm_dirty_ring_flush(void);

/* kvm-irq.c */

/** Make the in-kernel interrupt controller that irqchip_mode asks for. 0 or -errno, reported. */
int kvm_irqchip_init(MachineState *ms, KVMState *s);

#endif
