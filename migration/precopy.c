/*
 * The migration thread: set-up, rounds of RAM while the guest runs, and the switchover.
 *
 * The switchover happens when what is left can be sent within the downtime limit at the bandwidth
 * that was measured.  To keep the promise, the guest is first held (its vCPUs paused, nobody
 * told), the dirty pages are counted once more, and only if they still fit does it stop for good;
 * otherwise it goes on at once and so do the rounds.
 *
 * Point of no return: the end mark of the stream.  Until it is out, a failure or a cancel leaves
 * the guest running here; after that the destination may run, and so the guest must not run here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "io/channel-command.h"
#include "migration-stats.h"
#include "migration.h"
#include "migration/global_state.h"
#include "multifd.h"
#include "options.h"
#include "postcopy.h"
#include "precopy.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram.h"
#include "savevm.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "threadinfo.h"

TRACE_EVENT(migration_pending);
TRACE_EVENT(migration_window);
TRACE_EVENT(migration_expected_downtime);
TRACE_EVENT(migration_hold_refused);
TRACE_EVENT(migration_downtime_step);

/* Of the downtime limit, what is kept back for everything but sending RAM: at most this share. */
#define DOWNTIME_RESERVE_MAX_PERCENT 30
/* …and at least this long: stopping, the last sync, devices, the destination's start. */
#define DOWNTIME_RESERVE_MS 12
/* What a switchover takes beside sending RAM, as a guess before it is known: devices, answers. */
#define SWITCHOVER_FIXED_MS 4
/* The guest is held at most this often for nothing; then the switchover takes what comes. */
#define HOLD_ATTEMPTS 50
/* What tells how fast it can go must be more than buffers on the way take at once; bytes. */
#define BURST_MIN (4 * MiB)
/* Of the PING behind the last device (other values: docs/stream-format.md). */
#define PING_ALL_SENT 5

static uint64_t bandwidth_to_switch_over(MigrationState *s)
{
    uint64_t given = migrate_avail_switchover_bandwidth();

    return given ? given : s->bandwidth;
}

static void update_threshold(MigrationState *s)
{
    double limit = migrate_downtime_limit();
    double reserve = MIN(limit * DOWNTIME_RESERVE_MAX_PERCENT / 100, DOWNTIME_RESERVE_MS);

    /* Any number may have been set: what is more than memory can have is cut off. */
    s->threshold = MIN(bandwidth_to_switch_over(s) / 1000.0 * (limit - reserve), (double)INT64_MAX);
}

void migration_rate_reset(MigrationState *s)
{
    /* New limits: a sleeping migration thread should look at them. */
    if (migration_is_active_state(qatomic_read(&s->state))) {
        qemu_sem_post(&s->rate_limit_sem);
    }
}

bool migration_guest_is_stopped(void)
{
    return qatomic_read(&migrate_get_current()->downtime_start) != 0;
}

/* Over all channels.  Migration thread. */
static uint64_t bytes_sent(QEMUFile *f)
{
    QEMUFile *preempt = migrate_get_current()->postcopy.preempt_file;

    return qemu_file_transferred(f) + stat64_get(&mig_stats.multifd_bytes) +
           (preempt ? qemu_file_transferred(preempt) : 0);
}

uint64_t migration_rate_left(QEMUFile *f)
{
    MigrationState *s = migrate_get_current();
    uint64_t limit = migrate_max_bandwidth(), sent;

    if (!limit || qatomic_read(&s->downtime_start)) {
        return UINT64_MAX;
    }
    limit = MAX(limit / (1000 / MIGRATION_WINDOW_MS), 1);
    sent = bytes_sent(f) - s->window_bytes + multifd_send_bytes_in_hand();
    return sent >= limit ? 0 : limit - sent;
}

bool migration_rate_exceeded(QEMUFile *f)
{
    return qemu_file_get_error(f) || migration_rate_left(f) == 0;
}

static uint64_t pages_sent(void)
{
    return stat64_get(&mig_stats.normal_pages) + stat64_get(&mig_stats.zero_pages) +
           xbzrle_pages_sent() + compress_pages_sent();
}

uint64_t migration_smooth_bandwidth(uint64_t before, uint64_t measured)
{
    /* One window says little where others compete for the processors or the network. */
    return before ? before - before / 4 + measured / 4 : measured;
}

/*
 * For how long the guest would be stopped, were it stopped with @left bytes to be sent; in ms. A
 * guest that stands leaves its processors to us, and nothing is limited then: it goes as fast as it
 * lately went at its best. (Whether to stop it is decided by the mean, to be sure.)
 */
static double predict_downtime(MigrationState *s, uint64_t left)
{
    uint64_t given = migrate_avail_switchover_bandwidth();
    uint64_t seen = MAX(s->peak_bandwidth, s->burst_bandwidth);
    uint64_t bandwidth = given ? given : MAX(seen, s->bandwidth);

    return SWITCHOVER_FIXED_MS + (bandwidth ? left * 1e3 / bandwidth : 0);
}

/* Pages that went as zeroes cost next to no bytes: a window full of them says nothing. */
static bool window_tells_bandwidth(MigrationState *s)
{
    uint64_t zeroes = stat64_get(&mig_stats.zero_pages) - s->window_zero_pages;

    return !s->bandwidth || zeroes <= (pages_sent() - s->window_pages) / 2;
}

/* Close the window if it is over: measure, and begin the next. */
void migration_update_window(MigrationState *s)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    int64_t spent = now - s->window_start;
    uint64_t bytes, total = bytes_sent(s->to_dst_file);

    if (spent < MIGRATION_WINDOW_MS) {
        return;
    }
    bytes = total - s->window_bytes;
    if (window_tells_bandwidth(s)) {
        uint64_t rate = bytes * 1000 / spent;
        uint64_t peak = s->bandwidth ? s->peak_bandwidth - s->peak_bandwidth / 16 : 0;

        s->bandwidth = migration_smooth_bandwidth(s->bandwidth, rate);
        s->peak_bandwidth = MAX(peak, MAX(rate, s->burst_bandwidth));
    }
    s->burst_bandwidth = 0;
    s->mbps = bytes * 8.0 / 1000 / spent;
    s->pages_per_second = (pages_sent() - s->window_pages) * 1000 / spent;
    update_threshold(s);
    if (bandwidth_to_switch_over(s)) {
        s->expected_downtime = predict_downtime(s, s->pending_bytes);
    }
    trace(migration_window, "bytes %" PRIu64 " in %" PRId64 " ms, threshold %" PRIu64, bytes, spent,
          s->threshold);
    s->window_bytes = total;
    s->window_pages = pages_sent();
    s->window_zero_pages = stat64_get(&mig_stats.zero_pages);
    s->window_start = now;
}

void migration_begin_window(MigrationState *s)
{
    s->window_start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    s->window_bytes = bytes_sent(s->to_dst_file);
    s->window_pages = pages_sent();
    s->window_zero_pages = stat64_get(&mig_stats.zero_pages);
}

/* Before the first window is over: what there is to go by after a few milliseconds. */
static void estimate_early(MigrationState *s)
{
    int64_t spent = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - s->window_start;

    if (!s->bandwidth && spent > 0 && !s->window_bytes) {
        s->threshold = 0;
        s->bandwidth = bytes_sent(s->to_dst_file) * 1000 / (spent + 1);
        update_threshold(s);
        /* Only predictions may go by it afterwards; windows begin with nothing. */
        s->peak_bandwidth = s->bandwidth;
        s->bandwidth = 0;
    }
}

/* Sleep until the window ends, or somebody has news. */
static void wait_for_window(MigrationState *s)
{
    int64_t left = s->window_start + MIGRATION_WINDOW_MS -
                   qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (left > 0) {
        qemu_sem_timedwait(&s->rate_limit_sem, left);
    }
}

void migration_step_done(MigrationState *s, DowntimeStep step)
{
    static const char *const names[] = {
        [DOWNTIME_STEP_STOP] = "guest stopped",
        [DOWNTIME_STEP_PAUSE] = "pause over",
        [DOWNTIME_STEP_RAM] = "ram sent",
        [DOWNTIME_STEP_DEVICES] = "devices saved",
        [DOWNTIME_STEP_TRANSFER] = "devices transferred",
        [DOWNTIME_STEP_END] = "end taken",
    };

    s->step_ends[step] = (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - s->downtime_start) / SCALE_US;
    trace(migration_downtime_step, "%s at %.3f ms", names[step], s->step_ends[step] / 1000.0);
}

typedef enum SwitchResult {
    SWITCH_DONE,   /* everything is sent */
    SWITCH_LATER,  /* too much left: the guest goes on */
    SWITCH_FAILED, /* or cancelled: the state says which */
} SwitchResult;

/*
 * Hold the guest and count again.  True: it is held, with no more than the threshold left.  BQL.
 */
static bool hold_guest(MigrationState *s, int attempt)
{
    uint64_t must = 0, can = 0;

    if (!runstate_is_running()) {
        return true;
    }
    pause_all_vcpus();
    bql_unlock();
    qemu_savevm_state_pending_exact(&must, &can);
    bql_lock();
    s->pending_bytes = must + can;
    if (must + can <= s->threshold || attempt >= HOLD_ATTEMPTS) {
        return true;
    }
    trace(migration_hold_refused, "attempt %d: %" PRIu64 " bytes left, %" PRIu64 " fit", attempt,
          must + can, s->threshold);
    if (runstate_is_running()) {
        resume_all_vcpus();
    }
    return false;
}

/* pause-before-switchover: tell, and wait for migrate-continue.  BQL, dropped while waiting. */
bool migration_pause_before_switchover(MigrationState *s)
{
    if (!migrate_pause_before_switchover()) {
        return migrate_set_state(&s->state, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_DEVICE);
    }
    while (qemu_sem_timedwait(&s->pause_sem, 0) == 0) {
        /* posts of an earlier round */
    }
    if (!migrate_set_state(&s->state, MIGRATION_STATUS_ACTIVE, MIGRATION_STATUS_PRE_SWITCHOVER)) {
        return false;
    }
    /* A file that has failed wakes us too: there is nothing left to be continued. */
    bql_unlock();
    if (!qemu_file_get_error(s->to_dst_file)) {
        qemu_sem_wait(&s->pause_sem);
    }
    bql_lock();
    return !qemu_file_get_error(s->to_dst_file) &&
           migrate_set_state(&s->state, MIGRATION_STATUS_PRE_SWITCHOVER, MIGRATION_STATUS_DEVICE);
}

/*
 * With a return path the destination is asked whether it has come this far, before the end mark
 * makes the guest its own: a peer that has stopped reading, or does not like a device, costs
 * nothing then.  BQL, dropped meanwhile.
 */
static bool wait_until_loaded(MigrationState *s, Error **errp)
{
    QEMUFile *f = s->to_dst_file;
    bool ok;

    bql_unlock();
    if (migration_uses_return_path()) {
        qemu_savevm_send_ping(f, PING_ALL_SENT);
    }
    ok = qemu_fflush(f) >= 0 &&
         (!migration_uses_return_path() || migration_wait_for_pong(s, PING_ALL_SENT));
    migration_step_done(s, DOWNTIME_STEP_TRANSFER);
    bql_lock();
    if (!ok) {
        qemu_file_get_error_obj(f, errp);
    }
    return ok;
}

/* Into memory first: what waits for the peer must not hold the BQL, and saving devices needs it. */
static bool save_devices(QIOChannelBuffer *to, Error **errp)
{
    QEMUFile *f;
    int ret;

    object_ref(OBJECT(to));
    f = qemu_file_new_output(QIO_CHANNEL(to));
    ret = qemu_savevm_state_complete_precopy_non_iterable(f, errp);
    qemu_fclose(f);
    return ret >= 0;
}

/* Everything that is sent with the guest stopped, up to the end mark.  BQL. */
static bool send_rest(MigrationState *s, Error **errp)
{
    QIOChannelBuffer *devices;
    QEMUFile *f = s->to_dst_file;
    int ret;

    /*
     * The bulk of it without the BQL: a peer that stops reading must not keep anybody from
     * cancelling.  What changes RAM meanwhile (a reset, say) is noticed by the last sync.
     */
    bql_unlock();
    qemu_savevm_send_switchover_start(f);
    do {
        ret = qemu_savevm_state_iterate(f);
    } while (ret == 0 && qatomic_read(&s->state) == MIGRATION_STATUS_DEVICE);
    ret = qemu_fflush(f);
    bql_lock();
    if (ret < 0) {
        qemu_file_get_error_obj(f, errp);
        return false;
    }
    if (qatomic_read(&s->state) != MIGRATION_STATUS_DEVICE) {
        return false;
    }
    if (qemu_savevm_state_complete_precopy_iterable(f, false, errp) < 0) {
        return false;
    }
    migration_step_done(s, DOWNTIME_STEP_RAM);
    cpu_synchronize_all_states();
    if (!cpus_check_register_errors(errp)) {
        return false;
    }
    devices = qio_channel_buffer_new(64 * KiB);
    if (!save_devices(devices, errp)) {
        object_unref(OBJECT(devices));
        return false;
    }
    migration_step_done(s, DOWNTIME_STEP_DEVICES);
    bql_unlock();
    qemu_put_buffer(f, devices->data, devices->usage);
    bql_lock();
    object_unref(OBJECT(devices));
    return wait_until_loaded(s, errp);
}

/* The destination certainly does not run the guest, whatever was sent. */
static void uncommit(MigrationState *s)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    s->committed = false;
}

/*
 * The end mark goes out alone, once nobody has cancelled: with it the guest is the
 * destination's.  Without the BQL.
 */
static bool send_end(MigrationState *s, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        s->committed = qatomic_read(&s->state) == MIGRATION_STATUS_DEVICE;
    }
    if (!s->committed) {
        return false;
    }
    if (qemu_savevm_state_end(s->to_dst_file) < 0) {
        qemu_file_get_error_obj(s->to_dst_file, errp);
        uncommit(s);
        return false;
    }
    return true;
}

/*
 * exec: the command has everything; what it makes of it (a full disk, say) is part of the outcome.
 */
static bool close_command(MigrationState *s, Error **errp)
{
    QIOChannel *ioc = qemu_file_get_ioc(s->to_dst_file);

    return !object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_COMMAND) ||
           qio_channel_close(ioc, errp) == 0;
}

/*
 * For good. What is stored is the state that it was in before; a guest that fell asleep while its
 * CPUs were being stopped counts as suspended.  BQL.
 */
bool migration_stop_guest(MigrationState *s, Error **errp)
{
    int ret;

    s->vm_old_state = runstate_get();
    ret = vm_stop_force_state(RUN_STATE_FINISH_MIGRATE);
    if (s->vm_old_state == RUN_STATE_RUNNING && vm_get_suspended()) {
        s->vm_old_state = RUN_STATE_SUSPENDED;
    }
    global_state_store_state(s->vm_old_state);
    migration_step_done(s, DOWNTIME_STEP_STOP);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the guest's disks could not be flushed");
    }
    return ret == 0;
}

/* The last prediction: what is left is known, and how long stopping took. */
static void foretell(MigrationState *s)
{
    double held = (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - s->downtime_start) / 1e6;
    double ms = held + predict_downtime(s, s->pending_bytes);

    trace(migration_expected_downtime, "%" PRId64 " ms shown, %.3f ms now for %" PRId64
          " bytes at %" PRIu64 " bytes/s", s->expected_downtime, ms, s->pending_bytes,
          MAX(MAX(s->peak_bandwidth, s->burst_bandwidth), s->bandwidth));
    s->expected_downtime = ms;
}

static SwitchResult switch_over(MigrationState *s, int attempt)
{
    Error *err = NULL;
    int64_t held_at;
    bool ok;

    bql_lock();
    held_at = qemu_clock_get_ns(QEMU_CLOCK_REALTIME); /* to the guest its downtime begins here */
    if (!hold_guest(s, attempt)) {
        bql_unlock();
        return SWITCH_LATER;
    }
    qatomic_set(&s->downtime_start, held_at);
    foretell(s);
    ok = migration_stop_guest(s, &err) && migration_pause_before_switchover(s);
    migration_step_done(s, DOWNTIME_STEP_PAUSE);
    if (ok) {
        ok = send_rest(s, &err);
    }
    bql_unlock();
    ok = ok && send_end(s, &err) && !qatomic_read(&s->cancel_late);
    if (ok) {
        /* With a return path the destination has the last word. */
        ok = close_return_path_on_source(s, false);
        if (!ok && s->rp_state.peer_is_out) {
            uncommit(s);
        }
    }
    if (ok) {
        ok = close_command(s, &err) && !qatomic_read(&s->cancel_late);
    }
    if (!ok) {
        if (err) {
            migrate_set_error(s, err);
            error_free(err);
        }
        return SWITCH_FAILED;
    }
    migration_step_done(s, DOWNTIME_STEP_END);
    s->downtime = DIV_ROUND_UP(s->step_ends[DOWNTIME_STEP_END], SCALE_MS / SCALE_US);
    return SWITCH_DONE;
}

/*
 * Are we faster than the guest?  Then it pays to finish the pass before the switchover even where
 * the rest of it would fit into the limit: it takes no longer than the limit, and shortens the
 * downtime to what was dirtied meanwhile.
 */
static bool is_gaining(MigrationState *s)
{
    uint64_t dirtied = stat64_get(&mig_stats.dirty_pages_rate) * qemu_target_page_size();

    return dirtied < s->bandwidth / 2 || !s->bandwidth;
}

/*
 * switchover-ack: the destination is not ready yet.  Nothing is sent meanwhile, so that this time
 * says nothing of the bandwidth.
 */
static void wait_for_ack(MigrationState *s)
{
    qemu_fflush(s->to_dst_file);
    qemu_sem_timedwait(&s->rate_limit_sem, MIGRATION_WINDOW_MS);
    s->window_start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    s->window_bytes = bytes_sent(s->to_dst_file);
    s->window_pages = pages_sent();
}

/*
 * A round of all handlers; result as qemu_savevm_state_iterate's. How fast it goes from its begin
 * to its end says what goes through where nothing is limited: all waiting for a window to end,
 * looking for written pages and stopping lies outside.
 */
static int run_round(MigrationState *s)
{
    int64_t start = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    uint64_t before = bytes_sent(s->to_dst_file), bytes;
    int ret = qemu_savevm_state_iterate(s->to_dst_file);

    if (ret >= 0) {
        qemu_fflush(s->to_dst_file);
    }
    bytes = bytes_sent(s->to_dst_file) - before;
    if (bytes >= BURST_MIN) {
        int64_t spent = qemu_clock_get_ns(QEMU_CLOCK_REALTIME) - start;

        s->burst_bandwidth = MAX(s->burst_bandwidth, bytes * 1e9 / spent);
    }
    return ret;
}

/* Rounds until the switchover is done, or the migration has failed or was cancelled. */
static bool run_rounds(MigrationState *s)
{
    bool pass_done = false;
    int attempt = 0, ret;

    while (qatomic_read(&s->state) == MIGRATION_STATUS_ACTIVE) {
        uint64_t must, can;
        bool ready;

        if (qemu_file_get_error(s->to_dst_file)) {
            return false;
        }
        if (postcopy_is_due(s) && migration_switchover_acked(s)) {
            return migration_run_postcopy(s);
        }
        qemu_savevm_state_pending_estimate(&must, &can);
        s->pending_bytes = must + can;
        estimate_early(s);
        ready = must + can <= s->threshold && (pass_done || !is_gaining(s));
        if (ready) {
            qemu_savevm_state_pending_exact(&must, &can);
            s->pending_bytes = must + can;
            if (bandwidth_to_switch_over(s)) {
                s->expected_downtime = predict_downtime(s, s->pending_bytes);
            }
            trace(migration_pending, "exact %" PRIu64 ", threshold %" PRIu64, must + can,
                  s->threshold);
            ready = must + can <= s->threshold;
        }
        if (ready && !migration_switchover_acked(s)) {
            wait_for_ack(s);
            continue;
        }
        if (ready) {
            switch (switch_over(s, ++attempt)) {
            case SWITCH_DONE:
                return true;
            case SWITCH_FAILED:
                return false;
            case SWITCH_LATER:
                break;
            }
        }
        ret = run_round(s);
        if (ret < 0) {
            return false;
        }
        pass_done = ret > 0;
        if (migration_rate_exceeded(s->to_dst_file)) {
            wait_for_window(s);
        }
        migration_update_window(s);
    }
    return false;
}

static bool set_up(MigrationState *s)
{
    int64_t start = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    Error *err = NULL;

    if (migrate_postcopy_preempt() && s->preempt_pre_7_2 && !postcopy_preempt_connect(s, &err)) {
        migrate_set_error(s, err);
        error_free(err);
        return false;
    }
    qemu_savevm_state_header(s->to_dst_file);
    if (migration_uses_return_path()) {
        qemu_savevm_send_open_return_path(s->to_dst_file);
        qemu_savevm_send_ping(s->to_dst_file, 1);
    }
    if (migrate_postcopy_ram()) {
        postcopy_announce(s);
    }
    if (qemu_savevm_state_setup(s->to_dst_file, &err) < 0) {
        Error *reason = NULL;

        /* Where the connection has failed, what else went wrong did so because of that. */
        if (qemu_file_get_error_obj(s->to_dst_file, &reason)) {
            migrate_set_error(s, reason);
            error_free(reason);
        }
        migrate_set_error(s, err);
        error_free(err);
        return false;
    }
    s->setup_time = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) - start;
    return migrate_set_state(&s->state, MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE);
}

static void cleanup_bh(void *opaque)
{
    migration_cleanup(opaque);
}

/* However it ended: the guest runs where it should, and the status says what happened. */
static void finish(MigrationState *s, bool done)
{
    Error *err = NULL;
    int state;

    if (!done && s->to_dst_file) {
        if (qemu_file_get_error_obj(s->to_dst_file, &err)) {
            migrate_set_error(s, err);
            error_free(err);
        }
        /* Closing it, under the BQL, must not wait for a peer to take what is still buffered. */
        WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
            qemu_file_shutdown(s->to_dst_file);
        }
    }
    close_return_path_on_source(s, true);

    bql_lock();
    /* Rounded up as the downtime is, of which it is never less. */
    s->total_time = DIV_ROUND_UP(qemu_clock_get_ns(QEMU_CLOCK_REALTIME), SCALE_MS) - s->start_time;
    if (done) {
        /* Written by all files that there were. */
        uint64_t bytes = stat64_get(&mig_stats.main_bytes) + stat64_get(&mig_stats.multifd_bytes);
        int64_t spent = MAX(s->total_time - s->setup_time, 1);

        s->mbps = bytes * 8.0 / 1000 / spent;
        s->pages_per_second = pages_sent() * 1000 / spent;
        s->pending_bytes = 0;
        runstate_set(RUN_STATE_POSTMIGRATE);
    } else {
        qatomic_set(&s->downtime_start, 0);
        if (s->committed && s->postcopy.switched) {
            /* The program ends while the guest, or a part of it, is elsewhere. */
        } else if (s->committed) {
            /* The end mark is out, and what came of it nobody says: better no guest than two. */
            runstate_set(RUN_STATE_POSTMIGRATE);
            migrate_append_error(s, "the destination has the whole stream and may run the guest: "
                                    "it stays stopped here; 'cont' resumes it if the destination "
                                    "does not");
        } else if (s->vm_old_state >= 0) {
            vm_resume(s->vm_old_state);
        }
    }
    /*
     * Queued before the status says that it is over, so that who hears of it and acts finds
     * everything cleaned up.  It cannot run before we let go of the BQL, and then waits only for
     * this thread's end.
     */
    qemu_bh_schedule_oneshot(cleanup_bh, s);
    if (s->postcopy.switched) {
        if (done) {
            qemu_system_reset_forget();
        }
        qemu_system_reset_hold(false);
    }
    if (done) {
        migrate_set_state(&s->state, qatomic_read(&s->state), MIGRATION_STATUS_COMPLETED);
    } else if (!s->committed || !s->postcopy.switched) {
        if (s->cancel_late) {
            migrate_set_state(&s->state, MIGRATION_STATUS_DEVICE, MIGRATION_STATUS_CANCELLING);
        }
        state = qatomic_read(&s->state);
        while (state != MIGRATION_STATUS_CANCELLING && state != MIGRATION_STATUS_FAILED) {
            if (migrate_set_state(&s->state, state, MIGRATION_STATUS_FAILED)) {
                break;
            }
            state = qatomic_read(&s->state);
        }
    }
    bql_unlock();
}

void *migration_thread(void *opaque)
{
    MigrationState *s = opaque;
    MigrationThread *info = migration_threads_add("mig/src/main", qemu_get_thread_id());
    bool done;

    migration_begin_window(s);
    s->bandwidth = s->peak_bandwidth = s->burst_bandwidth = 0;
    s->threshold = 0;
    done = set_up(s) && run_rounds(s);
    migration_threads_remove(info);
    finish(s, done);
    return NULL;
}
