/*
 * The ATA controller and its disks as devices: "ide-hd" on a bus "IDE", two of which belong to the
 * board's controller. What they do is in core.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "hw/ide.h"
#include "hw/qdev-properties-system.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "system/address-spaces.h"

#define TYPE_ATA_CHANNEL "ata-channel"
OBJECT_DECLARE_SIMPLE_TYPE(ATAChannel, ATA_CHANNEL)

/* A channel on the board: its ports, and the bus for its disks. */
struct ATAChannel {
    SysBusDevice parent_obj;

    IDEBus bus;
    uint32_t index, command_port, control_port;
    MemoryRegion command, control;
};

/* ---- the disk ---- */

static bool check_range(const char *name, uint32_t value, uint32_t max, Error **errp)
{
    if (value < 1 || value > max) {
        error_setg(errp, "%s must be between 1 and %u", name, max);
        return false;
    }
    return true;
}

static bool choose_geometry(IDEDevice *d, Error **errp)
{
    uint64_t sectors = blk_getlength(d->blk) >> BDRV_SECTOR_BITS;

    if (d->cyls || d->heads || d->secs) {
        return check_range("cyls", d->cyls, 65535, errp) &&
               check_range("heads", d->heads, 16, errp) &&
               check_range("secs", d->secs, 255, errp);
    }
    d->heads = 16;
    d->secs = 63;
    d->cyls = MIN(MAX(sectors / (16 * 63), 2), 16383);
    return true;
}

static bool choose_unit(IDEDevice *d, IDEBus *bus, Error **errp)
{
    if (d->unit == UINT32_MAX) {
        for (d->unit = 0; d->unit < IDE_UNITS - 1 && bus->units[d->unit].dev; d->unit++) {
        }
    }
    if (d->unit >= IDE_UNITS) {
        error_setg(errp, "Can't create IDE unit %u, bus supports only %d units", d->unit,
                   IDE_UNITS);
        return false;
    }
    if (bus->units[d->unit].dev) {
        error_setg(errp, "IDE unit %u is in use", d->unit);
        return false;
    }
    return true;
}

static bool check_text(const char *name, const char *text, size_t max, Error **errp)
{
    for (const char *p = text; *p; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            error_setg(errp, "%s must be printable ASCII", name);
            return false;
        }
    }
    if (strlen(text) > max) {
        error_setg(errp, "%s '%s' is longer than %zu characters", name, text, max);
        return false;
    }
    return true;
}

static bool choose_names(IDEDevice *d, unsigned bus_index, Error **errp)
{
    if (!d->serial) {
        d->serial = g_strdup_printf("QM%05u", bus_index * IDE_UNITS + d->unit + 1);
    }
    d->model = d->model ?: g_strdup("QEMU HARDDISK");
    d->version = d->version ?: g_strdup("2.5+");
    return check_text("serial", d->serial, 20, errp) && check_text("model", d->model, 40, errp) &&
           check_text("ver", d->version, 8, errp);
}

static unsigned bus_number(IDEBus *bus)
{
    return ATA_CHANNEL(bus->qbus.parent)->index;
}

static void ide_hd_realize(DeviceState *dev, Error **errp)
{
    IDEDevice *d = IDE_HD(dev);
    IDEBus *bus = IDE_BUS(dev->parent_bus);
    IDEUnit *u;

    if (!d->blk) {
        error_setg(errp, "No drive specified");
        return;
    }
    if (!blk_is_writable(d->blk)) {
        error_setg(errp, "Block node is read-only");
        return;
    }
    if (!choose_unit(d, bus, errp) || !choose_geometry(d, errp) ||
        !choose_names(d, bus_number(bus), errp) ||
        !blk_set_boot_order(d->blk, d->bootindex, bus_number(bus) * IDE_UNITS + d->unit, errp)) {
        return;
    }
    u = &bus->units[d->unit];
    u->dev = d;
    u->sectors = blk_getlength(d->blk) >> BDRV_SECTOR_BITS;
}

static void ide_hd_unrealize(DeviceState *dev)
{
    IDEDevice *d = IDE_HD(dev);
    IDEUnit *u = &IDE_BUS(dev->parent_bus)->units[d->unit];

    memset(u, 0, sizeof(*u));
}

static const Property ide_hd_properties[] = {
    DEFINE_PROP_DRIVE("drive", IDEDevice, blk),
    DEFINE_PROP_UINT32("unit", IDEDevice, unit, -1),
    DEFINE_PROP_UINT32("cyls", IDEDevice, cyls, 0),
    DEFINE_PROP_UINT32("heads", IDEDevice, heads, 0),
    DEFINE_PROP_UINT32("secs", IDEDevice, secs, 0),
    DEFINE_PROP_INT32("bootindex", IDEDevice, bootindex, -1),
    DEFINE_PROP_STRING("serial", IDEDevice, serial),
    DEFINE_PROP_STRING("ver", IDEDevice, version),
    DEFINE_PROP_STRING("model", IDEDevice, model),
    DEFINE_PROP_UINT64("wwn", IDEDevice, wwn, 0),
    DEFINE_PROP_UINT16("rotation_rate", IDEDevice, rotation_rate, 0),
    DEFINE_PROP_BOOL("share-rw", IDEDevice, share_rw, false),
};

static void ide_hd_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "virtual IDE disk";
    dc->fw_name = "drive";
    dc->bus_type = TYPE_IDE_BUS;
    dc->user_creatable = true;
    dc->realize = ide_hd_realize;
    dc->unrealize = ide_hd_unrealize;
    set_bit(DEVICE_CATEGORY_STORAGE, dc->categories);
    device_class_set_props(dc, ide_hd_properties);
}

/* ---- the bus ---- */

static void ide_bus_class_init(ObjectClass *oc, void *data)
{
    BUS_CLASS(oc)->max_dev = IDE_UNITS;
}

/* ---- the channel ---- */

static void ata_channel_realize(DeviceState *dev, Error **errp)
{
    ATAChannel *s = ATA_CHANNEL(dev);
    g_autofree char *name = g_strdup_printf("ide.%u", s->index);

    qbus_init(&s->bus, sizeof(s->bus), TYPE_IDE_BUS, dev, name);
    memory_region_init_io(&s->command, OBJECT(dev), &ide_command_ops, &s->bus, "ide", 8);
    memory_region_init_io(&s->control, OBJECT(dev), &ide_control_ops, &s->bus, "ide", 1);
    memory_region_add_subregion(get_system_io(), s->command_port, &s->command);
    memory_region_add_subregion(get_system_io(), s->control_port, &s->control);
}

static void ata_channel_reset(DeviceState *dev)
{
    ide_bus_reset(&ATA_CHANNEL(dev)->bus);
}

static const VMStateDescription vmstate_ata_channel = {
    .name = "ata-channel",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(bus, ATAChannel, 1, vmstate_ide_bus, IDEBus),
        VMSTATE_END_OF_LIST()
    },
};

static void ata_channel_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "ATA channel of a PC";
    dc->realize = ata_channel_realize;
    dc->user_creatable = false;
    dc->vmsd = &vmstate_ata_channel;
    device_class_set_legacy_reset(dc, ata_channel_reset);
}

static IDEBus *make_channel(unsigned index, uint32_t command, uint32_t control, qemu_irq irq)
{
    DeviceState *dev = qdev_new(TYPE_ATA_CHANNEL);
    ATAChannel *s = ATA_CHANNEL(dev);

    s->index = index;
    s->command_port = command;
    s->control_port = control;
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    s->bus.irq = irq;
    return &s->bus;
}

static bool plug_drive(IDEBus *bus, unsigned unit, DriveInfo *drive, Error **errp)
{
    DeviceState *dev = qdev_new(TYPE_IDE_HD);

    qdev_prop_set_uint32(dev, "unit", unit);
    if (!qdev_prop_set_drive_err(dev, "drive", drive->blk, errp)) {
        object_unref(OBJECT(dev));
        return false;
    }
    return qdev_realize_and_unref(dev, BUS(bus), errp);
}

bool ide_isa_create(qemu_irq irq14, qemu_irq irq15, Error **errp)
{
    IDEBus *buses[] = {
        make_channel(0, 0x1f0, 0x3f6, irq14),
        make_channel(1, 0x170, 0x376, irq15),
    };

    for (unsigned i = 0; i < ARRAY_SIZE(buses); i++) {
        for (unsigned unit = 0; unit < IDE_UNITS; unit++) {
            DriveInfo *drive = drive_get(IF_IDE, i, unit);

            if (drive && !plug_drive(buses[i], unit, drive, errp)) {
                return false;
            }
        }
    }
    return true;
}

static const TypeInfo ide_types[] = {
    {
        .name = TYPE_IDE_BUS,
        .parent = TYPE_BUS,
        .instance_size = sizeof(IDEBus),
        .class_init = ide_bus_class_init,
    },
    {
        .name = TYPE_IDE_HD,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(IDEDevice),
        .class_init = ide_hd_class_init,
    },
    {
        .name = TYPE_ATA_CHANNEL,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(ATAChannel),
        .class_init = ata_channel_class_init,
    },
};
DEFINE_TYPES(ide_types)
