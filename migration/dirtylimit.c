/*
 * dirty-limit: each vCPU may write so much in a second. Commands set-, cancel- and
 * query-vcpu-dirty-limit, and the capability dirty-limit, by which a migration that does not get
 * done limits all vCPUs.
 *
 * The accelerator's dirty rings tell how many pages each vCPU has written. A page costs the time
 * that the limit grants for it; whoever has written more than was paid for sleeps until it is. As
 * long as a vCPU can be stopped often enough its rate is exactly the limit, whatever the size of
 * the rings: it is asked to look at its debt every few milliseconds, the more often the larger the
 * debts get, and whenever its ring is full. What nobody can keep is given up: debts end at
 * MAX_DEBT_NS, so that a guest always gets on a little.
 *
 * A page counts once until the rings are emptied, as migration does in each pass, else the
 * accelerator once in a while.
 *
 * Locking: all of it under the BQL, but for what is said to be atomic.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-throttle.h"
#include "dirtylimit.h"
#include "migration.h"
#include "options.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "system/cpus.h"
#include "system/memory.h"

TRACE_EVENT(dirtylimit_set);
TRACE_EVENT(dirtylimit_vcpu);

/* Time that was not used for writing may be made up for, this much. */
#define MAX_CREDIT_NS (50 * SCALE_MS)
#define MAX_DEBT_NS (4000LL * SCALE_MS)
/*
 * How long vCPUs run between two looks: halved and doubled between these as debts are large or
 * small.
 */
#define RUN_MIN_NS (1 * SCALE_MS)
#define RUN_MAX_NS (10 * SCALE_MS)
#define DEBT_LARGE_NS (100 * SCALE_MS)
#define DEBT_SMALL_NS (20 * SCALE_MS)

typedef struct VcpuLimit {
    DirtyDebt debt;
    uint64_t user_limit;    /* bytes a second, by command; 0: none */
    uint64_t charged_pages; /* of cpu_count_dirty_pages() */
    int64_t slept_ns;       /* since the period began */
    uint64_t period_pages;  /* when it began */
    uint64_t rate;          /* bytes a second, in the last one */
} VcpuLimit;

static VcpuLimit *limits; /* by cpu_index; made with the first limit, kept */
static int nr_limits;
static bool in_service;          /* atomic */
static bool by_migration;
static QEMUTimer *timer;
static int64_t run_ns = RUN_MAX_NS, largest_debt_ns;
static int64_t period_start;     /* ns */

bool dirtylimit_available(void)
{
    return cpus_dirty_ring_size() != 0;
}

bool dirtylimit_in_service(void)
{
    return qatomic_read(&in_service);
}

int64_t dirtylimit_debt_add(DirtyDebt *debt, uint64_t bytes, int64_t now)
{
    int64_t from = MAX(debt->until, now - MAX_CREDIT_NS);
    double cost = debt->limit ? (double)bytes * NANOSECONDS_PER_SECOND / debt->limit : 0;

    debt->until = MIN(from + (int64_t)MIN(cost, 2.0 * MAX_DEBT_NS), now + MAX_DEBT_NS);
    return debt->until;
}

/* The limit that holds: the lower of the two. */
static uint64_t limit_of(const VcpuLimit *l)
{
    uint64_t ours = by_migration ? migrate_vcpu_dirty_limit() * MiB : 0;

    return ours && l->user_limit ? MIN(ours, l->user_limit) : MAX(ours, l->user_limit);
}

static VcpuLimit *limit_of_cpu(CPUState *cpu)
{
    return cpu->cpu_index < nr_limits ? &limits[cpu->cpu_index] : NULL;
}

int64_t dirtylimit_charge(CPUState *cpu, int64_t now)
{
    VcpuLimit *l = limit_of_cpu(cpu);
    uint64_t pages, fresh;

    if (!l || !l->debt.limit) {
        return 0;
    }
    pages = cpu_count_dirty_pages(cpu);
    fresh = pages - l->charged_pages;
    l->charged_pages = pages;
    dirtylimit_debt_add(&l->debt, fresh * TARGET_PAGE_SIZE, now);
    largest_debt_ns = MAX(largest_debt_ns, l->debt.until - now);
    return l->debt.until;
}

void dirtylimit_slept(CPUState *cpu, int64_t ns)
{
    VcpuLimit *l = limit_of_cpu(cpu);

    if (l) {
        l->slept_ns += ns;
    }
}

/* What query-… show, once in a period. */
static void update_rates(int64_t now)
{
    int64_t spent = MAX(now - period_start, 1);
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        VcpuLimit *l = limit_of_cpu(cpu);
        uint64_t pages = cpu_count_dirty_pages(cpu), fresh;

        if (!l) {
            continue;
        }
        fresh = pages - l->period_pages;
        l->period_pages = pages;
        qatomic_set(&l->rate, (double)fresh * TARGET_PAGE_SIZE * NANOSECONDS_PER_SECOND / spent);
        if (fresh) {
            double rounds = (double)fresh / cpus_dirty_ring_size();

            qatomic_set(&cpu->throttle_us_per_full, l->slept_ns / 1000 / rounds);
        } else if (!l->slept_ns) {
            qatomic_set(&cpu->throttle_us_per_full, 0);
        }
        l->slept_ns = 0;
        trace(dirtylimit_vcpu, "cpu %d: limit %" PRIu64 ", wrote %" PRIu64 " bytes/s, sleeps %"
              PRId64 " us for each ring", cpu->cpu_index, l->debt.limit, l->rate,
              cpu->throttle_us_per_full);
    }
    period_start = now;
}

/* Those who have no debts may have written: they look. */
static void timer_tick(void *opaque)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    CPUState *cpu;

    if (largest_debt_ns > DEBT_LARGE_NS) {
        run_ns = MAX(run_ns / 2, RUN_MIN_NS);
    } else if (largest_debt_ns < DEBT_SMALL_NS) {
        run_ns = MIN(run_ns * 2, RUN_MAX_NS);
    }
    largest_debt_ns = 0;
    CPU_FOREACH(cpu) {
        const VcpuLimit *l = limit_of_cpu(cpu);

        if (l && l->debt.limit && l->debt.until <= now) {
            qemu_cpu_kick(cpu);
        } else if (l && l->debt.limit) {
            largest_debt_ns = MAX(largest_debt_ns, l->debt.until - now);
        }
    }
    if (now - period_start >= (int64_t)migrate_vcpu_dirty_limit_period() * SCALE_MS) {
        update_rates(now);
    }
    timer_mod_ns(timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + run_ns);
}

static bool start(Error **errp)
{
    CPUState *cpu;

    if (!memory_global_dirty_log_start(GLOBAL_DIRTY_LIMIT, errp)) {
        return false;
    }
    if (!timer) {
        timer = timer_new_ns(QEMU_CLOCK_REALTIME, timer_tick, NULL);
    }
    period_start = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    CPU_FOREACH(cpu) {
        VcpuLimit *l = limit_of_cpu(cpu);

        l->period_pages = cpu_count_dirty_pages(cpu);
        l->slept_ns = 0;
        l->rate = 0;
        qatomic_set(&cpu->throttle_us_per_full, 0);
    }
    run_ns = RUN_MAX_NS;
    timer_mod_ns(timer, period_start + run_ns);
    qatomic_set(&in_service, true);
    return true;
}

static void stop(void)
{
    timer_del(timer);
    qatomic_set(&in_service, false);
    memory_global_dirty_log_stop(GLOBAL_DIRTY_LIMIT);
}

static void make_limits(void)
{
    CPUState *cpu;
    int n = nr_limits;

    CPU_FOREACH(cpu) {
        n = MAX(n, cpu->cpu_index + 1);
    }
    if (n > nr_limits) {
        limits = g_renew(VcpuLimit, limits, n);
        memset(limits + nr_limits, 0, (n - nr_limits) * sizeof(*limits));
        nr_limits = n;
    }
}

/* Limits were changed: have them hold. */
static bool apply(Error **errp)
{
    bool any = false;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        VcpuLimit *l = limit_of_cpu(cpu);
        uint64_t limit = l ? limit_of(l) : 0;

        if (l && limit != l->debt.limit) {
            trace(dirtylimit_set, "cpu %d: %" PRIu64 " bytes/s", cpu->cpu_index, limit);
            /* A new limit begins with no debts, and counts from now. */
            l->debt = (DirtyDebt){.limit = limit};
            l->charged_pages = cpu_count_dirty_pages(cpu);
        }
        any |= limit != 0;
    }
    if (any && !in_service && !start(errp)) {
        return false;
    }
    if (!any && in_service) {
        stop();
    }
    cpu_throttle_limits_changed(any);
    return true;
}

/* For migration */

bool dirtylimit_migration_start(Error **errp)
{
    BQL_LOCK_GUARD();

    make_limits();
    by_migration = true;
    if (!apply(errp)) {
        by_migration = false;
        apply(NULL); /* what users have set, if anything */
        return false;
    }
    return true;
}

void dirtylimit_migration_stop(void)
{
    BQL_LOCK_GUARD();

    if (by_migration) {
        by_migration = false;
        apply(NULL);
    }
}

void dirtylimit_migration_update(void)
{
    if (by_migration) {
        apply(NULL);
    }
}

uint64_t dirtylimit_throttle_time_per_round(void)
{
    int64_t longest = 0;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        longest = MAX(longest, qatomic_read(&cpu->throttle_us_per_full));
    }
    return longest;
}

uint64_t dirtylimit_ring_full_time(void)
{
    double ring = (double)cpus_dirty_ring_size() * TARGET_PAGE_SIZE, rates = 0;
    CPUState *cpu;
    int writing = 0;

    CPU_FOREACH(cpu) {
        const VcpuLimit *l = limit_of_cpu(cpu);
        uint64_t rate = l ? qatomic_read(&l->rate) : 0;

        rates += rate;
        writing += rate != 0;
    }
    return writing ? ring * 1000000 / (rates / writing) : 0;
}

/* Commands */

/* Of a user's limits while a migration has its own. */
static bool check_migration(const char *what, Error **errp)
{
    if (migration_is_running() && migrate_dirty_limit() && dirtylimit_in_service()) {
        error_setg(errp, "can't %s dirty page rate limit while migration is running", what);
        return false;
    }
    return true;
}

static bool check_index(bool has_cpu_index, int64_t cpu_index, Error **errp)
{
    if (has_cpu_index && (cpu_index < 0 || cpu_index > INT_MAX || !qemu_get_cpu(cpu_index))) {
        error_setg(errp, "incorrect cpu index specified");
        return false;
    }
    return true;
}

static void set_user_limits(bool has_cpu_index, int64_t cpu_index, uint64_t bytes, Error **errp)
{
    g_autofree VcpuLimit *old = NULL;

    make_limits();
    old = g_memdup2(limits, nr_limits * sizeof(*limits));
    for (int i = 0; i < nr_limits; i++) {
        if (!has_cpu_index || i == cpu_index) {
            limits[i].user_limit = bytes;
        }
    }
    if (!apply(errp)) {
        memcpy(limits, old, nr_limits * sizeof(*limits));
    }
}

void qmp_set_vcpu_dirty_limit(bool has_cpu_index, int64_t cpu_index, uint64_t dirty_rate,
                              Error **errp)
{
    if (!dirtylimit_available()) {
        error_setg(errp, "dirty page limit feature requires KVM with accelerator property "
                   "'dirty-ring-size' set'");
        return;
    }
    if (!check_index(has_cpu_index, cpu_index, errp) || !check_migration("set", errp)) {
        return;
    }
    if (dirty_rate > INT64_MAX / MiB) {
        error_setg(errp, "a dirty page limit of %" PRIu64 " MB/s is too large: the most is %"
                   PRId64, dirty_rate, (int64_t)(INT64_MAX / MiB));
        return;
    }
    set_user_limits(has_cpu_index, cpu_index, dirty_rate * MiB, errp);
}

void qmp_cancel_vcpu_dirty_limit(bool has_cpu_index, int64_t cpu_index, Error **errp)
{
    /* There is nothing to cancel where there can't be any. */
    if (!dirtylimit_available()) {
        return;
    }
    if (check_index(has_cpu_index, cpu_index, errp) && check_migration("cancel", errp)) {
        set_user_limits(has_cpu_index, cpu_index, 0, errp);
    }
}

DirtyLimitInfoList *qmp_query_vcpu_dirty_limit(Error **errp)
{
    DirtyLimitInfoList *head = NULL, **tail = &head;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        const VcpuLimit *l = limit_of_cpu(cpu);

        if (l && l->debt.limit) {
            DirtyLimitInfo *info = g_new0(DirtyLimitInfo, 1);

            info->cpu_index = cpu->cpu_index;
            info->limit_rate = l->debt.limit / MiB;
            info->current_rate = (l->rate + MiB / 2) / MiB;
            QAPI_LIST_APPEND(tail, info);
        }
    }
    return head;
}
