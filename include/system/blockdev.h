/*
 * Drives: what `-drive` and its relatives describe, and the images behind them.
 *
 * A drive (BlockBackend) is a raw image that is read and written by bytes, synchronously. It is
 * made by the command line, found by its id, and attached to at most one device, which from then on is
 * the only one that writes. All drives live as long as the program.
 *
 * The image of a guest that moves is open in source and destination at once, and belongs to the
 * side whose guest may run: the other one's writes are refused (blk_is_active()). No lock is taken
 * on the file, so that both can have it open.
 *
 * Results: 0, or -errno. Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_BLOCKDEV_H
#define SYSTEM_BLOCKDEV_H

#include "qapi/qapi-types-block-core.h"
#include "qemu/queue.h"

#define BDRV_SECTOR_BITS 9
#define BDRV_SECTOR_SIZE (1ULL << BDRV_SECTOR_BITS)

typedef struct BlockBackend BlockBackend;
typedef struct DeviceState DeviceState;

/* Flags of blk_open_image(). */
enum {
    BDRV_O_RDWR = 0x1,
    BDRV_O_SNAPSHOT = 0x2, /* writes go to a temporary file that nobody else sees */
    BDRV_O_NOCACHE = 0x4,  /* past the host's page cache */
    BDRV_O_NO_FLUSH = 0x8, /* flushes are not carried out */
    BDRV_O_CACHE_WB = 0x10, /* the guest flushes; without it every write is flushed */
    BDRV_O_PROBED = 0x20,  /* nobody said that it is raw: sector 0 must go on looking like it */
};

/* ---- images (system/block-backend.c) -------------------------------------------------- */

/**
 * blk_open_image: opens @filename (also /dev/fdset/N) as a raw image, named @name. NULL on failure.
 * With BDRV_O_PROBED a file that begins like another format's is refused by that format's name.
 */
BlockBackend *blk_open_image(const char *name, const char *filename, int flags, Error **errp);
/* Closes it; the drive must not be attached. */
void blk_unref(BlockBackend *blk);

BlockBackend *blk_by_name(const char *name);
/* The first for NULL, then one after the other, in the order in which they were made. */
BlockBackend *blk_next(BlockBackend *blk);
const char *blk_name(const BlockBackend *blk);
/* Bytes; always whole sectors, the last of which is filled with zeroes. */
int64_t blk_getlength(const BlockBackend *blk);
bool blk_is_writable(const BlockBackend *blk);
bool blk_enable_write_cache(const BlockBackend *blk);
void blk_set_enable_write_cache(BlockBackend *blk, bool wce);
/*
 * The guest that writes here is ours to run: not while it comes in, not after it has moved, and not
 * between its arrival and its start (bdrv_inactivate_all()).
 */
bool blk_is_active(void);
/*
 * A guest has come that does not run yet: who sent it may still take it back, so that its images belong
 * to nobody until it is started here.
 */
void bdrv_inactivate_all(void);

/* Within the image, else -EINVAL. Writes of a side that is not active are -EPERM. */
int blk_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf);
int blk_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes, const void *buf);
/* What was written is on the storage afterwards. */
int blk_flush(BlockBackend *blk);
/* Every drive; the first failure, of which @errp (may be NULL) tells the drive. */
int blk_flush_all(Error **errp);

/* False when another device has it. */
bool blk_attach_dev(BlockBackend *blk, DeviceState *dev, Error **errp);
void blk_detach_dev(BlockBackend *blk);
DeviceState *blk_get_attached_dev(const BlockBackend *blk);
/*
 * For the attached device: where it comes among those that may be booted. @bootindex -1: behind all
 * that have one, by @position. Two equal @bootindex are an error.
 */
bool blk_set_boot_order(BlockBackend *blk, int32_t bootindex, unsigned position, Error **errp);

/**
 * drive_read_boot_sector: the first sector of the drive to boot from, into 512 bytes at @buf.
 * Drives that do not end with 0x55 0xaa there are passed over. False without an error: no drive boots.
 */
bool drive_read_boot_sector(uint8_t *buf, Error **errp);

/* ---- the command line (system/blockdev.c) --------------------------------------------- */

typedef enum BlockInterfaceType {
    IF_NONE,
    IF_IDE,
} BlockInterfaceType;

/* One -drive. */
typedef struct DriveInfo {
    BlockBackend *blk;
    BlockInterfaceType type;
    int bus, unit;          /* of IF_IDE */
    QTAILQ_ENTRY(DriveInfo) next;
} DriveInfo;

/* The -drive that belongs there, for the board to make a device for. NULL: none. */
DriveInfo *drive_get(BlockInterfaceType type, int bus, int unit);

/* -drive @text; @index >= 0 is what -hda to -hdd say. Called before the machine is made. */
bool drive_new(const char *text, Error **errp);
/* -hda FILE, or an image given by its name alone (@index -1): the next free place. */
bool drive_new_image(const char *filename, int index, Error **errp);
/* -snapshot: for every drive that does not say otherwise. Before the first is made. */
void drive_set_default_snapshot(bool on);
/* Whether a board made devices for those of @type; names one that has none otherwise. */
bool drive_check_orphaned(Error **errp);
/* For -drive and query-command-line-options. */
void drive_init_opts(void);

#endif
