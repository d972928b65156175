/*
 * What every form of the local APIC shares: its registers, how they travel, their reset.
 *
 * Who counts and who delivers differs: this program (hw/intc/apic.c) or the kernel
 * (hw/i386/kvm/apic.c). BQL throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_INTC_APIC_COMMON_H
#define HW_INTC_APIC_COMMON_H

#include "hw/qdev-core.h"
#include "qemu/timer.h"
#include "target/i386/cpu.h"

#define TYPE_APIC_COMMON "apic-common"
OBJECT_DECLARE_TYPE(APICCommonState, APICCommonClass, APIC_COMMON)

/* Offsets in the register page; of sets and of the local vector table, of the first. */
enum {
    APIC_REG_ID = 0x20, APIC_REG_VERSION = 0x30, APIC_REG_TPR = 0x80, APIC_REG_APR = 0x90,
    APIC_REG_PPR = 0xa0, APIC_REG_EOI = 0xb0, APIC_REG_LDR = 0xd0, APIC_REG_DFR = 0xe0,
    APIC_REG_SVR = 0xf0, APIC_REG_ISR = 0x100, APIC_REG_TMR = 0x180, APIC_REG_IRR = 0x200,
    APIC_REG_ESR = 0x280, APIC_REG_ICR = 0x300, APIC_REG_ICR2 = 0x310, APIC_REG_LVT = 0x320,
    APIC_REG_TMICT = 0x380, APIC_REG_TMCCT = 0x390, APIC_REG_TDCR = 0x3e0,
};

/* The local vector table. */
enum {
    APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERFORM, APIC_LVT_LINT0, APIC_LVT_LINT1,
    APIC_LVT_ERROR, APIC_NR_LVT,
};

#define APIC_LVT_MASKED   (1u << 16)
#define APIC_LVT_PERIODIC (1u << 17)

struct APICCommonState {
    DeviceState parent_obj;

    X86CPU *cpu;
    uint32_t initial_id;
    QEMUTimer *timer;                   /* NULL where the kernel counts */

    /* As it travels. */
    uint32_t apicbase;
    uint8_t id, arb_id, tpr;
    uint32_t spurious_vec;
    uint8_t log_dest, dest_mode;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[APIC_NR_LVT];
    uint32_t esr;
    uint32_t icr[2];
    uint32_t divide_conf;
    int32_t count_shift;                /* the timer counts every 2^count_shift ns */
    uint32_t initial_count;
    int64_t initial_count_load_time;    /* virtual clock, ns: when it began to count from there */
    int64_t next_time;
    int64_t timer_expiry;               /* -1: it does not run */
    int64_t timer_put_at;       /* machine's time when the kernel was given the timer; -1: never */
    int32_t sipi_vector, wait_for_sipi;
};

/**
 * APICCommonClass: any hook may be NULL.
 * @realize: make what the form needs; before the state is registered and reset.
 * @unrealize: undo that; after the state is unregistered.
 * @init_done: the registers have just gone back to where INIT puts them.
 * @post_load: the registers have just been loaded.
 */
struct APICCommonClass {
    DeviceClass parent_class;

    void (*realize)(APICCommonState *s);
    void (*unrealize)(APICCommonState *s);
    void (*init_done)(APICCommonState *s);
    void (*post_load)(APICCommonState *s);
};

/**
 * The local APIC of @cpu, of QOM type @type, realized: it becomes the CPU's child "lapic" and its
 * apic_state. The first one brings "kvmvapic" along.
 */
DeviceState *apic_common_create(const char *type, X86CPU *cpu);

/** What INIT does: everything but the ids and the base address goes back to its begin. */
void apic_common_init(APICCommonState *s);

/** The count_shift that the divider register's value @divide_conf means. */
int apic_common_count_shift(uint32_t divide_conf);

/** What the timer's current count register shows now. */
uint32_t apic_common_timer_count(const APICCommonState *s);

#endif
