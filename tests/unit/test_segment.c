/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c: whatever goes in whole comes out in pieces that a naive reader puts together to the same bytes, each
 * piece right in itself; whatever contradicts itself is refused; and nothing is read or written outside.
 */
#include "segment.h"

#include "packets.h"

#define MTU 1420

/* NOP NOP timestamp, as on nearly every connection. */
static const uint8_t timestamp[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t md5[] = {19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0};
/* Router alert (copied), record route (not copied), end. */
static const uint8_t ip_options[] = {148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0};
/* Hop-by-hop, routing without segments left, destination options of 16 bytes. */
static const uint8_t extensions[] = {43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
				     6,	 1, 1, 4, 0, 0, 0, 0, 0,  0, 1, 4, 0, 0, 0, 0};

static uint8_t packet[PACKET_MAX], whole[PACKET_MAX], pieces[2 * PACKET_MAX];
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

static uint8_t tcp_gso(const struct shape *shape)
{
	return shape->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/* A super-packet as the kernel gives it. */
static size_t build_super(struct virtio_net_hdr *ret_vnet, const struct shape *shape,
			  uint8_t gso_type, uint16_t gso_size)
{
	size_t len = build(packet, shape);

	*ret_vnet = leave_checksum(packet, shape);
	ret_vnet->gso_type = gso_type;
	ret_vnet->gso_size = gso_size;
	ret_vnet->hdr_len = (uint16_t)shape_head_len(shape);
	return len;
}

static enum segment_verdict start(const struct virtio_net_hdr *vnet, size_t len, size_t mtu)
{
	return segment_init(&segmenter, vnet, packet, len, mtu);
}

/* Takes the next one into `whole`; its announced length must be what comes. */
static size_t take(void)
{
	size_t announced = segment_peek_len(&segmenter), len = segment_next(&segmenter, whole);

	assert_int_equal(len, announced);
	return len;
}

static void assert_exhausted(uint32_t taken)
{
	assert_int_equal(segmenter.count, taken);
	assert_int_equal(segment_peek_len(&segmenter), 0);
	assert_int_equal(segment_next(&segmenter, whole), 0);
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

static void tcp_segments_carry_every_byte_for_every_segment_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++)
		for (uint16_t size = 1; size <= 1500; size += size < 70 ? 1 : 13)
			cut_tcp(tcp_shapes[i], 1 + any(3000), size, 9000);
}

static void tcp_segments_carry_every_byte_for_every_payload_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++) {
		for (size_t length = 0; length < 4200; length += 7)
			cut_tcp(tcp_shapes[i], length, 1368, MTU);
		cut_tcp(tcp_shapes[i], 65535 - shape_head_len(&tcp_shapes[i]), 1368, MTU);
	}
}

static void tcp_segments_larger_than_the_mtu_are_cut_to_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tcp_shapes); i++)
		for (size_t mtu = 576; mtu < 1500; mtu += 11)
			cut_tcp(tcp_shapes[i], 20000, 1448, mtu);
}

static void last_segment_alone_has_fin_and_push(void **state)
{
	struct shape shape = {.version = 4, .flags = ACK | PSH | FIN};

	(void)state;
	cut_tcp(shape, 5000, 1000, MTU);
	cut_tcp(shape, 800, 1000, MTU);
}

static void first_segment_alone_has_cwr_when_ecn_is_marked(void **state)
{
	struct shape shape = {.version = 6, .flags = ACK | CWR | ECE, .payload_len = 3000};
	struct virtio_net_hdr vnet;
	size_t len =
		build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, 1000);

	(void)state;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	for (int i = 0; i < 3; i++) {
		len = take();
		assert_int_equal(whole[40 + 13], i ? ACK | ECE : ACK | ECE | CWR);
		assert_transport_is_right(whole, len, 40, IPPROTO_TCP);
	}
	assert_exhausted(3);
}

static void urgent_pointer_keeps_its_byte(void **state)
{
	struct shape shape = {
		.version = 4, .flags = ACK | URG, .urgent = 2500, .payload_len = 4000};
	size_t len = build(packet, &shape);

	(void)state;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, 1040), SEGMENT_READY);
	for (uint32_t at = 0; at < 4000; at += 1000) {
		len = take();
		assert_transport_is_right(whole, len, 20, IPPROTO_TCP);
		assert_int_equal(!!(whole[20 + 13] & URG), at < 2500);
		assert_int_equal(get_be16(whole + 20 + 18), at < 2500 ? 2500 - at : 0);
	}
	assert_exhausted(4);
}

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

static void udp_datagrams_carry_every_byte(void **state)
{
	struct shape shape = {.protocol = IPPROTO_UDP, .fragment = 0};
	struct virtio_net_hdr vnet;

	(void)state;
	for (shape.version = 4; shape.version <= 6; shape.version += 2)
		for (uint16_t size = 1; size <= MTU - 48; size += 9) {
			size_t len;

			shape.payload_len = any(40) ? any(MIN(64U * size, 65000U)) : 0;
			len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, size);
			assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
			assert_udp_pieces(&shape, size);
		}
}

static void udp_datagrams_without_checksum_stay_without(void **state)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 2500};
	struct virtio_net_hdr vnet = {.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 1000};
	size_t len = build(packet, &shape);

	(void)state;
	memset(packet + 26, 0, 2);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	for (int i = 0; i < 3; i++) {
		assert_ip_is_right(whole, take());
		assert_int_equal(get_be16(whole + 26), 0);
	}
	assert_exhausted(3);
}

static void udp_datagrams_larger_than_the_mtu_are_too_big_with_df(void **state)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .fragment = 0x4000, .payload_len = 14000};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1400);

	(void)state;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_TOO_BIG);
	assert_int_equal(segmenter.count, 10);
	shape.version = 6;
	len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1400);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_TOO_BIG);
}

/* -- plain packets -- */

static void packet_that_fits_comes_out_unchanged(void **state)
{
	(void)state;
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

static void padding_behind_the_packet_is_left_out(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 1};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	(void)state;
	memset(packet + len, 0xee, 5);
	assert_int_equal(start(&vnet, len + 5, MTU), SEGMENT_READY);
	assert_int_equal(take(), len);
	assert_transport_is_right(whole, len, 20, IPPROTO_TCP);
	assert_exhausted(1);
}

static void missing_checksum_is_completed_for_every_length(void **state)
{
	(void)state;
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
static void missing_checksum_deep_inside_is_completed(void **state)
{
	struct shape outer = {
		.version = 4, .protocol = IPPROTO_UDP, .payload_len = 8 + 14 + 20 + 20 + 100};
	struct shape shape = {.version = 4, .payload_len = 100};
	size_t len = build(packet, &outer), inner_at = 28 + 8 + 14;
	struct virtio_net_hdr vnet;

	(void)state;
	build(packet + inner_at, &shape);
	vnet = leave_checksum(packet + inner_at, &shape);
	vnet.csum_start = (uint16_t)(vnet.csum_start + inner_at);
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	assert_int_equal(take(), len);
	assert_transport_is_right(whole + inner_at, len - inner_at, 20, IPPROTO_TCP);
}

/* -- TCP packets of connections older than the agent -- */

static void tcp_packet_larger_than_the_mtu_is_cut_like_a_super_packet(void **state)
{
	(void)state;
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

static void wrong_checksum_is_not_mended_by_cutting(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 1460};
	struct virtio_net_hdr vnet = {0};
	size_t len = build(packet, &shape);

	(void)state;
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

static void syn_reset_and_signed_segments_are_never_cut(void **state)
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

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shapes[i]), MTU),
				 SEGMENT_TOO_BIG);
	shapes[3].fragment = 0;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shapes[3]), MTU),
			 SEGMENT_READY);
	assert_true(segmenter.is_fragmenting);
}

static void packet_that_cannot_be_cut_is_too_big(void **state)
{
	struct shape shape = {.protocol = IPPROTO_UDP, .fragment = 0x4000};

	(void)state;
	for (shape.version = 4; shape.version <= 6; shape.version += 2) {
		shape.payload_len = MTU - shape_head_len(&shape);
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
				 SEGMENT_READY);
		shape.payload_len++;
		assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
				 SEGMENT_TOO_BIG);
	}
}

/* -- fragments -- */

/* Puts fragments together by their offsets alone; the header is the first one's. */
struct reassembly {
	uint8_t bytes[PACKET_MAX];
	bool has[PACKET_MAX];
	size_t end; /* 0: the last one has not come */
};

static struct reassembly reassembly;

static void reassemble(const uint8_t *fragment, size_t len)
{
	size_t ip_len = (size_t)(fragment[0] & 15) * 4;
	uint16_t field = get_be16(fragment + 6);
	size_t at = (size_t)(field & 0x1fff) * 8;

	assert_ip_is_right(fragment, len);
	assert_int_equal(field & 0x4000, 0);
	for (size_t i = 0; i < len - ip_len; i++) {
		assert_false(reassembly.has[at + i]);
		reassembly.has[at + i] = true;
		reassembly.bytes[at + i] = fragment[ip_len + i];
	}
	if (!(field & 0x2000))
		reassembly.end = at + len - ip_len;
	else
		assert_int_equal((len - ip_len) % 8, 0);
}

static void assert_reassembled(const uint8_t *transport, size_t len)
{
	assert_int_equal(reassembly.end, len);
	for (size_t i = 0; i < len; i++)
		assert_true(reassembly.has[i]);
	assert_memory_equal(reassembly.bytes, transport, len);
}

static void fragment_all(size_t mtu)
{
	uint32_t count = segmenter.count;

	memset(&reassembly, 0, sizeof(reassembly));
	for (uint32_t i = 0; i < count; i++) {
		size_t len = take();

		assert_in_range(len, 21, mtu);
		assert_int_equal(get_be16(whole + 4), get_be16(packet + 4));
		reassemble(whole, len);
	}
	assert_exhausted(count);
}

static void packets_without_df_come_out_as_fragments_that_reassemble(void **state)
{
	(void)state;
	for (size_t length = MTU; length < 65000; length += 1 + any(400))
		for (int has_options = 0; has_options < 2; has_options++) {
			struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .id = 77};
			size_t len, ip_len;

			shape.extra = ip_options;
			shape.extra_len = has_options ? sizeof(ip_options) : 0;
			shape.payload_len = length;
			ip_len = shape_ip_len(&shape);
			len = build(packet, &shape);
			assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU),
					 SEGMENT_READY);
			fragment_all(MTU);
			assert_reassembled(packet + ip_len, len - ip_len);
		}
}

static void missing_checksum_is_completed_in_fragments(void **state)
{
	(void)state;
	for (size_t length = 1393; length < 4000; length += 17) {
		struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = length};
		size_t len = build(packet, &shape);
		struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

		assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
		fragment_all(MTU);
		build(packet, &shape);
		assert_reassembled(packet + 20, len - 20);
	}
}

static void missing_checksum_across_two_fragments_is_completed(void **state)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 200};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 63};
	uint16_t sum;

	(void)state;
	assert_int_equal(start(&vnet, len, 84), SEGMENT_READY);
	fragment_all(84);
	sum = (uint16_t)~naive_sum(0, packet + 20, len - 20);
	put_be16(packet + 20 + 63, sum);
	assert_reassembled(packet + 20, len - 20);
}

static void only_copied_options_stand_in_later_fragments(void **state)
{
	static const uint8_t blanked[] = {148, 4, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0};
	struct shape shape = {.version = 4,
			      .protocol = IPPROTO_UDP,
			      .extra = ip_options,
			      .extra_len = sizeof(ip_options),
			      .payload_len = 3000};
	size_t len = build(packet, &shape);

	(void)state;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_READY);
	take();
	assert_memory_equal(whole + 20, ip_options, sizeof(ip_options));
	take();
	assert_memory_equal(whole + 20, blanked, sizeof(blanked));
}

static void fragments_are_cut_again_with_right_offsets(void **state)
{
	struct shape shape = {.version = 4,
			      .protocol = IPPROTO_UDP,
			      .payload_len = 2000,
			      .fragment = 0x2000 | 300};
	size_t len = build(packet, &shape);

	(void)state;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_READY);
	assert_int_equal(segmenter.count, 2);
	assert_int_equal(take(), 20 + 1400);
	assert_int_equal(get_be16(whole + 6), 0x2000 | 300);
	assert_ip_is_right(whole, 1420);
	assert_int_equal(take(), 20 + 608);
	assert_int_equal(get_be16(whole + 6), 0x2000 | 475);
	shape.fragment = 300;
	len = build(packet, &shape);
	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_READY);
	take();
	assert_int_equal(get_be16(whole + 6), 0x2000 | 300);
	take();
	assert_int_equal(get_be16(whole + 6), 475);
}

static void fragment_that_ends_beyond_the_largest_packet_is_malformed(void **state)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .payload_len = 2000, .fragment = 0x1fff};

	(void)state;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
			 SEGMENT_MALFORMED);
}

static void each_datagram_of_a_udp_super_packet_is_fragmented_by_itself(void **state)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .id = 9, .payload_len = 1472 * 3 + 1393};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1472);

	(void)state;
	assert_int_equal(start(&vnet, len, MTU), SEGMENT_READY);
	assert_int_equal(segmenter.count, 8);
	for (size_t datagram = 0; datagram < 4; datagram++) {
		size_t length = datagram < 3 ? 1472 : 1393;

		memset(&reassembly, 0, sizeof(reassembly));
		for (int i = 0; i < 2; i++) {
			len = take();
			assert_in_range(len, 21, MTU);
			assert_int_equal(get_be16(whole + 4), 9 + datagram);
			reassemble(whole, len);
		}
		memcpy(pieces, packet, 20);
		memcpy(pieces + 20, reassembly.bytes, reassembly.end);
		assert_int_equal(reassembly.end, 8 + length);
		assert_transport_is_right(pieces, 28 + length, 20, IPPROTO_UDP);
		assert_memory_equal(pieces + 28, packet + 28 + datagram * 1472, length);
	}
	assert_exhausted(8);
}

/* -- IPv6 where the tunnel is narrower than its minimum -- */

#define NARROW_MTU  1220
#define FRAGMENT_ID 0xa1b2c3d4

/* Judges one fragment whose header stands at `at` and puts its part where it says. */
static void reassemble6(const uint8_t *fragment, size_t len, size_t at, uint32_t id)
{
	size_t offset = get_be16(fragment + at + 2) & 0xfff8;

	assert_in_range(len, at + 9, NARROW_MTU);
	assert_ip_is_right(fragment, len);
	assert_int_equal(get_be32(fragment + at + 4), id);
	for (size_t i = at + 8; i < len; i++) {
		assert_false(reassembly.has[offset + i - at - 8]);
		reassembly.has[offset + i - at - 8] = true;
		reassembly.bytes[offset + i - at - 8] = fragment[i];
	}
	if (fragment[at + 3] & 1) {
		assert_int_equal((len - at - 8) % 8, 0);
		return;
	}
	assert_int_equal(reassembly.end, 0);
	reassembly.end = offset + len - at - 8;
}

/* Every header before the fragments' own is repeated, but for length and the byte that announces it. */
static void assert_head_repeated(size_t at, size_t announced_at, uint8_t next)
{
	uint8_t expected[PACKET_MAX];

	memcpy(expected, packet, at);
	memcpy(expected + 4, whole + 4, 2);
	expected[announced_at] = 44;
	assert_memory_equal(whole, expected, at);
	assert_int_equal(whole[at], next);
}

static void ip6_of_the_minimum_mtu_is_cut_where_the_tunnel_is_narrower(void **state)
{
	(void)state;
	for (size_t total = NARROW_MTU + 1; total <= 1280; total++)
		for (int has_extensions = 0; has_extensions < 2; has_extensions++) {
			struct shape shape = {.version = 6,
					      .protocol = has_extensions ? 6 : IPPROTO_UDP,
					      .extra = extensions,
					      .extra_len = has_extensions ? sizeof(extensions) : 0,
					      .flags = SYN};
			size_t ip_len = shape_ip_len(&shape);

			shape.payload_len = total - shape_head_len(&shape);
			assert_int_equal(build(packet, &shape), total);
			assert_int_equal(start(&(struct virtio_net_hdr){0}, total, NARROW_MTU),
					 SEGMENT_READY);
			assert_int_equal(segmenter.count, 2);
			segmenter.fragment_id = FRAGMENT_ID;
			memset(&reassembly, 0, sizeof(reassembly));
			for (int i = 0; i < 2; i++) {
				reassemble6(whole, take(), ip_len, FRAGMENT_ID);
				assert_head_repeated(ip_len, has_extensions ? 56 : 6,
						     shape.protocol);
			}
			assert_exhausted(2);
			assert_reassembled(packet + ip_len, total - ip_len);
		}
}

static void ip6_beyond_the_minimum_mtu_is_too_big(void **state)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 1281 - 48};

	(void)state;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), NARROW_MTU),
			 SEGMENT_TOO_BIG);
	shape.payload_len--;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), 1279),
			 SEGMENT_READY);
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), 55),
			 SEGMENT_TOO_BIG);
}

static void missing_checksum_is_completed_in_ip6_fragments(void **state)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 1230};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	(void)state;
	assert_int_equal(start(&vnet, len, NARROW_MTU), SEGMENT_READY);
	memset(&reassembly, 0, sizeof(reassembly));
	reassemble6(whole, take(), 40, 0);
	reassemble6(whole, take(), 40, 0);
	build(packet, &shape);
	assert_reassembled(packet + 40, len - 40);
}

/* What the pod's own kernel makes of 3000 bytes once it was told 1280. */
static void ip6_fragments_are_cut_again_with_their_own_id_and_offsets(void **state)
{
	static uint8_t original[PACKET_MAX];
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 2992};
	uint32_t pieces_taken = 0;

	(void)state;
	build(original, &shape);
	memset(&reassembly, 0, sizeof(reassembly));
	for (size_t at = 0; at < 3000; at += 1232) {
		size_t part = MIN(3000 - at, (size_t)1232), len = 48 + part;

		memcpy(packet, original, 40);
		packet[6] = 44;
		put_be16(packet + 4, (uint16_t)(8 + part));
		memcpy(packet + 40, (uint8_t[8]){IPPROTO_UDP}, 8);
		put_be16(packet + 42, (uint16_t)(at | (at + part < 3000)));
		put_be32(packet + 44, FRAGMENT_ID);
		memcpy(packet + 48, original + 40 + at, part);
		assert_int_equal(start(&(struct virtio_net_hdr){0}, len, NARROW_MTU),
				 SEGMENT_READY);
		segmenter.fragment_id = 1; /* not for one that has its own */
		while ((len = segment_peek_len(&segmenter))) {
			assert_int_equal(segment_next(&segmenter, whole), len);
			if (part == 1232)
				reassemble6(whole, len, 40, FRAGMENT_ID);
			else
				memcpy(reassembly.bytes + at, whole + 48, part);
			pieces_taken++;
		}
	}
	assert_int_equal(pieces_taken, 5);
	assert_memory_equal(reassembly.bytes, original + 40, 3000);
}

static void each_datagram_of_an_ip6_super_packet_is_cut_by_itself(void **state)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 3 * 1232};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1232);

	(void)state;
	assert_int_equal(start(&vnet, len, NARROW_MTU), SEGMENT_READY);
	segmenter.fragment_id = FRAGMENT_ID;
	for (uint32_t datagram = 0; datagram < 3; datagram++) {
		memset(&reassembly, 0, sizeof(reassembly));
		reassemble6(whole, take(), 40, FRAGMENT_ID + datagram);
		reassemble6(whole, take(), 40, FRAGMENT_ID + datagram);
		assert_int_equal(reassembly.end, 1240);
		memcpy(whole, packet, 40);
		memcpy(whole + 40, reassembly.bytes, 1240);
		assert_transport_is_right(whole, 1280, 40, IPPROTO_UDP);
		assert_memory_equal(whole + 48, packet + 48 + datagram * 1232, 1232);
	}
	assert_exhausted(6);
}

/* -- what contradicts itself -- */

static void packet_that_is_not_whole_is_malformed(void **state)
{
	struct shape shape = {.payload_len = 100};

	(void)state;
	for (shape.version = 4; shape.version <= 6; shape.version += 2) {
		size_t len = build(packet, &shape);

		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(start(&(struct virtio_net_hdr){0}, cut, MTU),
					 SEGMENT_MALFORMED);
		packet[0] = 0x55;
		assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_MALFORMED);
	}
}

static void header_that_contradicts_the_packet_is_malformed(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 3000};
	struct virtio_net_hdr right, wrong;
	size_t len = build_super(&right, &shape, VIRTIO_NET_HDR_GSO_TCPV4, 1000);

	(void)state;
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

static void checksum_position_outside_the_packet_is_malformed(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 100};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	(void)state;
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

static void routing_header_with_segments_left_is_not_cut(void **state)
{
	static const uint8_t routing[] = {6, 2, 2, 1, 0, 0, 0, 0, 0xfd, 0, 0, 0,
					  0, 0, 0, 0, 0, 0, 0, 0, 0,	0, 0, 9};
	struct shape shape = {.version = 6,
			      .extra = routing,
			      .extra_len = sizeof(routing),
			      .first_next = 43,
			      .payload_len = 1440};
	size_t len = build(packet, &shape);

	(void)state;
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
	if (segment_init(&segmenter, vnet, exact, len, mtu) == SEGMENT_READY)
		for (uint32_t i = 0; i < MIN(segmenter.count, 20U); i++) {
			size_t next = segment_peek_len(&segmenter);
			uint8_t *out = malloc(next);

			assert_in_range(next, 20, mtu);
			assert_int_equal(segment_next(&segmenter, out), next);
			free(out);
		}
	free(exact);
}

static void no_mutation_reads_or_writes_outside(void **state)
{
	(void)state;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_segments_carry_every_byte_for_every_segment_size),
		cmocka_unit_test(tcp_segments_carry_every_byte_for_every_payload_length),
		cmocka_unit_test(tcp_segments_larger_than_the_mtu_are_cut_to_it),
		cmocka_unit_test(last_segment_alone_has_fin_and_push),
		cmocka_unit_test(first_segment_alone_has_cwr_when_ecn_is_marked),
		cmocka_unit_test(urgent_pointer_keeps_its_byte),
		cmocka_unit_test(udp_datagrams_carry_every_byte),
		cmocka_unit_test(udp_datagrams_without_checksum_stay_without),
		cmocka_unit_test(udp_datagrams_larger_than_the_mtu_are_too_big_with_df),
		cmocka_unit_test(packet_that_fits_comes_out_unchanged),
		cmocka_unit_test(padding_behind_the_packet_is_left_out),
		cmocka_unit_test(missing_checksum_is_completed_for_every_length),
		cmocka_unit_test(missing_checksum_deep_inside_is_completed),
		cmocka_unit_test(tcp_packet_larger_than_the_mtu_is_cut_like_a_super_packet),
		cmocka_unit_test(wrong_checksum_is_not_mended_by_cutting),
		cmocka_unit_test(syn_reset_and_signed_segments_are_never_cut),
		cmocka_unit_test(packet_that_cannot_be_cut_is_too_big),
		cmocka_unit_test(packets_without_df_come_out_as_fragments_that_reassemble),
		cmocka_unit_test(missing_checksum_is_completed_in_fragments),
		cmocka_unit_test(missing_checksum_across_two_fragments_is_completed),
		cmocka_unit_test(only_copied_options_stand_in_later_fragments),
		cmocka_unit_test(fragments_are_cut_again_with_right_offsets),
		cmocka_unit_test(fragment_that_ends_beyond_the_largest_packet_is_malformed),
		cmocka_unit_test(each_datagram_of_a_udp_super_packet_is_fragmented_by_itself),
		cmocka_unit_test(ip6_of_the_minimum_mtu_is_cut_where_the_tunnel_is_narrower),
		cmocka_unit_test(ip6_beyond_the_minimum_mtu_is_too_big),
		cmocka_unit_test(missing_checksum_is_completed_in_ip6_fragments),
		cmocka_unit_test(ip6_fragments_are_cut_again_with_their_own_id_and_offsets),
		cmocka_unit_test(each_datagram_of_an_ip6_super_packet_is_cut_by_itself),
		cmocka_unit_test(packet_that_is_not_whole_is_malformed),
		cmocka_unit_test(header_that_contradicts_the_packet_is_malformed),
		cmocka_unit_test(checksum_position_outside_the_packet_is_malformed),
		cmocka_unit_test(routing_header_with_segments_left_is_not_cut),
		cmocka_unit_test(no_mutation_reads_or_writes_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
