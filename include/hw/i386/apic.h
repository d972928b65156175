/*
 * Local and I/O APICs, PICs and interval timer in this program: for accelerators that do not bring
 * their own (TCG, qtest), and for kernel-irqchip=off.
 *
 * BQL throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_APIC_H
#define HW_I386_APIC_H

#include "hw/qdev-core.h"

struct X86CPU;

#define TYPE_APIC   "apic"
#define TYPE_IOAPIC "ioapic"
#define TYPE_I8259  "isa-i8259"
#define TYPE_I8254  "isa-pit"

#define IOAPIC_NUM_PINS 24
#define ISA_NUM_IRQS    16

#define APIC_DM_FIXED  0
#define APIC_DM_LOWPRI 1
#define APIC_DM_SMI    2
#define APIC_DM_NMI    4
#define APIC_DM_INIT   5
#define APIC_DM_SIPI   6
#define APIC_DM_EXTINT 7

#define APIC_TRIGGER_EDGE  0
#define APIC_TRIGGER_LEVEL 1

/* ---- for machines ---- */

/**
 * The local APIC of @cpu, which becomes its child "lapic" and its apic_state; section "apic".
 * After the CPU's index and apic_id are known. The first one also makes the register page at
 * 0xfee00000.
 */
DeviceState *apic_create(struct X86CPU *cpu);

/** An I/O APIC at @addr, section "ioapic"; its GPIO inputs are the pins. */
DeviceState *ioapic_create(uint64_t addr);

/**
 * Both PICs, sections "i8259" 0 and 1, at their ports; their GPIO inputs: the first's are lines 0
 * to 7.
 */
void i8259_create(void);

/** The interval timer at port 0x40, section "i8254", on line @irq. */
DeviceState *i8254_create(qemu_irq irq);

/** @gsi with @n lines grown by those of @second, a second I/O APIC. */
qemu_irq *soft_gsi_extend(qemu_irq *gsi, int n, DeviceState *second);

/**
 * @n lines, numbered from 0, that lead to the PICs (if there are any; lines below 16) and to
 * @ioapic (may be NULL): what a machine connects its devices to.
 */
qemu_irq *soft_gsi_allocate(DeviceState *ioapic, int n);

/** There is firmware, which programs LINT0 for itself: after a reset nothing comes in there. */
extern bool apic_firmware_wires_pic;

/* ---- between CPU and APIC ---- */

uint64_t cpu_get_apic_base(DeviceState *apic);
void cpu_set_apic_base(DeviceState *apic, uint64_t value);
uint8_t cpu_get_apic_tpr(DeviceState *apic);
void cpu_set_apic_tpr(DeviceState *apic, uint8_t value);

/* ---- among the controllers ---- */

/** An interrupt message on the bus, to whom it concerns. @logical: @dest is a set, not an id. */
void apic_deliver(uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level);
/** A device's write of @data to @addr within 0xfee00000 to 0xfeefffff. */
void apic_deliver_msi(uint64_t addr, uint32_t data);
/** An interrupt that came by level has been handled. */
void ioapic_eoi_broadcast(uint8_t vector);
/** Add the vectors of whose end a pin waits to @set, of 256 bits. False: there is none. */
bool ioapic_waiting_vectors(uint32_t *set);
/**
 * What carries the I/O APICs' messages to local APICs that are not ours. NULL: to ours.
 * @tells_eoi: ioapic_eoi_broadcast() will be called; otherwise what comes by level is sent once.
 * @entries_changed: the @n-th I/O APIC has new redirection entries (may be NULL).
 */
typedef struct IOAPICBus {
    void (*deliver)(uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level);
    bool tells_eoi;
    void (*entries_changed)(unsigned n, const uint64_t *entries);
} IOAPICBus;
extern const IOAPICBus *ioapic_bus;
/** The PICs' output, where the CPUs' local APICs are not ours: to whom it leads; else NULL. */
extern void (*apic_pic_wire)(bool level);
/** The PICs' output changed. */
void apic_pic_output(bool level);
/** What the PICs want delivered; acknowledges it. */
uint8_t pic_read_irq(void);
bool pic_output_is_high(void);

#endif
