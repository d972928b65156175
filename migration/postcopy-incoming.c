/*
 * Postcopy at the destination: what the stream commands, and what may come when.
 *
 * The load thread reads the stream up to the package, takes that in whole and loads it. From its
 * first item (LISTEN) on the threads of postcopy-listen.c read the stream, since devices that are
 * loaded may wait for pages which it brings. The load thread ends with the package, the others with
 * the stream.
 *
 * The load thread takes the BQL around a device, as always; nobody else here does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "migration.h"
#include "multifd.h"
#include "options.h"
#include "postcopy-incoming-internal.h"
#include "postcopy-pings.h"
#include "postcopy-recover.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram.h"
#include "savevm.h"
#include "system/cpus.h"
#include "system/last-resort.h"

TRACE_EVENT(postcopy_incoming);

/* No device's state is near that, all of them together are not. */
#define PACKAGE_MAX (256 * MiB)
#define PACKAGE_CHUNK (64 * KiB)

PostcopyIncoming postcopy_in;

bool postcopy_incoming_advised(void)
{
    return postcopy_phase() >= PHASE_ADVISED;
}

bool postcopy_incoming_switched(void)
{
    return postcopy_phase() >= PHASE_DISCARDING;
}

bool postcopy_incoming_listening(void)
{
    return postcopy_phase() >= PHASE_LISTENING;
}

/* --- what may come when --- */

bool postcopy_incoming_item_allowed(const LoadContext *ctx, uint8_t type, Error **errp)
{
    const char *why = NULL;

    if (type == QEMU_VM_COMMAND) {
        return true; /* each says for itself */
    }
    switch (ctx->mode) {
    case LOAD_PRECOPY:
        if (postcopy_phase() == PHASE_DISCARDING) {
            why = "behind POSTCOPY_RAM_DISCARD nothing but the package comes";
        }
        break;
    case LOAD_PACKAGE:
        if (type != QEMU_VM_SECTION_FULL) {
            why = "a package has devices that come whole, and commands";
        } else if (!postcopy_incoming_listening()) {
            why = "a package begins with POSTCOPY_LISTEN";
        } else if (qatomic_read(&postcopy_in.devices_loaded)) {
            why = "a device comes when all were loaded already";
        }
        break;
    case LOAD_POSTCOPY:
        if (type != QEMU_VM_SECTION_PART && type != QEMU_VM_SECTION_END && type != QEMU_VM_EOF) {
            why = "devices come in the package";
        }
        break;
    }
    if (why) {
        error_setg(errp, "section type 0x%02x has no place here: %s", type, why);
    }
    return !why;
}

int postcopy_out_of_place(const char *name, const char *why, Error **errp)
{
    error_setg(errp, "command %s came, but %s", name, why);
    return -EINVAL;
}

/* For a user who wants the program to end, and the source is gone. Any thread. */
static char *what_is_waited_for(void)
{
    g_autofree char *what = NULL;

    if (!postcopy_ram_missing()) {
        return NULL;
    }
    what = postcopy_ram_missing_text();
    return g_strdup_printf("in postcopy %s", what);
}

int postcopy_incoming_advise(QEMUFile *f, uint16_t len, Error **errp)
{
    uint64_t theirs, ours = postcopy_ram_pagesizes(), target;

    if (postcopy_phase() != PHASE_NONE) {
        return postcopy_out_of_place("POSTCOPY_ADVISE", "it came already", errp);
    }
    if (!migrate_postcopy_ram()) {
        return postcopy_out_of_place("POSTCOPY_ADVISE", "capability postcopy-ram is off here",
                                     errp);
    }
    if (len != 16) {
        error_setg(errp, "command POSTCOPY_ADVISE has %u bytes of data, expected 16", len);
        return -EINVAL;
    }
    if (ram_stream_blocks_loaded()) {
        return postcopy_out_of_place("POSTCOPY_ADVISE",
                                     "the list of RAM blocks has come before it", errp);
    }
    theirs = qemu_get_be64(f);
    target = qemu_get_be64(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (target != TARGET_PAGE_SIZE) {
        error_setg(errp, "postcopy: the source's guest has pages of 0x%" PRIx64 " bytes, expected "
                   "0x%x", target, (unsigned)TARGET_PAGE_SIZE);
        return -EINVAL;
    }
    if (theirs != ours) {
        error_setg(errp, "postcopy: the sizes of the pages that guest memory is made of are "
                   "0x%" PRIx64 " (all of them together) at the source, but 0x%" PRIx64 " here",
                   theirs, ours);
        return -EINVAL;
    }
    if (!postcopy_ram_supported(errp)) {
        return -ENOTSUP;
    }
    /* It has work to do only from the first DISCARD on, but that is within the downtime. */
    if (!qemu_last_resort_start(what_is_waited_for, errp)) {
        return -EMFILE;
    }
    qatomic_mb_set(&postcopy_in.phase, PHASE_ADVISED);
    return 0;
}

/* The first one: from here on whoever looks at guest memory may wait, the main thread too. */
static bool begin_discarding(Error **errp)
{
    if (!postcopy_wait_for_preempt(errp) || !multifd_recv_finish(errp)) {
        return false;
    }
    qatomic_mb_set(&postcopy_in.phase, PHASE_DISCARDING);
    return true;
}

int postcopy_incoming_discard(QEMUFile *f, uint16_t len, Error **errp)
{
    char name[256];
    uint8_t version, end;
    size_t n;

    if (postcopy_phase() != PHASE_ADVISED && postcopy_phase() != PHASE_DISCARDING) {
        return postcopy_out_of_place("POSTCOPY_RAM_DISCARD", postcopy_phase() == PHASE_NONE
                            ? "no POSTCOPY_ADVISE before it" : "behind POSTCOPY_LISTEN", errp);
    }
    if (!ram_stream_blocks_loaded()) {
        return postcopy_out_of_place("POSTCOPY_RAM_DISCARD", "the list of RAM blocks has not",
                                     errp);
    }
    version = qemu_get_byte(f);
    n = qemu_get_counted_string(f, name);
    end = qemu_get_byte(f);
    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (version || end || !n || len < 3 + n + 16 || (len - 3 - n) % 16) {
        error_setg(errp, "command POSTCOPY_RAM_DISCARD of %u bytes is not understood (version %u, "
                   "block name of %zu bytes with 0x%02x behind it)", len, version, n, end);
        return -EINVAL;
    }
    if (postcopy_phase() == PHASE_ADVISED && !begin_discarding(errp)) {
        return -EINVAL;
    }
    for (len -= 3 + n; len; len -= 16) {
        uint64_t start = qemu_get_be64(f), length = qemu_get_be64(f);

        if (qemu_file_get_error_obj(f, errp)) {
            return -EIO;
        }
        if (!postcopy_ram_discard(name, start, length, errp)) {
            error_prepend(errp, "command POSTCOPY_RAM_DISCARD: ");
            return -EINVAL;
        }
    }
    return 0;
}

/* --- the guest starts --- */

static void start_guest_bh(void *opaque)
{
    if (!postcopy_in.guest_started) {
        postcopy_in.guest_started = true;
        migration_incoming_start_guest();
    }
}

/* Once it was said so, and once it can. With postcopy_in.lock. */
static void maybe_start_guest(void)
{
    if (postcopy_in.devices_loaded && postcopy_in.run_wanted && !postcopy_in.guest_told) {
        postcopy_in.guest_told = true;
        migration_incoming_note_end();
        qemu_bh_schedule_oneshot(start_guest_bh, NULL);
        g_cond_broadcast(&postcopy_in.changed);
    }
}

/* All that had to come before RUN is there. On the load thread. */
static int devices_are_loaded(Error **errp)
{
    bool ok;

    if (qatomic_read(&postcopy_in.devices_loaded)) {
        return 0;
    }
    WITH_BQL() {
        cpu_synchronize_all_post_init();
        ok = cpus_check_register_errors(errp);
    }
    if (!ok) {
        return -EINVAL;
    }
    postcopy_lock();
    ok = !postcopy_in.failed;
    if (ok) {
        qatomic_set(&postcopy_in.devices_loaded, true);
        maybe_start_guest();
    }
    postcopy_unlock();
    if (!ok) {
        error_setg(errp, "the connection failed while the devices were loaded");
        return -EIO;
    }
    return 0;
}

void postcopy_incoming_done_bh(void *opaque)
{
    start_guest_bh(NULL);
    migration_incoming_postcopy_completed();
}

/* The source says which migration it is, or which one it wants to resume. */
static int take_token(const LoadContext *ctx, uint32_t value, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    postcopy_in.token_follows = false;
    if (ctx->mode == LOAD_PRECOPY && !postcopy_in.token) {
        postcopy_in.token = value;
    }
    postcopy_in.token_seen = value == postcopy_in.token;
    if (!postcopy_in.token_seen) {
        migrate_send_rp_pong(mis, POSTCOPY_PONG_TOKEN_OTHER);
        error_setg(errp, "a source wants to resume another migration than this one, which is "
                   "0x%" PRIx32 ": 0x%" PRIx32, postcopy_in.token, value);
        return -EINVAL;
    }
    migrate_send_rp_pong(mis, POSTCOPY_PONG_TOKEN_TAKEN);
    return 0;
}

int postcopy_incoming_ping(const LoadContext *ctx, uint32_t value, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (ctx->mode == LOAD_PACKAGE && !postcopy_incoming_listening()) {
        return postcopy_out_of_place("PING", "a package begins with POSTCOPY_LISTEN", errp);
    }
    /* Within the package it asks whether the devices that came before it are loaded. */
    if (ctx->mode == LOAD_PACKAGE && devices_are_loaded(errp) < 0) {
        return -EINVAL;
    }
    if (value == POSTCOPY_PING_ASK && ctx->mode == LOAD_PRECOPY && migrate_postcopy_ram()) {
        postcopy_in.separate_run = true;
        value = POSTCOPY_PONG_RUN_APART;
    } else if (ctx->mode == LOAD_PACKAGE) {
        /* No token has a place there: another thread may be reading one. */
    } else if (postcopy_in.token_follows) {
        return take_token(ctx, value, errp);
    } else if (value == POSTCOPY_PING_TOKEN && postcopy_in.separate_run) {
        postcopy_in.token_follows = true;
    }
    migrate_send_rp_pong(mis, value);
    return 0;
}

static void run_is_wanted(void)
{
    postcopy_lock();
    postcopy_in.run_wanted = true;
    maybe_start_guest();
    postcopy_unlock();
}

int postcopy_incoming_run(const LoadContext *ctx, Error **errp)
{
    if (!postcopy_incoming_listening()) {
        return postcopy_out_of_place("POSTCOPY_RUN", "POSTCOPY_LISTEN has not", errp);
    }
    trace(postcopy_incoming, "RUN");
    if (ctx->mode == LOAD_PACKAGE) {
        postcopy_in.run_in_package = true; /* what follows in it may still be wrong */
    } else {
        run_is_wanted();
    }
    return 0;
}

int postcopy_incoming_listen(const LoadContext *ctx, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (ctx->mode != LOAD_PACKAGE) {
        return postcopy_out_of_place("POSTCOPY_LISTEN", "outside of a package", errp);
    }
    if (postcopy_incoming_listening()) {
        return postcopy_out_of_place("POSTCOPY_LISTEN", "it came already", errp);
    }
    if (!mis->to_src_file) {
        return postcopy_out_of_place("POSTCOPY_LISTEN",
                                     "there is no return path to ask for pages by", errp);
    }
    if (!postcopy_wait_for_preempt(errp)) {
        return -EINVAL; /* where nothing was discarded */
    }
    if (!multifd_recv_finish(errp) || !postcopy_ram_listen(errp)) {
        return -EINVAL;
    }
    qatomic_mb_set(&postcopy_in.phase, PHASE_LISTENING);
    migrate_set_state(&mis->state, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    postcopy_ram_set_asking(true);
    postcopy_start_threads(mis);
    return 0;
}

/* --- the package --- */

static QEMUFile *read_package(QEMUFile *f, uint32_t len, Error **errp)
{
    QIOChannelBuffer *bioc = qio_channel_buffer_new(MIN(len, PACKAGE_CHUNK));
    g_autofree char *chunk = g_malloc(PACKAGE_CHUNK);

    /* It grows with what has come, not with what was announced. */
    while (len) {
        size_t n = MIN(len, PACKAGE_CHUNK);

        qemu_get_buffer(f, chunk, n);
        if (qemu_file_get_error_obj(f, errp) ||
            qio_channel_write_all(QIO_CHANNEL(bioc), chunk, n, errp) < 0) {
            object_unref(OBJECT(bioc));
            return NULL;
        }
        len -= n;
    }
    bioc->offset = 0;
    return qemu_file_new_input(QIO_CHANNEL(bioc));
}

int postcopy_incoming_packaged(QEMUFile *f, const LoadContext *ctx, Error **errp)
{
    uint32_t len = qemu_get_be32(f);
    LoadContext inner = {.mode = LOAD_PACKAGE, .end = len};
    QEMUFile *package;
    int ret;

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (ctx->mode != LOAD_PRECOPY) {
        return postcopy_out_of_place("PACKAGED", ctx->mode == LOAD_PACKAGE ? "within a package"
                                                                   : "there was one already", errp);
    }
    if (!postcopy_incoming_advised()) {
        return postcopy_out_of_place("PACKAGED", "no POSTCOPY_ADVISE before it", errp);
    }
    if (!ram_stream_blocks_loaded()) {
        return postcopy_out_of_place("PACKAGED", "the list of RAM blocks has not", errp);
    }
    if (!len || len > PACKAGE_MAX) {
        error_setg(errp, "command PACKAGED announces %u bytes, expected 1 to %llu", len,
                   (unsigned long long)PACKAGE_MAX);
        return -EINVAL;
    }
    package = read_package(f, len, errp);
    if (!package) {
        return -EIO;
    }
    trace(postcopy_incoming, "package of %u bytes", len);
    ret = qemu_loadvm_sections(package, &inner, errp);
    qemu_fclose(package);
    if (ret == 0 && !postcopy_incoming_listening()) {
        error_setg(errp, "it has no POSTCOPY_LISTEN");
        ret = -EINVAL;
    }
    if (ret == 0) {
        ret = devices_are_loaded(errp);
    }
    if (ret < 0) {
        error_prepend(errp, "package: ");
        return ret;
    }
    if (postcopy_in.run_in_package) {
        run_is_wanted();
    }
    return LOADVM_QUIT;
}

/* --- the end --- */

void postcopy_incoming_load_thread_done(void)
{
    postcopy_lock();
    postcopy_in.load_thread_done = true;
    g_cond_broadcast(&postcopy_in.changed);
    postcopy_unlock();
}

bool postcopy_incoming_guest_told(void)
{
    bool told;

    postcopy_lock();
    told = postcopy_in.guest_told;
    postcopy_unlock();
    return told;
}

bool postcopy_incoming_guest_incomplete(void)
{
    return postcopy_incoming_guest_told() && postcopy_ram_missing();
}

void postcopy_incoming_abandon(void)
{
    postcopy_set_quit();
    postcopy_incoming_pause(NULL);
}

void postcopy_incoming_load_failed(void)
{
    if (postcopy_incoming_switched()) {
        migrate_try_send_rp_shut(migration_incoming_get_current(), 1);
        postcopy_ram_release();
    }
}

void postcopy_incoming_stop(void)
{
    postcopy_set_quit();
    if (postcopy_incoming_listening()) {
        postcopy_incoming_pause(NULL);
    }
    postcopy_ram_release();
    postcopy_join_threads();
}

void postcopy_incoming_cleanup(void)
{
    postcopy_incoming_stop();
    postcopy_recover_end();
    qemu_last_resort_stop();
    postcopy_ram_cleanup();
    ram_postcopy_reader_free(&postcopy_in.reader);
    postcopy_drop_channel(&postcopy_in.main_next);
    postcopy_drop_channel(&postcopy_in.preempt_next);
    qatomic_mb_set(&postcopy_in.phase, PHASE_NONE);
    postcopy_in.run_in_package = postcopy_in.preempt_came = false;
    postcopy_in.separate_run = postcopy_in.quit = postcopy_in.failed = false;
    postcopy_in.token = 0;
    postcopy_in.token_follows = postcopy_in.token_seen = false;
    postcopy_in.devices_loaded = postcopy_in.run_wanted = postcopy_in.guest_told = false;
    postcopy_in.guest_started = postcopy_in.finishing = postcopy_in.preempt_seen = false;
    postcopy_in.load_thread_done = postcopy_in.giving_up = false;
}
