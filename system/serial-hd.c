/*
 * The character devices that -serial names, in order, for the machine's serial ports.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "system/system.h"

static GPtrArray *serials; /* of Chardev, NULL for "none" */

void serial_hd_append(Chardev *chr)
{
    if (!serials) {
        serials = g_ptr_array_new();
    }
    g_ptr_array_add(serials, chr);
}

Chardev *serial_hd(int i)
{
    return i >= 0 && i < serial_max_hds() ? g_ptr_array_index(serials, i) : NULL;
}

int serial_max_hds(void)
{
    return serials ? serials->len : 0;
}
