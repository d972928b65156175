/*
 * RAM blocks: the guest's memory as the host sees it.
 *
 * A RAMBlock is one contiguous host mapping that backs a memory region.  Migration moves RAM
 * blocks by name; accelerators and devices report the pages they dirty per block.  Nothing here
 * knows guest-physical addresses: those are memory.h's.
 *
 * Sizes, offsets and lengths are in bytes unless a name says pages; a page is TARGET_PAGE_SIZE.
 * The list of blocks changes only under the BQL and never while a migration runs (plugging memory
 * is refused then), so that readers in migration threads need no lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_RAMBLOCK_H
#define SYSTEM_RAMBLOCK_H

#include "qemu/queue.h"
#include "qemu/bitmap.h"
#include "system/target_page.h"

typedef uint64_t ram_addr_t;
#define RAM_ADDR_INVALID (~(ram_addr_t)0)
#define RAM_ADDR_FMT "0x%" PRIx64

/* Flags of a block (and of the functions that make one). */
#define RAM_PREALLOC   (1u << 0) /* host memory belongs to the caller: never unmapped by us */
#define RAM_SHARED     (1u << 1) /* MAP_SHARED */
#define RAM_RESIZEABLE (1u << 2) /* used_length may change up to max_length */
#define RAM_MIGRATABLE (1u << 4) /* has a name in the stream */
#define RAM_PMEM       (1u << 5)
#define RAM_READONLY   (1u << 6) /* mapped without PROT_WRITE */
#define RAM_NORESERVE  (1u << 7)
#define RAM_READONLY_FD (1u << 11)
#define RAM_NAMED_FILE (1u << 12) /* of a file that other processes find by its name */

struct RAMBlock {
    /* Set when the block is made; constant afterwards unless said otherwise. */
    struct MemoryRegion *mr;   /* the region on top, or NULL */
    uint8_t *host;             /* max_length bytes of mapped memory */
    ram_addr_t offset;         /* where it lies in the RAM address space (dirty.h users) */
    ram_addr_t used_length;    /* changes by qemu_ram_resize only */
    ram_addr_t max_length;
    char idstr[256];           /* name in the stream; set by qemu_ram_set_idstr */
    uint32_t flags;
    size_t page_size;          /* host page size of the mapping (hugetlb: larger) */
    ram_addr_t resize_unit;    /* used_length stays a multiple of it; qemu_ram_set_resize_unit */
    int fd;                    /* backing descriptor, or -1; owned by the block */
    uint64_t fd_offset;        /* where the block begins in fd */
    void (*resized)(const char *idstr, uint64_t length, void *host);

    /*
     * Pages dirtied since they were last taken, one bit a page, set atomically by anybody
     * (ram_block_set_dirty, ram_block_or_dirty) and taken atomically by migration.  Allocated
     * when the block is made.
     */
    unsigned long *dirty;

    /* The same since ram_written_begin(), and nobody takes from it; NULL before the first time. */
    unsigned long *written;

    /*
     * Owned by migration while one runs (under its own lock, see migration/ram.c).
     * bmap: pages still to send.  clear_bmap: chunks whose dirty log must be cleared in the
     * accelerator before their pages are read.  unsentmap: pages that went to nobody since the guest
     * was handed over (postcopy, where it may be).  touchedmap: pages that hold something, or may
     * (incoming, until the guest runs).  receivedmap: pages that are the guest's already (incoming
     * postcopy, postcopy-ram.c).
     */
    unsigned long *bmap;
    unsigned long *clear_bmap;
    unsigned long *unsentmap;
    uint8_t clear_bmap_shift;
    unsigned long *touchedmap;
    unsigned long *receivedmap;
    unsigned long *roommap;    /* pages of a file that can be stored to (incoming, ram-room.c) */
    bool arrived;              /* atomic: records have come for it (incoming) */
    void *migration_opaque;    /* per-block data of the page encoder or placer */

    QLIST_ENTRY(RAMBlock) next;
};

typedef struct RAMList {
    QLIST_HEAD(, RAMBlock) blocks; /* largest first */
    uint32_t version;              /* goes up with every change of the list */
} RAMList;
extern RAMList ram_list;

#define RAMBLOCK_FOREACH(rb) QLIST_FOREACH(rb, &ram_list.blocks, next)

/*
 * Make a block.  All return NULL and set errp on failure; the caller holds the BQL.  Memory
 * is anonymous and zero (qemu_ram_alloc), the caller's (_from_ptr), or a descriptor's
 * (_from_fd: the block takes fd over on success).  Sizes are rounded up to host pages.
 */
RAMBlock *qemu_ram_alloc(ram_addr_t size, uint32_t ram_flags, struct MemoryRegion *mr,
                         Error **errp);
RAMBlock *qemu_ram_alloc_resizeable(ram_addr_t size, ram_addr_t max_size,
                                    void (*resized)(const char *, uint64_t, void *),
                                    struct MemoryRegion *mr, Error **errp);
RAMBlock *qemu_ram_alloc_from_ptr(ram_addr_t size, void *host, struct MemoryRegion *mr,
                                  Error **errp);
RAMBlock *qemu_ram_alloc_from_fd(ram_addr_t size, struct MemoryRegion *mr, uint32_t ram_flags,
                                 int fd, uint64_t offset, Error **errp);
RAMBlock *qemu_ram_alloc_from_file(ram_addr_t size, struct MemoryRegion *mr, uint32_t ram_flags,
                                   const char *mem_path, uint64_t offset, Error **errp);
void qemu_ram_free(RAMBlock *rb);

/*
 * Between these two other threads may go along the list without the BQL. Blocks may come and go
 * meanwhile, though not such as are migratable.  Both with the BQL; they nest.
 */
void qemu_ram_list_hold(void);
void qemu_ram_list_release(void);

/*
 * Change used_length of a RAM_RESIZEABLE block, up to max_length; new bytes are zero. The region on
 * top gets the new size before @resized hears of it. Refused while the block is being sent.
 */
int qemu_ram_resize(RAMBlock *rb, ram_addr_t newsize, Error **errp);
/* Only multiples of @unit (itself a multiple of the page size) are lengths of the block. */
void qemu_ram_set_resize_unit(RAMBlock *rb, ram_addr_t unit);

/* Name the block in the stream: "DEVPATH/NAME" or NAME.  Aborts on a duplicate name. */
void qemu_ram_set_idstr(RAMBlock *rb, const char *name, const char *devpath);
void qemu_ram_unset_idstr(RAMBlock *rb);
void qemu_ram_set_migratable(RAMBlock *rb);
void qemu_ram_unset_migratable(RAMBlock *rb);

static inline bool qemu_ram_is_migratable(const RAMBlock *rb)
{
    return rb->flags & RAM_MIGRATABLE;
}
static inline bool qemu_ram_is_shared(const RAMBlock *rb)
{
    return rb->flags & RAM_SHARED;
}
static inline bool qemu_ram_is_named_file(const RAMBlock *rb)
{
    return rb->flags & RAM_NAMED_FILE;
}
static inline void *qemu_ram_get_host_addr(const RAMBlock *rb)
{
    return rb->host;
}
static inline ram_addr_t qemu_ram_get_used_length(const RAMBlock *rb)
{
    return rb->used_length;
}
static inline uint64_t ram_block_pages(const RAMBlock *rb)
{
    return DIV_ROUND_UP(rb->used_length, TARGET_PAGE_SIZE);
}
/* True where @offset is inside the used part of the block. */
static inline bool offset_in_ramblock(const RAMBlock *rb, ram_addr_t offset)
{
    return rb && offset < rb->used_length;
}

RAMBlock *qemu_ram_block_by_name(const char *name);
/* The block whose host mapping holds @ptr, and the offset in it; NULL if none. */
RAMBlock *qemu_ram_block_from_host(const void *ptr, ram_addr_t *offset);
size_t qemu_ram_pagesize_largest(void);
uint64_t ram_bytes_total(void);

/* Dirty pages.  Any thread; atomic. */
void ram_block_set_dirty(RAMBlock *rb, ram_addr_t start, ram_addr_t length);
/*
 * OR @npages bits of @bitmap (bit 0 is page @first_page of the block) into the dirty bitmap.
 * Words that are zero cost nothing; word-aligned first pages are fastest.
 */
void ram_block_or_dirty(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                        const unsigned long *bitmap);
/*
 * Move the dirty bits of pages [first, first+npages) into @dest (bit i is page i of the block),
 * clearing them.  Returns how many bits were newly set in dest.
 */
uint64_t ram_block_take_dirty(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                              unsigned long *dest);
/*
 * From _begin to _end it is noted apart, for one who only wants to know how many, which pages are
 * dirtied.  _end returns how many of migratable blocks were, each counted once.  BQL.
 */
void ram_written_begin(void);
uint64_t ram_written_end(void);

/*
 * Which parts of the block the host has never given memory to: they read as zero.  Calls @fn
 * for runs of pages [first, first+npages) that are populated (or unknown), in ascending order,
 * over [first_page, first_page+npages).  Asks the kernel (PAGEMAP_SCAN, else pagemap, else
 * SEEK_DATA for a descriptor that nobody else has mapped); where it cannot tell, everything
 * is reported populated.  A page that is populated while the call runs may be missed: callers
 * ask only about pages that dirty tracking would report.
 */
typedef void RamPopulatedFunc(uint64_t first_page, uint64_t npages, void *opaque);
void ram_block_foreach_populated(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                                 RamPopulatedFunc *fn, void *opaque);

/* Give the host memory of a range back; it reads as zero afterwards. */
int ram_block_discard_range(RAMBlock *rb, uint64_t start, size_t length, Error **errp);

#endif
