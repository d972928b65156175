/*
 * Registers of an x86 vCPU: from the kernel and to it.
 *
 * The order of writing matters. MSR_IA32_FEATURE_CONTROL allows what control registers may turn on;
 * control registers and the APIC's base come before the APIC; the nested hypervisor's state wants
 * them set; the APIC's timer mode comes before the TSC deadline; pending events come when
 * everything that they depend on is there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cpu.h"
#include "kvm_i386.h"
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "system/runstate.h"

/* -- General registers ----------------------------------------------------------------------- */

/* KVM's order of general registers, as numbers of ours. */
static const uint8_t reg_order[CPU_NB_REGS] = {
    R_EAX, R_EBX, R_ECX, R_EDX, R_ESI, R_EDI, R_ESP, R_EBP,
    R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15,
};

static int put_regs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    struct kvm_regs regs;
    __u64 *slot = &regs.rax;
    int i;

    for (i = 0; i < CPU_NB_REGS; i++) {
        slot[i] = env->regs[reg_order[i]];
    }
    regs.rip = env->eip;
    regs.rflags = env->eflags | 2;
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_REGS, &regs);
}

static int get_regs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    struct kvm_regs regs;
    __u64 *slot = &regs.rax;
    int i, ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_REGS, &regs);

    if (ret < 0) {
        return ret;
    }
    for (i = 0; i < CPU_NB_REGS; i++) {
        env->regs[reg_order[i]] = slot[i];
    }
    env->eip = regs.rip;
    env->eflags = regs.rflags;
    return 0;
}

/* -- Segments and control registers ---------------------------------------------------------- */

static void segment_to_kvm(struct kvm_segment *to, const SegmentCache *from)
{
    uint32_t flags = from->flags;

    *to = (struct kvm_segment) {
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = (flags & DESC_TYPE_MASK) >> DESC_TYPE_SHIFT,
        .present = !!(flags & DESC_P_MASK),
        .dpl = (flags & DESC_DPL_MASK) >> DESC_DPL_SHIFT,
        .db = !!(flags & DESC_B_MASK),
        .s = !!(flags & DESC_S_MASK),
        .l = !!(flags & DESC_L_MASK),
        .g = !!(flags & DESC_G_MASK),
        .avl = !!(flags & DESC_AVL_MASK),
    };
    to->unusable = !to->present;
}

/* In virtual-8086 mode the hidden part follows from the selector, and the CPU insists on it. */
static void v8086_segment_to_kvm(struct kvm_segment *to, const SegmentCache *from)
{
    *to = (struct kvm_segment) {
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = 3,
        .present = 1,
        .dpl = 3,
        .s = 1,
    };
}

static void segment_from_kvm(SegmentCache *to, const struct kvm_segment *from)
{
    to->selector = from->selector;
    to->base = from->base;
    to->limit = from->limit;
    to->flags = from->type << DESC_TYPE_SHIFT
        | (from->present && !from->unusable ? DESC_P_MASK : 0)
        | from->dpl << DESC_DPL_SHIFT
        | (from->db ? DESC_B_MASK : 0)
        | (from->s ? DESC_S_MASK : 0)
        | (from->l ? DESC_L_MASK : 0)
        | (from->g ? DESC_G_MASK : 0)
        | (from->avl ? DESC_AVL_MASK : 0);
}

/* The first fields of kvm_sregs and kvm_sregs2 are the same; only what follows efer differs. */
#define SREGS_SEGMENTS(sregs, env, OP)                                                             \
    OP(&(sregs).cs, &(env)->segs[R_CS]);                                                           \
    OP(&(sregs).ds, &(env)->segs[R_DS]);                                                           \
    OP(&(sregs).es, &(env)->segs[R_ES]);                                                           \
    OP(&(sregs).fs, &(env)->segs[R_FS]);                                                           \
    OP(&(sregs).gs, &(env)->segs[R_GS]);                                                           \
    OP(&(sregs).ss, &(env)->segs[R_SS])
#define FROM_KVM(a, b) segment_from_kvm(b, a)

static int put_sregs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    struct kvm_sregs2 s2 = { .flags = 0 };
    struct kvm_sregs s = { .apic_base = 0 };

    if (env->eflags & VM_MASK) {
        SREGS_SEGMENTS(s2, env, v8086_segment_to_kvm);
    } else {
        SREGS_SEGMENTS(s2, env, segment_to_kvm);
    }
    segment_to_kvm(&s2.tr, &env->tr);
    segment_to_kvm(&s2.ldt, &env->ldt);
    s2.idt.limit = env->idt.limit;
    s2.idt.base = env->idt.base;
    s2.gdt.limit = env->gdt.limit;
    s2.gdt.base = env->gdt.base;
    s2.cr0 = env->cr[0];
    s2.cr2 = env->cr[2];
    s2.cr3 = env->cr[3];
    s2.cr4 = env->cr[4];
    s2.cr8 = kvm_x86_cr8(cpu);
    s2.efer = env->efer;
    s2.apic_base = kvm_x86_apic_base(cpu);
    if (kvm_has_sregs2) {
        if (env->pdptrs_valid) {
            memcpy(s2.pdptrs, env->pdptrs, sizeof(s2.pdptrs));
            s2.flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
        }
        return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_SREGS2, &s2);
    }
    memcpy(&s, &s2, offsetof(struct kvm_sregs2, flags));
    if (env->interrupt_injected >= 0) {
        s.interrupt_bitmap[env->interrupt_injected / 64] |=
            UINT64_C(1) << (env->interrupt_injected % 64);
    }
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_SREGS, &s);
}

static int get_sregs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    struct kvm_sregs2 s2 = { .flags = 0 };
    int ret;

    if (kvm_has_sregs2) {
        ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_SREGS2, &s2);
    } else {
        struct kvm_sregs s;

        ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_SREGS, &s);
        memcpy(&s2, &s, offsetof(struct kvm_sregs2, flags));
    }
    if (ret < 0) {
        return ret;
    }
    SREGS_SEGMENTS(s2, env, FROM_KVM);
    segment_from_kvm(&env->tr, &s2.tr);
    segment_from_kvm(&env->ldt, &s2.ldt);
    env->idt.limit = s2.idt.limit;
    env->idt.base = s2.idt.base;
    env->gdt.limit = s2.gdt.limit;
    env->gdt.base = s2.gdt.base;
    env->cr[0] = s2.cr0;
    env->cr[2] = s2.cr2;
    env->cr[3] = s2.cr3;
    env->cr[4] = s2.cr4;
    env->efer = s2.efer;
    kvm_x86_set_cr8(cpu, s2.cr8);
    kvm_x86_set_apic_base(cpu, s2.apic_base);
    env->pdptrs_valid = s2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
    if (env->pdptrs_valid) {
        memcpy(env->pdptrs, s2.pdptrs, sizeof(env->pdptrs));
    }
    return 0;
}

/* Whatever CPUID says: where the kernel can't hide XSAVE from the guest, it may have been used. */
static int put_xcrs(X86CPU *cpu)
{
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = cpu->env.xcr0 } };

    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_XCRS, &xcrs);
}

static int get_xcrs(X86CPU *cpu)
{
    struct kvm_xcrs xcrs = { .nr_xcrs = 0 };
    unsigned i;
    int ret;

    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_XCRS, &xcrs);
    for (i = 0; ret >= 0 && i < MIN(xcrs.nr_xcrs, ARRAY_SIZE(xcrs.xcrs)); i++) {
        if (xcrs.xcrs[i].xcr == 0) {
            cpu->env.xcr0 = xcrs.xcrs[i].value;
        }
    }
    return MIN(ret, 0);
}

static int put_debugregs(X86CPU *cpu)
{
    struct kvm_debugregs d = { .dr6 = cpu->env.dr[6], .dr7 = cpu->env.dr[7] };
    int i;

    for (i = 0; i < 4; i++) {
        d.db[i] = cpu->env.dr[i];
    }
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_DEBUGREGS, &d);
}

static int get_debugregs(X86CPU *cpu)
{
    struct kvm_debugregs d;
    int i, ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_DEBUGREGS, &d);

    if (ret < 0) {
        return ret;
    }
    for (i = 0; i < 4; i++) {
        cpu->env.dr[i] = d.db[i];
    }
    cpu->env.dr[4] = cpu->env.dr[6] = d.dr6;
    cpu->env.dr[5] = cpu->env.dr[7] = d.dr7;
    return 0;
}

/* -- Events under way ------------------------------------------------------------------------ */

/*
 * For kernels that do not know of exceptions which wait with what they will tell the guest: as the
 * processor does when it delivers one.
 */
static void deliver_payload(CPUX86State *env)
{
    if (env->exception_has_payload && env->exception_nr == 1) {
        env->dr[6] = (env->dr[6] & ~UINT64_C(15)) | env->exception_payload;
    } else if (env->exception_has_payload && env->exception_nr == 14) {
        env->cr[2] = env->exception_payload;
    }
    env->exception_pending = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->exception_injected = 1;
}

static int put_events(X86CPU *cpu, int level)
{
    CPUX86State *env = &cpu->env;
    CPUState *cs = CPU(cpu);
    struct kvm_vcpu_events ev = { .flags = 0 };

    if (!kvm_has_exception_payload && env->exception_nr >= 0 && env->exception_pending) {
        deliver_payload(env);
    }
    if (kvm_has_exception_payload) {
        ev.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        ev.exception.pending = env->exception_pending;
        ev.exception_has_payload = env->exception_has_payload;
        ev.exception_payload = env->exception_payload;
    }
    ev.exception.nr = MAX(env->exception_nr, 0);
    ev.exception.injected = env->exception_injected;
    ev.exception.has_error_code = env->has_error_code;
    ev.exception.error_code = env->error_code;
    if (env->exception_nr < 0) {
        ev.exception.pending = ev.exception.injected = 0;
    }

    ev.interrupt.injected = env->interrupt_injected >= 0;
    ev.interrupt.nr = MAX(env->interrupt_injected, 0);
    ev.interrupt.soft = env->soft_interrupt;
    ev.interrupt.shadow = env->hflags & HF_INHIBIT_IRQ_MASK
        ? KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI : 0;
    ev.flags |= KVM_VCPUEVENT_VALID_SHADOW;

    ev.nmi.injected = env->nmi_injected;
    ev.nmi.pending = env->nmi_pending;
    ev.nmi.masked = !!(env->hflags2 & HF2_NMI_MASK);
    ev.sipi_vector = env->sipi_vector;

    if (kvm_has_smm) {
        ev.flags |= KVM_VCPUEVENT_VALID_SMM;
        ev.smi.smm = !!(env->hflags & HF_SMM_MASK);
        ev.smi.smm_inside_nmi = !!(env->hflags2 & HF2_SMM_INSIDE_NMI_MASK);
        if (kvm_irqchip_in_kernel()) {
            /* The kernel keeps these; bits of ours are on their way to it. */
            ev.smi.pending = !!(cs->interrupt_request & CPU_INTERRUPT_SMI);
            ev.smi.latched_init = !!(cs->interrupt_request & CPU_INTERRUPT_INIT);
            cs->interrupt_request &= ~(CPU_INTERRUPT_INIT | CPU_INTERRUPT_SMI);
        }
    }
    if (level >= KVM_PUT_RESET_STATE) {
        ev.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        if (env->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
            ev.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
        }
    }
    if (kvm_has_triple_fault_event) {
        ev.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
        ev.triple_fault.pending = env->triple_fault_pending;
    }
    return kvm_vcpu_ioctl(cs, KVM_SET_VCPU_EVENTS, &ev);
}

static void set_flag(uint32_t *word, uint32_t flag, bool on)
{
    *word = on ? *word | flag : *word & ~flag;
}

static int get_events(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    CPUState *cs = CPU(cpu);
    struct kvm_vcpu_events ev = { .flags = 0 };
    int ret = kvm_vcpu_ioctl(cs, KVM_GET_VCPU_EVENTS, &ev);

    if (ret < 0) {
        return ret;
    }
    if (ev.flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
        env->exception_pending = ev.exception.pending;
        env->exception_has_payload = ev.exception_has_payload;
        env->exception_payload = ev.exception_payload;
    } else {
        env->exception_pending = 0;
        env->exception_has_payload = 0;
    }
    env->exception_injected = ev.exception.injected;
    env->exception_nr = env->exception_pending || env->exception_injected ? ev.exception.nr : -1;
    env->has_error_code = ev.exception.has_error_code;
    env->error_code = ev.exception.error_code;

    env->interrupt_injected = ev.interrupt.injected ? ev.interrupt.nr : -1;
    env->soft_interrupt = ev.interrupt.soft;
    set_flag(&env->hflags, HF_INHIBIT_IRQ_MASK, ev.interrupt.shadow);

    env->nmi_injected = ev.nmi.injected;
    env->nmi_pending = ev.nmi.pending;
    set_flag(&env->hflags2, HF2_NMI_MASK, ev.nmi.masked);
    env->sipi_vector = ev.sipi_vector;

    if (ev.flags & KVM_VCPUEVENT_VALID_SMM) {
        set_flag(&env->hflags, HF_SMM_MASK, ev.smi.smm);
        set_flag(&env->hflags2, HF2_SMM_INSIDE_NMI_MASK, ev.smi.smm_inside_nmi);
        if (ev.smi.pending) {
            cpu_interrupt(cs, CPU_INTERRUPT_SMI);
        } else {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_SMI);
        }
        if (ev.smi.latched_init) {
            cpu_interrupt(cs, CPU_INTERRUPT_INIT);
        } else {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_INIT);
        }
    }
    if (ev.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
        env->triple_fault_pending = ev.triple_fault.pending;
    }
    return 0;
}

static int put_mp_state(X86CPU *cpu)
{
    struct kvm_mp_state mp = { .mp_state = cpu->env.mp_state };

    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_MP_STATE, &mp);
}

static int get_mp_state(X86CPU *cpu)
{
    struct kvm_mp_state mp;
    int ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MP_STATE, &mp);

    if (ret < 0) {
        return ret;
    }
    cpu->env.mp_state = mp.mp_state;
    if (kvm_irqchip_in_kernel()) {
        CPU(cpu)->halted = mp.mp_state == KVM_MP_STATE_HALTED;
    }
    return 0;
}

/* -- A nested hypervisor --------------------------------------------------------------------- */

QEMU_BUILD_BUG_ON(sizeof(struct kvm_nested_state) != X86_NESTED_HDR_SIZE);
QEMU_BUILD_BUG_ON(offsetof(X86NestedState, data) != X86_NESTED_HDR_SIZE);

static int put_nested(X86CPU *cpu, int level)
{
    CPUX86State *env = &cpu->env;
    X86NestedState *n = env->nested_state;

    if (!n) {
        return 0;
    }
    if (level == KVM_PUT_RESET_STATE) {
        /* Outside of any guest, virtualisation off. */
        uint64_t none[2] = { UINT64_MAX, UINT64_MAX };

        memset(n, 0, sizeof(*n));
        n->size = X86_NESTED_HDR_SIZE;
        n->format = env->features[FEAT_8000_0001_ECX] & (1u << 2) ? KVM_STATE_NESTED_FORMAT_SVM
                                                                 : KVM_STATE_NESTED_FORMAT_VMX;
        if (n->format == KVM_STATE_NESTED_FORMAT_VMX) {
            memcpy(n->hdr, none, sizeof(none));
        } else {
            n->flags = KVM_STATE_NESTED_GIF_SET;
        }
    }
    if (!n->size) {
        return 0;
    }
    set_flag((uint32_t *)&env->hflags2, HF2_GIF_MASK, n->flags & KVM_STATE_NESTED_GIF_SET);
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_NESTED_STATE, n);
}

static int get_nested(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    X86NestedState *n = env->nested_state;
    int ret;

    if (!n) {
        return 0;
    }
    n->size = sizeof(*n);
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_NESTED_STATE, n);
    if (ret < 0) {
        n->size = 0;
        return ret;
    }
    set_flag(&env->hflags, HF_GUEST_MASK, n->flags & KVM_STATE_NESTED_GUEST_MODE);
    if (n->format == KVM_STATE_NESTED_FORMAT_SVM) {
        set_flag(&env->hflags2, HF2_GIF_MASK, n->flags & KVM_STATE_NESTED_GIF_SET);
    }
    return 0;
}

/* -- The TSC's rate -------------------------------------------------------------------------- */

/* The stream says how fast the guest's TSC ran. Where that can't be had it is said, not fatal. */
static int put_tsc_khz(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    int now = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_TSC_KHZ);

    if (!env->tsc_khz || now <= 0) {
        return 0;
    }
    /* The same to 250 ppm is the same: the kernel measures its own rate anew at each boot. */
    if (llabs(env->tsc_khz - now) * 4000 <= now && !env->user_tsc_khz) {
        return 0;
    }
    if (env->tsc_khz == now
        || (kvm_check_extension(kvm_state, KVM_CAP_TSC_CONTROL)
            && kvm_vcpu_ioctl(CPU(cpu), KVM_SET_TSC_KHZ, (uintptr_t)env->tsc_khz) == 0)) {
        return 0;
    }
    warn_report_once("the guest's TSC runs at %" PRId64 " kHz, and this host's at %d kHz can't be "
                     "scaled: the guest's clock may drift", env->tsc_khz, now);
    return 0;
}

/* -- All of it ------------------------------------------------------------------------------- */

#define TRY(call, what) do {                                                                       \
        int try_ret_ = (call);                                                                     \
        if (try_ret_ < 0) {                                                                        \
            error_setg_errno(errp, -try_ret_, "KVM: %s", (what));                                  \
            return try_ret_;                                                                       \
        }                                                                                          \
    } while (0)
#define TRY_ERRP(call) do {                                                                        \
        int try_ret_ = (call);                                                                     \
        if (try_ret_ < 0) {                                                                        \
            return try_ret_;                                                                       \
        }                                                                                          \
    } while (0)

int kvm_arch_put_registers(CPUState *cs, int level, Error **errp)
{
    X86CPU *cpu = X86_CPU(cs);

    if (level == KVM_PUT_FULL_STATE) {
        TRY_ERRP(kvm_x86_put_early_msrs(cpu, errp));
        TRY(put_tsc_khz(cpu), "setting the TSC's rate");
    }
    TRY(put_sregs(cpu), "writing control registers (KVM_SET_SREGS)");
    if (level >= KVM_PUT_RESET_STATE) {
        TRY(put_nested(cpu, level), "writing the nested hypervisor's state (KVM_SET_NESTED_STATE)");
    }
    TRY(put_regs(cpu), "writing general registers (KVM_SET_REGS)");
    TRY(kvm_x86_put_xsave(cpu), "writing FPU and vector registers (KVM_SET_XSAVE)");
    TRY(put_xcrs(cpu), "writing extended control registers (KVM_SET_XCRS)");
    if (level >= KVM_PUT_RESET_STATE) {
        TRY(kvm_x86_put_lapic(cpu), "writing the local APIC (KVM_SET_LAPIC)");
    }
    TRY_ERRP(kvm_x86_put_msrs(cpu, level, errp));
    TRY(put_events(cpu, level), "writing pending events (KVM_SET_VCPU_EVENTS)");
    if (level >= KVM_PUT_RESET_STATE) {
        TRY(put_mp_state(cpu), "writing the multiprocessing state (KVM_SET_MP_STATE)");
        TRY_ERRP(kvm_x86_put_late_msrs(cpu, errp));
    }
    TRY(put_debugregs(cpu), "writing debug registers (KVM_SET_DEBUGREGS)");
    return 0;
}

int kvm_arch_get_registers(CPUState *cs, Error **errp)
{
    X86CPU *cpu = X86_CPU(cs);

    TRY(get_events(cpu), "reading pending events (KVM_GET_VCPU_EVENTS)");
    TRY(get_mp_state(cpu), "reading the multiprocessing state (KVM_GET_MP_STATE)");
    TRY(get_regs(cpu), "reading general registers (KVM_GET_REGS)");
    TRY(kvm_x86_get_xsave(cpu), "reading FPU and vector registers (KVM_GET_XSAVE)");
    TRY(get_xcrs(cpu), "reading extended control registers (KVM_GET_XCRS)");
    TRY(get_sregs(cpu), "reading control registers (KVM_GET_SREGS)");
    TRY_ERRP(kvm_x86_get_msrs(cpu, errp));
    TRY(kvm_x86_get_lapic(cpu), "reading the local APIC (KVM_GET_LAPIC)");
    TRY(get_debugregs(cpu), "reading debug registers (KVM_GET_DEBUGREGS)");
    TRY(get_nested(cpu), "reading the nested hypervisor's state (KVM_GET_NESTED_STATE)");
    x86_cpu_update_hflags(&cpu->env);
    return 0;
}
