/*
 * The ISA bus of a PC: sixteen interrupt lines, and ports in the I/O address space.
 *
 * There is one at most, and it exists where a machine made it (isa_bus_create()).
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_ISA_ISA_H
#define HW_ISA_ISA_H

#include "hw/irq.h"
#include "hw/qdev-core.h"
#include "system/memory.h"

#define TYPE_ISA_BUS "ISA"
OBJECT_DECLARE_SIMPLE_TYPE(ISABus, ISA_BUS)
#define TYPE_ISA_DEVICE "isa-device"
OBJECT_DECLARE_SIMPLE_TYPE(ISADevice, ISA_DEVICE)

#define ISA_BUS_IRQS 16

struct ISABus {
    BusState parent_obj;

    qemu_irq *irqs;             /* ISA_BUS_IRQS lines; the machine's */
};

struct ISADevice {
    DeviceState parent_obj;
};

/* The bus "isa.0" with its bridge. @irqs: ISA_BUS_IRQS lines, which must outlive it. */
ISABus *isa_bus_create(qemu_irq *irqs);
ISABus *isa_bus_from_device(ISADevice *dev);
/* Line @n of the bus that @dev sits on. */
qemu_irq isa_get_irq(ISADevice *dev, unsigned n);
/*
 * Put @region at port @start. False and an error if it would reach beyond the last port. For
 * realize functions.
 */
bool isa_register_ioport(ISADevice *dev, MemoryRegion *region, uint32_t start, Error **errp);

#endif
