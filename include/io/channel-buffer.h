/*
 * A channel over growing memory: what was written can be read back, from a movable position.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_BUFFER_H
#define IO_CHANNEL_BUFFER_H

#include "io/channel.h"

#define TYPE_QIO_CHANNEL_BUFFER "qio-channel-buffer"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelBuffer, QIO_CHANNEL_BUFFER)

struct QIOChannelBuffer {
    QIOChannel parent;
    size_t capacity; /* bytes allocated at data */
    size_t usage;    /* bytes of it in use */
    size_t offset;   /* where the next read or write happens, <= usage */
    uint8_t *data;
};

/* An empty buffer with room for @capacity bytes before it has to grow. */
QIOChannelBuffer *qio_channel_buffer_new(size_t capacity);

#endif /* IO_CHANNEL_BUFFER_H */
