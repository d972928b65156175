/*
 * tls-creds-x509: TLS with certificates, from the files of a directory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <gnutls/x509.h>
#include "crypto/secret.h"
#include "crypto/tlscreds.h"
#include "qapi/error.h"
#include "qemu/module.h"

OBJECT_DECLARE_SIMPLE_TYPE(QCryptoTLSCredsX509, QCRYPTO_TLS_CREDS_X509)

/* More than any bundle of authorities has. */
#define CERT_FILE_MAX (16 * 1024 * 1024)

struct QCryptoTLSCredsX509 {
    QCryptoTLSCreds parent_obj;

    bool sanity_check;
    char *passwordid;
    gnutls_certificate_credentials_t data;
};

typedef struct CertList {
    gnutls_x509_crt_t *certs;
    unsigned count;
} CertList;

static void cert_list_clear(CertList *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        gnutls_x509_crt_deinit(list->certs[i]);
    }
    gnutls_free(list->certs);
    *list = (CertList){ 0 };
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CertList, cert_list_clear)

static bool read_certs(const char *path, const char *what, CertList *list, Error **errp)
{
    g_autofree char *text = NULL;
    GError *gerr = NULL;
    gnutls_datum_t data;
    struct stat st;
    gsize len;
    int ret;

    if (stat(path, &st) == 0 && st.st_size > CERT_FILE_MAX) {
        error_setg(errp, "%s is too long for certificates", path);
        return false;
    }
    if (!g_file_get_contents(path, &text, &len, &gerr)) {
        error_setg(errp, "Cannot load %s %s: %s", what, path, gerr->message);
        g_error_free(gerr);
        return false;
    }
    data = (gnutls_datum_t){ (unsigned char *)text, len };
    ret = gnutls_x509_crt_list_import2(&list->certs, &list->count, &data, GNUTLS_X509_FMT_PEM, 0);
    if (ret < 0) {
        list->count = 0;
        error_setg(errp, "Unable to import %s %s: %s", what, path, gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool sanity_check(QCryptoTLSCreds *creds, const char *ca_file, const char *cert_file,
                         Error **errp)
{
    g_auto(CertList) cas = { 0 }, certs = { 0 };

    if ((ca_file && !read_certs(ca_file, "CA certificate list", &cas, errp)) ||
        (cert_file && !read_certs(cert_file, "certificate", &certs, errp))) {
        return false;
    }
    return qcrypto_tls_check_certificates(certs.certs, certs.count, cert_file, cas.certs, cas.count,
                                          ca_file, creds->endpoint, errp);
}

static bool load_key_pair(QCryptoTLSCredsX509 *x509, const char *cert, const char *key,
                          Error **errp)
{
    char *password = NULL;
    int ret;

    if (x509->passwordid) {
        password = qcrypto_secret_lookup_as_utf8(x509->passwordid, errp);
        if (!password) {
            return false;
        }
    }
    ret = gnutls_certificate_set_x509_key_file2(x509->data, cert, key, GNUTLS_X509_FMT_PEM,
                                                password, 0);
    qcrypto_secret_free(password, password ? strlen(password) : 0);
    if (ret < 0) {
        error_setg(errp, "Cannot load certificate '%s' & key '%s': %s", cert, key,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool set_authorities(QCryptoTLSCredsX509 *x509, const char *ca, const char *crl,
                            Error **errp)
{
    int ret = gnutls_certificate_set_x509_trust_file(x509->data, ca, GNUTLS_X509_FMT_PEM);

    if (ret < 0) {
        error_setg(errp, "Cannot load CA certificate '%s': %s", ca, gnutls_strerror(ret));
        return false;
    }
    if (crl) {
        ret = gnutls_certificate_set_x509_crl_file(x509->data, crl, GNUTLS_X509_FMT_PEM);
        if (ret < 0) {
            error_setg(errp, "Cannot load CRL '%s': %s", crl, gnutls_strerror(ret));
            return false;
        }
    }
    return true;
}

/* The file, unless it is not there and need not be: then NULL in *@path. */
static bool locate(QCryptoTLSCreds *creds, const char *name, bool required, char **path,
                   Error **errp)
{
    Error *err = NULL;

    *path = qcrypto_tls_creds_path(creds, name, required, &err);
    error_propagate(errp, err);
    return !err;
}

static bool x509_load(QCryptoTLSCreds *creds, Error **errp)
{
    QCryptoTLSCredsX509 *x509 = QCRYPTO_TLS_CREDS_X509(creds);
    bool server = creds->endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER;
    g_autofree char *ca = NULL, *crl = NULL, *cert = NULL, *key = NULL;
    int ret;

    /* Clients need a certificate only where the server asks for one. */
    if (!locate(creds, QCRYPTO_TLS_CREDS_X509_CA_CERT, true, &ca, errp) ||
        !locate(creds, QCRYPTO_TLS_CREDS_X509_CA_CRL, false, &crl, errp) ||
        !locate(creds, server ? QCRYPTO_TLS_CREDS_X509_SERVER_CERT
                              : QCRYPTO_TLS_CREDS_X509_CLIENT_CERT, server, &cert, errp) ||
        !locate(creds, server ? QCRYPTO_TLS_CREDS_X509_SERVER_KEY
                              : QCRYPTO_TLS_CREDS_X509_CLIENT_KEY, server, &key, errp)) {
        return false;
    }
    if (!cert != !key) {
        error_setg(errp, "%s has a %s for the client, but no %s", creds->dir,
                   cert ? "certificate" : "key", cert ? "key" : "certificate");
        return false;
    }
    if (x509->sanity_check && !sanity_check(creds, ca, cert, errp)) {
        return false;
    }
    ret = gnutls_certificate_allocate_credentials(&x509->data);
    if (ret < 0) {
        error_setg(errp, "Cannot allocate credentials: %s", gnutls_strerror(ret));
        return false;
    }
    if (!set_authorities(x509, ca, crl, errp) ||
        (cert && !load_key_pair(x509, cert, key, errp))) {
        return false;
    }
    if (!server) {
        return true;
    }
    if (!qcrypto_tls_creds_load_dh_params(creds, errp)) {
        return false;
    }
    if (creds->dh_params) {
        gnutls_certificate_set_dh_params(x509->data, creds->dh_params);
    } else {
        gnutls_certificate_set_known_dh_params(x509->data, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

static int x509_attach(QCryptoTLSCreds *creds, gnutls_session_t session)
{
    int ret = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
                                     QCRYPTO_TLS_CREDS_X509(creds)->data);

    if (ret == 0 && creds->endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER && creds->verify_peer) {
        /* Whether one came, and which, is looked at when the handshake is over. */
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    }
    return ret;
}

static bool get_sanity_check(Object *obj, Error **errp)
{
    return QCRYPTO_TLS_CREDS_X509(obj)->sanity_check;
}

static void set_sanity_check(Object *obj, bool value, Error **errp)
{
    QCRYPTO_TLS_CREDS_X509(obj)->sanity_check = value;
}

static char *get_passwordid(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_TLS_CREDS_X509(obj)->passwordid);
}

static void set_passwordid(Object *obj, const char *value, Error **errp)
{
    QCryptoTLSCredsX509 *x509 = QCRYPTO_TLS_CREDS_X509(obj);

    g_free(x509->passwordid);
    x509->passwordid = g_strdup(value);
}

static void x509_init(Object *obj)
{
    QCRYPTO_TLS_CREDS_X509(obj)->sanity_check = true;
}

static void x509_finalize(Object *obj)
{
    QCryptoTLSCredsX509 *x509 = QCRYPTO_TLS_CREDS_X509(obj);

    if (x509->data) {
        gnutls_certificate_free_credentials(x509->data);
    }
    g_free(x509->passwordid);
}

static void x509_class_init(ObjectClass *oc, void *data)
{
    QCryptoTLSCredsClass *cc = QCRYPTO_TLS_CREDS_CLASS(oc);

    cc->load = x509_load;
    cc->attach = x509_attach;
    cc->priority = "NORMAL";
    object_class_property_add_bool(oc, "sanity-check", get_sanity_check, set_sanity_check);
    object_class_property_set_description(oc, "sanity-check",
                                          "check the certificates when they are loaded");
    object_class_property_add_str(oc, "passwordid", get_passwordid, set_passwordid);
    object_class_property_set_description(oc, "passwordid", "secret that decrypts the key");
}

static const TypeInfo x509_info = {
    .name = TYPE_QCRYPTO_TLS_CREDS_X509,
    .parent = TYPE_QCRYPTO_TLS_CREDS,
    .instance_size = sizeof(QCryptoTLSCredsX509),
    .instance_init = x509_init,
    .instance_finalize = x509_finalize,
    .class_init = x509_class_init,
};

static void x509_register_types(void)
{
    type_register_static(&x509_info);
}

type_init(x509_register_types)
