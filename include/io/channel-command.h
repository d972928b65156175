/*
 * Channels over the standard input and output of a child process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_COMMAND_H
#define IO_CHANNEL_COMMAND_H

#include "io/channel.h"

#define TYPE_QIO_CHANNEL_COMMAND "qio-channel-command"
OBJECT_DECLARE_SIMPLE_TYPE(QIOChannelCommand, QIO_CHANNEL_COMMAND)

struct QIOChannelCommand {
    QIOChannel parent;
    int readfd;  /* from the child, or -1 */
    int writefd; /* to the child, or -1 */
    pid_t pid;   /* 0 once reaped */
};

/*
 * Spawns argv[0] (found through PATH) with its arguments; @flags is O_RDONLY to read its output,
 * O_WRONLY to feed its input, O_RDWR for both; an unused side is /dev/null. Standard error is
 * shared. NULL with @errp set where it cannot be started.
 */
QIOChannelCommand *qio_channel_command_new_spawn(const char *const argv[], int flags,
                                                 Error **errp);

/*
 * A channel over the pipes @writefd and @readfd (either may be -1) of the child @pid; it owns
 * all three. Closing it closes the pipes and reaps the child; a child that ends with another
 * status than 0 makes the close fail.
 */
QIOChannelCommand *qio_channel_command_new_pid(int writefd, int readfd, pid_t pid);

#endif /* IO_CHANNEL_COMMAND_H */
