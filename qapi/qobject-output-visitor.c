/*
 * Builds a JSON value out of a value of a generated type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qobject-output-visitor.h"
#include "qapi/visitor-impl.h"
#include <math.h>

typedef struct QObjectOutputVisitor {
    Visitor visitor;
    GPtrArray *open;  /* objects and arrays around the current place; borrowed */
    QObject *root;
    QObject **result;
} QObjectOutputVisitor;

/* Put VALUE where the walk stands; takes it over. */
static bool output_add(Visitor *v, const char *name, QObject *value)
{
    QObjectOutputVisitor *qov = (QObjectOutputVisitor *)v;
    QObject *parent;

    if (qov->open->len == 0) {
        /* Visiting a second root replaces the first. */
        json_object_put(qov->root);
        qov->root = value;
        return true;
    }
    parent = g_ptr_array_index(qov->open, qov->open->len - 1);
    if (json_object_is_type(parent, json_type_array)) {
        json_object_array_add(parent, value);
    } else {
        assert(name);
        json_object_object_add(parent, name, value);
    }
    return true;
}

static bool output_open(Visitor *v, const char *name, QObject *value)
{
    QObjectOutputVisitor *qov = (QObjectOutputVisitor *)v;

    output_add(v, name, value);
    g_ptr_array_add(qov->open, value);
    return true;
}

static void output_close(Visitor *v, void **obj)
{
    QObjectOutputVisitor *qov = (QObjectOutputVisitor *)v;

    assert(qov->open->len > 0);
    g_ptr_array_set_size(qov->open, qov->open->len - 1);
}

static bool output_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                                Error **errp)
{
    return output_open(v, name, json_object_new_object());
}

static bool output_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                              Error **errp)
{
    return output_open(v, name, json_object_new_array());
}

static GenericList *output_next_list(Visitor *v, GenericList *tail, size_t size)
{
    return tail->next;
}

static bool output_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return output_add(v, name, json_object_new_int64(*obj));
}

static bool output_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return output_add(v, name, json_object_new_uint64(*obj));
}

static bool output_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return output_add(v, name, json_object_new_boolean(*obj));
}

static bool output_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    return output_add(v, name, json_object_new_string(*obj ? *obj : ""));
}

static bool output_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    double value = *obj;

    if (!isfinite(value)) {
        value = isnan(value) ? 0 : copysign(DBL_MAX, value);
    }
    return output_add(v, name, json_object_new_double(value));
}

static bool output_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    return output_add(v, name, json_object_get(*obj));
}

static bool output_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    return output_add(v, name, NULL);
}

static void output_complete(Visitor *v, void *opaque)
{
    QObjectOutputVisitor *qov = (QObjectOutputVisitor *)v;

    assert(qov->open->len == 0 && opaque == qov->result);
    *qov->result = qov->root;
    qov->root = NULL;
}

static void output_free(Visitor *v)
{
    QObjectOutputVisitor *qov = (QObjectOutputVisitor *)v;

    g_ptr_array_free(qov->open, true);
    json_object_put(qov->root);
    g_free(qov);
}

Visitor *qobject_output_visitor_new(QObject **result)
{
    QObjectOutputVisitor *qov = g_new0(QObjectOutputVisitor, 1);

    qov->visitor = (Visitor){
        .type = VISITOR_OUTPUT,
        .start_struct = output_start_struct,
        .end_struct = output_close,
        .start_list = output_start_list,
        .next_list = output_next_list,
        .end_list = output_close,
        .type_int64 = output_int64,
        .type_uint64 = output_uint64,
        .type_bool = output_bool,
        .type_str = output_str,
        .type_number = output_number,
        .type_any = output_any,
        .type_null = output_null,
        .complete = output_complete,
        .free = output_free,
    };
    qov->open = g_ptr_array_new();
    *result = NULL;
    qov->result = result;
    return &qov->visitor;
}
