/*
 * Where and as whom the process runs: the background, another root directory, another user; the
 * file that holds its id; and a helper that outlives it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "system/system.h"

static bool daemonize;
static int ready_fd = -1; /* the parent waits at the other end */
static int null_fd = -1;  /* of a daemon: opened early, for another root may have no /dev/null */
static char *pidfile;            /* its name within pidfile_dir */
static int pidfile_dir = -1;     /* found even from within another root */
static const char *new_root;
static bool change_user;
static char *user_name;          /* NULL: by numbers */
static uid_t user_uid;
static gid_t user_gid;
static bool async_teardown;

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
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
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
    if (!daemonize || ready_fd < 0) {
        return;
    }
    if (chdir("/") < 0) {
        /* Nothing depends on it. */
    }
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

/* ---- another root, another user ---- */

bool os_set_chroot(const char *path, Error **errp)
{
    if (!*path) {
        error_setg(errp, "chroot needs a directory");
        return false;
    }
    new_root = path;
    return true;
}

/* A number that fits an id and is none of the two that mean "leave it". */
static bool parse_id(const char *text, const char **end, uint32_t *id)
{
    uint64_t value = g_ascii_isdigit(*text) ? g_ascii_strtoull(text, (char **)end, 10)
        : UINT64_MAX;

    *id = value;
    return value < UINT32_MAX;
}

bool os_set_runas(const char *text, Error **errp)
{
    struct passwd *entry = getpwnam(text);
    const char *rest;
    uint32_t uid, gid;

    if (entry) {
        g_free(user_name);
        user_name = g_strdup(text);
        user_uid = entry->pw_uid;
        user_gid = entry->pw_gid;
    } else if (parse_id(text, &rest, &uid) && *rest == ':' && parse_id(rest + 1, &rest, &gid) &&
               !*rest) {
        g_clear_pointer(&user_name, g_free);
        user_uid = uid;
        user_gid = gid;
    } else {
        error_setg(errp, "User \"%s\" doesn't exist (and is not <uid>:<gid>)", text);
        return false;
    }
    change_user = true;
    return true;
}

bool os_runas_given(void)
{
    return change_user;
}

bool os_change_root_and_user(Error **errp)
{
    if (new_root) {
        if (chroot(new_root) < 0) {
            error_setg_errno(errp, errno, "chroot to '%s' failed", new_root);
            return false;
        }
        if (chdir("/") < 0) {
            error_setg_errno(errp, errno, "not able to chdir to / after chroot");
            return false;
        }
    }
    if (change_user) {
        /* Groups first: afterwards it is too late. */
        if (setgid(user_gid) < 0) {
            error_setg_errno(errp, errno, "Failed to setgid(%u)", user_gid);
            return false;
        }
        if ((user_name ? initgroups(user_name, user_gid) : setgroups(1, &user_gid)) < 0) {
            error_setg_errno(errp, errno, "Failed to set the groups of user %u", user_uid);
            return false;
        }
        if (setuid(user_uid) < 0) {
            error_setg_errno(errp, errno, "Failed to setuid(%u)", user_uid);
            return false;
        }
        if (user_uid && setuid(0) == 0) {
            error_setg(errp, "Dropping privileges failed");
            return false;
        }
    }
    return true;
}

/* ---- a helper that outlives the program ---- */

void os_set_async_teardown(bool enable)
{
    async_teardown = enable;
}

/*
 * The helper shares the program's memory and nothing else. When the program ends, the memory of a
 * big guest has one user left, and whoever waits for the program need not wait until it is given
 * back: that happens as the helper ends.
 *
 * It runs on the caller's thread-local memory, so it calls nothing that could fail and set errno.
 */
typedef struct TeardownHelper {
    pid_t program;
    int fd; /* of a pipe whose other end nobody but the program has: it ends with it */
} TeardownHelper;

static int teardown_helper(void *opaque)
{
    TeardownHelper helper = *(TeardownHelper *)opaque;
    char name[16], byte;
    sigset_t all;

    snprintf(name, sizeof(name), "cleanup/%d", (int)helper.program);
    prctl(PR_SET_NAME, name);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    if (helper.fd > 0) {
        syscall(SYS_close_range, 0, helper.fd - 1, 0);
    }
    syscall(SYS_close_range, helper.fd + 1, ~0U, 0);
    while (read(helper.fd, &byte, 1) > 0) {
        /* nobody writes */
    }
    _exit(0);
}

bool os_start_async_teardown(Error **errp)
{
    static TeardownHelper helper; /* both processes' */
    size_t size = 64 * 1024;
    void *stack;
    int fds[2];

    if (!async_teardown) {
        return true;
    }
    stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1,
                 0);
    if (stack == MAP_FAILED || qemu_pipe(fds) < 0) {
        error_setg_errno(errp, errno, "cannot start the helper of async-teardown");
        return false;
    }
    helper = (TeardownHelper){ getpid(), fds[0] };
    if (clone(teardown_helper, (char *)stack + size, CLONE_VM | SIGCHLD, &helper) < 0) {
        error_setg_errno(errp, errno, "cannot start the helper of async-teardown");
        return false;
    }
    close(fds[0]); /* the other end stays open as long as this process is there */
    return true;
}

/* ---- the file with the process's id ---- */

static void remove_pidfile(void)
{
    unlinkat(pidfile_dir, pidfile, 0);
}

bool os_write_pidfile(const char *path, Error **errp)
{
    ERRP_GUARD();

    if (!qemu_write_pidfile(path, errp)) {
        error_prepend(errp, "cannot create PID file: ");
        return false;
    }
    {
        g_autofree char *dir = g_path_get_dirname(path);

        pidfile = g_path_get_basename(path);
        pidfile_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        atexit(remove_pidfile);
        at_quick_exit(remove_pidfile);
    }
    return true;
}
