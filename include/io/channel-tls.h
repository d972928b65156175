/*
 * TLS over any other channel.
 *
 * A channel is made, does its handshake, and is then used as any other: by one reading and one
 * writing thread. Errors give the reason and the alert of the peer, if it sent one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_TLS_H
#define IO_CHANNEL_TLS_H

#include "crypto/tlssession.h"
#include "io/channel.h"
#include "io/task.h"

#define TYPE_QIO_CHANNEL_TLS "qio-channel-tls"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelTLS, QIO_CHANNEL_TLS)

struct QIOChannelTLS {
    QIOChannel parent;
    QIOChannel *master;
    QCryptoTLSSession *session;
    bool blocking;
    bool handshaking;
    bool shut;               /* atomic: it was shut down on this side */

    /* The writing thread's. */
    uint8_t *out;            /* records on their way to the master */
    size_t out_pos, out_used;
    size_t unsent;           /* bytes whose record did not go out whole: it is in there */
    uint8_t *gathered;       /* the content of one record, from many places */
    bool kernel_sends;       /* what is written to the master gets encrypted there */
    size_t credit;           /* bytes sent already that the caller will offer again */
    Error *push_err;

    /* The reading thread's, under read_lock. */
    GMutex read_lock;
    uint8_t *in;             /* records as they came */
    size_t in_pos, in_end;
    const uint8_t *plain;    /* content of a record that is not taken yet */
    size_t plain_len;
    GByteArray *held;        /* where plain is after a peek; NULL: in the session */
    bool do_not_wait;        /* only what is in the buffer */
    bool probing;            /* only what is in the socket */
    bool starved;            /* there was no data when it was asked for */
    bool premature;
    bool master_ended;       /* or failed */
    Error *pull_err;
    Error *read_err;         /* to be reported when all that came before is taken */
};

/*
 * The client's and the server's end over @master, which they keep a reference to. @hostname: whom
 * the certificate has to name. @authzid: the object that says who is let in, or NULL. NULL with
 * @errp set.
 */
QIOChannelTLS *qio_channel_tls_new_client(QIOChannel *master, QCryptoTLSCreds *creds,
                                          const char *hostname, Error **errp);
QIOChannelTLS *qio_channel_tls_new_server(QIOChannel *master, QCryptoTLSCreds *creds,
                                          const char *authzid, Error **errp);

/*
 * Does the handshake and looks at who the peer is, in @context (NULL: the main one), without ever
 * blocking it. @func is called when that is over, maybe before this returns; the task's source is
 * the channel. To end it early, shut the channel down.
 */
void qio_channel_tls_handshake(QIOChannelTLS *ioc, QIOTaskFunc func, gpointer opaque,
                               GDestroyNotify destroy, GMainContext *context);

/* Tells the peer that nothing more comes. The writing thread's. 0, or -1 with @errp set. */
int qio_channel_tls_bye(QIOChannelTLS *ioc, Error **errp);

#endif /* IO_CHANNEL_TLS_H */
