/*
 * Sockets and their addresses: text to SocketAddress, SocketAddress to an open socket, and back.
 *
 * Implemented in io/qemu-sockets.c, for SocketAddress is a QAPI type. All sockets made here are
 * close-on-exec and blocking. Calls that resolve names may block.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_SOCKETS_H
#define QEMU_SOCKETS_H

#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <netdb.h>
#include "qapi/qapi-types-sockets.h"

/* socket(2) and accept(2), close-on-exec. -1 with errno set. */
int qemu_socket(int domain, int type, int protocol);
int qemu_accept(int s, struct sockaddr *addr, socklen_t *addrlen);

/* 0, or -errno. */
int socket_set_cork(int fd, int v);
int socket_set_nodelay(int fd);

bool fd_is_socket(int fd);

/*
 * "host:port[,to=N]" and any of ",ipv4", ",ipv6", ",keep-alive", ",numeric" and ",mptcp", each
 * alone or with "=on" or "=off"; an IPv6 host in brackets, an empty host for any address. Fills
 * @addr, freeing nothing in it; 0, or -1 with @errp set and @addr zeroed.
 */
int inet_parse(InetSocketAddress *addr, const char *str, Error **errp);

/* The address family for getaddrinfo() that ipv4= and ipv6= ask for. */
int inet_ai_family_from_address(InetSocketAddress *addr, Error **errp);

/* "tcp:…", "unix:PATH", "vsock:CID:PORT", "fd:NAME-OR-NUMBER", or "host:port". NULL with @errp
 * set; free with qapi_free_SocketAddress(). */
SocketAddress *socket_parse(const char *str, Error **errp);

/* The descriptor of a new socket, or -1 with @errp set. */
int socket_connect(SocketAddress *addr, Error **errp);
/*
 * The same, and gives up with an error as soon as @wakefd can be read (-1: never). While a name is
 * being resolved it is not looked at.
 */
int socket_connect_until(SocketAddress *addr, int wakefd, Error **errp);
int socket_listen(SocketAddress *addr, int num, Error **errp);

/* Removes what socket_listen() left in the file system; @fd stays open. */
void socket_listen_cleanup(int fd, Error **errp);

/* Convenience forms of the above. */
int inet_connect_saddr(InetSocketAddress *saddr, Error **errp);
int unix_listen(const char *path, Error **errp);
int unix_connect(const char *path, Error **errp);

/* Every concrete address that @addr stands for: one with numbers only per result of the
 * resolver, or a copy for addresses that need none. NULL with @errp set. */
SocketAddressList *socket_address_resolve(SocketAddress *addr, bool passive, Error **errp);

/* What the kernel knows of a socket's ends. NULL with @errp set. */
SocketAddress *socket_local_address(int fd, Error **errp);
SocketAddress *socket_remote_address(int fd, Error **errp);
SocketAddress *socket_sockaddr_to_address(struct sockaddr_storage *sa, socklen_t salen,
                                          Error **errp);

/* "tcp:host:port", "unix:path", "vsock:cid:port", "fd:str"; to g_free(). */
char *socket_address_to_string(const SocketAddress *addr);
char *socket_uri(SocketAddress *addr);

/* The flat form of a -chardev style address; a deep copy. */
SocketAddress *socket_address_flatten(SocketAddressLegacy *addr_legacy);

#endif /* QEMU_SOCKETS_H */
