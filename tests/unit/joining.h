/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives packets to coalesce.c and lays out its output flat, so that each packet, alone or joined,
 * is compared byte by byte with the expected one.
 */
#pragma once

#include "packet/coalesce.h"

#include "packets.h"

static const uint8_t timestamp[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};

/* The output, laid out flat, and the input, which must not move before the flush. */
struct written {
	struct virtio_net_hdr vnet;
	unsigned int packets;
	size_t at, len;
};

static struct coalescer coalescer;
static struct written written[4096];
static unsigned int written_count;
static uint8_t out[8 << 20], in[8 << 20];
static size_t out_used, in_used;

static inline void take_write(void *context, const struct iovec *vector, unsigned int count,
			      unsigned int packets)
{
	struct written *entry = &written[written_count++];

	assert_ptr_equal(context, &coalescer);
	assert_true(written_count < ARRAY_SIZE(written));
	assert_in_range(count, 2, 1 + COALESCE_PIECES);
	assert_int_equal(vector[0].iov_len, sizeof(struct virtio_net_hdr));
	memcpy(&entry->vnet, vector[0].iov_base, sizeof(entry->vnet));
	entry->packets = packets;
	entry->at = out_used;
	for (unsigned int i = 1; i < count; i++) {
		memcpy(out + out_used, vector[i].iov_base, vector[i].iov_len);
		out_used += vector[i].iov_len;
	}
	entry->len = out_used - entry->at;
	assert_in_range(entry->len, 1, 65535);
}

static inline int begin(void **state)
{
	coalesce_init(&coalescer, take_write, &coalescer, true, true);
	written_count = 0;
	in_used = out_used = 0;
	return 0;
}

static inline uint8_t *add_bytes(const uint8_t *packet, size_t len)
{
	uint8_t *place = in + in_used;

	memcpy(place, packet, len);
	in_used += len + 3; /* any alignment */
	coalesce_add(&coalescer, place, len);
	return place;
}

static inline void add(const struct shape *shape)
{
	uint8_t packet[PACKET_MAX];

	add_bytes(packet, build(packet, shape));
}

/* Adds the shape and advances it to the next packet of its flow. */
static inline void add_next(struct shape *shape)
{
	add(shape);
	shape->sequence += (uint32_t)shape->payload_len;
	shape->id++;
}

static inline const uint8_t *written_packet(unsigned int i)
{
	return out + written[i].at;
}

static inline void assert_alone(unsigned int i, const struct shape *shape)
{
	static const struct virtio_net_hdr zeros;
	uint8_t packet[PACKET_MAX];
	size_t len = build(packet, shape);

	assert_true(i < written_count);
	assert_int_equal(written[i].packets, 1);
	assert_memory_equal(&written[i].vnet, &zeros, sizeof(zeros));
	assert_int_equal(written[i].len, len);
	assert_memory_equal(written_packet(i), packet, len);
}

static inline uint8_t expected_type(const struct shape *shape)
{
	if (shape_protocol(shape) == IPPROTO_UDP)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return shape->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/* The first packet's shape, with the payload of all of them. */
static inline void assert_joined(unsigned int i, const struct shape *shape, size_t payload_len,
				 uint16_t each)
{
	struct shape joined = *shape;
	uint8_t packet[PACKET_MAX];
	struct virtio_net_hdr vnet;
	size_t len;

	joined.payload_len = payload_len;
	len = build(packet, &joined);
	vnet = leave_checksum(packet, &joined);
	vnet.gso_type = expected_type(shape);
	vnet.gso_size = each;
	vnet.hdr_len = (uint16_t)shape_head_len(shape);
	assert_true(i < written_count);
	assert_int_equal(written[i].packets, (payload_len + each - 1) / each);
	assert_memory_equal(&written[i].vnet, &vnet, sizeof(vnet));
	assert_int_equal(written[i].len, len);
	assert_memory_equal(written_packet(i), packet, len);
}

static inline void flush_and_count(unsigned int expected)
{
	coalesce_flush(&coalescer);
	assert_int_equal(written_count, expected);
}
