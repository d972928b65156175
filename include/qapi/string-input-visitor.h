/*
 * From text to scalars, enums and arrays of integers: for properties that are given as text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_STRING_INPUT_VISITOR_H
#define QAPI_STRING_INPUT_VISITOR_H

#include "qapi/visitor.h"

/*
 * STR is borrowed.  Arrays of integers are numbers and ranges: "0,4-7"; a range may have at most
 * 65536 numbers.
 */
Visitor *string_input_visitor_new(const char *str);

#endif
