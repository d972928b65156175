/*
 * ACPI tables as a whole: headers, what leads to them, and the commands by which firmware places
 * them ("etc/table-loader": 128 bytes each).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/aml-build.h"
#include "hw/nvram/fw_cfg.h"
#include "qapi/error.h"
#include "qemu/bswap.h"

#define HEADER_LEN    36
#define AT_LENGTH     4
#define AT_SUM        9
#define RSDP_LEN      36
#define RSDP_LEN_V1   20
#define RSDP_AT_SUM   8
#define RSDP_AT_XSDT  24
#define RSDP_AT_SUM2  32
#define ASL_COMPILER  "GDWT"

/* -- Commands ---------------------------------------------------------------------------------- */

#define COMMAND_LEN 128
#define NAME_LEN    56

enum { CMD_ALLOCATE = 1, CMD_POINTER = 2, CMD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

/* The rest of a command, behind its number; all of it is little endian. */
typedef struct QEMU_PACKED Allocate {
    char file[NAME_LEN];
    uint32_t align;
    uint8_t zone;
} Allocate;

typedef struct QEMU_PACKED Pointer {
    char dest[NAME_LEN], src[NAME_LEN];
    uint32_t offset;            /* of the pointer in dest: an offset in src, to become an address */
    uint8_t size;
} Pointer;

typedef struct QEMU_PACKED Checksum {
    char file[NAME_LEN];
    uint32_t offset, start, length;
} Checksum;

static void put_command(AcpiTables *t, uint32_t command, const void *data, unsigned len)
{
    unsigned begin = t->loader->len;

    acpi_put_u32(t->loader, command);
    g_byte_array_append(t->loader, data, len);
    acpi_put_zeros(t->loader, begin + COMMAND_LEN - t->loader->len);
}

static void put_allocate(AcpiTables *t, const char *file, uint32_t align, uint8_t zone)
{
    Allocate c = { .align = cpu_to_le32(align), .zone = zone };

    g_strlcpy(c.file, file, sizeof(c.file));
    put_command(t, CMD_ALLOCATE, &c, sizeof(c));
}

static void put_pointer(AcpiTables *t, const char *dest, uint32_t offset, uint8_t size)
{
    Pointer c = { .offset = cpu_to_le32(offset), .size = size };

    g_strlcpy(c.dest, dest, sizeof(c.dest));
    g_strlcpy(c.src, FW_CFG_ACPI_TABLES, sizeof(c.src));
    put_command(t, CMD_POINTER, &c, sizeof(c));
}

static void put_checksum(AcpiTables *t, const char *file, uint32_t offset, uint32_t start,
                         uint32_t length)
{
    Checksum c = {
        .offset = cpu_to_le32(offset), .start = cpu_to_le32(start), .length = cpu_to_le32(length),
    };

    g_strlcpy(c.file, file, sizeof(c.file));
    put_command(t, CMD_CHECKSUM, &c, sizeof(c));
}

/* -- Tables ------------------------------------------------------------------------------------ */

AcpiTables *acpi_tables_new(void)
{
    AcpiTables *t = g_new0(AcpiTables, 1);

    t->tables = g_byte_array_new();
    t->rsdp = g_byte_array_new();
    t->loader = g_byte_array_new();
    /* The RSDP where guests look for it, below 1 MiB. */
    put_allocate(t, FW_CFG_ACPI_RSDP, 16, ZONE_FSEG);
    put_allocate(t, FW_CFG_ACPI_TABLES, 64, ZONE_HIGH);
    return t;
}

void acpi_tables_free(AcpiTables *t)
{
    g_byte_array_unref(t->tables);
    g_byte_array_unref(t->rsdp);
    g_byte_array_unref(t->loader);
    g_free(t);
}

unsigned acpi_table_begin(AcpiTables *t, const AcpiOem *oem, const char *sig, uint8_t revision)
{
    GByteArray *b = t->tables;
    unsigned begin;

    acpi_put_zeros(b, -b->len & 7);
    begin = b->len;
    acpi_put_text(b, sig, 4, ' ');
    acpi_put_u32(b, 0);                             /* length: at the end */
    acpi_put_u8(b, revision);
    acpi_put_u8(b, 0);                              /* sum: by command */
    acpi_put_text(b, oem->id, 6, ' ');
    acpi_put_text(b, oem->table_id, 8, ' ');
    acpi_put_u32(b, 1);
    acpi_put_text(b, ASL_COMPILER, 4, ' ');
    acpi_put_u32(b, 1);
    g_assert(b->len - begin == HEADER_LEN);
    return begin;
}

void acpi_table_end(AcpiTables *t, unsigned begin)
{
    unsigned len = t->tables->len - begin;

    stl_le_p(t->tables->data + begin + AT_LENGTH, len);
    put_checksum(t, FW_CFG_ACPI_TABLES, begin + AT_SUM, begin, len);
}

void acpi_table_pointer(AcpiTables *t, unsigned at, unsigned size, unsigned target)
{
    uint8_t *p = t->tables->data + at;

    g_assert((size == 4 || size == 8) && at + size <= t->tables->len);
    if (size == 4) {
        stl_le_p(p, target);
    } else {
        stq_le_p(p, target);
    }
    put_pointer(t, FW_CFG_ACPI_TABLES, at, size);
}

void acpi_put_roots(AcpiTables *t, const AcpiOem *oem, const unsigned *offsets, unsigned n)
{
    unsigned xsdt = acpi_table_begin(t, oem, "XSDT", 1);
    GByteArray *b = t->rsdp;

    for (unsigned i = 0; i < n; i++) {
        acpi_put_u64(t->tables, 0);
        acpi_table_pointer(t, t->tables->len - 8, 8, offsets[i]);
    }
    acpi_table_end(t, xsdt);

    acpi_put_text(b, "RSD PTR ", 8, ' ');
    acpi_put_u8(b, 0);
    acpi_put_text(b, oem->id, 6, ' ');
    acpi_put_u8(b, 2);                              /* revision */
    acpi_put_u32(b, 0);                             /* no RSDT */
    acpi_put_u32(b, RSDP_LEN);
    acpi_put_u64(b, xsdt);
    acpi_put_zeros(b, 4);
    g_assert(b->len == RSDP_LEN);
    put_pointer(t, FW_CFG_ACPI_RSDP, RSDP_AT_XSDT, 8);
    put_checksum(t, FW_CFG_ACPI_RSDP, RSDP_AT_SUM, 0, RSDP_LEN_V1);
    put_checksum(t, FW_CFG_ACPI_RSDP, RSDP_AT_SUM2, 0, RSDP_LEN);
}

/* -- Carrying the commands out ----------------------------------------------------------------- */

static GByteArray *file_named(AcpiTables *t, const char *name)
{
    if (g_str_equal(name, FW_CFG_ACPI_TABLES)) {
        return t->tables;
    }
    return g_str_equal(name, FW_CFG_ACPI_RSDP) ? t->rsdp : NULL;
}

static bool do_pointer(AcpiTables *t, const Pointer *c, uint64_t tables_addr, uint64_t rsdp_addr)
{
    GByteArray *dest = file_named(t, c->dest), *src = file_named(t, c->src);
    uint32_t offset = le32_to_cpu(c->offset);
    uint64_t value;

    if (!dest || !src || offset > dest->len || c->size > dest->len - offset
        || (c->size != 4 && c->size != 8)) {
        return false;
    }
    value = c->size == 4 ? ldl_le_p(dest->data + offset) : ldq_le_p(dest->data + offset);
    value += src == t->tables ? tables_addr : rsdp_addr;
    if (c->size == 4) {
        stl_le_p(dest->data + offset, value);
    } else {
        stq_le_p(dest->data + offset, value);
    }
    return true;
}

static bool do_checksum(AcpiTables *t, const Checksum *c)
{
    GByteArray *file = file_named(t, c->file);
    uint32_t offset = le32_to_cpu(c->offset), start = le32_to_cpu(c->start);
    uint32_t length = le32_to_cpu(c->length);
    uint8_t sum = 0;

    if (!file || offset >= file->len || start > file->len || length > file->len - start) {
        return false;
    }
    for (uint32_t i = 0; i < length; i++) {
        sum += file->data[start + i];
    }
    file->data[offset] -= sum;
    return true;
}

bool acpi_link(AcpiTables *t, uint64_t tables_addr, uint64_t rsdp_addr, Error **errp)
{
    for (unsigned at = 0; at + COMMAND_LEN <= t->loader->len; at += COMMAND_LEN) {
        const void *data = t->loader->data + at + 4;
        bool ok = true;

        switch (ldl_le_p(t->loader->data + at)) {
        case CMD_POINTER:
            ok = do_pointer(t, data, tables_addr, rsdp_addr);
            break;
        case CMD_CHECKSUM:
            ok = do_checksum(t, data);
            break;
        }
        if (!ok) {
            error_setg(errp, "ACPI tables: command %u of the loader makes no sense",
                       at / COMMAND_LEN);
            return false;
        }
    }
    return true;
}
