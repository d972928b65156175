/*
 * QIOChannel: one interface to everything bytes can be sent through - sockets, files, commands,
 * memory - with scatter/gather, file descriptor passing and readiness watches.
 *
 * A channel is a QOM object: drop it with object_unref(). Errors are reported once, through the
 * Error **errp of the call. There are no coroutines: where a call has to complete and the channel
 * would block, the calling thread polls. A channel may be used by one reading and one writing
 * thread at a time; qio_channel_shutdown() may be called from any thread and wakes both.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_CHANNEL_H
#define IO_CHANNEL_H

#include "qemu/osdep.h"
#include "qom/object.h"
#include <sys/uio.h>

#define TYPE_QIO_CHANNEL "qio-channel"
OBJECT_DECLARE_TYPE(QIOChannel, QIOChannelClass, QIO_CHANNEL)

/* Result of a transfer on a non-blocking channel that has to be retried when it becomes ready.
 * No Error is set with it. */
#define QIO_CHANNEL_ERR_BLOCK -2

/* Flags of qio_channel_writev_full(): send the pages themselves; they must stay untouched until
 * qio_channel_flush(). */
#define QIO_CHANNEL_WRITE_FLAG_ZERO_COPY 0x1

/* Flags of qio_channel_readv_full(). */
#define QIO_CHANNEL_READ_FLAG_MSG_PEEK 0x1    /* leave the data for the next read */
#define QIO_CHANNEL_READ_FLAG_RELAXED_EOF 0x2 /* the peer may just go (TLS without goodbye) */

typedef enum QIOChannelFeature {
    QIO_CHANNEL_FEATURE_FD_PASS,
    QIO_CHANNEL_FEATURE_SHUTDOWN,
    QIO_CHANNEL_FEATURE_LISTEN,
    QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY,
    QIO_CHANNEL_FEATURE_READ_MSG_PEEK,
    QIO_CHANNEL_FEATURE_SEEKABLE,
} QIOChannelFeature;

typedef enum QIOChannelShutdown {
    QIO_CHANNEL_SHUTDOWN_READ = 1,
    QIO_CHANNEL_SHUTDOWN_WRITE = 2,
    QIO_CHANNEL_SHUTDOWN_BOTH = 3,
} QIOChannelShutdown;

/* Called when a watched channel is ready; return FALSE to remove the watch. */
typedef gboolean (*QIOChannelFunc)(QIOChannel *ioc, GIOCondition condition, gpointer data);

struct QIOChannel {
    Object parent;
    unsigned int features; /* bits of QIOChannelFeature; set while constructing */
    char *name;            /* for traces and errors; may be NULL */
};

/*
 * What a kind of channel supplies. Only io_readv, io_writev, io_set_blocking, io_close and
 * io_poll_fd are mandatory; a missing optional one means the call fails or does nothing.
 */
struct QIOChannelClass {
    ObjectClass parent;

    ssize_t (*io_writev)(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                         int *fds, size_t nfds, int flags, Error **errp);
    ssize_t (*io_readv)(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                        int **fds, size_t *nfds, int flags, Error **errp);
    int (*io_close)(QIOChannel *ioc, Error **errp);
    int (*io_set_blocking)(QIOChannel *ioc, bool enabled, Error **errp);
    /* The descriptor to poll for @condition (G_IO_IN or G_IO_OUT), or -1: always ready. */
    int (*io_poll_fd)(QIOChannel *ioc, GIOCondition condition);

    /* Data that a read would return although the descriptor need not be readable. */
    bool (*io_pending)(QIOChannel *ioc);
    /* What to wait for when a transfer in direction @condition would block, where that can
     * differ (a TLS read may have to write). NULL: @condition itself. */
    GIOCondition (*io_blocked_on)(QIOChannel *ioc, GIOCondition condition);
    /* Waits as qio_channel_wait() does, where polling io_poll_fd is not enough for a shutdown
     * to be noticed. */
    void (*io_wait)(QIOChannel *ioc, GIOCondition condition);
    int (*io_shutdown)(QIOChannel *ioc, QIOChannelShutdown how, Error **errp);
    void (*io_set_cork)(QIOChannel *ioc, bool enabled);
    void (*io_set_delay)(QIOChannel *ioc, bool enabled);
    void (*io_bound_send_queue)(QIOChannel *ioc, size_t bytes);
    void (*io_bound_receive_queue)(QIOChannel *ioc, size_t bytes, uint64_t bytes_per_second);
    off_t (*io_seek)(QIOChannel *ioc, off_t offset, int whence, Error **errp);
    ssize_t (*io_pwritev)(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                          Error **errp);
    ssize_t (*io_preadv)(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                         Error **errp);
    int (*io_flush)(QIOChannel *ioc, Error **errp);
};

bool qio_channel_has_feature(QIOChannel *ioc, QIOChannelFeature feature);
void qio_channel_set_feature(QIOChannel *ioc, QIOChannelFeature feature);

/* Copies @name. */
void qio_channel_set_name(QIOChannel *ioc, const char *name);

/*
 * One transfer. Returns the bytes moved (for a read, 0 is end of file), -1 with @errp set, or
 * QIO_CHANNEL_ERR_BLOCK. At most IOV_MAX elements are looked at in one call.
 *
 * @fds/@nfds: descriptors to send along with the first byte, or to receive. Received ones are
 * the caller's, close-on-exec, in an array to g_free(); *fds is NULL when none came. Passing
 * descriptors needs QIO_CHANNEL_FEATURE_FD_PASS.
 */
ssize_t qio_channel_readv_full(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                               int **fds, size_t *nfds, int flags, Error **errp);
ssize_t qio_channel_writev_full(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                int *fds, size_t nfds, int flags, Error **errp);
ssize_t qio_channel_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp);
ssize_t qio_channel_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp);
ssize_t qio_channel_read(QIOChannel *ioc, char *buf, size_t buflen, Error **errp);
ssize_t qio_channel_write(QIOChannel *ioc, const char *buf, size_t buflen, Error **errp);

/*
 * Whole transfers, waiting as long as it takes. @iov is not modified.
 *
 * The _eof forms return 1 when all was read, 0 when the stream ended before the first byte, and
 * -1 with @errp set on errors, among them a stream that ends in the middle. The plain forms
 * return 0, or -1 with @errp set; any end of file is an error to them.
 */
int qio_channel_readv_full_all_eof(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                   int **fds, size_t *nfds, int flags, Error **errp);
int qio_channel_readv_full_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                               int **fds, size_t *nfds, Error **errp);
int qio_channel_readv_all_eof(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                              Error **errp);
int qio_channel_readv_all(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp);
int qio_channel_read_all_eof(QIOChannel *ioc, char *buf, size_t buflen, Error **errp);
int qio_channel_read_all(QIOChannel *ioc, char *buf, size_t buflen, Error **errp);
int qio_channel_writev_full_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                                int *fds, size_t nfds, int flags, Error **errp);
int qio_channel_writev_all(QIOChannel *ioc, const struct iovec *iov, size_t niov, Error **errp);
int qio_channel_write_all(QIOChannel *ioc, const char *buf, size_t buflen, Error **errp);

/* 0, or -1 with @errp set. New channels block. */
int qio_channel_set_blocking(QIOChannel *ioc, bool enabled, Error **errp);

/* Closes the underlying descriptors; the object stays until its last reference goes. Closing
 * twice is harmless. 0, or -1 with @errp set (a command that failed, a write error). */
int qio_channel_close(QIOChannel *ioc, Error **errp);

/* Ends one or both directions without closing: threads blocked in the channel return. Needs
 * QIO_CHANNEL_FEATURE_SHUTDOWN. Safe from any thread. */
int qio_channel_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp);

/* Transfers at a file position, which neither use nor move the current one. Need
 * QIO_CHANNEL_FEATURE_SEEKABLE. */
ssize_t qio_channel_pwritev(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                            off_t offset, Error **errp);
ssize_t qio_channel_pwrite(QIOChannel *ioc, const char *buf, size_t buflen,
                           off_t offset, Error **errp);
ssize_t qio_channel_preadv(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                           off_t offset, Error **errp);
ssize_t qio_channel_pread(QIOChannel *ioc, char *buf, size_t buflen,
                          off_t offset, Error **errp);

/* As the _all forms above, at a position. 0, or -1 with @errp set. */
int qio_channel_pwritev_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                            off_t offset, Error **errp);
int qio_channel_preadv_all(QIOChannel *ioc, const struct iovec *iov, size_t niov,
                           off_t offset, Error **errp);

/* lseek(): the new position, or -1 with @errp set. */
off_t qio_channel_io_seek(QIOChannel *ioc, off_t offset, int whence, Error **errp);

/* Hints; nothing happens where they mean nothing. */
void qio_channel_set_delay(QIOChannel *ioc, bool enabled);
void qio_channel_set_cork(QIOChannel *ioc, bool enabled);
/* About so many bytes may have been written that the network has not taken: more of them wait. */
void qio_channel_bound_send_queue(QIOChannel *ioc, size_t bytes);
/*
 * About so many bytes may have come that were not read, or as many as @bytes_per_second bring in a
 * round trip, where that is more: it takes those to keep such a connection busy.
 */
void qio_channel_bound_receive_queue(QIOChannel *ioc, size_t bytes, uint64_t bytes_per_second);

/* Waits until the kernel is done with all zero-copy writes. 0 when none of them had to be
 * copied after all, 1 when all were, -1 with @errp set. */
int qio_channel_flush(QIOChannel *ioc, Error **errp);

/* A source that fires when the channel is ready for @condition (G_IO_IN, G_IO_OUT, G_IO_HUP…).
 * Its callback is a QIOChannelFunc. The source holds a reference to the channel. */
GSource *qio_channel_create_watch(QIOChannel *ioc, GIOCondition condition);

/* The same, attached to @context (NULL: the main one). Returns the tag for g_source_remove(),
 * or for _source a reference to the source. */
guint qio_channel_add_watch_full(QIOChannel *ioc, GIOCondition condition, QIOChannelFunc func,
                                 gpointer user_data, GDestroyNotify notify,
                                 GMainContext *context);
guint qio_channel_add_watch(QIOChannel *ioc, GIOCondition condition, QIOChannelFunc func,
                            gpointer user_data, GDestroyNotify notify);
GSource *qio_channel_add_watch_source(QIOChannel *ioc, GIOCondition condition,
                                      QIOChannelFunc func, gpointer user_data,
                                      GDestroyNotify notify, GMainContext *context);

/* Blocks the calling thread until the channel is ready for @condition or is shut down. */
void qio_channel_wait(QIOChannel *ioc, GIOCondition condition);

#endif /* IO_CHANNEL_H */
