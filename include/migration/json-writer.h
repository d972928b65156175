/*
 * Writes a JSON document from the outside in, in the order of the calls: for vmdescriptions and
 * -dump-vmstate.  Names are NULL for the members of an array and for the outermost value.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_JSON_WRITER_H
#define MIGRATION_JSON_WRITER_H

JSONWriter *json_writer_new(bool pretty);
void json_writer_free(JSONWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JSONWriter, json_writer_free)
/* The text of the finished document, valid as long as the writer. */
const char *json_writer_get(JSONWriter *writer);

void json_writer_start_object(JSONWriter *writer, const char *name);
void json_writer_end_object(JSONWriter *writer);
void json_writer_start_array(JSONWriter *writer, const char *name);
void json_writer_end_array(JSONWriter *writer);
void json_writer_bool(JSONWriter *writer, const char *name, bool val);
void json_writer_int64(JSONWriter *writer, const char *name, int64_t val);
void json_writer_uint64(JSONWriter *writer, const char *name, uint64_t val);
void json_writer_str(JSONWriter *writer, const char *name, const char *str);

#endif
