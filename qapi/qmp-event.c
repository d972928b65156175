/*
 * Events from generated code to whoever sends them to clients.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-event.h"

/* Set once, before threads run. */
static QapiEventEmitter *emitter;

QDict *qmp_event_build_dict(const char *event_name)
{
    QDict *event = json_object_new_object();
    QDict *timestamp = json_object_new_object();
    int64_t now = g_get_real_time();

    qdict_put_int(timestamp, "seconds", now / 1000000);
    qdict_put_int(timestamp, "microseconds", now % 1000000);
    qdict_put_str(event, "event", event_name);
    qdict_put_obj(event, "timestamp", timestamp);
    return event;
}

void qapi_event_register_emitter(QapiEventEmitter *fn)
{
    emitter = fn;
}

void qapi_event_emit(QAPIEvent event, QDict *qmp)
{
    if (emitter) {
        emitter(event, qmp);
    }
}
