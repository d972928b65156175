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
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/timer.h"
#include "system/reset.h"
#include "target/i386/cpu.h"
#include "target/i386/kvm/kvm_i386.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMAPICState, KVM_APIC)

/* Offsets in the register page. */
enum {
    REG_ID = 0x20, REG_TPR = 0x80, REG_LDR = 0xd0, REG_DFR = 0xe0, REG_SVR = 0xf0, REG_ISR = 0x100,
    REG_TMR = 0x180, REG_IRR = 0x200, REG_ESR = 0x280, REG_ICR = 0x300, REG_LVT = 0x320,
    REG_TMICT = 0x380, REG_TMCCT = 0x390, REG_TDCR = 0x3e0,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORM, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVT };

#define LVT_MASKED       (1u << 16)
#define LVT_PERIODIC     (1u << 17)
#define LVT_EXTINT       0x700u

struct KVMAPICState {
    DeviceState parent_obj;

    X86CPU *cpu;
    uint32_t initial_id;

    /* As it travels. */
    uint32_t apicbase;
    uint8_t id, arb_id, tpr;
    uint32_t spurious_vec;
    uint8_t log_dest, dest_mode;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[NR_LVT];
    uint32_t esr;
    uint32_t icr[2];
    uint32_t divide_conf;
    int32_t count_shift;                /* the timer counts every 2^count_shift ns */
    uint32_t initial_count;
    int64_t initial_count_load_time;    /* virtual clock, ns: when it began to count from there */
    int64_t next_time;
    int64_t timer_expiry;               /* -1: it does not run */
    int32_t sipi_vector, wait_for_sipi;
};

static KVMAPICState *lapic_of(X86CPU *cpu)
{
    return kvm_irqchip_in_kernel() && cpu->apic_state ? KVM_APIC(cpu->apic_state) : NULL;
}

uint64_t kvm_x86_apic_base(X86CPU *cpu)
{
    KVMAPICState *s = lapic_of(cpu);

    if (s) {
        return s->apicbase;
    }
    return APIC_DEFAULT_ADDRESS | MSR_IA32_APICBASE_ENABLE
        | (cpu_is_bsp(cpu) ? MSR_IA32_APICBASE_BSP : 0);
}

void kvm_x86_set_apic_base(X86CPU *cpu, uint64_t value)
{
    KVMAPICState *s = lapic_of(cpu);

    if (s) {
        s->apicbase = value;
    }
}

uint8_t kvm_x86_cr8(X86CPU *cpu)
{
    KVMAPICState *s = lapic_of(cpu);

    return s ? s->tpr >> 4 : 0;
}

void kvm_x86_set_cr8(X86CPU *cpu, uint8_t value)
{
    KVMAPICState *s = lapic_of(cpu);

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

static bool is_x2apic(const KVMAPICState *s)
{
    return s->apicbase & MSR_IA32_APICBASE_EXTD;
}

/* The divider register's value n means 2^(n+1), but for 7, which means 1. */
static int shift_of(uint32_t divide_conf)
{
    uint32_t v = (divide_conf & 3) | (divide_conf >> 1 & 4);

    return (v + 1) & 7;
}

static void timer_from_kernel(KVMAPICState *s, uint32_t current)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    s->count_shift = shift_of(s->divide_conf);
    s->initial_count_load_time = now;
    s->next_time = 0;
    s->timer_expiry = -1;
    if (s->initial_count && current <= s->initial_count) {
        /* So that what remains can be told at the other end. */
        s->initial_count_load_time -= (int64_t)(s->initial_count - current) << s->count_shift;
        if (current && !(s->lvt[LVT_TIMER] & LVT_MASKED)) {
            s->next_time = now + ((int64_t)current << s->count_shift);
            s->timer_expiry = s->next_time;
        }
    }
}

static uint32_t timer_remaining(const KVMAPICState *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint64_t passed = MAX(now - s->initial_count_load_time, 0) >> (s->count_shift & 7);

    if (!s->initial_count) {
        return 0;
    }
    if (passed < s->initial_count) {
        return s->initial_count - passed;
    }
    return s->lvt[LVT_TIMER] & LVT_PERIODIC ? s->initial_count - passed % s->initial_count : 0;
}

int kvm_x86_get_lapic(X86CPU *cpu)
{
    KVMAPICState *s = lapic_of(cpu);
    struct kvm_lapic_state k;
    int ret, i;

    if (!s) {
        return 0;
    }
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_LAPIC, &k);
    if (ret < 0) {
        return ret;
    }
    s->id = is_x2apic(s) ? s->initial_id : get_reg(&k, REG_ID) >> 24;
    s->tpr = get_reg(&k, REG_TPR);
    s->arb_id = get_reg(&k, 0x90);
    s->log_dest = get_reg(&k, REG_LDR) >> 24;
    s->dest_mode = get_reg(&k, REG_DFR) >> 28;
    s->spurious_vec = get_reg(&k, REG_SVR);
    for (i = 0; i < 8; i++) {
        s->isr[i] = get_reg(&k, REG_ISR + 16 * i);
        s->tmr[i] = get_reg(&k, REG_TMR + 16 * i);
        s->irr[i] = get_reg(&k, REG_IRR + 16 * i);
    }
    s->esr = get_reg(&k, REG_ESR);
    s->icr[0] = get_reg(&k, REG_ICR);
    s->icr[1] = get_reg(&k, REG_ICR + 16);
    for (i = 0; i < NR_LVT; i++) {
        s->lvt[i] = get_reg(&k, REG_LVT + 16 * i);
    }
    s->initial_count = get_reg(&k, REG_TMICT);
    s->divide_conf = get_reg(&k, REG_TDCR);
    timer_from_kernel(s, get_reg(&k, REG_TMCCT));
    return 0;
}

int kvm_x86_put_lapic(X86CPU *cpu)
{
    KVMAPICState *s = lapic_of(cpu);
    struct kvm_lapic_state k;
    int i;

    if (!s) {
        return 0;
    }
    memset(&k, 0, sizeof(k));
    /* Without the capability for wide ids the kernel's page has it in the old place always. */
    set_reg(&k, REG_ID, (is_x2apic(s) ? s->initial_id : s->id) << 24);
    set_reg(&k, REG_TPR, s->tpr);
    set_reg(&k, REG_LDR, (uint32_t)s->log_dest << 24);
    set_reg(&k, REG_DFR, (uint32_t)s->dest_mode << 28 | 0x0fffffff);
    set_reg(&k, REG_SVR, s->spurious_vec);
    for (i = 0; i < 8; i++) {
        set_reg(&k, REG_ISR + 16 * i, s->isr[i]);
        set_reg(&k, REG_TMR + 16 * i, s->tmr[i]);
        set_reg(&k, REG_IRR + 16 * i, s->irr[i]);
    }
    set_reg(&k, REG_ESR, s->esr);
    set_reg(&k, REG_ICR, s->icr[0]);
    set_reg(&k, REG_ICR + 16, s->icr[1]);
    for (i = 0; i < NR_LVT; i++) {
        set_reg(&k, REG_LVT + 16 * i, s->lvt[i]);
    }
    set_reg(&k, REG_TMICT, s->initial_count);
    set_reg(&k, REG_TMCCT, timer_remaining(s));
    set_reg(&k, REG_TDCR, s->divide_conf);
    return kvm_vcpu_ioctl(CPU(cpu), KVM_SET_LAPIC, &k);
}

/* -- Saving ---------------------------------------------------------------------------------- */

static bool sipi_needed(void *opaque)
{
    KVMAPICState *s = opaque;

    return s->wait_for_sipi;
}

static const VMStateDescription vmstate_sipi = {
    .name = "apic_sipi",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sipi_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(sipi_vector, KVMAPICState),
        VMSTATE_INT32(wait_for_sipi, KVMAPICState),
        VMSTATE_END_OF_LIST()
    },
};

static int apic_pre_load(void *opaque)
{
    KVMAPICState *s = opaque;

    s->wait_for_sipi = 0;
    return 0;
}

static int apic_post_load(void *opaque, int version_id)
{
    KVMAPICState *s = opaque;

    s->count_shift &= 7;
    /* Processors wait in mp_state here. */
    s->wait_for_sipi = 0;
    return 0;
}

static const VMStateDescription vmstate_apic = {
    .name = "apic",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_load = apic_pre_load,
    .post_load = apic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(apicbase, KVMAPICState),
        VMSTATE_UINT8(id, KVMAPICState),
        VMSTATE_UINT8(arb_id, KVMAPICState),
        VMSTATE_UINT8(tpr, KVMAPICState),
        VMSTATE_UINT32(spurious_vec, KVMAPICState),
        VMSTATE_UINT8(log_dest, KVMAPICState),
        VMSTATE_UINT8(dest_mode, KVMAPICState),
        VMSTATE_UINT32_ARRAY(isr, KVMAPICState, 8),
        VMSTATE_UINT32_ARRAY(tmr, KVMAPICState, 8),
        VMSTATE_UINT32_ARRAY(irr, KVMAPICState, 8),
        VMSTATE_UINT32_ARRAY(lvt, KVMAPICState, NR_LVT),
        VMSTATE_UINT32(esr, KVMAPICState),
        VMSTATE_UINT32_ARRAY(icr, KVMAPICState, 2),
        VMSTATE_UINT32(divide_conf, KVMAPICState),
        VMSTATE_INT32(count_shift, KVMAPICState),
        VMSTATE_UINT32(initial_count, KVMAPICState),
        VMSTATE_INT64(initial_count_load_time, KVMAPICState),
        VMSTATE_INT64(next_time, KVMAPICState),
        VMSTATE_INT64(timer_expiry, KVMAPICState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_sipi, NULL },
};

/* -- The device ------------------------------------------------------------------------------ */

static void apic_reset(void *opaque)
{
    KVMAPICState *s = opaque;
    bool bsp = cpu_is_bsp(s->cpu);
    int i;

    s->apicbase = APIC_DEFAULT_ADDRESS | MSR_IA32_APICBASE_ENABLE
        | (bsp ? MSR_IA32_APICBASE_BSP : 0);
    s->id = s->initial_id;
    s->arb_id = s->tpr = s->log_dest = 0;
    s->spurious_vec = 0xff;
    s->dest_mode = 0xf;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (i = 0; i < NR_LVT; i++) {
        s->lvt[i] = LVT_MASKED;
    }
    if (bsp) {
        /* The PIC's interrupts reach the first processor before anybody programs anything. */
        s->lvt[LVT_LINT0] = LVT_EXTINT;
    }
    s->esr = 0;
    memset(s->icr, 0, sizeof(s->icr));
    s->divide_conf = 0;
    s->count_shift = 1;
    s->initial_count = 0;
    s->initial_count_load_time = s->next_time = 0;
    s->timer_expiry = -1;
    s->wait_for_sipi = s->sipi_vector = 0;
}

DeviceState *kvm_apic_create(X86CPU *cpu)
{
    static bool have_vapic;
    KVMAPICState *s = KVM_APIC(object_new(TYPE_KVM_APIC));

    object_property_add_child(OBJECT(cpu), "lapic", OBJECT(s));
    object_unref(OBJECT(s));
    s->cpu = cpu;
    s->initial_id = cpu->apic_id;
    cpu->apic_state = DEVICE(s);
    if (!have_vapic) {
        have_vapic = true;
        sysbus_create_simple(TYPE_KVM_VAPIC, -1, NULL);
    }
    qdev_realize(DEVICE(s), NULL, &error_abort);
    return DEVICE(s);
}

static void apic_realize(DeviceState *dev, Error **errp)
{
    KVMAPICState *s = KVM_APIC(dev);

    vmstate_register(NULL, s->initial_id, &vmstate_apic, s);
    apic_reset(s);
    qemu_register_reset(apic_reset, s);
}

static void apic_unrealize(DeviceState *dev)
{
    KVMAPICState *s = KVM_APIC(dev);

    qemu_unregister_reset(apic_reset, s);
    vmstate_unregister(NULL, &vmstate_apic, s);
}

static void apic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = apic_realize;
    dc->unrealize = apic_unrealize;
    dc->user_creatable = false;
}

static const TypeInfo apic_types[] = {
    {
        .name = TYPE_KVM_APIC,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(KVMAPICState),
        .class_init = apic_class_init,
    },
};
DEFINE_TYPES(apic_types)
