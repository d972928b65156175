/*
 * Entries of bytes that firmware selects by number and reads, byte by byte from a port or in one go
 * by DMA. Most follow from the machine's configuration. Some have a name as well; these are
 * numbered in the order of their names, so that machines with the same names have the same numbers.
 *
 * ACPI tables are in RAM blocks of their own ("/rom@NAME"): a guest that moves half way through
 * reading them goes on with those it began with. What travels besides is what is selected, the
 * half-written DMA address, and how many bytes of those blocks are in use.
 *
 * All of it is read-only for the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "system/address-spaces.h"
#include "system/runstate.h"

DECLARE_INSTANCE_CHECKER(FWCfgState, FW_CFG, TYPE_FW_CFG_IO)

#define KEY_ARCH_LOCAL  0x8000
#define KEY_INVALID     0xffff
#define ID_INTERFACE    1
#define ID_DMA          2
#define DMA_SIGNATURE   UINT64_C(0x51454d5520434647)    /* its letters */
#define FILE_NAME_LEN   56
#define DMA_CHUNK       (UINT32_C(1) << 16)

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

/* Of the ACPI tables' blocks: the stream knows these three by name. */
enum { TABLES, LINKER, RSDP, NR_BLOCKS };
static const char *const block_files[NR_BLOCKS] = {
    [TABLES] = FW_CFG_ACPI_TABLES, [LINKER] = FW_CFG_ACPI_LOADER, [RSDP] = FW_CFG_ACPI_RSDP,
};

/* The bytes of an entry, which a block has from a reset on; and what a guest gets to see. */
typedef struct Entry {
    GBytes *bytes;
    MemoryRegion *mr;           /* NULL: the bytes themselves */
    uint32_t len;
} Entry;

typedef struct File {
    char name[FILE_NAME_LEN];
    Entry *entry;
} File;

struct FWCfgState {
    SysBusDevice parent_obj;

    MemoryRegion ports, dma;
    GHashTable *entries;        /* of Entry, by number; files are in there too */
    GArray *files;              /* of File, by name */
    Entry *blocks[NR_BLOCKS];   /* all or none */

    uint16_t cur_entry;
    uint32_t cur_offset;
    uint64_t dma_addr;
    uint64_t block_len[NR_BLOCKS]; /* only while state moves */
};

/* -- Entries ----------------------------------------------------------------------------------- */

static void entry_free(void *opaque)
{
    Entry *e = opaque;

    g_bytes_unref(e->bytes);
    g_free(e);
}

static Entry *add_entry(FWCfgState *s, uint16_t key, const void *data, size_t len)
{
    Entry *e = g_new0(Entry, 1);

    e->bytes = g_bytes_new(data, len);
    e->len = len;
    g_hash_table_replace(s->entries, GUINT_TO_POINTER(key), e);
    return e;
}

void fw_cfg_add_bytes(FWCfgState *s, uint16_t key, const void *data, size_t len)
{
    g_assert(key < FW_CFG_FILE_FIRST || key & KEY_ARCH_LOCAL);
    add_entry(s, key, data, len);
}

void fw_cfg_add_i16(FWCfgState *s, uint16_t key, uint16_t value)
{
    value = cpu_to_le16(value);
    fw_cfg_add_bytes(s, key, &value, sizeof(value));
}

void fw_cfg_add_i32(FWCfgState *s, uint16_t key, uint32_t value)
{
    value = cpu_to_le32(value);
    fw_cfg_add_bytes(s, key, &value, sizeof(value));
}

void fw_cfg_add_i64(FWCfgState *s, uint16_t key, uint64_t value)
{
    value = cpu_to_le64(value);
    fw_cfg_add_bytes(s, key, &value, sizeof(value));
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const File *)a)->name, ((const File *)b)->name);
}

/* Names, lengths or their order changed: the list that guests read, big endian. */
static void make_directory(FWCfgState *s)
{
    g_autoptr(GByteArray) dir = g_byte_array_new();
    uint32_t count = cpu_to_be32(s->files->len);

    g_byte_array_append(dir, (uint8_t *)&count, sizeof(count));
    for (unsigned i = 0; i < s->files->len; i++) {
        const File *f = &g_array_index(s->files, File, i);
        uint8_t row[8 + FILE_NAME_LEN] = { 0 };

        stl_be_p(row, f->entry->len);
        stw_be_p(row + 4, FW_CFG_FILE_FIRST + i);
        memcpy(row + 8, f->name, FILE_NAME_LEN);
        g_byte_array_append(dir, row, sizeof(row));
    }
    fw_cfg_add_bytes(s, FW_CFG_FILE_DIR, dir->data, dir->len);
}

static Entry *add_file(FWCfgState *s, const char *name, const void *data, size_t len)
{
    File file = { .entry = g_new0(Entry, 1) };

    g_assert(strlen(name) < FILE_NAME_LEN && len <= UINT32_MAX);
    g_strlcpy(file.name, name, sizeof(file.name));
    file.entry->bytes = g_bytes_new(data, len);
    file.entry->len = len;
    g_array_append_val(s->files, file);
    g_array_sort(s->files, compare_files);
    for (unsigned i = 0; i < s->files->len; i++) {
        void *key = GUINT_TO_POINTER(FW_CFG_FILE_FIRST + i);

        g_hash_table_steal(s->entries, key);
        g_hash_table_insert(s->entries, key, g_array_index(s->files, File, i).entry);
    }
    make_directory(s);
    return file.entry;
}

void fw_cfg_add_file(FWCfgState *s, const char *name, const void *data, size_t len)
{
    add_file(s, name, data, len);
}

bool fw_cfg_add_block(FWCfgState *s, const char *name, const void *data, size_t len, size_t max,
                      Error **errp)
{
    g_autofree char *block = g_strdup_printf("/rom@%s", name);
    MemoryRegion *mr = g_new0(MemoryRegion, 1);
    int which = 0;

    while (!g_str_equal(block_files[which], name)) {
        which++;
        g_assert(which < NR_BLOCKS);
    }
    if (!memory_region_init_resizeable_ram(mr, NULL, block, len, max, NULL, errp)) {
        error_prepend(errp, "%s: ", name);
        return false;
    }
    s->blocks[which] = add_file(s, name, data, len);
    s->blocks[which]->mr = mr;
    return true;
}

static uint32_t block_room(const Entry *e)
{
    return MIN(e->mr->ram_block->used_length, UINT32_MAX);
}

/* What this machine would show comes into a block that a stream may have filled otherwise. */
static void fill_block(Entry *e)
{
    size_t len;
    const void *data = g_bytes_get_data(e->bytes, &len);
    Error *err = NULL;

    if (len > block_room(e) && qemu_ram_resize(e->mr->ram_block, len, &err) < 0) {
        warn_report("the guest keeps the tables that it came with: %s", error_get_pretty(err));
        error_free(err);
        return;
    }
    memcpy(e->mr->ram_block->host, data, len);
    memset(e->mr->ram_block->host + len, 0, block_room(e) - len);
    memory_region_set_dirty(e->mr, 0, block_room(e));
    e->len = len;
}

static bool select_entry(FWCfgState *s, uint16_t key)
{
    bool exists = g_hash_table_contains(s->entries, GUINT_TO_POINTER(key));

    s->cur_offset = 0;
    s->cur_entry = exists ? key : KEY_INVALID;
    return exists;
}

/* What is left of the selected entry: its bytes from cur_offset, *@len of them. */
static const uint8_t *rest_of_entry(FWCfgState *s, size_t *len)
{
    const Entry *e = g_hash_table_lookup(s->entries, GUINT_TO_POINTER(s->cur_entry));
    const uint8_t *data;

    *len = 0;
    if (!e || s->cur_offset >= e->len) {
        return NULL;
    }
    data = e->mr ? e->mr->ram_block->host : g_bytes_get_data(e->bytes, NULL);
    *len = e->len - s->cur_offset;
    return data + s->cur_offset;
}

/* -- Ports ------------------------------------------------------------------------------------- */

static uint64_t ports_read(void *opaque, hwaddr addr, unsigned size)
{
    FWCfgState *s = opaque;
    uint64_t value = 0;

    if (addr != 1) {
        return 0;
    }
    for (unsigned i = 0; i < size; i++) {
        size_t len;
        const uint8_t *data = rest_of_entry(s, &len);

        if (len) {
            value |= (uint64_t)*data << 8 * i;
            s->cur_offset++;
        }
    }
    return value;
}

static void ports_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    if (addr == 0 && size == 2) {
        select_entry(opaque, data);
    }
}

static const MemoryRegionOps ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 2, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 2, .unaligned = true },
};

/* -- DMA --------------------------------------------------------------------------------------- */

static bool dma_to_guest(FWCfgState *s, uint64_t address, uint32_t length)
{
    while (length) {
        static const uint8_t nothing[4096];
        size_t len;
        const uint8_t *data = rest_of_entry(s, &len);
        uint32_t now = MIN(length, len ? len : sizeof(nothing));

        now = MIN(now, DMA_CHUNK);
        if (address_space_write(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED,
                                len ? data : nothing, now) != MEMTX_OK) {
            return false;
        }
        if (len) {
            s->cur_offset += now;
        }
        address += now;
        length -= now;
    }
    return true;
}

static void dma_run(FWCfgState *s)
{
    hwaddr at = s->dma_addr;
    uint8_t request[16];
    uint32_t control, length, result = 0;
    uint64_t address;
    size_t rest;

    s->dma_addr = 0;
    if (address_space_read(&address_space_memory, at, MEMTXATTRS_UNSPECIFIED, request,
                           sizeof(request)) != MEMTX_OK) {
        address_space_stl_be(&address_space_memory, at, DMA_ERROR, MEMTXATTRS_UNSPECIFIED, NULL);
        return;
    }
    control = ldl_be_p(request);
    length = ldl_be_p(request + 4);
    address = ldq_be_p(request + 8);
    if (control & DMA_SELECT) {
        select_entry(s, control >> 16);
    }
    if (control & DMA_READ) {
        result = dma_to_guest(s, address, length) ? 0 : DMA_ERROR;
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR;
    } else if (control & DMA_SKIP) {
        rest_of_entry(s, &rest);
        s->cur_offset += MIN(rest, length);
    }
    address_space_stl_be(&address_space_memory, at, result, MEMTXATTRS_UNSPECIFIED, NULL);
}

static uint64_t dma_read(void *opaque, hwaddr addr, unsigned size)
{
    return DMA_SIGNATURE >> 8 * (8 - addr - size);
}

static void dma_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    FWCfgState *s = opaque;

    if (size == 8) {
        s->dma_addr = data;
        dma_run(s);
    } else if (addr == 0) {
        s->dma_addr = data << 32;
    } else {
        s->dma_addr |= (uint32_t)data;
        dma_run(s);
    }
}

static const MemoryRegionOps dma_ops = {
    .read = dma_read,
    .write = dma_write,
    .endianness = DEVICE_BIG_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

/* -- State ------------------------------------------------------------------------------------- */

static const VMStateDescription vmstate_dma = {
    .name = "fw_cfg/dma",
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(dma_addr, FWCfgState),
        VMSTATE_END_OF_LIST()
    },
};

static bool has_blocks(void *opaque)
{
    FWCfgState *s = opaque;

    return s->blocks[TABLES] && s->blocks[LINKER] && s->blocks[RSDP];
}

static int blocks_pre_save(void *opaque)
{
    FWCfgState *s = opaque;

    for (int i = 0; i < NR_BLOCKS; i++) {
        s->block_len[i] = s->blocks[i]->len;
    }
    return 0;
}

static int blocks_post_load(void *opaque, int version_id)
{
    FWCfgState *s = opaque;

    if (!has_blocks(s)) {
        error_report("fw_cfg: the stream has ACPI tables, and this machine has none (acpi=off)");
        return -EINVAL;
    }
    for (int i = 0; i < NR_BLOCKS; i++) {
        if (s->block_len[i] > block_room(s->blocks[i])) {
            error_report("fw_cfg: file %s would use 0x%" PRIx64 " bytes, but its RAM block has 0x%"
                         PRIx32, block_files[i], s->block_len[i], block_room(s->blocks[i]));
            return -EINVAL;
        }
    }
    for (int i = 0; i < NR_BLOCKS; i++) {
        s->blocks[i]->len = s->block_len[i];
    }
    make_directory(s);
    return 0;
}

#define BLOCK_LEN(name_, which) {                                                                  \
    .name = (name_), .info = &vmstate_info_uint64, .size = sizeof(uint64_t), .flags = VMS_SINGLE,  \
    .offset = offsetof(FWCfgState, block_len) + (which) * sizeof(uint64_t),                        \
}

static const VMStateDescription vmstate_blocks = {
    .name = "fw_cfg/acpi_mr",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = has_blocks,
    .pre_save = blocks_pre_save,
    .post_load = blocks_post_load,
    .fields = (const VMStateField[]) {
        BLOCK_LEN("table_mr_size", TABLES),
        BLOCK_LEN("linker_mr_size", LINKER),
        BLOCK_LEN("rsdp_mr_size", RSDP),
        VMSTATE_END_OF_LIST()
    },
};

static bool is_version_1(void *opaque, int version_id)
{
    return version_id == 1;
}

static int fw_cfg_pre_load(void *opaque)
{
    FWCfgState *s = opaque;

    /* Version 1 brings the lower half only. */
    s->cur_offset = 0;
    return 0;
}

static const VMStateDescription vmstate_fw_cfg = {
    .name = "fw_cfg",
    .version_id = 2,
    .minimum_version_id = 1,
    .pre_load = fw_cfg_pre_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(cur_entry, FWCfgState),
        {
            .name = "cur_offset",
            .info = &vmstate_info_uint16, /* the half that comes; the size is the member's */
            .size = sizeof(uint32_t),
            .flags = VMS_SINGLE,
            .offset = offsetof(FWCfgState, cur_offset),
            .field_exists = is_version_1,
        },
        VMSTATE_UINT32_V(cur_offset, FWCfgState, 2),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_dma, &vmstate_blocks, NULL },
};

static void fw_cfg_reset(DeviceState *dev)
{
    FWCfgState *s = FW_CFG(dev);

    select_entry(s, FW_CFG_SIGNATURE);
    s->dma_addr = 0;
    if (has_blocks(s) && !runstate_check(RUN_STATE_INMIGRATE)) {
        for (int i = 0; i < NR_BLOCKS; i++) {
            fill_block(s->blocks[i]);
        }
        make_directory(s);
    }
}

static void fw_cfg_initfn(Object *obj)
{
    FWCfgState *s = FW_CFG(obj);

    s->entries = g_hash_table_new_full(NULL, NULL, NULL, entry_free);
    s->files = g_array_new(false, false, sizeof(File));
    fw_cfg_add_bytes(s, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_i32(s, FW_CFG_ID, ID_INTERFACE | ID_DMA);
}

static void fw_cfg_finalize(Object *obj)
{
    FWCfgState *s = FW_CFG(obj);

    g_hash_table_unref(s->entries);
    g_array_unref(s->files);
}

static void fw_cfg_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->vmsd = &vmstate_fw_cfg;
    dc->user_creatable = false;
    device_class_set_legacy_reset(dc, fw_cfg_reset);
}

FWCfgState *fw_cfg_find(void)
{
    Object *obj = object_resolve_path_type("", TYPE_FW_CFG_IO, NULL);

    return obj ? FW_CFG(obj) : NULL;
}

FWCfgState *fw_cfg_init_io_dma(uint32_t iobase)
{
    DeviceState *dev = qdev_new(TYPE_FW_CFG_IO);
    FWCfgState *s = FW_CFG(dev);

    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    memory_region_init_io(&s->ports, OBJECT(s), &ports_ops, s, "fwcfg", 2);
    memory_region_add_subregion(get_system_io(), iobase, &s->ports);
    memory_region_init_io(&s->dma, OBJECT(s), &dma_ops, s, "fwcfg.dma", 8);
    memory_region_add_subregion(get_system_io(), iobase + 4, &s->dma);
    return s;
}

static const TypeInfo fw_cfg_types[] = {
    {
        .name = TYPE_FW_CFG_IO,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(FWCfgState),
        .instance_init = fw_cfg_initfn,
        .instance_finalize = fw_cfg_finalize,
        .class_init = fw_cfg_class_init,
    },
};
DEFINE_TYPES(fw_cfg_types)
