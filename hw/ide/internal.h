/*
 * ATA channels and disks from the inside: core.c has what the guest sees, qdev.c how they are made,
 * vmstate.c what is saved.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_IDE_INTERNAL_H
#define HW_IDE_INTERNAL_H

#include "hw/qdev-core.h"
#include "system/blockdev.h"
#include "system/memory.h"

#define TYPE_IDE_BUS "IDE"
OBJECT_DECLARE_SIMPLE_TYPE(IDEBus, IDE_BUS)
#define TYPE_IDE_HD "ide-hd"
OBJECT_DECLARE_SIMPLE_TYPE(IDEDevice, IDE_HD)

#define IDE_UNITS 2
/* Sectors between two interrupts, at most: READ MULTIPLE and WRITE MULTIPLE. */
#define IDE_MAX_MULTIPLE 16
#define IDE_BUFFER_SIZE (IDE_MAX_MULTIPLE * BDRV_SECTOR_SIZE)

/* "ide-hd": a disk, as it was configured. */
struct IDEDevice {
    DeviceState parent_obj;

    BlockBackend *blk;
    uint32_t unit;              /* UINT32_MAX: the first free one */
    uint32_t cyls, heads, secs; /* 0: chosen by size */
    int32_t bootindex;
    char *serial, *version, *model;
    uint64_t wwn;
    uint16_t rotation_rate;
    bool share_rw;
};

/* What the data port is for. */
typedef enum IDETransfer {
    IDE_TRANSFER_NONE,
    IDE_TRANSFER_READ,
    IDE_TRANSFER_WRITE,
    IDE_TRANSFER_REPLY,         /* one buffer for the guest, nothing behind it */
    IDE_TRANSFER__MAX,
} IDETransfer;

/*
 * A disk as the guest sees it. The registers of the task file remember the value before the last
 * one too, for 48-bit commands: [0] is the last.
 */
typedef struct IDEUnit {
    IDEDevice *dev;             /* NULL: no disk */
    uint64_t sectors;

    uint8_t status, error, select;
    uint8_t feature[2], nsector[2], sector[2], lcyl[2], hcyl[2];
    uint8_t multiple;           /* sectors a block; 0: never set */
    uint8_t write_cache;
    uint8_t chs_heads, chs_secs; /* as INITIALIZE DEVICE PARAMETERS set them */

    /* A transfer under way: the buffer, and the sectors of the command behind those in it. */
    uint8_t transfer;           /* IDETransfer */
    uint8_t block;              /* sectors between two interrupts */
    uint8_t ext;                /* a 48-bit command */
    uint64_t lba;               /* of the first sector in the buffer */
    uint32_t left;
    uint32_t pos, len;          /* of the buffer, in bytes */
    uint8_t buffer[IDE_BUFFER_SIZE];
} IDEUnit;

/* A channel. */
struct IDEBus {
    BusState qbus;

    IDEUnit units[IDE_UNITS];
    uint8_t selected;
    uint8_t control;
    uint8_t irq_pending;
    qemu_irq irq;
};

/* The registers at 0x1f0 and at 0x3f6. */
extern const MemoryRegionOps ide_command_ops;
extern const MemoryRegionOps ide_control_ops;
extern const VMStateDescription vmstate_ide_bus;

#define IDE_STATUS_DRQ 0x08

static inline bool ide_in_disk(const IDEUnit *u, uint64_t lba, uint32_t count)
{
    return lba < u->sectors && count <= u->sectors - lba;
}

/* Nothing is to go through the data port. */
void ide_end_transfer(IDEUnit *u);
/* As after power on. */
void ide_bus_reset(IDEBus *bus);

#endif
