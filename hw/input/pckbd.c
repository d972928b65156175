/*
 * The keyboard controller (8042), section "pckbd".
 *
 * Nothing is plugged into its two sockets: what the guest sends there is answered by "resend" with
 * the time-out flag, as a controller does that gets no reply. What is left is what a PC needs it
 * for: its own commands, the A20 gate and the reset line on its output port, and bytes that the
 * guest puts into its output buffer itself, with the interrupts they cause.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/input/i8042.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(I8042State, I8042)

enum {
    CMD_READ_MODE = 0x20,
    CMD_WRITE_MODE = 0x60,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_OFF = 0xad,
    CMD_KBD_ON = 0xae,
    CMD_READ_INPORT = 0xc0,
    CMD_READ_OUTPORT = 0xd0,
    CMD_WRITE_OUTPORT = 0xd1,
    CMD_WRITE_OUTBUF = 0xd2,
    CMD_WRITE_AUX_OUTBUF = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_PULSE = 0xf0,           /* to 0xff: bits that are 0 pulse low; bit 0 is the reset line */
};

enum {
    STATUS_OUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,       /* the self test has passed */
    STATUS_COMMAND = 0x08,      /* the last write went to port 0x64 */
    STATUS_UNLOCKED = 0x10,
    STATUS_AUX = 0x20,          /* the byte in the buffer is the second socket's */
    STATUS_TIMEOUT = 0x40,

    MODE_KBD_IRQ = 0x01,
    MODE_AUX_IRQ = 0x02,
    MODE_SYSTEM = 0x04,
    MODE_KBD_OFF = 0x10,
    MODE_AUX_OFF = 0x20,

    OUT_RESET = 0x01,           /* low: reset */
    OUT_A20 = 0x02,
    OUT_DEFAULT = 0xcf,

    SOURCE_NONE = 0,
    SOURCE_KBD = 1,
    SOURCE_AUX = 2,
    SOURCE_CONTROLLER = 4,
};

#define REPLY_RESEND    0xfe
#define REPLY_SELF_TEST 0x55
#define INPORT          0x80    /* the keyboard is not locked */

struct I8042State {
    ISADevice parent_obj;

    MemoryRegion data_port, command_port;
    qemu_irq kbd_irq, aux_irq;
    bool extended_state;

    uint8_t write_cmd;          /* the command whose byte is to come at port 0x60; 0: none */
    uint8_t status, mode, outport;
    uint8_t pending_tmp;        /* streams of others; nothing waits behind the buffer here */
    uint32_t migration_flags;   /* likewise */
    uint32_t obsrc;             /* SOURCE_* of the byte in the buffer */
    uint8_t obdata, cbdata;     /* that byte, and the last one of the controller's */
};

static void update_irqs(I8042State *s)
{
    bool full = s->status & STATUS_OUT_FULL, aux = s->status & STATUS_AUX;

    qemu_set_irq(s->kbd_irq, full && !aux && (s->mode & MODE_KBD_IRQ));
    qemu_set_irq(s->aux_irq, full && aux && (s->mode & MODE_AUX_IRQ));
}

static void put_byte(I8042State *s, uint8_t byte, uint32_t source)
{
    s->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
    s->status |= STATUS_OUT_FULL | (source == SOURCE_AUX ? STATUS_AUX : 0);
    s->obdata = byte;
    s->obsrc = source;
    if (source == SOURCE_CONTROLLER) {
        s->cbdata = byte;
    }
    update_irqs(s);
}

static void no_answer(I8042State *s, uint32_t source)
{
    put_byte(s, REPLY_RESEND, source);
    s->status |= STATUS_TIMEOUT;
}

static void set_outport(I8042State *s, uint8_t value)
{
    s->outport = value;
    x86_set_a20(value & OUT_A20);
    if (!(value & OUT_RESET)) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

/* -- Ports ------------------------------------------------------------------------------------- */

static uint64_t status_read(void *opaque, hwaddr addr, unsigned size)
{
    I8042State *s = opaque;

    return s->status;
}

static void command_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    I8042State *s = opaque;

    s->status |= STATUS_COMMAND;
    s->write_cmd = 0;
    switch (value) {
    case CMD_READ_MODE:
        put_byte(s, s->mode, SOURCE_CONTROLLER);
        break;
    case CMD_WRITE_MODE:
    case CMD_WRITE_OUTPORT:
    case CMD_WRITE_OUTBUF:
    case CMD_WRITE_AUX_OUTBUF:
    case CMD_WRITE_AUX:
        s->write_cmd = value;
        break;
    case CMD_AUX_OFF:
        s->mode |= MODE_AUX_OFF;
        break;
    case CMD_AUX_ON:
        s->mode &= ~MODE_AUX_OFF;
        break;
    case CMD_SELF_TEST:
        s->status |= STATUS_SYSTEM;
        put_byte(s, REPLY_SELF_TEST, SOURCE_CONTROLLER);
        break;
    case CMD_KBD_TEST:
    case CMD_AUX_TEST:
        put_byte(s, 0, SOURCE_CONTROLLER);      /* nothing wrong with the lines */
        break;
    case CMD_KBD_OFF:
        s->mode |= MODE_KBD_OFF;
        update_irqs(s);
        break;
    case CMD_KBD_ON:
        s->mode &= ~MODE_KBD_OFF;
        update_irqs(s);
        break;
    case CMD_READ_INPORT:
        put_byte(s, INPORT, SOURCE_CONTROLLER);
        break;
    case CMD_READ_OUTPORT:
        put_byte(s, s->outport, SOURCE_CONTROLLER);
        break;
    case CMD_A20_OFF:
        set_outport(s, s->outport & ~OUT_A20);
        break;
    case CMD_A20_ON:
        set_outport(s, s->outport | OUT_A20);
        break;
    default:
        if (value >= CMD_PULSE && !(value & OUT_RESET)) {
            qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        }
        break;                  /* the rest means nothing to it */
    }
}

static uint64_t data_read(void *opaque, hwaddr addr, unsigned size)
{
    I8042State *s = opaque;

    if (s->status & STATUS_OUT_FULL) {
        s->status &= ~(STATUS_OUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
        s->obsrc = SOURCE_NONE;
        update_irqs(s);
    }
    return s->obdata;           /* the last one again when there is none */
}

static void data_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    I8042State *s = opaque;
    uint8_t command = s->write_cmd;

    s->status &= ~STATUS_COMMAND;
    s->write_cmd = 0;
    switch (command) {
    case CMD_WRITE_MODE:
        s->mode = value;
        s->status = (s->status & ~STATUS_SYSTEM) | (s->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0);
        update_irqs(s);
        break;
    case CMD_WRITE_OUTPORT:
        set_outport(s, value);
        break;
    case CMD_WRITE_OUTBUF:
        put_byte(s, value, SOURCE_KBD);
        break;
    case CMD_WRITE_AUX_OUTBUF:
        put_byte(s, value, SOURCE_AUX);
        break;
    case CMD_WRITE_AUX:
        no_answer(s, SOURCE_AUX);
        break;
    default:
        s->mode &= ~MODE_KBD_OFF;       /* writing to the keyboard switches it on */
        no_answer(s, SOURCE_KBD);
        break;
    }
}

static const MemoryRegionOps data_ops = {
    .read = data_read,
    .write = data_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

static const MemoryRegionOps command_ops = {
    .read = status_read,
    .write = command_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

/* -- State ------------------------------------------------------------------------------------- */

static bool outport_needed(void *opaque)
{
    I8042State *s = opaque;

    return s->outport != OUT_DEFAULT;
}

static const VMStateDescription vmstate_outport = {
    .name = "pckbd_outport",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = outport_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(outport, I8042State),
        VMSTATE_END_OF_LIST()
    },
};

static bool extended_state_needed(void *opaque)
{
    I8042State *s = opaque;

    return s->extended_state;
}

static const VMStateDescription vmstate_extended = {
    .name = "pckbd/extended_state",
    .version_id = 0,
    .minimum_version_id = 0,
    .needed = extended_state_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(migration_flags, I8042State),
        VMSTATE_UINT32(obsrc, I8042State),
        VMSTATE_UINT8(obdata, I8042State),
        VMSTATE_UINT8(cbdata, I8042State),
        VMSTATE_END_OF_LIST()
    },
};

static int kbd_pre_load(void *opaque)
{
    I8042State *s = opaque;

    s->outport = OUT_DEFAULT;   /* unless the subsection says otherwise */
    s->obsrc = SOURCE_NONE;
    return 0;
}

static int kbd_post_load(void *opaque, int version_id)
{
    update_irqs(opaque);
    return 0;
}

/* Its fields are those of the whole device: the layer is one of the stream only. */
static const VMStateDescription vmstate_kbd = {
    .name = "pckbd",
    .version_id = 3,
    .minimum_version_id = 3,
    .pre_load = kbd_pre_load,
    .post_load = kbd_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(write_cmd, I8042State),
        VMSTATE_UINT8(status, I8042State),
        VMSTATE_UINT8(mode, I8042State),
        VMSTATE_UINT8(pending_tmp, I8042State),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_outport,
        &vmstate_extended,
        NULL
    },
};

static const VMStateDescription vmstate_pckbd = {
    .name = "pckbd",
    .version_id = 3,
    .minimum_version_id = 3,
    .fields = (const VMStateField[]) {
        {
            .name = "kbd",
            .version_id = 0,
            .vmsd = &vmstate_kbd,
            .size = sizeof(I8042State),
            .flags = VMS_STRUCT,
            .offset = 0,
        },
        VMSTATE_END_OF_LIST()
    },
};

static void i8042_reset(DeviceState *dev)
{
    I8042State *s = I8042(dev);

    s->write_cmd = 0;
    s->mode = MODE_KBD_IRQ | MODE_AUX_IRQ;
    s->status = STATUS_COMMAND | STATUS_UNLOCKED;
    s->outport = OUT_DEFAULT;
    s->pending_tmp = 0;
    s->migration_flags = 0;
    s->obsrc = SOURCE_NONE;
    s->obdata = s->cbdata = 0;
    update_irqs(s);
}

static void i8042_realize(DeviceState *dev, Error **errp)
{
    I8042State *s = I8042(dev);

    s->kbd_irq = isa_get_irq(ISA_DEVICE(s), 1);
    s->aux_irq = isa_get_irq(ISA_DEVICE(s), 12);
    memory_region_init_io(&s->data_port, OBJECT(s), &data_ops, s, "i8042-data", 1);
    memory_region_init_io(&s->command_port, OBJECT(s), &command_ops, s, "i8042-cmd", 1);
    if (isa_register_ioport(ISA_DEVICE(s), &s->data_port, 0x60, errp)) {
        isa_register_ioport(ISA_DEVICE(s), &s->command_port, 0x64, errp);
    }
}

static const Property i8042_properties[] = {
    DEFINE_PROP_BOOL("extended-state", I8042State, extended_state, true),
};

static void i8042_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "keyboard controller";
    dc->realize = i8042_realize;
    dc->vmsd = &vmstate_pckbd;
    dc->user_creatable = false;
    device_class_set_legacy_reset(dc, i8042_reset);
    device_class_set_props(dc, i8042_properties);
}

DeviceState *i8042_create(ISABus *bus)
{
    DeviceState *dev = qdev_new(TYPE_I8042);

    qdev_realize_and_unref(dev, BUS(bus), &error_fatal);
    return dev;
}

static const TypeInfo i8042_types[] = {
    {
        .name = TYPE_I8042,
        .parent = TYPE_ISA_DEVICE,
        .instance_size = sizeof(I8042State),
        .class_init = i8042_class_init,
    },
};
DEFINE_TYPES(i8042_types)
