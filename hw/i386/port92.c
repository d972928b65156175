/*
 * Port 0x92: bit 1 is the A20 gate, a write of 1 to bit 0 resets the machine (it reads as 0).
 *
 * The gate's state is the CPUs' a20_mask and travels with them. Under KVM the mask has no effect,
 * as on every machine of this century.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/sysbus.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"

#define TYPE_PORT92 "port92"
OBJECT_DECLARE_SIMPLE_TYPE(Port92State, PORT92)

struct Port92State {
    SysBusDevice parent_obj;

    MemoryRegion io;
};

enum { PORT92_RESET = 1, PORT92_A20 = 2 };

static uint64_t port92_read(void *opaque, hwaddr addr, unsigned size)
{
    return first_cpu && cpu_env(first_cpu)->a20_mask == -1 ? PORT92_A20 : 0;
}

static void port92_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        x86_cpu_set_a20(X86_CPU(cpu), data & PORT92_A20);
    }
    if (data & PORT92_RESET) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

static const MemoryRegionOps port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static void port92_realize(DeviceState *dev, Error **errp)
{
    Port92State *s = PORT92(dev);

    memory_region_init_io(&s->io, OBJECT(dev), &port92_ops, s, "port92", 1);
    memory_region_add_subregion(get_system_io(), 0x92, &s->io);
}

static void port92_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = port92_realize;
    dc->user_creatable = false;
}

void port92_create(void)
{
    sysbus_realize_and_unref(SYS_BUS_DEVICE(qdev_new(TYPE_PORT92)), &error_abort);
}

static const TypeInfo port92_types[] = {
    {
        .name = TYPE_PORT92,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(Port92State),
        .class_init = port92_class_init,
    },
};
DEFINE_TYPES(port92_types)
