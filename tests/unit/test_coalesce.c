/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coalesce.c: packets are joined as the kernel's GRO joins them. A super-packet carries the same
 * bytes in the same order per flow, and cutting it gives back the packets that went in; nothing is
 * read or written out of bounds. Packets that are not joined are in test_coalesce_refused.c.
 */
#include "joining.h"
#include "packet/segment.h"
#include "segment_packet.h"

/* -- what is joined -- */

TEST(consecutive_tcp_segments_become_one_super_packet, begin)
{
	for (uint8_t version = 4; version <= 6; version += 2) {
		struct shape shape = {.version = version,
				      .sequence = 0xffffff00,
				      .tcp_options = timestamp,
				      .tcp_options_len = sizeof(timestamp),
				      .payload_len = 1000};
		struct shape first = shape;

		begin(state);
		for (int i = 0; i < 10; i++)
			add_next(&shape);
		assert_int_equal(written_count, 0);
		flush_and_count(1);
		assert_joined(0, &first, 10000, 1000);
	}
}

TEST(short_segment_ends_the_super_packet, begin)
{
	struct shape shape = {.version = 6, .payload_len = 1000}, first = shape, second;

	add_next(&shape);
	add_next(&shape);
	shape.payload_len = 999;
	add_next(&shape);
	assert_int_equal(written_count, 1);
	assert_joined(0, &first, 2999, 1000);
	second = shape;
	add_next(&shape);
	flush_and_count(2);
	assert_alone(1, &second);
}

TEST(longer_segment_begins_a_new_super_packet, begin)
{
	struct shape shape = {.version = 4, .payload_len = 500}, first = shape, second;

	add_next(&shape);
	add_next(&shape);
	second = shape;
	second.payload_len = 501;
	add(&second);
	flush_and_count(2);
	assert_joined(0, &first, 1000, 500);
	assert_alone(1, &second);
}

TEST(push_and_fin_end_the_super_packet_and_stay_in_it, begin)
{
	static const uint8_t ends[] = {ACK | PSH, ACK | FIN, ACK | PSH | FIN};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct shape shape = {.version = 4, .payload_len = 700}, first = shape;

		begin(state);
		add_next(&shape);
		shape.flags = ends[i];
		add_next(&shape);
		assert_int_equal(written_count, 1);
		first.flags = ends[i];
		assert_joined(0, &first, 1400, 700);
		flush_and_count(1);
	}
}

TEST(lone_segment_is_written_as_it_came, begin)
{
	struct shape shape = {.version = 6, .payload_len = 700};

	add(&shape);
	assert_int_equal(written_count, 0);
	flush_and_count(1);
	assert_alone(0, &shape);
	flush_and_count(1);
}

TEST(equal_udp_datagrams_become_one_super_packet, begin)
{
	for (uint8_t version = 4; version <= 6; version += 2) {
		struct shape shape = {.version = version,
				      .protocol = IPPROTO_UDP,
				      .payload_len = 1200},
			     first = shape;

		begin(state);
		for (int i = 0; i < 5; i++)
			add_next(&shape);
		shape.payload_len = 100;
		add_next(&shape);
		assert_int_equal(written_count, 1);
		assert_joined(0, &first, 6100, 1200);
		flush_and_count(1);
	}
}

TEST(super_packet_never_exceeds_the_largest_ip_packet, begin)
{
	for (uint8_t version = 4; version <= 6; version += 2) {
		struct shape shape = {.version = version, .payload_len = 1368}, first = shape;
		size_t fit = (65535 - shape_head_len(&shape)) / 1368;

		begin(state);
		for (size_t i = 0; i < fit + 2; i++)
			add_next(&shape);
		flush_and_count(2);
		assert_joined(0, &first, fit * 1368, 1368);
		assert_int_equal(written[1].packets, 2);
	}
}

TEST(super_packet_has_no_more_pieces_than_a_vector, begin)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 20},
		     first = shape;

	for (int i = 0; i < COALESCE_PIECES + 1; i++)
		add_next(&shape);
	flush_and_count(2);
	assert_joined(0, &first, COALESCE_PIECES * 20, 20);
}

TEST(interleaved_flows_are_joined_each_by_itself, begin)
{
	struct shape shapes[COALESCE_FLOWS], first[COALESCE_FLOWS];

	for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
		first[i] = shapes[i] =
			(struct shape){.version = i % 2 ? 4 : 6,
				       .protocol = i % 4 < 2 ? IPPROTO_TCP : IPPROTO_UDP,
				       .host = (uint8_t)(i % 3),
				       .port = (uint16_t)(1000 + i / 4),
				       .sequence = i * 77777,
				       .payload_len = 100};
	for (int round = 0; round < 6; round++)
		for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
			add_next(&shapes[i]);
	flush_and_count(COALESCE_FLOWS);
	for (unsigned int i = 0; i < COALESCE_FLOWS; i++)
		assert_joined(i, &first[i], 600, 100);
}

TEST(one_flow_too_many_evicts_another, begin)
{
	for (unsigned int i = 0; i <= COALESCE_FLOWS; i++)
		add(&(struct shape){
			.version = 4, .port = (uint16_t)(1000 + i), .payload_len = 100});
	assert_int_equal(written_count, 1);
	flush_and_count(COALESCE_FLOWS + 1);
}

/* -- both ways -- */

TEST(cut_again_a_super_packet_gives_the_packets_that_went_in, begin)
{
	for (int i = 0; i < 400; i++) {
		struct shape shape = {.version = i & 1 ? 4 : 6,
				      .protocol = i & 2 ? IPPROTO_TCP : IPPROTO_UDP,
				      .id = (uint16_t)any(65536),
				      .sequence = any(1U << 31),
				      .tcp_options = timestamp,
				      .tcp_options_len = sizeof(timestamp),
				      .flags = i & 4 ? ACK | PSH : ACK};
		static uint8_t original[PACKET_MAX], piece[PACKET_MAX];
		uint16_t each = (uint16_t)(200 + any(1168));
		struct segmenter segmenter;
		struct virtio_net_hdr vnet;
		size_t len;

		begin(state);
		shape.payload_len = each + 1U + any(each * 40U);
		len = build(original, &shape);
		vnet = leave_checksum(original, &shape);
		vnet.gso_type = expected_type(&shape);
		vnet.gso_size = each;
		assert_int_equal(segment_packet(&segmenter, &vnet, original, len, 1500),
				 SEGMENT_READY);
		while (segment_peek_len(&segmenter))
			add_bytes(piece, segment_next(&segmenter, piece));
		flush_and_count(1);
		assert_joined(0, &shape, shape.payload_len, each);
	}
}

/* Everything that is written, cut again, must be the packets that were added, in order within each
 * flow. */
struct expectation {
	uint8_t packet[1500];
	size_t len;
	bool was_seen;
};

static struct expectation expected[256];

/* Checksums may have been wrong from the beginning; then the packet must have passed as it was. */
static void assert_next_of_its_flow(const uint8_t *packet, size_t len, unsigned int count,
				    unsigned int flows, unsigned int next[])
{
	for (unsigned int flow = 0; flow < flows; flow++)
		for (unsigned int i = next[flow]; i < count; i += flows) {
			if (expected[i].was_seen || expected[i].len != len ||
			    memcmp(expected[i].packet, packet, len))
				continue;
			assert_int_equal(i, next[flow]);
			expected[i].was_seen = true;
			next[flow] = i + flows;
			return;
		}
	fail_msg("a packet came out that never went in");
}

TEST(random_traffic_keeps_every_packet_and_the_order_of_each_flow, begin)
{
	for (int run = 0; run < 300; run++) {
		unsigned int flows = 1 + any(20), count = 20 + any(200), next[20], seen = 0;
		struct shape shapes[20];

		begin(state);
		for (unsigned int flow = 0; flow < flows; flow++) {
			next[flow] = flow;
			shapes[flow] =
				(struct shape){.version = flow & 1 ? 4 : 6,
					       .protocol = flow % 5 ? IPPROTO_TCP : IPPROTO_UDP,
					       .port = (uint16_t)(2000 + flow),
					       .payload_len = 50 + any(300)};
		}
		for (unsigned int i = 0; i < count; i++) {
			struct shape *shape = &shapes[i % flows], once = *shape;

			once.flags = any(8) ? ACK : (uint8_t)(ACK | any(256));
			once.payload_len = any(8) ? once.payload_len : any(400);
			expected[i].len = build(expected[i].packet, &once);
			expected[i].was_seen = false;
			if (!any(20))
				expected[i].packet[checksum_position(&once)] ^= 1;
			add_bytes(expected[i].packet, expected[i].len);
			shape->sequence += (uint32_t)once.payload_len;
			shape->id++;
		}
		coalesce_flush(&coalescer);
		for (unsigned int i = 0; i < written_count; i++) {
			static uint8_t piece[PACKET_MAX];
			struct segmenter segmenter;

			assert_int_equal(segment_packet(&segmenter, &written[i].vnet,
							written_packet(i), written[i].len, 65535),
					 SEGMENT_READY);
			assert_int_equal(segmenter.count, written[i].packets);
			while (segment_peek_len(&segmenter)) {
				size_t len = segment_next(&segmenter, piece);

				assert_next_of_its_flow(piece, len, count, flows, next);
				seen++;
			}
		}
		assert_int_equal(seen, count);
	}
}

/* -- anything at all -- */

TEST(no_mutation_reads_or_writes_outside, begin)
{
	uint8_t packet[PACKET_MAX], *blocks[8];

	for (int run = 0; run < 40000; run++) {
		begin(state);
		for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++) {
			struct shape shape = {.version = any(2) ? 4 : 6,
					      .protocol = any(2) ? IPPROTO_TCP : IPPROTO_UDP,
					      .tcp_options = timestamp,
					      .tcp_options_len = any(2) ? sizeof(timestamp) : 0,
					      .sequence = i * 100,
					      .payload_len = 100};
			size_t len = build(packet, &shape);

			for (uint32_t n = any(3); n; n--)
				packet[any(60)] = (uint8_t)any(256);
			if (!any(4))
				len = 1 + any((uint32_t)len);
			blocks[i] = malloc(len);
			assert_non_null(blocks[i]);
			memcpy(blocks[i], packet, len);
			coalesce_add(&coalescer, blocks[i], len);
		}
		coalesce_flush(&coalescer);
		for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++)
			free(blocks[i]);
	}
}
