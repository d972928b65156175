/*
 * Clocks and timers: see qemu/timer.h.  Each clock has a sorted list of pending timers under one
 * lock; a GSource on the main context sleeps until the first of them is due.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"

TimersState timers_state;

/* Guards timers_state against readers on other threads, and the lists. */
static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t timer_lock = PTHREAD_MUTEX_INITIALIZER;
static QEMUTimer *pending[QEMU_CLOCK_MAX];
static GSource *timer_source;
static bool qtest_clock;
static int64_t qtest_now; /* atomic */

static int64_t host_clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * NANOSECONDS_PER_SECOND + ts.tv_nsec;
}

static int64_t host_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return host_clock_ns(CLOCK_MONOTONIC);
#endif
}

void cpu_enable_ticks(void)
{
    pthread_mutex_lock(&clock_lock);
    if (!timers_state.cpu_ticks_enabled) {
        timers_state.cpu_ticks_offset -= host_ticks();
        timers_state.cpu_clock_offset -= host_clock_ns(CLOCK_MONOTONIC);
        timers_state.cpu_ticks_enabled = true;
    }
    pthread_mutex_unlock(&clock_lock);
    qemu_notify_event(); /* deadlines of the virtual clock start to count */
}

void cpu_disable_ticks(void)
{
    pthread_mutex_lock(&clock_lock);
    if (timers_state.cpu_ticks_enabled) {
        timers_state.cpu_ticks_offset += host_ticks();
        timers_state.cpu_clock_offset += host_clock_ns(CLOCK_MONOTONIC);
        timers_state.cpu_ticks_enabled = false;
    }
    pthread_mutex_unlock(&clock_lock);
}

int64_t cpu_get_ticks(void)
{
    int64_t v;

    pthread_mutex_lock(&clock_lock);
    v = timers_state.cpu_ticks_offset + (timers_state.cpu_ticks_enabled ? host_ticks() : 0);
    pthread_mutex_unlock(&clock_lock);
    return v;
}

int64_t cpu_get_clock(void)
{
    int64_t v;

    pthread_mutex_lock(&clock_lock);
    v = timers_state.cpu_clock_offset +
        (timers_state.cpu_ticks_enabled ? host_clock_ns(CLOCK_MONOTONIC) : 0);
    pthread_mutex_unlock(&clock_lock);
    return v;
}

int64_t qemu_clock_get_ns(QEMUClockType type)
{
    switch (type) {
    case QEMU_CLOCK_VIRTUAL:
        return qatomic_read(&qtest_clock) ? qatomic_read(&qtest_now) : cpu_get_clock();
    case QEMU_CLOCK_HOST:
        return host_clock_ns(CLOCK_REALTIME);
    default:
        return host_clock_ns(CLOCK_MONOTONIC);
    }
}

/* A clock that stands still has no deadline that time would bring. */
static bool clock_runs(QEMUClockType type)
{
    return type != QEMU_CLOCK_VIRTUAL ||
           (!qatomic_read(&qtest_clock) && qatomic_read(&timers_state.cpu_ticks_enabled));
}

int64_t qemu_clock_deadline_ns(QEMUClockType type)
{
    int64_t delta = -1;

    pthread_mutex_lock(&timer_lock);
    if (pending[type]) {
        delta = MAX(pending[type]->expire_time - qemu_clock_get_ns(type), 0);
    }
    pthread_mutex_unlock(&timer_lock);
    return delta;
}

void timer_init_full(QEMUTimer *ts, QEMUClockType type, int scale, QEMUTimerCB *cb, void *opaque)
{
    *ts = (QEMUTimer){
        .expire_time = -1, .type = type, .scale = scale, .cb = cb, .opaque = opaque,
    };
}

QEMUTimer *timer_new_full(QEMUClockType type, int scale, QEMUTimerCB *cb, void *opaque)
{
    QEMUTimer *ts = g_new(QEMUTimer, 1);

    timer_init_full(ts, type, scale, cb, opaque);
    return ts;
}

void timer_free(QEMUTimer *ts)
{
    if (ts) {
        timer_del(ts);
        g_free(ts);
    }
}

static void timer_unlink(QEMUTimer *ts)
{
    QEMUTimer **p;

    if (ts->expire_time == -1) {
        return;
    }
    ts->expire_time = -1;
    for (p = &pending[ts->type]; *p; p = &(*p)->next) {
        if (*p == ts) {
            *p = ts->next;
            break;
        }
    }
}

void timer_del(QEMUTimer *ts)
{
    pthread_mutex_lock(&timer_lock);
    timer_unlink(ts);
    pthread_mutex_unlock(&timer_lock);
}

static void timer_insert(QEMUTimer *ts, int64_t expire_time, bool only_earlier)
{
    QEMUTimer **p;
    bool first = false;

    expire_time = MAX(expire_time, 0);
    pthread_mutex_lock(&timer_lock);
    if (!only_earlier || ts->expire_time == -1 || expire_time < ts->expire_time) {
        timer_unlink(ts);
        for (p = &pending[ts->type]; *p && (*p)->expire_time <= expire_time; p = &(*p)->next) {
            /* equal times fire in the order in which they were armed */
        }
        ts->expire_time = expire_time;
        ts->next = *p;
        *p = ts;
        first = p == &pending[ts->type];
    }
    pthread_mutex_unlock(&timer_lock);
    if (first && clock_runs(ts->type)) {
        qemu_notify_event();
    }
}

void timer_mod_ns(QEMUTimer *ts, int64_t expire_time)
{
    timer_insert(ts, expire_time, false);
}

void timer_mod_anticipate_ns(QEMUTimer *ts, int64_t expire_time)
{
    timer_insert(ts, expire_time, true);
}

void timer_mod(QEMUTimer *ts, int64_t expire_time)
{
    int64_t ns;

    if (__builtin_mul_overflow(expire_time, (int64_t)ts->scale, &ns)) {
        ns = INT64_MAX;
    }
    timer_mod_ns(ts, ns);
}

bool timer_pending(QEMUTimer *ts)
{
    return qatomic_read(&ts->expire_time) != -1;
}

uint64_t timer_expire_time_ns(QEMUTimer *ts)
{
    return qatomic_read(&ts->expire_time);
}

bool timer_expired(QEMUTimer *ts, int64_t current_ns)
{
    int64_t t = qatomic_read(&ts->expire_time);

    return t != -1 && t <= current_ns;
}

bool qemu_clock_run_timers(QEMUClockType type)
{
    int64_t now = qemu_clock_get_ns(type);
    bool ran = false;

    for (;;) {
        QEMUTimer *ts;
        QEMUTimerCB *cb;
        void *opaque;

        pthread_mutex_lock(&timer_lock);
        ts = pending[type];
        if (!ts || ts->expire_time > now) {
            pthread_mutex_unlock(&timer_lock);
            return ran;
        }
        timer_unlink(ts);
        cb = ts->cb;
        opaque = ts->opaque;
        pthread_mutex_unlock(&timer_lock);
        cb(opaque); /* may free ts */
        ran = true;
    }
}

bool qemu_clock_run_all_timers(void)
{
    bool ran = false;

    for (QEMUClockType type = 0; type < QEMU_CLOCK_MAX; type++) {
        if (clock_runs(type)) {
            ran |= qemu_clock_run_timers(type);
        }
    }
    return ran;
}

void qemu_clock_set_qtest(bool on)
{
    qatomic_set(&qtest_clock, on);
}

bool qemu_clock_is_qtest(void)
{
    return qatomic_read(&qtest_clock);
}

int64_t qtest_get_virtual_clock(void)
{
    return qatomic_read(&qtest_now);
}

void qtest_clock_warp(int64_t dest)
{
    for (;;) {
        int64_t now = qtest_get_virtual_clock();
        int64_t deadline = qemu_clock_deadline_ns(QEMU_CLOCK_VIRTUAL);

        if (now >= dest) {
            break;
        }
        if (deadline < 0 || deadline > dest - now) {
            deadline = dest - now;
        }
        qatomic_set(&qtest_now, now + deadline);
        qemu_clock_run_timers(QEMU_CLOCK_VIRTUAL);
    }
    qemu_clock_run_timers(QEMU_CLOCK_VIRTUAL);
}

/* The GSource: ready when the first timer of a running clock is due. */

static int64_t next_deadline_ns(void)
{
    int64_t best = -1;

    for (QEMUClockType type = 0; type < QEMU_CLOCK_MAX; type++) {
        int64_t d = clock_runs(type) ? qemu_clock_deadline_ns(type) : -1;

        if (d >= 0 && (best < 0 || d < best)) {
            best = d;
        }
    }
    return best;
}

static gboolean timer_source_prepare(GSource *source, int *timeout)
{
    int64_t d = next_deadline_ns();

    *timeout = -1;
    /* ready_time has microseconds, poll's timeout only milliseconds: GLib rounds it up for us. */
    g_source_set_ready_time(source, d < 0 ? -1 : g_get_monotonic_time() + DIV_ROUND_UP(d, 1000));
    return d == 0;
}

static gboolean timer_source_check(GSource *source)
{
    return next_deadline_ns() == 0;
}

static gboolean timer_source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    qemu_clock_run_all_timers();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_source_funcs = {
    .prepare = timer_source_prepare,
    .check = timer_source_check,
    .dispatch = timer_source_dispatch,
};

void timer_init_main_loop(void)
{
    timer_source = g_source_new(&timer_source_funcs, sizeof(GSource));
    g_source_set_name(timer_source, "timers");
    g_source_attach(timer_source, NULL);
}
