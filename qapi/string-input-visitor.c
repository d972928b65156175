/*
 * Text to scalars, enums and arrays of integers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/string-input-visitor.h"
#include "qapi/visitor-impl.h"
#include "qemu/cutils.h"

#define LIST_MAX 65536

/* An integer of 64 bits, signed if it is negative. */
typedef struct Number {
    uint64_t bits;
    bool negative;
} Number;

typedef struct StringInputVisitor {
    Visitor visitor;
    const char *text;
    GArray *list;       /* of Number, while an array is visited */
    size_t next;
} StringInputVisitor;

static StringInputVisitor *to_siv(Visitor *v)
{
    return (StringInputVisitor *)v;
}

static bool bad_value(const char *name, const char *expected, Error **errp)
{
    error_setg(errp, "Invalid parameter type for '%s', expected: %s", name ? name : "null",
               expected);
    return false;
}

/* The number that *AT begins with; *AT is moved behind it. */
static bool parse_number(const char **at, Number *number)
{
    const char *start = *at;
    int64_t value;

    if (qemu_strtoi64(start, at, 0, &value) == 0) {
        *number = (Number){value, value < 0};
        return true;
    }
    number->negative = false;
    /* Too large for a signed number, perhaps. */
    return *start != '-' && qemu_strtou64(start, at, 0, &number->bits) == 0;
}

static bool parse_list(StringInputVisitor *siv, const char *name, Error **errp)
{
    const char *at = siv->text;

    while (*at) {
        Number first, last;

        if (!parse_number(&at, &first)) {
            return bad_value(name, "numbers and ranges, as in 0,4-7", errp);
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!parse_number(&at, &last)) {
                return bad_value(name, "numbers and ranges, as in 0,4-7", errp);
            }
        }
        if (*at && *at != ',') {
            return bad_value(name, "numbers and ranges, as in 0,4-7", errp);
        }
        if (*at && !*++at) {
            return bad_value(name, "numbers and ranges, as in 0,4-7", errp);
        }
        if (first.negative != last.negative
                ? !first.negative
                : (int64_t)(last.bits - first.bits) < 0 || last.bits - first.bits >= LIST_MAX) {
            return bad_value(name, "ranges that go upwards, of at most 65536 numbers", errp);
        }
        /* From a negative to a positive number the bits wrap, which is right. */
        if (last.bits - first.bits >= LIST_MAX - siv->list->len) {
            error_setg(errp, "Parameter '%s' has more than %d numbers", name ? name : "null",
                       LIST_MAX);
            return false;
        }
        for (uint64_t bits = first.bits;; bits++) {
            Number number = {bits, first.negative && (int64_t)bits < 0};

            g_array_append_val(siv->list, number);
            if (bits == last.bits) {
                break;
            }
        }
    }
    return true;
}

static bool string_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                              Error **errp)
{
    StringInputVisitor *siv = to_siv(v);

    *list = NULL;
    if (siv->list) {
        error_setg(errp, "Parameter '%s' can't be given as text", name ? name : "null");
        return false;
    }
    siv->list = g_array_new(false, false, sizeof(Number));
    siv->next = 0;
    if (!parse_list(siv, name, errp)) {
        g_array_free(siv->list, true);
        siv->list = NULL;
        return false;
    }
    if (siv->list->len) {
        *list = g_malloc0(size);
    }
    return true;
}

static GenericList *string_next_list(Visitor *v, GenericList *tail, size_t size)
{
    StringInputVisitor *siv = to_siv(v);

    if (siv->next >= siv->list->len) {
        return NULL;
    }
    tail->next = g_malloc0(size);
    return tail->next;
}

static bool string_check_list(Visitor *v, Error **errp)
{
    StringInputVisitor *siv = to_siv(v);

    if (siv->next < siv->list->len) {
        error_setg(errp, "Only %zu list elements expected", siv->next);
        return false;
    }
    return true;
}

static void string_end_list(Visitor *v, void **list)
{
    StringInputVisitor *siv = to_siv(v);

    g_array_free(siv->list, true);
    siv->list = NULL;
}

/* Objects can't be told by text. */
static bool string_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                                Error **errp)
{
    if (obj) {
        *obj = NULL;
    }
    error_setg(errp, "Parameter '%s' can't be given as text", name ? name : "null");
    return false;
}

static void string_end_struct(Visitor *v, void **obj)
{
}

static bool string_start_alternate(Visitor *v, const char *name, GenericAlternate **obj,
                                   size_t size, Error **errp)
{
    *obj = g_malloc0(size);
    (*obj)->type = QTYPE_QSTRING;
    return true;
}

static bool string_number(Visitor *v, const char *name, Number *number, Error **errp)
{
    StringInputVisitor *siv = to_siv(v);
    const char *at = siv->text;

    if (siv->list) {
        assert(siv->next < siv->list->len);
        *number = g_array_index(siv->list, Number, siv->next++);
        return true;
    }
    return (parse_number(&at, number) && !*at) || bad_value(name, "integer", errp);
}

static bool string_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    Number number;

    if (!string_number(v, name, &number, errp)) {
        return false;
    }
    if (!number.negative && number.bits > INT64_MAX) {
        return bad_value(name, "int64 value", errp);
    }
    *obj = number.bits;
    return true;
}

static bool string_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    Number number;

    if (!string_number(v, name, &number, errp)) {
        return false;
    }
    if (number.negative) {
        return bad_value(name, "uint64 value", errp);
    }
    *obj = number.bits;
    return true;
}

static bool string_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    if (to_siv(v)->list) {
        return string_uint64(v, name, obj, errp);
    }
    return qemu_strtosz(to_siv(v)->text, NULL, obj) == 0 ||
           bad_value(name, "size, as in 4096, 512K or 2G", errp);
}

/* The rest can't be an array's element. */
static bool scalar(Visitor *v, const char *name, Error **errp)
{
    if (to_siv(v)->list) {
        error_setg(errp, "Parameter '%s' can't be given as text", name ? name : "null");
        return false;
    }
    return true;
}

static bool string_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return scalar(v, name, errp) && qapi_bool_parse(name, to_siv(v)->text, obj, errp);
}

static bool string_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    *obj = NULL;
    if (!scalar(v, name, errp)) {
        return false;
    }
    *obj = g_strdup(to_siv(v)->text);
    return true;
}

static bool string_double(Visitor *v, const char *name, double *obj, Error **errp)
{
    if (!scalar(v, name, errp)) {
        return false;
    }
    return qemu_strtod_finite(to_siv(v)->text, NULL, obj) == 0 ||
           bad_value(name, "number", errp);
}

static bool string_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    *obj = NULL;
    if (!scalar(v, name, errp)) {
        return false;
    }
    *obj = json_object_new_string(to_siv(v)->text);
    return true;
}

static bool string_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    *obj = NULL;
    return scalar(v, name, errp) &&
           (!to_siv(v)->text[0] || bad_value(name, "null", errp));
}

/* A member that is asked for is the text. */
static void string_optional(Visitor *v, const char *name, bool *present)
{
    *present = true;
}

static void string_free(Visitor *v)
{
    StringInputVisitor *siv = to_siv(v);

    if (siv->list) {
        g_array_free(siv->list, true);
    }
    g_free(siv);
}

Visitor *string_input_visitor_new(const char *str)
{
    StringInputVisitor *siv = g_new0(StringInputVisitor, 1);

    assert(str);
    siv->visitor = (Visitor){
        .type = VISITOR_INPUT,
        .start_struct = string_start_struct,
        .end_struct = string_end_struct,
        .start_list = string_start_list,
        .next_list = string_next_list,
        .check_list = string_check_list,
        .end_list = string_end_list,
        .start_alternate = string_start_alternate,
        .optional = string_optional,
        .type_int64 = string_int64,
        .type_uint64 = string_uint64,
        .type_size = string_size,
        .type_bool = string_bool,
        .type_str = string_str,
        .type_number = string_double,
        .type_any = string_any,
        .type_null = string_null,
        .free = string_free,
    };
    siv->text = str;
    return &siv->visitor;
}
