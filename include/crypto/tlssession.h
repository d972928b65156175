/*
 * One end of a TLS connection, over functions that move bytes.
 *
 * After the handshake one thread may send while another receives; one of them waits while the other
 * is in here, so what moves bytes for them must not wait. Everything else belongs to the
 * thread that does the handshake, which is the main one where authorization is asked for.
 *
 * Errors: the reason as GnuTLS gives it, and the alert that the peer sent, if any.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CRYPTO_TLSSESSION_H
#define CRYPTO_TLSSESSION_H

#include "crypto/tlscreds.h"

typedef struct QCryptoTLSSession QCryptoTLSSession;

/*
 * Bytes moved, or -1 with errno set; EAGAIN: later. After the handshake one runs on the sending
 * thread, the other on the receiving one, and never both at once.
 */
typedef ssize_t (*QCryptoTLSPush)(const struct iovec *iov, size_t niov, void *opaque);
typedef ssize_t (*QCryptoTLSPull)(void *buf, size_t len, void *opaque);

/* Later, once the connection is ready. No Error is set with it. */
#define QCRYPTO_TLS_SESSION_ERR_BLOCK -2
/* The peer went without a good-bye. No Error is set with it. */
#define QCRYPTO_TLS_SESSION_PREMATURE -3

typedef enum QCryptoTLSHandshake {
    QCRYPTO_TLS_HANDSHAKE_ERROR = -1,
    QCRYPTO_TLS_HANDSHAKE_COMPLETE,
    QCRYPTO_TLS_HANDSHAKE_SENDING,  /* it waits until bytes can be sent */
    QCRYPTO_TLS_HANDSHAKE_RECVING,
} QCryptoTLSHandshake;

/*
 * @hostname: of a client: whom it expects (may be NULL, which certificates do not do with).
 * @authzid: of a server: the object that says who is let in, or NULL. NULL with @errp set.
 */
QCryptoTLSSession *qcrypto_tls_session_new(QCryptoTLSCreds *creds, const char *hostname,
                                           const char *authzid, Error **errp);
void qcrypto_tls_session_free(QCryptoTLSSession *session);

void qcrypto_tls_session_set_callbacks(QCryptoTLSSession *session, QCryptoTLSPush push,
                                       QCryptoTLSPull pull, void *opaque);

/*
 * Goes on with the handshake as far as it gets. At its end the peer still has to be checked; the
 * alerts that go with errors of either are sent.
 */
QCryptoTLSHandshake qcrypto_tls_session_handshake(QCryptoTLSSession *session, Error **errp);
bool qcrypto_tls_session_check_credentials(QCryptoTLSSession *session, Error **errp);

/* Most that goes into one record. */
size_t qcrypto_tls_session_record_size(QCryptoTLSSession *session);
/* Whether memory that others write to meanwhile may be sent without copying it first. */
bool qcrypto_tls_session_may_borrow(QCryptoTLSSession *session);

/*
 * Sends up to a record. The bytes taken, ERR_BLOCK (then the next call must have the same bytes),
 * or -1 with @errp set.
 */
ssize_t qcrypto_tls_session_write(QCryptoTLSSession *session, const void *buf, size_t len,
                                  Error **errp);

/*
 * The content of the next record: *@data points into the session until the next call. Its length,
 * 0 when the peer has said good-bye, ERR_BLOCK, PREMATURE, or -1 with @errp set.
 */
ssize_t qcrypto_tls_session_read(QCryptoTLSSession *session, const uint8_t **data, Error **errp);

/* Says good-bye: 0, ERR_BLOCK, or -1 with @errp set. The sending thread's. */
int qcrypto_tls_session_bye(QCryptoTLSSession *session, Error **errp);

/* The alert that ended the connection, by its name; NULL when none has come. Any thread. */
const char *qcrypto_tls_session_alert(QCryptoTLSSession *session);

/*
 * What is needed to go on sending in the session's place, after the handshake. The session must not
 * send anything any more from then on.
 */
typedef struct QCryptoTLSSendState {
    unsigned version;           /* on the wire: 0x303 for TLS 1.2, 0x304 for 1.3 */
    enum { QCRYPTO_TLS_AES_128_GCM, QCRYPTO_TLS_AES_256_GCM, QCRYPTO_TLS_CHACHA20_POLY1305 } cipher;
    uint8_t key[32];            /* as many bytes as the cipher has */
    uint8_t iv[12];             /* TLS 1.2 with GCM: the implicit 4 bytes of it */
    size_t iv_len;
    uint8_t sequence[8];        /* of the next record */
} QCryptoTLSSendState;

/* False: the session uses something that this does not describe. */
bool qcrypto_tls_session_send_state(QCryptoTLSSession *session, QCryptoTLSSendState *state);

/* Who the peer is, after the check: its name in the certificate, or of its key; NULL: unknown. */
const char *qcrypto_tls_session_peer_name(QCryptoTLSSession *session);

/* What it was made with; they live as long as it does. @authzid may be NULL. */
QCryptoTLSCreds *qcrypto_tls_session_creds(QCryptoTLSSession *session);
const char *qcrypto_tls_session_authzid(QCryptoTLSSession *session);

/* Protocol and ciphers in words, to g_free(). */
char *qcrypto_tls_session_describe(QCryptoTLSSession *session);

#endif /* CRYPTO_TLSSESSION_H */
