/*
 * Memory regions: how trees become flat views, how accesses find and call what answers them, what
 * listeners hear, and which pages the host's own writes mark dirty.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "system/address-spaces.h"
#include "system/ioport.h"

#define PAGE TARGET_PAGE_SIZE

/* -- A device that remembers ----------------------------------------------------------------- */

typedef struct Access {
    bool is_write;
    hwaddr addr;
    uint64_t data;
    unsigned size;
} Access;

typedef struct Recorder {
    Access log[64];
    int nr;
    uint8_t regs[64];
} Recorder;

static uint64_t recorder_read(void *opaque, hwaddr addr, unsigned size)
{
    Recorder *r = opaque;
    uint64_t value = 0;
    unsigned i;

    /* Little endian, byte by byte. */
    for (i = 0; i < size; i++) {
        value |= (uint64_t)r->regs[(addr + i) % sizeof(r->regs)] << (i * 8);
    }
    r->log[r->nr++] = (Access) { false, addr, value, size };
    return value;
}

static void recorder_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    Recorder *r = opaque;

    g_assert_true(bql_locked());
    r->log[r->nr++] = (Access) { true, addr, data, size };
}

static const MemoryRegionOps plain_ops = {
    .read = recorder_read,
    .write = recorder_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

/* -- Views as text --------------------------------------------------------------------------- */

static bool append_section(const MemoryRegionSection *s, void *opaque)
{
    GString *text = opaque;

    g_string_append_printf(text, "%s%" PRIx64 "+%" PRIx64 "=%s@%" PRIx64 "%s",
                           text->len ? " " : "", s->offset_within_address_space, s->size,
                           memory_region_name(s->mr), s->offset_within_region,
                           s->readonly ? "!" : "");
    return false;
}

static void assert_view(AddressSpace *as, const char *expected)
{
    GString *text = g_string_new(NULL);
    FlatView *view = address_space_get_flatview(as);

    flatview_for_each_section(view, append_section, text);
    flatview_unref(view);
    g_assert_cmpstr(text->str, ==, expected);
    g_string_free(text, TRUE);
}

typedef struct Space {
    AddressSpace as;
    MemoryRegion root, ram, io, extra;
    Recorder rec;
} Space;

static Space *space_new(uint64_t size)
{
    Space *s = g_new0(Space, 1);

    memory_region_init(&s->root, NULL, "root", size);
    address_space_init(&s->as, &s->root, "test");
    return s;
}

static void add_ram(Space *s, MemoryRegion *mr, const char *name, hwaddr addr, uint64_t size)
{
    g_assert_true(memory_region_init_ram_nomigrate(mr, NULL, name, size, &error_abort));
    memory_region_add_subregion(&s->root, addr, mr);
}

static void drop(Space *s, MemoryRegion *mr)
{
    if (mr->container) {
        memory_region_del_subregion(mr->container, mr);
    }
    if (mr->name) {
        object_unref(OBJECT(mr));
    }
}

static void space_free(Space *s)
{
    drop(s, &s->extra);
    drop(s, &s->io);
    drop(s, &s->ram);
    address_space_destroy(&s->as);
    object_unref(OBJECT(&s->root));
    g_free(s);
}

/* -- Rendering ------------------------------------------------------------------------------- */

static void test_overlap(void)
{
    Space *s = space_new(UINT64_MAX);

    assert_view(&s->as, "");
    add_ram(s, &s->ram, "ram", 0, 16 * PAGE);
    assert_view(&s->as, "0+10000=ram@0");

    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "io", 0x100);
    memory_region_add_subregion_overlap(&s->root, 0x3000, &s->io, 1);
    assert_view(&s->as, "0+3000=ram@0 3000+100=io@0 3100+cf00=ram@3100");

    memory_region_set_enabled(&s->io, false);
    assert_view(&s->as, "0+10000=ram@0");
    memory_region_set_enabled(&s->io, true);

    memory_region_set_address(&s->io, 0xff80);
    assert_view(&s->as, "0+ff80=ram@0 ff80+100=io@0");

    /* Lower priority: only what the RAM leaves. */
    memory_region_del_subregion(&s->root, &s->io);
    memory_region_add_subregion_overlap(&s->root, 0xff80, &s->io, -1);
    assert_view(&s->as, "0+10000=ram@0 10000+80=io@80");
    space_free(s);
}

static void test_equal_priority(void)
{
    Space *s = space_new(UINT64_MAX);

    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "first", 0x100);
    memory_region_init_io(&s->extra, NULL, &plain_ops, &s->rec, "second", 0x100);
    memory_region_add_subregion_overlap(&s->root, 0, &s->io, 3);
    memory_region_add_subregion_overlap(&s->root, 0x80, &s->extra, 3);
    assert_view(&s->as, "0+80=first@0 80+100=second@0");
    space_free(s);
}

static void test_alias(void)
{
    Space *s = space_new(UINT64_MAX);
    MemoryRegion low, bios;

    g_assert_true(memory_region_init_ram_nomigrate(&s->ram, NULL, "ram", 64 * PAGE, &error_abort));
    memory_region_init_alias(&low, NULL, "low", &s->ram, 0, 32 * PAGE);
    memory_region_init_alias(&bios, NULL, "bios", &s->ram, 48 * PAGE, 16 * PAGE);
    memory_region_add_subregion(&s->root, 0, &low);
    memory_region_add_subregion(&s->root, 0xf0000000, &bios);
    assert_view(&s->as, "0+20000=ram@0 f0000000+10000=ram@30000");

    memory_region_set_readonly(&bios, true);
    assert_view(&s->as, "0+20000=ram@0 f0000000+10000=ram@30000!");

    memory_region_set_alias_offset(&bios, 40 * PAGE);
    assert_view(&s->as, "0+20000=ram@0 f0000000+10000=ram@28000!");

    /* Two windows that continue each other become one range. */
    memory_region_set_readonly(&bios, false);
    memory_region_set_alias_offset(&bios, 32 * PAGE);
    memory_region_set_address(&bios, 32 * PAGE);
    assert_view(&s->as, "0+30000=ram@0");

    /* An alias that looks before its target's start: the window begins inside. */
    memory_region_del_subregion(&s->root, &low);
    memory_region_set_address(&bios, 0);
    memory_region_set_alias_offset(&bios, 60 * PAGE);
    assert_view(&s->as, "0+4000=ram@3c000");

    memory_region_del_subregion(&s->root, &bios);
    object_unref(OBJECT(&low));
    object_unref(OBJECT(&bios));
    space_free(s);
}

/* An alias of a container shows what is in it, clipped, and follows its changes. */
static void test_alias_of_container(void)
{
    Space *s = space_new(UINT64_MAX);
    MemoryRegion pci, window;

    memory_region_init(&pci, NULL, "pci", UINT64_MAX);
    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "bar", 0x2000);
    memory_region_add_subregion(&pci, 0xe0000000, &s->io);
    memory_region_init_alias(&window, NULL, "hole", &pci, 0xe0001000, 0x10000);
    memory_region_add_subregion(&s->root, 0xe0001000, &window);
    assert_view(&s->as, "e0001000+1000=bar@1000");
    memory_region_set_address(&s->io, 0xe0002000);
    assert_view(&s->as, "e0002000+2000=bar@0");
    memory_region_del_subregion(&s->root, &window);
    object_unref(OBJECT(&window));
    memory_region_del_subregion(&pci, &s->io);
    object_unref(OBJECT(&pci));
    space_free(s);
}

static void test_whole_space(void)
{
    Space *s = space_new(UINT64_MAX);
    uint8_t buf[4] = { 1, 2, 3, 4 };

    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "all", UINT64_MAX);
    memory_region_add_subregion(&s->root, 0, &s->io);
    assert_view(&s->as, "0+ffffffffffffffff=all@0");
    g_assert_cmpuint(address_space_write(&s->as, UINT64_MAX - 3, MEMTXATTRS_UNSPECIFIED, buf, 4),
                     ==, MEMTX_OK);
    g_assert_cmpint(s->rec.nr, ==, 1);
    g_assert_cmphex(s->rec.log[0].addr, ==, UINT64_MAX - 3);
    g_assert_cmphex(s->rec.log[0].data, ==, 0x04030201);
    space_free(s);
}

static void test_transaction(void)
{
    Space *s = space_new(UINT64_MAX);

    memory_region_transaction_begin();
    add_ram(s, &s->ram, "ram", 0, PAGE);
    memory_region_transaction_begin();
    memory_region_set_address(&s->ram, 0x5000);
    memory_region_transaction_commit();
    assert_view(&s->as, "");
    memory_region_transaction_commit();
    assert_view(&s->as, "5000+1000=ram@0");
    space_free(s);
}

/* -- Access ---------------------------------------------------------------------------------- */

static uint64_t dirty_pages(MemoryRegion *mr, unsigned long *map)
{
    bitmap_zero(map, 64);
    return ram_block_take_dirty(mr->ram_block, 0, ram_block_pages(mr->ram_block), map);
}

static void test_ram_access(void)
{
    Space *s = space_new(UINT64_MAX);
    DECLARE_BITMAP(map, 64);
    MemTxResult result;
    uint8_t buf[3 * PAGE];
    unsigned i;

    add_ram(s, &s->ram, "ram", 0x10000, 16 * PAGE);
    dirty_pages(&s->ram, map);

    address_space_stl_le(&s->as, 0x10ffe, 0x11223344, MEMTXATTRS_UNSPECIFIED, &result);
    g_assert_cmpuint(result, ==, MEMTX_OK);
    g_assert_cmphex(address_space_ldl_be(&s->as, 0x10ffe, MEMTXATTRS_UNSPECIFIED, NULL), ==,
                    0x44332211);
    g_assert_cmphex(address_space_lduw(&s->as, 0x11000, MEMTXATTRS_UNSPECIFIED, NULL), ==, 0x1122);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 2);
    g_assert_cmphex(map[0], ==, 3);

    for (i = 0; i < sizeof(buf); i++) {
        buf[i] = i * 7;
    }
    g_assert_cmpuint(address_space_write(&s->as, 0x14800, MEMTXATTRS_UNSPECIFIED, buf,
                                         sizeof(buf)), ==, MEMTX_OK);
    g_assert_cmpmem((uint8_t *)memory_region_get_ram_ptr(&s->ram) + 0x4800, sizeof(buf), buf,
                    sizeof(buf));
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 4);
    g_assert_cmphex(map[0], ==, 0xf0);

    address_space_set(&s->as, 0x1f000, 0xa5, PAGE, MEMTXATTRS_UNSPECIFIED);
    g_assert_cmphex(address_space_ldq(&s->as, 0x1fff8, MEMTXATTRS_UNSPECIFIED, NULL), ==,
                    0xa5a5a5a5a5a5a5a5);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 1);
    g_assert_cmphex(map[0], ==, 0x8000);

    /* Reading marks nothing; half of it is where nothing is, and reads as zero. */
    memset(buf, 0xff, 16);
    g_assert_cmpuint(address_space_read(&s->as, 0x1fff8, MEMTXATTRS_UNSPECIFIED, buf, 16), ==,
                     MEMTX_DECODE_ERROR);
    g_assert_cmphex(buf[7], ==, 0xa5);
    g_assert_cmphex(buf[8], ==, 0);
    g_assert_cmphex(buf[15], ==, 0);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 0);
    space_free(s);
}

static void test_rom(void)
{
    Space *s = space_new(UINT64_MAX);
    uint32_t value = 0x12345678;

    g_assert_true(memory_region_init_rom_nomigrate(&s->ram, NULL, "rom", PAGE, &error_abort));
    memory_region_add_subregion(&s->root, 0, &s->ram);
    assert_view(&s->as, "0+1000=rom@0!");
    g_assert_cmpuint(address_space_write(&s->as, 8, MEMTXATTRS_UNSPECIFIED, &value, 4), ==,
                     MEMTX_OK);
    g_assert_cmphex(address_space_ldl(&s->as, 8, MEMTXATTRS_UNSPECIFIED, NULL), ==, 0);
    g_assert_cmpuint(address_space_write_rom(&s->as, 8, MEMTXATTRS_UNSPECIFIED, &value, 4), ==,
                     MEMTX_OK);
    g_assert_cmphex(address_space_ldl(&s->as, 8, MEMTXATTRS_UNSPECIFIED, NULL), ==, value);
    g_assert_false(address_space_access_valid(&s->as, 0, 4, true, MEMTXATTRS_UNSPECIFIED));
    g_assert_true(address_space_access_valid(&s->as, 0, 4, false, MEMTXATTRS_UNSPECIFIED));
    space_free(s);
}

static void assert_access(const Access *a, bool is_write, hwaddr addr, uint64_t data,
                          unsigned size)
{
    g_assert_cmpint(a->is_write, ==, is_write);
    g_assert_cmphex(a->addr, ==, addr);
    g_assert_cmphex(a->data, ==, data);
    g_assert_cmpuint(a->size, ==, size);
}

static void test_io_bytes_only(void)
{
    static const MemoryRegionOps ops = {
        .read = recorder_read,
        .write = recorder_write,
        .endianness = DEVICE_LITTLE_ENDIAN,
        .impl = { .min_access_size = 1, .max_access_size = 1 },
    };
    Space *s = space_new(UINT64_MAX);

    memory_region_init_io(&s->io, NULL, &ops, &s->rec, "io", 16);
    memory_region_add_subregion(&s->root, 0x100, &s->io);
    address_space_stl(&s->as, 0x104, 0xaabbccdd, MEMTXATTRS_UNSPECIFIED, NULL);
    g_assert_cmpint(s->rec.nr, ==, 4);
    assert_access(&s->rec.log[0], true, 4, 0xdd, 1);
    assert_access(&s->rec.log[3], true, 7, 0xaa, 1);

    s->rec.nr = 0;
    memcpy(s->rec.regs, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    g_assert_cmphex(address_space_ldl(&s->as, 0x100, MEMTXATTRS_UNSPECIFIED, NULL), ==,
                    0x04030201);
    /* Not aligned: split where alignment says, not refused. */
    g_assert_cmphex(address_space_ldl(&s->as, 0x101, MEMTXATTRS_UNSPECIFIED, NULL), ==,
                    0x05040302);
    g_assert_cmpint(s->rec.nr, ==, 8);
    space_free(s);
}

static void test_io_wide(void)
{
    static const MemoryRegionOps ops = {
        .read = recorder_read,
        .write = recorder_write,
        .endianness = DEVICE_LITTLE_ENDIAN,
        .valid = { .min_access_size = 4, .max_access_size = 8 },
        .impl = { .min_access_size = 8, .max_access_size = 8 },
    };
    Space *s = space_new(UINT64_MAX);
    MemTxResult result;

    memory_region_init_io(&s->io, NULL, &ops, &s->rec, "io", 64);
    memory_region_add_subregion(&s->root, 0, &s->io);
    address_space_stq(&s->as, 8, 0x1122334455667788, MEMTXATTRS_UNSPECIFIED, &result);
    g_assert_cmpuint(result, ==, MEMTX_OK);
    g_assert_cmpint(s->rec.nr, ==, 1);
    assert_access(&s->rec.log[0], true, 8, 0x1122334455667788, 8);

    /* Too narrow for the device: refused, and the callback isn't called. */
    s->rec.nr = 0;
    address_space_stw(&s->as, 8, 0x1122, MEMTXATTRS_UNSPECIFIED, &result);
    g_assert_cmpuint(result, ==, MEMTX_DECODE_ERROR);
    g_assert_cmphex(address_space_ldub(&s->as, 3, MEMTXATTRS_UNSPECIFIED, &result), ==, 0);
    g_assert_cmpuint(result, ==, MEMTX_DECODE_ERROR);
    g_assert_cmpint(s->rec.nr, ==, 0);
    g_assert_false(address_space_access_valid(&s->as, 0, 2, true, MEMTXATTRS_UNSPECIFIED));
    space_free(s);
}

static void test_io_big_endian(void)
{
    static const MemoryRegionOps ops = {
        .read = recorder_read,
        .write = recorder_write,
        .endianness = DEVICE_BIG_ENDIAN,
        .valid = { .max_access_size = 8 },
        .impl = { .max_access_size = 2 },
    };
    Space *s = space_new(UINT64_MAX);

    memory_region_init_io(&s->io, NULL, &ops, &s->rec, "io", 64);
    memory_region_add_subregion(&s->root, 0, &s->io);
    address_space_stl_be(&s->as, 0, 0x11223344, MEMTXATTRS_UNSPECIFIED, NULL);
    g_assert_cmpint(s->rec.nr, ==, 2);
    assert_access(&s->rec.log[0], true, 0, 0x1122, 2);
    assert_access(&s->rec.log[1], true, 2, 0x3344, 2);
    space_free(s);
}

static MemTxResult failing_read(void *opaque, hwaddr addr, uint64_t *data, unsigned size,
                                MemTxAttrs attrs)
{
    *data = attrs.requester_id;
    return addr == 4 ? MEMTX_ERROR : MEMTX_OK;
}

static void test_io_attrs(void)
{
    static const MemoryRegionOps ops = {
        .read_with_attrs = failing_read,
        .endianness = DEVICE_LITTLE_ENDIAN,
    };
    MemTxAttrs attrs = { .requester_id = 0x42 };
    Space *s = space_new(UINT64_MAX);
    MemTxResult result;

    memory_region_init_io(&s->io, NULL, &ops, &s->rec, "io", 8);
    memory_region_add_subregion(&s->root, 0, &s->io);
    g_assert_cmphex(address_space_ldl(&s->as, 0, attrs, &result), ==, 0x42);
    g_assert_cmpuint(result, ==, MEMTX_OK);
    address_space_ldl(&s->as, 4, attrs, &result);
    g_assert_cmpuint(result, ==, MEMTX_ERROR);
    address_space_stl(&s->as, 0, 1, attrs, &result);
    g_assert_cmpuint(result, ==, MEMTX_DECODE_ERROR);
    attrs.memory = 1;
    address_space_ldl(&s->as, 0, attrs, &result);
    g_assert_cmpuint(result, ==, MEMTX_ACCESS_ERROR);
    space_free(s);
}

/* Whoever has no BQL gets it for the time of the callback. */
static void *write_from_thread(void *opaque)
{
    Space *s = opaque;

    g_assert_false(bql_locked());
    address_space_stb(&s->as, 0, 0x55, MEMTXATTRS_UNSPECIFIED, NULL);
    g_assert_false(bql_locked());
    return NULL;
}

static void test_io_from_thread(void)
{
    Space *s = space_new(UINT64_MAX);
    QemuThread thread;

    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "io", 8);
    memory_region_add_subregion(&s->root, 0, &s->io);
    bql_unlock();
    qemu_thread_create(&thread, "writer", write_from_thread, s, QEMU_THREAD_JOINABLE);
    qemu_thread_join(&thread);
    bql_lock();
    g_assert_cmpint(s->rec.nr, ==, 1);
    assert_access(&s->rec.log[0], true, 0, 0x55, 1);
    space_free(s);
}

static void test_ports(void)
{
    Recorder rec = { .nr = 0 };
    MemoryRegion mr;

    g_assert_cmphex(cpu_inb(0x3f8), ==, 0xff);
    memory_region_init_io(&mr, NULL, &plain_ops, &rec, "serial", 8);
    memory_region_add_subregion(get_system_io(), 0x3f8, &mr);
    cpu_outb(0x3f8, 'A');
    cpu_outw(0x3fa, 0x1234);
    rec.regs[5] = 0x60;
    g_assert_cmphex(cpu_inb(0x3fd), ==, 0x60);
    g_assert_cmpint(rec.nr, ==, 3);
    assert_access(&rec.log[0], true, 0, 'A', 1);
    assert_access(&rec.log[1], true, 2, 0x1234, 2);
    g_assert_cmphex(cpu_inw(0x400), ==, 0xffff);
    memory_region_del_subregion(get_system_io(), &mr);
    object_unref(OBJECT(&mr));
}

static void test_map(void)
{
    Space *s = space_new(UINT64_MAX);
    MemoryRegionCache cache;
    DECLARE_BITMAP(map, 64);
    hwaddr len = 3 * PAGE;
    uint8_t *p;

    add_ram(s, &s->ram, "ram", 0, 4 * PAGE);
    dirty_pages(&s->ram, map);
    p = address_space_map(&s->as, 2 * PAGE, &len, true, MEMTXATTRS_UNSPECIFIED);
    g_assert_nonnull(p);
    g_assert_cmphex(len, ==, 2 * PAGE);
    p[5] = 9;
    address_space_unmap(&s->as, p, len, true, 6);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 1);
    g_assert_cmphex(map[0], ==, 4);
    len = 1;
    g_assert_null(address_space_map(&s->as, 4 * PAGE, &len, false, MEMTXATTRS_UNSPECIFIED));

    g_assert_cmpint(address_space_cache_init(&cache, &s->as, PAGE, 8 * PAGE, true), ==, 3 * PAGE);
    address_space_write_cached(&cache, PAGE + 1, "x", 1);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 1);
    g_assert_cmphex(map[0], ==, 4);
    g_assert_cmphex(address_space_ldub(&s->as, 2 * PAGE + 1, MEMTXATTRS_UNSPECIFIED, NULL), ==,
                    'x');
    address_space_cache_destroy(&cache);
    space_free(s);
}

static void test_find(void)
{
    Space *s = space_new(UINT64_MAX);
    MemoryRegionSection found;

    add_ram(s, &s->ram, "ram", 0x10000, 16 * PAGE);
    found = memory_region_find(&s->root, 0x11000, 0x100000);
    g_assert_true(found.mr == &s->ram);
    g_assert_cmphex(found.offset_within_region, ==, 0x1000);
    g_assert_cmphex(found.size, ==, 0xf000);
    memory_region_unref(found.mr);
    /* The first thing within the window, when it begins in a hole. */
    found = memory_region_find(&s->root, 0, 0x10004);
    g_assert_true(found.mr == &s->ram);
    g_assert_cmphex(found.offset_within_address_space, ==, 0x10000);
    g_assert_cmphex(found.size, ==, 4);
    memory_region_unref(found.mr);
    g_assert_null(memory_region_find(&s->root, 0, 0x10000).mr);
    g_assert_null(memory_region_find(&s->root, 0x20000, 1).mr);
    space_free(s);
}

/* -- Listeners ------------------------------------------------------------------------------- */

typedef struct Witness {
    MemoryListener listener;
    GString *text;
    const char *tag;
    bool refuse;
    int syncs;
    hwaddr cleared_at, cleared_size;
} Witness;

static void witness_say(MemoryListener *ml, const char *what, const MemoryRegionSection *section)
{
    Witness *w = container_of(ml, Witness, listener);

    g_string_append_printf(w->text, "%s%s%s", w->text->len ? " " : "", w->tag, what);
    if (section) {
        g_string_append_printf(w->text, ":%s@%" PRIx64, memory_region_name(section->mr),
                               section->offset_within_address_space);
    }
}

static void witness_add(MemoryListener *ml, MemoryRegionSection *section)
{
    witness_say(ml, "add", section);
}

static void witness_del(MemoryListener *ml, MemoryRegionSection *section)
{
    witness_say(ml, "del", section);
}

static void witness_nop(MemoryListener *ml, MemoryRegionSection *section)
{
    witness_say(ml, "nop", section);
}

static void witness_commit(MemoryListener *ml)
{
    witness_say(ml, "commit", NULL);
}

static void witness_log_start(MemoryListener *ml, MemoryRegionSection *section, int old, int new)
{
    witness_say(ml, "log", section);
}

static void witness_log_stop(MemoryListener *ml, MemoryRegionSection *section, int old, int new)
{
    witness_say(ml, "nolog", section);
}

static bool witness_global_start(MemoryListener *ml, Error **errp)
{
    if (container_of(ml, Witness, listener)->refuse) {
        error_setg(errp, "no log here");
        return false;
    }
    witness_say(ml, "start", NULL);
    return true;
}

static void witness_global_stop(MemoryListener *ml)
{
    witness_say(ml, "stop", NULL);
}

static void witness_sync(MemoryListener *ml, MemoryRegionSection *section)
{
    unsigned long bits[1] = { 5 };

    container_of(ml, Witness, listener)->syncs++;
    ram_block_or_dirty(section->mr->ram_block, section->offset_within_region / PAGE, 3, bits);
}

static void witness_clear(MemoryListener *ml, MemoryRegionSection *section)
{
    Witness *w = container_of(ml, Witness, listener);

    w->cleared_at = section->offset_within_address_space;
    w->cleared_size = section->size;
}

static void witness_init(Witness *w, GString *text, const char *tag, unsigned priority)
{
    *w = (Witness) {
        .text = text,
        .tag = tag,
        .listener = {
            .name = tag,
            .priority = priority,
            .region_add = witness_add,
            .region_del = witness_del,
            .region_nop = witness_nop,
            .commit = witness_commit,
            .log_start = witness_log_start,
            .log_stop = witness_log_stop,
            .log_global_start = witness_global_start,
            .log_global_stop = witness_global_stop,
            .log_sync = witness_sync,
            .log_clear = witness_clear,
        },
    };
}

#define ASSERT_HEARD(text, expected) do {                   \
        g_assert_cmpstr((text)->str, ==, (expected));       \
        g_string_truncate((text), 0);                       \
    } while (0)

static void test_listener(void)
{
    Space *s = space_new(UINT64_MAX);
    GString *text = g_string_new(NULL);
    Witness w;

    add_ram(s, &s->ram, "ram", 0, 4 * PAGE);
    witness_init(&w, text, "", 0);
    memory_listener_register(&w.listener, &s->as);
    ASSERT_HEARD(text, "add:ram@0 commit");

    memory_region_init_io(&s->io, NULL, &plain_ops, &s->rec, "io", PAGE);
    memory_region_add_subregion(&s->root, 8 * PAGE, &s->io);
    ASSERT_HEARD(text, "nop:ram@0 add:io@8000 commit");
    memory_region_del_subregion(&s->root, &s->io);
    memory_region_add_subregion_overlap(&s->root, PAGE, &s->io, 1);
    ASSERT_HEARD(text, "del:io@8000 nop:ram@0 commit del:ram@0 add:ram@0 add:io@1000 add:ram@2000 "
                 "commit");
    memory_region_set_enabled(&s->io, false);
    ASSERT_HEARD(text, "del:ram@0 del:io@1000 del:ram@2000 add:ram@0 commit");

    memory_region_set_log(&s->ram, true, 2);
    ASSERT_HEARD(text, "nop:ram@0 log:ram@0 commit");
    memory_region_set_log(&s->ram, true, 2);
    ASSERT_HEARD(text, "");
    memory_region_set_log(&s->ram, false, 2);
    ASSERT_HEARD(text, "nop:ram@0 nolog:ram@0 commit");

    memory_listener_unregister(&w.listener);
    ASSERT_HEARD(text, "del:ram@0 commit");
    space_free(s);
    g_string_free(text, TRUE);
}

static void test_listener_order(void)
{
    Space *s = space_new(UINT64_MAX);
    GString *text = g_string_new(NULL);
    Witness a, b, c;

    witness_init(&b, text, "B", 10);
    witness_init(&a, text, "A", 0);
    witness_init(&c, text, "C", 10);
    memory_listener_register(&b.listener, &s->as);
    memory_listener_register(&a.listener, &s->as);
    memory_listener_register(&c.listener, &s->as);
    g_string_truncate(text, 0);
    add_ram(s, &s->ram, "ram", 0, PAGE);
    ASSERT_HEARD(text, "Aadd:ram@0 Badd:ram@0 Cadd:ram@0 Acommit Bcommit Ccommit");
    memory_region_del_subregion(&s->root, &s->ram);
    ASSERT_HEARD(text, "Cdel:ram@0 Bdel:ram@0 Adel:ram@0 Acommit Bcommit Ccommit");
    memory_listener_unregister(&a.listener);
    memory_listener_unregister(&b.listener);
    memory_listener_unregister(&c.listener);
    space_free(s);
    g_string_free(text, TRUE);
}

static void test_dirty_log(void)
{
    Space *s = space_new(UINT64_MAX);
    GString *text = g_string_new(NULL);
    DECLARE_BITMAP(map, 64);
    Error *err = NULL;
    MemoryRegion high;
    Witness w, refuser;

    /* Seen through two windows, as memory around a hole below 4 GiB is. */
    g_assert_true(memory_region_init_ram_nomigrate(&s->ram, NULL, "ram", 8 * PAGE, &error_abort));
    memory_region_init_alias(&s->extra, NULL, "low", &s->ram, 0, 4 * PAGE);
    memory_region_init_alias(&high, NULL, "high", &s->ram, 4 * PAGE, 4 * PAGE);
    memory_region_add_subregion(&s->root, 0, &s->extra);
    memory_region_add_subregion(&s->root, 4 * GiB, &high);
    witness_init(&w, text, "", 0);
    memory_listener_register(&w.listener, &s->as);
    dirty_pages(&s->ram, map);
    g_string_truncate(text, 0);

    g_assert_true(memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort));
    g_assert_true(memory_global_dirty_log_start(GLOBAL_DIRTY_DIRTY_RATE, &error_abort));
    ASSERT_HEARD(text, "start");
    memory_global_dirty_log_sync(false);
    g_assert_cmpint(w.syncs, ==, 2);
    g_assert_cmpuint(dirty_pages(&s->ram, map), ==, 4);
    g_assert_cmphex(map[0], ==, 0x55);

    memory_region_clear_dirty_bitmap(&s->ram, 5 * PAGE, 2 * PAGE);
    g_assert_cmphex(w.cleared_at, ==, 4 * GiB + PAGE);
    g_assert_cmphex(w.cleared_size, ==, 2 * PAGE);
    memory_region_clear_dirty_bitmap(&s->ram, 0, PAGE);
    g_assert_cmphex(w.cleared_at, ==, 0);
    g_assert_cmphex(w.cleared_size, ==, PAGE);

    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    ASSERT_HEARD(text, "");
    memory_global_dirty_log_stop(GLOBAL_DIRTY_DIRTY_RATE);
    ASSERT_HEARD(text, "stop");
    g_assert_cmphex(global_dirty_tracking, ==, 0);

    /* One that can't: those before it are told to stop again, and nothing is on. */
    witness_init(&refuser, text, "R", 20);
    refuser.refuse = true;
    memory_listener_register(&refuser.listener, &s->as);
    g_string_truncate(text, 0);
    g_assert_false(memory_global_dirty_log_start(GLOBAL_DIRTY_LIMIT, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "no log here");
    error_free(err);
    ASSERT_HEARD(text, "start stop");
    g_assert_cmphex(global_dirty_tracking, ==, 0);

    memory_listener_unregister(&refuser.listener);
    memory_listener_unregister(&w.listener);
    memory_region_del_subregion(&s->root, &high);
    object_unref(OBJECT(&high));
    space_free(s);
    g_string_free(text, TRUE);
}

/* A view outlives the layout that it shows. */
static void test_view_held(void)
{
    Space *s = space_new(UINT64_MAX);
    GString *text = g_string_new(NULL);
    FlatView *view;

    add_ram(s, &s->ram, "ram", 0, PAGE);
    view = address_space_get_flatview(&s->as);
    memory_region_set_address(&s->ram, PAGE);
    flatview_for_each_section(view, append_section, text);
    ASSERT_HEARD(text, "0+1000=ram@0");
    flatview_unref(view);
    assert_view(&s->as, "1000+1000=ram@0");
    space_free(s);
    g_string_free(text, TRUE);
}

static void test_mtree(void)
{
    Space *s = space_new(UINT64_MAX);
    GString *text = g_string_new(NULL);

    add_ram(s, &s->ram, "some.ram", 0x1000, PAGE);
    mtree_info(text, false, false, false);
    g_assert_nonnull(strstr(text->str, "address-space: test\n"));
    g_assert_nonnull(strstr(text->str,
                            "0000000000001000-0000000000001fff (prio 0, ram): some.ram\n"));
    g_string_truncate(text, 0);
    mtree_info(text, true, true, true);
    g_assert_nonnull(strstr(text->str,
                            "  0000000000001000-0000000000001fff (prio 0, ram): some.ram\n"));
    g_string_free(text, TRUE);
    space_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);
    memory_map_init();

    g_test_add_func("/memory/view/overlap", test_overlap);
    g_test_add_func("/memory/view/equal-priority", test_equal_priority);
    g_test_add_func("/memory/view/alias", test_alias);
    g_test_add_func("/memory/view/alias-of-container", test_alias_of_container);
    g_test_add_func("/memory/view/whole-space", test_whole_space);
    g_test_add_func("/memory/view/transaction", test_transaction);
    g_test_add_func("/memory/view/held", test_view_held);
    g_test_add_func("/memory/access/ram", test_ram_access);
    g_test_add_func("/memory/access/rom", test_rom);
    g_test_add_func("/memory/access/io-bytes-only", test_io_bytes_only);
    g_test_add_func("/memory/access/io-wide", test_io_wide);
    g_test_add_func("/memory/access/io-big-endian", test_io_big_endian);
    g_test_add_func("/memory/access/io-attrs", test_io_attrs);
    g_test_add_func("/memory/access/io-from-thread", test_io_from_thread);
    g_test_add_func("/memory/access/ports", test_ports);
    g_test_add_func("/memory/access/map", test_map);
    g_test_add_func("/memory/find", test_find);
    g_test_add_func("/memory/listener/changes", test_listener);
    g_test_add_func("/memory/listener/order", test_listener_order);
    g_test_add_func("/memory/dirty-log", test_dirty_log);
    g_test_add_func("/memory/mtree", test_mtree);
    return g_test_run();
}
