/*
 * The TCG accelerator's own interfaces. TCG here is libunicorn: one engine (uc_engine) a vCPU, of
 * which one executes at a time.
 *
 *   tcg-all.c        the accelerator's class and options
 *   tcg-accel-ops.c  vCPU threads, whose turn it is, kicks
 *   tcg-engine.c     an engine's life: memory map, ports, hooks, one stretch of guest code
 *   tcg-layout.c     where libunicorn keeps what its interface does not show
 *   tcg-regs.c       registers between CPUX86State and the engine
 *   tcg-event.c      exceptions, interrupts and system calls, which the library leaves to us
 *   tcg-dirty.c      dirty tracking
 *
 * Locking: an engine is touched by its vCPU's thread alone. The memory layout and options belong
 * to the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef ACCEL_TCG_INTERNAL_H
#define ACCEL_TCG_INTERNAL_H

#include <unicorn/unicorn.h>
#include "hw/core/cpu.h"
#include "system/memory.h"
#include "system/tcg.h"
#include "target/i386/cpu.h"

/* Bits of TCGVcpu.attention: what the hook at the begin of each block of code has to look after. */
#define ATT_KICK  1u    /* leave guest code */
#define ATT_YIELD 2u    /* another vCPU has waited long enough for its turn */
#define ATT_IRQ   4u    /* leave once the guest accepts interrupts */

/* How a stretch of guest code ended. */
typedef enum TCGExit {
    TCG_EXIT_STOP,      /* somebody wanted the vCPU's attention */
    TCG_EXIT_HALT,      /* HLT */
    TCG_EXIT_EXCEPTION, /* vector in TCGVcpu.vector */
    TCG_EXIT_SYSCALL,
    TCG_EXIT_SYSENTER,
    TCG_EXIT_ERROR,     /* the library can't go on; the reason has been reported */
} TCGExit;

typedef struct TCGWindow TCGWindow;

typedef struct TCGVcpu {
    CPUState *cpu;
    uc_engine *uc;              /* NULL: to be made anew before the guest runs */
    uc_context *context;        /* scratch copy of the engine's state, sized for it */
    unsigned attention;         /* ATT_*; atomic */
    bool flush_code;            /* translations may be stale: the host wrote memory. BQL */
    bool set_tsc;               /* the time stamp counter was moved. BQL */
    unsigned map_generation;    /* of the layout that the engine has */
    GArray *windows;            /* of TCGWindow *: what callbacks of the engine refer to */

    /* Of the stretch that runs or has just run. */
    bool stopped;               /* a hook ended it */
    TCGExit why;
    uint32_t vector;
    bool pass;                  /* the next block runs, whatever attention says */
    uint64_t blocks;

    /* Write hooks, when they are what tracks dirty pages. */
    bool write_hooks;
    uc_hook write_hook;
    const struct TCGRam *last_ram; /* where the last write went: the next one usually does, too */
} TCGVcpu;

static inline TCGVcpu *tcg_vcpu(CPUState *cpu)
{
    return cpu->accel;
}

/* ---- tcg-layout.c ---- */

/* Offsets from the start of a saved uc_context. */
typedef struct TCGLayout {
    size_t regs, eip;
    size_t segs;                /* six, then LDT, TR, GDT, IDT: struct TCGSegment each */
    size_t hflags, hflags2;
    size_t efer;
    size_t error_code, exception_is_int; /* of the last exception */
    size_t old_exception;       /* what it takes a second exception to be nested in */
    size_t tsc_offset;          /* 0: not known */
    bool translates;            /* does paging work for other than one-to-one mappings? */
} TCGLayout;

typedef struct TCGSegment {
    uint32_t selector;
    uint64_t base;
    uint32_t limit;
    uint32_t flags;
} TCGSegment;

extern TCGLayout tcg_layout;

/* Find and check everything, with an engine of its own. Once. */
bool tcg_layout_probe(Error **errp);

static inline void *tcg_context_at(TCGVcpu *v, size_t offset)
{
    return (char *)v->context + offset;
}

/* ---- tcg-engine.c ---- */

/* RAM as engines map it. */
typedef struct TCGRam {
    uint64_t addr, size;
    uint8_t *host;
    RAMBlock *rb;
    uint64_t offset;            /* of host in rb */
    bool readonly;
} TCGRam;

void tcg_memory_init(void);     /* follow the layout of address_space_memory */
const TCGRam *tcg_ram_at(uint64_t addr);

bool tcg_engine_open(TCGVcpu *v, Error **errp);
void tcg_engine_close(TCGVcpu *v);
/* Bring map and translations up to date. vCPU thread, BQL. */
bool tcg_engine_prepare(TCGVcpu *v, Error **errp);
/* Execute until something ends it. vCPU thread, without the BQL. */
TCGExit tcg_engine_run(TCGVcpu *v);
/* Host-side writes changed memory: every vCPU forgets its translations before it goes on. BQL. */
void tcg_flush_code(void);

/* ---- tcg-regs.c ---- */

/* All registers / those that events change. vCPU thread, while the engine does not run. */
void tcg_get_registers(TCGVcpu *v);
void tcg_put_registers(TCGVcpu *v);
void tcg_get_event_registers(TCGVcpu *v);
void tcg_put_event_registers(TCGVcpu *v);
uint64_t tcg_reg(TCGVcpu *v, int regid);
void tcg_set_reg(TCGVcpu *v, int regid, uint64_t value);

/* ---- tcg-event.c ---- */

/* Carry out what ended the stretch. False: the machine cannot go on (said why). */
bool tcg_handle_exit(TCGVcpu *v, TCGExit why);
/*
 * Take a pending interrupt, NMI or start-up request. BQL. Registers are wherever cpu->vcpu_dirty
 * says. Returns false when the vCPU has nothing to execute.
 */
bool tcg_handle_interrupts(TCGVcpu *v);
/* Linear to physical; false where nothing is mapped. Uses env->cr, efer. */
bool tcg_translate(CPUX86State *env, uint64_t addr, uint64_t *phys);

/* ---- tcg-dirty.c ---- */

typedef enum TCGDirtyTracking {
    TCG_DIRTY_AUTO,
    TCG_DIRTY_WP_ASYNC,
    TCG_DIRTY_HOOKS,
} TCGDirtyTracking;

extern TCGDirtyTracking tcg_dirty_tracking;

bool tcg_dirty_init(Error **errp);
bool tcg_dirty_log_global_start(MemoryListener *listener, Error **errp);
void tcg_dirty_log_global_stop(MemoryListener *listener);
void tcg_dirty_log_sync_global(MemoryListener *listener, bool last_stage);
/* Give the engine the write hook, or take it away, as is wanted now. vCPU thread. */
void tcg_dirty_update_hooks(TCGVcpu *v);

#endif
