/*
 * -dump-vmstate: the state of every device type, as JSON on which two versions can be compared.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/qdev-core.h"
#include "migration/json-writer.h"
#include "migration/vmstate-dump.h"
#include "qom/object.h"

static void dump_device_class(gpointer data, gpointer opaque)
{
    DeviceClass *dc = DEVICE_CLASS(data);
    const char *type = object_class_get_name(OBJECT_CLASS(dc));
    JSONWriter *w = opaque;

    if (!dc->vmsd) {
        return;
    }
    json_writer_start_object(w, type);
    json_writer_str(w, "Name", type);
    json_writer_int64(w, "version_id", dc->vmsd->version_id);
    json_writer_int64(w, "minimum_version_id", dc->vmsd->minimum_version_id);
    vmstate_dump_description(w, "Description", dc->vmsd);
    json_writer_end_object(w);
}

void dump_vmstate_json_to_file(FILE *out)
{
    g_autoptr(JSONWriter) w = json_writer_new(true);
    GSList *types = object_class_get_list_sorted(TYPE_DEVICE, true);

    json_writer_start_object(w, NULL);
    json_writer_start_object(w, "vmschkmachine");
    json_writer_str(w, "Name", current_machine
                                   ? MACHINE_GET_CLASS(current_machine)->name : "none");
    json_writer_end_object(w);
    g_slist_foreach(types, dump_device_class, w);
    json_writer_end_object(w);
    fprintf(out, "%s\n", json_writer_get(w));
    g_slist_free(types);
}
