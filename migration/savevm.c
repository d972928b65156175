/*
 * The stream's envelope: who has state to move (handlers and devices), in which sections it goes,
 * and the commands between them.  Writer and reader of each item stand side by side.
 *
 * Wire form: docs/stream-format.md, sections 1, 2 and 5.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "migration/json-writer.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/register.h"
#include "migration/vmstate.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "qemu/uuid.h"
#include "savevm.h"
#include "system/cpus.h"
#include "system/ramblock.h"

TRACE_EVENT(savevm_section_start);
TRACE_EVENT(savevm_section_end);
TRACE_EVENT(loadvm_section);
TRACE_EVENT(loadvm_command);

bool only_migratable;

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

/* Under the BQL; does not change while a migration runs. */
static QTAILQ_HEAD(, SaveStateEntry) handlers = QTAILQ_HEAD_INITIALIZER(handlers);
/*
 * Not from 0: QEMU takes a part of section 0 for that of the first of its own handlers that has not
 * begun yet (seen with 7.2).
 */
static uint32_t next_section_id = 1;
static const char *machine_name = "none";

/* The description of the devices being saved, until it is sent. */
static JSONWriter *vmdesc;

void migration_set_machine_name(const char *name)
{
    machine_name = name;
}

static MigrationPriority entry_priority(const SaveStateEntry *se)
{
    return se->vmsd ? se->vmsd->priority : MIG_PRI_DEFAULT;
}

/* Behind those of the same priority, before those of lower priority. */
static void insert_entry(SaveStateEntry *se)
{
    SaveStateEntry *other;

    QTAILQ_FOREACH(other, &handlers, entry) {
        if (entry_priority(other) < entry_priority(se)) {
            QTAILQ_INSERT_BEFORE(other, se, entry);
            return;
        }
    }
    QTAILQ_INSERT_TAIL(&handlers, se, entry);
}

static uint32_t next_instance_id(const char *idstr, bool compat)
{
    SaveStateEntry *se;
    uint32_t id = 0;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (compat ? se->compat_idstr && g_str_equal(se->compat_idstr, idstr) &&
                         se->compat_instance_id >= id
                   : g_str_equal(se->idstr, idstr) && se->instance_id >= id) {
            id = (compat ? se->compat_instance_id : se->instance_id) + 1;
        }
    }
    return id;
}

static SaveStateEntry *find_entry(const char *idstr, uint32_t instance_id)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (g_str_equal(se->idstr, idstr) &&
            (se->instance_id == instance_id ||
             (se->alias_id >= 0 && se->alias_id == (int)instance_id))) {
            return se;
        }
    }
    QTAILQ_FOREACH(se, &handlers, entry) {
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
    assert(!find_entry(se->idstr, se->instance_id));
    insert_entry(se);
    return 0;
}

static void free_entry(SaveStateEntry *se)
{
    QTAILQ_REMOVE(&handlers, se, entry);
    g_free(se->compat_idstr);
    g_free(se);
}

void unregister_savevm(VMStateIf *obj, const char *idstr, void *opaque)
{
    g_autofree char *path = vmstate_if_get_id(obj);
    g_autofree char *full = path ? g_strdup_printf("%s/%s", path, idstr) : g_strdup(idstr);
    SaveStateEntry *se, *next;

    QTAILQ_FOREACH_SAFE(se, &handlers, entry, next) {
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

    QTAILQ_FOREACH_SAFE(se, &handlers, entry, next) {
        if (se->vmsd == vmsd && se->opaque == opaque) {
            free_entry(se);
        }
    }
}

/* Commands: writer; the reader is load_command(). */

enum qemu_vm_cmd {
    MIG_CMD_INVALID = 0,
    MIG_CMD_OPEN_RETURN_PATH,
    MIG_CMD_PING,
    MIG_CMD_POSTCOPY_ADVISE,
    MIG_CMD_POSTCOPY_LISTEN,
    MIG_CMD_POSTCOPY_RUN,
    MIG_CMD_POSTCOPY_RAM_DISCARD,
    MIG_CMD_PACKAGED,
    MIG_CMD_ENABLE_COLO,
    MIG_CMD_POSTCOPY_RESUME,
    MIG_CMD_RECV_BITMAP,
    MIG_CMD_SWITCHOVER_START,
    MIG_CMD_MAX
};

static const struct {
    const char *name;
    int len; /* of its data; -1: varies */
} commands[MIG_CMD_MAX] = {
    [MIG_CMD_INVALID] = {"INVALID", -1},
    [MIG_CMD_OPEN_RETURN_PATH] = {"OPEN_RETURN_PATH", 0},
    [MIG_CMD_PING] = {"PING", 4},
    [MIG_CMD_POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", -1},
    [MIG_CMD_POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", 0},
    [MIG_CMD_POSTCOPY_RUN] = {"POSTCOPY_RUN", 0},
    [MIG_CMD_POSTCOPY_RAM_DISCARD] = {"POSTCOPY_RAM_DISCARD", -1},
    [MIG_CMD_PACKAGED] = {"PACKAGED", 4},
    [MIG_CMD_ENABLE_COLO] = {"ENABLE_COLO", 0},
    [MIG_CMD_POSTCOPY_RESUME] = {"POSTCOPY_RESUME", 0},
    [MIG_CMD_RECV_BITMAP] = {"RECV_BITMAP", -1},
    [MIG_CMD_SWITCHOVER_START] = {"SWITCHOVER_START", 0},
};

static void send_command(QEMUFile *f, enum qemu_vm_cmd cmd, uint16_t len, const void *data)
{
    qemu_put_byte(f, QEMU_VM_COMMAND);
    qemu_put_be16(f, cmd);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, data, len);
    qemu_fflush(f); /* the peer is to act on it now */
}

void qemu_savevm_send_open_return_path(QEMUFile *f)
{
    send_command(f, MIG_CMD_OPEN_RETURN_PATH, 0, NULL);
}

void qemu_savevm_send_ping(QEMUFile *f, uint32_t value)
{
    uint32_t be = cpu_to_be32(value);

    send_command(f, MIG_CMD_PING, sizeof(be), &be);
}

void qemu_savevm_send_switchover_start(QEMUFile *f)
{
    if (migrate_send_switchover_start()) {
        send_command(f, MIG_CMD_SWITCHOVER_START, 0, NULL);
    }
}

static int load_command(QEMUFile *f, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    uint16_t cmd = qemu_get_be16(f), len = qemu_get_be16(f);

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (cmd == MIG_CMD_INVALID || cmd >= MIG_CMD_MAX) {
        error_setg(errp, "command 0x%x (with 0x%x bytes of data) is unknown", cmd, len);
        return -EINVAL;
    }
    trace(loadvm_command, "%s len %u", commands[cmd].name, len);
    if (commands[cmd].len != -1 && commands[cmd].len != len) {
        error_setg(errp, "command %s has %u bytes of data, expected %d", commands[cmd].name, len,
                   commands[cmd].len);
        return -EINVAL;
    }
    switch (cmd) {
    case MIG_CMD_OPEN_RETURN_PATH: {
        int ret = migration_incoming_open_return_path(mis, errp);

        if (!ret && migrate_switchover_ack() && !mis->switchover_ack_pending) {
            migrate_send_rp_switchover_ack(mis); /* no device wants to be waited for */
        }
        return ret;
    }
    case MIG_CMD_PING: {
        uint32_t value = qemu_get_be32(f);

        if (qemu_file_get_error_obj(f, errp)) {
            return -EIO;
        }
        if (!mis->to_src_file) {
            error_setg(errp, "command PING (0x%x) came, but no return path is open", value);
            return -EINVAL;
        }
        migrate_send_rp_pong(mis, value);
        return 0;
    }
    case MIG_CMD_SWITCHOVER_START:
        /* From here on the source's guest is stopped. */
        return 0;
    default:
        error_setg(errp, "command %s came, but what it belongs to (%s) is not built in",
                   commands[cmd].name,
                   cmd == MIG_CMD_ENABLE_COLO ? "COLO" : "postcopy");
        return -ENOTSUP;
    }
}

/*
 * Who wants the source to wait for an acknowledgement before the switchover (a device that has much
 * to do with what it gets first).
 */
static unsigned count_switchover_acks(void)
{
    SaveStateEntry *se;
    unsigned n = 0;

    QTAILQ_FOREACH(se, &handlers, entry) {
        n += se->ops && se->ops->switchover_ack_needed &&
             se->ops->switchover_ack_needed(se->opaque);
    }
    return n;
}

int qemu_loadvm_approve_switchover(void)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (!mis->switchover_ack_pending) {
        return -EINVAL;
    }
    mis->switchover_ack_pending--;
    if (!mis->switchover_ack_pending && migrate_switchover_ack()) {
        migrate_send_rp_switchover_ack(mis);
    }
    return 0;
}

/* Configuration: what the two sides must agree on before anything else. */

typedef struct SaveState {
    uint32_t len;
    const char *name;
    uint32_t target_page_bits;
    uint32_t caps_count;
    MigrationCapability *capabilities;
    QemuUUID uuid;
    bool uuid_received;
} SaveState;

/* Capabilities that change the form of the stream, so that both sides must have them. */
static bool should_validate_capability(MigrationCapability cap)
{
    return cap == MIGRATION_CAPABILITY_X_IGNORE_SHARED || cap == MIGRATION_CAPABILITY_MAPPED_RAM;
}

static int configuration_pre_save(void *opaque)
{
    SaveState *state = opaque;

    state->name = machine_name;
    state->len = strlen(machine_name);
    state->target_page_bits = qemu_target_page_bits();
    state->caps_count = 0;
    state->capabilities = g_renew(MigrationCapability, state->capabilities,
                                  MIGRATION_CAPABILITY__MAX);
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        if (should_validate_capability(i) && migrate_capability(i)) {
            state->capabilities[state->caps_count++] = i;
        }
    }
    state->uuid = qemu_uuid;
    return 0;
}

static int configuration_post_save(void *opaque)
{
    SaveState *state = opaque;

    g_clear_pointer(&state->capabilities, g_free);
    return 0;
}

/* Before the subsections are read: what holds when they are absent. */
static int configuration_pre_load(void *opaque)
{
    SaveState *state = opaque;

    state->target_page_bits = 12;
    return 0;
}

static bool configuration_caps_needed(void *opaque)
{
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        if (should_validate_capability(i) && migrate_capability(i)) {
            return true;
        }
    }
    return false;
}

static int put_capability(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                          JSONWriter *desc)
{
    qemu_put_counted_string(f, MigrationCapability_str(*(MigrationCapability *)pv));
    return 0;
}

static int get_capability(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    char name[256];
    size_t len = qemu_get_counted_string(f, name);
    Error *err = NULL;
    int cap;

    if (qemu_file_get_error(f)) {
        return -EIO;
    }
    cap = len == strlen(name) ? qapi_enum_parse(&MigrationCapability_lookup, name, -1, NULL) : -1;
    if (cap < 0) {
        error_setg(&err, "the source has capability '%s', which is unknown here", name);
        qemu_file_set_error_obj(f, -EINVAL, err);
        return -EINVAL;
    }
    *(MigrationCapability *)pv = cap;
    return 0;
}

static const VMStateInfo vmstate_info_capability = {
    .name = "capability", .get = get_capability, .put = put_capability,
};

static const VMStateDescription vmstate_configuration_caps = {
    .name = "configuration/capabilities",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = configuration_caps_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32_V(caps_count, SaveState, 1),
        VMSTATE_VARRAY_UINT32_ALLOC(capabilities, SaveState, caps_count, 1,
                                    vmstate_info_capability, MigrationCapability),
        VMSTATE_END_OF_LIST()
    },
};

static bool target_page_bits_needed(void *opaque)
{
    return qemu_target_page_bits() > 12; /* streams without it mean 4 KiB */
}

static const VMStateDescription vmstate_target_page_bits = {
    .name = "configuration/target-page-bits",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = target_page_bits_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(target_page_bits, SaveState),
        VMSTATE_END_OF_LIST()
    },
};

static bool uuid_needed(void *opaque)
{
    return qemu_uuid_set && migrate_validate_uuid();
}

static int uuid_post_load(void *opaque, int version_id)
{
    SaveState *state = opaque;

    state->uuid_received = true;
    return 0;
}

static const VMStateDescription vmstate_uuid = {
    .name = "configuration/uuid",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = uuid_needed,
    .post_load = uuid_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8_ARRAY_V(uuid.data, SaveState, sizeof(QemuUUID), 1),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_configuration = {
    .name = "configuration",
    .version_id = 1,
    .pre_load = configuration_pre_load,
    .pre_save = configuration_pre_save,
    .post_save = configuration_post_save,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(len, SaveState),
        VMSTATE_VBUFFER_ALLOC_UINT32(name, SaveState, 0, NULL, len),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){
        &vmstate_target_page_bits,
        &vmstate_configuration_caps,
        &vmstate_uuid,
        NULL
    },
};

void qemu_savevm_state_header(QEMUFile *f)
{
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, QEMU_VM_FILE_VERSION);

    /* The description begins here: the configuration is its first part. */
    g_clear_pointer(&vmdesc, json_writer_free);
    vmdesc = json_writer_new(false);
    json_writer_start_object(vmdesc, NULL);
    if (migrate_send_configuration()) {
        SaveState state = {};

        json_writer_start_object(vmdesc, "configuration");
        qemu_put_byte(f, QEMU_VM_CONFIGURATION);
        vmstate_save_state(f, &vmstate_configuration, &state, vmdesc);
        json_writer_end_object(vmdesc);
    }
}

/* The name may be at most this long; a longer one is not a machine type. */
#define MACHINE_NAME_MAX 256

static int check_configuration(SaveState *state, Error **errp)
{
    size_t len = strlen(machine_name);

    if (state->len != len || memcmp(state->name, machine_name, len)) {
        error_setg(errp, "Machine type received is '%.*s' and local is '%s'", (int)state->len,
                   state->name ? state->name : "", machine_name);
        return -EINVAL;
    }
    if (state->target_page_bits != (uint32_t)qemu_target_page_bits()) {
        error_setg(errp, "Received TARGET_PAGE_BITS is %u but local is %d",
                   state->target_page_bits, qemu_target_page_bits());
        return -EINVAL;
    }
    if (state->uuid_received && !qemu_uuid_set) {
        g_autofree char *theirs = qemu_uuid_unparse_strdup(&state->uuid);

        warn_report("UUID is received %s, but local uuid isn't set", theirs);
    }
    if (state->uuid_received && qemu_uuid_set && !qemu_uuid_is_equal(&state->uuid, &qemu_uuid)) {
        g_autofree char *theirs = qemu_uuid_unparse_strdup(&state->uuid);
        g_autofree char *ours = qemu_uuid_unparse_strdup(&qemu_uuid);

        error_setg(errp, "UUID received is %s and local is %s", theirs, ours);
        return -EINVAL;
    }
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        bool theirs = false;

        if (!should_validate_capability(i)) {
            continue;
        }
        for (uint32_t j = 0; j < state->caps_count; j++) {
            theirs |= (int)state->capabilities[j] == i;
        }
        if (theirs != migrate_capability(i)) {
            error_setg(errp, "Capability %s is %s, but received capability is %s",
                       MigrationCapability_str(i), theirs ? "off" : "on",
                       theirs ? "on" : "off");
            return -EINVAL;
        }
    }
    return 0;
}

static int load_header(QEMUFile *f, Error **errp)
{
    uint32_t magic = qemu_get_be32(f), version = qemu_get_be32(f);
    SaveState state = {};
    uint8_t *p;
    int ret;

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (magic != QEMU_VM_FILE_MAGIC) {
        error_setg(errp, "Not a migration stream: it begins with 0x%08x, expected 0x%08x (\"QEVM\")",
                   magic, QEMU_VM_FILE_MAGIC);
        return -EINVAL;
    }
    if (version == QEMU_VM_FILE_VERSION_COMPAT) {
        error_setg(errp, "Stream format version 2 is obsolete and not supported");
        return -ENOTSUP;
    }
    if (version != QEMU_VM_FILE_VERSION) {
        error_setg(errp, "Unsupported stream format version %u, expected %u", version,
                   QEMU_VM_FILE_VERSION);
        return -ENOTSUP;
    }
    if (!migrate_send_configuration()) {
        return 0;
    }
    if (qemu_get_byte(f) != QEMU_VM_CONFIGURATION) {
        if (!qemu_file_get_error_obj(f, errp)) {
            error_setg(errp, "Configuration section missing: is send-configuration off on the "
                       "source?");
        }
        return -EINVAL;
    }
    if (qemu_peek_buffer(f, &p, 4, 0) == 4 && ldl_be_p(p) > MACHINE_NAME_MAX) {
        error_setg(errp, "configuration: machine type name of %u bytes, at most %d are possible",
                   ldl_be_p(p), MACHINE_NAME_MAX);
        return -EINVAL;
    }
    ret = vmstate_load_state_err(f, &vmstate_configuration, &state, 0, errp);
    if (!ret) {
        ret = check_configuration(&state, errp);
    }
    g_free((char *)state.name);
    g_free(state.capabilities);
    return ret;
}

/* Sections: writer. */

static void save_section_header(QEMUFile *f, SaveStateEntry *se, uint8_t type)
{
    trace(savevm_section_start, "type %u id %u %s", type, se->section_id, se->idstr);
    qemu_put_byte(f, type);
    qemu_put_be32(f, se->section_id);
    if (type == QEMU_VM_SECTION_FULL || type == QEMU_VM_SECTION_START) {
        qemu_put_counted_string(f, se->idstr);
        qemu_put_be32(f, se->instance_id);
        qemu_put_be32(f, se->version_id);
    }
}

static void save_section_footer(QEMUFile *f, SaveStateEntry *se)
{
    if (migrate_send_section_footer()) {
        qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
        qemu_put_be32(f, se->section_id);
    }
    trace(savevm_section_end, "id %u %s", se->section_id, se->idstr);
}

static bool entry_active(const SaveStateEntry *se)
{
    return se->ops && (!se->ops->is_active || se->ops->is_active(se->opaque));
}

bool qemu_savevm_state_blocked(Error **errp)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->vmsd && se->vmsd->unmigratable) {
            error_setg(errp, "State blocked by non-migratable device '%s'", se->idstr);
            return true;
        }
    }
    return false;
}

int qemu_savevm_state_prepare(Error **errp)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (entry_active(se) && se->ops->save_prepare) {
            int ret = se->ops->save_prepare(se->opaque, errp);

            if (ret) {
                return ret;
            }
        }
    }
    return 0;
}

/* One device in a FULL section, with its part of the description. */
static int save_device(QEMUFile *f, SaveStateEntry *se, Error **errp)
{
    int ret = 0;

    if (se->vmsd && !vmstate_section_needed(se->vmsd, se->opaque)) {
        return 0;
    }
    json_writer_start_object(vmdesc, NULL);
    json_writer_str(vmdesc, "name", se->idstr);
    json_writer_int64(vmdesc, "instance_id", se->instance_id);
    save_section_header(f, se, QEMU_VM_SECTION_FULL);
    if (se->vmsd) {
        ret = vmstate_save_state_with_err(f, se->vmsd, se->opaque, vmdesc, errp);
    } else {
        uint64_t before = qemu_file_transferred(f);

        se->ops->save_state(f, se->opaque);
        json_writer_int64(vmdesc, "size", qemu_file_transferred(f) - before);
        json_writer_start_array(vmdesc, "fields");
        json_writer_start_object(vmdesc, NULL);
        json_writer_str(vmdesc, "name", "data");
        json_writer_int64(vmdesc, "size", qemu_file_transferred(f) - before);
        json_writer_str(vmdesc, "type", "buffer");
        json_writer_end_object(vmdesc);
        json_writer_end_array(vmdesc);
    }
    save_section_footer(f, se);
    json_writer_end_object(vmdesc);
    if (ret) {
        error_prepend(errp, "section '%s' instance %u: ", se->idstr, se->instance_id);
    }
    return ret;
}

int qemu_savevm_state_setup(QEMUFile *f, Error **errp)
{
    ERRP_GUARD();
    SaveStateEntry *se;
    int ret;

    json_writer_int64(vmdesc, "page_size", qemu_target_page_size());
    json_writer_start_array(vmdesc, "devices");

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->vmsd && se->vmsd->early_setup) {
            BQL_LOCK_GUARD();

            ret = save_device(f, se, errp);
            if (ret) {
                qemu_file_set_error_obj(f, ret, error_copy(*errp));
                return ret;
            }
            continue;
        }
        if (!entry_active(se) || !se->ops->save_setup) {
            continue;
        }
        save_section_header(f, se, QEMU_VM_SECTION_START);
        ret = se->ops->save_setup(f, se->opaque, errp);
        save_section_footer(f, se);
        if (ret < 0) {
            if (!*errp) {
                error_setg_errno(errp, -ret, "set-up failed");
            }
            error_prepend(errp, "section '%s': ", se->idstr);
            qemu_file_set_error_obj(f, ret, error_copy(*errp));
            return ret;
        }
    }
    qemu_fflush(f);
    return qemu_file_get_error_obj(f, errp);
}

int qemu_savevm_state_iterate(QEMUFile *f)
{
    SaveStateEntry *se;
    bool done = true;

    QTAILQ_FOREACH(se, &handlers, entry) {
        int ret;

        if (!entry_active(se) || !se->ops->save_live_iterate ||
            (se->ops->is_active_iterate && !se->ops->is_active_iterate(se->opaque))) {
            continue;
        }
        if (migration_rate_exceeded(f)) {
            return 0;
        }
        save_section_header(f, se, QEMU_VM_SECTION_PART);
        ret = se->ops->save_live_iterate(f, se->opaque);
        save_section_footer(f, se);
        if (ret < 0) {
            qemu_file_set_error(f, ret);
            return ret;
        }
        done &= ret > 0;
    }
    return done;
}

static void pending(uint64_t *must_precopy, uint64_t *can_postcopy, bool exact)
{
    SaveStateEntry *se;

    *must_precopy = *can_postcopy = 0;
    QTAILQ_FOREACH(se, &handlers, entry) {
        if (!entry_active(se)) {
            continue;
        }
        if (exact && se->ops->state_pending_exact) {
            se->ops->state_pending_exact(se->opaque, must_precopy, can_postcopy);
        } else if (!exact && se->ops->state_pending_estimate) {
            se->ops->state_pending_estimate(se->opaque, must_precopy, can_postcopy);
        }
    }
}

void qemu_savevm_state_pending_estimate(uint64_t *must_precopy, uint64_t *can_postcopy)
{
    pending(must_precopy, can_postcopy, false);
}

void qemu_savevm_state_pending_exact(uint64_t *must_precopy, uint64_t *can_postcopy)
{
    pending(must_precopy, can_postcopy, true);
}

int qemu_savevm_state_complete_precopy_iterable(QEMUFile *f, Error **errp)
{
    ERRP_GUARD();
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        int ret;

        if (!entry_active(se) || !se->ops->save_live_complete_precopy) {
            continue;
        }
        save_section_header(f, se, QEMU_VM_SECTION_END);
        ret = se->ops->save_live_complete_precopy(f, se->opaque);
        save_section_footer(f, se);
        if (ret < 0) {
            if (!qemu_file_get_error_obj(f, errp)) {
                error_setg_errno(errp, -ret, "completion failed");
            }
            error_prepend(errp, "section '%s': ", se->idstr);
            qemu_file_set_error(f, ret);
            return ret;
        }
    }
    return 0;
}

int qemu_savevm_state_complete_precopy_non_iterable(QEMUFile *f, Error **errp)
{
    ERRP_GUARD();
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        int ret = 0;

        if (se->vmsd ? !se->vmsd->early_setup : se->ops && se->ops->save_state) {
            ret = save_device(f, se, errp);
        }
        if (ret) {
            qemu_file_set_error_obj(f, ret, error_copy(*errp));
            return ret;
        }
    }
    return 0;
}

int qemu_savevm_state_end(QEMUFile *f)
{
    int ret;

    /*
     * Alone, so that the result says whether it is out: with this one byte the destination may run,
     * whatever becomes of the description.
     */
    qemu_put_byte(f, QEMU_VM_EOF);
    ret = qemu_fflush(f);
    if (ret < 0) {
        return ret;
    }

    json_writer_end_array(vmdesc);
    json_writer_end_object(vmdesc);
    if (migrate_should_send_vmdesc()) {
        const char *text = json_writer_get(vmdesc);
        size_t len = strlen(text);

        qemu_put_byte(f, QEMU_VM_VMDESCRIPTION);
        qemu_put_be32(f, len);
        qemu_put_buffer(f, text, len);
    }
    g_clear_pointer(&vmdesc, json_writer_free);
    qemu_fflush(f); /* should this fail, the guest is the destination's all the same */
    return 0;
}

void qemu_savevm_state_cleanup(void)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->ops && se->ops->save_cleanup) {
            se->ops->save_cleanup(se->opaque);
        }
    }
    g_clear_pointer(&vmdesc, json_writer_free);
}

/* Sections: reader. */

static int load_entry(QEMUFile *f, SaveStateEntry *se, uint8_t type, Error **errp)
{
    ERRP_GUARD();
    int ret;

    if (se->vmsd) {
        BQL_LOCK_GUARD();

        ret = vmstate_load_state_err(f, se->vmsd, se->opaque, se->load_version_id, errp);
    } else if (!se->ops->load_state) {
        error_setg(errp, "it is not meant to be loaded");
        ret = -EINVAL;
    } else if (type == QEMU_VM_SECTION_FULL) {
        BQL_LOCK_GUARD();

        ret = se->ops->load_state(f, se->opaque, se->load_version_id);
    } else {
        ret = se->ops->load_state(f, se->opaque, se->load_version_id);
    }
    if (ret >= 0) {
        ret = qemu_file_get_error(f);
    }
    if (ret < 0 && !*errp && !qemu_file_get_error_obj(f, errp)) {
        error_setg_errno(errp, -ret, "loading failed");
    }
    return MIN(ret, 0);
}

static int load_footer(QEMUFile *f, SaveStateEntry *se, Error **errp)
{
    uint64_t at = qemu_file_position(f);
    int mark;
    uint32_t id;

    if (!migrate_send_section_footer()) {
        return 0;
    }
    mark = qemu_get_byte(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (mark != QEMU_VM_SECTION_FOOTER) {
        error_setg(errp, "Missing section footer at offset 0x%" PRIx64 ": found 0x%02x, expected "
                   "0x%02x", at, mark, QEMU_VM_SECTION_FOOTER);
        return -EINVAL;
    }
    id = qemu_get_be32(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (id != se->load_section_id) {
        error_setg(errp, "Mismatched section id in the footer at offset 0x%" PRIx64 ": found %u, "
                   "expected %u", at, id, se->load_section_id);
        return -EINVAL;
    }
    return 0;
}

static int load_section_start(QEMUFile *f, uint8_t type, Error **errp)
{
    ERRP_GUARD();
    uint32_t section_id = qemu_get_be32(f), instance_id, version_id;
    SaveStateEntry *se, *other;
    char idstr[256];
    int ret;

    if (!qemu_get_counted_string(f, idstr)) {
        if (!qemu_file_get_error_obj(f, errp)) {
            error_setg(errp, "section %u has no name", section_id);
        }
        return -EINVAL;
    }
    instance_id = qemu_get_be32(f);
    version_id = qemu_get_be32(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    trace(loadvm_section, "type %u id %u '%s' instance %u version %u", type, section_id, idstr,
          instance_id, version_id);
    se = find_entry(idstr, instance_id);
    if (!se) {
        error_setg(errp, "Unknown section or instance '%s' %u: this machine has no such device",
                   idstr, instance_id);
        return -EINVAL;
    }
    if (version_id > (uint32_t)se->version_id) {
        error_setg(errp, "section '%s': version %u is too new, at most %d is supported", idstr,
                   version_id, se->version_id);
        return -EINVAL;
    }
    if (type == QEMU_VM_SECTION_START && !(se->ops && se->ops->load_state)) {
        error_setg(errp, "section '%s' begins in rounds, but is a device's", idstr);
        return -EINVAL;
    }
    if (type == QEMU_VM_SECTION_FULL && !se->vmsd && !se->ops->save_state) {
        error_setg(errp, "section '%s' is sent in rounds, but came whole", idstr);
        return -EINVAL;
    }
    QTAILQ_FOREACH(other, &handlers, entry) {
        if (other != se && other->load_started && other->load_section_id == section_id &&
            other->ops) {
            error_setg(errp, "section '%s' has id %u, which '%s' has already", idstr, section_id,
                       other->idstr);
            return -EINVAL;
        }
    }
    se->load_version_id = version_id;
    se->load_section_id = section_id;
    se->load_started = true;
    ret = load_entry(f, se, type, errp);
    if (ret == 0) {
        ret = load_footer(f, se, errp);
    }
    if (ret < 0) {
        error_prepend(errp, "section '%s' instance %u: ", idstr, instance_id);
    }
    return ret;
}

static int load_section_part(QEMUFile *f, uint8_t type, Error **errp)
{
    ERRP_GUARD();
    uint32_t section_id = qemu_get_be32(f);
    SaveStateEntry *se;
    int ret;

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->load_started && se->load_section_id == section_id && se->ops) {
            break;
        }
    }
    if (!se) {
        error_setg(errp, "Unknown section id %u: no section began with it", section_id);
        return -EINVAL;
    }
    ret = load_entry(f, se, type, errp);
    if (ret == 0) {
        ret = load_footer(f, se, errp);
    }
    if (ret < 0) {
        error_prepend(errp, "section '%s': ", se->idstr);
    }
    se->load_ended = type == QEMU_VM_SECTION_END;
    return ret;
}

/* What began in rounds must have come to its end: half of it is no guest. */
static int check_all_ended(Error **errp)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->ops && se->ops->load_setup && se->load_started && !se->load_ended) {
            error_setg(errp, "The stream ends, but section '%s' has not ended", se->idstr);
            return -EINVAL;
        }
    }
    return 0;
}

static int load_sections(QEMUFile *f, Error **errp)
{
    for (;;) {
        ERRP_GUARD();
        uint64_t at = qemu_file_position(f);
        uint8_t type = qemu_get_byte(f);
        int ret;

        ret = qemu_file_get_error_obj(f, errp);
        if (ret) {
            return ret;
        }
        switch (type) {
        case QEMU_VM_SECTION_FULL:
            migration_incoming_note_device(false);
            ret = load_section_start(f, type, errp);
            migration_incoming_note_device(true);
            break;
        case QEMU_VM_SECTION_START:
            ret = load_section_start(f, type, errp);
            break;
        case QEMU_VM_SECTION_PART:
        case QEMU_VM_SECTION_END:
            ret = load_section_part(f, type, errp);
            break;
        case QEMU_VM_COMMAND:
            ret = load_command(f, errp);
            break;
        case QEMU_VM_EOF:
            migration_incoming_note_end();
            return check_all_ended(errp);
        default:
            error_setg(errp, "Unknown savevm section type 0x%02x", type);
            ret = -EINVAL;
        }
        if (ret < 0) {
            error_prepend(errp, "in the item at offset 0x%" PRIx64 " of the stream: ", at);
            return ret;
        }
    }
}

/*
 * The description behind the end of the stream: of no use to us, but the source must be able to
 * send it, or it would see its connection reset.
 */
static void skip_vmdesc(QEMUFile *f)
{
    if (qemu_get_byte(f) == QEMU_VM_VMDESCRIPTION) {
        qemu_file_skip(f, qemu_get_be32(f));
    }
    if (qemu_file_get_error(f)) {
        warn_report("the stream's description is missing or cut short");
    }
}

int qemu_loadvm_state(QEMUFile *f, Error **errp)
{
    ERRP_GUARD();
    SaveStateEntry *se;
    int ret;

    QTAILQ_FOREACH(se, &handlers, entry) {
        se->load_started = se->load_ended = false;
    }
    ret = load_header(f, errp);
    if (ret) {
        return ret;
    }
    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->ops && se->ops->load_setup) {
            ret = se->ops->load_setup(f, se->opaque, errp);
            if (ret < 0) {
                error_prepend(errp, "section '%s': ", se->idstr);
                return ret;
            }
        }
    }
    WITH_BQL() {
        cpu_synchronize_all_pre_loadvm();
        migration_incoming_get_current()->switchover_ack_pending = count_switchover_acks();
    }
    ret = load_sections(f, errp);
    if (ret) {
        return ret;
    }
    if (migrate_should_send_vmdesc()) {
        skip_vmdesc(f);
    }
    WITH_BQL() {
        cpu_synchronize_all_post_init();
        /* The kernel's word on registers that nothing else could judge. */
        ret = cpus_check_register_errors(errp) ? 0 : -EINVAL;
    }
    return ret;
}

void qemu_loadvm_state_cleanup(void)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &handlers, entry) {
        if (se->ops && se->ops->load_cleanup) {
            se->ops->load_cleanup(se->opaque);
        }
    }
}
