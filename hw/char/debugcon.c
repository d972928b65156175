/*
 * "isa-debugcon": a port whose bytes go to a character device as they are. Reading it gives
 * `readback`, by which a guest can tell that it is there.
 *
 * It has no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-fe.h"
#include "hw/isa/isa.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "qapi/error.h"

#define TYPE_ISA_DEBUGCON "isa-debugcon"
OBJECT_DECLARE_SIMPLE_TYPE(DebugconState, ISA_DEBUGCON)

struct DebugconState {
    ISADevice parent_obj;

    uint32_t iobase, readback;
    CharBackend chr;
    MemoryRegion io;
};

static uint64_t debugcon_read(void *opaque, hwaddr addr, unsigned size)
{
    DebugconState *s = opaque;

    return s->readback;
}

static void debugcon_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    DebugconState *s = opaque;
    uint8_t byte = value;

    qemu_chr_fe_write_all(&s->chr, &byte, 1);
}

static const MemoryRegionOps debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .valid = { .min_access_size = 1, .max_access_size = 1 },
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static void debugcon_realize(DeviceState *dev, Error **errp)
{
    DebugconState *s = ISA_DEBUGCON(dev);

    if (!qemu_chr_fe_get_driver(&s->chr)) {
        error_setg(errp, "Can't create debugcon device, empty char device");
        return;
    }
    memory_region_init_io(&s->io, OBJECT(s), &debugcon_ops, s, TYPE_ISA_DEBUGCON, 1);
    isa_register_ioport(ISA_DEVICE(s), &s->io, s->iobase, errp);
}

static const Property debugcon_properties[] = {
    DEFINE_PROP_UINT32("iobase", DebugconState, iobase, 0xe9),
    DEFINE_PROP_CHR("chardev", DebugconState, chr),
    DEFINE_PROP_UINT32("readback", DebugconState, readback, 0xe9),
};

static void debugcon_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "port that writes to a character device";
    dc->realize = debugcon_realize;
    device_class_set_props(dc, debugcon_properties);
}

static const TypeInfo debugcon_types[] = {
    {
        .name = TYPE_ISA_DEBUGCON,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(DebugconState),
        .class_init = debugcon_class_init,
    },
};
DEFINE_TYPES(debugcon_types)
