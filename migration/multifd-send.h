/*
 * What the files of multifd's sending side share: batches of pages, channels, their state.
 *
 * multifd-send.c connects the channels, keeps them in step and ends them; multifd-send-channel.c is
 * a channel's thread, which makes packets of a batch; multifd-send-batch.c says which pages go into
 * which batch, and which channel gets it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MULTIFD_SEND_H
#define MIGRATION_MULTIFD_SEND_H

#include "multifd.h"
#include "qemu/thread.h"

/* A huge page's worth. */
#define BATCH_PAGES_MAX ((2 * 1024 * 1024) / TARGET_PAGE_SIZE)

typedef struct PageRun {
    uint64_t first, npages;
    bool untouched;             /* known to be zero */
} PageRun;

typedef struct Batch {
    RAMBlock *block;
    uint64_t npages;
    unsigned nruns;
    PageRun runs[BATCH_PAGES_MAX];
} Batch;

typedef struct SendState SendState;

typedef struct SendChannel {
    SendState *s;
    unsigned id;
    QIOChannel *ioc;            /* set before the thread starts, under multifd_send_lock */
    QemuThread thread;
    bool thread_created;        /* multifd_send_lock */

    /* Between the migration thread and the channel's: multifd_send_lock. */
    GCond wake;
    bool queued;                /* there is a batch in it that the thread has not taken */
    bool busy;                  /* the thread has taken one and works on it */
    bool sync;                  /* a SYNC packet is to follow the batches */
    bool last;                  /* and nothing is to follow that packet */
    Batch *batch;

    /* The thread's own. */
    Batch *working;
    MultiFDPacket packet;
    struct iovec iov[1 + MULTIFD_PACKET_PAGES];
    unsigned niov;
    uint8_t *buffer;            /* packets as they go out */
    void *encoder;
    uint8_t *copy, *payload;    /* a packet's pages before and after compression */
} SendChannel;

struct SendState {
    unsigned attempt;           /* tells this migration's connections from an earlier one's */
    unsigned count;
    SendChannel *channels;

    /* Set before the threads start. */
    const MultiFDCodec *codec;
    bool detect_zero;           /* channels look for zero pages */
    bool zero_copy;
    bool clean_end;             /* TLS channels end with a good-bye */

    GCond changed;              /* news for the migration thread */
    unsigned connected;         /* multifd_send_lock */
    bool quit;                  /* multifd_send_lock */
    Error *err;                 /* the first; multifd_send_lock */

    uint64_t packet_num;        /* atomic */
    /* Pages in batches that have to be read, and may have to be sent whole; atomic. */
    uint64_t pages_in_hand;

    /* The migration thread's own. */
    Batch *filling;
    unsigned next;              /* where the search for an idle channel begins */
    bool each_section;          /* readers wait at the end of each section */
    bool detect_zero_here;      /* zero pages are looked for here and go in the main stream */
    bool zero_in_main;          /* untouched ones too */
};

/*
 * Guards what says so above, and which state is the current one. Below qemu_file_lock; nothing is
 * taken inside.
 */
extern GMutex multifd_send_lock;

/* --- multifd-send.c --- */

/* Takes @err. Nobody shall wait for anybody any more, and the migration thread says why. */
void multifd_send_channel_failed(SendChannel *c, Error *err);
/*
 * On the migration thread: waits until something may have changed. If nothing does, and the peer of
 * the main channel @f has gone, this ends the channels: whoever waits has to look at s->quit.
 */
void multifd_send_wait_locked(SendState *s, QEMUFile *f);
/* On the migration thread, once s->quit is set: why, as the file's error. Returns it. */
int multifd_send_report_end(SendState *s, QEMUFile *f);

/* --- multifd-send-channel.c --- */

/* The thread of the SendChannel @opaque: packets of its batches, until s->quit. */
void *multifd_send_channel_thread(void *opaque);

/* --- multifd-send-batch.c; the migration thread's. 0 or -errno, with the reason in @f. --- */

/* As RAMEncoder.save_run. */
int multifd_send_pages(SendState *s, QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                       bool maybe_untouched);
/* Hand what has been gathered to a channel, once there is one for it. */
int multifd_send_dispatch(SendState *s, QEMUFile *f);

#endif
