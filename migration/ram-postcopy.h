/*
 * The source's RAM in postcopy: which pages go, and over which channel (ram-postcopy.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_RAM_POSTCOPY_H
#define MIGRATION_RAM_POSTCOPY_H

#include "migration/qemu-file.h"

/*
 * The switch: the guest is stopped, and what is dirty was asked for the last time. What is left
 * becomes whole host pages; the commands that throw them away at the destination are put into @f.
 * BQL.
 */
void ram_postcopy_begin(QEMUFile *f);
/*
 * From here on pages go into these channels, and requests are answered. @preempt: of those that are
 * asked for, or NULL. Migration thread.
 */
void ram_postcopy_attach(QEMUFile *main, QEMUFile *preempt);
/*
 * No longer; both are still the caller's. Only where no return-path thread runs. Migration thread.
 */
void ram_postcopy_detach(void);

/*
 * The background: one run of pages into the main channel. How many pages, 0 when none is left, or
 * -errno with the reason in the file. Migration thread.
 */
int64_t ram_postcopy_send_run(void);
/*
 * Between these the main channel is the caller's, at a place where a section or command may begin.
 * Migration thread.
 */
void ram_postcopy_claim_main(void);
void ram_postcopy_release_main(void);
/* END of the RAM section; every page that was asked for is out. Migration thread. */
int ram_postcopy_end(void);

/*
 * Pages that the destination waits for: they are sent at once. @block NULL: that of the request
 * before. False with errp. Return-path thread.
 */
bool ram_postcopy_request(const char *block, uint64_t start, uint32_t length, Error **errp);

/*
 * After a pause: what has arrived is asked for, of every block. The answers come by the return
 * path; what did not arrive is still to go. How many are missing: any thread.
 */
void ram_postcopy_ask_bitmaps(QEMUFile *f);
unsigned ram_postcopy_bitmaps_missing(void);
/* Message RECV_BITMAP of @block, up to what is behind its data. Return-path thread. */
bool ram_postcopy_load_bitmap(QEMUFile *f, const char *block, Error **errp);

/*
 * What was asked for over a new return path before ram_postcopy_attach(); once, behind that. False
 * with errp. Migration thread.
 */
bool ram_postcopy_serve_kept(Error **errp);

/* The migration is over, however. Main thread. */
void ram_postcopy_cleanup(void);

#endif
