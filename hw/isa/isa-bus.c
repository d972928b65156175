/*
 * The ISA bus: a place for devices that `-device` makes, and the bridge that it hangs on.
 *
 * Devices have no address of their own, so nothing is put before the ids of their state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/isa/isa.h"
#include "hw/sysbus.h"
#include "system/address-spaces.h"

#define TYPE_ISABUS_BRIDGE "isabus-bridge"
#define IO_PORTS 0x10000u

ISABus *isa_bus_create(qemu_irq *irqs)
{
    DeviceState *bridge = qdev_new(TYPE_ISABUS_BRIDGE);
    ISABus *bus;

    sysbus_realize_and_unref(SYS_BUS_DEVICE(bridge), &error_abort);
    bus = ISA_BUS(qbus_new(TYPE_ISA_BUS, bridge, NULL));
    bus->irqs = irqs;
    qbus_realize(BUS(bus), &error_abort);
    return bus;
}

ISABus *isa_bus_from_device(ISADevice *dev)
{
    return ISA_BUS(qdev_get_parent_bus(DEVICE(dev)));
}

qemu_irq isa_get_irq(ISADevice *dev, unsigned n)
{
    g_assert(n < ISA_BUS_IRQS);
    return isa_bus_from_device(dev)->irqs[n];
}

bool isa_register_ioport(ISADevice *dev, MemoryRegion *region, uint32_t start, Error **errp)
{
    if (start >= IO_PORTS || region->size > IO_PORTS - start) {
        error_setg(errp, "ports 0x%x to 0x%" PRIx64 " of device '%s' lie beyond 0xffff", start,
                   start + region->size - 1, object_get_typename(OBJECT(dev)));
        return false;
    }
    memory_region_add_subregion(get_system_io(), start, region);
    return true;
}

static void isa_device_class_init(ObjectClass *oc, void *data)
{
    DEVICE_CLASS(oc)->bus_type = TYPE_ISA_BUS;
}

static void bridge_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->fw_name = "isa";
    dc->user_creatable = false;
}

static const TypeInfo isa_types[] = {
    {
        .name = TYPE_ISA_BUS,
        .parent = TYPE_BUS,
        .instance_size = sizeof(ISABus),
    }, {
        .name = TYPE_ISA_DEVICE,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(ISADevice),
        .abstract = true,
        .class_init = isa_device_class_init,
    }, {
        .name = TYPE_ISABUS_BRIDGE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(SysBusDevice),
        .class_init = bridge_class_init,
    },
};
DEFINE_TYPES(isa_types)
