/*
 * Postcopy at the source: the switch, the rounds after it, the end; pausing and resuming.
 *
 * Point of no return: POSTCOPY_RUN. A destination of this program's kind gets it by itself, once it
 * has said that it has loaded the devices; QEMU gets it as the last thing of the package. Before it
 * is written, whatever fails leaves the guest running here. After that, a connection that breaks
 * makes this thread wait for a new one, for as long as it takes.
 *
 * docs/devel/postcopy.md tells how it all belongs together; which pages go is ram-postcopy.c's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "migration-stats.h"
#include "options.h"
#include "postcopy.h"
#include "postcopy-pings.h"
#include "precopy.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram-postcopy.h"
#include "ram-release.h"
#include "ram.h"
#include "savevm.h"
#include "system/cpus.h"
#include "system/runstate.h"

TRACE_EVENT(postcopy_switch);
TRACE_EVENT(postcopy_paused);

/*
 * The destination loads its devices undisturbed for so long at most; only what it asks for goes.
 * Its guest stands until it is through.
 */
#define LOADING_MS 50
/* How long the main loop may take to come to a reset. */
#define RESET_MS 2000
/* How long a broken connection is listened to. */
#define LAST_WORDS_MS 200
/* A background that is slowed down may send at once what it did not send for so long. */
#define CATCH_UP_MS 20

void postcopy_announce(MigrationState *s)
{
    qemu_savevm_send_ping(s->to_dst_file, POSTCOPY_PING_ASK);
    qemu_savevm_send_postcopy_advise(s->to_dst_file);
}

void postcopy_take_pong(MigrationState *s, uint32_t value)
{
    switch (value) {
    case POSTCOPY_PING_ASK:
    case POSTCOPY_PONG_RUN_APART:
        if (!qatomic_read(&s->postcopy.answered)) {
            s->postcopy.run_apart = value == POSTCOPY_PONG_RUN_APART;
            qatomic_mb_set(&s->postcopy.answered, true);
            qemu_sem_post(&s->rate_limit_sem);
        }
        break;
    case POSTCOPY_PING_TOKEN:
        break; /* the answer comes with the next */
    case POSTCOPY_PONG_TOKEN_TAKEN:
    case POSTCOPY_PONG_TOKEN_OTHER:
        qatomic_set(&s->postcopy.token_taken, value == POSTCOPY_PONG_TOKEN_TAKEN);
        qatomic_mb_set(&s->postcopy.token_answered, true);
        qemu_sem_post(&s->rp_sem);
        break;
    case POSTCOPY_PING_LOADED:
        qatomic_mb_set(&s->postcopy.devices_loaded, true);
        qemu_sem_post(&s->rate_limit_sem);
        break;
    default:
        if (value == s->postcopy.token) { /* it knows nothing of tokens */
            qatomic_mb_set(&s->postcopy.token_answered, true);
            qemu_sem_post(&s->rp_sem);
        }
        ram_release_confirmed(value);
        break;
    }
}

bool postcopy_is_due(MigrationState *s)
{
    return qatomic_read(&s->postcopy.start) && qatomic_mb_read(&s->postcopy.answered);
}

bool migration_status_is_postcopy(int state)
{
    return state == MIGRATION_STATUS_POSTCOPY_ACTIVE || state == MIGRATION_STATUS_POSTCOPY_PAUSED ||
           state == MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP ||
           state == MIGRATION_STATUS_POSTCOPY_RECOVER;
}

/* --- the switch --- */

/* What goes while the guest stands, made in memory: nobody waits for the peer under the BQL. */
typedef struct Handover {
    QIOChannelBuffer *discards, *package;
} Handover;

static QEMUFile *write_to(QIOChannelBuffer *buffer)
{
    object_ref(OBJECT(buffer));
    return qemu_file_new_output(QIO_CHANNEL(buffer));
}

static bool build_package(QIOChannelBuffer *to, Error **errp)
{
    QEMUFile *f = write_to(to);
    int ret;

    qemu_savevm_send_postcopy_listen(f);
    ret = qemu_savevm_state_complete_precopy_non_iterable(f, errp);
    qemu_savevm_send_ping(f, POSTCOPY_PING_LOADED);
    qemu_fclose(f);
    return ret >= 0;
}

static void build_discards(QIOChannelBuffer *to)
{
    QEMUFile *f = write_to(to);

    ram_postcopy_begin(f);
    qemu_fclose(f);
}

/* A reset that the guest has asked for belongs to what it is here. BQL, dropped while waiting. */
static bool let_reset_happen(Error **errp)
{
    for (int i = 0; i < RESET_MS && qemu_reset_requested_get(); i++) {
        bql_unlock();
        g_usleep(1000);
        bql_lock();
    }
    if (qemu_reset_requested_get()) {
        error_setg(errp, "a reset was asked for, and the main loop has not come to it in %d ms: the "
                   "guest cannot be handed over", RESET_MS);
        return false;
    }
    return true;
}

/*
 * The guest is stopped, its memory counted for the last time and its devices saved, in one go with
 * the BQL held: nothing changes in between.
 */
static bool stop_and_save(MigrationState *s, Handover *h, Error **errp)
{
    BQL_LOCK_GUARD();

    qatomic_set(&s->downtime_start, qemu_clock_get_ns(QEMU_CLOCK_REALTIME));
    if (!migration_stop_guest(s, errp) || !migration_pause_before_switchover(s)) {
        return false;
    }
    if (!let_reset_happen(errp)) {
        return false;
    }
    qemu_system_reset_hold(true);
    migration_step_done(s, DOWNTIME_STEP_PAUSE);
    migration_bitmap_sync(true);
    build_discards(h->discards);
    migration_step_done(s, DOWNTIME_STEP_RAM);
    cpu_synchronize_all_states();
    if (!cpus_check_register_errors(errp) || !build_package(h->package, errp)) {
        return false;
    }
    migration_step_done(s, DOWNTIME_STEP_DEVICES);
    return true;
}

/* What the page encoder still has; the END of what does not go on in postcopy. */
static int finish_precopy(QEMUFile *f, Error **errp)
{
    int ret = 0;

    qemu_savevm_send_switchover_start(f);
    if (ram_encoder_may_lag()) {
        qemu_savevm_section_begin(f, "ram", QEMU_VM_SECTION_PART);
        ret = ram_finish_encoder(f);
        qemu_savevm_section_end(f, "ram");
    }
    if (ret < 0) {
        qemu_file_get_error_obj(f, errp);
        return ret;
    }
    WITH_BQL() {
        ret = qemu_savevm_state_complete_precopy_iterable(f, true, errp);
    }
    return ret;
}

/*
 * RUN is written, after nobody has cancelled. The main channel is ours. It goes alone: the result
 * says whether it is out, which nothing else may blur.
 */
static bool send_run(MigrationState *s, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        s->committed = qatomic_read(&s->state) == MIGRATION_STATUS_DEVICE;
    }
    if (!s->committed) {
        return false;
    }
    qemu_savevm_put_postcopy_run(s->to_dst_file);
    if (qemu_fflush(s->to_dst_file) < 0) {
        qemu_file_get_error_obj(s->to_dst_file, errp);
        WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
            s->committed = false;
        }
        return false;
    }
    migration_step_done(s, DOWNTIME_STEP_TRANSFER);
    migration_step_done(s, DOWNTIME_STEP_END);
    s->downtime = DIV_ROUND_UP(s->step_ends[DOWNTIME_STEP_END], SCALE_MS / SCALE_US);
    migrate_set_state(&s->state, MIGRATION_STATUS_DEVICE, MIGRATION_STATUS_POSTCOPY_ACTIVE);
    return true;
}

/* The main channel is ours. */
static bool send_package(MigrationState *s, const QIOChannelBuffer *package, Error **errp)
{
    QEMUFile *f = s->to_dst_file;
    size_t len = package->usage;

    qemu_savevm_put_packaged(f, s->postcopy.run_apart ? len : len + QEMU_VM_COMMAND_HEADER);
    qemu_put_buffer(f, package->data, len);
    if (qemu_fflush(f) < 0) {
        qemu_file_get_error_obj(f, errp);
        return false;
    }
    if (!s->postcopy.run_apart && !send_run(s, errp)) {
        return false;
    }
    qemu_savevm_send_ping(f, POSTCOPY_PING_PACKAGED);
    return true;
}

/* The destination knows another migration, or none by its token. */
static bool is_strange(MigrationState *s)
{
    return s->postcopy.run_apart && qatomic_mb_read(&s->postcopy.token_answered) &&
           !qatomic_read(&s->postcopy.token_taken);
}

/* Says, or says again, which migration it is. */
static void send_token(MigrationState *s)
{
    if (s->postcopy.run_apart) {
        qatomic_set(&s->postcopy.token_taken, false);
        qatomic_mb_set(&s->postcopy.token_answered, false);
        qemu_savevm_send_ping(s->to_dst_file, POSTCOPY_PING_TOKEN);
        qemu_savevm_send_ping(s->to_dst_file, s->postcopy.token);
    }
}

static bool hand_over(MigrationState *s, const Handover *h, Error **errp)
{
    QEMUFile *f = s->to_dst_file;
    bool ok;

    send_token(s);
    if (finish_precopy(f, errp) < 0) {
        return false;
    }
    qemu_put_buffer(f, h->discards->data, h->discards->usage);
    qemu_savevm_send_ping(f, POSTCOPY_PING_DISCARDED);
    /* It may ask for pages as soon as it has read LISTEN, and gets them behind all this. */
    ram_postcopy_attach(f, s->postcopy.preempt_file);
    ram_postcopy_claim_main();
    ok = send_package(s, h->package, errp);
    ram_postcopy_release_main();
    return ok;
}

static bool switch_over(MigrationState *s, Error **errp)
{
    Handover h;
    bool ok;

    if (migrate_postcopy_preempt() && !s->preempt_pre_7_2 && !postcopy_preempt_connect(s, errp)) {
        return false;
    }
    h = (Handover){qio_channel_buffer_new(64 * KiB), qio_channel_buffer_new(64 * KiB)};
    trace(postcopy_switch, "%" PRIu64 " bytes left, RUN %s", ram_bytes_remaining(),
          s->postcopy.run_apart ? "apart" : "in the package");
    s->postcopy.switched = true;
    ok = stop_and_save(s, &h, errp) && hand_over(s, &h, errp);
    object_unref(OBJECT(h.discards));
    object_unref(OBJECT(h.package));
    return ok;
}

/* --- rounds --- */

/* max-postcopy-bandwidth: what the background has sent, and time has not paid for yet. */
typedef struct Pace {
    int64_t since; /* ns */
    double debt;   /* bytes; below 0 there is something to catch up with */
} Pace;

static bool run_is_due(MigrationState *s)
{
    return !s->committed && qatomic_mb_read(&s->postcopy.devices_loaded);
}

/* So much was sent: sleeps where that was more than may be. The limit may change meanwhile. */
static void keep_pace(MigrationState *s, Pace *pace, uint64_t bytes)
{
    pace->debt += bytes;
    while (!qemu_file_get_error(s->to_dst_file) && !run_is_due(s)) {
        double limit = migrate_max_postcopy_bandwidth(), ms;
        int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
        double earned = limit * (now - pace->since) / NANOSECONDS_PER_SECOND;

        pace->since = now;
        if (!limit) {
            pace->debt = 0;
            break;
        }
        pace->debt = MAX(pace->debt - earned, -limit * CATCH_UP_MS / 1000);
        ms = pace->debt * 1000 / limit;
        if (ms < 1) {
            break;
        }
        qemu_sem_timedwait(&s->rate_limit_sem, MIN(ms, 1000));
    }
}

/* Between runs: RUN, if it is time for it; memory is given back. False: it has failed. */
static bool do_errands(MigrationState *s, Error **errp)
{
    bool ok = true;

    if (run_is_due(s)) {
        ram_postcopy_claim_main();
        ok = send_run(s, errp);
        ram_postcopy_release_main();
    }
    if (s->committed && qatomic_read(&s->postcopy.devices_loaded)) {
        ram_release_run(); /* the guest cannot be taken back */
    }
    return ok;
}

static void wait_for_loading(MigrationState *s)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LOADING_MS, now;

    while (!qatomic_mb_read(&s->postcopy.devices_loaded) && !qemu_file_get_error(s->to_dst_file) &&
           (now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME)) < end) {
        qemu_sem_timedwait(&s->rate_limit_sem, end - now);
    }
}

/* All pages in the background. True: they are out, and so is RUN. */
static bool send_pages(MigrationState *s, Error **errp)
{
    Pace pace = {0};

    wait_for_loading(s);
    pace.since = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    for (;;) {
        uint64_t before = qemu_file_transferred(s->to_dst_file);
        int64_t n;

        if (!do_errands(s, errp)) {
            return false;
        }
        n = ram_postcopy_send_run();
        s->pending_bytes = ram_bytes_remaining();
        if (n < 0 || qemu_file_get_error(s->to_dst_file)) {
            qemu_file_get_error_obj(s->to_dst_file, errp);
            return false;
        }
        if (n == 0 && s->committed) {
            return true;
        }
        if (n == 0) {
            qemu_sem_timedwait(&s->rate_limit_sem, MIGRATION_WINDOW_MS);
        } else {
            keep_pace(s, &pace, qemu_file_transferred(s->to_dst_file) - before);
        }
        migration_update_window(s);
    }
}

/* The end, and the destination's word that it has everything. */
static bool send_end(MigrationState *s, Error **errp)
{
    if (ram_postcopy_end() < 0) {
        qemu_file_get_error_obj(s->to_dst_file, errp);
        return false;
    }
    qatomic_mb_set(&s->postcopy.end_sent, true);
    qemu_put_byte(s->to_dst_file, QEMU_VM_EOF);
    if (qemu_fflush(s->to_dst_file) < 0) {
        qemu_file_get_error_obj(s->to_dst_file, errp);
        return false;
    }
    return close_return_path_on_source(s, false);
}

/* --- pausing --- */

static void close_channels(MigrationState *s)
{
    QEMUFile *f, *preempt;

    WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
        f = s->to_dst_file;
        preempt = s->postcopy.preempt_file;
        s->to_dst_file = s->postcopy.preempt_file = NULL;
    }
    if (f) {
        qemu_fclose(f);
    }
    if (preempt) {
        qemu_fclose(preempt);
    }
}

void postcopy_shut_down_channels(MigrationState *s, const char *why)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    if (s->to_dst_file) {
        Error *err = NULL;

        if (why) {
            error_setg(&err, "%s", why);
            qemu_file_set_error_obj(s->to_dst_file, -EIO, err);
        }
        qemu_file_shutdown(s->to_dst_file);
    }
    postcopy_preempt_shutdown(s);
    qemu_sem_post(&s->rp_sem);
    qemu_sem_post(&s->rate_limit_sem);
}

/* Any state in which this thread works → paused. */
static void set_paused(MigrationState *s)
{
    int state = qatomic_read(&s->state);

    migrate_set_state(&s->state, state, MIGRATION_STATUS_POSTCOPY_PAUSED);
}

/*
 * Writing has failed. What the destination has said before that may still lie in the socket, and
 * PONG 3 decides whether the guest can be taken back.
 */
static void hear_last_words(MigrationState *s)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LAST_WORDS_MS, now;

    while (!qatomic_mb_read(&s->postcopy.devices_loaded) && !qatomic_mb_read(&s->rp_state.ended) &&
           (now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME)) < end) {
        qemu_sem_timedwait(&s->rp_sem, end - now);
    }
}

/* It has not said that it has loaded the guest. */
static bool may_be_taken_back(MigrationState *s)
{
    return !qatomic_mb_read(&s->postcopy.devices_loaded) &&
           !qatomic_mb_read(&s->postcopy.met_again);
}

/*
 * Paused, because of @err (NULL: for no other reason than before). That the destination has
 * completed, or runs the guest, is something that only its user can know when its last word was
 * lost.
 */
static void show_error(MigrationState *s, const Error *err)
{
    g_autoptr(Error) full = NULL;

    if (err && qatomic_mb_read(&s->postcopy.all_sent)) {
        error_setg(&full, "%s; all of the guest was sent, and only that it has arrived was not "
                   "confirmed: if the destination's migration is 'completed', the guest is there, "
                   "and nothing is left to be done here but 'quit'; if it is 'postcopy-paused', it "
                   "can be resumed", error_get_pretty(err));
        err = full;
    } else if (err && may_be_taken_back(s)) {
        error_setg(&full, "%s; whether the destination runs the guest is not known: resume it, or, "
                   "if the destination is dead for certain, let 'migrate_cancel' run the guest "
                   "here again", error_get_pretty(err));
        err = full;
    }
    if (err) {
        migrate_replace_error(s, err);
    }
}

/* Until there is a new channel. False: there will be none. */
static bool wait_while_paused(MigrationState *s)
{
    for (;;) {
        if (qatomic_mb_read(&s->postcopy.quit)) {
            return false;
        }
        if (qatomic_mb_read(&s->postcopy.resumed)) {
            qatomic_set(&s->postcopy.resumed, false);
            return true;
        }
        qemu_sem_wait(&s->postcopy.paused_sem);
    }
}

/* Who goes on after a pause has loaded the devices, even if the PONG that said so was lost. */
static void note_loaded(MigrationState *s)
{
    qatomic_mb_set(&s->postcopy.devices_loaded, true);
}

/*
 * The connection is broken, for @err. With the guest handed over, wait for another one. False: it
 * is not to be, or the guest is ours again.
 */
static bool pause_and_wait(MigrationState *s, Error *err)
{
    g_autoptr(Error) first = NULL;
    bool refused;

    /* What the main channel's file says came first, where it says anything. */
    if (!qemu_file_get_error_obj(s->to_dst_file, &first) && err) {
        first = error_copy(err);
    }
    hear_last_words(s);
    postcopy_shut_down_channels(s, NULL);
    close_return_path_on_source(s, true);
    ram_postcopy_detach();
    if (is_strange(s)) { /* however the connection ended */
        g_clear_pointer(&first, error_free);
        error_setg(&first, "the destination that was connected to is not the one to which this "
                   "guest went");
        qatomic_set(&s->postcopy.token_answered, false); /* of this connection it was said */
    }
    if (qatomic_mb_read(&s->rp_state.resume_acked)) {
        note_loaded(s);
    }
    refused = s->rp_state.shut_value == 1 && !qatomic_read(&s->postcopy.devices_loaded);
    close_channels(s);
    if (qatomic_mb_read(&s->postcopy.end_sent)) {
        qatomic_mb_set(&s->postcopy.all_sent, true);
        qatomic_set(&s->postcopy.end_sent, false);
    }
    if (refused) {
        g_clear_pointer(&first, error_free);
        error_setg(&first, "return path: %s", MIGRATION_REFUSED);
        migrate_replace_error(s, first);
        /* It could not load the devices and says so: it does not run the guest. */
        WITH_QEMU_LOCK_GUARD(&s->qemu_file_lock) {
            s->committed = false;
        }
        return false;
    }
    trace(postcopy_paused, "%s", first ? error_get_pretty(first) : "");
    show_error(s, first);
    set_paused(s);
    return wait_while_paused(s);
}

void migration_postcopy_quit(MigrationState *s)
{
    qatomic_mb_set(&s->postcopy.quit, true);
    qemu_sem_post(&s->postcopy.paused_sem);
}

bool migration_postcopy_take_back(MigrationState *s, Error **errp)
{
    QEMU_LOCK_GUARD(&s->qemu_file_lock);

    if (may_be_taken_back(s) &&
        migrate_set_state(&s->state, MIGRATION_STATUS_POSTCOPY_PAUSED,
                          MIGRATION_STATUS_CANCELLING)) {
        s->committed = false;
        migration_postcopy_quit(s);
        return true;
    }
    error_setg(errp, "Postcopy migration in progress, cannot cancel.");
    return false;
}

/* --- resuming --- */

bool migration_postcopy_resume_begin(MigrationState *s, Error **errp)
{
    if (!migrate_set_state(&s->state, MIGRATION_STATUS_POSTCOPY_PAUSED,
                           MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP)) {
        error_setg(errp, "Cannot resume if there is no paused migration");
        return false;
    }
    return true;
}

void migration_postcopy_resume_connected(MigrationState *s, Error *err)
{
    if (err) {
        show_error(s, err);
        migrate_set_state(&s->state, MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP,
                          MIGRATION_STATUS_POSTCOPY_PAUSED);
        error_free(err);
        return;
    }
    qatomic_mb_set(&s->postcopy.resumed, true);
    qemu_sem_post(&s->postcopy.paused_sem);
}

/* Until the return path has brought something. False: the connection is broken. */
static bool wait_for_news(MigrationState *s, Error **errp)
{
    if (!qemu_file_get_error(s->to_dst_file)) {
        qemu_sem_wait(&s->rp_sem);
    }
    return !qemu_file_get_error_obj(s->to_dst_file, errp);
}

/* The destination is the one to which this guest went, as far as it can be known. */
static bool is_known(MigrationState *s, Error **errp)
{
    if (!s->postcopy.run_apart) {
        return true;
    }
    send_token(s);
    qemu_fflush(s->to_dst_file);
    while (!qatomic_mb_read(&s->postcopy.token_answered)) {
        if (!wait_for_news(s, errp)) {
            return false;
        }
    }
    return !is_strange(s);
}

/* Both sides agree on what is missing, and go on. */
static bool resume(MigrationState *s, Error **errp)
{
    QEMUFile *f = s->to_dst_file;

    migrate_set_state(&s->state, MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP,
                      MIGRATION_STATUS_POSTCOPY_RECOVER);
    migration_begin_window(s);
    open_return_path_on_source(s);
    if (migrate_postcopy_preempt() && s->preempt_pre_7_2 && !postcopy_preempt_connect(s, errp)) {
        return false; /* such a destination reads nothing before it has both */
    }
    if (!is_known(s, errp)) {
        return false;
    }
    ram_postcopy_ask_bitmaps(f);
    while (ram_postcopy_bitmaps_missing()) {
        if (!wait_for_news(s, errp)) {
            return false;
        }
    }
    /* It lives, has the package with RUN in it, and so runs the guest or is about to. */
    qatomic_mb_set(&s->postcopy.met_again, true);
    qatomic_mb_set(&s->postcopy.all_sent, false);
    if (migrate_postcopy_preempt() && !s->preempt_pre_7_2 && !postcopy_preempt_connect(s, errp)) {
        return false;
    }
    ram_postcopy_attach(f, s->postcopy.preempt_file);
    ram_postcopy_claim_main();
    qemu_savevm_send_postcopy_resume(f);
    ram_postcopy_release_main();
    if (!ram_postcopy_serve_kept(errp)) {
        return false;
    }
    while (!qatomic_mb_read(&s->rp_state.resume_acked)) {
        if (!wait_for_news(s, errp)) {
            return false;
        }
    }
    note_loaded(s);
    if (s->postcopy.run_apart) {
        /* Whether it got through the first time is not known; a second one does no harm. */
        ram_postcopy_claim_main();
        qemu_savevm_put_postcopy_run(f);
        qemu_fflush(f);
        ram_postcopy_release_main();
    }
    migrate_replace_error(s, NULL);
    migrate_set_state(&s->state, MIGRATION_STATUS_POSTCOPY_RECOVER,
                      MIGRATION_STATUS_POSTCOPY_ACTIVE);
    return true;
}

/* --- all of it --- */

static bool run_until_broken(MigrationState *s, Error **errp)
{
    return send_pages(s, errp) && send_end(s, errp);
}

bool migration_run_postcopy(MigrationState *s)
{
    Error *err = NULL;
    bool going = switch_over(s, &err);

    for (;;) {
        bool again;

        if (going && run_until_broken(s, &err)) {
            return true;
        }
        if (!s->committed) {
            if (err) {
                migrate_set_error(s, err);
                error_free(err);
            }
            return false;
        }
        again = pause_and_wait(s, err);
        g_clear_pointer(&err, error_free);
        if (!again) {
            return false;
        }
        going = resume(s, &err);
    }
}

/* --- the object's part --- */

void migration_postcopy_init(MigrationState *s)
{
    qemu_sem_init(&s->postcopy.paused_sem, 0);
}

void migration_postcopy_finalize(MigrationState *s)
{
    qemu_sem_destroy(&s->postcopy.paused_sem);
}

void migration_postcopy_reset(MigrationState *s)
{
    s->postcopy.start = s->postcopy.answered = s->postcopy.run_apart = false;
    s->postcopy.token = g_random_int() | POSTCOPY_TOKEN_BIT;
    s->postcopy.devices_loaded = s->postcopy.switched = s->postcopy.end_sent = false;
    s->postcopy.quit = s->postcopy.resumed = s->postcopy.met_again = false;
    s->postcopy.all_sent = false;
    while (qemu_sem_timedwait(&s->postcopy.paused_sem, 0) == 0) {
        /* posts of an earlier run */
    }
}

void migration_postcopy_cleanup(MigrationState *s)
{
    close_channels(s);
    ram_postcopy_cleanup();
}
