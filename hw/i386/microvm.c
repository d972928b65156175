/*
 * The machine "microvm": RAM, CPUs with their interrupt controllers, a serial port, and what
 * firmware needs; no buses that would have to be searched.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/char/serial.h"
#include "hw/i386/apic.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/i386/x86.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/rtc/mc146818rtc.h"
#include "hw/sysbus.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-common.h"
#include "qapi/visitor.h"
#include "qemu/units.h"
#include "qemu/uuid.h"
#include "system/kvm.h"
#include "system/system.h"
#include "target/i386/cpu.h"

#define TYPE_MICROVM_MACHINE MACHINE_TYPE_NAME("microvm")

#define IOAPIC_ADDR     0xfec00000u
#define FW_CFG_IO_BASE  0x510
#define SERIAL_IRQ      4

/* The options of -machine microvm, as they were given; and what was made. */
typedef struct MicrovmMachineState {
    MachineState parent_obj;
    qemu_irq *gsi;              /* the interrupt lines; as long as the machine */

    OnOffAuto pic, pit, rtc, acpi, pcie, ioapic2;
    bool isa_serial, option_roms, auto_kernel_cmdline;
    X86Setup x86;
} MicrovmMachineState;
DECLARE_INSTANCE_CHECKER(MicrovmMachineState, MICROVM_MACHINE, TYPE_MICROVM_MACHINE)

static bool wanted(OnOffAuto option, bool by_default)
{
    return option == ON_OFF_AUTO_AUTO ? by_default : option == ON_OFF_AUTO_ON;
}

static void refuse_unbuilt(OnOffAuto option, const char *name)
{
    if (option == ON_OFF_AUTO_ON) {
        error_setg(&error_fatal, "-machine microvm,%s=on: not built in yet, only off", name);
    }
}

/* What firmware asks for; the kernel's parts are added when it is loaded. */
static void make_fw_cfg(X86Setup *x)
{
    MachineState *ms = x->ms;
    FWCfgState *s = fw_cfg_init_io_dma(FW_CFG_IO_BASE);
    uint8_t map[ARRAY_SIZE(x->map) * 20];

    for (unsigned i = 0; i < x->map_len; i++) {
        stq_le_p(map + i * 20, x->map[i].addr);
        stq_le_p(map + i * 20 + 8, x->map[i].size);
        stl_le_p(map + i * 20 + 16, x->map[i].type);
    }
    fw_cfg_add_bytes(s, FW_CFG_UUID, &qemu_uuid, sizeof(qemu_uuid));
    fw_cfg_add_i64(s, FW_CFG_RAM_SIZE, ms->ram_size);
    fw_cfg_add_i16(s, FW_CFG_NOGRAPHIC, 1);
    fw_cfg_add_i16(s, FW_CFG_NB_CPUS, ms->smp.cpus);
    fw_cfg_add_i16(s, FW_CFG_MAX_CPUS, ms->smp.max_cpus);
    fw_cfg_add_i16(s, FW_CFG_BOOT_MENU, 0);
    fw_cfg_add_file(s, "etc/e820", map, x->map_len * 20);
    x->fw_cfg = s;
}

/* Interrupt controllers and timer: the lines that lead there. */
static qemu_irq *make_irqchip(const X86Setup *x)
{
    qemu_irq *gsi;

    if (kvm_irqchip_is_split()) {
        error_setg(&error_fatal, "machine 'microvm' has no kernel-irqchip=split: use on or off");
    }
    if (kvm_irqchip_in_kernel()) {
        kvm_ioapic_create();
        if (x->has_pic) {
            kvm_i8259_create();
        }
        gsi = kvm_gsi_allocate(IOAPIC_NUM_PINS);
        if (x->has_pit) {
            kvm_pit_create(&error_fatal);
        }
    } else {
        if (x->has_pic) {
            i8259_create();
        }
        gsi = soft_gsi_allocate(ioapic_create(IOAPIC_ADDR), IOAPIC_NUM_PINS);
        if (x->has_pit) {
            i8254_create(gsi[0]);
        }
    }
    if (kvm_enabled()) {
        kvmclock_create(true);
    }
    return gsi;
}

static void microvm_init(MachineState *ms)
{
    MicrovmMachineState *mms = MICROVM_MACHINE(ms);
    X86Setup *x = &mms->x86;

    refuse_unbuilt(mms->acpi, "acpi");
    refuse_unbuilt(mms->pcie, "pcie");
    refuse_unbuilt(mms->ioapic2, "ioapic2");

    x->ms = ms;
    x->has_pic = wanted(mms->pic, true);
    x->has_pit = wanted(mms->pit, true);
    x86_ram_init(x);
    make_fw_cfg(x);
    x86_cpus_init(ms, &error_fatal);
    mms->gsi = make_irqchip(x);
    /* As in QEMU, a port that leads nowhere (-nodefaults without -serial) is not there. */
    if (mms->isa_serial && serial_hd(0)) {
        serial_isa_create(0, mms->gsi[SERIAL_IRQ], serial_hd(0));
    }
    /* With KVM the guest has a clock without it. */
    if (wanted(mms->rtc, !kvm_enabled())) {
        mc146818_rtc_create(mms->gsi[RTC_ISA_IRQ]);
    }
    port92_create();
    x86_load_kernel(x, &error_fatal);
    x86_bios_init(x, &error_fatal);
}

#define OPTION(name, field, text) {name, offsetof(MicrovmMachineState, field), text}
static const struct {
    const char *name;
    size_t offset;
    const char *text;
} auto_options[] = {
    OPTION("pic", pic, "the two interrupt controllers of a PC"),
    OPTION("pit", pit, "the interval timer of a PC"),
    OPTION("rtc", rtc, "the real-time clock of a PC"),
    OPTION("acpi", acpi, "ACPI tables and event device"),
    OPTION("pcie", pcie, "a PCI Express host bridge"),
    OPTION("ioapic2", ioapic2, "a second I/O APIC"),
}, bool_options[] = {
    OPTION("isa-serial", isa_serial, "a serial port at 0x3f8"),
    OPTION("x-option-roms", option_roms, "option ROMs"),
    OPTION("auto-kernel-cmdline", auto_kernel_cmdline, "add devices to the kernel's command line"),
};

static void visit_auto(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_OnOffAuto(v, name, (OnOffAuto *)((char *)obj + (uintptr_t)opaque), errp);
}

static void visit_flag(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_bool(v, name, (bool *)((char *)obj + (uintptr_t)opaque), errp);
}

static void microvm_instance_init(Object *obj)
{
    MicrovmMachineState *mms = MICROVM_MACHINE(obj);

    mms->isa_serial = true;
    mms->option_roms = true;
    mms->auto_kernel_cmdline = true;
}

static void microvm_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);

    mc->desc = "microvm (i386)";
    mc->init = microvm_init;
    mc->max_cpus = 288;
    mc->default_ram_size = 128 * MiB;
    mc->default_ram_id = "microvm.ram";
    mc->default_cpu_type = X86_CPU_TYPE_NAME("qemu64");
    mc->no_parallel = 1;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;

    for (size_t i = 0; i < ARRAY_SIZE(auto_options); i++) {
        object_class_property_add(oc, auto_options[i].name, "OnOffAuto", visit_auto, visit_auto,
                                  NULL, (void *)auto_options[i].offset);
        object_class_property_set_description(oc, auto_options[i].name, auto_options[i].text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bool_options); i++) {
        object_class_property_add(oc, bool_options[i].name, "bool", visit_flag, visit_flag, NULL,
                                  (void *)bool_options[i].offset);
        object_class_property_set_description(oc, bool_options[i].name, bool_options[i].text);
    }
}

static const TypeInfo microvm_type = {
    .name = TYPE_MICROVM_MACHINE,
    .parent = TYPE_MACHINE,
    .instance_size = sizeof(MicrovmMachineState),
    .instance_init = microvm_instance_init,
    .class_init = microvm_class_init,
};

static void microvm_register_types(void)
{
    type_register_static(&microvm_type);
}
type_init(microvm_register_types)
