/*
 * QMP commands on the object model.
 *
 * device-list-properties is told apart from qom-list-properties by what it refuses and leaves out;
 * device types are recognised by name, as the device floor is above this one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "qapi/error.h"
#include "qapi/qapi-commands-qdev.h"
#include "qapi/qapi-commands-qom.h"
#include "qapi/util.h"
#include "qom/object.h"
#include "qom/object_interfaces.h"

static Object *object_at(const char *path, Error **errp)
{
    bool ambiguous = false;
    Object *obj = object_resolve_path(path, &ambiguous);

    if (!obj && ambiguous) {
        error_setg(errp, "Path '%s' is ambiguous", path);
    } else if (!obj) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return obj;
}

static ObjectPropertyInfo *property_info(const ObjectProperty *prop)
{
    ObjectPropertyInfo *info = g_new0(ObjectPropertyInfo, 1);

    info->name = g_strdup(prop->name);
    info->type = g_strdup(prop->type);
    return info;
}

ObjectPropertyInfoList *qmp_qom_list(const char *path, Error **errp)
{
    Object *obj = object_at(path, errp);
    ObjectPropertyInfoList *list = NULL;
    ObjectPropertyIterator iter;
    ObjectProperty *prop;

    if (!obj) {
        return NULL;
    }
    object_property_iter_init(&iter, obj);
    while ((prop = object_property_iter_next(&iter))) {
        QAPI_LIST_PREPEND(list, property_info(prop));
    }
    return list;
}

QObject *qmp_qom_get(const char *path, const char *property, Error **errp)
{
    Object *obj = object_at(path, errp);

    return obj ? object_property_get_qobject(obj, property, errp) : NULL;
}

void qmp_qom_set(const char *path, const char *property, QObject *value, Error **errp)
{
    Object *obj = object_at(path, errp);

    if (obj) {
        object_property_set_qobject(obj, property, value, errp);
    }
}

ObjectTypeInfoList *qmp_qom_list_types(const char *implements, bool has_abstract, bool abstract,
                                       Error **errp)
{
    ObjectTypeInfoList *list = NULL;
    GSList *classes = object_class_get_list(implements, has_abstract && abstract);

    for (GSList *l = classes; l; l = l->next) {
        ObjectClass *klass = l->data;
        ObjectClass *parent = object_class_get_parent(klass);
        ObjectTypeInfo *info = g_new0(ObjectTypeInfo, 1);

        info->name = g_strdup(object_class_get_name(klass));
        info->has_abstract = info->abstract = object_class_is_abstract(klass);
        info->parent = parent ? g_strdup(object_class_get_name(parent)) : NULL;
        QAPI_LIST_PREPEND(list, info);
    }
    g_slist_free(classes);
    return list;
}

/* What is settable about a type: its class's properties, and those that an instance adds. */
static ObjectPropertyInfoList *list_settings(ObjectClass *klass, bool skip_device_internals)
{
    static const char *const internals[] = {
        "type", "realized", "hotpluggable", "hotplugged", "parent_bus",
    };
    ObjectPropertyInfoList *list = NULL;
    ObjectPropertyIterator iter;
    ObjectProperty *prop;
    Object *obj = object_class_is_abstract(klass) ? NULL : object_new_with_class(klass);

    if (obj) {
        object_property_iter_init(&iter, obj);
    } else {
        object_class_property_iter_init(&iter, klass);
    }
    while ((prop = object_property_iter_next(&iter))) {
        ObjectPropertyInfo *info;
        bool internal = false;

        for (size_t i = 0; skip_device_internals && i < ARRAY_SIZE(internals); i++) {
            internal |= g_str_equal(prop->name, internals[i]);
        }
        if (internal || (skip_device_internals &&
                         (!prop->set || g_str_has_prefix(prop->name, "legacy-") ||
                          g_str_has_prefix(prop->type, "link<")))) {
            continue;
        }
        info = property_info(prop);
        info->description = g_strdup(prop->description);
        info->default_value = json_object_get(prop->defval);
        QAPI_LIST_PREPEND(list, info);
    }
    object_unref(obj);
    return list;
}

ObjectPropertyInfoList *qmp_device_list_properties(const char *typename, Error **errp)
{
    ObjectClass *klass = object_class_by_name(typename);

    if (!klass) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", typename);
        return NULL;
    }
    if (!object_class_dynamic_cast(klass, "device") || object_class_is_abstract(klass)) {
        error_setg(errp, "Parameter 'typename' expects a non-abstract device type");
        return NULL;
    }
    return list_settings(klass, true);
}

ObjectPropertyInfoList *qmp_qom_list_properties(const char *typename, Error **errp)
{
    ObjectClass *klass = object_class_by_name(typename);

    if (!klass) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Class '%s' not found", typename);
        return NULL;
    }
    if (!object_class_dynamic_cast(klass, TYPE_OBJECT)) {
        error_setg(errp, "Parameter 'typename' expects a QOM type");
        return NULL;
    }
    return list_settings(klass, false);
}

void qmp_object_add(ObjectOptions *options, Error **errp)
{
    user_creatable_add_qapi(options, errp);
}

void qmp_object_del(const char *id, Error **errp)
{
    user_creatable_del(id, errp);
}
