/*
 * The base of all channels: checks what the caller asks against what the channel can do, turns
 * single transfers into whole ones, and makes event sources out of descriptors.
 *
 * Relies on the class's io_readv/io_writev returning at once with QIO_CHANNEL_ERR_BLOCK on a
 * channel that was set non-blocking, and on nothing else about how it transfers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/channel.h"
#include <poll.h>

/* Elements copied at a time after a transfer that stopped inside one. */
#define PARTIAL_BATCH 128

bool qio_channel_has_feature(QIOChannel *ioc, QIOChannelFeature feature)
{
    return ioc->features & (1u << feature);
}

void qio_channel_set_feature(QIOChannel *ioc, QIOChannelFeature feature)
{
    ioc->features |= 1u << feature;
}

void qio_channel_set_name(QIOChannel *ioc, const char *name)
{
    g_free(ioc->name);
    ioc->name = g_strdup(name);
}

/* --- single transfers --- */

ssize_t qio_channel_readv_full(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                               int **fds, size_t *nfds, int flags, Error **errp)
{
    if (fds) {
        *fds = NULL;
        *nfds = 0;
        if (!qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_FD_PASS)) {
            error_setg(errp, "Channel does not support file descriptor passing");
            return -1;
        }
    }
    if ((flags & QIO_CHANNEL_READ_FLAG_MSG_PEEK) &&
        !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_READ_MSG_PEEK)) {
        error_setg(errp, "Channel does not support peek read");
        return -1;
    }
    return QIO_CHANNEL_GET_CLASS(ioc)->io_readv(ioc, iov, MIN(niov, IOV_MAX), fds, nfds, flags,
                                                errp);
}

ssize_t qio_channel_writev_full(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                int *fds, size_t nfds, int flags, Error **errp)
{
    if (nfds && !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_FD_PASS)) {
        error_setg(errp, "Channel does not support file descriptor passing");
        return -1;
    }
    if (flags & QIO_CHANNEL_WRITE_FLAG_ZERO_COPY) {
        if (nfds) {
            error_setg(errp, "Zero Copy does not support file descriptor passing");
            return -1;
        }
        if (!qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY)) {
            error_setg(errp, "Requested Zero Copy feature is not available");
            return -1;
        }
    }
    return QIO_CHANNEL_GET_CLASS(ioc)->io_writev(ioc, iov, MIN(niov, IOV_MAX), fds, nfds, flags,
                                                 errp);
}

ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp)
{
    return qio_channel_readv_full(ioc, iov, niov, NULL, NULL, 0, errp);
}

ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp)
{
    return qio_channel_writev_full(ioc, iov, niov, NULL, 0, 0, errp);
}

ssize_t qio_channel_read(QIOChannel *ioc, char *buf, size_t buflen, Error **errp)
{
    struct iovec iov = { .iov_base = buf, .iov_len = buflen };

    return qio_channel_readv_full(ioc, &iov, 1, NULL, NULL, 0, errp);
}

ssize_t qio_channel_write(QIOChannel *ioc, const char *buf, size_t buflen, Error **errp)
{
    struct iovec iov = { .iov_base = (char *)buf, .iov_len = buflen };

    return qio_channel_writev_full(ioc, &iov, 1, NULL, 0, 0, errp);
}

/* --- whole transfers --- */

/* Where a whole transfer has got to: element iov[0] from byte offset on. The caller's vector is
 * never written to. */
typedef struct IovCursor {
    const struct iovec *iov;
    size_t niov;
    size_t offset;
    struct iovec partial[PARTIAL_BATCH];
} IovCursor;

static void cursor_skip_empty(IovCursor *c)
{
    while (c->niov && c->offset >= c->iov->iov_len) {
        c->offset -= c->iov->iov_len;
        c->iov++;
        c->niov--;
    }
}

static void cursor_init(IovCursor *c, const struct iovec *iov, size_t niov)
{
    c->iov = iov;
    c->niov = niov;
    c->offset = 0;
    cursor_skip_empty(c);
}

static void cursor_advance(IovCursor *c, size_t n)
{
    c->offset += n;
    cursor_skip_empty(c);
}

/* What is to be transferred next: mostly the caller's own vector, without a copy. */
static const struct iovec *cursor_next(IovCursor *c, size_t *n)
{
    if (!c->offset) {
        *n = c->niov;
        return c->iov;
    }
    *n = MIN(c->niov, PARTIAL_BATCH);
    memcpy(c->partial, c->iov, *n * sizeof(c->partial[0]));
    c->partial[0].iov_base = (char *)c->partial[0].iov_base + c->offset;
    c->partial[0].iov_len -= c->offset;
    return c->partial;
}

static void wait_blocked(QIOChannel *ioc, GIOCondition condition)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    qio_channel_wait(ioc, klass->io_blocked_on ? klass->io_blocked_on(ioc, condition)
                                               : condition);
}

static void close_received(int **fds, size_t *nfds)
{
    if (fds && *fds) {
        for (size_t i = 0; i < *nfds; i++) {
            close((*fds)[i]);
        }
        g_clear_pointer(fds, g_free);
        *nfds = 0;
    }
}

int qio_channel_readv_full_all_eof(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                   int **fds, size_t *nfds, int flags, Error **errp)
{
    IovCursor c;
    int **want_fds = fds;
    bool partial = false;

    if (fds) {
        *fds = NULL;
        *nfds = 0;
    }
    cursor_init(&c, iov, niov);
    while (c.niov) {
        size_t n;
        const struct iovec *next = cursor_next(&c, &n);
        ssize_t len = qio_channel_readv_full(ioc, next, n, want_fds, want_fds ? nfds : NULL,
                                             flags, errp);

        if (len == QIO_CHANNEL_ERR_BLOCK) {
            wait_blocked(ioc, G_IO_IN);
            continue;
        }
        if (len == 0 && !partial) {
            if (fds && *nfds) {
                error_setg(errp, "Unexpected end-of-file with file descriptors but no data");
                close_received(fds, nfds);
                return -1;
            }
            return 0;
        }
        if (len == 0) {
            error_setg(errp, "Unexpected end-of-file before all data were read");
        }
        if (len <= 0) {
            close_received(fds, nfds);
            return -1;
        }
        partial = true;
        if (fds && *nfds) {
            /* They came with the first bytes; a later read would overwrite them. */
            want_fds = NULL;
        }
        cursor_advance(&c, len);
    }
    return 1;
}

int qio_channel_readv_full_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                               int **fds, size_t *nfds, Error **errp)
{
    int ret = qio_channel_readv_full_all_eof(ioc, iov, niov, fds, nfds, 0, errp);

    if (ret == 0) {
        error_setg(errp, "Unexpected end-of-file before all data were read");
        return -1;
    }
    return ret < 0 ? -1 : 0;
}

int qio_channel_readv_all_eof(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                              Error **errp)
{
    return qio_channel_readv_full_all_eof(ioc, iov, niov, NULL, NULL, 0, errp);
}

int qio_channel_readv_all(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp)
{
    return qio_channel_readv_full_all(ioc, iov, niov, NULL, NULL, errp);
}

int qio_channel_read_all_eof(QIOChannel *ioc, char *buf, size_t buflen, Error **errp)
{
    struct iovec iov = { .iov_base = buf, .iov_len = buflen };

    return qio_channel_readv_all_eof(ioc, &iov, 1, errp);
}

int qio_channel_read_all(QIOChannel *ioc, char *buf, size_t buflen, Error **errp)
{
    struct iovec iov = { .iov_base = buf, .iov_len = buflen };

    return qio_channel_readv_all(ioc, &iov, 1, errp);
}

int qio_channel_writev_full_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                int *fds, size_t nfds, int flags, Error **errp)
{
    IovCursor c;

    cursor_init(&c, iov, niov);
    while (c.niov) {
        size_t n;
        const struct iovec *next = cursor_next(&c, &n);
        ssize_t len = qio_channel_writev_full(ioc, next, n, fds, nfds, flags, errp);

        if (len == QIO_CHANNEL_ERR_BLOCK) {
            wait_blocked(ioc, G_IO_OUT);
            continue;
        }
        if (len < 0) {
            return -1;
        }
        /* The descriptors went with the first byte. */
        fds = NULL;
        nfds = 0;
        cursor_advance(&c, len);
    }
    return 0;
}

int qio_channel_writev_all(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp)
{
    return qio_channel_writev_full_all(ioc, iov, niov, NULL, 0, 0, errp);
}

int qio_channel_write_all(QIOChannel *ioc, const char *buf, size_t buflen, Error **errp)
{
    struct iovec iov = { .iov_base = (char *)buf, .iov_len = buflen };

    return qio_channel_writev_all(ioc, &iov, 1, errp);
}

/* --- transfers at a position --- */

ssize_t qio_channel_pwritev(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                            off_t offset, Error **errp)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (!klass->io_pwritev || !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_SEEKABLE)) {
        error_setg(errp, "Requested channel is not seekable, or does not support pwritev");
        return -1;
    }
    return klass->io_pwritev(ioc, iov, MIN(niov, IOV_MAX), offset, errp);
}

ssize_t qio_channel_pwrite(QIOChannel *ioc, const char *buf, size_t buflen, off_t offset,
                           Error **errp)
{
    struct iovec iov = { .iov_base = (char *)buf, .iov_len = buflen };

    return qio_channel_pwritev(ioc, &iov, 1, offset, errp);
}

ssize_t qio_channel_preadv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                           off_t offset, Error **errp)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (!klass->io_preadv || !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_SEEKABLE)) {
        error_setg(errp, "Requested channel is not seekable, or does not support preadv");
        return -1;
    }
    return klass->io_preadv(ioc, iov, MIN(niov, IOV_MAX), offset, errp);
}

ssize_t qio_channel_pread(QIOChannel *ioc, char *buf, size_t buflen, off_t offset, Error **errp)
{
    struct iovec iov = { .iov_base = buf, .iov_len = buflen };

    return qio_channel_preadv(ioc, &iov, 1, offset, errp);
}

int qio_channel_pwritev_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                            off_t offset, Error **errp)
{
    IovCursor c;

    cursor_init(&c, iov, niov);
    while (c.niov) {
        size_t n;
        const struct iovec *next = cursor_next(&c, &n);
        ssize_t len = qio_channel_pwritev(ioc, next, n, offset, errp);

        if (len == QIO_CHANNEL_ERR_BLOCK) {
            wait_blocked(ioc, G_IO_OUT);
            continue;
        }
        if (len < 0) {
            return -1;
        }
        offset += len;
        cursor_advance(&c, len);
    }
    return 0;
}

int qio_channel_preadv_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                           off_t offset, Error **errp)
{
    IovCursor c;

    cursor_init(&c, iov, niov);
    while (c.niov) {
        size_t n;
        const struct iovec *next = cursor_next(&c, &n);
        ssize_t len = qio_channel_preadv(ioc, next, n, offset, errp);

        if (len == QIO_CHANNEL_ERR_BLOCK) {
            wait_blocked(ioc, G_IO_IN);
            continue;
        }
        if (len == 0) {
            error_setg(errp, "Unexpected end-of-file at offset %jd", (intmax_t)offset);
        }
        if (len <= 0) {
            return -1;
        }
        offset += len;
        cursor_advance(&c, len);
    }
    return 0;
}

/* --- control --- */

int qio_channel_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return QIO_CHANNEL_GET_CLASS(ioc)->io_set_blocking(ioc, enabled, errp);
}

int qio_channel_close(QIOChannel *ioc, Error **errp)
{
    return QIO_CHANNEL_GET_CLASS(ioc)->io_close(ioc, errp);
}

int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (!klass->io_shutdown || !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_SHUTDOWN)) {
        error_setg(errp, "Data path shutdown not supported");
        return -1;
    }
    return klass->io_shutdown(ioc, how, errp);
}

void qio_channel_set_delay(QIOChannel *ioc, bool enabled)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (klass->io_set_delay) {
        klass->io_set_delay(ioc, enabled);
    }
}

void qio_channel_bound_send_queue(QIOChannel *ioc, size_t bytes)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (klass->io_bound_send_queue) {
        klass->io_bound_send_queue(ioc, bytes);
    }
}

void qio_channel_bound_receive_queue(QIOChannel *ioc, size_t bytes, uint64_t bytes_per_second)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (klass->io_bound_receive_queue) {
        klass->io_bound_receive_queue(ioc, bytes, bytes_per_second);
    }
}

void qio_channel_set_cork(QIOChannel *ioc, bool enabled)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (klass->io_set_cork) {
        klass->io_set_cork(ioc, enabled);
    }
}

off_t qio_channel_io_seek(QIOChannel *ioc, off_t offset, int whence, Error **errp)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (!klass->io_seek) {
        error_setg(errp, "Channel does not support random access");
        return -1;
    }
    return klass->io_seek(ioc, offset, whence, errp);
}

int qio_channel_flush(QIOChannel *ioc, Error **errp)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);

    if (!klass->io_flush || !qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY)) {
        return 0;
    }
    return klass->io_flush(ioc, errp);
}

/* --- waiting and watching --- */

void qio_channel_wait(QIOChannel *ioc, GIOCondition condition)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);
    struct pollfd pfd = { .events = 0 };

    if ((condition & G_IO_IN) && klass->io_pending && klass->io_pending(ioc)) {
        return;
    }
    if (klass->io_wait) {
        klass->io_wait(ioc, condition);
        return;
    }
    pfd.fd = klass->io_poll_fd(ioc, condition & G_IO_OUT ? G_IO_OUT : G_IO_IN);
    if (pfd.fd < 0) {
        return;
    }
    pfd.events = ((condition & G_IO_IN) ? POLLIN : 0) | ((condition & G_IO_OUT) ? POLLOUT : 0);
    while (poll(&pfd, 1, -1) < 0 && errno == EINTR) {
    }
}

/*
 * The event source. The two directions may have different descriptors (a command's pipes), the
 * same one (a socket), or none, which is to say that they never block.
 */
typedef struct ChannelWatch {
    GSource parent;
    QIOChannel *ioc;
    GIOCondition condition;
    GIOCondition always; /* directions of condition without a descriptor */
    gpointer in_tag;
    gpointer out_tag;    /* may equal in_tag */
} ChannelWatch;

static GIOCondition watch_ready(ChannelWatch *w)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(w->ioc);
    GIOCondition hangup = 0;
    GIOCondition ready = w->always;

    if (w->in_tag) {
        hangup = g_source_query_unix_fd(&w->parent, w->in_tag);
    }
    if (w->out_tag && w->out_tag != w->in_tag) {
        hangup |= g_source_query_unix_fd(&w->parent, w->out_tag);
    }
    ready |= hangup & w->condition;
    hangup &= G_IO_HUP | G_IO_ERR | G_IO_NVAL;
    if (hangup) {
        /* A transfer will not block now: it ends or fails, and says which. */
        ready |= hangup | (w->condition & (G_IO_IN | G_IO_OUT));
    }
    if ((w->condition & G_IO_IN) && klass->io_pending && klass->io_pending(w->ioc)) {
        ready |= G_IO_IN;
    }
    return ready;
}

static gboolean watch_prepare(GSource *source, gint *timeout)
{
    ChannelWatch *w = (ChannelWatch *)source;
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(w->ioc);

    *timeout = -1;
    return w->always ||
           ((w->condition & G_IO_IN) && klass->io_pending && klass->io_pending(w->ioc));
}

static gboolean watch_check(GSource *source)
{
    return watch_ready((ChannelWatch *)source) != 0;
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    ChannelWatch *w = (ChannelWatch *)source;
    QIOChannelFunc func = (QIOChannelFunc)(void (*)(void))callback;

    return func ? func(w->ioc, watch_ready(w), user_data) : G_SOURCE_REMOVE;
}

static void watch_finalize(GSource *source)
{
    object_unref(OBJECT(((ChannelWatch *)source)->ioc));
}

static GSourceFuncs watch_funcs = {
    .prepare = watch_prepare,
    .check = watch_check,
    .dispatch = watch_dispatch,
    .finalize = watch_finalize,
};

GSource *qio_channel_create_watch(QIOChannel *ioc, GIOCondition condition)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(ioc);
    GSource *source = g_source_new(&watch_funcs, sizeof(ChannelWatch));
    ChannelWatch *w = (ChannelWatch *)source;
    GIOCondition extra = condition & (G_IO_HUP | G_IO_ERR | G_IO_PRI);
    int in_fd = -1;

    w->ioc = ioc;
    object_ref(OBJECT(ioc));
    w->condition = condition;
    g_source_set_name(source, ioc->name ? ioc->name : object_get_typename(OBJECT(ioc)));

    if (condition & G_IO_IN || !(condition & G_IO_OUT)) {
        in_fd = klass->io_poll_fd(ioc, G_IO_IN);
        if (in_fd < 0) {
            w->always |= condition & G_IO_IN;
        } else {
            w->in_tag = g_source_add_unix_fd(source, in_fd, (condition & G_IO_IN) | extra);
        }
    }
    if (condition & G_IO_OUT) {
        int out_fd = klass->io_poll_fd(ioc, G_IO_OUT);

        if (out_fd < 0) {
            w->always |= G_IO_OUT;
        } else if (out_fd == in_fd) {
            w->out_tag = w->in_tag;
            g_source_modify_unix_fd(source, w->in_tag, condition);
        } else {
            w->out_tag = g_source_add_unix_fd(source, out_fd, G_IO_OUT | extra);
        }
    }
    return source;
}

static GSource *attach_watch(QIOChannel *ioc, GIOCondition condition, QIOChannelFunc func,
                             gpointer user_data, GDestroyNotify notify, GMainContext *context,
                             guint *tag)
{
    GSource *source = qio_channel_create_watch(ioc, condition);

    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, user_data, notify);
    *tag = g_source_attach(source, context);
    return source;
}

guint qio_channel_add_watch_full(QIOChannel *ioc, GIOCondition condition, QIOChannelFunc func,
                                 gpointer user_data, GDestroyNotify notify,
                                 GMainContext *context)
{
    guint tag;

    g_source_unref(attach_watch(ioc, condition, func, user_data, notify, context, &tag));
    return tag;
}

guint qio_channel_add_watch(QIOChannel *ioc, GIOCondition condition, QIOChannelFunc func,
                            gpointer user_data, GDestroyNotify notify)
{
    return qio_channel_add_watch_full(ioc, condition, func, user_data, notify, NULL);
}

GSource *qio_channel_add_watch_source(QIOChannel *ioc, GIOCondition condition,
                                      QIOChannelFunc func, gpointer user_data,
                                      GDestroyNotify notify, GMainContext *context)
{
    guint tag;

    return attach_watch(ioc, condition, func, user_data, notify, context, &tag);
}

static void qio_channel_finalize(Object *obj)
{
    g_free(QIO_CHANNEL(obj)->name);
}

static const TypeInfo qio_channel_info = {
    .name = TYPE_QIO_CHANNEL,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(QIOChannel),
    .instance_finalize = qio_channel_finalize,
    .abstract = true,
    .class_size = sizeof(QIOChannelClass),
};

static void qio_channel_register_types(void)
{
    type_register_static(&qio_channel_info);
}

type_init(qio_channel_register_types)
