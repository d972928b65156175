/*
 * Ending a program whose main thread may never come round again (last-resort.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_LAST_RESORT_H
#define SYSTEM_LAST_RESORT_H

/* How long the main thread gets for a signal, and for a second one. */
#define LAST_RESORT_MS 5000
#define LAST_RESORT_AGAIN_MS 500

/*
 * From here on the main thread may wait, with the BQL, for what never comes. If it has not come to a
 * SIGTERM, SIGINT or SIGHUP in that time, the program ends without it, with status 1. @why, called on
 * a thread of its own without the BQL, says what is waited for (the caller frees it), or NULL when
 * it is nothing: then the main thread gets more time.
 * Not while it is on already. False with errp.
 */
bool qemu_last_resort_start(char *(*why)(void), Error **errp);
/* Does nothing where it is not on. */
void qemu_last_resort_stop(void);

/* runstate-action.c: a signal has come. In signal context. */
void qemu_last_resort_notify(void);

#endif
