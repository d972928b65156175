/*
 * Channels over files, devices, pipes and terminals.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_FILE_H
#define IO_CHANNEL_FILE_H

#include "io/channel.h"

#define TYPE_QIO_CHANNEL_FILE "qio-channel-file"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelFile, QIO_CHANNEL_FILE)

struct QIOChannelFile {
    QIOChannel parent;
    int fd; /* -1 after close */
};

/* Wraps @fd, which the channel owns. Seekable if the descriptor is. */
QIOChannelFile *qio_channel_file_new_fd(int fd);

/* Wraps a duplicate of @fd. NULL with @errp set. */
QIOChannelFile *qio_channel_file_new_dupfd(int fd, Error **errp);

/* Opens @path (/dev/fdset/N included) with open(2)'s @flags and, for O_CREAT, @mode. */
QIOChannelFile *qio_channel_file_new_path(const char *path, int flags, mode_t mode,
                                          Error **errp);

#endif /* IO_CHANNEL_FILE_H */
