/*
 * What yank does to a migration, out or in: its channels are shut down, and whoever makes or awaits
 * one is told.  Registered from the start of a migration to its end, whether there are channels yet
 * or not; for as long the list of RAM blocks is held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "migration.h"
#include "multifd.h"
#include "postcopy-incoming.h"
#include "postcopy.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/yank.h"
#include "system/ramblock.h"

static unsigned run; /* the number of the latest migration; atomic */
static bool is_registered; /* main thread */

/* The main thread's part; @opaque is the run that it is meant for. */
static void yank_unfinished(void *opaque)
{
    if (GPOINTER_TO_UINT(opaque) != qatomic_read(&run)) {
        return; /* that one has ended meanwhile, and another begun */
    }
    migration_fail_connecting();
    migration_channel_forget_unknown();
    if (!migration_has_main_channel()) {
        multifd_recv_cleanup(); /* what came first; another source may come */
    }
}

static void shut_down_outgoing(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    if (s->to_dst_file) {
        qemu_file_shutdown(s->to_dst_file);
        postcopy_preempt_shutdown(s);
        multifd_send_shutdown();
        qemu_sem_post(&s->pause_sem); /* it may be waiting for migrate-continue */
        qemu_sem_post(&s->rp_sem);
        qemu_sem_post(&s->rate_limit_sem);
    }
}

/*
 * The monitor's thread, without the BQL. In postcopy both sides are paused by it: who listens for a
 * recovery goes on listening.
 */
static void yank_migration(void *opaque)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    shut_down_outgoing(migrate_get_current());
    postcopy_incoming_pause(NULL); /* before postcopy too: all channels that there are */
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        multifd_recv_shutdown();
    }
    qemu_bh_schedule_oneshot(yank_unfinished, GUINT_TO_POINTER(qatomic_read(&run)));
}

bool migration_yank_register(Error **errp)
{
    if (!yank_register_instance(MIGRATION_YANK_INSTANCE, errp)) {
        return false;
    }
    qatomic_inc(&run);
    qemu_ram_list_hold(); /* from here to the end its threads may look at the blocks */
    is_registered = true;
    yank_register_function(MIGRATION_YANK_INSTANCE, yank_migration, NULL);
    return true;
}

void migration_yank_unregister(void)
{
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
    if (is_registered) {
        is_registered = false;
        qemu_ram_list_release();
    }
}
