/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hopping guest: interrupt controllers, timers and the serial port. All interrupts are counted;
 * none may be lost for good, none may come too often, and what was written into a device has to
 * be found there later. The local APIC's timer is taken to run at 1 GHz, as it does on the machines
 * that we run on.
 */
#include "hop.h"
#include "lib.h"

#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u
#define EVENT_MASKED (1u << 16)

#define PIT_HZ 1193182u
#define UART_LSR 5
#define RING 8192u

volatile u64 pit_ticks, rtc_ticks, serial_rx, serial_tx;
u64 rtc_seconds;

static u64 pit_start, pit_last, rtc_last, serial_last;
static u32 pit_reload;
static volatile u8 ring[RING];
static volatile u32 ring_head, ring_tail;
static u8 uart_ier = 1, uart_scratch;
static u32 cmos_seed;
static u64 ioapic_lines[24];

static volatile u32 *lapic(u32 offset)
{
    return (u32 *)(uptr)(LAPIC + offset);
}

static inline u8 in8(u16 port)
{
    u8 value;

    __asm__ volatile("inb %w1, %b0" : "=a"(value) : "d"(port));
    return value;
}

static inline void out8(u16 port, u8 value)
{
    __asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port));
}

static u64 lock_interrupts(void)
{
    u64 flags;

    __asm__ volatile("pushfq\n\t popq %0\n\t cli" : "=r"(flags) : : "memory");
    return flags;
}

static void unlock_interrupts(u64 flags)
{
    __asm__ volatile("pushq %0\n\t popfq" : : "r"(flags) : "memory", "cc");
}

/* ---- local APIC ---- */

/* Registers that nothing but us changes, and what goes in. */
static const struct {
    u32 offset, value;
} lapic_setup[] = {
    { 0x0f0, 0x100 | IRQ_SPURIOUS },
    { 0x0e0, 0xffffffff },              /* flat */
    { 0x0d0, 0x01000000 },              /* shifted by the vCPU's number */
    { 0x340, EVENT_MASKED | 0x61 },     /* performance counters */
    { 0x360, EVENT_MASKED | 0x62 },     /* LINT1 */
    { 0x370, EVENT_MASKED | 0x63 },     /* error */
    { 0x3e0, 0xb },                     /* timer: undivided */
    { 0x320, 0x20000 | IRQ_TIMER },     /* periodic */
    { 0x080, 0x10 },                    /* the priority, which is CR8 too */
};
#define LAPIC_SETUPS (sizeof(lapic_setup) / sizeof(lapic_setup[0]))

static u32 lapic_value(struct hop *h, u32 i)
{
    return lapic_setup[i].offset == 0x0d0 ? lapic_setup[i].value << h->index
                                          : lapic_setup[i].value;
}

/* How many thousand TSC ticks a second has, by the timer: its 20 ms. */
/* What the timer has left, and the time stamp before and after it was read. */
static u32 lapic_now(u64 tsc[2])
{
    u32 left;

    tsc[0] = rdtsc();
    left = *lapic(0x390);
    tsc[1] = rdtsc();
    return left;
}

/* Kilohertz of the time stamp counter, by the timer, which counts nanoseconds. A vCPU that had to
 * wait in the midst of a reading, or until the timer was at its end, measures once more. */
u32 lapic_calibrate(void)
{
    u64 from[2], to[2], cycles, unsure;
    u32 first, last;

    *lapic(0x0f0) = 0x100 | IRQ_SPURIOUS;
    *lapic(0x3e0) = 0xb;
    *lapic(0x320) = EVENT_MASKED | IRQ_TIMER;
    do {
        *lapic(0x380) = 0xffffffff;
        first = lapic_now(from);
        while ((last = lapic_now(to)) && first - last < 20000000) {
            __asm__ volatile("pause");
        }
        cycles = to[0] - from[1];
        unsure = from[1] - from[0] + to[1] - to[0];
    } while (!last || unsure > cycles / 32);
    *lapic(0x380) = 0;
    return (cycles + unsure / 2) * 1000000 / (first - last);
}

void lapic_start(struct hop *h)
{
    for (u32 i = 0; i < LAPIC_SETUPS; i++) {
        *lapic(lapic_setup[i].offset) = lapic_value(h, i);
    }
    /* What the PICs have to say comes by LINT0 of the first vCPU. */
    *lapic(0x350) = h->index == 0 ? 0x700 : EVENT_MASKED | 0x700;
    h->lapic[0] = *lapic(0x350);
    h->lapic[1] = *lapic(0x020);
    h->lapic[2] = *lapic(0x030);
    *lapic(0x380) = option.tick * 1000;
    h->tick_first = h->tick_last = rdtsc();
}

void lapic_ipi(u32 vcpu, u32 vector)
{
    u64 flags = lock_interrupts();

    *lapic(0x310) = vcpu << 24;
    *lapic(0x300) = 0x4000 | vector;
    unlock_interrupts(flags);
}

void lapic_check(struct hop *h)
{
    u32 found;

    for (u32 i = 0; i < LAPIC_SETUPS; i++) {
        found = *lapic(lapic_setup[i].offset);
        if (lapic_setup[i].offset >= 0x320 && lapic_setup[i].offset <= 0x370) {
            found &= ~0x1000u;                  /* being delivered */
        }
        if (found != lapic_value(h, i)) {
            fail(h, "lapic", lapic_setup[i].offset, lapic_value(h, i), found);
        }
    }
    found = *lapic(0x350);
    if ((found ^ h->lapic[0]) & ~0x1000u) {
        fail(h, "lapic", 0x350, h->lapic[0], found);
    }
    if (*lapic(0x020) != h->lapic[1]) {
        fail(h, "lapic", 0x020, h->lapic[1], *lapic(0x020));
    }
    if (*lapic(0x030) != h->lapic[2]) {
        fail(h, "lapic", 0x030, h->lapic[2], *lapic(0x030));
    }
    if (*lapic(0x380) != option.tick * 1000) {
        fail(h, "lapic", 0x380, option.tick * 1000, *lapic(0x380));
    }
    found = *lapic(0x390);
    if (found > option.tick * 1000) {
        fail(h, "lapic count", 0x390, option.tick * 1000, found);
    }
}

/* ---- I/O APIC ---- */

static u32 ioapic_read(u32 reg)
{
    *(volatile u32 *)(uptr)IOAPIC = reg;
    return *(volatile u32 *)(uptr)(IOAPIC + 0x10);
}

static void ioapic_write(u32 reg, u32 value)
{
    *(volatile u32 *)(uptr)IOAPIC = reg;
    *(volatile u32 *)(uptr)(IOAPIC + 0x10) = value;
}

static void ioapic_line(u32 line, u32 low, u32 high)
{
    ioapic_write(0x10 + 2 * line, EVENT_MASKED);
    ioapic_write(0x11 + 2 * line, high);
    ioapic_write(0x10 + 2 * line, low);
    ioapic_lines[line] = (u64)high << 32 | low;
}

static void ioapic_start(void)
{
    ioapic_write(0, 0x05000000);
    for (u32 i = 0; i < 24; i++) {
        /* Lines not in use hold a pattern. */
        ioapic_line(i, EVENT_MASKED | (0x90 + i), (i * 5 & 0xf) << 24);
    }
    if (option.serial == VIA_IOAPIC) {
        ioapic_line(4, IRQ_SERIAL, 0);
    }
    if (option.pit == VIA_IOAPIC) {
        ioapic_line(2, IRQ_PIT, 0);
    }
    if (option.rtc == VIA_IOAPIC) {
        ioapic_line(8, IRQ_RTC, 0);
    }
}

static void ioapic_check(struct hop *h)
{
    if (ioapic_read(0) != 0x05000000) {
        fail(h, "ioapic id", 0, 0x05000000, ioapic_read(0));
    }
    for (u32 i = 0; i < 24; i++) {
        u64 found = ioapic_read(0x10 + 2 * i) & ~0x5000u;       /* not: delivery, remote IRR */

        found |= (u64)ioapic_read(0x11 + 2 * i) << 32;
        if (found != ioapic_lines[i]) {
            fail(h, "ioapic", i, ioapic_lines[i], found);
        }
    }
}

/* ---- the two PICs ---- */

static u8 pic_mask[2] = { 0xff, 0xff };

static u32 uses_pic(void)
{
    return option.pit == VIA_PIC || option.rtc == VIA_PIC || option.serial == VIA_PIC;
}

static void pic_start(void)
{
    static const u8 words[2][4] = { { 0x11, IRQ_PIC0, 4, 1 }, { 0x11, IRQ_PIC0 + 8, 2, 1 } };

    if (option.pit == VIA_PIC) {
        pic_mask[0] &= ~1;
    }
    if (option.serial == VIA_PIC) {
        pic_mask[0] &= ~0x10;
    }
    if (option.rtc == VIA_PIC) {
        pic_mask[0] &= ~4;
        pic_mask[1] &= ~1;
    }
    for (u32 i = 0; i < 2; i++) {
        u16 port = i ? 0xa0 : 0x20;

        out8(port, words[i][0]);
        out8(port + 1, words[i][1]);
        out8(port + 1, words[i][2]);
        out8(port + 1, words[i][3]);
        out8(port + 1, pic_mask[i]);
    }
}

static void pic_check(struct hop *h)
{
    for (u32 i = 0; uses_pic() && i < 2; i++) {
        u8 found = in8(i ? 0xa1 : 0x21);

        if (found != pic_mask[i]) {
            fail(h, "pic mask", i, pic_mask[i], found);
        }
    }
}

/* ---- interval timer ---- */

static void pit_program(void)
{
    pit_reload = PIT_HZ / option.pit_hz;
    out8(0x43, 0x34);                           /* channel 0, both bytes, a pulse every so often */
    out8(0x40, pit_reload);
    out8(0x40, pit_reload >> 8);
    pit_start = pit_last = rdtsc();
}

static void pit_check(struct hop *h)
{
    u64 flags = lock_interrupts();
    u32 status, count;

    out8(0x43, 0xc2);                           /* latch count and status of channel 0 */
    status = in8(0x40);
    count = in8(0x40);
    count |= in8(0x40) << 8;
    unlock_interrupts(flags);
    if ((status & 0x3f) != 0x34) {
        fail(h, "pit mode", 0, 0x34, status & 0x3f);
    }
    if (count > pit_reload) {
        fail(h, "pit count", 0, pit_reload, count);
    }
}

/* ---- real-time clock ---- */

static u8 cmos_read(u8 index)
{
    out8(0x70, index);
    return in8(0x71);
}

static void cmos_write(u8 index, u8 value)
{
    out8(0x70, index);
    out8(0x71, value);
}

static u32 binary(u8 bcd)
{
    return (bcd >> 4) * 10 + (bcd & 15);
}

/* Seconds of the month: enough to see it go. Two readings that agree were not disturbed. */
static u64 rtc_read(void)
{
    u32 s, m, hour, d, again = ~0u;

    for (u32 i = 0; i < 1000; i++) {
        s = binary(cmos_read(0));
        m = binary(cmos_read(2));
        hour = binary(cmos_read(4));
        d = binary(cmos_read(7));
        if (again == s) {
            break;
        }
        again = s;
    }
    return ((d * 24ull + hour) * 60 + m) * 60 + s;
}

static void rtc_program(void)
{
    cmos_write(0xb, 0x02);                      /* 24 hours, BCD */
    cmos_seed = option.seed * 7 + 3;
    for (u32 i = 0; i < 16; i++) {
        cmos_write(0x60 + i, cmos_seed + i * 11);
    }
    rtc_seconds = rtc_read();
    cmos_write(0xa, 0x2a);                      /* 64 Hz */
    cmos_write(0xb, 0x42);                      /* the periodic interrupt on */
    cmos_read(0xc);
    rtc_last = rdtsc();
}

static void rtc_check(struct hop *h)
{
    u64 flags = lock_interrupts(), now = rtc_read();
    u32 a = cmos_read(0xa) & 0x7f, b = cmos_read(0xb);

    for (u32 i = 0; i < 16; i++) {
        u8 found = cmos_read(0x60 + i);

        if (found != (u8)(cmos_seed + i * 11)) {
            fail(h, "cmos", 0x60 + i, (u8)(cmos_seed + i * 11), found);
        }
    }
    cmos_read(0xc);                             /* so that an edge that got lost is not for ever */
    unlock_interrupts(flags);
    if (a != 0x2a || b != 0x42) {
        fail(h, "rtc control", a, 0x42, b);
    }
    if (now < rtc_seconds && rtc_seconds - now < 20 * 86400) {  /* but for a new month */
        fail(h, "rtc back", 0, rtc_seconds, now);
    }
    rtc_seconds = now;
}

/* ---- serial port ---- */

static void serial_start(void)
{
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 0x80);
    out8(COM1 + 0, 1);
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3);
    out8(COM1 + 2, 0xc7);                       /* FIFOs on and empty, a call at 14 bytes */
    out8(COM1 + 4, 0xb);
    while (in8(COM1 + UART_LSR) & 1) {
        in8(COM1);
    }
    in8(COM1 + 2);
    in8(COM1 + 6);
    out8(COM1 + 1, uart_ier);
}

u32 serial_free(void)
{
    return RING - 1 - (ring_head - ring_tail);
}

/* What goes out waits in a ring for the port's interrupts. There has to be room. */
void serial_put(char c)
{
    ring[ring_head % RING] = c;
    ring_head++;
    serial_tx++;
}

void serial_kick(void)
{
    u64 flags = lock_interrupts();

    if (ring_head != ring_tail && !(uart_ier & 2)) {
        uart_ier |= 2;
        serial_last = rdtsc();
        out8(COM1 + 1, uart_ier);
    }
    unlock_interrupts(flags);
}

static void serial_receive(struct hop *h)
{
    while (in8(COM1 + UART_LSR) & 1) {
        u8 c = in8(COM1), expected = 0x21 + serial_rx % 93;

        if (fault("rx")) {
            continue;
        }
        if (c != expected) {
            fail(h, "serial in", serial_rx, expected, c);
        }
        serial_rx++;
    }
}

static void serial_interrupt(struct hop *h)
{
    u8 lsr;

    for (u32 turn = 0; turn < 64; turn++) {
        switch (in8(COM1 + 2) & 0xf) {
        case 1:
            return;
        case 2:
            serial_last = rdtsc();
            for (u32 i = 0; i < 16 && ring_tail != ring_head; i++) {
                out8(COM1, ring[ring_tail % RING]);
                ring_tail++;
            }
            if (ring_tail == ring_head) {
                uart_ier &= ~2;
                out8(COM1 + 1, uart_ier);
            }
            break;
        case 4:
        case 0xc:
            serial_receive(h);
            break;
        case 6:
            lsr = in8(COM1 + UART_LSR);
            fail(h, "serial line", 0, 0x60, lsr);
            break;
        default:
            in8(COM1 + 6);
        }
    }
}

static void serial_check(struct hop *h)
{
    u64 flags = lock_interrupts();
    u8 lcr = in8(COM1 + 3), mcr = in8(COM1 + 4), ier = in8(COM1 + 1), scratch = in8(COM1 + 7);
    u8 low, high, wanted = uart_ier;

    out8(COM1 + 3, 0x83);
    low = in8(COM1);
    high = in8(COM1 + 1);
    out8(COM1 + 3, 3);
    if (uart_scratch && scratch != uart_scratch) {
        fail(h, "serial scratch", 0, uart_scratch, scratch);
    }
    uart_scratch = uart_scratch * 5 + 3;
    out8(COM1 + 7, uart_scratch);
    unlock_interrupts(flags);
    if (lcr != 3 || mcr != 0xb || ier != wanted || low != 1 || high) {
        fail(h, "serial registers", (u64)low << 8 | high, 3u << 16 | 0xb << 8 | wanted,
             lcr << 16 | mcr << 8 | ier);
    }
}

/* ---- all of them ---- */

void irq_start(void)
{
    if (uses_pic()) {
        pic_start();
    } else {
        out8(0x21, 0xff);                       /* should there be any: not a word */
        out8(0xa1, 0xff);
    }
    ioapic_start();
    serial_start();
    if (option.pit) {
        pit_program();
    }
    if (option.rtc) {
        rtc_program();
    }
}

/* A device's interrupt at the first vCPU. */
static void device_interrupt(struct hop *h, u32 irq)
{
    switch (irq) {
    case 0:
        pit_ticks++;
        pit_last = rdtsc();
        break;
    case 4:
        serial_interrupt(h);
        break;
    case 8:
        if (cmos_read(0xc) & 0x40) {
            rtc_ticks++;
        }
        rtc_last = rdtsc();
        break;
    default:
        fail(h, "unexpected line", irq, 0, 0);
    }
}

/* In-service bit of a PIC: without it, line 7 is nobody's. */
static int pic_spurious(u32 irq)
{
    u16 port = irq < 8 ? 0x20 : 0xa0;

    if ((irq & 7) != 7) {
        return 0;
    }
    out8(port, 0x0b);
    return !(in8(port) & 0x80);
}

int irq_interrupt(struct hop *h, u32 vector)
{
    if (vector >= IRQ_PIC0 && vector < IRQ_PIC0 + 16) {
        u32 irq = vector - IRQ_PIC0;

        if (pic_spurious(irq)) {
            if (irq > 7) {
                out8(0x20, 0x20);
            }
            return 1;
        }
        /* End of interrupt first: an edge in the handler's last moments is then seen. */
        if (irq > 7) {
            out8(0xa0, 0x20);
        }
        out8(0x20, 0x20);
        device_interrupt(h, irq);
        return 1;
    }
    if (vector == IRQ_SERIAL || vector == IRQ_PIT || vector == IRQ_RTC) {
        *lapic(0x0b0) = 0;
        device_interrupt(h, vector == IRQ_SERIAL ? 4 : vector == IRQ_PIT ? 0 : 8);
        return 1;
    }
    return 0;
}

static void alive(struct hop *h, const char *what, u64 last, u64 now)
{
    if (now > last && now - last > (u64)option.dead * khz) {
        fail(h, what, 0, (u64)option.dead * khz, now - last);
    }
}

/* Timers of a machine that stood still or is slow lose ticks, or make up for them; never do they
 * come faster in the long run. */
static void not_too_many(struct hop *h, const char *what, u64 ticks, u64 elapsed, u32 hz)
{
    u64 most = elapsed / khz * hz / 1000;

    most += most + hz;
    if (ticks > most) {
        fail(h, what, elapsed, most, ticks);
    }
}

/* The first vCPU's: from time to time, at level 0. */
void irq_check(struct hop *h)
{
    u64 flags = lock_interrupts(), now = rdtsc();

    alive(h, "serial out silent", uart_ier & 2 ? serial_last : now, now);
    if (option.pit) {
        alive(h, "pit silent", pit_last, now);
        not_too_many(h, "pit fast", pit_ticks, now - pit_start, option.pit_hz);
    }
    if (option.rtc) {
        alive(h, "rtc silent", rtc_last, now);
    }
    unlock_interrupts(flags);
    ioapic_check(h);
    pic_check(h);
    serial_check(h);
    if (option.pit) {
        pit_check(h);
    }
    if (option.rtc) {
        rtc_check(h);
    }
}

void irq_fault(void)
{
    u64 flags = lock_interrupts();              /* their handlers use the same index registers */

    if (fault("lapic")) {
        *lapic(0x0d0) = 0x80000000;
    }
    if (fault("ioapic")) {
        ioapic_write(0x10 + 2 * 20, EVENT_MASKED);
    }
    if (fault("pit")) {
        out8(0x43, 0x30);
    }
    if (fault("cmos")) {
        cmos_write(0x62, 0);
    }
    if (fault("scratch")) {
        out8(COM1 + 7, uart_scratch + 1);
    }
    unlock_interrupts(flags);
}
