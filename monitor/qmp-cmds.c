/*
 * QMP commands that belong to no other room: about the program itself, and small requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "monitor/version-info.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-commands-trace.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "system/runstate.h"

VersionInfo *qmp_query_version(Error **errp)
{
    VersionInfo *info = g_new0(VersionInfo, 1);

    info->qemu = g_new0(VersionTriple, 1);
    info->qemu->major = QEMU_VERSION_MAJOR;
    info->qemu->minor = QEMU_VERSION_MINOR;
    info->qemu->micro = QEMU_VERSION_MICRO;
    info->package = g_strdup(GODWIT_PACKAGE);
    return info;
}

static void list_command(const QmpCommand *cmd, void *opaque)
{
    CommandInfoList **list = opaque;
    CommandInfo *info;

    if (qmp_command_is_enabled(cmd)) {
        info = g_new0(CommandInfo, 1);
        info->name = g_strdup(qmp_command_name(cmd));
        QAPI_LIST_PREPEND(*list, info);
    }
}

CommandInfoList *qmp_query_commands(Error **errp)
{
    CommandInfoList *list = NULL;

    qmp_for_each_command(&qmp_commands, list_command, &list);
    return list;
}

NameInfo *qmp_query_name(Error **errp)
{
    NameInfo *info = g_new0(NameInfo, 1);

    info->name = g_strdup(error_guest_name);
    return info;
}

TargetInfo *qmp_query_target(Error **errp)
{
    TargetInfo *info = g_new0(TargetInfo, 1);

    info->arch = SYS_EMU_TARGET_X86_64;
    return info;
}

IOThreadInfoList *qmp_query_iothreads(Error **errp)
{
    return NULL;
}

void qmp_system_powerdown(Error **errp)
{
    qemu_system_powerdown_request();
}

void qmp_system_wakeup(Error **errp)
{
    if (!qemu_wakeup_suspend_enabled()) {
        error_setg(errp, "wake-up from suspend is not supported by this guest");
        return;
    }
    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, errp);
}

/* ---- trace events ---- */

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?");
}

TraceEventInfoList *qmp_trace_event_get_state(const char *name, Error **errp)
{
    TraceEventInfoList *list = NULL, **tail = &list;

    for (TraceEvent *ev = trace_event_first(); ev; ev = ev->next) {
        if (g_pattern_match_simple(name, ev->name)) {
            TraceEventInfo *info = g_new0(TraceEventInfo, 1);

            info->name = g_strdup(ev->name);
            info->state = qatomic_read(&ev->enabled) ? TRACE_EVENT_STATE_ENABLED
                : TRACE_EVENT_STATE_DISABLED;
            QAPI_LIST_APPEND(tail, info);
        }
    }
    if (!list && !is_pattern(name)) {
        error_setg(errp, "unknown event \"%s\"", name);
    }
    return list;
}

void qmp_trace_event_set_state(const char *name, bool enable, bool has_ignore_unavailable,
                               bool ignore_unavailable, Error **errp)
{
    if (!trace_enable_events(name, enable) && !is_pattern(name)) {
        error_setg(errp, "unknown event \"%s\"", name);
    }
}
