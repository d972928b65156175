/*
 * RAM blocks: allocation, names, sizes, and the dirty pages of each.  See system/ramblock.h.
 * What the kernel knows about untouched memory is in system/ram-populated.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "system/memory.h"
#include "system/ramblock.h"
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/vfs.h>

RAMList ram_list = {.blocks = QLIST_HEAD_INITIALIZER(ram_list.blocks)};

/* A transparent huge page: mappings start on such a boundary so that the kernel can use them. */
#define THP_SIZE (2 * MiB)

/* Block sizes that a signed 64-bit length, plus alignment, cannot hold are nonsense. */
#define RAM_BLOCK_MAX_SIZE (1ull << 56)

static ram_addr_t find_ram_offset(ram_addr_t size)
{
    ram_addr_t end = 0;
    RAMBlock *rb;

    /* The address space is 64 bits wide: a gap left by a freed block need not be used again. */
    RAMBLOCK_FOREACH(rb) {
        end = MAX(end, ROUND_UP(rb->offset + rb->max_length, THP_SIZE));
    }
    return end;
}

/*
 * Reserve address space with room to align, map @size bytes at an aligned address in it, and give
 * back what is left over.
 */
static void *map_ram(size_t size, size_t align, uint32_t ram_flags, int fd, uint64_t offset,
                     Error **errp)
{
    size_t total = size + align;
    int flags = fd < 0 ? MAP_ANONYMOUS : 0;
    int prot = PROT_READ | (ram_flags & RAM_READONLY ? 0 : PROT_WRITE);
    uint8_t *area, *host;

    flags |= ram_flags & RAM_SHARED ? MAP_SHARED : MAP_PRIVATE;
    flags |= ram_flags & RAM_NORESERVE ? MAP_NORESERVE : 0;

    area = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot set up guest memory of %zu bytes", size);
        return NULL;
    }
    host = QEMU_ALIGN_PTR_UP(area, align);
    if (mmap(host, size, prot, flags | MAP_FIXED, fd, offset) == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot set up guest memory of %zu bytes", size);
        munmap(area, total);
        return NULL;
    }
    if (host > area) {
        munmap(area, host - area);
    }
    if (area + total > host + size) {
        munmap(host + size, area + total - (host + size));
    }
    madvise(host, size, MADV_DONTFORK);
    madvise(host, size, MADV_HUGEPAGE); /* a hint: kernels without THP refuse it */
    return host;
}

/*
 * Threads without the BQL go along the list while a migration runs (qemu_ram_list_hold). Whatever
 * they stand on leads on to the rest of the list, and is not given back before they are done.
 */
static unsigned list_holders;   /* BQL */
static GSList *removed_blocks;  /* of RAMBlock *; BQL */

static void link_block(RAMBlock *rb, RAMBlock *after)
{
    RAMBlock **slot = after ? &after->next.le_next : &ram_list.blocks.lh_first;

    rb->next.le_next = *slot;
    rb->next.le_prev = slot;
    if (*slot) {
        (*slot)->next.le_prev = &rb->next.le_next;
    }
    qatomic_mb_set(slot, rb); /* whole, for whoever finds it */
}

static void unlink_block(RAMBlock *rb)
{
    RAMBlock *following = rb->next.le_next;

    if (following) {
        following->next.le_prev = rb->next.le_prev;
    }
    qatomic_set(rb->next.le_prev, following);
}

static void ram_block_delete(void *opaque)
{
    RAMBlock *rb = opaque;

    g_free(rb->dirty);
    g_free(rb->written);
    g_free(rb->bmap);
    g_free(rb->clear_bmap);
    g_free(rb->unsentmap);
    g_free(rb->touchedmap);
    g_free(rb->receivedmap);
    g_free(rb->roommap);
    g_free(rb);
}

void qemu_ram_list_hold(void)
{
    list_holders++;
}

void qemu_ram_list_release(void)
{
    assert(list_holders);
    if (--list_holders == 0) {
        g_slist_free_full(g_steal_pointer(&removed_blocks), ram_block_delete);
    }
}

static void ram_block_add(RAMBlock *rb)
{
    RAMBlock *other, *last = NULL;

    rb->offset = find_ram_offset(rb->max_length);
    rb->dirty = bitmap_new(rb->max_length >> TARGET_PAGE_BITS);

    /* Largest first: lookups by address nearly always want the main memory. */
    RAMBLOCK_FOREACH(other) {
        if (other->max_length < rb->max_length) {
            break;
        }
        last = other;
    }
    link_block(rb, last);
    ram_list.version++;
}

static RAMBlock *ram_block_new(ram_addr_t size, ram_addr_t max_size, uint32_t ram_flags,
                               struct MemoryRegion *mr, Error **errp)
{
    size_t page = qemu_real_host_page_size();
    RAMBlock *rb;

    if (size > RAM_BLOCK_MAX_SIZE || max_size > RAM_BLOCK_MAX_SIZE) {
        error_setg(errp, "RAM of %" PRIu64 " bytes is more than any host can map",
                   MAX(size, max_size));
        return NULL;
    }
    if (size == 0) {
        error_setg(errp, "RAM of 0 bytes cannot be mapped");
        return NULL;
    }
    rb = g_new0(RAMBlock, 1);
    rb->mr = mr;
    rb->flags = ram_flags;
    rb->fd = -1;
    rb->page_size = rb->resize_unit = page;
    rb->used_length = ROUND_UP(size, page);
    rb->max_length = MAX(ROUND_UP(max_size, page), rb->used_length);
    return rb;
}

RAMBlock *qemu_ram_alloc_resizeable(ram_addr_t size, ram_addr_t max_size,
                                    void (*resized)(const char *, uint64_t, void *),
                                    struct MemoryRegion *mr, Error **errp)
{
    RAMBlock *rb = ram_block_new(size, max_size, RAM_RESIZEABLE, mr, errp);

    if (!rb) {
        return NULL;
    }
    rb->resized = resized;
    rb->host = map_ram(rb->max_length, THP_SIZE, rb->flags, -1, 0, errp);
    if (!rb->host) {
        g_free(rb);
        return NULL;
    }
    ram_block_add(rb);
    return rb;
}

RAMBlock *qemu_ram_alloc(ram_addr_t size, uint32_t ram_flags, struct MemoryRegion *mr,
                         Error **errp)
{
    RAMBlock *rb = ram_block_new(size, size, ram_flags, mr, errp);

    if (!rb) {
        return NULL;
    }
    if (ram_flags & RAM_SHARED) {
        /* Shared anonymous memory comes with a descriptor, so that its holes can be asked for. */
        rb->fd = memfd_create("ram", MFD_CLOEXEC);
        if (rb->fd >= 0 && ftruncate(rb->fd, rb->max_length) < 0) {
            close(rb->fd);
            rb->fd = -1;
        }
    }
    rb->host = map_ram(rb->max_length, THP_SIZE, rb->flags, rb->fd, 0, errp);
    if (!rb->host) {
        if (rb->fd >= 0) {
            close(rb->fd);
        }
        g_free(rb);
        return NULL;
    }
    ram_block_add(rb);
    return rb;
}

RAMBlock *qemu_ram_alloc_from_ptr(ram_addr_t size, void *host, struct MemoryRegion *mr,
                                  Error **errp)
{
    RAMBlock *rb = ram_block_new(size, size, RAM_PREALLOC, mr, errp);

    if (rb) {
        rb->host = host;
        ram_block_add(rb);
    }
    return rb;
}

/* The page size of a file's mapping: hugetlbfs has its own, all else the host's. */
static size_t fd_page_size(int fd)
{
    struct statfs fs;

    if (RETRY_ON_EINTR(fstatfs(fd, &fs)) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return fs.f_bsize;
    }
    return qemu_real_host_page_size();
}

RAMBlock *qemu_ram_alloc_from_fd(ram_addr_t size, struct MemoryRegion *mr, uint32_t ram_flags,
                                 int fd, uint64_t offset, Error **errp)
{
    size_t page = fd_page_size(fd);
    RAMBlock *rb;
    struct stat st;

    if (size == 0 || size > RAM_BLOCK_MAX_SIZE) {
        error_setg(errp, "memory size %" PRIu64 " is out of range", size);
        return NULL;
    }
    if (!QEMU_IS_ALIGNED(offset, page)) {
        error_setg(errp, "file offset 0x%" PRIx64 " is not a multiple of the page size 0x%zx",
                   offset, page);
        return NULL;
    }
    size = ROUND_UP(size, page);
    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "cannot stat the file of guest memory");
        return NULL;
    }
    if (S_ISREG(st.st_mode)) {
        if (st.st_size > 0 && (uint64_t)st.st_size < offset + size) {
            error_setg(errp,
                       "backing store size 0x%" PRIx64 " is too small for 'size' option 0x%" PRIx64
                       " plus 'offset' option 0x%" PRIx64,
                       (uint64_t)st.st_size, size, offset);
            return NULL;
        }
        if (st.st_size == 0 && !(ram_flags & RAM_READONLY_FD) &&
            ftruncate(fd, offset + size) < 0) {
            error_setg_errno(errp, errno, "cannot grow the file of guest memory to %" PRIu64
                             " bytes", offset + size);
            return NULL;
        }
    }
    rb = ram_block_new(size, size, ram_flags, mr, errp);
    if (!rb) {
        return NULL;
    }
    rb->page_size = page;
    rb->fd_offset = offset;
    rb->host = map_ram(size, MAX(page, (size_t)THP_SIZE), ram_flags, fd, offset, errp);
    if (!rb->host) {
        g_free(rb);
        return NULL;
    }
    rb->fd = fd;
    ram_block_add(rb);
    return rb;
}

RAMBlock *qemu_ram_alloc_from_file(ram_addr_t size, struct MemoryRegion *mr, uint32_t ram_flags,
                                   const char *mem_path, uint64_t offset, Error **errp)
{
    bool readonly = ram_flags & RAM_READONLY_FD;
    bool created = false, temporary = false;
    g_autofree char *path = g_strdup(mem_path);
    struct stat st;
    RAMBlock *rb;
    int fd;

    if (stat(mem_path, &st) == 0 && S_ISDIR(st.st_mode)) {
        /* A directory (hugetlbfs, a tmpfs): a file of our own that nobody else sees. */
        g_free(path);
        path = g_build_filename(mem_path, "godwit_mem.XXXXXX", NULL);
        fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
        temporary = true;
    } else {
        fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && !readonly) {
            fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
            created = fd >= 0;
        }
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "can't open backing store %s for guest RAM", path);
        return NULL;
    }
    if (temporary) {
        unlink(path);
    }
    rb = qemu_ram_alloc_from_fd(size, mr, ram_flags | (temporary ? 0 : RAM_NAMED_FILE), fd, offset,
                                errp);
    if (!rb) {
        close(fd);
        if (created) {
            unlink(path);
        }
    }
    return rb;
}

void qemu_ram_free(RAMBlock *rb)
{
    if (!rb) {
        return;
    }
    unlink_block(rb);
    ram_list.version++;
    if (!(rb->flags & RAM_PREALLOC)) {
        munmap(rb->host, rb->max_length);
    }
    if (rb->fd >= 0) {
        close(rb->fd);
    }
    if (list_holders) {
        removed_blocks = g_slist_prepend(removed_blocks, rb);
    } else {
        ram_block_delete(rb);
    }
}

void qemu_ram_set_resize_unit(RAMBlock *rb, ram_addr_t unit)
{
    assert(unit && QEMU_IS_ALIGNED(unit, rb->page_size) &&
           QEMU_IS_ALIGNED(rb->used_length, unit));
    rb->resize_unit = unit;
}

int qemu_ram_resize(RAMBlock *rb, ram_addr_t newsize, Error **errp)
{
    ram_addr_t old = rb->used_length;

    if (newsize > rb->max_length) {
        error_setg(errp, "Size too large: %s: 0x%" PRIx64 " > 0x%" PRIx64, rb->idstr, newsize,
                   rb->max_length);
        return -EINVAL;
    }
    if (rb->resize_unit == rb->page_size) {
        newsize = ROUND_UP(newsize, rb->page_size);
    }
    if (newsize == old) {
        return 0;
    }
    if (!(rb->flags & RAM_RESIZEABLE)) {
        error_setg(errp, "Size mismatch: %s: 0x%" PRIx64 " != 0x%" PRIx64, rb->idstr, newsize, old);
        return -EINVAL;
    }
    if (!newsize || !QEMU_IS_ALIGNED(newsize, rb->resize_unit)) {
        error_setg(errp, "Size unusable: %s: expected a multiple of 0x%" PRIx64 " up to 0x%" PRIx64
                   ", found 0x%" PRIx64, rb->idstr, rb->resize_unit, rb->max_length, newsize);
        return -EINVAL;
    }
    if (rb->bmap || rb->receivedmap) {
        error_setg(errp, "Size of %s cannot change from 0x%" PRIx64 " to 0x%" PRIx64
                   " while it is being migrated", rb->idstr, old, newsize);
        return -EBUSY;
    }
    if (newsize > old) {
        ram_block_set_dirty(rb, old, newsize - old);
        rb->used_length = newsize;
    }
    /* One change for those who map it, and for what @resized does to other regions. */
    memory_region_transaction_begin();
    if (rb->mr) {
        memory_region_set_size(rb->mr, newsize);
    }
    rb->used_length = newsize;
    if (rb->resized) {
        rb->resized(rb->idstr, newsize, rb->host);
    }
    memory_region_transaction_commit();
    if (newsize < old) {
        /* What is cut off, and no longer mapped, reads as zero should the block grow again. */
        memset(rb->host + newsize, 0, old - newsize);
    }
    return 0;
}

void qemu_ram_set_idstr(RAMBlock *rb, const char *name, const char *devpath)
{
    RAMBlock *other;

    assert(!rb->idstr[0]);
    snprintf(rb->idstr, sizeof(rb->idstr), "%s%s%s", devpath ? devpath : "", devpath ? "/" : "",
             name);
    RAMBLOCK_FOREACH(other) {
        if (other != rb && g_str_equal(other->idstr, rb->idstr)) {
            error_report("RAM block \"%s\" is already registered", rb->idstr);
            abort();
        }
    }
}

void qemu_ram_unset_idstr(RAMBlock *rb)
{
    memset(rb->idstr, 0, sizeof(rb->idstr));
}

void qemu_ram_set_migratable(RAMBlock *rb)
{
    rb->flags |= RAM_MIGRATABLE;
}

void qemu_ram_unset_migratable(RAMBlock *rb)
{
    rb->flags &= ~RAM_MIGRATABLE;
}

RAMBlock *qemu_ram_block_by_name(const char *name)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        if (g_str_equal(rb->idstr, name)) {
            return rb;
        }
    }
    return NULL;
}

RAMBlock *qemu_ram_block_from_host(const void *ptr, ram_addr_t *offset)
{
    const uint8_t *p = ptr;
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        if (rb->host && p >= rb->host && p < rb->host + rb->max_length) {
            if (offset) {
                *offset = p - rb->host;
            }
            return rb;
        }
    }
    return NULL;
}

size_t qemu_ram_pagesize_largest(void)
{
    size_t largest = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        largest = MAX(largest, rb->page_size);
    }
    return largest;
}

uint64_t ram_bytes_total(void)
{
    uint64_t total = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        total += rb->used_length;
    }
    return total;
}

static bool noting_writes; /* atomic */

void ram_block_set_dirty(RAMBlock *rb, ram_addr_t start, ram_addr_t length)
{
    uint64_t first = start >> TARGET_PAGE_BITS;
    uint64_t last;

    if (length) {
        last = (start + length - 1) >> TARGET_PAGE_BITS;
        bitmap_set_atomic(rb->dirty, first, last - first + 1);
        if (qatomic_load_acquire(&noting_writes) && rb->written) {
            bitmap_set_atomic(rb->written, first, last - first + 1);
        }
    }
}

static void or_pages(unsigned long *map, uint64_t first_page, uint64_t npages,
                     const unsigned long *bitmap)
{
    unsigned shift = first_page % BITS_PER_LONG;
    unsigned long *dst = map + BIT_WORD(first_page);

    for (uint64_t done = 0, w = 0; done < npages; done += BITS_PER_LONG, w++) {
        unsigned long word = bitmap[w];

        if (!word) {
            continue;
        }
        if (npages - done < BITS_PER_LONG) {
            word &= ~0ul >> (BITS_PER_LONG - (npages - done));
        }
        qatomic_or(&dst[w], word << shift);
        if (shift && word >> (BITS_PER_LONG - shift)) {
            qatomic_or(&dst[w + 1], word >> (BITS_PER_LONG - shift));
        }
    }
}

void ram_block_or_dirty(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                        const unsigned long *bitmap)
{
    uint64_t pages = rb->max_length >> TARGET_PAGE_BITS;

    assert(first_page <= pages && npages <= pages - first_page);
    or_pages(rb->dirty, first_page, npages, bitmap);
    if (qatomic_load_acquire(&noting_writes) && rb->written) {
        or_pages(rb->written, first_page, npages, bitmap);
    }
}

void ram_written_begin(void)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH(rb) {
        if (rb->written) {
            bitmap_zero(rb->written, rb->max_length >> TARGET_PAGE_BITS);
        } else {
            rb->written = bitmap_new(rb->max_length >> TARGET_PAGE_BITS);
        }
    }
    qatomic_store_release(&noting_writes, true);
}

uint64_t ram_written_end(void)
{
    uint64_t pages = 0;
    RAMBlock *rb;

    qatomic_set(&noting_writes, false);
    RAMBLOCK_FOREACH(rb) {
        if (qemu_ram_is_migratable(rb) && rb->written) {
            pages += bitmap_count_one(rb->written, rb->used_length >> TARGET_PAGE_BITS);
        }
    }
    return pages; /* the bitmaps stay: somebody may be about to set a bit */
}

uint64_t ram_block_take_dirty(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                              unsigned long *dest)
{
    uint64_t end = first_page + npages, fresh = 0;
    uint64_t first_word = BIT_WORD(first_page), last_word = npages ? BIT_WORD(end - 1) : 0;

    for (uint64_t w = first_word; npages && w <= last_word; w++) {
        unsigned long mask = ~0ul, word;

        if (!qatomic_read(&rb->dirty[w])) {
            continue;
        }
        if (w == first_word) {
            mask &= ~0ul << (first_page % BITS_PER_LONG);
        }
        if (w == last_word && end % BITS_PER_LONG) {
            mask &= ~0ul >> (BITS_PER_LONG - end % BITS_PER_LONG);
        }
        word = mask == ~0ul ? qatomic_xchg(&rb->dirty[w], 0ul)
                            : qatomic_fetch_and(&rb->dirty[w], ~mask) & mask;
        fresh += ctpopl(word & ~dest[w]);
        dest[w] |= word;
    }
    return fresh;
}

int ram_block_discard_range(RAMBlock *rb, uint64_t start, size_t length, Error **errp)
{
    uint8_t *host = rb->host + start;

    if (start > rb->used_length || length > rb->used_length - start ||
        !QEMU_IS_ALIGNED(start, rb->page_size) || !QEMU_IS_ALIGNED(length, rb->page_size)) {
        error_setg(errp, "block %s: cannot discard 0x%zx bytes at 0x%" PRIx64
                   ": not whole pages inside the block", rb->idstr, length, start);
        return -EINVAL;
    }
    if (!length) {
        return 0;
    }
    /* Descriptor first: the mapping must not bring the old pages back. */
    if (rb->fd >= 0 && (rb->flags & RAM_SHARED) &&
        fallocate(rb->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, rb->fd_offset + start,
                  length) < 0) {
        error_setg_errno(errp, errno, "block %s: cannot punch a hole of 0x%zx bytes at 0x%" PRIx64,
                         rb->idstr, length, start);
        return -errno;
    }
    if (madvise(host, length, rb->flags & RAM_SHARED ? MADV_REMOVE : MADV_DONTNEED) < 0 &&
        !(rb->flags & RAM_SHARED)) {
        error_setg_errno(errp, errno, "block %s: cannot discard 0x%zx bytes at 0x%" PRIx64,
                         rb->idstr, length, start);
        return -errno;
    }
    return 0;
}
