/*
 * From scalars, enums and arrays of integers to text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_STRING_OUTPUT_VISITOR_H
#define QAPI_STRING_OUTPUT_VISITOR_H

#include "qapi/visitor.h"

/*
 * visit_complete(v, RESULT) stores text there that the caller frees with g_free().
 * HUMAN: strings in quotes, integers in hexadecimal beside decimal, sizes with a unit beside bytes.
 * Objects become "<omitted>"; arrays of other than integers are "<omitted>" too.
 */
Visitor *string_output_visitor_new(bool human, char **result);

#endif
