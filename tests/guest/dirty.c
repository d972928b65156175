/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test guest: writes a range of memory in rounds, so that a write which migration lost,
 * tore, repeated or put elsewhere shows, both to the guest itself when it comes by in the next
 * round and to tests/guest/check.py, which looks at the stopped guest from outside.
 *
 * Every page holds `words` stamps spread from its first to its last word. A stamp is
 * key(page, slot) + round, so a page in the wrong place, a page from another round and a page
 * of which only a part came are three different things. What lies between the stamps is
 * written once, in round 0.
 *
 * Compiled for 32-bit mode with paging off and for long mode; relies on nothing more than
 * memory below 4 GiB mapped one to one, a UART at 0x3f8 and, for more than one vCPU, a local
 * APIC. README.md describes the command line and the serial output.
 */
#include "guest.h"
#include "lib.h"

#define POOL_WORDS 2048u          /* background content: any page's worth from the first half */

extern u8 ap_trampoline[], ap_trampoline_end[];
extern void enter_ring3(void (*function)(u32), u32 argument) __attribute__((noreturn));
extern void guest_halt(void) __attribute__((noreturn));
void guest_main(u32 start_info) __attribute__((noreturn));
void guest_ap_main(u32 index) __attribute__((noreturn));

static volatile struct control control __attribute__((section(".control"), aligned(4096))) = {
    .magic = "GODWITG1",          /* fills the array: there is no terminator */
    .size = sizeof(struct control) - GUEST_MAX_VCPUS * sizeof(struct vcpu),
    .vcpu_size = sizeof(struct vcpu),
};

static struct {
    u32 start, size, hot, stride;
    u32 rate;                     /* pages a second of each vCPU, 0: no limit */
    u32 pause;                    /* turns of an idle loop after every page */
    u32 tick;                     /* microseconds between dots on the serial port, 0: none */
    u32 stamp;                    /* print the time stamp counter after every letter */
    u32 every;                    /* rounds between two letters */
    u32 peek;                     /* look at a page of any vCPU after every page */
} option;

static u32 pool[POOL_WORDS];

static void __attribute__((noreturn)) refuse(const char *why)
{
    serial_text("E: ");
    serial_text(why);
    serial_char('\n');
    control.stop = 1;
    guest_halt();
}

static u32 common_divisor(u32 a, u32 b)
{
    while (b) {
        u32 rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static void make_pool(void)
{
    u32 x = control.seed * 2 + 1;

    for (u32 i = 0; i < POOL_WORDS; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        pool[i] = control.fill == FILL_TEXT ? (x & 0x03030303) + 0x61616161 : x;
    }
}

static inline u32 slot_word(u32 slot)
{
    u32 words = control.words;

    return words > 1 && slot == words - 1 ? PAGE_WORDS - 1 : slot * (PAGE_WORDS / words);
}

static void fill_page(u32 page)
{
    u32 *to = (u32 *)(uptr)(page * PAGE_SIZE);
    u32 key = page * KEY_PAGE ^ control.seed;

    if (control.fill != FILL_ZERO) {
        memcpy(to, pool + (page * 7) % (POOL_WORDS - PAGE_WORDS), PAGE_SIZE);
    }
    for (u32 slot = 0; slot < control.words; slot++) {
        ((volatile u32 *)to)[slot_word(slot)] = key ^ slot * KEY_SLOT;
    }
}

static void __attribute__((noreturn, noinline))
found_error(volatile struct vcpu *v, volatile u32 *at, u32 expected, u32 found)
{
    v->bad_address = (u32)(uptr)at;
    v->bad_expected = expected;
    v->bad_found = found;
    v->state = VCPU_BAD;
    control.stop = 1;
    serial_text("E: vcpu ");
    serial_hex(v - control.vcpu);
    serial_text(" round ");
    serial_hex(v->round);
    serial_text(" at ");
    serial_hex((u32)(uptr)at);
    serial_text(" expected ");
    serial_hex(expected);
    serial_text(" found ");
    serial_hex(found);
    serial_char('\n');
    guest_halt();
}

/* Low slots first, and each is looked at before it is overwritten: torn only in this order. */
static inline void write_page(volatile struct vcpu *v, u32 page, u32 round)
{
    volatile u32 *p = (u32 *)(uptr)(page * PAGE_SIZE);
    u32 words = control.words, step = PAGE_WORDS / words;
    u32 key = page * KEY_PAGE ^ control.seed, spread = 0;

    for (u32 slot = 0; slot < words; slot++) {
        u32 expected = (key ^ spread) + round - 1, found;

        if (words > 1 && slot == words - 1) {
            p = (u32 *)(uptr)(page * PAGE_SIZE) + PAGE_WORDS - 1;
        }
        found = *p;
        if (found != expected) {
            found_error(v, p, expected, found);
        }
        *p = expected + 1;
        p += step;
        spread += KEY_SLOT;
    }
}

/*
 * Looks at some page of some share, whatever its vCPU does meanwhile: a stamp is of the round
 * that was going on before it was read, the one before that, or one up to that which goes on
 * afterwards. A page that is not hot keeps its first content.
 */
static void peek_page(volatile struct vcpu *v, u32 *random)
{
    volatile struct vcpu *of;
    u32 place, page;

    *random = *random * 1664525u + 1013904223u;
    of = &control.vcpu[(*random >> 8) % control.vcpus];
    *random = *random * 1664525u + 1013904223u;
    place = (*random >> 8) % of->pages;
    page = of->first_page + place;
    if (of->state != VCPU_RUNNING) {
        return;
    }
    for (u32 slot = 0; slot < control.words; slot++) {
        volatile u32 *at = (u32 *)(uptr)(page * PAGE_SIZE) + slot_word(slot);
        u32 first = page * KEY_PAGE ^ control.seed ^ slot * KEY_SLOT;
        u32 low = of->round, found = *at, high = of->round;

        low -= low > 0;
        if (place >= of->hot_pages) {
            low = high = 0;
        }
        if (found - first - low > high - low) {
            found_error(v, at, first + low, found);
        }
    }
}

static void next_round(volatile struct vcpu *v, u32 round)
{
    u32 old_pos = v->pos, old_round = v->round;

    __asm__ volatile("cmpxchg8b %0" : "+m"(*(volatile u64 *)&v->pos), "+a"(old_pos),
                     "+d"(old_round) : "b"(0), "c"(round) : "cc", "memory");
}

static void print_round(u32 round, u64 now)
{
    serial_char('a' + (round / option.every - 1) % 26);
    if (option.stamp) {
        serial_char('<');
        serial_hex(now >> 32);
        serial_hex(now);
        serial_char('>');
    }
}

/*
 * Keeps the pace: waits until the next page is due. A guest that was stopped for a while does
 * not make up for it: it would hide the pace from whoever measures it.
 */
static inline u64 keep_pace(volatile struct vcpu *v, u64 *due, u32 interval)
{
    u64 now = rdtsc();

    if (now < v->tsc_last) {
        v->tsc_backwards++;
        *due = now;
    }
    v->tsc_last = now;
    if (interval) {
        u64 behind = 0;

        *due += interval;
        while (now < *due && *due - now <= interval && !control.stop) {
            __asm__ volatile("pause");
            now = rdtsc();
        }
        if (now > *due) {
            behind = now - *due;
        }
        if (behind > (u64)control.tsc_khz * 100 || now < *due) {
            v->late++;
            *due = now;
        }
    }
    return now;
}

static void __attribute__((noreturn)) worker(u32 index)
{
    volatile struct vcpu *v = &control.vcpu[index];
    u32 hot = v->hot_pages, stride = v->stride, first = v->first_page;
    u32 interval = 0, tick = 0, timed = option.rate || option.tick;
    u32 random = control.seed + index;
    u64 due, next_tick;

    v->state = VCPU_FILLING;
    for (u32 i = 0; i < v->pages; i++) {
        fill_page(first + i);
        v->pos = i + 1;
    }
    if (option.rate) {
        interval = control.tsc_khz / option.rate * 1000
                   + control.tsc_khz % option.rate * 1000 / option.rate;
    }
    if (option.tick && index == 0) {
        tick = control.tsc_khz / 1000 * option.tick;
    }
    v->state = VCPU_RUNNING;
    due = v->tsc_last = rdtsc();
    next_tick = due + tick;

    for (u32 round = 1;; round++) {
        u32 page = 0;

        next_round(v, round);
        for (u32 i = 0; i < hot; i++) {
            write_page(v, first + page, round);
            v->pos = i + 1;
            if (option.peek) {
                peek_page(v, &random);
            }
            page += stride;
            if (page >= hot) {
                page -= hot;
            }
            if (control.stop) {
                guest_halt();
            }
            if (timed) {
                u64 now = keep_pace(v, &due, interval);

                if (tick && now >= next_tick) {
                    serial_char('.');
                    next_tick = now + tick;
                }
            }
            for (u32 turn = option.pause; turn; turn--) {
                __asm__ volatile("pause");
            }
        }
        if (index == 0 && round % option.every == 0) {
            print_round(round, option.stamp ? rdtsc() : 0);
        }
        if (round == control.rounds) {
            v->state = VCPU_DONE;
            if (index == 0) {
                serial_char('!');
            }
            guest_halt();
        }
    }
}

static void __attribute__((noreturn)) go(u32 index)
{
    if (control.ring == 3) {
        enter_ring3(worker, index);
    }
    worker(index);
}

void guest_ap_main(u32 index)
{
    control.vcpu[index].state = VCPU_FILLING;
    go(index);
}

void guest_main(u32 start_info)
{
    const u32 *info = (u32 *)(uptr)start_info;
    const char *line = "";
    u32 vcpus, pages, hot;

    if (info[0] == 0x336ec578 && info[6]) {
        line = (const char *)(uptr)info[6];
    }
    vcpus = number_option(line, "vcpus", 1);
    option.start = number_option(line, "start", GUEST_FIRST_FREE);
    option.size = number_option(line, "size", 16u << 20);
    option.hot = number_option(line, "hot", option.size);
    option.stride = number_option(line, "stride", 1);
    option.rate = number_option(line, "rate", 0);
    option.pause = number_option(line, "pause", 0);
    option.tick = number_option(line, "tick", 0);
    option.stamp = number_option(line, "stamp", 0);
    option.every = number_option(line, "every", 1);
    option.peek = number_option(line, "peek", 0);
    control.ring = number_option(line, "ring", 0);
    control.seed = number_option(line, "seed", 1);
    control.words = number_option(line, "words", 4);
    control.rounds = number_option(line, "rounds", 0);
    if (find_option(line, "fill")) {
        switch (*find_option(line, "fill")) {
        case 'r':
            control.fill = FILL_RANDOM;
            break;
        case 't':
            control.fill = FILL_TEXT;
            break;
        }
    }

    if (!vcpus || vcpus > GUEST_MAX_VCPUS) {
        refuse("vcpus= must be 1 to 32");
    }
    if (control.ring != 0 && control.ring != 3) {
        refuse("ring= must be 0 or 3");
    }
    if (!control.words || control.words > PAGE_WORDS || control.words & (control.words - 1)) {
        refuse("words= must be a power of two up to 1024");
    }
    if (option.start < GUEST_FIRST_FREE || option.start % PAGE_SIZE) {
        refuse("start= must be a page at or above 2M");
    }
    if (!option.every) {
        refuse("every= must be at least 1");
    }
    pages = option.size / PAGE_SIZE / vcpus;
    hot = option.hot / PAGE_SIZE / vcpus;
    if (!pages || !hot || hot > pages) {
        refuse("size= and hot= must give each vCPU a page, and hot= be no more than size=");
    }
    control.vcpus = vcpus;
    control.tsc_khz = number_option(line, "tsc_khz", 0);
    if (!control.tsc_khz) {
        control.tsc_khz = tsc_khz();
    }
    for (u32 i = 0; i < vcpus; i++) {
        volatile struct vcpu *v = &control.vcpu[i];
        u32 stride = option.stride % hot;

        while (!stride || common_divisor(hot, stride) != 1) {
            stride = stride % hot + 1;
        }
        v->first_page = option.start / PAGE_SIZE + i * pages;
        v->pages = pages;
        v->hot_pages = hot;
        v->stride = stride;
    }
    make_pool();
    serial_char('A');

    if (vcpus > 1) {
        memcpy((void *)(uptr)GUEST_TRAMPOLINE, ap_trampoline, ap_trampoline_end - ap_trampoline);
        *(volatile u32 *)(uptr)LAPIC_SVR |= 0x100;
        for (u32 i = 1; i < vcpus; i++) {
            if (!start_vcpu(i, &control.vcpu[i].state)) {
                refuse("a vCPU does not start");
            }
        }
    }
    go(0);
}
