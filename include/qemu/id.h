/*
 * Identifiers that users give to objects, devices and back ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ID_H
#define QEMU_ID_H

/* A letter, then letters, digits, '-', '.' and '_'. */
bool id_wellformed(const char *id);

#endif
