/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that says what it was started with: DX, CS, IP, SS, DS, ES, flags, then the first
 * serial port and the KiB of conventional memory that the BIOS noted, as words of four hex digits
 * with a space behind each. Then it waits for the timer's interrupts to have counted twice, and
 * prints "T". Stays in real mode.
 */
#define LOAD 0x7c00

    .text
    .code16
    .globl _start
_start:
    pushf
    push    %es
    push    %ds
    push    %ss
    call    here
here:
    push    %cs
    push    %dx
    mov     %sp, %bp
    xor     %ax, %ax
    mov     %ax, %ds
    mov     0(%bp), %ax             /* DX */
    call    word
    mov     2(%bp), %ax             /* CS */
    call    word
    mov     4(%bp), %ax             /* where `here' is */
    sub     $(here - _start), %ax
    call    word
    mov     6(%bp), %ax             /* SS */
    call    word
    mov     8(%bp), %ax             /* DS */
    call    word
    mov     10(%bp), %ax            /* ES */
    call    word
    mov     12(%bp), %ax            /* flags */
    call    word
    mov     0x400, %ax
    call    word
    mov     0x413, %ax
    call    word

    mov     0x46c, %bl
1:  hlt
    mov     0x46c, %al
    sub     %bl, %al
    cmp     $2, %al
    jb      1b
    mov     $'T', %al
    call    print
2:  hlt
    jmp     2b

word:                               /* AX in hex */
    mov     $4, %cx
3:  rol     $4, %ax
    push    %ax
    and     $15, %al
    cmp     $10, %al
    jb      4f
    add     $('a' - '0' - 10), %al
4:  add     $'0', %al
    call    print
    pop     %ax
    loop    3b
    mov     $' ', %al
print:
    mov     $0x3f8, %dx
    out     %al, %dx
    ret

    .org    510
    .word   0xaa55
    .section .note.GNU-stack, "", @progbits
