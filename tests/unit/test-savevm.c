/*
 * The stream's envelope: what is saved is looked at byte by byte, and loaded back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "savevm-helpers.h"

static void test_roundtrip(void)
{
    Dev a, b, a0, b0;
    Section sa, sb;

    dev_fill(&a, 1);
    dev_fill(&b, 2);
    b.extra = 0x1122334455667788ull;
    a0 = a;
    b0 = b;
    vmstate_register(NULL, 0, &vmstate_dev, &a);
    vmstate_register(NULL, 5, &vmstate_dev, &b);
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmpint(a.pre_saves, ==, 1);

    g_assert_cmphex(ldl_be_p(stream->data), ==, QEMU_VM_FILE_MAGIC);
    g_assert_cmphex(ldl_be_p(stream->data + 4), ==, 3);
    g_assert_cmphex(stream->data[8], ==, QEMU_VM_CONFIGURATION);
    g_assert_cmpint(ldl_be_p(stream->data + 9), ==, 4);
    g_assert_true(!memcmp(stream->data + 13, "none", 4));
    sa = get_section("dev", 0);
    sb = get_section("dev", 5);
    g_assert_cmpint(sa.type, ==, QEMU_VM_SECTION_FULL);
    g_assert_cmpint(sa.version, ==, 3);
    g_assert_cmpint(sa.start, <, sb.start); /* in the order of registration */
    g_assert_cmpint(sa.id, <, sb.id);
    g_assert_cmphex(stream->data[sa.payload + DEV_SIZE], ==, QEMU_VM_SECTION_FOOTER);
    g_assert_cmpint(ldl_be_p(stream->data + sa.payload + DEV_SIZE + 1), ==, sa.id);
    g_assert_cmphex(stream->data[sb.payload + DEV_SIZE], ==, QEMU_VM_SUBSECTION);

    memset(&a, 0xff, sizeof(a));
    a.refuse = a.post_loads = 0;
    a.extra = 0; /* absent in the stream: stays as it is */
    memset(&b, 0, sizeof(b));
    g_assert_cmpint(load(&error_abort), ==, 0);
    dev_same(&a, &a0);
    dev_same(&b, &b0);
    g_assert_cmpint(a.post_loads, ==, 1);
    g_assert_cmpint(a.version, ==, 3);
    g_assert_true(global_state_received());

    vmstate_unregister(NULL, &vmstate_dev, &a);
    vmstate_unregister(NULL, &vmstate_dev, &b);
    load_fails("Unknown section or instance 'dev' 0");
}

static void test_description(void)
{
    g_autoptr(QObject) desc = NULL;
    QObject *dev, *inner, *sub, *config;
    Dev a;

    dev_fill(&a, 3);
    a.extra = 1;
    vmstate_register(NULL, 2, &vmstate_dev, &a);
    g_assert_cmpint(save(&error_abort), ==, 0);
    desc = description();
    g_assert_cmpint(qdict_get_int(desc, "page_size"), ==, 4096);
    config = qdict_get(desc, "configuration");
    g_assert_cmpstr(qdict_get_str(config, "vmsd_name"), ==, "configuration");
    check_field(config, 0, "len", "uint32", 4);
    check_field(config, 1, "name", "buffer", 4);

    dev = described_device(desc, "dev", 2);
    g_assert_cmpstr(qdict_get_str(dev, "vmsd_name"), ==, "dev");
    g_assert_cmpint(qdict_get_int(dev, "version"), ==, 3);
    g_assert_cmpint(json_object_array_length(qdict_get(dev, "fields")), ==, 4);
    check_field(dev, 0, "value", "uint32", 4);
    check_field(dev, 1, "list", "uint16", 2);
    check_field(dev, 2, "inner", "struct", 3);
    check_field(dev, 3, "late", "uint8", 1);
    inner = json_object_array_get_idx(qdict_get(dev, "fields"), 2);
    g_assert_cmpint(qdict_get_int(inner, "array_len"), ==, 2);
    inner = qdict_get(inner, "struct");
    g_assert_cmpstr(qdict_get_str(inner, "vmsd_name"), ==, "inner");
    check_field(inner, 0, "a", "uint8", 1);
    check_field(inner, 1, "b", "uint16", 2);
    sub = json_object_array_get_idx(qdict_get(dev, "subsections"), 0);
    g_assert_cmpstr(qdict_get_str(sub, "vmsd_name"), ==, "dev/extra");
    check_field(sub, 0, "extra", "uint64", 8);
    check_sections(desc);
    vmstate_unregister(NULL, &vmstate_dev, &a);
}

static void test_no_description(void)
{
    MigrationState *s = migrate_get_current();
    size_t with;

    g_assert_cmpint(save(&error_abort), ==, 0);
    with = stream->usage;
    s->send_vmdesc = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmpint(stream->usage, <, with);
    g_assert_cmphex(stream->data[stream->usage - 1], ==, QEMU_VM_EOF);
    g_assert_cmpint(load(&error_abort), ==, 0);
    s->send_vmdesc = true;
}

/* Higher priorities go first, early ones with the set-up, absent ones not at all. */
static void test_order(void)
{
    Dev plain, iommu, gic, early, absent;
    Section ram;

    dev_fill(&plain, 1);
    dev_fill(&iommu, 2);
    dev_fill(&gic, 3);
    dev_fill(&early, 4);
    dev_fill(&absent, 5);
    absent.absent = true;
    vmstate_register(NULL, 0, &vmstate_dev, &plain);
    vmstate_register(NULL, 1, &vmstate_dev, &absent);
    vmstate_register(NULL, 0, &vmstate_iommu, &iommu);
    vmstate_register(NULL, 0, &vmstate_early, &early);
    vmstate_register(NULL, 0, &vmstate_gic, &gic);
    g_assert_cmpint(save(&error_abort), ==, 0);
    ram = get_section("ram", 0);
    g_assert_cmpint(ram.type, ==, QEMU_VM_SECTION_START);
    {
        Section e = get_section("early", 0), g = get_section("gic", 0), none;
        Section i = get_section("iommu", 0), p = get_section("dev", 0);
        /* The devices proper begin where RAM has ended. */
        Section first = get_section("globalstate", 0);

        g_assert_cmpint(e.start, <, g.start);
        g_assert_cmpint(g.start, <, i.start);
        g_assert_cmpint(i.start, <, p.start);
        g_assert_cmpint(i.start, <, first.start);
        g_assert_cmpint(ram.start, <, g.start);
        g_assert_false(find_section("dev", 1, &none));
    }
    g_assert_cmpint(absent.pre_saves, ==, 0);
    memset(&early, 0, sizeof(early));
    memset(&gic, 0, sizeof(gic));
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_cmpint(early.list[0], ==, 4);
    g_assert_cmpint(gic.list[0], ==, 3);
    vmstate_unregister(NULL, &vmstate_dev, &plain);
    vmstate_unregister(NULL, &vmstate_dev, &absent);
    vmstate_unregister(NULL, &vmstate_iommu, &iommu);
    vmstate_unregister(NULL, &vmstate_early, &early);
    vmstate_unregister(NULL, &vmstate_gic, &gic);
}

/* Instance ids: given, next free, alias; and by a device's path. */

#define TYPE_FAKE_DEVICE "fake-device"

static char *fake_get_id(VMStateIf *obj)
{
    return g_strdup("0000:00:02.0");
}

static void fake_class_init(ObjectClass *klass, void *data)
{
    VMSTATE_IF_CLASS(klass)->get_id = fake_get_id;
}

static const TypeInfo vmstate_if_type = {
    .name = TYPE_VMSTATE_IF,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(VMStateIfClass),
};

static const TypeInfo fake_type = {
    .name = TYPE_FAKE_DEVICE,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(Object),
    .class_init = fake_class_init,
    .interfaces = (InterfaceInfo[]){{TYPE_VMSTATE_IF}, {}},
};

static void test_instances(void)
{
    Dev d[5];

    for (int i = 0; i < 5; i++) {
        dev_fill(&d[i], i + 1);
    }
    vmstate_register_any(NULL, &vmstate_dev, &d[0]);
    vmstate_register(NULL, 7, &vmstate_dev, &d[1]);
    vmstate_register_any(NULL, &vmstate_dev, &d[2]);
    g_assert_cmpint(vmstate_register_with_alias_id(NULL, 20, &vmstate_dev, &d[3], 3, 3,
                                                   &error_abort), ==, 0);
    g_assert_cmpint(save(&error_abort), ==, 0);
    get_section("dev", 0);
    get_section("dev", 7);
    get_section("dev", 8);
    get_section("dev", 20);
    /* A stream of older make knows the fourth by its alias. */
    stl_be_p(stream->data + get_section("dev", 20).payload - 8, 3);
    memset(&d[3], 0, sizeof(d[3]));
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_cmpint(d[3].list[0], ==, 4);
    for (int i = 0; i < 4; i++) {
        vmstate_unregister(NULL, &vmstate_dev, &d[i]);
    }
}

static void test_path(void)
{
    Object *obj = object_new(TYPE_FAKE_DEVICE);
    VMStateIf *vmif = VMSTATE_IF(obj);
    QEMUFile *f;
    Section s;
    Dev d, want;

    dev_fill(&d, 6);
    want = d;
    vmstate_register_any(vmif, &vmstate_dev, &d);
    g_assert_cmpint(save(&error_abort), ==, 0);
    s = get_section("0000:00:02.0/dev", 0);
    memset(&d, 0, sizeof(d));
    g_assert_cmpint(load(&error_abort), ==, 0);
    dev_same(&d, &want);

    /* Sources that knew no paths call it by its bare name. */
    f = stream_begin();
    qemu_savevm_state_header(f);
    qemu_savevm_state_cleanup();
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, s.id);
    qemu_put_counted_string(f, "dev");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    vmstate_save_state(f, &vmstate_dev, &want, NULL);
    qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
    qemu_put_be32(f, s.id);
    qemu_put_byte(f, QEMU_VM_EOF);
    qemu_fclose(f);
    memset(&d, 0, sizeof(d));
    g_assert_cmpint(load(&error_abort), ==, 0);
    dev_same(&d, &want);
    vmstate_unregister(vmif, &vmstate_dev, &d);
    object_unref(obj);
}

static void test_path_too_long(void)
{
    g_autofree char *name = g_strnfill(250, 'x');
    VMStateDescription vmsd = vmstate_dev;
    Object *obj = object_new(TYPE_FAKE_DEVICE);
    Error *err = NULL;
    Dev d;

    vmsd.name = name;
    g_assert_cmpint(vmstate_register_with_alias_id(VMSTATE_IF(obj), 0, &vmsd, &d, -1, 0, &err), <,
                    0);
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "Path too long"));
    error_free(err);
    object_unref(obj);
}

/* Versions: older ones within bounds load, and say which they were. */

static void test_versions(void)
{
    static const uint8_t v2[DEV_SIZE] = {0, 0, 0, 9};
    QEMUFile *f;
    Dev d;

    dev_fill(&d, 8);
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    f = hand_begin();
    put_dev_section(f, "dev", 0, 2, v2, DEV_SIZE - 1); /* "late" is not there yet */
    hand_end(f);
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_cmpint(d.value, ==, 9);
    g_assert_cmpint(d.version, ==, 2);
    g_assert_cmpint(d.late, ==, 56); /* untouched */

    f = hand_begin();
    put_dev_section(f, "dev", 0, 4, v2, DEV_SIZE);
    hand_end(f);
    load_fails("section 'dev': version 4 is too new, at most 3 is supported");
    f = hand_begin();
    put_dev_section(f, "dev", 0, UINT32_MAX, v2, DEV_SIZE);
    hand_end(f);
    load_fails("too new");
    f = hand_begin();
    put_dev_section(f, "dev", 0, 1, v2, DEV_SIZE);
    hand_end(f);
    load_fails("section 'dev' instance 0: dev: incoming version_id 1 is too old");
    /* A device that refuses what it got. */
    d.refuse = -EINVAL;
    f = hand_begin();
    put_dev_section(f, "dev", 0, 3, v2, DEV_SIZE);
    hand_end(f);
    load_fails("section 'dev' instance 0: dev: post_load refused the state");
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

/* A device that cannot be saved now: the error names it, and what was made is given back. */
static void test_save_fails(void)
{
    Error *err = NULL;
    Dev d;

    dev_fill(&d, 1);
    d.refuse = -EBUSY;
    vmstate_register(NULL, 4, &vmstate_dev, &d);
    g_assert_cmpint(save(&err), <, 0);
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "section 'dev' instance 4: "));
    g_assert_nonnull(strstr(error_get_pretty(err), "Device or resource busy"));
    error_free_or_abort(&err);
    d.refuse = 0;
    g_assert_cmpint(save(&error_abort), ==, 0);
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

static void test_iterative(void)
{
    Iter it = {.rounds = 3, .active = true};
    uint64_t must, can, must0, can0;
    Section s;

    qemu_savevm_state_pending_estimate(&must0, &can0);
    register_savevm_live("iter", 0, 2, &iter_handlers, &it);
    qemu_savevm_state_pending_estimate(&must, &can);
    g_assert_cmpint(must - must0, ==, 3);
    g_assert_cmpint(can - can0, ==, 100);
    g_assert_cmpint(save(&error_abort), ==, 0);
    s = get_section("iter", 0);
    g_assert_cmpint(s.type, ==, QEMU_VM_SECTION_START);
    g_assert_cmpint(s.version, ==, 2);
    g_assert_cmpint(it.prepares, ==, 1);
    g_assert_cmpint(it.setups, ==, 1);
    g_assert_cmpint(it.cleanups, ==, 1);
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_cmpstr(it.loaded, ==, "SPPPE");
    g_assert_cmpint(it.load_setups, ==, 1);
    g_assert_cmpint(it.load_cleanups, ==, 1);

    /* Nothing to send: not a section, but the cleaning-up is still owed. */
    it.active = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_false(find_section("iter", 0, &s));
    g_assert_cmpint(it.setups, ==, 1);
    g_assert_cmpint(it.cleanups, ==, 2);
    unregister_savevm(NULL, "iter", &it);
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmpint(it.cleanups, ==, 2);
}

/* Into a file that has failed nothing goes any more; who sends until all is sent must hear of it. */
static void test_iterative_broken(void)
{
    Iter it = {.rounds = 2, .active = true};
    QEMUFile *f = stream_begin();

    register_savevm_live("iter", 0, 2, &iter_handlers, &it);
    bql_unlock(); /* the migration thread's part */
    qemu_savevm_state_header(f);
    g_assert_cmpint(qemu_savevm_state_setup(f, &error_abort), ==, 0);
    g_assert_cmpint(qemu_savevm_state_iterate(f), ==, 0);
    qemu_file_set_error(f, -EPIPE);
    g_assert_cmpint(qemu_savevm_state_iterate(f), ==, -EPIPE);
    bql_lock();
    qemu_savevm_state_cleanup();
    unregister_savevm(NULL, "iter", &it);
    qemu_fclose(f);
}

static void test_iterative_fails(void)
{
    Iter it = {.rounds = 2, .active = true, .fail_prepare = true};
    Error *err = NULL;

    register_savevm_live("iter", 0, 2, &iter_handlers, &it);
    g_assert_cmpint(save(&err), ==, -EAGAIN);
    g_assert_cmpstr(error_get_pretty(err), ==, "not ready");
    error_free_or_abort(&err);
    g_assert_cmpint(it.setups, ==, 0);

    it.fail_prepare = false;
    it.fail_setup = true;
    g_assert_cmpint(save(&err), ==, -ENOSPC);
    g_assert_cmpstr(error_get_pretty(err), ==, "section 'iter': no room");
    error_free_or_abort(&err);
    g_assert_cmpint(it.cleanups, ==, 2);

    it.fail_setup = false;
    it.fail_iterate = true;
    g_assert_cmpint(save(&err), ==, -EPIPE);
    error_free(err);
    g_assert_cmpint(it.cleanups, ==, 3);
    unregister_savevm(NULL, "iter", &it);
}

/* Handlers for a device's state in one piece, as VMState does it. */
static void plain_save(QEMUFile *f, void *opaque)
{
    g_assert_true(bql_locked());
    qemu_put_be32(f, *(uint32_t *)opaque);
}

static int plain_load(QEMUFile *f, void *opaque, int version_id)
{
    g_assert_true(bql_locked());
    *(uint32_t *)opaque = qemu_get_be32(f);
    return *(uint32_t *)opaque == 13 ? -EINVAL : 0;
}

static const SaveVMHandlers plain_handlers = {.save_state = plain_save, .load_state = plain_load};

static void test_plain_handlers(void)
{
    uint32_t value = 42;
    g_autoptr(QObject) desc = NULL;
    QObject *dev;

    register_savevm_live("plain", VMSTATE_INSTANCE_ID_ANY, 1, &plain_handlers, &value);
    g_assert_cmpint(save(&error_abort), ==, 0);
    desc = description();
    dev = described_device(desc, "plain", 0);
    check_field(dev, 0, "data", "buffer", 4);
    check_sections(desc);
    value = 0;
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_cmpint(value, ==, 42);
    value = 13;
    g_assert_cmpint(save(&error_abort), ==, 0);
    load_fails("section 'plain' instance 0");
    unregister_savevm(NULL, "plain", &value);
}

/* RAM of a few kinds of pages goes through the same envelope. */
static void test_ram(void)
{
    g_autofree uint8_t *want = NULL;
    size_t size = block->used_length;

    for (size_t i = 0; i < size; i++) {
        block->host[i] = i / 4096 % 3 == 0 ? 0 : i * 31 + i / 4096;
    }
    want = g_memdup2(block->host, size);
    g_assert_cmpint(save(&error_abort), ==, 0);
    memset(block->host, 0x5a, size);
    g_assert_cmpint(load(&error_abort), ==, 0);
    g_assert_true(memcmp(block->host, want, size) == 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    type_register_static(&vmstate_if_type);
    type_register_static(&fake_type);
    set_up_machine();
    g_test_add_func("/savevm/roundtrip", test_roundtrip);
    g_test_add_func("/savevm/description", test_description);
    g_test_add_func("/savevm/no-description", test_no_description);
    g_test_add_func("/savevm/order", test_order);
    g_test_add_func("/savevm/instances", test_instances);
    g_test_add_func("/savevm/path", test_path);
    g_test_add_func("/savevm/path-too-long", test_path_too_long);
    g_test_add_func("/savevm/versions", test_versions);
    g_test_add_func("/savevm/save-fails", test_save_fails);
    g_test_add_func("/savevm/iterative", test_iterative);
    g_test_add_func("/savevm/iterative-fails", test_iterative_fails);
    g_test_add_func("/savevm/iterative-broken", test_iterative_broken);
    g_test_add_func("/savevm/plain-handlers", test_plain_handlers);
    g_test_add_func("/savevm/ram", test_ram);
    return g_test_run();
}
