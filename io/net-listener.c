/*
 * The listener over one or more sockets; see io/net-listener.h. Everything here runs under the
 * BQL, or before there are other threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/net-listener.h"
#include <poll.h>

QIONetListener *qio_net_listener_new(void)
{
    return QIO_NET_LISTENER(object_new(TYPE_QIO_NET_LISTENER));
}

void qio_net_listener_set_name(QIONetListener *listener, const char *name)
{
    g_free(listener->name);
    listener->name = g_strdup(name);
}

static gboolean client_arrived(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    QIONetListener *listener = opaque;
    QIOChannelSocket *sioc = qio_channel_socket_accept(QIO_CHANNEL_SOCKET(ioc), NULL);

    /* A client that went away again before we got to it is nobody's error. */
    if (sioc) {
        if (listener->client_func) {
            listener->client_func(listener, sioc, listener->client_data);
        }
        object_unref(OBJECT(sioc));
    }
    return G_SOURCE_CONTINUE;
}

static void unref_listener(gpointer opaque)
{
    object_unref(OBJECT(opaque));
}

/* The watch keeps the listener alive while it may call back. */
static void watch_start(QIONetListener *listener, size_t i)
{
    object_ref(OBJECT(listener));
    listener->source[i] = qio_channel_add_watch_source(QIO_CHANNEL(listener->sioc[i]), G_IO_IN,
                                                       client_arrived, listener, unref_listener,
                                                       listener->context);
}

static void watch_stop(QIONetListener *listener, size_t i)
{
    GSource *source = listener->source[i];

    if (source) {
        listener->source[i] = NULL;
        g_source_destroy(source);
        g_source_unref(source);
    }
}

void qio_net_listener_add(QIONetListener *listener, QIOChannelSocket *sioc)
{
    if (listener->name) {
        qio_channel_set_name(QIO_CHANNEL(sioc), listener->name);
    }
    listener->sioc = g_renew(QIOChannelSocket *, listener->sioc, listener->nsioc + 1);
    listener->source = g_renew(GSource *, listener->source, listener->nsioc + 1);
    object_ref(OBJECT(sioc));
    listener->sioc[listener->nsioc] = sioc;
    listener->source[listener->nsioc] = NULL;
    listener->nsioc++;
    listener->connected = true;
    /* Two sockets may wake for one client: accepting must not block the main loop. */
    qio_channel_set_blocking(QIO_CHANNEL(sioc), false, NULL);
    if (listener->client_func) {
        watch_start(listener, listener->nsioc - 1);
    }
}

/* The port that the first socket got, for the others to take too. */
static void copy_port(SocketAddress *to, QIOChannelSocket *from)
{
    g_autoptr(SocketAddress) local = qio_channel_socket_get_local_address(from, NULL);

    if (local && local->type == SOCKET_ADDRESS_TYPE_INET) {
        g_free(to->u.inet.port);
        to->u.inet.port = g_strdup(local->u.inet.port);
        to->u.inet.has_to = false;
    }
}

int qio_net_listener_open_sync(QIONetListener *listener, SocketAddress *addr, int num,
                               Error **errp)
{
    SocketAddressList *all = socket_address_resolve(addr, true, errp);
    bool any = false;
    Error *err = NULL;

    if (!all) {
        return -1;
    }
    for (SocketAddressList *a = all; a; a = a->next) {
        QIOChannelSocket *sioc = qio_channel_socket_new();

        if (any && a->value->type == SOCKET_ADDRESS_TYPE_INET) {
            copy_port(a->value, listener->sioc[listener->nsioc - 1]);
        }
        if (qio_channel_socket_listen_sync(sioc, a->value, num, err ? NULL : &err) == 0) {
            qio_net_listener_add(listener, sioc);
            any = true;
        }
        object_unref(OBJECT(sioc));
    }
    qapi_free_SocketAddressList(all);

    /* One of several is enough: a host without IPv6 still resolves localhost to ::1. */
    if (any) {
        error_free(err);
        return 0;
    }
    error_propagate(errp, err);
    return -1;
}

void qio_net_listener_set_client_func_full(QIONetListener *listener,
                                           QIONetListenerClientFunc func, gpointer data,
                                           GDestroyNotify notify, GMainContext *context)
{
    if (listener->client_notify) {
        listener->client_notify(listener->client_data);
    }
    listener->client_func = func;
    listener->client_data = data;
    listener->client_notify = notify;
    listener->context = context;

    for (size_t i = 0; i < listener->nsioc; i++) {
        watch_stop(listener, i);
        if (func) {
            watch_start(listener, i);
        }
    }
}

void qio_net_listener_set_client_func(QIONetListener *listener, QIONetListenerClientFunc func,
                                      gpointer data, GDestroyNotify notify)
{
    qio_net_listener_set_client_func_full(listener, func, data, notify, NULL);
}

QIOChannelSocket *qio_net_listener_wait_client(QIONetListener *listener)
{
    g_autofree struct pollfd *pfd = g_new0(struct pollfd, listener->nsioc);

    for (size_t i = 0; i < listener->nsioc; i++) {
        pfd[i].fd = listener->sioc[i]->fd;
        pfd[i].events = POLLIN;
    }
    while (listener->nsioc) {
        if (poll(pfd, listener->nsioc, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        for (size_t i = 0; i < listener->nsioc; i++) {
            QIOChannelSocket *sioc = NULL;

            if (pfd[i].revents & POLLIN) {
                sioc = qio_channel_socket_accept(listener->sioc[i], NULL);
            } else if (pfd[i].revents) {
                return NULL;
            }
            if (sioc) {
                return sioc;
            }
        }
    }
    return NULL;
}

void qio_net_listener_disconnect(QIONetListener *listener)
{
    if (!listener->connected) {
        return;
    }
    object_ref(OBJECT(listener)); /* the watches' references go here */
    for (size_t i = 0; i < listener->nsioc; i++) {
        watch_stop(listener, i);
        qio_channel_close(QIO_CHANNEL(listener->sioc[i]), NULL);
    }
    listener->connected = false;
    object_unref(OBJECT(listener));
}

bool qio_net_listener_is_connected(QIONetListener *listener)
{
    return listener->connected;
}

static void net_listener_finalize(Object *obj)
{
    QIONetListener *listener = QIO_NET_LISTENER(obj);

    if (listener->client_notify) {
        listener->client_notify(listener->client_data);
    }
    for (size_t i = 0; i < listener->nsioc; i++) {
        object_unref(OBJECT(listener->sioc[i])); /* closes it */
    }
    g_free(listener->sioc);
    g_free(listener->source);
    g_free(listener->name);
}

static const TypeInfo qio_net_listener_info = {
    .name = TYPE_QIO_NET_LISTENER,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(QIONetListener),
    .instance_finalize = net_listener_finalize,
};

static void qio_net_listener_register_types(void)
{
    type_register_static(&qio_net_listener_info);
}

type_init(qio_net_listener_register_types)
