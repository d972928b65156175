/*
 * The classic option syntax, and the registry of descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/fd-registry.h"
#include "qemu/option.h"

static QemuOptsList group = {
    .name = "group", .implied_opt_name = "kind",
    .desc = {
        { .name = "kind", .type = QEMU_OPT_STRING },
        { .name = "path", .type = QEMU_OPT_STRING },
        { .name = "wait", .type = QEMU_OPT_BOOL },
        { .name = "count", .type = QEMU_OPT_NUMBER },
        { .name = "size", .type = QEMU_OPT_SIZE },
        { .name = "tight", .type = QEMU_OPT_BOOL, .def_value_str = "on" },
        { /* end of list */ }
    },
};
static QemuOptsList anything = { .name = "anything", .desc = { { 0 } } };
static QemuOptsList merged = {
    .name = "merged", .merge_lists = true,
    .desc = { { .name = "a" }, { .name = "b" }, { 0 } },
};

static void test_values(void)
{
    QemuOpts *opts = qemu_opts_parse(&group, "socket,id=x,path=a,,b=c,wait=off,count=0x10,size=2k",
                                     true, &error_abort);

    g_assert_cmpstr(qemu_opts_id(opts), ==, "x");
    g_assert_cmpstr(qemu_opt_get(opts, "kind"), ==, "socket");
    g_assert_cmpstr(qemu_opt_get(opts, "path"), ==, "a,b=c");
    g_assert_false(qemu_opt_get_bool(opts, "wait", true));
    g_assert_cmpuint(qemu_opt_get_number(opts, "count", 0), ==, 16);
    g_assert_cmpuint(qemu_opt_get_size(opts, "size", 0), ==, 2048);
    g_assert_true(qemu_opt_get_bool(opts, "tight", false));
    g_assert_false(qemu_opt_is_set(opts, "tight"));
    g_assert_true(qemu_opts_find(&group, "x") == opts);
    qemu_opts_reset(&group);
}

static void test_bare_words(void)
{
    QemuOpts *opts = qemu_opts_parse(&group, "kind=k,wait,notight", true, &error_abort);

    g_assert_true(qemu_opt_get_bool(opts, "wait", false));
    g_assert_false(qemu_opt_get_bool(opts, "tight", true));
    /* The last of several counts. */
    opts = qemu_opts_parse(&group, "k,wait,nowait,count=1,count=2", true, &error_abort);
    g_assert_false(qemu_opt_get_bool(opts, "wait", true));
    g_assert_cmpuint(qemu_opt_get_number(opts, "count", 0), ==, 2);
    qemu_opts_reset(&group);
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "k,foo=1", "k,foo", "k,wait=x", "k,count=x", "k,count=-1", "k,count=", "k,size=1x",
        "k,size=-1", "k,id=1", "k,id=", "k,id=a b", "k,count=99999999999999999999",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        g_assert_null(qemu_opts_parse(&group, bad[i], true, &err));
        error_free_or_abort(&err);
    }
    g_assert_cmpuint(group.instances->len, ==, 0);
}

static void test_lists(void)
{
    Error *err = NULL;
    QemuOpts *opts;

    g_assert_nonnull(qemu_opts_parse(&group, "k,id=a", true, &error_abort));
    g_assert_null(qemu_opts_parse(&group, "k,id=a", true, &err));
    error_free_or_abort(&err);
    qemu_opts_reset(&group);

    opts = qemu_opts_parse(&merged, "a=1", false, &error_abort);
    g_assert_true(qemu_opts_parse(&merged, "b=2", false, &error_abort) == opts);
    g_assert_cmpstr(qemu_opt_get(opts, "a"), ==, "1");
    g_assert_cmpstr(qemu_opt_get(opts, "b"), ==, "2");

    opts = qemu_opts_parse(&anything, "x=1,nofoo", false, &error_abort);
    g_assert_cmpstr(qemu_opt_get(opts, "foo"), ==, "off");
    g_assert_true(has_help_option("a=1,help"));
    g_assert_false(has_help_option("a=help"));
}

/* ---- descriptors ---- */

static int new_fd(int flags)
{
    int fd = open("/dev/null", flags | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void test_names(void)
{
    Monitor *one = (Monitor *)&group, *two = (Monitor *)&merged;
    Error *err = NULL;
    int fd = new_fd(O_RDONLY);

    g_assert_true(monitor_add_named_fd(one, "a", fd, &error_abort));
    g_assert_cmpint(monitor_get_fd(two, "a", &err), ==, -1);
    error_free_or_abort(&err);
    g_assert_cmpint(monitor_get_fd(one, "a", &error_abort), ==, fd);
    g_assert_cmpint(monitor_get_fd(one, "a", &err), ==, -1);
    error_free_or_abort(&err);

    g_assert_cmpint(monitor_fd_param(NULL, "999", &err), ==, -1);
    error_free_or_abort(&err);
    g_assert_cmpint(monitor_fd_param(NULL, "0x", &err), ==, -1);
    error_free_or_abort(&err);
    g_assert_cmpint(monitor_fd_param(NULL, "a", &err), ==, -1);
    error_free_or_abort(&err);

    g_assert_true(monitor_add_named_fd(one, "b", fd, &error_abort));
    monitor_forget_fds(one);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

static void count(const FdsetMember *member, void *opaque)
{
    (*(int *)opaque)++;
}

static void test_fdsets(void)
{
    int64_t id = 5, id2;
    int n = 0, dup;
    Error *err = NULL;

    g_assert_cmpint(fdset_add(new_fd(O_RDONLY), &id, "r", &error_abort), ==, 5);
    g_assert_cmpint(fdset_add(new_fd(O_WRONLY), &id, NULL, &error_abort), ==, 5);
    id2 = fdset_add(new_fd(O_RDWR), NULL, NULL, &error_abort);
    g_assert_cmpint(id2, ==, 0);
    fdset_foreach(count, &n);
    g_assert_cmpint(n, ==, 3);

    dup = fdset_dup_add(5, O_WRONLY, &error_abort);
    g_assert_cmpint(fcntl(dup, F_GETFL) & O_ACCMODE, ==, O_WRONLY);
    g_assert_cmpint(fdset_dup_add(5, O_RDWR, &err), ==, -1);
    error_free_or_abort(&err);
    g_assert_cmpint(fdset_dup_add(6, O_RDWR, &err), ==, -1);
    error_free_or_abort(&err);

    /* A set lives as long as a duplicate is open. */
    g_assert_true(fdset_remove(5, NULL, &error_abort));
    n = 0;
    fdset_foreach(count, &n);
    g_assert_cmpint(n, ==, 2);
    close(dup);
    fdset_dup_remove(dup);
    g_assert_false(fdset_remove(5, NULL, &err));
    error_free_or_abort(&err);
    g_assert_true(fdset_remove(0, NULL, &error_abort));

    /* Through qemu_open(), as the rest of the program does. */
    fdset_init();
    fdset_add(new_fd(O_RDONLY), &id, NULL, &error_abort);
    dup = qemu_open("/dev/fdset/5", O_RDONLY, &error_abort);
    g_assert_cmpint(dup, >=, 0);
    g_assert_true(fdset_remove(5, NULL, &error_abort));
    qemu_close(dup);
    n = 0;
    fdset_foreach(count, &n);
    g_assert_cmpint(n, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/opts/values", test_values);
    g_test_add_func("/opts/bare-words", test_bare_words);
    g_test_add_func("/opts/refused", test_refused);
    g_test_add_func("/opts/lists", test_lists);
    g_test_add_func("/fds/names", test_names);
    g_test_add_func("/fds/sets", test_fdsets);
    return g_test_run();
}
