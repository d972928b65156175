/*
 * Cancelling a migration, in every phase: the source goes on as if nothing had been, and can
 * migrate again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOW (1 * MIB) /* bytes/s: the memory takes some seconds at least */

/* The source is as it was: it runs, and arrives whole at a new destination. */
static void check_goes_on(QTestState *src)
{
    MigratePair p = { src, migrate_start_destination(NULL) };
    g_autofree char *uri = NULL;

    assert_run_state(src, "running");
    ram_set(src, 7 * MIB, 0x77, MIB);
    migrate_set_int(src, "max-bandwidth", 1024 * MIB);
    uri = migrate_listen_unix(p.dst);
    migrate(src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void cancel_and_wait(QTestState *src)
{
    int64_t begin = qtest_now_ms();

    migrate_cancel(src);
    migrate_wait(src, "cancelled");
    g_assert_cmpint(qtest_now_ms() - begin, <, 10000);
    wait_run_state(src, "running");
}

/* A listening unix socket that nobody accepts from; @full: not even connecting works. */
static int open_deaf_socket(const char *path, bool full, int *filler)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, full ? 0 : 5), ==, 0);
    *filler = -1;
    if (full) {
        *filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(*filler, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    }
    return fd;
}

/* While the connection is being made: the peer's queue is full, so that it takes for ever. */
static void test_setup(void)
{
    g_autofree char *path = qtest_tmpfile("setup.sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    QTestState *src = migrate_start_source(NULL);
    int filler;
    int fd;

    fd = open_deaf_socket(path, true, &filler);
    ram_fill(src);
    migrate(src, uri);
    migrate_wait(src, "setup");
    g_usleep(50000);
    cancel_and_wait(src);
    /* The connection that is still being made comes to nothing, late, and does no harm. */
    migrate(src, uri);
    migrate_wait(src, "setup");
    cancel_and_wait(src);
    close(fd);
    close(filler);
    g_usleep(100000);
    assert_text_has(migrate_status(src), "cancelled");
    check_goes_on(src);
    unlink(path);
}

/* The peer takes the connection and then nothing more: the thread hangs in a write. */
static void test_stalled(void)
{
    g_autofree char *path = qtest_tmpfile("stalled.sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    QTestState *src = migrate_start_source(NULL);
    int filler;
    int fd = open_deaf_socket(path, false, &filler);

    ram_fill(src);
    migrate(src, uri);
    migrate_wait(src, "active");
    g_usleep(200000);
    cancel_and_wait(src);
    close(fd);
    check_goes_on(src);
    unlink(path);
}

/* The same with a pipe, which cannot be shut down, and with a command that does nothing. */
static void check_stuck(const char *what)
{
    QTestState *src = migrate_start_source(NULL);
    int fds[2] = { -1, -1 };

    ram_fill(src);
    if (g_str_has_prefix(what, "fd:")) {
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        qtest_qmp_fds_assert_success(src, &fds[1], 1, "{'execute': 'getfd',"
                                     " 'arguments': {'fdname': 'stuck'}}");
        close(fds[1]);
    }
    migrate(src, what);
    migrate_wait(src, "active");
    g_usleep(200000);
    cancel_and_wait(src);
    if (fds[0] >= 0) {
        close(fds[0]);
    }
    check_goes_on(src);
}

static void test_pipe(void)
{
    check_stuck("fd:stuck");
}

static void test_exec(void)
{
    check_stuck("exec:exec sleep 1000");
}

static void test_active(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", SLOW);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    g_usleep(300000);
    cancel_and_wait(p.src);
    /* Half a machine arrived: that is an error there. */
    migrate_destination_failed(p.dst);
    check_goes_on(p.src);
}

/* Twice the same, into one cancelled after the other. */
static void test_repeated(void)
{
    QTestState *src = migrate_start_source(NULL);

    ram_fill(src);
    for (int i = 0; i < 5; i++) {
        QTestState *dst = migrate_start_destination(NULL);
        g_autofree char *uri = NULL;

        migrate_set_int(src, "max-bandwidth", SLOW);
        uri = migrate_listen_unix(dst);
        migrate(src, uri);
        g_usleep(i * 20000);
        cancel_and_wait(src);
        /* It may have gone before the other side saw any of it. */
        qtest_set_expected_status(dst, qtest_probe_child(dst) ? 0 : 1);
        g_usleep(200000);
        qtest_set_expected_status(dst, qtest_probe_child(dst) ? 0 : 1);
        qtest_quit(dst);
    }
    check_goes_on(src);
}

static void test_pre_switchover(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_set_capability(p.src, "pause-before-switchover", true);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "pre-switchover");
    /* Stopped already, but nothing is decided. */
    g_assert_false(g_str_equal(run_state(p.src), "running"));
    cancel_and_wait(p.src);
    migrate_destination_failed(p.dst);
    migrate_set_capability(p.src, "pause-before-switchover", false);
    check_goes_on(p.src);
}

/* Not cancelled but continued. */
static void test_continue(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_set_capability(p.src, "pause-before-switchover", true);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "pre-switchover");
    g_free(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate-continue',"
                                    " 'arguments': {'state': 'active'}}"));
    qtest_qmp_assert_success(p.src, "{'execute': 'migrate-continue',"
                             " 'arguments': {'state': 'pre-switchover'}}");
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* Cancelling is never an error, and changes nothing where nothing runs. */
static void test_idle(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    migrate_cancel(p.src);
    assert_text_has(migrate_status(p.src), "none");
    migrate(p.src, "unix:/nonexistent/sock");
    g_free(migrate_wait_failed(p.src));
    migrate_cancel(p.src);
    assert_text_has(migrate_status(p.src), "failed");
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_cancel(p.src);
    assert_text_has(migrate_status(p.src), "completed");
    assert_run_state(p.src, "postmigrate");
    migrate_pair_end(&p);
}

/* A paused machine stays paused. */
static void test_paused(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    qtest_qmp_assert_success(p.src, "{'execute': 'stop'}");
    migrate_set_int(p.src, "max-bandwidth", SLOW);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    migrate_cancel(p.src);
    migrate_wait(p.src, "cancelled");
    assert_run_state(p.src, "paused");
    migrate_destination_failed(p.dst);
    qtest_quit(p.src);
}

/* Ending the process in the middle: no hang, no signal, status 0. */
static void test_sigterm(void)
{
    for (int i = 0; i < 3; i++) {
        MigratePair p = migrate_pair_start(NULL, NULL);
        g_autofree char *uri = NULL;

        ram_fill(p.src);
        migrate_set_int(p.src, "max-bandwidth", SLOW);
        uri = migrate_listen_tcp(p.dst);
        migrate(p.src, uri);
        migrate_wait(p.src, "active");
        if (i == 0) {
            qtest_quit(p.src);
            migrate_destination_failed(p.dst);
        } else if (i == 1) {
            qtest_quit(p.dst);
            g_free(migrate_wait_failed(p.src));
            wait_run_state(p.src, "running");
            qtest_quit(p.src);
        } else {
            cancel_and_wait(p.src);
            qtest_quit(p.src);
            migrate_destination_failed(p.dst);
        }
    }
}

/* `quit` waits for nobody either. */
static void test_quit(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", SLOW);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    qtest_qmp_assert_success(p.src, "{'execute': 'quit'}");
    qtest_wait_qemu(p.src);
    qtest_quit(p.src);
    migrate_destination_failed(p.dst);
}

void add_cancel_tests(void)
{
    migrate_add_test_since(1000, "/migration/cancel/setup", test_setup);
    g_test_add_func("/migration/cancel/stalled", test_stalled);
    migrate_add_test_since(1000, "/migration/cancel/pipe", test_pipe);
    migrate_add_test_since(1000, "/migration/cancel/exec", test_exec);
    g_test_add_func("/migration/cancel/active", test_active);
    g_test_add_func("/migration/cancel/repeated", test_repeated);
    g_test_add_func("/migration/cancel/pre-switchover", test_pre_switchover);
    g_test_add_func("/migration/cancel/paused", test_paused);
    g_test_add_func("/migration/cancel/idle", test_idle);
    g_test_add_func("/migration/continue", test_continue);
    g_test_add_func("/migration/end/sigterm", test_sigterm);
    g_test_add_func("/migration/end/quit", test_quit);
}
