/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that says what CPUID says: every leaf of the table below, one line each,
 *
 *     LEAF SUBLEAF EAX EBX ECX EDX
 *
 * in hexadecimal, on the first serial port, which it takes as it finds it. "end" is the last line;
 * then it halts. It begins at the PVH entry (32-bit protected mode) and uses no memory but for
 * reading the table and a few words of stack.
 */
    .section .note.pvh, "a", @note
    .balign 4
    .long   4, 4, 18                /* name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .long   _start

    .text
    .code32
    .globl _start
_start:
    cli
    cld
    mov     $stack_end, %esp
    mov     $ranges, %esi
next_range:                         /* first leaf, leaves, sub-leaves of each */
    mov     (%esi), %ebp
    mov     4(%esi), %edi
    test    %edi, %edi
    jz      done
next_leaf:
    xor     %ecx, %ecx
next_subleaf:
    push    %ecx
    mov     %ebp, %eax
    call    put_hex
    mov     (%esp), %eax
    call    put_hex
    mov     %ebp, %eax
    mov     (%esp), %ecx
    cpuid
    push    %edx
    push    %ecx
    push    %ebx
    call    put_hex
    pop     %eax
    call    put_hex
    pop     %eax
    call    put_hex
    pop     %eax
    call    put_hex
    mov     $'\n', %al
    call    put_char
    pop     %ecx
    inc     %ecx
    cmp     8(%esi), %ecx
    jb      next_subleaf
    inc     %ebp
    dec     %edi
    jnz     next_leaf
    add     $12, %esi
    jmp     next_range

done:
    mov     $'e', %al
    call    put_char
    mov     $'n', %al
    call    put_char
    mov     $'d', %al
    call    put_char
    mov     $'\n', %al
    call    put_char
1:  hlt
    jmp     1b

/* %eax in eight digits and a blank; changes all but %esi, %edi, %ebp. */
put_hex:
    mov     %eax, %ebx
    mov     $8, %ecx
1:  rol     $4, %ebx
    mov     %bl, %al
    and     $15, %al
    add     $'0', %al
    cmp     $'9', %al
    jbe     2f
    add     $'a' - '9' - 1, %al
2:  call    put_char
    dec     %ecx
    jnz     1b
    mov     $' ', %al

/* %al; changes %edx. */
put_char:
    mov     $0x3f8, %edx
    out     %al, %dx
    ret

    .balign 4
ranges:
    .long   0x00000000, 4, 1
    .long   0x00000004, 1, 5
    .long   0x00000005, 2, 1
    .long   0x00000007, 1, 3
    .long   0x00000008, 3, 1
    .long   0x0000000b, 1, 3
    .long   0x0000000c, 1, 1
    .long   0x0000000d, 1, 20
    .long   0x00000012, 1, 3
    .long   0x00000014, 1, 2
    .long   0x00000015, 2, 1
    .long   0x00000019, 2, 1
    .long   0x0000001c, 1, 1
    .long   0x0000001d, 2, 2
    .long   0x0000001f, 1, 4
    .long   0x00000024, 1, 1
    .long   0x40000000, 3, 1
    .long   0x40000010, 1, 1
    .long   0x80000000, 12, 1
    .long   0x80000019, 4, 1
    .long   0x8000001d, 1, 5
    .long   0x8000001e, 5, 1
    .long   0xc0000000, 2, 1
    .long   0, 0, 0

    .bss
    .balign 16
    .skip   256
stack_end:
