/*
 * The interface of ACPI devices: see hw/acpi/acpi_dev_interface.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/acpi_dev_interface.h"
#include "qom/object.h"

static const TypeInfo acpi_interface_types[] = {
    { .name = TYPE_ACPI_DEVICE_IF, .parent = TYPE_INTERFACE },
};
DEFINE_TYPES(acpi_interface_types)
