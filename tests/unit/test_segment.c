/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c: UDP super-packets and plain packets come out right, byte by byte; contradictory input
 * is refused; nothing is read or written out of bounds. TCP is in test_segment_tcp.c, fragments in
 * test_segment_fragments.c.
 */
#include "cutting.h"

/* -- UDP super-packets -- */

static void assert_udp_pieces(const struct shape *shape, size_t each)
{
	size_t head_len = shape_head_len(shape), at = 0;
	uint32_t index = 0;

	do {
		size_t expected = MIN(each, shape->payload_len - at), len = take();

		assert_int_equal(len, head_len + expected);
		assert_ip_is_right(whole, len);
		assert_transport_is_right(whole, len, head_len - 8, IPPROTO_UDP);
		if (shape->version == 4)
			assert_int_equal(get_be16(whole + 4), (uint16_t)(shape->id + index));
		assert_memory_equal(whole + head_len, packet + head_len + at, expected);
		at += expected;
		index++;
	} while (at < shape->payload_len);
	assert_exhausted(index);
}

TEST(udp_datagrams_carry_every_byte)
{
	struct shape shape = {.protocol = IPPROTO_UDP, .fragment = 0};
	struct virtio_net_hdr vnet;

	for (shape.version = 4; shape.version <= 6; shape.version += 2)
		for (uint16_t size = 1; size <= MTU - 48; size += 9) {
			size_t len;

			shape.payload_len = any(40) ? any(MIN(64U * size, 65000U)) : 0;
			len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, size);
			assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
			assert_udp_pieces(&shape, size);
		}
}

TEST(udp_datagrams_without_checksum_stay_without)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 2500};
	struct virtio_net_hdr vnet = {.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 1000};
	size_t len = build(packet, &shape);

	memset(packet + 26, 0, 2);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	for (int i = 0; i < 3; i++) {
		assert_ip_is_right(whole, take());
		assert_int_equal(get_be16(whole + 26), 0);
	}
	assert_exhausted(3);
}

TEST(udp_datagrams_larger_than_the_mtu_are_too_big_with_df)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .fragment = 0x4000, .payload_len = 14000};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1400);

	assert_int_equal(start(&vnet, len, MTU), SEGMENT_TOO_BIG);
	assert_int_equal(segmenter.count, 10);
	shape.version = 6;
	len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1400);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_TOO_BIG);
}

/* -- plain packets -- */

TEST(packet_that_fits_comes_out_unchanged)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++) {
		struct shape shape = tcp_shapes[i];
		size_t len;

		shape.payload_len = MTU - shape_head_len(&shape);
		len = build(packet, &shape);
		assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_READY);
		assert_int_equal(take(), len);
		assert_memory_equal(whole, packet, len);
		assert_exhausted(1);
	}
}

TEST(padding_behind_the_packet_is_left_out)
{
	struct shape shape = {.version = 4, .payload_len = 1};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	memset(packet + len, 0xee, 5);
	assert_int_equal(start(&vnet, len + 5, MTU), SEGMENT_READY);
	assert_int_equal(take(), len);
	assert_transport_is_right(whole, len, 20, IPPROTO_TCP);
	assert_exhausted(1);
}

TEST(missing_checksum_is_completed_for_every_length)
{
	for (int i = 0; i < 4; i++)
		for (size_t length = 0; length < 600; length++) {
			struct shape shape = {.version = i & 1 ? 4 : 6,
					      .protocol = i & 2 ? IPPROTO_UDP : IPPROTO_TCP,
					      .payload_len = length,
					      .sequence = any(1U << 31)};
			size_t len = build(packet, &shape);
			struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

			assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
			assert_int_equal(take(), len);
			assert_transport_is_right(whole, len, shape_ip_len(&shape),
						  shape_protocol(&shape));
			assert_exhausted(1);
		}
}

/* A pod's own overlay: the checksum that is missing is that of the packet inside. */
TEST(missing_checksum_deep_inside_is_completed)
{
	struct shape outer = {
		.version = 4, .protocol = IPPROTO_UDP, .payload_len = 8 + 14 + 20 + 20 + 100};
	struct shape shape = {.version = 4, .payload_len = 100};
	size_t len = build(packet, &outer), inner_at = 28 + 8 + 14;
	struct virtio_net_hdr vnet;

	build(packet + inner_at, &shape);
	vnet = leave_checksum(packet + inner_at, &shape);
	vnet.csum_start = (uint16_t)(vnet.csum_start + inner_at);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	assert_int_equal(take(), len);
	assert_transport_is_right(whole + inner_at, len - inner_at, 20, IPPROTO_TCP);
}

/* -- what contradicts itself -- */

TEST(packet_that_is_not_whole_is_malformed)
{
	struct shape shape = {.payload_len = 100};

	for (shape.version = 4; shape.version <= 6; shape.version += 2) {
		size_t len = build(packet, &shape);

		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(start(&(struct virtio_net_hdr){0}, cut, MTU),
					 SEGMENT_MALFORMED);
		packet[0] = 0x55;
		assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_MALFORMED);
	}
}

TEST(header_that_contradicts_the_packet_is_malformed)
{
	struct shape shape = {.version = 4, .payload_len = 3000};
	struct virtio_net_hdr right, wrong;
	size_t len = build_super(&right, &shape, VIRTIO_NET_HDR_GSO_TCPV4, 1000);

#define assert_refused(field, value)                                          \
	do {                                                                  \
		wrong = right;                                                \
		wrong.field = (value);                                        \
		assert_int_equal(start(&wrong, len, MTU), SEGMENT_MALFORMED); \
	} while (0)
	assert_int_equal(start(&right, len, MTU), SEGMENT_READY);
	assert_refused(gso_size, 0);
	assert_refused(gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
	assert_refused(gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_refused(gso_type, VIRTIO_NET_HDR_GSO_UDP);
	assert_refused(gso_type, 0x42);
	assert_refused(csum_start, 24);
	assert_refused(csum_offset, 6);
	packet[20 + 13] |= SYN;
	assert_int_equal(start(&right, len, MTU), SEGMENT_MALFORMED);
	packet[20 + 13] = ACK;
	packet[20 + 12] = 0x40;
	assert_int_equal(start(&right, len, MTU), SEGMENT_MALFORMED);
	packet[20 + 12] = 0x50;
	put_be16(packet + 6, 0x2000);
	assert_int_equal(start(&right, len, MTU), SEGMENT_MALFORMED);
#undef assert_refused
}

TEST(checksum_position_outside_the_packet_is_malformed)
{
	struct shape shape = {.version = 4, .payload_len = 100};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	vnet.csum_offset = (uint16_t)(len - 20 - 2);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	vnet.csum_offset++;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
	vnet.csum_offset = 65535;
	vnet.csum_start = 65535;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
	vnet.csum_offset = 0;
	vnet.csum_start = 10;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_MALFORMED);
}

TEST(routing_header_with_segments_left_is_not_cut)
{
	static const uint8_t routing[] = {6, 2, 2, 1, 0, 0, 0, 0, 0xfd, 0, 0, 0,
					  0, 0, 0, 0, 0, 0, 0, 0, 0,	0, 0, 9};
	struct shape shape = {.version = 6,
			      .extra = routing,
			      .extra_len = sizeof(routing),
			      .first_next = 43,
			      .payload_len = 1440};
	size_t len = build(packet, &shape);

	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_TOO_BIG);
}

/* -- anything at all -- */

static size_t build_anything(struct virtio_net_hdr *ret_vnet)
{
	struct shape shape = tcp_shapes[any(ARRAY_SIZE(tcp_shapes))];
	static const uint8_t types[] = {0, 0, VIRTIO_NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_GSO_TCPV4,
					VIRTIO_NET_HDR_GSO_TCPV6};
	uint8_t type = types[any(ARRAY_SIZE(types))];

	shape.payload_len = any(8) ? any(200) : any(4000);
	if (type == VIRTIO_NET_HDR_GSO_UDP_L4 || (!type && any(2)))
		shape.protocol = IPPROTO_UDP;
	if (shape.version == 6 && shape.protocol)
		shape.extra_len = 0;
	return build_super(ret_vnet, &shape, type, (uint16_t)(1 + any(any(4) ? 1500 : 10)));
}

static void mutate(uint8_t *bytes, size_t len, uint32_t times)
{
	while (times--)
		bytes[any((uint32_t)len)] = any(3) ? (uint8_t)any(256) : (uint8_t)(any(2) * 255);
}

/* Heap blocks of the exact size, so that a sanitizer sees one byte too many on either side. */
static void run_once(const struct virtio_net_hdr *vnet, size_t len, size_t mtu)
{
	uint8_t *exact = malloc(len);

	assert_non_null(exact);
	memcpy(exact, packet, len);
	if (segment_packet(&segmenter, vnet, exact, len, mtu) == SEGMENT_READY)
		for (uint32_t i = 0; i < MIN(segmenter.count, 20U); i++) {
			size_t next = segment_peek_len(&segmenter);
			uint8_t *out = malloc(next);

			assert_in_range(next, 20, mtu);
			assert_int_equal(segment_next(&segmenter, out), next);
			free(out);
		}
	free(exact);
}

TEST(no_mutation_reads_or_writes_outside)
{
	for (int i = 0; i < 300000; i++) {
		struct virtio_net_hdr vnet;
		size_t len = build_anything(&vnet);

		mutate(packet, MIN(len, 120U), any(5));
		if (!any(3))
			mutate((uint8_t *)&vnet, sizeof(vnet), any(3));
		run_once(&vnet, any(4) ? len : any((uint32_t)len),
			 any(4) ? 40 + any(1500) : any(100));
	}
}
