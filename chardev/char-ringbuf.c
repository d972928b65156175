/*
 * Output kept in a ring buffer in memory, read by ringbuf-read; the oldest bytes go first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qapi/qapi-commands-char.h"
#include "qemu/lockable.h"

#define RINGBUF_DEFAULT_SIZE 65536
#define RINGBUF_MAX_SIZE (1u << 30)

typedef struct RingBufChardev {
    Chardev parent;
    uint8_t *buf;
    size_t size; /* a power of two */
    size_t prod; /* both run freely; chr_write_lock */
    size_t cons;
} RingBufChardev;
DECLARE_INSTANCE_CHECKER(RingBufChardev, RINGBUF_CHARDEV, TYPE_CHARDEV_RINGBUF)

static void put_byte(RingBufChardev *d, uint8_t byte)
{
    d->buf[d->prod++ & (d->size - 1)] = byte;
    if (d->prod - d->cons > d->size) {
        d->cons = d->prod - d->size;
    }
}

static int ringbuf_write(Chardev *chr, const uint8_t *buf, int len)
{
    RingBufChardev *d = RINGBUF_CHARDEV(chr);

    for (int i = 0; i < len; i++) {
        put_byte(d, buf[i]);
    }
    return len;
}

static void ringbuf_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    ChardevRingbuf *ringbuf = backend->u.ringbuf.data = g_new0(ChardevRingbuf, 1);
    uint64_t size = qemu_opt_get_size(opts, "size", 0);

    qemu_chr_parse_common(opts, qapi_ChardevRingbuf_base(ringbuf));
    if (size) {
        ringbuf->has_size = true;
        ringbuf->size = MIN(size, INT64_MAX);
    }
}

static void ringbuf_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    ChardevRingbuf *opts = backend->u.ringbuf.data;
    RingBufChardev *d = RINGBUF_CHARDEV(chr);
    int64_t size = opts->has_size ? opts->size : RINGBUF_DEFAULT_SIZE;

    if (size <= 0 || size > RINGBUF_MAX_SIZE || !is_power_of_2(size)) {
        error_setg(errp, "size of ringbuf chardev must be power of two");
        return;
    }
    d->size = size;
    d->buf = g_malloc0(size);
}

static void ringbuf_finalize(Object *obj)
{
    g_free(RINGBUF_CHARDEV(obj)->buf);
}

static void ringbuf_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = ringbuf_parse;
    cc->chr_open = ringbuf_open;
    cc->chr_write = ringbuf_write;
}

static const TypeInfo ringbuf_types[] = {
    {
        .name = TYPE_CHARDEV_RINGBUF,
        .parent = TYPE_CHARDEV,
        .instance_size = sizeof(RingBufChardev),
        .instance_finalize = ringbuf_finalize,
        .class_init = ringbuf_class_init,
    },
    { .name = TYPE_CHARDEV_MEMORY, .parent = TYPE_CHARDEV_RINGBUF },
};
DEFINE_TYPES(ringbuf_types)

/* ---- QMP ---- */

static RingBufChardev *find_ringbuf(const char *device, Error **errp)
{
    Chardev *chr = qemu_chr_find(device);

    if (!chr) {
        error_setg(errp, "Device '%s' not found", device);
        return NULL;
    }
    if (!object_dynamic_cast(OBJECT(chr), TYPE_CHARDEV_RINGBUF)) {
        error_setg(errp, "%s is not a ringbuf device", device);
        return NULL;
    }
    return RINGBUF_CHARDEV(chr);
}

void qmp_ringbuf_write(const char *device, const char *data, bool has_format, DataFormat format,
                       Error **errp)
{
    RingBufChardev *d = find_ringbuf(device, errp);
    g_autofree uint8_t *bytes = NULL;
    gsize len;

    if (!d) {
        return;
    }
    if (has_format && format == DATA_FORMAT_BASE64) {
        bytes = g_base64_decode(data, &len);
    } else {
        len = strlen(data);
        bytes = (uint8_t *)g_strdup(data);
    }
    qemu_chr_write_all(CHARDEV(d), bytes, len);
}

char *qmp_ringbuf_read(const char *device, int64_t size, bool has_format, DataFormat format,
                       Error **errp)
{
    RingBufChardev *d = find_ringbuf(device, errp);
    g_autofree uint8_t *bytes = NULL;
    size_t len;

    if (!d) {
        return NULL;
    }
    if (size <= 0) {
        error_setg(errp, "size must be greater than zero");
        return NULL;
    }
    QEMU_LOCK_GUARD(&CHARDEV(d)->chr_write_lock);
    len = MIN((uint64_t)size, d->prod - d->cons);
    bytes = g_malloc0(len + 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = d->buf[d->cons++ & (d->size - 1)];
    }
    if (has_format && format == DATA_FORMAT_BASE64) {
        return g_base64_encode(bytes, len);
    }
    /* JSON carries text: what is no UTF-8 is replaced. */
    return g_utf8_make_valid((char *)bytes, len);
}
