/*
 * KVM, as machines and devices see it.
 *
 * Everything here exists in a build without KVM too: kvm_enabled() and its kin are then
 * constants, and
 * calls that make no sense fail or do nothing (accel/kvm-stub.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_KVM_H
#define SYSTEM_KVM_H

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/memattrs.h"
#include "exec/hwaddr.h"

#define TYPE_KVM_ACCEL "kvm-accel"

struct CPUState;
struct MachineState;
typedef struct KVMState KVMState;

/** The one VM; NULL until KVM was chosen. */
extern KVMState *kvm_state;

#ifdef CONFIG_KVM
extern bool kvm_allowed;
extern bool kvm_kernel_irqchip;
extern bool kvm_split_irqchip;
extern bool kvm_gsi_routing_allowed;
extern bool kvm_readonly_mem_allowed;

/** Does KVM execute the guest? */
#define kvm_enabled()                (kvm_allowed)
/** Are local APICs in the kernel? (kernel-irqchip=on or split) */
#define kvm_irqchip_in_kernel()      (kvm_kernel_irqchip)
/** … but the I/O APIC and the PIC are ours? (kernel-irqchip=split) */
#define kvm_irqchip_is_split()       (kvm_split_irqchip)
/** Can lines be routed to pins of the kernel's controllers? */
#define kvm_gsi_routing_enabled()    (kvm_gsi_routing_allowed)
#else
#define kvm_enabled()                (false)
#define kvm_irqchip_in_kernel()      (false)
#define kvm_irqchip_is_split()       (false)
#define kvm_gsi_routing_enabled()    (false)
#endif
/** Are PIC, I/O APIC and (if the machine has one) PIT in the kernel as well? */
#define kvm_pit_in_kernel() (kvm_irqchip_in_kernel() && !kvm_irqchip_is_split())
#define kvm_pic_in_kernel() (kvm_irqchip_in_kernel() && !kvm_irqchip_is_split())
#define kvm_ioapic_in_kernel() (kvm_irqchip_in_kernel() && !kvm_irqchip_is_split())

/* ioctls: the value of ioctl(2), or -errno. Any thread. */
int kvm_ioctl(KVMState *s, unsigned long type, ...);
int kvm_vm_ioctl(KVMState *s, unsigned long type, ...);
int kvm_vcpu_ioctl(struct CPUState *cpu, unsigned long type, ...);

/** Value of a KVM_CAP_*: 0 if it is absent (or there is no KVM). Of /dev/kvm, or of the VM. */
int kvm_check_extension(KVMState *s, unsigned int extension);
int kvm_vm_check_extension(KVMState *s, unsigned int extension);
/** Turn a capability on, with up to four arguments: kvm_vm_enable_cap(s, KVM_CAP_X, arg0, …). */
#define kvm_vm_enable_cap(s, capability, ...)                                                      \
    ({                                                                                             \
        uint64_t args_tmp_[] = { __VA_ARGS__ };                                                    \
        kvm_vm_enable_cap_args((s), (capability), args_tmp_, G_N_ELEMENTS(args_tmp_));             \
    })
int kvm_vm_enable_cap_args(KVMState *s, unsigned int capability, const uint64_t *args, int nargs);
int kvm_vcpu_enable_cap_args(struct CPUState *cpu, unsigned int capability, const uint64_t *args,
                             int nargs);

/* vCPUs. On the vCPU's own thread, with the BQL. */
int kvm_init_vcpu(struct CPUState *cpu, Error **errp);
void kvm_destroy_vcpu(struct CPUState *cpu);
/**
 * Run guest code until something asks for the main loop's attention: 0 or an EXCP_* value; drops
 * the BQL while in the guest. Negative: the guest can't go on, and why has been said.
 */
int kvm_cpu_exec(struct CPUState *cpu);
#define EXCP_INTERRUPT 0x10000 /* something is queued for the thread */
#define EXCP_HLT       0x10001
#define EXCP_DEBUG     0x10002
#define EXCP_HALTED    0x10003

void kvm_cpu_synchronize_state(struct CPUState *cpu);
void kvm_cpu_synchronize_post_reset(struct CPUState *cpu);
void kvm_cpu_synchronize_post_init(struct CPUState *cpu);
void kvm_cpu_synchronize_pre_loadvm(struct CPUState *cpu);

/* The interrupt controller in the kernel. BQL. */

/** Set the level of a global interrupt line (GSI): the kernel's answer, 0 or more. */
int kvm_set_irq(KVMState *s, int irq, int level);
/** Route @gsi to @pin of @irqchip (KVM_IRQCHIP_*); takes effect at kvm_irqchip_commit_routes(). */
void kvm_irqchip_add_irq_route(KVMState *s, int gsi, int irqchip, int pin);
/**
 * Route @gsi to a message; takes effect at kvm_irqchip_commit_routes(). False: it was so before.
 */
bool kvm_irqchip_set_msi_route(KVMState *s, int gsi, uint64_t address, uint32_t data);
void kvm_irqchip_commit_routes(KVMState *s);
/** Deliver an MSI now: its address and data as the device would write them. */
int kvm_irqchip_send_msi_raw(KVMState *s, uint64_t address, uint32_t data);

/** Pages a vCPU's dirty ring holds; 0 where the bitmap is used. */
uint32_t kvm_dirty_ring_size(void);
bool kvm_dirty_ring_enabled(void);
/** Upper bound of VCPUs that the kernel takes. */
unsigned int kvm_max_vcpus(KVMState *s);

#endif
