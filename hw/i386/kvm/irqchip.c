/*
 * The kernel's two PICs and its I/O APIC, sections "i8259" and "ioapic".
 *
 * State lives in the kernel; it is fetched before it is saved and handed over after it was loaded
 * or reset. Lines are driven by GSI number (kvm_gsi_allocate), and routed in the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/intc/i8259_common.h"
#include "hw/intc/ioapic_common.h"
#include "qemu/error-report.h"
#include "system/kvm_int.h"

QEMU_BUILD_BUG_ON(IOAPIC_NUM_PINS != KVM_IOAPIC_NUM_PINS);

static void gsi_handler(void *opaque, int n, int level)
{
    kvm_set_irq(kvm_state, n, level);
}

qemu_irq *kvm_gsi_allocate(int n)
{
    return qemu_allocate_irqs(gsi_handler, NULL, n);
}

static int get_chip(int id, struct kvm_irqchip *chip)
{
    int ret;

    memset(chip, 0, sizeof(*chip));
    chip->chip_id = id;
    ret = kvm_vm_ioctl(kvm_state, KVM_GET_IRQCHIP, chip);
    if (ret < 0) {
        error_report("KVM does not give the state of interrupt controller %d: %s", id,
                     strerror(-ret));
    }
    return ret;
}

static int set_chip(struct kvm_irqchip *chip)
{
    int ret = kvm_vm_ioctl(kvm_state, KVM_SET_IRQCHIP, chip);

    if (ret < 0) {
        error_report("KVM does not take the state of interrupt controller %d: %s", chip->chip_id,
                     strerror(-ret));
    }
    return ret;
}

/* -- PIC ------------------------------------------------------------------------------------- */

/* One list for both directions. */
#define PIC_FIELDS(DO)                                                                             \
    DO(last_irr) DO(irr) DO(imr) DO(isr) DO(priority_add) DO(irq_base) DO(read_reg_select)         \
    DO(poll) DO(special_mask) DO(init_state) DO(auto_eoi) DO(rotate_on_auto_eoi)                   \
    DO(special_fully_nested_mode) DO(init4) DO(elcr)

static int pic_pre_save(PICCommonState *s)
{
    struct kvm_irqchip chip;
    int ret = get_chip(s->master ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, &chip);

    if (ret < 0) {
        return ret;
    }
#define FETCH(field) s->field = chip.chip.pic.field;
    PIC_FIELDS(FETCH)
#undef FETCH
    return 0;
}

static int pic_put(PICCommonState *s)
{
    struct kvm_irqchip chip = {
        .chip_id = s->master ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
    };

#define STORE(field) chip.chip.pic.field = s->field;
    PIC_FIELDS(STORE)
#undef STORE
    chip.chip.pic.elcr_mask = s->elcr_mask;
    return set_chip(&chip);
}

static void pic_reset(DeviceState *dev)
{
    PICCommonState *s = PIC_COMMON(dev);

    pic_common_reset(s);
    pic_put(s);
}

static void pic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PICCommonClass *k = PIC_COMMON_CLASS(oc);

    device_class_set_legacy_reset(dc, pic_reset);
    dc->vmsd = &vmstate_pic_common;
    k->pre_save = pic_pre_save;
    k->post_load = pic_put;
}

/*
 * The kernel has PICs in any case. They hear of nothing where the machine has none: never having
 * been programmed, they would answer with vectors that are exceptions.
 */
void kvm_i8259_create(void)
{
    for (int i = 0; i < 16; i++) {
        if (i != 2) {
            kvm_irqchip_add_irq_route(kvm_state, i,
                                      i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i & 7);
        }
    }
    kvm_irqchip_commit_routes(kvm_state);
    pic_common_create(TYPE_KVM_I8259, false);
    pic_common_create(TYPE_KVM_I8259, true);
}

/* -- I/O APIC -------------------------------------------------------------------------------- */

#define IOAPIC_ADDRESS 0xfec00000u

static int ioapic_pre_save(IOAPICCommonState *s)
{
    struct kvm_irqchip chip;
    int i, ret = get_chip(KVM_IRQCHIP_IOAPIC, &chip);

    if (ret < 0) {
        return ret;
    }
    s->id = chip.chip.ioapic.id;
    s->ioregsel = chip.chip.ioapic.ioregsel;
    s->irr = chip.chip.ioapic.irr;
    for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        s->ioredtbl[i] = chip.chip.ioapic.redirtbl[i].bits;
    }
    return 0;
}

static int ioapic_put(IOAPICCommonState *s)
{
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
    int i;

    chip.chip.ioapic.base_address = IOAPIC_ADDRESS;
    chip.chip.ioapic.id = s->id;
    chip.chip.ioapic.ioregsel = s->ioregsel;
    chip.chip.ioapic.irr = s->irr;
    for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        chip.chip.ioapic.redirtbl[i].bits = s->ioredtbl[i];
    }
    return set_chip(&chip);
}

static void ioapic_reset(DeviceState *dev)
{
    ioapic_common_reset(dev);
    ioapic_put(IOAPIC_COMMON(dev));
}

static void ioapic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    IOAPICCommonClass *k = IOAPIC_COMMON_CLASS(oc);

    device_class_set_legacy_reset(dc, ioapic_reset);
    dc->vmsd = &vmstate_ioapic_common;
    k->pre_save = ioapic_pre_save;
    k->post_load = ioapic_put;
}

DeviceState *kvm_ioapic_create(void)
{
    DeviceState *dev = qdev_new(TYPE_KVM_IOAPIC);

    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    return dev;
}

static const TypeInfo irqchip_types[] = {
    {
        .name = TYPE_KVM_I8259,
        .parent = TYPE_PIC_COMMON,
        .instance_size = sizeof(PICCommonState),
        .class_init = pic_class_init,
    },
    {
        .name = TYPE_KVM_IOAPIC,
        .parent = TYPE_IOAPIC_COMMON,
        .instance_size = sizeof(IOAPICCommonState),
        .class_init = ioapic_class_init,
    },
};
DEFINE_TYPES(irqchip_types)
