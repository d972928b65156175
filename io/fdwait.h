/*
 * A descriptor that cannot be shut down (a pipe, a terminal) made so that threads waiting for it
 * can nevertheless be woken: it is non-blocking underneath, and every wait also watches an
 * eventfd that qio_fdwait_shutdown() makes readable for good.
 *
 * Private to io/. SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_FDWAIT_H
#define IO_FDWAIT_H

#include "io/channel.h"

typedef struct QIOFdWait {
    int wakefd;   /* -1: not in use */
    unsigned how; /* QIOChannelShutdown so far; atomic */
    bool blocking; /* what the channel's user asked for */
} QIOFdWait;

bool qio_fdwait_init(QIOFdWait *w, Error **errp);
void qio_fdwait_destroy(QIOFdWait *w);

/* Marks directions as ended and wakes every waiter. */
void qio_fdwait_shutdown(QIOFdWait *w, QIOChannelShutdown how);

/* Polls @fd until it is ready or the direction was shut down. */
void qio_fdwait_poll(QIOFdWait *w, int fd, GIOCondition condition);

/* readv(2) and writev(2) with a channel's results; writev on a shut direction is EPIPE. */
ssize_t qio_fdwait_readv(QIOFdWait *w, int fd, const struct iovec *iov, size_t niov,
                         Error **errp);
ssize_t qio_fdwait_writev(QIOFdWait *w, int fd, const struct iovec *iov, size_t niov,
                          Error **errp);

#endif /* IO_FDWAIT_H */
