/*
 * Bitmaps against the obvious: every operation is done a bit at a time on an array of bool too, and
 * both must agree, for all starts and lengths around word borders.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/thread.h"

#define BITS 200 /* three words and a part of a fourth */
#define GUARD 120 /* bits behind the map, which nobody may touch */

typedef struct Pair {
    DECLARE_BITMAP(map, BITS + GUARD);
    bool naive[BITS + GUARD];
} Pair;

static void pair_fill(Pair *p, uint32_t seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    bitmap_zero(p->map, BITS + GUARD);
    for (int i = 0; i < BITS + GUARD; i++) {
        /* Seeds 0 and 1 are all clear and all set. */
        p->naive[i] = seed < 2 ? seed : g_rand_int_range(rand, 0, seed % 7 + 2) == 0;
        if (p->naive[i]) {
            set_bit(i, p->map);
        }
    }
}

static void pair_check(const Pair *p)
{
    for (int i = 0; i < BITS + GUARD; i++) {
        if (test_bit(i, p->map) != p->naive[i]) {
            g_error("bit %d is %d", i, !p->naive[i]);
        }
    }
}

typedef struct Range {
    unsigned long start, nr;
} Range;

/* All ranges that start or end near a word's border, and some between. */
static GArray *all_ranges(void)
{
    GArray *ranges = g_array_new(false, false, sizeof(Range));

    for (unsigned long start = 0; start < BITS; start++) {
        for (unsigned long nr = 0; start + nr <= BITS; nr++) {
            if (start % 64 < 3 || start % 64 > 61 || (start + nr) % 64 < 3) {
                Range r = {start, nr};

                g_array_append_val(ranges, r);
            }
        }
    }
    return ranges;
}

static void for_ranges(void (*fn)(Pair *p, unsigned long start, unsigned long nr))
{
    g_autoptr(GArray) ranges = all_ranges();
    Pair start, p;

    for (uint32_t seed = 0; seed < 5; seed++) {
        pair_fill(&start, seed);
        for (guint i = 0; i < ranges->len; i++) {
            Range *r = &g_array_index(ranges, Range, i);

            p = start;
            fn(&p, r->start, r->nr);
            pair_check(&p);
        }
    }
}

static void naive_set(Pair *p, unsigned long start, unsigned long nr, bool value)
{
    for (unsigned long i = start; i < start + nr; i++) {
        p->naive[i] = value;
    }
}

static unsigned long naive_count(const Pair *p, unsigned long start, unsigned long nr)
{
    unsigned long n = 0;

    for (unsigned long i = start; i < start + nr; i++) {
        n += p->naive[i];
    }
    return n;
}

static void do_set(Pair *p, unsigned long start, unsigned long nr)
{
    bitmap_set(p->map, start, nr);
    naive_set(p, start, nr, true);
}

static void do_clear(Pair *p, unsigned long start, unsigned long nr)
{
    bitmap_clear(p->map, start, nr);
    naive_set(p, start, nr, false);
}

static void do_set_atomic(Pair *p, unsigned long start, unsigned long nr)
{
    bitmap_set_atomic(p->map, start, nr);
    naive_set(p, start, nr, true);
}

static void do_test_and_clear_atomic(Pair *p, unsigned long start, unsigned long nr)
{
    bool any = naive_count(p, start, nr);

    g_assert_true(bitmap_test_and_clear_atomic(p->map, start, nr) == any);
    naive_set(p, start, nr, false);
}

static void do_count(Pair *p, unsigned long start, unsigned long nr)
{
    g_assert_cmpint(bitmap_count_one_with_offset(p->map, start, nr), ==,
                    naive_count(p, start, nr));
}

static void test_set(void)
{
    for_ranges(do_set);
}

static void test_clear(void)
{
    for_ranges(do_clear);
}

static void test_set_atomic(void)
{
    for_ranges(do_set_atomic);
}

static void test_test_and_clear_atomic(void)
{
    for_ranges(do_test_and_clear_atomic);
}

static void test_count(void)
{
    for_ranges(do_count);
    for (uint32_t seed = 0; seed < 20; seed++) {
        Pair p;

        pair_fill(&p, seed);
        for (int size = 0; size <= BITS; size++) {
            g_assert_cmpint(bitmap_count_one(p.map, size), ==, naive_count(&p, 0, size));
        }
    }
}

static void test_find(void)
{
    for (uint32_t seed = 0; seed < 12; seed++) {
        Pair p;

        pair_fill(&p, seed);
        for (unsigned long size = 0; size <= BITS; size++) {
            unsigned long last = size;

            for (unsigned long i = 0; i < size; i++) {
                last = p.naive[i] ? i : last;
            }
            g_assert_cmpint(find_last_bit(p.map, size), ==, last);
            g_assert_cmpint(find_first_bit(p.map, size), ==, find_next_bit(p.map, size, 0));
            /* Offsets behind the end find nothing. */
            for (unsigned long offset = 0; offset <= size + 70; offset++) {
                unsigned long one = offset, zero = offset;

                while (one < size && !p.naive[one]) {
                    one++;
                }
                while (zero < size && p.naive[zero]) {
                    zero++;
                }
                g_assert_cmpint(find_next_bit(p.map, size, offset), ==, MIN(one, size));
                g_assert_cmpint(find_next_zero_bit(p.map, size, offset), ==, MIN(zero, size));
            }
        }
    }
}

/* One bit alone, in every place, with every size. */
static void test_find_single(void)
{
    for (int bit = 0; bit < BITS; bit++) {
        DECLARE_BITMAP(map, BITS) = {0};

        set_bit(bit, map);
        for (int offset = 0; offset < BITS; offset++) {
            g_assert_cmpint(find_next_bit(map, BITS, offset), ==, offset <= bit ? bit : BITS);
        }
        g_assert_cmpint(find_next_bit(map, bit, 0), ==, bit); /* just behind the end: not seen */
        g_assert_cmpint(find_last_bit(map, BITS), ==, bit);
    }
}

/* Operations on whole maps leave what is behind the map's last word alone, and agree bit by bit. */
static void test_whole(void)
{
    for (int size = 0; size <= BITS; size++) {
        Pair a, b, out;
        size_t words = BITS_TO_LONGS(size);

        pair_fill(&a, 2 + size);
        pair_fill(&b, 3 + size);

        bitmap_fill(out.map, BITS + GUARD);
        bitmap_zero(out.map, size);
        g_assert_true(bitmap_empty(out.map, size));
        g_assert_cmpint(out.map[words], ==, ~0ul);

        bitmap_zero(out.map, BITS + GUARD);
        bitmap_fill(out.map, size);
        g_assert_cmpint(bitmap_count_one(out.map, BITS + GUARD), ==, size);
        g_assert_true(bitmap_empty(out.map, size) == (size == 0));

        bitmap_or(out.map, a.map, b.map, size);
        for (int i = 0; i < size; i++) {
            g_assert_true(test_bit(i, out.map) == (a.naive[i] || b.naive[i]));
        }
        bitmap_complement(out.map, a.map, size);
        for (int i = 0; i < size; i++) {
            g_assert_true(test_bit(i, out.map) == !a.naive[i]);
        }
        bitmap_copy(out.map, a.map, size);
        g_assert_true(bitmap_equal(out.map, a.map, size));
        if (size) {
            /* A difference in the last bit counts, one behind it does not. */
            out.map[BIT_WORD(size - 1)] ^= BIT_MASK(size - 1);
            g_assert_false(bitmap_equal(out.map, a.map, size));
            g_assert_true(bitmap_equal(out.map, a.map, size - 1));
        }
    }
}

static void test_le(void)
{
    DECLARE_BITMAP(map, 128) = {0};
    DECLARE_BITMAP(wire, 128);
    DECLARE_BITMAP(back, 128);
    const uint8_t *bytes = (const uint8_t *)wire;

    set_bit(0, map);
    set_bit(9, map);
    set_bit(127, map);
    bitmap_to_le(wire, map, 128);
    g_assert_cmpint(bytes[0], ==, 1);
    g_assert_cmpint(bytes[1], ==, 2);
    g_assert_cmpint(bytes[15], ==, 0x80);
    bitmap_from_le(back, wire, 128);
    g_assert_true(bitmap_equal(back, map, 128));
}

static void test_new(void)
{
    for (unsigned long nbits = 0; nbits < 200; nbits += 63) {
        g_autofree unsigned long *map = bitmap_new(nbits);

        g_assert_nonnull(map);
        g_assert_true(bitmap_empty(map, nbits));
    }
#ifndef __SANITIZE_ADDRESS__ /* which aborts by itself */
    /* More than there is: no abort. */
    g_assert_null(bitmap_try_new(ULONG_MAX - 64));
#endif
}

/*
 * Two setters and a taker at once: every bit is taken at some time, and none is lost to what is
 * done to its neighbours in the same word.
 */
#define RACE_BITS 1000
#define RACE_ROUNDS 2000

static unsigned long race_map[BITS_TO_LONGS(RACE_BITS)];

static void *race_setter(void *opaque)
{
    unsigned long odd = GPOINTER_TO_UINT(opaque);

    for (int round = 0; round < RACE_ROUNDS; round++) {
        for (unsigned long i = odd; i < RACE_BITS; i += 2) {
            bitmap_set_atomic(race_map, i, 1);
        }
    }
    return NULL;
}

static void test_race(void)
{
    g_autofree bool *seen = g_new0(bool, RACE_BITS);
    QemuThread threads[2];
    unsigned found = 0;

    for (unsigned i = 0; i < 2; i++) {
        qemu_thread_create(&threads[i], "setter", race_setter, GUINT_TO_POINTER(i),
                           QEMU_THREAD_JOINABLE);
    }
    /* Each bit is the business of one setter: its neighbours' takings must not lose it. */
    for (int i = 0; found < RACE_BITS; i = (i + 1) % RACE_BITS) {
        if (bitmap_test_and_clear_atomic(race_map, i, 1) && !seen[i]) {
            seen[i] = true;
            found++;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        qemu_thread_join(&threads[i]);
    }
    bitmap_test_and_clear_atomic(race_map, 0, RACE_BITS);
    g_assert_true(bitmap_empty(race_map, RACE_BITS));
}

/*
 * What the dirty log stands on: a value written before its bit is set is seen by whoever takes the
 * bit, also where the bit was set already and setting it changes nothing.
 */
static unsigned long log_map[1];
static unsigned log_value, log_stop;

static void *log_writer(void *opaque)
{
    for (unsigned i = 1; !qatomic_read(&log_stop); i++) {
        qatomic_set(&log_value, i);
        bitmap_set_atomic(log_map, 5, 1);
    }
    return NULL;
}

static void test_log_order(void)
{
    unsigned copy = 0;
    QemuThread thread;

    qemu_thread_create(&thread, "writer", log_writer, NULL, QEMU_THREAD_JOINABLE);
    for (int i = 0; i < 300000; i++) {
        if (bitmap_test_and_clear_atomic(log_map, 5, 1)) {
            copy = qatomic_read(&log_value);
        }
    }
    qatomic_set(&log_stop, 1);
    qemu_thread_join(&thread);
    if (bitmap_test_and_clear_atomic(log_map, 5, 1)) {
        copy = qatomic_read(&log_value);
    }
    g_assert_cmpint(copy, ==, log_value);
}

static void test_bit_fields(void)
{
    g_assert_cmpint(ctz32(0), ==, 32);
    g_assert_cmpint(ctz64(0), ==, 64);
    g_assert_cmpint(clz32(0), ==, 32);
    g_assert_cmpint(clz64(0), ==, 64);
    g_assert_cmpint(clz64(1), ==, 63);
    g_assert_cmpint(ctz64(1ull << 63), ==, 63);
    g_assert_cmphex(MAKE_64BIT_MASK(4, 8), ==, 0xff0);
    g_assert_cmphex(MAKE_64BIT_MASK(0, 64), ==, UINT64_MAX);
    g_assert_cmphex(extract32(0x12345678, 8, 12), ==, 0x456);
    g_assert_cmphex(extract64(0x123456789abcdef0ull, 0, 64), ==, 0x123456789abcdef0ull);
    g_assert_cmphex(deposit32(0xffffffff, 8, 8, 0x12), ==, 0xffff12ff);
    g_assert_cmphex(deposit64(0, 60, 4, 0xff), ==, 0xf000000000000000ull);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bitmap/set", test_set);
    g_test_add_func("/bitmap/clear", test_clear);
    g_test_add_func("/bitmap/set-atomic", test_set_atomic);
    g_test_add_func("/bitmap/test-and-clear-atomic", test_test_and_clear_atomic);
    g_test_add_func("/bitmap/count", test_count);
    g_test_add_func("/bitmap/find", test_find);
    g_test_add_func("/bitmap/find-single", test_find_single);
    g_test_add_func("/bitmap/whole", test_whole);
    g_test_add_func("/bitmap/little-endian", test_le);
    g_test_add_func("/bitmap/new", test_new);
    g_test_add_func("/bitmap/race", test_race);
    g_test_add_func("/bitmap/log-order", test_log_order);
    g_test_add_func("/bitops/fields", test_bit_fields);
    return g_test_run();
}
