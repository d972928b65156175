/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hopping guest: what its C and assembly parts share. Long mode only.
 *
 * A vCPU has two areas, one that GS points to at level 3 and one for level 0 (SWAPGS changes
 * between them); both begin alike, so that the round in which all registers hold patterns is one
 * piece of code for either level.
 */
#ifndef TESTS_GUEST_HOP_H
#define TESTS_GUEST_HOP_H

#include "guest.h"

/* Offsets into struct area, for assembly. */
#define AREA_INDEX      0x00
#define AREA_STACK      0x08        /* top of the level 0 stack */
#define AREA_USER_STACK 0x10        /* level 3's stack while at level 0 */
#define AREA_SPIN       0x18
#define AREA_KEPT_STACK 0x20
#define AREA_VECTORS    0x28        /* enum vectors */
#define AREA_MASK       0x30        /* of the register sets in use: k0-k7 come with AVX-512 */
#define AREA_GPR_IN     0x40
#define AREA_GPR_OUT    0xc0
#define AREA_K_IN       0x140
#define AREA_K_OUT      0x180
#define AREA_FX_IN      0x200
#define AREA_FX_OUT     0x400
#define AREA_VEC_IN     0x600       /* 32 registers of 64 bytes */
#define AREA_VEC_OUT    0xe00
#define AREA_SIZE       0x1600

#define VECTORS_NONE 0              /* level 0: general registers alone, and RSP stays a stack */
#define VECTORS_SSE  1
#define VECTORS_AVX  2
#define VECTORS_AVX512 3

#define SEL_LDT 0x48                /* 0x40 is the data that SYSCALL takes, behind its code */
#define SEL_TSS 0x58
#define GDT_ENTRIES 27              /* up to TSS descriptors of two entries for each vCPU */

#define IRQ_PIC0   0x20             /* sixteen of them */
#define IRQ_TIMER  0x40
#define IRQ_SERIAL 0x44
#define IRQ_PIT    0x45
#define IRQ_RTC    0x46
#define IRQ_IPI    0x50
#define IRQ_CALL   0x80
#define IRQ_SPURIOUS 0xff

#define MAX_HOP_VCPUS 8
#define STACK0_SIZE 8192

#ifndef __ASSEMBLER__

struct area {
    u64 index;
    u64 stack;
    u64 user_stack;
    u64 spin;
    u64 kept_stack;
    u64 vectors;
    u64 mask;
    u64 pad;
    u64 gpr_in[16], gpr_out[16];
    u64 k_in[8], k_out[8];
    u64 pad2[8];
    u8 fx_in[512] __attribute__((aligned(64)));
    u8 fx_out[512];
    u64 vec_in[32][8] __attribute__((aligned(64)));
    u64 vec_out[32][8];
};
_Static_assert(__builtin_offsetof(struct area, gpr_in) == AREA_GPR_IN, "layout");
_Static_assert(__builtin_offsetof(struct area, k_in) == AREA_K_IN, "layout");
_Static_assert(__builtin_offsetof(struct area, fx_in) == AREA_FX_IN, "layout");
_Static_assert(__builtin_offsetof(struct area, vec_in) == AREA_VEC_IN, "layout");
_Static_assert(__builtin_offsetof(struct area, vec_out) == AREA_VEC_OUT, "layout");
_Static_assert(sizeof(struct area) == AREA_SIZE, "layout");

/* What an interrupt or exception leaves on the level 0 stack. */
struct frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, error, rip, cs, flags, rsp, ss;
};

#define MAX_MSRS 96
struct msr_value {
    u32 number;
    u32 pad;
    u64 value;
};

/* One vCPU. Written by it alone, but for what says otherwise. */
struct hop {
    struct area area[2];            /* level 0, level 3 */
    u8 stack0[STACK0_SIZE] __attribute__((aligned(64)));
    u32 index;
    volatile u32 running;
    u64 tss_base;
    u64 turns;
    u64 spin;                       /* of a round at level 3 */
    u32 fs_cell;
    volatile u32 no_syscall, no_int;        /* those do not work here */
    /* interrupts, counted */
    volatile u64 ticks, tick_last, tick_first;
    volatile u64 level3_ticks;
    volatile u64 ipi_sent, ipi_sent_at;
    volatile u64 ipi_got;           /* from the vCPU before this one */
    volatile u64 traps;             /* by the debug registers */
    u64 traps_expected;
    u32 watch;                      /* they are in use */
    /* clocks */
    u64 tsc_last;
    u64 segments;                   /* DS and ES as level 3 saw them first */
    u64 clock_last, clock_tsc;
    u32 clock_on;
    /* memory */
    u32 first_page, pages, at, round;
    /* machine state that must stay */
    u64 cr0, cr3, cr4, cr8, xcr0, xcr0_seen, dr[8];
    struct msr_value msr[MAX_MSRS];
    u32 msrs, msr_next;
    u32 lapic[16];
    u64 fs_cells[16] __attribute__((aligned(64)));
    u8 *clock, *steal;              /* where KVM writes: in the page at GUEST_CONTROL */
    volatile u32 canary;
};

struct options {
    u32 vcpus, every, tick, memory, pages, jump, dead, span, avx, clock, cpuid, seed;
    u32 pit, pit_hz, rtc, serial;
    char fault[16];
    u32 fault_at;
};
enum via { VIA_NONE, VIA_PIC, VIA_IOAPIC };

extern struct hop hops[MAX_HOP_VCPUS];
extern struct options option;
extern u32 khz;                     /* of the TSC */
extern volatile u32 stopped;

/* hop.c */
void fail(struct hop *h, const char *what, u64 where, u64 expected, u64 found)
    __attribute__((noreturn));
/* Whether the fault of that name is to be put in now; once. */
int fault(const char *name);

/* hop-irq.c */
void lapic_start(struct hop *h);
void lapic_check(struct hop *h);
void lapic_ipi(u32 vcpu, u32 vector);
u32 lapic_calibrate(void);
void irq_start(void);
int irq_interrupt(struct hop *h, u32 vector);
void irq_check(struct hop *h);
void irq_fault(void);
void serial_kick(void);
u32 serial_free(void);
void serial_put(char c);
extern volatile u64 pit_ticks, rtc_ticks, serial_rx, serial_tx;
extern u64 rtc_seconds;

/* hop-state.c */
void state_start(struct hop *h);
void state_check(struct hop *h);
void state_fault(struct hop *h);
void cpuid_check(struct hop *h);
void clock_check(struct hop *h, u64 tsc);
u64 clock_read(struct hop *h);

/* hop-regs.S */
void hop_registers(void);           /* with GS at an area */
void hop_level3(void (*function)(struct hop *), struct hop *h, u64 stack)
    __attribute__((noreturn));
void hop_call_syscall(void);
void hop_call_int(void);
void hop_call_ud(void);
int msr_read(u32 number, u64 *value);       /* false where it faults */
int msr_write(u32 number, u64 value);
extern u8 interrupt_entries[];              /* 16 bytes each */
extern u8 syscall_entry[];
extern u64 gdt[];

#endif
#endif
