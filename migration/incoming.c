/*
 * The incoming side: from the first channel to a guest that runs.
 *
 * The stream is loaded by a thread of its own, which takes the BQL only around a device's load, so
 * that monitors and qtest answer meanwhile.  What follows the load (starting the guest, or
 * ending the program) happens in a bottom half on the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "migration.h"
#include "migration/global_state.h"
#include "multifd.h"
#include "options.h"
#include "postcopy-blocktime.h"
#include "postcopy-incoming.h"
#include "postcopy-recover.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "ram.h"
#include "savevm.h"
#include "system/blockdev.h"
#include "system/cpus.h"
#include "system/runstate.h"

TRACE_EVENT(migration_incoming_step);

static MigrationIncomingState current_incoming;

/* How long a source that does not read its return path is waited for when all is loaded. */
#define SHUT_WAIT_MS 5000

MigrationIncomingState *migration_incoming_get_current(void)
{
    return &current_incoming;
}

void migration_incoming_init(void)
{
    MigrationIncomingState *mis = &current_incoming;

    memset(mis, 0, sizeof(*mis));
    mis->state = MIGRATION_STATUS_NONE;
    mis->exit_on_error = true;
    qemu_mutex_init(&mis->rp_mutex);
    qemu_mutex_init(&mis->error_mutex);
    qemu_mutex_init(&mis->file_lock);
}

bool migration_incoming_in_use(void)
{
    return current_incoming.main_seen && current_incoming.state != MIGRATION_STATUS_COMPLETED &&
           current_incoming.state != MIGRATION_STATUS_FAILED;
}

bool migration_in_incoming(void)
{
    return current_incoming.started && current_incoming.state != MIGRATION_STATUS_COMPLETED;
}

bool migration_has_main_channel(void)
{
    return current_incoming.main_seen;
}

bool migration_has_all_channels(void)
{
    return current_incoming.main_seen && postcopy_incoming_has_preempt() &&
           (!migrate_multifd() || multifd_recv_all_channels_created());
}

/* Give back what the load used.  The thread has ended or is about to.  BQL. */
static void incoming_destroy(MigrationIncomingState *mis)
{
    QEMUFile *f = NULL;

    if (mis->thread_created) {
        qemu_thread_join(&mis->thread);
        mis->thread_created = false;
    }
    postcopy_incoming_cleanup();
    multifd_recv_cleanup();
    qemu_loadvm_state_cleanup();
    migration_incoming_close_return_path(mis);
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        f = mis->from_src_file;
        mis->from_src_file = NULL;
    }
    if (f) {
        qemu_fclose(f);
    }
    migration_channel_stop_listening();
    migration_yank_unregister();
}

/*
 * Its disks are ours when it runs, with or without capability late-block-activate: as in QEMU 10.0,
 * where the capability has lost its effect too.
 */
static void start_guest(void)
{
    if (!global_state_received() || runstate_is_live(global_state_get_runstate())) {
        if (autostart) {
            vm_start();
        } else {
            bdrv_inactivate_all();
            runstate_set(RUN_STATE_PAUSED);
        }
    } else {
        bdrv_inactivate_all();
        runstate_set(global_state_get_runstate());
    }
}

void migration_incoming_note_device(bool loaded)
{
    MigrationIncomingState *mis = &current_incoming;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);

    if (!mis->devices_began) {
        mis->devices_began = now;
    }
    if (loaded) {
        mis->devices_ended = now;
    }
}

void migration_incoming_note_end(void)
{
    if (!current_incoming.end_seen) { /* in postcopy RUN comes first */
        current_incoming.end_seen = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    }
}

/* What of the downtime was spent here. */
static MigrationDowntime *downtime_here(const MigrationIncomingState *mis)
{
    MigrationDowntime *d = g_new0(MigrationDowntime, 1);

    d->has_load_devices = true;
    d->load_devices = (mis->devices_ended - mis->devices_began) / SCALE_US;
    if (mis->guest_started) {
        d->has_start = true;
        d->start = (mis->guest_started - mis->end_seen) / SCALE_US;
    }
    return d;
}

static void note_start(MigrationIncomingState *mis)
{
    if (runstate_is_live(runstate_get())) {
        mis->guest_started = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
        trace(migration_incoming_step, "devices loaded in %.3f ms, guest started %.3f ms after the "
              "end",
              (mis->devices_ended - mis->devices_began) / 1e6,
              (mis->guest_started - mis->end_seen) / 1e6);
    }
}

void migration_incoming_start_guest(void)
{
    start_guest();
    note_start(&current_incoming);
    current_incoming.decided = true;
}

void migration_incoming_postcopy_completed(void)
{
    MigrationIncomingState *mis = &current_incoming;

    mis->total_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - mis->start_time;
    migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_ACTIVE, MIGRATION_STATUS_COMPLETED);
    incoming_destroy(mis);
}

static void set_failed(MigrationIncomingState *mis)
{
    static const MigrationStatus from[] = {
        MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_POSTCOPY_ACTIVE, MIGRATION_STATUS_POSTCOPY_PAUSED,
    };

    /* While it is being resumed, it is half-way between two. */
    migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_RECOVER,
                      MIGRATION_STATUS_POSTCOPY_PAUSED);
    for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
        if (migrate_set_state(&mis->state, from[i], MIGRATION_STATUS_FAILED)) {
            return;
        }
    }
}

static void stop_waiting_to_tell(MigrationIncomingState *mis)
{
    if (mis->shut_watch) {
        g_source_remove(mis->shut_watch);
        g_source_remove(mis->shut_timer);
        mis->shut_watch = mis->shut_timer = 0;
    }
}

/* The load has ended, and whatever can be said to the source is said. */
static void incoming_end(MigrationIncomingState *mis)
{
    stop_waiting_to_tell(mis);
    if (mis->load_result == 0) {
        migrate_set_state(&mis->state, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_COMPLETED);
        incoming_destroy(mis);
        return;
    }
    postcopy_incoming_stop();
    set_failed(mis);
    incoming_destroy(mis);
    WITH_QEMU_LOCK_GUARD(&mis->error_mutex) {
        error_report("load of migration failed: %s", error_get_pretty(mis->error));
    }
    if (mis->exit_on_error) {
        exit(EXIT_FAILURE);
    }
}

static gboolean shut_can_be_sent(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    MigrationIncomingState *mis = opaque;

    migrate_send_rp_shut(mis, mis->load_result < 0);
    incoming_end(mis);
    return G_SOURCE_CONTINUE; /* removed already */
}

static gboolean shut_too_late(gpointer opaque)
{
    warn_report("the source does not read its return path: it cannot be told what became of the "
                "guest");
    incoming_end(opaque);
    return G_SOURCE_CONTINUE;
}

/*
 * The last word to the source, and then the end. A source that does not read must not stop this
 * thread, which the guest and the monitors need: such a one is waited for, but not for ever.
 */
static void tell_source_and_end(MigrationIncomingState *mis)
{
    if (migrate_rp_writable(mis)) {
        migrate_send_rp_shut(mis, mis->load_result < 0);
        incoming_end(mis);
        return;
    }
    mis->shut_watch = qio_channel_add_watch(qemu_file_get_ioc(mis->to_src_file), G_IO_OUT,
                                            shut_can_be_sent, mis, NULL);
    mis->shut_timer = g_timeout_add(SHUT_WAIT_MS, shut_too_late, mis);
}

static void incoming_done_bh(void *opaque)
{
    MigrationIncomingState *mis = opaque;

    mis->total_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - mis->start_time;
    if (mis->load_result == 0) {
        Error *err = NULL;

        /* Meanwhile one channel too many may have come. */
        if (!multifd_recv_finish(&err)) {
            mis->load_result = -EINVAL;
            WITH_QEMU_LOCK_GUARD(&mis->error_mutex) {
                error_free(mis->error);
                mis->error = err;
            }
        }
    }
    if (mis->load_result == 0) {
        multifd_recv_cleanup(); /* no page may come any more: from here on they are the guest's */
        migration_incoming_start_guest();
    }
    mis->decided = true;
    if (mis->load_result < 0 && postcopy_incoming_switched()) {
        incoming_end(mis); /* postcopy_incoming_load_failed() has told it */
    } else {
        tell_source_and_end(mis);
    }
}

static gboolean incoming_done_idle(gpointer opaque)
{
    incoming_done_bh(opaque);
    return G_SOURCE_REMOVE;
}

void migration_incoming_fail_early(Error *err)
{
    MigrationIncomingState *mis = &current_incoming;

    if (mis->main_seen || !migrate_set_state(&mis->state, MIGRATION_STATUS_SETUP,
                                             MIGRATION_STATUS_FAILED)) {
        error_free(err);        /* the load thread says it */
        return;
    }
    incoming_destroy(mis);
    WITH_QEMU_LOCK_GUARD(&mis->error_mutex) {
        error_report("load of migration failed: %s", error_get_pretty(err));
        error_free(mis->error);
        mis->error = err;
    }
    if (mis->exit_on_error) {
        exit(EXIT_FAILURE);
    }
}

static void *load_thread(void *opaque)
{
    MigrationIncomingState *mis = opaque;
    Error *err = NULL;

    mis->load_result = qemu_loadvm_state(mis->from_src_file, &err);
    if (mis->load_result == LOADVM_QUIT) {
        postcopy_incoming_load_thread_done();
        return NULL;
    }
    if (mis->load_result == 0 && !ram_stream_check_arrived(&err)) {
        mis->load_result = -EINVAL;
    }
    if (mis->load_result == 0 && !multifd_recv_finish(&err)) {
        mis->load_result = -EINVAL;
    }
    if (mis->load_result < 0) {
        WITH_QEMU_LOCK_GUARD(&mis->error_mutex) {
            if (!mis->error) {
                mis->error = err;
                err = NULL;
            }
        }
        error_free(err);
        postcopy_incoming_load_failed();
    }
    if (migrate_multifd()) {
        g_idle_add(incoming_done_idle, mis); /* first, whoever has come by now is heard */
    } else {
        qemu_bh_schedule_oneshot(incoming_done_bh, mis);
    }
    return NULL;
}

void migration_ioc_process_incoming(QIOChannel *ioc, Error **errp)
{
    MigrationIncomingState *mis = &current_incoming;

    if (mis->main_seen) {
        error_setg(errp, "an incoming migration has its channel already; this one is closed");
        return;
    }
    mis->main_seen = true;
    object_ref(OBJECT(ioc));
    qio_channel_set_name(ioc, "migration-main-incoming");
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        mis->from_src_file = qemu_file_new_input(ioc);
    }
    mis->start_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    migrate_set_state(&mis->state, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE);
    qemu_thread_create(&mis->thread, "mig/dst/main", load_thread, mis, QEMU_THREAD_JOINABLE);
    mis->thread_created = true;
}

void qemu_start_incoming_migration(const char *uri, bool has_channels,
                                   MigrationChannelList *channels, Error **errp)
{
    MigrationIncomingState *mis = &current_incoming;
    g_autoptr(MigrationChannel) channel = NULL;
    Error *err = NULL;

    if (!migrate_channels_parse(uri, has_channels, channels, &channel, NULL, errp) ||
        !migration_channels_and_transport_compatible(channel->addr, errp) ||
        !migrate_options_check(errp) || !migration_yank_register(errp)) {
        return;
    }
    migrate_set_state(&mis->state, MIGRATION_STATUS_NONE, MIGRATION_STATUS_SETUP);
    mis->started = true;
    migration_channel_start_incoming(channel->addr, &err);
    if (err) {
        /* Nothing has come: another address may be tried. */
        mis->started = false;
        migration_yank_unregister();
        migrate_set_state(&mis->state, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_FAILED);
        migrate_set_state(&mis->state, MIGRATION_STATUS_FAILED, MIGRATION_STATUS_NONE);
        error_propagate(errp, err);
    }
}

void qmp_migrate_incoming(const char *uri, bool has_channels, MigrationChannelList *channels,
                          bool has_exit_on_error, bool exit_on_error, Error **errp)
{
    MigrationIncomingState *mis = &current_incoming;

    if (mis->started) {
        error_setg(errp, "The incoming migration has already been started");
        return;
    }
    if (!runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "'-incoming' was not specified on the command line");
        return;
    }
    mis->exit_on_error = has_exit_on_error ? exit_on_error : true;
    qemu_start_incoming_migration(uri, has_channels, channels, errp);
}

void migration_incoming_fill_info(MigrationInfo *info)
{
    MigrationIncomingState *mis = &current_incoming;
    int state = qatomic_read(&mis->state);

    if (state == MIGRATION_STATUS_NONE) {
        return;
    }
    info->has_status = true;
    info->status = state;
    if (state == MIGRATION_STATUS_COMPLETED) {
        info->has_total_time = true;
        info->total_time = mis->total_time;
        info->x_downtime = downtime_here(mis);
        postcopy_blocktime_fill_info(info);
    } else if (state == MIGRATION_STATUS_POSTCOPY_PAUSED ||
               state == MIGRATION_STATUS_POSTCOPY_RECOVER) {
        info->socket_address = postcopy_recover_socket_addresses();
        info->has_socket_address = info->socket_address;
    } else if (state != MIGRATION_STATUS_FAILED && migration_channel_socket_addresses()) {
        info->has_socket_address = true;
        info->socket_address = QAPI_CLONE(SocketAddressList, migration_channel_socket_addresses());
    }
    QEMU_LOCK_GUARD(&mis->error_mutex);
    if (mis->error && !info->error_desc) {
        info->error_desc = g_strdup(error_get_pretty(mis->error));
    }
}

bool migration_incoming_guest_incomplete(void)
{
    return postcopy_incoming_guest_incomplete();
}

void migration_incoming_shutdown(void)
{
    MigrationIncomingState *mis = &current_incoming;

    migration_channel_stop_listening();
    postcopy_recover_end(); /* its thread takes no BQL */
    stop_waiting_to_tell(mis);
    if (postcopy_incoming_guest_incomplete()) {
        postcopy_incoming_abandon();
        return;
    }
    if (mis->thread_created) {
        if (!mis->decided && !postcopy_incoming_guest_told()) {
            migrate_try_send_rp_shut(mis, 1); /* the guest will not run here, whatever has come */
        }
        WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
            if (mis->from_src_file) {
                qemu_file_shutdown(mis->from_src_file);
            }
        }
        multifd_recv_shutdown();
        bql_unlock(); /* the thread may be about to take it */
        postcopy_incoming_stop();
        qemu_thread_join(&mis->thread);
        bql_lock();
        mis->thread_created = false;
    }
}
