/*
 * Arguments of HMP commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hmp-parse.h"
#include "qapi/error.h"
#include "qapi/qobject.h"

static const HMPCommand command = {
    .name = "cmd|c",
    .args = {
        { "fmt", HMP_ARG_FORMAT, .optional = true },
        { "detach", HMP_ARG_FLAG, .flag = 'd', .optional = true },
        { "resume", HMP_ARG_FLAG, .flag = 'r', .optional = true },
        { "word", HMP_ARG_STRING },
        { "number", HMP_ARG_INT, .optional = true },
        { "rest", HMP_ARG_REST, .optional = true },
    },
};
static const HMPCommand sized = {
    .name = "sized",
    .args = { { "size", HMP_ARG_SIZE }, { "state", HMP_ARG_BOOL, .optional = true } },
};

static void check(const HMPCommand *cmd, const char *text, const char *expect)
{
    QDict *args = hmp_parse_args(cmd, text, &error_abort);
    g_autofree char *json = NULL;

    qdict_del(args, "count");
    qdict_del(args, "format");
    json = NULL;
    {
        g_autofree char *with_size = qobject_to_json(args);

        json = g_strdup(with_size);
    }
    g_assert_cmpstr(json, ==, expect);
    qobject_unref(args);
}

static void refuse(const HMPCommand *cmd, const char *text, const char *says)
{
    Error *err = NULL;

    g_assert_null(hmp_parse_args(cmd, text, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), says));
    error_free(err);
}

static void test_args(void)
{
    check(&command, "/b word", "{\"size\": 1, \"word\": \"word\"}");
    check(&command, "/b -d word", "{\"size\": 1, \"detach\": true, \"word\": \"word\"}");
    check(&command, "/b -r  -d w 1+1",
          "{\"size\": 1, \"resume\": true, \"detach\": true, \"word\": \"w\", \"number\": 2}");
    check(&command, "/b \"a \\\"b\\\\\\n\" 1 and the  rest ",
          "{\"size\": 1, \"word\": \"a \\\"b\\\\\\n\", \"number\": 1, "
          "\"rest\": \"and the  rest\"}");
    check(&sized, "1k on", "{\"size\": 1024, \"state\": true}");
    check(&sized, " 5", "{\"size\": 5}");

    refuse(&command, "", "string expected");
    refuse(&command, "-x w", "unsupported option -x");
    refuse(&command, "-dr w", "unsupported option -dr");
    refuse(&command, "\"a", "unterminated");
    refuse(&command, "\"a\\q\"", "escape");
    refuse(&command, "/q w", "invalid char in format: 'q'");
    refuse(&command, "/99999999x w", "too large");
    refuse(&sized, "1x", "suffix");
    refuse(&sized, "x", "size");
    refuse(&sized, "1 maybe", "'on' or 'off'");
    refuse(&sized, "1 on off", "extraneous");
}

static void test_names(void)
{
    static const struct {
        const char *line, *name, *rest;
    } lines[] = {
        { "", NULL, "" }, { "   ", NULL, "" }, { "x", "x", "" }, { " info  y", "info", "  y" },
        { "x/4b 0", "x", "/4b 0" }, { "/x", "/x", "" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        const char *rest;
        g_autofree char *name = hmp_get_command_name(lines[i].line, &rest);

        g_assert_cmpstr(name, ==, lines[i].name);
        g_assert_cmpstr(rest, ==, lines[i].rest);
    }
}

static void test_expressions(void)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        { "1", 1 }, { "0x1f", 31 }, { "017", 15 }, { "1+2*3", 7 }, { "(1+2)*3", 9 },
        { "-1", -1 }, { "~0", -1 }, { "- - 2", 2 }, { "7/2", 3 }, { "-7%4", -3 },
        { "0xf0|0xf", 255 }, { "6&3", 2 }, { "6^3", 5 }, { "'a'", 97 }, { "'\\n'", 10 },
        { "'\\''", 39 }, { "18446744073709551615", -1 },
        { "0x8000000000000000 / -1", INT64_MIN }, { "0x8000000000000000 % -1", 0 },
    };
    static const char *const bad[] = { "", "+", "1+", "(", "(1", "1/0", "1%0", "x", "$rip", "'a",
                                       "'", "''", "'\\", "99999999999999999999" };
    g_autofree char *deep = g_strnfill(100000, '(');
    Error *err = NULL;
    int64_t value;
    const char *p;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        p = good[i].text;
        g_assert_true(hmp_get_expr(&p, &value, &error_abort));
        g_assert_cmpint(value, ==, good[i].value);
        g_assert_cmpstr(p, ==, "");
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        p = bad[i];
        g_assert_false(hmp_get_expr(&p, &value, &err));
        error_free_or_abort(&err);
    }
    p = deep;
    g_assert_false(hmp_get_expr(&p, &value, &err));
    error_free_or_abort(&err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hmp/arguments", test_args);
    g_test_add_func("/hmp/names", test_names);
    g_test_add_func("/hmp/expressions", test_expressions);
    return g_test_run();
}
