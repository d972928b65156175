/*
 * Copies share nothing with what they were made of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/qobject-input-visitor.h"
#include "tests/qapi-schema/test-qapi-visit.h"

static Derived *make(const char *json)
{
    g_autoptr(QObject) obj = qobject_from_json(json, &error_abort);
    Visitor *v = qobject_input_visitor_new(obj);
    Derived *d = NULL;

    visit_type_Derived(v, NULL, &d, &error_abort);
    visit_free(v);
    return d;
}

static void test_struct(void)
{
    Derived *d = make("{ 'id': 'x', 'count': 3, 'inner': { 'id': 'y', 'count': 4 },"
                      "  'any': { 'k': 1 }, 'list': [ 'a', 'b' ], 'mood': 'sad' }");
    g_autoptr(Derived) copy = QAPI_CLONE(Derived, d);

    g_assert(copy != d && copy->inner != d->inner && copy->list != d->list);
    g_assert(copy->id != d->id && copy->any != d->any);
    qapi_free_Derived(d);
    g_assert_cmpstr(copy->id, ==, "x");
    g_assert_cmpint(copy->count, ==, 3);
    g_assert_cmpint(copy->mood, ==, MOOD_SAD);
    g_assert_cmpstr(copy->inner->id, ==, "y");
    g_assert_null(copy->inner->inner);
    g_assert_cmpint(qdict_get_int(copy->any, "k"), ==, 1);
    g_assert_cmpstr(copy->list->next->value, ==, "b");
    g_assert_null(copy->list->next->next);
}

static void test_members(void)
{
    Derived *d = make("{ 'id': 'x', 'count': 3, 'list': [ 'a' ] }");
    Derived copy;

    QAPI_CLONE_MEMBERS(Derived, &copy, d);
    qapi_free_Derived(d);
    g_assert_cmpstr(copy.id, ==, "x");
    g_assert_cmpstr(copy.list->value, ==, "a");
    g_free(copy.id);
    qapi_free_strList(copy.list);
}

static void test_null(void)
{
    g_assert_null(QAPI_CLONE(Derived, NULL));
    g_assert_null(QAPI_CLONE(intList, NULL));
}

static void test_list(void)
{
    intList *list = NULL, **tail = &list;
    g_autoptr(intList) copy = NULL;

    for (int i = 0; i < 5; i++) {
        QAPI_LIST_APPEND(tail, i * i);
    }
    QAPI_LIST_PREPEND(list, -1);
    copy = QAPI_CLONE(intList, list);
    qapi_free_intList(list);
    g_assert_cmpint(QAPI_LIST_LENGTH(copy), ==, 6);
    g_assert_cmpint(copy->value, ==, -1);
    g_assert_cmpint(copy->next->next->next->value, ==, 4);
}

static void test_union_and_alternate(void)
{
    Figure f = {.shape = SHAPE_SQUARE, .name = (char *)"n",
                .u.square = {.side = 1, .label = (char *)"l"}};
    Choice s = {.type = QTYPE_QSTRING, .u.s = (char *)"t"};
    Choice n = {.type = QTYPE_QNULL};
    WithChoice w = {.c = &s, .d = &n};
    g_autoptr(Figure) f2 = QAPI_CLONE(Figure, &f);
    g_autoptr(WithChoice) w2 = QAPI_CLONE(WithChoice, &w);

    g_assert_cmpstr(f2->u.square.label, ==, "l");
    g_assert(f2->u.square.label != f.u.square.label);
    g_assert_cmpstr(w2->c->u.s, ==, "t");
    g_assert_cmpint(w2->d->type, ==, QTYPE_QNULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/visitor/clone/struct", test_struct);
    g_test_add_func("/visitor/clone/members", test_members);
    g_test_add_func("/visitor/clone/null", test_null);
    g_test_add_func("/visitor/clone/list", test_list);
    g_test_add_func("/visitor/clone/union-and-alternate", test_union_and_alternate);
    return g_test_run();
}
