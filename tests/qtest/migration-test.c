/*
 * Migration between two processes, driven from outside: over every transport, cancelled,
 * refused, hindered, slowed down; with and without a guest.
 *
 * QTEST_QEMU_BINARY names the emulator; QTEST_QEMU_BINARY_SRC and QTEST_QEMU_BINARY_DST another
 * one for a side, so that the same tests run between this program and others of its kind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <stdlib.h>

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_setup("migration-test");
    migrate_probe();
    add_transport_tests();
    add_cancel_tests();
    add_error_tests();
    add_option_tests();
    add_progress_tests();
    add_guest_tests();
    add_tls_tests();
    if (!getenv("QTEST_QEMU_BINARY_SRC") && !getenv("QTEST_QEMU_BINARY_DST")) {
        add_pc_tests(); /* whose devices are not QEMU's */
    }
    ret = g_test_run();
    remove_tls_files();
    qtest_teardown();
    return ret;
}
