/*
 * From generated types to JSON values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QOBJECT_OUTPUT_VISITOR_H
#define QAPI_QOBJECT_OUTPUT_VISITOR_H

#include "qapi/visitor.h"

/*
 * visit_complete(v, RESULT) stores a value there that the caller owns.  *RESULT is NULL until then.
 * Members that are optional and absent are left out.  A number that JSON can't say becomes the
 * nearest that it can.
 */
Visitor *qobject_output_visitor_new(QObject **result);

#endif
