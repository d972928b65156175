/*
 * The program's own standard input and output. A terminal is put into raw mode, so that a line
 * editor or a guest sees every key, and is restored when the program ends or is suspended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <termios.h>
#include "chardev-internal.h"
#include "system/system.h"

/* There is one terminal: its settings are the process's, not the object's. */
static struct termios old_tty;
static bool have_old_tty;
static int old_flags_in, old_flags_out;
static bool stdio_in_use;
static bool stdio_allow_signal;
static bool stdio_echo;

static void restore_terminal(void)
{
    if (have_old_tty) {
        tcsetattr(STDIN_FILENO, TCSANOW, &old_tty);
    }
    fcntl(STDIN_FILENO, F_SETFL, old_flags_in);
    fcntl(STDOUT_FILENO, F_SETFL, old_flags_out);
}

static void apply_terminal_mode(void)
{
    struct termios tty;

    if (!have_old_tty) {
        return;
    }
    tty = old_tty;
    if (!stdio_echo) {
        tty.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        tty.c_oflag |= OPOST;
        tty.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
        tty.c_cflag = (tty.c_cflag & ~(CSIZE | PARENB)) | CS8;
        tty.c_cc[VMIN] = 1;
        tty.c_cc[VTIME] = 0;
    }
    if (!stdio_allow_signal) {
        tty.c_lflag &= ~ISIG;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &tty);
}

/* After SIGCONT the shell has put its own mode back. */
static void on_sigcont(int sig)
{
    int saved = errno;

    apply_terminal_mode();
    errno = saved;
}

static void stdio_set_echo(Chardev *chr, bool echo)
{
    stdio_echo = echo;
    apply_terminal_mode();
}

static void stdio_parse(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    ChardevStdio *stdio = backend->u.stdio.data = g_new0(ChardevStdio, 1);

    qemu_chr_parse_common(opts, qapi_ChardevStdio_base(stdio));
    stdio->has_signal = true;
    stdio->signal = qemu_opt_get_bool(opts, "signal", true);
}

static void stdio_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    ChardevStdio *opts = backend->u.stdio.data;
    static bool registered;

    if (is_daemonized()) {
        error_setg(errp, "cannot use stdio with -daemonize");
        return;
    }
    if (stdio_in_use) {
        error_setg(errp, "cannot use stdio by multiple character devices");
        return;
    }
    old_flags_in = fcntl(STDIN_FILENO, F_GETFL);
    old_flags_out = fcntl(STDOUT_FILENO, F_GETFL);
    have_old_tty = tcgetattr(STDIN_FILENO, &old_tty) == 0;
    if (!qemu_chr_open_fd(chr, STDIN_FILENO, STDOUT_FILENO, errp)) {
        return;
    }
    FD_CHARDEV(chr)->keep_open = true;
    stdio_in_use = true;
    stdio_allow_signal = !opts->has_signal || opts->signal;
    stdio_echo = false;
    if (!registered) {
        struct sigaction act = { .sa_handler = on_sigcont, .sa_flags = SA_RESTART };

        registered = true;
        atexit(restore_terminal);
        at_quick_exit(restore_terminal);
        sigaction(SIGCONT, &act, NULL);
    }
    apply_terminal_mode();
}

static void stdio_finalize(Object *obj)
{
    if (FD_CHARDEV(obj)->fd_in >= 0) {
        restore_terminal();
        have_old_tty = false;
        stdio_in_use = false;
    }
}

static void stdio_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->chr_parse = stdio_parse;
    cc->chr_open = stdio_open;
    cc->chr_set_echo = stdio_set_echo;
}

static const TypeInfo stdio_types[] = {
    {
        .name = TYPE_CHARDEV_STDIO,
        .parent = TYPE_CHARDEV_FD,
        .instance_finalize = stdio_finalize,
        .class_init = stdio_class_init,
    },
};
DEFINE_TYPES(stdio_types)
