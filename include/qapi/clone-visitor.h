/*
 * Deep copies of values of generated types.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_CLONE_VISITOR_H
#define QAPI_CLONE_VISITOR_H

#include "qapi/error.h"
#include "qapi/visitor.h"

/* Turns pointers to what it visits into pointers to copies. For the macros below. */
Visitor *qapi_clone_visitor_new(void);

/* A new copy of SRC, which is a TYPE *; NULL for NULL. */
#define QAPI_CLONE(type, src)                                            \
    ({                                                                   \
        type *qapi_copy_ = (type *)(src);                                \
        if (qapi_copy_) {                                                \
            Visitor *qapi_v_ = qapi_clone_visitor_new();                 \
            visit_type_##type(qapi_v_, NULL, &qapi_copy_, &error_abort); \
            visit_free(qapi_v_);                                         \
        }                                                                \
        qapi_copy_;                                                      \
    })

/* Make the struct at DST a copy of that at SRC. What DST points to before is forgotten. */
#define QAPI_CLONE_MEMBERS(type, dst, src)                               \
    ({                                                                   \
        type *qapi_dst_ = (dst);                                         \
        Visitor *qapi_v_ = qapi_clone_visitor_new();                     \
        *qapi_dst_ = *(const type *)(src);                               \
        visit_start_struct(qapi_v_, NULL, NULL, 0, &error_abort);        \
        visit_type_##type##_members(qapi_v_, qapi_dst_, &error_abort);   \
        visit_end_struct(qapi_v_, NULL);                                 \
        visit_free(qapi_v_);                                             \
    })

#endif
