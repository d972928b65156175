/*
 * The machine "microvm": RAM, CPUs with their interrupt controllers, a serial port, and what
 * firmware needs; no buses that would have to be searched.
 *
 * What the guest can see of all this, addresses and lines above all, is as in other programs'
 * machine of that name: guests move between them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/generic_event_device.h"
#include "hw/boards.h"
#include "hw/char/serial.h"
#include "hw/i386/acpi-microvm.h"
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

#define FW_CFG_IO_BASE  0x510
#define SERIAL_IRQ      4

/* The most that the RAM blocks of ACPI tables can have. */
#define ACPI_TABLES_MAX (2 * MiB)
#define ACPI_LOADER_MAX (64 * KiB)
#define ACPI_RSDP_MAX   (4 * KiB)

/* The options of -machine microvm, as they were given; and what was made. */
typedef struct MicrovmMachineState {
    MachineState parent_obj;
    qemu_irq *gsi;              /* the interrupt lines; as long as the machine */

    OnOffAuto pic, pit, rtc, acpi, pcie, ioapic2;
    bool isa_serial, option_roms, auto_kernel_cmdline;
    char *oem_id, *oem_table_id;
    bool has_acpi, has_ioapic2, has_rtc;
    X86Setup x86;
} MicrovmMachineState;
DECLARE_INSTANCE_CHECKER(MicrovmMachineState, MICROVM_MACHINE, TYPE_MICROVM_MACHINE)

static bool wanted(OnOffAuto option, bool by_default)
{
    return option == ON_OFF_AUTO_AUTO ? by_default : option == ON_OFF_AUTO_ON;
}

/* What firmware asks for; the kernel's parts are added when it is loaded. */
static void make_fw_cfg(X86Setup *x)
{
    MachineState *ms = x->ms;
    FWCfgState *s = fw_cfg_init_io_dma(FW_CFG_IO_BASE);
    uint8_t map[2 * 20];
    uint32_t no_wait = UINT32_MAX;
    unsigned len = 20;

    /* RAM alone: what of it, or beside it, is taken firmware knows best. */
    stq_le_p(map, 0);
    stq_le_p(map + 8, x->below_4g);
    stl_le_p(map + 16, 1);
    if (x->above_4g) {
        stq_le_p(map + 20, 4 * GiB);
        stq_le_p(map + 28, x->above_4g);
        stl_le_p(map + 36, 1);
        len = 40;
    }
    fw_cfg_add_bytes(s, FW_CFG_UUID, &qemu_uuid, sizeof(qemu_uuid));
    fw_cfg_add_i64(s, FW_CFG_RAM_SIZE, ms->ram_size);
    fw_cfg_add_i16(s, FW_CFG_NOGRAPHIC, !ms->enable_graphics);
    fw_cfg_add_i16(s, FW_CFG_NB_CPUS, ms->smp.cpus);
    fw_cfg_add_i16(s, FW_CFG_MAX_CPUS, ms->smp.max_cpus);
    fw_cfg_add_i16(s, FW_CFG_BOOT_MENU, 0);
    fw_cfg_add_i32(s, FW_CFG_IRQ0_OVERRIDE, 1);
    fw_cfg_add_file(s, "bios-geometry", "", 0);
    fw_cfg_add_file(s, "bootorder", "", 0);
    fw_cfg_add_file(s, "etc/boot-fail-wait", &no_wait, sizeof(no_wait));
    fw_cfg_add_file(s, "etc/e820", map, len);
    x->fw_cfg = s;
}

static void make_acpi(MicrovmMachineState *mms)
{
    X86Setup *x = &mms->x86;
    const MachineState *ms = x->ms;
    g_autofree uint32_t *ids = g_new(uint32_t, ms->smp.max_cpus);
    MicrovmAcpi what = {
        .oem = { mms->oem_id, mms->oem_table_id },
        .apic_ids = ids,
        .present = ms->smp.cpus,
        .possible = ms->smp.max_cpus,
        .has_pic = x->has_pic,
        .has_serial = mms->isa_serial && serial_hd(0),
        .has_rtc = mms->has_rtc,
        .has_ioapic2 = mms->has_ioapic2,
    };
    AcpiTables *t;

    for (unsigned i = 0; i < what.possible; i++) {
        ids[i] = x86_apic_id_from_cpu_index(ms, i);
    }
    t = microvm_acpi_tables(&what);
    if (!fw_cfg_add_block(x->fw_cfg, FW_CFG_ACPI_TABLES, t->tables->data, t->tables->len,
                          ACPI_TABLES_MAX, &error_fatal)
        || !fw_cfg_add_block(x->fw_cfg, FW_CFG_ACPI_LOADER, t->loader->data, t->loader->len,
                             ACPI_LOADER_MAX, &error_fatal)
        || !fw_cfg_add_block(x->fw_cfg, FW_CFG_ACPI_RSDP, t->rsdp->data, t->rsdp->len,
                             ACPI_RSDP_MAX, &error_fatal)) {
        return;
    }
    acpi_ged_create(MICROVM_GED_ADDR, MICROVM_GED_REGS_ADDR, mms->gsi[MICROVM_GED_GSI]);
    x->acpi = t;
}

/*
 * Interrupt controllers, of which each kind is in the kernel or here (with the local APICs there or
 * here), but for the second I/O APIC, which the kernel has not.
 */
static qemu_irq *make_ioapics(const MicrovmMachineState *mms)
{
    qemu_irq *gsi;

    if (kvm_enabled()) {
        kvm_soft_irqchip_wire();
    }
    if (kvm_ioapic_in_kernel()) {
        kvm_ioapic_create();
        gsi = kvm_gsi_allocate(IOAPIC_NUM_PINS);
    } else {
        gsi = soft_gsi_allocate(ioapic_create(MICROVM_IOAPIC1_ADDR), IOAPIC_NUM_PINS);
    }
    if (mms->has_ioapic2) {
        gsi = soft_gsi_extend(gsi, IOAPIC_NUM_PINS, ioapic_create(MICROVM_IOAPIC2_ADDR));
    }
    return gsi;
}

static void make_pics_and_timer(const MicrovmMachineState *mms)
{
    const X86Setup *x = &mms->x86;

    if (x->has_pic) {
        if (kvm_pic_in_kernel()) {
            kvm_i8259_create();
        } else {
            i8259_create();
        }
    }
    if (x->has_pit) {
        if (kvm_pit_in_kernel()) {
            kvm_pit_create(&error_fatal);
        } else {
            i8254_create(mms->gsi[0]);
        }
    }
}

/* The clock's memory tells firmware how much RAM there is, in KiB and, from 16 MiB on, 64 KiB. */
static void make_rtc(const MicrovmMachineState *mms)
{
    DeviceState *rtc = mc146818_rtc_create(mms->gsi[RTC_ISA_IRQ]);
    uint64_t below = mms->x86.below_4g, high = mms->x86.above_4g / (64 * KiB);
    uint16_t base = MIN(below / KiB, 640), above_1m = 0, above_16m = 0;

    if (below > MiB) {
        above_1m = MIN((below - MiB) / KiB, UINT16_MAX);
    }
    if (below > 16 * MiB) {
        above_16m = MIN((below - 16 * MiB) / (64 * KiB), UINT16_MAX);
    }
    for (int i = 0; i < 2; i++) {
        mc146818_rtc_set_cmos(rtc, 0x15 + i, base >> 8 * i);
        mc146818_rtc_set_cmos(rtc, 0x17 + i, above_1m >> 8 * i);
        mc146818_rtc_set_cmos(rtc, 0x30 + i, above_1m >> 8 * i);
        mc146818_rtc_set_cmos(rtc, 0x34 + i, above_16m >> 8 * i);
    }
    for (int i = 0; i < 3; i++) {
        mc146818_rtc_set_cmos(rtc, 0x5b + i, high >> 8 * i);
    }
}

static void microvm_init(MachineState *ms)
{
    MicrovmMachineState *mms = MICROVM_MACHINE(ms);
    X86Setup *x = &mms->x86;

    if (mms->pcie == ON_OFF_AUTO_ON) {
        error_setg(&error_fatal, "-machine microvm,pcie=on: there is no PCI here yet, only off");
    }
    x->ms = ms;
    x->has_pic = wanted(mms->pic, true);
    x->has_pit = wanted(mms->pit, true);
    /* With KVM the guest has a clock without it. */
    mms->has_rtc = wanted(mms->rtc, !kvm_enabled());
    mms->has_acpi = wanted(mms->acpi, true);
    /* Without ACPI nothing would tell the guest of it. */
    mms->has_ioapic2 = mms->has_acpi && wanted(mms->ioapic2, true);
    x86_ram_init(x);
    make_fw_cfg(x);
    x86_cpus_init(ms, &error_fatal);
    /* In the order in which their sections are known to come. */
    mms->gsi = make_ioapics(mms);
    if (kvm_enabled()) {
        kvmclock_create(true);
    }
    if (mms->has_acpi) {
        make_acpi(mms);
    }
    make_pics_and_timer(mms);
    if (mms->has_rtc) {
        make_rtc(mms);
    }
    /* As in QEMU, a port that leads nowhere (-nodefaults without -serial) is not there. */
    if (mms->isa_serial && serial_hd(0)) {
        serial_isa_create(0, mms->gsi[SERIAL_IRQ], serial_hd(0));
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
    OPTION("pcie", pcie, "a PCI Express host bridge: not built in"),
    OPTION("ioapic2", ioapic2, "a second I/O APIC, if there is ACPI"),
}, bool_options[] = {
    OPTION("isa-serial", isa_serial, "a serial port at 0x3f8"),
    OPTION("x-option-roms", option_roms, "option ROMs"),
    OPTION("auto-kernel-cmdline", auto_kernel_cmdline,
           "without ACPI, add virtio devices to the kernel's command line"),
}, oem_options[] = {
    OPTION("x-oem-id", oem_id, "who the ACPI tables say made them, up to 6 characters"),
    OPTION("x-oem-table-id", oem_table_id, "… and the machine's name, up to 8 characters"),
};

static void visit_oem(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    char **field = (char **)((char *)obj + (uintptr_t)opaque), *value = *field;
    unsigned max = g_str_equal(name, "x-oem-id") ? 6 : 8;

    if (!visit_type_str(v, name, &value, errp)) {
        return;
    }
    if (value == *field) {
        return; /* was read */
    }
    if (strlen(value) > max) {
        error_setg(errp, "%s: expected at most %u characters, found '%s'", name, max, value);
        g_free(value);
        return;
    }
    g_free(*field);
    *field = value;
}

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
    mms->oem_id = g_strdup("GODWIT");
    mms->oem_table_id = g_strdup("MICROVM");
}

static void microvm_finalize(Object *obj)
{
    MicrovmMachineState *mms = MICROVM_MACHINE(obj);

    g_free(mms->oem_id);
    g_free(mms->oem_table_id);
}

static void microvm_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);

    mc->desc = "microvm (i386)";
    mc->family = "microvm_i386";
    mc->init = microvm_init;
    mc->inject_nmi = x86_inject_nmi;
    mc->max_cpus = 288;
    mc->default_ram_size = 128 * MiB;
    mc->default_ram_id = "microvm.ram";
    mc->default_cpu_type = X86_CPU_TYPE_NAME("qemu64");
    mc->no_parallel = 1;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;
    mc->default_kernel_irqchip_split = true;

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
    for (size_t i = 0; i < ARRAY_SIZE(oem_options); i++) {
        object_class_property_add(oc, oem_options[i].name, "string", visit_oem, visit_oem, NULL,
                                  (void *)oem_options[i].offset);
        object_class_property_set_description(oc, oem_options[i].name, oem_options[i].text);
    }
}

static const TypeInfo microvm_type = {
    .name = TYPE_MICROVM_MACHINE,
    .parent = TYPE_MACHINE,
    .instance_size = sizeof(MicrovmMachineState),
    .instance_init = microvm_instance_init,
    .instance_finalize = microvm_finalize,
    .class_init = microvm_class_init,
};

static void microvm_register_types(void)
{
    type_register_static(&microvm_type);
}
type_init(microvm_register_types)
