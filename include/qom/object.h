/*
 * The object model: types registered at start-up, single inheritance, interfaces, instances held
 * by reference counts, properties that speak through visitors, and one tree of named children.
 *
 * Relies on the visitors (qapi/visitor.h) and on nothing above floor 2.
 *
 * Ownership: object_new() hands the caller one reference. A child property takes a reference of
 * its own; an object lives until the last one is dropped. Classes live for ever.
 * Locking: reference counts are atomic; objects outside of the tree may be made, cast and dropped by
 * any thread; object_ref_child() finds one in the tree. Registering types belongs to start-up. Everything else (properties, the tree) belongs
 * to whoever holds the BQL, or to the main thread before other threads exist.
 * Errors: functions with `Error **errp` return false or NULL on failure and leave the object as
 * it was. Misuse by the program itself (unknown type name, wrong cast) aborts with a message.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_OBJECT_H
#define QOM_OBJECT_H

#include "qapi/error.h"
#include "qemu/module.h"

struct json_object;
typedef struct json_object QObject;
typedef struct Visitor Visitor;
typedef struct QEnumLookup QEnumLookup;

typedef struct TypeImpl *Type;
typedef struct TypeInfo TypeInfo;
typedef struct InterfaceClass InterfaceClass;
typedef struct InterfaceInfo InterfaceInfo;
typedef struct Object Object;
typedef struct ObjectClass ObjectClass;
typedef struct ObjectProperty ObjectProperty;
typedef struct GlobalProperty GlobalProperty;

#define TYPE_OBJECT "object"
#define TYPE_CONTAINER "container"
#define TYPE_INTERFACE "interface"

/* Get or set: @v is where the value goes to or comes from. */
typedef void (ObjectPropertyAccessor)(Object *obj, Visitor *v, const char *name, void *opaque,
                                      Error **errp);
/* The object that this property stands for, for path walking; NULL when there is none. */
typedef Object *(ObjectPropertyResolve)(Object *obj, void *opaque, const char *part);
/* The property goes away: free what @opaque holds. */
typedef void (ObjectPropertyRelease)(Object *obj, const char *name, void *opaque);
/* Runs for each new instance that has the (class) property; sets its default value. */
typedef void (ObjectPropertyInit)(Object *obj, ObjectProperty *prop);
typedef void (ObjectUnparent)(Object *obj);
typedef void (ObjectFree)(void *obj);

struct ObjectProperty {
    char *name;
    char *type;
    char *description;                  /* may be NULL */
    ObjectPropertyAccessor *get;        /* NULL: cannot be read */
    ObjectPropertyAccessor *set;        /* NULL: cannot be written */
    ObjectPropertyResolve *resolve;
    ObjectPropertyRelease *release;
    ObjectPropertyInit *init;
    void *opaque;
    QObject *defval;                    /* owned; NULL when there is no default */
};

struct ObjectClass {
    Type type;
    GSList *interfaces;                 /* of InterfaceClass *, private to object.c */
    ObjectUnparent *unparent;           /* called before the object leaves its parent */
    GHashTable *properties;             /* name -> ObjectProperty */
};

struct Object {
    ObjectClass *class;
    ObjectFree *free;
    GHashTable *properties;             /* name -> ObjectProperty; the instance's own ones */
    uint32_t ref;                       /* atomic */
    Object *parent;
};

/**
 * TypeInfo: what a type is registered with. The strings and arrays are copied.
 *
 * @instance_size, @class_size: 0 takes the parent's.
 * @instance_align: bytes; 0 takes malloc's.
 * @instance_init runs parent first, @instance_post_init parent first after all inits,
 * @instance_finalize child first.
 * @class_base_init runs on every descendant's class, after the copy of the parent's class
 * and before @class_init.
 */
struct TypeInfo {
    const char *name;
    const char *parent;

    size_t instance_size;
    size_t instance_align;
    void (*instance_init)(Object *obj);
    void (*instance_post_init)(Object *obj);
    void (*instance_finalize)(Object *obj);

    bool abstract;
    size_t class_size;

    void (*class_init)(ObjectClass *klass, void *data);
    void (*class_base_init)(ObjectClass *klass, void *data);
    void *class_data;

    InterfaceInfo *interfaces;          /* ends with an entry whose type is NULL */
};

struct InterfaceInfo {
    const char *type;
};

/* Every interface's class struct begins with this. */
struct InterfaceClass {
    ObjectClass parent_class;
    ObjectClass *concrete_class;        /* the class that implements the interface */
    Type interface_type;
};

/**
 * GlobalProperty: `-global driver.property=value`, or a machine version's default.
 * @optional: no complaint when the driver lacks the property.
 * @used: set when it was applied to at least one object.
 */
struct GlobalProperty {
    const char *driver;
    const char *property;
    const char *value;
    bool used;
    bool optional;
};

/* ---- casts ---------------------------------------------------------------------------- */

#define OBJECT(obj) ((Object *)(obj))
#define OBJECT_CLASS(class) ((ObjectClass *)(class))

#define OBJECT_CHECK(type, obj, name) \
    ((type *)object_dynamic_cast_assert(OBJECT(obj), (name), __FILE__, __LINE__, __func__))
#define OBJECT_CLASS_CHECK(class_type, class, name) \
    ((class_type *)object_class_dynamic_cast_assert(OBJECT_CLASS(class), (name), __FILE__, \
                                                    __LINE__, __func__))
#define OBJECT_GET_CLASS(class, obj, name) \
    OBJECT_CLASS_CHECK(class, object_get_class(OBJECT(obj)), name)

#define INTERFACE_CLASS(klass) OBJECT_CLASS_CHECK(InterfaceClass, klass, TYPE_INTERFACE)
#define INTERFACE_CHECK(interface, obj, name) \
    ((interface *)object_dynamic_cast_assert(OBJECT((obj)), (name), __FILE__, __LINE__, __func__))

#define DECLARE_INSTANCE_CHECKER(InstanceType, OBJ_NAME, TYPENAME) \
    static inline G_GNUC_UNUSED InstanceType *OBJ_NAME(const void *obj) \
    { return OBJECT_CHECK(InstanceType, obj, TYPENAME); }

#define DECLARE_CLASS_CHECKERS(ClassType, OBJ_NAME, TYPENAME) \
    static inline G_GNUC_UNUSED ClassType *OBJ_NAME##_GET_CLASS(const void *obj) \
    { return OBJECT_GET_CLASS(ClassType, obj, TYPENAME); } \
    static inline G_GNUC_UNUSED ClassType *OBJ_NAME##_CLASS(const void *klass) \
    { return OBJECT_CLASS_CHECK(ClassType, klass, TYPENAME); }

#define DECLARE_OBJ_CHECKERS(InstanceType, ClassType, OBJ_NAME, TYPENAME) \
    DECLARE_INSTANCE_CHECKER(InstanceType, OBJ_NAME, TYPENAME) \
    DECLARE_CLASS_CHECKERS(ClassType, OBJ_NAME, TYPENAME)

/* Typedefs, casts and automatic unref for a type with its own class struct. */
#define OBJECT_DECLARE_TYPE(InstanceType, ClassType, MODULE_OBJ_NAME) \
    typedef struct InstanceType InstanceType; \
    typedef struct ClassType ClassType; \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(InstanceType, object_unref) \
    DECLARE_OBJ_CHECKERS(InstanceType, ClassType, MODULE_OBJ_NAME, TYPE_##MODULE_OBJ_NAME)

/* The same for a type that uses its parent's class struct. */
#define OBJECT_DECLARE_SIMPLE_TYPE(InstanceType, MODULE_OBJ_NAME) \
    typedef struct InstanceType InstanceType; \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(InstanceType, object_unref) \
    DECLARE_INSTANCE_CHECKER(InstanceType, MODULE_OBJ_NAME, TYPE_##MODULE_OBJ_NAME)

#define QOM_DEFINE_TYPE_(ModuleObjName, module_obj_name, MODULE_OBJ_NAME, PARENT, ABSTRACT, \
                         CLASS_SIZE, ...) \
    static void module_obj_name##_finalize(Object *obj); \
    static void module_obj_name##_class_init(ObjectClass *oc, void *data); \
    static void module_obj_name##_init(Object *obj); \
    static const TypeInfo module_obj_name##_info = { \
        .parent = TYPE_##PARENT, \
        .name = TYPE_##MODULE_OBJ_NAME, \
        .instance_size = sizeof(ModuleObjName), \
        .instance_align = __alignof__(ModuleObjName), \
        .instance_init = module_obj_name##_init, \
        .instance_finalize = module_obj_name##_finalize, \
        .class_size = CLASS_SIZE, \
        .class_init = module_obj_name##_class_init, \
        .abstract = ABSTRACT, \
        .interfaces = (InterfaceInfo[]) { __VA_ARGS__ }, \
    }; \
    static void module_obj_name##_register_types(void) \
    { type_register_static(&module_obj_name##_info); } \
    type_init(module_obj_name##_register_types);

#define OBJECT_DEFINE_TYPE_EXTENDED(Name, name, NAME, PARENT, ABSTRACT, ...) \
    QOM_DEFINE_TYPE_(Name, name, NAME, PARENT, ABSTRACT, sizeof(Name##Class), __VA_ARGS__)
#define OBJECT_DEFINE_TYPE(Name, name, NAME, PARENT) \
    OBJECT_DEFINE_TYPE_EXTENDED(Name, name, NAME, PARENT, false, { NULL })
#define OBJECT_DEFINE_TYPE_WITH_INTERFACES(Name, name, NAME, PARENT, ...) \
    OBJECT_DEFINE_TYPE_EXTENDED(Name, name, NAME, PARENT, false, __VA_ARGS__)
#define OBJECT_DEFINE_ABSTRACT_TYPE(Name, name, NAME, PARENT) \
    OBJECT_DEFINE_TYPE_EXTENDED(Name, name, NAME, PARENT, true, { NULL })
#define OBJECT_DEFINE_SIMPLE_TYPE(Name, name, NAME, PARENT) \
    QOM_DEFINE_TYPE_(Name, name, NAME, PARENT, false, 0, { NULL })
#define OBJECT_DEFINE_SIMPLE_TYPE_WITH_INTERFACES(Name, name, NAME, PARENT, ...) \
    QOM_DEFINE_TYPE_(Name, name, NAME, PARENT, false, 0, __VA_ARGS__)

/* Registers a file-level array of TypeInfo at start-up. */
#define DEFINE_TYPES(type_array) \
    static void do_qemu_init_##type_array(void) \
    { type_register_static_array(type_array, ARRAY_SIZE(type_array)); } \
    type_init(do_qemu_init_##type_array)

/* ---- types and classes ---------------------------------------------------------------- */

Type type_register_static(const TypeInfo *info);
Type type_register(const TypeInfo *info);
void type_register_static_array(const TypeInfo *infos, int nr_infos);

/* NULL when there is no such type. The class is made ready on the first call. */
ObjectClass *object_class_by_name(const char *typename);
ObjectClass *module_object_class_by_name(const char *typename);
ObjectClass *object_class_get_parent(ObjectClass *klass);
const char *object_class_get_name(ObjectClass *klass);
bool object_class_is_abstract(ObjectClass *klass);
/* NULL when @klass neither is, descends from, nor implements @typename. */
ObjectClass *object_class_dynamic_cast(ObjectClass *klass, const char *typename);
ObjectClass *object_class_dynamic_cast_assert(ObjectClass *klass, const char *typename,
                                              const char *file, int line, const char *func);
/* @implements_type NULL: all. @fn must not register types. */
void object_class_foreach(void (*fn)(ObjectClass *klass, void *opaque),
                          const char *implements_type, bool include_abstract, void *opaque);
/* A list that the caller frees with g_slist_free(). */
GSList *object_class_get_list(const char *implements_type, bool include_abstract);
GSList *object_class_get_list_sorted(const char *implements_type, bool include_abstract);
/* Prints a type's settable properties on stdout, one a line; false when there are none. */
bool type_print_class_properties(const char *type);

/* ---- instances ------------------------------------------------------------------------ */

/* Abort when the type is unknown or abstract: check names that come from outside first. */
Object *object_new(const char *typename);
Object *object_new_with_class(ObjectClass *klass);
/* NULL-ended list of name, value-as-text pairs. Becomes child @id of @parent unless NULL. */
Object *object_new_with_props(const char *typename, Object *parent, const char *id,
                              Error **errp, ...) G_GNUC_NULL_TERMINATED;
Object *object_new_with_propv(const char *typename, Object *parent, const char *id,
                              Error **errp, va_list vargs);
bool object_set_props(Object *obj, Error **errp, ...) G_GNUC_NULL_TERMINATED;
bool object_set_propv(Object *obj, Error **errp, va_list vargs);
/* In memory that the caller owns; @size is checked. The caller's reference is the first one. */
void object_initialize(void *obj, size_t size, const char *typename);
/* Embedded in @parent's struct; the child property holds the only reference. */
#define object_initialize_child(parent, propname, child, type) \
    object_initialize_child_internal((parent), (propname), (child), sizeof(*(child)), (type))
void object_initialize_child_internal(Object *parent, const char *propname, void *child,
                                      size_t size, const char *type);
bool object_initialize_child_with_props(Object *parent, const char *propname, void *childobj,
                                        size_t size, const char *type, Error **errp, ...)
                                        G_GNUC_NULL_TERMINATED;
bool object_initialize_child_with_propsv(Object *parent, const char *propname, void *childobj,
                                         size_t size, const char *type, Error **errp,
                                         va_list vargs);

Object *object_dynamic_cast(Object *obj, const char *typename);
Object *object_dynamic_cast_assert(Object *obj, const char *typename, const char *file, int line,
                                   const char *func);
ObjectClass *object_get_class(Object *obj);
const char *object_get_typename(const Object *obj);
Object *object_ref(void *obj);
void object_unref(void *obj);
/* Removes the object from its parent (if any), which drops the parent's reference. */
void object_unparent(Object *obj);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Object, object_unref)

/* Applies the entries of @props (of GlobalProperty *) that name a class of @obj; true if any. */
bool object_apply_global_props(Object *obj, const GPtrArray *props, Error **errp);
/* The two lists that user-creatable backends get applied too: accelerator's, machine's. */
void object_set_machine_compat_props(GPtrArray *compat_props);
void object_set_accelerator_compat_props(GPtrArray *compat_props);
void object_apply_compat_props(Object *obj);

/* ---- properties ----------------------------------------------------------------------- */

/* A @name ending in "[*]" takes the first free index. NULL when the name is taken. */
ObjectProperty *object_property_try_add(Object *obj, const char *name, const char *type,
                                        ObjectPropertyAccessor *get, ObjectPropertyAccessor *set,
                                        ObjectPropertyRelease *release, void *opaque,
                                        Error **errp);
ObjectProperty *object_property_add(Object *obj, const char *name, const char *type,
                                    ObjectPropertyAccessor *get, ObjectPropertyAccessor *set,
                                    ObjectPropertyRelease *release, void *opaque);
ObjectProperty *object_class_property_add(ObjectClass *klass, const char *name, const char *type,
                                          ObjectPropertyAccessor *get,
                                          ObjectPropertyAccessor *set,
                                          ObjectPropertyRelease *release, void *opaque);
void object_property_del(Object *obj, const char *name);

ObjectProperty *object_property_find(Object *obj, const char *name);
ObjectProperty *object_property_find_err(Object *obj, const char *name, Error **errp);
ObjectProperty *object_class_property_find(ObjectClass *klass, const char *name);
ObjectProperty *object_class_property_find_err(ObjectClass *klass, const char *name,
                                               Error **errp);

/* Walks an object's own properties, then its class's, then its ancestors'. */
typedef struct ObjectPropertyIterator {
    ObjectClass *nextclass;
    GHashTableIter iter;
} ObjectPropertyIterator;
void object_property_iter_init(ObjectPropertyIterator *iter, Object *obj);
void object_class_property_iter_init(ObjectPropertyIterator *iter, ObjectClass *klass);
ObjectProperty *object_property_iter_next(ObjectPropertyIterator *iter);

bool object_property_get(Object *obj, const char *name, Visitor *v, Error **errp);
bool object_property_set(Object *obj, const char *name, Visitor *v, Error **errp);

bool object_property_set_str(Object *obj, const char *name, const char *value, Error **errp);
bool object_property_set_bool(Object *obj, const char *name, bool value, Error **errp);
bool object_property_set_int(Object *obj, const char *name, int64_t value, Error **errp);
bool object_property_set_uint(Object *obj, const char *name, uint64_t value, Error **errp);
bool object_property_set_link(Object *obj, const char *name, Object *value, Error **errp);
bool object_property_set_qobject(Object *obj, const char *name, QObject *value, Error **errp);
/* The text as a command line has it. */
bool object_property_parse(Object *obj, const char *name, const char *string, Error **errp);

char *object_property_get_str(Object *obj, const char *name, Error **errp); /* g_free it */
Object *object_property_get_link(Object *obj, const char *name, Error **errp); /* borrowed */
bool object_property_get_bool(Object *obj, const char *name, Error **errp);
int64_t object_property_get_int(Object *obj, const char *name, Error **errp);   /* -1 on error */
uint64_t object_property_get_uint(Object *obj, const char *name, Error **errp); /* 0 on error */
int object_property_get_enum(Object *obj, const char *name, const char *typename, Error **errp);
QObject *object_property_get_qobject(Object *obj, const char *name, Error **errp); /* owned */
char *object_property_print(Object *obj, const char *name, bool human, Error **errp);
const char *object_property_get_type(Object *obj, const char *name, Error **errp);

void object_property_set_description(Object *obj, const char *name, const char *description);
void object_class_property_set_description(ObjectClass *klass, const char *name,
                                           const char *description);
void object_property_set_default_bool(ObjectProperty *prop, bool value);
void object_property_set_default_str(ObjectProperty *prop, const char *value);
void object_property_set_default_list(ObjectProperty *prop);
void object_property_set_default_int(ObjectProperty *prop, int64_t value);
void object_property_set_default_uint(ObjectProperty *prop, uint64_t value);
/* "name=<type>  - description (default: x)"; g_free it. */
char *object_property_help(const char *name, const char *type, QObject *defval,
                           const char *description);

/* Typed properties. Getters of strings return memory for g_free(). */
ObjectProperty *object_property_add_str(Object *obj, const char *name,
                                        char *(*get)(Object *, Error **),
                                        void (*set)(Object *, const char *, Error **));
ObjectProperty *object_class_property_add_str(ObjectClass *klass, const char *name,
                                              char *(*get)(Object *, Error **),
                                              void (*set)(Object *, const char *, Error **));
ObjectProperty *object_property_add_bool(Object *obj, const char *name,
                                         bool (*get)(Object *, Error **),
                                         void (*set)(Object *, bool, Error **));
ObjectProperty *object_class_property_add_bool(ObjectClass *klass, const char *name,
                                               bool (*get)(Object *, Error **),
                                               void (*set)(Object *, bool, Error **));
ObjectProperty *object_property_add_enum(Object *obj, const char *name, const char *typename,
                                         const QEnumLookup *lookup,
                                         int (*get)(Object *, Error **),
                                         void (*set)(Object *, int, Error **));
ObjectProperty *object_class_property_add_enum(ObjectClass *klass, const char *name,
                                               const char *typename, const QEnumLookup *lookup,
                                               int (*get)(Object *, Error **),
                                               void (*set)(Object *, int, Error **));
ObjectProperty *object_property_add_tm(Object *obj, const char *name,
                                       void (*get)(Object *, struct tm *, Error **));
ObjectProperty *object_class_property_add_tm(ObjectClass *klass, const char *name,
                                             void (*get)(Object *, struct tm *, Error **));

typedef enum {
    OBJ_PROP_FLAG_READ = 1 << 0,
    OBJ_PROP_FLAG_WRITE = 1 << 1,
    OBJ_PROP_FLAG_READWRITE = (OBJ_PROP_FLAG_READ | OBJ_PROP_FLAG_WRITE),
} ObjectPropertyFlags;

/* The value at @v, which must live as long as the property. */
ObjectProperty *object_property_add_uint8_ptr(Object *obj, const char *name, const uint8_t *v,
                                              ObjectPropertyFlags flags);
ObjectProperty *object_property_add_uint16_ptr(Object *obj, const char *name, const uint16_t *v,
                                               ObjectPropertyFlags flags);
ObjectProperty *object_property_add_uint32_ptr(Object *obj, const char *name, const uint32_t *v,
                                               ObjectPropertyFlags flags);
ObjectProperty *object_property_add_uint64_ptr(Object *obj, const char *name, const uint64_t *v,
                                               ObjectPropertyFlags flags);
ObjectProperty *object_class_property_add_uint8_ptr(ObjectClass *klass, const char *name,
                                                    const uint8_t *v, ObjectPropertyFlags flags);
ObjectProperty *object_class_property_add_uint16_ptr(ObjectClass *klass, const char *name,
                                                     const uint16_t *v,
                                                     ObjectPropertyFlags flags);
ObjectProperty *object_class_property_add_uint32_ptr(ObjectClass *klass, const char *name,
                                                     const uint32_t *v,
                                                     ObjectPropertyFlags flags);
ObjectProperty *object_class_property_add_uint64_ptr(ObjectClass *klass, const char *name,
                                                     const uint64_t *v,
                                                     ObjectPropertyFlags flags);
/* Another name for @target_name of @target_obj. */
ObjectProperty *object_property_add_alias(Object *obj, const char *name, Object *target_obj,
                                          const char *target_name);

/* ---- children, links, paths ----------------------------------------------------------- */

/* Takes a reference of its own to @child. */
ObjectProperty *object_property_add_child(Object *obj, const char *name, Object *child);
ObjectProperty *object_property_try_add_child(Object *obj, const char *name, Object *child,
                                              Error **errp);
Object *object_property_add_new_container(Object *obj, const char *name);

typedef enum {
    OBJ_PROP_LINK_STRONG = 0x1,         /* the link holds a reference to its target */
    OBJ_PROP_LINK_DIRECT = 0x2,         /* private to object.c */
    OBJ_PROP_LINK_CLASS = 0x4,          /* private to object.c */
} ObjectPropertyLinkFlags;

void object_property_allow_set_link(const Object *obj, const char *name, Object *val,
                                    Error **errp);
/* @targetp is where the target's pointer lives. @check NULL: the link cannot be changed. */
ObjectProperty *object_property_add_link(Object *obj, const char *name, const char *type,
                                         Object **targetp,
                                         void (*check)(const Object *obj, const char *name,
                                                       Object *val, Error **errp),
                                         ObjectPropertyLinkFlags flags);
/* The pointer lives @offset bytes into each instance. */
ObjectProperty *object_class_property_add_link(ObjectClass *oc, const char *name,
                                               const char *type, ptrdiff_t offset,
                                               void (*check)(const Object *obj, const char *name,
                                                             Object *val, Error **errp),
                                               ObjectPropertyLinkFlags flags);
ObjectProperty *object_property_add_const_link(Object *obj, const char *name, Object *target);

Object *object_get_root(void);              /* "/" */
Object *object_get_container(const char *name); /* "/NAME", which must exist */
Object *object_get_objects_root(void);      /* "/objects" */
Object *object_get_internal_root(void);     /* not part of the visible tree */

/* Path from the root, or NULL when the object is not in the tree; g_free it. */
char *object_get_canonical_path(const Object *obj);
const char *object_get_canonical_path_component(const Object *obj);
/* Absolute path, or a partial one that must fit one place (else *@ambiguous, may be NULL). */
Object *object_resolve_path(const char *path, bool *ambiguous);
Object *object_resolve_path_type(const char *path, const char *typename, bool *ambiguous);
/* The one object of the type; NULL when there is none or several. */
Object *object_resolve_type_unambiguous(const char *typename, Error **errp);
Object *object_resolve_path_at(Object *parent, const char *path);
Object *object_resolve_path_component(Object *parent, const char *part);
/* The child of that name with a reference for the caller, or NULL. Any thread, without the BQL. */
Object *object_ref_child(Object *parent, const char *name);
/* The same for what -object and object-add have made. */
Object *object_ref_user_object(const char *id);

/* Stops at the first nonzero result and returns it. @fn may unparent the child it is given. */
int object_child_foreach(Object *obj, int (*fn)(Object *child, void *opaque), void *opaque);
int object_child_foreach_recursive(Object *obj, int (*fn)(Object *child, void *opaque),
                                   void *opaque);
Object *container_get(Object *root, const char *path);

#endif
