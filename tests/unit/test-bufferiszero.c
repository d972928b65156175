/*
 * buffer_is_zero(): every implementation that this CPU has, at every alignment and length that can
 * matter, with one non-zero byte at every place, inside and just outside.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"

#define MAX_LEN 4096
#define MAX_ALIGN 64

/* The buffer ends at an unreadable page: looking behind it would crash. */
static uint8_t *area, *area_end;

static void set_up_area(void)
{
    size_t page = qemu_real_host_page_size();
    size_t size = QEMU_ALIGN_UP(MAX_LEN + 2 * MAX_ALIGN, page);

    area = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(area != MAP_FAILED);
    area_end = area + size;
    g_assert_cmpint(mprotect(area_end, page, PROT_NONE), ==, 0);
}

static void check_one(const uint8_t *buf, size_t len, bool want)
{
    if (buffer_is_zero(buf, len) != want) {
        g_error("%s: %zu bytes at alignment %zu: %d", buffer_is_zero_accel_name(), len,
                (size_t)buf % MAX_ALIGN, !want);
    }
}

/* One non-zero byte at each place of [0, len) in turn, and at the last one. */
static void check_each_byte(uint8_t *buf, size_t len, size_t step)
{
    for (size_t i = 0; i < len; i += step) {
        buf[i] = 1u << (i % 8);
        check_one(buf, len, false);
        buf[i] = 0;
    }
    if (len) {
        buf[len - 1] = 0x80;
        check_one(buf, len, false);
        buf[len - 1] = 0;
    }
}

static void check_buffer(uint8_t *buf, size_t len, size_t step)
{
    check_one(buf, len, true);
    check_each_byte(buf, len, step);
    /* What lies around does not count. */
    buf[-1] = 0xff;
    if (buf + len < area_end) {
        buf[len] = 0xff;
    }
    check_one(buf, len, true);
    buf[-1] = 0;
    if (buf + len < area_end) {
        buf[len] = 0;
    }
}

static void test_impl(void)
{
    /* All short lengths at all alignments, every byte. */
    for (size_t align = 0; align < MAX_ALIGN; align += 7) {
        for (size_t len = 0; len <= 300; len++) {
            check_buffer(area + MAX_ALIGN + align, len, 1);
        }
    }
    /* Around the block sizes of every implementation: 128, 256, 512 and their multiples. */
    for (size_t block = 384; block <= 1536; block += 128) {
        for (size_t len = block - 2; len <= block + 2; len++) {
            check_buffer(area + MAX_ALIGN + len % MAX_ALIGN, len, 3);
        }
    }
    /* A page, at every alignment; and all lengths up to the unreadable page. */
    for (size_t align = 0; align < MAX_ALIGN; align++) {
        check_buffer(area + MAX_ALIGN + align, MAX_LEN, align ? 61 : 1);
    }
    for (size_t len = 0; len <= 1100; len++) {
        check_one(area_end - len, len, true);
        if (len) {
            area_end[-1] = 1;
            check_one(area_end - len, len, false);
            area_end[-1] = 0;
        }
    }
}

static void test_all(void)
{
    unsigned n = 0;

    do {
        g_test_message("%s", buffer_is_zero_accel_name());
        test_impl();
        n++;
    } while (test_buffer_is_zero_next_accel());
    /* The last one is the portable one, and there is at least SSE2 before it on x86-64. */
    g_assert_cmpstr(buffer_is_zero_accel_name(), ==, "int");
#if defined(__x86_64__)
    g_assert_cmpint(n, >=, 2);
#endif
    g_assert_false(test_buffer_is_zero_next_accel());
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up_area();
    g_test_add_func("/bufferiszero/all", test_all);
    return g_test_run();
}
