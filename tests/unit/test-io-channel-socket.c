/*
 * Channels over sockets, their listeners, and tasks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io-helpers.h"
#include "qemu/module.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qapi/qapi-visit-sockets.h"

#define SIZE (8 * 1024 * 1024 + 123)

static char *dir;

static SocketAddress *unix_address(const char *name)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    addr->u.q_unix.path = g_build_filename(dir, name, NULL);
    return addr;
}

/* Two connected channels, by a listener on @addr (which is freed). */
static void connect_pair(SocketAddress *addr, QIOChannel **src, QIOChannel **dst)
{
    g_autoptr(QIOChannelSocket) lioc = qio_channel_socket_new();
    g_autoptr(SocketAddress) where = NULL;
    QIOChannelSocket *cioc = qio_channel_socket_new();

    qio_channel_socket_listen_sync(lioc, addr, 1, &error_abort);
    g_assert_true(qio_channel_has_feature(QIO_CHANNEL(lioc), QIO_CHANNEL_FEATURE_LISTEN));
    where = qio_channel_socket_get_local_address(lioc, &error_abort);
    qio_channel_socket_connect_sync(cioc, where, &error_abort);
    *src = QIO_CHANNEL(cioc);
    *dst = QIO_CHANNEL(qio_channel_socket_accept(lioc, &error_abort));
    g_assert_false(qio_channel_has_feature(*dst, QIO_CHANNEL_FEATURE_LISTEN));
    g_assert_true(qio_channel_has_feature(*dst, QIO_CHANNEL_FEATURE_SHUTDOWN));
    qapi_free_SocketAddress(addr);
}

static void free_pair(QIOChannel *src, QIOChannel *dst)
{
    qio_channel_close(src, &error_abort);
    qio_channel_close(dst, &error_abort);
    object_unref(OBJECT(src));
    object_unref(OBJECT(dst));
}

static void check_transfers(SocketAddress *addr)
{
    QIOChannel *src, *dst;

    connect_pair(addr, &src, &dst);
    test_transfer(src, dst, SIZE, false);
    test_transfer(dst, src, SIZE, false);
    qio_channel_set_blocking(src, false, &error_abort);
    qio_channel_set_blocking(dst, false, &error_abort);
    test_transfer(src, dst, SIZE, true);
    free_pair(src, dst);
}

static void test_tcp(void)
{
    check_transfers(socket_parse("tcp:127.0.0.1:0", &error_abort));
}

static void test_unix(void)
{
    g_autofree char *path = g_build_filename(dir, "transfer", NULL);

    check_transfers(unix_address("transfer"));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* More elements than the kernel takes in one call. */
static void test_many_elements(void)
{
    enum { N = 5000 };
    g_autofree struct iovec *iov = g_new(struct iovec, N);
    g_autofree uint8_t *buf = g_malloc(N);
    g_autofree uint8_t *got = g_malloc0(N);
    QIOChannel *src, *dst;

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    test_fill(buf, N);
    for (int i = 0; i < N; i++) {
        iov[i] = (struct iovec){ buf + i, 1 };
    }
    g_assert_cmpint(qio_channel_writev(src, iov, N, &error_abort), <=, IOV_MAX);
    free_pair(src, dst);

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    g_assert_cmpint(qio_channel_writev_all(src, iov, N, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_read_all(dst, (char *)got, N, &error_abort), ==, 0);
    test_check(got, N);
    free_pair(src, dst);
}

static void test_eof(void)
{
    QIOChannel *src, *dst;
    Error *err = NULL;
    char buf[10];

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    qio_channel_write_all(src, "12345", 5, &error_abort);
    qio_channel_shutdown(src, QIO_CHANNEL_SHUTDOWN_WRITE, &error_abort);
    g_assert_cmpint(qio_channel_read_all_eof(dst, buf, 10, &err), ==, -1);
    test_expect_error(&err, "end-of-file");
    g_assert_cmpint(qio_channel_read_all_eof(dst, buf, 10, &error_abort), ==, 0);
    free_pair(src, dst);

    /* Writing to a peer that is gone is an error, not a signal. */
    connect_pair(unix_address("gone"), &src, &dst);
    qio_channel_close(dst, &error_abort);
    g_assert_cmpint(qio_channel_write_all(src, buf, 10, &err), ==, -1);
    test_expect_error(&err, "Broken pipe");
    free_pair(src, dst);
}

static void test_nonblocking(void)
{
    g_autofree char *big = g_malloc0(1 << 20);
    QIOChannel *src, *dst;
    ssize_t n;
    char c;

    connect_pair(unix_address("nonblock"), &src, &dst);
    qio_channel_set_blocking(src, false, &error_abort);
    qio_channel_set_blocking(dst, false, &error_abort);
    g_assert_cmpint(qio_channel_read(dst, &c, 1, &error_abort), ==, QIO_CHANNEL_ERR_BLOCK);
    do {
        n = qio_channel_write(src, big, 1 << 20, &error_abort);
    } while (n > 0);
    g_assert_cmpint(n, ==, QIO_CHANNEL_ERR_BLOCK);
    free_pair(src, dst);
}

static int buffer_size(QIOChannel *ioc, int option)
{
    int n = 0;
    socklen_t len = sizeof(n);

    g_assert_cmpint(getsockopt(QIO_CHANNEL_SOCKET(ioc)->fd, SOL_SOCKET, option, &n, &len), ==, 0);
    return n;
}

/* What is bounded is little, and all comes through nevertheless. */
static void test_bounds(void)
{
    QIOChannel *src, *dst;
    int before;

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    qio_channel_bound_send_queue(src, 64 * 1024);
    qio_channel_bound_receive_queue(dst, 64 * 1024, 0);
    g_assert_cmpint(buffer_size(dst, SO_RCVBUF), ==, 2 * 64 * 1024); /* the kernel counts so */
    test_transfer(src, dst, SIZE, false);
    /* However near the peer is, it takes longer than a microsecond to it. */
    qio_channel_bound_receive_queue(dst, 1024, 64000 * 1000000ull);
    g_assert_cmpint(buffer_size(dst, SO_RCVBUF), >, 2 * 64000);
    free_pair(src, dst);

    connect_pair(unix_address("bounds"), &src, &dst);
    before = buffer_size(dst, SO_RCVBUF);
    qio_channel_bound_send_queue(src, 64 * 1024);
    qio_channel_bound_receive_queue(dst, 4096, 1 << 30);
    g_assert_cmpint(buffer_size(src, SO_SNDBUF), ==, 64 * 1024);
    g_assert_cmpint(buffer_size(dst, SO_RCVBUF), ==, before); /* there the sender's counts */
    test_transfer(src, dst, SIZE, false);
    free_pair(src, dst);
}

static void test_peek(void)
{
    QIOChannel *src, *dst;
    char buf[4];
    struct iovec iov = { buf, 4 };

    connect_pair(unix_address("peek"), &src, &dst);
    qio_channel_write_all(src, "peek", 4, &error_abort);
    for (int i = 0; i < 2; i++) {
        memset(buf, 0, 4);
        g_assert_cmpint(qio_channel_readv_full(dst, &iov, 1, NULL, NULL,
                                               QIO_CHANNEL_READ_FLAG_MSG_PEEK, &error_abort),
                        ==, 4);
        g_assert_cmpint(memcmp(buf, "peek", 4), ==, 0);
    }
    g_assert_cmpint(qio_channel_read_all(dst, buf, 4, &error_abort), ==, 0);
    free_pair(src, dst);
}

static void test_fd_pass(void)
{
    QIOChannel *src, *dst;
    g_autofree int *fds = NULL;
    int sent[20];
    size_t nfds = 99;
    char buf[8] = "";
    struct iovec iov = { (char *)"hello", 5 };
    struct iovec got = { buf, 5 };
    Error *err = NULL;

    connect_pair(unix_address("fds"), &src, &dst);
    g_assert_true(qio_channel_has_feature(src, QIO_CHANNEL_FEATURE_FD_PASS));
    g_assert_cmpint(pipe(sent), ==, 0);
    g_assert_cmpint(qio_channel_writev_full_all(src, &iov, 1, sent, 2, 0, &error_abort), ==, 0);
    g_assert_cmpint(qio_channel_readv_full_all(dst, &got, 1, &fds, &nfds, &error_abort), ==, 0);
    g_assert_cmpstr(buf, ==, "hello");
    g_assert_cmpuint(nfds, ==, 2);
    g_assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(write(fds[1], "via", 3), ==, 3);
    g_assert_cmpint(read(sent[0], buf, 3), ==, 3);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(sent[i]);
    }
    g_clear_pointer(&fds, g_free);

    /* None sent, none come; too many are refused. */
    qio_channel_write_all(src, "hello", 5, &error_abort);
    qio_channel_readv_full_all(dst, &got, 1, &fds, &nfds, &error_abort);
    g_assert_null(fds);
    g_assert_cmpuint(nfds, ==, 0);
    memset(sent, 0, sizeof(sent));
    g_assert_cmpint(qio_channel_writev_full(src, &iov, 1, sent, 20, 0, &err), ==, -1);
    test_expect_error(&err, "Only 16");
    free_pair(src, dst);

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    g_assert_false(qio_channel_has_feature(src, QIO_CHANNEL_FEATURE_FD_PASS));
    free_pair(src, dst);
}

static gpointer shutdown_soon(gpointer opaque)
{
    g_usleep(100000);
    qio_channel_shutdown(opaque, QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
    return NULL;
}

static void test_shutdown(void)
{
    g_autofree char *big = g_malloc0(64 << 20);
    QIOChannel *src, *dst;
    Error *err = NULL;
    GThread *t;
    char c;

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    t = g_thread_new("shutdown", shutdown_soon, dst);
    g_assert_cmpint(qio_channel_read(dst, &c, 1, &error_abort), ==, 0);
    g_thread_join(t);
    free_pair(src, dst);

    connect_pair(unix_address("shut"), &src, &dst);
    t = g_thread_new("shutdown", shutdown_soon, src);
    g_assert_cmpint(qio_channel_write_all(src, big, 64 << 20, &err), ==, -1);
    test_expect_error(&err, "Broken pipe");
    g_thread_join(t);
    qio_channel_close(src, NULL);
    free_pair(src, dst);
}

/* --- asynchronous --- */

typedef struct AsyncResult {
    bool done;
    Error *err;
} AsyncResult;

static void async_done(QIOTask *task, gpointer opaque)
{
    AsyncResult *r = opaque;

    qio_task_propagate_error(task, &r->err);
    r->done = true;
}

static void wait_done(AsyncResult *r)
{
    while (!r->done) {
        g_main_context_iteration(NULL, TRUE);
    }
}

static void test_connect_async(void)
{
    g_autoptr(QIOChannelSocket) lioc = qio_channel_socket_new();
    g_autoptr(QIOChannelSocket) cioc = qio_channel_socket_new();
    g_autoptr(QIOChannelSocket) nioc = qio_channel_socket_new();
    g_autoptr(SocketAddress) addr = unix_address("async");
    AsyncResult listening = { 0 }, connected = { 0 }, refused = { 0 };

    qio_channel_socket_listen_async(lioc, addr, 1, async_done, &listening, NULL, NULL);
    wait_done(&listening);
    g_assert_null(listening.err);
    qio_channel_socket_connect_async(cioc, addr, async_done, &connected, NULL, NULL);
    wait_done(&connected);
    g_assert_null(connected.err);
    g_assert_cmpint(cioc->fd, >=, 0);

    qio_channel_close(QIO_CHANNEL(lioc), &error_abort);
    qio_channel_socket_connect_async(nioc, addr, async_done, &refused, NULL, NULL);
    wait_done(&refused);
    test_expect_error(&refused.err, "Failed to connect to '");
    g_assert_cmpint(nioc->fd, ==, -1);
}

/* A listener with room for one, which is there. */
static QIOChannelSocket *full_listener(SocketAddress *addr, QIOChannelSocket **first,
                                       SocketAddress **where)
{
    QIOChannelSocket *lioc = qio_channel_socket_new();

    qio_channel_socket_listen_sync(lioc, addr, 0, &error_abort);
    *where = qio_channel_socket_get_local_address(lioc, &error_abort);
    *first = qio_channel_socket_new();
    qio_channel_socket_connect_sync(*first, *where, &error_abort);
    return lioc;
}

/* Nobody takes the connection: the attempt ends when the channel is shut down. */
static void check_give_up(SocketAddress *addr, bool at_once)
{
    g_autoptr(QIOChannelSocket) first = NULL;
    g_autoptr(QIOChannelSocket) cioc = qio_channel_socket_new();
    g_autoptr(SocketAddress) where = NULL;
    g_autoptr(QIOChannelSocket) lioc = full_listener(addr, &first, &where);
    AsyncResult r = { 0 };

    qio_channel_socket_connect_async(cioc, where, async_done, &r, NULL, NULL);
    if (!at_once) {
        g_usleep(100000);
        g_main_context_iteration(NULL, FALSE);
        g_assert_false(r.done);
    }
    qio_channel_shutdown(QIO_CHANNEL(cioc), QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    wait_done(&r);
    test_expect_error(&r.err, "connect");
    g_assert_cmpint(cioc->fd, ==, -1);
    g_assert_cmpint(cioc->wakefd, ==, -1);
    qapi_free_SocketAddress(addr);
}

static void test_connect_give_up(void)
{
    check_give_up(unix_address("give-up"), false);
    check_give_up(socket_parse("tcp:127.0.0.1:0", &error_abort), false);
    for (int i = 0; i < 100; i++) { /* before its thread runs, or while it begins */
        g_autofree char *name = g_strdup_printf("give-up-%d", i);

        check_give_up(unix_address(name), true);
    }
}

/* It waits for room, and what it gets is an ordinary blocking socket. */
static void test_connect_room(void)
{
    g_autoptr(QIOChannelSocket) first = NULL, second = NULL, third = NULL;
    g_autoptr(QIOChannelSocket) cioc = qio_channel_socket_new();
    g_autoptr(SocketAddress) addr = unix_address("room"), where = NULL;
    g_autoptr(QIOChannelSocket) lioc = full_listener(addr, &first, &where);
    AsyncResult r = { 0 };

    qio_channel_socket_connect_async(cioc, where, async_done, &r, NULL, NULL);
    g_usleep(50000);
    second = qio_channel_socket_accept(lioc, &error_abort);
    wait_done(&r);
    g_assert_null(r.err);
    g_assert_cmpint(fcntl(cioc->fd, F_GETFL) & O_NONBLOCK, ==, 0);
    third = qio_channel_socket_accept(lioc, &error_abort);
    g_assert_cmpint(qio_channel_write(QIO_CHANNEL(cioc), "x", 1, &error_abort), ==, 1);
    qio_channel_shutdown(QIO_CHANNEL(cioc), QIO_CHANNEL_SHUTDOWN_BOTH, &error_abort);
}

static void slow_worker(QIOTask *task, gpointer opaque)
{
    Error *err = NULL;

    g_usleep(50000);
    *(int *)opaque += 1;
    qio_task_set_result_pointer(task, g_strdup("result"), g_free);
    error_setg(&err, "first");
    qio_task_set_error(task, err);
}

static void test_task_wait(void)
{
    g_autoptr(QIOChannelSocket) ioc = qio_channel_socket_new();
    AsyncResult r = { 0 };
    int counter = 0;
    QIOTask *task = qio_task_new(OBJECT(ioc), async_done, &r, NULL);

    qio_task_run_in_thread(task, slow_worker, &counter, NULL, NULL);
    qio_task_wait_thread(task);
    g_assert_true(r.done);
    g_assert_cmpint(counter, ==, 1);
    test_expect_error(&r.err, "first");
    /* It completed once, and nothing is left for the main loop. */
    g_assert_false(g_main_context_pending(NULL));
}

/* --- watches --- */

static gboolean got_data(QIOChannel *ioc, GIOCondition condition, gpointer data)
{
    *(GIOCondition *)data = condition;
    return G_SOURCE_REMOVE;
}

static void test_watch(void)
{
    QIOChannel *src, *dst;
    GIOCondition in = 0, out = 0, hup = 0;
    char c;

    connect_pair(unix_address("watch"), &src, &dst);
    qio_channel_add_watch(dst, G_IO_IN, got_data, &in, NULL);
    qio_channel_add_watch(src, G_IO_OUT, got_data, &out, NULL);
    while (!out) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpint(out, ==, G_IO_OUT);
    g_assert_cmpint(in, ==, 0);
    qio_channel_write_all(src, "x", 1, &error_abort);
    while (!in) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpint(in, ==, G_IO_IN);
    qio_channel_wait(dst, G_IO_IN);
    qio_channel_read_all(dst, &c, 1, &error_abort);

    qio_channel_add_watch(dst, G_IO_IN, got_data, &hup, NULL);
    qio_channel_close(src, &error_abort);
    while (!hup) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_true(hup & G_IO_IN);
    free_pair(src, dst);
}

/* --- listeners --- */

static void take_client(QIONetListener *listener, QIOChannelSocket *sioc, gpointer data)
{
    QIOChannelSocket **slot = data;

    g_assert_null(*slot);
    object_ref(OBJECT(sioc));
    *slot = sioc;
}

static void test_net_listener(void)
{
    g_autoptr(SocketAddress) addr = socket_parse("tcp:localhost:0", &error_abort);
    QIONetListener *listener = qio_net_listener_new();
    QIOChannelSocket *client = NULL;

    qio_net_listener_set_name(listener, "test-listener");
    qio_net_listener_open_sync(listener, addr, 2, &error_abort);
    g_assert_true(qio_net_listener_is_connected(listener));
    qio_net_listener_set_client_func(listener, take_client, &client, NULL);

    /* Every address of localhost takes clients, on one port. */
    for (size_t i = 0; i < listener->nsioc; i++) {
        g_autoptr(SocketAddress) to =
            qio_channel_socket_get_local_address(listener->sioc[i], &error_abort);
        g_autoptr(SocketAddress) first =
            qio_channel_socket_get_local_address(listener->sioc[0], &error_abort);
        g_autoptr(QIOChannelSocket) cioc = qio_channel_socket_new();

        g_assert_cmpstr(to->u.inet.port, ==, first->u.inet.port);
        qio_channel_socket_connect_sync(cioc, to, &error_abort);
        while (!client) {
            g_main_context_iteration(NULL, TRUE);
        }
        test_transfer(QIO_CHANNEL(cioc), QIO_CHANNEL(client), 1000, false);
        object_unref(OBJECT(client));
        client = NULL;
    }
    qio_net_listener_disconnect(listener);
    g_assert_false(qio_net_listener_is_connected(listener));
    object_unref(OBJECT(listener));
}

static gpointer connect_soon(gpointer opaque)
{
    QIOChannelSocket *cioc = qio_channel_socket_new();

    g_usleep(50000);
    qio_channel_socket_connect_sync(cioc, opaque, &error_abort);
    return cioc;
}

static void test_wait_client(void)
{
    g_autoptr(SocketAddress) addr = unix_address("wait");
    g_autoptr(QIONetListener) listener = qio_net_listener_new();
    g_autoptr(QIOChannelSocket) sioc = NULL;
    GThread *t;

    qio_net_listener_open_sync(listener, addr, 1, &error_abort);
    t = g_thread_new("connect", connect_soon, addr);
    sioc = qio_net_listener_wait_client(listener);
    g_assert_nonnull(sioc);
    object_unref(OBJECT(g_thread_join(t)));
    qio_net_listener_disconnect(listener);
    g_assert_false(g_file_test(addr->u.q_unix.path, G_FILE_TEST_EXISTS));
}

static void test_listener_fails(void)
{
    g_autoptr(SocketAddress) addr = socket_parse("unix:/nonexistent/dir/sock", &error_abort);
    g_autoptr(QIONetListener) listener = qio_net_listener_new();
    Error *err = NULL;

    g_assert_cmpint(qio_net_listener_open_sync(listener, addr, 1, &err), ==, -1);
    test_expect_error(&err, "/nonexistent/dir/sock");
}

/* --- zero copy --- */

static void test_zero_copy(void)
{
    g_autofree uint8_t *buf = g_malloc(1 << 20);
    g_autofree uint8_t *got = g_malloc0(1 << 20);
    struct iovec iov = { buf, 1 << 20 };
    QIOChannel *src, *dst;

    connect_pair(socket_parse("tcp:127.0.0.1:0", &error_abort), &src, &dst);
    if (!qio_channel_has_feature(src, QIO_CHANNEL_FEATURE_WRITE_ZERO_COPY)) {
        g_test_skip("this kernel has no SO_ZEROCOPY");
        free_pair(src, dst);
        return;
    }
    test_fill(buf, 1 << 20);
    g_assert_cmpint(qio_channel_flush(src, &error_abort), ==, 0);
    for (int i = 0; i < 4; i++) {
        /* Small enough for the socket's buffers: nobody reads meanwhile. */
        iov.iov_len = 64 * 1024;
        g_assert_cmpint(qio_channel_writev_full_all(src, &iov, 1, NULL, 0,
                                                    QIO_CHANNEL_WRITE_FLAG_ZERO_COPY,
                                                    &error_abort), ==, 0);
        g_assert_cmpint(qio_channel_read_all(dst, (char *)got, iov.iov_len, &error_abort), ==,
                        0);
        test_check(got, iov.iov_len);
    }
    g_assert_cmpint(qio_channel_flush(src, &error_abort), >=, 0);
    g_assert_cmpuint(QIO_CHANNEL_SOCKET(src)->zero_copy_sent, ==,
                     QIO_CHANNEL_SOCKET(src)->zero_copy_queued);
    free_pair(src, dst);
}

int main(int argc, char **argv)
{
    int ret;

    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("godwit-test-socket-XXXXXX", NULL);
    g_test_add_func("/io/channel/socket/tcp", test_tcp);
    g_test_add_func("/io/channel/socket/unix", test_unix);
    g_test_add_func("/io/channel/socket/many-elements", test_many_elements);
    g_test_add_func("/io/channel/socket/eof", test_eof);
    g_test_add_func("/io/channel/socket/nonblocking", test_nonblocking);
    g_test_add_func("/io/channel/socket/bounds", test_bounds);
    g_test_add_func("/io/channel/socket/peek", test_peek);
    g_test_add_func("/io/channel/socket/fd-pass", test_fd_pass);
    g_test_add_func("/io/channel/socket/shutdown", test_shutdown);
    g_test_add_func("/io/channel/socket/async", test_connect_async);
    g_test_add_func("/io/channel/socket/give-up", test_connect_give_up);
    g_test_add_func("/io/channel/socket/room", test_connect_room);
    g_test_add_func("/io/channel/socket/watch", test_watch);
    g_test_add_func("/io/channel/socket/zero-copy", test_zero_copy);
    g_test_add_func("/io/task/wait-thread", test_task_wait);
    g_test_add_func("/io/net-listener/clients", test_net_listener);
    g_test_add_func("/io/net-listener/wait-client", test_wait_client);
    g_test_add_func("/io/net-listener/fails", test_listener_fails);
    ret = g_test_run();
    rmdir(dir);
    g_free(dir);
    return ret;
}
