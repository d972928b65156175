/*
 * -dump-vmstate: a VMStateDescription as JSON, for comparing two versions of a program.  The list
 * of device types is the floor above's (hw/core/vmstate-dump.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/json-writer.h"
#include "migration/vmstate-dump.h"

static void dump_field(JSONWriter *w, const VMStateField *field)
{
    json_writer_start_object(w, NULL);
    json_writer_str(w, "field", field->name ? field->name : "");
    json_writer_int64(w, "version_id", field->version_id);
    json_writer_bool(w, "field_exists", field->field_exists != NULL);
    if (field->flags & VMS_ARRAY) {
        json_writer_int64(w, "num", field->num);
    }
    json_writer_int64(w, "size", field->size);
    if (field->vmsd) {
        vmstate_dump_description(w, "Description", field->vmsd);
    }
    json_writer_end_object(w);
}

void vmstate_dump_description(JSONWriter *w, const char *name, const VMStateDescription *vmsd)
{
    json_writer_start_object(w, name);
    json_writer_str(w, "name", vmsd->name);
    json_writer_int64(w, "version_id", vmsd->version_id);
    json_writer_int64(w, "minimum_version_id", vmsd->minimum_version_id);
    if (vmsd->fields) {
        json_writer_start_array(w, "Fields");
        for (const VMStateField *field = vmsd->fields; field->flags != VMS_END; field++) {
            if (!(field->flags & VMS_MUST_EXIST)) { /* a check, not data */
                dump_field(w, field);
            }
        }
        json_writer_end_array(w);
    }
    if (vmsd->subsections) {
        json_writer_start_array(w, "Subsections");
        for (const VMStateDescription *const *sub = vmsd->subsections; *sub; sub++) {
            vmstate_dump_description(w, NULL, *sub);
        }
        json_writer_end_array(w);
    }
    json_writer_end_object(w);
}
