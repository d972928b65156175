/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that waits for NMIs: 'R' once it is ready, then 'N' for each that comes. Letters
 * that it is sent on the serial line change pin LINT1 of the local APIC, and come back when that is
 * done: 'm' masks it (nothing comes any more), 'o' opens it.
 */
#define COM1        0x3f8
#define LSR         0x3fd
#define APIC_SVR    0xfee000f0
#define APIC_LINT1  0xfee00360
#define NMI         0x400
#define MASKED      0x10400

    .code16
    .text
    .globl _start
_start:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0x7c00, %sp
    movw    $handler, 2 * 4
    movw    %ax, 2 * 4 + 2
    /* A flat %fs, with which one reaches the APIC from real mode. */
    lgdtl   gdt_pointer
    movl    %cr0, %eax
    orb     $1, %al
    movl    %eax, %cr0
    movw    $8, %bx
    movw    %bx, %fs
    andb    $0xfe, %al
    movl    %eax, %cr0
    ljmp    $0, $1f
1:
    movl    $APIC_SVR, %esi
    addr32 movl $0x1ff, %fs:(%esi)
    movl    $APIC_LINT1, %esi
    addr32 movl $NMI, %fs:(%esi)
    movb    $'R', %al
    call    put
wait:
    movw    $LSR, %dx
    inb     %dx, %al
    testb   $1, %al
    jz      wait
    movw    $COM1, %dx
    inb     %dx, %al
    movl    $NMI, %ecx
    cmpb    $'m', %al
    jne     2f
    movl    $MASKED, %ecx
2:
    addr32 movl %ecx, %fs:(%esi)
    call    put
    jmp     wait

handler:
    pushw   %ax
    pushw   %dx
    movb    $'N', %al
    call    put
    popw    %dx
    popw    %ax
    iretw

put:
    movw    $COM1, %dx
    outb    %al, %dx
    ret

    .balign 8
gdt:
    .quad   0, 0x00cf92000000ffff
gdt_pointer:
    .word   . - gdt - 1
    .long   gdt

    .org    _start + 510
    .word   0xaa55
