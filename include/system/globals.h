/*
 * `-global driver.property=value`: defaults of properties, kept until objects are made.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_GLOBALS_H
#define SYSTEM_GLOBALS_H

#include "qom/object.h"

/* @prop is kept, not copied. Later ones win. */
void qdev_prop_register_global(GlobalProperty *prop);
/* Parses the option's text: "driver.prop=value" or "driver=D,property=P,value=V". */
bool qdev_global_parse(const char *text, Error **errp);
const GlobalProperty *qdev_find_global_prop(Object *obj, const char *name);
/* All of them, in the order given; borrowed. */
const GPtrArray *qdev_globals(void);
/* Applies what names a class of @obj; a bad value is an error that names the option. */
bool object_apply_globals(Object *obj, Error **errp);
/* Forgets them all (tests). */
void qdev_prop_clear_globals(void);

#endif
