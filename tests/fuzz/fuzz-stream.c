/*
 * The main stream: sections, commands, and RAM records of every kind, through the loader. The machine has
 * 2 MiB of RAM, its run state, and a device with fields of several kinds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "../../migration/migration.h"
#include "../../migration/savevm.h"

typedef struct Device {
    uint32_t count;
    uint8_t *array;
    uint16_t words[4];
    uint8_t flag;
} Device;

static Device device;

static const VMStateDescription vmstate_timers = {
    .name = "timer",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_INT64(cpu_ticks_offset, TimersState),
        VMSTATE_UNUSED(8),
        VMSTATE_INT64_V(cpu_clock_offset, TimersState, 2),
        VMSTATE_END_OF_LIST()
    },
};

static bool flag_needed(void *opaque)
{
    return true;
}

static const VMStateDescription vmstate_flag = {
    .name = "fuzz/flag",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = flag_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(flag, Device),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_device = {
    .name = "fuzz",
    .version_id = 3,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16_ARRAY(words, Device, 4),
        VMSTATE_UINT32(count, Device),
        VMSTATE_VBUFFER_ALLOC_UINT32(array, Device, 1, NULL, count),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_flag, NULL },
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_machine();
    vmstate_register(NULL, 0, &vmstate_timers, &timers_state);
    vmstate_register(NULL, 0, &vmstate_device, &device);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QIOChannel *ioc = fuzz_channel(data, size);
    Error *err = NULL;
    int ret;

    mis->from_src_file = qemu_file_new_input(ioc);
    bql_unlock();
    ret = qemu_loadvm_state(mis->from_src_file, &err);
    bql_lock();
    if ((ret < 0) != !!err) {
        abort();                /* each refusal has its reason */
    }
    error_free(err);
    qemu_loadvm_state_cleanup();
    qemu_fclose(mis->from_src_file);
    mis->from_src_file = NULL;
    if (mis->to_src_file) {
        qemu_fclose(mis->to_src_file);
        mis->to_src_file = NULL;
    }
    g_clear_pointer(&device.array, g_free);
    return 0;
}
