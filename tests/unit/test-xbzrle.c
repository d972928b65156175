/*
 * XBZRLE: differences made by each form of the encoder lead from the old page to the new one; what is
 * no difference is refused and touches nothing outside the page. And the cache of pages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../../migration/page_cache.h"
#include "../../migration/xbzrle.h"
#include "qapi/error.h"

#define PAGE 4096

static void random_bytes(GRand *rand, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = g_rand_int(rand) >> 9;
    }
}

/* A page and a later one: from nothing changed to everything, in bytes, words and stretches. */
static void make_pair(GRand *rand, uint8_t *old, uint8_t *new)
{
    int changes = g_rand_int_range(rand, 0, 4) ? g_rand_int_range(rand, 0, 60)
                                               : g_rand_int_range(rand, 0, 3000);

    random_bytes(rand, old, PAGE);
    memcpy(new, old, PAGE);
    for (int i = 0; i < changes; i++) {
        int at = g_rand_int_range(rand, 0, PAGE);
        int len = g_rand_int_range(rand, 1, g_rand_int_range(rand, 2, 200));

        random_bytes(rand, new + at, MIN(len, PAGE - at));
    }
    if (g_rand_boolean(rand)) {
        new[PAGE - 1] ^= 1;
    }
    if (g_rand_boolean(rand)) {
        new[0] ^= 1;
    }
}

static void test_forms(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint8_t old[PAGE], new[PAGE], plain[PAGE], other[PAGE], out[PAGE + 16];

    for (int turn = 0; turn < 3000; turn++) {
        int room = g_rand_int_range(rand, 0, 3) ? PAGE : g_rand_int_range(rand, 0, PAGE);
        int len;

        make_pair(rand, old, new);
        g_assert_true(xbzrle_use(0));
        len = xbzrle_encode_buffer(old, new, PAGE, plain, room);
        g_assert_cmpint(len, <=, room);
        g_assert_true((len == 0) == !memcmp(old, new, PAGE));
        for (int form = 1; form <= 2; form++) {
            if (xbzrle_use(form)) {
                g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, other, room), ==, len);
                g_assert_cmpmem(other, MAX(len, 0), plain, MAX(len, 0));
            }
        }
        if (len >= 0) {
            memcpy(out, old, PAGE);
            memset(out + PAGE, 0x5a, 16);
            g_assert_cmpint(xbzrle_decode_buffer(plain, len, out, PAGE), <=, PAGE);
            g_assert_cmpmem(out, PAGE, new, PAGE);
            for (int i = 0; i < 16; i++) {
                g_assert_cmpuint(out[PAGE + i], ==, 0x5a);
            }
        }
    }
}

static int slow_count(uint8_t *dst, int n)
{
    dst[0] = n >= 0x80 ? n | 0x80 : n;
    dst[1] = n >> 7;
    return n >= 0x80 ? 2 : 1;
}

/* Byte by byte, as the wire form is described; gaps of up to three are no runs. */
static int slow_encode(const uint8_t *old, const uint8_t *new, uint8_t *dst)
{
    int used = 0, done = 0;

    for (int first = 0; first < PAGE; first++) {
        int end = first + 1, same = 0;

        if (old[first] == new[first]) {
            continue;
        }
        for (int at = end; at < PAGE && same <= 3; at++) {
            if (old[at] == new[at]) {
                same++;
            } else {
                same = 0;
                end = at + 1;
            }
        }
        used += slow_count(dst + used, first - done);
        used += slow_count(dst + used, end - first);
        memcpy(dst + used, new + first, end - first);
        used += end - first;
        done = end;
        first = end;
    }
    return used;
}

static void test_against_slow(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    uint8_t old[PAGE], new[PAGE], fast[2 * PAGE], slow[2 * PAGE];

    for (int turn = 0; turn < 3000; turn++) {
        int expected;

        if (turn % 3) {
            make_pair(rand, old, new);
        } else {                /* about the ends of lines */
            memset(old, 0, PAGE);
            memset(new, 0, PAGE);
            for (int i = g_rand_int_range(rand, 1, 40); i > 0; i--) {
                new[(g_rand_int_range(rand, 0, 64) * 64 + g_rand_int_range(rand, -4, 4)) & 4095] = 1;
            }
        }
        expected = slow_encode(old, new, slow);
        for (int form = 0; form <= 2; form++) {
            if (xbzrle_use(form)) {
                g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, fast, sizeof(fast)), ==,
                                expected);
                g_assert_cmpmem(fast, expected, slow, expected);
            }
        }
    }
}

/* The bytes themselves, which other programs read. */
static void test_wire(void)
{
    uint8_t old[PAGE] = {}, new[PAGE] = {}, out[64];
    static const uint8_t few[] = { 0, 1, 7, 199 - 128 + 128, 1, 2, 8, 9 };

    new[0] = 7;
    new[200] = 8;
    new[201] = 9;
    g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, out, sizeof(out)), ==, sizeof(few));
    g_assert_cmpmem(out, sizeof(few), few, sizeof(few));
}

static void test_gap(void)
{
    for (int gap = 1; gap < 8; gap++) {
        uint8_t old[PAGE] = {}, new[PAGE] = {}, out[64];

        new[62] = 1;
        new[63 + gap] = 1;
        /* One run over the gap, or two. */
        g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, out, sizeof(out)), ==,
                        gap <= 3 ? 4 + gap : 6);
    }
}

static void test_overflow(void)
{
    uint8_t old[PAGE], new[PAGE], out[PAGE + 1];

    memset(old, 1, PAGE);
    memset(new, 2, PAGE);
    g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, out, PAGE), ==, -1);
    memset(new + 100, 1, PAGE - 100);
    out[103] = 0x5a;
    g_assert_cmpint(xbzrle_encode_buffer(old, new, PAGE, out, 102), ==, -1);
    g_assert_cmpuint(out[103], ==, 0x5a);
}

static void test_refused(void)
{
    static const struct { uint8_t data[8]; int size; const char *what; } bad[] = {
        { { 0 }, 1, "no second count" },
        { { 0, 0 }, 2, "nothing changed" },
        { { 5, 0 }, 2, "nothing changed behind a run" },
        { { 0, 1 }, 2, "no bytes" },
        { { 0, 3, 1, 2 }, 4, "too few bytes" },
        { { 0, 1, 9, 0, 1, 9 }, 6, "two runs without a gap" },
        { { 0xff, 0x1f, 2, 1, 1 }, 5, "beyond the page" },
        { { 0x80, 0x20, 1, 1 }, 4, "begins behind the page" },
        { { 0x80, 0x80, 1, 1, 1 }, 5, "a count of three bytes" },
        { { 0x80 }, 1, "half a count" },
        { { 0, 0x80 }, 2, "half a second count" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t page[PAGE + 16];

        memset(page, 0x5a, sizeof(page));
        if (xbzrle_decode_buffer(bad[i].data, bad[i].size, page, PAGE) != -1) {
            g_error("%s was taken", bad[i].what);
        }
        for (int j = 0; j < 16; j++) {
            g_assert_cmpuint(page[PAGE + j], ==, 0x5a);
        }
    }
}

/* Anything at all: nothing outside the page is read or written. */
static void test_noise(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);

    for (int turn = 0; turn < 20000; turn++) {
        int size = g_rand_int_range(rand, 0, 300);
        g_autofree uint8_t *src = g_malloc(MAX(size, 1)), *page = g_malloc0(PAGE);

        random_bytes(rand, src, size);
        for (int i = 0; i < size; i += g_rand_int_range(rand, 1, 9)) {
            src[i] &= 0x1f;
        }
        g_assert_cmpint(xbzrle_decode_buffer(src, size, page, PAGE), <=, PAGE);
    }
}

static void test_cache(void)
{
    PageCache *cache = cache_init(8 * PAGE, PAGE, &error_abort);
    uint8_t *data;

    g_assert_cmpuint(cache_size(cache), ==, 8 * PAGE);
    g_assert_null(cache_lookup(cache, 3, 1));
    data = cache_insert(cache, 3, 1);
    memset(data, 3, PAGE);
    g_assert_true(cache_lookup(cache, 3, 1) == data);
    g_assert_cmpuint(data[PAGE - 1], ==, 3);
    /* 11 wants the same place, and gets it when 3 was not used for two passes. */
    g_assert_null(cache_insert(cache, 11, 2));
    g_assert_nonnull(cache_lookup(cache, 3, 2));
    g_assert_null(cache_insert(cache, 11, 3));
    g_assert_true(cache_insert(cache, 11, 4) == data);
    g_assert_null(cache_lookup(cache, 3, 4));
    g_assert_nonnull(cache_lookup(cache, 11, 4));
    /* A page's own place is always free for it. */
    g_assert_true(cache_insert(cache, 11, 4) == data);
    cache_fini(cache);
}

static void test_cache_resize(void)
{
    PageCache *cache = cache_init(8 * PAGE, PAGE, &error_abort);
    Error *err = NULL;
    unsigned left = 0;

    for (int i = 0; i < 8; i++) {
        memset(cache_insert(cache, i, i), i, PAGE);
    }
    g_assert_true(cache_resize(cache, 16 * PAGE, &error_abort));
    memset(cache_insert(cache, 8, 9), 8, PAGE);
    for (int i = 0; i < 9; i++) {
        g_assert_cmpuint(cache_lookup(cache, i, i)[17], ==, i);
    }
    g_assert_true(cache_resize(cache, 2 * PAGE, &error_abort));
    /* The later ones are left. */
    for (int i = 0; i < 9; i++) {
        const uint8_t *data = cache_lookup(cache, i, 9);

        if (data) {
            g_assert_cmpuint(data[0], ==, i);
            g_assert_cmpint(i, >=, 7);
            left++;
        }
    }
    g_assert_cmpuint(left, ==, 2);
    g_assert_false(cache_resize(cache, UINT64_MAX / 2 + 1, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "no memory for a page cache"));
    error_free(err);
    g_assert_nonnull(cache_lookup(cache, 8, 9));
    g_assert_cmpuint(cache_size(cache), ==, 2 * PAGE);
    cache_fini(cache);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xbzrle/forms", test_forms);
    g_test_add_func("/xbzrle/slow", test_against_slow);
    g_test_add_func("/xbzrle/wire", test_wire);
    g_test_add_func("/xbzrle/gap", test_gap);
    g_test_add_func("/xbzrle/overflow", test_overflow);
    g_test_add_func("/xbzrle/refused", test_refused);
    g_test_add_func("/xbzrle/noise", test_noise);
    g_test_add_func("/page-cache/use", test_cache);
    g_test_add_func("/page-cache/resize", test_cache_resize);
    return g_test_run();
}
