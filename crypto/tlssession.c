/*
 * A TLS session, on GnuTLS: what is agreed on, the handshake, who the peer is, records.
 *
 * Two threads may use a session, but GnuTLS never sees both: a change of keys, which a peer may ask
 * for at any time and GnuTLS makes by itself after 2^24 records, is noted by the one direction and
 * done by the other, in tables that are both's. So each call runs under a lock, and the functions
 * that move bytes do not wait. Errors of the transport come in the thread's own errno, and no alert
 * is sent while the other thread may be sending.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <gnutls/x509.h>
#include "crypto/authz.h"
#include "crypto/tlssession.h"
#include "qapi/error.h"
#include "qemu/atomic.h"

struct QCryptoTLSSession {
    QCryptoTLSCreds *creds;
    gnutls_session_t handle;
    char *hostname;
    char *authzid;
    char *peer_name;
    QCryptoTLSPush push;
    QCryptoTLSPull pull;
    void *opaque;
    bool handshake_done;

    GMutex lock;                /* around what GnuTLS does with handle after the handshake */
    /* The sender's. */
    bool write_pending;         /* a record is made and has not gone out */
    /* The receiver's. */
    gnutls_packet_t packet;     /* that the last read handed out */

    const char *alert;          /* atomic; GnuTLS's own string */
};

/* AES first, with the key size that is enough and quicker; all else as GnuTLS has it. */
#define CIPHERS                                                                                    \
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-CCM:+AES-256-CCM"          \
    ":+AES-128-CBC:+AES-256-CBC"

static bool is_server(const QCryptoTLSSession *s)
{
    return s->creds->endpoint == Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER;
}

static bool is_kind(const QCryptoTLSSession *s, const char *type)
{
    return object_dynamic_cast(OBJECT(s->creds), type);
}

static bool set_priority(QCryptoTLSSession *s, Error **errp)
{
    g_autofree char *text = NULL;
    const char *where = NULL;
    int ret;

    text = s->creds->priority ? g_strdup(s->creds->priority)
        : g_strconcat(QCRYPTO_TLS_CREDS_GET_CLASS(s->creds)->priority, CIPHERS, NULL);
    ret = gnutls_priority_set_direct(s->handle, text, &where);
    if (ret < 0) {
        error_setg(errp, "Unable to set TLS session priority '%s': %s", text, gnutls_strerror(ret));
        return false;
    }
    return true;
}

QCryptoTLSSession *qcrypto_tls_session_new(QCryptoTLSCreds *creds, const char *hostname,
                                           const char *authzid, Error **errp)
{
    QCryptoTLSSession *s = g_new0(QCryptoTLSSession, 1);
    int ret;

    g_mutex_init(&s->lock);
    s->creds = creds;
    object_ref(OBJECT(creds));
    s->hostname = g_strdup(hostname);
    s->authzid = g_strdup(authzid);
    if (s->authzid && is_kind(s, TYPE_QCRYPTO_TLS_CREDS_ANON)) {
        error_setg(errp, "Anonymous TLS clients have no identity that '%s' could decide about",
                   s->authzid);
        goto fail;
    }
    /* Nobody comes back to resume a session: tickets would only lie unread in the socket. */
    ret = gnutls_init(&s->handle, (is_server(s) ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                  GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    if (ret < 0) {
        s->handle = NULL;
        error_setg(errp, "Cannot initialize TLS session: %s", gnutls_strerror(ret));
        goto fail;
    }
    if (!set_priority(s, errp)) {
        goto fail;
    }
    ret = QCRYPTO_TLS_CREDS_GET_CLASS(creds)->attach(creds, s->handle);
    if (ret < 0) {
        error_setg(errp, "Cannot set TLS session credentials: %s", gnutls_strerror(ret));
        goto fail;
    }
    return s;

fail:
    qcrypto_tls_session_free(s);
    return NULL;
}

void qcrypto_tls_session_free(QCryptoTLSSession *s)
{
    if (!s) {
        return;
    }
    if (s->packet) {
        gnutls_packet_deinit(s->packet);
    }
    if (s->handle) {
        gnutls_deinit(s->handle);
    }
    object_unref(OBJECT(s->creds));
    g_free(s->hostname);
    g_free(s->authzid);
    g_free(s->peer_name);
    g_mutex_clear(&s->lock);
    g_free(s);
}

static ssize_t push_trampoline(gnutls_transport_ptr_t ptr, const giovec_t *iov, int niov)
{
    QCryptoTLSSession *s = ptr;

    return s->push(iov, niov, s->opaque);
}

static ssize_t pull_trampoline(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
    QCryptoTLSSession *s = ptr;

    return s->pull(buf, len, s->opaque);
}

void qcrypto_tls_session_set_callbacks(QCryptoTLSSession *s, QCryptoTLSPush push,
                                       QCryptoTLSPull pull, void *opaque)
{
    s->push = push;
    s->pull = pull;
    s->opaque = opaque;
    gnutls_transport_set_ptr(s->handle, s);
    gnutls_transport_set_vec_push_function(s->handle, push_trampoline);
    gnutls_transport_set_pull_function(s->handle, pull_trampoline);
}

/* --- errors --- */

/* Says what @ret means, with the alert where it means one. */
static void describe_error(QCryptoTLSSession *s, int ret, const char *what, Error **errp)
{
    switch (ret) {
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
    case GNUTLS_E_WARNING_ALERT_RECEIVED: {
        const char *name = gnutls_alert_get_name(gnutls_alert_get(s->handle));

        qatomic_set(&s->alert, name);
        error_setg(errp, "%s: the peer refused it with TLS alert '%s'", what,
                   name ? name : "unknown");
        break;
    }
    case GNUTLS_E_PREMATURE_TERMINATION:
        error_setg(errp, "%s: the peer closed the connection (%s)", what, gnutls_strerror(ret));
        break;
    case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_UNEXPECTED_PACKET:
        error_setg(errp, "%s: %s%s", what, gnutls_strerror(ret),
                   s->handshake_done ? "" : " Does the peer use TLS?");
        break;
    default:
        error_setg(errp, "%s: %s", what, gnutls_strerror(ret));
    }
}

const char *qcrypto_tls_session_alert(QCryptoTLSSession *s)
{
    return qatomic_read(&s->alert);
}

/* --- the handshake --- */

QCryptoTLSHandshake qcrypto_tls_session_handshake(QCryptoTLSSession *s, Error **errp)
{
    int ret;

    do {
        ret = gnutls_handshake(s->handle);
    } while (ret == GNUTLS_E_INTERRUPTED || ret == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (ret == GNUTLS_E_SUCCESS) {
        s->handshake_done = true;
        return QCRYPTO_TLS_HANDSHAKE_COMPLETE;
    }
    if (ret == GNUTLS_E_AGAIN) {
        return gnutls_record_get_direction(s->handle) ? QCRYPTO_TLS_HANDSHAKE_SENDING
                                                      : QCRYPTO_TLS_HANDSHAKE_RECVING;
    }
    describe_error(s, ret, "TLS handshake failed", errp);
    if (ret != GNUTLS_E_FATAL_ALERT_RECEIVED && ret != GNUTLS_E_PREMATURE_TERMINATION &&
        ret != GNUTLS_E_PULL_ERROR && ret != GNUTLS_E_PUSH_ERROR) {
        gnutls_alert_send_appropriate(s->handle, ret); /* if it gets through: good */
    }
    return QCRYPTO_TLS_HANDSHAKE_ERROR;
}

static void refuse(QCryptoTLSSession *s, gnutls_alert_description_t alert)
{
    gnutls_alert_send(s->handle, GNUTLS_AL_FATAL, alert);
}

static void refuse_certificate(QCryptoTLSSession *s, unsigned status, Error **errp)
{
    const char *who = is_server(s) ? "client" : "server";
    gnutls_datum_t text = { 0 };

    if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
        error_setg(errp, "Certificate of the TLS %s does not match the hostname %s", who,
                   s->hostname);
    } else if (gnutls_certificate_verification_status_print(
                   status, gnutls_certificate_type_get2(s->handle, GNUTLS_CTYPE_PEERS), &text, 0) ==
               0) {
        error_setg(errp, "Certificate of the TLS %s is refused: %s", who,
                   g_strchomp((char *)text.data));
        gnutls_free(text.data);
    } else {
        error_setg(errp, "Certificate of the TLS %s is refused (status 0x%x)", who, status);
    }
    refuse(s, status & GNUTLS_CERT_REVOKED            ? GNUTLS_A_CERTIFICATE_REVOKED
              : status & GNUTLS_CERT_EXPIRED          ? GNUTLS_A_CERTIFICATE_EXPIRED
              : status & GNUTLS_CERT_SIGNER_NOT_FOUND ? GNUTLS_A_UNKNOWN_CA
                                                      : GNUTLS_A_BAD_CERTIFICATE);
}

/* The name in the peer's certificate. */
static bool find_certificate_name(QCryptoTLSSession *s, Error **errp)
{
    unsigned count = 0;
    const gnutls_datum_t *certs = gnutls_certificate_get_peers(s->handle, &count);
    gnutls_x509_crt_t cert;
    size_t size = 0;
    int ret;

    if (!certs || !count) {
        error_setg(errp, "The TLS peer has no certificate");
        return false;
    }
    ret = gnutls_x509_crt_init(&cert);
    if (ret < 0) {
        error_setg(errp, "Cannot look at the peer's certificate: %s", gnutls_strerror(ret));
        return false;
    }
    ret = gnutls_x509_crt_import(cert, &certs[0], GNUTLS_X509_FMT_DER);
    if (ret == 0) {
        ret = gnutls_x509_crt_get_dn(cert, NULL, &size);
    }
    if (ret == GNUTLS_E_SHORT_MEMORY_BUFFER) {
        s->peer_name = g_malloc0(size + 1);
        ret = gnutls_x509_crt_get_dn(cert, s->peer_name, &size);
    }
    gnutls_x509_crt_deinit(cert);
    if (ret < 0 && ret != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        g_clear_pointer(&s->peer_name, g_free);
        error_setg(errp, "Cannot read the name in the peer's certificate: %s",
                   gnutls_strerror(ret));
        return false;
    }
    if (!s->peer_name) {
        s->peer_name = g_strdup("");
    }
    return true;
}

static bool check_certificate(QCryptoTLSSession *s, Error **errp)
{
    gnutls_typed_vdata_st data[2];
    unsigned n = 0, status = 0;
    int ret;

    if (!is_server(s) && !s->hostname) {
        error_setg(errp, "No hostname for certificate validation");
        refuse(s, GNUTLS_A_BAD_CERTIFICATE);
        return false;
    }
    data[n++] = (gnutls_typed_vdata_st){
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(is_server(s) ? GNUTLS_KP_TLS_WWW_CLIENT
                                               : GNUTLS_KP_TLS_WWW_SERVER),
    };
    if (!is_server(s)) {
        data[n++] = (gnutls_typed_vdata_st){ .type = GNUTLS_DT_DNS_HOSTNAME,
                                             .data = (unsigned char *)s->hostname };
    }
    ret = gnutls_certificate_verify_peers(s->handle, data, n, &status);
    if (ret == GNUTLS_E_NO_CERTIFICATE_FOUND) {
        error_setg(errp, "The TLS %s has no certificate, and needs one",
                   is_server(s) ? "client" : "server");
        refuse(s, GNUTLS_A_CERTIFICATE_REQUIRED);
        return false;
    }
    if (ret < 0) {
        error_setg(errp, "Cannot verify the certificate of the TLS peer: %s", gnutls_strerror(ret));
        refuse(s, GNUTLS_A_BAD_CERTIFICATE);
        return false;
    }
    if (status) {
        refuse_certificate(s, status, errp);
        return false;
    }
    return find_certificate_name(s, errp);
}

static bool check_authorization(QCryptoTLSSession *s, Error **errp)
{
    Error *err = NULL;

    if (!s->peer_name) {
        error_setg(errp, "The TLS client has not said who it is, and '%s' is to decide about it",
                   s->authzid);
    } else if (qauthz_is_allowed_by_id(s->authzid, s->peer_name, &err)) {
        return true;
    } else if (err) {
        error_propagate_prepend(errp, err, "TLS client '%s' is refused: ", s->peer_name);
    } else {
        error_setg(errp, "TLS client '%s' is refused by '%s'", s->peer_name, s->authzid);
    }
    refuse(s, GNUTLS_A_ACCESS_DENIED);
    return false;
}

bool qcrypto_tls_session_check_credentials(QCryptoTLSSession *s, Error **errp)
{
    if (is_kind(s, TYPE_QCRYPTO_TLS_CREDS_X509)) {
        if (s->creds->verify_peer && !check_certificate(s, errp)) {
            return false;
        }
    } else if (is_kind(s, TYPE_QCRYPTO_TLS_CREDS_PSK) && is_server(s)) {
        s->peer_name = g_strdup(gnutls_psk_server_get_username(s->handle));
    }
    return !is_server(s) || !s->authzid || check_authorization(s, errp);
}

const char *qcrypto_tls_session_peer_name(QCryptoTLSSession *s)
{
    return s->peer_name;
}

QCryptoTLSCreds *qcrypto_tls_session_creds(QCryptoTLSSession *s)
{
    return s->creds;
}

const char *qcrypto_tls_session_authzid(QCryptoTLSSession *s)
{
    return s->authzid;
}

char *qcrypto_tls_session_describe(QCryptoTLSSession *s)
{
    char *text = gnutls_session_get_desc(s->handle);
    char *copy = g_strdup(text ? text : "unknown");

    gnutls_free(text);
    return copy;
}

/* --- records --- */

size_t qcrypto_tls_session_record_size(QCryptoTLSSession *s)
{
    return gnutls_record_get_max_size(s->handle);
}

bool qcrypto_tls_session_may_borrow(QCryptoTLSSession *s)
{
    /* These sign what they have encrypted. The others would sign one thing and encrypt another. */
    switch (gnutls_cipher_get(s->handle)) {
    case GNUTLS_CIPHER_AES_128_GCM:
    case GNUTLS_CIPHER_AES_192_GCM:
    case GNUTLS_CIPHER_AES_256_GCM:
    case GNUTLS_CIPHER_CHACHA20_POLY1305:
        return true;
    default:
        return false;
    }
}

bool qcrypto_tls_session_send_state(QCryptoTLSSession *s, QCryptoTLSSendState *state)
{
    gnutls_datum_t mac, iv, key;
    size_t key_len = 32;

    memset(state, 0, sizeof(*state));
    switch (gnutls_protocol_get_version(s->handle)) {
    case GNUTLS_TLS1_2:
        state->version = 0x303;
        break;
    case GNUTLS_TLS1_3:
        state->version = 0x304;
        break;
    default:
        return false;
    }
    switch (gnutls_cipher_get(s->handle)) {
    case GNUTLS_CIPHER_AES_128_GCM:
        state->cipher = QCRYPTO_TLS_AES_128_GCM;
        key_len = 16;
        break;
    case GNUTLS_CIPHER_AES_256_GCM:
        state->cipher = QCRYPTO_TLS_AES_256_GCM;
        break;
    case GNUTLS_CIPHER_CHACHA20_POLY1305:
        state->cipher = QCRYPTO_TLS_CHACHA20_POLY1305;
        break;
    default:
        return false;
    }
    state->iv_len = state->version == 0x303 && state->cipher != QCRYPTO_TLS_CHACHA20_POLY1305 ? 4
                                                                                             : 12;
    if (s->write_pending ||
        gnutls_record_get_state(s->handle, 0, &mac, &iv, &key, state->sequence) < 0 ||
        key.size != key_len || iv.size != state->iv_len) {
        return false;
    }
    memcpy(state->key, key.data, key.size);
    memcpy(state->iv, iv.data, iv.size);
    return true;
}

ssize_t qcrypto_tls_session_write(QCryptoTLSSession *s, const void *buf, size_t len, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);
    ssize_t ret;

    do {
        /* A record that is made already goes out as it is. */
        ret = s->write_pending ? gnutls_record_send(s->handle, NULL, 0)
                               : gnutls_record_send(s->handle, buf, len);
        s->write_pending = ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED;
    } while (ret == GNUTLS_E_INTERRUPTED);
    if (ret >= 0) {
        return ret;
    }
    if (ret == GNUTLS_E_AGAIN) {
        return QCRYPTO_TLS_SESSION_ERR_BLOCK;
    }
    describe_error(s, ret, "Cannot write to TLS channel", errp);
    return -1;
}

ssize_t qcrypto_tls_session_read(QCryptoTLSSession *s, const uint8_t **data, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);
    ssize_t ret;

    for (;;) {
        gnutls_datum_t content;

        if (s->packet) {
            gnutls_packet_deinit(s->packet);
            s->packet = NULL;
        }
        ret = gnutls_record_recv_packet(s->handle, &s->packet);
        if (ret > 0) {
            gnutls_packet_get(s->packet, &content, NULL);
            *data = content.data;
            return content.size;
        }
        if (ret == 0 && !s->packet) {
            return 0;
        }
        if (ret < 0 && ret != GNUTLS_E_INTERRUPTED && ret != GNUTLS_E_WARNING_ALERT_RECEIVED) {
            break;
        }
        /* An empty record, or a warning: the next one may say more. */
    }
    s->packet = NULL;
    switch (ret) {
    case GNUTLS_E_AGAIN:
        return QCRYPTO_TLS_SESSION_ERR_BLOCK;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return QCRYPTO_TLS_SESSION_PREMATURE;
    case GNUTLS_E_REHANDSHAKE:
        error_setg(errp, "Cannot read from TLS channel: the peer wants another handshake in the "
                   "middle of the stream");
        return -1;
    default:
        describe_error(s, ret, "Cannot read from TLS channel", errp);
        return -1;
    }
}

int qcrypto_tls_session_bye(QCryptoTLSSession *s, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&s->lock);
    int ret;

    do {
        ret = gnutls_bye(s->handle, GNUTLS_SHUT_WR);
    } while (ret == GNUTLS_E_INTERRUPTED);
    if (ret == GNUTLS_E_AGAIN) {
        return QCRYPTO_TLS_SESSION_ERR_BLOCK;
    }
    if (ret < 0) {
        describe_error(s, ret, "Cannot say good-bye on TLS channel", errp);
        return -1;
    }
    return 0;
}
