/*
 * What both forms of the interval timer share: this program's (hw/timer/i8254.c) and the kernel's
 * (hw/i386/kvm/pit.c). BQL throughout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_TIMER_I8254_COMMON_H
#define HW_TIMER_I8254_COMMON_H

#include "hw/sysbus.h"
#include "migration/vmstate.h"

#define TYPE_PIT_COMMON "pit-common"
OBJECT_DECLARE_TYPE(PITCommonState, PITCommonClass, PIT_COMMON)

#define PIT_NUM_CHANNELS 3

typedef struct PITChannel {
    int32_t count;              /* 65536 where the guest wrote 0 */
    uint16_t latched_count;
    uint8_t count_latched;      /* 0: no; else the byte that is read next, as read_state tells it */
    uint8_t status_latched, status, read_state, write_state, write_latch, rw_mode;
    uint8_t mode, bcd, gate;
    int64_t count_load_time, next_transition_time; /* virtual clock, ns; -1: none */
    uint32_t irq_disabled;
} PITChannel;

struct PITCommonState {
    SysBusDevice parent_obj;

    PITChannel channels[PIT_NUM_CHANNELS];
    bool speaker_on;            /* port 0x61's bit 1; the device there sees to its state */
};

/**
 * PITCommonClass: any hook may be NULL; they return 0, or a negative errno to fail.
 * @pre_save: bring the state up to date.
 * @post_load: the state has just been loaded.
 * @changed: the state has been changed from outside; it was brought up to date before.
 */
struct PITCommonClass {
    SysBusDeviceClass parent_class;

    int (*pre_save)(PITCommonState *s);
    int (*post_load)(PITCommonState *s);
    void (*changed)(PITCommonState *s);
};

/** Section "i8254": the vmsd of every form, not of the abstract class, which is no section. */
extern const VMStateDescription vmstate_pit_common;

/** All channels as after power on, counting from @now (virtual clock, ns). */
void pit_common_reset(PITCommonState *s, int64_t now);

#define PIT_FREQUENCY 1193182   /* Hz */
/** Ticks since the channel was loaded, at @now (virtual clock, ns). */
uint64_t pit_elapsed(const PITChannel *c, int64_t now);
/** Whether the channel's output is high. */
bool pit_output(const PITChannel *c, int64_t now);
/** When the output changes next after @now, cut off to whole ns; -1: never. */
int64_t pit_next_change(const PITChannel *c, int64_t now);

/* -- Port 0x61, which has the third channel's gate and shows its output -- */

/** Bring @s up to date, whoever counts. */
void pit_refresh(PITCommonState *s);
void pit_set_gate(PITCommonState *s, int channel, bool gate);
void pit_set_speaker(PITCommonState *s, bool on);

#endif
