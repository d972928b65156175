/*
 * Migration over TCP, unix and vsock sockets. Outgoing connections are made in a thread of their
 * own, since names have to be resolved and peers may be slow; the listener stops when all the
 * channels that a migration needs have arrived.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "migration.h"
#include "options.h"
#include "socket.h"

/* --- outgoing --- */

/* Guards what follows. A leaf, but for a channel's own lock. */
static GMutex outgoing_lock;
static SocketAddress *outgoing_addr; /* of the running migration */
static GSList *connecting; /* channels on their way, each with a reference */

static void set_outgoing_addr(SocketAddress *addr)
{
    g_mutex_lock(&outgoing_lock);
    qapi_free_SocketAddress(outgoing_addr);
    outgoing_addr = addr;
    g_mutex_unlock(&outgoing_lock);
}

static SocketAddress *copy_outgoing_addr(void)
{
    SocketAddress *addr;

    g_mutex_lock(&outgoing_lock);
    addr = outgoing_addr ? QAPI_CLONE(SocketAddress, outgoing_addr) : NULL;
    g_mutex_unlock(&outgoing_lock);
    return addr;
}

void socket_cleanup_outgoing_migration(void)
{
    set_outgoing_addr(NULL);
}

void socket_shutdown_connecting(void)
{
    g_mutex_lock(&outgoing_lock);
    for (GSList *l = connecting; l; l = l->next) {
        qio_channel_shutdown(l->data, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&outgoing_lock);
}

typedef struct Connecting {
    QIOTaskFunc func;
    void *opaque;
    GDestroyNotify destroy;
} Connecting;

static void connecting_free(gpointer opaque)
{
    Connecting *c = opaque;

    if (c->destroy) {
        c->destroy(c->opaque);
    }
    g_free(c);
}

static void connecting_over(QIOTask *task, gpointer opaque)
{
    Connecting *c = opaque;
    Object *ioc = qio_task_get_source(task);

    g_mutex_lock(&outgoing_lock);
    connecting = g_slist_remove(connecting, ioc);
    g_mutex_unlock(&outgoing_lock);
    c->func(task, c->opaque);
    object_unref(ioc);
}

/* In a thread of its own; socket_shutdown_connecting() ends it. */
static void start_connecting(QIOChannelSocket *sioc, SocketAddress *addr, QIOTaskFunc func,
                             void *opaque, GDestroyNotify destroy)
{
    Connecting *c = g_new(Connecting, 1);

    *c = (Connecting){ func, opaque, destroy };
    object_ref(OBJECT(sioc));
    g_mutex_lock(&outgoing_lock);
    connecting = g_slist_prepend(connecting, sioc);
    g_mutex_unlock(&outgoing_lock);
    qio_channel_socket_connect_async(sioc, addr, connecting_over, c, connecting_free, NULL);
}

static QIOChannelSocket *new_outgoing_socket(void)
{
    QIOChannelSocket *sioc = qio_channel_socket_new();

    sioc->bulk = true;
    return sioc;
}

void socket_send_channel_create(QIOTaskFunc f, void *data)
{
    QIOChannelSocket *sioc = new_outgoing_socket();
    g_autoptr(SocketAddress) addr = copy_outgoing_addr();

    if (addr) {
        start_connecting(sioc, addr, f, data, NULL);
    } else {
        QIOTask *task = qio_task_new(OBJECT(sioc), f, data, NULL);
        Error *err = NULL;

        error_setg(&err, "Initial sock address not set!");
        qio_task_set_error(task, err);
        qio_task_complete(task);
    }
    object_unref(OBJECT(sioc));
}

typedef struct SocketConnectData {
    MigrationState *s;
    unsigned attempt;
    char *hostname;
} SocketConnectData;

static void connect_data_free(gpointer opaque)
{
    SocketConnectData *data = opaque;

    g_free(data->hostname);
    g_free(data);
}

static void outgoing_connected(QIOTask *task, gpointer opaque)
{
    SocketConnectData *data = opaque;
    QIOChannel *ioc = QIO_CHANNEL(qio_task_get_source(task));
    Error *err = NULL;

    if (!migration_channel_connect_end(data->attempt)) {
        return; /* cancelled meanwhile: nobody waits for this */
    }
    if (!qio_task_propagate_error(task, &err)) {
        /* Small messages of the return path's protocol must not wait for more. */
        qio_channel_set_delay(ioc, false);
        if (migrate_capability(MIGRATION_CAPABILITY_ZERO_COPY_SEND) &&
            !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY)) {
            error_setg(&err, "Zero copy send feature not detected in host kernel");
        }
    }
    migration_channel_connect(data->s, ioc, data->hostname, err);
}

void socket_start_outgoing_migration(MigrationState *s, SocketAddress *saddr, Error **errp)
{
    QIOChannelSocket *sioc = new_outgoing_socket();
    SocketConnectData *data = g_new0(SocketConnectData, 1);

    data->s = s;
    data->attempt = migration_channel_connect_begin();
    if (saddr->type == SOCKET_ADDRESS_TYPE_INET) {
        data->hostname = g_strdup(saddr->u.inet.host);
    }
    set_outgoing_addr(QAPI_CLONE(SocketAddress, saddr));
    qio_channel_set_name(QIO_CHANNEL(sioc), "migration-socket-outgoing");
    start_connecting(sioc, saddr, outgoing_connected, data, connect_data_free);
    object_unref(OBJECT(sioc));
}

/* --- incoming --- */

static void stop_listener(gpointer opaque)
{
    QIONetListener *listener = opaque;

    qio_net_listener_disconnect(listener);
    object_unref(OBJECT(listener));
}

static void client_accepted(QIONetListener *listener, QIOChannelSocket *sioc, gpointer opaque)
{
    if (migration_has_all_channels()) {
        error_report("Extra incoming migration connection; ignoring");
        return;
    }
    qio_channel_set_name(QIO_CHANNEL(sioc), "migration-socket-incoming");
    qio_channel_set_delay(QIO_CHANNEL(sioc), false);
    migration_channel_process_incoming(QIO_CHANNEL(sioc));
    if (migration_has_all_channels()) {
        migration_channel_stop_accepting();
    }
}

void socket_start_incoming_migration(SocketAddress *saddr, Error **errp)
{
    QIONetListener *listener = qio_net_listener_new();
    int backlog = 1;

    if (migrate_multifd()) {
        backlog += migrate_multifd_channels();
    }
    if (migrate_postcopy_preempt()) {
        backlog++;
    }
    qio_net_listener_set_name(listener, "migration-socket-listener");
    if (qio_net_listener_open_sync(listener, saddr, backlog, errp) < 0) {
        object_unref(OBJECT(listener));
        return;
    }
    migration_channel_set_listener(listener, stop_listener);
    for (size_t i = 0; i < listener->nsioc; i++) {
        SocketAddress *addr = qio_channel_socket_get_local_address(listener->sioc[i], errp);

        if (!addr) {
            migration_channel_stop_listening();
            return;
        }
        migration_channel_add_socket_address(addr);
    }
    qio_net_listener_set_client_func(listener, client_accepted, NULL, NULL);
}
