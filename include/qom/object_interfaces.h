/*
 * Objects that a user makes by name: `-object`, object-add, object-del. They are children of
 * "/objects". A type takes part by implementing TYPE_USER_CREATABLE.
 *
 * Locking: BQL. Errors: as in qom/object.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_OBJECT_INTERFACES_H
#define QOM_OBJECT_INTERFACES_H

#include "qom/object.h"

#define TYPE_USER_CREATABLE "user-creatable"

typedef struct UserCreatable UserCreatable;
typedef struct UserCreatableClass UserCreatableClass;
DECLARE_CLASS_CHECKERS(UserCreatableClass, USER_CREATABLE, TYPE_USER_CREATABLE)
#define USER_CREATABLE(obj) INTERFACE_CHECK(UserCreatable, (obj), TYPE_USER_CREATABLE)

/**
 * @complete: all properties are set; open, allocate, check. On error the object is dropped.
 * @can_be_deleted: false while something uses the object. NULL: always.
 */
struct UserCreatableClass {
    InterfaceClass parent_class;
    void (*complete)(UserCreatable *uc, Error **errp);
    bool (*can_be_deleted)(UserCreatable *uc);
};

struct ObjectOptions;

bool user_creatable_complete(UserCreatable *uc, Error **errp);
bool user_creatable_can_be_deleted(UserCreatable *uc);

/* @qdict: an object of property values, not taken; "qom-type" and "id" are not in it. */
Object *user_creatable_add_type(const char *type, const char *id, const QObject *qdict,
                                Visitor *v, Error **errp);
void user_creatable_add_qapi(struct ObjectOptions *options, Error **errp);
/* `-object` text: keyval with implied qom-type, or JSON. NULL after printing help or on error. */
struct ObjectOptions *user_creatable_parse_str(const char *str, Error **errp);
/* Parses and adds; true when an object was made, false after help (no error) or on error. */
bool user_creatable_add_from_str(const char *str, Error **errp);
/* The same for the command line: help ends the program with 0, an error with 1. */
void user_creatable_process_cmdline(const char *cmdline);
/* True when "help" was asked for and printed. */
bool user_creatable_print_help(const char *type, QObject *params);
void user_creatable_print_types(void);
bool user_creatable_del(const char *id, Error **errp);
/* Drops every child of /objects, at the end of the program. */
void user_creatable_cleanup(void);

#endif
