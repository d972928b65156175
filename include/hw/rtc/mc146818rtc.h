/*
 * The real-time clock of a PC: an MC146818 with 128 bytes of battery-backed memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_RTC_MC146818RTC_H
#define HW_RTC_MC146818RTC_H

#include "hw/qdev-core.h"
#include "hw/irq.h"

#define TYPE_MC146818_RTC "mc146818rtc"
#define RTC_ISA_IRQ 8

/* At ports 0x70 and 0x71, on line @irq, section "mc146818rtc".  BQL. */
DeviceState *mc146818_rtc_create(qemu_irq irq);
/* A byte of the memory behind the clock's registers, as firmware expects it there. BQL. */
void mc146818_rtc_set_cmos(DeviceState *dev, uint8_t reg, uint8_t value);

#endif
