/*
 * The I/O APIC: 24 pins, each with an entry that says how its interrupt travels to the local APICs.
 *
 * A pin that is triggered by level sends one message and then waits, with its entry's "remote" bit
 * set, until the interrupt's end is broadcast; if the line is still up then, it sends the next.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/intc/ioapic_common.h"

#define ENTRY_VECTOR(e)  ((uint8_t)(e))
#define ENTRY_MODE(e)    ((e) >> 8 & 7)
#define ENTRY_LOGICAL    (1ull << 11)
#define ENTRY_STATUS     (1ull << 12)       /* read only */
#define ENTRY_REMOTE     (1ull << 14)       /* read only */
#define ENTRY_LEVEL      (1ull << 15)
#define ENTRY_READ_ONLY  (ENTRY_STATUS | ENTRY_REMOTE)

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define REG_EOI    0x40
#define VERSION    0x20u

static GPtrArray *ioapics;

const IOAPICBus *ioapic_bus;

static void entries_changed(IOAPICCommonState *s)
{
    if (ioapic_bus && ioapic_bus->entries_changed) {
        ioapic_bus->entries_changed(g_ptr_array_index(ioapics, 0) == s ? 0 : 1, s->ioredtbl);
    }
}

static void serve_pin(IOAPICCommonState *s, int pin)
{
    uint64_t *entry = &s->ioredtbl[pin];
    uint8_t vector = ENTRY_VECTOR(*entry);
    unsigned mode = ENTRY_MODE(*entry);
    bool level = *entry & ENTRY_LEVEL;

    if (!(s->irr >> pin & 1) || *entry & IOAPIC_ENTRY_MASKED || (level && *entry & ENTRY_REMOTE)) {
        return;
    }
    if (!level) {
        s->irr &= ~(1u << pin);
    } else if (!ioapic_bus || ioapic_bus->tells_eoi) {
        *entry |= ENTRY_REMOTE;
    }
    if (ENTRY_MODE(*entry) == APIC_DM_EXTINT) {
        vector = pic_read_irq();
        mode = APIC_DM_FIXED;
    }
    if (ioapic_bus) {
        ioapic_bus->deliver(*entry >> 56, *entry & ENTRY_LOGICAL, mode, vector, level);
    } else {
        apic_deliver(*entry >> 56, *entry & ENTRY_LOGICAL, mode, vector, level);
    }
}

static void ioapic_set_irq(void *opaque, int pin, int level)
{
    IOAPICCommonState *s = opaque;
    uint32_t bit = 1u << pin;

    if (!level) {
        if (s->ioredtbl[pin] & ENTRY_LEVEL) {
            s->irr &= ~bit;
        }
        return;
    }
    if ((s->ioredtbl[pin] & (IOAPIC_ENTRY_MASKED | ENTRY_LEVEL)) ==
        IOAPIC_ENTRY_MASKED) {
        return; /* an edge that nobody wants to hear of is not kept */
    }
    s->irr |= bit;
    serve_pin(s, pin);
}

static void end_of_interrupt(IOAPICCommonState *s, uint8_t vector)
{
    for (int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
        if (s->ioredtbl[pin] & ENTRY_LEVEL && ENTRY_VECTOR(s->ioredtbl[pin]) == vector &&
            s->ioredtbl[pin] & ENTRY_REMOTE) {
            s->ioredtbl[pin] &= ~ENTRY_REMOTE;
            serve_pin(s, pin);
        }
    }
}

void ioapic_eoi_broadcast(uint8_t vector)
{
    for (guint i = 0; ioapics && i < ioapics->len; i++) {
        end_of_interrupt(g_ptr_array_index(ioapics, i), vector);
    }
}

bool ioapic_waiting_vectors(uint32_t *set)
{
    bool any = false;

    for (guint i = 0; ioapics && i < ioapics->len; i++) {
        const IOAPICCommonState *s = g_ptr_array_index(ioapics, i);

        for (int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
            uint64_t e = s->ioredtbl[pin];

            if (e & ENTRY_LEVEL && e & ENTRY_REMOTE) {
                set[ENTRY_VECTOR(e) / 32] |= 1u << (ENTRY_VECTOR(e) % 32);
                any = true;
            }
        }
    }
    return any;
}

static uint32_t read_window(IOAPICCommonState *s)
{
    unsigned at = s->ioregsel - 0x10u;

    switch (s->ioregsel) {
    case 0:
    case 2:
        return (uint32_t)s->id << 24;
    case 1:
        return VERSION | (IOAPIC_NUM_PINS - 1) << 16;
    }
    return at / 2 < IOAPIC_NUM_PINS ? s->ioredtbl[at / 2] >> (at % 2 * 32) : 0;
}

static void write_window(IOAPICCommonState *s, uint32_t value)
{
    unsigned at = s->ioregsel - 0x10u;
    uint64_t *entry, half;

    if (s->ioregsel == 0) {
        s->id = value >> 24 & 0xf;
        return;
    }
    if (at / 2 >= IOAPIC_NUM_PINS) {
        return;
    }
    entry = &s->ioredtbl[at / 2];
    half = at % 2 ? 0xffffffff00000000ull : 0xffffffffull & ~ENTRY_READ_ONLY;
    *entry = (*entry & ~half) | ((uint64_t)value << (at % 2 * 32) & half);
    if (!(*entry & ENTRY_LEVEL)) {
        *entry &= ~ENTRY_REMOTE;
    }
    entries_changed(s);
    serve_pin(s, at / 2);
}

static uint64_t ioapic_read(void *opaque, hwaddr addr, unsigned size)
{
    IOAPICCommonState *s = opaque;

    switch (addr & 0xff) {
    case REG_SELECT:
        return s->ioregsel;
    case REG_WINDOW:
        return size == 4 ? read_window(s) : 0;
    default:
        return 0;
    }
}

static void ioapic_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    IOAPICCommonState *s = opaque;

    switch (addr & 0xff) {
    case REG_SELECT:
        s->ioregsel = value;
        break;
    case REG_WINDOW:
        if (size == 4) {
            write_window(s, value);
        }
        break;
    case REG_EOI:
        end_of_interrupt(s, value);
        break;
    }
}

static const MemoryRegionOps ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static void ioapic_realize(DeviceState *dev, Error **errp)
{
    IOAPICCommonState *s = IOAPIC_COMMON(dev);

    memory_region_init_io(&s->mmio, OBJECT(s), &ioapic_ops, s, "ioapic", 0x1000);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->mmio);
    qdev_init_gpio_in(dev, ioapic_set_irq, IOAPIC_NUM_PINS);
    if (!ioapics) {
        ioapics = g_ptr_array_new();
    }
    g_ptr_array_add(ioapics, s);
    /* Lines may move before this is reset. */
    ioapic_common_reset(dev);
}

static void ioapic_unrealize(DeviceState *dev)
{
    g_ptr_array_remove(ioapics, IOAPIC_COMMON(dev));
}

static int ioapic_post_load(IOAPICCommonState *s)
{
    entries_changed(s);
    return 0;
}

static void ioapic_reset(DeviceState *dev)
{
    ioapic_common_reset(dev);
    entries_changed(IOAPIC_COMMON(dev));
}

static void ioapic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = ioapic_realize;
    dc->unrealize = ioapic_unrealize;
    device_class_set_legacy_reset(dc, ioapic_reset);
    dc->vmsd = &vmstate_ioapic_common;
    IOAPIC_COMMON_CLASS(oc)->post_load = ioapic_post_load;
}

DeviceState *ioapic_create(uint64_t addr)
{
    DeviceState *dev = qdev_new(TYPE_IOAPIC);
    Object *machine = object_resolve_path("/machine", NULL);

    if (machine) { /* tests of devices listen to its pins under this name */
        object_property_try_add_child(machine, "ioapic", OBJECT(dev), NULL);
    }
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, addr);
    return dev;
}

static const TypeInfo ioapic_types[] = {
    {
        .name = TYPE_IOAPIC,
        .parent = TYPE_IOAPIC_COMMON,
        .instance_size = sizeof(IOAPICCommonState),
        .class_init = ioapic_class_init,
    },
};
DEFINE_TYPES(ioapic_types)
