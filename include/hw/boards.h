/*
 * Machines: what the board is (class) and how this one is configured (instance).
 *
 * `-machine T,prop=value` makes an instance of "T-machine" and sets its properties; the main
 * program then calls machine_run_board_init().
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_BOARDS_H
#define HW_BOARDS_H

#include "hw/qdev-core.h"
#include "qapi/qapi-types-machine.h"
#include "qemu/notify.h"
#include "qom/object.h"
#include "system/globals.h"
#include "system/hostmem.h"

#define TYPE_MACHINE_SUFFIX "-machine"
#define TYPE_MACHINE "machine"
#define MACHINE_TYPE_SUFFIX TYPE_MACHINE_SUFFIX
#define MACHINE_TYPE_NAME(machinename) (machinename TYPE_MACHINE_SUFFIX)
OBJECT_DECLARE_TYPE(MachineState, MachineClass, MACHINE)

typedef struct CPUState CPUState;

extern MachineState *current_machine;

/* Where `-machine smp` may say more than sockets, cores and threads. */
typedef struct SMPCompatProps {
    bool prefer_sockets;                /* missing numbers go to sockets rather than cores */
    bool dies_supported;
    bool modules_supported;
    bool clusters_supported;
    bool books_supported;
    bool drawers_supported;
    bool has_clusters;
} SMPCompatProps;

/* Counts; all at least 1 once parsed. @max_cpus is the product of all levels. */
typedef struct CpuTopology {
    unsigned int cpus;
    unsigned int drawers;
    unsigned int books;
    unsigned int sockets;
    unsigned int dies;
    unsigned int clusters;
    unsigned int modules;
    unsigned int cores;
    unsigned int threads;
    unsigned int max_cpus;
} CpuTopology;

typedef struct CPUArchId {
    uint64_t arch_id;
    int64_t vcpus_count;
    CpuInstanceProperties props;
    CPUState *cpu;                      /* NULL: not there (yet) */
    const char *type;
} CPUArchId;

typedef struct {
    int len;
    CPUArchId cpus[];
} CPUArchIdList;

/**
 * MachineClass: fields that a board sets in its class_init.
 *
 * @name: without the "-machine"; owned by the class.
 * @init: makes the board. Errors are reported and end the program (error_fatal).
 * @reset: resets it; NULL: qemu_devices_reset().
 * @wakeup: leaves the suspended state; NULL: does nothing but start the vCPUs.
 * @inject_nmi: sends all CPUs a non-maskable interrupt; NULL: the board has no line for that.
 * @default_ram_size: bytes, when there is no `-m`.
 * @default_ram_id: name of the RAM block that `-m` makes; NULL: the board makes its RAM itself.
 * @fixup_ram_size: rounds what the user asked for.
 */
struct MachineClass {
    ObjectClass parent_class;

    const char *family;
    char *name;
    const char *alias;
    const char *desc;
    const char *deprecation_reason;

    void (*init)(MachineState *state);
    void (*reset)(MachineState *state, ResetType type);
    void (*wakeup)(MachineState *state);
    void (*inject_nmi)(MachineState *state);
    int (*kvm_type)(MachineState *machine, const char *arg);

    int max_cpus;
    int min_cpus;
    int default_cpus;
    unsigned int no_serial:1, no_parallel:1, no_floppy:1, no_cdrom:1, no_sdcard:1;
    unsigned int pci_allow_0_address:1, legacy_fw_cfg_order:1;
    bool is_default;
    const char *default_machine_opts;
    const char *default_boot_order;
    const char *default_display;
    const char *default_nic;
    GPtrArray *compat_props;            /* of GlobalProperty * */
    const char *hw_version;
    uint64_t default_ram_size;
    const char *default_cpu_type;
    bool default_kernel_irqchip_split;
    bool option_rom_has_mr;
    bool rom_file_has_mr;
    int minimum_page_bits;
    bool has_hotpluggable_cpus;
    bool ignore_memory_transaction_failures;
    int numa_mem_align_shift;
    const char *const *valid_cpu_types; /* NULL-ended; NULL: all */
    bool auto_enable_numa_with_memhp;
    bool numa_mem_supported;
    bool cpu_cluster_has_numa_boundary;
    bool smbus_no_migration_support;
    bool nvdimm_supported;
    bool create_default_memdev_allowed;
    SMPCompatProps smp_props;
    const char *default_ram_id;

    CpuInstanceProperties (*cpu_index_to_instance_props)(MachineState *machine,
                                                         unsigned cpu_index);
    const CPUArchIdList *(*possible_cpu_arch_ids)(MachineState *machine);
    int64_t (*get_default_cpu_node_id)(const MachineState *ms, int idx);
    uint64_t (*fixup_ram_size)(uint64_t size);
};

/**
 * MachineState: what the user asked for. Strings are owned. Set before machine_run_board_init(),
 * constant afterwards.
 */
struct MachineState {
    Object parent_obj;

    char *dtb;
    char *dumpdtb;
    int phandle_start;
    bool dump_guest_core;
    bool mem_merge;
    bool usb;
    bool usb_disabled;
    char *firmware;
    bool iommu;
    bool suppress_vmdesc;
    bool enable_graphics;
    bool aux_ram_share;
    char *ram_memdev_id;                /* memory-backend= */
    MemoryRegion *ram;                  /* set by machine_run_board_init(); NULL: none */
    HostMemoryBackend *memdev;          /* link: what `ram` came from */

    uint64_t ram_size;                  /* bytes */
    bool mem_prealloc;                  /* of what -m asks for */
    uint64_t maxram_size;               /* bytes; at least ram_size */
    uint64_t ram_slots;
    char *boot_order;
    char *kernel_filename;
    char *kernel_cmdline;
    char *initrd_filename;
    char *shim_filename;
    const char *cpu_type;               /* a class name; NULL: none */
    void *accelerator;                  /* AccelState * */
    CPUArchIdList *possible_cpus;
    CpuTopology smp;
};

#define DEFINE_MACHINE(namestr, machine_initfn) \
    static void machine_initfn##_class_init(ObjectClass *oc, void *data) \
    { \
        MachineClass *mc = MACHINE_CLASS(oc); \
        machine_initfn(mc); \
    } \
    static const TypeInfo machine_initfn##_typeinfo = { \
        .name = MACHINE_TYPE_NAME(namestr), \
        .parent = TYPE_MACHINE, \
        .class_init = machine_initfn##_class_init, \
    }; \
    static void machine_initfn##_register_types(void) \
    { \
        type_register_static(&machine_initfn##_typeinfo); \
    } \
    type_init(machine_initfn##_register_types)

/* ---- finding one ---------------------------------------------------------------------- */

/* By name or alias; an error names the option and how to list machines. */
MachineClass *machine_find_class(const char *name, Error **errp);
MachineClass *machine_find_default(void);
/* One line a machine on stdout, as `-machine help` prints. */
void machine_print_help(void);
/* Makes the instance, and it is `current_machine` and /machine from here on. */
MachineState *machine_create(MachineClass *mc);

/* ---- configuring ---------------------------------------------------------------------- */

/* `-smp`: @text is keyval with implied key "cpus". */
bool machine_parse_smp_text(MachineState *ms, const char *text, Error **errp);
bool machine_parse_smp_config(MachineState *ms, const SMPConfiguration *config, Error **errp);
/* `-m`: "[size=]N[suffix MiB][,slots=n,maxmem=size]". */
bool machine_parse_memory_text(MachineState *ms, const char *text, Error **errp);
bool machine_parse_memory_config(MachineState *ms, const MemorySizeConfiguration *mem,
                                 Error **errp);
/* `-machine` properties: @props is an object of values, "type" already taken out. */
bool machine_set_properties(MachineState *ms, QObject *props, Error **errp);
unsigned int machine_topo_get_cores_per_socket(const MachineState *ms);
unsigned int machine_topo_get_threads_per_socket(const MachineState *ms);

/* ---- starting ------------------------------------------------------------------------- */

/* RAM, then the board. @mem_path: `-mem-path`, or NULL. False and an error on failure. */
bool machine_run_board_init(MachineState *machine, const char *mem_path, Error **errp);
/* Called once the board and the devices of the command line are there. */
void qemu_add_machine_init_done_notifier(Notifier *notify);
void qemu_remove_machine_init_done_notifier(Notifier *notify);
void machine_notify_init_done(void);
bool machine_is_ready(void);
/* The region of the whole RAM, allocated by the back end, or NULL. Borrowed. */
MemoryRegion *machine_consume_memdev(MachineState *machine, HostMemoryBackend *backend);
const char *machine_class_default_cpu_type(MachineClass *mc);
bool machine_usb(MachineState *machine);
bool machine_mem_merge(MachineState *machine);
bool machine_dump_guest_core(MachineState *machine);

/* ---- versions ------------------------------------------------------------------------- */

/* Adds @n defaults of older versions to the class. The array must live for ever. */
void compat_props_add(GPtrArray *arr, GlobalProperty props[], size_t nelem);
void machine_class_allow_dynamic_sysbus_dev(MachineClass *mc, const char *type);

/* What changed after each version: for machines that claim to be that old. */
extern GlobalProperty hw_compat_9_2[];
extern const size_t hw_compat_9_2_len;
extern GlobalProperty hw_compat_9_1[];
extern const size_t hw_compat_9_1_len;
extern GlobalProperty hw_compat_9_0[];
extern const size_t hw_compat_9_0_len;
extern GlobalProperty hw_compat_8_2[];
extern const size_t hw_compat_8_2_len;
extern GlobalProperty hw_compat_8_1[];
extern const size_t hw_compat_8_1_len;
extern GlobalProperty hw_compat_8_0[];
extern const size_t hw_compat_8_0_len;
extern GlobalProperty hw_compat_7_2[];
extern const size_t hw_compat_7_2_len;

#endif
