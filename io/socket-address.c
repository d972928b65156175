/*
 * The text forms of socket addresses, in and out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"

/* --- host:port,options --- */

static bool parse_flag(const char *name, const char *value, bool *has, bool *result,
                       Error **errp)
{
    *has = true;
    if (!value || !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true")) {
        *result = true;
    } else if (!strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "false")) {
        *result = false;
    } else {
        error_setg(errp, "error parsing '%s' flag '%s': expected 'on' or 'off'", name, value);
        return false;
    }
    return true;
}

static bool parse_option(InetSocketAddress *addr, char *option, Error **errp)
{
    char *value = strchr(option, '=');

    if (value) {
        *value++ = '\0';
    }
    if (!strcmp(option, "to")) {
        unsigned int to;

        if (!value || qemu_strtoui(value, NULL, 10, &to) < 0 || to > UINT16_MAX) {
            error_setg(errp, "error parsing to= argument '%s': expected a port number",
                       value ? value : "");
            return false;
        }
        addr->has_to = true;
        addr->to = to;
        return true;
    }
    if (!strcmp(option, "ipv4")) {
        return parse_flag("ipv4", value, &addr->has_ipv4, &addr->ipv4, errp);
    }
    if (!strcmp(option, "ipv6")) {
        return parse_flag("ipv6", value, &addr->has_ipv6, &addr->ipv6, errp);
    }
    if (!strcmp(option, "keep-alive")) {
        return parse_flag("keep-alive", value, &addr->has_keep_alive, &addr->keep_alive, errp);
    }
    if (!strcmp(option, "numeric")) {
        return parse_flag("numeric", value, &addr->has_numeric, &addr->numeric, errp);
    }
    if (!strcmp(option, "mptcp")) {
        return parse_flag("mptcp", value, &addr->has_mptcp, &addr->mptcp, errp);
    }
    error_setg(errp, "unknown option '%s' in socket address: "
               "expected to=, ipv4, ipv6, keep-alive, numeric or mptcp", option);
    return false;
}

static bool parse_options(InetSocketAddress *addr, const char *text, Error **errp)
{
    g_auto(GStrv) options = g_strsplit(text, ",", -1);

    if (!*options) {
        error_setg(errp, "socket address ends with a comma: expected an option behind it");
        return false;
    }
    for (char **o = options; *o; o++) {
        if (!parse_option(addr, *o, errp)) {
            return false;
        }
    }
    return true;
}

int inet_parse(InetSocketAddress *addr, const char *str, Error **errp)
{
    const char *host = str;
    const char *host_end;
    const char *port;
    size_t port_len;

    memset(addr, 0, sizeof(*addr));
    if (str[0] == '[') {
        host = str + 1;
        host_end = strchr(host, ']');
        if (!host_end || host_end[1] != ':' || host_end == host) {
            error_setg(errp, "error parsing IPv6 address '%s': expected [HOST]:PORT", str);
            return -1;
        }
        port = host_end + 2;
    } else {
        host_end = str + strcspn(str, ":,");
        if (*host_end != ':') {
            error_setg(errp, "error parsing address '%s': expected HOST:PORT", str);
            return -1;
        }
        port = host_end + 1;
    }
    port_len = strcspn(port, ",");
    if (!port_len || memchr(port, ':', port_len)) {
        error_setg(errp, "error parsing port in address '%s'", str);
        goto fail;
    }
    if (host_end - host >= NI_MAXHOST || port_len >= NI_MAXSERV) {
        error_setg(errp, "host or port in address '%.80s…' is too long", str);
        goto fail;
    }
    if (port[port_len] == ',' && !parse_options(addr, port + port_len + 1, errp)) {
        goto fail;
    }
    addr->host = g_strndup(host, host_end - host);
    addr->port = g_strndup(port, port_len);
    return 0;

fail:
    memset(addr, 0, sizeof(*addr));
    return -1;
}

/* --- any kind --- */

static bool vsock_parse(VsockSocketAddress *addr, const char *str, Error **errp)
{
    const char *colon = strchr(str, ':');

    if (!colon || colon == str || !colon[1] || strchr(colon + 1, ':')) {
        error_setg(errp, "error parsing vsock address '%s': expected CID:PORT", str);
        return false;
    }
    addr->cid = g_strndup(str, colon - str);
    addr->port = g_strdup(colon + 1);
    return true;
}

SocketAddress *socket_parse(const char *str, Error **errp)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);
    const char *rest;

    if (strstart(str, "unix:", &rest)) {
        addr->type = SOCKET_ADDRESS_TYPE_UNIX;
        if (!*rest) {
            error_setg(errp, "invalid Unix socket address: expected unix:PATH");
            goto fail;
        }
        addr->u.q_unix.path = g_strdup(rest);
    } else if (strstart(str, "fd:", &rest)) {
        addr->type = SOCKET_ADDRESS_TYPE_FD;
        if (!*rest) {
            error_setg(errp, "invalid file descriptor address: expected fd:NAME or fd:NUMBER");
            goto fail;
        }
        addr->u.fd.str = g_strdup(rest);
    } else if (strstart(str, "vsock:", &rest)) {
        addr->type = SOCKET_ADDRESS_TYPE_VSOCK;
        if (!vsock_parse(&addr->u.vsock, rest, errp)) {
            goto fail;
        }
    } else {
        if (!strstart(str, "tcp:", &rest)) {
            rest = str;
        }
        addr->type = SOCKET_ADDRESS_TYPE_INET;
        if (inet_parse(&addr->u.inet, rest, errp) < 0) {
            goto fail;
        }
    }
    return addr;

fail:
    qapi_free_SocketAddress(addr);
    return NULL;
}

char *socket_address_to_string(const SocketAddress *addr)
{
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return g_strdup_printf(strchr(addr->u.inet.host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s",
                               addr->u.inet.host, addr->u.inet.port);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return g_strdup_printf("unix:%s", addr->u.q_unix.path);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return g_strdup_printf("vsock:%s:%s", addr->u.vsock.cid, addr->u.vsock.port);
    case SOCKET_ADDRESS_TYPE_FD:
        return g_strdup_printf("fd:%s", addr->u.fd.str);
    default:
        return g_strdup("unknown address type");
    }
}

char *socket_uri(SocketAddress *addr)
{
    return socket_address_to_string(addr);
}

SocketAddress *socket_address_flatten(SocketAddressLegacy *addr_legacy)
{
    SocketAddress *addr;

    if (!addr_legacy) {
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = addr_legacy->type;
    switch (addr_legacy->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        QAPI_CLONE_MEMBERS(InetSocketAddress, &addr->u.inet, addr_legacy->u.inet.data);
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        QAPI_CLONE_MEMBERS(UnixSocketAddress, &addr->u.q_unix, addr_legacy->u.q_unix.data);
        break;
    case SOCKET_ADDRESS_TYPE_VSOCK:
        QAPI_CLONE_MEMBERS(VsockSocketAddress, &addr->u.vsock, addr_legacy->u.vsock.data);
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        QAPI_CLONE_MEMBERS(FdSocketAddress, &addr->u.fd, addr_legacy->u.fd.data);
        break;
    default:
        g_assert_not_reached();
    }
    return addr;
}
