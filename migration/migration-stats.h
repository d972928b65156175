/*
 * What a migration has counted so far: written by its threads, read by query-migrate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_STATS_H
#define MIGRATION_STATS_H

#include "qemu/atomic.h"

typedef struct MigrationAtomicStats {
    Stat64 dirty_bytes_last_sync; /* left to send right after the last sync */
    Stat64 dirty_pages_rate;      /* pages/s dirtied, between the last two syncs 1 s apart */
    Stat64 dirty_sync_count;      /* passes */
    Stat64 dirty_sync_missed_zero_copy;
    Stat64 downtime_bytes;        /* RAM sent while the guest was stopped, over all channels */
    Stat64 precopy_bytes;         /* RAM sent while it ran */
    Stat64 postcopy_bytes;
    Stat64 postcopy_requests;
    Stat64 multifd_bytes;         /* written to multifd's channels */
    Stat64 zero_pages;
    Stat64 normal_pages;
    Stat64 main_bytes;            /* of the main stream, all that is in it, written out */
} MigrationAtomicStats;

extern MigrationAtomicStats mig_stats;

void migration_stats_reset(void);
/* So much of RAM has been sent just now. Any thread. */
void migration_stats_count_ram(uint64_t bytes);

#endif
