/*
 * Who has state to move: devices (described by a VMStateDescription) and handlers (RAM).  They are
 * kept in the order in which they go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "savevm-internal.h"

bool only_migratable;

SaveStateEntries savevm_handlers = QTAILQ_HEAD_INITIALIZER(savevm_handlers);
/*
 * Not from 0: QEMU takes a part of section 0 for that of the first of its own handlers that has not
 * begun yet (seen with 7.2).
 */
static uint32_t next_section_id = 1;

static MigrationPriority entry_priority(const SaveStateEntry *se)
{
    return se->vmsd ? se->vmsd->priority : MIG_PRI_DEFAULT;
}

/* Behind those of the same priority, before those of lower priority. */
static void insert_entry(SaveStateEntry *se)
{
    SaveStateEntry *other;

    QTAILQ_FOREACH(other, &savevm_handlers, entry) {
        if (entry_priority(other) < entry_priority(se)) {
            QTAILQ_INSERT_BEFORE(other, se, entry);
            return;
        }
    }
    QTAILQ_INSERT_TAIL(&savevm_handlers, se, entry);
}

static uint32_t next_instance_id(const char *idstr, bool compat)
{
    SaveStateEntry *se;
    uint32_t id = 0;

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (compat ? se->compat_idstr && g_str_equal(se->compat_idstr, idstr) &&
                         se->compat_instance_id >= id
                   : g_str_equal(se->idstr, idstr) && se->instance_id >= id) {
            id = (compat ? se->compat_instance_id : se->instance_id) + 1;
        }
    }
    return id;
}

SaveStateEntry *savevm_find_entry(const char *idstr, uint32_t instance_id)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (g_str_equal(se->idstr, idstr) &&
            (se->instance_id == instance_id ||
             (se->alias_id >= 0 && se->alias_id == (int)instance_id))) {
            return se;
        }
    }
    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (se->compat_idstr && g_str_equal(se->compat_idstr, idstr) &&
            se->compat_instance_id == instance_id) {
            return se;
        }
    }
    return NULL;
}

int register_savevm_live(const char *idstr, uint32_t instance_id, int version_id,
                         const SaveVMHandlers *ops, void *opaque)
{
    SaveStateEntry *se = g_new0(SaveStateEntry, 1);

    se->version_id = version_id;
    se->section_id = next_section_id++;
    se->ops = ops;
    se->opaque = opaque;
    se->alias_id = -1;
    g_strlcpy(se->idstr, idstr, sizeof(se->idstr));
    se->instance_id = instance_id == (uint32_t)VMSTATE_INSTANCE_ID_ANY
                          ? next_instance_id(idstr, false) : instance_id;
    assert(!savevm_find_entry(se->idstr, se->instance_id));
    insert_entry(se);
    return 0;
}

static void free_entry(SaveStateEntry *se)
{
    QTAILQ_REMOVE(&savevm_handlers, se, entry);
    g_free(se->compat_idstr);
    g_free(se);
}

void unregister_savevm(VMStateIf *obj, const char *idstr, void *opaque)
{
    g_autofree char *path = vmstate_if_get_id(obj);
    g_autofree char *full = path ? g_strdup_printf("%s/%s", path, idstr) : g_strdup(idstr);
    SaveStateEntry *se, *next;

    QTAILQ_FOREACH_SAFE(se, &savevm_handlers, entry, next) {
        if (g_str_equal(se->idstr, full) && se->opaque == opaque) {
            free_entry(se);
        }
    }
}

bool vmstate_check_only_migratable(const VMStateDescription *vmsd)
{
    return !(only_migratable && vmsd && vmsd->unmigratable);
}

int vmstate_register_with_alias_id(VMStateIf *obj, uint32_t instance_id,
                                   const VMStateDescription *vmsd, void *base, int alias_id,
                                   int required_for_version, Error **errp)
{
    g_autofree char *path = vmstate_if_get_id(obj);
    SaveStateEntry *se;

    if (!vmstate_check_only_migratable(vmsd)) {
        error_setg(errp, "Device %s is not migratable, but --only-migratable was specified",
                   vmsd->name);
        return -1;
    }
    if ((path ? strlen(path) + 1 : 0) + strlen(vmsd->name) >= sizeof(se->idstr)) {
        error_setg(errp, "Path too long for VMState (%s/%s)", path ? path : "", vmsd->name);
        return -1;
    }
    assert(alias_id == -1 || required_for_version >= vmsd->minimum_version_id);

    se = g_new0(SaveStateEntry, 1);
    se->version_id = vmsd->version_id;
    se->section_id = next_section_id++;
    se->opaque = base;
    se->vmsd = vmsd;
    se->alias_id = alias_id;
    if (path) {
        snprintf(se->idstr, sizeof(se->idstr), "%s/%s", path, vmsd->name);
        se->compat_idstr = g_strdup(vmsd->name);
        se->compat_instance_id = instance_id == (uint32_t)VMSTATE_INSTANCE_ID_ANY
                                     ? next_instance_id(vmsd->name, true) : instance_id;
        instance_id = VMSTATE_INSTANCE_ID_ANY; /* the path makes it unique */
    } else {
        g_strlcpy(se->idstr, vmsd->name, sizeof(se->idstr));
    }
    se->instance_id = instance_id == (uint32_t)VMSTATE_INSTANCE_ID_ANY
                          ? next_instance_id(se->idstr, false) : instance_id;
    insert_entry(se);
    return 0;
}

void vmstate_unregister(VMStateIf *obj, const VMStateDescription *vmsd, void *opaque)
{
    SaveStateEntry *se, *next;

    QTAILQ_FOREACH_SAFE(se, &savevm_handlers, entry, next) {
        if (se->vmsd == vmsd && se->opaque == opaque) {
            free_entry(se);
        }
    }
}
