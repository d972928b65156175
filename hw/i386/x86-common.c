/*
 * RAM, CPUs and firmware of x86 machines.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/aml-build.h"
#include "hw/i386/apic.h"
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/nvram/fw_cfg.h"
#include "qemu/datadir.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"

#define FIRMWARE_MAX     (16 * MiB)
#define X86_ISA_BIOS_MAX (128 * KiB)
#define FOUR_GIB         (4 * GiB)

static void add_range(X86Setup *x, uint64_t from, uint64_t to, uint32_t type)
{
    if (from < to) {
        g_assert(x->map_len < ARRAY_SIZE(x->map));
        x->map[x->map_len++] = (X86MemoryEntry) { from, to - from, type };
    }
}

void x86_ram_init(X86Setup *x)
{
    MachineState *ms = x->ms;
    Object *owner = OBJECT(ms);

    x->below_4g = MIN(ms->ram_size, x->ram_split ?: X86_RAM_SPLIT);
    x->above_4g = ms->ram_size - x->below_4g;
    memory_region_init_alias(&x->ram_below, owner, "ram-below-4g", ms->ram, 0, x->below_4g);
    memory_region_add_subregion(get_system_memory(), 0, &x->ram_below);
    if (x->above_4g) {
        memory_region_init_alias(&x->ram_above, owner, "ram-above-4g", ms->ram, x->below_4g,
                                 x->above_4g);
        memory_region_add_subregion(get_system_memory(), FOUR_GIB, &x->ram_above);
    }

    add_range(x, 0, MIN(x->below_4g, X86_LOW_RAM_END), 1);
    add_range(x, X86_LOW_RAM_END, 0xa0000, 2);
    add_range(x, 0xf0000, 0x100000, 2);
    add_range(x, 0x100000, x->below_4g, 1);
    add_range(x, X86_KVM_RESERVED, FOUR_GIB, 2);
    add_range(x, FOUR_GIB, FOUR_GIB + x->above_4g, 1);
}

/* -- CPUs -------------------------------------------------------------------------------------- */

static unsigned id_bits(unsigned n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

uint32_t x86_apic_id_from_cpu_index(const MachineState *ms, unsigned index)
{
    unsigned threads = MAX(ms->smp.threads, 1), cores = MAX(ms->smp.cores, 1);
    unsigned thread_bits = id_bits(threads), core_bits = id_bits(cores);

    return index % threads | (index / threads % cores) << thread_bits
        | (index / threads / cores) << (thread_bits + core_bits);
}

bool x86_cpus_init(MachineState *ms, Error **errp)
{
    for (unsigned i = 0; i < ms->smp.cpus; i++) {
        g_autofree char *name = g_strdup_printf("cpu[%u]", i);
        Object *cpu = object_new(ms->cpu_type);
        bool ok;

        object_property_add_child(OBJECT(ms), name, cpu);
        ok = object_property_set_uint(cpu, "apic-id", x86_apic_id_from_cpu_index(ms, i), errp)
            && qdev_realize(DEVICE(cpu), NULL, errp);
        object_unref(cpu);
        if (!ok) {
            return false;
        }
        /* No bus resets it. */
        qemu_register_resettable(cpu);
    }
    return true;
}

/* -- Firmware ---------------------------------------------------------------------------------- */

static uint8_t *load_firmware(const char *name, uint64_t *len, Error **errp)
{
    g_autofree char *path = qemu_find_file(name);
    uint8_t *data = load_file(path ?: name, FIRMWARE_MAX, len, errp);

    if (data && (!*len || *len % X86_ROM_SIZE)) {
        error_setg(errp, "firmware '%s' has %" PRIu64 " bytes: a multiple of 65536 is needed", name,
                   *len);
        g_clear_pointer(&data, g_free);
    }
    return data;
}

/* The block got another length (a stream's): it ends below 4 GiB, and its last below 1 MiB. */
static void place_bios(X86Setup *x)
{
    uint64_t size = x->bios.ram_block->used_length, isa_size = MIN(size, X86_ISA_BIOS_MAX);

    memory_region_transaction_begin();
    memory_region_set_address(&x->bios, FOUR_GIB - size);
    memory_region_set_size(&x->isa_bios, isa_size);
    memory_region_set_alias_offset(&x->isa_bios, size - isa_size);
    memory_region_set_address(&x->isa_bios, 0x100000 - isa_size);
    memory_region_transaction_commit();
}

static X86Setup *bios_owner;    /* the one machine */

static void bios_resized(const char *idstr, uint64_t length, void *host)
{
    place_bios(bios_owner);
}

/*
 * Our firmware goes to the end of the block, whatever its length; that does not change, as the
 * block may be on its way out. Only firmware that came with the guest and is smaller than ours
 * stays as it is.
 */
static void bios_reset(void *opaque)
{
    X86Setup *x = opaque;
    RAMBlock *rb = x->bios.ram_block;

    if (runstate_check(RUN_STATE_INMIGRATE)) {
        return;
    }
    if (rb->used_length < x->firmware_len) {
        warn_report("the guest came with firmware of 0x%" PRIx64 " bytes, where this machine has "
                    "0x%" PRIx64 ": it is kept", rb->used_length, x->firmware_len);
        return;
    }
    address_space_set(&address_space_memory, FOUR_GIB - rb->used_length, 0,
                      rb->used_length - x->firmware_len, MEMTXATTRS_UNSPECIFIED);
    address_space_write_rom(&address_space_memory, FOUR_GIB - x->firmware_len,
                            MEMTXATTRS_UNSPECIFIED, x->firmware, x->firmware_len);
}

/* Without firmware nobody else puts the tables where the guest looks for them. */
static bool put_acpi(X86Setup *x, Error **errp)
{
    AcpiTables *t = x->acpi;

    if (t->tables->len > X86_ROM_RSDP - X86_ROM_ACPI) {
        error_setg(errp, "the ACPI tables have %u bytes: more than fit into the start-up ROM",
                   t->tables->len);
        return false;
    }
    if (!acpi_link(t, X86_ROM_LOW + X86_ROM_ACPI, X86_ROM_LOW + X86_ROM_RSDP, errp)) {
        return false;
    }
    memcpy(x->firmware + X86_ROM_ACPI, t->tables->data, t->tables->len);
    memcpy(x->firmware + X86_ROM_RSDP, t->rsdp->data, t->rsdp->len);
    return true;
}

bool x86_bios_init(X86Setup *x, Error **errp)
{
    x->firmware_len = X86_ROM_SIZE;
    if (x->ms->firmware && *x->ms->firmware) {
        x->firmware = load_firmware(x->ms->firmware, &x->firmware_len, errp);
        if (!x->firmware) {
            return false;
        }
        apic_firmware_wires_pic = true;
    } else {
        x->firmware = g_malloc0(x->firmware_len);
        x86_make_start_rom(x, x->firmware);
        if (x->acpi && !put_acpi(x, errp)) {
            return false;
        }
    }
    /* As if copied to RAM already: firmware for this machine keeps its variables there. */
    bios_owner = x;
    if (!memory_region_init_resizeable_ram(&x->bios, NULL, "pc.bios", x->firmware_len,
                                           FIRMWARE_MAX, bios_resized, errp)) {
        return false;
    }
    qemu_ram_set_resize_unit(x->bios.ram_block, X86_ROM_SIZE);
    memory_region_add_subregion(get_system_memory(), 0, &x->bios);
    /* The last of it shows below 1 MiB too, in place of RAM. */
    memory_region_init_alias(&x->isa_bios, OBJECT(x->ms), "isa-bios", &x->bios, 0, X86_ROM_SIZE);
    memory_region_add_subregion_overlap(get_system_memory(), 0xf0000, &x->isa_bios, 1);
    place_bios(x);
    qemu_register_reset(bios_reset, x);
    return true;
}
