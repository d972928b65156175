/*
 * The classic option syntax: see qemu/option.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/id.h"
#include "qemu/option.h"

typedef struct QemuOpt {
    char *name;
    char *value;
    bool flag;     /* on or off */
    uint64_t uint; /* number or size */
} QemuOpt;

struct QemuOpts {
    char *id;
    QemuOptsList *list;
    GPtrArray *opts; /* of QemuOpt, in the order given */
};

static GPtrArray *groups; /* of QemuOptsList */

/* ---- groups ---- */

void qemu_add_opts(QemuOptsList *list)
{
    if (!groups) {
        groups = g_ptr_array_new();
    }
    g_ptr_array_add(groups, list);
}

QemuOptsList *qemu_find_opts_err(const char *group, Error **errp)
{
    for (guint i = 0; groups && i < groups->len; i++) {
        QemuOptsList *list = g_ptr_array_index(groups, i);

        if (g_str_equal(list->name, group)) {
            return list;
        }
    }
    error_setg(errp, "There is no option group '%s'", group);
    return NULL;
}

QemuOptsList *qemu_find_opts(const char *group)
{
    return qemu_find_opts_err(group, &error_abort);
}

void qemu_opts_list_foreach(void (*fn)(QemuOptsList *list, void *opaque), void *opaque)
{
    for (guint i = 0; groups && i < groups->len; i++) {
        fn(g_ptr_array_index(groups, i), opaque);
    }
}

static const QemuOptDesc *find_desc(const QemuOptDesc *desc, const char *name)
{
    for (; desc->name; desc++) {
        if (g_str_equal(desc->name, name)) {
            return desc;
        }
    }
    return NULL;
}

static bool accepts_any(const QemuOptsList *list)
{
    return !list->desc[0].name;
}

/* ---- values ---- */

bool parse_option_bool(const char *name, const char *value, bool *ret, Error **errp)
{
    static const char *const yes[] = { "on", "yes", "true", "y", NULL };
    static const char *const no[] = { "off", "no", "false", "n", NULL };

    *ret = g_strv_contains(yes, value);
    if (!*ret && !g_strv_contains(no, value)) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off'", name);
        return false;
    }
    return true;
}

static bool parse_value(const QemuOptDesc *desc, QemuOpt *opt, Error **errp)
{
    switch (desc->type) {
    case QEMU_OPT_STRING:
        return true;
    case QEMU_OPT_BOOL:
        return parse_option_bool(opt->name, opt->value, &opt->flag, errp);
    case QEMU_OPT_NUMBER:
        if (qemu_strtou64(opt->value, NULL, 0, &opt->uint) < 0 || strchr(opt->value, '-')) {
            error_setg(errp, "Parameter '%s' expects a number", opt->name);
            return false;
        }
        return true;
    case QEMU_OPT_SIZE:
        if (qemu_strtosz(opt->value, NULL, &opt->uint) < 0) {
            error_setg(errp, "Parameter '%s' expects a non-negative number below 2^64",
                       opt->name);
            error_append_hint(errp, "Optional suffix k, M, G, T, P or E means kilo-, mega-, "
                              "giga-, tera-, peta-\nand exabytes, respectively.\n");
            return false;
        }
        return true;
    }
    return false;
}

static void opt_free(gpointer data)
{
    QemuOpt *opt = data;

    g_free(opt->name);
    g_free(opt->value);
    g_free(opt);
}

bool qemu_opt_set(QemuOpts *opts, const char *name, const char *value, Error **errp)
{
    const QemuOptDesc *desc = find_desc(opts->list->desc, name);
    QemuOpt *opt;

    if (!desc && !accepts_any(opts->list)) {
        error_setg(errp, "Invalid parameter '%s'", name);
        return false;
    }
    opt = g_new0(QemuOpt, 1);
    opt->name = g_strdup(name);
    opt->value = g_strdup(value);
    if (desc && !parse_value(desc, opt, errp)) {
        opt_free(opt);
        return false;
    }
    g_ptr_array_add(opts->opts, opt);
    return true;
}

static QemuOpt *find_opt(QemuOpts *opts, const char *name)
{
    for (guint i = opts ? opts->opts->len : 0; i-- > 0;) {
        QemuOpt *opt = g_ptr_array_index(opts->opts, i);

        if (g_str_equal(opt->name, name)) {
            return opt;
        }
    }
    return NULL;
}

/* The option as given, or made up from the description's default. Caller frees the latter. */
static QemuOpt *opt_or_default(QemuOpts *opts, const char *name, QemuOpt *storage)
{
    QemuOpt *opt = find_opt(opts, name);
    const QemuOptDesc *desc;

    if (opt || !opts) {
        return opt;
    }
    desc = find_desc(opts->list->desc, name);
    if (!desc || !desc->def_value_str) {
        return NULL;
    }
    *storage = (QemuOpt){ .name = (char *)desc->name, .value = (char *)desc->def_value_str };
    return parse_value(desc, storage, &error_abort) ? storage : NULL;
}

const char *qemu_opt_get(QemuOpts *opts, const char *name)
{
    QemuOpt storage, *opt = opt_or_default(opts, name, &storage);

    return opt ? opt->value : NULL;
}

bool qemu_opt_get_bool(QemuOpts *opts, const char *name, bool defval)
{
    QemuOpt storage, *opt = opt_or_default(opts, name, &storage);

    return opt ? opt->flag : defval;
}

uint64_t qemu_opt_get_number(QemuOpts *opts, const char *name, uint64_t defval)
{
    QemuOpt storage, *opt = opt_or_default(opts, name, &storage);

    return opt ? opt->uint : defval;
}

uint64_t qemu_opt_get_size(QemuOpts *opts, const char *name, uint64_t defval)
{
    return qemu_opt_get_number(opts, name, defval);
}

bool qemu_opt_is_set(QemuOpts *opts, const char *name)
{
    return find_opt(opts, name);
}

/* ---- one use of a group ---- */

static void opts_free(gpointer data)
{
    QemuOpts *opts = data;

    g_ptr_array_free(opts->opts, true);
    g_free(opts->id);
    g_free(opts);
}

static GPtrArray *instances(QemuOptsList *list)
{
    if (!list->instances) {
        list->instances = g_ptr_array_new_with_free_func(opts_free);
    }
    return list->instances;
}

QemuOpts *qemu_opts_find(QemuOptsList *list, const char *id)
{
    GPtrArray *all = instances(list);

    for (guint i = 0; i < all->len; i++) {
        QemuOpts *opts = g_ptr_array_index(all, i);

        if (g_strcmp0(opts->id, id) == 0) {
            return opts;
        }
    }
    return NULL;
}

QemuOpts *qemu_opts_create(QemuOptsList *list, const char *id, bool fail_if_exists, Error **errp)
{
    QemuOpts *opts = NULL;

    if (id) {
        if (!id_wellformed(id)) {
            error_setg(errp, "Parameter 'id' expects an identifier");
            error_append_hint(errp, "Identifiers consist of letters, digits, '-', '.', '_', "
                              "starting with a letter.\n");
            return NULL;
        }
        opts = qemu_opts_find(list, id);
        if (opts && fail_if_exists && !list->merge_lists) {
            error_setg(errp, "Duplicate ID '%s' for %s", id, list->name);
            return NULL;
        }
    } else if (list->merge_lists) {
        opts = qemu_opts_find(list, NULL);
    }
    if (!opts) {
        opts = g_new0(QemuOpts, 1);
        opts->id = g_strdup(id);
        opts->list = list;
        opts->opts = g_ptr_array_new_with_free_func(opt_free);
        g_ptr_array_add(instances(list), opts);
    }
    return opts;
}

void qemu_opts_del(QemuOpts *opts)
{
    if (opts) {
        g_ptr_array_remove(instances(opts->list), opts);
    }
}

void qemu_opts_reset(QemuOptsList *list)
{
    g_ptr_array_set_size(instances(list), 0);
}

const char *qemu_opts_id(QemuOpts *opts)
{
    return opts->id;
}

QemuOptsList *qemu_opts_list(QemuOpts *opts)
{
    return opts->list;
}

int qemu_opts_foreach(QemuOptsList *list, int (*fn)(void *opaque, QemuOpts *opts, Error **errp),
                      void *opaque, Error **errp)
{
    GPtrArray *all = instances(list);
    int ret = 0;

    for (guint i = 0; i < all->len && !ret; i++) {
        ret = fn(opaque, g_ptr_array_index(all, i), errp);
    }
    return ret;
}

int qemu_opt_foreach(QemuOpts *opts,
                     int (*fn)(void *opaque, const char *name, const char *value, Error **errp),
                     void *opaque, Error **errp)
{
    int ret = 0;

    for (guint i = 0; i < opts->opts->len && !ret; i++) {
        QemuOpt *opt = g_ptr_array_index(opts->opts, i);

        ret = fn(opaque, opt->name, opt->value, errp);
    }
    return ret;
}

/* ---- parsing ---- */

/* The text up to a single comma, with doubled ones made single; *pp moves past that comma. */
static char *next_item(const char **pp)
{
    GString *item = g_string_new(NULL);
    const char *p = *pp;

    while (*p) {
        if (*p == ',') {
            if (p[1] != ',') {
                break;
            }
            p++;
        }
        g_string_append_c(item, *p++);
    }
    *pp = *p ? p + 1 : p;
    return g_string_free(item, false);
}

typedef struct OptPair {
    char *name;
    char *value;
} OptPair;

static void pair_clear(gpointer data)
{
    OptPair *pair = data;

    g_free(pair->name);
    g_free(pair->value);
}

/* Which option a bare word sets, and to what. */
static OptPair bare_word(const QemuOptsList *list, char *word)
{
    const QemuOptDesc *negated;

    if (!find_desc(list->desc, word) && g_str_has_prefix(word, "no") && word[2]) {
        negated = find_desc(list->desc, word + 2);
        if (accepts_any(list) || (negated && negated->type == QEMU_OPT_BOOL)) {
            OptPair off = { g_strdup(word + 2), g_strdup("off") };

            g_free(word);
            return off;
        }
    }
    return (OptPair){ word, g_strdup("on") };
}

static GArray *split_params(const QemuOptsList *list, const char *params, const char *implied)
{
    GArray *pairs = g_array_new(false, false, sizeof(OptPair));
    const char *p = params;
    bool first = true;

    g_array_set_clear_func(pairs, pair_clear);
    while (*p) {
        char *item = next_item(&p);
        char *equals = strchr(item, '=');
        OptPair pair;

        if (equals) {
            pair.name = g_strndup(item, equals - item);
            pair.value = g_strdup(equals + 1);
            g_free(item);
        } else if (first && implied) {
            pair = (OptPair){ g_strdup(implied), item };
        } else {
            pair = bare_word(list, item);
        }
        first = false;
        g_array_append_val(pairs, pair);
    }
    return pairs;
}

QemuOpts *qemu_opts_parse(QemuOptsList *list, const char *params, bool permit_abbrev,
                          Error **errp)
{
    g_autoptr(GArray) pairs = split_params(list, params,
                                           permit_abbrev ? list->implied_opt_name : NULL);
    const char *id = NULL;
    bool fresh;
    QemuOpts *opts;

    for (guint i = 0; i < pairs->len; i++) {
        OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (g_str_equal(pair->name, "id")) {
            id = pair->value;
        }
    }
    opts = qemu_opts_create(list, id, true, errp);
    if (!opts) {
        return NULL;
    }
    fresh = !opts->opts->len;
    for (guint i = 0; i < pairs->len; i++) {
        OptPair *pair = &g_array_index(pairs, OptPair, i);

        if (!g_str_equal(pair->name, "id") &&
            !qemu_opt_set(opts, pair->name, pair->value, errp)) {
            if (fresh) {
                qemu_opts_del(opts);
            }
            return NULL;
        }
    }
    return opts;
}

bool is_help_option(const char *s)
{
    return g_str_equal(s, "help") || g_str_equal(s, "?");
}

bool has_help_option(const char *params)
{
    const char *p = params;

    while (*p) {
        g_autofree char *item = next_item(&p);

        if (is_help_option(item)) {
            return true;
        }
    }
    return false;
}
