/*
 * How fast the guest writes to its memory: the arithmetic of calc-dirty-rate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_DIRTYRATE_H
#define MIGRATION_DIRTYRATE_H

#include "system/ramblock.h"

/* Pages of one block and what they held, for page-sampling. */
typedef struct DirtySample {
    MemoryRegion *mr;     /* the block's, with a reference; NULL if it has none */
    const uint8_t *host;
    uint64_t block_pages; /* in the block */
    uint32_t count;       /* looked at */
    uint64_t *page;       /* their numbers, ascending */
    uint32_t *hash;
} DirtySample;

/* How many pages of a block of @block_pages to look at, at @per_gib for each GiB. */
uint32_t dirty_sample_count(uint64_t block_pages, uint64_t per_gib);
/* Choose @sample->count different pages of the block. */
void dirty_sample_choose(DirtySample *sample, GRand *rand);
uint32_t dirty_sample_hash(const void *page);
/* Bytes of the block that were written to, if its sample, of which @changed changed, is typical. */
double dirty_sample_bytes(const DirtySample *sample, uint32_t changed);
/* Megabytes a second, to the nearest. */
int64_t dirty_rate_mb(double bytes, int64_t ms);

/*
 * Between these two it is noted which pages are written; _end says how many. Whatever a migration
 * does meanwhile with the same log, neither takes anything from the other.  BQL.
 */
bool dirty_log_begin(Error **errp);
uint64_t dirty_log_end(void);

#endif
