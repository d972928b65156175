/*
 * yank and query-yank: break a connection that hangs.  Both run out of band, on the monitor's
 * thread, without the BQL; shutting a channel down is all they do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "multifd.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"

/* The instances there are: migration, while a channel of it is open. */
static bool migration_has_channel(void)
{
    MigrationState *s = migrate_get_current();
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool out = false, in = false;

    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        out = s->to_dst_file != NULL;
    }
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        in = mis->from_src_file != NULL;
    }
    return out || in;
}

YankInstanceList *qmp_query_yank(Error **errp)
{
    YankInstanceList *list = NULL;

    if (migration_has_channel()) {
        YankInstance *instance = g_new0(YankInstance, 1);

        instance->type = YANK_INSTANCE_TYPE_MIGRATION;
        QAPI_LIST_PREPEND(list, instance);
    }
    return list;
}

static void yank_migration(void)
{
    MigrationState *s = migrate_get_current();
    MigrationIncomingState *mis = migration_incoming_get_current();

    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        if (s->to_dst_file) {
            qemu_file_shutdown(s->to_dst_file);
            multifd_send_shutdown();
            qemu_sem_post(&s->pause_sem); /* it may be waiting for migrate-continue */
        }
    }
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        if (mis->from_src_file) {
            qemu_file_shutdown(mis->from_src_file);
            multifd_recv_shutdown();
        }
    }
}

void qmp_yank(YankInstanceList *instances, Error **errp)
{
    for (YankInstanceList *l = instances; l; l = l->next) {
        if (l->value->type != YANK_INSTANCE_TYPE_MIGRATION || !migration_has_channel()) {
            error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Instance not found");
            return;
        }
    }
    if (instances) {
        yank_migration();
    }
}
