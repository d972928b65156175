/*
 * HMP commands for how fast the guest writes: measuring it and limiting it.
 *
 * Built into the monitor's library, as hmp-cmds.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qobject.h"

void hmp_calc_dirty_rate(Monitor *mon, const QDict *qdict)
{
    int64_t seconds = qdict_get_int(qdict, "second");
    int64_t sample_pages = qdict_get_try_int(qdict, "sample_pages_per_GB", -1);
    bool ring = qdict_get_try_bool(qdict, "dirty_ring", false);
    bool bitmap = qdict_get_try_bool(qdict, "dirty_bitmap", false);
    Error *err = NULL;

    if (!seconds) {
        monitor_puts(mon, "Incorrect period length specified!\n");
        return;
    }
    if (ring && bitmap) {
        monitor_puts(mon, "Either dirty ring or dirty bitmap can be specified!\n");
        return;
    }
    qmp_calc_dirty_rate(seconds, false, TIME_UNIT_SECOND, sample_pages != -1, sample_pages, true,
                        ring ? DIRTY_RATE_MEASURE_MODE_DIRTY_RING
                             : bitmap ? DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP
                                      : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING, &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "Starting dirty rate measurement with period %" PRId64 " seconds\n",
                   seconds);
    monitor_puts(mon, "[Please use 'info dirty_rate' to check results]\n");
}

void hmp_info_dirty_rate(Monitor *mon, const QDict *qdict)
{
    g_autoptr(DirtyRateInfo) info = qmp_query_dirty_rate(false, TIME_UNIT_SECOND, NULL);

    monitor_printf(mon, "Status: %s\n", DirtyRateStatus_str(info->status));
    monitor_printf(mon, "Start Time: %" PRId64 " (ms)\n", info->start_time);
    if (info->mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        monitor_printf(mon, "Sample Pages: %" PRIu64 " (per GB)\n", info->sample_pages);
    }
    monitor_printf(mon, "Period: %" PRId64 " (sec)\n", info->calc_time);
    monitor_printf(mon, "Mode: %s\n", DirtyRateMeasureMode_str(info->mode));
    if (!info->has_dirty_rate) {
        monitor_puts(mon, "Dirty rate: (not ready)\n");
        return;
    }
    monitor_printf(mon, "Dirty rate: %" PRId64 " (MB/s)\n", info->dirty_rate);
    for (DirtyRateVcpuList *l = info->vcpu_dirty_rate; l; l = l->next) {
        monitor_printf(mon, "vcpu[%" PRId64 "], Dirty rate: %" PRId64 " (MB/s)\n", l->value->id,
                       l->value->dirty_rate);
    }
}

void hmp_set_vcpu_dirty_limit(Monitor *mon, const QDict *qdict)
{
    int64_t rate = qdict_get_int(qdict, "dirty_rate");
    int64_t cpu = qdict_get_try_int(qdict, "cpu_index", -1);
    Error *err = NULL;

    if (rate < 0) {
        error_setg(&err, "invalid dirty page limit %" PRId64, rate);
    } else {
        qmp_set_vcpu_dirty_limit(cpu != -1, cpu, rate, &err);
    }
    hmp_handle_error(mon, err);
}

void hmp_cancel_vcpu_dirty_limit(Monitor *mon, const QDict *qdict)
{
    int64_t cpu = qdict_get_try_int(qdict, "cpu_index", -1);
    Error *err = NULL;

    qmp_cancel_vcpu_dirty_limit(cpu != -1, cpu, &err);
    if (!hmp_handle_error(mon, err)) {
        monitor_puts(mon, "[Please use 'info vcpu_dirty_limit' to query dirty limit for virtual "
                     "CPU]\n");
    }
}

void hmp_info_vcpu_dirty_limit(Monitor *mon, const QDict *qdict)
{
    g_autoptr(DirtyLimitInfoList) list = qmp_query_vcpu_dirty_limit(NULL);

    if (!list) {
        monitor_puts(mon, "Dirty page limit not enabled!\n");
    }
    for (DirtyLimitInfoList *l = list; l; l = l->next) {
        monitor_printf(mon, "vcpu[%" PRId64 "], limit rate %" PRIu64 " (MB/s), current rate %"
                       PRIu64 " (MB/s)\n", l->value->cpu_index, l->value->limit_rate,
                       l->value->current_rate);
    }
}
