/*
 * Dirty tracking by asynchronous write protection: see system/dirty-wp.h.
 *
 * Relies on Linux 6.7 or later, detected when it is run. Memory is bounded: a list entry a
 * mapping, and a vector on the stack for results.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "system/dirty-wp.h"
#include "system/pagemap-scan.h"

/* Newer than Debian 12's headers. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define SCAN_REGIONS 512

typedef struct WPRange {
    uintptr_t start, end;
    QLIST_ENTRY(WPRange) next;
} WPRange;

struct DirtyWP {
    QemuMutex lock;
    int uffd;
    int pagemap;
    QLIST_HEAD(, WPRange) ranges;
};

static int open_userfaultfd(void)
{
    /* No fault is ever handled in user space, so the lesser right is enough. */
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

    if (fd < 0) {
        int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

        if (dev >= 0) {
            fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
            close(dev);
        }
    }
    return fd;
}

DirtyWP *dirty_wp_new(Error **errp)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
                    UFFD_FEATURE_WP_ASYNC,
    };
    struct pm_scan_arg probe = {.size = sizeof(probe)};
    int uffd = open_userfaultfd();
    int pagemap = -1;
    DirtyWP *w;

    if (uffd < 0) {
        error_setg_errno(errp, errno, "no userfaultfd");
        return NULL;
    }
    if (ioctl(uffd, UFFDIO_API, &api) < 0) {
        error_setg_errno(errp, errno, "the kernel has no asynchronous write protection "
                         "(Linux 6.7 is the first that has)");
        goto fail;
    }
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0) {
        error_setg_file_open(errp, errno, "/proc/self/pagemap");
        goto fail;
    }
    if (ioctl(pagemap, PAGEMAP_SCAN, &probe) < 0) {
        error_setg_errno(errp, errno, "the kernel has no PAGEMAP_SCAN "
                         "(Linux 6.7 is the first that has)");
        goto fail;
    }
    w = g_new0(DirtyWP, 1);
    qemu_mutex_init(&w->lock);
    w->uffd = uffd;
    w->pagemap = pagemap;
    return w;

fail:
    close(uffd);
    if (pagemap >= 0) {
        close(pagemap);
    }
    return NULL;
}

bool dirty_wp_available(Error **errp)
{
    DirtyWP *w = dirty_wp_new(errp);

    dirty_wp_free(w);
    return w != NULL;
}

static void wp_range_drop(DirtyWP *w, WPRange *r)
{
    struct uffdio_range range = {.start = r->start, .len = r->end - r->start};

    /* Fails only if the mapping is gone already, and its registration with it. */
    (void)ioctl(w->uffd, UFFDIO_UNREGISTER, &range);
    QLIST_REMOVE(r, next);
    g_free(r);
}

void dirty_wp_free(DirtyWP *w)
{
    if (!w) {
        return;
    }
    while (!QLIST_EMPTY(&w->ranges)) {
        wp_range_drop(w, QLIST_FIRST(&w->ranges));
    }
    close(w->uffd);
    close(w->pagemap);
    qemu_mutex_destroy(&w->lock);
    g_free(w);
}

static WPRange *wp_range_find(DirtyWP *w, void *host)
{
    WPRange *r;

    QLIST_FOREACH(r, &w->ranges, next) {
        if (r->start == (uintptr_t)host) {
            return r;
        }
    }
    return NULL;
}

/* Protect what is written, and tell @fn (may be NULL) about it. Called with the lock. */
static int wp_scan(DirtyWP *w, WPRange *r, DirtyWPFunc *fn, void *opaque)
{
    struct page_region vec[SCAN_REGIONS];
    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
        .start = r->start,
        .end = r->end,
        .vec = (uintptr_t)vec,
        .vec_len = ARRAY_SIZE(vec),
        /*
         * Only what exists: a page that was never touched counts as not protected, too, and
         * protecting all of these would fill the page tables with markers.
         */
        .category_mask = PAGE_IS_WRITTEN,
        .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        .return_mask = PAGE_IS_WRITTEN,
    };

    while (arg.start < arg.end) {
        long n = ioctl(w->pagemap, PAGEMAP_SCAN, &arg);

        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            return -errno;
        }
        for (long i = 0; fn && i < n; i++) {
            fn(vec[i].start - r->start, vec[i].end - vec[i].start, opaque);
        }
        if (arg.walk_end <= arg.start) {
            return -EIO; /* no progress: not to be waited for */
        }
        arg.start = arg.walk_end;
    }
    return 0;
}

bool dirty_wp_add(DirtyWP *w, void *host, size_t len, Error **errp)
{
    struct uffdio_register reg = {
        .range = {.start = (uintptr_t)host, .len = len},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    WPRange *r;
    int ret;

    QEMU_LOCK_GUARD(&w->lock);
    if (ioctl(w->uffd, UFFDIO_REGISTER, &reg) < 0) {
        error_setg_errno(errp, errno, "cannot write-protect %zu bytes of memory at %p", len, host);
        return false;
    }
    r = g_new0(WPRange, 1);
    r->start = (uintptr_t)host;
    r->end = r->start + len;
    QLIST_INSERT_HEAD(&w->ranges, r, next);
    ret = wp_scan(w, r, NULL, NULL);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot track writes to %zu bytes of memory at %p", len,
                         host);
        wp_range_drop(w, r);
        return false;
    }
    return true;
}

void dirty_wp_remove(DirtyWP *w, void *host)
{
    WPRange *r;

    QEMU_LOCK_GUARD(&w->lock);
    r = wp_range_find(w, host);
    if (r) {
        wp_range_drop(w, r);
    }
}

int dirty_wp_collect(DirtyWP *w, void *host, DirtyWPFunc *fn, void *opaque)
{
    WPRange *r;

    QEMU_LOCK_GUARD(&w->lock);
    r = wp_range_find(w, host);
    return r ? wp_scan(w, r, fn, opaque) : -ENOENT;
}

typedef struct Protect {
    DirtyWP *w;
    RAMBlock *rb;
    int ret; /* 0 or -errno, the first */
} Protect;

static void protect_run(uint64_t first, uint64_t npages, void *opaque)
{
    Protect *p = opaque;
    uint64_t start = ROUND_DOWN(first << TARGET_PAGE_BITS, p->rb->page_size);
    uint64_t end = ROUND_UP((first + npages) << TARGET_PAGE_BITS, p->rb->page_size);
    struct uffdio_writeprotect arg = {
        .range = {.start = (uintptr_t)p->rb->host + start, .len = end - start},
        .mode = UFFDIO_WRITEPROTECT_MODE_WP,
    };

    while (!p->ret && ioctl(p->w->uffd, UFFDIO_WRITEPROTECT, &arg) < 0) {
        if (errno != EINTR && errno != EAGAIN) {
            p->ret = -errno;
        }
    }
}

/*
 * What a file holds exists, but this process may never have looked at it. The first look would count
 * as a write, since only what is mapped has been protected. So all that the file holds is: the
 * page tables that this takes, looking at it would have taken as well.
 */
static int protect_file(DirtyWP *w, RAMBlock *rb)
{
    Protect p = {w, rb};

    if (rb->fd >= 0) {
        ram_block_foreach_populated(rb, 0, rb->max_length >> TARGET_PAGE_BITS, protect_run, &p);
    }
    return p.ret;
}

bool dirty_wp_add_block(DirtyWP *w, RAMBlock *rb, Error **errp)
{
    Error *err = NULL;
    int ret;

    if (!dirty_wp_add(w, rb->host, rb->max_length, &err)) {
        error_prepend(&err, "RAM block '%s': ", rb->idstr);
        error_propagate(errp, err);
        return false;
    }
    ret = protect_file(w, rb);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "RAM block '%s': cannot write-protect its file's memory",
                         rb->idstr);
        dirty_wp_remove(w, rb->host);
        return false;
    }
    return true;
}

static void mark_dirty(uint64_t offset, uint64_t len, void *opaque)
{
    RAMBlock *rb = opaque;

    if (offset < rb->used_length) {
        ram_block_set_dirty(rb, offset, MIN(len, rb->used_length - offset));
    }
}

int dirty_wp_sync_block(DirtyWP *w, RAMBlock *rb)
{
    return dirty_wp_collect(w, rb->host, mark_dirty, rb);
}
