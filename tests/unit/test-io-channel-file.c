/* Channels over files, pipes and terminals. SPDX-License-Identifier: GPL-2.0-or-later */
#include "io-helpers.h"
#include "qemu/module.h"
#include "io/channel-file.h"
#include "io/channel-util.h"
#include "io/channel-socket.h"
#include <glib/gstdio.h>
#include <sys/socket.h>

#define SIZE (3 * 1024 * 1024 + 17)

static char *dir;

static void test_path(void)
{
    g_autofree char *path = g_build_filename(dir, "path", NULL);
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autofree struct iovec *iov = NULL;
    QIOChannelFile *fioc;
    struct stat st;
    size_t niov;

    test_fill(buf, SIZE);
    iov = test_iov(buf, SIZE, &niov);
    fioc = qio_channel_file_new_path(path, O_CREAT | O_TRUNC | O_WRONLY, 0640, &error_abort);
    g_assert_true(qio_channel_has_feature(QIO_CHANNEL(fioc), QIO_CHANNEL_FEATURE_SEEKABLE));
    qio_channel_writev_all(QIO_CHANNEL(fioc), iov, niov, &error_abort);
    g_assert_cmpint(qio_channel_close(QIO_CHANNEL(fioc), &error_abort), ==, 0);
    object_unref(OBJECT(fioc));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, SIZE);
    g_assert_cmpint(st.st_mode & 0700, ==, 0600);

    memset(buf, 0, SIZE);
    fioc = qio_channel_file_new_path(path, O_RDONLY, 0, &error_abort);
    qio_channel_readv_all(QIO_CHANNEL(fioc), iov, niov, &error_abort);
    test_check(buf, SIZE);
    g_assert_cmpint(qio_channel_read_all_eof(QIO_CHANNEL(fioc), (char *)buf, 1, &error_abort),
                    ==, 0);
    object_unref(OBJECT(fioc));
}

static void test_position(void)
{
    g_autofree char *path = g_build_filename(dir, "position", NULL);
    g_autoptr(QIOChannelFile) fioc = NULL;
    uint8_t a[5000], b[5000];
    struct iovec iov[2] = { { a, 1000 }, { a + 1000, 4000 } };
    Error *err = NULL;
    QIOChannel *ioc;

    fioc = qio_channel_file_new_path(path, O_CREAT | O_RDWR, 0600, &error_abort);
    ioc = QIO_CHANNEL(fioc);
    test_fill(a, sizeof(a));
    g_assert_cmpint(qio_channel_pwritev_all(ioc, iov, 2, 100000, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_io_seek(ioc, 0, SEEK_CUR, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_io_seek(ioc, 0, SEEK_END, &error_abort), ==, 105000);

    g_assert_cmpint(qio_channel_pread(ioc, (char *)b, 5000, 100000, &error_abort), ==, 5000);
    test_check(b, 5000);
    iov[0].iov_base = b;
    iov[1].iov_base = b + 1000;
    g_assert_cmpint(qio_channel_preadv_all(ioc, iov, 2, 100001, &err), ==, -1);
    test_expect_error(&err, "end-of-file at offset 105000");
    g_assert_cmpint(qio_channel_io_seek(ioc, -1, SEEK_SET, &err), ==, -1);
    test_expect_error(&err, "seek");
}

static void test_missing(void)
{
    Error *err = NULL;

    g_assert_null(qio_channel_file_new_path("/nonexistent/file", O_RDONLY, 0, &err));
    test_expect_error(&err, "/nonexistent/file");
}

static void test_pipe(void)
{
    int fds[2];
    QIOChannel *r, *w;
    char c;

    g_assert_cmpint(pipe(fds), ==, 0);
    r = QIO_CHANNEL(qio_channel_file_new_fd(fds[0]));
    w = QIO_CHANNEL(qio_channel_file_new_dupfd(fds[1], &error_abort));
    close(fds[1]);
    g_assert_false(qio_channel_has_feature(r, QIO_CHANNEL_FEATURE_SEEKABLE));
    test_transfer(w, r, SIZE, false);

    qio_channel_set_blocking(r, false, &error_abort);
    g_assert_cmpint(qio_channel_read(r, &c, 1, &error_abort), ==, QIO_CHANNEL_ERR_BLOCK);
    test_transfer(w, r, SIZE, false); /* the _all forms wait */

    object_unref(OBJECT(w));
    g_assert_cmpint(qio_channel_read_all_eof(r, &c, 1, &error_abort), ==, 0);
    object_unref(OBJECT(r));
}

static gpointer shutdown_soon(gpointer opaque)
{
    g_usleep(100000);
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    return NULL;
}

/* A thread that waits for a pipe can be woken, which the kernel has no call for. */
static void test_pipe_shutdown(void)
{
    g_autofree char *big = g_malloc0(1 << 20);
    int fds[2];
    QIOChannel *r, *w;
    GThread *t;
    Error *err = NULL;
    char c;

    g_assert_cmpint(pipe(fds), ==, 0);
    r = QIO_CHANNEL(qio_channel_file_new_fd(fds[0]));
    w = QIO_CHANNEL(qio_channel_file_new_fd(fds[1]));
    t = g_thread_new("shutdown", shutdown_soon, r);
    g_assert_cmpint(qio_channel_read(r, &c, 1, &error_abort), ==, 0);
    g_thread_join(t);

    t = g_thread_new("shutdown", shutdown_soon, w);
    g_assert_cmpint(qio_channel_write_all(w, big, 1 << 20, &err), ==, -1);
    test_expect_error(&err, "Broken pipe");
    g_thread_join(t);
    object_unref(OBJECT(r));
    object_unref(OBJECT(w));
}

/* What we did to a descriptor that others share is undone. */
static void test_flags_restored(void)
{
    int fds[2];
    QIOChannel *r;
    int keep;

    g_assert_cmpint(pipe(fds), ==, 0);
    keep = dup(fds[0]);
    r = QIO_CHANNEL(qio_channel_file_new_fd(fds[0]));
    g_assert_cmpint(fcntl(keep, F_GETFL) & O_NONBLOCK, !=, 0);
    object_unref(OBJECT(r));
    g_assert_cmpint(fcntl(keep, F_GETFL) & O_NONBLOCK, ==, 0);
    close(keep);
    close(fds[1]);
}

static void test_new_fd(void)
{
    int fds[2];
    QIOChannel *ioc;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    ioc = qio_channel_new_fd(fds[0], &error_abort);
    g_assert_nonnull(object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_SOCKET));
    object_unref(OBJECT(ioc));
    close(fds[1]);

    g_assert_cmpint(pipe(fds), ==, 0);
    ioc = qio_channel_new_fd(fds[0], &error_abort);
    g_assert_nonnull(object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_FILE));
    object_unref(OBJECT(ioc));
    close(fds[1]);
}

static void test_closed(void)
{
    g_autofree char *path = g_build_filename(dir, "closed", NULL);
    g_autoptr(QIOChannelFile) fioc = NULL;
    Error *err = NULL;

    fioc = qio_channel_file_new_path(path, O_CREAT | O_RDWR, 0600, &error_abort);
    g_assert_cmpint(qio_channel_close(QIO_CHANNEL(fioc), &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_close(QIO_CHANNEL(fioc), &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_write(QIO_CHANNEL(fioc), "x", 1, &err), ==, -1);
    test_expect_error(&err, "closed");
}

int main(int argc, char **argv)
{
    int ret;

    signal(SIGPIPE, SIG_IGN);
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-test-file-XXXXXX", NULL);
    g_test_add_func("/io/channel/file/path", test_path);
    g_test_add_func("/io/channel/file/position", test_position);
    g_test_add_func("/io/channel/file/missing", test_missing);
    g_test_add_func("/io/channel/file/pipe", test_pipe);
    g_test_add_func("/io/channel/file/pipe-shutdown", test_pipe_shutdown);
    g_test_add_func("/io/channel/file/flags-restored", test_flags_restored);
    g_test_add_func("/io/channel/file/new-fd", test_new_fd);
    g_test_add_func("/io/channel/file/closed", test_closed);
    ret = g_test_run();
    for (const char *const *f = (const char *const[]){ "path", "position", "closed", NULL }; *f;
         f++) {
        g_autofree char *path = g_build_filename(dir, *f, NULL);

        unlink(path);
    }
    rmdir(dir);
    g_free(dir);
    return ret;
}
