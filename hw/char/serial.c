/*
 * The 16550A serial port, section "serial".
 *
 * What the guest writes goes to a character device (chardev/char-fe.h) at once; only where that
 * takes no more does the byte wait in the shift register. Input is taken as the guest makes
 * room for it. The one thing that needs a clock is the receive timeout, after four characters' time.
 *
 * Two fields of the state travel only when they can't be told from the registers: whether the
 * transmitter's interrupt is pending (usually IIR says so), and FIFOs that are not empty.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/char/serial.h"
#include "chardev/char-fe.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(ISASerialState, ISA_SERIAL)

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

enum {
    IER_RECEIVE = 0x01,
    IER_TRANSMIT = 0x02,
    IER_LINE = 0x04,
    IER_MODEM = 0x08,

    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_TRANSMIT = 0x02,
    IIR_RECEIVE = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_ID = 0x0f,
    IIR_FIFOS = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_CLEAR_RECEIVE = 0x02,
    FCR_CLEAR_TRANSMIT = 0x04,
    FCR_KEPT = 0xc9,

    LCR_WORD = 0x03,
    LCR_STOP = 0x04,
    LCR_PARITY = 0x08,
    LCR_DLAB = 0x80,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_MASK = 0x1f,

    LSR_DATA = 0x01,
    LSR_OVERRUN = 0x02,
    LSR_BREAK = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THR_EMPTY = 0x20,
    LSR_ALL_SENT = 0x40,

    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_DELTAS = 0x0f,
};

#define FIFO_SIZE 16
#define BASE_BAUD 115200
/* As long as nobody reads the other end, this often is output tried before the byte is dropped. */
#define RETRIES_MAX 4

/* A ring of bytes; the form in the stream is its layout. */
typedef struct SerialFifo {
    uint8_t *data;
    uint32_t capacity, head, num;
} SerialFifo;

typedef struct SerialState {
    uint16_t divider;
    uint8_t rbr, ier, iir, lcr, mcr, lsr, msr, scr;
    uint8_t fcr, fcr_vmstate;
    uint8_t thr;                /* written, not in the shift register yet (without FIFOs) */
    uint8_t tsr;                /* in the shift register while tsr_retry is not 0 */
    uint32_t tsr_retry;         /* times that the back end has refused tsr */
    int32_t thr_ipending;       /* -1 while loading: to be told from iir */
    int32_t timeout_ipending;
    SerialFifo recv_fifo, xmit_fifo;
    QEMUTimer *fifo_timeout_timer;
    /* Of modem lines polled at a real port, which others may do: taken and forgotten. */
    int32_t poll_msl;
    QEMUTimer *modem_status_poll;

    CharBackend chr;
    guint watch_tag;
    VMChangeStateEntry *run_handler;
    qemu_irq irq;
} SerialState;

struct ISASerialState {
    SysBusDevice parent_obj;

    SerialState state;
    MemoryRegion io;
    uint32_t index, iobase;
};

/* -- FIFOs ------------------------------------------------------------------------------------- */

static void fifo_reset(SerialFifo *f)
{
    f->head = f->num = 0;
}

static bool fifo_full(const SerialFifo *f)
{
    return f->num == f->capacity;
}

static void fifo_push(SerialFifo *f, uint8_t byte)
{
    f->data[(f->head + f->num++) % f->capacity] = byte;
}

static uint8_t fifo_pop(SerialFifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (f->head + 1) % f->capacity;
    f->num--;
    return byte;
}

/* -- Interrupts -------------------------------------------------------------------------------- */

static bool fifos_on(const SerialState *s)
{
    return s->fcr & FCR_ENABLE;
}

static uint32_t receive_trigger(const SerialState *s)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return fifos_on(s) ? levels[s->fcr >> 6] : 1;
}

static void update_irq(SerialState *s)
{
    uint8_t id = IIR_NONE;

    if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS)) {
        id = IIR_LINE;
    } else if ((s->ier & IER_RECEIVE) && s->timeout_ipending) {
        id = IIR_TIMEOUT;
    } else if ((s->ier & IER_RECEIVE) && (s->lsr & LSR_DATA)
               && (!fifos_on(s) || s->recv_fifo.num >= receive_trigger(s))) {
        id = IIR_RECEIVE;
    } else if ((s->ier & IER_TRANSMIT) && s->thr_ipending) {
        id = IIR_TRANSMIT;
    } else if ((s->ier & IER_MODEM) && (s->msr & MSR_DELTAS)) {
        id = IIR_MODEM;
    }
    s->iir = id | (fifos_on(s) ? IIR_FIFOS : 0);
    qemu_set_irq(s->irq, id != IIR_NONE);
}

/* Nanoseconds that one character takes on the line. */
static int64_t character_time(const SerialState *s)
{
    unsigned half_bits = 2 * (1 + 5 + (s->lcr & LCR_WORD) + !!(s->lcr & LCR_PARITY) + 1);

    if (s->lcr & LCR_STOP) {
        half_bits += (s->lcr & LCR_WORD) ? 2 : 1;
    }
    return NANOSECONDS_PER_SECOND * half_bits / 2 * MAX(s->divider, 1) / BASE_BAUD;
}

static void arm_receive_timeout(SerialState *s)
{
    timer_mod_ns(s->fifo_timeout_timer,
                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + 4 * character_time(s));
}

static void receive_timeout(void *opaque)
{
    SerialState *s = opaque;

    if (s->recv_fifo.num) {
        s->timeout_ipending = 1;
        update_irq(s);
    }
}

/* -- Receiving --------------------------------------------------------------------------------- */

static int can_receive(void *opaque)
{
    SerialState *s = opaque;

    if (fifos_on(s)) {
        return s->recv_fifo.capacity - s->recv_fifo.num;
    }
    return !(s->lsr & LSR_DATA);
}

static void receive(void *opaque, const uint8_t *buf, int size)
{
    SerialState *s = opaque;

    for (int i = 0; i < size; i++) {
        if (!fifos_on(s)) {
            s->lsr |= s->lsr & LSR_DATA ? LSR_OVERRUN : 0;
            s->rbr = buf[i];
        } else if (fifo_full(&s->recv_fifo)) {
            s->lsr |= LSR_OVERRUN;
        } else {
            fifo_push(&s->recv_fifo, buf[i]);
        }
    }
    if (size > 0) {
        s->lsr |= LSR_DATA;
        if (fifos_on(s)) {
            arm_receive_timeout(s);
        }
    }
    update_irq(s);
}

static void chr_event(void *opaque, QEMUChrEvent event)
{
    SerialState *s = opaque;

    if (event == CHR_EVENT_BREAK) {
        s->rbr = 0;
        if (fifos_on(s) && !fifo_full(&s->recv_fifo)) {
            fifo_push(&s->recv_fifo, 0);
        }
        s->lsr |= LSR_BREAK | LSR_DATA;
        update_irq(s);
    }
}

static uint8_t read_data(SerialState *s)
{
    uint8_t byte;

    if (!fifos_on(s)) {
        byte = s->rbr;
        s->lsr &= ~(LSR_DATA | LSR_BREAK);
    } else {
        byte = s->recv_fifo.num ? fifo_pop(&s->recv_fifo) : 0;
        if (s->recv_fifo.num) {
            arm_receive_timeout(s);
        } else {
            s->lsr &= ~(LSR_DATA | LSR_BREAK);
            timer_del(s->fifo_timeout_timer);
        }
        s->timeout_ipending = 0;
    }
    update_irq(s);
    if (!(s->mcr & MCR_LOOP)) {
        qemu_chr_fe_accept_input(&s->chr);
    }
    return byte;
}

/* -- Sending ----------------------------------------------------------------------------------- */

static void transmit(SerialState *s);

static gboolean output_possible(void *do_not_use, GIOCondition condition, void *opaque)
{
    SerialState *s = opaque;

    s->watch_tag = 0;
    transmit(s);
    return FALSE;
}

/* Wait until the back end takes more, or the machine runs; false if the back end can't tell. */
static bool wait_for_output(SerialState *s)
{
    if (!runstate_is_running()) {
        return true; /* run_state_changed() sees to it */
    }
    s->watch_tag = qemu_chr_fe_add_watch(&s->chr, G_IO_OUT | G_IO_HUP, output_possible, s);
    return s->watch_tag != 0;
}

static void stop_waiting(SerialState *s)
{
    if (s->watch_tag) {
        g_source_remove(s->watch_tag);
        s->watch_tag = 0;
    }
}

/*
 * What waits in a machine that stands belongs to whoever runs it next, perhaps in another process:
 * sent now, it would be sent there again.
 */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    SerialState *s = opaque;

    if (!running) {
        stop_waiting(s);
    } else if (s->tsr_retry && !s->watch_tag && !wait_for_output(s)) {
        transmit(s);
    }
}

/* Send what is in the shift register: false if it has to stay there for now. */
static bool shift_out(SerialState *s)
{
    if (s->mcr & MCR_LOOP) {
        receive(s, &s->tsr, 1);
    } else if (qemu_chr_fe_write(&s->chr, &s->tsr, 1) != 1 && s->tsr_retry < RETRIES_MAX) {
        if (wait_for_output(s)) {
            s->tsr_retry++;
            return false;
        }
    }
    s->tsr_retry = 0;
    return true;
}

/* Send all that is there, as long as the back end takes it. */
static void transmit(SerialState *s)
{
    if (s->watch_tag || (s->tsr_retry && !runstate_is_running())) {
        return;
    }
    for (;;) {
        if (!s->tsr_retry) {
            if (s->lsr & LSR_THR_EMPTY) {
                s->lsr |= LSR_ALL_SENT;
                break;
            }
            if (fifos_on(s)) {
                s->tsr = s->xmit_fifo.num ? fifo_pop(&s->xmit_fifo) : 0;
            } else {
                s->tsr = s->thr;
            }
            if (!fifos_on(s) || !s->xmit_fifo.num) {
                s->lsr |= LSR_THR_EMPTY;
                s->thr_ipending = 1;
            }
        }
        if (!shift_out(s)) {
            break;
        }
    }
    update_irq(s);
}

static void write_data(SerialState *s, uint8_t byte)
{
    s->thr = byte;
    if (fifos_on(s)) {
        /* A full FIFO keeps what it has but for the last byte. */
        if (fifo_full(&s->xmit_fifo)) {
            s->xmit_fifo.num--;
        }
        fifo_push(&s->xmit_fifo, byte);
    }
    s->thr_ipending = 0;
    s->lsr &= ~(LSR_THR_EMPTY | LSR_ALL_SENT);
    transmit(s);
}

/* -- Registers --------------------------------------------------------------------------------- */

static void set_fcr(SerialState *s, uint8_t value)
{
    s->fcr = value & FCR_KEPT;
    update_irq(s);
}

static void write_fcr(SerialState *s, uint8_t value)
{
    bool toggled = (value ^ s->fcr) & FCR_ENABLE;

    if (toggled || (value & FCR_CLEAR_RECEIVE)) {
        s->lsr &= ~(LSR_DATA | LSR_BREAK);
        timer_del(s->fifo_timeout_timer);
        s->timeout_ipending = 0;
        fifo_reset(&s->recv_fifo);
    }
    if (toggled || (value & FCR_CLEAR_TRANSMIT)) {
        s->lsr |= LSR_THR_EMPTY | (s->tsr_retry ? 0 : LSR_ALL_SENT);
        s->thr_ipending = 1;
        fifo_reset(&s->xmit_fifo);
    }
    set_fcr(s, value);
    qemu_chr_fe_accept_input(&s->chr);
}

static void write_ier(SerialState *s, uint8_t value)
{
    uint8_t turned_on = value & ~s->ier;

    s->ier = value & (IER_RECEIVE | IER_TRANSMIT | IER_LINE | IER_MODEM);
    /* Asking for the transmitter's interrupt while there is nothing to send raises it. */
    if (turned_on & IER_TRANSMIT) {
        s->thr_ipending = !!(s->lsr & LSR_THR_EMPTY);
    }
    update_irq(s);
}

static uint8_t read_msr(SerialState *s)
{
    uint8_t value = s->msr;

    if (s->mcr & MCR_LOOP) {
        /* Outputs come back as inputs. */
        return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0)
            | (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
    }
    if (value & MSR_DELTAS) {
        s->msr &= ~MSR_DELTAS;
        update_irq(s);
    }
    return value;
}

static uint64_t serial_read(void *opaque, hwaddr addr, unsigned size)
{
    SerialState *s = opaque;
    uint8_t value;

    switch (addr) {
    case REG_DATA:
        return s->lcr & LCR_DLAB ? s->divider & 0xff : read_data(s);
    case REG_IER:
        return s->lcr & LCR_DLAB ? s->divider >> 8 : s->ier;
    case REG_IIR_FCR:
        value = s->iir;
        if ((value & IIR_ID) == IIR_TRANSMIT) {
            s->thr_ipending = 0;
            update_irq(s);
        }
        return value;
    case REG_LCR:
        return s->lcr;
    case REG_MCR:
        return s->mcr;
    case REG_LSR:
        value = s->lsr;
        if (value & (LSR_OVERRUN | LSR_BREAK)) {
            s->lsr &= ~(LSR_OVERRUN | LSR_BREAK);
            update_irq(s);
        }
        return value;
    case REG_MSR:
        return read_msr(s);
    default:
        return s->scr;
    }
}

static void serial_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    SerialState *s = opaque;
    uint8_t value = data;

    switch (addr) {
    case REG_DATA:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff00) | value;
        } else {
            write_data(s, value);
        }
        break;
    case REG_IER:
        if (s->lcr & LCR_DLAB) {
            s->divider = (s->divider & 0xff) | value << 8;
        } else {
            write_ier(s, value);
        }
        break;
    case REG_IIR_FCR:
        write_fcr(s, value);
        break;
    case REG_LCR:
        s->lcr = value;
        break;
    case REG_MCR:
        s->mcr = value & MCR_MASK;
        break;
    case REG_SCR:
        s->scr = value;
        break;
    }
}

static const MemoryRegionOps serial_ops = {
    .read = serial_read,
    .write = serial_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .impl = { .min_access_size = 1, .max_access_size = 1 },
};

/* -- State ------------------------------------------------------------------------------------- */

static bool fifo_is_sound(void *opaque, int version_id)
{
    SerialFifo *f = opaque;

    return f->head < f->capacity && f->num <= f->capacity;
}

static const VMStateDescription vmstate_fifo = {
    .name = "Fifo8",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_VBUFFER_UINT32(data, SerialFifo, 1, NULL, capacity),
        VMSTATE_UINT32(head, SerialFifo),
        VMSTATE_UINT32(num, SerialFifo),
        VMSTATE_VALIDATE("indices within the FIFO", fifo_is_sound),
        VMSTATE_END_OF_LIST()
    },
};

static bool thr_ipending_needed(void *opaque)
{
    SerialState *s = opaque;

    /* IIR says so where the interrupt is enabled; enabling it looks at LSR anew. */
    return (s->ier & IER_TRANSMIT)
        && !!s->thr_ipending != ((s->iir & IIR_ID) == IIR_TRANSMIT);
}

static bool tsr_needed(void *opaque)
{
    return ((SerialState *)opaque)->tsr_retry != 0;
}

static bool recv_fifo_needed(void *opaque)
{
    return ((SerialState *)opaque)->recv_fifo.num != 0;
}

static bool xmit_fifo_needed(void *opaque)
{
    return ((SerialState *)opaque)->xmit_fifo.num != 0;
}

static bool timer_needed(void *opaque)
{
    return timer_pending(((SerialState *)opaque)->fifo_timeout_timer);
}

static bool timeout_ipending_needed(void *opaque)
{
    /* IIR may say so too, but not every reader sees it there: QEMU 7.2 and 10.0 don't. */
    return ((SerialState *)opaque)->timeout_ipending > 0;
}

static bool poll_needed(void *opaque)
{
    return ((SerialState *)opaque)->poll_msl >= 0;
}

#define SUBSECTION(NAME, NEEDED, ...)                                                              \
    static const VMStateDescription vmstate_##NAME = {                                             \
        .name = "serial/" #NAME,                                                                   \
        .version_id = 1,                                                                           \
        .minimum_version_id = 1,                                                                   \
        .needed = NEEDED,                                                                          \
        .fields = (const VMStateField[]) { __VA_ARGS__, VMSTATE_END_OF_LIST() },                   \
    }

SUBSECTION(thr_ipending, thr_ipending_needed, VMSTATE_INT32(thr_ipending, SerialState));
SUBSECTION(tsr, tsr_needed, VMSTATE_UINT32(tsr_retry, SerialState),
           VMSTATE_UINT8(thr, SerialState), VMSTATE_UINT8(tsr, SerialState));
SUBSECTION(recv_fifo, recv_fifo_needed,
           VMSTATE_STRUCT(recv_fifo, SerialState, 1, vmstate_fifo, SerialFifo));
SUBSECTION(xmit_fifo, xmit_fifo_needed,
           VMSTATE_STRUCT(xmit_fifo, SerialState, 1, vmstate_fifo, SerialFifo));
SUBSECTION(fifo_timeout_timer, timer_needed, VMSTATE_TIMER_PTR(fifo_timeout_timer, SerialState));
SUBSECTION(timeout_ipending, timeout_ipending_needed,
           VMSTATE_INT32(timeout_ipending, SerialState));
SUBSECTION(poll, poll_needed, VMSTATE_INT32(poll_msl, SerialState),
           VMSTATE_TIMER_PTR(modem_status_poll, SerialState));

static int serial_pre_save(void *opaque)
{
    SerialState *s = opaque;

    s->fcr_vmstate = s->fcr;
    return 0;
}

static int serial_pre_load(void *opaque)
{
    SerialState *s = opaque;

    s->thr_ipending = -1;
    s->timeout_ipending = -1;
    s->poll_msl = -1;
    s->tsr_retry = 0;
    fifo_reset(&s->recv_fifo);
    fifo_reset(&s->xmit_fifo);
    timer_del(s->fifo_timeout_timer);
    return 0;
}

static int serial_post_load(void *opaque, int version_id)
{
    SerialState *s = opaque;

    if (s->thr_ipending < 0) {
        s->thr_ipending = (s->iir & IIR_ID) == IIR_TRANSMIT;
    }
    if (s->timeout_ipending < 0) {
        s->timeout_ipending = (s->iir & IIR_ID) == IIR_TIMEOUT;
    }
    timer_del(s->modem_status_poll);
    s->poll_msl = -1;
    set_fcr(s, version_id < 3 ? 0 : s->fcr_vmstate);
    /* It is sent when the machine runs: the sender may yet go on itself. */
    s->tsr_retry = MIN(s->tsr_retry, RETRIES_MAX);
    stop_waiting(s);
    return 0;
}

static const VMStateDescription vmstate_serial = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_save = serial_pre_save,
    .pre_load = serial_pre_load,
    .post_load = serial_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16_V(divider, SerialState, 2),
        VMSTATE_UINT8(rbr, SerialState),
        VMSTATE_UINT8(ier, SerialState),
        VMSTATE_UINT8(iir, SerialState),
        VMSTATE_UINT8(lcr, SerialState),
        VMSTATE_UINT8(mcr, SerialState),
        VMSTATE_UINT8(lsr, SerialState),
        VMSTATE_UINT8(msr, SerialState),
        VMSTATE_UINT8(scr, SerialState),
        VMSTATE_UINT8_V(fcr_vmstate, SerialState, 3),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_thr_ipending, &vmstate_tsr, &vmstate_recv_fifo, &vmstate_xmit_fifo,
        &vmstate_fifo_timeout_timer, &vmstate_timeout_ipending, &vmstate_poll, NULL,
    },
};

static const VMStateDescription vmstate_isa_serial = {
    .name = "serial",
    .version_id = 3,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(state, ISASerialState, 0, vmstate_serial, SerialState),
        VMSTATE_END_OF_LIST()
    },
};

static void serial_reset(DeviceState *dev)
{
    SerialState *s = &ISA_SERIAL(dev)->state;

    stop_waiting(s);
    s->rbr = s->ier = s->lcr = s->scr = s->fcr = s->thr = s->tsr = 0;
    s->iir = IIR_NONE;
    s->lsr = LSR_THR_EMPTY | LSR_ALL_SENT;
    s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
    s->mcr = MCR_OUT2;
    s->divider = 0x0c;          /* 9600 baud */
    s->tsr_retry = 0;
    s->thr_ipending = s->timeout_ipending = 0;
    s->poll_msl = -1;
    timer_del(s->fifo_timeout_timer);
    fifo_reset(&s->recv_fifo);
    fifo_reset(&s->xmit_fifo);
    qemu_set_irq(s->irq, 0);
    if (dev->realized) {
        qemu_chr_fe_accept_input(&s->chr);
    }
}

static void fifo_init(SerialFifo *f)
{
    f->data = g_malloc0(FIFO_SIZE);
    f->capacity = FIFO_SIZE;
}

static void serial_initfn(Object *obj)
{
    SerialState *s = &ISA_SERIAL(obj)->state;

    fifo_init(&s->recv_fifo);
    fifo_init(&s->xmit_fifo);
    s->fifo_timeout_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, receive_timeout, s);
    s->modem_status_poll = timer_new_ns(QEMU_CLOCK_VIRTUAL, receive_timeout, s);
    sysbus_init_irq(SYS_BUS_DEVICE(obj), &s->irq);
}

static void serial_finalize(Object *obj)
{
    SerialState *s = &ISA_SERIAL(obj)->state;

    timer_free(s->fifo_timeout_timer);
    timer_free(s->modem_status_poll);
    g_free(s->recv_fifo.data);
    g_free(s->xmit_fifo.data);
}

static void serial_realize(DeviceState *dev, Error **errp)
{
    static const uint16_t bases[SERIAL_PORTS_MAX] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    ISASerialState *isa = ISA_SERIAL(dev);

    if (isa->index >= SERIAL_PORTS_MAX) {
        error_setg(errp, "there are at most %d ISA serial ports, numbered from 0",
                   SERIAL_PORTS_MAX);
        return;
    }
    if (isa->iobase == UINT32_MAX) {
        isa->iobase = bases[isa->index];
    }
    qemu_chr_fe_set_handlers(&isa->state.chr, can_receive, receive, chr_event, NULL, &isa->state,
                             NULL, true);
    isa->state.run_handler = qemu_add_vm_change_state_handler(run_state_changed, &isa->state);
    memory_region_init_io(&isa->io, OBJECT(dev), &serial_ops, &isa->state, "serial", 8);
    memory_region_add_subregion(get_system_io(), isa->iobase, &isa->io);
}

static void serial_unrealize(DeviceState *dev)
{
    ISASerialState *isa = ISA_SERIAL(dev);

    memory_region_del_subregion(get_system_io(), &isa->io);
    qemu_del_vm_change_state_handler(isa->state.run_handler);
    stop_waiting(&isa->state);
    qemu_chr_fe_deinit(&isa->state.chr, false);
}

static const Property serial_properties[] = {
    DEFINE_PROP_UINT32("index", ISASerialState, index, 0),
    DEFINE_PROP_UINT32("iobase", ISASerialState, iobase, UINT32_MAX),
    DEFINE_PROP_CHR("chardev", ISASerialState, state.chr),
};

static void serial_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->desc = "16550A serial port";
    dc->realize = serial_realize;
    dc->unrealize = serial_unrealize;
    dc->vmsd = &vmstate_isa_serial;
    dc->user_creatable = false;
    device_class_set_legacy_reset(dc, serial_reset);
    device_class_set_props(dc, serial_properties);
}

DeviceState *serial_isa_create(int index, qemu_irq irq, Chardev *chr)
{
    DeviceState *dev = qdev_new(TYPE_ISA_SERIAL);

    qdev_prop_set_uint32(dev, "index", index);
    if (chr) {
        qdev_prop_set_chr(dev, "chardev", chr);
    }
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, irq);
    return dev;
}

static const TypeInfo serial_types[] = {
    {
        .name = TYPE_ISA_SERIAL,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(ISASerialState),
        .instance_init = serial_initfn,
        .instance_finalize = serial_finalize,
        .class_init = serial_class_init,
    },
};
DEFINE_TYPES(serial_types)
