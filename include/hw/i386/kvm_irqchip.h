/*
 * Interrupt controllers, timer and clock that KVM keeps in the kernel, as devices: they hold the
 * state that is reset and saved, and move it to and from the kernel.
 *
 * For machines, where kvm_irqchip_in_kernel(). BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_KVM_IRQCHIP_H
#define HW_I386_KVM_IRQCHIP_H

#include "hw/qdev-core.h"

struct X86CPU;

#define TYPE_KVM_APIC    "kvm-apic"
#define TYPE_KVM_IOAPIC  "kvm-ioapic"
#define TYPE_KVM_I8259   "kvm-i8259"
#define TYPE_KVM_PIT     "kvm-pit"
#define TYPE_KVM_CLOCK   "kvmclock"
#define TYPE_KVM_VAPIC   "kvmvapic"

/**
 * The local APIC of @cpu, which becomes its child "lapic" and its apic_state. After the CPU's index
 * and apic_id are known, before qemu_init_vcpu(). The first one brings "kvmvapic" along.
 */
DeviceState *kvm_apic_create(struct X86CPU *cpu);

/** The I/O APIC, section "ioapic". */
DeviceState *kvm_ioapic_create(void);

/** Both PICs, sections "i8259" 0 and 1. */
void kvm_i8259_create(void);

/** The interval timer, section "i8254"; NULL with an error where the kernel has none. */
DeviceState *kvm_pit_create(Error **errp);
/** The same, and the kernel answers at port 0x61 as well. */
DeviceState *kvm_pit_speaker_create(Error **errp);

/** The paravirtual clock, section "kvmclock". Nothing happens if the CPUs don't offer it. */
void kvmclock_create(bool create_always);

/**
 * Connect controllers of hw/i386/apic.h to the local APICs in the kernel: all of them
 * (kernel-irqchip=split), or a second I/O APIC. Before these are made; otherwise nothing happens.
 */
void kvm_soft_irqchip_wire(void);

/** @n interrupt lines, numbered from 0, that lead to the kernel's controllers as GSIs. */
qemu_irq *kvm_gsi_allocate(int n);

#endif
