/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hopping guest: uses as much of the machine as it can and checks all of it all the time, so
 * that a program which carries it to another one and forgets, changes or repeats anything is told.
 * It never trusts what it has not checked: the first thing that is not as it must be is printed
 * as `E: …` on the serial port, and everything stops.
 *
 * Most of the time is spent at level 3, since level 0 is slow where KVM is nested: a round with
 * patterns in all registers, a look at memory, clocks; then by SYSCALL, INT or UD2 to level 0, where
 * control registers, MSRs, devices and the other vCPUs are looked at. README.md describes the
 * command line and the output.
 */
#include "hop.h"
#include "lib.h"

extern u8 ap_trampoline[], ap_trampoline_end[];
extern u8 msr_fault_read[], msr_fault_write[], msr_faulted[];
void guest_main(u32 start_info) __attribute__((noreturn));
void guest_ap_main(u32 index) __attribute__((noreturn));
void interrupt(u32 index, struct frame *f);
void level0_work(u32 index);
void guest_halt(void) __attribute__((noreturn));

#define WORDS 8                     /* stamps in a page */
#define RANGE_START 0x400000        /* the program's own tables end well below */

struct hop hops[MAX_HOP_VCPUS];
struct options option;
u32 khz;
volatile u32 stopped;

static u64 started, next_line, lines;
static u32 fault_taken;

/* ---- saying things ---- */

static void put_text(const char *text, void (*put)(char))
{
    while (*text) {
        put(*text++);
    }
}

static void put_number(u64 value, void (*put)(char))
{
    char digits[20];
    u32 n = 0;

    do {
        digits[n++] = '0' + value % 10;
        value /= 10;
    } while (value);
    while (n) {
        put(digits[--n]);
    }
}

static void put_hex(u64 value, void (*put)(char))
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[value >> shift & 15]);
    }
}

static void put_now(char c)
{
    u8 lsr;

    for (u32 turn = 0; turn < 10000000; turn++) {
        __asm__ volatile("inb %w1, %b0" : "=a"(lsr) : "d"(COM1 + 5));
        if (lsr & 0x20) {
            break;
        }
    }
    serial_char(c);
}

/* Straight to the port: what still waits for interrupts is not awaited. */
void fail(struct hop *h, const char *what, u64 where, u64 expected, u64 found)
{
    if (__sync_bool_compare_and_swap(&stopped, 0, h->index + 1)) {
        put_text("\nE: vcpu ", put_now);
        put_number(h->index, put_now);
        put_text(" turn ", put_now);
        put_number(h->turns, put_now);
        put_text(" ", put_now);
        put_text(what, put_now);
        put_text(" at ", put_now);
        put_hex(where, put_now);
        put_text(" expected ", put_now);
        put_hex(expected, put_now);
        put_text(" found ", put_now);
        put_hex(found, put_now);
        put_now('\n');
    }
    guest_halt();
}

int fault(const char *name)
{
    const char *have = option.fault;

    if (fault_taken || lines < option.fault_at) {
        return 0;
    }
    while (*name && *name == *have) {
        name++;
        have++;
    }
    if (*name || *have) {
        return 0;
    }
    fault_taken = 1;
    return 1;
}

/* ---- registers ---- */

static inline u64 mix(u64 x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15ull;
    x ^= x >> 29;
    return x;
}

static void fill_fx(struct area *a, u64 key)
{
    u16 *words = (u16 *)a->fx_in;

    memset(a->fx_in, 0, sizeof(a->fx_in));
    words[0] = 0x007f | (key & 0xc00) | 0x300;              /* rounding changes; nothing unmasked */
    words[1] = (key >> 8 & 7) << 11 | (key >> 16 & 1) << 8; /* the top of the stack, C0 */
    a->fx_in[4] = 0xff & ~(1u << (key >> 20 & 7));          /* one register is empty */
    *(u32 *)(a->fx_in + 24) = 0x1f80 | (key >> 24 & 3) << 13 | (key >> 26 & 1) << 5;
    for (u32 i = 0; i < 8; i++) {
        u64 *to = (u64 *)(a->fx_in + 32 + 16 * i);

        to[0] = mix(key + 100 + i) | 1ull << 63;            /* a proper number in any case */
        to[1] = 0x3fff + (i << 2) + (key >> 32 & 3);
    }
    for (u32 i = 0; i < 16; i++) {
        u64 *to = (u64 *)(a->fx_in + 160 + 16 * i);

        to[0] = a->vec_in[i][0];
        to[1] = a->vec_in[i][1];
    }
}

static void fill_area(struct area *a, u64 key)
{
    for (u32 i = 0; i < 16; i++) {
        a->gpr_in[i] = mix(key + i);
        a->gpr_out[i] = 0;
    }
    a->gpr_in[4] &= 0x00007ffffffffff8;                     /* RSP: as addresses are */
    if (a->vectors == VECTORS_NONE) {
        return;
    }
    for (u32 i = 0; i < 32; i++) {
        for (u32 j = 0; j < 8; j++) {
            a->vec_in[i][j] = mix(key + 1000 + 8 * i + j);
        }
    }
    for (u32 i = 0; i < 8; i++) {
        a->k_in[i] = mix(key + 2000 + i);
    }
    memset(a->fx_out, 0, sizeof(a->fx_out));
    memset(a->vec_out, 0, sizeof(a->vec_out));
    fill_fx(a, key);
}

static void check_fx(struct hop *h, struct area *a)
{
    u32 *in = (u32 *)a->fx_in, *out = (u32 *)a->fx_out;

    if (in[0] != out[0]) {
        fail(h, "x87 control/status", 0, in[0], out[0]);
    }
    if (a->fx_in[4] != a->fx_out[4]) {
        fail(h, "x87 tags", 0, a->fx_in[4], a->fx_out[4]);
    }
    if (in[6] != out[6]) {
        fail(h, "mxcsr", 0, in[6], out[6]);
    }
    for (u32 i = 0; i < 8; i++) {
        u64 *x = (u64 *)(a->fx_in + 32 + 16 * i), *y = (u64 *)(a->fx_out + 32 + 16 * i);

        if (x[0] != y[0]) {
            fail(h, "x87 st", i, x[0], y[0]);
        }
        if ((x[1] & 0xffff) != (y[1] & 0xffff)) {
            fail(h, "x87 exponent", i, x[1], y[1] & 0xffff);
        }
    }
    for (u32 i = 0; i < 16; i++) {
        u64 *y = (u64 *)(a->fx_out + 160 + 16 * i);

        for (u32 j = 0; j < 2; j++) {
            if (a->vec_in[i][j] != y[j]) {
                fail(h, "xmm", i << 4 | j, a->vec_in[i][j], y[j]);
            }
        }
    }
}

static void check_area(struct hop *h, struct area *a)
{
    u32 registers = a->vectors == VECTORS_AVX512 ? 32 : 16;
    u32 words = a->vectors == VECTORS_AVX512 ? 8 : 4;

    for (u32 i = 0; i < 16; i++) {
        if (a->gpr_in[i] != a->gpr_out[i] && (i != 4)) {
            fail(h, a->vectors == VECTORS_NONE ? "gpr at level 0" : "gpr", i, a->gpr_in[i],
                 a->gpr_out[i]);
        }
    }
    if (a->vectors == VECTORS_NONE) {
        return;
    }
    check_fx(h, a);
    for (u32 i = 0; a->vectors >= VECTORS_AVX && i < registers; i++) {
        for (u32 j = 0; j < words; j++) {
            if (a->vec_in[i][j] != a->vec_out[i][j]) {
                fail(h, "vector", i << 4 | j, a->vec_in[i][j], a->vec_out[i][j]);
            }
        }
    }
    for (u32 i = 0; a->vectors == VECTORS_AVX512 && i < 8; i++) {
        if (a->k_in[i] != a->k_out[i]) {
            fail(h, "mask", i, a->k_in[i], a->k_out[i]);
        }
    }
}

/* Protection keys: all but key 0, which everything here has, may hold anything. */
static u32 write_pkru(struct hop *h, u64 key)
{
    u32 value = (u32)mix(key) & ~3u;

    if (h->cr4 & 1u << 22) {
        __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
    }
    return value;
}

static void check_pkru(struct hop *h, u32 value)
{
    u32 found, high;

    if (h->cr4 & 1u << 22) {
        __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(found), "=d"(high) : "c"(0));
        if (found != value) {
            fail(h, "pkru", 0, value, found);
        }
    }
}

/*
 * Not at level 0: who emulates that may know XSETBV and not XGETBV. Where KVM is nested it may be
 * the host's value that is seen here, but always the same.
 */
static void check_xcr0(struct hop *h)
{
    u32 low, high;

    if (h->xcr0) {
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if (h->xcr0_seen == 0) {
            h->xcr0_seen = (u64)high << 32 | low;
        }
        if (((u64)high << 32 | low) != h->xcr0_seen) {
            fail(h, "xcr0", 0, h->xcr0_seen, (u64)high << 32 | low);
        }
    }
}

/* ---- interrupts and exceptions ---- */

void interrupt(u32 index, struct frame *f)
{
    struct hop *h = &hops[index];
    struct hop *before = &hops[(index + option.vcpus - 1) % option.vcpus];

    if (stopped) {
        if (stopped == index + 1) {             /* which has a message to write */
            *(volatile u32 *)(uptr)(0xfee000b0u) = 0;
            return;
        }
        guest_halt();
    }
    if (f->vector == 13 && (f->rip == (uptr)msr_fault_read || f->rip == (uptr)msr_fault_write)) {
        f->rip = (uptr)msr_faulted;
        return;
    }
    /* KVM that is nested may do neither SYSCALL nor INT at level 3. It shows at their first use. */
    if (f->rip == (uptr)syscall_entry && f->cs & 3 && f->vector == 13 && h->turns == 1) {
        f->rip = f->rcx;
        h->no_syscall = 1;
        return;
    }
    if (f->rip == (uptr)hop_call_int && f->vector == 6 && h->turns == 2) {
        f->rip += 2;
        h->no_int = 1;
        return;
    }
    if (f->rip == (uptr)hop_call_ud && f->vector == 6) {
        f->rip += 2;
        level0_work(index);
        return;
    }
    switch (f->vector) {
    case 1:
        h->traps++;
        __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
        return;
    case IRQ_TIMER:
        h->ticks++;
        h->level3_ticks += f->cs & 3 ? 1 : 0;
        h->tick_last = rdtsc();
        *(volatile u32 *)(uptr)(0xfee000b0u) = 0;
        return;
    case IRQ_IPI:
        if (h->ipi_got + 1 != before->ipi_sent) {
            fail(h, "ipi count", before->index, before->ipi_sent, h->ipi_got + 1);
        }
        h->ipi_got++;
        *(volatile u32 *)(uptr)(0xfee000b0u) = 0;
        return;
    case IRQ_CALL:
        level0_work(index);
        return;
    case IRQ_SPURIOUS:
        return;
    }
    if (!irq_interrupt(h, f->vector)) {
        fail(h, "exception", f->vector | f->cs << 16, f->error, f->rip);
    }
}

/* ---- level 0 ---- */

static void put_field(const char *name, u64 value)
{
    put_text(name, serial_put);
    put_number(value, serial_put);
}

/* One line, `tx` being the characters that went out before it. */
static void report(u64 now)
{
    u64 before = serial_tx;

    put_field("h n=", lines++);
    put_field(" tx=", before);
    put_field(" ms=", (now - started) / khz);
    put_field(" rx=", serial_rx);
    put_field(" pit=", pit_ticks);
    put_field(" rtc=", rtc_ticks);
    put_field(" s=", rtc_seconds);
    for (u32 i = 0; i < option.vcpus; i++) {
        put_field(" v", i);
        put_field("=", hops[i].turns);
        put_field(",", hops[i].ticks);
        put_field(",", hops[i].level3_ticks);
        put_field(",", hops[i].ipi_got);
        put_field(",", hops[i].traps);
        put_field(",", hops[i].round);
    }
    put_field(" tsc=", now);
    serial_put('\n');
    serial_kick();
}

static void send_ipi(struct hop *h, u64 now)
{
    struct hop *to = &hops[(h->index + 1) % option.vcpus];

    if (!to->running) {
        return;
    }
    if (to->ipi_got == h->ipi_sent) {
        h->ipi_sent++;
        h->ipi_sent_at = now;
        if (fault("ipi")) {
            h->ipi_sent++;                      /* as if one had been lost */
        }
        lapic_ipi(to->index, IRQ_IPI);
    } else if (now > h->ipi_sent_at && now - h->ipi_sent_at > (u64)option.dead * khz) {
        fail(h, "ipi lost", to->index, h->ipi_sent, to->ipi_got);
    }
}

/* What is done at level 0 in every turn. Comes with interrupts off, works with them on. */
void level0_work(u32 index)
{
    struct hop *h = &hops[index];
    struct area *a = &h->area[0];
    u64 now;

    __asm__ volatile("sti");
    state_check(h);
    lapic_check(h);
    send_ipi(h, rdtsc());
    now = rdtsc();
    clock_check(h, now);
    fill_area(a, h->turns * 7919 + index);
    a->spin = 100;
    hop_registers();
    check_area(h, a);
    if (index == 0) {
        now = rdtsc();
        if (now >= next_line) {
            next_line = now + (u64)option.every * khz;
            irq_check(h);
            if (option.cpuid) {
                cpuid_check(h);
            }
            if (serial_free() > 1024) {
                report(now);
            }
        }
        state_fault(h);
        irq_fault();
    }
    __asm__ volatile("cli");
}

/* ---- level 3 ---- */

static inline u32 stamp(u32 page, u32 slot, u32 round)
{
    return ((page * KEY_PAGE) ^ option.seed ^ (slot * KEY_SLOT)) + round;
}

/* The next pages: each stamp is compared with the round before, then written. */
static void memory_turn(struct hop *h)
{
    for (u32 n = 0; n < option.pages; n++) {
        u32 page = h->first_page + h->at;
        volatile u32 *p = (u32 *)(uptr)((u64)page * PAGE_SIZE);

        for (u32 slot = 0; slot < WORDS; slot++) {
            volatile u32 *word = p + (slot == WORDS - 1 ? PAGE_WORDS - 1
                                                        : slot * (PAGE_WORDS / WORDS));
            u32 expected = stamp(page, slot, h->round - 1);

            if (h->round && *word != expected) {
                fail(h, "memory", (uptr)word, expected, *word);
            }
            *word = stamp(page, slot, h->round);
        }
        if (++h->at == h->pages) {
            h->at = 0;
            h->round++;
        }
    }
}

static u64 tsc_check(struct hop *h)
{
    u64 now = rdtsc();

    if (now < h->tsc_last) {
        fail(h, "tsc back", 0, h->tsc_last, now);
    }
    if (now - h->tsc_last > (u64)option.jump * khz) {
        fail(h, "tsc jump", 0, (u64)option.jump * khz, now - h->tsc_last);
    }
    h->tsc_last = now;
    return now;
}

static void level3_check(struct hop *h)
{
    u64 now = tsc_check(h), cell, most;
    u16 ds, es, cs;

    if (h->index == 0 && fault("timer")) {
        h->tick_last -= 3600ull * 1000 * khz;
    }
    if (now - h->tick_last > (u64)option.dead * khz && now > h->tick_last) {
        fail(h, "timer silent", 0, (u64)option.dead * khz, now - h->tick_last);
    }
    most = (now - h->tick_first) / khz * 1000 / option.tick;
    most += most + 1000000 / option.tick;
    if (h->ticks > most) {
        fail(h, "timer fast", now - h->tick_first, most, h->ticks);
    }
    clock_check(h, now);
    __asm__ volatile("mov %%fs:0, %0" : "=r"(cell));
    if (cell != mix((uptr)&h->fs_cells[h->fs_cell])) {
        fail(h, "fs base", h->fs_cell, mix((uptr)&h->fs_cells[h->fs_cell]), cell);
    }
    __asm__ volatile("mov %%ds, %0\n\t mov %%es, %1\n\t mov %%cs, %2"
                     : "=r"(ds), "=r"(es), "=r"(cs));
    /* Where KVM is nested, level 3 may see null selectors in place of what was loaded. */
    if (!h->segments) {
        h->segments = (u64)ds << 16 | es | 1ull << 32;
    }
    if (h->segments != ((u64)ds << 16 | es | 1ull << 32) || cs != SEL_CODE3_64) {
        fail(h, "segments", cs, h->segments & 0xffffffff, (u64)ds << 16 | es);
    }
    if (h->watch) {
        h->canary++;
        h->traps_expected++;
        if (h->traps != h->traps_expected) {
            fail(h, "breakpoint", 0, h->traps_expected, h->traps);
        }
    }
}

static void level3_fault(struct hop *h)
{
    if (fault("memory")) {
        *(volatile u32 *)(uptr)((u64)h->first_page * PAGE_SIZE) ^= 1;
    }
    if (fault("tsc")) {
        h->tsc_last += 1ull << 50;
    }
    if (fault("gpr")) {
        h->area[1].gpr_in[9]++;
    }
    if (fault("x87")) {
        h->area[1].fx_in[4] ^= 4;
    }
    if (fault("xmm")) {
        h->area[1].vec_in[5][1]++;
    }
    if (fault("fs")) {
        h->fs_cells[h->fs_cell]++;
    }
}

/* How often a round has to turn to take `span` microseconds. The fastest of some: interrupts. */
static u64 spin_of_span(struct area *a)
{
    u64 best = ~0ull;

    for (u32 i = 0; i < 20; i++) {
        u64 took = rdtsc();

        a->spin = 10000;
        hop_registers();
        took = rdtsc() - took;
        best = took && took < best ? took : best;
    }
    return 10000ull * option.span * khz / 1000 / best + 1;
}

static void level3(struct hop *h)
{
    struct area *a = &h->area[1];

    fill_area(a, 0);
    h->spin = spin_of_span(a);
    h->tsc_last = rdtsc();
    h->running = 1;
    for (;;) {
        u64 key = h->turns * 6151 + ((u64)h->index << 32);
        u32 pkru;

        if (stopped) {
            guest_halt();
        }
        fill_area(a, key);
        a->spin = h->spin;
        pkru = write_pkru(h, key);
        hop_registers();
        check_pkru(h, pkru);
        check_xcr0(h);
        if (h->index == 0) {
            level3_fault(h);
        }
        check_area(h, a);
        memory_turn(h);
        level3_check(h);
        h->turns++;
        if (h->turns % 3 == 1 && !h->no_syscall) {
            hop_call_syscall();
        } else if (h->turns % 3 == 2 && !h->no_int) {
            hop_call_int();
        } else {
            hop_call_ud();
        }
    }
}

/* ---- start ---- */

static void __attribute__((noreturn)) start(u32 index)
{
    static u8 stacks3[MAX_HOP_VCPUS][4096] __attribute__((aligned(16)));
    struct hop *h = &hops[index];

    h->index = index;
    h->area[0].index = h->area[1].index = index;
    h->area[0].stack = (uptr)h->stack0 + STACK0_SIZE;
    for (u32 i = 0; i < 16; i++) {
        h->fs_cells[i] = mix((uptr)&h->fs_cells[i]);
    }
    h->pages = option.memory / PAGE_SIZE;
    h->first_page = RANGE_START / PAGE_SIZE + index * h->pages;
    *(volatile u32 *)(uptr)LAPIC_SVR |= 0x100;
    state_start(h);
    if (index == 0) {
        irq_start();
    }
    lapic_start(h);
    if (index == 0) {
        started = next_line = rdtsc();
    } else {
        h->running = 1;                         /* whoever starts vCPUs may go on */
    }
    hop_level3(level3, h, (uptr)stacks3[index] + sizeof(stacks3[index]));
}

void guest_ap_main(u32 index)
{
    start(index);
}

static void __attribute__((noreturn)) refuse(const char *why)
{
    serial_text("E: ");
    serial_text(why);
    serial_char('\n');
    guest_halt();
}

static u32 via_option(const char *line, const char *name)
{
    const char *p = find_option(line, name);

    return !p || *p == '0' ? VIA_NONE : *p == 'p' ? VIA_PIC : VIA_IOAPIC;
}

static void read_options(const char *line)
{
    const char *p = find_option(line, "fault");

    option.vcpus = number_option(line, "vcpus", 1);
    option.every = number_option(line, "every", 50);
    option.tick = number_option(line, "tick", 1000);
    option.memory = number_option(line, "memory", 1 << 20);
    option.pages = number_option(line, "pages", 16);
    option.jump = number_option(line, "jump", 5000);
    option.dead = number_option(line, "dead", 10000);
    option.span = number_option(line, "span", 10000);
    option.avx = number_option(line, "avx", 2);
    option.clock = number_option(line, "clock", 1);
    option.cpuid = number_option(line, "cpuid", 1);
    option.seed = number_option(line, "seed", 1);
    option.pit_hz = number_option(line, "pit_hz", 100);
    option.fault_at = number_option(line, "at", 3);
    option.pit = via_option(line, "pit");
    option.rtc = via_option(line, "rtc");
    option.serial = via_option(line, "serial");
    for (u32 i = 0; p && *p && *p != ' ' && i < sizeof(option.fault) - 1; i++) {
        option.fault[i] = *p++;
    }
    if (option.serial == VIA_NONE) {
        option.serial = VIA_IOAPIC;
    }
    if (!option.vcpus || option.vcpus > MAX_HOP_VCPUS) {
        refuse("vcpus= must be 1 to 8");
    }
    if (option.memory < PAGE_SIZE || option.memory % PAGE_SIZE
        || option.memory > 0x40000000 / option.vcpus) {
        refuse("memory= must be pages, and no more than 1 GiB for all vCPUs");
    }
    if (!option.tick || !option.span || option.pit_hz < 19 || option.pit_hz > 10000
        || option.tick > 1000000) {
        refuse("tick= must be 1 to 1000000, span= not 0, pit_hz= 19 to 10000");
    }
}

void guest_main(u32 start_info)
{
    const u32 *info = (u32 *)(uptr)start_info;

    read_options(info[0] == 0x336ec578 && info[6] ? (const char *)(uptr)info[6] : "");
    khz = number_option(info[6] ? (const char *)(uptr)info[6] : "", "tsc_khz", 0);
    if (!khz) {
        khz = tsc_khz_from_kvm();
    }
    if (!khz) {
        khz = lapic_calibrate();
    }
    if (option.vcpus > 1) {
        memcpy((void *)(uptr)GUEST_TRAMPOLINE, ap_trampoline, ap_trampoline_end - ap_trampoline);
        *(volatile u32 *)(uptr)LAPIC_SVR |= 0x100;
        for (u32 i = option.vcpus - 1; i >= 1; i--) {
            if (!start_vcpu(i, &hops[i].running)) {
                refuse("a vCPU does not start");
            }
        }
    }
    start(0);
}
