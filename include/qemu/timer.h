/*
 * Clocks and timers.  QEMU_CLOCK_VIRTUAL runs only while the guest does (cpu_enable_ticks), or
 * under the command of a qtest client; the others are the host's.  Callbacks run on the main
 * thread under the BQL.  All times in nanoseconds unless the name says ms or us.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_TIMER_H
#define QEMU_TIMER_H

#define NANOSECONDS_PER_SECOND 1000000000LL
#define SCALE_MS 1000000
#define SCALE_US 1000
#define SCALE_NS 1

typedef enum {
    QEMU_CLOCK_REALTIME, /* CLOCK_MONOTONIC */
    QEMU_CLOCK_VIRTUAL,
    QEMU_CLOCK_HOST,     /* CLOCK_REALTIME: wall clock, may jump */
    QEMU_CLOCK_VIRTUAL_RT,
    QEMU_CLOCK_MAX
} QEMUClockType;

int64_t qemu_clock_get_ns(QEMUClockType type);
static inline int64_t qemu_clock_get_us(QEMUClockType type)
{
    return qemu_clock_get_ns(type) / SCALE_US;
}
static inline int64_t qemu_clock_get_ms(QEMUClockType type)
{
    return qemu_clock_get_ns(type) / SCALE_MS;
}
static inline int64_t get_clock(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}
/* Nanoseconds until the first timer of @type, 0 when one is due, -1 without any. */
int64_t qemu_clock_deadline_ns(QEMUClockType type);

typedef void QEMUTimerCB(void *opaque);
struct QEMUTimer {
    int64_t expire_time; /* ns, -1 when not pending; guarded by the timer lock */
    QEMUClockType type;
    int scale;
    QEMUTimerCB *cb;
    void *opaque;
    QEMUTimer *next;
};

void timer_init_full(QEMUTimer *ts, QEMUClockType type, int scale, QEMUTimerCB *cb, void *opaque);
static inline void timer_init_ns(QEMUTimer *ts, QEMUClockType type, QEMUTimerCB *cb, void *opaque)
{
    timer_init_full(ts, type, SCALE_NS, cb, opaque);
}
static inline void timer_init_ms(QEMUTimer *ts, QEMUClockType type, QEMUTimerCB *cb, void *opaque)
{
    timer_init_full(ts, type, SCALE_MS, cb, opaque);
}
QEMUTimer *timer_new_full(QEMUClockType type, int scale, QEMUTimerCB *cb, void *opaque);
static inline QEMUTimer *timer_new_ns(QEMUClockType type, QEMUTimerCB *cb, void *opaque)
{
    return timer_new_full(type, SCALE_NS, cb, opaque);
}
static inline QEMUTimer *timer_new_us(QEMUClockType type, QEMUTimerCB *cb, void *opaque)
{
    return timer_new_full(type, SCALE_US, cb, opaque);
}
static inline QEMUTimer *timer_new_ms(QEMUClockType type, QEMUTimerCB *cb, void *opaque)
{
    return timer_new_full(type, SCALE_MS, cb, opaque);
}
void timer_free(QEMUTimer *ts);
void timer_del(QEMUTimer *ts);
void timer_mod(QEMUTimer *ts, int64_t expire_time); /* in the timer's scale */
void timer_mod_ns(QEMUTimer *ts, int64_t expire_time);
void timer_mod_anticipate_ns(QEMUTimer *ts, int64_t expire_time);
bool timer_pending(QEMUTimer *ts);
bool timer_expired(QEMUTimer *ts, int64_t current_ns);
uint64_t timer_expire_time_ns(QEMUTimer *ts);

/* Run what is due; the main loop does this by itself.  Returns whether anything ran. */
bool qemu_clock_run_timers(QEMUClockType type);
bool qemu_clock_run_all_timers(void);

/*
 * The virtual clock's state, which migrates (section "timer").  enabled: running now;
 * then clock = host clock + cpu_clock_offset and ticks = host TSC + cpu_ticks_offset; when
 * stopped, the offsets hold the values themselves.  Use the functions below.
 */
typedef struct TimersState {
    bool cpu_ticks_enabled;
    int64_t cpu_ticks_offset;
    int64_t cpu_clock_offset;
} TimersState;
extern TimersState timers_state; /* under the BQL with the clock stopped */

void cpu_enable_ticks(void);
void cpu_disable_ticks(void);
int64_t cpu_get_ticks(void);
int64_t cpu_get_clock(void);

/* qtest: the virtual clock moves only when told to. */
void qemu_clock_set_qtest(bool on);
bool qemu_clock_is_qtest(void);
int64_t qtest_get_virtual_clock(void);
/* Advance to @dest ns, running the timers on the way. */
void qtest_clock_warp(int64_t dest);

/* Used by the main loop. */
void timer_init_main_loop(void);

#endif
