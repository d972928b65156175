/*
 * Numbers, sizes and strings from text: what is accepted, what is refused, where parsing stops, and
 * what the result is where it does not fit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"

typedef int SizeFunc(const char *nptr, const char **end, uint64_t *result);

/*
 * @used characters belong to the number, the rest is left over; without an end pointer anything
 * left over is an error.
 */
static void size_is(SizeFunc *fn, const char *text, int ret, uint64_t value, size_t used)
{
    const char *end = "unset";
    uint64_t v = 0xbad;
    int got = fn(text, &end, &v);

    if (got != ret || v != value || end != text + used) {
        g_error("'%s': %d, 0x%" PRIx64 ", %zd used; expected %d, 0x%" PRIx64 ", %zu", text, got, v,
                end - text, ret, value, used);
    }
    v = 0xbad;
    got = fn(text, NULL, &v);
    if (ret != -EINVAL && text[used]) {
        ret = -EINVAL;
        value = 0;
    }
    if (got != ret || v != value) {
        g_error("'%s', whole: %d, 0x%" PRIx64 "; expected %d, 0x%" PRIx64, text, got, v, ret,
                value);
    }
}

#define SIZE(text, value) size_is(qemu_strtosz, text, 0, value, strlen(text))
#define SIZE_BAD(text) size_is(qemu_strtosz, text, -EINVAL, 0, 0)
#define SIZE_OVER(text) size_is(qemu_strtosz, text, -ERANGE, UINT64_MAX, strlen(text))

static void test_size_plain(void)
{
    SIZE("0", 0);
    SIZE("1", 1);
    SIZE("12345", 12345);
    SIZE("007", 7); /* not octal */
    SIZE("  9", 9);
    SIZE("18446744073709551615", UINT64_MAX);
    SIZE("9007199254740993", 9007199254740993ull); /* no double holds it */
    SIZE("18446744073709549568", 0xfffffffffffff800ull);
    SIZE_OVER("18446744073709551616");
    SIZE_OVER("99999999999999999999999999999999999");
}

static void test_size_hex(void)
{
    SIZE("0x0", 0);
    SIZE("0xab", 0xab);
    SIZE("0XAB", 0xab);
    SIZE("0x1b", 0x1b); /* a digit, no suffix */
    SIZE("0xffffffffffffffff", UINT64_MAX);
    SIZE_OVER("0x10000000000000000");
    SIZE_BAD("0x1k");
    SIZE_BAD("0x20M");
    SIZE_BAD("0x1T");
    size_is(qemu_strtosz, "0x1.5", 0, 1, 3);
    size_is(qemu_strtosz, "0x", 0, 0, 1);
    size_is(qemu_strtosz, "0xg", 0, 0, 1);
}

static void test_size_suffix(void)
{
    SIZE("1B", 1);
    SIZE("1b", 1);
    SIZE("1k", KiB);
    SIZE("1K", KiB);
    SIZE("1M", MiB);
    SIZE("1G", GiB);
    SIZE("1T", TiB);
    SIZE("1P", PiB);
    SIZE("1E", EiB);
    SIZE("12345m", 12345 * MiB);
    SIZE("15e", 15ull * EiB);
    SIZE_OVER("16E");
    SIZE_OVER("20E");
    SIZE_OVER("18014398509481984K");
    SIZE("18014398509481983K", 18014398509481983ull * KiB);
    size_is(qemu_strtosz, "1kB", 0, KiB, 2);
    size_is(qemu_strtosz, "1KiB", 0, KiB, 2);
    size_is(qemu_strtosz, "1X", 0, 1, 1);
    size_is(qemu_strtosz, "123xxx", 0, 123, 3);
    size_is(qemu_strtosz, "20Ex", -ERANGE, UINT64_MAX, 3);
}

static void test_size_fraction(void)
{
    SIZE("1.5k", 1536);
    SIZE("0.5k", 512);
    SIZE(".5k", 512);
    SIZE("1.5M", 3 * MiB / 2);
    SIZE("12.345M", 12944671); /* 12.345 * 2^20 = 12944670.72 */
    SIZE("1.0", 1);
    SIZE("1.0B", 1);
    SIZE("1.", 1);
    SIZE("1.k", KiB);
    SIZE("1.000000000000000000000000000000000000001M", MiB);
    SIZE_BAD("1.5");
    SIZE_BAD("1.1B");
    SIZE_BAD("0.5");
    SIZE("15.9375E", 0xff00000000000000ull);
    SIZE_OVER("15.9999999999999999999999999E"); /* rounds up to 16 */
    SIZE("15.5E", 15ull * EiB + EiB / 2);
    SIZE("1.5E", EiB + EiB / 2); /* a suffix, not the start of an exponent */
    SIZE("1.5e", EiB + EiB / 2);
    size_is(qemu_strtosz, "1.5E3", 0, EiB + EiB / 2, 4);
    size_is(qemu_strtosz, "1E3", 0, EiB, 2);
    size_is(qemu_strtosz, "1e-3", 0, EiB, 2);
    size_is(qemu_strtosz, "1.5.5k", -EINVAL, 0, 0);
    size_is(qemu_strtosz, "1,5k", 0, 1, 1);
}

static void test_size_bad(void)
{
    const char *end = "unset";
    uint64_t v = 1;

    SIZE_BAD("");
    SIZE_BAD(" ");
    SIZE_BAD("k");
    SIZE_BAD(".");
    SIZE_BAD(".k");
    SIZE_BAD("-1");
    SIZE_BAD("-0");
    SIZE_BAD("+1");
    SIZE_BAD("- 1");
    SIZE_BAD("inf");
    SIZE_BAD("nan");
    SIZE_BAD("one");
    SIZE_BAD("..5k");
    g_assert_cmpint(qemu_strtosz(NULL, &end, &v), ==, -EINVAL);
    g_assert_null(end);
    g_assert_cmpint(qemu_strtosz(NULL, NULL, &v), ==, -EINVAL);
    g_assert_cmpint(v, ==, 0);
}

static void test_size_units(void)
{
    size_is(qemu_strtosz_MiB, "1", 0, MiB, 1);
    size_is(qemu_strtosz_MiB, "128", 0, 128 * MiB, 3);
    size_is(qemu_strtosz_MiB, "1.5", 0, 3 * MiB / 2, 3);
    size_is(qemu_strtosz_MiB, "4096B", 0, 4096, 5);
    size_is(qemu_strtosz_MiB, "2G", 0, 2 * GiB, 2);
    size_is(qemu_strtosz_MiB, "0x10", 0, 16 * MiB, 4);
    size_is(qemu_strtosz_MiB, "17592186044416", -ERANGE, UINT64_MAX, 14);
    size_is(qemu_strtosz_metric, "12345k", 0, 12345000, 6);
    size_is(qemu_strtosz_metric, "1.5M", 0, 1500000, 4);
    size_is(qemu_strtosz_metric, "18E", 0, 18000000000000000000ull, 3);
    size_is(qemu_strtosz_metric, "19E", -ERANGE, UINT64_MAX, 3);
}

/* One body for all integer forms: the result is compared as the type's own, widened. */
#define DEFINE_NUMBER_CHECK(fn, type, format)                                                     \
    static void fn##_is(const char *text, int base, int ret, type value, size_t used)             \
    {                                                                                             \
        const char *end = "unset";                                                                \
        type v = 77;                                                                              \
        int got = fn(text, &end, base, &v);                                                       \
                                                                                                  \
        if (got != ret || v != value || end != text + used) {                                     \
            g_error(#fn " '%s': %d, %" format ", %zd used; expected %d, %" format ", %zu", text,  \
                    got, v, end - text, ret, value, used);                                        \
        }                                                                                         \
        v = 77;                                                                                   \
        got = fn(text, NULL, base, &v);                                                           \
        if (got != (text[used] ? -EINVAL : ret)) {                                                \
            g_error(#fn " '%s', whole: %d", text, got);                                           \
        }                                                                                         \
        end = "unset";                                                                            \
        g_assert_cmpint(fn(NULL, &end, base, &v), ==, -EINVAL);                                   \
        g_assert_null(end);                                                                       \
    }

DEFINE_NUMBER_CHECK(qemu_strtoi, int, "d")
DEFINE_NUMBER_CHECK(qemu_strtoui, unsigned, "u")
DEFINE_NUMBER_CHECK(qemu_strtol, long, "ld")
DEFINE_NUMBER_CHECK(qemu_strtoul, unsigned long, "lu")
DEFINE_NUMBER_CHECK(qemu_strtoi64, int64_t, PRId64)
DEFINE_NUMBER_CHECK(qemu_strtou64, uint64_t, PRIu64)

static void test_strtoi(void)
{
    qemu_strtoi_is("12345", 0, 0, 12345, 5);
    qemu_strtoi_is("-12345", 0, 0, -12345, 6);
    qemu_strtoi_is(" +7", 0, 0, 7, 3);
    qemu_strtoi_is("0x7f", 0, 0, 0x7f, 4);
    qemu_strtoi_is("0x7f", 16, 0, 0x7f, 4);
    qemu_strtoi_is("017", 0, 0, 017, 3);
    qemu_strtoi_is("017", 10, 0, 17, 3);
    qemu_strtoi_is("ff", 16, 0, 255, 2);
    qemu_strtoi_is("12x", 0, 0, 12, 2);
    qemu_strtoi_is("12 ", 0, 0, 12, 2);
    qemu_strtoi_is("2147483647", 0, 0, INT_MAX, 10);
    qemu_strtoi_is("2147483648", 0, -ERANGE, INT_MAX, 10);
    qemu_strtoi_is("-2147483648", 0, 0, INT_MIN, 11);
    qemu_strtoi_is("-2147483649", 0, -ERANGE, INT_MIN, 11);
    qemu_strtoi_is("99999999999999999999", 0, -ERANGE, INT_MAX, 20);
    qemu_strtoi_is("-99999999999999999999", 0, -ERANGE, INT_MIN, 21);
    qemu_strtoi_is("", 0, -EINVAL, 0, 0);
    qemu_strtoi_is(" ", 0, -EINVAL, 0, 0);
    qemu_strtoi_is("-", 0, -EINVAL, 0, 0);
    qemu_strtoi_is("x", 0, -EINVAL, 0, 0);
    qemu_strtoi_is("8", 8, -EINVAL, 0, 0);
}

static void test_strtoui(void)
{
    qemu_strtoui_is("0", 0, 0, 0, 1);
    qemu_strtoui_is("4294967295", 0, 0, UINT_MAX, 10);
    qemu_strtoui_is("4294967296", 0, -ERANGE, UINT_MAX, 10);
    qemu_strtoui_is("18446744073709551615", 0, -ERANGE, UINT_MAX, 20);
    qemu_strtoui_is("-1", 0, 0, UINT_MAX, 2); /* wraps, as strtoul does */
    qemu_strtoui_is("x", 0, -EINVAL, 0, 0);
}

static void test_strtol(void)
{
    qemu_strtol_is("9223372036854775807", 0, 0, LONG_MAX, 19);
    qemu_strtol_is("9223372036854775808", 0, -ERANGE, LONG_MAX, 19);
    qemu_strtol_is("-9223372036854775808", 0, 0, LONG_MIN, 20);
    qemu_strtol_is("-9223372036854775809", 0, -ERANGE, LONG_MIN, 20);
    qemu_strtoul_is("18446744073709551615", 0, 0, ULONG_MAX, 20);
    qemu_strtoul_is("18446744073709551616", 0, -ERANGE, ULONG_MAX, 20);
}

static void test_strto64(void)
{
    qemu_strtoi64_is("0x7fffffffffffffff", 0, 0, INT64_MAX, 18);
    qemu_strtoi64_is("0x8000000000000000", 0, -ERANGE, INT64_MAX, 18);
    qemu_strtoi64_is("-1k", 0, 0, -1, 2);
    qemu_strtoi64_is("", 0, -EINVAL, 0, 0);
    qemu_strtou64_is("0xffffffffffffffff", 0, 0, UINT64_MAX, 18);
    qemu_strtou64_is("0x10000000000000000", 0, -ERANGE, UINT64_MAX, 19);
    qemu_strtou64_is("-1", 0, 0, UINT64_MAX, 2);
    qemu_strtou64_is("", 0, -EINVAL, 0, 0);
}

DEFINE_NUMBER_CHECK(parse_uint, uint64_t, PRIu64)

static void test_parse_uint(void)
{
    uint64_t v = 1;

    parse_uint_is("0", 0, 0, 0, 1);
    parse_uint_is(" 12", 0, 0, 12, 3);
    parse_uint_is("0x10", 0, 0, 16, 4);
    parse_uint_is("18446744073709551615", 10, 0, UINT64_MAX, 20);
    parse_uint_is("18446744073709551616", 10, -ERANGE, UINT64_MAX, 20);
    parse_uint_is("12abc", 10, 0, 12, 2);
    /* No sign, not even a harmless one: -1 must not become the largest number. */
    g_assert_cmpint(parse_uint("-1", NULL, 0, &v), ==, -EINVAL);
    g_assert_cmpint(parse_uint(" -1", NULL, 0, &v), ==, -EINVAL);
    g_assert_cmpint(parse_uint("-0", NULL, 0, &v), ==, -EINVAL);
    g_assert_cmpint(parse_uint("+1", NULL, 0, &v), ==, -EINVAL);
    g_assert_cmpint(v, ==, 0);

    g_assert_cmpint(parse_uint_full("12", 10, &v), ==, 0);
    g_assert_cmpint(v, ==, 12);
    g_assert_cmpint(parse_uint_full("12 ", 10, &v), ==, -EINVAL);
    g_assert_cmpint(v, ==, 0);
    g_assert_cmpint(parse_uint_full("", 10, &v), ==, -EINVAL);
    g_assert_cmpint(parse_uint_full("99999999999999999999", 10, &v), ==, -ERANGE);
}

static void test_strtod(void)
{
    const char *end;
    double v;

    g_assert_cmpint(qemu_strtod("1.25", NULL, &v), ==, 0);
    g_assert_true(v == 1.25);
    g_assert_cmpint(qemu_strtod("1.25x", &end, &v), ==, 0);
    g_assert_cmpstr(end, ==, "x");
    g_assert_cmpint(qemu_strtod("1.25x", NULL, &v), ==, -EINVAL);
    g_assert_cmpint(qemu_strtod("", NULL, &v), ==, -EINVAL);
    g_assert_cmpint(qemu_strtod("1e999", NULL, &v), ==, -ERANGE);
    g_assert_true(isinf(v));
    g_assert_cmpint(qemu_strtod("inf", NULL, &v), ==, 0);
    g_assert_cmpint(qemu_strtod_finite("1e3", NULL, &v), ==, 0);
    g_assert_true(v == 1000);
    g_assert_cmpint(qemu_strtod_finite("inf", NULL, &v), ==, -EINVAL);
    g_assert_true(v == 0);
    g_assert_cmpint(qemu_strtod_finite("nan", &end, &v), ==, -EINVAL);
    g_assert_cmpstr(end, ==, "nan");
}

static void test_strings(void)
{
    const char *rest = NULL;
    char buf[6] = "12345";

    pstrcpy(buf, sizeof(buf), "abcdefgh");
    g_assert_cmpstr(buf, ==, "abcde");
    pstrcpy(buf, 0, "x");
    g_assert_cmpstr(buf, ==, "abcde");
    pstrcpy(buf, sizeof(buf), "ab");
    pstrcat(buf, sizeof(buf), "cdefgh");
    g_assert_cmpstr(buf, ==, "abcde");

    g_assert_true(strstart("tcp:host", "tcp:", &rest));
    g_assert_cmpstr(rest, ==, "host");
    g_assert_true(strstart("tcp:", "tcp:", NULL));
    g_assert_true(strstart("x", "", &rest));
    g_assert_cmpstr(rest, ==, "x");
    rest = "kept";
    g_assert_false(strstart("tc", "tcp:", &rest));
    g_assert_false(strstart("TCP:", "tcp:", &rest));
    g_assert_cmpstr(rest, ==, "kept");
}

static void prints(char *text, const char *want)
{
    g_assert_cmpstr(text, ==, want);
    g_free(text);
}

static void test_print(void)
{
    prints(size_to_str(0), "0 B");
    prints(size_to_str(999), "999 B");
    prints(size_to_str(1024), "1 KiB");
    prints(size_to_str(1536), "1.5 KiB");
    prints(size_to_str(64 * MiB), "64 MiB");
    prints(size_to_str(1023 * KiB), "0.999 MiB");
    prints(size_to_str(UINT64_MAX), "16 EiB");
    prints(freq_to_str(999), "999 Hz");
    prints(freq_to_str(2500000000ull), "2.5 GHz");
}

static void test_bool(void)
{
    bool v = false;

    g_assert_true(qemu_parse_bool_str("on", &v) && v);
    g_assert_true(qemu_parse_bool_str("off", &v) && !v);
    g_assert_true(qemu_parse_bool_str("yes", &v) && v);
    g_assert_true(qemu_parse_bool_str("no", &v) && !v);
    g_assert_true(qemu_parse_bool_str("true", &v) && v);
    g_assert_true(qemu_parse_bool_str("false", &v) && !v);
    g_assert_true(qemu_parse_bool_str("y", &v) && v);
    g_assert_true(qemu_parse_bool_str("n", &v) && !v);
    v = true;
    g_assert_false(qemu_parse_bool_str("", &v));
    g_assert_false(qemu_parse_bool_str("ON", &v));
    g_assert_false(qemu_parse_bool_str("1", &v));
    g_assert_true(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cutils/size/plain", test_size_plain);
    g_test_add_func("/cutils/size/hex", test_size_hex);
    g_test_add_func("/cutils/size/suffix", test_size_suffix);
    g_test_add_func("/cutils/size/fraction", test_size_fraction);
    g_test_add_func("/cutils/size/bad", test_size_bad);
    g_test_add_func("/cutils/size/units", test_size_units);
    g_test_add_func("/cutils/strtoi", test_strtoi);
    g_test_add_func("/cutils/strtoui", test_strtoui);
    g_test_add_func("/cutils/strtol", test_strtol);
    g_test_add_func("/cutils/strto64", test_strto64);
    g_test_add_func("/cutils/parse-uint", test_parse_uint);
    g_test_add_func("/cutils/strtod", test_strtod);
    g_test_add_func("/cutils/strings", test_strings);
    g_test_add_func("/cutils/print", test_print);
    g_test_add_func("/cutils/bool", test_bool);
    return g_test_run();
}
