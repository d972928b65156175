/*
 * Options about the process itself: where and as whom it runs, what it may do, what it logs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cmdline.h"
#include "cmdline-process.h"
#include "config-host.h"
#include "qapi/error.h"
#include "qemu/datadir.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/option.h"
#include "sandbox.h"
#include "system/system.h"

static QemuOptsList run_with_opts = {
    .name = "run-with", .merge_lists = true,
    .desc = {
        { .name = "async-teardown", .type = QEMU_OPT_BOOL },
        { .name = "chroot", .type = QEMU_OPT_STRING },
        { .name = "user", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static QemuOptsList sandbox_opts = {
    .name = "sandbox", .implied_opt_name = "enable", .merge_lists = true,
    .desc = {
        { .name = "enable", .type = QEMU_OPT_BOOL },
        { .name = "obsolete", .type = QEMU_OPT_STRING },
        { .name = "elevateprivileges", .type = QEMU_OPT_STRING },
        { .name = "spawn", .type = QEMU_OPT_STRING },
        { .name = "resourcecontrol", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static QemuOptsList trace_opts = {
    .name = "trace", .implied_opt_name = "enable",
    .desc = {
        { .name = "enable", .type = QEMU_OPT_STRING },
        { .name = "events", .type = QEMU_OPT_STRING },
        { .name = "file", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

void cmdline_process_init(void)
{
    qemu_add_opts(&run_with_opts);
#ifdef CONFIG_SECCOMP
    /* Clients take the group as a promise. */
    qemu_add_opts(&sandbox_opts);
#endif
    qemu_add_opts(&trace_opts);
}

/* ---- where and as whom ---- */

bool opt_run_with(const char *arg, Error **errp)
{
    QemuOpts *opts;

    if (is_help_option(arg)) {
        printf("run-with options:\n  async-teardown=<bool (on/off)>\n  chroot=<str>\n"
               "  user=<str>\n");
        exit(0);
    }
    opts = qemu_opts_parse(&run_with_opts, arg, false, errp);
    if (!opts) {
        return false;
    }
    os_set_async_teardown(qemu_opt_get_bool(opts, "async-teardown", false));
    return (!qemu_opt_get(opts, "chroot") ||
            os_set_chroot(qemu_opt_get(opts, "chroot"), errp)) &&
           (!qemu_opt_get(opts, "user") || os_set_runas(qemu_opt_get(opts, "user"), errp));
}

bool opt_chroot(const char *arg, Error **errp)
{
    warn_report("option is deprecated, use '-run-with chroot=...' instead");
    return os_set_chroot(arg, errp);
}

bool opt_runas(const char *arg, Error **errp)
{
    warn_report("option is deprecated, use '-run-with user=...' instead");
    return os_set_runas(arg, errp);
}

bool opt_async_teardown(const char *arg, Error **errp)
{
    warn_report("option is deprecated, use '-run-with async-teardown=on' instead");
    os_set_async_teardown(true);
    return true;
}

/* ---- what it may do ---- */

/* 1: denied, 0: allowed, 2: "children", -1: neither of them */
static int denial(QemuOpts *opts, const char *name, const char *by_default, Error **errp)
{
    const char *text = qemu_opt_get(opts, name) ?: by_default;

    if (g_str_equal(text, "deny")) {
        return 1;
    }
    if (g_str_equal(text, "allow")) {
        return 0;
    }
    if (g_str_equal(name, "elevateprivileges") && g_str_equal(text, "children")) {
        return 2;
    }
    error_setg(errp, "invalid argument for %s: it is allow or deny%s", name,
               g_str_equal(name, "elevateprivileges") ? " or children" : "");
    return -1;
}

bool opt_sandbox(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&sandbox_opts, arg, true, errp);
    int obsolete, elevate, spawn, resources;

    if (!opts) {
        return false;
    }
    obsolete = denial(opts, "obsolete", "deny", errp);
    elevate = obsolete < 0 ? -1 : denial(opts, "elevateprivileges", "allow", errp);
    spawn = elevate < 0 ? -1 : denial(opts, "spawn", "allow", errp);
    resources = spawn < 0 ? -1 : denial(opts, "resourcecontrol", "allow", errp);
    if (resources < 0) {
        return false;
    }
    cmdline.sandbox = qemu_opt_get_bool(opts, "enable", false);
    cmdline.sandbox_denied = (obsolete ? 1u << SANDBOX_OBSOLETE : 0) |
                             (elevate ? 1u << SANDBOX_ELEVATE : 0) |
                             (spawn ? 1u << SANDBOX_SPAWN : 0) |
                             (resources ? 1u << SANDBOX_RESOURCES : 0);
    /* "deny" is for this program's own set*id calls; "children" keeps the same from programs that
       it starts, by way of their set-user-id bits, and that is no less wanted with "deny". */
    cmdline.sandbox_no_new_privs = elevate;
    return true;
}

bool cmdline_enter_sandbox(Error **errp)
{
    if (!cmdline.sandbox) {
        return true;
    }
    if (os_runas_given() && (cmdline.sandbox_denied & (1u << SANDBOX_ELEVATE))) {
        error_setg(errp, "-sandbox with elevateprivileges=deny or =children forbids what -run-with "
                   "user= asks for");
        return false;
    }
    return sandbox_enter(cmdline.sandbox_denied, cmdline.sandbox_no_new_privs, errp);
}

/* ---- what it logs ---- */

bool opt_logfile(const char *arg, Error **errp)
{
    return qemu_set_log_filename(arg, errp);
}

static void list_trace_events(void)
{
    for (TraceEvent *ev = trace_event_first(); ev; ev = ev->next) {
        printf("%s\n", ev->name);
    }
    exit(0);
}

static void enable_pattern(const char *pattern)
{
    if (is_help_option(pattern)) {
        list_trace_events();
    }
    if (!trace_enable_events(pattern, true)) {
        warn_report("trace event '%s' does not exist", pattern);
    }
}

bool opt_log_items(const char *arg, Error **errp)
{
    int mask;

    if (is_help_option(arg)) {
        qemu_print_log_usage(stdout);
        exit(0);
    }
    if (g_str_equal(arg, "trace:help")) {
        list_trace_events();
    }
    if (!qemu_str_to_log_mask(arg, &mask, errp)) {
        return false;
    }
    qemu_set_log(mask);
    return true;
}

static bool trace_file(const char *path, Error **errp)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) gerr = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, &gerr)) {
        error_setg(errp, "%s", gerr->message);
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (**line && **line != '#') {
            enable_pattern(*line);
        }
    }
    return true;
}

bool opt_trace(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&trace_opts, arg, true, errp);

    if (!opts) {
        return false;
    }
    if (qemu_opt_get(opts, "enable")) {
        enable_pattern(qemu_opt_get(opts, "enable"));
    }
    return (!qemu_opt_get(opts, "events") || trace_file(qemu_opt_get(opts, "events"), errp)) &&
           (!qemu_opt_get(opts, "file") ||
            qemu_set_log_filename(qemu_opt_get(opts, "file"), errp));
}

/* ---- where its files are ---- */

bool opt_datadir(const char *arg, Error **errp)
{
    if (is_help_option(arg)) {
        qemu_add_default_data_dirs();
        qemu_list_data_dirs();
        exit(0);
    }
    qemu_add_data_dir(arg);
    return true;
}

bool opt_readconfig(const char *arg, Error **errp)
{
    return cmdline_read_config(arg, errp);
}
