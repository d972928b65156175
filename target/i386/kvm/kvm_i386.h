/*
 * KVM on x86: between target/i386/, hw/i386/kvm/ and the files of this folder.
 *
 * Declared in every build; without KVM kvm-stub.c answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_KVM_I386_H
#define TARGET_I386_KVM_I386_H

#include "system/kvm.h"

typedef struct X86CPU X86CPU;

/**
 * A CPUID output word that KVM on this host can give a guest. @reg: 0 to 3 for EAX, EBX, ECX, EDX.
 * Leaf 0x40000001 holds KVM's own features.
 */
uint32_t kvm_arch_get_supported_cpuid(KVMState *s, uint32_t leaf, uint32_t subleaf, int reg);

/** The bits of a feature MSR that KVM on this host can give a guest; 0 where it can't. */
uint64_t kvm_arch_get_supported_msr_feature(KVMState *s, uint32_t msr);

/**
 * The part of a CPU's reset that depends on KVM (mp_state). Called at the end of the CPU's reset.
 */
void kvm_arch_reset_vcpu(X86CPU *cpu);

/* -- Within this folder ---------------------------------------------------------------------- */

#ifdef CONFIG_KVM
#include "system/kvm_int.h"

/* Pins of I/O APICs in the routing table with kernel-irqchip=split. */
#define KVM_SPLIT_IRQCHIP_PINS 48

/** What a vCPU keeps here: X86CPU.kvm. */
typedef struct X86KVMState {
    void *xsave;                /* a buffer of xsave_size bytes, page aligned */
    uint32_t xsave_size;
    uint32_t xsave_offset[64];  /* of each component; 0: none. Set at the start, as all below */
    bool *msr_usable;           /* one for each entry of the MSR table */
    struct MSRBuffer *msr_read; /* the list of all that are read, TSC last */
    uint16_t *msr_read_which;   /* which entry of the table each of them is */
    uint64_t mtrr_fill;         /* bits of MTRR masks beyond physical addresses */
    bool handed_over;           /* the kernel was given a PIC's interrupt for the next entry */
} X86KVMState;

/* Capabilities of the VM that more than one file asks about; set by kvm_arch_init(). */
extern bool kvm_has_exception_payload;
extern bool kvm_has_triple_fault_event;
extern bool kvm_has_smm;
extern bool kvm_has_sregs2;

/* kvm-cpuid.c */

/** Give the CPU its CPUID. 0 or -errno, reported. */
int kvm_x86_set_cpuid(X86CPU *cpu);

/* kvm-msrs.c */

/** Find out which MSRs work with this CPU. After kvm_x86_set_cpuid(). */
int kvm_x86_init_msrs(X86CPU *cpu);
int kvm_x86_get_msrs(X86CPU *cpu, Error **errp);
/** Write those that belong to @level (KVM_PUT_*) and below. */
int kvm_x86_put_msrs(X86CPU *cpu, int level, Error **errp);
/** Those that others depend on: before the other registers. */
int kvm_x86_put_early_msrs(X86CPU *cpu, Error **errp);
/** Those that depend on the local APIC's state: last. */
int kvm_x86_put_late_msrs(X86CPU *cpu, Error **errp);

/* kvm-xsave.c */

int kvm_x86_init_xsave(X86CPU *cpu);
int kvm_x86_get_xsave(X86CPU *cpu);
int kvm_x86_put_xsave(X86CPU *cpu);

/* hw/i386/kvm/apic.c: the local APIC is a device, but moves with the registers. */

int kvm_x86_get_lapic(X86CPU *cpu);
int kvm_x86_put_lapic(X86CPU *cpu);
/** IA32_APIC_BASE of a CPU with or without such a device; CR8 (its task priority's upper half). */
uint64_t kvm_x86_apic_base(X86CPU *cpu);
void kvm_x86_set_apic_base(X86CPU *cpu, uint64_t value);
uint8_t kvm_x86_cr8(X86CPU *cpu);
void kvm_x86_set_cr8(X86CPU *cpu, uint8_t value);
#endif

#endif
