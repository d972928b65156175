/*
 * The stream's envelope: header, configuration, sections, commands, description.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SAVEVM_H
#define MIGRATION_SAVEVM_H

#define QEMU_VM_FILE_MAGIC 0x5145564d /* "QEVM" */
#define QEMU_VM_FILE_VERSION_COMPAT 2 /* refused */
#define QEMU_VM_FILE_VERSION 3

/* First byte of every item of the stream. */
#define QEMU_VM_EOF 0x00
#define QEMU_VM_SECTION_START 0x01
#define QEMU_VM_SECTION_PART 0x02
#define QEMU_VM_SECTION_END 0x03
#define QEMU_VM_SECTION_FULL 0x04
#define QEMU_VM_SUBSECTION 0x05
#define QEMU_VM_VMDESCRIPTION 0x06
#define QEMU_VM_CONFIGURATION 0x07
#define QEMU_VM_COMMAND 0x08
#define QEMU_VM_SECTION_FOOTER 0x7e

/* Outgoing.  Results 0 or -errno with errp set; what goes wrong in the file is also its error. */
bool qemu_savevm_state_blocked(Error **errp);
int qemu_savevm_state_prepare(Error **errp);
void qemu_savevm_state_header(QEMUFile *f);
int qemu_savevm_state_setup(QEMUFile *f, Error **errp);
/* One round's share; 1 when every handler has nothing left for now, 0 when there is, or -errno. */
int qemu_savevm_state_iterate(QEMUFile *f);
void qemu_savevm_state_pending_estimate(uint64_t *must_precopy, uint64_t *can_postcopy);
void qemu_savevm_state_pending_exact(uint64_t *must_precopy, uint64_t *can_postcopy);
/* Guest stopped, BQL held. */
int qemu_savevm_state_complete_precopy_iterable(QEMUFile *f, Error **errp);
int qemu_savevm_state_complete_precopy_non_iterable(QEMUFile *f, Error **errp);
/* End mark and description.  An error means that the end mark is not out. */
int qemu_savevm_state_end(QEMUFile *f);
void qemu_savevm_state_cleanup(void);
void qemu_savevm_send_open_return_path(QEMUFile *f);
void qemu_savevm_send_ping(QEMUFile *f, uint32_t value);
void qemu_savevm_send_switchover_start(QEMUFile *f);

/* Incoming: the whole stream, on the load thread.  0 or -errno with errp naming the place. */
int qemu_loadvm_state(QEMUFile *f, Error **errp);
void qemu_loadvm_state_cleanup(void);

#endif
