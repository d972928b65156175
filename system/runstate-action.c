/*
 * Requests (shut down, reset, suspend, wake up, power down, stop), from whichever thread they come,
 * and the main loop that carries them out between two rounds of events.
 *
 * A request is one atomic word each; taking it is an exchange with "none". Only the first of
 * several equal requests counts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "qapi/error.h"
#include "qapi/qapi-events-run-state.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/cpus.h"
#include "system/last-resort.h"
#include "system/runstate.h"

RebootAction reboot_action = REBOOT_ACTION_RESET;
ShutdownAction shutdown_action = SHUTDOWN_ACTION_POWEROFF;
PanicAction panic_action = PANIC_ACTION_SHUTDOWN;
WatchdogAction watchdog_action = WATCHDOG_ACTION_RESET;

/* Atomic. */
static ShutdownCause shutdown_requested;
static ShutdownCause reset_requested;
static int powerdown_requested;
static int suspend_requested;
static int debug_requested;
static WakeupReason wakeup_reason;
static RunState vmstop_reason = RUN_STATE__MAX;
static int shutdown_exit_code;

/* BQL. */
static bool reset_held; /* what is asked for waits */
static uint32_t wakeup_reason_mask = ~(1u << QEMU_WAKEUP_REASON_NONE);
static bool wakeup_suspend_enabled;
static NotifierList powerdown_notifiers = NOTIFIER_LIST_INITIALIZER(powerdown_notifiers);
static NotifierList shutdown_notifiers = NOTIFIER_LIST_INITIALIZER(shutdown_notifiers);
static NotifierList suspend_notifiers = NOTIFIER_LIST_INITIALIZER(suspend_notifiers);
static NotifierList wakeup_notifiers = NOTIFIER_LIST_INITIALIZER(wakeup_notifiers);
static const MachineHooks *machine_hooks;

void qemu_set_machine_hooks(const MachineHooks *hooks)
{
    machine_hooks = hooks;
}

/* ---- asking --------------------------------------------------------------------------- */

ShutdownCause qemu_shutdown_requested_get(void)
{
    return qatomic_read(&shutdown_requested);
}

ShutdownCause qemu_reset_requested_get(void)
{
    return qatomic_read(&reset_requested);
}

void qemu_system_shutdown_request_with_code(ShutdownCause reason, int exit_code)
{
    qatomic_set(&shutdown_exit_code, exit_code);
    qemu_system_shutdown_request(reason);
}

void qemu_system_shutdown_request(ShutdownCause reason)
{
    qatomic_mb_set(&shutdown_requested, reason);
    qemu_notify_event();
}

void qemu_system_reset_request(ShutdownCause reason)
{
    if (reboot_action == REBOOT_ACTION_SHUTDOWN && reason != SHUTDOWN_CAUSE_SUBSYSTEM_RESET) {
        qatomic_mb_set(&shutdown_requested, reason);
    } else {
        qatomic_mb_set(&reset_requested, reason);
    }
    cpu_stop_current();
    qemu_notify_event();
}

void qemu_system_reset_hold(bool hold)
{
    reset_held = hold;
    if (!hold) {
        qemu_notify_event();
    }
}

void qemu_system_reset_forget(void)
{
    qatomic_mb_set(&reset_requested, SHUTDOWN_CAUSE_NONE);
}

void qemu_system_powerdown_request(void)
{
    qatomic_mb_set(&powerdown_requested, 1);
    qemu_notify_event();
}

void qemu_system_suspend_request(void)
{
    if (runstate_check(RUN_STATE_SUSPENDED)) {
        return;
    }
    qatomic_mb_set(&suspend_requested, 1);
    cpu_stop_current();
    qemu_notify_event();
}

void qemu_system_debug_request(void)
{
    qatomic_mb_set(&debug_requested, 1);
    qemu_notify_event();
}

void qemu_system_wakeup_request(WakeupReason reason, Error **errp)
{
    if (!runstate_check(RUN_STATE_SUSPENDED)) {
        error_setg(errp, "Unable to wake up: guest is not in suspended state");
        return;
    }
    if (!(wakeup_reason_mask & (1u << reason))) {
        return;
    }
    runstate_set(RUN_STATE_RUNNING);
    qatomic_mb_set(&wakeup_reason, reason);
    qemu_notify_event();
}

void qemu_system_wakeup_enable(WakeupReason reason, bool enabled)
{
    if (enabled) {
        wakeup_reason_mask |= 1u << reason;
    } else {
        wakeup_reason_mask &= ~(1u << reason);
    }
}

/*
 * The vCPU that asks goes on until it looks at its own stop flag; what it does in between
 * must find the request made. So the request needs no preparation here, only the notice after it.
 */
void qemu_system_vmstop_request_prepare(void)
{
}

void qemu_system_vmstop_request(RunState state)
{
    qatomic_mb_set(&vmstop_reason, state);
    qemu_notify_event();
}

bool qemu_vmstop_requested(RunState *r)
{
    *r = qatomic_xchg(&vmstop_reason, RUN_STATE__MAX);
    return *r < RUN_STATE__MAX;
}

void qemu_register_powerdown_notifier(Notifier *notifier)
{
    notifier_list_add(&powerdown_notifiers, notifier);
}

void qemu_register_shutdown_notifier(Notifier *notifier)
{
    notifier_list_add(&shutdown_notifiers, notifier);
}

void qemu_register_suspend_notifier(Notifier *notifier)
{
    notifier_list_add(&suspend_notifiers, notifier);
}

void qemu_register_wakeup_notifier(Notifier *notifier)
{
    notifier_list_add(&wakeup_notifiers, notifier);
}

void qemu_register_wakeup_support(void)
{
    wakeup_suspend_enabled = true;
}

bool qemu_wakeup_suspend_enabled(void)
{
    return wakeup_suspend_enabled;
}

/* ---- signals -------------------------------------------------------------------------- */

static int signal_event_fd = -1;
static int killed_by_signal;            /* atomic; written in signal context */
static pid_t killed_by_pid;

void qemu_system_killed(int signal, pid_t pid)
{
    qatomic_set(&killed_by_pid, pid);
    qatomic_mb_set(&killed_by_signal, signal);
    /* A second signal while this is carried out changes nothing: the way out is the same. */
    shutdown_action = SHUTDOWN_ACTION_POWEROFF;
    qatomic_mb_set(&shutdown_requested, SHUTDOWN_CAUSE_HOST_SIGNAL);
}

static void termination_signal(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uint64_t one = 1;

    qemu_system_killed(signal, info->si_pid);
    if (write(signal_event_fd, &one, sizeof(one)) < 0) {
        /* The counter is full, so the loop is going to wake up anyhow. */
    }
    qemu_last_resort_notify();
    errno = saved_errno;
}

static void signal_event(void *opaque)
{
    uint64_t count;

    if (read(signal_event_fd, &count, sizeof(count)) < 0) {
        /* Nothing to do: being here at all was the purpose. */
    }
}

void os_setup_early_signal_handling(void)
{
    /* A peer that goes away is seen as EPIPE where it is written to. */
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigaction(SIGPIPE, &ignore, NULL);
}

void os_setup_signal_handling(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction act = {
        .sa_sigaction = termination_signal,
        .sa_flags = SA_SIGINFO | SA_RESTART,
    };

    signal_event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_event_fd < 0) {
        error_report("cannot create an eventfd for signals: %s", strerror(errno));
        exit(1);
    }
    qemu_set_fd_handler(signal_event_fd, signal_event, NULL, NULL);
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaction(signals[i], &act, NULL);
    }
}

static void report_kill(void)
{
    int signal = qatomic_read(&killed_by_signal);
    pid_t pid = qatomic_read(&killed_by_pid);
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *cmdline = NULL;

    if (!signal) {
        return;
    }
    if (pid == 0) {
        /* ^C at the terminal: the person there knows. */
        error_report("terminating on signal %d", signal);
    } else {
        g_file_get_contents(path, &cmdline, NULL, NULL);
        error_report("terminating on signal %d from pid %d (%s)", signal, (int)pid,
                     cmdline ?: "<unknown process>");
    }
    qatomic_set(&killed_by_signal, 0);
}

bool qemu_system_claim_kill(void)
{
    if (qatomic_cmpxchg(&shutdown_requested, SHUTDOWN_CAUSE_HOST_SIGNAL, SHUTDOWN_CAUSE_NONE) !=
        SHUTDOWN_CAUSE_HOST_SIGNAL) {
        return false;
    }
    report_kill();
    return true;
}

/* ---- carrying out --------------------------------------------------------------------- */

void qemu_system_reset(ShutdownCause reason)
{
    ResetType type = reason == SHUTDOWN_CAUSE_SNAPSHOT_LOAD ? RESET_TYPE_SNAPSHOT_LOAD
                                                            : RESET_TYPE_COLD;

    cpu_synchronize_all_states();
    if (machine_hooks && machine_hooks->reset) {
        machine_hooks->reset(type);
    } else {
        qemu_devices_reset(type);
    }

    switch (reason) {
    case SHUTDOWN_CAUSE_NONE:
    case SHUTDOWN_CAUSE_SUBSYSTEM_RESET:
    case SHUTDOWN_CAUSE_SNAPSHOT_LOAD:
        break;
    default:
        qapi_event_send_reset(shutdown_caused_by_guest(reason), reason);
    }

    cpu_synchronize_all_post_reset();
    vm_set_suspended(false);
}

/* Whoever stopped the machine first has settled this already. */
static void carry_out_suspend(void)
{
    pause_all_vcpus();
    notifier_list_notify(&suspend_notifiers, NULL);
    if (runstate_is_running()) {
        runstate_set(RUN_STATE_SUSPENDED);
    } else {
        vm_set_suspended(true);
    }
    qapi_event_send_suspend();
}

static void carry_out_wakeup(WakeupReason reason)
{
    pause_all_vcpus();
    if (machine_hooks && machine_hooks->wakeup) {
        machine_hooks->wakeup();
    }
    notifier_list_notify(&wakeup_notifiers, &reason);
    resume_all_vcpus();
    qapi_event_send_wakeup();
}

void qemu_system_settle_sleep(void)
{
    WakeupReason reason = qatomic_xchg(&wakeup_reason, QEMU_WAKEUP_REASON_NONE);

    if (reason) {
        carry_out_wakeup(reason);
    }
    if (qatomic_xchg(&suspend_requested, 0)) {
        carry_out_suspend();
    }
}

static void carry_out_reset(ShutdownCause reason)
{
    pause_all_vcpus();
    qemu_system_reset(reason);
    resume_all_vcpus();
    /* A stopped machine is as good as new; one that is moving keeps the state it moves in. */
    if (!runstate_check(RUN_STATE_RUNNING) && !runstate_check(RUN_STATE_INMIGRATE) &&
        !runstate_check(RUN_STATE_FINISH_MIGRATE)) {
        runstate_set(RUN_STATE_PRELAUNCH);
    }
}

/* True when the program is to end. */
static bool carry_out_shutdown(ShutdownCause cause, int *status)
{
    report_kill();
    qapi_event_send_shutdown(shutdown_caused_by_guest(cause), cause);
    notifier_list_notify(&shutdown_notifiers, &cause);

    if (shutdown_action == SHUTDOWN_ACTION_PAUSE && cause != SHUTDOWN_CAUSE_HOST_SIGNAL) {
        vm_stop(RUN_STATE_SHUTDOWN);
        return false;
    }
    if (cause == SHUTDOWN_CAUSE_GUEST_PANIC && panic_action == PANIC_ACTION_EXIT_FAILURE) {
        *status = EXIT_FAILURE;
    } else {
        *status = qatomic_read(&shutdown_exit_code);
    }
    return true;
}

bool main_loop_should_exit(int *status)
{
    RunState stop_state;
    ShutdownCause cause;
    WakeupReason reason;

    if (qatomic_xchg(&debug_requested, 0)) {
        vm_stop(RUN_STATE_DEBUG);
    }
    if (qatomic_xchg(&suspend_requested, 0)) {
        carry_out_suspend();
    }
    cause = qatomic_xchg(&shutdown_requested, SHUTDOWN_CAUSE_NONE);
    if (cause && carry_out_shutdown(cause, status)) {
        return true;
    }
    cause = reset_held ? SHUTDOWN_CAUSE_NONE
                       : qatomic_xchg(&reset_requested, SHUTDOWN_CAUSE_NONE);
    if (cause) {
        carry_out_reset(cause);
    }
    reason = qatomic_xchg(&wakeup_reason, QEMU_WAKEUP_REASON_NONE);
    if (reason) {
        carry_out_wakeup(reason);
    }
    if (qatomic_xchg(&powerdown_requested, 0)) {
        qapi_event_send_powerdown();
        notifier_list_notify(&powerdown_notifiers, NULL);
    }
    if (qemu_vmstop_requested(&stop_state)) {
        vm_stop(stop_state);
    }
    return false;
}

int qemu_main_loop(void)
{
    int status = EXIT_SUCCESS;

    while (!main_loop_should_exit(&status)) {
        main_loop_wait(false);
    }
    return status;
}

void qemu_system_guest_panicked(void)
{
    GuestPanicAction action = GUEST_PANIC_ACTION_RUN;

    if (panic_action == PANIC_ACTION_PAUSE ||
        (panic_action == PANIC_ACTION_SHUTDOWN && shutdown_action == SHUTDOWN_ACTION_PAUSE)) {
        action = GUEST_PANIC_ACTION_PAUSE;
    } else if (panic_action != PANIC_ACTION_NONE) {
        action = GUEST_PANIC_ACTION_POWEROFF;
    }

    if (current_cpu) {
        current_cpu->crash_occurred = true;
    }
    qapi_event_send_guest_panicked(action);
    if (action != GUEST_PANIC_ACTION_RUN) {
        vm_stop(RUN_STATE_GUEST_PANICKED);
    }
    if (action == GUEST_PANIC_ACTION_POWEROFF) {
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_PANIC);
    }
}
