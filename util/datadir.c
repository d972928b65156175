/*
 * Where files that come with the program are looked for: see qemu/datadir.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/datadir.h"
#include "config-host.h"

static GPtrArray *dirs; /* in the order in which they are searched */

void qemu_add_data_dir(const char *path)
{
    if (!dirs) {
        dirs = g_ptr_array_new_with_free_func(g_free);
    }
    for (guint i = 0; i < dirs->len; i++) {
        if (g_str_equal(g_ptr_array_index(dirs, i), path)) {
            return;
        }
    }
    g_ptr_array_add(dirs, g_strdup(path));
}

void qemu_add_default_data_dirs(void)
{
    /* Distributions put the firmware of all emulators there. */
    static const char *const defaults[] = { CONFIG_QEMU_DATADIR, "/usr/share/qemu",
                                            "/usr/share/seabios" };

    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        qemu_add_data_dir(defaults[i]);
    }
}

void qemu_list_data_dirs(void)
{
    for (guint i = 0; dirs && i < dirs->len; i++) {
        printf("%s\n", (char *)g_ptr_array_index(dirs, i));
    }
}

char *qemu_find_file(const char *name)
{
    if (access(name, R_OK) == 0) {
        return g_strdup(name);
    }
    for (guint i = 0; dirs && !strchr(name, '/') && i < dirs->len; i++) {
        char *path = g_build_filename(g_ptr_array_index(dirs, i), name, NULL);

        if (access(path, R_OK) == 0) {
            return path;
        }
        g_free(path);
    }
    return NULL;
}
