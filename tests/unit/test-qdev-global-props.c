/*
 * Devices: static properties, -global, GPIO lines, buses, realize and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"

#define TYPE_GADGET "test-gadget"
OBJECT_DECLARE_SIMPLE_TYPE(Gadget, GADGET)
struct Gadget {
    SysBusDevice parent_obj;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    uint64_t size;
    bool flag;
    uint32_t bits;
    char *text;
    OnOffAuto auto_;
    DeviceState *peer;
    qemu_irq out[2];
    qemu_irq irq;
    int in_level[3];
    int resets;
    bool fail;
    BusState *bus;
};

static void gadget_in(void *opaque, int n, int level)
{
    GADGET(opaque)->in_level[n] = level;
}

static void gadget_init(Object *obj)
{
    Gadget *g = GADGET(obj);

    qdev_init_gpio_in(DEVICE(obj), gadget_in, 3);
    qdev_init_gpio_out_named(DEVICE(obj), g->out, "out", 2);
    sysbus_init_irq(SYS_BUS_DEVICE(obj), &g->irq);
}

static void gadget_realize(DeviceState *dev, Error **errp)
{
    Gadget *g = GADGET(dev);

    if (g->fail) {
        error_setg(errp, "it does not work");
        return;
    }
    g->bus = qbus_new(TYPE_SYSTEM_BUS, dev, "sub");
}

static void gadget_reset(DeviceState *dev)
{
    GADGET(dev)->resets++;
}

static const Property gadget_props[] = {
    DEFINE_PROP_UINT8("u8", Gadget, u8, 8),
    DEFINE_PROP_UINT16("u16", Gadget, u16, 16),
    DEFINE_PROP_UINT32("u32", Gadget, u32, 0xffffffff),
    DEFINE_PROP_INT32("i32", Gadget, i32, -32),
    DEFINE_PROP_UINT64("u64", Gadget, u64, UINT64_MAX),
    DEFINE_PROP_SIZE("size", Gadget, size, 4096),
    DEFINE_PROP_BOOL("flag", Gadget, flag, true),
    DEFINE_PROP_BIT("bit5", Gadget, bits, 5, true),
    DEFINE_PROP_BIT("bit6", Gadget, bits, 6, false),
    DEFINE_PROP_STRING("text", Gadget, text),
    DEFINE_PROP_ON_OFF_AUTO("auto", Gadget, auto_, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_LINK("peer", Gadget, peer, TYPE_DEVICE, DeviceState *),
    DEFINE_PROP_BOOL("fail", Gadget, fail, false),
};

static const VMStateDescription gadget_vmsd = {
    .name = "gadget",
    .version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(u8, Gadget),
        VMSTATE_END_OF_LIST()
    },
};

static void gadget_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = gadget_realize;
    dc->vmsd = &gadget_vmsd;
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, gadget_reset);
    device_class_set_props(dc, gadget_props);
}

static const TypeInfo gadget_types[] = {
    {
        .name = TYPE_GADGET, .parent = TYPE_SYS_BUS_DEVICE, .instance_size = sizeof(Gadget),
        .instance_init = gadget_init, .class_init = gadget_class_init,
    }, {
        .name = "test-gizmo", .parent = TYPE_GADGET,
    },
};
DEFINE_TYPES(gadget_types)

static void test_defaults(void)
{
    g_autoptr(Gadget) g = GADGET(qdev_new(TYPE_GADGET));

    g_assert_cmpuint(g->u8, ==, 8);
    g_assert_cmpuint(g->u16, ==, 16);
    g_assert_cmpuint(g->u32, ==, 0xffffffff);
    g_assert_cmpint(g->i32, ==, -32);
    g_assert_cmpuint(g->u64, ==, UINT64_MAX);
    g_assert_cmpuint(g->size, ==, 4096);
    g_assert_true(g->flag);
    g_assert_cmphex(g->bits, ==, 1 << 5);
    g_assert_null(g->text);
    g_assert_cmpint(g->auto_, ==, ON_OFF_AUTO_AUTO);
    g_assert_null(qdev_try_new("test-unicorn"));
    g_assert_null(qdev_try_new(TYPE_SYS_BUS_DEVICE));
    g_assert_null(qdev_try_new(TYPE_CONTAINER));
}

static void test_set(void)
{
    g_autoptr(Gadget) g = GADGET(qdev_new(TYPE_GADGET));
    DeviceState *dev = DEVICE(g);
    static const struct {
        const char *name, *value;
    } bad[] = {
        { "u8", "256" }, { "u8", "-1" }, { "u16", "65536" }, { "u32", "4294967296" },
        { "i32", "2147483648" }, { "size", "1Q" }, { "flag", "2" }, { "bit5", "5" },
        { "auto", "maybe" }, { "peer", "/nowhere" }, { "wings", "2" },
    };

    qdev_prop_set_uint8(dev, "u8", 255);
    qdev_prop_set_uint16(dev, "u16", 65535);
    qdev_prop_set_uint32(dev, "u32", 1);
    qdev_prop_set_int32(dev, "i32", INT32_MIN);
    qdev_prop_set_uint64(dev, "u64", UINT64_MAX - 1);
    qdev_prop_set_bit(dev, "bit5", false);
    qdev_prop_set_bit(dev, "bit6", true);
    qdev_prop_set_string(dev, "text", "hello");
    qdev_prop_set_enum(dev, "auto", ON_OFF_AUTO_OFF);
    g_assert_true(object_property_parse(OBJECT(dev), "size", "2M", &error_abort));
    g_assert_cmpuint(g->u8, ==, 255);
    g_assert_cmpuint(g->u16, ==, 65535);
    g_assert_cmpint(g->i32, ==, INT32_MIN);
    g_assert_cmpuint(g->u64, ==, UINT64_MAX - 1);
    g_assert_cmphex(g->bits, ==, 1 << 6);
    g_assert_cmpstr(g->text, ==, "hello");
    g_assert_cmpint(g->auto_, ==, ON_OFF_AUTO_OFF);
    g_assert_cmpuint(g->size, ==, 2 * 1024 * 1024);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(object_property_parse(OBJECT(dev), bad[i].name, bad[i].value, NULL));
    }
    g_assert_cmpuint(g->u8, ==, 255);
}

static void test_globals(void)
{
    Error *err = NULL;
    Gadget *g;

    g_assert_true(qdev_global_parse("test-gadget.u8=1", &error_abort));
    g_assert_true(qdev_global_parse("test-gizmo.u8=2", &error_abort));
    g_assert_true(qdev_global_parse("driver=test-gadget,property=text,value=a=b", &error_abort));
    g_assert_true(qdev_global_parse("test-gadget.u16=3", &error_abort));
    g_assert_true(qdev_global_parse("test-gadget.u16=4", &error_abort));

    g = GADGET(qdev_new(TYPE_GADGET));
    g_assert_cmpuint(g->u8, ==, 1);
    g_assert_cmpuint(g->u16, ==, 4);
    g_assert_cmpstr(g->text, ==, "a=b");
    object_unref(g);
    g = GADGET(qdev_new("test-gizmo"));
    g_assert_cmpuint(g->u8, ==, 2);
    g_assert_cmpstr(qdev_find_global_prop(OBJECT(g), "u16")->value, ==, "4");
    g_assert_null(qdev_find_global_prop(OBJECT(g), "u32"));
    object_unref(g);
    g_assert_cmpint(qdev_prop_check_globals(), ==, 0);

    /* A bad value shows when the device is realized. */
    g_assert_true(qdev_global_parse("test-gadget.u8=x,y", &error_abort));
    g = GADGET(qdev_new(TYPE_GADGET));
    g_assert_false(sysbus_realize_and_unref(SYS_BUS_DEVICE(g), &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err),
                                   "can't apply global test-gadget.u8=x,y: "));
    g_clear_pointer(&err, error_free);
    qdev_prop_clear_globals();
}

static void test_bad_globals(void)
{
    static const char *const bad[] = {
        "", "x", "x.y", "x=y", ".y=z", "driver=x", "driver=x,property=y", "x.=1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        g_assert_false(qdev_global_parse(bad[i], &err));
        g_assert_nonnull(err);
        error_free(err);
    }
    g_assert_cmpint(qdev_globals()->len, ==, 0);
}

static void test_unused_globals(void)
{
    if (g_test_subprocess()) {
        qdev_global_parse("test-unicorn.x=1", &error_abort);
        qdev_global_parse("container.x=1", &error_abort);
        qdev_global_parse("test-gadget.u8=1", &error_abort);
        g_assert_cmpint(qdev_prop_check_globals(), ==, 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*warning: global test-unicorn.x has invalid class name*"
                              "warning: global container.x has invalid class name*"
                              "warning: global test-gadget.u8=1 not used*");
}

static void test_realize(void)
{
    Gadget *g = GADGET(qdev_new(TYPE_GADGET)), *sub = GADGET(qdev_new("test-gizmo"));
    Gadget *broken = GADGET(qdev_new(TYPE_GADGET));
    g_autofree char *path = NULL;
    Error *err = NULL;

    g_assert_true(sysbus_realize_and_unref(SYS_BUS_DEVICE(g), &error_abort));
    g_assert_true(qdev_is_realized(DEVICE(g)));
    g_assert_true(qdev_get_child_bus(DEVICE(g), "sub") == g->bus);
    g_assert_true(qdev_get_parent_bus(DEVICE(g)) == sysbus_get_default());
    path = object_get_canonical_path(OBJECT(g));
    g_assert_cmpstr(path, ==, "/machine/unattached/device[0]");
    g_assert_false(object_property_set_uint(OBJECT(g), "u8", 9, &err));
    g_assert_nonnull(err);
    g_clear_pointer(&err, error_free);

    object_property_set_bool(OBJECT(broken), "fail", true, &error_abort);
    g_assert_false(sysbus_realize(SYS_BUS_DEVICE(broken), &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "it does not work");
    g_clear_pointer(&err, error_free);
    g_assert_false(qdev_is_realized(DEVICE(broken)));
    g_assert_null(OBJECT(broken)->parent);
    object_unref(broken);

    g_assert_nonnull(qdev_set_id(DEVICE(sub), g_strdup("sub0"), &error_abort));
    qdev_realize_and_unref(DEVICE(sub), g->bus, &error_abort);
    g_assert_true(qdev_find_recursive(sysbus_get_default(), "sub0") == DEVICE(sub));
    g_assert_true(object_resolve_path("/machine/peripheral/sub0", NULL) == OBJECT(sub));

    bus_cold_reset(sysbus_get_default());
    g_assert_cmpint(g->resets, ==, 1);
    g_assert_cmpint(sub->resets, ==, 1);
    device_cold_reset(DEVICE(sub));
    g_assert_cmpint(sub->resets, ==, 2);

    object_unparent(OBJECT(g));
    g_assert_null(qdev_find_recursive(sysbus_get_default(), "sub0"));
}

static int icpt_level = -1;

static void icpt(void *opaque, int n, int level)
{
    icpt_level = level;
}

static void test_gpio(void)
{
    Gadget *a = GADGET(qdev_new(TYPE_GADGET)), *b = GADGET(qdev_new(TYPE_GADGET));
    qemu_irq before, line;

    sysbus_realize_and_unref(SYS_BUS_DEVICE(a), &error_abort);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(b), &error_abort);
    qdev_connect_gpio_out_named(DEVICE(a), "out", 1, qdev_get_gpio_in(DEVICE(b), 2));
    qemu_set_irq(a->out[0], 1);         /* leads nowhere */
    qemu_irq_raise(a->out[1]);
    g_assert_cmpint(b->in_level[2], ==, 1);
    g_assert_true(qdev_get_gpio_out_connector(DEVICE(a), "out", 1) ==
                  qdev_get_gpio_in(DEVICE(b), 2));

    before = qdev_intercept_gpio_out(DEVICE(a), qemu_allocate_irq(icpt, NULL, 0), "out", 1);
    g_assert_true(before == qdev_get_gpio_in(DEVICE(b), 2));
    qemu_irq_lower(a->out[1]);
    g_assert_cmpint(icpt_level, ==, 0);
    g_assert_cmpint(b->in_level[2], ==, 1);
    object_unref(before);

    g_assert_true(sysbus_has_irq(SYS_BUS_DEVICE(a), 0));
    g_assert_false(sysbus_has_irq(SYS_BUS_DEVICE(a), 1));
    g_assert_false(sysbus_is_irq_connected(SYS_BUS_DEVICE(a), 0));
    sysbus_connect_irq(SYS_BUS_DEVICE(a), 0, qdev_get_gpio_in(DEVICE(b), 0));
    g_assert_true(sysbus_is_irq_connected(SYS_BUS_DEVICE(a), 0));
    qemu_irq_pulse(a->irq);
    g_assert_cmpint(b->in_level[0], ==, 0);

    line = qdev_get_gpio_in(DEVICE(b), 1);
    qemu_irq_intercept_in(&line, icpt, 1);
    qemu_irq_raise(line);
    g_assert_cmpint(icpt_level, ==, 1);
    g_assert_cmpint(b->in_level[1], ==, 0);

    object_unparent(OBJECT(a));
    object_unparent(OBJECT(b));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);

    g_test_add_func("/qdev/defaults", test_defaults);
    g_test_add_func("/qdev/set", test_set);
    g_test_add_func("/qdev/globals", test_globals);
    g_test_add_func("/qdev/bad-globals", test_bad_globals);
    g_test_add_func("/qdev/unused-globals", test_unused_globals);
    g_test_add_func("/qdev/realize", test_realize);
    g_test_add_func("/qdev/gpio", test_gpio);
    return g_test_run();
}
