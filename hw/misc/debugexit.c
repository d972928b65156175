/*
 * "isa-debug-exit": a port by which the guest ends the program. A write of N makes the exit status
 * 2 N + 1 (its low eight bits, as the system keeps no more).
 *
 * It has no state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/isa/isa.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "system/runstate.h"

#define TYPE_ISA_DEBUG_EXIT "isa-debug-exit"
OBJECT_DECLARE_SIMPLE_TYPE(DebugExitState, ISA_DEBUG_EXIT)

struct DebugExitState {
    ISADevice parent_obj;

    uint32_t iobase, iosize;
    MemoryRegion io;
};

static uint64_t debug_exit_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static void debug_exit_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_GUEST_SHUTDOWN, (value << 1 | 1) & 0xff);
}

static const MemoryRegionOps debug_exit_ops = {
    .read = debug_exit_read,
    .write = debug_exit_write,
    .valid = { .min_access_size = 1, .max_access_size = 4 },
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static void debug_exit_realize(DeviceState *dev, Error **errp)
{
    DebugExitState *s = ISA_DEBUG_EXIT(dev);

    if (!s->iosize) {
        error_setg(errp, "'iosize' is 0: at least one port is needed");
        return;
    }
    memory_region_init_io(&s->io, OBJECT(s), &debug_exit_ops, s, TYPE_ISA_DEBUG_EXIT, s->iosize);
    isa_register_ioport(ISA_DEVICE(s), &s->io, s->iobase, errp);
}

static const Property debug_exit_properties[] = {
    DEFINE_PROP_UINT32("iobase", DebugExitState, iobase, 0x501),
    DEFINE_PROP_UINT32("iosize", DebugExitState, iosize, 2),
};

static void debug_exit_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "port that ends the program";
    dc->realize = debug_exit_realize;
    device_class_set_props(dc, debug_exit_properties);
}

static const TypeInfo debug_exit_types[] = {
    {
        .name = TYPE_ISA_DEBUG_EXIT,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(DebugExitState),
        .class_init = debug_exit_class_init,
    },
};
DEFINE_TYPES(debug_exit_types)
