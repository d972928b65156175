/*
 * HMP commands that do something; most of them say it in QMP's words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "monitor/hmp.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-char.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-commands-qom.h"
#include "qapi/qapi-commands-run-state.h"
#include "qemu/log.h"
#include "qom/object_interfaces.h"
#include "qom/qom-qobject.h"

void hmp_help(Monitor *mon, const QDict *qdict)
{
    hmp_help_cmd(mon, qdict_get_try_str(qdict, "name"));
}

void hmp_info_help(Monitor *mon, const QDict *qdict)
{
    hmp_help_cmd(mon, "info");
}

/* ---- the machine ---- */

void hmp_quit(Monitor *mon, const QDict *qdict)
{
    monitor_suspend(mon);
    qmp_quit(NULL);
}

void hmp_stop(Monitor *mon, const QDict *qdict)
{
    qmp_stop(NULL);
}

void hmp_cont(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_cont(&err);
    hmp_handle_error(mon, err);
}

void hmp_system_reset(Monitor *mon, const QDict *qdict)
{
    qmp_system_reset(NULL);
}

void hmp_system_powerdown(Monitor *mon, const QDict *qdict)
{
    qmp_system_powerdown(NULL);
}

void hmp_system_wakeup(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_system_wakeup(&err);
    hmp_handle_error(mon, err);
}

void hmp_cpu(Monitor *mon, const QDict *qdict)
{
    int64_t index = qdict_get_int(qdict, "index");

    if (index < 0 || index > INT_MAX || !monitor_set_cpu(mon, index)) {
        monitor_puts(mon, "invalid CPU index\n");
    }
}

/* ---- descriptors ---- */

void hmp_getfd(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_getfd(qdict_get_str(qdict, "fdname"), &err);
    hmp_handle_error(mon, err);
}

void hmp_closefd(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_closefd(qdict_get_str(qdict, "fdname"), &err);
    hmp_handle_error(mon, err);
}

/* ---- character devices ---- */

void hmp_chardev_add(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    bool help;
    QemuOpts *opts = qemu_chr_parse_cli_str(qdict_get_str(qdict, "args"), &help, &err);

    if (opts) {
        qemu_chr_new_from_opts(opts, NULL, &err);
        qemu_opts_del(opts);
    }
    hmp_handle_error(mon, err);
}

void hmp_chardev_remove(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_chardev_remove(qdict_get_str(qdict, "id"), &err);
    hmp_handle_error(mon, err);
}

void hmp_chardev_send_break(Monitor *mon, const QDict *qdict)
{
    const char *id = qdict_get_str(qdict, "id");
    Chardev *chr = qemu_chr_find(id);
    Error *err = NULL;

    if (chr) {
        qemu_chr_be_event(chr, CHR_EVENT_BREAK);
    } else {
        error_setg(&err, "Chardev '%s' not found", id);
    }
    hmp_handle_error(mon, err);
}

void chardev_remove_completion(ReadLineState *rs, int nb_args, const char *str)
{
    g_autoptr(ChardevInfoList) list = NULL;

    if (nb_args != 2) {
        return;
    }
    readline_set_completion_index(rs, strlen(str));
    list = qmp_query_chardev(NULL);
    for (ChardevInfoList *l = list; l; l = l->next) {
        readline_add_completion_of(rs, str, l->value->label);
    }
}

void hmp_ringbuf_write(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_ringbuf_write(qdict_get_str(qdict, "device"), qdict_get_str(qdict, "data"), false, 0,
                      &err);
    hmp_handle_error(mon, err);
}

void hmp_ringbuf_read(Monitor *mon, const QDict *qdict)
{
    g_autofree char *data = NULL;
    Error *err = NULL;

    data = qmp_ringbuf_read(qdict_get_str(qdict, "device"), qdict_get_int(qdict, "size"), false,
                            0, &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    for (const unsigned char *p = (void *)data; *p; p++) {
        if (*p == '\\') {
            monitor_puts(mon, "\\\\");
        } else if ((*p < 0x20 && *p != '\n') || *p == 0x7f) {
            monitor_printf(mon, "\\u%04X", *p);
        } else {
            monitor_printf(mon, "%c", *p);
        }
    }
    monitor_puts(mon, "\n");
}

/* ---- objects ---- */

void hmp_object_add(Monitor *mon, const QDict *qdict)
{
    const char *text = qdict_get_try_str(qdict, "object");
    Error *err = NULL;

    if (!text) {
        monitor_puts(mon, "object_add: the form is TYPE,id=ID[,PROPERTY=VALUE]\n");
        return;
    }
    user_creatable_add_from_str(text, &err);
    hmp_handle_error(mon, err);
}

void hmp_object_del(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_object_del(qdict_get_str(qdict, "id"), &err);
    hmp_handle_error(mon, err);
}

typedef struct ObjectCompletion {
    ReadLineState *rs;
    const char *str;
} ObjectCompletion;

static int complete_object(Object *obj, void *opaque)
{
    ObjectCompletion *c = opaque;

    readline_add_completion_of(c->rs, c->str, object_get_canonical_path_component(obj));
    return 0;
}

void object_del_completion(ReadLineState *rs, int nb_args, const char *str)
{
    ObjectCompletion c = { rs, str };

    if (nb_args == 2) {
        readline_set_completion_index(rs, strlen(str));
        object_child_foreach(object_get_objects_root(), complete_object, &c);
    }
}

void hmp_qom_list(Monitor *mon, const QDict *qdict)
{
    const char *path = qdict_get_try_str(qdict, "path");
    g_autoptr(ObjectPropertyInfoList) list = NULL;
    Error *err = NULL;

    if (!path) {
        monitor_puts(mon, "/\n");
        return;
    }
    list = qmp_qom_list(path, &err);
    for (ObjectPropertyInfoList *l = list; l; l = l->next) {
        monitor_printf(mon, "%s (%s)\n", l->value->name, l->value->type);
    }
    hmp_handle_error(mon, err);
}

void hmp_qom_get(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    QObject *value = qmp_qom_get(qdict_get_str(qdict, "path"),
                                 qdict_get_str(qdict, "property"), &err);

    if (!err) {
        g_autofree char *text = qobject_to_json_pretty(value, true);

        monitor_printf(mon, "%s\n", text);
    }
    qobject_unref(value);
    hmp_handle_error(mon, err);
}

void hmp_qom_set(Monitor *mon, const QDict *qdict)
{
    const char *path = qdict_get_str(qdict, "path");
    const char *property = qdict_get_str(qdict, "property");
    const char *text = qdict_get_try_str(qdict, "value") ?: "";
    bool ambiguous = false;
    Error *err = NULL;
    QObject *value;
    Object *obj;

    if (qdict_get_try_bool(qdict, "json", false)) {
        value = qobject_from_json(text, &err);
        if (!err) {
            qmp_qom_set(path, property, value, &err);
        }
        qobject_unref(value);
    } else {
        obj = object_resolve_path(path, &ambiguous);
        if (obj) {
            object_property_parse(obj, property, text, &err);
        } else {
            error_setg(&err, ambiguous ? "Path '%s' is ambiguous" : "Device '%s' not found", path);
        }
    }
    hmp_handle_error(mon, err);
}

/* ---- tracing ---- */

void hmp_trace_event(Monitor *mon, const QDict *qdict)
{
    const char *name = qdict_get_str(qdict, "name");

    if (!trace_enable_events(name, qdict_get_bool(qdict, "option"))) {
        monitor_printf(mon, "unknown event \"%s\"\n", name);
    }
}

static void complete_event(ReadLineState *rs, const char *str)
{
    readline_set_completion_index(rs, strlen(str));
    for (TraceEvent *ev = trace_event_first(); ev; ev = ev->next) {
        readline_add_completion_of(rs, str, ev->name);
    }
}

void trace_event_completion(ReadLineState *rs, int nb_args, const char *str)
{
    if (nb_args == 2) {
        complete_event(rs, str);
    } else if (nb_args == 3) {
        readline_set_completion_index(rs, strlen(str));
        readline_add_completion_of(rs, str, "on");
        readline_add_completion_of(rs, str, "off");
    }
}

void info_trace_events_completion(ReadLineState *rs, int nb_args, const char *str)
{
    if (nb_args == 2) {
        complete_event(rs, str);
    }
}

void hmp_logfile(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    if (!qemu_set_log_filename(qdict_get_str(qdict, "filename"), &err)) {
        monitor_printf(mon, "%s\n", error_get_pretty(err));
        error_free(err);
    }
}
