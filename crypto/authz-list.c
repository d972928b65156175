/*
 * Authorization by a list of rules: the object authz-list has them as properties, authz-list-file
 * reads them from a file, again whenever the file has changed.
 *
 * Whether a file has changed is looked at when somebody asks, by its inode, size and times: no
 * decision is ever made by an older file than the one that is there. A file that cannot be read
 * or makes no sense lets nobody in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fnmatch.h>
#include <json-c/json.h>
#include "crypto/authz.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-authz.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"

#define RULES_FILE_MAX (16 * 1024 * 1024)

bool qauthz_rules_allow(QAuthZListRuleList *rules, QAuthZListPolicy policy, const char *identity)
{
    for (QAuthZListRuleList *l = rules; l; l = l->next) {
        const QAuthZListRule *rule = l->value;
        bool glob = rule->has_format && rule->format == Q_AUTH_Z_LIST_FORMAT_GLOB;

        if (glob ? fnmatch(rule->match, identity, 0) == 0 : !strcmp(rule->match, identity)) {
            return rule->policy == Q_AUTH_Z_LIST_POLICY_ALLOW;
        }
    }
    return policy == Q_AUTH_Z_LIST_POLICY_ALLOW;
}

/* --- authz-list --- */

OBJECT_DECLARE_SIMPLE_TYPE(QAuthZList, QAUTHZ_LIST)

struct QAuthZList {
    QAuthZ parent_obj;
    QAuthZListPolicy policy;
    QAuthZListRuleList *rules;
};

static bool list_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    QAuthZList *list = QAUTHZ_LIST(authz);

    return qauthz_rules_allow(list->rules, list->policy, identity);
}

static int get_policy(Object *obj, Error **errp)
{
    return QAUTHZ_LIST(obj)->policy;
}

static void set_policy(Object *obj, int value, Error **errp)
{
    QAUTHZ_LIST(obj)->policy = value;
}

static void get_rules(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_QAuthZListRuleList(v, name, &QAUTHZ_LIST(obj)->rules, errp);
}

static void set_rules(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    QAuthZList *list = QAUTHZ_LIST(obj);
    QAuthZListRuleList *rules = NULL;

    if (visit_type_QAuthZListRuleList(v, name, &rules, errp)) {
        qauthz_lock();
        qapi_free_QAuthZListRuleList(list->rules);
        list->rules = rules;
        qauthz_unlock();
    }
}

static void list_finalize(Object *obj)
{
    qapi_free_QAuthZListRuleList(QAUTHZ_LIST(obj)->rules);
}

static void list_class_init(ObjectClass *oc, void *data)
{
    QAUTHZ_CLASS(oc)->is_allowed = list_is_allowed;
    object_class_property_add_enum(oc, "policy", "QAuthZListPolicy", &QAuthZListPolicy_lookup,
                                   get_policy, set_policy);
    object_class_property_set_description(oc, "policy", "allow or deny, where no rule fits");
    object_class_property_add(oc, "rules", "QAuthZListRule", get_rules, set_rules, NULL, NULL);
    object_class_property_set_description(oc, "rules", "rules, of which the first decides");
}

static const TypeInfo list_info = {
    .name = TYPE_QAUTHZ_LIST,
    .parent = TYPE_QAUTHZ,
    .instance_size = sizeof(QAuthZList),
    .instance_finalize = list_finalize,
    .class_init = list_class_init,
};

/* --- authz-list-file --- */

OBJECT_DECLARE_SIMPLE_TYPE(QAuthZListFile, QAUTHZ_LIST_FILE)

struct QAuthZListFile {
    QAuthZ parent_obj;
    char *filename;
    bool refresh;
    bool complete;
    struct stat seen;             /* of the file that rules come from */
    AuthZListProperties *content; /* NULL: let nobody in */
};

static AuthZListProperties *read_rules(const char *filename, Error **errp)
{
    AuthZListProperties *content = NULL;
    g_autofree char *text = NULL;
    enum json_tokener_error jerr;
    GError *gerr = NULL;
    json_object *json;
    struct stat st;
    Visitor *v;

    if (stat(filename, &st) == 0 && st.st_size > RULES_FILE_MAX) {
        error_setg(errp, "%s is too long for a list of rules", filename);
        return NULL;
    }
    if (!g_file_get_contents(filename, &text, NULL, &gerr)) {
        error_setg(errp, "Unable to read '%s': %s", filename, gerr->message);
        g_error_free(gerr);
        return NULL;
    }
    json = json_tokener_parse_verbose(text, &jerr);
    if (!json || !json_object_is_type(json, json_type_object)) {
        error_setg(errp, "File '%s' must contain a JSON object: %s", filename,
                   json ? "it has something else" : json_tokener_error_desc(jerr));
        json_object_put(json);
        return NULL;
    }
    v = qobject_input_visitor_new(json);
    if (!visit_type_AuthZListProperties(v, NULL, &content, errp)) {
        error_prepend(errp, "File '%s': ", filename);
    }
    visit_free(v);
    json_object_put(json);
    return content;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Has the rules that are in the file now. False with @errp set. */
static bool load_rules(QAuthZListFile *f, Error **errp)
{
    struct stat now = { 0 };

    if (f->content &&
        (!f->refresh || (stat(f->filename, &now) == 0 && same_file(&now, &f->seen)))) {
        return true;
    }
    qapi_free_AuthZListProperties(f->content);
    f->content = NULL;
    /* Before it is read: what is written meanwhile shows as a change the next time. */
    if (stat(f->filename, &f->seen) < 0) {
        error_setg_errno(errp, errno, "Unable to read '%s'", f->filename);
        return false;
    }
    f->content = read_rules(f->filename, errp);
    return f->content;
}

static bool list_file_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    QAuthZListFile *f = QAUTHZ_LIST_FILE(authz);

    if (!load_rules(f, errp)) {
        return false;
    }
    return qauthz_rules_allow(f->content->rules,
                              f->content->has_policy ? f->content->policy
                                                     : Q_AUTH_Z_LIST_POLICY_DENY, identity);
}

static void list_file_complete(UserCreatable *uc, Error **errp)
{
    QAuthZListFile *f = QAUTHZ_LIST_FILE(uc);

    if (!f->filename) {
        error_setg(errp, "filename not provided");
        return;
    }
    qauthz_lock(); /* others can find it already */
    f->complete = load_rules(f, errp);
    qauthz_unlock();
}

static char *get_filename(Object *obj, Error **errp)
{
    return g_strdup(QAUTHZ_LIST_FILE(obj)->filename);
}

static void set_filename(Object *obj, const char *value, Error **errp)
{
    QAuthZListFile *f = QAUTHZ_LIST_FILE(obj);

    if (f->complete) {
        error_setg(errp, "Property 'filename' cannot be changed: the file is in use");
        return;
    }
    g_free(f->filename);
    f->filename = g_strdup(value);
}

static bool get_refresh(Object *obj, Error **errp)
{
    return QAUTHZ_LIST_FILE(obj)->refresh;
}

static void set_refresh(Object *obj, bool value, Error **errp)
{
    QAUTHZ_LIST_FILE(obj)->refresh = value;
}

static void list_file_init(Object *obj)
{
    QAUTHZ_LIST_FILE(obj)->refresh = true;
}

static void list_file_finalize(Object *obj)
{
    QAuthZListFile *f = QAUTHZ_LIST_FILE(obj);

    qapi_free_AuthZListProperties(f->content);
    g_free(f->filename);
}

static void list_file_class_init(ObjectClass *oc, void *data)
{
    USER_CREATABLE_CLASS(oc)->complete = list_file_complete;
    QAUTHZ_CLASS(oc)->is_allowed = list_file_is_allowed;
    object_class_property_add_str(oc, "filename", get_filename, set_filename);
    object_class_property_set_description(oc, "filename", "the file with the rules");
    object_class_property_add_bool(oc, "refresh", get_refresh, set_refresh);
    object_class_property_set_description(oc, "refresh", "read the file again when it changes");
}

static const TypeInfo list_file_info = {
    .name = TYPE_QAUTHZ_LIST_FILE,
    .parent = TYPE_QAUTHZ,
    .instance_size = sizeof(QAuthZListFile),
    .instance_init = list_file_init,
    .instance_finalize = list_file_finalize,
    .class_init = list_file_class_init,
};

/* The schema of QEMU has the name without the second dash. */
static const TypeInfo listfile_info = {
    .name = "authz-listfile",
    .parent = TYPE_QAUTHZ_LIST_FILE,
};

static void authz_list_register_types(void)
{
    type_register_static(&list_info);
    type_register_static(&list_file_info);
    type_register_static(&listfile_info);
}

type_init(authz_list_register_types)
