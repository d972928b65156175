/* Channels over commands. SPDX-License-Identifier: GPL-2.0-or-later */
#include "io-helpers.h"
#include "qemu/module.h"
#include "io/channel-command.h"

#define SIZE (1024 * 1024 + 3)

static QIOChannel *spawn(int flags, const char *script)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };

    return QIO_CHANNEL(qio_channel_command_new_spawn(argv, flags, &error_abort));
}

/* Both directions through one child. */
static void test_echo(void)
{
    QIOChannel *ioc = spawn(O_RDWR, "exec cat");

    test_transfer(ioc, ioc, SIZE, false);
    g_assert_cmpint(qio_channel_close(ioc, &error_abort), ==, 0);
    object_unref(OBJECT(ioc));
}

static void test_read_only(void)
{
    QIOChannel *ioc = spawn(O_RDONLY, "echo hello");
    Error *err = NULL;
    char buf[7] = "";

    g_assert_cmpint(qio_channel_read_all(ioc, buf, 6, &error_abort), ==, 0);
    g_assert_cmpstr(buf, ==, "hello\n");
    g_assert_cmpint(qio_channel_read_all_eof(ioc, buf, 1, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_write(ioc, "x", 1, &err), ==, -1);
    test_expect_error(&err, "write");
    object_unref(OBJECT(ioc));
}

static void test_write_only(void)
{
    QIOChannel *ioc = spawn(O_WRONLY, "read line; test \"$line\" = hello");

    qio_channel_write_all(ioc, "hello\n", 6, &error_abort);
    g_assert_cmpint(qio_channel_close(ioc, &error_abort), ==, 0);
    object_unref(OBJECT(ioc));
}

static void test_status(void)
{
    QIOChannel *ioc = spawn(O_WRONLY, "cat >/dev/null; exit 7");
    Error *err = NULL;

    qio_channel_write_all(ioc, "x", 1, &error_abort);
    g_assert_cmpint(qio_channel_close(ioc, &err), ==, -1);
    test_expect_error(&err, "status 7");
    object_unref(OBJECT(ioc));

    ioc = spawn(O_WRONLY, "cat >/dev/null; kill -9 $$");
    qio_channel_write_all(ioc, "x", 1, &error_abort);
    g_assert_cmpint(qio_channel_close(ioc, &err), ==, -1);
    test_expect_error(&err, "signal 9");
    object_unref(OBJECT(ioc));

    /* Cutting short a child that only talks is no error. */
    ioc = spawn(O_RDONLY, "exec yes");
    g_assert_cmpint(qio_channel_close(ioc, &error_abort), ==, 0);
    object_unref(OBJECT(ioc));
}

static void test_missing(void)
{
    const char *argv[] = { "/nonexistent/program", NULL };
    Error *err = NULL;

    g_assert_null(qio_channel_command_new_spawn(argv, O_RDWR, &err));
    test_expect_error(&err, "/nonexistent/program");
}

static gpointer shutdown_soon(gpointer opaque)
{
    g_usleep(100000);
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    return NULL;
}

/* A child that does nothing at all does not hold up anybody for long. */
static void test_stuck(void)
{
    QIOChannel *ioc = spawn(O_RDWR, "exec sleep 1000");
    int64_t begin = g_get_monotonic_time();
    GThread *t = g_thread_new("shutdown", shutdown_soon, ioc);
    char c;

    g_assert_cmpint(qio_channel_read(ioc, &c, 1, &error_abort), ==, 0);
    g_thread_join(t);
    g_assert_cmpint(qio_channel_close(ioc, &error_abort), ==, 0);
    object_unref(OBJECT(ioc));

    ioc = spawn(O_RDWR, "exec sleep 1000");
    object_unref(OBJECT(ioc));
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 5 * G_USEC_PER_SEC);
}

static void check_aborted(QIOChannel *ioc)
{
    Error *err = NULL;

    g_assert_cmpint(qio_channel_close(ioc, &err), <, 0);
    test_expect_error(&err, "Command was shut down before it had ended");
    object_unref(OBJECT(ioc));
}

/* One that is ended has not done its work, whether it is ended before or while it is closed. */
static void test_aborted(void)
{
    QIOChannel *ioc = spawn(O_WRONLY, "cat; exec sleep 1000");
    GThread *t;

    qio_channel_write_all(ioc, "x", 1, &error_abort);
    qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    check_aborted(ioc);

    ioc = spawn(O_WRONLY, "cat; exec sleep 1000");
    qio_channel_write_all(ioc, "x", 1, &error_abort);
    object_ref(OBJECT(ioc));
    t = g_thread_new("shutdown", shutdown_soon, ioc);
    check_aborted(ioc);
    g_thread_join(t);
    object_unref(OBJECT(ioc));
}

/* The child starts with a usual signal mask, whatever its parent's thread had. */
static void test_signals(void)
{
    sigset_t all, old;
    QIOChannel *ioc;
    char buf[64] = "";

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    ioc = spawn(O_RDONLY, "grep SigBlk /proc/self/status | tr -dc 1-9a-f | tail -c 8");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    /* A mask that blocks signals has an 'f' somewhere; the word SigBlk has none. */
    while (qio_channel_read(ioc, buf, sizeof(buf), &error_abort) > 0) {
    }
    g_assert_null(strchr(buf, 'f'));
    object_unref(OBJECT(ioc));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/channel/command/echo", test_echo);
    g_test_add_func("/io/channel/command/read-only", test_read_only);
    g_test_add_func("/io/channel/command/write-only", test_write_only);
    g_test_add_func("/io/channel/command/status", test_status);
    g_test_add_func("/io/channel/command/missing", test_missing);
    g_test_add_func("/io/channel/command/stuck", test_stuck);
    g_test_add_func("/io/channel/command/aborted", test_aborted);
    g_test_add_func("/io/channel/command/signals", test_signals);
    return g_test_run();
}
