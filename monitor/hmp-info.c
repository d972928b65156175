/*
 * HMP's info commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "hw/loader.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "monitor/hmp.h"
#include "monitor/version-info.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-char.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/qapi-commands-run-state.h"
#include "qemu/cutils.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "qom/object.h"
#include "system/cpus.h"
#include "system/memory.h"
#include "system/ramblock.h"

void hmp_info_status(Monitor *mon, const QDict *qdict)
{
    g_autoptr(StatusInfo) info = qmp_query_status(NULL);

    monitor_printf(mon, "VM status: %s", info->running ? "running" : "paused");
    if (!info->running && info->status != RUN_STATE_PAUSED) {
        monitor_printf(mon, " (%s)", RunState_str(info->status));
    }
    monitor_puts(mon, "\n");
}

void hmp_info_version(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "%s%s\n", QEMU_INTERFACE_VERSION, GODWIT_PACKAGE);
}

void hmp_info_name(Monitor *mon, const QDict *qdict)
{
    g_autoptr(NameInfo) info = qmp_query_name(NULL);

    if (info->name) {
        monitor_printf(mon, "%s\n", info->name);
    }
}

void hmp_info_uuid(Monitor *mon, const QDict *qdict)
{
    g_autoptr(UuidInfo) info = qmp_query_uuid(NULL);

    monitor_printf(mon, "%s\n", info->UUID);
}

void hmp_info_kvm(Monitor *mon, const QDict *qdict)
{
    g_autoptr(KvmInfo) info = qmp_query_kvm(NULL);

    monitor_printf(mon, "kvm support: %s\n", !info->present ? "not compiled"
                   : info->enabled ? "enabled" : "disabled");
}

void hmp_info_cpus(Monitor *mon, const QDict *qdict)
{
    int chosen = monitor_get_cpu_index(mon);
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        monitor_printf(mon, "%c CPU #%d: thread_id=%d\n", cpu->cpu_index == chosen ? '*' : ' ',
                       cpu->cpu_index, cpu->thread_id);
    }
}

static void print_registers(Monitor *mon, CPUState *cpu)
{
    GString *text = g_string_new(NULL);

    cpu_synchronize_state(cpu);
    monitor_printf(mon, "\nCPU#%d\n", cpu->cpu_index);
    if (cpu->cc->dump_state) {
        cpu->cc->dump_state(cpu, text, 0);
    }
    monitor_puts(mon, text->str);
    g_string_free(text, true);
}

void hmp_info_registers(Monitor *mon, const QDict *qdict)
{
    int64_t index = qdict_get_try_int(qdict, "vcpu", -1);
    CPUState *cpu;

    if (qdict_get_try_bool(qdict, "cpustate_all", false)) {
        CPU_FOREACH(cpu) {
            print_registers(mon, cpu);
        }
        return;
    }
    cpu = index >= 0 && index <= INT_MAX ? qemu_get_cpu(index) : monitor_get_cpu(mon);
    if (!cpu) {
        if (index >= 0) {
            monitor_printf(mon, "CPU#%" PRId64 " not available\n", index);
        } else {
            monitor_puts(mon, "No CPU available\n");
        }
        return;
    }
    print_registers(mon, cpu);
}

void hmp_info_chardev(Monitor *mon, const QDict *qdict)
{
    g_autoptr(ChardevInfoList) list = qmp_query_chardev(NULL);

    for (ChardevInfoList *l = list; l; l = l->next) {
        monitor_printf(mon, "%s: filename=%s\n", l->value->label, l->value->filename);
    }
}

void hmp_info_iothreads(Monitor *mon, const QDict *qdict)
{
    g_autoptr(IOThreadInfoList) list = qmp_query_iothreads(NULL);

    for (IOThreadInfoList *l = list; l; l = l->next) {
        monitor_printf(mon, "%s:\n  thread_id=%" PRId64 "\n", l->value->id,
                       l->value->thread_id);
    }
}

void hmp_info_history(Monitor *mon, const QDict *qdict)
{
    ReadLineState *rs = monitor_readline(mon);
    const char *line;

    for (unsigned int i = 0; rs && (line = readline_get_history(rs, i)); i++) {
        monitor_printf(mon, "%u: '%s'\n", i, line);
    }
}

static const char *true_or_false(bool b)
{
    return b ? "true" : "false";
}

void hmp_info_memdev(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(MemdevList) list = qmp_query_memdev(&err);

    for (MemdevList *l = list; l; l = l->next) {
        Memdev *m = l->value;
        const char *separator = "";

        monitor_printf(mon, "memory backend: %s\n", m->id ?: "");
        monitor_printf(mon, "  size:  %" PRIu64 "\n", m->size);
        monitor_printf(mon, "  merge: %s\n", true_or_false(m->merge));
        monitor_printf(mon, "  dump: %s\n", true_or_false(m->dump));
        monitor_printf(mon, "  prealloc: %s\n", true_or_false(m->prealloc));
        monitor_printf(mon, "  share: %s\n", true_or_false(m->share));
        if (m->has_reserve) {
            monitor_printf(mon, "  reserve: %s\n", true_or_false(m->reserve));
        }
        monitor_printf(mon, "  policy: %s\n", HostMemPolicy_str(m->policy));
        monitor_puts(mon, "  host nodes: ");
        for (uint16List *n = m->host_nodes; n; n = n->next) {
            monitor_printf(mon, "%s%u", separator, n->value);
            separator = ", ";
        }
        monitor_puts(mon, "\n");
    }
    monitor_puts(mon, "\n");
    hmp_handle_error(mon, err);
}

void hmp_info_memory_size_summary(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(MemoryInfo) info = qmp_query_memory_size_summary(&err);

    if (info) {
        monitor_printf(mon, "base memory: %" PRIu64 "\n", info->base_memory);
        if (info->has_plugged_memory) {
            monitor_printf(mon, "plugged memory: %" PRIu64 "\n", info->plugged_memory);
        }
    }
    hmp_handle_error(mon, err);
}

void hmp_info_mtree(Monitor *mon, const QDict *qdict)
{
    GString *text = g_string_new(NULL);

    mtree_info(text, qdict_get_try_bool(qdict, "flatview", false),
               qdict_get_try_bool(qdict, "owner", false),
               qdict_get_try_bool(qdict, "disabled", false));
    monitor_puts(mon, text->str);
    g_string_free(text, true);
}

void hmp_info_ramblock(Monitor *mon, const QDict *qdict)
{
    RAMBlock *rb;

    monitor_printf(mon, "%24s %8s  %18s %18s %18s %18s %3s\n", "Block Name", "PSize", "Offset",
                   "Used", "Total", "HVA", "RO");
    RAMBLOCK_FOREACH(rb) {
        g_autofree char *page_size = size_to_str(rb->page_size);

        monitor_printf(mon, "%24s %8s  0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64
                       " 0x%016" PRIx64 " %3s\n", rb->idstr, page_size, (uint64_t)rb->offset,
                       (uint64_t)rb->used_length, (uint64_t)rb->max_length,
                       (uint64_t)(uintptr_t)rb->host, rb->flags & RAM_READONLY ? "ro" : "rw");
    }
}

void hmp_info_roms(Monitor *mon, const QDict *qdict)
{
    GString *text = g_string_new(NULL);

    rom_describe(text);
    monitor_puts(mon, text->str);
    g_string_free(text, true);
}

static void print_device_class(ObjectClass *oc, void *opaque)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    monitor_printf(opaque, "name \"%s\"", object_class_get_name(oc));
    if (dc->bus_type) {
        monitor_printf(opaque, ", bus %s", dc->bus_type);
    }
    monitor_puts(opaque, "\n");
}

void hmp_info_qdm(Monitor *mon, const QDict *qdict)
{
    object_class_foreach(print_device_class, TYPE_DEVICE, false, mon);
}

void hmp_info_trace_events(Monitor *mon, const QDict *qdict)
{
    const char *pattern = qdict_get_try_str(qdict, "name");
    bool any = false;

    for (TraceEvent *ev = trace_event_first(); ev; ev = ev->next) {
        if (!pattern || g_pattern_match_simple(pattern, ev->name)) {
            monitor_printf(mon, "%s : state %d\n", ev->name, qatomic_read(&ev->enabled));
            any = true;
        }
    }
    if (pattern && !any) {
        monitor_printf(mon, "unknown event \"%s\"\n", pattern);
    }
}

/* ---- trees ---- */

static int collect_child(Object *obj, void *opaque)
{
    g_ptr_array_add(opaque, obj);
    return 0;
}

static gint by_component(gconstpointer a, gconstpointer b)
{
    return strcmp(object_get_canonical_path_component(*(Object *const *)a),
                  object_get_canonical_path_component(*(Object *const *)b));
}

static void print_qom_node(Monitor *mon, Object *obj, int indent)
{
    const char *name = obj == object_get_root() ? "" : object_get_canonical_path_component(obj);
    GPtrArray *children = g_ptr_array_new();

    monitor_printf(mon, "%*s/%s (%s)\n", indent, "", name, object_get_typename(obj));
    object_child_foreach(obj, collect_child, children);
    g_ptr_array_sort(children, by_component);
    for (guint i = 0; i < children->len; i++) {
        print_qom_node(mon, g_ptr_array_index(children, i), indent + 2);
    }
    g_ptr_array_free(children, true);
}

void hmp_info_qom_tree(Monitor *mon, const QDict *qdict)
{
    const char *path = qdict_get_try_str(qdict, "path");
    bool ambiguous = false;
    Object *obj = path ? object_resolve_path(path, &ambiguous) : qdev_get_machine();

    if (!obj) {
        monitor_printf(mon, ambiguous ? "Path '%s' is ambiguous.\n"
                       : "Path '%s' could not be resolved.\n", path);
        return;
    }
    print_qom_node(mon, obj, 0);
}

static void print_bus(Monitor *mon, BusState *bus, int indent, bool brief);

static void print_device(Monitor *mon, DeviceState *dev, int indent, bool brief)
{
    BusState *child;

    monitor_printf(mon, "%*sdev: %s, id \"%s\"\n", indent, "",
                   object_get_typename(OBJECT(dev)), dev->id ?: "");
    indent += 2;
    for (ObjectClass *oc = object_get_class(OBJECT(dev)); oc && !brief;
         oc = object_class_get_parent(oc)) {
        DeviceClass *dc;

        if (!object_class_dynamic_cast(oc, TYPE_DEVICE)) {
            break;
        }
        dc = DEVICE_CLASS(oc);
        for (uint16_t i = 0; i < dc->props_count_; i++) {
            const char *name = dc->props_[i].name;
            g_autofree char *value = object_property_print(OBJECT(dev), name, true, NULL);

            monitor_printf(mon, "%*s%s = %s\n", indent, "", name, value ?: "<none>");
        }
    }
    QLIST_FOREACH(child, &dev->child_bus, sibling) {
        print_bus(mon, child, indent, brief);
    }
}

static void print_bus(Monitor *mon, BusState *bus, int indent, bool brief)
{
    BusChild *kid;

    monitor_printf(mon, "%*sbus: %s\n", indent, "", bus->name);
    indent += 2;
    monitor_printf(mon, "%*stype %s\n", indent, "", object_get_typename(OBJECT(bus)));
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        print_device(mon, kid->child, indent, brief);
    }
}

void hmp_info_qtree(Monitor *mon, const QDict *qdict)
{
    print_bus(mon, sysbus_get_default(), 0, qdict_get_try_bool(qdict, "brief", false));
}
