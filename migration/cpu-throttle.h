/*
 * Throttling vCPUs, so that a guest writes less: auto-converge.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_CPU_THROTTLE_H
#define MIGRATION_CPU_THROTTLE_H

/* 1 to 99: the share of its time that each vCPU is kept from running. Any thread. */
void cpu_throttle_set(int percentage);
/* The guest runs freely again. Any thread. */
void cpu_throttle_stop(void);
bool cpu_throttle_active(void);
/* 0 while not active. Any thread. */
int cpu_throttle_get_percentage(void);

/*
 * After a period of a second or more on the migration thread: @sent bytes went out and @dirtied bytes
 * were written meanwhile. Throttles, or throttles more, when that cannot come to an end.
 */
void cpu_throttle_trigger(uint64_t sent, uint64_t dirtied);
/* A migration begins. */
void cpu_throttle_reset(void);

#endif
