/*
 * Authorization: the common type, and the object for a single identity.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/authz.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"

/* Decisions are made in any thread, while objects get new rules on the main one. */
static GMutex decision_lock;

void qauthz_lock(void)
{
    g_mutex_lock(&decision_lock);
}

void qauthz_unlock(void)
{
    g_mutex_unlock(&decision_lock);
}

bool qauthz_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&decision_lock);

    return QAUTHZ_GET_CLASS(authz)->is_allowed(authz, identity, errp);
}

bool qauthz_is_allowed_by_id(const char *id, const char *identity, Error **errp)
{
    Object *obj = object_ref_user_object(id);
    bool allowed = false;

    if (!obj) {
        error_setg(errp, "Cannot find QAuthZ object ID %s", id);
    } else if (!object_dynamic_cast(obj, TYPE_QAUTHZ)) {
        error_setg(errp, "Object '%s' is not a QAuthZ subclass", id);
    } else {
        allowed = qauthz_is_allowed(QAUTHZ(obj), identity, errp);
    }
    object_unref(obj);
    return allowed;
}

static const TypeInfo authz_info = {
    .name = TYPE_QAUTHZ,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(QAuthZ),
    .class_size = sizeof(QAuthZClass),
    .abstract = true,
    .interfaces = (InterfaceInfo[]) { { TYPE_USER_CREATABLE }, { NULL } },
};

/* --- authz-simple --- */

OBJECT_DECLARE_SIMPLE_TYPE(QAuthZSimple, QAUTHZ_SIMPLE)

struct QAuthZSimple {
    QAuthZ parent_obj;
    char *identity;
};

static bool simple_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    QAuthZSimple *simple = QAUTHZ_SIMPLE(authz);

    return simple->identity && !strcmp(simple->identity, identity);
}

static char *get_identity(Object *obj, Error **errp)
{
    return g_strdup(QAUTHZ_SIMPLE(obj)->identity);
}

static void set_identity(Object *obj, const char *value, Error **errp)
{
    QAuthZSimple *simple = QAUTHZ_SIMPLE(obj);

    qauthz_lock();
    g_free(simple->identity);
    simple->identity = g_strdup(value);
    qauthz_unlock();
}

static void simple_complete(UserCreatable *uc, Error **errp)
{
    if (!QAUTHZ_SIMPLE(uc)->identity) {
        error_setg(errp, "The 'identity' property must be set");
    }
}

static void simple_finalize(Object *obj)
{
    g_free(QAUTHZ_SIMPLE(obj)->identity);
}

static void simple_class_init(ObjectClass *oc, void *data)
{
    USER_CREATABLE_CLASS(oc)->complete = simple_complete;
    QAUTHZ_CLASS(oc)->is_allowed = simple_is_allowed;
    object_class_property_add_str(oc, "identity", get_identity, set_identity);
    object_class_property_set_description(oc, "identity", "who is let in");
}

static const TypeInfo simple_info = {
    .name = TYPE_QAUTHZ_SIMPLE,
    .parent = TYPE_QAUTHZ,
    .instance_size = sizeof(QAuthZSimple),
    .instance_finalize = simple_finalize,
    .class_init = simple_class_init,
};

static void authz_register_types(void)
{
    type_register_static(&authz_info);
    type_register_static(&simple_info);
}

type_init(authz_register_types)
