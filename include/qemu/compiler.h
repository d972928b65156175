/*
 * Names for what the compiler offers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_COMPILER_H
#define QEMU_COMPILER_H

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
#define QEMU_PACKED __attribute__((packed))
#define QEMU_ALIGNED(n) __attribute__((aligned(n)))
#define QEMU_NORETURN __attribute__((noreturn))
#define QEMU_WARN_UNUSED_RESULT __attribute__((warn_unused_result))
#define QEMU_ALWAYS_INLINE __attribute__((always_inline)) inline
#define QEMU_NOINLINE __attribute__((noinline))
#define G_NORETURN_ATTR __attribute__((noreturn))
#define GCC_FMT_ATTR(n, m) __attribute__((format(printf, n, m)))
#define QEMU_BUILD_BUG_ON(x) _Static_assert(!(x), "unexpected: " #x)
#define QEMU_BUILD_BUG_MSG(x, msg) _Static_assert(!(x), msg)
#define QEMU_BUILD_BUG_ON_ZERO(x) (sizeof(struct { int _Static_check : (x) ? -1 : 1; }) * 0)
#define qemu_build_not_reached() __builtin_unreachable()
#define QEMU_FALLTHROUGH __attribute__((fallthrough))
#define glue_(x, y) x##y
#define glue(x, y) glue_(x, y)
#define stringify_(s) #s
#define stringify(s) stringify_(s)

#endif
