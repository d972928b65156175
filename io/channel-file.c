/*
 * The channel over a descriptor that is no socket. A regular file or block device is read and
 * written directly and is seekable; anything that can block for ever (pipe, terminal, character
 * device) goes through fdwait.c, so that a shutdown wakes its users.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "io/channel-file.h"
#include "fdwait.h"

/* The public struct with what only this file needs behind it. */
typedef struct FileChannel {
    QIOChannelFile pub;
    QIOFdWait wait;     /* wakefd >= 0: the descriptor may block */
    int original_flags; /* of a descriptor made non-blocking by us, to be put back; or -1 */
} FileChannel;

static FileChannel *file_channel(QIOChannel *ioc)
{
    return container_of(QIO_CHANNEL_FILE(ioc), FileChannel, pub);
}

static bool may_block(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode) &&
           !S_ISDIR(st.st_mode);
}

QIOChannelFile *qio_channel_file_new_fd(int fd)
{
    QIOChannelFile *pub = QIO_CHANNEL_FILE(object_new(TYPE_QIO_CHANNEL_FILE));
    FileChannel *f = container_of(pub, FileChannel, pub);

    pub->fd = fd;
    if (may_block(fd)) {
        int flags = fcntl(fd, F_GETFL);

        /* Without an eventfd it blocks as descriptors do, and cannot be shut down. */
        if (flags >= 0 && qio_fdwait_init(&f->wait, NULL)) {
            if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
                f->original_flags = flags;
            }
            qio_channel_set_feature(QIO_CHANNEL(pub), QIO_CHANNEL_FEATURE_SHUTDOWN);
        }
    } else if (lseek(fd, 0, SEEK_CUR) != (off_t)-1) {
        qio_channel_set_feature(QIO_CHANNEL(pub), QIO_CHANNEL_FEATURE_SEEKABLE);
    }
    return pub;
}

QIOChannelFile *qio_channel_file_new_dupfd(int fd, Error **errp)
{
    int newfd = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (newfd < 0) {
        error_setg_errno(errp, errno, "Could not dup FD %d", fd);
        return NULL;
    }
    return qio_channel_file_new_fd(newfd);
}

QIOChannelFile *qio_channel_file_new_path(const char *path, int flags, mode_t mode,
                                          Error **errp)
{
    int fd = flags & O_CREAT ? qemu_create(path, flags & ~O_CREAT, mode, errp)
                             : qemu_open(path, flags, errp);

    return fd < 0 ? NULL : qio_channel_file_new_fd(fd);
}

static bool file_is_open(QIOChannelFile *fioc, Error **errp)
{
    if (fioc->fd < 0) {
        error_setg_errno(errp, EBADF, "File channel is closed");
        return false;
    }
    return true;
}

/* What a transfer on a file that does not block came to. */
static ssize_t file_result(ssize_t ret, const char *what, Error **errp)
{
    if (ret >= 0) {
        return ret;
    }
    if (errno == EAGAIN) {
        return QIO_CHANNEL_ERR_BLOCK;
    }
    error_setg_errno(errp, errno, "Unable to %s file", what);
    return -1;
}

static ssize_t file_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                          size_t *nfds, int flags, Error **errp)
{
    FileChannel *f = file_channel(ioc);

    if (!file_is_open(&f->pub, errp)) {
        return -1;
    }
    if (f->wait.wakefd >= 0) {
        return qio_fdwait_readv(&f->wait, f->pub.fd, iov, niov, errp);
    }
    return file_result(RETRY_ON_EINTR(readv(f->pub.fd, iov, niov)), "read from", errp);
}

static ssize_t file_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                           size_t nfds, int flags, Error **errp)
{
    FileChannel *f = file_channel(ioc);

    if (!file_is_open(&f->pub, errp)) {
        return -1;
    }
    if (f->wait.wakefd >= 0) {
        return qio_fdwait_writev(&f->wait, f->pub.fd, iov, niov, errp);
    }
    return file_result(RETRY_ON_EINTR(writev(f->pub.fd, iov, niov)), "write to", errp);
}

static ssize_t file_preadv(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                           Error **errp)
{
    QIOChannelFile *fioc = QIO_CHANNEL_FILE(ioc);

    if (!file_is_open(fioc, errp)) {
        return -1;
    }
    return file_result(RETRY_ON_EINTR(preadv(fioc->fd, iov, niov, offset)), "read from", errp);
}

static ssize_t file_pwritev(QIOChannel *ioc, const struct iovec *iov, size_t niov, off_t offset,
                            Error **errp)
{
    QIOChannelFile *fioc = QIO_CHANNEL_FILE(ioc);

    if (!file_is_open(fioc, errp)) {
        return -1;
    }
    return file_result(RETRY_ON_EINTR(pwritev(fioc->fd, iov, niov, offset)), "write to", errp);
}

static off_t file_seek(QIOChannel *ioc, off_t offset, int whence, Error **errp)
{
    QIOChannelFile *fioc = QIO_CHANNEL_FILE(ioc);
    off_t ret;

    if (!file_is_open(fioc, errp)) {
        return -1;
    }
    ret = lseek(fioc->fd, offset, whence);
    if (ret == (off_t)-1) {
        error_setg_errno(errp, errno, "Unable to seek to offset %jd whence %d in file",
                         (intmax_t)offset, whence);
    }
    return ret;
}

static int file_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    FileChannel *f = file_channel(ioc);

    if (!file_is_open(&f->pub, errp)) {
        return -1;
    }
    if (f->wait.wakefd >= 0) {
        f->wait.blocking = enabled;
        return 0;
    }
    return qemu_set_blocking(f->pub.fd, enabled, errp) ? 0 : -1;
}

static int file_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    qio_fdwait_shutdown(&file_channel(ioc)->wait, how);
    return 0;
}

static int file_close(QIOChannel *ioc, Error **errp)
{
    FileChannel *f = file_channel(ioc);
    int fd = f->pub.fd;

    if (fd < 0) {
        return 0;
    }
    if (f->original_flags >= 0) {
        fcntl(fd, F_SETFL, f->original_flags);
    }
    f->pub.fd = -1;
    if (qemu_close(fd) < 0) {
        error_setg_errno(errp, errno, "Unable to close file");
        return -1;
    }
    return 0;
}

static int file_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    /* epoll and poll call a regular file always ready, and so do we. */
    return file_channel(ioc)->wait.wakefd >= 0 ? QIO_CHANNEL_FILE(ioc)->fd : -1;
}

static void file_wait(QIOChannel *ioc, GIOCondition condition)
{
    FileChannel *f = file_channel(ioc);

    if (f->wait.wakefd >= 0) {
        qio_fdwait_poll(&f->wait, f->pub.fd, condition);
    }
}

static void file_init(Object *obj)
{
    FileChannel *f = file_channel(QIO_CHANNEL(obj));

    f->pub.fd = -1;
    f->wait.wakefd = -1;
    f->original_flags = -1;
}

static void file_finalize(Object *obj)
{
    FileChannel *f = file_channel(QIO_CHANNEL(obj));

    file_close(QIO_CHANNEL(obj), NULL);
    qio_fdwait_destroy(&f->wait);
}

static void file_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = file_readv;
    ioc_klass->io_writev = file_writev;
    ioc_klass->io_preadv = file_preadv;
    ioc_klass->io_pwritev = file_pwritev;
    ioc_klass->io_seek = file_seek;
    ioc_klass->io_set_blocking = file_set_blocking;
    ioc_klass->io_shutdown = file_shutdown;
    ioc_klass->io_close = file_close;
    ioc_klass->io_poll_fd = file_poll_fd;
    ioc_klass->io_wait = file_wait;
}

static const TypeInfo qio_channel_file_info = {
    .name = TYPE_QIO_CHANNEL_FILE,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(FileChannel),
    .instance_init = file_init,
    .instance_finalize = file_finalize,
    .class_init = file_class_init,
};

static void qio_channel_file_register_types(void)
{
    type_register_static(&qio_channel_file_info);
}

type_init(qio_channel_file_register_types)
