/*
 * The machines "pc" and "q35": what their versions have in common (hw/i386/pc.c), and the versions
 * (hw/i386/pc-versions.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_PC_H
#define HW_I386_PC_H

#include "hw/acpi/pm.h"
#include "hw/i386/x86.h"

#define TYPE_PC_MACHINE "generic-pc-machine"
OBJECT_DECLARE_TYPE(PCMachineState, PCMachineClass, PC_MACHINE)

/**
 * PCMachineClass: what the chip sets differ in.
 * @pm: where their power management registers lie.
 * @ram_below_4g_max: RAM of less than this lies below 4 GiB as a whole;
 * @ram_split: of more, only this part does.
 */
struct PCMachineClass {
    MachineClass parent_class;

    ACPIPMKind pm;
    uint64_t ram_below_4g_max, ram_split;
};

#endif
