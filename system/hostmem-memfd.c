/*
 * memory-backend-memfd: memory of a descriptor without a name, which can be handed to others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

OBJECT_DECLARE_SIMPLE_TYPE(HostMemoryBackendMemfd, MEMORY_BACKEND_MEMFD)

struct HostMemoryBackendMemfd {
    HostMemoryBackend parent_obj;

    /* set before complete, constant afterwards */
    bool hugetlb;
    uint64_t hugetlbsize;               /* bytes, a power of two; 0: the system's default */
    bool seal;                          /* nobody can change the size any more */
};

/* A memfd of @size bytes, or -1. */
static int open_memfd(HostMemoryBackendMemfd *mb, const char *name, uint64_t size, Error **errp)
{
    unsigned flags = MFD_CLOEXEC | (mb->seal ? MFD_ALLOW_SEALING : 0);
    int fd;

    if (mb->hugetlb) {
        flags |= MFD_HUGETLB;
        if (mb->hugetlbsize) {
            flags |= (unsigned)__builtin_ctzll(mb->hugetlbsize) << MFD_HUGE_SHIFT;
        }
    }
    fd = memfd_create(name, flags);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot create a memfd%s for '%s'",
                         mb->hugetlb ? " of huge pages" : "", name);
        return -1;
    }
    /* Whole pages: once it is sealed nobody can make it longer. */
    size = ROUND_UP(size, qemu_fd_getpagesize(fd));
    if (ftruncate(fd, MIN(size, INT64_MAX)) < 0) {
        error_setg_errno(errp, errno, "cannot make the memfd of '%s' %" PRIu64 " bytes long",
                         name, size);
        close(fd);
        return -1;
    }
    if (mb->seal && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        error_setg_errno(errp, errno, "cannot seal the memfd of '%s'", name);
        close(fd);
        return -1;
    }
    return fd;
}

static bool memfd_backend_alloc(HostMemoryBackend *backend, Error **errp)
{
    HostMemoryBackendMemfd *mb = MEMORY_BACKEND_MEMFD(backend);
    g_autofree char *name = NULL;
    g_autofree char *fd_name = NULL;
    int fd;

    if (!backend->size) {
        error_setg(errp, "can't create backend with size 0");
        return false;
    }
    name = host_memory_backend_get_name(backend);
    fd_name = g_strdup_printf("memory-backend-memfd:%s", name);
    if (strlen(fd_name) > 249) {
        fd_name[249] = '\0';            /* the kernel's limit; the name is for people only */
    }
    fd = open_memfd(mb, fd_name, backend->size, errp);
    if (fd < 0) {
        return false;
    }
    if (!memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name, backend->size,
                                        host_memory_backend_ram_flags(backend), fd, 0, errp)) {
        close(fd);
        return false;
    }
    return true;
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

static bool get_hugetlb(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_MEMFD(obj)->hugetlb;
}

static void set_hugetlb(Object *obj, bool value, Error **errp)
{
    if (may_change(obj, "hugetlb", errp)) {
        MEMORY_BACKEND_MEMFD(obj)->hugetlb = value;
    }
}

static bool get_seal(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_MEMFD(obj)->seal;
}

static void set_seal(Object *obj, bool value, Error **errp)
{
    if (may_change(obj, "seal", errp)) {
        MEMORY_BACKEND_MEMFD(obj)->seal = value;
    }
}

static void get_hugetlbsize(Object *obj, Visitor *v, const char *name, void *opaque,
                            Error **errp)
{
    uint64_t value = MEMORY_BACKEND_MEMFD(obj)->hugetlbsize;

    visit_type_size(v, name, &value, errp);
}

static void set_hugetlbsize(Object *obj, Visitor *v, const char *name, void *opaque,
                            Error **errp)
{
    uint64_t value;

    if (!may_change(obj, name, errp) || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (!is_power_of_2(value)) {
        error_setg(errp, "property '%s' of %s takes a power of two, not %" PRIu64, name,
                   object_get_typename(obj), value);
        return;
    }
    MEMORY_BACKEND_MEMFD(obj)->hugetlbsize = value;
}

/* ---- life ----------------------------------------------------------------------------- */

static void memfd_backend_init(Object *obj)
{
    MEMORY_BACKEND_MEMFD(obj)->seal = true;
    MEMORY_BACKEND(obj)->share = true;
}

static void memfd_backend_class_init(ObjectClass *oc, void *data)
{
    MEMORY_BACKEND_CLASS(oc)->alloc = memfd_backend_alloc;

    object_class_property_add_bool(oc, "hugetlb", get_hugetlb, set_hugetlb);
    object_class_property_set_description(oc, "hugetlb", "of huge pages");
    object_class_property_add(oc, "hugetlbsize", "int", get_hugetlbsize, set_hugetlbsize, NULL,
                              NULL);
    object_class_property_set_description(oc, "hugetlbsize", "how big the pages are: 2M, 1G");
    object_class_property_add_bool(oc, "seal", get_seal, set_seal);
    object_class_property_set_description(oc, "seal", "nobody can change its size any more");
}

static const TypeInfo memfd_backend_types[] = {
    {
        .name = TYPE_MEMORY_BACKEND_MEMFD,
        .parent = TYPE_MEMORY_BACKEND,
        .instance_size = sizeof(HostMemoryBackendMemfd),
        .instance_init = memfd_backend_init,
        .class_init = memfd_backend_class_init,
    },
};
DEFINE_TYPES(memfd_backend_types)
