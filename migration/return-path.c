/*
 * The return path: messages from the destination to the source on the main channel's other
 * direction.  Writer (destination) and reader (source) side by side.
 *
 * Wire form: docs/stream-format.md, "Return path".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "multifd.h"
#include "options.h"
#include "postcopy.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/trace.h"
#include "ram-postcopy.h"
#include "ram.h"

TRACE_EVENT(rp_send);
TRACE_EVENT(rp_received);

/* At the end of the program: how often it is tried, once a millisecond, to have the path alone. */
#define SHUT_TRIES 100

enum mig_rp_message_type {
    MIG_RP_MSG_INVALID = 0,
    MIG_RP_MSG_SHUT,
    MIG_RP_MSG_PONG,
    MIG_RP_MSG_REQ_PAGES_ID,
    MIG_RP_MSG_REQ_PAGES,
    MIG_RP_MSG_RECV_BITMAP,
    MIG_RP_MSG_RESUME_ACK,
    MIG_RP_MSG_SWITCHOVER_ACK,
    MIG_RP_MSG_MAX
};

static const struct {
    const char *name;
    int len; /* -1: varies */
} messages[MIG_RP_MSG_MAX] = {
    [MIG_RP_MSG_INVALID] = {"INVALID", -1},
    [MIG_RP_MSG_SHUT] = {"SHUT", 4},
    [MIG_RP_MSG_PONG] = {"PONG", 4},
    [MIG_RP_MSG_REQ_PAGES_ID] = {"REQ_PAGES_ID", -1},
    [MIG_RP_MSG_REQ_PAGES] = {"REQ_PAGES", 12},
    [MIG_RP_MSG_RECV_BITMAP] = {"RECV_BITMAP", -1},
    [MIG_RP_MSG_RESUME_ACK] = {"RESUME_ACK", 4},
    [MIG_RP_MSG_SWITCHOVER_ACK] = {"SWITCHOVER_ACK", 0},
};

/* Destination */

/* rp_mutex is held, and the path is open. */
static void put_rp_header(MigrationIncomingState *mis, enum mig_rp_message_type type, uint16_t len)
{
    trace(rp_send, "%s", messages[type].name);
    qemu_put_be16(mis->to_src_file, type);
    qemu_put_be16(mis->to_src_file, len);
}

/* Likewise. */
static void write_message(MigrationIncomingState *mis, enum mig_rp_message_type type, uint16_t len,
                          const void *data)
{
    put_rp_header(mis, type, len);
    qemu_put_buffer(mis->to_src_file, data, len);
    qemu_fflush(mis->to_src_file);
}

static void send_rp_message(MigrationIncomingState *mis, enum mig_rp_message_type type,
                            uint16_t len, const void *data)
{
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    if (mis->to_src_file) {
        write_message(mis, type, len, data);
    }
}

static gboolean note_writable(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    *(bool *)opaque = true;
    return G_SOURCE_REMOVE;
}

/* Under rp_mutex. What has room at all has room for a message: they are short. */
static bool is_writable(MigrationIncomingState *mis)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    GSource *watch;
    bool writable = false;

    watch = qio_channel_add_watch_source(qemu_file_get_ioc(mis->to_src_file), G_IO_OUT,
                                         note_writable, &writable, NULL, context);
    g_main_context_iteration(context, FALSE);
    g_source_destroy(watch);
    g_source_unref(watch);
    return writable;
}

bool migrate_rp_writable(MigrationIncomingState *mis)
{
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    return !mis->to_src_file || is_writable(mis);
}

void migrate_try_send_rp_shut(MigrationIncomingState *mis, uint32_t value)
{
    uint32_t be = cpu_to_be32(value);

    /* Who has the lock lets go of it soon, or waits for a source that would not read this. */
    for (int i = 0; qemu_mutex_trylock(&mis->rp_mutex) < 0; i++) {
        if (i == SHUT_TRIES) {
            return;
        }
        g_usleep(1000);
    }
    if (mis->to_src_file && is_writable(mis)) {
        write_message(mis, MIG_RP_MSG_SHUT, sizeof(be), &be);
    }
    qemu_mutex_unlock(&mis->rp_mutex);
}

void migrate_send_rp_shut(MigrationIncomingState *mis, uint32_t value)
{
    uint32_t be = cpu_to_be32(value);

    send_rp_message(mis, MIG_RP_MSG_SHUT, sizeof(be), &be);
}

void migrate_send_rp_pong(MigrationIncomingState *mis, uint32_t value)
{
    uint32_t be = cpu_to_be32(value);

    send_rp_message(mis, MIG_RP_MSG_PONG, sizeof(be), &be);
}

void migrate_send_rp_switchover_ack(MigrationIncomingState *mis)
{
    send_rp_message(mis, MIG_RP_MSG_SWITCHOVER_ACK, 0, NULL);
}

void migrate_send_rp_resume_ack(MigrationIncomingState *mis)
{
    uint32_t be = cpu_to_be32(MIGRATION_RESUME_ACK_VALUE);

    send_rp_message(mis, MIG_RP_MSG_RESUME_ACK, sizeof(be), &be);
}

void migrate_rp_allow_requests(MigrationIncomingState *mis, bool allow)
{
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    mis->requests_allowed = allow;
    mis->last_requested_block = NULL;
}

void migrate_send_rp_req_pages(MigrationIncomingState *mis, const RAMPageRequest *requests,
                               unsigned n)
{
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    if (!mis->to_src_file || !mis->requests_allowed) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        RAMBlock *rb = requests[i].rb;
        bool named = rb == mis->last_requested_block;
        size_t len = strlen(rb->idstr);

        put_rp_header(mis, named ? MIG_RP_MSG_REQ_PAGES : MIG_RP_MSG_REQ_PAGES_ID,
                      named ? 12 : 12 + 1 + len);
        qemu_put_be64(mis->to_src_file, requests[i].offset);
        qemu_put_be32(mis->to_src_file, rb->page_size);
        if (!named) {
            qemu_put_counted_string(mis->to_src_file, rb->idstr);
            mis->last_requested_block = rb;
        }
    }
    qemu_fflush(mis->to_src_file);
}

void migrate_send_rp_recv_bitmap(MigrationIncomingState *mis, RAMBlock *rb)
{
    uint64_t pages = ram_block_pages(rb), bytes = ROUND_UP(DIV_ROUND_UP(pages, 8), 8);
    g_autofree unsigned long *le = bitmap_new(bytes * 8);
    size_t len = strlen(rb->idstr);

    bitmap_to_le(le, rb->receivedmap, pages);
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    if (!mis->to_src_file) {
        return;
    }
    put_rp_header(mis, MIG_RP_MSG_RECV_BITMAP, 1 + len);
    qemu_put_counted_string(mis->to_src_file, rb->idstr);
    qemu_put_be64(mis->to_src_file, bytes);
    qemu_put_buffer(mis->to_src_file, le, bytes);
    qemu_put_be64(mis->to_src_file, MIGRATION_RECV_BITMAP_END);
    qemu_fflush(mis->to_src_file);
}

void migration_incoming_close_return_path(MigrationIncomingState *mis)
{
    QEMUFile *f;

    WITH_QEMU_LOCK_GUARD(&mis->rp_mutex) {
        f = mis->to_src_file;
        mis->to_src_file = NULL;
        mis->requests_allowed = false;
    }
    if (f) {
        qemu_fclose(f);
    }
}

int migration_incoming_open_return_path(MigrationIncomingState *mis, Error **errp)
{
    QEMU_LOCK_GUARD(&mis->rp_mutex);

    if (mis->to_src_file) {
        error_setg(errp, "command OPEN_RETURN_PATH came, but the return path is open");
        return -EINVAL;
    }
    mis->to_src_file = qemu_file_get_return_path(mis->from_src_file);
    return 0;
}

/* Source */

static void rp_error(MigrationState *s, const char *fmt, ...) GCC_FMT_ATTR(2, 3);
static void rp_error(MigrationState *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (!s->rp_state.error) {
        error_setg(&s->rp_state.error, "return path: %s", text);
    }
}

/* What came is a message of ours that was to come; @value is its first word. */
static bool take_message(MigrationState *s, uint16_t type, uint32_t value);

static bool end_is_out(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    return s->committed && (!s->postcopy.switched || qatomic_mb_read(&s->postcopy.end_sent));
}

static bool take_bitmap(MigrationState *s, QEMUFile *rp, const uint8_t *data, uint16_t len)
{
    char name[256];
    Error *err = NULL;

    if (!len || !data[0] || len != 1 + data[0] || memchr(data + 1, 0, data[0])) {
        rp_error(s, "message RECV_BITMAP of %u bytes names no block", len);
        return false;
    }
    memcpy(name, data + 1, data[0]);
    name[data[0]] = 0;
    if (!ram_postcopy_load_bitmap(rp, name, &err)) {
        rp_error(s, "%s", error_get_pretty(err));
        error_free(err);
        return false;
    }
    qemu_sem_post(&s->rp_sem);
    return true;
}

/*
 * What was to be heard or sent cannot be: the migration thread, which may be blocked sending to a
 * peer that has given up, learns of it, and why.
 */
static void give_up(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    if (s->to_dst_file) {
        qemu_file_set_error_obj(s->to_dst_file, -EIO, error_copy(s->rp_state.error));
        qemu_file_shutdown(s->to_dst_file);
    }
    postcopy_preempt_shutdown(s);
    multifd_send_shutdown();
    qemu_sem_post(&s->pause_sem); /* or it may be waiting for migrate-continue */
    qemu_sem_post(&s->rate_limit_sem);
    qemu_sem_post(&s->rp_sem);
}

static bool channels_are_broken(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    return (s->to_dst_file && qemu_file_get_error(s->to_dst_file)) ||
           (s->postcopy.preempt_file && qemu_file_get_error(s->postcopy.preempt_file));
}

/*
 * Sends what is asked for. True also where nothing can be sent any more: then the migration thread
 * knows, and what else the destination has said before the end is heard, since it may be that it
 * has loaded the guest, or has not. False: what it says makes no sense.
 */
static bool answer_request(MigrationState *s, const char *block, uint64_t start, uint32_t length)
{
    Error *err = NULL;
    bool begun, ok;

    if (channels_are_broken(s)) {
        return true;
    }
    begun = postcopy_watch_begin_answer(s, &err);
    ok = begun && ram_postcopy_request(block, start, length, &err);
    postcopy_watch_end_answer();
    if (ok) {
        return true;
    }
    rp_error(s, "%s", error_get_pretty(err));
    error_free(err);
    if (begun && !channels_are_broken(s)) {
        return false;
    }
    give_up(s);
    return true;
}

/* @data: the rest of REQ_PAGES, or of REQ_PAGES_ID with the block's name behind it. */
static bool take_request(MigrationState *s, bool named, const uint8_t *data, uint16_t len)
{
    const unsigned fixed = 12;
    char name[256];

    if (named) {
        unsigned n = len > fixed ? data[fixed] : 0;

        if (!n || len != fixed + 1 + n || memchr(data + fixed + 1, 0, n)) {
            rp_error(s, "message REQ_PAGES_ID of %u bytes names no block", len);
            return false;
        }
        memcpy(name, data + fixed + 1, n);
        name[n] = 0;
    }
    return answer_request(s, named ? name : NULL, ldq_be_p(data), ldl_be_p(data + 8));
}

static void *source_return_path_thread(void *opaque)
{
    MigrationState *s = opaque;
    QEMUFile *rp = s->rp_state.from_dst_file;

    while (s->rp_state.shut_value < 0) {
        uint16_t type = qemu_get_be16(rp), len = qemu_get_be16(rp);
        uint8_t data[12 + 1 + 255];
        Error *err = NULL;

        if (qemu_file_get_error_obj(rp, &err)) {
            rp_error(s, "%s", error_get_pretty(err));
            error_free(err);
            break;
        }
        if (type == MIG_RP_MSG_INVALID || type >= MIG_RP_MSG_MAX) {
            rp_error(s, "unknown message 0x%x (with 0x%x bytes of data)", type, len);
            break;
        }
        if (messages[type].len != -1 && messages[type].len != len) {
            rp_error(s, "message %s has %u bytes of data, expected %d", messages[type].name, len,
                     messages[type].len);
            break;
        }
        if (len > sizeof(data)) {
            rp_error(s, "message %s has %u bytes of data, expected at most %zu",
                     messages[type].name, len, sizeof(data));
            break;
        }
        if (qemu_get_buffer(rp, data, len) != len) {
            continue; /* the file's error is seen above */
        }
        trace(rp_received, "%s 0x%x", messages[type].name, len >= 4 ? ldl_be_p(data) : 0);
        if (type == MIG_RP_MSG_REQ_PAGES || type == MIG_RP_MSG_REQ_PAGES_ID) {
            if (!take_request(s, type == MIG_RP_MSG_REQ_PAGES_ID, data, len)) {
                break;
            }
            continue;
        }
        if (type == MIG_RP_MSG_RECV_BITMAP) {
            if (!take_bitmap(s, rp, data, len)) {
                break;
            }
            continue;
        }
        if (!take_message(s, type, len >= 4 ? ldl_be_p(data) : 0)) {
            break;
        }
    }
    if (s->rp_state.error) {
        /*
         * Who says that it failed to load does not run the guest.  A connection that merely ends
         * says nothing: it may be a relay that ended, with the guest running behind it.
         */
        s->rp_state.peer_is_out = s->rp_state.shut_value == 1;
        give_up(s);
    }
    qatomic_mb_set(&s->rp_state.ended, true);
    qemu_sem_post(&s->rate_limit_sem);
    qemu_sem_post(&s->rp_sem);
    return NULL;
}

static bool take_message(MigrationState *s, uint16_t type, uint32_t value)
{
    switch (type) {
    case MIG_RP_MSG_SHUT:
        if (!value && !end_is_out(s)) {
            rp_error(s, "SHUT says that all is loaded, but the stream has not ended yet");
            return false;
        }
        s->rp_state.shut_value = value ? 1 : 0;
        if (value) {
            rp_error(s, "%s", MIGRATION_REFUSED);
        }
        return true;
    case MIG_RP_MSG_PONG:
        postcopy_take_pong(s, value);
        qatomic_mb_set(&s->rp_state.last_pong, value);
        qemu_sem_post(&s->rp_sem);
        return true;
    case MIG_RP_MSG_RESUME_ACK:
        if (qatomic_read(&s->state) == MIGRATION_STATUS_POSTCOPY_RECOVER &&
            !qatomic_read(&s->rp_state.resume_acked) && value == 1) {
            qatomic_mb_set(&s->rp_state.resume_acked, true);
            qemu_sem_post(&s->rp_sem);
            return true;
        }
        break;
    case MIG_RP_MSG_SWITCHOVER_ACK:
        if (migrate_switchover_ack() && !qatomic_read(&s->rp_state.switchover_acked)) {
            qatomic_mb_set(&s->rp_state.switchover_acked, true);
            qemu_sem_post(&s->rate_limit_sem); /* it may have waited for this alone */
            return true;
        }
        break;
    }
    rp_error(s, "message %s came, but was not asked for", messages[type].name);
    return false;
}

bool migration_switchover_acked(MigrationState *s)
{
    return !migrate_switchover_ack() || qatomic_mb_read(&s->rp_state.switchover_acked);
}

bool migration_wait_for_pong(MigrationState *s, uint32_t value)
{
    while (qatomic_mb_read(&s->rp_state.last_pong) != value) {
        if (qemu_file_get_error(s->to_dst_file) ||
            qatomic_read(&s->state) == MIGRATION_STATUS_CANCELLING) {
            return false;
        }
        qemu_sem_wait(&s->rp_sem);
    }
    return true;
}

bool migration_uses_return_path(void)
{
    return migrate_return_path() || migrate_postcopy_ram();
}

void open_return_path_on_source(MigrationState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        s->rp_state.from_dst_file = qemu_file_get_return_path(s->to_dst_file);
    }
    s->rp_state.shut_value = -1;
    s->rp_state.peer_is_out = false;
    s->rp_state.switchover_acked = false;
    s->rp_state.last_pong = 0;
    s->rp_state.resume_acked = s->rp_state.ended = false;
    while (qemu_sem_timedwait(&s->rp_sem, 0) == 0) {
        /* posts of an earlier migration */
    }
    qemu_thread_create(&s->rp_state.thread, "mig/src/return", source_return_path_thread, s,
                       QEMU_THREAD_JOINABLE);
    s->rp_state.thread_created = true;
    if (migrate_postcopy_ram()) {
        postcopy_watch_start(s);
    }
}

bool close_return_path_on_source(MigrationState *s, bool fail)
{
    bool ok;

    if (!s->rp_state.thread_created) {
        return true;
    }
    if (fail) {
        QEMU_LOCK_GUARD(&s->qemu_file_lock);

        qemu_file_shutdown(s->rp_state.from_dst_file);
    }
    qemu_thread_join(&s->rp_state.thread);
    postcopy_watch_stop();
    s->rp_state.thread_created = false;
    ok = s->rp_state.shut_value == 0 && !s->rp_state.error;
    if (s->rp_state.error) {
        migrate_set_error(s, s->rp_state.error);
        g_clear_pointer(&s->rp_state.error, error_free);
    }
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        qemu_fclose(s->rp_state.from_dst_file);
        s->rp_state.from_dst_file = NULL;
    }
    return ok;
}
