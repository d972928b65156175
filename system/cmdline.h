/*
 * The command line: the table of options, and what they were given.
 *
 * The handlers only check and note; system/vl.c acts on the notes, in the order that starting
 * needs. Main thread only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_CMDLINE_H
#define SYSTEM_CMDLINE_H

#include "qapi/qobject.h"
#include "qemu/option.h"

typedef struct CmdlineOption {
    const char *name;
    const char *arg;  /* its argument, for the help; NULL: it takes none */
    const char *help; /* NULL: another spelling, or without effect here; not listed */
    bool (*handler)(const char *arg, Error **errp);
} CmdlineOption;

/* Ends with an entry without a name. */
extern const CmdlineOption cmdline_options[];

/* An option that QEMU has and this program has not. */
typedef struct RefusedOption {
    const char *name;
    bool has_arg;
    const char *why;
} RefusedOption;

/* Likewise; an option in both tables is supported. */
extern const RefusedOption cmdline_refused[];

/* An option to be acted on later: errors name it. */
typedef struct NotedOption {
    const char *option; /* "-serial" */
    const char *arg;
    QemuOpts *opts;     /* where it was parsed already */
} NotedOption;

/* What was noted; lists are of NotedOption, in the order given. */
typedef struct CmdlineNotes {
    QDict *machine;        /* -machine and what is short for it; all values are text */
    NotedOption *memory, *smp;
    const char *cpu_model;
    const char *mem_path;
    char *boot_order;      /* of -boot; letters a to p */
    const char *qtest_chrdev, *qtest_log;
    const char *pidfile;
    const char *dump_vmstate;
    GArray *incoming;
    GArray *chardevs, *monitors, *serials, *objects, *devices;
    bool nographic, nodefaults;
    bool display_given;    /* -display, whatever it said */
    bool monitor_given, serial_given;
    bool preconfig;
    bool mem_prealloc;
    bool sandbox, sandbox_no_new_privs;
    unsigned sandbox_denied; /* bits 1 << SandboxItem */
} CmdlineNotes;
extern CmdlineNotes cmdline;

/* The groups that query-command-line-options tells of and that have no owner elsewhere. */
void cmdline_init(void);
/* Walks argv; on an error prints it and exits with 1. */
void cmdline_parse(int argc, char **argv);
/* Prints @err with the option that caused it, and exits with 1. */
void cmdline_fail(const NotedOption *noted, Error *err) G_GNUC_NORETURN;
void cmdline_print_help(void);
/* The handler of option @name (without dash) is given @arg; for what stands for an option. */
bool cmdline_apply(const char *name, const char *arg, Error **errp);
/* -readconfig: each group of the file as if its option had been given. */
bool cmdline_read_config(const char *path, Error **errp);

#endif
