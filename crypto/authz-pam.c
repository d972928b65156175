/*
 * Authorization by the host's PAM: the account rules of a service decide. Without libpam the object
 * can be named, and says that it is not built.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#ifdef CONFIG_AUTH_PAM
#include <security/pam_appl.h>
#endif
#include "crypto/authz.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"

OBJECT_DECLARE_SIMPLE_TYPE(QAuthZPAM, QAUTHZ_PAM)

struct QAuthZPAM {
    QAuthZ parent_obj;
    char *service;
};

#ifdef CONFIG_AUTH_PAM
/* Nobody is there to talk to. */
static int no_conversation(int n, const struct pam_message **messages,
                           struct pam_response **responses, void *opaque)
{
    return PAM_CONV_ERR;
}

static bool pam_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    QAuthZPAM *pam = QAUTHZ_PAM(authz);
    struct pam_conv conversation = { no_conversation, NULL };
    pam_handle_t *handle;
    int ret;

    if (!pam->service) {
        error_setg(errp, "The 'service' property must be set");
        return false;
    }
    ret = pam_start(pam->service, identity, &conversation, &handle);
    if (ret != PAM_SUCCESS) {
        error_setg(errp, "Unable to start PAM transaction of service '%s': %s", pam->service,
                   pam_strerror(NULL, ret));
        return false;
    }
    ret = pam_acct_mgmt(handle, PAM_SILENT);
    if (ret != PAM_SUCCESS) {
        error_setg(errp, "Unable to authorize user '%s': %s", identity, pam_strerror(handle, ret));
    }
    pam_end(handle, ret);
    return ret == PAM_SUCCESS;
}
#else
static bool pam_is_allowed(QAuthZ *authz, const char *identity, Error **errp)
{
    error_setg(errp, "PAM is not built into this program");
    return false;
}
#endif

static void pam_complete(UserCreatable *uc, Error **errp)
{
#ifdef CONFIG_AUTH_PAM
    if (!QAUTHZ_PAM(uc)->service) {
        error_setg(errp, "The 'service' property must be set");
    }
#else
    error_setg(errp, "authz-pam needs libpam, which this program was built without");
#endif
}

static char *get_service(Object *obj, Error **errp)
{
    return g_strdup(QAUTHZ_PAM(obj)->service);
}

static void set_service(Object *obj, const char *value, Error **errp)
{
    QAuthZPAM *pam = QAUTHZ_PAM(obj);

    qauthz_lock();
    g_free(pam->service);
    pam->service = g_strdup(value);
    qauthz_unlock();
}

static void pam_finalize(Object *obj)
{
    g_free(QAUTHZ_PAM(obj)->service);
}

static void pam_class_init(ObjectClass *oc, void *data)
{
    USER_CREATABLE_CLASS(oc)->complete = pam_complete;
    QAUTHZ_CLASS(oc)->is_allowed = pam_is_allowed;
    object_class_property_add_str(oc, "service", get_service, set_service);
    object_class_property_set_description(oc, "service", "the PAM service that is asked");
}

static const TypeInfo pam_info = {
    .name = TYPE_QAUTHZ_PAM,
    .parent = TYPE_QAUTHZ,
    .instance_size = sizeof(QAuthZPAM),
    .instance_finalize = pam_finalize,
    .class_init = pam_class_init,
};

static void authz_pam_register_types(void)
{
    type_register_static(&pam_info);
}

type_init(authz_pam_register_types)
