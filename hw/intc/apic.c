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
#include "hw/intc/apic_common.h"
#include "qemu/log.h"
#include "system/address-spaces.h"

#define LVT_MODE(lvt)  ((lvt) >> 8 & 7)

#define SVR_ENABLE     (1u << 8)

#define ESR_ILLEGAL_ADDRESS   (1u << 7)
#define ESR_RECEIVE_ILLEGAL   (1u << 6)

#define VERSION 0x14u
#define NO_VECTOR (-1)

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

static uint8_t processor_priority(const APICCommonState *s)
{
    int serving = highest(s->isr);
    uint8_t class = serving == NO_VECTOR ? 0 : serving & 0xf0;

    return (s->tpr & 0xf0) >= class ? s->tpr : class;
}

/* The vector that would be taken now. */
static int pending(const APICCommonState *s)
{
    int vector = highest(s->irr);

    if (!(s->spurious_vec & SVR_ENABLE) || vector == NO_VECTOR ||
        (vector & 0xf0) <= (processor_priority(s) & 0xf0)) {
        return NO_VECTOR;
    }
    return vector;
}

/* Do the PICs reach this CPU? */
static bool accepts_pic(const APICCommonState *s)
{
    uint32_t lint0;

    if (!(s->apicbase & MSR_IA32_APICBASE_ENABLE)) {
        return s == g_ptr_array_index(apics, 0);
    }
    lint0 = s->lvt[APIC_LVT_LINT0];
    return !(lint0 & APIC_LVT_MASKED) && LVT_MODE(lint0) == APIC_DM_EXTINT;
}

static void update(APICCommonState *s)
{
    if (pending(s) != NO_VECTOR || (pic_output_is_high() && accepts_pic(s))) {
        cpu_interrupt(CPU(s->cpu), CPU_INTERRUPT_HARD);
    } else {
        cpu_reset_interrupt(CPU(s->cpu), CPU_INTERRUPT_HARD);
    }
}

void (*apic_pic_wire)(bool level);

void apic_pic_output(bool level)
{
    if (apic_pic_wire) {
        apic_pic_wire(level);
    }
    for (guint i = 0; apics && i < apics->len; i++) {
        APICCommonState *s = g_ptr_array_index(apics, i);

        if (accepts_pic(s)) {
            update(s);
        }
    }
}

static void accept_vector(APICCommonState *s, uint8_t vector, bool level)
{
    if (vector < 16) {
        qemu_log_mask(LOG_GUEST_ERROR, "apic %u: interrupt with vector %u\n", s->id, vector);
        s->esr |= ESR_RECEIVE_ILLEGAL;
        return;
    }
    set_vector(s->irr, vector, true);
    set_vector(s->tmr, vector, level);
    update(s);
}

static void end_of_interrupt(APICCommonState *s)
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
    /* Elsewhere, the APIC has only the PIC's interrupts from here. */
    APICCommonState *s = apics && cpu->apic_state ? APIC_COMMON(cpu->apic_state) : NULL;
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

static bool addressed(const APICCommonState *s, uint8_t dest, bool logical)
{
    if (!logical) {
        return dest == 0xff || dest == s->id;
    }
    if (s->dest_mode == 0xf) {              /* flat: a bit each */
        return dest & s->log_dest;
    }
    return (dest >> 4 == s->log_dest >> 4 || dest >> 4 == 0xf) && dest & s->log_dest & 0xf;
}

static void receive(APICCommonState *s, unsigned mode, uint8_t vector, bool level)
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
        apic_common_init(s);
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
static APICCommonState *least_busy(const bool *members)
{
    APICCommonState *best = NULL;

    for (guint i = 0; i < apics->len; i++) {
        APICCommonState *s = g_ptr_array_index(apics, i);

        if (members[i] && (!best || processor_priority(s) < processor_priority(best))) {
            best = s;
        }
    }
    return best;
}

static void deliver_to(const bool *members, unsigned mode, uint8_t vector, bool level)
{
    if (mode == APIC_DM_LOWPRI) {
        APICCommonState *s = least_busy(members);

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
static void send(APICCommonState *self)
{
    uint32_t command = self->icr[0];
    unsigned mode = command >> 8 & 7, shorthand = command >> 18 & 3;
    bool level = command & 1u << 15, asserted = command & 1u << 14;
    g_autofree bool *members = g_new0(bool, apics->len);

    if (mode == APIC_DM_INIT && level && !asserted) {
        /* Only tells all to take their id for their place in arbitration. */
        for (guint i = 0; i < apics->len; i++) {
            APICCommonState *s = g_ptr_array_index(apics, i);

            s->arb_id = s->id;
        }
        return;
    }
    for (guint i = 0; i < apics->len; i++) {
        APICCommonState *s = g_ptr_array_index(apics, i);

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

/* Arm it for the next time after @now that the count reaches zero. */
static void timer_arm(APICCommonState *s, int64_t now)
{
    uint64_t period = (uint64_t)s->initial_count << s->count_shift;
    int64_t since = now - s->initial_count_load_time;

    s->timer_expiry = -1;
    if (s->initial_count && !(s->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED)) {
        if (since < (int64_t)period) {
            s->next_time = s->initial_count_load_time + period;
            s->timer_expiry = s->next_time;
        } else if (s->lvt[APIC_LVT_TIMER] & APIC_LVT_PERIODIC) {
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
    APICCommonState *s = opaque;
    int64_t due = s->next_time;

    if (!(s->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED)) {
        accept_vector(s, s->lvt[APIC_LVT_TIMER], false);
    }
    /* From the time that it was due, not from now: periods that went by count as one. */
    timer_arm(s, MAX(due, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)));
}

/* ---- the page of registers ---- */

static APICCommonState *current_apic(void)
{
    X86CPU *cpu = current_cpu ? X86_CPU(current_cpu) : NULL;

    return cpu && cpu->apic_state ? APIC_COMMON(cpu->apic_state) : NULL;
}

static uint64_t page_read(void *opaque, hwaddr addr, unsigned size)
{
    APICCommonState *s = current_apic();

    if (!s || addr & 0xf || addr >= 0x1000) {
        return 0;
    }
    switch (addr) {
    case APIC_REG_ID:
        return (uint32_t)s->id << 24;
    case APIC_REG_VERSION:
        return VERSION | (APIC_NR_LVT - 1) << 16;
    case APIC_REG_TPR:
        return s->tpr;
    case APIC_REG_APR:
        return s->arb_id;
    case APIC_REG_PPR:
        return processor_priority(s);
    case APIC_REG_LDR:
        return (uint32_t)s->log_dest << 24;
    case APIC_REG_DFR:
        return (uint32_t)s->dest_mode << 28 | 0x0fffffff;
    case APIC_REG_SVR:
        return s->spurious_vec;
    case APIC_REG_ISR ... APIC_REG_ISR + 0x70:
        return s->isr[(addr - APIC_REG_ISR) >> 4];
    case APIC_REG_TMR ... APIC_REG_TMR + 0x70:
        return s->tmr[(addr - APIC_REG_TMR) >> 4];
    case APIC_REG_IRR ... APIC_REG_IRR + 0x70:
        return s->irr[(addr - APIC_REG_IRR) >> 4];
    case APIC_REG_ESR:
        return s->esr;
    case APIC_REG_ICR:
        return s->icr[0];
    case APIC_REG_ICR2:
        return s->icr[1];
    case APIC_REG_LVT ... APIC_REG_LVT + 0x50:
        return s->lvt[(addr - APIC_REG_LVT) >> 4];
    case APIC_REG_TMICT:
        return s->initial_count;
    case APIC_REG_TMCCT:
        return apic_common_timer_count(s);
    case APIC_REG_TDCR:
        return s->divide_conf;
    default:
        s->esr |= ESR_ILLEGAL_ADDRESS;
        return 0;
    }
}

static void write_lvt(APICCommonState *s, int n, uint32_t value)
{
    if (!(s->spurious_vec & SVR_ENABLE)) {
        value |= APIC_LVT_MASKED;
    }
    s->lvt[n] = value;
    if (n == APIC_LVT_TIMER) {
        timer_arm(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    } else if (n == APIC_LVT_LINT0) {
        update(s);
    }
}

static void page_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    APICCommonState *s = current_apic();

    if (!s || addr >= 0x1000) {
        apic_deliver_msi(addr, value);
        return;
    }
    switch (addr) {
    case APIC_REG_ID:
        s->id = value >> 24;
        break;
    case APIC_REG_TPR:
        s->tpr = value;
        update(s);
        break;
    case APIC_REG_EOI:
        end_of_interrupt(s);
        break;
    case APIC_REG_LDR:
        s->log_dest = value >> 24;
        break;
    case APIC_REG_DFR:
        s->dest_mode = value >> 28;
        break;
    case APIC_REG_SVR:
        s->spurious_vec = value & 0x1ff;
        if (!(value & SVR_ENABLE)) {
            for (int i = 0; i < APIC_NR_LVT; i++) {
                s->lvt[i] |= APIC_LVT_MASKED;
            }
            timer_arm(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
        }
        update(s);
        break;
    case APIC_REG_ESR:
        s->esr = 0;
        break;
    case APIC_REG_ICR:
        s->icr[0] = value & ~(1u << 12); /* delivered at once: never pending */
        send(s);
        break;
    case APIC_REG_ICR2:
        s->icr[1] = value & 0xff000000;
        break;
    case APIC_REG_LVT ... APIC_REG_LVT + 0x50:
        if (!(addr & 0xf)) {
            write_lvt(s, (addr - APIC_REG_LVT) >> 4, value);
        }
        break;
    case APIC_REG_TMICT:
        s->initial_count = value;
        s->initial_count_load_time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
        timer_arm(s, s->initial_count_load_time);
        break;
    case APIC_REG_TDCR:
        s->divide_conf = value & 0xb;
        s->count_shift = apic_common_count_shift(s->divide_conf);
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
    return apic ? APIC_COMMON(apic)->apicbase : 0;
}

void cpu_set_apic_base(DeviceState *apic, uint64_t value)
{
    if (apic) {
        APICCommonState *s = APIC_COMMON(apic);

        /* The page stays where it is, and the first CPU is not to be unseated. */
        s->apicbase = (value & MSR_IA32_APICBASE_ENABLE) |
                      (s->apicbase & ~MSR_IA32_APICBASE_ENABLE);
        update(s);
    }
}

uint8_t cpu_get_apic_tpr(DeviceState *apic)
{
    return apic ? APIC_COMMON(apic)->tpr >> 4 : 0;
}

void cpu_set_apic_tpr(DeviceState *apic, uint8_t value)
{
    if (apic) {
        APIC_COMMON(apic)->tpr = value << 4;
        update(APIC_COMMON(apic));
    }
}

/* ---- the device ---- */

static void apic_post_load(APICCommonState *s)
{
    if (s->timer_expiry == -1) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, s->timer_expiry);
    }
}

static void apic_init_done(APICCommonState *s)
{
    s->wait_for_sipi = !cpu_is_bsp(s->cpu);
    timer_del(s->timer);
}

static void apic_realize(APICCommonState *s)
{
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_fired, s);
    if (!apics) {
        apics = g_ptr_array_new();
        memory_region_init_io(&page, NULL, &page_ops, NULL, "apic-msi", APIC_SPACE_SIZE);
        memory_region_add_subregion_overlap(get_system_memory(), APIC_DEFAULT_ADDRESS, &page,
                                            0x1000);
    }
    g_ptr_array_add(apics, s);
}

static void apic_unrealize(APICCommonState *s)
{
    g_ptr_array_remove(apics, s);
    timer_free(s->timer);
}

DeviceState *apic_create(X86CPU *cpu)
{
    return apic_common_create(TYPE_APIC, cpu);
}

static void apic_class_init(ObjectClass *oc, void *data)
{
    APICCommonClass *k = APIC_COMMON_CLASS(oc);

    k->realize = apic_realize;
    k->unrealize = apic_unrealize;
    k->init_done = apic_init_done;
    k->post_load = apic_post_load;
}

static const TypeInfo apic_types[] = {
    {
        .name = TYPE_APIC,
        .parent = TYPE_APIC_COMMON,
        .instance_size = sizeof(APICCommonState),
        .class_init = apic_class_init,
    },
};
DEFINE_TYPES(apic_types)

static void __attribute__((constructor)) apic_offer(void)
{
    x86_cpu_apic_create = apic_create;
}
