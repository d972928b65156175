/*
 * postcopy-blocktime: what waits at given times add up to; and real waits, on a userfaultfd.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "../../migration/migration.h"
#include "../../migration/postcopy-blocktime.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/cpus.h"

#define MS(n) ((int64_t)(n) * 1000000)
#define PAGE(n) ((const void *)(uintptr_t)(0x100000 + (n) * 0x1000))

static const uint32_t tids[] = { 11, 22, 33 };

static MigrationInfo *result(void)
{
    MigrationInfo *info = g_new0(MigrationInfo, 1);

    postcopy_blocktime_end();
    postcopy_blocktime_fill_info(info);
    g_assert_true(info->has_postcopy_blocktime && info->has_postcopy_vcpu_blocktime &&
                  info->has_postcopy_latency && info->has_postcopy_latency_dist &&
                  info->has_postcopy_vcpu_latency && info->has_postcopy_non_vcpu_latency);
    return info;
}

static uint32_t blocked(const MigrationInfo *info, int n)
{
    uint32List *l = info->postcopy_vcpu_blocktime;

    while (n--) {
        l = l->next;
    }
    return l->value;
}

static uint64_t nth(uint64List *l, int n)
{
    while (n--) {
        l = l->next;
    }
    return l->value;
}

static uint64_t count(uint64List *l)
{
    uint64_t sum = 0;

    for (; l; l = l->next) {
        sum += l->value;
    }
    return sum;
}

static void test_off(void)
{
    MigrationInfo info = { 0 };

    /* The capability is off: nothing is counted, and nothing shown. */
    postcopy_blocktime_begin();
    g_assert_false(postcopy_blocktime_active());
    postcopy_blocktime_fault(11, PAGE(1));
    postcopy_blocktime_placed(PAGE(0), 0x10000);
    postcopy_blocktime_end();
    postcopy_blocktime_fill_info(&info);
    g_assert_false(info.has_postcopy_blocktime || info.has_postcopy_latency);
}

/* Each vCPU's waits, and what they have in common. */
static void test_overlap(void)
{
    g_autoptr(MigrationInfo) info = NULL;

    postcopy_blocktime_begin_for(tids, 3);
    g_assert_true(postcopy_blocktime_active());
    postcopy_blocktime_fault_at(11, PAGE(1), MS(100));
    postcopy_blocktime_fault_at(22, PAGE(2), MS(110));
    postcopy_blocktime_fault_at(33, PAGE(3), MS(120)); /* now all wait */
    postcopy_blocktime_placed_at(PAGE(2), 0x1000, MS(150)); /* … no longer */
    postcopy_blocktime_fault_at(22, PAGE(2), MS(160)); /* … again */
    postcopy_blocktime_placed_at(PAGE(1), 0x3000, MS(165)); /* three at once */
    postcopy_blocktime_placed_at(PAGE(1), 0x3000, MS(500)); /* nobody waits */
    info = result();
    g_assert_cmpuint(info->postcopy_blocktime, ==, 30 + 5);
    g_assert_cmpuint(blocked(info, 0), ==, 65);
    g_assert_cmpuint(blocked(info, 1), ==, 40 + 5);
    g_assert_cmpuint(blocked(info, 2), ==, 45);
    g_assert_cmpuint(nth(info->postcopy_vcpu_latency, 1), ==, MS(45) / 2);
    g_assert_cmpuint(info->postcopy_latency, ==, MS(65 + 40 + 5 + 45) / 4);
    g_assert_cmpuint(info->postcopy_non_vcpu_latency, ==, 0);
    g_assert_cmpuint(count(info->postcopy_latency_dist), ==, 4);
}

/* Two vCPUs wait for one page, a third for its neighbour: only what was placed ends a wait. */
static void test_same_page(void)
{
    g_autoptr(MigrationInfo) info = NULL;

    postcopy_blocktime_begin_for(tids, 3);
    postcopy_blocktime_fault_at(11, PAGE(5), MS(0));
    postcopy_blocktime_fault_at(22, PAGE(5), MS(10));
    postcopy_blocktime_fault_at(33, PAGE(6), MS(20));
    postcopy_blocktime_placed_at(PAGE(4), 0x1000, MS(30)); /* below */
    postcopy_blocktime_placed_at(PAGE(7), 0x1000, MS(30)); /* above */
    postcopy_blocktime_placed_at(PAGE(5), 0x1000, MS(40));
    info = result(); /* the third's wait has no end: it does not count */
    g_assert_cmpuint(info->postcopy_blocktime, ==, 20);
    g_assert_cmpuint(blocked(info, 0), ==, 40);
    g_assert_cmpuint(blocked(info, 1), ==, 30);
    g_assert_cmpuint(blocked(info, 2), ==, 0);
    g_assert_cmpuint(count(info->postcopy_latency_dist), ==, 2);
}

/*
 * A vCPU that is interrupted faults again where it was. One that faults elsewhere has its page, though
 * nobody has told yet.
 */
static void test_again(void)
{
    g_autoptr(MigrationInfo) info = NULL;

    postcopy_blocktime_begin_for(tids, 1);
    postcopy_blocktime_fault_at(11, PAGE(1), MS(0));
    postcopy_blocktime_fault_at(11, PAGE(1), MS(10));
    postcopy_blocktime_placed_at(PAGE(1), 0x1000, MS(20));
    postcopy_blocktime_fault_at(11, PAGE(2), MS(100));
    postcopy_blocktime_fault_at(11, PAGE(3), MS(130));
    postcopy_blocktime_placed_at(PAGE(2), 0x1000, MS(135)); /* now somebody tells */
    postcopy_blocktime_placed_at(PAGE(3), 0x1000, MS(140));
    info = result();
    g_assert_cmpuint(blocked(info, 0), ==, 20 + 30 + 10);
    g_assert_cmpuint(info->postcopy_blocktime, ==, 20 + 40);
    g_assert_cmpuint(count(info->postcopy_latency_dist), ==, 3);
}

static void test_others(void)
{
    g_autoptr(MigrationInfo) info = NULL;

    postcopy_blocktime_begin_for(tids, 1);
    postcopy_blocktime_fault_at(77, PAGE(1), 1000);
    postcopy_blocktime_fault_at(78, PAGE(1), 2000);
    postcopy_blocktime_fault_at(0, PAGE(9), 2000); /* of whom the kernel does not tell */
    postcopy_blocktime_fault_at(0, PAGE(8), 2000);
    postcopy_blocktime_placed_at(PAGE(1), 0x1000, 5000);
    postcopy_blocktime_placed_at(PAGE(8), 0x2000, 7000);
    info = result();
    g_assert_cmpuint(info->postcopy_blocktime, ==, 0);
    g_assert_cmpuint(blocked(info, 0), ==, 0);
    g_assert_cmpuint(info->postcopy_non_vcpu_latency, ==, (4000 + 3000 + 5000 + 5000) / 4);
    g_assert_cmpuint(info->postcopy_latency, ==, info->postcopy_non_vcpu_latency);
    g_assert_cmpuint(nth(info->postcopy_latency_dist, 1), ==, 1); /* 2 us up to 4 us */
    g_assert_cmpuint(nth(info->postcopy_latency_dist, 2), ==, 3);
    g_assert_null(info->postcopy_vcpu_latency->next);
}

static void test_buckets(void)
{
    g_assert_cmpint(postcopy_latency_bucket(0), ==, 0);
    g_assert_cmpint(postcopy_latency_bucket(1999), ==, 0);
    g_assert_cmpint(postcopy_latency_bucket(2000), ==, 1);
    g_assert_cmpint(postcopy_latency_bucket(3999), ==, 1);
    g_assert_cmpint(postcopy_latency_bucket(4000), ==, 2);
    g_assert_cmpint(postcopy_latency_bucket(256000), ==, 8);
    g_assert_cmpint(postcopy_latency_bucket(511999), ==, 8);
    g_assert_cmpint(postcopy_latency_bucket(INT64_C(1000) << 23), ==, 23);
    g_assert_cmpint(postcopy_latency_bucket(INT64_MAX), ==, POSTCOPY_LATENCY_BUCKETS - 1);
}

/* ---- real faults ---- */

#define NPAGES 512
#define NTHREADS 4

static uint8_t *area;
static size_t page_size;
static int uffd;
static uint64_t arrived[NPAGES]; /* atomic flags, as receivedmap */

static int open_userfaultfd(void)
{
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID };
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0) {
        return -1;
    }
    return fd;
}

typedef struct Reader {
    QemuThread thread;
    uint32_t tid; /* atomic */
    QemuEvent go;
    unsigned seed;
    bool wrong;
} Reader;

static void *read_pages(void *opaque)
{
    Reader *r = opaque;
    unsigned at = r->seed;

    qatomic_mb_set(&r->tid, gettid());
    qemu_event_wait(&r->go);
    for (int i = 0; i < NPAGES; i++) {
        at = (at + 167) % NPAGES; /* all of them, in another order each */
        r->wrong |= qatomic_read(&area[at * page_size]) != (uint8_t)(at | 1);
    }
    return NULL;
}

static void place(int n)
{
    g_autofree uint8_t *data = g_malloc(page_size);
    struct uffdio_copy copy = {
        .dst = (uintptr_t)area + n * page_size, .src = (uintptr_t)data, .len = page_size,
    };

    memset(data, n | 1, page_size);
    if (ioctl(uffd, UFFDIO_COPY, &copy) < 0) {
        g_assert_cmpint(errno, ==, EEXIST);
        return;
    }
    qatomic_mb_set(&arrived[n], 1);
    postcopy_blocktime_placed(area + n * page_size, page_size);
}

static bool stop_background; /* atomic */

/* What comes by itself, besides what is asked for. */
static void *background(void *opaque)
{
    for (int n = NPAGES - 1; n >= 0 && !qatomic_read(&stop_background); n -= 3) {
        place(n);
    }
    return NULL;
}

/* The fault thread; ends when all @readers' pages are there. */
static void serve(void)
{
    struct pollfd pfd = { .fd = uffd, .events = POLLIN };
    struct uffd_msg msg;
    int left = NPAGES;

    while (left) {
        left = 0;
        for (int i = 0; i < NPAGES; i++) {
            left += !qatomic_mb_read(&arrived[i]);
        }
        if (poll(&pfd, 1, 10) <= 0 || read(uffd, &msg, sizeof(msg)) != sizeof(msg)) {
            continue;
        }
        int n = (msg.arg.pagefault.address - (uintptr_t)area) / page_size;
        const void *page = area + n * page_size;

        g_assert_cmpint(msg.event, ==, UFFD_EVENT_PAGEFAULT);
        postcopy_blocktime_fault(msg.arg.pagefault.feat.ptid, page);
        if (qatomic_mb_read(&arrived[n])) {
            struct uffdio_range range = { (uintptr_t)page, page_size };

            g_assert_cmpint(ioctl(uffd, UFFDIO_WAKE, &range), ==, 0);
            postcopy_blocktime_placed(page, page_size);
        } else {
            place(n);
        }
    }
}

static void test_real(void)
{
    g_autoptr(MigrationInfo) info = NULL;
    Reader readers[NTHREADS] = { 0 };
    struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
    uint32_t ids[NTHREADS];
    QemuThread placer;
    uint64_t vcpus = 0;

    uffd = open_userfaultfd();
    if (uffd < 0) {
        g_test_skip("there is no userfaultfd for us");
        return;
    }
    page_size = qemu_real_host_page_size();
    area = mmap(NULL, NPAGES * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    g_assert_true(area != MAP_FAILED);
    reg.range.start = (uintptr_t)area;
    reg.range.len = NPAGES * page_size;
    g_assert_cmpint(ioctl(uffd, UFFDIO_REGISTER, &reg), ==, 0);

    for (int i = 0; i < NTHREADS; i++) {
        qemu_event_init(&readers[i].go, false);
        readers[i].seed = i * 100;
        qemu_thread_create(&readers[i].thread, "reader", read_pages, &readers[i],
                           QEMU_THREAD_JOINABLE);
        while (!(ids[i] = qatomic_mb_read(&readers[i].tid))) {
            sched_yield();
        }
    }
    /* The last one is no vCPU. */
    postcopy_blocktime_begin_for(ids, NTHREADS - 1);
    for (int i = 0; i < NTHREADS; i++) {
        qemu_event_set(&readers[i].go);
    }
    qemu_thread_create(&placer, "background", background, NULL, QEMU_THREAD_JOINABLE);
    serve();
    qatomic_set(&stop_background, true);
    qemu_thread_join(&placer);
    for (int i = 0; i < NTHREADS; i++) {
        qemu_thread_join(&readers[i].thread);
        qemu_event_destroy(&readers[i].go);
        g_assert_false(readers[i].wrong);
    }
    info = result();
    for (uint64List *l = info->postcopy_vcpu_latency; l; l = l->next) {
        vcpus++;
    }
    g_assert_cmpuint(vcpus, ==, NTHREADS - 1);
    g_assert_cmpuint(count(info->postcopy_latency_dist), >, 0);
    g_assert_cmpuint(info->postcopy_latency, >, 0);
    for (int i = 0; i < NTHREADS - 1; i++) {
        /* Nobody waited less than all did together. */
        g_assert_cmpuint(blocked(info, i) + 1, >=, info->postcopy_blocktime);
    }
    munmap(area, NPAGES * page_size);
    close(uffd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    migration_object_init();
    g_test_add_func("/postcopy-blocktime/off", test_off);
    g_test_add_func("/postcopy-blocktime/overlap", test_overlap);
    g_test_add_func("/postcopy-blocktime/same-page", test_same_page);
    g_test_add_func("/postcopy-blocktime/again", test_again);
    g_test_add_func("/postcopy-blocktime/others", test_others);
    g_test_add_func("/postcopy-blocktime/buckets", test_buckets);
    g_test_add_func("/postcopy-blocktime/real", test_real);
    return g_test_run();
}
