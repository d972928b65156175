/*
 * Configuration files (-readconfig).
 *
 * A file is made of groups, each of which says what an option would:
 *
 *     # a comment
 *     [chardev "console"]
 *       backend = "file"
 *       path = "/tmp/console.log"
 *
 * A group becomes the argument of its option, "backend=file,path=…,id=console", and goes the same
 * way as one from the command line: what is checked there is checked here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cmdline.h"
#include "qapi/error.h"
#include "qemu/id.h"

#define CONFIG_MAX (1 << 20) /* bytes; a device of endless bytes is no configuration */

/* Groups that a file may have, and the options that they are. */
static const struct {
    const char *group, *option;
} groups[] = {
    { "accel", "accel" }, { "action", "action" }, { "add-fd", "add-fd" }, { "boot-opts", "boot" },
    { "chardev", "chardev" }, { "device", "device" }, { "drive", "drive" },
    { "global", "global" }, { "machine", "machine" }, { "memory", "m" }, { "mon", "mon" },
    { "msg", "msg" }, { "name", "name" }, { "netdev", "netdev" }, { "nic", "nic" },
    { "net", "net" }, { "numa", "numa" }, { "object", "object" }, { "overcommit", "overcommit" },
    { "rtc", "rtc" }, { "run-with", "run-with" }, { "sandbox", "sandbox" },
    { "smp-opts", "smp" }, { "trace", "trace" }, { "fw_cfg", "fw_cfg" },
};

typedef struct ConfigParser {
    const char *path;
    int line;
    const char *option; /* of the group that is being read; NULL: none yet */
    int group_line;
    GString *arg;
    Error **errp;
} ConfigParser;

static bool complain(ConfigParser *p, int line, Error *err)
{
    error_prepend(&err, "line %d: ", line);
    error_propagate(p->errp, err);
    return false;
}

static bool complain_text(ConfigParser *p, const char *text)
{
    Error *err = NULL;

    error_setg(&err, "%s", text);
    return complain(p, p->line, err);
}

static void add_pair(ConfigParser *p, const char *key, const char *value)
{
    g_string_append_printf(p->arg, "%s%s=", p->arg->len ? "," : "", key);
    for (const char *c = value; *c; c++) {
        g_string_append_c(p->arg, *c);
        if (*c == ',') {
            g_string_append_c(p->arg, ',');
        }
    }
}

static bool end_group(ConfigParser *p)
{
    Error *err = NULL;

    if (!p->option) {
        return true;
    }
    /* Handlers keep the text. */
    if (!cmdline_apply(p->option, g_strdup(p->arg->str), &err)) {
        return complain(p, p->group_line, err);
    }
    p->option = NULL;
    g_string_truncate(p->arg, 0);
    return true;
}

/* [group] or [group "id"] */
static bool begin_group(ConfigParser *p, char *text)
{
    size_t len = strlen(text);
    char *name = text + 1, *id;
    Error *err = NULL;

    if (len < 3 || text[len - 1] != ']') {
        return complain_text(p, "a group is written [NAME] or [NAME \"ID\"]");
    }
    text[len - 1] = 0;
    id = strpbrk(name, " \t");
    if (id) {
        *id++ = 0;
        g_strstrip(id);
        len = strlen(id);
        if (len < 2 || id[0] != '"' || id[len - 1] != '"') {
            return complain_text(p, "a group is written [NAME] or [NAME \"ID\"]");
        }
        id[len - 1] = 0;
        id++;
        if (!id_wellformed(id)) {
            error_setg(&err, "Parameter 'id' expects an identifier");
            return complain(p, p->line, err);
        }
    }
    if (!end_group(p)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        if (g_str_equal(groups[i].group, name)) {
            p->option = groups[i].option;
        }
    }
    if (!p->option) {
        error_setg(&err, "There is no option group '%s'", name);
        return complain(p, p->line, err);
    }
    p->group_line = p->line;
    if (id) {
        add_pair(p, "id", id);
    }
    return true;
}

/* key = "value" */
static bool take_pair(ConfigParser *p, char *text)
{
    char *equals = strchr(text, '='), *value;
    size_t len;

    if (!p->option) {
        return complain_text(p, "no group defined");
    }
    if (!equals) {
        return complain_text(p, "parse error: a line is KEY = \"VALUE\"");
    }
    *equals = 0;
    g_strchomp(text);
    value = g_strstrip(equals + 1);
    len = strlen(value);
    if (!*text || text[strcspn(text, ", \t\"")] || len < 2 || value[0] != '"' ||
        strchr(value + 1, '"') != value + len - 1) {
        return complain_text(p, "parse error: a line is KEY = \"VALUE\"");
    }
    value[len - 1] = 0;
    add_pair(p, text, value + 1);
    return true;
}

/* The whole file; a pipe or a process substitution is as good as a file. */
static char *read_text(const char *path, Error **errp)
{
    FILE *f = fopen(path, "re");
    GString *text = g_string_new(NULL);
    char buf[4096];
    size_t n;

    if (!f) {
        error_setg_file_open(errp, errno, path);
        g_string_free(text, true);
        return NULL;
    }
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0 && text->len <= CONFIG_MAX) {
        g_string_append_len(text, buf, n);
    }
    if (ferror(f) || text->len > CONFIG_MAX || strlen(text->str) != text->len) {
        error_setg(errp, ferror(f) ? "Cannot read config file '%s'"
                   : "'%s' is no configuration: it is longer than 1 MiB or has zero bytes", path);
        g_string_free(text, true);
        text = NULL;
    }
    fclose(f);
    return text ? g_string_free(text, false) : NULL;
}

bool cmdline_read_config(const char *path, Error **errp)
{
    g_autoptr(GString) arg = g_string_new(NULL);
    g_autofree char *text = read_text(path, errp);
    ConfigParser p = { .path = path, .arg = arg, .errp = errp };
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

    if (!text) {
        return false;
    }
    for (char **line = lines; *line; line++) {
        p.line++;
        g_strstrip(*line);
        if (**line && **line != '#' &&
            !(**line == '[' ? begin_group(&p, *line) : take_pair(&p, *line))) {
            return false;
        }
    }
    return end_group(&p);
}
