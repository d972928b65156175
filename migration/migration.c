/*
 * Outgoing migration as others see it: the object, its commands (migrate, migrate_cancel,
 * query-migrate, …), blockers, notifiers, and the way from a command to the migration thread
 * (precopy.c) and back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "cpu-throttle.h"
#include "dirtylimit.h"
#include "migration-stats.h"
#include "migration.h"
#include "migration/blocker.h"
#include "migration/global_state.h"
#include "multifd.h"
#include "options.h"
#include "postcopy.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-migration.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "ram.h"
#include "savevm.h"
#include "socket.h"
#include "system/globals.h"
#include "system/runstate.h"
#include "tls.h"

static MigrationState *current_migration;
static NotifierWithReturnList notifiers = NOTIFIER_WITH_RETURN_LIST_INITIALIZER(notifiers);
static GSList *blockers[MIG_MODE__MAX]; /* of Error *, which may be in several; BQL */

/* Cancelled when the end mark is out: how long the destination's answer may still take. */
#define LATE_CANCEL_MS 2000

MigrationState *migrate_get_current(void)
{
    assert(current_migration);
    return current_migration;
}

static void migration_instance_init(Object *obj)
{
    MigrationState *s = MIGRATION(obj);

    s->state = MIGRATION_STATUS_NONE;
    s->store_global_state = true;
    s->send_configuration = true;
    s->send_section_footer = true;
    /*
     * No reader needs the mark, and QEMU before 10.0 refuses it: without a machine version that
     * says what the other side is, it is left out.  -global migration.send-switchover-start=on
     * sends it.
     */
    s->send_switchover_start = false;
    s->send_vmdesc = true;
    s->multifd_clean_tls_termination = true;
    s->clear_bitmap_shift = 18;
    s->vm_old_state = -1;
    s->rp_state.shut_value = -1;
    migrate_params_init(&s->parameters);
    qemu_mutex_init(&s->error_mutex);
    qemu_mutex_init(&s->qemu_file_lock);
    qemu_sem_init(&s->rate_limit_sem, 0);
    qemu_sem_init(&s->pause_sem, 0);
    qemu_sem_init(&s->rp_sem, 0);
    migration_postcopy_init(s);
}

static void migration_instance_finalize(Object *obj)
{
    MigrationState *s = MIGRATION(obj);

    qemu_mutex_destroy(&s->error_mutex);
    qemu_mutex_destroy(&s->qemu_file_lock);
    qemu_sem_destroy(&s->rate_limit_sem);
    qemu_sem_destroy(&s->pause_sem);
    qemu_sem_destroy(&s->rp_sem);
    migration_postcopy_finalize(s);
    error_free(s->error);
    g_free(s->hostname);
    g_free(s->parameters.tls_creds);
    g_free(s->parameters.tls_hostname);
    g_free(s->parameters.tls_authz);
}

static void migration_class_init(ObjectClass *klass, void *data)
{
    migration_options_class_init(klass);
}

static const TypeInfo migration_type = {
    .name = TYPE_MIGRATION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(MigrationState),
    .instance_init = migration_instance_init,
    .instance_finalize = migration_instance_finalize,
    .class_init = migration_class_init,
};

static void register_migration_types(void)
{
    type_register_static(&migration_type);
}
type_init(register_migration_types)

void migration_object_init(void)
{
    assert(!current_migration);
    current_migration = MIGRATION(object_new(TYPE_MIGRATION));
    object_apply_compat_props(OBJECT(current_migration));
    object_apply_globals(OBJECT(current_migration), &error_fatal);
    migrate_options_check(&error_fatal);
    migration_incoming_init();
    ram_mig_init();
}

void migration_set_send_vmdesc(bool send)
{
    migrate_get_current()->send_vmdesc = send;
}

void migration_shutdown(void)
{
    MigrationState *s = current_migration;

    if (!s) {
        return;
    }
    migration_cancel();
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        /* Past the point of no return too: nobody must wait for a peer when the program ends. */
        if (s->to_dst_file) {
            qemu_file_shutdown(s->to_dst_file);
        }
        postcopy_preempt_shutdown(s);
        multifd_send_shutdown();
    }
    migration_postcopy_quit(s);
    if (s->thread_created) {
        bql_unlock();
        qemu_thread_join(&s->thread);
        bql_lock();
        s->thread_created = false;
    }
    migration_incoming_shutdown();
}

/* States */

bool migration_is_active_state(int state)
{
    switch (state) {
    case MIGRATION_STATUS_SETUP:
    case MIGRATION_STATUS_WAIT_UNPLUG:
    case MIGRATION_STATUS_ACTIVE:
    case MIGRATION_STATUS_PRE_SWITCHOVER:
    case MIGRATION_STATUS_DEVICE:
    case MIGRATION_STATUS_CANCELLING:
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_PAUSED:
    case MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
    case MIGRATION_STATUS_COLO:
        return true;
    default:
        return false;
    }
}

bool migration_is_running(void)
{
    /* The thread outlives the last status by a moment: cleaning up belongs to the run. */
    return current_migration &&
           (migration_is_active_state(qatomic_read(&current_migration->state)) ||
            current_migration->thread_created);
}

bool migration_is_idle(void)
{
    return !migration_is_running();
}

bool migration_in_setup(MigrationState *s)
{
    return qatomic_read(&s->state) == MIGRATION_STATUS_SETUP;
}

bool migration_has_finished(MigrationState *s)
{
    return qatomic_read(&s->state) == MIGRATION_STATUS_COMPLETED;
}

bool migration_has_failed(MigrationState *s)
{
    int state = qatomic_read(&s->state);

    return state == MIGRATION_STATUS_CANCELLED || state == MIGRATION_STATUS_FAILED;
}

void migrate_set_error(MigrationState *s, const Error *error)
{
    QEMU_LOCK_GUARD(&s->error_mutex);

    if (!s->error) {
        s->error = error_copy(error);
    }
}

void migrate_replace_error(MigrationState *s, const Error *error)
{
    QEMU_LOCK_GUARD(&s->error_mutex);

    error_free(s->error);
    s->error = error ? error_copy(error) : NULL;
}

void migrate_append_error(MigrationState *s, const char *text)
{
    QEMU_LOCK_GUARD(&s->error_mutex);
    Error *err = NULL;

    error_setg(&err, "%s%s%s", s->error ? error_get_pretty(s->error) : "", s->error ? "; " : "",
               text);
    error_free(s->error);
    s->error = err;
}

/* Notifiers and blockers */

void migration_add_notifier(NotifierWithReturn *notify, MigrationNotifyFunc func)
{
    notify->notify = (NotifierWithReturnFunc)func;
    notifier_with_return_list_add(&notifiers, notify);
}

void migration_remove_notifier(NotifierWithReturn *notify)
{
    if (notify->notify) {
        notifier_with_return_remove(notify);
        notify->notify = NULL;
    }
}

int migration_call_notifiers(MigrationState *s, MigrationEventType type, Error **errp)
{
    MigrationEvent e = {.type = type};

    return notifier_with_return_list_notify(&notifiers, &e, errp);
}

#define ALL_MODES (BIT(MIG_MODE__MAX) - 1)

static int add_blocker(Error **reasonp, Error **errp, unsigned modes, bool respect_only_migratable)
{
    int ret = 0;

    if (respect_only_migratable && only_migratable) {
        error_setg(errp, "disallowing migration blocker (--only-migratable) for: %s",
                   error_get_pretty(*reasonp));
        ret = -EACCES;
    } else if (migration_is_running() || (current_migration && migration_incoming_in_use())) {
        error_setg(errp, "disallowing migration blocker (migration in progress) for: %s",
                   error_get_pretty(*reasonp));
        ret = -EBUSY;
    }
    if (ret) {
        g_clear_pointer(reasonp, error_free);
        return ret;
    }
    for (int mode = 0; mode < MIG_MODE__MAX; mode++) {
        if (modes & BIT(mode)) {
            blockers[mode] = g_slist_prepend(blockers[mode], *reasonp);
        }
    }
    return 0;
}

int migrate_add_blocker(Error **reasonp, Error **errp)
{
    return add_blocker(reasonp, errp, ALL_MODES, true);
}

int migrate_add_blocker_normal(Error **reasonp, Error **errp)
{
    return add_blocker(reasonp, errp, BIT(MIG_MODE_NORMAL), true);
}

int migrate_add_blocker_modes(Error **reasonp, Error **errp, MigMode mode, ...)
{
    unsigned modes = 0;
    va_list ap;

    va_start(ap, mode);
    for (int m = mode; m != -1; m = va_arg(ap, int)) {
        assert(m >= 0 && m < MIG_MODE__MAX);
        modes |= BIT(m);
    }
    va_end(ap);
    return add_blocker(reasonp, errp, modes, true);
}

int migrate_add_blocker_internal(Error **reasonp, Error **errp)
{
    return add_blocker(reasonp, errp, ALL_MODES, false);
}

void migrate_del_blocker(Error **reasonp)
{
    if (*reasonp) {
        for (int mode = 0; mode < MIG_MODE__MAX; mode++) {
            blockers[mode] = g_slist_remove(blockers[mode], *reasonp);
        }
        g_clear_pointer(reasonp, error_free);
    }
}

/* Starting */

static bool migrate_prepare(MigrationState *s, bool resume, Error **errp)
{
    if (resume) {
        return migration_postcopy_resume_begin(s, errp);
    }
    if (migration_is_running()) {
        error_setg(errp, "There's a migration process in progress");
        return false;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "Guest is waiting for an incoming migration");
        return false;
    }
    if (migration_incoming_in_use()) {
        error_setg(errp, "An incoming migration is in progress: in postcopy the guest runs before "
                   "all of its memory has come");
        return false;
    }
    if (runstate_check(RUN_STATE_POSTMIGRATE)) {
        error_setg(errp, "Can't migrate the vm that was paused due to previous migration");
        return false;
    }
    if (migrate_postcopy_ram() && migrate_multifd() && migrate_multifd_flush_after_each_section()) {
        error_setg(errp, "Postcopy is not compatible with multifd where "
                   "multifd-flush-after-each-section is on: such a destination cannot end "
                   "postcopy");
        return false;
    }
    if (qemu_savevm_state_blocked(errp)) {
        return false;
    }
    if (blockers[s->parameters.mode]) {
        error_propagate(errp, error_copy(blockers[s->parameters.mode]->data));
        return false;
    }
    return migrate_options_check(errp);
}

/* A new run: nothing of the last one shows any more. */
static void migrate_init(MigrationState *s)
{
    migration_stats_reset();
    xbzrle_stats_reset();
    compress_stats_reset();
    WITH_QEMU_LOCK_GUARD(&s->error_mutex) {
        g_clear_pointer(&s->error, error_free);
    }
    s->committed = s->cancel_late = false;
    migration_postcopy_reset(s);
    s->vm_old_state = -1;
    s->setup_time = s->total_time = s->downtime = 0;
    memset(s->step_ends, 0, sizeof(s->step_ends));
    s->downtime_start = 0;
    s->expected_downtime = migrate_downtime_limit();
    s->mbps = 0;
    s->pages_per_second = 0;
    s->pending_bytes = 0;
    s->start_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    while (qemu_sem_timedwait(&s->rate_limit_sem, 0) == 0) {
        /* posts that nobody waited for */
    }
    migrate_set_state(&s->state, qatomic_read(&s->state), MIGRATION_STATUS_SETUP);
}

/* It failed before there was a thread. */
static void migration_fail_early(MigrationState *s, const Error *err)
{
    if (qatomic_read(&s->state) == MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP) {
        migration_postcopy_resume_connected(s, error_copy(err));
        return;
    }
    migrate_set_error(s, err);
    if (!migrate_set_state(&s->state, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_FAILED)) {
        migrate_set_state(&s->state, MIGRATION_STATUS_CANCELLING, MIGRATION_STATUS_CANCELLED);
    }
    s->total_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - s->start_time;
    migration_cleanup(s);
}

void migration_fail_connecting(void)
{
    MigrationState *s = migrate_get_current();
    Error *err = NULL;

    if (migration_channel_connecting()) {
        migration_channel_cancel_connect();
        error_setg(&err, "Channel was shut down before it was connected");
        migration_fail_early(s, err);
        error_free(err);
    }
}

void migration_connect(MigrationState *s, Error *error_in)
{
    Error *err = error_in;

    if (qatomic_read(&s->state) == MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP) {
        migration_postcopy_resume_connected(s, err);
        return;
    }
    if (!err && qatomic_read(&s->state) == MIGRATION_STATUS_CANCELLING) {
        error_setg(&err, "cancelled");
    }
    if (!err) {
        qemu_savevm_state_prepare(&err);
    }
    if (!err) {
        migration_call_notifiers(s, MIG_EVENT_PRECOPY_SETUP, &err);
    }
    if (err) {
        migration_fail_early(s, err);
        error_free(err);
        return;
    }
    if (migration_uses_return_path()) {
        open_return_path_on_source(s);
    }
    s->thread_created = true;
    qemu_thread_create(&s->thread, "mig/src/main", migration_thread, s, QEMU_THREAD_JOINABLE);
}

void qmp_migrate(const char *uri, bool has_channels, MigrationChannelList *channels,
                 bool has_detach, bool detach, bool has_resume, bool resume, Error **errp)
{
    MigrationState *s = migrate_get_current();
    g_autoptr(MigrationChannel) channel = NULL;
    Error *err = NULL;

    if (!migrate_channels_parse(uri, has_channels, channels, &channel, NULL, errp) ||
        !migration_channels_and_transport_compatible(channel->addr, errp)) {
        return;
    }
    if (migration_uses_return_path() && channel->addr->transport == MIGRATION_ADDRESS_TYPE_FILE) {
        error_setg(errp, "Migration to a file has no return path: turn capability '%s' off",
                   migrate_postcopy_ram() ? "postcopy-ram" : "return-path");
        return;
    }
    if (!migrate_prepare(s, has_resume && resume, errp)) {
        return;
    }
    if (!resume) {
        if (!migration_yank_register(errp)) {
            return;
        }
        migrate_init(s);
    }
    migration_channel_start_outgoing(s, channel->addr, &err);
    if (err) {
        migration_fail_early(s, err);
        error_propagate(errp, err);
    }
}

/* Ending */

/* The thread has done its last; or there was none.  Main thread, BQL. */
void migration_cleanup(MigrationState *s)
{
    QEMUFile *f;

    if (s->thread_created) {
        qemu_thread_join(&s->thread);
        s->thread_created = false;
    }
    if (s->give_up_timer) {
        g_source_remove(s->give_up_timer);
        s->give_up_timer = 0;
    }
    migration_postcopy_cleanup(s);
    qemu_savevm_state_cleanup();
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        f = s->to_dst_file;
        s->to_dst_file = NULL;
    }
    if (f) {
        qemu_fclose(f);
    }
    socket_cleanup_outgoing_migration();
    migration_tls_end_outgoing();
    migration_yank_unregister();
    migrate_set_state(&s->state, MIGRATION_STATUS_CANCELLING, MIGRATION_STATUS_CANCELLED);
    migration_call_notifiers(s, migration_has_failed(s) ? MIG_EVENT_PRECOPY_FAILED
                                                        : MIG_EVENT_PRECOPY_DONE, NULL);
}

static gboolean give_up(gpointer opaque)
{
    MigrationState *s = opaque;

    s->give_up_timer = 0;
    QEMU_LOCK_GUARD(&s->qemu_file_lock);
    if (s->to_dst_file && qatomic_read(&s->state) == MIGRATION_STATUS_DEVICE) {
        qatomic_set(&s->cancel_late, true);
        qemu_file_shutdown(s->to_dst_file);
    }
    return G_SOURCE_REMOVE;
}

/* True: there was no connection yet, and what was there of the run is to be given back. */
static bool cancel_run(MigrationState *s)
{
    int state;

    QEMU_LOCK_GUARD(&s->qemu_file_lock);
    if (s->committed) {
        /*
         * The destination has the guest: it is only the answer that is missing, and it decides. Not
         * for ever, though.
         */
        if (qatomic_read(&s->state) == MIGRATION_STATUS_DEVICE && !s->give_up_timer) {
            s->give_up_timer = g_timeout_add(LATE_CANCEL_MS, give_up, s);
        }
        return false;
    }
    do {
        state = qatomic_read(&s->state);
        /* In postcopy only the destination's refusal or migration_postcopy_take_back() end it. */
        if (!migration_is_active_state(state) || state == MIGRATION_STATUS_CANCELLING ||
            migration_status_is_postcopy(state)) {
            return false;
        }
    } while (!migrate_set_state(&s->state, state, MIGRATION_STATUS_CANCELLING));

    /* Wake the thread, wherever it waits. */
    qemu_sem_post(&s->pause_sem);
    qemu_sem_post(&s->rate_limit_sem);
    qemu_sem_post(&s->rp_sem);
    multifd_send_shutdown();
    postcopy_preempt_shutdown(s);
    if (s->to_dst_file) {
        qemu_file_shutdown(s->to_dst_file);
        return false;
    }
    migration_channel_cancel_connect();
    return true;
}

void migration_cancel(void)
{
    MigrationState *s = migrate_get_current();

    if (cancel_run(s)) {
        migration_yank_unregister(); /* a yank that is under way waits for qemu_file_lock */
        migrate_set_state(&s->state, MIGRATION_STATUS_CANCELLING, MIGRATION_STATUS_CANCELLED);
    }
}

void qmp_migrate_cancel(Error **errp)
{
    MigrationState *s = migrate_get_current();

    if (migration_status_is_postcopy(qatomic_read(&s->state))) {
        migration_postcopy_take_back(s, errp);
    } else {
        migration_cancel();
    }
}

void qmp_migrate_continue(MigrationStatus state, Error **errp)
{
    MigrationState *s = migrate_get_current();
    int now = qatomic_read(&s->state);

    if (now != (int)state || state != MIGRATION_STATUS_PRE_SWITCHOVER) {
        error_setg(errp, "Migration not in expected state: %s", MigrationStatus_str(now));
        return;
    }
    qemu_sem_post(&s->pause_sem);
}

void qmp_migrate_start_postcopy(Error **errp)
{
    MigrationState *s = migrate_get_current();

    if (!migrate_postcopy_ram()) {
        error_setg(errp, "Enable postcopy with migrate_set_capability before the start of "
                   "migration");
        return;
    }
    if (qatomic_read(&s->state) == MIGRATION_STATUS_NONE) {
        error_setg(errp, "Postcopy must be started after migration has been started");
        return;
    }
    qatomic_set(&s->postcopy.start, true);
    qemu_sem_post(&s->rate_limit_sem); /* it may sleep for max-bandwidth's sake */
}

/* query-migrate */

static void fill_ram_info(MigrationInfo *info, MigrationState *s, int state)
{
    size_t page = qemu_target_page_size();
    MigrationStats *ram = g_new0(MigrationStats, 1);

    ram->multifd_bytes = stat64_get(&mig_stats.multifd_bytes);
    ram->transferred = stat64_get(&mig_stats.main_bytes) + ram->multifd_bytes;
    ram->total = ram_bytes_to_migrate();
    ram->duplicate = stat64_get(&mig_stats.zero_pages);
    ram->normal = stat64_get(&mig_stats.normal_pages);
    ram->normal_bytes = ram->normal * page;
    ram->mbps = s->mbps;
    ram->dirty_sync_count = stat64_get(&mig_stats.dirty_sync_count);
    ram->dirty_sync_missed_zero_copy = stat64_get(&mig_stats.dirty_sync_missed_zero_copy);
    ram->postcopy_requests = stat64_get(&mig_stats.postcopy_requests);
    ram->page_size = page;
    ram->pages_per_second = s->pages_per_second;
    ram->precopy_bytes = stat64_get(&mig_stats.precopy_bytes);
    ram->downtime_bytes = stat64_get(&mig_stats.downtime_bytes);
    ram->postcopy_bytes = stat64_get(&mig_stats.postcopy_bytes);
    if (state != MIGRATION_STATUS_COMPLETED) {
        ram->remaining = ram_bytes_unsent();
        ram->dirty_pages_rate = stat64_get(&mig_stats.dirty_pages_rate);
    }
    info->ram = ram;
    info->xbzrle_cache = xbzrle_cache_stats(); /* of the run, whatever is switched on by now */
    if (cpu_throttle_active()) {
        info->has_cpu_throttle_percentage = true;
        info->cpu_throttle_percentage = cpu_throttle_get_percentage();
    }
    if (migrate_dirty_limit() && dirtylimit_in_service()) {
        info->has_dirty_limit_throttle_time_per_round = true;
        info->dirty_limit_throttle_time_per_round = dirtylimit_throttle_time_per_round();
        info->has_dirty_limit_ring_full_time = true;
        info->dirty_limit_ring_full_time = dirtylimit_ring_full_time();
    }
    info->compression = compress_stats();
}

/* Differences between the steps' ends, so that they add up to the downtime. */
static MigrationDowntime *downtime_of_steps(const int64_t *ends)
{
    MigrationDowntime *d = g_new0(MigrationDowntime, 1);

    d->has_stop = d->has_pause = d->has_ram = d->has_devices = d->has_transfer = d->has_end = true;
    d->stop = ends[DOWNTIME_STEP_STOP];
    d->pause = ends[DOWNTIME_STEP_PAUSE] - ends[DOWNTIME_STEP_STOP];
    d->ram = ends[DOWNTIME_STEP_RAM] - ends[DOWNTIME_STEP_PAUSE];
    d->devices = ends[DOWNTIME_STEP_DEVICES] - ends[DOWNTIME_STEP_RAM];
    d->transfer = ends[DOWNTIME_STEP_TRANSFER] - ends[DOWNTIME_STEP_DEVICES];
    d->end = ends[DOWNTIME_STEP_END] - ends[DOWNTIME_STEP_TRANSFER];
    return d;
}

static void fill_times(MigrationInfo *info, MigrationState *s, int state)
{
    info->has_status = true;
    info->has_setup_time = true;
    info->setup_time = s->setup_time;
    info->has_total_time = true;
    info->total_time = migration_is_active_state(state)
                           ? qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - s->start_time
                           : s->total_time;
    if (state == MIGRATION_STATUS_COMPLETED || migration_status_is_postcopy(state)) {
        info->has_downtime = true;
        info->downtime = s->downtime;
        info->x_downtime = downtime_of_steps(s->step_ends);
    } else {
        info->has_expected_downtime = true;
        info->expected_downtime = s->expected_downtime;
    }
}

static void fill_source_info(MigrationInfo *info, MigrationState *s)
{
    int state = qatomic_read(&s->state);

    for (GSList *l = blockers[s->parameters.mode]; l; l = l->next) {
        info->has_blocked_reasons = true;
        QAPI_LIST_PREPEND(info->blocked_reasons, g_strdup(error_get_pretty(l->data)));
    }
    switch (state) {
    case MIGRATION_STATUS_NONE:
        return;
    case MIGRATION_STATUS_SETUP:
    case MIGRATION_STATUS_CANCELLED:
        break;
    case MIGRATION_STATUS_FAILED:
        break;
    default:
        fill_times(info, s, state);
        fill_ram_info(info, s, state);
        break;
    }
    info->has_status = true;
    info->status = state;
    QEMU_LOCK_GUARD(&s->error_mutex);
    if (s->error && (state == MIGRATION_STATUS_FAILED || migration_status_is_postcopy(state) ||
                     (state == MIGRATION_STATUS_CANCELLED && s->committed))) {
        info->error_desc = g_strdup(error_get_pretty(s->error));
    }
}

MigrationInfo *qmp_query_migrate(Error **errp)
{
    MigrationInfo *info = g_new0(MigrationInfo, 1);

    fill_source_info(info, migrate_get_current());
    if (!info->has_status) {
        migration_incoming_fill_info(info);
    }
    return info;
}
