/*
 * Where files that come with the program, firmware above all, are looked for (-L).
 *
 * Main thread only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_DATADIR_H
#define QEMU_DATADIR_H

/* Searched after those added before. */
void qemu_add_data_dir(const char *path);
/* Those that are searched after all that the user named. */
void qemu_add_default_data_dirs(void);
/* Prints them, for -L help. */
void qemu_list_data_dirs(void);
/* @name as it is if it can be read; without a slash in it, also in the directories. NULL: nowhere. */
char *qemu_find_file(const char *name);

#endif
