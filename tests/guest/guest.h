/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test guest keeps at fixed places of its memory, shared by its C and assembly parts.
 * tests/guest/check.py reads the same layout from the outside: change both together.
 * Every number is little-endian, every address is guest-physical.
 */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#define GUEST_LOAD       0x100000   /* the program itself */
#define GUEST_CONTROL    0x110000   /* struct control, a page */
#define GUEST_FIRST_FREE 0x200000   /* default start of the range it dirties */
#define GUEST_TRAMPOLINE 0x8000     /* where other vCPUs begin, in real mode */

#define GUEST_MAX_VCPUS  32
#define GUEST_STACK_SIZE 4096

#define SEL_CODE0 0x08
#define SEL_DATA0 0x10
#define SEL_CODE3 0x1b
#define SEL_DATA3 0x23
#define SEL_STAR3 0x23              /* SYSRET adds 8 for the stack, 16 for 64-bit code */
#define SEL_DATA3_64 0x2b
#define SEL_CODE3_64 0x33
#define SEL_CODE0_64 0x38

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long uptr;         /* as wide as a pointer: 32 or 64 bits */

#define PAGE_SIZE  4096u
#define PAGE_WORDS (PAGE_SIZE / 4)

/* Multipliers that spread page number and slot over a stamp; odd, so nothing is lost. */
#define KEY_PAGE 0x9e3779b1u
#define KEY_SLOT 0x85ebca6bu

enum fill { FILL_ZERO, FILL_RANDOM, FILL_TEXT };

/*
 * One vCPU's share. `pos` and `round` are one aligned 8-byte word, so that a stopped guest
 * always shows a pair that belongs together. Pages visited before `pos` in this round hold
 * stamps of `round`, those from `pos` on hold `round - 1`; the page at `pos` may be torn, its
 * low slots being written first. In round 0 the pages get their first content.
 */
struct vcpu {
    u32 pos;
    u32 round;
    u32 first_page;       /* page frame number of the share */
    u32 pages;            /* its length; all of it is filled in round 0 */
    u32 hot_pages;        /* of these the first that later rounds write */
    u32 stride;           /* visit i is page i * stride mod hot_pages; no common divisor */
    u32 state;            /* enum vcpu_state */
    u32 bad_address;      /* of the word that was not as expected, when state is BAD */
    u32 bad_expected;
    u32 bad_found;
    u32 tsc_backwards;    /* how often the time stamp counter was seen to go back */
    u32 late;             /* how often the pace was lost by more than a tenth of a second */
    u64 tsc_last;         /* as read after the page before */
};

enum vcpu_state { VCPU_OFF, VCPU_FILLING, VCPU_RUNNING, VCPU_BAD, VCPU_DONE };

struct control {
    char magic[8];        /* "GODWITG1" */
    u32 size;             /* bytes of this header and of one vcpu */
    u32 vcpu_size;
    u32 vcpus;
    u32 ring;
    u32 seed;
    u32 words;            /* stamps in a page */
    u32 fill;             /* enum fill: what lies between the stamps */
    u32 tsc_khz;          /* what the pace is measured with */
    u32 rounds;           /* stop after so many, 0: never */
    u32 stop;             /* set by the vCPU that found an error: all stop */
    u32 reserved[4];
    struct vcpu vcpu[GUEST_MAX_VCPUS];
};

_Static_assert(sizeof(struct vcpu) == 56, "check.py reads this layout");
_Static_assert(sizeof(struct control) == 64 + GUEST_MAX_VCPUS * 56, "check.py reads this layout");

#endif
#endif
