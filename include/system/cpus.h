/*
 * vCPU lifecycle: threads, halting, pausing all of them, and the machine's start and stop.
 *
 * All functions want the BQL unless they say otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CPUS_H
#define SYSTEM_CPUS_H

#include "hw/core/cpu.h"
#include "system/accel-ops.h"
#include "system/runstate.h"

/** Prepare this module; once, early, from the main thread. */
void qemu_init_cpu_loop(void);

/** The accelerator that was chosen says how vCPUs are driven. Once, before any CPU is made. */
void cpus_register_accel(const AccelOpsClass *ops);
const AccelOpsClass *cpus_get_accel(void);

/** Should the vCPU's thread sleep? */
bool cpu_thread_is_idle(CPUState *cpu);
bool all_cpu_threads_idle(void);
bool cpu_can_run(CPUState *cpu);
/** What a vCPU thread does between two stretches of guest code: sleep while idle, stop, do work. */
void qemu_wait_io_event(CPUState *cpu);
/** The part of it after the sleep. */
void qemu_wait_io_event_common(CPUState *cpu);
/** Tell qemu_init_vcpu() that the thread is up; tell cpu_remove_sync() that it has ended. */
void cpu_thread_signal_created(CPUState *cpu);
void cpu_thread_signal_destroyed(CPUState *cpu);
/** Stop this thread's own vCPU (it goes to sleep when it next looks). */
void cpu_stop_current(void);

/** Run what async_run_on_cpu() queued. For vCPU threads. */
void process_queued_cpu_work(CPUState *cpu);
bool cpu_work_list_empty(CPUState *cpu);

/** A vCPU's thread calls this first: sets current_cpu and
 * thread_id, and lets SIG_IPI through. */
void cpu_thread_enter(CPUState *cpu);
/** The signal by which threads are kicked out of system calls. */
#define SIG_IPI SIGUSR1
/** What the default kick is: SIG_IPI to the vCPU's thread, once until it is noticed. */
void cpus_kick_thread(CPUState *cpu);
/** What the default handle_interrupt is. */
void generic_handle_interrupt(CPUState *cpu, int mask);

/** Bracket guest code, so that async_safe_run_on_cpu() knows. vCPU thread, no BQL. */
void cpu_exec_start(CPUState *cpu);
void cpu_exec_end(CPUState *cpu);
/** No vCPU executes guest code between these two. Not on a vCPU's thread within exec_start/end. */
void start_exclusive(void);
void end_exclusive(void);

/** Ask every vCPU to stop and wait until all have (drops the BQL while it waits). */
void pause_all_vcpus(void);
void resume_all_vcpus(void);
void cpu_resume(CPUState *cpu);
void cpu_pause(CPUState *cpu);
bool all_vcpus_paused(void);

/* vm_start(), vm_stop() and their kin are declared in system/runstate.h. */

/* Where the registers are (see CPUState.vcpu_dirty): these ask the accelerator. */
void cpu_synchronize_state(CPUState *cpu);
void cpu_synchronize_post_reset(CPUState *cpu);
void cpu_synchronize_post_init(CPUState *cpu);
void cpu_synchronize_pre_loadvm(CPUState *cpu);
void cpu_synchronize_all_states(void);
void cpu_synchronize_all_post_reset(void);
void cpu_synchronize_all_post_init(void);
void cpu_synchronize_all_pre_loadvm(void);

/**
 * Did moving registers fail on any CPU since this was last asked? The first such error goes to
 * @errp, the rest is dropped. Returns true where all went well.
 */
bool cpus_check_register_errors(Error **errp);
/** For accelerators: keep @err (taken over) for it, with the CPU's number. */
void cpu_set_register_error(CPUState *cpu, Error *err);

/** Pages that fit into a vCPU's dirty ring; 0: the accelerator has none, or not for this machine. */
uint32_t cpus_dirty_ring_size(void);
/**
 * Pages that the CPU's ring has noted so far, those that are still in it included. A page counts again
 * when it is written after the ring was emptied. Any thread.
 */
uint64_t cpu_count_dirty_pages(CPUState *cpu);

/**
 * The place where throttling hangs itself in (migration's cpu-throttle, dirtylimit): called on a
 * vCPU's thread with the BQL held, each time before a vCPU that may run goes back to guest code. It
 * may sleep on cpu->halt_cond; it returns at once when cpu->stop is set, and does work that is
 * queued. NULL: none. Set under the BQL.
 */
typedef void (*cpu_exit_hook)(CPUState *cpu);
void cpus_set_exit_hook(cpu_exit_hook hook);

#endif
