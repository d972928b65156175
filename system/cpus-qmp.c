/*
 * QMP about virtual CPUs and what they see of memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-commands-machine.h"
#include "system/address-spaces.h"
#include "system/cpus.h"

/* How much is copied at a time. */
#define CHUNK 65536

CpuInfoFastList *qmp_query_cpus_fast(Error **errp)
{
    CpuInfoFastList *list = NULL, **tail = &list;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        CpuInfoFast *info = g_new0(CpuInfoFast, 1);

        info->cpu_index = cpu->cpu_index;
        info->qom_path = object_get_canonical_path(OBJECT(cpu));
        info->thread_id = cpu->thread_id;
        info->target = SYS_EMU_TARGET_X86_64;
        if (cpu->cc->get_props) {
            info->props = cpu->cc->get_props(cpu);
        }
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static bool write_out(FILE *f, const void *buf, size_t len, const char *filename, Error **errp)
{
    if (fwrite(buf, 1, len, f) != len) {
        error_setg_errno(errp, errno, "writing memory to '%s' failed", filename);
        return false;
    }
    return true;
}

static FILE *open_out(const char *filename, Error **errp)
{
    FILE *f = fopen(filename, "wbe");

    if (!f) {
        error_setg_file_open(errp, errno, filename);
    }
    return f;
}

static void close_out(FILE *f, const char *filename, Error **errp)
{
    if (fclose(f) && errp && !*errp) {
        error_setg_errno(errp, errno, "writing memory to '%s' failed", filename);
    }
}

void qmp_memsave(uint64_t addr, uint64_t size, const char *filename, bool has_cpu_index,
                 int64_t cpu_index, Error **errp)
{
    ERRP_GUARD();
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    CPUState *cpu = qemu_get_cpu(has_cpu_index ? cpu_index : 0);
    FILE *f;

    if (!cpu) {
        error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
        return;
    }
    if (!cpu->cc->get_phys_page_debug) {
        error_setg(errp, "this CPU's address translation is not known");
        return;
    }
    f = open_out(filename, errp);
    if (!f) {
        return;
    }
    cpu_synchronize_state(cpu);
    while (size > 0) {
        uint64_t in_page = addr & ~TARGET_PAGE_MASK;
        size_t n = MIN(size, TARGET_PAGE_SIZE - in_page);
        hwaddr phys = cpu->cc->get_phys_page_debug(cpu, addr & TARGET_PAGE_MASK);

        if (phys == HWADDR_MAX) {
            error_setg(errp, "Invalid addr 0x%016" PRIx64 "/size %" PRIu64 " specified",
                       addr, size);
            break;
        }
        address_space_read(cpu->as, phys + in_page, MEMTXATTRS_UNSPECIFIED, buf, n);
        if (!write_out(f, buf, n, filename, errp)) {
            break;
        }
        addr += n;
        size -= n;
    }
    close_out(f, filename, errp);
}

void qmp_pmemsave(uint64_t addr, uint64_t size, const char *filename, Error **errp)
{
    ERRP_GUARD();
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    FILE *f = open_out(filename, errp);

    if (!f) {
        return;
    }
    while (size > 0) {
        size_t n = MIN(size, CHUNK);

        cpu_physical_memory_read(addr, buf, n);
        if (!write_out(f, buf, n, filename, errp)) {
            break;
        }
        addr += n;
        size -= n;
    }
    close_out(f, filename, errp);
}
