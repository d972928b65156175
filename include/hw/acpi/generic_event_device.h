/*
 * The event device of ACPI machines without fixed hardware: tells the guest of events by one
 * interrupt, and has the registers by which it switches the machine off and resets it. Section
 * "acpi-ged".
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ACPI_GENERIC_EVENT_DEVICE_H
#define HW_ACPI_GENERIC_EVENT_DEVICE_H

#include "hw/irq.h"
#include "hw/qdev-core.h"

#define TYPE_ACPI_GED "acpi-ged"

/* What can happen: bits of the event register. Guests' tables know them. */
enum {
    ACPI_GED_MEM_HOTPLUG_EVT = 0x1,
    ACPI_GED_PWR_DOWN_EVT = 0x2,
};

#define ACPI_GED_EVT_SEL_LEN     4      /* the event register, at mmio 0 */

/* The others, at mmio 2: a byte each. */
enum {
    ACPI_GED_REG_SLEEP_CTL, ACPI_GED_REG_SLEEP_STS, ACPI_GED_REG_RESET, ACPI_GED_REG_COUNT,
};
#define ACPI_GED_SLP_EN        0x20
#define ACPI_GED_SLP_TYP_SHIFT 2
#define ACPI_GED_SLP_TYP_S5    5
#define ACPI_GED_RESET_VALUE   0x42

/** Make the device, its registers at @events and @regs, its interrupt on @irq. */
DeviceState *acpi_ged_create(uint64_t events, uint64_t regs, qemu_irq irq);

#endif
