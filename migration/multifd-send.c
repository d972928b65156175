/*
 * Multifd on the way out: the migration thread gathers runs of pages into batches
 * (multifd-send-batch.c), and a thread for each channel makes packets of them
 * (multifd-send-channel.c). This file connects the channels, keeps them in step, and ends them.
 *
 * Order between passes: a page may go over one channel in one pass and over another in the next. At
 * the end of a pass every channel carries a packet with SYNC, behind what it had to send, and the
 * main stream a mark where the reader waits for all of them. QEMU before 8.0 has no such mark; its
 * reader waits at the end of every section (multifd-flush-after-each-section).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "multifd-send.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "socket.h"
#include "tls.h"

/* How often a migration thread that waits for channels looks whether the main one is there. */
#define LOOK_SECONDS 1

GMutex multifd_send_lock;
static SendState *state;        /* multifd_send_lock */
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
    g_mutex_lock(&multifd_send_lock);
    if (state) {
        shut_down_locked(state);
    }
    g_mutex_unlock(&multifd_send_lock);
    socket_shutdown_connecting();
    migration_tls_shutdown_outgoing();
}

void multifd_send_channel_failed(SendChannel *c, Error *err)
{
    MigrationState *ms = migrate_get_current();
    SendState *s = c->s;
    bool first;

    error_prepend(&err, "multifd channel %u: ", c->id);
    g_mutex_lock(&multifd_send_lock);
    first = !s->err && !s->quit;
    if (first) {
        s->err = error_copy(err);
    }
    shut_down_locked(s);
    g_mutex_unlock(&multifd_send_lock);
    WITH_QEMU_LOCK_GUARD(&ms->qemu_file_lock) {
        if (first && ms->to_dst_file) {
            qemu_file_set_error_obj(ms->to_dst_file, -EIO, error_copy(err));
            qemu_file_shutdown(ms->to_dst_file);
        }
    }
    error_free(err);
}

int multifd_send_report_end(SendState *s, QEMUFile *f)
{
    Error *err = NULL;

    g_mutex_lock(&multifd_send_lock);
    if (s->err) {
        err = error_copy(s->err);
    } else {
        error_setg(&err, "the multifd channels were shut down");
    }
    g_mutex_unlock(&multifd_send_lock);
    qemu_file_set_error_obj(f, -EIO, err);
    return -EIO;
}

static void look_at_main_locked(SendState *s, QEMUFile *f)
{
    if (!s->quit && qemu_file_hung_up(f)) {
        error_setg(&s->err, "%s", qemu_file_is_shut_down(f)
                   ? "the main channel was shut down"
                   : "the destination has closed the main channel");
        shut_down_locked(s);
    }
}

void multifd_send_wait_locked(SendState *s, QEMUFile *f)
{
    gint64 until = g_get_monotonic_time() + LOOK_SECONDS * G_TIME_SPAN_SECOND;

    if (!g_cond_wait_until(&s->changed, &multifd_send_lock, until)) {
        look_at_main_locked(s, f);
    }
}

/* --- connecting --- */

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
        multifd_send_channel_failed(c, err);
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

    g_mutex_lock(&multifd_send_lock);
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
            qemu_thread_create(&c->thread, name, multifd_send_channel_thread, c,
                               QEMU_THREAD_JOINABLE);
            c->thread_created = true;
            state->connected++;
            g_cond_signal(&state->changed);
        }
    }
    g_mutex_unlock(&multifd_send_lock);
    if (upgrade) {
        upgrade_channel(c, ioc, data); /* only this thread ends the state that c is of */
        return;
    }
    g_free(data);
    if (err) {
        error_prepend(&err, "cannot connect: ");
        multifd_send_channel_failed(c, err);
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
    g_mutex_lock(&multifd_send_lock);
    state = s;
    g_mutex_unlock(&multifd_send_lock);

    for (unsigned i = 0; i < s->count; i++) {
        ConnectData *data = g_new0(ConnectData, 1);

        *data = (ConnectData){s->attempt, i};
        socket_send_channel_create(channel_connected, data);
    }
    /* A cancel before this point found no channels to shut down. */
    if (!migration_in_setup(migrate_get_current()) || qemu_file_get_error(f)) {
        multifd_send_shutdown();
    }
    g_mutex_lock(&multifd_send_lock);
    while (s->connected < s->count && !s->quit) {
        multifd_send_wait_locked(s, f);
    }
    ok = !s->quit;
    if (!ok) {
        error_setg(errp, "%s", s->err ? error_get_pretty(s->err)
                                      : "the multifd channels were shut down");
    }
    g_mutex_unlock(&multifd_send_lock);
    return ok ? 0 : -EIO;
}

/* --- in step --- */

/* All channels carry a SYNC behind what they have; if it is the @last, they have sent it then. */
static int sync_channels(SendState *s, QEMUFile *f, bool last)
{
    bool quit;
    int ret = multifd_send_dispatch(s, f);

    if (ret < 0) {
        return ret;
    }
    g_mutex_lock(&multifd_send_lock);
    for (unsigned i = 0; i < s->count && !s->quit; i++) {
        SendChannel *c = &s->channels[i];

        while (c->sync && !s->quit) {   /* of the pass before */
            multifd_send_wait_locked(s, f);
        }
        assert(!c->last);
        c->sync = true;
        c->last = last;
        g_cond_signal(&c->wake);
    }
    for (unsigned i = 0; last && i < s->count; i++) {
        while (s->channels[i].sync && !s->quit) {
            multifd_send_wait_locked(s, f);
        }
    }
    quit = s->quit;
    g_mutex_unlock(&multifd_send_lock);
    return quit ? multifd_send_report_end(s, f) : 0;
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

uint64_t multifd_send_bytes_in_hand(void)
{
    return state ? qatomic_read(&state->pages_in_hand) * TARGET_PAGE_SIZE : 0;
}

/* No channel has a batch any more, or it takes too long. */
static int send_settle(QEMUFile *f, int64_t max_us)
{
    SendState *s = state;
    int64_t until = g_get_monotonic_time() + max_us;
    int ret = multifd_send_dispatch(s, f);
    bool in_time = true, quit;

    if (ret < 0) {
        return ret;
    }
    g_mutex_lock(&multifd_send_lock);
    for (unsigned i = 0; i < s->count; i++) {
        while (in_time && !s->quit && (s->channels[i].queued || s->channels[i].busy)) {
            in_time = g_cond_wait_until(&s->changed, &multifd_send_lock, until);
        }
    }
    if (!in_time) {
        look_at_main_locked(s, f);
    }
    quit = s->quit;
    g_mutex_unlock(&multifd_send_lock);
    return quit ? multifd_send_report_end(s, f) : 0;
}

static int send_run(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                    bool maybe_untouched)
{
    return multifd_send_pages(state, f, rb, first, npages, maybe_untouched);
}

/* Main thread; the migration thread has ended. */
static void send_cleanup(void)
{
    SendState *s = state;
    bool busy = false;

    if (!s) {
        return;
    }
    g_mutex_lock(&multifd_send_lock);
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
    g_mutex_unlock(&multifd_send_lock);
    socket_shutdown_connecting();
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
    .settle = send_settle,
    .pass_end = send_pass_end,
    .section_end = send_section_end,
    .complete = send_complete,
    .cleanup = send_cleanup,
};
