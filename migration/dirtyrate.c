/*
 * calc-dirty-rate and query-dirty-rate: how fast the guest writes to its memory.
 *
 * A thread looks at the memory, sleeps for as long as was asked, and looks again. What it looks at
 * is the mode: the contents of some pages (page-sampling), the log of written pages
 * (dirty-bitmap), or what the accelerator's rings note of each vCPU (dirty-ring).
 *
 * Locking: one measurement at a time. Blocks come and go under the BQL, so samples are chosen with
 * it, and their regions referenced: they are read without. The measurement's data are the thread's
 * while it measures; queries look at the few words that tell how far it is, under a lock of their
 * own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "dirtyrate.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram.h"
#include "system/cpus.h"
#include "system/memory.h"

TRACE_EVENT(dirtyrate_begin);
TRACE_EVENT(dirtyrate_end);

#define CALC_TIME_MIN_MS 50
#define CALC_TIME_MAX_MS 60000
#define SAMPLE_PAGES_DEFAULT 512
#define SAMPLE_PAGES_MIN 128
#define SAMPLE_PAGES_MAX 16384
/* Of small blocks at least so many pages, or all. */
#define BLOCK_SAMPLE_MIN 64

static struct {
    QemuMutex lock; /* guards info; the rest belongs to the thread */
    DirtyRateInfo info;
    int64_t calc_ms;
    GRand *rand;
    GArray *samples;    /* of DirtySample */
    GArray *vcpu_pages; /* of uint64_t: where each vCPU's count stood, by position in the list */
} measure = {.info.mode = DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING};

static void __attribute__((constructor)) init_measure(void)
{
    qemu_mutex_init(&measure.lock);
}

/* Arithmetic */

uint32_t dirty_sample_count(uint64_t block_pages, uint64_t per_gib)
{
    uint64_t count = block_pages * per_gib / (GiB / TARGET_PAGE_SIZE);

    return MIN(MAX(count, BLOCK_SAMPLE_MIN), block_pages);
}

/* One page in each of as many stretches of equal length: never the same twice, and in order. */
void dirty_sample_choose(DirtySample *sample, GRand *rand)
{
    for (uint32_t i = 0; i < sample->count; i++) {
        uint64_t first = sample->block_pages * i / sample->count;
        uint64_t end = sample->block_pages * (i + 1) / sample->count;

        sample->page[i] = first + (uint64_t)(g_rand_double(rand) * (end - first));
    }
}

uint32_t dirty_sample_hash(const void *page)
{
    return crc32(0, page, TARGET_PAGE_SIZE);
}

double dirty_sample_bytes(const DirtySample *sample, uint32_t changed)
{
    return sample->count ? (double)changed / sample->count * sample->block_pages * TARGET_PAGE_SIZE
                         : 0;
}

int64_t dirty_rate_mb(double bytes, int64_t ms)
{
    return bytes * 1000 / MAX(ms, 1) / MiB + 0.5;
}

/* Page sampling */

static void free_sample(void *opaque)
{
    DirtySample *s = opaque;

    if (s->mr) {
        memory_region_unref(s->mr);
    }
    g_free(s->page);
    g_free(s->hash);
}

static void choose_samples(uint64_t per_gib)
{
    RAMBlock *rb;

    BQL_LOCK_GUARD();
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        DirtySample s = {.block_pages = ram_block_pages(rb), .host = rb->host, .mr = rb->mr};

        s.count = dirty_sample_count(s.block_pages, per_gib);
        s.page = g_new(uint64_t, s.count);
        s.hash = g_new0(uint32_t, s.count);
        if (s.mr) {
            memory_region_ref(s.mr);
        }
        dirty_sample_choose(&s, measure.rand);
        g_array_append_val(measure.samples, s);
    }
}

/* How many of the pages have another hash than they had. */
static uint32_t hash_sample(DirtySample *s)
{
    uint32_t changed = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t hash = dirty_sample_hash(s->host + s->page[i] * TARGET_PAGE_SIZE);

        changed += hash != s->hash[i];
        s->hash[i] = hash;
    }
    return changed;
}

/*
 * Reads all samples, without the BQL: in postcopy a page may be missing, and then this waits until
 * it comes, perhaps for ever. Returns the bytes that were written to, if they are typical.
 */
static double hash_samples(void)
{
    double bytes = 0;

    for (guint i = 0; i < measure.samples->len; i++) {
        DirtySample *s = &g_array_index(measure.samples, DirtySample, i);

        bytes += dirty_sample_bytes(s, hash_sample(s));
    }
    return bytes;
}

/* The log of written pages */

/*
 * A migration may run, and use the log too. What is dirty for it already, such as all of memory in
 * its first pass, has to be noted when it is written again: so it is noted apart (rb->written), and
 * the accelerator's log is cleared. The migration loses nothing by that: what the accelerator has
 * told is in rb->dirty, and it clears no more of its log than that.
 */
bool dirty_log_begin(Error **errp)
{
    RAMBlock *rb;

    if (!memory_global_dirty_log_start(GLOBAL_DIRTY_DIRTY_RATE, errp)) {
        return false;
    }
    memory_global_dirty_log_sync(false);
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        if (rb->mr) {
            memory_region_clear_dirty_bitmap(rb->mr, 0, rb->used_length);
        }
    }
    ram_written_begin();
    return true;
}

uint64_t dirty_log_end(void)
{
    memory_global_dirty_log_sync(false);
    memory_global_dirty_log_stop(GLOBAL_DIRTY_DIRTY_RATE);
    return ram_written_end();
}

/* Dirty rings */

static bool rings_begin(Error **errp)
{
    CPUState *cpu;

    BQL_LOCK_GUARD();
    if (!memory_global_dirty_log_start(GLOBAL_DIRTY_DIRTY_RATE, errp)) {
        return false;
    }
    memory_global_dirty_log_sync(false);
    CPU_FOREACH(cpu) {
        uint64_t pages = cpu_count_dirty_pages(cpu);

        g_array_append_val(measure.vcpu_pages, pages);
    }
    return true;
}

/* Returns the bytes that all have written; what each has goes to @list. */
static double rings_end(int64_t ms, DirtyRateVcpuList **list)
{
    DirtyRateVcpuList **tail = list;
    double total = 0;
    CPUState *cpu;
    guint i = 0;

    BQL_LOCK_GUARD();
    memory_global_dirty_log_sync(false);
    CPU_FOREACH(cpu) {
        DirtyRateVcpu *vcpu = g_new0(DirtyRateVcpu, 1);
        double bytes = 0;

        if (i < measure.vcpu_pages->len) {
            bytes = (double)(cpu_count_dirty_pages(cpu) -
                             g_array_index(measure.vcpu_pages, uint64_t, i)) * TARGET_PAGE_SIZE;
        }
        vcpu->id = cpu->cpu_index;
        vcpu->dirty_rate = dirty_rate_mb(bytes, ms);
        QAPI_LIST_APPEND(tail, vcpu);
        total += bytes;
        i++;
    }
    memory_global_dirty_log_stop(GLOBAL_DIRTY_DIRTY_RATE);
    return total;
}

/* The thread */

static void sleep_until(int64_t end_ms)
{
    int64_t left;

    while ((left = end_ms - qemu_clock_get_ms(QEMU_CLOCK_REALTIME)) > 0) {
        g_usleep(left * 1000);
    }
}

/* Megabytes a second. */
static bool do_measure(DirtyRateMeasureMode mode, int64_t *rate, DirtyRateVcpuList **vcpus,
                       Error **errp)
{
    int64_t start, ms;
    bool ok = true;
    double bytes;

    switch (mode) {
    case DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING:
        choose_samples(measure.info.sample_pages);
        hash_samples();
        break;
    case DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP:
        WITH_BQL() {
            ok = dirty_log_begin(errp);
        }
        break;
    default:
        ok = rings_begin(errp);
        break;
    }
    if (!ok) {
        return false;
    }
    start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    sleep_until(start + measure.calc_ms);
    ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - start;
    switch (mode) {
    case DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING:
        bytes = hash_samples();
        break;
    case DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP:
        WITH_BQL() {
            bytes = (double)dirty_log_end() * TARGET_PAGE_SIZE;
        }
        break;
    default:
        bytes = rings_end(ms, vcpus);
        break;
    }
    *rate = dirty_rate_mb(bytes, ms);
    trace(dirtyrate_end, "%.0f bytes in %" PRId64 " ms", bytes, ms);
    return true;
}

static void *measure_thread(void *opaque)
{
    DirtyRateVcpuList *vcpus = NULL;
    Error *err = NULL;
    int64_t rate = 0;
    bool ok;

    measure.rand = g_rand_new();
    measure.samples = g_array_new(false, true, sizeof(DirtySample));
    g_array_set_clear_func(measure.samples, free_sample);
    measure.vcpu_pages = g_array_new(false, true, sizeof(uint64_t));
    ok = do_measure(measure.info.mode, &rate, &vcpus, &err);
    WITH_BQL() {
        g_clear_pointer(&measure.samples, g_array_unref);
    }
    g_clear_pointer(&measure.vcpu_pages, g_array_unref);
    g_clear_pointer(&measure.rand, g_rand_free);
    if (!ok) {
        error_prepend(&err, "the dirty rate cannot be measured: ");
        error_report_err(err);
    }
    WITH_QEMU_LOCK_GUARD(&measure.lock) {
        measure.info.status = ok ? DIRTY_RATE_STATUS_MEASURED : DIRTY_RATE_STATUS_UNSTARTED;
        measure.info.has_dirty_rate = ok;
        measure.info.dirty_rate = rate;
        measure.info.has_vcpu_dirty_rate = vcpus != NULL;
        measure.info.vcpu_dirty_rate = vcpus;
    }
    return NULL;
}

/* Commands */

static bool check_arguments(int64_t calc_ms, bool has_sample_pages, int64_t sample_pages,
                            DirtyRateMeasureMode mode, Error **errp)
{
    bool rings = cpus_dirty_ring_size() != 0;

    if (calc_ms < CALC_TIME_MIN_MS || calc_ms > CALC_TIME_MAX_MS) {
        error_setg(errp, "Calculation time is out of range [%dms, %dms].", CALC_TIME_MIN_MS,
                   CALC_TIME_MAX_MS);
        return false;
    }
    if (has_sample_pages && mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        error_setg(errp, "sample-pages is used only in page-sampling mode");
        return false;
    }
    if (has_sample_pages && (sample_pages < SAMPLE_PAGES_MIN || sample_pages > SAMPLE_PAGES_MAX)) {
        error_setg(errp, "sample-pages is out of range[%d, %d].", SAMPLE_PAGES_MIN,
                   SAMPLE_PAGES_MAX);
        return false;
    }
    if ((mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING && !rings) ||
        (mode == DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP && rings)) {
        error_setg(errp, "mode %s is not enabled, use other method instead.",
                   DirtyRateMeasureMode_str(mode));
        return false;
    }
    return true;
}

void qmp_calc_dirty_rate(int64_t calc_time, bool has_calc_time_unit, TimeUnit calc_time_unit,
                         bool has_sample_pages, int64_t sample_pages, bool has_mode,
                         DirtyRateMeasureMode mode, Error **errp)
{
    bool in_ms = has_calc_time_unit && calc_time_unit == TIME_UNIT_MILLISECOND;
    int64_t calc_ms = in_ms ? calc_time : CLAMP(calc_time, 0, CALC_TIME_MAX_MS) * 1000;
    bool sampling;
    QemuThread thread;

    mode = has_mode ? mode : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
    sampling = mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
    QEMU_LOCK_GUARD(&measure.lock);
    if (measure.info.status == DIRTY_RATE_STATUS_MEASURING) {
        error_setg(errp, "the dirty rate is already being measured.");
        return;
    }
    if (!check_arguments(calc_ms, has_sample_pages, sample_pages, mode, errp)) {
        return;
    }
    qapi_free_DirtyRateVcpuList(measure.info.vcpu_dirty_rate);
    measure.info = (DirtyRateInfo){
        .status = DIRTY_RATE_STATUS_MEASURING,
        .start_time = g_get_real_time() / G_USEC_PER_SEC,
        .sample_pages = !sampling ? 0 : has_sample_pages ? sample_pages : SAMPLE_PAGES_DEFAULT,
        .mode = mode,
    };
    measure.calc_ms = calc_ms;
    trace(dirtyrate_begin, "%s for %" PRId64 " ms", DirtyRateMeasureMode_str(mode), calc_ms);
    qemu_thread_create(&thread, "dirtyrate", measure_thread, NULL, QEMU_THREAD_DETACHED);
}

DirtyRateInfo *qmp_query_dirty_rate(bool has_calc_time_unit, TimeUnit calc_time_unit, Error **errp)
{
    DirtyRateInfo *info = g_new0(DirtyRateInfo, 1);
    DirtyRateVcpuList **tail = &info->vcpu_dirty_rate;

    QEMU_LOCK_GUARD(&measure.lock);
    *info = measure.info;
    info->vcpu_dirty_rate = NULL;
    for (DirtyRateVcpuList *l = measure.info.vcpu_dirty_rate; l; l = l->next) {
        QAPI_LIST_APPEND(tail, g_memdup2(l->value, sizeof(*l->value)));
    }
    info->calc_time_unit = has_calc_time_unit ? calc_time_unit : TIME_UNIT_SECOND;
    info->calc_time = info->calc_time_unit == TIME_UNIT_MILLISECOND ? measure.calc_ms
                                                                    : measure.calc_ms / 1000;
    return info;
}
