/*
 * Guest memory of a destination in postcopy.
 *
 * rb->receivedmap has a bit for each page that is the guest's; a DISCARD clears it. The memory of
 * such a page is given back to the host, and userfaultfd tells of everybody (vCPU, device, monitor,
 * load thread) who touches a page that the host has no memory for. The fault thread then asks the
 * source for it, once; whoever reads the page from a channel places it, which wakes those who wait.
 *
 * A page whose bit is set can be touched for the first time, too: it came as zero, and stays
 * without memory until somebody wants to have it. The fault thread puts a zero page there.
 *
 * The bit is set behind the placing, never before it: the fault thread would take a page that is
 * on its way for one that is zero.
 *
 * Nothing here takes the BQL, whose holder may be waiting for a page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "options.h"
#include "postcopy-blocktime.h"
#include "postcopy-ram.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/trace.h"
#include "ram.h"
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

TRACE_EVENT(postcopy_fault);
TRACE_EVENT(postcopy_place);
TRACE_EVENT(postcopy_discard);

/* Faults that are taken from the kernel at once. */
#define FAULT_BATCH 64
/* When the host has no memory for a page of zeroes. */
#define RETRY_US 10000

static struct {
    int uffd, quit_fd;
    bool caught;        /* blocks are registered, the fault thread runs; atomic */
    QemuThread fault_thread;
    void *zeroes;       /* as large as the largest page, for kernels that place only copies there */
    size_t zeroes_size;
    uint64_t missing;   /* atomic */
} pr = {.uffd = -1, .quit_fd = -1};

/*
 * Guards beginning and end. Who ends it waits for the fault thread with it, which may be sending:
 * the channel must have been shut down before, or be read.
 */
static GMutex cleanup_lock;

/*
 * A page is asked for by the fault thread, or by who allows it to ask: not by both. And no page is
 * discarded while the fault thread takes it for one that is here. (From LISTEN on, when it may be
 * sending with the lock, nothing is discarded.)
 */
static GMutex ask_lock;

/* rb->migration_opaque: bit per host page that the source was asked for, or will be. ask_lock. */
static unsigned long *requested(RAMBlock *rb)
{
    return rb->migration_opaque;
}

/* --- what the host can do --- */

/*
 * Faults that happen in the kernel must be told of, too: KVM touches memory on the guest's behalf,
 * and the kernel when devices read into it. So no UFFD_USER_MODE_ONLY, which everybody may have.
 */
static int open_userfaultfd(uint64_t features, Error **errp)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (uffd < 0) {
        int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), err = errno;

        if (dev >= 0) {
            uffd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
            err = errno;
            close(dev);
        }
        errno = err;
    }
    if (uffd < 0) {
        error_setg_errno(errp, errno, "userfaultfd is not available (it needs CAP_SYS_PTRACE, "
                         "access to /dev/userfaultfd, or sysctl vm.unprivileged_userfaultfd=1)");
        return -1;
    }
    if (ioctl(uffd, UFFDIO_API, &api) < 0) {
        error_setg_errno(errp, errno, "userfaultfd does not have what is needed (features "
                         "0x%" PRIx64 ")", features);
        close(uffd);
        return -1;
    }
    return uffd;
}

bool postcopy_ram_host_supported(Error **errp)
{
    int uffd = open_userfaultfd(0, errp);

    if (uffd < 0) {
        return false;
    }
    close(uffd);
    return true;
}

static bool block_is_hugetlb(const RAMBlock *rb)
{
    return rb->page_size > qemu_real_host_page_size();
}

static uint64_t features_needed(void)
{
    uint64_t features = postcopy_blocktime_active() ? UFFD_FEATURE_THREAD_ID : 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        if (block_is_hugetlb(rb)) {
            features |= UFFD_FEATURE_MISSING_HUGETLBFS;
        } else if (rb->flags & RAM_SHARED) {
            features |= UFFD_FEATURE_MISSING_SHMEM;
        }
    }
    return features;
}

static bool register_block(int uffd, RAMBlock *rb, Error **errp)
{
    struct uffdio_register reg = {
        .range = {(uintptr_t)rb->host, ROUND_UP(rb->used_length, rb->page_size)},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    if (ioctl(uffd, UFFDIO_REGISTER, &reg) < 0) {
        error_setg_errno(errp, errno, "block '%s' cannot take part in postcopy: the kernel does "
                         "not tell of missing pages there", rb->idstr);
        return false;
    }
    if (!(reg.ioctls & (1ull << _UFFDIO_COPY)) ||
        (!block_is_hugetlb(rb) && !(reg.ioctls & (1ull << _UFFDIO_ZEROPAGE)))) {
        error_setg(errp, "block '%s' cannot take part in postcopy: the kernel cannot place pages "
                   "there", rb->idstr);
        return false;
    }
    return true;
}

static const char *why_not(const RAMBlock *rb)
{
    struct statfs fs;

    if (rb->flags & (RAM_READONLY | RAM_READONLY_FD)) {
        return "it is read-only";
    }
    if (rb->fd < 0 || block_is_hugetlb(rb)) {
        return NULL;
    }
    if (!(rb->flags & RAM_SHARED)) {
        return "it is a private mapping of a file, in which pages that the file has are never "
               "missing (share=on would do)";
    }
    if (RETRY_ON_EINTR(fstatfs(rb->fd, &fs)) == 0 && fs.f_type != TMPFS_MAGIC) {
        return "its file is neither in a tmpfs nor in a hugetlbfs";
    }
    return NULL;
}

/* Nothing else in this program locks memory; the kernel does not give such pages back. */
static bool memory_is_locked(void)
{
    g_autofree char *status = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL)) {
        return false;
    }
    line = strstr(status, "\nVmLck:");
    return line && strtoul(line + strlen("\nVmLck:"), NULL, 10);
}

bool postcopy_ram_supported(Error **errp)
{
    int uffd;
    bool ok;
    RAMBlock *rb;

    if (memory_is_locked()) {
        error_setg(errp, "guest memory cannot take part in postcopy: it is locked (-overcommit "
                   "mem-lock)");
        return false;
    }
    uffd = open_userfaultfd(features_needed(), errp);
    ok = uffd >= 0;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        const char *reason = ok ? why_not(rb) : NULL;

        if (reason) {
            error_setg(errp, "block '%s' cannot take part in postcopy: %s", rb->idstr, reason);
            ok = false;
        }
        ok = ok && register_block(uffd, rb, errp);
    }
    if (uffd >= 0) {
        close(uffd); /* which unregisters, too */
    }
    return ok;
}

uint64_t postcopy_ram_pagesizes(void)
{
    uint64_t sizes = 0;
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        sizes |= rb->page_size;
    }
    return sizes;
}

/* --- asking --- */

static uint64_t host_pages(const RAMBlock *rb)
{
    return DIV_ROUND_UP(rb->used_length, rb->page_size);
}

void postcopy_ram_set_asking(bool ask)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    RAMPageRequest requests[FAULT_BATCH];
    unsigned nrequests = 0;
    RAMBlock *rb;

    if (!ask) {
        migrate_rp_allow_requests(mis, false); /* the fault thread may be sending to nobody */
        return;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&ask_lock);

    migrate_rp_allow_requests(mis, true);
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        uint64_t n = host_pages(rb);

        for (uint64_t i = find_next_bit(requested(rb), n, 0); i < n;
             i = find_next_bit(requested(rb), n, i + 1)) {
            uint64_t offset = i * rb->page_size;

            if (test_bit(offset >> TARGET_PAGE_BITS, rb->receivedmap)) {
                continue;
            }
            requests[nrequests++] = (RAMPageRequest){rb, offset};
            if (nrequests == ARRAY_SIZE(requests)) {
                migrate_send_rp_req_pages(mis, requests, nrequests);
                nrequests = 0;
            }
        }
    }
    if (nrequests) {
        migrate_send_rp_req_pages(mis, requests, nrequests);
    }
}

uint64_t postcopy_ram_next_wanted(RAMBlock *rb, uint64_t page, uint64_t end)
{
    while ((page = find_next_bit(requested(rb), end, page)) < end &&
           test_bit(page, rb->receivedmap)) {
        page++;
    }
    return MIN(page, end);
}

/* --- placing --- */

static void mark_received(RAMBlock *rb, uint64_t offset, size_t len)
{
    uint64_t first = offset >> TARGET_PAGE_BITS, end = first + (len >> TARGET_PAGE_BITS), fresh = 0;

    while (first < end) {
        uint64_t n = MIN(end - first, BITS_PER_LONG - first % BITS_PER_LONG);
        unsigned long mask = (n == BITS_PER_LONG ? ~0ul : (1ul << n) - 1) << first % BITS_PER_LONG;

        fresh += ctpopl(mask & ~qatomic_fetch_or(&rb->receivedmap[BIT_WORD(first)], mask));
        first += n;
    }
    qatomic_sub(&pr.missing, fresh);
}

static bool place_error(RAMBlock *rb, uint64_t offset, int err, Error **errp)
{
    error_setg_errno(errp, err, "cannot place a page at 0x%" PRIx64 " of block '%s'", offset,
                     rb->idstr);
    return false;
}

/* The kernel's word on what was done: bytes, or -errno. */
static int64_t place_call(RAMBlock *rb, uint64_t offset, const void *from, size_t len)
{
    uint8_t *host = rb->host + offset;

    if (from) {
        struct uffdio_copy copy = {.dst = (uintptr_t)host, .src = (uintptr_t)from, .len = len};

        return ioctl(pr.uffd, UFFDIO_COPY, &copy) == 0 ? (int64_t)len
               : copy.copy ? copy.copy : -errno;
    } else {
        struct uffdio_zeropage zero = {.range = {(uintptr_t)host, len}};

        return ioctl(pr.uffd, UFFDIO_ZEROPAGE, &zero) == 0 ? (int64_t)len
               : zero.zeropage ? zero.zeropage : -errno;
    }
}

bool postcopy_ram_place(RAMBlock *rb, uint64_t offset, const void *from, size_t len, Error **errp)
{
    bool zero_by_copy = !from && block_is_hugetlb(rb);

    trace(postcopy_place, "'%s' 0x%" PRIx64 " 0x%zx%s", rb->idstr, offset, len,
          from ? "" : " zero");
    while (len) {
        size_t piece = block_is_hugetlb(rb) ? rb->page_size : len;
        int64_t n = place_call(rb, offset, zero_by_copy ? pr.zeroes : from, piece);

        if (n == -EAGAIN || n == -EINTR) {
            continue;   /* the memory map was being changed */
        }
        if (n == -EEXIST) {
            /* It came by the other channel. Whoever faulted before it did, has been woken then. */
            n = rb->page_size;
        }
        if (n <= 0) {
            return place_error(rb, offset, n ? -n : EIO, errp);
        }
        mark_received(rb, offset, n);
        postcopy_blocktime_placed(rb->host + offset, n);
        offset += n;
        len -= n;
        from = from ? (const uint8_t *)from + n : NULL;
    }
    return true;
}

uint64_t postcopy_ram_missing(void)
{
    return qatomic_mb_read(&pr.missing);
}

char *postcopy_ram_missing_text(void)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        uint64_t page = find_next_zero_bit(rb->receivedmap, ram_block_pages(rb), 0);

        if (page < ram_block_pages(rb)) {
            return g_strdup_printf("%" PRIu64 " pages have not come, the first at 0x%" PRIx64
                                   " of block '%s'", postcopy_ram_missing(),
                                   page << TARGET_PAGE_BITS, rb->idstr);
        }
    }
    return g_strdup("all pages have come");
}

/* --- faults --- */

static RAMBlock *block_at(uint64_t address, uint64_t *offset)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        if (address - (uintptr_t)rb->host < ROUND_UP(rb->used_length, rb->page_size)) {
            *offset = QEMU_ALIGN_DOWN(address - (uintptr_t)rb->host, rb->page_size);
            return rb;
        }
    }
    return NULL;
}

/* It is the guest's, and zero. */
static void resolve_here(RAMBlock *rb, uint64_t offset)
{
    struct uffdio_range range = {(uintptr_t)rb->host + offset, rb->page_size};
    Error *err = NULL;

    if (!postcopy_ram_place(rb, offset, NULL, rb->page_size, &err)) {
        if (qatomic_mb_read(&pr.caught)) {
            error_report_err(err);
            g_usleep(RETRY_US); /* whoever waits faults again */
        } else {
            error_free(err); /* faults are no longer ours */
        }
    }
    /* Somebody else may have been quicker; then nobody else wakes them. */
    ioctl(pr.uffd, UFFDIO_WAKE, &range);
}

static void handle_faults(const struct uffd_msg *msgs, unsigned n)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    RAMPageRequest requests[FAULT_BATCH], local[FAULT_BATCH];
    unsigned nrequests = 0, nlocal = 0;

    g_mutex_lock(&ask_lock);
    for (unsigned i = 0; i < n; i++) {
        uint64_t address = msgs[i].arg.pagefault.address, offset;
        RAMBlock *rb = msgs[i].event == UFFD_EVENT_PAGEFAULT ? block_at(address, &offset) : NULL;

        if (!rb) {
            continue; /* no other events were asked for, no other memory was registered */
        }
        postcopy_blocktime_fault(msgs[i].arg.pagefault.feat.ptid, rb->host + offset);
        trace(postcopy_fault, "'%s' 0x%" PRIx64, rb->idstr, offset);
        if (test_bit(offset >> TARGET_PAGE_BITS, rb->receivedmap)) {
            local[nlocal++] = (RAMPageRequest){rb, offset};
        } else if (!test_and_set_bit(offset / rb->page_size, requested(rb))) {
            requests[nrequests++] = (RAMPageRequest){rb, offset};
        }
    }
    if (nrequests) {
        migrate_send_rp_req_pages(mis, requests, nrequests);
    }
    for (unsigned i = 0; i < nlocal; i++) {
        resolve_here(local[i].rb, local[i].offset);
    }
    g_mutex_unlock(&ask_lock);
}

static void *fault_thread(void *opaque)
{
    struct pollfd fds[] = {{.fd = pr.uffd, .events = POLLIN}, {.fd = pr.quit_fd, .events = POLLIN}};
    struct uffd_msg msgs[FAULT_BATCH];

    qemu_thread_be_prompt();
    for (;;) {
        ssize_t n;

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR) {
            error_report("postcopy: faults cannot be waited for: %s", strerror(errno));
            break;
        }
        if (fds[1].revents) {
            break;
        }
        n = read(pr.uffd, msgs, sizeof(msgs));
        if (n >= (ssize_t)sizeof(msgs[0])) {
            handle_faults(msgs, n / sizeof(msgs[0]));
        } else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            error_report("postcopy: faults cannot be read: %s",
                         n ? strerror(errno) : "end of file");
            break;
        }
    }
    return NULL;
}

/* --- beginning and end --- */

static bool make_bitmaps(Error **errp)
{
    RAMBlock *rb;

    qatomic_set(&pr.missing, 0);
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        g_free(rb->receivedmap);
        g_free(rb->migration_opaque);
        rb->receivedmap = bitmap_try_new(ram_block_pages(rb));
        rb->migration_opaque = bitmap_try_new(host_pages(rb));
        if (!rb->receivedmap || !rb->migration_opaque) {
            error_setg(errp, "no memory for the page bitmaps of block '%s'", rb->idstr);
            return false;
        }
        bitmap_set(rb->receivedmap, 0, ram_block_pages(rb));
    }
    return true;
}

static bool map_zeroes(Error **errp)
{
    RAMBlock *rb;

    pr.zeroes_size = 0;
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        if (block_is_hugetlb(rb)) {
            pr.zeroes_size = MAX(pr.zeroes_size, rb->page_size);
        }
    }
    if (pr.zeroes_size) {
        pr.zeroes = mmap(NULL, pr.zeroes_size, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pr.zeroes == MAP_FAILED) {
            error_setg_errno(errp, errno, "no address space for a page of zeroes");
            pr.zeroes_size = 0;
            return false;
        }
    }
    return true;
}

/*
 * Anonymous memory: huge pages would bring back small ones that are missing in them, or be made of
 * those that are there while the rest is missing.
 */
static void allow_huge_pages(bool allow)
{
    RAMBlock *rb;

    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        if (!block_is_hugetlb(rb) && !(allow && rb->flags & RAM_PREALLOC)) {
            madvise(rb->host, rb->max_length, allow ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        }
    }
}

/* From here on nobody gets a page that is missing without our knowing. */
static bool catch_faults(Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&cleanup_lock);
    RAMBlock *rb;

    if (pr.caught) {
        return true;
    }
    postcopy_blocktime_begin();
    if (!make_bitmaps(errp) || !map_zeroes(errp)) {
        return false;
    }
    pr.quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pr.quit_fd < 0) {
        error_setg_errno(errp, errno, "no event for the fault thread");
        return false;
    }
    pr.uffd = open_userfaultfd(features_needed(), errp);
    if (pr.uffd < 0) {
        return false;
    }
    allow_huge_pages(false);
    qemu_thread_create(&pr.fault_thread, "mig/dst/fault", fault_thread, NULL, QEMU_THREAD_JOINABLE);
    pr.caught = true;
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        if (!register_block(pr.uffd, rb, errp)) {
            return false;
        }
    }
    return true;
}

bool postcopy_ram_discard(const char *name, uint64_t start, uint64_t length, Error **errp)
{
    RAMBlock *rb = ram_stream_find_block(name, errp);
    uint64_t first = start >> TARGET_PAGE_BITS, n = length >> TARGET_PAGE_BITS;

    if (!rb) {
        return false;
    }
    trace(postcopy_discard, "'%s' 0x%" PRIx64 " 0x%" PRIx64, name, start, length);
    if (!length || start >= rb->used_length || length > rb->used_length - start ||
        !QEMU_IS_ALIGNED(start, rb->page_size) || !QEMU_IS_ALIGNED(length, rb->page_size)) {
        error_setg(errp, "0x%" PRIx64 " bytes at 0x%" PRIx64 " are no whole pages (of 0x%zx bytes) "
                   "inside block '%s' of 0x%" PRIx64 " bytes", length, start, rb->page_size, name,
                   rb->used_length);
        return false;
    }
    if (!catch_faults(errp)) {
        return false;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&ask_lock);

    /* The bits first: a page that is touched as soon as it is gone is not a zero one. */
    qatomic_add(&pr.missing, bitmap_count_one_with_offset(rb->receivedmap, first, n));
    bitmap_test_and_clear_atomic(rb->receivedmap, first, n);
    if (ram_block_discard_range(rb, start, length, errp) < 0) {
        return false;
    }
    if (rb->fd >= 0 && rb->flags & RAM_SHARED && !block_is_hugetlb(rb)) {
        /* A huge page of shared memory that could not be split is cleared, but stays. */
        off_t data = lseek(rb->fd, rb->fd_offset + start, SEEK_DATA);

        if (data >= 0 && (uint64_t)data < rb->fd_offset + start + length) {
            error_setg(errp, "block '%s': the kernel does not give back the page at 0x%" PRIx64,
                       name, (uint64_t)data - rb->fd_offset);
            return false;
        }
    }
    return true;
}

bool postcopy_ram_listen(Error **errp)
{
    return catch_faults(errp);
}

void postcopy_ram_release(void)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&cleanup_lock);
    uint64_t one = 1;
    RAMBlock *rb;

    if (!pr.caught) {
        return;
    }
    qatomic_mb_set(&pr.caught, false);
    if (write(pr.quit_fd, &one, sizeof(one)) != sizeof(one)) {
        error_report("postcopy: the fault thread cannot be told to end: %s", strerror(errno));
    }
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        struct uffdio_range range = {(uintptr_t)rb->host, ROUND_UP(rb->used_length, rb->page_size)};

        ioctl(pr.uffd, UFFDIO_UNREGISTER, &range); /* wakes who waits */
    }
    qemu_thread_join(&pr.fault_thread);
    allow_huge_pages(true);
    postcopy_blocktime_end();
}

void postcopy_ram_cleanup(void)
{
    RAMBlock *rb;

    postcopy_ram_release();
    if (pr.uffd >= 0) {
        close(pr.uffd);
        pr.uffd = -1;
    }
    if (pr.quit_fd >= 0) {
        close(pr.quit_fd);
        pr.quit_fd = -1;
    }
    if (pr.zeroes_size) {
        munmap(pr.zeroes, pr.zeroes_size);
        pr.zeroes_size = 0;
    }
    ram_postcopy_forget_parts();
    RAMBLOCK_FOREACH_NOT_IGNORED(rb) {
        g_clear_pointer(&rb->receivedmap, g_free);
        g_clear_pointer(&rb->migration_opaque, g_free);
    }
}
