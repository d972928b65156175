/*
 * migrate-recover: the destination listens again, for a source whose connection broke in postcopy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_RECOVER_H
#define MIGRATION_POSTCOPY_RECOVER_H

#include "io/channel.h"
#include "qapi/qapi-types-migration.h"

/*
 * Forget what migrate-recover began: nothing is listened on any more, no channel will be handed
 * over any more. True if no channel had come yet. Any thread, no BQL; does not wait.
 */
bool postcopy_recover_stop(void);

/*
 * The same, and the thread has ended: it waits for nobody but this. At the end of a migration, or
 * of the program.
 */
void postcopy_recover_end(void);

/* A copy of what is listened on, for query-migrate; NULL: nothing. */
SocketAddressList *postcopy_recover_socket_addresses(void);

/*
 * What migrate-recover does, and for tests. @take gets channel after channel, numbered from 0, with
 * TLS and all; what it refuses with @errp set is closed, and does not count. When it has taken
 * @channels, listening ends. It is called under a lock: it must not wait, nor call what is declared
 * here. Any thread, but one call at a time.
 */
typedef bool (*PostcopyRecoverTake)(QIOChannel *ioc, unsigned number, Error **errp);
bool postcopy_recover_listen(MigrationAddress *addr, unsigned channels, PostcopyRecoverTake take,
                             Error **errp);

#endif
