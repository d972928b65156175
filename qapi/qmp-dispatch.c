/*
 * Execute QMP requests: check their form, find the command, call it, make the reply.
 *
 * Relies on: the command list (qmp-registry.c), the generated marshallers behind it, and
 * qemu/fd-registry.h for "which monitor does this thread work for".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-introspect.h"
#include "qapi/qmp-registry.h"
#include "qemu/fd-registry.h"

/* The parts of a request, all borrowed from it. */
typedef struct Request {
    const char *command;
    bool oob;
    QDict *arguments; /* may be NULL */
} Request;

bool qmp_is_oob(const QObject *request)
{
    return json_object_is_type(request, json_type_object) && qdict_haskey(request, "exec-oob") &&
           !qdict_haskey(request, "execute");
}

static bool request_member(Request *req, const char *key, QObject *value, bool allow_oob,
                           Error **errp)
{
    bool oob = !strcmp(key, "exec-oob");

    if (!strcmp(key, "execute") || (oob && allow_oob)) {
        if (!json_object_is_type(value, json_type_string)) {
            error_setg(errp, "QMP input member '%s' must be a string", key);
            return false;
        }
        if (req->command) {
            error_setg(errp, "QMP input member '%s' clashes with '%s'", key,
                       oob ? "execute" : "exec-oob");
            return false;
        }
        req->command = json_object_get_string(value);
        req->oob = oob;
        return true;
    }
    if (!strcmp(key, "arguments")) {
        if (!json_object_is_type(value, json_type_object)) {
            error_setg(errp, "QMP input member 'arguments' must be an object");
            return false;
        }
        req->arguments = value;
        return true;
    }
    if (!strcmp(key, "id")) {
        return true; /* whatever it is, it goes into the reply */
    }
    error_setg(errp, "QMP input member '%s' is unexpected", key);
    return false;
}

static bool request_parse(Request *req, QObject *request, bool allow_oob, Error **errp)
{
    if (!json_object_is_type(request, json_type_object)) {
        error_setg(errp, "QMP input must be a JSON object");
        return false;
    }
    json_object_object_foreach(request, key, value) {
        if (!request_member(req, key, value, allow_oob, errp)) {
            return false;
        }
    }
    if (!req->command) {
        error_setg(errp, "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

static const QmpCommand *request_command(const QmpCommandList *cmds, const Request *req,
                                         Error **errp)
{
    const QmpCommand *cmd = qmp_find_command(cmds, req->command);

    if (!cmd) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND, "The command %s has not been found",
                  req->command);
        return NULL;
    }
    if (!cmd->enabled) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND, "Command %s has been disabled%s%s",
                  req->command, cmd->disable_reason ? ": " : "",
                  cmd->disable_reason ? cmd->disable_reason : "");
        return NULL;
    }
    if (req->oob && !(cmd->options & QCO_ALLOW_OOB)) {
        error_setg(errp, "The command %s does not support OOB", req->command);
        return NULL;
    }
    return cmd;
}

/* Run CMD. On success a new reference to what it returns, an empty object where that is nothing. */
static QObject *request_run(const QmpCommand *cmd, QDict *arguments, Monitor *mon, Error **errp)
{
    ERRP_GUARD();
    QDict *args = arguments ? json_object_get(arguments) : json_object_new_object();
    Monitor *before = monitor_set_cur(mon);
    QObject *ret = NULL;

    cmd->fn(args, &ret, errp);
    monitor_set_cur(before);
    json_object_put(args);
    if (*errp) {
        json_object_put(ret);
        return NULL;
    }
    return ret ? ret : json_object_new_object();
}

QDict *qmp_error_response(Error *err)
{
    QDict *reply = json_object_new_object();
    QDict *body = json_object_new_object();

    qdict_put_str(body, "class", ErrorClass_name(error_get_class(err)));
    qdict_put_str(body, "desc", error_get_pretty(err));
    qdict_put_obj(reply, "error", body);
    error_free(err);
    return reply;
}

QDict *qmp_dispatch(const QmpCommandList *cmds, QObject *request, bool allow_oob,
                    Monitor *cur_mon)
{
    Error *err = NULL;
    Request req = {0};
    const QmpCommand *cmd = NULL;
    QObject *ret = NULL, *id = NULL;
    QDict *reply;

    if (request_parse(&req, request, allow_oob, &err)) {
        cmd = request_command(cmds, &req, &err);
    }
    if (cmd) {
        ret = request_run(cmd, req.arguments, cur_mon, &err);
    }
    if (err) {
        reply = qmp_error_response(err);
    } else if (qmp_has_success_response(cmd)) {
        reply = json_object_new_object();
        qdict_put_obj(reply, "return", ret);
    } else {
        json_object_put(ret);
        return NULL;
    }
    if (json_object_is_type(request, json_type_object) &&
        json_object_object_get_ex(request, "id", &id)) {
        qdict_put_obj(reply, "id", json_object_get(id));
    }
    return reply;
}

void qmp_query_qmp_schema(QDict *args, QObject **ret, Error **errp)
{
    json_object_object_foreach(args, key, value) {
        (void)value;
        error_setg(errp, "Parameter '%s' is unexpected", key);
        return;
    }
    *ret = json_object_new_array();
    for (const char *const *entry = qmp_schema_json; *entry; entry++) {
        json_object_array_add(*ret, qobject_from_json(*entry, &error_abort));
    }
}
