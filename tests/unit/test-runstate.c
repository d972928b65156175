/*
 * Run states: the whole table of transitions, who is told of changes, requests and what the main
 * loop makes of them, reset handlers. No CPUs take part.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-commands-run-state.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/cpus.h"
#include "system/last-resort.h"
#include "system/runstate.h"

/* ---- the table -------------------------------------------------------------------------- */

/* Said here a second time, in words, so that a slip in the table shows. */
static const struct {
    const char *from, *to;
} allowed[] = {
    { "prelaunch", "inmigrate running suspended finish-migrate" },
    { "inmigrate", "internal-error io-error paused running shutdown suspended watchdog "
                   "guest-panicked finish-migrate prelaunch postmigrate colo" },
    { "running", "debug internal-error io-error paused finish-migrate restore-vm save-vm "
                 "shutdown watchdog guest-panicked colo suspended" },
    { "paused", "running finish-migrate postmigrate prelaunch colo suspended" },
    { "suspended", "running finish-migrate prelaunch colo paused save-vm restore-vm shutdown" },
    { "finish-migrate", "running paused postmigrate prelaunch colo debug internal-error io-error "
                        "shutdown suspended watchdog guest-panicked" },
    { "postmigrate", "running finish-migrate prelaunch suspended" },
    { "save-vm", "running suspended" },
    { "restore-vm", "running prelaunch suspended" },
    { "shutdown", "paused finish-migrate prelaunch colo" },
    { "debug", "running finish-migrate prelaunch suspended" },
    { "internal-error", "paused finish-migrate prelaunch" },
    { "io-error", "running finish-migrate prelaunch" },
    { "watchdog", "running finish-migrate prelaunch colo" },
    { "guest-panicked", "running finish-migrate prelaunch" },
    { "colo", "running prelaunch shutdown" },
};

static bool expected(RunState from, RunState to)
{
    if (from == to) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        if (g_str_equal(allowed[i].from, RunState_str(from))) {
            g_auto(GStrv) names = g_strsplit(allowed[i].to, " ", 0);

            return g_strv_contains((const char *const *)names, RunState_str(to));
        }
    }
    g_assert_not_reached();
}

static void test_table(void)
{
    for (int from = 0; from < RUN_STATE__MAX; from++) {
        for (int to = 0; to < RUN_STATE__MAX; to++) {
            if (runstate_transition_allowed(from, to) != expected(from, to)) {
                g_test_message("%s -> %s", RunState_str(from), RunState_str(to));
                g_test_fail();
            }
        }
    }
    g_assert_false(runstate_transition_allowed(RUN_STATE__MAX, RUN_STATE_RUNNING));
    g_assert_false(runstate_transition_allowed(RUN_STATE_RUNNING, RUN_STATE__MAX));
}

static void test_illegal_aborts(void)
{
    if (g_test_subprocess()) {
        runstate_set(RUN_STATE_POSTMIGRATE);    /* from prelaunch */
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*invalid runstate transition: 'prelaunch' -> 'postmigrate'*");
}

static void test_queries(void)
{
    char text[12];

    g_assert_true(runstate_check(RUN_STATE_PRELAUNCH));
    g_assert_false(runstate_is_running());
    g_assert_true(runstate_store(text, sizeof(text)));
    g_assert_cmpstr(text, ==, "prelaunch");
    g_assert_false(runstate_store(text, 9));
    for (int s = 0; s < RUN_STATE__MAX; s++) {
        g_assert_true(runstate_is_live(s) ==
                      (s == RUN_STATE_RUNNING || s == RUN_STATE_SUSPENDED));
    }
}

/* ---- change handlers --------------------------------------------------------------------- */

static GString *calls;
static VMChangeStateEntry *self_removing;

static void note(void *opaque, bool running, RunState state)
{
    g_string_append_printf(calls, "%s%c ", (const char *)opaque, running ? '+' : '-');
}

static void note_and_go(void *opaque, bool running, RunState state)
{
    note(opaque, running, state);
    qemu_del_vm_change_state_handler(self_removing);
}

static void test_handlers(void)
{
    VMChangeStateEntry *e[4];

    calls = g_string_new(NULL);
    e[0] = qemu_add_vm_change_state_handler_prio(note, (void *)"c", 10);
    e[1] = qemu_add_vm_change_state_handler(note, (void *)"a");
    e[2] = qemu_add_vm_change_state_handler(note, (void *)"b");
    e[3] = qemu_add_vm_change_state_handler_prio_full(note, note, (void *)"p", -5);
    self_removing = qemu_add_vm_change_state_handler(note_and_go, (void *)"x");

    vm_state_notify(true, RUN_STATE_RUNNING);
    g_assert_cmpstr(calls->str, ==, "p+ p+ a+ b+ x+ c+ ");
    g_string_truncate(calls, 0);
    vm_state_notify(false, RUN_STATE_PAUSED);
    g_assert_cmpstr(calls->str, ==, "p- c- b- a- p- ");
    for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
        qemu_del_vm_change_state_handler(e[i]);
    }
    g_string_truncate(calls, 0);
    vm_state_notify(true, RUN_STATE_RUNNING);
    g_assert_cmpstr(calls->str, ==, "");
}

/* ---- reset handlers ---------------------------------------------------------------------- */

static void reset_note(void *opaque)
{
    g_string_append(calls, opaque);
}

static void reset_type_note(void *opaque, ResetType type)
{
    g_string_append_printf(calls, "%s%d", (const char *)opaque, type);
}

static void reset_swap(void *opaque)
{
    g_string_append(calls, "s");
    qemu_unregister_reset(reset_swap, opaque);
    qemu_register_reset(reset_note, (void *)"n");
}

static void test_reset_handlers(void)
{
    g_string_truncate(calls, 0);
    qemu_register_reset(reset_note, (void *)"a");
    qemu_register_reset(reset_swap, NULL);
    qemu_register_reset_nosnapshotload(reset_note, (void *)"b");
    qemu_register_reset_type(reset_type_note, (void *)"t");
    qemu_devices_reset(RESET_TYPE_COLD);
    g_assert_cmpstr(calls->str, ==, "asbt0n");
    g_string_truncate(calls, 0);
    qemu_devices_reset(RESET_TYPE_SNAPSHOT_LOAD);
    g_assert_cmpstr(calls->str, ==, "at1n");
    qemu_unregister_reset(reset_note, (void *)"a");
    qemu_unregister_reset(reset_note, (void *)"a");
    qemu_unregister_reset(reset_note, (void *)"b");
    qemu_unregister_reset(reset_note, (void *)"n");
    qemu_unregister_reset_type(reset_type_note, (void *)"t");
    g_string_truncate(calls, 0);
    qemu_devices_reset(RESET_TYPE_COLD);
    g_assert_cmpstr(calls->str, ==, "");
}

/* ---- commands and the loop ---------------------------------------------------------------- */

static void loop_once(void)
{
    int status = 77;

    g_assert_false(main_loop_should_exit(&status));
    g_assert_cmpint(status, ==, 77);
}

static void expect_status(RunState state, bool running)
{
    StatusInfo *info = qmp_query_status(&error_abort);

    g_assert_cmpstr(RunState_str(info->status), ==, RunState_str(state));
    g_assert_true(info->running == running);
    qapi_free_StatusInfo(info);
}

static void test_stop_cont(void)
{
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_RUNNING, true);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_RUNNING, true);
    qmp_stop(&error_abort);
    expect_status(RUN_STATE_PAUSED, false);
    qmp_stop(&error_abort);
    expect_status(RUN_STATE_PAUSED, false);
    qmp_cont(&error_abort);
}

static void test_cont_refused(void)
{
    Error *err = NULL;

    vm_stop(RUN_STATE_INTERNAL_ERROR);
    qmp_cont(&err);
    g_assert_cmpstr(error_get_pretty(err), ==, "Resetting the Virtual Machine is required");
    g_clear_pointer(&err, error_free);
    qmp_system_reset(&error_abort);
    loop_once();
    expect_status(RUN_STATE_PRELAUNCH, false);
    qmp_cont(&error_abort);

    vm_stop_force_state(RUN_STATE_FINISH_MIGRATE);
    qmp_cont(&err);
    g_assert_cmpstr(error_get_pretty(err), ==, "Migration is not finalized yet");
    g_clear_pointer(&err, error_free);
    /* A reset meanwhile does not end the state that migration put the machine in. */
    qmp_system_reset(&error_abort);
    loop_once();
    expect_status(RUN_STATE_FINISH_MIGRATE, false);
    runstate_set(RUN_STATE_POSTMIGRATE);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_RUNNING, true);

    vm_stop(RUN_STATE_PAUSED);
    runstate_set(RUN_STATE_PRELAUNCH);
    runstate_set(RUN_STATE_INMIGRATE);
    qmp_stop(&error_abort);
    g_assert_cmpint(autostart, ==, 0);
    qmp_cont(&error_abort);
    g_assert_cmpint(autostart, ==, 1);
    expect_status(RUN_STATE_INMIGRATE, false);
    runstate_set(RUN_STATE_RUNNING);
}

static void test_suspend_wakeup(void)
{
    Error *err = NULL;

    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, &err);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Unable to wake up: guest is not in suspended state");
    g_clear_pointer(&err, error_free);

    qemu_system_suspend_request();
    expect_status(RUN_STATE_RUNNING, true);
    loop_once();
    expect_status(RUN_STATE_SUSPENDED, false);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_SUSPENDED, false);

    /* Stopped and continued, it sleeps on. */
    qmp_stop(&error_abort);
    expect_status(RUN_STATE_PAUSED, false);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_SUSPENDED, false);

    qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_RTC, false);
    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_RTC, &error_abort);
    expect_status(RUN_STATE_SUSPENDED, false);
    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, &error_abort);
    expect_status(RUN_STATE_RUNNING, true);
    loop_once();
    expect_status(RUN_STATE_RUNNING, true);
}

/* What was asked for before the machine is stopped belongs to the state that it is stopped in. */
static void test_sleep_settled_by_stop(void)
{
    qemu_system_suspend_request();
    qmp_stop(&error_abort);
    expect_status(RUN_STATE_PAUSED, false);
    g_assert_true(vm_get_suspended());
    loop_once();
    expect_status(RUN_STATE_PAUSED, false);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_SUSPENDED, false);

    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, &error_abort);
    qmp_stop(&error_abort);
    g_assert_false(vm_get_suspended());
    loop_once();
    expect_status(RUN_STATE_PAUSED, false);
    qmp_cont(&error_abort);
    expect_status(RUN_STATE_RUNNING, true);
}

static void test_vmstop_and_reset(void)
{
    RunState state;

    qemu_system_vmstop_request(RUN_STATE_IO_ERROR);
    loop_once();
    expect_status(RUN_STATE_IO_ERROR, false);
    g_assert_false(qemu_vmstop_requested(&state));
    qmp_cont(&error_abort);
    qmp_system_reset(&error_abort);
    g_assert_cmpint(qemu_reset_requested_get(), ==, SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET);
    loop_once();
    expect_status(RUN_STATE_RUNNING, true);
    g_assert_cmpint(qemu_reset_requested_get(), ==, SHUTDOWN_CAUSE_NONE);
}

static void test_shutdown(void)
{
    int status = 77;

    shutdown_action = SHUTDOWN_ACTION_PAUSE;
    qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
    loop_once();
    expect_status(RUN_STATE_SHUTDOWN, false);
    qmp_system_reset(&error_abort);
    loop_once();
    expect_status(RUN_STATE_PRELAUNCH, false);
    qmp_cont(&error_abort);

    qmp_quit(&error_abort);
    g_assert_true(main_loop_should_exit(&status));
    g_assert_cmpint(status, ==, 0);

    qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_GUEST_SHUTDOWN, 3);
    g_assert_true(main_loop_should_exit(&status));
    g_assert_cmpint(status, ==, 3);
    qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_NONE, 0);

    qmp_set_action(true, REBOOT_ACTION_SHUTDOWN, false, 0, true, PANIC_ACTION_EXIT_FAILURE,
                   false, 0, &error_abort);
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    g_assert_true(main_loop_should_exit(&status));
    g_assert_cmpint(status, ==, 0);
    qemu_system_guest_panicked();
    expect_status(RUN_STATE_GUEST_PANICKED, false);
    g_assert_true(main_loop_should_exit(&status));
    g_assert_cmpint(status, ==, EXIT_FAILURE);
}

/* A signal ends the loop with status 0, also where shutting down would only pause. */
static void test_signals(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

    shutdown_action = SHUTDOWN_ACTION_PAUSE;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        kill(getpid(), signals[i]);
        g_assert_cmpint(qemu_main_loop(), ==, 0);
    }
}

/* --- a main thread that does not come round --- */

static int looks; /* atomic */

static char *nothing_at_first(void)
{
    return qatomic_fetch_inc(&looks) ? g_strdup("of a test") : NULL;
}

static char *nothing(void)
{
    return NULL;
}

/* Signals may be held back from this thread, as where it waits within the kernel. */
static void stay_away(bool blocked)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    qemu_last_resort_start(nothing_at_first, &error_abort);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGHUP);
    for (;;) {
        pause();
    }
}

static void test_last_resort_process(void)
{
    stay_away(false);
}

static void test_last_resort_blocked_process(void)
{
    stay_away(true);
}

static void check_ends(const char *path)
{
    g_test_trap_subprocess(path, 30 * G_USEC_PER_SEC, 0);
    g_assert_false(g_test_trap_has_passed());
    g_assert_false(g_test_trap_reached_timeout());
    g_test_trap_assert_stderr("*terminating on signal *main thread does not answer: of a test*");
}

static void test_last_resort(void)
{
    check_ends("/runstate/last-resort/subprocess/plain");
    check_ends("/runstate/last-resort/subprocess/blocked");
}

/* A main thread that comes round ends the program as ever, whoever has taken the signal. */
static void test_last_resort_not_needed(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    for (int i = 0; i < 100; i++) {
        pthread_sigmask(i % 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
        qemu_last_resort_start(nothing, &error_abort);
        kill(getpid(), SIGTERM);
        g_assert_cmpint(qemu_main_loop(), ==, 0);
        qemu_last_resort_stop();
    }
    qemu_last_resort_stop();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    os_setup_early_signal_handling();
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    os_setup_signal_handling();

    g_test_add_func("/runstate/table", test_table);
    g_test_add_func("/runstate/illegal-aborts", test_illegal_aborts);
    g_test_add_func("/runstate/queries", test_queries);
    g_test_add_func("/runstate/handlers", test_handlers);
    g_test_add_func("/runstate/reset-handlers", test_reset_handlers);
    g_test_add_func("/runstate/stop-cont", test_stop_cont);
    g_test_add_func("/runstate/cont-refused", test_cont_refused);
    g_test_add_func("/runstate/suspend-wakeup", test_suspend_wakeup);
    g_test_add_func("/runstate/sleep-settled-by-stop", test_sleep_settled_by_stop);
    g_test_add_func("/runstate/vmstop-and-reset", test_vmstop_and_reset);
    g_test_add_func("/runstate/shutdown", test_shutdown);
    g_test_add_func("/runstate/signals", test_signals);
    g_test_add_func("/runstate/last-resort", test_last_resort);
    g_test_add_func("/runstate/last-resort/subprocess/plain", test_last_resort_process);
    g_test_add_func("/runstate/last-resort/subprocess/blocked", test_last_resort_blocked_process);
    g_test_add_func("/runstate/last-resort-not-needed", test_last_resort_not_needed);
    return g_test_run();
}
