/*
 * ACPI tables being written: encodings of AML, and microvm's tables as they are once somebody has
 * put them into memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/aml-build.h"
#include "hw/i386/acpi-microvm.h"
#include "qapi/error.h"
#include "qemu/bswap.h"

#define TABLES_AT UINT64_C(0x7ff00000)
#define RSDP_AT   UINT64_C(0xf5a00)

#define ASSERT_BYTES(b, ...) do {                                                                  \
    static const uint8_t expected_[] = { __VA_ARGS__ };                                            \
    g_assert_cmpmem((b)->data, (b)->len, expected_, sizeof(expected_));                            \
    g_byte_array_set_size((b), 0);                                                                 \
} while (0)

static void test_values(void)
{
    g_autoptr(GByteArray) b = g_byte_array_new();

    aml_int(b, 0);
    aml_int(b, 1);
    aml_int(b, 2);
    aml_int(b, 0x1234);
    ASSERT_BYTES(b, 0x00, 0x01, 0x0a, 0x02, 0x0b, 0x34, 0x12);
    aml_int(b, 0xfea00000);
    ASSERT_BYTES(b, 0x0c, 0x00, 0x00, 0xa0, 0xfe);
    aml_int(b, UINT64_C(0x100000000));
    ASSERT_BYTES(b, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
    aml_name(b, "\\_SB");
    ASSERT_BYTES(b, '\\', '_', 'S', 'B', '_');
    aml_name(b, "\\");
    ASSERT_BYTES(b, '\\', 0);
    aml_string(b, "AB");
    ASSERT_BYTES(b, 0x0d, 'A', 'B', 0);
    aml_eisaid(b, "PNP0501");
    ASSERT_BYTES(b, 0x0c, 0x41, 0xd0, 0x05, 0x01);
    acpi_put_gas(b, 8, 0xfea00202);
    ASSERT_BYTES(b, 0, 8, 0, 1, 0x02, 0x02, 0xa0, 0xfe, 0, 0, 0, 0);
}

/* The length of a package, as its first bytes say, and how many they are. */
static unsigned package_length(const uint8_t *p, unsigned *bytes)
{
    unsigned more = p[0] >> 6, len = more ? p[0] & 0xf : p[0] & 0x3f;

    for (unsigned i = 1; i <= more; i++) {
        len |= (unsigned)p[i] << (8 * i - 4);
    }
    *bytes = more + 1;
    return len;
}

static void test_packages(void)
{
    static const unsigned edges[] = {
        0, 1, 57, 58, 59, 60, 61, 62, 63, 64, 4086, 4087, 4088, 4089, 4090, 4091, 4092, 4093, 4094,
        4095, 4096, 1048563, 1048567, 1048570, 1048573, 1048576,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
        g_autoptr(GByteArray) b = g_byte_array_new();
        unsigned begin = aml_if(b), bytes, len;

        for (unsigned n = 0; n < edges[i]; n++) {
            acpi_put_u8(b, n * 7);
        }
        aml_end(b, begin);
        g_assert_cmphex(b->data[0], ==, 0xa0);
        len = package_length(b->data + begin, &bytes);
        g_assert_cmpuint(len, ==, edges[i] + bytes);
        g_assert_cmpuint(b->len, ==, begin + len);
        for (unsigned n = 0; n < edges[i]; n++) {
            g_assert_cmphex(b->data[begin + bytes + n], ==, (uint8_t)(n * 7));
        }
        if (len < 64) {
            g_assert_cmpuint(bytes, ==, 1);
        }
    }
}

/* -- Tables ------------------------------------------------------------------------------------ */

static uint8_t sum(const uint8_t *p, unsigned len)
{
    uint8_t total = 0;

    while (len--) {
        total += *p++;
    }
    return total;
}

static const uint8_t *table_at(const AcpiTables *t, uint64_t addr, const char *sig)
{
    const uint8_t *p;
    uint32_t len;

    g_assert_cmphex(addr, >=, TABLES_AT);
    g_assert_cmphex(addr + 36, <=, TABLES_AT + t->tables->len);
    p = t->tables->data + (addr - TABLES_AT);
    len = ldl_le_p(p + 4);
    g_assert_cmphex(addr + len, <=, TABLES_AT + t->tables->len);
    g_assert_cmpmem(p, 4, sig, 4);
    g_assert_cmphex(sum(p, len), ==, 0);
    g_assert_cmpmem(p + 10, 6, "ME    ", 6);
    g_assert_cmpmem(p + 16, 8, "MACHINE ", 8);
    return p;
}

static AcpiTables *make(unsigned cpus, unsigned possible, bool all)
{
    g_autofree uint32_t *ids = g_new(uint32_t, possible);
    MicrovmAcpi m = {
        .oem = { "ME", "MACHINE" }, .apic_ids = ids, .present = cpus, .possible = possible,
        .has_pic = all, .has_serial = all, .has_rtc = all, .has_ioapic2 = all,
    };

    for (unsigned i = 0; i < possible; i++) {
        ids[i] = i * 2;
    }
    return microvm_acpi_tables(&m);
}

static void check_madt(const uint8_t *madt, unsigned cpus, unsigned possible, bool all)
{
    unsigned at = 44, len = ldl_le_p(madt + 4), local = 0, x2 = 0, enabled = 0, ioapics = 0;

    g_assert_cmphex(ldl_le_p(madt + 40), ==, all);
    while (at < len) {
        const uint8_t *e = madt + at;

        g_assert_cmpuint(e[1], >, 0);
        switch (e[0]) {
        case 0:
            g_assert_cmpuint(e[3], ==, 2 * local++);
            enabled += ldl_le_p(e + 4);
            break;
        case 9:
            g_assert_cmpuint(ldl_le_p(e + 4), ==, 2 * (local + x2++));
            enabled += ldl_le_p(e + 8);
            break;
        case 1:
            g_assert_cmpuint(e[2], ==, ioapics);
            g_assert_cmphex(ldl_le_p(e + 4), ==, ioapics ? 0xfec10000 : 0xfec00000);
            g_assert_cmpuint(ldl_le_p(e + 8), ==, 24 * ioapics++);
            break;
        }
        at += e[1];
    }
    g_assert_cmpuint(at, ==, len);
    g_assert_cmpuint(local + x2, ==, possible);
    g_assert_cmpuint(enabled, ==, cpus);
    g_assert_cmpuint(ioapics, ==, all ? 2 : 1);
    g_assert_cmpuint(x2, ==, possible > 128 ? possible - 128 : 0);
}

static void check(unsigned cpus, unsigned possible, bool all)
{
    g_autoptr(AcpiTables) t = make(cpus, possible, all);
    const uint8_t *xsdt, *fadt, *rsdp;
    uint64_t dsdt;

    g_assert_true(acpi_link(t, TABLES_AT, RSDP_AT, &error_abort));
    rsdp = t->rsdp->data;
    g_assert_cmpuint(t->rsdp->len, ==, 36);
    g_assert_cmpmem(rsdp, 8, "RSD PTR ", 8);
    g_assert_cmphex(sum(rsdp, 20), ==, 0);
    g_assert_cmphex(sum(rsdp, 36), ==, 0);
    xsdt = table_at(t, ldq_le_p(rsdp + 24), "XSDT");
    g_assert_cmpuint(ldl_le_p(xsdt + 4), ==, 36 + 2 * 8);
    fadt = table_at(t, ldq_le_p(xsdt + 36), "FACP");
    g_assert_cmpuint(ldl_le_p(fadt + 4), ==, 276);
    dsdt = ldq_le_p(fadt + 140);
    g_assert_cmphex(ldl_le_p(fadt + 40), ==, dsdt);
    table_at(t, dsdt, "DSDT");
    check_madt(table_at(t, ldq_le_p(xsdt + 44), "APIC"), cpus, possible, all);
}

static void test_tables(void)
{
    check(1, 1, true);
    check(2, 8, false);
    check(288, 288, true);
}

/* Commands come to firmware from the machine; acpi_link() believes them no more than it should. */
static void test_bad_commands(void)
{
    static const struct {
        unsigned command, at;       /* where in which command the 32 bits are that are wrong */
    } damage[] = {
        { 2, 4 }, { 2, 60 }, { 2, 116 }, { 2, 120 }, { 3, 4 }, { 3, 60 }, { 3, 64 }, { 3, 68 },
    };
    unsigned refused = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(damage); i++) {
        g_autoptr(AcpiTables) t = make(1, 1, true);
        Error *err = NULL;

        for (unsigned at = 0; at < t->loader->len; at += 128) {
            uint8_t *c = t->loader->data + at;

            if (ldl_le_p(c) == damage[i].command) {
                stl_le_p(c + damage[i].at, UINT32_MAX);
                break;
            }
        }
        if (!acpi_link(t, TABLES_AT, RSDP_AT, &err)) {
            refused++;
            g_assert_nonnull(strstr(error_get_pretty(err), "loader"));
            error_free(err);
        }
    }
    g_assert_cmpuint(refused, ==, ARRAY_SIZE(damage));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/values", test_values);
    g_test_add_func("/acpi/packages", test_packages);
    g_test_add_func("/acpi/tables", test_tables);
    g_test_add_func("/acpi/bad-commands", test_bad_commands);
    return g_test_run();
}
