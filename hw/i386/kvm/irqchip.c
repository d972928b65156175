/*
 * The kernel's two PICs and its I/O APIC, sections "i8259" and "ioapic".
 *
 * State lives in the kernel; it is fetched before it is saved and handed over after it was loaded
 * or
 * reset. Lines are driven by GSI number (kvm_gsi_allocate), and routed in the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "system/kvm_int.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMPICState, KVM_I8259)
OBJECT_DECLARE_SIMPLE_TYPE(KVMIOAPICState, KVM_IOAPIC)

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

struct KVMPICState {
    SysBusDevice parent_obj;

    bool master;
    uint8_t elcr_mask;          /* lines that may be level triggered */
    uint8_t last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll, special_mask;
    uint8_t init_state, auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4, single_mode;
    uint8_t elcr, ltim;
};

/* One list for both directions. */
#define PIC_FIELDS(DO)                                                                             \
    DO(last_irr) DO(irr) DO(imr) DO(isr) DO(priority_add) DO(irq_base) DO(read_reg_select)         \
    DO(poll) DO(special_mask) DO(init_state) DO(auto_eoi) DO(rotate_on_auto_eoi)                   \
    DO(special_fully_nested_mode) DO(init4) DO(elcr)

static int pic_pre_save(void *opaque)
{
    KVMPICState *s = opaque;
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

static int pic_put(KVMPICState *s)
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

static int pic_post_load(void *opaque, int version_id)
{
    return pic_put(opaque);
}

static bool pic_ltim_needed(void *opaque)
{
    KVMPICState *s = opaque;

    return s->ltim;
}

/* Level triggering of all lines: the kernel has no such mode, other machines' state may. */
static const VMStateDescription vmstate_pic_ltim = {
    .name = "i8259/ltim",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = pic_ltim_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(ltim, KVMPICState),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_pic = {
    .name = "i8259",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pic_pre_save,
    .post_load = pic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(last_irr, KVMPICState),
        VMSTATE_UINT8(irr, KVMPICState),
        VMSTATE_UINT8(imr, KVMPICState),
        VMSTATE_UINT8(isr, KVMPICState),
        VMSTATE_UINT8(priority_add, KVMPICState),
        VMSTATE_UINT8(irq_base, KVMPICState),
        VMSTATE_UINT8(read_reg_select, KVMPICState),
        VMSTATE_UINT8(poll, KVMPICState),
        VMSTATE_UINT8(special_mask, KVMPICState),
        VMSTATE_UINT8(init_state, KVMPICState),
        VMSTATE_UINT8(auto_eoi, KVMPICState),
        VMSTATE_UINT8(rotate_on_auto_eoi, KVMPICState),
        VMSTATE_UINT8(special_fully_nested_mode, KVMPICState),
        VMSTATE_UINT8(init4, KVMPICState),
        VMSTATE_UINT8(single_mode, KVMPICState),
        VMSTATE_UINT8(elcr, KVMPICState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_pic_ltim, NULL },
};

static void pic_reset(DeviceState *dev)
{
    KVMPICState *s = KVM_I8259(dev);

#define CLEAR(field) s->field = 0;
    PIC_FIELDS(CLEAR)
#undef CLEAR
    s->single_mode = s->ltim = 0;
    pic_put(s);
}

static void pic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    device_class_set_legacy_reset(dc, pic_reset);
    dc->vmsd = &vmstate_pic;
    dc->user_creatable = false;
}

void kvm_i8259_create(void)
{
    int i;

    for (i = 0; i < 2; i++) {
        DeviceState *dev = qdev_new(TYPE_KVM_I8259);
        KVMPICState *s = KVM_I8259(dev);

        s->master = i == 0;
        s->elcr_mask = i == 0 ? 0xf8 : 0xde;
        sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    }
}

/* -- I/O APIC -------------------------------------------------------------------------------- */

#define IOAPIC_ADDRESS 0xfec00000u
#define IOAPIC_MASKED  (UINT64_C(1) << 16)

struct KVMIOAPICState {
    SysBusDevice parent_obj;

    uint8_t id, ioregsel;
    uint32_t irr;
    uint64_t ioredtbl[KVM_IOAPIC_NUM_PINS];
};

static int ioapic_pre_save(void *opaque)
{
    KVMIOAPICState *s = opaque;
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

static int ioapic_put(KVMIOAPICState *s)
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

static int ioapic_post_load(void *opaque, int version_id)
{
    return ioapic_put(opaque);
}

static const VMStateDescription vmstate_ioapic = {
    .name = "ioapic",
    .version_id = 3,
    .minimum_version_id = 1,
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(id, KVMIOAPICState),
        VMSTATE_UINT8(ioregsel, KVMIOAPICState),
        VMSTATE_UNUSED_V(2, 8),
        VMSTATE_UINT32_V(irr, KVMIOAPICState, 2),
        VMSTATE_UINT64_ARRAY(ioredtbl, KVMIOAPICState, KVM_IOAPIC_NUM_PINS),
        VMSTATE_END_OF_LIST()
    },
};

static void ioapic_reset(DeviceState *dev)
{
    KVMIOAPICState *s = KVM_IOAPIC(dev);
    int i;

    s->id = s->ioregsel = 0;
    s->irr = 0;
    for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        s->ioredtbl[i] = IOAPIC_MASKED;
    }
    ioapic_put(s);
}

static void ioapic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    device_class_set_legacy_reset(dc, ioapic_reset);
    dc->vmsd = &vmstate_ioapic;
    dc->user_creatable = false;
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
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(KVMPICState),
        .class_init = pic_class_init,
    },
    {
        .name = TYPE_KVM_IOAPIC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(KVMIOAPICState),
        .class_init = ioapic_class_init,
    },
};
DEFINE_TYPES(irqchip_types)
