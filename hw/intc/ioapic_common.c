/*
 * I/O APICs, whoever does their work: section "ioapic" and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/intc/ioapic_common.h"

static int ioapic_pre_save(void *opaque)
{
    IOAPICCommonClass *k = IOAPIC_COMMON_GET_CLASS(opaque);

    return k->pre_save ? k->pre_save(opaque) : 0;
}

static int ioapic_post_load(void *opaque, int version_id)
{
    IOAPICCommonClass *k = IOAPIC_COMMON_GET_CLASS(opaque);

    return k->post_load ? k->post_load(opaque) : 0;
}

const VMStateDescription vmstate_ioapic_common = {
    .name = "ioapic",
    .version_id = 3,
    .minimum_version_id = 1,
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(id, IOAPICCommonState),
        VMSTATE_UINT8(ioregsel, IOAPICCommonState),
        VMSTATE_UNUSED_V(2, 8),
        VMSTATE_UINT32_V(irr, IOAPICCommonState, 2),
        VMSTATE_UINT64_ARRAY(ioredtbl, IOAPICCommonState, IOAPIC_NUM_PINS),
        VMSTATE_END_OF_LIST()
    },
};

void ioapic_common_reset(DeviceState *dev)
{
    IOAPICCommonState *s = IOAPIC_COMMON(dev);

    s->id = s->ioregsel = 0;
    s->irr = 0;
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        s->ioredtbl[i] = IOAPIC_ENTRY_MASKED;
    }
}

static void ioapic_common_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    device_class_set_legacy_reset(dc, ioapic_common_reset);
    dc->user_creatable = false;
}

static const TypeInfo ioapic_common_types[] = {
    {
        .name = TYPE_IOAPIC_COMMON,
        .parent = TYPE_SYS_BUS_DEVICE,
        .abstract = true,
        .instance_size = sizeof(IOAPICCommonState),
        .class_size = sizeof(IOAPICCommonClass),
        .class_init = ioapic_common_class_init,
    },
};
DEFINE_TYPES(ioapic_common_types)
