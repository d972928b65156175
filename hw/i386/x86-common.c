/*
 * RAM, CPUs and firmware of x86 machines.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/nvram/fw_cfg.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "target/i386/cpu.h"

#define FIRMWARE_MAX (16 * MiB)
#define FOUR_GIB     (4 * GiB)

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

    x->below_4g = MIN(ms->ram_size, X86_RAM_SPLIT);
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
    g_autofree char *elsewhere = g_build_filename(CONFIG_QEMU_DATADIR, name, NULL);
    bool here = strchr(name, '/') || g_file_test(name, G_FILE_TEST_EXISTS);
    uint8_t *data = load_file(here ? name : elsewhere, FIRMWARE_MAX, len, errp);

    if (data && (!*len || *len % X86_ROM_SIZE)) {
        error_setg(errp, "firmware '%s' has %" PRIu64 " bytes: a multiple of 65536 is needed", name,
                   *len);
        g_clear_pointer(&data, g_free);
    }
    return data;
}

bool x86_bios_init(X86Setup *x, Error **errp)
{
    Object *owner = OBJECT(x->ms);
    uint64_t size = X86_ROM_SIZE, isa_size;
    g_autofree uint8_t *data = NULL;

    if (x->ms->firmware && *x->ms->firmware) {
        data = load_firmware(x->ms->firmware, &size, errp);
        if (!data) {
            return false;
        }
    } else {
        data = g_malloc0(size);
        x86_make_start_rom(x, data);
    }
    /* As if copied to RAM already: firmware for this machine keeps its variables there. */
    if (!memory_region_init_ram(&x->bios, NULL, "pc.bios", size, errp)) {
        return false;
    }
    memory_region_add_subregion(get_system_memory(), FOUR_GIB - size, &x->bios);

    /* The last of it shows below 1 MiB too, in place of RAM. */
    isa_size = MIN(size, 2 * X86_ROM_SIZE);
    memory_region_init_alias(&x->isa_bios, owner, "isa-bios", &x->bios, size - isa_size, isa_size);
    memory_region_add_subregion_overlap(get_system_memory(), 0x100000 - isa_size, &x->isa_bios, 1);
    return rom_add_blob("firmware", g_steal_pointer(&data), size, 0, FOUR_GIB - size, errp);
}
