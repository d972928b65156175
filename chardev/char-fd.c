/*
 * Character devices on file descriptors: plain files, named pipes, and the base of stdio.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qemu/trace.h"

static int fd_chr_write(Chardev *chr, const uint8_t *buf, int len)
{
    FDChardev *s = FD_CHARDEV(chr);

    return s->fd_out < 0 ? len : RETRY_ON_EINTR(write(s->fd_out, buf, len));
}

static gboolean fd_chr_read(Chardev *chr, int max)
{
    FDChardev *s = FD_CHARDEV(chr);
    uint8_t buf[CHR_READ_BUF_LEN];
    ssize_t ret = RETRY_ON_EINTR(read(s->fd_in, buf, MIN(max, (int)sizeof(buf))));

    if (ret > 0) {
        qemu_chr_be_write(chr, buf, ret);
        return TRUE;
    }
    if (ret < 0 && errno == EAGAIN) {
        return TRUE;
    }
    g_clear_pointer(&chr->gsource, g_source_unref);
    qemu_chr_be_event(chr, CHR_EVENT_CLOSED);
    return FALSE;
}

static void fd_chr_update_read_handler(Chardev *chr)
{
    FDChardev *s = FD_CHARDEV(chr);

    remove_fd_in_watch(chr);
    if (s->fd_in >= 0 && chr->be && chr->be->chr_can_read) {
        chr->gsource = chr_read_source_new(chr, s->fd_in, fd_chr_read, NULL, chr->gcontext);
    }
}

static GSource *fd_chr_add_watch(Chardev *chr, GIOCondition cond)
{
    FDChardev *s = FD_CHARDEV(chr);

    return s->fd_out < 0 ? NULL : chr_fd_watch_new(s->fd_out, cond);
}

bool qemu_chr_open_fd(Chardev *chr, int fd_in, int fd_out, Error **errp)
{
    FDChardev *s = FD_CHARDEV(chr);

    s->fd_in = fd_in;
    s->fd_out = fd_out;
    if (fd_in >= 0 && !qemu_set_blocking(fd_in, false, errp)) {
        return false;
    }
    return fd_out < 0 || fd_out == fd_in || qemu_set_blocking(fd_out, false, errp);
}

static void fd_chr_init(Object *obj)
{
    FDChardev *s = FD_CHARDEV(obj);

    s->fd_in = -1;
    s->fd_out = -1;
}

static void fd_chr_finalize(Object *obj)
{
    FDChardev *s = FD_CHARDEV(obj);

    remove_fd_in_watch(CHARDEV(obj));
    if (s->keep_open) {
        return;
    }
    if (s->fd_in >= 0) {
        qemu_close(s->fd_in);
    }
    if (s->fd_out >= 0 && s->fd_out != s->fd_in) {
        qemu_close(s->fd_out);
    }
}

static void fd_chr_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_write = fd_chr_write;
    cc->chr_add_watch = fd_chr_add_watch;
    cc->chr_update_read_handler = fd_chr_update_read_handler;
}

/* ---- file ---- */

static void file_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    const char *path = qemu_opt_get(opts, "path");
    ChardevFile *file;

    if (!path) {
        error_setg(errp, "chardev: file: no filename given");
        return;
    }
    file = backend->u.file.data = g_new0(ChardevFile, 1);
    qemu_chr_parse_common(opts, qapi_ChardevFile_base(file));
    file->out = g_strdup(path);
    file->in = g_strdup(qemu_opt_get(opts, "input-path"));
    file->has_append = true;
    file->append = qemu_opt_get_bool(opts, "append", false);
}

static void file_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    ChardevFile *file = backend->u.file.data;
    int flags = O_WRONLY | O_CREAT;
    int fd_in = -1, fd_out;

    flags |= file->has_append && file->append ? O_APPEND : O_TRUNC;
    fd_out = qemu_create(file->out, flags, 0666, errp);
    if (fd_out < 0) {
        return;
    }
    if (file->in) {
        fd_in = qemu_open(file->in, O_RDONLY, errp);
        if (fd_in < 0) {
            qemu_close(fd_out);
            return;
        }
    }
    qemu_chr_open_fd(chr, fd_in, fd_out, errp);
}

static void file_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = file_parse;
    cc->chr_open = file_open;
}

/* ---- pipe: PATH.in and PATH.out, or one FIFO for both ---- */

static void pipe_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    const char *path = qemu_opt_get(opts, "path");
    ChardevHostdev *dev;

    if (!path) {
        error_setg(errp, "chardev: pipe: no device path given");
        return;
    }
    dev = backend->u.pipe.data = g_new0(ChardevHostdev, 1);
    qemu_chr_parse_common(opts, qapi_ChardevHostdev_base(dev));
    dev->device = g_strdup(path);
}

static void pipe_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    ChardevHostdev *opts = backend->u.pipe.data;
    g_autofree char *in = g_strdup_printf("%s.in", opts->device);
    g_autofree char *out = g_strdup_printf("%s.out", opts->device);
    /* Open for both directions, so that opening waits for nobody and no end of file comes. */
    int fd_in = qemu_open(in, O_RDWR, NULL);
    int fd_out = qemu_open(out, O_RDWR, NULL);

    if (fd_in < 0 || fd_out < 0) {
        if (fd_in >= 0) {
            qemu_close(fd_in);
        }
        if (fd_out >= 0) {
            qemu_close(fd_out);
        }
        fd_in = fd_out = qemu_open(opts->device, O_RDWR, errp);
        if (fd_in < 0) {
            return;
        }
    }
    qemu_chr_open_fd(chr, fd_in, fd_out, errp);
}

static void pipe_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = pipe_parse;
    cc->chr_open = pipe_open;
}

static const TypeInfo fd_types[] = {
    {
        .name = TYPE_CHARDEV_FD,
        .parent = TYPE_CHARDEV,
        .instance_size = sizeof(FDChardev),
        .instance_init = fd_chr_init,
        .instance_finalize = fd_chr_finalize,
        .class_init = fd_chr_class_init,
        .abstract = true,
    },
    { .name = TYPE_CHARDEV_FILE, .parent = TYPE_CHARDEV_FD, .class_init = file_class_init },
    { .name = TYPE_CHARDEV_PIPE, .parent = TYPE_CHARDEV_FD, .class_init = pipe_class_init },
};
DEFINE_TYPES(fd_types)
