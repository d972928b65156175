/*
 * XBZRLE: encoder and decoder of differences between pages.
 *
 * The encoder works in two steps. First it makes a map of a page, a bit for each byte that differs,
 * with the widest vectors there are. Then it walks through the map's runs with bit operations, 64
 * bytes at a time where nothing has changed. Gaps of up to three unchanged bytes are closed in the
 * map before: as runs of their own they would be longer on the wire, and slower at both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "xbzrle.h"

#define MAP_WORDS_MAX (XBZRLE_LEN_MAX / 64)

/* @map: a bit for each of @len bytes that is not the same. Returns 0 if all are. */
typedef uint64_t DiffFunc(const uint8_t *old, const uint8_t *new, int len, uint64_t *map);

static uint64_t diff_plain(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t any = 0;

    for (int at = 0; at < len; at += 64) {
        uint64_t bits = 0;

        for (int i = 0; i < 64; i += 8) {
            uint64_t a, b, x;

            memcpy(&a, old + at + i, 8);
            memcpy(&b, new + at + i, 8);
            x = a ^ b;
            if (x) {
                for (int byte = 0; byte < 8; byte++) {
                    bits |= (uint64_t)(old[at + i + byte] != new[at + i + byte]) << (i + byte);
                }
            }
        }
        map[at / 64] = bits;
        any |= bits;
    }
    return any;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2")))
static uint64_t diff_avx2(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t any = 0;

    for (int at = 0; at < len; at += 64) {
        __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(old + at)),
                                        _mm256_loadu_si256((const void *)(new + at)));
        __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(old + at + 32)),
                                         _mm256_loadu_si256((const void *)(new + at + 32)));
        uint64_t same = (uint32_t)_mm256_movemask_epi8(low) |
                        (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;

        map[at / 64] = ~same;
        any |= ~same;
    }
    return any;
}

__attribute__((target("avx512f,avx512bw")))
static uint64_t diff_avx512(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t any = 0;

    for (int at = 0; at < len; at += 64) {
        uint64_t bits = _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(old + at),
                                                _mm512_loadu_si512(new + at));

        map[at / 64] = bits;
        any |= bits;
    }
    return any;
}
#endif

static DiffFunc *diff = diff_plain;

bool xbzrle_use(int form)
{
    switch (form) {
    case 0:
        diff = diff_plain;
        return true;
#if defined(__x86_64__)
    case 1:
        if (__builtin_cpu_supports("avx2")) {
            diff = diff_avx2;
            return true;
        }
        return false;
    case 2:
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
            diff = diff_avx512;
            return true;
        }
        return false;
#endif
    default:
        return false;
    }
}

static void __attribute__((constructor)) choose_form(void)
{
    for (int form = 2; !xbzrle_use(form); form--) {
        /* the next one down */
    }
}

/*
 * Each set bit reaches three further up, and then shrinks back by as much: gaps of up to three are
 * filled, and nothing else changes, but for up to three bits at the map's very end.
 */
static void close_gaps(uint64_t *map, int words)
{
    uint64_t before = 0, reach, next;

#define REACH(w, below) \
    ((w) | (w) << 1 | (below) >> 63 | (w) << 2 | (below) >> 62 | (w) << 3 | (below) >> 61)
    reach = REACH(map[0], before);
    for (int i = 0; i < words; i++) {
        before = map[i];
        next = i + 1 < words ? REACH(map[i + 1], before) : UINT64_MAX;
        map[i] = reach & (reach >> 1 | next << 63) & (reach >> 2 | next << 62) &
                 (reach >> 3 | next << 61);
        reach = next;
    }
#undef REACH
}

/* The first bit from @at on that is @set, or @len. */
static int find_bit(const uint64_t *map, int len, int at, bool set)
{
    uint64_t flip = set ? 0 : UINT64_MAX, word;

    if (at >= len) {
        return len;
    }
    word = (map[at / 64] ^ flip) & (UINT64_MAX << (at % 64));
    for (at &= ~63; !word;) {
        at += 64;
        if (at >= len) {
            return len;
        }
        word = map[at / 64] ^ flip;
    }
    return at + __builtin_ctzll(word);
}

static int put_count(uint8_t *dst, unsigned n)
{
    if (n < 0x80) {
        dst[0] = n;
        return 1;
    }
    dst[0] = n | 0x80;
    dst[1] = n >> 7;
    return 2;
}

int xbzrle_encode_buffer(const uint8_t *old, const uint8_t *new, int len, uint8_t *dst, int room)
{
    uint64_t map[MAP_WORDS_MAX];
    int used = 0, at = 0;

    assert(len % XBZRLE_UNIT == 0 && len <= XBZRLE_LEN_MAX);
    if (!diff(old, new, len, map)) {
        return 0;
    }
    close_gaps(map, len / 64);
    for (;;) {
        int changed = find_bit(map, len, at, true), end;

        if (changed == len) {
            return used;
        }
        end = find_bit(map, len, changed, false);
        if (used + 4 + end - changed > room) {
            return -1; /* counts of one byte might just have fitted; nothing is lost by it */
        }
        used += put_count(dst + used, changed - at);
        used += put_count(dst + used, end - changed);
        memcpy(dst + used, new + changed, end - changed);
        used += end - changed;
        at = end;
    }
}

/* A count of one or two bytes at @src + *at; -1 where there is none. */
static int get_count(const uint8_t *src, int size, int *at)
{
    int n;

    if (*at >= size) {
        return -1;
    }
    n = src[(*at)++];
    if (n & 0x80) {
        if (*at >= size || src[*at] & 0x80) {
            return -1;
        }
        n = (n & 0x7f) | src[(*at)++] << 7;
    }
    return n;
}

int xbzrle_decode_buffer(const uint8_t *src, int size, uint8_t *dst, int len)
{
    int at = 0, done = 0;

    while (at < size) {
        int same = get_count(src, size, &at), changed = get_count(src, size, &at);

        if (same < 0 || changed <= 0 || (done && !same) || same > len - done ||
            changed > len - done - same || changed > size - at) {
            return -1;
        }
        done += same;
        memcpy(dst + done, src + at, changed);
        done += changed;
        at += changed;
    }
    return done;
}
