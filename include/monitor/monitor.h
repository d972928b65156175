/*
 * Monitors: how a person (HMP) or a program (QMP) watches and steers the machine.
 *
 * Locking: the functions that make and end monitors want the BQL. Printing and sending events may
 * be done from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "chardev/char.h"
#include "qemu/fd-registry.h"
#include "qemu/option.h"

typedef struct MonitorHMP MonitorHMP;

/* "-mon": chardev, mode, pretty. */
extern QemuOptsList qemu_mon_opts;

/* Commands, the events' way out, the mux hook. Once, early. */
void monitor_init_globals(void);
/* Sends what is left to send and ends all monitors. Once, late. */
void monitor_cleanup(void);

/* One -mon. */
bool monitor_init_opts(QemuOpts *opts, Error **errp);
bool monitor_init_qmp(Chardev *chr, bool pretty, Error **errp);

/* Whether a QMP client is connected that has not ended the negotiation, and so gets no events so far. */
bool monitor_qmp_negotiating(void);
bool monitor_init_hmp(Chardev *chr, bool use_readline, Error **errp);

/* The current monitor is an HMP (QMP) one; false without a current monitor. */
bool monitor_cur_is_hmp(void);
bool monitor_cur_is_qmp(void);

/* HMP output; nothing happens on a QMP monitor, and the result is -1 then. */
int monitor_printf(Monitor *mon, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
int monitor_vprintf(Monitor *mon, const char *fmt, va_list ap) G_GNUC_PRINTF(2, 0);
int monitor_puts(Monitor *mon, const char *str);
void monitor_flush(Monitor *mon);

/*
 * Hold back a monitor's further input while a command goes on (migrate without -d), and go on.
 * -ENOTTY where nobody sits at the monitor (human-monitor-command).
 */
int monitor_suspend(Monitor *mon);
void monitor_resume(Monitor *mon);

/* The vCPU that HMP's cpu command chose; -1 when there is none. */
int monitor_get_cpu_index(Monitor *mon);
CPUState *monitor_get_cpu(Monitor *mon);
bool monitor_set_cpu(Monitor *mon, int cpu_index);

/* A descriptor that came along with the command being run, or -1. The caller owns it. */
int monitor_take_msgfd(Monitor *mon);

/* Prints and frees @err ("Error: …"); true when there was one. */
bool hmp_handle_error(Monitor *mon, Error *err);

#endif
