/*
 * Commands between the sections: writer and reader.
 *
 * Wire form: docs/stream-format.md, section 5.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/trace.h"
#include "savevm-internal.h"
#include "savevm.h"

TRACE_EVENT(loadvm_command);

enum qemu_vm_cmd {
    MIG_CMD_INVALID = 0,
    MIG_CMD_OPEN_RETURN_PATH,
    MIG_CMD_PING,
    MIG_CMD_POSTCOPY_ADVISE,
    MIG_CMD_POSTCOPY_LISTEN,
    MIG_CMD_POSTCOPY_RUN,
    MIG_CMD_POSTCOPY_RAM_DISCARD,
    MIG_CMD_PACKAGED,
    MIG_CMD_ENABLE_COLO,
    MIG_CMD_POSTCOPY_RESUME,
    MIG_CMD_RECV_BITMAP,
    MIG_CMD_SWITCHOVER_START,
    MIG_CMD_MAX
};

static const struct {
    const char *name;
    int len; /* of its data; -1: varies */
} commands[MIG_CMD_MAX] = {
    [MIG_CMD_INVALID] = {"INVALID", -1},
    [MIG_CMD_OPEN_RETURN_PATH] = {"OPEN_RETURN_PATH", 0},
    [MIG_CMD_PING] = {"PING", 4},
    [MIG_CMD_POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", -1},
    [MIG_CMD_POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", 0},
    [MIG_CMD_POSTCOPY_RUN] = {"POSTCOPY_RUN", 0},
    [MIG_CMD_POSTCOPY_RAM_DISCARD] = {"POSTCOPY_RAM_DISCARD", -1},
    [MIG_CMD_PACKAGED] = {"PACKAGED", 4},
    [MIG_CMD_ENABLE_COLO] = {"ENABLE_COLO", 0},
    [MIG_CMD_POSTCOPY_RESUME] = {"POSTCOPY_RESUME", 0},
    [MIG_CMD_RECV_BITMAP] = {"RECV_BITMAP", -1},
    [MIG_CMD_SWITCHOVER_START] = {"SWITCHOVER_START", 0},
};

/* Writer */

static void send_command(QEMUFile *f, enum qemu_vm_cmd cmd, uint16_t len, const void *data)
{
    qemu_put_byte(f, QEMU_VM_COMMAND);
    qemu_put_be16(f, cmd);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, data, len);
    qemu_fflush(f); /* the peer is to act on it now */
}

void qemu_savevm_send_open_return_path(QEMUFile *f)
{
    send_command(f, MIG_CMD_OPEN_RETURN_PATH, 0, NULL);
}

void qemu_savevm_send_ping(QEMUFile *f, uint32_t value)
{
    uint32_t be = cpu_to_be32(value);

    send_command(f, MIG_CMD_PING, sizeof(be), &be);
}

void qemu_savevm_send_switchover_start(QEMUFile *f)
{
    if (migrate_send_switchover_start()) {
        send_command(f, MIG_CMD_SWITCHOVER_START, 0, NULL);
    }
}

/* Reader */

int qemu_loadvm_command(QEMUFile *f, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    uint16_t cmd = qemu_get_be16(f), len = qemu_get_be16(f);

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (cmd == MIG_CMD_INVALID || cmd >= MIG_CMD_MAX) {
        error_setg(errp, "command 0x%x (with 0x%x bytes of data) is unknown", cmd, len);
        return -EINVAL;
    }
    trace(loadvm_command, "%s len %u", commands[cmd].name, len);
    if (commands[cmd].len != -1 && commands[cmd].len != len) {
        error_setg(errp, "command %s has %u bytes of data, expected %d", commands[cmd].name, len,
                   commands[cmd].len);
        return -EINVAL;
    }
    switch (cmd) {
    case MIG_CMD_OPEN_RETURN_PATH: {
        int ret = migration_incoming_open_return_path(mis, errp);

        if (!ret && migrate_switchover_ack() && !mis->switchover_ack_pending) {
            migrate_send_rp_switchover_ack(mis); /* no device wants to be waited for */
        }
        return ret;
    }
    case MIG_CMD_PING: {
        uint32_t value = qemu_get_be32(f);

        if (qemu_file_get_error_obj(f, errp)) {
            return -EIO;
        }
        if (!mis->to_src_file) {
            error_setg(errp, "command PING (0x%x) came, but no return path is open", value);
            return -EINVAL;
        }
        migrate_send_rp_pong(mis, value);
        return 0;
    }
    case MIG_CMD_SWITCHOVER_START:
        /* From here on the source's guest is stopped. */
        return 0;
    default:
        error_setg(errp, "command %s came, but what it belongs to (%s) is not built in",
                   commands[cmd].name,
                   cmd == MIG_CMD_ENABLE_COLO ? "COLO" : "postcopy");
        return -ENOTSUP;
    }
}
