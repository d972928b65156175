/*
 * From an HMP command line to arguments: words, quoted text, expressions, flags, formats.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hmp-parse.h"
#include "qapi/error.h"
#include "qapi/qobject.h"
#include "qemu/cutils.h"

static void skip_space(const char **pp)
{
    while (g_ascii_isspace(**pp)) {
        (*pp)++;
    }
}

char *hmp_get_command_name(const char *p, const char **rest)
{
    const char *start;

    skip_space(&p);
    start = p;
    while (*p && !g_ascii_isspace(*p) && *p != '/') {
        p++;
    }
    *rest = p;
    /* A line that begins with a slash names no command; take the word, to be told so. */
    if (p == start && *p) {
        while (*p && !g_ascii_isspace(*p)) {
            p++;
        }
        *rest = p;
    }
    return p > start ? g_strndup(start, p - start) : NULL;
}

bool (*hmp_register_value)(const char *name, int64_t *value);

/* ---- expressions, by precedence: | ^ are loosest, then &, + -, * / %, unary ---- */

#define EXPR_DEPTH_MAX 100

typedef struct Expr {
    const char *p;
    int depth;
    Error **errp;
} Expr;

static bool expr_sum(Expr *e, int64_t *value);

static bool expr_char(Expr *e, int64_t *value)
{
    static const char escapes[] = "n\nr\rt\t\\\\''\"\"";
    unsigned char c = *e->p++;

    if (c == '\\') {
        c = *e->p ? *e->p++ : 0;
        for (const char *s = escapes; *s; s += 2) {
            if ((unsigned char)*s == c) {
                c = s[1];
                break;
            }
        }
    }
    if (!c || *e->p != '\'') {
        error_setg(e->errp, "missing terminating \' character");
        return false;
    }
    e->p++;
    *value = c;
    return true;
}

static bool expr_register(Expr *e, int64_t *value)
{
    size_t len = 1;
    g_autofree char *name = NULL;

    while (g_ascii_isalnum(e->p[len]) || e->p[len] == '_' || e->p[len] == '.') {
        len++;
    }
    name = g_strndup(e->p + 1, len - 1);
    if (!hmp_register_value || !hmp_register_value(name, value)) {
        error_setg(e->errp, "unknown register");
        return false;
    }
    e->p += len;
    return true;
}

static bool expr_unary(Expr *e, int64_t *value)
{
    char *end;

    skip_space(&e->p);
    if (++e->depth > EXPR_DEPTH_MAX) {
        error_setg(e->errp, "expression nested too deeply");
        return false;
    }
    switch (*e->p) {
    case '+':
    case '-':
    case '~': {
        char op = *e->p++;

        if (!expr_unary(e, value)) {
            return false;
        }
        *value = op == '-' ? (int64_t)(0 - (uint64_t)*value) : op == '~' ? ~*value : *value;
        break;
    }
    case '(':
        e->p++;
        if (!expr_sum(e, value)) {
            return false;
        }
        skip_space(&e->p);
        if (*e->p != ')') {
            error_setg(e->errp, "')' expected");
            return false;
        }
        e->p++;
        break;
    case '\'':
        e->p++;
        if (!expr_char(e, value)) {
            return false;
        }
        break;
    case '$':
        if (!expr_register(e, value)) {
            return false;
        }
        break;
    case 0:
        error_setg(e->errp, "unexpected end of expression");
        return false;
    default:
        errno = 0;
        *value = g_ascii_strtoull(e->p, &end, 0);
        if (errno == ERANGE) {
            error_setg(e->errp, "number too large");
            return false;
        }
        if (end == e->p) {
            error_setg(e->errp, "invalid char '%c' in expression", *e->p);
            return false;
        }
        e->p = end;
    }
    skip_space(&e->p);
    e->depth--;
    return true;
}

static bool expr_product(Expr *e, int64_t *value)
{
    int64_t right;
    char op;

    if (!expr_unary(e, value)) {
        return false;
    }
    while ((op = *e->p) == '*' || op == '/' || op == '%') {
        e->p++;
        if (!expr_unary(e, &right)) {
            return false;
        }
        if (op == '*') {
            *value = (uint64_t)*value * (uint64_t)right;
        } else if (right == 0) {
            error_setg(e->errp, "division by zero");
            return false;
        } else if (right == -1) { /* the one division that overflows */
            *value = op == '/' ? (int64_t)(0 - (uint64_t)*value) : 0;
        } else {
            *value = op == '/' ? *value / right : *value % right;
        }
    }
    return true;
}

static bool expr_logic(Expr *e, int64_t *value)
{
    int64_t right;
    char op;

    if (!expr_product(e, value)) {
        return false;
    }
    while ((op = *e->p) == '&' || op == '|' || op == '^') {
        e->p++;
        if (!expr_product(e, &right)) {
            return false;
        }
        *value = op == '&' ? *value & right : op == '|' ? *value | right : *value ^ right;
    }
    return true;
}

static bool expr_sum(Expr *e, int64_t *value)
{
    int64_t right;
    char op;

    if (!expr_logic(e, value)) {
        return false;
    }
    while ((op = *e->p) == '+' || op == '-') {
        e->p++;
        if (!expr_logic(e, &right)) {
            return false;
        }
        *value = op == '+' ? (uint64_t)*value + right : (uint64_t)*value - right;
    }
    return true;
}

bool hmp_get_expr(const char **pp, int64_t *value, Error **errp)
{
    Expr e = { .p = *pp, .errp = errp };

    if (!expr_sum(&e, value)) {
        return false;
    }
    *pp = e.p;
    return true;
}

/* ---- words ---- */

/* A word, or text in double quotes with backslash escapes. NULL with @errp set. */
static char *get_word(const char **pp, Error **errp)
{
    GString *word = g_string_new(NULL);
    const char *p = *pp;

    if (*p != '"') {
        while (*p && !g_ascii_isspace(*p)) {
            g_string_append_c(word, *p++);
        }
        *pp = p;
        return g_string_free(word, false);
    }
    for (p++; *p && *p != '"'; p++) {
        char c = *p;

        if (c == '\\') {
            switch (*++p) {
            case 'n':
                c = '\n';
                break;
            case 'r':
                c = '\r';
                break;
            case '\\':
            case '\'':
            case '"':
                c = *p;
                break;
            default:
                error_setg(errp, "unsupported escape code: '\\%c'", *p);
                g_string_free(word, true);
                return NULL;
            }
        }
        g_string_append_c(word, c);
    }
    if (*p != '"') {
        error_setg(errp, "unterminated string");
        g_string_free(word, true);
        return NULL;
    }
    *pp = p + 1;
    return g_string_free(word, false);
}

static bool parse_string(const HMPCommand *cmd, const HMPArg *arg, const char **pp, QDict *out,
                         Error **errp)
{
    g_autofree char *word = NULL;

    if (!**pp) {
        if (arg->optional) {
            return true;
        }
        error_setg(errp, "%.*s: %s expected", (int)strcspn(cmd->name, "|"), cmd->name,
                   arg->type == HMP_ARG_FILENAME ? "filename" : "string");
        return false;
    }
    word = get_word(pp, errp);
    if (word) {
        qdict_put_str(out, arg->name, word);
    }
    return word;
}

static bool parse_int(const HMPArg *arg, const char **pp, QDict *out, Error **errp)
{
    int64_t value;

    if (!**pp && arg->optional) {
        return true;
    }
    if (!hmp_get_expr(pp, &value, errp)) {
        return false;
    }
    qdict_put_int(out, arg->name, value);
    return true;
}

static bool parse_size(const HMPArg *arg, const char **pp, QDict *out, Error **errp)
{
    const char *end;
    uint64_t value;

    if (!**pp && arg->optional) {
        return true;
    }
    if (qemu_strtosz(*pp, &end, &value) < 0 || value > INT64_MAX) {
        error_setg(errp, "invalid size");
        return false;
    }
    if (*end && !g_ascii_isspace(*end)) {
        error_setg(errp, "Unknown unit suffix");
        return false;
    }
    *pp = end;
    qdict_put_int(out, arg->name, value);
    return true;
}

static bool parse_bool(const HMPArg *arg, const char **pp, QDict *out, Error **errp)
{
    size_t len = strcspn(*pp, " \t");

    if (len == 2 && strncmp(*pp, "on", 2) == 0) {
        qdict_put_bool(out, arg->name, true);
    } else if (len == 3 && strncmp(*pp, "off", 3) == 0) {
        qdict_put_bool(out, arg->name, false);
    } else if (!len && arg->optional) {
        return true;
    } else {
        error_setg(errp, "Expected 'on' or 'off'");
        return false;
    }
    *pp += len;
    return true;
}

/* "/4xb": a count, a letter for the format, a letter for the size, in any order. */
static bool parse_format(const char **pp, QDict *out, Error **errp)
{
    static char last_format = 'x';
    static int last_size = 4;
    char format = 0;
    int size = 0;
    int64_t count = 1;
    const char *p = *pp;

    if (*p == '/') {
        p++;
        if (g_ascii_isdigit(*p)) {
            count = g_ascii_strtoll(p, (char **)&p, 10);
            if (count > 1 << 20) {
                error_setg(errp, "count is too large");
                return false;
            }
        }
        for (; *p && !g_ascii_isspace(*p); p++) {
            switch (*p) {
            case 'o':
            case 'd':
            case 'u':
            case 'x':
            case 'i':
            case 'c':
                format = *p;
                break;
            case 'b':
                size = 1;
                break;
            case 'h':
                size = 2;
                break;
            case 'w':
                size = 4;
                break;
            case 'g':
            case 'L':
                size = 8;
                break;
            default:
                error_setg(errp, "invalid char in format: '%c'", *p);
                return false;
            }
        }
        skip_space(&p);
    }
    *pp = p;
    last_format = format ?: last_format;
    last_size = size ?: last_size;
    qdict_put_int(out, "count", count);
    qdict_put_int(out, "format", last_format);
    qdict_put_int(out, "size", last_format == 'c' && !size ? 1 : last_size);
    return true;
}

/* All flags that stand here, in any order. */
static bool parse_flags(const HMPCommand *cmd, const HMPArg **argp, const char **pp, QDict *out,
                        Error **errp)
{
    const HMPArg *first = *argp, *end = first;

    while (end->type == HMP_ARG_FLAG) {
        end++;
    }
    while (**pp == '-' && (*pp)[1] && !g_ascii_isdigit((*pp)[1])) {
        const HMPArg *arg = first;

        while (arg < end && arg->flag != (*pp)[1]) {
            arg++;
        }
        if (arg == end || ((*pp)[2] && !g_ascii_isspace((*pp)[2]))) {
            error_setg(errp, "%.*s: unsupported option -%.*s", (int)strcspn(cmd->name, "|"),
                       cmd->name, (int)strcspn(*pp + 1, " \t"), *pp + 1);
            return false;
        }
        qdict_put_bool(out, arg->name, true);
        *pp += 2;
        skip_space(pp);
    }
    *argp = end - 1;
    return true;
}

static bool parse_arg(const HMPCommand *cmd, const HMPArg **argp, const char **pp, QDict *out,
                      Error **errp)
{
    const HMPArg *arg = *argp;

    switch (arg->type) {
    case HMP_ARG_STRING:
    case HMP_ARG_FILENAME:
        return parse_string(cmd, arg, pp, out, errp);
    case HMP_ARG_REST:
        if (**pp) {
            g_autofree char *rest = g_strchomp(g_strdup(*pp));

            qdict_put_str(out, arg->name, rest);
            *pp += strlen(*pp);
        }
        return true;
    case HMP_ARG_INT:
        return parse_int(arg, pp, out, errp);
    case HMP_ARG_SIZE:
        return parse_size(arg, pp, out, errp);
    case HMP_ARG_BOOL:
        return parse_bool(arg, pp, out, errp);
    case HMP_ARG_FLAG:
        return parse_flags(cmd, argp, pp, out, errp);
    case HMP_ARG_FORMAT:
        return parse_format(pp, out, errp);
    case HMP_ARG_END:
        break;
    }
    return true;
}

QDict *hmp_parse_args(const HMPCommand *cmd, const char *p, Error **errp)
{
    QDict *out = qdict_new();

    for (const HMPArg *arg = cmd->args; arg->type != HMP_ARG_END; arg++) {
        skip_space(&p);
        if (!parse_arg(cmd, &arg, &p, out, errp)) {
            qobject_unref(out);
            return NULL;
        }
    }
    skip_space(&p);
    if (*p) {
        error_setg(errp, "%s: extraneous characters at the end of line", cmd->name);
        qobject_unref(out);
        return NULL;
    }
    return out;
}
