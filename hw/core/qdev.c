/*
 * Devices: their life from qdev_new() over realize to unparent, ids, saved state, reset.
 *
 * Buses are in bus.c, GPIO lines in gpio.c, static properties in qdev-properties.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/runstate.h"

bool qdev_hotplug;
static bool machine_modified;

static QTAILQ_HEAD(, DeviceListener) listeners = QTAILQ_HEAD_INITIALIZER(listeners);

void device_listener_register(DeviceListener *listener)
{
    QTAILQ_INSERT_TAIL(&listeners, listener, link);
}

void device_listener_unregister(DeviceListener *listener)
{
    QTAILQ_REMOVE(&listeners, listener, link);
}

/* ---- the machine's part of the tree ---------------------------------------------------- */

Object *qdev_get_machine(void)
{
    Object *machine = object_resolve_path_component(object_get_root(), "machine");

    return machine ?: object_property_add_new_container(object_get_root(), "machine");
}

Object *machine_get_container(const char *name)
{
    return container_get(qdev_get_machine(), name);
}

/* ---- making and placing ---------------------------------------------------------------- */

DeviceState *qdev_new(const char *name)
{
    return DEVICE(object_new(name));
}

DeviceState *qdev_try_new(const char *name)
{
    ObjectClass *oc = object_class_by_name(name);

    if (!object_class_dynamic_cast(oc, TYPE_DEVICE) || object_class_is_abstract(oc)) {
        return NULL;
    }
    return DEVICE(object_new_with_class(oc));
}

BusState *qdev_get_parent_bus(const DeviceState *dev)
{
    return dev->parent_bus;
}

BusState *qdev_get_child_bus(DeviceState *dev, const char *name)
{
    BusState *bus;

    QLIST_FOREACH(bus, &dev->child_bus, sibling) {
        if (g_str_equal(bus->name, name)) {
            return bus;
        }
    }
    return NULL;
}

static void bus_add_child(BusState *bus, DeviceState *dev)
{
    BusChild *kid = g_new0(BusChild, 1);
    g_autofree char *name = g_strdup_printf("child[%d]", bus->max_index);

    kid->index = bus->max_index++;
    kid->child = dev;
    object_ref(dev);
    bus->num_children++;
    QTAILQ_INSERT_HEAD(&bus->children, kid, sibling);
    object_property_add_link(OBJECT(bus), name, object_get_typename(OBJECT(dev)),
                             (Object **)&kid->child, NULL, 0);
}

static void bus_remove_child(BusState *bus, DeviceState *dev)
{
    BusChild *kid;

    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        if (kid->child == dev) {
            g_autofree char *name = g_strdup_printf("child[%d]", kid->index);

            object_property_del(OBJECT(bus), name);
            QTAILQ_REMOVE(&bus->children, kid, sibling);
            bus->num_children--;
            object_unref(dev);
            g_free(kid);
            return;
        }
    }
}

bool qdev_set_parent_bus(DeviceState *dev, BusState *bus, Error **errp)
{
    BusClass *bc = BUS_GET_CLASS(bus);
    BusState *old = dev->parent_bus;

    g_assert(DEVICE_GET_CLASS(dev)->bus_type &&
             object_dynamic_cast(OBJECT(bus), DEVICE_GET_CLASS(dev)->bus_type));
    if (bc->check_address && !bc->check_address(bus, dev, errp)) {
        return false;
    }
    object_ref(dev);
    dev->parent_bus = bus;
    object_ref(bus);
    bus_add_child(bus, dev);
    if (old) {
        bus_remove_child(old, dev);
        object_unref(old);
    }
    object_unref(dev);
    return true;
}

const char *qdev_set_id(DeviceState *dev, char *id, Error **errp)
{
    ObjectProperty *prop;

    g_assert(!dev->id && !dev->realized);
    if (id) {
        prop = object_property_try_add_child(machine_get_container("peripheral"), id,
                                             OBJECT(dev), NULL);
        if (!prop) {
            error_setg(errp, "Duplicate device ID '%s'", id);
            g_free(id);
            return NULL;
        }
        dev->id = id;
    } else {
        prop = object_property_add_child(machine_get_container("peripheral-anon"), "device[*]",
                                         OBJECT(dev));
    }
    return prop->name;
}

char *qdev_get_dev_path(DeviceState *dev)
{
    BusClass *bc;

    if (!dev || !dev->parent_bus) {
        return NULL;
    }
    bc = BUS_GET_CLASS(dev->parent_bus);
    return bc->get_dev_path ? bc->get_dev_path(dev) : NULL;
}

const char *qdev_fw_name(DeviceState *dev)
{
    return DEVICE_GET_CLASS(dev)->fw_name ?: object_get_typename(OBJECT(dev));
}

void qdev_set_legacy_instance_id(DeviceState *dev, int alias_id, int required_for_version)
{
    g_assert(!dev->realized);
    dev->instance_id_alias = alias_id;
    dev->alias_required_for_version = required_for_version;
}

const VMStateDescription *qdev_get_vmsd(DeviceState *dev)
{
    return DEVICE_GET_CLASS(dev)->vmsd;
}

void qdev_machine_creation_done(void)
{
    if (qdev_hotplug) {
        return;
    }
    qdev_hotplug = true;
    machine_modified = false;
    qemu_register_resettable(OBJECT(sysbus_get_default()));
}

bool qdev_machine_modified(void)
{
    return machine_modified;
}

VMChangeStateEntry *qdev_add_vm_change_state_handler(DeviceState *dev, VMChangeStateHandler *cb,
                                                     void *opaque)
{
    int depth = 0;

    while (dev && dev->parent_bus) {
        depth++;
        dev = dev->parent_bus->parent;
    }
    return qemu_add_vm_change_state_handler_prio(cb, opaque, depth);
}

/* ---- unplug blockers ------------------------------------------------------------------- */

void qdev_add_unplug_blocker(DeviceState *dev, Error *reason)
{
    dev->unplug_blockers = g_slist_prepend(dev->unplug_blockers, reason);
}

void qdev_del_unplug_blocker(DeviceState *dev, Error *reason)
{
    dev->unplug_blockers = g_slist_remove(dev->unplug_blockers, reason);
}

bool qdev_unplug_blocked(DeviceState *dev, Error **errp)
{
    if (dev->unplug_blockers) {
        error_propagate(errp, error_copy(dev->unplug_blockers->data));
        return true;
    }
    return false;
}

/* ---- realize and unrealize ------------------------------------------------------------- */

bool qdev_is_realized(DeviceState *dev)
{
    return qatomic_load_acquire(&dev->realized);
}

bool qdev_realize(DeviceState *dev, BusState *bus, Error **errp)
{
    g_assert(!dev->realized && !dev->parent_bus);
    if (bus) {
        if (!qdev_set_parent_bus(dev, bus, errp)) {
            return false;
        }
    } else {
        g_assert(!DEVICE_GET_CLASS(dev)->bus_type);
    }
    return object_property_set_bool(OBJECT(dev), "realized", true, errp);
}

bool qdev_realize_and_unref(DeviceState *dev, BusState *bus, Error **errp)
{
    bool ok = qdev_realize(dev, bus, errp);

    object_unref(dev);
    return ok;
}

void qdev_unrealize(DeviceState *dev)
{
    object_property_set_bool(OBJECT(dev), "realized", false, &error_abort);
}

static bool may_plug(DeviceState *dev, Error **errp)
{
    if (dev->init_error) {
        error_propagate(errp, error_copy(dev->init_error));
        return false;
    }
    if (dev->hotplugged && !DEVICE_GET_CLASS(dev)->hotpluggable) {
        error_setg(errp, "Device '%s' does not support hotplugging",
                   object_get_typename(OBJECT(dev)));
        return false;
    }
    if (dev->hotplugged && dev->parent_bus && !qbus_is_hotpluggable(dev->parent_bus)) {
        error_setg(errp, "Bus '%s' does not support hotplugging", dev->parent_bus->name);
        return false;
    }
    return true;
}

static void unrealize_device(DeviceState *dev)
{
    DeviceClass *dc = DEVICE_GET_CLASS(dev);
    DeviceListener *listener;
    BusState *bus;

    QLIST_FOREACH(bus, &dev->child_bus, sibling) {
        qbus_unrealize(bus);
    }
    if (dc->vmsd) {
        vmstate_unregister(VMSTATE_IF(dev), dc->vmsd, dev);
    }
    if (dc->unrealize) {
        dc->unrealize(dev);
    }
    dev->pending_deleted_event = true;
    QTAILQ_FOREACH(listener, &listeners, link) {
        if (listener->unrealize) {
            listener->unrealize(listener, dev);
        }
    }
}

static bool realize_device(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    DeviceClass *dc = DEVICE_GET_CLASS(dev);
    DeviceListener *listener;
    BusState *bus;
    bool placed_aside = false;

    if (!may_plug(dev, errp)) {
        return false;
    }
    if (!OBJECT(dev)->parent) {
        object_property_add_child(machine_get_container("unattached"), "device[*]", OBJECT(dev));
        placed_aside = true;
    }
    if (dc->realize) {
        dc->realize(dev, errp);
        if (*errp) {
            goto fail;
        }
    }
    QTAILQ_FOREACH(listener, &listeners, link) {
        if (listener->realize) {
            listener->realize(listener, dev);
        }
    }

    g_free(dev->canonical_path);
    dev->canonical_path = object_get_canonical_path(OBJECT(dev));
    if (dc->vmsd &&
        vmstate_register_with_alias_id(VMSTATE_IF(dev), VMSTATE_INSTANCE_ID_ANY, dc->vmsd, dev,
                                       dev->instance_id_alias, dev->alias_required_for_version,
                                       errp) < 0) {
        goto fail_unrealize;
    }
    QLIST_FOREACH(bus, &dev->child_bus, sibling) {
        if (!qbus_realize(bus, errp)) {
            unrealize_device(dev);
            goto fail;
        }
    }
    if (dev->hotplugged) {
        machine_modified = true;
        device_cold_reset(dev);
    }
    return true;

fail_unrealize:
    if (dc->unrealize) {
        dc->unrealize(dev);
    }
fail:
    g_clear_pointer(&dev->canonical_path, g_free);
    if (placed_aside) {
        object_unparent(OBJECT(dev));
    }
    return false;
}

static bool device_get_realized(Object *obj, Error **errp)
{
    return DEVICE(obj)->realized;
}

static void device_set_realized(Object *obj, bool value, Error **errp)
{
    DeviceState *dev = DEVICE(obj);

    if (value && !dev->realized) {
        if (realize_device(dev, errp)) {
            qatomic_store_release(&dev->realized, true);
        }
    } else if (!value && dev->realized) {
        qatomic_store_release(&dev->realized, false);
        unrealize_device(dev);
    }
}

/* ---- reset ----------------------------------------------------------------------------- */

void device_cold_reset(DeviceState *dev)
{
    resettable_reset(OBJECT(dev), RESET_TYPE_COLD);
}

bool device_is_in_reset(DeviceState *dev)
{
    return resettable_is_in_reset(OBJECT(dev));
}

static ResettableState *device_reset_state(Object *obj)
{
    return &DEVICE(obj)->reset;
}

static void device_reset_children(Object *obj, ResettableChildCallback cb, void *opaque,
                                  ResetType type)
{
    BusState *bus;

    QLIST_FOREACH(bus, &DEVICE(obj)->child_bus, sibling) {
        cb(OBJECT(bus), opaque, type);
    }
}

static void device_hold_phase(Object *obj, ResetType type)
{
    DeviceClass *dc = DEVICE_GET_CLASS(obj);

    if (dc->legacy_reset) {
        dc->legacy_reset(DEVICE(obj));
    }
}

void device_class_set_legacy_reset(DeviceClass *dc, DeviceReset dev_reset)
{
    dc->legacy_reset = dev_reset;
}

void device_class_set_parent_realize(DeviceClass *dc, DeviceRealize dev_realize,
                                     DeviceRealize *parent_realize)
{
    *parent_realize = dc->realize;
    dc->realize = dev_realize;
}

void device_class_set_parent_unrealize(DeviceClass *dc, DeviceUnrealize dev_unrealize,
                                       DeviceUnrealize *parent_unrealize)
{
    *parent_unrealize = dc->unrealize;
    dc->unrealize = dev_unrealize;
}

/* ---- the type -------------------------------------------------------------------------- */

static bool device_get_hotpluggable(Object *obj, Error **errp)
{
    DeviceState *dev = DEVICE(obj);

    return DEVICE_GET_CLASS(dev)->hotpluggable &&
           (!dev->parent_bus || qbus_is_hotpluggable(dev->parent_bus));
}

static bool device_get_hotplugged(Object *obj, Error **errp)
{
    return DEVICE(obj)->hotplugged;
}

static void device_init(Object *obj)
{
    DeviceState *dev = DEVICE(obj);

    dev->hotplugged = qdev_hotplug;
    dev->instance_id_alias = -1;
    dev->allow_unplug_during_migration = false;
    QLIST_INIT(&dev->gpios);
    QLIST_INIT(&dev->child_bus);
}

/* Machine defaults first, then what the user said. */
static void device_post_init(Object *obj)
{
    object_apply_compat_props(obj);
    qdev_prop_set_globals(DEVICE(obj));
}

static void device_unparent(Object *obj)
{
    DeviceState *dev = DEVICE(obj);
    BusState *bus;

    if (dev->realized) {
        qdev_unrealize(dev);
    }
    while ((bus = QLIST_FIRST(&dev->child_bus))) {
        object_unparent(OBJECT(bus));
    }
    if (dev->parent_bus) {
        bus = dev->parent_bus;
        dev->parent_bus = NULL;
        bus_remove_child(bus, dev);
        object_unref(bus);
    }
}

static void device_finalize(Object *obj)
{
    DeviceState *dev = DEVICE(obj);
    NamedGPIOList *list;

    while ((list = QLIST_FIRST(&dev->gpios))) {
        QLIST_REMOVE(list, node);
        g_free(list->in);               /* the lines themselves were children */
        g_free(list->name);
        g_free(list);
    }
    error_free(dev->init_error);
    g_free(dev->canonical_path);
    g_free(dev->id);
}

static char *device_vmstate_id(VMStateIf *obj)
{
    return qdev_get_dev_path(DEVICE(obj));
}

/* A class starts without what belongs to its parent alone. */
static void device_class_base_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->props_ = NULL;
    dc->props_count_ = 0;
    dc->desc = NULL;
}

static void device_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    oc->unparent = device_unparent;
    dc->user_creatable = true;
    dc->hotpluggable = true;
    rc->get_state = device_reset_state;
    rc->child_foreach = device_reset_children;
    rc->phases.hold = device_hold_phase;
    VMSTATE_IF_CLASS(oc)->get_id = device_vmstate_id;

    object_class_property_add_bool(oc, "realized", device_get_realized, device_set_realized);
    object_class_property_add_bool(oc, "hotpluggable", device_get_hotpluggable, NULL);
    object_class_property_add_bool(oc, "hotplugged", device_get_hotplugged, NULL);
    object_class_property_add_link(oc, "parent_bus", TYPE_BUS, offsetof(DeviceState, parent_bus),
                                   NULL, 0);
}

static const TypeInfo device_types[] = {
    {
        .name = TYPE_VMSTATE_IF,
        .parent = TYPE_INTERFACE,
        .class_size = sizeof(VMStateIfClass),
    },
    {
        .name = TYPE_DEVICE,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(DeviceState),
        .instance_init = device_init,
        .instance_post_init = device_post_init,
        .instance_finalize = device_finalize,
        .class_base_init = device_class_base_init,
        .class_init = device_class_init,
        .abstract = true,
        .class_size = sizeof(DeviceClass),
        .interfaces = (InterfaceInfo[]) {
            { TYPE_VMSTATE_IF },
            { TYPE_RESETTABLE_INTERFACE },
            { NULL },
        },
    },
};
DEFINE_TYPES(device_types)
