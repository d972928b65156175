/*
 * The guests of test-tcg.c: each a piece of code that runs from 0x1000.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_TEST_TCG_GUESTS_H
#define TESTS_UNIT_TEST_TCG_GUESTS_H

#define GUEST(name, code)                                                                       \
    extern const uint8_t name[], name##_end[];                                                  \
    __asm__(".pushsection .rodata\n.globl " #name ", " #name "_end\n" #name ":\n" code          \
            "\n" #name "_end:\n.code64\n.popsection\n")

/*
 * For ever: increment the first byte of every second page from 0x10000 to 0x1ffff, store a count in
 * the device, load a byte from offset 4 of it, and put that out to port 0x10.
 */
GUEST(guest_loop,
      ".code32\n"
      "  xor %ecx, %ecx\n"
      "1: mov $0x10000, %edi\n"
      "2: incb (%edi)\n"
      "  add $0x2000, %edi\n"
      "  cmp $0x20000, %edi\n"
      "  jb 2b\n"
      "  inc %ecx\n"
      "  mov %cl, 0x90000\n"
      "  mov 0x90004, %al\n"
      "  out %al, $0x10\n"
      "  jmp 1b\n");
#define FIRST_PAGE 16
#define GUEST_PAGES 0x55550000u /* 16, 18 … 30 */

/*
 * Through the modes. Every step that worked is a number put out to port 0x11, in order from 1.
 * Tables: GDT at 0x2000, IDT at 0x3000, TSS at 0x4000, 64-bit IDT at 0x5000, real mode's at
 * 0x9000, page tables at 0x6000, 0x7000 and 0xa000.
 */
GUEST(guest_modes,
      ".code32\n"
      "  .set base, 0x1000\n"
      "modes_start:\n"
      "  lgdt modes_gdtr - modes_start + base\n"
      "  lidt modes_idtr - modes_start + base\n"
      "  ljmp $8, $(1f - modes_start + base)\n"
      "1: mov $16, %eax\n"
      "  mov %eax, %ds\n  mov %eax, %es\n  mov %eax, %ss\n"
      "  mov $0x8000, %esp\n"
      "  mov $1, %al\n  out %al, $0x11\n"
      /* TSS: stack of level 0 */
      "  movl $0x8800, 0x4004\n  movl $16, 0x4008\n"
      "  mov $0x28, %eax\n  ltr %ax\n"
      /* a software interrupt, and back behind it */
      "  int $0x80\n"
      "  mov $3, %al\n  out %al, $0x11\n"
      /* a fault without an error code; its handler steps over the two-byte DIV */
      "  xor %edx, %edx\n  div %edx\n"
      "  mov $5, %al\n  out %al, $0x11\n"
      /* a fault with one; the handler steps over the two-byte MOV */
      "  mov $0x1000, %ecx\n  mov %ecx, %fs\n"
      "  mov $7, %al\n  out %al, $0x11\n"
      /* an invalid instruction */
      "  ud2\n"
      "  mov $9, %al\n  out %al, $0x11\n"
      /* level 3, and an interrupt from there, which changes stacks */
      "  push $0x23\n  push $0x7800\n  push $0x3002\n  push $0x1b\n"
      "  push $(2f - modes_start + base)\n"
      "  iret\n"
      "2: mov $0x23, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
      "  mov $10, %al\n  out %al, $0x11\n"
      "  int $0x81\n"           /* 11: comes back in level 0 */
      "  mov $12, %al\n  out %al, $0x11\n"
      /* SYSENTER from level 3 */
      "  mov $0x174, %ecx\n  mov $8, %eax\n  xor %edx, %edx\n  wrmsr\n"
      "  mov $0x175, %ecx\n  mov $0x8000, %eax\n  wrmsr\n"
      "  mov $0x176, %ecx\n  mov $(3f - modes_start + base), %eax\n  wrmsr\n"
      "  mov $(4f - modes_start + base), %edx\n  mov $0x7800, %ecx\n"
      "  sysexit\n"
      "4: mov $13, %al\n  out %al, $0x11\n"
      "  sysenter\n"
      "3: mov %cs, %eax\n  add $6, %al\n  out %al, $0x11\n" /* 14: CS is 8 */
      /* real mode and back */
      "  mov $16, %eax\n  mov %eax, %ds\n"
      "  ljmp $0x30, $(5f - modes_start + base)\n"
      ".code16\n"
      "5: mov $0x38, %ax\n  mov %ax, %ds\n  mov %ax, %ss\n"
      "  mov %cr0, %eax\n  and $0xfe, %al\n  mov %eax, %cr0\n"
      "  ljmp $0x100, $(6f - modes_start)\n" /* the same bytes at 0x100:0 */
      "6: xor %ax, %ax\n  mov %ax, %ds\n  mov %ax, %ss\n  mov $0x7000, %sp\n"
      "  mov $15, %al\n  out %al, $0x11\n"
      "  lidtl modes_ivtr - modes_start + base\n"
      "  movw $(7f - modes_start), 0x40 * 4 + 0x9000\n  movw $0x100, 0x40 * 4 + 0x9002\n"
      "  int $0x40\n"
      "  mov $17, %al\n  out %al, $0x11\n"
      "  mov %cr0, %eax\n  or $1, %al\n  mov %eax, %cr0\n"
      "  ljmpl $8, $(8f - modes_start + base)\n"
      "7: mov $16, %al\n  out %al, $0x11\n  iret\n"
      ".code32\n"
      "8: mov $16, %eax\n  mov %eax, %ds\n  mov %eax, %ss\n  mov $0x8000, %esp\n"
      "  mov $18, %al\n  out %al, $0x11\n"
      /* long mode: 2 MiB pages, one to one */
      "  movl $0x7003, 0x6000\n  movl $0xa003, 0x7000\n"
      "  movl $0x83, 0xa000\n  movl $0x200083, 0xa008\n"
      "  mov $0x6000, %eax\n  mov %eax, %cr3\n"
      "  mov %cr4, %eax\n  or $0x20, %al\n  mov %eax, %cr4\n"
      "  mov $0xc0000080, %ecx\n  rdmsr\n  or $0x100, %eax\n  wrmsr\n"
      "  mov %cr0, %eax\n  or $0x80000000, %eax\n  mov %eax, %cr0\n"
      "  ljmp $0x40, $(9f - modes_start + base)\n"
      ".code64\n"
      "9: mov $19, %al\n  out %al, $0x11\n"
      "  lidt modes_idtr64 - modes_start + base\n"
      "  mov $0x123456789abcdef0, %r15\n"
      "  int $0x82\n"
      "  mov $21, %al\n  out %al, $0x11\n"
      "  mov $0x400000, %rbx\n  mov (%rbx), %al\n" /* not mapped; three bytes... */
      "  mov $23, %al\n  out %al, $0x11\n"
      "  hlt\n"
      "  jmp .\n"
      /* handlers */
      ".code32\n"
      "modes_int80: mov $2, %al\n  out %al, $0x11\n  iret\n"
      "modes_de: mov $4, %al\n  out %al, $0x11\n  addl $2, (%esp)\n  iret\n"
      "modes_gp: pop %eax\n  cmp $0x1000, %eax\n  jne .\n"
      "  mov $6, %al\n  out %al, $0x11\n  addl $2, (%esp)\n  iret\n"
      "modes_ud: mov $8, %al\n  out %al, $0x11\n  addl $2, (%esp)\n  iret\n"
      "modes_int81: mov $16, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
      "  cmp $0x8800 - 20, %esp\n  jne .\n"
      "  cmpl $0x1b, 4(%esp)\n  jne .\n"
      "  mov $11, %al\n  out %al, $0x11\n"
      "  pop %eax\n  mov $0x8000, %esp\n  jmp *%eax\n"
      ".code64\n"
      "modes_int82: mov %r15, %rax\n  cmp $0xdef0, %ax\n  jne .\n"
      "  mov $20, %al\n  out %al, $0x11\n  iretq\n"
      "modes_pf: mov %cr2, %rax\n  cmp $0x400000, %rax\n  jne .\n"
      "  pop %rax\n  mov $22, %al\n  out %al, $0x11\n  addq $2, (%rsp)\n  iretq\n"
      ".balign 8\n"
      "modes_gdtr: .word 0x4f\n  .long 0x2000\n"
      "modes_idtr: .word 0x7ff\n  .long 0x3000\n"
      "modes_ivtr: .word 0x3ff\n  .long 0x9000\n"
      "modes_idtr64: .word 0xfff\n  .quad 0x5000\n"
      ".globl modes_int80, modes_de, modes_gp, modes_ud, modes_int81, modes_int82, modes_pf\n");
extern const uint8_t modes_int80[], modes_de[], modes_gp[], modes_ud[], modes_int81[],
    modes_int82[], modes_pf[];

/* Counts interrupts at 0x20000, and how often it was woken at 0x20004. */
GUEST(guest_irq,
      ".code32\n"
      "irq_start:\n"
      "  lidt irq_idtr - irq_start + 0x1000\n"
      "  mov $0x8000, %esp\n"
      "1: sti\n  hlt\n"
      "  incl 0x20004\n"
      "  jmp 1b\n"
      "irq_handler: incl 0x20000\n  out %al, $0x12\n  iret\n"
      "irq_idtr: .word 0x7ff\n  .long 0x3000\n"
      ".globl irq_handler\n");
extern const uint8_t irq_handler[];

/* Interrupts off for a while, again and again: one must wait until they are on. */
GUEST(guest_irq_busy,
      ".code32\n"
      "irqb_start:\n"
      "  lidt irqb_idtr - irqb_start + 0x1000\n"
      "  mov $0x8000, %esp\n"
      "1: cli\n  movl $1, 0x20008\n  mov $1000, %ecx\n2: loop 2b\n"
      "  movl $0, 0x20008\n  sti\n  nop\n  nop\n"
      "  jmp 1b\n"
      "irqb_handler: mov 0x20008, %eax\n  add %eax, 0x2000c\n"
      "  incl 0x20000\n  out %al, $0x12\n  iret\n"
      "irqb_idtr: .word 0x7ff\n  .long 0x3000\n"
      ".globl irqb_handler\n");
extern const uint8_t irqb_handler[];

/* Two vCPUs add to one counter, each at its own pace; EBX holds where its own count is. */
GUEST(guest_smp,
      ".code32\n"
      "1: lock incl 0x20000\n"
      "  incl (%ebx)\n"
      "  pause\n"
      "  jmp 1b\n");

GUEST(guest_answer1, ".code32\n1: mov $1, %al\n  out %al, $0x13\n  jmp 1b\n");
GUEST(guest_answer2, ".code32\n1: mov $2, %al\n  out %al, $0x13\n  jmp 1b\n");

GUEST(guest_rom,
      ".code32\n"
      "  mov $0x12345678, %eax\n"
      "  mov %eax, 0xa0010\n"   /* ROM: nothing happens */
      "  mov 0xa0010, %eax\n"
      "  mov %eax, 0x20000\n"
      "  mov %eax, 0x7ff00000\n" /* nothing there at all */
      "  mov 0x7ff00000, %eax\n"
      "  mov %eax, 0x20004\n"
      "  rdtsc\n  mov %eax, 0x20008\n  mov %edx, 0x2000c\n"
      "  mov $0x1234, %eax\n  cpuid\n  mov %ebx, 0x20010\n"
      "  out %al, $0x10\n"
      "  hlt\n");

#endif
