/*
 * Test of system/dirty-wp.c: every write shows once, nothing else does, for each kind of memory.
 *
 * Skips, with the kernel's reason, where there is no asynchronous write protection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "system/dirty-wp.h"

#define PAGE 4096u
#define PAGES 2048u

static bool supported(void)
{
    Error *err = NULL;

    if (dirty_wp_available(&err)) {
        return true;
    }
    g_test_skip(error_get_pretty(err));
    error_free(err);
    return false;
}

typedef enum { MEM_PRIVATE, MEM_MEMFD, MEM_SHARED_ANON, MEM_FILE } Kind;

static uint8_t *make_memory(Kind kind, size_t size)
{
    int flags = kind == MEM_PRIVATE ? MAP_PRIVATE | MAP_ANONYMOUS :
                kind == MEM_SHARED_ANON ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    int fd = -1;
    uint8_t *p;

    if (kind == MEM_MEMFD) {
        fd = memfd_create("test-dirty-wp", MFD_CLOEXEC);
    } else if (kind == MEM_FILE) {
        g_autofree char *name = NULL;

        fd = g_file_open_tmp("test-dirty-wp-XXXXXX", &name, NULL);
        unlink(name);
    }
    g_assert_true(fd == -1 || ftruncate(fd, size) == 0);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    g_assert_true(p != MAP_FAILED);
    /* Huge pages would make whole neighbourhoods dirty: the tests count single pages. */
    madvise(p, size, MADV_NOHUGEPAGE);
    if (fd >= 0) {
        close(fd);
    }
    return p;
}

static void collect_bit(uint64_t offset, uint64_t len, void *opaque)
{
    g_assert_cmpuint(offset % PAGE, ==, 0);
    g_assert_cmpuint(len % PAGE, ==, 0);
    g_assert_cmpuint(offset + len, <=, (uint64_t)PAGES * PAGE);
    bitmap_set(opaque, offset / PAGE, len / PAGE);
}

static unsigned collect(DirtyWP *w, void *host, unsigned long *map)
{
    bitmap_zero(map, PAGES);
    g_assert_cmpint(dirty_wp_collect(w, host, collect_bit, map), ==, 0);
    return bitmap_count_one(map, PAGES);
}

static void test_kind(gconstpointer data)
{
    Kind kind = GPOINTER_TO_INT(data);
    g_autofree unsigned long *map = bitmap_new(PAGES);
    uint8_t *p;
    DirtyWP *w;

    if (!supported()) {
        return;
    }
    p = make_memory(kind, PAGES * PAGE);
    w = dirty_wp_new(&error_abort);
    /* Half of it exists before; the rest is untouched. */
    memset(p, 1, PAGES / 2 * PAGE);
    dirty_wp_add(w, p, PAGES * PAGE, &error_abort);
    g_assert_cmpuint(collect(w, p, map), ==, 0);

    p[0] = 2;
    p[77 * PAGE + 4095] = 2;
    p[(PAGES - 1) * PAGE] = 2;          /* never touched before */
    g_assert_cmpuint(collect(w, p, map), ==, 3);
    g_assert_true(test_bit(0, map) && test_bit(77, map) && test_bit(PAGES - 1, map));
    g_assert_cmpuint(collect(w, p, map), ==, 0);

    /* The same pages again, those just populated too: they are protected anew. */
    p[0]++;
    p[(PAGES - 1) * PAGE]++;
    g_assert_cmpuint(collect(w, p, map), ==, 2);

    /* Reading what exists changes nothing. */
    for (unsigned i = 0; i < PAGES / 2; i++) {
        g_assert_cmpuint(qatomic_read(&p[i * PAGE]), >=, 1);
    }
    g_assert_cmpuint(collect(w, p, map), ==, 0);

    /* More runs than one call of the kernel returns. */
    for (unsigned i = 0; i < PAGES; i += 2) {
        p[i * PAGE] = 7;
    }
    g_assert_cmpuint(collect(w, p, map), ==, PAGES / 2);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpint(test_bit(i, map), ==, i % 2 == 0);
    }
    dirty_wp_free(w);
    p[5 * PAGE] = 9;                    /* and it is ordinary memory again */
    munmap(p, PAGES * PAGE);
}

/* The kernel's own writes on our behalf count: that is how migration fills memory. */
static void test_kernel_writes(void)
{
    g_autofree unsigned long *map = bitmap_new(PAGES);
    uint8_t *p;
    DirtyWP *w;
    int fd;

    if (!supported()) {
        return;
    }
    p = make_memory(MEM_PRIVATE, PAGES * PAGE);
    memset(p, 1, PAGES * PAGE);
    w = dirty_wp_new(&error_abort);
    dirty_wp_add(w, p, PAGES * PAGE, &error_abort);
    fd = open("/dev/zero", O_RDONLY);
    g_assert_cmpint(read(fd, p + 10 * PAGE + 100, PAGE), ==, PAGE);
    close(fd);
    g_assert_cmpuint(collect(w, p, map), ==, 2);
    g_assert_true(test_bit(10, map) && test_bit(11, map));
    dirty_wp_free(w);
    munmap(p, PAGES * PAGE);
}

typedef struct Writer {
    uint8_t *p;
    bool stop;
    uint32_t round[PAGES];              /* what each page must hold at least */
} Writer;

static void *writer_thread(void *opaque)
{
    Writer *wr = opaque;
    GRand *rand = g_rand_new_with_seed(1);

    while (!qatomic_read(&wr->stop)) {
        uint32_t i = g_rand_int_range(rand, 0, PAGES);

        ((uint32_t *)(wr->p + i * PAGE))[0]++;
        wr->round[i]++;
    }
    g_rand_free(rand);
    return NULL;
}

/* Copy what is reported while another thread writes: in the end the copy must be equal. */
static void test_race(void)
{
    g_autofree unsigned long *map = bitmap_new(PAGES);
    Writer *wr;
    uint8_t *copy;
    QemuThread thread;
    DirtyWP *w;

    if (!supported()) {
        return;
    }
    wr = g_new0(Writer, 1);
    wr->p = make_memory(MEM_MEMFD, PAGES * PAGE);
    copy = g_malloc0(PAGES * PAGE);
    w = dirty_wp_new(&error_abort);
    dirty_wp_add(w, wr->p, PAGES * PAGE, &error_abort);
    qemu_thread_create(&thread, "writer", writer_thread, wr, QEMU_THREAD_JOINABLE);
    for (int pass = 0; pass <= 200; pass++) {
        if (pass == 200) {
            qatomic_set(&wr->stop, true);
            qemu_thread_join(&thread);
        }
        collect(w, wr->p, map);
        for (unsigned long i = find_first_bit(map, PAGES); i < PAGES;
             i = find_next_bit(map, PAGES, i + 1)) {
            memcpy(copy + i * PAGE, wr->p + i * PAGE, PAGE);
        }
    }
    g_assert_cmpint(memcmp(copy, wr->p, PAGES * PAGE), ==, 0);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_cmpuint(((uint32_t *)(copy + i * PAGE))[0], ==, wr->round[i]);
    }
    dirty_wp_free(w);
    munmap(wr->p, PAGES * PAGE);
    g_free(copy);
    g_free(wr);
}

/* What a file holds, this process need never have mapped: looking at it is no write either. */
static void test_file_unseen(gconstpointer shared)
{
    g_autofree unsigned long *map = bitmap_new(PAGES);
    g_autofree char *data = g_malloc(PAGE);
    g_autofree char *name = NULL;
    RAMBlock *rb;
    DirtyWP *w;
    int fd;

    if (!supported()) {
        return;
    }
    fd = g_file_open_tmp("test-dirty-wp-XXXXXX", &name, NULL);
    g_assert_cmpint(fd, >=, 0);
    unlink(name);
    g_assert_cmpint(ftruncate(fd, PAGES * PAGE), ==, 0);
    memset(data, 1, PAGE);
    for (unsigned i = 100; i < 1000; i++) {
        g_assert_cmpint(pwrite(fd, data, PAGE, i * PAGE), ==, PAGE);
    }
    rb = qemu_ram_alloc_from_fd(PAGES * PAGE, NULL, GPOINTER_TO_INT(shared), fd, 0, &error_abort);
    madvise(rb->host, PAGES * PAGE, MADV_NOHUGEPAGE);
    rb->host[500 * PAGE] = 2;           /* before: clean */
    w = dirty_wp_new(&error_abort);
    g_assert_true(dirty_wp_add_block(w, rb, &error_abort));
    for (unsigned i = 100; i < 1000; i++) {
        g_assert_cmpint(qatomic_read(&rb->host[i * PAGE]), ==, i == 500 ? 2 : 1);
    }
    g_assert_cmpint(dirty_wp_sync_block(w, rb), ==, 0);
    g_assert_cmpuint(ram_block_take_dirty(rb, 0, PAGES, map), ==, 0);

    /* Written ones are: seen and unseen by then, of the file and of its holes. */
    rb->host[300 * PAGE] = rb->host[500 * PAGE] = rb->host[50 * PAGE] = 3;
    g_assert_cmpint(dirty_wp_sync_block(w, rb), ==, 0);
    g_assert_cmpuint(ram_block_take_dirty(rb, 0, PAGES, map), ==, 3);
    g_assert_true(test_bit(300, map) && test_bit(500, map) && test_bit(50, map));
    dirty_wp_free(w);

    w = dirty_wp_new(&error_abort);
    g_assert_cmpint(madvise(rb->host, PAGES * PAGE, MADV_DONTNEED), ==, 0);
    g_assert_true(dirty_wp_add_block(w, rb, &error_abort));
    rb->host[700 * PAGE] = 4;           /* without a look at it */
    g_assert_cmpint(dirty_wp_sync_block(w, rb), ==, 0);
    bitmap_zero(map, PAGES);
    g_assert_cmpuint(ram_block_take_dirty(rb, 0, PAGES, map), ==, 1);
    g_assert_true(test_bit(700, map));
    dirty_wp_free(w);
    qemu_ram_free(rb);
}

static void test_errors(void)
{
    uint8_t *p;
    DirtyWP *w, *other;
    Error *err = NULL;

    if (!supported()) {
        return;
    }
    p = make_memory(MEM_PRIVATE, PAGES * PAGE);
    w = dirty_wp_new(&error_abort);
    other = dirty_wp_new(&error_abort);
    g_assert_cmpint(dirty_wp_collect(w, p, collect_bit, NULL), ==, -ENOENT);
    dirty_wp_remove(w, p);
    dirty_wp_add(w, p, PAGES * PAGE, &error_abort);
    g_assert_false(dirty_wp_add(other, p, PAGES * PAGE, &err));
    g_assert_nonnull(err);
    g_clear_pointer(&err, error_free);
    dirty_wp_remove(w, p);
    dirty_wp_add(other, p, PAGES * PAGE, &error_abort);
    dirty_wp_free(other);
    g_assert_false(dirty_wp_add(w, p + 1, PAGE, &err));
    error_free(err);
    dirty_wp_free(w);
    dirty_wp_free(NULL);
    munmap(p, PAGES * PAGE);
}

static unsigned long page_table_kib(void)
{
    g_autofree char *status = NULL;
    const char *line;

    g_assert_true(g_file_get_contents("/proc/self/status", &status, NULL, NULL));
    line = strstr(status, "VmPTE:");
    return line ? strtoul(line + 6, NULL, 10) : 0;
}

/* A large untouched mapping is cheap to add and to collect, and stays untouched. */
static void test_untouched(void)
{
    size_t size = 8ull << 30;
    g_autofree unsigned long *map = bitmap_new(PAGES);
    uint8_t *p;
    DirtyWP *w;
    unsigned long tables;
    int64_t start;

    if (!supported()) {
        return;
    }
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0);
    g_assert_true(p != MAP_FAILED);
    madvise(p, size, MADV_NOHUGEPAGE);
    w = dirty_wp_new(&error_abort);
    tables = page_table_kib();
    start = g_get_monotonic_time();
    dirty_wp_add(w, p, size, &error_abort);
    for (int i = 0; i < 10; i++) {
        p[i * PAGE] = 1;
        bitmap_zero(map, PAGES);
        g_assert_cmpint(dirty_wp_collect(w, p, collect_bit, map), ==, 0);
        g_assert_cmpuint(bitmap_count_one(map, PAGES), ==, 1);
    }
    g_assert_cmpuint(page_table_kib(), <, tables + 1024);
    g_test_message("8 GiB untouched: %" PRIi64 " us for one start and ten passes",
                   g_get_monotonic_time() - start);
    dirty_wp_free(w);
    munmap(p, size);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/dirty-wp/private", GINT_TO_POINTER(MEM_PRIVATE), test_kind);
    g_test_add_data_func("/dirty-wp/memfd", GINT_TO_POINTER(MEM_MEMFD), test_kind);
    g_test_add_data_func("/dirty-wp/shared", GINT_TO_POINTER(MEM_SHARED_ANON), test_kind);
    g_test_add_data_func("/dirty-wp/file", GINT_TO_POINTER(MEM_FILE), test_kind);
    g_test_add_func("/dirty-wp/kernel-writes", test_kernel_writes);
    g_test_add_func("/dirty-wp/race", test_race);
    g_test_add_data_func("/dirty-wp/file-unseen/shared", GINT_TO_POINTER(RAM_SHARED),
                         test_file_unseen);
    g_test_add_data_func("/dirty-wp/file-unseen/private", GINT_TO_POINTER(0), test_file_unseen);
    g_test_add_func("/dirty-wp/errors", test_errors);
    g_test_add_func("/dirty-wp/untouched", test_untouched);
    return g_test_run();
}
