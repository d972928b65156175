/*
 * SaveVMHandlers: for state that VMState cannot describe, above all state that is sent in rounds
 * while the guest runs (RAM).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_REGISTER_H
#define MIGRATION_REGISTER_H

#include "migration/vmstate-if.h"

/*
 * Any member may be NULL.  Results are 0 or -errno unless said otherwise; a reason may be left
 * in the file by qemu_file_set_error_obj().  "migration thread": without the BQL.
 */
typedef struct SaveVMHandlers {
    /* A device's state in one FULL section.  BQL, guest stopped. */
    void (*save_state)(QEMUFile *f, void *opaque);
    /* Checks before anything is sent.  Main thread, BQL. */
    int (*save_prepare)(void *opaque, Error **errp);
    /* START section.  Migration thread, BQL not held. */
    int (*save_setup)(QEMUFile *f, void *opaque, Error **errp);
    /* The migration ended, in whatever way (also when save_setup failed).  BQL. */
    void (*save_cleanup)(void *opaque);
    /* Is there anything to send at all?  NULL means yes. */
    bool (*is_active)(void *opaque);
    bool (*has_postcopy)(void *opaque);
    bool (*is_active_iterate)(void *opaque);
    /* PART section: send some; 1 when nothing is left for now, else 0.  Migration thread. */
    int (*save_live_iterate)(QEMUFile *f, void *opaque);
    /*
     * END section: send all that is left.  BQL, guest stopped. It may drop the BQL while it waits
     * for the peer, and must then notice what is changed meanwhile.
     */
    int (*save_live_complete_precopy)(QEMUFile *f, void *opaque);
    int (*save_live_complete_postcopy)(QEMUFile *f, void *opaque);
    /* Add to the bytes left: cheaply, or after asking for the dirty pages.  Migration thread. */
    void (*state_pending_estimate)(void *opaque, uint64_t *must_precopy, uint64_t *can_postcopy);
    void (*state_pending_exact)(void *opaque, uint64_t *must_precopy, uint64_t *can_postcopy);
    int (*resume_prepare)(MigrationState *s, void *opaque);
    /*
     * With capability switchover-ack: must the source wait until qemu_loadvm_approve_switchover()
     * was called for this handler?  Destination, after load_setup; BQL.
     */
    bool (*switchover_ack_needed)(void *opaque);

    /* Payload of one section, whatever its type.  Load thread; BQL only around FULL sections. */
    int (*load_state)(QEMUFile *f, void *opaque, int version_id);
    int (*load_setup)(QEMUFile *f, void *opaque, Error **errp);
    int (*load_cleanup)(void *opaque);
} SaveVMHandlers;

int register_savevm_live(const char *idstr, uint32_t instance_id, int version_id,
                         const SaveVMHandlers *ops, void *opaque);
/*
 * A handler whose switchover_ack_needed said so is ready for the switchover; once each, on the load
 * thread.  The last one lets the source know.  -EINVAL: nobody had asked for it.
 */
int qemu_loadvm_approve_switchover(void);
void unregister_savevm(VMStateIf *obj, const char *idstr, void *opaque);

#endif
