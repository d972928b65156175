/*
 * User-creatable objects: from `-object`, object-add or C, into /objects and out again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"
#include "qapi/qapi-visit-qom.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject-output-visitor.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/id.h"
#include "qemu/keyval.h"
#include "qom/object_interfaces.h"

bool user_creatable_complete(UserCreatable *uc, Error **errp)
{
    UserCreatableClass *ucc = USER_CREATABLE_GET_CLASS(uc);
    Error *err = NULL;

    if (ucc->complete) {
        ucc->complete(uc, &err);
        error_propagate(errp, err);
    }
    return !err;
}

bool user_creatable_can_be_deleted(UserCreatable *uc)
{
    UserCreatableClass *ucc = USER_CREATABLE_GET_CLASS(uc);

    return !ucc->can_be_deleted || ucc->can_be_deleted(uc);
}

/* ---- adding --------------------------------------------------------------------------- */

static bool set_properties_from(Object *obj, const QObject *props, Visitor *v, Error **errp)
{
    bool ok = true;

    if (!visit_start_struct(v, NULL, NULL, 0, errp)) {
        return false;
    }
    json_object_object_foreach((QObject *)props, key, value) {
        (void)value;
        if (!object_property_set(obj, key, v, errp)) {
            ok = false;
            break;
        }
    }
    if (ok) {
        ok = visit_check_struct(v, errp);
    }
    visit_end_struct(v, NULL);
    return ok;
}

Object *user_creatable_add_type(const char *type, const char *id, const QObject *qdict,
                                Visitor *v, Error **errp)
{
    ObjectClass *klass = object_class_by_name(type);
    Object *obj;

    if (id && !id_wellformed(id)) {
        error_setg(errp, "Parameter 'id' expects an identifier");
        error_append_hint(errp, "Identifiers consist of letters, digits, '-', '.', '_', "
                          "starting with a letter.\n");
        return NULL;
    }
    if (!klass) {
        error_setg(errp, "invalid object type: %s", type);
        return NULL;
    }
    if (!object_class_dynamic_cast(klass, TYPE_USER_CREATABLE)) {
        error_setg(errp, "object type '%s' isn't supported by object-add", type);
        return NULL;
    }
    if (object_class_is_abstract(klass)) {
        error_setg(errp, "object type '%s' is abstract", type);
        return NULL;
    }

    obj = object_new_with_class(klass);
    object_apply_compat_props(obj);
    if (!set_properties_from(obj, qdict, v, errp)) {
        goto fail;
    }
    if (id && !object_property_try_add_child(object_get_objects_root(), id, obj, errp)) {
        goto fail;
    }
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        if (id) {
            object_unparent(obj);
        }
        goto fail;
    }
    return obj;

fail:
    object_unref(obj);
    return NULL;
}

void user_creatable_add_qapi(ObjectOptions *options, Error **errp)
{
    QObject *props = NULL;
    Visitor *v = qobject_output_visitor_new(&props);
    Object *obj;

    /* The options went through the schema; back as JSON they are what properties take. */
    visit_type_ObjectOptions(v, NULL, &options, &error_abort);
    visit_complete(v, &props);
    visit_free(v);
    json_object_object_del(props, "qom-type");
    json_object_object_del(props, "id");

    v = qobject_input_visitor_new(props);
    obj = user_creatable_add_type(ObjectType_str(options->qom_type), options->id, props, v, errp);
    object_unref(obj);
    visit_free(v);
    json_object_put(props);
}

/* ---- help ----------------------------------------------------------------------------- */

void user_creatable_print_types(void)
{
    GSList *list = object_class_get_list_sorted(TYPE_USER_CREATABLE, false);

    printf("List of user creatable objects:\n");
    for (GSList *l = list; l; l = l->next) {
        printf("  %s\n", object_class_get_name(l->data));
    }
    g_slist_free(list);
}

bool user_creatable_print_help(const char *type, QObject *params)
{
    QObject *help;

    if (g_str_equal(type, "help") || g_str_equal(type, "?")) {
        user_creatable_print_types();
        return true;
    }
    if (json_object_object_get_ex(params, "help", &help) ||
        json_object_object_get_ex(params, "?", &help)) {
        return type_print_class_properties(type);
    }
    return false;
}

/* ---- the command line ----------------------------------------------------------------- */

ObjectOptions *user_creatable_parse_str(const char *str, Error **errp)
{
    ObjectOptions *options = NULL;
    QObject *args;
    Visitor *v;
    bool help = false;

    if (str[0] == '{') {
        json_tokener *tok = json_tokener_new();

        json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
        args = json_tokener_parse_ex(tok, str, strlen(str) + 1);
        if (!args || json_object_get_type(args) != json_type_object) {
            error_setg(errp, "not a JSON object");
            json_tokener_free(tok);
            json_object_put(args);
            return NULL;
        }
        json_tokener_free(tok);
        v = qobject_input_visitor_new(args);
    } else {
        args = keyval_parse(str, "qom-type", &help, errp);
        if (!args) {
            return NULL;
        }
        if (help) {
            QObject *type;
            bool known = json_object_object_get_ex(args, "qom-type", &type);

            if (!known || !type_print_class_properties(json_object_get_string(type))) {
                user_creatable_print_types();
            }
            json_object_put(args);
            return NULL;
        }
        v = qobject_input_visitor_new_keyval(args);
    }

    visit_type_ObjectOptions(v, NULL, &options, errp);
    visit_free(v);
    json_object_put(args);
    return options;
}

bool user_creatable_add_from_str(const char *str, Error **errp)
{
    Error *err = NULL;
    ObjectOptions *options = user_creatable_parse_str(str, &err);

    if (options) {
        user_creatable_add_qapi(options, &err);
        qapi_free_ObjectOptions(options);
    }
    error_propagate(errp, err);
    return options && !err;
}

void user_creatable_process_cmdline(const char *cmdline)
{
    Error *err = NULL;

    if (user_creatable_add_from_str(cmdline, &err)) {
        return;
    }
    if (!err) {
        exit(0);                        /* it was a call for help */
    }
    error_report_err(err);
    exit(1);
}

/* ---- removing ------------------------------------------------------------------------- */

bool user_creatable_del(const char *id, Error **errp)
{
    Object *obj = object_resolve_path_component(object_get_objects_root(), id);

    if (!obj) {
        error_setg(errp, "object '%s' not found", id);
        return false;
    }
    if (!user_creatable_can_be_deleted(USER_CREATABLE(obj))) {
        error_setg(errp, "object '%s' is in use, can not be deleted", id);
        return false;
    }
    object_unparent(obj);
    return true;
}

static int unparent_child(Object *child, void *opaque)
{
    object_unparent(child);
    return 0;
}

void user_creatable_cleanup(void)
{
    object_child_foreach(object_get_objects_root(), unparent_child, NULL);
}

static void register_interfaces(void)
{
    static const TypeInfo user_creatable = {
        .name = TYPE_USER_CREATABLE,
        .parent = TYPE_INTERFACE,
        .class_size = sizeof(UserCreatableClass),
    };

    type_register_static(&user_creatable);
}
type_init(register_interfaces)
