/* Channels over memory. SPDX-License-Identifier: GPL-2.0-or-later */
#include "io-helpers.h"
#include "qemu/module.h"
#include "io/channel-buffer.h"

static void test_write_read(void)
{
    g_autoptr(QIOChannelBuffer) bioc = qio_channel_buffer_new(8);
    g_autofree uint8_t *buf = g_malloc(100000);
    g_autofree struct iovec *iov = NULL;
    size_t niov;

    test_fill(buf, 100000);
    iov = test_iov(buf, 100000, &niov);
    g_assert_cmpint(qio_channel_writev_all(QIO_CHANNEL(bioc), iov, niov, &error_abort), ==, 0);
    g_assert_cmpuint(bioc->usage, ==, 100000);
    test_check(bioc->data, 100000);

    bioc->offset = 0;
    memset(buf, 0, 100000);
    g_assert_cmpint(qio_channel_readv_all(QIO_CHANNEL(bioc), iov, niov, &error_abort), ==, 0);
    test_check(buf, 100000);
    g_assert_cmpint(qio_channel_read(QIO_CHANNEL(bioc), (char *)buf, 1, &error_abort), ==, 0);
}

static void test_seek(void)
{
    g_autoptr(QIOChannelBuffer) bioc = qio_channel_buffer_new(0);
    QIOChannel *ioc = QIO_CHANNEL(bioc);
    Error *err = NULL;
    char c;

    qio_channel_write_all(ioc, "0123456789", 10, &error_abort);
    g_assert_cmpint(qio_channel_io_seek(ioc, 4, SEEK_SET, &error_abort), ==, 4);
    qio_channel_read_all(ioc, &c, 1, &error_abort);
    g_assert_cmpint(c, ==, '4');
    g_assert_cmpint(qio_channel_io_seek(ioc, -1, SEEK_END, &error_abort), ==, 9);
    g_assert_cmpint(qio_channel_io_seek(ioc, 2, SEEK_CUR, &err), ==, -1);
    test_expect_error(&err, "outside");
    /* Overwriting in the middle does not cut off the end. */
    qio_channel_io_seek(ioc, 2, SEEK_SET, &error_abort);
    qio_channel_write_all(ioc, "ab", 2, &error_abort);
    g_assert_cmpuint(bioc->usage, ==, 10);
    g_assert_cmpint(memcmp(bioc->data, "01ab456789", 10), ==, 0);
}

static void test_peek(void)
{
    g_autoptr(QIOChannelBuffer) bioc = qio_channel_buffer_new(0);
    QIOChannel *ioc = QIO_CHANNEL(bioc);
    char b[4];
    struct iovec iov = { b, 4 };

    qio_channel_write_all(ioc, "peek", 4, &error_abort);
    bioc->offset = 0;
    g_assert_cmpint(qio_channel_readv_full(ioc, &iov, 1, NULL, NULL,
                                           QIO_CHANNEL_READ_FLAG_MSG_PEEK, &error_abort), ==, 4);
    g_assert_cmpuint(bioc->offset, ==, 0);
}

static void test_eof(void)
{
    g_autoptr(QIOChannelBuffer) bioc = qio_channel_buffer_new(0);
    QIOChannel *ioc = QIO_CHANNEL(bioc);
    Error *err = NULL;
    char b[8];

    g_assert_cmpint(qio_channel_read_all_eof(ioc, b, 8, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_read_all(ioc, b, 8, &err), ==, -1);
    test_expect_error(&err, "end-of-file");
    qio_channel_write_all(ioc, "half", 4, &error_abort);
    bioc->offset = 0;
    g_assert_cmpint(qio_channel_read_all_eof(ioc, b, 8, &err), ==, -1);
    test_expect_error(&err, "end-of-file");
}

static void test_refusals(void)
{
    g_autoptr(QIOChannelBuffer) bioc = qio_channel_buffer_new(0);
    QIOChannel *ioc = QIO_CHANNEL(bioc);
    struct iovec iov = { (char *)"x", 1 };
    Error *err = NULL;
    int fd = 0;

    g_assert_cmpint(qio_channel_writev_full(ioc, &iov, 1, &fd, 1, 0, &err), ==, -1);
    test_expect_error(&err, "file descriptor passing");
    g_assert_cmpint(qio_channel_writev_full(ioc, &iov, 1, NULL, 0,
                                            QIO_CHANNEL_WRITE_FLAG_ZERO_COPY, &err), ==, -1);
    test_expect_error(&err, "Zero Copy");
    g_assert_cmpint(qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, &err), ==, -1);
    test_expect_error(&err, "not supported");
    g_assert_cmpint(qio_channel_pwrite(ioc, "x", 1, 0, &err), ==, -1);
    test_expect_error(&err, "not seekable");
    g_assert_false(qio_channel_has_feature(ioc, QIO_CHANNEL_FEATURE_SHUTDOWN));
}

static gboolean count_call(QIOChannel *ioc, GIOCondition condition, gpointer data)
{
    g_assert_cmpint(condition, ==, G_IO_IN | G_IO_OUT);
    return ++*(int *)data < 3;
}

static void test_watch(void)
{
    QIOChannelBuffer *bioc = qio_channel_buffer_new(0);
    int calls = 0;

    qio_channel_add_watch(QIO_CHANNEL(bioc), G_IO_IN | G_IO_OUT, count_call, &calls, NULL);
    object_unref(OBJECT(bioc)); /* the watch keeps it */
    while (calls < 3) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_false(g_main_context_pending(NULL));
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/channel/buffer/write-read", test_write_read);
    g_test_add_func("/io/channel/buffer/seek", test_seek);
    g_test_add_func("/io/channel/buffer/peek", test_peek);
    g_test_add_func("/io/channel/buffer/eof", test_eof);
    g_test_add_func("/io/channel/buffer/refusals", test_refusals);
    g_test_add_func("/io/channel/buffer/watch", test_watch);
    return g_test_run();
}
