/*
 * From JSON to C: everything that is right arrives, everything else is refused with its place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qemu/keyval.h"
#include "tests/qapi-schema/test-qapi-visit.h"

/* Visit JSON, which may be NULL for a null, as a TYPE; *ERR gets the error's text. */
#define VISIT_JSON(type, json, err)                                             \
    ({                                                                          \
        QObject *qobj_ = qobject_from_json(json, &error_abort);                 \
        Visitor *v_ = qobject_input_visitor_new(qobj_);                         \
        type *result_ = NULL;                                                   \
        Error *error_ = NULL;                                                   \
        bool ok_ = visit_type_##type(v_, NULL, &result_, &error_);              \
                                                                                \
        visit_free(v_);                                                         \
        json_object_put(qobj_);                                                 \
        g_assert(ok_ == !error_);                                               \
        g_free(*(err));                                                         \
        *(err) = error_ ? g_strdup(error_get_pretty(error_)) : NULL;            \
        error_free(error_);                                                     \
        g_assert(ok_ || !result_);                                              \
        result_;                                                                \
    })

#define VISIT_KEYVAL(type, text, err)                                           \
    ({                                                                          \
        QObject *qobj_ = keyval_parse(text, NULL, NULL, &error_abort);          \
        Visitor *v_ = qobject_input_visitor_new_keyval(qobj_);                  \
        type *result_ = NULL;                                                   \
        Error *error_ = NULL;                                                   \
                                                                                \
        visit_type_##type(v_, NULL, &result_, &error_);                         \
        visit_free(v_);                                                         \
        json_object_put(qobj_);                                                 \
        g_free(*(err));                                                         \
        *(err) = error_ ? g_strdup(error_get_pretty(error_)) : NULL;            \
        error_free(error_);                                                     \
        result_;                                                                \
    })

static char *err;

static void test_numbers(void)
{
    g_autoptr(Numbers) n = VISIT_JSON(Numbers,
        "{ \"i\": -1, \"i8\": -128, \"i16\": 32767, \"i32\": -2147483648,"
        "  \"i64\": -9223372036854775808, \"u8\": 255, \"u16\": 65535, \"u32\": 4294967295,"
        "  \"u64\": 18446744073709551615, \"sz\": 9223372036854775808, \"n\": 1.5 }", &err);

    g_assert_cmpstr(err, ==, NULL);
    g_assert_cmpint(n->i, ==, -1);
    g_assert_cmpint(n->i8, ==, INT8_MIN);
    g_assert_cmpint(n->i16, ==, INT16_MAX);
    g_assert_cmpint(n->i32, ==, INT32_MIN);
    g_assert_cmpint(n->i64, ==, INT64_MIN);
    g_assert_cmpuint(n->u8, ==, UINT8_MAX);
    g_assert_cmpuint(n->u16, ==, UINT16_MAX);
    g_assert_cmpuint(n->u32, ==, UINT32_MAX);
    g_assert_cmpuint(n->u64, ==, UINT64_MAX);
    g_assert_cmpuint(n->sz, ==, 1ULL << 63);
    g_assert_cmpfloat(n->n, ==, 1.5);
}

/* As QEMU has it: clients write -1 for the most that there is. */
static void test_negative_unsigned(void)
{
    g_autoptr(Numbers) n = VISIT_JSON(Numbers,
        "{ \"i\": 1, \"i8\": 1, \"i16\": 1, \"i32\": 1, \"i64\": 1, \"u8\": 1, \"u16\": 1,"
        "  \"u32\": 1, \"u64\": -1, \"sz\": -2, \"n\": 1 }", &err);

    g_assert_cmpstr(err, ==, NULL);
    g_assert_cmpuint(n->u64, ==, UINT64_MAX);
    g_assert_cmpuint(n->sz, ==, UINT64_MAX - 1);
}

/* NAME with a value that is out of its range, all others right. */
static void refuse_number(const char *name, const char *value, const char *expected)
{
    static const char *const names[] = {"i", "i8", "i16", "i32", "i64", "u8",
                                        "u16", "u32", "u64", "sz", "n"};
    g_autoptr(GString) json = g_string_new("{");

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        g_string_append_printf(json, "%s\"%s\": %s", i ? ", " : " ", names[i],
                               strcmp(names[i], name) ? "1" : value);
    }
    g_string_append(json, " }");
    g_assert_null(VISIT_JSON(Numbers, json->str, &err));
    g_assert_cmpstr(err, ==, expected);
}

static void test_number_ranges(void)
{
    refuse_number("i8", "128", "Parameter 'i8' expects int8_t");
    refuse_number("i8", "-129", "Parameter 'i8' expects int8_t");
    refuse_number("i16", "32768", "Parameter 'i16' expects int16_t");
    refuse_number("i32", "2147483648", "Parameter 'i32' expects int32_t");
    refuse_number("i64", "9223372036854775808",
                  "Invalid parameter type for 'i64', expected: integer");
    refuse_number("i", "99999999999999999999999",
                  "Invalid parameter type for 'i', expected: integer");
    refuse_number("i", "1.0", "Invalid parameter type for 'i', expected: integer");
    refuse_number("u8", "256", "Parameter 'u8' expects uint8_t");
    refuse_number("u16", "-1", "Parameter 'u16' expects uint16_t");
    refuse_number("u32", "4294967296", "Parameter 'u32' expects uint32_t");
    refuse_number("u64", "18446744073709551616",
                  "Parameter 'u64' expects uint64");
    refuse_number("u8", "-1", "Parameter 'u8' expects uint8_t");
    refuse_number("sz", "\"1G\"", "Parameter 'sz' expects uint64");
    refuse_number("n", "\"1\"", "Invalid parameter type for 'n', expected: number");
    refuse_number("n", "true", "Invalid parameter type for 'n', expected: number");
}

static void test_struct(void)
{
    g_autoptr(Derived) d = VISIT_JSON(Derived,
        "{ 'id': 'x', 'mood': 'so-so', 'count': 3, 'any': { 'k': [ 1, null ] },"
        "  'list': [ 'p', '' ], 'inner': { 'id': '', 'count': 0 } }", &err);

    g_assert_cmpstr(err, ==, NULL);
    g_assert_cmpstr(d->id, ==, "x");
    g_assert(d->has_mood && d->mood == MOOD_SO_SO);
    g_assert_cmpint(json_object_array_length(qdict_get(d->any, "k")), ==, 2);
    g_assert_cmpstr(d->list->value, ==, "p");
    g_assert_cmpstr(d->list->next->value, ==, "");
    g_assert_null(d->list->next->next);
    g_assert_nonnull(d->inner);
    g_assert(!d->inner->has_mood && !d->inner->inner && !d->inner->any && !d->inner->list);
    g_assert(qapi_Derived_base(d) == (Base *)d);
    g_assert_cmpstr(qapi_Derived_base(d)->id, ==, "x");
}

static void refuse_derived(const char *json, const char *expected)
{
    g_assert_null(VISIT_JSON(Derived, json, &err));
    g_assert_cmpstr(err, ==, expected);
}

static void test_struct_errors(void)
{
    refuse_derived("[ ]", "Invalid parameter type for '<anonymous>', expected: object");
    refuse_derived("null", "Invalid parameter type for '<anonymous>', expected: object");
    refuse_derived("{ 'count': 1 }", "Parameter 'id' is missing");
    refuse_derived("{ 'id': 'x' }", "Parameter 'count' is missing");
    refuse_derived("{ 'id': null, 'count': 1 }",
                   "Invalid parameter type for 'id', expected: string");
    refuse_derived("{ 'id': 'x', 'count': 1, 'extra': 1, 'more': 2 }",
                   "Parameter 'extra' is unexpected");
    refuse_derived("{ 'id': 'x', 'count': 1, 'mood': 'grim' }",
                   "Parameter 'mood' does not accept value 'grim'");
    refuse_derived("{ 'id': 'x', 'count': 1, 'mood': 'odd' }",
                   "Parameter 'mood' does not accept value 'odd'");
    refuse_derived("{ 'id': 'x', 'count': 1, 'inner': { 'id': 'y', 'count': true } }",
                   "Invalid parameter type for 'inner.count', expected: integer");
    refuse_derived("{ 'id': 'x', 'count': 1, 'inner': { 'id': 'y', 'count': 1, 'z': 1 } }",
                   "Parameter 'inner.z' is unexpected");
    refuse_derived("{ 'id': 'x', 'count': 1, 'list': [ 'a', 'b', 3 ] }",
                   "Invalid parameter type for 'list[2]', expected: string");
    refuse_derived("{ 'id': 'x', 'count': 1, 'list': 'a' }",
                   "Invalid parameter type for 'list', expected: array");
    refuse_derived("{ 'id': 'x', 'count': 1, 'hidden': 'a' }",
                   "Parameter 'hidden' is unexpected");
}

static void test_reserved_words(void)
{
    g_autoptr(Words) w = VISIT_JSON(Words, "{ 'default': 'd', 'unix': 7, 'A_b': true }", &err);

    g_assert_cmpstr(w->q_default, ==, "d");
    g_assert(w->has_unix && w->q_unix == 7 && w->A_b);
}

static void test_union(void)
{
    g_autoptr(Figure) f = NULL;

    f = VISIT_JSON(Figure, "{ 'side': 4, 'shape': 'square', 'label': 'L' }", &err);
    g_assert_cmpint(f->shape, ==, SHAPE_SQUARE);
    g_assert_cmpint(f->u.square.side, ==, 4);
    g_assert_cmpstr(f->u.square.label, ==, "L");
    g_assert_null(f->name);
    qapi_free_Figure(f);

    f = VISIT_JSON(Figure, "{ 'shape': 'point', 'name': 'n' }", &err);
    g_assert_cmpstr(f->name, ==, "n");
    qapi_free_Figure(f);

    f = VISIT_JSON(Figure, "{ 'shape': 'frame', 'kind': 'thick', 'width': 2 }", &err);
    g_assert_cmpint(f->u.frame.u.thick.width, ==, 2);
    qapi_free_Figure(f);

    f = VISIT_JSON(Figure, "{ 'shape': 'point', 'side': 1 }", &err);
    g_assert_cmpstr(err, ==, "Parameter 'side' is unexpected");
    f = VISIT_JSON(Figure, "{ 'shape': 'square' }", &err);
    g_assert_cmpstr(err, ==, "Parameter 'side' is missing");
    f = VISIT_JSON(Figure, "{ 'side': 1 }", &err);
    g_assert_cmpstr(err, ==, "Parameter 'shape' is missing");
    f = VISIT_JSON(Figure, "{ 'shape': 'cube', 'side': 1 }", &err);
    g_assert_cmpstr(err, ==, "Parameter 'shape' does not accept value 'cube'");
}

static void test_alternate(void)
{
    WithChoice *w;

    w = VISIT_JSON(WithChoice, "{ 'c': 'text', 'd': null }", &err);
    g_assert_cmpint(w->c->type, ==, QTYPE_QSTRING);
    g_assert_cmpstr(w->c->u.s, ==, "text");
    g_assert_cmpint(w->d->type, ==, QTYPE_QNULL);
    qapi_free_WithChoice(w);

    w = VISIT_JSON(WithChoice, "{ 'c': 5, 'd': false }", &err);
    g_assert(w->c->type == QTYPE_QNUM && w->c->u.i == 5);
    g_assert(w->d->type == QTYPE_QBOOL && !w->d->u.b);
    qapi_free_WithChoice(w);

    w = VISIT_JSON(WithChoice, "{ 'c': { 'side': 2 }, 'd': [ 'sad' ] }", &err);
    g_assert(w->c->type == QTYPE_QDICT && w->c->u.o.side == 2);
    g_assert(w->d->type == QTYPE_QLIST && w->d->u.l->value == MOOD_SAD);
    qapi_free_WithChoice(w);

    g_assert_null(VISIT_JSON(WithChoice, "{ }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'c' is missing");
    g_assert_null(VISIT_JSON(WithChoice, "{ 'c': 1.5 }", &err));
    g_assert_cmpstr(err, ==, "Invalid parameter type for 'c', expected: integer");
    g_assert_null(VISIT_JSON(WithChoice, "{ 'c': { 'side': 2, 'x': 1 } }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'c.x' is unexpected");
    g_assert_null(VISIT_JSON(WithChoice, "{ 'c': { 'label': 'l' } }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'c.side' is missing");
}

static void test_lists(void)
{
    g_autoptr(Lists) l = VISIT_JSON(Lists,
        "{ 'ints': [ 1, -2 ], 'u16': [ ], 'moods': [ 'happy', 'sad' ],"
        "  'figures': [ { 'shape': 'point' } ], 'bools': [ true ], 'anys': [ null, 1 ] }", &err);

    g_assert_cmpstr(err, ==, NULL);
    g_assert_cmpint(QAPI_LIST_LENGTH(l->ints), ==, 2);
    g_assert_cmpint(l->ints->next->value, ==, -2);
    g_assert_null(l->u16);
    g_assert_cmpint(l->moods->next->value, ==, MOOD_SAD);
    g_assert_null(l->anys->value);
    g_assert_null(VISIT_JSON(Lists, "{ 'figures': [ { 'shape': 'point' }, { } ] }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'figures[1].shape' is missing");
    g_assert_null(VISIT_JSON(Lists, "{ 'moods': [ 'sad', 'mad' ] }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'moods[1]' does not accept value 'mad'");
    g_assert_null(VISIT_JSON(Lists, "{ 'u16': [ 0, 65536 ] }", &err));
    g_assert_cmpstr(err, ==, "Parameter 'u16[1]' expects uint16_t");
}

static void test_keyval(void)
{
    g_autoptr(Numbers) n = VISIT_KEYVAL(Numbers,
        "i=-5,i8=0x7f,i16=1,i32=1,i64=1,u8=010,u16=1,u32=1,u64=18446744073709551615,sz=1.5K,n=2.5",
        &err);
    Figure *f;
    Lists *l;

    g_assert_cmpstr(err, ==, NULL);
    g_assert(n->i == -5 && n->i8 == 127 && n->u8 == 8 && n->u64 == UINT64_MAX && n->sz == 1536);
    g_assert_cmpfloat(n->n, ==, 2.5);

    f = VISIT_KEYVAL(Figure, "shape=square,side=3,label=a,,b", &err);
    g_assert_cmpstr(f->u.square.label, ==, "a,b");
    qapi_free_Figure(f);

    l = VISIT_KEYVAL(Lists, "bools.0=on,bools.1=no,figures.0.shape=circle,figures.0.radius=1e3",
                     &err);
    g_assert(l->bools->value && !l->bools->next->value);
    g_assert_cmpfloat(l->figures->value->u.circle.radius, ==, 1000);
    qapi_free_Lists(l);

    g_assert_null(VISIT_KEYVAL(Lists, "bools.0=maybe", &err));
    g_assert_cmpstr(err, ==, "Parameter 'bools.0' expects 'on' or 'off'");
    g_assert_null(VISIT_KEYVAL(Lists, "bools=on", &err));
    g_assert_cmpstr(err, ==, "Invalid parameter type for 'bools', expected: array");
    g_assert_null(VISIT_KEYVAL(Figure, "shape=square,side=3x", &err));
    g_assert_cmpstr(err, ==, "Invalid parameter type for 'side', expected: integer");
    g_assert_null(VISIT_KEYVAL(Figure, "shape=circle,radius=nan", &err));
    g_assert_cmpstr(err, ==, "Invalid parameter type for 'radius', expected: number");
    g_assert_null(VISIT_KEYVAL(Lists, "figures.0.shape=frame,figures.0.kind=thick", &err));
    g_assert_cmpstr(err, ==, "Parameter 'figures.0.width' is missing");
    g_assert_null(VISIT_KEYVAL(Figure, "shape.x=square", &err));
    g_assert_cmpstr(err, ==, "Invalid parameter type for 'shape', expected: string");
}

static void test_new_str(void)
{
    Visitor *v = qobject_input_visitor_new_str("{ 'shape': 'square', 'side': 1 }", NULL,
                                               &error_abort);
    Figure *f = NULL;
    Error *local = NULL;

    visit_type_Figure(v, NULL, &f, &error_abort);
    visit_free(v);
    g_assert_cmpint(f->u.square.side, ==, 1);
    qapi_free_Figure(f);

    v = qobject_input_visitor_new_str("square,side=2", "shape", &error_abort);
    visit_type_Figure(v, NULL, &f, &error_abort);
    visit_free(v);
    g_assert_cmpint(f->u.square.side, ==, 2);
    qapi_free_Figure(f);

    g_assert_null(qobject_input_visitor_new_str("{ 'shape': ", NULL, &local));
    error_free_or_abort(&local);
    g_assert_null(qobject_input_visitor_new_str("side", NULL, &local));
    error_free_or_abort(&local);
}

/* Abandoning a walk half way leaves nothing behind (the sanitizers look). */
static void test_abandon(void)
{
    g_autoptr(QObject) obj = qobject_from_json("{ 'a': { 'b': [ 1, 2 ] } }", &error_abort);
    Visitor *v = qobject_input_visitor_new(obj);
    intList *list = NULL;

    visit_start_struct(v, NULL, NULL, 0, &error_abort);
    visit_start_struct(v, "a", NULL, 0, &error_abort);
    visit_start_list(v, "b", (GenericList **)&list, sizeof(*list), &error_abort);
    visit_free(v);
    g_free(list);
}

/* Every part of a long list can be taken away or changed without harm. */
static void test_mutations(void)
{
    static const char text[] =
        "{\"ints\":[1,-2],\"moods\":[\"happy\"],\"figures\":[{\"shape\":\"frame\",\"kind\":"
        "\"thick\",\"width\":2},{\"shape\":\"square\",\"side\":1}],\"bools\":[true]}";
    static const char bytes[] = "{}[]\",:0-eat\\\xff";

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (size_t j = 0; j < sizeof(bytes); j++) {
            g_autofree char *changed = g_strdup(text);
            QObject *obj;
            Error *local = NULL;
            Visitor *v;
            Lists *l = NULL;

            changed[i] = bytes[j];
            obj = qobject_from_json(changed, &local);
            if (local) {
                error_free(local);
                continue;
            }
            v = qobject_input_visitor_new(obj);
            visit_type_Lists(v, NULL, &l, NULL);
            visit_free(v);
            qapi_free_Lists(l);
            json_object_put(obj);
        }
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/visitor/input/numbers", test_numbers);
    g_test_add_func("/visitor/input/number-ranges", test_number_ranges);
    g_test_add_func("/visitor/input/negative-unsigned", test_negative_unsigned);
    g_test_add_func("/visitor/input/struct", test_struct);
    g_test_add_func("/visitor/input/struct-errors", test_struct_errors);
    g_test_add_func("/visitor/input/reserved-words", test_reserved_words);
    g_test_add_func("/visitor/input/union", test_union);
    g_test_add_func("/visitor/input/alternate", test_alternate);
    g_test_add_func("/visitor/input/lists", test_lists);
    g_test_add_func("/visitor/input/keyval", test_keyval);
    g_test_add_func("/visitor/input/new-str", test_new_str);
    g_test_add_func("/visitor/input/abandon", test_abandon);
    g_test_add_func("/visitor/input/mutations", test_mutations);
    ret = g_test_run();
    g_free(err);
    return ret;
}
