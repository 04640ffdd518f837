/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c: TCP, in super-packets or in packets of connections older than the agent, comes out in
 * segments that a naive reader puts together to the same bytes, each right in itself, with sequence
 * numbers, flags and ids as the kernel's GSO gives them.
 */
#include "cutting.h"

static const uint8_t md5[] = {19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0};

static uint8_t tcp_gso(const struct shape *shape)
{
	return shape->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

static void assert_tcp_segment(const struct shape *shape, size_t len, size_t at, uint32_t index)
{
	size_t ip_len = shape_ip_len(shape), head_len = shape_head_len(shape);
	bool is_end = at + len - head_len == shape->payload_len;
	uint8_t flags = shape->flags ? shape->flags : ACK;

	assert_ip_is_right(whole, len);
	assert_transport_is_right(whole, len, ip_len, IPPROTO_TCP);
	assert_int_equal(get_be32(whole + ip_len + 4), (uint32_t)(shape->sequence + at));
	assert_int_equal(whole[ip_len + 13], is_end ? flags : flags & ~(FIN | PSH));
	if (shape->version == 4)
		assert_int_equal(get_be16(whole + 4), (uint16_t)(shape->id + index));
	assert_memory_equal(whole + ip_len, packet + ip_len, 4);
	assert_memory_equal(whole + ip_len + 8, packet + ip_len + 8, 5);
	assert_memory_equal(whole + ip_len + 20, packet + ip_len + 20, head_len - ip_len - 20);
	assert_memory_equal(whole + head_len, packet + head_len + at, len - head_len);
}

/* Payload of every segment but the last is `each` long. */
static void assert_tcp_pieces(const struct shape *shape, size_t each)
{
	size_t head_len = shape_head_len(shape), at = 0;
	uint32_t index = 0;

	do {
		size_t expected = MIN(each, shape->payload_len - at), len = take();

		assert_int_equal(len, head_len + expected);
		assert_tcp_segment(shape, len, at, index++);
		at += expected;
	} while (at < shape->payload_len);
	assert_exhausted(index);
}

static void cut_tcp(struct shape shape, size_t payload_len, uint16_t gso_size, size_t mtu)
{
	struct virtio_net_hdr vnet;
	size_t len;

	shape.payload_len = payload_len;
	len = build_super(&vnet, &shape, tcp_gso(&shape), gso_size);
	assert_int_equal(start(&vnet, len, mtu), SEGMENT_READY);
	assert_tcp_pieces(&shape, MIN(gso_size, mtu - shape_head_len(&shape)));
}

TEST(tcp_segments_carry_every_byte_for_every_segment_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++)
		for (uint16_t size = 1; size <= 1500; size += size < 70 ? 1 : 13)
			cut_tcp(tcp_shapes[i], 1 + any(3000), size, 9000);
}

TEST(tcp_segments_carry_every_byte_for_every_payload_length)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++) {
		for (size_t length = 0; length < 4200; length += 7)
			cut_tcp(tcp_shapes[i], length, 1368, MTU);
		cut_tcp(tcp_shapes[i], 65535 - shape_head_len(&tcp_shapes[i]), 1368, MTU);
	}
}

TEST(tcp_segments_larger_than_the_mtu_are_cut_to_it)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++)
		for (size_t mtu = 576; mtu < 1500; mtu += 11)
			cut_tcp(tcp_shapes[i], 20000, 1448, mtu);
}

TEST(last_segment_alone_has_fin_and_push)
{
	struct shape shape = {.version = 4, .flags = ACK | PSH | FIN};

	cut_tcp(shape, 5000, 1000, MTU);
	cut_tcp(shape, 800, 1000, MTU);
}

TEST(first_segment_alone_has_cwr_when_ecn_is_marked)
{
	struct shape shape = {.version = 6, .flags = ACK | CWR | ECE, .payload_len = 3000};
	struct virtio_net_hdr vnet;
	size_t len =
		build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, 1000);

	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	for (int i = 0; i < 3; i++) {
		len = take();
		assert_int_equal(whole[40 + 13], i ? ACK | ECE : ACK | ECE | CWR);
		assert_transport_is_right(whole, len, 40, IPPROTO_TCP);
	}
	assert_exhausted(3);
}

TEST(urgent_pointer_keeps_its_byte)
{
	struct shape shape = {
		.version = 4, .flags = ACK | URG, .urgent = 2500, .payload_len = 4000};
	size_t len = build(packet, &shape);

	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, 1040), SEGMENT_READY);
	for (uint32_t at = 0; at < 4000; at += 1000) {
		len = take();
		assert_transport_is_right(whole, len, 20, IPPROTO_TCP);
		assert_int_equal(!!(whole[20 + 13] & URG), at < 2500);
		assert_int_equal(get_be16(whole + 20 + 18), at < 2500 ? 2500 - at : 0);
	}
	assert_exhausted(4);
}

/* -- TCP packets of connections older than the agent -- */

TEST(tcp_packet_larger_than_the_mtu_is_cut_like_a_super_packet)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++)
		for (int is_offloaded = 0; is_offloaded < 2; is_offloaded++) {
			struct shape shape = tcp_shapes[i];
			struct virtio_net_hdr vnet = {0};
			size_t len;

			shape.flags = ACK | PSH;
			shape.payload_len = 1500 - shape_head_len(&shape);
			len = build(packet, &shape);
			if (is_offloaded)
				vnet = leave_checksum(packet, &shape);
			assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
			assert_tcp_pieces(&shape, MTU - shape_head_len(&shape));
		}
}

TEST(wrong_checksum_is_not_mended_by_cutting)
{
	struct shape shape = {.version = 4, .payload_len = 1460};
	struct virtio_net_hdr vnet = {0};
	size_t len = build(packet, &shape);

	packet[700] ^= 1;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
	vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	vnet.gso_size = 1000;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
	shape.protocol = IPPROTO_UDP;
	len = build(packet, &shape);
	packet[700] ^= 1;
	vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
}

TEST(syn_reset_and_signed_segments_are_never_cut)
{
	struct shape shapes[] = {
		{.version = 6, .flags = SYN, .payload_len = 1440},
		{.version = 6, .flags = RST | ACK, .payload_len = 1440},
		{.version = 6,
		 .tcp_options = md5,
		 .tcp_options_len = sizeof(md5),
		 .payload_len = 1420},
		{.version = 4, .flags = SYN, .fragment = 0x4000, .payload_len = 1460},
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shapes[i]), MTU),
				 SEGMENT_TOO_BIG);
	shapes[3].fragment = 0;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shapes[3]), MTU),
			 SEGMENT_READY);
	assert_true(segmenter.is_fragmenting);
}

TEST(packet_that_cannot_be_cut_is_too_big)
{
	struct shape shape = {.protocol = IPPROTO_UDP, .fragment = 0x4000};

	for (shape.version = 4; shape.version <= 6; shape.version += 2) {
		shape.payload_len = MTU - shape_head_len(&shape);
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
				 SEGMENT_READY);
		shape.payload_len++;
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
				 SEGMENT_TOO_BIG);
	}
}
