/*
 * A channel that swallows what is written and is always at its end for reading: /dev/null.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_NULL_H
#define IO_CHANNEL_NULL_H

#include "io/channel.h"

#define TYPE_QIO_CHANNEL_NULL "qio-channel-null"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelNull, QIO_CHANNEL_NULL)

struct QIOChannelNull {
    QIOChannel parent;
    bool closed;
};

QIOChannelNull *qio_channel_null_new(void);

#endif /* IO_CHANNEL_NULL_H */
