/*
 * The two address spaces that every machine has: memory and ports.
 *
 * They exist from memory_map_init() on (called once by the command line before any machine is
 * made) and are empty until a machine maps regions into their roots.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_ADDRESS_SPACES_H
#define SYSTEM_ADDRESS_SPACES_H

#include "system/memory.h"

extern AddressSpace address_space_memory;
extern AddressSpace address_space_io;

/** Make both address spaces, once; later calls do nothing. BQL. */
void memory_map_init(void);

/** Root of address_space_memory (2^64 bytes). */
MemoryRegion *get_system_memory(void);
/** Root of address_space_io (64 KiB). */
MemoryRegion *get_system_io(void);

#endif
