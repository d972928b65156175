/*
 * Single ports of a PC that belong to no bigger device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_PC_PORTS_H
#define HW_I386_PC_PORTS_H

#include "hw/isa/isa.h"
#include "hw/timer/i8254_common.h"

/* Port 0x61: gate and output of @pit's third channel, section "pcspk". */
void pcspk_create(ISABus *bus, PITCommonState *pit);
/* Port 0xcf9: reset, section "reset-control". */
void reset_control_create(ISABus *bus);

#endif
