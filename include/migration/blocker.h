/*
 * Blockers: reasons why this machine cannot migrate now.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_BLOCKER_H
#define MIGRATION_BLOCKER_H

#include "qapi/qapi-types-migration.h"

/*
 * Add *reasonp, which becomes the list's and is freed (and *reasonp cleared) by
 * migrate_del_blocker.  0, or -EBUSY while a migration runs, or -EACCES under -only-migratable;
 * then errp is set and *reasonp is freed and cleared.  BQL.
 */
int migrate_add_blocker(Error **reasonp, Error **errp);
/* The same, only for migrations of mode normal, or of the modes listed; -1 ends the list. */
int migrate_add_blocker_normal(Error **reasonp, Error **errp);
int migrate_add_blocker_modes(Error **reasonp, Error **errp, MigMode mode, ...);
/* The same as migrate_add_blocker without regard to -only-migratable. */
int migrate_add_blocker_internal(Error **reasonp, Error **errp);
void migrate_del_blocker(Error **reasonp);

#endif
