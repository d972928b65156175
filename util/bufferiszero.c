/*
 * buffer_is_zero(): is a run of bytes all zero?  The scan of resident zero pages is bound by memory,
 * so the vector forms only need to keep the loads going; what counts is leaving early from pages that
 * are not zero, which is why three probes come first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/bswap.h"

typedef bool IsZeroFunc(const uint8_t *buf, size_t len);

static bool is_zero_int(const uint8_t *buf, size_t len)
{
    const uint8_t *end = buf + len;
    uint64_t acc = 0;

    while (end - buf >= 64) {
        for (int i = 0; i < 64; i += 8) {
            acc |= ldq_le_p(buf + i);
        }
        if (acc) {
            return false;
        }
        buf += 64;
    }
    while (end - buf >= 8) {
        acc |= ldq_le_p(buf);
        buf += 8;
    }
    while (buf < end) {
        acc |= *buf++;
    }
    return acc == 0;
}

#if defined(__x86_64__)
#include <immintrin.h>

/*
 * Each vector form checks blocks of 8 vectors with one branch a block, then lets the last block
 * overlap what was checked before; len is at least one block.
 */
#define DEFINE_VECTOR_IS_ZERO(name, isa, vec, load, or, test)                       \
    __attribute__((target(isa))) static bool name(const uint8_t *buf, size_t len)   \
    {                                                                               \
        const size_t block = 8 * sizeof(vec);                                       \
        const uint8_t *last = buf + len - block;                                    \
                                                                                    \
        for (;;) {                                                                  \
            vec a = or(load((const void *)buf),                                     \
                       load((const void *)(buf + sizeof(vec))));                    \
            vec b = or(load((const void *)(buf + 2 * sizeof(vec))),                 \
                       load((const void *)(buf + 3 * sizeof(vec))));                \
            vec c = or(load((const void *)(buf + 4 * sizeof(vec))),                 \
                       load((const void *)(buf + 5 * sizeof(vec))));                \
            vec d = or(load((const void *)(buf + 6 * sizeof(vec))),                 \
                       load((const void *)(buf + 7 * sizeof(vec))));                \
            vec all = or(or(a, b), or(c, d));                                       \
            if (!(test)) {                                                          \
                return false;                                                       \
            }                                                                       \
            if (buf == last) {                                                      \
                return true;                                                        \
            }                                                                       \
            buf = MIN(buf + block, last);                                           \
        }                                                                           \
    }

DEFINE_VECTOR_IS_ZERO(is_zero_sse2, "sse2", __m128i, _mm_loadu_si128, _mm_or_si128,
                      _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_setzero_si128())) == 0xffff)
DEFINE_VECTOR_IS_ZERO(is_zero_avx2, "avx2", __m256i, _mm256_loadu_si256, _mm256_or_si256,
                      _mm256_testz_si256(all, all))
DEFINE_VECTOR_IS_ZERO(is_zero_avx512, "avx512f", __m512i, _mm512_loadu_si512, _mm512_or_si512,
                      _mm512_test_epi64_mask(all, all) == 0)
#endif

static const struct Impl {
    const char *name;
    IsZeroFunc *fn;
    size_t min_len; /* shorter buffers take the integer form */
} impls[] = {
#if defined(__x86_64__)
    {"avx512", is_zero_avx512, 512},
    {"avx2", is_zero_avx2, 256},
    {"sse2", is_zero_sse2, 128},
#endif
    {"int", is_zero_int, 0},
};

static const struct Impl *impl = &impls[ARRAY_SIZE(impls) - 1];

static bool host_can(const char *name)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (g_str_equal(name, "avx512")) {
        return __builtin_cpu_supports("avx512f");
    }
    if (g_str_equal(name, "avx2")) {
        return __builtin_cpu_supports("avx2");
    }
#endif
    return true;
}

static void __attribute__((constructor)) choose_impl(void)
{
    for (impl = impls; !host_can(impl->name); impl++) {
        /* the last one always can */
    }
}

const char *buffer_is_zero_accel_name(void)
{
    return impl->name;
}

bool test_buffer_is_zero_next_accel(void)
{
    do {
        if (impl == &impls[ARRAY_SIZE(impls) - 1]) {
            return false;
        }
        impl++;
    } while (!host_can(impl->name));
    return true;
}

bool buffer_is_zero(const void *vbuf, size_t len)
{
    const uint8_t *buf = vbuf;

    if (len == 0) {
        return true;
    }
    /* Data rarely has its first, middle and last byte zero: most pages leave here. */
    if (buf[0] | buf[len / 2] | buf[len - 1]) {
        return false;
    }
    return len < impl->min_len ? is_zero_int(buf, len) : impl->fn(buf, len);
}
