/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the test guest begins: the first vCPU by the PVH entry (32-bit protected mode, paging
 * off, EBX = hvm_start_info), the others in real mode at GUEST_TRAMPOLINE after a SIPI. Both
 * load the guest's own flat segments and call C; enter_ring3 goes on at privilege level 3.
 *
 * Assembled twice: the 32-bit form leaves paging off for good, the 64-bit form enters long mode
 * with the first 4 GiB mapped one to one.
 *
 * Level 3 is entered by SYSEXIT or SYSRET. IRET to an outer level would do as well, but where
 * KVM has to emulate level 0 its instruction emulator does not know it.
 */
#include "guest.h"

#define MSR_SYSENTER_CS 0x174
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define EFER_SCE_LME 0x101
#define FLAGS_LEVEL3 0x3002         /* interrupts off, I/O allowed at level 3 */

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
    lgdt    gdt_pointer
    ljmp    $SEL_CODE0, $1f
1:  mov     $stacks + GUEST_STACK_SIZE, %esp
    mov     %ebx, %ebp              /* hvm_start_info */
    call    load_data_segments
#ifdef __x86_64__
    mov     $page_directories, %edi
    mov     $0x87, %eax             /* present, writable, level 3, 2 MiB */
2:  mov     %eax, (%edi)
    movl    $0, 4(%edi)
    add     $8, %edi
    add     $0x200000, %eax
    jnc     2b
    movl    $page_directory_pointers + 7, page_map
    mov     $page_directories + 7, %eax
    mov     $page_directory_pointers, %edi
    mov     $4, %ecx
3:  mov     %eax, (%edi)
    add     $4096, %eax
    add     $8, %edi
    loop    3b
    call    enter_long_mode
    ljmp    $SEL_CODE0_64, $4f
    .code64
4:  mov     %ebp, %edi
    call    guest_main
    .code32
#else
    push    $0
    push    %ebp
    call    guest_main
#endif

load_data_segments:
    mov     $SEL_DATA0, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    ret

#ifdef __x86_64__
enter_long_mode:
    mov     %cr4, %eax
    or      $0x20, %eax             /* PAE */
    mov     %eax, %cr4
    mov     $page_map, %eax
    mov     %eax, %cr3
    mov     $MSR_EFER, %ecx
    rdmsr
    or      $EFER_SCE_LME, %eax
    wrmsr
    mov     %cr0, %eax
    or      $0x80000000, %eax
    mov     %eax, %cr0
    ret
#endif

/*
 * The other vCPUs: copied to GUEST_TRAMPOLINE, so addresses of this part are given relative
 * to its start.
 */
    .globl ap_trampoline, ap_trampoline_end
    .code16
ap_trampoline:
    cli
    cld
    xor     %ax, %ax
    mov     %ax, %ds
    lgdtl   GUEST_TRAMPOLINE + (ap_gdt_pointer - ap_trampoline)
    mov     %cr0, %eax
    or      $1, %al
    and     $0x9fffffff, %eax       /* caches on: INIT leaves CD and NW set */
    mov     %eax, %cr0
    ljmpl   $SEL_CODE0, $ap_start32
    .balign 4
ap_gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt
ap_trampoline_end:

    .code32
ap_start32:
    mov     $SEL_DATA0, %eax
    mov     %eax, %ds
    mov     ap_index, %ebp          /* vCPUs are started one at a time */
    lea     1(%ebp), %esp
    imul    $GUEST_STACK_SIZE, %esp, %esp
    add     $stacks, %esp
    mov     $SEL_DATA0, %eax
    mov     %eax, %ss
    call    load_data_segments
#ifdef __x86_64__
    call    enter_long_mode
    ljmp    $SEL_CODE0_64, $5f
    .code64
5:  mov     %ebp, %edi
    call    guest_ap_main
#else
    push    $0
    push    %ebp
    call    guest_ap_main
#endif

/* void enter_ring3(void (*function)(unsigned), unsigned argument): does not come back. */
    .globl enter_ring3
enter_ring3:
#ifdef __x86_64__
    mov     %rdi, %r8
    mov     %esi, %edi
    mov     $MSR_STAR, %ecx
    mov     $(SEL_STAR3 << 16 | SEL_CODE0), %edx
    xor     %eax, %eax
    wrmsr
    mov     $SEL_DATA3_64, %eax
    mov     %eax, %ds
    mov     %eax, %es
    pushq   $0                      /* where a call would have left its return address */
    mov     $FLAGS_LEVEL3, %r11d
    mov     %r8, %rcx
    sysretq
#else
    mov     $MSR_SYSENTER_CS, %ecx
    mov     $SEL_CODE0, %eax
    xor     %edx, %edx
    wrmsr
    mov     4(%esp), %edx
    mov     8(%esp), %ebx
    mov     $SEL_DATA3, %eax
    mov     %eax, %ds
    mov     %eax, %es
    push    $FLAGS_LEVEL3
    popf
    push    %ebx                    /* the argument, under a return address of 0 */
    push    $0
    mov     %esp, %ecx
    sysexit
#endif

/* Level 3 may not halt; a loop there is as good an end. */
    .globl guest_halt
guest_halt:
    mov     %cs, %eax
    test    $3, %al
    jnz     2f
1:  cli
    hlt
    jmp     1b
2:  pause
    jmp     2b

    .data
    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff      /* 08: code, level 0, flat 4 GiB */
    .quad   0x00cf93000000ffff      /* 10: data, level 0 */
    .quad   0x00cffb000000ffff      /* 18: code, level 3 */
    .quad   0x00cff3000000ffff      /* 20: data, level 3 */
    .quad   0x00cff3000000ffff      /* 28: data, level 3, as SYSRET wants it */
    .quad   0x00affb000000ffff      /* 30: 64-bit code, level 3 */
    .quad   0x00af9b000000ffff      /* 38: 64-bit code, level 0 */
gdt_end:
    .balign 8
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt
    .globl ap_index
    .balign 4
ap_index:
    .long   0

    .bss
#ifdef __x86_64__
    .balign 4096
page_map:
    .skip   4096
page_directory_pointers:
    .skip   4096
page_directories:
    .skip   4 * 4096
#endif
    .balign 16
stacks:
    .skip   GUEST_MAX_VCPUS * GUEST_STACK_SIZE

    .section .note.GNU-stack, "", @progbits
