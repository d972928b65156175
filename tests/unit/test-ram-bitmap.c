/*
 * Postcopy's bitmaps against the obvious: rounding to host pages, ranges to discard, the answer
 * after a pause.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../../migration/ram-bitmap.h"
#include "system/target_page.h"

#define PAGES_MAX 700

typedef struct Map {
    DECLARE_BITMAP(map, PAGES_MAX + 64);
    bool naive[PAGES_MAX];
    uint64_t pages;
} Map;

/* Bits behind the pages are set: nobody may look at them or change them. */
static void fill(Map *m, uint64_t pages, uint32_t seed, int density)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    m->pages = pages;
    bitmap_fill(m->map, PAGES_MAX + 64);
    bitmap_clear(m->map, 0, pages);
    for (uint64_t i = 0; i < pages; i++) {
        m->naive[i] = g_rand_int_range(rand, 0, density) == 0;
        if (m->naive[i]) {
            set_bit(i, m->map);
        }
    }
}

static void check(const Map *m)
{
    for (uint64_t i = 0; i < PAGES_MAX + 64; i++) {
        bool expected = i >= m->pages || m->naive[i];

        if (test_bit(i, m->map) != expected) {
            g_error("%" PRIu64 " pages: bit %" PRIu64 " is %d", m->pages, i, !expected);
        }
    }
}

static void test_round_up(void)
{
    static const uint64_t units[] = {1, 2, 3, 16, 64, 512};

    for (uint32_t seed = 0; seed < 300; seed++) {
        uint64_t pages = 1 + seed * 37 % PAGES_MAX, unit = units[seed % 6], fresh = 0;
        Map m;

        fill(&m, pages, seed, 1 + seed % 40);
        for (uint64_t first = 0; first < pages; first += unit) {
            uint64_t end = MIN(first + unit, pages);
            bool any = false;

            for (uint64_t i = first; i < end; i++) {
                any |= m.naive[i];
            }
            for (uint64_t i = first; any && i < end; i++) {
                fresh += !m.naive[i];
                m.naive[i] = true;
            }
        }
        g_assert_cmpuint(ram_bitmap_round_up(m.map, pages, unit), ==, fresh);
        check(&m);
        g_assert_cmpuint(ram_bitmap_round_up(m.map, pages, unit), ==, 0);
    }
}

typedef struct Seen {
    bool pages[PAGES_MAX];
    unsigned max, calls, last;
    uint64_t end; /* of the run before */
} Seen;

static void see(const uint64_t *pairs, unsigned npairs, void *opaque)
{
    Seen *seen = opaque;

    g_assert_cmpuint(npairs, >=, 1);
    g_assert_cmpuint(npairs, <=, seen->max);
    if (seen->calls++) {
        g_assert_cmpuint(seen->last, ==, seen->max); /* only the last one is not full */
    }
    seen->last = npairs;
    for (unsigned i = 0; i < npairs; i++) {
        uint64_t start = pairs[2 * i], length = pairs[2 * i + 1];

        g_assert_cmpuint(start % TARGET_PAGE_SIZE, ==, 0);
        g_assert_cmpuint(length % TARGET_PAGE_SIZE, ==, 0);
        g_assert_cmpuint(length, >, 0);
        if (seen->end) {
            g_assert_cmpuint(start, >, seen->end); /* ascending, and not two for one run */
        }
        seen->end = start + length;
        for (uint64_t page = start >> TARGET_PAGE_BITS; page < seen->end >> TARGET_PAGE_BITS;
             page++) {
            g_assert_cmpuint(page, <, PAGES_MAX);
            g_assert_false(seen->pages[page]);
            seen->pages[page] = true;
        }
    }
}

static void test_pairs(void)
{
    for (uint32_t seed = 0; seed < 300; seed++) {
        uint64_t pages = 1 + seed * 41 % PAGES_MAX;
        Seen seen = {.max = seed % 2 ? 12 : 1 + seed % 5};
        Map m;

        fill(&m, pages, seed, 1 + seed % 10);
        ram_bitmap_foreach_pairs(m.map, pages, seen.max, see, &seen);
        for (uint64_t i = 0; i < PAGES_MAX; i++) {
            g_assert_cmpint(seen.pages[i], ==, i < pages && m.naive[i]);
        }
        check(&m);
    }
}

static void test_no_pairs(void)
{
    Seen seen = {.max = 12};
    Map m;

    fill(&m, PAGES_MAX, 0, INT_MAX);
    bitmap_clear(m.map, 0, PAGES_MAX);
    ram_bitmap_foreach_pairs(m.map, PAGES_MAX, seen.max, see, &seen);
    g_assert_cmpuint(seen.calls, ==, 0);
}

static void test_received(void)
{
    g_assert_cmpuint(ram_bitmap_wire_size(1), ==, 8);
    g_assert_cmpuint(ram_bitmap_wire_size(64), ==, 8);
    g_assert_cmpuint(ram_bitmap_wire_size(65), ==, 16);
    g_assert_cmpuint(ram_bitmap_wire_size(32768), ==, 4096);

    for (uint32_t seed = 0; seed < 200; seed++) {
        uint64_t pages = 1 + seed * 43 % PAGES_MAX, missing = 0;
        uint64_t size = ram_bitmap_wire_size(pages);
        g_autofree uint8_t *wire = g_malloc(size);
        Map m;

        fill(&m, pages, seed, 1 + seed % 6);
        /* Bits behind the last page may be anything. */
        memset(wire, seed % 2 ? 0xff : 0, size);
        for (uint64_t i = 0; i < pages; i++) {
            wire[i / 8] = (wire[i / 8] & ~(1 << i % 8)) | (!m.naive[i] << i % 8);
            missing += m.naive[i];
        }
        bitmap_clear(m.map, 0, ROUND_UP(pages, 64));
        g_assert_cmpuint(ram_bitmap_from_received(m.map, pages, wire), ==, missing);
        for (uint64_t i = 0; i < ROUND_UP(pages, 64); i++) {
            g_assert_cmpint(test_bit(i, m.map), ==, i < pages && m.naive[i]);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ram-bitmap/round-up", test_round_up);
    g_test_add_func("/ram-bitmap/pairs", test_pairs);
    g_test_add_func("/ram-bitmap/no-pairs", test_no_pairs);
    g_test_add_func("/ram-bitmap/received", test_received);
    return g_test_run();
}
