/*
 * The visitor that frees a value of a generated type.  Mostly used through qapi_free_T().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_DEALLOC_VISITOR_H
#define QAPI_DEALLOC_VISITOR_H

#include "qapi/visitor.h"

/* Takes whatever an input visitor may leave half done. */
Visitor *qapi_dealloc_visitor_new(void);

#endif
