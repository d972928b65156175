/*
 * migrate-recover and migrate-pause: how a postcopy migration gets a new connection, and how it is
 * made to lose the one that it has.
 *
 * The destination listens in a thread of its own, with a main context of its own: the main thread
 * may be waiting for a page that only the new connection can bring, and hold the BQL meanwhile. So
 * nothing here takes the BQL, or waits for who may have it. TLS handshakes are done in that thread
 * too, several at a time, so that a client that says nothing does not keep the source out. The
 * first channel that is ready is the main one; then the thread ends, or waits for the one of
 * postcopy-preempt.
 *
 * The status stays postcopy-paused until the main channel is there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "io/channel-tls.h"
#include "io/net-listener.h"
#include "migration.h"
#include "options.h"
#include "postcopy-incoming.h"
#include "postcopy.h"
#include "postcopy-recover.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-sockets.h"
#include "qapi/util.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/trace.h"
#include "threadinfo.h"
#include "tls.h"

TRACE_EVENT(postcopy_recover_listen);
TRACE_EVENT(postcopy_recover_channel);

/*
 * Clients that have said nothing yet, and such in the middle of a TLS handshake. One more, and the
 * one of the kind that came first has to go: who only connects does not push out who speaks.
 */
#define SILENT_MAX 128
#define HANDSHAKES_MAX 16
#define BACKLOG 4

typedef struct Recovery {
    GMainContext *context;
    GMainLoop *loop;
    SocketAddressList *addresses;
    PostcopyRecoverTake take;
    unsigned wanted, taken; /* channels; the latter under recover_lock */

    /* The thread's own, once it runs. */
    QIONetListener *listener; /* either this… */
    QIOChannel *given;        /* …or this: a descriptor that was passed in, or a command */
    GSource *given_watch;
    GQueue silent;            /* of SilentClient, the oldest first */
    GQueue handshakes;        /* of QIOChannelTLS, the same */
    bool ending;              /* what fails now is no news */
} Recovery;

typedef struct SilentClient {
    Recovery *r;
    QIOChannel *ioc;
    GSource *watch;
} SilentClient;

/* One migrate-recover at a time. Above all other locks here; not held by the thread. */
static GMutex command_lock;
/* Guards what follows; and a channel is handed over under it. */
static GMutex recover_lock;
static GCond recover_ended;
static Recovery *current;  /* the one that may hand over channels */
static unsigned running;   /* threads */

/* ---- the thread ---- */

static void refused(Recovery *r, Error *err)
{
    if (r->ending) {
        error_free(err);
        return;
    }
    error_prepend(&err, "Recovery channel refused: ");
    error_report_err(err);
    if (!r->listener) {
        g_main_loop_quit(r->loop); /* nothing else can come */
    }
}

/* Ready to be used. */
static void channel_ready(Recovery *r, QIOChannel *ioc)
{
    Error *err = NULL;

    g_mutex_lock(&recover_lock);
    if (current == r) {
        trace(postcopy_recover_channel, "%u of %u", r->taken + 1, r->wanted);
        if (r->take(ioc, r->taken, &err)) {
            r->taken++;
        }
        if (r->taken == r->wanted) {
            current = NULL;
            g_main_loop_quit(r->loop);
        }
    }
    g_mutex_unlock(&recover_lock);
    if (err) {
        refused(r, err);
    }
}

static void handshake_over(QIOTask *task, gpointer opaque)
{
    Recovery *r = opaque;
    QIOChannel *ioc = QIO_CHANNEL(qio_task_get_source(task));
    Error *err = NULL;

    g_queue_remove(&r->handshakes, ioc);
    if (qio_task_propagate_error(task, &err)) {
        refused(r, err);
    } else {
        channel_ready(r, ioc);
    }
}

static void channel_arrived(Recovery *r, QIOChannel *ioc)
{
    QIOChannelTLS *tioc;
    Error *err = NULL;

    if (!migrate_channel_requires_tls_upgrade(ioc)) {
        channel_ready(r, ioc);
        return;
    }
    tioc = migration_tls_new_server(ioc, &err);
    if (!tioc) {
        refused(r, err);
        return;
    }
    if (g_queue_get_length(&r->handshakes) >= HANDSHAKES_MAX) {
        /* It gets its error from the loop, and is removed then. */
        qio_channel_shutdown(g_queue_peek_head(&r->handshakes), QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        g_queue_push_tail(&r->handshakes, g_queue_pop_head(&r->handshakes));
    }
    g_queue_push_tail(&r->handshakes, tioc);
    qio_channel_tls_handshake(tioc, handshake_over, r, NULL, r->context);
    object_unref(OBJECT(tioc)); /* the task has it */
}

static void silent_client_free(SilentClient *c)
{
    g_source_destroy(c->watch);
    g_source_unref(c->watch);
    object_unref(OBJECT(c->ioc));
    g_free(c);
}

/* A client of TLS speaks first. */
static gboolean client_speaks(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    SilentClient *c = opaque;

    g_queue_remove(&c->r->silent, c);
    channel_arrived(c->r, ioc);
    silent_client_free(c);
    return G_SOURCE_REMOVE;
}

static void client_accepted(QIONetListener *listener, QIOChannelSocket *sioc, gpointer opaque)
{
    Recovery *r = opaque;
    SilentClient *c;

    qio_channel_set_name(QIO_CHANNEL(sioc), "migration-recover-incoming");
    qio_channel_set_delay(QIO_CHANNEL(sioc), false);
    if (!migrate_channel_requires_tls_upgrade(QIO_CHANNEL(sioc))) {
        channel_ready(r, QIO_CHANNEL(sioc));
        return;
    }
    if (g_queue_get_length(&r->silent) >= SILENT_MAX) {
        silent_client_free(g_queue_pop_head(&r->silent));
    }
    c = g_new0(SilentClient, 1);
    c->r = r;
    c->ioc = QIO_CHANNEL(sioc);
    object_ref(OBJECT(sioc));
    c->watch = qio_channel_add_watch_source(c->ioc, G_IO_IN | G_IO_HUP, client_speaks, c, NULL,
                                            r->context);
    g_queue_push_tail(&r->silent, c);
}

/* Whoever has the other end has begun to speak: before that, it may not be meant for us yet. */
static gboolean given_readable(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    channel_arrived(opaque, ioc);
    return G_SOURCE_REMOVE;
}

/* Nobody else comes in, and those that are on their way go. */
static void finish_handshakes(Recovery *r)
{
    r->ending = true;
    if (r->listener) {
        qio_net_listener_disconnect(r->listener);
    }
    g_queue_clear_full(&r->silent, (GDestroyNotify)silent_client_free);
    if (r->given_watch) {
        g_source_destroy(r->given_watch);
    }
    for (GList *l = r->handshakes.head; l; l = l->next) {
        qio_channel_shutdown(l->data, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    while (!g_queue_is_empty(&r->handshakes)) {
        g_main_context_iteration(r->context, true);
    }
}

static void recovery_free(Recovery *r)
{
    if (r->listener) {
        qio_net_listener_disconnect(r->listener);
        object_unref(OBJECT(r->listener));
    }
    if (r->given_watch) {
        g_source_destroy(r->given_watch);
        g_source_unref(r->given_watch);
    }
    object_unref(OBJECT(r->given));
    g_main_loop_unref(r->loop);
    g_main_context_unref(r->context);
    qapi_free_SocketAddressList(r->addresses);
    g_free(r);
}

static void *recover_thread(void *opaque)
{
    Recovery *r = opaque;
    MigrationThread *info = migration_threads_add("mig/dst/recover", gettid());

    g_main_context_push_thread_default(r->context);
    g_main_loop_run(r->loop);
    g_mutex_lock(&recover_lock);
    if (current == r) {
        current = NULL;
    }
    g_mutex_unlock(&recover_lock);
    finish_handshakes(r);
    g_main_context_pop_thread_default(r->context);
    recovery_free(r);
    migration_threads_remove(info);

    g_mutex_lock(&recover_lock);
    running--;
    g_cond_broadcast(&recover_ended);
    g_mutex_unlock(&recover_lock);
    return NULL;
}

/* ---- starting and stopping it ---- */

static bool open_listener(Recovery *r, SocketAddress *saddr, Error **errp)
{
    SocketAddressList **tail = &r->addresses;

    r->listener = qio_net_listener_new();
    qio_net_listener_set_name(r->listener, "migration-recover-listener");
    if (qio_net_listener_open_sync(r->listener, saddr, BACKLOG, errp) < 0) {
        return false;
    }
    for (size_t i = 0; i < r->listener->nsioc; i++) {
        SocketAddress *addr = qio_channel_socket_get_local_address(r->listener->sioc[i], errp);

        if (!addr) {
            return false;
        }
        QAPI_LIST_APPEND(tail, addr);
    }
    qio_net_listener_set_client_func_full(r->listener, client_accepted, r, NULL, r->context);
    return true;
}

static bool open_given(Recovery *r, QIOChannel *ioc)
{
    if (ioc) {
        r->given = ioc;
        r->given_watch = qio_channel_add_watch_source(ioc, G_IO_IN, given_readable, r, NULL,
                                                      r->context);
    }
    return ioc;
}

static bool open_address(Recovery *r, MigrationAddress *addr, Error **errp)
{
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        if (addr->u.socket.type == SOCKET_ADDRESS_TYPE_FD) {
            return open_given(r, fd_open_incoming_migration(addr->u.socket.u.fd.str, errp));
        }
        return open_listener(r, &addr->u.socket, errp);
    case MIGRATION_ADDRESS_TYPE_EXEC:
        return open_given(r, exec_open_incoming_migration(addr->u.exec.args, errp));
    default:
        error_setg(errp, "Postcopy cannot be recovered by transport '%s': both sides have to talk",
                   MigrationAddressType_str(addr->transport));
        return false;
    }
}

bool postcopy_recover_listen(MigrationAddress *addr, unsigned channels, PostcopyRecoverTake take,
                             Error **errp)
{
    Recovery *r = g_new0(Recovery, 1);
    QemuThread thread;

    /* What was listened on before may be the same address: first that is closed. */
    postcopy_recover_end();
    r->context = g_main_context_new();
    r->loop = g_main_loop_new(r->context, false);
    r->take = take;
    r->wanted = channels;
    g_queue_init(&r->silent);
    g_queue_init(&r->handshakes);
    if (!open_address(r, addr, errp)) {
        recovery_free(r);
        return false;
    }
    trace(postcopy_recover_listen, "%u channels", channels);
    g_mutex_lock(&recover_lock);
    current = r;
    running++;
    qemu_thread_create(&thread, "mig/dst/recover", recover_thread, r, QEMU_THREAD_DETACHED);
    g_mutex_unlock(&recover_lock);
    return true;
}

static gboolean quit_loop(gpointer opaque)
{
    g_main_loop_quit(opaque);
    return G_SOURCE_REMOVE;
}

/* recover_lock held, so that the thread does not free it. */
static bool stop_current(void)
{
    Recovery *r = current;
    bool waiting = r && !r->taken;
    GSource *quit;

    current = NULL;
    if (r) {
        /* As a source: the loop may not run yet. */
        quit = g_idle_source_new();
        g_source_set_priority(quit, G_PRIORITY_HIGH);
        g_source_set_callback(quit, quit_loop, r->loop, NULL);
        g_source_attach(quit, r->context);
        g_source_unref(quit);
    }
    return waiting;
}

bool postcopy_recover_stop(void)
{
    bool waiting;

    g_mutex_lock(&recover_lock);
    waiting = stop_current();
    g_mutex_unlock(&recover_lock);
    return waiting;
}

void postcopy_recover_end(void)
{
    g_mutex_lock(&recover_lock);
    stop_current();
    while (running) {
        g_cond_wait(&recover_ended, &recover_lock);
    }
    g_mutex_unlock(&recover_lock);
}

SocketAddressList *postcopy_recover_socket_addresses(void)
{
    SocketAddressList *copy = NULL;

    g_mutex_lock(&recover_lock);
    if (current && current->addresses) {
        copy = QAPI_CLONE(SocketAddressList, current->addresses);
    }
    g_mutex_unlock(&recover_lock);
    return copy;
}

/* ---- commands: on the main thread, or out of band on a monitor's, without the BQL ---- */

static bool hand_over(QIOChannel *ioc, unsigned number, Error **errp)
{
    return number == 0 ? postcopy_incoming_take_main(ioc, errp)
                       : postcopy_incoming_take_preempt(ioc, errp);
}

void qmp_migrate_recover(const char *uri, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&command_lock);
    g_autoptr(MigrationChannel) channel = NULL;

    if (qatomic_read(&mis->state) != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        error_setg(errp, "Migrate recover can only be run when postcopy is paused.");
        return;
    }
    if (migrate_uri_parse(uri, &channel, errp) &&
        migration_channels_and_transport_compatible(channel->addr, errp)) {
        postcopy_recover_listen(channel->addr, migrate_postcopy_preempt() ? 2 : 1, hand_over, errp);
    }
}

/* Main thread: only there is a connection made. It may be there by now. */
static void stop_connecting(void *opaque)
{
    MigrationState *s = migrate_get_current();

    switch (qatomic_read(&s->state)) {
    case MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP:
        migration_fail_connecting();
        /* fall through */
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
        postcopy_shut_down_channels(s, "Postcopy migration is paused by the user");
    }
}

void qmp_migrate_pause(Error **errp)
{
    MigrationState *s = migrate_get_current();
    MigrationIncomingState *mis = migration_incoming_get_current();

    switch (qatomic_read(&s->state)) {
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
        postcopy_shut_down_channels(s, "Postcopy migration is paused by the user");
        return;
    case MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP:
        qemu_bh_schedule_oneshot(stop_connecting, NULL);
        return;
    }
    switch (qatomic_read(&mis->state)) {
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
        postcopy_incoming_pause(errp);
        return;
    }
    error_setg(errp, "migrate-pause is currently only supported during postcopy-active or "
               "postcopy-recover state");
}
