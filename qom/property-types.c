/*
 * Properties of common types: text, bool, enum, time, integers in memory, aliases.
 *
 * For each type there is a small record of the owner's functions (the property's opaque), one
 * accessor either way, and an adder for objects and one for classes. A class's record lives for
 * ever; an object's goes with the property.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qom-internal.h"

static void release_record(Object *obj, const char *name, void *opaque)
{
    g_free(opaque);
}

/* ---- text ----------------------------------------------------------------------------- */

typedef struct StringProperty {
    char *(*get)(Object *, Error **);
    void (*set)(Object *, const char *, Error **);
} StringProperty;

static void string_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    StringProperty *prop = opaque;
    Error *err = NULL;
    char *value = prop->get(obj, &err);

    if (err) {
        error_propagate(errp, err);
    } else {
        value = value ?: g_strdup("");
        visit_type_str(v, name, &value, errp);
    }
    g_free(value);
}

static void string_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    StringProperty *prop = opaque;
    g_autofree char *value = NULL;

    if (visit_type_str(v, name, &value, errp)) {
        prop->set(obj, value, errp);
    }
}

static StringProperty *string_record(char *(*get)(Object *, Error **),
                                     void (*set)(Object *, const char *, Error **))
{
    StringProperty *prop = g_new0(StringProperty, 1);

    prop->get = get;
    prop->set = set;
    return prop;
}

ObjectProperty *object_property_add_str(Object *obj, const char *name,
                                        char *(*get)(Object *, Error **),
                                        void (*set)(Object *, const char *, Error **))
{
    return object_property_add(obj, name, "string", get ? string_get : NULL,
                               set ? string_set : NULL, release_record,
                               string_record(get, set));
}

ObjectProperty *object_class_property_add_str(ObjectClass *klass, const char *name,
                                              char *(*get)(Object *, Error **),
                                              void (*set)(Object *, const char *, Error **))
{
    return object_class_property_add(klass, name, "string", get ? string_get : NULL,
                                     set ? string_set : NULL, NULL, string_record(get, set));
}

/* ---- bool ----------------------------------------------------------------------------- */

typedef struct BoolProperty {
    bool (*get)(Object *, Error **);
    void (*set)(Object *, bool, Error **);
} BoolProperty;

static void bool_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    BoolProperty *prop = opaque;
    Error *err = NULL;
    bool value = prop->get(obj, &err);

    if (err) {
        error_propagate(errp, err);
        return;
    }
    visit_type_bool(v, name, &value, errp);
}

static void bool_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    BoolProperty *prop = opaque;
    bool value;

    if (visit_type_bool(v, name, &value, errp)) {
        prop->set(obj, value, errp);
    }
}

static BoolProperty *bool_record(bool (*get)(Object *, Error **),
                                 void (*set)(Object *, bool, Error **))
{
    BoolProperty *prop = g_new0(BoolProperty, 1);

    prop->get = get;
    prop->set = set;
    return prop;
}

ObjectProperty *object_property_add_bool(Object *obj, const char *name,
                                         bool (*get)(Object *, Error **),
                                         void (*set)(Object *, bool, Error **))
{
    return object_property_add(obj, name, "bool", get ? bool_get : NULL, set ? bool_set : NULL,
                               release_record, bool_record(get, set));
}

ObjectProperty *object_class_property_add_bool(ObjectClass *klass, const char *name,
                                               bool (*get)(Object *, Error **),
                                               void (*set)(Object *, bool, Error **))
{
    return object_class_property_add(klass, name, "bool", get ? bool_get : NULL,
                                     set ? bool_set : NULL, NULL, bool_record(get, set));
}

/* ---- enum ----------------------------------------------------------------------------- */

typedef struct EnumProperty {
    const QEnumLookup *lookup;
    int (*get)(Object *, Error **);
    void (*set)(Object *, int, Error **);
} EnumProperty;

static void enum_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    EnumProperty *prop = opaque;
    Error *err = NULL;
    int value = prop->get(obj, &err);

    if (err) {
        error_propagate(errp, err);
        return;
    }
    visit_type_enum(v, name, &value, prop->lookup, errp);
}

static void enum_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    EnumProperty *prop = opaque;
    int value;

    if (visit_type_enum(v, name, &value, prop->lookup, errp)) {
        prop->set(obj, value, errp);
    }
}

static EnumProperty *enum_record(const QEnumLookup *lookup, int (*get)(Object *, Error **),
                                 void (*set)(Object *, int, Error **))
{
    EnumProperty *prop = g_new0(EnumProperty, 1);

    prop->lookup = lookup;
    prop->get = get;
    prop->set = set;
    return prop;
}

ObjectProperty *object_property_add_enum(Object *obj, const char *name, const char *typename,
                                         const QEnumLookup *lookup,
                                         int (*get)(Object *, Error **),
                                         void (*set)(Object *, int, Error **))
{
    return object_property_add(obj, name, typename, get ? enum_get : NULL, set ? enum_set : NULL,
                               release_record, enum_record(lookup, get, set));
}

ObjectProperty *object_class_property_add_enum(ObjectClass *klass, const char *name,
                                               const char *typename, const QEnumLookup *lookup,
                                               int (*get)(Object *, Error **),
                                               void (*set)(Object *, int, Error **))
{
    return object_class_property_add(klass, name, typename, get ? enum_get : NULL,
                                     set ? enum_set : NULL, NULL, enum_record(lookup, get, set));
}

int object_property_get_enum(Object *obj, const char *name, const char *typename, Error **errp)
{
    ObjectProperty *prop = object_property_find_err(obj, name, errp);
    g_autofree char *text = NULL;

    if (!prop) {
        return -1;
    }
    if (strcmp(prop->type, typename) != 0 || prop->get != enum_get) {
        error_setg(errp, "Property %s on %s is not '%s' enum type", name,
                   object_get_typename(obj), typename);
        return -1;
    }
    text = object_property_get_str(obj, name, errp);
    return text ? qapi_enum_parse(((EnumProperty *)prop->opaque)->lookup, text, -1, errp) : -1;
}

/* ---- time ----------------------------------------------------------------------------- */

typedef struct TMProperty {
    void (*get)(Object *, struct tm *, Error **);
} TMProperty;

static void tm_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    static const struct {
        const char *name;
        size_t offset;
        int bias;                       /* the field counts from here */
    } fields[] = {
        { "tm_year", offsetof(struct tm, tm_year), 0 },
        { "tm_mon", offsetof(struct tm, tm_mon), 0 },
        { "tm_mday", offsetof(struct tm, tm_mday), 0 },
        { "tm_hour", offsetof(struct tm, tm_hour), 0 },
        { "tm_min", offsetof(struct tm, tm_min), 0 },
        { "tm_sec", offsetof(struct tm, tm_sec), 0 },
    };
    TMProperty *prop = opaque;
    Error *err = NULL;
    struct tm value = { 0 };

    prop->get(obj, &value, &err);
    if (err) {
        error_propagate(errp, err);
        return;
    }
    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        int32_t n = *(int *)((char *)&value + fields[i].offset) + fields[i].bias;

        if (!visit_type_int32(v, fields[i].name, &n, errp)) {
            break;
        }
    }
    visit_end_struct(v, NULL);
}

ObjectProperty *object_property_add_tm(Object *obj, const char *name,
                                       void (*get)(Object *, struct tm *, Error **))
{
    TMProperty *prop = g_new0(TMProperty, 1);

    prop->get = get;
    return object_property_add(obj, name, "struct tm", get ? tm_get : NULL, NULL, release_record,
                               prop);
}

ObjectProperty *object_class_property_add_tm(ObjectClass *klass, const char *name,
                                             void (*get)(Object *, struct tm *, Error **))
{
    TMProperty *prop = g_new0(TMProperty, 1);

    prop->get = get;
    return object_class_property_add(klass, name, "struct tm", get ? tm_get : NULL, NULL, NULL,
                                     prop);
}

/* ---- integers in memory --------------------------------------------------------------- */

#define DEFINE_INTEGER_AT_POINTER(bits) \
    static void uint##bits##_ptr_get(Object *obj, Visitor *v, const char *name, void *opaque, \
                                     Error **errp) \
    { \
        uint##bits##_t value = *(uint##bits##_t *)opaque; \
        visit_type_uint##bits(v, name, &value, errp); \
    } \
    static void uint##bits##_ptr_set(Object *obj, Visitor *v, const char *name, void *opaque, \
                                     Error **errp) \
    { \
        uint##bits##_t value; \
        if (visit_type_uint##bits(v, name, &value, errp)) { \
            *(uint##bits##_t *)opaque = value; \
        } \
    } \
    ObjectProperty *object_property_add_uint##bits##_ptr(Object *obj, const char *name, \
                                                         const uint##bits##_t *v, \
                                                         ObjectPropertyFlags flags) \
    { \
        return object_property_add(obj, name, "uint" #bits, \
                                   flags & OBJ_PROP_FLAG_READ ? uint##bits##_ptr_get : NULL, \
                                   flags & OBJ_PROP_FLAG_WRITE ? uint##bits##_ptr_set : NULL, \
                                   NULL, (void *)v); \
    } \
    ObjectProperty *object_class_property_add_uint##bits##_ptr(ObjectClass *klass, \
                                                               const char *name, \
                                                               const uint##bits##_t *v, \
                                                               ObjectPropertyFlags flags) \
    { \
        return object_class_property_add(klass, name, "uint" #bits, \
                                         flags & OBJ_PROP_FLAG_READ ? uint##bits##_ptr_get \
                                                                    : NULL, \
                                         flags & OBJ_PROP_FLAG_WRITE ? uint##bits##_ptr_set \
                                                                     : NULL, \
                                         NULL, (void *)v); \
    }

DEFINE_INTEGER_AT_POINTER(8)
DEFINE_INTEGER_AT_POINTER(16)
DEFINE_INTEGER_AT_POINTER(32)
DEFINE_INTEGER_AT_POINTER(64)

/* ---- aliases -------------------------------------------------------------------------- */

/* No reference is held: the target outlives its alias by contract (it is a child, mostly). */
typedef struct AliasProperty {
    Object *target;
    char *target_name;
} AliasProperty;

/*
 * The target's accessor works on the visitor's field @name, which is the alias's own; so a visitor
 * needs no renaming.
 */
static void alias_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    AliasProperty *alias = opaque;
    ObjectProperty *prop = object_property_find_err(alias->target, alias->target_name, errp);

    if (prop) {
        prop->get(alias->target, v, name, prop->opaque, errp);
    }
}

static void alias_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    AliasProperty *alias = opaque;
    ObjectProperty *prop = object_property_find_err(alias->target, alias->target_name, errp);

    if (prop) {
        prop->set(alias->target, v, name, prop->opaque, errp);
    }
}

static Object *alias_resolve(Object *obj, void *opaque, const char *part)
{
    AliasProperty *prop = opaque;

    return object_resolve_path_component(prop->target, prop->target_name);
}

static void alias_release(Object *obj, const char *name, void *opaque)
{
    AliasProperty *prop = opaque;

    g_free(prop->target_name);
    g_free(prop);
}

ObjectProperty *object_property_add_alias(Object *obj, const char *name, Object *target_obj,
                                          const char *target_name)
{
    ObjectProperty *target = object_property_find_err(target_obj, target_name, &error_abort);
    g_autofree char *type = NULL;
    AliasProperty *record;
    ObjectProperty *prop;

    /* Only one place is an object's home; seen through an alias, a child is a link. */
    if (qom_property_is_child(target)) {
        type = g_strdup_printf("link%s", target->type + strlen("child"));
    } else {
        type = g_strdup(target->type);
    }

    record = g_new0(AliasProperty, 1);
    record->target = target_obj;
    record->target_name = g_strdup(target_name);
    prop = object_property_add(obj, name, type, target->get ? alias_get : NULL,
                               target->set ? alias_set : NULL, alias_release, record);
    prop->resolve = alias_resolve;
    if (target->description) {
        object_property_set_description(obj, name, target->description);
    }
    return prop;
}
