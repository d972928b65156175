/*
 * Dirty tracking by the host kernel: which pages of a mapping did this process write?
 *
 * The mapping is registered with userfaultfd for asynchronous write protection (Linux 6.7): a
 * write to a protected page lets the kernel drop the protection and go on, without telling
 * anybody, and PAGEMAP_SCAN returns the pages that lost it and protects them again in the same
 * step, so that no write is missed or told twice. It sees the writes of every thread of this
 * process and of the kernel on its behalf (read(2) into guest memory), but not those of other
 * processes into shared memory.
 *
 * Memory that was never touched costs nothing: it is not protected, and the first write to it
 * shows all the same. A first read may be taken for a write, but for what a block's file held when
 * it was added. Where the host gives memory in larger pages (hugetlb, or transparent huge pages
 * written for the first time), all of such a page counts as written.
 *
 * All functions may be called by any thread; each tracker has a lock of its own, which is held
 * while it scans. A mapping can be registered with one userfaultfd at a time: trackers and
 * postcopy exclude each other on a block.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_DIRTY_WP_H
#define SYSTEM_DIRTY_WP_H

#include "qapi/error.h"
#include "system/ramblock.h"

typedef struct DirtyWP DirtyWP;

/**
 * Can the kernel do it, and are we allowed to? The reason why not is set in @errp. Costs two
 * descriptors' opening.
 */
bool dirty_wp_available(Error **errp);

/** A tracker without mappings; NULL and an error where there is no support. */
DirtyWP *dirty_wp_new(Error **errp);

/** Stop tracking all its mappings and free it. NULL is allowed. */
void dirty_wp_free(DirtyWP *w);

/**
 * Track @len bytes at @host; both multiples of the mapping's page size. What was written before
 * counts as clean. False and an error if the mapping can't be (memory of a kind that the kernel
 * refuses, or registered elsewhere).
 */
bool dirty_wp_add(DirtyWP *w, void *host, size_t len, Error **errp);

/** Stop tracking the mapping at @host, as it was added. Unknown ones are ignored. */
void dirty_wp_remove(DirtyWP *w, void *host);

/**
 * A run of written bytes: @offset from @host of the mapping. Called with the tracker's lock held.
 */
typedef void DirtyWPFunc(uint64_t offset, uint64_t len, void *opaque);

/**
 * Report what was written to the mapping at @host since it was added or last collected, in
 * ascending runs, and protect it anew. Takes time in proportion to what was written and to the
 * page tables there are. 0, or -errno: then part may have been reported, and the rest is still to
 * come.
 */
int dirty_wp_collect(DirtyWP *w, void *host, DirtyWPFunc *fn, void *opaque);

/**
 * dirty_wp_add() for all of a block, up to max_length. What a file of the block's holds already is
 * protected although this process has never touched it: a first read of it is not taken for a write.
 */
bool dirty_wp_add_block(DirtyWP *w, RAMBlock *rb, Error **errp);

/** dirty_wp_collect() into the block's dirty bitmap (ram_block_set_dirty()). */
int dirty_wp_sync_block(DirtyWP *w, RAMBlock *rb);

#endif
