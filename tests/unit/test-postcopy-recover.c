/*
 * The listener of migrate-recover: it works while the main thread does nothing but hold the BQL, hands
 * over what it should and nothing else, and can be stopped and replaced at any time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "../../migration/channel.h"
#include "../../migration/migration.h"
#include "../../migration/postcopy-recover.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/thread.h"
#include "qom/object_interfaces.h"
#include "system/cpus.h"
#include "tls-certs.h"

static char *dir;

/* ---- what was handed over ---- */

static QemuSemaphore taken;
static QIOChannel *channels[4];
static unsigned refuse; /* so many are not taken */

static bool take(QIOChannel *ioc, unsigned number, Error **errp)
{
    g_assert_false(bql_locked());
    if (refuse) {
        refuse--;
        error_setg(errp, "not this one");
        return false;
    }
    g_assert_cmpuint(number, <, G_N_ELEMENTS(channels));
    g_assert_null(channels[number]);
    channels[number] = QIO_CHANNEL(object_ref(OBJECT(ioc)));
    qemu_sem_post(&taken);
    return true;
}

static void forget_channels(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(channels); i++) {
        object_unref(OBJECT(channels[i]));
        channels[i] = NULL;
    }
}

static bool recover(const char *uri, unsigned n, Error **errp)
{
    g_autoptr(MigrationChannel) channel = NULL;

    g_assert_true(migrate_uri_parse(uri, &channel, &error_abort));
    return postcopy_recover_listen(channel->addr, n, take, errp);
}

static QIOChannelSocket *connect_to(SocketAddress *addr, Error **errp)
{
    QIOChannelSocket *sioc = qio_channel_socket_new();

    if (qio_channel_socket_connect_sync(sioc, addr, errp) < 0) {
        object_unref(OBJECT(sioc));
        return NULL;
    }
    return sioc;
}

static QIOChannelSocket *client(void)
{
    g_autoptr(SocketAddressList) list = postcopy_recover_socket_addresses();

    g_assert_nonnull(list);
    return connect_to(list->value, &error_abort);
}

static void hang_up(QIOChannelSocket *sioc)
{
    qio_channel_close(QIO_CHANNEL(sioc), NULL);
    object_unref(OBJECT(sioc));
}

/* The other end of @a is @b. */
static void check_pair(QIOChannelSocket *a, QIOChannel *b)
{
    char c = 'x';

    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(a), &c, 1, &error_abort), ==, 0);
    c = 0;
    g_assert_cmpint(qio_channel_read_all(b, &c, 1, &error_abort), ==, 0);
    g_assert_cmpint(c, ==, 'x');
}

static void check_closed(QIOChannelSocket *sioc)
{
    char c;

    g_assert_cmpint(qio_channel_read(QIO_CHANNEL(sioc), &c, 1, NULL), <=, 0);
}

/* ---- plain ---- */

static void test_one(gconstpointer uri)
{
    g_autofree char *text = g_strdup_printf(uri, dir);
    g_autoptr(SocketAddressList) list = NULL;
    QIOChannelSocket *sioc;

    g_assert_true(recover(text, 1, &error_abort));
    list = postcopy_recover_socket_addresses();
    if (list->value->type == SOCKET_ADDRESS_TYPE_INET) {
        g_assert_cmpstr(list->value->u.inet.port, !=, "0");
    }
    sioc = client();
    qemu_sem_wait(&taken);
    check_pair(sioc, channels[0]);
    /* It is not listened on any more. */
    postcopy_recover_end();
    g_assert_null(postcopy_recover_socket_addresses());
    g_assert_null(connect_to(list->value, NULL));
    check_pair(sioc, channels[0]);
    hang_up(sioc);
    forget_channels();
}

static void test_two(void)
{
    g_autoptr(SocketAddressList) list = NULL;
    QIOChannelSocket *first, *second;

    g_assert_true(recover("tcp:127.0.0.1:0", 2, &error_abort));
    first = client();
    qemu_sem_wait(&taken);
    /* Still listening: and what came does not count as waiting. */
    list = postcopy_recover_socket_addresses();
    g_assert_nonnull(list);
    second = client();
    qemu_sem_wait(&taken);
    check_pair(first, channels[0]);
    check_pair(second, channels[1]);
    g_assert_false(postcopy_recover_stop());
    postcopy_recover_end();
    hang_up(first);
    hang_up(second);
    forget_channels();
}

static void test_refused(void)
{
    QIOChannelSocket *first, *second;

    refuse = 1;
    g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
    first = client();
    check_closed(first);
    second = client();
    qemu_sem_wait(&taken);
    check_pair(second, channels[0]);
    postcopy_recover_end();
    hang_up(first);
    hang_up(second);
    forget_channels();
}

static void test_replaced(void)
{
    g_autofree char *uri = g_strdup_printf("unix:%s/r", dir);
    g_autoptr(SocketAddressList) before = NULL;
    QIOChannelSocket *sioc;

    g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
    before = postcopy_recover_socket_addresses();
    g_assert_true(recover(uri, 1, &error_abort));
    g_assert_null(connect_to(before->value, NULL));
    /* The same address again: the one that goes must not take the path of the new one with it. */
    for (int i = 0; i < 50; i++) {
        g_assert_true(recover(uri, 1, &error_abort));
    }
    sioc = client();
    qemu_sem_wait(&taken);
    check_pair(sioc, channels[0]);
    hang_up(sioc);
    forget_channels();
    postcopy_recover_end();
}

/* Stopped at every moment there is. */
static void test_stopped(void)
{
    g_assert_false(postcopy_recover_stop());
    for (int i = 0; i < 200; i++) {
        g_autoptr(SocketAddressList) list = NULL;
        QIOChannelSocket *sioc = NULL;
        bool waited;

        g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
        list = postcopy_recover_socket_addresses();
        if (i & 1) {
            sioc = client();
        }
        if (i & 2) {
            g_usleep(i * 2);
        }
        waited = postcopy_recover_stop();
        g_assert_true(waited || sioc);
        g_assert_null(postcopy_recover_socket_addresses());
        postcopy_recover_end();
        g_assert_null(connect_to(list->value, NULL));
        if (!waited) {
            qemu_sem_wait(&taken);
            check_pair(sioc, channels[0]);
        } else {
            g_assert_null(channels[0]);
        }
        if (sioc) {
            hang_up(sioc);
        }
        forget_channels();
    }
}

static void test_fd(void)
{
    g_autofree char *uri = NULL;
    QIOChannelSocket *sioc;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    uri = g_strdup_printf("fd:%d", pair[1]);
    sioc = qio_channel_socket_new_fd(pair[0], &error_abort);
    g_assert_true(recover(uri, 1, &error_abort));
    g_assert_null(postcopy_recover_socket_addresses());
    g_assert_cmpint(qemu_sem_timedwait(&taken, 20), ==, -1); /* it has not spoken yet */
    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(sioc), "a", 1, &error_abort), ==, 0);
    qemu_sem_wait(&taken);
    {
        char c = 0;

        g_assert_cmpint(qio_channel_read_all(channels[0], &c, 1, &error_abort), ==, 0);
        g_assert_cmpint(c, ==, 'a');
    }
    postcopy_recover_end();
    hang_up(sioc);
    forget_channels();
}

static void test_exec(void)
{
    char text[6] = "";

    g_assert_true(recover("exec:printf hello; cat >/dev/null", 1, &error_abort));
    qemu_sem_wait(&taken);
    g_assert_cmpint(qio_channel_read_all(channels[0], text, 5, &error_abort), ==, 0);
    g_assert_cmpstr(text, ==, "hello");
    postcopy_recover_end();
    forget_channels();
}

static void test_errors(void)
{
    static const struct { const char *uri, *text; } bad[] = {
        { "unix:/nonexistent/x", "/nonexistent/x" },
        { "fd:nobody", "nobody" },
        { "file:/dev/null", "Postcopy cannot be recovered by transport 'file'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Error *err = NULL;

        g_assert_false(recover(bad[i].uri, 1, &err));
        g_assert_nonnull(strstr(error_get_pretty(err), bad[i].text));
        error_free(err);
        g_assert_false(postcopy_recover_stop());
    }
}

/* ---- TLS ---- */

static void tls_begin(const char *more)
{
    MigrationParameters *p = &migrate_get_current()->parameters;
    g_autofree char *server = g_strdup_printf("tls-creds-x509,id=server,endpoint=server,dir=%s/server",
                                              dir);
    g_autofree char *peer = g_strdup_printf("tls-creds-x509,id=client,endpoint=client,dir=%s/client",
                                            dir);

    g_assert_true(user_creatable_add_from_str(server, &error_abort));
    g_assert_true(user_creatable_add_from_str(peer, &error_abort));
    g_free(p->tls_creds);
    p->tls_creds = g_strdup("server");
    if (more) {
        g_assert_true(user_creatable_add_from_str(more, &error_abort));
        g_free(p->tls_authz);
        p->tls_authz = g_strdup("who");
    }
}

static void tls_end(void)
{
    MigrationParameters *p = &migrate_get_current()->parameters;

    g_assert_true(user_creatable_del("server", &error_abort));
    g_assert_true(user_creatable_del("client", &error_abort));
    if (*p->tls_authz) {
        g_assert_true(user_creatable_del("who", &error_abort));
    }
    g_free(p->tls_creds);
    g_free(p->tls_authz);
    p->tls_creds = g_strdup("");
    p->tls_authz = g_strdup("");
}

typedef struct TLSClient {
    QIOChannelSocket *sioc;
    QIOChannelTLS *tioc;
    GMainContext *context;
    bool over, failed;
} TLSClient;

static void tls_over(QIOTask *task, gpointer opaque)
{
    TLSClient *c = opaque;

    c->failed = qio_task_propagate_error(task, NULL);
    c->over = true;
}

/* In a context of its own: that of the main thread stands still. */
static void tls_begin_connecting(TLSClient *c)
{
    QCryptoTLSCreds *creds = qcrypto_tls_creds_find("client", Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT,
                                                    &error_abort);

    *c = (TLSClient){ .sioc = client(), .context = g_main_context_new() };
    c->tioc = qio_channel_tls_new_client(QIO_CHANNEL(c->sioc), creds, "localhost", &error_abort);
    object_unref(OBJECT(creds));
    qio_channel_tls_handshake(c->tioc, tls_over, c, NULL, c->context);
}

static void tls_finish_connecting(TLSClient *c)
{
    while (!c->over) {
        g_main_context_iteration(c->context, true);
    }
}

static void tls_connect(TLSClient *c)
{
    tls_begin_connecting(c);
    tls_finish_connecting(c);
}

static void tls_disconnect(TLSClient *c)
{
    object_unref(OBJECT(c->tioc));
    hang_up(c->sioc);
    g_main_context_unref(c->context);
}

static void test_tls(void)
{
    QIOChannelSocket *silent[300];
    char text[6] = "";
    TLSClient c;

    tls_begin(NULL);
    g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
    /* Who say nothing are in no one's way, those that were there before and those that come. */
    for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
        if (i == 150) {
            tls_begin_connecting(&c);
        }
        silent[i] = client();
    }
    tls_finish_connecting(&c);
    g_assert_false(c.failed);
    qemu_sem_wait(&taken);
    g_assert_nonnull(object_dynamic_cast(OBJECT(channels[0]), TYPE_QIO_CHANNEL_TLS));
    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(c.tioc), "hello", 5, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_read_all(channels[0], text, 5, &error_abort), ==, 0);
    g_assert_cmpstr(text, ==, "hello");
    postcopy_recover_end();
    for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
        check_closed(silent[i]);
        hang_up(silent[i]);
    }
    tls_disconnect(&c);
    forget_channels();
    tls_end();
}

/* Who is not let in, and who talks of something else. */
static void test_tls_refused(void)
{
    QIOChannelSocket *plain;
    TLSClient c;
    char byte;

    tls_begin("authz-simple,id=who,identity=CN=somebody");
    g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
    plain = client();
    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(plain), "QEVM plain text", 15, NULL), ==, 0);
    while (qio_channel_read(QIO_CHANNEL(plain), &byte, 1, NULL) > 0) {
        /* an alert */
    }
    hang_up(plain);
    tls_connect(&c);
    /* With TLS 1.3 the client hears of it when it reads. */
    g_assert_true(c.failed || qio_channel_read(QIO_CHANNEL(c.tioc), &byte, 1, NULL) <= 0);
    g_assert_null(channels[0]);
    g_assert_true(postcopy_recover_stop());
    tls_disconnect(&c);
    postcopy_recover_end();
    tls_end();
}

/* Credentials are looked for when a connection comes, and may be gone then. */
static void test_tls_gone(void)
{
    QIOChannelSocket *sioc;

    tls_begin(NULL);
    g_assert_true(recover("tcp:127.0.0.1:0", 1, &error_abort));
    tls_end();
    g_free(migrate_get_current()->parameters.tls_creds);
    migrate_get_current()->parameters.tls_creds = g_strdup("server");
    sioc = client();
    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(sioc), "x", 1, NULL), ==, 0);
    check_closed(sioc);
    hang_up(sioc);
    g_assert_true(postcopy_recover_stop());
    postcopy_recover_end();
    g_free(migrate_get_current()->parameters.tls_creds);
    migrate_get_current()->parameters.tls_creds = g_strdup("");
}

/* Objects come and go while another thread looks for them. */

static bool stop_looking;

static void *look_for(void *opaque)
{
    unsigned *found = opaque;

    while (!qatomic_mb_read(&stop_looking)) {
        Object *obj = object_ref_user_object("coming-and-going");

        if (obj) {
            qatomic_inc(found);
            g_assert_nonnull(object_dynamic_cast(obj, "secret"));
            object_unref(obj);
        }
    }
    return NULL;
}

static void test_lookup(void)
{
    QemuThread thread;
    unsigned found = 0;

    qemu_thread_create(&thread, "look", look_for, &found, QEMU_THREAD_JOINABLE);
    for (int i = 0; i < 3000 || (!qatomic_read(&found) && i < 1000000); i++) {
        g_assert_true(user_creatable_add_from_str("secret,id=coming-and-going,data=x",
                                                  &error_abort));
        g_assert_true(user_creatable_del("coming-and-going", &error_abort));
    }
    qatomic_mb_set(&stop_looking, true);
    qemu_thread_join(&thread);
    g_assert_cmpuint(found, >, 0);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    migration_object_init();
    qemu_sem_init(&taken, 0);
    dir = g_dir_make_tmp("godwit-recover-XXXXXX", NULL);
    test_certs_default(dir);
    g_assert_true(bql_locked()); /* all the time */

    g_test_add_data_func("/postcopy-recover/tcp", "tcp:127.0.0.1:0", test_one);
    g_test_add_data_func("/postcopy-recover/unix", "unix:%s/one", test_one);
    g_test_add_func("/postcopy-recover/two", test_two);
    g_test_add_func("/postcopy-recover/refused", test_refused);
    g_test_add_func("/postcopy-recover/replaced", test_replaced);
    g_test_add_func("/postcopy-recover/stopped", test_stopped);
    g_test_add_func("/postcopy-recover/fd", test_fd);
    g_test_add_func("/postcopy-recover/exec", test_exec);
    g_test_add_func("/postcopy-recover/errors", test_errors);
    g_test_add_func("/postcopy-recover/tls", test_tls);
    g_test_add_func("/postcopy-recover/tls/refused", test_tls_refused);
    g_test_add_func("/postcopy-recover/tls/gone", test_tls_gone);
    g_test_add_func("/postcopy-recover/lookup", test_lookup);
    ret = g_test_run();
    test_certs_remove(dir);
    return ret;
}
