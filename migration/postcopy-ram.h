/*
 * Guest memory of a destination in postcopy: which pages are missing, who waits for one, and how
 * pages get into place.  See postcopy-ram.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_RAM_H
#define MIGRATION_POSTCOPY_RAM_H

#include "system/ramblock.h"

/* Does this host have a userfaultfd that works for what vCPUs do?  Any thread. */
bool postcopy_ram_host_supported(Error **errp);
/* And can every block that will be migrated take part?  Names the first one that cannot. */
bool postcopy_ram_supported(Error **errp);
/* OR of the host page sizes of all blocks that go: both sides must have the same. */
uint64_t postcopy_ram_pagesizes(void);

/*
 * Pages of block @name that must come again: given back to the host, missing from now on. From the
 * first one on, faults are caught. On the load thread.
 */
bool postcopy_ram_discard(const char *name, uint64_t start, uint64_t length, Error **errp);
/* There will be no more of those. On the load thread, before the guest's devices are touched. */
bool postcopy_ram_listen(Error **errp);
/*
 * Faults are no longer caught: who waits, goes on; who places pages, fails. Joins the fault thread,
 * so its channel must have been shut down, or be read. Any thread; again does nothing.
 */
void postcopy_ram_release(void);
/* The same, and all is given back. Nobody places pages any more. BQL. */
void postcopy_ram_cleanup(void);

/*
 * Put what is at @from (NULL: zeroes) to [offset, offset+len) of @rb, whole host pages that lie
 * inside the block, and wake who waits for it. What is there already stays. Any thread.
 */
bool postcopy_ram_place(RAMBlock *rb, uint64_t offset, const void *from, size_t len, Error **errp);

/*
 * The next page from @page on, of those before @end, that has not come and that somebody waits for;
 * @end: none. Only for blocks of small pages. Any thread.
 */
uint64_t postcopy_ram_next_wanted(RAMBlock *rb, uint64_t page, uint64_t end);
/* Pages that have not come yet. */
uint64_t postcopy_ram_missing(void);
/* The same in words, for an error: how many, and the first one. */
char *postcopy_ram_missing_text(void);

/*
 * From now on faults are sent to the source, beginning with those that wait already; with @ask
 * false they are only remembered.
 */
void postcopy_ram_set_asking(bool ask);

/* ram-postcopy-load.c: the reader of a channel. */
typedef struct PostcopyReader {
    const char *name;           /* for errors */
    RAMBlock *block;            /* of the last record; NULL: none was named yet */
    uint8_t *staging;
} PostcopyReader;

/* @block: what the channel's first record may continue, or NULL. */
void ram_postcopy_reader_init(PostcopyReader *reader, const char *name, RAMBlock *block);
void ram_postcopy_reader_free(PostcopyReader *reader);
/*
 * Read and place what the next record, and those that belong to it, say. 1; 0: it was the end of
 * the section (EOS); -errno with the reason in the file.
 */
int ram_postcopy_load_step(QEMUFile *f, PostcopyReader *reader);
/*
 * Host pages of which only a part has come are forgotten: they will come again. No reader is
 * active.
 */
void ram_postcopy_forget_parts(void);

#endif
