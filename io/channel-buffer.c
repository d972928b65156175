/*
 * The memory channel. It relies on no descriptor and never blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/channel-buffer.h"

QIOChannelBuffer *qio_channel_buffer_new(size_t capacity)
{
    QIOChannelBuffer *bioc = QIO_CHANNEL_BUFFER(object_new(TYPE_QIO_CHANNEL_BUFFER));

    if (capacity) {
        bioc->data = g_malloc(capacity);
        bioc->capacity = capacity;
    }
    return bioc;
}

static ssize_t buffer_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                            size_t *nfds, int flags, Error **errp)
{
    QIOChannelBuffer *bioc = QIO_CHANNEL_BUFFER(ioc);
    size_t position = bioc->offset;

    for (size_t i = 0; i < niov && position < bioc->usage; i++) {
        size_t n = MIN(iov[i].iov_len, bioc->usage - position);

        memcpy(iov[i].iov_base, bioc->data + position, n);
        position += n;
    }
    size_t total = position - bioc->offset;
    if (!(flags & QIO_CHANNEL_READ_FLAG_MSG_PEEK)) {
        bioc->offset = position;
    }
    return total;
}

static ssize_t buffer_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                             size_t nfds, int flags, Error **errp)
{
    QIOChannelBuffer *bioc = QIO_CHANNEL_BUFFER(ioc);
    size_t total = 0;

    for (size_t i = 0; i < niov; i++) {
        total += iov[i].iov_len;
    }
    if (total > SSIZE_MAX - bioc->offset) {
        error_setg(errp, "Buffer channel cannot hold %zu bytes more", total);
        return -1;
    }
    if (bioc->offset + total > bioc->capacity) {
        size_t capacity = MAX(bioc->offset + total, bioc->capacity + bioc->capacity / 2);
        uint8_t *data = g_try_realloc(bioc->data, capacity);

        if (!data) {
            error_setg(errp, "Not enough memory for a buffer of %zu bytes", capacity);
            return -1;
        }
        bioc->data = data;
        bioc->capacity = capacity;
    }
    for (size_t i = 0; i < niov; i++) {
        if (iov[i].iov_len) {
            memcpy(bioc->data + bioc->offset, iov[i].iov_base, iov[i].iov_len);
            bioc->offset += iov[i].iov_len;
        }
    }
    bioc->usage = MAX(bioc->usage, bioc->offset);
    return total;
}

static int buffer_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return 0;
}

static off_t buffer_seek(QIOChannel *ioc, off_t offset, int whence, Error **errp)
{
    QIOChannelBuffer *bioc = QIO_CHANNEL_BUFFER(ioc);
    off_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? bioc->offset : bioc->usage;
    off_t position;

    if (__builtin_add_overflow(base, offset, &position) || position < 0 ||
        (size_t)position > bioc->usage) {
        error_setg(errp, "Position is outside the buffer of %zu bytes", bioc->usage);
        return -1;
    }
    bioc->offset = position;
    return position;
}

static void buffer_free(QIOChannelBuffer *bioc)
{
    g_clear_pointer(&bioc->data, g_free);
    bioc->capacity = bioc->usage = bioc->offset = 0;
}

static int buffer_close(QIOChannel *ioc, Error **errp)
{
    buffer_free(QIO_CHANNEL_BUFFER(ioc));
    return 0;
}

static int buffer_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    return -1;
}

static void buffer_init(Object *obj)
{
    qio_channel_set_feature(QIO_CHANNEL(obj), QIO_CHANNEL_FEATURE_READ_MSG_PEEK);
}

static void buffer_finalize(Object *obj)
{
    buffer_free(QIO_CHANNEL_BUFFER(obj));
}

static void buffer_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = buffer_readv;
    ioc_klass->io_writev = buffer_writev;
    ioc_klass->io_set_blocking = buffer_set_blocking;
    ioc_klass->io_seek = buffer_seek;
    ioc_klass->io_close = buffer_close;
    ioc_klass->io_poll_fd = buffer_poll_fd;
}

static const TypeInfo qio_channel_buffer_info = {
    .name = TYPE_QIO_CHANNEL_BUFFER,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(QIOChannelBuffer),
    .instance_init = buffer_init,
    .instance_finalize = buffer_finalize,
    .class_init = buffer_class_init,
};

static void qio_channel_buffer_register_types(void)
{
    type_register_static(&qio_channel_buffer_info);
}

type_init(qio_channel_buffer_register_types)
