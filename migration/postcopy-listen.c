/*
 * Postcopy at the destination: who reads the stream from LISTEN on.
 *
 * The listen thread reads the main channel; with postcopy-preempt another thread reads the urgent
 * pages. When a channel fails the listen thread gives all of them up and waits until there are new
 * ones (postcopy-recover.c); the guest, if it runs, goes on until it needs a page. Only a source
 * that is certain to keep its guest sees the load fail: one that sends RUN by itself, and has not
 * been told yet that the devices are loaded.
 *
 * None of these threads takes the BQL: whoever holds it may be waiting for a page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "options.h"
#include "postcopy-incoming-internal.h"
#include "postcopy-recover.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "qemu/units.h"
#include "ram.h"

TRACE_EVENT(postcopy_listen);

/* A source connects its preempt channel before it throws anything away. */
#define PREEMPT_WAIT_MS 10000
/* The end of the stream may be on its way when the preempt channel breaks off. */
#define PREEMPT_GRACE_MS 1000
/*
 * What may lie in the main channel's socket, before which a page that somebody waits for stands in
 * line; and at which speed more of it is of use because it is on a long way.
 */
#define RECEIVE_QUEUE (1 * MiB)
#define RECEIVE_SPEED (2 * GiB)
/* How often it is looked whether the last pages have come. */
#define LOOK_US 100000

/* --- channels --- */

bool postcopy_incoming_has_preempt(void)
{
    bool seen;

    if (!migrate_postcopy_preempt()) {
        return true;
    }
    postcopy_lock();
    seen = postcopy_in.preempt_seen;
    postcopy_unlock();
    return seen;
}

bool postcopy_incoming_take_main(QIOChannel *ioc, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool taken;

    postcopy_lock();
    taken = !postcopy_in.quit && !postcopy_in.main_next &&
            migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_PAUSED,
                              MIGRATION_STATUS_POSTCOPY_RECOVER);
    if (taken) {
        object_ref(OBJECT(ioc));
        qio_channel_set_name(ioc, "migration-main-incoming");
        postcopy_in.main_next = ioc;
        g_cond_broadcast(&postcopy_in.changed);
    }
    postcopy_unlock();
    if (!taken) {
        error_setg(errp, "no migration waits here to be resumed");
    }
    return taken;
}

bool postcopy_incoming_take_preempt(QIOChannel *ioc, Error **errp)
{
    bool taken;

    if (!migrate_postcopy_preempt()) {
        error_setg(errp, "a second channel came, but capability postcopy-preempt is off here");
        return false;
    }
    postcopy_lock();
    taken = !postcopy_in.quit && !postcopy_in.preempt_next && !postcopy_in.preempt_reading;
    if (taken) {
        object_ref(OBJECT(ioc));
        qio_channel_set_name(ioc, "migration-preempt-incoming");
        postcopy_in.preempt_next = ioc;
        postcopy_in.preempt_seen = postcopy_in.preempt_came = true;
        g_cond_broadcast(&postcopy_in.changed);
    }
    postcopy_unlock();
    if (!taken) {
        error_setg(errp, "postcopy's second channel is here already");
    }
    return taken;
}

static void shut_down_preempt(void)
{
    postcopy_lock();
    if (postcopy_in.preempt_file) {
        qemu_file_shutdown(postcopy_in.preempt_file);
    }
    postcopy_unlock();
}

bool postcopy_incoming_pause(Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    int state = qatomic_read(&mis->state);

    postcopy_lock();
    if (postcopy_in.main_next) {
        qio_channel_shutdown(postcopy_in.main_next, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    postcopy_unlock();
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        if (mis->from_src_file) {
            qemu_file_shutdown(mis->from_src_file);
        }
    }
    shut_down_preempt();
    if (state != MIGRATION_STATUS_POSTCOPY_ACTIVE && state != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        error_setg(errp, "migration is not in postcopy");
        return false;
    }
    return true;
}

void postcopy_drop_channel(QIOChannel **ioc)
{
    if (*ioc) {
        object_unref(OBJECT(*ioc));
        *ioc = NULL;
    }
}

/* --- the preempt thread --- */

/* The channel has ended behind a whole record, without an error: the source needs it no more. */
static bool ended_well(QEMUFile *f)
{
    uint8_t *p;

    return qemu_peek_buffer(f, &p, 1, 0) == 0 && qemu_file_peer_gone(f) &&
           !qemu_file_is_shut_down(f);
}

/*
 * Returns when the channel has nothing more, or has failed: then why, and whether that was within a
 * record. An end without an error is none of ours to judge: a source closes it while the main
 * stream's end is on its way, and one that has lost it notices when it writes.
 */
static Error *read_urgent_pages(QEMUFile *f, bool *torn)
{
    PostcopyReader reader;
    Error *err = NULL;
    uint64_t at = 0;
    int ret = 1;

    ram_postcopy_reader_init(&reader, "preempt channel", NULL);
    while (ret > 0 && !ended_well(f)) {
        at = qemu_file_position(f);
        ret = ram_postcopy_load_step(f, &reader);
        if (!postcopy_ram_missing()) {
            postcopy_lock();
            g_cond_broadcast(&postcopy_in.changed);
            postcopy_unlock();
        }
    }
    ram_postcopy_reader_free(&reader);
    *torn = at != qemu_file_position(f);
    if (ret < 0) {
        qemu_file_get_error_obj(f, &err);
        error_prepend(&err, "postcopy's preempt channel: ");
    }
    return err;
}

/* The main channel's reader learns why. Takes @err. */
static void fail_main(Error *err)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        if (mis->from_src_file) {
            qemu_file_set_error_obj(mis->from_src_file, -EIO, error_copy(err));
            qemu_file_shutdown(mis->from_src_file);
        }
    }
    error_free(err);
}

/* Nobody cares for an error of the preempt channel any more. With the lock. */
static bool over(void)
{
    return postcopy_in.finishing || postcopy_in.giving_up || postcopy_in.quit;
}

static void *preempt_thread(void *opaque)
{
    qemu_thread_be_prompt();
    postcopy_lock();
    for (;;) {
        QEMUFile *f;
        Error *err;
        bool torn;

        while (!postcopy_in.preempt_next && !postcopy_in.quit) {
            g_cond_wait(&postcopy_in.changed, &postcopy_in.lock);
        }
        if (postcopy_in.quit) {
            break;
        }
        f = qemu_file_new_input(g_steal_pointer(&postcopy_in.preempt_next));
        postcopy_in.preempt_file = f;
        postcopy_in.preempt_reading = true;
        postcopy_unlock();

        err = read_urgent_pages(f, &torn);
        trace(postcopy_listen, "preempt channel ended: %s", err ? error_get_pretty(err) : "well");

        postcopy_lock();
        postcopy_in.preempt_file = NULL;
        if (err && !qemu_file_is_shut_down(f)) {
            /* The source may be through with it, and just not say so (TLS). */
            int64_t until = g_get_monotonic_time() + (torn ? 0 : PREEMPT_GRACE_MS * 1000);

            while (!over() && g_cond_wait_until(&postcopy_in.changed, &postcopy_in.lock, until)) {
                /* not yet */
            }
            if (!over()) {
                postcopy_unlock();
                fail_main(g_steal_pointer(&err));
                postcopy_lock();
            }
        }
        postcopy_in.preempt_reading = false;
        g_cond_broadcast(&postcopy_in.changed);
        postcopy_unlock();
        error_free(err);
        qemu_fclose(f);
        postcopy_lock();
    }
    postcopy_unlock();
    return NULL;
}

bool postcopy_wait_for_preempt(Error **errp)
{
    int64_t until = g_get_monotonic_time() + PREEMPT_WAIT_MS * 1000;
    bool here;

    if (!migrate_postcopy_preempt()) {
        return true;
    }
    postcopy_lock();
    while (!postcopy_in.preempt_next && !postcopy_in.quit &&
           g_cond_wait_until(&postcopy_in.changed, &postcopy_in.lock, until)) {
        /* not yet */
    }
    here = postcopy_in.preempt_next;
    postcopy_unlock();
    if (!here) {
        error_setg(errp, "capability postcopy-preempt is on here, but the source has not made its "
                   "second channel");
    }
    return here;
}

static void join_preempt(void)
{
    if (postcopy_in.preempt_created) {
        qemu_thread_join(&postcopy_in.preempt_thread);
        postcopy_in.preempt_created = false;
    }
}

/* --- the listen thread --- */

void postcopy_set_quit(void)
{
    postcopy_lock();
    postcopy_in.quit = true;
    g_cond_broadcast(&postcopy_in.changed);
    postcopy_unlock();
}

/* Replaces what was noted before. Takes @err. */
static void note_error(MigrationIncomingState *mis, Error *err)
{
    QEMU_LOCK_GUARD(&mis->error_mutex);

    error_free(mis->error);
    mis->error = err;
}

static void close_channels(MigrationIncomingState *mis)
{
    QEMUFile *f;

    postcopy_recover_stop();        /* no channel comes any more */
    postcopy_lock();
    postcopy_in.giving_up = true;
    g_cond_broadcast(&postcopy_in.changed);
    postcopy_unlock();
    postcopy_incoming_pause(NULL);
    postcopy_ram_set_asking(false);
    postcopy_lock();
    postcopy_drop_channel(&postcopy_in.preempt_next);
    postcopy_in.preempt_came = false;
    if (postcopy_in.preempt_file) {
        qemu_file_shutdown(postcopy_in.preempt_file);
    }
    while (postcopy_in.preempt_reading) {
        g_cond_wait(&postcopy_in.changed, &postcopy_in.lock);
    }
    postcopy_in.giving_up = false;
    postcopy_unlock();
    migration_incoming_close_return_path(mis);
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        f = mis->from_src_file;
        mis->from_src_file = NULL;
    }
    qemu_fclose(f);
    ram_postcopy_forget_parts();
}

/* Takes @err. False: it is all over. */
static bool pause_until_recovered(MigrationIncomingState *mis, Error *err)
{
    QIOChannel *ioc;
    QEMUFile *f;
    bool quit, failed;

    postcopy_lock();
    quit = postcopy_in.quit;
    if (!quit && postcopy_in.separate_run && !postcopy_in.devices_loaded) {
        quit = postcopy_in.failed = true;    /* the source has its guest, and knows it */
    }
    failed = postcopy_in.failed;
    postcopy_unlock();
    trace(postcopy_listen, "%s: %s", quit ? "failed" : "paused", error_get_pretty(err));
    if (quit) {
        WITH_QEMU_LOCK_GUARD(&mis->error_mutex) {
            if (!mis->error) {
                mis->error = g_steal_pointer(&err);
            }
        }
        error_free(err);
        if (failed) {
            postcopy_ram_release(); /* the load thread may wait for a page */
        }
        return false;
    }
    note_error(mis, err);
    close_channels(mis);
    if (!migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_ACTIVE,
                           MIGRATION_STATUS_POSTCOPY_PAUSED)) {
        migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_RECOVER,
                          MIGRATION_STATUS_POSTCOPY_PAUSED);
    }
    postcopy_lock();
    while (!postcopy_in.main_next && !postcopy_in.quit) {
        g_cond_wait(&postcopy_in.changed, &postcopy_in.lock);
    }
    quit = postcopy_in.quit;
    if (quit) {
        postcopy_drop_channel(&postcopy_in.main_next);
        postcopy_unlock();
        return false;
    }
    ioc = postcopy_in.main_next; /* who wants to pause finds it there until it is below */
    object_ref(OBJECT(ioc));
    postcopy_unlock();
    f = qemu_file_new_input(ioc);
    WITH_QEMU_LOCK_GUARD(&mis->rp_mutex) {
        mis->to_src_file = qemu_file_get_return_path(f);
    }
    WITH_QEMU_LOCK_GUARD(&mis->file_lock) {
        mis->from_src_file = f;
    }
    postcopy_lock();
    postcopy_drop_channel(&postcopy_in.main_next);
    postcopy_unlock();
    postcopy_in.reader.block = NULL;
    postcopy_in.token_follows = postcopy_in.token_seen = false;
    return true;
}

/* Whoever resumes has said that it is this migration. */
static bool is_resuming(const char *command, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (qatomic_read(&mis->state) != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        postcopy_out_of_place(command, "nothing is being resumed", errp);
        return false;
    }
    if (postcopy_in.token && !postcopy_in.token_seen) {
        postcopy_out_of_place(command, "the source has not said that it means this migration",
                              errp);
        return false;
    }
    return true;
}

int postcopy_incoming_recv_bitmap(QEMUFile *f, uint16_t len, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    char name[256];
    size_t n = qemu_get_counted_string(f, name);
    RAMBlock *rb;

    if (qemu_file_get_error_obj(f, errp)) {
        return -EIO;
    }
    if (!n || len != n + 1) {
        error_setg(errp, "command RECV_BITMAP has %u bytes of data for a name of %zu", len, n);
        return -EINVAL;
    }
    if (!is_resuming("RECV_BITMAP", errp)) {
        return -EINVAL;
    }
    rb = ram_stream_find_block(name, errp);
    if (!rb) {
        return -EINVAL;
    }
    migrate_send_rp_recv_bitmap(mis, rb);
    return 0;
}

int postcopy_incoming_resume(Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (!is_resuming("POSTCOPY_RESUME", errp)) {
        return -EINVAL;
    }
    if (!migrate_set_state(&mis->state, MIGRATION_STATUS_POSTCOPY_RECOVER,
                           MIGRATION_STATUS_POSTCOPY_ACTIVE)) {
        return postcopy_out_of_place("POSTCOPY_RESUME", "nothing is being resumed", errp);
    }
    trace(postcopy_listen, "resumed");
    note_error(mis, NULL);
    migrate_send_rp_resume_ack(mis);
    postcopy_ram_set_asking(true);
    return 0;
}

int postcopy_incoming_load_ram(QEMUFile *f)
{
    int ret;

    do {
        ret = ram_postcopy_load_step(f, &postcopy_in.reader);
    } while (ret > 0);
    return ret;
}

/*
 * Is there a preempt channel, or one that has been connected but has not been accepted yet, for
 * which it is waited @until? With the lock.
 */
static bool preempt_may_bring_pages(int64_t until)
{
    return postcopy_in.preempt_reading || postcopy_in.preempt_next ||
           (migrate_postcopy_preempt() && !postcopy_in.preempt_came &&
            g_get_monotonic_time() < until);
}

/* The stream has ended. Was that all? */
static bool finish(Error **errp)
{
    int64_t until = g_get_monotonic_time() + PREEMPT_WAIT_MS * 1000;
    bool quit;

    postcopy_lock();
    postcopy_in.finishing = true;
    g_cond_broadcast(&postcopy_in.changed);
    while (!postcopy_in.quit && postcopy_ram_missing() && preempt_may_bring_pages(until)) {
        g_cond_wait_until(&postcopy_in.changed, &postcopy_in.lock,
                          g_get_monotonic_time() + LOOK_US);
    }
    /* RUN may be in the package. */
    while (!postcopy_in.quit && !postcopy_ram_missing() && !postcopy_in.load_thread_done) {
        g_cond_wait(&postcopy_in.changed, &postcopy_in.lock);
    }
    quit = postcopy_in.quit;
    if (!quit && (postcopy_ram_missing() || !postcopy_in.run_wanted)) {
        g_autofree char *what = postcopy_ram_missing() ? postcopy_ram_missing_text()
                                : g_strdup("the guest was not told to run");

        error_setg(errp, "The stream ends, but %s", what);
        postcopy_in.finishing = false;
    }
    postcopy_unlock();
    if (quit) {
        error_setg(errp, "the migration is being ended");
    }
    return !*errp;
}

static void *listen_thread(void *opaque)
{
    MigrationIncomingState *mis = opaque;
    LoadContext ctx = {.mode = LOAD_POSTCOPY};

    for (;;) {
        Error *err = NULL;

        qio_channel_bound_receive_queue(qemu_file_get_ioc(mis->from_src_file), RECEIVE_QUEUE,
                                        RECEIVE_SPEED);
        if (qemu_loadvm_sections(mis->from_src_file, &ctx, &err) == 0 && finish(&err)) {
            break;
        }
        if (!pause_until_recovered(mis, err)) {
            return NULL;
        }
    }
    qatomic_mb_set(&postcopy_in.phase, PHASE_ENDED);
    shut_down_preempt();
    postcopy_set_quit();
    join_preempt();
    postcopy_ram_release();
    migrate_send_rp_shut(mis, 0);
    qemu_bh_schedule_oneshot(postcopy_incoming_done_bh, NULL);
    return NULL;
}

void postcopy_start_threads(MigrationIncomingState *mis)
{
    ram_postcopy_reader_init(&postcopy_in.reader, "main channel", ram_stream_last_block());
    if (migrate_postcopy_preempt()) {
        qemu_thread_create(&postcopy_in.preempt_thread, "mig/dst/preempt", preempt_thread, NULL,
                           QEMU_THREAD_JOINABLE);
        postcopy_in.preempt_created = true;
    }
    qemu_thread_create(&postcopy_in.listen_thread, "mig/dst/listen", listen_thread, mis,
                       QEMU_THREAD_JOINABLE);
    postcopy_in.listen_created = true;
}

void postcopy_join_threads(void)
{
    if (postcopy_in.listen_created) {
        qemu_thread_join(&postcopy_in.listen_thread);
        postcopy_in.listen_created = false;
    }
    join_preempt();
}
