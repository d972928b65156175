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
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/trace.h"

TRACE_EVENT(rp_send);
TRACE_EVENT(rp_received);

/* At the end of the program: how often it is tried, once a millisecond, to get the path to oneself. */
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

/* Under rp_mutex. */
static void write_message(MigrationIncomingState *mis, enum mig_rp_message_type type, uint16_t len,
                          const void *data)
{
    trace(rp_send, "%s", messages[type].name);
    qemu_put_be16(mis->to_src_file, type);
    qemu_put_be16(mis->to_src_file, len);
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

    /* Who has the lock is about to let go of it, or waits for a source that would not read this either. */
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

    return s->committed;
}

static void *source_return_path_thread(void *opaque)
{
    MigrationState *s = opaque;
    QEMUFile *rp = s->rp_state.from_dst_file;

    while (s->rp_state.shut_value < 0) {
        uint16_t type = qemu_get_be16(rp), len = qemu_get_be16(rp);
        uint8_t data[16];
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
        if (messages[type].len > (int)sizeof(data) || messages[type].len < 0) {
            rp_error(s, "message %s came, but was not asked for", messages[type].name);
            break;
        }
        if (qemu_get_buffer(rp, data, len) != len) {
            continue; /* the file's error is seen above */
        }
        trace(rp_received, "%s 0x%x", messages[type].name, len >= 4 ? ldl_be_p(data) : 0);
        if (!take_message(s, type, len >= 4 ? ldl_be_p(data) : 0)) {
            break;
        }
    }
    if (s->rp_state.error) {
        /* The migration thread may be blocked sending to a peer that has given up. */
        QEMU_LOCK_GUARD(&s->qemu_file_lock);

        /*
         * Who says that it failed to load does not run the guest.  A connection that merely ends says
         * nothing: it may be a relay that ended, with the guest running behind it.
         */
        s->rp_state.peer_is_out = s->rp_state.shut_value == 1;
        if (s->to_dst_file) {
            qemu_file_set_error_obj(s->to_dst_file, -EIO, error_copy(s->rp_state.error));
            qemu_file_shutdown(s->to_dst_file);
        }
        multifd_send_shutdown();
        qemu_sem_post(&s->pause_sem); /* or it may be waiting for migrate-continue */
    }
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
            rp_error(s, "the destination failed to load the stream (its own error says why)");
        }
        return true;
    case MIG_RP_MSG_PONG:
        qatomic_mb_set(&s->rp_state.last_pong, value);
        qemu_sem_post(&s->rp_sem);
        return true;
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

void open_return_path_on_source(MigrationState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        s->rp_state.from_dst_file = qemu_file_get_return_path(s->to_dst_file);
    }
    s->rp_state.shut_value = -1;
    s->rp_state.peer_is_out = false;
    s->rp_state.switchover_acked = false;
    s->rp_state.last_pong = 0;
    while (qemu_sem_timedwait(&s->rp_sem, 0) == 0) {
        /* posts of an earlier migration */
    }
    qemu_thread_create(&s->rp_state.thread, "mig/src/return", source_return_path_thread, s,
                       QEMU_THREAD_JOINABLE);
    s->rp_state.thread_created = true;
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
