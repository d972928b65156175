/*
 * JSONWriter: a stack of open json-c containers.  See migration/json-writer.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/json-writer.h"
#include "qapi/qobject.h"

struct JSONWriter {
    json_object *root;
    GPtrArray *open; /* containers from the root to the innermost; owned by their parents */
    bool pretty;
    char *text; /* of the finished document */
};

JSONWriter *json_writer_new(bool pretty)
{
    JSONWriter *w = g_new0(JSONWriter, 1);

    w->open = g_ptr_array_new();
    w->pretty = pretty;
    return w;
}

void json_writer_free(JSONWriter *w)
{
    if (w) {
        json_object_put(w->root);
        g_ptr_array_free(w->open, TRUE);
        g_free(w->text);
        g_free(w);
    }
}

const char *json_writer_get(JSONWriter *w)
{
    assert(w->open->len == 0 && w->root);
    g_free(w->text);
    w->text = w->pretty ? qobject_to_json_pretty(w->root, true) : qobject_to_json(w->root);
    return w->text;
}

static void add(JSONWriter *w, const char *name, json_object *value)
{
    json_object *parent = w->open->len ? g_ptr_array_index(w->open, w->open->len - 1) : NULL;

    if (!parent) {
        assert(!w->root && !name);
        w->root = value;
    } else if (json_object_is_type(parent, json_type_array)) {
        assert(!name);
        json_object_array_add(parent, value);
    } else {
        assert(name);
        json_object_object_add(parent, name, value);
    }
}

static void start(JSONWriter *w, const char *name, json_object *container)
{
    add(w, name, container);
    g_ptr_array_add(w->open, container);
}

static void end(JSONWriter *w)
{
    assert(w->open->len);
    g_ptr_array_set_size(w->open, w->open->len - 1);
}

void json_writer_start_object(JSONWriter *w, const char *name)
{
    start(w, name, json_object_new_object());
}

void json_writer_end_object(JSONWriter *w)
{
    end(w);
}

void json_writer_start_array(JSONWriter *w, const char *name)
{
    start(w, name, json_object_new_array());
}

void json_writer_end_array(JSONWriter *w)
{
    end(w);
}

void json_writer_bool(JSONWriter *w, const char *name, bool val)
{
    add(w, name, json_object_new_boolean(val));
}

void json_writer_int64(JSONWriter *w, const char *name, int64_t val)
{
    add(w, name, json_object_new_int64(val));
}

void json_writer_uint64(JSONWriter *w, const char *name, uint64_t val)
{
    add(w, name, json_object_new_uint64(val));
}

void json_writer_str(JSONWriter *w, const char *name, const char *str)
{
    add(w, name, json_object_new_string(str));
}
