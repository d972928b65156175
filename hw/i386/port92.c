/*
 * Port 0x92: bit 1 is the A20 gate, a write of 1 to bit 0 resets the machine (it reads as 0).
 *
 * Two forms. A PC's is on the ISA bus, has a latch of its own, as the keyboard controller has one
 * too and the gate follows the one written last, and section "port92". microvm's has no section, as
 * that machine has none in other programs: what it shows is the gate.
 *
 * The gate's state is the CPUs' a20_mask and travels with them. Under KVM the mask has no effect,
 * as on every machine of this century.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/isa/isa.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"

#define TYPE_PORT92 "port92"
OBJECT_DECLARE_SIMPLE_TYPE(Port92State, PORT92)
#define TYPE_PORT92_PLAIN "port92-plain"
OBJECT_DECLARE_SIMPLE_TYPE(Port92PlainState, PORT92_PLAIN)

struct Port92State {
    ISADevice parent_obj;

    MemoryRegion io;
    uint8_t outport;            /* a reset leaves it, and opens the gate all the same */
};

struct Port92PlainState {
    SysBusDevice parent_obj;

    MemoryRegion io;
};

enum { PORT92_RESET = 1, PORT92_A20 = 2 };

void x86_set_a20(bool open)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        x86_cpu_set_a20(X86_CPU(cpu), open);
    }
}

static void port92_act(uint8_t value)
{
    x86_set_a20(value & PORT92_A20);
    if (value & PORT92_RESET) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

/* -- A PC's ------------------------------------------------------------------------------------ */

static uint64_t port92_read(void *opaque, hwaddr addr, unsigned size)
{
    Port92State *s = opaque;

    return s->outport;
}

static void port92_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    Port92State *s = opaque;

    s->outport = data & ~PORT92_RESET;
    port92_act(data);
}

static const MemoryRegionOps port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static const VMStateDescription vmstate_port92 = {
    .name = "port92",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(outport, Port92State),
        VMSTATE_END_OF_LIST()
    },
};

static void port92_realize(DeviceState *dev, Error **errp)
{
    Port92State *s = PORT92(dev);

    memory_region_init_io(&s->io, OBJECT(dev), &port92_ops, s, "port92", 1);
    isa_register_ioport(ISA_DEVICE(dev), &s->io, 0x92, errp);
}

static void port92_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = port92_realize;
    dc->vmsd = &vmstate_port92;
    dc->user_creatable = false;
}

void port92_isa_create(ISABus *bus)
{
    qdev_realize_and_unref(qdev_new(TYPE_PORT92), BUS(bus), &error_abort);
}

/* -- microvm's --------------------------------------------------------------------------------- */

static uint64_t plain_read(void *opaque, hwaddr addr, unsigned size)
{
    return first_cpu && cpu_env(first_cpu)->a20_mask == -1 ? PORT92_A20 : 0;
}

static void plain_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    port92_act(data);
}

static const MemoryRegionOps plain_ops = {
    .read = plain_read,
    .write = plain_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static void plain_realize(DeviceState *dev, Error **errp)
{
    Port92PlainState *s = PORT92_PLAIN(dev);

    memory_region_init_io(&s->io, OBJECT(dev), &plain_ops, s, "port92", 1);
    memory_region_add_subregion(get_system_io(), 0x92, &s->io);
}

static void plain_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = plain_realize;
    dc->user_creatable = false;
}

void port92_create(void)
{
    sysbus_realize_and_unref(SYS_BUS_DEVICE(qdev_new(TYPE_PORT92_PLAIN)), &error_abort);
}

static const TypeInfo port92_types[] = {
    {
        .name = TYPE_PORT92,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(Port92State),
        .class_init = port92_class_init,
    }, {
        .name = TYPE_PORT92_PLAIN,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(Port92PlainState),
        .class_init = plain_class_init,
    },
};
DEFINE_TYPES(port92_types)
