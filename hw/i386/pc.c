/*
 * The machines "pc" and "q35", as far as a boot sector or a kernel needs them: RAM, CPUs, interrupt
 * controllers, timer, clock, serial ports, keyboard controller, ACPI power management registers,
 * ATA disks, and the ISA bus. There are no PCI buses.
 *
 * Without firmware (-bios) and kernel (-kernel) the machine starts the first sector of its first
 * disk, read anew at each reset and when it leaves S3: hw/i386/boot-sector.c. If there is no disk
 * that can be booted, the CPU halts.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/char/serial.h"
#include "hw/i386/apic.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/i386/pc-ports.h"
#include "hw/i386/pc.h"
#include "hw/ide.h"
#include "hw/input/i8042.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/rtc/mc146818rtc.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-common.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qemu/uuid.h"
#include "system/address-spaces.h"
#include "system/blockdev.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/system.h"
#include "target/i386/cpu.h"

#define IOAPIC_ADDR    0xfec00000u
#define FW_CFG_IO_BASE 0x510
#define OPTION_ROMS    0xc0000u
#define OPTION_ROM_SIZE 0x20000u
#define FOUR_GIB       (4 * GiB)

enum { IRQ_SERIAL_0 = 4, IRQ_SERIAL_1 = 3, IRQ_SCI = 9, IRQ_ATA_0 = 14, IRQ_ATA_1 = 15 };

struct PCMachineState {
    MachineState parent_obj;

    X86Setup x86;
    qemu_irq *gsi;              /* the interrupt lines; as long as the machine */
    MemoryRegion option_roms;
    unsigned serial_ports;
    uint8_t sector[X86_SECTOR_SIZE];

    OnOffAuto acpi, pic, pit, smm, vmport;
    bool i8042, hpet, smbus;
    uint64_t max_ram_below_4g;  /* 0: what the chip set has */
};

static bool wanted(OnOffAuto option)
{
    return option != ON_OFF_AUTO_OFF;
}

static void refuse(bool asked, MachineState *ms, const char *name)
{
    if (asked) {
        error_setg(&error_fatal, "-machine %s,%s=on: not built in, only off",
                   MACHINE_GET_CLASS(ms)->name, name);
    }
}

/* -- Memory ------------------------------------------------------------------------------------ */

static void make_memory(PCMachineState *pcms)
{
    PCMachineClass *pcmc = PC_MACHINE_GET_CLASS(pcms);
    X86Setup *x = &pcms->x86;
    uint64_t size = x->ms->ram_size;

    x->ram_split = size < pcmc->ram_below_4g_max ? pcmc->ram_below_4g_max : pcmc->ram_split;
    if (pcms->max_ram_below_4g) {
        x->ram_split = MIN(x->ram_split, pcms->max_ram_below_4g);
    }
    x86_ram_init(x);
    memory_region_init_rom(&pcms->option_roms, NULL, "pc.rom", OPTION_ROM_SIZE, &error_fatal);
    memory_region_add_subregion_overlap(get_system_memory(), OPTION_ROMS, &pcms->option_roms, 1);
}

/* -- What firmware asks for -------------------------------------------------------------------- */

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

static void set_cmos16(DeviceState *rtc, uint8_t reg, uint64_t value)
{
    mc146818_rtc_set_cmos(rtc, reg, value);
    mc146818_rtc_set_cmos(rtc, reg + 1, value >> 8);
}

/* The letters of -boot as a BIOS numbers them: diskette, disk, CD, network. */
static uint8_t boot_device(const char *order, unsigned n)
{
    if (n < strlen(order)) {
        switch (order[n]) {
        case 'a':
        case 'b':
            return 1;
        case 'c':
            return 2;
        case 'd':
            return 3;
        case 'n':
            return 4;
        }
    }
    return 0;
}

static void fill_cmos(const X86Setup *x, DeviceState *rtc)
{
    const MachineState *ms = x->ms;
    const char *order = ms->boot_order && *ms->boot_order ? ms->boot_order : "cad";
    uint64_t above_1m = x->below_4g > MiB ? (x->below_4g - MiB) / KiB : 0;
    uint64_t above_16m = x->below_4g > 16 * MiB ? (x->below_4g - 16 * MiB) / (64 * KiB) : 0;
    uint64_t above_4g = x->above_4g / (64 * KiB);

    set_cmos16(rtc, 0x15, MIN(x->below_4g / KiB, 640));
    set_cmos16(rtc, 0x17, MIN(above_1m, 0xffff));
    set_cmos16(rtc, 0x30, MIN(above_1m, 0xffff));
    set_cmos16(rtc, 0x34, MIN(above_16m, 0xffff));
    set_cmos16(rtc, 0x5b, above_4g);
    mc146818_rtc_set_cmos(rtc, 0x5d, above_4g >> 16);
    mc146818_rtc_set_cmos(rtc, 0x5f, MIN(ms->smp.cpus - 1, 0xff));
    mc146818_rtc_set_cmos(rtc, 0x14, 0x06); /* an FPU, a PS/2 port */
    mc146818_rtc_set_cmos(rtc, 0x3d, boot_device(order, 1) << 4 | boot_device(order, 0));
    mc146818_rtc_set_cmos(rtc, 0x38, boot_device(order, 2) << 4);
}

/* -- Devices ----------------------------------------------------------------------------------- */

/* Interrupt controllers and timer, and the lines that lead there. *@pit NULL: no timer. */
static void make_irqchip(PCMachineState *pcms, PITCommonState **pit)
{
    const X86Setup *x = &pcms->x86;
    DeviceState *dev = NULL;

    if (kvm_enabled()) {
        kvm_soft_irqchip_wire();
    }
    if (kvm_ioapic_in_kernel()) {
        kvm_ioapic_create();
        if (x->has_pic) {
            kvm_i8259_create();
        }
        pcms->gsi = kvm_gsi_allocate(IOAPIC_NUM_PINS);
        if (x->has_pit) {
            dev = kvm_pit_speaker_create(&error_fatal);
        }
    } else {
        if (x->has_pic) {
            i8259_create();
        }
        pcms->gsi = soft_gsi_allocate(ioapic_create(IOAPIC_ADDR), IOAPIC_NUM_PINS);
        if (x->has_pit) {
            dev = i8254_create(pcms->gsi[0]);
        }
    }
    if (kvm_enabled()) {
        kvmclock_create(true);
    }
    *pit = dev ? PIT_COMMON(dev) : NULL;
}

static void make_serials(PCMachineState *pcms)
{
    static const uint8_t irqs[SERIAL_PORTS_MAX] = {
        IRQ_SERIAL_0, IRQ_SERIAL_1, IRQ_SERIAL_0, IRQ_SERIAL_1
    };

    for (int i = 0; i < SERIAL_PORTS_MAX; i++) {
        if (serial_hd(i)) {
            serial_isa_create(i, pcms->gsi[irqs[i]], serial_hd(i));
            pcms->serial_ports++;
        }
    }
}

static void pc_init(MachineState *ms)
{
    PCMachineState *pcms = PC_MACHINE(ms);
    PCMachineClass *pcmc = PC_MACHINE_GET_CLASS(ms);
    X86Setup *x = &pcms->x86;
    PITCommonState *pit;
    DeviceState *rtc;
    ISABus *bus;

    refuse(pcms->smm == ON_OFF_AUTO_ON, ms, "smm");
    refuse(pcms->vmport == ON_OFF_AUTO_ON, ms, "vmport");
    refuse(pcms->hpet, ms, "hpet");
    refuse(pcms->smbus, ms, "smbus");
    refuse(ms->usb, ms, "usb");

    x->ms = ms;
    x->boots_disks = true;
    x->has_pic = wanted(pcms->pic);
    x->has_pit = wanted(pcms->pit);
    make_memory(pcms);
    make_fw_cfg(x);
    x86_cpus_init(ms, &error_fatal);
    make_irqchip(pcms, &pit);
    bus = isa_bus_create(pcms->gsi);

    rtc = mc146818_rtc_create(pcms->gsi[RTC_ISA_IRQ]);
    fill_cmos(x, rtc);
    if (pit) {
        pcspk_create(bus, pit);
    }
    make_serials(pcms);
    if (pcms->i8042) {
        i8042_create(bus);
    }
    port92_isa_create(bus);
    reset_control_create(bus);
    if (wanted(pcms->acpi)) {
        acpi_pm_create(pcmc->pm, pcms->gsi[IRQ_SCI]);
    }
    ide_isa_create(pcms->gsi[IRQ_ATA_0], pcms->gsi[IRQ_ATA_1], &error_fatal);
    x86_load_kernel(x, &error_fatal);
    x86_bios_init(x, &error_fatal);
}

/* -- Start ------------------------------------------------------------------------------------- */

/* Whether the machine starts what its disk says. */
static bool read_sector(PCMachineState *pcms)
{
    X86Setup *x = &pcms->x86;
    bool own_rom = !x->ms->firmware || !*x->ms->firmware;
    Error *err = NULL;

    if (!own_rom || x->entry || runstate_check(RUN_STATE_INMIGRATE)) {
        return false;
    }
    x->boot_sector = drive_read_boot_sector(pcms->sector, &err);
    if (err) {
        warn_reportf_err(err, "the disk to boot from cannot be read: ");
    }
    memset(x->firmware, 0, x->firmware_len);
    x86_make_start_rom(x, x->firmware);
    return x->boot_sector;
}

static void pc_reset(MachineState *ms, ResetType type)
{
    PCMachineState *pcms = PC_MACHINE(ms);
    bool boots = type != RESET_TYPE_SNAPSHOT_LOAD && read_sector(pcms);

    qemu_devices_reset(type);
    if (boots) {
        x86_place_boot_sector(pcms->sector, pcms->serial_ports);
    }
}

/* From S3 the machine comes back as from a reset, but for its memory. */
static void pc_wakeup(MachineState *ms)
{
    cpu_synchronize_all_states();
    pc_reset(ms, RESET_TYPE_WAKEUP);
    cpu_synchronize_all_post_reset();
}

/* -- Options ----------------------------------------------------------------------------------- */

#define OPTION(name, field, text) {name, offsetof(PCMachineState, field), text}
static const struct {
    const char *name;
    size_t offset;
    const char *text;
} auto_options[] = {
    OPTION("acpi", acpi, "ACPI power management registers"),
    OPTION("pic", pic, "the two interrupt controllers of a PC"),
    OPTION("pit", pit, "the interval timer of a PC"),
    OPTION("smm", smm, "system management mode (only off)"),
    OPTION("vmport", vmport, "VMware's port (only off)"),
}, bool_options[] = {
    OPTION("i8042", i8042, "the keyboard controller"),
    OPTION("hpet", hpet, "a high precision event timer (only off)"),
    OPTION("smbus", smbus, "a system management bus (only off)"),
};

static void visit_auto(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_OnOffAuto(v, name, (OnOffAuto *)((char *)obj + (uintptr_t)opaque), errp);
}

static void visit_flag(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_bool(v, name, (bool *)((char *)obj + (uintptr_t)opaque), errp);
}

static void get_max_ram_below_4g(Object *obj, Visitor *v, const char *name, void *opaque,
                                 Error **errp)
{
    visit_type_size(v, name, &PC_MACHINE(obj)->max_ram_below_4g, errp);
}

static void set_max_ram_below_4g(Object *obj, Visitor *v, const char *name, void *opaque,
                                 Error **errp)
{
    uint64_t value;

    if (!visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (value < MiB || value > FOUR_GIB || value % (4 * KiB)) {
        error_setg(errp, "max-ram-below-4g=0x%" PRIx64 ": expected a multiple of 4 KiB from 1 MiB "
                   "to 4 GiB", value);
        return;
    }
    PC_MACHINE(obj)->max_ram_below_4g = value;
}

static void pc_instance_init(Object *obj)
{
    PC_MACHINE(obj)->i8042 = true;
}

static void pc_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);

    mc->init = pc_init;
    mc->reset = pc_reset;
    mc->wakeup = pc_wakeup;
    mc->inject_nmi = x86_inject_nmi;
    mc->max_cpus = 255;
    mc->default_ram_size = 128 * MiB;
    mc->default_ram_id = "pc.ram";
    mc->default_cpu_type = X86_CPU_TYPE_NAME("qemu64");
    mc->default_boot_order = "cad";

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
    object_class_property_add(oc, "max-ram-below-4g", "size", get_max_ram_below_4g,
                              set_max_ram_below_4g, NULL, NULL);
    object_class_property_set_description(oc, "max-ram-below-4g",
                                          "most of RAM that lies below 4 GiB");
}

static const TypeInfo pc_types[] = {
    {
        .name = TYPE_PC_MACHINE,
        .parent = TYPE_MACHINE,
        .abstract = true,
        .instance_size = sizeof(PCMachineState),
        .instance_init = pc_instance_init,
        .class_size = sizeof(PCMachineClass),
        .class_init = pc_class_init,
    },
};
DEFINE_TYPES(pc_types)
