/*
 * Scalars and arrays of integers as text, both ways.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/string-input-visitor.h"
#include "qapi/string-output-visitor.h"
#include "tests/qapi-schema/test-qapi-visit.h"

#define INPUT(type, ctype, text, value)                                 \
    ({                                                                  \
        Visitor *v_ = string_input_visitor_new(text);                   \
        Error *err_ = NULL;                                             \
        bool ok_ = visit_type_##type(v_, "p", (ctype *)(value), &err_); \
                                                                        \
        visit_free(v_);                                                 \
        g_assert(ok_ == !err_);                                         \
        error_free(err_);                                               \
        ok_;                                                            \
    })

static void test_input_scalars(void)
{
    int64_t i;
    uint64_t u;
    uint8_t u8;
    bool b;
    double n;
    char *s;
    Mood mood;
    QObject *any;

    g_assert(INPUT(int, int64_t, "-42", &i) && i == -42);
    g_assert(INPUT(int, int64_t, "0x10", &i) && i == 16);
    g_assert(!INPUT(int, int64_t, "", &i));
    g_assert(!INPUT(int, int64_t, "12 ", &i));
    g_assert(!INPUT(int, int64_t, "9223372036854775808", &i));
    g_assert(INPUT(uint64, uint64_t, "18446744073709551615", &u) && u == UINT64_MAX);
    g_assert(!INPUT(uint64, uint64_t, "18446744073709551616", &u));
    g_assert(!INPUT(uint64, uint64_t, "-1", &u));
    g_assert(INPUT(uint8, uint8_t, "255", &u8) && u8 == 255);
    g_assert(!INPUT(uint8, uint8_t, "256", &u8));
    g_assert(INPUT(size, uint64_t, "1.5G", &u) && u == 1536ULL << 20);
    g_assert(!INPUT(size, uint64_t, "1Q", &u));
    g_assert(INPUT(bool, bool, "yes", &b) && b);
    g_assert(INPUT(bool, bool, "off", &b) && !b);
    g_assert(!INPUT(bool, bool, "2", &b));
    g_assert(INPUT(number, double, "-2.5e1", &n) && n == -25);
    g_assert(!INPUT(number, double, "inf", &n));
    g_assert(INPUT(Mood, Mood, "so-so", &mood) && mood == MOOD_SO_SO);
    g_assert(!INPUT(Mood, Mood, "SAD", &mood));
    g_assert(INPUT(str, char *, "a,b", &s));
    g_assert_cmpstr(s, ==, "a,b");
    g_free(s);
    g_assert(INPUT(any, QObject *, "7", &any));
    g_assert_cmpstr(json_object_get_string(any), ==, "7");
    json_object_put(any);
}

static void check_list(const char *text, const int64_t *expected, size_t count)
{
    g_autoptr(intList) list = NULL;
    intList *item;
    size_t i = 0;

    g_assert(INPUT(intList, intList *, text, &list));
    for (item = list; item; item = item->next) {
        g_assert_cmpuint(i, <, count);
        g_assert_cmpint(item->value, ==, expected[i++]);
    }
    g_assert_cmpuint(i, ==, count);
}

static void test_input_lists(void)
{
    static const char *const bad[] = {
        "x", "1,", ",1", "1-", "3-1", "1--", "1;2", "0-65536", "-", "1-2-3",
        "0-9223372036854775807", "-9223372036854775808-9223372036854775807",
        "0-40000,0-40000",
    };
    intList *ints;
    uint16List *u16;
    strList *strs;
    Figure *f;

    check_list("", NULL, 0);
    check_list("5", (int64_t[]){5}, 1);
    check_list("3,1-4,-1", (int64_t[]){3, 1, 2, 3, 4, -1}, 6);
    check_list("-2-1", (int64_t[]){-2, -1, 0, 1}, 4);
    check_list("0x7ffffffffffffffe-0x7fffffffffffffff", (int64_t[]){INT64_MAX - 1, INT64_MAX}, 2);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert(!INPUT(intList, intList *, bad[i], &ints));
    }
    g_assert(INPUT(intList, intList *, "0-65535", &ints));
    g_assert_cmpuint(QAPI_LIST_LENGTH(ints), ==, 65536);
    qapi_free_intList(ints);
    g_assert(!INPUT(uint16List, uint16List *, "65535-65536", &u16));
    g_assert(!INPUT(uint16List, uint16List *, "-1", &u16));
    g_assert(!INPUT(strList, strList *, "1", &strs));
    g_assert(!INPUT(Figure, Figure *, "x", &f));
}

#define ASSERT_OUTPUT(human, type, value, expected)                    \
    do {                                                               \
        char *text_ = NULL;                                            \
        Visitor *v_ = string_output_visitor_new(human, &text_);        \
        __typeof__(value) value_ = (value);                            \
                                                                       \
        g_assert(visit_type_##type(v_, NULL, &value_, &error_abort));  \
        visit_complete(v_, &text_);                                    \
        visit_free(v_);                                                \
        g_assert_cmpstr(text_, ==, expected);                          \
        g_free(text_);                                                 \
    } while (0)

static void test_output_scalars(void)
{
    ASSERT_OUTPUT(false, int, (int64_t)-3, "-3");
    ASSERT_OUTPUT(true, int, (int64_t)30, "30 (0x1e)");
    ASSERT_OUTPUT(false, uint64, (uint64_t)UINT64_MAX, "18446744073709551615");
    ASSERT_OUTPUT(false, size, (uint64_t)1048576, "1048576");
    ASSERT_OUTPUT(true, size, (uint64_t)1048576, "1048576 (1 MiB)");
    ASSERT_OUTPUT(false, bool, (bool)true, "true");
    ASSERT_OUTPUT(false, str, (char *)"a b", "a b");
    ASSERT_OUTPUT(true, str, (char *)"a b", "\"a b\"");
    ASSERT_OUTPUT(true, str, (char *)NULL, "<null>");
    ASSERT_OUTPUT(false, number, 0.25, "0.25");
    ASSERT_OUTPUT(false, Mood, (Mood)MOOD_SAD, "sad");
    ASSERT_OUTPUT(true, Mood, (Mood)MOOD_SAD, "\"sad\"");
}

static void test_output_lists(void)
{
    intList *list = NULL, **tail = &list;
    strList strs = {.value = (char *)"s"};
    Figure f = {.shape = SHAPE_POINT};
    FigureList figures = {.value = &f};
    static const int values[] = {-2, -1, 0, 5, 7, 8};

    ASSERT_OUTPUT(false, intList, (intList *)NULL, "");
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        QAPI_LIST_APPEND(tail, values[i]);
    }
    ASSERT_OUTPUT(false, intList, list, "-2-0,5,7-8");
    list->value = 1;
    list->next->value = 2;
    ASSERT_OUTPUT(true, intList, list, "1-2,0,5,7-8 (0x1-0x2,0x0,0x5,0x7-0x8)");
    qapi_free_intList(list);
    ASSERT_OUTPUT(false, strList, &strs, "<omitted>");
    ASSERT_OUTPUT(false, Figure, &f, "<omitted>");
    ASSERT_OUTPUT(false, FigureList, &figures, "<omitted>");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/visitor/string/input/scalars", test_input_scalars);
    g_test_add_func("/visitor/string/input/lists", test_input_lists);
    g_test_add_func("/visitor/string/output/scalars", test_output_scalars);
    g_test_add_func("/visitor/string/output/lists", test_output_lists);
    return g_test_run();
}
