/*
 * Character devices on stream sockets: TCP, unix and abstract, as a server that takes one client
 * at a time or as a client that may connect again after the connection broke.
 *
 * Who does what: the connection is read, and taken down, in the GMainContext of the front end.
 * Writers on other threads never take it down: they note that it is broken, and the reader finds
 * out by itself. `ioc` changes under chr_write_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "io/channel-socket.h"
#include "io/net-listener.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/sockets.h"
#include "qemu/yank.h"

#define TCP_MAX_FDS 16

typedef enum {
    TCP_CHARDEV_STATE_DISCONNECTED,
    TCP_CHARDEV_STATE_CONNECTING,
    TCP_CHARDEV_STATE_CONNECTED,
} TCPChardevState;

typedef struct SocketChardev {
    Chardev parent;
    SocketAddress *addr;     /* as asked for, or as bound */
    bool is_listen;
    bool is_telnet;
    bool do_nodelay;
    int64_t reconnect_time_ms; /* 0: do not */

    TCPChardevState state;
    QIOChannelSocket *sioc;  /* the connection; changes under chr_write_lock */
    QIONetListener *listener;
    GSource *reconnect_timer;
    bool connect_err_reported;
    bool closing;            /* being finalized */
    bool yankable;           /* registered as an instance */

    int telnet_skip;         /* bytes of a telnet command still to be dropped */
    bool telnet_iac;

    int *read_msgfds;        /* came with the last input */
    size_t read_msgfds_num;
    int write_msgfds[TCP_MAX_FDS]; /* go with the next output; chr_write_lock */
    size_t write_msgfds_num;
} SocketChardev;
DECLARE_INSTANCE_CHECKER(SocketChardev, SOCKET_CHARDEV, TYPE_CHARDEV_SOCKET)

static void start_accepting(Chardev *chr);
static void schedule_reconnect(Chardev *chr);

/* ---- names ---- */

static char *describe(SocketChardev *s, const char *prefix)
{
    SocketAddress *a = s->addr;
    const char *proto = s->is_telnet ? "telnet" : "tcp";
    const char *server = s->is_listen ? ",server=on" : "";

    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return g_strdup_printf("%s%s:%s%s%s:%s%s", prefix, proto,
                               strchr(a->u.inet.host, ':') ? "[" : "", a->u.inet.host,
                               strchr(a->u.inet.host, ':') ? "]" : "", a->u.inet.port, server);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return g_strdup_printf("%sunix:%s%s%s", prefix, a->u.q_unix.path,
                               a->u.q_unix.has_abstract && a->u.q_unix.abstract
                               ? ",abstract=on" : "", server);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return g_strdup_printf("%svsock:%s:%s%s", prefix, a->u.vsock.cid, a->u.vsock.port,
                               server);
    case SOCKET_ADDRESS_TYPE_FD:
        return g_strdup_printf("%sfd:%s%s", prefix, a->u.fd.str, server);
    default:
        return g_strdup("socket");
    }
}

/* Both ends of a TCP connection; NULL where they can't be told. */
static char *describe_connection(SocketChardev *s)
{
    g_autoptr(SocketAddress) peer = qio_channel_socket_get_remote_address(s->sioc, NULL);
    g_autoptr(SocketAddress) own = qio_channel_socket_get_local_address(s->sioc, NULL);
    const SocketAddress *left = s->is_listen ? own : peer, *right = s->is_listen ? peer : own;

    if (!peer || !own || peer->type != SOCKET_ADDRESS_TYPE_INET ||
        own->type != SOCKET_ADDRESS_TYPE_INET) {
        return NULL;
    }
    return g_strdup_printf("%s:%s:%s%s <-> %s:%s", s->is_telnet ? "telnet" : "tcp",
                           left->u.inet.host, left->u.inet.port,
                           s->is_listen ? ",server=on" : "",
                           right->u.inet.host, right->u.inet.port);
}

static void set_filename(SocketChardev *s)
{
    Chardev *chr = CHARDEV(s);
    g_autofree char *name = NULL;

    if (s->state == TCP_CHARDEV_STATE_CONNECTED) {
        name = s->addr->type == SOCKET_ADDRESS_TYPE_INET ? describe_connection(s) : NULL;
        name = name ?: describe(s, "");
    } else {
        name = describe(s, "disconnected:");
    }
    /* Somebody may be listing the devices meanwhile. */
    QEMU_LOCK_GUARD(&chr->chr_write_lock);
    g_free(chr->filename);
    chr->filename = g_steal_pointer(&name);
}

/* ---- the connection ---- */

static void drop_read_fds(SocketChardev *s)
{
    for (size_t i = 0; i < s->read_msgfds_num; i++) {
        close(s->read_msgfds[i]);
    }
    g_clear_pointer(&s->read_msgfds, g_free);
    s->read_msgfds_num = 0;
}

static void disconnect(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    bool was_open = s->state == TCP_CHARDEV_STATE_CONNECTED;

    remove_fd_in_watch(chr);
    drop_read_fds(s);
    WITH_QEMU_LOCK_GUARD(&chr->chr_write_lock) {
        if (s->sioc) {
            if (s->yankable) {
                yank_unregister_function(CHARDEV_YANK_INSTANCE(chr->label),
                                         yank_generic_iochannel, s->sioc);
            }
            qio_channel_close(QIO_CHANNEL(s->sioc), NULL);
            g_clear_pointer(&s->sioc, object_unref);
        }
        s->write_msgfds_num = 0;
    }
    s->state = TCP_CHARDEV_STATE_DISCONNECTED;
    if (s->closing) {
        return;
    }
    set_filename(s);
    if (was_open) {
        qemu_chr_be_event(chr, CHR_EVENT_CLOSED);
    }
    if (s->is_listen) {
        start_accepting(chr);
    } else if (s->reconnect_time_ms) {
        schedule_reconnect(chr);
    }
}

static void keep_fds(SocketChardev *s, int *fds, size_t nfds)
{
    if (!nfds) {
        return;
    }
    drop_read_fds(s);
    s->read_msgfds = fds;
    s->read_msgfds_num = nfds;
    for (size_t i = 0; i < nfds; i++) {
        /* What the sender made non-blocking is blocking for whoever uses it here, as if opened
         * by us; nothing is lost if that cannot be done. */
        qemu_set_blocking(fds[i], true, NULL);
    }
}

/* Takes telnet's own commands out of what was read. The new length. */
static size_t strip_telnet(SocketChardev *s, uint8_t *buf, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (s->telnet_skip) {
            s->telnet_skip--;
        } else if (s->telnet_iac) {
            s->telnet_iac = false;
            if (buf[i] == IAC) {
                buf[out++] = IAC;
            } else if (buf[i] == IAC_BREAK) {
                qemu_chr_be_event(CHARDEV(s), CHR_EVENT_BREAK);
            } else if (buf[i] > 250) {
                s->telnet_skip = 1; /* WILL, WONT, DO, DONT with their option */
            }
        } else if (buf[i] == IAC) {
            s->telnet_iac = true;
        } else {
            buf[out++] = buf[i];
        }
    }
    return out;
}

static gboolean socket_read(Chardev *chr, int max)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    uint8_t buf[CHR_READ_BUF_LEN];
    struct iovec iov = { buf, MIN(max, (int)sizeof(buf)) };
    size_t nfds = 0;
    int *fds = NULL;
    ssize_t ret;

    ret = qio_channel_readv_full(QIO_CHANNEL(s->sioc), &iov, 1,
                                 qio_channel_has_feature(QIO_CHANNEL(s->sioc),
                                                         QIO_CHANNEL_FEATURE_FD_PASS)
                                 ? &fds : NULL, &nfds, 0, NULL);
    if (ret == QIO_CHANNEL_ERR_BLOCK) {
        return TRUE;
    }
    if (ret <= 0) {
        disconnect(chr);
        return FALSE;
    }
    keep_fds(s, fds, nfds);
    if (s->is_telnet) {
        ret = strip_telnet(s, buf, ret);
    }
    if (ret > 0) {
        qemu_chr_be_write(chr, buf, ret);
    }
    return TRUE;
}

static void socket_hangup(Chardev *chr)
{
    disconnect(chr);
}

static void watch_connection(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    remove_fd_in_watch(chr);
    if (s->state == TCP_CHARDEV_STATE_CONNECTED) {
        chr->gsource = chr_read_source_new(chr, s->sioc->fd, socket_read, socket_hangup,
                                           chr->gcontext);
    }
}

static void telnet_greeting(Chardev *chr)
{
    /* We echo, we suppress go-ahead, and both directions are binary. */
    static const uint8_t hello[] = { 0xff, 0xfb, 0x01, 0xff, 0xfb, 0x03,
                                     0xff, 0xfb, 0x00, 0xff, 0xfd, 0x00 };

    qemu_chr_write_all(chr, hello, sizeof(hello));
}

static bool new_connection(Chardev *chr, QIOChannelSocket *sioc, Error **errp)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    if (qio_channel_set_blocking(QIO_CHANNEL(sioc), false, errp) < 0) {
        return false;
    }
    if (s->do_nodelay) {
        qio_channel_set_delay(QIO_CHANNEL(sioc), false);
    }
    qio_channel_set_name(QIO_CHANNEL(sioc), chr->label);
    if (s->listener) {
        /* One client at a time: the next one waits in the backlog. */
        qio_net_listener_set_client_func_full(s->listener, NULL, NULL, NULL, NULL);
    }
    s->telnet_skip = 0;
    s->telnet_iac = false;
    s->connect_err_reported = false;
    WITH_QEMU_LOCK_GUARD(&chr->chr_write_lock) {
        s->sioc = QIO_CHANNEL_SOCKET(object_ref(sioc));
        if (s->yankable) {
            yank_register_function(CHARDEV_YANK_INSTANCE(chr->label), yank_generic_iochannel, sioc);
        }
        s->write_msgfds_num = 0;
        s->state = TCP_CHARDEV_STATE_CONNECTED;
    }
    set_filename(s);
    watch_connection(chr);
    if (s->is_telnet && s->is_listen) {
        telnet_greeting(chr);
    }
    qemu_chr_be_event(chr, CHR_EVENT_OPENED);
    return true;
}

/* ---- server ---- */

static void accepted(QIONetListener *listener, QIOChannelSocket *sioc, gpointer data)
{
    Chardev *chr = data;
    Error *err = NULL;

    if (SOCKET_CHARDEV(chr)->state != TCP_CHARDEV_STATE_DISCONNECTED) {
        return;
    }
    if (!new_connection(chr, sioc, &err)) {
        warn_report_err(err);
    }
}

static void start_accepting(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    if (s->listener) {
        qio_net_listener_set_client_func_full(s->listener, accepted, chr, NULL, chr->gcontext);
    }
}

static bool open_server(Chardev *chr, Error **errp)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    g_autofree char *name = g_strdup_printf("chardev-tcp-listener-%s", chr->label);
    SocketAddress *bound;

    s->listener = qio_net_listener_new();
    qio_net_listener_set_name(s->listener, name);
    if (qio_net_listener_open_sync(s->listener, s->addr, 1, errp) < 0) {
        g_clear_pointer(&s->listener, object_unref);
        return false;
    }
    bound = qio_channel_socket_get_local_address(s->listener->sioc[0], NULL);
    if (bound && bound->type == s->addr->type) {
        qapi_free_SocketAddress(s->addr);
        s->addr = bound;
    } else {
        qapi_free_SocketAddress(bound);
    }
    set_filename(s);
    return true;
}

/* ---- client ---- */

static bool connect_now(Chardev *chr, Error **errp)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    g_autoptr(QIOChannelSocket) sioc = qio_channel_socket_new();

    return qio_channel_socket_connect_sync(sioc, s->addr, errp) == 0 &&
           new_connection(chr, sioc, errp);
}

/* What came of an attempt; owns all of it. */
typedef struct ConnectResult {
    Chardev *chr;
    QIOChannelSocket *sioc;
    Error *err;
} ConnectResult;

static gboolean connect_done(gpointer opaque)
{
    g_autofree ConnectResult *r = opaque;
    SocketChardev *s = SOCKET_CHARDEV(r->chr);

    if (!s->closing) {
        s->state = TCP_CHARDEV_STATE_DISCONNECTED;
        if (r->err || !new_connection(r->chr, r->sioc, &r->err)) {
            /* Once is enough: it is tried again and again. */
            if (!s->connect_err_reported) {
                error_prepend(&r->err, "Unable to connect character device %s: ",
                              r->chr->label);
                error_report_err(g_steal_pointer(&r->err));
                s->connect_err_reported = true;
            }
            schedule_reconnect(r->chr);
        }
    }
    error_free(r->err);
    object_unref(r->sioc);
    object_unref(r->chr);
    return G_SOURCE_REMOVE;
}

static void connected(QIOTask *task, gpointer opaque)
{
    ConnectResult *r = g_new0(ConnectResult, 1);
    Chardev *chr = opaque; /* a reference of ours */
    GSource *source;

    r->chr = chr;
    r->sioc = QIO_CHANNEL_SOCKET(object_ref(qio_task_get_source(task)));
    qio_task_propagate_error(task, &r->err);
    if (g_main_context_is_owner(chr->gcontext ?: g_main_context_default())) {
        connect_done(r);
        return;
    }
    /* The front end has moved to another thread since. */
    source = g_idle_source_new();
    g_source_set_callback(source, connect_done, r, NULL);
    g_source_attach(source, chr->gcontext);
    g_source_unref(source);
}

static void connect_later(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    QIOChannelSocket *sioc = qio_channel_socket_new();

    s->state = TCP_CHARDEV_STATE_CONNECTING;
    qio_channel_socket_connect_async(sioc, s->addr, connected, object_ref(OBJECT(chr)), NULL,
                                     chr->gcontext);
    object_unref(sioc);
}

static gboolean reconnect_timeout(gpointer data)
{
    Chardev *chr = data;
    SocketChardev *s = SOCKET_CHARDEV(chr);

    g_clear_pointer(&s->reconnect_timer, g_source_unref);
    if (s->state == TCP_CHARDEV_STATE_DISCONNECTED) {
        connect_later(chr);
    }
    return G_SOURCE_REMOVE;
}

static void stop_reconnect(SocketChardev *s)
{
    if (s->reconnect_timer) {
        g_source_destroy(s->reconnect_timer);
        g_clear_pointer(&s->reconnect_timer, g_source_unref);
    }
}

static void schedule_reconnect(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    stop_reconnect(s);
    s->reconnect_timer = g_timeout_source_new(MIN(s->reconnect_time_ms, UINT_MAX));
    g_source_set_callback(s->reconnect_timer, reconnect_timeout, chr, NULL);
    g_source_attach(s->reconnect_timer, chr->gcontext);
}

/* ---- the class's methods ---- */

static void socket_update_read_handler(Chardev *chr)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    if (s->reconnect_timer) {
        schedule_reconnect(chr); /* move it to the new context */
    }
    if (s->listener && s->state == TCP_CHARDEV_STATE_DISCONNECTED) {
        start_accepting(chr);
    }
    watch_connection(chr);
}

static int socket_write(Chardev *chr, const uint8_t *buf, int len)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    struct iovec iov = { (void *)buf, len };
    ssize_t ret;

    if (s->state != TCP_CHARDEV_STATE_CONNECTED || !s->sioc) {
        return len; /* nobody listens */
    }
    ret = qio_channel_writev_full(QIO_CHANNEL(s->sioc), &iov, 1,
                                  s->write_msgfds_num ? s->write_msgfds : NULL,
                                  s->write_msgfds_num, 0, NULL);
    if (ret == QIO_CHANNEL_ERR_BLOCK) {
        errno = EAGAIN;
        return -1;
    }
    s->write_msgfds_num = 0;
    /* A broken connection: the reader will see its end and take it down. */
    return ret < 0 ? len : ret;
}

static GSource *socket_add_watch(Chardev *chr, GIOCondition cond)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    GSource *source = NULL;

    WITH_QEMU_LOCK_GUARD(&chr->chr_write_lock) {
        if (s->sioc) {
            source = chr_fd_watch_new(s->sioc->fd, cond);
        }
    }
    return source;
}

static int socket_get_msgfds(Chardev *chr, int *fds, int num)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    int n = MIN(num, (int)s->read_msgfds_num);

    for (int i = 0; i < (int)s->read_msgfds_num; i++) {
        if (i < n) {
            fds[i] = s->read_msgfds[i];
        } else {
            close(s->read_msgfds[i]);
        }
    }
    g_clear_pointer(&s->read_msgfds, g_free);
    s->read_msgfds_num = 0;
    return n;
}

static int socket_set_msgfds(Chardev *chr, int *fds, int num)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    if (num > TCP_MAX_FDS || !s->sioc ||
        !qio_channel_has_feature(QIO_CHANNEL(s->sioc), QIO_CHANNEL_FEATURE_FD_PASS)) {
        return -1;
    }
    QEMU_LOCK_GUARD(&chr->chr_write_lock);
    memcpy(s->write_msgfds, fds, num * sizeof(int));
    s->write_msgfds_num = num;
    return 0;
}

static int socket_wait_connected(Chardev *chr, Error **errp)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);

    while (s->state != TCP_CHARDEV_STATE_CONNECTED) {
        if (s->is_listen) {
            g_autoptr(QIOChannelSocket) sioc = NULL;

            info_report("QEMU waiting for connection on: %s", chr->filename);
            sioc = qio_net_listener_wait_client(s->listener);
            if (!new_connection(chr, sioc, errp)) {
                return -1;
            }
        } else {
            Error *err = NULL;

            if (connect_now(chr, &err)) {
                break;
            }
            if (!s->reconnect_time_ms) {
                error_propagate(errp, err);
                return -1;
            }
            error_free(err);
            g_usleep(s->reconnect_time_ms * 1000);
        }
    }
    return 0;
}

static void socket_chr_disconnect(Chardev *chr)
{
    disconnect(chr);
}

/* ---- options ---- */

static SocketAddressLegacy *address_from_opts(QemuOpts *opts, Error **errp)
{
    const char *path = qemu_opt_get(opts, "path"), *host = qemu_opt_get(opts, "host");
    const char *port = qemu_opt_get(opts, "port"), *fd = qemu_opt_get(opts, "fd");
    SocketAddressLegacy *addr;

    if (!!path + !!fd + !!host > 1) {
        error_setg(errp, "None or one of 'path', 'fd' or 'host' option required.");
        return NULL;
    }
    if (!path && !fd && !host) {
        error_setg(errp, "chardev: socket: one of the options 'path', 'host' and 'fd' is needed");
        return NULL;
    }
    if (host && !port) {
        error_setg(errp, "chardev: socket: no port given");
        return NULL;
    }
    addr = g_new0(SocketAddressLegacy, 1);
    if (path) {
        UnixSocketAddress *un = g_new0(UnixSocketAddress, 1);

        addr->type = SOCKET_ADDRESS_TYPE_UNIX;
        addr->u.q_unix.data = un;
        un->path = g_strdup(path);
        un->has_tight = true;
        un->tight = qemu_opt_get_bool(opts, "tight", true);
        un->has_abstract = true;
        un->abstract = qemu_opt_get_bool(opts, "abstract", false);
    } else if (host) {
        InetSocketAddress *in = g_new0(InetSocketAddress, 1);

        addr->type = SOCKET_ADDRESS_TYPE_INET;
        addr->u.inet.data = in;
        in->host = g_strdup(host);
        in->port = g_strdup(port);
        in->has_to = qemu_opt_is_set(opts, "to");
        in->to = qemu_opt_get_number(opts, "to", 0);
        in->has_ipv4 = qemu_opt_is_set(opts, "ipv4");
        in->ipv4 = qemu_opt_get_bool(opts, "ipv4", false);
        in->has_ipv6 = qemu_opt_is_set(opts, "ipv6");
        in->ipv6 = qemu_opt_get_bool(opts, "ipv6", false);
    } else {
        FdSocketAddress *f = g_new0(FdSocketAddress, 1);

        addr->type = SOCKET_ADDRESS_TYPE_FD;
        addr->u.fd.data = f;
        f->str = g_strdup(fd);
    }
    return addr;
}

static void socket_parse_opts(QemuOpts *opts, ChardevBackend *backend, Error **errp)
{
    SocketAddressLegacy *addr = address_from_opts(opts, errp);
    ChardevSocket *sock;

    if (!addr) {
        return;
    }
    sock = backend->u.socket.data = g_new0(ChardevSocket, 1);
    qemu_chr_parse_common(opts, qapi_ChardevSocket_base(sock));
    sock->addr = addr;
    sock->has_nodelay = true;
    sock->nodelay = !qemu_opt_get_bool(opts, "delay", true);
    if (qemu_opt_is_set(opts, "nodelay")) {
        sock->nodelay = qemu_opt_get_bool(opts, "nodelay", false);
    }
    sock->has_telnet = true;
    sock->telnet = qemu_opt_get_bool(opts, "telnet", false);
    sock->has_server = true;
    sock->server = qemu_opt_get_bool(opts, "server", false);
    /* The command line waits for a client by default, chardev-add likewise. */
    sock->has_wait = qemu_opt_is_set(opts, "wait");
    sock->wait = qemu_opt_get_bool(opts, "wait", true);
    sock->has_reconnect = qemu_opt_is_set(opts, "reconnect");
    sock->reconnect = qemu_opt_get_number(opts, "reconnect", 0);
    sock->has_reconnect_ms = qemu_opt_is_set(opts, "reconnect-ms");
    sock->reconnect_ms = qemu_opt_get_number(opts, "reconnect-ms", 0);
    sock->tls_creds = g_strdup(qemu_opt_get(opts, "tls-creds"));
    sock->tls_authz = g_strdup(qemu_opt_get(opts, "tls-authz"));
    sock->has_websocket = qemu_opt_get_bool(opts, "websocket", false);
    sock->websocket = sock->has_websocket;
    sock->has_tn3270 = qemu_opt_get_bool(opts, "tn3270", false);
    sock->tn3270 = sock->has_tn3270;
}

static bool check_options(ChardevSocket *o, bool is_listen, Error **errp)
{
    if (o->tls_creds || o->tls_authz) {
        error_setg(errp, "TLS on character devices is not supported in this version");
    } else if (o->has_websocket && o->websocket) {
        error_setg(errp, "websocket character devices are not supported in this version");
    } else if (o->has_tn3270 && o->tn3270) {
        error_setg(errp, "tn3270 character devices are not supported in this version");
    } else if (is_listen && ((o->has_reconnect && o->reconnect) ||
                             (o->has_reconnect_ms && o->reconnect_ms))) {
        error_setg(errp, "'%s' option is incompatible with socket in server listen mode",
                   o->has_reconnect ? "reconnect" : "reconnect-ms");
    } else if (o->has_reconnect && o->has_reconnect_ms) {
        error_setg(errp, "'reconnect' and 'reconnect-ms' are mutually exclusive");
    } else if ((o->has_reconnect && (o->reconnect < 0 || o->reconnect > INT_MAX / 1000)) ||
               (o->has_reconnect_ms && (o->reconnect_ms < 0 || o->reconnect_ms > INT_MAX))) {
        error_setg(errp, "'reconnect' is out of range");
    } else if (!is_listen && o->has_wait) {
        error_setg(errp, "'wait' option is incompatible with socket in client connect mode");
    } else {
        return true;
    }
    return false;
}

static void socket_open(Chardev *chr, ChardevBackend *backend, bool *be_opened, Error **errp)
{
    SocketChardev *s = SOCKET_CHARDEV(chr);
    ChardevSocket *o = backend->u.socket.data;
    bool wait;

    /* Omitted, "server" is true over QMP; the command line always gives it. */
    s->is_listen = o->has_server ? o->server : true;
    s->is_telnet = o->has_telnet && o->telnet;
    s->do_nodelay = o->has_nodelay && o->nodelay;
    s->reconnect_time_ms = o->has_reconnect ? o->reconnect * 1000
        : o->has_reconnect_ms ? o->reconnect_ms : 0;
    wait = s->is_listen && (!o->has_wait || o->wait);
    *be_opened = false;
    if (!check_options(o, s->is_listen, errp)) {
        return;
    }
    s->addr = socket_address_flatten(o->addr);
    s->yankable = chr->label && yank_register_instance(CHARDEV_YANK_INSTANCE(chr->label), NULL);
    qemu_chr_set_feature(chr, QEMU_CHAR_FEATURE_RECONNECTABLE);
    if (s->addr->type == SOCKET_ADDRESS_TYPE_UNIX) {
        qemu_chr_set_feature(chr, QEMU_CHAR_FEATURE_FD_PASS);
    }
    set_filename(s);

    if (s->is_listen) {
        if (!open_server(chr, errp)) {
            return;
        }
        if (wait) {
            socket_wait_connected(chr, errp);
        } else {
            start_accepting(chr);
        }
    } else if (s->reconnect_time_ms) {
        connect_later(chr);
    } else {
        connect_now(chr, errp);
    }
}

static void socket_finalize(Object *obj)
{
    Chardev *chr = CHARDEV(obj);
    SocketChardev *s = SOCKET_CHARDEV(obj);

    s->closing = true;
    stop_reconnect(s);
    if (s->listener) {
        qio_net_listener_set_client_func_full(s->listener, NULL, NULL, NULL, NULL);
        qio_net_listener_disconnect(s->listener);
        object_unref(s->listener);
    }
    disconnect(chr);
    if (s->yankable) {
        yank_unregister_instance(CHARDEV_YANK_INSTANCE(chr->label));
    }
    qapi_free_SocketAddress(s->addr);
}

static void socket_class_init(ObjectClass *oc, void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->supports_yank = true;
    cc->chr_parse = socket_parse_opts;
    cc->chr_open = socket_open;
    cc->chr_wait_connected = socket_wait_connected;
    cc->chr_write = socket_write;
    cc->chr_disconnect = socket_chr_disconnect;
    cc->chr_get_msgfds = socket_get_msgfds;
    cc->chr_set_msgfds = socket_set_msgfds;
    cc->chr_add_watch = socket_add_watch;
    cc->chr_update_read_handler = socket_update_read_handler;
}

static const TypeInfo socket_types[] = {
    {
        .name = TYPE_CHARDEV_SOCKET,
        .parent = TYPE_CHARDEV,
        .instance_size = sizeof(SocketChardev),
        .instance_finalize = socket_finalize,
        .class_init = socket_class_init,
    },
};
DEFINE_TYPES(socket_types)
