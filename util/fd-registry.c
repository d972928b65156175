/*
 * The descriptors that clients passed in: see qemu/fd-registry.h.
 *
 * Numbers are small here (a handful of names and sets), so plain arrays are searched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/fd-registry.h"

typedef struct NamedFd {
    Monitor *owner;
    char *name;
    int fd;
} NamedFd;

typedef struct SetFd {
    int fd;
    char *opaque;
} SetFd;

typedef struct Fdset {
    int64_t id;
    GArray *fds;   /* of SetFd */
    GArray *dups;  /* of int: duplicates that are still open */
} Fdset;

static GMutex registry_lock;
static GPtrArray *named_fds; /* of NamedFd */
static GPtrArray *fdsets;    /* of Fdset, ids rising */
static __thread Monitor *current_monitor;

Monitor *monitor_cur(void)
{
    return current_monitor;
}

Monitor *monitor_set_cur(Monitor *mon)
{
    Monitor *before = current_monitor;

    current_monitor = mon;
    return before;
}

/* ---- names ---- */

static void named_fd_free(gpointer data)
{
    NamedFd *n = data;

    if (n->fd >= 0) {
        close(n->fd);
    }
    g_free(n->name);
    g_free(n);
}

static GPtrArray *names(void)
{
    if (!named_fds) {
        named_fds = g_ptr_array_new_with_free_func(named_fd_free);
    }
    return named_fds;
}

/* Index of @name among those of @mon (any monitor where @mon is NULL), or -1. */
static int find_name(Monitor *mon, const char *name)
{
    GPtrArray *all = names();

    for (guint i = 0; i < all->len; i++) {
        NamedFd *n = g_ptr_array_index(all, i);

        if ((!mon || n->owner == mon) && g_str_equal(n->name, name)) {
            return i;
        }
    }
    return -1;
}

static void no_such_name(const char *name, Error **errp)
{
    error_setg(errp, "File descriptor named '%s' not found", name);
}

bool monitor_add_named_fd(Monitor *mon, const char *name, int fd, Error **errp)
{
    NamedFd *n;
    int i;

    /* A digit in front would make the name look like a number wherever names are taken. */
    if (!name[0] || g_ascii_isdigit(name[0])) {
        close(fd);
        error_setg(errp, "Parameter 'fdname' expects %s",
                   "a name not starting with a digit");
        return false;
    }
    g_mutex_lock(&registry_lock);
    i = find_name(mon, name);
    if (i >= 0) {
        n = g_ptr_array_index(names(), i);
        close(n->fd);
        n->fd = fd;
    } else {
        n = g_new0(NamedFd, 1);
        n->owner = mon;
        n->name = g_strdup(name);
        n->fd = fd;
        g_ptr_array_add(names(), n);
    }
    g_mutex_unlock(&registry_lock);
    return true;
}

static int take_name(Monitor *mon, const char *name)
{
    NamedFd *n;
    int i, fd = -1;

    g_mutex_lock(&registry_lock);
    i = find_name(mon, name);
    if (i >= 0) {
        n = g_ptr_array_index(names(), i);
        fd = n->fd;
        n->fd = -1;
        g_ptr_array_remove_index(names(), i);
    }
    g_mutex_unlock(&registry_lock);
    return fd;
}

bool monitor_close_named_fd(Monitor *mon, const char *name, Error **errp)
{
    int fd = take_name(mon, name);

    if (fd < 0) {
        no_such_name(name, errp);
        return false;
    }
    close(fd);
    return true;
}

int monitor_get_fd(Monitor *mon, const char *fdname, Error **errp)
{
    int fd = mon ? take_name(mon, fdname) : -1;

    if (fd < 0) {
        error_setg(errp, "File descriptor named '%s' has not been found", fdname);
    }
    return fd;
}

int monitor_take_named_fd(const char *name, Error **errp)
{
    int fd = take_name(monitor_cur(), name);

    if (fd < 0) {
        error_setg(errp, "File descriptor named '%s' has not been found", name);
    }
    return fd;
}

int monitor_fd_param(Monitor *mon, const char *fdname, Error **errp)
{
    char *end;
    gint64 fd;

    if (!g_ascii_isdigit(fdname[0]) && mon) {
        return monitor_get_fd(mon, fdname, errp);
    }
    errno = 0;
    fd = g_ascii_strtoll(fdname, &end, 10);
    if (!fdname[0] || *end || errno || fd < 0 || fd > INT_MAX) {
        error_setg(errp, "Invalid file descriptor number '%s'", fdname);
        return -1;
    }
    if (fcntl(fd, F_GETFD) < 0) {
        error_setg_errno(errp, errno, "File descriptor %d is not open", (int)fd);
        return -1;
    }
    return fd;
}

void monitor_forget_fds(Monitor *mon)
{
    g_mutex_lock(&registry_lock);
    for (guint i = names()->len; i-- > 0;) {
        NamedFd *n = g_ptr_array_index(names(), i);

        if (n->owner == mon) {
            g_ptr_array_remove_index(names(), i);
        }
    }
    g_mutex_unlock(&registry_lock);
}

/* ---- sets ---- */

static void set_fd_clear(gpointer data)
{
    SetFd *f = data;

    close(f->fd);
    g_free(f->opaque);
}

static void fdset_free(gpointer data)
{
    Fdset *set = data;

    g_array_free(set->fds, true);
    g_array_free(set->dups, true);
    g_free(set);
}

static GPtrArray *sets(void)
{
    if (!fdsets) {
        fdsets = g_ptr_array_new_with_free_func(fdset_free);
    }
    return fdsets;
}

static Fdset *find_set(int64_t id)
{
    for (guint i = 0; i < sets()->len; i++) {
        Fdset *set = g_ptr_array_index(sets(), i);

        if (set->id == id) {
            return set;
        }
    }
    return NULL;
}

static int64_t first_free_id(void)
{
    int64_t id = 0;

    for (guint i = 0; i < sets()->len; i++) {
        Fdset *set = g_ptr_array_index(sets(), i);

        if (set->id > id) {
            break;
        }
        id = set->id + 1;
    }
    return id;
}

static Fdset *new_set(int64_t id)
{
    Fdset *set = g_new0(Fdset, 1);
    guint at = 0;

    set->id = id;
    set->fds = g_array_new(false, false, sizeof(SetFd));
    g_array_set_clear_func(set->fds, set_fd_clear);
    set->dups = g_array_new(false, false, sizeof(int));
    while (at < sets()->len && ((Fdset *)g_ptr_array_index(sets(), at))->id < id) {
        at++;
    }
    g_ptr_array_insert(sets(), at, set);
    return set;
}

static void drop_if_unused(Fdset *set)
{
    if (!set->fds->len && !set->dups->len) {
        g_ptr_array_remove(sets(), set);
    }
}

int64_t fdset_add(int fd, const int64_t *fdset_id, const char *opaque, Error **errp)
{
    SetFd member = { .fd = fd };
    int64_t id;
    Fdset *set;

    if (fdset_id && *fdset_id < 0) {
        error_setg(errp, "Parameter 'fdset-id' expects a non-negative value");
        return -1;
    }
    g_mutex_lock(&registry_lock);
    id = fdset_id ? *fdset_id : first_free_id();
    set = find_set(id) ?: new_set(id);
    member.opaque = g_strdup(opaque);
    g_array_append_val(set->fds, member);
    g_mutex_unlock(&registry_lock);
    return id;
}

bool fdset_remove(int64_t fdset_id, const int *fd, Error **errp)
{
    bool found = false;
    Fdset *set;

    g_mutex_lock(&registry_lock);
    set = find_set(fdset_id);
    for (guint i = set ? set->fds->len : 0; i-- > 0;) {
        if (!fd || g_array_index(set->fds, SetFd, i).fd == *fd) {
            g_array_remove_index(set->fds, i);
            found = true;
        }
    }
    if (set) {
        found |= !fd;
        drop_if_unused(set);
    }
    g_mutex_unlock(&registry_lock);

    if (!found) {
        g_autofree char *name = fd
            ? g_strdup_printf("fdset-id:%" PRId64 ", fd:%d", fdset_id, *fd)
            : g_strdup_printf("fdset-id:%" PRId64, fdset_id);

        no_such_name(name, errp);
    }
    return found;
}

/* The member to use for @flags: its access mode must be the same, its O_DIRECT too if it can. */
static int pick_member(Fdset *set, int flags)
{
    int fallback = -1;

    for (guint i = 0; i < set->fds->len; i++) {
        int fd = g_array_index(set->fds, SetFd, i).fd;
        int have = fcntl(fd, F_GETFL);

        if (have < 0 || (have & O_ACCMODE) != (flags & O_ACCMODE)) {
            continue;
        }
        if ((have & O_DIRECT) == (flags & O_DIRECT)) {
            return fd;
        }
        /* Direct I/O can be asked for, or dropped, on the duplicate only by sharing the open
         * file's flags with the member: good enough where direct I/O was not asked for. */
        if (!(flags & O_DIRECT) && fallback < 0) {
            fallback = fd;
        }
    }
    return fallback;
}

int fdset_dup_add(int64_t fdset_id, int flags, Error **errp)
{
    int dup = -1, fd;
    Fdset *set;

    g_mutex_lock(&registry_lock);
    set = find_set(fdset_id);
    if (!set) {
        error_setg(errp, "fdset-id %" PRId64 " not found", fdset_id);
        errno = ENOENT;
    } else if ((fd = pick_member(set, flags)) < 0) {
        error_setg(errp, "Failed to find file descriptor with matching flags=0x%x", flags);
        errno = EACCES;
    } else if ((dup = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        error_setg_errno(errp, errno, "Cannot duplicate a file descriptor of fdset %" PRId64,
                         fdset_id);
    } else {
        g_array_append_val(set->dups, dup);
    }
    g_mutex_unlock(&registry_lock);
    return dup;
}

void fdset_dup_remove(int dup_fd)
{
    bool done = false;

    g_mutex_lock(&registry_lock);
    for (guint s = 0; s < sets()->len && !done; s++) {
        Fdset *set = g_ptr_array_index(sets(), s);

        for (guint i = 0; i < set->dups->len; i++) {
            if (g_array_index(set->dups, int, i) == dup_fd) {
                g_array_remove_index_fast(set->dups, i);
                drop_if_unused(set);
                done = true;
                break;
            }
        }
    }
    g_mutex_unlock(&registry_lock);
}

void fdset_foreach(void (*fn)(const FdsetMember *member, void *opaque), void *opaque)
{
    g_mutex_lock(&registry_lock);
    for (guint s = 0; s < sets()->len; s++) {
        Fdset *set = g_ptr_array_index(sets(), s);

        if (!set->fds->len) {
            fn(&(FdsetMember){ .fdset_id = set->id, .fd = -1 }, opaque);
        }
        for (guint i = 0; i < set->fds->len; i++) {
            SetFd *f = &g_array_index(set->fds, SetFd, i);

            fn(&(FdsetMember){ .fdset_id = set->id, .fd = f->fd, .opaque = f->opaque },
               opaque);
        }
    }
    g_mutex_unlock(&registry_lock);
}

void fdset_init(void)
{
    static const FdsetOps ops = {
        .dup_fd_add = fdset_dup_add,
        .dup_fd_remove = fdset_dup_remove,
    };

    qemu_set_fdset_ops(&ops);
}
