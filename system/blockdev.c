/*
 * Drives as the command line describes them, and what QMP tells of them: see system/blockdev.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "block-internal.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-core.h"
#include "qapi/util.h"
#include "qemu/error-report.h"
#include "qemu/option.h"

/* Units on a bus, and buses, of if=ide. */
#define IDE_UNITS 2
#define IDE_BUSES 2

static QTAILQ_HEAD(, DriveInfo) drives = QTAILQ_HEAD_INITIALIZER(drives);
static bool default_snapshot;

static QemuOptsList drive_opts = {
    .name = "drive",
    .desc = {
        { .name = "if", .type = QEMU_OPT_STRING, .help = "interface: none, ide" },
        { .name = "file", .type = QEMU_OPT_STRING, .help = "the image" },
        { .name = "format", .type = QEMU_OPT_STRING, .help = "its format: raw" },
        { .name = "index", .type = QEMU_OPT_NUMBER, .help = "place, counted over all buses" },
        { .name = "bus", .type = QEMU_OPT_NUMBER, .help = "bus of the interface" },
        { .name = "unit", .type = QEMU_OPT_NUMBER, .help = "unit on the bus" },
        { .name = "media", .type = QEMU_OPT_STRING, .help = "disk" },
        { .name = "snapshot", .type = QEMU_OPT_BOOL, .help = "forget what is written" },
        { .name = "read-only", .type = QEMU_OPT_BOOL, .help = "the image is not written to" },
        { .name = "readonly", .type = QEMU_OPT_BOOL, .help = "older name of read-only" },
        { .name = "cache", .type = QEMU_OPT_STRING, .help = "writeback, none, writethrough, "
                                                            "directsync, unsafe" },
        { .name = "cache.writeback", .type = QEMU_OPT_BOOL },
        { .name = "cache.direct", .type = QEMU_OPT_BOOL },
        { .name = "cache.no-flush", .type = QEMU_OPT_BOOL },
        { .name = "aio", .type = QEMU_OPT_STRING, .help = "threads" },
        { .name = "werror", .type = QEMU_OPT_STRING, .help = "report" },
        { .name = "rerror", .type = QEMU_OPT_STRING, .help = "report" },
        { .name = "discard", .type = QEMU_OPT_STRING, .help = "ignore" },
        { .name = "detect-zeroes", .type = QEMU_OPT_STRING, .help = "off" },
        { .name = "auto-read-only", .type = QEMU_OPT_BOOL, .help = "off" },
        { .name = "file.locking", .type = QEMU_OPT_STRING, .help = "off or auto" },
        { /* end of list */ }
    },
};

void drive_init_opts(void)
{
    qemu_add_opts(&drive_opts);
}

void drive_set_default_snapshot(bool on)
{
    default_snapshot = on;
}

/* ---- what an option may say ---- */

/* NULL, or what is wrong with @value, of which all of @known exist and the first @can here. */
static bool check_value(QemuOpts *opts, const char *name, const char *const *known, size_t can,
                        const char *invalid, Error **errp)
{
    const char *value = qemu_opt_get(opts, name);

    for (size_t i = 0; value && known[i]; i++) {
        if (g_str_equal(value, known[i])) {
            if (i >= can) {
                error_setg(errp, "%s=%s is not supported in this version", name, value);
            }
            return i < can;
        }
    }
    if (value) {
        error_setg(errp, invalid, value);
    }
    return !value;
}

static bool check_values(QemuOpts *opts, Error **errp)
{
    static const char *const media[] = { "disk", "cdrom", NULL };
    static const char *const aio[] = { "threads", "native", "io_uring", NULL };
    static const char *const discard[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const zeroes[] = { "off", "on", "unmap", NULL };
    static const char *const werror[] = { "report", "enospc", "ignore", "stop", NULL };
    static const char *const rerror[] = { "report", "ignore", "stop", NULL };
    static const char *const locking[] = { "off", "auto", "on", NULL };

    return check_value(opts, "media", media, 1, "'%s' invalid media", errp) &&
           check_value(opts, "aio", aio, 1, "invalid aio option", errp) &&
           check_value(opts, "discard", discard, 2, "Invalid discard option", errp) &&
           check_value(opts, "detect-zeroes", zeroes, 1,
                       "Parameter 'detect-zeroes' does not accept value '%s'", errp) &&
           check_value(opts, "werror", werror, 1, "'%s' invalid write error action", errp) &&
           check_value(opts, "rerror", rerror, 1, "'%s' invalid read error action", errp) &&
           check_value(opts, "file.locking", locking, 2,
                       "Parameter 'locking' does not accept value '%s'", errp);
}

static bool find_cache_flags(QemuOpts *opts, int *flags, Error **errp)
{
    static const struct {
        const char *name;
        int flags;
    } modes[] = {
        { "writeback", BDRV_O_CACHE_WB },
        { "writethrough", 0 },
        { "none", BDRV_O_CACHE_WB | BDRV_O_NOCACHE },
        { "off", BDRV_O_CACHE_WB | BDRV_O_NOCACHE },
        { "directsync", BDRV_O_NOCACHE },
        { "unsafe", BDRV_O_CACHE_WB | BDRV_O_NO_FLUSH },
    };
    static const struct {
        const char *name;
        int flag;
    } parts[] = {
        { "cache.writeback", BDRV_O_CACHE_WB },
        { "cache.direct", BDRV_O_NOCACHE },
        { "cache.no-flush", BDRV_O_NO_FLUSH },
    };
    const char *cache = qemu_opt_get(opts, "cache") ?: "writeback";
    bool found = false;
    int mode = 0;

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (g_str_equal(cache, modes[i].name)) {
            mode = modes[i].flags;
            found = true;
        }
    }
    if (!found) {
        error_setg(errp, "invalid cache option");
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (qemu_opt_is_set(opts, parts[i].name)) {
            bool on = qemu_opt_get_bool(opts, parts[i].name, false);

            mode = on ? mode | parts[i].flag : mode & ~parts[i].flag;
        }
    }
    *flags |= mode;
    return true;
}

static bool check_format_name(const char *format, Error **errp)
{
    static const char *const others[] = {
        "bochs", "cloop", "dmg", "file", "host_device", "luks", "nbd", "null-aio", "null-co",
        "parallels", "qcow", "qcow2", "qed", "vdi", "vhdx", "vmdk", "vpc", "vvfat", NULL
    };

    if (!format || g_str_equal(format, "raw")) {
        return true;
    }
    if (g_strv_contains(others, format)) {
        error_setg(errp, "images of format '%s' are not supported in this version, only raw ones",
                   format);
    } else {
        error_setg(errp, "Unknown driver '%s'", format);
    }
    return false;
}

static bool find_interface(QemuOpts *opts, BlockInterfaceType *type, Error **errp)
{
    static const char *const others[] = {
        "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen", NULL
    };
    const char *name = qemu_opt_get(opts, "if") ?: "ide";

    if (g_str_equal(name, "none")) {
        *type = IF_NONE;
        return true;
    } else if (g_str_equal(name, "ide")) {
        *type = IF_IDE;
        return true;
    } else if (g_strv_contains(others, name)) {
        error_setg(errp, "drives with if=%s are not supported in this version, only ide and none",
                   name);
    } else {
        error_setg(errp, "unsupported bus type '%s'", name);
    }
    return false;
}

/* ---- where an if=ide drive goes ---- */

DriveInfo *drive_get(BlockInterfaceType type, int bus, int unit)
{
    DriveInfo *d;

    QTAILQ_FOREACH(d, &drives, next) {
        if (d->type == type && type != IF_NONE && d->bus == bus && d->unit == unit) {
            return d;
        }
    }
    return NULL;
}

static bool find_place(QemuOpts *opts, DriveInfo *d, Error **errp)
{
    bool has_bus = qemu_opt_is_set(opts, "bus"), has_unit = qemu_opt_is_set(opts, "unit");
    uint64_t bus = qemu_opt_get_number(opts, "bus", 0);
    uint64_t unit = qemu_opt_get_number(opts, "unit", 0);

    if (d->type == IF_NONE) {
        return true;
    }
    if (qemu_opt_is_set(opts, "index")) {
        uint64_t index = qemu_opt_get_number(opts, "index", 0);

        if (has_bus || has_unit) {
            error_setg(errp, "index cannot be used with bus and unit");
            return false;
        }
        bus = index / IDE_UNITS;
        unit = index % IDE_UNITS;
    } else if (has_unit) {
        if (unit >= IDE_UNITS) {
            error_setg(errp, "unit %" PRIu64 " too big (max is %d)", unit, IDE_UNITS - 1);
            return false;
        }
    } else {
        while (bus < IDE_BUSES && drive_get(IF_IDE, bus, unit)) {
            unit++;
            bus += unit / IDE_UNITS;
            unit %= IDE_UNITS;
        }
    }
    if (bus >= IDE_BUSES) {
        error_setg(errp, "machine type does not support if=ide,bus=%" PRIu64 ",unit=%" PRIu64, bus,
                   unit);
        return false;
    }
    if (drive_get(IF_IDE, bus, unit)) {
        error_setg(errp, "drive with bus=%" PRIu64 ", unit=%" PRIu64 " (index=%" PRIu64 ") exists",
                   bus, unit, bus * IDE_UNITS + unit);
        return false;
    }
    d->bus = bus;
    d->unit = unit;
    return true;
}

/* ---- making drives ---- */

static bool find_flags(QemuOpts *opts, int *flags, Error **errp)
{
    bool older = qemu_opt_is_set(opts, "readonly"), newer = qemu_opt_is_set(opts, "read-only");

    if (older && newer) {
        error_setg(errp, "'read-only' and its alias 'readonly' can't be used at the same time");
        return false;
    }
    *flags = qemu_opt_get_bool(opts, older ? "readonly" : "read-only", false) ? 0 : BDRV_O_RDWR;
    if (qemu_opt_get_bool(opts, "snapshot", default_snapshot)) {
        *flags |= BDRV_O_SNAPSHOT;
    }
    if (!qemu_opt_get(opts, "format")) {
        *flags |= BDRV_O_PROBED;
    }
    return find_cache_flags(opts, flags, errp);
}

static bool open_drive(QemuOpts *opts, DriveInfo *d, Error **errp)
{
    const char *file = qemu_opt_get(opts, "file"), *id = qemu_opts_id(opts);
    g_autofree char *name = id ? g_strdup(id)
        : d->type == IF_NONE ? g_strdup("none0")
        : g_strdup_printf("ide%d-hd%d", d->bus, d->unit);
    int flags;

    for (int n = 1; !id && blk_by_name(name); n++) {
        g_free(name);
        name = g_strdup_printf("none%d", n);
    }
    if (!find_flags(opts, &flags, errp)) {
        return false;
    }
    if (!file || !*file) {
        error_setg(errp, "A block device must be specified for \"file\"");
        return false;
    }
    d->blk = blk_open_image(name, file, flags, errp);
    if (d->blk && (flags & BDRV_O_PROBED)) {
        warn_report("Image format was not specified for '%s' and probing guessed raw.", file);
        error_printf("         What would make it look like another format is not written to its "
                     "first sector.\n"
                     "         Say format=raw to write everything.\n");
    }
    return d->blk;
}

static bool new_from_opts(QemuOpts *opts, Error **errp)
{
    g_autofree DriveInfo *d = g_new0(DriveInfo, 1);
    bool ok = find_interface(opts, &d->type, errp) && check_values(opts, errp) &&
              check_format_name(qemu_opt_get(opts, "format"), errp) &&
              find_place(opts, d, errp) && open_drive(opts, d, errp);

    qemu_opts_del(opts);
    if (ok) {
        QTAILQ_INSERT_TAIL(&drives, d, next);
        g_steal_pointer(&d);
    }
    return ok;
}

bool drive_new(const char *text, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&drive_opts, text, false, errp);

    return opts && new_from_opts(opts, errp);
}

bool drive_new_image(const char *filename, int index, Error **errp)
{
    QemuOpts *opts = qemu_opts_create(&drive_opts, NULL, false, errp);
    g_autofree char *number = g_strdup_printf("%d", index);

    if (!opts || !qemu_opt_set(opts, "file", filename, errp) ||
        (index >= 0 && !qemu_opt_set(opts, "index", number, errp))) {
        return false;
    }
    return new_from_opts(opts, errp);
}

bool drive_check_orphaned(Error **errp)
{
    DriveInfo *d;

    QTAILQ_FOREACH(d, &drives, next) {
        if (d->type != IF_NONE && !blk_get_attached_dev(d->blk)) {
            error_setg(errp, "machine type does not support if=ide,bus=%d,unit=%d (drive '%s')",
                       d->bus, d->unit, blk_name(d->blk));
            return false;
        }
    }
    return true;
}

/* ---- what is there ---- */

static BlockDeviceInfo *describe_image(const BlockBackend *blk)
{
    BlockDeviceInfo *info = g_new0(BlockDeviceInfo, 1);
    ImageInfo *image = g_new0(ImageInfo, 1);
    struct stat st;

    info->file = g_strdup(blk->filename);
    info->node_name = g_strdup(blk->node);
    info->ro = !blk->writable;
    info->drv = g_strdup("raw");
    info->active = blk_is_active();
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = blk->write_cache;
    info->cache->direct = blk->direct;
    info->cache->no_flush = blk->no_flush;
    info->image = image;
    image->filename = g_strdup(blk->filename);
    image->format = g_strdup("raw");
    image->has_dirty_flag = true;
    image->virtual_size = blk->length;
    if (fstat(blk->fd, &st) == 0) {
        image->has_actual_size = true;
        image->actual_size = (int64_t)st.st_blocks * 512;
    }
    return info;
}

static char *attached_path(const BlockBackend *blk)
{
    DeviceState *dev = blk_get_attached_dev(blk);

    return !dev ? NULL : dev->id ? g_strdup(dev->id) : object_get_canonical_path(OBJECT(dev));
}

BlockInfoList *qmp_query_block(Error **errp)
{
    BlockInfoList *list = NULL, **tail = &list;

    for (BlockBackend *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        BlockInfo *info = g_new0(BlockInfo, 1);

        info->device = g_strdup(blk->name);
        info->qdev = attached_path(blk);
        info->type = g_strdup("unknown");
        info->inserted = describe_image(blk);
        /* QEMU too leaves these to the device: without one a medium could be changed. */
        info->removable = !blk->dev;
        info->has_io_status = blk->dev;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

BlockDeviceInfoList *qmp_query_named_block_nodes(bool has_flat, bool flat, Error **errp)
{
    BlockDeviceInfoList *list = NULL, **tail = &list;

    for (BlockBackend *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        QAPI_LIST_APPEND(tail, describe_image(blk));
    }
    return list;
}

BlockStatsList *qmp_query_blockstats(bool has_query_nodes, bool query_nodes, Error **errp)
{
    BlockStatsList *list = NULL, **tail = &list;

    for (BlockBackend *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        const BlockCounters *c = &blk->stats;
        BlockStats *info = g_new0(BlockStats, 1);
        BlockDeviceStats *s = g_new0(BlockDeviceStats, 1);

        if (!query_nodes) {
            info->device = g_strdup(blk->name);
            info->qdev = attached_path(blk);
        }
        info->node_name = g_strdup(blk->node);
        info->stats = s;
        s->rd_bytes = c->rd_bytes;
        s->wr_bytes = c->wr_bytes;
        s->rd_operations = c->rd_operations;
        s->wr_operations = c->wr_operations;
        s->flush_operations = c->flush_operations;
        s->rd_total_time_ns = c->rd_ns;
        s->wr_total_time_ns = c->wr_ns;
        s->flush_total_time_ns = c->flush_ns;
        s->wr_highest_offset = c->wr_highest_offset;
        s->failed_rd_operations = c->failed_rd;
        s->failed_wr_operations = c->failed_wr;
        s->failed_flush_operations = c->failed_flush;
        s->invalid_rd_operations = c->invalid_rd;
        s->invalid_wr_operations = c->invalid_wr;
        s->account_invalid = s->account_failed = true;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}
