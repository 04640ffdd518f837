/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outer datagrams: one socket for each family on one port. Opened by the parent (SO_MARK and
 * the buffer sizes need privileges), used by the engine. Never fragments: DF is set, and a datagram
 * that does not fit is refused and counted. The ICMP errors of routers never keep the kernel from
 * sending (IP_PMTUDISC_PROBE): CORE judges them.
 */
#pragma once

#include <sys/socket.h>

#include "tunnel.h"

#define UDP_RECEIVE_MESSAGES 8 /* of one call; each up to 64 segments */
#define UDP_MESSAGE_MAX	     65536

enum { UDP_IPV4, UDP_IPV6, UDP_FAMILIES };

#define UDP_SOCKETS_MAX (2 * UDP_FAMILIES)

/* -1 for IPv6 on a kernel without it. */
struct udp_sockets {
	int fds[UDP_FAMILIES];
	int askers[UDP_FAMILIES]; /* Carry nothing: connected briefly to read a path's MTU. */
};

#define UDP_CLOSED                                    \
	{                                             \
		.fds = {-1, -1}, .askers = { -1, -1 } \
	}

/* port 0: any that is free in both families. -errno on failure, with nothing open. */
MUST_CHECK int udp_open(struct udp_sockets *ret_sockets, uint16_t port, uint32_t fwmark,
			uint16_t *ret_port);
MUST_CHECK int udp_set_mark(const struct udp_sockets *sockets, uint32_t fwmark);
void udp_close(struct udp_sockets *sockets);

struct udp {
	struct udp_sockets sockets;
	bool has_segmentation;		     /* the kernel accepts UDP_SEGMENT */
	uint32_t overflows[UDP_FAMILIES];    /* the kernel's count, as last read */
	uint8_t (*buffers)[UDP_MESSAGE_MAX]; /* UDP_RECEIVE_MESSAGES of them */
};

/* The caller keeps the buffers. */
void udp_init(struct udp *udp, uint8_t (*buffers)[UDP_MESSAGE_MAX]);

/* Takes over the sockets and closes its present ones. */
void udp_adopt(struct udp *udp, struct udp_sockets *sockets);

/* Fills ret_incoming from one family's socket without waiting. Returns the number of messages, 0
 * for none. The bytes are valid until the next call. */
unsigned int udp_receive(struct udp *udp, unsigned int family,
			 struct incoming ret_incoming[static UDP_RECEIVE_MESSAGES]);

/* Datagrams that the kernel dropped since the last call because a receive buffer was full. Several
 * that it had joined (UDP_GRO) count as one: it does not report their number. */
uint64_t udp_read_overflows(struct udp *udp);

/* Reads the kernel's errors about datagrams that were sent: true if one was too big for the path.
 * Must be called whenever epoll reports an error, or the error is reported forever. */
MUST_CHECK bool udp_read_errors(struct udp *udp, unsigned int family);

/* Length of the largest IP packet that reaches the endpoint whole, by route, device and routers'
 * errors; 0: unknown. */
uint32_t udp_path_mtu(const struct udp *udp, const union endpoint *to);

/* Sends all, in order. Returns the number of packets that the kernel refused. */
uint64_t udp_send(struct udp *udp, const struct outgoing *outgoing, uint32_t count);
