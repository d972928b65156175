/*
 * What x86 machines have in common: RAM around the hole below 4 GiB, CPUs, and ways to start them.
 *
 * Locking: BQL; all of it is for a machine's init function. Errors end the program where a function
 * has no errp.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_X86_H
#define HW_I386_X86_H

#include "hw/boards.h"
#include "hw/isa/isa.h"
#include "system/memory.h"

#define X86_RAM_SPLIT      0xc0000000u /* RAM beyond this size continues at 4 GiB */
#define X86_LOW_RAM_END    0x9fc00u    /* where conventional memory ends */
#define X86_ROM_SIZE       0x10000u    /* of the start-up ROM and the least of firmware */
#define X86_ROM_LOW        0xf0000u    /* where its bytes show below 1 MiB */
#define X86_ROM_ACPI       0x8000u     /* where ACPI tables are in it, and what leads to them */
#define X86_ROM_RSDP       0xf000u
#define X86_KVM_RESERVED   0xfeffc000u /* KVM's own pages, up to the ROM */

typedef struct X86MemoryEntry {
    uint64_t addr, size;
    uint32_t type;              /* 1 RAM, 2 reserved: as BIOSes number them */
} X86MemoryEntry;

/** State of a machine that is being set up. */
typedef struct X86Setup {
    MachineState *ms;
    uint64_t ram_split;         /* set before x86_ram_init(); 0: X86_RAM_SPLIT */
    uint64_t below_4g, above_4g; /* bytes of RAM */
    X86MemoryEntry map[8];      /* ascending */
    unsigned map_len;
    MemoryRegion ram_below, ram_above, bios, isa_bios;
    uint8_t *firmware;          /* what a reset puts into block "pc.bios" */
    uint64_t firmware_len;
    bool has_pic, has_pit;      /* for the MP table */

    /* Where the first CPU begins, in 32-bit protected mode with flat segments; 0: it halts. */
    uint32_t entry, ebx, esi;
    bool boots_disks;           /* the machine is one that can */
    bool boot_sector;           /* instead: in real mode, at the sector at 0:7c00 */
    struct FWCfgState *fw_cfg;  /* gets the kernel's parts too */
    struct AcpiTables *acpi;    /* for the start-up ROM; NULL: none */
} X86Setup;

/** Map ms->ram and fill in the memory map. */
void x86_ram_init(X86Setup *x);

/** Make ms->smp.cpus CPUs of ms->cpu_type; they are reset with the machine. */
bool x86_cpus_init(MachineState *ms, Error **errp);
/** The APIC id of CPU number @index; from socket, core and thread, as CPUID tells them. */
uint32_t x86_apic_id_from_cpu_index(const MachineState *ms, unsigned index);

/**
 * Map block "pc.bios" below 4 GiB and 1 MiB, with @ms's firmware, or else a ROM that starts what
 * x86_load_kernel() has loaded. The guest may write to it; a reset restores it. A stream may bring
 * a block of another length: any multiple of 64 KiB up to 16 MiB; the mappings follow.
 */
bool x86_bios_init(X86Setup *x, Error **errp);
/** Fill a start-up ROM of X86_ROM_SIZE bytes. */
void x86_make_start_rom(const X86Setup *x, uint8_t *rom);

#define X86_SECTOR_SIZE 512u
/** The part of it that prepares a PC and jumps to the sector (hw/i386/boot-sector.c). */
void x86_put_boot_code(uint8_t *rom);
/**
 * Put what that code counts on into guest memory: interrupt table, BIOS data and @sector
 * (X86_SECTOR_SIZE bytes). @serial_ports: how many there are. After the devices' reset.
 */
void x86_place_boot_sector(const uint8_t *sector, unsigned serial_ports);

/** Load ms's kernel (PVH ELF or bzImage), command line and initrd, if there are any. */
bool x86_load_kernel(X86Setup *x, Error **errp);
/** The two forms. @kernel: the file, @len bytes, to be left alone; @initrd: taken, NULL if none. */
bool x86_load_pvh(X86Setup *x, const uint8_t *kernel, uint64_t len, void *initrd,
                  uint64_t initrd_len, Error **errp);
bool x86_is_bzimage(const uint8_t *kernel, uint64_t len);
bool x86_load_bzimage(X86Setup *x, const uint8_t *kernel, uint64_t len, void *initrd,
                      uint64_t initrd_len, Error **errp);
/**
 * Put @initrd as high as possible below @limit (and in RAM below 4 GiB), but above all that is
 * loaded. *@addr.
 */
bool x86_place_initrd(X86Setup *x, void *initrd, uint64_t len, uint64_t limit, hwaddr *addr,
                      Error **errp);

/** For MachineClass.inject_nmi: pull pin LINT1 of all local APICs. */
void x86_inject_nmi(MachineState *ms);

/** Port 0x92: A20 gate and reset; microvm's, without state of its own, and a PC's. */
void port92_create(void);
void port92_isa_create(ISABus *bus);
/** Open or close the A20 gate of all CPUs. */
void x86_set_a20(bool open);

#endif
