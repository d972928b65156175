/*
 * The object "secret": a password or key from the command line, the monitor or a file; plain, in
 * base64, or encrypted with another secret (AES-256-CBC, PKCS#7 padding, base64).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <gnutls/crypto.h>
#include "crypto/secret.h"
#include "qapi/error.h"
#include "qapi/qapi-types-crypto.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"

OBJECT_DECLARE_SIMPLE_TYPE(QCryptoSecret, QCRYPTO_SECRET)

#define KEY_SIZE 32
#define IV_SIZE 16
#define BLOCK_SIZE 16
/* Passwords and keys are short; a file that was named by mistake may not be. */
#define SECRET_MAX (1024 * 1024)

struct QCryptoSecret {
    Object parent_obj;

    char *data;
    char *file;
    char *keyid;
    char *iv;
    QCryptoSecretFormat format;
    bool loaded;
    uint8_t *raw;
    size_t raw_len;
};

void qcrypto_secret_free(void *data, size_t len)
{
    if (data) {
        gnutls_memset(data, 0, len);
        g_free(data);
    }
}

static void free_text(char *text)
{
    if (text) {
        qcrypto_secret_free(text, strlen(text));
    }
}

/* What base64 @text stands for, with a zero behind it. Files end in a newline as a rule. */
static uint8_t *from_base64(const char *text, size_t text_len, size_t *len, Error **errp)
{
    g_autofree char *clean = g_malloc(text_len + 1);
    size_t n = 0;
    uint8_t *out;

    for (size_t i = 0; i < text_len; i++) {
        if (!g_ascii_isspace(text[i])) {
            clean[n++] = text[i];
        }
    }
    clean[n] = '\0';
    if (n % 4 || strspn(clean, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
                     != n) {
        error_setg(errp, "Base64 data '%s' is not valid", "...");
        gnutls_memset(clean, 0, n);
        return NULL;
    }
    out = g_malloc(n + 1);
    *len = 0;
    if (n) {
        gint state = 0;
        guint save = 0;

        *len = g_base64_decode_step(clean, n, out, &state, &save);
    }
    out[*len] = '\0';
    gnutls_memset(clean, 0, n);
    return out;
}

/* The key and the IV of an encrypted secret; the key to qcrypto_secret_free(). */
static bool find_key(QCryptoSecret *s, uint8_t **key, uint8_t iv[IV_SIZE], Error **errp)
{
    g_autofree uint8_t *iv_raw = NULL;
    size_t key_len, iv_len;

    if (!s->iv) {
        error_setg(errp, "IV is required to decrypt secret");
        return false;
    }
    iv_raw = from_base64(s->iv, strlen(s->iv), &iv_len, errp);
    if (!iv_raw) {
        error_prepend(errp, "iv: ");
        return false;
    }
    if (iv_len != IV_SIZE) {
        error_setg(errp, "IV should be %d bytes in length not %zu", IV_SIZE, iv_len);
        return false;
    }
    memcpy(iv, iv_raw, IV_SIZE);
    if (!qcrypto_secret_lookup(s->keyid, key, &key_len, errp)) {
        return false;
    }
    if (key_len != KEY_SIZE) {
        error_setg(errp, "Key should be %d bytes in length, secret '%s' has %zu", KEY_SIZE,
                   s->keyid, key_len);
        qcrypto_secret_free(*key, key_len);
        return false;
    }
    return true;
}

/* Takes the padding off. True when it was as it has to be. */
static bool strip_padding(uint8_t *data, size_t *len)
{
    uint8_t pad = *len ? data[*len - 1] : 0;

    if (pad == 0 || pad > BLOCK_SIZE || pad > *len) {
        return false;
    }
    for (size_t i = *len - pad; i < *len; i++) {
        if (data[i] != pad) {
            return false;
        }
    }
    *len -= pad;
    data[*len] = '\0';
    return true;
}

/* Turns the ciphertext in raw into what it stands for. */
static bool decrypt(QCryptoSecret *s, Error **errp)
{
    uint8_t iv[IV_SIZE];
    gnutls_datum_t key_data, iv_data = { iv, IV_SIZE };
    gnutls_cipher_hd_t cipher;
    uint8_t *key;
    int ret;

    if (!find_key(s, &key, iv, errp)) {
        return false;
    }
    if (!s->raw_len || s->raw_len % BLOCK_SIZE) {
        error_setg(errp, "The encrypted secret has %zu bytes, which is no multiple of %d",
                   s->raw_len, BLOCK_SIZE);
        qcrypto_secret_free(key, KEY_SIZE);
        return false;
    }
    key_data = (gnutls_datum_t){ key, KEY_SIZE };
    ret = gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_CBC, &key_data, &iv_data);
    if (ret == 0) {
        ret = gnutls_cipher_decrypt(cipher, s->raw, s->raw_len);
        gnutls_cipher_deinit(cipher);
    }
    qcrypto_secret_free(key, KEY_SIZE);
    if (ret < 0) {
        error_setg(errp, "Cannot decrypt the secret: %s", gnutls_strerror(ret));
        return false;
    }
    if (!strip_padding(s->raw, &s->raw_len)) {
        error_setg(errp, "Incorrect padding found in the decrypted secret: is the key right?");
        return false;
    }
    return true;
}

static bool read_file(const char *path, char **text, size_t *len, Error **errp)
{
    GError *gerr = NULL;
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > SECRET_MAX) {
        error_setg(errp, "%s is too long for a secret", path);
        return false;
    }
    if (!g_file_get_contents(path, text, len, &gerr)) {
        error_setg(errp, "Unable to read %s: %s", path, gerr->message);
        g_error_free(gerr);
        return false;
    }
    return true;
}

static void secret_complete(UserCreatable *uc, Error **errp)
{
    QCryptoSecret *s = QCRYPTO_SECRET(uc);
    char *text = NULL;
    size_t len;

    if (!s->data == !s->file) {
        error_setg(errp, s->data ? "'file' and 'data' are mutually exclusive"
                                 : "Must provide 'file' or 'data'");
        return;
    }
    if (s->iv && !s->keyid) {
        error_setg(errp, "'iv' is of no use without 'keyid'");
        return;
    }
    if (s->file) {
        if (!read_file(s->file, &text, &len, errp)) {
            return;
        }
    } else {
        text = g_strdup(s->data);
        len = strlen(text);
    }
    if (s->keyid || s->format == Q_CRYPTO_SECRET_FORMAT_BASE64) {
        s->raw = from_base64(text, len, &s->raw_len, errp);
        qcrypto_secret_free(text, len);
    } else {
        s->raw = (uint8_t *)text;
        s->raw_len = len;
    }
    if (!s->raw || (s->keyid && !decrypt(s, errp))) {
        return;
    }
    if (s->keyid && s->format == Q_CRYPTO_SECRET_FORMAT_BASE64) {
        /* What was encrypted is in base64 itself. */
        uint8_t *inner = from_base64((char *)s->raw, s->raw_len, &len, errp);

        if (!inner) {
            return;
        }
        qcrypto_secret_free(s->raw, s->raw_len);
        s->raw = inner;
        s->raw_len = len;
    }
    free_text(g_steal_pointer(&s->data));
    s->loaded = true;
}

/* --- looking up --- */

bool qcrypto_secret_lookup(const char *id, uint8_t **data, size_t *len, Error **errp)
{
    Object *obj = object_resolve_path_component(object_get_objects_root(), id);
    QCryptoSecret *s;

    if (!obj) {
        error_setg(errp, "No secret with id '%s'", id);
        return false;
    }
    s = (QCryptoSecret *)object_dynamic_cast(obj, TYPE_QCRYPTO_SECRET);
    if (!s) {
        error_setg(errp, "Object with id '%s' is not a secret", id);
        return false;
    }
    if (!s->loaded) {
        error_setg(errp, "Secret with id '%s' has no data", id);
        return false;
    }
    *len = s->raw_len;
    *data = g_malloc(s->raw_len + 1);
    memcpy(*data, s->raw, s->raw_len);
    (*data)[s->raw_len] = '\0';
    return true;
}

char *qcrypto_secret_lookup_as_utf8(const char *id, Error **errp)
{
    uint8_t *data;
    size_t len;

    if (!qcrypto_secret_lookup(id, &data, &len, errp)) {
        return NULL;
    }
    if (!g_utf8_validate((char *)data, len, NULL)) {
        error_setg(errp, "Data from secret %s is not valid UTF-8", id);
        qcrypto_secret_free(data, len);
        return NULL;
    }
    return (char *)data;
}

/* --- properties: what is secret can be written only --- */

#define TEXT_SETTER(member, name)                                                       \
    static void set_##member(Object *obj, const char *value, Error **errp)              \
    {                                                                                   \
        QCryptoSecret *s = QCRYPTO_SECRET(obj);                                         \
                                                                                        \
        if (s->loaded) {                                                                \
            error_setg(errp, "Property '" name "' cannot be changed any more");         \
            return;                                                                     \
        }                                                                               \
        free_text(s->member);                                                           \
        s->member = g_strdup(value);                                                    \
    }
TEXT_SETTER(data, "data")
TEXT_SETTER(file, "file")
TEXT_SETTER(keyid, "keyid")
TEXT_SETTER(iv, "iv")

static char *get_file(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_SECRET(obj)->file);
}

static char *get_keyid(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_SECRET(obj)->keyid);
}

static char *get_iv(Object *obj, Error **errp)
{
    return g_strdup(QCRYPTO_SECRET(obj)->iv);
}

static int get_format(Object *obj, Error **errp)
{
    return QCRYPTO_SECRET(obj)->format;
}

static void set_format(Object *obj, int value, Error **errp)
{
    if (QCRYPTO_SECRET(obj)->loaded) {
        error_setg(errp, "Property 'format' cannot be changed any more");
        return;
    }
    QCRYPTO_SECRET(obj)->format = value;
}

static void secret_finalize(Object *obj)
{
    QCryptoSecret *s = QCRYPTO_SECRET(obj);

    free_text(s->data);
    qcrypto_secret_free(s->raw, s->raw_len);
    g_free(s->file);
    g_free(s->keyid);
    g_free(s->iv);
}

static void secret_class_init(ObjectClass *oc, void *data)
{
    USER_CREATABLE_CLASS(oc)->complete = secret_complete;

    object_class_property_add_str(oc, "data", NULL, set_data);
    object_class_property_set_description(oc, "data", "the secret itself");
    object_class_property_add_str(oc, "file", get_file, set_file);
    object_class_property_set_description(oc, "file", "file that holds it");
    object_class_property_add_str(oc, "keyid", get_keyid, set_keyid);
    object_class_property_set_description(oc, "keyid", "secret that it is encrypted with");
    object_class_property_add_str(oc, "iv", get_iv, set_iv);
    object_class_property_set_description(oc, "iv", "initialization vector, in base64");
    object_class_property_add_enum(oc, "format", "QCryptoSecretFormat",
                                   &QCryptoSecretFormat_lookup, get_format, set_format);
    object_class_property_set_description(oc, "format", "raw or base64");
}

static const TypeInfo secret_info = {
    .name = TYPE_QCRYPTO_SECRET,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(QCryptoSecret),
    .instance_finalize = secret_finalize,
    .class_init = secret_class_init,
    .interfaces = (InterfaceInfo[]) { { TYPE_USER_CREATABLE }, { NULL } },
};

static void secret_register_types(void)
{
    type_register_static(&secret_info);
}

type_init(secret_register_types)
