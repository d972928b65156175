/*
 * XBZRLE: encoder and decoder of differences between pages.
 *
 * The encoder works in two steps. First it makes a map of a page, a bit for each byte that differs,
 * with the widest vectors there are, and a bit for each line of 64 bytes that has such. Then it
 * goes through these lines alone, from one end of a run to the next with bit operations. Gaps of up
 * to three unchanged bytes are closed before: as runs of their own they would be longer on the
 * wire, and slower at both ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "xbzrle.h"

#define LINE XBZRLE_UNIT
#define LINES_MAX (XBZRLE_LEN_MAX / LINE)

/* @map: a bit for each of @len bytes that is not the same. Returns a bit for each word with any. */
typedef uint64_t DiffFunc(const uint8_t *old, const uint8_t *new, int len, uint64_t *map);

static uint64_t diff_plain(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t lines = 0;

    for (int at = 0; at < len; at += LINE) {
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
        map[at / LINE] = bits;
        lines |= (uint64_t)(bits != 0) << (at / LINE);
    }
    return lines;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2")))
static uint64_t diff_avx2(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t lines = 0;

    for (int at = 0; at < len; at += LINE) {
        __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(old + at)),
                                        _mm256_loadu_si256((const void *)(new + at)));
        __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(old + at + 32)),
                                         _mm256_loadu_si256((const void *)(new + at + 32)));
        uint64_t same = (uint32_t)_mm256_movemask_epi8(low) |
                        (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;

        map[at / LINE] = ~same;
        lines |= (uint64_t)(same != UINT64_MAX) << (at / LINE);
    }
    return lines;
}

__attribute__((target("avx512f,avx512bw")))
static uint64_t diff_avx512(const uint8_t *old, const uint8_t *new, int len, uint64_t *map)
{
    uint64_t lines = 0;

    for (int at = 0; at < len; at += LINE) {
        uint64_t bits = _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(old + at),
                                                _mm512_loadu_si512(new + at));

        map[at / LINE] = bits;
        lines |= (uint64_t)(bits != 0) << (at / LINE);
    }
    return lines;
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
 * Each set bit of a line and of those around it reaches three further up, and then shrinks back by
 * as much: gaps of up to three are filled, and nothing else changes.
 */
static inline uint64_t reach(uint64_t line, uint64_t below)
{
    return line | line << 1 | below >> 63 | line << 2 | below >> 62 | line << 3 | below >> 61;
}

static inline uint64_t close_gaps(uint64_t below, uint64_t line, uint64_t above)
{
    uint64_t here = reach(line, below), next = reach(above, line);

    return here & (here >> 1 | next << 63) & (here >> 2 | next << 62) & (here >> 3 | next << 61);
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
    int len, room, used;
    int done;                   /* of the page */
} Writer;

/* Bytes [first, end) have changed. False: there is not enough room. */
static inline bool put_run(Writer *w, int first, int end)
{
    int changed = end - first, same = first - w->done;
    uint8_t *dst = w->dst + w->used;

    /* Most runs are a word or two: 16 bytes are copied, the next run overwrites the rest. */
    if (changed <= 16 && same < 0x80 && w->used + 2 + 16 <= w->room && first + 16 <= w->len) {
        dst[0] = same;
        dst[1] = changed;
        memcpy(dst + 2, w->new + first, 16);
        w->used += 2 + changed;
        w->done = end;
        return true;
    }
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
    Writer w = {.new = new, .dst = dst, .len = len, .room = room};
    uint64_t map[LINES_MAX + 2], lines, before = 0;
    int first = -1;             /* where the run began that is not yet written */

    assert(len % LINE == 0 && len <= XBZRLE_LEN_MAX);
    lines = diff(old, new, len, map + 1);
    map[0] = map[len / LINE + 1] = 0;
    /* Lines with changes, and those behind them, where a run may end. */
    lines |= lines << 1;
    if (len < XBZRLE_LEN_MAX) {
        lines &= (1ull << (len / LINE)) - 1;
    }
    for (; lines; lines &= lines - 1) {
        int line = __builtin_ctzll(lines), at = line * LINE;
        uint64_t word = close_gaps(map[line], map[line + 1], map[line + 2]);
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
