/*
 * Enums by name, and list helpers, for code that works with generated types.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_UTIL_H
#define QAPI_UTIL_H

#include "qemu/osdep.h"
#include "qemu/typedefs.h"

/* Names of an enum's values, SIZE of them, and a NULL behind.  Names may be missing (NULL). */
typedef struct QEnumLookup {
    const char *const *array;
    int size;
} QEnumLookup;

/* Features that mean something to the program itself; bits of the masks that commands carry. */
typedef enum {
    QAPI_FEATURE_DEPRECATED,
    QAPI_FEATURE_UNSTABLE,
} QapiFeature;

/* Name of VAL, which must be a value of the enum. */
const char *qapi_enum_lookup(const QEnumLookup *lookup, int val);

/*
 * The value that BUF names.  DEF if BUF is NULL, and also, with an error set, if it names none
 * (and no error is set where DEF is the answer to a NULL).
 */
int qapi_enum_parse(const QEnumLookup *lookup, const char *buf, int def, Error **errp);

/* VALUE is on/yes/true/y or off/no/false/n; NAME is for the error. */
bool qapi_bool_parse(const char *name, const char *value, bool *obj, Error **errp);

/*
 * Length of the name that STR begins with: letters, digits, '-' and '_', beginning with a letter
 * (or a vendor's prefix, as in "__org.example_"); with COMPLETE it must be all of STR.  -1 if STR
 * doesn't begin with a name.
 */
int parse_qapi_name(const char *str, bool complete);

/* Put ELEMENT before LIST's first. LIST is an lvalue. */
#define QAPI_LIST_PREPEND(list, element)                         \
    do {                                                         \
        __typeof__(list) qapi_item_ = g_malloc(sizeof(*(list))); \
        qapi_item_->value = (element);                           \
        qapi_item_->next = (list);                               \
        (list) = qapi_item_;                                     \
    } while (0)

/* Put ELEMENT at the end; TAIL points to the last item's next, and is moved on. */
#define QAPI_LIST_APPEND(tail, element)                   \
    do {                                                  \
        *(tail) = g_malloc0(sizeof(**(tail)));            \
        (*(tail))->value = (element);                     \
        (tail) = &(*(tail))->next;                        \
    } while (0)

#define QAPI_LIST_LENGTH(list)                                        \
    ({                                                                \
        size_t qapi_count_ = 0;                                       \
        for (__typeof__(list) qapi_item_ = (list); qapi_item_;        \
             qapi_item_ = qapi_item_->next) {                         \
            qapi_count_++;                                            \
        }                                                             \
        qapi_count_;                                                  \
    })

#endif
