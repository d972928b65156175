/*
 * What the files of the monitor share.
 *
 * Threads: a QMP monitor on a character device that can be run anywhere lives in the monitor I/O
 * thread: reading, framing, out-of-band commands and closing happen there. All other commands are
 * queued and run by a bottom half on the main thread, under the BQL. HMP lives on the main thread.
 *
 * Locks, in the order in which they may be taken: monitor_lock, queue_lock, mon_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_INTERNAL_H
#define MONITOR_INTERNAL_H

#include "chardev/char-fe.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "monitor/qmp-framer.h"
#include "monitor/readline.h"
#include "qapi/error.h"
#include "qapi/qapi-types-control.h"
#include "qapi/qmp-event.h"
#include "qapi/qmp-registry.h"
#include "qemu/thread.h"

/* Requests that may wait for the main thread, a monitor. */
#define QMP_REQ_QUEUE_LEN_MAX 8
/* Beyond this much output not taken by the client, its requests have to wait … */
#define MON_OUTBUF_SOFT_LIMIT (1 << 20)
/* … and beyond this, events are dropped. */
#define MON_OUTBUF_HARD_LIMIT (64 << 20)

struct Monitor {
    CharBackend chr;
    bool is_qmp;
    bool use_io_thread;
    bool skip_flush;    /* output is collected, not sent: human-monitor-command */
    int suspend_cnt;    /* atomic: input waits while it is not 0 */
    char *cpu_path;     /* canonical path of the vCPU chosen by "cpu"; NULL: the first */

    QemuMutex mon_lock; /* the fields below */
    GString *outbuf;
    bool out_watch;     /* room for output is being waited for */
    bool mux_out;       /* a multiplexer shows another front end */
};

/* Descriptors that came with one message; shared by the requests it held. */
typedef struct MsgFds {
    int refs; /* atomic */
    int n;
    int next; /* first one not taken yet */
    int fds[16];
} MsgFds;

typedef struct MonitorQMP {
    Monitor common;
    bool pretty;
    bool capab_offered[QMP_CAPABILITY__MAX];

    /* Of the monitor's own context. */
    QmpFramer framer;
    GByteArray *pending; /* input that waits for room in the queue */
    MsgFds *fds;         /* came last */

    QemuMutex queue_lock; /* the fields below */
    GQueue requests;      /* of QMPRequest */
    unsigned int in_flight; /* queued, or running on the main thread */
    unsigned int session; /* counts the clients; a reply goes to the one that asked only */
    bool connected;
    bool starved;         /* the context has to be woken when there is room */
    const QmpCommandList *commands; /* what the client may call now */
    bool capab[QMP_CAPABILITY__MAX];

    bool events_on;       /* mon_lock: the reply to qmp_capabilities is on its way */
    MsgFds *cur_fds;      /* main thread: of the request that runs */
} MonitorQMP;

struct MonitorHMP {
    Monitor common;
    bool use_readline;
    bool reset_seen;
    ReadLineState *rs;  /* NULL without line editing */
    GString *line;      /* then: what came of the line */
};

static inline bool monitor_is_qmp(const Monitor *mon)
{
    return mon->is_qmp;
}

/* ---- monitor.c ---- */
extern QemuMutex monitor_lock;
extern GList *mon_list; /* of Monitor; monitor_lock */
void monitor_data_init(Monitor *mon, bool is_qmp, bool skip_flush, bool use_io_thread);
void monitor_data_destroy(Monitor *mon);
void monitor_list_append(Monitor *mon);
GMainContext *monitor_io_context(void); /* starts the thread when it is first asked for */
GMainContext *monitor_context(Monitor *mon);
int monitor_puts_locked(Monitor *mon, const char *str);
/* Send what can be sent now. mon_lock held. */
void monitor_flush_locked(Monitor *mon);
void monitor_send_event(QAPIEvent event, QObject *data);

/* ---- qmp.c ---- */
extern QmpCommandList qmp_commands, qmp_cap_negotiation_commands;
void monitor_data_destroy_qmp(MonitorQMP *mon);
void qmp_dispatcher_init(void);
void qmp_dispatcher_shutdown(void);
/* One line of JSON (or several, if @pretty) at the end of @out. */
void qmp_json_append(GString *out, const QObject *obj, bool pretty);
void qmp_send_response(MonitorQMP *mon, const QObject *rsp);
bool qmp_oob_enabled(MonitorQMP *mon);
void msgfds_unref(MsgFds *fds);
void monitor_qmp_resume(MonitorQMP *mon);

/* ---- hmp.c ---- */
void monitor_data_destroy_hmp(MonitorHMP *mon);
void handle_hmp_command(MonitorHMP *mon, const char *cmdline);

#endif
