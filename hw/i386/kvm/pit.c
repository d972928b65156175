/*
 * The interval timer in the kernel, section "i8254".
 *
 * The kernel counts from moments of the host's monotonic clock; the section tells moments of the
 * machine's virtual clock. The difference of the two is taken whenever state moves. While the
 * machine
 * stands the state taken at that moment stays, and goes back when it starts: the timer then goes
 * on where it was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "system/kvm_int.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMPITState, KVM_PIT)

typedef struct Channel {
    int32_t count;              /* 65536 where the guest wrote 0 */
    uint16_t latched_count;
    uint8_t count_latched, status_latched, status, read_state, write_state, write_latch, rw_mode;
    uint8_t mode, bcd, gate;
    int64_t count_load_time, next_transition_time; /* virtual clock, ns */
    uint32_t irq_disabled;
} Channel;

struct KVMPITState {
    SysBusDevice parent_obj;

    Channel channels[3];
    bool held;                  /* the machine stands: channels are newer than the kernel's */
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
    for (i = 0; i < 3; i++) {
        Channel *c = &s->channels[i];

#define FETCH(field) c->field = k.channels[i].field;
        CHANNEL_FIELDS(FETCH)
#undef FETCH
        c->count_load_time = k.channels[i].count_load_time - offset;
    }
    s->channels[0].irq_disabled = !!(k.flags & KVM_PIT_FLAGS_HPET_LEGACY);
    return 0;
}

static int pit_put(KVMPITState *s)
{
    int64_t offset = kernel_minus_virtual();
    struct kvm_pit_state2 k;
    int i, ret;

    memset(&k, 0, sizeof(k));
    k.flags = s->channels[0].irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
    for (i = 0; i < 3; i++) {
        const Channel *c = &s->channels[i];

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

static int pit_pre_save(void *opaque)
{
    KVMPITState *s = opaque;

    return s->held ? 0 : pit_get(s);
}

static int pit_post_load(void *opaque, int version_id)
{
    KVMPITState *s = opaque;

    s->held = true;
    return 0;
}

static const VMStateDescription vmstate_channel = {
    .name = "pit channel",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(count, Channel),
        VMSTATE_UINT16(latched_count, Channel),
        VMSTATE_UINT8(count_latched, Channel),
        VMSTATE_UINT8(status_latched, Channel),
        VMSTATE_UINT8(status, Channel),
        VMSTATE_UINT8(read_state, Channel),
        VMSTATE_UINT8(write_state, Channel),
        VMSTATE_UINT8(write_latch, Channel),
        VMSTATE_UINT8(rw_mode, Channel),
        VMSTATE_UINT8(mode, Channel),
        VMSTATE_UINT8(bcd, Channel),
        VMSTATE_UINT8(gate, Channel),
        VMSTATE_INT64(count_load_time, Channel),
        VMSTATE_INT64(next_transition_time, Channel),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_pit = {
    .name = "i8254",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_save = pit_pre_save,
    .post_load = pit_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_V(channels[0].irq_disabled, KVMPITState, 3),
        VMSTATE_STRUCT_ARRAY(channels, KVMPITState, 3, 2, vmstate_channel, Channel),
        VMSTATE_INT64(channels[0].next_transition_time, KVMPITState),
        VMSTATE_END_OF_LIST()
    },
};

static void pit_reset(DeviceState *dev)
{
    KVMPITState *s = KVM_PIT(dev);
    int i;

    memset(s->channels, 0, sizeof(s->channels));
    for (i = 0; i < 3; i++) {
        s->channels[i].mode = 3;
        s->channels[i].gate = i != 2;
        s->channels[i].count = 0x10000;
        s->channels[i].count_load_time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    }
    pit_put(s);
    /* While the machine stands the two clocks drift apart: said again when it starts. */
    s->held = !runstate_is_running();
}

static void pit_realize(DeviceState *dev, Error **errp)
{
    struct kvm_pit_config config = { .flags = 0 };
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

    dc->realize = pit_realize;
    device_class_set_legacy_reset(dc, pit_reset);
    dc->vmsd = &vmstate_pit;
    dc->user_creatable = false;
}

DeviceState *kvm_pit_create(Error **errp)
{
    DeviceState *dev = qdev_new(TYPE_KVM_PIT);

    return sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), errp) ? dev : NULL;
}

static const TypeInfo pit_types[] = {
    {
        .name = TYPE_KVM_PIT,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(KVMPITState),
        .class_init = pit_class_init,
    },
};
DEFINE_TYPES(pit_types)
