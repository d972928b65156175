/*
 * HMP commands on the machine and what it is made of; most say it in QMP's words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "monitor/hmp.h"
#include "monitor/qdev.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-block-core.h"
#include "qapi/qapi-commands-machine.h"
#include "qapi/qapi-commands-net.h"
#include "qapi/qapi-commands-qdev.h"
#include "qapi/qapi-commands-run-state.h"
#include "qapi/qapi-commands-ui.h"
#include "qemu/log.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/memory.h"
#include "system/ramblock.h"

/* ---- what happens to the machine ---- */

void hmp_nmi(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_inject_nmi(&err);
    hmp_handle_error(mon, err);
}

void hmp_watchdog_action(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    int action = qapi_enum_parse(&WatchdogAction_lookup, qdict_get_str(qdict, "action"), -1, &err);

    if (!err) {
        qmp_watchdog_set_action(action, &err);
    }
    hmp_handle_error(mon, err);
}

void watchdog_action_completion(ReadLineState *rs, int nb_args, const char *str)
{
    readline_set_completion_index(rs, strlen(str));
    for (int i = 0; nb_args == 2 && i < WATCHDOG_ACTION__MAX; i++) {
        readline_add_completion_of(rs, str, WatchdogAction_str(i));
    }
}

void hmp_boot_set(Monitor *mon, const QDict *qdict)
{
    monitor_puts(mon, "no function defined to set boot device list for this architecture\n");
}

void hmp_announce_self(Monitor *mon, const QDict *qdict)
{
    const char *interfaces = qdict_get_try_str(qdict, "interfaces");
    AnnounceParameters *params = g_new0(AnnounceParameters, 1);
    g_auto(GStrv) names = interfaces ? g_strsplit(interfaces, ",", -1) : NULL;
    Error *err = NULL;

    params->initial = 50;
    params->max = 550;
    params->rounds = 5;
    params->step = 100;
    params->id = g_strdup(qdict_get_try_str(qdict, "id"));
    for (char **name = names; name && *name; name++) {
        QAPI_LIST_PREPEND(params->interfaces, g_strdup(*name));
        params->has_interfaces = true;
    }
    qmp_announce_self(params, &err);
    qapi_free_AnnounceParameters(params);
    hmp_handle_error(mon, err);
}

void hmp_client_migrate_info(Monitor *mon, const QDict *qdict)
{
    int64_t port = qdict_get_try_int(qdict, "port", -1);
    int64_t tls_port = qdict_get_try_int(qdict, "tls-port", -1);
    Error *err = NULL;

    qmp_client_migrate_info(qdict_get_str(qdict, "protocol"), qdict_get_str(qdict, "hostname"),
                            port >= 0, port, tls_port >= 0, tls_port,
                            qdict_get_try_str(qdict, "cert-subject"), &err);
    hmp_handle_error(mon, err);
}

/* ---- devices ---- */

void hmp_device_add(Monitor *mon, const QDict *qdict)
{
    const char *text = qdict_get_try_str(qdict, "device") ?: "";
    Error *err = NULL;

    qdev_add_from_text(text, &err);
    hmp_handle_error(mon, err);
}

void hmp_device_del(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_device_del(qdict_get_str(qdict, "id"), &err);
    hmp_handle_error(mon, err);
}

/* ---- addresses ---- */

/* Where guest-physical @addr is in this program; NULL with a message if it is no memory. */
static void *host_address(Monitor *mon, hwaddr addr, const char **name)
{
    MemoryRegionSection section = memory_region_find(get_system_memory(), addr, 1);
    RAMBlock *rb;

    if (!section.mr) {
        monitor_printf(mon, "No memory is mapped at address 0x%" PRIx64 "\n", addr);
        return NULL;
    }
    rb = section.mr->ram_block;
    if (!rb) {
        monitor_printf(mon, "Memory at address 0x%" PRIx64 " is not RAM\n", addr);
    } else {
        *name = section.mr->name;
    }
    memory_region_unref(section.mr);
    return rb ? rb->host + section.offset_within_region : NULL;
}

void hmp_gpa2hva(Monitor *mon, const QDict *qdict)
{
    hwaddr addr = qdict_get_int(qdict, "addr");
    const char *name;
    void *host = host_address(mon, addr, &name);

    if (host) {
        monitor_printf(mon, "Host virtual address for 0x%" PRIx64 " (%s) is %p\n", addr, name,
                       host);
    }
}

void hmp_gpa2hpa(Monitor *mon, const QDict *qdict)
{
    hwaddr addr = qdict_get_int(qdict, "addr");
    size_t page = qemu_real_host_page_size();
    const char *name;
    char *host = host_address(mon, addr, &name);
    uint64_t entry = 0;
    int fd;

    if (!host) {
        return;
    }
    (void)*(volatile char *)host; /* so that there is a page */
    fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0 ||
        pread(fd, &entry, sizeof(entry), (uintptr_t)host / page * sizeof(entry)) != sizeof(entry)) {
        monitor_printf(mon, "Error: Cannot read pagemap: %s\n", strerror(errno));
    } else if (!(entry >> 63)) {
        monitor_puts(mon, "Error: Page not present\n");
    } else if (!(entry & ((UINT64_C(1) << 55) - 1))) {
        monitor_puts(mon, "Error: the kernel does not tell this program where pages are\n");
    } else {
        monitor_printf(mon, "Host physical address for 0x%" PRIx64 " (%s) is 0x%" PRIx64 "\n",
                       addr, name, (entry & ((UINT64_C(1) << 55) - 1)) * page +
                       (uintptr_t)host % page);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void hmp_gva2gpa(Monitor *mon, const QDict *qdict)
{
    uint64_t addr = qdict_get_int(qdict, "addr");
    CPUState *cs = monitor_get_cpu(mon);
    hwaddr page = HWADDR_MAX;

    if (!cs) {
        monitor_puts(mon, "No cpu\n");
        return;
    }
    cpu_synchronize_state(cs);
    if (cs->cc->get_phys_page_debug) {
        page = cs->cc->get_phys_page_debug(cs, addr & ~UINT64_C(4095));
    }
    if (page == HWADDR_MAX) {
        monitor_puts(mon, "Unmapped\n");
    } else {
        monitor_printf(mon, "gpa: %#" PRIx64 "\n", page + (addr & 4095));
    }
}

/* ---- the log ---- */

void hmp_log(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    int mask;

    if (qemu_str_to_log_mask(qdict_get_str(qdict, "items"), &mask, &err)) {
        qemu_set_log(mask);
    }
    hmp_handle_error(mon, err);
}

/* ---- CPUs, disks ---- */

void hmp_info_hotpluggable_cpus(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    HotpluggableCPUList *list = qmp_query_hotpluggable_cpus(&err);

    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_puts(mon, "Hotpluggable CPUs:\n");
    for (HotpluggableCPUList *l = list; l; l = l->next) {
        const CpuInstanceProperties *p = l->value->props;

        monitor_printf(mon, "  type: \"%s\"\n  vcpus_count: \"%" PRIu64 "\"\n", l->value->type,
                       (uint64_t)l->value->vcpus_count);
        if (l->value->qom_path) {
            monitor_printf(mon, "  qom_path: \"%s\"\n", l->value->qom_path);
        }
        monitor_puts(mon, "  CPUInstance Properties:\n");
#define PROP(text, member) if (p->has_##member) {                                        \
            monitor_printf(mon, "    " text ": \"%" PRIu64 "\"\n", (uint64_t)p->member); \
        }
        PROP("node-id", node_id);
        PROP("socket-id", socket_id);
        PROP("die-id", die_id);
        PROP("core-id", core_id);
        PROP("thread-id", thread_id);
#undef PROP
    }
    qapi_free_HotpluggableCPUList(list);
}
