/*
 * Interval timers, whoever counts: section "i8254" and reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/timer/i8254_common.h"
#include "qemu/timer.h"

uint64_t pit_elapsed(const PITChannel *c, int64_t now)
{
    return (unsigned __int128)MAX(now - c->count_load_time, 0) * PIT_FREQUENCY /
           NANOSECONDS_PER_SECOND;
}

bool pit_output(const PITChannel *c, int64_t now)
{
    uint64_t d = pit_elapsed(c, now), count = MAX(c->count, 1);

    switch (c->mode) {
    case 0:
        return d >= count;
    case 1:
        return d < count;
    case 2:
        return d && d % count == 0;
    case 3:
        return d % count < (count + 1) / 2;
    default:
        return d == count;
    }
}

int64_t pit_next_change(const PITChannel *c, int64_t now)
{
    uint64_t d = pit_elapsed(c, now), count = MAX(c->count, 1), round = d / count * count, tick;

    switch (c->mode) {
    case 0:
    case 1:
        if (d >= count) {
            return -1;
        }
        tick = count;
        break;
    case 2:
        tick = d && d == round ? d + 1 : round + count;
        break;
    case 3:
        tick = d - round < (count + 1) / 2 ? round + (count + 1) / 2 : round + count;
        break;
    default:
        if (d > count) {
            return -1;
        }
        tick = d == count ? count + 1 : count;
        break;
    }
    return MAX(c->count_load_time + (int64_t)((unsigned __int128)tick * NANOSECONDS_PER_SECOND /
                                              PIT_FREQUENCY), now + 1);
}

void pit_refresh(PITCommonState *s)
{
    PITCommonClass *k = PIT_COMMON_GET_CLASS(s);

    if (k->pre_save) {
        k->pre_save(s);
    }
}

/* With a closed gate the count should stand still; as nobody looks then, it only starts again. */
void pit_set_gate(PITCommonState *s, int channel, bool gate)
{
    PITChannel *c = &s->channels[channel];
    PITCommonClass *k = PIT_COMMON_GET_CLASS(s);

    pit_refresh(s);
    if (gate == !!c->gate) {
        return;
    }
    c->gate = gate;
    if (gate && c->mode != 0 && c->mode != 4) {
        c->count_load_time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    }
    k->changed(s);
}

void pit_set_speaker(PITCommonState *s, bool on)
{
    PITCommonClass *k = PIT_COMMON_GET_CLASS(s);

    pit_refresh(s);
    if (s->speaker_on != on) {
        s->speaker_on = on;
        k->changed(s);
    }
}

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
    s->speaker_on = false;
    for (int i = 0; i < PIT_NUM_CHANNELS; i++) {
        s->channels[i].mode = 3;
        s->channels[i].gate = i != 2;
        s->channels[i].count = 0x10000;
        s->channels[i].count_load_time = now;
    }
    s->channels[0].next_transition_time = pit_next_change(&s->channels[0], now);
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
