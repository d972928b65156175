/*
 * Choosing a kind of channel for a descriptor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_UTIL_H
#define IO_CHANNEL_UTIL_H

#include "io/channel.h"

/* A socket channel if @fd is a socket, a file channel otherwise; owns @fd on success. */
QIOChannel *qio_channel_new_fd(int fd, Error **errp);

#endif /* IO_CHANNEL_UTIL_H */
