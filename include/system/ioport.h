/*
 * x86 ports, as an address space of 64 KiB (address_space_io in system/address-spaces.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_IOPORT_H
#define SYSTEM_IOPORT_H

#include "system/memory.h"

#define MAX_IOPORTS     (64 * 1024)
#define IOPORTS_MASK    (MAX_IOPORTS - 1)

/** Answers as an empty bus does: reads are all ones, writes vanish. */
extern const MemoryRegionOps unassigned_io_ops;

/** A guest's IN and OUT. Ports where nothing is read as ones. Any thread. */
void cpu_outb(uint32_t addr, uint8_t val);
void cpu_outw(uint32_t addr, uint16_t val);
void cpu_outl(uint32_t addr, uint32_t val);
uint8_t cpu_inb(uint32_t addr);
uint16_t cpu_inw(uint32_t addr);
uint32_t cpu_inl(uint32_t addr);

#endif
