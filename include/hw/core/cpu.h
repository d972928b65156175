/*
 * A virtual CPU: what every accelerator and architecture share of it.
 *
 * CPUState is the device; CPUClass what an architecture supplies. Its thread, its being stopped and
 * kicked, and work run on it are the business of system/cpus.c.
 *
 * Locking: fields are guarded by the BQL unless their group says otherwise. The registers proper
 * (the architecture's part) belong to the vCPU's own thread while it runs and to the holder of the
 * BQL while it is stopped; cpu_synchronize_state() moves them out of the kernel first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_CPU_H
#define HW_CORE_CPU_H

#include "hw/qdev-core.h"
#include "qemu/thread.h"
#include "qemu/queue.h"
#include "system/memory.h"

#define TYPE_CPU "cpu"
OBJECT_DECLARE_TYPE(CPUState, CPUClass, CPU)

typedef uint64_t vaddr;
#define VADDR_PRIx PRIx64

struct kvm_run;
struct kvm_dirty_gfn;

/** Supplied by an architecture; set in its class_init. */
struct CPUClass {
    DeviceClass parent_class;

    /** The CPU type named by the user's model name ("qemu64" → "qemu64-x86_64-cpu"), or NULL. */
    ObjectClass *(*class_by_name)(const char *cpu_model);
    /** Apply "feature=value,+flag,-flag" text to a type before instances are made. */
    void (*parse_features)(const char *typename, char *str, Error **errp);
    /** Is there something to do for a halted CPU? Called with the BQL. */
    bool (*has_work)(CPUState *cpu);
    void (*dump_state)(CPUState *cpu, GString *out, int flags);
    int64_t (*get_arch_id)(CPUState *cpu);
    void (*set_pc)(CPUState *cpu, vaddr value);
    vaddr (*get_pc)(CPUState *cpu);
    /** Where a virtual address leads at present, or -1. For memsave. */
    hwaddr (*get_phys_page_debug)(CPUState *cpu, vaddr addr);
    /** Where it is in the machine's topology, for query-cpus-fast; NULL: say nothing. */
    struct CpuInstanceProperties *(*get_props)(CPUState *cpu);
    /**
     * The state's VMState, registered as section "cpu" with the CPU's index when it is realized.
     */
    const struct VMStateDescription *legacy_vmsd;
    /** Answer to CPU_INTERRUPT_* bits set while a callback of TCG is active; NULL: none needed. */
    void (*handle_interrupt)(CPUState *cpu, int mask);
};

/* Bits of CPUState.interrupt_request. They travel in the stream: never renumber. */
#define CPU_INTERRUPT_HARD      0x0002 /* the interrupt controller has one pending */
#define CPU_INTERRUPT_EXITTB    0x0004 /* leave the execution loop */
#define CPU_INTERRUPT_TGT_EXT_0 0x0008
#define CPU_INTERRUPT_TGT_EXT_1 0x0010
#define CPU_INTERRUPT_HALT      0x0020
#define CPU_INTERRUPT_TGT_EXT_2 0x0040
#define CPU_INTERRUPT_DEBUG     0x0080
#define CPU_INTERRUPT_TGT_INT_0 0x0100
#define CPU_INTERRUPT_TGT_EXT_3 0x0200
#define CPU_INTERRUPT_RESET     0x0400
#define CPU_INTERRUPT_TGT_INT_1 0x0800
#define CPU_INTERRUPT_TGT_EXT_4 0x1000
#define CPU_INTERRUPT_TGT_INT_2 0x2000

/** Something to run on a vCPU's thread. */
typedef union {
    int host_int;
    unsigned long host_ulong;
    void *host_ptr;
    vaddr target_ptr;
} run_on_cpu_data;

#define RUN_ON_CPU_HOST_PTR(p)   ((run_on_cpu_data) { .host_ptr = (p) })
#define RUN_ON_CPU_HOST_INT(i)   ((run_on_cpu_data) { .host_int = (i) })
#define RUN_ON_CPU_HOST_ULONG(u) ((run_on_cpu_data) { .host_ulong = (u) })
#define RUN_ON_CPU_TARGET_PTR(v) ((run_on_cpu_data) { .target_ptr = (v) })
#define RUN_ON_CPU_NULL          RUN_ON_CPU_HOST_PTR(NULL)

typedef void (*run_on_cpu_func)(CPUState *cpu, run_on_cpu_data data);
struct qemu_work_item;

struct CPUState {
    DeviceState parent_obj;

    CPUClass *cc;               /* class of this CPU, cached */
    int cpu_index;              /* 0…; also the instance id of its sections */
    int cluster_index;
    int nr_cores;               /* per socket */
    int nr_threads;             /* per core */
    AddressSpace *as;           /* what it sees as memory */
    MemoryRegion *memory;
    void *opaque;

    /* Its thread. Set when the thread is made. */
    QemuThread *thread;
    QemuCond *halt_cond;        /* the thread sleeps here, with the BQL, when idle */
    int thread_id;              /* the kernel's, for query-cpus-fast */
    bool created;               /* the thread is up */
    bool unplug;                /* the thread is to end */
    bool thread_kicked;         /* a kick is under way (atomic) */

    /* Running or not. */
    bool stop;                  /* it is asked to stop */
    bool stopped;               /* it has stopped */
    bool running;               /* it executes guest code (atomic) */
    bool start_powered_off;
    bool crash_occurred;
    bool exit_request;          /* leave guest code soon (atomic) */
    uint32_t halted;            /* in HLT or waiting for a start-up IPI */
    uint32_t interrupt_request; /* CPU_INTERRUPT_*; set by anyone with the BQL */
    int32_t exception_index;

    /* Work queued for its thread; guarded by work_mutex. */
    QemuMutex work_mutex;
    QSIMPLEQ_HEAD(, qemu_work_item) work_list;

    /* The accelerator's. */
    void *accel;                /* what TCG or qtest keep for it */
    bool vcpu_dirty;            /* the copy of the registers here is newer than the kernel's */
    int kvm_fd;
    struct KVMState *kvm_state;
    struct kvm_run *kvm_run;
    struct kvm_dirty_gfn *kvm_dirty_gfns;   /* its dirty ring; reaped under the slots lock */
    uint32_t kvm_fetch_index;   /* next entry to take out */
    uint32_t kvm_peek_index;    /* entries before it have been counted */
    uint64_t dirty_pages;       /* reaped from its ring so far */

    /* Why registers could not be moved; see cpus_take_register_error(). */
    Error *register_error;

    /* dirty-limit: microseconds that it sleeps for each ring that it fills (atomic). */
    int64_t throttle_us_per_full;

    QTAILQ_ENTRY(CPUState) node;
};

typedef QTAILQ_HEAD(CPUTailQ, CPUState) CPUTailQ;
/** All CPUs, in order of index. Changed under the BQL; CPUs of this machine never go away. */
extern CPUTailQ cpus_queue;

#define first_cpu         QTAILQ_FIRST(&cpus_queue)
#define CPU_NEXT(cpu)     QTAILQ_NEXT(cpu, node)
#define CPU_FOREACH(cpu)  QTAILQ_FOREACH(cpu, &cpus_queue, node)

/** The CPU whose thread this is; NULL elsewhere. */
extern __thread CPUState *current_cpu;

CPUState *qemu_get_cpu(int index);
/** Is there a CPU whose get_arch_id() (APIC id) is @id? */
bool cpu_exists(int64_t id);
CPUState *cpu_by_arch_id(int64_t id);

/** Add a CPU to the list and give it the next free index, if it has none (-1). BQL. */
void cpu_list_add(CPUState *cpu);
void cpu_list_remove(CPUState *cpu);

/** Forget what the CPU was doing (registers are the architecture's). Not while it runs. */
void cpu_reset(CPUState *cpu);

/** Raise or withdraw interrupt bits; raising wakes the CPU. BQL. */
void cpu_interrupt(CPUState *cpu, int mask);
void cpu_reset_interrupt(CPUState *cpu, int mask);
/** Make a CPU leave guest code; any thread. */
void cpu_exit(CPUState *cpu);
void qemu_cpu_kick(CPUState *cpu);
bool cpu_is_stopped(CPUState *cpu);
bool qemu_cpu_is_self(CPUState *cpu);

/** Run @func on the CPU's thread and wait for it (BQL held by caller, dropped meanwhile). */
void run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data);
/** Queue @func for the CPU's thread; it runs there with the BQL held. Any thread. */
void async_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data);
/** The same while no vCPU executes guest code; @func runs without the BQL. Any thread. */
void async_safe_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data);

/** Start a realized CPU's thread and wait until it is up. BQL. */
void qemu_init_vcpu(CPUState *cpu);
/** End the CPU's thread and wait for that. BQL (dropped meanwhile). */
void cpu_remove_sync(CPUState *cpu);

/**
 * First and last of an architecture's realize: list the CPU and register its sections "cpu_common"
 * and (legacy_vmsd) "cpu". Between them come qemu_init_vcpu() and the base class's realize.
 */
bool cpu_exec_realizefn(CPUState *cpu, Error **errp);
void cpu_exec_unrealizefn(CPUState *cpu);

extern const VMStateDescription vmstate_cpu_common;

static inline bool cpu_has_work(CPUState *cpu)
{
    return cpu->cc->has_work && cpu->cc->has_work(cpu);
}

#endif
