/*
 * Properties: added to classes or single objects, found, read and written through visitors, with
 * shorthands for values that C code has at hand.
 *
 * A value that comes from C travels as JSON through the same accessors as one from a user.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject-output-visitor.h"
#include "qapi/string-input-visitor.h"
#include "qapi/string-output-visitor.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qom-internal.h"

/* ---- tables --------------------------------------------------------------------------- */

/*
 * Tables of instances are changed under the BQL and under this, so that object_ref_child() may look
 * without the former. A leaf: nothing is taken inside.
 */
static GMutex tables_lock;

static void property_free(gpointer data)
{
    ObjectProperty *prop = data;

    json_object_put(prop->defval);
    g_free(prop->name);
    g_free(prop->type);
    g_free(prop->description);
    g_free(prop);
}

GHashTable *qom_property_table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, property_free);
}

static ObjectProperty *property_new(const char *name, const char *type,
                                    ObjectPropertyAccessor *get, ObjectPropertyAccessor *set,
                                    ObjectPropertyRelease *release, void *opaque)
{
    ObjectProperty *prop = g_new0(ObjectProperty, 1);

    prop->name = g_strdup(name);
    prop->type = g_strdup(type);
    prop->get = get;
    prop->set = set;
    prop->release = release;
    prop->opaque = opaque;
    return prop;
}

ObjectProperty *object_property_try_add(Object *obj, const char *name, const char *type,
                                        ObjectPropertyAccessor *get, ObjectPropertyAccessor *set,
                                        ObjectPropertyRelease *release, void *opaque,
                                        Error **errp)
{
    g_autofree char *numbered = NULL;
    ObjectProperty *prop;

    if (g_str_has_suffix(name, "[*]")) {
        int stem = strlen(name) - strlen("[*]");

        for (unsigned i = 0;; i++) {
            g_free(numbered);
            numbered = g_strdup_printf("%.*s[%u]", stem, name, i);
            if (!object_property_find(obj, numbered)) {
                break;
            }
        }
        name = numbered;
    } else if (object_property_find(obj, name)) {
        error_setg(errp, "attempt to add duplicate property '%s' to object (type '%s')", name,
                   object_get_typename(obj));
        return NULL;
    }

    prop = property_new(name, type, get, set, release, opaque);
    g_mutex_lock(&tables_lock);
    g_hash_table_insert(obj->properties, prop->name, prop);
    g_mutex_unlock(&tables_lock);
    return prop;
}

ObjectProperty *object_property_add(Object *obj, const char *name, const char *type,
                                    ObjectPropertyAccessor *get, ObjectPropertyAccessor *set,
                                    ObjectPropertyRelease *release, void *opaque)
{
    return object_property_try_add(obj, name, type, get, set, release, opaque, &error_abort);
}

ObjectProperty *object_class_property_add(ObjectClass *klass, const char *name, const char *type,
                                          ObjectPropertyAccessor *get,
                                          ObjectPropertyAccessor *set,
                                          ObjectPropertyRelease *release, void *opaque)
{
    ObjectProperty *prop;

    g_assert(!object_class_property_find(klass, name));
    prop = property_new(name, type, get, set, release, opaque);
    g_hash_table_insert(klass->properties, prop->name, prop);
    return prop;
}

void object_property_del(Object *obj, const char *name)
{
    ObjectProperty *prop = g_hash_table_lookup(obj->properties, name);

    if (prop) {
        /* Out of the table first: releasing may come back to it. */
        g_mutex_lock(&tables_lock);
        g_hash_table_steal(obj->properties, prop->name);
        g_mutex_unlock(&tables_lock);
        if (prop->release) {
            prop->release(obj, prop->name, prop->opaque);
        }
        property_free(prop);
    }
}

void qom_properties_release_all(Object *obj)
{
    GHashTableIter iter;
    gpointer key;
    ObjectPropertyIterator classes;
    ObjectProperty *prop;

    /* Each removal may remove others along with it, so the walk starts anew each time. */
    while (g_hash_table_iter_init(&iter, obj->properties),
           g_hash_table_iter_next(&iter, &key, NULL)) {
        object_property_del(obj, key);
    }

    object_class_property_iter_init(&classes, obj->class);
    while ((prop = object_property_iter_next(&classes))) {
        if (prop->release) {
            prop->release(obj, prop->name, prop->opaque);
        }
    }
}

void qom_properties_set_defaults(Object *obj)
{
    ObjectPropertyIterator iter;
    ObjectProperty *prop;

    object_class_property_iter_init(&iter, obj->class);
    while ((prop = object_property_iter_next(&iter))) {
        if (prop->init) {
            prop->init(obj, prop);
        }
    }
}

/* ---- finding -------------------------------------------------------------------------- */

ObjectProperty *object_class_property_find(ObjectClass *klass, const char *name)
{
    for (; klass; klass = object_class_get_parent(klass)) {
        ObjectProperty *prop = g_hash_table_lookup(klass->properties, name);

        if (prop) {
            return prop;
        }
    }
    return NULL;
}

Object *object_ref_child(Object *parent, const char *name)
{
    ObjectProperty *prop;
    Object *child = NULL;

    g_mutex_lock(&tables_lock);
    prop = g_hash_table_lookup(parent->properties, name);
    if (prop && qom_property_is_child(prop)) {
        child = object_ref(prop->opaque); /* the table's reference goes after the entry went */
    }
    g_mutex_unlock(&tables_lock);
    return child;
}

ObjectProperty *qom_property_own(Object *obj, const char *name)
{
    return g_hash_table_lookup(obj->properties, name);
}

ObjectProperty *object_property_find(Object *obj, const char *name)
{
    return object_class_property_find(obj->class, name) ?: qom_property_own(obj, name);
}

ObjectProperty *object_property_find_err(Object *obj, const char *name, Error **errp)
{
    ObjectProperty *prop = object_property_find(obj, name);

    if (!prop) {
        error_setg(errp, "Property '%s.%s' not found", object_get_typename(obj), name);
    }
    return prop;
}

ObjectProperty *object_class_property_find_err(ObjectClass *klass, const char *name,
                                               Error **errp)
{
    ObjectProperty *prop = object_class_property_find(klass, name);

    if (!prop) {
        error_setg(errp, "Property '.%s' not found", name);
    }
    return prop;
}

void object_property_iter_init(ObjectPropertyIterator *iter, Object *obj)
{
    g_hash_table_iter_init(&iter->iter, obj->properties);
    iter->nextclass = obj->class;
}

void object_class_property_iter_init(ObjectPropertyIterator *iter, ObjectClass *klass)
{
    g_hash_table_iter_init(&iter->iter, klass->properties);
    iter->nextclass = object_class_get_parent(klass);
}

ObjectProperty *object_property_iter_next(ObjectPropertyIterator *iter)
{
    gpointer value;

    while (!g_hash_table_iter_next(&iter->iter, NULL, &value)) {
        if (!iter->nextclass) {
            return NULL;
        }
        g_hash_table_iter_init(&iter->iter, iter->nextclass->properties);
        iter->nextclass = object_class_get_parent(iter->nextclass);
    }
    return value;
}

/* ---- reading and writing -------------------------------------------------------------- */

bool object_property_get(Object *obj, const char *name, Visitor *v, Error **errp)
{
    ObjectProperty *prop = object_property_find_err(obj, name, errp);
    Error *err = NULL;

    if (!prop) {
        return false;
    }
    if (!prop->get) {
        error_setg(errp, "Property '%s.%s' is not readable", object_get_typename(obj), name);
        return false;
    }
    prop->get(obj, v, name, prop->opaque, &err);
    error_propagate(errp, err);
    return !err;
}

bool object_property_set(Object *obj, const char *name, Visitor *v, Error **errp)
{
    ERRP_GUARD();
    ObjectProperty *prop = object_property_find_err(obj, name, errp);

    if (!prop) {
        return false;
    }
    if (!prop->set) {
        error_setg(errp, "Property '%s.%s' is not writable", object_get_typename(obj), name);
        return false;
    }
    prop->set(obj, v, name, prop->opaque, errp);
    return !*errp;
}

bool object_property_set_qobject(Object *obj, const char *name, QObject *value, Error **errp)
{
    Visitor *v = qobject_input_visitor_new(value);
    bool ok = object_property_set(obj, name, v, errp);

    visit_free(v);
    return ok;
}

/* Takes @value. */
static bool set_from_json(Object *obj, const char *name, QObject *value, Error **errp)
{
    bool ok = object_property_set_qobject(obj, name, value, errp);

    json_object_put(value);
    return ok;
}

bool object_property_set_str(Object *obj, const char *name, const char *value, Error **errp)
{
    return set_from_json(obj, name, json_object_new_string(value), errp);
}

bool object_property_set_bool(Object *obj, const char *name, bool value, Error **errp)
{
    return set_from_json(obj, name, json_object_new_boolean(value), errp);
}

bool object_property_set_int(Object *obj, const char *name, int64_t value, Error **errp)
{
    return set_from_json(obj, name, json_object_new_int64(value), errp);
}

bool object_property_set_uint(Object *obj, const char *name, uint64_t value, Error **errp)
{
    return set_from_json(obj, name, json_object_new_uint64(value), errp);
}

bool object_property_set_link(Object *obj, const char *name, Object *value, Error **errp)
{
    g_autofree char *path = NULL;

    if (value) {
        path = object_get_canonical_path(value);
        if (!path) {
            error_setg(errp, "Property '%s.%s' can't link to an object outside of the tree",
                       object_get_typename(obj), name);
            return false;
        }
    }
    return object_property_set_str(obj, name, path ?: "", errp);
}

bool object_property_parse(Object *obj, const char *name, const char *string, Error **errp)
{
    Visitor *v = string_input_visitor_new(string);
    bool ok = object_property_set(obj, name, v, errp);

    visit_free(v);
    return ok;
}

QObject *object_property_get_qobject(Object *obj, const char *name, Error **errp)
{
    QObject *ret = NULL;
    Visitor *v = qobject_output_visitor_new(&ret);

    if (object_property_get(obj, name, v, errp)) {
        visit_complete(v, &ret);
    }
    visit_free(v);
    return ret;
}

/* The value if it has the JSON type that C wants; what came else is put in the error. */
static QObject *get_as_json(Object *obj, const char *name, enum json_type want,
                            const char *want_name, Error **errp)
{
    Error *err = NULL;
    QObject *value = object_property_get_qobject(obj, name, &err);

    if (err) {
        error_propagate(errp, err);
        return NULL;
    }
    if (json_object_get_type(value) != want) {
        error_setg(errp, "Invalid parameter type for '%s', expected: %s", name, want_name);
        json_object_put(value);
        return NULL;
    }
    return value;
}

char *object_property_get_str(Object *obj, const char *name, Error **errp)
{
    QObject *value = get_as_json(obj, name, json_type_string, "string", errp);
    char *ret = value ? g_strdup(json_object_get_string(value)) : NULL;

    json_object_put(value);
    return ret;
}

bool object_property_get_bool(Object *obj, const char *name, Error **errp)
{
    QObject *value = get_as_json(obj, name, json_type_boolean, "boolean", errp);
    bool ret = value && json_object_get_boolean(value);

    json_object_put(value);
    return ret;
}

int64_t object_property_get_int(Object *obj, const char *name, Error **errp)
{
    QObject *value = get_as_json(obj, name, json_type_int, "int", errp);
    int64_t ret = value ? json_object_get_int64(value) : -1;

    json_object_put(value);
    return ret;
}

uint64_t object_property_get_uint(Object *obj, const char *name, Error **errp)
{
    QObject *value = get_as_json(obj, name, json_type_int, "uint", errp);
    uint64_t ret = value ? json_object_get_uint64(value) : 0;

    json_object_put(value);
    return ret;
}

Object *object_property_get_link(Object *obj, const char *name, Error **errp)
{
    g_autofree char *path = object_property_get_str(obj, name, errp);
    Object *target;

    if (!path || !*path) {
        return NULL;
    }
    target = object_resolve_path(path, NULL);
    if (!target) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return target;
}

char *object_property_print(Object *obj, const char *name, bool human, Error **errp)
{
    char *string = NULL;
    Visitor *v = string_output_visitor_new(human, &string);

    if (object_property_get(obj, name, v, errp)) {
        visit_complete(v, &string);
    }
    visit_free(v);
    return string;
}

const char *object_property_get_type(Object *obj, const char *name, Error **errp)
{
    ObjectProperty *prop = object_property_find_err(obj, name, errp);

    return prop ? prop->type : NULL;
}

/* ---- descriptions and defaults -------------------------------------------------------- */

static void set_description(ObjectProperty *prop, const char *description)
{
    g_free(prop->description);
    prop->description = g_strdup(description);
}

void object_property_set_description(Object *obj, const char *name, const char *description)
{
    set_description(object_property_find_err(obj, name, &error_abort), description);
}

void object_class_property_set_description(ObjectClass *klass, const char *name,
                                           const char *description)
{
    set_description(object_class_property_find_err(klass, name, &error_abort), description);
}

static void apply_default(Object *obj, ObjectProperty *prop)
{
    Visitor *v = qobject_input_visitor_new(prop->defval);

    object_property_set(obj, prop->name, v, &error_abort);
    visit_free(v);
}

/* Takes @value. */
static void set_default(ObjectProperty *prop, QObject *value)
{
    g_assert(!prop->defval && !prop->init);
    prop->defval = value;
    prop->init = apply_default;
}

void object_property_set_default_bool(ObjectProperty *prop, bool value)
{
    set_default(prop, json_object_new_boolean(value));
}

void object_property_set_default_str(ObjectProperty *prop, const char *value)
{
    set_default(prop, json_object_new_string(value));
}

void object_property_set_default_list(ObjectProperty *prop)
{
    set_default(prop, json_object_new_array());
}

void object_property_set_default_int(ObjectProperty *prop, int64_t value)
{
    set_default(prop, json_object_new_int64(value));
}

void object_property_set_default_uint(ObjectProperty *prop, uint64_t value)
{
    set_default(prop, json_object_new_uint64(value));
}

char *object_property_help(const char *name, const char *type, QObject *defval,
                           const char *description)
{
    GString *line = g_string_new(NULL);
    size_t width = g_str_has_prefix(type, "link<") ? 0 : 24;

    g_string_append_printf(line, "  %s=<%s>", name, type);
    if (description || defval) {
        while (line->len < width) {
            g_string_append_c(line, ' ');
        }
        g_string_append(line, " -");
    }
    if (description) {
        g_string_append_printf(line, " %s", description);
    }
    if (defval) {
        g_string_append_printf(line, " (default: %s)",
                               json_object_to_json_string_ext(defval, JSON_C_TO_STRING_PLAIN));
    }
    return g_string_free(line, FALSE);
}

static gint compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool type_print_class_properties(const char *type)
{
    ObjectClass *klass = object_class_by_name(type);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    ObjectPropertyIterator iter;
    ObjectProperty *prop;

    if (!klass) {
        return false;
    }
    object_class_property_iter_init(&iter, klass);
    while ((prop = object_property_iter_next(&iter))) {
        if (prop->set) {
            g_ptr_array_add(lines, object_property_help(prop->name, prop->type, prop->defval,
                                                        prop->description));
        }
    }
    g_ptr_array_sort(lines, compare_lines);
    if (lines->len) {
        printf("%s options:\n", type);
    } else {
        printf("There are no options for %s.\n", type);
    }
    for (guint i = 0; i < lines->len; i++) {
        printf("%s\n", (char *)g_ptr_array_index(lines, i));
    }
    return lines->len > 0;
}
