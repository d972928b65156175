/*
 * Error objects: who owns one, what the special addresses do, and what a person gets to read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"

/* What would be on standard error. */
static GString *printed;

static bool capture(const char *fmt, va_list ap)
{
    g_string_append_vprintf(printed, fmt, ap);
    return true;
}

static void check_printed(const char *want)
{
    g_assert_cmpstr(printed->str, ==, want);
    g_string_truncate(printed, 0);
}

static void test_set(void)
{
    Error *err = NULL;

    errno = ENOENT;
    error_setg(&err, "%s has %d legs", "cow", 3);
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_cmpstr(error_get_pretty(err), ==, "cow has 3 legs");
    g_assert_null(error_get_hint(err));
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_GENERIC_ERROR);
    error_free_or_abort(&err);
    g_assert_null(err);

    error_setg_errno(&err, EACCES, "cannot open %s", "door");
    g_assert_cmpstr(error_get_pretty(err), ==, "cannot open door: Permission denied");
    g_assert_cmpint(errno, ==, ENOENT);
    error_free_or_abort(&err);

    error_setg_errno(&err, 0, "no reason");
    g_assert_cmpstr(error_get_pretty(err), ==, "no reason");
    error_free_or_abort(&err);

    error_setg_file_open(&err, ENOENT, "/x/y");
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Could not open '/x/y': No such file or directory");
    error_free_or_abort(&err);

    error_set(&err, ERROR_CLASS_DEVICE_NOT_FOUND, "no %s", "disk");
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
    g_assert_cmpstr(ErrorClass_name(error_get_class(err)), ==, "DeviceNotFound");
    error_free(err);

    error_setg(NULL, "nobody reads %s", "this");
    error_free(NULL);
}

static void test_propagate(void)
{
    Error *dst = NULL, *first = NULL, *second = NULL;

    error_propagate(&dst, NULL);
    g_assert_null(dst);
    error_setg(&first, "first");
    error_setg(&second, "second");
    error_propagate(&dst, first);
    g_assert_true(dst == first);
    error_propagate(&dst, second); /* freed: the first is the cause */
    g_assert_cmpstr(error_get_pretty(dst), ==, "first");
    error_free_or_abort(&dst);

    first = NULL;
    error_setg(&first, "unread");
    error_propagate(NULL, first); /* freed too */

    first = NULL;
    error_setg(&first, "is full");
    error_propagate_prepend(&dst, first, "%s ", "disk");
    g_assert_cmpstr(error_get_pretty(dst), ==, "disk is full");
    error_free_or_abort(&dst);
    error_propagate_prepend(&dst, NULL, "nothing");
    g_assert_null(dst);
}

static void test_prepend_hint(void)
{
    Error *err = NULL, *copy;

    error_prepend(&err, "nothing "); /* nothing to put it before */
    error_append_hint(&err, "nothing\n");
    error_prepend(NULL, "nothing ");
    error_append_hint(NULL, "nothing\n");
    g_assert_null(err);

    error_set(&err, ERROR_CLASS_KVM_MISSING_CAP, "c");
    error_prepend(&err, "%s", "b ");
    error_prepend(&err, "%s", "a ");
    error_append_hint(&err, "Try %d.\n", 1);
    error_append_hint(&err, "Or 2.\n");
    g_assert_cmpstr(error_get_pretty(err), ==, "a b c");
    g_assert_cmpstr(error_get_hint(err), ==, "Try 1.\nOr 2.\n");

    copy = error_copy(err);
    error_prepend(&err, "changed ");
    error_append_hint(&err, "changed\n");
    g_assert_cmpstr(error_get_pretty(copy), ==, "a b c");
    g_assert_cmpstr(error_get_hint(copy), ==, "Try 1.\nOr 2.\n");
    g_assert_cmpint(error_get_class(copy), ==, ERROR_CLASS_KVM_MISSING_CAP);
    error_free(err);

    error_report_err(copy);
    check_printed("a b c\nTry 1.\nOr 2.\n");
    err = NULL;
    error_setg(&err, "late");
    warn_report_err(err);
    check_printed("warning: late\n");
    err = NULL;
    error_setg(&err, "late");
    error_reportf_err(err, "train %d: ", 7);
    check_printed("train 7: late\n");
    err = NULL;
    error_setg(&err, "late");
    warn_reportf_err(err, "train %d: ", 8);
    check_printed("warning: train 8: late\n");
}

/* A function that must look at *errp, whatever its caller gave. */
static int guarded(int fail, Error **errp)
{
    ERRP_GUARD();

    if (fail) {
        error_setg(errp, "failed");
    }
    if (*errp) {
        error_prepend(errp, "guarded: ");
        return -1;
    }
    return 0;
}

static int guarded_twice(int fail, Error **errp)
{
    ERRP_GUARD();

    guarded(fail, errp);
    if (*errp) {
        error_prepend(errp, "twice: ");
        return -1;
    }
    return 0;
}

static void test_guard(void)
{
    Error *err = NULL;

    g_assert_cmpint(guarded(0, NULL), ==, 0);
    g_assert_cmpint(guarded(1, NULL), ==, -1);
    g_assert_cmpint(guarded(0, &err), ==, 0);
    g_assert_null(err);
    g_assert_cmpint(guarded(1, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==, "guarded: failed");
    error_free_or_abort(&err);
    g_assert_cmpint(guarded_twice(1, NULL), ==, -1);
    g_assert_cmpint(guarded_twice(1, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==, "twice: guarded: failed");
    error_free_or_abort(&err);
    g_assert_cmpint(guarded_twice(0, &error_abort), ==, 0);
}

/* What ends the process happens in a child. */
static void test_fatal(void)
{
    if (g_test_subprocess()) {
        error_set_monitor_hook(NULL);
        guarded_twice(1, &error_fatal);
        g_assert_not_reached();
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*twice: guarded: failed\n");
    g_test_trap_assert_stderr_unmatched("*Unexpected error*");
}

static void test_abort(void)
{
    if (g_test_subprocess()) {
        error_setg(&error_abort, "a bug");
        g_assert_not_reached();
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*Unexpected error in test_abort() at *test-error.c:*\na bug\n*");
}

static void test_set_twice(void)
{
    if (g_test_subprocess()) {
        Error *err = NULL;

        error_setg(&err, "one");
        error_setg(&err, "two"); /* a bug: the first would be lost */
        g_assert_not_reached();
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

static void test_report(void)
{
    bool once = false;

    error_report("%d apples", 2);
    check_printed("2 apples\n");
    warn_report("few apples");
    check_printed("warning: few apples\n");
    info_report("apples");
    check_printed("info: apples\n");
    for (int i = 0; i < 3; i++) {
        warn_report_once("no apples");
    }
    check_printed("warning: no apples\n");
    for (int i = 0; i < 3; i++) {
        Error *err = NULL;

        error_setg(&err, "same again");
        g_assert_true(warn_report_err_once_cond(&once, err) == (i == 0));
    }
    check_printed("warning: same again\n");
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    printed = g_string_new(NULL);
    error_set_monitor_hook(capture);
    g_test_add_func("/error/set", test_set);
    g_test_add_func("/error/propagate", test_propagate);
    g_test_add_func("/error/prepend-hint", test_prepend_hint);
    g_test_add_func("/error/guard", test_guard);
    g_test_add_func("/error/fatal", test_fatal);
    g_test_add_func("/error/abort", test_abort);
    g_test_add_func("/error/set-twice", test_set_twice);
    g_test_add_func("/error/report", test_report);
    ret = g_test_run();
    g_string_free(printed, true);
    return ret;
}
