/*
 * Migration over TLS: with certificates, keys and without either; who is refused, where and how.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "../unit/tls-certs.h"
#include "migration-helpers.h"
#include "migration-tests.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *certs; /* a directory, made once */

static const char *certs_dir(void)
{
    if (!certs) {
        g_autofree char *other = NULL, *psk = NULL, *psk2 = NULL;

        certs = qtest_tmpfile("tls");
        other = g_build_filename(certs, "other", NULL);
        psk = g_build_filename(certs, "psk", NULL);
        psk2 = g_build_filename(certs, "psk2", NULL);
        test_certs_default(certs);
        test_certs_default(other);
        test_psk_write(psk, "qemu", 1);
        test_psk_write(psk2, "qemu", 2);
    }
    return certs;
}

typedef struct TLSCase {
    const char *kind;           /* x509, psk, anon */
    const char *client, *server; /* directories below the certificates' */
    const char *client_more, *server_more;
    const char *hostname;
    const char *authz;          /* an object's properties */
    const char *uri;            /* to listen on; NULL: tcp */
    bool multifd;
} TLSCase;

static void set_up(QTestState *s, const TLSCase *c)
{
    if (c->multifd) {
        migrate_set_capability(s, "multifd", true);
        migrate_set_int(s, "multifd-channels", 3);
    }
    migrate_set_str(s, "tls-creds", "tls");
}

/* Both ends with their credentials; the destination listens. */
static MigratePair start(const TLSCase *c, char **uri)
{
    const char *top = certs_dir();
    /* What 7.2 does not know: only then, as it does not know the options either. */
    const char *compat = migrate_with_older() ? "-global migration.send-switchover-start=off "
                         "-global migration.multifd-flush-after-each-section=on "
                         "-global migration.multifd-clean-tls-termination=off" : "";
    g_autofree char *client_dir = c->client ? g_strdup_printf(",dir=%s/%s", top, c->client) : NULL;
    g_autofree char *server_dir = c->server ? g_strdup_printf(",dir=%s/%s", top, c->server) : NULL;
    g_autofree char *src = g_strdup_printf(
        "-object tls-creds-%s,id=tls,endpoint=client%s%s %s", c->kind, client_dir ? client_dir : "",
        c->client_more ? c->client_more : "", migrate_is_old_source() ? "" : compat);
    g_autofree char *dst = g_strdup_printf(
        "-object tls-creds-%s,id=tls,endpoint=server%s%s %s%s %s", c->kind,
        server_dir ? server_dir : "", c->server_more ? c->server_more : "",
        c->authz ? "-object " : "", c->authz ? c->authz : "",
        migrate_is_old_destination() ? "" : compat);
    MigratePair p = migrate_pair_start(src, dst);

    set_up(p.src, c);
    set_up(p.dst, c);
    if (c->hostname) {
        migrate_set_str(p.src, "tls-hostname", c->hostname);
    }
    if (c->authz) {
        migrate_set_str(p.dst, "tls-authz", "authz");
    }
    *uri = c->uri ? migrate_listen_unix(p.dst) : migrate_listen_tcp(p.dst);
    return p;
}

static void check_works(const TLSCase *c)
{
    g_autofree char *uri = NULL;
    MigratePair p = start(c, &uri);

    ram_fill(p.src);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* So slow that the source is still at it when it is refused: nobody answers it on success either.
 * */
static void slow_down(QTestState *src, bool slow)
{
    if (slow) {
        ram_fill(src);
    }
    migrate_set_int(src, "max-bandwidth", slow ? 2 * MIB : 1024 * MIB);
}

/* The source fails, with @part in the reason where it knows one; the destination waits for
 * another. */
static void check_refused(const TLSCase *c, const char *part)
{
    g_autofree char *uri = NULL;
    MigratePair p = start(c, &uri);

    slow_down(p.src, true);
    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), part);
    assert_run_state(p.src, "running");
    assert_run_state(p.dst, "inmigrate");
    migrate_pair_end(&p);
}

#define X509 .kind = "x509", .client = "client", .server = "server"

static const struct {
    const char *name;
    TLSCase c;
} good[] = {
    { "x509/default", { X509 } },
    { "x509/override-host", { X509, .hostname = "localhost" } },
    { "x509/unix", { X509, .hostname = "localhost", .uri = "unix" } },
    { "x509/allow-anon-client", { .kind = "x509", .client = "other/client", .server = "server",
                                  .client_more = ",verify-peer=off",
                                  .server_more = ",verify-peer=off" } },
    { "x509/authz", { X509, .authz = "authz-simple,id=authz,identity=CN=client" } },
    { "x509/authz-list",
      { X509, .authz = "'{\"qom-type\": \"authz-list\", \"id\": \"authz\", \"rules\": [{\"match\": "
                       "\"CN=c*\", \"policy\": \"allow\", \"format\": \"glob\"}]}'" } },
    { "psk/match", { .kind = "psk", .client = "psk", .server = "psk" } },
    { "psk/unix", { .kind = "psk", .client = "psk", .server = "psk", .uri = "unix" } },
    { "anon", { .kind = "anon" } },
    { "multifd/x509/default", { X509, .multifd = true } },
    { "multifd/x509/override-host", { X509, .hostname = "localhost", .multifd = true } },
    { "multifd/x509/unix", { X509, .hostname = "localhost", .uri = "unix", .multifd = true } },
    { "multifd/x509/authz", { X509, .authz = "authz-simple,id=authz,identity=CN=client",
                              .multifd = true } },
    { "multifd/psk/match", { .kind = "psk", .client = "psk", .server = "psk", .multifd = true } },
    { "multifd/anon", { .kind = "anon", .multifd = true } },
};

static void test_good(gconstpointer data)
{
    check_works(data);
}

/* With one channel the load has begun when the client finds that it is not whom it looked for. */
static void test_mismatch_host(void)
{
    TLSCase c = { X509, .hostname = "elsewhere" };
    g_autofree char *uri = NULL;
    MigratePair p = start(&c, &uri);

    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), "does not match the hostname");
    assert_run_state(p.src, "running");
    migrate_destination_failed(p.dst);
    qtest_quit(p.src);
}

static void test_no_host(void)
{
    TLSCase c = { X509, .uri = "unix" };
    g_autofree char *uri = NULL;
    MigratePair p = start(&c, &uri);

    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), "No hostname for certificate validation");
    qtest_quit(p.src);
    migrate_destination_failed(p.dst);
}

static void test_multifd_mismatch_host(void)
{
    check_refused(&(TLSCase){ X509, .hostname = "elsewhere", .multifd = true },
                  "does not match the hostname");
}

static void test_hostile_client(void)
{
    check_refused(&(TLSCase){ .kind = "x509", .client = "other/client", .server = "server",
                              .client_more = ",verify-peer=off" }, "");
}

static void test_hostile_client_multifd(void)
{
    check_refused(&(TLSCase){ .kind = "x509", .client = "other/client", .server = "server",
                              .client_more = ",verify-peer=off", .multifd = true }, "");
}

static void test_authz_denied(void)
{
    check_refused(&(TLSCase){ X509, .authz = "authz-simple,id=authz,identity=CN=somebody" }, "");
}

static void test_psk_mismatch(void)
{
    check_refused(&(TLSCase){ .kind = "psk", .client = "psk2", .server = "psk" },
                  "TLS handshake failed");
}

/* Refused for what it is, and let in when that has changed: parameters are read with each. */
static void test_second_try(void)
{
    TLSCase c = { X509, .authz = "authz-simple,id=authz,identity=CN=somebody "
                                "-object authz-simple,id=other,identity=CN=client" };
    g_autofree char *uri = NULL;
    MigratePair p = start(&c, &uri);

    slow_down(p.src, true);
    migrate(p.src, uri);
    g_free(migrate_wait_failed(p.src));
    migrate_set_str(p.dst, "tls-authz", "other");
    slow_down(p.src, false);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* One side has TLS, the other has not. */
static void test_plain_client(void)
{
    TLSCase c = { X509 };
    g_autofree char *uri = NULL;
    MigratePair p = start(&c, &uri);

    migrate_set_str(p.src, "tls-creds", "");
    slow_down(p.src, true);
    migrate(p.src, uri);
    g_free(migrate_wait_failed(p.src));
    assert_run_state(p.dst, "inmigrate");
    migrate_set_str(p.src, "tls-creds", "tls");
    slow_down(p.src, false);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_plain_server(void)
{
    g_autofree char *src = g_strdup_printf("-object tls-creds-x509,id=tls,dir=%s/client",
                                           certs_dir());
    MigratePair p = migrate_pair_start(src, NULL);
    g_autofree char *uri = migrate_listen_tcp(p.dst);

    migrate_set_str(p.src, "tls-creds", "tls");
    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), "TLS handshake failed");
    migrate_destination_failed(p.dst);
    qtest_quit(p.src);
}

static void check_source_fails(const char *creds, const char *part)
{
    g_autofree char *args = g_strdup_printf("-object %s", creds);
    MigratePair p = migrate_pair_start(args, NULL);
    g_autofree char *uri = migrate_listen_tcp(p.dst);

    migrate_set_str(p.src, "tls-creds", "tls");
    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), part);
    /* Which has no TLS here: a connection came, and ended. */
    migrate_destination_failed(p.dst);
    qtest_quit(p.src);
}

static void test_no_creds(void)
{
    check_source_fails("tls-creds-anon,id=other", "No TLS credentials with id 'tls'");
}

static void test_wrong_endpoint(void)
{
    check_source_fails("tls-creds-anon,id=tls,endpoint=server",
                       "Expected TLS credentials for a client endpoint");
}

/* The peer takes the connection and says nothing: cancelled at once, and free for another. */
static void test_cancel(void)
{
    g_autofree char *path = qtest_tmpfile("deaf.sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    MigratePair p = migrate_pair_start("-object tls-creds-anon,id=tls",
                                       "-object tls-creds-anon,id=tls,endpoint=server");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_autofree char *good_uri = NULL;

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 5), ==, 0);
    migrate_set_str(p.src, "tls-creds", "tls");
    migrate_set_str(p.dst, "tls-creds", "tls");
    for (int i = 0; i < 3; i++) {
        int peer;

        migrate(p.src, uri);
        peer = accept(fd, NULL, NULL);
        g_assert_cmpint(peer, >=, 0);
        migrate_wait(p.src, "setup");
        if (i == 2) {
            /* Out of band, without the main thread. */
            qtest_qmp_assert_success(p.src, "{'execute': 'yank', 'arguments': "
                                            "{'instances': [{'type': 'migration'}]}}");
            g_free(migrate_wait_failed(p.src));
        } else {
            migrate_cancel(p.src);
            migrate_wait(p.src, "cancelled");
        }
        wait_run_state(p.src, "running");
        close(peer);
    }
    close(fd);
    ram_fill(p.src);
    good_uri = migrate_listen_unix(p.dst);
    migrate(p.src, good_uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* Others who connect and say nothing, or nonsense, do not keep the real one out. */
static void test_silent_clients(void)
{
    TLSCase c = { X509, .hostname = "localhost", .uri = "unix", .multifd = true };
    g_autofree char *uri = NULL;
    MigratePair p = start(&c, &uri);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fds[4];

    g_strlcpy(un.sun_path, uri + strlen("unix:"), sizeof(un.sun_path));
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(fds[i], (struct sockaddr *)&un, sizeof(un)), ==, 0);
        if (i % 2) {
            g_assert_cmpint(write(fds[i], "QEVM\0\0\0\3", 8), ==, 8);
        }
    }
    ram_fill(p.src);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
    migrate_pair_end(&p);
}

void add_tls_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *path = g_strdup_printf("/migration/tls/%s", good[i].name);

        g_test_add_data_func(path, &good[i].c, test_good);
    }
    g_test_add_func("/migration/tls/x509/mismatch-host", test_mismatch_host);
    g_test_add_func("/migration/tls/x509/no-host", test_no_host);
    g_test_add_func("/migration/tls/x509/hostile-client", test_hostile_client);
    g_test_add_func("/migration/tls/x509/authz-denied", test_authz_denied);
    g_test_add_func("/migration/tls/x509/second-try", test_second_try);
    g_test_add_func("/migration/tls/psk/mismatch", test_psk_mismatch);
    g_test_add_func("/migration/tls/multifd/x509/mismatch-host", test_multifd_mismatch_host);
    g_test_add_func("/migration/tls/multifd/x509/hostile-client", test_hostile_client_multifd);
    g_test_add_func("/migration/tls/plain-client", test_plain_client);
    g_test_add_func("/migration/tls/plain-server", test_plain_server);
    g_test_add_func("/migration/tls/no-creds", test_no_creds);
    g_test_add_func("/migration/tls/wrong-endpoint", test_wrong_endpoint);
    g_test_add_func("/migration/tls/cancel", test_cancel);
    g_test_add_func("/migration/tls/silent-clients", test_silent_clients);
}

void remove_tls_files(void)
{
    if (certs) {
        test_certs_remove(certs);
        g_clear_pointer(&certs, g_free);
    }
}
