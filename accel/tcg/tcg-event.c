/*
 * Exceptions, interrupts and system calls under TCG.
 *
 * libunicorn ends a stretch of guest code at each of these and leaves the rest to its user; so
 * taking the guest through its interrupt table, in real, protected and long mode, is done here, on
 * CPUX86State. Task gates and virtual-8086 mode are not known: a guest that uses them is reset as
 * by a triple fault.
 *
 * Relies on the event registers being in step with the engine before and after (tcg-regs.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qemu/error-report.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/runstate.h"

#define EXC_DB 1
#define EXC_NMI 2
#define EXC_BP 3
#define EXC_OF 4
#define EXC_UD 6
#define EXC_DF 8
#define EXC_TS 10
#define EXC_NP 11
#define EXC_SS 12
#define EXC_GP 13
#define EXC_PF 14

#define NT_MASK 0x4000u

/* What goes wrong while an event is delivered is an event itself. */
typedef struct Fault {
    int vector;                 /* -1: none */
    uint32_t code;
} Fault;

typedef struct Event {
    uint8_t vector;
    bool software;              /* INT n, INT3, INTO: the gate's privilege counts */
    bool external;
    bool has_code;
    uint32_t code;
} Event;

static const Fault no_fault = { .vector = -1 };

static Fault fault(int vector, uint32_t code)
{
    return (Fault) { .vector = vector, .code = code };
}

/* ---- memory as the guest addresses it ---- */

static uint64_t phys_read(uint64_t addr, unsigned size)
{
    uint64_t v = 0;

    address_space_read(&address_space_memory, addr, MEMTXATTRS_UNSPECIFIED, &v, size);
    return le64_to_cpu(v);
}

bool tcg_translate(CPUX86State *env, uint64_t addr, uint64_t *phys)
{
    bool lma = env->efer & MSR_EFER_LMA, pae = env->cr[4] & CR4_PAE_MASK;
    int bits = pae || lma ? 9 : 10;
    int shift = !(pae || lma) ? 22 : !lma ? 30 : env->cr[4] & CR4_LA57_MASK ? 48 : 39;
    unsigned size = pae || lma ? 8 : 4;
    uint64_t table = env->cr[3] & (pae && !lma ? 0xffffffe0ull : 0x000ffffffffff000ull);

    if (!(env->cr[0] & CR0_PG_MASK)) {
        *phys = lma ? addr : (uint32_t)addr;
        return true;
    }
    if (!lma) {
        addr = (uint32_t)addr;
    }
    for (;; shift -= bits) {
        uint64_t index = addr >> shift & ((1u << bits) - 1);
        uint64_t entry = phys_read(table + index * size, size);
        uint64_t within = (1ull << shift) - 1;
        bool top = pae && !lma && shift == 30; /* such entries are never pages */

        if (!(entry & 1)) {
            return false;
        }
        if (shift == 12 || (shift <= 30 && !top && entry & 0x80)) {
            uint64_t frame = entry & 0x000ffffffffff000ull;

            *phys = (frame & ~within) | (addr & within);
            if (size == 4 && shift == 22) { /* address bits above 4 GiB stand in 13 to 20 */
                *phys |= (entry >> 13 & 0xff) << 32;
            }
            return true;
        }
        table = entry & 0x000ffffffffff000ull;
    }
}

/* @len bytes, a page at a time. */
static Fault linear_rw(CPUX86State *env, uint64_t addr, void *buf, unsigned len, bool is_write)
{
    uint8_t *p = buf;

    if (!(env->efer & MSR_EFER_LMA)) {
        addr = (uint32_t)addr;
    }
    while (len) {
        unsigned part = MIN(len, TARGET_PAGE_SIZE - (addr & ~TARGET_PAGE_MASK));
        uint64_t phys;

        if (!tcg_translate(env, addr, &phys)) {
            env->cr[2] = addr;
            return fault(EXC_PF, is_write ? 2 : 0);
        }
        address_space_rw(&address_space_memory, phys, MEMTXATTRS_UNSPECIFIED, p, part, is_write);
        addr += part;
        p += part;
        len -= part;
    }
    return no_fault;
}

static Fault load(CPUX86State *env, uint64_t addr, void *out, unsigned len)
{
    return linear_rw(env, addr, out, len, false);
}

/* A stack under construction: the registers change only when all has gone well. */
typedef struct Stack {
    SegmentCache ss;
    uint64_t sp;
    unsigned width;             /* of a push, in bytes */
} Stack;

static uint64_t stack_mask(const Stack *s, bool long_mode)
{
    return long_mode ? UINT64_MAX : s->ss.flags & DESC_B_MASK ? UINT32_MAX : 0xffff;
}

static Fault push(CPUX86State *env, Stack *s, uint64_t value)
{
    bool long_mode = env->efer & MSR_EFER_LMA;
    uint64_t mask = stack_mask(s, long_mode);
    uint64_t sp = (s->sp - s->width) & mask;

    s->sp = (s->sp & ~mask) | sp;
    value = cpu_to_le64(value);
    return linear_rw(env, long_mode ? sp : s->ss.base + sp, &value, s->width, true);
}

/* ---- descriptors ---- */

static SegmentCache cache_of(uint16_t selector, uint32_t low, uint32_t high)
{
    uint32_t limit = (low & 0xffff) | (high & 0xf0000);

    return (SegmentCache) {
        .selector = selector,
        .base = low >> 16 | (high & 0xff) << 16 | (high & 0xff000000),
        .limit = high & DESC_G_MASK ? limit << 12 | 0xfff : limit,
        .flags = high & 0x00ffff00,
    };
}

/* The descriptor that @selector names; what is wrong with the selector is fault @vector. */
static Fault descriptor(CPUX86State *env, uint16_t selector, int vector, SegmentCache *out)
{
    const SegmentCache *table = selector & 4 ? &env->ldt : &env->gdt;
    uint32_t raw[2];
    Fault f;

    if ((selector & ~7u) + 7 > table->limit) {
        return fault(vector, selector & ~3u);
    }
    f = load(env, table->base + (selector & ~7u), raw, sizeof(raw));
    if (f.vector < 0) {
        *out = cache_of(selector, le32_to_cpu(raw[0]), le32_to_cpu(raw[1]));
    }
    return f;
}

static unsigned dpl_of(const SegmentCache *s)
{
    return s->flags >> DESC_DPL_SHIFT & 3;
}

static unsigned cpl(CPUX86State *env)
{
    return env->cr[0] & CR0_PE_MASK ? env->hflags & HF_CPL_MASK : 0;
}

/* The code segment of a gate; *@level becomes the privilege that the handler has. */
static Fault gate_code(CPUX86State *env, uint16_t selector, uint32_t ext, SegmentCache *cs,
                       unsigned *level)
{
    Fault f;

    if (!(selector & ~3u)) {
        return fault(EXC_GP, ext);
    }
    f = descriptor(env, selector, EXC_GP, cs);
    if (f.vector >= 0) {
        f.code |= f.vector == EXC_PF ? 0 : ext;
        return f;
    }
    if (!(cs->flags & DESC_S_MASK) || !(cs->flags & DESC_CS_MASK) || dpl_of(cs) > cpl(env)) {
        return fault(EXC_GP, (selector & ~3u) | ext);
    }
    if (!(cs->flags & DESC_P_MASK)) {
        return fault(EXC_NP, (selector & ~3u) | ext);
    }
    /* Conforming code keeps the level. */
    *level = cs->flags & (1u << 10) ? cpl(env) : dpl_of(cs);
    cs->selector = (selector & ~3u) | *level;
    return no_fault;
}

/* ---- through the table, by mode ---- */

static Fault deliver_real(CPUX86State *env, const Event *e)
{
    Stack st = { .ss = env->segs[R_SS], .sp = env->regs[R_ESP], .width = 2 };
    uint16_t entry[2];
    Fault f;

    if (e->vector * 4u + 3 > env->idt.limit) {
        return fault(EXC_GP, 0);
    }
    f = load(env, env->idt.base + e->vector * 4, entry, sizeof(entry));
    if (f.vector < 0) {
        f = push(env, &st, env->eflags);
    }
    if (f.vector < 0) {
        f = push(env, &st, env->segs[R_CS].selector);
    }
    if (f.vector < 0) {
        f = push(env, &st, env->eip);
    }
    if (f.vector >= 0) {
        return f;
    }
    env->regs[R_ESP] = st.sp;
    env->eip = le16_to_cpu(entry[0]);
    env->segs[R_CS].selector = le16_to_cpu(entry[1]);
    env->segs[R_CS].base = env->segs[R_CS].selector << 4;
    env->eflags &= ~(IF_MASK | TF_MASK | AC_MASK | RF_MASK);
    return no_fault;
}

/* Where the task state segment says that the stack of @level is. */
static Fault task_stack(CPUX86State *env, unsigned level, uint32_t ext, Stack *st)
{
    bool wide = env->tr.flags >> DESC_TYPE_SHIFT & 8;
    uint32_t at = wide ? 4 + level * 8 : 2 + level * 4;
    uint8_t raw[8];
    uint16_t selector;
    Fault f;

    if (!(env->tr.flags & DESC_P_MASK) || at + (wide ? 5 : 3) > env->tr.limit) {
        return fault(EXC_TS, (env->tr.selector & ~3u) | ext);
    }
    f = load(env, env->tr.base + at, raw, wide ? 6 : 4);
    if (f.vector >= 0) {
        return f;
    }
    selector = lduw_le_p(raw + (wide ? 4 : 2));
    if (!(selector & ~3u)) {
        return fault(EXC_TS, ext);
    }
    f = descriptor(env, selector, EXC_TS, &st->ss);
    if (f.vector >= 0) {
        return f;
    }
    if ((selector & 3) != level || dpl_of(&st->ss) != level || !(st->ss.flags & DESC_S_MASK) ||
        st->ss.flags & DESC_CS_MASK || !(st->ss.flags & DESC_W_MASK)) {
        return fault(EXC_TS, (selector & ~3u) | ext);
    }
    if (!(st->ss.flags & DESC_P_MASK)) {
        return fault(EXC_SS, (selector & ~3u) | ext);
    }
    st->sp = wide ? ldl_le_p(raw) : lduw_le_p(raw);
    return no_fault;
}

static Fault push_all(CPUX86State *env, Stack *st, const uint64_t *values, unsigned n)
{
    Fault f = no_fault;

    for (unsigned i = 0; i < n && f.vector < 0; i++) {
        f = push(env, st, values[i]);
    }
    return f;
}

static void enter_handler(CPUX86State *env, const SegmentCache *cs, uint64_t rip, const Stack *st,
                          bool mask_interrupts)
{
    env->segs[R_CS] = *cs;
    env->segs[R_SS] = st->ss;
    env->regs[R_ESP] = st->sp;
    env->eip = rip;
    env->eflags &= ~(TF_MASK | VM_MASK | RF_MASK | NT_MASK);
    if (mask_interrupts) {
        env->eflags &= ~IF_MASK;
    }
}

static Fault deliver_protected(CPUX86State *env, const Event *e)
{
    uint32_t ext = e->software ? 0 : 1, idt_code = e->vector * 8u + 2 + ext;
    Stack st = { .ss = env->segs[R_SS], .sp = env->regs[R_ESP] };
    uint64_t frame[6];
    unsigned type, level, n = 0;
    SegmentCache cs;
    uint32_t raw[2], rip;
    Fault f;

    if (env->eflags & VM_MASK) {
        error_report_once("tcg: virtual-8086 mode is not supported");
        return fault(EXC_DF, 0);
    }
    if (e->vector * 8u + 7 > env->idt.limit) {
        return fault(EXC_GP, idt_code);
    }
    f = load(env, env->idt.base + e->vector * 8, raw, sizeof(raw));
    if (f.vector >= 0) {
        return f;
    }
    raw[0] = le32_to_cpu(raw[0]);
    raw[1] = le32_to_cpu(raw[1]);
    type = raw[1] >> DESC_TYPE_SHIFT & 0x1f;
    if (type != 6 && type != 7 && type != 14 && type != 15) {
        return fault(EXC_GP, idt_code);
    }
    if (e->software && (raw[1] >> DESC_DPL_SHIFT & 3) < cpl(env)) {
        return fault(EXC_GP, idt_code);
    }
    if (!(raw[1] & DESC_P_MASK)) {
        return fault(EXC_NP, idt_code);
    }
    f = gate_code(env, raw[0] >> 16, ext, &cs, &level);
    if (f.vector >= 0) {
        return f;
    }
    st.width = type & 8 ? 4 : 2;
    rip = type & 8 ? (raw[0] & 0xffff) | (raw[1] & 0xffff0000) : raw[0] & 0xffff;
    if (level < cpl(env)) {
        f = task_stack(env, level, ext, &st);
        if (f.vector >= 0) {
            return f;
        }
        frame[n++] = env->segs[R_SS].selector;
        frame[n++] = env->regs[R_ESP];
    }
    frame[n++] = env->eflags;
    frame[n++] = env->segs[R_CS].selector;
    frame[n++] = env->eip;
    if (e->has_code) {
        frame[n++] = e->code;
    }
    f = push_all(env, &st, frame, n);
    if (f.vector < 0) {
        enter_handler(env, &cs, rip, &st, !(type & 1));
    }
    return f;
}

static Fault deliver_long(CPUX86State *env, const Event *e)
{
    uint32_t ext = e->software ? 0 : 1, idt_code = e->vector * 8u + 2 + ext;
    Stack st = { .ss = env->segs[R_SS], .sp = env->regs[R_ESP], .width = 8 };
    uint64_t frame[6];
    unsigned type, level, ist, n = 0;
    SegmentCache cs;
    uint32_t raw[4];
    uint64_t rip;
    Fault f;

    if (e->vector * 16u + 15 > env->idt.limit) {
        return fault(EXC_GP, idt_code);
    }
    f = load(env, env->idt.base + e->vector * 16, raw, sizeof(raw));
    if (f.vector >= 0) {
        return f;
    }
    for (int i = 0; i < 4; i++) {
        raw[i] = le32_to_cpu(raw[i]);
    }
    type = raw[1] >> DESC_TYPE_SHIFT & 0x1f;
    ist = raw[1] & 7;
    if (type != 14 && type != 15) {
        return fault(EXC_GP, idt_code);
    }
    if (e->software && (raw[1] >> DESC_DPL_SHIFT & 3) < cpl(env)) {
        return fault(EXC_GP, idt_code);
    }
    if (!(raw[1] & DESC_P_MASK)) {
        return fault(EXC_NP, idt_code);
    }
    f = gate_code(env, raw[0] >> 16, ext, &cs, &level);
    if (f.vector >= 0) {
        return f;
    }
    if (!(cs.flags & DESC_L_MASK) || cs.flags & DESC_B_MASK) {
        return fault(EXC_GP, (cs.selector & ~3u) | ext);
    }
    rip = (uint64_t)raw[2] << 32 | (raw[1] & 0xffff0000) | (raw[0] & 0xffff);
    if (ist || level < cpl(env)) {
        uint32_t at = ist ? 28 + ist * 8 : 4 + level * 8;
        uint64_t sp;

        if (at + 7 > env->tr.limit) {
            return fault(EXC_TS, (env->tr.selector & ~3u) | ext);
        }
        f = load(env, env->tr.base + at, &sp, sizeof(sp));
        if (f.vector >= 0) {
            return f;
        }
        st.sp = le64_to_cpu(sp);
    }
    if (level < cpl(env)) {
        st.ss = (SegmentCache) {
            .selector = level,
            .flags = DESC_P_MASK | DESC_S_MASK | DESC_W_MASK | DESC_A_MASK |
                     level << DESC_DPL_SHIFT,
        };
    }
    st.sp &= ~15ull;
    frame[n++] = env->segs[R_SS].selector;
    frame[n++] = env->regs[R_ESP];
    frame[n++] = env->eflags;
    frame[n++] = env->segs[R_CS].selector;
    frame[n++] = env->eip;
    if (e->has_code) {
        frame[n++] = e->code;
    }
    f = push_all(env, &st, frame, n);
    if (f.vector < 0) {
        enter_handler(env, &cs, rip, &st, !(type & 1));
    }
    return f;
}

static bool vector_has_code(int vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == 17;
}

static bool contributory(int vector)
{
    return vector == 0 || (vector >= EXC_TS && vector <= EXC_GP);
}

/*
 * Deliver @e, and what delivering it raises. False: a triple fault; the reset has been asked for.
 */
static bool deliver(CPUX86State *env, Event e)
{
    for (;;) {
        Fault f;

        if (env->efer & MSR_EFER_LMA) {
            f = deliver_long(env, &e);
        } else if (env->cr[0] & CR0_PE_MASK) {
            f = deliver_protected(env, &e);
        } else {
            e.has_code = false;
            f = deliver_real(env, &e);
        }
        if (f.vector < 0) {
            env->hflags &= ~HF_INHIBIT_IRQ_MASK;
            x86_cpu_update_hflags(env);
            return true;
        }
        if (e.vector == EXC_DF) {
            qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
            return false;
        }
        if (f.vector == EXC_DF ||
            (!e.external && !e.software &&
             ((contributory(e.vector) && contributory(f.vector)) ||
              (e.vector == EXC_PF && (contributory(f.vector) || f.vector == EXC_PF))))) {
            f = fault(EXC_DF, 0);
        }
        e = (Event) {
            .vector = f.vector, .code = f.code, .has_code = vector_has_code(f.vector),
        };
    }
}

/* ---- system calls ---- */

static void flat_segment(CPUX86State *env, int seg, uint16_t selector, unsigned level, bool code,
                         bool long_mode)
{
    env->segs[seg] = (SegmentCache) {
        .selector = selector,
        .limit = UINT32_MAX,
        .flags = DESC_G_MASK | DESC_P_MASK | DESC_S_MASK | DESC_W_MASK | DESC_A_MASK |
                 level << DESC_DPL_SHIFT | (code ? DESC_CS_MASK : 0) |
                 (code && long_mode ? DESC_L_MASK : DESC_B_MASK),
    };
}

/* SYSCALL; the library has moved RIP behind it. */
static void do_syscall(CPUX86State *env)
{
    uint16_t selector = env->star >> 32;

    if (env->efer & MSR_EFER_LMA) {
        env->regs[R_ECX] = env->eip;
        env->regs[R_R11] = env->eflags & ~RF_MASK;
        env->eip = env->hflags & HF_CS64_MASK ? env->lstar : env->cstar;
        env->eflags &= ~(env->fmask | RF_MASK);
        flat_segment(env, R_CS, selector & 0xfffc, 0, true, true);
    } else {
        env->regs[R_ECX] = (uint32_t)env->eip;
        env->eip = (uint32_t)env->star;
        env->eflags &= ~(IF_MASK | RF_MASK | VM_MASK);
        flat_segment(env, R_CS, selector & 0xfffc, 0, true, false);
    }
    flat_segment(env, R_SS, (selector & 0xfffc) + 8, 0, false, false);
    x86_cpu_update_hflags(env);
}

static bool do_sysenter(CPUX86State *env)
{
    bool lma = env->efer & MSR_EFER_LMA;

    if (!(env->sysenter_cs & 0xfffc)) {
        env->eip -= 2; /* a fault, so the instruction has not been */
        return deliver(env, (Event) { .vector = EXC_GP, .has_code = true });
    }
    env->eflags &= ~(VM_MASK | IF_MASK | RF_MASK);
    flat_segment(env, R_CS, env->sysenter_cs & 0xfffc, 0, true, lma);
    flat_segment(env, R_SS, (env->sysenter_cs & 0xfffc) + 8, 0, false, false);
    env->regs[R_ESP] = lma ? env->sysenter_esp : (uint32_t)env->sysenter_esp;
    env->eip = lma ? env->sysenter_eip : (uint32_t)env->sysenter_eip;
    x86_cpu_update_hflags(env);
    return true;
}

/* ---- what the vCPU's thread calls ---- */

bool tcg_handle_exit(TCGVcpu *v, TCGExit why)
{
    CPUX86State *env = cpu_env(v->cpu);
    uint32_t code = 0, is_int = 0;

    switch (why) {
    case TCG_EXIT_STOP:
        return true;
    case TCG_EXIT_HALT:
        /* Whether an interrupt may wake it is decided by looking at the registers. */
        tcg_get_registers(v);
        v->cpu->vcpu_dirty = true;
        v->cpu->halted = 1;
        return true;
    case TCG_EXIT_SYSCALL:
    case TCG_EXIT_SYSENTER:
        tcg_get_registers(v);
        if (why == TCG_EXIT_SYSCALL) {
            do_syscall(env);
        } else {
            do_sysenter(env);
        }
        tcg_put_event_registers(v);
        return true;
    case TCG_EXIT_EXCEPTION:
        tcg_get_event_registers(v);
        memcpy(&code, tcg_context_at(v, tcg_layout.error_code), sizeof(code));
        memcpy(&is_int, tcg_context_at(v, tcg_layout.exception_is_int), sizeof(is_int));
        /* An invalid instruction is told in another way, and leaves both as they were. */
        if (v->vector == EXC_UD) {
            is_int = 0;
        }
        deliver(env, (Event) {
            .vector = v->vector,
            .software = is_int,
            .has_code = !is_int && vector_has_code(v->vector),
            .code = code,
        });
        tcg_put_event_registers(v);
        return true;
    case TCG_EXIT_ERROR:
        break;
    }
    return false;
}

/* The registers that delivering needs, wherever they are; and back. */
static CPUX86State *begin_event(TCGVcpu *v)
{
    if (!v->cpu->vcpu_dirty) {
        tcg_get_event_registers(v);
    }
    return cpu_env(v->cpu);
}

static void end_event(TCGVcpu *v)
{
    if (!v->cpu->vcpu_dirty) {
        tcg_put_event_registers(v);
    }
}

static uint64_t current_eflags(TCGVcpu *v)
{
    return v->cpu->vcpu_dirty ? cpu_env(v->cpu)->eflags : tcg_reg(v, UC_X86_REG_EFLAGS);
}

bool tcg_handle_interrupts(TCGVcpu *v)
{
    CPUState *cpu = v->cpu;
    CPUX86State *env;
    int vector;

    v->pass = false;
    if (cpu->interrupt_request & CPU_INTERRUPT_INIT) {
        if (!cpu->vcpu_dirty) {
            tcg_get_registers(v);
            cpu->vcpu_dirty = true;
        }
        vector = cpu_env(cpu)->sipi_vector; /* may have come already */
        do_cpu_init(X86_CPU(cpu));
        cpu_env(cpu)->sipi_vector = vector;
        cpu_reset_interrupt(cpu, CPU_INTERRUPT_INIT);
        tcg_engine_close(v);
    }
    if (cpu->interrupt_request & CPU_INTERRUPT_SIPI) {
        if (!cpu->vcpu_dirty) {
            tcg_get_registers(v);
            cpu->vcpu_dirty = true;
        }
        do_cpu_sipi(X86_CPU(cpu));
        cpu_reset_interrupt(cpu, CPU_INTERRUPT_SIPI);
        tcg_engine_close(v);
    }
    if (cpu->halted) {
        if (!cpu_has_work(cpu)) {
            return false;
        }
        cpu->halted = 0;
    }
    if (cpu->interrupt_request & CPU_INTERRUPT_NMI &&
        !(cpu_env(cpu)->hflags2 & HF2_NMI_MASK)) {
        cpu_reset_interrupt(cpu, CPU_INTERRUPT_NMI);
        env = begin_event(v);
        deliver(env, (Event) { .vector = EXC_NMI, .external = true });
        end_event(v);
    }
    if (!(cpu->interrupt_request & CPU_INTERRUPT_HARD) || !(current_eflags(v) & IF_MASK)) {
        return true;
    }
    env = begin_event(v);
    if (env->hflags & HF_INHIBIT_IRQ_MASK) {
        /* After one more instruction; a block that begins in such a shadow is no longer. */
        v->pass = true;
        return true;
    }
    cpu_reset_interrupt(cpu, CPU_INTERRUPT_HARD);
    vector = cpu_get_pic_interrupt(env);
    if (vector >= 0) {
        deliver(env, (Event) { .vector = vector, .external = true });
        end_event(v);
    }
    return true;
}
