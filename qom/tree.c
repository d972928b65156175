/*
 * The tree: children, links, canonical paths, and finding objects by path.
 *
 * A child property owns a reference; its name is the object's name. A link names an object
 * elsewhere. Both resolve, so paths may run through either; canonical paths run through
 * children alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom-internal.h"

#define CHILD_PREFIX "child<"

/* A path from outside may have any number of parts; what it can lead through may not. */
#define PARTIAL_PATH_MAX_DEPTH 64

/* ---- children ------------------------------------------------------------------------- */

bool qom_property_is_child(const ObjectProperty *prop)
{
    return g_str_has_prefix(prop->type, CHILD_PREFIX);
}

static void child_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    g_autofree char *path = object_get_canonical_path(opaque);

    path = path ?: g_strdup("");
    visit_type_str(v, name, &path, errp);
}

static Object *child_resolve(Object *parent, void *opaque, const char *part)
{
    return opaque;
}

static void child_release(Object *obj, const char *name, void *opaque)
{
    Object *child = opaque;

    if (child->class->unparent) {
        child->class->unparent(child);
    }
    child->parent = NULL;
    object_unref(child);
}

ObjectProperty *object_property_try_add_child(Object *obj, const char *name, Object *child,
                                              Error **errp)
{
    g_autofree char *type = NULL;
    ObjectProperty *prop;

    g_assert(!child->parent);
    type = g_strdup_printf(CHILD_PREFIX "%s>", object_get_typename(child));
    prop = object_property_try_add(obj, name, type, child_get, NULL, child_release, child, errp);
    if (!prop) {
        return NULL;
    }
    prop->resolve = child_resolve;
    object_ref(child);
    child->parent = obj;
    return prop;
}

ObjectProperty *object_property_add_child(Object *obj, const char *name, Object *child)
{
    return object_property_try_add_child(obj, name, child, &error_abort);
}

Object *object_property_add_new_container(Object *obj, const char *name)
{
    Object *child = object_new(TYPE_CONTAINER);

    object_property_add_child(obj, name, child);
    object_unref(child);
    return child;
}

static ObjectProperty *property_of_child(const Object *child)
{
    GHashTableIter iter;
    gpointer value;

    if (!child->parent) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, child->parent->properties);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ObjectProperty *prop = value;

        if (prop->opaque == child && qom_property_is_child(prop)) {
            return prop;
        }
    }
    return NULL;
}

void object_unparent(Object *obj)
{
    ObjectProperty *prop = property_of_child(obj);

    if (prop) {
        object_property_del(obj->parent, prop->name);
    }
}

typedef int ChildFunc(Object *child, void *opaque);

static int foreach_child(Object *obj, ChildFunc *fn, void *opaque, bool recurse)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(object_unref);
    GHashTableIter iter;
    gpointer value;
    int ret = 0;

    /* A copy that holds references: @fn may change the tree. */
    g_hash_table_iter_init(&iter, obj->properties);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ObjectProperty *prop = value;

        if (qom_property_is_child(prop)) {
            g_ptr_array_add(children, object_ref(prop->opaque));
        }
    }
    for (guint i = 0; i < children->len && ret == 0; i++) {
        Object *child = g_ptr_array_index(children, i);

        if (child->parent != obj) {
            continue;                   /* it went meanwhile */
        }
        ret = fn(child, opaque);
        if (ret == 0 && recurse) {
            ret = foreach_child(child, fn, opaque, true);
        }
    }
    return ret;
}

int object_child_foreach(Object *obj, int (*fn)(Object *child, void *opaque), void *opaque)
{
    return foreach_child(obj, fn, opaque, false);
}

int object_child_foreach_recursive(Object *obj, int (*fn)(Object *child, void *opaque),
                                   void *opaque)
{
    return foreach_child(obj, fn, opaque, true);
}

/* ---- links ---------------------------------------------------------------------------- */

typedef struct LinkProperty {
    union {
        Object **targetp;
        Object *target;                 /* OBJ_PROP_LINK_DIRECT */
        ptrdiff_t offset;               /* OBJ_PROP_LINK_CLASS */
    };
    void (*check)(const Object *obj, const char *name, Object *val, Error **errp);
    ObjectPropertyLinkFlags flags;
    char *type;                         /* what it may point to */
} LinkProperty;

void object_property_allow_set_link(const Object *obj, const char *name, Object *val,
                                    Error **errp)
{
}

static Object **link_slot(Object *obj, LinkProperty *link)
{
    if (link->flags & OBJ_PROP_LINK_DIRECT) {
        return &link->target;
    }
    if (link->flags & OBJ_PROP_LINK_CLASS) {
        return (Object **)((char *)obj + link->offset);
    }
    return link->targetp;
}

static void link_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    Object *target = *link_slot(obj, opaque);
    g_autofree char *path = target ? object_get_canonical_path(target) : NULL;

    path = path ?: g_strdup("");
    visit_type_str(v, name, &path, errp);
}

/* The object at @path if it is of the type @want, as the link @name needs. */
static Object *link_find_target(const char *want, const char *name, const char *path,
                                Error **errp)
{
    bool ambiguous = false;
    Object *target = object_resolve_path_type(path, want, &ambiguous);

    if (target) {
        return target;
    }
    if (ambiguous) {
        error_setg(errp, "Path '%s' does not uniquely identify an object", path);
    } else if (object_resolve_path(path, &ambiguous) || ambiguous) {
        error_setg(errp, "Invalid parameter type for '%s', expected: %s", name, want);
    } else {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return NULL;
}

static void link_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    LinkProperty *link = opaque;
    Object **slot = link_slot(obj, link);
    Object *old = *slot;
    Object *target = NULL;
    g_autofree char *path = NULL;
    Error *err = NULL;

    if (!visit_type_str(v, name, &path, errp)) {
        return;
    }
    if (*path) {
        target = link_find_target(link->type, name, path, errp);
        if (!target) {
            return;
        }
    }
    link->check(obj, name, target, &err);
    if (err) {
        error_propagate(errp, err);
        return;
    }
    *slot = target;
    if (link->flags & OBJ_PROP_LINK_STRONG) {
        object_ref(target);
        object_unref(old);
    }
}

static Object *link_resolve(Object *obj, void *opaque, const char *part)
{
    return *link_slot(obj, opaque);
}

static void link_release(Object *obj, const char *name, void *opaque)
{
    LinkProperty *link = opaque;
    Object **slot = link_slot(obj, link);

    if ((link->flags & OBJ_PROP_LINK_STRONG) && *slot) {
        object_unref(*slot);
        *slot = NULL;
    }
    if (!(link->flags & OBJ_PROP_LINK_CLASS)) {
        g_free(link->type);
        g_free(link);
    }
}

static ObjectProperty *add_link(Object *obj, const char *name, const char *type,
                                LinkProperty record)
{
    g_autofree char *full_type = g_strdup_printf("link<%s>", type);
    LinkProperty *link = g_memdup2(&record, sizeof(record));
    ObjectProperty *prop = object_property_add(obj, name, full_type, link_get,
                                               record.check ? link_set : NULL, link_release,
                                               link);

    link->type = g_strdup(type);
    prop->resolve = link_resolve;
    return prop;
}

ObjectProperty *object_property_add_link(Object *obj, const char *name, const char *type,
                                         Object **targetp,
                                         void (*check)(const Object *obj, const char *name,
                                                       Object *val, Error **errp),
                                         ObjectPropertyLinkFlags flags)
{
    return add_link(obj, name, type, (LinkProperty) {
        .targetp = targetp, .check = check, .flags = flags,
    });
}

ObjectProperty *object_property_add_const_link(Object *obj, const char *name, Object *target)
{
    return add_link(obj, name, object_get_typename(target), (LinkProperty) {
        .target = target, .flags = OBJ_PROP_LINK_DIRECT,
    });
}

ObjectProperty *object_class_property_add_link(ObjectClass *oc, const char *name,
                                               const char *type, ptrdiff_t offset,
                                               void (*check)(const Object *obj, const char *name,
                                                             Object *val, Error **errp),
                                               ObjectPropertyLinkFlags flags)
{
    g_autofree char *full_type = g_strdup_printf("link<%s>", type);
    LinkProperty *link = g_new0(LinkProperty, 1);
    ObjectProperty *prop;

    link->type = g_strdup(type);
    link->offset = offset;
    link->check = check;
    link->flags = flags | OBJ_PROP_LINK_CLASS;
    prop = object_class_property_add(oc, name, full_type, link_get, check ? link_set : NULL,
                                     link_release, link);
    prop->resolve = link_resolve;
    return prop;
}

/* ---- roots ---------------------------------------------------------------------------- */

Object *object_get_root(void)
{
    static const char *const containers[] = { "chardevs", "objects", "backend" };
    static Object *root;

    if (!root) {
        root = object_new(TYPE_CONTAINER);
        for (size_t i = 0; i < ARRAY_SIZE(containers); i++) {
            object_property_add_new_container(root, containers[i]);
        }
    }
    return root;
}

Object *object_get_container(const char *name)
{
    Object *container = object_resolve_path_component(object_get_root(), name);

    g_assert(object_dynamic_cast(container, TYPE_CONTAINER));
    return container;
}

Object *object_get_objects_root(void)
{
    return object_get_container("objects");
}

Object *object_ref_user_object(const char *id)
{
    Object *root = object_ref_child(object_get_root(), "objects");
    Object *obj = root ? object_ref_child(root, id) : NULL;

    object_unref(root);
    return obj;
}

Object *object_get_internal_root(void)
{
    static Object *internal_root;

    if (!internal_root) {
        internal_root = object_new(TYPE_CONTAINER);
    }
    return internal_root;
}

Object *container_get(Object *root, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 0);
    Object *obj = root;

    for (char **part = parts; *part; part++) {
        if (**part) {
            Object *child = object_resolve_path_component(obj, *part);

            obj = child ?: object_property_add_new_container(obj, *part);
        }
    }
    return obj;
}

/* ---- paths ---------------------------------------------------------------------------- */

const char *object_get_canonical_path_component(const Object *obj)
{
    ObjectProperty *prop = property_of_child(obj);

    return prop ? prop->name : NULL;
}

char *object_get_canonical_path(const Object *obj)
{
    const Object *root = object_get_root();
    g_autoptr(GPtrArray) names = g_ptr_array_new(); /* from the leaf up */
    GString *path;

    if (obj == root) {
        return g_strdup("/");
    }
    for (; obj != root; obj = obj->parent) {
        const char *name = obj ? object_get_canonical_path_component(obj) : NULL;

        if (!name) {
            return NULL;
        }
        g_ptr_array_add(names, (void *)name);
    }
    path = g_string_new(NULL);
    for (guint i = names->len; i-- > 0;) {
        g_string_append_c(path, '/');
        g_string_append(path, g_ptr_array_index(names, i));
    }
    return g_string_free(path, FALSE);
}

Object *object_resolve_path_component(Object *parent, const char *part)
{
    ObjectProperty *prop = object_property_find(parent, part);

    return prop && prop->resolve ? prop->resolve(parent, prop->opaque, part) : NULL;
}

/* From @parent along all of @parts (empty ones count for nothing), to a @typename. */
static Object *walk_path(Object *parent, char **parts, const char *typename)
{
    for (; parent && *parts; parts++) {
        if (**parts) {
            parent = object_resolve_path_component(parent, *parts);
        }
    }
    return object_dynamic_cast(parent, typename);
}

/* At @parent or anywhere below it; two different finds are one too many. */
static Object *search_partial(Object *parent, char **parts, const char *typename,
                              bool *ambiguous, int depth)
{
    Object *found = walk_path(parent, parts, typename);
    GHashTableIter iter;
    gpointer value;

    if (depth >= PARTIAL_PATH_MAX_DEPTH) {
        return found;
    }
    g_hash_table_iter_init(&iter, parent->properties);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        ObjectProperty *prop = value;
        Object *other;

        if (!qom_property_is_child(prop)) {
            continue;
        }
        other = search_partial(prop->opaque, parts, typename, ambiguous, depth + 1);
        if (*ambiguous) {
            return NULL;
        }
        if (other && found && other != found) {
            *ambiguous = true;
            return NULL;
        }
        found = found ?: other;
    }
    return found;
}

Object *object_resolve_path_type(const char *path, const char *typename, bool *ambiguous)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 0);
    bool is_ambiguous = false;
    Object *obj;

    if (path[0] == '/') {
        obj = walk_path(object_get_root(), parts, typename);
    } else {
        obj = search_partial(object_get_root(), parts, typename, &is_ambiguous, 0);
    }
    if (ambiguous) {
        *ambiguous = is_ambiguous;
    }
    return obj;
}

Object *object_resolve_path(const char *path, bool *ambiguous)
{
    return object_resolve_path_type(path, TYPE_OBJECT, ambiguous);
}

Object *object_resolve_type_unambiguous(const char *typename, Error **errp)
{
    bool ambiguous = false;
    Object *obj = object_resolve_path_type("", typename, &ambiguous);

    if (ambiguous) {
        error_setg(errp, "More than one object of type %s", typename);
    } else if (!obj) {
        error_setg(errp, "No object found of type %s", typename);
    }
    return obj;
}

Object *object_resolve_path_at(Object *parent, const char *path)
{
    g_auto(GStrv) parts = NULL;

    if (path[0] == '/') {
        return object_resolve_path(path, NULL);
    }
    parts = g_strsplit(path, "/", 0);
    return walk_path(parent, parts, TYPE_OBJECT);
}
