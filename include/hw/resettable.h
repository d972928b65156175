/*
 * Objects that can be reset, in three phases over a whole tree: enter (forget state, touch nobody
 * else), hold (drive the outputs), exit (leave reset).
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_RESETTABLE_H
#define HW_RESETTABLE_H

#include "qom/object.h"
#include "system/reset.h"

#define TYPE_RESETTABLE_INTERFACE "resettable"

typedef struct ResettableClass ResettableClass;
DECLARE_CLASS_CHECKERS(ResettableClass, RESETTABLE, TYPE_RESETTABLE_INTERFACE)

typedef struct ResettableState {
    unsigned count;                     /* resets in progress; phases run on 0 -> 1 and 1 -> 0 */
    bool hold_phase_pending;
    bool exit_phase_in_progress;
} ResettableState;

typedef void (*ResettableEnterPhase)(Object *obj, ResetType type);
typedef void (*ResettableHoldPhase)(Object *obj, ResetType type);
typedef void (*ResettableExitPhase)(Object *obj, ResetType type);
typedef void (*ResettableChildCallback)(Object *, void *opaque, ResetType type);

typedef struct ResettablePhases {
    ResettableEnterPhase enter;
    ResettableHoldPhase hold;
    ResettableExitPhase exit;
} ResettablePhases;

struct ResettableClass {
    InterfaceClass parent_class;
    ResettablePhases phases;            /* each may be NULL */
    ResettableState *(*get_state)(Object *obj);
    /* Calls @cb for all objects that are reset along with this one. */
    void (*child_foreach)(Object *obj, ResettableChildCallback cb, void *opaque, ResetType type);
};

/* All three phases, at once. */
void resettable_reset(Object *obj, ResetType type);
void resettable_assert_reset(Object *obj, ResetType type);
void resettable_release_reset(Object *obj, ResetType type);
bool resettable_is_in_reset(Object *obj);
/* Overrides phases (NULL: keep the parent's), and returns the parent's for calling on. */
void resettable_class_set_parent_phases(ResettableClass *rc, ResettableEnterPhase enter,
                                        ResettableHoldPhase hold, ResettableExitPhase exit,
                                        ResettablePhases *parent_phases);
/* The object takes part in every system reset. */
void qemu_register_resettable(Object *obj);
void qemu_unregister_resettable(Object *obj);
/* For qemu_register_reset_type(): cold-resets the Resettable @opaque. */
void resettable_cold_reset_fn(void *opaque, ResetType type);

#endif
