/*
 * Postcopy at the source: connecting the second channel, over which go the pages that the
 * destination asks for.
 *
 * It is made by the main loop; the migration thread waits for it and can be woken. Between
 * versions: QEMU before 8.0 (and this program with migration.x-preempt-pre-7-2) makes it before the
 * first byte of the main channel, and ends it with an EOS; others make it at the switch.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "postcopy.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "socket.h"
#include "tls.h"

/* Guards all of it. A leaf. */
static GMutex connect_lock;
static GCond connect_changed;
static struct {
    unsigned attempt;
    bool pending;    /* the migration thread waits for this attempt */
    QIOChannel *ioc; /* it has come to this… */
    Error *err;      /* …or that */
} at;

/*
 * A result of attempt @number (0: any), if anybody waits for it. Takes @err, and a reference to
 * @ioc.
 */
static void settle(unsigned number, QIOChannel *ioc, Error *err)
{
    g_mutex_lock(&connect_lock);
    if (at.pending && (!number || at.attempt == number)) {
        at.pending = false;
        at.err = err;
        if (!err) {
            object_ref(OBJECT(ioc));
            at.ioc = ioc;
        }
        g_cond_signal(&connect_changed);
        err = NULL;
    }
    g_mutex_unlock(&connect_lock);
    error_free(err);
}

/* Main thread: the socket is connected, or the TLS handshake over it is done. */
static void connected(QIOTask *task, gpointer opaque)
{
    QIOChannel *ioc = QIO_CHANNEL(qio_task_get_source(task));
    unsigned number = GPOINTER_TO_UINT(opaque);
    Error *err = NULL;

    if (!qio_task_propagate_error(task, &err)) {
        qio_channel_set_delay(ioc, false);
        if (migrate_channel_requires_tls_upgrade(ioc) &&
            migration_tls_connect(ioc, migrate_get_current()->hostname, "preempt-tls-outgoing",
                                  connected, opaque, NULL, &err)) {
            return; /* it comes here again */
        }
    }
    settle(number, ioc, err);
}

void postcopy_preempt_shutdown(MigrationState *s)
{
    Error *err = NULL;

    if (s->postcopy.preempt_file) {
        qemu_file_shutdown(s->postcopy.preempt_file);
    }
    error_setg(&err, "the channel was shut down before it was connected");
    settle(0, NULL, err);
}

bool postcopy_preempt_connect(MigrationState *s, Error **errp)
{
    ERRP_GUARD();
    QIOChannel *ioc;
    Error *err;
    unsigned number;

    g_mutex_lock(&connect_lock);
    number = ++at.attempt;
    at.pending = true;
    g_mutex_unlock(&connect_lock);

    socket_send_channel_create(connected, GUINT_TO_POINTER(number));
    /* Who shut the channels down before this point found none that was pending. */
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        if (qemu_file_get_error(s->to_dst_file)) {
            postcopy_preempt_shutdown(s);
        }
    }
    g_mutex_lock(&connect_lock);
    while (at.pending) {
        g_cond_wait(&connect_changed, &connect_lock);
    }
    ioc = at.ioc;
    err = at.err;
    at.ioc = NULL;
    at.err = NULL;
    g_mutex_unlock(&connect_lock);

    if (err) {
        error_propagate_prepend(errp, err, "postcopy-preempt: cannot connect the second channel: ");
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        s->postcopy.preempt_file = qemu_file_new_output(ioc);
        qemu_file_set_counter(s->postcopy.preempt_file, &mig_stats.main_bytes);
        if (qemu_file_get_error(s->to_dst_file)) {
            postcopy_preempt_shutdown(s);
        }
    }
    return true;
}
