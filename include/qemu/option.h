/*
 * Options written as "value,name=value,name=value": the classic form that -chardev, -mon, -name
 * and their like take.
 *
 * An option group is described by a QemuOptsList; each use of it becomes a QemuOpts with an
 * optional id. Values are checked against the group's description when they are parsed.
 *
 * Locking: main thread (or BQL). Errors: as in qapi/error.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_OPTION_H
#define QEMU_OPTION_H

#include "qemu/osdep.h"

enum QemuOptType {
    QEMU_OPT_STRING = 0,
    QEMU_OPT_BOOL,   /* on or off */
    QEMU_OPT_NUMBER, /* unsigned; 0x prefix allowed */
    QEMU_OPT_SIZE,   /* number with an optional suffix K, M, G, T, P, E */
};

typedef struct QemuOptDesc {
    const char *name;
    enum QemuOptType type;
    const char *help;          /* may be NULL */
    const char *def_value_str; /* may be NULL */
} QemuOptDesc;

typedef struct QemuOpts QemuOpts;
typedef struct QemuOptsList QemuOptsList;

struct QemuOptsList {
    const char *name;
    const char *implied_opt_name; /* what a first value without a name means; may be NULL */
    bool merge_lists;             /* further uses without an id add to the first one */
    GPtrArray *instances;         /* of QemuOpts, made on demand */
    QemuOptDesc desc[];           /* ends with a NULL name; empty: everything is accepted */
};

/* The groups known by name. */
void qemu_add_opts(QemuOptsList *list);
QemuOptsList *qemu_find_opts(const char *group);                       /* must exist */
QemuOptsList *qemu_find_opts_err(const char *group, Error **errp);
void qemu_opts_list_foreach(void (*fn)(QemuOptsList *list, void *opaque), void *opaque);

/*
 * Parse one use. @permit_abbrev: the first item may be a bare value of the implied option. A bare
 * "name" is name=on, and "noname" name=off where the group knows a boolean "name". A comma in a
 * value is doubled. NULL with @errp set. The list owns the result.
 */
QemuOpts *qemu_opts_parse(QemuOptsList *list, const char *params, bool permit_abbrev,
                          Error **errp);
QemuOpts *qemu_opts_create(QemuOptsList *list, const char *id, bool fail_if_exists, Error **errp);
QemuOpts *qemu_opts_find(QemuOptsList *list, const char *id);
void qemu_opts_del(QemuOpts *opts);
void qemu_opts_reset(QemuOptsList *list);

bool qemu_opt_set(QemuOpts *opts, const char *name, const char *value, Error **errp);

/* The last value given, or the default of the description, or NULL. */
const char *qemu_opt_get(QemuOpts *opts, const char *name);
bool qemu_opt_get_bool(QemuOpts *opts, const char *name, bool defval);
uint64_t qemu_opt_get_number(QemuOpts *opts, const char *name, uint64_t defval);
uint64_t qemu_opt_get_size(QemuOpts *opts, const char *name, uint64_t defval);
bool qemu_opt_is_set(QemuOpts *opts, const char *name);

const char *qemu_opts_id(QemuOpts *opts);
QemuOptsList *qemu_opts_list(QemuOpts *opts);

/* Stop and return the first non-zero result. */
int qemu_opts_foreach(QemuOptsList *list, int (*fn)(void *opaque, QemuOpts *opts, Error **errp),
                      void *opaque, Error **errp);
int qemu_opt_foreach(QemuOpts *opts,
                     int (*fn)(void *opaque, const char *name, const char *value, Error **errp),
                     void *opaque, Error **errp);

/* "help" or "?" was asked for. */
bool is_help_option(const char *s);
bool has_help_option(const char *params);

/* One value of an on/off option. */
bool parse_option_bool(const char *name, const char *value, bool *ret, Error **errp);

#endif
