/*
 * The paravirtual clock, section "kvmclock": what the guest's clock showed when the machine
 * stopped, to be set again when it starts, here or elsewhere.
 *
 * A guest must not see its clock go back. Where the kernel's reading of the clock is the very one
 * that guests see (it knows KVM_CLOCK_TSC_STABLE then), that reading is good, and clock_is_reliable
 * tells the other end so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm_para.h>
#include "hw/core/cpu.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMClockState, KVM_CLOCK)

struct KVMClockState {
    SysBusDevice parent_obj;

    uint64_t clock;             /* ns */
    bool clock_valid;           /* taken when the machine stopped */
    bool clock_is_reliable;
};

static void take_clock(KVMClockState *s)
{
    struct kvm_clock_data data = { .clock = 0 };
    int ret;

    if (s->clock_valid) {
        return;
    }
    ret = kvm_vm_ioctl(kvm_state, KVM_GET_CLOCK, &data);
    if (ret < 0) {
        error_report_once("KVM does not give the guest's clock: %s", strerror(-ret));
        return;
    }
    s->clock = data.clock;
    /* Kernels that can tell whether clocks agree read the guest's own. */
    s->clock_is_reliable = kvm_check_extension(kvm_state, KVM_CAP_ADJUST_CLOCK) &
        KVM_CLOCK_TSC_STABLE;
    s->clock_valid = true;
}

static void set_clock(KVMClockState *s)
{
    struct kvm_clock_data data = { .clock = s->clock };
    int ret = kvm_vm_ioctl(kvm_state, KVM_SET_CLOCK, &data);

    if (ret < 0) {
        error_report_once("KVM does not take the guest's clock: %s", strerror(-ret));
    }
}

static void tell_guest_paused(CPUState *cpu, run_on_cpu_data data)
{
    int ret = kvm_vcpu_ioctl(cpu, KVM_KVMCLOCK_CTRL);

    /* EINVAL: the guest does not use the clock. */
    if (ret < 0 && ret != -EINVAL) {
        error_report_once("KVM can't tell the guest that it was paused: %s", strerror(-ret));
    }
}

static void clock_state_change(void *opaque, bool running, RunState state)
{
    KVMClockState *s = opaque;
    CPUState *cpu;

    if (!running) {
        take_clock(s);
        return;
    }
    if (s->clock_valid) {
        set_clock(s);
        s->clock_valid = false;
    }
    if (kvm_check_extension(kvm_state, KVM_CAP_KVMCLOCK_CTRL)) {
        CPU_FOREACH(cpu) {
            run_on_cpu(cpu, tell_guest_paused, RUN_ON_CPU_NULL);
        }
    }
}

static int clock_pre_save(void *opaque)
{
    take_clock(opaque);
    return 0;
}

static int clock_pre_load(void *opaque)
{
    KVMClockState *s = opaque;

    s->clock_is_reliable = false;
    return 0;
}

static int clock_post_load(void *opaque, int version_id)
{
    KVMClockState *s = opaque;

    s->clock_valid = true;
    return 0;
}

static bool reliable_needed(void *opaque)
{
    return true;
}

static const VMStateDescription vmstate_reliable = {
    .name = "kvmclock/clock_is_reliable",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = reliable_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(clock_is_reliable, KVMClockState),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_clock = {
    .name = "kvmclock",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = clock_pre_save,
    .pre_load = clock_pre_load,
    .post_load = clock_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(clock, KVMClockState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_reliable, NULL },
};

static void clock_realize(DeviceState *dev, Error **errp)
{
    qemu_add_vm_change_state_handler(clock_state_change, dev);
}

static void clock_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = clock_realize;
    dc->vmsd = &vmstate_clock;
    dc->user_creatable = false;
}

void kvmclock_create(bool create_always)
{
    uint32_t wanted = 1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2;
    X86CPU *cpu = first_cpu ? X86_CPU(first_cpu) : NULL;

    if (!kvm_enabled() || !kvm_check_extension(kvm_state, KVM_CAP_ADJUST_CLOCK)) {
        return;
    }
    if (create_always || (cpu && (cpu->env.features[FEAT_KVM] & wanted))) {
        sysbus_create_simple(TYPE_KVM_CLOCK, -1, NULL);
    }
}

static const TypeInfo clock_types[] = {
    {
        .name = TYPE_KVM_CLOCK,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(KVMClockState),
        .class_init = clock_class_init,
    },
};
DEFINE_TYPES(clock_types)
