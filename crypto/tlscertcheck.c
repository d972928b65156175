/*
 * Certificates looked at when they are loaded: mistakes in them would otherwise show as a refused
 * connection, with the reason known to the other side alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <gnutls/x509.h>
#include "crypto/tlscreds.h"
#include "qapi/error.h"

/* Authorities one above the other; real chains have two or three. */
#define CHAIN_MAX 8

typedef struct CertRole {
    const char *file;
    bool is_ca;
    bool is_server;             /* of those that are no CA */
} CertRole;

static bool check_times(gnutls_x509_crt_t cert, const CertRole *role, Error **errp)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_expiration_time(cert) < now) {
        error_setg(errp, "The %s certificate %s has expired",
                   role->is_ca ? "CA" : role->is_server ? "server" : "client", role->file);
        return false;
    }
    if (gnutls_x509_crt_get_activation_time(cert) > now) {
        error_setg(errp, "The %s certificate %s is not yet active",
                   role->is_ca ? "CA" : role->is_server ? "server" : "client", role->file);
        return false;
    }
    return true;
}

static bool check_basic_constraints(gnutls_x509_crt_t cert, const CertRole *role, Error **errp)
{
    int ret = gnutls_x509_crt_get_basic_constraints(cert, NULL, NULL, NULL);

    if (ret > 0 && !role->is_ca) {
        error_setg(errp, "The certificate %s basic constraints show a CA, but we need one for a %s",
                   role->file, role->is_server ? "server" : "client");
        return false;
    }
    if (ret == 0 && role->is_ca) {
        error_setg(errp, "The certificate %s basic constraints do not show a CA", role->file);
        return false;
    }
    if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && role->is_ca) {
        error_setg(errp, "The certificate %s is missing basic constraints for a CA", role->file);
        return false;
    }
    if (ret < 0 && ret != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        error_setg(errp, "Unable to query certificate %s basic constraints: %s", role->file,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool check_key_usage(gnutls_x509_crt_t cert, const CertRole *role, Error **errp)
{
    unsigned usage = 0, critical = 0;
    int ret = gnutls_x509_crt_get_key_usage(cert, &usage, &critical);

    if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        return true;            /* without the extension any usage is fine */
    }
    if (ret < 0) {
        error_setg(errp, "Unable to query certificate %s key usage: %s", role->file,
                   gnutls_strerror(ret));
        return false;
    }
    if (role->is_ca && !(usage & GNUTLS_KEY_KEY_CERT_SIGN) && critical) {
        error_setg(errp, "Certificate %s usage does not permit certificate signing", role->file);
        return false;
    }
    if (!role->is_ca && !(usage & GNUTLS_KEY_DIGITAL_SIGNATURE) && critical) {
        error_setg(errp, "Certificate %s usage does not permit digital signature", role->file);
        return false;
    }
    return true;
}

/* What the certificate may be used for, where it says so and insists. */
static bool check_key_purpose(gnutls_x509_crt_t cert, const CertRole *role, Error **errp)
{
    const char *wanted = role->is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
    bool allowed = false, must = false;

    for (unsigned i = 0;; i++) {
        char oid[128];
        size_t size = sizeof(oid);
        unsigned critical = 0;
        int ret = gnutls_x509_crt_get_key_purpose_oid(cert, i, oid, &size, &critical);

        if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            if (i == 0) {
                return true;
            }
            break;
        }
        if (ret < 0 && ret != GNUTLS_E_SHORT_MEMORY_BUFFER) {
            error_setg(errp, "Unable to query certificate %s key purpose: %s", role->file,
                       gnutls_strerror(ret));
            return false;
        }
        must |= critical;
        allowed |= ret == 0 && (!strcmp(oid, wanted) || !strcmp(oid, GNUTLS_KP_ANY));
    }
    if (!allowed && must) {
        error_setg(errp, "Certificate %s purpose does not allow use with a TLS %s", role->file,
                   role->is_server ? "server" : "client");
        return false;
    }
    return true;
}

static bool check_one(gnutls_x509_crt_t cert, const CertRole *role, Error **errp)
{
    return check_times(cert, role, errp) && check_basic_constraints(cert, role, errp) &&
           check_key_usage(cert, role, errp) &&
           (role->is_ca || check_key_purpose(cert, role, errp));
}

static bool check_signatures(const gnutls_x509_crt_t *certs, unsigned ncerts, const char *cert_file,
                             const gnutls_x509_crt_t *cas, unsigned ncas, const char *ca_file,
                             Error **errp)
{
    const char *reason = "Invalid certificate";
    unsigned status;
    int ret = gnutls_x509_crt_list_verify(certs, ncerts, cas, ncas, NULL, 0, 0, &status);

    if (ret < 0) {
        error_setg(errp, "Unable to verify certificate %s against CA certificate %s: %s", cert_file,
                   ca_file, gnutls_strerror(ret));
        return false;
    }
    if (status == 0) {
        return true;
    }
    if (status & GNUTLS_CERT_INSECURE_ALGORITHM) {
        reason = "The certificate uses an insecure algorithm";
    } else if (status & GNUTLS_CERT_REVOKED) {
        reason = "The certificate has been revoked";
    } else if (status & GNUTLS_CERT_SIGNER_NOT_FOUND) {
        reason = "The certificate hasn't got a known issuer";
    } else if (status & GNUTLS_CERT_SIGNER_NOT_CA) {
        reason = "The issuer of the certificate is no CA";
    } else if (status & GNUTLS_CERT_SIGNATURE_FAILURE) {
        reason = "The signature of the certificate is wrong";
    } else if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) {
        reason = "A certificate of the chain is outside of its time";
    }
    error_setg(errp, "Our own certificate %s failed validation against %s: %s", cert_file, ca_file,
               reason);
    return false;
}

/*
 * Which authorities stand above the certificate: a bundle may have more, and what is wrong with
 * those does not matter here.
 */
static bool is_above(gnutls_x509_crt_t ca, const gnutls_x509_crt_t *certs, unsigned ncerts,
                     const gnutls_x509_crt_t *cas, unsigned ncas, unsigned depth)
{
    for (unsigned i = 0; i < ncerts; i++) {
        if (gnutls_x509_crt_check_issuer(certs[i], ca)) {
            return true;
        }
    }
    for (unsigned i = 0; depth < CHAIN_MAX && i < ncas; i++) {
        if (cas[i] != ca && gnutls_x509_crt_check_issuer(cas[i], ca) &&
            is_above(cas[i], certs, ncerts, cas, ncas, depth + 1)) {
            return true;
        }
    }
    return false;
}

bool qcrypto_tls_check_certificates(const gnutls_x509_crt_t *certs, unsigned ncerts,
                                    const char *cert_file, const gnutls_x509_crt_t *cas,
                                    unsigned ncas, const char *ca_file,
                                    QCryptoTLSCredsEndpoint endpoint, Error **errp)
{
    CertRole own = { cert_file, false, endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER };
    CertRole ca = { ca_file, true, false };

    /* The first is ours; those behind it, if any, are the authorities between. */
    if (ncerts && !check_one(certs[0], &own, errp)) {
        return false;
    }
    for (unsigned i = 1; i < ncerts; i++) {
        CertRole between = { cert_file, true, false };

        if (!check_one(certs[i], &between, errp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < ncas; i++) {
        if ((!ncerts || ncas == 1 || is_above(cas[i], certs, ncerts, cas, ncas, 0)) &&
            !check_one(cas[i], &ca, errp)) {
            return false;
        }
    }
    return !ncerts || !ncas ||
           check_signatures(certs, ncerts, cert_file, cas, ncas, ca_file, errp);
}
