/*
 * Handlers of the options in cmdline-more.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CMDLINE_MORE_H
#define SYSTEM_CMDLINE_MORE_H

void cmdline_more_init(void);
/* Once the machine is there, before its first reset. */
void cmdline_add_fw_cfg_files(void);

bool opt_compat(const char *arg, Error **errp);
bool opt_echr(const char *arg, Error **errp);
bool opt_fw_cfg(const char *arg, Error **errp);
bool opt_mem_prealloc(const char *arg, Error **errp);
bool opt_no_acpi(const char *arg, Error **errp);
bool opt_set(const char *arg, Error **errp);
bool opt_watchdog_action(const char *arg, Error **errp);

#endif
