/*
 * PICs, whoever does their work: section "i8259" and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/intc/i8259_common.h"

static bool ltim_needed(void *opaque)
{
    PICCommonState *s = opaque;

    return s->ltim;
}

/* Level triggering of all lines: KVM's has no such mode, other machines' state may. */
static const VMStateDescription vmstate_pic_ltim = {
    .name = "i8259/ltim",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = ltim_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(ltim, PICCommonState),
        VMSTATE_END_OF_LIST()
    },
};

static int pic_pre_save(void *opaque)
{
    PICCommonClass *k = PIC_COMMON_GET_CLASS(opaque);

    return k->pre_save ? k->pre_save(opaque) : 0;
}

static int pic_post_load(void *opaque, int version_id)
{
    PICCommonClass *k = PIC_COMMON_GET_CLASS(opaque);

    return k->post_load ? k->post_load(opaque) : 0;
}

const VMStateDescription vmstate_pic_common = {
    .name = "i8259",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pic_pre_save,
    .post_load = pic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(last_irr, PICCommonState),
        VMSTATE_UINT8(irr, PICCommonState),
        VMSTATE_UINT8(imr, PICCommonState),
        VMSTATE_UINT8(isr, PICCommonState),
        VMSTATE_UINT8(priority_add, PICCommonState),
        VMSTATE_UINT8(irq_base, PICCommonState),
        VMSTATE_UINT8(read_reg_select, PICCommonState),
        VMSTATE_UINT8(poll, PICCommonState),
        VMSTATE_UINT8(special_mask, PICCommonState),
        VMSTATE_UINT8(init_state, PICCommonState),
        VMSTATE_UINT8(auto_eoi, PICCommonState),
        VMSTATE_UINT8(rotate_on_auto_eoi, PICCommonState),
        VMSTATE_UINT8(special_fully_nested_mode, PICCommonState),
        VMSTATE_UINT8(init4, PICCommonState),
        VMSTATE_UINT8(single_mode, PICCommonState),
        VMSTATE_UINT8(elcr, PICCommonState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_pic_ltim, NULL },
};

void pic_common_init(PICCommonState *s)
{
    s->last_irr = 0;
    s->irr &= s->elcr;          /* levels are still there */
    s->imr = s->isr = s->priority_add = s->irq_base = s->read_reg_select = s->poll = 0;
    s->special_mask = s->init_state = s->auto_eoi = s->rotate_on_auto_eoi = 0;
    s->special_fully_nested_mode = s->init4 = s->single_mode = s->ltim = 0;
}

void pic_common_reset(PICCommonState *s)
{
    s->elcr = 0;
    pic_common_init(s);
}

PICCommonState *pic_common_create(const char *type, bool second)
{
    DeviceState *dev = qdev_new(type);
    PICCommonState *s = PIC_COMMON(dev);

    s->master = !second;
    s->elcr_mask = second ? 0xde : 0xf8;
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    return s;
}

static void pic_common_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->user_creatable = false;
}

static const TypeInfo pic_common_types[] = {
    {
        .name = TYPE_PIC_COMMON,
        .parent = TYPE_SYS_BUS_DEVICE,
        .abstract = true,
        .instance_size = sizeof(PICCommonState),
        .class_size = sizeof(PICCommonClass),
        .class_init = pic_common_class_init,
    },
};
DEFINE_TYPES(pic_common_types)
