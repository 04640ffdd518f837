// SPDX-License-Identifier: Apache-2.0
/* What becomes of a datagram: a packet, an answer, or silence under one name. */
#include "world.h"

/* In place of the library's, which crypto.c calls: a scalar multiplication is what a stranger must not get for nothing. */
static unsigned int multiplications;

int crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
	multiplications++;
	return crypto_scalarmult_curve25519(q, n, p);
}

int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
	multiplications++;
	return crypto_scalarmult_curve25519_base(q, n);
}

static struct tunnel *tunnel_of_b(void)
{
	return &world->nodes[B].tunnel;
}

/* The node is given these bytes, from the other's address or from elsewhere. */
static void give(unsigned int node, const union endpoint *from, const void *bytes, size_t len)
{
	uint8_t copy[65536];

	memcpy(copy, bytes, len);
	receive_bytes(&world->nodes[node], from, copy, (uint32_t)len);
}

static void give_b(const void *bytes, size_t len)
{
	give(B, &world->nodes[A].address, bytes, len);
}

/* Takes the one datagram off the wire that a node sent, unseen by the other. */
static size_t take_from_wire(uint8_t *ret_bytes)
{
	size_t len = world->wire[0].len;

	assert_int_equal(world->wire_len, 1);
	memcpy(ret_bytes, world->wire[0].bytes, len);
	free(world->wire[0].bytes);
	world->wire_len = 0;
	return len;
}

static size_t take_initiation(uint8_t *ret_bytes)
{
	peer_of(A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
	tunnel_flush(&world->nodes[A].tunnel);
	return take_from_wire(ret_bytes);
}

/* A data message of A's with this inside, sealed as A would, counter and all. */
static size_t seal_data(uint8_t *ret_bytes, const void *plain, size_t len)
{
	struct session *session = current_of(A);
	struct message_data *message = (struct message_data *)ret_bytes;
	const struct session_keys *keys =
		&world->nodes[A].tunnel.state->secrets.session_keys[peer_of(A)->current];

	put_le32(message->type, MESSAGE_DATA);
	put_le32(message->receiver_index, session->remote_index);
	put_le64(message->counter, session->send_counter);
	crypto_seal(ret_bytes + sizeof(*message), plain, len, NULL, 0, session->send_counter++,
		    keys->send);
	return sizeof(*message) + len + TAG_LEN;
}

static void assert_silent(unsigned int node)
{
	unsigned int transmits = world->nodes[node].transmits;

	tunnel_flush(&world->nodes[node].tunnel);
	assert_int_equal(world->nodes[node].transmits, transmits);
	assert_int_equal(world->nodes[node].injected, 0);
}

/* -- silence -- */

static bool is_right_len(uint32_t type, size_t len)
{
	return (type == 1 && len == 148) || (type == 2 && len == 92) || (type == 3 && len == 64) ||
	       (type == 4 && len >= 32);
}

static void malformed_messages_meet_silence_whatever_their_length_and_type(void **state)
{
	uint8_t bytes[200];
	uint64_t lengths = 0, types = 0, total = 0;

	for (uint32_t type = 0; type <= 8; type++) {
		for (size_t len = 0; len <= sizeof(bytes); len++) {
			world_fill_random(NULL, bytes, sizeof(bytes));
			put_le32(bytes, type);
			give_b(bytes, len);
			total++;
			lengths += len < 4 || (type >= 1 && type <= 4 && !is_right_len(type, len));
			types += len >= 4 && (type < 1 || type > 4);
		}
	}
	assert_int_equal(drops(B, DROP_BAD_LENGTH), lengths);
	assert_int_equal(drops(B, DROP_BAD_TYPE), types);
	assert_int_equal(drops(B, DROP_BAD_MAC1), 2);
	assert_int_equal(all_drops(B), total);
	assert_silent(B);
}

/* Every length that a datagram can have, under every type and a bit beyond: nothing of it is authentic. */
static void no_length_of_any_type_is_taken_for_another(void **state)
{
	static uint8_t bytes[UINT16_MAX];
	uint64_t lengths = 0, types = 0;

	world_fill_random(NULL, bytes, sizeof(bytes));
	for (uint32_t type = 0; type <= 256; type++) {
		for (uint32_t len = 0; len <= sizeof(bytes); len++) {
			put_le32(bytes, type);
			receive_bytes(&world->nodes[B], &world->nodes[A].address, bytes, len);
			lengths += len < 4 || (type >= 1 && type <= 4 && !is_right_len(type, len));
			types += len >= 4 && (type < 1 || type > 4);
		}
	}
	assert_int_equal(drops(B, DROP_BAD_LENGTH), lengths);
	assert_int_equal(drops(B, DROP_BAD_TYPE), types);
	assert_int_equal(drops(B, DROP_BAD_MAC1), 2);
	assert_int_equal(all_drops(B), 257 * (sizeof(bytes) + 1));
	assert_silent(B);
}

/* Half of them look like messages from outside. */
static void million_random_datagrams_meet_silence(void **state)
{
	static const uint8_t lens[] = {0, 148, 92, 64, 32};
	struct tunnel_secrets *before = world_map(sizeof(*before));
	uint8_t bytes[256];

	*before = tunnel_of_b()->state->secrets;
	for (unsigned int i = 0; i < 1000000; i++) {
		uint32_t type = (uint32_t)(world_random() % 10),
			 len = (uint32_t)(world_random() % 256);

		world_fill_random(NULL, bytes, 48);
		if (type >= 1 && type <= 4)
			put_le32(bytes, type);
		if (type >= 1 && type <= 4 && i % 4)
			len = lens[type] + (type == MESSAGE_DATA ? len % 200 : 0);
		if (type == MESSAGE_DATA && i % 3)
			put_le32(bytes + 4, current_of(B)->local_index);
		receive_bytes(&world->nodes[B], &world->nodes[A].address, bytes, len);
	}
	assert_int_equal(all_drops(B), 1000000);
	assert_true(drops(B, DROP_BAD_MAC1) > 100000);
	assert_true(drops(B, DROP_BAD_TAG) > 30000);
	assert_memory_equal(&tunnel_of_b()->state->secrets, before, sizeof(*before));
	munmap(before, sizeof(*before));
	assert_silent(B);
}

static void types_whose_three_zero_bytes_are_not_zero_meet_silence(void **state)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	for (unsigned int i = 1; i < 4; i++) {
		bytes[i] = 1;
		give_b(bytes, len);
		bytes[i] = 0;
	}
	assert_int_equal(drops(B, DROP_BAD_TYPE), 3);
	assert_silent(B);
	give_b(bytes, len);
	tunnel_flush(tunnel_of_b());
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
}

static void every_flipped_bit_of_an_initiation_meets_silence(void **state)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	for (size_t bit = 0; bit < (len - MAC_LEN) * 8; bit++) { /* mac2 is not looked at */
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		give_b(bytes, len);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(all_drops(B), (len - MAC_LEN) * 8);
	assert_int_equal(drops(B, DROP_BAD_TYPE) + drops(B, DROP_BAD_LENGTH) +
				 drops(B, DROP_UNKNOWN_INDEX) + drops(B, DROP_BAD_MAC1),
			 (len - MAC_LEN) * 8);
	assert_silent(B);
}

static void every_flipped_bit_of_data_meets_silence_and_moves_nothing(void **state)
{
	uint8_t bytes[128], packet[64];
	struct replay replay = current_of(B)->replay;
	size_t len;

	build_inner(packet, A, 4, sizeof(packet), 1);
	len = seal_data(bytes, packet, sizeof(packet));
	for (size_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		give(B, &(union endpoint){.in4 = {AF_INET, 9, {9}, {0}}}, bytes, len);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(world->nodes[B].delivered, 1);
	assert_int_equal(all_drops(B), len * 8);
	assert_memory_equal(&current_of(B)->replay, &replay, sizeof(replay));
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &world->nodes[A].address));
	give_b(bytes, len);
	assert_int_equal(came(B, 1), 1);
}

static void initiation_of_a_stranger_meets_silence(void **state)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	tunnel_remove_peer(tunnel_of_b(), world->nodes[B].peer);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNKNOWN_PEER), 1);
	assert_silent(B);
}

static void initiation_that_comes_again_meets_silence(void **state)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	give_b(bytes, len);
	tunnel_flush(tunnel_of_b());
	world_set_clock(world->now_ns + 3600 * NS_PER_S);
	tunnel_expire(tunnel_of_b());
	tunnel_flush(tunnel_of_b());
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY), 1);
	assert_silent(B);
}

static void initiations_within_20_ms_are_a_flood(void **state)
{
	uint8_t first[148], second[148];
	size_t len = take_initiation(first);

	world->wall_ns += 100 * NS_PER_MS;
	world_set_clock(world->now_ns);
	take_initiation(second);
	give_b(first, len);
	world_set_clock(world->now_ns + 20 * NS_PER_MS - 1);
	give_b(second, len);
	assert_int_equal(drops(B, DROP_HANDSHAKE_FLOOD), 1);
	world_set_clock(world->now_ns + 1);
	give_b(second, len);
	assert_int_equal(all_drops(B), 1);
}

static void forged_responses_do_not_end_a_handshake(void **state)
{
	struct message_response forged;
	struct cookie_jar jar = {0};
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	for (unsigned int i = 0; i < 200; i++) {
		world_fill_random(NULL, &forged, sizeof(forged));
		put_le32(forged.type, MESSAGE_RESPONSE);
		put_le32(forged.receiver_index, handshake_of(A)->handshake_index);
		cookie_add_macs(&forged, sizeof(forged), &jar,
				peer_of(B)->keys[KEY_CURRENT].mac1_key, world->now_ns);
		give(A, &world->nodes[B].address, &forged, sizeof(forged));
	}
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 200);
	assert_silent(A);
	give_b(bytes, len);
	world_settle();
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
	assert_int_not_equal(peer_of(B)->current, NO_SESSION);
}

static void response_to_nothing_meets_silence(void **state)
{
	uint8_t initiation[148], response[92];
	size_t len = take_initiation(initiation);

	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	len = take_from_wire(response);
	give(A, &world->nodes[B].address, response, len);
	tunnel_flush(&world->nodes[A].tunnel);
	assert_int_equal(all_drops(A), 0);
	give(A, &world->nodes[B].address, response, len); /* its index is a session's by now */
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	assert_silent(A);
}

/* -- data -- */

static void data_that_comes_again_is_dropped(void **state)
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

static void data_within_the_window_is_taken_in_any_order(void **state)
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

static void session_that_is_over_costs_no_opening(void **state)
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
static void forged_counter_does_not_move_the_window(void **state)
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

static void counters_at_the_limit_are_refused_before_any_work(void **state)
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

static void inner_bytes_that_are_no_whole_packet_are_dropped(void **state)
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

static void padding_of_any_length_is_trimmed(void **state)
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

static void source_that_is_not_the_peers_is_dropped_but_its_endpoint_is_learnt(void **state)
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

/* The kernel's netns test: what one peer may send from goes, within a more specific prefix, to another. */
static void source_that_is_another_peers_is_dropped(void **state)
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

static void batch_of_the_kernel_is_cut_and_bad_parts_spoil_no_good_ones(void **state)
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

static void more_than_a_batch_at_once_is_taken_in_order(void **state)
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

/* Data that confirms a session comes in one batch with data of the session whose place is needed. */
static void session_that_ends_within_a_batch_harms_nothing(void **state)
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

static void keepalives_never_reach_the_tun(void **state)
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

static void congestion_on_the_way_reaches_the_inner_header(void **state)
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

/* RFC 6040, figure 4; what is to be dropped there comes unmarked, as from the kernel. */
static void outer_marks_become_inner_ones_as_rfc_6040_says(void **state)
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

/* -- under load -- */

static void force_load(unsigned int node)
{
	world->nodes[node].tunnel.state->under_load_until_ns = UINT64_MAX;
}

static void initiation_under_load_gets_a_cookie_and_no_more(void **state)
{
	force_load(B);
	ping(A, 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 0);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1);
	assert_int_equal(pair_of(B)->state, HANDSHAKE_NONE);
	assert_int_not_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1); /* it waits for the retry */
	world_sleep(6 * NS_PER_S);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 1);
}

/* How many multiplications this initiation costs. */
static unsigned int price_of(const uint8_t *bytes, size_t len)
{
	unsigned int before = multiplications;

	give_b(bytes, len);
	tunnel_flush(tunnel_of_b());
	return multiplications - before;
}

static void multiplication_under_load_is_earned_with_a_cookie(void **state)
{
	uint8_t without[148], with[148], reply[64];
	size_t len = take_initiation(without);

	force_load(B);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(price_of(without, len), 0);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 100);
	assert_int_equal(world->nodes[B].sent[MESSAGE_COOKIE], 100);
	memcpy(reply, world->wire[99].bytes, sizeof(reply));
	clear_wire();
	give(A, &world->nodes[B].address, reply, sizeof(reply));
	world_set_clock(world->now_ns + NS_PER_S);
	len = take_initiation(with);
	with[len - 1] ^= 1; /* of mac2 */
	assert_int_equal(price_of(with, len), 0);
	with[len - 1] ^= 1;
	assert_int_not_equal(price_of(with, len), 0);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
	for (unsigned int i = 1; i < 5; i++)
		assert_int_not_equal(price_of(with, len), 0); /* known by what it costs to open */
	assert_int_equal(price_of(with, len), 0);	      /* the rate of the source is spent */
}

static void mac2_is_not_looked_at_without_load(void **state)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	world_fill_random(NULL, bytes + len - MAC_LEN, MAC_LEN);
	assert_int_not_equal(price_of(bytes, len), 0);
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(all_drops(B), 0);
}

static void response_under_load_gets_a_cookie_too(void **state)
{
	force_load(A);
	ping(A, 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_COOKIE], 1);
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	world_sleep(12 * NS_PER_S);
	assert_int_equal(came(B, 1), 1);
}

static void cookie_is_good_for_one_address_and_port(void **state)
{
	uint8_t bytes[148];
	size_t len;

	force_load(B);
	ping(A, 1);
	len = take_initiation(bytes);
	give(B,
	     &(union endpoint){
		     .in4 = {AF_INET, htons(1), world->nodes[A].address.in4.sin_addr, {0}}},
	     bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	tunnel_flush(tunnel_of_b());
	assert_int_equal(world->nodes[B].sent[MESSAGE_RESPONSE], 1);
}

static void cookie_reply_is_taken_once_and_only_for_what_was_sent(void **state)
{
	uint8_t initiation[148], reply[64];
	size_t len = take_initiation(initiation);

	force_load(B);
	give_b(initiation, len);
	tunnel_flush(tunnel_of_b());
	len = take_from_wire(reply);
	reply[40] ^= 1;
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	reply[40] ^= 1;
	give(A, &world->nodes[B].address, reply, len);
	assert_int_not_equal(handshake_of(A)->jar.cookie_birth_ns, 0);
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 2);
	put_le32(reply + 4, 1);
	give(A, &world->nodes[B].address, reply, len);
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	assert_silent(A);
}

static void sources_with_a_cookie_are_held_to_their_rate(void **state)
{
	uint8_t bytes[148];
	size_t len = 0;

	force_load(B);
	ping(A, 1);
	for (unsigned int i = 0; i < 8; i++) {
		len = take_initiation(bytes);
		give_b(bytes, len);
	}
	/* Five are let through, of which the clock's whitening makes four replays. */
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY) + drops(B, DROP_HANDSHAKE_FLOOD), 4);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1 + 3);
	world_set_clock(world->now_ns + 60 * NS_PER_MS);
	len = take_initiation(bytes);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 4);
}

static void load_begins_with_a_flood_and_ends_a_second_after_it(void **state)
{
	struct message_initiation forged;
	struct cookie_jar jar = {0};

	for (unsigned int i = 0; i <= LOAD_MESSAGES_MAX; i++) {
		assert_int_equal(drops(B, DROP_UNDER_LOAD), 0);
		world_fill_random(NULL, &forged, sizeof(forged));
		put_le32(forged.type, MESSAGE_INITIATION);
		cookie_add_macs(&forged, sizeof(forged), &jar,
				peer_of(A)->keys[KEY_CURRENT].mac1_key, world->now_ns);
		give(B, &(union endpoint){.in4 = {AF_INET, 9, {9}, {0}}}, &forged, sizeof(forged));
	}
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 1);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), LOAD_MESSAGES_MAX);
	world_set_clock(world->now_ns + NS_PER_S - 1);
	give(B, &world->nodes[A].address, &forged, sizeof(forged));
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
	world_set_clock(world->now_ns + 1);
	give(B, &world->nodes[A].address, &forged, sizeof(forged));
	assert_int_equal(drops(B, DROP_UNDER_LOAD), 2);
}

static void junk_is_no_load(void **state)
{
	uint8_t junk[148] = {MESSAGE_INITIATION};

	for (unsigned int i = 0; i < 10 * LOAD_MESSAGES_MAX; i++) {
		world_fill_random(NULL, junk + 4, sizeof(junk) - 4);
		give_b(junk, sizeof(junk));
	}
	assert_int_equal(drops(B, DROP_BAD_MAC1), 10 * LOAD_MESSAGES_MAX);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALKING_TEST(malformed_messages_meet_silence_whatever_their_length_and_type),
		TALKING_TEST(no_length_of_any_type_is_taken_for_another),
		TALKING_TEST(million_random_datagrams_meet_silence),
		SILENT_TEST(types_whose_three_zero_bytes_are_not_zero_meet_silence),
		TALKING_TEST(every_flipped_bit_of_an_initiation_meets_silence),
		TALKING_TEST(every_flipped_bit_of_data_meets_silence_and_moves_nothing),
		SILENT_TEST(initiation_of_a_stranger_meets_silence),
		SILENT_TEST(initiation_that_comes_again_meets_silence),
		SILENT_TEST(initiations_within_20_ms_are_a_flood),
		SILENT_TEST(forged_responses_do_not_end_a_handshake),
		SILENT_TEST(response_to_nothing_meets_silence),
		TALKING_TEST(data_that_comes_again_is_dropped),
		TALKING_TEST(data_within_the_window_is_taken_in_any_order),
		TALKING_TEST(session_that_is_over_costs_no_opening),
		TALKING_TEST(forged_counter_does_not_move_the_window),
		TALKING_TEST(counters_at_the_limit_are_refused_before_any_work),
		TALKING_TEST(inner_bytes_that_are_no_whole_packet_are_dropped),
		TALKING_TEST(padding_of_any_length_is_trimmed),
		TALKING_TEST(source_that_is_not_the_peers_is_dropped_but_its_endpoint_is_learnt),
		TALKING_TEST(source_that_is_another_peers_is_dropped),
		TALKING_TEST(batch_of_the_kernel_is_cut_and_bad_parts_spoil_no_good_ones),
		TALKING_TEST(more_than_a_batch_at_once_is_taken_in_order),
		TALKING_TEST(session_that_ends_within_a_batch_harms_nothing),
		TALKING_TEST(keepalives_never_reach_the_tun),
		TALKING_TEST(congestion_on_the_way_reaches_the_inner_header),
		TALKING_TEST(outer_marks_become_inner_ones_as_rfc_6040_says),
		SILENT_TEST(initiation_under_load_gets_a_cookie_and_no_more),
		SILENT_TEST(multiplication_under_load_is_earned_with_a_cookie),
		SILENT_TEST(mac2_is_not_looked_at_without_load),
		SILENT_TEST(response_under_load_gets_a_cookie_too),
		SILENT_TEST(cookie_is_good_for_one_address_and_port),
		SILENT_TEST(cookie_reply_is_taken_once_and_only_for_what_was_sent),
		SILENT_TEST(sources_with_a_cookie_are_held_to_their_rate),
		SILENT_TEST(load_begins_with_a_flood_and_ends_a_second_after_it),
		SILENT_TEST(junk_is_no_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
