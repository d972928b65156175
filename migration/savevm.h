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
#define QEMU_VM_COMMAND_HEADER 5 /* bytes: this, number and length */
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
/* @postcopy: of those only whose rest cannot follow when the guest has moved. */
int qemu_savevm_state_complete_precopy_iterable(QEMUFile *f, bool postcopy, Error **errp);
int qemu_savevm_state_complete_precopy_non_iterable(QEMUFile *f, Error **errp);
/* End mark and description.  An error means that the end mark is not out. */
int qemu_savevm_state_end(QEMUFile *f);
/* In postcopy: a section of handler @idstr whose payload the caller writes in between. */
void qemu_savevm_section_begin(QEMUFile *f, const char *idstr, uint8_t type);
void qemu_savevm_section_end(QEMUFile *f, const char *idstr);
void qemu_savevm_state_cleanup(void);
void qemu_savevm_send_open_return_path(QEMUFile *f);
void qemu_savevm_send_ping(QEMUFile *f, uint32_t value);
void qemu_savevm_send_switchover_start(QEMUFile *f);
void qemu_savevm_send_postcopy_advise(QEMUFile *f);
/* @pairs: @npairs times start and length in bytes; does not flush. */
#define POSTCOPY_DISCARD_PAIRS 12
void qemu_savevm_send_postcopy_ram_discard(QEMUFile *f, const char *block, const uint64_t *pairs,
                                           unsigned npairs);
void qemu_savevm_send_postcopy_listen(QEMUFile *f);
/* Part of a package or not: does not flush. */
void qemu_savevm_put_postcopy_run(QEMUFile *f);
/*
 * What has @len bytes, of which the last may be left to the caller, is a stream of its own. No
 * flush.
 */
void qemu_savevm_put_packaged(QEMUFile *f, uint32_t len);
void qemu_savevm_send_postcopy_resume(QEMUFile *f);
void qemu_savevm_send_recv_bitmap(QEMUFile *f, const char *block);

/*
 * Incoming: the whole stream, on the load thread.  0 or -errno with errp naming the place; 1: the
 * guest is loaded, and the rest comes in postcopy, by other threads.
 */
int qemu_loadvm_state(QEMUFile *f, Error **errp);
void qemu_loadvm_state_cleanup(void);

#endif
