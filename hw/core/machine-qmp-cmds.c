/*
 * QMP commands that ask what machines there are, and about this one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/acpi/acpi_dev_interface.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-acpi.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-visit-machine.h"
#include "qapi/util.h"
#include "qemu/uuid.h"
#include "qom/object.h"
#include "system/hostmem.h"
#include "system/runstate.h"

static CompatPropertyList *list_compat_props(const MachineClass *mc)
{
    CompatPropertyList *list = NULL;

    for (guint i = 0; mc->compat_props && i < mc->compat_props->len; i++) {
        const GlobalProperty *global = g_ptr_array_index(mc->compat_props, i);
        CompatProperty *prop = g_new0(CompatProperty, 1);

        prop->qom_type = g_strdup(global->driver);
        prop->property = g_strdup(global->property);
        prop->value = g_strdup(global->value);
        QAPI_LIST_PREPEND(list, prop);
    }
    return list;
}

static MachineInfo *describe_machine(MachineClass *mc, bool with_compat_props)
{
    MachineInfo *info = g_new0(MachineInfo, 1);
    const char *cpu_type = machine_class_default_cpu_type(mc);

    info->name = g_strdup(mc->name);
    info->alias = g_strdup(mc->alias);
    info->has_is_default = info->is_default = mc->is_default;
    info->cpu_max = mc->max_cpus ?: 1;
    info->hotpluggable_cpus = mc->has_hotpluggable_cpus;
    info->numa_mem_supported = mc->numa_mem_supported;
    info->deprecated = mc->deprecation_reason != NULL;
    info->acpi = object_class_property_find(OBJECT_CLASS(mc), "acpi") != NULL;
    info->default_cpu_type = g_strdup(cpu_type);
    info->default_ram_id = g_strdup(mc->default_ram_id);
    if (with_compat_props) {
        info->has_compat_props = true;
        info->compat_props = list_compat_props(mc);
    }
    return info;
}

MachineInfoList *qmp_query_machines(bool has_compat_props, bool compat_props, Error **errp)
{
    MachineInfoList *list = NULL;
    GSList *machines = object_class_get_list(TYPE_MACHINE, false);

    for (GSList *l = machines; l; l = l->next) {
        QAPI_LIST_PREPEND(list, describe_machine(MACHINE_CLASS(l->data),
                                                 has_compat_props && compat_props));
    }
    g_slist_free(machines);
    return list;
}

static int add_memdev(Object *obj, void *opaque)
{
    MemdevList **list = opaque;
    HostMemoryBackend *backend = (HostMemoryBackend *)object_dynamic_cast(obj,
                                                                          TYPE_MEMORY_BACKEND);
    Memdev *m;

    if (!backend) {
        return 0;
    }
    m = g_new0(Memdev, 1);
    m->id = g_strdup(object_get_canonical_path_component(obj));
    m->size = backend->size;
    m->merge = backend->merge;
    m->dump = backend->dump;
    m->prealloc = backend->prealloc;
    m->share = backend->share;
    m->has_reserve = true;
    m->reserve = backend->reserve;
    m->policy = HOST_MEM_POLICY_DEFAULT;
    QAPI_LIST_PREPEND(*list, m);
    return 0;
}

MemdevList *qmp_query_memdev(Error **errp)
{
    MemdevList *list = NULL;

    object_child_foreach(object_get_objects_root(), add_memdev, &list);
    return list;
}

MemoryInfo *qmp_query_memory_size_summary(Error **errp)
{
    MemoryInfo *info = g_new0(MemoryInfo, 1);

    info->base_memory = current_machine->ram_size;
    info->has_plugged_memory = true;    /* nothing here can be plugged yet */
    return info;
}

UuidInfo *qmp_query_uuid(Error **errp)
{
    UuidInfo *info = g_new0(UuidInfo, 1);

    info->UUID = qemu_uuid_unparse_strdup(&qemu_uuid);
    return info;
}

CurrentMachineParams *qmp_query_current_machine(Error **errp)
{
    CurrentMachineParams *params = g_new0(CurrentMachineParams, 1);

    params->wakeup_suspend_support = qemu_wakeup_suspend_enabled();
    return params;
}

HotpluggableCPUList *qmp_query_hotpluggable_cpus(Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);
    HotpluggableCPUList *list = NULL;
    const CPUArchIdList *places;

    if (!mc->has_hotpluggable_cpus || !mc->possible_cpu_arch_ids) {
        error_setg(errp, "machine does not support hot-plugging CPUs");
        return NULL;
    }
    places = mc->possible_cpu_arch_ids(current_machine);
    for (int i = 0; i < places->len; i++) {
        const CPUArchId *place = &places->cpus[i];
        HotpluggableCPU *info = g_new0(HotpluggableCPU, 1);

        info->type = g_strdup(place->type ?: current_machine->cpu_type);
        info->vcpus_count = place->vcpus_count;
        info->props = QAPI_CLONE(CpuInstanceProperties, &place->props);
        if (place->cpu) {
            info->qom_path = object_get_canonical_path(OBJECT(place->cpu));
        }
        QAPI_LIST_PREPEND(list, info);
    }
    return list;
}

ACPIOSTInfoList *qmp_query_acpi_ospm_status(Error **errp)
{
    bool ambiguous = false;

    if (!object_resolve_path_type("", TYPE_ACPI_DEVICE_IF, &ambiguous) && !ambiguous) {
        error_setg(errp, "command is not supported, missing ACPI device");
    }
    return NULL;
}

void qmp_inject_nmi(Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);

    if (!mc->inject_nmi) {
        error_setg(errp, "machine does not provide NMIs");
        return;
    }
    mc->inject_nmi(current_machine);
}
