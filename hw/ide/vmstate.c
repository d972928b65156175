/*
 * What is saved of an ATA channel: the registers of both disks and, while data is transferred, the
 * buffer and the rest of the command. All of it is checked when it comes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"

static bool transfer_needed(void *opaque)
{
    return ((IDEUnit *)opaque)->transfer != IDE_TRANSFER_NONE;
}

/* What the buffer's position and the command's rest may be, at any time of a transfer. */
static bool transfer_is_possible(const IDEUnit *u)
{
    if (!u->dev || u->transfer == IDE_TRANSFER_NONE || u->transfer >= IDE_TRANSFER__MAX ||
        u->pos >= u->len || u->len > IDE_BUFFER_SIZE || u->len % BDRV_SECTOR_SIZE) {
        return false;
    }
    if (u->transfer == IDE_TRANSFER_REPLY) {
        return u->len == BDRV_SECTOR_SIZE && u->left == 0;
    }
    return u->block >= 1 && u->block <= IDE_MAX_MULTIPLE && u->left <= 65536 &&
           u->len <= u->block * BDRV_SECTOR_SIZE && u->lba <= u->sectors &&
           (u->transfer != IDE_TRANSFER_WRITE || ide_in_disk(u, u->lba, u->len / BDRV_SECTOR_SIZE));
}

static int transfer_post_load(void *opaque, int version_id)
{
    IDEUnit *u = opaque;

    if (!transfer_is_possible(u)) {
        error_report("IDE transfer of kind %u at sector %" PRIu64 " of %" PRIu64 ", %u sectors "
                     "left, byte %u of %u is impossible", u->transfer, u->lba, u->sectors, u->left,
                     u->pos, u->len);
        return -EINVAL;
    }
    return 0;
}

static const VMStateDescription vmstate_transfer = {
    .name = "ata_disk/transfer",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = transfer_needed,
    .post_load = transfer_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(transfer, IDEUnit),
        VMSTATE_UINT8(block, IDEUnit),
        VMSTATE_UINT8(ext, IDEUnit),
        VMSTATE_UINT64(lba, IDEUnit),
        VMSTATE_UINT32(left, IDEUnit),
        VMSTATE_UINT32(pos, IDEUnit),
        VMSTATE_UINT32(len, IDEUnit),
        VMSTATE_BUFFER(buffer, IDEUnit),
        VMSTATE_END_OF_LIST()
    },
};

static int unit_pre_load(void *opaque)
{
    ide_end_transfer(opaque);
    return 0;
}

static int unit_post_load(void *opaque, int version_id)
{
    IDEUnit *u = opaque;

    if (u->multiple > IDE_MAX_MULTIPLE || (u->multiple & (u->multiple - 1))) {
        error_report("IDE disk with blocks of %u sectors: at most %d, and a power of two",
                     u->multiple, IDE_MAX_MULTIPLE);
        return -EINVAL;
    }
    if (u->dev && (!u->chs_heads || !u->chs_secs)) {
        error_report("IDE disk with %u heads and %u sectors a track", u->chs_heads, u->chs_secs);
        return -EINVAL;
    }
    if (u->dev) {
        blk_set_enable_write_cache(u->dev->blk, u->write_cache);
    }
    return 0;
}

static const VMStateDescription vmstate_unit = {
    .name = "ata_disk",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = unit_pre_load,
    .post_load = unit_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64_EQUAL(sectors, IDEUnit, "the disk must have the same size on both sides"),
        VMSTATE_UINT8(status, IDEUnit),
        VMSTATE_UINT8(error, IDEUnit),
        VMSTATE_UINT8(select, IDEUnit),
        VMSTATE_UINT8_ARRAY(feature, IDEUnit, 2),
        VMSTATE_UINT8_ARRAY(nsector, IDEUnit, 2),
        VMSTATE_UINT8_ARRAY(sector, IDEUnit, 2),
        VMSTATE_UINT8_ARRAY(lcyl, IDEUnit, 2),
        VMSTATE_UINT8_ARRAY(hcyl, IDEUnit, 2),
        VMSTATE_UINT8(multiple, IDEUnit),
        VMSTATE_UINT8(write_cache, IDEUnit),
        VMSTATE_UINT8(chs_heads, IDEUnit),
        VMSTATE_UINT8(chs_secs, IDEUnit),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){
        &vmstate_transfer,
        NULL
    },
};

static int bus_post_load(void *opaque, int version_id)
{
    IDEBus *bus = opaque;

    if (bus->selected >= IDE_UNITS) {
        error_report("IDE channel with unit %u selected", bus->selected);
        return -EINVAL;
    }
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        IDEUnit *u = &bus->units[i];

        /* DRQ without data would have the guest wait for ever. */
        if ((u->status & IDE_STATUS_DRQ) && u->transfer == IDE_TRANSFER_NONE) {
            error_report("IDE unit %u asks for data, but no transfer came with it", i);
            return -EINVAL;
        }
    }
    return 0;
}

const VMStateDescription vmstate_ide_bus = {
    .name = "ata_bus",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = bus_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(selected, IDEBus),
        VMSTATE_UINT8(control, IDEBus),
        VMSTATE_UINT8(irq_pending, IDEBus),
        VMSTATE_STRUCT_ARRAY(units, IDEBus, IDE_UNITS, 1, vmstate_unit, IDEUnit),
        VMSTATE_END_OF_LIST()
    },
};
