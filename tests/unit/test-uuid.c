/*
 * UUIDs: text to bytes and back, and what is no UUID.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/uuid.h"

#define TEXT "01234567-89ab-cdef-fedc-ba9876543210"

static void test_parse(void)
{
    static const uint8_t want[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                     0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    char text[UUID_STR_LEN + 1];
    g_autofree char *dup = NULL;
    QemuUUID uu;

    g_assert_cmpint(qemu_uuid_parse(TEXT, &uu), ==, 0);
    g_assert_cmpmem(uu.data, 16, want, 16);
    qemu_uuid_unparse(&uu, text);
    g_assert_cmpstr(text, ==, TEXT);
    dup = qemu_uuid_unparse_strdup(&uu);
    g_assert_cmpstr(dup, ==, TEXT);
    g_assert_cmpint(strlen(TEXT), ==, UUID_STR_LEN);
    g_assert_cmpint(qemu_uuid_parse("01234567-89AB-CDEF-FEDC-BA9876543210", &uu), ==, 0);
    g_assert_cmpmem(uu.data, 16, want, 16);
}

static void test_bad(void)
{
    static const char *const bad[] = {
        "", "0", "01234567", "01234567-89ab-cdef-fedc-ba987654321", TEXT "0", TEXT "-", " " TEXT,
        TEXT " ", "g1234567-89ab-cdef-fedc-ba9876543210", "0123456789ab-cdef-fedc-ba9876543210",
        "01234567-89ab-cdef-fedcba9876543210", "012345678-9ab-cdef-fedc-ba9876543210",
        "0123456789abcdeffedcba9876543210", "{" TEXT "}",
        "01234567 89ab cdef fedc ba9876543210",
    };
    QemuUUID uu, before;

    qemu_uuid_generate(&uu);
    before = uu;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (qemu_uuid_parse(bad[i], &uu) != -1) {
            g_error("'%s' was taken", bad[i]);
        }
        g_assert_true(qemu_uuid_is_equal(&uu, &before)); /* untouched */
    }
    /* Cut short anywhere: never looks behind the end (sanitizers watch). */
    for (int len = 0; len < UUID_STR_LEN; len++) {
        g_autofree char *cut = g_strndup(TEXT, len);

        g_assert_cmpint(qemu_uuid_parse(cut, &uu), ==, -1);
    }
}

static void test_generate(void)
{
    QemuUUID a, b, back;
    g_autofree char *text = NULL;

    qemu_uuid_generate(&a);
    qemu_uuid_generate(&b);
    g_assert_false(qemu_uuid_is_equal(&a, &b));
    g_assert_false(qemu_uuid_is_null(&a));
    g_assert_cmphex(a.data[6] & 0xf0, ==, 0x40);
    g_assert_cmphex(a.data[8] & 0xc0, ==, 0x80);
    text = qemu_uuid_unparse_strdup(&a);
    g_assert_cmpint(qemu_uuid_parse(text, &back), ==, 0);
    g_assert_true(qemu_uuid_is_equal(&a, &back));
    g_assert_cmpint(qemu_uuid_parse(UUID_NONE, &back), ==, 0);
    g_assert_true(qemu_uuid_is_null(&back));
    g_assert_false(qemu_uuid_set);
    g_assert_true(qemu_uuid_is_null(&qemu_uuid));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uuid/parse", test_parse);
    g_test_add_func("/uuid/bad", test_bad);
    g_test_add_func("/uuid/generate", test_generate);
    return g_test_run();
}
