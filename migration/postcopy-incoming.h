/*
 * Postcopy at the destination: what the stream commands, who reads it, pausing and going on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_INCOMING_H
#define MIGRATION_POSTCOPY_INCOMING_H

#include "io/channel.h"
#include "migration/misc.h"
#include "savevm-internal.h"

/* --- from the stream (savevm*.c), on the thread that reads it; results as load_sections's --- */

/* May this come now? */
bool postcopy_incoming_item_allowed(const LoadContext *ctx, uint8_t type, Error **errp);
int postcopy_incoming_ping(const LoadContext *ctx, uint32_t value, Error **errp);
int postcopy_incoming_advise(QEMUFile *f, uint16_t len, Error **errp);
int postcopy_incoming_discard(QEMUFile *f, uint16_t len, Error **errp);
int postcopy_incoming_packaged(QEMUFile *f, const LoadContext *ctx, Error **errp);
int postcopy_incoming_listen(const LoadContext *ctx, Error **errp);
int postcopy_incoming_run(const LoadContext *ctx, Error **errp);
int postcopy_incoming_recv_bitmap(QEMUFile *f, uint16_t len, Error **errp);
int postcopy_incoming_resume(Error **errp);

/* The source has said that it may go over to postcopy: its list of blocks has page sizes. */
bool postcopy_incoming_advised(void);
/* From the first DISCARD on: memory is missing. */
bool postcopy_incoming_switched(void);
/* From LISTEN on: RAM sections are postcopy's. */
bool postcopy_incoming_listening(void);
/* The payload of one. */
int postcopy_incoming_load_ram(QEMUFile *f);

/* --- from incoming.c --- */

/* The load thread has loaded the package and ends; the listen thread goes on. */
void postcopy_incoming_load_thread_done(void);
/*
 * The load has failed, on its thread: the main thread, which would say so, may be waiting for a
 * page with the BQL. The guest does not run.
 */
void postcopy_incoming_load_failed(void);
/* The guest runs (or is about to). */
bool postcopy_incoming_guest_told(void);
/* And pages are missing: whoever waits for one must never go on. */
bool postcopy_incoming_guest_incomplete(void);
/* The program ends in that state: no channel is left, but all who wait stay where they are. */
void postcopy_incoming_abandon(void);
/*
 * It has failed, or the program ends: nobody waits for a page or a channel any more, all threads
 * have ended when it returns. Without postcopy it does nothing. Whoever else waits with the BQL for
 * a page goes on, so it may be called with the BQL.
 */
void postcopy_incoming_stop(void);
/* Everything, the readers' files included, is given back. After _stop() or the end. BQL. */
void postcopy_incoming_cleanup(void);

/* --- channels --- */

/* Is the preempt channel here (or not needed)? */
bool postcopy_incoming_has_preempt(void);
/* Status postcopy-paused: @ioc is the new main channel; the status becomes postcopy-recover. Any
 * thread; does not wait. */
bool postcopy_incoming_take_main(QIOChannel *ioc, Error **errp);
/* The second channel has come, the first time or after a pause. Any thread; does not wait. */
bool postcopy_incoming_take_preempt(QIOChannel *ioc, Error **errp);
/*
 * Shut down the channels that there are: in postcopy that makes it pause. Any thread, without the
 * BQL; does not wait. False: not in a state in which there is something to pause.
 */
bool postcopy_incoming_pause(Error **errp);

#endif
