/*
 * Option strings to objects: "size=1G,policy=bind,host-nodes.0=1".
 *
 * Works in two steps.  First every part is stored under its key, whose dots make nested objects;
 * then objects all of whose keys are numbers are turned into arrays.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qemu/cutils.h"
#include "qemu/keyval.h"

/* Bounds what one key can cost: its levels are walked recursively. */
#define KEY_MAX_LEN 1024
#define FRAGMENT_MAX_LEN 127
#define INDEX_MAX_LEN 9

static bool is_help(const char *text, size_t len)
{
    return (len == 4 && !memcmp(text, "help", 4)) || (len == 1 && text[0] == '?');
}

/* Length of the number that TEXT begins with, if it is nothing else up to a dot or its end. */
static size_t index_length(const char *text)
{
    size_t len = strspn(text, "0123456789");

    return text[len] == 0 || text[len] == '.' ? len : 0;
}

/* Store VALUE under KEY, making objects on the way. */
static bool keyval_store(QDict *root, const char *key, const char *value, Error **errp)
{
    QDict *dict = root;
    const char *at = key;

    if (strlen(key) > KEY_MAX_LEN) {
        error_setg(errp, "Invalid parameter '%.32s...': the key is too long", key);
        return false;
    }
    for (;;) {
        size_t len = strcspn(at, ".");
        g_autofree char *name = g_strndup(at, len);
        bool last = at[len] == 0;
        QObject *there = NULL;
        bool found;

        /* Numbers stand for elements of an array, so they can't come first. */
        if (len == 0 || len > FRAGMENT_MAX_LEN ||
            (parse_qapi_name(name, true) < 0 &&
             (at == key || !index_length(name) || len > INDEX_MAX_LEN))) {
            error_setg(errp, "Invalid parameter '%s'", key);
            return false;
        }
        found = json_object_object_get_ex(dict, name, &there);
        if (found && json_object_is_type(there, json_type_string) != last) {
            error_setg(errp, "Parameters '%.*s.*' used inconsistently", (int)(at + len - key),
                       key);
            return false;
        }
        if (last) {
            json_object_object_add(dict, name, json_object_new_string(value));
            return true;
        }
        if (!found) {
            there = json_object_new_object();
            json_object_object_add(dict, name, there);
        }
        dict = there;
        at += len + 1;
    }
}

/* The value that AT begins with, ",," undone; AT is moved behind it and its comma. */
static char *keyval_value(const char **at)
{
    GString *value = g_string_new(NULL);
    const char *p = *at;

    while (*p && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        g_string_append_c(value, *p++);
    }
    *at = *p ? p + 1 : p;
    return g_string_free(value, false);
}

static bool keyval_parts(QDict *dict, const char *params, const char *implied_key, bool *help,
                         Error **errp)
{
    const char *at = params;

    while (*at) {
        size_t len = strcspn(at, "=,");
        g_autofree char *key = NULL;
        g_autofree char *value = NULL;

        if (at[len] != '=' && help && is_help(at, len)) {
            *help = true;
            at += len + (at[len] == ',');
            continue;
        }
        if (at[len] == '=') {
            key = g_strndup(at, len);
            at += len + 1;
        } else if (implied_key && at == params && len) {
            key = g_strdup(implied_key);
        } else if (len) {
            error_setg(errp, "Expected '=' after parameter '%.*s'", (int)MIN(len, 128), at);
            return false;
        } else {
            error_setg(errp, "Invalid parameter ''");
            return false;
        }
        value = keyval_value(&at);
        if (!keyval_store(dict, key, value, errp)) {
            return false;
        }
    }
    return true;
}

/* An array of what the object DICT has under 0, 1, 2 …; PATH is where it is, for errors. */
static QObject *keyval_array(QDict *dict, const char *path, Error **errp)
{
    int count = json_object_object_length(dict);
    QObject *array = json_object_new_array_ext(count);

    for (int i = 0; i < count; i++) {
        g_autofree char *index = g_strdup_printf("%d", i);
        QObject *value;

        if (!json_object_object_get_ex(dict, index, &value)) {
            error_setg(errp, "Parameter '%s.%d' missing", path, i);
            json_object_put(array);
            return NULL;
        }
        json_object_array_add(array, json_object_get(value));
    }
    return array;
}

/* What VALUE becomes when its objects that are arrays are made so: a new reference, or NULL. */
static QObject *keyval_listify(QObject *value, const char *path, Error **errp)
{
    QObject *copy, *result;
    int indexes = 0, names = 0;

    if (!json_object_is_type(value, json_type_object)) {
        return json_object_get(value);
    }
    copy = json_object_new_object();
    json_object_object_foreach(value, key, member) {
        g_autofree char *inner = g_strdup_printf("%s%s%s", path, *path ? "." : "", key);
        QObject *done = keyval_listify(member, inner, errp);

        if (!done) {
            json_object_put(copy);
            return NULL;
        }
        if (g_ascii_isdigit(key[0])) {
            /* "00" and "0" are the same element. */
            g_autofree char *index = g_strdup_printf("%d", atoi(key));

            json_object_object_add(copy, index, done);
            indexes++;
        } else {
            json_object_object_add(copy, key, done);
            names++;
        }
    }
    if (!indexes) {
        return copy;
    }
    if (names) {
        error_setg(errp, "Parameters '%s.*' used inconsistently", path);
        result = NULL;
    } else {
        result = keyval_array(copy, path, errp);
    }
    json_object_put(copy);
    return result;
}

static bool merge_into(QDict *old, const QDict *new_values, const char *path, Error **errp)
{
    json_object_object_foreach((QDict *)new_values, key, value) {
        QObject *there = NULL;

        if (!json_object_object_get_ex(old, key, &there)) {
            json_object_object_add(old, key, json_object_get(value));
            continue;
        }
        if (json_object_get_type(there) != json_object_get_type(value)) {
            error_setg(errp, "Parameter '%s%s%s' used inconsistently", path, *path ? "." : "",
                       key);
            return false;
        }
        if (json_object_is_type(value, json_type_object)) {
            g_autofree char *inner = g_strdup_printf("%s%s%s", path, *path ? "." : "", key);

            if (!merge_into(there, value, inner, errp)) {
                return false;
            }
        } else if (json_object_is_type(value, json_type_array)) {
            for (size_t i = 0; i < json_object_array_length(value); i++) {
                json_object_array_add(there,
                                      json_object_get(json_object_array_get_idx(value, i)));
            }
        } else {
            json_object_object_add(old, key, json_object_get(value));
        }
    }
    return true;
}

void keyval_merge(QDict *old, const QDict *new_values, Error **errp)
{
    merge_into(old, new_values, "", errp);
}

QDict *keyval_parse_into(QDict *qdict, const char *params, const char *implied_key, bool *help,
                         Error **errp)
{
    g_autoptr(QObject) flat = json_object_new_object();
    g_autoptr(QObject) shaped = NULL;
    bool wants_help = false;
    bool ok = keyval_parts(flat, params, implied_key, help ? &wants_help : NULL, errp);

    if (help) {
        *help = wants_help;
    }
    if (!ok) {
        return NULL;
    }
    shaped = keyval_listify(flat, "", errp);
    if (!shaped || !merge_into(qdict, shaped, "", errp)) {
        return NULL;
    }
    return qdict;
}

QDict *keyval_parse(const char *params, const char *implied_key, bool *help, Error **errp)
{
    QDict *dict = json_object_new_object();

    if (!keyval_parse_into(dict, params, implied_key, help, errp)) {
        json_object_put(dict);
        return NULL;
    }
    return dict;
}
