/*
 * What makes a machine one with ACPI: a device with this interface. query-acpi-ospm-status looks
 * for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ACPI_ACPI_DEV_INTERFACE_H
#define HW_ACPI_ACPI_DEV_INTERFACE_H

#define TYPE_ACPI_DEVICE_IF "acpi-device-interface"

#endif
