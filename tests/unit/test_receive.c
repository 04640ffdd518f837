// SPDX-License-Identifier: Apache-2.0
/*
 * Datagrams that prove nothing are met with silence, counted under their reason, and change nothing
 * (paper, 5.1): handshake messages and garbage. Data is in test_receive_data.c, cookies in
 * test_receive_load.c.
 */
#include "wire_by_hand.h"

static bool is_right_len(uint32_t type, size_t len)
{
	return (type == 1 && len == 148) || (type == 2 && len == 92) || (type == 3 && len == 64) ||
	       (type == 4 && len >= 32);
}

TALKING_TEST(malformed_messages_of_any_length_and_type_are_dropped_silently)
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

/* Every length that a datagram can have, under every type and a bit beyond: nothing of it is
 * authentic. */
TALKING_TEST(no_length_of_any_type_is_taken_for_another)
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
TALKING_TEST(million_random_datagrams_meet_silence)
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

SILENT_TEST(messages_with_nonzero_reserved_bytes_are_dropped_silently)
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

TALKING_TEST(every_flipped_bit_of_an_initiation_meets_silence)
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

TALKING_TEST(every_flipped_bit_of_data_meets_silence_and_moves_nothing)
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

SILENT_TEST(initiation_of_a_stranger_meets_silence)
{
	uint8_t bytes[148];
	size_t len = take_initiation(bytes);

	tunnel_remove_peer(tunnel_of_b(), world->nodes[B].peer);
	give_b(bytes, len);
	assert_int_equal(drops(B, DROP_UNKNOWN_PEER), 1);
	assert_silent(B);
}

SILENT_TEST(initiation_that_comes_again_meets_silence)
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

SILENT_TEST(initiations_within_20_ms_are_a_flood)
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

SILENT_TEST(forged_responses_do_not_end_a_handshake)
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

SILENT_TEST(response_to_nothing_meets_silence)
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
