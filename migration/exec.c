/*
 * Migration through the standard input or output of a command.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "io/channel-command.h"
#include "channel.h"
#include "incoming-watch.h"

static QIOChannel *spawn(strList *command, const char *channel_name, Error **errp)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    QIOChannelCommand *cioc;

    for (strList *arg = command; arg; arg = arg->next) {
        g_ptr_array_add(argv, arg->value);
    }
    if (!argv->len) {
        error_setg(errp, "Migration command is empty");
        return NULL;
    }
    g_ptr_array_add(argv, NULL);
    /* Both ways: the command may carry a return path. */
    cioc = qio_channel_command_new_spawn((const char *const *)argv->pdata, O_RDWR, errp);
    if (!cioc) {
        return NULL;
    }
    qio_channel_set_name(QIO_CHANNEL(cioc), channel_name);
    return QIO_CHANNEL(cioc);
}

void exec_start_outgoing_migration(MigrationState *s, strList *command, Error **errp)
{
    QIOChannel *ioc = spawn(command, "migration-exec-outgoing", errp);

    if (ioc) {
        migration_channel_connect(s, ioc, NULL, NULL);
        object_unref(OBJECT(ioc));
    }
}

QIOChannel *exec_open_incoming_migration(strList *command, Error **errp)
{
    return spawn(command, "migration-exec-incoming", errp);
}

void exec_start_incoming_migration(strList *command, Error **errp)
{
    QIOChannel *ioc = exec_open_incoming_migration(command, errp);

    if (ioc) {
        migration_incoming_watch(ioc);
        object_unref(OBJECT(ioc));
    }
}
