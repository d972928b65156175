/*
 * Enums by name, bools, names.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-migration.h"
#include "qapi/qapi-types-run-state.h"
#include "qapi/util.h"

static void test_enum(void)
{
    Error *err = NULL;

    g_assert_cmpstr(RunState_str(RUN_STATE_FINISH_MIGRATE), ==, "finish-migrate");
    g_assert_cmpint(RunState_lookup.size, ==, RUN_STATE__MAX);
    g_assert_null(RunState_lookup.array[RUN_STATE__MAX]);
    g_assert_cmpint(qapi_enum_parse(&MigrationStatus_lookup, "postcopy-paused", -1, &error_abort),
                    ==, MIGRATION_STATUS_POSTCOPY_PAUSED);
    g_assert_cmpint(qapi_enum_parse(&MigrationStatus_lookup, NULL, 77, &error_abort), ==, 77);
    g_assert_cmpint(qapi_enum_parse(&MigrationStatus_lookup, "postcopy", 77, &err), ==, 77);
    g_assert_cmpstr(error_get_pretty(err), ==, "invalid parameter value: postcopy");
    error_free(err);
    g_assert_cmpint(qapi_enum_parse(&MultiFDCompression_lookup, "zstd", -1, &error_abort), ==,
                    MULTIFD_COMPRESSION_ZSTD);
}

static void test_bool(void)
{
    static const char *const yes[] = {"on", "yes", "true", "y"};
    static const char *const no[] = {"off", "no", "false", "n"};
    Error *err = NULL;
    bool value;

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        g_assert(qapi_bool_parse("p", yes[i], &value, &error_abort) && value);
        g_assert(qapi_bool_parse("p", no[i], &value, &error_abort) && !value);
    }
    g_assert_false(qapi_bool_parse("p", "1", &value, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Parameter 'p' expects 'on' or 'off'");
    error_free(err);
}

static void test_names(void)
{
    g_assert_cmpint(parse_qapi_name("abc", true), ==, 3);
    g_assert_cmpint(parse_qapi_name("a-B_1.x", false), ==, 5);
    g_assert_cmpint(parse_qapi_name("a-B_1.x", true), ==, -1);
    g_assert_cmpint(parse_qapi_name("1a", false), ==, -1);
    g_assert_cmpint(parse_qapi_name("", false), ==, -1);
    g_assert_cmpint(parse_qapi_name("__com.example_name", true), ==, 18);
    g_assert_cmpint(parse_qapi_name("__com.example", false), ==, -1);
    g_assert_cmpint(parse_qapi_name("__com.example_1", false), ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/util/enum", test_enum);
    g_test_add_func("/qapi/util/bool", test_bool);
    g_test_add_func("/qapi/util/names", test_names);
    return g_test_run();
}
