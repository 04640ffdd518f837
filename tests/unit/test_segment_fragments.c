/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c: a packet that may be fragmented comes out in fragments that a naive reader reassembles
 * to the same bytes by their offsets alone: IPv4 (RFC 791), and IPv6 if the tunnel is narrower than
 * its minimum (RFC 8200, 4.5).
 */
#include "cutting.h"

/* -- fragments -- */

/* Puts fragments together by their offsets alone; the header is the first one's. */
struct reassembly {
	uint8_t bytes[PACKET_MAX];
	bool has[PACKET_MAX];
	size_t end; /* 0: the last one has not come */
};

static struct reassembly reassembly;
static uint8_t pieces[2 * PACKET_MAX];

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

TEST(packets_without_df_come_out_as_fragments_that_reassemble)
{
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

TEST(missing_checksum_is_completed_in_fragments)
{
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

TEST(missing_checksum_across_two_fragments_is_completed)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 200};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 63};
	uint16_t sum;

	assert_int_equal(start(&vnet, len, 84), SEGMENT_READY);
	fragment_all(84);
	sum = (uint16_t)~naive_sum(0, packet + 20, len - 20);
	put_be16(packet + 20 + 63, sum);
	assert_reassembled(packet + 20, len - 20);
}

TEST(only_copied_options_stand_in_later_fragments)
{
	static const uint8_t blanked[] = {148, 4, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0};
	struct shape shape = {.version = 4,
			      .protocol = IPPROTO_UDP,
			      .extra = ip_options,
			      .extra_len = sizeof(ip_options),
			      .payload_len = 3000};
	size_t len = build(packet, &shape);

	assert_int_equal(start(&(struct virtio_net_hdr){0}, len, MTU), SEGMENT_READY);
	take();
	assert_memory_equal(whole + 20, ip_options, sizeof(ip_options));
	take();
	assert_memory_equal(whole + 20, blanked, sizeof(blanked));
}

TEST(fragments_are_cut_again_with_right_offsets)
{
	struct shape shape = {.version = 4,
			      .protocol = IPPROTO_UDP,
			      .payload_len = 2000,
			      .fragment = 0x2000 | 300};
	size_t len = build(packet, &shape);

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

TEST(fragment_that_ends_beyond_the_largest_packet_is_malformed)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .payload_len = 2000, .fragment = 0x1fff};

	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), MTU),
			 SEGMENT_MALFORMED);
}

TEST(each_datagram_of_a_udp_super_packet_is_fragmented_by_itself)
{
	struct shape shape = {
		.version = 4, .protocol = IPPROTO_UDP, .id = 9, .payload_len = 1472 * 3 + 1393};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1472);

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

/* Checks the fragment with the header at `at` and copies its part to its offset. */
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

/* Every header before the fragments' own is repeated, but for length and the byte that announces
 * it. */
static void assert_head_repeated(size_t at, size_t announced_at, uint8_t next)
{
	uint8_t expected[PACKET_MAX];

	memcpy(expected, packet, at);
	memcpy(expected + 4, whole + 4, 2);
	expected[announced_at] = 44;
	assert_memory_equal(whole, expected, at);
	assert_int_equal(whole[at], next);
}

TEST(ip6_of_the_minimum_mtu_is_cut_where_the_tunnel_is_narrower)
{
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

TEST(ip6_beyond_the_minimum_mtu_is_too_big)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 1281 - 48};

	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), NARROW_MTU),
			 SEGMENT_TOO_BIG);
	shape.payload_len--;
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), 1279),
			 SEGMENT_READY);
	assert_int_equal(start(&(struct virtio_net_hdr){0}, build(packet, &shape), 55),
			 SEGMENT_TOO_BIG);
}

TEST(missing_checksum_is_completed_in_ip6_fragments)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 1230};
	size_t len = build(packet, &shape);
	struct virtio_net_hdr vnet = leave_checksum(packet, &shape);

	assert_int_equal(start(&vnet, len, NARROW_MTU), SEGMENT_READY);
	memset(&reassembly, 0, sizeof(reassembly));
	reassemble6(whole, take(), 40, 0);
	reassemble6(whole, take(), 40, 0);
	build(packet, &shape);
	assert_reassembled(packet + 40, len - 40);
}

/* The pod's own kernel turns 3000 bytes into these fragments after it has learned an MTU of 1280.
 */
TEST(ip6_fragments_are_cut_again_with_their_own_id_and_offsets)
{
	static uint8_t original[PACKET_MAX];
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 2992};
	uint32_t pieces_taken = 0;

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

TEST(each_datagram_of_an_ip6_super_packet_is_cut_by_itself)
{
	struct shape shape = {.version = 6, .protocol = IPPROTO_UDP, .payload_len = 3 * 1232};
	struct virtio_net_hdr vnet;
	size_t len = build_super(&vnet, &shape, VIRTIO_NET_HDR_GSO_UDP_L4, 1232);

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
