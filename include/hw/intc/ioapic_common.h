/*
 * What both forms of the I/O APIC share: this program's (hw/intc/ioapic.c) and the kernel's
 * (hw/i386/kvm/irqchip.c). BQL throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_INTC_IOAPIC_COMMON_H
#define HW_INTC_IOAPIC_COMMON_H

#include "hw/i386/apic.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"

#define TYPE_IOAPIC_COMMON "ioapic-common"
OBJECT_DECLARE_TYPE(IOAPICCommonState, IOAPICCommonClass, IOAPIC_COMMON)

#define IOAPIC_ENTRY_MASKED (1ull << 16)

struct IOAPICCommonState {
    SysBusDevice parent_obj;

    MemoryRegion mmio;                      /* unused where the kernel has it */

    /* As it travels. */
    uint8_t id, ioregsel;
    uint32_t irr;                           /* lines that are up, or edges not sent yet */
    uint64_t ioredtbl[IOAPIC_NUM_PINS];
};

/**
 * IOAPICCommonClass: any hook may be NULL; they return 0, or a negative errno to fail.
 * @pre_save: bring the state up to date.
 * @post_load: the state has just been loaded.
 */
struct IOAPICCommonClass {
    SysBusDeviceClass parent_class;

    int (*pre_save)(IOAPICCommonState *s);
    int (*post_load)(IOAPICCommonState *s);
};

/** Section "ioapic": the vmsd of every form, not of the abstract class, which is no section. */
extern const VMStateDescription vmstate_ioapic_common;

/** The reset of the class: all pins masked. A form that sets its own calls it first. */
void ioapic_common_reset(DeviceState *dev);

#endif
