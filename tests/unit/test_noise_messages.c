// SPDX-License-Identifier: Apache-2.0
/*
 * The messages that each side accepts from the other, in every state of the handshake (paper, 5.4.2
 * and 5.4.3): every verdict of noise.c. A refused message leaves the pair unchanged.
 */
#include "handshake_sides.h"

/* -- what a responder accepts -- */

TEST(initiation_is_a_replay_when_it_comes_again, begin)
{
	struct noise_pair before;

	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	before = to_initiator;
	assert_int_equal(consume_initiation_at(NOW_NS + 3600 * NS_PER_S), NOISE_REPLAY);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
}

TEST(initiation_is_a_replay_unless_its_timestamp_is_greater, begin)
{
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_initiation_at(WALL_NS - NS_PER_S);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
	create_initiation_at(WALL_NS + TIMESTAMP_WHITENING_NS - 1);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
	create_initiation_at(WALL_NS + TIMESTAMP_WHITENING_NS);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_ACCEPTED);
}

TEST(initiation_is_a_flood_within_20_ms_of_the_last, begin)
{
	struct noise_pair before;

	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	before = to_initiator;
	create_initiation_at(WALL_NS + NS_PER_S);
	assert_int_equal(consume_initiation_at(NOW_NS + 20 * NS_PER_MS - 1), NOISE_FLOOD);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
	/* Not stored either: the same message is good when its time has come. */
	assert_int_equal(consume_initiation_at(NOW_NS + 20 * NS_PER_MS), NOISE_ACCEPTED);
}

TEST(initiation_for_another_key_is_refused, begin)
{
	static const uint8_t other_key[KEY_LEN] = {7};
	struct noise_opening opening, untouched;
	struct identity other = {0};

	memset(&opening, 0xaa, sizeof(opening));
	untouched = opening;
	create_initiation_at(WALL_NS);
	assert_false(noise_open_initiation(&opening, &initiation, &other));
	set_identity(&other, other_key);
	assert_false(noise_open_initiation(&opening, &initiation, &other));
	assert_memory_equal(&opening, &untouched, sizeof(opening));
}

/* A sender that knows only the initiator's public key: the static opens, the timestamp cannot. */
TEST(initiation_in_another_name_is_refused, begin)
{
	static const uint8_t other_key[KEY_LEN] = {7};
	struct identity liar = {0}, stranger = {0};
	struct noise_pair before = to_initiator;

	set_identity(&stranger, other_key);
	liar = stranger;
	liar.public_key = initiator.public_key;
	noise_pair_init(&to_responder, &stranger, &responder.public_key, NULL);
	memcpy(&stranger, &initiator, sizeof(stranger));
	initiator = liar;
	create_initiation_at(WALL_NS);
	initiator = stranger;
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_REFUSED);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
}

TEST(initiation_to_an_unusable_pair_is_refused, begin)
{
	struct noise_pair before;

	noise_pair_init(&to_initiator, NULL, &initiator.public_key, NULL);
	before = to_initiator;
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_REFUSED);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
}

/* Others count nanoseconds otherwise, or over 10^9; the twelve bytes are compared and nothing
 * else. */
TEST(timestamps_are_compared_as_bytes, begin)
{
	uint8_t timestamp[TIMESTAMP_LEN];

	memset(timestamp, 0xff, sizeof(timestamp));
	timestamp[7] = 0xfe;
	assert_true(noise_create_initiation(&initiation, &to_responder, &initiator, 1,
					    vector->initiator_ephemeral, timestamp));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	timestamp[7] = 0xff;
	memset(timestamp + 8, 0, 4);
	assert_true(noise_create_initiation(&initiation, &to_responder, &initiator, 1,
					    vector->initiator_ephemeral, timestamp));
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_ACCEPTED);
}

TEST(greatest_timestamp_survives_a_new_configuration_of_the_same_key, begin)
{
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	noise_pair_init(&to_initiator, &responder, &to_initiator.remote, &to_initiator.preshared);
	assert_int_equal(to_initiator.state, HANDSHAKE_NONE);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
	noise_pair_clear_handshake(&to_initiator);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
}

TEST(greatest_timestamp_does_not_pass_to_another_key, begin)
{
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	noise_pair_init(&to_initiator, &responder, &responder.public_key, NULL);
	assert_true(sodium_is_zero(to_initiator.latest_timestamp, TIMESTAMP_LEN));
	assert_int_equal(to_initiator.last_consumed_ns, 0);
}

TEST(pair_without_own_key_creates_nothing, begin)
{
	struct message_initiation untouched = initiation;
	struct noise_pair before;

	noise_pair_init(&to_responder, NULL, &responder.public_key, NULL);
	before = to_responder;
	assert_false(noise_create_initiation(&initiation, &to_responder, &initiator, 1,
					     vector->initiator_ephemeral, vector->timestamp));
	assert_memory_equal(&initiation, &untouched, sizeof(initiation));
	assert_memory_equal(&to_responder, &before, sizeof(before));
}

TEST(response_is_created_only_to_an_initiation, begin)
{
	struct message_response untouched = response;

	assert_false(
		noise_create_response(&response, &to_initiator, 1, vector->responder_ephemeral));
	create_initiation_at(WALL_NS);
	assert_false(
		noise_create_response(&response, &to_responder, 1, vector->responder_ephemeral));
	assert_memory_equal(&response, &untouched, sizeof(response));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_response();
	assert_false(
		noise_create_response(&response, &to_initiator, 1, vector->responder_ephemeral));
}

/* -- what an initiator accepts -- */

TEST(response_is_consumed_only_while_one_is_awaited, begin)
{
	struct noise_pair before;

	shake_hands_up_to_the_response();
	before = to_initiator;
	assert_false(noise_consume_response(&to_initiator, &response, &responder));
	assert_memory_equal(&to_initiator, &before, sizeof(before));
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	noise_pair_clear_handshake(&to_responder);
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
}

/* Everything fits but the state: as if the tag alone protected us. */
TEST(response_is_refused_in_every_other_state, begin)
{
	struct noise_pair awaiting;

	shake_hands_up_to_the_response();
	awaiting = to_responder;
	for (int other = HANDSHAKE_NONE; other <= HANDSHAKE_RESPONSE_CONSUMED; other++) {
		to_responder = awaiting;
		to_responder.state = (enum handshake_state)other;
		assert_int_equal(noise_consume_response(&to_responder, &response, &initiator),
				 other == HANDSHAKE_INITIATION_SENT);
	}
}

TEST(response_to_an_earlier_initiation_is_refused, begin)
{
	struct noise_pair before;
	uint8_t ephemeral[KEY_LEN] = {5};

	shake_hands_up_to_the_response();
	assert_true(noise_create_initiation(&initiation, &to_responder, &initiator,
					    vector->initiator_index, ephemeral, vector->timestamp));
	before = to_responder;
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	assert_memory_equal(&to_responder, &before, sizeof(before));
}

TEST(response_with_another_index_is_refused, begin)
{
	shake_hands_up_to_the_response();
	put_le32(response.receiver_index, vector->initiator_index + 1);
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
}

/* tailscale-rs #334: a response anybody can make up must not end the handshake that is under
 * way. */
TEST(forged_responses_leave_the_pending_handshake_alone, begin)
{
	struct message_response genuine;
	struct noise_pair before;

	shake_hands_up_to_the_response();
	genuine = response;
	before = to_responder;
	for (unsigned int i = 0; i < 2000; i++) {
		uint8_t seed[randombytes_SEEDBYTES] = {(uint8_t)i, (uint8_t)(i >> 8)};

		randombytes_buf_deterministic(response.ephemeral, KEY_LEN + TAG_LEN, seed);
		assert_false(noise_consume_response(&to_responder, &response, &initiator));
		assert_memory_equal(&to_responder, &before, sizeof(before));
	}
	response = genuine;
	finish();
}

TEST(initiation_from_the_peer_replaces_our_own, begin)
{
	struct noise_opening opening;
	uint8_t timestamp[TIMESTAMP_LEN], ephemeral[KEY_LEN] = {9};
	struct message_initiation crossing;

	create_initiation_at(WALL_NS);
	noise_timestamp(timestamp, WALL_NS);
	assert_true(noise_create_initiation(&crossing, &to_initiator, &responder, 5, ephemeral,
					    timestamp));
	assert_true(noise_open_initiation(&opening, &crossing, &initiator));
	assert_int_equal(noise_consume_initiation(&to_responder, &crossing, &opening, NOW_NS),
			 NOISE_ACCEPTED);
	assert_int_equal(to_responder.state, HANDSHAKE_INITIATION_CONSUMED);
	assert_true(sodium_is_zero(to_responder.ephemeral_private, KEY_LEN));
	assert_true(
		noise_create_response(&response, &to_responder, 6, vector->responder_ephemeral));
	assert_true(noise_consume_response(&to_initiator, &response, &responder));
}

TEST(both_initiations_that_cross_are_answered, begin)
{
	struct noise_opening opening;
	struct noise_initiation ours;
	struct session_keys keys[2];
	bool is_initiator;
	uint8_t timestamp[TIMESTAMP_LEN], ephemeral[KEY_LEN] = {9};
	struct message_initiation crossing;
	struct message_response answer;

	create_initiation_at(WALL_NS);
	noise_timestamp(timestamp, WALL_NS);
	assert_true(noise_create_initiation(&crossing, &to_initiator, &responder, 5, ephemeral,
					    timestamp));
	assert_true(noise_open_initiation(&opening, &crossing, &initiator));
	noise_set_aside_initiation(&ours, &to_responder);
	assert_true(ours.is_set);
	assert_int_equal(noise_consume_initiation(&to_responder, &crossing, &opening, NOW_NS),
			 NOISE_ACCEPTED);
	assert_true(noise_create_response(&answer, &to_responder, 6, vector->responder_ephemeral));
	assert_true(noise_derive_session(&keys[0], &is_initiator, &to_responder));
	assert_false(is_initiator);
	noise_take_back_initiation(&to_responder, &ours);
	assert_true(sodium_is_zero((const uint8_t *)&ours, sizeof(ours)));
	assert_true(noise_consume_response(&to_initiator, &answer, &responder));

	noise_pair_clear_handshake(&to_initiator);
	assert_true(noise_open_initiation(&opening, &initiation, &responder));
	assert_int_equal(noise_consume_initiation(&to_initiator, &initiation, &opening, NOW_NS),
			 NOISE_ACCEPTED);
	assert_true(
		noise_create_response(&response, &to_initiator, 7, vector->responder_ephemeral));
	assert_true(noise_derive_session(&keys[0], &is_initiator, &to_initiator));
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_true(noise_derive_session(&keys[1], &is_initiator, &to_responder));
	assert_true(is_initiator);
	assert_memory_equal(keys[0].send, keys[1].receive, KEY_LEN);
	noise_set_aside_initiation(&ours, &to_responder);
	assert_false(ours.is_set);
}
