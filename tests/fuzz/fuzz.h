/*
 * What the fuzz targets share: a machine of 2 MiB of RAM between guard pages, as in
 * tests/unit/test-loadvm.c, and streams that come from memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "migration/global_state.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "system/cpus.h"
#include "system/ramblock.h"

#define FUZZ_RAM_SIZE (2 * MiB)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_machine(void)
{
    size_t guard = 16 * qemu_real_host_page_size();
    uint8_t *area = mmap(NULL, FUZZ_RAM_SIZE + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
    RAMBlock *rb;

    g_assert(area != MAP_FAILED);
    g_assert(mprotect(area + guard, FUZZ_RAM_SIZE, PROT_READ | PROT_WRITE) == 0);
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    rb = qemu_ram_alloc_from_ptr(FUZZ_RAM_SIZE, area + guard, NULL, &error_abort);
    qemu_ram_set_idstr(rb, "ram", NULL);
    qemu_ram_set_migratable(rb);
    migration_object_init();
    register_global_state();
    migration_set_machine_name("none");
}

static inline QIOChannel *fuzz_channel(const void *data, size_t size)
{
    QIOChannelBuffer *bioc = qio_channel_buffer_new(size + 1);

    if (size) {
        qio_channel_write_all(QIO_CHANNEL(bioc), data, size, &error_abort);
    }
    bioc->offset = 0;
    return QIO_CHANNEL(bioc);
}

#endif
