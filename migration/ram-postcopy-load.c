/*
 * The reader of RAM records in postcopy: the guest runs, so a page is placed whole and at once, and
 * only where it is missing.
 *
 * Records that stand one behind the other in the read-ahead buffer and continue each other are
 * placed together; nothing is waited for to make a run longer, for somebody may be waiting for its
 * first page.  Host pages that are larger than the records' pages are put together aside until all
 * of their parts have come, by whichever channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "postcopy-ram.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "ram.h"
#include <sys/mman.h>

#define RECORD_HEADER 8
#define ZERO_RECORD (RECORD_HEADER + 1)
#define PAGE_RECORD (RECORD_HEADER + TARGET_PAGE_SIZE)
/* Pages that are placed by one call: what comes behind them waits so long. */
#define RUN_PAGES 32

static int refuse(QEMUFile *f, PostcopyReader *reader, const char *fmt, ...) GCC_FMT_ATTR(3, 4);
static int refuse(QEMUFile *f, PostcopyReader *reader, const char *fmt, ...)
{
    Error *err = NULL;
    va_list ap;

    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(&err, "%s: RAM record before offset 0x%" PRIx64 ": %s", reader->name,
               qemu_file_position(f), text);
    qemu_file_set_error_obj(f, -EINVAL, err);
    return -EINVAL;
}

void ram_postcopy_reader_init(PostcopyReader *reader, const char *name, RAMBlock *block)
{
    *reader = (PostcopyReader){.name = name, .block = block};
    reader->staging = g_malloc(RUN_PAGES * TARGET_PAGE_SIZE);
}

void ram_postcopy_reader_free(PostcopyReader *reader)
{
    g_clear_pointer(&reader->staging, g_free);
}

/* --- host pages in parts --- */

/*
 * A source finishes a host page before it begins the next one on the same channel; when an urgent
 * page comes between, two are under way. More of them are a source that wants our memory.
 */
#define PARTS_MAX 4

typedef struct HugePart {
    RAMBlock *rb;               /* NULL: free */
    uint64_t offset;            /* of the host page */
    uint64_t left;              /* pages that have not come */
    unsigned long *have;
    uint8_t *host;              /* rb->page_size bytes, kept for the next one of the size */
    size_t size;
    bool placing;
} HugePart;

static GMutex parts_lock;
static HugePart parts[PARTS_MAX];

static void part_free_memory(HugePart *part)
{
    if (part->size) {
        munmap(part->host, part->size);
        g_free(part->have);
    }
    *part = (HugePart){NULL};
}

void ram_postcopy_forget_parts(void)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&parts_lock);

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        part_free_memory(&parts[i]);
    }
}

static bool part_begin(HugePart *part, RAMBlock *rb, uint64_t offset)
{
    uint64_t pages = rb->page_size >> TARGET_PAGE_BITS;

    if (part->size != rb->page_size) {
        void *p = mmap(NULL, rb->page_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED) {
            return false;
        }
        part_free_memory(part);
        part->host = p;
        part->size = rb->page_size;
        part->have = bitmap_new(pages);
    }
    bitmap_zero(part->have, pages);
    part->rb = rb;
    part->offset = offset;
    part->left = pages;
    part->placing = false;
    return true;
}

/* The one of the host page, if need be a new one. parts_lock. */
static HugePart *find_part(RAMBlock *rb, uint64_t offset)
{
    HugePart *unused = NULL;

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        HugePart *part = &parts[i];

        if (part->rb == rb && part->offset == offset) {
            return part;
        }
        /* Best one that has memory of the size. */
        if (!part->rb && (!unused || unused->size != rb->page_size)) {
            unused = part;
        }
    }
    return unused && part_begin(unused, rb, offset) ? unused : NULL;
}

/* One page of a host page has come; @from NULL: it is zero. */
static int load_part(QEMUFile *f, PostcopyReader *reader, uint64_t offset, const void *from)
{
    RAMBlock *rb = reader->block;
    uint64_t start = QEMU_ALIGN_DOWN(offset, rb->page_size);
    uint64_t index = (offset - start) >> TARGET_PAGE_BITS;
    bool complete = false;
    HugePart *part;
    Error *err = NULL;
    int ret = 0;

    g_mutex_lock(&parts_lock);
    if (test_bit(offset >> TARGET_PAGE_BITS, rb->receivedmap)) {
        g_mutex_unlock(&parts_lock);
        return 0; /* placed before its part was forgotten */
    }
    part = find_part(rb, start);
    if (part && !part->placing) {
        uint8_t *to = part->host + (index << TARGET_PAGE_BITS);

        if (from) {
            memcpy(to, from, TARGET_PAGE_SIZE);
        } else {
            memset(to, 0, TARGET_PAGE_SIZE);
        }
        part->left -= !test_and_set_bit(index, part->have);
        complete = part->placing = !part->left;
    }
    g_mutex_unlock(&parts_lock);
    if (!part) {
        return refuse(f, reader, "block '%s', page 0x%" PRIx64 ": more than %d host pages are "
                      "under way, or there is no memory", rb->idstr, offset, PARTS_MAX);
    }
    if (!complete) {
        return 0;
    }
    if (!postcopy_ram_place(rb, start, part->host, rb->page_size, &err)) {
        qemu_file_set_error_obj(f, -EINVAL, err);
        ret = -EINVAL;
    }
    g_mutex_lock(&parts_lock);
    part->rb = NULL;
    g_mutex_unlock(&parts_lock);
    return ret;
}

/* --- records --- */

static int load_block(QEMUFile *f, PostcopyReader *reader, uint64_t offset, uint64_t flags)
{
    Error *err = NULL;
    char name[256];

    if (!(flags & RAM_SAVE_FLAG_CONTINUE)) {
        if (!qemu_get_counted_string(f, name)) {
            return qemu_file_get_error(f) ? -EIO : refuse(f, reader, "its block has no name");
        }
        reader->block = ram_stream_find_block(name, &err);
        if (!reader->block) {
            int ret = refuse(f, reader, "%s", error_get_pretty(err));

            error_free(err);
            return ret;
        }
    }
    if (!reader->block) {
        return refuse(f, reader, "it continues a block, but none was named yet");
    }
    if (!offset_in_ramblock(reader->block, offset)) {
        return refuse(f, reader, "offset 0x%" PRIx64 " is outside block '%s' of 0x%" PRIx64
                      " bytes", offset, reader->block->idstr, reader->block->used_length);
    }
    return 0;
}

/* Place pages [page, stop) of those that begin with page @first at @from (NULL: zeroes). */
static int place_span(QEMUFile *f, RAMBlock *rb, uint64_t first, const uint8_t *from,
                      uint64_t page, uint64_t stop)
{
    Error *err = NULL;

    if (!postcopy_ram_place(rb, page << TARGET_PAGE_BITS,
                            from ? from + ((page - first) << TARGET_PAGE_BITS) : NULL,
                            (stop - page) << TARGET_PAGE_BITS, &err)) {
        qemu_file_set_error_obj(f, -EINVAL, err);
        return -EINVAL;
    }
    return 0;
}

/* Place [offset, offset+n pages) but for what is there; what somebody waits for comes first. */
static int place(QEMUFile *f, RAMBlock *rb, uint64_t offset, const uint8_t *from, uint64_t n)
{
    uint64_t first = offset >> TARGET_PAGE_BITS, end = first + n, page;
    int ret = 0;

    for (page = n > 1 ? first : end;
         !ret && (page = postcopy_ram_next_wanted(rb, page, end)) < end; page++) {
        ret = place_span(f, rb, first, from, page, page + 1);
    }
    page = first;
    while (!ret && (page = find_next_zero_bit(rb->receivedmap, end, page)) < end) {
        uint64_t stop = find_next_bit(rb->receivedmap, end, page);

        ret = place_span(f, rb, first, from, page, stop);
        page = stop;
    }
    return ret;
}

/* A page's content is next. Takes the records with it that continue the run in the buffer. */
static int load_pages(QEMUFile *f, PostcopyReader *reader, uint64_t offset)
{
    RAMBlock *rb = reader->block;
    bool whole = rb->page_size == TARGET_PAGE_SIZE;
    const uint8_t *p;
    uint8_t *page;
    size_t have, n = 1;
    int ret;

    if (qemu_peek_buffer(f, &page, TARGET_PAGE_SIZE, 0) < TARGET_PAGE_SIZE) {
        return qemu_file_get_error(f);
    }
    have = qemu_file_buffered(f, &p);
    while (whole && n < RUN_PAGES && n * PAGE_RECORD + TARGET_PAGE_SIZE <= have &&
           offset_in_ramblock(rb, offset + n * TARGET_PAGE_SIZE) &&
           ldq_be_p(p + n * PAGE_RECORD - RECORD_HEADER) ==
               ((offset + n * TARGET_PAGE_SIZE) | RAM_SAVE_FLAG_PAGE | RAM_SAVE_FLAG_CONTINUE)) {
        n++;
    }
    if (n > 1) {
        for (size_t i = 0; i < n; i++) {
            memcpy(reader->staging + i * TARGET_PAGE_SIZE, p + i * PAGE_RECORD, TARGET_PAGE_SIZE);
        }
        ret = place(f, rb, offset, reader->staging, n);
    } else {
        ret = whole ? place(f, rb, offset, page, 1) : load_part(f, reader, offset, page);
    }
    qemu_file_skip(f, n * PAGE_RECORD - RECORD_HEADER);
    return ret;
}

static int load_zeroes(QEMUFile *f, PostcopyReader *reader, uint64_t offset)
{
    RAMBlock *rb = reader->block;
    bool whole = rb->page_size == TARGET_PAGE_SIZE;
    int fill = qemu_get_byte(f);
    const uint8_t *p;
    size_t have, n = 1;
    int ret;

    if (qemu_file_get_error(f)) {
        return qemu_file_get_error(f);
    }
    if (fill) {
        memset(reader->staging, fill, TARGET_PAGE_SIZE);
        return whole ? place(f, rb, offset, reader->staging, 1)
                     : load_part(f, reader, offset, reader->staging);
    }
    if (!whole) {
        return load_part(f, reader, offset, NULL);
    }
    have = qemu_file_buffered(f, &p);
    for (; n * ZERO_RECORD <= have; n++, p += ZERO_RECORD) {
        uint64_t next = offset + n * TARGET_PAGE_SIZE;

        if (ldq_be_p(p) != (next | RAM_SAVE_FLAG_ZERO | RAM_SAVE_FLAG_CONTINUE) ||
            p[RECORD_HEADER] || !offset_in_ramblock(rb, next)) {
            break;
        }
    }
    ret = place(f, rb, offset, NULL, n);
    qemu_file_skip(f, (n - 1) * ZERO_RECORD);
    return ret;
}

/* QEMU up to 9.0 goes on compressing. */
static int load_compressed(QEMUFile *f, PostcopyReader *reader, uint64_t offset)
{
    RAMBlock *rb = reader->block;
    Error *err = NULL;

    if (!ram_compress_load_page_to(f, reader->staging, &err)) {
        int ret = err ? refuse(f, reader, "block '%s', offset 0x%" PRIx64 ": %s", rb->idstr, offset,
                               error_get_pretty(err)) : qemu_file_get_error(f);

        error_free(err);
        return ret;
    }
    return rb->page_size == TARGET_PAGE_SIZE ? place(f, rb, offset, reader->staging, 1)
                                             : load_part(f, reader, offset, reader->staging);
}

int ram_postcopy_load_step(QEMUFile *f, PostcopyReader *reader)
{
    uint64_t header = qemu_get_be64(f);
    uint64_t offset = header & TARGET_PAGE_MASK, flags = header & ~TARGET_PAGE_MASK;
    int ret = qemu_file_get_error(f);

    if (ret) {
        return ret;
    }
    switch (flags & ~(uint64_t)RAM_SAVE_FLAG_CONTINUE) {
    case RAM_SAVE_FLAG_EOS:
        return 0;
    case RAM_SAVE_FLAG_PAGE:
    case RAM_SAVE_FLAG_ZERO:
    case RAM_SAVE_FLAG_COMPRESS_PAGE:
        ret = load_block(f, reader, offset, flags);
        if (!ret) {
            ret = flags & RAM_SAVE_FLAG_PAGE ? load_pages(f, reader, offset)
                  : flags & RAM_SAVE_FLAG_ZERO ? load_zeroes(f, reader, offset)
                                               : load_compressed(f, reader, offset);
        }
        return ret ? ret : 1;
    default:
        return refuse(f, reader, "flags 0x%" PRIx64 " at page offset 0x%" PRIx64 " have no place "
                      "in postcopy", flags, offset);
    }
}
