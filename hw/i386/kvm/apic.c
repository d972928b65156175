/*
 * The local APIC in the kernel, section "apic".
 *
 * Its registers move together with the CPU's (kvm_arch_get/put_registers call
 * kvm_x86_get/put_lapic),
 * because the order matters there. So what is here is valid whenever the CPU's registers are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/intc/apic_common.h"
#include "target/i386/kvm/kvm_i386.h"

static APICCommonState *lapic_of(X86CPU *cpu)
{
    return kvm_irqchip_in_kernel() && cpu->apic_state ? APIC_COMMON(cpu->apic_state) : NULL;
}

uint64_t kvm_x86_apic_base(X86CPU *cpu)
{
    APICCommonState *s = lapic_of(cpu);

    if (s) {
        return s->apicbase;
    }
    return APIC_DEFAULT_ADDRESS | MSR_IA32_APICBASE_ENABLE
        | (cpu_is_bsp(cpu) ? MSR_IA32_APICBASE_BSP : 0);
}

void kvm_x86_set_apic_base(X86CPU *cpu, uint64_t value)
{
    APICCommonState *s = lapic_of(cpu);

    if (s) {
        s->apicbase = value;
    }
}

uint8_t kvm_x86_cr8(X86CPU *cpu)
{
    APICCommonState *s = lapic_of(cpu);

    return s ? s->tpr >> 4 : 0;
}

void kvm_x86_set_cr8(X86CPU *cpu, uint8_t value)
{
    APICCommonState *s = lapic_of(cpu);

    if (s) {
        s->tpr = value << 4 | (s->tpr & 0xf);
    }
}

/* -- To and from the kernel ------------------------------------------------------------------ */

static uint32_t get_reg(const struct kvm_lapic_state *k, int reg)
{
    uint32_t value;

    memcpy(&value, k->regs + reg, sizeof(value));
    return value;
}

static void set_reg(struct kvm_lapic_state *k, int reg, uint32_t value)
{
    memcpy(k->regs + reg, &value, sizeof(value));
}

static bool is_x2apic(const APICCommonState *s)
{
    return s->apicbase & MSR_IA32_APICBASE_EXTD;
}

static void timer_from_kernel(APICCommonState *s, uint32_t current)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    if (s->timer_put_at == now) {
        return; /* the machine stood still all the while, whatever the kernel's own clock says */
    }
    s->count_shift = apic_common_count_shift(s->divide_conf);
    s->initial_count_load_time = now;
    s->next_time = 0;
    s->timer_expiry = -1;
    if (s->initial_count && current <= s->initial_count) {
        /* So that what remains can be told at the other end. */
        s->initial_count_load_time -= (int64_t)(s->initial_count - current) << s->count_shift;
        if (current && !(s->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED)) {
            s->next_time = now + ((int64_t)current << s->count_shift);
            s->timer_expiry = s->next_time;
        }
    }
}

int kvm_x86_get_lapic(X86CPU *cpu)
{
    APICCommonState *s = lapic_of(cpu);
    struct kvm_lapic_state k;
    int ret, i;

    if (!s) {
        return 0;
    }
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_LAPIC, &k);
    if (ret < 0) {
        return ret;
    }
    s->id = is_x2apic(s) ? s->initial_id : get_reg(&k, APIC_REG_ID) >> 24;
    s->tpr = get_reg(&k, APIC_REG_TPR);
    s->arb_id = get_reg(&k, APIC_REG_APR);
    s->log_dest = get_reg(&k, APIC_REG_LDR) >> 24;
    s->dest_mode = get_reg(&k, APIC_REG_DFR) >> 28;
    s->spurious_vec = get_reg(&k, APIC_REG_SVR);
    for (i = 0; i < 8; i++) {
        s->isr[i] = get_reg(&k, APIC_REG_ISR + 16 * i);
        s->tmr[i] = get_reg(&k, APIC_REG_TMR + 16 * i);
        s->irr[i] = get_reg(&k, APIC_REG_IRR + 16 * i);
    }
    s->esr = get_reg(&k, APIC_REG_ESR);
    s->icr[0] = get_reg(&k, APIC_REG_ICR);
    s->icr[1] = get_reg(&k, APIC_REG_ICR2);
    for (i = 0; i < APIC_NR_LVT; i++) {
        s->lvt[i] = get_reg(&k, APIC_REG_LVT + 16 * i);
    }
    s->initial_count = get_reg(&k, APIC_REG_TMICT);
    s->divide_conf = get_reg(&k, APIC_REG_TDCR);
    timer_from_kernel(s, get_reg(&k, APIC_REG_TMCCT));
    return 0;
}

int kvm_x86_put_lapic(X86CPU *cpu)
{
    APICCommonState *s = lapic_of(cpu);
    struct kvm_lapic_state k;
    int i;

    if (!s) {
        return 0;
    }
    memset(&k, 0, sizeof(k));
    /* Without the capability for wide ids the kernel's page has it in the old place always. */
    set_reg(&k, APIC_REG_ID, (is_x2apic(s) ? s->initial_id : s->id) << 24);
    set_reg(&k, APIC_REG_TPR, s->tpr);
    set_reg(&k, APIC_REG_LDR, (uint32_t)s->log_dest << 24);
    set_reg(&k, APIC_REG_DFR, (uint32_t)s->dest_mode << 28 | 0x0fffffff);
    set_reg(&k, APIC_REG_SVR, s->spurious_vec);
    for (i = 0; i < 8; i++) {
        set_reg(&k, APIC_REG_ISR + 16 * i, s->isr[i]);
        set_reg(&k, APIC_REG_TMR + 16 * i, s->tmr[i]);
        set_reg(&k, APIC_REG_IRR + 16 * i, s->irr[i]);
    }
    set_reg(&k, APIC_REG_ESR, s->esr);
    set_reg(&k, APIC_REG_ICR, s->icr[0]);
    set_reg(&k, APIC_REG_ICR2, s->icr[1]);
    for (i = 0; i < APIC_NR_LVT; i++) {
        set_reg(&k, APIC_REG_LVT + 16 * i, s->lvt[i]);
    }
    set_reg(&k, APIC_REG_TMICT, s->initial_count);
    set_reg(&k, APIC_REG_TMCCT, apic_common_timer_count(s));
    set_reg(&k, APIC_REG_TDCR, s->divide_conf);
    s->timer_put_at = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_LAPIC, &k);
}

/* -- The device ------------------------------------------------------------------------------ */

static void apic_post_load(APICCommonState *s)
{
    /* Processors wait in mp_state here. */
    s->wait_for_sipi = 0;
}

DeviceState *kvm_apic_create(X86CPU *cpu)
{
    DeviceState *dev = apic_common_create(TYPE_KVM_APIC, cpu);

    APIC_COMMON(dev)->timer_put_at = -1;
    return dev;
}

static void apic_class_init(ObjectClass *oc, void *data)
{
    APIC_COMMON_CLASS(oc)->post_load = apic_post_load;
}

static const TypeInfo apic_types[] = {
    {
        .name = TYPE_KVM_APIC,
        .parent = TYPE_APIC_COMMON,
        .instance_size = sizeof(APICCommonState),
        .class_init = apic_class_init,
    },
};
DEFINE_TYPES(apic_types)
