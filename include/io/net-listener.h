/*
 * QIONetListener: one listener over all the sockets that an address stands for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_NET_LISTENER_H
#define IO_NET_LISTENER_H

#include "io/channel-socket.h"

#define TYPE_QIO_NET_LISTENER "qio-net-listener"
OBJECT_DECLARE_SIMPLE_TYPE(QIONetListener, QIO_NET_LISTENER)

/* A client connected. @sioc is borrowed: take a reference to keep it. */
typedef void (*QIONetListenerClientFunc)(QIONetListener *listener, QIOChannelSocket *sioc,
                                         gpointer data);

struct QIONetListener {
    Object parent;
    char *name;
    QIOChannelSocket **sioc; /* the nsioc sockets listened on */
    GSource **source;        /* their watches, or NULL while no client function is set */
    size_t nsioc;
    bool connected;
    QIONetListenerClientFunc client_func;
    gpointer client_data;
    GDestroyNotify client_notify;
    GMainContext *context;
};

QIONetListener *qio_net_listener_new(void);
void qio_net_listener_set_name(QIONetListener *listener, const char *name);

/* Listens on every address that @addr resolves to; fails if none works. With port 0, all of
 * them get the same port. 0, or -1 with @errp set. */
int qio_net_listener_open_sync(QIONetListener *listener, SocketAddress *addr, int num,
                               Error **errp);

/* Adds a socket that listens already; takes its own reference. */
void qio_net_listener_add(QIONetListener *listener, QIOChannelSocket *sioc);

/* Accepts clients in @context (NULL: the main one) as long as @func is not NULL. */
void qio_net_listener_set_client_func_full(QIONetListener *listener,
                                           QIONetListenerClientFunc func, gpointer data,
                                           GDestroyNotify notify, GMainContext *context);
void qio_net_listener_set_client_func(QIONetListener *listener, QIONetListenerClientFunc func,
                                      gpointer data, GDestroyNotify notify);

/* Blocks for the next client, without a main loop. The caller owns the result. */
QIOChannelSocket *qio_net_listener_wait_client(QIONetListener *listener);

/* Stops accepting and closes the sockets (a unix path is removed). */
void qio_net_listener_disconnect(QIONetListener *listener);
bool qio_net_listener_is_connected(QIONetListener *listener);

#endif /* IO_NET_LISTENER_H */
