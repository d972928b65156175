/*
 * Visitors: one walk over a value of a generated type, many uses.
 *
 * For every type T of the schema there is visit_type_T(v, name, &value, errp), which walks a value.
 * The Visitor decides what that does:
 *  - input visitors build the value from something outside (JSON, option strings): what VALUE held
 *    before is overwritten, and on failure nothing is left behind;
 *  - output visitors read it and build something outside;
 *  - the clone visitor copies it, the dealloc visitor frees it.
 *
 * NAME is the member that is visited; NULL for an array's elements; for the root anything (input
 * visitors use it in errors).  Functions that can fail return whether they succeeded.
 *
 * A visitor belongs to one thread and one walk: make it, visit, visit_complete() where it builds
 * something outside, visit_free().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_VISITOR_H
#define QAPI_VISITOR_H

#include "qapi/qobject.h"
#include "qapi/qapi-builtin-types.h"

/* What every list and alternate of a generated type begins with. */
typedef struct GenericList {
    struct GenericList *next;
    char padding[];
} GenericList;

typedef struct GenericAlternate {
    QType type;
    char padding[];
} GenericAlternate;

/* Hand over what an output visitor built; OPAQUE is what it was given when it was made. */
void visit_complete(Visitor *v, void *opaque);
/* Free the visitor, wherever the walk stands.  What it was building is freed too. */
void visit_free(Visitor *v);

/*
 * An object.  OBJ may be NULL: then the members are visited without a struct of SIZE bytes being
 * made.  After the members, visit_check_struct() makes an input visitor complain about members
 * that nobody visited; visit_end_struct() must follow even if something failed in between.
 */
bool visit_start_struct(Visitor *v, const char *name, void **obj, size_t size, Error **errp);
bool visit_check_struct(Visitor *v, Error **errp);
void visit_end_struct(Visitor *v, void **obj);

/*
 * An array.  An input visitor stores the first item in *LIST, NULL if there is none;
 * visit_next_list() gives the item after TAIL, made on demand, or NULL.
 */
bool visit_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                      Error **errp);
GenericList *visit_next_list(Visitor *v, GenericList *tail, size_t size);
bool visit_check_list(Visitor *v, Error **errp);
void visit_end_list(Visitor *v, void **list);

/* An alternate: an input visitor makes it and stores what kind of value comes in (*obj)->type. */
bool visit_start_alternate(Visitor *v, const char *name, GenericAlternate **obj, size_t size,
                           Error **errp);
void visit_end_alternate(Visitor *v, void **obj);

/*
 * Whether an optional member is there: stored in *PRESENT by an input visitor, read from it by
 * others.  Returns *PRESENT.
 */
bool visit_optional(Visitor *v, const char *name, bool *present);

/* The name that stands for an enum's value; an int, whatever the enum's own type is. */
bool visit_type_enum(Visitor *v, const char *name, int *obj, const QEnumLookup *lookup,
                     Error **errp);

bool visit_is_input(Visitor *v);
bool visit_is_dealloc(Visitor *v);

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp);
bool visit_type_int8(Visitor *v, const char *name, int8_t *obj, Error **errp);
bool visit_type_int16(Visitor *v, const char *name, int16_t *obj, Error **errp);
bool visit_type_int32(Visitor *v, const char *name, int32_t *obj, Error **errp);
bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp);
bool visit_type_uint8(Visitor *v, const char *name, uint8_t *obj, Error **errp);
bool visit_type_uint16(Visitor *v, const char *name, uint16_t *obj, Error **errp);
bool visit_type_uint32(Visitor *v, const char *name, uint32_t *obj, Error **errp);
bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp);
/* As uint64; text forms may have a suffix (K, M, …). */
bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp);
bool visit_type_bool(Visitor *v, const char *name, bool *obj, Error **errp);
/* Input makes a new string. Output takes NULL for "". */
bool visit_type_str(Visitor *v, const char *name, char **obj, Error **errp);
bool visit_type_number(Visitor *v, const char *name, double *obj, Error **errp);
/* Input makes a new reference; output takes one of its own. */
bool visit_type_any(Visitor *v, const char *name, QObject **obj, Error **errp);
bool visit_type_null(Visitor *v, const char *name, QNull **obj, Error **errp);

#endif
