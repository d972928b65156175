/*
 * TLS for migration: the source is the client, the destination the server.
 *
 * Handshakes run on the main loop and never block it. Those under way are in a list, so that
 * cancel, yank and the end of a migration can shut them down, from whatever thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "io/channel-tls.h"
#include "migration.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "tls.h"

/* Clients that may be in the middle of a handshake at once: more than a migration has channels. */
#define INCOMING_MAX 300

typedef struct Handshake {
    QIOChannelTLS *tioc;
    bool incoming;
    bool dropped;               /* shut down to make room */
    QIOTaskFunc func;
    void *opaque;
    GDestroyNotify destroy;
} Handshake;

/* Guards the list. Nothing is taken inside. */
static GMutex list_lock;
static GSList *list;

static void shutdown_handshakes(bool incoming)
{
    g_mutex_lock(&list_lock);
    for (GSList *l = list; l; l = l->next) {
        Handshake *h = l->data;

        if (h->incoming == incoming) {
            qio_channel_shutdown(QIO_CHANNEL(h->tioc), QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        }
    }
    g_mutex_unlock(&list_lock);
}

void migration_tls_shutdown_outgoing(void)
{
    shutdown_handshakes(false);
}

void migration_tls_shutdown_incoming(void)
{
    shutdown_handshakes(true);
}

bool migration_tls_in_handshake(void)
{
    bool busy;

    g_mutex_lock(&list_lock);
    busy = list != NULL;
    g_mutex_unlock(&list_lock);
    return busy;
}

static void handshake_over(QIOTask *task, gpointer opaque)
{
    Handshake *h = opaque;

    g_mutex_lock(&list_lock);
    list = g_slist_remove(list, h);
    g_mutex_unlock(&list_lock);
    h->func(task, h->opaque);
}

static void handshake_free(gpointer opaque)
{
    Handshake *h = opaque;

    if (h->destroy) {
        h->destroy(h->opaque);
    }
    g_free(h);
}

static void start_handshake(QIOChannelTLS *tioc, bool incoming, QIOTaskFunc func, void *opaque,
                            GDestroyNotify destroy)
{
    Handshake *h = g_new0(Handshake, 1);

    *h = (Handshake){ tioc, incoming, false, func, opaque, destroy };
    g_mutex_lock(&list_lock);
    list = g_slist_prepend(list, h);
    g_mutex_unlock(&list_lock);
    qio_channel_tls_handshake(tioc, handshake_over, h, handshake_free, NULL);
}

bool migrate_tls(void)
{
    g_autofree char *creds = migrate_tls_creds();

    return creds;
}

/* --- what a migration began with --- */

typedef struct Kept {
    bool made;
    bool tls;
    QCryptoTLSCreds *creds;     /* ours; NULL with tls: not found yet */
    char *id;                   /* the source's: of creds */
    char *name;                 /* the source's tls-hostname; the destination's tls-authz */
} Kept;

/* The main thread's. */
static Kept outgoing, incoming;

static void forget(Kept *kept)
{
    if (kept->creds) {
        object_unref(OBJECT(kept->creds));
    }
    g_free(kept->id);
    g_free(kept->name);
    *kept = (Kept){ 0 };
}

void migration_tls_begin_outgoing(void)
{
    forget(&outgoing);
    outgoing.made = true;
    outgoing.tls = migrate_tls();
    if (outgoing.tls) {
        outgoing.id = migrate_tls_creds();
        outgoing.name = migrate_tls_hostname();
        /* That there are none is said when there is a connection. */
        outgoing.creds = qcrypto_tls_creds_find(outgoing.id ?: "",
                                                Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, NULL);
    }
}

void migration_tls_end_outgoing(void)
{
    forget(&outgoing);
}

static QIOChannelTLS *as_tls(QIOChannel *ioc)
{
    return (QIOChannelTLS *)object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_TLS);
}

bool migrate_channel_requires_tls_upgrade(QIOChannel *ioc)
{
    return (outgoing.made ? outgoing.tls : migrate_tls()) && !as_tls(ioc);
}

bool migration_tls_incoming_upgrade(QIOChannel *ioc)
{
    return (incoming.made ? incoming.tls : migrate_tls()) && !as_tls(ioc);
}

bool migration_tls_incoming_fits(QIOChannel *ioc, Error **errp)
{
    QIOChannelTLS *tioc = as_tls(ioc);

    if (!tioc && (incoming.made ? incoming.tls : migrate_tls())) {
        error_setg(errp, "it is in the clear, and this migration has TLS");
    } else if (tioc && incoming.made && !incoming.tls) {
        error_setg(errp, "it has TLS, and this migration began without");
    } else if (tioc && incoming.made &&
               (qcrypto_tls_session_creds(tioc->session) != incoming.creds ||
                g_strcmp0(qcrypto_tls_session_authzid(tioc->session), incoming.name) != 0)) {
        error_setg(errp, "it came in with other tls-creds or tls-authz than this migration's first "
                   "channel");
    } else {
        return true;
    }
    return false;
}

void migration_tls_keep_incoming(QIOChannel *ioc)
{
    QIOChannelTLS *tioc = as_tls(ioc);

    if (incoming.made) {
        return;
    }
    incoming.made = true;
    incoming.tls = tioc;
    if (tioc) {
        incoming.creds = qcrypto_tls_session_creds(tioc->session);
        object_ref(OBJECT(incoming.creds));
        incoming.name = g_strdup(qcrypto_tls_session_authzid(tioc->session));
    }
}

void migration_tls_forget_incoming(void)
{
    forget(&incoming);
}

/* --- the source --- */

bool migration_tls_connect(QIOChannel *ioc, const char *hostname, const char *channel_name,
                           QIOTaskFunc func, void *opaque, GDestroyNotify destroy, Error **errp)
{
    QIOChannelTLS *tioc;

    if (!outgoing.creds) {
        outgoing.creds = qcrypto_tls_creds_find(outgoing.id ?: "",
                                                Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, errp);
    }
    if (!outgoing.creds) {
        return false;
    }
    tioc = qio_channel_tls_new_client(ioc, outgoing.creds, outgoing.name ?: hostname, errp);
    if (!tioc) {
        return false;
    }
    qio_channel_set_name(QIO_CHANNEL(tioc), channel_name);
    start_handshake(tioc, false, func, opaque, destroy);
    object_unref(OBJECT(tioc)); /* the task has it */
    return true;
}

typedef struct MainChannel {
    MigrationState *s;
    unsigned attempt;
    char *hostname;
} MainChannel;

static void main_channel_free(gpointer opaque)
{
    MainChannel *main = opaque;

    g_free(main->hostname);
    g_free(main);
}

static void main_channel_ready(QIOTask *task, gpointer opaque)
{
    MainChannel *main = opaque;
    Error *err = NULL;

    if (!migration_channel_connect_end(main->attempt)) {
        return; /* cancelled meanwhile */
    }
    qio_task_propagate_error(task, &err);
    migration_channel_connect(main->s, QIO_CHANNEL(qio_task_get_source(task)), main->hostname, err);
}

void migration_tls_channel_connect(MigrationState *s, QIOChannel *ioc, const char *hostname,
                                   Error **errp)
{
    MainChannel *main = g_new0(MainChannel, 1);

    *main = (MainChannel){ s, migration_channel_connect_begin(), g_strdup(hostname) };
    if (!migration_tls_connect(ioc, hostname, "migration-tls-outgoing", main_channel_ready, main,
                               main_channel_free, errp)) {
        migration_channel_connect_end(main->attempt);
        main_channel_free(main);
    }
}

void migration_tls_channel_end(QIOChannel *ioc)
{
    if (object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_TLS)) {
        /* The peer has all that it needs; if it is gone, it will not miss this. */
        qio_channel_tls_bye(QIO_CHANNEL_TLS(ioc), NULL);
    }
}

/* --- the destination --- */

static void incoming_ready(QIOTask *task, gpointer opaque)
{
    Error *err = NULL;

    if (qio_task_propagate_error(task, &err)) {
        /* The client is refused; another one may come. */
        error_prepend(&err, "Incoming migration channel refused: ");
        error_report_err(err);
        return;
    }
    migration_channel_process_incoming(QIO_CHANNEL(qio_task_get_source(task)));
}

static unsigned count_incoming(void)
{
    unsigned n = 0;

    g_mutex_lock(&list_lock);
    for (GSList *l = list; l; l = l->next) {
        Handshake *h = l->data;

        n += h->incoming && !h->dropped;
    }
    g_mutex_unlock(&list_lock);
    return n;
}

/* Takes @creds over. */
static QIOChannelTLS *new_server(QIOChannel *ioc, QCryptoTLSCreds *creds, const char *authz,
                                 Error **errp)
{
    QIOChannelTLS *tioc = qio_channel_tls_new_server(ioc, creds, authz, errp);

    object_unref(OBJECT(creds));
    if (tioc) {
        qio_channel_set_name(QIO_CHANNEL(tioc), "migration-tls-incoming");
    }
    return tioc;
}

QIOChannelTLS *migration_tls_new_server(QIOChannel *ioc, Error **errp)
{
    g_autofree char *id = migrate_tls_creds(), *authz = migrate_tls_authz();
    QCryptoTLSCreds *creds = qcrypto_tls_creds_find(id ?: "", Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER,
                                                    errp);

    return creds ? new_server(ioc, creds, authz, errp) : NULL;
}

/* Who has had the most time makes room; his callback says so. */
static void drop_oldest_incoming(void)
{
    Handshake *oldest = NULL;

    g_mutex_lock(&list_lock);
    for (GSList *l = list; l; l = l->next) {
        Handshake *h = l->data;

        if (h->incoming && !h->dropped) {
            oldest = h;
        }
    }
    if (oldest) {
        oldest->dropped = true;
        qio_channel_shutdown(QIO_CHANNEL(oldest->tioc), QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&list_lock);
}

void migration_tls_channel_process_incoming(QIOChannel *ioc, Error **errp)
{
    QIOChannelTLS *tioc;

    if (count_incoming() >= INCOMING_MAX) {
        drop_oldest_incoming();
    }
    if (incoming.made) {
        object_ref(OBJECT(incoming.creds));
        tioc = new_server(ioc, incoming.creds, incoming.name, errp);
    } else {
        tioc = migration_tls_new_server(ioc, errp);
    }
    if (!tioc) {
        return;
    }
    start_handshake(tioc, true, incoming_ready, NULL, NULL);
    object_unref(OBJECT(tioc));
}
