/*
 * Intrusive lists (and notifiers, which stand on them): order, removal while walking, and that the
 * links are whole after every step.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/notify.h"
#include "qemu/queue.h"

typedef struct Elem {
    char name;
    QLIST_ENTRY(Elem) list;
    QSIMPLEQ_ENTRY(Elem) simple;
    QTAILQ_ENTRY(Elem) tail;
} Elem;

static Elem a = {'a'}, b = {'b'}, c = {'c'}, d = {'d'}, e = {'e'};

typedef QLIST_HEAD(, Elem) ListHead;
typedef QSIMPLEQ_HEAD(, Elem) SimpleHead;
typedef QTAILQ_HEAD(, Elem) TailHead;

static void list_is(ListHead *head, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    Elem **slot = &head->lh_first, *el;

    QLIST_FOREACH(el, head, list) {
        g_string_append_c(got, el->name);
        g_assert_true(el->list.le_prev == slot);
        slot = &el->list.le_next;
    }
    g_assert_cmpstr(got->str, ==, want);
    g_assert_true(QLIST_EMPTY(head) == !*want);
}

static void test_list(void)
{
    ListHead head = QLIST_HEAD_INITIALIZER(head);
    Elem *el, *next;

    list_is(&head, "");
    QLIST_INSERT_HEAD(&head, &c, list);
    list_is(&head, "c");
    QLIST_INSERT_HEAD(&head, &a, list);
    list_is(&head, "ac");
    QLIST_INSERT_AFTER(&a, &b, list);
    list_is(&head, "abc");
    QLIST_INSERT_AFTER(&c, &e, list);
    list_is(&head, "abce");
    QLIST_INSERT_BEFORE(&e, &d, list);
    list_is(&head, "abcde");
    QLIST_REMOVE(&a, list);
    list_is(&head, "bcde");
    g_assert_false(QLIST_IS_INSERTED(&a, list));
    g_assert_true(QLIST_IS_INSERTED(&b, list));
    QLIST_INSERT_BEFORE(&b, &a, list);
    list_is(&head, "abcde");
    QLIST_REMOVE(&e, list);
    list_is(&head, "abcd");
    QLIST_REMOVE(&c, list);
    list_is(&head, "abd");
    g_assert_true(QLIST_FIRST(&head) == &a);
    g_assert_true(QLIST_NEXT(&a, list) == &b);
    QLIST_FOREACH_SAFE(el, &head, list, next) {
        QLIST_REMOVE(el, list);
    }
    list_is(&head, "");
    QLIST_INIT(&head);
    list_is(&head, "");
}

static void simple_is(SimpleHead *head, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    Elem **slot = &head->sqh_first, *el;

    QSIMPLEQ_FOREACH(el, head, simple) {
        g_string_append_c(got, el->name);
        slot = &el->simple.sqe_next;
    }
    g_assert_true(head->sqh_last == slot);
    g_assert_cmpstr(got->str, ==, want);
    g_assert_true(QSIMPLEQ_EMPTY(head) == !*want);
}

static void test_simple(void)
{
    SimpleHead head = QSIMPLEQ_HEAD_INITIALIZER(head);
    Elem *el, *next;

    simple_is(&head, "");
    QSIMPLEQ_INSERT_TAIL(&head, &b, simple);
    QSIMPLEQ_INSERT_TAIL(&head, &c, simple);
    QSIMPLEQ_INSERT_HEAD(&head, &a, simple);
    simple_is(&head, "abc");
    QSIMPLEQ_REMOVE_HEAD(&head, simple);
    simple_is(&head, "bc");
    QSIMPLEQ_FOREACH_SAFE(el, &head, simple, next) {
        QSIMPLEQ_REMOVE_HEAD(&head, simple);
    }
    simple_is(&head, "");
    QSIMPLEQ_INSERT_HEAD(&head, &d, simple); /* the tail must follow a head insertion */
    QSIMPLEQ_INSERT_TAIL(&head, &e, simple);
    simple_is(&head, "de");
    g_assert_true(QSIMPLEQ_NEXT(QSIMPLEQ_FIRST(&head), simple) == &e);
    QSIMPLEQ_INIT(&head);
    simple_is(&head, "");
}

static void tail_is(TailHead *head, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    Elem **slot = &head->tqh_first, *el;

    QTAILQ_FOREACH(el, head, tail) {
        g_string_append_c(got, el->name);
        g_assert_true(el->tail.tqe_prev == slot);
        slot = &el->tail.tqe_next;
    }
    g_assert_true(head->tqh_last == slot);
    g_assert_cmpstr(got->str, ==, want);
    g_assert_true(QTAILQ_EMPTY(head) == !*want);
}

static void test_tail(void)
{
    TailHead head = QTAILQ_HEAD_INITIALIZER(head);
    Elem *el, *next;

    tail_is(&head, "");
    QTAILQ_INSERT_TAIL(&head, &c, tail);
    QTAILQ_INSERT_HEAD(&head, &a, tail);
    QTAILQ_INSERT_AFTER(&head, &a, &b, tail);
    tail_is(&head, "abc");
    QTAILQ_INSERT_AFTER(&head, &c, &e, tail);
    QTAILQ_INSERT_BEFORE(&e, &d, tail);
    tail_is(&head, "abcde");
    QTAILQ_REMOVE(&head, &e, tail);
    QTAILQ_REMOVE(&head, &a, tail);
    tail_is(&head, "bcd");
    g_assert_false(QTAILQ_IN_USE(&a, tail));
    g_assert_true(QTAILQ_IN_USE(&c, tail));
    QTAILQ_INSERT_BEFORE(&b, &a, tail);
    QTAILQ_INSERT_TAIL(&head, &e, tail);
    tail_is(&head, "abcde");
    QTAILQ_FOREACH_SAFE(el, &head, tail, next) {
        if (el != &c) {
            QTAILQ_REMOVE(&head, el, tail);
        }
    }
    tail_is(&head, "c");
    g_assert_true(QTAILQ_FIRST(&head) == &c);
    g_assert_null(QTAILQ_NEXT(&c, tail));
    QTAILQ_INIT(&head);
    tail_is(&head, "");
}

typedef struct Counter {
    Notifier n;
    int calls;
    bool once;
} Counter;

static void count(Notifier *n, void *data)
{
    Counter *counter = container_of(n, Counter, n);

    counter->calls += GPOINTER_TO_INT(data);
    if (counter->once) {
        notifier_remove(n);
    }
}

static void test_notify(void)
{
    NotifierList list = NOTIFIER_LIST_INITIALIZER(list);
    Counter one = {.n.notify = count}, two = {.n.notify = count, .once = true};

    g_assert_true(notifier_list_empty(&list));
    notifier_list_add(&list, &one.n);
    notifier_list_add(&list, &two.n);
    notifier_list_notify(&list, GINT_TO_POINTER(1));
    notifier_list_notify(&list, GINT_TO_POINTER(10));
    g_assert_cmpint(one.calls, ==, 11);
    g_assert_cmpint(two.calls, ==, 1);
    notifier_remove(&one.n);
    g_assert_true(notifier_list_empty(&list));
    notifier_list_init(&list);
    notifier_list_notify(&list, NULL);
}

static int veto(NotifierWithReturn *n, void *data, Error **errp)
{
    int *calls = data;

    if (++*calls == 2) {
        error_setg(errp, "no");
        return -EPERM;
    }
    return 0;
}

static void test_notify_with_return(void)
{
    NotifierWithReturnList list = NOTIFIER_WITH_RETURN_LIST_INITIALIZER(list);
    NotifierWithReturn n[3] = {{veto}, {veto}, {veto}};
    Error *err = NULL;
    int calls = 0;

    for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
        notifier_with_return_list_add(&list, &n[i]);
    }
    g_assert_cmpint(notifier_with_return_list_notify(&list, &calls, &err), ==, -EPERM);
    g_assert_cmpint(calls, ==, 2); /* the third was not asked */
    error_free_or_abort(&err);
    g_assert_cmpint(notifier_with_return_list_notify(&list, &calls, &err), ==, 0);
    g_assert_cmpint(calls, ==, 5);
    for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
        notifier_with_return_remove(&n[i]);
    }
    g_assert_cmpint(notifier_with_return_list_notify(&list, &calls, &err), ==, 0);
    g_assert_cmpint(calls, ==, 5);
    notifier_with_return_list_init(&list);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/list", test_list);
    g_test_add_func("/queue/simple", test_simple);
    g_test_add_func("/queue/tail", test_tail);
    g_test_add_func("/notify/plain", test_notify);
    g_test_add_func("/notify/with-return", test_notify_with_return);
    return g_test_run();
}
