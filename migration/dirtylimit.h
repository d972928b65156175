/*
 * Limits of how fast single vCPUs write, by the accelerator's dirty rings.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_DIRTYLIMIT_H
#define MIGRATION_DIRTYLIMIT_H

struct CPUState;

/* Can this machine do it at all? */
bool dirtylimit_available(void);
/* Is any vCPU limited, by a user or by migration? Any thread. */
bool dirtylimit_in_service(void);
/* Capability dirty-limit: the parameter vcpu-dirty-limit holds for every vCPU; false: no more. Any
 * thread. */
bool dirtylimit_migration_start(Error **errp);
void dirtylimit_migration_stop(void);
/* vcpu-dirty-limit has changed. BQL. */
void dirtylimit_migration_update(void);

/*
 * On the vCPU's thread, BQL: charge it for what it wrote since it was last asked. Returns until
 * when it has to sleep (ns, QEMU_CLOCK_REALTIME), a time that has passed where it has not.
 */
int64_t dirtylimit_charge(struct CPUState *cpu, int64_t now);
/* It slept so long for that. */
void dirtylimit_slept(struct CPUState *cpu, int64_t ns);

/* For query-migrate, microseconds: the longest sleep of a vCPU for each full ring; how long rings
 * take to fill (0: nothing is written). */
uint64_t dirtylimit_throttle_time_per_round(void);
uint64_t dirtylimit_ring_full_time(void);

/* The arithmetic of it; see dirtylimit.c. */
typedef struct DirtyDebt {
    uint64_t limit;   /* bytes a second; 0: none */
    int64_t until;    /* when what was written is paid for, ns */
} DirtyDebt;
int64_t dirtylimit_debt_add(DirtyDebt *debt, uint64_t bytes, int64_t now);

#endif
