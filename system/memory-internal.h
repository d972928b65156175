/*
 * What system/memory*.c share: flat views from inside.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_MEMORY_INTERNAL_H
#define SYSTEM_MEMORY_INTERNAL_H

#include "system/memory.h"

/** One stretch of an address space that a single region answers. */
typedef struct FlatRange {
    hwaddr start;
    hwaddr last;            /* inclusive, so that the end of a 2^64 space can be said */
    MemoryRegion *mr;
    hwaddr offset;          /* of start in mr */
    bool readonly;
    uint8_t dirty_log_mask; /* mr's when the view was rendered */
} FlatRange;

/** A rendered tree. Immutable once published; holds references to the regions it shows. */
struct FlatView {
    unsigned int ref;       /* atomic */
    unsigned int nr;
    FlatRange *ranges;      /* disjoint, ascending */
    MemoryRegion *root;
};

/** The range that holds @addr, or NULL; *@next is where the next one begins (UINT64_MAX: none). */
const FlatRange *flatview_lookup(const FlatView *view, hwaddr addr, hwaddr *next);

/** The section that a range is. */
MemoryRegionSection flat_range_section(const FlatRange *fr, FlatView *view);

/** A tree changed: rendering is due at the outermost commit. BQL. */
void memory_region_update_needed(void);

/** Every address space there is, of AddressSpace. BQL. */
extern GList *address_spaces;

#endif
