/*
 * Access to guest memory and ports: by copy for RAM, by calling the device for the rest.
 *
 * Any thread may come here. A piece of an access is looked up in a flat view that it holds a
 * reference to, so that layouts may change meanwhile; devices are called with the BQL held. What
 * the host writes is marked dirty right after it was written: a migration that took the dirty bit
 * in between would send the page with the next round again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "memory-internal.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "system/address-spaces.h"
#include "system/ioport.h"

/* -- One device access ----------------------------------------------------------------------- */

static bool access_valid(MemoryRegion *mr, hwaddr addr, unsigned size, bool is_write,
                         MemTxAttrs attrs)
{
    const MemoryRegionOps *ops = mr->ops;
    unsigned max = ops->valid.max_access_size ? ops->valid.max_access_size : 4;

    if (ops->valid.accepts && !ops->valid.accepts(mr->opaque, addr, size, is_write, attrs)) {
        return false;
    }
    if (!ops->valid.unaligned && (addr & (size - 1))) {
        return false;
    }
    /* Both zero: the device doesn't care. */
    return (!ops->valid.max_access_size && !ops->valid.min_access_size)
        || (size <= max && size >= ops->valid.min_access_size);
}

static MemTxResult call_read(MemoryRegion *mr, hwaddr addr, uint64_t *value, unsigned size,
                             MemTxAttrs attrs)
{
    *value = 0;
    if (mr->ops->read) {
        *value = mr->ops->read(mr->opaque, addr, size);
        return MEMTX_OK;
    }
    if (mr->ops->read_with_attrs) {
        return mr->ops->read_with_attrs(mr->opaque, addr, value, size, attrs);
    }
    return MEMTX_DECODE_ERROR;
}

static MemTxResult call_write(MemoryRegion *mr, hwaddr addr, uint64_t value, unsigned size,
                              MemTxAttrs attrs)
{
    if (mr->ops->write) {
        mr->ops->write(mr->opaque, addr, value, size);
        return MEMTX_OK;
    }
    if (mr->ops->write_with_attrs) {
        return mr->ops->write_with_attrs(mr->opaque, addr, value, size, attrs);
    }
    return MEMTX_DECODE_ERROR;
}

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/* Shift that moves the part at byte @i, @part bytes wide, to its place in @size bytes. */
static int part_shift(const MemoryRegionOps *ops, unsigned i, unsigned part, unsigned size)
{
    if (ops->endianness == DEVICE_BIG_ENDIAN) {
        return ((int)size - (int)part - (int)i) * 8;
    }
    return i * 8;
}

static unsigned part_size(const MemoryRegionOps *ops, unsigned size)
{
    unsigned min = ops->impl.min_access_size ? ops->impl.min_access_size : 1;
    unsigned max = ops->impl.max_access_size ? ops->impl.max_access_size : 4;

    return CLAMP(size, min, max);
}

static uint64_t swap_sized(uint64_t value, unsigned size)
{
    switch (size) {
    case 2:
        return bswap16(value);
    case 4:
        return bswap32(value);
    case 8:
        return bswap64(value);
    default:
        return value;
    }
}

MemTxResult memory_region_dispatch_read(MemoryRegion *mr, hwaddr addr, uint64_t *pval,
                                        unsigned op_size, MemTxAttrs attrs)
{
    unsigned part, i;
    MemTxResult result = MEMTX_OK;

    while (mr->alias) {
        addr += mr->alias_offset;
        mr = mr->alias;
    }
    *pval = 0;
    if (!access_valid(mr, addr, op_size, false, attrs)) {
        qemu_log_mask(LOG_INVALID_MEM, "read of %u bytes at 0x%" PRIx64 " of region '%s': it takes "
                      "no such access\n", op_size, (uint64_t)addr, mr->name ?: "");
        return MEMTX_DECODE_ERROR;
    }
    part = part_size(mr->ops, op_size);
    for (i = 0; i < op_size; i += part) {
        int shift = part_shift(mr->ops, i, part, op_size);
        uint64_t value;

        result |= call_read(mr, addr + i, &value, part, attrs);
        value &= size_mask(part);
        *pval |= shift >= 0 ? value << shift : value >> -shift;
    }
    *pval &= size_mask(op_size);
    if (mr->ops->endianness == DEVICE_BIG_ENDIAN) {
        *pval = swap_sized(*pval, op_size);
    }
    return result;
}

MemTxResult memory_region_dispatch_write(MemoryRegion *mr, hwaddr addr, uint64_t data,
                                         unsigned op_size, MemTxAttrs attrs)
{
    unsigned part, i;
    MemTxResult result = MEMTX_OK;

    while (mr->alias) {
        addr += mr->alias_offset;
        mr = mr->alias;
    }
    if (!access_valid(mr, addr, op_size, true, attrs)) {
        qemu_log_mask(LOG_INVALID_MEM, "write of %u bytes at 0x%" PRIx64 " of region '%s': it takes "
                      "no such access\n", op_size, (uint64_t)addr, mr->name ?: "");
        return MEMTX_DECODE_ERROR;
    }
    data &= size_mask(op_size);
    if (mr->ops->endianness == DEVICE_BIG_ENDIAN) {
        data = swap_sized(data, op_size);
    }
    part = part_size(mr->ops, op_size);
    for (i = 0; i < op_size; i += part) {
        int shift = part_shift(mr->ops, i, part, op_size);
        uint64_t value = shift >= 0 ? data >> shift : data << -shift;

        result |= call_write(mr, addr + i, value & size_mask(part), part, attrs);
    }
    return result;
}

/* The widest access of at most @len bytes at @addr that the device takes as one. */
static unsigned device_access_size(MemoryRegion *mr, hwaddr len, hwaddr addr)
{
    unsigned max = mr->ops->valid.max_access_size ? mr->ops->valid.max_access_size : 4;

    if (!mr->ops->impl.unaligned && addr) {
        max = MIN(max, addr & -addr);
    }
    return pow2floor(MIN(len, max));
}

static uint64_t load_le(const uint8_t *buf, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, buf, size);
    return le64_to_cpu(value);
}

static void store_le(uint8_t *buf, unsigned size, uint64_t value)
{
    value = cpu_to_le64(value);
    memcpy(buf, &value, size);
}

static MemTxResult device_rw(MemoryRegion *mr, hwaddr addr, MemTxAttrs attrs, uint8_t *buf,
                             unsigned size, bool is_write)
{
    bool lock = mr->global_locking && !bql_locked();
    MemTxResult result;
    uint64_t value;

    if (lock) {
        bql_lock();
    }
    if (is_write) {
        result = memory_region_dispatch_write(mr, addr, load_le(buf, size), size, attrs);
    } else {
        result = memory_region_dispatch_read(mr, addr, &value, size, attrs);
        store_le(buf, size, value);
    }
    if (lock) {
        bql_unlock();
    }
    return result;
}

/* -- Whole accesses -------------------------------------------------------------------------- */

static uint64_t bytes_left(const FlatRange *fr, hwaddr addr, hwaddr len)
{
    return fr->last - addr < len - 1 ? fr->last - addr + 1 : len;
}

MemTxResult address_space_rw(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, void *bufp,
                             hwaddr len, bool is_write)
{
    FlatView *view = address_space_get_flatview(as);
    MemTxResult result = MEMTX_OK;
    uint8_t *buf = bufp;

    while (len) {
        hwaddr next, n;
        const FlatRange *fr = flatview_lookup(view, addr, &next);

        if (!fr) {
            n = next > addr ? MIN(len, next - addr) : len;
            if (!is_write) {
                memset(buf, 0, n);
            }
            qemu_log_mask(LOG_INVALID_MEM, "%s at 0x%" PRIx64 ": there is nothing\n",
                          is_write ? "write" : "read", (uint64_t)addr);
            result |= MEMTX_DECODE_ERROR;
        } else if (fr->mr->ram) {
            hwaddr offset = fr->offset + (addr - fr->start);

            n = bytes_left(fr, addr, len);
            if (!is_write) {
                memcpy(buf, fr->mr->ram_block->host + offset, n);
            } else if (!fr->readonly) {
                memcpy(fr->mr->ram_block->host + offset, buf, n);
                ram_block_set_dirty(fr->mr->ram_block, offset, n);
            }
        } else {
            hwaddr offset = fr->offset + (addr - fr->start);

            n = device_access_size(fr->mr, bytes_left(fr, addr, len), offset);
            if (attrs.memory) {
                result |= MEMTX_ACCESS_ERROR;
                if (!is_write) {
                    memset(buf, 0, n);
                }
            } else if (!is_write || !fr->readonly) {
                result |= device_rw(fr->mr, offset, attrs, buf, n, is_write);
            }
        }
        buf += n;
        addr += n;
        len -= n;
    }
    flatview_unref(view);
    return result;
}

MemTxResult address_space_read(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, void *buf,
                               hwaddr len)
{
    return address_space_rw(as, addr, attrs, buf, len, false);
}

MemTxResult address_space_write(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, const void *buf,
                                hwaddr len)
{
    return address_space_rw(as, addr, attrs, (void *)buf, len, true);
}

MemTxResult address_space_write_rom(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                                    const void *bufp, hwaddr len)
{
    FlatView *view = address_space_get_flatview(as);
    const uint8_t *buf = bufp;
    MemTxResult result = MEMTX_OK;

    while (len) {
        hwaddr next, n;
        const FlatRange *fr = flatview_lookup(view, addr, &next);

        if (!fr) {
            n = next > addr ? MIN(len, next - addr) : len;
            result |= MEMTX_DECODE_ERROR;
        } else {
            n = bytes_left(fr, addr, len);
            if (fr->mr->ram && !(fr->mr->ram_block->flags & RAM_READONLY)) {
                hwaddr offset = fr->offset + (addr - fr->start);

                memcpy(fr->mr->ram_block->host + offset, buf, n);
                ram_block_set_dirty(fr->mr->ram_block, offset, n);
            }
        }
        buf += n;
        addr += n;
        len -= n;
    }
    flatview_unref(view);
    return result;
}

MemTxResult address_space_set(AddressSpace *as, hwaddr addr, uint8_t c, hwaddr len,
                              MemTxAttrs attrs)
{
    uint8_t block[4096];
    MemTxResult result = MEMTX_OK;

    memset(block, c, MIN(len, sizeof(block)));
    while (len) {
        hwaddr n = MIN(len, sizeof(block));

        result |= address_space_rw(as, addr, attrs, block, n, true);
        addr += n;
        len -= n;
    }
    return result;
}

bool address_space_access_valid(AddressSpace *as, hwaddr addr, hwaddr len, bool is_write,
                                MemTxAttrs attrs)
{
    FlatView *view = address_space_get_flatview(as);
    bool valid = true;

    while (valid && len) {
        const FlatRange *fr = flatview_lookup(view, addr, NULL);
        hwaddr n;

        if (!fr) {
            valid = false;
            break;
        }
        n = bytes_left(fr, addr, len);
        if (!fr->mr->ram) {
            hwaddr offset = fr->offset + (addr - fr->start);

            n = device_access_size(fr->mr, n, offset);
            valid = access_valid(fr->mr, offset, n, is_write, attrs);
        } else {
            valid = !is_write || !fr->readonly;
        }
        addr += n;
        len -= n;
    }
    flatview_unref(view);
    return valid;
}

/* -- Direct access --------------------------------------------------------------------------- */

void *address_space_map(AddressSpace *as, hwaddr addr, hwaddr *plen, bool is_write,
                        MemTxAttrs attrs)
{
    FlatView *view = address_space_get_flatview(as);
    const FlatRange *fr = flatview_lookup(view, addr, NULL);
    void *ptr = NULL;

    if (*plen && fr && fr->mr->ram && !(is_write && fr->readonly)) {
        *plen = bytes_left(fr, addr, *plen);
        ptr = fr->mr->ram_block->host + fr->offset + (addr - fr->start);
        memory_region_ref(fr->mr);
    } else {
        *plen = 0;
    }
    flatview_unref(view);
    return ptr;
}

void address_space_unmap(AddressSpace *as, void *buffer, hwaddr len, bool is_write,
                         hwaddr access_len)
{
    ram_addr_t offset;
    MemoryRegion *mr = memory_region_from_host(buffer, &offset);

    assert(mr);
    if (is_write && access_len) {
        ram_block_set_dirty(mr->ram_block, offset, MIN(access_len, len));
    }
    memory_region_unref(mr);
}

MemoryRegion *address_space_translate(AddressSpace *as, hwaddr addr, hwaddr *xlat, hwaddr *plen,
                                      bool is_write, MemTxAttrs attrs)
{
    FlatView *view = address_space_get_flatview(as);
    const FlatRange *fr = flatview_lookup(view, addr, NULL);
    MemoryRegion *mr = NULL;

    if (fr) {
        mr = fr->mr;
        *xlat = fr->offset + (addr - fr->start);
        if (plen && *plen) {
            *plen = bytes_left(fr, addr, *plen);
        }
    }
    flatview_unref(view);
    return mr;
}

int64_t address_space_cache_init(MemoryRegionCache *cache, AddressSpace *as, hwaddr addr,
                                 hwaddr len, bool is_write)
{
    const FlatRange *fr;

    *cache = (MemoryRegionCache) {
        .fv = address_space_get_flatview(as),
        .as = as,
        .addr = addr,
        .is_write = is_write,
    };
    fr = flatview_lookup(cache->fv, addr, NULL);
    if (!len || !fr) {
        address_space_cache_destroy(cache);
        return -EINVAL;
    }
    cache->len = bytes_left(fr, addr, len);
    if (fr->mr->ram && !(is_write && fr->readonly)) {
        cache->block = fr->mr->ram_block;
        cache->block_offset = fr->offset + (addr - fr->start);
        cache->ptr = cache->block->host + cache->block_offset;
    }
    return cache->len;
}

void address_space_cache_destroy(MemoryRegionCache *cache)
{
    if (cache->fv) {
        flatview_unref(cache->fv);
    }
    *cache = (MemoryRegionCache) { .fv = NULL };
}

MemTxResult address_space_read_cached(MemoryRegionCache *cache, hwaddr addr, void *buf, hwaddr len)
{
    assert(addr <= cache->len && len <= cache->len - addr);
    if (!cache->ptr) {
        return address_space_rw(cache->as, cache->addr + addr, MEMTXATTRS_UNSPECIFIED, buf, len,
                                false);
    }
    memcpy(buf, cache->ptr + addr, len);
    return MEMTX_OK;
}

MemTxResult address_space_write_cached(MemoryRegionCache *cache, hwaddr addr, const void *buf,
                                       hwaddr len)
{
    assert(cache->is_write && addr <= cache->len && len <= cache->len - addr);
    if (!cache->ptr) {
        return address_space_write(cache->as, cache->addr + addr, MEMTXATTRS_UNSPECIFIED, buf,
                                   len);
    }
    memcpy(cache->ptr + addr, buf, len);
    ram_block_set_dirty(cache->block, cache->block_offset + addr, len);
    return MEMTX_OK;
}

/* -- Single values --------------------------------------------------------------------------- */

#define DEFINE_LOAD(name, type, convert)                                                           \
    type name(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, MemTxResult *result)                \
    {                                                                                              \
        type value;                                                                                \
        MemTxResult r = address_space_rw(as, addr, attrs, &value, sizeof(value), false);           \
                                                                                                   \
        if (result) {                                                                              \
            *result = r;                                                                           \
        }                                                                                          \
        return convert(value);                                                                     \
    }
#define DEFINE_STORE(name, type, convert)                                                          \
    void name(AddressSpace *as, hwaddr addr, type value, MemTxAttrs attrs, MemTxResult *result)    \
    {                                                                                              \
        type stored = convert(value);                                                              \
        MemTxResult r = address_space_rw(as, addr, attrs, &stored, sizeof(stored), true);          \
                                                                                                   \
        if (result) {                                                                              \
            *result = r;                                                                           \
        }                                                                                          \
    }

DEFINE_LOAD(address_space_ldub, uint8_t, )
DEFINE_LOAD(address_space_lduw_le, uint16_t, le16_to_cpu)
DEFINE_LOAD(address_space_lduw_be, uint16_t, be16_to_cpu)
DEFINE_LOAD(address_space_ldl_le, uint32_t, le32_to_cpu)
DEFINE_LOAD(address_space_ldl_be, uint32_t, be32_to_cpu)
DEFINE_LOAD(address_space_ldq_le, uint64_t, le64_to_cpu)
DEFINE_LOAD(address_space_ldq_be, uint64_t, be64_to_cpu)
DEFINE_STORE(address_space_stb, uint8_t, )
DEFINE_STORE(address_space_stw_le, uint16_t, cpu_to_le16)
DEFINE_STORE(address_space_stw_be, uint16_t, cpu_to_be16)
DEFINE_STORE(address_space_stl_le, uint32_t, cpu_to_le32)
DEFINE_STORE(address_space_stl_be, uint32_t, cpu_to_be32)
DEFINE_STORE(address_space_stq_le, uint64_t, cpu_to_le64)
DEFINE_STORE(address_space_stq_be, uint64_t, cpu_to_be64)

/* -- The system's own spaces ----------------------------------------------------------------- */

AddressSpace address_space_memory;
AddressSpace address_space_io;

static MemoryRegion system_memory, system_io;

static uint64_t unassigned_io_read(void *opaque, hwaddr addr, unsigned size)
{
    qemu_log_mask(LOG_UNIMP, "read of port 0x%" PRIx64 ": there is nothing\n", (uint64_t)addr);
    return UINT64_MAX;
}

static void unassigned_io_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    qemu_log_mask(LOG_UNIMP, "write of 0x%" PRIx64 " to port 0x%" PRIx64 ": there is nothing\n", data,
                  (uint64_t)addr);
}

const MemoryRegionOps unassigned_io_ops = {
    .read = unassigned_io_read,
    .write = unassigned_io_write,
    .valid.unaligned = true,
    .impl.unaligned = true,
};

void memory_map_init(void)
{
    if (address_space_memory.root) {
        return;
    }
    memory_region_init(&system_memory, NULL, "system", UINT64_MAX);
    address_space_init(&address_space_memory, &system_memory, "memory");
    memory_region_init_io(&system_io, NULL, &unassigned_io_ops, NULL, "io", MAX_IOPORTS);
    address_space_init(&address_space_io, &system_io, "I/O");
}

MemoryRegion *get_system_memory(void)
{
    return &system_memory;
}

MemoryRegion *get_system_io(void)
{
    return &system_io;
}

void cpu_physical_memory_rw(hwaddr addr, void *buf, hwaddr len, bool is_write)
{
    address_space_rw(&address_space_memory, addr, MEMTXATTRS_UNSPECIFIED, buf, len, is_write);
}

void *cpu_physical_memory_map(hwaddr addr, hwaddr *plen, bool is_write)
{
    return address_space_map(&address_space_memory, addr, plen, is_write, MEMTXATTRS_UNSPECIFIED);
}

void cpu_physical_memory_unmap(void *buffer, hwaddr len, bool is_write, hwaddr access_len)
{
    address_space_unmap(&address_space_memory, buffer, len, is_write, access_len);
}

void cpu_outb(uint32_t addr, uint8_t val)
{
    address_space_stb(&address_space_io, addr & IOPORTS_MASK, val, MEMTXATTRS_UNSPECIFIED, NULL);
}

void cpu_outw(uint32_t addr, uint16_t val)
{
    address_space_stw(&address_space_io, addr & IOPORTS_MASK, val, MEMTXATTRS_UNSPECIFIED, NULL);
}

void cpu_outl(uint32_t addr, uint32_t val)
{
    address_space_stl(&address_space_io, addr & IOPORTS_MASK, val, MEMTXATTRS_UNSPECIFIED, NULL);
}

uint8_t cpu_inb(uint32_t addr)
{
    return address_space_ldub(&address_space_io, addr & IOPORTS_MASK, MEMTXATTRS_UNSPECIFIED,
                              NULL);
}

uint16_t cpu_inw(uint32_t addr)
{
    return address_space_lduw(&address_space_io, addr & IOPORTS_MASK, MEMTXATTRS_UNSPECIFIED,
                              NULL);
}

uint32_t cpu_inl(uint32_t addr)
{
    return address_space_ldl(&address_space_io, addr & IOPORTS_MASK, MEMTXATTRS_UNSPECIFIED,
                             NULL);
}
