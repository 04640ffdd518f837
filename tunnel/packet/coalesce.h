/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins decrypted packets of one flow into super-packets for the TUN: consecutive TCP segments (and equal UDP
 * datagrams where the TUN takes USO) whose headers agree and whose checksums were verified here. Payload is not
 * copied: a super-packet is a vector of where its pieces lie. Order within a flow never changes; nothing is held
 * beyond coalesce_flush.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "util.h"

#define COALESCE_FLOWS	16
#define COALESCE_PIECES 64

/* Takes one write for the TUN: vector[0] is the virtio header. `packets` of the peer are in it. */
typedef void coalesce_write_fn(void *context, const struct iovec *vector, unsigned int count,
			       unsigned int packets);

struct coalesce_flow {
	struct virtio_net_hdr vnet;
	struct iovec vector[1 + COALESCE_PIECES];
	unsigned int pieces; /* 0: free */
	size_t len;	     /* of IP, all pieces */
	uint8_t version, protocol;
	uint32_t ports;		/* both, as they lie in memory */
	uint32_t next_sequence; /* TCP */
	uint16_t ip_len, head_len, segment_len;
};

struct coalescer {
	coalesce_write_fn *write;
	void *context;
	bool joins_tcp, joins_udp;
	unsigned int oldest; /* of flows[]: evicted next where all are taken */
	struct coalesce_flow flows[COALESCE_FLOWS];
};

void coalesce_init(struct coalescer *coalescer, coalesce_write_fn *write, void *context,
		   bool joins_tcp, bool joins_udp);

/* packet is a whole valid IP packet of len bytes, writable, and stays where it is until the next coalesce_flush. What
 * cannot be joined is written at once, behind what is held of its flow, with a virtio header of zeros. */
void coalesce_add(struct coalescer *coalescer, uint8_t *packet, size_t len);

/* Writes everything that is held. */
void coalesce_flush(struct coalescer *coalescer);
