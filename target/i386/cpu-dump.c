/*
 * A vCPU's registers as text: HMP's "info registers", and what is printed when a guest cannot go
 * on.
 *
 * The form is QEMU's, which people and their scripts read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "target/i386/cpu.h"

/* Code and data descriptors: what may be done with them. */
static void dump_descriptor(const CPUX86State *env, GString *out, const SegmentCache *sc)
{
    static const char *const system_types[2][16] = {
        { "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
          "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32",
          "Reserved", "IntGate32", "TrapGate32" },
        { "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
          "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved",
          "IntGate64", "TrapGate64" },
    };
    bool lma = env->hflags & HF_LMA_MASK, third = sc->flags & 1u << 10;

    g_string_append_printf(out, " DPL=%u ", (sc->flags & DESC_DPL_MASK) >> DESC_DPL_SHIFT);
    if (!(sc->flags & DESC_S_MASK)) {
        g_string_append(out,
                        system_types[lma][(sc->flags & DESC_TYPE_MASK) >> DESC_TYPE_SHIFT]);
        return;
    }
    if (sc->flags & DESC_CS_MASK) {
        g_string_append_printf(out, "%s [%c%c", sc->flags & DESC_L_MASK ? "CS64"
                               : sc->flags & DESC_B_MASK ? "CS32" : "CS16",
                               third ? 'C' : '-', sc->flags & DESC_R_MASK ? 'R' : '-');
    } else {
        g_string_append_printf(out, "%s [%c%c",
                               sc->flags & DESC_B_MASK || lma ? "DS  " : "DS16",
                               third ? 'E' : '-', sc->flags & DESC_W_MASK ? 'W' : '-');
    }
    g_string_append_printf(out, "%c]", sc->flags & DESC_A_MASK ? 'A' : '-');
}

static void dump_segment(const CPUX86State *env, GString *out, const char *name,
                         const SegmentCache *sc)
{
    bool wide = env->hflags & HF_CS64_MASK;

    g_string_append_printf(out, "%-3s=%04x %0*" PRIx64 " %08x %08x", name, sc->selector,
                           wide ? 16 : 8, wide ? sc->base : (uint32_t)sc->base, sc->limit,
                           sc->flags & 0x00ffff00);
    /* In real mode descriptors are not more than bases. */
    if ((env->hflags & HF_PE_MASK) && (sc->flags & DESC_P_MASK)) {
        dump_descriptor(env, out, sc);
    }
    g_string_append_c(out, '\n');
}

static void dump_general(CPUState *cs, const CPUX86State *env, GString *out)
{
    static const int order[8] = { R_EAX, R_EBX, R_ECX, R_EDX, R_ESI, R_EDI, R_EBP, R_ESP };
    static const char names[8][3] = { "AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP" };
    static const char letters[7] = { 'D', 'O', 'S', 'Z', 'A', 'P', 'C' };
    static const int bits[7] = { 10, 11, 7, 6, 4, 2, 0 };
    bool wide = env->hflags & HF_CS64_MASK;

    for (int i = 0; i < (wide ? 16 : 8); i++) {
        if (i < 8) {
            g_string_append_printf(out, "%c%.2s=%0*" PRIx64, wide ? 'R' : 'E', names[i],
                                   wide ? 16 : 8, wide ? env->regs[order[i]]
                                   : (uint32_t)env->regs[order[i]]);
        } else {
            g_string_append_printf(out, "R%-2d=%016" PRIx64, i, env->regs[i]);
        }
        g_string_append_c(out, i % 4 == 3 ? '\n' : ' ');
    }
    g_string_append_printf(out, wide ? "RIP=%016" PRIx64 " RFL=%08x [" : "EIP=%08" PRIx64
                           " EFL=%08x [", wide ? env->eip : (uint32_t)env->eip,
                           (uint32_t)env->eflags);
    for (int i = 0; i < 7; i++) {
        g_string_append_c(out, env->eflags & 1u << bits[i] ? letters[i] : '-');
    }
    g_string_append_printf(out, "] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n", env->hflags & HF_CPL_MASK,
                           !!(env->hflags & HF_INHIBIT_IRQ_MASK), env->a20_mask >> 20 & 1,
                           !!(env->hflags & HF_SMM_MASK), !!cs->halted);
}

static void dump_system(const CPUX86State *env, GString *out)
{
    static const char *const names[6] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    bool wide = env->hflags & HF_CS64_MASK;
    int width = wide ? 16 : 8;
    uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;

    for (int i = 0; i < 6; i++) {
        dump_segment(env, out, names[i], &env->segs[i]);
    }
    dump_segment(env, out, "LDT", &env->ldt);
    dump_segment(env, out, "TR", &env->tr);
    g_string_append_printf(out, "GDT=     %0*" PRIx64 " %08x\nIDT=     %0*" PRIx64 " %08x\n", width,
                           env->gdt.base & mask, env->gdt.limit, width, env->idt.base & mask,
                           env->idt.limit);
    g_string_append_printf(out, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x\n",
                           (uint32_t)env->cr[0], width, env->cr[2] & mask, width,
                           env->cr[3] & mask, (uint32_t)env->cr[4]);
    for (int i = 0; i < 4; i++) {
        g_string_append_printf(out, "DR%d=%016" PRIx64 " ", i, env->dr[i]);
    }
    g_string_append_printf(out, "\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\n", env->dr[6],
                           env->dr[7]);
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", env->efer);
}

static void dump_vectors(const CPUX86State *env, GString *out)
{
    int vectors = env->hflags & HF_CS64_MASK ? 16 : 8;
    unsigned in_use = 0;

    for (int i = 0; i < 8; i++) {
        in_use |= !env->fptags[i] << i;
    }
    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", env->fpuc,
                           (env->fpus & ~0x3800) | (env->fpstt & 7) << 11, env->fpstt & 7, in_use,
                           env->mxcsr);
    for (int i = 0; i < 8; i++) {
        g_string_append_printf(out, "FPR%d=%016" PRIx64 " %04x%c", i, env->fpregs[i].mant,
                               env->fpregs[i].exp, i % 2 ? '\n' : ' ');
    }
    for (int i = 0; i < vectors; i++) {
        const uint64_t *q = env->xmm_regs[i]._q_ZMMReg;

        g_string_append_printf(out, "XMM%02d=%016" PRIx64 " %016" PRIx64 "%c", i, q[1], q[0],
                               i % 2 ? '\n' : ' ');
    }
}

void x86_cpu_dump_state(CPUState *cs, GString *out, int flags)
{
    const CPUX86State *env = cpu_env(cs);

    dump_general(cs, env, out);
    dump_system(env, out);
    dump_vectors(env, out);
}
