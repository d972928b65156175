/*
 * How an accelerator drives vCPUs: one QOM class beside each accelerator, named ACCEL "-ops"
 * ("kvm-accel-ops"), derived from TYPE_ACCEL_OPS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_ACCEL_OPS_H
#define SYSTEM_ACCEL_OPS_H

#include "qom/object.h"

struct CPUState;

#define ACCEL_OPS_SUFFIX "-ops"
#define TYPE_ACCEL_OPS "accel" ACCEL_OPS_SUFFIX
#define ACCEL_OPS_NAME(name) (name "-" TYPE_ACCEL_OPS)

typedef struct AccelOpsClass AccelOpsClass;
DECLARE_CLASS_CHECKERS(AccelOpsClass, ACCEL_OPS, TYPE_ACCEL_OPS)

/** All with the BQL held unless they say otherwise. Only create_vcpu_thread is mandatory. */
struct AccelOpsClass {
    ObjectClass parent_class;

    /** The accelerator was chosen; no CPU exists yet. */
    void (*ops_init)(AccelOpsClass *ops);
    bool (*cpus_are_resettable)(void);
    void (*cpu_reset_hold)(struct CPUState *cpu);

    /** Make cpu->thread; it reports with cpu_thread_signal_created(). */
    void (*create_vcpu_thread)(struct CPUState *cpu);
    /** Make the thread leave guest code or its sleep. Any thread. Default: a SIG_IPI. */
    void (*kick_vcpu_thread)(struct CPUState *cpu);
    /** May a halted CPU's thread sleep? Default: yes. (KVM's halts in the kernel: never idle.) */
    bool (*cpu_thread_is_idle)(struct CPUState *cpu);

    void (*synchronize_post_reset)(struct CPUState *cpu);
    void (*synchronize_post_init)(struct CPUState *cpu);
    void (*synchronize_state)(struct CPUState *cpu);
    void (*synchronize_pre_loadvm)(struct CPUState *cpu);
    void (*synchronize_pre_resume)(bool step_pending);

    /** Default: set the bits, and kick. */
    void (*handle_interrupt)(struct CPUState *cpu, int mask);

    /** Pages of a vCPU's dirty ring, 0 where there is none. Default: 0. */
    uint32_t (*dirty_ring_size)(void);
    /** Pages noted in it since the start. Any thread, with or without the BQL. */
    uint64_t (*count_dirty_pages)(struct CPUState *cpu);

    /** Nanoseconds of the virtual clock; default: util/timer.c's. */
    int64_t (*get_virtual_clock)(void);
    void (*set_virtual_clock)(int64_t time);
    int64_t (*get_elapsed_ticks)(void);
};

#endif
