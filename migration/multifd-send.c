/*
 * Multifd on the way out: the migration thread gathers runs of pages into batches, and a thread
 * for each channel makes packets of them.
 *
 * A batch is of one block: pages that have to be read, for a few packets, or one run of any length
 * that the host never gave out, which becomes packets of zero pages without being read. A channel has
 * at most one batch in work and one waiting, so what is under way is bounded, and it need not wait for
 * the migration thread; that one waits when all have enough.
 *
 * Where pages lie close together, a batch is one stretch of the size of a huge page: on the other
 * side the memory is then made, and cleared, by one thread rather than by several at once.
 *
 * Order between passes: a page may go over one channel in one pass and over another in the next. At
 * the end of a pass every channel carries a packet with SYNC, behind what it had to send, and the
 * main stream a mark where the reader waits for all of them. QEMU before 8.0 has no such mark; its
 * reader waits at the end of every section (multifd-flush-after-each-section).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "migration.h"
#include "multifd.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/trace.h"
#include "socket.h"
#include "threadinfo.h"
#include "tls.h"

TRACE_EVENT(multifd_send_packet);
TRACE_EVENT(multifd_send_sync);

/* Packets without payload are gathered and written together. */
#define ZERO_PACKETS_AT_ONCE 32
/* A huge page's worth. */
#define BATCH_PAGES_MAX ((2 * 1024 * 1024) / TARGET_PAGE_SIZE)
/* What is in the channels' hands must be gone in a hundredth of a second. */
#define MUCH_PER_SECOND 100

typedef struct PageRun {
    uint64_t first, npages;
    bool untouched;             /* known to be zero */
} PageRun;

typedef struct Batch {
    RAMBlock *block;
    uint64_t npages;
    unsigned nruns;
    PageRun runs[BATCH_PAGES_MAX];
} Batch;

typedef struct SendState SendState;

typedef struct SendChannel {
    SendState *s;
    unsigned id;
    QIOChannel *ioc;            /* set before the thread starts, under send_lock */
    QemuThread thread;
    bool thread_created;        /* send_lock */

    /* Between the migration thread and the channel's: send_lock. */
    GCond wake;
    bool queued;                /* there is a batch in it that the thread has not taken */
    bool busy;                  /* the thread has taken one and works on it */
    bool sync;                  /* a SYNC packet is to follow the batches */
    bool last;                  /* and nothing is to follow that packet */
    Batch *batch;

    /* The thread's own. */
    Batch *working;
    MultiFDPacket packet;
    struct iovec iov[1 + MULTIFD_PACKET_PAGES];
    unsigned niov;
    uint8_t *buffer;            /* packets as they go out */
    void *encoder;
    uint8_t *copy, *payload;    /* a packet's pages before and after compression */
} SendChannel;

struct SendState {
    unsigned attempt;           /* tells this migration's connections from an earlier one's */
    unsigned count;
    SendChannel *channels;

    /* Set before the threads start. */
    const MultiFDCodec *codec;
    bool detect_zero;           /* channels look for zero pages */
    bool zero_copy;
    bool clean_end;             /* TLS channels end with a good-bye */

    GCond changed;              /* news for the migration thread */
    unsigned connected;         /* send_lock */
    bool quit;                  /* send_lock */
    Error *err;                 /* the first; send_lock */

    uint64_t packet_num;        /* atomic */

    /* The migration thread's own. */
    Batch *filling;
    unsigned next;              /* where the search for an idle channel begins */
    bool each_section;          /* readers wait at the end of each section */
    bool detect_zero_here;      /* zero pages are looked for here and go in the main stream */
    bool zero_in_main;          /* untouched ones too */
};

/* Guards the pointer, and what says so above. Below qemu_file_lock; nothing is taken inside. */
static GMutex send_lock;
static SendState *state;
static unsigned attempts;

/* --- errors and the end --- */

static void shut_down_locked(SendState *s)
{
    s->quit = true;
    for (unsigned i = 0; i < s->count; i++) {
        if (s->channels[i].ioc) {
            qio_channel_shutdown(s->channels[i].ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        }
        g_cond_signal(&s->channels[i].wake);
    }
    g_cond_signal(&s->changed);
}

void multifd_send_shutdown(void)
{
    g_mutex_lock(&send_lock);
    if (state) {
        shut_down_locked(state);
    }
    g_mutex_unlock(&send_lock);
    migration_tls_shutdown_outgoing();
}

/* Takes @err. Nobody shall wait for anybody any more, and the migration thread says why. */
static void channel_failed(SendChannel *c, Error *err)
{
    MigrationState *ms = migrate_get_current();
    SendState *s = c->s;
    bool first;

    error_prepend(&err, "multifd channel %u: ", c->id);
    g_mutex_lock(&send_lock);
    first = !s->err && !s->quit;
    if (first) {
        s->err = error_copy(err);
    }
    shut_down_locked(s);
    g_mutex_unlock(&send_lock);
    WITH_QEMU_LOCK_GUARD(&ms->qemu_file_lock) {
        if (first && ms->to_dst_file) {
            qemu_file_set_error_obj(ms->to_dst_file, -EIO, error_copy(err));
            qemu_file_shutdown(ms->to_dst_file);
        }
    }
    error_free(err);
}

/* Why it ended, as the file's error. */
static int report_end(SendState *s, QEMUFile *f)
{
    Error *err = NULL;

    g_mutex_lock(&send_lock);
    if (s->err) {
        err = error_copy(s->err);
    } else {
        error_setg(&err, "the multifd channels were shut down");
    }
    g_mutex_unlock(&send_lock);
    qemu_file_set_error_obj(f, -EIO, err);
    return -EIO;
}

/* --- a channel's thread --- */

static void count_sent(size_t bytes)
{
    stat64_add(&mig_stats.multifd_bytes, bytes);
    migration_stats_count_ram(bytes);
}

static bool write_out(SendChannel *c, size_t header, Error **errp)
{
    SendState *s = c->s;
    size_t bytes = header;

    c->iov[0] = (struct iovec){c->buffer, header};
    for (unsigned i = 1; i < c->niov; i++) {
        bytes += c->iov[i].iov_len;
    }
    if (s->zero_copy && c->niov > 1) {
        /* The header's buffer is used again at once; only guest memory may be borrowed. */
        if (qio_channel_writev_full_all(c->ioc, c->iov, 1, NULL, 0, 0, errp) < 0 ||
            qio_channel_writev_full_all(c->ioc, c->iov + 1, c->niov - 1, NULL, 0,
                                        QIO_CHANNEL_WRITE_FLAG_ZERO_COPY, errp) < 0) {
            return false;
        }
    } else if (qio_channel_writev_full_all(c->ioc, c->iov, c->niov, NULL, 0, 0, errp) < 0) {
        return false;
    }
    count_sent(bytes);
    return true;
}

static void begin_packet(SendChannel *c, const Batch *b)
{
    /* QEMU 10.0 wants to see the method in packets without payload too. */
    c->packet.flags = b && c->s->codec ? c->s->codec->flag : 0;
    c->packet.normal_num = c->packet.zero_num = 0;
    c->packet.next_packet_size = 0;
    c->packet.packet_num = qatomic_fetch_add(&c->s->packet_num, 1);
    g_strlcpy(c->packet.block, b ? b->block->idstr : "", sizeof(c->packet.block));
    c->niov = 1;
}

/* A run that was never given out: as many packets as it takes. */
static bool send_untouched(SendChannel *c, const Batch *b, Error **errp)
{
    uint64_t page = b->runs[0].first, end = page + b->npages;
    size_t used = 0;

    while (page < end) {
        begin_packet(c, b);
        c->packet.zero_num = MIN(end - page, MULTIFD_PACKET_PAGES);
        for (uint32_t i = 0; i < c->packet.zero_num; i++) {
            c->packet.offset[i] = page++ << TARGET_PAGE_BITS;
        }
        multifd_packet_write(c->buffer + used, &c->packet);
        used += MULTIFD_PACKET_SIZE;
        if (page == end || used == ZERO_PACKETS_AT_ONCE * MULTIFD_PACKET_SIZE) {
            if (!write_out(c, used, errp)) {
                return false;
            }
            used = 0;
        }
    }
    stat64_add(&mig_stats.zero_pages, b->npages);
    return true;
}

static void add_normal_page(SendChannel *c, RAMBlock *rb, uint64_t page)
{
    uint8_t *host = rb->host + (page << TARGET_PAGE_BITS);
    struct iovec *last = &c->iov[c->niov - 1];

    c->packet.offset[c->packet.normal_num++] = page << TARGET_PAGE_BITS;
    if (c->niov > 1 && (uint8_t *)last->iov_base + last->iov_len == host) {
        last->iov_len += TARGET_PAGE_SIZE;
    } else {
        c->iov[c->niov++] = (struct iovec){host, TARGET_PAGE_SIZE};
    }
}

/* The guest may go on writing to its pages, which no compression is made for: so a copy is taken. */
static bool compress_payload(SendChannel *c, Error **errp)
{
    size_t len = 0;
    ssize_t size;

    for (unsigned i = 1; i < c->niov; i++) {
        memcpy(c->copy + len, c->iov[i].iov_base, c->iov[i].iov_len);
        len += c->iov[i].iov_len;
    }
    size = c->s->codec->encode(c->encoder, c->copy, len, c->payload, MULTIFD_PAYLOAD_MAX, errp);
    if (size < 0) {
        return false;
    }
    c->packet.next_packet_size = size;
    c->iov[1] = (struct iovec){c->payload, size};
    c->niov = 2;
    return true;
}

/* The batch's next packet, from what @run and @page say, which go on. */
static bool send_packet(SendChannel *c, const Batch *b, const PageRun **run, uint64_t *page,
                        Error **errp)
{
    const PageRun *end = b->runs + b->nruns;
    uint64_t zeroes[MULTIFD_PACKET_PAGES];
    MultiFDPacket *p = &c->packet;

    begin_packet(c, b);
    while (*run < end && p->normal_num + p->zero_num < MULTIFD_PACKET_PAGES) {
        if ((*run)->untouched ||
            (c->s->detect_zero && buffer_is_zero(b->block->host + (*page << TARGET_PAGE_BITS),
                                                 TARGET_PAGE_SIZE))) {
            zeroes[p->zero_num++] = *page << TARGET_PAGE_BITS;
        } else {
            add_normal_page(c, b->block, *page);
        }
        if (++*page == (*run)->first + (*run)->npages && ++*run < end) {
            *page = (*run)->first;
        }
    }
    memcpy(p->offset + p->normal_num, zeroes, p->zero_num * sizeof(zeroes[0]));
    p->next_packet_size = p->normal_num * TARGET_PAGE_SIZE;
    if (c->s->codec && p->normal_num && !compress_payload(c, errp)) {
        return false;
    }
    multifd_packet_write(c->buffer, p);
    if (!write_out(c, MULTIFD_PACKET_SIZE, errp)) {
        return false;
    }
    stat64_add(&mig_stats.normal_pages, p->normal_num);
    stat64_add(&mig_stats.zero_pages, p->zero_num);
    trace(multifd_send_packet, "channel %u packet %" PRIu64 " block '%s' normal %u zero %u size %u",
          c->id, p->packet_num, p->block, p->normal_num, p->zero_num, p->next_packet_size);
    return true;
}

static bool send_pages(SendChannel *c, const Batch *b, Error **errp)
{
    const PageRun *run = b->runs;
    uint64_t page = run->first;

    while (run < b->runs + b->nruns) {
        if (!send_packet(c, b, &run, &page, errp)) {
            return false;
        }
    }
    return true;
}

static bool send_sync(SendChannel *c, Error **errp)
{
    if (c->s->zero_copy) {
        int ret = qio_channel_flush(c->ioc, errp);

        if (ret < 0) {
            return false;
        }
        if (ret > 0) {
            stat64_add(&mig_stats.dirty_sync_missed_zero_copy, 1);
        }
    }
    begin_packet(c, NULL);
    c->packet.flags = MULTIFD_FLAG_SYNC;
    multifd_packet_write(c->buffer, &c->packet);
    trace(multifd_send_sync, "channel %u packet %" PRIu64, c->id, c->packet.packet_num);
    return write_out(c, MULTIFD_PACKET_SIZE, errp);
}

static bool say_hello(SendChannel *c, Error **errp)
{
    MultiFDInit init = {.uuid = qemu_uuid, .id = c->id};

    multifd_init_write(c->buffer, &init);
    if (qio_channel_write_all(c->ioc, (char *)c->buffer, MULTIFD_INIT_SIZE, errp) < 0) {
        return false;
    }
    count_sent(MULTIFD_INIT_SIZE);
    return true;
}

static bool prepare(SendChannel *c, Error **errp)
{
    const MultiFDCodec *codec = c->s->codec;

    c->buffer = g_malloc(ZERO_PACKETS_AT_ONCE * MULTIFD_PACKET_SIZE);
    if (codec) {
        c->encoder = codec->encoder_new(errp);
        if (!c->encoder) {
            return false;
        }
        c->copy = g_malloc(MULTIFD_PACKET_PAGES * TARGET_PAGE_SIZE);
        c->payload = g_malloc(MULTIFD_PAYLOAD_MAX);
    }
    return say_hello(c, errp);
}

static bool work(SendChannel *c, Error **errp)
{
    SendState *s = c->s;

    if (!prepare(c, errp)) {
        return false;
    }
    g_mutex_lock(&send_lock);
    while (!s->quit) {
        bool ok = true, batch = c->queued, sync = c->sync, last = c->last;

        if (!batch && !sync) {
            g_cond_wait(&c->wake, &send_lock);
            continue;
        }
        if (batch) {
            Batch *taken = c->batch;

            c->batch = c->working;
            c->working = taken;
            c->queued = false;
            c->busy = true;
            g_cond_signal(&s->changed);
        }
        g_mutex_unlock(&send_lock);
        if (batch) {
            ok = c->working->nruns == 1 && c->working->runs[0].untouched
                ? send_untouched(c, c->working, errp) : send_pages(c, c->working, errp);
        }
        if (ok && sync) {
            ok = send_sync(c, errp);
        }
        if (ok && sync && last && s->clean_end) {
            migration_tls_channel_end(c->ioc);
        }
        if (!ok) {
            return false;
        }
        g_mutex_lock(&send_lock);
        /* What was asked for meanwhile is still to be done. */
        c->busy = false;
        if (sync) {
            c->sync = false;
        }
        g_cond_signal(&s->changed);
    }
    g_mutex_unlock(&send_lock);
    return true;
}

static void *channel_thread(void *opaque)
{
    SendChannel *c = opaque;
    g_autofree char *name = g_strdup_printf("mig/src/send_%u", c->id);
    MigrationThread *info = migration_threads_add(name, qemu_get_thread_id());
    Error *err = NULL;

    if (!work(c, &err)) {
        channel_failed(c, err);
    }
    migration_threads_remove(info);
    return NULL;
}

/* --- the migration thread --- */

typedef struct ConnectData {
    unsigned attempt, id;
} ConnectData;

static void channel_connected(QIOTask *task, gpointer opaque);

/* Main thread. @ioc is in the clear and has to become a TLS channel: then it is connected again. */
static void upgrade_channel(SendChannel *c, QIOChannel *ioc, ConnectData *data)
{
    Error *err = NULL;

    qio_channel_set_delay(ioc, false);
    if (!migration_tls_connect(ioc, migrate_get_current()->hostname, "multifd-tls-outgoing",
                               channel_connected, data, NULL, &err)) {
        g_free(data);
        error_prepend(&err, "cannot connect: ");
        channel_failed(c, err);
    }
}

/* Main thread. The migration may have ended meanwhile, and another one begun. */
static void channel_connected(QIOTask *task, gpointer opaque)
{
    ConnectData *data = opaque;
    QIOChannel *ioc = QIO_CHANNEL(qio_task_get_source(task));
    Error *err = NULL;
    SendChannel *c = NULL;
    bool upgrade = false;

    g_mutex_lock(&send_lock);
    if (state && state->attempt == data->attempt && !state->quit) {
        c = &state->channels[data->id];
        if (qio_task_propagate_error(task, &err)) {
            /* said below */
        } else if (migrate_channel_requires_tls_upgrade(ioc)) {
            upgrade = true;
        } else {
            g_autofree char *name = g_strdup_printf("mig/src/send_%u", c->id);

            qio_channel_set_delay(ioc, false);
            c->ioc = ioc;
            object_ref(OBJECT(ioc));
            qemu_thread_create(&c->thread, name, channel_thread, c, QEMU_THREAD_JOINABLE);
            c->thread_created = true;
            state->connected++;
            g_cond_signal(&state->changed);
        }
    }
    g_mutex_unlock(&send_lock);
    if (upgrade) {
        upgrade_channel(c, ioc, data); /* only this thread ends the state that c is of */
        return;
    }
    g_free(data);
    if (err) {
        error_prepend(&err, "cannot connect: ");
        channel_failed(c, err);
    }
}

static int send_setup(QEMUFile *f, Error **errp)
{
    SendState *s = g_new0(SendState, 1);
    ZeroPageDetection detection = migrate_zero_page_detection();
    bool ok;

    s->attempt = ++attempts;
    s->count = migrate_multifd_channels();
    s->channels = g_new0(SendChannel, s->count);
    s->codec = multifd_codec(migrate_multifd_compression());
    s->zero_copy = migrate_zero_copy_send();
    s->clean_end = migrate_get_current()->multifd_clean_tls_termination;
    s->each_section = migrate_multifd_flush_after_each_section();
    s->detect_zero = detection == ZERO_PAGE_DETECTION_MULTIFD;
    s->detect_zero_here = detection == ZERO_PAGE_DETECTION_LEGACY;
    s->zero_in_main = detection != ZERO_PAGE_DETECTION_MULTIFD;
    s->filling = g_new0(Batch, 1);
    g_cond_init(&s->changed);
    for (unsigned i = 0; i < s->count; i++) {
        s->channels[i].s = s;
        s->channels[i].id = i;
        s->channels[i].batch = g_new0(Batch, 1);
        s->channels[i].working = g_new0(Batch, 1);
        g_cond_init(&s->channels[i].wake);
    }
    ram_stream_encoder.setup(f, NULL);  /* for zero pages in the main stream */
    g_mutex_lock(&send_lock);
    state = s;
    g_mutex_unlock(&send_lock);

    for (unsigned i = 0; i < s->count; i++) {
        ConnectData *data = g_new0(ConnectData, 1);

        *data = (ConnectData){s->attempt, i};
        socket_send_channel_create(channel_connected, data);
    }
    /* A cancel before this point found no channels to shut down. */
    if (!migration_in_setup(migrate_get_current()) || qemu_file_get_error(f)) {
        multifd_send_shutdown();
    }
    g_mutex_lock(&send_lock);
    while (s->connected < s->count && !s->quit) {
        g_cond_wait(&s->changed, &send_lock);
    }
    ok = !s->quit;
    if (!ok) {
        error_setg(errp, "%s", s->err ? error_get_pretty(s->err)
                                      : "the multifd channels were shut down");
    }
    g_mutex_unlock(&send_lock);
    return ok ? 0 : -EIO;
}

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

/* Hand the batch to a channel, once there is one for it. */
static int dispatch(SendState *s, QEMUFile *f)
{
    bool much = may_have_much(s, f);
    SendChannel *c = NULL;
    Batch *empty;

    if (!s->filling->npages) {
        return 0;
    }
    g_mutex_lock(&send_lock);
    while (!s->quit && !(c = find_channel_locked(s, much))) {
        g_cond_wait(&s->changed, &send_lock);
    }
    if (c) {
        empty = c->batch;
        c->batch = s->filling;
        c->queued = true;
        s->filling = empty;
        g_cond_signal(&c->wake);
    }
    g_mutex_unlock(&send_lock);
    if (!c) {
        return report_end(s, f);
    }
    s->next = c->id + 1;
    s->filling->npages = s->filling->nruns = 0;
    return 0;
}

/* All channels carry a SYNC behind what they have; if it is the @last, they have sent it then. */
static int sync_channels(SendState *s, QEMUFile *f, bool last)
{
    bool quit;
    int ret = dispatch(s, f);

    if (ret < 0) {
        return ret;
    }
    g_mutex_lock(&send_lock);
    for (unsigned i = 0; i < s->count && !s->quit; i++) {
        SendChannel *c = &s->channels[i];

        while (c->sync && !s->quit) {   /* of the pass before */
            g_cond_wait(&s->changed, &send_lock);
        }
        c->sync = true;
        c->last = last;
        g_cond_signal(&c->wake);
    }
    for (unsigned i = 0; last && i < s->count; i++) {
        while (s->channels[i].sync && !s->quit) {
            g_cond_wait(&s->changed, &send_lock);
        }
    }
    quit = s->quit;
    g_mutex_unlock(&send_lock);
    return quit ? report_end(s, f) : 0;
}

static int sync_with_mark(SendState *s, QEMUFile *f, bool last)
{
    int ret = sync_channels(s, f, last);

    if (ret == 0 && !s->each_section) {
        qemu_put_be64(f, RAM_SAVE_FLAG_MULTIFD_FLUSH);
        ret = qemu_fflush(f); /* the reader's channels wait for it */
    }
    return ret;
}

static int send_start(QEMUFile *f)
{
    return sync_with_mark(state, f, false);
}

static int send_pass_end(QEMUFile *f)
{
    return state->each_section ? 0 : sync_with_mark(state, f, false);
}

static int send_section_end(QEMUFile *f)
{
    return state->each_section ? sync_channels(state, f, false) : 0;
}

static int send_complete(QEMUFile *f)
{
    return sync_with_mark(state, f, true);
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
        int ret = dispatch(s, f);

        if (ret < 0) {
            return ret;
        }
        room = room_left(s, f, rb, first);
    }
    s->filling->block = rb;
    return room;
}

static void add_run(Batch *b, uint64_t first, uint64_t npages, bool untouched)
{
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
        room = dispatch(s, f);
        s->filling->block = rb;
    }
    if (room < 0) {
        return room;
    }
    add_run(s->filling, first, npages, true);
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
        add_run(s->filling, first, n, false);
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

static int send_run(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                    bool maybe_untouched)
{
    SaveRun run = {state, f, rb, first, 0};

    if (!maybe_untouched) {
        return add_populated(state, f, rb, first, npages);
    }
    ram_block_foreach_populated(rb, first, npages, save_populated, &run);
    if (run.ret == 0 && run.next < first + npages) {
        run.ret = add_untouched(state, f, rb, run.next, first + npages - run.next);
    }
    return run.ret;
}

/* Main thread; the migration thread has ended. */
static void send_cleanup(void)
{
    SendState *s = state;
    bool busy = false;

    if (!s) {
        return;
    }
    g_mutex_lock(&send_lock);
    state = NULL;
    for (unsigned i = 0; i < s->count; i++) {
        busy |= s->channels[i].queued || s->channels[i].busy || s->channels[i].sync;
    }
    if (busy) {                 /* it failed, and the peer may never read the rest */
        shut_down_locked(s);
    }
    s->quit = true;
    for (unsigned i = 0; i < s->count; i++) {
        g_cond_signal(&s->channels[i].wake);
    }
    g_mutex_unlock(&send_lock);
    migration_tls_shutdown_outgoing(); /* whoever was still on his way comes too late */
    /* All of them first: one that fails shuts the others' channels down. */
    for (unsigned i = 0; i < s->count; i++) {
        if (s->channels[i].thread_created) {
            qemu_thread_join(&s->channels[i].thread);
        }
    }
    for (unsigned i = 0; i < s->count; i++) {
        SendChannel *c = &s->channels[i];

        if (c->ioc) {
            qio_channel_close(c->ioc, NULL);
            object_unref(OBJECT(c->ioc));
        }
        if (c->encoder) {
            s->codec->encoder_free(c->encoder);
        }
        g_free(c->buffer);
        g_free(c->copy);
        g_free(c->payload);
        g_free(c->batch);
        g_free(c->working);
        g_cond_clear(&c->wake);
    }
    g_free(s->channels);
    g_free(s->filling);
    g_cond_clear(&s->changed);
    error_free(s->err);
    g_free(s);
}

const MultiFDCodec *multifd_codec(MultiFDCompression compression)
{
    switch (compression) {
    case MULTIFD_COMPRESSION_ZLIB:
        return &multifd_zlib;
    case MULTIFD_COMPRESSION_ZSTD:
        return &multifd_zstd;
    default:
        return NULL;
    }
}

const RAMEncoder ram_multifd_encoder = {
    .name = "multifd",
    .setup = send_setup,
    .start = send_start,
    .save_run = send_run,
    .pass_end = send_pass_end,
    .section_end = send_section_end,
    .complete = send_complete,
    .cleanup = send_cleanup,
};
