/*
 * The part of visiting that is the same for all visitors: dispatch, integer ranges, enums.
 *
 * Relies on: the Visitor's own functions (qapi/visitor-impl.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor-impl.h"

void visit_complete(Visitor *v, void *opaque)
{
    assert(v->type != VISITOR_OUTPUT || v->complete);
    if (v->complete) {
        v->complete(v, opaque);
    }
}

void visit_free(Visitor *v)
{
    if (v) {
        v->free(v);
    }
}

bool visit_is_input(Visitor *v)
{
    return v->type == VISITOR_INPUT;
}

bool visit_is_dealloc(Visitor *v)
{
    return v->type == VISITOR_DEALLOC;
}

bool visit_start_struct(Visitor *v, const char *name, void **obj, size_t size, Error **errp)
{
    bool ok;

    assert(!obj || size);
    assert(!obj || !(v->type == VISITOR_OUTPUT) || *obj);
    ok = v->start_struct(v, name, obj, size, errp);
    if (obj && v->type == VISITOR_INPUT) {
        assert(ok == !!*obj);
    }
    return ok;
}

bool visit_check_struct(Visitor *v, Error **errp)
{
    return v->check_struct ? v->check_struct(v, errp) : true;
}

void visit_end_struct(Visitor *v, void **obj)
{
    v->end_struct(v, obj);
}

bool visit_start_list(Visitor *v, const char *name, GenericList **list, size_t size, Error **errp)
{
    assert(!list || size >= sizeof(GenericList));
    return v->start_list(v, name, list, size, errp);
}

GenericList *visit_next_list(Visitor *v, GenericList *tail, size_t size)
{
    assert(tail && size >= sizeof(GenericList));
    return v->next_list(v, tail, size);
}

bool visit_check_list(Visitor *v, Error **errp)
{
    return v->check_list ? v->check_list(v, errp) : true;
}

void visit_end_list(Visitor *v, void **list)
{
    v->end_list(v, list);
}

bool visit_start_alternate(Visitor *v, const char *name, GenericAlternate **obj, size_t size,
                           Error **errp)
{
    assert(obj && size >= sizeof(GenericAlternate));
    assert(v->type != VISITOR_OUTPUT || *obj);
    return v->start_alternate ? v->start_alternate(v, name, obj, size, errp) : true;
}

void visit_end_alternate(Visitor *v, void **obj)
{
    if (v->end_alternate) {
        v->end_alternate(v, obj);
    }
}

bool visit_optional(Visitor *v, const char *name, bool *present)
{
    if (v->optional) {
        v->optional(v, name, present);
    }
    return *present;
}

/* ---- integers ---- */

/* What errors call a member: its own name, as ever; elements of arrays have none. */
static const char *shown_name(Visitor *v, const char *name)
{
    if (name) {
        return name;
    }
    return v->full_name ? v->full_name(v, name) : "null";
}

static bool out_of_range(Visitor *v, const char *name, const char *type, Error **errp)
{
    error_setg(errp, "Parameter '%s' expects %s", shown_name(v, name), type);
    return false;
}

static bool visit_signed(Visitor *v, const char *name, int64_t *value, int64_t min, int64_t max,
                         const char *type, Error **errp)
{
    if (!v->type_int64(v, name, value, errp)) {
        return false;
    }
    return (*value >= min && *value <= max) || out_of_range(v, name, type, errp);
}

static bool visit_unsigned(Visitor *v, const char *name, uint64_t *value, uint64_t max,
                           const char *type, Error **errp)
{
    if (!v->type_uint64(v, name, value, errp)) {
        return false;
    }
    return *value <= max || out_of_range(v, name, type, errp);
}

#define VISIT_NARROW(bits)                                                                       \
    bool visit_type_int##bits(Visitor *v, const char *name, int##bits##_t *obj, Error **errp)    \
    {                                                                                            \
        int64_t value = *obj;                                                                    \
        bool ok = visit_signed(v, name, &value, INT##bits##_MIN, INT##bits##_MAX,                \
                               "int" #bits "_t", errp);                                          \
                                                                                                 \
        if (ok) {                                                                                \
            *obj = value;                                                                        \
        }                                                                                        \
        return ok;                                                                               \
    }                                                                                            \
                                                                                                 \
    bool visit_type_uint##bits(Visitor *v, const char *name, uint##bits##_t *obj, Error **errp)  \
    {                                                                                            \
        uint64_t value = *obj;                                                                   \
        bool ok = visit_unsigned(v, name, &value, UINT##bits##_MAX,                              \
                                 "uint" #bits "_t", errp);                                       \
                                                                                                 \
        if (ok) {                                                                                \
            *obj = value;                                                                        \
        }                                                                                        \
        return ok;                                                                               \
    }

VISIT_NARROW(8)
VISIT_NARROW(16)
VISIT_NARROW(32)

bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return v->type_int64(v, name, obj, errp);
}

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return v->type_int64(v, name, obj, errp);
}

bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return v->type_uint64(v, name, obj, errp);
}

bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return (v->type_size ? v->type_size : v->type_uint64)(v, name, obj, errp);
}

/* ---- the rest ---- */

bool visit_type_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return v->type_bool(v, name, obj, errp);
}

bool visit_type_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    return v->type_str(v, name, obj, errp);
}

bool visit_type_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    return v->type_number(v, name, obj, errp);
}

bool visit_type_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    return v->type_any(v, name, obj, errp);
}

bool visit_type_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    return v->type_null(v, name, obj, errp);
}

bool visit_type_enum(Visitor *v, const char *name, int *obj, const QEnumLookup *lookup,
                     Error **errp)
{
    g_autofree char *text = NULL;
    char *shown;
    int value;

    switch (v->type) {
    case VISITOR_INPUT:
        if (!v->type_str(v, name, &text, errp)) {
            return false;
        }
        value = qapi_enum_parse(lookup, text, -1, NULL);
        if (value < 0) {
            error_setg(errp, "Parameter '%s' does not accept value '%s'",
                       shown_name(v, name), text);
            return false;
        }
        *obj = value;
        return true;
    case VISITOR_OUTPUT:
        shown = (char *)qapi_enum_lookup(lookup, *obj);
        return v->type_str(v, name, &shown, errp);
    default:
        return true; /* an enum holds nothing to be copied or freed */
    }
}
