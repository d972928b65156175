/*
 * Throttling vCPUs: out of each stretch of time every vCPU sleeps a share, on its own thread.
 *
 * A timer asks the vCPUs' threads, once in a while, to sleep; between two sleeps a vCPU can run for
 * SLICE_MS. A vCPU that is asked to stop or has other work to do wakes at once, so that a throttled
 * guest can be stopped as fast as any.
 *
 * When to throttle, and how hard, is decided here too (auto-converge): when twice, in periods of a
 * second or more, the guest has written more than throttle-trigger-threshold percent of what could
 * be sent. The percentage begins with cpu-throttle-initial and grows by cpu-throttle-increment
 * each time; with cpu-throttle-tailslow by no more than brings the writing just below that threshold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-throttle.h"
#include "options.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "system/cpus.h"

TRACE_EVENT(cpu_throttle_set);
TRACE_EVENT(cpu_throttle_trigger);

#define SLICE_MS 10

static int throttle_percentage; /* atomic; 0: off */
static QEMUTimer *throttle_timer; /* made under the BQL, once; any thread may set it */
static unsigned high_periods;   /* the migration thread's */

/* For how long a vCPU sleeps so that it can run SLICE_MS in the rest of the time. */
static int64_t sleep_ns(int percentage)
{
    return (int64_t)SLICE_MS * SCALE_MS * percentage / (100 - percentage);
}

/* On the vCPU's thread, BQL. */
static void sleep_for_a_while(CPUState *cpu, run_on_cpu_data data)
{
    int percentage = qatomic_read(&throttle_percentage);
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME), until;

    for (until = now + (percentage ? sleep_ns(percentage) : 0);
         now < until && !cpu->stop && qatomic_read(&throttle_percentage);
         now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME)) {
        qemu_cond_timedwait_bql(cpu->halt_cond, MAX((until - now) / SCALE_MS, 1));
    }
    qatomic_set(&cpu->throttle_thread_scheduled, false);
}

static void timer_tick(void *opaque)
{
    int percentage = qatomic_read(&throttle_percentage);
    CPUState *cpu;

    if (!percentage) {
        return;
    }
    CPU_FOREACH(cpu) {
        if (!qatomic_xchg(&cpu->throttle_thread_scheduled, true)) {
            async_run_on_cpu(cpu, sleep_for_a_while, RUN_ON_CPU_NULL);
        }
    }
    timer_mod_ns(throttle_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL_RT) +
                                     (int64_t)SLICE_MS * SCALE_MS + sleep_ns(percentage));
}

static void __attribute__((constructor)) init_timer(void)
{
    throttle_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL_RT, timer_tick, NULL);
}

void cpu_throttle_set(int percentage)
{
    bool was_off;

    percentage = CLAMP(percentage, 1, 99);
    was_off = !qatomic_xchg(&throttle_percentage, percentage);
    trace(cpu_throttle_set, "%d %%", percentage);
    if (was_off) {
        timer_mod_ns(throttle_timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL_RT) +
                                         (int64_t)SLICE_MS * SCALE_MS);
    }
}

void cpu_throttle_stop(void)
{
    qatomic_set(&throttle_percentage, 0);
}

bool cpu_throttle_active(void)
{
    return qatomic_read(&throttle_percentage) != 0;
}

int cpu_throttle_get_percentage(void)
{
    return qatomic_read(&throttle_percentage);
}

/* The next step. */
static int next_percentage(int now, uint64_t dirtied, uint64_t threshold)
{
    int step = migrate_cpu_throttle_increment();

    if (!now) {
        return migrate_cpu_throttle_initial();
    }
    if (migrate_cpu_throttle_tailslow()) {
        /* What it may still run of what it ran, were its writing proportional to that. */
        double runs = 100 - now, may_run = runs * threshold / dirtied;

        step = MIN(step, MAX((int)(runs - may_run), 1));
    }
    return now + step;
}

void cpu_throttle_trigger(uint64_t sent, uint64_t dirtied)
{
    uint64_t threshold = sent * migrate_throttle_trigger_threshold() / 100;
    int now = cpu_throttle_get_percentage(), next;

    if (dirtied <= threshold) {
        high_periods = 0;
        return;
    }
    if (++high_periods < 2) {
        return;
    }
    high_periods = 0;
    next = MIN(next_percentage(now, dirtied, threshold), migrate_max_cpu_throttle());
    trace(cpu_throttle_trigger, "sent %" PRIu64 " dirtied %" PRIu64 ": %d %% to %d %%", sent, dirtied,
          now, next);
    if (next != now) {
        cpu_throttle_set(next);
    }
}

void cpu_throttle_reset(void)
{
    high_periods = 0;
    cpu_throttle_stop();
}
