/*
 * Static properties of devices: one PropertyInfo for each type of field, and the helpers that put a
 * table of them on a class.
 *
 * The accessors' opaque is the Property; the value is the field at its offset in the instance.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qapi/util.h"
#include "qapi/visitor.h"

void *object_field_prop_ptr(Object *obj, const Property *prop)
{
    return (char *)obj + prop->offset;
}

/* ---- guards ---------------------------------------------------------------------------- */

static void common_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const Property *prop = opaque;

    prop->info->get(obj, v, name, opaque, errp);
}

static void common_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const Property *prop = opaque;
    DeviceState *dev = (DeviceState *)object_dynamic_cast(obj, TYPE_DEVICE);

    if (dev && dev->realized && !prop->info->realized_set_allowed) {
        error_setg(errp, "Attempt to set property '%s' on device '%s' (type '%s') after it was "
                   "realized", name, dev->id ?: "", object_get_typename(obj));
        return;
    }
    prop->info->set(obj, v, name, opaque, errp);
}

void error_set_from_qdev_prop_error(Error **errp, int ret, Object *obj, const char *name,
                                    const char *value)
{
    const char *type = object_get_typename(obj);

    switch (ret) {
    case 0:
        break;
    case -EEXIST:
        error_setg(errp, "Property '%s.%s' can't take value '%s', it's in use", type, name,
                   value);
        break;
    case -ENOENT:
        error_setg(errp, "Property '%s.%s' can't find value '%s'", type, name, value);
        break;
    default:
        error_setg(errp, "Property '%s.%s' doesn't take value '%s'", type, name, value);
    }
}

/* ---- numbers --------------------------------------------------------------------------- */

void qdev_propinfo_set_default_value_int(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_int(op, prop->defval.i);
}

void qdev_propinfo_set_default_value_uint(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_uint(op, prop->defval.u);
}

#define DEFINE_NUMBER(ident, ctype, visit, type_name, default_fn) \
    static void ident##_get(Object *obj, Visitor *v, const char *name, void *opaque, \
                            Error **errp) \
    { \
        ctype value = *(ctype *)object_field_prop_ptr(obj, opaque); \
        visit(v, name, &value, errp); \
    } \
    static void ident##_set(Object *obj, Visitor *v, const char *name, void *opaque, \
                            Error **errp) \
    { \
        ctype value; \
        if (visit(v, name, &value, errp)) { \
            *(ctype *)object_field_prop_ptr(obj, opaque) = value; \
        } \
    } \
    const PropertyInfo qdev_prop_##ident = { \
        .type = type_name, \
        .get = ident##_get, \
        .set = ident##_set, \
        .set_default_value = default_fn, \
    };

DEFINE_NUMBER(uint8, uint8_t, visit_type_uint8, "uint8", qdev_propinfo_set_default_value_uint)
DEFINE_NUMBER(uint16, uint16_t, visit_type_uint16, "uint16",
              qdev_propinfo_set_default_value_uint)
DEFINE_NUMBER(uint32, uint32_t, visit_type_uint32, "uint32",
              qdev_propinfo_set_default_value_uint)
DEFINE_NUMBER(int32, int32_t, visit_type_int32, "int32", qdev_propinfo_set_default_value_int)
DEFINE_NUMBER(uint64, uint64_t, visit_type_uint64, "uint64",
              qdev_propinfo_set_default_value_uint)
DEFINE_NUMBER(int64, int64_t, visit_type_int64, "int64", qdev_propinfo_set_default_value_int)
DEFINE_NUMBER(usize, uint32_t, visit_type_uint32, "usize", qdev_propinfo_set_default_value_uint)
DEFINE_NUMBER(size, uint64_t, visit_type_size, "size", qdev_propinfo_set_default_value_uint)

void qdev_propinfo_get_int32(Object *obj, Visitor *v, const char *name, void *opaque,
                             Error **errp)
{
    int32_get(obj, v, name, opaque, errp);
}

static void size32_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = *(uint32_t *)object_field_prop_ptr(obj, opaque);

    visit_type_size(v, name, &value, errp);
}

static void size32_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value;

    if (!visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (value > UINT32_MAX) {
        error_setg(errp, "Property %s.%s doesn't take value %" PRIu64 " (maximum: %u)",
                   object_get_typename(obj), name, value, UINT32_MAX);
        return;
    }
    *(uint32_t *)object_field_prop_ptr(obj, opaque) = value;
}

const PropertyInfo qdev_prop_size32 = {
    .type = "size",
    .get = size32_get,
    .set = size32_set,
    .set_default_value = qdev_propinfo_set_default_value_uint,
};

static void checkmask_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const Property *prop = opaque;
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (value & ~prop->bitmask) {
        error_setg(errp, "Property value for '%s' has bits outside mask '0x%" PRIx64 "'", name,
                   prop->bitmask);
        return;
    }
    *(uint64_t *)object_field_prop_ptr(obj, opaque) = value;
}

const PropertyInfo qdev_prop_uint64_checkmask = {
    .type = "uint64",
    .get = uint64_get,
    .set = checkmask_set,
};

/* ---- bool and bits --------------------------------------------------------------------- */

static void set_default_bool(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_bool(op, prop->defval.u);
}

static void bool_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    bool value = *(bool *)object_field_prop_ptr(obj, opaque);

    visit_type_bool(v, name, &value, errp);
}

static void bool_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    bool value;

    if (visit_type_bool(v, name, &value, errp)) {
        *(bool *)object_field_prop_ptr(obj, opaque) = value;
    }
}

const PropertyInfo qdev_prop_bool = {
    .type = "bool",
    .get = bool_get,
    .set = bool_set,
    .set_default_value = set_default_bool,
};

#define DEFINE_BIT(ident, ctype) \
    static void ident##_get(Object *obj, Visitor *v, const char *name, void *opaque, \
                            Error **errp) \
    { \
        const Property *prop = opaque; \
        bool value = *(ctype *)object_field_prop_ptr(obj, prop) >> prop->bitnr & 1; \
        visit_type_bool(v, name, &value, errp); \
    } \
    static void ident##_set(Object *obj, Visitor *v, const char *name, void *opaque, \
                            Error **errp) \
    { \
        const Property *prop = opaque; \
        ctype *field = object_field_prop_ptr(obj, prop); \
        ctype mask = (ctype)1 << prop->bitnr; \
        bool value; \
        if (visit_type_bool(v, name, &value, errp)) { \
            *field = value ? *field | mask : *field & ~mask; \
        } \
    } \
    const PropertyInfo qdev_prop_##ident = { \
        .type = "bool", \
        .description = "on/off", \
        .get = ident##_get, \
        .set = ident##_set, \
        .set_default_value = set_default_bool, \
    };

DEFINE_BIT(bit, uint32_t)
DEFINE_BIT(bit64, uint64_t)

/* ---- text ------------------------------------------------------------------------------ */

static void string_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    char **field = object_field_prop_ptr(obj, opaque);
    char *value = *field ?: (char *)"";

    visit_type_str(v, name, &value, errp);
}

static void string_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    char **field = object_field_prop_ptr(obj, opaque);
    char *value;

    if (visit_type_str(v, name, &value, errp)) {
        g_free(*field);
        *field = value;
    }
}

static void string_release(Object *obj, const char *name, void *opaque)
{
    g_free(*(char **)object_field_prop_ptr(obj, opaque));
}

const PropertyInfo qdev_prop_string = {
    .type = "str",
    .get = string_get,
    .set = string_set,
    .release = string_release,
};

/* ---- enums ----------------------------------------------------------------------------- */

void qdev_propinfo_get_enum(Object *obj, Visitor *v, const char *name, void *opaque,
                            Error **errp)
{
    const Property *prop = opaque;
    int value = *(int *)object_field_prop_ptr(obj, prop);

    visit_type_enum(v, name, &value, prop->info->enum_table, errp);
}

void qdev_propinfo_set_enum(Object *obj, Visitor *v, const char *name, void *opaque,
                            Error **errp)
{
    const Property *prop = opaque;
    int value;

    if (visit_type_enum(v, name, &value, prop->info->enum_table, errp)) {
        *(int *)object_field_prop_ptr(obj, prop) = value;
    }
}

void qdev_propinfo_set_default_value_enum(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_str(op, qapi_enum_lookup(prop->info->enum_table,
                                                         prop->defval.i));
}

/* A base to copy; without its table it is no type of its own. */
const PropertyInfo qdev_prop_enum = {
    .type = "enum",
    .get = qdev_propinfo_get_enum,
    .set = qdev_propinfo_set_enum,
    .set_default_value = qdev_propinfo_set_default_value_enum,
};

const PropertyInfo qdev_prop_on_off_auto = {
    .type = "OnOffAuto",
    .description = "on/off/auto",
    .enum_table = &OnOffAuto_lookup,
    .get = qdev_propinfo_get_enum,
    .set = qdev_propinfo_set_enum,
    .set_default_value = qdev_propinfo_set_default_value_enum,
};

/* ---- links ----------------------------------------------------------------------------- */

static void may_set_link_before_realize(const Object *obj, const char *name, Object *val,
                                        Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "Attempt to set link property '%s' on device of type '%s' after it was "
                   "realized", name, object_get_typename(obj));
    }
}

static ObjectProperty *link_create(ObjectClass *oc, const char *name, const Property *prop)
{
    return object_class_property_add_link(oc, name, prop->link_type, prop->offset,
                                          may_set_link_before_realize, OBJ_PROP_LINK_STRONG);
}

const PropertyInfo qdev_prop_link = {
    .type = "link",
    .create = link_create,
};

/* ---- character back ends ---------------------------------------------------------------- */

static const QdevChrOps *chr_ops;

void qdev_prop_chr_set_ops(const QdevChrOps *ops)
{
    chr_ops = ops;
}

static void chr_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    g_autofree char *label = chr_ops ? chr_ops->label(object_field_prop_ptr(obj, opaque)) : NULL;
    char *value = label ?: (char *)"";

    visit_type_str(v, name, &value, errp);
}

static void chr_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    g_autofree char *label = NULL;

    if (!visit_type_str(v, name, &label, errp)) {
        return;
    }
    if (!*label) {
        if (chr_ops) {
            chr_ops->disconnect(object_field_prop_ptr(obj, opaque));
        }
        return;
    }
    if (!chr_ops) {
        error_setg(errp, "Property '%s.%s': there are no character devices here",
                   object_get_typename(obj), name);
        return;
    }
    chr_ops->connect(object_field_prop_ptr(obj, opaque), label, errp);
}

static void chr_release(Object *obj, const char *name, void *opaque)
{
    if (chr_ops) {
        chr_ops->disconnect(object_field_prop_ptr(obj, opaque));
    }
}

const PropertyInfo qdev_prop_chr = {
    .type = "str",
    .description = "id of the character device that it talks to",
    .get = chr_get,
    .set = chr_set,
    .release = chr_release,
};

void qdev_prop_set_chr(DeviceState *dev, const char *name, Chardev *value)
{
    const char *label = value ? chr_ops->chardev_label(value) : "";

    object_property_set_str(OBJECT(dev), name, label, &error_abort);
}

/* ---- tables ---------------------------------------------------------------------------- */

static void add_to_class(ObjectClass *oc, const Property *prop)
{
    ObjectProperty *op;

    if (prop->info->create) {
        op = prop->info->create(oc, prop->name, prop);
    } else {
        op = object_class_property_add(oc, prop->name, prop->info->type,
                                       prop->info->get ? common_get : NULL,
                                       prop->info->set ? common_set : NULL, prop->info->release,
                                       (void *)prop);
    }
    if (prop->set_default) {
        prop->info->set_default_value(op, prop);
    }
    if (prop->info->description) {
        object_class_property_set_description(oc, prop->name, prop->info->description);
    }
}

void device_class_set_props_n(DeviceClass *dc, const Property *props, size_t n)
{
    dc->props_ = props;
    dc->props_count_ = n;
    for (size_t i = 0; i < n && props[i].name; i++) {
        add_to_class(OBJECT_CLASS(dc), &props[i]);
    }
}

void qdev_property_add_static(DeviceState *dev, const Property *prop)
{
    Object *obj = OBJECT(dev);
    ObjectProperty *op;

    g_assert(!prop->info->create);
    op = object_property_add(obj, prop->name, prop->info->type,
                             prop->info->get ? common_get : NULL,
                             prop->info->set ? common_set : NULL, prop->info->release,
                             (void *)prop);
    if (prop->info->description) {
        object_property_set_description(obj, prop->name, prop->info->description);
    }
    if (prop->set_default) {
        prop->info->set_default_value(op, prop);
        op->init(obj, op);
    }
}

/* ---- from C ---------------------------------------------------------------------------- */

void qdev_prop_set_bit(DeviceState *dev, const char *name, bool value)
{
    object_property_set_bool(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_uint8(DeviceState *dev, const char *name, uint8_t value)
{
    object_property_set_int(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_uint16(DeviceState *dev, const char *name, uint16_t value)
{
    object_property_set_int(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_uint32(DeviceState *dev, const char *name, uint32_t value)
{
    object_property_set_int(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_int32(DeviceState *dev, const char *name, int32_t value)
{
    object_property_set_int(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_uint64(DeviceState *dev, const char *name, uint64_t value)
{
    object_property_set_uint(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_string(DeviceState *dev, const char *name, const char *value)
{
    object_property_set_str(OBJECT(dev), name, value, &error_abort);
}

void qdev_prop_set_enum(DeviceState *dev, const char *name, int value)
{
    ObjectProperty *op = object_property_find_err(OBJECT(dev), name, &error_abort);
    const Property *prop = op->opaque;

    object_property_set_str(OBJECT(dev), name, qapi_enum_lookup(prop->info->enum_table, value),
                            &error_abort);
}

bool qdev_prop_set_link(DeviceState *dev, const char *name, Object *value, Error **errp)
{
    return object_property_set_link(OBJECT(dev), name, value, errp);
}
