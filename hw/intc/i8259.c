/*
 * The two PICs of a PC, the second on line 2 of the first.
 *
 * Each is told edges or levels on eight lines (irr), masks them (imr) and orders them by priority,
 * which may rotate. The output goes to the CPU's local APIC (LINT0), the second's to the first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/intc/i8259_common.h"
#include "system/address-spaces.h"

#define CASCADE 2
#define NONE 8

static PICCommonState *pics[2]; /* NULL: the machine has none */

static void update(PICCommonState *s);

/* How far from the top the highest of @lines is; NONE if there is none. */
static int priority_of(const PICCommonState *s, uint8_t lines)
{
    int p;

    for (p = 0; p < 8; p++) {
        if (lines & 1 << ((p + s->priority_add) & 7)) {
            break;
        }
    }
    return p;
}

/* The line to be served next, or -1. */
static int next_line(const PICCommonState *s)
{
    uint8_t serving = s->isr;
    int wanted = priority_of(s, s->irr & ~s->imr), busy;

    if (s->special_mask) {
        serving &= ~s->imr;
    }
    if (s->special_fully_nested_mode && s->master) {
        serving &= ~(1 << CASCADE); /* the second orders its own */
    }
    busy = priority_of(s, serving);
    return wanted < busy ? (wanted + s->priority_add) & 7 : -1;
}

static void set_line(PICCommonState *s, int n, int level)
{
    uint8_t bit = 1 << n;

    if (s->ltim || s->elcr & bit) {
        s->irr = level ? s->irr | bit : s->irr & ~bit;
        s->last_irr = level ? s->last_irr | bit : s->last_irr & ~bit;
    } else if (level) {
        if (!(s->last_irr & bit)) {
            s->irr |= bit;
        }
        s->last_irr |= bit;
    } else {
        s->last_irr &= ~bit;
    }
    update(s);
}

static void update(PICCommonState *s)
{
    s->output = next_line(s) >= 0;
    if (s->master) {
        apic_pic_output(s->output);
    } else if (pics[0]) {
        set_line(pics[0], CASCADE, s->output);
    }
}

static void acknowledge(PICCommonState *s, int n)
{
    if (!s->auto_eoi) {
        s->isr |= 1 << n;
    } else if (s->rotate_on_auto_eoi) {
        s->priority_add = (n + 1) & 7;
    }
    /* A level stays for as long as the device holds it. */
    if (!s->ltim && !(s->elcr & 1 << n)) {
        s->irr &= ~(1 << n);
    }
    update(s);
}

/* The vector for the CPU; line 7 when the reason has gone in the meantime. */
static uint8_t take(PICCommonState *s)
{
    int n = next_line(s);
    uint8_t vector;

    if (n < 0) {
        return s->irq_base + 7;
    }
    vector = s->irq_base + n;
    if (s->master && n == CASCADE && pics[1]) {
        vector = take(pics[1]);
    }
    acknowledge(s, n);
    return vector;
}

uint8_t pic_read_irq(void)
{
    return pics[0] ? take(pics[0]) : 0xff;
}

bool pic_output_is_high(void)
{
    return pics[0] && pics[0]->output;
}

static void end_of_interrupt(PICCommonState *s, uint8_t command)
{
    bool specific = (command & 0x60) == 0x60, rotate = command & 0x80;
    int n = command & 7;

    switch (command >> 5) {
    case 0:                     /* stop, and */
    case 4:                     /* begin rotating at automatic ends */
        s->rotate_on_auto_eoi = rotate;
        return;
    case 2:
        return;
    case 6:                     /* only set the lowest priority */
        s->priority_add = (n + 1) & 7;
        update(s);
        return;
    }
    if (!specific) {
        int p = priority_of(s, s->isr);

        if (p == NONE) {
            return;
        }
        n = (p + s->priority_add) & 7;
    }
    s->isr &= ~(1 << n);
    if (rotate) {
        s->priority_add = (n + 1) & 7;
    }
    update(s);
}

static void pic_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    PICCommonState *s = opaque;

    if (addr == 0) {
        if (value & 0x10) {     /* first word of initialisation */
            pic_common_init(s);
            update(s);
            s->init_state = 1;
            s->init4 = value & 1;
            s->single_mode = !!(value & 2);
            s->ltim = !!(value & 8);
        } else if (value & 0x08) {
            s->poll = !!(value & 4);
            if (value & 2) {
                s->read_reg_select = value & 1;
            }
            if (value & 0x40) {
                s->special_mask = value >> 5 & 1;
                update(s);
            }
        } else {
            end_of_interrupt(s, value);
        }
        return;
    }
    switch (s->init_state) {
    case 0:
        s->imr = value;
        update(s);
        break;
    case 1:
        s->irq_base = value & 0xf8;
        s->init_state = s->single_mode ? (s->init4 ? 3 : 0) : 2;
        break;
    case 2:                     /* where the second one is: wired for good */
        s->init_state = s->init4 ? 3 : 0;
        break;
    default:
        s->special_fully_nested_mode = value >> 4 & 1;
        s->auto_eoi = value >> 1 & 1;
        s->init_state = 0;
        break;
    }
}

static uint64_t pic_read(void *opaque, hwaddr addr, unsigned size)
{
    PICCommonState *s = opaque;

    if (s->poll) {
        int n = next_line(s);

        s->poll = 0;
        if (n < 0) {
            return 0;
        }
        acknowledge(s, n);
        return 0x80 | n;
    }
    if (addr == 0) {
        return s->read_reg_select ? s->isr : s->irr;
    }
    return s->imr;
}

static void elcr_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    PICCommonState *s = opaque;

    s->elcr = value & s->elcr_mask;
}

static uint64_t elcr_read(void *opaque, hwaddr addr, unsigned size)
{
    PICCommonState *s = opaque;

    return s->elcr;
}

static const MemoryRegionOps pic_ops = {
    .read = pic_read, .write = pic_write, .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static const MemoryRegionOps elcr_ops = {
    .read = elcr_read, .write = elcr_write, .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static int pic_post_load(PICCommonState *s)
{
    s->priority_add &= 7; /* from outside: lines are counted from it */
    /* Without passing it on: what it leads to is loaded by itself. But for CPUs outside. */
    s->output = next_line(s) >= 0;
    if (s->master && apic_pic_wire) {
        apic_pic_wire(s->output);
    }
    return 0;
}

static void pic_set_irq(void *opaque, int n, int level)
{
    set_line(opaque, n, level);
}

static void pic_reset(DeviceState *dev)
{
    PICCommonState *s = PIC_COMMON(dev);

    pic_common_reset(s);
    update(s);
}

static void pic_realize(DeviceState *dev, Error **errp)
{
    PICCommonState *s = PIC_COMMON(dev);

    memory_region_init_io(&s->ports, OBJECT(s), &pic_ops, s, "pic", 2);
    memory_region_init_io(&s->elcr_port, OBJECT(s), &elcr_ops, s, "elcr", 1);
    memory_region_add_subregion(get_system_io(), s->master ? 0x20 : 0xa0, &s->ports);
    memory_region_add_subregion(get_system_io(), s->master ? 0x4d0 : 0x4d1, &s->elcr_port);
    qdev_init_gpio_in(dev, pic_set_irq, 8);
}

static void pic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = pic_realize;
    device_class_set_legacy_reset(dc, pic_reset);
    dc->vmsd = &vmstate_pic_common;
    PIC_COMMON_CLASS(oc)->post_load = pic_post_load;
}

void i8259_create(void)
{
    for (int i = 0; i < 2; i++) {
        pics[i] = pic_common_create(TYPE_I8259, i == 1);
    }
}

/* ---- lines to both kinds of controllers ---- */

static void gsi_handler(void *opaque, int n, int level)
{
    DeviceState *ioapic = opaque;

    if (n < ISA_NUM_IRQS && pics[n / 8]) {
        set_line(pics[n / 8], n % 8, level);
    }
    if (ioapic && n < IOAPIC_NUM_PINS) {
        /* The timer's line sits at pin 2 on every PC. */
        qemu_set_irq(qdev_get_gpio_in(ioapic, n == 0 ? 2 : n), level);
    }
}

qemu_irq *soft_gsi_allocate(DeviceState *ioapic, int n)
{
    return qemu_allocate_irqs(gsi_handler, ioapic, n);
}

typedef struct SecondLines {
    DeviceState *ioapic;
    int first;
} SecondLines;

static void second_handler(void *opaque, int n, int level)
{
    const SecondLines *s = opaque;

    qemu_set_irq(qdev_get_gpio_in(s->ioapic, n - s->first), level);
}

qemu_irq *soft_gsi_extend(qemu_irq *gsi, int n, DeviceState *second)
{
    SecondLines *s = g_new(SecondLines, 1); /* as long as the lines */

    *s = (SecondLines) { second, n };
    return qemu_extend_irqs(gsi, n, second_handler, s, IOAPIC_NUM_PINS);
}

static const TypeInfo i8259_types[] = {
    {
        .name = TYPE_I8259,
        .parent = TYPE_PIC_COMMON,
        .instance_size = sizeof(PICCommonState),
        .class_init = pic_class_init,
    },
};
DEFINE_TYPES(i8259_types)
