/*
 * Property values as JSON.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_QOM_QOBJECT_H
#define QOM_QOM_QOBJECT_H

#include "qom/object.h"

/* A new reference, or NULL and an error. */
QObject *object_property_get_qobject(Object *obj, const char *name, Error **errp);
/* @value is not taken. */
bool object_property_set_qobject(Object *obj, const char *name, QObject *value, Error **errp);

#endif
