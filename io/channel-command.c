/*
 * The channel over a child process's pipes. Our ends are non-blocking underneath (fdwait.c), so
 * that a shutdown wakes a thread which waits for a child that neither reads, writes nor ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/atomic.h"
#include "io/channel-command.h"
#include "fdwait.h"
#include <spawn.h>

/* How long a child that is to go gets for each of: ending by itself, SIGTERM, SIGKILL. */
#define GRACE_MS 1000
/* How long closing waits for a child to end by itself and say how it went. */
#define CLOSE_WAIT_MS 5000

typedef struct CommandChannel {
    QIOChannelCommand pub;
    QIOFdWait wait;
    bool fed;     /* the child was given data: what it made of them matters */
    bool aborted; /* shut down: the child's opinion no longer matters */
} CommandChannel;

static CommandChannel *command_channel(QIOChannel *ioc)
{
    return container_of(QIO_CHANNEL_COMMAND(ioc), CommandChannel, pub);
}

static void set_nonblocking(int fd)
{
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

    if (flags >= 0) {
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
}

QIOChannelCommand *qio_channel_command_new_pid(int writefd, int readfd, pid_t pid)
{
    QIOChannelCommand *cioc = QIO_CHANNEL_COMMAND(object_new(TYPE_QIO_CHANNEL_COMMAND));
    CommandChannel *c = container_of(cioc, CommandChannel, pub);

    cioc->readfd = readfd;
    cioc->writefd = writefd;
    cioc->pid = pid;
    /* Without an eventfd the pipes stay blocking and a shutdown is refused. */
    if (qio_fdwait_init(&c->wait, NULL)) {
        set_nonblocking(readfd);
        set_nonblocking(writefd);
        qio_channel_set_feature(QIO_CHANNEL(cioc), QIO_CHANNEL_FEATURE_SHUTDOWN);
    }
    return cioc;
}

static void close_pair(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

QIOChannelCommand *qio_channel_command_new_spawn(const char *const argv[], int flags,
                                                 Error **errp)
{
    int mode = flags & O_ACCMODE;
    int in[2] = { -1, -1 };  /* the child's standard input: [0] its end, [1] ours */
    int out[2] = { -1, -1 }; /* its standard output: [0] our end, [1] its */
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t mask, defaults;
    pid_t pid;
    int rc;

    if ((mode != O_RDONLY && pipe2(in, O_CLOEXEC) < 0) ||
        (mode != O_WRONLY && pipe2(out, O_CLOEXEC) < 0)) {
        error_setg_errno(errp, errno, "Unable to open pipe");
        close_pair(in);
        return NULL;
    }

    posix_spawn_file_actions_init(&actions);
    if (in[0] >= 0) {
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    if (out[1] >= 0) {
        posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }

    /* Threads of this program block signals; a child must not inherit that. */
    posix_spawnattr_init(&attr);
    sigemptyset(&mask);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawnattr_setsigmask(&attr, &mask);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    rc = posix_spawnp(&pid, argv[0], &actions, &attr, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);

    if (rc) {
        error_setg_errno(errp, rc, "Unable to run '%s'", argv[0]);
        close_pair(in);
        close_pair(out);
        return NULL;
    }
    if (in[0] >= 0) {
        close(in[0]);
    }
    if (out[1] >= 0) {
        close(out[1]);
    }
    return qio_channel_command_new_pid(in[1], out[0], pid);
}

static ssize_t command_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                             size_t *nfds, int flags, Error **errp)
{
    CommandChannel *c = command_channel(ioc);

    if (c->pub.readfd < 0) {
        error_setg_errno(errp, EBADF, "Unable to read from command");
        return -1;
    }
    return qio_fdwait_readv(&c->wait, c->pub.readfd, iov, niov, errp);
}

static ssize_t command_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                              size_t nfds, int flags, Error **errp)
{
    CommandChannel *c = command_channel(ioc);

    if (c->pub.writefd < 0) {
        error_setg_errno(errp, EBADF, "Unable to write to command");
        return -1;
    }
    c->fed = true;
    return qio_fdwait_writev(&c->wait, c->pub.writefd, iov, niov, errp);
}

static int command_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    CommandChannel *c = command_channel(ioc);

    c->wait.blocking = enabled;
    return 0;
}

static int command_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    CommandChannel *c = command_channel(ioc);

    qatomic_set(&c->aborted, true);
    qio_fdwait_shutdown(&c->wait, how);
    return 0;
}

/* Waits for the child for up to @ms milliseconds (-1: for ever). True once it is reaped. */
static bool reap(QIOChannelCommand *cioc, int *status, int ms)
{
    int64_t end = g_get_monotonic_time() + ms * (int64_t)1000;
    pid_t pid;

    do {
        pid = RETRY_ON_EINTR(waitpid(cioc->pid, status, ms < 0 ? 0 : WNOHANG));
        if (pid == cioc->pid) {
            cioc->pid = 0;
            return true;
        }
        if (pid < 0) {
            /* Somebody else reaped it, so nothing is known. */
            *status = 0;
            cioc->pid = 0;
            return true;
        }
        g_usleep(5000);
    } while (g_get_monotonic_time() < end);
    return false;
}

/* True: it had ended by itself, without an error. */
static bool end_child(QIOChannelCommand *cioc)
{
    int status;

    if (cioc->pid <= 0) {
        return false;
    }
    if (reap(cioc, &status, 50)) {
        return WIFEXITED(status) && !WEXITSTATUS(status);
    }
    kill(cioc->pid, SIGTERM);
    if (!reap(cioc, &status, GRACE_MS)) {
        kill(cioc->pid, SIGKILL);
        reap(cioc, &status, GRACE_MS);
    }
    return false;
}

/* Shut down while it may have been at work: what it made of its data is not to be relied on. */
static int close_aborted(CommandChannel *c, Error **errp)
{
    bool ended_well = end_child(&c->pub);

    if (ended_well || !c->fed) {
        return 0;
    }
    error_setg(errp, "Command was shut down before it had ended");
    return -1;
}

static void *wait_for_child(void *opaque)
{
    int status;

    RETRY_ON_EINTR(waitpid(GPOINTER_TO_INT(opaque), &status, 0));
    return NULL;
}

/* Let it run; somebody takes its status when it ends. */
static void leave_child(QIOChannelCommand *cioc)
{
    QemuThread thread;

    qemu_thread_create(&thread, "reap", wait_for_child, GINT_TO_POINTER(cioc->pid),
                       QEMU_THREAD_DETACHED);
    cioc->pid = 0;
}

static int command_close(QIOChannel *ioc, Error **errp)
{
    CommandChannel *c = command_channel(ioc);
    int status = 0, slices = 0;

    if (c->pub.writefd >= 0) {
        close(c->pub.writefd);
        c->pub.writefd = -1;
    }
    if (c->pub.readfd >= 0) {
        close(c->pub.readfd);
        c->pub.readfd = -1;
    }
    if (c->pub.pid <= 0) {
        return 0;
    }
    if (qatomic_read(&c->aborted)) {
        return close_aborted(c, errp);
    }
    /*
     * It has all its data and makes of it what it will.  One that takes long, or that goes on as a
     * machine of its own, is left to itself.
     */
    while (!reap(&c->pub, &status, 100)) {
        if (qatomic_read(&c->aborted)) {
            return close_aborted(c, errp);
        }
        if (++slices == CLOSE_WAIT_MS / 100) {
            leave_child(&c->pub);
            return 0;
        }
    }
    /* A child that only spoke may have been cut short, which is no failure. */
    if (c->fed && WIFEXITED(status) && WEXITSTATUS(status)) {
        error_setg(errp, "Command exited with status %d", WEXITSTATUS(status));
        return -1;
    }
    if (c->fed && WIFSIGNALED(status)) {
        error_setg(errp, "Command was killed by signal %d", WTERMSIG(status));
        return -1;
    }
    return 0;
}

static int command_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    QIOChannelCommand *cioc = QIO_CHANNEL_COMMAND(ioc);

    return condition == G_IO_OUT ? cioc->writefd : cioc->readfd;
}

static void command_wait(QIOChannel *ioc, GIOCondition condition)
{
    CommandChannel *c = command_channel(ioc);

    qio_fdwait_poll(&c->wait, command_poll_fd(ioc, condition & G_IO_OUT ? G_IO_OUT : G_IO_IN),
                    condition);
}

static void command_init(Object *obj)
{
    CommandChannel *c = command_channel(QIO_CHANNEL(obj));

    c->pub.readfd = c->pub.writefd = -1;
    c->wait.wakefd = -1;
}

static void command_finalize(Object *obj)
{
    CommandChannel *c = command_channel(QIO_CHANNEL(obj));

    /* Nobody waited for the child by closing: it must not outlive its channel. */
    c->aborted = true;
    command_close(QIO_CHANNEL(obj), NULL);
    qio_fdwait_destroy(&c->wait);
}

static void command_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = command_readv;
    ioc_klass->io_writev = command_writev;
    ioc_klass->io_set_blocking = command_set_blocking;
    ioc_klass->io_shutdown = command_shutdown;
    ioc_klass->io_close = command_close;
    ioc_klass->io_poll_fd = command_poll_fd;
    ioc_klass->io_wait = command_wait;
}

static const TypeInfo qio_channel_command_info = {
    .name = TYPE_QIO_CHANNEL_COMMAND,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(CommandChannel),
    .instance_init = command_init,
    .instance_finalize = command_finalize,
    .class_init = command_class_init,
};

static void qio_channel_command_register_types(void)
{
    type_register_static(&qio_channel_command_info);
}

type_init(qio_channel_command_register_types)
