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

    *h = (Handshake){ tioc, incoming, func, opaque, destroy };
    g_mutex_lock(&list_lock);
    list = g_slist_prepend(list, h);
    g_mutex_unlock(&list_lock);
    qio_channel_tls_handshake(tioc, handshake_over, h, handshake_free, NULL);
}

bool migrate_tls(void)
{
    const char *creds = migrate_tls_creds();

    return creds && *creds;
}

bool migrate_channel_requires_tls_upgrade(QIOChannel *ioc)
{
    return migrate_tls() && !object_dynamic_cast(OBJECT(ioc), TYPE_QIO_CHANNEL_TLS);
}

/* --- the source --- */

bool migration_tls_connect(QIOChannel *ioc, const char *hostname, const char *channel_name,
                           QIOTaskFunc func, void *opaque, GDestroyNotify destroy, Error **errp)
{
    const char *named = migrate_get_current()->parameters.tls_hostname;
    QCryptoTLSCreds *creds = qcrypto_tls_creds_find(migrate_tls_creds(),
                                                    Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT, errp);
    QIOChannelTLS *tioc;

    if (!creds) {
        return false;
    }
    tioc = qio_channel_tls_new_client(ioc, creds, named && *named ? named : hostname, errp);
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
        n += ((Handshake *)l->data)->incoming;
    }
    g_mutex_unlock(&list_lock);
    return n;
}

void migration_tls_channel_process_incoming(QIOChannel *ioc, Error **errp)
{
    const char *authz = migrate_get_current()->parameters.tls_authz;
    QCryptoTLSCreds *creds;
    QIOChannelTLS *tioc;

    if (count_incoming() >= INCOMING_MAX) {
        error_setg(errp, "%u others have not finished their TLS handshakes", INCOMING_MAX);
        return;
    }
    creds = qcrypto_tls_creds_find(migrate_tls_creds(), Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER, errp);
    if (!creds) {
        return;
    }
    tioc = qio_channel_tls_new_server(ioc, creds, authz && *authz ? authz : NULL, errp);
    if (!tioc) {
        return;
    }
    qio_channel_set_name(QIO_CHANNEL(tioc), "migration-tls-incoming");
    start_handshake(tioc, true, incoming_ready, NULL, NULL);
    object_unref(OBJECT(tioc));
}
