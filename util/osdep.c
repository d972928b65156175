/*
 * Host services: aligned memory, descriptors, paths.  See qemu/osdep.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include <sys/syscall.h>

static const FdsetOps *fdset_ops;
static char *exec_dir;

size_t qemu_real_host_page_size(void)
{
    static size_t size;

    if (!size) {
        size = sysconf(_SC_PAGESIZE);
    }
    return size;
}

void *qemu_try_memalign(size_t alignment, size_t size)
{
    void *p;

    alignment = MAX(alignment, sizeof(void *));
    return posix_memalign(&p, alignment, MAX(size, 1)) ? NULL : p;
}

void *qemu_memalign(size_t alignment, size_t size)
{
    void *p = qemu_try_memalign(alignment, size);

    if (!p) {
        fprintf(stderr, "godwit: no memory for %zu bytes\n", size);
        abort();
    }
    return p;
}

void qemu_vfree(void *p)
{
    free(p);
}

void qemu_set_fdset_ops(const FdsetOps *ops)
{
    fdset_ops = ops;
}

static int open_cloexec(const char *name, int flags, mode_t mode, Error **errp)
{
    const char *set;
    int64_t id;
    int fd;

    if (fdset_ops && strstart(name, "/dev/fdset/", &set)) {
        if (qemu_strtoi64(set, NULL, 10, &id) < 0 || id < 0) {
            error_setg(errp, "Could not parse fdset %s: expected /dev/fdset/NUMBER", name);
            errno = EINVAL;
            return -1;
        }
        return fdset_ops->dup_fd_add(id, flags, errp);
    }
    fd = RETRY_ON_EINTR(open(name, flags | O_CLOEXEC, mode));
    if (fd < 0) {
        int err = errno;

        error_setg_errno(errp, err, "Could not %s '%s'", flags & O_CREAT ? "create" : "open",
                         name);
        errno = err;
    }
    return fd;
}

int qemu_open(const char *name, int flags, Error **errp)
{
    return open_cloexec(name, flags & ~O_CREAT, 0, errp);
}

int qemu_create(const char *name, int flags, mode_t mode, Error **errp)
{
    return open_cloexec(name, flags | O_CREAT, mode, errp);
}

int qemu_open_old(const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = va_arg(ap, int);
        va_end(ap);
    }
    return open_cloexec(name, flags, mode, NULL);
}

int qemu_close(int fd)
{
    if (fdset_ops) {
        fdset_ops->dup_fd_remove(fd);
    }
    return close(fd);
}

int qemu_dup(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool qemu_set_cloexec(int fd)
{
    int f = fcntl(fd, F_GETFD);

    return f >= 0 && fcntl(fd, F_SETFD, f | FD_CLOEXEC) == 0;
}

bool qemu_set_blocking(int fd, bool block, Error **errp)
{
    int f = fcntl(fd, F_GETFL);

    if (f < 0 || fcntl(fd, F_SETFL, block ? f & ~O_NONBLOCK : f | O_NONBLOCK) < 0) {
        error_setg_errno(errp, errno, "Can't make file descriptor %d %s", fd,
                         block ? "blocking" : "non-blocking");
        return false;
    }
    return true;
}

int qemu_pipe(int pipefd[2])
{
    return pipe2(pipefd, O_CLOEXEC);
}

ssize_t qemu_write_full(int fd, const void *buf, size_t count)
{
    size_t done = 0;

    while (done < count) {
        ssize_t n = write(fd, (const char *)buf + done, count - done);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        done += n;
    }
    return done;
}

ssize_t qemu_read_full(int fd, void *buf, size_t count)
{
    size_t done = 0;

    while (done < count) {
        ssize_t n = read(fd, (char *)buf + done, count - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        done += n;
    }
    return done;
}

/*
 * The lock on the file says that its writer lives; it is held until the process ends.  A file
 * replaced between open and lock is somebody else's: start over.
 */
bool qemu_write_pidfile(const char *path, Error **errp)
{
    g_autofree char *pid = g_strdup_printf("%d\n", (int)getpid());
    struct stat opened, named;
    int fd;

    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        fd = qemu_create(path, O_RDWR, 0644, errp);
        if (fd < 0) {
            error_prepend(errp, "Cannot open pid file: ");
            return false;
        }
        if (fcntl(fd, F_SETLK, &lock) < 0) {
            error_setg_errno(errp, errno, "Cannot lock pid file %s", path);
            goto fail;
        }
        if (fstat(fd, &opened) < 0) {
            error_setg_errno(errp, errno, "Cannot stat pid file %s", path);
            goto fail;
        }
        if (stat(path, &named) == 0 && named.st_dev == opened.st_dev &&
            named.st_ino == opened.st_ino) {
            break;
        }
        close(fd);
    }
    if (ftruncate(fd, 0) < 0 || qemu_write_full(fd, pid, strlen(pid)) != (ssize_t)strlen(pid)) {
        error_setg_errno(errp, errno, "Cannot write pid file %s", path);
        goto fail;
    }
    return true;
fail:
    close(fd);
    return false;
}

pid_t qemu_get_thread_id(void)
{
    return syscall(SYS_gettid);
}

void qemu_init_exec_dir(const char *argv0)
{
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

    if (!exec_dir) {
        exec_dir = g_path_get_dirname(exe ? exe : argv0);
    }
}

const char *qemu_get_exec_dir(void)
{
    return exec_dir;
}
