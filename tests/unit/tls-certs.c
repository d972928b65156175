/*
 * See tls-certs.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tls-certs.h"
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <time.h>

#define OK(call)                                                              \
    do {                                                                      \
        int ret_ = (call);                                                    \
        if (ret_ < 0) {                                                       \
            g_error("%s: %s", #call, gnutls_strerror(ret_));                  \
        }                                                                     \
    } while (0)

static void add_names(gnutls_x509_crt_t crt, const TestCertSpec *spec)
{
    const char *cn = spec->cn ? spec->cn : "name";

    OK(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn, strlen(cn)));
    if (spec->dns) {
        OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, spec->dns,
                                                strlen(spec->dns), GNUTLS_FSAN_APPEND));
    }
    if (spec->ip) {
        unsigned char addr[16];
        bool v6 = strchr(spec->ip, ':');

        g_assert_cmpint(inet_pton(v6 ? AF_INET6 : AF_INET, spec->ip, addr), ==, 1);
        OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, addr, v6 ? 16 : 4,
                                                GNUTLS_FSAN_APPEND));
    }
}

TestCert *test_cert_new(const TestCertSpec *spec, TestCert *issuer)
{
    static unsigned serial;
    TestCert *c = g_new0(TestCert, 1);
    bool now = !spec->starts && !spec->ends;
    unsigned char number[5];

    serial++;
    number[0] = 7;
    memcpy(number + 1, &serial, 4);
    OK(gnutls_x509_privkey_init(&c->key));
    OK(gnutls_x509_privkey_generate(c->key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    OK(gnutls_x509_crt_init(&c->crt));
    OK(gnutls_x509_crt_set_key(c->crt, c->key));
    OK(gnutls_x509_crt_set_version(c->crt, 3));
    OK(gnutls_x509_crt_set_serial(c->crt, number, sizeof(number)));
    add_names(c->crt, spec);
    OK(gnutls_x509_crt_set_activation_time(c->crt, time(NULL) + (now ? -1 : spec->starts) * 3600));
    OK(gnutls_x509_crt_set_expiration_time(c->crt, time(NULL) + (now ? 24 : spec->ends) * 3600));
    if (!spec->no_basic_constraints) {
        OK(gnutls_x509_crt_set_basic_constraints(c->crt, spec->is_ca, -1));
    }
    if (spec->key_usage) {
        OK(gnutls_x509_crt_set_key_usage(c->crt, spec->key_usage));
        if (spec->key_usage_not_critical) {
            unsigned char der[] = { 3, 2, 0, 0 };

            /* The 9 bits of GnuTLS are those of the first byte here. */
            der[3] = spec->key_usage & 0xff;
            OK(gnutls_x509_crt_set_extension_by_oid(c->crt, "2.5.29.15", der, sizeof(der), 0));
        }
    }
    for (int i = 0; i < 2 && spec->purpose[i]; i++) {
        OK(gnutls_x509_crt_set_key_purpose_oid(c->crt, spec->purpose[i], spec->purpose_critical));
    }
    OK(gnutls_x509_crt_sign2(c->crt, issuer ? issuer->crt : c->crt, issuer ? issuer->key : c->key,
                             GNUTLS_DIG_SHA256, 0));
    return c;
}

void test_cert_free(TestCert *c)
{
    if (c) {
        gnutls_x509_crt_deinit(c->crt);
        gnutls_x509_privkey_deinit(c->key);
        g_free(c);
    }
}

static void write_file(const char *dir, const char *file, const gnutls_datum_t *data, bool fresh)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    FILE *f = fopen(path, fresh ? "w" : "a");

    g_assert_nonnull(f);
    g_assert_cmpuint(fwrite(data->data, 1, data->size, f), ==, data->size);
    g_assert_cmpint(fclose(f), ==, 0);
}

void test_cert_write(TestCert *c, const char *dir, const char *file, bool fresh)
{
    gnutls_datum_t pem;

    OK(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem));
    write_file(dir, file, &pem, fresh);
    gnutls_free(pem.data);
}

void test_cert_write_key(TestCert *c, const char *dir, const char *file, const char *password)
{
    gnutls_datum_t pem;

    OK(gnutls_x509_privkey_export2_pkcs8(c->key, GNUTLS_X509_FMT_PEM, password,
                                         password ? GNUTLS_PKCS_PBES2_AES_256 : GNUTLS_PKCS_PLAIN,
                                         &pem));
    write_file(dir, file, &pem, true);
    gnutls_free(pem.data);
}

void test_crl_write(TestCert *ca, TestCert *revoked, const char *dir, const char *file)
{
    gnutls_x509_crl_t crl;
    gnutls_datum_t pem;

    OK(gnutls_x509_crl_init(&crl));
    OK(gnutls_x509_crl_set_version(crl, 2));
    OK(gnutls_x509_crl_set_this_update(crl, time(NULL) - 3600));
    OK(gnutls_x509_crl_set_next_update(crl, time(NULL) + 86400));
    OK(gnutls_x509_crl_set_number(crl, "\1", 1));
    if (revoked) {
        OK(gnutls_x509_crl_set_crt(crl, revoked->crt, time(NULL) - 1800));
    }
    OK(gnutls_x509_crl_sign2(crl, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0));
    OK(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
    write_file(dir, file, &pem, true);
    gnutls_free(pem.data);
    gnutls_x509_crl_deinit(crl);
}

void test_certs_default(const char *dir)
{
    g_autofree char *server = g_build_filename(dir, "server", NULL);
    g_autofree char *client = g_build_filename(dir, "client", NULL);
    TestCertSpec ca_spec = { .cn = "authority",
                             .is_ca = true,
                             .key_usage = GNUTLS_KEY_KEY_CERT_SIGN };
    TestCertSpec server_spec = { .cn = "localhost",
                                 .dns = "localhost",
                                 .ip = "127.0.0.1",
                                 .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE |
                                              GNUTLS_KEY_KEY_ENCIPHERMENT,
                                 .purpose = { GNUTLS_KP_TLS_WWW_SERVER } };
    TestCertSpec client_spec = { .cn = "client",
                                 .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE |
                                              GNUTLS_KEY_KEY_ENCIPHERMENT,
                                 .purpose = { GNUTLS_KP_TLS_WWW_CLIENT } };
    TestCert *ca = test_cert_new(&ca_spec, NULL);
    TestCert *s = test_cert_new(&server_spec, ca), *c = test_cert_new(&client_spec, ca);

    g_mkdir_with_parents(server, 0700);
    g_mkdir_with_parents(client, 0700);
    test_cert_write(ca, server, "ca-cert.pem", true);
    test_cert_write(ca, client, "ca-cert.pem", true);
    test_cert_write(s, server, "server-cert.pem", true);
    test_cert_write_key(s, server, "server-key.pem", NULL);
    test_cert_write(c, client, "client-cert.pem", true);
    test_cert_write_key(c, client, "client-key.pem", NULL);
    test_cert_free(s);
    test_cert_free(c);
    test_cert_free(ca);
}

void test_psk_write(const char *dir, const char *user, int seed)
{
    g_autofree char *path = g_build_filename(dir, "keys.psk", NULL);
    g_autofree char *text = NULL;

    g_mkdir_with_parents(dir, 0700);
    text = g_strdup_printf("%s:%064x\n", user, 0x1234567 + seed);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

void test_certs_remove(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        test_certs_remove(child);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_remove(path);
}
