/*
 * Picks the channel class that fits a descriptor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-util.h"
#include "io/channel-file.h"
#include "io/channel-socket.h"

QIOChannel *qio_channel_new_fd(int fd, Error **errp)
{
    if (fd_is_socket(fd)) {
        QIOChannelSocket *sioc = qio_channel_socket_new_fd(fd, errp);

        return sioc ? QIO_CHANNEL(sioc) : NULL;
    }
    return QIO_CHANNEL(qio_channel_file_new_fd(fd));
}
