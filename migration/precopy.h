/*
 * Parts of the migration thread's work that precopy and postcopy share (precopy.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_PRECOPY_H
#define MIGRATION_PRECOPY_H

#include "migration.h"

/* A step of the switchover is over; downtime_start is set. */
void migration_step_done(MigrationState *s, DowntimeStep step);
/* For good; its state is stored. BQL. */
bool migration_stop_guest(MigrationState *s, Error **errp);
/* To status device, by way of pre-switchover where that is wanted. BQL, dropped while waiting. */
bool migration_pause_before_switchover(MigrationState *s);
/* Close the window of bandwidth and figures if it is over. */
void migration_update_window(MigrationState *s);
/* A new file: counting begins anew. */
void migration_begin_window(MigrationState *s);

#endif
