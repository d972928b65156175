/* The channel to nowhere. SPDX-License-Identifier: GPL-2.0-or-later */
#include "io-helpers.h"
#include "qemu/module.h"
#include "io/channel-null.h"

static void test_io(void)
{
    g_autoptr(QIOChannelNull) nioc = qio_channel_null_new();
    QIOChannel *ioc = QIO_CHANNEL(nioc);
    Error *err = NULL;
    char buf[16];

    g_assert_cmpint(qio_channel_write_all(ioc, "0123456789", 10, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_read(ioc, buf, sizeof(buf), &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_pwrite(ioc, "01", 2, 1 << 20, &error_abort), ==, 2);
    g_assert_cmpint(qio_channel_io_seek(ioc, 10, SEEK_SET, &error_abort), ==, 0);
    qio_channel_wait(ioc, G_IO_OUT);

    g_assert_cmpint(qio_channel_close(ioc, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_write(ioc, "0", 1, &err), ==, -1);
    test_expect_error(&err, "closed");
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/channel/null/io", test_io);
    return g_test_run();
}
