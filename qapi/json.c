/*
 * JSON text and values.
 *
 * json-c does the parsing, but takes more than JSON in some places and loses information in
 * others.  So the text is checked first, token by token, and put into the form that json-c
 * understands without doubt: strings in double quotes, and no integers that it would cut off. A key
 * that is twice in an object is refused, as json-c would keep one of the values without a word.
 *
 * Writing is done here to have the form that clients of QEMU have seen for years: a space behind
 * ':' and ',', only ASCII.
 *
 * Relies on: json-c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qobject.h"
#include <math.h>

/* ---- reading ---- */

typedef struct Scanner {
    const char *text;
    size_t len;
    size_t at;
    GString *out;
    GPtrArray *keys;    /* of GHashTable *: those of each open object; NULL for an open array */
    bool key_next;      /* a string that comes now is a key, if it comes in an object */
    Error **errp;
} Scanner;

static bool scan_fail(Scanner *s, const char *what)
{
    error_setg(s->errp, "JSON parse error, %s at byte %zu", what, s->at);
    return false;
}

static unsigned code_unit(const char *digits)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++) {
        value = value << 4 | g_ascii_xdigit_value(digits[i]);
    }
    return value;
}

/* An escape with four @digits. Characters beyond 16 bits take two of them, one of each kind. */
static bool scan_code_unit(Scanner *s, const char *digits)
{
    unsigned value = code_unit(digits);
    size_t len = 6;
    bool ok = value < 0xd800 || value > 0xdfff;

    if (value == 0) {
        return scan_fail(s, "\\u0000 is not supported");
    }
    if (value >= 0xd800 && value < 0xdc00 && s->len - s->at >= 12 && digits[4] == '\\' &&
        digits[5] == 'u') {
        len = 12;
        ok = true;
        for (int i = 6; i < 10; i++) {
            ok &= g_ascii_isxdigit(digits[i]);
        }
        ok = ok && code_unit(digits + 6) >> 10 == 0xdc00 >> 10;
    }
    if (!ok) {
        error_setg(s->errp, "JSON parse error, \\u%.4s is not a valid Unicode character", digits);
        return false;
    }
    g_string_append_len(s->out, s->text + s->at, len);
    s->at += len;
    return true;
}

/* After the backslash at s->at. */
static bool scan_escape(Scanner *s)
{
    char c = s->at + 1 < s->len ? s->text[s->at + 1] : 0;
    const char *digits = s->text + s->at + 2;

    switch (c) {
    case '\'':
        g_string_append_c(s->out, '\'');
        s->at += 2;
        return true;
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        g_string_append_len(s->out, s->text + s->at, 2);
        s->at += 2;
        return true;
    case 'u':
        if (s->len - s->at < 6) {
            return scan_fail(s, "incomplete \\u escape");
        }
        for (int i = 0; i < 4; i++) {
            if (!g_ascii_isxdigit(digits[i])) {
                return scan_fail(s, "\\u is not followed by four hexadecimal digits");
            }
        }
        return scan_code_unit(s, digits);
    default:
        return scan_fail(s, "unknown escape in a string");
    }
}

static bool scan_string(Scanner *s)
{
    char quote = s->text[s->at++];

    g_string_append_c(s->out, '"');
    while (s->at < s->len) {
        char c = s->text[s->at];

        if (c == quote) {
            g_string_append_c(s->out, '"');
            s->at++;
            return true;
        }
        if (c == '\\') {
            if (!scan_escape(s)) {
                return false;
            }
            continue;
        }
        if ((unsigned char)c < 0x20) {
            return scan_fail(s, "control character in a string");
        }
        if (c == '"') {
            g_string_append_c(s->out, '\\');
        }
        g_string_append_c(s->out, c);
        s->at++;
    }
    return scan_fail(s, "a string is not closed");
}

static size_t scan_digits(Scanner *s)
{
    size_t start = s->at;

    while (s->at < s->len && g_ascii_isdigit(s->text[s->at])) {
        s->at++;
    }
    return s->at - start;
}

static bool fits_64_bits(const char *number)
{
    errno = 0;
    if (number[0] == '-') {
        strtoll(number, NULL, 10);
    } else {
        strtoull(number, NULL, 10);
    }
    return errno != ERANGE;
}

static bool scan_number(Scanner *s)
{
    size_t start = s->at;
    bool integer = true;
    g_autofree char *number = NULL;

    if (s->text[s->at] == '-') {
        s->at++;
    }
    if (s->at + 1 < s->len && s->text[s->at] == '0' && g_ascii_isdigit(s->text[s->at + 1])) {
        return scan_fail(s, "a number begins with 0");
    }
    if (!scan_digits(s)) {
        return scan_fail(s, "digits are missing in a number");
    }
    if (s->at < s->len && s->text[s->at] == '.') {
        integer = false;
        s->at++;
        if (!scan_digits(s)) {
            return scan_fail(s, "digits are missing in a number");
        }
    }
    if (s->at < s->len && (s->text[s->at] == 'e' || s->text[s->at] == 'E')) {
        integer = false;
        s->at++;
        if (s->at < s->len && (s->text[s->at] == '+' || s->text[s->at] == '-')) {
            s->at++;
        }
        if (!scan_digits(s)) {
            return scan_fail(s, "digits are missing in a number");
        }
    }
    number = g_strndup(s->text + start, s->at - start);
    g_string_append(s->out, number);
    if (integer) {
        if (!fits_64_bits(number)) {
            g_string_append(s->out, ".0");
        }
    } else if (!isfinite(g_ascii_strtod(number, NULL))) {
        return scan_fail(s, "a number is too large");
    }
    return true;
}

static bool scan_word(Scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t start = s->at;

    while (s->at < s->len && (g_ascii_isalnum(s->text[s->at]) || s->text[s->at] == '_')) {
        s->at++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (s->at - start == strlen(words[i]) &&
            !memcmp(s->text + start, words[i], s->at - start)) {
            g_string_append(s->out, words[i]);
            return true;
        }
    }
    s->at = start;
    return scan_fail(s, "unknown word");
}

/* A string; as a key it may be in its object only once, however it is written. */
static bool scan_string_or_key(Scanner *s)
{
    GHashTable *keys = s->keys->len ? g_ptr_array_index(s->keys, s->keys->len - 1) : NULL;
    size_t start = s->out->len;
    struct json_object *key;
    bool is_new;

    if (!scan_string(s) || !keys || !s->key_next) {
        return !*s->errp;
    }
    s->key_next = false;
    key = json_tokener_parse(s->out->str + start);
    is_new = !key || g_hash_table_add(keys, g_strdup(json_object_get_string(key)));
    json_object_put(key);
    if (!is_new) {
        error_setg(s->errp, "JSON parse error, duplicate key");
    }
    return is_new;
}

static void free_keys(gpointer keys)
{
    if (keys) {
        g_hash_table_unref(keys);
    }
}

static bool scan(Scanner *s)
{
    while (s->at < s->len) {
        char c = s->text[s->at];
        bool ok = true;

        switch (c) {
        case ' ':
        case '\t':
        case '\r':
        case '\n':
        case ',':
        case ':':
            s->key_next |= c == ',';
            g_string_append_c(s->out, c);
            s->at++;
            break;
        case '{':
        case '[':
            if (s->keys->len >= QOBJECT_JSON_MAX_DEPTH) {
                return scan_fail(s, "too deeply nested");
            }
            g_ptr_array_add(s->keys, c == '[' ? NULL
                            : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL));
            s->key_next = true;
            g_string_append_c(s->out, c);
            s->at++;
            break;
        case '}':
        case ']':
            /* One too many is for json-c to find */
            if (s->keys->len) {
                g_ptr_array_remove_index(s->keys, s->keys->len - 1);
            }
            g_string_append_c(s->out, c);
            s->at++;
            break;
        case '"':
        case '\'':
            ok = scan_string_or_key(s);
            break;
        default:
            if (c == '-' || g_ascii_isdigit(c)) {
                ok = scan_number(s);
            } else if (g_ascii_isalpha(c)) {
                ok = scan_word(s);
            } else {
                ok = scan_fail(s, "stray character");
            }
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

QObject *qobject_from_json_len(const char *string, size_t len, Error **errp)
{
    ERRP_GUARD();
    g_autoptr(GString) text = NULL;
    g_autoptr(GPtrArray) keys = NULL;
    Scanner s = {.text = string, .len = len, .errp = errp};
    struct json_tokener *tok;
    QObject *obj;
    enum json_tokener_error err;

    if (len > QOBJECT_JSON_MAX_SIZE) {
        error_setg(errp, "JSON text is longer than %d bytes", QOBJECT_JSON_MAX_SIZE);
        return NULL;
    }
    if (!g_utf8_validate_len(string, len, NULL)) {
        error_setg(errp, "JSON parse error, the text is not UTF-8");
        return NULL;
    }
    s.out = text = g_string_sized_new(len + 16);
    s.keys = keys = g_ptr_array_new_with_free_func(free_keys);
    if (!scan(&s)) {
        return NULL;
    }
    tok = json_tokener_new_ex(QOBJECT_JSON_MAX_DEPTH + 1);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With the zero byte at the end, json-c knows that a number at the root is complete. */
    obj = json_tokener_parse_ex(tok, text->str, text->len + 1);
    err = json_tokener_get_error(tok);
    json_tokener_free(tok);
    if (err != json_tokener_success) {
        json_object_put(obj);
        error_setg(errp, "JSON parse error, %s",
                   err == json_tokener_continue ? "the text is incomplete"
                                                : json_tokener_error_desc(err));
        return NULL;
    }
    return obj;
}

QObject *qobject_from_json(const char *string, Error **errp)
{
    return qobject_from_json_len(string, strlen(string), errp);
}

/* ---- writing ---- */

static void write_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p;) {
        gunichar c = g_utf8_get_char_validated(p, -1);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append(out, "\\uFFFD");
            p++;
            continue;
        }
        p = g_utf8_next_char(p);
        switch (c) {
        case '"':
            g_string_append(out, "\\\"");
            break;
        case '\\':
            g_string_append(out, "\\\\");
            break;
        case '\b':
            g_string_append(out, "\\b");
            break;
        case '\f':
            g_string_append(out, "\\f");
            break;
        case '\n':
            g_string_append(out, "\\n");
            break;
        case '\r':
            g_string_append(out, "\\r");
            break;
        case '\t':
            g_string_append(out, "\\t");
            break;
        default:
            if (c >= 0x10000) {
                g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10),
                                       0xdc00 + ((c - 0x10000) & 0x3ff));
            } else if (c < 0x20 || c >= 0x7f) {
                g_string_append_printf(out, "\\u%04X", c);
            } else {
                g_string_append_c(out, c);
            }
        }
    }
    g_string_append_c(out, '"');
}

static void write_break(GString *out, bool pretty, int depth)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", depth * 4, "");
    }
}

static void write_double(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value)) {
        value = isnan(value) ? 0 : copysign(DBL_MAX, value);
    }
    g_ascii_formatd(text, sizeof(text), "%.17g", value);
    g_string_append(out, text);
    if (!strpbrk(text, ".e")) {
        g_string_append(out, ".0"); /* so that it stays what it is when it is read again */
    }
}

static void write_value(GString *out, QObject *obj, bool pretty, int depth)
{
    bool first = true;

    switch (json_object_get_type(obj)) {
    case json_type_null:
        g_string_append(out, "null");
        break;
    case json_type_boolean:
        g_string_append(out, json_object_get_boolean(obj) ? "true" : "false");
        break;
    case json_type_int:
        if (json_object_get_int64(obj) == INT64_MAX) {
            g_string_append_printf(out, "%" PRIu64, json_object_get_uint64(obj));
        } else {
            g_string_append_printf(out, "%" PRId64, json_object_get_int64(obj));
        }
        break;
    case json_type_double:
        write_double(out, json_object_get_double(obj));
        break;
    case json_type_string:
        write_string(out, json_object_get_string(obj));
        break;
    case json_type_object:
        g_string_append_c(out, '{');
        json_object_object_foreach(obj, key, member) {
            g_string_append(out, first ? "" : pretty ? "," : ", ");
            write_break(out, pretty, depth + 1);
            write_string(out, key);
            g_string_append(out, ": ");
            write_value(out, member, pretty, depth + 1);
            first = false;
        }
        if (!first) {
            write_break(out, pretty, depth);
        }
        g_string_append_c(out, '}');
        break;
    case json_type_array:
        g_string_append_c(out, '[');
        for (size_t i = 0; i < json_object_array_length(obj); i++) {
            g_string_append(out, first ? "" : pretty ? "," : ", ");
            write_break(out, pretty, depth + 1);
            write_value(out, json_object_array_get_idx(obj, i), pretty, depth + 1);
            first = false;
        }
        if (!first) {
            write_break(out, pretty, depth);
        }
        g_string_append_c(out, ']');
        break;
    }
}

char *qobject_to_json_pretty(const QObject *obj, bool pretty)
{
    GString *out = g_string_new(NULL);

    write_value(out, (QObject *)obj, pretty, 0);
    return g_string_free(out, false);
}

char *qobject_to_json(const QObject *obj)
{
    return qobject_to_json_pretty(obj, false);
}
