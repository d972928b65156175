/*
 * The ROM of machines without firmware: the code at the reset vector, which enters 32-bit protected
 * mode and jumps to the kernel (or stays in real mode, for a boot sector), and the MP table, by which a kernel without ACPI finds CPUs and
 * interrupt lines.
 *
 * Starting through a ROM rather than by setting registers makes every reset the same, on whichever
 * program the machine is by then: the ROM is memory, and travels with it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/i386/x86.h"
#include "qemu/bswap.h"
#include "target/i386/cpu.h"

#define ROM_LINEAR    0xffff0000u /* where CS is based at reset */
#define ROM_LOW       0xf0000u    /* where the same bytes show below 1 MiB */
#define OFFSET_GDT    0xfe00
#define OFFSET_GDTR   0xfe20
#define OFFSET_CODE   0xfe30
#define OFFSET_RESET  0xfff0
#define OFFSET_MP     0x0010
#define OFFSET_MPC    0x0020

/* Bytes put one behind the other. */
typedef struct Writer {
    uint8_t *base;
    unsigned at;
} Writer;

static void put(Writer *w, const void *bytes, unsigned len)
{
    memcpy(w->base + w->at, bytes, len);
    w->at += len;
}

#define PUT(w, ...) put((w), (const uint8_t[]) { __VA_ARGS__ }, \
                        sizeof((const uint8_t[]) { __VA_ARGS__ }))

static void put_le16(Writer *w, uint16_t value)
{
    PUT(w, value & 0xff, value >> 8);
}

static void put_le32(Writer *w, uint32_t value)
{
    put_le16(w, value);
    put_le16(w, value >> 16);
}

/* -- Start-up ---------------------------------------------------------------------------------- */

static void put_start_code(const X86Setup *x, uint8_t *rom)
{
    Writer w = { rom, OFFSET_RESET };

    /* 16-bit; one near jump back from the end of the ROM. */
    PUT(&w, 0xe9);
    put_le16(&w, OFFSET_CODE - (OFFSET_RESET + 3));

    w.at = OFFSET_CODE;
    PUT(&w, 0xfa, 0xfc);                                        /* cli; cld */
    PUT(&w, 0x2e, 0x66, 0x0f, 0x01, 0x16);                      /* lgdtl %cs:OFFSET_GDTR */
    put_le16(&w, OFFSET_GDTR);
    PUT(&w, 0x0f, 0x20, 0xc0);                                  /* mov %cr0, %eax */
    PUT(&w, 0x66, 0x25, 0xff, 0xff, 0xff, 0x9f);                /* and $~(CD | NW), %eax */
    PUT(&w, 0x0c, 0x01);                                        /* or $PE, %al */
    PUT(&w, 0x0f, 0x22, 0xc0);                                  /* mov %eax, %cr0 */
    PUT(&w, 0x66, 0xea);                                        /* ljmpl $0x10, $the next one */
    put_le32(&w, ROM_LINEAR + w.at + 6);
    put_le16(&w, 0x10);

    PUT(&w, 0xb8, 0x18, 0x00, 0x00, 0x00);                      /* mov $0x18, %eax */
    PUT(&w, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);                /* mov to %ds, %es, %ss, */
    PUT(&w, 0x8e, 0xe0, 0x8e, 0xe8);                            /* %fs, %gs */
    if (x->entry) {
        PUT(&w, 0x31, 0xd2, 0x31, 0xed, 0x31, 0xff);            /* xor %edx, %ebp, %edi */
        PUT(&w, 0xbb);                                          /* mov $…, %ebx */
        put_le32(&w, x->ebx);
        PUT(&w, 0xbe);                                          /* mov $…, %esi */
        put_le32(&w, x->esi);
        PUT(&w, 0xb9);                                          /* mov $…, %ecx */
        put_le32(&w, x->entry);
        PUT(&w, 0x31, 0xc0, 0xff, 0xe1);                        /* xor %eax, %eax; jmp *%ecx */
    } else {
        PUT(&w, 0xf4, 0xeb, 0xfd);                              /* 1: hlt; jmp 1b */
    }
    g_assert(w.at <= OFFSET_RESET);

    stq_le_p(rom + OFFSET_GDT + 0x10, UINT64_C(0x00cf9b000000ffff)); /* flat code */
    stq_le_p(rom + OFFSET_GDT + 0x18, UINT64_C(0x00cf93000000ffff)); /* flat data */
    stw_le_p(rom + OFFSET_GDTR, 0x1f);
    stl_le_p(rom + OFFSET_GDTR + 2, ROM_LINEAR + OFFSET_GDT);
}

/* -- MP table ---------------------------------------------------------------------------------- */

enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

static uint8_t negative_sum(const uint8_t *bytes, unsigned len)
{
    uint8_t sum = 0;

    while (len--) {
        sum -= *bytes++;
    }
    return sum;
}

static void put_mp_table(const X86Setup *x, uint8_t *rom)
{
    const MachineState *ms = x->ms;
    uint8_t *floating = rom + OFFSET_MP, *table = rom + OFFSET_MPC;
    unsigned i, entries = 0, listed = MIN(ms->smp.cpus, 254);
    uint8_t ioapic_id = MIN(x86_apic_id_from_cpu_index(ms, listed - 1) + 1, 0xfe);
    Writer w = { rom, OFFSET_MPC };

    put(&w, "PCMP", 4);
    PUT(&w, 0, 0, 4, 0);                        /* length, revision 1.4, checksum */
    put(&w, x->boots_disks ? "GODWIT  PC          " : "GODWIT  microvm     ", 20);
    put_le32(&w, 0);
    put_le32(&w, 0);                            /* no OEM table; the number of entries */
    put_le32(&w, APIC_DEFAULT_ADDRESS);
    put_le32(&w, 0);

    for (i = 0; i < listed; i++, entries++) {
        X86CPU *cpu = X86_CPU(qemu_get_cpu(i));

        PUT(&w, MP_PROCESSOR, cpu->apic_id & 0xff, 0x14, i == 0 ? 3 : 1);
        put_le32(&w, cpu->env.cpuid_version);
        put_le32(&w, cpu->env.features[FEAT_1_EDX]);
        put_le32(&w, 0);
        put_le32(&w, 0);
    }
    PUT(&w, MP_BUS, 0, 'I', 'S', 'A', ' ', ' ', ' ');
    PUT(&w, MP_IOAPIC, ioapic_id, 0x11, 1);
    put_le32(&w, 0xfec00000);
    entries += 2;
    for (i = 0; i < ISA_NUM_IRQS; i++) {
        /* Line 0 arrives at pin 2, where the PICs' cascade would be. */
        if (i != 2) {
            PUT(&w, MP_INTERRUPT, MP_INT, 0, 0, 0, i, ioapic_id, i == 0 ? 2 : i);
            entries++;
        }
    }
    if (x->has_pic) {
        PUT(&w, MP_LOCAL_INTERRUPT, MP_EXTINT, 0, 0, 0, 0, 0xff, 0);
        entries++;
    }
    PUT(&w, MP_LOCAL_INTERRUPT, MP_NMI, 0, 0, 0, 0, 0xff, 1);
    entries++;

    stw_le_p(table + 4, w.at - OFFSET_MPC);
    stw_le_p(table + 34, entries);
    table[7] = negative_sum(table, w.at - OFFSET_MPC);

    memcpy(floating, "_MP_", 4);
    stl_le_p(floating + 4, ROM_LOW + OFFSET_MPC);
    floating[8] = 1;
    floating[9] = 4;
    floating[10] = negative_sum(floating, 16);
}

void x86_make_start_rom(const X86Setup *x, uint8_t *rom)
{
    if (x->boot_sector) {
        x86_put_boot_code(rom);
    } else {
        put_start_code(x, rom);
    }
    put_mp_table(x, rom);
}
