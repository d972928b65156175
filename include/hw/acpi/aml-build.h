/*
 * ACPI tables being written: bytes, AML, table headers, and the commands by which firmware puts
 * the finished tables into memory.
 *
 * A GByteArray grows at its end. AML packages are begun and ended; the length of what was put in
 * between is written at the end. Sums and addresses are not known here: they are left to whoever
 * carries the commands out, firmware or acpi_link().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ACPI_AML_BUILD_H
#define HW_ACPI_AML_BUILD_H

/* -- Bytes, little endian -- */

void acpi_put_u8(GByteArray *b, uint8_t value);
void acpi_put_u16(GByteArray *b, uint16_t value);
void acpi_put_u32(GByteArray *b, uint32_t value);
void acpi_put_u64(GByteArray *b, uint64_t value);
void acpi_put_zeros(GByteArray *b, unsigned count);
/** @text in @width bytes, filled up with @fill. */
void acpi_put_text(GByteArray *b, const char *text, unsigned width, char fill);
/** Generic address: @bits wide in memory at @addr; one of 0 bits at 0 is none. */
void acpi_put_gas(GByteArray *b, unsigned bits, uint64_t addr);

/* -- AML -- */

/** A name of one segment, with \ and ^ in front of it as they come; short ones are filled up. */
void aml_name(GByteArray *b, const char *name);
void aml_int(GByteArray *b, uint64_t value);
void aml_string(GByteArray *b, const char *text);
/** "PNP0501" and its like, compressed into a number. */
void aml_eisaid(GByteArray *b, const char *id);
/** Name (@name, …): the value is to follow. */
void aml_name_decl(GByteArray *b, const char *name);

/* Each returns where it began; that goes to aml_end() when all that belongs into it was put. */
unsigned aml_scope(GByteArray *b, const char *name);
unsigned aml_device(GByteArray *b, const char *name);
unsigned aml_method(GByteArray *b, const char *name, unsigned args, bool serialized);
unsigned aml_if(GByteArray *b);                 /* the condition comes first */
unsigned aml_package(GByteArray *b, unsigned elements);
/** DWord access, bits not named written as zeros; names and their widths: aml_field_unit(). */
unsigned aml_field(GByteArray *b, const char *region);
void aml_end(GByteArray *b, unsigned begin);

void aml_field_unit(GByteArray *b, const char *name, unsigned bits);
void aml_region(GByteArray *b, const char *name, uint64_t addr, uint32_t len); /* in memory */
void aml_store_local0(GByteArray *b, const char *name);     /* Local0 = name */
/** Local0 & @bits, as a condition. */
void aml_local0_has(GByteArray *b, uint64_t bits);
void aml_notify(GByteArray *b, const char *name, unsigned value);

/* Resources of a device, collected in @resources: Name (_CRS, …), put at the end. */
void aml_crs_begin(GByteArray *resources);
void aml_crs_end(GByteArray *b, GByteArray *resources);
void aml_res_io(GByteArray *resources, uint16_t port, uint8_t len);
void aml_res_irq(GByteArray *resources, unsigned line);             /* ISA: edge, high */
void aml_res_interrupt(GByteArray *resources, uint32_t gsi, bool level);
void aml_res_memory(GByteArray *resources, uint32_t addr, uint32_t len);

/* -- Tables -- */

/** Who says that it made them: at most 6 and 8 characters. */
typedef struct AcpiOem {
    const char *id, *table_id;
} AcpiOem;

/** All tables one behind the other, the pointer to them, and the commands. */
typedef struct AcpiTables {
    GByteArray *tables, *rsdp, *loader;
} AcpiTables;

AcpiTables *acpi_tables_new(void);
void acpi_tables_free(AcpiTables *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AcpiTables, acpi_tables_free)

/** A header, @sig of 4 letters; returns the table's offset. The end gives it length and sum. */
unsigned acpi_table_begin(AcpiTables *t, const AcpiOem *oem, const char *sig, uint8_t revision);
void acpi_table_end(AcpiTables *t, unsigned begin);
/** @size bytes at @at in the tables are to hold the address of the table at offset @target. */
void acpi_table_pointer(AcpiTables *t, unsigned at, unsigned size, unsigned target);
/** XSDT of the @n tables at @offsets, and the RSDP that leads there. Last of all. */
void acpi_put_roots(AcpiTables *t, const AcpiOem *oem, const unsigned *offsets, unsigned n);

/**
 * Do what the commands say, as firmware would that puts the tables at @tables_addr and the RSDP at
 * @rsdp_addr: changes @t's bytes.
 */
bool acpi_link(AcpiTables *t, uint64_t tables_addr, uint64_t rsdp_addr, Error **errp);

#endif
