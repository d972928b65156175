/*
 * QMP requests, from text to reply, against the commands of the test schema; and events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qmp-event.h"
#include "qapi/qmp-registry.h"
#include "qemu/fd-registry.h"
#include "tests/qapi-schema/test-qapi-calls.h"
#include "tests/qapi-schema/test-qapi-events.h"
#include "tests/qapi-schema/test-qapi-events-test-sub-module.h"
#include "tests/qapi-schema/test-qapi-init-commands.h"

static QmpCommandList commands;

static char *ask(const char *request, bool allow_oob)
{
    g_autoptr(QObject) obj = qobject_from_json(request, &error_abort);
    QDict *reply = qmp_dispatch(&commands, obj, allow_oob, NULL);
    char *text = reply ? qobject_to_json(reply) : NULL;

    json_object_put(reply);
    return text;
}

static void check(const char *request, const char *expected)
{
    g_autofree char *reply = ask(request, false);

    g_assert_cmpstr(reply, ==, expected);
}

static void refuse(const char *request, const char *desc)
{
    g_autofree char *reply = ask(request, true);
    g_autofree char *expected = g_strdup_printf(
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}}", desc);

    g_assert_cmpstr(reply, ==, expected);
}

static void test_success(void)
{
    unsigned before = test_calls;

    check("{'execute': 'nop'}", "{\"return\": {}}");
    check("{'execute': 'nop', 'arguments': {}, 'id': null}", "{\"return\": {}, \"id\": null}");
    check("{'id': {'a': [1]}, 'execute': 'add-numbers', 'arguments': {'a': 1, 'b': 2}}",
          "{\"return\": 3, \"id\": {\"a\": [1]}}");
    check("{'execute': 'add-numbers', 'arguments': {'a': 1}}", "{\"return\": 1001}");
    check("{'execute': 'echo-any', 'arguments': {'value': [{'x': 1.5}, null]}}",
          "{\"return\": [{\"x\": 1.5}, null]}");
    check("{'execute': 'get-mood', 'arguments': {'mood': 'sad'}}", "{\"return\": \"sad\"}");
    check("{'execute': 'echo-figure', 'arguments': {'shape': 'square', 'side': 3}}",
          "{\"return\": {\"shape\": \"square\", \"side\": 3}}");
    check("{'execute': 'echo-derived', 'arguments': {'d1': {'id': 'p', 'count': 1, 'list': ['q']},"
          " 'd2': {'id': 'r', 'count': 2}}}",
          "{\"return\": [{\"id\": \"p\", \"count\": 1, \"list\": [\"q\"]}, "
          "{\"id\": \"r\", \"count\": 2}]}");
    check("{'execute': 'sub-command', 'arguments': {'things': [{'name': 'n'}]}}",
          "{\"return\": {}}");
    check("{'execute': 'silent'}", NULL);
    g_assert_cmpuint(test_calls, ==, before + 10);
}

static void test_bad_requests(void)
{
    unsigned before = test_calls;

    refuse("[]", "QMP input must be a JSON object");
    refuse("null", "QMP input must be a JSON object");
    refuse("{}", "QMP input lacks member 'execute'");
    refuse("{'arguments': {}}", "QMP input lacks member 'execute'");
    refuse("{'execute': 1}", "QMP input member 'execute' must be a string");
    refuse("{'execute': 'nop', 'arguments': []}", "QMP input member 'arguments' must be an object");
    refuse("{'execute': 'nop', 'arguments': null}",
           "QMP input member 'arguments' must be an object");
    refuse("{'execute': 'nop', 'extra': 1}", "QMP input member 'extra' is unexpected");
    refuse("{'execute': 'nop', 'control': {}}", "QMP input member 'control' is unexpected");
    refuse("{'execute': 'nop', 'exec-oob': 'nop'}",
           "QMP input member 'exec-oob' clashes with 'execute'");
    check("{'execute': 'nop', 'extra': 1, 'id': 7}",
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input member 'extra' is "
          "unexpected\"}, \"id\": 7}");
    g_assert_cmpuint(test_calls, ==, before);
}

static void test_bad_arguments(void)
{
    unsigned before = test_calls;

    refuse("{'execute': 'nop', 'arguments': {'a': 1}}", "Parameter 'a' is unexpected");
    refuse("{'execute': 'add-numbers'}", "Parameter 'a' is missing");
    refuse("{'execute': 'add-numbers', 'arguments': {'a': '1'}}",
           "Invalid parameter type for 'a', expected: integer");
    refuse("{'execute': 'add-numbers', 'arguments': {'a': 1, 'c': 1}}",
           "Parameter 'c' is unexpected");
    refuse("{'execute': 'get-mood', 'arguments': {'mood': 'grim'}}",
           "Parameter 'mood' does not accept value 'grim'");
    refuse("{'execute': 'echo-figure', 'arguments': {'shape': 'square', 'label': 'l'}}",
           "Parameter 'side' is missing");
    refuse("{'execute': 'echo-derived', 'arguments': {'d1': {'id': 'x', 'count': 1},"
           " 'd2': {'id': 'y'}}}", "Parameter 'd2.count' is missing");
    g_assert_cmpuint(test_calls, ==, before);
}

static void test_failures(void)
{
    check("{'execute': 'fail', 'arguments': {'class': 'DeviceNotFound'}}",
          "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
          "\"failed as asked: DeviceNotFound\"}}");
    refuse("{'execute': 'fail', 'arguments': {'class': 'x'}}", "failed as asked: x");
    check("{'execute': 'pick', 'arguments': {'side': 1}}", "{\"return\": {}}");
}

static void test_unknown(void)
{
    check("{'execute': 'bogus'}",
          "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
          "\"The command bogus has not been found\"}}");
    check("{'execute': 'absent', 'id': 'i'}",
          "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
          "\"The command absent has not been found\"}, \"id\": \"i\"}");
    check("{'execute': 'manual'}",
          "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
          "\"The command manual has not been found\"}}");
}

static void test_disabled(void)
{
    qmp_disable_command(&commands, "nop", "not today");
    g_assert_false(qmp_command_is_enabled(qmp_find_command(&commands, "nop")));
    check("{'execute': 'nop'}", "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                                "\"Command nop has been disabled: not today\"}}");
    qmp_enable_command(&commands, "nop");
    check("{'execute': 'nop'}", "{\"return\": {}}");
}

static void test_oob(void)
{
    g_autoptr(QObject) both = qobject_from_json("{'execute': 'x', 'exec-oob': 'x'}", &error_abort);
    g_autoptr(QObject) oob = qobject_from_json("{'exec-oob': 'quick'}", &error_abort);
    g_autofree char *quick = ask("{'exec-oob': 'quick', 'id': 1}", true);

    g_assert_cmpstr(quick, ==, "{\"return\": {}, \"id\": 1}");
    check("{'execute': 'quick'}", "{\"return\": {}}");
    check("{'exec-oob': 'quick'}",
          "{\"error\": {\"class\": \"GenericError\", \"desc\": "
          "\"QMP input member 'exec-oob' is unexpected\"}}");
    refuse("{'exec-oob': 'nop'}", "The command nop does not support OOB");
    g_assert_true(qmp_is_oob(oob));
    g_assert_false(qmp_is_oob(both));
    g_assert_false(qmp_is_oob(NULL));
}

static Monitor *seen_monitor;

static void look_at_monitor(QDict *args, QObject **ret, Error **errp)
{
    seen_monitor = monitor_cur();
}

static void test_monitor(void)
{
    QmpCommandList list = {0};
    g_autoptr(QObject) request = qobject_from_json("{'execute': 'look'}", &error_abort);
    Monitor *mon = (Monitor *)&list; /* nobody looks inside */

    qmp_register_command(&list, "look", look_at_monitor, QCO_NO_OPTIONS, 0);
    json_object_put(qmp_dispatch(&list, request, false, mon));
    g_assert(seen_monitor == mon);
    g_assert_null(monitor_cur());
    qmp_clear_commands(&list);
}

static void note_name(const QmpCommand *cmd, void *opaque)
{
    g_string_append_printf(opaque, "%s ", qmp_command_name(cmd));
}

static void test_registry(void)
{
    g_autoptr(GString) names = g_string_new(NULL);

    qmp_for_each_command(&commands, note_name, names);
    g_assert_cmpstr(names->str, ==, "sub-command nop add-numbers echo-any get-mood echo-figure "
                                    "echo-derived pick fail quick silent ");
    g_assert_null(qmp_find_command(&commands, "absent"));
    g_assert_false(qmp_has_success_response(qmp_find_command(&commands, "silent")));
}

static void test_events(void)
{
    Square square = {.side = 2};
    Figure figure = {.shape = SHAPE_POINT};
    SubThing thing = {.name = (char *)"t"};

    qapi_event_send_bare();
    g_assert_cmpstr(test_last_event, ==, "null");
    qapi_event_send_filled("text", false, 0, NULL, MOOD_HAPPY);
    g_assert_cmpstr(test_last_event, ==, "{\"s\": \"text\", \"e\": \"happy\"}");
    qapi_event_send_filled("", true, -1, &square, MOOD_SAD);
    g_assert_cmpstr(test_last_event, ==,
                    "{\"s\": \"\", \"i\": -1, \"o\": {\"side\": 2}, \"e\": \"sad\"}");
    qapi_event_send_boxed(&figure);
    g_assert_cmpstr(test_last_event, ==, "{\"shape\": \"point\"}");
    qapi_event_send_sub_event(&thing);
    g_assert_cmpstr(test_last_event, ==, "{\"thing\": {\"name\": \"t\"}}");
    g_clear_pointer(&test_last_event, g_free);
}

static void test_query_schema(void)
{
    QmpCommandList list = {0};
    g_autoptr(QObject) request = qobject_from_json("{'execute': 'query-qmp-schema'}",
                                                   &error_abort);
    QDict *reply;
    QObject *entries;
    bool found = false;

    qmp_register_command(&list, "query-qmp-schema", qmp_query_qmp_schema, QCO_ALLOW_PRECONFIG, 0);
    reply = qmp_dispatch(&list, request, false, NULL);
    entries = qdict_get(reply, "return");
    g_assert_cmpuint(json_object_array_length(entries), >, 100);
    for (size_t i = 0; i < json_object_array_length(entries); i++) {
        QObject *entry = json_object_array_get_idx(entries, i);

        if (!strcmp(qdict_get_str(entry, "name"), "migrate-recover")) {
            found = qdict_get_bool(entry, "allow-oob");
        }
    }
    g_assert_true(found);
    json_object_put(reply);
    qmp_clear_commands(&list);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    test_qmp_init_marshal(&commands);
    g_test_add_func("/qmp/success", test_success);
    g_test_add_func("/qmp/bad-requests", test_bad_requests);
    g_test_add_func("/qmp/bad-arguments", test_bad_arguments);
    g_test_add_func("/qmp/failures", test_failures);
    g_test_add_func("/qmp/unknown", test_unknown);
    g_test_add_func("/qmp/disabled", test_disabled);
    g_test_add_func("/qmp/oob", test_oob);
    g_test_add_func("/qmp/monitor", test_monitor);
    g_test_add_func("/qmp/registry", test_registry);
    g_test_add_func("/qmp/events", test_events);
    g_test_add_func("/qmp/query-schema", test_query_schema);
    ret = g_test_run();
    qmp_clear_commands(&commands);
    return ret;
}
