/*
 * What the command line leaves for the rest of the program to ask for, and the process's own life:
 * going into the background.
 *
 * Locking: written by the main thread before others exist.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_SYSTEM_H
#define SYSTEM_SYSTEM_H

#include "qemu/osdep.h"

/* The character device of the @i-th -serial; NULL where there is none. Borrowed. */
Chardev *serial_hd(int i);
/* How many -serial there were, "none" included. */
int serial_max_hds(void);
void serial_hd_append(Chardev *chr);

/*
 * -daemonize: the parent waits until the child says it is ready (os_setup_post), and exits 0 then, or
 * 1 if the child ends before. Returns in the child, or without -daemonize at once.
 */
bool os_daemonize(Error **errp);
void os_set_daemonize(void);
bool is_daemonized(void);
/* Everything is set up: let the parent go, and leave the terminal. */
void os_setup_post(void);

/* -pidfile: written now, removed at the end. */
bool os_write_pidfile(const char *path, Error **errp);

#endif
