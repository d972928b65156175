/*
 * Memory back ends: objects that own a piece of host memory until a machine or a device takes it.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_HOSTMEM_H
#define SYSTEM_HOSTMEM_H

#include "qapi/qapi-types-common.h"
#include "qom/object.h"
#include "system/memory.h"

#define TYPE_MEMORY_BACKEND "memory-backend"
OBJECT_DECLARE_TYPE(HostMemoryBackend, HostMemoryBackendClass, MEMORY_BACKEND)

#define TYPE_MEMORY_BACKEND_RAM "memory-backend-ram"
#define TYPE_MEMORY_BACKEND_FILE "memory-backend-file"
#define TYPE_MEMORY_BACKEND_MEMFD "memory-backend-memfd"

/**
 * HostMemoryBackendClass:
 * @alloc: makes backend->mr of backend->size bytes; false and an error on failure.
 */
struct HostMemoryBackendClass {
    ObjectClass parent_class;
    bool (*alloc)(HostMemoryBackend *backend, Error **errp);
};

struct HostMemoryBackend {
    Object parent;

    /* set before complete, constant afterwards but for merge, dump, prealloc */
    uint64_t size;                      /* bytes */
    bool merge, dump, use_canonical_path;
    bool prealloc, share, reserve;
    bool prealloc_busy;
    bool guest_memfd;
    uint32_t prealloc_threads;
    char *prealloc_context;

    bool is_mapped;                     /* in use by a machine or device */
    bool aligned;
    MemoryRegion mr;                    /* set up once memory is allocated */
};

bool host_memory_backend_mr_inited(HostMemoryBackend *backend);
/* NULL until the back end has its memory. Borrowed. */
MemoryRegion *host_memory_backend_get_memory(HostMemoryBackend *backend);
void host_memory_backend_set_mapped(HostMemoryBackend *backend, bool mapped);
bool host_memory_backend_is_mapped(HostMemoryBackend *backend);
size_t host_memory_backend_pagesize(HostMemoryBackend *memdev);
/* The RAM block's name: the id alone, or the path where machine types ask for it; g_free it. */
char *host_memory_backend_get_name(HostMemoryBackend *backend);
/* RAM_* flags that follow from share, reserve, …. */
uint32_t host_memory_backend_ram_flags(HostMemoryBackend *backend);

/* What new back ends start with (the machine's mem-merge, dump-guest-core and number of CPUs). */
void host_memory_backend_set_defaults(bool merge, bool dump, uint32_t prealloc_threads);

/* Touches every page with @threads threads so that all of it is there; false: not enough. */
bool qemu_prealloc_mem(int fd, char *area, size_t size, int max_threads, Error **errp);
/* Bytes of the biggest page that backs memory of file @fd (-1: anonymous). */
size_t qemu_fd_getpagesize(int fd);

#endif
