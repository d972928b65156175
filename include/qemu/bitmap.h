/*
 * Bitmaps: arrays of unsigned long, bit 0 in the least significant bit of word 0.  Sizes and
 * positions are in bits.  The plain functions belong to one thread at a time; the _atomic ones
 * may race with each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_BITMAP_H
#define QEMU_BITMAP_H

#include "qemu/bitops.h"

#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

/* Zeroed; bitmap_try_new returns NULL without memory.  Large maps come untouched from the kernel. */
unsigned long *bitmap_new(unsigned long nbits);
unsigned long *bitmap_try_new(unsigned long nbits);

void bitmap_zero(unsigned long *dst, unsigned long nbits);
void bitmap_fill(unsigned long *dst, unsigned long nbits);
void bitmap_copy(unsigned long *dst, const unsigned long *src, unsigned long nbits);
void bitmap_set(unsigned long *map, unsigned long start, unsigned long nr);
void bitmap_clear(unsigned long *map, unsigned long start, unsigned long nr);
void bitmap_set_atomic(unsigned long *map, unsigned long start, unsigned long nr);
bool bitmap_test_and_clear_atomic(unsigned long *map, unsigned long start, unsigned long nr);
void bitmap_or(unsigned long *dst, const unsigned long *a, const unsigned long *b,
               unsigned long nbits);
bool bitmap_empty(const unsigned long *map, unsigned long nbits);
bool bitmap_equal(const unsigned long *a, const unsigned long *b, unsigned long nbits);
unsigned long bitmap_count_one(const unsigned long *map, unsigned long nbits);
unsigned long bitmap_count_one_with_offset(const unsigned long *map, unsigned long offset,
                                           unsigned long nbits);
void bitmap_complement(unsigned long *dst, const unsigned long *src, unsigned long nbits);
/* Wire form: little-endian words of 64 bits (identical in memory on a little-endian host). */
void bitmap_to_le(unsigned long *dst, const unsigned long *src, unsigned long nbits);
void bitmap_from_le(unsigned long *dst, const unsigned long *src, unsigned long nbits);

/* First bit set (or clear) at or after @offset; @size where there is none. */
unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long offset);
unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
                                 unsigned long offset);
static inline unsigned long find_first_bit(const unsigned long *map, unsigned long size)
{
    return find_next_bit(map, size, 0);
}
unsigned long find_last_bit(const unsigned long *map, unsigned long size);

#endif
