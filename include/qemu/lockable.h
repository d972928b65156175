/*
 * Locks held for a scope: QEMU_LOCK_GUARD(&m) until the end of the block,
 * WITH_QEMU_LOCK_GUARD(&m) { … } for a block of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_LOCKABLE_H
#define QEMU_LOCKABLE_H

#include "qemu/thread.h"

typedef struct QemuLockGuard {
    void *lock;
    bool recursive;
} QemuLockGuard;

static inline QemuLockGuard qemu_lock_guard(void *lock, bool recursive)
{
    if (recursive) {
        qemu_rec_mutex_lock(lock);
    } else {
        qemu_mutex_lock(lock);
    }
    return (QemuLockGuard){lock, recursive};
}
static inline void qemu_lock_guard_unlock(QemuLockGuard *g)
{
    if (!g->lock) {
        return;
    }
    if (g->recursive) {
        qemu_rec_mutex_unlock(g->lock);
    } else {
        qemu_mutex_unlock(g->lock);
    }
    g->lock = NULL;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuLockGuard, qemu_lock_guard_unlock)

#define QEMU_LOCK_IS_REC_(m) _Generic((m), QemuRecMutex *: true, default: false)
#define QEMU_LOCK_GUARD_(m, id) \
    g_auto(QemuLockGuard) glue(lock_guard_, id) __attribute__((unused)) = \
        qemu_lock_guard((m), QEMU_LOCK_IS_REC_(m))
#define QEMU_LOCK_GUARD(m) QEMU_LOCK_GUARD_(m, __COUNTER__)
#define WITH_QEMU_LOCK_GUARD(m)                                                     \
    for (g_auto(QemuLockGuard) with_guard_ = qemu_lock_guard((m), QEMU_LOCK_IS_REC_(m)); \
         with_guard_.lock; qemu_lock_guard_unlock(&with_guard_))

#endif
