/*
 * QMP commands on the descriptors that clients pass in: getfd, closefd, add-fd, remove-fd,
 * query-fdsets. What they keep is in util/fd-registry.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/util.h"

static int received_fd(Error **errp)
{
    int fd = monitor_cur() ? monitor_take_msgfd(monitor_cur()) : -1;

    if (fd < 0) {
        error_setg(errp, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

void qmp_getfd(const char *fdname, Error **errp)
{
    int fd = received_fd(errp);

    if (fd >= 0) {
        monitor_add_named_fd(monitor_cur(), fdname, fd, errp);
    }
}

void qmp_closefd(const char *fdname, Error **errp)
{
    monitor_close_named_fd(monitor_cur(), fdname, errp);
}

AddfdInfo *qmp_add_fd(bool has_fdset_id, int64_t fdset_id, const char *opaque, Error **errp)
{
    int fd = received_fd(errp);
    AddfdInfo *info;
    int64_t id;

    if (fd < 0) {
        return NULL;
    }
    id = fdset_add(fd, has_fdset_id ? &fdset_id : NULL, opaque, errp);
    if (id < 0) {
        close(fd);
        return NULL;
    }
    info = g_new0(AddfdInfo, 1);
    info->fdset_id = id;
    info->fd = fd;
    return info;
}

void qmp_remove_fd(int64_t fdset_id, bool has_fd, int64_t fd, Error **errp)
{
    int number = has_fd && fd >= 0 && fd <= INT_MAX ? fd : -1;

    fdset_remove(fdset_id, has_fd ? &number : NULL, errp);
}

typedef struct FdsetListing {
    FdsetInfoList *first, **tail;
    FdsetInfo *set; /* the last one in the list */
    FdsetFdInfoList **fd_tail;
} FdsetListing;

static void list_member(const FdsetMember *member, void *opaque)
{
    FdsetListing *l = opaque;
    FdsetFdInfo *info;

    if (!l->set || l->set->fdset_id != member->fdset_id) {
        l->set = g_new0(FdsetInfo, 1);
        l->set->fdset_id = member->fdset_id;
        l->fd_tail = &l->set->fds;
        QAPI_LIST_APPEND(l->tail, l->set);
    }
    if (member->fd >= 0) {
        info = g_new0(FdsetFdInfo, 1);
        info->fd = member->fd;
        info->opaque = g_strdup(member->opaque);
        QAPI_LIST_APPEND(l->fd_tail, info);
    }
}

FdsetInfoList *qmp_query_fdsets(Error **errp)
{
    FdsetListing l = { .tail = &l.first };

    fdset_foreach(list_member, &l);
    return l.first;
}
