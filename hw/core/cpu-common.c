/*
 * The base class of CPUs: what an instance begins with, how it is reset, what of it is saved
 * whatever the architecture (section "cpu_common").
 *
 * Relies on system/cpus.c for threads and on the accelerator's hooks for resets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "migration/vmstate.h"
#include "qemu/log.h"
#include "system/address-spaces.h"
#include "system/cpus.h"

static int cpu_common_pre_load(void *opaque)
{
    CPUState *cpu = opaque;

    cpu->exception_index = -1;
    cpu->crash_occurred = false;
    return 0;
}

static int cpu_common_post_load(void *opaque, int version_id)
{
    CPUState *cpu = opaque;

    /* Bit 0 was CPU_INTERRUPT_EXIT once; it means nothing any more. */
    cpu->interrupt_request &= ~0x01;
    return 0;
}

static bool crash_occurred_needed(void *opaque)
{
    CPUState *cpu = opaque;

    return cpu->crash_occurred;
}

static const VMStateDescription vmstate_crash_occurred = {
    .name = "cpu_common/crash_occurred",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = crash_occurred_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(crash_occurred, CPUState),
        VMSTATE_END_OF_LIST()
    },
};

static bool exception_index_needed(void *opaque)
{
    CPUState *cpu = opaque;

    return cpu->accel && cpu->exception_index != -1;
}

static const VMStateDescription vmstate_exception_index = {
    .name = "cpu_common/exception_index",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = exception_index_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(exception_index, CPUState),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_cpu_common = {
    .name = "cpu_common",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = cpu_common_pre_load,
    .post_load = cpu_common_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(halted, CPUState),
        VMSTATE_UINT32(interrupt_request, CPUState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const []) {
        &vmstate_exception_index,
        &vmstate_crash_occurred,
        NULL
    },
};

bool cpu_exec_realizefn(CPUState *cpu, Error **errp)
{
    cpu->cc = CPU_GET_CLASS(cpu);
    cpu_list_add(cpu);
    if (!qdev_get_vmsd(DEVICE(cpu))) {
        vmstate_register(NULL, cpu->cpu_index, &vmstate_cpu_common, cpu);
    }
    if (cpu->cc->legacy_vmsd) {
        vmstate_register(NULL, cpu->cpu_index, cpu->cc->legacy_vmsd, cpu);
    }
    return true;
}

void cpu_exec_unrealizefn(CPUState *cpu)
{
    if (cpu->cc->legacy_vmsd) {
        vmstate_unregister(NULL, cpu->cc->legacy_vmsd, cpu);
    }
    if (!qdev_get_vmsd(DEVICE(cpu))) {
        vmstate_unregister(NULL, &vmstate_cpu_common, cpu);
    }
    cpu_remove_sync(cpu);
    cpu_list_remove(cpu);
}

void cpu_reset(CPUState *cpu)
{
    device_cold_reset(DEVICE(cpu));
}

static void cpu_common_reset_hold(Object *obj, ResetType type)
{
    CPUState *cpu = CPU(obj);
    const AccelOpsClass *ops = cpus_get_accel();

    if (qemu_loglevel_mask(CPU_LOG_RESET) && cpu->cc->dump_state) {
        GString *text = g_string_new(NULL);

        g_string_printf(text, "CPU Reset (CPU %d)\n", cpu->cpu_index);
        cpu->cc->dump_state(cpu, text, 0);
        qemu_log_text(text->str);
        g_string_free(text, true);
    }
    cpu->interrupt_request = 0;
    cpu->halted = cpu->start_powered_off;
    cpu->exception_index = -1;
    cpu->crash_occurred = false;
    if (ops && ops->cpu_reset_hold) {
        ops->cpu_reset_hold(cpu);
    }
}

static void cpu_common_realize(DeviceState *dev, Error **errp)
{
    CPUState *cpu = CPU(dev);

    if (dev->hotplugged) {
        cpu_synchronize_post_init(cpu);
        cpu_resume(cpu);
    }
}

static void cpu_common_initfn(Object *obj)
{
    CPUState *cpu = CPU(obj);

    cpu->cc = CPU_GET_CLASS(obj);
    cpu->cpu_index = -1;
    cpu->cluster_index = -1;
    cpu->exception_index = -1;
    cpu->nr_cores = 1;
    cpu->nr_threads = 1;
    cpu->kvm_fd = -1;
    cpu->as = &address_space_memory;
    cpu->memory = get_system_memory();
    qemu_mutex_init(&cpu->work_mutex);
    QSIMPLEQ_INIT(&cpu->work_list);
}

static void cpu_common_finalize(Object *obj)
{
    CPUState *cpu = CPU(obj);

    qemu_mutex_destroy(&cpu->work_mutex);
}

static void cpu_common_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    dc->realize = cpu_common_realize;
    dc->user_creatable = false;
    rc->phases.hold = cpu_common_reset_hold;
    set_bit(DEVICE_CATEGORY_CPU, dc->categories);
}

static const TypeInfo cpu_type_info = {
    .name = TYPE_CPU,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(CPUState),
    .instance_init = cpu_common_initfn,
    .instance_finalize = cpu_common_finalize,
    .abstract = true,
    .class_size = sizeof(CPUClass),
    .class_init = cpu_common_class_init,
};

static void cpu_register_types(void)
{
    type_register_static(&cpu_type_info);
}
type_init(cpu_register_types)
