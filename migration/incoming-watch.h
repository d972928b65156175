/*
 * Incoming channels that are there from the start (a descriptor, a command, a file) and become a
 * migration when their first data arrive.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_INCOMING_WATCH_H
#define MIGRATION_INCOMING_WATCH_H

#include "io/channel.h"

/* Hands @ioc to migration_channel_process_incoming() once it can be read; takes its own
 * reference. migration_channel_stop_listening() forgets it. */
void migration_incoming_watch(QIOChannel *ioc);

#endif /* MIGRATION_INCOMING_WATCH_H */
