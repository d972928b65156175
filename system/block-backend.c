/*
 * Raw images: see system/blockdev.h.
 *
 * A snapshot drive has a second, unlinked file of the same size: clusters that were written lie
 * there, and a bitmap says which. It is gone with the process.
 *
 * Past the page cache (cache=none, directsync) the kernel takes aligned pieces only; what is not
 * aligned goes through a buffer of whole blocks, which are read first where a part is written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "block-internal.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/timer.h"
#include "system/runstate.h"

#define CLUSTER_SIZE (64 * 1024)
/* Enough for any disk; a power of two that O_DIRECT accepts everywhere. */
#define DIRECT_ALIGN 4096

static QTAILQ_HEAD(, BlockBackend) backends = QTAILQ_HEAD_INITIALIZER(backends);

/* ---- what else a file could be ---- */

static const struct {
    const char *format;
    size_t offset;
    const char *magic;
    size_t size;
} other_formats[] = {
    { "qcow2", 0, "QFI\xfb", 4 },
    { "qed", 0, "QED\0", 4 },
    { "vmdk", 0, "KDMV", 4 },
    { "vmdk", 0, "COWD", 4 },
    { "vmdk", 0, "# Disk DescriptorFile", 21 },
    { "vhdx", 0, "vhdxfile", 8 },
    { "vpc", 0, "conectix", 8 },
    { "vdi", 64, "\x7f\x10\xda\xbe", 4 },
    { "luks", 0, "LUKS\xba\xbe", 6 },
    { "parallels", 0, "WithoutFreeSpace", 16 },
    { "bochs", 0, "Bochs Virtual HD Image", 22 },
};

const char *blk_probe_format(const uint8_t *sector)
{
    for (size_t i = 0; i < ARRAY_SIZE(other_formats); i++) {
        if (!memcmp(sector + other_formats[i].offset, other_formats[i].magic,
                    other_formats[i].size)) {
            return other_formats[i].format;
        }
    }
    return NULL;
}

/* ---- reading and writing the file ---- */

/* Everything or an error; what lies behind the end of the file reads as zeroes. */
static int read_all(int fd, uint8_t *buf, size_t size, off_t offset)
{
    while (size) {
        ssize_t n = RETRY_ON_EINTR(pread(fd, buf, size, offset));

        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            memset(buf, 0, size);
            return 0;
        }
        buf += n;
        offset += n;
        size -= n;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *buf, size_t size, off_t offset)
{
    while (size) {
        ssize_t n = RETRY_ON_EINTR(pwrite(fd, buf, size, offset));

        if (n <= 0) {
            return n ? -errno : -EIO;
        }
        buf += n;
        offset += n;
        size -= n;
    }
    return 0;
}

/* One block after the other through the aligned buffer: slow, and right. */
static int direct_io(BlockBackend *blk, int64_t offset, int64_t bytes, uint8_t *in,
                     const uint8_t *out)
{
    while (bytes) {
        int64_t block = QEMU_ALIGN_DOWN(offset, DIRECT_ALIGN);
        size_t at = offset - block, n = MIN(bytes, DIRECT_ALIGN - (int64_t)at);
        int ret = in || n < DIRECT_ALIGN
            ? read_all(blk->fd, blk->bounce, DIRECT_ALIGN, block) : 0;

        if (ret == 0 && in) {
            memcpy(in, blk->bounce + at, n);
            in += n;
        } else if (ret == 0) {
            memcpy(blk->bounce + at, out, n);
            ret = write_all(blk->fd, blk->bounce, DIRECT_ALIGN, block);
            out += n;
        }
        if (ret < 0) {
            return ret;
        }
        offset += n;
        bytes -= n;
    }
    return 0;
}

static int image_read(BlockBackend *blk, int64_t offset, int64_t bytes, uint8_t *buf)
{
    return blk->bounce ? direct_io(blk, offset, bytes, buf, NULL)
                       : read_all(blk->fd, buf, bytes, offset);
}

static int image_write(BlockBackend *blk, int64_t offset, int64_t bytes, const uint8_t *buf)
{
    int64_t in_file = blk->file_size - offset;

    if (blk->bounce) {
        return direct_io(blk, offset, bytes, NULL, buf);
    }
    /* The last sector may end behind the file: then the file gets whole. */
    if (in_file < bytes && in_file >= 0) {
        blk->file_size = blk->length;
    }
    return write_all(blk->fd, buf, bytes, offset);
}

/* ---- temporary snapshots ---- */

static int open_overlay(BlockBackend *blk, Error **errp)
{
    const char *dir = getenv("TMPDIR") ?: "/var/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, QEMU_ALIGN_UP(blk->length, CLUSTER_SIZE)) < 0) {
        error_setg_errno(errp, errno, "Could not create temporary overlay in '%s'", dir);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    blk->written = bitmap_new(DIV_ROUND_UP(blk->length, CLUSTER_SIZE));
    return fd;
}

static int overlay_fill(BlockBackend *blk, uint64_t cluster)
{
    g_autofree uint8_t *buf = g_malloc0(CLUSTER_SIZE);
    int64_t offset = cluster * CLUSTER_SIZE;
    int ret = image_read(blk, offset, MIN(CLUSTER_SIZE, blk->length - offset), buf);

    if (ret == 0) {
        ret = write_all(blk->overlay, buf, CLUSTER_SIZE, offset);
    }
    if (ret == 0) {
        set_bit(cluster, blk->written);
    }
    return ret;
}

static int overlay_io(BlockBackend *blk, int64_t offset, int64_t bytes, uint8_t *in,
                      const uint8_t *out)
{
    int ret = 0;

    while (bytes && ret == 0) {
        uint64_t cluster = offset / CLUSTER_SIZE;
        int64_t n = MIN(bytes, CLUSTER_SIZE - offset % CLUSTER_SIZE);

        if (in) {
            ret = test_bit(cluster, blk->written) ? read_all(blk->overlay, in, n, offset)
                                                  : image_read(blk, offset, n, in);
            in += n;
        } else {
            ret = test_bit(cluster, blk->written) ? 0 : overlay_fill(blk, cluster);
            if (ret == 0) {
                ret = write_all(blk->overlay, out, n, offset);
            }
            out += n;
        }
        offset += n;
        bytes -= n;
    }
    return ret;
}

/* ---- for devices ---- */

static VMChangeStateEntry *waits_for_start;

bool blk_is_active(void)
{
    return !waits_for_start && !runstate_check(RUN_STATE_INMIGRATE) &&
           !runstate_check(RUN_STATE_POSTMIGRATE);
}

static void guest_starts(void *opaque, bool running, RunState state)
{
    if (running && waits_for_start) {
        qemu_del_vm_change_state_handler(waits_for_start);
        waits_for_start = NULL;
    }
}

void bdrv_inactivate_all(void)
{
    if (!waits_for_start) {
        waits_for_start = qemu_add_vm_change_state_handler_prio(guest_starts, NULL, INT_MIN);
    }
}

static bool in_range(const BlockBackend *blk, int64_t offset, int64_t bytes)
{
    return offset >= 0 && bytes >= 0 && offset <= blk->length && bytes <= blk->length - offset;
}

static int note_failure(int ret, uint64_t *failed)
{
    *failed += ret < 0;
    return ret;
}

int blk_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf)
{
    int64_t start;
    int ret;

    if (!in_range(blk, offset, bytes)) {
        blk->stats.invalid_rd++;
        return -EINVAL;
    }
    start = get_clock();
    ret = blk->overlay >= 0 ? overlay_io(blk, offset, bytes, buf, NULL)
                            : image_read(blk, offset, bytes, buf);
    blk->stats.rd_ns += get_clock() - start;
    if (ret == 0) {
        blk->stats.rd_operations++;
        blk->stats.rd_bytes += bytes;
    }
    return note_failure(ret, &blk->stats.failed_rd);
}

/* Whoever guessed raw must not be made to guess otherwise next time, by the guest. */
static bool changes_format(BlockBackend *blk, int64_t offset, int64_t bytes, const uint8_t *buf)
{
    uint8_t sector[BDRV_SECTOR_SIZE];

    if (!blk->probed || offset >= (int64_t)BDRV_SECTOR_SIZE || bytes == 0) {
        return false;
    }
    if (blk_pread(blk, 0, sizeof(sector), sector) < 0) {
        return true;
    }
    memcpy(sector + offset, buf, MIN(bytes, (int64_t)sizeof(sector) - offset));
    return blk_probe_format(sector) != NULL;
}

int blk_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes, const void *buf)
{
    int64_t start;
    int ret;

    if (!in_range(blk, offset, bytes)) {
        blk->stats.invalid_wr++;
        return -EINVAL;
    }
    if (!blk->writable || !blk_is_active() || changes_format(blk, offset, bytes, buf)) {
        return note_failure(-EPERM, &blk->stats.failed_wr);
    }
    blk->unflushed = true;
    start = get_clock();
    ret = blk->overlay >= 0 ? overlay_io(blk, offset, bytes, NULL, buf)
                            : image_write(blk, offset, bytes, buf);
    blk->stats.wr_ns += get_clock() - start;
    if (ret == 0) {
        blk->stats.wr_operations++;
        blk->stats.wr_bytes += bytes;
        blk->stats.wr_highest_offset = MAX(blk->stats.wr_highest_offset, offset + bytes);
        if (!blk->write_cache) {
            ret = blk_flush(blk);
        }
    }
    return note_failure(ret, &blk->stats.failed_wr);
}

int blk_flush(BlockBackend *blk)
{
    int64_t start = get_clock();
    int ret = 0;

    /* What is in a temporary file need not outlive a crash of the host. */
    if (blk->unflushed && !blk->no_flush && blk->overlay < 0) {
        ret = fdatasync(blk->fd) < 0 ? -errno : 0;
    }
    blk->stats.flush_ns += get_clock() - start;
    if (ret == 0) {
        blk->unflushed = false;
        blk->stats.flush_operations++;
    }
    return note_failure(ret, &blk->stats.failed_flush);
}

int blk_flush_all(Error **errp)
{
    BlockBackend *blk;
    int first = 0;

    QTAILQ_FOREACH(blk, &backends, next) {
        int ret = blk->unflushed ? blk_flush(blk) : 0;

        if (ret < 0 && first == 0) {
            error_setg_errno(errp, -ret, "Could not write the cached data of drive '%s' to '%s'",
                             blk->name, blk->filename);
            first = ret;
        }
    }
    return first;
}

/* ---- opening ---- */

static int open_file(const char *filename, int flags, Error **errp)
{
    int mode = (flags & BDRV_O_RDWR) && !(flags & BDRV_O_SNAPSHOT) ? O_RDWR : O_RDONLY;
    const char *what = NULL;
    struct stat st;
    int fd;

    mode |= flags & BDRV_O_NOCACHE ? O_DIRECT : 0;
    fd = qemu_open(filename, mode, errp);
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        what = "it is a directory";
    } else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        what = "it is neither a file nor a block device";
    }
    if (what) {
        error_setg(errp, "Could not open '%s': %s", filename, what);
        close(fd);
        return -1;
    }
    return fd;
}

static bool find_size(BlockBackend *blk, int flags, Error **errp)
{
    struct stat st;
    uint64_t size;

    if (fstat(blk->fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not get the size of '%s'", blk->filename);
        return false;
    }
    size = st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(blk->fd, BLKGETSIZE64, &size) < 0) {
        error_setg_errno(errp, errno, "Could not get the size of '%s'", blk->filename);
        return false;
    }
    if (size > INT64_MAX - CLUSTER_SIZE) {
        error_setg(errp, "The image '%s' is too large", blk->filename);
        return false;
    }
    if ((flags & BDRV_O_NOCACHE) && (flags & BDRV_O_RDWR) && size % DIRECT_ALIGN) {
        error_setg(errp, "The image '%s' has %" PRIu64 " bytes, but without the host's cache its "
                   "size must be a multiple of %d: use cache=writeback", blk->filename, size,
                   DIRECT_ALIGN);
        return false;
    }
    blk->file_size = size;
    blk->length = QEMU_ALIGN_UP(size, BDRV_SECTOR_SIZE);
    return true;
}

static bool check_format(BlockBackend *blk, Error **errp)
{
    uint8_t sector[BDRV_SECTOR_SIZE] = { 0 };
    const char *format;
    int ret = blk->length ? image_read(blk, 0, sizeof(sector), sector) : 0;

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read '%s'", blk->filename);
        return false;
    }
    format = blk_probe_format(sector);
    if (format) {
        error_setg(errp, "Could not open '%s': it looks like an image of format %s; only raw "
                   "images are supported (format=raw takes it as one)", blk->filename, format);
        return false;
    }
    return true;
}

BlockBackend *blk_open_image(const char *name, const char *filename, int flags, Error **errp)
{
    static unsigned counter;
    BlockBackend *blk;
    int fd;

    if (blk_by_name(name)) {
        error_setg(errp, "Duplicate ID '%s' for drive", name);
        return NULL;
    }
    fd = open_file(filename, flags, errp);
    if (fd < 0) {
        return NULL;
    }
    blk = g_new0(BlockBackend, 1);
    blk->fd = fd;
    blk->overlay = -1;
    blk->name = g_strdup(name);
    blk->filename = g_strdup(filename);
    blk->node = g_strdup_printf("#block%03u", ++counter);
    blk->writable = flags & BDRV_O_RDWR;
    blk->direct = flags & BDRV_O_NOCACHE;
    blk->no_flush = flags & BDRV_O_NO_FLUSH;
    blk->write_cache = flags & BDRV_O_CACHE_WB;
    blk->probed = flags & BDRV_O_PROBED;
    blk->bootindex = -1;
    blk->bounce = blk->direct ? qemu_memalign(DIRECT_ALIGN, DIRECT_ALIGN) : NULL;
    QTAILQ_INSERT_TAIL(&backends, blk, next);
    if (!find_size(blk, flags, errp) || (blk->probed && !check_format(blk, errp))) {
        blk_unref(blk);
        return NULL;
    }
    if (flags & BDRV_O_SNAPSHOT) {
        blk->writable = true;
        blk->overlay = open_overlay(blk, errp);
        if (blk->overlay < 0) {
            blk_unref(blk);
            return NULL;
        }
    }
    return blk;
}

void blk_unref(BlockBackend *blk)
{
    if (!blk) {
        return;
    }
    g_assert(!blk->dev);
    QTAILQ_REMOVE(&backends, blk, next);
    close(blk->fd);
    if (blk->overlay >= 0) {
        close(blk->overlay);
    }
    g_free(blk->written);
    qemu_vfree(blk->bounce);
    g_free(blk->name);
    g_free(blk->filename);
    g_free(blk->node);
    g_free(blk);
}

/* ---- who is who ---- */

BlockBackend *blk_by_name(const char *name)
{
    BlockBackend *blk;

    QTAILQ_FOREACH(blk, &backends, next) {
        if (g_str_equal(blk->name, name)) {
            return blk;
        }
    }
    return NULL;
}

BlockBackend *blk_next(BlockBackend *blk)
{
    return blk ? QTAILQ_NEXT(blk, next) : QTAILQ_FIRST(&backends);
}

const char *blk_name(const BlockBackend *blk)
{
    return blk->name;
}

int64_t blk_getlength(const BlockBackend *blk)
{
    return blk->length;
}

bool blk_is_writable(const BlockBackend *blk)
{
    return blk->writable;
}

bool blk_enable_write_cache(const BlockBackend *blk)
{
    return blk->write_cache;
}

void blk_set_enable_write_cache(BlockBackend *blk, bool wce)
{
    blk->write_cache = wce;
}

bool blk_attach_dev(BlockBackend *blk, DeviceState *dev, Error **errp)
{
    if (blk->dev) {
        error_setg(errp, "Drive '%s' is already in use by another device", blk->name);
        return false;
    }
    blk->dev = dev;
    return true;
}

void blk_detach_dev(BlockBackend *blk)
{
    blk->dev = NULL;
    blk->bootindex = -1;
    blk->boot_position = 0;
}

DeviceState *blk_get_attached_dev(const BlockBackend *blk)
{
    return blk->dev;
}

/* ---- booting ---- */

bool blk_set_boot_order(BlockBackend *blk, int32_t bootindex, unsigned position, Error **errp)
{
    BlockBackend *other;

    QTAILQ_FOREACH(other, &backends, next) {
        if (other != blk && other->dev && bootindex >= 0 && other->bootindex == bootindex) {
            error_setg(errp, "The bootindex %d has already been used", bootindex);
            return false;
        }
    }
    blk->bootindex = bootindex;
    blk->boot_position = position;
    return true;
}

static gint compare_boot_order(gconstpointer a, gconstpointer b)
{
    const BlockBackend *x = a, *y = b;
    int64_t ix = x->bootindex < 0 ? INT64_MAX : x->bootindex;
    int64_t iy = y->bootindex < 0 ? INT64_MAX : y->bootindex;

    return ix != iy ? (ix < iy ? -1 : 1) : (int)x->boot_position - (int)y->boot_position;
}

bool drive_read_boot_sector(uint8_t *buf, Error **errp)
{
    g_autoptr(GList) list = NULL;
    BlockBackend *blk;

    QTAILQ_FOREACH(blk, &backends, next) {
        if (blk->dev && blk->length >= (int64_t)BDRV_SECTOR_SIZE) {
            list = g_list_insert_sorted(list, blk, compare_boot_order);
        }
    }
    for (GList *l = list; l; l = l->next) {
        int ret;

        blk = l->data;
        ret = blk_pread(blk, 0, BDRV_SECTOR_SIZE, buf);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not read the boot sector of drive '%s' from '%s'",
                             blk->name, blk->filename);
            return false;
        }
        if (buf[510] == 0x55 && buf[511] == 0xaa) {
            return true;
        }
    }
    return false;
}
