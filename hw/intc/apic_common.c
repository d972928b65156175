/*
 * Local APICs, whoever does their work: section "apic", reset, and the arithmetic of the timer.
 *
 * The section's instance is the APIC's first id, and reset comes by qemu_register_reset(): APICs
 * sit on no bus.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/intc/apic_common.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "system/reset.h"

/* -- The timer ------------------------------------------------------------------------------- */

/* Value n means a division by 2^(n+1), but for 7, which means by 1. */
int apic_common_count_shift(uint32_t divide_conf)
{
    uint32_t code = (divide_conf & 3) | (divide_conf >> 1 & 4);

    return (code + 1) & 7;
}

uint32_t apic_common_timer_count(const APICCommonState *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint64_t passed = MAX(now - s->initial_count_load_time, 0) >> (s->count_shift & 7);

    if (!s->initial_count) {
        return 0;
    }
    if (s->lvt[APIC_LVT_TIMER] & APIC_LVT_PERIODIC) {
        return s->initial_count - passed % s->initial_count;
    }
    return passed < s->initial_count ? s->initial_count - passed : 0;
}

/* -- Saving ---------------------------------------------------------------------------------- */

static bool sipi_needed(void *opaque)
{
    APICCommonState *s = opaque;

    return s->wait_for_sipi;
}

static const VMStateDescription vmstate_sipi = {
    .name = "apic_sipi",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sipi_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(sipi_vector, APICCommonState),
        VMSTATE_INT32(wait_for_sipi, APICCommonState),
        VMSTATE_END_OF_LIST()
    },
};

static int apic_pre_load(void *opaque)
{
    APICCommonState *s = opaque;

    s->wait_for_sipi = 0;
    return 0;
}

static int apic_post_load(void *opaque, int version_id)
{
    APICCommonState *s = opaque;
    APICCommonClass *k = APIC_COMMON_GET_CLASS(s);

    s->count_shift &= 7; /* from outside: it is shifted by */
    if (k->post_load) {
        k->post_load(s);
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
        VMSTATE_UINT32(apicbase, APICCommonState),
        VMSTATE_UINT8(id, APICCommonState),
        VMSTATE_UINT8(arb_id, APICCommonState),
        VMSTATE_UINT8(tpr, APICCommonState),
        VMSTATE_UINT32(spurious_vec, APICCommonState),
        VMSTATE_UINT8(log_dest, APICCommonState),
        VMSTATE_UINT8(dest_mode, APICCommonState),
        VMSTATE_UINT32_ARRAY(isr, APICCommonState, 8),
        VMSTATE_UINT32_ARRAY(tmr, APICCommonState, 8),
        VMSTATE_UINT32_ARRAY(irr, APICCommonState, 8),
        VMSTATE_UINT32_ARRAY(lvt, APICCommonState, APIC_NR_LVT),
        VMSTATE_UINT32(esr, APICCommonState),
        VMSTATE_UINT32_ARRAY(icr, APICCommonState, 2),
        VMSTATE_UINT32(divide_conf, APICCommonState),
        VMSTATE_INT32(count_shift, APICCommonState),
        VMSTATE_UINT32(initial_count, APICCommonState),
        VMSTATE_INT64(initial_count_load_time, APICCommonState),
        VMSTATE_INT64(next_time, APICCommonState),
        VMSTATE_INT64(timer_expiry, APICCommonState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_sipi, NULL },
};

/* -- The device ------------------------------------------------------------------------------ */

void apic_common_init(APICCommonState *s)
{
    APICCommonClass *k = APIC_COMMON_GET_CLASS(s);

    s->tpr = s->log_dest = 0;
    s->spurious_vec = 0xff;
    s->dest_mode = 0xf;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (int i = 0; i < APIC_NR_LVT; i++) {
        s->lvt[i] = APIC_LVT_MASKED;
    }
    s->esr = 0;
    memset(s->icr, 0, sizeof(s->icr));
    s->divide_conf = 0;
    s->count_shift = 1;
    s->initial_count = 0;
    s->initial_count_load_time = s->next_time = 0;
    s->timer_expiry = -1;
    s->wait_for_sipi = 0;
    if (k->init_done) {
        k->init_done(s);
    }
}

bool apic_firmware_wires_pic;

static void apic_reset(void *opaque)
{
    APICCommonState *s = opaque;
    bool bsp = cpu_is_bsp(s->cpu);

    apic_common_init(s);
    s->apicbase = APIC_DEFAULT_ADDRESS | MSR_IA32_APICBASE_ENABLE |
                  (bsp ? MSR_IA32_APICBASE_BSP : 0);
    s->id = s->initial_id;
    s->arb_id = 0;
    s->sipi_vector = 0;
    if (bsp && !apic_firmware_wires_pic) {
        /* The PIC's interrupts reach the first processor, as if firmware had seen to it. */
        s->lvt[APIC_LVT_LINT0] = APIC_DM_EXTINT << 8;
    }
}

static void apic_realize(DeviceState *dev, Error **errp)
{
    APICCommonState *s = APIC_COMMON(dev);
    APICCommonClass *k = APIC_COMMON_GET_CLASS(s);

    if (k->realize) {
        k->realize(s);
    }
    vmstate_register(NULL, s->initial_id, &vmstate_apic, s);
    apic_reset(s);
    qemu_register_reset(apic_reset, s);
}

static void apic_unrealize(DeviceState *dev)
{
    APICCommonState *s = APIC_COMMON(dev);
    APICCommonClass *k = APIC_COMMON_GET_CLASS(s);

    qemu_unregister_reset(apic_reset, s);
    vmstate_unregister(NULL, &vmstate_apic, s);
    if (k->unrealize) {
        k->unrealize(s);
    }
}

DeviceState *apic_common_create(const char *type, X86CPU *cpu)
{
    static bool have_vapic;
    APICCommonState *s = APIC_COMMON(object_new(type));

    object_property_add_child(OBJECT(cpu), "lapic", OBJECT(s));
    object_unref(OBJECT(s));
    s->cpu = cpu;
    s->initial_id = cpu->apic_id;
    cpu->apic_state = DEVICE(s);
    if (!have_vapic) {
        /* No use to us, but machines of this kind have it, and so has their stream. */
        have_vapic = true;
        sysbus_create_simple(TYPE_KVM_VAPIC, -1, NULL);
    }
    qdev_realize(DEVICE(s), NULL, &error_abort);
    return DEVICE(s);
}

static void apic_common_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = apic_realize;
    dc->unrealize = apic_unrealize;
    dc->user_creatable = false;
}

static const TypeInfo apic_common_types[] = {
    {
        .name = TYPE_APIC_COMMON,
        .parent = TYPE_DEVICE,
        .abstract = true,
        .instance_size = sizeof(APICCommonState),
        .class_size = sizeof(APICCommonClass),
        .class_init = apic_common_class_init,
    },
};
DEFINE_TYPES(apic_common_types)
