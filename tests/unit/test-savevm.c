/*
 * The stream's envelope: devices and handlers made up for the purpose are saved into a buffer through
 * the calls that the migration thread makes, looked at byte by byte, and loaded back.
 *
 * The stream's own description says how long each device's state is, so that every section can be
 * found and its header and footer checked without knowing the devices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "migration/blocker.h"
#include "migration/global_state.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/register.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/qobject.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qemu/uuid.h"
#include "system/cpus.h"
#include "system/ramblock.h"
#include "../../migration/migration.h"
#include "../../migration/options.h"
#include "../../migration/savevm.h"

/* A growing stream in memory, written by hand or by saving. */
static QIOChannelBuffer *stream;

static QEMUFile *stream_begin(void)
{
    if (stream) {
        object_unref(OBJECT(stream));
    }
    stream = qio_channel_buffer_new(64 * KiB);
    object_ref(OBJECT(stream));
    return qemu_file_new_output(QIO_CHANNEL(stream));
}

static int load_bytes(const uint8_t *data, size_t len, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QIOChannelBuffer *bioc = qio_channel_buffer_new(len + 1);
    int ret;

    qio_channel_write_all(QIO_CHANNEL(bioc), (const char *)data, len, &error_abort);
    bioc->offset = 0;
    mis->from_src_file = qemu_file_new_input(QIO_CHANNEL(bioc));
    bql_unlock(); /* loading is a thread's work */
    ret = qemu_loadvm_state(mis->from_src_file, errp);
    bql_lock();
    qemu_loadvm_state_cleanup();
    g_clear_pointer(&mis->from_src_file, qemu_fclose);
    g_clear_pointer(&mis->to_src_file, qemu_fclose);
    return ret;
}

static int load(Error **errp)
{
    return load_bytes(stream->data, stream->usage, errp);
}

/* The load fails, and says @what. */
static void load_fails(const char *what)
{
    Error *err = NULL;

    g_assert_cmpint(load(&err), <, 0);
    if (!strstr(error_get_pretty(err), what)) {
        g_error("'%s' does not say '%s'", error_get_pretty(err), what);
    }
    error_free(err);
}

/* As migration/precopy.c does it.  0 or -errno. */
static int save(Error **errp)
{
    QEMUFile *f = stream_begin();
    int ret;

    ret = qemu_savevm_state_prepare(errp);
    if (!ret) {
        bql_unlock(); /* the migration thread's part */
        qemu_savevm_state_header(f);
        ret = qemu_savevm_state_setup(f, errp);
        while (!ret) {
            ret = qemu_savevm_state_iterate(f);
        }
        bql_lock();
        ret = MIN(ret, 0);
    }
    if (!ret) {
        ret = qemu_savevm_state_complete_precopy_iterable(f, errp);
    }
    if (!ret) {
        ret = qemu_savevm_state_complete_precopy_non_iterable(f, errp);
    }
    if (!ret) {
        ret = qemu_savevm_state_end(f);
    }
    qemu_savevm_state_cleanup();
    qemu_fclose(f);
    return ret;
}

/* What was saved, as its description tells it. */

static QObject *description(void)
{
    const uint8_t *json = memmem(stream->data, stream->usage, "{\"configuration\"", 16);
    size_t len;

    g_assert_nonnull(json);
    /* It is the very end: end mark, type, length, text. */
    len = stream->data + stream->usage - json;
    g_assert_cmphex(json[-6], ==, QEMU_VM_EOF);
    g_assert_cmphex(json[-5], ==, QEMU_VM_VMDESCRIPTION);
    g_assert_cmpint(ldl_be_p(json - 4), ==, len);
    return qobject_from_json_len((const char *)json, len, &error_abort);
}

static size_t described_size(QObject *dev)
{
    QObject *fields = qdict_get(dev, "fields"), *subs = qdict_get(dev, "subsections");
    size_t size = 0;

    for (size_t i = 0; fields && i < json_object_array_length(fields); i++) {
        QObject *field = json_object_array_get_idx(fields, i);

        size += qdict_get_int(field, "size") * qdict_get_try_int(field, "array_len", 1);
    }
    for (size_t i = 0; subs && i < json_object_array_length(subs); i++) {
        QObject *sub = json_object_array_get_idx(subs, i);

        size += 1 + 1 + strlen(qdict_get_str(sub, "vmsd_name")) + 4 + described_size(sub);
    }
    return size;
}

static QObject *described_device(QObject *desc, const char *name, int instance)
{
    QObject *devices = qdict_get(desc, "devices");

    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        QObject *dev = json_object_array_get_idx(devices, i);

        if (g_str_equal(qdict_get_str(dev, "name"), name) &&
            qdict_get_int(dev, "instance_id") == instance) {
            return dev;
        }
    }
    return NULL;
}

typedef struct Section {
    uint8_t type;
    uint32_t id, version;
    size_t start, payload; /* offsets in the stream */
} Section;

/* The header of the section @name @instance; false where there is none. */
static bool find_section(const char *name, uint32_t instance, Section *s)
{
    size_t len = strlen(name);
    const uint8_t *d = stream->data;

    for (size_t i = 8; i + 5 + 1 + len + 8 <= stream->usage; i++) {
        const uint8_t *p = d + i;

        if ((p[0] == QEMU_VM_SECTION_FULL || p[0] == QEMU_VM_SECTION_START) && p[5] == len &&
            !memcmp(p + 6, name, len) && ldl_be_p(p + 6 + len) == instance) {
            *s = (Section){
                .type = p[0], .id = ldl_be_p(p + 1), .version = ldl_be_p(p + 6 + len + 4),
                .start = i, .payload = i + 6 + len + 8,
            };
            return true;
        }
    }
    return false;
}

static Section get_section(const char *name, uint32_t instance)
{
    Section s;

    if (!find_section(name, instance, &s)) {
        g_error("no section '%s' %u", name, instance);
    }
    return s;
}

/* Every device has its section, of the length described, with its footer. */
static void check_sections(QObject *desc)
{
    QObject *devices = qdict_get(desc, "devices");

    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        QObject *dev = json_object_array_get_idx(devices, i);
        Section s = get_section(qdict_get_str(dev, "name"), qdict_get_int(dev, "instance_id"));
        const uint8_t *footer = stream->data + s.payload + described_size(dev);

        g_assert_cmpint(s.type, ==, QEMU_VM_SECTION_FULL);
        g_assert_cmpint(footer[0], ==, QEMU_VM_SECTION_FOOTER);
        g_assert_cmpint(ldl_be_p(footer + 1), ==, s.id);
    }
}

static void check_field(QObject *dev, size_t i, const char *name, const char *type, int size)
{
    QObject *field = json_object_array_get_idx(qdict_get(dev, "fields"), i);

    g_assert_cmpstr(qdict_get_str(field, "name"), ==, name);
    g_assert_cmpstr(qdict_get_str(field, "type"), ==, type);
    g_assert_cmpint(qdict_get_int(field, "size"), ==, size);
}

/* Devices. */

typedef struct Inner {
    uint8_t a;
    uint16_t b;
} Inner;

static const VMStateDescription vmstate_inner = {
    .name = "inner",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(a, Inner),
        VMSTATE_UINT16(b, Inner),
        VMSTATE_END_OF_LIST()
    },
};

typedef struct Dev {
    uint32_t value;
    uint16_t list[3];
    Inner inner[2];
    uint8_t late;   /* since version 3 */
    uint64_t extra; /* a subsection, where it is not 0 */
    int pre_saves, post_loads, version; /* not in the stream */
    bool absent;    /* needs no section */
    int refuse;     /* what pre_save or post_load returns */
} Dev;

static bool extra_needed(void *opaque)
{
    return ((Dev *)opaque)->extra;
}

static const VMStateDescription vmstate_dev_extra = {
    .name = "dev/extra",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = extra_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(extra, Dev),
        VMSTATE_END_OF_LIST()
    },
};

static bool dev_needed(void *opaque)
{
    return !((Dev *)opaque)->absent;
}

static int dev_pre_save(void *opaque)
{
    Dev *d = opaque;

    g_assert_true(bql_locked());
    d->pre_saves++;
    return d->refuse;
}

static int dev_post_load(void *opaque, int version_id)
{
    Dev *d = opaque;

    g_assert_true(bql_locked());
    d->post_loads++;
    d->version = version_id;
    return d->refuse;
}

#define DEV_FIELDS                                                              \
    .needed = dev_needed, .pre_save = dev_pre_save, .post_load = dev_post_load, \
    .fields = (const VMStateField[]){                                           \
        VMSTATE_UINT32(value, Dev),                                             \
        VMSTATE_UINT16_ARRAY(list, Dev, 3),                                     \
        VMSTATE_STRUCT_ARRAY(inner, Dev, 2, 1, vmstate_inner, Inner),           \
        VMSTATE_UINT8_V(late, Dev, 3),                                          \
        VMSTATE_END_OF_LIST()                                                   \
    }

static const VMStateDescription vmstate_dev = {
    .name = "dev",
    .version_id = 3,
    .minimum_version_id = 2,
    DEV_FIELDS,
    .subsections = (const VMStateDescription *const[]){&vmstate_dev_extra, NULL},
};

static const VMStateDescription vmstate_early = {
    .name = "early", .version_id = 3, .early_setup = true, DEV_FIELDS,
};

static const VMStateDescription vmstate_iommu = {
    .name = "iommu", .version_id = 3, .priority = MIG_PRI_IOMMU, DEV_FIELDS,
};

static const VMStateDescription vmstate_gic = {
    .name = "gic", .version_id = 3, .priority = MIG_PRI_GICV3, DEV_FIELDS,
};

static const VMStateDescription vmstate_stuck = {
    .name = "stuck", .unmigratable = true, .version_id = 1, .fields = NULL,
};

static void dev_fill(Dev *d, uint32_t seed)
{
    *d = (Dev){
        .value = 0x01020304 * seed, .list = {seed, seed + 1, seed + 2},
        .inner = {{seed, 2 * seed}, {3 * seed, 4 * seed}}, .late = 7 * seed,
    };
}

static void dev_same(const Dev *a, const Dev *b)
{
    g_assert_cmphex(a->value, ==, b->value);
    g_assert_true(!memcmp(a->list, b->list, sizeof(a->list)));
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(a->inner[i].a, ==, b->inner[i].a);
        g_assert_cmphex(a->inner[i].b, ==, b->inner[i].b);
    }
    g_assert_cmphex(a->late, ==, b->late);
    g_assert_cmphex(a->extra, ==, b->extra);
}

#define DEV_SIZE (4 + 3 * 2 + 2 * 3 + 1)

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

static void put_dev_section(QEMUFile *f, const char *name, uint32_t instance, uint32_t version,
                            const void *payload, size_t len)
{
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, 77);
    qemu_put_counted_string(f, name);
    qemu_put_be32(f, instance);
    qemu_put_be32(f, version);
    qemu_put_buffer(f, payload, len);
    qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
    qemu_put_be32(f, 77);
}

static QEMUFile *hand_begin(void)
{
    QEMUFile *f = stream_begin();

    qemu_savevm_state_header(f);
    qemu_savevm_state_cleanup(); /* drops the description that the header began */
    return f;
}

static void hand_end(QEMUFile *f)
{
    qemu_put_byte(f, QEMU_VM_EOF);
    g_assert_cmpint(qemu_fclose(f), ==, 0);
}

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

/* Handlers. */

typedef struct Iter {
    int rounds;        /* still to be saved */
    int setups, cleanups, load_setups, load_cleanups, prepares;
    char loaded[64];   /* one letter a section */
    bool active, fail_setup, fail_iterate, fail_prepare;
} Iter;

static void iter_loaded(Iter *it, char c)
{
    size_t len = strlen(it->loaded);

    g_assert_cmpint(len + 1, <, sizeof(it->loaded));
    it->loaded[len] = c;
}

static int iter_prepare(void *opaque, Error **errp)
{
    Iter *it = opaque;

    g_assert_true(bql_locked());
    it->prepares++;
    if (it->fail_prepare) {
        error_setg(errp, "not ready");
        return -EAGAIN;
    }
    return 0;
}

static bool iter_is_active(void *opaque)
{
    return ((Iter *)opaque)->active;
}

static int iter_setup(QEMUFile *f, void *opaque, Error **errp)
{
    Iter *it = opaque;

    g_assert_false(bql_locked());
    it->setups++;
    if (it->fail_setup) {
        error_setg(errp, "no room");
        return -ENOSPC;
    }
    qemu_put_byte(f, 'S');
    return 0;
}

static int iter_iterate(QEMUFile *f, void *opaque)
{
    Iter *it = opaque;

    g_assert_false(bql_locked());
    if (it->fail_iterate) {
        return -EPIPE;
    }
    qemu_put_byte(f, 'P');
    return --it->rounds <= 0;
}

static int iter_complete(QEMUFile *f, void *opaque)
{
    g_assert_true(bql_locked());
    qemu_put_byte(f, 'E');
    return 0;
}

static void iter_pending(void *opaque, uint64_t *must, uint64_t *can)
{
    *must += ((Iter *)opaque)->rounds;
    *can += 100;
}

static void iter_pending_exact(void *opaque, uint64_t *must, uint64_t *can)
{
    *must += ((Iter *)opaque)->rounds + 1000;
}

static void iter_cleanup(void *opaque)
{
    g_assert_true(bql_locked());
    ((Iter *)opaque)->cleanups++;
}

static int iter_load(QEMUFile *f, void *opaque, int version_id)
{
    g_assert_cmpint(version_id, ==, 2);
    iter_loaded(opaque, qemu_get_byte(f));
    return 0;
}

static int iter_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ((Iter *)opaque)->load_setups++;
    return 0;
}

static int iter_load_cleanup(void *opaque)
{
    ((Iter *)opaque)->load_cleanups++;
    return 0;
}

static const SaveVMHandlers iter_handlers = {
    .save_prepare = iter_prepare,
    .is_active = iter_is_active,
    .save_setup = iter_setup,
    .save_live_iterate = iter_iterate,
    .save_live_complete_precopy = iter_complete,
    .state_pending_estimate = iter_pending,
    .state_pending_exact = iter_pending_exact,
    .save_cleanup = iter_cleanup,
    .load_state = iter_load,
    .load_setup = iter_load_setup,
    .load_cleanup = iter_load_cleanup,
};

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

/* Sections that make no sense. */
static void test_bad_sections(void)
{
    Iter it = {.active = true}, it2 = {.active = true};
    static const uint8_t zero[DEV_SIZE + 8];
    QEMUFile *f;
    Dev d;

    dev_fill(&d, 1);
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    register_savevm_live("iter", 0, 2, &iter_handlers, &it);
    register_savevm_live("iter2", 0, 2, &iter_handlers, &it2);

    f = hand_begin();
    put_dev_section(f, "dev", 1, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("'dev' 1");
    f = hand_begin();
    put_dev_section(f, "deva", 0, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("'deva' 0");
    f = hand_begin();
    put_dev_section(f, "", 0, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("has no name");
    f = hand_begin();
    put_dev_section(f, "dev", 0, 3, zero, DEV_SIZE + 1); /* one byte too many */
    hand_end(f);
    load_fails("Missing section footer");
    f = hand_begin();
    put_dev_section(f, "dev", 0, 3, zero, DEV_SIZE - 1);
    hand_end(f);
    load_fails("Missing section footer");

    /* A name with a NUL in it is not the name before the NUL. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, 1);
    qemu_put_byte(f, 5);
    qemu_put_buffer(f, "dev\0x", 5);
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    qemu_put_buffer(f, zero, DEV_SIZE);
    qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
    qemu_put_be32(f, 1);
    hand_end(f);
    load_fails("a name of 5 bytes has a zero byte in it");

    /* A PART before its START, and one of another id. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_PART);
    qemu_put_be32(f, 5);
    hand_end(f);
    load_fails("Unknown section id 5");
    /* A device in rounds. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_START);
    qemu_put_be32(f, 5);
    qemu_put_counted_string(f, "dev");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    hand_end(f);
    load_fails("section 'dev' begins in rounds, but is a device's");
    /* Two with the same id. */
    f = hand_begin();
    for (int i = 0; i < 2; i++) {
        qemu_put_byte(f, QEMU_VM_SECTION_START);
        qemu_put_be32(f, 5);
        qemu_put_counted_string(f, i ? "iter2" : "iter");
        qemu_put_be32(f, 0);
        qemu_put_be32(f, 2);
        qemu_put_byte(f, 'S');
        qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
        qemu_put_be32(f, 5);
    }
    hand_end(f);
    load_fails("section 'iter2' has id 5, which 'iter' has already");

    /* A subsection that nobody knows, under a known device. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, 1);
    qemu_put_counted_string(f, "dev");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    qemu_put_buffer(f, zero, DEV_SIZE);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "dev/news");
    qemu_put_be32(f, 1);
    hand_end(f);
    load_fails("unknown subsection 'dev/news'");

    vmstate_unregister(NULL, &vmstate_dev, &d);
    unregister_savevm(NULL, "iter", &it);
    unregister_savevm(NULL, "iter2", &it2);
}

/* Commands between the sections. */

static void put_command(QEMUFile *f, uint16_t cmd, const void *data, uint16_t len)
{
    qemu_put_byte(f, QEMU_VM_COMMAND);
    qemu_put_be16(f, cmd);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, data, len);
}

static void command_fails(uint16_t cmd, const void *data, uint16_t len, const char *what)
{
    QEMUFile *f = hand_begin();

    put_command(f, cmd, data, len);
    hand_end(f);
    load_fails(what);
}

static void test_commands(void)
{
    static const uint8_t data[16] = {0};
    QEMUFile *f = hand_begin();

    put_command(f, 11, NULL, 0); /* SWITCHOVER_START */
    hand_end(f);
    g_assert_cmpint(load(&error_abort), ==, 0);

    command_fails(2, data, 4, "command PING (0x0) came, but no return path is open");
    command_fails(2, data, 3, "command PING has 3 bytes of data, expected 4");
    command_fails(11, data, 1, "SWITCHOVER_START has 1 bytes");
    command_fails(0, data, 0, "command 0x0 (with 0x0 bytes of data) is unknown");
    command_fails(12, data, 2, "command 0xc (with 0x2 bytes of data) is unknown");
    command_fails(0xffff, data, 0, "command 0xffff");

    f = hand_begin();
    put_command(f, 1, NULL, 0);
    put_command(f, 1, NULL, 0);
    hand_end(f);
    load_fails("command OPEN_RETURN_PATH came, but the return path is open");
}

/* What the configuration section compares. */
static void test_configuration(void)
{
    MigrationState *s = migrate_get_current();
    QEMUFile *f;

    migration_set_machine_name("microvm");
    g_assert_cmpint(save(&error_abort), ==, 0);
    migration_set_machine_name("none");
    load_fails("Machine type received is 'microvm' and local is 'none'");

    s->capabilities[MIGRATION_CAPABILITY_VALIDATE_UUID] = true;
    g_assert_cmpint(save(&error_abort), ==, 0); /* no UUID was given: none is sent */
    g_assert_cmpint(load(&error_abort), ==, 0);
    qemu_uuid_generate(&qemu_uuid);
    qemu_uuid_set = true;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_nonnull(memmem(stream->data, stream->usage, "configuration/uuid", 18));
    g_assert_cmpint(load(&error_abort), ==, 0);
    qemu_uuid.data[3] ^= 1;
    load_fails("UUID received is ");
    qemu_uuid_set = false;
    g_assert_cmpint(load(&error_abort), ==, 0); /* nothing to compare it with */
    s->capabilities[MIGRATION_CAPABILITY_VALIDATE_UUID] = false;

    /* A capability that changes the form of the stream must be on at both ends. */
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/capabilities");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, 1);
    qemu_put_counted_string(f, "x-ignore-shared");
    hand_end(f);
    load_fails("Capability x-ignore-shared is off, but received capability is on");
    /* Any number of them may be claimed, but not paid for. */
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/capabilities");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, UINT32_MAX);
    hand_end(f);
    load_fails("capabilities");
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/target-page-bits");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, 16);
    hand_end(f);
    load_fails("Received TARGET_PAGE_BITS is 16 but local is 12");
}

/* -global migration.send-configuration=off, send-section-footer=off: both sides must agree. */
static void test_globals(void)
{
    MigrationState *s = migrate_get_current();
    Dev d, want;

    dev_fill(&d, 9);
    want = d;
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    s->send_section_footer = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmphex(stream->data[get_section("dev", 0).payload + DEV_SIZE], !=,
                    QEMU_VM_SECTION_FOOTER);
    memset(&d, 0, sizeof(d));
    g_assert_cmpint(load(&error_abort), ==, 0);
    dev_same(&d, &want);
    s->send_section_footer = true;
    load_fails("Missing section footer");

    s->send_configuration = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmphex(stream->data[8], ==, QEMU_VM_SECTION_START);
    g_assert_cmpint(load(&error_abort), ==, 0);
    s->send_configuration = true;
    load_fails("Configuration section missing");
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

/* What forbids migrating. */

static void migrate_fails(const char *what)
{
    Error *err = NULL;

    qmp_migrate("unix:/nonexistent/socket", false, NULL, false, false, false, false, &err);
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, what);
    error_free(err);
}

static void test_unmigratable(void)
{
    Error *err = NULL;

    g_assert_false(qemu_savevm_state_blocked(&error_abort));
    vmstate_register(NULL, 0, &vmstate_stuck, NULL);
    g_assert_true(qemu_savevm_state_blocked(&err));
    g_assert_cmpstr(error_get_pretty(err), ==, "State blocked by non-migratable device 'stuck'");
    error_free_or_abort(&err);
    migrate_fails("State blocked by non-migratable device 'stuck'");
    vmstate_unregister(NULL, &vmstate_stuck, NULL);
    g_assert_false(qemu_savevm_state_blocked(&error_abort));

    /* Under -only-migratable it does not even come in. */
    only_migratable = true;
    g_assert_false(vmstate_check_only_migratable(&vmstate_stuck));
    g_assert_true(vmstate_check_only_migratable(&vmstate_dev));
    g_assert_true(vmstate_check_only_migratable(NULL));
    g_assert_cmpint(vmstate_register_with_alias_id(NULL, 0, &vmstate_stuck, NULL, -1, 0, &err), <,
                    0);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Device stuck is not migratable, but --only-migratable was specified");
    error_free(err);
    only_migratable = false;
}

static void test_blockers(void)
{
    Error *a = NULL, *b = NULL, *err = NULL;
    MigrationInfo *info;

    error_setg(&a, "the cat sleeps on it");
    error_setg(&b, "it is Sunday");
    g_assert_cmpint(migrate_add_blocker(&a, &error_abort), ==, 0);
    g_assert_cmpint(migrate_add_blocker(&b, &error_abort), ==, 0);
    info = qmp_query_migrate(&error_abort);
    g_assert_true(info->has_blocked_reasons);
    g_assert_nonnull(info->blocked_reasons->next);
    g_assert_null(info->blocked_reasons->next->next);
    qapi_free_MigrationInfo(info);
    migrate_fails("it is Sunday");
    migrate_del_blocker(&b);
    g_assert_null(b);
    migrate_del_blocker(&b); /* again: nothing */
    migrate_fails("the cat sleeps on it");
    migrate_del_blocker(&a);
    info = qmp_query_migrate(&error_abort);
    g_assert_false(info->has_blocked_reasons);
    qapi_free_MigrationInfo(info);

    only_migratable = true;
    error_setg(&a, "the cat");
    g_assert_cmpint(migrate_add_blocker(&a, &err), ==, -EACCES);
    g_assert_null(a); /* freed */
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "disallowing migration blocker (--only-migratable) for: the cat");
    error_free_or_abort(&err);
    error_setg(&a, "the cat");
    g_assert_cmpint(migrate_add_blocker_internal(&a, &error_abort), ==, 0);
    migrate_del_blocker(&a);
    only_migratable = false;
}

/* RAM of a few kinds of pages goes through the same envelope. */
static RAMBlock *block;

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

/* A stream cut anywhere is refused, up to its end mark. */
static void test_cut(void)
{
    size_t end;
    Dev d;

    dev_fill(&d, 1);
    d.extra = 5;
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    memset(block->host, 0, block->used_length);
    g_assert_cmpint(save(&error_abort), ==, 0);
    end = (uint8_t *)memmem(stream->data, stream->usage, "{\"configuration\"", 16) - stream->data -
          5;
    for (size_t len = 0; len < end; len++) {
        Error *err = NULL;

        if (load_bytes(stream->data, len, &err) == 0) {
            g_error("%zu bytes out of %zu load", len, end);
        }
        error_free_or_abort(&err);
    }
    g_assert_cmpint(load_bytes(stream->data, end, &error_abort), ==, 0);
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    type_register_static(&vmstate_if_type);
    type_register_static(&fake_type);
    module_call_init(MODULE_INIT_QOM);
    block = qemu_ram_alloc(64 * KiB, 0, NULL, &error_abort);
    qemu_ram_set_idstr(block, "ram", NULL);
    qemu_ram_set_migratable(block);
    migration_object_init();
    register_global_state();
    migration_set_machine_name("none");

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
    g_test_add_func("/savevm/plain-handlers", test_plain_handlers);
    g_test_add_func("/savevm/bad-sections", test_bad_sections);
    g_test_add_func("/savevm/commands", test_commands);
    g_test_add_func("/savevm/configuration", test_configuration);
    g_test_add_func("/savevm/globals", test_globals);
    g_test_add_func("/savevm/unmigratable", test_unmigratable);
    g_test_add_func("/savevm/blockers", test_blockers);
    g_test_add_func("/savevm/ram", test_ram);
    g_test_add_func("/savevm/cut", test_cut);
    return g_test_run();
}
