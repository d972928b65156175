/*
 * The list of reset handlers.
 *
 * A handler may register and unregister others while the list is walked: removed entries leave a
 * hole until the outermost walk ends, new ones are at the end and so still get their turn.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "system/reset.h"

typedef struct ResetEntry {
    QEMUResetHandler *func;             /* one of the two is set */
    QEMUResetTypeHandler *type_func;
    void *opaque;
    bool skip_snapshot_load;
    bool removed;
} ResetEntry;

static GPtrArray *entries;
static unsigned walks;

static void add_entry(ResetEntry entry)
{
    if (!entries) {
        entries = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(entries, g_memdup2(&entry, sizeof(entry)));
}

static void purge(void)
{
    for (guint i = 0; walks == 0 && i < entries->len;) {
        ResetEntry *entry = g_ptr_array_index(entries, i);

        if (entry->removed) {
            g_ptr_array_remove_index(entries, i);
        } else {
            i++;
        }
    }
}

static void remove_entry(QEMUResetHandler *func, QEMUResetTypeHandler *type_func, void *opaque)
{
    for (guint i = 0; entries && i < entries->len; i++) {
        ResetEntry *entry = g_ptr_array_index(entries, i);

        if (!entry->removed && entry->func == func && entry->type_func == type_func &&
            entry->opaque == opaque) {
            entry->removed = true;
            purge();
            return;
        }
    }
}

void qemu_register_reset(QEMUResetHandler *func, void *opaque)
{
    add_entry((ResetEntry) { .func = func, .opaque = opaque });
}

void qemu_register_reset_nosnapshotload(QEMUResetHandler *func, void *opaque)
{
    add_entry((ResetEntry) { .func = func, .opaque = opaque, .skip_snapshot_load = true });
}

void qemu_unregister_reset(QEMUResetHandler *func, void *opaque)
{
    remove_entry(func, NULL, opaque);
}

void qemu_register_reset_type(QEMUResetTypeHandler *func, void *opaque)
{
    add_entry((ResetEntry) { .type_func = func, .opaque = opaque });
}

void qemu_unregister_reset_type(QEMUResetTypeHandler *func, void *opaque)
{
    remove_entry(NULL, func, opaque);
}

void qemu_devices_reset(ResetType type)
{
    if (!entries) {
        return;
    }
    walks++;
    for (guint i = 0; i < entries->len; i++) {
        ResetEntry *entry = g_ptr_array_index(entries, i);

        if (entry->removed ||
            (entry->skip_snapshot_load && type == RESET_TYPE_SNAPSHOT_LOAD)) {
            continue;
        }
        if (entry->func) {
            entry->func(entry->opaque);
        } else {
            entry->type_func(entry->opaque, type);
        }
    }
    walks--;
    purge();
}
