/*
 * Channels, between the transports (socket.c, fd.c, exec.c, file.c) and the state machines
 * (migration.c): which transport an address means, which connection attempt is still wanted, and
 * what is being listened on. One migration in each direction at a time, hence the statics; all
 * of them belong to the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qapi/qapi-visit-sockets.h"
#include <poll.h>
#include "channel.h"
#include "migration-stats.h"
#include "migration.h"
#include "multifd.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "savevm.h"
#include "socket.h"
#include "tls.h"

/* --- outgoing --- */

static unsigned attempt_counter; /* the number of the latest attempt */
static bool attempt_pending;

unsigned migration_channel_connect_begin(void)
{
    attempt_pending = true;
    return ++attempt_counter;
}

bool migration_channel_connect_end(unsigned attempt)
{
    if (!attempt_pending || attempt != attempt_counter) {
        return false;
    }
    attempt_pending = false;
    return true;
}

void migration_channel_cancel_connect(void)
{
    attempt_pending = false;
    socket_shutdown_connecting();
    migration_tls_shutdown_outgoing();
}

bool migration_channel_connecting(void)
{
    return attempt_pending;
}

void migration_channel_connect(MigrationState *s, QIOChannel *ioc, const char *hostname,
                               Error *error)
{
    if (!error && migrate_channel_requires_tls_upgrade(ioc)) {
        migration_tls_channel_connect(s, ioc, hostname, &error);
        if (!error) {
            return; /* it comes here again when the handshake is done */
        }
    }
    g_free(s->hostname);
    s->hostname = g_strdup(hostname);
    if (!error) {
        object_ref(OBJECT(ioc));
        WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
            s->to_dst_file = qemu_file_new_output(ioc);
            qemu_file_set_counter(s->to_dst_file, &mig_stats.main_bytes);
        }
    }
    migration_connect(s, error);
}

void migration_channel_start_outgoing(MigrationState *s, MigrationAddress *addr, Error **errp)
{
    migration_tls_begin_outgoing();
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        if (addr->u.socket.type == SOCKET_ADDRESS_TYPE_FD) {
            fd_start_outgoing_migration(s, addr->u.socket.u.fd.str, errp);
        } else {
            socket_start_outgoing_migration(s, &addr->u.socket, errp);
        }
        break;
    case MIGRATION_ADDRESS_TYPE_EXEC:
        exec_start_outgoing_migration(s, addr->u.exec.args, errp);
        break;
    case MIGRATION_ADDRESS_TYPE_FILE:
        file_start_outgoing_migration(s, &addr->u.file, errp);
        break;
    default:
        error_setg(errp, "Migration transport %s is not built into this program",
                   MigrationAddressType_str(addr->transport));
    }
}

/* --- incoming --- */

static void *listener_data;
static GDestroyNotify listener_stop;
static SocketAddressList *listener_addresses;

/*
 * Channels of one migration come in any order: which one this is, its first bytes say. They may
 * take their time, and nobody waits for them here. Who hangs up before is forgotten, and who says
 * nothing makes room for others in the end: strangers must not keep a migration out.
 */
typedef struct UnknownChannel {
    QIOChannel *ioc;
    guint source;
    unsigned wait_ms;           /* until the next look at what has come in part */
} UnknownChannel;

#define UNKNOWN_CHANNELS_MAX 300 /* more than multifd can have */
#define LOOK_AGAIN_MS 10    /* at first; less and less often */
#define LOOK_AGAIN_MAX_MS 500

static GSList *unknown_channels; /* the latest first */

static void unknown_channel_free(UnknownChannel *u)
{
    unknown_channels = g_slist_remove(unknown_channels, u);
    if (u->source) {
        g_source_remove(u->source);
    }
    object_unref(OBJECT(u->ioc));
    g_free(u);
}

void migration_channel_forget_unknown(void)
{
    while (unknown_channels) {
        unknown_channel_free(unknown_channels->data);
    }
    migration_tls_shutdown_incoming();
}

void migration_channel_stop_accepting(void)
{
    GDestroyNotify stop = listener_stop;

    if (stop) {
        listener_stop = NULL;
        stop(listener_data);
    }
}

void migration_channel_stop_listening(void)
{
    migration_channel_stop_accepting();
    migration_channel_forget_unknown();
    migration_tls_forget_incoming();
}

void migration_channel_set_listener(void *data, GDestroyNotify stop)
{
    migration_channel_stop_listening();
    qapi_free_SocketAddressList(listener_addresses);
    listener_addresses = NULL;
    listener_data = data;
    listener_stop = stop;
}

void migration_channel_add_socket_address(SocketAddress *addr)
{
    SocketAddressList **tail = &listener_addresses;

    while (*tail) {
        tail = &(*tail)->next;
    }
    QAPI_LIST_APPEND(tail, addr);
}

SocketAddressList *migration_channel_socket_addresses(void)
{
    return listener_addresses;
}

static void refuse_channel(Error *err)
{
    error_prepend(&err, "Incoming migration channel refused: ");
    error_report_err(err);
}

static void channel_is_known(QIOChannel *ioc, bool is_main)
{
    Error *err = NULL;

    if (!migration_tls_incoming_fits(ioc, &err)) {
        refuse_channel(err);
        return;
    }
    if (is_main && migrate_postcopy_preempt() && migration_has_main_channel()) {
        postcopy_incoming_take_preempt(ioc, &err);
    } else if (is_main) {
        migration_ioc_process_incoming(ioc, &err);
    } else {
        multifd_recv_new_channel(ioc, &err);
    }
    if (err) {
        refuse_channel(err);
    } else {
        migration_tls_keep_incoming(ioc);
    }
    if (migration_has_all_channels()) {
        migration_channel_stop_accepting();
    }
}

/*
 * The preempt channel says nothing until it has a page: it is the one that is left over. It is
 * connected later, but need not come later: with TLS the end of its handshake may overtake the main
 * channel's, on a network where one connection does not wait for another.
 */
static bool next_is_preempt(void)
{
    return migrate_postcopy_preempt() && migration_has_main_channel() &&
           multifd_recv_has_all() && !postcopy_incoming_has_preempt();
}

static void find_preempt(void)
{
    GSList *oldest = g_slist_last(unknown_channels);

    if (oldest && next_is_preempt()) {
        UnknownChannel *u = oldest->data;
        QIOChannel *ioc = u->ioc;

        object_ref(OBJECT(ioc));
        unknown_channel_free(u);
        channel_is_known(ioc, true);
        object_unref(OBJECT(ioc));
    }
}

/* What begins in no way known is nobody's of ours. Postcopy's second channel says no hello. */
static bool is_a_beginning(uint32_t magic)
{
    if (magic == MULTIFD_MAGIC) {
        return migrate_multifd();
    }
    return magic == QEMU_VM_FILE_MAGIC ||
           (migrate_postcopy_preempt() && migration_has_main_channel());
}

/* The peer will send no more than has come. */
static bool has_hung_up(QIOChannel *ioc)
{
    struct pollfd pfd = {
        .fd = QIO_CHANNEL_GET_CLASS(ioc)->io_poll_fd(ioc, G_IO_IN),
        .events = POLLRDHUP,
    };

    return pfd.fd >= 0 && RETRY_ON_EINTR(poll(&pfd, 1, 0)) > 0;
}

static gboolean data_arrived(QIOChannel *ioc, GIOCondition condition, gpointer opaque);

static gboolean look_again(gpointer opaque)
{
    UnknownChannel *u = opaque;

    u->source = qio_channel_add_watch(u->ioc, G_IO_IN, data_arrived, u, NULL);
    return G_SOURCE_REMOVE;
}

static gboolean data_arrived(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    UnknownChannel *u = opaque;
    uint8_t magic[4];
    struct iovec iov = {magic, sizeof(magic)};
    Error *err = NULL;
    bool gone = has_hung_up(ioc); /* asked first: all of it has come by the time of the look */
    ssize_t len = qio_channel_readv_full(ioc, &iov, 1, NULL, NULL, QIO_CHANNEL_READ_FLAG_MSG_PEEK,
                                         &err);

    u->source = 0;
    if (len == sizeof(magic) && is_a_beginning(ldl_be_p(magic))) {
        object_ref(OBJECT(ioc));
        unknown_channel_free(u);
        channel_is_known(ioc, ldl_be_p(magic) != MULTIFD_MAGIC);
        object_unref(OBJECT(ioc));
        find_preempt();
    } else if ((len > 0 && len < (ssize_t)sizeof(magic) && !gone) ||
               (len == QIO_CHANNEL_ERR_BLOCK && !gone)) {
        /* A part is there, so polling would return at once; the rest is on its way. */
        u->source = g_timeout_add(u->wait_ms, look_again, u);
        u->wait_ms = MIN(u->wait_ms * 2, LOOK_AGAIN_MAX_MS);
    } else {
        if (len == sizeof(magic) && ldl_be_p(magic) == MULTIFD_MAGIC) {
            error_setg(&err, "it begins with 0x%08x, as a channel of multifd does, which is off "
                       "here", MULTIFD_MAGIC);
        } else if (len == sizeof(magic)) {
            error_setg(&err, "it begins with 0x%08x, as no channel of a migration does "
                       "(0x%08x or 0x%08x)", (unsigned)ldl_be_p(magic), QEMU_VM_FILE_MAGIC,
                       MULTIFD_MAGIC);
        }
        if (!err) {
            error_setg(&err, "the peer closed it before it said what it is for");
        }
        refuse_channel(err);
        unknown_channel_free(u);
    }
    return G_SOURCE_REMOVE;
}

void migration_channel_process_incoming(QIOChannel *ioc)
{
    UnknownChannel *u;
    Error *err = NULL;

    if (migration_tls_incoming_upgrade(ioc)) {
        migration_tls_channel_process_incoming(ioc, &err);
        if (err) {
            refuse_channel(err);
        }
        return;
    }
    if (next_is_preempt() || !(migrate_multifd() || migrate_postcopy_preempt())) {
        channel_is_known(ioc, true);
        return;
    }
    if (migrate_multifd()) {
        multifd_recv_setup();
    }
    if (!qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_READ_MSG_PEEK)) {
        channel_is_known(ioc, !migration_has_main_channel()); /* the first one is */
        return;
    }
    if (g_slist_length(unknown_channels) >= UNKNOWN_CHANNELS_MAX) {
        error_setg(&err, "it says nothing, as %u others do that came later",
                   UNKNOWN_CHANNELS_MAX - 1);
        refuse_channel(err);
        unknown_channel_free(g_slist_last(unknown_channels)->data);
    }
    u = g_new0(UnknownChannel, 1);
    u->ioc = ioc;
    u->wait_ms = LOOK_AGAIN_MS;
    object_ref(OBJECT(ioc));
    unknown_channels = g_slist_prepend(unknown_channels, u);
    u->source = qio_channel_add_watch(ioc, G_IO_IN, data_arrived, u, NULL);
}

void migration_channel_start_incoming(MigrationAddress *addr, Error **errp)
{
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        if (addr->u.socket.type == SOCKET_ADDRESS_TYPE_FD) {
            fd_start_incoming_migration(addr->u.socket.u.fd.str, errp);
        } else {
            socket_start_incoming_migration(&addr->u.socket, errp);
        }
        break;
    case MIGRATION_ADDRESS_TYPE_EXEC:
        exec_start_incoming_migration(addr->u.exec.args, errp);
        break;
    case MIGRATION_ADDRESS_TYPE_FILE:
        file_start_incoming_migration(&addr->u.file, errp);
        break;
    default:
        error_setg(errp, "Migration transport %s is not built into this program",
                   MigrationAddressType_str(addr->transport));
    }
}

int migration_channel_read_peek(QIOChannel *ioc, const char *buf, const size_t buflen,
                                Error **errp)
{
    struct iovec iov = { .iov_base = (char *)buf, .iov_len = buflen };

    for (;;) {
        ssize_t len = qio_channel_readv_full(ioc, &iov, 1, NULL, NULL,
                                             QIO_CHANNEL_READ_FLAG_MSG_PEEK, errp);

        if (len == (ssize_t)buflen) {
            return 0;
        }
        if (len == 0) {
            error_setg(errp, "Peer closed the channel before it said what it is for");
        }
        if (len == 0 || len == -1) {
            return -1;
        }
        if (len == QIO_CHANNEL_ERR_BLOCK) {
            qio_channel_wait(ioc, G_IO_IN);
        } else {
            /* Some bytes are there, so polling would return at once; the rest is on its way. */
            g_usleep(1000);
        }
    }
}

/* --- what works over what --- */

static bool transport_has_many_channels(MigrationAddress *addr)
{
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        return addr->u.socket.type != SOCKET_ADDRESS_TYPE_FD;
    case MIGRATION_ADDRESS_TYPE_FILE:
        return migrate_mapped_ram();
    default:
        return false;
    }
}

bool migration_channels_and_transport_compatible(MigrationAddress *addr, Error **errp)
{
    if (migrate_mapped_ram() && addr->transport != MIGRATION_ADDRESS_TYPE_FILE) {
        error_setg(errp, "Migration requires seekable transport (e.g. file)");
        return false;
    }
    if (migrate_tls() && addr->transport == MIGRATION_ADDRESS_TYPE_FILE) {
        error_setg(errp, "TLS (tls-creds) needs a connection: a file has nobody to talk to");
        return false;
    }
    if ((migrate_multifd() || migrate_postcopy_preempt()) &&
        !transport_has_many_channels(addr)) {
        error_setg(errp, "Migration requires multi-channel URIs (e.g. tcp)");
        return false;
    }
    return true;
}
