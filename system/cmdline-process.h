/*
 * Handlers of the options about the process itself (cmdline-process.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CMDLINE_PROCESS_H
#define SYSTEM_CMDLINE_PROCESS_H

void cmdline_process_init(void);
/* After parsing, before the first thread: what -sandbox said. */
bool cmdline_enter_sandbox(Error **errp);

bool opt_async_teardown(const char *arg, Error **errp);
bool opt_chroot(const char *arg, Error **errp);
bool opt_datadir(const char *arg, Error **errp);
bool opt_log_items(const char *arg, Error **errp);
bool opt_logfile(const char *arg, Error **errp);
bool opt_readconfig(const char *arg, Error **errp);
bool opt_run_with(const char *arg, Error **errp);
bool opt_runas(const char *arg, Error **errp);
bool opt_sandbox(const char *arg, Error **errp);
bool opt_trace(const char *arg, Error **errp);

#endif
