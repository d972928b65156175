/*
 * HMP: command lines of a person, parsed by the table in hmp-table.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <json-c/json.h>
#include "monitor-internal.h"
#include "hmp-parse.h"
#include "qapi/qapi-commands-misc.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "monitor/version-info.h"

/* ---- help ---- */

/* Does @name stand among the '|'-separated aliases? */
static bool has_name(const HMPCommand *cmd, const char *name)
{
    g_auto(GStrv) names = g_strsplit(cmd->name, "|", -1);

    return g_strv_contains((const char *const *)names, name);
}

static const HMPCommand *find_command(const HMPCommand *table, const char *name)
{
    for (; table->name; table++) {
        if (has_name(table, name)) {
            return table;
        }
    }
    return NULL;
}

static void help_line(Monitor *mon, const HMPCommand *cmd, const char *prefix)
{
    monitor_printf(mon, "%s%s %s -- %s\n", prefix, cmd->name, cmd->params, cmd->help);
}

static void help_table(Monitor *mon, const HMPCommand *table, const char *prefix)
{
    GPtrArray *sorted = g_ptr_array_new();

    for (const HMPCommand *cmd = table; cmd->name; cmd++) {
        guint at = 0;

        while (at < sorted->len &&
               strcmp(((HMPCommand *)g_ptr_array_index(sorted, at))->name, cmd->name) < 0) {
            at++;
        }
        g_ptr_array_insert(sorted, at, (gpointer)cmd);
    }
    for (guint i = 0; i < sorted->len; i++) {
        help_line(mon, g_ptr_array_index(sorted, i), prefix);
    }
    g_ptr_array_free(sorted, true);
}

void hmp_help_cmd(Monitor *mon, const char *name)
{
    g_auto(GStrv) words = NULL;
    const HMPCommand *cmd;

    if (!name || !*name) {
        help_table(mon, hmp_cmds, "");
        return;
    }
    words = g_strsplit(name, " ", 2);
    cmd = find_command(hmp_cmds, words[0]);
    if (cmd && cmd->sub_table) {
        g_autofree char *prefix = g_strdup_printf("%s ", cmd->name);

        if (!words[1] || !*words[1]) {
            help_table(mon, cmd->sub_table, prefix);
            return;
        }
        cmd = find_command(cmd->sub_table, g_strstrip(words[1]));
        if (cmd) {
            help_line(mon, cmd, prefix);
            return;
        }
    } else if (cmd) {
        help_line(mon, cmd, "");
        return;
    }
    monitor_printf(mon, "unknown command: '%s'\n", name);
}

/* ---- running a line ---- */

static void run_line(Monitor *mon, const char *line)
{
    g_autofree char *word = NULL;
    const HMPCommand *cmd;
    Error *err = NULL;
    const char *p;
    QDict *args;

    word = hmp_get_command_name(line, &p);
    if (!word) {
        return;
    }
    cmd = find_command(hmp_cmds, word);
    if (cmd && cmd->sub_table) {
        const char *rest;
        g_autofree char *sub = hmp_get_command_name(p, &rest);

        if (sub) {
            const HMPCommand *found = find_command(cmd->sub_table, sub);

            if (!found) {
                monitor_printf(mon, "unknown command: '%s %s'\n", word, sub);
                return;
            }
            cmd = found;
            p = rest;
        }
    }
    if (!cmd) {
        monitor_printf(mon, "unknown command: '%s'\n", word);
        return;
    }
    args = hmp_parse_args(cmd, p, &err);
    if (!args) {
        bool is_sub = find_command(hmp_info_cmds, cmd->name) == cmd;

        monitor_printf(mon, "%s\n", error_get_pretty(err));
        monitor_printf(mon, "Try \"help %s%s\" for more information\n", is_sub ? "info " : "",
                       is_sub ? cmd->name : word);
        error_free(err);
        return;
    }
    if (cmd->absent) {
        monitor_puts(mon, cmd->absent);
    } else {
        cmd->cmd(mon, args);
    }
    json_object_put(args);
}

void handle_hmp_command(MonitorHMP *mon, const char *cmdline)
{
    Monitor *before = monitor_set_cur(&mon->common);

    run_line(&mon->common, cmdline);
    monitor_set_cur(before);
}

bool hmp_handle_error(Monitor *mon, Error *err)
{
    if (!err) {
        return false;
    }
    monitor_printf(mon, "Error: %s\n", error_get_pretty(err));
    if (error_get_hint(err)) {
        monitor_puts(mon, error_get_hint(err));
    }
    error_free(err);
    return true;
}

char *qmp_human_monitor_command(const char *command_line, bool has_cpu_index, int64_t cpu_index,
                                Error **errp)
{
    MonitorHMP hmp = { .use_readline = false };
    char *output = NULL;

    monitor_data_init(&hmp.common, false, true, false);
    if (has_cpu_index && !monitor_set_cpu(&hmp.common, MIN(cpu_index, INT_MAX))) {
        error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
    } else {
        handle_hmp_command(&hmp, command_line);
        output = g_strdup(hmp.common.outbuf->str);
    }
    monitor_data_destroy(&hmp.common);
    return output;
}

/* ---- completion ---- */

static void complete_names(ReadLineState *rs, const HMPCommand *table, const char *str)
{
    readline_set_completion_index(rs, strlen(str));
    for (; table->name; table++) {
        g_auto(GStrv) names = g_strsplit(table->name, "|", -1);

        for (char **name = names; *name; name++) {
            readline_add_completion_of(rs, str, *name);
        }
    }
}

static void complete_file(ReadLineState *rs, const char *str)
{
    const char *slash = strrchr(str, '/'), *base = slash ? slash + 1 : str;
    g_autofree char *dir = slash ? g_strndup(str, slash - str + 1) : g_strdup("");
    DIR *d = opendir(*dir ? dir : ".");
    struct dirent *entry;

    readline_set_completion_index(rs, strlen(str));
    while (d && (entry = readdir(d))) {
        g_autofree char *path = NULL;
        struct stat st;

        if (!g_str_has_prefix(entry->d_name, base) || entry->d_name[0] == '.') {
            continue;
        }
        path = g_strconcat(dir, entry->d_name, NULL);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            g_autofree char *with_slash = g_strconcat(path, "/", NULL);

            readline_add_completion(rs, with_slash);
        } else {
            readline_add_completion(rs, path);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* The @n-th positional argument (from 0), past flags and formats. */
static const HMPArg *positional(const HMPCommand *cmd, guint n)
{
    for (const HMPArg *arg = cmd->args; arg->type != HMP_ARG_END; arg++) {
        if (arg->type != HMP_ARG_FLAG && arg->type != HMP_ARG_FORMAT && n-- == 0) {
            return arg;
        }
    }
    return NULL;
}

static void find_completion(void *opaque, const char *line)
{
    MonitorHMP *mon = opaque;
    g_auto(GStrv) words = g_strsplit_set(line, " ", -1);
    const HMPCommand *cmd;
    GPtrArray *args = g_ptr_array_new();
    const char *last = words[0] ? words[g_strv_length(words) - 1] : "";
    const HMPArg *arg;

    /* The words before the last one, without flags. */
    for (char **w = words; *w && w[1]; w++) {
        if (**w && **w != '-') {
            g_ptr_array_add(args, *w);
        }
    }
    if (!args->len) {
        complete_names(mon->rs, hmp_cmds, last);
        goto out;
    }
    cmd = find_command(hmp_cmds, g_ptr_array_index(args, 0));
    if (cmd && has_name(cmd, "help")) {
        complete_names(mon->rs, args->len > 1 ? hmp_info_cmds : hmp_cmds, last);
        goto out;
    }
    if (cmd && cmd->sub_table) {
        if (args->len == 1) {
            complete_names(mon->rs, cmd->sub_table, last);
            goto out;
        }
        g_ptr_array_remove_index(args, 0);
        cmd = find_command(cmd->sub_table, g_ptr_array_index(args, 0));
    }
    if (!cmd) {
        goto out;
    }
    if (cmd->completion) {
        cmd->completion(mon->rs, args->len + 1, last);
        goto out;
    }
    arg = positional(cmd, args->len - 1);
    if (arg && arg->type == HMP_ARG_FILENAME) {
        complete_file(mon->rs, last);
    } else if (arg && arg->type == HMP_ARG_BOOL) {
        readline_set_completion_index(mon->rs, strlen(last));
        readline_add_completion_of(mon->rs, last, "on");
        readline_add_completion_of(mon->rs, last, "off");
    }
out:
    g_ptr_array_free(args, true);
}

/* ---- a monitor on a character device ---- */

static void rl_puts(void *opaque, const char *text)
{
    monitor_puts(opaque, text);
}

static void rl_flush(void *opaque)
{
    monitor_flush(opaque);
}

static void rl_line(void *opaque, const char *line)
{
    MonitorHMP *mon = opaque;

    /* The command may hold back the prompt (monitor_suspend) and resume it when it is done. */
    qatomic_inc(&mon->common.suspend_cnt);
    handle_hmp_command(mon, line);
    monitor_resume(&mon->common);
}

static const ReadLineOps rl_ops = {
    .puts = rl_puts, .flush = rl_flush, .line = rl_line, .complete = find_completion,
};

ReadLineState *monitor_readline(Monitor *mon)
{
    return monitor_is_qmp(mon) ? NULL : container_of(mon, MonitorHMP, common)->rs;
}

static int hmp_can_read(void *opaque)
{
    Monitor *mon = opaque;

    return !qatomic_read(&mon->suspend_cnt);
}

static void hmp_read(void *opaque, const uint8_t *buf, int size)
{
    MonitorHMP *mon = opaque;

    for (int i = 0; i < size; i++) {
        if (mon->rs) {
            readline_handle_byte(mon->rs, buf[i]);
        } else if (buf[i] == '\n' || buf[i] == '\r' || !buf[i]) {
            handle_hmp_command(mon, mon->line->str);
            g_string_truncate(mon->line, 0);
        } else if (mon->line->len < 65536) {
            g_string_append_c(mon->line, buf[i]);
        }
    }
}

static void hmp_event(void *opaque, QEMUChrEvent event)
{
    MonitorHMP *mon = opaque;
    Monitor *common = &mon->common;

    switch (event) {
    case CHR_EVENT_MUX_IN:
        WITH_QEMU_LOCK_GUARD(&common->mon_lock) {
            common->mux_out = false;
            if (mon->reset_seen) {
                g_string_append(common->outbuf, "\r\n");
                monitor_flush_locked(common);
            }
        }
        if (mon->reset_seen) {
            if (mon->rs) {
                readline_show_prompt(mon->rs);
            }
        }
        break;
    case CHR_EVENT_MUX_OUT:
        monitor_flush(common);
        WITH_QEMU_LOCK_GUARD(&common->mon_lock) {
            common->mux_out = true;
        }
        break;
    case CHR_EVENT_OPENED:
        monitor_printf(common, "QEMU %s monitor - type 'help' for more information\n",
                       QEMU_INTERFACE_VERSION);
        mon->reset_seen = true;
        if (mon->rs) {
            readline_restart(mon->rs);
            if (!common->mux_out) {
                readline_show_prompt(mon->rs);
            }
        }
        break;
    case CHR_EVENT_CLOSED:
        mon->reset_seen = false;
        monitor_forget_fds(common);
        break;
    case CHR_EVENT_BREAK:
        break;
    }
}

bool monitor_init_hmp(Chardev *chr, bool use_readline, Error **errp)
{
    MonitorHMP *mon = g_new0(MonitorHMP, 1);

    if (!qemu_chr_fe_init(&mon->common.chr, chr, errp)) {
        g_free(mon);
        return false;
    }
    monitor_data_init(&mon->common, false, false, false);
    /* A multiplexer gives the focus to whoever comes last: not to the monitor, at first. */
    mon->common.mux_out = CHARDEV_IS_MUX(chr);
    mon->use_readline = use_readline;
    mon->line = g_string_new(NULL);
    if (use_readline) {
        mon->rs = readline_new(&rl_ops, mon, "(qemu) ");
    }
    qemu_chr_fe_set_handlers(&mon->common.chr, hmp_can_read, hmp_read, hmp_event, NULL, mon, NULL,
                             true);
    monitor_list_append(&mon->common);
    return true;
}

void monitor_data_destroy_hmp(MonitorHMP *mon)
{
    readline_free(mon->rs);
    if (mon->line) {
        g_string_free(mon->line, true);
    }
}
