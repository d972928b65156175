/*
 * TLS credentials and secrets: what is accepted when they are loaded, and what is refused and why.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "crypto/secret.h"
#include "crypto/tlscreds.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "tls-certs.h"

static char *dir;

/* Makes the object; what was wrong, to g_free(), or NULL. */
static char *try_object(const char *text)
{
    Error *err = NULL;
    char *message = NULL;

    if (user_creatable_add_from_str(text, &err)) {
        g_assert_true(user_creatable_del("tls", &error_abort));
        return NULL;
    }
    message = g_strdup(error_get_pretty(err));
    error_free(err);
    return message;
}

static void expect(const char *text, const char *part)
{
    g_autofree char *message = try_object(text);

    if (!part) {
        g_assert_cmpstr(message, ==, NULL);
    } else if (!message || !strstr(message, part)) {
        g_error("%s: expected '%s', found '%s'", text, part, message);
    }
}

/* --- certificates --- */

static const TestCertSpec good_ca = { .cn = "ca", .is_ca = true,
                                      .key_usage = GNUTLS_KEY_KEY_CERT_SIGN };
static const TestCertSpec good_server = { .cn = "server", .dns = "localhost",
                                          .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE,
                                          .purpose = { GNUTLS_KP_TLS_WWW_SERVER },
                                          .purpose_critical = true };
static const TestCertSpec good_client = { .cn = "client",
                                          .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE,
                                          .purpose = { GNUTLS_KP_TLS_WWW_CLIENT },
                                          .purpose_critical = true };

typedef struct CertCase {
    const char *name;
    TestCertSpec ca, cert;
    bool client;
    const char *refusal;        /* NULL: none */
} CertCase;

#define GOOD_CA { .cn = "ca", .is_ca = true, .key_usage = GNUTLS_KEY_KEY_CERT_SIGN }
#define SERVER(...) { .cn = "server", .dns = "localhost", __VA_ARGS__ }

static const CertCase cert_cases[] = {
    { "plain", GOOD_CA, SERVER(.key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE), false, NULL },
    { "ca-expired", { .is_ca = true, .starts = -48, .ends = -24 }, SERVER(), false, "has expired" },
    { "ca-inactive", { .is_ca = true, .starts = 24, .ends = 48 }, SERVER(), false,
      "is not yet active" },
    { "ca-not-ca", { .is_ca = false }, SERVER(), false, "do not show a CA" },
    { "ca-no-constraints", { .no_basic_constraints = true }, SERVER(), false,
      "missing basic constraints for a CA" },
    { "ca-usage", { .is_ca = true, .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE }, SERVER(), false,
      "does not permit certificate signing" },
    { "ca-usage-not-critical",
      { .is_ca = true, .key_usage = GNUTLS_KEY_KEY_CERT_SIGN, .key_usage_not_critical = true },
      SERVER(), false, NULL },
    { "ca-no-usage", { .is_ca = true }, SERVER(), false, NULL },
    { "expired", GOOD_CA, SERVER(.starts = -48, .ends = -24), false,
      "server certificate" },
    { "inactive", GOOD_CA, SERVER(.starts = 24, .ends = 48), false, "is not yet active" },
    { "is-ca", GOOD_CA, SERVER(.is_ca = true), false, "show a CA, but we need one for a server" },
    { "no-constraints", GOOD_CA, SERVER(.no_basic_constraints = true), false, NULL },
    { "usage", GOOD_CA, SERVER(.key_usage = GNUTLS_KEY_KEY_CERT_SIGN), false,
      "does not permit digital signature" },
    { "usage-not-critical", GOOD_CA,
      SERVER(.key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE, .key_usage_not_critical = true), false,
      NULL },
    { "purpose", GOOD_CA,
      SERVER(.purpose = { GNUTLS_KP_TLS_WWW_CLIENT }, .purpose_critical = true), false,
      "does not allow use with a TLS server" },
    { "purpose-not-critical", GOOD_CA, SERVER(.purpose = { GNUTLS_KP_TLS_WWW_CLIENT }), false,
      NULL },
    { "purpose-both", GOOD_CA,
      SERVER(.purpose = { GNUTLS_KP_TLS_WWW_CLIENT, GNUTLS_KP_TLS_WWW_SERVER },
             .purpose_critical = true), false, NULL },
    { "purpose-any", GOOD_CA, SERVER(.purpose = { GNUTLS_KP_ANY }, .purpose_critical = true), false,
      NULL },
    { "client-purpose", GOOD_CA,
      SERVER(.purpose = { GNUTLS_KP_TLS_WWW_SERVER }, .purpose_critical = true), true,
      "does not allow use with a TLS client" },
    { "client-is-ca", GOOD_CA, SERVER(.is_ca = true), true, "but we need one for a client" },
    { "client-expired", GOOD_CA, SERVER(.starts = -48, .ends = -24), true, "client certificate" },
};

static void write_pair(TestCert *ca, TestCert *cert, bool client)
{
    test_certs_remove(dir);
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
    test_cert_write(ca, dir, "ca-cert.pem", true);
    test_cert_write(cert, dir, client ? "client-cert.pem" : "server-cert.pem", true);
    test_cert_write_key(cert, dir, client ? "client-key.pem" : "server-key.pem", NULL);
}

static char *x509(bool client, const char *more)
{
    return g_strdup_printf("tls-creds-x509,id=tls,endpoint=%s,dir=%s%s",
                           client ? "client" : "server", dir, more);
}

static void test_certificate(gconstpointer data)
{
    const CertCase *c = data;
    TestCert *ca = test_cert_new(&c->ca, NULL), *cert = test_cert_new(&c->cert, ca);
    g_autofree char *checked = x509(c->client, "");
    g_autofree char *unchecked = x509(c->client, ",sanity-check=off");

    write_pair(ca, cert, c->client);
    expect(checked, c->refusal);
    expect(unchecked, NULL);
    test_cert_free(ca);
    test_cert_free(cert);
}

static void test_chain(void)
{
    TestCertSpec other_spec = { .cn = "other", .is_ca = true },
                 mid_spec = { .cn = "mid", .is_ca = true };
    TestCertSpec bad_mid_spec = { .cn = "bad", .is_ca = true, .starts = -48, .ends = -24 };
    TestCert *ca = test_cert_new(&good_ca, NULL), *other = test_cert_new(&other_spec, NULL);
    TestCert *mid = test_cert_new(&mid_spec, ca), *bad_mid = test_cert_new(&bad_mid_spec, ca);
    TestCert *cert = test_cert_new(&good_server, mid),
             *below_bad = test_cert_new(&good_server, bad_mid);
    g_autofree char *text = x509(false, "");

    /* Not below the authority. */
    write_pair(other, cert, false);
    expect(text, "hasn't got a known issuer");
    /* The one between is with the authorities, or with the certificate; or is not there. */
    write_pair(ca, cert, false);
    expect(text, "hasn't got a known issuer");
    test_cert_write(mid, dir, "server-cert.pem", false);
    expect(text, NULL);
    write_pair(ca, cert, false);
    test_cert_write(mid, dir, "ca-cert.pem", false);
    expect(text, NULL);
    /* What is wrong with an authority that we are not below is no matter. */
    test_cert_write(bad_mid, dir, "ca-cert.pem", false);
    expect(text, NULL);
    write_pair(ca, below_bad, false);
    test_cert_write(bad_mid, dir, "ca-cert.pem", false);
    expect(text, "has expired");
    write_pair(ca, below_bad, false);
    test_cert_write(bad_mid, dir, "server-cert.pem", false);
    expect(text, "has expired");
    test_cert_free(ca);
    test_cert_free(other);
    test_cert_free(mid);
    test_cert_free(bad_mid);
    test_cert_free(cert);
    test_cert_free(below_bad);
}

static void remove_file(const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_cmpint(unlink(path), ==, 0);
}

static void put_file(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void put_dh_params(void)
{
    gnutls_dh_params_t params;
    gnutls_datum_t pem;
    g_autofree char *text = NULL;

    g_assert_cmpint(gnutls_dh_params_init(&params), ==, 0);
    g_assert_cmpint(gnutls_dh_params_import_raw(params, &gnutls_ffdhe_2048_group_prime,
                                                &gnutls_ffdhe_2048_group_generator), ==, 0);
    g_assert_cmpint(gnutls_dh_params_export2_pkcs3(params, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
    text = g_strndup((char *)pem.data, pem.size);
    put_file("dh-params.pem", text);
    gnutls_free(pem.data);
    gnutls_dh_params_deinit(params);
}

static void test_files(void)
{
    TestCert *ca = test_cert_new(&good_ca, NULL), *cert = test_cert_new(&good_server, ca);
    TestCert *client = test_cert_new(&good_client, ca);
    g_autofree char *server_text = x509(false, "");
    g_autofree char *client_text = x509(true, "");
    g_autofree char *priority = x509(false, ",priority=NORMAL:NONSENSE");

    expect("tls-creds-x509,id=tls,endpoint=server", "Missing 'dir'");
    expect("tls-creds-x509,id=tls,endpoint=server,dir=/nonexistent",
           "Unable to access credentials /nonexistent/ca-cert.pem: No such file");
    write_pair(ca, cert, false);
    expect(priority, "NORMAL:NONSENSE");
    /* A client without a certificate, but not with half of one. */
    expect(client_text, NULL);
    test_cert_write(client, dir, "client-cert.pem", true);
    expect(client_text, "no key");
    test_cert_write_key(client, dir, "client-key.pem", NULL);
    expect(client_text, NULL);
    /* The key of another certificate. */
    test_cert_write_key(client, dir, "server-key.pem", NULL);
    expect(server_text, "Cannot load certificate");
    remove_file("server-key.pem");
    expect(server_text, "server-key.pem: No such file");
    test_cert_write_key(cert, dir, "server-key.pem", NULL);
    expect(server_text, NULL);
    test_crl_write(ca, NULL, dir, "ca-crl.pem");
    expect(server_text, NULL);
    put_file("ca-crl.pem", "nonsense");
    expect(server_text, "Cannot load CRL");
    remove_file("ca-crl.pem");
    put_file("dh-params.pem", "nonsense");
    expect(server_text, "Unable to load Diffie-Hellman parameters from");
    put_dh_params();
    expect(server_text, NULL);
    put_file("ca-cert.pem", "nonsense");
    expect(server_text, "Unable to import CA certificate list");
    test_cert_write(ca, dir, "ca-cert.pem", true);
    put_file("server-cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect(server_text, "Unable to import certificate");
    test_cert_free(ca);
    test_cert_free(cert);
    test_cert_free(client);
}

static void test_password(void)
{
    TestCert *ca = test_cert_new(&good_ca, NULL), *cert = test_cert_new(&good_server, ca);
    g_autofree char *without = x509(false, "");
    g_autofree char *with = x509(false, ",passwordid=sec0");

    write_pair(ca, cert, false);
    test_cert_write_key(cert, dir, "server-key.pem", "open sesame");
    expect(without, "Cannot load certificate");
    expect(with, "No secret with id 'sec0'");
    g_assert_true(user_creatable_add_from_str("secret,id=sec0,data=wrong", &error_abort));
    expect(with, "Cannot load certificate");
    g_assert_true(user_creatable_del("sec0", &error_abort));
    g_assert_true(user_creatable_add_from_str("secret,id=sec0,data=open sesame", &error_abort));
    expect(with, NULL);
    g_assert_true(user_creatable_del("sec0", &error_abort));
    test_cert_free(ca);
    test_cert_free(cert);
}

static void test_psk(void)
{
    g_autofree char *client = g_strdup_printf("tls-creds-psk,id=tls,dir=%s", dir);
    g_autofree char *named = g_strdup_printf("%s,username=alice", client);
    g_autofree char *server = g_strdup_printf("%s,endpoint=server", client);
    g_autofree char *both = g_strdup_printf("%s,username=alice", server);

    test_certs_remove(dir);
    expect(client, "keys.psk: No such file");
    test_psk_write(dir, "qemu", 1);
    expect(client, NULL);
    expect(server, NULL);
    expect(named, "Username alice not found in PSK file");
    expect(both, "username should not be set when endpoint=server");
    put_file("keys.psk", "alicex:00\nalice:nonsense\n");
    expect(named, "Cannot use the key of alice");
    expect(client, "Username qemu not found");
    put_file("keys.psk", "alicex:00\r\nalice:0123456789abcdef\r\n");
    expect(named, NULL);
}

static void test_anon(void)
{
    expect("tls-creds-anon,id=tls,endpoint=client", NULL);
    expect("tls-creds-anon,id=tls,endpoint=server", NULL);
    expect("tls-creds-anon,id=tls,endpoint=server,priority=FOO",
           "Unable to set TLS session priority");
    expect("tls-creds-anon,id=tls,endpoint=both", "both");
}

static void test_find(void)
{
    QCryptoTLSCreds *creds;
    Error *err = NULL;

    g_assert_null(qcrypto_tls_creds_find("tls", Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "No TLS credentials with id 'tls'");
    g_clear_pointer(&err, error_free);
    g_assert_true(user_creatable_add_from_str("tls-creds-anon,id=tls", &error_abort));
    creds = qcrypto_tls_creds_find("tls", Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, &error_abort);
    g_assert_nonnull(creds);
    g_assert_null(qcrypto_tls_creds_find("tls", Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER, &err));
    g_assert_nonnull(
        strstr(error_get_pretty(err), "Expected TLS credentials for a server endpoint"));
    g_clear_pointer(&err, error_free);
    g_assert_true(user_creatable_del("tls", &error_abort));
    object_unref(OBJECT(creds)); /* it outlived its place in the tree */
    g_assert_true(user_creatable_add_from_str("secret,id=tls,data=x", &error_abort));
    g_assert_null(qcrypto_tls_creds_find("tls", Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "is not TLS credentials"));
    error_free(err);
    g_assert_true(user_creatable_del("tls", &error_abort));
}

/* --- secrets --- */

static void check_secret(const char *text, const char *expected, size_t len)
{
    uint8_t *data;
    size_t got;

    g_assert_true(user_creatable_add_from_str(text, &error_abort));
    g_assert_true(qcrypto_secret_lookup("tls", &data, &got, &error_abort));
    g_assert_cmpmem(data, got, expected, len);
    qcrypto_secret_free(data, got);
    g_assert_true(user_creatable_del("tls", &error_abort));
}

static void test_secret(void)
{
    g_autofree char *path = g_strdup_printf("%s.secret", dir);
    g_autofree char *file = g_strdup_printf("secret,id=tls,file=%s", path);
    g_autofree char *file64 = g_strdup_printf("%s,format=base64", file);
    Error *err = NULL;

    check_secret("secret,id=tls,data=letmein", "letmein", 7);
    check_secret("secret,id=tls,data=bGV0bWVpbg==,format=base64", "letmein", 7);
    check_secret("secret,id=tls,data=AP8A,format=base64", "\0\xff\0", 3);
    g_assert_true(g_file_set_contents(path, "bGV0bWVpbg==\n", -1, NULL));
    check_secret(file, "bGV0bWVpbg==\n", 13);
    check_secret(file64, "letmein", 7);
    unlink(path);
    expect(file, "Unable to read");
    expect("secret,id=tls", "Must provide 'file' or 'data'");
    expect("secret,id=tls,data=x,file=y", "mutually exclusive");
    expect("secret,id=tls,data=x!,format=base64", "not valid");
    /* Bytes that are no text. */
    g_assert_true(
        user_creatable_add_from_str("secret,id=tls,data=/w==,format=base64", &error_abort));
    g_assert_null(qcrypto_secret_lookup_as_utf8("tls", &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "not valid UTF-8"));
    error_free(err);
    g_assert_true(user_creatable_del("tls", &error_abort));
}

/* "the secret" encrypted with AES-256-CBC by openssl enc, key and IV as below. */
#define KEY "7mTisXp2bavAKAeyacSfR3XZTdhAaNZUgEUIFNS8RkM="
#define IV "8Ldo9gF2XcGvjHc76YjIEQ=="
#define TEXT "cOKuK6Lp/bJlXZk0KWmzNA=="

static void test_secret_encrypted(void)
{
    g_assert_true(
        user_creatable_add_from_str("secret,id=key,format=base64,data=" KEY, &error_abort));
    check_secret("secret,id=tls,keyid=key,iv=" IV ",data=" TEXT, "the secret", 10);
    expect("secret,id=tls,keyid=key,data=" TEXT, "IV is required");
    expect("secret,id=tls,keyid=key,iv=AAAA,data=" TEXT, "IV should be 16 bytes");
    expect("secret,id=tls,iv=" IV ",data=xxxx", "without 'keyid'");
    expect("secret,id=tls,keyid=nokey,iv=" IV ",data=" TEXT,
           "No secret with id 'nokey'");
    expect("secret,id=tls,keyid=key,iv=" IV ",data=AAAA", "no multiple of 16");
    expect("secret,id=tls,keyid=key,iv=" IV ",data=AAAAAAAAAAAAAAAAAAAABA==", "padding");
    g_assert_true(user_creatable_del("key", &error_abort));
    g_assert_true(user_creatable_add_from_str("secret,id=key,data=short", &error_abort));
    expect("secret,id=tls,keyid=key,iv=" IV ",data=" TEXT,
           "Key should be 32 bytes");
    g_assert_true(user_creatable_del("key", &error_abort));
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    dir = g_dir_make_tmp("tlscreds-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cert_cases); i++) {
        g_autofree char *path = g_strdup_printf("/tlscreds/x509/%s", cert_cases[i].name);

        g_test_add_data_func(path, &cert_cases[i], test_certificate);
    }
    g_test_add_func("/tlscreds/x509/chain", test_chain);
    g_test_add_func("/tlscreds/x509/files", test_files);
    g_test_add_func("/tlscreds/x509/password", test_password);
    g_test_add_func("/tlscreds/psk", test_psk);
    g_test_add_func("/tlscreds/anon", test_anon);
    g_test_add_func("/tlscreds/find", test_find);
    g_test_add_func("/secret/plain", test_secret);
    g_test_add_func("/secret/encrypted", test_secret_encrypted);
    ret = g_test_run();
    test_certs_remove(dir);
    g_free(dir);
    return ret;
}
