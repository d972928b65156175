/*
 * Guest memory: regions, address spaces, listeners, and the dirty log.
 *
 * A MemoryRegion is a node of a tree: RAM, ROM, a device's registers, a window onto another region
 * (alias), or a mere container. An AddressSpace is such a tree seen from its root. Overlaps are
 * settled by priority when the tree is rendered into a FlatView, a sorted list of disjoint ranges;
 * MemoryListeners (an accelerator, above all) are told how one flat view differs from the last.
 *
 * Locking: trees, address spaces and listeners are changed under the BQL. Accesses
 * (address_space_*, cpu_physical_memory_*) may be made by any thread without it; a device's
 * callback is called with the BQL held, which the access takes for the time of the call if the
 * caller does not hold it. A flat view is reference counted and stays valid while an access uses
 * it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

#include "qemu/osdep.h"
#include "exec/hwaddr.h"
#include "exec/memattrs.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/queue.h"
#include "qom/object.h"
#include "system/ramblock.h"

#define TYPE_MEMORY_REGION "memory-region"
OBJECT_DECLARE_SIMPLE_TYPE(MemoryRegion, MEMORY_REGION)

typedef struct AddressSpace AddressSpace;
typedef struct FlatView FlatView;
typedef struct MemoryListener MemoryListener;
typedef struct MemoryRegionOps MemoryRegionOps;
typedef struct MemoryRegionSection MemoryRegionSection;
typedef struct MemoryRegionCache MemoryRegionCache;

/** Byte order of a device's registers. The guest (x86) is little endian, so native means little. */
enum device_endian {
    DEVICE_NATIVE_ENDIAN,
    DEVICE_BIG_ENDIAN,
    DEVICE_LITTLE_ENDIAN,
};

/**
 * A device's answer to accesses. Either read or read_with_attrs is set (likewise for write); a
 * missing direction reads as zero and drops writes, with MEMTX_DECODE_ERROR.
 * Addresses are offsets into the region. Values are in the host's byte order.
 */
struct MemoryRegionOps {
    uint64_t (*read)(void *opaque, hwaddr addr, unsigned size);
    void (*write)(void *opaque, hwaddr addr, uint64_t data, unsigned size);
    MemTxResult (*read_with_attrs)(void *opaque, hwaddr addr, uint64_t *data, unsigned size,
                                   MemTxAttrs attrs);
    MemTxResult (*write_with_attrs)(void *opaque, hwaddr addr, uint64_t data, unsigned size,
                                    MemTxAttrs attrs);
    enum device_endian endianness;

    /** What the guest may do; anything else gets MEMTX_DECODE_ERROR. A zero size is the default. */
    struct {
        unsigned min_access_size; /* bytes; 0: 1 */
        unsigned max_access_size; /* bytes; 0: 4 */
        bool unaligned;           /* accesses not aligned to their size are accepted */
        bool (*accepts)(void *opaque, hwaddr addr, unsigned size, bool is_write, MemTxAttrs attrs);
    } valid;
    /** What the callbacks can do: accesses are split or widened to these sizes. */
    struct {
        unsigned min_access_size; /* bytes; 0: 1 */
        unsigned max_access_size; /* bytes; 0: 4 */
        bool unaligned;
    } impl;
};

/** A node of a memory tree. Fields are private to system/memory*.c. Guarded by the BQL. */
struct MemoryRegion {
    Object parent_obj;

    bool ram;           /* backed by ram_block; reads need no callback */
    bool readonly;      /* RAM that the guest can't write (ROM) */
    bool terminates;    /* answers accesses itself: RAM or device, not container or alias */
    bool enabled;
    bool ram_owned;     /* ram_block is freed with the region */
    bool global_locking; /* callbacks want the BQL (all do, unless cleared) */
    uint8_t dirty_log_mask; /* clients of log_start/log_stop; see memory_region_set_log */
    int32_t priority;
    RAMBlock *ram_block;
    Object *owner;      /* kept alive while a flat view shows the region; may be NULL */
    const MemoryRegionOps *ops;
    void *opaque;
    MemoryRegion *container;
    hwaddr addr;        /* offset in the container */
    uint64_t size;      /* bytes; UINT64_MAX stands for 2^64 */
    MemoryRegion *alias;
    hwaddr alias_offset;
    unsigned mapped_via_alias;
    char *name;
    QTAILQ_HEAD(, MemoryRegion) subregions; /* highest priority first */
    QTAILQ_ENTRY(MemoryRegion) subregions_link;
};

/** A contiguous part of a region as seen at an address of an address space. */
struct MemoryRegionSection {
    uint64_t size;                      /* bytes; UINT64_MAX also stands for 2^64 */
    MemoryRegion *mr;
    FlatView *fv;
    hwaddr offset_within_region;
    hwaddr offset_within_address_space;
    bool readonly;
};

struct AddressSpace {
    char *name;
    MemoryRegion *root;
    FlatView *current_map;              /* read with address_space_get_flatview() */
    GList *listeners;                   /* of MemoryListener, lowest priority first */
};

#define MEMORY_LISTENER_PRIORITY_MIN         0
#define MEMORY_LISTENER_PRIORITY_ACCEL       10
#define MEMORY_LISTENER_PRIORITY_DEV_BACKEND 10

/**
 * A party that follows an address space's layout and serves its dirty log. All callbacks are
 * optional.
 * Between begin and commit: region_del for each range that went, region_nop for each that stayed,
 * region_add for each that came. Called with the BQL held, except log_sync, log_sync_global and
 * log_clear, which the migration thread may call without it: they lock for themselves.
 */
struct MemoryListener {
    void (*begin)(MemoryListener *listener);
    void (*commit)(MemoryListener *listener);
    void (*region_add)(MemoryListener *listener, MemoryRegionSection *section);
    void (*region_del)(MemoryListener *listener, MemoryRegionSection *section);
    void (*region_nop)(MemoryListener *listener, MemoryRegionSection *section);
    /** The clients who want the section's writes logged changed from old to new (mask bits). */
    void (*log_start)(MemoryListener *listener, MemoryRegionSection *section, int old, int new_);
    void (*log_stop)(MemoryListener *listener, MemoryRegionSection *section, int old, int new_);
    /** Publish the section's dirty pages with ram_block_or_dirty(). */
    void (*log_sync)(MemoryListener *listener, MemoryRegionSection *section);
    /** Publish everything's dirty pages; used instead of log_sync where both are given. */
    void (*log_sync_global)(MemoryListener *listener, bool last_stage);
    /** From now on writes to the section, already published before, have to be noticed again. */
    void (*log_clear)(MemoryListener *listener, MemoryRegionSection *section);
    bool (*log_global_start)(MemoryListener *listener, Error **errp);
    void (*log_global_stop)(MemoryListener *listener);
    void (*log_global_after_sync)(MemoryListener *listener);

    unsigned priority;                  /* lower ones hear of additions first, of removals last */
    const char *name;

    AddressSpace *address_space;        /* set by memory_listener_register */
};

/* -- Making regions -------------------------------------------------------------------------- */

/**
 * Make a container. @owner, if not NULL, becomes the region's QOM parent (property "NAME[n]") and
 * is kept alive while the region can be reached. @size in bytes, UINT64_MAX for all 2^64.
 */
void memory_region_init(MemoryRegion *mr, Object *owner, const char *name, uint64_t size);

/** Make a region whose accesses call @ops with @opaque. @ops must outlive the region. */
void memory_region_init_io(MemoryRegion *mr, Object *owner, const MemoryRegionOps *ops,
                           void *opaque, const char *name, uint64_t size);

/** Make RAM, freshly allocated and zero, that migrates: its block's id string is @name. */
bool memory_region_init_ram(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                            Error **errp);
/** The same, but it does not migrate until vmstate_register_ram() is called for it. */
bool memory_region_init_ram_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, Error **errp);
/** The same with RAM_* flags of ramblock.h (RAM_SHARED, RAM_NORESERVE). */
bool memory_region_init_ram_flags_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                            uint64_t size, uint32_t ram_flags, Error **errp);
/**
 * RAM in the caller's memory at @ptr, @size bytes, page aligned, which has to outlive the region.
 */
void memory_region_init_ram_ptr(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                                void *ptr);
/** RAM mapped from the descriptor @fd (which the block then owns) from @offset. */
bool memory_region_init_ram_from_fd(MemoryRegion *mr, Object *owner, const char *name,
                                    uint64_t size, uint32_t ram_flags, int fd, ram_addr_t offset,
                                    Error **errp);
/** RAM mapped from the file at @path, created if need be, from @offset. @align 0: page size. */
bool memory_region_init_ram_from_file(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, uint64_t align, uint32_t ram_flags,
                                      const char *path, ram_addr_t offset, Error **errp);
/**
 * RAM that the guest only reads; the host fills it through address_space_write_rom() or its
 * pointer.
 */
bool memory_region_init_rom(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                            Error **errp);
bool memory_region_init_rom_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, Error **errp);
/**
 * RAM of @size bytes that qemu_ram_resize() (a stream's list of blocks, too) may make up to @max
 * bytes long; the region's size follows. @resized, if not NULL, then hears of it.
 */
bool memory_region_init_resizeable_ram(MemoryRegion *mr, Object *owner, const char *name,
                                       uint64_t size, uint64_t max,
                                       void (*resized)(const char *, uint64_t, void *),
                                       Error **errp);
/** A window of @size bytes onto @orig from @offset; @orig may be any region and must outlive it. */
void memory_region_init_alias(MemoryRegion *mr, Object *owner, const char *name, MemoryRegion *orig,
                              hwaddr offset, uint64_t size);

/* -- Asking about regions -------------------------------------------------------------------- */

Object *memory_region_owner(MemoryRegion *mr);
uint64_t memory_region_size(MemoryRegion *mr);
const char *memory_region_name(const MemoryRegion *mr);
bool memory_region_is_mapped(MemoryRegion *mr);
static inline bool memory_region_is_ram(MemoryRegion *mr)
{
    return mr->ram;
}
static inline bool memory_region_is_rom(MemoryRegion *mr)
{
    return mr->ram && mr->readonly;
}
/** The host's pointer to the region's first byte; RAM, or alias of RAM, only. */
void *memory_region_get_ram_ptr(MemoryRegion *mr);
/** The region's place in the ram_addr_t space; RAM only. RAM_ADDR_INVALID if it is none. */
ram_addr_t memory_region_get_ram_addr(MemoryRegion *mr);
/** The descriptor behind the region's memory, or -1. */
int memory_region_get_fd(MemoryRegion *mr);
/** The region that holds the host address @ptr, and the offset in it; NULL if none. */
MemoryRegion *memory_region_from_host(void *ptr, ram_addr_t *offset);
void memory_region_ref(MemoryRegion *mr);
void memory_region_unref(MemoryRegion *mr);

/**
 * What is at @addr in the tree of @mr (which must be, or be within, an address space's root), cut
 * to
 * @size bytes. The result's mr is NULL where nothing is; otherwise it holds a reference, to be
 * dropped with memory_region_unref(). @addr counts from the start of @mr.
 */
MemoryRegionSection memory_region_find(MemoryRegion *mr, hwaddr addr, uint64_t size);

/* -- Changing trees (BQL) -------------------------------------------------------------------- */

/** Put off rendering until the matching commit; nests. */
void memory_region_transaction_begin(void);
void memory_region_transaction_commit(void);

/**
 * Put @subregion at @offset of @mr; overlaps with others of the same priority are the caller's
 * error.
 */
void memory_region_add_subregion(MemoryRegion *mr, hwaddr offset, MemoryRegion *subregion);
/** The same where an overlap is meant: the higher @priority shows. */
void memory_region_add_subregion_overlap(MemoryRegion *mr, hwaddr offset, MemoryRegion *subregion,
                                         int priority);
void memory_region_del_subregion(MemoryRegion *mr, MemoryRegion *subregion);
void memory_region_set_enabled(MemoryRegion *mr, bool enabled);
void memory_region_set_address(MemoryRegion *mr, hwaddr addr);
void memory_region_set_size(MemoryRegion *mr, uint64_t size);
void memory_region_set_alias_offset(MemoryRegion *mr, hwaddr offset);
void memory_region_set_readonly(MemoryRegion *mr, bool readonly);
/** Callbacks of this region are called without taking the BQL: it locks for itself. */
void memory_region_clear_global_locking(MemoryRegion *mr);

/* -- Dirty log ------------------------------------------------------------------------------- */

/** Who wants the log; any number at once. */
#define GLOBAL_DIRTY_MIGRATION  (1U << 0)
#define GLOBAL_DIRTY_DIRTY_RATE (1U << 1)
#define GLOBAL_DIRTY_LIMIT      (1U << 2)
#define GLOBAL_DIRTY_MASK       (0x7U)

/** The GLOBAL_DIRTY_* that are on. Written under the BQL, read anywhere (atomically). */
extern unsigned int global_dirty_tracking;

/**
 * Start logging for the clients in @flags. With the first client the listeners are told
 * (log_global_start); if one can't, those told before are told to stop and an error is set. BQL.
 */
bool memory_global_dirty_log_start(unsigned int flags, Error **errp);
/** The counterpart; the last client's stop reaches the listeners. BQL. */
void memory_global_dirty_log_stop(unsigned int flags);
/**
 * Gather what was written since the last sync into the blocks' dirty bitmaps. @last_stage: the
 * vCPUs are stopped and no further sync follows. Takes no lock but the listeners' own; callers
 * hold the BQL or otherwise keep the layout still.
 */
void memory_global_dirty_log_sync(bool last_stage);
void memory_global_after_dirty_log_sync(void);
/**
 * Re-arm the log for @len bytes at @start of @mr's RAM, before their content is read. Until then
 * pages that a sync reported may be reported again without having been written.
 */
void memory_region_clear_dirty_bitmap(MemoryRegion *mr, hwaddr start, hwaddr len);
/** Mark @size bytes at @addr of @mr (RAM) written, as a device that writes by pointer has to. */
void memory_region_set_dirty(MemoryRegion *mr, hwaddr addr, hwaddr size);
/** Turn per-region logging on or off for the client whose bit is @client (0 to 7). BQL. */
void memory_region_set_log(MemoryRegion *mr, bool log, unsigned client);

/* -- Listeners and address spaces (BQL) ------------------------------------------------------ */

/**
 * Start following @as; the present layout is told by region_add at once (and logging, if it is
 * on).
 */
void memory_listener_register(MemoryListener *listener, AddressSpace *as);
/** Stop following; region_del is told for all of the layout. */
void memory_listener_unregister(MemoryListener *listener);

void address_space_init(AddressSpace *as, MemoryRegion *root, const char *name);
void address_space_destroy(AddressSpace *as);

/**
 * Text of `info mtree` to @out: trees (with regions that are disabled, if @disabled), or flat views
 * with @flatview; with who owns each region if @owner.
 */
void mtree_info(GString *out, bool flatview, bool owner, bool disabled);

/* -- Flat views ------------------------------------------------------------------------------ */

/** Take a reference to the present layout; any thread. */
FlatView *address_space_get_flatview(AddressSpace *as);
void flatview_ref(FlatView *view);
void flatview_unref(FlatView *view);
/** Call @cb for every range, in order, until it returns true; returns whether it did. */
typedef bool (*flatview_cb)(const MemoryRegionSection *section, void *opaque);
bool flatview_for_each_section(FlatView *view, flatview_cb cb, void *opaque);

/* -- Access ---------------------------------------------------------------------------------- */

/**
 * Read or write @len bytes at @addr. RAM is copied, devices are called with as large accesses as
 * they allow. Writes to ROM are dropped. Host-side writes mark pages dirty.
 * Result: MEMTX_OK, or what went wrong in any part; the rest is done nevertheless.
 * What nobody answers reads as zero in memory and as ones in the port space.
 */
MemTxResult address_space_rw(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, void *buf, hwaddr len,
                             bool is_write);
MemTxResult address_space_read(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, void *buf,
                               hwaddr len);
MemTxResult address_space_write(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, const void *buf,
                                hwaddr len);
/** Like address_space_write, but fills ROM too, and leaves devices alone. For loaders. */
MemTxResult address_space_write_rom(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                                    const void *buf, hwaddr len);
/** Write the byte @c @len times. */
MemTxResult address_space_set(AddressSpace *as, hwaddr addr, uint8_t c, hwaddr len,
                              MemTxAttrs attrs);
/** Would an access of @len bytes reach something that accepts it? */
bool address_space_access_valid(AddressSpace *as, hwaddr addr, hwaddr len, bool is_write,
                                MemTxAttrs attrs);

/**
 * Pointer to RAM at @addr for direct access; *@plen is cut to what is contiguous. NULL where there
 * is no RAM (devices and ROM writes: use the calls above). address_space_unmap marks what was
 * written (@access_len bytes) dirty and drops the reference.
 */
void *address_space_map(AddressSpace *as, hwaddr addr, hwaddr *plen, bool is_write,
                        MemTxAttrs attrs);
void address_space_unmap(AddressSpace *as, void *buffer, hwaddr len, bool is_write,
                         hwaddr access_len);

/**
 * What @addr leads to: the region, *@xlat the offset in it, *@plen cut to what is contiguous.
 * NULL where nothing is. Call with the BQL held; the region stays valid while it is.
 */
MemoryRegion *address_space_translate(AddressSpace *as, hwaddr addr, hwaddr *xlat, hwaddr *plen,
                                      bool is_write, MemTxAttrs attrs);

/** One register access to a region itself, as if through an address space. @op_size 1, 2, 4, 8. */
MemTxResult memory_region_dispatch_read(MemoryRegion *mr, hwaddr addr, uint64_t *pval,
                                        unsigned op_size, MemTxAttrs attrs);
MemTxResult memory_region_dispatch_write(MemoryRegion *mr, hwaddr addr, uint64_t data,
                                         unsigned op_size, MemTxAttrs attrs);

/* Loads and stores of one value: _le and _be say the order in guest memory, the plain one is the
 * guest's (little). @result may be NULL. */
#define GODWIT_DECLARE_LDST(bits, suf, type)                                                       \
    type address_space_ld##suf##_le(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,               \
                                    MemTxResult *result);                                          \
    type address_space_ld##suf##_be(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,               \
                                    MemTxResult *result);                                          \
    void address_space_st##suf##_le(AddressSpace *as, hwaddr addr, type val, MemTxAttrs attrs,     \
                                    MemTxResult *result);                                          \
    void address_space_st##suf##_be(AddressSpace *as, hwaddr addr, type val, MemTxAttrs attrs,     \
                                    MemTxResult *result);
/* ld and st names differ for 16 bits: lduw and stw. */
uint8_t address_space_ldub(AddressSpace *as, hwaddr addr, MemTxAttrs attrs, MemTxResult *result);
void address_space_stb(AddressSpace *as, hwaddr addr, uint8_t val, MemTxAttrs attrs,
                       MemTxResult *result);
uint16_t address_space_lduw_le(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                               MemTxResult *result);
uint16_t address_space_lduw_be(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                               MemTxResult *result);
void address_space_stw_le(AddressSpace *as, hwaddr addr, uint16_t val, MemTxAttrs attrs,
                          MemTxResult *result);
void address_space_stw_be(AddressSpace *as, hwaddr addr, uint16_t val, MemTxAttrs attrs,
                          MemTxResult *result);
GODWIT_DECLARE_LDST(32, l, uint32_t)
GODWIT_DECLARE_LDST(64, q, uint64_t)
#undef GODWIT_DECLARE_LDST
#define address_space_lduw address_space_lduw_le
#define address_space_ldl  address_space_ldl_le
#define address_space_ldq  address_space_ldq_le
#define address_space_stw  address_space_stw_le
#define address_space_stl  address_space_stl_le
#define address_space_stq  address_space_stq_le

/** A range looked up once and used often (rings in RAM). Holds a reference until destroyed. */
struct MemoryRegionCache {
    FlatView *fv;
    AddressSpace *as;
    uint8_t *ptr;       /* NULL: not (all) RAM, go the slow way */
    RAMBlock *block;
    ram_addr_t block_offset;
    hwaddr addr;
    hwaddr len;
    bool is_write;
};
/** Returns the bytes cached (may be fewer than @len at a region's end), or -EINVAL. */
int64_t address_space_cache_init(MemoryRegionCache *cache, AddressSpace *as, hwaddr addr,
                                 hwaddr len, bool is_write);
void address_space_cache_destroy(MemoryRegionCache *cache);
MemTxResult address_space_read_cached(MemoryRegionCache *cache, hwaddr addr, void *buf, hwaddr len);
MemTxResult address_space_write_cached(MemoryRegionCache *cache, hwaddr addr, const void *buf,
                                       hwaddr len);

/* The system's memory, with no attributes and no result: what most callers want. */
void cpu_physical_memory_rw(hwaddr addr, void *buf, hwaddr len, bool is_write);
static inline void cpu_physical_memory_read(hwaddr addr, void *buf, hwaddr len)
{
    cpu_physical_memory_rw(addr, buf, len, false);
}
static inline void cpu_physical_memory_write(hwaddr addr, const void *buf, hwaddr len)
{
    cpu_physical_memory_rw(addr, (void *)buf, len, true);
}
void *cpu_physical_memory_map(hwaddr addr, hwaddr *plen, bool is_write);
void cpu_physical_memory_unmap(void *buffer, hwaddr len, bool is_write, hwaddr access_len);

#endif
