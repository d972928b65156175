/*
 * TLS for the channels of a migration: who does which handshake with what, and how it is ended.
 *
 * Main thread under the BQL, unless it says otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_TLS_H
#define MIGRATION_TLS_H

#include "io/channel-tls.h"
#include "io/task.h"
#include "migration/misc.h"

/* True when tls-creds is set. Any thread. */
bool migrate_tls(void);
/*
 * The migration that is running out has TLS, or where there is none, tls-creds is set; and @ioc is
 * still in the clear.
 */
bool migrate_channel_requires_tls_upgrade(QIOChannel *ioc);

/*
 * A migration goes on with what it began with, whatever is done to the parameters meanwhile. The
 * source: from here on all of its channels use what tls-creds and tls-hostname say now; until the
 * end, or until the next one begins.
 */
void migration_tls_begin_outgoing(void);
void migration_tls_end_outgoing(void);
/*
 * The destination: the first channel that turns out to be a migration's says what the others have
 * to be like, until they are forgotten. False with @errp set: @ioc is not like those before it.
 */
bool migration_tls_incoming_fits(QIOChannel *ioc, Error **errp);
void migration_tls_keep_incoming(QIOChannel *ioc);
void migration_tls_forget_incoming(void);
/* @ioc has come in the clear and must not stay so. */
bool migration_tls_incoming_upgrade(QIOChannel *ioc);

/*
 * The source: does the handshake over @ioc. @func is called when it is over, maybe before this
 * returns; the source of its task is the channel to go on with. @hostname is whom the certificate
 * has to name where parameter tls-hostname says nothing. False with @errp set, and @func not
 * called.
 */
bool migration_tls_connect(QIOChannel *ioc, const char *hostname, const char *channel_name,
                           QIOTaskFunc func, void *opaque, GDestroyNotify destroy, Error **errp);

/* The same for the main channel: migration_channel_connect() follows, unless @errp is set. */
void migration_tls_channel_connect(MigrationState *s, QIOChannel *ioc, const char *hostname,
                                   Error **errp);

/* The destination: migration_channel_process_incoming() follows when the handshake went well. */
void migration_tls_channel_process_incoming(QIOChannel *ioc, Error **errp);

/* The server's end over @ioc, whose handshake the caller does. NULL with @errp set. Any thread. */
QIOChannelTLS *migration_tls_new_server(QIOChannel *ioc, Error **errp);

/* Ends the handshakes that are under way; their callbacks come with an error. Any thread. */
void migration_tls_shutdown_outgoing(void);
void migration_tls_shutdown_incoming(void);
/* True while there is one. Any thread. */
bool migration_tls_in_handshake(void);

/* Says that nothing more comes on @ioc, if it is a TLS channel. Its writing thread. */
void migration_tls_channel_end(QIOChannel *ioc);

#endif /* MIGRATION_TLS_H */
