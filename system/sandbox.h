/*
 * -sandbox: giving up system calls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_SANDBOX_H
#define SYSTEM_SANDBOX_H

typedef enum SandboxItem {
    SANDBOX_OBSOLETE,  /* calls that today's libraries do not make */
    SANDBOX_ELEVATE,   /* becoming another user */
    SANDBOX_SPAWN,     /* starting processes */
    SANDBOX_RESOURCES, /* priority and affinity */
} SandboxItem;

/*
 * From now on, the items whose bit (1 << item) is in @denied fail, for this thread and all that it
 * starts. @no_new_privs: programs that it starts cannot become another user either.
 */
bool sandbox_enter(unsigned denied, bool no_new_privs, Error **errp);

#endif
