/*
 * memory-backend-ram: anonymous memory; shared memory without a name with share=on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"

static bool ram_backend_alloc(HostMemoryBackend *backend, Error **errp)
{
    g_autofree char *name = NULL;

    if (!backend->size) {
        error_setg(errp, "can't create backend with size 0");
        return false;
    }
    name = host_memory_backend_get_name(backend);
    return memory_region_init_ram_flags_nomigrate(&backend->mr, OBJECT(backend), name,
                                                  backend->size,
                                                  host_memory_backend_ram_flags(backend), errp);
}

static void ram_backend_class_init(ObjectClass *oc, void *data)
{
    MEMORY_BACKEND_CLASS(oc)->alloc = ram_backend_alloc;
}

static const TypeInfo ram_backend_types[] = {
    {
        .name = TYPE_MEMORY_BACKEND_RAM,
        .parent = TYPE_MEMORY_BACKEND,
        .class_init = ram_backend_class_init,
    },
};
DEFINE_TYPES(ram_backend_types)
