/*
 * Multifd on the way out: which pages go into which batch, and which channel gets it.
 *
 * A batch is of one block: pages that have to be read, for a few packets, or one run of any length
 * that the host never gave out, which becomes packets of zero pages without being read. A channel
 * has at most one batch in work and one waiting, so what is under way is bounded, and it need not
 * wait for the migration thread; that one waits when all have enough.
 *
 * What is under way still has to go when the guest stops. ram.c counts it (ram_bytes_unsent()), and
 * where nothing more is dirty it lets the channels finish before the next look.
 *
 * Where pages lie close together, a batch is one stretch of the size of a huge page: on the other
 * side the memory is then made, and cleared, by one thread rather than by several at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "multifd-send.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"

/* What is in the channels' hands must be gone in a hundredth of a second. */
#define MUCH_PER_SECOND 100

/*
 * What channels have in hand still has to go when the guest stops. So they get much only where that
 * takes next to no time, and is little of what max-bandwidth lets through.
 */
static bool may_have_much(const SendState *s, QEMUFile *f)
{
    uint64_t most = s->count * 2ull * BATCH_PAGES_MAX * TARGET_PAGE_SIZE;
    uint64_t bandwidth = migrate_get_current()->bandwidth;

    return (!bandwidth || bandwidth / MUCH_PER_SECOND >= most) &&
           migration_rate_left(f) / 2 >= most;
}

/*
 * A channel that can take a batch: one that has nothing to do, else, if it @may_wait, one that has
 * none waiting.
 */
static SendChannel *find_channel_locked(SendState *s, bool may_wait)
{
    SendChannel *found = NULL;

    for (unsigned i = 0; i < s->count; i++) {
        SendChannel *c = &s->channels[(s->next + i) % s->count];

        if (!c->queued && !c->sync) {
            if (!c->busy) {
                return c;
            }
            found = found ?: may_wait ? c : NULL;
        }
    }
    return found;
}

int multifd_send_dispatch(SendState *s, QEMUFile *f)
{
    bool much = may_have_much(s, f);
    SendChannel *c = NULL;
    Batch *empty;

    if (!s->filling->npages) {
        return 0;
    }
    g_mutex_lock(&multifd_send_lock);
    while (!s->quit && !(c = find_channel_locked(s, much))) {
        multifd_send_wait_locked(s, f);
    }
    if (c) {
        assert(!c->last);
        empty = c->batch;
        c->batch = s->filling;
        c->queued = true;
        s->filling = empty;
        g_cond_signal(&c->wake);
    }
    g_mutex_unlock(&multifd_send_lock);
    if (!c) {
        return multifd_send_report_end(s, f);
    }
    s->next = c->id + 1;
    s->filling->npages = s->filling->nruns = 0;
    return 0;
}

/*
 * Pages that still fit into the batch, for a run that begins at @first. A batch of more than a
 * packet ends where a stretch does.
 */
static uint64_t room_left(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first)
{
    const Batch *b = s->filling;
    uint64_t in_stretch = BATCH_PAGES_MAX - first % BATCH_PAGES_MAX, in_packet;

    if (b->npages && b->block != rb) {
        return 0;
    }
    in_packet = b->npages < MULTIFD_PACKET_PAGES ? MULTIFD_PACKET_PAGES - b->npages : 0;
    if (!may_have_much(s, f)) {
        return in_packet;
    }
    if (b->npages >= BATCH_PAGES_MAX || (!in_packet && in_stretch == BATCH_PAGES_MAX)) {
        return 0;
    }
    return MIN(BATCH_PAGES_MAX - b->npages, MAX(in_stretch, in_packet));
}

/* Pages that there is room for in the batch, at least one; it is @rb's then. Or -errno. */
static int64_t make_room(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first)
{
    uint64_t room = room_left(s, f, rb, first);

    if (!room) {
        int ret = multifd_send_dispatch(s, f);

        if (ret < 0) {
            return ret;
        }
        room = room_left(s, f, rb, first);
    }
    s->filling->block = rb;
    return room;
}

static void add_run(SendState *s, uint64_t first, uint64_t npages, bool untouched)
{
    Batch *b = s->filling;

    if (!untouched) {
        qatomic_add(&s->pages_in_hand, npages);
    }
    b->runs[b->nruns++] = (PageRun){first, npages, untouched};
    b->npages += npages;
}

/* Short runs join the batch; a long one is a batch of its own. */
static int add_untouched(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    int64_t room;

    if (s->zero_in_main) {
        ram_stream_save_zero_pages(f, rb, first, npages);
        return qemu_file_get_error(f);
    }
    room = make_room(s, f, rb, first);
    if (room > 0 && npages > (uint64_t)room) {
        room = multifd_send_dispatch(s, f);
        s->filling->block = rb;
    }
    if (room < 0) {
        return room;
    }
    add_run(s, first, npages, true);
    return 0;
}

static int add_touched(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    while (npages) {
        int64_t room = make_room(s, f, rb, first);
        uint64_t n;

        if (room < 0) {
            return room;
        }
        n = MIN(npages, (uint64_t)room);
        add_run(s, first, n, false);
        first += n;
        npages -= n;
    }
    return 0;
}

typedef struct SaveRun {
    SendState *s;
    QEMUFile *f;
    RAMBlock *rb;
    uint64_t next;              /* first page not yet taken */
    int ret;
} SaveRun;

/* Zero pages are looked for here: runs of either kind. */
static int add_looked_at(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    uint64_t end = first + npages;

    while (first < end) {
        uint64_t n = 0;
        bool zero = buffer_is_zero(rb->host + (first << TARGET_PAGE_BITS), TARGET_PAGE_SIZE);
        int ret;

        do {
            n++;
        } while (first + n < end &&
                 buffer_is_zero(rb->host + ((first + n) << TARGET_PAGE_BITS), TARGET_PAGE_SIZE) ==
                     zero);
        ret = zero ? add_untouched(s, f, rb, first, n) : add_touched(s, f, rb, first, n);
        if (ret < 0) {
            return ret;
        }
        first += n;
    }
    return 0;
}

static int add_populated(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    return s->detect_zero_here ? add_looked_at(s, f, rb, first, npages)
                               : add_touched(s, f, rb, first, npages);
}

static void save_populated(uint64_t first, uint64_t npages, void *opaque)
{
    SaveRun *run = opaque;

    if (run->ret == 0 && first > run->next) {
        run->ret = add_untouched(run->s, run->f, run->rb, run->next, first - run->next);
    }
    if (run->ret == 0) {
        run->ret = add_populated(run->s, run->f, run->rb, first, npages);
    }
    run->next = first + npages;
}

int multifd_send_pages(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                       bool maybe_untouched)
{
    SaveRun run = {s, f, rb, first, 0};

    if (!maybe_untouched) {
        return add_populated(s, f, rb, first, npages);
    }
    ram_block_foreach_populated(rb, first, npages, save_populated, &run);
    if (run.ret == 0 && run.next < first + npages) {
        run.ret = add_untouched(s, f, rb, run.next, first + npages - run.next);
    }
    return run.ret;
}
