/*
 * What the rest of the program asks of migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MISC_H
#define MIGRATION_MISC_H

#include "qapi/qapi-types-migration.h"
#include "qemu/notify.h"

/* Make the migration object, after -global was parsed and before anything is registered. BQL. */
void migration_object_init(void);
/* The program ends: cancel what runs, give everything back.  BQL. */
void migration_shutdown(void);

/* -incoming (not "defer"): open the transport.  errp when it cannot be. BQL. */
void qemu_start_incoming_migration(const char *uri, bool has_channels,
                                   MigrationChannelList *channels, Error **errp);

/* -only-migratable: devices that cannot migrate are refused. */
extern bool only_migratable;

bool migration_is_idle(void);
bool migration_is_running(void);
bool migration_in_setup(MigrationState *s);
bool migration_has_finished(MigrationState *s);
bool migration_has_failed(MigrationState *s);
bool migration_in_incoming(void);
/*
 * The guest runs in postcopy, and not all of its memory is here. When the program ends then, nobody
 * may be woken who waits for a page: it would be given zeroes. So vCPUs cannot be waited for.
 */
bool migration_incoming_guest_incomplete(void);
MigrationState *migrate_get_current(void);

/* Observe the outgoing migration. */
typedef enum MigrationEventType {
    MIG_EVENT_PRECOPY_SETUP,
    MIG_EVENT_PRECOPY_DONE,
    MIG_EVENT_PRECOPY_FAILED,
    MIG_EVENT_MAX
} MigrationEventType;
typedef struct MigrationEvent {
    MigrationEventType type;
} MigrationEvent;
typedef int (*MigrationNotifyFunc)(NotifierWithReturn *notify, MigrationEvent *e, Error **errp);
void migration_add_notifier(NotifierWithReturn *notify, MigrationNotifyFunc func);
void migration_remove_notifier(NotifierWithReturn *notify);

/*
 * What the machine must tell: its type name, which the stream carries and the destination
 * compares.  Kept, not copied.
 */
void migration_set_machine_name(const char *name);
/* Whether a description of the devices ends the stream, which is so unless this is called.  BQL. */
void migration_set_send_vmdesc(bool send);

#endif
