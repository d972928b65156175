/*
 * What the files of postcopy at the destination share: postcopy-incoming.c (what the stream
 * commands) and postcopy-listen.c (who reads it from LISTEN on).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_INCOMING_INTERNAL_H
#define MIGRATION_POSTCOPY_INCOMING_INTERNAL_H

#include "postcopy-incoming.h"
#include "postcopy-ram.h"
#include "qemu/thread.h"

typedef enum PostcopyPhase {
    PHASE_NONE,
    PHASE_ADVISED,
    PHASE_DISCARDING,
    PHASE_LISTENING,
    PHASE_ENDED,
} PostcopyPhase;

typedef struct PostcopyIncoming {
    int phase;                  /* atomic; the load thread's, later the listen thread's */
    bool separate_run, run_in_package; /* the load thread's */
    /* The load thread's, then the listen thread's: */
    uint32_t token;             /* of this migration; 0: its source names none */
    bool token_follows;         /* the next PING has it */
    bool token_seen;            /* it was the right one, on this connection */

    GMutex lock;                /* guards the rest; below it are the status and its event alone */
    GCond changed;
    bool quit;                  /* all threads are to end */
    bool failed;                /* the listen thread has given up, the load is to fail */
    bool devices_loaded;        /* also read without the lock by the load thread, whose it is */
    bool run_wanted, guest_told;
    bool load_thread_done;
    bool finishing;             /* the main stream has ended */
    bool giving_up;             /* the listen thread closes the channels */
    QIOChannel *main_next, *preempt_next;
    bool preempt_seen;          /* one has come… */
    bool preempt_came;          /* …since the main channel that is in use */
    bool preempt_reading;
    QEMUFile *preempt_file;     /* while it is being read */

    /* The listen thread's. */
    PostcopyReader reader;

    /* Of threads: whoever creates and joins them. */
    QemuThread listen_thread, preempt_thread;
    bool listen_created, preempt_created;
    bool guest_started;         /* BQL */
} PostcopyIncoming;

extern PostcopyIncoming postcopy_in;

static inline void postcopy_lock(void)
{
    g_mutex_lock(&postcopy_in.lock);
}

static inline void postcopy_unlock(void)
{
    g_mutex_unlock(&postcopy_in.lock);
}

static inline PostcopyPhase postcopy_phase(void)
{
    return qatomic_mb_read(&postcopy_in.phase);
}

/* -EINVAL with errp: command @name came, but @why. */
int postcopy_out_of_place(const char *name, const char *why, Error **errp);
/* What runs when all of postcopy is over; main thread, BQL. */
void postcopy_incoming_done_bh(void *opaque);

/* postcopy-listen.c */
/*
 * The preempt channel is here, if there is to be one; waits for it for a while. The main thread
 * accepts it, so it has to be there before the first page is missing for which that one may wait.
 */
bool postcopy_wait_for_preempt(Error **errp);
void postcopy_start_threads(MigrationIncomingState *mis);
void postcopy_set_quit(void);
void postcopy_join_threads(void);
void postcopy_drop_channel(QIOChannel **ioc);

#endif
