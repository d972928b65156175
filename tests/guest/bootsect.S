/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test guest in 512 bytes, for machines that boot a disk: loaded at 0000:7c00 in real mode.
 * It adds one to the first byte of every page from `start` to `end`, round by round, and prints
 * 'A' when it starts and 'B' after every `every` rounds. All first bytes of a stopped guest are
 * equal, but for one step down by one at the place where it stood. The guest checks the same as
 * it goes: a page that differs from the round's first one makes it print 'E' and stop.
 *
 * The four double words at PARAMETERS may be patched in the file:
 *   start, end    first address, and the one behind the last; multiples of 4096
 *   every         rounds between two letters, at least 1
 *   flags         1: run at privilege level 3;  2: suspend (S3) after the first letter, once
 * The 8 bytes behind the range say, after a wake-up, that it has been prepared.
 *
 * Relies on nothing but a PC's port 0x92 for A20 (where there is no such port it must be open),
 * a UART at 0x3f8 and, to suspend, PM1a control at 0x604.
 */
#ifndef START
#define START 0x100000
#endif
#ifndef END
#define END 0x6400000
#endif
#ifndef EVERY
#define EVERY 1
#endif
#ifndef FLAGS
#define FLAGS 0
#endif

#define FLAG_LEVEL3  1
#define FLAG_SUSPEND 2

#define LOAD        0x7c00
#define PARAMETERS  0x1e0
#define MARK_VALUE  0x676f6477      /* at the end of the range, once memory was prepared */
#define SUSPENDED   4               /* behind the mark: not 0 once the guest has suspended */
#define STACK       0x6ff0

    .text
    .code16
    .globl _start
_start:
    cli
    cld
    xor     %ax, %ax
    mov     %ax, %ds
    lgdtl   gdt_pointer
    mov     %cr0, %eax
    or      $1, %al
    mov     %eax, %cr0
    ljmpl   $0x08, $protected

    .code32
protected:
    mov     $0x10, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $STACK, %esp
    in      $0x92, %al
    or      $2, %al                 /* A20 open */
    and     $0xfe, %al              /* and no reset */
    out     %al, $0x92

    mov     end, %esi               /* low memory is the firmware's to overwrite */
    cmpl    $MARK_VALUE, (%esi)     /* woken up again: memory is as it was left */
    je      prepared
    movl    $0, SUSPENDED(%esi)
    mov     start, %edi
1:  movb    $0, (%edi)
    add     $4096, %edi
    cmp     %esi, %edi
    jb      1b
    movl    $MARK_VALUE, (%esi)
prepared:
    mov     $'A', %al
    call    print
    testb   $FLAG_LEVEL3, flags
    jz      rounds

    mov     $0x174, %ecx            /* IA32_SYSENTER_CS, from which SYSEXIT counts */
    mov     $0x08, %eax
    xor     %edx, %edx
    wrmsr
    mov     $0x23, %eax
    mov     %eax, %ds
    mov     %eax, %es
    push    $0x3002                 /* interrupts off, I/O allowed at level 3 */
    popf
    mov     $rounds, %edx
    mov     %esp, %ecx
    sysexit

rounds:
    mov     every, %ebx
round:
    mov     start, %edi
    movb    (%edi), %al             /* what every page must hold now */
page:
    cmpb    %al, (%edi)
    jne     error
    incb    (%edi)
    add     $4096, %edi
    cmp     %esi, %edi
    jb      page
    dec     %ebx
    jnz     round
    mov     $'B', %al
    call    print
    testb   $FLAG_SUSPEND, flags
    jz      rounds
    cmpl    $0, SUSPENDED(%esi)
    jne     rounds
    incl    SUSPENDED(%esi)
    mov     $0xf1, %al
    out     %al, $0xb2
    mov     $0x604, %edx
    mov     $0x2401, %eax           /* S3 */
    out     %ax, %dx
    jmp     stop                    /* the machine takes a moment to fall asleep */

error:
    mov     $'E', %al
    call    print
stop:
    pause
    jmp     stop

print:
    mov     $0x3f8, %edx
    out     %al, %dx
    ret

    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff      /* code, level 0, flat 4 GiB */
    .quad   0x00cf93000000ffff      /* data, level 0 */
    .quad   0x00cffb000000ffff      /* code, level 3 */
    .quad   0x00cff3000000ffff      /* data, level 3 */
gdt_end:
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt

    .org    PARAMETERS
start:
    .long   START
end:
    .long   END
every:
    .long   EVERY
flags:
    .long   FLAGS

    .org    510
    .word   0xaa55
    .section .note.GNU-stack, "", @progbits
