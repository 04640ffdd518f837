/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that wait for a session, as they came from the TUN (super-packets whole, with their
 * virtio header), in chains of chunks from one pool. Bounded for each peer (STAGED_PACKETS_MAX
 * segments; send.c drops the oldest) and for the node.
 */
#pragma once

#include <linux/virtio_net.h>

#include "util.h"

#define STAGE_CHUNKS	 8192
#define STAGE_CHUNK_LEN	 2032
#define STAGE_PACKET_MAX 65535
#define NO_CHUNK	 UINT32_MAX

struct stage_chunk {
	uint32_t next_chunk;  /* of this packet */
	uint32_t next_packet; /* in a packet's first chunk: the first chunk of the next packet */
	uint16_t packet_len;  /* in a packet's first chunk */
	uint16_t packets;     /* in a packet's first chunk: its number of segments */
	struct virtio_net_hdr vnet;
	uint8_t bytes[STAGE_CHUNK_LEN];
};

struct stage {
	uint32_t free_head, never_used, free_count;
	struct stage_chunk chunks[STAGE_CHUNKS];
};

/* The queue's storage is in its peer; an empty queue is NO_CHUNK, NO_CHUNK, 0. A super-packet
 * counts as its segments. */
struct stage_queue {
	uint32_t *head, *tail, *count;
};

void stage_init(struct stage *stage);

/* len is 1 to STAGE_PACKET_MAX. False if the pool has no room: nothing is stored. */
MUST_CHECK bool stage_push(struct stage *stage, struct stage_queue queue,
			   const struct virtio_net_hdr *vnet, const uint8_t *packet, size_t len,
			   uint16_t packets);

/* Removes the oldest packet, copies it to ret_packet (unless NULL) and returns its length; 0: the
 * queue is empty. *ret_packets: its number of segments. ret_vnet may be NULL. */
size_t stage_pop(struct stage *stage, struct stage_queue queue, struct virtio_net_hdr *ret_vnet,
		 uint8_t ret_packet[STAGE_PACKET_MAX], uint16_t *ret_packets);
