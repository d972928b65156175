/*
 * libqtest: see libqtest.h. Relies on the emulator connecting to our two listening sockets, and
 * on nothing of the emulator's own code.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "libqtest-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CHILDREN 16

/* For the handler of fatal signals, which may not allocate or lock. */
static struct {
    volatile pid_t pid;
    int stderr_fd;
} children[MAX_CHILDREN];

static char *tmpdir;
static unsigned file_counter;
static int timeout_ms = 60000;

/* --- life of the test program --- */

static void dump_fd(int fd)
{
    char buf[4096];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        if (write(STDERR_FILENO, buf, n) < 0) {
            return;
        }
    }
}

static void on_abort(int sig)
{
    static const char head[] = "\n--- standard error of the emulators:\n";

    signal(sig, SIG_DFL);
    if (write(STDERR_FILENO, head, sizeof(head) - 1) < 0) {
        /* nobody reads it */
    }
    for (int i = 0; i < MAX_CHILDREN; i++) {
        if (children[i].pid) {
            kill(children[i].pid, SIGKILL);
            dump_fd(children[i].stderr_fd);
        }
    }
    raise(sig);
}

void qtest_setup(const char *name)
{
    g_autofree char *template = g_strdup_printf("%s-XXXXXX", name);
    const char *timeout = getenv("QTEST_TIMEOUT");

    signal(SIGPIPE, SIG_IGN);
    signal(SIGABRT, on_abort); /* g_assert */
    signal(SIGTRAP, on_abort); /* g_error */
    tmpdir = g_dir_make_tmp(template, NULL);
    g_assert_nonnull(tmpdir);
    if (timeout) {
        timeout_ms = atoi(timeout) * 1000;
    }
}

void qtest_teardown(void)
{
    GDir *dir = g_dir_open(tmpdir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tmpdir, name, NULL);

        unlink(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    rmdir(tmpdir);
    g_clear_pointer(&tmpdir, g_free);
}

const char *qtest_tmpdir(void)
{
    return tmpdir;
}

char *qtest_tmpfile(const char *fmt, ...)
{
    g_autofree char *name = NULL;
    va_list ap;

    va_start(ap, fmt);
    name = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return g_build_filename(tmpdir, name, NULL);
}

int64_t qtest_now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

bool qtest_timed_out(int64_t begin)
{
    return qtest_now_ms() - begin > timeout_ms;
}

/* --- life of an emulator --- */

const char *qtest_qemu_binary(const char *var)
{
    const char *binary = var ? getenv(var) : NULL;

    if (!binary || !*binary) {
        binary = getenv("QTEST_QEMU_BINARY");
    }
    if (!binary || !*binary) {
        fprintf(stderr, "Set QTEST_QEMU_BINARY to the emulator to test.\n");
        exit(1);
    }
    return binary;
}

/* Runs @command by the shell with standard error in a new file. */
static pid_t start(const char *command, char **stderr_path, int *slot)
{
    pid_t pid;
    int fd;

    *stderr_path = qtest_tmpfile("stderr-%u", file_counter++);
    fd = open(*stderr_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    g_assert_cmpint(fd, >=, 0);
    for (*slot = 0; children[*slot].pid; (*slot)++) {
        g_assert_cmpint(*slot, <, MAX_CHILDREN - 1);
    }
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        /* Whatever becomes of the test, the emulator does not outlive it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGABRT, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        dup2(null, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO); /* TAP is ours alone */
        dup2(fd, STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    children[*slot].stderr_fd = fd;
    children[*slot].pid = pid;
    return pid;
}

static void forget_child(int slot)
{
    children[slot].pid = 0;
    close(children[slot].stderr_fd);
}

static int listen_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpuint(g_strlcpy(un.sun_path, path, sizeof(un.sun_path)), <, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

bool qtest_probe_child(QTestState *s)
{
    if (!s->exited && waitpid(s->pid, &s->wstatus, WNOHANG) == s->pid) {
        s->exited = true;
    }
    return !s->exited;
}

static int accept_from(QTestState *s, int lfd)
{
    int64_t begin = qtest_now_ms();
    struct pollfd pfd = { .fd = lfd, .events = POLLIN };
    int fd;

    while (poll(&pfd, 1, 100) <= 0) {
        if (!qtest_probe_child(s)) {
            g_error("the emulator ended (wait status 0x%x) before it connected", s->wstatus);
        }
        if (qtest_timed_out(begin)) {
            g_error("the emulator did not connect in time");
        }
    }
    fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    close(lfd);
    return fd;
}

/* Packages of QEMU often come without the accelerator for tests; nothing runs in most machines
 * here, so that any other does as well. */
static const char *last_accelerator(const char *binary)
{
    static GHashTable *known;
    const char *accel;

    if (!known) {
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    accel = g_hash_table_lookup(known, binary);
    if (!accel) {
        /* Help does not list it: start a machine with it that ends at once. */
        g_autofree char *command = g_strdup_printf(
            "sh -c 'echo quit | %s -M none -accel qtest -display none -nodefaults "
            "-monitor stdio'", binary);
        g_autofree char *out = NULL;
        g_autofree char *err = NULL;

        g_spawn_command_line_sync(command, &out, &err, NULL, NULL);
        accel = err && strstr(err, "invalid accelerator") ? "tcg" : "qtest";
        g_hash_table_insert(known, g_strdup(binary), (char *)accel);
    }
    return accel;
}

bool qtest_has_accel(const char *var)
{
    return g_str_equal(last_accelerator(qtest_qemu_binary(var)), "qtest");
}

QTestState *qtest_init_with_env(const char *var, const char *args)
{
    QTestState *s = g_new0(QTestState, 1);
    g_autofree char *qtest_path = qtest_tmpfile("qtest-%u.sock", file_counter);
    g_autofree char *qmp_path = qtest_tmpfile("qmp-%u.sock", file_counter++);
    g_autofree char *command = NULL;
    g_autofree char *endianness = NULL;
    int qtest_lfd = listen_unix(qtest_path);
    int qmp_lfd = listen_unix(qmp_path);
    json_object *greeting;

    command = g_strdup_printf("exec %s -qtest unix:%s -qtest-log %s "
                              "-chardev socket,path=%s,id=char0 -mon chardev=char0,mode=control "
                              "-display none %s -accel %s", qtest_qemu_binary(var), qtest_path,
                              getenv("QTEST_LOG") ? "/dev/fd/2" : "/dev/null", qmp_path,
                              args ? args : "", last_accelerator(qtest_qemu_binary(var)));
    g_test_message("starting: %s", command);
    s->qtest_in = g_string_new(NULL);
    s->qmp_in = g_string_new(NULL);
    g_queue_init(&s->events);
    s->pid = start(command, &s->stderr_path, &s->slot);
    s->qtest_fd = accept_from(s, qtest_lfd);
    s->qmp_fd = accept_from(s, qmp_lfd);
    unlink(qtest_path);
    unlink(qmp_path);

    endianness = qtest_command(s, "endianness");
    g_assert_cmpstr(endianness, ==, "OK little");
    greeting = qtest_qmp_receive(s, true);
    g_assert_nonnull(qtest_get(greeting, "QMP/version/qemu/major"));
    json_object_put(greeting);
    qtest_qmp_assert_success(s, "{'execute': 'qmp_capabilities'}");
    return s;
}

QTestState *qtest_init(const char *args)
{
    return qtest_init_with_env(NULL, args);
}

QTestState *qtest_initf(const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return qtest_init(args);
}

int qtest_run(const char *var, const char *args, char **errors)
{
    g_autofree char *command = g_strdup_printf("exec %s %s", qtest_qemu_binary(var), args);
    g_autofree char *path = NULL;
    int64_t begin = qtest_now_ms();
    int slot, wstatus;
    pid_t pid;

    g_test_message("running: %s", command);
    pid = start(command, &path, &slot);
    while (waitpid(pid, &wstatus, WNOHANG) != pid) {
        if (qtest_timed_out(begin)) {
            g_error("the emulator did not end in time");
        }
        g_usleep(5000);
    }
    if (errors) {
        g_assert_true(g_file_get_contents(path, errors, NULL, NULL));
    }
    forget_child(slot);
    unlink(path);
    return wstatus;
}

void qtest_set_expected_status(QTestState *s, int status)
{
    s->expected_status = status;
}

void qtest_wait_qemu(QTestState *s)
{
    int64_t begin = qtest_now_ms();

    while (qtest_probe_child(s)) {
        if (qtest_timed_out(begin)) {
            g_error("the emulator did not end in time");
        }
        g_usleep(2000);
    }
    if (WIFSIGNALED(s->wstatus)) {
        g_error("the emulator died of signal %d", WTERMSIG(s->wstatus));
    }
    if (WEXITSTATUS(s->wstatus) != s->expected_status) {
        g_error("the emulator ended with status %d, expected %d", WEXITSTATUS(s->wstatus),
                s->expected_status);
    }
}

void qtest_quit(QTestState *s)
{
    if (!s) {
        return;
    }
    if (qtest_probe_child(s)) {
        kill(s->pid, SIGTERM);
    }
    qtest_wait_qemu(s);
    forget_child(s->slot);
    close(s->qtest_fd);
    close(s->qmp_fd);
    g_string_free(s->qtest_in, TRUE);
    g_string_free(s->qmp_in, TRUE);
    for (json_object *o; (o = g_queue_pop_head(&s->events));) {
        json_object_put(o);
    }
    unlink(s->stderr_path);
    g_free(s->stderr_path);
    g_free(s);
}

pid_t qtest_pid(QTestState *s)
{
    return s->pid;
}

char *qtest_stderr(QTestState *s)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(s->stderr_path, &text, NULL, NULL));
    return text;
}

int qtest_version(QTestState *s)
{
    json_object *v = qtest_qmp_assert_success_ref(s, "{'execute': 'query-version'}");
    int version = qtest_get_int(v, "qemu/major") * 100 + qtest_get_int(v, "qemu/minor");

    json_object_put(v);
    return version;
}

/* --- lines --- */

void qtest_send(QTestState *s, int fd, const char *data, size_t size, int *fds, size_t nfds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 16)];
    } control = { 0 };

    while (size) {
        struct iovec iov = { (char *)data, size };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        if (nfds) {
            struct cmsghdr *c = &control.align;

            g_assert_cmpuint(nfds, <=, 16);
            msg.msg_control = &control;
            msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
            c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
        }
        n = TEMP_FAILURE_RETRY(sendmsg(fd, &msg, MSG_NOSIGNAL));
        if (n < 0) {
            g_error("cannot send to the emulator: %s", g_strerror(errno));
        }
        nfds = 0;
        data += n;
        size -= n;
    }
}

/* The next whole line without its end, or NULL if there is none and @wait is not set. */
char *qtest_receive_line(QTestState *s, int fd, GString *in, bool wait)
{
    int64_t begin = qtest_now_ms();
    size_t searched = 0;

    for (;;) {
        char *end = memchr(in->str + searched, '\n', in->len - searched);
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        char buf[65536];
        ssize_t n;

        if (end) {
            char *line = g_strndup(in->str, end - in->str);

            g_string_erase(in, 0, end + 1 - in->str);
            g_strchomp(line);
            return line;
        }
        searched = in->len;
        n = poll(&pfd, 1, wait ? 1000 : 0);
        if (n <= 0) {
            if (!wait) {
                return NULL;
            }
            if (qtest_timed_out(begin)) {
                g_error("no answer from the emulator in time");
            }
            continue;
        }
        n = TEMP_FAILURE_RETRY(recv(fd, buf, sizeof(buf), 0));
        if (n <= 0) {
            if (!wait) {
                return NULL; /* it ended; whoever needs more of it will notice */
            }
            g_usleep(100000);
            qtest_probe_child(s);
            g_error("the emulator closed the connection (%s, wait status 0x%x)",
                    s->exited ? "it ended" : "it still runs", s->wstatus);
        }
        g_string_append_len(in, buf, n);
    }
}

/* --- the qtest protocol --- */

static char *exchange(QTestState *s, const char *line, size_t size)
{
    qtest_send(s, s->qtest_fd, line, size, NULL, 0);
    for (;;) {
        char *reply = qtest_receive_line(s, s->qtest_fd, s->qtest_in, true);

        /* An interrupt that was asked to be reported comes in between. */
        if (!g_str_has_prefix(reply, "IRQ ")) {
            return reply;
        }
        g_free(reply);
    }
}

char *qtest_command(QTestState *s, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = g_strconcat(text, "\n", NULL);
    return exchange(s, line, strlen(line));
}

static char *command_ok(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* What follows "OK"; anything else is a failure. */
static char *command_ok(QTestState *s, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    g_autofree char *reply = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = g_strconcat(text, "\n", NULL);
    reply = exchange(s, line, strlen(line));
    if (!g_str_has_prefix(reply, "OK")) {
        g_error("qtest command '%.80s' failed: %.200s", text, reply);
    }
    return g_strdup(reply[2] == ' ' ? reply + 3 : reply + 2);
}

static uint64_t command_number(QTestState *s, const char *command, uint64_t addr)
{
    g_autofree char *reply = command_ok(s, "%s 0x%" PRIx64, command, addr);
    char *end;
    uint64_t value = g_ascii_strtoull(reply, &end, 0);

    g_assert_true(end != reply && !*end);
    return value;
}

static void command_store(QTestState *s, const char *command, uint64_t addr, uint64_t value)
{
    g_free(command_ok(s, "%s 0x%" PRIx64 " 0x%" PRIx64, command, addr, value));
}

#define DEFINE_ACCESS(type, atype, in, out)                   \
    type qtest_##in(QTestState *s, atype addr)                \
    {                                                         \
        return command_number(s, #in, addr);                  \
    }                                                         \
    void qtest_##out(QTestState *s, atype addr, type value)   \
    {                                                         \
        command_store(s, #out, addr, value);                  \
    }

DEFINE_ACCESS(uint8_t, uint16_t, inb, outb)
DEFINE_ACCESS(uint16_t, uint16_t, inw, outw)
DEFINE_ACCESS(uint32_t, uint16_t, inl, outl)
DEFINE_ACCESS(uint8_t, uint64_t, readb, writeb)
DEFINE_ACCESS(uint16_t, uint64_t, readw, writew)
DEFINE_ACCESS(uint32_t, uint64_t, readl, writel)
DEFINE_ACCESS(uint64_t, uint64_t, readq, writeq)

void qtest_memread(QTestState *s, uint64_t addr, void *data, size_t size)
{
    g_autofree char *hex = NULL;

    if (!size) {
        return;
    }
    hex = command_ok(s, "read 0x%" PRIx64 " 0x%zx", addr, size);
    g_assert_true(g_str_has_prefix(hex, "0x"));
    g_assert_cmpuint(strlen(hex), ==, 2 + 2 * size);
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)data)[i] = g_ascii_xdigit_value(hex[2 + 2 * i]) << 4 |
                               g_ascii_xdigit_value(hex[3 + 2 * i]);
    }
}

void qtest_memwrite(QTestState *s, uint64_t addr, const void *data, size_t size)
{
    g_autoptr(GString) hex = g_string_sized_new(2 * size + 1);

    if (!size) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(hex, "%02x", ((const uint8_t *)data)[i]);
    }
    g_free(command_ok(s, "write 0x%" PRIx64 " 0x%zx 0x%s", addr, size, hex->str));
}

void qtest_bufread(QTestState *s, uint64_t addr, void *data, size_t size)
{
    g_autofree char *b64 = command_ok(s, "b64read 0x%" PRIx64 " 0x%zx", addr, size);
    gsize n;

    g_base64_decode_inplace(b64, &n);
    g_assert_cmpuint(n, ==, size);
    memcpy(data, b64, size);
}

void qtest_bufwrite(QTestState *s, uint64_t addr, const void *data, size_t size)
{
    g_autofree char *b64 = g_base64_encode(data, size);

    g_free(command_ok(s, "b64write 0x%" PRIx64 " 0x%zx %s", addr, size, b64));
}

void qtest_memset(QTestState *s, uint64_t addr, uint8_t pattern, size_t size)
{
    g_free(command_ok(s, "memset 0x%" PRIx64 " 0x%zx 0x%02x", addr, size, pattern));
}

static int64_t clock_command(QTestState *s, const char *text)
{
    g_autofree char *reply = command_ok(s, "%s", text);

    return g_ascii_strtoll(reply, NULL, 0);
}

int64_t qtest_clock_step(QTestState *s, int64_t ns)
{
    g_autofree char *text = g_strdup_printf("clock_step %" PRId64, ns);

    return clock_command(s, text);
}

int64_t qtest_clock_step_next(QTestState *s)
{
    return clock_command(s, "clock_step");
}

int64_t qtest_clock_set(QTestState *s, int64_t ns)
{
    g_autofree char *text = g_strdup_printf("clock_set %" PRId64, ns);

    return clock_command(s, text);
}
