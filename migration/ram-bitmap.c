/*
 * What postcopy does with bitmaps of pages: see ram-bitmap.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "ram-bitmap.h"
#include "system/target_page.h"

uint64_t ram_bitmap_round_up(unsigned long *map, uint64_t pages, uint64_t unit)
{
    uint64_t fresh = 0;

    if (unit <= 1) {
        return 0;
    }
    for (uint64_t bit = find_next_bit(map, pages, 0); bit < pages;) {
        uint64_t first = bit / unit * unit, n = MIN(unit, pages - first);

        fresh += n - bitmap_count_one_with_offset(map, first, n);
        bitmap_set(map, first, n);
        bit = find_next_bit(map, pages, first + n);
    }
    return fresh;
}

void ram_bitmap_foreach_pairs(const unsigned long *map, uint64_t pages, unsigned max,
                              RamPairsFunc *fn, void *opaque)
{
    g_autofree uint64_t *pairs = g_new(uint64_t, 2 * max);
    unsigned n = 0;

    for (uint64_t first = find_next_bit(map, pages, 0); first < pages;) {
        uint64_t end = find_next_zero_bit(map, pages, first);

        pairs[2 * n] = first << TARGET_PAGE_BITS;
        pairs[2 * n + 1] = (end - first) << TARGET_PAGE_BITS;
        if (++n == max) {
            fn(pairs, n, opaque);
            n = 0;
        }
        first = find_next_bit(map, pages, end);
    }
    if (n) {
        fn(pairs, n, opaque);
    }
}

uint64_t ram_bitmap_wire_size(uint64_t pages)
{
    return DIV_ROUND_UP(pages, 64) * 8;
}

uint64_t ram_bitmap_from_received(unsigned long *map, uint64_t pages, const uint8_t *wire)
{
    QEMU_BUILD_BUG_ON(sizeof(unsigned long) != 8);

    for (uint64_t i = 0; i < DIV_ROUND_UP(pages, 64); i++) {
        uint64_t word;

        memcpy(&word, wire + 8 * i, sizeof(word));
        map[i] = ~le64_to_cpu(word);
    }
    if (pages % 64) {
        map[pages / 64] &= (1ul << pages % 64) - 1;
    }
    return bitmap_count_one(map, pages);
}
