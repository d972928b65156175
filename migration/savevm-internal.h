/*
 * What the files of the stream's envelope (savevm*.c) share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SAVEVM_INTERNAL_H
#define MIGRATION_SAVEVM_INTERNAL_H

#include "migration/json-writer.h"
#include "migration/misc.h"
#include "migration/register.h"
#include "migration/vmstate.h"

/* Somebody with state: a device described by vmsd, or handlers. */
typedef struct SaveStateEntry {
    QTAILQ_ENTRY(SaveStateEntry) entry;
    char idstr[256];
    uint32_t instance_id;
    int alias_id;
    int version_id;
    uint32_t section_id;         /* ours, when saving */
    int load_version_id;         /* the stream's, since its START or FULL */
    uint32_t load_section_id;
    bool load_started, load_ended;
    const SaveVMHandlers *ops;
    const VMStateDescription *vmsd;
    void *opaque;
    /* Earlier name (without the device's path) under which old streams know it. */
    char *compat_idstr;
    uint32_t compat_instance_id;
} SaveStateEntry;

/* savevm-handlers.c: in the order in which they are saved.  Under the BQL; does not change while a
 * migration runs. */
typedef QTAILQ_HEAD(SaveStateEntries, SaveStateEntry) SaveStateEntries;
extern SaveStateEntries savevm_handlers;
/* By its name or an earlier one; NULL: no such. */
SaveStateEntry *savevm_find_entry(const char *idstr, uint32_t instance_id);

/* savevm-config.c: machine type and the like.  The writer is qemu_savevm_state_header(). */
int qemu_loadvm_state_header(QEMUFile *f, Error **errp);

/* savevm.c: the description of what is being saved, until it is sent. */
extern JSONWriter *savevm_vmdesc;

/* Whose sections and commands are read. */
typedef struct LoadContext {
    enum {
        LOAD_PRECOPY,           /* the stream from its beginning; the load thread */
        LOAD_PACKAGE,           /* what PACKAGED brought; the load thread */
        LOAD_POSTCOPY,          /* the stream behind the package; the listen thread */
    } mode;
    uint64_t end;               /* package: its length */
} LoadContext;

/* The package is loaded: the load thread has nothing more to do. */
#define LOADVM_QUIT 1

/*
 * savevm.c: up to the end of the stream, or package. 0, LOADVM_QUIT, or -errno with errp naming the
 * place.
 */
int qemu_loadvm_sections(QEMUFile *f, const LoadContext *ctx, Error **errp);

/* savevm-command.c: the rest of a command, which is then carried out. Result as above. */
int qemu_loadvm_command(QEMUFile *f, const LoadContext *ctx, Error **errp);

#endif
