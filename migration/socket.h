/*
 * Migration over sockets: further channels to where the first one went.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SOCKET_H
#define MIGRATION_SOCKET_H

#include "io/channel.h"
#include "io/task.h"
#include "channel.h"

/* Connects one more channel to the address of the running outgoing migration, in a thread; @f
 * is called with the channel as its task's source. Any thread. */
void socket_send_channel_create(QIOTaskFunc f, void *data);

/* Ends the attempts that are under way; their callbacks come with an error. Any thread. */
void socket_shutdown_connecting(void);

/* Forgets the address. */
void socket_cleanup_outgoing_migration(void);

#endif /* MIGRATION_SOCKET_H */
