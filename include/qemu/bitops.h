/*
 * Single bits and bit fields, in words of unsigned long.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_BITOPS_H
#define QEMU_BITOPS_H

#include "qemu/atomic.h"

#define BITS_PER_BYTE 8
#define BITS_PER_LONG ((int)(sizeof(unsigned long) * BITS_PER_BYTE))
#define BIT(n) (1ul << (n))
#define BIT_ULL(n) (1ull << (n))
#define BIT_MASK(n) (1ul << ((n) % BITS_PER_LONG))
#define BIT_WORD(n) ((n) / BITS_PER_LONG)
#define BITS_TO_LONGS(n) DIV_ROUND_UP((n), BITS_PER_LONG)
#define MAKE_64BIT_MASK(shift, length) (((~0ull) >> (64 - (length))) << (shift))

static inline void set_bit(long nr, unsigned long *addr)
{
    addr[BIT_WORD(nr)] |= BIT_MASK(nr);
}
static inline void set_bit_atomic(long nr, unsigned long *addr)
{
    qatomic_or(&addr[BIT_WORD(nr)], BIT_MASK(nr));
}
static inline void clear_bit(long nr, unsigned long *addr)
{
    addr[BIT_WORD(nr)] &= ~BIT_MASK(nr);
}
static inline bool test_bit(long nr, const unsigned long *addr)
{
    return (addr[BIT_WORD(nr)] >> (nr % BITS_PER_LONG)) & 1;
}
static inline bool test_and_set_bit(long nr, unsigned long *addr)
{
    bool old = test_bit(nr, addr);

    set_bit(nr, addr);
    return old;
}
static inline bool test_and_clear_bit(long nr, unsigned long *addr)
{
    bool old = test_bit(nr, addr);

    clear_bit(nr, addr);
    return old;
}

static inline int ctz32(uint32_t v) { return v ? __builtin_ctz(v) : 32; }
static inline int ctz64(uint64_t v) { return v ? __builtin_ctzll(v) : 64; }
static inline int clz32(uint32_t v) { return v ? __builtin_clz(v) : 32; }
static inline int clz64(uint64_t v) { return v ? __builtin_clzll(v) : 64; }
static inline int ctpop8(uint8_t v) { return __builtin_popcount(v); }
static inline int ctpop32(uint32_t v) { return __builtin_popcount(v); }
static inline int ctpop64(uint64_t v) { return __builtin_popcountll(v); }
static inline int ctpopl(unsigned long v) { return __builtin_popcountl(v); }
static inline int ctzl(unsigned long v) { return v ? __builtin_ctzl(v) : BITS_PER_LONG; }

static inline uint32_t extract32(uint32_t value, int start, int length)
{
    return (value >> start) & (~0u >> (32 - length));
}
static inline uint64_t extract64(uint64_t value, int start, int length)
{
    return (value >> start) & (~0ull >> (64 - length));
}
static inline uint32_t deposit32(uint32_t value, int start, int length, uint32_t field)
{
    uint32_t mask = (~0u >> (32 - length)) << start;

    return (value & ~mask) | ((field << start) & mask);
}
static inline uint64_t deposit64(uint64_t value, int start, int length, uint64_t field)
{
    uint64_t mask = (~0ull >> (64 - length)) << start;

    return (value & ~mask) | ((field << start) & mask);
}

#endif
