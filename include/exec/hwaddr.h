/*
 * Guest-physical addresses.
 *
 * Relies on nothing but the fixed-width integer types, so that any header may include it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef EXEC_HWADDR_H
#define EXEC_HWADDR_H

#include <stdint.h>
#include <inttypes.h>

/** An address (or an offset) in a guest's physical or port space, in bytes. */
typedef uint64_t hwaddr;

#define HWADDR_BITS 64
#define HWADDR_MAX UINT64_MAX
#define HWADDR_FMT_plx "%016" PRIx64
#define HWADDR_PRId PRId64
#define HWADDR_PRIi PRIi64
#define HWADDR_PRIo PRIo64
#define HWADDR_PRIu PRIu64
#define HWADDR_PRIx PRIx64
#define HWADDR_PRIX PRIX64

#endif
