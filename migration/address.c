/*
 * Migration addresses: from a URI or a list of channels to one MigrationChannel. Pure text work;
 * nothing is opened here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/qapi-visit-sockets.h"
#include "channel.h"

#define OFFSET_OPTION ",offset="

bool file_parse_offset(char *filespec, uint64_t *offsetp, Error **errp)
{
    char *option = strstr(filespec, OFFSET_OPTION);
    uint64_t offset;

    *offsetp = 0;
    if (!option) {
        return true;
    }
    if (qemu_strtosz(option + strlen(OFFSET_OPTION), NULL, &offset) < 0 ||
        offset > INT64_MAX) {
        error_setg(errp, "file URI has bad offset '%s': expected a size such as 4096 or 1M",
                   option + strlen(OFFSET_OPTION));
        return false;
    }
    *option = '\0';
    *offsetp = offset;
    return true;
}

static bool parse_file(MigrationAddress *addr, const char *spec, Error **errp)
{
    FileMigrationArgs *args = &addr->u.file;

    addr->transport = MIGRATION_ADDRESS_TYPE_FILE;
    args->filename = g_strdup(spec);
    if (!file_parse_offset(args->filename, &args->offset, errp)) {
        return false;
    }
    if (!args->filename[0]) {
        error_setg(errp, "file URI has no file name: expected file:PATH[,offset=SIZE]");
        return false;
    }
    return true;
}

static bool parse_exec(MigrationAddress *addr, const char *command, Error **errp)
{
    strList **tail = &addr->u.exec.args;

    addr->transport = MIGRATION_ADDRESS_TYPE_EXEC;
    if (!command[0]) {
        error_setg(errp, "exec URI has no command: expected exec:COMMAND");
        return false;
    }
    QAPI_LIST_APPEND(tail, g_strdup("/bin/sh"));
    QAPI_LIST_APPEND(tail, g_strdup("-c"));
    QAPI_LIST_APPEND(tail, g_strdup(command));
    return true;
}

static bool parse_socket(MigrationAddress *addr, const char *uri, Error **errp)
{
    SocketAddress *saddr = socket_parse(uri, errp);

    if (!saddr) {
        return false;
    }
    /* The members move; only the shell of the parsed address is left to free. */
    addr->transport = MIGRATION_ADDRESS_TYPE_SOCKET;
    addr->u.socket = *saddr;
    g_free(saddr);
    return true;
}

bool migrate_uri_parse(const char *uri, MigrationChannel **channel, Error **errp)
{
    g_autoptr(MigrationChannel) result = g_new0(MigrationChannel, 1);
    MigrationAddress *addr = g_new0(MigrationAddress, 1);
    const char *rest;
    bool ok;

    result->channel_type = MIGRATION_CHANNEL_TYPE_MAIN;
    result->addr = addr;
    /* Something whose empty form is safe to free. */
    addr->transport = MIGRATION_ADDRESS_TYPE_EXEC;

    if (strstart(uri, "exec:", &rest)) {
        ok = parse_exec(addr, rest, errp);
    } else if (strstart(uri, "file:", &rest)) {
        ok = parse_file(addr, rest, errp);
    } else if (strstart(uri, "tcp:", NULL) || strstart(uri, "unix:", NULL) ||
               strstart(uri, "vsock:", NULL) || strstart(uri, "fd:", NULL)) {
        ok = parse_socket(addr, uri, errp);
    } else if (strstart(uri, "rdma:", NULL)) {
        error_setg(errp, "RDMA migration is not built into this program");
        ok = false;
    } else {
        error_setg(errp, "unknown migration protocol: %s", uri);
        error_append_hint(errp, "Use tcp:HOST:PORT, unix:PATH, vsock:CID:PORT, fd:NAME, "
                          "exec:COMMAND or file:PATH[,offset=SIZE].\n");
        ok = false;
    }
    if (!ok) {
        return false;
    }
    *channel = g_steal_pointer(&result);
    return true;
}

/* An address that came ready-made can still say nothing. */
static bool address_is_complete(MigrationAddress *addr, Error **errp)
{
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_EXEC:
        if (!addr->u.exec.args || !addr->u.exec.args->value[0]) {
            error_setg(errp, "Migration address: exec needs at least one argument");
            return false;
        }
        return true;
    case MIGRATION_ADDRESS_TYPE_FILE:
        if (!addr->u.file.filename[0]) {
            error_setg(errp, "Migration address: file needs a filename");
            return false;
        }
        if (addr->u.file.offset > INT64_MAX) {
            error_setg(errp, "Migration address: offset %" PRIu64 " is too large",
                       addr->u.file.offset);
            return false;
        }
        return true;
    case MIGRATION_ADDRESS_TYPE_RDMA:
        error_setg(errp, "RDMA migration is not built into this program");
        return false;
    default:
        return true;
    }
}

bool migrate_channels_parse(const char *uri, bool has_channels, MigrationChannelList *channels,
                            MigrationChannel **main, MigrationChannel **cpr, Error **errp)
{
    MigrationChannel *found[MIGRATION_CHANNEL_TYPE__MAX] = { NULL };

    *main = NULL;
    if (cpr) {
        *cpr = NULL;
    }
    if (!uri == !(has_channels && channels)) {
        error_setg(errp, "need either 'uri' or 'channels' argument");
        return false;
    }
    if (uri) {
        return migrate_uri_parse(uri, main, errp);
    }
    for (; channels; channels = channels->next) {
        MigrationChannelType type = channels->value->channel_type;

        if (found[type]) {
            error_setg(errp, "Channel list has more than one %s entry",
                       MigrationChannelType_str(type));
            return false;
        }
        if (type != MIGRATION_CHANNEL_TYPE_MAIN && !cpr) {
            error_setg(errp, "Channel list has a %s entry, which is not supported here",
                       MigrationChannelType_str(type));
            return false;
        }
        if (!address_is_complete(channels->value->addr, errp)) {
            return false;
        }
        found[type] = channels->value;
    }
    if (!found[MIGRATION_CHANNEL_TYPE_MAIN]) {
        error_setg(errp, "Channel list has no main entry");
        return false;
    }
    *main = QAPI_CLONE(MigrationChannel, found[MIGRATION_CHANNEL_TYPE_MAIN]);
    if (found[MIGRATION_CHANNEL_TYPE_CPR]) {
        *cpr = QAPI_CLONE(MigrationChannel, found[MIGRATION_CHANNEL_TYPE_CPR]);
    }
    return true;
}
