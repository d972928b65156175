/*
 * Going into the background, and the file that holds the process's id.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/system.h"

static bool daemonize;
static int ready_fd = -1; /* the parent waits at the other end */
static char *pidfile;

void os_set_daemonize(void)
{
    daemonize = true;
}

bool is_daemonized(void)
{
    return daemonize;
}

bool os_daemonize(Error **errp)
{
    int fds[2];
    char status;
    pid_t pid;

    if (!daemonize) {
        return true;
    }
    if (qemu_pipe(fds) < 0) {
        error_setg_errno(errp, errno, "cannot create a pipe");
        return false;
    }
    pid = fork();
    if (pid < 0) {
        error_setg_errno(errp, errno, "cannot fork");
        return false;
    }
    if (pid > 0) {
        close(fds[1]);
        /* End of file: the child has gone, and has said why. _exit: atexit() is the child's. */
        _exit(qemu_read_full(fds[0], &status, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    ready_fd = fds[1];
    setsid();
    /* Once more, so that no terminal can become the controlling one. */
    pid = fork();
    if (pid) {
        _exit(pid < 0);
    }
    umask(027);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    return true;
}

void os_setup_post(void)
{
    int null_fd;

    if (!daemonize || ready_fd < 0) {
        return;
    }
    if (chdir("/") < 0) {
        /* Nothing depends on it. */
    }
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd >= 0) {
        dup2(null_fd, STDIN_FILENO);
        dup2(null_fd, STDOUT_FILENO);
        dup2(null_fd, STDERR_FILENO);
        close(null_fd);
    }
    qemu_write_full(ready_fd, "", 1);
    close(ready_fd);
    ready_fd = -1;
}

static void remove_pidfile(void)
{
    unlink(pidfile);
}

bool os_write_pidfile(const char *path, Error **errp)
{
    ERRP_GUARD();

    if (!qemu_write_pidfile(path, errp)) {
        error_prepend(errp, "cannot create PID file: ");
        return false;
    }
    /* An absolute path: a daemon changes its directory. */
    pidfile = g_canonicalize_filename(path, NULL);
    atexit(remove_pidfile);
    return true;
}
