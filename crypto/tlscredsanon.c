/*
 * tls-creds-anon: encryption without proof of identity. Only TLS up to 1.2 has such a thing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/tlscreds.h"
#include "qapi/error.h"
#include "qemu/module.h"

OBJECT_DECLARE_SIMPLE_TYPE(QCryptoTLSCredsAnon, QCRYPTO_TLS_CREDS_ANON)

struct QCryptoTLSCredsAnon {
    QCryptoTLSCreds parent_obj;

    gnutls_anon_server_credentials_t server;
    gnutls_anon_client_credentials_t client;
};

static bool anon_load(QCryptoTLSCreds *creds, Error **errp)
{
    QCryptoTLSCredsAnon *anon = QCRYPTO_TLS_CREDS_ANON(creds);
    bool is_server = creds->endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER;
    int ret;

    if (is_server) {
        ret = gnutls_anon_allocate_server_credentials(&anon->server);
    } else {
        ret = gnutls_anon_allocate_client_credentials(&anon->client);
    }
    if (ret < 0) {
        error_setg(errp, "Cannot allocate anonymous credentials: %s", gnutls_strerror(ret));
        return false;
    }
    if (!is_server) {
        return true;
    }
    if (!qcrypto_tls_creds_load_dh_params(creds, errp)) {
        return false;
    }
    if (creds->dh_params) {
        gnutls_anon_set_server_dh_params(anon->server, creds->dh_params);
    } else {
        gnutls_anon_set_server_known_dh_params(anon->server, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

static int anon_attach(QCryptoTLSCreds *creds, gnutls_session_t session)
{
    QCryptoTLSCredsAnon *anon = QCRYPTO_TLS_CREDS_ANON(creds);

    return gnutls_credentials_set(session, GNUTLS_CRD_ANON,
                                  anon->server ? (void *)anon->server : (void *)anon->client);
}

static void anon_finalize(Object *obj)
{
    QCryptoTLSCredsAnon *anon = QCRYPTO_TLS_CREDS_ANON(obj);

    if (anon->server) {
        gnutls_anon_free_server_credentials(anon->server);
    }
    if (anon->client) {
        gnutls_anon_free_client_credentials(anon->client);
    }
}

static void anon_class_init(ObjectClass *oc, void *data)
{
    QCryptoTLSCredsClass *cc = QCRYPTO_TLS_CREDS_CLASS(oc);

    cc->load = anon_load;
    cc->attach = anon_attach;
    cc->priority = "NORMAL:-VERS-TLS1.3:+ANON-ECDH:+ANON-DH";
}

static const TypeInfo anon_info = {
    .name = TYPE_QCRYPTO_TLS_CREDS_ANON,
    .parent = TYPE_QCRYPTO_TLS_CREDS,
    .instance_size = sizeof(QCryptoTLSCredsAnon),
    .instance_finalize = anon_finalize,
    .class_init = anon_class_init,
};

static void anon_register_types(void)
{
    type_register_static(&anon_info);
}

type_init(anon_register_types)
