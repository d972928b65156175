/*
 * The x86 half of the KVM accelerator: what a VM and a vCPU need before they run, injection of
 * interrupts where the interrupt controllers are ours, and exits that only x86 has.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "../cpu.h"
#include "hw/i386/apic.h"
#include "kvm_i386.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/cpus.h"
#include "system/runstate.h"

/*
 * Three pages for a task state segment and one for identity mapping, which Intel processors without
 * unrestricted guests need; just below the addresses of firmware, where no machine puts RAM.
 */
#define IDENTITY_MAP_ADDRESS 0xfeffc000u

bool kvm_has_exception_payload;
bool kvm_has_triple_fault_event;
bool kvm_has_smm;
bool kvm_has_sregs2;

const KVMCapabilityInfo kvm_arch_required_capabilities[] = {
    KVM_CAP_INFO(SET_TSS_ADDR),
    KVM_CAP_INFO(EXT_CPUID),
    KVM_CAP_INFO(MP_STATE),
    KVM_CAP_INFO(VCPU_EVENTS),
    KVM_CAP_INFO(XSAVE),
    KVM_CAP_INFO(XCRS),
    KVM_CAP_INFO(DEBUGREGS),
    KVM_CAP_LAST_INFO
};

/* -- The VM ---------------------------------------------------------------------------------- */

/* The TSC is kept while the machine stands, and asked for anew once it has run. */
static void tsc_moves_again(void *opaque, bool running, RunState state)
{
    CPUState *cs;

    if (running) {
        CPU_FOREACH(cs) {
            X86_CPU(cs)->env.tsc_valid = false;
        }
    }
}

static bool enable(KVMState *s, unsigned cap)
{
    return kvm_vm_check_extension(s, cap) > 0 && kvm_vm_enable_cap(s, cap, 1) == 0;
}

int kvm_arch_init(MachineState *ms, KVMState *s)
{
    uint64_t identity = IDENTITY_MAP_ADDRESS;
    int ret;

    kvm_has_exception_payload = enable(s, KVM_CAP_EXCEPTION_PAYLOAD);
    kvm_has_triple_fault_event = enable(s, KVM_CAP_X86_TRIPLE_FAULT_EVENT);

    kvm_has_smm = kvm_check_extension(s, KVM_CAP_X86_SMM) > 0;
    kvm_has_sregs2 = kvm_check_extension(s, KVM_CAP_SREGS2) > 0;

    ret = kvm_vm_ioctl(s, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (ret == 0) {
        ret = kvm_vm_ioctl(s, KVM_SET_TSS_ADDR, (uintptr_t)(IDENTITY_MAP_ADDRESS + 0x1000));
    }
    if (ret < 0) {
        error_report("KVM does not take an address for its own tables: %s", strerror(-ret));
        return ret;
    }
    qemu_add_vm_change_state_handler(tsc_moves_again, NULL);
    return 0;
}

int kvm_arch_irqchip_create(KVMState *s)
{
    int ret;

    if (s->irqchip_mode != KVM_IRQCHIP_SPLIT) {
        return 0;
    }
    ret = kvm_vm_enable_cap(s, KVM_CAP_SPLIT_IRQCHIP, KVM_SPLIT_IRQCHIP_PINS);
    if (ret < 0) {
        error_report("KVM can't have the local APICs alone (%s): use kernel-irqchip=on or off",
                     strerror(-ret));
        return ret;
    }
    return 1;
}

void kvm_arch_init_irq_routing(KVMState *s)
{
    int i;

    if (s->irqchip_mode == KVM_IRQCHIP_SPLIT) {
        return; /* as the I/O APICs are programmed: hw/i386/kvm/soft-irqchip.c */
    }
    /*
     * As PCs are wired: ISA lines reach the I/O APIC, whose pin 2 has line 0; and the two PICs, of
     * which hw/i386/kvm/irqchip.c takes care where the machine has them.
     */
    for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        if (i == 0) {
            kvm_irqchip_add_irq_route(s, i, KVM_IRQCHIP_IOAPIC, 2);
        } else if (i != 2) {
            kvm_irqchip_add_irq_route(s, i, KVM_IRQCHIP_IOAPIC, i);
        }
    }
}

/* -- vCPUs ----------------------------------------------------------------------------------- */

unsigned long kvm_arch_vcpu_id(CPUState *cs)
{
    return X86_CPU(cs)->apic_id;
}

static void init_mce(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint64_t cap = 0, mce = 1u << 7 | 1u << 14;
    int banks = kvm_check_extension(kvm_state, KVM_CAP_MCE);

    if (banks <= 0 || (env->features[FEAT_1_EDX] & mce) != mce
        || ((env->cpuid_version >> 8) & 0xf) < 6
        || kvm_ioctl(kvm_state, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap) < 0) {
        env->mcg_cap = 0;
        return;
    }
    if (!env->mcg_cap) {
        env->mcg_cap = MCE_CAP_DEF | MCE_BANKS_DEF | (cpu->enable_lmce ? MCG_LMCE_P : 0);
    }
    if (cpu->enable_lmce && !(cap & MCG_LMCE_P)) {
        warn_report_once("KVM on this host has no local machine checks: lmce=on has no effect");
    }
    cap = (cap & env->mcg_cap & ~UINT64_C(0xff)) | MIN(banks, MCE_BANKS_DEF);
    if (kvm_vcpu_ioctl(CPU(cpu), KVM_X86_SETUP_MCE, &cap) < 0) {
        cap = 0;
    }
    env->mcg_cap = cap;
}

static int init_tsc(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    int khz;

    if (env->user_tsc_khz) {
        int ret = kvm_vcpu_ioctl(CPU(cpu), KVM_SET_TSC_KHZ, (uintptr_t)env->user_tsc_khz);

        if (ret < 0) {
            error_report("KVM can't run the TSC at %" PRId64 " kHz: %s", env->user_tsc_khz,
                         strerror(-ret));
            return ret;
        }
    }
    khz = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_TSC_KHZ);
    if (!env->tsc_khz && khz > 0) {
        env->tsc_khz = khz;
    }
    return 0;
}

static void init_nested(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    bool svm = env->features[FEAT_8000_0001_ECX] & (1u << 2);
    bool vmx = env->features[FEAT_1_ECX] & (1u << 5);
    int max = kvm_check_extension(kvm_state, KVM_CAP_NESTED_STATE);

    if ((svm || vmx) && max > 0 && (size_t)max <= sizeof(X86NestedState) && !env->nested_state) {
        env->nested_state = g_new0(X86NestedState, 1);
    }
}

int kvm_arch_init_vcpu(CPUState *cs)
{
    X86CPU *cpu = X86_CPU(cs);
    int ret;

    cpu->kvm = g_new0(X86KVMState, 1);
    ret = init_tsc(cpu);
    if (ret == 0) {
        ret = kvm_x86_set_cpuid(cpu);
    }
    if (ret < 0) {
        return ret;
    }
    init_mce(cpu);
    init_nested(cpu);
    kvm_x86_init_xsave(cpu);
    return kvm_x86_init_msrs(cpu);
}

int kvm_arch_destroy_vcpu(CPUState *cs)
{
    X86CPU *cpu = X86_CPU(cs);

    g_clear_pointer(&cpu->env.nested_state, g_free);
    if (cpu->kvm) {
        qemu_vfree(cpu->kvm->xsave);
        g_free(cpu->kvm->msr_usable);
        g_free(cpu->kvm->msr_read);
        g_free(cpu->kvm->msr_read_which);
        g_clear_pointer(&cpu->kvm, g_free);
    }
    return 0;
}

void kvm_arch_reset_vcpu(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    if (CPU(cpu)->kvm_run) {
        CPU(cpu)->kvm_run->ready_for_interrupt_injection = 0;
    }
    env->xcr0 = 1;
    env->interrupt_injected = -1;
    /* With the APICs in the kernel, application processors wait there for a start-up IPI. */
    env->mp_state = !kvm_irqchip_in_kernel() || cpu_is_bsp(cpu) ? KVM_MP_STATE_RUNNABLE
                                                                : KVM_MP_STATE_UNINITIALIZED;
}

/* -- Running --------------------------------------------------------------------------------- */

/* Interrupts by hand, where no controller is in the kernel. BQL. */
static void inject(X86CPU *cpu, struct kvm_run *run)
{
    CPUState *cs = CPU(cpu);

    if (cs->interrupt_request & CPU_INTERRUPT_NMI) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_NMI);
        kvm_vcpu_ioctl(cs, KVM_NMI);
    }
    if (run->ready_for_interrupt_injection && (cs->interrupt_request & CPU_INTERRUPT_HARD)
        && (cpu->env.eflags & IF_MASK)) {
        int vector;

        cpu_reset_interrupt(cs, CPU_INTERRUPT_HARD);
        vector = cpu_get_pic_interrupt(&cpu->env);
        if (vector >= 0) {
            struct kvm_interrupt intr = { .irq = vector };
            int ret = kvm_vcpu_ioctl(cs, KVM_INTERRUPT, &intr);

            if (ret < 0) {
                error_report_once("KVM does not take interrupt %d: %s", vector, strerror(-ret));
            }
        }
    }
    /* Another one waits: have the guest leave as soon as it can take it. */
    run->request_interrupt_window = !!(cs->interrupt_request & CPU_INTERRUPT_HARD);
}

/*
 * kernel-irqchip=split: the kernel says when the CPU takes a PIC's interrupt, and remembers one
 * until the next entry. BQL.
 */
static void inject_pic(X86CPU *cpu, struct kvm_run *run)
{
    CPUState *cs = CPU(cpu);

    if (run->ready_for_interrupt_injection && cs->interrupt_request & CPU_INTERRUPT_HARD) {
        struct kvm_interrupt intr;
        int vector;

        cpu_reset_interrupt(cs, CPU_INTERRUPT_HARD);
        vector = cpu_get_pic_interrupt(&cpu->env);
        if (vector >= 0) {
            int ret;

            intr.irq = vector;
            ret = kvm_vcpu_ioctl(cs, KVM_INTERRUPT, &intr);
            if (ret < 0) {
                error_report_once("KVM does not take interrupt %d: %s", vector, strerror(-ret));
            }
            cpu->kvm->handed_over = ret == 0;
            run->ready_for_interrupt_injection = 0;
        }
    }
}

/*
 * An interrupt that the kernel was given for an entry that did not come about is in none of the
 * registers that it shows, and would be lost to one who saves them. A pending signal lets the entry
 * come as far as the interrupt's going into the registers, and no further. A vCPU that the kernel
 * has halted comes only as far as being woken by it, and a second time to where others come at once.
 *
 * Answers what KVM_RUN did: when there was something to be handled first, that is to be done.
 */
static int settle(CPUState *cs, struct kvm_run *run)
{
    union {
        struct kvm_signal_mask head;
        uint8_t bytes[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)];
    } mask;
    uint64_t open = ~(UINT64_C(1) << (SIG_IPI - 1));
    struct kvm_vcpu_events events = { 0 };
    struct timespec now = { 0 };
    int ret = -EINTR;
    sigset_t ipi, old;

    sigemptyset(&ipi);
    sigaddset(&ipi, SIG_IPI);
    pthread_sigmask(SIG_BLOCK, &ipi, &old);
    mask.head.len = sizeof(open); /* as the kernel has it */
    memcpy(mask.bytes + sizeof(struct kvm_signal_mask), &open, sizeof(open));
    kvm_vcpu_ioctl(cs, KVM_SET_SIGNAL_MASK, &mask);
    for (int i = 0; i < 2 && ret == -EINTR && !events.interrupt.injected; i++) {
        pthread_kill(pthread_self(), SIG_IPI);
        qatomic_set(&run->immediate_exit, 0);
        ret = kvm_vcpu_ioctl(cs, KVM_RUN, 0);
        sigtimedwait(&ipi, NULL, &now);
        kvm_vcpu_ioctl(cs, KVM_GET_VCPU_EVENTS, &events);
    }
    kvm_vcpu_ioctl(cs, KVM_SET_SIGNAL_MASK, NULL);
    qatomic_set(&run->immediate_exit, 1); /* the kick that led here still holds */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ret;
}

int kvm_arch_settle(CPUState *cs, struct kvm_run *run, int ret)
{
    X86CPU *cpu = X86_CPU(cs);

    if (likely(!cpu->kvm->handed_over)) {
        return ret;
    }
    if (ret == -EINTR && !run->ready_for_interrupt_injection) {
        ret = settle(cs, run);
    }
    /* The end of another interrupt is told before the entry; all else comes behind it. */
    cpu->kvm->handed_over = ret == 0 && run->exit_reason == KVM_EXIT_IOAPIC_EOI
                            && !run->ready_for_interrupt_injection;
    return ret;
}

void kvm_arch_pre_run(CPUState *cs, struct kvm_run *run)
{
    X86CPU *cpu = X86_CPU(cs);

    if (kvm_irqchip_is_split()) {
        bool wanted = qatomic_read(&cs->interrupt_request) & CPU_INTERRUPT_HARD;

        if (wanted && run->ready_for_interrupt_injection && !qatomic_read(&cs->exit_request)) {
            BQL_LOCK_GUARD();

            inject_pic(cpu, run);
            wanted = cs->interrupt_request & CPU_INTERRUPT_HARD;
        }
        run->request_interrupt_window = wanted;
    }
    if (kvm_irqchip_in_kernel()) {
        if (unlikely(cs->interrupt_request & CPU_INTERRUPT_NMI)) {
            BQL_LOCK_GUARD();

            cpu_reset_interrupt(cs, CPU_INTERRUPT_NMI);
            kvm_vcpu_ioctl(cs, KVM_NMI);
        }
        return;
    }
    BQL_LOCK_GUARD();
    inject(cpu, run);
    run->cr8 = kvm_x86_cr8(cpu);
}

MemTxAttrs kvm_arch_post_run(CPUState *cs, struct kvm_run *run)
{
    X86CPU *cpu = X86_CPU(cs);

    if (!kvm_irqchip_in_kernel()) {
        CPUX86State *env = &cpu->env;

        env->eflags = run->if_flag ? env->eflags | IF_MASK : env->eflags & ~IF_MASK;
        kvm_x86_set_cr8(cpu, run->cr8);
        kvm_x86_set_apic_base(cpu, run->apic_base);
    }
    return (MemTxAttrs) { .unspecified = 0 };
}

int kvm_arch_process_async_events(CPUState *cs)
{
    X86CPU *cpu = X86_CPU(cs);

    if (kvm_irqchip_in_kernel()) {
        return 0;
    }
    if (cs->interrupt_request & CPU_INTERRUPT_INIT) {
        kvm_cpu_synchronize_state(cs);
        do_cpu_init(cpu);
    }
    if (((cs->interrupt_request & CPU_INTERRUPT_HARD) && (cpu->env.eflags & IF_MASK))
        || (cs->interrupt_request & CPU_INTERRUPT_NMI)) {
        cs->halted = 0;
    }
    if (cs->interrupt_request & CPU_INTERRUPT_SIPI) {
        kvm_cpu_synchronize_state(cs);
        do_cpu_sipi(cpu);
    }
    return cs->halted;
}

static int handle_halt(X86CPU *cpu)
{
    CPUState *cs = CPU(cpu);

    BQL_LOCK_GUARD();
    if (!((cs->interrupt_request & CPU_INTERRUPT_HARD) && (cpu->env.eflags & IF_MASK))
        && !(cs->interrupt_request & CPU_INTERRUPT_NMI)) {
        cs->halted = 1;
        return EXCP_HLT;
    }
    return 0;
}

int kvm_arch_handle_exit(CPUState *cs, struct kvm_run *run)
{
    X86CPU *cpu = X86_CPU(cs);

    switch (run->exit_reason) {
    case KVM_EXIT_HLT:
        return handle_halt(cpu);
    case KVM_EXIT_IOAPIC_EOI: {
        BQL_LOCK_GUARD();

        ioapic_eoi_broadcast(run->eoi.vector);
        return 0;
    }
    case KVM_EXIT_SET_TPR:
        return 0;
    case KVM_EXIT_FAIL_ENTRY:
        error_report("KVM: entering the guest on CPU %d failed, hardware error 0x%" PRIx64,
                     cs->cpu_index, (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        return -1;
    case KVM_EXIT_EXCEPTION:
        error_report("KVM: CPU %d left the guest for exception %u (error code 0x%x)",
                     cs->cpu_index, run->ex.exception, run->ex.error_code);
        return -1;
    default:
        error_report("KVM: CPU %d left the guest for a reason this program does not know (%u)",
                     cs->cpu_index, run->exit_reason);
        return -1;
    }
}

bool kvm_arch_stop_on_emulation_error(CPUState *cs)
{
    CPUX86State *env = &X86_CPU(cs)->env;

    kvm_cpu_synchronize_state(cs);
    /* A guest's user program must not be able to stop its machine. */
    return !(env->cr[0] & CR0_PE_MASK) || (env->hflags & HF_CPL_MASK) != 3;
}
