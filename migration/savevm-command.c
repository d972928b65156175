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
#include "postcopy-incoming.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/trace.h"
#include "ram.h"
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

static void put_command(QEMUFile *f, enum qemu_vm_cmd cmd, uint16_t len, const void *data)
{
    qemu_put_byte(f, QEMU_VM_COMMAND);
    qemu_put_be16(f, cmd);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, data, len);
}

static void send_command(QEMUFile *f, enum qemu_vm_cmd cmd, uint16_t len, const void *data)
{
    put_command(f, cmd, len, data);
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

void qemu_savevm_send_postcopy_advise(QEMUFile *f)
{
    uint8_t data[16];
    uint64_t sizes = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        sizes |= rb->page_size;
    }
    stq_be_p(data, sizes);
    stq_be_p(data + 8, qemu_target_page_size());
    send_command(f, MIG_CMD_POSTCOPY_ADVISE, sizeof(data), data);
}

void qemu_savevm_send_postcopy_ram_discard(QEMUFile *f, const char *block, const uint64_t *pairs,
                                           unsigned npairs)
{
    size_t name = strlen(block), len = 0;
    uint8_t data[3 + 255 + POSTCOPY_DISCARD_PAIRS * 16];

    assert(npairs && npairs <= POSTCOPY_DISCARD_PAIRS);
    data[len++] = 0; /* version of this command */
    data[len++] = name;
    memcpy(data + len, block, name);
    len += name;
    data[len++] = 0;
    for (unsigned i = 0; i < 2 * npairs; i++, len += 8) {
        stq_be_p(data + len, pairs[i]);
    }
    put_command(f, MIG_CMD_POSTCOPY_RAM_DISCARD, len, data);
}

void qemu_savevm_send_postcopy_listen(QEMUFile *f)
{
    send_command(f, MIG_CMD_POSTCOPY_LISTEN, 0, NULL);
}

void qemu_savevm_put_postcopy_run(QEMUFile *f)
{
    put_command(f, MIG_CMD_POSTCOPY_RUN, 0, NULL);
}

void qemu_savevm_put_packaged(QEMUFile *f, uint32_t len)
{
    uint32_t be = cpu_to_be32(len);

    put_command(f, MIG_CMD_PACKAGED, sizeof(be), &be);
}

void qemu_savevm_send_postcopy_resume(QEMUFile *f)
{
    send_command(f, MIG_CMD_POSTCOPY_RESUME, 0, NULL);
}

void qemu_savevm_send_recv_bitmap(QEMUFile *f, const char *block)
{
    size_t name = strlen(block);
    uint8_t data[1 + 255];

    data[0] = name;
    memcpy(data + 1, block, name);
    send_command(f, MIG_CMD_RECV_BITMAP, 1 + name, data);
}

/* Reader */

int qemu_loadvm_command(QEMUFile *f, const LoadContext *ctx, Error **errp)
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
        if (!mis->to_src_file && !postcopy_incoming_listening()) {
            error_setg(errp, "command PING (0x%x) came, but no return path is open", value);
            return -EINVAL;
        }
        return postcopy_incoming_ping(ctx, value, errp);
    }
    case MIG_CMD_SWITCHOVER_START:
        /* From here on the source's guest is stopped. */
        return 0;
    case MIG_CMD_POSTCOPY_ADVISE:
        return postcopy_incoming_advise(f, len, errp);
    case MIG_CMD_POSTCOPY_RAM_DISCARD:
        return postcopy_incoming_discard(f, len, errp);
    case MIG_CMD_PACKAGED:
        return postcopy_incoming_packaged(f, ctx, errp);
    case MIG_CMD_POSTCOPY_LISTEN:
        return postcopy_incoming_listen(ctx, errp);
    case MIG_CMD_POSTCOPY_RUN:
        return postcopy_incoming_run(ctx, errp);
    case MIG_CMD_RECV_BITMAP:
        return postcopy_incoming_recv_bitmap(f, len, errp);
    case MIG_CMD_POSTCOPY_RESUME:
        return postcopy_incoming_resume(errp);
    default:
        error_setg(errp, "command %s came, but what it belongs to (COLO) is not built in",
                   commands[cmd].name);
        return -ENOTSUP;
    }
}
