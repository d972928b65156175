/*
 * Throttling vCPUs: out of each stretch of time every vCPU sleeps a share, on its own thread.
 *
 * A timer says once in a while until when all vCPUs sleep, and kicks them out of guest code; on
 * their way back each sleeps until then (cpus_set_exit_hook). So a vCPU that was idle meanwhile
 * owes nothing, and one that is asked to stop wakes at once: a throttled guest can be stopped as
 * fast as any. Work that is queued for a vCPU is done while it sleeps. For dirtylimit.c, which
 * limits each vCPU by what it writes, they sleep here too.
 *
 * When to throttle, and how hard, is decided here (auto-converge): when twice, in periods of a
 * second or more, the guest has written more than throttle-trigger-threshold percent of what could
 * be sent. The percentage begins with cpu-throttle-initial and grows by cpu-throttle-increment
 * each time; with cpu-throttle-tailslow by no more than brings the writing just below that
 * threshold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-throttle.h"
#include "dirtylimit.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "system/cpus.h"

TRACE_EVENT(cpu_throttle_set);
TRACE_EVENT(cpu_throttle_trigger);

/* Long passes of a throttled guest are interrupted by a look at what it writes this often. */
#define SYNC_INTERVAL_MS 5000

static int throttle_percentage;  /* atomic; 0: off */
static int64_t throttled_until;  /* atomic; QEMU_CLOCK_REALTIME, ns */
static bool limits_on;           /* BQL */
static QEMUTimer *throttle_timer; /* made under the BQL, once */
static unsigned high_periods;    /* the migration thread's */

int64_t cpu_throttle_sleep_ns(int percentage)
{
    return (int64_t)CPU_THROTTLE_SLICE_NS * percentage / (100 - percentage);
}

/* On the vCPU's thread, BQL, before it runs guest code. */
static void sleep_if_throttled(CPUState *cpu)
{
    for (;;) {
        int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME), slept;
        int64_t until = qatomic_read(&throttle_percentage) ? qatomic_read(&throttled_until) : 0;
        int64_t paid = limits_on ? dirtylimit_charge(cpu, now) : 0;

        if (!cpu_can_run(cpu) || MAX(until, paid) <= now) {
            return;
        }
        if (!cpu_work_list_empty(cpu)) {
            process_queued_cpu_work(cpu);
            continue;
        }
        qemu_cond_timedwait_bql(cpu->halt_cond, MAX((MAX(until, paid) - now) / SCALE_MS, 1));
        slept = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - now;
        if (paid > now) {
            dirtylimit_slept(cpu, slept);
        }
    }
}

static void timer_tick(void *opaque)
{
    int percentage = qatomic_read(&throttle_percentage);
    int64_t sleep_ns;
    CPUState *cpu;

    if (!percentage) {
        return;
    }
    sleep_ns = cpu_throttle_sleep_ns(percentage);
    qatomic_set(&throttled_until, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + sleep_ns);
    CPU_FOREACH(cpu) {
        qemu_cpu_kick(cpu);
    }
    timer_mod_ns(throttle_timer,
                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL_RT) + CPU_THROTTLE_SLICE_NS + sleep_ns);
}

static void __attribute__((constructor)) init_timer(void)
{
    throttle_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL_RT, timer_tick, NULL);
}

static void update_hook(void)
{
    cpus_set_exit_hook(limits_on || qatomic_read(&throttle_percentage) ? sleep_if_throttled : NULL);
}

static void wake_all(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        qemu_cpu_kick(cpu);
    }
}

void cpu_throttle_set(int percentage)
{
    BQL_LOCK_GUARD();
    bool was_off;

    percentage = CLAMP(percentage, 1, 99);
    was_off = !qatomic_xchg(&throttle_percentage, percentage);
    trace(cpu_throttle_set, "%d %%", percentage);
    if (was_off) {
        qatomic_set(&throttled_until, 0);
        timer_mod_ns(throttle_timer,
                     qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL_RT) + CPU_THROTTLE_SLICE_NS);
    }
    update_hook();
}

void cpu_throttle_stop(void)
{
    BQL_LOCK_GUARD();

    if (qatomic_xchg(&throttle_percentage, 0)) {
        timer_del(throttle_timer);
        trace(cpu_throttle_set, "off");
        wake_all();
        update_hook();
    }
}

void cpu_throttle_limits_changed(bool on)
{
    limits_on = on;
    update_hook();
    wake_all();
}

bool cpu_throttle_active(void)
{
    return qatomic_read(&throttle_percentage) != 0;
}

int cpu_throttle_get_percentage(void)
{
    return qatomic_read(&throttle_percentage);
}

int cpu_throttle_next_percentage(int now, uint64_t dirtied, uint64_t threshold)
{
    int step = migrate_cpu_throttle_increment(), max = migrate_max_cpu_throttle();

    if (!now) {
        return MIN(migrate_cpu_throttle_initial(), max);
    }
    if (migrate_cpu_throttle_tailslow() && dirtied) {
        /* What it may still run of what it ran, were its writing proportional to that. */
        double runs = 100 - now, may_run = runs * threshold / dirtied;

        step = MIN(step, MAX((int)(runs - may_run), 1));
    }
    return MIN(now + step, max);
}

static void throttle_more(uint64_t sent, uint64_t dirtied, uint64_t threshold)
{
    int now = cpu_throttle_get_percentage();
    int next = cpu_throttle_next_percentage(now, dirtied, threshold);

    trace(cpu_throttle_trigger, "sent %" PRIu64 " dirtied %" PRIu64 ": %d %% to %d %%", sent,
          dirtied, now, next);
    if (next != now) {
        cpu_throttle_set(next);
    }
}

void cpu_throttle_trigger(uint64_t sent, uint64_t dirtied)
{
    uint64_t threshold = sent / 100 * migrate_throttle_trigger_threshold();
    Error *err = NULL;

    if (dirtied <= threshold) {
        high_periods = 0;
        return;
    }
    if (++high_periods < 2) {
        return;
    }
    high_periods = 0;
    if (migrate_auto_converge()) {
        throttle_more(sent, dirtied, threshold);
    } else if (migrate_dirty_limit() && !dirtylimit_migration_start(&err)) {
        /* The migration goes on without it, as it would have without the capability. */
        warn_report_err(err);
    }
}

bool cpu_throttle_wants_sync(int64_t last_sync_ms, int64_t now_ms)
{
    return cpu_throttle_active() && now_ms - last_sync_ms >= SYNC_INTERVAL_MS;
}

void cpu_throttle_reset(void)
{
    high_periods = 0;
    cpu_throttle_stop();
    dirtylimit_migration_stop();
}
