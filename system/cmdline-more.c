/*
 * Options that fine-tune what others set up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "chardev/char.h"
#include "cmdline.h"
#include "cmdline-more.h"
#include "hw/nvram/fw_cfg.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"

static QemuOptsList fw_cfg_opts = {
    .name = "fw_cfg", .implied_opt_name = "name",
    .desc = {
        { .name = "name", .type = QEMU_OPT_STRING },
        { .name = "file", .type = QEMU_OPT_STRING },
        { .name = "string", .type = QEMU_OPT_STRING },
        { /* end of list */ }
    },
};

static GArray *fw_cfg_files; /* of NotedOption */

void cmdline_more_init(void)
{
    qemu_add_opts(&fw_cfg_opts);
    fw_cfg_files = g_array_new(false, true, sizeof(NotedOption));
}

/* ---- files for firmware ---- */

bool opt_fw_cfg(const char *arg, Error **errp)
{
    NotedOption noted = { "-fw_cfg", arg, qemu_opts_parse(&fw_cfg_opts, arg, true, errp) };
    const char *name;

    if (!noted.opts) {
        return false;
    }
    name = qemu_opt_get(noted.opts, "name");
    if (!name || !*name || strlen(name) > 55) {
        error_setg(errp, "name=NAME is needed, of 55 characters at most");
        return false;
    }
    if (!qemu_opt_get(noted.opts, "file") == !qemu_opt_get(noted.opts, "string")) {
        error_setg(errp, "either file=FILE or string=TEXT is needed");
        return false;
    }
    if (!g_str_has_prefix(name, "opt/")) {
        warn_report("externally provided fw_cfg item names should be prefixed with \"opt/\"");
    }
    g_array_append_val(fw_cfg_files, noted);
    return true;
}

void cmdline_add_fw_cfg_files(void)
{
    for (guint i = 0; i < fw_cfg_files->len; i++) {
        const NotedOption *noted = &g_array_index(fw_cfg_files, NotedOption, i);
        const char *text = qemu_opt_get(noted->opts, "string");
        g_autofree char *data = NULL;
        g_autoptr(GError) gerr = NULL;
        FWCfgState *s = fw_cfg_find();
        Error *err = NULL;
        gsize len = text ? strlen(text) : 0;

        if (!s) {
            error_setg(&err, "fw_cfg device not available");
        } else if (!text && !g_file_get_contents(qemu_opt_get(noted->opts, "file"), &data, &len,
                                                 &gerr)) {
            error_setg(&err, "can't load %s: %s", qemu_opt_get(noted->opts, "file"),
                       gerr->message);
        }
        if (err) {
            cmdline_fail(noted, err);
        }
        fw_cfg_add_file(s, qemu_opt_get(noted->opts, "name"), text ?: data, len);
    }
}

/* ---- others ---- */

bool opt_mem_prealloc(const char *arg, Error **errp)
{
    cmdline.mem_prealloc = true;
    return true;
}

bool opt_watchdog_action(const char *arg, Error **errp)
{
    g_autofree char *text = g_strdup_printf("watchdog=%s", arg);

    if (strchr(arg, ',')) {
        error_setg(errp, "Parameter 'watchdog' does not accept value '%s'", arg);
        return false;
    }
    return cmdline_apply("action", text, errp);
}

/* What is deprecated or unstable is accepted, as by default; nothing else is there to choose. */
bool opt_compat(const char *arg, Error **errp)
{
    static const char *const known[] = { "deprecated-input", "deprecated-output",
                                         "unstable-input", "unstable-output", NULL };
    QDict *policy = keyval_parse(arg, NULL, NULL, errp);
    bool ok = policy;

    if (!policy) {
        return false;
    }
    json_object_object_foreach(policy, key, value) {
        if (!g_strv_contains(known, key)) {
            error_setg(errp, "Parameter '%s' is unexpected", key);
            ok = false;
        } else if (!g_str_equal(json_object_get_string(value), "accept")) {
            error_setg(errp, "%s=%s is known, not supported: there is only 'accept'", key,
                       json_object_get_string(value));
            ok = false;
        }
        if (!ok) {
            break;
        }
    }
    qobject_unref(policy);
    return ok;
}

bool opt_echr(const char *arg, Error **errp)
{
    char *end;
    long value = strtol(arg, &end, 0);

    if (!*arg || *end || value < 0 || value > 255) {
        error_setg(errp, "the escape character is a number from 0 to 255");
        return false;
    }
    mux_escape_char = value;
    return true;
}

/* GROUP.ID.NAME=VALUE, for what was given before. */
bool opt_set(const char *arg, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(arg, ".", 3);
    char *equals = g_strv_length(parts) == 3 ? strchr(parts[2], '=') : NULL;
    QemuOptsList *list;
    QemuOpts *opts;

    if (!equals || !*parts[0] || !*parts[1] || equals == parts[2]) {
        error_setg(errp, "the form is GROUP.ID.NAME=VALUE");
        return false;
    }
    *equals = 0;
    list = qemu_find_opts_err(parts[0], errp);
    if (!list) {
        return false;
    }
    opts = qemu_opts_find(list, parts[1]);
    if (!opts) {
        error_setg(errp, "there is no %s \"%s\" defined whose options can be set", parts[0],
                   parts[1]);
        return false;
    }
    return qemu_opt_set(opts, parts[2], equals + 1, errp);
}

bool opt_no_acpi(const char *arg, Error **errp)
{
    warn_report("-no-acpi is deprecated, use '-machine acpi=off' instead");
    qdict_put_str(cmdline.machine, "acpi", "off");
    return true;
}
