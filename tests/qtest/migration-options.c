/*
 * Capabilities, parameters, events and what the human monitor prints.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <string.h>

static json_object *query_parameters(QTestState *s)
{
    return qtest_qmp_assert_success_ref(s, "{'execute': 'query-migrate-parameters'}");
}

static void test_defaults(void)
{
    static const struct {
        const char *name;
        int64_t value;
    } ints[] = {
        { "announce-initial", 50 }, { "announce-max", 550 }, { "announce-rounds", 5 },
        { "announce-step", 100 }, { "throttle-trigger-threshold", 50 },
        { "cpu-throttle-initial", 20 }, { "cpu-throttle-increment", 10 },
        { "max-cpu-throttle", 99 }, { "max-bandwidth", 134217728 }, { "downtime-limit", 300 },
        { "x-checkpoint-delay", 20000 }, { "multifd-channels", 2 }, { "multifd-zlib-level", 1 },
        { "multifd-zstd-level", 1 }, { "xbzrle-cache-size", 67108864 },
        { "max-postcopy-bandwidth", 0 },
    };
    static const struct {
        const char *name;
        int64_t value;
    } recent_ints[] = {
        { "avail-switchover-bandwidth", 0 }, { "vcpu-dirty-limit", 1 },
        { "x-vcpu-dirty-limit-period", 1000 },
    };
    static const char *const strings[][2] = {
        { "tls-creds", "" }, { "tls-hostname", "" }, { "tls-authz", "" },
        { "multifd-compression", "none" },
    };
    QTestState *s = migrate_start_source(NULL);
    bool recent = qtest_version(s) >= 1000;
    json_object *p = query_parameters(s);

    for (size_t i = 0; i < G_N_ELEMENTS(ints); i++) {
        g_test_message("%s", ints[i].name);
        g_assert_cmpint(qtest_get_int(p, ints[i].name), ==, ints[i].value);
    }
    for (size_t i = 0; recent && i < G_N_ELEMENTS(recent_ints); i++) {
        g_test_message("%s", recent_ints[i].name);
        g_assert_cmpint(qtest_get_int(p, recent_ints[i].name), ==, recent_ints[i].value);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++) {
        g_assert_cmpstr(qtest_get_str(p, strings[i][0]), ==, strings[i][1]);
    }
    g_assert_false(qtest_get_bool(p, "cpu-throttle-tailslow"));
    if (recent) {
        g_assert_cmpstr(qtest_get_str(p, "zero-page-detection"), ==, "multifd");
        g_assert_cmpstr(qtest_get_str(p, "mode"), ==, "normal");
        g_assert_false(qtest_get_bool(p, "direct-io"));
    }
    json_object_put(p);
    qtest_quit(s);
}

static void test_set_parameters(void)
{
    QTestState *s = migrate_start_source(NULL);
    json_object *p;

    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-parameters', 'arguments': {"
                             "'max-bandwidth': 12345678, 'downtime-limit': 77,"
                             "'announce-rounds': 7, 'cpu-throttle-initial': 33,"
                             "'cpu-throttle-tailslow': true, 'tls-hostname': 'host'}}");
    p = query_parameters(s);
    g_assert_cmpint(qtest_get_int(p, "max-bandwidth"), ==, 12345678);
    g_assert_cmpint(qtest_get_int(p, "downtime-limit"), ==, 77);
    g_assert_cmpint(qtest_get_int(p, "announce-rounds"), ==, 7);
    g_assert_cmpint(qtest_get_int(p, "cpu-throttle-initial"), ==, 33);
    g_assert_true(qtest_get_bool(p, "cpu-throttle-tailslow"));
    g_assert_cmpstr(qtest_get_str(p, "tls-hostname"), ==, "host");
    json_object_put(p);
    /* Nothing given, nothing changed; null takes a string back. */
    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-parameters', 'arguments': {}}");
    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-parameters', 'arguments': {"
                             "'tls-hostname': null}}");
    p = query_parameters(s);
    g_assert_cmpint(qtest_get_int(p, "downtime-limit"), ==, 77);
    g_assert_cmpstr(qtest_get_str(p, "tls-hostname"), ==, "");
    json_object_put(p);
    qtest_quit(s);
}

static void test_bad_parameters(void)
{
    static const char *const bad[][2] = {
        { "'downtime-limit': 2000001", "downtime" },
        { "'downtime-limit': -1", "downtime" },
        { "'downtime-limit': '300'", "downtime-limit" },
        { "'max-cpu-throttle': 100", "max" },
        { "'max-cpu-throttle': 0", "max" },
        { "'cpu-throttle-initial': 0", "cpu" },
        { "'cpu-throttle-initial': 100", "cpu" },
        { "'cpu-throttle-increment': 100", "cpu" },
        { "'throttle-trigger-threshold': 0", "throttle" },
        { "'throttle-trigger-threshold': 101", "throttle" },
        { "'multifd-channels': 0", "multifd" },
        { "'multifd-channels': 256", "multifd" },
        { "'multifd-compression': 'zip'", "zip" },
        { "'xbzrle-cache-size': 1", "" },
        { "'announce-initial': 100001", "" },
        { "'announce-rounds': 1001", "" },
        { "'announce-step': 0", "" },
        { "'announce-step': 10001", "" },
        { "'max-bandwidth': 1.5", "" },
        { "'no-such-parameter': 1", "no-such-parameter" },
        { "'multifd-zlib-level': 10", "multifd" },
        { "'multifd-zstd-level': 21", "multifd" },
    };
    QTestState *s = migrate_start_source(NULL);
    json_object *before = query_parameters(s);
    json_object *after;
    /* 7.2 lets some of the others pass. */
    size_t n = qtest_version(s) < 1000 ? 10 : G_N_ELEMENTS(bad);

    for (size_t i = 0; i < n; i++) {
        g_autofree char *text = g_strdup_printf("{'execute': 'migrate-set-parameters', "
                                                "'arguments': {'max-postcopy-bandwidth': 99, %s}}",
                                                bad[i][0]);
        char *desc = qtest_qmp_assert_failure(s, text);

        g_test_message("%s: %s", bad[i][0], desc);
        assert_text_has(desc, bad[i][1]);
    }
    /* A refused command changes nothing, not even what was right in it. */
    after = query_parameters(s);
    g_assert_true(json_object_equal(before, after));
    json_object_put(before);
    json_object_put(after);
    qtest_quit(s);
}

static json_object *query_capabilities(QTestState *s)
{
    return qtest_qmp_assert_success_ref(s, "{'execute': 'query-migrate-capabilities'}");
}

static bool find_capability(QTestState *s, const char *name, bool *state)
{
    json_object *all = query_capabilities(s);
    bool found = false;

    for (size_t i = 0; i < json_object_array_length(all); i++) {
        json_object *c = json_object_array_get_idx(all, i);

        if (g_str_equal(qtest_get_str(c, "capability"), name)) {
            found = true;
            *state = qtest_get_bool(c, "state");
        }
    }
    json_object_put(all);
    return found;
}

static void test_capabilities(void)
{
    static const char *const names[] = {
        "xbzrle", "rdma-pin-all", "auto-converge", "zero-blocks", "events", "postcopy-ram",
        "x-colo", "release-ram", "return-path", "pause-before-switchover", "multifd",
        "dirty-bitmaps", "postcopy-blocktime", "late-block-activate", "x-ignore-shared",
        "validate-uuid", "background-snapshot", "zero-copy-send", "postcopy-preempt",
        "switchover-ack", "dirty-limit", "mapped-ram",
    };
    QTestState *s = migrate_start_source(NULL);
    size_t n = qtest_version(s) >= 1000 ? G_N_ELEMENTS(names) : 19;
    bool on;

    for (size_t i = 0; i < n; i++) {
        g_test_message("%s", names[i]);
        g_assert_true(find_capability(s, names[i], &on));
        g_assert_false(on);
    }
    migrate_set_capability(s, "return-path", true);
    g_assert_true(find_capability(s, "return-path", &on) && on);
    migrate_set_capability(s, "return-path", false);
    g_assert_true(find_capability(s, "return-path", &on) && !on);

    assert_text_has(qtest_qmp_assert_failure(s, "{'execute': 'migrate-set-capabilities', "
                    "'arguments': {'capabilities': [{'capability': 'warp', 'state': true}]}}"),
                    "warp");
    /* All of a list or nothing of it. */
    g_free(qtest_qmp_assert_failure(s, "{'execute': 'migrate-set-capabilities', 'arguments': "
                                    "{'capabilities': [{'capability': 'events', 'state': true}, "
                                    "{'capability': 'warp', 'state': true}]}}"));
    g_assert_true(find_capability(s, "events", &on) && !on);
    qtest_quit(s);
}

/* --- events --- */

static void wait_event_status(QTestState *s, GString *seen, const char *last)
{
    int64_t begin = qtest_now_ms();

    while (!g_str_has_suffix(seen->str, last)) {
        g_autofree char *more = migration_events(s);

        if (*more) {
            g_string_append_printf(seen, " %s", more);
        }
        if (qtest_timed_out(begin)) {
            g_error("status %s never came: %s", last, seen->str);
        }
        g_usleep(2000);
    }
}

/* From 10.0 on, the switchover always shows. */
static void drop_device(GString *seen)
{
    g_string_replace(seen, " device", "", 0);
}

static void test_events(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autoptr(GString) src = g_string_new(NULL);
    g_autoptr(GString) dst = g_string_new(NULL);
    g_autofree char *uri = NULL;

    migrate_set_capability(p.src, "events", true);
    migrate_set_capability(p.dst, "events", true);
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    wait_event_status(p.dst, dst, " setup");
    migrate(p.src, uri);
    wait_event_status(p.src, src, " completed");
    wait_event_status(p.dst, dst, " completed");
    drop_device(src);
    g_assert_cmpstr(src->str, ==, " setup active completed");
    g_assert_cmpstr(dst->str, ==, " setup active completed");
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_events_pause(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autoptr(GString) src = g_string_new(NULL);
    g_autofree char *uri = NULL;

    migrate_set_capability(p.src, "events", true);
    migrate_set_capability(p.src, "pause-before-switchover", true);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    wait_event_status(p.src, src, " pre-switchover");
    qtest_qmp_assert_success(p.src, "{'execute': 'migrate-continue',"
                             " 'arguments': {'state': 'pre-switchover'}}");
    wait_event_status(p.src, src, " completed");
    g_assert_cmpstr(src->str, ==, " setup active pre-switchover device completed");
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_events_cancel(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autoptr(GString) src = g_string_new(NULL);
    g_autofree char *uri = NULL;

    migrate_set_capability(p.src, "events", true);
    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", MIB);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    migrate_cancel(p.src);
    wait_event_status(p.src, src, " cancelled");
    g_assert_cmpstr(src->str, ==, " setup active cancelling cancelled");
    migrate_destination_failed(p.dst);
    qtest_quit(p.src);
}

static void test_events_failed(void)
{
    QTestState *s = migrate_start_source(NULL);
    g_autoptr(GString) seen = g_string_new(NULL);

    migrate_set_capability(s, "events", true);
    migrate(s, "unix:/nonexistent/sock");
    wait_event_status(s, seen, " failed");
    g_assert_cmpstr(seen->str, ==, " setup failed");
    qtest_quit(s);
}

/* The global does what the capability does. */
static void test_events_global(void)
{
    QTestState *s = migrate_start_source("-global migration.x-events=on");
    g_autoptr(GString) seen = g_string_new(NULL);

    migrate(s, "unix:/nonexistent/sock");
    wait_event_status(s, seen, " failed");
    qtest_quit(s);
}

/* One MIGRATION_PASS for each pass over memory, with growing numbers. */
static void test_pass_events(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;
    json_object *e, *info;
    int64_t last = 0, passes;

    migrate_set_capability(p.src, "events", true);
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    while ((e = qtest_qmp_event_poll(p.src, "MIGRATION_PASS"))) {
        g_assert_cmpint(qtest_get_int(e, "data/pass"), ==, last + 1);
        last++;
        json_object_put(e);
    }
    info = migrate_query(p.src);
    passes = qtest_get_int(info, "ram/dirty-sync-count");
    json_object_put(info);
    g_assert_cmpint(last, >=, 1);
    g_assert_cmpint(last, ==, passes);
    migrate_pair_end(&p);
}

/* STOP when the source stops, RESUME when the destination starts; nothing else, and no
 * migration events where they were not asked for. */
static void test_stop_resume(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = migrate_listen_tcp(p.dst);
    json_object *all;

    json_object_put(qtest_qmp_events_take(p.src));
    json_object_put(qtest_qmp_events_take(p.dst));
    migrate(p.src, uri);
    migrate_wait_done(&p);
    for (int i = 0; i < 2; i++) {
        int count = 0;

        all = qtest_qmp_events_take(i ? p.dst : p.src);
        for (size_t k = 0; k < json_object_array_length(all); k++) {
            const char *name = qtest_get_str(json_object_array_get_idx(all, k), "event");

            g_assert_cmpstr(name, ==, i ? "RESUME" : "STOP");
            count++;
        }
        g_assert_cmpint(count, ==, 1);
        json_object_put(all);
    }
    migrate_pair_end(&p);
}

/* -S on the destination: it waits for cont. A paused source: paused at the destination too. */
static void test_autostart(void)
{
    for (int i = 0; i < 2; i++) {
        MigratePair p = migrate_pair_start(NULL, i ? NULL : "-S");
        g_autofree char *uri = migrate_listen_tcp(p.dst);

        ram_fill(p.src);
        if (i) {
            qtest_qmp_assert_success(p.src, "{'execute': 'stop'}");
        }
        migrate(p.src, uri);
        migrate_wait(p.src, "completed");
        migrate_wait(p.dst, "completed");
        wait_run_state(p.dst, "paused");
        g_assert_null(qtest_qmp_event_poll(p.dst, "RESUME"));
        ram_compare(p.src, p.dst);
        qtest_qmp_assert_success(p.dst, "{'execute': 'cont'}");
        assert_run_state(p.dst, "running");
        qtest_qmp_eventwait(p.dst, "RESUME");
        migrate_pair_end(&p);
    }
}

/* cont before the stream has come: it starts by itself when it has, also with -S. */
static void test_early_cont(void)
{
    MigratePair p = migrate_pair_start(NULL, "-S");
    g_autofree char *uri = NULL;

    assert_run_state(p.dst, "inmigrate");
    qtest_qmp_assert_success(p.dst, "{'execute': 'cont'}");
    assert_run_state(p.dst, "inmigrate");
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* --- human monitor --- */

static void test_hmp(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    assert_text_has(qtest_hmp(p.src, "migrate_set_parameter downtime-limit 123"), "");
    assert_text_has(qtest_hmp(p.src, "info migrate_parameters"), "downtime-limit: 123 ms");
    assert_text_has(qtest_hmp(p.src, "migrate_set_parameter max-bandwidth 2G"), "");
    assert_text_has(qtest_hmp(p.src, "info migrate_parameters"), "max-bandwidth: 2147483648");
    assert_text_has(qtest_hmp(p.src, "migrate_set_capability return-path on"), "");
    assert_text_has(qtest_hmp(p.src, "info migrate_capabilities"), "return-path: on");
    assert_text_has(qtest_hmp(p.src, "migrate_set_parameter nonsense 1"), "nonsense");
    assert_text_has(qtest_hmp(p.src, "migrate_set_capability nonsense on"), "nonsense");
    assert_text_has(qtest_hmp(p.src, "migrate_set_capability return-path off"), "");
    assert_text_has(qtest_hmp(p.src, "migrate xyz:1"), "rror");
    assert_text_has(qtest_hmp(p.src, "migrate_cancel"), "");

    assert_text_has(qtest_hmp(p.dst, "migrate_incoming tcp:127.0.0.1:0"), "");
    uri = migrate_listen_uri(p.dst);
    assert_text_has(qtest_hmp(p.src, "migrate -d %s", uri), "");
    migrate_wait_done(&p);
    assert_text_has(qtest_hmp(p.src, "info migrate"), "completed");
    assert_text_has(qtest_hmp(p.src, "info migrate"), "total time: ");
    assert_text_has(qtest_hmp(p.src, "info migrate"), "downtime: ");
    assert_text_has(qtest_hmp(p.src, "info migrate"), "transferred ram: ");
    assert_text_has(qtest_hmp(p.src, "info status"), "postmigrate");
    migrate_pair_end(&p);
}

void add_option_tests(void)
{
    g_test_add_func("/migration/parameters/defaults", test_defaults);
    g_test_add_func("/migration/parameters/set", test_set_parameters);
    g_test_add_func("/migration/parameters/bad", test_bad_parameters);
    g_test_add_func("/migration/capabilities", test_capabilities);
    g_test_add_func("/migration/events/order", test_events);
    g_test_add_func("/migration/events/pause", test_events_pause);
    g_test_add_func("/migration/events/cancel", test_events_cancel);
    g_test_add_func("/migration/events/failed", test_events_failed);
    g_test_add_func("/migration/events/global", test_events_global);
    g_test_add_func("/migration/events/pass", test_pass_events);
    g_test_add_func("/migration/events/stop-resume", test_stop_resume);
    g_test_add_func("/migration/autostart", test_autostart);
    g_test_add_func("/migration/early-cont", test_early_cont);
    g_test_add_func("/migration/hmp", test_hmp);
}
