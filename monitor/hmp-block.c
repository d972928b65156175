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

static void print_drive(Monitor *mon, const BlockInfo *info, bool verbose)
{
    const BlockDeviceInfo *image = info->inserted;

    monitor_printf(mon, "%s (%s): %s (%s%s)\n", info->device, image->node_name, image->file,
                   image->drv, image->ro ? ", read-only" : "");
    if (info->qdev) {
        monitor_printf(mon, "    Attached to:      %s\n", info->qdev);
    }
    if (info->removable) {
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

void hmp_info_block(Monitor *mon, const QDict *qdict)
{
    const char *device = qdict_get_try_str(qdict, "device");
    BlockInfoList *list = qmp_query_block(NULL);
    bool printed = false;

    for (BlockInfoList *l = list; l; l = l->next) {
        if (device && !g_str_equal(device, l->value->device)) {
            continue;
        }
        if (printed) {
            monitor_puts(mon, "\n");
        }
        print_drive(mon, l->value, qdict_get_try_bool(qdict, "verbose", false));
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
