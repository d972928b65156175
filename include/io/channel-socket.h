/*
 * Channels over stream sockets: TCP on IPv4 and IPv6, unix (also abstract), vsock, or a
 * descriptor that is a socket already.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_SOCKET_H
#define IO_CHANNEL_SOCKET_H

#include "io/channel.h"
#include "io/task.h"
#include "qemu/sockets.h"

#define TYPE_QIO_CHANNEL_SOCKET "qio-channel-socket"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelSocket, QIO_CHANNEL_SOCKET)

struct QIOChannelSocket {
    QIOChannel parent;
    int fd;                          /* -1 until connected, and after close */
    struct sockaddr_storage local_addr;
    socklen_t local_addr_len;
    struct sockaddr_storage remote_addr;
    socklen_t remote_addr_len;       /* 0 for listeners */
    /* Zero-copy bookkeeping, of the one writing thread. */
    uint64_t zero_copy_queued;
    uint64_t zero_copy_sent;
    bool zero_copy_copied;           /* every completion since the last flush was a copy */
    bool unlink_on_close;            /* a unix listener's path goes with it */
    bool bulk;                       /* set before connecting: much is going to be written */
    GMutex connect_lock;
    int wakefd;                      /* connect_lock; an eventfd while it is being connected */
    bool gave_up;                    /* connect_lock; shut down, be it before it was connected */
};

/* An unconnected socket channel. */
QIOChannelSocket *qio_channel_socket_new(void);

/* Wraps @fd, which the channel owns on success. NULL with @errp set if it is no socket. */
QIOChannelSocket *qio_channel_socket_new_fd(int fd, Error **errp);

/*
 * Connects, blocking. 0, or -1 with @errp set. A shutdown, from any thread, ends the attempt, or
 * keeps it from beginning.
 */
int qio_channel_socket_connect_sync(QIOChannelSocket *ioc, SocketAddress *addr, Error **errp);

/* Connects in a thread, copies @addr; @callback runs in @context (NULL: the main one). */
void qio_channel_socket_connect_async(QIOChannelSocket *ioc, SocketAddress *addr,
                                      QIOTaskFunc callback, gpointer opaque,
                                      GDestroyNotify destroy, GMainContext *context);

/* Listens with a backlog of @num. 0, or -1 with @errp set. */
int qio_channel_socket_listen_sync(QIOChannelSocket *ioc, SocketAddress *addr, int num,
                                   Error **errp);
void qio_channel_socket_listen_async(QIOChannelSocket *ioc, SocketAddress *addr, int num,
                                     QIOTaskFunc callback, gpointer opaque,
                                     GDestroyNotify destroy, GMainContext *context);

/* Takes one connection from a listener. NULL with @errp set. */
QIOChannelSocket *qio_channel_socket_accept(QIOChannelSocket *ioc, Error **errp);

/* The address of either end; free with qapi_free_SocketAddress(). */
SocketAddress *qio_channel_socket_get_local_address(QIOChannelSocket *ioc, Error **errp);
SocketAddress *qio_channel_socket_get_remote_address(QIOChannelSocket *ioc, Error **errp);

#endif /* IO_CHANNEL_SOCKET_H */
