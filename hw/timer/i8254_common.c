/*
 * Interval timers, whoever counts: section "i8254" and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/timer/i8254_common.h"

static int pit_pre_save(void *opaque)
{
    PITCommonClass *k = PIT_COMMON_GET_CLASS(opaque);

    return k->pre_save ? k->pre_save(opaque) : 0;
}

static int pit_post_load(void *opaque, int version_id)
{
    PITCommonClass *k = PIT_COMMON_GET_CLASS(opaque);

    return k->post_load ? k->post_load(opaque) : 0;
}

static const VMStateDescription vmstate_channel = {
    .name = "pit channel",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]) {
        VMSTATE_INT32(count, PITChannel),
        VMSTATE_UINT16(latched_count, PITChannel),
        VMSTATE_UINT8(count_latched, PITChannel),
        VMSTATE_UINT8(status_latched, PITChannel),
        VMSTATE_UINT8(status, PITChannel),
        VMSTATE_UINT8(read_state, PITChannel),
        VMSTATE_UINT8(write_state, PITChannel),
        VMSTATE_UINT8(write_latch, PITChannel),
        VMSTATE_UINT8(rw_mode, PITChannel),
        VMSTATE_UINT8(mode, PITChannel),
        VMSTATE_UINT8(bcd, PITChannel),
        VMSTATE_UINT8(gate, PITChannel),
        VMSTATE_INT64(count_load_time, PITChannel),
        VMSTATE_INT64(next_transition_time, PITChannel),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_pit_common = {
    .name = "i8254",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_save = pit_pre_save,
    .post_load = pit_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_V(channels[0].irq_disabled, PITCommonState, 3),
        VMSTATE_STRUCT_ARRAY(channels, PITCommonState, PIT_NUM_CHANNELS, 2, vmstate_channel,
                             PITChannel),
        VMSTATE_INT64(channels[0].next_transition_time, PITCommonState),
        VMSTATE_END_OF_LIST()
    },
};

void pit_common_reset(PITCommonState *s, int64_t now)
{
    memset(s->channels, 0, sizeof(s->channels));
    for (int i = 0; i < PIT_NUM_CHANNELS; i++) {
        s->channels[i].mode = 3;
        s->channels[i].gate = i != 2;
        s->channels[i].count = 0x10000;
        s->channels[i].count_load_time = now;
    }
}

static void pit_common_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->user_creatable = false;
}

static const TypeInfo pit_common_types[] = {
    {
        .name = TYPE_PIT_COMMON,
        .parent = TYPE_SYS_BUS_DEVICE,
        .abstract = true,
        .instance_size = sizeof(PITCommonState),
        .class_size = sizeof(PITCommonClass),
        .class_init = pit_common_class_init,
    },
};
DEFINE_TYPES(pit_common_types)
