/*
 * Who wants to know that the machine is reset: an ordered list of handlers.
 *
 * Locking: BQL. Handlers run in the order of registration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_RESET_H
#define SYSTEM_RESET_H

#include "qemu/osdep.h"

/**
 * ResetType:
 * @RESET_TYPE_COLD: power-on or full system reset
 * @RESET_TYPE_SNAPSHOT_LOAD: before device state is loaded from a snapshot
 * @RESET_TYPE_WAKEUP: the machine leaves the suspended state
 */
typedef enum ResetType {
    RESET_TYPE_COLD,
    RESET_TYPE_SNAPSHOT_LOAD,
    RESET_TYPE_WAKEUP,
    RESET_TYPE_S390_CPU_NORMAL,
    RESET_TYPE_S390_CPU_INITIAL,
} ResetType;

typedef void QEMUResetHandler(void *opaque);

void qemu_register_reset(QEMUResetHandler *func, void *opaque);
/* Not called when the reset precedes the load of a snapshot. */
void qemu_register_reset_nosnapshotload(QEMUResetHandler *func, void *opaque);
/* Of several equal registrations the first goes; unknown ones are ignored. */
void qemu_unregister_reset(QEMUResetHandler *func, void *opaque);
/* A handler that is told the type of the reset. */
typedef void QEMUResetTypeHandler(void *opaque, ResetType type);
void qemu_register_reset_type(QEMUResetTypeHandler *func, void *opaque);
void qemu_unregister_reset_type(QEMUResetTypeHandler *func, void *opaque);

/* Calls them all. A handler may unregister itself, or register more (called in the same round). */
void qemu_devices_reset(ResetType type);

#endif
