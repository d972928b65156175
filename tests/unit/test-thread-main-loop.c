/*
 * Threads, the main loop and the big lock: bottom halves from everywhere, descriptor handlers,
 * timers on every clock, and that the lock is let go of while the loop waits and only then.
 *
 * Every wait has an end: a watchdog stops a test that hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sched.h>
#include <sys/resource.h>
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"

static int calls; /* under the BQL */

static void count_call(void *opaque)
{
    g_assert_true(bql_locked());
    g_assert_true(qemu_in_main_thread());
    calls++;
}

/* All that is ready now, and nothing that would have to be waited for. */
static void run_ready(void)
{
    for (int i = 0; i < 10; i++) {
        main_loop_wait(true);
    }
}

/* Bottom halves. */

static void test_bh_basic(void)
{
    QEMUBH *bh = qemu_bh_new(count_call, NULL);

    calls = 0;
    run_ready();
    g_assert_cmpint(calls, ==, 0);
    qemu_bh_schedule(bh);
    qemu_bh_schedule(bh); /* once is enough */
    g_assert_cmpint(calls, ==, 0);
    run_ready();
    g_assert_cmpint(calls, ==, 1);
    qemu_bh_schedule(bh);
    qemu_bh_cancel(bh);
    run_ready();
    g_assert_cmpint(calls, ==, 1);
    qemu_bh_cancel(bh);
    qemu_bh_schedule(bh);
    qemu_bh_cancel(bh);
    qemu_bh_schedule(bh); /* wanted again while still queued */
    run_ready();
    g_assert_cmpint(calls, ==, 2);
    qemu_bh_schedule(bh);
    qemu_bh_delete(bh); /* deleted means cancelled */
    run_ready();
    g_assert_cmpint(calls, ==, 2);
    qemu_bh_delete(qemu_bh_new(count_call, NULL));
    qemu_bh_schedule_oneshot(count_call, NULL);
    run_ready();
    g_assert_cmpint(calls, ==, 3);
}

static QEMUBH *self, *other;

static void bh_delete_self(void *opaque)
{
    calls++;
    qemu_bh_delete(self);
}

static void bh_cancel_other(void *opaque)
{
    calls++;
    qemu_bh_cancel(other);
}

static void bh_delete_other(void *opaque)
{
    calls++;
    qemu_bh_delete(other);
}

static void bh_again(void *opaque)
{
    if (++calls < 5) {
        qemu_bh_schedule(self);
    }
}

static void bh_again_then_delete(void *opaque)
{
    calls++;
    qemu_bh_schedule(self);
    qemu_bh_delete(self);
}

static void test_bh_within(void)
{
    calls = 0;
    self = qemu_bh_new(bh_delete_self, NULL);
    qemu_bh_schedule(self);
    run_ready();
    g_assert_cmpint(calls, ==, 1);

    self = qemu_bh_new(bh_again_then_delete, NULL);
    qemu_bh_schedule(self);
    run_ready();
    g_assert_cmpint(calls, ==, 2);

    calls = 0;
    self = qemu_bh_new(bh_cancel_other, NULL);
    other = qemu_bh_new(count_call, NULL);
    qemu_bh_schedule(self);
    qemu_bh_schedule(other);
    run_ready();
    g_assert_cmpint(calls, ==, 1);
    qemu_bh_schedule(other); /* cancelled, not dead */
    run_ready();
    g_assert_cmpint(calls, ==, 2);
    qemu_bh_delete(self);

    calls = 0;
    self = qemu_bh_new(bh_delete_other, NULL);
    qemu_bh_schedule(self);
    qemu_bh_schedule(other);
    run_ready();
    g_assert_cmpint(calls, ==, 1);
    qemu_bh_delete(self);

    /* One that asks for itself again runs once an iteration: others get their turn. */
    calls = 0;
    self = qemu_bh_new(bh_again, NULL);
    qemu_bh_schedule(self);
    for (int i = 1; i <= 5; i++) {
        while (calls < i) {
            main_loop_wait(true);
        }
        g_assert_cmpint(calls, ==, i);
    }
    run_ready();
    g_assert_cmpint(calls, ==, 5);
    qemu_bh_delete(self);
}

#define BH_THREADS 4
#define BH_ROUNDS 500

static void *bh_thread(void *opaque)
{
    QEMUBH *bh = opaque;

    g_assert_false(bql_locked());
    g_assert_false(qemu_in_main_thread());
    for (int i = 0; i < BH_ROUNDS; i++) {
        qemu_bh_schedule_oneshot(count_call, NULL);
        qemu_bh_schedule(bh);
    }
    return NULL;
}

static int shared_calls;

static void count_shared(void *opaque)
{
    g_assert_true(bql_locked());
    shared_calls++;
}

static void test_bh_threads(void)
{
    QEMUBH *bh = qemu_bh_new(count_shared, NULL);
    QemuThread threads[BH_THREADS];

    calls = shared_calls = 0;
    for (int i = 0; i < BH_THREADS; i++) {
        qemu_thread_create(&threads[i], "bh", bh_thread, bh, QEMU_THREAD_JOINABLE);
    }
    while (calls < BH_THREADS * BH_ROUNDS) {
        main_loop_wait(false); /* each schedule wakes it */
    }
    for (int i = 0; i < BH_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    run_ready();
    g_assert_cmpint(calls, ==, BH_THREADS * BH_ROUNDS);
    g_assert_cmpint(shared_calls, >=, 1);
    g_assert_cmpint(shared_calls, <=, BH_THREADS * BH_ROUNDS);
    qemu_bh_delete(bh);
}

/* A bottom half wakes a loop that sleeps without a timeout. */
static void *wake_later(void *opaque)
{
    g_usleep(20000);
    qemu_bh_schedule_oneshot(count_call, NULL);
    return NULL;
}

static void test_bh_wakes(void)
{
    QemuThread thread;

    calls = 0;
    qemu_thread_create(&thread, "wake", wake_later, NULL, QEMU_THREAD_JOINABLE);
    while (!calls) {
        main_loop_wait(false);
    }
    qemu_thread_join(&thread);
}

static void *notify_later(void *opaque)
{
    g_usleep(20000);
    qatomic_set((bool *)opaque, true);
    qemu_notify_event();
    return NULL;
}

static void test_notify_event(void)
{
    bool done = false;
    QemuThread thread;

    qemu_thread_create(&thread, "notify", notify_later, &done, QEMU_THREAD_JOINABLE);
    while (!qatomic_read(&done)) {
        main_loop_wait(false);
    }
    qemu_thread_join(&thread);
}

/* The big lock. */

static int shared_value; /* under the BQL */

static void *bql_user(void *opaque)
{
    g_assert_false(bql_locked());
    for (int i = 0; i < 200; i++) {
        BQL_LOCK_GUARD();
        int v = shared_value;

        g_assert_true(bql_locked());
        {
            BQL_LOCK_GUARD(); /* held already: nothing happens */
            g_assert_true(bql_locked());
        }
        g_assert_true(bql_locked());
        g_thread_yield();
        shared_value = v + 1; /* lost where two are in here */
    }
    WITH_BQL() {
        shared_value += 1000;
    }
    g_assert_false(bql_locked());
    qemu_bh_schedule_oneshot(count_call, NULL);
    return NULL;
}

/* Other threads get the lock only because waiting lets go of it; and when it returns it is held. */
static void test_bql_poll(void)
{
    QemuThread threads[2];

    calls = shared_value = 0;
    for (int i = 0; i < 2; i++) {
        qemu_thread_create(&threads[i], "bql", bql_user, NULL, QEMU_THREAD_JOINABLE);
    }
    g_usleep(10000);
    g_assert_cmpint(shared_value, ==, 0); /* we hold it */
    while (calls < 2) {
        main_loop_wait(false);
        g_assert_true(bql_locked());
    }
    for (int i = 0; i < 2; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpint(shared_value, ==, 2 * (200 + 1000));
}

/* Also where the caller spins without ever waiting. */
static void test_bql_nonblocking(void)
{
    QemuThread thread;

    calls = 0;
    qemu_thread_create(&thread, "bql", bql_user, NULL, QEMU_THREAD_JOINABLE);
    while (!calls) {
        main_loop_wait(true);
        g_assert_true(bql_locked());
    }
    qemu_thread_join(&thread);
}

static QemuCond cond;
static bool cond_flag; /* under the BQL */

static void *cond_setter(void *opaque)
{
    WITH_BQL() {
        cond_flag = true;
        qemu_cond_signal(&cond);
    }
    return NULL;
}

static void test_bql_cond(void)
{
    QemuThread thread;

    cond_flag = false;
    qemu_cond_init(&cond);
    g_assert_false(qemu_cond_timedwait_bql(&cond, 1));
    g_assert_true(bql_locked());
    qemu_thread_create(&thread, "cond", cond_setter, NULL, QEMU_THREAD_JOINABLE);
    while (!cond_flag) {
        qemu_cond_wait_bql(&cond);
        g_assert_true(bql_locked());
    }
    qemu_thread_join(&thread);
    qemu_cond_destroy(&cond);
}

/* Descriptors. */

static int pipe_fds[2];

static void pipe_read(void *opaque)
{
    char c;

    g_assert_true(bql_locked());
    g_assert_cmpint(read(pipe_fds[0], &c, 1), ==, 1);
    ++*(int *)opaque;
}

static void pipe_read_once(void *opaque)
{
    pipe_read(opaque);
    qemu_set_fd_handler(pipe_fds[0], NULL, NULL, NULL);
}

static void pipe_read_then_swap(void *opaque)
{
    pipe_read(opaque);
    qemu_set_fd_handler(pipe_fds[0], pipe_read, NULL, opaque);
}

static void pipe_hup(void *opaque)
{
    char c;

    if (read(pipe_fds[0], &c, 1) == 0) {
        ++*(int *)opaque;
        qemu_set_fd_handler(pipe_fds[0], NULL, NULL, NULL);
    }
}

static void test_fd_read(void)
{
    int n = 0;

    g_assert_cmpint(qemu_pipe(pipe_fds), ==, 0);
    qemu_set_fd_handler(pipe_fds[0], pipe_read, NULL, &n);
    run_ready();
    g_assert_cmpint(n, ==, 0);
    g_assert_cmpint(write(pipe_fds[1], "xyz", 3), ==, 3);
    while (n < 3) {
        main_loop_wait(false);
    }
    /* Removed: what comes stays in the pipe. */
    qemu_set_fd_handler(pipe_fds[0], NULL, NULL, NULL);
    qemu_set_fd_handler(pipe_fds[0], NULL, NULL, NULL);
    g_assert_cmpint(write(pipe_fds[1], "abc", 3), ==, 3);
    run_ready();
    g_assert_cmpint(n, ==, 3);
    /* Removed and replaced from within the callback. */
    qemu_set_fd_handler(pipe_fds[0], pipe_read_once, NULL, &n);
    run_ready();
    g_assert_cmpint(n, ==, 4);
    qemu_set_fd_handler(pipe_fds[0], pipe_read_then_swap, NULL, &n);
    run_ready();
    g_assert_cmpint(n, ==, 6);
    /* The other end is closed. */
    qemu_set_fd_handler(pipe_fds[0], pipe_hup, NULL, &n);
    close(pipe_fds[1]);
    while (n < 7) {
        main_loop_wait(false);
    }
    close(pipe_fds[0]);
}

static void pipe_write(void *opaque)
{
    g_assert_true(bql_locked());
    if (++*(int *)opaque == 3) {
        qemu_set_fd_handler(pipe_fds[1], NULL, NULL, NULL);
    }
}

static void test_fd_write(void)
{
    int n = 0;

    g_assert_cmpint(qemu_pipe(pipe_fds), ==, 0);
    qemu_set_fd_handler(pipe_fds[1], NULL, pipe_write, &n);
    while (n < 3) {
        main_loop_wait(false);
    }
    run_ready();
    g_assert_cmpint(n, ==, 3);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* Timers. */

static GString *fired;

static void timer_cb(void *opaque)
{
    g_assert_true(bql_locked());
    g_string_append(fired, opaque);
}

static void test_timer_clock(const void *opaque)
{
    QEMUClockType type = GPOINTER_TO_INT(opaque);
    QEMUTimer *a = timer_new_ns(type, timer_cb, (void *)"a");
    QEMUTimer *b = timer_new_us(type, timer_cb, (void *)"b");
    QEMUTimer *c = timer_new_ms(type, timer_cb, (void *)"c");
    QEMUTimer *late = timer_new_ms(type, timer_cb, (void *)"late");
    int64_t start;

    cpu_enable_ticks(); /* the virtual clock runs */
    g_string_truncate(fired, 0);
    start = qemu_clock_get_ns(type);
    timer_mod(late, start / SCALE_MS + 1000000);
    timer_mod(c, start / SCALE_MS + 30);
    timer_mod(a, start + 10 * SCALE_MS);
    timer_mod(b, start / SCALE_US + 20000);
    g_assert_true(timer_pending(a) && timer_pending(b) && timer_pending(c));
    while (timer_pending(c)) {
        main_loop_wait(false);
    }
    /* In the order of their times; and no earlier than they were set for. */
    g_assert_cmpstr(fired->str, ==, "abc");
    if (type != QEMU_CLOCK_HOST) { /* which may be set back */
        g_assert_cmpint(qemu_clock_get_ns(type), >=, start / SCALE_MS * SCALE_MS + 30 * SCALE_MS);
    }
    g_assert_false(timer_pending(a) || timer_pending(b));
    g_assert_true(timer_pending(late));
    timer_free(a);
    timer_free(b);
    timer_free(c);
    timer_free(late); /* while pending */
    g_assert_cmpint(qemu_clock_deadline_ns(type), ==, -1);
    cpu_disable_ticks();
}

static void test_timer_mod(void)
{
    int64_t now = get_clock();
    QEMUTimer t[4];

    g_string_truncate(fired, 0);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"0", "1", "2", "3"};

        timer_init_ns(&t[i], QEMU_CLOCK_REALTIME, timer_cb, (void *)names[i]);
        g_assert_false(timer_pending(&t[i]));
        timer_del(&t[i]); /* not pending: nothing happens */
        timer_mod(&t[i], now - 1);
    }
    timer_del(&t[1]);
    timer_mod(&t[2], now - 2); /* moved to the front */
    timer_mod_anticipate_ns(&t[3], now + NANOSECONDS_PER_SECOND); /* later: not moved */
    g_assert_true(timer_expired(&t[3], now));
    g_assert_cmpint(timer_expire_time_ns(&t[3]), ==, now - 1);
    g_assert_cmpint(qemu_clock_deadline_ns(QEMU_CLOCK_REALTIME), ==, 0);
    run_ready();
    g_assert_cmpstr(fired->str, ==, "203"); /* equal times: in the order of arming */

    timer_mod(&t[0], now + 3600 * NANOSECONDS_PER_SECOND);
    timer_mod_anticipate_ns(&t[0], now);
    run_ready();
    g_assert_cmpstr(fired->str, ==, "2030");
    timer_mod(&t[0], -5); /* long due */
    run_ready();
    g_assert_cmpstr(fired->str, ==, "20300");
}

/* A time that does not fit in nanoseconds is for ever, not the past. */
static void test_timer_overflow(void)
{
    QEMUTimer *t = timer_new_ms(QEMU_CLOCK_REALTIME, timer_cb, (void *)"x");

    g_string_truncate(fired, 0);
    timer_mod(t, INT64_MAX / 2);
    g_assert_true(timer_pending(t));
    run_ready();
    g_assert_cmpstr(fired->str, ==, "");
    timer_free(t);
}

static QEMUTimer *self_timer;

static void timer_rearm(void *opaque)
{
    if (++calls < 3) {
        timer_mod(self_timer, get_clock() + SCALE_MS);
    } else {
        timer_free(self_timer);
        self_timer = NULL;
    }
}

static void test_timer_within(void)
{
    calls = 0;
    self_timer = timer_new_ns(QEMU_CLOCK_REALTIME, timer_rearm, NULL);
    timer_mod(self_timer, get_clock() + SCALE_MS);
    while (self_timer) {
        main_loop_wait(false);
    }
    g_assert_cmpint(calls, ==, 3);
}

/* A timer armed by another thread wakes a loop that sleeps. */
static void *arm_later(void *opaque)
{
    g_usleep(20000);
    timer_mod(opaque, get_clock() + SCALE_MS);
    return NULL;
}

static void test_timer_thread(void)
{
    QEMUTimer *t = timer_new_ns(QEMU_CLOCK_REALTIME, timer_cb, (void *)"t");
    QemuThread thread;

    g_string_truncate(fired, 0);
    qemu_thread_create(&thread, "arm", arm_later, t, QEMU_THREAD_JOINABLE);
    while (!fired->len) {
        main_loop_wait(false);
    }
    qemu_thread_join(&thread);
    timer_free(t);
}

/* The virtual clock stands while the guest does; its timers wait, and its value is kept. */
static void test_clock_stops(void)
{
    QEMUTimer *t = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_cb, (void *)"v");
    int64_t clock, ticks;

    cpu_disable_ticks();
    g_string_truncate(fired, 0);
    clock = cpu_get_clock();
    ticks = cpu_get_ticks();
    timer_mod(t, clock + SCALE_MS);
    g_usleep(5000);
    run_ready();
    g_assert_cmpint(cpu_get_clock(), ==, clock);
    g_assert_cmpint(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), ==, clock);
    g_assert_cmpint(cpu_get_ticks(), ==, ticks);
    g_assert_cmpstr(fired->str, ==, "");
    cpu_enable_ticks();
    cpu_enable_ticks(); /* again: no change */
    while (!fired->len) {
        main_loop_wait(false);
    }
    g_assert_cmpint(cpu_get_clock(), >=, clock + SCALE_MS);
    g_assert_cmpint(cpu_get_ticks(), >, ticks);
    /* Time spent stopped is not counted: less has passed than on the wall. */
    cpu_disable_ticks();
    cpu_disable_ticks();
    clock = cpu_get_clock();
    g_usleep(2000);
    cpu_enable_ticks();
    cpu_disable_ticks();
    g_assert_cmpint(cpu_get_clock() - clock, <, 2000000);
    timer_free(t);
}

static int64_t warp_times[4];
static QEMUTimer *warp_timers[2];

static void warp_cb(void *opaque)
{
    int i = calls++;

    warp_times[i] = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    if (i == 0) {
        timer_mod(warp_timers[0], warp_times[0] + 50); /* inside the same warp */
    }
}

static void test_qtest_clock(void)
{
    QEMUTimer *late = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_cb, (void *)"late");
    int64_t start;

    qemu_clock_set_qtest(true);
    g_assert_true(qemu_clock_is_qtest());
    start = qtest_get_virtual_clock();
    g_assert_cmpint(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), ==, start);
    g_usleep(2000);
    g_assert_cmpint(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), ==, start);

    calls = 0;
    g_string_truncate(fired, 0);
    for (int i = 0; i < 2; i++) {
        warp_timers[i] = timer_new_ns(QEMU_CLOCK_VIRTUAL, warp_cb, NULL);
    }
    timer_mod(warp_timers[0], start + 100);
    timer_mod(warp_timers[1], start + 120);
    timer_mod(late, start + 1001);
    run_ready();
    g_assert_cmpint(calls, ==, 0); /* nothing by itself */
    g_assert_cmpint(qemu_clock_deadline_ns(QEMU_CLOCK_VIRTUAL), ==, 100);
    qtest_clock_warp(start + 1000);
    /* Each timer saw its own time, the one armed on the way included. */
    g_assert_cmpint(calls, ==, 3);
    g_assert_cmpint(warp_times[0], ==, start + 100);
    g_assert_cmpint(warp_times[1], ==, start + 120);
    g_assert_cmpint(warp_times[2], ==, start + 150);
    g_assert_cmpint(qtest_get_virtual_clock(), ==, start + 1000);
    g_assert_cmpstr(fired->str, ==, "");
    qtest_clock_warp(start + 1001);
    g_assert_cmpstr(fired->str, ==, "late");
    qtest_clock_warp(start); /* never back */
    g_assert_cmpint(qtest_get_virtual_clock(), ==, start + 1001);
    for (int i = 0; i < 2; i++) {
        timer_free(warp_timers[i]);
    }
    timer_free(late);
    qemu_clock_set_qtest(false);
}

/* Threads and their locks. */

static QemuMutex mutex;
static QemuRecMutex rec_mutex;
static QemuSemaphore sem, sem_back;
static QemuEvent event;
static int guarded;

static void *guarded_adder(void *opaque)
{
    for (int i = 0; i < 1000; i++) {
        WITH_QEMU_LOCK_GUARD(&mutex) {
            guarded++;
        }
        QEMU_LOCK_GUARD(&rec_mutex);
        QEMU_LOCK_GUARD(&rec_mutex); /* again by the same thread */
        guarded += 0;
    }
    return opaque;
}

static void test_locks(void)
{
    QemuThread threads[3];

    qemu_mutex_init(&mutex);
    qemu_rec_mutex_init(&rec_mutex);
    guarded = 0;
    for (int i = 0; i < 3; i++) {
        qemu_thread_create(&threads[i], "adder", guarded_adder, &threads[i],
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < 3; i++) {
        g_assert_true(qemu_thread_join(&threads[i]) == &threads[i]);
    }
    g_assert_cmpint(guarded, ==, 3000);
    g_assert_cmpint(qemu_mutex_trylock(&mutex), ==, 0);
    g_assert_cmpint(qemu_mutex_trylock(&mutex), ==, -EBUSY);
    qemu_mutex_unlock(&mutex);
    qemu_mutex_destroy(&mutex);
    qemu_rec_mutex_destroy(&rec_mutex);
}

static void *sem_thread(void *opaque)
{
    for (int i = 0; i < 100; i++) {
        qemu_sem_wait(&sem);
        qemu_sem_post(&sem_back);
    }
    qemu_event_wait(&event);
    return NULL;
}

static void test_sem_event(void)
{
    QemuThread thread;

    qemu_sem_init(&sem, 0);
    qemu_sem_init(&sem_back, 1);
    qemu_event_init(&event, false);
    g_assert_cmpint(qemu_sem_timedwait(&sem, 2), ==, -1);
    g_assert_cmpint(qemu_sem_timedwait(&sem_back, 2), ==, 0);
    g_assert_false(qemu_event_timedwait(&event, 2));
    qemu_thread_create(&thread, "sem", sem_thread, NULL, QEMU_THREAD_JOINABLE);
    for (int i = 0; i < 100; i++) {
        qemu_sem_post(&sem);
        qemu_sem_wait(&sem_back);
    }
    qemu_event_set(&event);
    qemu_thread_join(&thread);
    g_assert_true(qemu_event_timedwait(&event, 0));
    qemu_event_wait(&event); /* stays set */
    qemu_event_reset(&event);
    g_assert_false(qemu_event_timedwait(&event, 0));
    qemu_sem_destroy(&sem);
    qemu_sem_destroy(&sem_back);
    qemu_event_destroy(&event);
}

/* Signals for the process are the main thread's business. */
static void *signal_thread(void *opaque)
{
    sigset_t blocked;
    char name[16] = "";

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    g_assert_true(sigismember(&blocked, SIGTERM));
    g_assert_true(sigismember(&blocked, SIGINT));
    g_assert_false(sigismember(&blocked, SIGSEGV));
    g_assert_false(sigismember(&blocked, SIGBUS));
    pthread_getname_np(pthread_self(), name, sizeof(name));
    g_assert_cmpstr(name, ==, "mig/src/main-lo"); /* cut to what the kernel takes */
    return NULL;
}

static void test_thread_setup(void)
{
    QemuThread thread;
    sigset_t before, after;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    qemu_thread_naming(true);
    qemu_thread_create(&thread, "mig/src/main-long", signal_thread, NULL, QEMU_THREAD_JOINABLE);
    qemu_thread_naming(false);
    qemu_thread_join(&thread);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    g_assert_true(sigismember(&before, SIGTERM) == sigismember(&after, SIGTERM));
    g_assert_false(sigismember(&after, SIGTERM));
}

static void *prompt_thread(void *opaque)
{
    int nice = getpriority(PRIO_PROCESS, 0);

    qemu_thread_be_prompt();
    g_assert_cmpint(sched_getscheduler(0), ==, SCHED_OTHER);
    g_assert_cmpint(getpriority(PRIO_PROCESS, 0), ==, nice);
    return NULL;
}

/* A hint: whether it was taken cannot be seen, but nothing else may change. */
static void test_thread_prompt(void)
{
    QemuThread thread;

    qemu_thread_create(&thread, "prompt", prompt_thread, NULL, QEMU_THREAD_JOINABLE);
    qemu_thread_join(&thread);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    alarm(120);
    qemu_init_main_loop(&error_abort);
    fired = g_string_new(NULL);
    g_assert_true(bql_locked());
    g_test_add_func("/thread/prompt", test_thread_prompt);
    g_test_add_func("/main-loop/bh/basic", test_bh_basic);
    g_test_add_func("/main-loop/bh/within", test_bh_within);
    g_test_add_func("/main-loop/bh/threads", test_bh_threads);
    g_test_add_func("/main-loop/bh/wakes", test_bh_wakes);
    g_test_add_func("/main-loop/notify-event", test_notify_event);
    g_test_add_func("/main-loop/bql/poll", test_bql_poll);
    g_test_add_func("/main-loop/bql/nonblocking", test_bql_nonblocking);
    g_test_add_func("/main-loop/bql/cond", test_bql_cond);
    g_test_add_func("/main-loop/fd/read", test_fd_read);
    g_test_add_func("/main-loop/fd/write", test_fd_write);
    g_test_add_data_func("/timer/realtime", GINT_TO_POINTER(QEMU_CLOCK_REALTIME),
                         test_timer_clock);
    g_test_add_data_func("/timer/virtual", GINT_TO_POINTER(QEMU_CLOCK_VIRTUAL), test_timer_clock);
    g_test_add_data_func("/timer/host", GINT_TO_POINTER(QEMU_CLOCK_HOST), test_timer_clock);
    g_test_add_func("/timer/mod", test_timer_mod);
    g_test_add_func("/timer/overflow", test_timer_overflow);
    g_test_add_func("/timer/within", test_timer_within);
    g_test_add_func("/timer/thread", test_timer_thread);
    g_test_add_func("/timer/clock-stops", test_clock_stops);
    g_test_add_func("/timer/qtest", test_qtest_clock);
    g_test_add_func("/thread/locks", test_locks);
    g_test_add_func("/thread/sem-event", test_sem_event);
    g_test_add_func("/thread/setup", test_thread_setup);
    ret = g_test_run();
    g_string_free(fired, true);
    return ret;
}
