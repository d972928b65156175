/*
 * The interval timer in the kernel, section "i8254".
 *
 * The kernel counts from moments of the host's monotonic clock; the section tells moments of the
 * machine's virtual clock. The difference of the two is taken whenever state moves. While the
 * machine stands the state taken at that moment stays, and goes back when it starts: the timer
 * then goes on where it was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/timer/i8254_common.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "system/kvm_int.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMPITState, KVM_PIT)

struct KVMPITState {
    PITCommonState parent_obj;

    bool held;                  /* the machine stands: channels are newer than the kernel's */
    bool speaker;               /* the kernel has port 0x61 too */
};

static int64_t kernel_minus_virtual(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

#define CHANNEL_FIELDS(DO)                                                                         \
    DO(count) DO(latched_count) DO(count_latched) DO(status_latched) DO(status) DO(read_state)     \
    DO(write_state) DO(write_latch) DO(rw_mode) DO(mode) DO(bcd) DO(gate)

static int pit_get(KVMPITState *s)
{
    int64_t offset = kernel_minus_virtual();
    struct kvm_pit_state2 k;
    int i, ret = kvm_vm_ioctl(kvm_state, KVM_GET_PIT2, &k);

    if (ret < 0) {
        error_report("KVM does not give the interval timer's state: %s", strerror(-ret));
        return ret;
    }
    for (i = 0; i < PIT_NUM_CHANNELS; i++) {
        PITChannel *c = &s->parent_obj.channels[i];

#define FETCH(field) c->field = k.channels[i].field;
        CHANNEL_FIELDS(FETCH)
#undef FETCH
        c->count_load_time = k.channels[i].count_load_time - offset;
    }
    /* The kernel does not need it; a timer in a program goes on from there. */
    s->parent_obj.channels[0].next_transition_time =
        pit_next_change(&s->parent_obj.channels[0], qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    s->parent_obj.channels[0].irq_disabled = !!(k.flags & KVM_PIT_FLAGS_HPET_LEGACY);
    s->parent_obj.speaker_on = !!(k.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON);
    return 0;
}

static int pit_put(KVMPITState *s)
{
    int64_t offset = kernel_minus_virtual();
    struct kvm_pit_state2 k;
    int i, ret;

    memset(&k, 0, sizeof(k));
    k.flags = s->parent_obj.channels[0].irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
    k.flags |= s->parent_obj.speaker_on ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0;
    for (i = 0; i < PIT_NUM_CHANNELS; i++) {
        const PITChannel *c = &s->parent_obj.channels[i];

#define STORE(field) k.channels[i].field = c->field;
        CHANNEL_FIELDS(STORE)
#undef STORE
        k.channels[i].count_load_time = c->count_load_time + offset;
    }
    ret = kvm_vm_ioctl(kvm_state, KVM_SET_PIT2, &k);
    if (ret < 0) {
        error_report("KVM does not take the interval timer's state: %s", strerror(-ret));
    }
    return ret;
}

static void pit_state_change(void *opaque, bool running, RunState state)
{
    KVMPITState *s = opaque;

    if (running && s->held) {
        s->held = false;
        pit_put(s);
    } else if (!running && !s->held) {
        s->held = pit_get(s) == 0;
    }
}

static int pit_pre_save(PITCommonState *common)
{
    KVMPITState *s = KVM_PIT(common);

    return s->held ? 0 : pit_get(s);
}

static int pit_post_load(PITCommonState *common)
{
    KVM_PIT(common)->held = true;
    return 0;
}

static void pit_changed(PITCommonState *common)
{
    if (!KVM_PIT(common)->held) {
        pit_put(KVM_PIT(common));
    }
}

static void pit_reset(DeviceState *dev)
{
    KVMPITState *s = KVM_PIT(dev);

    pit_common_reset(&s->parent_obj, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    pit_put(s);
    /* While the machine stands the two clocks drift apart: said again when it starts. */
    s->held = !runstate_is_running();
}

static void pit_realize(DeviceState *dev, Error **errp)
{
    struct kvm_pit_config config = {
        .flags = KVM_PIT(dev)->speaker ? KVM_PIT_SPEAKER_DUMMY : 0,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_CREATE_PIT2, &config);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM can't create its interval timer (pit=off does without)");
        return;
    }
    if (kvm_check_extension(kvm_state, KVM_CAP_REINJECT_CONTROL)) {
        struct kvm_reinject_control control = { .pit_reinject = 1 };

        kvm_vm_ioctl(kvm_state, KVM_REINJECT_CONTROL, &control);
    }
    qemu_add_vm_change_state_handler(pit_state_change, dev);
}

static void pit_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PITCommonClass *k = PIT_COMMON_CLASS(oc);

    dc->realize = pit_realize;
    device_class_set_legacy_reset(dc, pit_reset);
    dc->vmsd = &vmstate_pit_common;
    k->pre_save = pit_pre_save;
    k->post_load = pit_post_load;
    k->changed = pit_changed;
}

static DeviceState *create(bool speaker, Error **errp)
{
    DeviceState *dev = qdev_new(TYPE_KVM_PIT);

    KVM_PIT(dev)->speaker = speaker;
    return sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), errp) ? dev : NULL;
}

DeviceState *kvm_pit_create(Error **errp)
{
    return create(false, errp);
}

DeviceState *kvm_pit_speaker_create(Error **errp)
{
    return create(true, errp);
}

static const TypeInfo pit_types[] = {
    {
        .name = TYPE_KVM_PIT,
        .parent = TYPE_PIT_COMMON,
        .instance_size = sizeof(KVMPITState),
        .class_init = pit_class_init,
    },
};
DEFINE_TYPES(pit_types)
