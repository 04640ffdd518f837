/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets by libmnl, for podveil-keyd, podveil and the loader. podveil-tunnel does not link
 * libmnl.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>

#include "util.h"

static inline void cleanup_netlink(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

#define CLEANUP_NETLINK CLEANUP(cleanup_netlink)

/* A socket for `protocol` (such as NETLINK_ROUTE) that receives the multicast groups of the mask.
 * `flags`: SOCK_NONBLOCK or 0. NULL: errno has the reason. */
static inline struct mnl_socket *netlink_open(int protocol, int flags, unsigned int groups)
{
	struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_CLOEXEC | flags);
	int error;

	if (!socket || !mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID))
		return socket;
	error = errno;
	mnl_socket_close(socket);
	errno = error;
	return NULL;
}

/* A non-blocking descriptor that becomes readable when a group has a message, or -errno. It is a
 * duplicate: libmnl closes its own together with the socket. */
static inline int netlink_open_monitor(int protocol, unsigned int groups)
{
	CLEANUP_NETLINK struct mnl_socket *socket = netlink_open(protocol, SOCK_NONBLOCK, groups);
	int fd = socket ? fcntl(mnl_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0) : -1;

	return fd < 0 ? -errno : fd;
}
