/*
 * Migration of a machine's memory over every transport, in the URI and the channels form.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static bool can_bind(int family, const void *addr, size_t size)
{
    int fd = socket(family, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, addr, size) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* query-migrate after the fact: everything that clients read is there and plausible. */
static void check_info(QTestState *src)
{
    static const char *const members[] = {
        "ram/duplicate", "ram/normal", "ram/normal-bytes", "ram/dirty-pages-rate",
        "ram/dirty-sync-count", "ram/page-size", "ram/multifd-bytes", "ram/pages-per-second",
        "ram/precopy-bytes", "ram/downtime-bytes", "ram/postcopy-bytes", "ram/postcopy-requests",
        "ram/dirty-sync-missed-zero-copy", "setup-time", "total-time", "downtime",
    };
    json_object *info = migrate_query(src);
    int64_t pages;

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        g_assert_cmpint(qtest_get_int(info, members[i]), >=, 0);
    }
    g_assert_cmpint(qtest_get_int(info, "ram/remaining"), ==, 0);
    g_assert_cmpint(qtest_get_int(info, "ram/total"), >=, RAM_SIZE);
    g_assert_cmpint(qtest_get_int(info, "ram/page-size"), ==, 4096);
    g_assert_cmpint(qtest_get_int(info, "ram/transferred"), >, RAM_SIZE / 5);
    pages = qtest_get_int(info, "ram/duplicate") + qtest_get_int(info, "ram/normal");
    g_assert_cmpint(pages, >=, RAM_SIZE / 4096);
    g_assert_cmpint(qtest_get_int(info, "ram/normal-bytes"), ==,
                    qtest_get_int(info, "ram/normal") * 4096);
    g_assert_nonnull(qtest_get(info, "ram/mbps"));
    json_object_put(info);
}

static void check_migrates(const char *listen, const char *connect)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate_incoming(p.dst, listen);
    uri = connect ? g_strdup(connect) : migrate_listen_uri(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    check_info(p.src);
    migrate_pair_end(&p);
}

static void test_tcp(void)
{
    check_migrates("tcp:127.0.0.1:0", NULL);
}

static void test_tcp6(void)
{
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

    if (!can_bind(AF_INET6, &sa, sizeof(sa))) {
        g_test_skip("this machine has no IPv6 loopback");
        return;
    }
    check_migrates("tcp:[::1]:0", NULL);
}

static void test_unix(void)
{
    g_autofree char *path = qtest_tmpfile("transport.sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);

    check_migrates(uri, uri);
    unlink(path);
}

static void test_vsock(void)
{
    struct sockaddr_vm svm = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL,
                               .svm_port = VMADDR_PORT_ANY };

    if (!can_bind(AF_VSOCK, &svm, sizeof(svm))) {
        g_test_skip("this machine has no vsock loopback (module vsock_loopback)");
        return;
    }
    check_migrates("vsock:1:41799", "vsock:1:41799");
}

/* The command line names the address. */
static void test_incoming_option(void)
{
    g_autofree char *path = qtest_tmpfile("option.sock");
    g_autofree char *args = g_strdup_printf("-incoming unix:%s", path);
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    MigratePair p = migrate_pair_start(NULL, args);

    ram_fill(p.src);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
    unlink(path);
}

/* The port is chosen by the system, and told. */
static void test_incoming_option_tcp(void)
{
    MigratePair p = migrate_pair_start(NULL, "-incoming tcp:127.0.0.1:0");
    g_autofree char *uri = migrate_listen_uri(p.dst);

    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* The second listener finds the first port taken, and takes another from the range. */
static void test_port_range(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *range = NULL;
    g_autofree char *uri = NULL;
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port;

    g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&sa, &len), ==, 0);
    port = ntohs(sa.sin_port);
    range = g_strdup_printf("tcp:127.0.0.1:%d,to=%d", port, MIN(port + 40, 65535));
    migrate_incoming(p.dst, range);
    uri = migrate_listen_uri(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
    close(fd);
}

static void give_fd(QTestState *s, int fd, const char *name)
{
    qtest_qmp_fds_assert_success(s, &fd, 1, "{'execute': 'getfd', 'arguments': {'fdname': %s}}",
                                 name);
    close(fd);
}

static void check_fd(int src_fd, int dst_fd)
{
    MigratePair p = migrate_pair_start(NULL, NULL);

    ram_fill(p.src);
    give_fd(p.dst, dst_fd, "fd-mig");
    migrate_incoming(p.dst, "fd:fd-mig");
    give_fd(p.src, src_fd, "fd-mig");
    migrate(p.src, "fd:fd-mig");
    migrate_wait_done(&p);

    /* The names are used up. */
    assert_text_has(qtest_qmp_assert_failure(p.src, "{'execute': 'closefd',"
                                             " 'arguments': {'fdname': 'fd-mig'}}"),
                    "File descriptor named 'fd-mig' not found");
    assert_text_has(qtest_qmp_assert_failure(p.dst, "{'execute': 'closefd',"
                                             " 'arguments': {'fdname': 'fd-mig'}}"),
                    "File descriptor named 'fd-mig' not found");
    migrate_pair_end(&p);
}

static void test_fd_socket(void)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    check_fd(fds[0], fds[1]);
}

static void test_fd_pipe(void)
{
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    check_fd(fds[1], fds[0]);
}

static void test_fd_nonblocking(void)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                    0);
    check_fd(fds[0], fds[1]);
}

static void test_exec(void)
{
    g_autofree char *path = qtest_tmpfile("exec.stream");
    g_autofree char *out = g_strdup_printf("exec:cat > %s", path);
    g_autofree char *in = g_strdup_printf("exec:cat %s", path);
    MigratePair p = migrate_pair_start(NULL, NULL);

    ram_fill(p.src);
    migrate(p.src, out);
    migrate_wait(p.src, "completed");
    migrate_incoming(p.dst, in);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
    unlink(path);
}

/* The command's own failure is the migration's. */
static void test_exec_fails(void)
{
    QTestState *src = migrate_start_source(NULL);

    ram_fill(src);
    migrate(src, "exec:exit 3");
    g_free(migrate_wait_failed(src));
    wait_run_state(src, "running");
    qtest_quit(src);
}

/* A command may do more with the stream than read it: it is not ended before it has. */
static void test_exec_slow(void)
{
    g_autofree char *path = qtest_tmpfile("exec-slow.stream");
    g_autofree char *out = g_strdup_printf("exec:cat > %s.part; sleep 0.3; mv %s.part %s", path,
                                           path, path);
    QTestState *src = migrate_start_source(NULL);

    ram_fill(src);
    migrate(src, out);
    migrate_wait(src, "completed");
    g_assert_cmpint(access(path, F_OK), ==, 0);
    qtest_quit(src);
    unlink(path);
}

/*
 * It took everything and then failed: whether somebody has the guest is unknown, so it stays
 * stopped until the user decides.
 */
static void test_exec_fails_late(void)
{
    QTestState *src = migrate_start_source(NULL);

    ram_fill(src);
    migrate(src, "exec:cat > /dev/null; exit 3");
    assert_text_has(migrate_wait_failed(src), "status 3; the destination has the whole stream");
    wait_run_state(src, "postmigrate");
    qtest_qmp_assert_success(src, "{'execute': 'cont'}");
    wait_run_state(src, "running");
    qtest_quit(src);
}

static void check_file(const char *name, uint64_t offset, const char *option)
{
    static const char header[] = "a header of the management program";
    g_autofree char *path = qtest_tmpfile("%s", name);
    g_autofree char *uri = g_strdup_printf("file:%s%s", path, option);
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *content = NULL;
    gsize size;

    if (offset) {
        /* What is there is longer than the stream will be: its end must not stay. */
        g_assert_true(g_file_set_contents(path, header, sizeof(header), NULL));
        g_assert_cmpint(truncate(path, 2 * RAM_SIZE), ==, 0);
    }
    ram_fill(p.src);
    migrate(p.src, uri);
    migrate_wait(p.src, "completed");
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    g_assert_cmpuint(size, >, offset + 100);
    g_assert_cmpuint(size, <, offset + RAM_SIZE);
    g_assert_cmpint(memcmp(content + offset, "QEVM\0\0\0\3", 8), ==, 0);
    if (offset) {
        g_assert_cmpint(memcmp(content, header, sizeof(header)), ==, 0);
    }
    migrate_incoming(p.dst, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
    unlink(path);
}

static void test_file(void)
{
    check_file("file.stream", 0, "");
}

static void test_file_offset(void)
{
    check_file("file-offset.stream", 0x1000, ",offset=0x1000");
}

static void test_file_fdset(void)
{
    g_autofree char *path = qtest_tmpfile("fdset.stream");
    MigratePair p = migrate_pair_start(NULL, NULL);
    int fd;
    json_object *sets;

    ram_fill(p.src);
    /* The access mode of a member has to be the one that is asked for. */
    for (int i = 0; i < 2; i++) {
        fd = open(path, (i ? O_RDONLY : O_CREAT | O_WRONLY) | O_CLOEXEC, 0600);
        qtest_qmp_fds_assert_success(i ? p.dst : p.src, &fd, 1, "{'execute': 'add-fd',"
                                     " 'arguments': {'fdset-id': 1}}");
        close(fd);
    }
    migrate(p.src, "file:/dev/fdset/1,offset=4096");
    migrate_wait(p.src, "completed");
    migrate_incoming(p.dst, "file:/dev/fdset/1,offset=4096");
    migrate_wait_done(&p);
    for (int i = 0; i < 2; i++) {
        QTestState *s = i ? p.dst : p.src;

        qtest_qmp_assert_success(s, "{'execute': 'remove-fd', 'arguments': {'fdset-id': 1}}");
        sets = qtest_qmp_assert_success_ref(s, "{'execute': 'query-fdsets'}");
        g_assert_cmpuint(json_object_array_length(sets), ==, 0);
        json_object_put(sets);
    }
    migrate_pair_end(&p);
    unlink(path);
}

/* --- channels instead of a URI --- */

static void check_channels(json_object *listen, json_object *connect)
{
    MigratePair p = migrate_pair_start(NULL, NULL);

    ram_fill(p.src);
    if (connect) {
        /* By way of a file: the one has to be done before the other begins. */
        qtest_qmp_assert_success(p.src, "{'execute': 'migrate', 'arguments': {'channels': "
                                 "[{'channel-type': 'main', 'addr': %p}]}}", connect);
        migrate_wait(p.src, "completed");
    }
    qtest_qmp_assert_success(p.dst, "{'execute': 'migrate-incoming', 'arguments': {'channels': "
                             "[{'channel-type': 'main', 'addr': %p}]}}", listen);
    if (!connect) {
        json_object *info = migrate_query(p.dst);
        json_object *addr = json_object_get(qtest_get(info, "socket-address/0"));

        json_object_object_add(addr, "transport", json_object_new_string("socket"));
        json_object_put(info);
        qtest_qmp_assert_success(p.src, "{'execute': 'migrate', 'arguments': {'channels': "
                                 "[{'channel-type': 'main', 'addr': %p}]}}", addr);
    }
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_channels_tcp(void)
{
    check_channels(qtest_json("{'transport': 'socket', 'type': 'inet', 'host': '127.0.0.1',"
                              " 'port': '0'}"), NULL);
}

static void test_channels_unix(void)
{
    g_autofree char *path = qtest_tmpfile("channels.sock");

    check_channels(qtest_json("{'transport': 'socket', 'type': 'unix', 'path': %s}", path), NULL);
    unlink(path);
}

static void test_channels_exec(void)
{
    g_autofree char *path = qtest_tmpfile("channels.stream");
    g_autofree char *out = g_strdup_printf("of=%s", path);
    g_autofree char *in = g_strdup_printf("if=%s", path);
    g_autofree char *dd = g_find_program_in_path("dd"); /* QEMU does not look for it */

    check_channels(qtest_json("{'transport': 'exec', 'args': [%s, 'bs=64k', %s]}", dd, in),
                   qtest_json("{'transport': 'exec', 'args': [%s, 'bs=64k', %s]}", dd, out));
    unlink(path);
}

static void test_channels_file(void)
{
    g_autofree char *path = qtest_tmpfile("channels.stream");

    check_channels(qtest_json("{'transport': 'file', 'filename': %s, 'offset': 8192}", path),
                   qtest_json("{'transport': 'file', 'filename': %s, 'offset': 8192}", path));
    unlink(path);
}

/* --- several in a row --- */

/* There and back again, and on. */
static void test_hops(void)
{
    QTestState *machine = migrate_start_source(NULL);

    ram_fill(machine);
    for (int i = 0; i < 4; i++) {
        MigratePair p = { machine, migrate_start_destination(NULL) };
        g_autofree char *uri = i & 1 ? migrate_listen_unix(p.dst) : migrate_listen_tcp(p.dst);
        uint64_t mark = 0x1234567812345678 + i;

        migrate(p.src, uri);
        migrate_wait_done(&p);
        ram_write(p.dst, 8 * i, &mark, 8);
        qtest_quit(p.src);
        machine = p.dst;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t mark;

        ram_read(machine, 8 * i, &mark, 8);
        g_assert_cmphex(mark, ==, i + 0x1234567812345678);
    }
    qtest_quit(machine);
}

/* One source, saved twice: the first copy is not disturbed by what happens after it. */
static void test_twice(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *path = qtest_tmpfile("twice.stream");
    g_autofree char *out = g_strdup_printf("exec:cat > %s", path);
    g_autofree char *uri = NULL;

    ram_fill(p.src);
    migrate(p.src, out);
    migrate_wait(p.src, "completed");
    assert_run_state(p.src, "postmigrate");
    qtest_qmp_assert_success(p.src, "{'execute': 'cont'}");
    assert_run_state(p.src, "running");
    ram_set(p.src, 5 * MIB, 0x5a, MIB);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    /* The status of the first is not taken for that of the second. */
    wait_run_state(p.dst, "running");
    migrate_wait_done(&p);
    migrate_pair_end(&p);
    unlink(path);
}

static void test_return_path(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    migrate_set_capability(p.src, "return-path", true);
    migrate_set_capability(p.dst, "return-path", true);
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

void add_transport_tests(void)
{
    g_test_add_func("/migration/transport/tcp", test_tcp);
    g_test_add_func("/migration/transport/tcp6", test_tcp6);
    g_test_add_func("/migration/transport/unix", test_unix);
    g_test_add_func("/migration/transport/vsock", test_vsock);
    g_test_add_func("/migration/transport/incoming-option", test_incoming_option);
    g_test_add_func("/migration/transport/incoming-option-tcp", test_incoming_option_tcp);
    g_test_add_func("/migration/transport/port-range", test_port_range);
    g_test_add_func("/migration/transport/fd/socket", test_fd_socket);
    g_test_add_func("/migration/transport/fd/pipe", test_fd_pipe);
    g_test_add_func("/migration/transport/fd/nonblocking", test_fd_nonblocking);
    g_test_add_func("/migration/transport/exec", test_exec);
    g_test_add_func("/migration/transport/exec/fails", test_exec_fails);
    migrate_add_test_since(1000, "/migration/transport/exec/slow", test_exec_slow);
    migrate_add_test_since(1000, "/migration/transport/exec/fails-late", test_exec_fails_late);
    migrate_add_test_since(802, "/migration/transport/file", test_file);
    migrate_add_test_since(802, "/migration/transport/file/offset", test_file_offset);
    migrate_add_test_since(802, "/migration/transport/file/fdset", test_file_fdset);
    migrate_add_test_since(802, "/migration/channels/tcp", test_channels_tcp);
    migrate_add_test_since(802, "/migration/channels/unix", test_channels_unix);
    migrate_add_test_since(802, "/migration/channels/exec", test_channels_exec);
    migrate_add_test_since(802, "/migration/channels/file", test_channels_file);
    g_test_add_func("/migration/hops", test_hops);
    g_test_add_func("/migration/twice", test_twice);
    g_test_add_func("/migration/return-path", test_return_path);
}
