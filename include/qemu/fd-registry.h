/*
 * File descriptors that a client handed to the program, under names (getfd) and in numbered
 * sets (add-fd), and which monitor the current code works for.
 *
 * Monitors fill the registry; whoever opens files or channels on a lower floor takes from it, and
 * so it lives on the ground.
 *
 * Locking: all functions may be called from any thread; the registry has a lock of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_FD_REGISTRY_H
#define QEMU_FD_REGISTRY_H

#include "qemu/osdep.h"

/*
 * The monitor whose command runs on this thread, or NULL. monitor_set_cur() returns the one
 * before, to be put back when the command is done.
 */
Monitor *monitor_cur(void);
Monitor *monitor_set_cur(Monitor *mon);

/* ---- named descriptors: each belongs to the monitor that received it ---- */

/* Keep @fd under @name; one of that name is closed and replaced. Takes @fd, also on failure. */
bool monitor_add_named_fd(Monitor *mon, const char *name, int fd, Error **errp);
/* Close the descriptor of that name. */
bool monitor_close_named_fd(Monitor *mon, const char *name, Error **errp);
/* Hand over the descriptor: the caller owns it and the name is gone. -1 with @errp set. */
int monitor_get_fd(Monitor *mon, const char *fdname, Error **errp);
/*
 * What an option such as fd=X means: a number of an open descriptor, or a name that @mon knows.
 * Without a monitor (command line) only numbers are taken. The caller owns the result; -1 with
 * @errp set.
 */
int monitor_fd_param(Monitor *mon, const char *fdname, Error **errp);
/* As monitor_get_fd() for the current monitor, or for any monitor where there is no current. */
int monitor_take_named_fd(const char *name, Error **errp);
/* A monitor goes away: close all it had. */
void monitor_forget_fds(Monitor *mon);

/* ---- descriptor sets ---- */

/*
 * Add @fd to set @fdset_id (*@fdset_id, or a new one where @fdset_id is NULL; the set is made if
 * need be). Takes @fd on success. Returns the id, or -1 with @errp set.
 */
int64_t fdset_add(int fd, const int64_t *fdset_id, const char *opaque, Error **errp);
/* Remove one descriptor, or all where @fd is NULL; a set that is empty and unused goes. */
bool fdset_remove(int64_t fdset_id, const int *fd, Error **errp);
/* A duplicate of the member that was opened with @flags' access mode (and O_DIRECT). */
int fdset_dup_add(int64_t fdset_id, int flags, Error **errp);
/* A duplicate made by fdset_dup_add() was closed. */
void fdset_dup_remove(int dup_fd);

/* One descriptor of one set, for a listing. */
typedef struct FdsetMember {
    int64_t fdset_id;
    int fd;               /* -1: the set has no members, only duplicates in use */
    const char *opaque;   /* may be NULL; valid during the call */
} FdsetMember;
/* Calls @fn for every member, set by set, in rising order of ids, under the registry's lock. */
void fdset_foreach(void (*fn)(const FdsetMember *member, void *opaque), void *opaque);

/* Connects the sets with qemu_open() and qemu_close(). Called once at start. */
void fdset_init(void);

#endif
