/*
 * vCPU threads from the machine's point of view: making them, letting them sleep, stopping all and
 * starting all, and the machine's own start and stop.
 *
 * Relies on the accelerator's AccelOpsClass for what a thread does, and on runstate.c for the
 * state.
 * Everything is guarded by the BQL; threads wait on their CPU's halt_cond, and whoever waits for
 * them waits on one of the two conditions below.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-events-run-state.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/blockdev.h"
#include "system/cpus.h"
#include "system/runstate.h"

static const AccelOpsClass *cpus_accel;
static cpu_exit_hook exit_hook;

static QemuCond cpu_created_cond;   /* a thread came up or ended */
static QemuCond cpu_paused_cond;    /* a CPU stopped */

/* The guest had suspended itself when the machine was stopped: `cont` goes back there. */
static bool was_suspended;

/* -- Setting up ------------------------------------------------------------------------------ */

/* Being sent is all the signal is for: it makes system calls return. */
static void sig_ipi_handler(int sig)
{
}

void qemu_init_cpu_loop(void)
{
    static bool done;
    struct sigaction act = { .sa_handler = sig_ipi_handler };

    if (done) {
        return;
    }
    done = true;
    sigaction(SIG_IPI, &act, NULL);
    qemu_cond_init(&cpu_created_cond);
    qemu_cond_init(&cpu_paused_cond);
}

void cpus_register_accel(const AccelOpsClass *ops)
{
    assert(ops && ops->create_vcpu_thread);
    cpus_accel = ops;
}

const AccelOpsClass *cpus_get_accel(void)
{
    return cpus_accel;
}

void cpus_set_exit_hook(cpu_exit_hook hook)
{
    exit_hook = hook;
}

/* -- Kicking --------------------------------------------------------------------------------- */

bool qemu_cpu_is_self(CPUState *cpu)
{
    return cpu == current_cpu;
}

void cpus_kick_thread(CPUState *cpu)
{
    if (!cpu->thread || qatomic_xchg(&cpu->thread_kicked, true)) {
        return;
    }
    pthread_kill(cpu->thread->thread, SIG_IPI);
}

void qemu_cpu_kick(CPUState *cpu)
{
    if (!cpu->halt_cond) {
        return;
    }
    qemu_cond_broadcast(cpu->halt_cond);
    if (cpus_accel && cpus_accel->kick_vcpu_thread) {
        cpus_accel->kick_vcpu_thread(cpu);
    } else {
        cpus_kick_thread(cpu);
    }
}

void cpu_exit(CPUState *cpu)
{
    qatomic_set(&cpu->exit_request, true);
    qemu_cpu_kick(cpu);
}

void generic_handle_interrupt(CPUState *cpu, int mask)
{
    qatomic_or(&cpu->interrupt_request, mask);
    if (!qemu_cpu_is_self(cpu)) {
        qemu_cpu_kick(cpu);
    }
}

void cpu_interrupt(CPUState *cpu, int mask)
{
    if (cpus_accel && cpus_accel->handle_interrupt) {
        cpus_accel->handle_interrupt(cpu, mask);
    } else {
        generic_handle_interrupt(cpu, mask);
    }
}

void cpu_reset_interrupt(CPUState *cpu, int mask)
{
    qatomic_and(&cpu->interrupt_request, ~mask);
}

/* -- Sleeping -------------------------------------------------------------------------------- */

bool cpu_is_stopped(CPUState *cpu)
{
    return cpu->stopped || !runstate_is_running();
}

bool cpu_can_run(CPUState *cpu)
{
    return !cpu->stop && !cpu_is_stopped(cpu);
}

bool cpu_thread_is_idle(CPUState *cpu)
{
    if (cpu->stop || cpu->unplug || !cpu_work_list_empty(cpu)) {
        return false;
    }
    if (cpu_is_stopped(cpu)) {
        return true;
    }
    if (!cpu->halted || cpu_has_work(cpu)) {
        return false;
    }
    return !cpus_accel->cpu_thread_is_idle || cpus_accel->cpu_thread_is_idle(cpu);
}

bool all_cpu_threads_idle(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu_thread_is_idle(cpu)) {
            return false;
        }
    }
    return true;
}

static void cpu_stop_self(CPUState *cpu)
{
    cpu->stop = false;
    cpu->stopped = true;
    qatomic_set(&cpu->exit_request, true);
    qemu_cond_broadcast(&cpu_paused_cond);
}

void qemu_wait_io_event_common(CPUState *cpu)
{
    qatomic_mb_set(&cpu->thread_kicked, false);
    if (cpu->stop) {
        cpu_stop_self(cpu);
    }
    process_queued_cpu_work(cpu);
}

void qemu_wait_io_event(CPUState *cpu)
{
    while (cpu_thread_is_idle(cpu)) {
        qemu_cond_wait_bql(cpu->halt_cond);
    }
    qemu_wait_io_event_common(cpu);
    /* After the kick was taken back: who asks for something and kicks is seen here. */
    if (exit_hook && cpu_can_run(cpu)) {
        exit_hook(cpu);
    }
}

uint32_t cpus_dirty_ring_size(void)
{
    return cpus_accel && cpus_accel->dirty_ring_size ? cpus_accel->dirty_ring_size() : 0;
}

uint64_t cpu_count_dirty_pages(CPUState *cpu)
{
    return cpus_accel && cpus_accel->count_dirty_pages ? cpus_accel->count_dirty_pages(cpu) : 0;
}

void cpu_stop_current(void)
{
    if (current_cpu) {
        current_cpu->stop = true;
        cpu_exit(current_cpu);
    }
}

/* -- Threads coming and going ---------------------------------------------------------------- */

void cpu_thread_enter(CPUState *cpu)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIG_IPI);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    cpu->thread_id = qemu_get_thread_id();
    current_cpu = cpu;
}

void cpu_thread_signal_created(CPUState *cpu)
{
    cpu->created = true;
    qemu_cond_broadcast(&cpu_created_cond);
}

void cpu_thread_signal_destroyed(CPUState *cpu)
{
    cpu->created = false;
    qemu_cond_broadcast(&cpu_created_cond);
}

void qemu_init_vcpu(CPUState *cpu)
{
    cpu->stopped = true;
    cpu->thread = g_new0(QemuThread, 1);
    cpu->halt_cond = g_new0(QemuCond, 1);
    qemu_cond_init(cpu->halt_cond);
    if (!cpu->as) {
        cpu->as = &address_space_memory;
    }
    assert(cpus_accel);
    cpus_accel->create_vcpu_thread(cpu);
    while (!cpu->created) {
        qemu_cond_wait_bql(&cpu_created_cond);
    }
}

void cpu_remove_sync(CPUState *cpu)
{
    if (!cpu->created) {
        return;
    }
    cpu->stop = true;
    cpu->unplug = true;
    qemu_cpu_kick(cpu);
    bql_unlock();
    qemu_thread_join(cpu->thread);
    bql_lock();
    qemu_cond_destroy(cpu->halt_cond);
    g_clear_pointer(&cpu->halt_cond, g_free);
    g_clear_pointer(&cpu->thread, g_free);
}

/* -- Pausing --------------------------------------------------------------------------------- */

void cpu_resume(CPUState *cpu)
{
    cpu->stop = false;
    cpu->stopped = false;
    qatomic_set(&cpu->exit_request, false);
    qemu_cpu_kick(cpu);
}

void cpu_pause(CPUState *cpu)
{
    if (qemu_cpu_is_self(cpu)) {
        cpu_stop_self(cpu);
    } else if (cpu->created) {
        cpu->stop = true;
        qemu_cpu_kick(cpu);
    } else {
        cpu->stopped = true;
    }
}

bool all_vcpus_paused(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (!cpu->stopped) {
            return false;
        }
    }
    return true;
}

void pause_all_vcpus(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu_pause(cpu);
    }
    while (!all_vcpus_paused()) {
        qemu_cond_timedwait_bql(&cpu_paused_cond, 100);
        /* A thread may have cleared thread_kicked and re-entered the guest before it saw stop. */
        CPU_FOREACH(cpu) {
            if (!cpu->stopped) {
                qemu_cpu_kick(cpu);
            }
        }
    }
}

void resume_all_vcpus(void)
{
    CPUState *cpu;

    if (!runstate_is_running()) {
        return;
    }
    CPU_FOREACH(cpu) {
        cpu_resume(cpu);
    }
}

/* -- The machine ----------------------------------------------------------------------------- */

bool vm_get_suspended(void)
{
    return was_suspended;
}

void vm_set_suspended(bool suspended)
{
    was_suspended = suspended;
}

static int do_vm_stop(RunState state, bool send_stop)
{
    RunState old = runstate_get();

    if (!runstate_is_live(old)) {
        return 0;
    }
    was_suspended = old == RUN_STATE_SUSPENDED;
    runstate_set(state);
    cpu_disable_ticks();
    pause_all_vcpus();
    qemu_system_settle_sleep();
    vm_state_notify(false, state);
    if (send_stop) {
        qapi_event_send_stop();
    }
    return blk_flush_all(NULL);
}

int vm_stop(RunState state)
{
    if (current_cpu) {
        /* A CPU can't wait for itself: the main loop does it, and this CPU goes to sleep. */
        qemu_system_vmstop_request_prepare();
        qemu_system_vmstop_request(state);
        cpu_stop_current();
        return 0;
    }
    return do_vm_stop(state, true);
}

int vm_shutdown(void)
{
    return do_vm_stop(RUN_STATE_SHUTDOWN, false);
}

int vm_stop_force_state(RunState state)
{
    if (runstate_is_live(runstate_get())) {
        return vm_stop(state);
    }
    runstate_set(state);
    return blk_flush_all(NULL);
}

static int prepare_start(bool step_pending, bool send_resume)
{
    RunState requested = RUN_STATE__MAX;
    RunState state = was_suspended ? RUN_STATE_SUSPENDED : RUN_STATE_RUNNING;
    bool stop_cancelled = qemu_vmstop_requested(&requested);

    if (runstate_is_live(runstate_get())) {
        if (stop_cancelled) {
            /* A stop that was under way never took place: clients see that it came and went. */
            qapi_event_send_stop();
            qapi_event_send_resume();
            resume_all_vcpus();
        }
        return -1;
    }
    if (cpus_accel && cpus_accel->synchronize_pre_resume) {
        cpus_accel->synchronize_pre_resume(step_pending);
    }
    if (send_resume) {
        qapi_event_send_resume();
    }
    cpu_enable_ticks();
    runstate_set(state);
    vm_state_notify(true, state);
    was_suspended = false;
    return 0;
}

int vm_prepare_start(bool step_pending)
{
    return prepare_start(step_pending, true);
}

void vm_start_first(void)
{
    if (prepare_start(false, false) == 0) {
        resume_all_vcpus();
    }
}

void vm_start(void)
{
    if (vm_prepare_start(false) == 0) {
        resume_all_vcpus();
    }
}

void vm_resume(RunState state)
{
    if (runstate_is_live(state)) {
        vm_start();
    } else {
        runstate_set(state);
    }
}

/* -- Where the registers are ----------------------------------------------------------------- */

void cpu_synchronize_state(CPUState *cpu)
{
    if (cpus_accel && cpus_accel->synchronize_state) {
        cpus_accel->synchronize_state(cpu);
    }
}

void cpu_synchronize_post_reset(CPUState *cpu)
{
    if (cpus_accel && cpus_accel->synchronize_post_reset) {
        cpus_accel->synchronize_post_reset(cpu);
    }
}

void cpu_synchronize_post_init(CPUState *cpu)
{
    if (cpus_accel && cpus_accel->synchronize_post_init) {
        cpus_accel->synchronize_post_init(cpu);
    }
}

void cpu_synchronize_pre_loadvm(CPUState *cpu)
{
    if (cpus_accel && cpus_accel->synchronize_pre_loadvm) {
        cpus_accel->synchronize_pre_loadvm(cpu);
    }
}

void cpu_synchronize_all_states(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu_synchronize_state(cpu);
    }
}

void cpu_synchronize_all_post_reset(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu_synchronize_post_reset(cpu);
    }
}

void cpu_synchronize_all_post_init(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu_synchronize_post_init(cpu);
    }
}

void cpu_synchronize_all_pre_loadvm(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        cpu_synchronize_pre_loadvm(cpu);
    }
}

void cpu_set_register_error(CPUState *cpu, Error *err)
{
    error_prepend(&err, "CPU %d: ", cpu->cpu_index);
    error_free(cpu->register_error);
    cpu->register_error = err;
}

bool cpus_check_register_errors(Error **errp)
{
    bool ok = true;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu->register_error) {
            if (ok) {
                error_propagate(errp, cpu->register_error);
            } else {
                error_free(cpu->register_error);
            }
            cpu->register_error = NULL;
            ok = false;
        }
    }
    return ok;
}
