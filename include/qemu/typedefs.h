/*
 * Names of structs that headers of several floors mention without needing their insides.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_TYPEDEFS_H
#define QEMU_TYPEDEFS_H

typedef struct Error Error;
typedef struct json_object QObject;
typedef struct Visitor Visitor;
typedef struct Object Object;
typedef struct ObjectClass ObjectClass;
typedef struct DeviceState DeviceState;
typedef struct DeviceClass DeviceClass;
typedef struct BusState BusState;
typedef struct BusClass BusClass;
typedef struct MachineState MachineState;
typedef struct MachineClass MachineClass;
typedef struct CPUState CPUState;
typedef struct CPUClass CPUClass;
typedef struct MemoryRegion MemoryRegion;
typedef struct AddressSpace AddressSpace;
typedef struct MemoryListener MemoryListener;
typedef struct MemoryRegionSection MemoryRegionSection;
typedef struct Monitor Monitor;
typedef struct Chardev Chardev;
typedef struct QIOChannel QIOChannel;
typedef struct QEMUFile QEMUFile;
typedef struct QEMUTimer QEMUTimer;
typedef struct QEMUBH QEMUBH;
typedef struct QemuThread QemuThread;
typedef struct Notifier Notifier;
typedef struct JSONWriter JSONWriter;
typedef struct VMStateDescription VMStateDescription;
typedef struct VMStateField VMStateField;
typedef struct MigrationState MigrationState;
typedef struct MigrationIncomingState MigrationIncomingState;
typedef struct RAMBlock RAMBlock;
typedef struct VMChangeStateEntry VMChangeStateEntry;
typedef struct IRQState *qemu_irq;

#endif
