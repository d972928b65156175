/*
 * The interval timer of a PC: three counters at 1.193182 MHz, the first of which interrupts.
 *
 * Nothing counts here: what a counter shows, and whether its output is high, follows from the
 * virtual time since it was loaded. One timer is armed for the next change of the first one's
 * output.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/timer/i8254_common.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"

OBJECT_DECLARE_SIMPLE_TYPE(PITState, I8254)

/* Times of changes are cut off to whole ns: only then has the output really changed. */
#define ROUNDED 1

/* How the two bytes of a count come and go. */
enum { RW_STATE_LSB = 1, RW_STATE_MSB, RW_STATE_WORD0, RW_STATE_WORD1 };

struct PITState {
    PITCommonState parent_obj;

    MemoryRegion ports;
    qemu_irq irq;
    QEMUTimer *timer;
};

static uint16_t counter(const PITChannel *c, int64_t now)
{
    uint64_t d = pit_elapsed(c, now), count = MAX(c->count, 1);

    switch (c->mode) {
    case 2:
        return count - d % count;
    case 3:
        return count - 2 * d % count;
    default:
        return count - d;
    }
}

static void update(PITState *s, int64_t now)
{
    PITChannel *c = &s->parent_obj.channels[0];

    c->next_transition_time = pit_next_change(c, now);
    if (c->irq_disabled) {
        timer_del(s->timer);
        return;
    }
    qemu_set_irq(s->irq, pit_output(c, now));
    if (c->next_transition_time == -1) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, c->next_transition_time + ROUNDED);
    }
}

static void pit_timer(void *opaque)
{
    PITState *s = opaque;

    update(s, s->parent_obj.channels[0].next_transition_time + ROUNDED);
}

static void load_count(PITState *s, PITChannel *c, uint16_t value)
{
    c->count = value ? value : 0x10000;
    c->count_load_time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    if (c == &s->parent_obj.channels[0]) {
        update(s, c->count_load_time);
    }
}

static void latch_count(PITChannel *c)
{
    if (!c->count_latched) {
        c->latched_count = counter(c, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
        c->count_latched = c->rw_mode;
    }
}

static void latch_status(PITChannel *c)
{
    if (!c->status_latched) {
        c->status = pit_output(c, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) << 7 | c->rw_mode << 4 |
                    c->mode << 1 | c->bcd;
        c->status_latched = 1;
    }
}

static void write_control(PITState *s, uint8_t value)
{
    unsigned which = value >> 6, access = value >> 4 & 3;
    PITChannel *c;

    if (which == 3) {           /* read back: some of these channels */
        for (int i = 0; i < 3; i++) {
            if (value & 2 << i) {
                if (!(value & 0x20)) {
                    latch_count(&s->parent_obj.channels[i]);
                }
                if (!(value & 0x10)) {
                    latch_status(&s->parent_obj.channels[i]);
                }
            }
        }
        return;
    }
    c = &s->parent_obj.channels[which];
    if (!access) {
        latch_count(c);
        return;
    }
    c->rw_mode = c->read_state = c->write_state = access;
    c->mode = (value >> 1 & 7) > 5 ? value >> 1 & 3 : value >> 1 & 7;
    c->bcd = value & 1;
    c->count_latched = 0;
    if (which == 0) {
        update(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    }
}

static void pit_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    PITState *s = opaque;
    PITChannel *c;

    if (addr == 3) {
        write_control(s, value);
        return;
    }
    c = &s->parent_obj.channels[addr];
    switch (c->write_state) {
    case RW_STATE_LSB:
        load_count(s, c, value & 0xff);
        break;
    case RW_STATE_MSB:
        load_count(s, c, (value & 0xff) << 8);
        break;
    case RW_STATE_WORD0:
        c->write_latch = value;
        c->write_state = RW_STATE_WORD1;
        break;
    case RW_STATE_WORD1:
        c->write_state = RW_STATE_WORD0;
        load_count(s, c, c->write_latch | (value & 0xff) << 8);
        break;
    }
}

static uint8_t read_latched(PITChannel *c)
{
    switch (c->count_latched) {
    case RW_STATE_MSB:
    case RW_STATE_WORD1:
        c->count_latched = 0;
        return c->latched_count >> 8;
    case RW_STATE_WORD0:
        c->count_latched = RW_STATE_WORD1;
        return c->latched_count;
    default:
        c->count_latched = 0;
        return c->latched_count;
    }
}

static uint64_t pit_read(void *opaque, hwaddr addr, unsigned size)
{
    PITState *s = opaque;
    PITChannel *c;
    uint16_t count;

    if (addr == 3) {
        return 0;
    }
    c = &s->parent_obj.channels[addr];
    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->count_latched) {
        return read_latched(c);
    }
    count = counter(c, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    switch (c->read_state) {
    case RW_STATE_MSB:
        return count >> 8;
    case RW_STATE_WORD0:
        c->read_state = RW_STATE_WORD1;
        return count & 0xff;
    case RW_STATE_WORD1:
        c->read_state = RW_STATE_WORD0;
        return count >> 8;
    default:
        return count & 0xff;
    }
}

static const MemoryRegionOps pit_ops = {
    .read = pit_read, .write = pit_write, .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static int pit_post_load(PITCommonState *common)
{
    PITState *s = I8254(common);
    PITChannel *c = &common->channels[0];

    if (c->next_transition_time == -1 || c->irq_disabled) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, c->next_transition_time + ROUNDED);
    }
    return 0;
}

static void pit_changed(PITCommonState *s)
{
    update(I8254(s), qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

static void pit_reset(DeviceState *dev)
{
    PITState *s = I8254(dev);
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    pit_common_reset(&s->parent_obj, now);
    update(s, now);
}

static void pit_realize(DeviceState *dev, Error **errp)
{
    PITState *s = I8254(dev);

    memory_region_init_io(&s->ports, OBJECT(s), &pit_ops, s, "pit", 4);
    memory_region_add_subregion(get_system_io(), 0x40, &s->ports);
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, pit_timer, s);
}

static void pit_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = pit_realize;
    device_class_set_legacy_reset(dc, pit_reset);
    dc->vmsd = &vmstate_pit_common;
    PIT_COMMON_CLASS(oc)->post_load = pit_post_load;
    PIT_COMMON_CLASS(oc)->changed = pit_changed;
}

DeviceState *i8254_create(qemu_irq irq)
{
    DeviceState *dev = qdev_new(TYPE_I8254);

    I8254(dev)->irq = irq;
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    return dev;
}

static const TypeInfo pit_types[] = {
    {
        .name = TYPE_I8254,
        .parent = TYPE_PIT_COMMON,
        .instance_size = sizeof(PITState),
        .class_init = pit_class_init,
    },
};
DEFINE_TYPES(pit_types)
