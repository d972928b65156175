/*
 * JSON text: what is taken, what is refused, and what is written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qobject.h"

static void check(const char *text, const char *expected)
{
    g_autoptr(QObject) obj = qobject_from_json(text, &error_abort);
    g_autofree char *json = qobject_to_json(obj);

    g_assert_cmpstr(json, ==, expected);
}

static void test_valid(void)
{
    check("null", "null");
    check(" true ", "true");
    check("0", "0");
    check("-0", "0");
    check("-12", "-12");
    check("18446744073709551615", "18446744073709551615");
    check("18446744073709551616", "1.8446744073709552e+19");
    check("-9223372036854775809", "-9.2233720368547758e+18");
    check("1.50", "1.5");
    check("1e2", "100.0");
    check("[]", "[]");
    check("{\"a\":[1,{\"b\":null}]}", "{\"a\": [1, {\"b\": null}]}");
    check("\"\\u00e9\\ud83d\\ude00\\/\"", "\"\\u00E9\\uD83D\\uDE00/\"");
    check("{\"a\":{\"a\":[\"a\",\"a\",{\"a\":1}]},\"b\":\"a\"}",
          "{\"a\": {\"a\": [\"a\", \"a\", {\"a\": 1}]}, \"b\": \"a\"}");
    check("\"\xc3\xa9\"", "\"\\u00E9\"");
    check("\t{\r\n}\n", "{}");
}

static void test_single_quotes(void)
{
    check("{'a':'b'}", "{\"a\": \"b\"}");
    check("'say \"hi\"'", "\"say \\\"hi\\\"\"");
    check("'it\\'s'", "\"it's\"");
    check("\"it's\"", "\"it's\"");
}

static void test_invalid(void)
{
    static const char *const texts[] = {
        "", " ", "{", "}", "[", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{a:1}", "{1:2}", "[1 2]", "{\"a\" 1}", "nul", "True", "NaN", "Infinity", "-Infinity",
        "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x10", "1e999", "\"abc", "\"\\x\"", "\"\\u12\"",
        "\"\\u0000\"", "\"\n\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "{} {}", "1 2",
        "[1]]", "/* c */ 1", "1 // c", "'abc", "\\", "[1}", "{\"a\":1]", "@", "\x01", "nullx",
        "truefalse", "--1", "1-", "\xef\xbb\xbf{}", "\"\\ud83d\"", "\"\\ude00\"",
        "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\ud83d\\ude0\"", "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":[{}],\"a\":2}", "[{\"a\":{},\"a\":1}]", "{\"a\":1,'\\u0061':2}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        Error *err = NULL;
        QObject *obj = qobject_from_json(texts[i], &err);

        if (!err) {
            g_test_message("taken: %s", texts[i]);
        }
        g_assert_nonnull(err);
        g_assert_null(obj);
        error_free(err);
    }
}

static void test_zero_byte(void)
{
    Error *err = NULL;

    g_assert_null(qobject_from_json_len("{}\0", 3, &err));
    error_free_or_abort(&err);
    g_assert_null(qobject_from_json_len("\"a\0b\"", 5, &err));
    error_free_or_abort(&err);
}

static void check_depth(int depth, bool ok)
{
    g_autoptr(GString) text = g_string_new(NULL);
    Error *err = NULL;
    QObject *obj;

    for (int i = 0; i < depth; i++) {
        g_string_append_c(text, '[');
    }
    for (int i = 0; i < depth; i++) {
        g_string_append_c(text, ']');
    }
    obj = qobject_from_json(text->str, &err);
    g_assert(ok == !err);
    if (ok) {
        g_autofree char *json = qobject_to_json(obj);

        g_assert_cmpstr(json, ==, text->str);
    }
    error_free(err);
    json_object_put(obj);
}

static void test_depth(void)
{
    check_depth(QOBJECT_JSON_MAX_DEPTH, true);
    check_depth(QOBJECT_JSON_MAX_DEPTH + 1, false);
    check_depth(1000000, false);
}

static void test_pretty(void)
{
    g_autoptr(QObject) obj = qobject_from_json("{'a':[1,{}],'b':{'c':[]}}", &error_abort);
    g_autofree char *json = qobject_to_json_pretty(obj, true);

    g_assert_cmpstr(json, ==, "{\n    \"a\": [\n        1,\n        {}\n    ],\n"
                              "    \"b\": {\n        \"c\": []\n    }\n}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/valid", test_valid);
    g_test_add_func("/json/single-quotes", test_single_quotes);
    g_test_add_func("/json/invalid", test_invalid);
    g_test_add_func("/json/zero-byte", test_zero_byte);
    g_test_add_func("/json/depth", test_depth);
    g_test_add_func("/json/pretty", test_pretty);
    return g_test_run();
}
