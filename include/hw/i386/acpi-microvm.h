/*
 * What microvm's ACPI tables say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_ACPI_MICROVM_H
#define HW_I386_ACPI_MICROVM_H

#include "hw/acpi/aml-build.h"

/* Addresses and lines of the machine. Guests' device trees and command lines know them. */
#define MICROVM_IOAPIC1_ADDR   0xfec00000u
#define MICROVM_IOAPIC2_ADDR   0xfec10000u
#define MICROVM_GED_ADDR       0xfea00000u
#define MICROVM_GED_REGS_ADDR  0xfea00200u
#define MICROVM_GED_GSI        9
/*
 * Kept free for virtio-mmio devices: 512 bytes each, 8 of them (24 with the second I/O APIC), on
 * GSIs from 5 (without ACPI), 16, or 24 (with the second I/O APIC).
 */
#define MICROVM_VIRTIO_ADDR    0xfeb00000u

typedef struct MicrovmAcpi {
    AcpiOem oem;
    const uint32_t *apic_ids;
    unsigned present, possible; /* CPUs: the first of apic_ids are there */
    bool has_pic, has_serial, has_rtc, has_ioapic2;
} MicrovmAcpi;

AcpiTables *microvm_acpi_tables(const MicrovmAcpi *m);

#endif
