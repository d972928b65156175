/*
 * Character devices: byte streams to and from the outside (a socket, a terminal, a file), each
 * with at most one front end in the program (a monitor, a serial port).
 *
 * A Chardev is a QOM object, child of /chardevs under its id. Front ends use chardev/char-fe.h;
 * this header is for those who make character devices and for those who implement kinds of them.
 *
 * Locking: making, removing and listing want the BQL. Input is read and events are raised in the
 * GMainContext that the front end chose (NULL: the main loop's), output may come from any thread
 * and is serialised by chr_write_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_CHAR_H
#define CHARDEV_CHAR_H

#include "qapi/qapi-types-char.h"
#include "qemu/option.h"
#include "qemu/thread.h"
#include "qom/object.h"

typedef struct CharBackend CharBackend;

#define IAC_EOR 239
#define IAC_SE 240
#define IAC_NOP 241
#define IAC_BREAK 243
#define IAC_SB 250
#define IAC 255

typedef enum QEMUChrEvent {
    CHR_EVENT_BREAK,
    CHR_EVENT_OPENED,  /* a peer is there */
    CHR_EVENT_MUX_IN,  /* the multiplexer's focus moved to this front end */
    CHR_EVENT_MUX_OUT, /* and away from it */
    CHR_EVENT_CLOSED,
} QEMUChrEvent;

typedef enum ChardevFeature {
    QEMU_CHAR_FEATURE_RECONNECTABLE, /* a new peer may come after one has gone */
    QEMU_CHAR_FEATURE_FD_PASS,
    QEMU_CHAR_FEATURE_REPLAY,
    QEMU_CHAR_FEATURE_GCONTEXT,      /* can run in another context than the main one */
} ChardevFeature;

#define TYPE_CHARDEV "chardev"
OBJECT_DECLARE_TYPE(Chardev, ChardevClass, CHARDEV)

struct Chardev {
    Object parent_obj;

    QemuMutex chr_write_lock; /* serialises output, and guards filename and logfd */
    CharBackend *be;          /* the front end; NULL: none */
    char *label;
    char *filename;           /* for people: what it is connected to */
    int logfd;                /* copy of all output, or -1 */
    int be_open;              /* a peer is there */
    GSource *gsource;         /* reads input while there is a front end */
    GMainContext *gcontext;   /* where that happens; NULL: main loop */
    unsigned int features;    /* bits of ChardevFeature */
};

/*
 * What a kind supplies; all may be NULL.
 *
 * @chr_parse: command-line options into @backend, whose type is set.
 * @chr_open: @backend is what chr_parse or chardev-add made. @be_opened starts as true; set it to
 * false when the device counts as open only after an event.
 * @chr_write: as many bytes as can be taken now; -1 with errno (EAGAIN: none now). chr_write_lock.
 */
struct ChardevClass {
    ObjectClass parent_class;

    bool internal; /* not for users */
    bool supports_yank;

    void (*chr_parse)(QemuOpts *opts, ChardevBackend *backend, Error **errp);
    void (*chr_open)(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp);
    int (*chr_write)(Chardev *chr, const uint8_t *buf, int len);
    GSource *(*chr_add_watch)(Chardev *chr, GIOCondition cond);
    void (*chr_update_read_handler)(Chardev *chr);
    int (*chr_get_msgfds)(Chardev *chr, int *fds, int num);
    int (*chr_set_msgfds)(Chardev *chr, int *fds, int num);
    int (*chr_wait_connected)(Chardev *chr, Error **errp);
    void (*chr_disconnect)(Chardev *chr);
    void (*chr_accept_input)(Chardev *chr);
    void (*chr_set_echo)(Chardev *chr, bool echo);
    void (*chr_set_fe_open)(Chardev *chr, int fe_open);
    void (*chr_be_event)(Chardev *chr, QEMUChrEvent event);
};

#define TYPE_CHARDEV_NULL "chardev-null"
#define TYPE_CHARDEV_FD "chardev-fd"
#define TYPE_CHARDEV_FILE "chardev-file"
#define TYPE_CHARDEV_PIPE "chardev-pipe"
#define TYPE_CHARDEV_STDIO "chardev-stdio"
#define TYPE_CHARDEV_PTY "chardev-pty"
#define TYPE_CHARDEV_RINGBUF "chardev-ringbuf"
#define TYPE_CHARDEV_MEMORY "chardev-memory"
#define TYPE_CHARDEV_SOCKET "chardev-socket"
#define TYPE_CHARDEV_MUX "chardev-mux"

/* The key that lets the next one be a command to a multiplexer (-echr). */
extern uint8_t mux_escape_char;
#define CHARDEV_IS_MUX(chr) object_dynamic_cast(OBJECT(chr), TYPE_CHARDEV_MUX)
#define CHARDEV_IS_PTY(chr) object_dynamic_cast(OBJECT(chr), TYPE_CHARDEV_PTY)

/* ---- making them ---- */

/*
 * A -chardev argument. @help_requested is set when the argument asked for help, which was then
 * printed; NULL is returned then without an error.
 */
Chardev *qemu_chr_new_from_opts(QemuOpts *opts, GMainContext *context, Error **errp);
QemuOpts *qemu_chr_parse_cli_str(const char *optarg, bool *help_requested, Error **errp);

/*
 * What -serial, -monitor and -qmp take: "stdio", "null", "pty", "file:PATH", "pipe:PATH",
 * "unix:PATH,server=on", "tcp:HOST:PORT", "telnet:…", "chardev:ID", "mon:…" (with a monitor
 * multiplexed onto it; needs @permit_mux_mon). The caller does not own the result.
 */
Chardev *qemu_chr_new(const char *label, const char *filename, GMainContext *context,
                      Error **errp);
Chardev *qemu_chr_new_mux_mon(const char *label, const char *filename, GMainContext *context,
                              Error **errp);
/* Only the translation, into an entry of group "chardev". */
QemuOpts *qemu_chr_parse_compat(const char *label, const char *filename, bool permit_mux_mon,
                                Error **errp);
/* How "mon:" gets its monitor; set by the monitor. */
extern bool (*qemu_chr_mux_monitor_hook)(Chardev *chr, Error **errp);

/* @id NULL: not in the tree, the caller owns the reference. */
Chardev *qemu_chardev_new(const char *id, const char *typename, ChardevBackend *backend,
                          GMainContext *context, Error **errp);
void qemu_chr_parse_common(QemuOpts *opts, ChardevCommon *backend);

/* ---- finding them ---- */

Chardev *qemu_chr_find(const char *name);
void qemu_chr_cleanup(void);
Object *get_chardevs_root(void);
bool qemu_chr_is_busy(Chardev *s);
bool qemu_chr_has_feature(Chardev *chr, ChardevFeature feature);
void qemu_chr_set_feature(Chardev *chr, ChardevFeature feature);
/* Waits for a peer where the kind has such a thing; 0, or negative with @errp set. */
int qemu_chr_wait_connected(Chardev *chr, Error **errp);

/* ---- for kinds: towards the front end ---- */

/* How many bytes the front end can take. */
int qemu_chr_be_can_write(Chardev *s);
void qemu_chr_be_write(Chardev *s, const uint8_t *buf, int len);
void qemu_chr_be_event(Chardev *s, QEMUChrEvent event);
void qemu_chr_be_update_read_handlers(Chardev *s, GMainContext *context);
/* Output from whoever has the Chardev without being its front end. Bytes written, or -1. */
int qemu_chr_write(Chardev *s, const uint8_t *buf, int len, bool write_all);
#define qemu_chr_write_all(s, buf, len) qemu_chr_write(s, buf, len, true)

extern QemuOptsList qemu_chardev_opts;

#endif
