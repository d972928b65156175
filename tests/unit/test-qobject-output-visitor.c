/*
 * From C to JSON, and back again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject-output-visitor.h"
#include "tests/qapi-schema/test-qapi-visit.h"
#include <math.h>

/* TYPE may be a macro (bool), so it is pasted here and nowhere deeper. */
#define ASSERT_OUTPUT(type, value, expected)                          \
    do {                                                              \
        QObject *obj_ = NULL;                                         \
        Visitor *v_ = qobject_output_visitor_new(&obj_);              \
        __typeof__(value) value_ = (value);                           \
        g_autofree char *json_ = NULL;                                \
                                                                      \
        g_assert(visit_type_##type(v_, NULL, &value_, &error_abort)); \
        visit_complete(v_, &obj_);                                    \
        visit_free(v_);                                               \
        json_ = qobject_to_json(obj_);                                \
        json_object_put(obj_);                                        \
        g_assert_cmpstr(json_, ==, expected);                         \
    } while (0)

static void test_scalars(void)
{
    char text[] = "a\"\\\n\x01\xc3\xa9\xf0\x9f\x98\x80";

    ASSERT_OUTPUT(int, (int64_t)INT64_MIN, "-9223372036854775808");
    ASSERT_OUTPUT(int8, (int8_t)-1, "-1");
    ASSERT_OUTPUT(uint64, (uint64_t)UINT64_MAX, "18446744073709551615");
    ASSERT_OUTPUT(uint64, (uint64_t)INT64_MAX, "9223372036854775807");
    ASSERT_OUTPUT(size, (uint64_t)0, "0");
    ASSERT_OUTPUT(bool, (bool)true, "true");
    ASSERT_OUTPUT(str, (char *)text, "\"a\\\"\\\\\\n\\u0001\\u00E9\\uD83D\\uDE00\"");
    ASSERT_OUTPUT(str, (char *)NULL, "\"\"");
    ASSERT_OUTPUT(str, (char *)"\xff", "\"\\uFFFD\"");
    ASSERT_OUTPUT(number, 0.5, "0.5");
    ASSERT_OUTPUT(number, 3.0, "3.0");
    ASSERT_OUTPUT(number, (double)NAN, "0.0");
    ASSERT_OUTPUT(number, (double)INFINITY, "1.7976931348623157e+308");
    ASSERT_OUTPUT(null, (QNull *)NULL, "null");
    ASSERT_OUTPUT(Mood, (Mood)MOOD_SO_SO, "\"so-so\"");
    ASSERT_OUTPUT(Renamed, (Renamed)OTHER_2ND, "\"2nd\"");
}

static void test_struct(void)
{
    strList list = {.value = (char *)"p"};
    g_autoptr(QObject) any = qobject_from_json("[ {}, [], null ]", &error_abort);
    Derived inner = {.id = (char *)"in", .count = 2};
    Derived d = {
        .id = (char *)"x", .has_mood = true, .mood = MOOD_SAD, .count = 1, .inner = &inner,
        .any = any, .has_list = true, .list = &list,
    };

    ASSERT_OUTPUT(Derived, &d,
                  "{\"id\": \"x\", \"mood\": \"sad\", \"count\": 1, \"inner\": {\"id\": \"in\", "
                  "\"count\": 2}, \"any\": [{}, [], null], \"list\": [\"p\"]}");
}

static void test_union(void)
{
    Figure square = {.shape = SHAPE_SQUARE, .u.square.side = 4};
    Figure point = {.shape = SHAPE_POINT, .name = (char *)"n"};
    Figure frame = {.shape = SHAPE_FRAME, .u.frame.kind = FRAME_KIND_THICK,
                    .u.frame.u.thick.width = 9};

    ASSERT_OUTPUT(Figure, &square, "{\"shape\": \"square\", \"side\": 4}");
    ASSERT_OUTPUT(Figure, &point, "{\"shape\": \"point\", \"name\": \"n\"}");
    ASSERT_OUTPUT(Figure, &frame, "{\"shape\": \"frame\", \"kind\": \"thick\", \"width\": 9}");
}

static void test_alternate(void)
{
    Choice s = {.type = QTYPE_QSTRING, .u.s = (char *)"t"};
    Choice n = {.type = QTYPE_QNULL};
    Choice o = {.type = QTYPE_QDICT, .u.o.side = 1};

    ASSERT_OUTPUT(Choice, &s, "\"t\"");
    ASSERT_OUTPUT(Choice, &n, "null");
    ASSERT_OUTPUT(Choice, &o, "{\"side\": 1}");
}

/* What is read is written again as it was. */
static void test_round_trip(void)
{
    static const char *const texts[] = {
        "{}",
        "{\"ints\": [1, -2], \"u16\": [], \"moods\": [\"happy\", \"sad\"]}",
        "{\"figures\": [{\"shape\": \"circle\", \"radius\": 0.25}, {\"shape\": \"point\"}]}",
        "{\"figures\": [{\"shape\": \"frame\", \"kind\": \"thin\"}], \"bools\": [false]}",
        "{\"anys\": [null, {\"a\": [1.5, \"x\", true]}, 18446744073709551615]}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        g_autoptr(QObject) obj = qobject_from_json(texts[i], &error_abort);
        Visitor *v = qobject_input_visitor_new(obj);
        g_autoptr(Lists) l = NULL;

        visit_type_Lists(v, NULL, &l, &error_abort);
        visit_free(v);
        ASSERT_OUTPUT(Lists, l, texts[i]); /* an empty array is not an absent one */
    }
}

static void test_abandon(void)
{
    QObject *obj = NULL;
    Visitor *v = qobject_output_visitor_new(&obj);
    int64_t n = 1;

    visit_start_struct(v, NULL, NULL, 0, &error_abort);
    visit_start_struct(v, "inner", NULL, 0, &error_abort);
    visit_type_int(v, "n", &n, &error_abort);
    visit_free(v);
    g_assert_null(obj);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/visitor/output/scalars", test_scalars);
    g_test_add_func("/visitor/output/struct", test_struct);
    g_test_add_func("/visitor/output/union", test_union);
    g_test_add_func("/visitor/output/alternate", test_alternate);
    g_test_add_func("/visitor/output/round-trip", test_round_trip);
    g_test_add_func("/visitor/output/abandon", test_abandon);
    return g_test_run();
}
