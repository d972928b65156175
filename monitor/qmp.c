/*
 * QMP: JSON commands and replies, and events in between.
 *
 * A client's life: the connection opens, it gets a greeting, and must call qmp_capabilities; then
 * it has all commands and gets events. Requests are cut out of the input and parsed in the
 * monitor's context, then queued for the main thread, except that out-of-band ones are run at
 * once. The queue is short: input waits in the kernel (and what was read with it, in `pending`)
 * until the main thread has caught up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "monitor-internal.h"
#include "monitor/qdev.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-init-commands.h"
#include "qapi/qapi-visit-control.h"
#include "qapi/qobject-output-visitor.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"

QmpCommandList qmp_commands, qmp_cap_negotiation_commands;

typedef struct QMPRequest {
    QObject *obj;         /* NULL: it could not be parsed, or was null */
    Error *err;
    MsgFds *fds;
    unsigned int session;
} QMPRequest;

static QEMUBH *dispatcher_bh;

/* ---- descriptors that came along ---- */

static MsgFds *msgfds_ref(MsgFds *fds)
{
    if (fds) {
        qatomic_inc(&fds->refs);
    }
    return fds;
}

void msgfds_unref(MsgFds *fds)
{
    if (fds && qatomic_fetch_dec(&fds->refs) == 1) {
        for (int i = fds->next; i < fds->n; i++) {
            close(fds->fds[i]);
        }
        g_free(fds);
    }
}

/* New ones replace those before; requests that were read with the old ones keep them. */
static void collect_fds(MonitorQMP *mon)
{
    int fds[ARRAY_SIZE(mon->fds->fds)];
    int n = qemu_chr_fe_get_msgfds(&mon->common.chr, fds, ARRAY_SIZE(fds));

    if (n > 0) {
        msgfds_unref(mon->fds);
        mon->fds = g_new0(MsgFds, 1);
        mon->fds->refs = 1;
        mon->fds->n = n;
        memcpy(mon->fds->fds, fds, n * sizeof(int));
    }
}

static void request_free(QMPRequest *req)
{
    json_object_put(req->obj);
    error_free(req->err);
    msgfds_unref(req->fds);
    g_free(req);
}

/* ---- replies ---- */

void qmp_json_append(GString *out, const QObject *obj, bool pretty)
{
    g_autofree char *text = qobject_to_json_pretty(obj, pretty);

    g_string_append(out, text);
    g_string_append(out, "\r\n");
}

void qmp_send_response(MonitorQMP *mon, const QObject *rsp)
{
    QEMU_LOCK_GUARD(&mon->common.mon_lock);
    qmp_json_append(mon->common.outbuf, rsp, mon->pretty);
    monitor_flush_locked(&mon->common);
}

/* Before the negotiation all commands but one are unknown: say what to do about it. */
static void explain_negotiation(QObject *rsp)
{
    struct json_object *error, *class;

    if (json_object_object_get_ex(rsp, "error", &error) &&
        json_object_object_get_ex(error, "class", &class) &&
        g_str_equal(json_object_get_string(class), "CommandNotFound")) {
        json_object_object_add(error, "desc",
                               json_object_new_string("Expecting capabilities negotiation with "
                                                      "'qmp_capabilities'"));
    }
}

/* Sends @rsp unless its client has gone; then lets events through if it ended the negotiation. */
static void reply(MonitorQMP *mon, unsigned int session, const QObject *rsp)
{
    bool negotiated;

    QEMU_LOCK_GUARD(&mon->queue_lock);
    if (!mon->connected || mon->session != session) {
        return;
    }
    negotiated = mon->commands == &qmp_commands;
    QEMU_LOCK_GUARD(&mon->common.mon_lock);
    if (rsp) {
        qmp_json_append(mon->common.outbuf, rsp, mon->pretty);
        monitor_flush_locked(&mon->common);
    }
    mon->events_on = negotiated;
}

static void dispatch(MonitorQMP *mon, QMPRequest *req)
{
    const QmpCommandList *commands;
    QObject *rsp;
    bool oob;

    WITH_QEMU_LOCK_GUARD(&mon->queue_lock) {
        if (mon->session != req->session) {
            return;
        }
        commands = mon->commands;
        oob = mon->capab[QMP_CAPABILITY_OOB];
    }
    if (req->err) {
        rsp = qmp_error_response(g_steal_pointer(&req->err));
    } else {
        rsp = qmp_dispatch(commands, req->obj, oob, &mon->common);
        if (rsp && commands == &qmp_cap_negotiation_commands) {
            explain_negotiation(rsp);
        }
    }
    reply(mon, req->session, rsp);
    json_object_put(rsp);
}

/* ---- the queue ---- */

/* The next request of any monitor; monitors take turns. */
static QMPRequest *next_request(MonitorQMP **from)
{
    QEMU_LOCK_GUARD(&monitor_lock);
    for (GList *l = mon_list; l; l = l->next) {
        MonitorQMP *mon = container_of((Monitor *)l->data, MonitorQMP, common);
        QMPRequest *req = NULL;

        if (!monitor_is_qmp(l->data)) {
            continue;
        }
        WITH_QEMU_LOCK_GUARD(&mon->queue_lock) {
            req = g_queue_pop_head(&mon->requests);
        }
        if (req) {
            mon_list = g_list_remove_link(mon_list, l);
            mon_list = g_list_concat(mon_list, l);
            *from = mon;
            return req;
        }
    }
    return NULL;
}

static void dispatcher(void *opaque)
{
    MonitorQMP *mon;
    QMPRequest *req = next_request(&mon);
    Monitor *before;

    if (!req) {
        return;
    }
    before = monitor_set_cur(&mon->common);
    mon->cur_fds = req->fds;
    dispatch(mon, req);
    mon->cur_fds = NULL;
    monitor_set_cur(before);
    request_free(req);
    WITH_QEMU_LOCK_GUARD(&mon->queue_lock) {
        mon->in_flight--;
    }
    monitor_qmp_resume(mon);
    /* One a time, so that the rest of the main loop gets its turn. */
    if (dispatcher_bh) {
        qemu_bh_schedule(dispatcher_bh);
    }
}

void qmp_dispatcher_init(void)
{
    qmp_init_marshal(&qmp_commands);
    qmp_register_command(&qmp_commands, "query-qmp-schema", qmp_query_qmp_schema,
                         QCO_ALLOW_PRECONFIG, 0);
    qmp_register_command(&qmp_commands, "device_add", qmp_device_add, 0, 0);
    qmp_register_command(&qmp_cap_negotiation_commands, "qmp_capabilities",
                         qmp_marshal_qmp_capabilities, QCO_ALLOW_PRECONFIG, 0);
    dispatcher_bh = qemu_bh_new(dispatcher, NULL);
}

void qmp_dispatcher_shutdown(void)
{
    qemu_bh_delete(g_steal_pointer(&dispatcher_bh));
}

/* ---- input ---- */

bool qmp_oob_enabled(MonitorQMP *mon)
{
    QEMU_LOCK_GUARD(&mon->queue_lock);
    return mon->capab[QMP_CAPABILITY_OOB];
}

/* Takes @obj and @err. */
static void handle_message(MonitorQMP *mon, QObject *obj, Error *err)
{
    QMPRequest *req = g_new0(QMPRequest, 1);
    Monitor *before;

    req->obj = obj;
    req->err = err;
    req->fds = msgfds_ref(mon->fds);
    req->session = mon->session; /* written in this context only */

    if (!err && qmp_is_oob(obj) && qmp_oob_enabled(mon)) {
        before = monitor_set_cur(&mon->common);
        dispatch(mon, req);
        monitor_set_cur(before);
        request_free(req);
        return;
    }
    WITH_QEMU_LOCK_GUARD(&mon->queue_lock) {
        g_queue_push_tail(&mon->requests, req);
        mon->in_flight++;
    }
    qemu_bh_schedule(dispatcher_bh);
}

/*
 * Requests that may be under way at a time: without out-of-band execution just one, so that the
 * end of a client's input is seen only after all that it asked for was done. queue_lock held.
 */
static unsigned int in_flight_max(MonitorQMP *mon)
{
    return mon->capab[QMP_CAPABILITY_OOB] ? QMP_REQ_QUEUE_LEN_MAX : 1;
}

/* There is no room for more, or the client does not read what it asked for. */
static bool must_wait(MonitorQMP *mon)
{
    bool wait;

    if (qatomic_read(&mon->common.suspend_cnt)) {
        return true;
    }
    QEMU_LOCK_GUARD(&mon->queue_lock);
    QEMU_LOCK_GUARD(&mon->common.mon_lock);
    wait = mon->in_flight >= in_flight_max(mon) ||
           mon->common.outbuf->len > MON_OUTBUF_SOFT_LIMIT;
    mon->starved |= wait;
    return wait;
}

/* Works through @p up to @end; what could not be taken stays. */
static const uint8_t *take_input(MonitorQMP *mon, const uint8_t *p, const uint8_t *end)
{
    while (p < end && !must_wait(mon)) {
        QObject *obj = NULL;
        Error *err = NULL;
        char *why = NULL;

        switch (qmp_framer_feed(&mon->framer, &p, end, &why)) {
        case QMP_FRAMER_MORE:
            continue;
        case QMP_FRAMER_MESSAGE:
            obj = qobject_from_json_len(mon->framer.text->str, mon->framer.text->len, &err);
            break;
        case QMP_FRAMER_ERROR:
            error_setg(&err, "%s", why);
            g_free(why);
            break;
        }
        handle_message(mon, obj, err);
    }
    return p;
}

static void take_pending(MonitorQMP *mon)
{
    const uint8_t *start = mon->pending->data, *end = start + mon->pending->len;

    g_byte_array_remove_range(mon->pending, 0, take_input(mon, start, end) - start);
}

static int qmp_can_read(void *opaque)
{
    MonitorQMP *mon = opaque;

    return mon->pending->len || must_wait(mon) ? 0 : 4096;
}

static void qmp_read(void *opaque, const uint8_t *buf, int size)
{
    MonitorQMP *mon = opaque;

    collect_fds(mon);
    g_byte_array_append(mon->pending, buf, size);
    take_pending(mon);
}

static gboolean resume_in_context(gpointer opaque)
{
    MonitorQMP *mon = opaque;

    take_pending(mon);
    qemu_chr_fe_accept_input(&mon->common.chr);
    return G_SOURCE_REMOVE;
}

/* From the main thread, or from the monitor's context: there may be room again. */
void monitor_qmp_resume(MonitorQMP *mon)
{
    bool starved;

    WITH_QEMU_LOCK_GUARD(&mon->queue_lock) {
        starved = mon->starved && mon->in_flight < in_flight_max(mon);
        mon->starved &= !starved;
    }
    if (starved) {
        GSource *source = g_idle_source_new();

        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, resume_in_context, mon, NULL);
        g_source_attach(source, monitor_context(&mon->common));
        g_source_unref(source);
    }
}

/* ---- clients come and go ---- */

static QObject *greeting(MonitorQMP *mon)
{
    struct json_object *capabilities = json_object_new_array();
    struct json_object *hello = json_object_new_object(), *rsp = json_object_new_object();
    VersionInfo *info = qmp_query_version(NULL);
    QObject *version;
    Visitor *v = qobject_output_visitor_new(&version);

    visit_type_VersionInfo(v, NULL, &info, &error_abort);
    visit_complete(v, &version);
    visit_free(v);
    qapi_free_VersionInfo(info);
    for (int i = 0; i < QMP_CAPABILITY__MAX; i++) {
        if (mon->capab_offered[i]) {
            json_object_array_add(capabilities, json_object_new_string(QMPCapability_str(i)));
        }
    }
    json_object_object_add(hello, "version", version);
    json_object_object_add(hello, "capabilities", capabilities);
    json_object_object_add(rsp, "QMP", hello);
    return rsp;
}

/* Forget all about the client before. */
static void new_session(MonitorQMP *mon, bool connected)
{
    QMPRequest *req;

    qmp_framer_reset(&mon->framer);
    g_byte_array_set_size(mon->pending, 0);
    msgfds_unref(g_steal_pointer(&mon->fds));

    QEMU_LOCK_GUARD(&mon->queue_lock);
    while ((req = g_queue_pop_head(&mon->requests))) {
        request_free(req);
        mon->in_flight--;
    }
    mon->session++;
    mon->connected = connected;
    mon->starved = false;
    mon->commands = &qmp_cap_negotiation_commands;
    memset(mon->capab, 0, sizeof(mon->capab));
    QEMU_LOCK_GUARD(&mon->common.mon_lock);
    mon->events_on = false;
    g_string_truncate(mon->common.outbuf, 0);
}

static void qmp_event(void *opaque, QEMUChrEvent event)
{
    MonitorQMP *mon = opaque;
    QObject *hello;

    switch (event) {
    case CHR_EVENT_OPENED:
        new_session(mon, true);
        hello = greeting(mon);
        qmp_send_response(mon, hello);
        json_object_put(hello);
        break;
    case CHR_EVENT_CLOSED:
        new_session(mon, false);
        monitor_forget_fds(&mon->common);
        break;
    case CHR_EVENT_BREAK:
    case CHR_EVENT_MUX_IN:
    case CHR_EVENT_MUX_OUT:
        break;
    }
}

void qmp_qmp_capabilities(bool has_enable, QMPCapabilityList *enable, Error **errp)
{
    MonitorQMP *mon = container_of(monitor_cur(), MonitorQMP, common);
    bool capab[QMP_CAPABILITY__MAX] = { false };

    QEMU_LOCK_GUARD(&mon->queue_lock);
    if (mon->commands == &qmp_commands) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Capabilities negotiation is already complete, command ignored");
        return;
    }
    for (QMPCapabilityList *l = enable; l; l = l->next) {
        if (!mon->capab_offered[l->value]) {
            error_setg(errp, "Capability %s not available", QMPCapability_str(l->value));
            return;
        }
        capab[l->value] = true;
    }
    memcpy(mon->capab, capab, sizeof(capab));
    mon->commands = &qmp_commands;
}

bool monitor_qmp_negotiating(void)
{
    QEMU_LOCK_GUARD(&monitor_lock);
    for (GList *l = mon_list; l; l = l->next) {
        MonitorQMP *mon = container_of((Monitor *)l->data, MonitorQMP, common);

        if (monitor_is_qmp(l->data)) {
            QEMU_LOCK_GUARD(&mon->queue_lock);
            QEMU_LOCK_GUARD(&mon->common.mon_lock);
            if (mon->connected && !mon->events_on) {
                return true;
            }
        }
    }
    return false;
}

/* ---- making and ending them ---- */

static void start(MonitorQMP *mon)
{
    qemu_chr_fe_set_handlers(&mon->common.chr, qmp_can_read, qmp_read, qmp_event, NULL, mon,
                             monitor_context(&mon->common), true);
}

typedef struct Handover {
    MonitorQMP *mon;
    QemuEvent done;
} Handover;

static gboolean start_in_context(gpointer opaque)
{
    Handover *h = opaque;

    start(h->mon);
    qemu_event_set(&h->done);
    return G_SOURCE_REMOVE;
}

/*
 * The character device moves from the main thread to the I/O thread: the former waits meanwhile, so
 * that neither ever sees the other's half of it.
 */
static void start_in_io_thread(MonitorQMP *mon)
{
    Handover h = { .mon = mon };
    GSource *source = g_idle_source_new();

    qemu_event_init(&h.done, false);
    g_source_set_callback(source, start_in_context, &h, NULL);
    g_source_attach(source, monitor_io_context());
    g_source_unref(source);
    qemu_event_wait(&h.done);
    qemu_event_destroy(&h.done);
}

bool monitor_init_qmp(Chardev *chr, bool pretty, Error **errp)
{
    MonitorQMP *mon = g_new0(MonitorQMP, 1);

    if (!qemu_chr_fe_init(&mon->common.chr, chr, errp)) {
        g_free(mon);
        return false;
    }
    qemu_chr_fe_set_echo(&mon->common.chr, true);
    monitor_data_init(&mon->common, true, false,
                      qemu_chr_has_feature(chr, QEMU_CHAR_FEATURE_GCONTEXT));
    mon->common.chr.drain_first = true;
    mon->pretty = pretty;
    /* Overtaking needs a thread of its own. */
    mon->capab_offered[QMP_CAPABILITY_OOB] = mon->common.use_io_thread;
    qemu_mutex_init(&mon->queue_lock);
    g_queue_init(&mon->requests);
    qmp_framer_init(&mon->framer);
    mon->pending = g_byte_array_new();
    mon->commands = &qmp_cap_negotiation_commands;
    monitor_list_append(&mon->common);

    if (mon->common.use_io_thread) {
        start_in_io_thread(mon);
    } else {
        start(mon);
    }
    return true;
}

void monitor_data_destroy_qmp(MonitorQMP *mon)
{
    new_session(mon, false);
    qmp_framer_destroy(&mon->framer);
    g_byte_array_free(mon->pending, true);
    qemu_mutex_destroy(&mon->queue_lock);
}
