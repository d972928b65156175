/*
 * Three-phase reset of trees of objects.
 *
 * Each object counts the resets that it is held in: its phases run when the first begins and when
 * the last ends. In each phase the children come before the object itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/resettable.h"

static void for_children(ResettableClass *rc, Object *obj, ResettableChildCallback cb,
                         ResetType type)
{
    if (rc->child_foreach) {
        rc->child_foreach(obj, cb, NULL, type);
    }
}

static void enter_phase(Object *obj, void *opaque, ResetType type)
{
    ResettableClass *rc = RESETTABLE_GET_CLASS(obj);
    ResettableState *s = rc->get_state(obj);
    bool first = s->count++ == 0;

    for_children(rc, obj, enter_phase, type);
    if (first) {
        if (rc->phases.enter) {
            rc->phases.enter(obj, type);
        }
        s->hold_phase_pending = true;
    }
}

static void hold_phase(Object *obj, void *opaque, ResetType type)
{
    ResettableClass *rc = RESETTABLE_GET_CLASS(obj);
    ResettableState *s = rc->get_state(obj);

    for_children(rc, obj, hold_phase, type);
    if (s->hold_phase_pending) {
        s->hold_phase_pending = false;
        if (rc->phases.hold) {
            rc->phases.hold(obj, type);
        }
    }
}

static void exit_phase(Object *obj, void *opaque, ResetType type)
{
    ResettableClass *rc = RESETTABLE_GET_CLASS(obj);
    ResettableState *s = rc->get_state(obj);

    g_assert(!s->exit_phase_in_progress);
    s->exit_phase_in_progress = true;
    for_children(rc, obj, exit_phase, type);
    g_assert(s->count > 0);
    if (--s->count == 0 && rc->phases.exit) {
        rc->phases.exit(obj, type);
    }
    s->exit_phase_in_progress = false;
}

void resettable_assert_reset(Object *obj, ResetType type)
{
    enter_phase(obj, NULL, type);
    hold_phase(obj, NULL, type);
}

void resettable_release_reset(Object *obj, ResetType type)
{
    exit_phase(obj, NULL, type);
}

void resettable_reset(Object *obj, ResetType type)
{
    resettable_assert_reset(obj, type);
    resettable_release_reset(obj, type);
}

bool resettable_is_in_reset(Object *obj)
{
    return RESETTABLE_GET_CLASS(obj)->get_state(obj)->count > 0;
}

void resettable_class_set_parent_phases(ResettableClass *rc, ResettableEnterPhase enter,
                                        ResettableHoldPhase hold, ResettableExitPhase exit,
                                        ResettablePhases *parent_phases)
{
    *parent_phases = rc->phases;
    rc->phases.enter = enter ?: rc->phases.enter;
    rc->phases.hold = hold ?: rc->phases.hold;
    rc->phases.exit = exit ?: rc->phases.exit;
}

void resettable_cold_reset_fn(void *opaque, ResetType type)
{
    resettable_reset(opaque, type);
}

void qemu_register_resettable(Object *obj)
{
    qemu_register_reset_type(resettable_cold_reset_fn, obj);
}

void qemu_unregister_resettable(Object *obj)
{
    qemu_unregister_reset_type(resettable_cold_reset_fn, obj);
}

static void register_interface(void)
{
    static const TypeInfo info = {
        .name = TYPE_RESETTABLE_INTERFACE,
        .parent = TYPE_INTERFACE,
        .class_size = sizeof(ResettableClass),
    };

    type_register_static(&info);
}
type_init(register_interface)
