/*
 * The ATA disk controller of a PC, with two channels of two disks each: see hw/ide/core.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_IDE_H
#define HW_IDE_H

#include "hw/irq.h"

/**
 * ide_isa_create: both channels (buses "ide.0" and "ide.1", ports 0x1f0, 0x3f6 and 0x170, 0x376),
 * interrupting on these lines, with a disk for each -drive if=ide. Call once, from the board.
 */
bool ide_isa_create(qemu_irq irq14, qemu_irq irq15, Error **errp);

#endif
