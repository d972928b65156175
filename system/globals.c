/*
 * `-global`: kept in the order given, applied in that order, so that the last one wins.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "qapi/error.h"
#include "qemu/keyval.h"
#include "system/globals.h"

static GPtrArray *globals;              /* of GlobalProperty * */
static GPtrArray *parsed;               /* those that are our own, to be freed */

const GPtrArray *qdev_globals(void)
{
    if (!globals) {
        globals = g_ptr_array_new();
    }
    return globals;
}

void qdev_prop_register_global(GlobalProperty *prop)
{
    qdev_globals();
    g_ptr_array_add(globals, prop);
}

void qdev_prop_clear_globals(void)
{
    g_clear_pointer(&globals, g_ptr_array_unref);
    g_clear_pointer(&parsed, g_ptr_array_unref);
}

static void free_parsed(gpointer data)
{
    GlobalProperty *prop = data;

    g_free((char *)prop->driver);
    g_free((char *)prop->property);
    g_free((char *)prop->value);
    g_free(prop);
}

/* Takes @prop. */
static void register_parsed(GlobalProperty *prop)
{
    if (!parsed) {
        parsed = g_ptr_array_new_with_free_func(free_parsed);
    }
    g_ptr_array_add(parsed, prop);
    qdev_prop_register_global(prop);
}

static const char *text_member(QObject *args, const char *key)
{
    QObject *value;

    return json_object_object_get_ex(args, key, &value) &&
           json_object_get_type(value) == json_type_string ? json_object_get_string(value) : NULL;
}

bool qdev_global_parse(const char *text, Error **errp)
{
    size_t driver_len = strcspn(text, ".=");
    const char *property = text + driver_len + 1;
    GlobalProperty *prop;
    QObject *args;

    /* driver.property=value: the value is all the rest, commas included. */
    if (driver_len && text[driver_len] == '.') {
        size_t property_len = strcspn(property, "=");

        if (property_len && property[property_len] == '=') {
            prop = g_new0(GlobalProperty, 1);
            prop->driver = g_strndup(text, driver_len);
            prop->property = g_strndup(property, property_len);
            prop->value = g_strdup(property + property_len + 1);
            register_parsed(prop);
            return true;
        }
    }

    args = keyval_parse(text, NULL, NULL, errp);
    if (!args) {
        return false;
    }
    prop = g_new0(GlobalProperty, 1);
    prop->driver = g_strdup(text_member(args, "driver"));
    prop->property = g_strdup(text_member(args, "property"));
    prop->value = g_strdup(text_member(args, "value"));
    json_object_put(args);
    if (!prop->driver || !prop->property || !prop->value) {
        error_setg(errp, "expected driver.property=value or "
                   "driver=DRIVER,property=PROPERTY,value=VALUE");
        free_parsed(prop);
        return false;
    }
    register_parsed(prop);
    return true;
}

const GlobalProperty *qdev_find_global_prop(Object *obj, const char *name)
{
    const GPtrArray *list = qdev_globals();

    for (guint i = list->len; i-- > 0;) {
        const GlobalProperty *prop = g_ptr_array_index(list, i);

        if (object_dynamic_cast(obj, prop->driver) && g_str_equal(prop->property, name)) {
            return prop;
        }
    }
    return NULL;
}

bool object_apply_globals(Object *obj, Error **errp)
{
    return object_apply_global_props(obj, qdev_globals(), errp);
}
