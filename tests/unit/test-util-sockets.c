/*
 * Socket addresses: parsing, formatting, listening and connecting.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io-helpers.h"
#include "qemu/module.h"
#include "qemu/sockets.h"
#include "qemu/fd-registry.h"
#include "qapi/qapi-visit-sockets.h"
#include <linux/vm_sockets.h>

static char *dir;

static InetSocketAddress *parse_inet(const char *text)
{
    InetSocketAddress *addr = g_new0(InetSocketAddress, 1);

    g_assert_cmpint(inet_parse(addr, text, &error_abort), ==, 0);
    return addr;
}

static void test_inet_parse(void)
{
    g_autoptr(InetSocketAddress) a = parse_inet("host.example:4444");
    g_autoptr(InetSocketAddress) b = parse_inet("[fe80::1%eth0]:ssh,to=30,ipv4=off,ipv6");
    g_autoptr(InetSocketAddress) c = parse_inet(":0,keep-alive,numeric=on");

    g_assert_cmpstr(a->host, ==, "host.example");
    g_assert_cmpstr(a->port, ==, "4444");
    g_assert_false(a->has_to || a->has_ipv4 || a->has_ipv6 || a->has_keep_alive);

    g_assert_cmpstr(b->host, ==, "fe80::1%eth0");
    g_assert_cmpstr(b->port, ==, "ssh");
    g_assert_true(b->has_to && b->to == 30);
    g_assert_true(b->has_ipv4 && !b->ipv4 && b->has_ipv6 && b->ipv6);

    g_assert_cmpstr(c->host, ==, "");
    g_assert_cmpstr(c->port, ==, "0");
    g_assert_true(c->has_keep_alive && c->keep_alive && c->has_numeric && c->numeric);
}

static void test_inet_parse_bad(void)
{
    static const char *bad[] = {
        "", "host", "host:", "[::1]", "[::1:80", "[]:80", "[::1]80", "1:2:3", "h:1,to=", "h:1,to=x",
        "h:1,to=65536", "h:1,to=-1", "h:1,ipv4=maybe", "h:1,ipv6=", "h:1,what", "h:1,",
        "h:1,keep-alive=2", ",ipv4",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        InetSocketAddress addr;
        Error *err = NULL;

        g_assert_cmpint(inet_parse(&addr, bad[i], &err), ==, -1);
        g_assert_nonnull(err);
        g_assert_null(addr.host);
        error_free(err);
    }
}

static void test_inet_parse_long(void)
{
    g_autofree char *text = g_malloc(100001);
    InetSocketAddress addr;
    Error *err = NULL;

    memset(text, 'a', 100000);
    memcpy(text + 99998, ":1", 3);
    g_assert_cmpint(inet_parse(&addr, text, &err), ==, -1);
    test_expect_error(&err, "too long");
}

static void test_family(void)
{
    static const struct {
        const char *options;
        int family;
    } cases[] = {
        { "", AF_UNSPEC }, { ",ipv4", AF_INET }, { ",ipv6", AF_INET6 },
        { ",ipv4,ipv6", AF_UNSPEC }, { ",ipv4=off", AF_INET6 }, { ",ipv6=off", AF_INET },
        { ",ipv4=off,ipv6", AF_INET6 }, { ",ipv4,ipv6=off", AF_INET },
        { ",ipv4=off,ipv6=off", -1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *text = g_strconcat("h:1", cases[i].options, NULL);
        g_autoptr(InetSocketAddress) addr = parse_inet(text);
        Error *err = NULL;

        g_assert_cmpint(inet_ai_family_from_address(addr, &err), ==, cases[i].family);
        if (cases[i].family == -1) {
            test_expect_error(&err, "Cannot disable IPv4 and IPv6");
        }
    }
}

static void test_socket_parse(void)
{
    static const char *same[] = {
        "tcp:host:80", "tcp:[::1]:80", "unix:/a/b,c=d", "vsock:3:1234", "fd:7", "fd:name",
    };
    static const char *bad[] = { "unix:", "fd:", "vsock:3", "vsock::1", "vsock:1:2:3", "tcp:x", "x" };
    g_autoptr(SocketAddress) plain = socket_parse("host:80", &error_abort);

    g_assert_cmpint(plain->type, ==, SOCKET_ADDRESS_TYPE_INET);
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        g_autoptr(SocketAddress) addr = socket_parse(same[i], &error_abort);
        g_autofree char *text = socket_address_to_string(addr);

        g_assert_cmpstr(text, ==, same[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        g_assert_null(socket_parse(bad[i], &err));
        g_assert_nonnull(err);
        error_free(err);
    }
}

static SocketAddress *parse(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static SocketAddress *parse(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return socket_parse(text, &error_abort);
}

/* Listen on @addr, connect to where that is, see that both ends agree. */
static void check_connects(SocketAddress *addr)
{
    int lfd = socket_listen(addr, 1, &error_abort);
    g_autoptr(SocketAddress) local = socket_local_address(lfd, &error_abort);
    int cfd = socket_connect(local, &error_abort);
    int afd = qemu_accept(lfd, NULL, NULL);
    char c = 0;

    g_assert_cmpint(afd, >=, 0);
    g_assert_true(fcntl(afd, F_GETFD) & FD_CLOEXEC);
    g_assert_true(fcntl(cfd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(write(cfd, "x", 1), ==, 1);
    g_assert_cmpint(read(afd, &c, 1), ==, 1);
    g_assert_cmpint(c, ==, 'x');
    if (local->type == SOCKET_ADDRESS_TYPE_INET) {
        g_autoptr(SocketAddress) here = socket_local_address(cfd, &error_abort);
        g_autoptr(SocketAddress) there = socket_remote_address(afd, &error_abort);

        g_assert_cmpstr(here->u.inet.port, ==, there->u.inet.port);
    }
    socket_listen_cleanup(lfd, &error_abort);
    close(lfd);
    close(cfd);
    close(afd);
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void test_tcp4(void)
{
    g_autoptr(SocketAddress) addr = parse("tcp:127.0.0.1:0,keep-alive=on");

    check_connects(addr);
}

static void test_tcp6(void)
{
    g_autoptr(SocketAddress) addr = parse("tcp:[::1]:0");

    if (!have_ipv6()) {
        g_test_skip("this machine has no IPv6 loopback");
        return;
    }
    check_connects(addr);
}

/* The IPv6 wildcard serves IPv4 clients unless told otherwise. */
static void test_wildcard(void)
{
    static const struct {
        const char *listen;
        bool ipv4;
    } cases[] = {
        { "tcp::0", true }, { "tcp:[::]:0", true }, { "tcp:[::]:0,ipv4=off", false },
        { "tcp::0,ipv6", false },
    };

    if (!have_ipv6()) {
        g_test_skip("this machine has no IPv6 loopback");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(SocketAddress) addr = parse("%s", cases[i].listen);
        g_autoptr(SocketAddress) local = NULL;
        g_autoptr(SocketAddress) to = NULL;
        int lfd = socket_listen(addr, 1, &error_abort);
        int fd;

        local = socket_local_address(lfd, &error_abort);
        to = parse("tcp:127.0.0.1:%s", local->u.inet.port);
        fd = socket_connect(to, NULL);
        g_assert_cmpint(fd >= 0, ==, cases[i].ipv4);
        if (fd >= 0) {
            close(fd);
        }
        close(lfd);
    }
}

static void test_port_range(void)
{
    g_autoptr(SocketAddress) any = parse("tcp:127.0.0.1:0");
    int first = socket_listen(any, 1, &error_abort);
    g_autoptr(SocketAddress) taken = socket_local_address(first, &error_abort);
    int port = atoi(taken->u.inet.port);
    int top = MIN(port + 50, 65535);
    g_autoptr(SocketAddress) range = parse("tcp:127.0.0.1:%d,to=%d", port, top);
    g_autoptr(SocketAddress) only = parse("tcp:127.0.0.1:%d,to=%d", port, port);
    g_autoptr(SocketAddress) single = parse("tcp:127.0.0.1:%d", port);
    g_autoptr(SocketAddress) backwards = parse("tcp:127.0.0.1:%d,to=%d", port, port - 1);
    g_autoptr(SocketAddress) got = NULL;
    Error *err = NULL;
    int second;

    second = socket_listen(range, 1, &error_abort);
    got = socket_local_address(second, &error_abort);
    g_assert_cmpint(atoi(got->u.inet.port), >, port);
    g_assert_cmpint(atoi(got->u.inet.port), <=, top);

    g_assert_cmpint(socket_listen(only, 1, &err), ==, -1);
    test_expect_error(&err, "in use");
    g_assert_cmpint(socket_listen(single, 1, &err), ==, -1);
    test_expect_error(&err, "in use");
    g_assert_cmpint(socket_listen(backwards, 1, &err), ==, -1);
    test_expect_error(&err, "range");
    close(first);
    close(second);
}

static void test_unix(void)
{
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    g_autoptr(SocketAddress) addr = parse("unix:%s", path);
    Error *err = NULL;
    int fd;

    check_connects(addr);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));

    /* A socket that a dead process left behind is replaced, */
    fd = unix_listen(path, &error_abort);
    close(fd);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(unix_connect(path, &err), ==, -1);
    test_expect_error(&err, "Connection refused");
    check_connects(addr);

    /* a file of the user's is not. */
    g_assert_true(g_file_set_contents(path, "mine", 4, NULL));
    g_assert_cmpint(unix_listen(path, &err), ==, -1);
    test_expect_error(&err, path);
    unlink(path);
}

static void test_unix_abstract(void)
{
    for (int tight = 0; tight < 2; tight++) {
        g_autoptr(SocketAddress) addr = g_new0(SocketAddress, 1);

        addr->type = SOCKET_ADDRESS_TYPE_UNIX;
        addr->u.q_unix.path = g_strdup_printf("godwit-test-%d-%d", getpid(), tight);
        addr->u.q_unix.has_abstract = addr->u.q_unix.abstract = true;
        addr->u.q_unix.has_tight = true;
        addr->u.q_unix.tight = tight;
        check_connects(addr);
        g_assert_false(g_file_test(addr->u.q_unix.path, G_FILE_TEST_EXISTS));
    }
}

static void test_unix_bad(void)
{
    char path[200];
    Error *err = NULL;

    g_assert_cmpint(unix_connect("/nonexistent/sock", &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Failed to connect to '/nonexistent/sock': No such file or directory");
    error_free(err);
    err = NULL;

    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    g_assert_cmpint(unix_listen(path, &err), ==, -1);
    test_expect_error(&err, "is too long");
    path[108] = '\0'; /* exactly what fits */
    g_assert_cmpint(unix_connect(path, &err), ==, -1);
    test_expect_error(&err, "No such file");
    g_assert_cmpint(unix_connect("", &err), ==, -1);
    test_expect_error(&err, "empty");
}

static void test_refused(void)
{
    g_autoptr(SocketAddress) any = parse("tcp:127.0.0.1:0");
    int fd = socket_listen(any, 1, &error_abort);
    g_autoptr(SocketAddress) gone = socket_local_address(fd, &error_abort);
    g_autofree char *expect = NULL;
    Error *err = NULL;

    close(fd);
    expect = g_strdup_printf("Failed to connect to '127.0.0.1:%s': Connection refused",
                             gone->u.inet.port);
    g_assert_cmpint(socket_connect(gone, &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==, expect);
    error_free(err);
}

static void test_resolution(void)
{
    static const char *bad[] = {
        "tcp:no.such.host.invalid:1", "tcp:127.0.0.1:70000", "tcp:127.0.0.1:1x", "tcp:name:1,numeric",
        "tcp:127.0.0.1:no-such-service-name",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(SocketAddress) addr = parse("%s", bad[i]);
        Error *err = NULL;

        g_assert_cmpint(socket_connect(addr, &err), ==, -1);
        g_assert_nonnull(err);
        error_free(err);
    }
}

static void test_fd(void)
{
    int pair[2], pipefd[2];
    g_autoptr(SocketAddress) addr = NULL;
    g_autoptr(SocketAddress) file = NULL;
    g_autoptr(SocketAddress) named = parse("fd:migration");
    g_autoptr(SocketAddress) closed = parse("fd:999999");
    Error *err = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_cmpint(pipe(pipefd), ==, 0);
    addr = parse("fd:%d", pair[0]);
    file = parse("fd:%d", pipefd[0]);
    g_assert_cmpint(socket_connect(addr, &error_abort), ==, pair[0]);
    g_assert_cmpint(socket_connect(file, &err), ==, -1);
    test_expect_error(&err, "not a socket");
    g_assert_cmpint(socket_connect(closed, &err), ==, -1);
    g_assert_nonnull(err);
    error_free(err);
    err = NULL;

    /* A name is used up. */
    g_assert_cmpint(socket_connect(named, &err), ==, -1);
    test_expect_error(&err, "migration");
    g_assert_true(monitor_add_named_fd(NULL, "migration", pair[1], &error_abort));
    g_assert_cmpint(socket_connect(named, &error_abort), ==, pair[1]);
    g_assert_cmpint(socket_connect(named, &err), ==, -1);
    test_expect_error(&err, "migration");
    close(pair[0]);
    close(pair[1]);
    close(pipefd[0]);
    close(pipefd[1]);
}

static void test_vsock_bad(void)
{
    g_autoptr(SocketAddress) cid = parse("vsock:x:1");
    g_autoptr(SocketAddress) port = parse("vsock:1:99999999999");
    Error *err = NULL;

    g_assert_cmpint(socket_connect(cid, &err), ==, -1);
    test_expect_error(&err, "cid 'x'");
    g_assert_cmpint(socket_listen(port, 1, &err), ==, -1);
    test_expect_error(&err, "port '99999999999'");
}

/* Listening needs no peer, so it can be tried wherever the kernel has vsock at all. */
static void test_vsock_listen(void)
{
    g_autoptr(SocketAddress) addr = parse("vsock:%u:41798", VMADDR_CID_ANY);
    g_autoptr(SocketAddress) local = NULL;
    g_autofree char *text = NULL;
    int fd = qemu_socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0) {
        g_test_skip("this kernel has no vsock");
        return;
    }
    close(fd);
    fd = socket_listen(addr, 1, &error_abort);
    local = socket_local_address(fd, &error_abort);
    text = socket_address_to_string(local);
    g_assert_cmpstr(text, ==, "vsock:4294967295:41798");
    close(fd);
}

static void test_resolve_list(void)
{
    g_autoptr(SocketAddress) addr = parse("tcp::4444,to=4450");
    SocketAddressList *list = socket_address_resolve(addr, true, &error_abort);
    int n = 0;

    for (SocketAddressList *a = list; a; a = a->next, n++) {
        g_assert_true(a->value->u.inet.has_to && a->value->u.inet.to == 4450);
        g_assert_cmpstr(a->value->u.inet.port, ==, "4444");
        g_assert_true(a->value->u.inet.numeric);
    }
    g_assert_cmpint(n, >=, 1);
    qapi_free_SocketAddressList(list);
}

int main(int argc, char **argv)
{
    int ret;

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-test-sockets-XXXXXX", NULL);
    g_test_add_func("/util/socket/inet-parse", test_inet_parse);
    g_test_add_func("/util/socket/inet-parse/bad", test_inet_parse_bad);
    g_test_add_func("/util/socket/inet-parse/long", test_inet_parse_long);
    g_test_add_func("/util/socket/family", test_family);
    g_test_add_func("/util/socket/parse", test_socket_parse);
    g_test_add_func("/util/socket/tcp4", test_tcp4);
    g_test_add_func("/util/socket/tcp6", test_tcp6);
    g_test_add_func("/util/socket/wildcard", test_wildcard);
    g_test_add_func("/util/socket/port-range", test_port_range);
    g_test_add_func("/util/socket/unix", test_unix);
    g_test_add_func("/util/socket/unix-abstract", test_unix_abstract);
    g_test_add_func("/util/socket/unix-bad", test_unix_bad);
    g_test_add_func("/util/socket/refused", test_refused);
    g_test_add_func("/util/socket/resolution", test_resolution);
    g_test_add_func("/util/socket/fd", test_fd);
    g_test_add_func("/util/socket/vsock-bad", test_vsock_bad);
    g_test_add_func("/util/socket/vsock-listen", test_vsock_listen);
    g_test_add_func("/util/socket/resolve-list", test_resolve_list);
    ret = g_test_run();
    rmdir(dir);
    g_free(dir);
    return ret;
}
