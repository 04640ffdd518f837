// SPDX-License-Identifier: Apache-2.0
/*
 * The pool of chunks in which packets wait for a session. A packet is a chain of chunks, a queue a
 * chain of packets; chunks never used are not touched, so an idle node does not pay for the pool.
 */
#include "stage.h"

void stage_init(struct stage *stage)
{
	stage->free_head = NO_CHUNK;
	stage->never_used = 0;
	stage->free_count = STAGE_CHUNKS;
}

static uint32_t take_chunk(struct stage *stage)
{
	uint32_t chunk = stage->free_head;

	stage->free_count--;
	if (chunk == NO_CHUNK)
		return stage->never_used++;
	stage->free_head = stage->chunks[chunk].next_chunk;
	return chunk;
}

static void free_chunk(struct stage *stage, uint32_t chunk)
{
	stage->chunks[chunk].next_chunk = stage->free_head;
	stage->free_head = chunk;
	stage->free_count++;
}

/* Returns the first chunk. The caller has checked that the pool has room. */
static uint32_t store(struct stage *stage, const uint8_t *packet, size_t len)
{
	uint32_t first = NO_CHUNK, *link = &first;

	for (size_t done = 0; done < len; done += STAGE_CHUNK_LEN) {
		uint32_t chunk = take_chunk(stage);

		memcpy(stage->chunks[chunk].bytes, packet + done, MIN(len - done, STAGE_CHUNK_LEN));
		stage->chunks[chunk].next_chunk = NO_CHUNK;
		*link = chunk;
		link = &stage->chunks[chunk].next_chunk;
	}
	return first;
}

bool stage_push(struct stage *stage, struct stage_queue queue, const struct virtio_net_hdr *vnet,
		const uint8_t *packet, size_t len, uint16_t packets)
{
	struct stage_chunk *first;
	uint32_t chunk;

	if (!len || len > STAGE_PACKET_MAX ||
	    (len + STAGE_CHUNK_LEN - 1) / STAGE_CHUNK_LEN > stage->free_count)
		return false;
	chunk = store(stage, packet, len);
	first = &stage->chunks[chunk];
	first->next_packet = NO_CHUNK;
	first->packet_len = (uint16_t)len;
	first->packets = packets;
	first->vnet = *vnet;
	if (*queue.head == NO_CHUNK)
		*queue.head = chunk;
	else
		stage->chunks[*queue.tail].next_packet = chunk;
	*queue.tail = chunk;
	*queue.count += packets;
	return true;
}

/* Frees the chain, after copying it to ret_packet unless that is NULL. */
static void release(struct stage *stage, uint32_t chunk, uint8_t *ret_packet, size_t len)
{
	for (size_t done = 0; done < len; done += STAGE_CHUNK_LEN) {
		uint32_t next = stage->chunks[chunk].next_chunk;

		if (ret_packet)
			memcpy(ret_packet + done, stage->chunks[chunk].bytes,
			       MIN(len - done, STAGE_CHUNK_LEN));
		free_chunk(stage, chunk);
		chunk = next;
	}
}

size_t stage_pop(struct stage *stage, struct stage_queue queue, struct virtio_net_hdr *ret_vnet,
		 uint8_t ret_packet[STAGE_PACKET_MAX], uint16_t *ret_packets)
{
	uint32_t chunk = *queue.head;
	const struct stage_chunk *first;
	size_t len;

	if (chunk == NO_CHUNK)
		return 0;
	first = &stage->chunks[chunk];
	len = first->packet_len;
	*queue.head = first->next_packet;
	if (*queue.head == NO_CHUNK)
		*queue.tail = NO_CHUNK;
	*queue.count -= first->packets;
	*ret_packets = first->packets;
	if (ret_vnet)
		*ret_vnet = first->vnet;
	release(stage, chunk, ret_packet, len);
	return len;
}
