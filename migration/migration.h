/*
 * The two state machines of migration: MigrationState (out) and MigrationIncomingState (in).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include "io/channel.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "qapi/qapi-types-migration.h"
#include "qapi/qapi-types-run-state.h"
#include "qemu/thread.h"

#define TYPE_MIGRATION "migration"
OBJECT_DECLARE_SIMPLE_TYPE(MigrationState, MIGRATION)

/* The window over which max-bandwidth is kept and the rate is measured, ms. */
#define MIGRATION_WINDOW_MS 100

/* What the switchover consists of, in order; one that does not occur takes no time. */
typedef enum DowntimeStep {
    DOWNTIME_STEP_STOP,
    DOWNTIME_STEP_PAUSE,
    DOWNTIME_STEP_RAM,
    DOWNTIME_STEP_DEVICES,
    DOWNTIME_STEP_TRANSFER,
    DOWNTIME_STEP_END,
    DOWNTIME_STEP__MAX
} DowntimeStep;

struct MigrationState {
    Object parent_obj;

    /* Set by -global, before anything runs; constant then. */
    bool store_global_state;
    bool send_configuration;
    bool send_section_footer;
    bool send_switchover_start;
    bool send_vmdesc;
    bool multifd_flush_after_each_section;
    bool multifd_clean_tls_termination;
    bool preempt_pre_7_2;
    uint8_t clear_bitmap_shift;

    /* Parameters and capabilities.  Written under the BQL; the migration thread reads single
     * words of them at any time, since some may be changed while it runs. */
    MigrationParameters parameters;
    bool capabilities[MIGRATION_CAPABILITY__MAX];

    /* Atomic; changed only through migrate_set_state (status.c). */
    int state;

    /* Guards error. */
    QemuMutex error_mutex;
    Error *error;

    /* Guards the file pointers against migrate_cancel; the thread that uses them made them. */
    QemuMutex qemu_file_lock;
    QEMUFile *to_dst_file;

    /* Return path: its own thread, joined by the migration thread. */
    struct {
        QEMUFile *from_dst_file; /* under qemu_file_lock */
        QemuThread thread;
        bool thread_created;
        Error *error; /* read after the join */
        int shut_value; /* of the peer's SHUT, or -1 */
        bool switchover_acked; /* atomic */
        uint32_t last_pong; /* atomic */
        bool peer_is_out; /* the destination certainly does not run the guest; after the join */
        bool resume_acked; /* atomic: RESUME_ACK has come */
        bool ended; /* atomic: the thread reads no more */
    } rp_state;

    /* See postcopy.c. */
    struct {
        bool start;           /* atomic: migrate-start-postcopy was given */
        bool answered;        /* atomic: whether RUN goes apart is known… */
        bool run_apart;       /* …and if so it is this */
        uint32_t token;       /* by which the destination knows this migration, if run_apart */
        bool token_answered;  /* atomic: on this connection it has said whether it does… */
        bool token_taken;     /* …and this is it */
        bool devices_loaded;  /* atomic: the destination said so */
        bool met_again;       /* atomic: after a pause it has said what it has */
        bool switched;        /* the switch has begun; migration thread, and after its end */
        bool end_sent;        /* atomic: the last byte is out, or nearly so */
        bool all_sent;        /* atomic: it was, and the answer never came; it may have completed */
        bool quit;            /* atomic: a paused thread shall end */
        bool resumed;         /* atomic: to_dst_file is a new channel for a paused thread */
        QemuSemaphore paused_sem; /* of a paused thread: quit, resumed or the status has changed */
        QEMUFile *preempt_file; /* under qemu_file_lock; made by the migration thread */
    } postcopy;

    QemuThread thread;
    bool thread_created; /* BQL */
    bool committed; /* the end mark is out: the destination may run.  Under qemu_file_lock. */
    /* Cancelled when committed already: the answer must come soon.  qemu_file_lock. */
    bool cancel_late;
    guint give_up_timer; /* main thread */
    char *hostname; /* for TLS */

    /* Woken when a rate-limited or paused thread should look again. */
    QemuSemaphore rate_limit_sem;
    QemuSemaphore pause_sem;
    QemuSemaphore rp_sem; /* something came by the return path, or it has ended */

    /* Of the run; written by the migration thread, read by query-migrate (single words). */
    int64_t start_time;      /* ms, QEMU_CLOCK_REALTIME */
    int64_t setup_time;      /* ms */
    int64_t total_time;      /* ms, when it ended */
    int64_t downtime;        /* ms */
    int64_t step_ends[DOWNTIME_STEP__MAX]; /* us since downtime_start */
    int64_t downtime_start;  /* ns; 0 while the guest runs */
    int64_t expected_downtime; /* ms */
    double mbps;
    uint64_t pages_per_second;
    int64_t pending_bytes;

    /* The migration thread's own. */
    uint64_t window_bytes;   /* transferred at the start of the window */
    uint64_t window_pages;
    uint64_t window_zero_pages;
    int64_t window_start;    /* ms */
    uint64_t bandwidth;      /* bytes/s as measured, smoothed */
    uint64_t peak_bandwidth; /* the most of the last seconds, where nothing was waited for */
    uint64_t burst_bandwidth; /* the most of a round in this window; 0: none says anything */
    uint64_t threshold;      /* bytes that fit in the downtime limit */

    /* The run state before the switchover stopped the guest; -1 when it did not yet. */
    int vm_old_state;
};

struct MigrationIncomingState {
    /* Guards the pointer against yank; the load thread uses it freely. */
    QemuMutex file_lock;
    QEMUFile *from_src_file;
    /* Return path; under rp_mutex. */
    QEMUFile *to_src_file;
    bool requests_allowed;              /* pages may be asked for */
    RAMBlock *last_requested_block;     /* that was named last in a request */
    QemuMutex rp_mutex;
    int state; /* atomic, through migrate_set_state */
    QemuMutex error_mutex;
    Error *error;
    bool exit_on_error;
    bool started;     /* migrate-incoming or -incoming was given.  BQL. */
    bool main_seen;   /* the main channel is here.  BQL. */
    QemuThread thread;
    bool thread_created;
    int64_t start_time, total_time; /* ms */
    /* Of the switchover as seen from here; ns, 0: has not happened.  Load thread, then the BH. */
    int64_t devices_began, devices_ended, end_seen, guest_started;
    int load_result;
    bool decided;                   /* whether the guest runs here.  BQL. */
    guint shut_watch, shut_timer;   /* SHUT waits for a source that does not read.  Main thread. */
    unsigned switchover_ack_pending; /* handlers that have not approved; the load thread's */
};

MigrationIncomingState *migration_incoming_get_current(void);

/* status.c: the one table of transitions.  True when *state was @old and became @new_state. */
bool migrate_set_state(int *state, MigrationStatus old_state, MigrationStatus new_state);
bool migration_transition_allowed(MigrationStatus from, MigrationStatus to);

/* migration.c */
void migration_connect(MigrationState *s, Error *error_in); /* takes error_in */
void migration_cleanup(MigrationState *s);
void migrate_set_error(MigrationState *s, const Error *error); /* keeps the first */
/* Adds what follows from the error. */
void migrate_append_error(MigrationState *s, const char *text);
/* Another one than before, or NULL: there is none any more. */
void migrate_replace_error(MigrationState *s, const Error *error);
void migration_cancel(void);
/* The attempt to connect that is going on, if one is, has failed.  Main thread, BQL. */
void migration_fail_connecting(void);
int migration_call_notifiers(MigrationState *s, MigrationEventType type, Error **errp);
bool migration_is_active_state(int state);

/* precopy.c: the migration thread. */
/* For the switchover. */
bool migration_guest_is_stopped(void);
void *migration_thread(void *opaque);
/* Bytes that may still be sent in this window; UINT64_MAX without a limit. */
uint64_t migration_rate_left(QEMUFile *f);
/* No more in this window (or at all: the file has failed). */
bool migration_rate_exceeded(QEMUFile *f);
void migration_rate_reset(MigrationState *s);
/* Bytes a second: what was known, with what a window has just measured. */
uint64_t migration_smooth_bandwidth(uint64_t before, uint64_t measured);

/* yank_functions.c: main thread. */
bool migration_yank_register(Error **errp);
void migration_yank_unregister(void);

/* return-path.c */
#define MIGRATION_REFUSED "the destination failed to load the stream (its own error says why)"
/* By capability return-path, or because postcopy cannot do without. */
bool migration_uses_return_path(void);
void open_return_path_on_source(MigrationState *s);
/* Join the thread; with @fail the file is shut down first.  True when the path ended well. */
bool close_return_path_on_source(MigrationState *s, bool fail);
/* Does the destination agree to the switchover?  Always true without capability switchover-ack. */
bool migration_switchover_acked(MigrationState *s);
/*
 * Wait until the destination has answered PING with @value, the path has ended, or the migration is
 * cancelled.  True: it has answered.  Without the BQL.
 */
bool migration_wait_for_pong(MigrationState *s, uint32_t value);
int migration_incoming_open_return_path(MigrationIncomingState *mis, Error **errp);
void migrate_send_rp_shut(MigrationIncomingState *mis, uint32_t value);
/* A message can be sent without waiting for the source to read; so too where there is no path. */
bool migrate_rp_writable(MigrationIncomingState *mis);
/* If it can be sent without waiting for the source. */
void migrate_try_send_rp_shut(MigrationIncomingState *mis, uint32_t value);
void migrate_send_rp_pong(MigrationIncomingState *mis, uint32_t value);
void migrate_send_rp_switchover_ack(MigrationIncomingState *mis);
/* The wire's marks of a recovery. */
#define MIGRATION_RESUME_ACK_VALUE 1
#define MIGRATION_RECV_BITMAP_END 0x0123456789abcdefull
void migrate_send_rp_resume_ack(MigrationIncomingState *mis);
/* Which pages of the block are here. */
void migrate_send_rp_recv_bitmap(MigrationIncomingState *mis, RAMBlock *rb);
/* A host page that somebody waits for. Dropped where requests are not allowed (now). */
typedef struct RAMPageRequest {
    RAMBlock *rb;
    uint64_t offset;
} RAMPageRequest;
void migrate_send_rp_req_pages(MigrationIncomingState *mis, const RAMPageRequest *requests,
                               unsigned n);
void migrate_rp_allow_requests(MigrationIncomingState *mis, bool allow);
/* The connection is gone. */
void migration_incoming_close_return_path(MigrationIncomingState *mis);

/* incoming.c */
void migration_incoming_init(void);
void migration_ioc_process_incoming(QIOChannel *ioc, Error **errp);
/* Another channel has failed before the main one came.  Takes @err.  BQL. */
void migration_incoming_fail_early(Error *err);
bool migration_has_main_channel(void);
/* Including multifd's. */
bool migration_has_all_channels(void);
void migration_incoming_shutdown(void);
/* All devices and pages that the guest needs to run are here.  Main thread, BQL. */
void migration_incoming_start_guest(void);
/* All of postcopy's stream is here.  Main thread, BQL. */
void migration_incoming_postcopy_completed(void);
/* For the parts of the downtime: the load thread is at a device's state, before or behind it… */
void migration_incoming_note_device(bool loaded);
/* …or at the end mark. */
void migration_incoming_note_end(void);
void migration_incoming_fill_info(MigrationInfo *info);
bool migration_incoming_in_use(void);

#endif
