/*
 * The versions of "pc" and "q35": which there are, and what each of them has kept.
 *
 * A version brings its defaults along: those of all devices (hw_compat_*, hw/core/machine-compat.c)
 * and those of a PC's (below). The list is the one of QEMU 10.0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/pc.h"
#include "qemu/units.h"

#define KEEP(d, p, v) { .driver = (d), .property = (p), .value = (v), .optional = true }

static GlobalProperty pc_compat_6_0[] = {
    KEEP("i8042", "extended-state", "false"),
};

static GlobalProperty pc_compat_2_7[] = {
    KEEP("isa-pcspk", "migrate", "off"),
};

/* What changed after the version. */
#define CHANGES(props) (props), ARRAY_SIZE(props)
#define CHANGES_OF_ALL(version) hw_compat_##version, &hw_compat_##version##_len

typedef struct PCVersion {
    const char *name;
    GlobalProperty *of_all;
    const size_t *of_all_len;
    GlobalProperty *of_pc;
    size_t of_pc_len;
} PCVersion;

/* The newest one first. */
static const PCVersion versions[] = {
    { "10.0" },
    { "9.2", CHANGES_OF_ALL(9_2) },
    { "9.1", CHANGES_OF_ALL(9_1) },
    { "9.0", CHANGES_OF_ALL(9_0) },
    { "8.2", CHANGES_OF_ALL(8_2) },
    { "8.1", CHANGES_OF_ALL(8_1) },
    { "8.0", CHANGES_OF_ALL(8_0) },
    { "7.2", CHANGES_OF_ALL(7_2) },
    { "7.1" }, { "7.0" },
    { "6.2" }, { "6.1" },
    { "6.0", NULL, NULL, CHANGES(pc_compat_6_0) },
    { "5.2" }, { "5.1" }, { "5.0" },
    { "4.2" }, { "4.1" }, { "4.0.1" }, { "4.0" },
    { "3.1" }, { "3.0" },
    { "2.12" }, { "2.11" }, { "2.10" }, { "2.9" }, { "2.8" },
    { "2.7", NULL, NULL, CHANGES(pc_compat_2_7) },
    { "2.6" }, { "2.5" }, { "2.4" },
};

/* Versions before the one of this name were deprecated by 10.0. */
#define OLDEST_SUPPORTED "7.1"

typedef struct PCFamily {
    const char *prefix, *alias, *family, *desc;
    bool is_default;
    const char *skips;          /* a version it never had */
    /* How many CPUs, from the newest version on down to (and with) each of these. */
    struct {
        const char *since;
        int max_cpus;
    } cpus[4];
    ACPIPMKind pm;
    uint64_t ram_below_4g_max, ram_split;
} PCFamily;

static const PCFamily families[] = {
    {
        .prefix = "pc-i440fx-", .alias = "pc", .family = "pc_piix",
        .desc = "Standard PC (i440FX + PIIX, 1996)", .is_default = true, .skips = "4.0.1",
        .cpus = { { "2.4", 255 } },
        .pm = ACPI_PM_PIIX4, .ram_below_4g_max = 3584 * MiB, .ram_split = 3 * GiB,
    }, {
        .prefix = "pc-q35-", .alias = "q35", .family = "pc_q35",
        .desc = "Standard PC (Q35 + ICH9, 2009)",
        .cpus = { { "9.0", 4096 }, { "8.1", 1024 }, { "2.8", 288 }, { "2.4", 255 } },
        .pm = ACPI_PM_ICH9, .ram_below_4g_max = 2816 * MiB, .ram_split = 2 * GiB,
    },
};

typedef struct PCType {
    const PCFamily *family;
    unsigned version;           /* index in versions */
} PCType;

static unsigned find_version(const char *name)
{
    unsigned i = 0;

    while (!g_str_equal(versions[i].name, name)) {
        i++;
        g_assert(i < ARRAY_SIZE(versions));
    }
    return i;
}

static void pc_version_class_init(ObjectClass *oc, void *data)
{
    const PCType *type = data;
    const PCFamily *f = type->family;
    MachineClass *mc = MACHINE_CLASS(oc);
    PCMachineClass *pcmc = PC_MACHINE_CLASS(oc);
    int cpus = 0;

    mc->family = f->family;
    mc->desc = f->desc;
    if (type->version == 0) {
        mc->alias = f->alias;
        mc->is_default = f->is_default;
    }
    if (type->version > find_version(OLDEST_SUPPORTED)) {
        mc->deprecation_reason = "machines of such old versions are about to be removed";
    }
    while (type->version > find_version(f->cpus[cpus].since)) {
        cpus++;
    }
    mc->max_cpus = f->cpus[cpus].max_cpus;
    for (unsigned i = 0; i <= type->version; i++) {
        const PCVersion *v = &versions[i];

        if (v->of_all) {
            compat_props_add(mc->compat_props, v->of_all, *v->of_all_len);
        }
        compat_props_add(mc->compat_props, v->of_pc, v->of_pc_len);
    }
    pcmc->pm = f->pm;
    pcmc->ram_below_4g_max = f->ram_below_4g_max;
    pcmc->ram_split = f->ram_split;
}

static void pc_versions_register(void)
{
    static PCType types[ARRAY_SIZE(families) * ARRAY_SIZE(versions)];
    PCType *type = types;

    for (unsigned f = 0; f < ARRAY_SIZE(families); f++) {
        for (unsigned v = 0; v < ARRAY_SIZE(versions); v++) {
            g_autofree char *name = NULL;
            TypeInfo info = { .parent = TYPE_PC_MACHINE, .class_init = pc_version_class_init };

            if (g_strcmp0(versions[v].name, families[f].skips) == 0) {
                continue;
            }
            *type = (PCType) { &families[f], v };
            name = g_strdup_printf("%s%s" TYPE_MACHINE_SUFFIX, families[f].prefix,
                                   versions[v].name);
            info.name = name;
            info.class_data = type++;
            type_register(&info);
        }
    }
}
type_init(pc_versions_register)
