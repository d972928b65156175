/*
 * Counters of the running (or last) migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"

MigrationAtomicStats mig_stats;

void migration_stats_reset(void)
{
    memset(&mig_stats, 0, sizeof(mig_stats));
}
