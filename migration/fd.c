/*
 * Migration over a descriptor that was handed in: a name given by getfd, which is used up by it,
 * or a number inherited from the parent process. Sockets, pipes, files and devices all do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/fd-registry.h"
#include "io/channel-util.h"
#include "channel.h"
#include "incoming-watch.h"

static QIOChannel *open_fd(const char *fdname, const char *channel_name, Error **errp)
{
    int fd = monitor_fd_param(monitor_cur(), fdname, errp);
    QIOChannel *ioc;

    if (fd == -1) {
        return NULL;
    }
    ioc = qio_channel_new_fd(fd, errp);
    if (!ioc) {
        close(fd);
        return NULL;
    }
    qio_channel_set_name(ioc, channel_name);
    /* Whoever made it may have left it non-blocking; our threads wait in the kernel. */
    if (qio_channel_set_blocking(ioc, true, errp) < 0) {
        object_unref(OBJECT(ioc));
        return NULL;
    }
    return ioc;
}

void fd_start_outgoing_migration(MigrationState *s, const char *fdname, Error **errp)
{
    QIOChannel *ioc = open_fd(fdname, "migration-fd-outgoing", errp);

    if (ioc) {
        migration_channel_connect(s, ioc, NULL, NULL);
        object_unref(OBJECT(ioc));
    }
}

QIOChannel *fd_open_incoming_migration(const char *fdname, Error **errp)
{
    return open_fd(fdname, "migration-fd-incoming", errp);
}

void fd_start_incoming_migration(const char *fdname, Error **errp)
{
    QIOChannel *ioc = fd_open_incoming_migration(fdname, errp);

    if (ioc) {
        migration_incoming_watch(ioc);
        object_unref(OBJECT(ioc));
    }
}
