/*
 * Pages compressed one by one with zlib in the main stream (capability "compress", which QEMU had
 * up to 9.0): the encoder with its threads, and the reader with its own beside it.
 *
 * Both sides deal in batches of pages. A thread works on a batch alone, and what comes of it is
 * taken by the migration thread (load thread): there is a lock only where a batch changes hands.
 *
 * Order: everything is waited for at the end of a section and of a pass. So a page is never in
 * work twice, with one exception on the way in: a section may hold the end of one pass and the
 * beginning of the next. The reader therefore lets no other record touch a page that is in work.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "migration-stats.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/thread.h"
#include "ram.h"

#define BATCH_PAGES 16
/* What zlib may at most make of a page. */
#define COMPRESSED_MAX (TARGET_PAGE_SIZE + (TARGET_PAGE_SIZE >> 12) + (TARGET_PAGE_SIZE >> 14) + \
                        (TARGET_PAGE_SIZE >> 25) + 13)

/* --- workers, for either direction --- */

typedef struct Item {
    RAMBlock *block;
    uint64_t page;
    bool zero;                  /* out: nothing in data */
    uint32_t len;               /* of data; out: 0 where the page is better sent as it is */
    uint8_t data[COMPRESSED_MAX];
} Item;

typedef struct Pool Pool;

typedef struct Worker {
    Pool *pool;
    QemuThread thread;
    z_stream zs;
    uint8_t copy[TARGET_PAGE_SIZE];
    /* Belongs to the thread while busy, else to the owner of the pool. */
    unsigned count;
    Item items[BATCH_PAGES];
    /* pool->lock */
    GCond wake;
    bool busy;
} Worker;

struct Pool {
    unsigned count, ready;      /* workers whose threads run */
    bool compress;
    Worker **workers;
    Worker *filling;            /* the owner's */
    GMutex lock;
    GCond done;
    /* lock */
    bool quit;
    Error *err;
};

/*
 * The guest may be writing to the page, which zlib is not made for. Without the copy its stream
 * could come out damaged.
 */
static void compress_item(Worker *w, Item *item)
{
    memcpy(w->copy, item->block->host + (item->page << TARGET_PAGE_BITS), TARGET_PAGE_SIZE);
    item->zero = buffer_is_zero(w->copy, TARGET_PAGE_SIZE);
    item->len = 0;
    if (item->zero) {
        return;
    }
    deflateReset(&w->zs);
    w->zs.next_in = w->copy;
    w->zs.avail_in = TARGET_PAGE_SIZE;
    w->zs.next_out = item->data;
    w->zs.avail_out = TARGET_PAGE_SIZE;
    if (deflate(&w->zs, Z_FINISH) == Z_STREAM_END) {
        item->len = TARGET_PAGE_SIZE - w->zs.avail_out;
    }
}

static bool decompress_item(Worker *w, const Item *item, Error **errp)
{
    int ret;

    inflateReset(&w->zs);
    w->zs.next_in = (Bytef *)item->data;
    w->zs.avail_in = item->len;
    w->zs.next_out = item->block->host + (item->page << TARGET_PAGE_BITS);
    w->zs.avail_out = TARGET_PAGE_SIZE;
    ret = inflate(&w->zs, Z_FINISH);
    if (ret != Z_STREAM_END || w->zs.avail_out || w->zs.avail_in) {
        error_setg(errp, "block '%s', offset 0x%" PRIx64 ": its %u bytes do not decompress to a "
                   "page: %s", item->block->idstr, item->page << TARGET_PAGE_BITS, item->len,
                   w->zs.msg ? w->zs.msg : "wrong length");
        return false;
    }
    return true;
}

static void work(Worker *w)
{
    Error *err = NULL;

    for (unsigned i = 0; i < w->count && !err; i++) {
        if (w->pool->compress) {
            compress_item(w, &w->items[i]);
        } else {
            decompress_item(w, &w->items[i], &err);
        }
    }
    g_mutex_lock(&w->pool->lock);
    if (err && !w->pool->err) {
        w->pool->err = g_steal_pointer(&err);
    }
    w->busy = false;
    g_cond_signal(&w->pool->done);
    g_mutex_unlock(&w->pool->lock);
    error_free(err);
}

static void *worker_thread(void *opaque)
{
    Worker *w = opaque;

    g_mutex_lock(&w->pool->lock);
    while (!w->pool->quit) {
        if (!w->busy) {
            g_cond_wait(&w->wake, &w->pool->lock);
            continue;
        }
        g_mutex_unlock(&w->pool->lock);
        work(w);
        g_mutex_lock(&w->pool->lock);
    }
    g_mutex_unlock(&w->pool->lock);
    return NULL;
}

static void pool_free(Pool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->quit = true;
    for (unsigned i = 0; i < pool->ready; i++) {
        g_cond_signal(&pool->workers[i]->wake);
    }
    g_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->ready; i++) {
        Worker *w = pool->workers[i];

        qemu_thread_join(&w->thread);
        (void)(pool->compress ? deflateEnd(&w->zs) : inflateEnd(&w->zs));
        g_cond_clear(&w->wake);
        g_free(w);
    }
    g_free(pool->workers);
    error_free(pool->err);
    g_cond_clear(&pool->done);
    g_mutex_clear(&pool->lock);
    g_free(pool);
}

static Pool *pool_new(unsigned count, bool compress, Error **errp)
{
    Pool *pool = g_new0(Pool, 1);

    pool->count = count;
    pool->compress = compress;
    pool->workers = g_new0(Worker *, count);
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->done);
    for (; pool->ready < count; pool->ready++) {
        Worker *w = g_new0(Worker, 1);
        g_autofree char *name = g_strdup_printf(compress ? "mig/src/comp_%u" : "mig/dst/decomp_%u",
                                                pool->ready);
        int ret = compress ? deflateInit(&w->zs, migrate_compress_level()) : inflateInit(&w->zs);

        if (ret != Z_OK) {
            error_setg(errp, "zlib cannot be set up: %s", zError(ret));
            g_free(w);
            pool_free(pool);
            return NULL;
        }
        w->pool = pool;
        g_cond_init(&w->wake);
        pool->workers[pool->ready] = w;
        qemu_thread_create(&w->thread, name, worker_thread, w, QEMU_THREAD_JOINABLE);
    }
    return pool;
}

static void pool_start(Pool *pool, Worker *w)
{
    g_mutex_lock(&pool->lock);
    w->busy = true;
    g_cond_signal(&w->wake);
    g_mutex_unlock(&pool->lock);
}

/* A worker that has nothing to do; NULL: all are busy, and @wait is not set. */
static Worker *pool_idle(Pool *pool, bool wait)
{
    Worker *found = NULL;

    g_mutex_lock(&pool->lock);
    for (;;) {
        for (unsigned i = 0; i < pool->count && !found; i++) {
            found = pool->workers[i]->busy ? NULL : pool->workers[i];
        }
        if (found || !wait) {
            break;
        }
        g_cond_wait(&pool->done, &pool->lock);
    }
    g_mutex_unlock(&pool->lock);
    return found;
}

static void pool_wait(Pool *pool, Worker *w)
{
    g_mutex_lock(&pool->lock);
    while (w->busy) {
        g_cond_wait(&pool->done, &pool->lock);
    }
    g_mutex_unlock(&pool->lock);
}

/* --- writer --- */

static Pool *out; /* the migration thread's */

/* Read by query-migrate. */
static struct {
    Stat64 used, pages, busy, compressed_size;
    double busy_rate, compression_rate;
    uint64_t tried, tried_before, busy_before, size_before, pages_before;
} counters;

CompressionStats *compress_stats(void)
{
    CompressionStats *stats;

    if (!stat64_get(&counters.used)) {
        return NULL;
    }
    stats = g_new0(CompressionStats, 1);
    stats->pages = stat64_get(&counters.pages);
    stats->busy = stat64_get(&counters.busy);
    stats->busy_rate = counters.busy_rate;
    stats->compressed_size = stat64_get(&counters.compressed_size);
    stats->compression_rate = counters.compression_rate;
    return stats;
}

uint64_t compress_pages_sent(void)
{
    return stat64_get(&counters.pages);
}

void compress_stats_reset(void)
{
    memset(&counters, 0, sizeof(counters));
}

void compress_update_rates(bool whole_run)
{
    if (whole_run) {
        counters.tried_before = counters.busy_before = 0;
        counters.size_before = counters.pages_before = 0;
    }
    uint64_t tried = counters.tried - counters.tried_before;
    uint64_t busy = stat64_get(&counters.busy) - counters.busy_before;
    uint64_t size = stat64_get(&counters.compressed_size) - counters.size_before;
    uint64_t pages = stat64_get(&counters.pages) - counters.pages_before;

    if (tried) {
        counters.busy_rate = (double)busy / tried;
    }
    if (size) {
        counters.compression_rate = (double)pages * TARGET_PAGE_SIZE / size;
    }
    counters.tried_before += tried;
    counters.busy_before += busy;
    counters.size_before += size;
    counters.pages_before += pages;
}

static int send_setup(QEMUFile *f, Error **errp)
{
    out = pool_new(migrate_compress_threads(), true, errp);
    if (!out) {
        return -ENOMEM;
    }
    stat64_set(&counters.used, 1);
    return ram_stream_encoder.setup(f, errp);
}

static void send_cleanup(void)
{
    g_clear_pointer(&out, pool_free);
}

/* Write what a worker has made, and make it ready for more. */
static void collect(QEMUFile *f, Worker *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        const Item *item = &w->items[i];

        if (item->zero) {
            ram_stream_save_zero_pages(f, item->block, item->page, 1);
        } else if (!item->len) {
            ram_stream_save_normal_page(f, item->block, item->page);
            stat64_add(&mig_stats.normal_pages, 1);
        } else {
            uint64_t before;

            ram_stream_put_header(f, item->block, item->page, RAM_SAVE_FLAG_COMPRESS_PAGE);
            before = qemu_file_transferred(f);
            qemu_put_be32(f, item->len);
            qemu_put_buffer(f, item->data, item->len);
            stat64_add(&counters.pages, 1);
            stat64_add(&counters.compressed_size, qemu_file_transferred(f) - before);
        }
    }
    w->count = 0;
}

static void send_filling(void)
{
    if (out->filling && out->filling->count) {
        pool_start(out, out->filling);
    }
    out->filling = NULL;
}

static void save_page(QEMUFile *f, RAMBlock *rb, uint64_t page)
{
    Worker *w = out->filling;

    counters.tried++;
    if (!w) {
        w = pool_idle(out, migrate_compress_wait_thread());
        if (!w) {
            stat64_add(&counters.busy, 1);
            ram_stream_save_normal_page(f, rb, page);
            stat64_add(&mig_stats.normal_pages, 1);
            return;
        }
        collect(f, w);
        out->filling = w;
    }
    w->items[w->count].block = rb;
    w->items[w->count].page = page;
    if (++w->count == BATCH_PAGES) {
        send_filling();
    }
}

typedef struct SaveRun {
    QEMUFile *f;
    RAMBlock *rb;
    uint64_t next;
} SaveRun;

static void save_populated(uint64_t first, uint64_t npages, void *opaque)
{
    SaveRun *run = opaque;

    if (first > run->next) {
        ram_stream_save_zero_pages(run->f, run->rb, run->next, first - run->next);
    }
    for (uint64_t page = first; page < first + npages; page++) {
        save_page(run->f, run->rb, page);
    }
    run->next = first + npages;
}

static int send_run(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                    bool maybe_untouched)
{
    SaveRun run = {f, rb, first};

    if (maybe_untouched) {
        ram_block_foreach_populated(rb, first, npages, save_populated, &run);
        if (run.next < first + npages) {
            ram_stream_save_zero_pages(f, rb, run.next, first + npages - run.next);
        }
    } else {
        save_populated(first, npages, &run);
    }
    return qemu_file_get_error(f);
}

static int send_flush(QEMUFile *f)
{
    send_filling();
    for (unsigned i = 0; i < out->count; i++) {
        pool_wait(out, out->workers[i]);
        collect(f, out->workers[i]);
    }
    return qemu_file_get_error(f);
}

const RAMEncoder ram_compress_encoder = {
    .name = "compress",
    .setup = send_setup,
    .save_run = send_run,
    .pass_end = send_flush,
    .section_end = send_flush,
    .complete = send_flush,
    .cleanup = send_cleanup,
};

/* --- reader --- */

static Pool *in; /* the load thread's */

bool ram_compress_pending(void)
{
    return in;
}

void ram_compress_load_cleanup(void)
{
    g_clear_pointer(&in, pool_free);
}

static bool take_error(Error **errp)
{
    bool failed;

    g_mutex_lock(&in->lock);
    failed = in->err;
    if (failed) {
        error_propagate(errp, g_steal_pointer(&in->err));
    }
    g_mutex_unlock(&in->lock);
    return failed;
}

static void load_filling(void)
{
    if (in->filling) {
        pool_start(in, in->filling);
    }
    in->filling = NULL;
}

bool ram_compress_load_flush(Error **errp)
{
    if (!in) {
        return true;
    }
    load_filling();
    for (unsigned i = 0; i < in->count; i++) {
        pool_wait(in, in->workers[i]);
        in->workers[i]->count = 0;
    }
    return !take_error(errp);
}

/* Batches that are done keep their pages' numbers until filled anew: this errs on one side. */
static bool in_work(const RAMBlock *rb, uint64_t page)
{
    for (unsigned i = 0; i < in->count; i++) {
        for (unsigned j = 0; j < in->workers[i]->count; j++) {
            if (in->workers[i]->items[j].page == page && in->workers[i]->items[j].block == rb) {
                return true;
            }
        }
    }
    return false;
}

bool ram_compress_load_settle(RAMBlock *rb, uint64_t page, Error **errp)
{
    return !in || !in_work(rb, page) || ram_compress_load_flush(errp);
}

/* 0: the reason is in errp, or in the file. */
static uint32_t load_length(QEMUFile *f, Error **errp)
{
    uint32_t len = qemu_get_be32(f);

    if (qemu_file_get_error(f)) {
        return 0;
    }
    if (!len || len > COMPRESSED_MAX) {
        error_setg(errp, "a compressed page has %u bytes, expected 1 to %u", len,
                   (unsigned)COMPRESSED_MAX);
        return 0;
    }
    return len;
}

bool ram_compress_load_page_to(QEMUFile *f, uint8_t *to, Error **errp)
{
    uint32_t len = load_length(f, errp);
    uLong used = len;
    uLongf made = TARGET_PAGE_SIZE;
    uint8_t data[COMPRESSED_MAX];

    if (!len || qemu_get_buffer(f, data, len) < len) {
        return false;
    }
    if (uncompress2(to, &made, data, &used) != Z_OK || made != TARGET_PAGE_SIZE || used != len) {
        error_setg(errp, "its %u bytes do not decompress to a page", len);
        return false;
    }
    return true;
}

bool ram_compress_load_page(QEMUFile *f, RAMBlock *rb, uint64_t page, Error **errp)
{
    uint32_t len = load_length(f, errp);
    Item *item;

    if (!len) {
        return false;
    }
    if (!in) {
        in = pool_new(migrate_decompress_threads(), false, errp);
        if (!in) {
            return false;
        }
    }
    if (!ram_compress_load_settle(rb, page, errp)) {
        return false;
    }
    if (!in->filling) {
        in->filling = pool_idle(in, true);
        in->filling->count = 0;
        if (take_error(errp)) {
            return false;
        }
    }
    item = &in->filling->items[in->filling->count];
    item->block = rb;
    item->page = page;
    item->len = len;
    if (qemu_get_buffer(f, item->data, len) < len) {
        return false;
    }
    if (++in->filling->count == BATCH_PAGES) {
        load_filling();
    }
    return true;
}
