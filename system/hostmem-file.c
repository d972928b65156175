/*
 * memory-backend-file: memory mapped from a file, hugetlbfs included.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-visit-common.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"

OBJECT_DECLARE_SIMPLE_TYPE(HostMemoryBackendFile, MEMORY_BACKEND_FILE)

struct HostMemoryBackendFile {
    HostMemoryBackend parent_obj;

    /* set before complete, constant afterwards */
    char *mem_path;
    uint64_t align;                     /* bytes; 0: the file's page size */
    uint64_t offset;                    /* bytes into the file */
    bool discard_data;
    bool readonly;                      /* the file is opened for reading only */
    OnOffAuto rom;                      /* the guest can't write; auto: as readonly */
};

static bool file_backend_alloc(HostMemoryBackend *backend, Error **errp)
{
    HostMemoryBackendFile *fb = MEMORY_BACKEND_FILE(backend);
    uint32_t flags = host_memory_backend_ram_flags(backend);
    bool rom = fb->rom == ON_OFF_AUTO_AUTO ? fb->readonly : fb->rom == ON_OFF_AUTO_ON;
    g_autofree char *name = NULL;

    if (!backend->size) {
        error_setg(errp, "can't create backend with size 0");
        return false;
    }
    if (!fb->mem_path) {
        error_setg(errp, "mem-path property not set");
        return false;
    }
    if (fb->readonly && backend->share && !rom) {
        error_setg(errp, "property 'rom' = 'off' is not supported with 'readonly' = 'on' and "
                   "'share' = 'on': the guest's writes would have nowhere to go");
        return false;
    }
    if (!fb->readonly && rom) {
        error_setg(errp, "property 'rom' = 'on' is not supported with 'readonly' = 'off'");
        return false;
    }

    name = host_memory_backend_get_name(backend);
    flags |= fb->readonly ? RAM_READONLY_FD : 0;
    flags |= rom ? RAM_READONLY : 0;
    return memory_region_init_ram_from_file(&backend->mr, OBJECT(backend), name, backend->size,
                                            fb->align, flags, fb->mem_path, fb->offset, errp);
}

/* ---- properties ----------------------------------------------------------------------- */

static bool may_change(Object *obj, const char *name, Error **errp)
{
    if (host_memory_backend_mr_inited(MEMORY_BACKEND(obj))) {
        error_setg(errp, "cannot change property '%s' of %s", name, object_get_typename(obj));
        return false;
    }
    return true;
}

static char *get_mem_path(Object *obj, Error **errp)
{
    return g_strdup(MEMORY_BACKEND_FILE(obj)->mem_path);
}

static void set_mem_path(Object *obj, const char *value, Error **errp)
{
    HostMemoryBackendFile *fb = MEMORY_BACKEND_FILE(obj);

    if (may_change(obj, "mem-path", errp)) {
        g_free(fb->mem_path);
        fb->mem_path = g_strdup(value);
    }
}

static bool get_discard_data(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_FILE(obj)->discard_data;
}

static void set_discard_data(Object *obj, bool value, Error **errp)
{
    MEMORY_BACKEND_FILE(obj)->discard_data = value;
}

static bool get_readonly(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_FILE(obj)->readonly;
}

static void set_readonly(Object *obj, bool value, Error **errp)
{
    if (may_change(obj, "readonly", errp)) {
        MEMORY_BACKEND_FILE(obj)->readonly = value;
    }
}

static bool get_pmem(Object *obj, Error **errp)
{
    return false;
}

static void set_pmem(Object *obj, bool value, Error **errp)
{
    if (value) {
        error_setg(errp, "persistent memory is not supported by this program: leave 'pmem' off");
    }
}

/* The two sizes; @opaque is the offset of the field. */
static void get_size_field(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = *(uint64_t *)((char *)obj + (uintptr_t)opaque);

    visit_type_size(v, name, &value, errp);
}

static void set_size_field(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value;

    if (may_change(obj, name, errp) && visit_type_size(v, name, &value, errp)) {
        *(uint64_t *)((char *)obj + (uintptr_t)opaque) = value;
    }
}

static void get_rom(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_OnOffAuto(v, name, &MEMORY_BACKEND_FILE(obj)->rom, errp);
}

static void set_rom(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    if (may_change(obj, name, errp)) {
        visit_type_OnOffAuto(v, name, &MEMORY_BACKEND_FILE(obj)->rom, errp);
    }
}

/* ---- life ----------------------------------------------------------------------------- */

static void file_backend_unparent(Object *obj)
{
    HostMemoryBackendFile *fb = MEMORY_BACKEND_FILE(obj);
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (host_memory_backend_mr_inited(backend) && fb->discard_data) {
        madvise(memory_region_get_ram_ptr(&backend->mr), memory_region_size(&backend->mr),
                MADV_REMOVE);
    }
}

static void file_backend_finalize(Object *obj)
{
    g_free(MEMORY_BACKEND_FILE(obj)->mem_path);
}

static void file_backend_init(Object *obj)
{
    MEMORY_BACKEND_FILE(obj)->rom = ON_OFF_AUTO_AUTO;
}

static void file_backend_class_init(ObjectClass *oc, void *data)
{
    MEMORY_BACKEND_CLASS(oc)->alloc = file_backend_alloc;
    oc->unparent = file_backend_unparent;

    object_class_property_add_bool(oc, "discard-data", get_discard_data, set_discard_data);
    object_class_property_add_str(oc, "mem-path", get_mem_path, set_mem_path);
    object_class_property_add(oc, "align", "int", get_size_field, set_size_field, NULL,
                              (void *)offsetof(HostMemoryBackendFile, align));
    object_class_property_add(oc, "offset", "int", get_size_field, set_size_field, NULL,
                              (void *)offsetof(HostMemoryBackendFile, offset));
    object_class_property_set_description(oc, "offset",
                                          "where in the file it begins, in bytes");
    object_class_property_add_bool(oc, "pmem", get_pmem, set_pmem);
    object_class_property_add_bool(oc, "readonly", get_readonly, set_readonly);
    object_class_property_add(oc, "rom", "OnOffAuto", get_rom, set_rom, NULL, NULL);
    object_class_property_set_description(oc, "rom",
                                          "the guest can't write it; auto: as readonly says");
}

static const TypeInfo file_backend_types[] = {
    {
        .name = TYPE_MEMORY_BACKEND_FILE,
        .parent = TYPE_MEMORY_BACKEND,
        .instance_size = sizeof(HostMemoryBackendFile),
        .instance_init = file_backend_init,
        .instance_finalize = file_backend_finalize,
        .class_init = file_backend_class_init,
    },
};
DEFINE_TYPES(file_backend_types)
