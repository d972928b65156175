/*
 * The options for drives: -drive, -hda to -hdd, -snapshot, and images named without an option.
 *
 * They are noted, and opened when everything that can fail more cheaply has been checked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cmdline.h"
#include "cmdline-drive.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/blockdev.h"

enum { WITH_OPTIONS = -2, NEXT_FREE = -1 };

typedef struct NotedDrive {
    NotedOption noted;
    int index;          /* of -hda and the like, or one of the above */
} NotedDrive;

static GArray *drives;

void cmdline_drive_init(void)
{
    drives = g_array_new(false, false, sizeof(NotedDrive));
    drive_init_opts();
}

static bool note_drive(const char *option, const char *arg, int index)
{
    NotedDrive d = { { .option = option, .arg = arg }, index };

    g_array_append_val(drives, d);
    return true;
}

bool opt_drive(const char *arg, Error **errp)
{
    return note_drive("-drive", arg, WITH_OPTIONS);
}

bool opt_hda(const char *arg, Error **errp)
{
    return note_drive("-hda", arg, 0);
}

bool opt_hdb(const char *arg, Error **errp)
{
    return note_drive("-hdb", arg, 1);
}

bool opt_hdc(const char *arg, Error **errp)
{
    return note_drive("-hdc", arg, 2);
}

bool opt_hdd(const char *arg, Error **errp)
{
    return note_drive("-hdd", arg, 3);
}

bool opt_snapshot(const char *arg, Error **errp)
{
    drive_set_default_snapshot(true);
    return true;
}

void cmdline_note_image(const char *filename)
{
    note_drive("disk image", filename, NEXT_FREE);
}

void cmdline_create_drives(void)
{
    /* A place that was given is taken before one that is to be found. */
    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < drives->len; i++) {
            NotedDrive *d = &g_array_index(drives, NotedDrive, i);
            bool named = d->index >= 0;
            Error *err = NULL;

            if (named != (pass == 0)) {
                continue;
            }
            if (d->index == WITH_OPTIONS ? !drive_new(d->noted.arg, &err)
                                         : !drive_new_image(d->noted.arg, d->index, &err)) {
                cmdline_fail(&d->noted, err);
            }
        }
    }
}

void cmdline_check_drives(void)
{
    Error *err = NULL;

    if (!drive_check_orphaned(&err)) {
        error_report_err(err);
        exit(1);
    }
}
