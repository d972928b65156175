/*
 * HMP's commands about drives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands-block-core.h"
#include "qapi/qobject.h"
#include "qemu/cutils.h"

static void print_image(Monitor *mon, const ImageInfo *image)
{
    g_autofree char *size = size_to_str(image->virtual_size);

    monitor_printf(mon, "\nImages:\nimage: %s\nfile format: %s\n", image->filename,
                   image->format);
    monitor_printf(mon, "virtual size: %s (%" PRId64 " bytes)\n", size, image->virtual_size);
    if (image->has_actual_size) {
        g_autofree char *actual = size_to_str(image->actual_size);

        monitor_printf(mon, "disk size: %s\n", actual);
    }
}

/* @info NULL: the image alone. */
static void print_drive(Monitor *mon, const BlockInfo *info, const BlockDeviceInfo *image,
                        bool verbose)
{
    if (info) {
        monitor_printf(mon, "%s (%s): ", info->device, image->node_name);
    } else {
        monitor_printf(mon, "%s: ", image->node_name);
    }
    monitor_printf(mon, "%s (%s%s)\n", image->file, image->drv, image->ro ? ", read-only" : "");
    if (info && info->qdev) {
        monitor_printf(mon, "    Attached to:      %s\n", info->qdev);
    }
    if (info && info->removable) {
        monitor_printf(mon, "    Removable device: %slocked, tray closed\n",
                       info->locked ? "" : "not ");
    }
    monitor_printf(mon, "    Cache mode:       %s%s%s\n",
                   image->cache->writeback ? "writeback" : "writethrough",
                   image->cache->direct ? ", direct" : "",
                   image->cache->no_flush ? ", ignore flushes" : "");
    if (verbose) {
        print_image(mon, image->image);
    }
}

static void print_nodes(Monitor *mon, bool verbose)
{
    BlockDeviceInfoList *list = qmp_query_named_block_nodes(false, false, NULL);

    for (BlockDeviceInfoList *l = list; l; l = l->next) {
        print_drive(mon, NULL, l->value, verbose);
        monitor_puts(mon, l->next ? "\n" : "");
    }
    qapi_free_BlockDeviceInfoList(list);
}

void hmp_info_block(Monitor *mon, const QDict *qdict)
{
    const char *device = qdict_get_try_str(qdict, "device");
    bool verbose = qdict_get_try_bool(qdict, "verbose", false);
    BlockInfoList *list;
    bool printed = false;

    if (qdict_get_try_bool(qdict, "nodes", false)) {
        print_nodes(mon, verbose);
        return;
    }
    list = qmp_query_block(NULL);

    for (BlockInfoList *l = list; l; l = l->next) {
        if (device && !g_str_equal(device, l->value->device)) {
            continue;
        }
        if (printed) {
            monitor_puts(mon, "\n");
        }
        print_drive(mon, l->value, l->value->inserted, verbose);
        printed = true;
    }
    if (device && !printed) {
        monitor_printf(mon, "Device '%s' not found\n", device);
    }
    qapi_free_BlockInfoList(list);
}

void hmp_info_blockstats(Monitor *mon, const QDict *qdict)
{
    BlockStatsList *list = qmp_query_blockstats(false, false, NULL);

    for (BlockStatsList *l = list; l; l = l->next) {
        const BlockDeviceStats *s = l->value->stats;

        monitor_printf(mon, "%s: rd_bytes=%" PRId64 " wr_bytes=%" PRId64 " rd_operations=%" PRId64
                       " wr_operations=%" PRId64 " flush_operations=%" PRId64 "\n",
                       l->value->device, s->rd_bytes, s->wr_bytes, s->rd_operations,
                       s->wr_operations, s->flush_operations);
    }
    qapi_free_BlockStatsList(list);
}
