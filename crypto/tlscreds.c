/*
 * What all kinds of TLS credentials share: their properties, their files, their life.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/tlscreds.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"

/* More than any such file has. */
#define DH_PARAMS_MAX (64 * 1024)

QCryptoTLSCreds *qcrypto_tls_creds_find(const char *id, QCryptoTLSCredsEndpoint endpoint,
                                        Error **errp)
{
    Object *obj = object_ref_user_object(id);
    QCryptoTLSCreds *creds;

    if (!obj) {
        error_setg(errp, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    creds = (QCryptoTLSCreds *)object_dynamic_cast(obj, TYPE_QCRYPTO_TLS_CREDS);
    if (!creds) {
        error_setg(errp, "Object with id '%s' is not TLS credentials", id);
    } else if (!qatomic_mb_read(&creds->loaded)) {
        error_setg(errp, "TLS credentials '%s' are not complete yet", id);
    } else if (creds->endpoint != endpoint) {
        error_setg(errp, "Expected TLS credentials for a %s endpoint, but '%s' is for a %s",
                   QCryptoTLSCredsEndpoint_str(endpoint), id,
                   QCryptoTLSCredsEndpoint_str(creds->endpoint));
    } else {
        return creds;
    }
    object_unref(obj);
    return NULL;
}

char *qcrypto_tls_creds_path(QCryptoTLSCreds *creds, const char *name, bool required, Error **errp)
{
    g_autofree char *path = NULL;
    struct stat st;

    if (!creds->dir) {
        if (required) {
            error_setg(errp, "Missing 'dir' property value");
        }
        return NULL;
    }
    path = g_build_filename(creds->dir, name, NULL);
    if (stat(path, &st) < 0) {
        if (errno != ENOENT || required) {
            error_setg_errno(errp, errno, "Unable to access credentials %s", path);
        }
        return NULL;
    }
    return g_steal_pointer(&path);
}

bool qcrypto_tls_creds_load_dh_params(QCryptoTLSCreds *creds, Error **errp)
{
    g_autofree char *path = NULL, *text = NULL;
    Error *err = NULL;
    GError *gerr = NULL;
    gnutls_datum_t data;
    struct stat st;
    gsize len;
    int ret;

    path = qcrypto_tls_creds_path(creds, QCRYPTO_TLS_CREDS_DH_PARAMS, false, &err);
    if (!path) {
        error_propagate(errp, err);
        return !err;
    }
    if (stat(path, &st) == 0 && st.st_size > DH_PARAMS_MAX) {
        error_setg(errp, "%s is too long for Diffie-Hellman parameters", path);
        return false;
    }
    if (!g_file_get_contents(path, &text, &len, &gerr)) {
        error_setg(errp, "Unable to read Diffie-Hellman parameters: %s", gerr->message);
        g_error_free(gerr);
        return false;
    }
    data = (gnutls_datum_t){ (unsigned char *)text, len };
    ret = gnutls_dh_params_init(&creds->dh_params);
    if (ret == 0) {
        ret = gnutls_dh_params_import_pkcs3(creds->dh_params, &data, GNUTLS_X509_FMT_PEM);
    }
    if (ret < 0) {
        error_setg(errp, "Unable to load Diffie-Hellman parameters from %s: %s", path,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

/* --- properties --- */

static char *get_dir(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_TLS_CREDS(obj)->dir);
}

/* They are read once: what changes later would be without effect. */
static bool may_change(QCryptoTLSCreds *creds, const char *name, Error **errp)
{
    if (creds->loaded) {
        error_setg(errp, "Property '%s' cannot be changed: the credentials are loaded", name);
        return false;
    }
    return true;
}

static void set_dir(Object *obj, const char *value, Error **errp)
{
    QCryptoTLSCreds *creds = QCRYPTO_TLS_CREDS(obj);

    if (may_change(creds, "dir", errp)) {
        g_free(creds->dir);
        creds->dir = g_strdup(value);
    }
}

static int get_endpoint(Object *obj, Error **errp)
{
    return QCRYPTO_TLS_CREDS(obj)->endpoint;
}

static void set_endpoint(Object *obj, int value, Error **errp)
{
    if (may_change(QCRYPTO_TLS_CREDS(obj), "endpoint", errp)) {
        QCRYPTO_TLS_CREDS(obj)->endpoint = value;
    }
}

static bool get_verify_peer(Object *obj, Error **errp)
{
    return QCRYPTO_TLS_CREDS(obj)->verify_peer;
}

static void set_verify_peer(Object *obj, bool value, Error **errp)
{
    if (may_change(QCRYPTO_TLS_CREDS(obj), "verify-peer", errp)) {
        QCRYPTO_TLS_CREDS(obj)->verify_peer = value;
    }
}

static char *get_priority(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_TLS_CREDS(obj)->priority);
}

static void set_priority(Object *obj, const char *value, Error **errp)
{
    QCryptoTLSCreds *creds = QCRYPTO_TLS_CREDS(obj);

    if (may_change(creds, "priority", errp)) {
        g_free(creds->priority);
        creds->priority = g_strdup(value);
    }
}

/* --- life --- */

/* A mistake shows when the object is made, not when the first connection fails. */
static bool check_priority(QCryptoTLSCreds *creds, Error **errp)
{
    gnutls_priority_t cache;
    const char *where;
    int ret;

    if (!creds->priority) {
        return true;
    }
    ret = gnutls_priority_init(&cache, creds->priority, &where);
    if (ret < 0) {
        error_setg(errp, "Unable to set TLS session priority '%s' at '%s': %s", creds->priority,
                   where ? where : "", gnutls_strerror(ret));
        return false;
    }
    gnutls_priority_deinit(cache);
    return true;
}

static void creds_complete(UserCreatable *uc, Error **errp)
{
    QCryptoTLSCreds *creds = QCRYPTO_TLS_CREDS(uc);

    if (check_priority(creds, errp) && QCRYPTO_TLS_CREDS_GET_CLASS(creds)->load(creds, errp)) {
        qatomic_mb_set(&creds->loaded, true);
    }
}

static void creds_init(Object *obj)
{
    QCRYPTO_TLS_CREDS(obj)->verify_peer = true;
}

static void creds_finalize(Object *obj)
{
    QCryptoTLSCreds *creds = QCRYPTO_TLS_CREDS(obj);

    /* The kind's credentials went before: nothing refers to them any more. */
    if (creds->dh_params) {
        gnutls_dh_params_deinit(creds->dh_params);
    }
    g_free(creds->dir);
    g_free(creds->priority);
}

static void creds_class_init(ObjectClass *oc, void *data)
{
    USER_CREATABLE_CLASS(oc)->complete = creds_complete;

    object_class_property_add_bool(oc, "verify-peer", get_verify_peer, set_verify_peer);
    object_class_property_set_description(oc, "verify-peer", "have the other side prove itself");
    object_class_property_add_str(oc, "dir", get_dir, set_dir);
    object_class_property_set_description(oc, "dir", "where the files are");
    object_class_property_add_enum(oc, "endpoint", "QCryptoTLSCredsEndpoint",
                                   &QCryptoTLSCredsEndpoint_lookup, get_endpoint, set_endpoint);
    object_class_property_set_description(oc, "endpoint", "client or server");
    object_class_property_add_str(oc, "priority", get_priority, set_priority);
    object_class_property_set_description(oc, "priority", "GnuTLS priority string");
}

static const TypeInfo creds_info = {
    .name = TYPE_QCRYPTO_TLS_CREDS,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(QCryptoTLSCreds),
    .instance_init = creds_init,
    .instance_finalize = creds_finalize,
    .abstract = true,
    .class_size = sizeof(QCryptoTLSCredsClass),
    .class_init = creds_class_init,
    .interfaces = (InterfaceInfo[]) { { TYPE_USER_CREATABLE }, { NULL } },
};

static void creds_register_types(void)
{
    type_register_static(&creds_info);
}

type_init(creds_register_types)
