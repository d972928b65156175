/*
 * The section "timer" of the stream: where the virtual clock and the cycle counter stand. The
 * machine is stopped when it is saved or loaded, so the offsets are the values themselves.
 *
 * Kept apart from the clocks (util/timer.c), for VMState is floors above them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/vmstate.h"
#include "qemu/timer.h"
#include "vl.h"

static const VMStateDescription vmstate_timers = {
    .name = "timer",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_INT64(cpu_ticks_offset, TimersState),
        VMSTATE_UNUSED(8),
        VMSTATE_INT64_V(cpu_clock_offset, TimersState, 2),
        VMSTATE_END_OF_LIST()
    },
};

void cpu_timers_init(void)
{
    vmstate_register(NULL, 0, &vmstate_timers, &timers_state);
}
