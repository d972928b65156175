/*
 * Owners of connections that may hang, and the commands that break them: see qemu/yank.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-yank.h"
#include "qapi/qapi-visit-yank.h"
#include "qapi/util.h"
#include "qemu/yank.h"

typedef struct YankFunction {
    YankFn *func;
    void *opaque;
} YankFunction;

typedef struct Owner {
    YankInstance *instance;
    GSList *functions; /* of YankFunction */
} Owner;

/* Held while functions are called, so that none is called after it was taken back. */
static GMutex yank_lock;
static GSList *owners; /* in the order in which they came */

static bool same_instance(const YankInstance *a, const YankInstance *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case YANK_INSTANCE_TYPE_BLOCK_NODE:
        return g_str_equal(a->u.block_node.node_name, b->u.block_node.node_name);
    case YANK_INSTANCE_TYPE_CHARDEV:
        return g_str_equal(a->u.chardev.id, b->u.chardev.id);
    default:
        return true;
    }
}

static Owner *find_owner(const YankInstance *instance)
{
    for (GSList *l = owners; l; l = l->next) {
        Owner *owner = l->data;

        if (same_instance(owner->instance, instance)) {
            return owner;
        }
    }
    return NULL;
}

bool yank_register_instance(const YankInstance *instance, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);
    Owner *owner;

    if (find_owner(instance)) {
        error_setg(errp, "duplicate yank instance");
        return false;
    }
    owner = g_new0(Owner, 1);
    owner->instance = QAPI_CLONE(YankInstance, instance);
    owners = g_slist_append(owners, owner);
    return true;
}

void yank_unregister_instance(const YankInstance *instance)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);
    Owner *owner = find_owner(instance);

    if (owner) {
        owners = g_slist_remove(owners, owner);
        g_slist_free_full(owner->functions, g_free);
        qapi_free_YankInstance(owner->instance);
        g_free(owner);
    }
}

void yank_register_function(const YankInstance *instance, YankFn *func, void *opaque)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);
    Owner *owner = find_owner(instance);
    YankFunction *f = g_new(YankFunction, 1);

    assert(owner);
    *f = (YankFunction){func, opaque};
    owner->functions = g_slist_prepend(owner->functions, f);
}

void yank_unregister_function(const YankInstance *instance, YankFn *func, void *opaque)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);
    Owner *owner = find_owner(instance);

    for (GSList *l = owner ? owner->functions : NULL; l; l = l->next) {
        YankFunction *f = l->data;

        if (f->func == func && f->opaque == opaque) {
            owner->functions = g_slist_delete_link(owner->functions, l);
            g_free(f);
            return;
        }
    }
}

void yank_generic_iochannel(void *opaque)
{
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
}

/* All of them or none. */
void qmp_yank(YankInstanceList *instances, Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);

    for (YankInstanceList *l = instances; l; l = l->next) {
        if (!find_owner(l->value)) {
            error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Instance not found");
            return;
        }
    }
    for (YankInstanceList *l = instances; l; l = l->next) {
        for (GSList *f = find_owner(l->value)->functions; f; f = f->next) {
            YankFunction *function = f->data;

            function->func(function->opaque);
        }
    }
}

YankInstanceList *qmp_query_yank(Error **errp)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&yank_lock);
    YankInstanceList *list = NULL, **tail = &list;

    for (GSList *l = owners; l; l = l->next) {
        const Owner *owner = l->data;

        QAPI_LIST_APPEND(tail, QAPI_CLONE(YankInstance, owner->instance));
    }
    return list;
}
