/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for the tests of segmentation, coalescing and ICMP errors, built and checked byte by byte
 * without any code under test, so that an error cannot cancel itself out.
 */
#pragma once

#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "test.h"
#include "util.h"

#define PACKET_MAX 65600

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
	URG = 0x20,
	ECE = 0x40,
	CWR = 0x80
};

/* Describes a packet. Zero means the default: protocol TCP, and default ports, addresses and
 * payload. */
struct shape {
	uint8_t version, protocol;
	/* IPv4 options, or IPv6 extension headers that end with the protocol in place */
	const uint8_t *extra;
	size_t extra_len;
	uint8_t first_next; /* IPv6: type of the first extension header */
	const uint8_t *tcp_options;
	size_t tcp_options_len;
	uint8_t flags;	   /* TCP; 0: ACK */
	uint16_t fragment; /* IPv4: flags and offset */
	uint16_t id, urgent, window, port;
	uint32_t sequence, acknowledged;
	uint8_t tos, hops, host;
	size_t payload_len;
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

/* xorshift64: the same packets in every run. */
static inline uint32_t any(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 16) % below);
}

/* Two bytes at a time, as RFC 1071 says it. */
static inline uint16_t naive_sum(uint32_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint16_t naive_pseudo(const uint8_t *packet, uint8_t protocol, size_t len)
{
	bool is_ip4 = packet[0] >> 4 == 4;
	uint16_t sum = naive_sum(protocol, packet + (is_ip4 ? 12 : 8), is_ip4 ? 8 : 32);
	uint8_t length[4] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	return naive_sum(sum, length, sizeof(length));
}

static inline size_t shape_ip_len(const struct shape *shape)
{
	return (shape->version == 4 ? 20 : 40) + shape->extra_len;
}

static inline uint8_t shape_protocol(const struct shape *shape)
{
	return shape->protocol ? shape->protocol : IPPROTO_TCP;
}

static inline size_t shape_head_len(const struct shape *shape)
{
	if (shape_protocol(shape) == IPPROTO_TCP)
		return shape_ip_len(shape) + 20 + shape->tcp_options_len;
	return shape_ip_len(shape) + 8;
}

static inline uint8_t payload_byte(uint32_t sequence, size_t i)
{
	size_t n = sequence + i;

	return (uint8_t)(n * 31 + (n >> 8) * 7 + 5);
}

static inline void build_ip(uint8_t *packet, const struct shape *shape, size_t total)
{
	if (shape->version == 4) {
		packet[0] = (uint8_t)(0x40 | shape_ip_len(shape) / 4);
		packet[1] = shape->tos;
		put_be16(packet + 2, (uint16_t)total);
		put_be16(packet + 4, shape->id);
		put_be16(packet + 6, shape->fragment);
		packet[8] = shape->hops ? shape->hops : 63;
		packet[9] = shape_protocol(shape);
		memcpy(packet + 12,
		       (uint8_t[8]){10, 244, 1, 10, 10, 244, 2, (uint8_t)(10 + shape->host)}, 8);
		if (shape->extra_len)
			memcpy(packet + 20, shape->extra, shape->extra_len);
		put_be16(packet + 10, (uint16_t)~naive_sum(0, packet, shape_ip_len(shape)));
		return;
	}
	put_be32(packet, 0x60012345 | (uint32_t)shape->tos << 20);
	put_be16(packet + 4, (uint16_t)(total - 40));
	packet[6] = shape->extra_len ? shape->first_next : shape_protocol(shape);
	packet[7] = shape->hops ? shape->hops : 63;
	memset(packet + 8, 0, 32);
	packet[8] = packet[24] = 0xfd;
	packet[23] = 1;
	packet[39] = (uint8_t)(2 + shape->host);
	if (shape->extra_len)
		memcpy(packet + 40, shape->extra, shape->extra_len);
}

static inline void build_tcp(uint8_t *tcp, const struct shape *shape)
{
	put_be16(tcp, 40000);
	put_be16(tcp + 2, shape->port ? shape->port : 5201);
	put_be32(tcp + 4, shape->sequence);
	put_be32(tcp + 8, shape->acknowledged);
	tcp[12] = (uint8_t)((20 + shape->tcp_options_len) / 4 << 4);
	tcp[13] = shape->flags ? shape->flags : ACK;
	put_be16(tcp + 14, shape->window ? shape->window : 501);
	put_be16(tcp + 18, shape->urgent);
	if (shape->tcp_options_len)
		memcpy(tcp + 20, shape->tcp_options, shape->tcp_options_len);
}

static inline void build_udp(uint8_t *udp, const struct shape *shape)
{
	put_be16(udp, 40000);
	put_be16(udp + 2, shape->port ? shape->port : 53);
	put_be16(udp + 4, (uint16_t)(8 + shape->payload_len));
}

static inline size_t checksum_position(const struct shape *shape)
{
	return shape_ip_len(shape) + (shape_protocol(shape) == IPPROTO_TCP ? 16 : 6);
}

/* A whole packet with every checksum right; other protocols than TCP have a UDP header's shape. */
static inline size_t build(uint8_t *packet, const struct shape *shape)
{
	size_t ip_len = shape_ip_len(shape), head_len = shape_head_len(shape);
	size_t total = head_len + shape->payload_len, len = total - ip_len;
	uint16_t sum;

	memset(packet, 0, head_len);
	build_ip(packet, shape, total);
	if (shape_protocol(shape) == IPPROTO_TCP)
		build_tcp(packet + ip_len, shape);
	else
		build_udp(packet + ip_len, shape);
	for (size_t i = 0; i < shape->payload_len; i++)
		packet[head_len + i] = payload_byte(shape->sequence, i);
	sum = naive_sum(naive_pseudo(packet, shape_protocol(shape), len), packet + ip_len, len);
	put_be16(packet + checksum_position(shape), sum == 0xffff ? 0xffff : (uint16_t)~sum);
	return total;
}

/* As the kernel hands it over: the checksum field has the pseudo header's sum only. */
static inline struct virtio_net_hdr leave_checksum(uint8_t *packet, const struct shape *shape)
{
	size_t len = shape_head_len(shape) - shape_ip_len(shape) + shape->payload_len;

	put_be16(packet + checksum_position(shape),
		 naive_pseudo(packet, shape_protocol(shape), len));
	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)shape_ip_len(shape),
		.csum_offset = (uint16_t)(checksum_position(shape) - shape_ip_len(shape)),
	};
}

static inline void assert_ip_is_right(const uint8_t *packet, size_t len)
{
	if (packet[0] >> 4 == 6) {
		assert_int_equal(get_be16(packet + 4), len - 40);
		return;
	}
	assert_int_equal(get_be16(packet + 2), len);
	assert_int_equal(naive_sum(0, packet, (size_t)(packet[0] & 15) * 4), 0xffff);
}

static inline void assert_transport_is_right(const uint8_t *packet, size_t len, size_t ip_len,
					     uint8_t protocol)
{
	uint16_t sum = naive_pseudo(packet, protocol, len - ip_len);

	assert_int_equal(naive_sum(sum, packet + ip_len, len - ip_len), 0xffff);
	if (protocol == IPPROTO_UDP) {
		assert_int_equal(get_be16(packet + ip_len + 4), len - ip_len);
		assert_int_not_equal(get_be16(packet + ip_len + 6), 0);
	}
}
