/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet that is given to segment.c, super-packets as the kernel hands them over among them, and
 * its pieces, taken one by one: each is as long as was announced.
 */
#pragma once

#include "packet/segment.h"

#include "packets.h"
#include "segment_packet.h"

#define MTU 1420

/* NOP NOP timestamp, as on nearly every connection. */
static const uint8_t timestamp[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
/* Router alert (copied), record route (not copied), end. */
static const uint8_t ip_options[] = {148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0};
/* Hop-by-hop, routing without segments left, destination options of 16 bytes. */
static const uint8_t extensions[] = {43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
				     6,	 1, 1, 4, 0, 0, 0, 0, 0,  0, 1, 4, 0, 0, 0, 0};

static uint8_t packet[PACKET_MAX], whole[PACKET_MAX];
static struct segmenter segmenter;

static const struct shape tcp_shapes[] = {
	{.version = 4, .fragment = 0x4000, .id = 65530},
	{.version = 6},
	{.version = 4,
	 .tcp_options = timestamp,
	 .tcp_options_len = sizeof(timestamp),
	 .sequence = 0xfffffff0},
	{.version = 6,
	 .tcp_options = timestamp,
	 .tcp_options_len = sizeof(timestamp),
	 .sequence = 0xfffffff0},
	{.version = 4, .extra = ip_options, .extra_len = sizeof(ip_options)},
	{.version = 6, .extra = extensions, .extra_len = sizeof(extensions), .first_next = 0},
};

/* A super-packet as the kernel gives it. */
static inline size_t build_super(struct virtio_net_hdr *ret_vnet, const struct shape *shape,
				 uint8_t gso_type, uint16_t gso_size)
{
	size_t len = build(packet, shape);

	*ret_vnet = leave_checksum(packet, shape);
	ret_vnet->gso_type = gso_type;
	ret_vnet->gso_size = gso_size;
	ret_vnet->hdr_len = (uint16_t)shape_head_len(shape);
	return len;
}

static inline enum segment_verdict start(const struct virtio_net_hdr *vnet, size_t len, size_t mtu)
{
	return segment_packet(&segmenter, vnet, packet, len, mtu);
}

/* Takes the next piece into `whole` and checks that it has its announced length. */
static inline size_t take(void)
{
	size_t announced = segment_peek_len(&segmenter), len = segment_next(&segmenter, whole);

	assert_int_equal(len, announced);
	return len;
}

static inline void assert_exhausted(uint32_t taken)
{
	assert_int_equal(segmenter.count, taken);
	assert_int_equal(segment_peek_len(&segmenter), 0);
	assert_int_equal(segment_next(&segmenter, whole), 0);
}
