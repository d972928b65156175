/*
 * Memory back ends: the properties and the life that all kinds of them share.
 *
 * A back end gets its memory when it is complete; until then size and kind may change, afterwards
 * only what can be applied to mapped memory (merge, dump, prealloc).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/vfs.h>
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/qapi-types-machine.h"
#include "qapi/qapi-visit-machine.h"
#include "qapi/visitor.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define HUGETLBFS_MAGIC_ 0x958458f6
/* What one thread asks the kernel to populate in one go, so that errors come early. */
#define PREALLOC_STEP (256 * 1024 * 1024ull)
#define PREALLOC_MAX_THREADS 64

/* ---- asking --------------------------------------------------------------------------- */

bool host_memory_backend_mr_inited(HostMemoryBackend *backend)
{
    return memory_region_size(&backend->mr) != 0;
}

MemoryRegion *host_memory_backend_get_memory(HostMemoryBackend *backend)
{
    return host_memory_backend_mr_inited(backend) ? &backend->mr : NULL;
}

void host_memory_backend_set_mapped(HostMemoryBackend *backend, bool mapped)
{
    backend->is_mapped = mapped;
}

bool host_memory_backend_is_mapped(HostMemoryBackend *backend)
{
    return backend->is_mapped;
}

size_t host_memory_backend_pagesize(HostMemoryBackend *memdev)
{
    return memdev->mr.ram_block ? memdev->mr.ram_block->page_size : qemu_real_host_page_size();
}

char *host_memory_backend_get_name(HostMemoryBackend *backend)
{
    if (!backend->use_canonical_path) {
        return g_strdup(object_get_canonical_path_component(OBJECT(backend)));
    }
    return object_get_canonical_path(OBJECT(backend));
}

uint32_t host_memory_backend_ram_flags(HostMemoryBackend *backend)
{
    return (backend->share ? RAM_SHARED : 0) | (backend->reserve ? 0 : RAM_NORESERVE);
}

size_t qemu_fd_getpagesize(int fd)
{
    struct statfs fs;

    if (fd >= 0 && TFR(fstatfs(fd, &fs)) == 0 && fs.f_type == HUGETLBFS_MAGIC_) {
        return fs.f_bsize;
    }
    return qemu_real_host_page_size();
}

/* ---- preallocation -------------------------------------------------------------------- */

typedef struct PreallocWork {
    QemuThread thread;
    char *start;
    size_t size;
    size_t page_size;
    int error;                          /* errno of what failed, or 0 */
} PreallocWork;

static void *prealloc_thread(void *opaque)
{
    PreallocWork *work = opaque;

    for (size_t done = 0; done < work->size && !work->error;) {
        size_t step = MIN(work->size - done, PREALLOC_STEP);

        if (madvise(work->start + done, step, MADV_POPULATE_WRITE) == 0) {
            done += step;
        } else if (errno == EINVAL) {
            /* Kernels before 5.14: a write that changes nothing does it, atomic for the guest. */
            for (size_t end = done + step; done < end; done += work->page_size) {
                qatomic_or((uint8_t *)work->start + done, 0);
            }
        } else if (errno != EINTR && errno != EAGAIN) {
            work->error = errno;
        }
    }
    return NULL;
}

bool qemu_prealloc_mem(int fd, char *area, size_t size, int max_threads, Error **errp)
{
    size_t page_size = qemu_fd_getpagesize(fd);
    size_t pages = DIV_ROUND_UP(size, page_size);
    int nthreads = MAX(1, MIN(MIN(max_threads, PREALLOC_MAX_THREADS),
                              (int)MIN(pages, PREALLOC_MAX_THREADS)));
    g_autofree PreallocWork *works = g_new0(PreallocWork, nthreads);
    size_t first = 0;
    int error = 0;

    for (int i = 0; i < nthreads; i++) {
        size_t end = pages * (i + 1) / nthreads;

        works[i].start = area + first * page_size;
        works[i].size = MIN(end * page_size, size) - first * page_size;
        works[i].page_size = page_size;
        first = end;
        if (i > 0) {
            qemu_thread_create(&works[i].thread, "touch_pages", prealloc_thread, &works[i],
                               QEMU_THREAD_JOINABLE);
        }
    }
    prealloc_thread(&works[0]);         /* this thread takes its share */
    error = works[0].error;
    for (int i = 1; i < nthreads; i++) {
        qemu_thread_join(&works[i].thread);
        error = error ?: works[i].error;
    }
    if (error) {
        error_setg_errno(errp, error, "cannot preallocate %zu bytes of memory", size);
        return false;
    }
    return true;
}

static bool backend_prealloc(HostMemoryBackend *backend, Error **errp)
{
    return qemu_prealloc_mem(memory_region_get_fd(&backend->mr),
                             memory_region_get_ram_ptr(&backend->mr),
                             memory_region_size(&backend->mr), backend->prealloc_threads, errp);
}

/* ---- properties ----------------------------------------------------------------------- */

/* False and an error once the memory is there. */
static bool may_change(HostMemoryBackend *backend, const char *name, Error **errp)
{
    if (host_memory_backend_mr_inited(backend)) {
        error_setg(errp, "cannot change property '%s' of %s", name,
                   object_get_typename(OBJECT(backend)));
        return false;
    }
    return true;
}

static void get_size(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = MEMORY_BACKEND(obj)->size;

    visit_type_size(v, name, &value, errp);
}

static void set_size(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);
    uint64_t value;

    if (!may_change(backend, name, errp) || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (!value) {
        error_setg(errp, "property '%s' of %s doesn't take value '%" PRIu64 "'", name,
                   object_get_typename(obj), value);
        return;
    }
    backend->size = value;
}

static void advise(HostMemoryBackend *backend, int advice)
{
    /* Hints: where the kernel was built without, memory works all the same. */
    madvise(memory_region_get_ram_ptr(&backend->mr), memory_region_size(&backend->mr), advice);
}

static bool get_merge(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->merge;
}

static void set_merge(Object *obj, bool value, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (backend->merge != value && host_memory_backend_mr_inited(backend)) {
        advise(backend, value ? MADV_MERGEABLE : MADV_UNMERGEABLE);
    }
    backend->merge = value;
}

static bool get_dump(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->dump;
}

static void set_dump(Object *obj, bool value, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (backend->dump != value && host_memory_backend_mr_inited(backend)) {
        advise(backend, value ? MADV_DODUMP : MADV_DONTDUMP);
    }
    backend->dump = value;
}

static bool get_prealloc(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->prealloc;
}

static void set_prealloc(Object *obj, bool value, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (!backend->reserve && value) {
        error_setg(errp, "'prealloc=on' and 'reserve=off' are incompatible");
        return;
    }
    if (host_memory_backend_mr_inited(backend) && value && !backend->prealloc &&
        !backend_prealloc(backend, errp)) {
        return;
    }
    backend->prealloc = value;
}

static void get_prealloc_threads(Object *obj, Visitor *v, const char *name, void *opaque,
                                 Error **errp)
{
    visit_type_uint32(v, name, &MEMORY_BACKEND(obj)->prealloc_threads, errp);
}

static void set_prealloc_threads(Object *obj, Visitor *v, const char *name, void *opaque,
                                 Error **errp)
{
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value == 0) {
        error_setg(errp, "property '%s' of %s doesn't take value '0'", name,
                   object_get_typename(obj));
        return;
    }
    MEMORY_BACKEND(obj)->prealloc_threads = value;
}

static bool get_share(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->share;
}

static void set_share(Object *obj, bool value, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (may_change(backend, "share", errp)) {
        backend->share = value;
    }
}

static bool get_reserve(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->reserve;
}

static void set_reserve(Object *obj, bool value, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    if (!may_change(backend, "reserve", errp)) {
        return;
    }
    if (backend->prealloc && !value) {
        error_setg(errp, "'prealloc=on' and 'reserve=off' are incompatible");
        return;
    }
    backend->reserve = value;
}

static bool get_use_canonical_path(Object *obj, Error **errp)
{
    return MEMORY_BACKEND(obj)->use_canonical_path;
}

static void set_use_canonical_path(Object *obj, bool value, Error **errp)
{
    MEMORY_BACKEND(obj)->use_canonical_path = value;
}

static int get_policy(Object *obj, Error **errp)
{
    return HOST_MEM_POLICY_DEFAULT;
}

static void set_policy(Object *obj, int policy, Error **errp)
{
    if (policy != HOST_MEM_POLICY_DEFAULT) {
        error_setg(errp, "NUMA policies are not supported by this program: leave 'policy' at "
                   "'default'");
    }
}

static void get_host_nodes(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint16List *none = NULL;

    visit_type_uint16List(v, name, &none, errp);
}

static void set_host_nodes(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint16List *nodes = NULL;

    if (visit_type_uint16List(v, name, &nodes, errp) && nodes) {
        error_setg(errp, "NUMA binding is not supported by this program: leave 'host-nodes' out");
    }
    qapi_free_uint16List(nodes);
}

static char *get_prealloc_context(Object *obj, Error **errp)
{
    return g_strdup("");
}

static void set_prealloc_context(Object *obj, const char *value, Error **errp)
{
    error_setg(errp, "thread contexts are not supported by this program: leave "
               "'prealloc-context' out");
}

/* ---- life ----------------------------------------------------------------------------- */

static struct {
    bool merge, dump;
    uint32_t prealloc_threads;
} defaults = { true, true, 1 };

void host_memory_backend_set_defaults(bool merge, bool dump, uint32_t prealloc_threads)
{
    defaults.merge = merge;
    defaults.dump = dump;
    defaults.prealloc_threads = MAX(prealloc_threads, 1);
}

static void host_memory_backend_init(Object *obj)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    backend->merge = defaults.merge;
    backend->dump = defaults.dump;
    backend->reserve = true;
    backend->prealloc_threads = defaults.prealloc_threads;
}

static void host_memory_backend_complete(UserCreatable *uc, Error **errp)
{
    HostMemoryBackend *backend = MEMORY_BACKEND(uc);
    HostMemoryBackendClass *bc = MEMORY_BACKEND_GET_CLASS(uc);

    if (!bc->alloc || !bc->alloc(backend, errp)) {
        return;
    }
    if (backend->merge) {
        advise(backend, MADV_MERGEABLE);
    }
    if (!backend->dump) {
        advise(backend, MADV_DONTDUMP);
    }
    if (backend->prealloc) {
        backend_prealloc(backend, errp);
    }
}

static bool host_memory_backend_can_be_deleted(UserCreatable *uc)
{
    return !host_memory_backend_is_mapped(MEMORY_BACKEND(uc));
}

static void host_memory_backend_class_init(ObjectClass *oc, void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = host_memory_backend_complete;
    ucc->can_be_deleted = host_memory_backend_can_be_deleted;

    object_class_property_add_bool(oc, "merge", get_merge, set_merge);
    object_class_property_set_description(oc, "merge", "let the host share equal pages (KSM)");
    object_class_property_add_bool(oc, "dump", get_dump, set_dump);
    object_class_property_set_description(oc, "dump", "put the memory into core dumps");
    object_class_property_add_bool(oc, "prealloc", get_prealloc, set_prealloc);
    object_class_property_set_description(oc, "prealloc", "take all memory from the host at once");
    object_class_property_add(oc, "prealloc-threads", "int", get_prealloc_threads,
                              set_prealloc_threads, NULL, NULL);
    object_class_property_set_description(oc, "prealloc-threads",
                                          "how many threads preallocate");
    object_class_property_add_str(oc, "prealloc-context", get_prealloc_context,
                                  set_prealloc_context);
    object_class_property_set_description(oc, "prealloc-context",
                                          "context of those threads; not supported");
    object_class_property_add(oc, "size", "int", get_size, set_size, NULL, NULL);
    object_class_property_set_description(oc, "size",
                                          "how much memory; 512M, 4G, ...");
    object_class_property_add(oc, "host-nodes", "int", get_host_nodes, set_host_nodes, NULL,
                              NULL);
    object_class_property_set_description(oc, "host-nodes",
                                          "host NUMA nodes to take it from; not supported");
    object_class_property_add_enum(oc, "policy", "HostMemPolicy", &HostMemPolicy_lookup,
                                   get_policy, set_policy);
    object_class_property_set_description(oc, "policy", "use of host NUMA nodes; only default");
    object_class_property_add_bool(oc, "share", get_share, set_share);
    object_class_property_set_description(oc, "share",
                                          "map it shared, so that other processes can see it");
    object_class_property_add_bool(oc, "reserve", get_reserve, set_reserve);
    object_class_property_set_description(oc, "reserve",
                                          "have the host set swap or huge pages aside for it");
    object_class_property_add_bool(oc, "x-use-canonical-path-for-ramblock-id",
                                   get_use_canonical_path, set_use_canonical_path);
}

static void register_memory_backend(void)
{
    static InterfaceInfo interfaces[] = {
        { TYPE_USER_CREATABLE },
        { NULL },
    };
    static const TypeInfo info = {
        .name = TYPE_MEMORY_BACKEND,
        .parent = TYPE_OBJECT,
        .abstract = true,
        .class_size = sizeof(HostMemoryBackendClass),
        .class_init = host_memory_backend_class_init,
        .instance_size = sizeof(HostMemoryBackend),
        .instance_init = host_memory_backend_init,
        .interfaces = interfaces,
    };

    type_register_static(&info);
}
type_init(register_memory_backend)
