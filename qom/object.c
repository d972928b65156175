/*
 * Instances: made, counted, finalized; defaults applied from global properties.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qom/object_interfaces.h"
#include "qom-internal.h"

ObjectClass *object_get_class(Object *obj)
{
    return obj->class;
}

const char *object_get_typename(const Object *obj)
{
    return obj->class->type->name;
}

/* ---- initialising --------------------------------------------------------------------- */

static void run_init(Object *obj, Type type)
{
    Type parent = qom_type_parent(type);

    if (parent) {
        run_init(obj, parent);
    }
    if (type->instance_init) {
        type->instance_init(obj);
    }
}

static void run_post_init(Object *obj, Type type)
{
    Type parent = qom_type_parent(type);

    if (parent) {
        run_post_init(obj, parent);
    }
    if (type->instance_post_init) {
        type->instance_post_init(obj);
    }
}

static void initialize_as(Object *obj, size_t size, Type type)
{
    qom_type_initialize(type);
    g_assert(!type->abstract);
    g_assert(type->instance_size >= sizeof(Object));
    g_assert(size >= type->instance_size);

    memset(obj, 0, type->instance_size);
    obj->class = type->class;
    obj->ref = 1;
    obj->properties = qom_property_table_new();
    qom_properties_set_defaults(obj);
    run_init(obj, type);
    run_post_init(obj, type);
}

static Type type_or_die(const char *typename)
{
    Type type = qom_type_find(typename);

    if (!type) {
        error_report("there is no object type '%s'", typename);
        abort();
    }
    return type;
}

void object_initialize(void *obj, size_t size, const char *typename)
{
    initialize_as(obj, size, type_or_die(typename));
}

static Object *new_of_type(Type type)
{
    Object *obj;

    qom_type_initialize(type);
    if (type->instance_align <= __alignof__(max_align_t)) {
        obj = g_malloc(type->instance_size);
        initialize_as(obj, type->instance_size, type);
        obj->free = g_free;
    } else {
        obj = qemu_memalign(type->instance_align, type->instance_size);
        initialize_as(obj, type->instance_size, type);
        obj->free = qemu_vfree;
    }
    return obj;
}

Object *object_new_with_class(ObjectClass *klass)
{
    return new_of_type(klass->type);
}

Object *object_new(const char *typename)
{
    return new_of_type(type_or_die(typename));
}

/* ---- with properties ------------------------------------------------------------------ */

bool object_set_propv(Object *obj, Error **errp, va_list vargs)
{
    const char *name;

    while ((name = va_arg(vargs, const char *))) {
        const char *value = va_arg(vargs, const char *);

        if (!object_property_parse(obj, name, value, errp)) {
            return false;
        }
    }
    return true;
}

bool object_set_props(Object *obj, Error **errp, ...)
{
    va_list vargs;
    bool ok;

    va_start(vargs, errp);
    ok = object_set_propv(obj, errp, vargs);
    va_end(vargs);
    return ok;
}

/* The tail that making with properties has in common; on failure the object is out of the tree. */
static bool finish_with_propv(Object *obj, Object *parent, const char *id, Error **errp,
                              va_list vargs)
{
    UserCreatable *uc;

    if (!object_set_propv(obj, errp, vargs)) {
        return false;
    }
    if (id && !object_property_try_add_child(parent, id, obj, errp)) {
        return false;
    }
    uc = (UserCreatable *)object_dynamic_cast(obj, TYPE_USER_CREATABLE);
    if (uc && !user_creatable_complete(uc, errp)) {
        if (id) {
            object_unparent(obj);
        }
        return false;
    }
    return true;
}

Object *object_new_with_propv(const char *typename, Object *parent, const char *id,
                              Error **errp, va_list vargs)
{
    ObjectClass *klass = object_class_by_name(typename);
    Object *obj;

    if (!klass) {
        error_setg(errp, "invalid object type: %s", typename);
        return NULL;
    }
    if (object_class_is_abstract(klass)) {
        error_setg(errp, "object type '%s' is abstract", typename);
        return NULL;
    }
    obj = object_new_with_class(klass);
    if (!finish_with_propv(obj, parent, id, errp, vargs)) {
        object_unref(obj);
        return NULL;
    }
    if (id) {
        object_unref(obj);              /* the tree's reference remains */
    }
    return obj;
}

Object *object_new_with_props(const char *typename, Object *parent, const char *id,
                              Error **errp, ...)
{
    va_list vargs;
    Object *obj;

    va_start(vargs, errp);
    obj = object_new_with_propv(typename, parent, id, errp, vargs);
    va_end(vargs);
    return obj;
}

bool object_initialize_child_with_propsv(Object *parent, const char *propname, void *childobj,
                                         size_t size, const char *type, Error **errp,
                                         va_list vargs)
{
    Object *obj = childobj;
    bool ok;

    object_initialize(childobj, size, type);
    ok = finish_with_propv(obj, parent, propname, errp, vargs);
    object_unref(obj);                  /* the tree's reference remains, if it got that far */
    return ok;
}

bool object_initialize_child_with_props(Object *parent, const char *propname, void *childobj,
                                        size_t size, const char *type, Error **errp, ...)
{
    va_list vargs;
    bool ok;

    va_start(vargs, errp);
    ok = object_initialize_child_with_propsv(parent, propname, childobj, size, type, errp, vargs);
    va_end(vargs);
    return ok;
}

void object_initialize_child_internal(Object *parent, const char *propname, void *child,
                                      size_t size, const char *type)
{
    object_initialize(child, size, type);
    object_property_add_child(parent, propname, OBJECT(child));
    object_unref(child);
}

/* ---- references ----------------------------------------------------------------------- */

static void object_finalize(Object *obj)
{
    qom_properties_release_all(obj);
    for (Type t = obj->class->type; t; t = qom_type_parent(t)) {
        if (t->instance_finalize) {
            t->instance_finalize(obj);
        }
    }
    g_assert(!obj->parent);
    g_hash_table_unref(obj->properties);
    obj->properties = NULL;
    if (obj->free) {
        obj->free(obj);
    }
}

Object *object_ref(void *objptr)
{
    Object *obj = objptr;

    if (obj) {
        uint32_t before = __atomic_fetch_add(&obj->ref, 1, __ATOMIC_RELAXED);
        g_assert(before > 0);
    }
    return obj;
}

void object_unref(void *objptr)
{
    Object *obj = objptr;

    if (obj) {
        uint32_t before = __atomic_fetch_sub(&obj->ref, 1, __ATOMIC_ACQ_REL);
        g_assert(before > 0);
        if (before == 1) {
            object_finalize(obj);
        }
    }
}

/* ---- defaults from outside ------------------------------------------------------------ */

bool object_apply_global_props(Object *obj, const GPtrArray *props, Error **errp)
{
    if (!props) {
        return true;
    }
    for (guint i = 0; i < props->len; i++) {
        GlobalProperty *p = g_ptr_array_index(props, i);
        Error *err = NULL;

        if (!object_dynamic_cast(obj, p->driver)) {
            continue;
        }
        if (p->optional && !object_property_find(obj, p->property)) {
            continue;
        }
        p->used = true;
        if (!object_property_parse(obj, p->property, p->value, &err)) {
            error_prepend(&err, "can't apply global %s.%s=%s: ", p->driver, p->property,
                          p->value);
            error_propagate(errp, err);
            return false;
        }
    }
    return true;
}

/* In the order in which they are applied: what the accelerator wants, then the machine. */
static GPtrArray *compat_props[2];

void object_set_accelerator_compat_props(GPtrArray *props)
{
    compat_props[0] = props;
}

void object_set_machine_compat_props(GPtrArray *props)
{
    compat_props[1] = props;
}

void object_apply_compat_props(Object *obj)
{
    for (size_t i = 0; i < ARRAY_SIZE(compat_props); i++) {
        object_apply_global_props(obj, compat_props[i],
                                  i == 0 ? &error_abort : &error_fatal);
    }
}
