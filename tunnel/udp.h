/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outer datagrams: one socket for each family on one port. Opened by the parent (SO_MARK and the buffers' sizes
 * need privileges), used by the engine. Never fragments: DF is set, and what does not fit is refused and counted. What
 * routers say of a path never keeps the kernel from sending (IP_PMTUDISC_PROBE): that is for CORE to judge.
 */
#pragma once

#include <sys/socket.h>

#include "tunnel.h"

#define UDP_RECEIVE_MESSAGES 8 /* of one call; each up to 64 segments */
#define UDP_MESSAGE_MAX	     65536

enum { UDP_IPV4, UDP_IPV6, UDP_FAMILIES };

#define UDP_SOCKETS_MAX (2 * UDP_FAMILIES)

/* A kernel without IPv6 leaves its places at -1. */
struct udp_sockets {
	int fds[UDP_FAMILIES];
	int askers
		[UDP_FAMILIES]; /* carry nothing: connected for a moment to ask for a path's MTU */
};

#define UDP_CLOSED                                    \
	{                                             \
		.fds = {-1, -1}, .askers = { -1, -1 } \
	}

/* port 0: any that is free in both families. On failure -errno and nothing is open. */
MUST_CHECK int udp_open(struct udp_sockets *ret_sockets, uint16_t port, uint32_t fwmark,
			uint16_t *ret_port);
MUST_CHECK int udp_set_mark(const struct udp_sockets *sockets, uint32_t fwmark);
void udp_close(struct udp_sockets *sockets);

struct udp {
	struct udp_sockets sockets;
	bool has_segmentation;		     /* the kernel takes UDP_SEGMENT */
	uint32_t overflows[UDP_FAMILIES];    /* the kernel's count, as last read */
	uint8_t (*buffers)[UDP_MESSAGE_MAX]; /* UDP_RECEIVE_MESSAGES of them */
};

/* buffers stay the caller's. */
void udp_init(struct udp *udp, uint8_t (*buffers)[UDP_MESSAGE_MAX]);

/* Takes over the sockets and closes those it had. */
void udp_adopt(struct udp *udp, struct udp_sockets *sockets);

/* Fills ret_incoming from one family's socket without waiting: how many, 0 for none. The bytes are good until the
 * next call. */
unsigned int udp_receive(struct udp *udp, unsigned int family,
			 struct incoming ret_incoming[static UDP_RECEIVE_MESSAGES]);

/* What the kernel has dropped since the last call because a receive buffer was full. Several datagrams that it had joined
 * (UDP_GRO) are one: it does not say of how many. */
uint64_t udp_read_overflows(struct udp *udp);

/* What the kernel has to say of datagrams that were sent: true where one was too big for the way. It has to be called
 * whenever epoll reports an error, or that never ends. */
MUST_CHECK bool udp_take_errors(struct udp *udp, unsigned int family);

/* Length of the largest IP packet that goes there whole, by route, device and what routers have said; 0: not known. */
uint32_t udp_path_mtu(const struct udp *udp, const union endpoint *to);

/* Sends all, in order; how many packets the kernel refused. */
uint64_t udp_send(struct udp *udp, const struct outgoing *outgoing, uint32_t count);
