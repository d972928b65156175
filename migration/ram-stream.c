/*
 * Pages in the main stream: the encoder that writes runs of pages as records, and the reader that
 * puts them where they belong.
 *
 * Wire form: docs/stream-format.md, "RAM".  A record is be64 offset|flags, the block's name unless
 * CONTINUE is set, and a page (PAGE) or one byte 0 (ZERO).
 *
 * Untouched memory: at the source it is found by asking the kernel and becomes ZERO records without
 * being read; at the destination a ZERO record for memory that was never written needs no work,
 * not even a look, which would make the kernel map it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "migration.h"
#include "multifd.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "ram.h"
#include "ram-room.h"

TRACE_EVENT(ram_load_blocks);

/* Writer */

#define RECORD_HEADER 8
#define ZERO_RECORD (RECORD_HEADER + 1)

/* Per migration; the migration thread's. */
static RAMBlock *last_sent_block;

static int stream_setup(QEMUFile *f, Error **errp)
{
    last_sent_block = NULL;
    return 0;
}

/*
 * A record's header, with the block's name where the reader does not know the block yet.  Returns
 * the bytes put at @p (room for 8 + 1 + 255).
 */
static size_t put_header(uint8_t *p, RAMBlock *rb, uint64_t page, uint64_t flag)
{
    uint64_t offset = page << TARGET_PAGE_BITS;
    size_t len;

    if (rb == last_sent_block) {
        stq_be_p(p, offset | flag | RAM_SAVE_FLAG_CONTINUE);
        return RECORD_HEADER;
    }
    last_sent_block = rb;
    len = strlen(rb->idstr);
    stq_be_p(p, offset | flag);
    p[RECORD_HEADER] = len;
    memcpy(p + RECORD_HEADER + 1, rb->idstr, len);
    return RECORD_HEADER + 1 + len;
}

void ram_stream_save_zero_pages(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    uint64_t end = first + npages;

    stat64_add(&mig_stats.zero_pages, npages);
    if (rb != last_sent_block) {
        uint8_t *p = qemu_file_claim(f, RECORD_HEADER + 1 + 255 + 1);
        size_t n = put_header(p, rb, first++, RAM_SAVE_FLAG_ZERO);

        p[n] = 0;
        qemu_file_commit(f, n + 1);
    }
    while (first < end) {
        uint64_t n = MIN(end - first, QEMU_FILE_CLAIM_MAX / ZERO_RECORD);
        uint8_t *p = qemu_file_claim(f, n * ZERO_RECORD);
        uint64_t header = first << TARGET_PAGE_BITS | RAM_SAVE_FLAG_ZERO | RAM_SAVE_FLAG_CONTINUE;

        for (uint64_t i = 0; i < n; i++, p += ZERO_RECORD, header += TARGET_PAGE_SIZE) {
            stq_be_p(p, header);
            p[RECORD_HEADER] = 0;
        }
        qemu_file_commit(f, n * ZERO_RECORD);
        first += n;
    }
}

void ram_stream_put_header(QEMUFile *f, RAMBlock *rb, uint64_t page, uint64_t flag)
{
    uint8_t *p = qemu_file_claim(f, RECORD_HEADER + 1 + 255);

    qemu_file_commit(f, put_header(p, rb, page, flag));
}

void ram_stream_save_normal_page(QEMUFile *f, RAMBlock *rb, uint64_t page)
{
    ram_stream_put_header(f, rb, page, RAM_SAVE_FLAG_PAGE);
    qemu_put_buffer_async(f, rb->host + (page << TARGET_PAGE_BITS), TARGET_PAGE_SIZE, false);
}

/* Touched pages: each may be zero or not; zero ones are gathered. */
static void save_touched_pages(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages)
{
    uint64_t end = first + npages, zeroes = 0, normal = 0;

    for (uint64_t page = first; page < end; page++) {
        if (buffer_is_zero(rb->host + (page << TARGET_PAGE_BITS), TARGET_PAGE_SIZE)) {
            zeroes++;
            continue;
        }
        if (zeroes) {
            ram_stream_save_zero_pages(f, rb, page - zeroes, zeroes);
            zeroes = 0;
        }
        ram_stream_save_normal_page(f, rb, page);
        normal++;
    }
    if (zeroes) {
        ram_stream_save_zero_pages(f, rb, end - zeroes, zeroes);
    }
    stat64_add(&mig_stats.normal_pages, normal);
}

typedef struct SaveRun {
    QEMUFile *f;
    RAMBlock *rb;
    uint64_t next; /* first page not yet sent */
} SaveRun;

static void save_populated(uint64_t first, uint64_t npages, void *opaque)
{
    SaveRun *run = opaque;

    if (first > run->next) {
        ram_stream_save_zero_pages(run->f, run->rb, run->next, first - run->next);
    }
    save_touched_pages(run->f, run->rb, first, npages);
    run->next = first + npages;
}

static int stream_save_run(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                           bool maybe_untouched)
{
    if (maybe_untouched) {
        SaveRun run = {f, rb, first};

        ram_block_foreach_populated(rb, first, npages, save_populated, &run);
        if (run.next < first + npages) {
            ram_stream_save_zero_pages(f, rb, run.next, first + npages - run.next);
        }
    } else {
        save_touched_pages(f, rb, first, npages);
    }
    return qemu_file_get_error(f);
}

const RAMEncoder ram_stream_encoder = {
    .name = "stream",
    .setup = stream_setup,
    .save_run = stream_save_run,
};

/* Reader */

static struct {
    RAMBlock *block;    /* of the last record */
    bool blocks_loaded; /* the list has come */
    bool multifd_marks; /* multifd's channels are waited for at marks, not at every section's end */
} ls;

static int refuse(QEMUFile *f, const char *fmt, ...) GCC_FMT_ATTR(2, 3);
static int refuse(QEMUFile *f, const char *fmt, ...)
{
    Error *err = NULL;
    va_list ap;

    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(&err, "RAM record before offset 0x%" PRIx64 " of the stream: %s",
               qemu_file_position(f), text);
    qemu_file_set_error_obj(f, -EINVAL, err);
    return -EINVAL;
}

/* Takes @err. */
static int refuse_with(QEMUFile *f, Error *err)
{
    refuse(f, "%s", error_get_pretty(err));
    error_free(err);
    return -EINVAL;
}

static void mark_touched(uint64_t first, uint64_t npages, void *opaque)
{
    bitmap_set(((RAMBlock *)opaque)->touchedmap, first, npages);
}

/*
 * touchedmap says which pages hold something, or may: what the host has given out by now, what
 * this program writes while the stream loads (rb->dirty), and what has arrived.
 */
int ram_stream_load_setup(QEMUFile *f, Error **errp)
{
    RAMBlock *rb;

    ls.block = NULL;
    ls.blocks_loaded = ls.multifd_marks = false;
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        uint64_t pages = rb->max_length >> TARGET_PAGE_BITS;
        g_autofree unsigned long *old = bitmap_try_new(pages);

        qatomic_set(&rb->arrived, false);
        g_free(rb->touchedmap);
        rb->touchedmap = bitmap_try_new(pages);
        if (!rb->touchedmap || !old) {
            error_setg(errp, "no memory for the page bitmap of block '%s'", rb->idstr);
            return -ENOMEM;
        }
        if (!ram_room_setup(rb, errp)) {
            return -ENOMEM;
        }
        ram_block_take_dirty(rb, 0, pages, old);
        ram_block_foreach_populated(rb, 0, pages, mark_touched, rb);
    }
    return 0;
}

void ram_stream_load_cleanup(void)
{
    RAMBlock *rb;

    ram_compress_load_cleanup();
    RAMBLOCK_FOREACH(rb) {
        g_clear_pointer(&rb->touchedmap, g_free);
        ram_room_cleanup(rb);
    }
}

bool ram_stream_check_arrived(Error **errp)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        /* A source sends every page of a block at least once, or none. */
        if (migrate_ignore_shared() && rb->used_length && !qatomic_read(&rb->arrived)) {
            error_setg(errp, "RAM block '%s' was left out by the source (x-ignore-shared), but "
                       "here it is not shared with anybody: it needs a memory-backend-file with "
                       "share=on, of the same file", rb->idstr);
            return false;
        }
    }
    return true;
}

RAMBlock *ram_stream_find_block(const char *name, Error **errp)
{
    RAMBlock *rb = qemu_ram_block_by_name(name);

    if (!rb || !qemu_ram_is_migratable(rb)) {
        error_setg(errp, "block '%s' does not exist in this machine", name);
        return NULL;
    }
    if (migrate_ram_is_ignored(rb)) {
        error_setg(errp, "block '%s' is shared (x-ignore-shared): its pages must not be sent",
                   name);
        return NULL;
    }
    if (!qatomic_read(&rb->arrived)) {
        qatomic_set(&rb->arrived, true);
    }
    return rb;
}

bool ram_stream_blocks_loaded(void)
{
    return ls.blocks_loaded;
}

RAMBlock *ram_stream_last_block(void)
{
    return ls.block;
}

static bool is_untouched(RAMBlock *rb, uint64_t page)
{
    return !test_bit(page, rb->touchedmap) &&
           !(qatomic_read(&rb->dirty[BIT_WORD(page)]) & BIT_MASK(page));
}

static bool place_filled_page(RAMBlock *rb, uint64_t page, int fill, Error **errp)
{
    uint8_t *host = rb->host + (page << TARGET_PAGE_BITS);

    if (!fill) {
        if (is_untouched(rb, page)) {
            return true;
        }
        if (!ram_is_readable(rb, page, errp)) {
            return false;
        }
        if (buffer_is_zero(host, TARGET_PAGE_SIZE)) {
            return true;
        }
    }
    if (!ram_have_room(rb, page, 1, errp)) {
        return false;
    }
    memset(host, fill, TARGET_PAGE_SIZE);
    set_bit_atomic(page, rb->touchedmap);
    return true;
}

bool ram_place_zero_page(RAMBlock *rb, uint64_t page, Error **errp)
{
    return place_filled_page(rb, page, 0, errp);
}

/* Setup payload: reader; the writer is put_block_list() in ram.c. */
static int load_block_list(QEMUFile *f, uint64_t total)
{
    if (ls.blocks_loaded) {
        return refuse(f, "the list of blocks comes a second time");
    }
    ls.blocks_loaded = true;
    while (total) {
        Error *err = NULL;
        char name[256];
        uint64_t length, page_size = 0, address = 0;
        RAMBlock *rb;

        if (!qemu_get_counted_string(f, name)) {
            return qemu_file_get_error(f) ? -EIO : refuse(f, "a block has no name");
        }
        length = qemu_get_be64(f);
        rb = qemu_ram_block_by_name(name);
        if (!rb || !qemu_ram_is_migratable(rb)) {
            return qemu_file_get_error(f) ? -EIO
                   : refuse(f, "block '%s' (0x%" PRIx64 " bytes) does not exist in this machine",
                            name, length);
        }
        if (postcopy_incoming_advised() && rb->page_size != qemu_real_host_page_size()) {
            page_size = qemu_get_be64(f);
        }
        if (migrate_ignore_shared()) {
            address = qemu_get_be64(f);
        }
        if (qemu_file_get_error(f)) {
            return -EIO;
        }
        trace(ram_load_blocks, "'%s' 0x%" PRIx64, name, length);
        if (page_size && page_size != rb->page_size) {
            return refuse(f, "postcopy: block '%s' is made of pages of 0x%" PRIx64 " bytes in the "
                          "source, but of 0x%zx here", name, page_size, rb->page_size);
        }
        if (migrate_ignore_shared() && migrate_ram_is_ignored(rb) &&
            address != ram_block_address(rb)) {
            return refuse(f, "block '%s' is shared (x-ignore-shared) and lies at 0x%" PRIx64 " in "
                          "the source, but at 0x%" PRIx64 " here", name, address,
                          ram_block_address(rb));
        }
        if (length > total) {
            return refuse(f, "block '%s' has 0x%" PRIx64 " bytes, but only 0x%" PRIx64
                          " of the announced total are left", name, length, total);
        }
        if (length != rb->used_length) {
            int ret;

            WITH_BQL() {
                ret = qemu_ram_resize(rb, length, &err);
            }
            if (ret < 0) {
                error_prepend(&err, "RAM block '%s': the source has 0x%" PRIx64
                              " bytes, this machine 0x%" PRIx64 ": ", name, length,
                              rb->used_length);
                qemu_file_set_error_obj(f, -EINVAL, err);
                return -EINVAL;
            }
        }
        total -= length;
    }
    return 0;
}

/* The block a record is about.  NULL: the file's error says why. */
static RAMBlock *record_block(QEMUFile *f, uint64_t flags)
{
    Error *err = NULL;
    char name[256];

    /* The list may change the blocks' lengths, and some pages are placed by other threads. */
    if (!ls.blocks_loaded) {
        refuse(f, "a page comes before the list of blocks");
        return NULL;
    }
    if (flags & RAM_SAVE_FLAG_CONTINUE) {
        if (!ls.block) {
            refuse(f, "it continues a block, but none was named yet");
        }
        return ls.block;
    }
    if (!qemu_get_counted_string(f, name)) {
        if (!qemu_file_get_error(f)) {
            refuse(f, "its block has no name");
        }
        return NULL;
    }
    ls.block = ram_stream_find_block(name, &err);
    if (!ls.block) {
        refuse(f, "%s", error_get_pretty(err));
        error_free(err);
    }
    return ls.block;
}

/*
 * ZERO records that continue the block, as many as stand in the read-ahead buffer: the form in
 * which untouched memory comes, so it has a loop of its own.
 */
static bool load_zero_run(QEMUFile *f, Error **errp)
{
    const uint64_t want = RAM_SAVE_FLAG_ZERO | RAM_SAVE_FLAG_CONTINUE;
    RAMBlock *rb = ls.block;
    const uint8_t *p;
    size_t have = qemu_file_buffered(f, &p), used = 0;

    if (ram_compress_pending()) {
        return true; /* each page has to be looked at */
    }
    for (; have - used >= ZERO_RECORD; used += ZERO_RECORD) {
        uint64_t header = ldq_be_p(p + used);
        uint64_t offset = header & TARGET_PAGE_MASK;

        if ((header & ~TARGET_PAGE_MASK) != want || offset >= rb->used_length ||
            p[used + RECORD_HEADER]) {
            break;
        }
        if (!is_untouched(rb, offset >> TARGET_PAGE_BITS) &&
            !place_filled_page(rb, offset >> TARGET_PAGE_BITS, 0, errp)) {
            return false;
        }
    }
    qemu_file_skip(f, used);
    return true;
}

/*
 * First pages of shared memory: written through the descriptor.  The kernel then allocates and
 * fills each page in one go; through the mapping it would first be faulted in and zeroed.  Takes
 * the pages that follow in the buffer with the same system call, as long as they continue the run.
 */
#define FD_RUN_PAGES 64

static int load_run_through_fd(QEMUFile *f, RAMBlock *rb, uint64_t offset)
{
    const size_t record = RECORD_HEADER + TARGET_PAGE_SIZE;
    struct iovec iov[FD_RUN_PAGES];
    uint64_t first = offset >> TARGET_PAGE_BITS;
    const uint8_t *p;
    uint8_t *page;
    size_t have, n = 1;
    ssize_t written;

    if (qemu_peek_buffer(f, &page, TARGET_PAGE_SIZE, 0) < TARGET_PAGE_SIZE) {
        return qemu_file_get_error(f);
    }
    have = qemu_file_buffered(f, &p);
    iov[0] = (struct iovec){.iov_base = page, .iov_len = TARGET_PAGE_SIZE};
    for (; n < FD_RUN_PAGES && !ram_compress_pending() && TARGET_PAGE_SIZE + n * record <= have;
         n++) {
        const uint8_t *head = p + TARGET_PAGE_SIZE + (n - 1) * record;
        uint64_t next = offset + n * TARGET_PAGE_SIZE;

        if (ldq_be_p(head) != (next | RAM_SAVE_FLAG_PAGE | RAM_SAVE_FLAG_CONTINUE) ||
            !offset_in_ramblock(rb, next) || !is_untouched(rb, first + n)) {
            break;
        }
        iov[n] = (struct iovec){.iov_base = (void *)(head + RECORD_HEADER),
                                .iov_len = TARGET_PAGE_SIZE};
    }
    written = RETRY_ON_EINTR(pwritev(rb->fd, iov, n, rb->fd_offset + offset));
    if (written < (ssize_t)(n * TARGET_PAGE_SIZE)) {
        /* Storing through the mapping instead would end in SIGBUS. */
        return refuse(f, "block '%s': cannot write %zu pages at 0x%" PRIx64 " of its memory: %s",
                      rb->idstr, n, offset, written < 0 ? strerror(errno) : "no room");
    }
    bitmap_set_atomic(rb->touchedmap, first, n);
    ram_room_found(rb, first, n);
    qemu_file_skip(f, n * record - RECORD_HEADER);
    return 0;
}

static bool through_fd(const RAMBlock *rb)
{
    return rb->fd >= 0 && (rb->flags & RAM_SHARED) && rb->page_size == TARGET_PAGE_SIZE &&
           !(rb->flags & (RAM_READONLY | RAM_READONLY_FD));
}

/* Memory that nobody can write (rom=on): what comes must be what is there. */
static int compare_page(QEMUFile *f, RAMBlock *rb, uint64_t offset, uint64_t flags)
{
    uint8_t page[TARGET_PAGE_SIZE];

    if (flags & RAM_SAVE_FLAG_ZERO) {
        memset(page, qemu_get_byte(f), sizeof(page));
    } else {
        qemu_get_buffer(f, page, sizeof(page));
    }
    if (!qemu_file_get_error(f) && memcmp(page, rb->host + offset, sizeof(page))) {
        return refuse(f, "block '%s' is read-only here, and has other content at 0x%" PRIx64,
                      rb->idstr, offset);
    }
    return qemu_file_get_error(f);
}

/* No decompression is going on for the page. */
static bool settle(QEMUFile *f, RAMBlock *rb, uint64_t page)
{
    Error *err = NULL;

    if (!ram_compress_load_settle(rb, page, &err)) {
        refuse_with(f, err);
        return false;
    }
    return true;
}

static int load_page(QEMUFile *f, uint64_t offset, uint64_t flags)
{
    RAMBlock *rb = record_block(f, flags);
    uint64_t page = offset >> TARGET_PAGE_BITS;
    Error *err = NULL;

    if (!rb) {
        return -EINVAL;
    }
    if (!offset_in_ramblock(rb, offset)) {
        return refuse(f, "offset 0x%" PRIx64 " is outside block '%s' of 0x%" PRIx64 " bytes",
                      offset, rb->idstr, rb->used_length);
    }
    if (rb->flags & RAM_READONLY) {
        return compare_page(f, rb, offset, flags);
    }
    if (ram_compress_pending() && !settle(f, rb, page)) {
        return -EINVAL;
    }
    if (flags & RAM_SAVE_FLAG_ZERO) {
        int fill = qemu_get_byte(f);

        if (!qemu_file_get_error(f) && place_filled_page(rb, page, fill, &err)) {
            load_zero_run(f, &err);
        }
    } else if (through_fd(rb) && is_untouched(rb, page)) {
        return load_run_through_fd(f, rb, offset);
    } else if (ram_have_room(rb, page, 1, &err)) {
        set_bit_atomic(page, rb->touchedmap);
        qemu_get_buffer(f, rb->host + offset, TARGET_PAGE_SIZE);
    }
    return err ? refuse_with(f, err) : qemu_file_get_error(f);
}

/* XBZRLE or compressed: the page has to be made. */
static int load_made(QEMUFile *f, uint64_t offset, uint64_t flags)
{
    RAMBlock *rb = record_block(f, flags);
    uint64_t page = offset >> TARGET_PAGE_BITS;
    Error *err = NULL;

    if (!rb) {
        return -EINVAL;
    }
    if (!offset_in_ramblock(rb, offset) || rb->flags & RAM_READONLY) {
        return refuse(f, "a difference or compressed page at offset 0x%" PRIx64 " has no place in "
                      "block '%s' of 0x%" PRIx64 " bytes", offset, rb->idstr, rb->used_length);
    }
    if (!ram_have_room(rb, page, 1, &err)) {
        return refuse_with(f, err);
    }
    set_bit_atomic(page, rb->touchedmap);
    if (flags & RAM_SAVE_FLAG_XBZRLE ? !ram_compress_load_settle(rb, page, &err) ||
                                       !ram_xbzrle_load_page(f, rb->host + offset, &err)
                                     : !ram_compress_load_page(f, rb, page, &err)) {
        int ret = err ? refuse(f, "block '%s', offset 0x%" PRIx64 ": %s", rb->idstr, offset,
                               error_get_pretty(err)) : qemu_file_get_error(f);

        error_free(err);
        return ret;
    }
    return 0;
}

static bool flush_compressed(QEMUFile *f)
{
    Error *err = NULL;

    if (!ram_compress_load_flush(&err)) {
        refuse_with(f, err);
        return false;
    }
    return true;
}

/* Multifd: pages that channels carry are part of the stream before this point of it. */
static int wait_for_channels(QEMUFile *f)
{
    Error *err = NULL;

    if (!ls.blocks_loaded) {    /* channels place pages from here on */
        return refuse(f, "multifd's channels are waited for before the list of blocks has come");
    }
    if (!multifd_recv_sync_main(f, &err)) {
        qemu_file_set_error_obj(f, -EIO, err);
        return -EIO;
    }
    return 0;
}

int ram_stream_load(QEMUFile *f, int version_id)
{
    if (version_id != RAM_SAVE_VERSION) {
        return refuse(f, "version %d of the RAM section is not supported, only %d", version_id,
                      RAM_SAVE_VERSION);
    }
    for (;;) {
        uint64_t header = qemu_get_be64(f);
        uint64_t offset = header & TARGET_PAGE_MASK, flags = header & ~TARGET_PAGE_MASK;
        int ret = qemu_file_get_error(f);

        if (ret) {
            return ret;
        }
        switch (flags & ~(uint64_t)RAM_SAVE_FLAG_CONTINUE) {
        case RAM_SAVE_FLAG_EOS:
            /*
             * Sources before 8.0 have no marks. Whether this one has, the first section tells,
             * whatever multifd-flush-after-each-section says here.
             */
            if (ram_compress_pending() && !flush_compressed(f)) {
                return -EINVAL;
            }
            return migrate_multifd() && !ls.multifd_marks ? wait_for_channels(f) : 0;
        case RAM_SAVE_FLAG_MEM_SIZE:
            ret = load_block_list(f, offset);
            break;
        case RAM_SAVE_FLAG_ZERO:
        case RAM_SAVE_FLAG_PAGE:
            ret = load_page(f, offset, flags);
            break;
        case RAM_SAVE_FLAG_XBZRLE:
            ret = load_made(f, offset, flags);
            break;
        case RAM_SAVE_FLAG_COMPRESS_PAGE:
            ret = load_made(f, offset, flags);
            break;
        case RAM_SAVE_FLAG_MULTIFD_FLUSH:
            ls.multifd_marks = true;
            ret = wait_for_channels(f);
            break;
        case RAM_SAVE_FLAG_HOOK:
            return refuse(f, "it belongs to RDMA, which is not built in");
        default:
            return refuse(f, "unknown combination of flags 0x%" PRIx64 " at page offset 0x%" PRIx64,
                          flags, offset);
        }
        if (ret < 0) {
            return ret;
        }
    }
}
