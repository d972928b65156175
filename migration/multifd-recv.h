/*
 * What the files of multifd's receiving side share: channels, their state, the lock over both.
 *
 * multifd-recv.c takes channels in, keeps them in step with the main stream and ends them;
 * multifd-recv-channel.c is what a channel's thread does with what comes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MULTIFD_RECV_H
#define MIGRATION_MULTIFD_RECV_H

#include "multifd.h"
#include "qemu/thread.h"

typedef struct RecvChannel {
    QIOChannel *ioc;
    QemuThread thread;

    /* multifd_recv_lock */
    int id;                     /* -1: it has not said so */
    bool at_sync, ended;
    bool placing;               /* pages have come since the last sync */

    uint64_t packets;           /* atomic */
    unsigned waits;             /* atomic; odd: it has read all that came, and waits for more */

    /* The thread's own. */
    MultiFDPacket packet;
    struct iovec iov[MULTIFD_PACKET_PAGES];
    unsigned niov;
    uint8_t *payload, *compare;
    void *decoder;
} RecvChannel;

typedef struct RecvState {
    unsigned count;             /* channels agreed on */
    bool settled;               /* no more are listened for; the main thread's */
    const MultiFDCodec *codec;

    GCond changed;              /* for the load thread */
    GCond go_on;                /* for the channels */
    /* multifd_recv_lock */
    RecvChannel **channels;     /* in the order of their arrival */
    unsigned arrived;
    bool *seen;                 /* ids */
    bool synced;                /* the first sync is over: pages may come */
    uint64_t releases;          /* syncs that are over */
    bool finished;              /* the main stream has ended: no more pages */
    bool quit;
    Error *err;                 /* the first */
} RecvState;

/* Guards what says so above. Below file_lock; nothing is taken inside. */
extern GMutex multifd_recv_lock;

/*
 * On the channel's thread: reads packets and places pages until the channel ends (true), or
 * something is wrong with it: false, with the reason and which channel it is in errp.
 */
bool multifd_recv_channel_run(RecvState *s, RecvChannel *c, Error **errp);

#endif
