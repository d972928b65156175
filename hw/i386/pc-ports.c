/*
 * Single ports of a PC (include/hw/i386/pc-ports.h).
 *
 * Port 0x61 has the gate of the timer's third channel and the speaker's switch, and shows that
 * channel's output and a bit that changes all the time. There is no speaker: nothing sounds.
 * Section "pcspk".
 *
 * Port 0xcf9 resets the machine when bit 2 is written as 1. Section "reset-control", which is our
 * own: where the chip sets are PCI devices it is part of theirs.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/pc-ports.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "system/runstate.h"

/* -- Port 0x61 --------------------------------------------------------------------------------- */

#define TYPE_PCSPK "isa-pcspk"
OBJECT_DECLARE_SIMPLE_TYPE(PCSpkState, PCSPK)

struct PCSpkState {
    ISADevice parent_obj;

    MemoryRegion io;
    PITCommonState *pit;
    bool migrate;
    uint8_t data_on;            /* the speaker's switch; current while state moves */
    uint8_t dummy_refresh_clock;
};

enum { PCSPK_GATE = 0x01, PCSPK_DATA = 0x02, PCSPK_REFRESH = 0x10, PCSPK_OUTPUT = 0x20 };
#define SPEAKER_CHANNEL 2

static uint64_t pcspk_read(void *opaque, hwaddr addr, unsigned size)
{
    PCSpkState *s = opaque;
    const PITChannel *c = &s->pit->channels[SPEAKER_CHANNEL];

    pit_refresh(s->pit);
    s->dummy_refresh_clock ^= 1;
    return (c->gate ? PCSPK_GATE : 0) | (s->pit->speaker_on ? PCSPK_DATA : 0) |
           (s->dummy_refresh_clock ? PCSPK_REFRESH : 0) |
           (pit_output(c, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) ? PCSPK_OUTPUT : 0);
}

static void pcspk_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    PCSpkState *s = opaque;

    pit_set_gate(s->pit, SPEAKER_CHANNEL, value & PCSPK_GATE);
    pit_set_speaker(s->pit, value & PCSPK_DATA);
}

static const MemoryRegionOps pcspk_ops = {
    .read = pcspk_read,
    .write = pcspk_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static bool pcspk_needed(void *opaque)
{
    PCSpkState *s = opaque;

    return s->migrate;
}

static int pcspk_pre_save(void *opaque)
{
    PCSpkState *s = opaque;

    pit_refresh(s->pit);
    s->data_on = s->pit->speaker_on;
    return 0;
}

static int pcspk_post_load(void *opaque, int version_id)
{
    PCSpkState *s = opaque;

    s->dummy_refresh_clock &= 1;
    s->pit->speaker_on = s->data_on & 1;
    return 0;
}

static const VMStateDescription vmstate_pcspk = {
    .name = "pcspk",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = pcspk_needed,
    .pre_save = pcspk_pre_save,
    .post_load = pcspk_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(data_on, PCSpkState),
        VMSTATE_UINT8(dummy_refresh_clock, PCSpkState),
        VMSTATE_END_OF_LIST()
    },
};

static void pcspk_realize(DeviceState *dev, Error **errp)
{
    PCSpkState *s = PCSPK(dev);

    memory_region_init_io(&s->io, OBJECT(dev), &pcspk_ops, s, "pcspk", 1);
    isa_register_ioport(ISA_DEVICE(dev), &s->io, 0x61, errp);
}

static const Property pcspk_properties[] = {
    DEFINE_PROP_BOOL("migrate", PCSpkState, migrate, true),
};

static void pcspk_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = pcspk_realize;
    dc->vmsd = &vmstate_pcspk;
    dc->user_creatable = false;
    device_class_set_props(dc, pcspk_properties);
}

void pcspk_create(ISABus *bus, PITCommonState *pit)
{
    DeviceState *dev = qdev_new(TYPE_PCSPK);

    PCSPK(dev)->pit = pit;
    qdev_realize_and_unref(dev, BUS(bus), &error_fatal);
}

/* -- Port 0xcf9 -------------------------------------------------------------------------------- */

#define TYPE_RESET_CONTROL "reset-control"
OBJECT_DECLARE_SIMPLE_TYPE(ResetControlState, RESET_CONTROL)

struct ResetControlState {
    ISADevice parent_obj;

    MemoryRegion io;
    uint8_t rcr;
};

#define RCR_RESET 0x04          /* reads as 0 */
#define RCR_KIND  0x02          /* of the CPUs only, or of all: here all the same */

static uint64_t rcr_read(void *opaque, hwaddr addr, unsigned size)
{
    ResetControlState *s = opaque;

    return s->rcr;
}

static void rcr_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ResetControlState *s = opaque;

    s->rcr = value & RCR_KIND;
    if (value & RCR_RESET) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

static const MemoryRegionOps rcr_ops = {
    .read = rcr_read,
    .write = rcr_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static const VMStateDescription vmstate_rcr = {
    .name = TYPE_RESET_CONTROL,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(rcr, ResetControlState),
        VMSTATE_END_OF_LIST()
    },
};

static void rcr_reset(DeviceState *dev)
{
    RESET_CONTROL(dev)->rcr = 0;
}

static void rcr_realize(DeviceState *dev, Error **errp)
{
    ResetControlState *s = RESET_CONTROL(dev);

    memory_region_init_io(&s->io, OBJECT(dev), &rcr_ops, s, TYPE_RESET_CONTROL, 1);
    isa_register_ioport(ISA_DEVICE(dev), &s->io, 0xcf9, errp);
}

static void rcr_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = rcr_realize;
    dc->vmsd = &vmstate_rcr;
    dc->user_creatable = false;
    device_class_set_legacy_reset(dc, rcr_reset);
}

void reset_control_create(ISABus *bus)
{
    qdev_realize_and_unref(qdev_new(TYPE_RESET_CONTROL), BUS(bus), &error_fatal);
}

static const TypeInfo port_types[] = {
    {
        .name = TYPE_PCSPK,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(PCSpkState),
        .class_init = pcspk_class_init,
    }, {
        .name = TYPE_RESET_CONTROL,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(ResetControlState),
        .class_init = rcr_class_init,
    },
};
DEFINE_TYPES(port_types)
