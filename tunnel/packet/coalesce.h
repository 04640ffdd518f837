/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins decrypted packets of one flow into super-packets for the TUN: consecutive TCP segments (and
 * equal UDP datagrams if the TUN accepts USO) whose headers agree and whose checksums were verified
 * here. Payload is not copied: a super-packet is a vector of its pieces. Order within a flow never
 * changes; no packet is held beyond coalesce_flush.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "util.h"

#define COALESCE_FLOWS	16
#define COALESCE_PIECES 64

/* Writes one packet to the TUN: vector[0] is the virtio header. `packets` of the peer are in it. */
typedef void coalesce_write_fn(void *context, const struct iovec *vector, unsigned int count,
			       unsigned int packets);

struct coalesce_flow {
	struct virtio_net_hdr vnet;
	struct iovec vector[1 + COALESCE_PIECES];
	unsigned int pieces; /* 0: free */
	size_t len;	     /* of IP, all pieces */
	uint8_t version, protocol;
	uint32_t ports;		/* both, in memory order */
	uint32_t next_sequence; /* TCP */
	uint16_t ip_len, head_len, segment_len;
};

struct coalescer {
	coalesce_write_fn *write;
	void *context;
	bool joins_tcp, joins_udp;
	unsigned int oldest; /* of flows[]: evicted next if all are in use */
	struct coalesce_flow flows[COALESCE_FLOWS];
};

void coalesce_init(struct coalescer *coalescer, coalesce_write_fn *write, void *context,
		   bool joins_tcp, bool joins_udp);

/* `packet` is a whole valid IP packet of len bytes, writable, and stays in place until the next
 * coalesce_flush. A packet that cannot be joined is written at once, after the held packets of its
 * flow, with a virtio header of zeros. */
void coalesce_add(struct coalescer *coalescer, uint8_t *packet, size_t len);

/* Writes all held packets. */
void coalesce_flush(struct coalescer *coalescer);
