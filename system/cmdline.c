/*
 * Walking the command line: see system/cmdline.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cmdline.h"
#include "cmdline-drive.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc.h"
#include "qapi/util.h"
#include "qemu/error-report.h"

static const CmdlineOption *find_option(const char *name)
{
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        if (g_str_equal(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

bool cmdline_apply(const char *name, const char *arg, Error **errp)
{
    const CmdlineOption *option = find_option(name);

    assert(option && option->arg);
    return option->handler(arg, errp);
}

/* Ends the program with the right words for an option that there is no handler for. */
static G_GNUC_NORETURN void refuse(const char *given, const char *name)
{
    for (const RefusedOption *o = cmdline_refused; o->name; o++) {
        if (g_str_equal(o->name, name)) {
            error_report("option '%s' is known, not supported: %s", given, o->why);
            exit(1);
        }
    }
    error_report("%s: invalid option", given);
    exit(1);
}

void cmdline_fail(const NotedOption *noted, Error *err)
{
    if (noted && noted->option) {
        if (noted->arg) {
            error_prepend(&err, "%s %s: ", noted->option, noted->arg);
        } else {
            error_prepend(&err, "%s: ", noted->option);
        }
    }
    error_report_err(err);
    exit(1);
}

void cmdline_parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *arg = NULL;
        const CmdlineOption *option;
        Error *err = NULL;

        if (name[0] != '-') {
            cmdline_note_image(name);
            continue;
        }
        option = find_option(name + 1 + (name[1] == '-' && name[2]));
        if (!option) {
            refuse(name, name + 1 + (name[1] == '-' && name[2]));
        }
        if (option->arg) {
            if (++i >= argc) {
                error_report("%s: requires an argument", name);
                exit(1);
            }
            arg = argv[i];
        }
        if (!option->handler(arg, &err)) {
            cmdline_fail(&(NotedOption){ .option = name, .arg = arg }, err);
        }
    }
}

void cmdline_print_help(void)
{
    for (const CmdlineOption *o = cmdline_options; o->name; o++) {
        g_autofree char *form = NULL;
        g_auto(GStrv) lines = NULL;

        if (!o->help) {
            continue;
        }
        form = g_strdup_printf("-%s %s", o->name, o->arg ?: "");
        lines = g_strsplit(o->help, "\n", -1);
        if (strlen(form) > 24) {
            printf("%s\n", form);
            form[0] = 0;
        }
        for (char **line = lines; *line; line++) {
            printf("%-24s %s\n", line == lines ? form : "", *line);
        }
    }
}

/* ---- query-command-line-options ---- */

static CommandLineParameterInfoList *parameters(const QemuOptsList *group)
{
    static const CommandLineParameterType types[] = {
        [QEMU_OPT_STRING] = COMMAND_LINE_PARAMETER_TYPE_STRING,
        [QEMU_OPT_BOOL] = COMMAND_LINE_PARAMETER_TYPE_BOOLEAN,
        [QEMU_OPT_NUMBER] = COMMAND_LINE_PARAMETER_TYPE_NUMBER,
        [QEMU_OPT_SIZE] = COMMAND_LINE_PARAMETER_TYPE_SIZE,
    };
    CommandLineParameterInfoList *list = NULL;

    for (const QemuOptDesc *desc = group->desc; desc->name; desc++) {
        CommandLineParameterInfo *info = g_new0(CommandLineParameterInfo, 1);

        info->name = g_strdup(desc->name);
        info->type = types[desc->type];
        info->help = g_strdup(desc->help);
        info->q_default = g_strdup(desc->def_value_str);
        QAPI_LIST_PREPEND(list, info);
    }
    return list;
}

static CommandLineParameterType parameter_type(const char *qom_type)
{
    static const char *const numbers[] = { "int", "int32", "int64", "uint8", "uint16", "uint32",
                                           "uint64", NULL };

    if (g_strv_contains(numbers, qom_type)) {
        return COMMAND_LINE_PARAMETER_TYPE_NUMBER;
    }
    if (g_str_equal(qom_type, "bool") || g_str_equal(qom_type, "OnOffAuto")) {
        return COMMAND_LINE_PARAMETER_TYPE_BOOLEAN;
    }
    return g_str_equal(qom_type, "size") ? COMMAND_LINE_PARAMETER_TYPE_SIZE
        : COMMAND_LINE_PARAMETER_TYPE_STRING;
}

/* Adds the properties of all machines: a client asks before it chooses one. */
static CommandLineParameterInfoList *machine_properties(CommandLineParameterInfoList *list)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    GSList *machines = object_class_get_list(TYPE_MACHINE, false);

    for (CommandLineParameterInfoList *l = list; l; l = l->next) {
        g_hash_table_add(known, l->value->name);
    }
    for (GSList *m = machines; m; m = m->next) {
        ObjectPropertyIterator iter;
        ObjectProperty *prop;

        object_class_property_iter_init(&iter, m->data);
        while ((prop = object_property_iter_next(&iter))) {
            CommandLineParameterInfo *info;

            if (!prop->set || g_hash_table_contains(known, prop->name)) {
                continue;
            }
            info = g_new0(CommandLineParameterInfo, 1);
            info->name = g_strdup(prop->name);
            info->type = parameter_type(prop->type);
            info->help = g_strdup(prop->description);
            g_hash_table_add(known, info->name);
            QAPI_LIST_PREPEND(list, info);
        }
    }
    g_slist_free(machines);
    return list;
}

typedef struct GroupListing {
    const char *wanted; /* NULL: all */
    CommandLineOptionInfoList *list;
} GroupListing;

static void list_group(QemuOptsList *group, void *opaque)
{
    GroupListing *l = opaque;
    CommandLineOptionInfo *info;

    if (!l->wanted || g_str_equal(l->wanted, group->name)) {
        info = g_new0(CommandLineOptionInfo, 1);
        info->option = g_strdup(group->name);
        info->parameters = parameters(group);
        if (g_str_equal(group->name, "machine")) {
            info->parameters = machine_properties(info->parameters);
        }
        QAPI_LIST_PREPEND(l->list, info);
    }
}

CommandLineOptionInfoList *qmp_query_command_line_options(const char *option, Error **errp)
{
    GroupListing l = { .wanted = option };

    qemu_opts_list_foreach(list_group, &l);
    if (option && !l.list) {
        error_setg(errp, "invalid option name: %s", option);
    }
    return l.list;
}
