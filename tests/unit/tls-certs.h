/*
 * Certificates for tests, made with the GnuTLS API: good ones and ones with every mistake.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_TLS_CERTS_H
#define TESTS_UNIT_TLS_CERTS_H

#include <glib.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>

typedef struct TestCertSpec {
    const char *cn;             /* NULL: "name" */
    const char *dns, *ip;       /* alternative names */
    bool is_ca;                 /* what the basic constraints say */
    bool no_basic_constraints;
    unsigned key_usage;         /* GNUTLS_KEY_*; 0: no such extension */
    bool key_usage_not_critical;
    const char *purpose[2];     /* OIDs; none: no such extension */
    bool purpose_critical;
    int starts, ends;           /* hours from now; both 0: an hour ago, in a day */
} TestCertSpec;

typedef struct TestCert {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
} TestCert;

/* Signed by @issuer, or by itself where that is NULL. */
TestCert *test_cert_new(const TestCertSpec *spec, TestCert *issuer);
void test_cert_free(TestCert *cert);

/* Appends the certificate to DIR/FILE as PEM; an existing file goes first with @fresh. */
void test_cert_write(TestCert *cert, const char *dir, const char *file, bool fresh);
/* The key; encrypted where @password is given. */
void test_cert_write_key(TestCert *cert, const char *dir, const char *file, const char *password);
/* A CRL of @ca with @revoked in it (NULL: nobody). */
void test_crl_write(TestCert *ca, TestCert *revoked, const char *dir, const char *file);

/*
 * All that both sides need in DIR/server and DIR/client: authority, certificate and key. The server is
 * "localhost", 127.0.0.1 and ::1, the client CN=client.
 */
void test_certs_default(const char *dir);
/* keys.psk in DIR with @user's key, made of @seed. */
void test_psk_write(const char *dir, const char *user, int seed);
/* Removes DIR and what these functions put in it. */
void test_certs_remove(const char *dir);

#endif /* TESTS_UNIT_TLS_CERTS_H */
