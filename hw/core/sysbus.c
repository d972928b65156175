/*
 * The system bus and the devices on it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/sysbus.h"
#include "qapi/error.h"
#include "system/address-spaces.h"

#define NOT_MAPPED ((hwaddr)-1)

/* ---- interrupts ------------------------------------------------------------------------ */

static char *irq_name(int n)
{
    return g_strdup_printf(SYSBUS_DEVICE_GPIO_IRQ "[%d]", n);
}

void sysbus_init_irq(SysBusDevice *dev, qemu_irq *p)
{
    qdev_init_gpio_out_named(DEVICE(dev), p, SYSBUS_DEVICE_GPIO_IRQ, 1);
}

void sysbus_pass_irq(SysBusDevice *dev, SysBusDevice *target)
{
    qdev_pass_gpios(DEVICE(target), DEVICE(dev), SYSBUS_DEVICE_GPIO_IRQ);
}

bool sysbus_has_irq(SysBusDevice *dev, int n)
{
    g_autofree char *name = irq_name(n);

    return object_property_find(OBJECT(dev), name) != NULL;
}

qemu_irq sysbus_get_connected_irq(const SysBusDevice *dev, int n)
{
    return qdev_get_gpio_out_connector(DEVICE(dev), SYSBUS_DEVICE_GPIO_IRQ, n);
}

bool sysbus_is_irq_connected(SysBusDevice *dev, int n)
{
    return sysbus_get_connected_irq(dev, n) != NULL;
}

void sysbus_connect_irq(SysBusDevice *dev, int n, qemu_irq irq)
{
    SysBusDeviceClass *sbc = SYS_BUS_DEVICE_GET_CLASS(dev);

    qdev_connect_gpio_out_named(DEVICE(dev), SYSBUS_DEVICE_GPIO_IRQ, n, irq);
    if (sbc->connect_irq_notifier) {
        sbc->connect_irq_notifier(dev, irq);
    }
}

/* ---- regions --------------------------------------------------------------------------- */

void sysbus_init_mmio(SysBusDevice *dev, MemoryRegion *memory)
{
    g_assert(dev->num_mmio < QDEV_MAX_MMIO);
    dev->mmio[dev->num_mmio].addr = NOT_MAPPED;
    dev->mmio[dev->num_mmio].memory = memory;
    dev->num_mmio++;
}

bool sysbus_has_mmio(SysBusDevice *dev, unsigned int n)
{
    return n < (unsigned)dev->num_mmio;
}

MemoryRegion *sysbus_mmio_get_region(SysBusDevice *dev, int n)
{
    g_assert(n >= 0 && n < dev->num_mmio);
    return dev->mmio[n].memory;
}

void sysbus_mmio_unmap(SysBusDevice *dev, int n)
{
    g_assert(n >= 0 && n < dev->num_mmio);
    if (dev->mmio[n].addr != NOT_MAPPED) {
        memory_region_del_subregion(get_system_memory(), dev->mmio[n].memory);
        dev->mmio[n].addr = NOT_MAPPED;
    }
}

static void map_region(SysBusDevice *dev, int n, hwaddr addr, bool may_overlap, int priority)
{
    g_assert(n >= 0 && n < dev->num_mmio);
    if (dev->mmio[n].addr == addr) {
        return;
    }
    sysbus_mmio_unmap(dev, n);
    dev->mmio[n].addr = addr;
    if (may_overlap) {
        memory_region_add_subregion_overlap(get_system_memory(), addr, dev->mmio[n].memory,
                                            priority);
    } else {
        memory_region_add_subregion(get_system_memory(), addr, dev->mmio[n].memory);
    }
}

void sysbus_mmio_map(SysBusDevice *dev, int n, hwaddr addr)
{
    map_region(dev, n, addr, false, 0);
}

void sysbus_mmio_map_overlap(SysBusDevice *dev, int n, hwaddr addr, int priority)
{
    map_region(dev, n, addr, true, priority);
}

void sysbus_init_ioports(SysBusDevice *dev, uint32_t ioport, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        g_assert(dev->num_pio < QDEV_MAX_PIO);
        dev->pio[dev->num_pio++] = ioport + i;
    }
}

void sysbus_add_io(SysBusDevice *dev, hwaddr addr, MemoryRegion *mem)
{
    memory_region_add_subregion(get_system_io(), addr, mem);
}

MemoryRegion *sysbus_address_space(SysBusDevice *dev)
{
    return get_system_memory();
}

/* ---- making ---------------------------------------------------------------------------- */

bool sysbus_realize(SysBusDevice *dev, Error **errp)
{
    return qdev_realize(DEVICE(dev), sysbus_get_default(), errp);
}

bool sysbus_realize_and_unref(SysBusDevice *dev, Error **errp)
{
    return qdev_realize_and_unref(DEVICE(dev), sysbus_get_default(), errp);
}

DeviceState *sysbus_create_varargs(const char *name, hwaddr addr, ...)
{
    DeviceState *dev = qdev_new(name);
    SysBusDevice *s = SYS_BUS_DEVICE(dev);
    qemu_irq irq;
    va_list va;
    int n = 0;

    sysbus_realize_and_unref(s, &error_fatal);
    if (addr != NOT_MAPPED) {
        sysbus_mmio_map(s, 0, addr);
    }
    va_start(va, addr);
    while ((irq = va_arg(va, qemu_irq))) {
        sysbus_connect_irq(s, n++, irq);
    }
    va_end(va);
    return dev;
}

typedef struct DynamicWalk {
    FindSysbusDeviceFunc *func;
    void *opaque;
} DynamicWalk;

static int visit_dynamic(Object *obj, void *opaque)
{
    DynamicWalk *walk = opaque;

    if (object_dynamic_cast(obj, TYPE_SYS_BUS_DEVICE)) {
        walk->func(SYS_BUS_DEVICE(obj), walk->opaque);
        return 0;
    }
    return object_child_foreach(obj, visit_dynamic, opaque);
}

void foreach_dynamic_sysbus_device(FindSysbusDeviceFunc *func, void *opaque)
{
    DynamicWalk walk = { func, opaque };

    visit_dynamic(machine_get_container("peripheral"), &walk);
    visit_dynamic(machine_get_container("peripheral-anon"), &walk);
}

/* ---- the bus --------------------------------------------------------------------------- */

BusState *sysbus_get_default(void)
{
    static BusState *main_system_bus;

    if (!main_system_bus) {
        main_system_bus = qbus_new(TYPE_SYSTEM_BUS, NULL, "main-system-bus");
        object_property_add_child(machine_get_container("unattached"), "sysbus",
                                  OBJECT(main_system_bus));
    }
    return main_system_bus;
}

static char *sysbus_get_fw_dev_path(DeviceState *dev)
{
    SysBusDevice *s = SYS_BUS_DEVICE(dev);
    SysBusDeviceClass *sbc = SYS_BUS_DEVICE_GET_CLASS(s);
    g_autofree char *unit = NULL;

    if (sbc->explicit_ofw_unit_address) {
        unit = sbc->explicit_ofw_unit_address(s);
    } else if (s->num_mmio) {
        unit = g_strdup_printf("%" PRIx64, (uint64_t)s->mmio[0].addr);
    } else if (s->num_pio) {
        unit = g_strdup_printf("i%04x", s->pio[0]);
    }
    return unit ? g_strdup_printf("%s@%s", qdev_fw_name(dev), unit)
                : g_strdup(qdev_fw_name(dev));
}

static void system_bus_class_init(ObjectClass *oc, void *data)
{
    BUS_CLASS(oc)->get_fw_dev_path = sysbus_get_fw_dev_path;
}

static void sysbus_device_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->bus_type = TYPE_SYSTEM_BUS;
    /* The board decides where such a device goes; `-device` can't. */
    dc->user_creatable = false;
}

static void dynamic_sysbus_device_class_init(ObjectClass *oc, void *data)
{
    DEVICE_CLASS(oc)->user_creatable = true;
}

static const TypeInfo sysbus_types[] = {
    {
        .name = TYPE_SYSTEM_BUS,
        .parent = TYPE_BUS,
        .instance_size = sizeof(BusState),
        .class_init = system_bus_class_init,
    }, {
        .name = TYPE_SYS_BUS_DEVICE,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(SysBusDevice),
        .abstract = true,
        .class_size = sizeof(SysBusDeviceClass),
        .class_init = sysbus_device_class_init,
    }, {
        .name = TYPE_DYNAMIC_SYS_BUS_DEVICE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .abstract = true,
        .class_init = dynamic_sysbus_device_class_init,
    },
};
DEFINE_TYPES(sysbus_types)
