/*
 * Copies values of generated types: whatever a visited pointer points to is copied, the pointer
 * set to the copy, and the walk goes on within that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/visitor-impl.h"

static bool clone_start_struct(Visitor *v, const char *name, void **obj, size_t size, Error **errp)
{
    if (obj) {
        *obj = g_memdup2(*obj, size);
    }
    return true;
}

static void clone_end(Visitor *v, void **obj)
{
}

static bool clone_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                             Error **errp)
{
    *list = g_memdup2(*list, *list ? size : 0);
    return true;
}

static GenericList *clone_next_list(Visitor *v, GenericList *tail, size_t size)
{
    tail->next = g_memdup2(tail->next, tail->next ? size : 0);
    return tail->next;
}

static bool clone_start_alternate(Visitor *v, const char *name, GenericAlternate **obj,
                                  size_t size, Error **errp)
{
    *obj = g_memdup2(*obj, size);
    return true;
}

static bool clone_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    *obj = g_strdup(*obj ? *obj : "");
    return true;
}

static bool clone_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return true;
}

static bool clone_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    return true;
}

static bool clone_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    return true;
}

static bool clone_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    return true;
}

/* A real copy rather than another reference, so that it may go to another thread. */
static bool clone_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    QObject *copy = NULL;

    if (*obj && json_object_deep_copy(*obj, &copy, NULL) < 0) {
        g_error("out of memory");
    }
    *obj = copy;
    return true;
}

static void clone_free(Visitor *v)
{
    g_free(v);
}

Visitor *qapi_clone_visitor_new(void)
{
    Visitor *v = g_new0(Visitor, 1);

    *v = (Visitor){
        .type = VISITOR_CLONE,
        .start_struct = clone_start_struct,
        .end_struct = clone_end,
        .start_list = clone_start_list,
        .next_list = clone_next_list,
        .end_list = clone_end,
        .start_alternate = clone_start_alternate,
        .type_int64 = clone_int64,
        .type_uint64 = clone_uint64,
        .type_bool = clone_bool,
        .type_str = clone_str,
        .type_number = clone_number,
        .type_any = clone_any,
        .type_null = clone_any,
        .free = clone_free,
    };
    return v;
}
