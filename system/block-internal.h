/*
 * A drive's inside, for the files of system/ that deal with drives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_BLOCK_INTERNAL_H
#define SYSTEM_BLOCK_INTERNAL_H

#include "system/blockdev.h"

/* Since the start; for query-blockstats. */
typedef struct BlockCounters {
    int64_t rd_ns, wr_ns, flush_ns;     /* time spent */
    uint64_t rd_bytes, wr_bytes, rd_operations, wr_operations, flush_operations;
    uint64_t failed_rd, failed_wr, failed_flush, invalid_rd, invalid_wr;
    int64_t wr_highest_offset;
} BlockCounters;

struct BlockBackend {
    char *name, *filename, *node;
    int fd;
    int overlay;            /* temporary file of a snapshot drive, else -1 */
    unsigned long *written; /* its clusters that are valid */
    uint8_t *bounce;        /* one aligned block; with `direct` only */
    int64_t file_size, length;
    bool writable, direct, no_flush, write_cache, probed;
    bool unflushed;         /* written since the last flush */
    DeviceState *dev;
    int32_t bootindex;
    unsigned boot_position;
    BlockCounters stats;
    QTAILQ_ENTRY(BlockBackend) next;
};

/* The name of the format that a file that begins with these 512 bytes has; NULL: raw. */
const char *blk_probe_format(const uint8_t *sector);

#endif
