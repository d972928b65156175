/*
 * What accompanies an access to guest memory, and what comes back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef EXEC_MEMATTRS_H
#define EXEC_MEMATTRS_H

#include <stdint.h>

/** Who makes an access. Devices of today look at none of it; it is passed through unchanged. */
typedef struct MemTxAttrs {
    unsigned int unspecified : 1; /* the initiator says nothing about itself */
    unsigned int secure : 1;
    unsigned int user : 1;
    unsigned int memory : 1;      /* only RAM may answer: a device in the way is an error */
    unsigned int requester_id : 16;
} MemTxAttrs;

#define MEMTXATTRS_UNSPECIFIED ((MemTxAttrs) { .unspecified = 1 })

/**
 * The outcome of an access: MEMTX_OK, or a set of the bits below (an access may have several
 * parts).
 */
typedef uint32_t MemTxResult;

#define MEMTX_OK           0U
#define MEMTX_ERROR        (1U << 0) /* the device refused */
#define MEMTX_DECODE_ERROR (1U << 1) /* nothing lives there */
#define MEMTX_ACCESS_ERROR (1U << 2) /* attributes or size are not accepted there */

#endif
