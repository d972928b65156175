/*
 * The front end's side of a character device: embed a CharBackend, bind it with qemu_chr_fe_init(),
 * set handlers, and write.
 *
 * All functions do nothing (or report "not connected") while nothing is bound, so that a device
 * without a chardev= needs no checks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_CHAR_FE_H
#define CHARDEV_CHAR_FE_H

#include "chardev/char.h"

typedef void IOEventHandler(void *opaque, QEMUChrEvent event);
typedef int IOCanReadHandler(void *opaque);                     /* bytes that can be taken now */
typedef void IOReadHandler(void *opaque, const uint8_t *buf, int size);
typedef int BackendChangeHandler(void *opaque);
/* Return FALSE to remove the watch. */
typedef gboolean (*FEWatchFunc)(void *do_not_use, GIOCondition condition, void *data);

struct CharBackend {
    Chardev *chr; /* may be NULL */
    IOEventHandler *chr_event;
    IOCanReadHandler *chr_can_read;
    IOReadHandler *chr_read;
    BackendChangeHandler *chr_be_change;
    void *opaque;
    unsigned int tag; /* which of a multiplexer's */
    bool fe_is_open;
    bool drain_first; /* tell of the peer's end only when it asks for more input */
};

/* Bind @b to @s; an error if @s has a front end already. */
bool qemu_chr_fe_init(CharBackend *b, Chardev *s, Error **errp);
/* Unbind; @del: remove the character device as well. */
void qemu_chr_fe_deinit(CharBackend *b, bool del);

Chardev *qemu_chr_fe_get_driver(CharBackend *be);
bool qemu_chr_fe_backend_connected(CharBackend *be);
bool qemu_chr_fe_backend_open(CharBackend *be);

/*
 * From here on input goes to @fd_read, in @context (NULL: main loop). All handlers NULL: stop.
 * @set_open: tell the peer's side whether there is a front end. If a peer is there already,
 * CHR_EVENT_OPENED is raised at once. Call from @context's thread, or before it runs.
 */
void qemu_chr_fe_set_handlers_full(CharBackend *b, IOCanReadHandler *fd_can_read,
                                   IOReadHandler *fd_read, IOEventHandler *fd_event,
                                   BackendChangeHandler *be_change, void *opaque,
                                   GMainContext *context, bool set_open, bool sync_state);
void qemu_chr_fe_set_handlers(CharBackend *b, IOCanReadHandler *fd_can_read,
                              IOReadHandler *fd_read, IOEventHandler *fd_event,
                              BackendChangeHandler *be_change, void *opaque,
                              GMainContext *context, bool set_open);

/* fd_can_read() may have become positive: look again. Any thread. */
void qemu_chr_fe_accept_input(CharBackend *be);
void qemu_chr_fe_disconnect(CharBackend *be);
int qemu_chr_fe_wait_connected(CharBackend *be, Error **errp);
void qemu_chr_fe_set_echo(CharBackend *be, bool echo);
void qemu_chr_fe_set_open(CharBackend *be, bool is_open);
/* Move a multiplexer's focus here. */
void qemu_chr_fe_take_focus(CharBackend *b);

/* Bytes taken, possibly fewer than @len; -1 with errno (EAGAIN) if none. Any thread. */
int qemu_chr_fe_write(CharBackend *be, const uint8_t *buf, int len);
/* Waits until all is written; less than @len only if the device fails. */
int qemu_chr_fe_write_all(CharBackend *be, const uint8_t *buf, int len);
void qemu_chr_fe_printf(CharBackend *be, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Call @func once output is possible; 0 where the device cannot tell. Removed by its result. */
guint qemu_chr_fe_add_watch(CharBackend *be, GIOCondition cond, FEWatchFunc func,
                            void *user_data);

/* Descriptors that came with the last input; the caller owns what it gets. */
int qemu_chr_fe_get_msgfd(CharBackend *be);
int qemu_chr_fe_get_msgfds(CharBackend *be, int *fds, int num);
/* Descriptors to go out with the next byte. */
int qemu_chr_fe_set_msgfds(CharBackend *be, int *fds, int num);

#endif
