/*
 * Registers between CPUX86State and a libunicorn engine.
 *
 * What uc_reg_read() and uc_reg_write() cover goes through them; segments' hidden parts, the mode
 * and EFER go through a saved context at the places that tcg-layout.c found. A context is always
 * saved first, changed in these places, and restored, so that everything else stays as it is.
 *
 * What was put wholesale (reset, incoming state) goes into an engine that was just made: the
 * library would keep translations and page table entries of before. An engine gets its own state
 * back at most.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qemu/timer.h"

#define MSR_SYSENTER_CS   0x174
#define MSR_SYSENTER_ESP  0x175
#define MSR_SYSENTER_EIP  0x176
#define MSR_MISC_ENABLE   0x1a0
#define MSR_PAT           0x277
#define MSR_MTRR_DEFTYPE  0x2ff
#define MSR_MTRR_PHYSBASE 0x200
#define MSR_STAR          0xc0000081u
#define MSR_LSTAR         0xc0000082u
#define MSR_CSTAR         0xc0000083u
#define MSR_FMASK         0xc0000084u
#define MSR_KERNELGSBASE  0xc0000102u
#define MSR_TSC_AUX       0xc0000103u

static const uint32_t mtrr_fixed_msrs[11] = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

/* The bits of hflags that the library has and that follow from the registers. */
#define HFLAGS_PUT (HF_CPL_MASK | HF_CS32_MASK | HF_SS32_MASK | HF_ADDSEG_MASK | HF_PE_MASK | \
                    HF_MP_MASK | HF_EM_MASK | HF_TS_MASK | HF_LMA_MASK | HF_CS64_MASK |       \
                    HF_OSFXSR_MASK | HF_SMAP_MASK)

/*
 * The library's CPU has SYSCALL and NX but does not let the guest switch them on, nor off once they
 * are. So they always are.
 */
#define EFER_ALWAYS (MSR_EFER_SCE | MSR_EFER_NXE)

uint64_t tcg_reg(TCGVcpu *v, int regid)
{
    uint64_t value = 0; /* the library writes no more bytes than the register has */

    uc_reg_read(v->uc, regid, &value);
    return value;
}

void tcg_set_reg(TCGVcpu *v, int regid, uint64_t value)
{
    uc_reg_write(v->uc, regid, &value);
}

static uint64_t get_msr(TCGVcpu *v, uint32_t index)
{
    uc_x86_msr msr = {.rid = index};

    uc_reg_read(v->uc, UC_X86_REG_MSR, &msr);
    return msr.value;
}

static void set_msr(TCGVcpu *v, uint32_t index, uint64_t value)
{
    uc_x86_msr msr = {.rid = index, .value = value};

    uc_reg_write(v->uc, UC_X86_REG_MSR, &msr);
}

static void get_segment(const TCGSegment *s, SegmentCache *out)
{
    *out = (SegmentCache) {
        .selector = s->selector, .base = s->base, .limit = s->limit, .flags = s->flags,
    };
}

static void put_segment(TCGSegment *s, const SegmentCache *in)
{
    *s = (TCGSegment) {
        .selector = in->selector, .base = in->base, .limit = in->limit, .flags = in->flags,
    };
}

void tcg_get_event_registers(TCGVcpu *v)
{
    CPUX86State *env = cpu_env(v->cpu);
    const TCGSegment *seg;
    uint32_t hflags;

    uc_context_save(v->uc, v->context);
    memcpy(env->regs, tcg_context_at(v, tcg_layout.regs), sizeof(env->regs));
    memcpy(&env->eip, tcg_context_at(v, tcg_layout.eip), sizeof(env->eip));
    seg = tcg_context_at(v, tcg_layout.segs);
    for (int i = 0; i < 6; i++) {
        get_segment(&seg[i], &env->segs[i]);
    }
    get_segment(&seg[6], &env->ldt);
    get_segment(&seg[7], &env->tr);
    get_segment(&seg[8], &env->gdt);
    get_segment(&seg[9], &env->idt);
    memcpy(&env->efer, tcg_context_at(v, tcg_layout.efer), sizeof(env->efer));
    memcpy(&hflags, tcg_context_at(v, tcg_layout.hflags), sizeof(hflags));
    /* Read apart: the library computes the arithmetic flags when it is asked, and gives 32 bits. */
    env->eflags = (uint32_t)tcg_reg(v, UC_X86_REG_EFLAGS);
    env->cr[0] = tcg_reg(v, UC_X86_REG_CR0);
    env->cr[2] = tcg_reg(v, UC_X86_REG_CR2);
    env->cr[3] = tcg_reg(v, UC_X86_REG_CR3);
    env->cr[4] = tcg_reg(v, UC_X86_REG_CR4);
    x86_cpu_update_hflags(env);
    env->hflags = (env->hflags & ~HF_INHIBIT_IRQ_MASK) | (hflags & HF_INHIBIT_IRQ_MASK);
}

void tcg_put_event_registers(TCGVcpu *v)
{
    CPUX86State *env = cpu_env(v->cpu);
    uint32_t hflags, none = UINT32_MAX;
    TCGSegment *seg;

    x86_cpu_update_hflags(env);
    tcg_set_reg(v, UC_X86_REG_CR2, env->cr[2]);
    tcg_set_reg(v, UC_X86_REG_EFLAGS, env->eflags);
    uc_context_save(v->uc, v->context);
    memcpy(tcg_context_at(v, tcg_layout.regs), env->regs, sizeof(env->regs));
    memcpy(tcg_context_at(v, tcg_layout.eip), &env->eip, sizeof(env->eip));
    seg = tcg_context_at(v, tcg_layout.segs);
    for (int i = 0; i < 6; i++) {
        put_segment(&seg[i], &env->segs[i]);
    }
    memcpy(&hflags, tcg_context_at(v, tcg_layout.hflags), sizeof(hflags));
    hflags = (hflags & ~(HFLAGS_PUT | HF_INHIBIT_IRQ_MASK)) |
             (env->hflags & (HFLAGS_PUT | HF_INHIBIT_IRQ_MASK));
    memcpy(tcg_context_at(v, tcg_layout.hflags), &hflags, sizeof(hflags));
    /* The event that brought us here is over: another one is no double fault. */
    memcpy(tcg_context_at(v, tcg_layout.old_exception), &none, sizeof(none));
    uc_context_restore(v->uc, v->context);
}

static void put_tsc(TCGVcpu *v)
{
    uint64_t offset = cpu_get_ticks() - __builtin_ia32_rdtsc();

    if (tcg_layout.tsc_offset) {
        memcpy(tcg_context_at(v, tcg_layout.tsc_offset), &offset, sizeof(offset));
    }
}

void tcg_get_registers(TCGVcpu *v)
{
    CPUX86State *env = cpu_env(v->cpu);
    uint16_t fptags, fpus;

    tcg_get_event_registers(v);
    for (int i = 0; i < 8; i++) {
        struct { uint64_t mant; uint16_t exp; } reg = { 0 };

        uc_reg_read(v->uc, UC_X86_REG_FP0 + i, &reg);
        env->fpregs[i].mant = reg.mant;
        env->fpregs[i].exp = reg.exp;
    }
    fpus = tcg_reg(v, UC_X86_REG_FPSW);
    fptags = tcg_reg(v, UC_X86_REG_FPTAG);
    env->fpstt = fpus >> 11 & 7;
    env->fpus = fpus & ~0x3800;
    env->fpuc = tcg_reg(v, UC_X86_REG_FPCW);
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = (fptags >> (2 * i) & 3) == 3;
    }
    env->mxcsr = tcg_reg(v, UC_X86_REG_MXCSR);
    for (int i = 0; i < 16; i++) {
        uc_reg_read(v->uc, UC_X86_REG_XMM0 + i, env->xmm_regs[i]._q_ZMMReg);
    }
    for (int i = 0; i < 8; i++) {
        env->dr[i] = i == 4 || i == 5 ? 0 : tcg_reg(v, UC_X86_REG_DR0 + i);
    }

    env->sysenter_cs = get_msr(v, MSR_SYSENTER_CS);
    env->sysenter_esp = get_msr(v, MSR_SYSENTER_ESP);
    env->sysenter_eip = get_msr(v, MSR_SYSENTER_EIP);
    env->star = get_msr(v, MSR_STAR);
    env->lstar = get_msr(v, MSR_LSTAR);
    env->cstar = get_msr(v, MSR_CSTAR);
    env->fmask = get_msr(v, MSR_FMASK);
    env->kernelgsbase = get_msr(v, MSR_KERNELGSBASE);
    env->tsc_aux = get_msr(v, MSR_TSC_AUX);
    env->pat = get_msr(v, MSR_PAT);
    env->msr_ia32_misc_enable = get_msr(v, MSR_MISC_ENABLE);
    env->mtrr_deftype = get_msr(v, MSR_MTRR_DEFTYPE);
    for (int i = 0; i < ARRAY_SIZE(mtrr_fixed_msrs); i++) {
        env->mtrr_fixed[i] = get_msr(v, mtrr_fixed_msrs[i]);
    }
    for (int i = 0; i < MSR_MTRRcap_VCNT; i++) {
        env->mtrr_var[i].base = get_msr(v, MSR_MTRR_PHYSBASE + 2 * i);
        env->mtrr_var[i].mask = get_msr(v, MSR_MTRR_PHYSBASE + 2 * i + 1);
    }
    env->tsc = cpu_get_ticks();
}

void tcg_put_registers(TCGVcpu *v)
{
    CPUX86State *env = cpu_env(v->cpu);
    uint16_t fptags = 0;
    uint64_t efer;
    TCGSegment *seg;

    for (int i = 0; i < 8; i++) {
        struct { uint64_t mant; uint16_t exp; } reg = {
            env->fpregs[i].mant, env->fpregs[i].exp,
        };

        uc_reg_write(v->uc, UC_X86_REG_FP0 + i, &reg);
        fptags |= (env->fptags[i] ? 3 : 0) << (2 * i);
    }
    tcg_set_reg(v, UC_X86_REG_FPSW, (env->fpus & ~0x3800) | (env->fpstt & 7) << 11);
    tcg_set_reg(v, UC_X86_REG_FPTAG, fptags);
    tcg_set_reg(v, UC_X86_REG_FPCW, env->fpuc);
    tcg_set_reg(v, UC_X86_REG_MXCSR, env->mxcsr);
    for (int i = 0; i < 16; i++) {
        uc_reg_write(v->uc, UC_X86_REG_XMM0 + i, env->xmm_regs[i]._q_ZMMReg);
    }
    /* DR7 last: it may make the others count. The fixed bits are what the library starts with. */
    for (int i = 0; i < 8; i++) {
        if (i != 4 && i != 5 && env->dr[i] != tcg_reg(v, UC_X86_REG_DR0 + i)) {
            tcg_set_reg(v, UC_X86_REG_DR0 + i, env->dr[i]);
        }
    }
    set_msr(v, MSR_SYSENTER_CS, env->sysenter_cs);
    set_msr(v, MSR_SYSENTER_ESP, env->sysenter_esp);
    set_msr(v, MSR_SYSENTER_EIP, env->sysenter_eip);
    set_msr(v, MSR_STAR, env->star);
    set_msr(v, MSR_LSTAR, env->lstar);
    set_msr(v, MSR_CSTAR, env->cstar);
    set_msr(v, MSR_FMASK, env->fmask);
    set_msr(v, MSR_KERNELGSBASE, env->kernelgsbase);
    set_msr(v, MSR_TSC_AUX, env->tsc_aux);
    set_msr(v, MSR_PAT, env->pat);
    set_msr(v, MSR_MISC_ENABLE, env->msr_ia32_misc_enable);
    set_msr(v, MSR_MTRR_DEFTYPE, env->mtrr_deftype);
    for (int i = 0; i < ARRAY_SIZE(mtrr_fixed_msrs); i++) {
        set_msr(v, mtrr_fixed_msrs[i], env->mtrr_fixed[i]);
    }
    for (int i = 0; i < MSR_MTRRcap_VCNT; i++) {
        set_msr(v, MSR_MTRR_PHYSBASE + 2 * i, env->mtrr_var[i].base);
        set_msr(v, MSR_MTRR_PHYSBASE + 2 * i + 1, env->mtrr_var[i].mask);
    }

    tcg_set_reg(v, UC_X86_REG_CR0, env->cr[0]);
    tcg_set_reg(v, UC_X86_REG_CR3, env->cr[3]);
    tcg_set_reg(v, UC_X86_REG_CR4, env->cr[4]);
    uc_context_save(v->uc, v->context);
    seg = tcg_context_at(v, tcg_layout.segs);
    put_segment(&seg[6], &env->ldt);
    put_segment(&seg[7], &env->tr);
    put_segment(&seg[8], &env->gdt);
    put_segment(&seg[9], &env->idt);
    efer = env->efer | EFER_ALWAYS;
    memcpy(tcg_context_at(v, tcg_layout.efer), &efer, sizeof(efer));
    put_tsc(v);
    uc_context_restore(v->uc, v->context);
    v->set_tsc = false;
    tcg_put_event_registers(v);
}
