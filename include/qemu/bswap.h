/*
 * Byte order: conversions of values, and loads and stores at unaligned addresses.
 * ld{uw,sw,l,q}_{be,le}_p(ptr), st{w,l,q}_{be,le}_p(ptr, v).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_BSWAP_H
#define QEMU_BSWAP_H

#include <endian.h>

static inline uint16_t bswap16(uint16_t v) { return __builtin_bswap16(v); }
static inline uint32_t bswap32(uint32_t v) { return __builtin_bswap32(v); }
static inline uint64_t bswap64(uint64_t v) { return __builtin_bswap64(v); }

#define DEFINE_ENDIAN_CONVERTERS(bits)                                                     \
    static inline uint##bits##_t cpu_to_be##bits(uint##bits##_t v) { return htobe##bits(v); } \
    static inline uint##bits##_t be##bits##_to_cpu(uint##bits##_t v) { return be##bits##toh(v); } \
    static inline uint##bits##_t cpu_to_le##bits(uint##bits##_t v) { return htole##bits(v); } \
    static inline uint##bits##_t le##bits##_to_cpu(uint##bits##_t v) { return le##bits##toh(v); }
DEFINE_ENDIAN_CONVERTERS(16)
DEFINE_ENDIAN_CONVERTERS(32)
DEFINE_ENDIAN_CONVERTERS(64)

static inline int ldub_p(const void *ptr) { return *(const uint8_t *)ptr; }
static inline int ldsb_p(const void *ptr) { return *(const int8_t *)ptr; }
static inline void stb_p(void *ptr, uint8_t v) { *(uint8_t *)ptr = v; }

#define DEFINE_LOAD_STORE(order, bits, ld, st, rettype)                    \
    static inline rettype ld##_##order##_p(const void *ptr)                \
    {                                                                      \
        uint##bits##_t v;                                                  \
        memcpy(&v, ptr, sizeof(v));                                        \
        return (rettype)order##bits##_to_cpu(v);                           \
    }                                                                      \
    static inline void st##_##order##_p(void *ptr, uint##bits##_t v)       \
    {                                                                      \
        v = cpu_to_##order##bits(v);                                       \
        memcpy(ptr, &v, sizeof(v));                                        \
    }
DEFINE_LOAD_STORE(be, 16, lduw, stw, uint16_t)
DEFINE_LOAD_STORE(be, 32, ldl, stl, uint32_t)
DEFINE_LOAD_STORE(be, 64, ldq, stq, uint64_t)
DEFINE_LOAD_STORE(le, 16, lduw, stw, uint16_t)
DEFINE_LOAD_STORE(le, 32, ldl, stl, uint32_t)
DEFINE_LOAD_STORE(le, 64, ldq, stq, uint64_t)

static inline int16_t ldsw_le_p(const void *ptr) { return (int16_t)lduw_le_p(ptr); }
static inline int16_t ldsw_be_p(const void *ptr) { return (int16_t)lduw_be_p(ptr); }

#endif
