/*
 * TLS channels: handshakes that work and that do not, data both ways at once, ends, damage.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io-helpers.h"
#include "io/channel-buffer.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "tls-certs.h"
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>

#define SIZE (4 * 1024 * 1024 + 321)

static char *dir;

/* --- pairs --- */

typedef struct End {
    QIOChannelTLS *tioc;
    char *error;                /* of the handshake, or NULL */
    bool over;
} End;

typedef struct Pair {
    QIOChannel *plain[2];
    End end[2];                 /* client, server */
} Pair;

static void handshake_over(QIOTask *task, gpointer opaque)
{
    End *end = opaque;
    Error *err = NULL;

    if (qio_task_propagate_error(task, &err)) {
        end->error = g_strdup(error_get_pretty(err));
        error_free(err);
    }
    end->over = true;
}

static void make_sockets(QIOChannel *plain[2])
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    plain[0] = QIO_CHANNEL(qio_channel_socket_new_fd(fds[0], &error_abort));
    plain[1] = QIO_CHANNEL(qio_channel_socket_new_fd(fds[1], &error_abort));
}

static void pair_free(Pair *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->end[i].tioc) {
            qio_channel_close(QIO_CHANNEL(p->end[i].tioc), NULL);
            object_unref(OBJECT(p->end[i].tioc));
        }
        object_unref(OBJECT(p->plain[i]));
        g_free(p->end[i].error);
    }
}

static QCryptoTLSCreds *creds(bool server)
{
    QCryptoTLSCreds *found = qcrypto_tls_creds_find(server ? "server" : "client",
                                                    server ? Q_CRYPTO_TLS_CREDS_ENDPOINT_SERVER
                                                           : Q_CRYPTO_TLS_CREDS_ENDPOINT_CLIENT,
                                                    &error_abort);

    object_unref(OBJECT(found)); /* the tree has it */
    return found;
}

static void add(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void add(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_assert_true(user_creatable_add_from_str(text, &error_abort));
}

static void del(const char *id)
{
    g_assert_true(user_creatable_del(id, &error_abort));
}

static void add_x509(void)
{
    add("tls-creds-x509,id=client,endpoint=client,dir=%s/client", dir);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server", dir);
}

static void del_creds(void)
{
    del("client");
    del("server");
}

static void pair_start(Pair *p, const char *hostname, const char *authzid)
{
    *p = (Pair){ 0 };
    make_sockets(p->plain);
    p->end[0].tioc = qio_channel_tls_new_client(p->plain[0], creds(false), hostname, &error_abort);
    p->end[1].tioc = qio_channel_tls_new_server(p->plain[1], creds(true), authzid, &error_abort);
    for (int i = 0; i < 2; i++) {
        qio_channel_tls_handshake(p->end[i].tioc, handshake_over, &p->end[i], NULL, NULL);
    }
}

static void wait_over(End *end)
{
    while (!end->over) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static void pair_make(Pair *p, const char *hostname, const char *authzid)
{
    pair_start(p, hostname, authzid);
    wait_over(&p->end[0]);
    if (p->end[0].error) {
        qio_channel_close(QIO_CHANNEL(p->end[0].tioc), NULL);
    }
    wait_over(&p->end[1]);
}

static void assert_error(const char *error, const char *part)
{
    if (!part) {
        g_assert_cmpstr(error, ==, NULL);
    } else if (!error || !strstr(error, part)) {
        g_error("expected '%s', found '%s'", part, error);
    }
}

static void check_handshake(const char *hostname, const char *authzid, const char *client_error,
                            const char *server_error)
{
    Pair p;

    pair_make(&p, hostname, authzid);
    assert_error(p.end[0].error, client_error);
    assert_error(p.end[1].error, server_error);
    pair_free(&p);
}

/* --- data --- */

static gpointer reader_thread(gpointer opaque)
{
    QIOChannel *ioc = opaque;
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    size_t niov;
    g_autofree struct iovec *iov = test_iov(buf, SIZE, &niov);

    qio_channel_readv_all(ioc, iov, niov, &error_abort);
    test_check(buf, SIZE);
    return NULL;
}

static gpointer writer_thread(gpointer opaque)
{
    QIOChannel *ioc = opaque;
    g_autofree uint8_t *buf = g_malloc(SIZE);
    size_t niov;
    g_autofree struct iovec *iov = test_iov(buf, SIZE, &niov);

    test_fill(buf, SIZE);
    qio_channel_writev_all(ioc, iov, niov, &error_abort);
    return NULL;
}

/* Both ways at the same time: each end has a thread that reads and one that writes. */
static void check_data(Pair *p)
{
    GThread *threads[4];

    for (int i = 0; i < 2; i++) {
        threads[i] = g_thread_new("reader", reader_thread, p->end[i].tioc);
        threads[2 + i] = g_thread_new("writer", writer_thread, p->end[i].tioc);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
}

static void check_works(const char *hostname)
{
    Pair p;

    for (int i = 0; i < 2; i++) {
        pair_make(&p, hostname, NULL);
        assert_error(p.end[0].error, NULL);
        assert_error(p.end[1].error, NULL);
        if (i) {
            qio_channel_set_blocking(QIO_CHANNEL(p.end[0].tioc), false, &error_abort);
            qio_channel_set_blocking(QIO_CHANNEL(p.end[1].tioc), false, &error_abort);
        }
        check_data(&p);
        pair_free(&p);
    }
}

static void test_x509(void)
{
    add_x509();
    check_works("localhost");
    check_works("127.0.0.1");
    del_creds();
}

/* Each protocol and cipher that there is, also those that must not borrow memory. */
static void test_priorities(void)
{
    static const char *const priorities[] = {
        "NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2",
        "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305", "NORMAL:-CIPHER-ALL:+AES-256-GCM",
        "NORMAL:-CIPHER-ALL:+AES-128-CCM",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(priorities); i++) {
        add("tls-creds-x509,id=client,endpoint=client,dir=%s/client,priority=%s", dir,
            priorities[i]);
        add("tls-creds-x509,id=server,endpoint=server,dir=%s/server,priority=%s", dir,
            priorities[i]);
        check_works("localhost");
        del_creds();
    }
    add("tls-creds-x509,id=client,endpoint=client,dir=%s/client,priority=%s", dir, priorities[0]);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server,priority=%s", dir, priorities[1]);
    check_handshake("localhost", NULL, "TLS handshake failed", "TLS handshake failed");
    del_creds();
}

static void test_psk(void)
{
    g_autofree char *a = g_build_filename(dir, "psk-a", NULL);
    g_autofree char *b = g_build_filename(dir, "psk-b", NULL);

    test_psk_write(a, "qemu", 1);
    test_psk_write(b, "qemu", 2);
    add("tls-creds-psk,id=client,endpoint=client,dir=%s", a);
    add("tls-creds-psk,id=server,endpoint=server,dir=%s", a);
    check_works(NULL);
    add("authz-simple,id=yes,identity=qemu");
    add("authz-simple,id=no,identity=emuq");
    check_handshake(NULL, "yes", NULL, NULL);
    check_handshake(NULL, "no", NULL, "TLS client 'qemu' is refused by 'no'");
    del("yes");
    del("no");
    del("client");
    add("tls-creds-psk,id=client,endpoint=client,dir=%s", b);
    check_handshake(NULL, NULL, "TLS handshake failed", "TLS handshake failed");
    del_creds();
}

static void test_anon(void)
{
    Error *err = NULL;
    QIOChannel *plain[2];

    add("tls-creds-anon,id=client,endpoint=client");
    add("tls-creds-anon,id=server,endpoint=server");
    check_works(NULL);
    make_sockets(plain);
    g_assert_null(qio_channel_tls_new_server(plain[1], creds(true), "a", &err));
    assert_error(error_get_pretty(err), "no identity");
    error_free(err);
    object_unref(OBJECT(plain[0]));
    object_unref(OBJECT(plain[1]));
    del_creds();
}

/* --- new keys while data goes both ways --- */

#define CHUNK 5000
#define KEY_UPDATES 6 /* GnuTLS bears eight in a second */

typedef struct KeyPeer {
    int fd;
    unsigned answers;           /* KeyUpdates that the other end sent */
} KeyPeer;

static int key_update_seen(gnutls_session_t session, unsigned type, unsigned when,
                           unsigned incoming, const gnutls_datum_t *msg)
{
    KeyPeer *peer = gnutls_session_get_ptr(session);

    peer->answers += incoming;
    return 0;
}

static bool later(int ret)
{
    if (ret < 0 && ret != GNUTLS_E_AGAIN && ret != GNUTLS_E_INTERRUPTED) {
        g_error("the peer's GnuTLS: %s", gnutls_strerror(ret));
    }
    return ret < 0;
}

static gnutls_session_t key_peer_new(KeyPeer *peer, gnutls_psk_client_credentials_t credentials)
{
    gnutls_session_t session;

    g_assert_cmpint(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_TICKETS), ==, 0);
    gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+PSK:+ECDHE-PSK", NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
    gnutls_session_set_ptr(session, peer);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_KEY_UPDATE, GNUTLS_HOOK_POST,
                                       key_update_seen);
    gnutls_transport_set_int(session, peer->fd);
    while (later(gnutls_handshake(session))) {
        continue;
    }
    g_assert_true(g_unix_set_fd_nonblocking(peer->fd, true, NULL));
    return session;
}

/* What there is; answers how much. */
static size_t key_peer_read(gnutls_session_t session, uint8_t *buf, size_t room)
{
    size_t got = 0;

    while (got < room) {
        ssize_t ret = gnutls_record_recv(session, buf + got, room - got);

        if (later(ret)) {
            break;
        }
        g_assert_cmpint(ret, >, 0);
        got += ret;
    }
    return got;
}

/* It is one thread, with all that GnuTLS wants of one: it reads, it writes, it asks for new keys. */
static gpointer key_peer_thread(gpointer opaque)
{
    KeyPeer *peer = opaque;
    g_autofree uint8_t *out = g_malloc(SIZE), *in = g_malloc0(SIZE);
    g_autofree char *hex = g_strdup_printf("%064x", 0x1234567 + 1);
    gnutls_datum_t key = { (unsigned char *)hex, strlen(hex) };
    gnutls_psk_client_credentials_t credentials;
    gnutls_session_t session;
    size_t sent = 0, got = 0, updates = 0;
    bool pending = false, updating = false;

    gnutls_psk_allocate_client_credentials(&credentials);
    gnutls_psk_set_client_credentials(credentials, "qemu", &key, GNUTLS_PSK_KEY_HEX);
    session = key_peer_new(peer, credentials);
    test_fill(out, SIZE);
    while (sent < SIZE || got < SIZE) {
        /* In turns, so that neither direction is over long before the other. */
        bool read = got <= sent && got < SIZE;
        struct pollfd pfd = { .fd = peer->fd,
                              .events = (read ? POLLIN : 0) | (sent < SIZE ? POLLOUT : 0) };

        g_assert_true((read && gnutls_record_check_pending(session)) ||
                      poll(&pfd, 1, 60 * 1000) > 0);
        if (read) {
            got += key_peer_read(session, in + got, MIN(CHUNK, SIZE - got));
        }
        if (!pending && (updating || (updates < KEY_UPDATES &&
                                      sent > SIZE / (KEY_UPDATES + 1) * (updates + 1)))) {
            updating = later(gnutls_session_key_update(session, GNUTLS_KU_PEER));
            updates += !updating;
        } else if (sent < SIZE && (pfd.revents & POLLOUT)) {
            ssize_t ret = gnutls_record_send(session, pending ? NULL : out + sent,
                                             pending ? 0 : MIN(CHUNK, SIZE - sent));

            pending = later(ret);
            sent += pending ? 0 : ret;
        }
    }
    test_check(in, SIZE);
    g_assert_cmpuint(updates, ==, KEY_UPDATES);
    gnutls_deinit(session);
    gnutls_psk_free_client_credentials(credentials);
    return NULL;
}

static void test_key_update(void)
{
    g_autofree char *psk = g_build_filename(dir, "psk-keys", NULL);

    test_psk_write(psk, "qemu", 1);
    add("tls-creds-psk,id=server,endpoint=server,dir=%s", psk);
    for (int i = 0; i < 6; i++) {
        KeyPeer peer = { 0 };
        End end = { 0 };
        GThread *threads[3];
        QIOChannel *plain;
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        peer.fd = fds[0];
        threads[0] = g_thread_new("peer", key_peer_thread, &peer);
        plain = QIO_CHANNEL(qio_channel_socket_new_fd(fds[1], &error_abort));
        end.tioc = qio_channel_tls_new_server(plain, creds(true), NULL, &error_abort);
        qio_channel_tls_handshake(end.tioc, handshake_over, &end, NULL, NULL);
        wait_over(&end);
        assert_error(end.error, NULL);
        if (i % 2) {
            qio_channel_set_blocking(QIO_CHANNEL(end.tioc), false, &error_abort);
        }
        threads[1] = g_thread_new("reader", reader_thread, end.tioc);
        threads[2] = g_thread_new("writer", writer_thread, end.tioc);
        for (int j = 0; j < 3; j++) {
            g_thread_join(threads[j]);
        }
        g_assert_cmpuint(peer.answers, >, 0);
        g_assert_cmpuint(peer.answers, <=, KEY_UPDATES);
        object_unref(OBJECT(end.tioc));
        object_unref(OBJECT(plain));
        close(peer.fd);
    }
    del("server");
}

/* --- who is who --- */

static void test_hostname(void)
{
    add_x509();
    check_handshake("elsewhere", NULL, "does not match the hostname elsewhere", NULL);
    check_handshake("127.0.0.2", NULL, "does not match the hostname 127.0.0.2", NULL);
    check_handshake(NULL, NULL, "No hostname for certificate validation", NULL);
    del_creds();
}

static void test_strangers(void)
{
    g_autofree char *other = g_build_filename(dir, "other", NULL);

    test_certs_default(other);
    add("tls-creds-x509,id=client,endpoint=client,dir=%s/client", other);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server", dir);
    check_handshake("localhost", NULL, "Certificate of the TLS server is refused",
                    "Certificate of the TLS client is refused");
    del("client");
    add("tls-creds-x509,id=client,endpoint=client,dir=%s/client,verify-peer=off", other);
    check_handshake("elsewhere", NULL, NULL, "Certificate of the TLS client is refused");
    del("server");
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server,verify-peer=off", dir);
    check_handshake("elsewhere", NULL, NULL, NULL);
    del_creds();
}

/* A client without a certificate gets in where nobody asks for one. */
static void test_nameless(void)
{
    g_autofree char *bare = g_build_filename(dir, "bare", NULL);
    g_autofree char *from = g_build_filename(dir, "client", "ca-cert.pem", NULL);
    g_autofree char *to = g_build_filename(bare, "ca-cert.pem", NULL);
    g_autofree char *text = NULL;
    gsize len;

    g_mkdir_with_parents(bare, 0700);
    g_assert_true(g_file_get_contents(from, &text, &len, NULL));
    g_assert_true(g_file_set_contents(to, text, len, NULL));
    add("tls-creds-x509,id=client,endpoint=client,dir=%s", bare);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server", dir);
    check_handshake("localhost", NULL, NULL, "The TLS client has no certificate");
    del("server");
    add("tls-creds-x509,id=server,endpoint=server,dir=%s/server,verify-peer=off", dir);
    check_handshake("localhost", NULL, NULL, NULL);
    add("authz-list,id=all,policy=allow");
    check_handshake("localhost", "all", NULL, "has not said who it is");
    del("all");
    del_creds();
}

static void test_revoked(void)
{
    g_autofree char *d = g_build_filename(dir, "crl", NULL);
    TestCertSpec ca_spec = { .cn = "ca", .is_ca = true,
                             .key_usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN };
    TestCertSpec spec = { .cn = "localhost", .dns = "localhost" };
    TestCert *ca = test_cert_new(&ca_spec, NULL), *server = test_cert_new(&spec, ca);
    TestCert *client = test_cert_new(&spec, ca);

    g_mkdir_with_parents(d, 0700);
    test_cert_write(ca, d, "ca-cert.pem", true);
    test_cert_write(server, d, "server-cert.pem", true);
    test_cert_write_key(server, d, "server-key.pem", NULL);
    test_cert_write(client, d, "client-cert.pem", true);
    test_cert_write_key(client, d, "client-key.pem", NULL);
    test_crl_write(ca, client, d, "ca-crl.pem");
    add("tls-creds-x509,id=client,endpoint=client,dir=%s", d);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s", d);
    check_handshake("localhost", NULL, NULL, "revoked");
    del_creds();
    test_crl_write(ca, server, d, "ca-crl.pem");
    add("tls-creds-x509,id=client,endpoint=client,dir=%s", d);
    add("tls-creds-x509,id=server,endpoint=server,dir=%s", d);
    check_handshake("localhost", NULL, "revoked", NULL);
    del_creds();
    test_cert_free(ca);
    test_cert_free(server);
    test_cert_free(client);
}

/* The client's handshake is over before the server decides: it learns it by the alert. */
static void test_authz(void)
{
    uint8_t byte = 0;
    Error *err = NULL;
    Pair p;

    add_x509();
    add("authz-simple,id=yes,identity=CN=client");
    add("authz-simple,id=no,identity=CN=somebody");
    check_handshake("localhost", "yes", NULL, NULL);
    check_handshake("localhost", "missing", NULL, "Cannot find QAuthZ object ID missing");
    pair_make(&p, "localhost", "no");
    assert_error(p.end[0].error, NULL);
    assert_error(p.end[1].error, "TLS client 'CN=client' is refused by 'no'");
    g_assert_cmpint(qio_channel_read(QIO_CHANNEL(p.end[0].tioc), (char *)&byte, 1, &err), ==, -1);
    assert_error(error_get_pretty(err), "Access was denied");
    g_clear_pointer(&err, error_free);
    pair_free(&p);
    /* A writer finds it too. */
    pair_make(&p, "localhost", "no");
    qio_channel_close(QIO_CHANNEL(p.end[1].tioc), &error_abort);
    g_assert_cmpint(qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), (char *)&byte, 1, &err), ==,
                    -1);
    assert_error(error_get_pretty(err), "Access was denied");
    error_free(err);
    pair_free(&p);
    del("yes");
    del("no");
    del_creds();
}

/* --- ends --- */

static void test_ends(void)
{
    uint8_t buf[100];
    struct iovec iov = { buf, sizeof(buf) };
    Error *err = NULL;
    Pair p;

    add_x509();
    pair_make(&p, "localhost", NULL);
    qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), "abc", 3, &error_abort);
    g_assert_cmpint(qio_channel_tls_bye(p.end[0].tioc, &error_abort), ==, 0);
    qio_channel_close(QIO_CHANNEL(p.end[0].tioc), &error_abort);
    g_assert_cmpint(qio_channel_readv(QIO_CHANNEL(p.end[1].tioc), &iov, 1, &error_abort), ==, 3);
    g_assert_cmpint(qio_channel_readv(QIO_CHANNEL(p.end[1].tioc), &iov, 1, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_readv(QIO_CHANNEL(p.end[1].tioc), &iov, 1, &error_abort), ==, 0);
    pair_free(&p);

    pair_make(&p, "localhost", NULL);
    qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), "abc", 3, &error_abort);
    qio_channel_close(QIO_CHANNEL(p.end[0].tioc), &error_abort);
    g_assert_cmpint(qio_channel_readv(QIO_CHANNEL(p.end[1].tioc), &iov, 1, &error_abort), ==, 3);
    g_assert_cmpint(qio_channel_readv(QIO_CHANNEL(p.end[1].tioc), &iov, 1, &err), ==, -1);
    assert_error(error_get_pretty(err), "without saying good-bye");
    error_free(err);
    g_assert_cmpint(qio_channel_readv_full(QIO_CHANNEL(p.end[1].tioc), &iov, 1, NULL, NULL,
                                           QIO_CHANNEL_READ_FLAG_RELAXED_EOF, &error_abort), ==, 0);
    pair_free(&p);
    del_creds();
}

static gpointer blocked_reader(gpointer opaque)
{
    char byte;

    return GINT_TO_POINTER(qio_channel_read(opaque, &byte, 1, NULL));
}

static void test_shutdown(void)
{
    GThread *thread;
    Pair p;

    add_x509();
    pair_make(&p, "localhost", NULL);
    thread = g_thread_new("reader", blocked_reader, p.end[1].tioc);
    qio_channel_shutdown(QIO_CHANNEL(p.end[1].tioc), QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), <=, 0);
    pair_free(&p);
    del_creds();
}

/* A peek sees what comes, over several records, and takes nothing. */
static void test_peek(void)
{
    char buf[8] = "";
    struct iovec iov = { buf, 4 };
    Pair p;

    add_x509();
    pair_make(&p, "localhost", NULL);
    g_assert_cmpint(qio_channel_readv_full(QIO_CHANNEL(p.end[1].tioc), &iov, 1, NULL, NULL,
                                           QIO_CHANNEL_READ_FLAG_MSG_PEEK, &error_abort), ==,
                    QIO_CHANNEL_ERR_BLOCK);
    for (int i = 0; i < 6; i++) {
        char c = '0' + i;

        qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), &c, 1, &error_abort);
    }
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(qio_channel_readv_full(QIO_CHANNEL(p.end[1].tioc), &iov, 1, NULL, NULL,
                                               QIO_CHANNEL_READ_FLAG_MSG_PEEK, &error_abort),
                        ==, 4);
        g_assert_cmpstr(buf, ==, "0123");
    }
    qio_channel_read_all(QIO_CHANNEL(p.end[1].tioc), buf, 6, &error_abort);
    g_assert_cmpstr(buf, ==, "012345");
    pair_free(&p);
    del_creds();
}

static gboolean note_ready(QIOChannel *ioc, GIOCondition condition, gpointer opaque)
{
    *(int *)opaque += 1;
    return G_SOURCE_REMOVE;
}

/* What is in the buffers is announced although the socket has nothing more. */
static void test_watch(void)
{
    int ready = 0;
    char buf[4];
    Pair p;

    add_x509();
    pair_make(&p, "localhost", NULL);
    qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), "abcd", 4, &error_abort);
    for (int i = 0; i < 4; i++) {
        qio_channel_add_watch(QIO_CHANNEL(p.end[1].tioc), G_IO_IN, note_ready, &ready, NULL);
        while (ready <= i) {
            g_main_context_iteration(NULL, TRUE);
        }
        qio_channel_read_all(QIO_CHANNEL(p.end[1].tioc), buf + i, 1, &error_abort);
    }
    g_assert_cmpmem(buf, 4, "abcd", 4);
    pair_free(&p);
    del_creds();
}

/* --- damage --- */

/* Somebody who speaks no TLS, on either side; or who says nothing and is shut down. */
static void test_no_tls(void)
{
    for (int server = 0; server < 2; server++) {
        for (int how = 0; how < 3; how++) {
            QIOChannel *plain[2];
            End end = { 0 };

            add_x509();
            make_sockets(plain);
            end.tioc = server
                ? qio_channel_tls_new_server(plain[0], creds(true), NULL, &error_abort)
                : qio_channel_tls_new_client(plain[0], creds(false), "localhost", &error_abort);
            qio_channel_tls_handshake(end.tioc, handshake_over, &end, NULL, NULL);
            g_assert_false(end.over);
            if (how == 0) {
                qio_channel_write_all(plain[1], "QEVM\0\0\0\3and more of it", 22, &error_abort);
            } else if (how == 1) {
                qio_channel_close(plain[1], &error_abort);
            } else {
                qio_channel_shutdown(QIO_CHANNEL(end.tioc), QIO_CHANNEL_SHUTDOWN_BOTH,
                                     &error_abort);
            }
            wait_over(&end);
            assert_error(end.error, how == 0   ? "Does the peer use TLS?"
                                    : how == 1 ? "TLS handshake failed: "
                                               : "the channel was shut down");
            g_free(end.error);
            object_unref(OBJECT(end.tioc));
            object_unref(OBJECT(plain[0]));
            object_unref(OBJECT(plain[1]));
            del_creds();
        }
    }
}

/*
 * A handshake with somebody between who passes bytes on until one of the two has sent @limit, then
 * changes that byte, or ends the connection. How many bytes each sent: *@sent.
 */
static void meddle(int from, size_t limit, bool truncate, size_t sent[2])
{
    QIOChannel *plain[2], *far[2];
    End end[2] = { 0 };
    bool ended = false;

    make_sockets(plain);
    make_sockets(far);
    sent[0] = sent[1] = 0;
    for (int i = 0; i < 2; i++) {
        QIOChannel *ioc = i ? far[0] : plain[0];

        end[i].tioc = i ? qio_channel_tls_new_server(ioc, creds(true), NULL, &error_abort)
                        : qio_channel_tls_new_client(ioc, creds(false), "localhost", &error_abort);
        qio_channel_tls_handshake(end[i].tioc, handshake_over, &end[i], NULL, NULL);
        qio_channel_set_blocking(i ? far[1] : plain[1], false, &error_abort);
    }
    while (!end[0].over || !end[1].over) {
        for (int i = 0; i < 2 && !ended; i++) {
            char buf[4096];
            ssize_t n = qio_channel_read(i ? far[1] : plain[1], buf, sizeof(buf), NULL);

            if (n > 0 && i == from && sent[i] <= limit && limit < sent[i] + n) {
                if (truncate) {
                    n = limit - sent[i];
                    ended = true;
                } else {
                    buf[limit - sent[i]] ^= 0x55;
                }
            }
            if (n > 0) {
                qio_channel_write_all(i ? plain[1] : far[1], buf, n, NULL);
                sent[i] += n;
            }
            /* Who has failed sends nothing more, and the other one may wait for it. */
            ended |= n == 0 || (end[i].over && end[i].error && n < 0);
        }
        if (ended) {
            qio_channel_shutdown(plain[1], QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
            qio_channel_shutdown(far[1], QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        }
        while (g_main_context_iteration(NULL, FALSE)) {
            /* all that is ready */
        }
    }
    if (limit != SIZE_MAX) {
        /* Whatever was hit: not both are content, unless the last words of all were cut off. */
        g_assert_true(end[0].error || end[1].error);
    } else {
        assert_error(end[0].error, NULL);
        assert_error(end[1].error, NULL);
    }
    for (int i = 0; i < 2; i++) {
        object_unref(OBJECT(end[i].tioc));
        object_unref(OBJECT(plain[i]));
        object_unref(OBJECT(far[i]));
        g_free(end[i].error);
    }
}

static void test_meddle(void)
{
    size_t whole[2], sent[2];

    add_x509();
    meddle(0, SIZE_MAX, false, whole);
    for (int from = 0; from < 2; from++) {
        /* Signatures vary in length by a few bytes. */
        for (size_t at = 0; at + 16 < whole[from]; at += at < 64 ? 5 : 61) {
            /* These five are the version of the first record, which says nothing, and the dummy
             * message between: nobody looks at them. */
            meddle(from, at, true, sent);
            if (at >= 5) {
                meddle(from, at, false, sent);
            }
        }
    }
    del_creds();
}

/* A record that was changed on its way ends the stream, after what came before it. */
static void test_garbled_record(void)
{
    char buf[16];
    Error *err = NULL;
    Pair p;

    add_x509();
    pair_make(&p, "localhost", NULL);
    qio_channel_write_all(QIO_CHANNEL(p.end[0].tioc), "good", 4, &error_abort);
    qio_channel_write_all(p.plain[0], "\x17\x03\x03\0\x20" "0123456789abcdef0123456789abcdef", 37,
                          &error_abort);
    g_assert_cmpint(qio_channel_read(QIO_CHANNEL(p.end[1].tioc), buf, sizeof(buf), &error_abort),
                    ==, 4);
    g_assert_cmpint(qio_channel_read(QIO_CHANNEL(p.end[1].tioc), buf, sizeof(buf), &err), ==, -1);
    assert_error(error_get_pretty(err), "Cannot read from TLS channel: ");
    error_free(err);
    pair_free(&p);
    del_creds();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    signal(SIGPIPE, SIG_IGN);
    dir = g_dir_make_tmp("channel-tls-XXXXXX", NULL);
    test_certs_default(dir);
    g_test_add_func("/io/channel/tls/x509", test_x509);
    g_test_add_func("/io/channel/tls/priorities", test_priorities);
    g_test_add_func("/io/channel/tls/psk", test_psk);
    g_test_add_func("/io/channel/tls/anon", test_anon);
    g_test_add_func("/io/channel/tls/key-update", test_key_update);
    g_test_add_func("/io/channel/tls/hostname", test_hostname);
    g_test_add_func("/io/channel/tls/strangers", test_strangers);
    g_test_add_func("/io/channel/tls/nameless", test_nameless);
    g_test_add_func("/io/channel/tls/revoked", test_revoked);
    g_test_add_func("/io/channel/tls/authz", test_authz);
    g_test_add_func("/io/channel/tls/ends", test_ends);
    g_test_add_func("/io/channel/tls/shutdown", test_shutdown);
    g_test_add_func("/io/channel/tls/peek", test_peek);
    g_test_add_func("/io/channel/tls/watch", test_watch);
    g_test_add_func("/io/channel/tls/no-tls", test_no_tls);
    g_test_add_func("/io/channel/tls/meddle", test_meddle);
    g_test_add_func("/io/channel/tls/garbled-record", test_garbled_record);
    ret = g_test_run();
    test_certs_remove(dir);
    g_free(dir);
    return ret;
}
