/*
 * postcopy-blocktime: who waited for pages on the destination, and how long.
 *
 * A thread waits for one page at a time, from the moment at which its fault is read until the page
 * is placed. For each vCPU these times add up (postcopy-vcpu-blocktime); so do the times in which
 * every vCPU waited (postcopy-blocktime), in which the guest stood still. Each wait that ended is
 * one latency. Faults of other threads (devices, monitors, the kernel's helpers) count as latencies
 * too.
 *
 * The lock is taken once a fault, and by those who place pages as long as anybody waits: it is held
 * for as long as it takes to look at each vCPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "options.h"
#include "postcopy-blocktime.h"
#include "qapi/util.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "system/cpus.h"

TRACE_EVENT(postcopy_wait_begin);
TRACE_EVENT(postcopy_wait_end);

/* Other threads that can wait at a time; more are not counted. */
#define OTHERS_MAX 1024

typedef struct Latency {
    uint64_t count, sum; /* ns */
} Latency;

typedef struct Wait {
    uint32_t tid;
    uintptr_t page; /* 0: does not wait */
    int64_t since;  /* ns */
} Wait;

typedef struct Vcpu {
    Wait wait;
    int64_t blocked; /* ns, of waits that ended */
    Latency latency;
} Vcpu;

static struct {
    bool active;      /* atomic */
    unsigned waiting; /* atomic: threads that wait.  Changed under the lock. */
    GMutex lock;      /* guards what follows; a leaf */
    bool known;       /* there is something to show */
    Vcpu *vcpus;
    int nr_vcpus, nr_blocked;
    int64_t all_since; /* all vCPUs wait since then; valid where nr_blocked is nr_vcpus */
    int64_t all_blocked;
    GArray *others; /* of Wait */
    Latency latency, other_latency;
    uint64_t dist[POSTCOPY_LATENCY_BUCKETS];
} bt;

static int64_t now_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

static void add_latency(Latency *l, int64_t ns)
{
    l->count++;
    l->sum += ns;
}

static uint64_t average(const Latency *l)
{
    return l->count ? l->sum / l->count : 0;
}

int postcopy_latency_bucket(int64_t ns)
{
    uint64_t us = ns / 1000;

    return us < 2 ? 0 : MIN(63 - __builtin_clzll(us), POSTCOPY_LATENCY_BUCKETS - 1);
}

/* ---- lifecycle ---- */

static void forget(void)
{
    g_clear_pointer(&bt.vcpus, g_free);
    if (bt.others) {
        g_array_set_size(bt.others, 0);
    } else {
        bt.others = g_array_new(false, false, sizeof(Wait));
    }
    bt.nr_vcpus = bt.nr_blocked = 0;
    bt.all_blocked = 0;
    bt.latency = bt.other_latency = (Latency){0};
    memset(bt.dist, 0, sizeof(bt.dist));
    bt.known = false;
    qatomic_set(&bt.waiting, 0);
}

void postcopy_blocktime_begin_for(const uint32_t *tids, int n)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);

    forget();
    bt.vcpus = g_new0(Vcpu, n);
    bt.nr_vcpus = n;
    for (int i = 0; i < n; i++) {
        bt.vcpus[i].wait.tid = tids[i];
    }
    bt.known = true;
    qatomic_mb_set(&bt.active, true);
}

void postcopy_blocktime_begin(void)
{
    g_autoptr(GArray) tids = g_array_new(false, false, sizeof(uint32_t));
    CPUState *cpu;

    if (!migrate_postcopy_blocktime()) {
        g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);

        forget();
        return;
    }
    CPU_FOREACH(cpu) {
        uint32_t tid = cpu->thread_id;

        g_array_append_val(tids, tid);
    }
    postcopy_blocktime_begin_for((uint32_t *)tids->data, tids->len);
}

bool postcopy_blocktime_active(void)
{
    return qatomic_mb_read(&bt.active);
}

/* ---- waits ---- */

/* A wait has ended. Returns how long it was. */
static int64_t note_latency(const Wait *wait, int64_t now)
{
    int64_t ns = MAX(now - wait->since, 0);

    trace(postcopy_wait_end, "thread %u, page %p, %" PRId64 " us", wait->tid, (void *)wait->page,
          ns / SCALE_US);
    add_latency(&bt.latency, ns);
    bt.dist[postcopy_latency_bucket(ns)]++;
    return ns;
}

static void vcpu_wait_ended(Vcpu *vcpu, int64_t now)
{
    int64_t ns = note_latency(&vcpu->wait, now);

    add_latency(&vcpu->latency, ns);
    vcpu->blocked += ns;
}

/*
 * The same place again: it was interrupted. Another one: its page has come, and who placed it has
 * not told yet.
 */
static void vcpu_waits(Vcpu *vcpu, uintptr_t page, int64_t now)
{
    if (vcpu->wait.page == page) {
        return;
    }
    if (vcpu->wait.page) {
        vcpu_wait_ended(vcpu, now);
    } else {
        qatomic_set(&bt.waiting, bt.waiting + 1);
        if (++bt.nr_blocked == bt.nr_vcpus) {
            bt.all_since = now;
        }
    }
    vcpu->wait.page = page;
    vcpu->wait.since = now;
}

static void other_waits(uint32_t tid, uintptr_t page, int64_t now)
{
    Wait wait = {tid, page, now};

    for (guint i = 0; tid && i < bt.others->len; i++) {
        Wait *other = &g_array_index(bt.others, Wait, i);

        if (other->tid == tid) {
            if (other->page != page) {
                add_latency(&bt.other_latency, note_latency(other, now));
                *other = wait;
            }
            return;
        }
    }
    if (bt.others->len < OTHERS_MAX) {
        g_array_append_val(bt.others, wait);
        qatomic_set(&bt.waiting, bt.waiting + 1);
    }
}

void postcopy_blocktime_fault_at(uint32_t tid, const void *page, int64_t now)
{
    if (!qatomic_read(&bt.active)) {
        return;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);

    if (!bt.active) {
        return;
    }
    trace(postcopy_wait_begin, "thread %u, page %p", tid, page);
    for (int i = 0; tid && i < bt.nr_vcpus; i++) {
        if (bt.vcpus[i].wait.tid == tid) {
            vcpu_waits(&bt.vcpus[i], (uintptr_t)page, now);
            goto out;
        }
    }
    other_waits(tid, (uintptr_t)page, now);
out:
    smp_mb(); /* the caller looks next whether the page has come: see the header */
}

void postcopy_blocktime_fault(uint32_t tid, const void *page)
{
    postcopy_blocktime_fault_at(tid, page, qatomic_read(&bt.active) ? now_ns() : 0);
}

static bool within(const Wait *wait, uintptr_t start, size_t len)
{
    return wait->page && wait->page - start < len;
}

void postcopy_blocktime_placed_at(const void *start, size_t len, int64_t now)
{
    uintptr_t from = (uintptr_t)start;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);

    for (int i = 0; i < bt.nr_vcpus; i++) {
        Vcpu *vcpu = &bt.vcpus[i];

        if (!within(&vcpu->wait, from, len)) {
            continue;
        }
        vcpu_wait_ended(vcpu, now);
        vcpu->wait.page = 0;
        qatomic_set(&bt.waiting, bt.waiting - 1);
        if (bt.nr_blocked-- == bt.nr_vcpus) {
            bt.all_blocked += MAX(now - bt.all_since, 0);
        }
    }
    for (guint i = bt.others->len; i-- > 0;) {
        Wait *other = &g_array_index(bt.others, Wait, i);

        if (within(other, from, len)) {
            add_latency(&bt.other_latency, note_latency(other, now));
            qatomic_set(&bt.waiting, bt.waiting - 1);
            g_array_remove_index_fast(bt.others, i);
        }
    }
}

void postcopy_blocktime_placed(const void *start, size_t len)
{
    if (!qatomic_read(&bt.active)) {
        return;
    }
    smp_mb(); /* the page is in its place: whoever begins to wait from here on sees that */
    if (qatomic_read(&bt.waiting)) {
        postcopy_blocktime_placed_at(start, len, now_ns());
    }
}

void postcopy_blocktime_end(void)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);

    /* A wait without an end, of a fault that was interrupted, is forgotten. */
    qatomic_set(&bt.active, false);
    qatomic_set(&bt.waiting, 0);
    for (int i = 0; i < bt.nr_vcpus; i++) {
        bt.vcpus[i].wait.page = 0;
    }
    bt.nr_blocked = 0;
    if (bt.others) {
        g_array_set_size(bt.others, 0);
    }
}

/* ---- showing ---- */

void postcopy_blocktime_fill_info(MigrationInfo *info)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&bt.lock);
    uint32List **blocked = &info->postcopy_vcpu_blocktime;
    uint64List **latencies = &info->postcopy_vcpu_latency, **dist = &info->postcopy_latency_dist;

    if (!bt.known) {
        return;
    }
    info->has_postcopy_blocktime = true;
    info->postcopy_blocktime = bt.all_blocked / SCALE_MS;
    info->has_postcopy_vcpu_blocktime = info->has_postcopy_vcpu_latency = true;
    for (int i = 0; i < bt.nr_vcpus; i++) {
        QAPI_LIST_APPEND(blocked, bt.vcpus[i].blocked / SCALE_MS);
        QAPI_LIST_APPEND(latencies, average(&bt.vcpus[i].latency));
    }
    info->has_postcopy_latency = info->has_postcopy_non_vcpu_latency = true;
    info->postcopy_latency = average(&bt.latency);
    info->postcopy_non_vcpu_latency = average(&bt.other_latency);
    info->has_postcopy_latency_dist = true;
    for (int i = 0; i < POSTCOPY_LATENCY_BUCKETS; i++) {
        QAPI_LIST_APPEND(dist, bt.dist[i]);
    }
}
