/*
 * Cutting a byte stream into JSON texts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/qmp-framer.h"

/* What comes of @input, fed @step bytes at a time: texts, and "!" for each error, in a line. */
static char *cut(const char *input, size_t len, size_t step)
{
    GString *out = g_string_new(NULL);
    QmpFramer f;

    qmp_framer_init(&f);
    for (size_t at = 0; at < len; at += step) {
        const uint8_t *p = (const uint8_t *)input + at, *end = p + MIN(step, len - at);
        QmpFramerResult r;
        char *why = NULL;

        while ((r = qmp_framer_feed(&f, &p, end, &why)) != QMP_FRAMER_MORE) {
            g_string_append_printf(out, "%s;", r == QMP_FRAMER_ERROR ? "!" : f.text->str);
            g_clear_pointer(&why, g_free);
        }
    }
    qmp_framer_destroy(&f);
    return g_string_free(out, false);
}

static void check(const char *input, const char *expect)
{
    for (size_t step = 1; step <= 3; step++) {
        g_autofree char *got = cut(input, strlen(input), step);

        g_assert_cmpstr(got, ==, expect);
    }
}

static void test_whole(void)
{
    check("{}", "{};");
    check(" {\"a\": [1, {}]}\r\n[]\t{}{}", "{\"a\": [1, {}]};[];{};{};");
    check("{\"a}\": \"]}\\\"{\"}", "{\"a}\": \"]}\\\"{\"};");
    check("{'a': '\"}'}", "{'a': '\"}'};");
    check("1 true \"x\" null\n", "1;true;\"x\";null;");
    check("1{}", "1;{};");
    check("{\"unfinished\": ", "");
}

static void test_broken(void)
{
    check("}\n{}", "!;{};");
    check("}}}}\n{}", "!;{};");
    check(",{}", "!;{};");
    check("\x01{}", "!;{};");
    check("{\"a\x01\"}\n{}", "!;{};");
    check("{\"a\n{}", "!;{};");
    check("{ # }\n[]", "!;[];");
    check("\xff\xfe\n[]", "!;[];");
}

static void test_limits(void)
{
    g_autofree char *deep = g_strnfill(QMP_MESSAGE_DEPTH_MAX + 10, '[');
    g_autofree char *input = g_strconcat(deep, "\n{}", NULL);
    g_autofree char *got = cut(input, strlen(input), 7);
    size_t big = QMP_MESSAGE_SIZE_MAX + 100;
    g_autofree char *large = g_malloc(big + 4);
    g_autofree char *got2 = NULL;

    g_assert_cmpstr(got, ==, "!;{};");
    memset(large, 'x', big);
    large[0] = '"';
    memcpy(large + big, "\"\n{}", 4);
    got2 = cut(large, big + 4, 1 << 16);
    g_assert_cmpstr(got2, ==, "!;{};");
}

/* Any bytes at all, then a newline and a good text: that one is always found. */
static void test_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 2000; i++) {
        char input[64];
        size_t len = g_rand_int_range(rand, 0, 40);
        g_autofree char *got = NULL;

        for (size_t k = 0; k < len; k++) {
            static const char likely[] = "{}[]\"'\\:,1a \n\x01\xff";

            input[k] = likely[g_rand_int_range(rand, 0, sizeof(likely) - 1)];
        }
        /* Ends strings of either kind, then all brackets that may be open. */
        memcpy(input + len, "\n\x01\n{}", 6);
        got = cut(input, len + 5, 1 + i % 5);
        g_assert_true(g_str_has_suffix(got, "{};"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp-framer/whole", test_whole);
    g_test_add_func("/qmp-framer/broken", test_broken);
    g_test_add_func("/qmp-framer/limits", test_limits);
    g_test_add_func("/qmp-framer/random", test_random);
    return g_test_run();
}
