/*
 * Bytes and AML of ACPI tables. Encodings are those of the ACPI specification, chapters 19 and 20
 * (AML) and 6.4 (resources).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/aml-build.h"

enum {
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c,
    OP_STRING = 0x0d, OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12,
    OP_METHOD = 0x14, OP_EXT = 0x5b, OP_LOCAL0 = 0x60, OP_STORE = 0x70, OP_AND = 0x7b,
    OP_NOTIFY = 0x86, OP_IF = 0xa0,
    EXT_REGION = 0x80, EXT_FIELD = 0x81, EXT_DEVICE = 0x82,
};

/* -- Bytes ------------------------------------------------------------------------------------- */

void acpi_put_u8(GByteArray *b, uint8_t value)
{
    g_byte_array_append(b, &value, 1);
}

void acpi_put_u16(GByteArray *b, uint16_t value)
{
    acpi_put_u8(b, value & 0xff);
    acpi_put_u8(b, value >> 8);
}

void acpi_put_u32(GByteArray *b, uint32_t value)
{
    acpi_put_u16(b, value & 0xffff);
    acpi_put_u16(b, value >> 16);
}

void acpi_put_u64(GByteArray *b, uint64_t value)
{
    acpi_put_u32(b, value & 0xffffffff);
    acpi_put_u32(b, value >> 32);
}

void acpi_put_zeros(GByteArray *b, unsigned count)
{
    while (count--) {
        acpi_put_u8(b, 0);
    }
}

void acpi_put_text(GByteArray *b, const char *text, unsigned width, char fill)
{
    unsigned len = strlen(text);

    for (unsigned i = 0; i < width; i++) {
        acpi_put_u8(b, i < len ? text[i] : fill);
    }
}

void acpi_put_gas(GByteArray *b, unsigned bits, uint64_t addr)
{
    acpi_put_u8(b, 0);                              /* in memory */
    acpi_put_u8(b, bits);
    acpi_put_u8(b, 0);
    acpi_put_u8(b, bits ? __builtin_ctz(bits) - 2 : 0); /* access by 1, 2, 4, 8 bytes: 1 to 4 */
    acpi_put_u64(b, addr);
}

/* -- Names and values -------------------------------------------------------------------------- */

void aml_name(GByteArray *b, const char *name)
{
    for (; *name == '\\' || *name == '^'; name++) {
        acpi_put_u8(b, *name);
    }
    g_assert(strlen(name) <= 4);
    if (*name) {
        acpi_put_text(b, name, 4, '_');
    } else {
        acpi_put_u8(b, 0);
    }
}

void aml_int(GByteArray *b, uint64_t value)
{
    if (value <= 1) {
        acpi_put_u8(b, value ? OP_ONE : OP_ZERO);
    } else if (value <= UINT8_MAX) {
        acpi_put_u8(b, OP_BYTE);
        acpi_put_u8(b, value);
    } else if (value <= UINT16_MAX) {
        acpi_put_u8(b, OP_WORD);
        acpi_put_u16(b, value);
    } else if (value <= UINT32_MAX) {
        acpi_put_u8(b, OP_DWORD);
        acpi_put_u32(b, value);
    } else {
        acpi_put_u8(b, OP_QWORD);
        acpi_put_u64(b, value);
    }
}

void aml_string(GByteArray *b, const char *text)
{
    acpi_put_u8(b, OP_STRING);
    acpi_put_text(b, text, strlen(text) + 1, 0);
}

void aml_eisaid(GByteArray *b, const char *id)
{
    uint32_t letters = 0;

    g_assert(strlen(id) == 7);
    for (int i = 0; i < 3; i++) {
        letters = letters << 5 | (id[i] - 'A' + 1);
    }
    /* Three letters of five bits, then the digits; big endian. */
    acpi_put_u8(b, OP_DWORD);
    acpi_put_u32(b, __builtin_bswap32(letters << 16 | strtoul(id + 3, NULL, 16)));
}

void aml_name_decl(GByteArray *b, const char *name)
{
    acpi_put_u8(b, OP_NAME);
    aml_name(b, name);
}

/* -- Packages ---------------------------------------------------------------------------------- */

/* The length includes its own bytes; one of up to 63 has one, others have two to four. */
void aml_end(GByteArray *b, unsigned begin)
{
    unsigned content = b->len - begin, n = 1, len;
    uint8_t bytes[4] = { 0 };

    while (content + n >= (n == 1 ? 1u << 6 : 1u << (4 + 8 * (n - 1)))) {
        n++;
    }
    g_assert(n <= 4);
    len = content + n;
    if (n == 1) {
        bytes[0] = len;
    } else {
        bytes[0] = (n - 1) << 6 | (len & 0xf);
        for (unsigned i = 1; i < n; i++) {
            bytes[i] = len >> (4 + 8 * (i - 1)) & 0xff;
        }
    }
    g_byte_array_set_size(b, b->len + n);
    memmove(b->data + begin + n, b->data + begin, content);
    memcpy(b->data + begin, bytes, n);
}

unsigned aml_scope(GByteArray *b, const char *name)
{
    unsigned begin;

    acpi_put_u8(b, OP_SCOPE);
    begin = b->len;
    aml_name(b, name);
    return begin;
}

unsigned aml_device(GByteArray *b, const char *name)
{
    unsigned begin;

    acpi_put_u8(b, OP_EXT);
    acpi_put_u8(b, EXT_DEVICE);
    begin = b->len;
    aml_name(b, name);
    return begin;
}

unsigned aml_method(GByteArray *b, const char *name, unsigned args, bool serialized)
{
    unsigned begin;

    acpi_put_u8(b, OP_METHOD);
    begin = b->len;
    aml_name(b, name);
    acpi_put_u8(b, args | (serialized ? 8 : 0));
    return begin;
}

unsigned aml_if(GByteArray *b)
{
    acpi_put_u8(b, OP_IF);
    return b->len;
}

unsigned aml_package(GByteArray *b, unsigned elements)
{
    unsigned begin;

    acpi_put_u8(b, OP_PACKAGE);
    begin = b->len;
    acpi_put_u8(b, elements);
    return begin;
}

unsigned aml_field(GByteArray *b, const char *region)
{
    enum { DWORD_ACCESS = 3, WRITE_AS_ZEROS = 2 << 5 };
    unsigned begin;

    acpi_put_u8(b, OP_EXT);
    acpi_put_u8(b, EXT_FIELD);
    begin = b->len;
    aml_name(b, region);
    acpi_put_u8(b, DWORD_ACCESS | WRITE_AS_ZEROS);
    return begin;
}

void aml_field_unit(GByteArray *b, const char *name, unsigned bits)
{
    g_assert(bits < 64);
    aml_name(b, name);
    acpi_put_u8(b, bits);
}

void aml_region(GByteArray *b, const char *name, uint64_t addr, uint32_t len)
{
    acpi_put_u8(b, OP_EXT);
    acpi_put_u8(b, EXT_REGION);
    aml_name(b, name);
    acpi_put_u8(b, 0);                              /* in memory */
    aml_int(b, addr);
    aml_int(b, len);
}

/* -- What methods do --------------------------------------------------------------------------- */

void aml_store_local0(GByteArray *b, const char *name)
{
    acpi_put_u8(b, OP_STORE);
    aml_name(b, name);
    acpi_put_u8(b, OP_LOCAL0);
}

void aml_local0_has(GByteArray *b, uint64_t bits)
{
    acpi_put_u8(b, OP_AND);
    acpi_put_u8(b, OP_LOCAL0);
    aml_int(b, bits);
    acpi_put_u8(b, 0);                              /* the result goes nowhere else */
}

void aml_notify(GByteArray *b, const char *name, unsigned value)
{
    acpi_put_u8(b, OP_NOTIFY);
    aml_name(b, name);
    aml_int(b, value);
}

/* -- Resources --------------------------------------------------------------------------------- */

void aml_crs_begin(GByteArray *resources)
{
    g_byte_array_set_size(resources, 0);
}

void aml_crs_end(GByteArray *b, GByteArray *resources)
{
    unsigned begin;

    acpi_put_u8(resources, 0x79);                   /* end tag; a sum of 0 is not checked */
    acpi_put_u8(resources, 0);
    aml_name_decl(b, "_CRS");
    acpi_put_u8(b, OP_BUFFER);
    begin = b->len;
    aml_int(b, resources->len);
    g_byte_array_append(b, resources->data, resources->len);
    aml_end(b, begin);
}

void aml_res_io(GByteArray *resources, uint16_t port, uint8_t len)
{
    acpi_put_u8(resources, 0x47);
    acpi_put_u8(resources, 1);                      /* 16 bits decoded */
    acpi_put_u16(resources, port);
    acpi_put_u16(resources, port);
    acpi_put_u8(resources, 1);
    acpi_put_u8(resources, len);
}

void aml_res_irq(GByteArray *resources, unsigned line)
{
    acpi_put_u8(resources, 0x22);
    acpi_put_u16(resources, 1u << line);
}

void aml_res_interrupt(GByteArray *resources, uint32_t gsi, bool level)
{
    acpi_put_u8(resources, 0x89);
    acpi_put_u16(resources, 6);
    acpi_put_u8(resources, 1 | (level ? 0 : 2));    /* consumer; high, exclusive */
    acpi_put_u8(resources, 1);
    acpi_put_u32(resources, gsi);
}

void aml_res_memory(GByteArray *resources, uint32_t addr, uint32_t len)
{
    acpi_put_u8(resources, 0x86);
    acpi_put_u16(resources, 9);
    acpi_put_u8(resources, 1);                      /* writable */
    acpi_put_u32(resources, addr);
    acpi_put_u32(resources, len);
}
