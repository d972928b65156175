/*
 * The options for drives: see cmdline-drive.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CMDLINE_DRIVE_H
#define SYSTEM_CMDLINE_DRIVE_H

#include "qapi/error.h"

void cmdline_drive_init(void);

bool opt_drive(const char *arg, Error **errp);
bool opt_hda(const char *arg, Error **errp);
bool opt_hdb(const char *arg, Error **errp);
bool opt_hdc(const char *arg, Error **errp);
bool opt_hdd(const char *arg, Error **errp);
bool opt_snapshot(const char *arg, Error **errp);
/* An argument that is no option. */
void cmdline_note_image(const char *filename);

/* Opens what was noted; on an error prints it and exits with 1. Before the machine is made. */
void cmdline_create_drives(void);
/* Ends the program if the machine made no device for a drive with if=ide. */
void cmdline_check_drives(void);

#endif
