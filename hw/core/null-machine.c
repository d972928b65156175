/*
 * The machine "none": at most one CPU, and the RAM that `-m` asks for, at address 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/address-spaces.h"

static void machine_none_init(MachineState *ms)
{
    if (ms->cpu_type) {
        Object *cpu = object_new(ms->cpu_type);

        qdev_realize_and_unref(DEVICE(cpu), NULL, &error_fatal);
    }
    if (ms->ram) {
        memory_region_add_subregion(get_system_memory(), 0, ms->ram);
    }
    if (ms->kernel_filename) {
        error_report("the -kernel option is not supported by machine 'none': load the image "
                     "with the generic loader device instead");
        exit(1);
    }
}

static void machine_none_machine_init(MachineClass *mc)
{
    mc->desc = "empty machine";
    mc->init = machine_none_init;
    mc->max_cpus = 1;
    mc->default_ram_size = 0;
    mc->default_ram_id = "ram";
    mc->no_serial = 1;
    mc->no_parallel = 1;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;
    mc->no_sdcard = 1;
}

DEFINE_MACHINE("none", machine_none_machine_init)
