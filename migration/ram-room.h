/*
 * Room for pages that come, in memory that is a file's.
 *
 * The first store to a page of a file (tmpfs, memfd, hugetlbfs, any other) makes the host give it a
 * place. Where the file system is full, the store ends in SIGBUS, and so does a read of a hole. So
 * whoever places pages asks here first, and gets an error instead.
 *
 * Any thread that loads may ask, for pages that no other places at the same time. Not for blocks
 * whose missing pages somebody else has to fill (postcopy): asking would wait for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_RAM_ROOM_H
#define MIGRATION_RAM_ROOM_H

#include "qapi/error.h"
#include "system/ramblock.h"

/* Before pages are placed. False: no memory for the bitmap. Memory without a file needs none. */
bool ram_room_setup(RAMBlock *rb, Error **errp);
void ram_room_cleanup(RAMBlock *rb);

/* The pages have been written by way of the file. */
void ram_room_found(RAMBlock *rb, uint64_t first, uint64_t npages);

bool ram_room_make(RAMBlock *rb, uint64_t first, uint64_t npages, Error **errp);
bool ram_room_make_readable(RAMBlock *rb, uint64_t page, Error **errp);

/* Pages [first, first+npages) can be stored to: else the error says which cannot, and why. */
static inline bool ram_have_room(RAMBlock *rb, uint64_t first, uint64_t npages, Error **errp)
{
    return !rb->roommap || ram_room_make(rb, first, npages, errp);
}

/* The page can be read. */
static inline bool ram_is_readable(RAMBlock *rb, uint64_t page, Error **errp)
{
    return !rb->roommap || test_bit(page, rb->roommap) || ram_room_make_readable(rb, page, errp);
}

#endif
