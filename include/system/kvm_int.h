/*
 * KVM from within: between accel/kvm/ (generic) and target/i386/kvm/ (the architecture's half).
 * Include only in code that is compiled when CONFIG_KVM is defined.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_KVM_INT_H
#define SYSTEM_KVM_INT_H

#include <linux/kvm.h>

#include "system/accel.h"
#include "system/kvm.h"
#include "system/memory.h"
#include "qemu/thread.h"

struct CPUState;

/** A capability, and how to name it when it is missing. Lists end with an entry without name. */
typedef struct KVMCapabilityInfo {
    const char *name;
    int value;
} KVMCapabilityInfo;
#define KVM_CAP_INFO(CAP) { "KVM_CAP_" stringify_cap(CAP), KVM_CAP_##CAP }
#define stringify_cap(x) #x
#define KVM_CAP_LAST_INFO { NULL, 0 }

/** A piece of RAM as the kernel knows it. Guarded by the slots lock. */
typedef struct KVMSlot {
    hwaddr start_addr;          /* guest-physical, page aligned */
    uint64_t memory_size;       /* bytes; 0: unused */
    void *ram;                  /* host address of start_addr */
    RAMBlock *block;
    ram_addr_t block_offset;    /* of start_addr in block */
    int slot;                   /* the kernel's number, address space in the upper half */
    uint32_t flags;             /* KVM_MEM_* as last set */
    int log_mask;               /* who wants the log of this region in particular */
    /* What the kernel reported last, less what log_clear() cleared since. One bit a page. */
    unsigned long *dirty_bmap;
    uint64_t dirty_bmap_size;   /* bytes */
} KVMSlot;

typedef struct KVMMemoryListener {
    MemoryListener listener;
    KVMSlot *slots;
    unsigned int nr_slots;      /* allocated */
    unsigned int nr_used;
    int as_id;                  /* kernel address space: 0 (1 would be SMM) */
    /* Changes gathered between begin and commit, of MemoryRegionSection. */
    GArray *to_add, *to_del;
} KVMMemoryListener;

typedef enum { KVM_IRQCHIP_DEFAULT, KVM_IRQCHIP_OFF, KVM_IRQCHIP_ON,
                               KVM_IRQCHIP_SPLIT } KVMIrqchipMode;

struct KVMState {
    AccelState parent_obj;

    /* Set by init_machine(), constant afterwards. */
    int fd;                     /* /dev/kvm */
    int vmfd;
    int vcpu_mmap_size;
    unsigned int max_nr_slots;
    uint64_t manual_dirty_log_protect; /* KVM_DIRTY_LOG_* that are on */
    KVMIrqchipMode irqchip_mode;
    char *device;               /* "/dev/kvm", or as -accel kvm,device= says */

    /* Dirty ring; entries per vCPU, 0 means the bitmap is used. */
    uint32_t dirty_ring_size;
    uint32_t dirty_ring_bytes;
    struct KVMDirtyRingReaper *reaper;

    /* IRQ routes; BQL. */
    struct kvm_irq_routing *irq_routes;
    int nr_allocated_irq_routes;
    unsigned long irq_set_ioctl;  /* KVM_IRQ_LINE_STATUS, or KVM_IRQ_LINE */

    KVMMemoryListener memory_listener;
};

DECLARE_INSTANCE_CHECKER(KVMState, KVM_STATE, TYPE_KVM_ACCEL)

/* -- Supplied by accel/kvm/ for the architecture --------------------------------------------- */

/** The slots lock: taken after the BQL, if that is held. */
void kvm_slots_lock(void);
void kvm_slots_unlock(void);

/* -- Supplied by target/i386/kvm/ ------------------------------------------------------------ */

#define KVM_PUT_RUNTIME_STATE 1 /* what changes while a vCPU runs */
#define KVM_PUT_RESET_STATE   2 /* and what a reset changes */
#define KVM_PUT_FULL_STATE    3 /* and what only an incoming machine changes */

extern const KVMCapabilityInfo kvm_arch_required_capabilities[];

/** The VM exists (s->vmfd), no vCPU does. 0, or -errno after having reported why. */
int kvm_arch_init(struct MachineState *ms, KVMState *s);
/** Make the in-kernel irqchip a special way: 1 done, 0 the generic way will do, -errno reported. */
int kvm_arch_irqchip_create(KVMState *s);
/** Add the default IRQ routes (the caller commits them). */
void kvm_arch_init_irq_routing(KVMState *s);

/** The id that KVM_CREATE_VCPU is given: the APIC id. */
unsigned long kvm_arch_vcpu_id(struct CPUState *cpu);
/** kvm_fd and kvm_run are there: CPUID, MSR lists… 0 or -errno. On the vCPU's thread. */
int kvm_arch_init_vcpu(struct CPUState *cpu);
int kvm_arch_destroy_vcpu(struct CPUState *cpu);

/** Move registers between the kernel and the CPU. vCPU's thread with BQL, or vCPU stopped. */
int kvm_arch_get_registers(struct CPUState *cpu, Error **errp);
int kvm_arch_put_registers(struct CPUState *cpu, int level, Error **errp);

/** Just before and after KVM_RUN, without the BQL. */
void kvm_arch_pre_run(struct CPUState *cpu, struct kvm_run *run);
MemTxAttrs kvm_arch_post_run(struct CPUState *cpu, struct kvm_run *run);
/**
 * Right after KVM_RUN, which answered ret, without the BQL. An interrupt that the kernel was given
 * and has not begun with goes to where kvm_arch_get_registers() finds it. That takes another
 * KVM_RUN: answers what the last one did, 0 when it left an exit that is to be handled first.
 */
int kvm_arch_settle(struct CPUState *cpu, struct kvm_run *run, int ret);
/** An exit that generic code does not know: 0 go on, positive EXCP_*, negative the guest dies. */
int kvm_arch_handle_exit(struct CPUState *cpu, struct kvm_run *run);
/**
 * Look at interrupt_request (INIT, SIPI…) before a run; nonzero: the CPU is halted, don't run.
 * BQL.
 */
int kvm_arch_process_async_events(struct CPUState *cpu);
/** After KVM_INTERNAL_ERROR_EMULATION: stop the machine rather than go on? */
bool kvm_arch_stop_on_emulation_error(struct CPUState *cpu);

#endif
