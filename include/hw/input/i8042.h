/*
 * The keyboard controller of a PC, without a keyboard.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "hw/isa/isa.h"

#define TYPE_I8042 "i8042"

/* At ports 0x60 and 0x64 of @bus, interrupt lines 1 and 12, section "pckbd". BQL. */
DeviceState *i8042_create(ISABus *bus);

#endif
