/*
 * The 16550A serial port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "hw/qdev-core.h"
#include "chardev/char.h"

#define TYPE_ISA_SERIAL "isa-serial"
#define SERIAL_PORTS_MAX 4

/**
 * The @index-th serial port of a PC (0x3f8, 0x2f8, 0x3e8, 0x2e8) on @irq, connected to @chr (NULL:
 * to nothing). Section "serial". BQL; ends the program if @chr is taken.
 */
DeviceState *serial_isa_create(int index, qemu_irq irq, Chardev *chr);

#endif
