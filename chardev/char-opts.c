/*
 * Character devices on the command line: -chardev, and the short forms that -serial, -monitor and
 * -qmp take.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qapi/qapi-visit-char.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/sockets.h"

bool (*qemu_chr_mux_monitor_hook)(Chardev *chr, Error **errp);

QemuOptsList qemu_chardev_opts = {
    .name = "chardev",
    .implied_opt_name = "backend",
    .desc = {
        { .name = "backend", .type = QEMU_OPT_STRING },
        { .name = "path", .type = QEMU_OPT_STRING },
        { .name = "input-path", .type = QEMU_OPT_STRING },
        { .name = "host", .type = QEMU_OPT_STRING },
        { .name = "port", .type = QEMU_OPT_STRING },
        { .name = "fd", .type = QEMU_OPT_STRING },
        { .name = "localaddr", .type = QEMU_OPT_STRING },
        { .name = "localport", .type = QEMU_OPT_STRING },
        { .name = "to", .type = QEMU_OPT_NUMBER },
        { .name = "ipv4", .type = QEMU_OPT_BOOL },
        { .name = "ipv6", .type = QEMU_OPT_BOOL },
        { .name = "wait", .type = QEMU_OPT_BOOL },
        { .name = "server", .type = QEMU_OPT_BOOL },
        { .name = "delay", .type = QEMU_OPT_BOOL },
        { .name = "nodelay", .type = QEMU_OPT_BOOL },
        { .name = "reconnect", .type = QEMU_OPT_NUMBER },
        { .name = "reconnect-ms", .type = QEMU_OPT_NUMBER },
        { .name = "telnet", .type = QEMU_OPT_BOOL },
        { .name = "tn3270", .type = QEMU_OPT_BOOL },
        { .name = "tls-creds", .type = QEMU_OPT_STRING },
        { .name = "tls-authz", .type = QEMU_OPT_STRING },
        { .name = "websocket", .type = QEMU_OPT_BOOL },
        { .name = "width", .type = QEMU_OPT_NUMBER },
        { .name = "height", .type = QEMU_OPT_NUMBER },
        { .name = "cols", .type = QEMU_OPT_NUMBER },
        { .name = "rows", .type = QEMU_OPT_NUMBER },
        { .name = "mux", .type = QEMU_OPT_BOOL },
        { .name = "signal", .type = QEMU_OPT_BOOL },
        { .name = "name", .type = QEMU_OPT_STRING },
        { .name = "debug", .type = QEMU_OPT_NUMBER },
        { .name = "size", .type = QEMU_OPT_SIZE },
        { .name = "chardev", .type = QEMU_OPT_STRING },
        { .name = "append", .type = QEMU_OPT_BOOL },
        { .name = "logfile", .type = QEMU_OPT_STRING },
        { .name = "logappend", .type = QEMU_OPT_BOOL },
        { .name = "mouse", .type = QEMU_OPT_BOOL },
        { .name = "clipboard", .type = QEMU_OPT_BOOL },
        { .name = "tight", .type = QEMU_OPT_BOOL, .def_value_str = "on" },
        { .name = "abstract", .type = QEMU_OPT_BOOL },
        { /* end of list */ }
    },
};

static void register_opts(void)
{
    qemu_add_opts(&qemu_chardev_opts);
}
opts_init(register_opts)

void qemu_chr_parse_common(QemuOpts *opts, ChardevCommon *backend)
{
    const char *logfile = qemu_opt_get(opts, "logfile");

    backend->logfile = g_strdup(logfile);
    backend->has_logappend = true;
    backend->logappend = qemu_opt_get_bool(opts, "logappend", false);
}

/* ---- -chardev ---- */

static void print_kind(ObjectClass *klass, void *opaque)
{
    if (!CHARDEV_CLASS(klass)->internal) {
        printf("  %s\n", object_class_get_name(klass) + strlen("chardev-"));
    }
}

QemuOpts *qemu_chr_parse_cli_str(const char *optarg, bool *help_requested, Error **errp)
{
    QemuOpts *opts;

    *help_requested = false;
    if (is_help_option(optarg)) {
        *help_requested = true;
        printf("Available chardev backend types: \n");
        object_class_foreach(print_kind, TYPE_CHARDEV, false, NULL);
        return NULL;
    }
    opts = qemu_opts_parse(&qemu_chardev_opts, optarg, true, errp);
    return opts;
}

/* What QEMU has and is not here: a user hears that, rather than that it does not exist. */
static bool is_absent_kind(const char *name)
{
    static const char *const absent[] = { "braille", "dbus", "msmouse", "parallel", "parport",
                                          "qemu-vdagent", "serial", "spiceport", "spicevmc",
                                          "testdev", "tty", "udp", "vc", "wctablet",
                                          "websocket", "hub", NULL };
    g_autofree char *kind = g_strndup(name, strcspn(name, ":"));

    return g_strv_contains(absent, kind) || g_str_has_prefix(name, "/dev/");
}

static ChardevBackend *backend_from_opts(QemuOpts *opts, const char **typename, Error **errp)
{
    static const struct {
        const char *alias, *name;
    } aliases[] = { { "memory", "ringbuf" } };
    const char *name = qemu_opt_get(opts, "backend");
    g_autofree char *type = NULL;
    ChardevBackend *backend;
    ChardevClass *cc;
    ObjectClass *oc;
    Error *err = NULL;

    if (!name) {
        error_setg(errp, "chardev: '%s' missing backend", qemu_opts_id(opts));
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (g_str_equal(name, aliases[i].alias)) {
            name = aliases[i].name;
        }
    }
    type = g_strdup_printf("chardev-%s", name);
    oc = object_class_by_name(type);
    if (!oc || object_class_is_abstract(oc) || CHARDEV_CLASS(oc)->internal) {
        error_setg(errp, is_absent_kind(name) ? "character devices of kind '%s' are known, not "
                   "supported" : "'%s' is not a valid char driver name", name);
        error_append_hint(errp, "-chardev help lists the drivers.\n");
        return NULL;
    }
    cc = CHARDEV_CLASS(oc);
    backend = g_new0(ChardevBackend, 1);
    backend->type = qapi_enum_parse(&ChardevBackendKind_lookup, name, 0, &error_abort);
    if (cc->chr_parse) {
        cc->chr_parse(opts, backend, &err);
    } else {
        ChardevCommon *common = g_new0(ChardevCommon, 1);

        qemu_chr_parse_common(opts, common);
        backend->u.null.data = common;
    }
    if (err) {
        error_propagate(errp, err);
        qapi_free_ChardevBackend(backend);
        return NULL;
    }
    *typename = object_class_get_name(oc);
    return backend;
}

Chardev *qemu_chr_new_from_opts(QemuOpts *opts, GMainContext *context, Error **errp)
{
    const char *id = qemu_opts_id(opts), *typename;
    bool mux = qemu_opt_get_bool(opts, "mux", false);
    g_autoptr(ChardevBackend) backend = NULL;
    g_autofree char *base = NULL;
    Chardev *chr;

    if (!id) {
        error_setg(errp, "chardev: no id specified");
        return NULL;
    }
    backend = backend_from_opts(opts, &typename, errp);
    if (!backend) {
        return NULL;
    }
    if (mux) {
        base = g_strdup_printf("%s-base", id);
    }
    chr = qemu_chardev_new(base ?: id, typename, backend, context, errp);
    if (chr && mux) {
        ChardevMux data = { .chardev = base };
        ChardevBackend muxed = { .type = CHARDEV_BACKEND_KIND_MUX, .u.mux.data = &data };
        Chardev *below = chr;

        chr = qemu_chardev_new(id, TYPE_CHARDEV_MUX, &muxed, context, errp);
        if (!chr) {
            object_unparent(OBJECT(below));
        }
    }
    return chr;
}

/* ---- the short forms ---- */

/* "unix:PATH[,opts]" and "tcp:[HOST]:PORT[,opts]": split the address, keep the options. */
static bool compat_socket(QemuOpts *opts, const char *address, bool is_unix, char **rest,
                          Error **errp)
{
    const char *comma = strchr(address, ',');
    g_autofree char *addr = comma ? g_strndup(address, comma - address) : g_strdup(address);
    g_autofree char *host = NULL;
    const char *port;

    *rest = comma ? g_strdup(comma + 1) : NULL;
    if (!qemu_opt_set(opts, "backend", "socket", errp)) {
        return false;
    }
    if (is_unix) {
        if (!addr[0]) {
            error_setg(errp, "the form is unix:PATH[,server=on|off][,wait=on|off]");
            return false;
        }
        return qemu_opt_set(opts, "path", addr, errp);
    }
    port = strrchr(addr, ':');
    if (!port || !port[1]) {
        error_setg(errp, "'%s' lacks a port; the form is HOST:PORT", addr);
        return false;
    }
    host = g_strndup(addr, port - addr);
    if (host[0] == '[' && g_str_has_suffix(host, "]")) {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = 0;
    }
    return qemu_opt_set(opts, "host", host, errp) && qemu_opt_set(opts, "port", port + 1, errp);
}

/* Adds "a=b,c,nod" to options that exist already. */
static bool add_params(QemuOpts *opts, const char *params, Error **errp)
{
    QemuOpts *extra;
    bool ok = true;

    if (!params || !*params) {
        return true;
    }
    extra = qemu_opts_parse(&qemu_chardev_opts, params, false, errp);
    if (!extra) {
        return false;
    }
    for (const QemuOptDesc *d = qemu_chardev_opts.desc; ok && d->name; d++) {
        if (qemu_opt_is_set(extra, d->name)) {
            ok = qemu_opt_set(opts, d->name, qemu_opt_get(extra, d->name), errp);
        }
    }
    qemu_opts_del(extra);
    return ok;
}

static bool compat_fill(QemuOpts *opts, const char *filename, Error **errp)
{
    static const char *const plain[] = { "null", "pty", "stdio", NULL };
    g_autofree char *rest = NULL;
    const char *p;

    if (g_str_equal(filename, "vc")) {
        warn_report("nobody can see a virtual console (vc): what goes there is dropped");
        filename = "null";
    }
    if (g_strv_contains(plain, filename)) {
        return qemu_opt_set(opts, "backend", filename, errp);
    }
    if (strstart(filename, "pty:", &p)) {
        return qemu_opt_set(opts, "backend", "pty", errp) && qemu_opt_set(opts, "path", p, errp);
    }
    if (strstart(filename, "file:", &p)) {
        return qemu_opt_set(opts, "backend", "file", errp) &&
               qemu_opt_set(opts, "path", p, errp);
    }
    if (strstart(filename, "pipe:", &p)) {
        return qemu_opt_set(opts, "backend", "pipe", errp) &&
               qemu_opt_set(opts, "path", p, errp);
    }
    if (strstart(filename, "unix:", &p)) {
        return compat_socket(opts, p, true, &rest, errp) && add_params(opts, rest, errp);
    }
    if (strstart(filename, "tcp:", &p)) {
        return compat_socket(opts, p, false, &rest, errp) && add_params(opts, rest, errp);
    }
    if (strstart(filename, "telnet:", &p)) {
        return compat_socket(opts, p, false, &rest, errp) &&
               qemu_opt_set(opts, "telnet", "on", errp) && add_params(opts, rest, errp);
    }
    error_setg(errp, is_absent_kind(filename) ? "character devices such as '%s' are known, not "
               "supported" : "'%s' is not a valid char driver", filename);
    error_append_hint(errp, "Use stdio, null, pty, file:PATH, pipe:PATH, unix:PATH[,server=on], "
                      "tcp:HOST:PORT[,server=on],\ntelnet:HOST:PORT or chardev:ID.\n");
    return false;
}

QemuOpts *qemu_chr_parse_compat(const char *label, const char *filename, bool permit_mux_mon,
                                Error **errp)
{
    bool mux = false;
    QemuOpts *opts;
    const char *p;

    if (strstart(filename, "mon:", &p)) {
        if (!permit_mux_mon) {
            error_setg(errp, "mon: isn't supported in this context");
            return NULL;
        }
        filename = p;
        mux = true;
    }
    opts = qemu_opts_create(&qemu_chardev_opts, label, true, errp);
    if (!opts) {
        return NULL;
    }
    if (!compat_fill(opts, filename, errp)) {
        qemu_opts_del(opts);
        return NULL;
    }
    if (mux) {
        qemu_opt_set(opts, "mux", "on", &error_abort);
        if (g_str_equal(filename, "stdio")) {
            /* Ctrl-C is for the guest; the multiplexer has an escape to leave. */
            qemu_opt_set(opts, "signal", "off", &error_abort);
        }
    }
    return opts;
}

static Chardev *new_compat(const char *label, const char *filename, bool permit_mux_mon,
                           GMainContext *context, Error **errp)
{
    const char *id;
    QemuOpts *opts;
    Chardev *chr;

    if (strstart(filename, "chardev:", &id)) {
        chr = qemu_chr_find(id);
        if (!chr) {
            error_setg(errp, "chardev \"%s\" not found", id);
        }
        return chr;
    }
    opts = qemu_chr_parse_compat(label, filename, permit_mux_mon, errp);
    if (!opts) {
        return NULL;
    }
    chr = qemu_chr_new_from_opts(opts, context, errp);
    if (chr && qemu_opt_get_bool(opts, "mux", false) && qemu_chr_mux_monitor_hook &&
        !qemu_chr_mux_monitor_hook(chr, errp)) {
        object_unparent(OBJECT(chr));
        chr = NULL;
    }
    qemu_opts_del(opts);
    return chr;
}

Chardev *qemu_chr_new(const char *label, const char *filename, GMainContext *context,
                      Error **errp)
{
    return new_compat(label, filename, false, context, errp);
}

Chardev *qemu_chr_new_mux_mon(const char *label, const char *filename, GMainContext *context,
                              Error **errp)
{
    return new_compat(label, filename, true, context, errp);
}
