/*
 * From an HMP command line to arguments.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_HMP_PARSE_H
#define MONITOR_HMP_PARSE_H

#include "monitor/hmp.h"

/* The first word of @p, with *rest behind it; NULL when the line is empty. "x/4x" is "x". */
char *hmp_get_command_name(const char *p, const char **rest);
/* The arguments in @p as @cmd wants them; NULL with @errp set. A new reference. */
QDict *hmp_parse_args(const HMPCommand *cmd, const char *p, Error **errp);
/* What "$name" in an expression stands for; false: nothing. NULL: there are no registers. */
extern bool (*hmp_register_value)(const char *name, int64_t *value);
/* An expression as C has them, without assignment; moves *pp behind it. */
bool hmp_get_expr(const char **pp, int64_t *value, Error **errp);

#endif
