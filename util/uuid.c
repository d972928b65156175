/*
 * UUIDs: see qemu/uuid.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/uuid.h"
#include <sys/random.h>

QemuUUID qemu_uuid;
bool qemu_uuid_set;

/* Which bytes are followed by a dash in 8-4-4-4-12 form. */
static bool dash_after(int i)
{
    return i == 3 || i == 5 || i == 7 || i == 9;
}

void qemu_uuid_generate(QemuUUID *out)
{
    if (getrandom(out->data, sizeof(out->data), 0) != sizeof(out->data)) {
        for (int i = 0; i < 16; i++) {
            out->data[i] = g_random_int_range(0, 256);
        }
    }
    out->data[6] = (out->data[6] & 0x0f) | 0x40; /* version 4: random */
    out->data[8] = (out->data[8] & 0x3f) | 0x80;
}

bool qemu_uuid_is_null(const QemuUUID *uu)
{
    static const QemuUUID null;

    return qemu_uuid_is_equal(uu, &null);
}

bool qemu_uuid_is_equal(const QemuUUID *a, const QemuUUID *b)
{
    return !memcmp(a, b, sizeof(*a));
}

void qemu_uuid_unparse(const QemuUUID *uu, char *out)
{
    for (int i = 0; i < 16; i++) {
        out += sprintf(out, dash_after(i) ? "%02x-" : "%02x", uu->data[i]);
    }
}

char *qemu_uuid_unparse_strdup(const QemuUUID *uu)
{
    char *s = g_malloc(UUID_STR_LEN + 1);

    qemu_uuid_unparse(uu, s);
    return s;
}

int qemu_uuid_parse(const char *str, QemuUUID *out)
{
    QemuUUID uu;

    for (int i = 0; i < 16; i++) {
        int hi = g_ascii_xdigit_value(str[0]);
        int lo = hi < 0 ? -1 : g_ascii_xdigit_value(str[1]);

        if (lo < 0) {
            return -1;
        }
        uu.data[i] = hi << 4 | lo;
        str += 2;
        if (dash_after(i) && *str++ != '-') {
            return -1;
        }
    }
    if (*str) {
        return -1;
    }
    *out = uu;
    return 0;
}
