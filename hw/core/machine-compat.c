/*
 * Machine versions: which defaults a machine of an older version keeps.
 *
 * hw_compat_X_Y holds what changed after version X.Y, for every machine that claims to be of that
 * version or an older one. Entries are optional, so that a build without the driver or property
 * still makes the machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"

void compat_props_add(GPtrArray *arr, GlobalProperty props[], size_t nelem)
{
    for (size_t i = 0; i < nelem; i++) {
        g_ptr_array_add(arr, &props[i]);
    }
}

void machine_class_allow_dynamic_sysbus_dev(MachineClass *mc, const char *type)
{
    /* Such devices name themselves dynamic-sysbus-device; no machine here refuses any of them. */
}

#define KEEP(d, p, v) { .driver = (d), .property = (p), .value = (v), .optional = true }

GlobalProperty hw_compat_9_2[] = {
    KEEP("migration", "multifd-clean-tls-termination", "false"),
    KEEP("migration", "send-switchover-start", "off"),
};
const size_t hw_compat_9_2_len = ARRAY_SIZE(hw_compat_9_2);

GlobalProperty hw_compat_9_1[] = {
    { NULL },
};
const size_t hw_compat_9_1_len = 0;

GlobalProperty hw_compat_9_0[] = {
    { NULL },
};
const size_t hw_compat_9_0_len = 0;

GlobalProperty hw_compat_8_2[] = {
    KEEP("migration", "zero-page-detection", "legacy"),
};
const size_t hw_compat_8_2_len = ARRAY_SIZE(hw_compat_8_2);

GlobalProperty hw_compat_8_1[] = {
    { NULL },
};
const size_t hw_compat_8_1_len = 0;

GlobalProperty hw_compat_8_0[] = {
    KEEP("migration", "multifd-flush-after-each-section", "on"),
};
const size_t hw_compat_8_0_len = ARRAY_SIZE(hw_compat_8_0);

GlobalProperty hw_compat_7_2[] = {
    KEEP("migration", "x-preempt-pre-7-2", "true"),
};
const size_t hw_compat_7_2_len = ARRAY_SIZE(hw_compat_7_2);
