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

/*
 * -run-with: noted by the first three. The fourth acts on root and user, as late as can be: what was
 * opened before stays open. The fifth starts the helper of async-teardown, while there is one thread.
 */
bool os_set_chroot(const char *path, Error **errp); /* keeps @path */
bool os_set_runas(const char *text, Error **errp);  /* NAME or UID:GID */
void os_set_async_teardown(bool enable);
bool os_change_root_and_user(Error **errp);
bool os_start_async_teardown(Error **errp);
bool os_runas_given(void);

/* -pidfile: written now, removed at the end. */
bool os_write_pidfile(const char *path, Error **errp);

#endif
