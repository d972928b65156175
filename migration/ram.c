/*
 * Guest RAM on the way out: what is dirty, in which order it goes, what is left.
 *
 * Each block has a bitmap of pages still to send (bmap), which belongs to the migration thread.
 * A sync moves what the accelerators and devices logged into it.  The bitmap is scanned a word
 * at a time for runs of dirty pages; a run goes whole to the encoder (ram-stream.c, and others
 * chosen at setup).
 *
 * Where the accelerator clears its log by hand (KVM), a sync only reports pages; they are
 * protected again chunk by chunk, just before a chunk's first page is read (clear_bmap).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-throttle.h"
#include "migration-stats.h"
#include "migration.h"
#include "multifd.h"
#include "migration/register.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "qapi/error.h"
#include "qapi/qapi-events-migration.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "ram.h"
#include "system/memory.h"

TRACE_EVENT(migration_bitmap_sync);
TRACE_EVENT(ram_save_iterate);

/* Longest run handed over in one call: bounds the time between two looks at the clock. */
#define RUN_PAGES_MAX 512
/* The same where pages were never touched: they cost nothing to send. */
#define UNTOUCHED_RUN_PAGES_MAX (64 * 1024)
/* A round gives way to the migration thread's bookkeeping after this long. */
#define ITERATE_MAX_NS (50 * SCALE_MS)

static struct {
    const RAMEncoder *encoder;
    const RAMEncoder *sender; /* of runs: the encoder, until that has completed */
    bool dirty_log_started;
    bool bulk;              /* first pass: everything is dirty, most perhaps untouched */
    /* Where the scan goes on. */
    RAMBlock *block;
    uint64_t page;
    uint64_t dirty_pages;   /* atomic: bits set in all bmaps */
    uint64_t taken_pages;   /* atomic: that the encoder was given so far */
    /* For the dirty rate. */
    int64_t period_start;   /* ms */
    uint64_t period_pages;
    uint64_t period_sent;   /* bytes, at its start */
    int64_t last_sync;      /* ms */
} rs;

uint64_t ram_bytes_remaining(void)
{
    return qatomic_read(&rs.dirty_pages) * TARGET_PAGE_SIZE;
}

bool ram_is_first_pass(void)
{
    return rs.bulk;
}

void ram_add_dirty_pages(int64_t npages)
{
    qatomic_add(&rs.dirty_pages, npages);
}

bool ram_encoder_may_lag(void)
{
    return rs.encoder->complete != NULL;
}

int ram_finish_encoder(QEMUFile *f)
{
    int ret = rs.encoder->complete(f);

    qemu_put_be64(f, RAM_SAVE_FLAG_EOS);
    return ret < 0 ? ret : qemu_file_get_error(f);
}

uint64_t ram_bytes_unsent(void)
{
    uint64_t taken = qatomic_read(&rs.taken_pages);
    uint64_t sent = stat64_get(&mig_stats.normal_pages) + stat64_get(&mig_stats.zero_pages);

    /* Other encoders have nothing under way when they return, or next to nothing. */
    if (!migrate_multifd() || taken < sent) {
        return ram_bytes_remaining();
    }
    return ram_bytes_remaining() + (taken - sent) * TARGET_PAGE_SIZE;
}

bool migrate_ram_is_ignored(const RAMBlock *rb)
{
    return !qemu_ram_is_migratable(rb) ||
           (migrate_ignore_shared() && qemu_ram_is_shared(rb) && qemu_ram_is_named_file(rb));
}

uint64_t ram_bytes_to_migrate(void)
{
    uint64_t total = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        total += rb->used_length;
    }
    return total;
}

uint64_t ram_block_address(const RAMBlock *rb)
{
    return rb->mr ? rb->mr->addr : 0;
}

/* Chunks of the dirty log that must be cleared before their pages are read. */
static void clear_bmap_set(RAMBlock *rb)
{
    uint64_t chunk_pages = 1ull << rb->clear_bmap_shift;

    bitmap_set(rb->clear_bmap, 0, DIV_ROUND_UP(ram_block_pages(rb), chunk_pages));
}

static void clear_dirty_log(RAMBlock *rb, uint64_t first, uint64_t npages)
{
    uint64_t from = first >> rb->clear_bmap_shift;
    uint64_t to = (first + npages - 1) >> rb->clear_bmap_shift;

    for (uint64_t chunk = find_next_bit(rb->clear_bmap, to + 1, from); chunk <= to;
         chunk = find_next_bit(rb->clear_bmap, to + 1, chunk + 1)) {
        uint64_t start = chunk << rb->clear_bmap_shift;
        uint64_t n = MIN(1ull << rb->clear_bmap_shift, ram_block_pages(rb) - start);

        clear_bit(chunk, rb->clear_bmap);
        if (rb->mr) {
            memory_region_clear_dirty_bitmap(rb->mr, start << TARGET_PAGE_BITS,
                                             n << TARGET_PAGE_BITS);
        }
    }
}

/* All that went out so far. */
static uint64_t ram_bytes_sent(void)
{
    MigrationState *s = migrate_get_current();

    return qemu_file_transferred(s->to_dst_file) + stat64_get(&mig_stats.multifd_bytes);
}

static void update_dirty_rate(uint64_t fresh)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    rs.last_sync = now;
    rs.period_pages += fresh;
    if (now >= rs.period_start + 1000) {
        uint64_t sent = ram_bytes_sent();

        if ((migrate_auto_converge() || migrate_dirty_limit()) && !migration_guest_is_stopped()) {
            cpu_throttle_trigger(sent - rs.period_sent, rs.period_pages * TARGET_PAGE_SIZE);
        }
        rs.period_sent = sent;
        stat64_set(&mig_stats.dirty_pages_rate,
                   rs.period_pages * 1000 / (now - rs.period_start));
        rs.period_start = now;
        rs.period_pages = 0;
        xbzrle_update_rates(false);
        compress_update_rates(false);
    }
}

void migration_bitmap_sync(bool last_stage)
{
    uint64_t fresh = 0;
    RAMBlock *rb;

    stat64_add(&mig_stats.dirty_sync_count, 1);
    memory_global_dirty_log_sync(last_stage);
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        fresh += ram_block_take_dirty(rb, 0, ram_block_pages(rb), rb->bmap);
        clear_bmap_set(rb);
    }
    qatomic_set(&rs.dirty_pages, rs.dirty_pages + fresh);
    memory_global_after_dirty_log_sync();
    update_dirty_rate(fresh);
    stat64_set(&mig_stats.dirty_bytes_last_sync, ram_bytes_remaining());
    trace(migration_bitmap_sync, "pass %" PRIu64 " fresh %" PRIu64 " left %" PRIu64,
          stat64_get(&mig_stats.dirty_sync_count), fresh, rs.dirty_pages);
    if (migrate_events()) {
        qapi_event_send_migration_pass(stat64_get(&mig_stats.dirty_sync_count));
    }
}

static void free_bitmaps(void)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        g_clear_pointer(&rb->bmap, g_free);
        g_clear_pointer(&rb->clear_bmap, g_free);
        g_clear_pointer(&rb->unsentmap, g_free);
    }
}

/* Every page is to be sent. */
static bool init_bitmaps(Error **errp)
{
    uint64_t pages_total = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        uint64_t pages = ram_block_pages(rb);

        rb->clear_bmap_shift = migrate_clear_bitmap_shift();
        rb->bmap = bitmap_try_new(rb->max_length >> TARGET_PAGE_BITS);
        rb->clear_bmap = bitmap_try_new(DIV_ROUND_UP(rb->max_length >> TARGET_PAGE_BITS,
                                                     1ull << rb->clear_bmap_shift));
        if (migrate_postcopy_ram()) {
            rb->unsentmap = bitmap_try_new(rb->max_length >> TARGET_PAGE_BITS);
        }
        if (!rb->bmap || !rb->clear_bmap || (migrate_postcopy_ram() && !rb->unsentmap)) {
            error_setg(errp, "no memory for the dirty bitmap of block '%s'", rb->idstr);
            free_bitmaps();
            return false;
        }
        bitmap_set(rb->bmap, 0, pages);
        pages_total += pages;
    }
    qatomic_set(&rs.dirty_pages, pages_total);
    return true;
}

/*
 * Setup payload: writer; the reader is load_block_list() in ram-stream.c.  A block's name is at
 * most 255 bytes long by its type.  With x-ignore-shared the list has the blocks that are left out
 * too, and says where each lies.
 */
static void put_block_list(QEMUFile *f)
{
    uint64_t total = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        total += rb->used_length;
    }
    qemu_put_be64(f, total | RAM_SAVE_FLAG_MEM_SIZE);
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        qemu_put_counted_string(f, rb->idstr);
        qemu_put_be64(f, rb->used_length);
        if (migrate_postcopy_ram() && rb->page_size != qemu_real_host_page_size()) {
            qemu_put_be64(f, rb->page_size);
        }
        if (migrate_ignore_shared()) {
            qemu_put_be64(f, ram_block_address(rb));
        }
    }
}

static const RAMEncoder *choose_encoder(void)
{
    if (migrate_multifd()) {
        return &ram_multifd_encoder;
    }
    if (migrate_xbzrle()) {
        return &ram_xbzrle_encoder;
    }
    if (migrate_compress()) {
        return &ram_compress_encoder;
    }
    return &ram_stream_encoder;
}

static int ram_save_setup(QEMUFile *f, void *opaque, Error **errp)
{
    bool ok;

    rs.encoder = rs.sender = choose_encoder();
    cpu_throttle_reset();
    rs.bulk = true;
    qatomic_set(&rs.taken_pages, 0);
    rs.block = NULL;
    rs.page = 0;
    rs.period_start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    rs.period_pages = 0;
    rs.period_sent = 0;

    if (rs.encoder->setup && rs.encoder->setup(f, errp) < 0) {
        return -EINVAL;
    }
    WITH_BQL() {
        ok = init_bitmaps(errp) && memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, errp);
        rs.dirty_log_started = ok;
    }
    if (!ok) {
        return -ENOMEM;
    }
    /* From here on every write is logged; what was logged before is part of the first pass. */
    migration_bitmap_sync(false);
    put_block_list(f);
    if (rs.encoder->start && rs.encoder->start(f) < 0) {
        qemu_file_get_error_obj(f, errp);
        return -EIO;
    }
    qemu_put_be64(f, RAM_SAVE_FLAG_EOS);
    return 0;
}

static void ram_save_cleanup(void *opaque)
{
    if (rs.dirty_log_started) {
        memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
        rs.dirty_log_started = false;
    }
    free_bitmaps();
    cpu_throttle_reset();
    qatomic_set(&rs.dirty_pages, 0);
    if (rs.encoder && rs.encoder->cleanup) {
        rs.encoder->cleanup();
    }
    rs.encoder = NULL;
}

static RAMBlock *next_block(RAMBlock *rb)
{
    rb = rb ? QLIST_NEXT(rb, next) : QLIST_FIRST(&ram_list.blocks);
    while (rb && migrate_ram_is_ignored(rb)) {
        rb = QLIST_NEXT(rb, next);
    }
    return rb;
}

/*
 * The next run of dirty pages from where the scan stands; npages 0 when a whole turn found none.
 */
typedef struct DirtyRun {
    RAMBlock *rb;
    uint64_t first, npages;
} DirtyRun;

static bool find_dirty_run(QEMUFile *f, DirtyRun *run, uint64_t limit)
{
    RAMBlock *began = rs.block;
    bool wrapped = false;

    for (;;) {
        if (!rs.block) {
            rs.block = next_block(NULL);
            rs.page = 0;
            if (!rs.block) {
                return false;
            }
        }
        uint64_t pages = ram_block_pages(rs.block);
        uint64_t first = find_next_bit(rs.block->bmap, pages, rs.page);

        if (first < pages) {
            uint64_t end = find_next_zero_bit(rs.block->bmap, MIN(pages, first + limit), first);

            *run = (DirtyRun){rs.block, first, end - first};
            return true;
        }
        if (wrapped && (rs.block == began || !began)) {
            return false; /* a whole turn, the rest of the first block included */
        }
        rs.block = next_block(rs.block);
        rs.page = 0;
        if (!rs.block) {
            rs.bulk = false; /* the first pass is through */
            if (wrapped || (rs.sender->pass_end && rs.sender->pass_end(f) < 0)) {
                return false;
            }
            wrapped = true;
        }
    }
}

/* Send the next run.  Pages sent, 0 when none is dirty, or -errno. */
static int64_t save_next_run(QEMUFile *f)
{
    uint64_t limit = rs.bulk ? UNTOUCHED_RUN_PAGES_MAX : RUN_PAGES_MAX;
    DirtyRun run;
    int ret;

    /* No more than max-bandwidth leaves room for, were every page to be sent whole. */
    limit = CLAMP(migration_rate_left(f) / TARGET_PAGE_SIZE, 1, limit);
    if (!qatomic_read(&rs.dirty_pages) || !find_dirty_run(f, &run, limit)) {
        return qemu_file_get_error(f);
    }
    /* Clean before read: a write from now on is noticed by the next sync. */
    clear_dirty_log(run.rb, run.first, run.npages);
    bitmap_clear(run.rb->bmap, run.first, run.npages);
    qatomic_set(&rs.dirty_pages, rs.dirty_pages - run.npages);
    qatomic_set(&rs.taken_pages, rs.taken_pages + run.npages);
    rs.page = run.first + run.npages;

    ret = rs.sender->save_run(f, run.rb, run.first, run.npages, rs.bulk);
    return ret < 0 ? ret : (int64_t)run.npages;
}

static int ram_save_iterate(QEMUFile *f, void *opaque)
{
    int64_t start = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    uint64_t before = qemu_file_transferred(f);
    int64_t n = 1;          /* 0: nothing more is dirty */

    while (!migration_rate_exceeded(f)) {
        n = save_next_run(f);
        if (n <= 0 || qemu_file_get_error(f)) {
            break;
        }
        if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - start > ITERATE_MAX_NS) {
            break;
        }
    }
    if (rs.encoder->settle && n == 0) {
        /* Else the migration thread would ask for the next run without end. */
        n = rs.encoder->settle(f, ITERATE_MAX_NS / SCALE_US);
    } else if (rs.encoder->settle && n > 0 && migration_rate_exceeded(f)) {
        /* It is what this window has room for, and goes in it. */
        int ret = rs.encoder->settle(f, 0);

        n = ret < 0 ? ret : n;
    }
    if (rs.encoder->section_end && n >= 0) {
        int ret = rs.encoder->section_end(f);

        n = ret < 0 ? ret : n;
    }
    qemu_put_be64(f, RAM_SAVE_FLAG_EOS);
    if (rs.encoder->section_end) {
        qemu_fflush(f); /* the reader's channels may be waiting for it */
    }
    migration_stats_count_ram(qemu_file_transferred(f) - before);
    trace(ram_save_iterate, "left %" PRIu64, rs.dirty_pages);
    if (n < 0) {
        return n;
    }
    if (n > 0 && !migration_guest_is_stopped() &&
        cpu_throttle_wants_sync(rs.last_sync, qemu_clock_get_ms(QEMU_CLOCK_REALTIME))) {
        migration_bitmap_sync(false);
    }
    return qemu_file_get_error(f) ? qemu_file_get_error(f) : n == 0;
}

/* What this program itself has written since the last sync; the accelerator has no news. */
static uint64_t take_late_writes(void)
{
    uint64_t fresh = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        fresh += ram_block_take_dirty(rb, 0, ram_block_pages(rb), rb->bmap);
    }
    qatomic_set(&rs.dirty_pages, rs.dirty_pages + fresh);
    return fresh;
}

/*
 * Without the BQL: the peer may have stopped reading, and that must not keep anybody from
 * cancelling.  Result as save_next_run's.
 */
static int64_t send_last_pages(QEMUFile *f)
{
    int64_t n;

    bql_unlock();
    do {
        n = save_next_run(f);
    } while (n > 0 && !qemu_file_get_error(f));
    bql_lock();
    return n;
}

/* The encoder sends what it has; what is still to come goes in the main stream. */
static void complete_encoder(QEMUFile *f)
{
    if (rs.encoder->complete) {
        bql_unlock();
        rs.encoder->complete(f);    /* an error is the file's too */
        bql_lock();
        rs.sender = &ram_stream_encoder;
    }
}

static int ram_save_complete(QEMUFile *f, void *opaque)
{
    uint64_t before = qemu_file_transferred(f);
    int64_t n;

    migration_bitmap_sync(true);
    /*
     * The guest stands, and all that it wrote has gone: left is what this program wrote since,
     * which is little.  It may still write while the lock is not held (a reset); then it was not
     * all yet.
     */
    complete_encoder(f);
    do {
        n = send_last_pages(f);
    } while (n >= 0 && !qemu_file_get_error(f) && take_late_writes());
    qemu_put_be64(f, RAM_SAVE_FLAG_EOS);
    migration_stats_count_ram(qemu_file_transferred(f) - before);
    xbzrle_update_rates(true);
    compress_update_rates(true);
    return n < 0 ? n : qemu_file_get_error(f);
}

static bool ram_has_postcopy(void *opaque)
{
    return migrate_postcopy_ram();
}

static void ram_state_pending_estimate(void *opaque, uint64_t *must_precopy,
                                       uint64_t *can_postcopy)
{
    *(migrate_postcopy_ram() ? can_postcopy : must_precopy) += ram_bytes_unsent();
}

static void ram_state_pending_exact(void *opaque, uint64_t *must_precopy, uint64_t *can_postcopy)
{
    migration_bitmap_sync(false);
    ram_state_pending_estimate(opaque, must_precopy, can_postcopy);
}

/* Incoming */

static int ram_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    return ram_stream_load_setup(f, errp);
}

static int ram_load_cleanup(void *opaque)
{
    ram_stream_load_cleanup();
    return 0;
}

static int ram_load(QEMUFile *f, void *opaque, int version_id)
{
    return postcopy_incoming_listening() && version_id == RAM_SAVE_VERSION
           ? postcopy_incoming_load_ram(f) : ram_stream_load(f, version_id);
}

static const SaveVMHandlers savevm_ram_handlers = {
    .save_setup = ram_save_setup,
    .save_live_iterate = ram_save_iterate,
    .save_live_complete_precopy = ram_save_complete,
    .has_postcopy = ram_has_postcopy,
    .state_pending_estimate = ram_state_pending_estimate,
    .state_pending_exact = ram_state_pending_exact,
    .save_cleanup = ram_save_cleanup,
    .load_state = ram_load,
    .load_setup = ram_load_setup,
    .load_cleanup = ram_load_cleanup,
};

void ram_mig_init(void)
{
    register_savevm_live("ram", 0, RAM_SAVE_VERSION, &savevm_ram_handlers, &rs);
}
