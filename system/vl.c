/*
 * Starting up: from the notes of the command line to a machine that runs, waits, or loads.
 *
 * The order matters. Descriptors and the background come first, while there is one thread; types
 * and character devices before the machine, whose devices use them; the accelerator before
 * migration, whose object takes the defaults of both; monitors after the machine, so that a client
 * never sees half of it; the incoming migration last.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "chardev/char-fe.h"
#include "cmdline.h"
#include "cmdline-drive.h"
#include "cmdline-more.h"
#include "cmdline-process.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"
#include "migration/global_state.h"
#include "migration/misc.h"
#include "migration/vmstate.h"
#include "monitor/monitor.h"
#include "monitor/qdev.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/qobject-input-visitor.h"
#include "qemu/cutils.h"
#include "qemu/datadir.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qom/object_interfaces.h"
#include "system/accel.h"
#include "system/address-spaces.h"
#include "system/blockdev.h"
#include "system/cpus.h"
#include "system/globals.h"
#include "system/qtest.h"
#include "system/runstate.h"
#include "system/system.h"
#include "vl.h"

/* How long the guest waits at most for clients that have connected and say no more. */
#define NEGOTIATION_MS 100

static void fail(Error *err)
{
    error_report_err(err);
    exit(1);
}

#define FOREACH_NOTE(var, list)                                                        \
    for (NotedOption *var = &g_array_index(list, NotedOption, 0), *end_ = var + (list)->len; \
         var < end_; var++)

/* ---- character devices ---- */

/* How chardev= properties of devices find theirs. */
static bool connect_property(void *field, const char *label, Error **errp)
{
    Chardev *chr = qemu_chr_find(label);

    if (!chr) {
        error_setg(errp, "there is no chardev '%s'", label);
        return false;
    }
    return qemu_chr_fe_init(field, chr, errp);
}

static char *property_label(void *field)
{
    CharBackend *be = field;

    return g_strdup(be->chr ? be->chr->label : "");
}

static void disconnect_property(void *field)
{
    qemu_chr_fe_deinit(field, false);
}

static const char *chardev_label(Chardev *chr)
{
    return chr->label;
}

static void create_chardevs(void)
{
    static const QdevChrOps ops = {
        .connect = connect_property,
        .label = property_label,
        .disconnect = disconnect_property,
        .chardev_label = chardev_label,
    };

    qdev_prop_chr_set_ops(&ops);
    FOREACH_NOTE(noted, cmdline.chardevs) {
        Error *err = NULL;

        if (!qemu_chr_new_from_opts(noted->opts, NULL, &err)) {
            cmdline_fail(noted, err);
        }
    }
}

/* What a user who asked for nothing gets: a terminal, if it is there to be used. */
static void default_consoles(void)
{
    bool terminal = cmdline.nographic || !cmdline.display_given;
    bool serial = !cmdline.serial_given, monitor = !cmdline.monitor_given;

    if (cmdline.nodefaults || !terminal || is_daemonized() || cmdline.qtest_chrdev) {
        return;
    }
    if (serial && monitor) {
        g_array_append_val(cmdline.serials, ((NotedOption){ "-serial", "mon:stdio" }));
    } else if (serial) {
        g_array_append_val(cmdline.serials, ((NotedOption){ "-serial", "stdio" }));
    } else if (monitor) {
        g_array_append_val(cmdline.monitors, ((NotedOption){ "-monitor", "stdio" }));
    }
}

static void create_serials(void)
{
    int index = 0;

    FOREACH_NOTE(noted, cmdline.serials) {
        g_autofree char *label = g_strdup_printf("serial%d", index++);
        Chardev *chr = NULL;
        Error *err = NULL;

        if (!g_str_equal(noted->arg, "none")) {
            chr = qemu_chr_new_mux_mon(label, noted->arg, NULL, &err);
            if (!chr) {
                cmdline_fail(noted, err);
            }
        }
        serial_hd_append(chr);
    }
}

static void create_monitors(void)
{
    int index = 0;

    FOREACH_NOTE(noted, cmdline.monitors) {
        Error *err = NULL;
        bool ok;

        if (noted->opts) {
            ok = monitor_init_opts(noted->opts, &err);
        } else {
            g_autofree char *label = g_strdup_printf("compat_monitor%d", index++);
            Chardev *chr = qemu_chr_new(label, noted->arg, NULL, &err);

            ok = chr && (g_str_equal(noted->option, "-monitor")
                         ? monitor_init_hmp(chr, true, &err)
                         : monitor_init_qmp(chr, g_str_equal(noted->option, "-qmp-pretty"),
                                            &err));
        }
        if (!ok) {
            cmdline_fail(noted, err);
        }
    }
}

/* ---- the machine ---- */

static char *take_machine_text(const char *key)
{
    char *value = g_strdup(qdict_get_try_str(cmdline.machine, key));

    qdict_del(cmdline.machine, key);
    return value;
}

/* Properties that are the accelerator's, though -machine takes them. */
static void pass_on_accel_properties(void)
{
    static const struct {
        const char *machine, *accel;
    } passed[] = {
        { "kernel-irqchip", "kernel-irqchip" },
        { "kernel_irqchip", "kernel-irqchip" },
        { "kvm-shadow-mem", "kvm-shadow-mem" },
        { "kvm_shadow_mem", "kvm-shadow-mem" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
        g_autofree char *value = take_machine_text(passed[i].machine);

        if (value) {
            accel_option_set_property("kvm-accel", passed[i].accel, value);
        }
    }
}

/* Properties were once written with underscores, and scripts still do. */
static QDict *with_dashes(QDict *props)
{
    QDict *out = qdict_new();

    json_object_object_foreach(props, key, value) {
        g_autofree char *name = g_strdelimit(g_strdup(key), "_", '-');

        qdict_put_obj(out, name, qobject_ref(value));
    }
    qobject_unref(props);
    return out;
}

static MachineClass *select_machine(void)
{
    g_autofree char *type = take_machine_text("type");
    MachineClass *mc = type ? machine_find_class(type, NULL) : machine_find_default();

    if (mc) {
        if (mc->deprecation_reason) {
            warn_report("Machine type '%s' is deprecated: %s", mc->name, mc->deprecation_reason);
        }
        return mc;
    }
    error_report(type ? "unsupported machine type: \"%s\"" : "No machine specified, and there is no "
                 "default", type);
    error_printf("Use -machine help to list supported machines\n");
    exit(1);
}

static void select_cpu(MachineState *ms)
{
    const char *model = cmdline.cpu_model;
    g_auto(GStrv) parts = NULL;
    ObjectClass *base, *oc;
    Error *err = NULL;
    CPUClass *cc;

    if (!model) {
        return;
    }
    parts = g_strsplit(model, ",", 2);
    base = object_class_by_name("x86_64-cpu");
    cc = base ? CPU_CLASS(base) : NULL;
    oc = cc && cc->class_by_name ? cc->class_by_name(parts[0]) : NULL;
    if (!oc) {
        error_report("unable to find CPU model '%s'", parts[0]);
        error_printf("Use -cpu help to list the models\n");
        exit(1);
    }
    cc = CPU_CLASS(oc);
    if (cc->parse_features && parts[1]) {
        cc->parse_features(object_class_get_name(oc), parts[1], &err);
        if (err) {
            cmdline_fail(&(NotedOption){ "-cpu", model }, err);
        }
    }
    ms->cpu_type = object_class_get_name(oc);
}

static void configure_machine(MachineState *ms)
{
    g_autofree char *accel = take_machine_text("accel");
    Error *err = NULL;

    if (accel && !accel_option_set_list(accel, &err)) {
        cmdline_fail(&(NotedOption){ "-machine accel", accel }, err);
    }
    pass_on_accel_properties();
    cmdline.machine = with_dashes(cmdline.machine);
    if (!machine_set_properties(ms, cmdline.machine, &err)) {
        cmdline_fail(&(NotedOption){ "-machine" }, err);
    }
    if (cmdline.memory && !machine_parse_memory_text(ms, cmdline.memory->arg, &err)) {
        cmdline_fail(cmdline.memory, err);
    }
    ms->boot_order = g_strdup(cmdline.boot_order);
    if (cmdline.smp && !machine_parse_smp_text(ms, cmdline.smp->arg, &err)) {
        cmdline_fail(cmdline.smp, err);
    }
}

static void create_objects(void)
{
    FOREACH_NOTE(noted, cmdline.objects) {
        Error *err = NULL;

        if (!user_creatable_add_from_str(noted->arg, &err)) {
            if (!err) {
                exit(0); /* help was printed */
            }
            cmdline_fail(noted, err);
        }
    }
}

static void create_devices(void)
{
    FOREACH_NOTE(noted, cmdline.devices) {
        Error *err = NULL;

        if (!qdev_add_from_text(noted->arg, &err)) {
            if (!err) {
                exit(0);
            }
            cmdline_fail(noted, err);
        }
    }
}

static void dump_vmstate(void)
{
    FILE *out;

    if (!cmdline.dump_vmstate) {
        return;
    }
    out = fopen(cmdline.dump_vmstate, "w");
    if (!out) {
        error_report("-dump-vmstate %s: %s", cmdline.dump_vmstate, strerror(errno));
        exit(1);
    }
    dump_vmstate_json_to_file(out);
    if (fclose(out)) {
        error_report("-dump-vmstate %s: %s", cmdline.dump_vmstate, strerror(errno));
        exit(1);
    }
    exit(0);
}

/* ---- incoming migration ---- */

/* The new form, keyval or JSON: a channel. NULL without an error: it is a URI. */
static MigrationChannel *parse_channel(const char *text, Error **errp)
{
    MigrationChannel *channel = NULL;
    Visitor *v;

    if (text[0] != '{' && !g_str_has_prefix(text, "channel-type=") &&
        !g_str_has_prefix(text, "main,") && !g_str_has_prefix(text, "cpr,")) {
        return NULL;
    }
    v = qobject_input_visitor_new_str(text, "channel-type", errp);
    if (v) {
        visit_type_MigrationChannel(v, NULL, &channel, errp);
        visit_free(v);
    }
    return channel;
}

static void start_incoming(void)
{
    MigrationChannelList *channels = NULL;
    const NotedOption *last = NULL;
    const char *uri = NULL;

    FOREACH_NOTE(noted, cmdline.incoming) {
        Error *err = NULL;
        MigrationChannel *channel = parse_channel(noted->arg, &err);

        if (err) {
            cmdline_fail(noted, err);
        }
        if (channel && channel->channel_type != MIGRATION_CHANNEL_TYPE_MAIN) {
            error_setg(&err, "the %s channel is not supported in this version",
                       MigrationChannelType_str(channel->channel_type));
            cmdline_fail(noted, err);
        }
        if (channel) {
            qapi_free_MigrationChannelList(channels);
            channels = NULL;
            QAPI_LIST_PREPEND(channels, channel);
            uri = NULL;
        } else {
            uri = noted->arg;
        }
        last = noted;
    }
    if (last && !(uri && g_str_equal(uri, "defer"))) {
        Error *err = NULL;

        qemu_start_incoming_migration(uri, uri ? false : true, uri ? NULL : channels, &err);
        if (err) {
            cmdline_fail(last, err);
        }
    }
    qapi_free_MigrationChannelList(channels);
}

/* ---- start and end ---- */

static void init_process(int argc, char **argv)
{
    error_init(argv[0]);
    g_set_prgname(argv[0]);
    qemu_init_exec_dir(argv[0]);
    os_setup_early_signal_handling();
    module_call_init(MODULE_INIT_TRACE);
    module_call_init(MODULE_INIT_OPTS);
    module_call_init(MODULE_INIT_QOM);
    cmdline_init();
}

static void init_subsystems(void)
{
    qemu_init_main_loop(&error_fatal);
    os_setup_signal_handling();
    qemu_init_cpu_loop();
    memory_map_init();
    monitor_init_globals();
    module_call_init(MODULE_INIT_MIGRATION);
}

static void look_again(void *opaque)
{
}

/*
 * There is no firmware here that would take its time: a guest may have done something of interest
 * before a client that has just connected can be told of events. So the guest waits for such clients,
 * if not for long.
 */
static void wait_for_negotiation(void)
{
    int64_t end = qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + NEGOTIATION_MS;
    QEMUTimer *timer = timer_new_ms(QEMU_CLOCK_REALTIME, look_again, NULL);

    timer_mod(timer, end);
    while (monitor_qmp_negotiating() && qemu_clock_get_ms(QEMU_CLOCK_REALTIME) < end) {
        main_loop_wait(false);
    }
    timer_free(timer);
}

void qemu_init(int argc, char **argv)
{
    MachineState *ms;
    MachineClass *mc;
    Error *err = NULL;

    init_process(argc, argv);
    cmdline_parse(argc, argv);
    qemu_add_default_data_dirs();
    if (!qemu_log_check(&err) || !os_daemonize(&err) ||
        (cmdline.pidfile && !os_write_pidfile(cmdline.pidfile, &err)) ||
        !os_start_async_teardown(&err) || !cmdline_enter_sandbox(&err)) {
        fail(err);
    }
    init_subsystems();

    mc = select_machine();
    default_consoles();
    create_chardevs();
    if (cmdline.qtest_chrdev &&
        !qtest_server_init(cmdline.qtest_chrdev, cmdline.qtest_log, &err)) {
        cmdline_fail(&(NotedOption){ "-qtest", cmdline.qtest_chrdev }, err);
    }

    ms = machine_create(mc);
    configure_machine(ms);
    if (!accel_configure(ms, &err)) {
        fail(err);
    }
    migration_set_machine_name(mc->name);
    migration_object_init();
    migration_set_send_vmdesc(!ms->suppress_vmdesc);
    cpu_timers_init();
    if (cmdline.incoming->len) {
        runstate_set(RUN_STATE_INMIGRATE);
    }
    create_objects();
    create_serials();
    cmdline_create_drives();
    select_cpu(ms);
    ms->mem_prealloc = cmdline.mem_prealloc;
    if (!machine_run_board_init(ms, cmdline.mem_path, &err)) {
        fail(err);
    }
    cmdline_add_fw_cfg_files();
    create_devices();
    cmdline_check_drives();
    qdev_machine_creation_done();
    machine_notify_init_done();
    /* Behind all devices, where readers of other programs' streams are used to finding it. */
    register_global_state();
    accel_setup_post(ms);
    qdev_prop_check_globals();
    dump_vmstate();
    qemu_system_reset(SHUTDOWN_CAUSE_NONE);

    create_monitors();
    start_incoming();
    if (!os_change_root_and_user(&err)) {
        fail(err);
    }
    if (!cmdline.incoming->len && autostart) {
        wait_for_negotiation();
        /* It may have been told something meanwhile. */
        if (runstate_check(RUN_STATE_PRELAUNCH)) {
            vm_start_first();
        }
    }
    os_setup_post();
}

void qemu_cleanup(int status)
{
    bool incomplete;

    migration_shutdown();
    incomplete = migration_incoming_guest_incomplete();
    if (incomplete) {
        blk_flush_all(NULL); /* the end of the process stops the vCPUs, and takes their memory */
    } else {
        vm_shutdown();
    }
    qtest_server_shutdown();
    if (!incomplete) {
        user_creatable_cleanup();
    }
    monitor_cleanup();
    qemu_chr_cleanup();
}
