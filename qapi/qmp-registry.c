/*
 * Commands by name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-registry.h"

void qmp_register_command(QmpCommandList *cmds, const char *name, QmpCommandFunc *fn,
                          QmpCommandOptions options, unsigned special_features)
{
    QmpCommand *cmd = g_new0(QmpCommand, 1);

    /* What runs out of band can't also be what waits for something. */
    assert(!((options & QCO_COROUTINE) && (options & QCO_ALLOW_OOB)));
    *cmd = (QmpCommand){
        .name = name,
        .fn = fn,
        .options = options,
        .special_features = special_features,
        .enabled = true,
    };
    if (!cmds->by_name) {
        cmds->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    }
    if (!g_hash_table_insert(cmds->by_name, (char *)name, cmd)) {
        g_error("QMP command '%s' is registered twice", name);
    }
    if (cmds->last) {
        cmds->last->next = cmd;
    } else {
        cmds->first = cmd;
    }
    cmds->last = cmd;
}

const QmpCommand *qmp_find_command(const QmpCommandList *cmds, const char *name)
{
    return cmds->by_name ? g_hash_table_lookup(cmds->by_name, name) : NULL;
}

static void set_enabled(QmpCommandList *cmds, const char *name, bool enabled, const char *reason)
{
    QmpCommand *cmd = (QmpCommand *)qmp_find_command(cmds, name);

    if (cmd) {
        cmd->enabled = enabled;
        cmd->disable_reason = reason;
    }
}

void qmp_disable_command(QmpCommandList *cmds, const char *name, const char *disable_reason)
{
    set_enabled(cmds, name, false, disable_reason);
}

void qmp_enable_command(QmpCommandList *cmds, const char *name)
{
    set_enabled(cmds, name, true, NULL);
}

void qmp_for_each_command(const QmpCommandList *cmds, qmp_cmd_callback_fn fn, void *opaque)
{
    for (const QmpCommand *cmd = cmds->first; cmd; cmd = cmd->next) {
        fn(cmd, opaque);
    }
}

void qmp_clear_commands(QmpCommandList *cmds)
{
    QmpCommand *next;

    for (QmpCommand *cmd = cmds->first; cmd; cmd = next) {
        next = cmd->next;
        g_free(cmd);
    }
    g_clear_pointer(&cmds->by_name, g_hash_table_destroy);
    cmds->first = cmds->last = NULL;
}
