/*
 * Pages as differences (XBZRLE), in the main stream: the encoder, and the reader beside it.
 *
 * The first pass goes as it would without, and fills nothing: most pages are sent only once. From
 * the second pass on a copy of what is sent is kept, as far as the cache reaches, and the next time
 * only the difference goes. What the cache holds is always exactly what the other side has; that
 * is why pages are encoded and sent from copies, while the guest may go on writing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "options.h"
#include "page_cache.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "ram.h"
#include "xbzrle.h"

#define ENCODING_XBZRLE 0x1
/* Up to so many bytes, applying it to the cached page is less work than copying all of the page. */
#define SMALL_DIFFERENCE 64

/* The migration thread's, but for the counters. */
static struct {
    PageCache *cache;
    uint64_t wanted_size;       /* the size asked for last, whether it could be had or not */
    uint8_t copy[TARGET_PAGE_SIZE], encoded[TARGET_PAGE_SIZE];
    /* For the rates: at the end of the last period. */
    uint64_t pages_before, bytes_before, miss_before, tried_before;
    uint64_t tried;             /* pages that were looked for in the cache */
} xs;

/* Read by query-migrate. */
static struct {
    Stat64 cache_size, bytes, pages, cache_miss, overflow;
    double cache_miss_rate, encoding_rate;
} counters;

XBZRLECacheStats *xbzrle_cache_stats(void)
{
    XBZRLECacheStats *stats;

    if (!stat64_get(&counters.cache_size)) {
        return NULL;
    }
    stats = g_new0(XBZRLECacheStats, 1);
    stats->cache_size = stat64_get(&counters.cache_size);
    stats->bytes = stat64_get(&counters.bytes);
    stats->pages = stat64_get(&counters.pages);
    stats->cache_miss = stat64_get(&counters.cache_miss);
    stats->overflow = stat64_get(&counters.overflow);
    stats->cache_miss_rate = counters.cache_miss_rate;
    stats->encoding_rate = counters.encoding_rate;
    return stats;
}

uint64_t xbzrle_pages_sent(void)
{
    return stat64_get(&counters.pages);
}

void xbzrle_stats_reset(void)
{
    memset(&counters, 0, sizeof(counters));
}

void xbzrle_update_rates(bool whole_run)
{
    if (whole_run) {
        xs.pages_before = xs.bytes_before = xs.miss_before = xs.tried_before = 0;
    }
    uint64_t pages = stat64_get(&counters.pages) - xs.pages_before;
    uint64_t bytes = stat64_get(&counters.bytes) - xs.bytes_before;
    uint64_t miss = stat64_get(&counters.cache_miss) - xs.miss_before;
    uint64_t tried = xs.tried - xs.tried_before;

    if (!xs.cache) {
        return;
    }
    if (tried) {
        counters.cache_miss_rate = (double)miss / tried;
    }
    counters.encoding_rate = bytes ? (double)pages * TARGET_PAGE_SIZE / bytes : 0;
    xs.pages_before += pages;
    xs.bytes_before += bytes;
    xs.miss_before += miss;
    xs.tried_before = xs.tried;
}

/* --- writer --- */

static int setup(QEMUFile *f, Error **errp)
{
    memset(&xs, 0, sizeof(xs));
    xs.wanted_size = migrate_xbzrle_cache_size();
    xs.cache = cache_init(xs.wanted_size, TARGET_PAGE_SIZE, errp);
    if (!xs.cache) {
        return -ENOMEM;
    }
    stat64_set(&counters.cache_size, xs.wanted_size);
    return ram_stream_encoder.setup(f, errp);
}

static void cleanup(void)
{
    g_clear_pointer(&xs.cache, cache_fini);
}

/* The parameter may be changed at any time. */
static void follow_parameter(void)
{
    uint64_t size = migrate_xbzrle_cache_size();
    Error *err = NULL;

    if (size == xs.wanted_size) {
        return;
    }
    xs.wanted_size = size;
    if (cache_resize(xs.cache, size, &err)) {
        stat64_set(&counters.cache_size, size);
    } else {
        warn_reportf_err(err, "XBZRLE goes on with %" PRIu64 " bytes: ", cache_size(xs.cache));
    }
}

static uint64_t key_of(RAMBlock *rb, uint64_t page)
{
    return (uintptr_t)rb->host / TARGET_PAGE_SIZE + page;
}

static void put_copied_page(QEMUFile *f, RAMBlock *rb, uint64_t page, const uint8_t *data)
{
    ram_stream_put_header(f, rb, page, RAM_SAVE_FLAG_PAGE);
    qemu_put_buffer(f, data, TARGET_PAGE_SIZE);
    stat64_add(&mig_stats.normal_pages, 1);
}

/* @cached is what the other side has. */
static void put_difference(QEMUFile *f, RAMBlock *rb, uint64_t page, uint8_t *cached)
{
    int len = xbzrle_encode_buffer(cached, xs.copy, TARGET_PAGE_SIZE, xs.encoded,
                                   TARGET_PAGE_SIZE);
    uint64_t before;

    if (len == 0) {
        return;
    }
    if (len < 0) {
        memcpy(cached, xs.copy, TARGET_PAGE_SIZE);
        stat64_add(&counters.overflow, 1);
        put_copied_page(f, rb, page, xs.copy);
        return;
    }
    if (len > SMALL_DIFFERENCE ||
        xbzrle_decode_buffer(xs.encoded, len, cached, TARGET_PAGE_SIZE) < 0) {
        memcpy(cached, xs.copy, TARGET_PAGE_SIZE);
    }
    ram_stream_put_header(f, rb, page, RAM_SAVE_FLAG_XBZRLE);
    before = qemu_file_transferred(f);
    qemu_put_byte(f, ENCODING_XBZRLE);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, xs.encoded, len);
    stat64_add(&counters.pages, 1);
    stat64_add(&counters.bytes, qemu_file_transferred(f) - before);
}

static void prefetch_page(const uint8_t *data)
{
    for (unsigned at = 0; at < TARGET_PAGE_SIZE; at += 64) {
        __builtin_prefetch(data + at);
    }
}

static void save_page(QEMUFile *f, RAMBlock *rb, uint64_t page, uint64_t age)
{
    const uint8_t *host = rb->host + (page << TARGET_PAGE_BITS);
    uint8_t *cached = cache_lookup(xs.cache, key_of(rb, page), age);

    xs.tried++;
    if (cached) {
        prefetch_page(cached);  /* on its way while the guest's page is copied */
        memcpy(xs.copy, host, TARGET_PAGE_SIZE);
        put_difference(f, rb, page, cached);
        return;
    }
    stat64_add(&counters.cache_miss, 1);
    cached = cache_insert(xs.cache, key_of(rb, page), age);
    if (cached) {
        memcpy(cached, host, TARGET_PAGE_SIZE);
        put_copied_page(f, rb, page, cached);
    } else {
        ram_stream_save_normal_page(f, rb, page);
        stat64_add(&mig_stats.normal_pages, 1);
    }
}

static void save_zero_page(QEMUFile *f, RAMBlock *rb, uint64_t page, uint64_t age)
{
    uint8_t *cached = cache_lookup(xs.cache, key_of(rb, page), age);

    if (cached) {
        memset(cached, 0, TARGET_PAGE_SIZE);
    }
    ram_stream_save_zero_pages(f, rb, page, 1);
}

static int save_run(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                    bool maybe_untouched)
{
    uint64_t age = stat64_get(&mig_stats.dirty_sync_count);

    if (maybe_untouched) {
        return ram_stream_encoder.save_run(f, rb, first, npages, true);
    }
    follow_parameter();
    for (uint64_t page = first; page < first + npages; page++) {
        if (buffer_is_zero(rb->host + (page << TARGET_PAGE_BITS), TARGET_PAGE_SIZE)) {
            save_zero_page(f, rb, page, age);
        } else {
            save_page(f, rb, page, age);
        }
    }
    return qemu_file_get_error(f);
}

const RAMEncoder ram_xbzrle_encoder = {
    .name = "xbzrle",
    .setup = setup,
    .save_run = save_run,
    .cleanup = cleanup,
};

/* --- reader --- */

bool ram_xbzrle_load_page(QEMUFile *f, uint8_t *host, Error **errp)
{
    int encoding = qemu_get_byte(f), ret;
    unsigned len = qemu_get_be16(f);
    uint8_t *data;

    if (qemu_file_get_error(f)) {
        return false;
    }
    if (encoding != ENCODING_XBZRLE) {
        error_setg(errp, "XBZRLE data has encoding %d, expected %d", encoding, ENCODING_XBZRLE);
        return false;
    }
    if (len > TARGET_PAGE_SIZE) {
        error_setg(errp, "XBZRLE data has %u bytes, expected no more than a page's %d", len,
                   (int)TARGET_PAGE_SIZE);
        return false;
    }
    if (qemu_peek_buffer(f, &data, len, 0) < len) {
        return false;
    }
    ret = xbzrle_decode_buffer(data, len, host, TARGET_PAGE_SIZE);
    qemu_file_skip(f, len);
    if (ret < 0) {
        error_setg(errp, "its %u bytes of XBZRLE data are not the difference of a page", len);
        return false;
    }
    return true;
}
