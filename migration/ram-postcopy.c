/*
 * The source's RAM in postcopy.
 *
 * Two threads send pages. The migration thread sends what is left in the background, in runs so
 * short that a page which is asked for does not wait long. The return-path thread sends what the
 * destination asks for, itself, the moment it has read the request: over the preempt channel where
 * there is one, else over the main channel, for which it comes first. Which pages are still to go
 * is in rb->bmap, under bitmap_lock; who has cleared a page's bit sends it, so that no request is
 * answered twice and none is lost.
 *
 * The main channel has one RAM section open nearly all the time; it is closed where a command has
 * to go in between.
 *
 * A block's pages go as whole host pages, since the destination can only place those.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "migration.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram-bitmap.h"
#include "ram-postcopy.h"
#include "ram-release.h"
#include "ram.h"
#include "savevm.h"

TRACE_EVENT(ram_postcopy_begin);
TRACE_EVENT(ram_postcopy_request);
TRACE_EVENT(ram_postcopy_bitmap);

/* Pages of a run in the background: what a page that is asked for may have to wait behind. */
#define RUN_PAGES 32
/* Bytes of the background that may lie in the socket. */
#define SEND_QUEUE (128 * KiB)
/* Requests that may come before the bitmaps after a pause. */
#define KEPT_MAX 65536
/* Untouched memory costs nine bytes a page: how many of these are a run. */
#define UNTOUCHED_RUN_PAGES 4096

typedef struct Run {
    RAMBlock *rb;
    uint64_t first, npages;
} Run;

/* A channel that pages go into. */
typedef struct Lane {
    QemuMutex lock;         /* guards all of it, and what is put into the file */
    QEMUFile *f;            /* NULL: there is none */
    RAMBlock *last;         /* the reader knows this block */
    bool section_open;      /* main channel */
} Lane;

static struct {
    bool begun;             /* main thread, migration thread */
    Lane main, urgent;
    /* Return-path thread wants the main lane; it posts when it has been there. */
    unsigned waiting;       /* atomic */
    QemuCond idle;          /* with main.lock: waiting has become 0 */
    bool paused;            /* the channels are new, or there are none: requests are kept */
    RAMBlock *asked;        /* of the last request; return-path thread */

    QemuMutex bitmap_lock;  /* all bmaps, and: */
    RAMBlock *block;        /* where the background goes on */
    uint64_t page;
    bool untouched;         /* there may be memory that the host never gave out */

    bool attached;          /* requests are answered */
    GArray *kept;           /* of Run: requests that came before */
    GHashTable *unanswered; /* blocks whose bitmap was asked for and has not come */

    /* Known to be touched: pages [touched, touched_end) of a block. Migration thread. */
    RAMBlock *touched_block;
    uint64_t touched, touched_end;
} rp;

static void __attribute__((constructor)) init_locks(void)
{
    qemu_mutex_init(&rp.main.lock);
    qemu_mutex_init(&rp.urgent.lock);
    qemu_mutex_init(&rp.bitmap_lock);
    qemu_cond_init(&rp.idle);
}

static uint64_t unit_pages(const RAMBlock *rb)
{
    return MAX(rb->page_size / TARGET_PAGE_SIZE, 1);
}

/* The switch */

typedef struct Discards {
    QEMUFile *f;
    RAMBlock *rb;
} Discards;

static void put_discard(const uint64_t *pairs, unsigned npairs, void *opaque)
{
    Discards *d = opaque;

    qemu_savevm_send_postcopy_ram_discard(d->f, d->rb->idstr, pairs, npairs);
}

void ram_postcopy_begin(QEMUFile *f)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        uint64_t pages = ram_block_pages(rb);
        uint64_t fresh = ram_bitmap_round_up(rb->bmap, pages, unit_pages(rb));

        bitmap_copy(rb->unsentmap, rb->bmap, pages);
        ram_add_dirty_pages(fresh);
        ram_bitmap_foreach_pairs(rb->bmap, pages, POSTCOPY_DISCARD_PAIRS, put_discard,
                                 &(Discards){f, rb});
        trace(ram_postcopy_begin, "'%s': %" PRIu64 " pages more by whole host pages", rb->idstr,
              fresh);
    }
    rp.begun = true;
    ram_release_begin();
    rp.block = NULL;
    rp.asked = NULL; /* kept over a pause: QEMU goes on with the block that it named before */
    rp.page = 0;
    rp.untouched = ram_is_first_pass();
    rp.touched_block = NULL;
}

void ram_postcopy_attach(QEMUFile *main, QEMUFile *preempt)
{
    qio_channel_bound_send_queue(qemu_file_get_ioc(main), SEND_QUEUE);
    ram_release_forget_unconfirmed();
    rp.main.f = main;
    rp.urgent.f = preempt;
    rp.main.last = rp.urgent.last = NULL;
    rp.main.section_open = false;
    WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
        rp.attached = true;
    }
}

void ram_postcopy_detach(void)
{
    WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
        rp.attached = false;
        rp.paused = rp.begun;
        g_clear_pointer(&rp.kept, g_array_unref);
    }
    rp.main.f = rp.urgent.f = NULL;
}

void ram_postcopy_cleanup(void)
{
    if (rp.begun) {
        ram_postcopy_detach();
        g_clear_pointer(&rp.unanswered, g_hash_table_unref);
        ram_release_cleanup();
        rp.begun = rp.paused = false;
        rp.asked = NULL;
    }
}

/* Lanes */

static void open_section(void)
{
    if (!rp.main.section_open) {
        qemu_savevm_section_begin(rp.main.f, "ram", QEMU_VM_SECTION_PART);
        rp.main.section_open = true;
    }
}

static void close_section(void)
{
    if (rp.main.section_open) {
        qemu_put_be64(rp.main.f, RAM_SAVE_FLAG_EOS);
        qemu_savevm_section_end(rp.main.f, "ram");
        rp.main.section_open = false;
    }
}

/* On the migration thread: the one that answers requests comes first. */
static void lock_main(void)
{
    qemu_mutex_lock(&rp.main.lock);
    while (qatomic_read(&rp.waiting)) {
        qemu_cond_wait(&rp.idle, &rp.main.lock);
    }
}

static void put_record(Lane *lane, RAMBlock *rb, uint64_t page, uint64_t flag)
{
    uint64_t header = page << TARGET_PAGE_BITS | flag;
    size_t len;
    uint8_t *p;

    if (rb == lane->last) {
        stq_be_p(qemu_file_claim(lane->f, 8), header | RAM_SAVE_FLAG_CONTINUE);
        qemu_file_commit(lane->f, 8);
        return;
    }
    lane->last = rb;
    len = strlen(rb->idstr);
    p = qemu_file_claim(lane->f, 8 + 1 + len);
    stq_be_p(p, header);
    p[8] = len;
    memcpy(p + 9, rb->idstr, len);
    qemu_file_commit(lane->f, 9 + len);
}

static void put_zero_page(Lane *lane, RAMBlock *rb, uint64_t page)
{
    put_record(lane, rb, page, RAM_SAVE_FLAG_ZERO);
    qemu_put_byte(lane->f, 0);
}

/* The lane is locked. @untouched: they are known to be zero. */
static int put_pages(Lane *lane, RAMBlock *rb, uint64_t first, uint64_t npages, bool untouched)
{
    uint64_t before = qemu_file_transferred(lane->f), zeroes = 0;
    int ret;

    if (lane == &rp.main) {
        open_section();
    }
    for (uint64_t page = first; page < first + npages; page++) {
        const uint8_t *host = rb->host + (page << TARGET_PAGE_BITS);

        if (untouched || buffer_is_zero(host, TARGET_PAGE_SIZE)) {
            put_zero_page(lane, rb, page);
            zeroes++;
        } else {
            put_record(lane, rb, page, RAM_SAVE_FLAG_PAGE);
            qemu_put_buffer_async(lane->f, host, TARGET_PAGE_SIZE, false);
        }
    }
    stat64_add(&mig_stats.zero_pages, zeroes);
    stat64_add(&mig_stats.normal_pages, npages - zeroes);
    ret = qemu_fflush(lane->f);
    stat64_add(&mig_stats.postcopy_bytes, qemu_file_transferred(lane->f) - before);
    return ret;
}

/* What goes next */

static RAMBlock *next_block(RAMBlock *rb)
{
    rb = rb ? QLIST_NEXT(rb, next) : QLIST_FIRST(&ram_list.blocks);
    while (rb && migrate_ram_is_ignored(rb)) {
        rb = QLIST_NEXT(rb, next);
    }
    return rb;
}

/*
 * Pages [from, end) of a block: the first run of those that are to go, at most @limit. bitmap_lock.
 */
static bool find_run(RAMBlock *rb, uint64_t from, uint64_t end, uint64_t limit, Run *run)
{
    uint64_t first = find_next_bit(rb->bmap, end, from);

    if (first >= end) {
        return false;
    }
    *run = (Run){rb, first, find_next_zero_bit(rb->bmap, MIN(end, first + limit), first) - first};
    return true;
}

static void take_run(const Run *run)
{
    bitmap_clear(run->rb->bmap, run->first, run->npages);
    bitmap_clear(run->rb->unsentmap, run->first, run->npages);
    ram_add_dirty_pages(-(int64_t)run->npages);
}

static uint64_t background_limit(const RAMBlock *rb)
{
    return MAX(rp.untouched ? UNTOUCHED_RUN_PAGES : RUN_PAGES, unit_pages(rb));
}

/* From where the background is; false when nothing is left at all. bitmap_lock. */
static bool find_background(Run *run)
{
    uint64_t from = rp.page;

    if (!ram_bytes_remaining()) {
        return false;
    }
    for (RAMBlock *rb = rp.block; rb; rb = next_block(rb), from = 0) {
        if (find_run(rb, from, ram_block_pages(rb), background_limit(rb), run)) {
            return true;
        }
    }
    for (RAMBlock *rb = next_block(NULL); rb; rb = next_block(rb)) {
        if (find_run(rb, 0, ram_block_pages(rb), background_limit(rb), run)) {
            return true;
        }
    }
    return false;
}

typedef struct Populated {
    uint64_t first, end; /* the first populated range; end 0: none was found */
} Populated;

static void note_populated(uint64_t first, uint64_t npages, void *opaque)
{
    Populated *p = opaque;

    if (!p->end) {
        *p = (Populated){first, first + npages};
    } else if (p->end == first) {
        p->end += npages;
    }
}

/*
 * Of a run in memory that may be untouched: as much as is alike, and at most RUN_PAGES (or a host
 * page) of what is not. True: that is zero. The run is not taken yet, but nobody makes it larger.
 */
static bool cut_untouched(Run *run)
{
    uint64_t limit = MAX(RUN_PAGES, unit_pages(run->rb));
    Populated p = {0};

    if (run->rb != rp.touched_block || run->first < rp.touched || run->first >= rp.touched_end) {
        ram_block_foreach_populated(run->rb, run->first, run->npages, note_populated, &p);
        if (!p.end) {
            return true;
        }
        if (p.first > run->first) {
            p.first = p.first / unit_pages(run->rb) * unit_pages(run->rb);
        }
        rp.touched_block = run->rb;
        rp.touched = p.first;
        rp.touched_end = p.end;
        if (p.first > run->first) {
            run->npages = p.first - run->first;
            return true;
        }
    }
    run->npages = MIN(run->npages, limit);
    if (unit_pages(run->rb) == 1) {
        run->npages = MIN(run->npages, rp.touched_end - run->first);
    }
    return false;
}

int64_t ram_postcopy_send_run(void)
{
    bool untouched = false;
    Run run;
    int ret;

    lock_main();
    qemu_mutex_lock(&rp.bitmap_lock);
    if (!find_background(&run)) {
        qemu_mutex_unlock(&rp.bitmap_lock);
        qemu_mutex_unlock(&rp.main.lock);
        return 0;
    }
    if (rp.untouched) {
        untouched = cut_untouched(&run);
    }
    take_run(&run);
    rp.block = run.rb;
    rp.page = run.first + run.npages;
    qemu_mutex_unlock(&rp.bitmap_lock);
    ret = put_pages(&rp.main, run.rb, run.first, run.npages, untouched);
    if (!untouched && ram_release_note(run.rb, run.first, run.npages)) {
        close_section();
        qemu_savevm_send_ping(rp.main.f, ram_release_question());
    }
    qemu_mutex_unlock(&rp.main.lock);
    return ret < 0 ? ret : (int64_t)run.npages;
}

void ram_postcopy_claim_main(void)
{
    lock_main();
    close_section();
}

void ram_postcopy_release_main(void)
{
    qemu_mutex_unlock(&rp.main.lock);
}

int ram_postcopy_end(void)
{
    int ret;

    /* Whoever has taken a page's bit holds a lane until the page is out. */
    WITH_QEMU_LOCK_GUARD(&rp.urgent.lock) {
        if (rp.urgent.f && migrate_get_current()->preempt_pre_7_2) {
            qemu_put_be64(rp.urgent.f, RAM_SAVE_FLAG_EOS);
            qemu_fflush(rp.urgent.f);
        }
    }
    ram_postcopy_claim_main();
    qemu_savevm_section_begin(rp.main.f, "ram", QEMU_VM_SECTION_END);
    qemu_put_be64(rp.main.f, RAM_SAVE_FLAG_EOS);
    qemu_savevm_section_end(rp.main.f, "ram");
    ret = qemu_fflush(rp.main.f);
    ram_postcopy_release_main();
    return ret;
}

/* After a pause */

#define BITMAP_END 0x0123456789abcdefull

void ram_postcopy_ask_bitmaps(QEMUFile *f)
{
    RAMBlock *rb;

    WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
        g_clear_pointer(&rp.unanswered, g_hash_table_unref);
        rp.unanswered = g_hash_table_new(NULL, NULL);
        RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
            g_hash_table_add(rp.unanswered, rb);
        }
    }
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        qemu_savevm_send_recv_bitmap(f, rb->idstr);
    }
}

unsigned ram_postcopy_bitmaps_missing(void)
{
    QEMU_LOCK_GUARD(&rp.bitmap_lock);

    return rp.unanswered ? g_hash_table_size(rp.unanswered) : 0;
}

/*
 * What has not arrived is to go. What a peer says is believed for the connection that it came by:
 * had it lied, or been the wrong one, the next one says anew. But nobody makes us forget what was
 * never sent. bitmap_lock.
 */
static bool apply_received(RAMBlock *rb, const uint8_t *wire, Error **errp)
{
    uint64_t pages = ram_block_pages(rb);
    g_autofree unsigned long *missing = bitmap_try_new(pages);
    uint64_t left, before = bitmap_count_one(rb->bmap, pages);

    if (!missing) {
        error_setg(errp, "no memory for the bitmap of block '%s'", rb->idstr);
        return false;
    }
    ram_bitmap_from_received(missing, pages, wire);
    ram_bitmap_round_up(missing, pages, unit_pages(rb));
    for (uint64_t i = 0; i < BITS_TO_LONGS(pages); i++) {
        if (rb->unsentmap[i] & ~missing[i]) {
            error_setg(errp, "the bitmap of block '%s' says that page 0x%" PRIx64 " has arrived, "
                       "which was never sent", rb->idstr,
                       i * BITS_PER_LONG + ctz64(rb->unsentmap[i] & ~missing[i]));
            return false;
        }
    }
    if (ram_release_is_gone(rb, missing)) {
        error_setg(errp, "the bitmap of block '%s' says that pages have not arrived which the "
                   "destination had confirmed (release-ram): they are gone", rb->idstr);
        return false;
    }
    left = bitmap_count_one(missing, pages);
    memcpy(rb->bmap, missing, BITS_TO_LONGS(pages) * sizeof(*missing));
    ram_add_dirty_pages((int64_t)left - (int64_t)before);
    trace(ram_postcopy_bitmap, "'%s': %" PRIu64 " pages are to go, before it %" PRIu64, rb->idstr,
          left, before);
    return true;
}

bool ram_postcopy_load_bitmap(QEMUFile *f, const char *block, Error **errp)
{
    RAMBlock *rb = qemu_ram_block_by_name(block);
    g_autofree uint8_t *wire = NULL;
    uint64_t size, expected, end;
    bool asked;

    WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
        asked = rb && rp.unanswered && g_hash_table_contains(rp.unanswered, rb);
    }
    if (!asked) {
        error_setg(errp, "the bitmap of block '%s' came, but was not asked for", block);
        return false;
    }
    size = qemu_get_be64(f);
    expected = ram_bitmap_wire_size(ram_block_pages(rb));
    if (qemu_file_get_error_obj(f, errp)) {
        return false;
    }
    if (size != expected) {
        error_setg(errp, "the bitmap of block '%s' has 0x%" PRIx64 " bytes, expected 0x%" PRIx64,
                   block, size, expected);
        return false;
    }
    wire = g_try_malloc(size);
    if (!wire) {
        error_setg(errp, "no memory for the bitmap of block '%s'", block);
        return false;
    }
    qemu_get_buffer(f, wire, size);
    end = qemu_get_be64(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return false;
    }
    if (end != BITMAP_END) {
        error_setg(errp, "the bitmap of block '%s' ends with 0x%" PRIx64 ", expected 0x%" PRIx64,
                   block, end, (uint64_t)BITMAP_END);
        return false;
    }
    QEMU_LOCK_GUARD(&rp.bitmap_lock);
    if (!apply_received(rb, wire, errp)) {
        return false;
    }
    g_hash_table_remove(rp.unanswered, rb);
    return true;
}

/* Requests */

static Lane *lock_urgent(void)
{
    if (rp.urgent.f) {
        qemu_mutex_lock(&rp.urgent.lock);
        return &rp.urgent;
    }
    qatomic_inc(&rp.waiting);
    qemu_mutex_lock(&rp.main.lock);
    return &rp.main;
}

static void unlock_urgent(Lane *lane)
{
    if (lane == &rp.main && !qatomic_dec_fetch(&rp.waiting)) {
        qemu_cond_signal(&rp.idle);
    }
    qemu_mutex_unlock(&lane->lock);
}

/* What of the range [first, end) is still to go, and no other thread is sending. */
static bool send_asked(RAMBlock *rb, uint64_t first, uint64_t end, Error **errp)
{
    uint64_t limit = MAX(RUN_PAGES, unit_pages(rb));
    Lane *lane = lock_urgent();
    int ret = 0;

    while (ret >= 0) {
        Run run;

        WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
            if (!find_run(rb, first, end, limit, &run)) {
                run.npages = 0;
            } else {
                take_run(&run);
                /* What lies behind it is asked for next, more likely than not. */
                rp.block = rb;
                rp.page = first = run.first + run.npages;
            }
        }
        if (!run.npages) {
            break;
        }
        ret = put_pages(lane, rb, run.first, run.npages, false);
        if (lane == &rp.main) {
            ram_release_note(rb, run.first, run.npages); /* the background asks about it */
        }
    }
    if (ret < 0) {
        qemu_file_get_error_obj(lane->f, errp);
    }
    unlock_urgent(lane);
    return ret >= 0;
}

/*
 * After a pause QEMU's destination may ask before both sides have agreed on what is missing.
 * *@kept: the request waits for that. False: it may not come now.
 */
static bool keep_for_later(RAMBlock *rb, uint64_t first, uint64_t end, bool *kept, Error **errp)
{
    QEMU_LOCK_GUARD(&rp.bitmap_lock);
    Run run = {rb, first, end - first};

    *kept = !rp.attached;
    if (rp.attached) {
        return true;
    }
    if (!rp.paused) {
        error_setg(errp, "pages are asked for, but nothing was handed over yet");
        return false;
    }
    if (!rp.kept) {
        rp.kept = g_array_new(false, false, sizeof(Run));
    }
    if (rp.kept->len >= KEPT_MAX) {
        error_setg(errp, "more than %u requests for pages come before the bitmaps", KEPT_MAX);
        return false;
    }
    g_array_append_val(rp.kept, run);
    return true;
}

bool ram_postcopy_request(const char *block, uint64_t start, uint32_t length, Error **errp)
{
    RAMBlock *rb = block ? qemu_ram_block_by_name(block) : rp.asked;
    uint64_t unit, first, end;
    bool kept;

    if (!rb && !block) {
        error_setg(errp, "the first request for pages names no block");
        return false;
    }
    if (!rb || migrate_ram_is_ignored(rb)) {
        error_setg(errp, "pages of block '%s' are asked for, which does not move", block);
        return false;
    }
    if (!length || start % TARGET_PAGE_SIZE || length % TARGET_PAGE_SIZE ||
        start >= rb->used_length || length > ROUND_UP(rb->used_length, TARGET_PAGE_SIZE) - start) {
        error_setg(errp, "0x%x bytes at 0x%" PRIx64 " of block '%s' are asked for, which has "
                   "0x%" PRIx64 " bytes in pages of 0x%x", length, start, rb->idstr,
                   rb->used_length, (unsigned)TARGET_PAGE_SIZE);
        return false;
    }
    trace(ram_postcopy_request, "'%s' 0x%" PRIx64 "+0x%x", rb->idstr, start, length);
    unit = unit_pages(rb);
    first = (start >> TARGET_PAGE_BITS) / unit * unit;
    end = DIV_ROUND_UP((start + length) >> TARGET_PAGE_BITS, unit) * unit;
    end = MIN(end, ram_block_pages(rb));
    if (!keep_for_later(rb, first, end, &kept, errp)) {
        return false;
    }
    stat64_add(&mig_stats.postcopy_requests, 1);
    rp.asked = rb;
    return kept || send_asked(rb, first, end, errp);
}

bool ram_postcopy_serve_kept(Error **errp)
{
    g_autoptr(GArray) kept = NULL;

    WITH_QEMU_LOCK_GUARD(&rp.bitmap_lock) {
        kept = g_steal_pointer(&rp.kept);
    }
    for (unsigned i = 0; kept && i < kept->len; i++) {
        const Run *run = &g_array_index(kept, Run, i);

        if (!send_asked(run->rb, run->first, run->first + run->npages, errp)) {
            return false;
        }
    }
    return true;
}
