/*
 * GSources that read for character devices, and that watch for room to write.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/ioctl.h>
#include "chardev-internal.h"

typedef struct ChrReadSource {
    GSource source;
    Chardev *chr;
    int fd;
    gpointer tag;
    GIOCondition armed; /* what the tag polls for at present */
    ChrReadFn *read;
    ChrHangupFn *hangup;
    int max;            /* what the front end said it can take */
} ChrReadSource;

/* Poll for @cond, and for hang-ups, which always are. A source that is parked polls for nothing. */
static void arm(ChrReadSource *s, GIOCondition cond)
{
    if (!s->tag) {
        if (!cond) {
            return;
        }
        s->tag = g_source_add_unix_fd(&s->source, s->fd, cond);
    } else if (s->armed != cond) {
        g_source_modify_unix_fd(&s->source, s->tag, cond);
    }
    s->armed = cond;
}

static gboolean read_source_prepare(GSource *source, gint *timeout)
{
    ChrReadSource *s = (ChrReadSource *)source;

    *timeout = -1;
    s->max = qemu_chr_be_can_write(s->chr);
    arm(s, s->max > 0 ? G_IO_IN : 0);
    return FALSE;
}

/* The peer has gone, and no byte is left in the kernel. */
static bool nothing_left(int fd)
{
    struct pollfd p = { .fd = fd };
    int left;

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) &&
           (ioctl(fd, FIONREAD, &left) < 0 || left == 0);
}

static gboolean read_source_check(GSource *source)
{
    ChrReadSource *s = (ChrReadSource *)source;

    return s->tag && (g_source_query_unix_fd(source, s->tag) &
                      (G_IO_IN | G_IO_HUP | G_IO_ERR | G_IO_NVAL));
}

static gboolean read_source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    ChrReadSource *s = (ChrReadSource *)source;

    if (s->max > 0) {
        return s->read(s->chr, s->max);
    }
    if (s->hangup && !(s->chr->be && s->chr->be->drain_first) && nothing_left(s->fd)) {
        s->hangup(s->chr);
        return FALSE;
    }
    /* Input waits before the hang-up for a front end that is busy, and polling would return at
     * once for ever: do without until the front end is ready. */
    g_source_remove_unix_fd(source, s->tag);
    s->tag = NULL;
    return TRUE;
}

static GSourceFuncs read_source_funcs = {
    .prepare = read_source_prepare,
    .check = read_source_check,
    .dispatch = read_source_dispatch,
};

GSource *chr_read_source_new(Chardev *chr, int fd, ChrReadFn *read, ChrHangupFn *hangup,
                             GMainContext *context)
{
    ChrReadSource *s = (ChrReadSource *)g_source_new(&read_source_funcs, sizeof(*s));

    s->chr = chr;
    s->fd = fd;
    s->read = read;
    s->hangup = hangup;
    s->tag = g_source_add_unix_fd(&s->source, fd, 0);
    g_source_set_name(&s->source, chr->label ?: "chardev");
    g_source_attach(&s->source, context);
    return &s->source;
}

void remove_fd_in_watch(Chardev *chr)
{
    if (chr->gsource) {
        g_source_destroy(chr->gsource);
        g_source_unref(chr->gsource);
        chr->gsource = NULL;
    }
}

/* ---- watches ---- */

typedef struct ChrFdWatch {
    GSource source;
    gpointer tag;
} ChrFdWatch;

static gboolean watch_check(GSource *source)
{
    return g_source_query_unix_fd(source, ((ChrFdWatch *)source)->tag) != 0;
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    FEWatchFunc func = (FEWatchFunc)(void (*)(void))callback;

    return func(NULL, g_source_query_unix_fd(source, ((ChrFdWatch *)source)->tag), data);
}

static GSourceFuncs watch_funcs = {
    .check = watch_check,
    .dispatch = watch_dispatch,
};

GSource *chr_fd_watch_new(int fd, GIOCondition cond)
{
    ChrFdWatch *w = (ChrFdWatch *)g_source_new(&watch_funcs, sizeof(*w));

    w->tag = g_source_add_unix_fd(&w->source, fd, cond);
    return &w->source;
}
