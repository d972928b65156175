/*
 * Commands by name, and the execution of requests.
 *
 * A list is filled at start-up and only read later, except for enabling and disabling, which
 * belong to the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_REGISTRY_H
#define QAPI_QMP_REGISTRY_H

#include "qapi/qobject.h"
#include "qapi/util.h"

/* ARGS is an object, borrowed.  A result goes to *RET, which is NULL before. */
typedef void QmpCommandFunc(QDict *args, QObject **ret, Error **errp);

typedef enum QmpCommandOptions {
    QCO_NO_OPTIONS = 0,
    QCO_NO_SUCCESS_RESP = 1 << 0, /* no reply where it succeeds */
    QCO_ALLOW_OOB = 1 << 1,       /* may be executed out of band */
    QCO_ALLOW_PRECONFIG = 1 << 2, /* may be executed before the machine is built */
    QCO_COROUTINE = 1 << 3,       /* accepted, without effect */
} QmpCommandOptions;

typedef struct QmpCommand {
    const char *name;
    QmpCommandFunc *fn;
    QmpCommandOptions options;
    unsigned special_features; /* bits are 1 << QapiFeature */
    bool enabled;
    const char *disable_reason; /* may be NULL */
    struct QmpCommand *next;
} QmpCommand;

/* Starts as {0}. */
typedef struct QmpCommandList {
    QmpCommand *first, *last;
    GHashTable *by_name;
} QmpCommandList;

/* Enter a command; it is a bug if there is one of that name.  NAME must live on. */
void qmp_register_command(QmpCommandList *cmds, const char *name, QmpCommandFunc *fn,
                          QmpCommandOptions options, unsigned special_features);
const QmpCommand *qmp_find_command(const QmpCommandList *cmds, const char *name);
void qmp_disable_command(QmpCommandList *cmds, const char *name, const char *disable_reason);
void qmp_enable_command(QmpCommandList *cmds, const char *name);

static inline bool qmp_command_is_enabled(const QmpCommand *cmd)
{
    return cmd->enabled;
}

static inline const char *qmp_command_name(const QmpCommand *cmd)
{
    return cmd->name;
}

static inline bool qmp_has_success_response(const QmpCommand *cmd)
{
    return !(cmd->options & QCO_NO_SUCCESS_RESP);
}

typedef void (*qmp_cmd_callback_fn)(const QmpCommand *cmd, void *opaque);
/* In the order in which they were entered. */
void qmp_for_each_command(const QmpCommandList *cmds, qmp_cmd_callback_fn fn, void *opaque);
/* Forget all commands. */
void qmp_clear_commands(QmpCommandList *cmds);

/*
 * Execute REQUEST, which may be anything.  The reply is the caller's; NULL where none is sent.
 * A reply carries the request's "id".  "exec-oob" is refused unless ALLOW_OOB.  The command runs
 * in the calling thread, with CUR_MON as that thread's current monitor.
 */
QDict *qmp_dispatch(const QmpCommandList *cmds, QObject *request, bool allow_oob,
                    Monitor *cur_mon);

/* Whether REQUEST is an object that asks for execution out of band. */
bool qmp_is_oob(const QObject *request);

/* An error reply without an id; frees ERR. */
QDict *qmp_error_response(Error *err);

/* The command query-qmp-schema, to be entered by hand: its reply is not made from C structs. */
void qmp_query_qmp_schema(QDict *args, QObject **ret, Error **errp);

#endif
