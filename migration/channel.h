/*
 * From a migration address to open channels, and from open channels to the state machines.
 *
 * Everything here runs on the main thread under the BQL, unless it says otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H

#include "io/channel.h"
#include "qapi/qapi-types-migration.h"

/* An incoming channel is open. Takes its own reference to @ioc. What is wrong with the
 * connection is reported, and the next one may do better. */
void migration_channel_process_incoming(QIOChannel *ioc);

/*
 * The outgoing channel is open, or could not be opened: then @error, which this takes, says why
 * and @ioc is NULL or of no use. Takes its own reference to @ioc. @hostname is whom TLS expects
 * to meet, or NULL.
 */
void migration_channel_connect(MigrationState *s, QIOChannel *ioc, const char *hostname,
                               Error *error);

/*
 * The first @buflen bytes of @ioc without taking them, waiting for them. 0, or -1 with @errp
 * set (also when the peer goes away before). Needs QIO_CHANNEL_FEATURE_READ_MSG_PEEK. Any thread.
 */
int migration_channel_read_peek(QIOChannel *ioc, const char *buf, const size_t buflen,
                                Error **errp);

/*
 * Opens the transport that @addr names. Outgoing: migration_channel_connect() follows, at once
 * or later, unless @errp is set. Incoming: listens; migration_channel_process_incoming() follows
 * with each channel.
 */
void migration_channel_start_outgoing(MigrationState *s, MigrationAddress *addr, Error **errp);
void migration_channel_start_incoming(MigrationAddress *addr, Error **errp);

/* Forget a connection that is still being made: migration_channel_connect() will not be called
 * for it any more. For a migration that is cancelled before it has a channel. */
void migration_channel_cancel_connect(void);

/* True while an outgoing connection is being made. */
bool migration_channel_connecting(void);

/* Ends listening, or waiting for a descriptor to speak; also called when all channels are in. */
void migration_channel_stop_listening(void);
/* The same, but those that came and have not said yet what they are for may still do so. */
void migration_channel_stop_accepting(void);
/* Close the incoming channels that have not said yet what they are for. */
void migration_channel_forget_unknown(void);

/* What an incoming transport listens on, for query-migrate; kept until the next listener.
 * Belongs to this room. */
SocketAddressList *migration_channel_socket_addresses(void);

/* For the transports: how to stop the listener that was set up (replacing an earlier one), and
 * one address of it (taken over). */
void migration_channel_set_listener(void *data, GDestroyNotify stop);
void migration_channel_add_socket_address(SocketAddress *addr);

/* For the transports: a connection is begun, and its number; true when that number is still
 * wanted, which ends the attempt. */
unsigned migration_channel_connect_begin(void);
bool migration_channel_connect_end(unsigned attempt);

/*
 * The transports. Their starters are for migration_channel_start_*() and for tests; each file
 * says what it does with its address.
 */
void socket_start_outgoing_migration(MigrationState *s, SocketAddress *saddr, Error **errp);
void socket_start_incoming_migration(SocketAddress *saddr, Error **errp);
void fd_start_outgoing_migration(MigrationState *s, const char *fdname, Error **errp);
void fd_start_incoming_migration(const char *fdname, Error **errp);
void exec_start_outgoing_migration(MigrationState *s, strList *command, Error **errp);
void exec_start_incoming_migration(strList *command, Error **errp);
/* The channel alone, for a recovery; NULL with @errp set. The caller's reference. Any thread. */
QIOChannel *fd_open_incoming_migration(const char *fdname, Error **errp);
QIOChannel *exec_open_incoming_migration(strList *command, Error **errp);
void file_start_outgoing_migration(MigrationState *s, FileMigrationArgs *file_args,
                                   Error **errp);
void file_start_incoming_migration(FileMigrationArgs *file_args, Error **errp);

/* --- address.c --- */

/*
 * "tcp:HOST:PORT[,opts]", "unix:PATH", "vsock:CID:PORT", "fd:NAME", "exec:COMMAND LINE" or
 * "file:PATH[,offset=SIZE]" as a main channel. False with @errp set; the result is freed with
 * qapi_free_MigrationChannel().
 */
bool migrate_uri_parse(const char *uri, MigrationChannel **channel, Error **errp);

/*
 * The main channel that migrate and migrate-incoming were given, in either form, of which there
 * must be exactly one; a cpr channel, if any, goes to *@cpr (NULL: there must be none). Results
 * are copies. False with @errp set.
 */
bool migrate_channels_parse(const char *uri, bool has_channels, MigrationChannelList *channels,
                            MigrationChannel **main, MigrationChannel **cpr, Error **errp);

/* Whether the capabilities that are on work over @addr. False with @errp set. */
bool migration_channels_and_transport_compatible(MigrationAddress *addr, Error **errp);

/* Splits "PATH,offset=SIZE" in place. False with @errp set. */
bool file_parse_offset(char *filespec, uint64_t *offsetp, Error **errp);

#endif /* MIGRATION_CHANNEL_H */
