/*
 * Postcopy at the source: what the migration thread does from the switch on (postcopy.c), and what
 * others do to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_H
#define MIGRATION_POSTCOPY_H

#include "migration.h"

/* --- the migration thread --- */

/* At setup, behind PING 1. */
void postcopy_announce(MigrationState *s);
/* Is it time for the switch? */
bool postcopy_is_due(MigrationState *s);
/*
 * The switch and all that follows. True: completed. False: failed or cancelled; s->committed says
 * whether the destination may run the guest.
 */
bool migration_run_postcopy(MigrationState *s);

/* --- the main thread, BQL --- */

void migration_postcopy_init(MigrationState *s);   /* of the object */
void migration_postcopy_finalize(MigrationState *s);
/* A new run. */
void migration_postcopy_reset(MigrationState *s);
/* The run is over. */
void migration_postcopy_cleanup(MigrationState *s);
/* The program ends: a paused thread ends too. */
void migration_postcopy_quit(MigrationState *s);
/* migrate resume=true: may it be? Makes the status postcopy-recover-setup. */
bool migration_postcopy_resume_begin(MigrationState *s, Error **errp);
/* The main channel is connected (to_dst_file), or cannot be: @err, which is taken. */
void migration_postcopy_resume_connected(MigrationState *s, Error *err);
/*
 * migrate_cancel once the guest was handed over: it can be taken back only while paused, and only
 * if the destination did not say that it has loaded the guest.
 */
bool migration_postcopy_take_back(MigrationState *s, Error **errp);

/* --- any thread --- */

bool migration_status_is_postcopy(int state);
/*
 * Shuts the preempt channel down, if there is one, and whoever waits for it to be connected goes
 * on. Under qemu_file_lock.
 */
void postcopy_preempt_shutdown(MigrationState *s);
/*
 * All channels: a thread in postcopy pauses then. @why is the reason shown, unless something has
 * gone wrong already; NULL: none in particular. Takes qemu_file_lock.
 */
void postcopy_shut_down_channels(MigrationState *s, const char *why);

/* --- postcopy-preempt.c; the migration thread --- */

/*
 * One more connection to where the first one went, for the pages that are asked for. Waits for it.
 * False with errp; else it is s->postcopy.preempt_file.
 */
bool postcopy_preempt_connect(MigrationState *s, Error **errp);

/* --- postcopy-watch.c: whether the destination hangs up while nobody reads what it says --- */

#define POSTCOPY_HUNG_UP "the destination has ended the connection, with pages still to be sent"

/* With the return path's thread, before and behind it. Migration thread. */
void postcopy_watch_start(MigrationState *s);
void postcopy_watch_stop(void);
/*
 * Around what may wait for the destination to read. False with errp: it has hung up, do not begin;
 * the other one has to be called all the same. Return-path thread.
 */
bool postcopy_watch_begin_answer(MigrationState *s, Error **errp);
void postcopy_watch_end_answer(void);

/* --- the return-path thread --- */

/* A PONG has come that may matter to postcopy. */
void postcopy_take_pong(MigrationState *s, uint32_t value);

#endif
