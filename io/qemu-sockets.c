/*
 * Sockets from addresses: resolving, connecting, listening (with port ranges), and what the
 * kernel says the ends of a socket are. Text forms are in socket-address.c.
 *
 * Relies on getaddrinfo() for names; a name that stands for several addresses is tried in the
 * resolver's order, and the last failure is the one reported.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/fd-registry.h"
#include "qemu/sockets.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include <linux/vm_sockets.h>
#include <poll.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Room that a unix socket gets in the kernel: a few large writes' worth. TCP sizes its own. */
#define UNIX_SOCKET_BUFFER (2 * 1024 * 1024)
/* How often a unix socket is tried whose listener has no room. */
#define CONNECT_RETRY_MS 20

int qemu_socket(int domain, int type, int protocol)
{
    return socket(domain, type | SOCK_CLOEXEC, protocol);
}

int qemu_accept(int s, struct sockaddr *addr, socklen_t *addrlen)
{
    return RETRY_ON_EINTR(accept4(s, addr, addrlen, SOCK_CLOEXEC));
}

int socket_set_cork(int fd, int v)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_CORK, &v, sizeof(v)) < 0 ? -errno : 0;
}

int socket_set_nodelay(int fd)
{
    int v = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)) < 0 ? -errno : 0;
}

bool fd_is_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

static void unix_enlarge_buffers(int fd)
{
    static const int options[][2] = {
        { SO_SNDBUFFORCE, SO_SNDBUF },
        { SO_RCVBUFFORCE, SO_RCVBUF },
    };
    int size = UNIX_SOCKET_BUFFER;

    /* Best effort: an unprivileged process gets what net.core.[rw]mem_max allows. */
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (setsockopt(fd, SOL_SOCKET, options[i][0], &size, sizeof(size)) < 0) {
            setsockopt(fd, SOL_SOCKET, options[i][1], &size, sizeof(size));
        }
    }
}

/* Until @fd can be written (-1: nothing) or @ms have passed (-1: never). False: woken; sets errno. */
static bool wait_to_connect(int fd, int wakefd, int ms)
{
    struct pollfd pfd[2] = {
        { .fd = wakefd, .events = POLLIN },
        { .fd = fd, .events = POLLOUT },
    };

    if (RETRY_ON_EINTR(poll(pfd, 2, ms)) < 0) {
        return false;
    }
    if (pfd[0].revents) {
        errno = ECANCELED;
        return false;
    }
    return true;
}

/*
 * connect(2) without blocking, so that @wakefd can end it. -1 with errno set.
 *
 * TCP and vsock go on in the kernel. A unix socket whose listener's queue is full does not, and
 * nothing says when there is room: one has to try again.
 */
static int connect_nonblocking(int fd, const struct sockaddr *sa, socklen_t salen, int wakefd)
{
    int err = 0;
    socklen_t len = sizeof(err);

    while (connect(fd, sa, salen) < 0) {
        if (errno == EAGAIN && sa->sa_family == AF_UNIX) {
            if (!wait_to_connect(-1, wakefd, CONNECT_RETRY_MS)) {
                return -1;
            }
        } else if (errno == EINPROGRESS || errno == EINTR) {
            if (!wait_to_connect(fd, wakefd, -1) ||
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
                return -1;
            }
            errno = err;
            return err ? -1 : 0;
        } else {
            return -1;
        }
    }
    return 0;
}

/* The same for a blocking socket, which it is again afterwards. */
static int connect_fd(int fd, const struct sockaddr *sa, socklen_t salen, int wakefd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        connect_nonblocking(fd, sa, salen, wakefd) < 0) {
        return -1;
    }
    return fcntl(fd, F_SETFL, flags) < 0 ? -1 : 0;
}

static void close_keeping_errno(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

/* --- inet --- */

int inet_ai_family_from_address(InetSocketAddress *addr, Error **errp)
{
    bool want4 = addr->has_ipv4 && addr->ipv4;
    bool want6 = addr->has_ipv6 && addr->ipv6;
    bool deny4 = addr->has_ipv4 && !addr->ipv4;
    bool deny6 = addr->has_ipv6 && !addr->ipv6;

    if (deny4 && deny6) {
        error_setg(errp, "Cannot disable IPv4 and IPv6 at same time");
        return -1;
    }
    if (want4 == want6 && !deny4 && !deny6) {
        return AF_UNSPEC;
    }
    return (want6 && !want4) || deny4 ? AF_INET6 : AF_INET;
}

static struct addrinfo *inet_lookup(InetSocketAddress *addr, bool passive, Error **errp)
{
    struct addrinfo hints = {
        .ai_family = inet_ai_family_from_address(addr, errp),
        .ai_socktype = SOCK_STREAM,
        .ai_flags = passive ? AI_PASSIVE : 0,
    };
    struct addrinfo *res = NULL;
    const char *host = addr->host && *addr->host ? addr->host : NULL;
    const char *port = addr->port && *addr->port ? addr->port : NULL;
    int rc;

    if (hints.ai_family < 0) {
        return NULL;
    }
    if (addr->has_numeric && addr->numeric) {
        hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    }
    if (!passive && (!host || !port)) {
        error_setg(errp, "host and/or port not specified");
        return NULL;
    }
    if (port && g_ascii_isdigit(port[0])) {
        unsigned int value;

        if (qemu_strtoui(port, NULL, 10, &value) < 0 || value > UINT16_MAX) {
            error_setg(errp, "Invalid port '%s': expected a number from 0 to 65535", port);
            return NULL;
        }
    }
    rc = getaddrinfo(host, port ? port : "0", &hints, &res);
    if (rc) {
        error_setg(errp, "address resolution failed for %s:%s: %s", host ? host : "",
                   port ? port : "", rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return NULL;
    }
    if (addr->has_mptcp && addr->mptcp) {
        for (struct addrinfo *e = res; e; e = e->ai_next) {
            e->ai_protocol = IPPROTO_MPTCP;
        }
    }
    return res;
}

static bool inet_set_keepalive(int fd, InetSocketAddress *addr, Error **errp)
{
    int v = 1;

    if (addr->has_keep_alive && addr->keep_alive &&
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)) < 0) {
        error_setg_errno(errp, errno, "Unable to set keep-alive option on socket");
        return false;
    }
    return true;
}

static int inet_connect_until(InetSocketAddress *saddr, int wakefd, Error **errp)
{
    struct addrinfo *res = inet_lookup(saddr, false, errp);
    int fd = -1;

    if (!res) {
        return -1;
    }
    errno = EADDRNOTAVAIL;
    for (struct addrinfo *e = res; e && fd < 0; e = e->ai_next) {
        fd = qemu_socket(e->ai_family, e->ai_socktype, e->ai_protocol);
        if (fd >= 0 && connect_fd(fd, e->ai_addr, e->ai_addrlen, wakefd) < 0) {
            close_keeping_errno(fd);
            fd = -1;
            if (errno == ECANCELED) {
                break;
            }
        }
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to connect to '%s:%s'", saddr->host, saddr->port);
    }
    freeaddrinfo(res);
    if (fd >= 0 && !inet_set_keepalive(fd, saddr, errp)) {
        close(fd);
        return -1;
    }
    return fd;
}

int inet_connect_saddr(InetSocketAddress *saddr, Error **errp)
{
    return inet_connect_until(saddr, -1, errp);
}

static void sockaddr_set_port(struct sockaddr *sa, uint16_t port)
{
    if (sa->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
    }
}

static uint16_t sockaddr_get_port(const struct sockaddr *sa)
{
    return ntohs(sa->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)sa)->sin6_port
                                           : ((const struct sockaddr_in *)sa)->sin_port);
}

/* A new socket bound to @e and listening; -1 with errno set, naming the step in @step. */
static int inet_listen_one(InetSocketAddress *saddr, struct addrinfo *e, int num,
                           const char **step)
{
    int one = 1;
    int fd = qemu_socket(e->ai_family, e->ai_socktype, e->ai_protocol);

    *step = "create";
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (e->ai_family == AF_INET6) {
        /* The IPv6 wildcard takes IPv4 clients too, unless the user asked for IPv6 alone. */
        int only = (saddr->has_ipv4 && !saddr->ipv4) ||
                   (saddr->has_ipv6 && saddr->ipv6 && !saddr->has_ipv4);

        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
    *step = "bind";
    if (bind(fd, e->ai_addr, e->ai_addrlen) == 0) {
        *step = "listen on";
        if (listen(fd, num) == 0) {
            return fd;
        }
    }
    close_keeping_errno(fd);
    return -1;
}

/* A wildcard that both families serve is best listened on with IPv6, which serves both. */
static struct addrinfo *prefer_ipv6_wildcard(InetSocketAddress *saddr, struct addrinfo *res)
{
    if (res && (!saddr->host || !*saddr->host) && res->ai_family == AF_INET && res->ai_next &&
        res->ai_next->ai_family == AF_INET6 && !res->ai_next->ai_next) {
        struct addrinfo *v6 = res->ai_next;

        v6->ai_next = res;
        res->ai_next = NULL;
        return v6;
    }
    return res;
}

static int inet_listen_saddr(InetSocketAddress *saddr, int num, Error **errp)
{
    struct addrinfo *res = prefer_ipv6_wildcard(saddr, inet_lookup(saddr, true, errp));
    const char *step = "bind";
    unsigned int first, last;
    int fd = -1;
    int saved = EADDRNOTAVAIL;

    if (!res) {
        return -1;
    }
    first = last = sockaddr_get_port(res->ai_addr);
    if (saddr->has_to) {
        if (saddr->to < first) {
            error_setg(errp, "Port range end 'to=%u' is below its start %u", saddr->to, first);
            freeaddrinfo(res);
            return -1;
        }
        last = saddr->to;
    }
    for (unsigned int port = first; port <= last && fd < 0; port++) {
        for (struct addrinfo *e = res; e && fd < 0; e = e->ai_next) {
            sockaddr_set_port(e->ai_addr, port);
            fd = inet_listen_one(saddr, e, num, &step);
            if (fd < 0) {
                saved = errno;
            }
        }
        if (fd < 0 && saved != EADDRINUSE && saved != EACCES) {
            break; /* another port would fare no better */
        }
    }
    freeaddrinfo(res);
    if (fd < 0) {
        if (last > first && saved == EADDRINUSE) {
            error_setg_errno(errp, saved, "Failed to find an available port from %u to %u",
                             first, last);
        } else {
            error_setg_errno(errp, saved, "Failed to %s socket for '%s:%s'", step,
                             saddr->host ? saddr->host : "", saddr->port ? saddr->port : "");
        }
        return -1;
    }
    if (!inet_set_keepalive(fd, saddr, errp)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- unix --- */

static bool unix_sockaddr(UnixSocketAddress *saddr, struct sockaddr_un *un, socklen_t *len,
                          Error **errp)
{
    bool abstract = saddr->has_abstract && saddr->abstract;
    bool tight = !saddr->has_tight || saddr->tight;
    size_t max = sizeof(un->sun_path) - (abstract ? 1 : 0);
    size_t pathlen = saddr->path ? strlen(saddr->path) : 0;

    if (!pathlen && !abstract) {
        error_setg(errp, "UNIX socket path is empty");
        return false;
    }
    if (pathlen > max) {
        error_setg(errp, "UNIX socket path '%s' is too long", saddr->path);
        error_append_hint(errp, "Path must be less than %zu bytes\n", max + 1);
        return false;
    }
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + (abstract ? 1 : 0), saddr->path, pathlen);
    if (abstract && tight) {
        /* The name is exactly these bytes; otherwise the zeros behind it are part of it. */
        *len = offsetof(struct sockaddr_un, sun_path) + 1 + pathlen;
    } else {
        *len = sizeof(*un);
    }
    return true;
}

static int unix_connect_saddr(UnixSocketAddress *saddr, int wakefd, Error **errp)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd;

    if (!unix_sockaddr(saddr, &un, &len, errp)) {
        return -1;
    }
    fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to create Unix socket");
        return -1;
    }
    unix_enlarge_buffers(fd);
    if (connect_fd(fd, (struct sockaddr *)&un, len, wakefd) < 0) {
        error_setg_errno(errp, errno, "Failed to connect to '%s'", saddr->path);
        close(fd);
        return -1;
    }
    return fd;
}

static int unix_listen_saddr(UnixSocketAddress *saddr, int num, Error **errp)
{
    bool abstract = saddr->has_abstract && saddr->abstract;
    struct sockaddr_un un;
    struct stat st;
    socklen_t len;
    int fd;

    if (!unix_sockaddr(saddr, &un, &len, errp)) {
        return -1;
    }
    fd = qemu_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to create Unix socket");
        return -1;
    }
    unix_enlarge_buffers(fd); /* inherited by what is accepted */
    /* A socket left behind is in the way; anything else that bears the name is not ours. */
    if (!abstract && lstat(saddr->path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        unlink(saddr->path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "Failed to unlink socket %s", saddr->path);
        close(fd);
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&un, len) < 0) {
        error_setg_errno(errp, errno, "Failed to bind socket to %s", saddr->path);
        close(fd);
        return -1;
    }
    if (listen(fd, num) < 0) {
        error_setg_errno(errp, errno, "Failed to listen on socket");
        close(fd);
        return -1;
    }
    return fd;
}

int unix_listen(const char *path, Error **errp)
{
    UnixSocketAddress saddr = { .path = (char *)path };

    return unix_listen_saddr(&saddr, 1, errp);
}

int unix_connect(const char *path, Error **errp)
{
    UnixSocketAddress saddr = { .path = (char *)path };

    return unix_connect_saddr(&saddr, -1, errp);
}

/* --- vsock --- */

static bool vsock_sockaddr(VsockSocketAddress *vaddr, struct sockaddr_vm *svm, Error **errp)
{
    unsigned int cid, port;

    if (qemu_strtoui(vaddr->cid, NULL, 10, &cid) < 0) {
        error_setg(errp, "Failed to parse cid '%s'", vaddr->cid);
        return false;
    }
    if (qemu_strtoui(vaddr->port, NULL, 10, &port) < 0) {
        error_setg(errp, "Failed to parse port '%s'", vaddr->port);
        return false;
    }
    *svm = (struct sockaddr_vm) {
        .svm_family = AF_VSOCK,
        .svm_cid = cid,
        .svm_port = port,
    };
    return true;
}

static int vsock_open(VsockSocketAddress *vaddr, bool passive, int num, int wakefd, Error **errp)
{
    struct sockaddr_vm svm;
    int fd;

    if (!vsock_sockaddr(vaddr, &svm, errp)) {
        return -1;
    }
    fd = qemu_socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Failed to create vsock socket");
        return -1;
    }
    if (!passive && connect_fd(fd, (struct sockaddr *)&svm, sizeof(svm), wakefd) < 0) {
        error_setg_errno(errp, errno, "Failed to connect to '%s:%s'", vaddr->cid, vaddr->port);
    } else if (passive && bind(fd, (struct sockaddr *)&svm, sizeof(svm)) < 0) {
        error_setg_errno(errp, errno, "Failed to bind socket to vsock '%s:%s'", vaddr->cid,
                         vaddr->port);
    } else if (passive && listen(fd, num) < 0) {
        error_setg_errno(errp, errno, "Failed to listen on socket");
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* --- fd --- */

static int socket_take_fd(const char *spec, Error **errp)
{
    /* Not of the current monitor only: this may run in a connecting thread, which has none. */
    int fd = g_ascii_isdigit(spec[0]) ? monitor_fd_param(NULL, spec, errp)
                                      : monitor_take_named_fd(spec, errp);

    if (fd >= 0 && !fd_is_socket(fd)) {
        error_setg(errp, "File descriptor '%s' is not a socket", spec);
        /* A number stays its opener's; a name's descriptor came to us with it. */
        if (!g_ascii_isdigit(spec[0])) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* --- any --- */

int socket_connect_until(SocketAddress *addr, int wakefd, Error **errp)
{
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return inet_connect_until(&addr->u.inet, wakefd, errp);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return unix_connect_saddr(&addr->u.q_unix, wakefd, errp);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return vsock_open(&addr->u.vsock, false, 0, wakefd, errp);
    case SOCKET_ADDRESS_TYPE_FD:
        return socket_take_fd(addr->u.fd.str, errp);
    default:
        g_assert_not_reached();
    }
}

int socket_connect(SocketAddress *addr, Error **errp)
{
    return socket_connect_until(addr, -1, errp);
}

int socket_listen(SocketAddress *addr, int num, Error **errp)
{
    int fd;

    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return inet_listen_saddr(&addr->u.inet, num, errp);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return unix_listen_saddr(&addr->u.q_unix, num, errp);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return vsock_open(&addr->u.vsock, true, num, -1, errp);
    case SOCKET_ADDRESS_TYPE_FD:
        fd = socket_take_fd(addr->u.fd.str, errp);
        if (fd >= 0 && listen(fd, num) < 0) {
            error_setg_errno(errp, errno, "Failed to listen on fd socket");
            return -1;
        }
        return fd;
    default:
        g_assert_not_reached();
    }
}

void socket_listen_cleanup(int fd, Error **errp)
{
    SocketAddress *addr = socket_local_address(fd, errp);

    if (!addr) {
        return;
    }
    if (addr->type == SOCKET_ADDRESS_TYPE_UNIX && addr->u.q_unix.path[0] &&
        !(addr->u.q_unix.has_abstract && addr->u.q_unix.abstract) &&
        unlink(addr->u.q_unix.path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "Failed to unlink socket %s", addr->u.q_unix.path);
    }
    qapi_free_SocketAddress(addr);
}

/* --- what the kernel says --- */

static SocketAddress *inet_from_sockaddr(struct sockaddr_storage *sa, socklen_t salen,
                                         Error **errp)
{
    char host[NI_MAXHOST], serv[NI_MAXSERV];
    int rc = getnameinfo((struct sockaddr *)sa, salen, host, sizeof(host), serv, sizeof(serv),
                         NI_NUMERICHOST | NI_NUMERICSERV);
    SocketAddress *addr;

    if (rc) {
        error_setg(errp, "Cannot format numeric socket address: %s", gai_strerror(rc));
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strdup(host);
    addr->u.inet.port = g_strdup(serv);
    if (sa->ss_family == AF_INET) {
        addr->u.inet.has_ipv4 = addr->u.inet.ipv4 = true;
    } else {
        addr->u.inet.has_ipv6 = addr->u.inet.ipv6 = true;
    }
    return addr;
}

static SocketAddress *unix_from_sockaddr(struct sockaddr_un *un, socklen_t salen)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);
    size_t base = offsetof(struct sockaddr_un, sun_path);
    size_t len = salen > base ? MIN(salen - base, sizeof(un->sun_path)) : 0;

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    if (len > 1 && !un->sun_path[0]) {
        addr->u.q_unix.has_abstract = addr->u.q_unix.abstract = true;
        addr->u.q_unix.has_tight = true;
        addr->u.q_unix.tight = salen < sizeof(*un);
        addr->u.q_unix.path = g_strndup(un->sun_path + 1, len - 1);
    } else {
        addr->u.q_unix.path = g_strndup(un->sun_path, len);
    }
    return addr;
}

SocketAddress *socket_sockaddr_to_address(struct sockaddr_storage *sa, socklen_t salen,
                                          Error **errp)
{
    SocketAddress *addr;
    struct sockaddr_vm *svm;

    switch (sa->ss_family) {
    case AF_INET:
    case AF_INET6:
        return inet_from_sockaddr(sa, salen, errp);
    case AF_UNIX:
        return unix_from_sockaddr((struct sockaddr_un *)sa, salen);
    case AF_VSOCK:
        svm = (struct sockaddr_vm *)sa;
        addr = g_new0(SocketAddress, 1);
        addr->type = SOCKET_ADDRESS_TYPE_VSOCK;
        addr->u.vsock.cid = g_strdup_printf("%u", svm->svm_cid);
        addr->u.vsock.port = g_strdup_printf("%u", svm->svm_port);
        return addr;
    default:
        error_setg(errp, "socket family %d unsupported", sa->ss_family);
        return NULL;
    }
}

SocketAddress *socket_local_address(int fd, Error **errp)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
        error_setg_errno(errp, errno, "Unable to query local socket address");
        return NULL;
    }
    return socket_sockaddr_to_address(&ss, len, errp);
}

SocketAddress *socket_remote_address(int fd, Error **errp)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0) {
        error_setg_errno(errp, errno, "Unable to query remote socket address");
        return NULL;
    }
    return socket_sockaddr_to_address(&ss, len, errp);
}

/* --- resolving --- */

SocketAddressList *socket_address_resolve(SocketAddress *addr, bool passive, Error **errp)
{
    SocketAddressList *list = NULL;
    SocketAddressList **tail = &list;
    struct addrinfo *res;
    bool have4 = false;

    if (addr->type != SOCKET_ADDRESS_TYPE_INET) {
        QAPI_LIST_APPEND(tail, QAPI_CLONE(SocketAddress, addr));
        return list;
    }
    res = inet_lookup(&addr->u.inet, passive, errp);
    if (!res) {
        return NULL;
    }
    for (struct addrinfo *e = res; e; e = e->ai_next) {
        have4 |= e->ai_family == AF_INET;
    }
    for (struct addrinfo *e = res; e; e = e->ai_next) {
        char host[NI_MAXHOST], serv[NI_MAXSERV];
        SocketAddress *one;
        InetSocketAddress *inet;

        if (getnameinfo(e->ai_addr, e->ai_addrlen, host, sizeof(host), serv, sizeof(serv),
                        NI_NUMERICHOST | NI_NUMERICSERV)) {
            continue;
        }
        one = QAPI_CLONE(SocketAddress, addr);
        inet = &one->u.inet;
        g_free(inet->host);
        g_free(inet->port);
        inet->host = g_strdup(host);
        inet->port = g_strdup(serv);
        inet->has_numeric = inet->numeric = true;
        if (e->ai_family == AF_INET6 && have4) {
            /* The IPv4 entries of the list serve IPv4. */
            inet->has_ipv4 = true;
            inet->ipv4 = false;
            inet->has_ipv6 = inet->ipv6 = true;
        } else if (e->ai_family == AF_INET) {
            inet->has_ipv4 = inet->ipv4 = true;
            inet->has_ipv6 = false;
        }
        QAPI_LIST_APPEND(tail, one);
    }
    freeaddrinfo(res);
    if (!list) {
        error_setg(errp, "address resolution failed for %s:%s", addr->u.inet.host,
                   addr->u.inet.port);
    }
    return list;
}
