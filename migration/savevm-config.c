/*
 * The stream's beginning: header and configuration, what the two sides must agree on before
 * anything else.  Writer and reader.
 *
 * Wire form: docs/stream-format.md, section 1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "migration/qemu-file.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/uuid.h"
#include "savevm-internal.h"
#include "savevm.h"
#include "system/ramblock.h"

static const char *machine_name = "none";

void migration_set_machine_name(const char *name)
{
    machine_name = name;
}

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
    g_clear_pointer(&savevm_vmdesc, json_writer_free);
    savevm_vmdesc = json_writer_new(false);
    json_writer_start_object(savevm_vmdesc, NULL);
    if (migrate_send_configuration()) {
        SaveState state = {};

        json_writer_start_object(savevm_vmdesc, "configuration");
        qemu_put_byte(f, QEMU_VM_CONFIGURATION);
        vmstate_save_state(f, &vmstate_configuration, &state, savevm_vmdesc);
        json_writer_end_object(savevm_vmdesc);
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

int qemu_loadvm_state_header(QEMUFile *f, Error **errp)
{
    uint32_t magic = qemu_get_be32(f), version = qemu_get_be32(f);
    SaveState state = {};
    uint8_t *p;
    int ret;

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (magic != QEMU_VM_FILE_MAGIC) {
        error_setg(errp, "Not a migration stream: it begins with 0x%08x, expected 0x%08x "
                   "(\"QEVM\")", magic, QEMU_VM_FILE_MAGIC);
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
