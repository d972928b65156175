/*
 * Builds a value of a generated type out of a JSON value, or out of what keyval_parse() made.
 *
 * The JSON value may come from anywhere: every type, range and name is checked here or in
 * qapi-visit-core.c, and errors say where in the value they are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor-impl.h"
#include "qemu/cutils.h"
#include "qemu/keyval.h"

/* An object or array that the walk is in. */
typedef struct Level {
    const char *name;     /* in the level around it; NULL for an array's element */
    QObject *value;       /* borrowed from the root */
    size_t index;         /* arrays: the element that the walk is at, plus one */
    GHashTable *left;     /* objects: names that nobody has visited yet */
} Level;

typedef struct QObjectInputVisitor {
    Visitor visitor;
    QObject *root;
    bool keyval;
    GArray *levels;       /* of Level */
    GString *path;        /* scratch for errors */
} QObjectInputVisitor;

static QObjectInputVisitor *to_qiv(Visitor *v)
{
    return (QObjectInputVisitor *)v;
}

static Level *top(QObjectInputVisitor *qiv)
{
    return qiv->levels->len ? &g_array_index(qiv->levels, Level, qiv->levels->len - 1) : NULL;
}

static void path_step(QObjectInputVisitor *qiv, const Level *around, const char *name)
{
    if (around && json_object_is_type(around->value, json_type_array)) {
        size_t index = around->index ? around->index - 1 : 0;

        g_string_append_printf(qiv->path, qiv->keyval ? ".%zu" : "[%zu]", index);
    } else if (name) {
        g_string_append_printf(qiv->path, "%s%s", qiv->path->len ? "." : "", name);
    }
}

/* The place of member NAME where the walk stands, as "a.b[2].NAME". */
static const char *full_name(Visitor *v, const char *name)
{
    QObjectInputVisitor *qiv = to_qiv(v);

    g_string_truncate(qiv->path, 0);
    for (guint i = 0; i < qiv->levels->len; i++) {
        Level *level = &g_array_index(qiv->levels, Level, i);

        path_step(qiv, i ? level - 1 : NULL, level->name);
    }
    path_step(qiv, top(qiv), name);
    return qiv->path->len ? qiv->path->str : "<anonymous>";
}

/* Find what is visited next. False if it isn't there; a null is there, and NULL. */
static bool input_find(Visitor *v, const char *name, QObject **value, bool consume)
{
    QObjectInputVisitor *qiv = to_qiv(v);
    Level *level = top(qiv);

    if (!level) {
        *value = qiv->root;
        return true;
    }
    if (json_object_is_type(level->value, json_type_array)) {
        assert(!name && level->index);
        *value = json_object_array_get_idx(level->value, level->index - 1);
        return true;
    }
    assert(name);
    if (!json_object_object_get_ex(level->value, name, value)) {
        return false;
    }
    if (consume) {
        g_hash_table_remove(level->left, name);
    }
    return true;
}

static bool wrong_type(Visitor *v, const char *name, const char *expected, Error **errp)
{
    error_setg(errp, "Invalid parameter type for '%s', expected: %s", full_name(v, name),
               expected);
    return false;
}

static bool input_get(Visitor *v, const char *name, QObject **value, Error **errp)
{
    if (input_find(v, name, value, true)) {
        return true;
    }
    error_setg(errp, "Parameter '%s' is missing", full_name(v, name));
    return false;
}

/* A scalar of an option string. */
static bool input_get_text(Visitor *v, const char *name, const char **text, Error **errp)
{
    QObject *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_string)) {
        return wrong_type(v, name, "string", errp);
    }
    *text = json_object_get_string(value);
    return true;
}

static void input_push(Visitor *v, const char *name, QObject *value)
{
    Level level = {.name = name, .value = value};

    if (json_object_is_type(value, json_type_object)) {
        level.left = g_hash_table_new(g_str_hash, g_str_equal);
        json_object_object_foreach(value, key, member) {
            (void)member;
            g_hash_table_add(level.left, key);
        }
    }
    g_array_append_val(to_qiv(v)->levels, level);
}

static void input_pop(Visitor *v, void **obj)
{
    QObjectInputVisitor *qiv = to_qiv(v);
    Level *level = top(qiv);

    assert(level);
    if (level->left) {
        g_hash_table_destroy(level->left);
    }
    g_array_set_size(qiv->levels, qiv->levels->len - 1);
}

static bool input_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                               Error **errp)
{
    QObject *value;

    if (obj) {
        *obj = NULL;
    }
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_object)) {
        return wrong_type(v, name, "object", errp);
    }
    input_push(v, name, value);
    if (obj) {
        *obj = g_malloc0(size);
    }
    return true;
}

static bool input_check_struct(Visitor *v, Error **errp)
{
    Level *level = top(to_qiv(v));

    /* In the order of the value, so that the complaint is always the same. */
    json_object_object_foreach(level->value, key, member) {
        (void)member;
        if (g_hash_table_contains(level->left, key)) {
            error_setg(errp, "Parameter '%s' is unexpected", full_name(v, key));
            return false;
        }
    }
    return true;
}

static bool input_start_list(Visitor *v, const char *name, GenericList **list, size_t size,
                             Error **errp)
{
    QObject *value;

    if (list) {
        *list = NULL;
    }
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_array)) {
        return wrong_type(v, name, "array", errp);
    }
    input_push(v, name, value);
    if (list && json_object_array_length(value)) {
        *list = g_malloc0(size);
        top(to_qiv(v))->index = 1;
    }
    return true;
}

static GenericList *input_next_list(Visitor *v, GenericList *tail, size_t size)
{
    Level *level = top(to_qiv(v));

    if (level->index >= json_object_array_length(level->value)) {
        return NULL;
    }
    level->index++;
    tail->next = g_malloc0(size);
    return tail->next;
}

static bool input_check_list(Visitor *v, Error **errp)
{
    Level *level = top(to_qiv(v));
    size_t length = json_object_array_length(level->value);

    if (level->index < length) {
        error_setg(errp, "Only %zu list elements expected in %s", level->index,
                   full_name(v, NULL));
        return false;
    }
    return true;
}

static bool input_start_alternate(Visitor *v, const char *name, GenericAlternate **obj,
                                  size_t size, Error **errp)
{
    static const QType of_json[] = {
        [json_type_null] = QTYPE_QNULL,     [json_type_boolean] = QTYPE_QBOOL,
        [json_type_double] = QTYPE_QNUM,    [json_type_int] = QTYPE_QNUM,
        [json_type_object] = QTYPE_QDICT,   [json_type_array] = QTYPE_QLIST,
        [json_type_string] = QTYPE_QSTRING,
    };
    QObject *value;

    *obj = NULL;
    if (!input_find(v, name, &value, false)) {
        error_setg(errp, "Parameter '%s' is missing", full_name(v, name));
        return false;
    }
    *obj = g_malloc0(size);
    (*obj)->type = of_json[json_object_get_type(value)];
    return true;
}

static void input_optional(Visitor *v, const char *name, bool *present)
{
    QObject *value;

    *present = input_find(v, name, &value, false);
}

static bool input_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    QObject *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_int)) {
        return wrong_type(v, name, "integer", errp);
    }
    /* json-c keeps what is beyond INT64_MAX as unsigned, and would cut it off here. */
    if (json_object_get_int64(value) == INT64_MAX && json_object_get_uint64(value) > INT64_MAX) {
        return wrong_type(v, name, "integer", errp);
    }
    *obj = json_object_get_int64(value);
    return true;
}

static bool input_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    QObject *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_int)) {
        error_setg(errp, "Parameter '%s' expects uint64", full_name(v, name));
        return false;
    }
    /* As in QEMU, -1 is another way to write the largest one; json-c would make it 0. */
    *obj = json_object_get_int64(value) < 0 ? (uint64_t)json_object_get_int64(value)
                                            : json_object_get_uint64(value);
    return true;
}

static bool input_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    QObject *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_boolean)) {
        return wrong_type(v, name, "boolean", errp);
    }
    *obj = json_object_get_boolean(value);
    return true;
}

static bool input_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    QObject *value;

    *obj = NULL;
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_string)) {
        return wrong_type(v, name, "string", errp);
    }
    if (strlen(json_object_get_string(value)) != json_object_get_string_len(value)) {
        return wrong_type(v, name, "string without zero bytes", errp);
    }
    *obj = g_strdup(json_object_get_string(value));
    return true;
}

static bool input_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    QObject *value;

    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    if (!json_object_is_type(value, json_type_double) &&
        !json_object_is_type(value, json_type_int)) {
        return wrong_type(v, name, "number", errp);
    }
    *obj = json_object_get_double(value);
    return true;
}

static bool input_any(Visitor *v, const char *name, QObject **obj, Error **errp)
{
    QObject *value;

    *obj = NULL;
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    *obj = json_object_get(value);
    return true;
}

static bool input_null(Visitor *v, const char *name, QNull **obj, Error **errp)
{
    QObject *value;

    *obj = NULL;
    if (!input_get(v, name, &value, errp)) {
        return false;
    }
    return value ? wrong_type(v, name, "null", errp) : true;
}

/* ---- option strings: scalars are text ---- */

static bool keyval_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    const char *text;

    if (!input_get_text(v, name, &text, errp)) {
        return false;
    }
    return qemu_strtoi64(text, NULL, 0, obj) == 0 || wrong_type(v, name, "integer", errp);
}

static bool keyval_uint64(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    const char *text;

    if (!input_get_text(v, name, &text, errp)) {
        return false;
    }
    if (parse_uint_full(text, 0, obj) != 0) {
        error_setg(errp, "Parameter '%s' expects uint64", full_name(v, name));
        return false;
    }
    return true;
}

static bool keyval_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    const char *text;

    if (!input_get_text(v, name, &text, errp)) {
        return false;
    }
    return qemu_strtosz(text, NULL, obj) == 0 ||
           wrong_type(v, name, "size, as in 4096, 512K or 2G", errp);
}

static bool keyval_bool(Visitor *v, const char *name, bool *obj, Error **errp)
{
    const char *text;

    if (!input_get_text(v, name, &text, errp)) {
        return false;
    }
    return qapi_bool_parse(full_name(v, name), text, obj, errp);
}

static bool keyval_number(Visitor *v, const char *name, double *obj, Error **errp)
{
    const char *text;

    if (!input_get_text(v, name, &text, errp)) {
        return false;
    }
    return qemu_strtod_finite(text, NULL, obj) == 0 || wrong_type(v, name, "number", errp);
}

static void input_free(Visitor *v)
{
    QObjectInputVisitor *qiv = to_qiv(v);

    while (qiv->levels->len) {
        input_pop(v, NULL);
    }
    g_array_free(qiv->levels, true);
    g_string_free(qiv->path, true);
    json_object_put(qiv->root);
    g_free(qiv);
}

static QObjectInputVisitor *input_new(QObject *obj)
{
    QObjectInputVisitor *qiv = g_new0(QObjectInputVisitor, 1);

    qiv->visitor = (Visitor){
        .type = VISITOR_INPUT,
        .start_struct = input_start_struct,
        .check_struct = input_check_struct,
        .end_struct = input_pop,
        .start_list = input_start_list,
        .next_list = input_next_list,
        .check_list = input_check_list,
        .end_list = input_pop,
        .start_alternate = input_start_alternate,
        .optional = input_optional,
        .type_int64 = input_int64,
        .type_uint64 = input_uint64,
        .type_bool = input_bool,
        .type_str = input_str,
        .type_number = input_number,
        .type_any = input_any,
        .type_null = input_null,
        .full_name = full_name,
        .free = input_free,
    };
    qiv->root = json_object_get(obj);
    qiv->levels = g_array_new(false, false, sizeof(Level));
    qiv->path = g_string_new(NULL);
    return qiv;
}

Visitor *qobject_input_visitor_new(QObject *obj)
{
    return &input_new(obj)->visitor;
}

Visitor *qobject_input_visitor_new_keyval(QObject *obj)
{
    QObjectInputVisitor *qiv = input_new(obj);

    qiv->keyval = true;
    qiv->visitor.type_int64 = keyval_int64;
    qiv->visitor.type_uint64 = keyval_uint64;
    qiv->visitor.type_size = keyval_size;
    qiv->visitor.type_bool = keyval_bool;
    qiv->visitor.type_number = keyval_number;
    return &qiv->visitor;
}

Visitor *qobject_input_visitor_new_str(const char *str, const char *implied_key, Error **errp)
{
    bool is_json = str[0] == '{';
    QObject *value = is_json ? qobject_from_json(str, errp)
                             : keyval_parse(str, implied_key, NULL, errp);
    Visitor *v = NULL;

    if (value) {
        v = is_json ? qobject_input_visitor_new(value) : qobject_input_visitor_new_keyval(value);
        json_object_put(value);
    }
    return v;
}
