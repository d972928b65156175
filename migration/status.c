/*
 * MigrationStatus: the one table of legal transitions, for the outgoing and the incoming side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "options.h"
#include "qapi/qapi-events-migration.h"
#include "qemu/atomic.h"
#include "qemu/trace.h"

TRACE_EVENT(migrate_set_state);

/*
 * A change and its event are one step, else the events of two threads could arrive in another order
 * than the changes. States are read without it. Nothing but the monitors' locks is taken inside.
 */
static GMutex change_lock;

#define S(name) (1u << MIGRATION_STATUS_##name)

/* From each status, the ones that may follow. */
static const uint32_t next_states[MIGRATION_STATUS__MAX] = {
    [MIGRATION_STATUS_NONE] = S(SETUP),
    [MIGRATION_STATUS_SETUP] = S(ACTIVE) | S(FAILED) | S(CANCELLING) | S(WAIT_UNPLUG),
    [MIGRATION_STATUS_WAIT_UNPLUG] = S(ACTIVE) | S(FAILED) | S(CANCELLING),
    [MIGRATION_STATUS_ACTIVE] = S(DEVICE) | S(PRE_SWITCHOVER) | S(COMPLETED) | S(FAILED) |
                                S(CANCELLING) | S(POSTCOPY_ACTIVE) | S(COLO),
    [MIGRATION_STATUS_PRE_SWITCHOVER] = S(DEVICE) | S(FAILED) | S(CANCELLING),
    [MIGRATION_STATUS_DEVICE] = S(COMPLETED) | S(FAILED) | S(CANCELLING) | S(POSTCOPY_ACTIVE),
    [MIGRATION_STATUS_POSTCOPY_ACTIVE] = S(COMPLETED) | S(FAILED) | S(POSTCOPY_PAUSED),
    /* Cancelled only by the source, where the guest may still be taken back. */
    [MIGRATION_STATUS_POSTCOPY_PAUSED] = S(POSTCOPY_RECOVER_SETUP) | S(POSTCOPY_RECOVER) |
                                         S(FAILED) | S(CANCELLING),
    [MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP] = S(POSTCOPY_RECOVER) | S(POSTCOPY_PAUSED),
    /* Failed: the destination says that it never loaded the devices. */
    [MIGRATION_STATUS_POSTCOPY_RECOVER] = S(POSTCOPY_ACTIVE) | S(POSTCOPY_PAUSED) | S(FAILED),
    [MIGRATION_STATUS_COLO] = S(COMPLETED) | S(FAILED),
    [MIGRATION_STATUS_CANCELLING] = S(CANCELLED),
    /* An ended migration makes room for the next one. */
    [MIGRATION_STATUS_CANCELLED] = S(SETUP) | S(NONE),
    [MIGRATION_STATUS_FAILED] = S(SETUP) | S(NONE),
    [MIGRATION_STATUS_COMPLETED] = S(SETUP) | S(NONE),
};

bool migration_transition_allowed(MigrationStatus from, MigrationStatus to)
{
    return next_states[from] & (1u << to);
}

bool migrate_set_state(int *state, MigrationStatus old_state, MigrationStatus new_state)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&change_lock);

    assert(migration_transition_allowed(old_state, new_state));
    if (qatomic_cmpxchg(state, (int)old_state, (int)new_state) != (int)old_state) {
        return false;
    }
    trace(migrate_set_state, "%s -> %s", MigrationStatus_str(old_state),
          MigrationStatus_str(new_state));
    if (migrate_events()) {
        qapi_event_send_migration(new_state);
    }
    return true;
}
