/*
 * Ending a program whose main thread may never come round again.
 *
 * A signal is a request like others: the main loop carries it out. While that may be waiting for
 * what never comes (memory of a guest whose source is gone), a thread that takes no lock of anybody's
 * watches whether it does. Signals find their way to this thread even where the main thread, which
 * takes them otherwise, waits within a system call and cannot be interrupted: a signalfd is told of
 * each, and who is first takes it.
 *
 * What it does in the end is little: what the program would leave behind in the terminal or the file
 * system is put right (at_quick_exit()), nothing else of it is touched. All other threads stay
 * where they are until there is no process any more, so that none goes on with memory that is not
 * there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "system/last-resort.h"
#include "system/runstate.h"

/* How often it is looked again when the time is over, and nothing was waited for just then. */
#define LOOK_AGAIN_MS 100

/* Of who starts and stops it. */
static QemuThread thread;
static bool on;
static char *(*why_stuck)(void);
static int stop_fd = -1, signal_fd = -1;

/* Atomic; those that signal handlers use. */
static int notify_fd = -1;
static int signals_seen; /* since it was started */

void qemu_last_resort_notify(void)
{
    int fd = qatomic_read(&notify_fd);
    uint64_t one = 1;

    qatomic_inc(&signals_seen);
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0) {
        /* The counter is full: it has been woken. */
    }
}

/* Signals that the main thread has not taken are dealt with as it would have. */
static void take_signals(void)
{
    struct signalfd_siginfo info;

    while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
        qemu_system_killed(info.ssi_signo, info.ssi_pid);
        qemu_last_resort_notify();
        qemu_notify_event();
    }
}

/* The main thread has not come to the request. */
static bool is_pending(void)
{
    return qemu_shutdown_requested_get() == SHUTDOWN_CAUSE_HOST_SIGNAL;
}

/* Nobody comes round. Returns if somebody does after all. */
static void end_if_stuck(void)
{
    g_autofree char *why = why_stuck();

    if (!why || !qemu_system_claim_kill()) {
        return;
    }
    error_report("the main thread does not answer: %s; the program ends without it, and the guest "
                 "with it", why);
    quick_exit(EXIT_FAILURE);
}

static int ms_until(int64_t end)
{
    return MAX((end - g_get_monotonic_time() + 999) / 1000, 0);
}

static void *watch_thread(void *opaque)
{
    struct pollfd fds[] = {
        {.fd = stop_fd, .events = POLLIN},
        {.fd = notify_fd, .events = POLLIN},
        {.fd = signal_fd, .events = POLLIN},
    };
    int64_t end = 0; /* us; 0: nothing was asked for */
    bool hurried = false;

    for (;;) {
        uint64_t count;

        RETRY_ON_EINTR(poll(fds, ARRAY_SIZE(fds), end ? ms_until(end) : -1));
        if (fds[0].revents) {
            return NULL;
        }
        take_signals();
        if (read(notify_fd, &count, sizeof(count)) < 0) {
            /* It was the time, or a signal that another thread took between. */
        }
        if (!is_pending()) {
            end = 0; /* it has come round, and ends the program */
            continue;
        }
        if (!end) {
            end = g_get_monotonic_time() + LAST_RESORT_MS * 1000;
        }
        if (qatomic_read(&signals_seen) > 1 && !hurried) {
            hurried = true;
            end = MIN(end, g_get_monotonic_time() + LAST_RESORT_AGAIN_MS * 1000);
        }
        if (!ms_until(end)) {
            end_if_stuck();
            end = g_get_monotonic_time() + LOOK_AGAIN_MS * 1000;
        }
    }
}

static void close_fds(void)
{
    int fds[] = {stop_fd, signal_fd, qatomic_xchg(&notify_fd, -1)};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    stop_fd = signal_fd = -1;
}

bool qemu_last_resort_start(char *(*why)(void), Error **errp)
{
    sigset_t signals;

    assert(!on);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    qatomic_set(&notify_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (stop_fd < 0 || signal_fd < 0 || notify_fd < 0) {
        error_setg_errno(errp, errno, "cannot watch for signals");
        close_fds();
        return false;
    }
    why_stuck = why;
    qatomic_set(&signals_seen, 0);
    on = true;
    qemu_thread_create(&thread, "signals", watch_thread, NULL, QEMU_THREAD_JOINABLE);
    return true;
}

void qemu_last_resort_stop(void)
{
    uint64_t one = 1;

    if (!on) {
        return;
    }
    if (write(stop_fd, &one, sizeof(one)) < 0) {
        abort(); /* an empty counter takes it */
    }
    qemu_thread_join(&thread);
    on = false;
    close_fds();
}
