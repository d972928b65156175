/*
 * Capability release-ram: the source's memory goes back to its host as postcopy goes on.
 *
 * A page that was written to the connection may be lost on the way, and then has to be sent again.
 * So the destination is asked by PING how far it has come, and only what its PONG has confirmed is
 * given back. Pages that went over the preempt channel are not: there are few of them, and no PONG
 * tells of them.
 *
 * The migration thread's, unless said otherwise. Without the capability nothing of this does
 * anything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_RAM_RELEASE_H
#define MIGRATION_RAM_RELEASE_H

#include "system/ramblock.h"

void ram_release_begin(void);
/* A new connection: what was asked by the last one is not answered any more. */
void ram_release_forget_unconfirmed(void);
/*
 * So much was written to the main channel. True: it is time to ask, with PING
 * ram_release_question(). Both with the main channel's lock.
 */
bool ram_release_note(RAMBlock *rb, uint64_t first, uint64_t npages);
uint32_t ram_release_question(void);
/* A PONG that may be an answer. Any thread. */
void ram_release_confirmed(uint32_t pong);
/* Gives back what was confirmed. */
void ram_release_run(void);
/* Is any page of @map one that was given back? While the migration thread waits. */
bool ram_release_is_gone(RAMBlock *rb, const unsigned long *map);
void ram_release_cleanup(void);

#endif
