/*
 * The threads of a migration: a list that each enters when it starts and leaves when it ends, and
 * query-migrationthreads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-migration.h"
#include "threadinfo.h"

struct MigrationThread {
    char *name;
    int thread_id;
};

/* A leaf: nothing is taken inside. */
static GMutex threads_lock;
static GSList *threads; /* of MigrationThread, the latest first; threads_lock */

MigrationThread *migration_threads_add(const char *name, int thread_id)
{
    MigrationThread *thread = g_new(MigrationThread, 1);

    *thread = (MigrationThread){g_strdup(name), thread_id};
    g_mutex_lock(&threads_lock);
    threads = g_slist_prepend(threads, thread);
    g_mutex_unlock(&threads_lock);
    return thread;
}

void migration_threads_remove(MigrationThread *thread)
{
    g_mutex_lock(&threads_lock);
    threads = g_slist_remove(threads, thread);
    g_mutex_unlock(&threads_lock);
    g_free(thread->name);
    g_free(thread);
}

MigrationThreadInfoList *qmp_query_migrationthreads(Error **errp)
{
    MigrationThreadInfoList *list = NULL;

    g_mutex_lock(&threads_lock);
    for (GSList *l = threads; l; l = l->next) {
        const MigrationThread *thread = l->data;
        MigrationThreadInfo *info = g_new0(MigrationThreadInfo, 1);

        info->name = g_strdup(thread->name);
        info->thread_id = thread->thread_id;
        QAPI_LIST_PREPEND(list, info);
    }
    g_mutex_unlock(&threads_lock);
    return list;
}
