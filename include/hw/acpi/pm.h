/*
 * The ACPI power management registers of a PC: event, control and timer blocks at port 0x600, the
 * general purpose events, and the ports (0xb2, 0xb3) by which a guest hands over to ACPI.
 *
 * They lie where firmware puts them on the two chip sets; here they lie there from the beginning.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ACPI_PM_H
#define HW_ACPI_PM_H

#include "hw/irq.h"
#include "hw/qdev-core.h"

#define TYPE_ACPI_PM "acpi-pm"
#define ACPI_PM_BASE 0x600

typedef enum ACPIPMKind {
    ACPI_PM_PIIX4,              /* events at 0xafe0, 2 bytes each; commands 0xf1 and 0xf0 */
    ACPI_PM_ICH9,               /* events at 0x620, 8 bytes each; commands 2 and 3 */
} ACPIPMKind;

/* Section "acpi-pm"; @sci is raised by level. BQL. */
DeviceState *acpi_pm_create(ACPIPMKind kind, qemu_irq sci);

#endif
