/*
 * The VMState engine: saves, loads and describes structs by their VMStateDescription.
 *
 * Saving and loading walk the fields with the same helpers for count, size and address, so that the
 * two cannot drift apart.  The description (vmdesc) is written while saving: it holds the sizes
 * that were really put.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/json-writer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/trace.h"
#include "savevm.h"

TRACE_EVENT(vmstate_load_state);
TRACE_EVENT(vmstate_save_state);

/* The most that a length in the stream may make us allocate for one field. */
#define VMSTATE_ALLOC_MAX (256u * 1024 * 1024)

static bool field_exists(const VMStateField *field, void *opaque, int version_id)
{
    return field->field_exists ? field->field_exists(opaque, version_id)
                               : field->version_id <= version_id;
}

/* How many elements the field has now (a counter in the struct may say). */
static uint64_t field_count(const VMStateField *field, void *opaque)
{
    const uint8_t *counter = (uint8_t *)opaque + field->num_offset;
    uint64_t n = 1;

    if (field->flags & VMS_ARRAY) {
        return field->num;
    } else if (field->flags & VMS_VARRAY_INT32) {
        n = MAX(*(int32_t *)counter, 0);
    } else if (field->flags & VMS_VARRAY_UINT32) {
        n = *(uint32_t *)counter;
    } else if (field->flags & VMS_VARRAY_UINT16) {
        n = *(uint16_t *)counter;
    } else if (field->flags & VMS_VARRAY_UINT8) {
        n = *counter;
    }
    if (field->flags & VMS_MULTIPLY_ELEMENTS) {
        n *= field->num;
    }
    return n;
}

/* Bytes of one element. */
static uint64_t field_size(const VMStateField *field, void *opaque)
{
    uint64_t size = field->size;

    if (field->flags & VMS_VBUFFER) {
        size = MAX(*(int32_t *)((uint8_t *)opaque + field->size_offset), 0);
        if (field->flags & VMS_MULTIPLY) {
            size *= field->size;
        }
    }
    return size;
}

/* Where the first element lies: in the struct, or behind the pointer there. */
static uint8_t *field_base(const VMStateField *field, void *opaque)
{
    uint8_t *base = (uint8_t *)opaque + field->offset;

    return field->flags & VMS_POINTER ? *(uint8_t **)base : base;
}

static uint8_t *field_element(const VMStateField *field, uint8_t *base, uint64_t i, uint64_t size)
{
    uint8_t *elem = base + i * size;

    return field->flags & VMS_ARRAY_OF_POINTER ? *(uint8_t **)(base + i * sizeof(void *)) : elem;
}

/* Loading: allocate what a VMS_ALLOC pointer will point at. */
static int field_alloc(const VMStateField *field, void *opaque, Error **errp)
{
    uint64_t n = field_count(field, opaque), size = field_size(field, opaque), bytes;
    void **slot = (void **)((uint8_t *)opaque + field->offset);

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > VMSTATE_ALLOC_MAX) {
        error_setg(errp, "%" PRIu64 " elements of %" PRIu64 " bytes are more than the %u bytes "
                   "that a field may have", n, size, VMSTATE_ALLOC_MAX);
        return -EINVAL;
    }
    g_free(*slot);
    *slot = NULL;
    if (bytes) {
        *slot = g_try_malloc0(bytes);
        if (!*slot) {
            error_setg(errp, "no memory for %" PRIu64 " bytes", bytes);
            return -ENOMEM;
        }
    }
    return 0;
}

static const VMStateDescription *find_subsection(const VMStateDescription *vmsd, const char *name)
{
    for (const VMStateDescription *const *sub = vmsd->subsections; sub && *sub; sub++) {
        if (g_str_equal((*sub)->name, name)) {
            return *sub;
        }
    }
    return NULL;
}

/* A reason that a field's get or a callback left in the file, or a general one. */
static void take_reason(QEMUFile *f, int ret, Error **errp, const char *what)
{
    Error *reason = NULL;

    if (errp && !*errp) {
        if (qemu_file_get_error_obj(f, &reason)) {
            error_propagate(errp, reason);
        } else {
            error_setg(errp, "%s: %s", what, g_strerror(-ret));
        }
    }
}

static int load_subsections(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                            Error **errp)
{
    while (qemu_peek_byte(f, 0) == QEMU_VM_SUBSECTION) {
        size_t prefix = strlen(vmsd->name);
        const VMStateDescription *sub;
        char name[256];
        uint8_t *text;
        size_t len = qemu_peek_byte(f, 1);
        int version, ret;

        /*
         * Only what begins with our name is ours: the rest is our parent's. A slash follows in all
         * but a few old names ("apic_sipi").
         */
        if (len < prefix + 1 || qemu_peek_buffer(f, &text, len, 2) != len ||
            memcmp(text, vmsd->name, prefix)) {
            return 0;
        }
        memcpy(name, text, len);
        name[len] = 0;
        sub = find_subsection(vmsd, name);
        if (!sub && name[prefix] != '/') {
            return 0;
        }
        if (!sub) {
            error_setg(errp, "unknown subsection '%s'", name);
            return -ENOENT;
        }
        qemu_file_skip(f, 2 + len);
        version = qemu_get_be32(f);
        ret = vmstate_load_state_err(f, sub, opaque, version, errp);
        if (ret) {
            return ret;
        }
    }
    return 0;
}

static int load_element(QEMUFile *f, const VMStateField *field, uint8_t *elem, uint64_t size,
                        Error **errp)
{
    if (!elem && (field->flags & VMS_ARRAY_OF_POINTER)) {
        return vmstate_info_nullptr.get(f, NULL, 1, NULL);
    }
    if (field->flags & VMS_STRUCT) {
        return vmstate_load_state_err(f, field->vmsd, elem, field->vmsd->version_id, errp);
    }
    if (field->flags & VMS_VSTRUCT) {
        return vmstate_load_state_err(f, field->vmsd, elem, field->struct_version_id, errp);
    }
    return field->info->get(f, elem, size, field);
}

static int load_field(QEMUFile *f, const VMStateField *field, void *opaque, Error **errp)
{
    uint64_t n, size;
    uint8_t *base;
    int ret;

    if (field->flags & VMS_ALLOC) {
        ret = field_alloc(field, opaque, errp);
        if (ret) {
            return ret;
        }
    }
    n = field_count(field, opaque);
    size = field_size(field, opaque);
    base = field_base(field, opaque);
    if (!base && n && size && (field->flags & VMS_POINTER)) {
        error_setg(errp, "there is nothing here to load it into");
        return -EINVAL;
    }
    for (uint64_t i = 0; i < n; i++) {
        ret = load_element(f, field, field_element(field, base, i, size), size, errp);
        if (ret >= 0) {
            ret = qemu_file_get_error(f);
        }
        if (ret < 0) {
            take_reason(f, ret, errp, "loading failed");
            if (n > 1) {
                error_prepend(errp, "element %" PRIu64 ": ", i);
            }
            return ret;
        }
    }
    return 0;
}

int vmstate_load_state_err(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                           int version_id, Error **errp)
{
    ERRP_GUARD();
    int ret;

    trace(vmstate_load_state, "%s v%d", vmsd->name, version_id);
    if (version_id > vmsd->version_id) {
        error_setg(errp, "%s: incoming version_id %d is too new for local version_id %d",
                   vmsd->name, version_id, vmsd->version_id);
        return -EINVAL;
    }
    if (version_id < vmsd->minimum_version_id) {
        error_setg(errp, "%s: incoming version_id %d is too old for local minimum version_id %d",
                   vmsd->name, version_id, vmsd->minimum_version_id);
        return -EINVAL;
    }
    if (vmsd->pre_load) {
        ret = vmsd->pre_load(opaque);
        if (ret) {
            take_reason(f, ret, errp, "pre_load failed");
            error_prepend(errp, "%s: ", vmsd->name);
            return ret;
        }
    }
    for (const VMStateField *field = vmsd->fields; field && field->flags != VMS_END; field++) {
        if (field_exists(field, opaque, version_id)) {
            ret = load_field(f, field, opaque, errp);
            if (ret < 0) {
                qemu_file_set_error(f, ret);
                error_prepend(errp, "%s.%s: ", vmsd->name, field->name);
                if (field->err_hint) {
                    error_append_hint(errp, "%s\n", field->err_hint);
                }
                return ret;
            }
        } else if (field->flags & VMS_MUST_EXIST) {
            error_setg(errp, "%s: input validation failed: %s", vmsd->name, field->name);
            return -EINVAL;
        }
    }
    ret = load_subsections(f, vmsd, opaque, errp);
    if (ret) {
        qemu_file_set_error(f, ret);
        error_prepend(errp, "%s: ", vmsd->name);
        return ret;
    }
    if (vmsd->post_load) {
        ret = vmsd->post_load(opaque, version_id);
        if (ret < 0) {
            take_reason(f, ret, errp, "post_load refused the state");
            error_prepend(errp, "%s: ", vmsd->name);
            return ret;
        }
    }
    ret = qemu_file_get_error(f);
    if (ret) {
        take_reason(f, ret, errp, "the stream failed");
        error_prepend(errp, "%s: ", vmsd->name);
    }
    return ret;
}

int vmstate_load_state(QEMUFile *f, const VMStateDescription *vmsd, void *opaque, int version_id)
{
    Error *err = NULL;
    int ret = vmstate_load_state_err(f, vmsd, opaque, version_id, &err);

    if (err) {
        qemu_file_set_error_obj(f, ret, err);
    }
    return ret;
}

/* Saving */

static bool struct_is_uniform(const VMStateDescription *vmsd);

/* Whether every element of an array has the same shape, so that one description serves all. */
static bool field_is_uniform(const VMStateField *field)
{
    if (field->flags & VMS_ARRAY_OF_POINTER) {
        return false;
    }
    if (field->vmsd) {
        return struct_is_uniform(field->vmsd);
    }
    return true;
}

static bool struct_is_uniform(const VMStateDescription *vmsd)
{
    for (const VMStateField *field = vmsd->fields; field && field->flags != VMS_END; field++) {
        if (field->field_exists || !field_is_uniform(field)) {
            return false;
        }
    }
    return !vmsd->subsections;
}

static const char *field_type_name(const VMStateField *field)
{
    if (field->flags & VMS_STRUCT) {
        return "struct";
    }
    if (field->flags & VMS_VSTRUCT) {
        return "vstruct";
    }
    return field->info && field->info->name ? field->info->name : "unknown";
}

/*
 * What the description calls a field. Names that several fields of a structure share are numbered,
 * so that readers can keep them in a dictionary.
 */
static char *desc_field_name(const VMStateDescription *vmsd, const VMStateField *field)
{
    unsigned same = 0, before = 0;

    for (const VMStateField *other = vmsd->fields; other->flags != VMS_END; other++) {
        if (g_str_equal(other->name, field->name)) {
            before += other < field;
            same++;
        }
    }
    return same > 1 ? g_strdup_printf("%s[%u]", field->name, before) : g_strdup(field->name);
}

static void desc_field_start(JSONWriter *vmdesc, const VMStateField *field, const char *type,
                             uint64_t i, uint64_t n)
{
    json_writer_start_object(vmdesc, NULL);
    json_writer_str(vmdesc, "name", field->name);
    if (n > 1) {
        if (field_is_uniform(field)) {
            json_writer_int64(vmdesc, "array_len", n);
        } else {
            json_writer_int64(vmdesc, "index", i);
        }
    }
    json_writer_str(vmdesc, "type", type);
    if (field->flags & (VMS_STRUCT | VMS_VSTRUCT)) {
        json_writer_start_object(vmdesc, "struct");
    }
}

static void desc_field_end(JSONWriter *vmdesc, const VMStateField *field, uint64_t size)
{
    if (field->flags & (VMS_STRUCT | VMS_VSTRUCT)) {
        json_writer_end_object(vmdesc);
    }
    json_writer_int64(vmdesc, "size", size);
    json_writer_end_object(vmdesc);
}

bool vmstate_section_needed(const VMStateDescription *vmsd, void *opaque)
{
    return !vmsd->needed || vmsd->needed(opaque);
}

static int save_element(QEMUFile *f, const VMStateField *field, uint8_t *elem, uint64_t size,
                        JSONWriter *vmdesc, Error **errp)
{
    if (field->flags & VMS_STRUCT) {
        return vmstate_save_state_v(f, field->vmsd, elem, vmdesc, field->vmsd->version_id, errp);
    }
    if (field->flags & VMS_VSTRUCT) {
        return vmstate_save_state_v(f, field->vmsd, elem, vmdesc, field->struct_version_id, errp);
    }
    return field->info->put(f, elem, size, field, vmdesc);
}

static int save_field(QEMUFile *f, const VMStateDescription *vmsd, const VMStateField *field,
                      void *opaque, JSONWriter *vmdesc, Error **errp)
{
    uint64_t n = field_count(field, opaque), size = field_size(field, opaque);
    uint8_t *base = field_base(field, opaque);
    bool uniform = field_is_uniform(field);
    g_autofree char *name = vmdesc ? desc_field_name(vmsd, field) : NULL;

    assert(base || !n || !size);
    for (uint64_t i = 0; i < n; i++) {
        static const VMStateField null_field = {.info = &vmstate_info_nullptr};
        uint8_t *elem = field_element(field, base, i, size);
        bool null = !elem && (field->flags & VMS_ARRAY_OF_POINTER);
        JSONWriter *desc = uniform && i > 0 ? NULL : vmdesc;
        uint64_t before = qemu_file_transferred(f);
        VMStateField shown = *field;
        int ret;

        if (null) {
            shown.flags &= ~(VMS_STRUCT | VMS_VSTRUCT);
            shown.info = &vmstate_info_nullptr;
        }
        if (desc) {
            shown.name = name;
            desc_field_start(desc, &shown, field_type_name(&shown), i, n);
        }
        ret = null ? vmstate_info_nullptr.put(f, NULL, 1, &null_field, NULL)
                   : save_element(f, field, elem, size, desc, errp);
        if (ret) {
            take_reason(f, ret, errp, "saving failed");
            error_prepend(errp, "%s: ", field->name);
            return ret;
        }
        if (desc) {
            desc_field_end(desc, &shown, qemu_file_transferred(f) - before);
        }
    }
    return 0;
}

static int save_subsections(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                            JSONWriter *vmdesc, Error **errp)
{
    bool any = false;
    int ret = 0;

    for (const VMStateDescription *const *sub = vmsd->subsections; sub && *sub && !ret; sub++) {
        if (!vmstate_section_needed(*sub, opaque)) {
            continue;
        }
        if (vmdesc) {
            if (!any) {
                json_writer_start_array(vmdesc, "subsections");
                any = true;
            }
            json_writer_start_object(vmdesc, NULL);
        }
        qemu_put_byte(f, QEMU_VM_SUBSECTION);
        qemu_put_counted_string(f, (*sub)->name);
        qemu_put_be32(f, (*sub)->version_id);
        ret = vmstate_save_state_v(f, *sub, opaque, vmdesc, (*sub)->version_id, errp);
        if (vmdesc) {
            json_writer_end_object(vmdesc);
        }
    }
    if (any) {
        json_writer_end_array(vmdesc);
    }
    return ret;
}

int vmstate_save_state_v(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                         JSONWriter *vmdesc, int version_id, Error **errp)
{
    ERRP_GUARD();
    int ret = 0;

    trace(vmstate_save_state, "%s v%d", vmsd->name, version_id);
    if (vmsd->pre_save) {
        ret = vmsd->pre_save(opaque);
        if (ret) {
            error_setg(errp, "pre-save failed: %s: %s", vmsd->name, g_strerror(abs(ret)));
            return ret;
        }
    }
    if (vmdesc) {
        json_writer_str(vmdesc, "vmsd_name", vmsd->name);
        json_writer_int64(vmdesc, "version", version_id);
        json_writer_start_array(vmdesc, "fields");
    }
    for (const VMStateField *field = vmsd->fields; field && field->flags != VMS_END && !ret;
         field++) {
        if (field_exists(field, opaque, version_id)) {
            ret = save_field(f, vmsd, field, opaque, vmdesc, errp);
        } else if (field->flags & VMS_MUST_EXIST) {
            error_setg(errp, "output validation failed: %s: %s", vmsd->name, field->name);
            ret = -EINVAL;
        }
    }
    if (vmdesc && !ret) {
        json_writer_end_array(vmdesc);
    }
    if (!ret) {
        ret = save_subsections(f, vmsd, opaque, vmdesc, errp);
    }
    if (vmsd->post_save) {
        int ps = vmsd->post_save(opaque);

        if (!ret && ps) {
            error_setg(errp, "post-save failed: %s: %s", vmsd->name, g_strerror(abs(ps)));
            ret = ps;
        }
    }
    return ret;
}

int vmstate_save_state_with_err(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                                JSONWriter *vmdesc, Error **errp)
{
    return vmstate_save_state_v(f, vmsd, opaque, vmdesc, vmsd->version_id, errp);
}

int vmstate_save_state(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                       JSONWriter *vmdesc)
{
    return vmstate_save_state_v(f, vmsd, opaque, vmdesc, vmsd->version_id, NULL);
}
