/*
 * The machine object: its properties, its RAM, and how it is brought up.
 *
 * CPU topology is in machine-smp.c, QMP commands in machine-qmp-cmds.c, versions in
 * machine-compat.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-machine.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "qemu/keyval.h"
#include "qom/object_interfaces.h"
#include "system/cpus.h"
#include "system/runstate.h"

MachineState *current_machine;

/* ---- finding one ----------------------------------------------------------------------- */

MachineClass *machine_find_default(void)
{
    GSList *list = object_class_get_list(TYPE_MACHINE, false);
    MachineClass *found = NULL;

    for (GSList *l = list; l && !found; l = l->next) {
        MachineClass *mc = MACHINE_CLASS(l->data);

        found = mc->is_default ? mc : NULL;
    }
    g_slist_free(list);
    return found;
}

MachineClass *machine_find_class(const char *name, Error **errp)
{
    GSList *list = object_class_get_list(TYPE_MACHINE, false);
    MachineClass *found = NULL;

    for (GSList *l = list; l && !found; l = l->next) {
        MachineClass *mc = MACHINE_CLASS(l->data);

        if (g_str_equal(mc->name, name) || g_strcmp0(mc->alias, name) == 0) {
            found = mc;
        }
    }
    g_slist_free(list);
    if (!found) {
        error_setg(errp, "unsupported machine type: \"%s\"", name);
        error_append_hint(errp, "Use -machine help to list supported machines\n");
    }
    return found;
}

/* Families first, each from its last name on; then those that have none. */
static gint compare_machines(gconstpointer a, gconstpointer b)
{
    const MachineClass *ma = MACHINE_CLASS(a), *mb = MACHINE_CLASS(b);

    if (!ma->family || !mb->family) {
        return ma->family ? -1 : mb->family ? 1 : strcmp(ma->name, mb->name);
    }
    return strcmp(ma->family, mb->family) ?: strcmp(mb->name, ma->name);
}

void machine_print_help(void)
{
    GSList *list = g_slist_sort(object_class_get_list(TYPE_MACHINE, false), compare_machines);

    printf("Supported machines are:\n");
    for (GSList *l = list; l; l = l->next) {
        MachineClass *mc = MACHINE_CLASS(l->data);

        if (mc->alias) {
            printf("%-20s %s (alias of %s)\n", mc->alias, mc->desc ?: "", mc->name);
        }
        printf("%-20s %s%s%s\n", mc->name, mc->desc ?: "", mc->is_default ? " (default)" : "",
               mc->deprecation_reason ? " (deprecated)" : "");
    }
    g_slist_free(list);
}

static void reset_machine(ResetType type)
{
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);

    if (mc->reset) {
        mc->reset(current_machine, type);
    } else {
        qemu_devices_reset(type);
    }
}

static void wake_machine(void)
{
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);

    if (mc->wakeup) {
        mc->wakeup(current_machine);
    }
}

MachineState *machine_create(MachineClass *mc)
{
    static const MachineHooks hooks = { .reset = reset_machine, .wakeup = wake_machine };
    static const char *const containers[] = { "unattached", "peripheral", "peripheral-anon" };

    g_assert(!current_machine);
    object_set_machine_compat_props(mc->compat_props);
    current_machine = MACHINE(object_new_with_class(OBJECT_CLASS(mc)));
    object_property_add_child(object_get_root(), "machine", OBJECT(current_machine));
    for (size_t i = 0; i < ARRAY_SIZE(containers); i++) {
        object_property_add_new_container(OBJECT(current_machine), containers[i]);
    }
    qemu_set_machine_hooks(&hooks);
    return current_machine;
}

bool machine_set_properties(MachineState *ms, QObject *props, Error **errp)
{
    Visitor *v = qobject_input_visitor_new_keyval(props);
    bool ok = visit_start_struct(v, NULL, NULL, 0, errp);

    if (ok) {
        json_object_object_foreach(props, key, value) {
            (void)value;
            ok = object_property_set(OBJECT(ms), key, v, errp);
            if (!ok) {
                break;
            }
        }
        ok = ok && visit_check_struct(v, errp);
        visit_end_struct(v, NULL);
    }
    visit_free(v);
    host_memory_backend_set_defaults(ms->mem_merge, ms->dump_guest_core, ms->smp.cpus);
    return ok;
}

/* ---- memory size ----------------------------------------------------------------------- */

bool machine_parse_memory_config(MachineState *ms, const MemorySizeConfiguration *mem,
                                 Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(ms);
    uint64_t size = mem->has_size && mem->size ? mem->size : mc->default_ram_size;
    uint64_t max_size;

    if (mc->fixup_ram_size && mem->has_size) {
        size = mc->fixup_ram_size(size);
    }
    if (size > INT64_MAX) {
        error_setg(errp, "ram size too large");
        return false;
    }
    if (mem->has_max_size) {
        max_size = mem->max_size;
        if (max_size < size) {
            error_setg(errp, "invalid value of maxmem: maximum memory size (0x%" PRIx64 ") must "
                       "be at least the initial memory size (0x%" PRIx64 ")", max_size, size);
            return false;
        }
        if (mem->has_slots && mem->slots && max_size == size) {
            error_setg(errp, "invalid value of maxmem: memory slots were specified but maximum "
                       "memory size (0x%" PRIx64 ") is equal to the initial memory size (0x%"
                       PRIx64 ")", max_size, size);
            return false;
        }
    } else if (mem->has_slots) {
        error_setg(errp, "slots specified but no max-size");
        return false;
    } else {
        max_size = size;
    }
    ms->ram_size = size;
    ms->maxram_size = max_size;
    ms->ram_slots = mem->has_slots ? mem->slots : 0;
    return true;
}

static const char *text_option(QObject *args, const char *key)
{
    QObject *value;

    return json_object_object_get_ex(args, key, &value) ? json_object_get_string(value) : NULL;
}

bool machine_parse_memory_text(MachineState *ms, const char *text, Error **errp)
{
    MemorySizeConfiguration mem = { 0 };
    QObject *args = keyval_parse(text, "size", NULL, errp);
    const char *value;
    bool ok = false;

    if (!args) {
        return false;
    }
    json_object_object_foreach(args, key, unused) {
        (void)unused;
        if (!g_str_equal(key, "size") && !g_str_equal(key, "slots") &&
            !g_str_equal(key, "maxmem")) {
            error_setg(errp, "unknown option '%s': expected "
                       "[size=]SIZE[,slots=N,maxmem=SIZE]", key);
            goto out;
        }
    }
    value = text_option(args, "size");
    if (value) {
        mem.has_size = true;
        if (qemu_strtosz_MiB(value, NULL, &mem.size) < 0) {
            error_setg(errp, "invalid size '%s': expected a number of MiB, or one with a "
                       "suffix K, M, G, T", value);
            goto out;
        }
    }
    value = text_option(args, "maxmem");
    if (value) {
        mem.has_max_size = true;
        if (qemu_strtosz(value, NULL, &mem.max_size) < 0) {
            error_setg(errp, "invalid maxmem '%s': expected a number of bytes, or one with "
                       "a suffix K, M, G, T", value);
            goto out;
        }
    }
    value = text_option(args, "slots");
    if (value) {
        mem.has_slots = true;
        if (parse_uint_full(value, 0, &mem.slots) < 0) {
            error_setg(errp, "invalid slots '%s': expected a number", value);
            goto out;
        }
        if (!mem.has_max_size) {
            error_setg(errp, "slots specified but no maxmem");
            goto out;
        }
    }
    ok = machine_parse_memory_config(ms, &mem, errp);
out:
    json_object_put(args);
    return ok;
}

/* ---- bringing it up -------------------------------------------------------------------- */

/* The RAM that `-m` asks for, as an object like those that users make. */
static bool make_default_memdev(MachineState *ms, const char *mem_path, Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(ms);
    Object *obj = object_new(mem_path ? TYPE_MEMORY_BACKEND_FILE : TYPE_MEMORY_BACKEND_RAM);
    bool ok = false;

    if ((mem_path && !object_property_set_str(obj, "mem-path", mem_path, errp)) ||
        !object_property_set_bool(obj, "prealloc", ms->mem_prealloc, errp) ||
        !object_property_set_uint(obj, "size", ms->ram_size, errp)) {
        goto out;
    }
    if (!object_property_try_add_child(object_get_objects_root(), mc->default_ram_id, obj,
                                       NULL)) {
        error_setg(errp, "the object id '%s' is taken by machine '%s' for its RAM",
                   mc->default_ram_id, mc->name);
        goto out;
    }
    if (!user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unparent(obj);
        goto out;
    }
    ms->memdev = MEMORY_BACKEND(object_ref(obj));
    ok = true;
out:
    object_unref(obj);
    return ok;
}

/* The back end that memory-backend= names; RAM has its size, or the one `-m` gave, which is it. */
static bool find_memdev(MachineState *ms, Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(ms);
    Object *obj = object_resolve_path_type(ms->ram_memdev_id, TYPE_MEMORY_BACKEND, NULL);
    HostMemoryBackend *backend;

    if (!obj) {
        error_setg(errp, "Memory backend '%s' not found", ms->ram_memdev_id);
        return false;
    }
    backend = MEMORY_BACKEND(obj);
    if (ms->ram_size == mc->default_ram_size) {
        ms->ram_size = backend->size;
        ms->maxram_size = MAX(ms->maxram_size, backend->size);
    }
    if (ms->ram_size != backend->size) {
        error_setg(errp, "Machine memory size does not match the size of the memory backend: "
                   "-m says %" PRIu64 " bytes, '%s' has %" PRIu64, ms->ram_size,
                   ms->ram_memdev_id, backend->size);
        return false;
    }
    ms->memdev = MEMORY_BACKEND(object_ref(obj));
    return true;
}

MemoryRegion *machine_consume_memdev(MachineState *machine, HostMemoryBackend *backend)
{
    MemoryRegion *mr = host_memory_backend_get_memory(backend);

    g_assert(mr && !host_memory_backend_is_mapped(backend));
    host_memory_backend_set_mapped(backend, true);
    vmstate_register_ram_global(mr);
    return mr;
}

static bool check_cpu_type(MachineState *ms, Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(ms);
    ObjectClass *oc = ms->cpu_type ? object_class_by_name(ms->cpu_type) : NULL;

    if (!mc->valid_cpu_types || !ms->cpu_type) {
        return true;
    }
    for (const char *const *type = mc->valid_cpu_types; *type; type++) {
        if (object_class_dynamic_cast(oc, *type)) {
            return true;
        }
    }
    error_setg(errp, "Invalid CPU model: %s", ms->cpu_type);
    error_append_hint(errp, "Machine '%s' takes:", mc->name);
    for (const char *const *type = mc->valid_cpu_types; *type; type++) {
        error_append_hint(errp, " %s", *type);
    }
    error_append_hint(errp, "\n");
    return false;
}

bool machine_run_board_init(MachineState *machine, const char *mem_path, Error **errp)
{
    ERRP_GUARD();
    MachineClass *mc = MACHINE_GET_CLASS(machine);

    if (machine->ram_memdev_id) {
        if (mem_path) {
            error_setg(errp, "'-mem-path' can't be used together with '-machine "
                       "memory-backend'");
            return false;
        }
        if (!mc->default_ram_id) {
            error_setg(errp, "machine '%s' does not support the memory-backend option",
                       mc->name);
            return false;
        }
        if (!find_memdev(machine, errp)) {
            return false;
        }
    } else if (mc->default_ram_id && machine->ram_size &&
               !make_default_memdev(machine, mem_path, errp)) {
        return false;
    }
    if (machine->memdev) {
        if (host_memory_backend_is_mapped(machine->memdev)) {
            error_setg(errp, "memory backend %s can't be used multiple times.",
                       machine->ram_memdev_id);
            return false;
        }
        machine->ram = machine_consume_memdev(machine, machine->memdev);
    }
    if (!check_cpu_type(machine, errp)) {
        return false;
    }
    if (mc->init) {
        mc->init(machine);
    }
    return true;
}

static NotifierList init_done_notifiers = NOTIFIER_LIST_INITIALIZER(init_done_notifiers);
static bool init_done;

bool machine_is_ready(void)
{
    return init_done;
}

void qemu_add_machine_init_done_notifier(Notifier *notify)
{
    notifier_list_add(&init_done_notifiers, notify);
    if (init_done) {
        notify->notify(notify, NULL);
    }
}

void qemu_remove_machine_init_done_notifier(Notifier *notify)
{
    notifier_remove(notify);
}

void machine_notify_init_done(void)
{
    qdev_machine_creation_done();
    init_done = true;
    notifier_list_notify(&init_done_notifiers, NULL);
}

bool machine_usb(MachineState *machine)
{
    return machine->usb;
}

bool machine_mem_merge(MachineState *machine)
{
    return machine->mem_merge;
}

bool machine_dump_guest_core(MachineState *machine)
{
    return machine->dump_guest_core;
}

const char *machine_class_default_cpu_type(MachineClass *mc)
{
    /* The only one there is needs no default. */
    if (mc->valid_cpu_types && mc->valid_cpu_types[0] && !mc->valid_cpu_types[1]) {
        return mc->valid_cpu_types[0];
    }
    return mc->default_cpu_type;
}

/* ---- properties ------------------------------------------------------------------------ */

/* Text properties are char * fields; bool ones are bool fields; the opaque is the offset. */
static void get_text(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    char *value = *(char **)((char *)obj + (uintptr_t)opaque) ?: (char *)"";

    visit_type_str(v, name, &value, errp);
}

static void set_text(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    char **field = (char **)((char *)obj + (uintptr_t)opaque);
    char *value;

    if (visit_type_str(v, name, &value, errp)) {
        g_free(*field);
        *field = value;
    }
}

static void get_flag(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    bool value = *(bool *)((char *)obj + (uintptr_t)opaque);

    visit_type_bool(v, name, &value, errp);
}

static void set_flag(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_bool(v, name, (bool *)((char *)obj + (uintptr_t)opaque), errp);
}

static void get_memory(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    MachineState *ms = MACHINE(obj);
    MemorySizeConfiguration mem = {
        .has_size = true, .size = ms->ram_size,
        .has_max_size = ms->ram_slots != 0, .max_size = ms->maxram_size,
        .has_slots = ms->ram_slots != 0, .slots = ms->ram_slots,
    };
    MemorySizeConfiguration *p = &mem;

    visit_type_MemorySizeConfiguration(v, name, &p, errp);
}

static void set_memory(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    MemorySizeConfiguration *mem = NULL;

    if (visit_type_MemorySizeConfiguration(v, name, &mem, errp)) {
        machine_parse_memory_config(MACHINE(obj), mem, errp);
    }
    qapi_free_MemorySizeConfiguration(mem);
}

static void get_smp(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    CpuTopology *topo = &MACHINE(obj)->smp;
    SMPConfiguration config = {
        .has_cpus = true, .cpus = topo->cpus,
        .has_sockets = true, .sockets = topo->sockets,
        .has_dies = true, .dies = topo->dies,
        .has_clusters = true, .clusters = topo->clusters,
        .has_modules = true, .modules = topo->modules,
        .has_cores = true, .cores = topo->cores,
        .has_threads = true, .threads = topo->threads,
        .has_maxcpus = true, .maxcpus = topo->max_cpus,
    };
    SMPConfiguration *p = &config;

    visit_type_SMPConfiguration(v, name, &p, errp);
}

static void set_smp(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    SMPConfiguration *config = NULL;

    if (visit_type_SMPConfiguration(v, name, &config, errp)) {
        machine_parse_smp_config(MACHINE(obj), config, errp);
    }
    qapi_free_SMPConfiguration(config);
}

static void machine_init(Object *obj)
{
    MachineState *ms = MACHINE(obj);
    MachineClass *mc = MACHINE_GET_CLASS(obj);

    ms->dump_guest_core = true;
    ms->mem_merge = true;
    ms->enable_graphics = true;
    ms->kernel_cmdline = g_strdup("");
    ms->ram_size = mc->default_ram_size;
    ms->maxram_size = mc->default_ram_size;
    ms->cpu_type = machine_class_default_cpu_type(mc);

    ms->smp.cpus = ms->smp.max_cpus = MAX(mc->default_cpus, 1);
    ms->smp.drawers = ms->smp.books = ms->smp.sockets = 1;
    ms->smp.dies = ms->smp.clusters = ms->smp.modules = 1;
    ms->smp.cores = ms->smp.max_cpus;
    ms->smp.threads = 1;
}

static void machine_finalize(Object *obj)
{
    MachineState *ms = MACHINE(obj);
    char *const owned[] = {
        ms->dtb, ms->dumpdtb, ms->firmware, ms->ram_memdev_id, ms->boot_order,
        ms->kernel_filename, ms->kernel_cmdline, ms->initrd_filename, ms->shim_filename,
    };

    for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
        g_free(owned[i]);
    }
    g_free(ms->possible_cpus);
    object_unref(ms->memdev);
}

static void machine_class_base_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);
    const char *cname = object_class_get_name(oc);

    mc->max_cpus = mc->max_cpus ?: 1;
    mc->min_cpus = mc->min_cpus ?: 1;
    mc->default_cpus = mc->default_cpus ?: 1;
    if (!object_class_is_abstract(oc)) {
        g_assert(g_str_has_suffix(cname, TYPE_MACHINE_SUFFIX));
        mc->name = g_strndup(cname, strlen(cname) - strlen(TYPE_MACHINE_SUFFIX));
    }
    /* What names one machine is not passed on to those that derive from it. */
    mc->alias = NULL;
    mc->is_default = false;
    mc->desc = NULL;
    /* Each version's list is its own, and holds what its ancestors' lists hold. */
    if (mc->compat_props) {
        GPtrArray *inherited = mc->compat_props;

        mc->compat_props = g_ptr_array_copy(inherited, NULL, NULL);
    } else {
        mc->compat_props = g_ptr_array_new();
    }
}

static void machine_class_init(ObjectClass *oc, void *data)
{
    static const struct {
        const char *name;
        size_t offset;
        bool flag;
        const char *description;
    } fields[] = {
        { "kernel", offsetof(MachineState, kernel_filename), false,
          "kernel to boot" },
        { "initrd", offsetof(MachineState, initrd_filename), false,
          "initial RAM disk for the kernel" },
        { "append", offsetof(MachineState, kernel_cmdline), false,
          "the kernel's command line" },
        { "shim", offsetof(MachineState, shim_filename), false, "shim to boot the kernel through" },
        { "dtb", offsetof(MachineState, dtb), false, "device tree for the kernel" },
        { "dumpdtb", offsetof(MachineState, dumpdtb), false,
          "file to write the device tree to, before quitting" },
        { "firmware", offsetof(MachineState, firmware), false, "file with the firmware" },
        { "memory-backend", offsetof(MachineState, ram_memdev_id), false,
          "id of the memory-backend object that is the machine's RAM" },
        { "dump-guest-core", offsetof(MachineState, dump_guest_core), true,
          "put guest memory into core dumps" },
        { "mem-merge", offsetof(MachineState, mem_merge), true,
          "let the host share equal pages of guest memory (KSM)" },
        { "usb", offsetof(MachineState, usb), true, "have a USB controller" },
        { "graphics", offsetof(MachineState, enable_graphics), true,
          "have a display" },
        { "suppress-vmdesc", offsetof(MachineState, suppress_vmdesc), true,
          "leave the devices' description out of migration streams" },
        { "aux-ram-share", offsetof(MachineState, aux_ram_share), true,
          "map RAM that has no back end of its own shared" },
    };
    MachineClass *mc = MACHINE_CLASS(oc);

    mc->default_ram_size = 128 * 1024 * 1024;
    mc->rom_file_has_mr = true;
    mc->create_default_memdev_allowed = true;
    mc->max_cpus = mc->min_cpus = mc->default_cpus = 1;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        object_class_property_add(oc, fields[i].name, fields[i].flag ? "bool" : "string",
                                  fields[i].flag ? get_flag : get_text,
                                  fields[i].flag ? set_flag : set_text, NULL,
                                  (void *)fields[i].offset);
        object_class_property_set_description(oc, fields[i].name, fields[i].description);
    }
    object_class_property_add(oc, "memory", "MemorySizeConfiguration", get_memory, set_memory,
                              NULL, NULL);
    object_class_property_set_description(oc, "memory", "size, max-size and slots, as in -m");
    object_class_property_add(oc, "smp", "SMPConfiguration", get_smp, set_smp, NULL, NULL);
    object_class_property_set_description(oc, "smp", "CPUs and their topology, as in -smp");
}

static const TypeInfo machine_types[] = {
    {
        .name = TYPE_MACHINE,
        .parent = TYPE_OBJECT,
        .abstract = true,
        .class_size = sizeof(MachineClass),
        .class_init = machine_class_init,
        .class_base_init = machine_class_base_init,
        .instance_size = sizeof(MachineState),
        .instance_init = machine_init,
        .instance_finalize = machine_finalize,
    },
};
DEFINE_TYPES(machine_types)
