/*
 * The event device of ACPI machines without fixed hardware.
 *
 * An event sets its bit and pulses the interrupt; the guest's tables read the bits, which clears
 * them. Memory hot-plug, whose registers guests of this kind may have elsewhere, is not offered
 * here, but its selector is part of the section.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/acpi_dev_interface.h"
#include "hw/acpi/generic_event_device.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "system/address-spaces.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(AcpiGedState, ACPI_GED)

typedef struct GEDState {
    uint32_t sel;               /* events that nobody has read yet */
} GEDState;

/* A slot for memory that is plugged in.  No machine here has any: there are none in the stream. */
typedef struct MemHotplugSlot {
    bool is_enabled, is_inserting;
    uint32_t ost_event, ost_status;
} MemHotplugSlot;

typedef struct MemHotplugState {
    uint32_t selector;
    uint32_t dev_count;
    MemHotplugSlot *devs;
} MemHotplugState;

struct AcpiGedState {
    SysBusDevice parent_obj;

    MemoryRegion events, regs;
    qemu_irq irq;
    Notifier powerdown;
    uint32_t ged_event_bitmap;  /* events that this machine knows */

    GEDState ged_state;
    MemHotplugState memhp_state;
};

static void raise_event(AcpiGedState *s, uint32_t event)
{
    if (s->ged_event_bitmap & event) {
        s->ged_state.sel |= event;
        qemu_irq_pulse(s->irq);
    }
}

static void on_powerdown(Notifier *n, void *opaque)
{
    raise_event(container_of(n, AcpiGedState, powerdown), ACPI_GED_PWR_DOWN_EVT);
}

/* -- Registers --------------------------------------------------------------------------------- */

static uint64_t events_read(void *opaque, hwaddr addr, unsigned size)
{
    AcpiGedState *s = opaque;
    uint32_t sel = s->ged_state.sel;

    s->ged_state.sel = 0;
    return sel;
}

static void nothing_written(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
}

static const MemoryRegionOps events_ops = {
    .read = events_read,
    .write = nothing_written,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
};

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static void regs_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    switch (addr) {
    case ACPI_GED_REG_SLEEP_CTL:
        if (value & ACPI_GED_SLP_EN
            && (value >> ACPI_GED_SLP_TYP_SHIFT & 7) == ACPI_GED_SLP_TYP_S5) {
            qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        }
        break;
    case ACPI_GED_REG_RESET:
        if (value == ACPI_GED_RESET_VALUE) {
            qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        }
        break;
    }
}

static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 1 },
};

/* -- State ------------------------------------------------------------------------------------- */

static const VMStateDescription vmstate_ged_state = {
    .name = "acpi-ged-state",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(sel, GEDState),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_memhp_slot = {
    .name = "memory hotplug device state",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(is_enabled, MemHotplugSlot),
        VMSTATE_BOOL(is_inserting, MemHotplugSlot),
        VMSTATE_UINT32(ost_event, MemHotplugSlot),
        VMSTATE_UINT32(ost_status, MemHotplugSlot),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_memhp_state = {
    .name = "memory hotplug state",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(selector, MemHotplugState),
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(devs, MemHotplugState, dev_count, vmstate_memhp_slot,
                                             MemHotplugSlot),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_memhp = {
    .name = "acpi-ged/memhp",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(memhp_state, AcpiGedState, 1, vmstate_memhp_state, MemHotplugState),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_acpi_ged = {
    .name = "acpi-ged",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(ged_state, AcpiGedState, 1, vmstate_ged_state, GEDState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_memhp, NULL },
};

static void ged_reset(DeviceState *dev)
{
    AcpiGedState *s = ACPI_GED(dev);

    s->ged_state.sel = 0;
    s->memhp_state.selector = 0;
}

/* -- The device -------------------------------------------------------------------------------- */

static void ged_realize(DeviceState *dev, Error **errp)
{
    AcpiGedState *s = ACPI_GED(dev);
    uint32_t known = ACPI_GED_PWR_DOWN_EVT;

    if (s->ged_event_bitmap & ~known) {
        error_setg(errp, "acpi-ged: ged-event=0x%" PRIx32 ": only 0x%" PRIx32 " (power button) can "
                   "happen here", s->ged_event_bitmap, known);
        return;
    }
    memory_region_init_io(&s->events, OBJECT(s), &events_ops, s, TYPE_ACPI_GED,
                          ACPI_GED_EVT_SEL_LEN);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->events);
    memory_region_init_io(&s->regs, OBJECT(s), &regs_ops, s, TYPE_ACPI_GED "-regs",
                          ACPI_GED_REG_COUNT);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->regs);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    s->powerdown.notify = on_powerdown;
    qemu_register_powerdown_notifier(&s->powerdown);
}

static void ged_unrealize(DeviceState *dev)
{
    notifier_remove(&ACPI_GED(dev)->powerdown);
}

static const Property ged_properties[] = {
    DEFINE_PROP_UINT32("ged-event", AcpiGedState, ged_event_bitmap, 0),
};

static void ged_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "ACPI Generic Event Device";
    dc->realize = ged_realize;
    dc->unrealize = ged_unrealize;
    dc->vmsd = &vmstate_acpi_ged;
    dc->user_creatable = false;
    device_class_set_props(dc, ged_properties);
    device_class_set_legacy_reset(dc, ged_reset);
}

DeviceState *acpi_ged_create(uint64_t events, uint64_t regs, qemu_irq irq)
{
    DeviceState *dev = qdev_new(TYPE_ACPI_GED);

    qdev_prop_set_uint32(dev, "ged-event", ACPI_GED_PWR_DOWN_EVT);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, events);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 1, regs);
    sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, irq);
    return dev;
}

static const TypeInfo ged_types[] = {
    {
        .name = TYPE_ACPI_GED,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(AcpiGedState),
        .class_init = ged_class_init,
        .interfaces = (InterfaceInfo[]) {
            { TYPE_ACPI_DEVICE_IF },
            { NULL },
        },
    },
};
DEFINE_TYPES(ged_types)
