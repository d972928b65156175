/*
 * Credentials for TLS, as objects that users make: tls-creds-x509, tls-creds-psk, tls-creds-anon.
 *
 * They are loaded when the object is complete, and do not change afterwards, so that any thread may
 * use them then. An object that a session uses is kept alive by the session.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CRYPTO_TLSCREDS_H
#define CRYPTO_TLSCREDS_H

#include <gnutls/gnutls.h>
#include "qapi/qapi-types-crypto.h"
#include "qom/object.h"

#define TYPE_QCRYPTO_TLS_CREDS "tls-creds"
OBJECT_DECLARE_TYPE(QCryptoTLSCreds, QCryptoTLSCredsClass, QCRYPTO_TLS_CREDS)

#define TYPE_QCRYPTO_TLS_CREDS_X509 "tls-creds-x509"
#define TYPE_QCRYPTO_TLS_CREDS_PSK "tls-creds-psk"
#define TYPE_QCRYPTO_TLS_CREDS_ANON "tls-creds-anon"

/* Names of the files in the directory. */
#define QCRYPTO_TLS_CREDS_X509_CA_CERT "ca-cert.pem"
#define QCRYPTO_TLS_CREDS_X509_CA_CRL "ca-crl.pem"
#define QCRYPTO_TLS_CREDS_X509_SERVER_CERT "server-cert.pem"
#define QCRYPTO_TLS_CREDS_X509_SERVER_KEY "server-key.pem"
#define QCRYPTO_TLS_CREDS_X509_CLIENT_CERT "client-cert.pem"
#define QCRYPTO_TLS_CREDS_X509_CLIENT_KEY "client-key.pem"
#define QCRYPTO_TLS_CREDS_PSKFILE "keys.psk"
#define QCRYPTO_TLS_CREDS_DH_PARAMS "dh-params.pem"

struct QCryptoTLSCreds {
    Object parent_obj;

    char *dir;
    QCryptoTLSCredsEndpoint endpoint;
    bool verify_peer;
    char *priority;               /* NULL: the default of the kind */
    gnutls_dh_params_t dh_params; /* of the file, or NULL; credentials refer to them */
    bool loaded; /* atomic for those without the BQL */
};

struct QCryptoTLSCredsClass {
    ObjectClass parent_class;

    /* Reads the files. False with @errp set. */
    bool (*load)(QCryptoTLSCreds *creds, Error **errp);
    /* Gives the credentials to a session. The result of gnutls_credentials_set(). */
    int (*attach)(QCryptoTLSCreds *creds, gnutls_session_t session);
    const char *priority;         /* used where the user names none */
};

/*
 * The credentials with that id; they are for @endpoint. The caller's reference, or NULL with @errp
 * set. Any thread.
 */
QCryptoTLSCreds *qcrypto_tls_creds_find(const char *id, QCryptoTLSCredsEndpoint endpoint,
                                        Error **errp);

/* For the kinds. */

/* DIR/NAME, to g_free(); NULL when the file is not there and not @required, or with @errp set. */
char *qcrypto_tls_creds_path(QCryptoTLSCreds *creds, const char *name, bool required,
                             Error **errp);
/* Reads the file with Diffie-Hellman parameters, if it is there. False with @errp set. */
bool qcrypto_tls_creds_load_dh_params(QCryptoTLSCreds *creds, Error **errp);

/* tlscertcheck.c: whether certificates can do what they are for; the files are for messages. */
bool qcrypto_tls_check_certificates(const gnutls_x509_crt_t *certs, unsigned ncerts,
                                    const char *cert_file, const gnutls_x509_crt_t *cas,
                                    unsigned ncas, const char *ca_file,
                                    QCryptoTLSCredsEndpoint endpoint, Error **errp);

#endif /* CRYPTO_TLSCREDS_H */
