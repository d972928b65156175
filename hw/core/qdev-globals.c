/*
 * `-global` for devices: applied when they are made, checked once the machine is there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/globals.h"

static GSList *other_types;             /* names, borrowed */

void qdev_global_allow_type(const char *typename)
{
    other_types = g_slist_prepend(other_types, (char *)typename);
}

/* A bad value can't be returned from where objects are made; it makes realizing fail. */
void qdev_prop_set_globals(DeviceState *dev)
{
    Error *err = NULL;

    if (!object_apply_globals(OBJECT(dev), &err)) {
        error_free(dev->init_error);
        dev->init_error = err;
    }
}

static bool takes_globals(ObjectClass *oc)
{
    if (object_class_dynamic_cast(oc, TYPE_DEVICE)) {
        return true;
    }
    for (GSList *l = other_types; l; l = l->next) {
        if (object_class_dynamic_cast(oc, l->data)) {
            return true;
        }
    }
    return false;
}

int qdev_prop_check_globals(void)
{
    const GPtrArray *list = qdev_globals();
    int ret = 0;

    for (guint i = 0; i < list->len; i++) {
        const GlobalProperty *prop = g_ptr_array_index(list, i);
        ObjectClass *oc = object_class_by_name(prop->driver);

        if (prop->used) {
            continue;
        }
        if (!oc || !takes_globals(oc)) {
            warn_report("global %s.%s has invalid class name", prop->driver, prop->property);
            ret = 1;
        } else if (!object_class_dynamic_cast(oc, TYPE_DEVICE) ||
                   !DEVICE_CLASS(oc)->hotpluggable) {
            /* What can still be plugged may still use it. */
            warn_report("global %s.%s=%s not used", prop->driver, prop->property, prop->value);
            ret = 1;
        }
    }
    return ret;
}
