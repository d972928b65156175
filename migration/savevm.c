/*
 * The stream's envelope: in which sections state goes.  Writer first, then the reader.
 *
 * Wire form: docs/stream-format.md, section 2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "migration/qemu-file.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "savevm-internal.h"
#include "savevm.h"
#include "system/cpus.h"
#include "system/ramblock.h"

TRACE_EVENT(savevm_section_start);
TRACE_EVENT(savevm_section_end);
TRACE_EVENT(loadvm_section);

/* The description of the devices being saved, until it is sent. */
JSONWriter *savevm_vmdesc;

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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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
    json_writer_start_object(savevm_vmdesc, NULL);
    json_writer_str(savevm_vmdesc, "name", se->idstr);
    json_writer_int64(savevm_vmdesc, "instance_id", se->instance_id);
    save_section_header(f, se, QEMU_VM_SECTION_FULL);
    if (se->vmsd) {
        ret = vmstate_save_state_with_err(f, se->vmsd, se->opaque, savevm_vmdesc, errp);
    } else {
        uint64_t before = qemu_file_transferred(f);

        se->ops->save_state(f, se->opaque);
        json_writer_int64(savevm_vmdesc, "size", qemu_file_transferred(f) - before);
        json_writer_start_array(savevm_vmdesc, "fields");
        json_writer_start_object(savevm_vmdesc, NULL);
        json_writer_str(savevm_vmdesc, "name", "data");
        json_writer_int64(savevm_vmdesc, "size", qemu_file_transferred(f) - before);
        json_writer_str(savevm_vmdesc, "type", "buffer");
        json_writer_end_object(savevm_vmdesc);
        json_writer_end_array(savevm_vmdesc);
    }
    save_section_footer(f, se);
    json_writer_end_object(savevm_vmdesc);
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

    json_writer_int64(savevm_vmdesc, "page_size", qemu_target_page_size());
    json_writer_start_array(savevm_vmdesc, "devices");

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        int ret;

        if (!entry_active(se) || !se->ops->save_live_iterate ||
            (se->ops->is_active_iterate && !se->ops->is_active_iterate(se->opaque))) {
            continue;
        }
        if (migration_rate_exceeded(f)) {
            return qemu_file_get_error(f); /* nothing may be sent for that reason too */
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
    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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

void qemu_savevm_section_begin(QEMUFile *f, const char *idstr, uint8_t type)
{
    save_section_header(f, savevm_find_entry(idstr, 0), type);
}

void qemu_savevm_section_end(QEMUFile *f, const char *idstr)
{
    save_section_footer(f, savevm_find_entry(idstr, 0));
}

int qemu_savevm_state_complete_precopy_iterable(QEMUFile *f, bool postcopy, Error **errp)
{
    ERRP_GUARD();
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        int ret;

        if (!entry_active(se) || !se->ops->save_live_complete_precopy ||
            (postcopy && se->ops->has_postcopy && se->ops->has_postcopy(se->opaque))) {
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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

    json_writer_end_array(savevm_vmdesc);
    json_writer_end_object(savevm_vmdesc);
    if (migrate_should_send_vmdesc()) {
        const char *text = json_writer_get(savevm_vmdesc);
        size_t len = strlen(text);

        qemu_put_byte(f, QEMU_VM_VMDESCRIPTION);
        qemu_put_be32(f, len);
        qemu_put_buffer(f, text, len);
    }
    g_clear_pointer(&savevm_vmdesc, json_writer_free);
    qemu_fflush(f); /* should this fail, the guest is the destination's all the same */
    return 0;
}

void qemu_savevm_state_cleanup(void)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (se->ops && se->ops->save_cleanup) {
            se->ops->save_cleanup(se->opaque);
        }
    }
    g_clear_pointer(&savevm_vmdesc, json_writer_free);
}

/* Sections: reader. */

/*
 * Who wants the source to wait for an acknowledgement before the switchover (a device that has much
 * to do with what it gets first).
 */
static unsigned count_switchover_acks(void)
{
    SaveStateEntry *se;
    unsigned n = 0;

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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
    se = savevm_find_entry(idstr, instance_id);
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
    QTAILQ_FOREACH(other, &savevm_handlers, entry) {
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
    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (se->ops && se->ops->load_setup && se->load_started && !se->load_ended) {
            error_setg(errp, "The stream ends, but section '%s' has not ended", se->idstr);
            return -EINVAL;
        }
    }
    return 0;
}

int qemu_loadvm_sections(QEMUFile *f, const LoadContext *ctx, Error **errp)
{
    for (;;) {
        ERRP_GUARD();
        uint64_t at = qemu_file_position(f);
        uint8_t type;
        int ret;

        if (ctx->mode == LOAD_PACKAGE && at >= ctx->end) {
            return 0;
        }
        type = qemu_get_byte(f);
        ret = qemu_file_get_error_obj(f, errp);
        if (ret) {
            return ret;
        }
        if (!postcopy_incoming_item_allowed(ctx, type, errp)) {
            error_prepend(errp, "in the item at offset 0x%" PRIx64 " of the stream: ", at);
            return -EINVAL;
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
            ret = qemu_loadvm_command(f, ctx, errp);
            if (ret == LOADVM_QUIT) {
                return ret;
            }
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        se->load_started = se->load_ended = false;
    }
    ret = qemu_loadvm_state_header(f, errp);
    if (ret) {
        return ret;
    }
    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
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
    ret = qemu_loadvm_sections(f, &(LoadContext){.mode = LOAD_PRECOPY}, errp);
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

    QTAILQ_FOREACH(se, &savevm_handlers, entry) {
        if (se->ops && se->ops->load_cleanup) {
            se->ops->load_cleanup(se->opaque);
        }
    }
}
