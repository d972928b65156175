/*
 * What the files of qom/ share: the registered type, and the hooks between instances, properties
 * and the tree.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_INTERNAL_H
#define QOM_INTERNAL_H

#include "qom/object.h"

struct TypeImpl {
    char *name;
    char *parent;                       /* NULL: a root type */
    Type parent_type;                  /* looked up on first use */

    size_t instance_size, instance_align, class_size; /* 0: the parent's, until initialised */
    void (*instance_init)(Object *obj);
    void (*instance_post_init)(Object *obj);
    void (*instance_finalize)(Object *obj);
    void (*class_init)(ObjectClass *klass, void *data);
    void (*class_base_init)(ObjectClass *klass, void *data);
    void *class_data;
    bool abstract;
    char **interfaces;                  /* names, NULL-ended */

    ObjectClass *class;                 /* NULL until initialising it begins */
    bool ready;                         /* atomic: the class is complete */
};

Type qom_type_find(const char *name);
Type qom_type_parent(Type type);
/* Makes the class (and its ancestors'), once. */
void qom_type_initialize(Type type);

/* property.c */
GHashTable *qom_property_table_new(void);
void qom_properties_set_defaults(Object *obj);
void qom_properties_release_all(Object *obj);
ObjectProperty *qom_property_own(Object *obj, const char *name);
/* tree.c */
bool qom_property_is_child(const ObjectProperty *prop);

#endif
