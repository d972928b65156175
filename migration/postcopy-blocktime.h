/*
 * postcopy-blocktime: who waits for pages on the destination, and how long.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_POSTCOPY_BLOCKTIME_H
#define MIGRATION_POSTCOPY_BLOCKTIME_H

#include "qapi/qapi-types-migration.h"

/*
 * Begin counting, if the capability is on. The vCPUs are those that there are now. Before the first
 * fault can come. Any thread.
 */
void postcopy_blocktime_begin(void);

/* Nobody waits any more: the migration has ended. What was counted is kept for query-migrate. */
void postcopy_blocktime_end(void);

/* Is it counted? Then faults should come with their thread's id (UFFD_FEATURE_THREAD_ID). */
bool postcopy_blocktime_active(void);

/*
 * Thread @tid (0: not known) waits for the host page at @page. To be called before it is looked at
 * whether that page has arrived meanwhile, and if it has, to be followed by _placed(): else a page
 * that is placed between the two would leave a wait without an end. Fault thread only.
 */
void postcopy_blocktime_fault(uint32_t tid, const void *page);

/* Pages from @start on, @len bytes, were placed just now. Any thread; cheap while nobody waits. */
void postcopy_blocktime_placed(const void *start, size_t len);

/* For query-migrate of the destination, once it is completed. */
void postcopy_blocktime_fill_info(MigrationInfo *info);

/*
 * Latencies by length: number N counts those from 2^N us to below 2^(N+1) us; at both ends, all
 * beyond.
 */
#define POSTCOPY_LATENCY_BUCKETS 24
int postcopy_latency_bucket(int64_t ns);

/* For tests: the same with given threads and times (ns). */
void postcopy_blocktime_begin_for(const uint32_t *tids, int n);
void postcopy_blocktime_fault_at(uint32_t tid, const void *page, int64_t now);
void postcopy_blocktime_placed_at(const void *start, size_t len, int64_t now);

#endif
