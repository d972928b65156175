/*
 * Interrupts of a PC, counted by firmware of its own: the interval timer through the PICs, and the
 * serial port's transmitter through a pin of the I/O APIC that is triggered by level.
 *
 * Every tick (100 a second) sends a byte, and the empty transmitter interrupts. The first time its
 * reason is left alone, so that the line is still up when the interrupt is ended: it has to come
 * again. The second time the reason is taken away. So there are two of these interrupts a tick, no
 * more and no less, give or take what is under way.
 *
 * 0x500 ticks, 0x504 serial interrupts, 0x508 wakings from HLT, 0x50c 1 once all is set up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define TICKS  0x500
#define SERIAL 0x504
#define WAKES  0x508
#define READY  0x50c
#define STACK  0x7000
#define APIC   0xfee00000
#define IOAPIC 0xfec00000

#define DIVIDER        11932    /* 100 Hz */
#define VECTOR_PIC     0x20
#define VECTOR_SERIAL  0x41
#define SERIAL_PIN     4

    .code16
    .section .text
rom:
start16:
    cli
    lgdtl   %cs:gdtr - rom
    movl    %cr0, %eax
    orb     $1, %al
    movl    %eax, %cr0
    movw    $8, %bx                     /* data beyond 64 KiB ... */
    movw    %bx, %ds
    andb    $0xfe, %al
    movl    %eax, %cr0
    ljmp    $0xf000, $(real - rom)      /* ... from real mode: there, IRET works everywhere */

    .balign 8
gdt:
    .quad   0, 0x00cf93000000ffff
gdtr:
    .word   gdtr - gdt - 1
    .long   gdt

    .macro  outbyte value, port
    movb    $\value, %al
    outb    %al, $\port
    .endm

    .macro  set value, address
    movl    $(\address), %ebx
    movl    $(\value), (%ebx)
    .endm

real:
    xorw    %ax, %ax
    movw    %ax, %ss
    movw    $STACK, %sp
    set     0, TICKS
    set     0, SERIAL
    set     0, WAKES
    set     0, READY
    set     (0xf0000000 + on_tick - rom), (4 * VECTOR_PIC)
    set     (0xf0000000 + on_serial - rom), (4 * VECTOR_SERIAL)

    outbyte 0x11, 0x20
    outbyte VECTOR_PIC, 0x21
    outbyte 0x04, 0x21
    outbyte 0x01, 0x21
    outbyte 0xfe, 0x21
    outbyte 0x34, 0x43
    outbyte (DIVIDER & 0xff), 0x40
    outbyte (DIVIDER >> 8), 0x40

    set     0x1ff, (APIC + 0xf0)
    set     0x700, (APIC + 0x350)       /* LINT0: what the PICs have */
    set     (0x11 + 2 * SERIAL_PIN), IOAPIC
    set     0, (IOAPIC + 0x10)
    set     (0x10 + 2 * SERIAL_PIN), IOAPIC
    set     (0x8000 | VECTOR_SERIAL), (IOAPIC + 0x10)
    movw    $0x3fc, %dx
    movb    $8, %al                     /* lets interrupts out */
    outb    %al, %dx
    movw    $0x3f9, %dx
    movb    $2, %al                     /* the transmitter's */
    outb    %al, %dx
    set     1, READY
    sti
1:  hlt
    incl    WAKES
    jmp     1b

on_tick:
    pushw   %ax
    pushw   %dx
    incl    TICKS
    movb    $'.', %al
    movw    $0x3f8, %dx
    outb    %al, %dx
    outbyte 0x20, 0x20
    popw    %dx
    popw    %ax
    iret

on_serial:
    pushw   %ax
    pushw   %dx
    pushl   %ebx
    incl    SERIAL
    testb   $1, SERIAL
    jnz     2f
    movw    $0x3fa, %dx
    inb     %dx, %al
2:  set     0, (APIC + 0xb0)
    popl    %ebx
    popw    %dx
    popw    %ax
    iret

    .org    0xfff0                      /* where the CPU begins */
    ljmp    $0xf000, $(start16 - rom)
    .org    0x10000
