/*
 * The channel over a stream socket. Transfers are one sendmsg(2) or recvmsg(2) on the caller's
 * vector, without copying or allocating.
 *
 * Zero-copy writes: each one gets a number from the kernel, which reports through the socket's
 * error queue the ranges of numbers it is done with; qio_channel_flush() waits for all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/channel-socket.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include <linux/errqueue.h>
#include <poll.h>
#include <sys/eventfd.h>

#ifndef SOL_VSOCK
#define SOL_VSOCK 287
#define VSOCK_RECVERR 1
#endif

#define SOCKET_MAX_FDS 16
#define SOCKET_CMSG_SPACE CMSG_SPACE(sizeof(int) * SOCKET_MAX_FDS)

QIOChannelSocket *qio_channel_socket_new(void)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(object_new(TYPE_QIO_CHANNEL_SOCKET));

    qio_channel_set_feature(QIO_CHANNEL(sioc), QIO_CHANNEL_FEATURE_SHUTDOWN);
    return sioc;
}

/* Gives the channel its socket; on failure the descriptor stays the caller's. */
static bool socket_adopt_fd(QIOChannelSocket *sioc, int fd, Error **errp)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (sioc->fd != -1) {
        error_setg(errp, "Socket is already open");
        return false;
    }
    sioc->local_addr_len = sizeof(sioc->local_addr);
    if (getsockname(fd, (struct sockaddr *)&sioc->local_addr, &sioc->local_addr_len) < 0) {
        error_setg_errno(errp, errno, "Unable to query local socket address");
        return false;
    }
    sioc->remote_addr_len = sizeof(sioc->remote_addr);
    if (getpeername(fd, (struct sockaddr *)&sioc->remote_addr, &sioc->remote_addr_len) < 0) {
        if (errno != ENOTCONN) {
            error_setg_errno(errp, errno, "Unable to query remote socket address");
            return false;
        }
        sioc->remote_addr_len = 0;
    }
    sioc->fd = fd;

    if (sioc->local_addr.ss_family == AF_UNIX) {
        qio_channel_set_feature(QIO_CHANNEL(sioc), QIO_CHANNEL_FEATURE_FD_PASS);
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening) {
        qio_channel_set_feature(QIO_CHANNEL(sioc), QIO_CHANNEL_FEATURE_LISTEN);
    } else {
        qio_channel_set_feature(QIO_CHANNEL(sioc), QIO_CHANNEL_FEATURE_READ_MSG_PEEK);
    }
    return true;
}

QIOChannelSocket *qio_channel_socket_new_fd(int fd, Error **errp)
{
    QIOChannelSocket *sioc = qio_channel_socket_new();

    if (!socket_adopt_fd(sioc, fd, errp)) {
        object_unref(OBJECT(sioc));
        return NULL;
    }
    return sioc;
}

static void socket_probe_zero_copy(QIOChannelSocket *sioc)
{
    int one = 1;

    if (sioc->local_addr.ss_family != AF_UNIX &&
        setsockopt(sioc->fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0) {
        qio_channel_set_feature(QIO_CHANNEL(sioc), QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY);
    }
}

/*
 * To another process of this machine: what is under way is copied twice, and that costs least while
 * it stays in the processors' caches. TCP would let megabytes wait, a unix socket too little for few
 * changes of task. Across a network TCP's own judgement is better.
 */
#define LOCAL_SEND_BUFFER (192 * 1024)

static bool peer_is_here(const QIOChannelSocket *sioc)
{
    const struct sockaddr_in *a4 = (const void *)&sioc->local_addr;
    const struct sockaddr_in *b4 = (const void *)&sioc->remote_addr;
    const struct sockaddr_in6 *a6 = (const void *)a4, *b6 = (const void *)b4;

    switch (sioc->local_addr.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    case AF_INET6:
        return !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
    default:
        return false;
    }
}

static void fit_local_buffer(QIOChannelSocket *sioc)
{
    int size = LOCAL_SEND_BUFFER; /* the kernel counts its own needs in and takes twice that */

    if (sioc->bulk && peer_is_here(sioc)) {
        setsockopt(sioc->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
}

/* --- connecting and listening --- */

/* From here on a shutdown ends the attempt. The descriptor to wait for; -1 with @errp set. */
static int begin_connecting(QIOChannelSocket *sioc, Error **errp)
{
    int wakefd = -1;

    g_mutex_lock(&sioc->connect_lock);
    if (sioc->gave_up) {
        errno = ECANCELED;
    } else {
        wakefd = sioc->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    g_mutex_unlock(&sioc->connect_lock);
    if (wakefd < 0) {
        error_setg_errno(errp, errno, "Unable to connect");
    }
    return wakefd;
}

/* False: it was ended meanwhile. */
static bool end_connecting(QIOChannelSocket *sioc)
{
    bool wanted;

    g_mutex_lock(&sioc->connect_lock);
    close(sioc->wakefd);
    sioc->wakefd = -1;
    wanted = !sioc->gave_up;
    g_mutex_unlock(&sioc->connect_lock);
    return wanted;
}

int qio_channel_socket_connect_sync(QIOChannelSocket *ioc, SocketAddress *addr, Error **errp)
{
    int wakefd = begin_connecting(ioc, errp);
    bool ok;
    int fd;

    if (wakefd < 0) {
        return -1;
    }
    fd = socket_connect_until(addr, wakefd, errp);
    ok = fd >= 0 && socket_adopt_fd(ioc, fd, errp);
    if (fd >= 0 && !ok) {
        close(fd);
    }
    if (!end_connecting(ioc) && ok) {
        error_setg_errno(errp, ECANCELED, "Unable to connect");
        qio_channel_close(QIO_CHANNEL(ioc), NULL);
        ok = false;
    }
    if (!ok) {
        return -1;
    }
    socket_probe_zero_copy(ioc);
    fit_local_buffer(ioc);
    return 0;
}

int qio_channel_socket_listen_sync(QIOChannelSocket *ioc, SocketAddress *addr, int num,
                                   Error **errp)
{
    int fd = socket_listen(addr, num, errp);

    if (fd < 0) {
        return -1;
    }
    if (!socket_adopt_fd(ioc, fd, errp)) {
        close(fd);
        return -1;
    }
    ioc->unlink_on_close = addr->type == SOCKET_ADDRESS_TYPE_UNIX;
    return 0;
}

typedef struct AsyncAddress {
    SocketAddress *addr;
    int num;
} AsyncAddress;

static AsyncAddress *async_address_new(SocketAddress *addr, int num)
{
    AsyncAddress *a = g_new0(AsyncAddress, 1);

    a->addr = QAPI_CLONE(SocketAddress, addr);
    a->num = num;
    return a;
}

static void async_address_free(gpointer opaque)
{
    AsyncAddress *a = opaque;

    qapi_free_SocketAddress(a->addr);
    g_free(a);
}

static void connect_worker(QIOTask *task, gpointer opaque)
{
    AsyncAddress *a = opaque;
    Error *err = NULL;

    if (qio_channel_socket_connect_sync(QIO_CHANNEL_SOCKET(qio_task_get_source(task)), a->addr,
                                        &err) < 0) {
        qio_task_set_error(task, err);
    }
}

void qio_channel_socket_connect_async(QIOChannelSocket *ioc, SocketAddress *addr,
                                      QIOTaskFunc callback, gpointer opaque,
                                      GDestroyNotify destroy, GMainContext *context)
{
    QIOTask *task = qio_task_new(OBJECT(ioc), callback, opaque, destroy);

    qio_task_run_in_thread(task, connect_worker, async_address_new(addr, 0), async_address_free,
                           context);
}

static void listen_worker(QIOTask *task, gpointer opaque)
{
    AsyncAddress *a = opaque;
    Error *err = NULL;

    if (qio_channel_socket_listen_sync(QIO_CHANNEL_SOCKET(qio_task_get_source(task)), a->addr,
                                       a->num, &err) < 0) {
        qio_task_set_error(task, err);
    }
}

void qio_channel_socket_listen_async(QIOChannelSocket *ioc, SocketAddress *addr, int num,
                                     QIOTaskFunc callback, gpointer opaque,
                                     GDestroyNotify destroy, GMainContext *context)
{
    QIOTask *task = qio_task_new(OBJECT(ioc), callback, opaque, destroy);

    qio_task_run_in_thread(task, listen_worker, async_address_new(addr, num),
                           async_address_free, context);
}

QIOChannelSocket *qio_channel_socket_accept(QIOChannelSocket *ioc, Error **errp)
{
    QIOChannelSocket *cioc;
    int fd = qemu_accept(ioc->fd, NULL, NULL);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to accept connection");
        return NULL;
    }
    /* accept() on a listener that is non-blocking still gives a blocking socket on Linux. */
    cioc = qio_channel_socket_new_fd(fd, errp);
    if (!cioc) {
        close(fd);
    }
    return cioc;
}

SocketAddress *qio_channel_socket_get_local_address(QIOChannelSocket *ioc, Error **errp)
{
    return socket_sockaddr_to_address(&ioc->local_addr, ioc->local_addr_len, errp);
}

SocketAddress *qio_channel_socket_get_remote_address(QIOChannelSocket *ioc, Error **errp)
{
    if (!ioc->remote_addr_len) {
        error_setg(errp, "Socket is not connected");
        return NULL;
    }
    return socket_sockaddr_to_address(&ioc->remote_addr, ioc->remote_addr_len, errp);
}

/* --- transfers --- */

static void collect_fds(struct msghdr *msg, int **fds, size_t *nfds)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
            c->cmsg_len <= CMSG_LEN(0)) {
            continue;
        }
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        *fds = g_renew(int, *fds, *nfds + n);
        memcpy(*fds + *nfds, CMSG_DATA(c), n * sizeof(int));
        *nfds += n;
    }
}

static ssize_t socket_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                            size_t *nfds, int flags, Error **errp)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    union {
        struct cmsghdr align;
        char space[SOCKET_CMSG_SPACE];
    } control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = niov };
    int sflags = MSG_CMSG_CLOEXEC;
    ssize_t ret;

    if (fds) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
    }
    if (flags & QIO_CHANNEL_READ_FLAG_MSG_PEEK) {
        sflags |= MSG_PEEK;
    }
    ret = RETRY_ON_EINTR(recvmsg(sioc->fd, &msg, sflags));
    if (ret < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return QIO_CHANNEL_ERR_BLOCK;
        }
        error_setg_errno(errp, errno, "Unable to read from socket");
        return -1;
    }
    if (fds) {
        collect_fds(&msg, fds, nfds);
    }
    return ret;
}

/* The kernel would hold more pages for zero copy than it may: let it finish what it has. */
static bool make_room(QIOChannel *ioc, bool *tried, Error **errp)
{
    if (*tried) {
        error_setg_errno(errp, ENOBUFS,
                         "Process can't lock enough memory for using MSG_ZEROCOPY");
        return false;
    }
    *tried = true;
    return qio_channel_flush(ioc, errp) >= 0;
}

static ssize_t socket_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                             size_t nfds, int flags, Error **errp)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    union {
        struct cmsghdr align;
        char space[SOCKET_CMSG_SPACE];
    } control;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = niov };
    bool zero_copy = flags & QIO_CHANNEL_WRITE_FLAG_ZERO_COPY;
    int sflags = MSG_NOSIGNAL | (zero_copy ? MSG_ZEROCOPY : 0);
    bool flushed = false;
    ssize_t ret;

    if (nfds) {
        struct cmsghdr *c = &control.align;

        if (nfds > SOCKET_MAX_FDS) {
            error_setg_errno(errp, EINVAL, "Only %d FDs can be sent, got %zu", SOCKET_MAX_FDS,
                             nfds);
            return -1;
        }
        memset(&control, 0, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    for (;;) {
        ret = RETRY_ON_EINTR(sendmsg(sioc->fd, &msg, sflags));
        if (ret >= 0) {
            sioc->zero_copy_queued += zero_copy;
            return ret;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return QIO_CHANNEL_ERR_BLOCK;
        }
        if (errno == ENOBUFS && zero_copy) {
            if (!make_room(ioc, &flushed, errp)) {
                return -1;
            }
            continue;
        }
        error_setg_errno(errp, errno, "Unable to write to socket");
        return -1;
    }
}

/* Takes one report off the error queue. 1: done, 0: there was none, -1: error. */
static int reap_zero_copy(QIOChannelSocket *sioc, Error **errp)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
    } control;
    struct msghdr msg = { .msg_control = &control, .msg_controllen = sizeof(control) };
    struct sock_extended_err *report;
    struct cmsghdr *c;

    if (RETRY_ON_EINTR(recvmsg(sioc->fd, &msg, MSG_ERRQUEUE)) < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        }
        error_setg_errno(errp, errno, "Unable to read the socket's error queue");
        return -1;
    }
    c = CMSG_FIRSTHDR(&msg);
    if (!c || !((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
                (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR) ||
                (c->cmsg_level == SOL_VSOCK && c->cmsg_type == VSOCK_RECVERR))) {
        error_setg(errp, "Unexpected message in the socket's error queue");
        return -1;
    }
    report = (struct sock_extended_err *)CMSG_DATA(c);
    if (report->ee_errno || report->ee_origin != SO_EE_ORIGIN_ZEROCOPY) {
        error_setg_errno(errp, report->ee_errno, "Socket error while waiting for zero copy");
        return -1;
    }
    sioc->zero_copy_sent += (uint32_t)(report->ee_data - report->ee_info) + 1ull;
    if (!(report->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)) {
        sioc->zero_copy_copied = false;
    }
    return 1;
}

static int socket_flush(QIOChannel *ioc, Error **errp)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    bool copied;

    if (sioc->zero_copy_sent == sioc->zero_copy_queued) {
        return 0;
    }
    while (sioc->zero_copy_sent < sioc->zero_copy_queued) {
        int ret = reap_zero_copy(sioc, errp);
        struct pollfd pfd = { .fd = sioc->fd }; /* POLLERR is always reported */

        if (ret < 0) {
            return -1;
        }
        if (ret == 0) {
            RETRY_ON_EINTR(poll(&pfd, 1, -1));
            if (!(pfd.revents & POLLERR)) {
                error_setg_errno(errp, EPIPE, "Socket was shut down during a flush");
                return -1;
            }
        }
    }
    copied = sioc->zero_copy_copied;
    sioc->zero_copy_copied = true;
    return copied;
}

/* --- control --- */

static int socket_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return qemu_set_blocking(QIO_CHANNEL_SOCKET(ioc)->fd, enabled, errp) ? 0 : -1;
}

static void socket_set_delay(QIOChannel *ioc, bool enabled)
{
    int v = !enabled;

    setsockopt(QIO_CHANNEL_SOCKET(ioc)->fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v));
}

static void socket_bound_send_queue(QIOChannel *ioc, size_t bytes)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    int n = MIN(bytes, INT_MAX);

    if (sioc->local_addr.ss_family == AF_UNIX) {
        n /= 2; /* the kernel takes twice that */
        setsockopt(sioc->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
    } else {
        setsockopt(sioc->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &n, sizeof(n));
    }
}

/* On a unix socket it is the sender's queue that counts. */
static void socket_bound_receive_queue(QIOChannel *ioc, size_t bytes, uint64_t bytes_per_second)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    struct tcp_info info;
    socklen_t len = sizeof(info);

    if (sioc->local_addr.ss_family != AF_UNIX &&
        getsockopt(sioc->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        int n = MIN(MAX(bytes, bytes_per_second / 1000000 * info.tcpi_rtt), INT_MAX / 2);

        setsockopt(sioc->fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
    }
}

static void socket_set_cork_hint(QIOChannel *ioc, bool enabled)
{
    socket_set_cork(QIO_CHANNEL_SOCKET(ioc)->fd, enabled);
}

static int socket_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    int sockhow = how == QIO_CHANNEL_SHUTDOWN_READ    ? SHUT_RD
                  : how == QIO_CHANNEL_SHUTDOWN_WRITE ? SHUT_WR
                                                      : SHUT_RDWR;
    bool connecting;

    g_mutex_lock(&sioc->connect_lock);
    connecting = sioc->wakefd != -1;
    if (connecting) {
        eventfd_write(sioc->wakefd, 1);
    }
    sioc->gave_up = true;
    g_mutex_unlock(&sioc->connect_lock);
    if (connecting) {
        return 0;
    }
    if (shutdown(sioc->fd, sockhow) < 0) {
        error_setg_errno(errp, errno, "Unable to shutdown socket");
        return -1;
    }
    return 0;
}

static int socket_close(QIOChannel *ioc, Error **errp)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(ioc);
    int fd = sioc->fd;
    Error *err = NULL;

    if (fd == -1) {
        return 0;
    }
    if (sioc->unlink_on_close) {
        socket_listen_cleanup(fd, &err);
    }
    sioc->fd = -1;
    if (close(fd) < 0 && !err) {
        error_setg_errno(&err, errno, "Unable to close socket");
    }
    if (err) {
        error_propagate(errp, err);
        return -1;
    }
    return 0;
}

static int socket_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    return QIO_CHANNEL_SOCKET(ioc)->fd;
}

static void socket_init(Object *obj)
{
    QIOChannelSocket *sioc = QIO_CHANNEL_SOCKET(obj);

    sioc->fd = -1;
    sioc->wakefd = -1;
    g_mutex_init(&sioc->connect_lock);
    sioc->zero_copy_copied = true;
}

static void socket_finalize(Object *obj)
{
    socket_close(QIO_CHANNEL(obj), NULL);
    g_mutex_clear(&QIO_CHANNEL_SOCKET(obj)->connect_lock);
}

static void socket_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = socket_readv;
    ioc_klass->io_writev = socket_writev;
    ioc_klass->io_set_blocking = socket_set_blocking;
    ioc_klass->io_close = socket_close;
    ioc_klass->io_shutdown = socket_shutdown;
    ioc_klass->io_set_cork = socket_set_cork_hint;
    ioc_klass->io_set_delay = socket_set_delay;
    ioc_klass->io_bound_send_queue = socket_bound_send_queue;
    ioc_klass->io_bound_receive_queue = socket_bound_receive_queue;
    ioc_klass->io_flush = socket_flush;
    ioc_klass->io_poll_fd = socket_poll_fd;
}

static const TypeInfo qio_channel_socket_info = {
    .name = TYPE_QIO_CHANNEL_SOCKET,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(QIOChannelSocket),
    .instance_init = socket_init,
    .instance_finalize = socket_finalize,
    .class_init = socket_class_init,
};

static void qio_channel_socket_register_types(void)
{
    type_register_static(&qio_channel_socket_info);
}

type_init(qio_channel_socket_register_types)
