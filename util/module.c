/*
 * Registration at start: see qemu/module.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/module.h"

static GSList *init_lists[MODULE_INIT_MAX]; /* filled by constructors: no locking needed */
static bool init_done[MODULE_INIT_MAX];

void register_module_init(void (*fn)(void), module_init_type type)
{
    init_lists[type] = g_slist_append(init_lists[type], (void *)fn);
}

void module_call_init(module_init_type type)
{
    if (init_done[type]) {
        return;
    }
    init_done[type] = true;
    for (GSList *l = init_lists[type]; l; l = l->next) {
        ((void (*)(void))l->data)();
    }
}
