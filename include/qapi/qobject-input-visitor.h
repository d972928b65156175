/*
 * From JSON values to generated types.
 *
 * Everything is checked: types, ranges, unknown and missing members; errors name the place as
 * "a.b[2]".  The value is borrowed until the visitor is freed, and referenced meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QOBJECT_INPUT_VISITOR_H
#define QAPI_QOBJECT_INPUT_VISITOR_H

#include "qapi/visitor.h"

Visitor *qobject_input_visitor_new(QObject *obj);

/*
 * For values from keyval_parse(): all scalars are strings.  Integers may be in decimal, octal or
 * hexadecimal, bools "on"/"off" and the like, sizes have a suffix.  An alternate is taken for a
 * string unless the value is an object or array.
 */
Visitor *qobject_input_visitor_new_keyval(QObject *obj);

/* STR is JSON if it begins with '{', else an option string as for keyval_parse(). */
Visitor *qobject_input_visitor_new_str(const char *str, const char *implied_key, Error **errp);

#endif
