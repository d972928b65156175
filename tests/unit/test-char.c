/*
 * Character devices and their front ends, within one process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "chardev/char-fe.h"
#include "io/channel-socket.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-char.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/sockets.h"

/* A front end that keeps what it gets. */
typedef struct FeHandler {
    GString *got;
    int room;       /* bytes it takes at a time */
    int opened, closed, mux_in, mux_out;
} FeHandler;

static int fe_can_read(void *opaque)
{
    return ((FeHandler *)opaque)->room;
}

static void fe_read(void *opaque, const uint8_t *buf, int size)
{
    FeHandler *h = opaque;

    g_assert_cmpint(size, <=, h->room);
    g_string_append_len(h->got, (const char *)buf, size);
}

static void fe_event(void *opaque, QEMUChrEvent event)
{
    FeHandler *h = opaque;

    h->opened += event == CHR_EVENT_OPENED;
    h->closed += event == CHR_EVENT_CLOSED;
    h->mux_in += event == CHR_EVENT_MUX_IN;
    h->mux_out += event == CHR_EVENT_MUX_OUT;
}

static void fe_setup(CharBackend *be, FeHandler *h, Chardev *chr)
{
    *h = (FeHandler){ .got = g_string_new(NULL), .room = 64 };
    memset(be, 0, sizeof(*be));
    g_assert_true(qemu_chr_fe_init(be, chr, &error_abort));
    qemu_chr_fe_set_handlers(be, fe_can_read, fe_read, fe_event, NULL, h, NULL, true);
}

static void fe_done(CharBackend *be, FeHandler *h)
{
    qemu_chr_fe_deinit(be, true);
    g_string_free(h->got, true);
}

#define WAIT_FOR(condition) do {                                       \
        gint64 end_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;    \
        while (!(condition)) {                                         \
            g_assert_cmpint(g_get_monotonic_time(), <, end_);          \
            if (!g_main_context_iteration(NULL, false)) {              \
                g_usleep(1000);                                        \
            }                                                          \
        }                                                              \
    } while (0)

static Chardev *new_chr(const char *label, const char *text)
{
    return qemu_chr_new(label, text, NULL, &error_abort);
}

static void test_null(void)
{
    Chardev *chr = new_chr("null", "null");
    CharBackend be, second = { 0 };
    Error *err = NULL;
    FeHandler h;

    g_assert_true(qemu_chr_find("null") == chr);
    fe_setup(&be, &h, chr);
    g_assert_cmpint(h.opened, ==, 1);
    g_assert_false(qemu_chr_fe_init(&second, chr, &err));
    error_free_or_abort(&err);
    g_assert_cmpint(qemu_chr_fe_write(&be, (uint8_t *)"abc", 3), ==, 3);
    fe_done(&be, &h);
    g_assert_null(qemu_chr_find("null"));
    /* Unbound front ends are harmless. */
    g_assert_cmpint(qemu_chr_fe_write(&be, (uint8_t *)"abc", 3), ==, 0);
    qemu_chr_fe_accept_input(&be);
    g_assert_false(qemu_chr_fe_backend_connected(&be));
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-char-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autofree char *arg = g_strdup_printf("file:%s", path);
    g_autofree char *text = NULL;
    CharBackend be;
    FeHandler h;

    fe_setup(&be, &h, new_chr("file", arg));
    qemu_chr_fe_printf(&be, "hello %d", 1);
    fe_done(&be, &h);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "hello 1");
    g_unlink(path);
    g_rmdir(dir);
}

static Chardev *new_server(const char *path, bool wait)
{
    g_autofree char *arg = g_strdup_printf("unix:%s,server=on,wait=%s", path, wait ? "on" : "off");

    return new_chr("socket", arg);
}

static void test_socket(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-char-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    CharBackend be;
    FeHandler h;
    char buf[16];
    int fd;

    fe_setup(&be, &h, new_server(path, false));
    g_assert_cmpint(h.opened, ==, 0);
    g_assert_cmpint(qemu_chr_fe_write(&be, (uint8_t *)"lost", 4), ==, 4);

    for (int i = 1; i <= 3; i++) {
        fd = unix_connect(path, &error_abort);
        WAIT_FOR(h.opened == i);
        g_string_truncate(h.got, 0);
        g_assert_cmpint(write(fd, "hello", 5), ==, 5);
        WAIT_FOR(g_str_equal(h.got->str, "hello"));

        qemu_chr_fe_write_all(&be, (uint8_t *)"world", 5);
        g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 5);
        g_assert_cmpmem(buf, 5, "world", 5);

        /* A front end that takes nothing leaves the bytes where they are, and in order. */
        h.room = 0;
        g_assert_cmpint(write(fd, "12345", 5), ==, 5);
        for (int k = 0; k < 20; k++) {
            g_main_context_iteration(NULL, false);
        }
        g_assert_cmpstr(h.got->str, ==, "hello");
        h.room = 2;
        qemu_chr_fe_accept_input(&be);
        WAIT_FOR(g_str_equal(h.got->str, "hello12345"));
        h.room = 64;
        close(fd);
        WAIT_FOR(h.closed == i);
    }

    /* Nobody reads, and the peer goes: that is noticed all the same. */
    fd = unix_connect(path, &error_abort);
    WAIT_FOR(h.opened == 4);
    h.room = 0;
    close(fd);
    WAIT_FOR(h.closed == 4);
    fe_done(&be, &h);
    g_assert_cmpint(g_access(path, F_OK), ==, -1);
    g_rmdir(dir);
}

static void test_socket_fds(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-char-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    QIOChannelSocket *client;
    struct iovec iov = { (char *)"x", 1 };
    int fds[2], pipe_fds[2], got;
    CharBackend be;
    FeHandler h;

    fe_setup(&be, &h, new_server(path, false));
    client = qio_channel_socket_new_fd(unix_connect(path, &error_abort), &error_abort);
    WAIT_FOR(h.opened);
    g_assert_cmpint(qemu_chr_fe_get_msgfd(&be), ==, -1);

    g_assert_cmpint(qemu_pipe(pipe_fds), ==, 0);
    qio_channel_writev_full_all(QIO_CHANNEL(client), &iov, 1, pipe_fds, 2, 0, &error_abort);
    WAIT_FOR(h.got->len == 1);
    g_assert_cmpint(qemu_chr_fe_get_msgfds(&be, fds, 1), ==, 1);
    g_assert_cmpint(qemu_chr_fe_get_msgfd(&be), ==, -1);
    close(fds[0]);

    /* And out. */
    g_assert_cmpint(qemu_chr_fe_set_msgfds(&be, pipe_fds, 1), ==, 0);
    qemu_chr_fe_write_all(&be, (uint8_t *)"y", 1);
    {
        char c;
        struct iovec in = { &c, 1 };
        size_t n = 0;
        int *list = NULL;

        qio_channel_readv_full_all(QIO_CHANNEL(client), &in, 1, &list, &n, &error_abort);
        g_assert_cmpint(n, ==, 1);
        got = list[0];
        g_free(list);
    }
    close(got);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    object_unref(client);
    WAIT_FOR(h.closed);
    fe_done(&be, &h);
    g_rmdir(dir);
}

/* Output that the peer does not read is held back, not lost. */
static gboolean writable(void *unused, GIOCondition cond, void *opaque)
{
    *(bool *)opaque = true;
    return FALSE;
}

static void test_socket_full(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-char-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    static uint8_t chunk[65536];
    size_t sent = 0, read_back = 0;
    bool room = false;
    CharBackend be;
    FeHandler h;
    ssize_t n;
    int fd;

    fe_setup(&be, &h, new_server(path, false));
    fd = unix_connect(path, &error_abort);
    WAIT_FOR(h.opened);
    while ((n = qemu_chr_fe_write(&be, chunk, sizeof(chunk))) > 0) {
        sent += n;
    }
    g_assert_cmpint(n, ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_cmpuint(qemu_chr_fe_add_watch(&be, G_IO_OUT, writable, &room), !=, 0);
    g_main_context_iteration(NULL, false);
    g_assert_false(room);
    while (read_back < sent) {
        n = read(fd, chunk, sizeof(chunk));
        g_assert_cmpint(n, >, 0);
        read_back += n;
    }
    WAIT_FOR(room);
    close(fd);
    WAIT_FOR(h.closed);
    fe_done(&be, &h);
    g_rmdir(dir);
}

static void test_reconnect(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-char-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *arg = g_strdup_printf("unix:%s,reconnect-ms=10", path);
    CharBackend be;
    FeHandler h;

    fe_setup(&be, &h, new_chr("client", arg));
    for (int i = 1; i <= 3; i++) {
        int listener = unix_listen(path, &error_abort), fd;

        WAIT_FOR(h.opened == i);
        fd = accept(listener, NULL, NULL);
        close(listener);
        g_unlink(path);
        g_assert_cmpint(write(fd, "x", 1), ==, 1);
        WAIT_FOR(h.got->len == i);
        close(fd);
        WAIT_FOR(h.closed == i);
    }
    fe_done(&be, &h);
    /* A connection attempt may still be under way. */
    for (int i = 0; i < 50; i++) {
        g_main_context_iteration(NULL, false);
        g_usleep(1000);
    }
    g_rmdir(dir);
}

static void test_mux(void)
{
    bool help;
    QemuOpts *opts = qemu_chr_parse_cli_str("ringbuf,id=mux,size=128,mux=on", &help, &error_abort);
    Chardev *chr = qemu_chr_new_from_opts(opts, NULL, &error_abort), *base;
    CharBackend one, two;
    FeHandler h1, h2;

    base = qemu_chr_find("mux-base");
    g_assert_nonnull(base);
    fe_setup(&one, &h1, chr);
    fe_setup(&two, &h2, chr);
    /* The later one has the focus. */
    qemu_chr_be_write(base, (uint8_t *)"hello", 5);
    g_assert_cmpstr(h2.got->str, ==, "hello");
    qemu_chr_be_write(base, (uint8_t *)"\1c", 2);
    g_assert_cmpint(h1.mux_in, ==, 2);
    g_assert_cmpint(h2.mux_out, ==, 1);
    qemu_chr_be_write(base, (uint8_t *)"x\1\1y", 4);
    g_assert_cmpstr(h1.got->str, ==, "x\1y");

    /* What a front end cannot take waits for it. */
    h1.room = 0;
    qemu_chr_be_write(base, (uint8_t *)"abc", 3);
    g_assert_cmpstr(h1.got->str, ==, "x\1y");
    h1.room = 1;
    qemu_chr_fe_accept_input(&one);
    g_assert_cmpstr(h1.got->str, ==, "x\1yabc");

    qemu_chr_fe_write_all(&two, (uint8_t *)"out", 3);
    qemu_chr_fe_deinit(&one, false);
    qemu_chr_be_write(base, (uint8_t *)"!", 1);
    g_assert_cmpstr(h2.got->str, ==, "hello!");
    fe_done(&two, &h2);
    g_string_free(h1.got, true);
    {
        g_autofree char *out = qmp_ringbuf_read("mux-base", 100, false, 0, &error_abort);

        g_assert_cmpstr(out, ==, "out");
    }
    qmp_chardev_remove("mux-base", &error_abort);
}

static void test_compat(void)
{
    static const struct {
        const char *text, *backend, *host, *port, *path, *server;
    } good[] = {
        { "null", "null" }, { "pty", "pty" }, { "stdio", "stdio" }, { "vc", "null" },
        { "file:/a,b", "file", .path = "/a,b" }, { "pipe:x", "pipe", .path = "x" },
        { "unix:/s,server=on,wait=off", "socket", .path = "/s", .server = "on" },
        { "unix:/s,server,nowait", "socket", .path = "/s", .server = "on" },
        { "tcp::4444,server", "socket", "", "4444", .server = "on" },
        { "tcp:h:1", "socket", "h", "1" }, { "tcp:[::1]:1", "socket", "::1", "1" },
        { "telnet:h:1,server=on", "socket", "h", "1", .server = "on" },
    };
    static const char *const bad[] = { "", "foo", "tcp:", "tcp:h", "tcp:h:", "unix:", "mon:null",
                                       "unix:/s,foo=1", "unix:/s,server=x" };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        QemuOpts *opts = qemu_chr_parse_compat("label", good[i].text, false, &error_abort);

        g_assert_cmpstr(qemu_opt_get(opts, "backend"), ==, good[i].backend);
        g_assert_cmpstr(qemu_opt_get(opts, "host"), ==, good[i].host);
        g_assert_cmpstr(qemu_opt_get(opts, "port"), ==, good[i].port);
        g_assert_cmpstr(qemu_opt_get(opts, "path"), ==, good[i].path);
        g_assert_cmpstr(qemu_opt_get(opts, "server"), ==, good[i].server);
        qemu_opts_del(opts);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        g_assert_null(qemu_chr_parse_compat("label", bad[i], false, &err));
        error_free_or_abort(&err);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    module_call_init(MODULE_INIT_OPTS);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);
    g_test_add_func("/char/null", test_null);
    g_test_add_func("/char/file", test_file);
    g_test_add_func("/char/socket/server", test_socket);
    g_test_add_func("/char/socket/descriptors", test_socket_fds);
    g_test_add_func("/char/socket/full", test_socket_full);
    g_test_add_func("/char/socket/reconnect", test_reconnect);
    g_test_add_func("/char/mux", test_mux);
    g_test_add_func("/char/compat", test_compat);
    return g_test_run();
}
