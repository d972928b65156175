/*
 * Interruptible transfers on descriptors that know no shutdown(2); see fdwait.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "fdwait.h"
#include <poll.h>
#include <sys/eventfd.h>

bool qio_fdwait_init(QIOFdWait *w, Error **errp)
{
    w->how = 0;
    w->blocking = true;
    w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wakefd < 0) {
        error_setg_errno(errp, errno, "Unable to create an eventfd");
        return false;
    }
    return true;
}

void qio_fdwait_destroy(QIOFdWait *w)
{
    if (w->wakefd >= 0) {
        close(w->wakefd);
        w->wakefd = -1;
    }
}

void qio_fdwait_shutdown(QIOFdWait *w, QIOChannelShutdown how)
{
    uint64_t one = 1;

    qatomic_or(&w->how, (unsigned)how);
    /* It can only fail because the counter is full, and then it is readable. */
    if (write(w->wakefd, &one, sizeof(one)) < 0) {
        return;
    }
}

static bool is_shut(QIOFdWait *w, QIOChannelShutdown how)
{
    return qatomic_read(&w->how) & how;
}

void qio_fdwait_poll(QIOFdWait *w, int fd, GIOCondition condition)
{
    struct pollfd pfd[2] = {
        { .fd = fd, .events = ((condition & G_IO_IN) ? POLLIN : 0) |
                              ((condition & G_IO_OUT) ? POLLOUT : 0) },
        { .fd = w->wakefd, .events = POLLIN },
    };
    unsigned mine = ((condition & G_IO_IN) ? QIO_CHANNEL_SHUTDOWN_READ : 0) |
                    ((condition & G_IO_OUT) ? QIO_CHANNEL_SHUTDOWN_WRITE : 0);

    while (!is_shut(w, mine)) {
        /* Once the other direction is shut, the eventfd stays readable: poll in slices then. */
        bool other = qatomic_read(&w->how);
        int n = poll(pfd, other ? 1 : 2, other ? 100 : -1);

        if (n < 0 && errno != EINTR) {
            return;
        }
        if (n > 0 && pfd[0].revents) {
            return;
        }
    }
}

ssize_t qio_fdwait_readv(QIOFdWait *w, int fd, const struct iovec *iov, size_t niov,
                         Error **errp)
{
    for (;;) {
        ssize_t ret;

        if (is_shut(w, QIO_CHANNEL_SHUTDOWN_READ)) {
            return 0;
        }
        ret = readv(fd, iov, niov);
        if (ret >= 0) {
            return ret;
        }
        if (errno == EAGAIN) {
            if (!w->blocking) {
                return QIO_CHANNEL_ERR_BLOCK;
            }
            qio_fdwait_poll(w, fd, G_IO_IN);
        } else if (errno == EIO && isatty(fd)) {
            return 0; /* the other end of a pseudo-terminal is closed */
        } else if (errno != EINTR) {
            error_setg_errno(errp, errno, "Unable to read");
            return -1;
        }
    }
}

ssize_t qio_fdwait_writev(QIOFdWait *w, int fd, const struct iovec *iov, size_t niov,
                          Error **errp)
{
    for (;;) {
        ssize_t ret;

        if (is_shut(w, QIO_CHANNEL_SHUTDOWN_WRITE)) {
            error_setg_errno(errp, EPIPE, "Unable to write");
            return -1;
        }
        ret = writev(fd, iov, niov);
        if (ret >= 0) {
            return ret;
        }
        if (errno == EAGAIN) {
            if (!w->blocking) {
                return QIO_CHANNEL_ERR_BLOCK;
            }
            qio_fdwait_poll(w, fd, G_IO_OUT);
        } else if (errno != EINTR) {
            error_setg_errno(errp, errno, "Unable to write");
            return -1;
        }
    }
}
