// SPDX-License-Identifier: Apache-2.0
/*
 * The fate of a data message: a packet for the TUN, once, or a drop with one reason (paper, 5.4.6):
 * window and limits of the counter, the inner packet, the owner of its address, batches, and
 * congestion marks (RFC 6040).
 */
#include "wire_by_hand.h"

TALKING_TEST(data_that_comes_again_is_dropped)
{
	uint8_t bytes[128], packet[64];
	size_t len;

	build_inner(packet, A, 4, sizeof(packet), 1);
	len = seal_data(bytes, packet, sizeof(packet));
	give_b(bytes, len);
	for (unsigned int i = 0; i < 5; i++)
		give_b(bytes, len);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(drops(B, DROP_REPLAYED), 5);
}

TALKING_TEST(data_within_the_window_is_taken_in_any_order)
{
	static uint8_t bytes[8000][128];
	uint8_t packet[64];
	size_t len = 0;

	for (unsigned int i = 0; i < 8000; i++) {
		build_inner(packet, A, 4, sizeof(packet), i);
		len = seal_data(bytes[i], packet, sizeof(packet));
	}
	for (unsigned int i = 8000; i-- > 0;)
		give_b(bytes[i], len);
	for (unsigned int i = 0; i < 8000; i++)
		assert_int_equal(came(B, i), 1);
	current_of(A)->send_counter += 200; /* the window moves on */
	give_b(bytes[0], seal_data(bytes[0], packet, sizeof(packet)));
	give_b(bytes[1], len);
	assert_int_equal(drops(B, DROP_REPLAYED), 1);
}

static unsigned int openings;

static void counting_open(struct aead_job *jobs, unsigned int count)
{
	openings += count;
	aead_sodium.open(jobs, count);
}

static const struct aead_engine counting_engine = {
	.name = "counting", .seal = watching_seal, .open = counting_open};

TALKING_TEST(session_that_is_over_costs_no_opening)
{
	uint8_t bytes[128], packet[64];

	tunnel_of_b()->aead = &counting_engine;
	openings = 0;
	build_inner(packet, A, 4, sizeof(packet), 1);
	world_set_clock(world->now_ns + 180 * NS_PER_S - 1);
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(openings, 1);
	current_of(A)->send_counter = REJECT_AFTER_MESSAGES;
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	current_of(A)->send_counter = 100;
	world_set_clock(world->now_ns + 1);
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(openings, 1);
	assert_int_equal(drops(B, DROP_SESSION_EXPIRED), 2);
}

/* The window would move on to it, and nothing genuine would be taken any more. */
TALKING_TEST(forged_counter_does_not_move_the_window)
{
	uint8_t bytes[128], packet[64];
	struct replay before;

	build_inner(packet, A, 4, sizeof(packet), 1);
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	before = current_of(B)->replay;
	for (unsigned int bit = 0; bit < 64; bit++) {
		size_t len = seal_data(bytes, packet, sizeof(packet));

		put_le64(bytes + 8, MIN((1ULL << bit) + 5, REJECT_AFTER_MESSAGES - 1));
		give_b(bytes, len);
	}
	assert_int_equal(drops(B, DROP_BAD_TAG), 64);
	assert_memory_equal(&current_of(B)->replay, &before, sizeof(before));
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(came(B, 1), 2);
}

TALKING_TEST(counters_at_the_limit_are_refused_before_any_work)
{
	uint8_t bytes[128], packet[64];
	size_t len;

	build_inner(packet, A, 4, sizeof(packet), 1);
	current_of(A)->send_counter = REJECT_AFTER_MESSAGES;
	len = seal_data(bytes, packet, sizeof(packet));
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_SESSION_EXPIRED), 1);
	current_of(A)->send_counter = REJECT_AFTER_MESSAGES - 1;
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(came(B, 1), 1);
}

static void assert_inner_refused(const uint8_t *packet, size_t len, enum drop_reason reason)
{
	static uint8_t bytes[2000];
	uint64_t before = drops(B, reason);
	unsigned int delivered = world->nodes[B].delivered;

	give_b(bytes, seal_data(bytes, packet, len));
	assert_int_equal(drops(B, reason), before + 1);
	assert_int_equal(world->nodes[B].delivered, delivered);
}

TALKING_TEST(inner_bytes_that_are_no_whole_packet_are_dropped)
{
	uint8_t packet[200];

	for (unsigned int version = 0; version < 16; version++) {
		build_inner(packet, A, 4, sizeof(packet), 1);
		packet[0] = (uint8_t)(version << 4 | 5);
		if (version != 4 && version != 6)
			assert_inner_refused(packet, sizeof(packet), DROP_INNER_MALFORMED);
	}
	for (size_t len = 1; len < sizeof(packet); len++) { /* shorter than they say they are */
		build_inner(packet, A, 4, sizeof(packet), 1);
		assert_inner_refused(packet, len, DROP_INNER_MALFORMED);
		build_inner(packet, A, 6, sizeof(packet), 1);
		assert_inner_refused(packet, len, DROP_INNER_MALFORMED);
	}
	for (unsigned int total = 0; total < 20; total++) { /* shorter than their header */
		build_inner(packet, A, 4, sizeof(packet), 1);
		put_be16(packet + 2, (uint16_t)total);
		assert_inner_refused(packet, sizeof(packet), DROP_INNER_MALFORMED);
	}
}

TALKING_TEST(padding_of_any_length_is_trimmed)
{
	uint8_t packet[300], bytes[400];

	for (size_t padding = 0; padding < 100; padding++) {
		memset(packet, 0xee, sizeof(packet));
		build_inner(packet, A, padding % 2 ? 4 : 6, 150, 1);
		give_b(bytes, seal_data(bytes, packet, 150 + padding));
		assert_int_equal(world->nodes[B].last_len, 150);
		assert_int_equal(world->nodes[B].delivered, 2 + padding);
	}
}

TALKING_TEST(source_that_is_not_the_peers_is_dropped_but_its_endpoint_is_learnt)
{
	uint8_t packet[100], bytes[200];
	union endpoint elsewhere = endpoint_from("203.0.113.9", 9997);
	uint64_t received = peer_of(B)->received_bytes;

	build_inner(packet, A, 4, sizeof(packet), 1);
	packet[14] = 77;
	assert_inner_refused(packet, sizeof(packet), DROP_SOURCE_NOT_ALLOWED);
	allow(tunnel_of_b(), world->nodes[B].peer, "10.0.77.0/24");
	give(B, &elsewhere, bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(drops(B, DROP_SOURCE_NOT_ALLOWED), 1);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &elsewhere));
	assert_int_equal(peer_of(B)->received_bytes, received + 132);
	build_inner(packet, A, 6, sizeof(packet), 1);
	packet[8] = 0xfe;
	elsewhere = endpoint_from("203.0.113.9", 9998);
	give(B, &elsewhere, bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(drops(B, DROP_SOURCE_NOT_ALLOWED), 2);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &elsewhere));
}

/* The kernel's netns test: a more specific prefix gives part of one peer's source addresses to
 * another. */
TALKING_TEST(source_that_is_another_peers_is_dropped)
{
	struct public_key key = {{9}};
	uint8_t packet[100], bytes[200];
	uint32_t other;

	build_inner(packet, A, 4, sizeof(packet), 1);
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(tunnel_add_peer(tunnel_of_b(), &key, &other), 0);
	allow(tunnel_of_b(), other, "10.0.0.5/32");
	allow(tunnel_of_b(), other, "fd00:0:0:0:5::/80");
	assert_inner_refused(packet, sizeof(packet), DROP_SOURCE_NOT_ALLOWED);
	build_inner(packet, A, 6, sizeof(packet), 2);
	give_b(bytes, seal_data(bytes, packet, sizeof(packet)));
	assert_int_equal(came(B, 2), 1);
	packet[17] = 5;
	assert_inner_refused(packet, sizeof(packet), DROP_SOURCE_NOT_ALLOWED);
}

TALKING_TEST(batch_of_the_kernel_is_cut_and_bad_parts_spoil_no_good_ones)
{
	static uint8_t bytes[64 * 112];
	struct incoming incoming = {
		.from = world->nodes[A].address, .data = bytes, .segment_len = 112};
	uint8_t packet[80];

	for (unsigned int i = 0; i < 64; i++) {
		build_inner(packet, A, 4, sizeof(packet), i);
		seal_data(bytes + i * 112, packet, sizeof(packet));
		if (i % 5 == 1)
			bytes[i * 112 + 100] ^= 1;
		if (i % 5 == 2)
			bytes[i * 112 + 4] ^= 1;
		if (i % 5 == 3 && i < 63)
			bytes[i * 112 + 1] ^= 1;
	}
	incoming.len = sizeof(bytes) - 90; /* the last one is cut short */
	tunnel_receive(tunnel_of_b(), &incoming, 1);
	for (unsigned int i = 0; i < 63; i++)
		assert_int_equal(came(B, i), i % 5 == 0 || i % 5 == 4);
	assert_int_equal(drops(B, DROP_BAD_TAG), 13);
	assert_int_equal(drops(B, DROP_UNKNOWN_INDEX), 13);
	assert_int_equal(drops(B, DROP_BAD_TYPE), 12);
	assert_int_equal(drops(B, DROP_BAD_LENGTH), 1);
}

TALKING_TEST(more_than_a_batch_at_once_is_taken_in_order)
{
	static uint8_t bytes[16][64 * 112];
	struct incoming incoming[16];
	uint8_t packet[80];

	for (unsigned int i = 0; i < 16 * 64; i++) {
		build_inner(packet, A, 4, sizeof(packet), i);
		seal_data(bytes[i / 64] + i % 64 * 112, packet, sizeof(packet));
	}
	for (unsigned int i = 0; i < 16; i++)
		incoming[i] = (struct incoming){.from = world->nodes[A].address,
						.data = bytes[i],
						.len = sizeof(bytes[i]),
						.segment_len = 112};
	tunnel_receive(tunnel_of_b(), incoming, 16);
	for (unsigned int i = 0; i < 16 * 64; i++)
		assert_int_equal(came(B, i), 1);
	assert_int_equal(get_be32(world->nodes[B].last + 20), 16 * 64 - 1);
}

/* Data that confirms a session comes in one batch with data of the session that it displaces. */
TALKING_TEST(session_that_ends_within_a_batch_harms_nothing)
{
	uint8_t bytes[3][128], packet[80];
	struct incoming incoming[3];

	build_inner(packet, A, 4, sizeof(packet), 1);
	seal_data(bytes[1], packet, sizeof(packet));
	world_sleep(6 * NS_PER_S);
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	world_sleep(6 * NS_PER_S);
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	receive_arrived(&world->nodes[B]);
	receive_arrived(&world->nodes[A]);
	clear_wire(); /* the keepalive that would have confirmed */
	peer_of(B)->former = peer_of(B)->previous;
	peer_of(B)->previous = peer_of(B)->current;
	peer_of(B)->current = NO_SESSION;
	for (unsigned int i = 0; i < 3; i++) {
		build_inner(packet, A, 4, sizeof(packet), 2 + i);
		if (i != 1)
			seal_data(bytes[i], packet, sizeof(packet));
		incoming[i] = (struct incoming){
			.from = world->nodes[A].address, .data = bytes[i], .len = 112};
	}
	tunnel_receive(tunnel_of_b(), incoming, 3);
	assert_int_equal(came(B, 2), 1);
	assert_int_equal(came(B, 1), 0);
	assert_int_equal(came(B, 4), 1);
	assert_int_equal(drops(B, DROP_UNKNOWN_INDEX), 1);
	assert_int_equal(all_drops(B), 1);
}

TALKING_TEST(keepalives_never_reach_the_tun)
{
	unsigned int delivered = world->nodes[B].delivered;
	uint64_t received = peer_of(B)->received_bytes;
	uint8_t bytes[32];

	give_b(bytes, seal_data(bytes, NULL, 0));
	assert_int_equal(world->nodes[B].delivered, delivered);
	assert_int_equal(peer_of(B)->received_bytes, received + 32);
	assert_int_equal(all_drops(B), 0);
}

static uint16_t sum_of_header(const uint8_t *packet)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < 20; i += 2)
		sum += get_be16(packet + i);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

TALKING_TEST(congestion_on_the_way_reaches_the_inner_header)
{
	static const struct virtio_net_hdr plain;
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	uint8_t packet[100];

	world->outer_tos_or = 3; /* a router marks everything */
	for (unsigned int tos = 0; tos < 4; tos++) {
		build_inner(packet, A, 4, sizeof(packet), tos);
		packet[1] = (uint8_t)(0xb8 | tos);
		put_be16(packet + 10, (uint16_t)~sum_of_header(packet));
		tunnel_send(tunnel, &plain, packet, sizeof(packet));
		tunnel_flush(tunnel);
		world_settle();
		assert_int_equal(world->nodes[B].last[1], tos ? 0xbb : 0xb8);
		assert_int_equal(sum_of_header(world->nodes[B].last), 0xffff);

		build_inner(packet, A, 6, sizeof(packet), tos);
		packet[1] = (uint8_t)(tos << 4);
		tunnel_send(tunnel, &plain, packet, sizeof(packet));
		tunnel_flush(tunnel);
		world_settle();
		assert_int_equal(world->nodes[B].last[1], tos ? 0x30 : 0);
	}
}

static const uint8_t *decapsulated(uint8_t version, uint8_t inner, uint8_t outer)
{
	static uint8_t bytes[200];
	struct incoming incoming = {.from = world->nodes[A].address, .tos = outer, .data = bytes};
	uint8_t packet[100];

	build_inner(packet, A, version, sizeof(packet), 1);
	packet[1] = (uint8_t)(version == 4 ? 0xb8 | inner : inner << 4 | 0xf);
	if (version == 4)
		put_be16(packet + 10, (uint16_t)~sum_of_header(packet));
	incoming.len = (uint32_t)seal_data(bytes, packet, sizeof(packet));
	tunnel_receive(tunnel_of_b(), &incoming, 1);
	return world->nodes[B].last;
}

/* RFC 6040, figure 4; a packet to be dropped there arrives unmarked, as from the kernel. */
TALKING_TEST(outer_marks_become_inner_ones_as_in_rfc_6040)
{
	enum { NOT_ECT, ECT1, ECT0, CE };
	static const uint8_t shown[4][4] = {
		/* [inner][outer] */
		[NOT_ECT] = {NOT_ECT, NOT_ECT, NOT_ECT, NOT_ECT},
		[ECT1] = {ECT1, ECT1, ECT1, CE},
		[ECT0] = {ECT0, ECT1, ECT0, CE},
		[CE] = {CE, CE, CE, CE},
	};

	for (uint8_t inner = 0; inner < 4; inner++) {
		for (unsigned int outer = 0; outer < 256; outer++) {
			uint8_t expected = shown[inner][outer & 3];
			const uint8_t *packet = decapsulated(4, inner, (uint8_t)outer);

			assert_int_equal(packet[1], 0xb8 | expected);
			assert_int_equal(sum_of_header(packet), 0xffff);
			packet = decapsulated(6, inner, (uint8_t)outer);
			assert_int_equal(packet[1], expected << 4 | 0xf);
		}
	}
	assert_int_equal(all_drops(B), 0);
}
