/*
 * The functions behind the commands of the test schema.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "tests/qapi-schema/test-qapi-commands.h"
#include "tests/qapi-schema/test-qapi-commands-test-sub-module.h"
#include "tests/qapi-schema/test-qapi-emit-events.h"
#include "tests/qapi-schema/test-qapi-visit.h"
#include "tests/qapi-schema/test-qapi-calls.h"

unsigned test_calls;
char *test_last_event;

void qmp_nop(Error **errp)
{
    test_calls++;
}

int64_t qmp_add_numbers(int64_t a, bool has_b, int64_t b, Error **errp)
{
    test_calls++;
    return a + (has_b ? b : 1000);
}

QObject *qmp_echo_any(QObject *value, Error **errp)
{
    test_calls++;
    return json_object_get(value);
}

Mood qmp_get_mood(Mood mood, Error **errp)
{
    test_calls++;
    return mood;
}

Figure *qmp_echo_figure(Figure *arg, Error **errp)
{
    test_calls++;
    return QAPI_CLONE(Figure, arg);
}

DerivedList *qmp_echo_derived(Derived *d1, Derived *d2, Error **errp)
{
    DerivedList *list = NULL;

    test_calls++;
    if (d2) {
        QAPI_LIST_PREPEND(list, QAPI_CLONE(Derived, d2));
    }
    QAPI_LIST_PREPEND(list, QAPI_CLONE(Derived, d1));
    return list;
}

void qmp_pick(Choice *arg, Error **errp)
{
    test_calls++;
    if (arg->type != QTYPE_QDICT) {
        error_setg(errp, "picked no object");
    }
}

void qmp_fail(const char *q_class, Error **errp)
{
    test_calls++;
    error_set(errp, strcmp(q_class, "DeviceNotFound") ? ERROR_CLASS_GENERIC_ERROR
                                                      : ERROR_CLASS_DEVICE_NOT_FOUND,
              "failed as asked: %s", q_class);
    error_append_hint(errp, "This is not sent.\n");
}

void qmp_quick(Error **errp)
{
    test_calls++;
}

void qmp_silent(Error **errp)
{
    test_calls++;
}

void qmp_sub_command(SubThingList *things, Error **errp)
{
    test_calls += QAPI_LIST_LENGTH(things);
}

void test_qapi_event_emit(test_QAPIEvent event, QDict *qmp)
{
    g_free(test_last_event);
    g_assert_cmpstr(test_QAPIEvent_str(event), ==, qdict_get_str(qmp, "event"));
    g_assert(qdict_haskey(qdict_get(qmp, "timestamp"), "microseconds"));
    test_last_event = qobject_to_json(qdict_get(qmp, "data"));
}
