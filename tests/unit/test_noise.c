// SPDX-License-Identifier: Apache-2.0
/*
 * The handshake (paper, 5.4.1-5.4.5): byte by byte against an independent implementation, the state
 * after it, preshared keys, timestamps. Accepted messages are in test_noise_messages.c, forged ones
 * in test_noise_forged.c.
 */
#include "handshake_sides.h"

static void check_whole_handshake(const struct handshake_vector *with)
{
	struct message_data keepalive;
	uint8_t tag[TAG_LEN];

	begin_with(with);
	assert_memory_equal(initiator.public_key.bytes, vector->initiator_public, KEY_LEN);
	assert_memory_equal(responder.public_key.bytes, vector->responder_public, KEY_LEN);
	create_initiation_at(vector->wall_ns);
	assert_memory_equal(&initiation, vector->initiation, sizeof(initiation));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	assert_memory_equal(to_initiator.latest_timestamp, vector->timestamp, TIMESTAMP_LEN);
	assert_int_equal(to_initiator.remote_index, vector->initiator_index);
	create_response();
	assert_memory_equal(&response, vector->response, sizeof(response));
	finish();

	memcpy(&keepalive, vector->keepalive, sizeof(keepalive));
	assert_int_equal(get_le32(keepalive.receiver_index), to_responder.remote_index);
	crypto_seal(tag, NULL, 0, NULL, 0, get_le64(keepalive.counter), vector->initiator_sends);
	assert_memory_equal(tag, vector->keepalive + sizeof(keepalive), TAG_LEN);
}

TEST(handshake_is_to_the_byte_that_of_an_independent_implementation, begin)
{
	for (size_t i = 0; i < ARRAY_SIZE(handshake_vectors); i++)
		check_whole_handshake(&handshake_vectors[i]);
}

TEST(handshake_takes_the_messages_of_an_independent_implementation, begin)
{
	create_initiation_at(vector->wall_ns);
	memcpy(&initiation, vector->initiation, sizeof(initiation));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_response();
	memcpy(&response, vector->response, sizeof(response));
	finish();
}

TEST(handshake_leaves_no_secret_in_the_pair, begin)
{
	shake_hands_up_to_the_response();
	finish();
	for (int i = 0; i < 2; i++) {
		const struct noise_pair *pair = i ? &to_initiator : &to_responder;

		assert_int_equal(pair->state, HANDSHAKE_NONE);
		assert_true(sodium_is_zero(pair->ephemeral_private, KEY_LEN));
		assert_true(sodium_is_zero(pair->remote_ephemeral, KEY_LEN));
		assert_true(sodium_is_zero(pair->hash, HASH_LEN));
		assert_true(sodium_is_zero(pair->chaining_key, HASH_LEN));
	}
}

TEST(ephemeral_of_a_finished_exchange_is_wiped_at_once, begin)
{
	shake_hands_up_to_the_response();
	assert_true(sodium_is_zero(to_initiator.ephemeral_private, KEY_LEN));
	assert_false(sodium_is_zero(to_responder.ephemeral_private, KEY_LEN));
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_true(sodium_is_zero(to_responder.ephemeral_private, KEY_LEN));
}

TEST(session_comes_only_from_a_finished_handshake, begin)
{
	struct session_keys keys, untouched;
	bool is_initiator = true;

	memset(&keys, 0xaa, sizeof(keys));
	untouched = keys;
	assert_false(noise_derive_session(&keys, &is_initiator, &to_responder));
	create_initiation_at(vector->wall_ns);
	assert_false(noise_derive_session(&keys, &is_initiator, &to_responder));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	assert_false(noise_derive_session(&keys, &is_initiator, &to_initiator));
	assert_memory_equal(&keys, &untouched, sizeof(keys));
	create_response();
	finish();
	assert_false(noise_derive_session(&keys, &is_initiator, &to_responder));
	assert_false(noise_derive_session(&keys, &is_initiator, &to_initiator));
}

TEST(wrong_preshared_key_gives_no_session, begin)
{
	struct preshared_key other = {{1}};
	struct noise_pair before;

	noise_pair_init(&to_initiator, &responder, &initiator.public_key, &other);
	shake_hands_up_to_the_response();
	before = to_responder;
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	assert_memory_equal(&to_responder, &before, sizeof(before));
}

TEST(missing_preshared_key_gives_no_session, begin)
{
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, NULL);
	shake_hands_up_to_the_response();
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
}

TEST(alternate_key_is_taken_where_the_first_does_not_fit, begin)
{
	struct preshared_key other = {{1}};
	struct session_keys ours, theirs;
	bool is_initiator;

	noise_pair_init(&to_initiator, &responder, &initiator.public_key, &other);
	to_responder.alternate = other;
	to_responder.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_true(noise_derive_session(&ours, &is_initiator, &to_responder) && is_initiator);
	assert_true(noise_derive_session(&theirs, &is_initiator, &to_initiator) && !is_initiator);
	assert_memory_equal(ours.send, theirs.receive, KEY_LEN);
	assert_memory_equal(ours.receive, theirs.send, KEY_LEN);
}

TEST(alternate_key_does_not_hinder_the_first, begin)
{
	to_responder.alternate = (struct preshared_key){{1}};
	to_responder.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

/* Neither the zero key in its place nor an existing one, if none is wanted. */
TEST(alternate_key_counts_only_where_there_is_one, begin)
{
	struct preshared_key other = {{1}};
	struct noise_pair before;

	noise_pair_init(&to_initiator, &responder, &initiator.public_key, NULL);
	shake_hands_up_to_the_response();
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	begin(state);
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, &other);
	to_responder.alternate = other;
	shake_hands_up_to_the_response();
	before = to_responder;
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	assert_memory_equal(&to_responder, &before, sizeof(before));
	to_responder.has_alternate = true;
	to_responder.alternate = (struct preshared_key){{2}};
	before = to_responder;
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	assert_memory_equal(&to_responder, &before, sizeof(before));
	to_responder.alternate = other;
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

TEST(alternate_key_of_none_takes_a_response_without_one, begin)
{
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, NULL);
	to_responder.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

TEST(alternate_key_never_makes_a_response, begin)
{
	to_initiator.alternate = (struct preshared_key){{1}};
	to_initiator.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

TEST(alternate_key_stays_with_its_key, begin)
{
	struct preshared_key other = {{1}};

	to_responder.alternate = other;
	to_responder.has_alternate = true;
	noise_pair_init(&to_responder, &initiator, &responder.public_key, NULL);
	assert_true(to_responder.has_alternate);
	assert_memory_equal(&to_responder.alternate, &other, KEY_LEN);
	noise_pair_init(&to_responder, &initiator, &initiator.public_key, NULL);
	assert_false(to_responder.has_alternate);
	assert_true(sodium_is_zero(to_responder.alternate.bytes, KEY_LEN));
}

/* -- time -- */

TEST(timestamp_is_tai64n, begin)
{
	static const uint8_t epoch[] = {0x40, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0};
	uint8_t timestamp[TIMESTAMP_LEN];

	noise_timestamp(timestamp, 0);
	assert_memory_equal(timestamp, epoch, TIMESTAMP_LEN);
	for (size_t i = 0; i < ARRAY_SIZE(handshake_vectors); i++) {
		noise_timestamp(timestamp, handshake_vectors[i].wall_ns);
		assert_memory_equal(timestamp, handshake_vectors[i].timestamp, TIMESTAMP_LEN);
	}
}

TEST(timestamp_shows_our_clock_in_steps_of_16_ms, begin)
{
	uint8_t first[TIMESTAMP_LEN], timestamp[TIMESTAMP_LEN];

	assert_int_equal(TIMESTAMP_WHITENING_NS, 16777216);
	noise_timestamp(first, WALL_NS);
	noise_timestamp(timestamp, WALL_NS + 16777215);
	assert_memory_equal(timestamp, first, TIMESTAMP_LEN);
	noise_timestamp(timestamp, WALL_NS + 16777216);
	assert_true(memcmp(timestamp, first, TIMESTAMP_LEN) > 0);
}

TEST(timestamp_a_step_later_is_always_greater, begin)
{
	uint8_t before[TIMESTAMP_LEN] = {0}, timestamp[TIMESTAMP_LEN];

	for (uint64_t wall_ns = WALL_NS; wall_ns < WALL_NS + 10 * NS_PER_S;
	     wall_ns += TIMESTAMP_WHITENING_NS) {
		noise_timestamp(timestamp, wall_ns);
		assert_true(memcmp(timestamp, before, TIMESTAMP_LEN) > 0);
		memcpy(before, timestamp, TIMESTAMP_LEN);
	}
}
