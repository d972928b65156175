/*
 * For tests of the stream's envelope: a machine with a block of RAM and devices made up for the
 * purpose, saved into a buffer through the calls that the migration thread makes, and loaded from
 * it; streams written by hand; and sections found by the stream's own description.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_SAVEVM_HELPERS_H
#define TESTS_UNIT_SAVEVM_HELPERS_H

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

/* All the RAM there is. */
static RAMBlock *block;

/* A growing stream in memory, written by hand or by saving. */
static QIOChannelBuffer *stream;

static inline QEMUFile *stream_begin(void)
{
    if (stream) {
        object_unref(OBJECT(stream));
    }
    stream = qio_channel_buffer_new(64 * KiB);
    object_ref(OBJECT(stream));
    return qemu_file_new_output(QIO_CHANNEL(stream));
}

static inline int load_bytes(const uint8_t *data, size_t len, Error **errp)
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

static inline int load(Error **errp)
{
    return load_bytes(stream->data, stream->usage, errp);
}

/* The load fails, and says @what. */
static inline void load_fails(const char *what)
{
    Error *err = NULL;

    g_assert_cmpint(load(&err), <, 0);
    if (!strstr(error_get_pretty(err), what)) {
        g_error("'%s' does not say '%s'", error_get_pretty(err), what);
    }
    error_free(err);
}

/* As migration/precopy.c does it.  0 or -errno. */
static inline int save(Error **errp)
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
        ret = qemu_savevm_state_complete_precopy_iterable(f, false, errp);
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

static inline QObject *description(void)
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

static inline size_t described_size(QObject *dev)
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

static inline QObject *described_device(QObject *desc, const char *name, int instance)
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
static inline bool find_section(const char *name, uint32_t instance, Section *s)
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

static inline Section get_section(const char *name, uint32_t instance)
{
    Section s;

    if (!find_section(name, instance, &s)) {
        g_error("no section '%s' %u", name, instance);
    }
    return s;
}

/* Every device has its section, of the length described, with its footer. */
static inline void check_sections(QObject *desc)
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

static inline void check_field(QObject *dev, size_t i, const char *name, const char *type, int size)
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

static inline bool extra_needed(void *opaque)
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

static inline bool dev_needed(void *opaque)
{
    return !((Dev *)opaque)->absent;
}

static inline int dev_pre_save(void *opaque)
{
    Dev *d = opaque;

    g_assert_true(bql_locked());
    d->pre_saves++;
    return d->refuse;
}

static inline int dev_post_load(void *opaque, int version_id)
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

static inline void dev_fill(Dev *d, uint32_t seed)
{
    *d = (Dev){
        .value = 0x01020304 * seed, .list = {seed, seed + 1, seed + 2},
        .inner = {{seed, 2 * seed}, {3 * seed, 4 * seed}}, .late = 7 * seed,
    };
}

static inline void dev_same(const Dev *a, const Dev *b)
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

static inline void put_dev_section(QEMUFile *f, const char *name, uint32_t instance,
                                   uint32_t version, const void *payload, size_t len)
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

static inline QEMUFile *hand_begin(void)
{
    QEMUFile *f = stream_begin();

    qemu_savevm_state_header(f);
    qemu_savevm_state_cleanup(); /* drops the description that the header began */
    return f;
}

static inline void hand_end(QEMUFile *f)
{
    qemu_put_byte(f, QEMU_VM_EOF);
    g_assert_cmpint(qemu_fclose(f), ==, 0);
}

/* Handlers. */

typedef struct Iter {
    int rounds;        /* still to be saved */
    int setups, cleanups, load_setups, load_cleanups, prepares;
    char loaded[64];   /* one letter a section */
    bool active, fail_setup, fail_iterate, fail_prepare;
} Iter;

static inline void iter_loaded(Iter *it, char c)
{
    size_t len = strlen(it->loaded);

    g_assert_cmpint(len + 1, <, sizeof(it->loaded));
    it->loaded[len] = c;
}

static inline int iter_prepare(void *opaque, Error **errp)
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

static inline bool iter_is_active(void *opaque)
{
    return ((Iter *)opaque)->active;
}

static inline int iter_setup(QEMUFile *f, void *opaque, Error **errp)
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

static inline int iter_iterate(QEMUFile *f, void *opaque)
{
    Iter *it = opaque;

    g_assert_false(bql_locked());
    if (it->fail_iterate) {
        return -EPIPE;
    }
    qemu_put_byte(f, 'P');
    return --it->rounds <= 0;
}

static inline int iter_complete(QEMUFile *f, void *opaque)
{
    g_assert_true(bql_locked());
    qemu_put_byte(f, 'E');
    return 0;
}

static inline void iter_pending(void *opaque, uint64_t *must, uint64_t *can)
{
    *must += ((Iter *)opaque)->rounds;
    *can += 100;
}

static inline void iter_pending_exact(void *opaque, uint64_t *must, uint64_t *can)
{
    *must += ((Iter *)opaque)->rounds + 1000;
}

static inline void iter_cleanup(void *opaque)
{
    g_assert_true(bql_locked());
    ((Iter *)opaque)->cleanups++;
}

static inline int iter_load(QEMUFile *f, void *opaque, int version_id)
{
    g_assert_cmpint(version_id, ==, 2);
    iter_loaded(opaque, qemu_get_byte(f));
    return 0;
}

static inline int iter_load_setup(QEMUFile *f, void *opaque, Error **errp)
{
    ((Iter *)opaque)->load_setups++;
    return 0;
}

static inline int iter_load_cleanup(void *opaque)
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

static inline void set_up_machine(void)
{
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    block = qemu_ram_alloc(64 * KiB, 0, NULL, &error_abort);
    qemu_ram_set_idstr(block, "ram", NULL);
    qemu_ram_set_migratable(block);
    migration_object_init();
    register_global_state();
    migration_set_machine_name("none");
}

#endif
