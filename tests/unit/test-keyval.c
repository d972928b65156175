/*
 * Option strings to objects.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/keyval.h"

static void check(const char *params, const char *implied, const char *expected)
{
    g_autoptr(QObject) obj = keyval_parse(params, implied, NULL, &error_abort);
    g_autofree char *json = qobject_to_json(obj);

    g_assert_cmpstr(json, ==, expected);
}

static void refuse(const char *params, const char *implied, const char *expected)
{
    Error *err = NULL;

    g_assert_null(keyval_parse(params, implied, NULL, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, expected);
    error_free(err);
}

static void test_plain(void)
{
    check("", NULL, "{}");
    check("a=1", NULL, "{\"a\": \"1\"}");
    check("a=1,b=,c=x=y", NULL, "{\"a\": \"1\", \"b\": \"\", \"c\": \"x=y\"}");
    check("a=1,a=2", NULL, "{\"a\": \"2\"}");
    check("a=1,", NULL, "{\"a\": \"1\"}");
    check("a=x,,y,b=,,", NULL, "{\"a\": \"x,y\", \"b\": \",\"}");
    check("a.b=1,a.c.d=2", NULL, "{\"a\": {\"b\": \"1\", \"c\": {\"d\": \"2\"}}}");
}

static void test_implied(void)
{
    check("val", "k", "{\"k\": \"val\"}");
    check("val,,2,a=1", "k", "{\"k\": \"val,2\", \"a\": \"1\"}");
    check("a=1", "k", "{\"a\": \"1\"}");
    check("val,k=2", "k", "{\"k\": \"2\"}");
    refuse("a=1,val", "k", "Expected '=' after parameter 'val'");
    refuse("val", NULL, "Expected '=' after parameter 'val'");
    refuse(",a=1", "k", "Invalid parameter ''");
}

static void test_help(void)
{
    bool help = false;
    QDict *dict;
    Error *err = NULL;

    dict = keyval_parse("a=1,help,b=2", NULL, &help, &error_abort);
    g_assert_true(help);
    g_assert_cmpuint(qdict_size(dict), ==, 2);
    json_object_put(dict);
    dict = keyval_parse("?", "k", &help, &error_abort);
    g_assert_true(help);
    g_assert_cmpuint(qdict_size(dict), ==, 0);
    json_object_put(dict);
    dict = keyval_parse("help=x", NULL, &help, &error_abort);
    g_assert_false(help);
    json_object_put(dict);
    g_assert_null(keyval_parse("help", NULL, NULL, &err));
    error_free_or_abort(&err);
}

static void test_lists(void)
{
    check("l.0=a,l.1=b", NULL, "{\"l\": [\"a\", \"b\"]}");
    check("l.1=b,l.0=a", NULL, "{\"l\": [\"a\", \"b\"]}");
    check("l.0.x=1,l.0.y=2,l.1.x=3", NULL,
          "{\"l\": [{\"x\": \"1\", \"y\": \"2\"}, {\"x\": \"3\"}]}");
    check("l.0.0=a", NULL, "{\"l\": [[\"a\"]]}");
    refuse("l.1=b", NULL, "Parameter 'l.0' missing");
    refuse("a.l.0=a,a.l.2=b", NULL, "Parameter 'a.l.1' missing");
    refuse("l.0=a,l.x=b", NULL, "Parameters 'l.*' used inconsistently");
    refuse("0=a", NULL, "Invalid parameter '0'");
    refuse("l.99999999999=a", NULL, "Invalid parameter 'l.99999999999'");
}

static void test_bad_keys(void)
{
    g_autofree char *fragment = g_strnfill(128, 'a');
    g_autofree char *long_key = g_strdup_printf("%s=1", fragment);
    g_autofree char *expected = g_strdup_printf("Invalid parameter '%s'", fragment);
    g_autoptr(GString) deep = g_string_new("a");
    Error *err = NULL;

    refuse("=1", NULL, "Invalid parameter ''");
    refuse("a..b=1", NULL, "Invalid parameter 'a..b'");
    refuse(".a=1", NULL, "Invalid parameter '.a'");
    refuse("a.=1", NULL, "Invalid parameter 'a.'");
    refuse("a b=1", NULL, "Invalid parameter 'a b'");
    refuse("a=1,a.b=2", NULL, "Parameters 'a.*' used inconsistently");
    refuse("a.b=1,a=2", NULL, "Parameters 'a.*' used inconsistently");
    refuse(long_key, NULL, expected);
    for (int i = 0; i < 100000; i++) {
        g_string_append(deep, ".a");
    }
    g_string_append(deep, "=1");
    g_assert_null(keyval_parse(deep->str, NULL, NULL, &err));
    error_free_or_abort(&err);
}

static void test_merge(void)
{
    QDict *dict = keyval_parse("a=1,o.x=1,l.0=p", NULL, NULL, &error_abort);
    g_autofree char *json = NULL;
    Error *err = NULL;

    g_assert(keyval_parse_into(dict, "a=2,o.y=2,l.0=q,n=3", NULL, NULL, &error_abort) == dict);
    json = qobject_to_json(dict);
    g_assert_cmpstr(json, ==, "{\"a\": \"2\", \"o\": {\"x\": \"1\", \"y\": \"2\"}, "
                              "\"l\": [\"p\", \"q\"], \"n\": \"3\"}");
    g_assert_null(keyval_parse_into(dict, "o.x.z=1", NULL, NULL, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Parameter 'o.x' used inconsistently");
    error_free(err);
    json_object_put(dict);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/plain", test_plain);
    g_test_add_func("/keyval/implied", test_implied);
    g_test_add_func("/keyval/help", test_help);
    g_test_add_func("/keyval/lists", test_lists);
    g_test_add_func("/keyval/bad-keys", test_bad_keys);
    g_test_add_func("/keyval/merge", test_merge);
    return g_test_run();
}
