/*
 * Room for pages that come, in memory that is a file's: see ram-room.h.
 *
 * The kernel is told to do what the store would: madvise(MADV_POPULATE_WRITE), Linux 5.14. It does
 * so for many pages in one call, which takes less time than their faults would, and fails where
 * they would end in SIGBUS; it does not say why, but fallocate() of that page does. Older kernels
 * have only the latter, for shared memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "ram-room.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

bool ram_room_setup(RAMBlock *rb, Error **errp)
{
    ram_room_cleanup(rb);
    if (rb->fd < 0 || rb->flags & (RAM_READONLY | RAM_PREALLOC)) {
        return true;
    }
    rb->roommap = bitmap_try_new(rb->max_length >> TARGET_PAGE_BITS);
    if (!rb->roommap) {
        error_setg(errp, "no memory for the page bitmap of block '%s'", rb->idstr);
        return false;
    }
    return true;
}

void ram_room_cleanup(RAMBlock *rb)
{
    g_clear_pointer(&rb->roommap, g_free);
}

void ram_room_found(RAMBlock *rb, uint64_t first, uint64_t npages)
{
    if (rb->roommap) {
        bitmap_set_atomic(rb->roommap, first, npages);
    }
}

/* A part of the block, in whole pages of its mapping. */
typedef struct Part {
    uint64_t start, length;
} Part;

static Part part_of(const RAMBlock *rb, uint64_t first, uint64_t npages)
{
    uint64_t start = ROUND_DOWN(first << TARGET_PAGE_BITS, rb->page_size);
    uint64_t end = ROUND_UP((first + npages) << TARGET_PAGE_BITS, rb->page_size);

    return (Part){start, end - start};
}

/* 0 or errno. EFAULT: a store (read) there ends in SIGBUS. */
static int populate(RAMBlock *rb, Part part, int advice)
{
    int ret;

    do {
        ret = madvise(rb->host + part.start, part.length, advice);
    } while (ret < 0 && (errno == EINTR || errno == EAGAIN));
    return ret < 0 ? errno : 0;
}

/* 0 or errno. Only where the mapping's pages are the file's. */
static int allocate(RAMBlock *rb, Part part)
{
    int ret;

    if (!(rb->flags & RAM_SHARED) || rb->flags & RAM_READONLY_FD) {
        return EOPNOTSUPP;
    }
    ret = RETRY_ON_EINTR(fallocate(rb->fd, 0, rb->fd_offset + part.start, part.length));
    return ret < 0 ? errno : 0;
}

static bool unknown_to_kernel(int reason)
{
    return reason == EINVAL || reason == ENOSYS;
}

static int make_part(RAMBlock *rb, Part part)
{
    int ret = populate(rb, part, MADV_POPULATE_WRITE);

    if (unknown_to_kernel(ret)) {
        ret = allocate(rb, part);
        return ret == EOPNOTSUPP ? 0 : ret; /* nothing can be asked: as it was before */
    }
    return ret;
}

/* Why the page cannot be had, when populating it has failed with @reason. 0: by now it can be. */
static int find_reason(RAMBlock *rb, Part part, int reason, int advice)
{
    int ret = reason == EFAULT ? allocate(rb, part) : reason;

    if (ret == 0) {
        ret = populate(rb, part, advice);
    }
    return ret == EOPNOTSUPP ? reason : ret;
}

static bool say(RAMBlock *rb, uint64_t page, int reason, Error **errp)
{
    error_setg(errp, "block '%s': the host has no room for its page at 0x%" PRIx64 ": %s",
               rb->idstr, page << TARGET_PAGE_BITS,
               reason == EFAULT ? "a store to its file would fail" : strerror(reason));
    return false;
}

/* A run that could not be had as a whole: as far as it goes. */
static bool make_one_by_one(RAMBlock *rb, uint64_t first, uint64_t end, Error **errp)
{
    for (uint64_t page = first; page < end; page++) {
        Part part = part_of(rb, page, 1);
        int ret = make_part(rb, part);

        if (ret) {
            ret = find_reason(rb, part, ret, MADV_POPULATE_WRITE);
        }
        if (ret) {
            return say(rb, page, ret, errp);
        }
        ram_room_found(rb, page, 1);
    }
    return true;
}

bool ram_room_make(RAMBlock *rb, uint64_t first, uint64_t npages, Error **errp)
{
    uint64_t end = first + npages, stop;

    for (first = find_next_zero_bit(rb->roommap, end, first); first < end;
         first = find_next_zero_bit(rb->roommap, end, stop)) {
        stop = find_next_bit(rb->roommap, end, first);
        if (make_part(rb, part_of(rb, first, stop - first)) == 0) {
            ram_room_found(rb, first, stop - first);
        } else if (!make_one_by_one(rb, first, stop, errp)) {
            return false;
        }
    }
    return true;
}

bool ram_room_make_readable(RAMBlock *rb, uint64_t page, Error **errp)
{
    Part part = part_of(rb, page, 1);
    int ret = populate(rb, part, MADV_POPULATE_READ);

    if (ret && !unknown_to_kernel(ret)) {
        ret = find_reason(rb, part, ret, MADV_POPULATE_READ);
        if (ret) {
            return say(rb, page, ret, errp);
        }
    }
    return true;
}
