/*
 * Character devices: the base class, the list of them, output with its log, and the QMP commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qapi/qapi-commands-char.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"

Object *get_chardevs_root(void)
{
    return container_get(object_get_root(), "/chardevs");
}

/* ---- output ---- */

/* The log is a copy for people: what cannot be written to it is dropped. Under chr_write_lock. */
static void write_log(Chardev *s, const uint8_t *buf, size_t len)
{
    if (s->logfd >= 0 && qemu_write_full(s->logfd, buf, len) != len) {
        close(s->logfd);
        s->logfd = -1;
    }
}

int qemu_chr_write(Chardev *s, const uint8_t *buf, int len, bool write_all)
{
    ChardevClass *cc = CHARDEV_GET_CLASS(s);
    int offset = 0, ret = 0;

    if (!cc->chr_write) {
        return len;
    }
    QEMU_LOCK_GUARD(&s->chr_write_lock);
    while (offset < len) {
        ret = cc->chr_write(s, buf + offset, len - offset);
        if (ret < 0 && errno == EAGAIN && write_all) {
            g_usleep(100);
            continue;
        }
        if (ret <= 0) {
            break;
        }
        offset += ret;
        if (!write_all) {
            break;
        }
    }
    if (offset > 0) {
        int saved = errno;

        write_log(s, buf, offset);
        errno = saved;
        return offset;
    }
    return ret;
}

/* ---- input ---- */

int qemu_chr_be_can_write(Chardev *s)
{
    CharBackend *be = s->be;

    return be && be->chr_can_read ? be->chr_can_read(be->opaque) : 0;
}

void qemu_chr_be_write(Chardev *s, const uint8_t *buf, int len)
{
    CharBackend *be = s->be;

    if (be && be->chr_read) {
        be->chr_read(be->opaque, buf, len);
    }
}

void qemu_chr_be_event(Chardev *s, QEMUChrEvent event)
{
    if (event == CHR_EVENT_OPENED) {
        s->be_open = 1;
    } else if (event == CHR_EVENT_CLOSED) {
        s->be_open = 0;
    }
    CHARDEV_GET_CLASS(s)->chr_be_event(s, event);
}

static void base_be_event(Chardev *s, QEMUChrEvent event)
{
    CharBackend *be = s->be;

    if (be && be->chr_event) {
        be->chr_event(be->opaque, event);
    }
}

void qemu_chr_be_update_read_handlers(Chardev *s, GMainContext *context)
{
    ChardevClass *cc = CHARDEV_GET_CLASS(s);

    assert(!context || qemu_chr_has_feature(s, QEMU_CHAR_FEATURE_GCONTEXT));
    s->gcontext = context;
    if (cc->chr_update_read_handler) {
        cc->chr_update_read_handler(s);
    }
}

int qemu_chr_wait_connected(Chardev *chr, Error **errp)
{
    ChardevClass *cc = CHARDEV_GET_CLASS(chr);

    return cc->chr_wait_connected ? cc->chr_wait_connected(chr, errp) : 0;
}

/* ---- the class ---- */

static void char_init(Object *obj)
{
    Chardev *chr = CHARDEV(obj);

    chr->logfd = -1;
    qemu_mutex_init(&chr->chr_write_lock);
    /* Most kinds can; those that cannot take the bit away. */
    qemu_chr_set_feature(chr, QEMU_CHAR_FEATURE_GCONTEXT);
}

static void char_finalize(Object *obj)
{
    Chardev *chr = CHARDEV(obj);

    if (chr->be) {
        chr->be->chr = NULL;
    }
    g_free(chr->filename);
    g_free(chr->label);
    if (chr->logfd >= 0) {
        close(chr->logfd);
    }
    qemu_mutex_destroy(&chr->chr_write_lock);
}

static void char_class_init(ObjectClass *oc, void *data)
{
    CHARDEV_CLASS(oc)->chr_be_event = base_be_event;
}

static const TypeInfo char_types[] = {
    {
        .name = TYPE_CHARDEV,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(Chardev),
        .instance_init = char_init,
        .instance_finalize = char_finalize,
        .abstract = true,
        .class_size = sizeof(ChardevClass),
        .class_init = char_class_init,
    },
    /* Swallows output, has no input. */
    { .name = TYPE_CHARDEV_NULL, .parent = TYPE_CHARDEV, .instance_size = sizeof(Chardev) },
};
DEFINE_TYPES(char_types)

bool qemu_chr_has_feature(Chardev *chr, ChardevFeature feature)
{
    return chr->features & (1u << feature);
}

void qemu_chr_set_feature(Chardev *chr, ChardevFeature feature)
{
    chr->features |= 1u << feature;
}

/* ---- making them ---- */

static bool open_log(Chardev *chr, ChardevCommon *common, Error **errp)
{
    int flags = O_WRONLY | O_CREAT;

    if (!common || !common->logfile) {
        return true;
    }
    flags |= common->has_logappend && common->logappend ? O_APPEND : O_TRUNC;
    chr->logfd = qemu_create(common->logfile, flags, 0666, errp);
    return chr->logfd >= 0;
}

static Chardev *new_object(const char *id, const char *typename, ChardevBackend *backend,
                           GMainContext *context, Error **errp)
{
    g_autoptr(Object) obj = object_new(typename);
    Chardev *chr = CHARDEV(obj);
    ChardevClass *cc = CHARDEV_GET_CLASS(chr);
    bool be_opened = true;
    Error *err = NULL;

    chr->label = g_strdup(id);
    chr->gcontext = context;
    /* Every kind's options begin with the common ones. */
    if (backend && !open_log(chr, (ChardevCommon *)backend->u.null.data, errp)) {
        return NULL;
    }
    if (cc->chr_open) {
        cc->chr_open(chr, backend, &be_opened, &err);
        if (err) {
            error_propagate(errp, err);
            return NULL;
        }
    }
    if (!chr->filename) {
        chr->filename = g_strdup(typename + strlen("chardev-"));
    }
    if (be_opened) {
        qemu_chr_be_event(chr, CHR_EVENT_OPENED);
    }
    return CHARDEV(g_steal_pointer(&obj));
}

Chardev *qemu_chardev_new(const char *id, const char *typename, ChardevBackend *backend,
                          GMainContext *context, Error **errp)
{
    g_autofree char *made_up = NULL;
    static unsigned int serial;
    Chardev *chr;

    if (!id) {
        made_up = g_strdup_printf("chardev#%u", serial++);
        id = made_up;
    }
    chr = new_object(id, typename, backend, context, errp);
    if (!chr) {
        return NULL;
    }
    if (!object_property_try_add_child(get_chardevs_root(), id, OBJECT(chr), errp)) {
        object_unref(OBJECT(chr));
        return NULL;
    }
    object_unref(OBJECT(chr)); /* the tree holds it now */
    return chr;
}

/* ---- finding them ---- */

Chardev *qemu_chr_find(const char *name)
{
    ObjectProperty *prop = object_property_find(get_chardevs_root(), name);
    Object *obj = prop ? object_resolve_path_component(get_chardevs_root(), name) : NULL;

    return obj ? CHARDEV(obj) : NULL;
}

bool qemu_chr_is_busy(Chardev *s)
{
    return CHARDEV_IS_MUX(s) ? MUX_CHARDEV(s)->used != 0 : s->be != NULL;
}

void qemu_chr_cleanup(void)
{
    object_unparent(get_chardevs_root());
}

/* ---- QMP ---- */

static int list_one(Object *obj, void *opaque)
{
    ChardevInfoList **list = opaque;
    Chardev *chr = CHARDEV(obj);
    ChardevInfo *info = g_new0(ChardevInfo, 1);

    info->label = g_strdup(chr->label);
    WITH_QEMU_LOCK_GUARD(&chr->chr_write_lock) {
        info->filename = g_strdup(chr->filename);
    }
    info->frontend_open = chr->be && chr->be->fe_is_open;
    QAPI_LIST_PREPEND(*list, info);
    return 0;
}

ChardevInfoList *qmp_query_chardev(Error **errp)
{
    ChardevInfoList *list = NULL;

    object_child_foreach(get_chardevs_root(), list_one, &list);
    return list;
}

static void backend_name(ObjectClass *klass, void *opaque)
{
    ChardevBackendInfoList **list = opaque;
    const char *name = object_class_get_name(klass) + strlen("chardev-");
    ChardevBackendInfo *info;

    if (CHARDEV_CLASS(klass)->internal) {
        return;
    }
    info = g_new0(ChardevBackendInfo, 1);
    info->name = g_strdup(name);
    QAPI_LIST_PREPEND(*list, info);
}

ChardevBackendInfoList *qmp_query_chardev_backends(Error **errp)
{
    ChardevBackendInfoList *list = NULL;

    object_class_foreach(backend_name, TYPE_CHARDEV, false, &list);
    return list;
}

ChardevReturn *qmp_chardev_add(const char *id, ChardevBackend *backend, Error **errp)
{
    const char *kind = ChardevBackendKind_str(backend->type);
    g_autofree char *typename = g_strdup_printf("chardev-%s", kind);
    ObjectClass *oc = object_class_by_name(typename);
    ChardevReturn *ret;
    Chardev *chr;

    if (!oc || object_class_is_abstract(oc) || CHARDEV_CLASS(oc)->internal) {
        error_setg(errp, "'%s' is not a valid char driver name", kind);
        return NULL;
    }
    if (qemu_chr_find(id)) {
        error_setg(errp, "Chardev with id '%s' already exists", id);
        return NULL;
    }
    chr = qemu_chardev_new(id, typename, backend, NULL, errp);
    if (!chr) {
        return NULL;
    }
    ret = g_new0(ChardevReturn, 1);
    if (CHARDEV_IS_PTY(chr)) {
        ret->pty = g_strdup(chr->filename + strlen("pty:"));
    }
    return ret;
}

void qmp_chardev_remove(const char *id, Error **errp)
{
    Chardev *chr = qemu_chr_find(id);

    if (!chr) {
        error_setg(errp, "Chardev '%s' not found", id);
    } else if (qemu_chr_is_busy(chr)) {
        error_setg(errp, "Chardev '%s' is busy", id);
    } else {
        object_unparent(OBJECT(chr));
    }
}
