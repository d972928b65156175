/*
 * The threads of a migration, for query-migrationthreads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_THREADINFO_H
#define MIGRATION_THREADINFO_H

typedef struct MigrationThread MigrationThread;

/* Called by the thread itself; @name is copied. Any thread, no lock. */
MigrationThread *migration_threads_add(const char *name, int thread_id);
void migration_threads_remove(MigrationThread *thread);

#endif
