/*
 * Makes certificates for tests that are not written in C: make-tls-certs DIR. See tls-certs.h; beside
 * DIR/server and DIR/client, DIR/other has those of another authority and DIR/psk a key of user "qemu".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tls-certs.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    g_autofree char *other = NULL, *psk = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    other = g_build_filename(argv[1], "other", NULL);
    psk = g_build_filename(argv[1], "psk", NULL);
    test_certs_default(argv[1]);
    test_certs_default(other);
    test_psk_write(psk, "qemu", 1);
    return 0;
}
