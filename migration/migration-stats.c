/*
 * Counters of the running (or last) migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "system/runstate.h"

MigrationAtomicStats mig_stats;

void migration_stats_reset(void)
{
    memset(&mig_stats, 0, sizeof(mig_stats));
}

void migration_stats_count_ram(uint64_t bytes)
{
    Stat64 *where = runstate_is_live(runstate_get()) ? &mig_stats.precopy_bytes
                                                     : &mig_stats.downtime_bytes;

    stat64_add(where, bytes);
}
