/*
 * Throttling vCPUs, so that a guest writes less: auto-converge, and the place where a vCPU sleeps
 * for dirty-limit as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_CPU_THROTTLE_H
#define MIGRATION_CPU_THROTTLE_H

/* Out of each stretch of time a throttled vCPU runs this long, in nanoseconds. */
#define CPU_THROTTLE_SLICE_NS 10000000

/* 1 to 99: the share of its time that each vCPU is kept from running. Takes the BQL if needed. */
void cpu_throttle_set(int percentage);
/* The guest runs freely again, from now on; vCPUs that sleep wake. Takes the BQL where needed. */
void cpu_throttle_stop(void);
bool cpu_throttle_active(void);
/* 0 while not active. Any thread. */
int cpu_throttle_get_percentage(void);
/* Nanoseconds that a vCPU sleeps so that it can run for one slice in the rest of the time. */
int64_t cpu_throttle_sleep_ns(int percentage);
/*
 * The percentage that follows @now (0: not throttled yet), where @dirtied bytes were written and
 * @threshold would have been few enough. By the parameters of migration.
 */
int cpu_throttle_next_percentage(int now, uint64_t dirtied, uint64_t threshold);

/*
 * After a period of a second or more on the migration thread: @sent bytes went out and @dirtied
 * bytes were written meanwhile. Throttles or limits, or throttles more, when that cannot come to
 * an end.
 */
void cpu_throttle_trigger(uint64_t sent, uint64_t dirtied);
/*
 * Is it time to look for written pages in the midst of a pass, to see whether throttling suffices?
 * Migration thread.
 */
bool cpu_throttle_wants_sync(int64_t last_sync_ms, int64_t now_ms);
/* A migration begins. */
void cpu_throttle_reset(void);

/* dirtylimit.c: throttling by limits is on, or off, which wakes vCPUs that sleep. BQL. */
void cpu_throttle_limits_changed(bool on);

#endif
