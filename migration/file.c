/*
 * Migration to and from a file, from an offset on. What stands before the offset is left as it
 * is, so that a management program can keep a header there; what stood behind it is cut off.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "io/channel-file.h"
#include "channel.h"
#include "incoming-watch.h"

static bool seek_to(QIOChannelFile *fioc, uint64_t offset, Error **errp)
{
    return !offset || qio_channel_io_seek(QIO_CHANNEL(fioc), offset, SEEK_SET, errp) >= 0;
}

static bool cut_off(QIOChannelFile *fioc, FileMigrationArgs *args, Error **errp)
{
    struct stat st;

    if (fstat(fioc->fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        return true; /* a device or a pipe has no length to change */
    }
    if (ftruncate(fioc->fd, args->offset) < 0) {
        error_setg_errno(errp, errno, "failed to truncate migration file '%s' to offset %" PRIu64,
                         args->filename, args->offset);
        return false;
    }
    return true;
}

void file_start_outgoing_migration(MigrationState *s, FileMigrationArgs *file_args,
                                   Error **errp)
{
    g_autoptr(QIOChannelFile) fioc = NULL;

    fioc = qio_channel_file_new_path(file_args->filename, O_CREAT | O_WRONLY, 0600, errp);
    if (!fioc || !cut_off(fioc, file_args, errp) || !seek_to(fioc, file_args->offset, errp)) {
        return;
    }
    qio_channel_set_name(QIO_CHANNEL(fioc), "migration-file-outgoing");
    migration_channel_connect(s, QIO_CHANNEL(fioc), NULL, NULL);
}

void file_start_incoming_migration(FileMigrationArgs *file_args, Error **errp)
{
    g_autoptr(QIOChannelFile) fioc = NULL;

    fioc = qio_channel_file_new_path(file_args->filename, O_RDONLY, 0, errp);
    if (!fioc || !seek_to(fioc, file_args->offset, errp)) {
        return;
    }
    qio_channel_set_name(QIO_CHANNEL(fioc), "migration-file-incoming");
    migration_incoming_watch(QIO_CHANNEL(fioc));
}
