/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coalesce.c: a packet that the kernel's GRO would not join comes out unchanged and keeps its place
 * in its flow.
 */
#include "joining.h"

static const uint8_t later_timestamp[] = {1, 1, 8, 10, 1, 2, 3, 5, 5, 6, 7, 8};
static const uint8_t hop_by_hop[] = {6, 0, 1, 4, 0, 0, 0, 0};

/* -- what is not -- */

/* Adds first, then second, and expects both as they are, in that order. */
static void assert_not_joined(struct shape first, struct shape second)
{
	begin(NULL);
	add(&first);
	add(&second);
	flush_and_count(2);
	assert_alone(0, &first);
	assert_alone(1, &second);
}

TEST(segments_whose_headers_differ_are_not_joined, begin)
{
	struct shape first = {.version = 4,
			      .sequence = 5000,
			      .acknowledged = 1,
			      .tcp_options = timestamp,
			      .tcp_options_len = sizeof(timestamp),
			      .payload_len = 300};
	struct shape next = first;

	next.sequence += 300;
	next.id = 1;
#define assert_refused(field, value)              \
	do {                                      \
		struct shape second = next;       \
		second.field = (value);           \
		assert_not_joined(first, second); \
	} while (0)
	assert_refused(sequence, 5000);
	assert_refused(sequence, 5301);
	assert_refused(sequence, 4700);
	assert_refused(acknowledged, 2);
	assert_refused(window, 502);
	assert_refused(flags, ACK | ECE);
	assert_refused(flags, ACK | CWR);
	assert_refused(flags, ACK | URG);
	assert_refused(flags, ACK | RST);
	assert_refused(flags, ACK | SYN);
	assert_refused(flags, PSH);
	assert_refused(tcp_options, later_timestamp);
	assert_refused(tcp_options_len, 0);
	assert_refused(payload_len, 301);
	assert_refused(payload_len, 0);
	assert_refused(tos, 2);
	assert_refused(hops, 62);
	assert_refused(id, 2);
	assert_refused(fragment, 0x4000);
	assert_refused(host, 1);
	assert_refused(port, 80);
	assert_refused(protocol, IPPROTO_UDP);
	first.version = next.version = 6;
	assert_refused(tos, 2);
	assert_refused(hops, 62);
	assert_refused(host, 1);
#undef assert_refused
	begin(NULL);
	add(&first);
	add(&next);
	flush_and_count(1);
}

TEST(ids_do_not_matter_with_df, begin)
{
	struct shape first = {.version = 4, .fragment = 0x4000, .id = 9, .payload_len = 300},
		     second = first;

	second.sequence = 300;
	add(&first);
	add(&second);
	flush_and_count(1);
	assert_joined(0, &first, 600, 300);
}

TEST(wrong_checksum_is_never_joined, begin)
{
	struct shape shapes[] = {
		{.version = 4, .payload_len = 101},
		{.version = 6, .payload_len = 101},
		{.version = 4, .protocol = IPPROTO_UDP, .payload_len = 101},
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		for (int wrong = 0; wrong < 2; wrong++) {
			struct shape shape = shapes[i];
			uint8_t packet[PACKET_MAX];

			begin(state);
			for (int n = 0; n < 2; n++) {
				size_t len = build(packet, &shape);

				packet[len - 1] ^= n == wrong ? 1 : 0;
				add_bytes(packet, len);
				shape.sequence += 101;
				shape.id++;
			}
			flush_and_count(2);
			assert_int_equal(written[0].vnet.flags | written[1].vnet.flags, 0);
		}
}

TEST(wrong_ip_header_checksum_is_never_joined, begin)
{
	struct shape shape = {.version = 4, .payload_len = 101};
	uint8_t packet[PACKET_MAX];
	size_t len = build(packet, &shape);

	add_next(&shape);
	len = build(packet, &shape);
	packet[10] ^= 1;
	add_bytes(packet, len);
	flush_and_count(2);
}

TEST(datagrams_without_checksum_are_not_joined, begin)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 100};
	uint8_t packet[PACKET_MAX];

	for (int i = 0; i < 2; i++) {
		size_t len = build(packet, &shape);

		/* The payload takes the checksum's part, so that only the zero tells. */
		put_be16(packet + 28, naive_sum(get_be16(packet + 26), packet + 28, 2));
		memset(packet + 26, 0, 2);
		assert_int_equal(naive_sum(naive_pseudo(packet, IPPROTO_UDP, len - 20), packet + 20,
					   len - 20),
				 0xffff);
		add_bytes(packet, len);
		shape.id++;
	}
	flush_and_count(2);
	assert_int_equal(written[0].vnet.gso_type, 0);
}

TEST(nothing_is_joined_that_the_device_does_not_take, begin)
{
	struct shape tcp = {.version = 4, .payload_len = 100};
	struct shape udp = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 100};

	coalesce_init(&coalescer, take_write, &coalescer, false, false);
	add_next(&tcp);
	add_next(&tcp);
	add_next(&udp);
	add_next(&udp);
	assert_int_equal(written_count, 4);
	flush_and_count(4);
}

TEST(options_extensions_and_other_protocols_pass_alone, begin)
{
	static const uint8_t router_alert[] = {148, 4, 0, 0};
	struct shape shapes[] = {
		{.version = 4, .extra = router_alert, .extra_len = 4, .payload_len = 100},
		{.version = 6, .extra = hop_by_hop, .extra_len = 8, .payload_len = 100},
		{.version = 4, .protocol = IPPROTO_ICMP, .payload_len = 100},
		{.version = 6, .protocol = IPPROTO_ICMPV6, .payload_len = 100},
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct shape second = shapes[i];

		second.sequence += 100;
		second.id++;
		begin(state);
		add(&shapes[i]);
		assert_int_equal(written_count, 1);
		add(&second);
		flush_and_count(2);
		assert_alone(0, &shapes[i]);
		assert_alone(1, &second);
	}
}

/* -- order -- */

/* held, held, passing, held: the passing one must come out behind the two and before the last. */
static void assert_kept_in_order(struct shape passing)
{
	struct shape shape = {.version = passing.version, .payload_len = 200}, first = shape, last;

	begin(NULL);
	add_next(&shape);
	add_next(&shape);
	add(&passing);
	last = shape;
	add(&last);
	flush_and_count(3);
	assert_joined(0, &first, 400, 200);
	assert_int_equal(written[1].len, shape_head_len(&passing) + passing.payload_len);
	assert_alone(2, &last);
}

TEST(packet_that_cannot_be_joined_keeps_its_place_in_the_flow, begin)
{
	static const uint8_t router_alert[] = {148, 4, 0, 0};
	static const uint8_t later_fragment[] = {6, 0, 0, 16, 0, 0, 0, 1};

	assert_kept_in_order((struct shape){.version = 4, .flags = SYN});
	assert_kept_in_order((struct shape){.version = 6, .flags = RST | ACK});
	assert_kept_in_order((struct shape){.version = 4, .sequence = 77, .payload_len = 200});
	assert_kept_in_order((struct shape){
		.version = 4, .extra = router_alert, .extra_len = 4, .payload_len = 9});
	assert_kept_in_order((struct shape){
		.version = 6, .extra = hop_by_hop, .extra_len = 8, .payload_len = 9});
	assert_kept_in_order((struct shape){.version = 4, .fragment = 0x2000, .payload_len = 8});
	assert_kept_in_order((struct shape){.version = 4, .fragment = 7, .payload_len = 8});
	assert_kept_in_order((struct shape){.version = 6,
					    .extra = later_fragment,
					    .extra_len = 8,
					    .first_next = 44,
					    .payload_len = 8});
}

TEST(other_flows_stay_held_when_a_packet_passes, begin)
{
	struct shape shape = {.version = 4, .payload_len = 200}, first = shape;

	add_next(&shape);
	add(&(struct shape){.version = 4, .port = 99, .flags = SYN});
	add(&(struct shape){.version = 4, .host = 3, .fragment = 7, .payload_len = 8});
	add_next(&shape);
	flush_and_count(3);
	assert_joined(2, &first, 400, 200);
}
