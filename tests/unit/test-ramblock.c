/*
 * RAM blocks: names and sizes, dirty bitmaps moved in words and fractions of words, and what the
 * kernel says of untouched memory, private and shared.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "system/ramblock.h"

static void test_alloc(void)
{
    RAMBlock *a = qemu_ram_alloc(5000, 0, NULL, &error_abort), *b;
    Error *err = NULL;
    ram_addr_t off;

    g_assert_cmpint(a->used_length, ==, 8192);
    b = qemu_ram_alloc(1 * MiB, RAM_SHARED, NULL, &error_abort);
    g_assert_cmpint(b->fd, >=, 0);
    g_assert(QLIST_FIRST(&ram_list.blocks) == b); /* largest first */
    qemu_ram_set_idstr(a, "name", "dev");
    g_assert(qemu_ram_block_by_name("dev/name") == a);
    g_assert_null(qemu_ram_block_by_name("name"));
    g_assert(qemu_ram_block_from_host(b->host + 77, &off) == b);
    g_assert_cmpint(off, ==, 77);
    g_assert_cmpint(ram_bytes_total(), ==, 8192 + MiB);

    g_assert_cmpint(qemu_ram_resize(a, 4096, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "dev/name"));
    error_free_or_abort(&err);
    g_assert_null(qemu_ram_alloc(0, 0, NULL, &err));
    error_free_or_abort(&err);
    g_assert_null(qemu_ram_alloc(UINT64_MAX - 5, 0, NULL, &err));
    error_free_or_abort(&err);
    g_assert_null(qemu_ram_alloc(1ull << 55, 0, NULL, &err));
    error_free_or_abort(&err);
    qemu_ram_free(a);
    qemu_ram_free(b);
    g_assert(QLIST_EMPTY(&ram_list.blocks));
}

/* Whoever goes along the list without the lock stands on blocks that are taken out, one and the next. */
static void test_hold(void)
{
    RAMBlock *a = qemu_ram_alloc(3 * MiB, 0, NULL, &error_abort);
    RAMBlock *b = qemu_ram_alloc(2 * MiB, 0, NULL, &error_abort);
    RAMBlock *c = qemu_ram_alloc(1 * MiB, 0, NULL, &error_abort), *here = b;

    qemu_ram_list_hold();
    qemu_ram_list_hold();
    qemu_ram_free(b);
    g_assert(QLIST_FIRST(&ram_list.blocks) == a && QLIST_NEXT(a, next) == c);
    g_assert(QLIST_NEXT(here, next) == c);
    g_assert_false(qemu_ram_is_migratable(here));
    b = qemu_ram_alloc(2 * MiB, 0, NULL, &error_abort);
    g_assert(QLIST_NEXT(a, next) == b && QLIST_NEXT(b, next) == c && !QLIST_NEXT(c, next));
    qemu_ram_free(a);
    g_assert(QLIST_FIRST(&ram_list.blocks) == b && QLIST_NEXT(a, next) == b);
    qemu_ram_list_release();
    g_assert(QLIST_NEXT(here, next) == c && QLIST_NEXT(a, next) == b);
    qemu_ram_list_release();
    qemu_ram_free(c);
    qemu_ram_free(b);
    g_assert(QLIST_EMPTY(&ram_list.blocks));
}

static int resizes;

static void resized(const char *idstr, uint64_t length, void *host)
{
    g_assert_cmpstr(idstr, ==, "fw");
    resizes++;
}

static void test_resize(void)
{
    RAMBlock *rb = qemu_ram_alloc_resizeable(64 * KiB, 256 * KiB, resized, NULL, &error_abort);
    Error *err = NULL;

    qemu_ram_set_idstr(rb, "fw", NULL);
    memset(rb->host, 1, 64 * KiB);
    g_assert_cmpint(qemu_ram_resize(rb, 128 * KiB, &error_abort), ==, 0);
    g_assert_cmpint(rb->used_length, ==, 128 * KiB);
    rb->host[100 * KiB] = 7;
    g_assert_cmpint(qemu_ram_resize(rb, 64 * KiB, &error_abort), ==, 0);
    g_assert_cmpint(rb->host[100 * KiB], ==, 0);
    g_assert_cmpint(qemu_ram_resize(rb, 257 * KiB, &err), <, 0);
    error_free_or_abort(&err);
    g_assert_cmpint(resizes, ==, 2);

    /* Only whole units; never nothing. */
    qemu_ram_set_resize_unit(rb, 64 * KiB);
    g_assert_cmpint(qemu_ram_resize(rb, 96 * KiB, &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "0x18000"));
    g_assert_nonnull(strstr(error_get_pretty(err), "0x10000"));
    error_free_or_abort(&err);
    g_assert_cmpint(qemu_ram_resize(rb, 0, &err), <, 0);
    error_free_or_abort(&err);
    g_assert_cmpint(qemu_ram_resize(rb, 192 * KiB, &error_abort), ==, 0);
    g_assert_cmpint(resizes, ==, 3);

    /* Not while it is being sent. */
    rb->bmap = bitmap_new(rb->max_length >> TARGET_PAGE_BITS);
    g_assert_cmpint(qemu_ram_resize(rb, 64 * KiB, &err), ==, -EBUSY);
    error_free_or_abort(&err);
    g_assert_cmpint(rb->used_length, ==, 192 * KiB);
    qemu_ram_free(rb);
}

/* OR bitmaps of all lengths at all positions, against one bit at a time. */
static void test_dirty(void)
{
    const uint64_t pages = 300;
    RAMBlock *rb = qemu_ram_alloc(pages * TARGET_PAGE_SIZE, 0, NULL, &error_abort);
    unsigned long *src = bitmap_new(pages), *dest = bitmap_new(pages), *want = bitmap_new(pages);

    for (int round = 0; round < 3000; round++) {
        uint64_t first = g_test_rand_int_range(0, pages), want_fresh = 0;
        uint64_t n = g_test_rand_int_range(0, pages - first + 1), from, len;

        bitmap_zero(src, pages);
        for (uint64_t i = 0; i < pages; i++) { /* bits beyond n must not count */
            if (g_test_rand_int_range(0, 3) == 0) {
                set_bit(i, src);
            }
        }
        ram_block_or_dirty(rb, first, n, src);
        from = g_test_rand_int_range(0, pages);
        len = g_test_rand_int_range(0, pages - from + 1);
        ram_block_set_dirty(rb, from * TARGET_PAGE_SIZE + 1, len ? (len - 1) * TARGET_PAGE_SIZE + 1 : 0);
        for (uint64_t i = 0; i < pages; i++) {
            if ((i >= first && i < first + n && test_bit(i - first, src)) ||
                (i >= from && i < from + len)) {
                want_fresh += !test_and_set_bit(i, want);
            }
        }
        /* Taken in two parts. */
        from = g_test_rand_int_range(0, pages + 1);
        g_assert_cmpint(ram_block_take_dirty(rb, 0, from, dest) +
                            ram_block_take_dirty(rb, from, pages - from, dest), ==, want_fresh);
        g_assert_true(bitmap_equal(dest, want, pages));
        g_assert_true(bitmap_empty(rb->dirty, pages));
        if (round % 5 == 0) {
            bitmap_zero(dest, pages);
            bitmap_zero(want, pages);
        }
    }
    g_free(src);
    g_free(dest);
    g_free(want);
    qemu_ram_free(rb);
}

static void mark(uint64_t first, uint64_t npages, void *opaque)
{
    for (uint64_t i = first; i < first + npages; i++) {
        g_assert_false(test_and_set_bit(i, opaque)); /* each page once */
    }
}

/*
 * Pages that were written must be reported; whether others are depends on the kernel (huge
 * pages), but of memory nobody touched at all none may be.
 */
static void check_populated(RAMBlock *rb)
{
    uint64_t pages = ram_block_pages(rb);
    unsigned long *seen = bitmap_new(pages), *part = bitmap_new(pages);
    const uint64_t touched[] = {3, 511, 512, 513, 5000, pages - 1};

    madvise(rb->host, rb->used_length, MADV_NOHUGEPAGE);
    ram_block_foreach_populated(rb, 0, pages, mark, seen);
    g_assert_true(bitmap_empty(seen, pages));

    for (size_t i = 0; i < ARRAY_SIZE(touched); i++) {
        rb->host[touched[i] * TARGET_PAGE_SIZE] = 1;
    }
    /* Reading maps the zero page of private memory: still nothing there. */
    g_assert_cmpint(*(volatile uint8_t *)(rb->host + 100 * TARGET_PAGE_SIZE), ==, 0);
    ram_block_foreach_populated(rb, 0, pages, mark, seen);
    for (size_t i = 0; i < ARRAY_SIZE(touched); i++) {
        g_assert_true(test_bit(touched[i], seen));
    }
    g_assert_cmpint(bitmap_count_one(seen, pages), >=, ARRAY_SIZE(touched));
    g_assert_cmpint(bitmap_count_one(seen, pages), <, pages);

    ram_block_foreach_populated(rb, 512, 1, mark, part);
    g_assert_cmpint(bitmap_count_one(part, pages), ==, 1);
    g_assert_true(test_bit(512, part));

    g_assert_cmpint(ram_block_discard_range(rb, 0, rb->used_length, &error_abort), ==, 0);
    bitmap_zero(seen, pages);
    ram_block_foreach_populated(rb, 0, pages, mark, seen);
    g_assert_true(bitmap_empty(seen, pages));
    g_assert_cmpint(rb->host[3 * TARGET_PAGE_SIZE], ==, 0);
    g_free(seen);
    g_free(part);
}

static void test_populated_private(void)
{
    RAMBlock *rb = qemu_ram_alloc(64 * MiB, 0, NULL, &error_abort);

    check_populated(rb);
    qemu_ram_free(rb);
}

static void test_populated_shared(void)
{
    RAMBlock *rb = qemu_ram_alloc(64 * MiB, RAM_SHARED, NULL, &error_abort);

    check_populated(rb);
    qemu_ram_free(rb);
}

/* Memory that came through the descriptor is there although no page table knows it. */
static void test_populated_fd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    unsigned long *seen = bitmap_new(4096);
    RAMBlock *rb;

    g_assert_cmpint(ftruncate(fd, 16 * MiB), ==, 0);
    g_assert_cmpint(pwrite(fd, "x", 1, 7 * TARGET_PAGE_SIZE), ==, 1);
    rb = qemu_ram_alloc_from_fd(16 * MiB, NULL, RAM_SHARED, fd, 0, &error_abort);
    ram_block_foreach_populated(rb, 0, 4096, mark, seen);
    g_assert_true(test_bit(7, seen));
    g_assert_cmpint(rb->host[7 * TARGET_PAGE_SIZE], ==, 'x');
    qemu_ram_free(rb);
    g_free(seen);
}

static void test_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "test-ramblock-XXXXXX", NULL);
    int fd = g_mkstemp(path);
    Error *err = NULL;
    RAMBlock *rb;

    g_assert_cmpint(ftruncate(fd, 64 * KiB), ==, 0);
    g_assert_null(qemu_ram_alloc_from_file(128 * KiB, NULL, RAM_SHARED, path, 0, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "too small"));
    error_free_or_abort(&err);
    g_assert_null(qemu_ram_alloc_from_file(4096, NULL, RAM_SHARED, path, 100, &err));
    error_free_or_abort(&err);
    g_assert_null(qemu_ram_alloc_from_file(4096, NULL, RAM_SHARED, "/nonexistent/file", 0, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "/nonexistent/file"));
    error_free_or_abort(&err);
    rb = qemu_ram_alloc_from_file(60 * KiB, NULL, RAM_SHARED, path, 4096, &error_abort);
    rb->host[0] = 'q';
    qemu_ram_free(rb);
    char c;
    g_assert_cmpint(pread(fd, &c, 1, 4096), ==, 1);
    g_assert_cmpint(c, ==, 'q');
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ramblock/alloc", test_alloc);
    g_test_add_func("/ramblock/hold", test_hold);
    g_test_add_func("/ramblock/resize", test_resize);
    g_test_add_func("/ramblock/dirty", test_dirty);
    g_test_add_func("/ramblock/populated/private", test_populated_private);
    g_test_add_func("/ramblock/populated/shared", test_populated_shared);
    g_test_add_func("/ramblock/populated/fd", test_populated_fd);
    g_test_add_func("/ramblock/file", test_file);
    return g_test_run();
}
