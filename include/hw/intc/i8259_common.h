/*
 * What both forms of a PIC share: this program's (hw/intc/i8259.c) and the kernel's
 * (hw/i386/kvm/irqchip.c). BQL throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_INTC_I8259_COMMON_H
#define HW_INTC_I8259_COMMON_H

#include "hw/sysbus.h"
#include "migration/vmstate.h"

#define TYPE_PIC_COMMON "pic-common"
OBJECT_DECLARE_TYPE(PICCommonState, PICCommonClass, PIC_COMMON)

struct PICCommonState {
    SysBusDevice parent_obj;

    bool master;
    uint8_t elcr_mask;          /* lines that may be level triggered */

    /* Unused where the kernel has it. */
    MemoryRegion ports, elcr_port;
    bool output;

    /* As it travels. */
    uint8_t last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll, special_mask;
    uint8_t init_state, auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4, single_mode;
    uint8_t elcr, ltim;
};

/**
 * PICCommonClass: any hook may be NULL; they return 0, or a negative errno to fail.
 * @pre_save: bring the state up to date.
 * @post_load: the state has just been loaded.
 */
struct PICCommonClass {
    SysBusDeviceClass parent_class;

    int (*pre_save)(PICCommonState *s);
    int (*post_load)(PICCommonState *s);
};

/** Section "i8259": the vmsd of every form, not of the abstract class, which is no section. */
extern const VMStateDescription vmstate_pic_common;

/** The first (@second false) or the second PIC of a PC, of QOM type @type, realized. */
PICCommonState *pic_common_create(const char *type, bool second);

/** What the first word of initialisation does to the registers. */
void pic_common_init(PICCommonState *s);

/** All registers as after power on. */
void pic_common_reset(PICCommonState *s);

#endif
