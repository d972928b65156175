/*
 * The options of the command line, as data, with the handlers that check and note them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "chardev/char.h"
#include "cmdline.h"
#include "cmdline-drive.h"
#include "cmdline-more.h"
#include "cmdline-process.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "migration/misc.h"
#include "monitor/monitor.h"
#include "monitor/qdev.h"
#include "monitor/version-info.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "qemu/thread.h"
#include "qemu/uuid.h"
#include "qom/object_interfaces.h"
#include "system/accel.h"
#include "system/globals.h"
#include "system/rtc.h"
#include "system/runstate.h"
#include "system/system.h"

CmdlineNotes cmdline;

/* ---- groups ---- */

static QemuOptsList name_opts = {
    .name = "name", .implied_opt_name = "guest", .merge_lists = true,
    .desc = {
        { .name = "guest", .type = QEMU_OPT_STRING, .help = "name of the guest" },
        { .name = "process", .type = QEMU_OPT_STRING, .help = "name of the process" },
        { .name = "debug-threads", .type = QEMU_OPT_BOOL, .help = "give threads names" },
        { /* end of list */ }
    },
};

static QemuOptsList msg_opts = {
    .name = "msg", .merge_lists = true,
    .desc = {
        { .name = "timestamp", .type = QEMU_OPT_BOOL },
        { .name = "guest-name", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static QemuOptsList add_fd_opts = {
    .name = "add-fd",
    .desc = {
        { .name = "fd", .type = QEMU_OPT_NUMBER, .help = "an open file descriptor" },
        { .name = "set", .type = QEMU_OPT_NUMBER, .help = "id of the set it is added to" },
        { .name = "opaque", .type = QEMU_OPT_STRING, .help = "text that tells what it is" },
        { /* end of list */ }
    },
};

static QemuOptsList action_opts = {
    .name = "action", .merge_lists = true,
    .desc = {
        { .name = "shutdown", .type = QEMU_OPT_STRING },
        { .name = "reboot", .type = QEMU_OPT_STRING },
        { .name = "panic", .type = QEMU_OPT_STRING },
        { .name = "watchdog", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static QemuOptsList rtc_opts = {
    .name = "rtc", .merge_lists = true,
    .desc = {
        { .name = "base", .type = QEMU_OPT_STRING },
        { .name = "clock", .type = QEMU_OPT_STRING },
        { .name = "driftfix", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static QemuOptsList overcommit_opts = {
    .name = "overcommit", .merge_lists = true,
    .desc = {
        { .name = "mem-lock", .type = QEMU_OPT_STRING },
        { .name = "cpu-pm", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static QemuOptsList numa_opts = {
    .name = "numa", .implied_opt_name = "type",
    .desc = {
        { .name = "type", .type = QEMU_OPT_STRING },
        { .name = "nodeid", .type = QEMU_OPT_NUMBER },
        { .name = "memdev", .type = QEMU_OPT_STRING },
        { .name = "cpus", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

/* Parsed elsewhere; known here for clients that ask what there is. */
static QemuOptsList memory_opts = {
    .name = "memory",
    .desc = {
        { .name = "size", .type = QEMU_OPT_SIZE },
        { .name = "slots", .type = QEMU_OPT_NUMBER },
        { .name = "maxmem", .type = QEMU_OPT_SIZE },
        { /* end of list */ }
    },
};

static QemuOptsList smp_opts = {
    .name = "smp-opts",
    .desc = {
        { .name = "cpus", .type = QEMU_OPT_NUMBER },
        { .name = "sockets", .type = QEMU_OPT_NUMBER },
        { .name = "dies", .type = QEMU_OPT_NUMBER },
        { .name = "books", .type = QEMU_OPT_NUMBER },
        { .name = "drawers", .type = QEMU_OPT_NUMBER },
        { .name = "clusters", .type = QEMU_OPT_NUMBER },
        { .name = "modules", .type = QEMU_OPT_NUMBER },
        { .name = "cores", .type = QEMU_OPT_NUMBER },
        { .name = "threads", .type = QEMU_OPT_NUMBER },
        { .name = "maxcpus", .type = QEMU_OPT_NUMBER },
        { /* end of list */ }
    },
};

static QemuOptsList boot_opts = {
    .name = "boot-opts",
    .desc = {
        { .name = "order", .type = QEMU_OPT_STRING },
        { .name = "once", .type = QEMU_OPT_STRING },
        { .name = "menu", .type = QEMU_OPT_BOOL },
        { .name = "strict", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static QemuOptsList machine_opts = {
    .name = "machine",
    .desc = {
        { .name = "type", .type = QEMU_OPT_STRING, .help = "kind of machine" },
        { .name = "accel", .type = QEMU_OPT_STRING, .help = "accelerators to try, colons between" },
        { .name = "kernel_irqchip", .type = QEMU_OPT_BOOL },
        { .name = "kernel", .type = QEMU_OPT_STRING },
        { .name = "initrd", .type = QEMU_OPT_STRING },
        { .name = "append", .type = QEMU_OPT_STRING },
        { .name = "firmware", .type = QEMU_OPT_STRING },
        { .name = "memory-backend", .type = QEMU_OPT_STRING },
        { .name = "mem-merge", .type = QEMU_OPT_BOOL },
        { .name = "dump-guest-core", .type = QEMU_OPT_BOOL },
        { .name = "suppress-vmdesc", .type = QEMU_OPT_BOOL },
        { .name = "aux-ram-share", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static QemuOptsList global_opts = {
    .name = "global",
    .desc = {
        { .name = "driver", .type = QEMU_OPT_STRING },
        { .name = "property", .type = QEMU_OPT_STRING },
        { .name = "value", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static QemuOptsList accel_opts = { .name = "accel", .desc = { { 0 } } };
static QemuOptsList object_opts = { .name = "object", .desc = { { 0 } } };
static QemuOptsList device_opts = { .name = "device", .desc = { { 0 } } };
static QemuOptsList incoming_opts = { .name = "incoming", .desc = { { 0 } } };

void cmdline_init(void)
{
    static QemuOptsList *const groups[] = {
        &machine_opts, &accel_opts, &memory_opts, &smp_opts, &boot_opts, &name_opts, &msg_opts,
        &add_fd_opts, &action_opts, &rtc_opts, &overcommit_opts, &numa_opts,
        &global_opts, &object_opts, &device_opts, &incoming_opts,
    };
    GArray **const lists[] = { &cmdline.chardevs, &cmdline.monitors, &cmdline.serials,
                               &cmdline.objects, &cmdline.devices, &cmdline.incoming };

    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        qemu_add_opts(groups[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        *lists[i] = g_array_new(false, true, sizeof(NotedOption));
    }
    cmdline.machine = qdict_new();
    cmdline_process_init();
    cmdline_more_init();
    cmdline_drive_init();
}

/* ---- helpers ---- */

static bool note(GArray *list, const char *option, const char *arg, QemuOpts *opts)
{
    NotedOption noted = { option, arg, opts };

    g_array_append_val(list, noted);
    return true;
}

static void note_once(NotedOption **where, const char *option, const char *arg)
{
    NotedOption *noted = g_new0(NotedOption, 1);

    noted->option = option;
    noted->arg = arg;
    g_free(*where); /* given again: the last one counts */
    *where = noted;
}

static bool set_machine(const char *key, const char *value)
{
    qdict_put_str(cmdline.machine, key, value);
    return true;
}

/* Accepts one value that means "nothing of the kind", which is all there is. */
static bool none_only(const char *arg, const char *what, Error **errp)
{
    g_autofree char *kind = g_strndup(arg, strcspn(arg, ","));

    if (is_help_option(kind)) {
        printf("Available %s:\nnone\n", what);
        exit(0);
    }
    if (g_str_equal(kind, "none") || g_str_equal(kind, "driver=none")) {
        return true;
    }
    error_setg(errp, "there are no %s in this version: only 'none' is accepted", what);
    return false;
}

static bool accept(const char *arg, Error **errp)
{
    return true;
}

/* ---- about the program ---- */

static bool opt_help(const char *arg, Error **errp)
{
    printf("usage: %s [options]\n\n", g_get_prgname() ?: "godwit-system-x86_64");
    cmdline_print_help();
    exit(0);
}

static bool opt_version(const char *arg, Error **errp)
{
    /* The form in which other programs look for the number. */
    printf("QEMU emulator version %s (%s)\n", QEMU_INTERFACE_VERSION, GODWIT_PACKAGE);
    exit(0);
}

static bool opt_name(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&name_opts, arg, true, errp);

    if (!opts) {
        return false;
    }
    error_guest_name = qemu_opt_get(opts, "guest");
    qemu_thread_naming(qemu_opt_get_bool(opts, "debug-threads", false));
    if (qemu_opt_get(opts, "process")) {
        pthread_setname_np(pthread_self(), qemu_opt_get(opts, "process"));
    }
    return true;
}

static bool opt_uuid(const char *arg, Error **errp)
{
    if (qemu_uuid_parse(arg, &qemu_uuid) < 0) {
        error_setg(errp, "failed to parse UUID string: wrong format; it is "
                   "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX in hexadecimal digits");
        return false;
    }
    qemu_uuid_set = true;
    return true;
}

static bool opt_msg(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&msg_opts, arg, false, errp);

    if (opts) {
        message_with_timestamp = qemu_opt_get_bool(opts, "timestamp", false);
        error_with_guestname = qemu_opt_get_bool(opts, "guest-name", false);
    }
    return opts;
}

static bool opt_daemonize(const char *arg, Error **errp)
{
    os_set_daemonize();
    return true;
}

static bool opt_pidfile(const char *arg, Error **errp)
{
    cmdline.pidfile = arg;
    return true;
}

/* ---- the machine ---- */

static bool opt_machine(const char *arg, Error **errp)
{
    bool help = false;
    QDict *props = keyval_parse(arg, "type", &help, errp);
    const char *type;

    if (!props) {
        return false;
    }
    type = qdict_get_try_str(props, "type");
    if (help || (type && is_help_option(type))) {
        if (type && !is_help_option(type)) {
            MachineClass *mc = machine_find_class(type, errp);

            if (!mc) {
                return false;
            }
            type_print_class_properties(object_class_get_name(OBJECT_CLASS(mc)));
        } else {
            machine_print_help();
        }
        exit(0);
    }
    keyval_merge(cmdline.machine, props, errp);
    qobject_unref(props);
    return !errp || !*errp;
}

static bool opt_accel(const char *arg, Error **errp)
{
    ERRP_GUARD();

    if (!accel_option_add(arg, errp)) {
        if (!*errp) {
            exit(0); /* help was asked for */
        }
        return false;
    }
    return true;
}

static bool opt_enable_kvm(const char *arg, Error **errp)
{
    return opt_accel("kvm", errp);
}

static bool opt_memory(const char *arg, Error **errp)
{
    note_once(&cmdline.memory, "-m", arg);
    return true;
}

static bool opt_smp(const char *arg, Error **errp)
{
    note_once(&cmdline.smp, "-smp", arg);
    return true;
}

static void print_cpu_models(void)
{
    GSList *list = object_class_get_list_sorted(TYPE_CPU, false);

    printf("Available CPUs:\n");
    for (GSList *l = list; l; l = l->next) {
        g_autofree char *name = g_strdup(object_class_get_name(l->data));
        char *suffix = strstr(name, "-x86_64-cpu");

        if (suffix) {
            *suffix = 0;
        }
        printf("  %s\n", name);
    }
    g_slist_free(list);
}

static bool opt_cpu(const char *arg, Error **errp)
{
    if (is_help_option(arg)) {
        print_cpu_models();
        exit(0);
    }
    cmdline.cpu_model = arg;
    return true;
}

static bool opt_mem_path(const char *arg, Error **errp)
{
    cmdline.mem_path = arg;
    return true;
}

static bool opt_kernel(const char *arg, Error **errp)
{
    return set_machine("kernel", arg);
}

static bool opt_initrd(const char *arg, Error **errp)
{
    return set_machine("initrd", arg);
}

static bool opt_append(const char *arg, Error **errp)
{
    return set_machine("append", arg);
}

static bool opt_bios(const char *arg, Error **errp)
{
    return set_machine("firmware", arg);
}

static bool opt_usb(const char *arg, Error **errp)
{
    return set_machine("usb", "on");
}

/* What firmware is told of it is the order; of the rest, what can be checked is. */
static bool opt_boot(const char *arg, Error **errp)
{
    QDict *boot = keyval_parse(arg, "order", NULL, errp);

    if (!boot) {
        return false;
    }
    json_object_object_foreach(boot, key, value) {
        static const char *const known[] = { "order", "once", "menu", "splash", "splash-time",
                                             "reboot-timeout", "strict", NULL };
        const char *text = json_object_get_string(value);

        if (!g_strv_contains(known, key)) {
            error_setg(errp, "Parameter 'boot.%s' is unexpected", key);
            break;
        }
        if (g_str_equal(key, "order") || g_str_equal(key, "once")) {
            size_t good = strspn(text, "abcdefghijklmnop");

            if (text[good]) {
                error_setg(errp, "Invalid boot device '%c'; devices are the letters a to p",
                           text[good]);
                break;
            }
        }
        if (g_str_equal(key, "order")) {
            g_free(cmdline.boot_order);
            cmdline.boot_order = g_strdup(text);
        }
    }
    qobject_unref(boot);
    return !errp || !*errp;
}

/* One node that has all of the memory is a machine with that memory. */
static bool opt_numa(const char *arg, Error **errp)
{
    static bool seen;
    QemuOpts *opts = qemu_opts_parse(&numa_opts, arg, true, errp);
    const char *memdev;

    if (!opts) {
        return false;
    }
    memdev = qemu_opt_get(opts, "memdev");
    if (g_strcmp0(qemu_opt_get(opts, "type"), "node") || !memdev || seen) {
        error_setg(errp, "only a single -numa node,memdev=ID is supported in this version");
        return false;
    }
    seen = true;
    return set_machine("memory-backend", memdev);
}

static bool opt_overcommit(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&overcommit_opts, arg, false, errp);
    const char *lock;
    int flags = MCL_CURRENT | MCL_FUTURE;

    if (!opts) {
        return false;
    }
    if (qemu_opt_get_bool(opts, "cpu-pm", false)) {
        warn_report("cpu-pm=on has no effect: an idle vCPU gives its time back to the host");
    }
    lock = qemu_opt_get(opts, "mem-lock") ?: "off";
    if (g_str_equal(lock, "on-fault")) {
        flags |= MCL_ONFAULT;
    } else if (!g_str_equal(lock, "on") && !g_str_equal(lock, "off")) {
        error_setg(errp, "parameter 'mem-lock' expects one of 'on', 'off', 'on-fault'");
        return false;
    }
    if (!g_str_equal(lock, "off") && mlockall(flags) < 0) {
        error_setg_errno(errp, errno, "locking memory failed");
        return false;
    }
    return true;
}

static bool opt_rtc(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&rtc_opts, arg, false, errp);
    const char *base, *clock, *driftfix;

    if (!opts) {
        return false;
    }
    base = qemu_opt_get(opts, "base");
    clock = qemu_opt_get(opts, "clock");
    driftfix = qemu_opt_get(opts, "driftfix");
    if ((base && !rtc_set_base(base, errp)) || (clock && !rtc_set_clock(clock, errp))) {
        return false;
    }
    if (driftfix && g_str_equal(driftfix, "slew")) {
        warn_report("driftfix=slew has no effect: ticks that come late are not made up for");
    } else if (driftfix && !g_str_equal(driftfix, "none")) {
        error_setg(errp, "invalid option value '%s': driftfix is slew or none", driftfix);
        return false;
    }
    return true;
}

static bool opt_global(const char *arg, Error **errp)
{
    return qdev_global_parse(arg, errp);
}

static bool wants_help(const char *arg)
{
    return arg[0] != '{' && has_help_option(arg);
}

static bool opt_object(const char *arg, Error **errp)
{
    ERRP_GUARD();

    if (wants_help(arg)) {
        user_creatable_add_from_str(arg, errp);
        if (!*errp) {
            exit(0);
        }
        return false;
    }
    return note(cmdline.objects, "-object", arg, NULL);
}

static bool opt_device(const char *arg, Error **errp)
{
    ERRP_GUARD();

    if (wants_help(arg)) {
        qdev_add_from_text(arg, errp);
        if (!*errp) {
            exit(0);
        }
        return false;
    }
    return note(cmdline.devices, "-device", arg, NULL);
}

/* ---- what happens when ---- */

static bool opt_stopped(const char *arg, Error **errp)
{
    autostart = 0;
    return true;
}

static bool opt_incoming(const char *arg, Error **errp)
{
    return note(cmdline.incoming, "-incoming", arg, NULL);
}

static bool opt_only_migratable(const char *arg, Error **errp)
{
    only_migratable = true;
    return true;
}

static bool opt_dump_vmstate(const char *arg, Error **errp)
{
    cmdline.dump_vmstate = arg;
    return true;
}

static bool opt_no_reboot(const char *arg, Error **errp)
{
    reboot_action = REBOOT_ACTION_SHUTDOWN;
    return true;
}

static bool opt_no_shutdown(const char *arg, Error **errp)
{
    shutdown_action = SHUTDOWN_ACTION_PAUSE;
    return true;
}

static bool take_action(QemuOpts *opts, const char *name, const QEnumLookup *lookup, int *value,
                        Error **errp)
{
    ERRP_GUARD();
    const char *text = qemu_opt_get(opts, name);

    if (text) {
        int parsed = qapi_enum_parse(lookup, text, -1, NULL);

        if (parsed < 0) {
            error_setg(errp, "Parameter '%s' does not accept value '%s'", name, text);
            for (int i = 0; i < lookup->size; i++) {
                error_append_hint(errp, "%s%s%s", i ? ", " : "It is one of: ",
                                  qapi_enum_lookup(lookup, i), i + 1 == lookup->size ? "\n" : "");
            }
            return false;
        }
        *value = parsed;
    }
    return true;
}

static bool opt_action(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&action_opts, arg, false, errp);
    int reboot = reboot_action, shutdown = shutdown_action;
    int panic = panic_action, watchdog = watchdog_action;

    if (!opts || !take_action(opts, "reboot", &RebootAction_lookup, &reboot, errp) ||
        !take_action(opts, "shutdown", &ShutdownAction_lookup, &shutdown, errp) ||
        !take_action(opts, "panic", &PanicAction_lookup, &panic, errp) ||
        !take_action(opts, "watchdog", &WatchdogAction_lookup, &watchdog, errp)) {
        return false;
    }
    reboot_action = reboot;
    shutdown_action = shutdown;
    panic_action = panic;
    watchdog_action = watchdog;
    return true;
}

static bool opt_add_fd(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&add_fd_opts, arg, false, errp);
    int64_t set;
    int fd, copy;

    if (!opts) {
        return false;
    }
    if (!qemu_opt_is_set(opts, "fd") || !qemu_opt_is_set(opts, "set")) {
        error_setg(errp, "fd=NUMBER and set=NUMBER are needed");
        return false;
    }
    fd = MIN(qemu_opt_get_number(opts, "fd", 0), INT_MAX);
    set = MIN(qemu_opt_get_number(opts, "set", 0), INT64_MAX);
    if (fd <= STDERR_FILENO) {
        error_setg(errp, "fd cannot be a standard I/O stream");
        return false;
    }
    /* What the program opened for itself is close-on-exec; what it inherited is not. */
    copy = fcntl(fd, F_GETFD) & FD_CLOEXEC ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        error_setg(errp, "fd is not valid or already in use");
        return false;
    }
    if (fdset_add(copy, &set, qemu_opt_get(opts, "opaque"), errp) < 0) {
        close(copy);
        return false;
    }
    close(fd);
    return true;
}

/* ---- monitors and character devices ---- */

static bool opt_chardev(const char *arg, Error **errp)
{
    bool help;
    QemuOpts *opts = qemu_chr_parse_cli_str(arg, &help, errp);

    if (help) {
        exit(0);
    }
    return opts && note(cmdline.chardevs, "-chardev", arg, opts);
}

static bool opt_mon(const char *arg, Error **errp)
{
    QemuOpts *opts = qemu_opts_parse(&qemu_mon_opts, arg, true, errp);

    cmdline.monitor_given = true;
    return opts && note(cmdline.monitors, "-mon", arg, opts);
}

static bool opt_monitor(const char *arg, Error **errp)
{
    cmdline.monitor_given = true;
    return g_str_equal(arg, "none") || note(cmdline.monitors, "-monitor", arg, NULL);
}

static bool opt_qmp(const char *arg, Error **errp)
{
    cmdline.monitor_given = true;
    return note(cmdline.monitors, "-qmp", arg, NULL);
}

static bool opt_qmp_pretty(const char *arg, Error **errp)
{
    cmdline.monitor_given = true;
    return note(cmdline.monitors, "-qmp-pretty", arg, NULL);
}

static bool opt_serial(const char *arg, Error **errp)
{
    cmdline.serial_given = true;
    return note(cmdline.serials, "-serial", arg, NULL);
}

static bool opt_qtest(const char *arg, Error **errp)
{
    cmdline.qtest_chrdev = arg;
    return true;
}

static bool opt_qtest_log(const char *arg, Error **errp)
{
    cmdline.qtest_log = arg;
    return true;
}

/* ---- what there is none of ---- */

static bool opt_nographic(const char *arg, Error **errp)
{
    cmdline.nographic = true;
    return set_machine("graphics", "off");
}

static bool opt_nodefaults(const char *arg, Error **errp)
{
    cmdline.nodefaults = true;
    return true;
}

static bool opt_display(const char *arg, Error **errp)
{
    cmdline.display_given = true;
    return none_only(arg, "displays", errp);
}

static bool opt_vga(const char *arg, Error **errp)
{
    return none_only(arg, "display adapters", errp);
}

static bool opt_audio(const char *arg, Error **errp)
{
    return none_only(arg, "sound devices", errp);
}

static bool opt_net(const char *arg, Error **errp)
{
    return none_only(arg, "network devices", errp);
}

static bool opt_parallel(const char *arg, Error **errp)
{
    return none_only(arg, "parallel ports", errp);
}

const CmdlineOption cmdline_options[] = {
    { "h", NULL, NULL, opt_help },
    { "help", NULL, "print this and exit", opt_help },
    { "version", NULL, "print the version and exit", opt_version },
    { "machine", "TYPE[,PROP=VALUE…]", "kind of machine (help lists them) and its properties, "
      "among them\naccel=kvm:tcg, memory-backend=ID, kernel-irqchip=on|off|split",
      opt_machine },
    { "M", "TYPE", NULL, opt_machine },
    { "accel", "NAME[,PROP=VALUE…]", "accelerator (help lists them); of several, the first that "
      "works is taken", opt_accel },
    { "enable-kvm", NULL, "short for -accel kvm", opt_enable_kvm },
    { "cpu", "MODEL[,+FEATURE,-FEATURE…]", "CPU model", opt_cpu },
    { "smp", "[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]", "number of vCPUs and how "
      "they are arranged", opt_smp },
    { "m", "[size=]MEGS[,slots=N,maxmem=SIZE]", "memory, in MiB unless a suffix K, M, G or T "
      "is given", opt_memory },
    { "mem-path", "FILE", "file or directory that backs the memory", opt_mem_path },
    { "mem-prealloc", NULL, "touch all of the memory before the guest starts", opt_mem_prealloc },
    { "overcommit", "[mem-lock=on|off|on-fault]", "lock the program's memory", opt_overcommit },
    { "numa", "node,memdev=ID", "one node with the memory of that back end", opt_numa },
    { "boot", "[order=]DRIVES[,…]", "in which order firmware is to try", opt_boot },
    { "rtc", "[base=utc|localtime|DATE][,clock=host|rt|vm]", "what the clock begins with",
      opt_rtc },
    { "kernel", "FILE", "kernel to start (PVH ELF or bzImage)", opt_kernel },
    { "initrd", "FILE", "its initial RAM disk", opt_initrd },
    { "append", "TEXT", "its command line", opt_append },
    { "bios", "FILE", "firmware", opt_bios },
    { "L", "DIR", "where firmware is looked for; help lists the directories", opt_datadir },
    { "usb", NULL, NULL, opt_usb },
    { "object", "TYPE,id=ID[,PROP=VALUE…]", "make an object (help lists the types); JSON is "
      "taken too", opt_object },
    { "device", "TYPE[,id=ID][,PROP=VALUE…]", "add a device; JSON is taken too", opt_device },
    { "global", "DRIVER.PROP=VALUE", "default of a property of all devices of a type, or of "
      "migration", opt_global },
    { "drive", "[file=FILE][,format=raw][,if=ide|none][,id=ID][,index=N|bus=N,unit=N]\n"
      "[,readonly=on][,snapshot=on][,cache=writeback|none|writethrough|directsync|unsafe]",
      "a disk image; if=none: for a -device that names it", opt_drive },
    { "hda", "FILE", "disk image for the first disk of the first IDE channel", opt_hda },
    { "hdb", "FILE", "for its second disk", opt_hdb },
    { "hdc", "FILE", "for the first disk of the second channel", opt_hdc },
    { "hdd", "FILE", "for its second disk", opt_hdd },
    { "snapshot", NULL, "what guests write to disks is forgotten when the program ends",
      opt_snapshot },

    { "name", "NAME[,debug-threads=on|off]", "name of the guest", opt_name },
    { "uuid", "UUID", "UUID of the guest", opt_uuid },
    { "S", NULL, "do not start the guest: wait for cont", opt_stopped },
    { "incoming", "URI|defer", "wait for a migration from tcp:HOST:PORT, unix:PATH, fd:FD, "
      "exec:COMMAND,\nfile:PATH or vsock:CID:PORT; defer: until migrate-incoming says where",
      opt_incoming },
    { "only-migratable", NULL, "refuse devices that cannot be migrated", opt_only_migratable },
    { "dump-vmstate", "FILE", "describe the state that would be migrated as JSON, and exit",
      opt_dump_vmstate },
    { "no-reboot", NULL, "end instead of restarting", opt_no_reboot },
    { "no-shutdown", NULL, "pause instead of ending when the guest shuts down",
      opt_no_shutdown },
    { "action", "EVENT=ACTION[,…]", "what to do on reboot, shutdown, panic, watchdog",
      opt_action },
    { "watchdog-action", "ACTION", "short for -action watchdog=ACTION", opt_watchdog_action },
    { "fw_cfg", "[name=]NAME,file=FILE|string=TEXT", "file for the guest's firmware", opt_fw_cfg },
    { "no-acpi", NULL, NULL, opt_no_acpi },
    { "set", "GROUP.ID.NAME=VALUE", "change an option that was given before", opt_set },
    { "compat", "deprecated-input=accept[,…]", NULL, opt_compat },
    { "add-fd", "fd=N,set=N[,opaque=TEXT]", "put an inherited file descriptor into a set",
      opt_add_fd },

    { "chardev", "KIND,id=ID[,…]", "character device (help lists the kinds)", opt_chardev },
    { "mon", "[chardev=]ID[,mode=readline|control][,pretty=on|off]", "monitor on a character "
      "device", opt_mon },
    { "monitor", "DEV", "monitor for people; DEV is stdio, null, pty, file:PATH,\n"
      "unix:PATH[,server=on][,wait=off], tcp:HOST:PORT[,…], chardev:ID", opt_monitor },
    { "qmp", "DEV", "monitor for programs", opt_qmp },
    { "qmp-pretty", "DEV", "the same with indented replies", opt_qmp_pretty },
    { "serial", "DEV", "serial port; DEV as above, or none, or mon:DEV to have a monitor "
      "there too", opt_serial },
    { "parallel", "none", NULL, opt_parallel },
    { "echr", "NUMBER", "the key that Ctrl-a is otherwise (-nographic, mux)", opt_echr },
    { "nographic", NULL, "serial port and monitor on the terminal (Ctrl-a h for help)",
      opt_nographic },
    { "nodefaults", NULL, "no serial port and monitor but those asked for", opt_nodefaults },
    { "no-user-config", NULL, NULL, accept },
    { "display", "none", NULL, opt_display },
    { "vga", "none", NULL, opt_vga },
    { "audio", "none", NULL, opt_audio },
    { "audiodev", "none,id=ID", NULL, opt_audio },
    { "net", "none", NULL, opt_net },
    { "nic", "none", NULL, opt_net },
    { "netdev", "…", NULL, opt_net },
    { "k", "LAYOUT", NULL, accept },

    { "daemonize", NULL, "go into the background once everything is set up", opt_daemonize },
    { "pidfile", "FILE", "write the process's id there", opt_pidfile },
    { "msg", "[timestamp=on|off][,guest-name=on|off]", "what messages begin with", opt_msg },
    { "D", "FILE", "where log and trace lines go (standard error)", opt_logfile },
    { "d", "ITEM[,…]", "what is logged (help lists the items)", opt_log_items },
    { "trace", "[enable=]PATTERN[,events=FILE][,file=FILE]", "trace events to switch on (help "
      "lists them)", opt_trace },
    { "qtest", "DEV", "let a test program drive the machine", opt_qtest },
    { "qtest-log", "FILE", "copy of what is said there", opt_qtest_log },
    { "sandbox", "on|off[,obsolete=allow|deny][,elevateprivileges=allow|deny|children]\n"
      "[,spawn=allow|deny][,resourcecontrol=allow|deny]", "give up system calls", opt_sandbox },
    { "run-with", "[async-teardown=on|off][,chroot=DIR][,user=NAME|UID:GID]",
      "root directory and user to go on with", opt_run_with },
    { "chroot", "DIR", NULL, opt_chroot },
    { "runas", "NAME|UID:GID", NULL, opt_runas },
    { "async-teardown", NULL, NULL, opt_async_teardown },
    { "readconfig", "FILE", "options from a file", opt_readconfig },
    { NULL }
};
