/*
 * Devices that a user adds by name: see monitor/qdev.h.
 *
 * Once the machine is complete, a device goes in and out by way of its bus's hotplug handler. No
 * bus has one yet, so device_add and device_del say which part of the machine refuses.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/sysbus.h"
#include "monitor/qdev.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-qdev.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor.h"
#include "qemu/keyval.h"
#include "qemu/option.h"

static DeviceClass *find_class(const char *driver, Error **errp)
{
    ObjectClass *oc = object_class_by_name(driver);

    if (!oc || !object_class_dynamic_cast(oc, TYPE_DEVICE)) {
        error_setg(errp, "'%s' is not a valid device model name", driver);
        return NULL;
    }
    if (object_class_is_abstract(oc)) {
        error_setg(errp, "Parameter 'driver' expects a non-abstract device type");
        return NULL;
    }
    if (!DEVICE_CLASS(oc)->user_creatable) {
        error_setg(errp, "Parameter 'driver' expects a pluggable device type");
        return NULL;
    }
    return DEVICE_CLASS(oc);
}

/* A bus of @type with room, anywhere under @bus. */
static BusState *find_bus(BusState *bus, const char *type)
{
    BusChild *kid;
    BusState *child, *found;

    if (object_dynamic_cast(OBJECT(bus), type) && !qbus_is_full(bus)) {
        return bus;
    }
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        QLIST_FOREACH(child, &kid->child->child_bus, sibling) {
            found = find_bus(child, type);
            if (found) {
                return found;
            }
        }
    }
    return NULL;
}

/* Whether the machine, which is complete, could take in a device of @dc on @bus (NULL: none). */
static bool can_hotplug(DeviceClass *dc, BusState *bus, Error **errp)
{
    const char *type = object_class_get_name(OBJECT_CLASS(dc));

    if (bus && !qbus_is_hotpluggable(bus)) {
        error_setg(errp, "Bus '%s' does not support hotplugging", bus->name);
        return false;
    }
    if (!dc->hotpluggable) {
        error_setg(errp, "Device '%s' does not support hotplugging", type);
        return false;
    }
    if (!bus) {
        /* It would be the machine's to take it in, and none here does. */
        error_setg(errp, "Device '%s' can not be hotplugged on this machine", type);
        return false;
    }
    return true;
}

static bool set_properties(DeviceState *dev, const QDict *opts, bool from_keyval, Error **errp)
{
    Visitor *v = from_keyval ? qobject_input_visitor_new_keyval((QObject *)opts)
        : qobject_input_visitor_new((QObject *)opts);
    bool ok = visit_start_struct(v, NULL, NULL, 0, errp);

    if (ok) {
        json_object_object_foreach((QDict *)opts, key, value) {
            (void)value;
            if (!g_str_equal(key, "driver") && !g_str_equal(key, "bus") &&
                !g_str_equal(key, "id")) {
                ok = object_property_set(OBJECT(dev), key, v, errp);
            }
            if (!ok) {
                break;
            }
        }
        visit_end_struct(v, NULL);
    }
    visit_free(v);
    return ok;
}

DeviceState *qdev_device_add_from_qdict(const QDict *opts, bool from_keyval, Error **errp)
{
    const char *driver = qdict_get_try_str(opts, "driver");
    const char *path = qdict_get_try_str(opts, "bus"), *id = qdict_get_try_str(opts, "id");
    BusState *bus = NULL;
    DeviceState *dev;
    DeviceClass *dc;

    if (!driver) {
        error_setg(errp, "Parameter 'driver' is missing");
        return NULL;
    }
    dc = find_class(driver, errp);
    if (!dc) {
        return NULL;
    }
    if (path) {
        bus = qbus_find(path, errp);
        if (!bus) {
            return NULL;
        }
        if (!dc->bus_type || !object_dynamic_cast(OBJECT(bus), dc->bus_type)) {
            error_setg(errp, "Device '%s' can't go on %s bus", driver,
                       object_get_typename(OBJECT(bus)));
            return NULL;
        }
    } else if (dc->bus_type) {
        bus = find_bus(sysbus_get_default(), dc->bus_type);
        if (!bus) {
            error_setg(errp, "No '%s' bus found for device '%s'", dc->bus_type, driver);
            return NULL;
        }
    }
    if (qdev_hotplug && !can_hotplug(dc, bus, errp)) {
        return NULL;
    }
    dev = qdev_new(driver);
    if (!qdev_set_id(dev, g_strdup(id), errp) ||
        !set_properties(dev, opts, from_keyval, errp) || !qdev_realize(dev, bus, errp)) {
        object_unparent(OBJECT(dev));
        object_unref(OBJECT(dev));
        return NULL;
    }
    object_unref(OBJECT(dev));
    return dev;
}

void qmp_device_add(QDict *args, QObject **ret, Error **errp)
{
    json_object_object_foreach(args, key, value) {
        if ((g_str_equal(key, "driver") || g_str_equal(key, "bus") || g_str_equal(key, "id")) &&
            !json_object_is_type(value, json_type_string)) {
            error_setg(errp, "Invalid parameter type for '%s', expected: string", key);
            return;
        }
    }
    qdev_device_add_from_qdict(args, false, errp);
}

/* What @id names, be it a device's id or a path. */
static DeviceState *find_device(const char *id, Error **errp)
{
    Object *peripheral = object_resolve_path("/machine/peripheral", NULL), *obj;

    obj = id[0] == '/' ? object_resolve_path(id, NULL)
        : peripheral ? object_resolve_path_component(peripheral, id) : NULL;
    if (!obj) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", id);
        return NULL;
    }
    if (!object_dynamic_cast(obj, TYPE_DEVICE)) {
        error_setg(errp, "%s is not a device", id);
        return NULL;
    }
    return DEVICE(obj);
}

void qmp_device_del(const char *id, Error **errp)
{
    DeviceState *dev = find_device(id, errp);
    const char *type;

    if (!dev) {
        return;
    }
    type = object_get_typename(OBJECT(dev));
    if (dev->parent_bus && !qbus_is_hotpluggable(dev->parent_bus)) {
        error_setg(errp, "Bus '%s' does not support hotplugging", dev->parent_bus->name);
    } else if (!DEVICE_GET_CLASS(dev)->hotpluggable) {
        error_setg(errp, "Device '%s' does not support hotplugging", type);
    } else {
        error_setg(errp, "Device '%s' can not be unplugged from this machine", type);
    }
}

static void print_device(ObjectClass *oc, void *opaque)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    if (dc->user_creatable) {
        printf("name \"%s\"%s%s%s%s\n", object_class_get_name(oc), dc->bus_type ? ", bus " : "",
               dc->bus_type ?: "", dc->desc ? ", desc " : "", dc->desc ?: "");
    }
}

bool qdev_add_from_text(const char *text, Error **errp)
{
    bool json = text[0] == '{', help = false;
    QDict *opts = json ? qobject_from_json(text, errp)
        : keyval_parse(text, "driver", &help, errp);
    const char *driver = json_object_is_type(opts, json_type_object)
        ? qdict_get_try_str(opts, "driver") : NULL;
    DeviceState *dev = NULL;

    if (!opts) {
        return false;
    }
    if (help || (driver && is_help_option(driver))) {
        if (driver && !is_help_option(driver)) {
            type_print_class_properties(driver);
        } else {
            object_class_foreach(print_device, TYPE_DEVICE, false, NULL);
        }
    } else {
        dev = qdev_device_add_from_qdict(opts, !json, errp);
    }
    qobject_unref(opts);
    return dev;
}
