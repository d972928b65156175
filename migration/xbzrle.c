/*
 * XBZRLE: encoder and decoder of differences between pages.
 *
 * The encoder works in two steps. First it makes a map of a page, a bit for each byte that differs,
 * with the widest vectors there are. Then it walks through the ends of the map's runs with bit
 * operations, 64 bytes at a time where there are none. Gaps of up to three unchanged bytes are
 * closed in the map before: as runs of their own they would be longer on the wire, and slower at
 * both ends.
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

/* Most runs are short: a word or two. */
static inline void copy_run(uint8_t *dst, const uint8_t *src, int n)
{
    if (n > 16) {
        memcpy(dst, src, n);
    } else if (n >= 8) {
        uint64_t first, last;

        memcpy(&first, src, 8);
        memcpy(&last, src + n - 8, 8);
        memcpy(dst, &first, 8);
        memcpy(dst + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first, last;

        memcpy(&first, src, 4);
        memcpy(&last, src + n - 4, 4);
        memcpy(dst, &first, 4);
        memcpy(dst + n - 4, &last, 4);
    } else {
        for (int i = 0; i < n; i++) {
            dst[i] = src[i];
        }
    }
}

typedef struct Writer {
    const uint8_t *new;
    uint8_t *dst;
    int room, used;
    int done;                   /* of the page */
} Writer;

/* Bytes [first, end) have changed. False: there is not enough room. */
static inline bool put_run(Writer *w, int first, int end)
{
    int changed = end - first;

    if (w->used + 4 + changed > w->room) {
        return false; /* counts of one byte might just have fitted; nothing is lost by it */
    }
    w->used += put_count(w->dst + w->used, first - w->done);
    w->used += put_count(w->dst + w->used, changed);
    copy_run(w->dst + w->used, w->new + first, changed);
    w->used += changed;
    w->done = end;
    return true;
}

int xbzrle_encode_buffer(const uint8_t *old, const uint8_t *new, int len, uint8_t *dst, int room)
{
    Writer w = {new, dst, room, 0, 0};
    uint64_t map[MAP_WORDS_MAX], before = 0;
    int first = -1;             /* where the run began that is not yet written */

    assert(len % XBZRLE_UNIT == 0 && len <= XBZRLE_LEN_MAX);
    if (!diff(old, new, len, map)) {
        return 0;
    }
    close_gaps(map, len / 64);
    for (int at = 0; at < len; at += 64) {
        uint64_t word = map[at / 64];
        uint64_t edges = word ^ (word << 1 | before); /* where runs begin and end, in turn */

        before = word >> 63;
        for (; edges; edges &= edges - 1) {
            int edge = at + __builtin_ctzll(edges);

            if (first < 0) {
                first = edge;
            } else if (put_run(&w, first, edge)) {
                first = -1;
            } else {
                return -1;
            }
        }
    }
    return first < 0 || put_run(&w, first, len) ? w.used : -1;
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
        copy_run(dst + done, src + at, changed);
        done += changed;
        at += changed;
    }
    return done;
}
