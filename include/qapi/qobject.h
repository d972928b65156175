/*
 * QObject: a JSON value.  It is json-c's struct json_object under the name that the interface code
 * uses; QDict, QList, QString … are the same struct where only that kind of value makes sense.
 *
 * Ownership: json_object_get()/json_object_put() count references; a new value has one.
 * JSON's null is the NULL pointer, as in json-c.
 *
 * Threads: the counts are plain integers.  A value may be handed from one thread to another, but
 * two threads may not share one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QOBJECT_H
#define QAPI_QOBJECT_H

#include "qemu/osdep.h"
#include "qemu/typedefs.h"
#include <json-c/json.h>

typedef struct json_object QDict;
typedef struct json_object QList;
typedef struct json_object QNull; /* always NULL */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QObject, json_object_put)

static inline QObject *qobject_ref(QObject *obj)
{
    return json_object_get(obj);
}

static inline void qobject_unref(QObject *obj)
{
    json_object_put(obj);
}

/*
 * Parse all of STRING, which must be one JSON value in UTF-8.  Beyond JSON, strings may stand in
 * single quotes.  Nesting and length are bounded; numbers without fraction that don't fit 64 bits
 * become doubles; a zero byte in a string is refused.  A null leaves NULL without an error, so
 * look at *errp (which must not be NULL then) where a null can come.
 */
QObject *qobject_from_json(const char *string, Error **errp);
/* The same for LEN bytes that need no terminator. */
QObject *qobject_from_json_len(const char *string, size_t len, Error **errp);

/* JSON text of OBJ on one line, or indented; the caller frees it with g_free(). */
char *qobject_to_json(const QObject *obj);
char *qobject_to_json_pretty(const QObject *obj, bool pretty);

#define QOBJECT_JSON_MAX_DEPTH 1024
#define QOBJECT_JSON_MAX_SIZE (64 * 1024 * 1024)

/* Access to objects ("dicts"), by the names that monitor code knows. */

static inline QDict *qdict_new(void)
{
    return json_object_new_object();
}

static inline bool qdict_haskey(const QDict *dict, const char *key)
{
    return json_object_object_get_ex(dict, key, NULL);
}

/* NULL if KEY is not there (or null). Borrowed. */
static inline QObject *qdict_get(const QDict *dict, const char *key)
{
    QObject *value = NULL;

    json_object_object_get_ex(dict, key, &value);
    return value;
}

/* NULL if KEY is not there or no string. Borrowed. */
static inline const char *qdict_get_try_str(const QDict *dict, const char *key)
{
    QObject *value = qdict_get(dict, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static inline int64_t qdict_get_try_int(const QDict *dict, const char *key, int64_t def)
{
    QObject *value = qdict_get(dict, key);

    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : def;
}

static inline bool qdict_get_try_bool(const QDict *dict, const char *key, bool def)
{
    QObject *value = qdict_get(dict, key);

    return json_object_is_type(value, json_type_boolean) ? json_object_get_boolean(value) : def;
}

/* These want KEY to be there, of the right type. */
static inline const char *qdict_get_str(const QDict *dict, const char *key)
{
    const char *value = qdict_get_try_str(dict, key);

    assert(value);
    return value;
}

static inline int64_t qdict_get_int(const QDict *dict, const char *key)
{
    QObject *value = qdict_get(dict, key);

    assert(json_object_is_type(value, json_type_int));
    return json_object_get_int64(value);
}

static inline bool qdict_get_bool(const QDict *dict, const char *key)
{
    QObject *value = qdict_get(dict, key);

    assert(json_object_is_type(value, json_type_boolean));
    return json_object_get_boolean(value);
}

/* Takes over the caller's reference to VALUE. */
static inline void qdict_put_obj(QDict *dict, const char *key, QObject *value)
{
    json_object_object_add(dict, key, value);
}

static inline void qdict_put_str(QDict *dict, const char *key, const char *value)
{
    json_object_object_add(dict, key, json_object_new_string(value));
}

static inline void qdict_put_int(QDict *dict, const char *key, int64_t value)
{
    json_object_object_add(dict, key, json_object_new_int64(value));
}

static inline void qdict_put_bool(QDict *dict, const char *key, bool value)
{
    json_object_object_add(dict, key, json_object_new_boolean(value));
}

static inline void qdict_del(QDict *dict, const char *key)
{
    json_object_object_del(dict, key);
}

static inline size_t qdict_size(const QDict *dict)
{
    return json_object_object_length(dict);
}

#endif
