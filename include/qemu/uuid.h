/*
 * UUIDs, as 16 bytes in the order in which they are written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_UUID_H
#define QEMU_UUID_H

typedef struct QemuUUID {
    uint8_t data[16];
} QemuUUID;

#define UUID_STR_LEN 36
#define UUID_NONE "00000000-0000-0000-0000-000000000000"

/* The guest's, from -uuid; all zero and qemu_uuid_set false where it was not given. */
extern QemuUUID qemu_uuid;
extern bool qemu_uuid_set;

void qemu_uuid_generate(QemuUUID *out);
bool qemu_uuid_is_null(const QemuUUID *uu);
bool qemu_uuid_is_equal(const QemuUUID *a, const QemuUUID *b);
void qemu_uuid_unparse(const QemuUUID *uu, char *out); /* out: UUID_STR_LEN + 1 bytes */
char *qemu_uuid_unparse_strdup(const QemuUUID *uu);
int qemu_uuid_parse(const char *str, QemuUUID *out); /* 0 or -1 */

#endif
