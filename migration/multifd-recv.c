/*
 * Multifd on the way in: takes channels in, gives each a thread (multifd-recv-channel.c), keeps
 * them in step with the main stream, and ends them.
 *
 * Channels come in any order and say who they are. None places a page before the main stream has
 * named the blocks and come to its first synchronisation, which every sender has at the end of the
 * set-up: until then block lengths may still change. From then on block list and lengths are
 * fixed, and different channels write different pages.
 *
 * At a packet with SYNC a channel waits until the load thread has seen all of them wait
 * (multifd_recv_sync_main).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "channel.h"
#include "migration.h"
#include "multifd-recv.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "threadinfo.h"

/* How often a load thread that waits for channels looks around. */
#define LOOK_MS 100
/*
 * So many looks in a row without any news, and what is missing will not come: channels that the
 * source does not have (it connects them all before it sends anything), or words of a source that
 * has gone.
 */
#define LOOKS_MAX 100

GMutex multifd_recv_lock;
static RecvState *state; /* multifd_recv_lock: the pointer too */

/* --- errors and the end --- */

static void shut_down_locked(RecvState *s)
{
    s->quit = true;
    for (unsigned i = 0; i < s->arrived; i++) {
        qio_channel_shutdown(s->channels[i]->ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    g_cond_broadcast(&s->go_on);
    g_cond_signal(&s->changed);
}

void multifd_recv_shutdown(void)
{
    g_mutex_lock(&multifd_recv_lock);
    if (state) {
        shut_down_locked(state);
    }
    g_mutex_unlock(&multifd_recv_lock);
}

static void fail_without_main(void *opaque)
{
    Error *err = opaque;

    migration_incoming_fail_early(err);
}

/* Takes @err. The load thread may wait for any channel. */
static void fail(RecvState *s, Error *err)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool first, have_main = true;

    g_mutex_lock(&multifd_recv_lock);
    /* In postcopy they are of no use any more; who broke them tells so by the main channel. */
    first = !s->err && !s->quit && !(s->finished && postcopy_incoming_listening());
    if (first) {
        s->err = error_copy(err);
    }
    g_mutex_unlock(&multifd_recv_lock);
    if (!first) {
        error_free(err); /* whoever was does the rest */
        return;
    }
    /* Before the source can notice: the end of the main channel that follows is not the reason. */
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        have_main = mis->from_src_file;
        if (have_main) {
            qemu_file_set_error_obj(mis->from_src_file, -EIO, error_copy(err));
            qemu_file_shutdown(mis->from_src_file);
        }
    }
    g_mutex_lock(&multifd_recv_lock);
    shut_down_locked(s);
    g_mutex_unlock(&multifd_recv_lock);
    if (!have_main) {
        qemu_bh_schedule_oneshot(fail_without_main, g_steal_pointer(&err));
    }
    error_free(err);
}

/* --- channels' threads --- */

static short poll_channel(QIOChannel *ioc, short events)
{
    struct pollfd pfd = {
        .fd = QIO_CHANNEL_GET_CLASS(ioc)->io_poll_fd(ioc, G_IO_IN),
        .events = events,
    };

    return RETRY_ON_EINTR(poll(&pfd, 1, 0)) > 0 ? pfd.revents : 0;
}

static bool all_ended(const RecvState *s)
{
    for (unsigned i = 0; i < s->arrived; i++) {
        if (!s->channels[i]->ended) {
            return false;
        }
    }
    return s->arrived == s->count;
}

/* It is open, but nothing is there to be read. */
static bool main_is_silent(void)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    QEMU_LOCK_GUARD(&mis->file_lock);
    return mis->from_src_file &&
           !poll_channel(qemu_file_get_ioc(mis->from_src_file), POLLIN | POLLRDHUP);
}

/*
 * A source whose channels have all ended has failed, or has no more to say than the main stream's
 * end. If that does not come, the load thread would wait for ever.
 */
static void watch_main(RecvState *s)
{
    unsigned looks = 0;
    bool over;
    Error *err = NULL;

    do {
        gint64 until = g_get_monotonic_time() + LOOK_MS * G_TIME_SPAN_MILLISECOND;

        looks = main_is_silent() ? looks + 1 : 0;
        g_mutex_lock(&multifd_recv_lock);
        while (!s->quit && !s->finished &&
               g_cond_wait_until(&s->go_on, &multifd_recv_lock, until)) {
            /* Not for us. */
        }
        over = s->quit || s->finished;
        g_mutex_unlock(&multifd_recv_lock);
    } while (!over && looks < LOOKS_MAX);
    if (!over) {
        error_setg(&err, "all multifd channels have ended, and the main channel says nothing any "
                   "more");
        fail(s, err);
    }
}

typedef struct ThreadData {
    RecvState *s;
    RecvChannel *c;
} ThreadData;

static void *channel_thread(void *opaque)
{
    g_autofree ThreadData *data = opaque;
    RecvState *s = data->s;
    RecvChannel *c = data->c;
    MigrationThread *info = migration_threads_add("mig/dst/recv", qemu_get_thread_id());
    Error *err = NULL;
    bool last;

    if (!multifd_recv_channel_run(s, c, &err)) {
        fail(s, err);
    }
    g_mutex_lock(&multifd_recv_lock);
    c->ended = true;
    g_cond_signal(&s->changed);
    last = all_ended(s);
    g_mutex_unlock(&multifd_recv_lock);
    if (last) {
        watch_main(s);
    }
    migration_threads_remove(info);
    return NULL;
}

/* --- the others --- */

void multifd_recv_setup(void)
{
    RecvState *s;

    if (state) {
        return;
    }
    s = g_new0(RecvState, 1);
    s->count = migrate_multifd_channels();
    s->codec = multifd_codec(migrate_multifd_compression());
    s->channels = g_new0(RecvChannel *, s->count);
    s->seen = g_new0(bool, s->count);
    g_cond_init(&s->changed);
    g_cond_init(&s->go_on);
    g_mutex_lock(&multifd_recv_lock);
    state = s;
    g_mutex_unlock(&multifd_recv_lock);
}

bool multifd_recv_new_channel(QIOChannel *ioc, Error **errp)
{
    RecvState *s = state;
    g_autofree char *name = NULL;
    RecvChannel *c;
    ThreadData *data;

    if (!s) {
        error_setg(errp, "there are no multifd channels any more");
        return false;
    }
    if (s->arrived == s->count) {
        Error *err = NULL;

        /* Its pages would be missing. */
        error_setg(&err, "another multifd channel comes, but only %u are expected "
                   "(multifd-channels)", s->count);
        error_propagate(errp, error_copy(err));
        fail(s, err);
        return false;
    }
    c = g_new0(RecvChannel, 1);
    c->ioc = ioc;
    object_ref(OBJECT(ioc));
    c->id = -1;
    name = g_strdup_printf("mig/dst/recv_%u", s->arrived);
    data = g_new(ThreadData, 1);
    *data = (ThreadData){s, c};
    g_mutex_lock(&multifd_recv_lock);
    s->channels[s->arrived++] = c;
    if (s->quit) {
        qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&multifd_recv_lock);
    qemu_thread_create(&c->thread, name, channel_thread, data, QEMU_THREAD_JOINABLE);
    return true;
}

bool multifd_recv_has_all(void)
{
    return !state || state->arrived == state->count;
}

bool multifd_recv_all_channels_created(void)
{
    return !state || state->settled;
}

/*
 * The main stream has come to its first sync: before that the source has connected all that it has,
 * so what has been waiting to be accepted is accepted now, and one too many was noticed. An idle
 * callback is called when nothing else is to be done.
 */
static gboolean all_have_come(gpointer opaque)
{
    if (state && state->synced) {
        state->settled = true;
        if (migration_has_all_channels()) {
            migration_channel_stop_accepting();
        }
    }
    return G_SOURCE_REMOVE;
}

/* Nobody is left who could come to the sync: which one, or NULL. */
static const RecvChannel *ended_channel(const RecvState *s)
{
    for (unsigned i = 0; i < s->arrived; i++) {
        if (s->channels[i]->ended && !s->channels[i]->at_sync) {
            return s->channels[i];
        }
    }
    return NULL;
}

static bool all_at_sync(const RecvState *s)
{
    for (unsigned i = 0; i < s->arrived; i++) {
        if (!s->channels[i]->at_sync) {
            return false;
        }
    }
    return s->arrived == s->count;
}

/* Whatever the channels have done until now: it changes when one does something. */
static uint64_t count_news(const RecvState *s)
{
    uint64_t news = s->arrived;

    for (unsigned i = 0; i < s->arrived; i++) {
        news += qatomic_read(&s->channels[i]->packets) + s->channels[i]->at_sync +
                (s->channels[i]->id >= 0);
    }
    return news;
}

/* Those that have come have said what they had to say, and there is more to wait for. */
static bool some_missing(const RecvState *s)
{
    for (unsigned i = 0; i < s->arrived; i++) {
        if (!s->channels[i]->at_sync) {
            return false;
        }
    }
    return s->arrived < s->count;
}

static char *list_missing(const RecvState *s)
{
    GString *list = g_string_new(NULL);
    unsigned listed = 0;

    for (unsigned i = 0; i < s->count; i++) {
        if (!s->seen[i] && listed++ < 8) {
            g_string_append_printf(list, "%s%u", listed > 1 ? ", " : "", i);
        }
    }
    if (listed > 8) {
        g_string_append(list, ", …");
    }
    return g_string_free(list, FALSE);
}

/* The channel that is not where it should be: the first. */
static int silent_channel(const RecvState *s)
{
    for (unsigned i = 0; i < s->arrived; i++) {
        if (!s->channels[i]->at_sync) {
            return s->channels[i]->id;
        }
    }
    return -1;
}

static void say_why(const RecvState *s, const RecvChannel *ended, Error **errp)
{
    if (s->err) {
        error_setg(errp, "%s", error_get_pretty(s->err));
    } else if (ended) {
        error_setg(errp, "multifd channel %d ended before the main stream did", ended->id);
    } else if (s->quit) {
        error_setg(errp, "the multifd channels were shut down");
    } else if (s->arrived < s->count) {
        g_autofree char *missing = list_missing(s);

        error_setg(errp, "multifd channels %s do not come: %u have come, %u are expected "
                   "(multifd-channels)", missing, s->arrived, s->count);
    } else {
        error_setg(errp, "multifd channel %d says nothing any more, and the main channel was "
                   "closed", silent_channel(s));
    }
}

bool multifd_recv_sync_main(QEMUFile *f, Error **errp)
{
    RecvState *s = state;
    const RecvChannel *ended = NULL;
    uint64_t news = 0;
    unsigned looks = 0;
    bool ok;

    if (!s) {
        error_setg(errp, "the stream belongs to multifd, which is not switched on here (capability "
                   "'multifd')");
        return false;
    }
    g_mutex_lock(&multifd_recv_lock);
    while (!(ok = all_at_sync(s)) && !s->quit && !(ended = ended_channel(s))) {
        gint64 until = g_get_monotonic_time() + LOOK_MS * G_TIME_SPAN_MILLISECOND;

        if (g_cond_wait_until(&s->changed, &multifd_recv_lock, until)) {
            continue;
        }
        looks = count_news(s) == news ? looks + 1 : 0;
        news = count_news(s);
        if ((looks >= LOOKS_MAX && (some_missing(s) || qemu_file_hung_up(f))) ||
            (looks >= LOOKS_MAX / 10 && s->arrived < s->count && qemu_file_hung_up(f))) {
            break;
        }
    }
    ok = ok && !s->quit;
    if (!ok) {
        say_why(s, ended, errp);
    } else {
        for (unsigned i = 0; i < s->count; i++) {
            s->channels[i]->at_sync = s->channels[i]->placing = false;
        }
        if (!s->synced) {
            s->synced = true;
            g_idle_add(all_have_come, NULL);
        }
        s->releases++;
        g_cond_broadcast(&s->go_on);
    }
    g_mutex_unlock(&multifd_recv_lock);
    return ok;
}

/* Its thread has read all that has come, and found nothing that it would have stopped at. */
static bool has_read_all(const RecvChannel *c)
{
    unsigned waits = qatomic_load_acquire(&c->waits);

    /* Had it read something since, it would have come here another time. */
    return waits % 2 && !poll_channel(c->ioc, POLLIN) && qatomic_read(&c->waits) == waits;
}

/* What has come, perhaps encrypted, only the channels' threads can say: they get time to look. */
static void let_all_be_read(RecvState *s)
{
    gint64 until = g_get_monotonic_time() + LOOKS_MAX * LOOK_MS * G_TIME_SPAN_MILLISECOND;

    for (unsigned i = 0; i < s->arrived; i++) {
        const RecvChannel *c = s->channels[i];

        while (!c->ended && !c->at_sync && !c->placing && !s->err && !s->quit && !has_read_all(c) &&
               g_get_monotonic_time() < until) {
            g_cond_wait_until(&s->changed, &multifd_recv_lock,
                              g_get_monotonic_time() + G_TIME_SPAN_MILLISECOND);
        }
    }
}

bool multifd_recv_finish(Error **errp)
{
    RecvState *s = state;
    bool ok = true;

    if (!s) {
        return true;
    }
    g_mutex_lock(&multifd_recv_lock);
    s->finished = true;
    let_all_be_read(s);
    for (unsigned i = 0; i < s->arrived && ok; i++) {
        const RecvChannel *c = s->channels[i];

        ok = !c->placing && !c->at_sync;
        if (!ok) {
            error_setg(errp, "multifd channel %d, behind packet %" PRIu64 " of it: there is more "
                       "than the main stream has waited for", c->id, qatomic_read(&c->packets));
        }
    }
    ok = ok && !s->err;
    if (s->err && errp && !*errp) {
        error_propagate(errp, error_copy(s->err));
    }
    g_mutex_unlock(&multifd_recv_lock);
    return ok;
}

void multifd_recv_cleanup(void)
{
    RecvState *s = state;

    if (!s) {
        return;
    }
    multifd_recv_shutdown();
    /* All of them first: one that fails shuts the others' channels down. */
    for (unsigned i = 0; i < s->arrived; i++) {
        qemu_thread_join(&s->channels[i]->thread);
    }
    /* From here on a yank, on its own thread, finds nothing to shut down. */
    g_mutex_lock(&multifd_recv_lock);
    state = NULL;
    g_mutex_unlock(&multifd_recv_lock);
    for (unsigned i = 0; i < s->arrived; i++) {
        RecvChannel *c = s->channels[i];

        qio_channel_close(c->ioc, NULL);
        object_unref(OBJECT(c->ioc));
        if (c->decoder) {
            s->codec->decoder_free(c->decoder);
        }
        g_free(c->payload);
        g_free(c->compare);
        g_free(c);
    }
    g_free(s->channels);
    g_free(s->seen);
    error_free(s->err);
    g_cond_clear(&s->changed);
    g_cond_clear(&s->go_on);
    g_free(s);
}
