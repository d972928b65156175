/*
 * FPU and vector registers: between the CPU's state and the XSAVE image that KVM speaks.
 *
 * The image is the processor's standard format: 512 bytes as FXSAVE writes them, a header that says
 * which components are in it, and the components at offsets that CPUID leaf 0xd gives. x87
 * registers stand in stack order in the image, and under KVM in CPUX86State.fpregs as well: that
 * is how they travel between machines that run under KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cpu.h"
#include "kvm_i386.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"

/* Offsets within the image. */
#define FCW        0
#define FSW        2
#define FTW        4
#define FOP        6
#define FIP        8
#define FDP        16
#define MXCSR      24
#define ST_REGS    32
#define XMM_REGS   160
#define XSTATE_BV  512
#define COMPONENTS 576

/* Where a component lies in the image; NULL where host or CPU has none. */
static uint8_t *component(X86CPU *cpu, int n)
{
    uint32_t offset = cpu->kvm->xsave_offset[n];

    return offset ? (uint8_t *)cpu->kvm->xsave + offset : NULL;
}

/*
 * The processor is asked for its layout once: under virtualisation CPUID costs more than copying
 * all of the image.
 */
static void find_components(X86CPU *cpu)
{
    static const struct {
        int n;
        uint32_t len;
    } wanted[] = {
        { XSTATE_YMM_BIT, 256 }, { XSTATE_BNDREGS_BIT, 64 }, { XSTATE_BNDCSR_BIT, 16 },
        { XSTATE_OPMASK_BIT, 64 }, { XSTATE_ZMM_Hi256_BIT, 512 }, { XSTATE_Hi16_ZMM_BIT, 1024 },
        { XSTATE_PKRU_BIT, 4 }, { XSTATE_XTILE_CFG_BIT, 64 }, { XSTATE_XTILE_DATA_BIT, 8192 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        uint32_t r[4];

        x86_host_cpuid(0xd, wanted[i].n, r);
        if (r[0] >= wanted[i].len && r[1] >= COMPONENTS
            && r[1] + wanted[i].len <= cpu->kvm->xsave_size) {
            cpu->kvm->xsave_offset[wanted[i].n] = r[1];
        }
    }
}

int kvm_x86_init_xsave(X86CPU *cpu)
{
    int size = kvm_check_extension(kvm_state, KVM_CAP_XSAVE2);

    cpu->kvm->xsave_size = MAX(size, (int)sizeof(struct kvm_xsave));
    cpu->kvm->xsave = qemu_memalign(4096, ROUND_UP(cpu->kvm->xsave_size, 4096));
    memset(cpu->kvm->xsave, 0, cpu->kvm->xsave_size);
    find_components(cpu);
    return 0;
}

/* Copies between state and image: one place says what goes where, for both directions. */
typedef struct Copier {
    X86CPU *cpu;
    bool to_image;
} Copier;

static void move(const Copier *c, void *state, uint8_t *image, size_t len)
{
    if (!image) {
        return;
    }
    if (c->to_image) {
        memcpy(image, state, len);
    } else {
        memcpy(state, image, len);
    }
}

static void move_all(const Copier *c)
{
    CPUX86State *env = &c->cpu->env;
    uint8_t *image = c->cpu->kvm->xsave, *p;
    int i;

    move(c, &env->fpuc, image + FCW, 2);
    move(c, &env->fpop, image + FOP, 2);
    move(c, &env->fpip, image + FIP, 8);
    move(c, &env->fpdp, image + FDP, 8);
    move(c, &env->mxcsr, image + MXCSR, 4);
    move(c, &env->xstate_bv, image + XSTATE_BV, 8);
    for (i = 0; i < 8; i++) {
        move(c, &env->fpregs[i].mant, image + ST_REGS + 16 * i, 8);
        move(c, &env->fpregs[i].exp, image + ST_REGS + 16 * i + 8, 2);
    }
    p = component(c->cpu, XSTATE_YMM_BIT);
    for (i = 0; i < 16; i++) {
        move(c, &env->xmm_regs[i]._q_ZMMReg[0], image + XMM_REGS + 16 * i, 16);
        move(c, &env->xmm_regs[i]._q_ZMMReg[2], p ? p + 16 * i : NULL, 16);
    }
    move(c, env->bnd_regs, component(c->cpu, XSTATE_BNDREGS_BIT), 64);
    move(c, &env->bndcs_regs, component(c->cpu, XSTATE_BNDCSR_BIT), 16);
    move(c, env->opmask_regs, component(c->cpu, XSTATE_OPMASK_BIT), 64);
    p = component(c->cpu, XSTATE_ZMM_Hi256_BIT);
    for (i = 0; p && i < 16; i++) {
        move(c, &env->xmm_regs[i]._q_ZMMReg[4], p + 32 * i, 32);
    }
    move(c, &env->xmm_regs[16], component(c->cpu, XSTATE_Hi16_ZMM_BIT), 1024);
    move(c, &env->pkru, component(c->cpu, XSTATE_PKRU_BIT), 4);
    if (env->features[FEAT_7_0_EDX] & (1u << 24)) {
        move(c, env->xtilecfg, component(c->cpu, XSTATE_XTILE_CFG_BIT), 64);
        move(c, env->xtiledata, component(c->cpu, XSTATE_XTILE_DATA_BIT), 8192);
    }
}

int kvm_x86_get_xsave(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint8_t *image = cpu->kvm->xsave;
    unsigned long type = cpu->kvm->xsave_size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2
                                                                         : KVM_GET_XSAVE;
    int ret = kvm_vcpu_ioctl(CPU(cpu), type, image);
    uint16_t fsw;
    int i;

    if (ret < 0) {
        return ret;
    }
    move_all(&(Copier) { cpu, false });
    fsw = lduw_le_p(image + FSW);
    env->fpstt = (fsw >> 11) & 7;
    env->fpus = fsw & ~0x3800;
    for (i = 0; i < 8; i++) {
        env->fptags[i] = !(image[FTW] >> i & 1);
    }
    return 0;
}

/*
 * Who saved the state may not keep account of what is in its initial state (TCG does not): what
 * is not there must not be taken for that.
 */
static uint8_t legacy_in_use(const CPUX86State *env)
{
    uint8_t bits = 0;

    if (env->fpuc != 0x37f || env->fpus || env->fpstt || env->fpop || env->fpip || env->fpdp
        || !buffer_is_zero(env->fpregs, sizeof(env->fpregs))) {
        bits |= XSTATE_FP_MASK;
    }
    for (int i = 0; i < 8; i++) {
        bits |= env->fptags[i] ? 0 : XSTATE_FP_MASK;
    }
    if (env->mxcsr != 0x1f80) {
        bits |= XSTATE_SSE_MASK;
    }
    for (int i = 0; i < 16; i++) {
        const uint64_t *q = env->xmm_regs[i]._q_ZMMReg;

        bits |= q[0] | q[1] ? XSTATE_SSE_MASK : 0;
    }
    return bits;
}

int kvm_x86_put_xsave(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint8_t *image = cpu->kvm->xsave;
    int i;

    memset(image, 0, cpu->kvm->xsave_size);
    move_all(&(Copier) { cpu, true });
    image[XSTATE_BV] |= legacy_in_use(env);
    stw_le_p(image + FSW, (env->fpus & ~0x3800) | (env->fpstt & 7) << 11);
    for (i = 0; i < 8; i++) {
        image[FTW] |= !env->fptags[i] << i;
    }
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_XSAVE, image);
}
