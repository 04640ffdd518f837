/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coalesce.c: what comes out carries the same bytes in the same order per flow, joined only where the kernel's GRO
 * would have joined it, and a super-packet cut again gives back the packets that went in.
 */
#include "coalesce.h"

#include "packets.h"
#include "segment.h"

static const uint8_t timestamp[] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t later_timestamp[] = {1, 1, 8, 10, 1, 2, 3, 5, 5, 6, 7, 8};
static const uint8_t hop_by_hop[] = {6, 0, 1, 4, 0, 0, 0, 0};

/* What was written, laid out flat, and what was put in, which must not move before the flush. */
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

static void take_write(void *context, const struct iovec *vector, unsigned int count,
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

static int begin(void **state)
{
	(void)state;
	coalesce_init(&coalescer, take_write, &coalescer, true, true);
	written_count = 0;
	in_used = out_used = 0;
	return 0;
}

static uint8_t *add_bytes(const uint8_t *packet, size_t len)
{
	uint8_t *place = in + in_used;

	memcpy(place, packet, len);
	in_used += len + 3; /* any alignment */
	coalesce_add(&coalescer, place, len);
	return place;
}

static void add(const struct shape *shape)
{
	uint8_t packet[PACKET_MAX];

	add_bytes(packet, build(packet, shape));
}

/* Adds the shape and moves it on to what would follow in its flow. */
static void add_next(struct shape *shape)
{
	add(shape);
	shape->sequence += (uint32_t)shape->payload_len;
	shape->id++;
}

static const uint8_t *written_packet(unsigned int i)
{
	return out + written[i].at;
}

static void assert_alone(unsigned int i, const struct shape *shape)
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

static uint8_t expected_type(const struct shape *shape)
{
	if (shape_protocol(shape) == IPPROTO_UDP)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return shape->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/* The first packet's shape, with the payload of all of them. */
static void assert_joined(unsigned int i, const struct shape *shape, size_t payload_len,
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

static void flush_and_count(unsigned int expected)
{
	coalesce_flush(&coalescer);
	assert_int_equal(written_count, expected);
}

/* -- what is joined -- */

static void consecutive_tcp_segments_become_one_super_packet(void **state)
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

static void short_segment_ends_the_super_packet(void **state)
{
	struct shape shape = {.version = 6, .payload_len = 1000}, first = shape, second;

	(void)state;
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

static void longer_segment_begins_a_new_super_packet(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 500}, first = shape, second;

	(void)state;
	add_next(&shape);
	add_next(&shape);
	second = shape;
	second.payload_len = 501;
	add(&second);
	flush_and_count(2);
	assert_joined(0, &first, 1000, 500);
	assert_alone(1, &second);
}

static void push_and_fin_end_the_super_packet_and_stay_in_it(void **state)
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

static void lone_segment_is_written_as_it_came(void **state)
{
	struct shape shape = {.version = 6, .payload_len = 700};

	(void)state;
	add(&shape);
	assert_int_equal(written_count, 0);
	flush_and_count(1);
	assert_alone(0, &shape);
	flush_and_count(1);
}

static void equal_udp_datagrams_become_one_super_packet(void **state)
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

static void super_packet_never_exceeds_the_largest_ip_packet(void **state)
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

static void super_packet_has_no_more_pieces_than_a_vector(void **state)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 20},
		     first = shape;

	(void)state;
	for (int i = 0; i < COALESCE_PIECES + 1; i++)
		add_next(&shape);
	flush_and_count(2);
	assert_joined(0, &first, COALESCE_PIECES * 20, 20);
}

static void interleaved_flows_are_joined_each_by_itself(void **state)
{
	struct shape shapes[COALESCE_FLOWS], first[COALESCE_FLOWS];

	(void)state;
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

static void one_flow_too_many_evicts_another(void **state)
{
	(void)state;
	for (unsigned int i = 0; i <= COALESCE_FLOWS; i++)
		add(&(struct shape){
			.version = 4, .port = (uint16_t)(1000 + i), .payload_len = 100});
	assert_int_equal(written_count, 1);
	flush_and_count(COALESCE_FLOWS + 1);
}

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

static void segments_whose_headers_differ_are_not_joined(void **state)
{
	struct shape first = {.version = 4,
			      .sequence = 5000,
			      .acknowledged = 1,
			      .tcp_options = timestamp,
			      .tcp_options_len = sizeof(timestamp),
			      .payload_len = 300};
	struct shape next = first;

	(void)state;
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

static void ids_do_not_matter_with_df(void **state)
{
	struct shape first = {.version = 4, .fragment = 0x4000, .id = 9, .payload_len = 300},
		     second = first;

	(void)state;
	second.sequence = 300;
	add(&first);
	add(&second);
	flush_and_count(1);
	assert_joined(0, &first, 600, 300);
}

static void wrong_checksum_is_never_joined(void **state)
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

static void wrong_ip_header_checksum_is_never_joined(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 101};
	uint8_t packet[PACKET_MAX];
	size_t len = build(packet, &shape);

	(void)state;
	add_next(&shape);
	len = build(packet, &shape);
	packet[10] ^= 1;
	add_bytes(packet, len);
	flush_and_count(2);
}

static void datagrams_without_checksum_are_not_joined(void **state)
{
	struct shape shape = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 100};
	uint8_t packet[PACKET_MAX];

	(void)state;
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

static void nothing_is_joined_that_the_device_does_not_take(void **state)
{
	struct shape tcp = {.version = 4, .payload_len = 100};
	struct shape udp = {.version = 4, .protocol = IPPROTO_UDP, .payload_len = 100};

	(void)state;
	coalesce_init(&coalescer, take_write, &coalescer, false, false);
	add_next(&tcp);
	add_next(&tcp);
	add_next(&udp);
	add_next(&udp);
	assert_int_equal(written_count, 4);
	flush_and_count(4);
}

static void options_extensions_and_other_protocols_pass_alone(void **state)
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

static void packet_that_cannot_be_joined_keeps_its_place_in_the_flow(void **state)
{
	static const uint8_t router_alert[] = {148, 4, 0, 0};
	static const uint8_t later_fragment[] = {6, 0, 0, 16, 0, 0, 0, 1};

	(void)state;
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

static void other_flows_stay_held_when_a_packet_passes(void **state)
{
	struct shape shape = {.version = 4, .payload_len = 200}, first = shape;

	(void)state;
	add_next(&shape);
	add(&(struct shape){.version = 4, .port = 99, .flags = SYN});
	add(&(struct shape){.version = 4, .host = 3, .fragment = 7, .payload_len = 8});
	add_next(&shape);
	flush_and_count(3);
	assert_joined(2, &first, 400, 200);
}

/* -- both ways -- */

static void cut_again_a_super_packet_gives_the_packets_that_went_in(void **state)
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
		assert_int_equal(segment_init(&segmenter, &vnet, original, len, 1500),
				 SEGMENT_READY);
		while (segment_peek_len(&segmenter))
			add_bytes(piece, segment_next(&segmenter, piece));
		flush_and_count(1);
		assert_joined(0, &shape, shape.payload_len, each);
	}
}

/* Everything that is written, cut again, must be the packets that were added, in order within each flow. */
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

static void random_traffic_keeps_every_packet_and_the_order_of_each_flow(void **state)
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

			assert_int_equal(segment_init(&segmenter, &written[i].vnet,
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

static void no_mutation_reads_or_writes_outside(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(consecutive_tcp_segments_become_one_super_packet, begin),
		cmocka_unit_test_setup(short_segment_ends_the_super_packet, begin),
		cmocka_unit_test_setup(longer_segment_begins_a_new_super_packet, begin),
		cmocka_unit_test_setup(push_and_fin_end_the_super_packet_and_stay_in_it, begin),
		cmocka_unit_test_setup(lone_segment_is_written_as_it_came, begin),
		cmocka_unit_test_setup(equal_udp_datagrams_become_one_super_packet, begin),
		cmocka_unit_test_setup(super_packet_never_exceeds_the_largest_ip_packet, begin),
		cmocka_unit_test_setup(super_packet_has_no_more_pieces_than_a_vector, begin),
		cmocka_unit_test_setup(interleaved_flows_are_joined_each_by_itself, begin),
		cmocka_unit_test_setup(one_flow_too_many_evicts_another, begin),
		cmocka_unit_test_setup(segments_whose_headers_differ_are_not_joined, begin),
		cmocka_unit_test_setup(ids_do_not_matter_with_df, begin),
		cmocka_unit_test_setup(wrong_checksum_is_never_joined, begin),
		cmocka_unit_test_setup(wrong_ip_header_checksum_is_never_joined, begin),
		cmocka_unit_test_setup(datagrams_without_checksum_are_not_joined, begin),
		cmocka_unit_test_setup(nothing_is_joined_that_the_device_does_not_take, begin),
		cmocka_unit_test_setup(options_extensions_and_other_protocols_pass_alone, begin),
		cmocka_unit_test_setup(packet_that_cannot_be_joined_keeps_its_place_in_the_flow,
				       begin),
		cmocka_unit_test_setup(other_flows_stay_held_when_a_packet_passes, begin),
		cmocka_unit_test_setup(cut_again_a_super_packet_gives_the_packets_that_went_in,
				       begin),
		cmocka_unit_test_setup(random_traffic_keeps_every_packet_and_the_order_of_each_flow,
				       begin),
		cmocka_unit_test_setup(no_mutation_reads_or_writes_outside, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
