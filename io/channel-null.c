/*
 * The channel to nowhere: writes succeed, reads are at their end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/channel-null.h"

QIOChannelNull *qio_channel_null_new(void)
{
    return QIO_CHANNEL_NULL(object_new(TYPE_QIO_CHANNEL_NULL));
}

static bool null_is_open(QIOChannel *ioc, Error **errp)
{
    if (QIO_CHANNEL_NULL(ioc)->closed) {
        error_setg_errno(errp, EINVAL, "Channel is closed");
        return false;
    }
    return true;
}

static ssize_t null_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                          size_t *nfds, int flags, Error **errp)
{
    return null_is_open(ioc, errp) ? 0 : -1;
}

static ssize_t null_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                           size_t nfds, int flags, Error **errp)
{
    size_t total = 0;

    if (!null_is_open(ioc, errp)) {
        return -1;
    }
    for (size_t i = 0; i < niov; i++) {
        total += iov[i].iov_len;
    }
    return total;
}

static ssize_t null_preadv(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                           Error **errp)
{
    return null_readv(ioc, iov, niov, NULL, NULL, 0, errp);
}

static ssize_t null_pwritev(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                            Error **errp)
{
    return null_writev(ioc, iov, niov, NULL, 0, 0, errp);
}

static off_t null_seek(QIOChannel *ioc, off_t offset, int whence, Error **errp)
{
    return 0;
}

static int null_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return 0;
}

static int null_close(QIOChannel *ioc, Error **errp)
{
    QIO_CHANNEL_NULL(ioc)->closed = true;
    return 0;
}

static int null_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    return -1;
}

static void null_init(Object *obj)
{
    qio_channel_set_feature(QIO_CHANNEL(obj), QIO_CHANNEL_FEATURE_SEEKABLE);
}

static void null_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = null_readv;
    ioc_klass->io_writev = null_writev;
    ioc_klass->io_preadv = null_preadv;
    ioc_klass->io_pwritev = null_pwritev;
    ioc_klass->io_seek = null_seek;
    ioc_klass->io_set_blocking = null_set_blocking;
    ioc_klass->io_close = null_close;
    ioc_klass->io_poll_fd = null_poll_fd;
}

static const TypeInfo qio_channel_null_info = {
    .name = TYPE_QIO_CHANNEL_NULL,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(QIOChannelNull),
    .instance_init = null_init,
    .class_init = null_class_init,
};

static void qio_channel_null_register_types(void)
{
    type_register_static(&qio_channel_null_info);
}

type_init(qio_channel_null_register_types)
