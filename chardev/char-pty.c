/*
 * A pseudo-terminal: the user opens its other end like a serial line.
 *
 * Nothing tells the master when somebody opens the slave: while nobody has it, polling reports a
 * hang-up, which is looked for once a second.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <pty.h>
#include <termios.h>
#include "chardev-internal.h"
#include "qemu/error-report.h"

#define PTY_POLL_MS 1000

typedef struct PtyChardev {
    Chardev parent;
    int fd;
    bool connected;
    GSource *timer;
    char *link; /* path= of a symbolic link that we made, or NULL */
} PtyChardev;
DECLARE_INSTANCE_CHECKER(PtyChardev, PTY_CHARDEV, TYPE_CHARDEV_PTY)

static void pty_state(Chardev *chr, bool connected);

static gboolean pty_read(Chardev *chr, int max)
{
    PtyChardev *s = PTY_CHARDEV(chr);
    uint8_t buf[CHR_READ_BUF_LEN];
    ssize_t ret = RETRY_ON_EINTR(read(s->fd, buf, MIN(max, (int)sizeof(buf))));

    if (ret > 0) {
        qemu_chr_be_write(chr, buf, ret);
    } else if (ret == 0 || errno != EAGAIN) {
        pty_state(chr, false);
        return FALSE;
    }
    return TRUE;
}

static void pty_hangup(Chardev *chr)
{
    pty_state(chr, false);
}

static bool somebody_there(PtyChardev *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };

    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

static gboolean pty_look(gpointer data)
{
    Chardev *chr = data;

    if (somebody_there(PTY_CHARDEV(chr))) {
        g_clear_pointer(&PTY_CHARDEV(chr)->timer, g_source_unref);
        pty_state(chr, true);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void pty_stop_timer(PtyChardev *s)
{
    if (s->timer) {
        g_source_destroy(s->timer);
        g_clear_pointer(&s->timer, g_source_unref);
    }
}

static void pty_state(Chardev *chr, bool connected)
{
    PtyChardev *s = PTY_CHARDEV(chr);
    bool before = s->connected;

    s->connected = connected;
    if (connected) {
        pty_stop_timer(s);
        if (!chr->gsource) {
            chr->gsource = chr_read_source_new(chr, s->fd, pty_read, pty_hangup, chr->gcontext);
        }
        if (!before) {
            qemu_chr_be_event(chr, CHR_EVENT_OPENED);
        }
        return;
    }
    remove_fd_in_watch(chr);
    if (!s->timer) {
        s->timer = g_timeout_source_new(PTY_POLL_MS);
        g_source_set_callback(s->timer, pty_look, chr, NULL);
        g_source_attach(s->timer, chr->gcontext);
    }
    if (before) {
        qemu_chr_be_event(chr, CHR_EVENT_CLOSED);
    }
}

static void pty_update_read_handler(Chardev *chr)
{
    PtyChardev *s = PTY_CHARDEV(chr);

    pty_stop_timer(s);
    remove_fd_in_watch(chr);
    pty_state(chr, somebody_there(s));
}

static int pty_write(Chardev *chr, const uint8_t *buf, int len)
{
    PtyChardev *s = PTY_CHARDEV(chr);

    /* Without a reader the line's buffer would fill up and hold the guest: drop it. */
    if (!s->connected && !somebody_there(s)) {
        return len;
    }
    return RETRY_ON_EINTR(write(s->fd, buf, len));
}

static GSource *pty_add_watch(Chardev *chr, GIOCondition cond)
{
    PtyChardev *s = PTY_CHARDEV(chr);

    return s->connected ? chr_fd_watch_new(s->fd, cond) : NULL;
}

static void pty_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    ChardevPty *pty = backend->u.pty.data = g_new0(ChardevPty, 1);

    qemu_chr_parse_common(opts, qapi_ChardevPty_base(pty));
    pty->path = g_strdup(qemu_opt_get(opts, "path"));
}

static void pty_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    PtyChardev *s = PTY_CHARDEV(chr);
    ChardevPty *opts = backend->u.pty.data;
    struct termios tty;
    char name[PATH_MAX];
    int slave;

    if (openpty(&s->fd, &slave, name, NULL, NULL) < 0) {
        s->fd = -1;
        error_setg_errno(errp, errno, "Failed to create PTY");
        return;
    }
    tcgetattr(slave, &tty);
    cfmakeraw(&tty);
    tcsetattr(slave, TCSAFLUSH, &tty);
    close(slave);
    qemu_set_cloexec(s->fd);
    if (!qemu_set_blocking(s->fd, false, errp)) {
        return;
    }
    if (opts->path) {
        if (symlink(name, opts->path) < 0) {
            error_setg_errno(errp, errno, "Failed to create PTY symlink '%s'", opts->path);
            return;
        }
        s->link = g_strdup(opts->path);
    }
    chr->filename = g_strdup_printf("pty:%s", name);
    info_report("char device redirected to %s (label %s)", name, chr->label);
    *be_opened = false;
}

static void pty_init(Object *obj)
{
    PTY_CHARDEV(obj)->fd = -1;
}

static void pty_finalize(Object *obj)
{
    PtyChardev *s = PTY_CHARDEV(obj);

    pty_stop_timer(s);
    remove_fd_in_watch(CHARDEV(obj));
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->link) {
        unlink(s->link);
        g_free(s->link);
    }
}

static void pty_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = pty_parse;
    cc->chr_open = pty_open;
    cc->chr_write = pty_write;
    cc->chr_add_watch = pty_add_watch;
    cc->chr_update_read_handler = pty_update_read_handler;
}

static const TypeInfo pty_types[] = {
    {
        .name = TYPE_CHARDEV_PTY,
        .parent = TYPE_CHARDEV,
        .instance_size = sizeof(PtyChardev),
        .instance_init = pty_init,
        .instance_finalize = pty_finalize,
        .class_init = pty_class_init,
    },
};
DEFINE_TYPES(pty_types)
