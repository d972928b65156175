/*
 * What postcopy does with bitmaps of pages, apart from guest memory: pure functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_RAM_BITMAP_H
#define MIGRATION_RAM_BITMAP_H

#include "qemu/bitmap.h"

/*
 * A host page of @unit target pages goes whole or not at all: where one bit of a group is set, all
 * of them become so. Groups are counted from 0; the last one may be incomplete. How many bits are
 * new.
 */
uint64_t ram_bitmap_round_up(unsigned long *map, uint64_t pages, uint64_t unit);

/*
 * The runs of set bits, ascending, as pairs of start and length in bytes, at most @max pairs a call
 * of @fn.
 */
typedef void RamPairsFunc(const uint64_t *pairs, unsigned npairs, void *opaque);
void ram_bitmap_foreach_pairs(const unsigned long *map, uint64_t pages, unsigned max,
                              RamPairsFunc *fn, void *opaque);

/* Bytes of a block's bitmap in the message RECV_BITMAP. */
uint64_t ram_bitmap_wire_size(uint64_t pages);
/*
 * What has arrived, as it came by the wire (ram_bitmap_wire_size(pages) bytes), becomes what has
 * not. How many bits are set then.
 */
uint64_t ram_bitmap_from_received(unsigned long *map, uint64_t pages, const uint8_t *wire);

#endif
