/*
 * Yank: who owns connections that may hang, and what breaks them, for the commands yank and
 * query-yank. The owners (instances) register themselves, and a function for each connection.
 *
 * The commands run out of band, without the BQL: a function must neither take it nor block. It may
 * be called until yank_unregister_function() returns. All of these may be called on any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_YANK_H
#define QEMU_YANK_H

#include "qapi/qapi-types-yank.h"

typedef void (YankFn)(void *opaque);

/* False: there is one of that name. */
bool yank_register_instance(const YankInstance *instance, Error **errp);
/* With all of its functions. */
void yank_unregister_instance(const YankInstance *instance);
/* The instance is registered. */
void yank_register_function(const YankInstance *instance, YankFn *func, void *opaque);
void yank_unregister_function(const YankInstance *instance, YankFn *func, void *opaque);
/* Shuts down the QIOChannel @opaque. */
void yank_generic_iochannel(void *opaque);

#define MIGRATION_YANK_INSTANCE (&(YankInstance){.type = YANK_INSTANCE_TYPE_MIGRATION})
#define CHARDEV_YANK_INSTANCE(the_id) \
    (&(YankInstance){.type = YANK_INSTANCE_TYPE_CHARDEV, .u.chardev.id = (the_id)})

#endif
