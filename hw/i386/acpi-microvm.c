/*
 * microvm's ACPI tables: "hardware reduced", that is without the registers of a PC's chip set. An
 * event device tells of the power button; two of its registers switch off and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/generic_event_device.h"
#include "hw/i386/acpi-microvm.h"
#include "hw/i386/apic.h"

#define FADT_REVISION  6
#define FADT_LEN       276
#define FADT_AT_DSDT   40
#define FADT_AT_XDSDT  140
#define MADT_REVISION  4
#define DSDT_REVISION  2        /* numbers have 64 bits */

enum {
    BOOT_LEGACY_DEVICES = 1 << 0, BOOT_NO_VGA = 1 << 2, BOOT_NO_ASPM = 1 << 4, BOOT_NO_RTC = 1 << 5,
};
enum { FADT_RESET_REGISTER = 1 << 10, FADT_HEADLESS = 1 << 12, FADT_HW_REDUCED = 1 << 20 };

/* -- DSDT: devices ----------------------------------------------------------------------------- */

static void put_fw_cfg(GByteArray *b, GByteArray *crs)
{
    unsigned device = aml_device(b, "FWCF");

    aml_name_decl(b, "_HID");
    aml_string(b, "QEMU0002");
    aml_name_decl(b, "_STA");
    aml_int(b, 0x0b);           /* there, working, but not shown to people */
    aml_crs_begin(crs);
    aml_res_io(crs, 0x510, 12);
    aml_crs_end(b, crs);
    aml_end(b, device);
}

static void put_isa_device(GByteArray *b, GByteArray *crs, const char *name, const char *id,
                           uint16_t port, unsigned line)
{
    unsigned device = aml_device(b, name);

    aml_name_decl(b, "_HID");
    aml_eisaid(b, id);
    aml_name_decl(b, "_UID");
    aml_int(b, 0);
    aml_crs_begin(crs);
    aml_res_io(crs, port, 8);
    aml_res_irq(crs, line);
    aml_crs_end(b, crs);
    aml_end(b, device);
}

static void put_events(GByteArray *b, GByteArray *crs)
{
    unsigned device = aml_device(b, "PWRB"), field, method, condition;

    aml_name_decl(b, "_HID");
    aml_eisaid(b, "PNP0C0C");
    aml_end(b, device);

    device = aml_device(b, "GED");
    aml_name_decl(b, "_HID");
    aml_string(b, "ACPI0013");
    aml_name_decl(b, "_UID");
    aml_int(b, 0);
    aml_crs_begin(crs);
    aml_res_interrupt(crs, MICROVM_GED_GSI, false);
    aml_crs_end(b, crs);
    aml_region(b, "EVTR", MICROVM_GED_ADDR, ACPI_GED_EVT_SEL_LEN);
    field = aml_field(b, "EVTR");
    aml_field_unit(b, "EVTS", 32);
    aml_end(b, field);

    method = aml_method(b, "_EVT", 1, true);
    aml_store_local0(b, "EVTS");
    condition = aml_if(b);
    aml_local0_has(b, ACPI_GED_PWR_DOWN_EVT);
    aml_notify(b, "PWRB", 0x80);
    aml_end(b, condition);
    aml_end(b, method);
    aml_end(b, device);
}

static unsigned put_dsdt(AcpiTables *t, const MicrovmAcpi *m)
{
    g_autoptr(GByteArray) crs = g_byte_array_new();
    GByteArray *b = t->tables;
    unsigned begin = acpi_table_begin(t, &m->oem, "DSDT", DSDT_REVISION), scope, package;

    scope = aml_scope(b, "\\_SB");
    put_fw_cfg(b, crs);
    if (m->has_serial) {
        put_isa_device(b, crs, "COM1", "PNP0501", 0x3f8, 4);
    }
    if (m->has_rtc) {
        put_isa_device(b, crs, "RTC", "PNP0B00", 0x70, 8);
    }
    put_events(b, crs);
    aml_end(b, scope);

    aml_name_decl(b, "\\_S5");
    package = aml_package(b, 4);
    aml_int(b, ACPI_GED_SLP_TYP_S5);
    aml_int(b, 0);
    aml_int(b, 0);
    aml_int(b, 0);
    aml_end(b, package);
    acpi_table_end(t, begin);
    return begin;
}

/* -- FADT -------------------------------------------------------------------------------------- */

static unsigned put_fadt(AcpiTables *t, const MicrovmAcpi *m, unsigned dsdt)
{
    GByteArray *b = t->tables;
    unsigned begin = acpi_table_begin(t, &m->oem, "FACP", FADT_REVISION);

    acpi_put_zeros(b, 109 - 36); /* nothing of a chip set; the DSDT's address comes at the end */
    acpi_put_u16(b, BOOT_NO_VGA | BOOT_NO_ASPM | (m->has_rtc ? 0 : BOOT_NO_RTC)
                 | (m->has_serial ? BOOT_LEGACY_DEVICES : 0));
    acpi_put_u8(b, 0);
    acpi_put_u32(b, FADT_RESET_REGISTER | FADT_HEADLESS | FADT_HW_REDUCED);
    acpi_put_gas(b, 8, MICROVM_GED_REGS_ADDR + ACPI_GED_REG_RESET);
    acpi_put_u8(b, ACPI_GED_RESET_VALUE);
    acpi_put_zeros(b, 244 - 129);
    acpi_put_gas(b, 8, MICROVM_GED_REGS_ADDR + ACPI_GED_REG_SLEEP_CTL);
    acpi_put_gas(b, 8, MICROVM_GED_REGS_ADDR + ACPI_GED_REG_SLEEP_STS);
    acpi_put_zeros(b, 8);
    g_assert(b->len - begin == FADT_LEN);
    acpi_table_pointer(t, begin + FADT_AT_DSDT, 4, dsdt);
    acpi_table_pointer(t, begin + FADT_AT_XDSDT, 8, dsdt);
    acpi_table_end(t, begin);
    return begin;
}

/* -- MADT: interrupt controllers --------------------------------------------------------------- */

static void put_cpu(GByteArray *b, uint32_t uid, uint32_t apic_id, bool present)
{
    if (apic_id < 255) {
        acpi_put_u8(b, 0);
        acpi_put_u8(b, 8);
        acpi_put_u8(b, MIN(uid, 255));
        acpi_put_u8(b, apic_id);
        acpi_put_u32(b, present);
    } else {
        acpi_put_u8(b, 9);
        acpi_put_u8(b, 16);
        acpi_put_u16(b, 0);
        acpi_put_u32(b, apic_id);
        acpi_put_u32(b, present);
        acpi_put_u32(b, uid);
    }
}

static void put_ioapic(GByteArray *b, uint8_t id, uint32_t addr, uint32_t first_gsi)
{
    acpi_put_u8(b, 1);
    acpi_put_u8(b, 12);
    acpi_put_u8(b, id);
    acpi_put_u8(b, 0);
    acpi_put_u32(b, addr);
    acpi_put_u32(b, first_gsi);
}

static unsigned put_madt(AcpiTables *t, const MicrovmAcpi *m)
{
    GByteArray *b = t->tables;
    unsigned begin = acpi_table_begin(t, &m->oem, "APIC", MADT_REVISION);

    acpi_put_u32(b, 0xfee00000);
    acpi_put_u32(b, m->has_pic);
    for (unsigned i = 0; i < m->possible; i++) {
        put_cpu(b, i, m->apic_ids[i], i < m->present);
    }
    put_ioapic(b, 0, MICROVM_IOAPIC1_ADDR, 0);
    if (m->has_ioapic2) {
        put_ioapic(b, 1, MICROVM_IOAPIC2_ADDR, IOAPIC_NUM_PINS);
    }
    /* ISA line 0 sits at pin 2. */
    acpi_put_u8(b, 2);
    acpi_put_u8(b, 10);
    acpi_put_u8(b, 0);
    acpi_put_u8(b, 0);
    acpi_put_u32(b, 2);
    acpi_put_u16(b, 0);
    /* LINT1 of every CPU is NMI. */
    acpi_put_u8(b, 4);
    acpi_put_u8(b, 6);
    acpi_put_u8(b, 0xff);
    acpi_put_u16(b, 0);
    acpi_put_u8(b, 1);
    if (m->possible && m->apic_ids[m->possible - 1] >= 255) {
        acpi_put_u8(b, 10);
        acpi_put_u8(b, 12);
        acpi_put_u16(b, 0);
        acpi_put_u32(b, UINT32_MAX);
        acpi_put_u8(b, 1);
        acpi_put_zeros(b, 3);
    }
    acpi_table_end(t, begin);
    return begin;
}

AcpiTables *microvm_acpi_tables(const MicrovmAcpi *m)
{
    AcpiTables *t = acpi_tables_new();
    unsigned dsdt = put_dsdt(t, m);
    unsigned roots[] = { put_fadt(t, m, dsdt), put_madt(t, m) };

    acpi_put_roots(t, &m->oem, roots, ARRAY_SIZE(roots));
    return t;
}
