/*
 * Which guest memory the host has never given out: ram_block_foreach_populated().
 *
 * Private anonymous memory that the page tables do not hold (neither present nor swapped, or
 * only the shared zero page) reads as zero: PAGEMAP_SCAN tells in one call a gigabyte, and
 * /proc/self/pagemap in eight bytes a page on older kernels.  Shared memory may have pages that
 * this process never mapped: there the file's holes decide (SEEK_DATA).  A private mapping of a
 * file mixes both; it is reported populated throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "system/pagemap-scan.h"
#include "system/ramblock.h"

static int pagemap_fd(void)
{
    static int fd = -2;

    if (fd == -2) {
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    }
    return fd;
}

/* Collects adjacent reports into one run. */
typedef struct Run {
    uint64_t first, npages; /* npages 0: none yet */
    RamPopulatedFunc *fn;
    void *opaque;
} Run;

static void run_flush(Run *run)
{
    if (run->npages) {
        run->fn(run->first, run->npages, run->opaque);
        run->npages = 0;
    }
}

static void run_add(Run *run, uint64_t first, uint64_t npages)
{
    if (run->npages && first == run->first + run->npages) {
        run->npages += npages;
        return;
    }
    run_flush(run);
    run->first = first;
    run->npages = npages;
}

/* Returns how far it came (a page number): less than @end when the kernel lacks the call. */
static uint64_t scan_page_tables(RAMBlock *rb, uint64_t first, uint64_t end, Run *run)
{
    struct page_region vec[256];
    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .start = (uintptr_t)rb->host + (first << TARGET_PAGE_BITS),
        .end = (uintptr_t)rb->host + (end << TARGET_PAGE_BITS),
        .vec = (uintptr_t)vec,
        .vec_len = ARRAY_SIZE(vec),
        /* (present or swapped) and not the zero page */
        .category_inverted = PAGE_IS_PFNZERO,
        .category_mask = PAGE_IS_PFNZERO,
        .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        .return_mask = PAGE_IS_PRESENT,
    };

    while (arg.start < arg.end) {
        long n = ioctl(pagemap_fd(), PAGEMAP_SCAN, &arg);

        if (n < 0 || arg.walk_end <= arg.start) {
            break;
        }
        for (long i = 0; i < n; i++) {
            uint64_t from = vec[i].start - (uintptr_t)rb->host;
            uint64_t to = vec[i].end - (uintptr_t)rb->host;

            run_add(run, from >> TARGET_PAGE_BITS, (to - from) >> TARGET_PAGE_BITS);
        }
        arg.start = arg.walk_end;
    }
    return (arg.start - (uintptr_t)rb->host) >> TARGET_PAGE_BITS;
}

#define PM_SWAPPED (1ull << 62)
#define PM_PRESENT (1ull << 63)

static uint64_t read_pagemap(RAMBlock *rb, uint64_t first, uint64_t end, Run *run)
{
    size_t host_page = qemu_real_host_page_size();
    uint64_t entries[512];

    if (host_page != TARGET_PAGE_SIZE) {
        return first;
    }
    while (first < end) {
        uint64_t index = ((uintptr_t)rb->host >> TARGET_PAGE_BITS) + first;
        size_t want = MIN(end - first, ARRAY_SIZE(entries));
        ssize_t got = pread(pagemap_fd(), entries, want * sizeof(entries[0]),
                            index * sizeof(entries[0]));

        if (got < (ssize_t)sizeof(entries[0])) {
            break;
        }
        got /= sizeof(entries[0]);
        for (ssize_t i = 0; i < got; i++) {
            if (entries[i] & (PM_PRESENT | PM_SWAPPED)) {
                run_add(run, first + i, 1);
            }
        }
        first += got;
    }
    return first;
}

static uint64_t seek_file_data(RAMBlock *rb, uint64_t first, uint64_t end, Run *run)
{
    /* A descriptor of our own: the file position of the block's may be shared. */
    off_t pos = rb->fd_offset + (first << TARGET_PAGE_BITS);
    off_t stop = rb->fd_offset + (end << TARGET_PAGE_BITS);

    while (pos < stop) {
        off_t data = lseek(rb->fd, pos, SEEK_DATA), hole;
        uint64_t from, to;

        if (data < 0) {
            if (errno != ENXIO) {
                break;
            }
            return end; /* no data to the end of the file */
        }
        if (data >= stop) {
            return end;
        }
        hole = lseek(rb->fd, data, SEEK_HOLE);
        if (hole < 0) {
            break;
        }
        hole = MIN(hole, stop);
        from = (data - rb->fd_offset) >> TARGET_PAGE_BITS;
        to = DIV_ROUND_UP(hole - rb->fd_offset, TARGET_PAGE_SIZE);
        run_add(run, from, to - from);
        pos = rb->fd_offset + (to << TARGET_PAGE_BITS);
    }
    return MIN((pos - rb->fd_offset) >> TARGET_PAGE_BITS, end);
}

void ram_block_foreach_populated(RAMBlock *rb, uint64_t first_page, uint64_t npages,
                                 RamPopulatedFunc *fn, void *opaque)
{
    uint64_t end = first_page + npages;
    Run run = {.fn = fn, .opaque = opaque};
    uint64_t known = first_page;

    if (rb->flags & (RAM_PREALLOC | RAM_PMEM)) {
        /* memory of somebody else: no telling what it is */
    } else if (rb->fd >= 0) {
        if (rb->flags & RAM_SHARED) {
            known = seek_file_data(rb, first_page, end, &run);
        }
    } else if (!(rb->flags & RAM_SHARED) && pagemap_fd() >= 0) {
        known = scan_page_tables(rb, first_page, end, &run);
        if (known < end) {
            known = read_pagemap(rb, known, end, &run);
        }
    }
    if (known < end) {
        run_add(&run, known, end - known);
    }
    run_flush(&run);
}
