/*
 * What can go wrong: addresses that make no sense, peers that are not there, machines that do not
 * match, streams that are none. The source always goes on running.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A TCP port of the loopback that is free for now. */
static int free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void test_refused(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = g_strdup_printf("tcp:127.0.0.1:%d", free_port());
    g_autofree char *text = g_strdup_printf("Failed to connect to '%s': Connection refused",
                                            uri + strlen("tcp:"));
    g_autofree char *good = NULL;

    migrate(p.src, uri);
    assert_text_has(migrate_wait_failed(p.src), text);
    assert_run_state(p.src, "running");
    migrate(p.src, "unix:/nonexistent/sock");
    assert_text_has(migrate_wait_failed(p.src),
                    "Failed to connect to '/nonexistent/sock': No such file or directory");
    assert_run_state(p.src, "running");
    migrate(p.src, "tcp:no.such.host.invalid:4444");
    assert_text_has(migrate_wait_failed(p.src), "no.such.host.invalid");
    assert_run_state(p.src, "running");

    /* None of it is in the way of the next. */
    ram_fill(p.src);
    good = migrate_listen_tcp(p.dst);
    migrate(p.src, good);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_bad_uri(void)
{
    static const struct {
        const char *uri;
        const char *error; /* NULL: some error */
    } cases[] = {
        { "", NULL },
        { "nonsense", NULL },
        { "xyz:1", NULL },
        { "tcp:", NULL },
        { "tcp:127.0.0.1", "error parsing address '127.0.0.1'" },
        { "tcp:[::1:4444", NULL },
        { "unix:", "invalid Unix socket address" },
        { "vsock:7", NULL },
        { "fd:no-such-name", "no-such-name" },
    };
    static const struct {
        const char *uri;
        const char *error;
    } file_cases[] = {
        { "file:/tmp/x,offset=0x20M", "bad offset" },
        { "file:/tmp/x,offset=-1", "bad offset" },
        { "file:/tmp/x,offset=", "bad offset" },
        { "file:/nonexistent/x", "/nonexistent/x" },
        { "file:", NULL },
        { "exec:", NULL },
        { "fd:9999", NULL },
    };
    MigratePair p = migrate_pair_start(NULL, NULL);
    bool recent = qtest_version(p.src) >= 802 && qtest_version(p.dst) >= 802;

    for (size_t i = 0; i < G_N_ELEMENTS(cases) + (recent ? G_N_ELEMENTS(file_cases) : 0); i++) {
        bool file = i >= G_N_ELEMENTS(cases);
        const char *uri = file ? file_cases[i - G_N_ELEMENTS(cases)].uri : cases[i].uri;
        const char *error = file ? file_cases[i - G_N_ELEMENTS(cases)].error : cases[i].error;

        for (int side = 0; side < 2; side++) {
            QTestState *s = side ? p.dst : p.src;
            char *desc = qtest_qmp_assert_failure(s, "{'execute': %s, 'arguments': {'uri': %s}}",
                                                  side ? "migrate-incoming" : "migrate", uri);

            g_test_message("'%s': %s", uri, desc);
            assert_text_has(desc, error ? error : "");
        }
    }
    assert_run_state(p.src, "running");
    assert_run_state(p.dst, "inmigrate");
    if (recent) {
        /* Nothing of it stuck: -incoming still works. */
        g_autofree char *uri = migrate_listen_tcp(p.dst);

        migrate(p.src, uri);
        migrate_wait_done(&p);
    }
    migrate_pair_end(&p);
}

static void test_bad_arguments(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    static const char *const bad[] = {
        "{'execute': 'migrate'}",
        "{'execute': 'migrate', 'arguments': {'uri': 5}}",
        "{'execute': 'migrate', 'arguments': {'uri': 'tcp:1:2', 'unknown': 1}}",
        "{'execute': 'migrate', 'arguments': {'channels': []}}",
        "{'execute': 'migrate', 'arguments': {'channels': [{'channel-type': 'main'}]}}",
        "{'execute': 'migrate', 'arguments': {'channels': [{'channel-type': 'x', 'addr': "
        "{'transport': 'file', 'filename': 'x', 'offset': 0}}]}}",
        "{'execute': 'migrate', 'arguments': {'channels': [{'channel-type': 'main', 'addr': "
        "{'transport': 'exec', 'args': []}}]}}",
        "{'execute': 'migrate', 'arguments': {'uri': 'tcp:1:2', 'channels': [{'channel-type': "
        "'main', 'addr': {'transport': 'file', 'filename': 'x', 'offset': 0}}]}}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_free(qtest_qmp_assert_failure(p.src, bad[i]));
    }
    assert_text_has(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate', 'arguments': "
                    "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', "
                    "'filename': 'x', 'offset': 0}}, {'channel-type': 'main', 'addr': "
                    "{'transport': 'file', 'filename': 'x', 'offset': 0}}]}}"),
                    "more than one main entry");
    assert_run_state(p.src, "running");
    migrate_pair_end(&p);
}

/* Commands on the wrong side or at the wrong time. */
static void test_wrong_time(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    assert_text_has(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate-incoming',"
                    " 'arguments': {'uri': 'tcp:127.0.0.1:0'}}"), "incoming");
    g_free(qtest_qmp_assert_failure(p.dst, "{'execute': 'migrate',"
                                    " 'arguments': {'uri': 'tcp:127.0.0.1:1'}}"));
    assert_text_has(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate-continue',"
                    " 'arguments': {'state': 'pre-switchover'}}"), "");
    uri = migrate_listen_tcp(p.dst);
    g_free(qtest_qmp_assert_failure(p.dst, "{'execute': 'migrate-incoming',"
                                    " 'arguments': {'uri': 'tcp:127.0.0.1:0'}}"));

    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", MIB);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    assert_text_has(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate',"
                    " 'arguments': {'uri': 'tcp:127.0.0.1:1'}}"), "migration");
    g_free(qtest_qmp_assert_failure(p.src, "{'execute': 'migrate-set-capabilities', 'arguments':"
                                    " {'capabilities': [{'capability': 'events',"
                                    " 'state': true}]}}"));
    migrate_set_int(p.src, "max-bandwidth", 1024 * MIB);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* --- the destination is told nonsense --- */

static void connect_and_send(QTestState *dst, const void *data, size_t size)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    json_object *info = migrate_query(dst);

    sa.sin_port = htons(atoi(qtest_get_str(info, "socket-address/0/port")));
    json_object_put(info);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
    g_assert_cmpint(send(fd, data, size, MSG_NOSIGNAL), ==, size);
    close(fd);
}

static const struct {
    const char *data;
    size_t size;
    const char *error;
} garbage[] = {
    { "GET / HTTP/1.0\r\n\r\n", 18, "" },
    { "QEVM\0\0\0\2", 8, "" },
    { "QEVM\0\0\0\7", 8, "" },
    { "QEVM\0\0\0\3\x55", 9, "" },
    { "QEVM\0\0\0\3\7\xff\xff\xff\xff", 13, "" },
    { "QEVM\0\0\0\3", 8, "" },
    { "Q", 1, "" },
};

/* A length that some release takes for the size of an allocation. */
static bool is_fatal_to(QTestState *s, size_t i)
{
    return qtest_version(s) < 1000 && garbage[i].size == 13;
}

static void test_garbage(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(garbage); i++) {
        QTestState *dst = migrate_start_destination(NULL);
        g_autofree char *errors = NULL;

        if (is_fatal_to(dst, i)) {
            qtest_quit(dst);
            continue;
        }
        g_free(migrate_listen_tcp(dst));
        connect_and_send(dst, garbage[i].data, garbage[i].size);
        qtest_set_expected_status(dst, 1);
        qtest_wait_qemu(dst);
        errors = qtest_stderr(dst);
        g_assert_cmpstr(errors, !=, "");
        qtest_quit(dst);
    }
}

static void test_exit_on_error_off(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(garbage); i++) {
        QTestState *dst = migrate_start_destination(NULL);

        qtest_qmp_assert_success(dst, "{'execute': 'migrate-incoming', 'arguments': {"
                                 "'uri': 'tcp:127.0.0.1:0', 'exit-on-error': false}}");
        connect_and_send(dst, garbage[i].data, garbage[i].size);
        g_free(migrate_wait_failed(dst));
        g_assert_true(qtest_probe_child(dst));
        qtest_quit(dst);
    }
}

/* --- machines that do not match --- */

/* @src sends to a destination that refuses, saying @error on standard error. */
static void check_mismatch(QTestState *src, QTestState *dst, const char *error)
{
    g_autofree char *uri = migrate_listen_tcp(dst);

    ram_fill(src);
    /* Longer than any socket's buffer: the source cannot be done before the other has gone. */
    migrate(src, uri);
    qtest_set_expected_status(dst, 1);
    qtest_wait_qemu(dst);
    assert_text_has(qtest_stderr(dst), error);
    g_free(migrate_wait_failed(src));
    wait_run_state(src, "running");
    qtest_quit(src);
    qtest_quit(dst);
}

static void test_ram_size(void)
{
    QTestState *src = migrate_start_source(NULL);
    QTestState *dst = migrate_start_destination("-m 25M");

    check_mismatch(src, dst, "0x1800000");
}

static void test_ram_size_smaller(void)
{
    QTestState *src = migrate_start_source(NULL);
    QTestState *dst = migrate_start_destination("-m 16M");

    check_mismatch(src, dst, "0x1800000");
}

static void test_machine_type(void)
{
    QTestState *src = migrate_start_source(NULL);
    QTestState *dst = migrate_start_destination("-M microvm");

    check_mismatch(src, dst, "Machine type received is 'none' and local is 'microvm'");
}

static void test_uuid_mismatch(void)
{
    QTestState *src = migrate_start_source("-uuid 11111111-1111-1111-1111-111111111111");
    QTestState *dst = migrate_start_destination("-uuid 22222222-2222-2222-2222-222222222222");

    migrate_set_capability(src, "validate-uuid", true);
    migrate_set_capability(dst, "validate-uuid", true);
    check_mismatch(src, dst, "11111111-1111-1111-1111-111111111111");
}

/* Equal ones, or nobody asks, or only one side has one. */
static void check_uuid(const char *src_args, const char *dst_args, bool validate)
{
    MigratePair p = migrate_pair_start(src_args, dst_args);
    g_autofree char *uri = NULL;

    if (validate) {
        migrate_set_capability(p.src, "validate-uuid", true);
        migrate_set_capability(p.dst, "validate-uuid", true);
    }
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_uuid_equal(void)
{
    check_uuid("-uuid 11111111-1111-1111-1111-111111111111",
               "-uuid 11111111-1111-1111-1111-111111111111", true);
}

static void test_uuid_ignored(void)
{
    check_uuid("-uuid 11111111-1111-1111-1111-111111111111",
               "-uuid 22222222-2222-2222-2222-222222222222", false);
}

static void test_uuid_one_side(void)
{
    check_uuid("-uuid 11111111-1111-1111-1111-111111111111", NULL, false);
    check_uuid(NULL, "-uuid 22222222-2222-2222-2222-222222222222", false);
}

/* The name is for people; it takes no part. */
static void test_name(void)
{
    check_uuid("-name one", "-name other", false);
}

/* The peer is killed in the middle. */
static void test_peer_dies(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", MIB);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    qtest_quit(p.dst);
    g_free(migrate_wait_failed(p.src));
    wait_run_state(p.src, "running");

    /* And once more, to one that lives. */
    p.dst = migrate_start_destination(NULL);
    g_free(uri);
    uri = migrate_listen_tcp(p.dst);
    migrate_set_int(p.src, "max-bandwidth", 1024 * MIB);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* --- the command line --- */

static void test_command_line(void)
{
    static const struct {
        const char *args;
        const char *error;
    } cases[] = {
        { "-M none -incoming nonsense", "" },
        { "-M none -incoming tcp:127.0.0.1", "127.0.0.1" },
        { "-M none -incoming unix:/nonexistent/dir/sock", "/nonexistent/dir/sock" },
        { "-M none -incoming 'exec:exit 1'", "" },
        { "-M none -incoming fd:987", "" },
    };
    QTestState *s = migrate_start_destination(NULL);
    /* 7.2 waits for ever for what ends without a word. */
    size_t n = G_N_ELEMENTS(cases) - (qtest_version(s) < 1000 ? 2 : 0);

    qtest_quit(s);
    for (size_t i = 0; i < n; i++) {
        g_autofree char *errors = NULL;
        g_autofree char *args = g_strdup_printf(
            "%s -display none -nodefaults -accel %s", cases[i].args,
            qtest_has_accel("QTEST_QEMU_BINARY_DST") ? "qtest" : "tcg");
        int status = qtest_run("QTEST_QEMU_BINARY_DST", args, &errors);

        g_test_message("%s: %s", cases[i].args, errors);
        g_assert_cmphex(status, ==, 1 << 8);
        assert_text_has(g_strdup(errors), cases[i].error);
        g_assert_cmpstr(errors, !=, "");
    }
}

void add_error_tests(void)
{
    g_test_add_func("/migration/error/refused", test_refused);
    g_test_add_func("/migration/error/bad-uri", test_bad_uri);
    migrate_add_test_since(802, "/migration/error/bad-arguments", test_bad_arguments);
    g_test_add_func("/migration/error/wrong-time", test_wrong_time);
    g_test_add_func("/migration/error/garbage", test_garbage);
    migrate_add_test_since(901, "/migration/error/exit-on-error-off", test_exit_on_error_off);
    g_test_add_func("/migration/error/ram-size", test_ram_size);
    g_test_add_func("/migration/error/ram-size-smaller", test_ram_size_smaller);
    g_test_add_func("/migration/error/machine-type", test_machine_type);
    g_test_add_func("/migration/error/uuid", test_uuid_mismatch);
    g_test_add_func("/migration/error/peer-dies", test_peer_dies);
    g_test_add_func("/migration/error/command-line", test_command_line);
    g_test_add_func("/migration/uuid/equal", test_uuid_equal);
    g_test_add_func("/migration/uuid/ignored", test_uuid_ignored);
    g_test_add_func("/migration/uuid/one-side", test_uuid_one_side);
    g_test_add_func("/migration/name", test_name);
}
