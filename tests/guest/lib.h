/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test guests have in common, there being no library: the serial port written to without
 * waiting, time stamp counter and its frequency, options on the command line, starting vCPUs. Each is one
 * program and includes this once; what it does not use is left out by the compiler.
 */
#ifndef TESTS_GUEST_LIB_H
#define TESTS_GUEST_LIB_H

#include "guest.h"

#define COM1 0x3f8
#define LAPIC_SVR 0xfee000f0u
#define LAPIC_ICR_LOW 0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u

#define GUEST_HELPER static __attribute__((unused))

/* gcc calls these for copies and clears of its own making. Weak: each file of a guest has them. */
__attribute__((weak)) void *memset(void *to, int byte, uptr n)
{
    void *p = to;

    __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(byte) : "memory");
    return to;
}

__attribute__((weak)) void *memcpy(void *to, const void *from, uptr n)
{
    void *p = to;

    __asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
    return to;
}

GUEST_HELPER void serial_char(char c)
{
    __asm__ volatile("outb %b0, %w1" : : "a"(c), "d"(COM1));
}

GUEST_HELPER void serial_text(const char *text)
{
    while (*text) {
        serial_char(*text++);
    }
}

GUEST_HELPER void serial_hex(u32 value)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        serial_char("0123456789abcdef"[(value >> shift) & 15]);
    }
}

GUEST_HELPER inline u64 rdtsc(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

GUEST_HELPER void cpuid(u32 leaf, u32 out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(0));
}

/* The quotient must fit in 32 bits: there is no library here to do better. */
GUEST_HELPER u32 divide(u64 value, u32 by)
{
    u32 quotient, rest;

    __asm__("divl %4" : "=a"(quotient), "=d"(rest)
            : "0"((u32)value), "1"((u32)(value >> 32)), "rm"(by));
    return quotient;
}

/* KVM's paravirtual clock is asked for one moment only, for the factor that it works with. */
GUEST_HELPER u32 tsc_khz_from_kvm(void)
{
    static volatile struct {
        u32 version, pad;
        u64 tsc, nanoseconds;
        u32 multiplier;
        signed char shift;
        u8 flags, more[2];
    } clock __attribute__((aligned(64)));
    u32 r[4], khz;

    cpuid(0x40000000, r);
    if (r[1] != 0x4b4d564b || r[2] != 0x564b4d56) {         /* "KVMKVMKVM" */
        return 0;
    }
    cpuid(0x40000001, r);
    if (!(r[0] & 1u << 3)) {
        return 0;
    }
    __asm__ volatile("wrmsr" : : "c"(0x4b564d01), "a"((u32)(uptr)&clock | 1), "d"(0));
    cpuid(0, r);                                            /* an exit, to have it filled in */
    __asm__ volatile("wrmsr" : : "c"(0x4b564d01), "a"(0), "d"(0));
    if (clock.multiplier <= 1000000) {
        return 0;
    }
    khz = divide(1000000ull << 32, clock.multiplier);
    return clock.shift < 0 ? khz << -clock.shift : khz >> clock.shift;
}

GUEST_HELPER u32 tsc_khz(void)
{
    u32 r[4], highest, khz = tsc_khz_from_kvm();

    if (khz) {
        return khz;
    }
    cpuid(0, r);
    highest = r[0];
    if (highest >= 0x15) {
        cpuid(0x15, r);
        if (r[0] && r[1] && r[2] && r[2] / 1000 < 0xffffffffu / r[1]) {
            return r[2] / 1000 * r[1] / r[0];
        }
    }
    if (highest >= 0x16) {
        cpuid(0x16, r);
        if (r[0] & 0xffff) {
            return (r[0] & 0xffff) * 1000;
        }
    }
    return 1000000;
}

/* Finds "name=" at the start of a word of the command line; answers the text after it. */
GUEST_HELPER const char *find_option(const char *line, const char *name)
{
    while (*line) {
        const char *n = name;

        while (*line == ' ') {
            line++;
        }
        while (*n && *line == *n) {
            line++;
            n++;
        }
        if (!*n && *line == '=') {
            return line + 1;
        }
        while (*line && *line != ' ') {
            line++;
        }
    }
    return 0;
}

/* Decimal or 0x, with K, M or G behind it. */
GUEST_HELPER u32 number_option(const char *line, const char *name, u32 otherwise)
{
    const char *p = find_option(line, name);
    u32 value = 0, base = 10;

    if (!p) {
        return otherwise;
    }
    if (p[0] == '0' && (p[1] | 32) == 'x') {
        base = 16;
        p += 2;
    }
    for (;; p++) {
        u32 c = *p | 32;

        if (c >= '0' && c <= '9') {
            value = value * base + (c - '0');
        } else if (base == 16 && c >= 'a' && c <= 'f') {
            value = value * 16 + (c - 'a' + 10);
        } else {
            break;
        }
    }
    switch (*p | 32) {
    case 'g':
        return value << 30;
    case 'm':
        return value << 20;
    case 'k':
        return value << 10;
    }
    return value;
}

extern volatile u32 ap_index;

GUEST_HELPER void wait_a_little(u32 turns)
{
    while (turns--) {
        __asm__ volatile("pause");
    }
}

/* How long a vCPU may take to start, in ticks of the time stamp counter: twenty seconds or so. */
#define START_TICKS (1ull << 36)

/*
 * Start a vCPU, whose APIC id is its number on the machines that we run on, and wait until it has
 * made *state other than 0. 0: it has not.
 *
 * The wait is long because a host may leave a vCPU's thread waiting while it runs this one's. And
 * it is told once: INIT and SIPI are kept for it until it comes; another INIT could hit it when it
 * has just begun, and it would begin anew with the ap_index of the next one.
 */
GUEST_HELPER u32 start_vcpu(u32 index, const volatile u32 *state)
{
    volatile u32 *icr_low = (u32 *)(uptr)LAPIC_ICR_LOW;
    volatile u32 *icr_high = (u32 *)(uptr)LAPIC_ICR_HIGH;
    u64 end;

    ap_index = index;
    *icr_high = index << 24;
    *icr_low = 0x4500;                                      /* INIT */
    wait_a_little(2000);
    *icr_high = index << 24;
    *icr_low = 0x4600 | GUEST_TRAMPOLINE >> 12;             /* start at the trampoline */
    end = rdtsc() + START_TICKS;
    while (!*state) {
        if (rdtsc() > end) {
            return 0;
        }
        wait_a_little(1);
    }
    return 1;
}

#endif
