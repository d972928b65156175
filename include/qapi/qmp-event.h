/*
 * Events on their way from generated code to whoever sends them to clients.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_EVENT_H
#define QAPI_QMP_EVENT_H

#include "qapi/qobject.h"
#include "qapi/qapi-emit-events.h"

/* { "event": NAME, "timestamp": now }; owned by the caller. */
QDict *qmp_event_build_dict(const char *event_name);

/*
 * FN is called for every event, in the thread that sent it; QMP is borrowed (take what outlives the
 * call as text or as a deep copy if another thread will use it).  NULL: events are dropped.
 * To be set before threads run.
 */
typedef void QapiEventEmitter(QAPIEvent event, QDict *qmp);
void qapi_event_register_emitter(QapiEventEmitter *fn);

#endif
