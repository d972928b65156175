/*
 * Bitmaps: see qemu/bitmap.h.  Everything works a word at a time, with masks at the ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"

/* Bits from @start up within its word, and bits below @end within its word (all of it for 0). */
#define FIRST_WORD_MASK(start) (~0ul << ((start) % BITS_PER_LONG))
#define LAST_WORD_MASK(end) (~0ul >> (-(end) & (BITS_PER_LONG - 1)))

unsigned long *bitmap_try_new(unsigned long nbits)
{
    return g_try_malloc0_n(MAX(BITS_TO_LONGS(nbits), 1), sizeof(unsigned long));
}

unsigned long *bitmap_new(unsigned long nbits)
{
    return g_malloc0_n(MAX(BITS_TO_LONGS(nbits), 1), sizeof(unsigned long));
}

void bitmap_zero(unsigned long *dst, unsigned long nbits)
{
    memset(dst, 0, BITS_TO_LONGS(nbits) * sizeof(unsigned long));
}

void bitmap_fill(unsigned long *dst, unsigned long nbits)
{
    unsigned long words = BITS_TO_LONGS(nbits);

    if (words) {
        memset(dst, 0xff, (words - 1) * sizeof(unsigned long));
        dst[words - 1] = LAST_WORD_MASK(nbits);
    }
}

void bitmap_copy(unsigned long *dst, const unsigned long *src, unsigned long nbits)
{
    memcpy(dst, src, BITS_TO_LONGS(nbits) * sizeof(unsigned long));
}

/*
 * Walk the words that hold bits [start, start+nr): @W is the word's index, @M its mask.  The body
 * runs once a word.
 */
#define FOREACH_WORD(W, M, start, nr)                                                         \
    for (unsigned long W = BIT_WORD(start), end_ = (start) + (nr), last_ = BIT_WORD(end_ - 1), \
                       M = FIRST_WORD_MASK(start) & (W == last_ ? LAST_WORD_MASK(end_) : ~0ul); \
         W <= last_; W++, M = W == last_ ? LAST_WORD_MASK(end_) : ~0ul)

void bitmap_set(unsigned long *map, unsigned long start, unsigned long nr)
{
    if (nr) {
        FOREACH_WORD(w, mask, start, nr) {
            map[w] |= mask;
        }
    }
}

void bitmap_clear(unsigned long *map, unsigned long start, unsigned long nr)
{
    if (nr) {
        FOREACH_WORD(w, mask, start, nr) {
            map[w] &= ~mask;
        }
    }
}

void bitmap_set_atomic(unsigned long *map, unsigned long start, unsigned long nr)
{
    if (nr) {
        /*
         * Reading first spares the bus where the bits are set already.  The data that the bits
         * stand for was written just before, and must be visible to whoever clears the bits after
         * this reading: without a barrier the reading may overtake the writing.
         */
        smp_mb();
        FOREACH_WORD(w, mask, start, nr) {
            if ((qatomic_read(&map[w]) & mask) != mask) {
                qatomic_or(&map[w], mask);
            }
        }
    }
}

bool bitmap_test_and_clear_atomic(unsigned long *map, unsigned long start, unsigned long nr)
{
    unsigned long any = 0;

    if (nr) {
        FOREACH_WORD(w, mask, start, nr) {
            if (qatomic_read(&map[w]) & mask) {
                any |= qatomic_fetch_and(&map[w], ~mask) & mask;
            }
        }
    }
    return any;
}

void bitmap_or(unsigned long *dst, const unsigned long *a, const unsigned long *b,
               unsigned long nbits)
{
    for (unsigned long w = 0; w < BITS_TO_LONGS(nbits); w++) {
        dst[w] = a[w] | b[w];
    }
}

bool bitmap_empty(const unsigned long *map, unsigned long nbits)
{
    return find_next_bit(map, nbits, 0) == nbits;
}

bool bitmap_equal(const unsigned long *a, const unsigned long *b, unsigned long nbits)
{
    if (!nbits) {
        return true;
    }
    FOREACH_WORD(w, mask, 0, nbits) {
        if ((a[w] ^ b[w]) & mask) {
            return false;
        }
    }
    return true;
}

unsigned long bitmap_count_one_with_offset(const unsigned long *map, unsigned long offset,
                                           unsigned long nbits)
{
    unsigned long count = 0;

    if (nbits) {
        FOREACH_WORD(w, mask, offset, nbits) {
            count += ctpopl(map[w] & mask);
        }
    }
    return count;
}

unsigned long bitmap_count_one(const unsigned long *map, unsigned long nbits)
{
    return bitmap_count_one_with_offset(map, 0, nbits);
}

void bitmap_complement(unsigned long *dst, const unsigned long *src, unsigned long nbits)
{
    if (nbits) {
        FOREACH_WORD(w, mask, 0, nbits) {
            dst[w] = ~src[w] & mask;
        }
    }
}

void bitmap_to_le(unsigned long *dst, const unsigned long *src, unsigned long nbits)
{
    for (unsigned long w = 0; w < BITS_TO_LONGS(nbits); w++) {
        dst[w] = cpu_to_le64(src[w]);
    }
}

void bitmap_from_le(unsigned long *dst, const unsigned long *src, unsigned long nbits)
{
    bitmap_to_le(dst, src, nbits);
}

/* @flip turns the search for ones into one for zeroes. */
static unsigned long find_next(const unsigned long *map, unsigned long size, unsigned long offset,
                               unsigned long flip)
{
    unsigned long w, word;

    if (offset >= size) {
        return size;
    }
    w = BIT_WORD(offset);
    word = (map[w] ^ flip) & FIRST_WORD_MASK(offset);
    while (!word) {
        if (++w >= BITS_TO_LONGS(size)) {
            return size;
        }
        word = map[w] ^ flip;
    }
    return MIN(w * BITS_PER_LONG + ctzl(word), size);
}

unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long offset)
{
    return find_next(map, size, offset, 0);
}

unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
                                 unsigned long offset)
{
    return find_next(map, size, offset, ~0ul);
}

unsigned long find_last_bit(const unsigned long *map, unsigned long size)
{
    for (unsigned long w = BITS_TO_LONGS(size); w-- > 0;) {
        unsigned long word = map[w];

        if (w == BIT_WORD(size - 1)) {
            word &= LAST_WORD_MASK(size);
        }
        if (word) {
            return w * BITS_PER_LONG + BITS_PER_LONG - 1 - __builtin_clzl(word);
        }
    }
    return size;
}
