/*
 * Local APICs, one a CPU, where the accelerator has none.
 *
 * Interrupts are taken in by vector (irr), in service when the CPU has fetched them (isr), and
 * ordered by priority: the vector's high four bits. The CPU is told by CPU_INTERRUPT_HARD and
 * comes for the vector through cpu_get_pic_interrupt(). The timer counts virtual nanoseconds: its
 * bus runs at 1 GHz.
 *
 * All APICs share one page of addresses; whose registers it shows depends on which CPU's thread
 * asks. A write from elsewhere is a device's interrupt message.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/reset.h"
#include "target/i386/cpu.h"

OBJECT_DECLARE_SIMPLE_TYPE(APICState, APIC)

/* Offsets in the register page. */
enum {
    REG_ID = 0x20, REG_VERSION = 0x30, REG_TPR = 0x80, REG_APR = 0x90, REG_PPR = 0xa0,
    REG_EOI = 0xb0, REG_LDR = 0xd0, REG_DFR = 0xe0, REG_SVR = 0xf0, REG_ISR = 0x100,
    REG_TMR = 0x180, REG_IRR = 0x200, REG_ESR = 0x280, REG_ICR = 0x300, REG_ICR2 = 0x310,
    REG_LVT = 0x320, REG_TMICT = 0x380, REG_TMCCT = 0x390, REG_TDCR = 0x3e0,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORM, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVT };

#define LVT_MASKED     (1u << 16)
#define LVT_PERIODIC   (1u << 17)
#define LVT_MODE(lvt)  ((lvt) >> 8 & 7)

#define SVR_ENABLE     (1u << 8)

#define ESR_ILLEGAL_ADDRESS   (1u << 7)
#define ESR_RECEIVE_ILLEGAL   (1u << 6)

#define VERSION 0x14u
#define NO_VECTOR (-1)

struct APICState {
    DeviceState parent_obj;

    X86CPU *cpu;
    uint32_t initial_id;
    QEMUTimer *timer;

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
    int32_t count_shift;
    uint32_t initial_count;
    int64_t initial_count_load_time;    /* virtual clock, ns */
    int64_t next_time;
    int64_t timer_expiry;               /* -1: it does not run */
    int32_t sipi_vector, wait_for_sipi;
};

static GPtrArray *apics;                /* of all CPUs, in order of their making */
static MemoryRegion page;

/* ---- sets of vectors ---- */

static void set_vector(uint32_t *set, uint8_t vector, bool on)
{
    uint32_t bit = 1u << (vector & 31);

    set[vector >> 5] = on ? set[vector >> 5] | bit : set[vector >> 5] & ~bit;
}

static bool has_vector(const uint32_t *set, uint8_t vector)
{
    return set[vector >> 5] >> (vector & 31) & 1;
}

static int highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--) {
        if (set[i]) {
            return i * 32 + 31 - __builtin_clz(set[i]);
        }
    }
    return NO_VECTOR;
}

/* ---- what the CPU is to know ---- */

static uint8_t processor_priority(const APICState *s)
{
    int serving = highest(s->isr);
    uint8_t class = serving == NO_VECTOR ? 0 : serving & 0xf0;

    return (s->tpr & 0xf0) >= class ? s->tpr : class;
}

/* The vector that would be taken now. */
static int pending(const APICState *s)
{
    int vector = highest(s->irr);

    if (!(s->spurious_vec & SVR_ENABLE) || vector == NO_VECTOR ||
        (vector & 0xf0) <= (processor_priority(s) & 0xf0)) {
        return NO_VECTOR;
    }
    return vector;
}

/* Do the PICs reach this CPU? */
static bool accepts_pic(const APICState *s)
{
    if (!(s->apicbase & MSR_IA32_APICBASE_ENABLE)) {
        return s == g_ptr_array_index(apics, 0);
    }
    return !(s->lvt[LVT_LINT0] & LVT_MASKED) && LVT_MODE(s->lvt[LVT_LINT0]) == APIC_DM_EXTINT;
}

static void update(APICState *s)
{
    if (pending(s) != NO_VECTOR || (pic_output_is_high() && accepts_pic(s))) {
        cpu_interrupt(CPU(s->cpu), CPU_INTERRUPT_HARD);
    } else {
        cpu_reset_interrupt(CPU(s->cpu), CPU_INTERRUPT_HARD);
    }
}

void apic_pic_output(bool level)
{
    for (guint i = 0; apics && i < apics->len; i++) {
        APICState *s = g_ptr_array_index(apics, i);

        if (accepts_pic(s)) {
            update(s);
        }
    }
}

static void accept_vector(APICState *s, uint8_t vector, bool level)
{
    if (vector < 16) {
        s->esr |= ESR_RECEIVE_ILLEGAL;
        return;
    }
    set_vector(s->irr, vector, true);
    set_vector(s->tmr, vector, level);
    update(s);
}

static void end_of_interrupt(APICState *s)
{
    int vector = highest(s->isr);

    if (vector == NO_VECTOR) {
        return;
    }
    set_vector(s->isr, vector, false);
    if (has_vector(s->tmr, vector)) {
        ioapic_eoi_broadcast(vector);
    }
    update(s);
}

int cpu_get_pic_interrupt(CPUX86State *env)
{
    X86CPU *cpu = env_archcpu(env);
    APICState *s = cpu->apic_state ? APIC(cpu->apic_state) : NULL;
    int vector = s ? pending(s) : NO_VECTOR;

    if (vector != NO_VECTOR) {
        set_vector(s->irr, vector, false);
        set_vector(s->isr, vector, true);
        update(s);
        return vector;
    }
    if (pic_output_is_high() && (!s || accepts_pic(s))) {
        vector = pic_read_irq();
        if (s) {
            update(s);
        }
        return vector;
    }
    return -1;
}

/* ---- messages ---- */

/* After INIT: everything but the id and the base address goes back to its begin. */
static void apic_init_reset(APICState *s)
{
    s->tpr = s->log_dest = 0;
    s->spurious_vec = 0xff;
    s->dest_mode = 0xf;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (int i = 0; i < NR_LVT; i++) {
        s->lvt[i] = LVT_MASKED;
    }
    s->esr = 0;
    memset(s->icr, 0, sizeof(s->icr));
    s->divide_conf = 0;
    s->count_shift = 1;
    s->initial_count = 0;
    s->initial_count_load_time = s->next_time = 0;
    s->timer_expiry = -1;
    s->wait_for_sipi = !cpu_is_bsp(s->cpu);
    timer_del(s->timer);
}

static bool addressed(const APICState *s, uint8_t dest, bool logical)
{
    if (!logical) {
        return dest == 0xff || dest == s->id;
    }
    if (s->dest_mode == 0xf) {              /* flat: a bit each */
        return dest & s->log_dest;
    }
    return (dest >> 4 == s->log_dest >> 4 || dest >> 4 == 0xf) && dest & s->log_dest & 0xf;
}

static void receive(APICState *s, unsigned mode, uint8_t vector, bool level)
{
    CPUState *cs = CPU(s->cpu);

    switch (mode) {
    case APIC_DM_FIXED:
    case APIC_DM_LOWPRI:
        accept_vector(s, vector, level);
        break;
    case APIC_DM_NMI:
        cpu_interrupt(cs, CPU_INTERRUPT_NMI);
        break;
    case APIC_DM_INIT:
        apic_init_reset(s);
        cpu_interrupt(cs, CPU_INTERRUPT_INIT);
        break;
    case APIC_DM_SIPI:
        /* Only the first after INIT counts; system software sends two. */
        if (s->wait_for_sipi) {
            s->wait_for_sipi = 0;
            s->sipi_vector = vector;
            s->cpu->env.sipi_vector = vector;
            cpu_interrupt(cs, CPU_INTERRUPT_SIPI);
        }
        break;
    default:
        break; /* SMI: no such mode here. EXTINT: comes by its own wire */
    }
}

/* Of those in @members, the one that is least busy. */
static APICState *least_busy(const bool *members)
{
    APICState *best = NULL;

    for (guint i = 0; i < apics->len; i++) {
        APICState *s = g_ptr_array_index(apics, i);

        if (members[i] && (!best || processor_priority(s) < processor_priority(best))) {
            best = s;
        }
    }
    return best;
}

static void deliver_to(const bool *members, unsigned mode, uint8_t vector, bool level)
{
    if (mode == APIC_DM_LOWPRI) {
        APICState *s = least_busy(members);

        if (s) {
            receive(s, mode, vector, level);
        }
        return;
    }
    for (guint i = 0; i < apics->len; i++) {
        if (members[i]) {
            receive(g_ptr_array_index(apics, i), mode, vector, level);
        }
    }
}

void apic_deliver(uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level)
{
    g_autofree bool *members = NULL;

    if (!apics) {
        return;
    }
    members = g_new(bool, apics->len);
    for (guint i = 0; i < apics->len; i++) {
        members[i] = addressed(g_ptr_array_index(apics, i), dest, logical);
    }
    deliver_to(members, mode, vector, level);
}

void apic_deliver_msi(uint64_t addr, uint32_t data)
{
    apic_deliver(addr >> 12, addr & 4, data >> 8 & 7, data, data & 1u << 15);
}

/* The command register was written. */
static void send(APICState *self)
{
    uint32_t command = self->icr[0];
    unsigned mode = command >> 8 & 7, shorthand = command >> 18 & 3;
    bool level = command & 1u << 15, asserted = command & 1u << 14;
    g_autofree bool *members = g_new0(bool, apics->len);

    if (mode == APIC_DM_INIT && level && !asserted) {
        /* Only tells all to take their id for their place in arbitration. */
        for (guint i = 0; i < apics->len; i++) {
            APICState *s = g_ptr_array_index(apics, i);

            s->arb_id = s->id;
        }
        return;
    }
    for (guint i = 0; i < apics->len; i++) {
        APICState *s = g_ptr_array_index(apics, i);

        switch (shorthand) {
        case 0:
            members[i] = addressed(s, self->icr[1] >> 24, command & 1u << 11);
            break;
        case 1:
            members[i] = s == self;
            break;
        case 2:
            members[i] = true;
            break;
        case 3:
            members[i] = s != self;
            break;
        }
    }
    deliver_to(members, mode, command, level);
}

/* ---- the timer ---- */

static uint32_t timer_count(const APICState *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint64_t passed = MAX(now - s->initial_count_load_time, 0) >> s->count_shift;

    if (!s->initial_count) {
        return 0;
    }
    if (s->lvt[LVT_TIMER] & LVT_PERIODIC) {
        return s->initial_count - passed % s->initial_count;
    }
    return passed < s->initial_count ? s->initial_count - passed : 0;
}

/* Arm it for the next time after @now that the count reaches zero. */
static void timer_arm(APICState *s, int64_t now)
{
    uint64_t period = (uint64_t)s->initial_count << s->count_shift;
    int64_t since = now - s->initial_count_load_time;

    s->timer_expiry = -1;
    if (s->initial_count && !(s->lvt[LVT_TIMER] & LVT_MASKED)) {
        if (since < (int64_t)period) {
            s->next_time = s->initial_count_load_time + period;
            s->timer_expiry = s->next_time;
        } else if (s->lvt[LVT_TIMER] & LVT_PERIODIC) {
            s->next_time = s->initial_count_load_time + (since / period + 1) * period;
            s->timer_expiry = s->next_time;
        }
    }
    if (s->timer_expiry == -1) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, s->timer_expiry);
    }
}

static void timer_fired(void *opaque)
{
    APICState *s = opaque;
    int64_t due = s->next_time;

    if (!(s->lvt[LVT_TIMER] & LVT_MASKED)) {
        accept_vector(s, s->lvt[LVT_TIMER], false);
    }
    /* From the time that it was due, not from now: periods that went by count as one. */
    timer_arm(s, MAX(due, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)));
}

static void set_divider(APICState *s, uint32_t value)
{
    uint32_t code;

    s->divide_conf = value & 0xb;
    code = (s->divide_conf & 3) | (s->divide_conf >> 1 & 4);
    s->count_shift = (code + 1) & 7; /* 0 is a division by two; 7 by one */
}

/* ---- the page of registers ---- */

static APICState *current_apic(void)
{
    X86CPU *cpu = current_cpu ? X86_CPU(current_cpu) : NULL;

    return cpu && cpu->apic_state ? APIC(cpu->apic_state) : NULL;
}

static uint64_t page_read(void *opaque, hwaddr addr, unsigned size)
{
    APICState *s = current_apic();

    if (!s || addr & 0xf || addr >= 0x1000) {
        return 0;
    }
    switch (addr) {
    case REG_ID:
        return (uint32_t)s->id << 24;
    case REG_VERSION:
        return VERSION | (NR_LVT - 1) << 16;
    case REG_TPR:
        return s->tpr;
    case REG_APR:
        return s->arb_id;
    case REG_PPR:
        return processor_priority(s);
    case REG_LDR:
        return (uint32_t)s->log_dest << 24;
    case REG_DFR:
        return (uint32_t)s->dest_mode << 28 | 0x0fffffff;
    case REG_SVR:
        return s->spurious_vec;
    case REG_ISR ... REG_ISR + 0x70:
        return s->isr[(addr - REG_ISR) >> 4];
    case REG_TMR ... REG_TMR + 0x70:
        return s->tmr[(addr - REG_TMR) >> 4];
    case REG_IRR ... REG_IRR + 0x70:
        return s->irr[(addr - REG_IRR) >> 4];
    case REG_ESR:
        return s->esr;
    case REG_ICR:
        return s->icr[0];
    case REG_ICR2:
        return s->icr[1];
    case REG_LVT ... REG_LVT + 0x50:
        return s->lvt[(addr - REG_LVT) >> 4];
    case REG_TMICT:
        return s->initial_count;
    case REG_TMCCT:
        return timer_count(s);
    case REG_TDCR:
        return s->divide_conf;
    default:
        s->esr |= ESR_ILLEGAL_ADDRESS;
        return 0;
    }
}

static void write_lvt(APICState *s, int n, uint32_t value)
{
    if (!(s->spurious_vec & SVR_ENABLE)) {
        value |= LVT_MASKED;
    }
    s->lvt[n] = value;
    if (n == LVT_TIMER) {
        timer_arm(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    } else if (n == LVT_LINT0) {
        update(s);
    }
}

static void page_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    APICState *s = current_apic();

    if (!s || addr >= 0x1000) {
        apic_deliver_msi(addr, value);
        return;
    }
    switch (addr) {
    case REG_ID:
        s->id = value >> 24;
        break;
    case REG_TPR:
        s->tpr = value;
        update(s);
        break;
    case REG_EOI:
        end_of_interrupt(s);
        break;
    case REG_LDR:
        s->log_dest = value >> 24;
        break;
    case REG_DFR:
        s->dest_mode = value >> 28;
        break;
    case REG_SVR:
        s->spurious_vec = value & 0x1ff;
        if (!(value & SVR_ENABLE)) {
            for (int i = 0; i < NR_LVT; i++) {
                s->lvt[i] |= LVT_MASKED;
            }
            timer_arm(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
        }
        update(s);
        break;
    case REG_ESR:
        s->esr = 0;
        break;
    case REG_ICR:
        s->icr[0] = value & ~(1u << 12); /* delivered at once: never pending */
        send(s);
        break;
    case REG_ICR2:
        s->icr[1] = value & 0xff000000;
        break;
    case REG_LVT ... REG_LVT + 0x50:
        if (!(addr & 0xf)) {
            write_lvt(s, (addr - REG_LVT) >> 4, value);
        }
        break;
    case REG_TMICT:
        s->initial_count = value;
        s->initial_count_load_time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
        timer_arm(s, s->initial_count_load_time);
        break;
    case REG_TDCR:
        set_divider(s, value);
        timer_arm(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
        break;
    default:
        s->esr |= ESR_ILLEGAL_ADDRESS;
        break;
    }
}

static const MemoryRegionOps page_ops = {
    .read = page_read,
    .write = page_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.max_access_size = 4,
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ---- from the CPU's side ---- */

uint64_t cpu_get_apic_base(DeviceState *apic)
{
    return apic ? APIC(apic)->apicbase : 0;
}

void cpu_set_apic_base(DeviceState *apic, uint64_t value)
{
    if (apic) {
        /* The page stays where it is, and the first CPU is not to be unseated. */
        APIC(apic)->apicbase = (value & MSR_IA32_APICBASE_ENABLE) |
                               (APIC(apic)->apicbase & ~MSR_IA32_APICBASE_ENABLE);
        update(APIC(apic));
    }
}

uint8_t cpu_get_apic_tpr(DeviceState *apic)
{
    return apic ? APIC(apic)->tpr >> 4 : 0;
}

void cpu_set_apic_tpr(DeviceState *apic, uint8_t value)
{
    if (apic) {
        APIC(apic)->tpr = value << 4;
        update(APIC(apic));
    }
}

/* ---- saving ---- */

static bool sipi_needed(void *opaque)
{
    APICState *s = opaque;

    return s->wait_for_sipi;
}

static const VMStateDescription vmstate_sipi = {
    .name = "apic_sipi",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sipi_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(sipi_vector, APICState),
        VMSTATE_INT32(wait_for_sipi, APICState),
        VMSTATE_END_OF_LIST()
    },
};

static int apic_pre_load(void *opaque)
{
    APICState *s = opaque;

    s->wait_for_sipi = 0;
    return 0;
}

static int apic_post_load(void *opaque, int version_id)
{
    APICState *s = opaque;

    s->count_shift &= 7; /* from outside: it is shifted by */
    if (s->timer_expiry == -1) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, s->timer_expiry);
    }
    return 0;
}

static const VMStateDescription vmstate_apic = {
    .name = "apic",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_load = apic_pre_load,
    .post_load = apic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(apicbase, APICState),
        VMSTATE_UINT8(id, APICState),
        VMSTATE_UINT8(arb_id, APICState),
        VMSTATE_UINT8(tpr, APICState),
        VMSTATE_UINT32(spurious_vec, APICState),
        VMSTATE_UINT8(log_dest, APICState),
        VMSTATE_UINT8(dest_mode, APICState),
        VMSTATE_UINT32_ARRAY(isr, APICState, 8),
        VMSTATE_UINT32_ARRAY(tmr, APICState, 8),
        VMSTATE_UINT32_ARRAY(irr, APICState, 8),
        VMSTATE_UINT32_ARRAY(lvt, APICState, NR_LVT),
        VMSTATE_UINT32(esr, APICState),
        VMSTATE_UINT32_ARRAY(icr, APICState, 2),
        VMSTATE_UINT32(divide_conf, APICState),
        VMSTATE_INT32(count_shift, APICState),
        VMSTATE_UINT32(initial_count, APICState),
        VMSTATE_INT64(initial_count_load_time, APICState),
        VMSTATE_INT64(next_time, APICState),
        VMSTATE_INT64(timer_expiry, APICState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_sipi, NULL },
};

/* ---- the device ---- */

static void apic_reset(void *opaque)
{
    APICState *s = opaque;
    bool bsp = cpu_is_bsp(s->cpu);

    apic_init_reset(s);
    s->apicbase = APIC_DEFAULT_ADDRESS | MSR_IA32_APICBASE_ENABLE |
                  (bsp ? MSR_IA32_APICBASE_BSP : 0);
    s->id = s->initial_id;
    s->arb_id = 0;
    s->sipi_vector = 0;
    if (bsp) {
        /* The PIC's interrupts reach the first processor before anybody programs anything. */
        s->lvt[LVT_LINT0] = APIC_DM_EXTINT << 8;
    }
}

static void apic_realize(DeviceState *dev, Error **errp)
{
    APICState *s = APIC(dev);

    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_fired, s);
    if (!apics) {
        apics = g_ptr_array_new();
        memory_region_init_io(&page, NULL, &page_ops, NULL, "apic-msi", APIC_SPACE_SIZE);
        memory_region_add_subregion_overlap(get_system_memory(), APIC_DEFAULT_ADDRESS, &page,
                                            0x1000);
    }
    g_ptr_array_add(apics, s);
    vmstate_register(NULL, s->initial_id, &vmstate_apic, s);
    apic_reset(s);
    qemu_register_reset(apic_reset, s);
}

static void apic_unrealize(DeviceState *dev)
{
    APICState *s = APIC(dev);

    qemu_unregister_reset(apic_reset, s);
    vmstate_unregister(NULL, &vmstate_apic, s);
    g_ptr_array_remove(apics, s);
    timer_free(s->timer);
}

DeviceState *apic_create(X86CPU *cpu)
{
    APICState *s = APIC(object_new(TYPE_APIC));

    object_property_add_child(OBJECT(cpu), "lapic", OBJECT(s));
    object_unref(OBJECT(s));
    s->cpu = cpu;
    s->initial_id = cpu->apic_id;
    cpu->apic_state = DEVICE(s);
    if (!apics) {
        /* No use to us, but machines of this kind have it, and so has their stream. */
        sysbus_create_simple(TYPE_KVM_VAPIC, -1, NULL);
    }
    qdev_realize(DEVICE(s), NULL, &error_abort);
    return DEVICE(s);
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
        .name = TYPE_APIC,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(APICState),
        .class_init = apic_class_init,
    },
};
DEFINE_TYPES(apic_types)

static void __attribute__((constructor)) apic_offer(void)
{
    x86_cpu_apic_create = apic_create;
}
