/*
 * The main loop, the big lock (BQL), bottom halves and descriptor handlers.
 *
 * The main thread iterates GLib's default context.  It holds the BQL whenever a source is
 * prepared or dispatched, and drops it only while it polls: a GSource on the default context
 * may touch devices without further locking.  Other threads take the BQL with bql_lock().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_MAIN_LOOP_H
#define QEMU_MAIN_LOOP_H

#include "qemu/thread.h"

/* Call once on the main thread; it returns with the BQL held. */
int qemu_init_main_loop(Error **errp);
/* One iteration; blocks until something happened unless @nonblocking. */
void main_loop_wait(int nonblocking);
/* Make the main loop's poll return, from any thread or signal-safe context of another thread. */
void qemu_notify_event(void);
bool qemu_in_main_thread(void);

void bql_lock(void);
void bql_unlock(void);
bool bql_locked(void); /* by this thread */
#define qemu_mutex_lock_iothread bql_lock
#define qemu_mutex_unlock_iothread bql_unlock
void qemu_cond_wait_bql(QemuCond *cond);
bool qemu_cond_timedwait_bql(QemuCond *cond, int ms);

/* Take the BQL for a scope unless this thread holds it already. */
typedef struct BQLLockAuto {
    bool taken;
} BQLLockAuto;
static inline BQLLockAuto bql_auto_lock(void)
{
    BQLLockAuto a = {.taken = !bql_locked()};

    if (a.taken) {
        bql_lock();
    }
    return a;
}
static inline void bql_auto_unlock(BQLLockAuto *a)
{
    if (a->taken) {
        bql_unlock();
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BQLLockAuto, bql_auto_unlock)
#define BQL_LOCK_GUARD() \
    g_auto(BQLLockAuto) bql_lock_auto_ __attribute__((unused)) = bql_auto_lock()

/* WITH_BQL() { … }: take the BQL (not held yet) for a block that is left only at its end. */
#define WITH_BQL() \
    for (bool bql_once_ = (bql_lock(), true); bql_once_; bql_unlock(), bql_once_ = false)

/* Bottom halves: callbacks that run soon on the main thread, under the BQL. */
typedef void QEMUBHFunc(void *opaque);
QEMUBH *qemu_bh_new(QEMUBHFunc *cb, void *opaque);
void qemu_bh_schedule(QEMUBH *bh); /* any thread; idempotent until it has run */
void qemu_bh_cancel(QEMUBH *bh);
void qemu_bh_delete(QEMUBH *bh); /* also from its own callback */
void qemu_bh_schedule_oneshot(QEMUBHFunc *cb, void *opaque);

/* Watch a descriptor on the main loop; NULL handlers end the watch. Under the BQL. */
typedef void IOHandler(void *opaque);
void qemu_set_fd_handler(int fd, IOHandler *fd_read, IOHandler *fd_write, void *opaque);

#endif
