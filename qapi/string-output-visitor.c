/*
 * Scalars, enums and arrays of integers to text.
 *
 * Elements of an array are collected, and written as ranges when it ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/string-output-visitor.h"
#include "qapi/visitor-impl.h"
#include "qemu/cutils.h"

typedef struct StringOutputVisitor {
    Visitor visitor;
    bool human;
    GString *text;
    char **result;
    unsigned depth;     /* of objects and arrays; only an array at the root is shown */
    GArray *list;       /* of uint64_t, of an array at the root; NULL where none is */
    bool list_signed;
    bool list_other;    /* it has elements that are no integers */
} StringOutputVisitor;

static StringOutputVisitor *to_sov(Visitor *v)
{
    return (StringOutputVisitor *)v;
}

/* Whether a scalar that is no integer is to be written; not within objects and arrays. */
static bool at_root(StringOutputVisitor *sov)
{
    if (sov->list && sov->depth == 1) {
        sov->list_other = true;
    }
    return sov->depth == 0;
}

static bool sov_integer(StringOutputVisitor *sov, uint64_t bits, bool is_signed)
{
    if (sov->list && sov->depth == 1) {
        g_array_append_val(sov->list, bits);
        sov->list_signed = is_signed;
        return true;
    }
    if (sov->depth == 0) {
        if (is_signed) {
            g_string_append_printf(sov->text, "%" PRId64, (int64_t)bits);
        } else {
            g_string_append_printf(sov->text, "%" PRIu64, bits);
        }
        if (sov->human) {
            g_string_append_printf(sov->text, " (%#" PRIx64 ")", bits);
        }
    }
    return true;
}

static bool sov_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return sov_integer(to_sov(v), *obj, true);
}

static bool sov_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return sov_integer(to_sov(v), *obj, false);
}

static bool sov_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    StringOutputVisitor *sov = to_sov(v);
    g_autofree char *pretty = NULL;

    if (!sov->human || sov->depth) {
        return sov_integer(sov, *obj, false);
    }
    pretty = size_to_str(*obj);
    g_string_append_printf(sov->text, "%" PRIu64 " (%s)", *obj, pretty);
    return true;
}

static bool sov_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    if (at_root(to_sov(v))) {
        g_string_append(to_sov(v)->text, *obj ? "true" : "false");
    }
    return true;
}

static bool sov_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    StringOutputVisitor *sov = to_sov(v);

    if (at_root(sov)) {
        if (!sov->human) {
            g_string_append(sov->text, *obj ? *obj : "");
        } else if (*obj) {
            g_string_append_printf(sov->text, "\"%s\"", *obj);
        } else {
            g_string_append(sov->text, "<null>");
        }
    }
    return true;
}

static bool sov_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    if (at_root(to_sov(v))) {
        g_string_append_printf(to_sov(v)->text, "%.17g", *obj);
    }
    return true;
}

static bool sov_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    if (at_root(to_sov(v))) {
        g_autofree char *json = qobject_to_json(*obj);

        g_string_append(to_sov(v)->text, json);
    }
    return true;
}

static bool sov_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    if (at_root(to_sov(v))) {
        g_string_append(to_sov(v)->text, to_sov(v)->human ? "<null>" : "");
    }
    return true;
}

static bool sov_start_struct(Visitor *v, const char *name, void **obj, size_t size, Error **errp)
{
    StringOutputVisitor *sov = to_sov(v);

    if (at_root(sov)) {
        g_string_append(sov->text, "<omitted>");
    }
    sov->depth++;
    return true;
}

static void sov_end_struct(Visitor *v, void **obj)
{
    to_sov(v)->depth--;
}

static bool sov_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                           Error **errp)
{
    StringOutputVisitor *sov = to_sov(v);

    if (at_root(sov)) {
        sov->list = g_array_new(false, false, sizeof(uint64_t));
        sov->list_other = false;
    }
    sov->depth++;
    return true;
}

static GenericList *sov_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return tail->next;
}

/* All ranges of the array, in decimal or in hexadecimal. */
static void write_ranges(StringOutputVisitor *sov, bool hex)
{
    const uint64_t *values = (const uint64_t *)sov->list->data;

    for (guint i = 0; i < sov->list->len;) {
        guint end = i + 1;

        while (end < sov->list->len && values[end] == values[end - 1] + 1) {
            end++;
        }
        g_string_append(sov->text, i ? "," : "");
        for (guint part = i;; part = end - 1) {
            if (hex) {
                g_string_append_printf(sov->text, "0x%" PRIx64, values[part]);
            } else if (sov->list_signed) {
                g_string_append_printf(sov->text, "%" PRId64, (int64_t)values[part]);
            } else {
                g_string_append_printf(sov->text, "%" PRIu64, values[part]);
            }
            if (part == end - 1) {
                break;
            }
            g_string_append_c(sov->text, '-');
        }
        i = end;
    }
}

static void sov_end_list(Visitor *v, void **obj)
{
    StringOutputVisitor *sov = to_sov(v);

    sov->depth--;
    if (sov->depth || !sov->list) {
        return;
    }
    if (sov->list_other) {
        g_string_append(sov->text, "<omitted>");
    } else {
        write_ranges(sov, false);
        if (sov->human && sov->list->len) {
            g_string_append(sov->text, " (");
            write_ranges(sov, true);
            g_string_append_c(sov->text, ')');
        }
    }
    g_array_free(sov->list, true);
    sov->list = NULL;
}

static void sov_complete(Visitor *v, void *opaque)
{
    StringOutputVisitor *sov = to_sov(v);

    assert(opaque == sov->result);
    *sov->result = g_string_free(sov->text, false);
    sov->text = NULL;
}

static void sov_free(Visitor *v)
{
    StringOutputVisitor *sov = to_sov(v);

    if (sov->text) {
        g_string_free(sov->text, true);
    }
    if (sov->list) {
        g_array_free(sov->list, true);
    }
    g_free(sov);
}

Visitor *string_output_visitor_new(bool human, char **result)
{
    StringOutputVisitor *sov = g_new0(StringOutputVisitor, 1);

    sov->visitor = (Visitor){
        .type = VISITOR_OUTPUT,
        .start_struct = sov_start_struct,
        .end_struct = sov_end_struct,
        .start_list = sov_start_list,
        .next_list = sov_next_list,
        .end_list = sov_end_list,
        .type_int64 = sov_int64,
        .type_uint64 = sov_uint64,
        .type_size = sov_size,
        .type_bool = sov_bool,
        .type_str = sov_str,
        .type_number = sov_number,
        .type_any = sov_any,
        .type_null = sov_null,
        .complete = sov_complete,
        .free = sov_free,
    };
    sov->human = human;
    sov->text = g_string_new(NULL);
    *result = NULL;
    sov->result = result;
    return &sov->visitor;
}
