/*
 * Memory back ends: RAM, files and memfds, their properties, and refusals.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"

static char *dir;

static HostMemoryBackend *make(const char *text, Error **errp)
{
    g_autofree char *with_id = g_strdup_printf("%s,id=m", text);

    if (!user_creatable_add_from_str(with_id, errp)) {
        return NULL;
    }
    return MEMORY_BACKEND(object_resolve_path("/objects/m", NULL));
}

static void drop(void)
{
    user_creatable_del("m", &error_abort);
}

static uint8_t *ram_of(HostMemoryBackend *m)
{
    return memory_region_get_ram_ptr(host_memory_backend_get_memory(m));
}

static void test_ram(void)
{
    HostMemoryBackend *m = make("memory-backend-ram,size=2M", &error_abort);
    g_autofree char *name = host_memory_backend_get_name(m);
    Error *err = NULL;

    g_assert_cmpstr(name, ==, "m");
    g_assert_cmpuint(memory_region_size(&m->mr), ==, 2 * 1024 * 1024);
    g_assert_false(qemu_ram_is_shared(m->mr.ram_block));
    g_assert_cmpint(memory_region_get_fd(&m->mr), ==, -1);
    g_assert_cmpint(ram_of(m)[0], ==, 0);
    ram_of(m)[2 * 1024 * 1024 - 1] = 1;

    g_assert_false(object_property_set_uint(OBJECT(m), "size", 4096, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "cannot change property 'size' of memory-backend-ram");
    error_free(err);
    g_assert_false(object_property_set_bool(OBJECT(m), "share", true, NULL));
    g_assert_true(object_property_set_bool(OBJECT(m), "merge", false, &error_abort));
    g_assert_true(object_property_set_bool(OBJECT(m), "dump", false, &error_abort));
    g_assert_true(object_property_set_bool(OBJECT(m), "prealloc", true, &error_abort));

    host_memory_backend_set_mapped(m, true);
    g_assert_false(user_creatable_del("m", NULL));
    host_memory_backend_set_mapped(m, false);
    drop();
    g_assert_null(object_resolve_path("/objects/m", NULL));
}

static void test_shared_ram(void)
{
    HostMemoryBackend *m = make("memory-backend-ram,size=64K,share=on", &error_abort);

    g_assert_true(qemu_ram_is_shared(m->mr.ram_block));
    memset(ram_of(m), 0x55, 65536);
    drop();
}

static void test_canonical_name(void)
{
    HostMemoryBackend *m = make("memory-backend-ram,size=64K,"
                                "x-use-canonical-path-for-ramblock-id=on", &error_abort);
    g_autofree char *name = host_memory_backend_get_name(m);

    g_assert_cmpstr(name, ==, "/objects/m");
    drop();
}

/* Every page is there after preallocating, however many threads did it. */
static void test_prealloc(void)
{
    const size_t size = 8 * 1024 * 1024;
    size_t pages = size / qemu_real_host_page_size();
    g_autofree unsigned char *there = g_malloc(pages);

    for (int threads = 1; threads <= 7; threads += 3) {
        g_autofree char *text = g_strdup_printf("memory-backend-ram,size=8M,prealloc=on,"
                                                "prealloc-threads=%d", threads);
        HostMemoryBackend *m = make(text, &error_abort);

        g_assert_cmpint(mincore(ram_of(m), size, there), ==, 0);
        for (size_t i = 0; i < pages; i++) {
            g_assert_true(there[i] & 1);
        }
        drop();
    }
}

static void test_file(void)
{
    g_autofree char *path = g_build_filename(dir, "mem", NULL);
    g_autofree char *shared = g_strdup_printf("memory-backend-file,size=1M,share=on,"
                                              "mem-path=%s", path);
    g_autofree char *private = g_strdup_printf("memory-backend-file,size=1M,mem-path=%s", path);
    g_autofree char *offset = g_strdup_printf("memory-backend-file,size=64K,share=on,"
                                              "offset=64K,mem-path=%s", path);
    g_autofree char *rom = g_strdup_printf("memory-backend-file,size=1M,readonly=on,share=on,"
                                           "mem-path=%s", path);
    struct stat st;
    HostMemoryBackend *m;

    m = make(shared, &error_abort);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1024 * 1024);
    ram_of(m)[65536] = 0xa5;
    drop();

    m = make(private, &error_abort);
    g_assert_cmpint(ram_of(m)[65536], ==, 0xa5);
    ram_of(m)[65536] = 1;               /* stays with us */
    drop();

    m = make(offset, &error_abort);
    g_assert_cmpint(ram_of(m)[0], ==, 0xa5);
    drop();

    m = make(rom, &error_abort);
    g_assert_cmpint(ram_of(m)[65536], ==, 0xa5);
    g_assert_true(memory_region_is_rom(&m->mr));
    drop();
    g_unlink(path);
}

static void test_memfd(void)
{
    HostMemoryBackend *m = make("memory-backend-memfd,size=1M", &error_abort);
    int fd = memory_region_get_fd(&m->mr);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(qemu_ram_is_shared(m->mr.ram_block));
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    ram_of(m)[4096] = 7;
    g_assert_cmpint(ftruncate(fd, 4096), ==, -1);
    drop();

    m = make("memory-backend-memfd,size=1M,seal=off", &error_abort);
    g_assert_cmpint(fcntl(memory_region_get_fd(&m->mr), F_GET_SEALS), !=,
                    F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    drop();
    /* Not a whole number of pages. */
    m = make("memory-backend-memfd,size=5000", &error_abort);
    memset(ram_of(m), 1, 5000);
    drop();
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "memory-backend-ram,size=0",
        "memory-backend-ram",
        "memory-backend-ram,size=1M,prealloc=on,reserve=off",
        "memory-backend-ram,size=1M,prealloc-threads=0",
        "memory-backend-ram,size=1M,policy=bind",
        "memory-backend-ram,size=1M,host-nodes.0=0",
        "memory-backend-ram,size=8E",
        "memory-backend-file,size=1M",
        "memory-backend-file,size=1M,mem-path=/nonexistent/dir/file",
        "memory-backend-file,size=1M,mem-path=/dev/null,readonly=off,rom=on",
        "memory-backend-memfd,size=1M,hugetlb=on,hugetlbsize=3M",
        "memory-backend-memfd,size=8E",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        if (make(bad[i], &err)) {
            g_test_message("accepted: %s", bad[i]);
            g_test_fail();
            drop();
        } else {
            g_assert_nonnull(err);
            error_free(err);
        }
        g_assert_null(object_resolve_path("/objects/m", NULL));
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);
    dir = g_dir_make_tmp("hostmem-XXXXXX", NULL);

    g_test_add_func("/hostmem/ram", test_ram);
    g_test_add_func("/hostmem/shared-ram", test_shared_ram);
    g_test_add_func("/hostmem/canonical-name", test_canonical_name);
    g_test_add_func("/hostmem/prealloc", test_prealloc);
    g_test_add_func("/hostmem/file", test_file);
    g_test_add_func("/hostmem/memfd", test_memfd);
    g_test_add_func("/hostmem/refused", test_refused);
    ret = g_test_run();
    g_rmdir(dir);
    g_free(dir);
    return ret;
}
