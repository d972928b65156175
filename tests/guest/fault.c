/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest that measures how long it waits for a page: fills its memory with what does not
 * compress, then reads one word of one page after the other, each vCPU in its own share, in an
 * order without pattern, over and over, and writes down every read that took longer than `slow=` by
 * the time stamp counter. tests/bench/postcopy-bench reads what was written down from outside.
 *
 * It only reads once it has begun, so that nothing gets dirty but what it writes down: after the
 * switch into postcopy each page that has not been sent yet is missed once.
 */
#include "guest.h"
#include "lib.h"

extern u8 ap_trampoline[], ap_trampoline_end[];
extern void enter_ring3(void (*function)(u32), u32 argument) __attribute__((noreturn));
extern void guest_halt(void) __attribute__((noreturn));
void guest_main(u32 start_info) __attribute__((noreturn));
void guest_ap_main(u32 index) __attribute__((noreturn));

/* One slow read; the bench knows this layout, and those below. */
struct entry {
    u64 tsc;                      /* before it */
    u32 ticks;                    /* that it took */
    u32 page;
};

struct reader {
    u32 state;                    /* enum vcpu_state */
    u32 first_page, pages;        /* its share */
    u32 log, capacity;            /* address of its entries, and how many there is room for */
    u32 entries;                  /* written so far; at capacity it begins anew */
    u64 reads;
    u64 tsc_last;                 /* behind the last read */
};

static volatile struct {
    char magic[8];
    u32 size;                     /* of this without the readers */
    u32 reader_size;
    u32 vcpus;
    u32 tsc_khz;
    struct reader reader[GUEST_MAX_VCPUS];
} control __attribute__((section(".control"), aligned(4096))) = {
    .magic = "GODWITF1",
    .size = 24,
    .reader_size = sizeof(struct reader),
};

_Static_assert(sizeof(struct entry) == 16, "postcopy-bench reads this layout");
_Static_assert(sizeof(struct reader) == 40, "postcopy-bench reads this layout");

static u32 ring, slow, tick;

static void __attribute__((noreturn)) refuse(const char *why)
{
    serial_text("E: ");
    serial_text(why);
    serial_char('\n');
    guest_halt();
}

static void fill_page(u32 page)
{
    u64 *to = (u64 *)(uptr)(page * PAGE_SIZE);
    u64 x = page * 0x9e3779b97f4a7c15ull + 1;

    for (u32 i = 0; i < PAGE_SIZE / 8; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[i] = x;
    }
}

/* Every number below 1 << bits once while `i` goes through them: each step can be undone. */
static inline u32 shuffle(u32 i, u32 bits, u32 round)
{
    u32 mask = (1u << bits) - 1, half = bits / 2 + 1;

    i = (i * 0x9e3779b1u + round * 0x85ebca6bu) & mask;
    i ^= i >> half;
    i = i * 0xc2b2ae35u & mask;
    return i ^ i >> half;
}

static void __attribute__((noreturn)) worker(u32 index)
{
    volatile struct reader *r = &control.reader[index];
    struct entry *log = (struct entry *)(uptr)r->log;
    u32 first = r->first_page, pages = r->pages, capacity = r->capacity, entries = 0, bits = 1;
    u64 next_tick;

    while (1u << bits < pages) {
        bits++;
    }
    for (u32 i = 0; i < pages; i++) {
        fill_page(first + i);
    }
    r->state = VCPU_RUNNING;
    if (index == 0) {
        for (u32 i = 0; i < control.vcpus; i++) {
            while (control.reader[i].state != VCPU_RUNNING) {
                __asm__ volatile("pause");
            }
        }
        serial_char('a');
    }
    next_tick = rdtsc() + tick;
    for (u32 round = index;; round++) {
        for (u32 i = 0; i < 1u << bits; i++) {
            u32 page = shuffle(i, bits, round);
            u64 before, after;

            if (page >= pages) {
                continue;
            }
            before = rdtsc();
            /* rdtsc does not wait for what was loaded before it, but for what it depends on */
            __asm__ volatile("movl (%0), %%eax; lfence" : : "r"((uptr)(first + page) * PAGE_SIZE)
                             : "eax", "memory");
            after = rdtsc();
            if (after - before >= slow) {
                volatile struct entry *e = &log[entries++ % capacity];

                e->tsc = before;
                e->ticks = after - before > 0xffffffff ? 0xffffffff : after - before;
                e->page = first + page;
                r->entries = entries;
                r->tsc_last = after;
            }
            if (tick && index == 0 && after >= next_tick) {
                serial_char('.');
                next_tick = after + tick;
            }
        }
        r->reads += pages;
    }
}

static void __attribute__((noreturn)) go(u32 index)
{
    if (ring == 3) {
        enter_ring3(worker, index);
    }
    worker(index);
}

void guest_ap_main(u32 index)
{
    control.reader[index].state = VCPU_FILLING;
    go(index);
}

void guest_main(u32 start_info)
{
    const u32 *info = (u32 *)(uptr)start_info;
    const char *line = info[0] == 0x336ec578 && info[6] ? (const char *)(uptr)info[6] : "";
    u32 vcpus = number_option(line, "vcpus", 1);
    u32 size = number_option(line, "size", 16u << 20);
    u32 log = number_option(line, "log", 1u << 20) / PAGE_SIZE * PAGE_SIZE;
    u32 at = GUEST_FIRST_FREE;

    ring = number_option(line, "ring", 0);
    if (!vcpus || vcpus > GUEST_MAX_VCPUS) {
        refuse("vcpus= must be 1 to 32");
    }
    if (ring != 0 && ring != 3) {
        refuse("ring= must be 0 or 3");
    }
    if (!log || size / PAGE_SIZE / vcpus < 2) {
        refuse("size= and log= must give each vCPU some pages");
    }
    control.vcpus = vcpus;
    control.tsc_khz = tsc_khz();
    slow = control.tsc_khz / 1000 * number_option(line, "slow", 20);
    tick = control.tsc_khz / 1000 * number_option(line, "tick", 0);
    for (u32 i = 0; i < vcpus; i++, at += log) {
        control.reader[i].log = at;
        control.reader[i].capacity = log / sizeof(struct entry);
        memset((void *)(uptr)at, 0xff, log);    /* there, that is, before it is written to */
    }
    for (u32 i = 0; i < vcpus; i++) {
        control.reader[i].first_page = at / PAGE_SIZE + i * (size / PAGE_SIZE / vcpus);
        control.reader[i].pages = size / PAGE_SIZE / vcpus;
    }
    serial_char('A');
    if (vcpus > 1) {
        memcpy((void *)(uptr)GUEST_TRAMPOLINE, ap_trampoline, ap_trampoline_end - ap_trampoline);
        *(volatile u32 *)(uptr)LAPIC_SVR |= 0x100;
        for (u32 i = 1; i < vcpus; i++) {
            if (!start_vcpu(i, &control.reader[i].state)) {
                refuse("a vCPU does not start");
            }
        }
    }
    go(0);
}
