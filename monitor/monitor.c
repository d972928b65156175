/*
 * What HMP and QMP monitors have in common: the list of them, output, the I/O thread, events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/core/cpu.h"
#include "monitor-internal.h"
#include "qapi/qmp-event.h"
#include "qapi/util.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"

QemuMutex monitor_lock;
GList *mon_list;

static bool monitors_ended; /* monitor_lock */

QemuOptsList qemu_mon_opts = {
    .name = "mon",
    .implied_opt_name = "chardev",
    .desc = {
        { .name = "mode", .type = QEMU_OPT_STRING },
        { .name = "chardev", .type = QEMU_OPT_STRING },
        { .name = "pretty", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static void register_opts(void)
{
    qemu_add_opts(&qemu_mon_opts);
}
opts_init(register_opts)

/* ---- the I/O thread ---- */

static struct {
    GMainContext *context;
    GMainLoop *loop;
    QemuThread thread;
} io;

static void *io_thread(void *arg)
{
    g_main_context_push_thread_default(io.context);
    g_main_loop_run(io.loop);
    g_main_context_pop_thread_default(io.context);
    return NULL;
}

GMainContext *monitor_io_context(void)
{
    if (!io.context) {
        io.context = g_main_context_new();
        io.loop = g_main_loop_new(io.context, false);
        qemu_thread_create(&io.thread, "IO mon_iothread", io_thread, NULL, QEMU_THREAD_JOINABLE);
    }
    return io.context;
}

GMainContext *monitor_context(Monitor *mon)
{
    return mon->use_io_thread ? io.context : NULL;
}

static gboolean io_quit(gpointer data)
{
    g_main_loop_quit(io.loop);
    return G_SOURCE_REMOVE;
}

static void io_thread_stop(void)
{
    GSource *quit;

    if (!io.context) {
        return;
    }
    /* As a source of its own: the loop may not have begun yet. */
    quit = g_idle_source_new();
    g_source_set_callback(quit, io_quit, NULL, NULL);
    g_source_attach(quit, io.context);
    g_source_unref(quit);
    qemu_thread_join(&io.thread);
    g_clear_pointer(&io.loop, g_main_loop_unref);
    g_clear_pointer(&io.context, g_main_context_unref);
}

/* ---- output ---- */

static gboolean out_possible(void *do_not_use, GIOCondition cond, void *opaque)
{
    Monitor *mon = opaque;

    WITH_QEMU_LOCK_GUARD(&mon->mon_lock) {
        mon->out_watch = false;
        monitor_flush_locked(mon);
    }
    /* A client that was held back for not reading may go on. */
    if (monitor_is_qmp(mon)) {
        monitor_qmp_resume(container_of(mon, MonitorQMP, common));
    }
    return FALSE;
}

void monitor_flush_locked(Monitor *mon)
{
    size_t len = mon->outbuf->len;
    int rc;

    if (mon->skip_flush || mon->mux_out || !len || !mon->chr.chr) {
        return;
    }
    rc = qemu_chr_fe_write(&mon->chr, (const uint8_t *)mon->outbuf->str, MIN(len, INT_MAX));
    if (rc < 0 && errno != EAGAIN) {
        g_string_truncate(mon->outbuf, 0); /* it is gone, and so is what it would have read */
        return;
    }
    if (rc > 0) {
        g_string_erase(mon->outbuf, 0, rc);
    }
    if (mon->outbuf->len && !mon->out_watch) {
        mon->out_watch = qemu_chr_fe_add_watch(&mon->chr, G_IO_OUT | G_IO_HUP, out_possible,
                                               mon) != 0;
    }
}

void monitor_flush(Monitor *mon)
{
    QEMU_LOCK_GUARD(&mon->mon_lock);
    monitor_flush_locked(mon);
}

int monitor_puts_locked(Monitor *mon, const char *str)
{
    const char *p;

    for (p = str; *p; p++) {
        if (*p == '\n') {
            g_string_append_c(mon->outbuf, '\r');
        }
        g_string_append_c(mon->outbuf, *p);
    }
    /* Whole lines at once; a prompt is flushed by those who print it. */
    if (strchr(str, '\n')) {
        monitor_flush_locked(mon);
    }
    return p - str;
}

int monitor_puts(Monitor *mon, const char *str)
{
    if (!mon || monitor_is_qmp(mon)) {
        return -1;
    }
    QEMU_LOCK_GUARD(&mon->mon_lock);
    return monitor_puts_locked(mon, str);
}

int monitor_vprintf(Monitor *mon, const char *fmt, va_list ap)
{
    g_autofree char *text = NULL;

    if (!mon || monitor_is_qmp(mon)) {
        return -1;
    }
    text = g_strdup_vprintf(fmt, ap);
    return monitor_puts(mon, text);
}

int monitor_printf(Monitor *mon, const char *fmt, ...)
{
    va_list ap;
    int ret;

    va_start(ap, fmt);
    ret = monitor_vprintf(mon, fmt, ap);
    va_end(ap);
    return ret;
}

bool monitor_cur_is_hmp(void)
{
    return monitor_cur() && !monitor_is_qmp(monitor_cur());
}

bool monitor_cur_is_qmp(void)
{
    return monitor_cur() && monitor_is_qmp(monitor_cur());
}

static bool error_to_monitor(const char *fmt, va_list ap)
{
    if (!monitor_cur_is_hmp()) {
        return false;
    }
    monitor_vprintf(monitor_cur(), fmt, ap);
    return true;
}

/* ---- the vCPU that HMP commands look at ---- */

CPUState *monitor_get_cpu(Monitor *mon)
{
    Object *obj = mon->cpu_path ? object_resolve_path_type(mon->cpu_path, TYPE_CPU, NULL) : NULL;

    if (!obj && first_cpu) {
        monitor_set_cpu(mon, first_cpu->cpu_index);
        return first_cpu;
    }
    return obj ? CPU(obj) : NULL;
}

int monitor_get_cpu_index(Monitor *mon)
{
    CPUState *cpu = monitor_get_cpu(mon);

    return cpu ? cpu->cpu_index : -1;
}

bool monitor_set_cpu(Monitor *mon, int cpu_index)
{
    CPUState *cpu = qemu_get_cpu(cpu_index);

    if (!cpu) {
        return false;
    }
    g_free(mon->cpu_path);
    mon->cpu_path = object_get_canonical_path(OBJECT(cpu));
    return true;
}

/* ---- holding back input ---- */

int monitor_suspend(Monitor *mon)
{
    if (!monitor_is_qmp(mon) && !container_of(mon, MonitorHMP, common)->use_readline) {
        return -ENOTTY;
    }
    qatomic_inc(&mon->suspend_cnt);
    return 0;
}

void monitor_resume(Monitor *mon)
{
    if (qatomic_fetch_dec(&mon->suspend_cnt) > 1) {
        return;
    }
    if (!monitor_is_qmp(mon)) {
        MonitorHMP *hmp = container_of(mon, MonitorHMP, common);

        if (hmp->rs) {
            readline_show_prompt(hmp->rs);
        }
    }
    qemu_chr_fe_accept_input(&mon->chr);
}

int monitor_take_msgfd(Monitor *mon)
{
    MsgFds *fds;

    if (!monitor_is_qmp(mon)) {
        return qemu_chr_fe_get_msgfd(&mon->chr);
    }
    fds = container_of(mon, MonitorQMP, common)->cur_fds;
    return fds && fds->next < fds->n ? fds->fds[fds->next++] : -1;
}

/* ---- events ---- */

static void send_event_to_all(QAPIEvent event, QObject *msg)
{
    QEMU_LOCK_GUARD(&monitor_lock);
    for (GList *l = mon_list; l; l = l->next) {
        Monitor *mon = l->data;
        MonitorQMP *qmp;

        if (!monitor_is_qmp(mon)) {
            continue;
        }
        qmp = container_of(mon, MonitorQMP, common);
        QEMU_LOCK_GUARD(&mon->mon_lock);
        if (qmp->events_on && mon->outbuf->len < MON_OUTBUF_HARD_LIMIT) {
            qmp_json_append(mon->outbuf, msg, qmp->pretty);
            monitor_flush_locked(mon);
        }
    }
}

/*
 * Events that a guest can cause as fast as it likes: at most one in an interval, the last one
 * wins. In the meantime `held` is what waits, and the timer runs.
 */
typedef struct EventLimit {
    const char *name;
    int64_t interval_ms;
    QEMUTimer *timer;
    QAPIEvent event;
    QObject *held;
} EventLimit;

static QemuMutex limit_lock;
static EventLimit limits[] = {
    { "RTC_CHANGE", 1000 },
    { "WATCHDOG", 1000 },
    { "BALLOON_CHANGE", 1000 },
    { "VSERPORT_CHANGE", 1000 },
    { "MEMORY_DEVICE_SIZE_CHANGE", 1000 },
};

static void limit_elapsed(void *opaque)
{
    EventLimit *limit = opaque;
    QObject *msg;

    WITH_QEMU_LOCK_GUARD(&limit_lock) {
        msg = g_steal_pointer(&limit->held);
        if (msg) {
            timer_mod(limit->timer,
                      qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + limit->interval_ms);
        }
    }
    if (msg) {
        send_event_to_all(limit->event, msg);
        json_object_put(msg);
    }
}

/* True when the event was put off. */
static bool put_off(QAPIEvent event, QObject *msg)
{
    const char *name = QAPIEvent_str(event);

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        EventLimit *limit = &limits[i];

        if (!g_str_equal(limit->name, name)) {
            continue;
        }
        QEMU_LOCK_GUARD(&limit_lock);
        if (!limit->timer) {
            limit->event = event;
            limit->timer = timer_new_ms(QEMU_CLOCK_REALTIME, limit_elapsed, limit);
        }
        if (timer_pending(limit->timer)) {
            json_object_put(limit->held);
            /* A copy: reference counts are not for use by two threads. */
            limit->held = NULL;
            json_object_deep_copy(msg, &limit->held, NULL);
            return true;
        }
        timer_mod(limit->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + limit->interval_ms);
    }
    return false;
}

void monitor_send_event(QAPIEvent event, QObject *msg)
{
    if (!put_off(event, msg)) {
        send_event_to_all(event, msg);
    }
}

/* ---- making and ending them ---- */

void monitor_data_init(Monitor *mon, bool is_qmp, bool skip_flush, bool use_io_thread)
{
    qemu_mutex_init(&mon->mon_lock);
    mon->is_qmp = is_qmp;
    mon->outbuf = g_string_new(NULL);
    mon->skip_flush = skip_flush;
    mon->use_io_thread = use_io_thread;
}

void monitor_data_destroy(Monitor *mon)
{
    monitor_forget_fds(mon);
    g_free(mon->cpu_path);
    qemu_chr_fe_deinit(&mon->chr, false);
    if (monitor_is_qmp(mon)) {
        monitor_data_destroy_qmp(container_of(mon, MonitorQMP, common));
    } else {
        monitor_data_destroy_hmp(container_of(mon, MonitorHMP, common));
    }
    g_string_free(mon->outbuf, true);
    qemu_mutex_destroy(&mon->mon_lock);
}

void monitor_list_append(Monitor *mon)
{
    QEMU_LOCK_GUARD(&monitor_lock);
    /* Too late for new ones once they are being ended: this one never gets to hear anything. */
    if (!monitors_ended) {
        mon_list = g_list_append(mon_list, mon);
    }
}

static bool mux_monitor(Chardev *chr, Error **errp)
{
    return monitor_init_hmp(chr, true, errp);
}

void monitor_init_globals(void)
{
    qemu_mutex_init(&monitor_lock);
    qemu_mutex_init(&limit_lock);
    qmp_dispatcher_init();
    qapi_event_register_emitter(monitor_send_event);
    error_set_monitor_hook(error_to_monitor);
    qemu_chr_mux_monitor_hook = mux_monitor;
    fdset_init();
}

/* Waits a little for a client that is slow to take its last lines. */
static void last_flush(Monitor *mon)
{
    for (int i = 0; i < 100; i++) {
        WITH_QEMU_LOCK_GUARD(&mon->mon_lock) {
            mon->out_watch = true; /* nobody is left to wait for room */
            monitor_flush_locked(mon);
            if (!mon->outbuf->len || mon->mux_out) {
                return;
            }
        }
        g_usleep(1000);
    }
}

void monitor_cleanup(void)
{
    GList *list;

    io_thread_stop();
    qmp_dispatcher_shutdown();
    WITH_QEMU_LOCK_GUARD(&monitor_lock) {
        monitors_ended = true;
        list = g_steal_pointer(&mon_list);
    }
    error_set_monitor_hook(NULL);
    for (GList *l = list; l; l = l->next) {
        Monitor *mon = l->data;

        mon->use_io_thread = false;
        last_flush(mon);
        monitor_data_destroy(mon);
        g_free(mon);
    }
    g_list_free(list);
}

bool monitor_init_opts(QemuOpts *opts, Error **errp)
{
    const char *mode = qemu_opt_get(opts, "mode") ?: "readline";
    const char *chardev = qemu_opt_get(opts, "chardev");
    bool pretty = qemu_opt_get_bool(opts, "pretty", false);
    Chardev *chr;

    if (!g_str_equal(mode, "readline") && !g_str_equal(mode, "control")) {
        error_setg(errp, "Parameter 'mode' does not accept value '%s'", mode);
        error_append_hint(errp, "It is readline or control.\n");
        return false;
    }
    if (!chardev) {
        error_setg(errp, "Parameter 'chardev' is missing");
        return false;
    }
    chr = qemu_chr_find(chardev);
    if (!chr) {
        error_setg(errp, "chardev \"%s\" not found", chardev);
        return false;
    }
    if (g_str_equal(mode, "control")) {
        return monitor_init_qmp(chr, pretty, errp);
    }
    if (pretty) {
        error_setg(errp, "'pretty' is not compatible with HMP monitors");
        return false;
    }
    return monitor_init_hmp(chr, true, errp);
}
