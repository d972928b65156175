/*
 * Types and classes: the registry, how a class is derived from its parent's, interfaces, casts.
 *
 * A class is made when it is first asked for: a copy of its parent's class struct, on which
 * class_init then sets what differs. For each interface that a class implements there is a
 * struct of the interface's own class type (`InterfaceClass` first), copied from the parent
 * class's, or else from the interface's, so that class_init can override its methods.
 *
 * Casts compare names along the chain of parents, which is short, so they need no lock and no
 * table and may be made from any thread once the object exists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qom-internal.h"

static GHashTable *types;               /* name -> TypeImpl */
static int walking_types;               /* registering meanwhile would break the walk */

static void G_GNUC_PRINTF(1, 2) QEMU_NORETURN misuse(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("qom: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

/* ---- registry ------------------------------------------------------------------------- */

Type type_register(const TypeInfo *info)
{
    struct TypeImpl *ti;
    size_t n = 0;

    if (!types) {
        types = g_hash_table_new(g_str_hash, g_str_equal);
    }
    if (!info->name || g_hash_table_contains(types, info->name)) {
        misuse("type '%s' is registered twice", info->name ?: "(no name)");
    }
    if (walking_types) {
        misuse("type '%s' is registered while types are being listed", info->name);
    }

    ti = g_new0(struct TypeImpl, 1);
    ti->name = g_strdup(info->name);
    ti->parent = g_strdup(info->parent);
    ti->instance_size = info->instance_size;
    ti->instance_align = info->instance_align;
    ti->class_size = info->class_size;
    ti->instance_init = info->instance_init;
    ti->instance_post_init = info->instance_post_init;
    ti->instance_finalize = info->instance_finalize;
    ti->class_init = info->class_init;
    ti->class_base_init = info->class_base_init;
    ti->class_data = info->class_data;
    ti->abstract = info->abstract;

    while (info->interfaces && info->interfaces[n].type) {
        n++;
    }
    ti->interfaces = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        ti->interfaces[i] = g_strdup(info->interfaces[i].type);
    }

    g_hash_table_insert(types, ti->name, ti);
    return ti;
}

Type type_register_static(const TypeInfo *info)
{
    return type_register(info);
}

void type_register_static_array(const TypeInfo *infos, int nr_infos)
{
    for (int i = 0; i < nr_infos; i++) {
        type_register(&infos[i]);
    }
}

Type qom_type_find(const char *name)
{
    return types && name ? g_hash_table_lookup(types, name) : NULL;
}

Type qom_type_parent(Type type)
{
    if (!type->parent_type && type->parent) {
        type->parent_type = qom_type_find(type->parent);
        if (!type->parent_type) {
            misuse("type '%s' has the unknown parent '%s'", type->name, type->parent);
        }
    }
    return type->parent_type;
}

/* Whether @type is @name or descends from it. */
static bool type_is_a(Type type, const char *name)
{
    for (; type; type = qom_type_parent(type)) {
        if (type->name == name || strcmp(type->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- making classes ------------------------------------------------------------------- */

static InterfaceClass *class_find_interface(ObjectClass *klass, const char *name)
{
    for (GSList *l = klass->interfaces; l; l = l->next) {
        InterfaceClass *ic = l->data;

        if (type_is_a(ic->interface_type, name)) {
            return ic;
        }
    }
    return NULL;
}

/* @template is the interface class that the new one starts as a copy of. */
static void class_add_interface(ObjectClass *klass, Type itype, const InterfaceClass *template)
{
    InterfaceClass *ic = g_malloc0(itype->class_size);

    memcpy(ic, template, itype->class_size);
    ic->parent_class.interfaces = NULL;
    ic->parent_class.properties = qom_property_table_new();
    ic->concrete_class = klass;
    ic->interface_type = itype;
    klass->interfaces = g_slist_append(klass->interfaces, ic);
}

static void make_class(Type type)
{
    Type parent = qom_type_parent(type);
    ObjectClass *klass;

    if (parent) {
        qom_type_initialize(parent);
        type->class_size = type->class_size ?: parent->class_size;
        type->instance_size = type->instance_size ?: parent->instance_size;
        type->instance_align = MAX(type->instance_align, parent->instance_align);
        if (type->class_size < parent->class_size ||
            type->instance_size < parent->instance_size) {
            misuse("type '%s' is smaller than its parent '%s'", type->name, parent->name);
        }
    }
    type->class_size = MAX(type->class_size, sizeof(ObjectClass));
    if (type_is_a(type, TYPE_INTERFACE)) {
        type->abstract = true;
    } else if (type->instance_size == 0) {
        type->abstract = true;
    }

    klass = type->class = g_malloc0(type->class_size);
    if (parent) {
        memcpy(klass, parent->class, parent->class_size);
    }
    klass->type = type;
    klass->properties = qom_property_table_new();
    klass->interfaces = NULL;

    if (parent) {
        for (GSList *l = parent->class->interfaces; l; l = l->next) {
            InterfaceClass *ic = l->data;
            class_add_interface(klass, ic->interface_type, ic);
        }
    }
    for (char **name = type->interfaces; *name; name++) {
        Type itype = qom_type_find(*name);

        if (!itype || !type_is_a(itype, TYPE_INTERFACE)) {
            misuse("type '%s' implements '%s', which is no interface", type->name, *name);
        }
        if (!class_find_interface(klass, *name)) {
            qom_type_initialize(itype);
            class_add_interface(klass, itype, (InterfaceClass *)itype->class);
        }
    }

    for (Type t = parent; t; t = qom_type_parent(t)) {
        if (t->class_base_init) {
            t->class_base_init(klass, type->class_data);
        }
    }
    if (type->class_init) {
        type->class_init(klass, type->class_data);
    }
}

/*
 * Channels are made by threads of their own, so the first use of a type may come from any; the lock
 * is recursive because class_init may ask for other classes, or for its own.
 */
void qom_type_initialize(Type type)
{
    static GRecMutex lock;

    if (qatomic_load_acquire(&type->ready)) {
        return;
    }
    g_rec_mutex_lock(&lock);
    if (!type->class) {
        make_class(type);
        qatomic_store_release(&type->ready, true);
    }
    g_rec_mutex_unlock(&lock);
}

/* ---- asking --------------------------------------------------------------------------- */

ObjectClass *object_class_by_name(const char *typename)
{
    Type type = qom_type_find(typename);

    if (!type) {
        return NULL;
    }
    qom_type_initialize(type);
    return type->class;
}

ObjectClass *module_object_class_by_name(const char *typename)
{
    return object_class_by_name(typename);
}

ObjectClass *object_class_get_parent(ObjectClass *klass)
{
    Type parent = qom_type_parent(klass->type);

    if (!parent) {
        return NULL;
    }
    qom_type_initialize(parent);
    return parent->class;
}

const char *object_class_get_name(ObjectClass *klass)
{
    return klass->type->name;
}

bool object_class_is_abstract(ObjectClass *klass)
{
    return klass->type->abstract;
}

ObjectClass *object_class_dynamic_cast(ObjectClass *klass, const char *typename)
{
    InterfaceClass *found = NULL;

    if (!klass) {
        return NULL;
    }
    if (type_is_a(klass->type, typename)) {
        return klass;
    }
    for (GSList *l = klass->interfaces; l; l = l->next) {
        InterfaceClass *ic = l->data;

        if (type_is_a(ic->interface_type, typename)) {
            if (found) {
                return NULL;            /* two of them: which is meant? */
            }
            found = ic;
        }
    }
    return (ObjectClass *)found;
}

ObjectClass *object_class_dynamic_cast_assert(ObjectClass *klass, const char *typename,
                                              const char *file, int line, const char *func)
{
    ObjectClass *ret = object_class_dynamic_cast(klass, typename);

    if (!ret && klass) {
        misuse("%s:%d:%s: class %s is not a %s", file, line, func, klass->type->name, typename);
    }
    return ret;
}

Object *object_dynamic_cast(Object *obj, const char *typename)
{
    return obj && object_class_dynamic_cast(obj->class, typename) ? obj : NULL;
}

Object *object_dynamic_cast_assert(Object *obj, const char *typename, const char *file, int line,
                                   const char *func)
{
    /* Two interfaces that share an ancestor make the class ambiguous, but not the object. */
    if (obj && !type_is_a(obj->class->type, typename) &&
        !class_find_interface(obj->class, typename)) {
        misuse("%s:%d:%s: object %p is a %s, not a %s", file, line, func, (void *)obj,
               obj->class->type->name, typename);
    }
    return obj;
}

/* ---- listing -------------------------------------------------------------------------- */

void object_class_foreach(void (*fn)(ObjectClass *klass, void *opaque),
                          const char *implements_type, bool include_abstract, void *opaque)
{
    GHashTableIter iter;
    gpointer value;

    if (!types) {
        return;
    }
    walking_types++;
    g_hash_table_iter_init(&iter, types);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Type type = value;

        qom_type_initialize(type);
        if ((include_abstract || !type->abstract) &&
            (!implements_type || type_is_a(type, implements_type) ||
             class_find_interface(type->class, implements_type))) {
            fn(type->class, opaque);
        }
    }
    walking_types--;
}

static void collect_class(ObjectClass *klass, void *opaque)
{
    GSList **list = opaque;

    *list = g_slist_prepend(*list, klass);
}

GSList *object_class_get_list(const char *implements_type, bool include_abstract)
{
    GSList *list = NULL;

    object_class_foreach(collect_class, implements_type, include_abstract, &list);
    return list;
}

static gint compare_class_names(gconstpointer a, gconstpointer b)
{
    return g_ascii_strcasecmp(object_class_get_name((ObjectClass *)a),
                              object_class_get_name((ObjectClass *)b));
}

GSList *object_class_get_list_sorted(const char *implements_type, bool include_abstract)
{
    return g_slist_sort(object_class_get_list(implements_type, include_abstract),
                        compare_class_names);
}

/* ---- the types that everything starts from -------------------------------------------- */

static char *object_get_type_name(Object *obj, Error **errp)
{
    return g_strdup(object_get_typename(obj));
}

static void object_class_init(ObjectClass *klass, void *data)
{
    object_class_property_add_str(klass, "type", object_get_type_name, NULL);
}

static void register_root_types(void)
{
    static const TypeInfo interface = {
        .name = TYPE_INTERFACE,
        .class_size = sizeof(InterfaceClass),
        .abstract = true,
    };
    static const TypeInfo object = {
        .name = TYPE_OBJECT,
        .instance_size = sizeof(Object),
        .class_size = sizeof(ObjectClass),
        .class_init = object_class_init,
        .abstract = true,
    };
    static const TypeInfo container = {
        .name = TYPE_CONTAINER,
        .parent = TYPE_OBJECT,
    };

    type_register_static(&interface);
    type_register_static(&object);
    type_register_static(&container);
}
type_init(register_root_types)
