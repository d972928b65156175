/*
 * Buses: which devices sit on them, walks, and how they are realized and reset along with the
 * device that they belong to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qemu/error-report.h"

/* ---- making --------------------------------------------------------------------------- */

/* After the type, numbered where the parent class has several of the kind. */
static char *default_name(BusState *bus)
{
    BusClass *bc = BUS_GET_CLASS(bus);

    if (bus->parent && bus->parent->id) {
        return g_strdup_printf("%s.%d", bus->parent->id, bus->parent->num_child_bus);
    } else {
        char *name = g_strdup_printf("%s.%d", object_get_typename(OBJECT(bus)),
                                     bc->automatic_ids++);

        for (char *c = name; *c; c++) {
            *c = g_ascii_tolower(*c);
        }
        return name;
    }
}

static void attach(BusState *bus, DeviceState *parent, const char *name)
{
    bus->parent = parent;
    bus->name = name ? g_strdup(name) : default_name(bus);
    if (parent) {
        QLIST_INSERT_HEAD(&parent->child_bus, bus, sibling);
        parent->num_child_bus++;
        object_property_add_child(OBJECT(parent), bus->name, OBJECT(bus));
        object_unref(bus);              /* the tree's reference remains */
    }
}

BusState *qbus_new(const char *typename, DeviceState *parent, const char *name)
{
    BusState *bus = BUS(object_new(typename));

    attach(bus, parent, name);
    return bus;
}

void qbus_init(void *bus, size_t size, const char *typename, DeviceState *parent,
               const char *name)
{
    object_initialize(bus, size, typename);
    attach(bus, parent, name);
}

bool qbus_realize(BusState *bus, Error **errp)
{
    return object_property_set_bool(OBJECT(bus), "realized", true, errp);
}

void qbus_unrealize(BusState *bus)
{
    object_property_set_bool(OBJECT(bus), "realized", false, &error_abort);
}

void qbus_set_hotplug_handler(BusState *bus, Object *handler)
{
    object_property_set_link(OBJECT(bus), QDEV_HOTPLUG_HANDLER_PROPERTY, handler, &error_abort);
}

bool qbus_is_hotpluggable(BusState *bus)
{
    return bus->hotplug_handler != NULL;
}

bool qbus_is_full(BusState *bus)
{
    BusClass *bc = BUS_GET_CLASS(bus);

    return bus->full || (bc->max_dev && bus->num_children >= bc->max_dev);
}

/* ---- walks ---------------------------------------------------------------------------- */

static int walk_device(DeviceState *dev, qdev_walkerfn *pre_devfn, qbus_walkerfn *pre_busfn,
                       qdev_walkerfn *post_devfn, qbus_walkerfn *post_busfn, void *opaque)
{
    BusState *bus;
    int err;

    if (pre_devfn && (err = pre_devfn(dev, opaque)) != 0) {
        return err;
    }
    QLIST_FOREACH(bus, &dev->child_bus, sibling) {
        err = qbus_walk_children(bus, pre_devfn, pre_busfn, post_devfn, post_busfn, opaque);
        if (err < 0) {
            return err;
        }
    }
    return post_devfn ? post_devfn(dev, opaque) : 0;
}

int qbus_walk_children(BusState *bus, qdev_walkerfn *pre_devfn, qbus_walkerfn *pre_busfn,
                       qdev_walkerfn *post_devfn, qbus_walkerfn *post_busfn, void *opaque)
{
    BusChild *kid;
    int err;

    if (pre_busfn && (err = pre_busfn(bus, opaque)) != 0) {
        return err;
    }
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        err = walk_device(kid->child, pre_devfn, pre_busfn, post_devfn, post_busfn, opaque);
        if (err < 0) {
            return err;
        }
    }
    return post_busfn ? post_busfn(bus, opaque) : 0;
}

DeviceState *qdev_find_recursive(BusState *bus, const char *id)
{
    BusChild *kid;

    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        DeviceState *dev = kid->child;
        BusState *child;

        if (dev->id && g_str_equal(dev->id, id)) {
            return dev;
        }
        QLIST_FOREACH(child, &dev->child_bus, sibling) {
            DeviceState *found = qdev_find_recursive(child, id);

            if (found) {
                return found;
            }
        }
    }
    return NULL;
}

static BusState *find_named(BusState *bus, const char *name)
{
    BusChild *kid;

    if (g_str_equal(bus->name, name)) {
        return bus;
    }
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        BusState *child;

        QLIST_FOREACH(child, &kid->child->child_bus, sibling) {
            BusState *found = find_named(child, name);

            if (found) {
                return found;
            }
        }
    }
    return NULL;
}

BusState *qbus_find(const char *path, Error **errp)
{
    BusState *bus = find_named(sysbus_get_default(), path);

    if (!bus) {
        error_setg(errp, "Bus '%s' not found", path);
    }
    return bus;
}

/* ---- reset ---------------------------------------------------------------------------- */

void bus_cold_reset(BusState *bus)
{
    resettable_reset(OBJECT(bus), RESET_TYPE_COLD);
}

static ResettableState *bus_reset_state(Object *obj)
{
    return &BUS(obj)->reset;
}

static void bus_reset_children(Object *obj, ResettableChildCallback cb, void *opaque,
                               ResetType type)
{
    BusChild *kid;

    QTAILQ_FOREACH(kid, &BUS(obj)->children, sibling) {
        cb(OBJECT(kid->child), opaque, type);
    }
}

/* ---- the type ------------------------------------------------------------------------- */

static bool bus_get_realized(Object *obj, Error **errp)
{
    return BUS(obj)->realized;
}

static void bus_set_realized(Object *obj, bool value, Error **errp)
{
    ERRP_GUARD();
    BusState *bus = BUS(obj);
    BusClass *bc = BUS_GET_CLASS(bus);
    BusChild *kid;

    if (value && !bus->realized) {
        if (bc->realize) {
            bc->realize(bus, errp);
        }
        bus->realized = !*errp;
    } else if (!value && bus->realized) {
        bus->realized = false;
        QTAILQ_FOREACH(kid, &bus->children, sibling) {
            qdev_unrealize(kid->child);
        }
        if (bc->unrealize) {
            bc->unrealize(bus);
        }
    }
}

static void bus_unparent(Object *obj)
{
    BusState *bus = BUS(obj);
    BusChild *kid;

    while ((kid = QTAILQ_FIRST(&bus->children))) {
        object_unparent(OBJECT(kid->child));
    }
    if (bus->parent) {
        QLIST_REMOVE(bus, sibling);
        bus->parent->num_child_bus--;
        bus->parent = NULL;
    }
}

static void bus_init(Object *obj)
{
    BusState *bus = BUS(obj);

    QTAILQ_INIT(&bus->children);
    object_property_add_link(obj, QDEV_HOTPLUG_HANDLER_PROPERTY, TYPE_OBJECT,
                             &bus->hotplug_handler, object_property_allow_set_link, 0);
}

static void bus_finalize(Object *obj)
{
    g_free(BUS(obj)->name);
}

static void bus_class_init(ObjectClass *oc, void *data)
{
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    oc->unparent = bus_unparent;
    rc->get_state = bus_reset_state;
    rc->child_foreach = bus_reset_children;
    object_class_property_add_bool(oc, "realized", bus_get_realized, bus_set_realized);
}

static const TypeInfo bus_types[] = {
    {
        .name = TYPE_BUS,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(BusState),
        .abstract = true,
        .class_size = sizeof(BusClass),
        .instance_init = bus_init,
        .instance_finalize = bus_finalize,
        .class_init = bus_class_init,
        .interfaces = (InterfaceInfo[]) {
            { TYPE_RESETTABLE_INTERFACE },
            { NULL },
        },
    },
};
DEFINE_TYPES(bus_types)
