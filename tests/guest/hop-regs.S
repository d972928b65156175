/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hopping guest's assembly: ways between the levels, and the round in which every register
 * holds a pattern while time, interrupts and perhaps a migration go by.
 */
#include "hop.h"

/* Register names with a number in them: the number has to be evaluated first. */
    .macro  load_ymm_ n
    vmovdqu %gs:AREA_VEC_IN + 64 * \n, %ymm\n
    .endm
    .macro  load_ymm n
    .altmacro
    load_ymm_ %\n
    .noaltmacro
    .endm
    .macro  load_zmm_ n
    vmovdqu64 %gs:AREA_VEC_IN + 64 * \n, %zmm\n
    .endm
    .macro  load_zmm n
    .altmacro
    load_zmm_ %\n
    .noaltmacro
    .endm
    .macro  load_mask_ n
    kmovq   %gs:AREA_K_IN + 8 * \n, %k\n
    .endm
    .macro  load_mask n
    .altmacro
    load_mask_ %\n
    .noaltmacro
    .endm
    .macro  store_ymm_ n
    vmovdqu %ymm\n, %gs:AREA_VEC_OUT + 64 * \n
    .endm
    .macro  store_ymm n
    .altmacro
    store_ymm_ %\n
    .noaltmacro
    .endm
    .macro  store_zmm_ n
    vmovdqu64 %zmm\n, %gs:AREA_VEC_OUT + 64 * \n
    .endm
    .macro  store_zmm n
    .altmacro
    store_zmm_ %\n
    .noaltmacro
    .endm
    .macro  store_mask_ n
    kmovq   %k\n, %gs:AREA_K_OUT + 8 * \n
    .endm
    .macro  store_mask n
    .altmacro
    store_mask_ %\n
    .noaltmacro
    .endm

    .text
    .code64

/*
 * void hop_registers(void): loads what the area says, spins, stores what is there then. Every
 * register but GS is in use meanwhile; at level 3 RSP too, since interrupts bring their own stack.
 */
    .globl hop_registers
hop_registers:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, %gs:AREA_KEPT_STACK
    cmpq    $VECTORS_NONE, %gs:AREA_VECTORS
    je      2f
    fxrstor64 %gs:AREA_FX_IN
    cmpq    $VECTORS_SSE, %gs:AREA_VECTORS
    je      1f
    .set    i, 0
    .rept   16
    load_ymm i
    .set    i, i + 1
    .endr
    cmpq    $VECTORS_AVX, %gs:AREA_VECTORS
    je      1f
    .set    i, 0
    .rept   32
    load_zmm i
    .set    i, i + 1
    .endr
    .set    i, 0
    .rept   8
    load_mask i
    .set    i, i + 1
    .endr
1:  mov     %gs:AREA_GPR_IN + 4 * 8, %rsp
2:  mov     %gs:AREA_GPR_IN + 0 * 8, %rax
    mov     %gs:AREA_GPR_IN + 1 * 8, %rcx
    mov     %gs:AREA_GPR_IN + 2 * 8, %rdx
    mov     %gs:AREA_GPR_IN + 3 * 8, %rbx
    mov     %gs:AREA_GPR_IN + 5 * 8, %rbp
    mov     %gs:AREA_GPR_IN + 6 * 8, %rsi
    mov     %gs:AREA_GPR_IN + 7 * 8, %rdi
    mov     %gs:AREA_GPR_IN + 8 * 8, %r8
    mov     %gs:AREA_GPR_IN + 9 * 8, %r9
    mov     %gs:AREA_GPR_IN + 10 * 8, %r10
    mov     %gs:AREA_GPR_IN + 11 * 8, %r11
    mov     %gs:AREA_GPR_IN + 12 * 8, %r12
    mov     %gs:AREA_GPR_IN + 13 * 8, %r13
    mov     %gs:AREA_GPR_IN + 14 * 8, %r14
    mov     %gs:AREA_GPR_IN + 15 * 8, %r15
3:  decq    %gs:AREA_SPIN
    jnz     3b
    mov     %rax, %gs:AREA_GPR_OUT + 0 * 8
    mov     %rcx, %gs:AREA_GPR_OUT + 1 * 8
    mov     %rdx, %gs:AREA_GPR_OUT + 2 * 8
    mov     %rbx, %gs:AREA_GPR_OUT + 3 * 8
    mov     %rsp, %gs:AREA_GPR_OUT + 4 * 8
    mov     %rbp, %gs:AREA_GPR_OUT + 5 * 8
    mov     %rsi, %gs:AREA_GPR_OUT + 6 * 8
    mov     %rdi, %gs:AREA_GPR_OUT + 7 * 8
    mov     %r8, %gs:AREA_GPR_OUT + 8 * 8
    mov     %r9, %gs:AREA_GPR_OUT + 9 * 8
    mov     %r10, %gs:AREA_GPR_OUT + 10 * 8
    mov     %r11, %gs:AREA_GPR_OUT + 11 * 8
    mov     %r12, %gs:AREA_GPR_OUT + 12 * 8
    mov     %r13, %gs:AREA_GPR_OUT + 13 * 8
    mov     %r14, %gs:AREA_GPR_OUT + 14 * 8
    mov     %r15, %gs:AREA_GPR_OUT + 15 * 8
    mov     %gs:AREA_KEPT_STACK, %rsp
    cmpq    $VECTORS_NONE, %gs:AREA_VECTORS
    je      5f
    fxsave64 %gs:AREA_FX_OUT
    cmpq    $VECTORS_SSE, %gs:AREA_VECTORS
    je      5f
    cmpq    $VECTORS_AVX, %gs:AREA_VECTORS
    je      4f
    .set    i, 0
    .rept   32
    store_zmm i
    .set    i, i + 1
    .endr
    .set    i, 0
    .rept   8
    store_mask i
    .set    i, i + 1
    .endr
    jmp     5f
4:  .set    i, 0
    .rept   16
    store_ymm i
    .set    i, i + 1
    .endr
5:  pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

/* void hop_level3(function, hop, stack) */
    .globl hop_level3
hop_level3:
    mov     %rdi, %rax
    mov     %rsi, %rdi
    cli
    mov     $SEL_DATA3_64, %ecx
    mov     %ecx, %ds
    mov     %ecx, %es
    swapgs
    lea     -8(%rdx), %rdx
    movq    $0, (%rdx)
    push    %rcx
    push    %rdx
    push    $0x202
    push    $SEL_CODE3_64
    push    %rax
    iretq

/* From level 3: the ways into level 0. */
    .globl hop_call_syscall, hop_call_int, hop_call_ud
hop_call_syscall:
    syscall
    ret
hop_call_int:
    int     $IRQ_CALL
    ret
hop_call_ud:
    ud2
    ret

    .globl syscall_entry
syscall_entry:
    swapgs
    mov     %rsp, %gs:AREA_USER_STACK
    mov     %gs:AREA_STACK, %rsp
    push    %rcx
    push    %r11
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %gs:AREA_INDEX, %rdi
    call    level0_work
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    pop     %r11
    pop     %rcx
    cli
    mov     %gs:AREA_USER_STACK, %rsp
    swapgs
    sysretq

/* Interrupts and exceptions: struct frame on the stack. */
    .balign 16
    .globl interrupt_entries
interrupt_entries:
    .set    vector, 0
    .rept   256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push    $0
    .endif
    push    $vector
    jmp     interrupt_common
    .set    vector, vector + 1
    .endr

interrupt_common:
    push    %rax
    push    %rbx
    push    %rcx
    push    %rdx
    push    %rsi
    push    %rdi
    push    %rbp
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    cld
    testb   $3, 18 * 8(%rsp)
    jz      1f
    swapgs
1:  mov     %gs:AREA_INDEX, %rdi
    mov     %rsp, %rsi
    call    interrupt
    cli
    testb   $3, 18 * 8(%rsp)
    jz      2f
    swapgs
2:  pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rbp
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %rcx
    pop     %rbx
    pop     %rax
    add     $16, %rsp
    iretq

/* MSRs that may not be there: a fault at msr_fault_… goes on at msr_faulted. */
    .globl msr_read, msr_write, msr_fault_read, msr_fault_write, msr_faulted
msr_read:
    mov     %edi, %ecx
msr_fault_read:
    rdmsr
    mov     %eax, (%rsi)
    mov     %edx, 4(%rsi)
    mov     $1, %eax
    ret
msr_write:
    mov     %edi, %ecx
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
msr_fault_write:
    wrmsr
    mov     $1, %eax
    ret
msr_faulted:
    xor     %eax, %eax
    ret

    .data
    .balign 16
    .globl gdt
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff      /* as in entry.S, whose table this replaces */
    .quad   0x00cf93000000ffff
    .quad   0x00cffb000000ffff
    .quad   0x00cff3000000ffff
    .quad   0x00cff3000000ffff
    .quad   0x00affb000000ffff
    .quad   0x00af9b000000ffff
    .quad   0x00cf93000000ffff
    .skip   (GDT_ENTRIES - 9) * 8

    .section .note.GNU-stack, "", @progbits
