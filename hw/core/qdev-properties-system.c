/*
 * Drives as properties: see hw/qdev-properties-system.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-properties-system.h"
#include "qapi/error.h"
#include "qapi/visitor.h"

static BlockBackend **drive_field(Object *obj, void *opaque)
{
    return object_field_prop_ptr(obj, opaque);
}

static void drive_release(Object *obj, const char *name, void *opaque)
{
    BlockBackend **field = drive_field(obj, opaque);

    if (*field) {
        blk_detach_dev(*field);
        *field = NULL;
    }
}

static void drive_get_name(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    BlockBackend **field = drive_field(obj, opaque);
    char *id = *field ? (char *)blk_name(*field) : (char *)"";

    visit_type_str(v, name, &id, errp);
}

static void drive_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    g_autofree char *id = NULL;
    BlockBackend *blk;

    if (!visit_type_str(v, name, &id, errp)) {
        return;
    }
    blk = *id ? blk_by_name(id) : NULL;
    if (*id && !blk) {
        error_setg(errp, "Property '%s.%s' can't find value '%s'", object_get_typename(obj), name,
                   id);
        return;
    }
    if (blk && !blk_attach_dev(blk, DEVICE(obj), errp)) {
        return;
    }
    drive_release(obj, name, opaque);
    *drive_field(obj, opaque) = blk;
}

const PropertyInfo qdev_prop_drive = {
    .type = "str",
    .description = "id of the drive behind it",
    .get = drive_get_name,
    .set = drive_set,
    .release = drive_release,
};

bool qdev_prop_set_drive_err(DeviceState *dev, const char *name, BlockBackend *blk, Error **errp)
{
    return object_property_set_str(OBJECT(dev), name, blk_name(blk), errp);
}
