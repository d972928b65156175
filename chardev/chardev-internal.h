/*
 * What the kinds of character devices share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_INTERNAL_H
#define CHARDEV_INTERNAL_H

#include "chardev/char-fe.h"
#include "qapi/error.h"

#define CHR_READ_BUF_LEN 4096
#define MAX_MUX 4
#define MUX_BUFFER_SIZE 32

/*
 * Reads a descriptor for a Chardev. The source asks qemu_chr_be_can_write() before each poll, so
 * that input waits in the kernel while the front end is busy. @read gets what can be taken; it
 * returns FALSE when the source is to go. @hangup (may be NULL) is called when the peer has gone
 * and nothing is left to read, although the front end takes no input; the source goes with it.
 * Returns an attached source with one reference for the caller.
 */
typedef gboolean ChrReadFn(Chardev *chr, int max);
typedef void ChrHangupFn(Chardev *chr);
GSource *chr_read_source_new(Chardev *chr, int fd, ChrReadFn *read, ChrHangupFn *hangup,
                             GMainContext *context);
/* Removes chr->gsource. */
void remove_fd_in_watch(Chardev *chr);

/* A watch for qemu_chr_fe_add_watch(): its callback is a FEWatchFunc. */
GSource *chr_fd_watch_new(int fd, GIOCondition cond);

/* A multiplexer over @chr's byte stream. */
typedef struct MuxChardev {
    Chardev parent;
    CharBackend chr; /* what is underneath */
    CharBackend *backends[MAX_MUX];
    unsigned int used; /* bits */
    int focus;         /* -1: nobody */
    bool got_escape;
    bool linestart;
    bool timestamps;
    int64_t timestamps_start;
    /* Input that the front end could not take yet. */
    uint8_t buffer[MAX_MUX][MUX_BUFFER_SIZE];
    unsigned int prod[MAX_MUX];
    unsigned int cons[MAX_MUX];
} MuxChardev;
DECLARE_INSTANCE_CHECKER(MuxChardev, MUX_CHARDEV, TYPE_CHARDEV_MUX)

bool mux_chr_attach_frontend(MuxChardev *d, CharBackend *b, unsigned int *tag, Error **errp);
void mux_chr_detach_frontend(MuxChardev *d, unsigned int tag);
void mux_set_focus(Chardev *chr, int focus);
void mux_chr_be_changed(MuxChardev *d);

/* The part that file, pipe, stdio and the like share: two descriptors, which it owns. */
typedef struct FDChardev {
    Chardev parent;
    int fd_in;  /* -1: no input */
    int fd_out;
    bool keep_open; /* stdio: closing is not ours */
} FDChardev;
DECLARE_INSTANCE_CHECKER(FDChardev, FD_CHARDEV, TYPE_CHARDEV_FD)
/* Makes both descriptors non-blocking. */
bool qemu_chr_open_fd(Chardev *chr, int fd_in, int fd_out, Error **errp);

#endif
