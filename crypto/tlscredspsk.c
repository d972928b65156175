/*
 * tls-creds-psk: keys that both sides have, in a file of lines USER:HEXKEY, as psktool makes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/tlscreds.h"
#include "qapi/error.h"
#include "qemu/module.h"

OBJECT_DECLARE_SIMPLE_TYPE(QCryptoTLSCredsPSK, QCRYPTO_TLS_CREDS_PSK)

struct QCryptoTLSCredsPSK {
    QCryptoTLSCreds parent_obj;

    char *username;
    gnutls_psk_server_credentials_t server;
    gnutls_psk_client_credentials_t client;
};

static void wipe_and_free(char *text)
{
    gnutls_memset(text, 0, strlen(text));
    g_free(text);
}

/* The key of @username as it stands in the file, to wipe_and_free(); NULL with @errp set. */
static char *find_key(const char *path, const char *username, Error **errp)
{
    GError *gerr = NULL;
    size_t len = strlen(username);
    char *text, *key = NULL, *next;

    if (!g_file_get_contents(path, &text, NULL, &gerr)) {
        error_setg(errp, "Cannot read PSK file %s: %s", path, gerr->message);
        g_error_free(gerr);
        return NULL;
    }
    for (char *line = text; line && !key; line = next) {
        next = strchr(line, '\n');
        if (!strncmp(line, username, len) && line[len] == ':') {
            key = g_strndup(line + len + 1, strcspn(line + len + 1, "\r\n"));
        }
        next = next ? next + 1 : NULL;
    }
    wipe_and_free(text);
    if (!key) {
        error_setg(errp, "Username %s not found in PSK file %s", username, path);
    }
    return key;
}

static bool load_server(QCryptoTLSCredsPSK *psk, const char *path, Error **errp)
{
    QCryptoTLSCreds *creds = QCRYPTO_TLS_CREDS(psk);
    int ret;

    if (psk->username) {
        error_setg(errp, "username should not be set when endpoint=server");
        return false;
    }
    ret = gnutls_psk_allocate_server_credentials(&psk->server);
    if (ret == 0) {
        ret = gnutls_psk_set_server_credentials_file(psk->server, path);
    }
    if (ret < 0) {
        error_setg(errp, "Cannot set PSK file %s: %s", path, gnutls_strerror(ret));
        return false;
    }
    if (!qcrypto_tls_creds_load_dh_params(creds, errp)) {
        return false;
    }
    if (creds->dh_params) {
        gnutls_psk_set_server_dh_params(psk->server, creds->dh_params);
    } else {
        gnutls_psk_set_server_known_dh_params(psk->server, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

static bool load_client(QCryptoTLSCredsPSK *psk, const char *path, Error **errp)
{
    const char *username = psk->username ? psk->username : "qemu";
    char *key = find_key(path, username, errp);
    gnutls_datum_t data;
    int ret;

    if (!key) {
        return false;
    }
    data = (gnutls_datum_t){ (unsigned char *)key, strlen(key) };
    ret = gnutls_psk_allocate_client_credentials(&psk->client);
    if (ret == 0) {
        ret = gnutls_psk_set_client_credentials(psk->client, username, &data, GNUTLS_PSK_KEY_HEX);
    }
    wipe_and_free(key);
    if (ret < 0) {
        error_setg(errp, "Cannot use the key of %s in PSK file %s: %s", username, path,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool psk_load(QCryptoTLSCreds *creds, Error **errp)
{
    QCryptoTLSCredsPSK *psk = QCRYPTO_TLS_CREDS_PSK(creds);
    g_autofree char *path = qcrypto_tls_creds_path(creds, QCRYPTO_TLS_CREDS_PSKFILE, true, errp);

    if (!path) {
        return false;
    }
    return creds->endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER ? load_server(psk, path, errp)
                                                                 : load_client(psk, path, errp);
}

static int psk_attach(QCryptoTLSCreds *creds, gnutls_session_t session)
{
    QCryptoTLSCredsPSK *psk = QCRYPTO_TLS_CREDS_PSK(creds);

    return gnutls_credentials_set(session, GNUTLS_CRD_PSK,
                                  psk->server ? (void *)psk->server : (void *)psk->client);
}

static char *get_username(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_TLS_CREDS_PSK(obj)->username);
}

static void set_username(Object *obj, const char *value, Error **errp)
{
    QCryptoTLSCredsPSK *psk = QCRYPTO_TLS_CREDS_PSK(obj);

    if (QCRYPTO_TLS_CREDS(obj)->loaded) {
        error_setg(errp, "Property 'username' cannot be changed: the credentials are loaded");
        return;
    }
    g_free(psk->username);
    psk->username = g_strdup(value);
}

static void psk_finalize(Object *obj)
{
    QCryptoTLSCredsPSK *psk = QCRYPTO_TLS_CREDS_PSK(obj);

    if (psk->server) {
        gnutls_psk_free_server_credentials(psk->server);
    }
    if (psk->client) {
        gnutls_psk_free_client_credentials(psk->client);
    }
    g_free(psk->username);
}

static void psk_class_init(ObjectClass *oc, void *data)
{
    QCryptoTLSCredsClass *cc = QCRYPTO_TLS_CREDS_CLASS(oc);

    cc->load = psk_load;
    cc->attach = psk_attach;
    cc->priority = "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK";
    object_class_property_add_str(oc, "username", get_username, set_username);
    object_class_property_set_description(oc, "username", "whose key a client uses");
}

static const TypeInfo psk_info = {
    .name = TYPE_QCRYPTO_TLS_CREDS_PSK,
    .parent = TYPE_QCRYPTO_TLS_CREDS,
    .instance_size = sizeof(QCryptoTLSCredsPSK),
    .instance_finalize = psk_finalize,
    .class_init = psk_class_init,
};

static void psk_register_types(void)
{
    type_register_static(&psk_info);
}

type_init(psk_register_types)
