/*
 * One byte stream for up to four front ends: Ctrl-a c moves the keyboard to the next one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "system/runstate.h"

uint8_t mux_escape_char = 0x01; /* Ctrl-a */

static void put(MuxChardev *d, const char *text)
{
    qemu_chr_fe_write_all(&d->chr, (const uint8_t *)text, strlen(text));
}

static void put_timestamp(MuxChardev *d)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    g_autofree char *text = NULL;
    int64_t ms;

    if (d->timestamps_start < 0) {
        d->timestamps_start = now;
    }
    ms = now - d->timestamps_start;
    text = g_strdup_printf("[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                           (int)(ms / 1000 % 60), (int)(ms % 1000));
    put(d, text);
}

static int mux_write(Chardev *chr, const uint8_t *buf, int len)
{
    MuxChardev *d = MUX_CHARDEV(chr);

    if (!d->timestamps) {
        return qemu_chr_fe_write(&d->chr, buf, len);
    }
    for (int i = 0; i < len; i++) {
        if (d->linestart) {
            put_timestamp(d);
            d->linestart = false;
        }
        qemu_chr_fe_write_all(&d->chr, buf + i, 1);
        d->linestart = buf[i] == '\n';
    }
    return len;
}

/* ---- input ---- */

static CharBackend *focused(MuxChardev *d)
{
    return d->focus >= 0 ? d->backends[d->focus] : NULL;
}

static unsigned int buffered(MuxChardev *d, int m)
{
    return d->prod[m] - d->cons[m];
}

/* Hands the focused front end what waits for it. */
static void drain(MuxChardev *d)
{
    CharBackend *be = focused(d);
    int m = d->focus;

    while (be && buffered(d, m) && be->chr_can_read && be->chr_can_read(be->opaque) > 0) {
        be->chr_read(be->opaque, &d->buffer[m][d->cons[m]++ % MUX_BUFFER_SIZE], 1);
    }
}

static void send_event(MuxChardev *d, int m, QEMUChrEvent event)
{
    CharBackend *be = d->backends[m];

    if (be && be->chr_event) {
        be->chr_event(be->opaque, event);
    }
}

void mux_set_focus(Chardev *chr, int focus)
{
    MuxChardev *d = MUX_CHARDEV(chr);

    if (d->focus >= 0 && d->focus != focus) {
        send_event(d, d->focus, CHR_EVENT_MUX_OUT);
    }
    d->focus = focus;
    chr->be = d->backends[focus];
    send_event(d, focus, CHR_EVENT_MUX_IN);
}

static void next_focus(MuxChardev *d)
{
    int m = d->focus;

    do {
        m = (m + 1) % MAX_MUX;
    } while (!(d->used & (1u << m)));
    mux_set_focus(CHARDEV(d), m);
}

static void help(MuxChardev *d)
{
    put(d, "\n\rC-a h    print this help\n\r"
           "C-a x    exit emulator\n\r"
           "C-a s    save disk data back to file (if -snapshot)\n\r"
           "C-a t    toggle console timestamps\n\r"
           "C-a b    send break (magic sysrq)\n\r"
           "C-a c    switch between console and monitor\n\r"
           "C-a C-a  sends C-a\n\r");
}

/* True when the byte is for the front end. */
static bool filter_byte(MuxChardev *d, uint8_t ch)
{
    if (!d->got_escape) {
        d->got_escape = ch == mux_escape_char;
        return !d->got_escape;
    }
    d->got_escape = false;
    if (ch == mux_escape_char) {
        return true;
    }
    switch (ch) {
    case 'h':
    case '?':
        help(d);
        break;
    case 'x':
        put(d, "QEMU: Terminated\n\r");
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_UI);
        break;
    case 'b':
        if (d->focus >= 0) {
            send_event(d, d->focus, CHR_EVENT_BREAK);
        }
        break;
    case 'c':
        if (d->used) {
            next_focus(d);
        }
        break;
    case 't':
        d->timestamps = !d->timestamps;
        d->timestamps_start = -1;
        d->linestart = false;
        break;
    }
    return false;
}

static int mux_can_read(void *opaque)
{
    MuxChardev *d = opaque;
    CharBackend *be = focused(d);

    if (d->focus < 0 || buffered(d, d->focus) < MUX_BUFFER_SIZE) {
        return 1;
    }
    return be && be->chr_can_read && be->chr_can_read(be->opaque) > 0;
}

static void mux_read(void *opaque, const uint8_t *buf, int size)
{
    MuxChardev *d = opaque;

    for (int i = 0; i < size; i++) {
        int m;

        if (!filter_byte(d, buf[i])) {
            continue;
        }
        m = d->focus;
        if (m >= 0) {
            drain(d);
            if (buffered(d, m) < MUX_BUFFER_SIZE) {
                d->buffer[m][d->prod[m]++ % MUX_BUFFER_SIZE] = buf[i];
            }
            drain(d);
        }
    }
}

static void mux_event(void *opaque, QEMUChrEvent event)
{
    MuxChardev *d = opaque;

    CHARDEV(d)->be_open = CHARDEV(qemu_chr_fe_get_driver(&d->chr))->be_open;
    for (int m = 0; m < MAX_MUX; m++) {
        send_event(d, m, event);
    }
}

static void mux_accept_input(Chardev *chr)
{
    MuxChardev *d = MUX_CHARDEV(chr);

    drain(d);
    qemu_chr_fe_accept_input(&d->chr);
}

/* Events from below go to all front ends, not only to the one in focus. */
static void mux_be_event(Chardev *chr, QEMUChrEvent event)
{
    MuxChardev *d = MUX_CHARDEV(chr);

    for (int m = 0; m < MAX_MUX; m++) {
        send_event(d, m, event);
    }
}

static void mux_update_read_handler(Chardev *chr)
{
    MuxChardev *d = MUX_CHARDEV(chr);

    qemu_chr_fe_set_handlers_full(&d->chr, mux_can_read, mux_read, mux_event, NULL, d,
                                  chr->gcontext, true, false);
}

static GSource *mux_add_watch(Chardev *chr, GIOCondition cond)
{
    Chardev *below = qemu_chr_fe_get_driver(&MUX_CHARDEV(chr)->chr);

    return below && CHARDEV_GET_CLASS(below)->chr_add_watch
        ? CHARDEV_GET_CLASS(below)->chr_add_watch(below, cond) : NULL;
}

static void mux_set_echo(Chardev *chr, bool echo)
{
    qemu_chr_fe_set_echo(&MUX_CHARDEV(chr)->chr, echo);
}

/* ---- front ends ---- */

bool mux_chr_attach_frontend(MuxChardev *d, CharBackend *b, unsigned int *tag, Error **errp)
{
    for (int m = 0; m < MAX_MUX; m++) {
        if (!(d->used & (1u << m))) {
            d->used |= 1u << m;
            d->backends[m] = b;
            d->prod[m] = d->cons[m] = 0;
            *tag = m;
            return true;
        }
    }
    error_setg(errp, "too many uses of multiplexed chardev '%s' (maximum is %d)",
               CHARDEV(d)->label, MAX_MUX);
    return false;
}

void mux_chr_detach_frontend(MuxChardev *d, unsigned int tag)
{
    d->used &= ~(1u << tag);
    d->backends[tag] = NULL;
    if (d->focus == (int)tag) {
        d->focus = -1;
        CHARDEV(d)->be = NULL;
        if (d->used) {
            next_focus(d);
        }
    }
}

/* ---- the kind ---- */

static void mux_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    const char *chardev = qemu_opt_get(opts, "chardev");
    ChardevMux *mux;

    if (!chardev) {
        error_setg(errp, "chardev: mux: no chardev given");
        return;
    }
    mux = backend->u.mux.data = g_new0(ChardevMux, 1);
    qemu_chr_parse_common(opts, qapi_ChardevMux_base(mux));
    mux->chardev = g_strdup(chardev);
}

static void mux_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    ChardevMux *mux = backend->u.mux.data;
    MuxChardev *d = MUX_CHARDEV(chr);
    Chardev *below = qemu_chr_find(mux->chardev);

    /* Front ends of one stream have to agree on a thread: the main one. */
    chr->features &= ~(1u << QEMU_CHAR_FEATURE_GCONTEXT);
    if (!below) {
        error_setg(errp, "mux: base chardev %s not found", mux->chardev);
        return;
    }
    if (!qemu_chr_fe_init(&d->chr, below, errp)) {
        return;
    }
    *be_opened = below->be_open;
}

static void mux_init(Object *obj)
{
    MUX_CHARDEV(obj)->focus = -1;
}

static void mux_finalize(Object *obj)
{
    MuxChardev *d = MUX_CHARDEV(obj);

    for (int m = 0; m < MAX_MUX; m++) {
        if (d->backends[m]) {
            d->backends[m]->chr = NULL;
        }
    }
    CHARDEV(d)->be = NULL;
    qemu_chr_fe_deinit(&d->chr, false);
}

static void mux_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = mux_parse;
    cc->chr_open = mux_open;
    cc->chr_write = mux_write;
    cc->chr_accept_input = mux_accept_input;
    cc->chr_add_watch = mux_add_watch;
    cc->chr_be_event = mux_be_event;
    cc->chr_update_read_handler = mux_update_read_handler;
    cc->chr_set_echo = mux_set_echo;
}

static const TypeInfo mux_types[] = {
    {
        .name = TYPE_CHARDEV_MUX,
        .parent = TYPE_CHARDEV,
        .instance_size = sizeof(MuxChardev),
        .instance_init = mux_init,
        .instance_finalize = mux_finalize,
        .class_init = mux_class_init,
    },
};
DEFINE_TYPES(mux_types)
