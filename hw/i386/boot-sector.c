/*
 * How a boot sector starts: the part of the start-up ROM that leaves a PC as a BIOS would, and what
 * stands in low memory by then.
 *
 * There are no BIOS services. Each interrupt vector leads to a few bytes of the ROM all the same:
 * interrupts of devices are acknowledged, the timer's are counted, exceptions return, and whoever
 * calls a service gets carry and AH=86h, "there is no such function".
 *
 * Memory is written from outside, the rest (PIC, A20, registers) is done by the CPU: so a machine
 * that is stopped before its first instruction is one that has just been reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "qemu/bswap.h"
#include "system/address-spaces.h"

#define ROM_SEGMENT     0xf000u
#define SECTOR_ADDR     0x7c00u

/* Offsets in the ROM, clear of start-rom.c's table and of the reset vector. */
#define OFFSET_RESET    0xfff0
#define OFFSET_BOOT     0xfe40
#define OFFSET_IDTR     0xfe30
#define OFFSET_RETURN   0xfd00
#define OFFSET_REFUSE   0xfd10
#define OFFSET_TIMER    0xfd20
#define OFFSET_KEYBOARD 0xfd40
#define OFFSET_MASTER   0xfd50
#define OFFSET_SLAVE    0xfd60

#define PUT(at, ...) memcpy((at), (const uint8_t[]) { __VA_ARGS__ }, \
                            sizeof((const uint8_t[]) { __VA_ARGS__ }))

void x86_put_boot_code(uint8_t *rom)
{
    static const uint8_t boot[] = {
        0xfa, 0xfc,                             /* cli; cld */
        0x0f, 0x20, 0xc0,                       /* mov %cr0, %eax */
        0x66, 0x25, 0xff, 0xff, 0xff, 0x9f,     /* and $~(CD | NW), %eax */
        0x0f, 0x22, 0xc0,                       /* mov %eax, %cr0 */
        0x2e, 0x0f, 0x01, 0x1e,                 /* lidt %cs:OFFSET_IDTR */
        OFFSET_IDTR & 0xff, OFFSET_IDTR >> 8,

        0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0,     /* both PICs: edges, cascaded, */
        0xb0, 0x08, 0xe6, 0x21,                 /* vectors from 8 */
        0xb0, 0x70, 0xe6, 0xa1,                 /* and from 70h, */
        0xb0, 0x04, 0xe6, 0x21,
        0xb0, 0x02, 0xe6, 0xa1,
        0xb0, 0x01, 0xe6, 0x21, 0xe6, 0xa1,
        0xb0, 0xb8, 0xe6, 0x21,                 /* open for timer, keyboard, diskette, slave; */
        0xb0, 0x8e, 0xe6, 0xa1,                 /* clock, mouse, FPU, disk */
        0xb0, 0x02, 0xe6, 0x92,                 /* A20 open */

        0x31, 0xc0,                             /* xor %ax, %ax */
        0x8e, 0xd8, 0x8e, 0xc0,                 /* mov to %ds, %es, */
        0x8e, 0xe0, 0x8e, 0xe8, 0x8e, 0xd0,     /* %fs, %gs, %ss */
        0x66, 0xbc, 0x00, 0x6f, 0x00, 0x00,     /* mov $0x6f00, %esp */
        0x66, 0x31, 0xdb, 0x66, 0x31, 0xc9,     /* xor %ebx, %ecx, */
        0x66, 0x31, 0xf6, 0x66, 0x31, 0xff,     /* %esi, %edi, */
        0x66, 0x31, 0xed,                       /* %ebp */
        0x66, 0xba, 0x80, 0x00, 0x00, 0x00,     /* mov $0x80, %edx: the first disk */
        0x66, 0xb8, 0x55, 0xaa, 0x00, 0x00,     /* mov $0xaa55, %eax */
        0xfb,                                   /* sti */
        0xea, 0x00, 0x7c, 0x00, 0x00,           /* ljmp $0, $0x7c00 */
    };

    QEMU_BUILD_BUG_ON(OFFSET_BOOT + sizeof(boot) > OFFSET_RESET);
    memcpy(rom + OFFSET_BOOT, boot, sizeof(boot));
    rom[OFFSET_RESET] = 0xe9;                   /* jmp OFFSET_BOOT */
    stw_le_p(rom + OFFSET_RESET + 1, (uint16_t)(OFFSET_BOOT - (OFFSET_RESET + 3)));
    stw_le_p(rom + OFFSET_IDTR, 0x3ff);
    stl_le_p(rom + OFFSET_IDTR + 2, 0);

    PUT(rom + OFFSET_RETURN, 0xcf);             /* iret */
    PUT(rom + OFFSET_REFUSE,
        0x55, 0x89, 0xe5,                       /* push %bp; mov %sp, %bp */
        0x80, 0x4e, 0x06, 0x01,                 /* orb $CF, 6(%bp): the caller's flags */
        0x5d, 0xb4, 0x86, 0xcf);                /* pop %bp; mov $0x86, %ah; iret */
    PUT(rom + OFFSET_TIMER,
        0x50, 0x1e,                             /* push %ax; push %ds */
        0x31, 0xc0, 0x8e, 0xd8,                 /* xor %ax, %ax; mov %ax, %ds */
        0x66, 0xff, 0x06, 0x6c, 0x04,           /* incl 0x46c */
        0xcd, 0x1c,                             /* int $0x1c: the user's */
        0xb0, 0x20, 0xe6, 0x20,                 /* mov $EOI, %al; out %al, $0x20 */
        0x1f, 0x58, 0xcf);                      /* pop %ds; pop %ax; iret */
    PUT(rom + OFFSET_KEYBOARD,
        0x50, 0xe4, 0x60,                       /* push %ax; in $0x60, %al: take the byte */
        0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf);
    PUT(rom + OFFSET_MASTER, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf);
    PUT(rom + OFFSET_SLAVE, 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf);
}

static uint16_t handler_of(unsigned vector)
{
    switch (vector) {
    case 0x00 ... 0x07:         /* exceptions */
    case 0x1c:                  /* the timer's, for the user */
        return OFFSET_RETURN;
    case 0x08:
        return OFFSET_TIMER;
    case 0x09:
        return OFFSET_KEYBOARD;
    case 0x0a ... 0x0f:
        return OFFSET_MASTER;
    case 0x70 ... 0x77:
        return OFFSET_SLAVE;
    default:
        return OFFSET_REFUSE;
    }
}

void x86_place_boot_sector(const uint8_t *sector, unsigned serial_ports)
{
    static const uint16_t serial_bases[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    uint8_t low[0x500] = { 0 }, ebda[1] = { 1 /* KiB */ }, *bda = low + 0x400;

    for (unsigned i = 0; i < 256; i++) {
        stl_le_p(low + 4 * i, ROM_SEGMENT << 16 | handler_of(i));
    }
    for (unsigned i = 0; i < MIN(serial_ports, ARRAY_SIZE(serial_bases)); i++) {
        stw_le_p(bda + 2 * i, serial_bases[i]);
    }
    stw_le_p(bda + 0x0e, X86_LOW_RAM_END >> 4);
    stw_le_p(bda + 0x10, serial_ports << 9 | 0x02 /* an FPU */);
    stw_le_p(bda + 0x13, X86_LOW_RAM_END >> 10);
    bda[0x75] = 1;              /* disks */

    address_space_write(&address_space_memory, 0, MEMTXATTRS_UNSPECIFIED, low, sizeof(low));
    address_space_write(&address_space_memory, X86_LOW_RAM_END, MEMTXATTRS_UNSPECIFIED, ebda,
                        sizeof(ebda));
    address_space_write(&address_space_memory, SECTOR_ADDR, MEMTXATTRS_UNSPECIFIED, sector,
                        X86_SECTOR_SIZE);
}
