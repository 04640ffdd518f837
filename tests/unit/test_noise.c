// SPDX-License-Identifier: Apache-2.0
/*
 * The handshake: to the byte against an independent implementation, every verdict, and that nothing forged moves it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cookie.h"
#include "crypto.h"
#include "noise.h"
#include "vectors/handshake.h"
#include "vectors/hex.h"
#include "vectors/x25519.h"

#define NOW_NS	1000000000000ULL
#define WALL_NS (1795348800 * NS_PER_S)

/* Two sides and the messages between them, as of the first vector; each test moves on from there. */
static struct identity initiator, responder;
static struct noise_pair to_responder, to_initiator;
static struct message_initiation initiation;
static struct message_response response;
static struct cookie_jar jar;
static const struct handshake_vector *vector;

static void set_identity(struct identity *identity, const uint8_t private_key[static KEY_LEN])
{
	struct private_key key;

	memcpy(key.bytes, private_key, KEY_LEN);
	identity_set(identity, &key);
}

static void begin_with(const struct handshake_vector *with)
{
	struct preshared_key preshared;

	vector = with;
	memcpy(preshared.bytes, vector->preshared, KEY_LEN);
	set_identity(&initiator, vector->initiator_private);
	set_identity(&responder, vector->responder_private);
	memset(&to_responder, 0, sizeof(to_responder));
	memset(&to_initiator, 0, sizeof(to_initiator));
	memset(&jar, 0, sizeof(jar));
	memset(&initiation, 0, sizeof(initiation));
	memset(&response, 0, sizeof(response));
	noise_pair_init(&to_responder, &initiator, &responder.public_key, &preshared);
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, &preshared);
}

static int begin(void **state)
{
	begin_with(&handshake_vectors[0]);
	return 0;
}

static void create_initiation_at(uint64_t wall_ns)
{
	uint8_t timestamp[TIMESTAMP_LEN];

	noise_timestamp(timestamp, wall_ns);
	assert_true(noise_create_initiation(&initiation, &to_responder, &initiator,
					    vector->initiator_index, vector->initiator_ephemeral,
					    timestamp));
	cookie_add_macs(&initiation, sizeof(initiation), &jar, responder.mac1_key, NOW_NS);
}

static enum noise_verdict consume_initiation_at(uint64_t now_ns)
{
	struct noise_opening opening;

	if (!noise_open_initiation(&opening, &initiation, &responder))
		return NOISE_REFUSED;
	assert_memory_equal(opening.remote.bytes, initiator.public_key.bytes, KEY_LEN);
	return noise_consume_initiation(&to_initiator, &initiation, &opening, now_ns);
}

static void create_response(void)
{
	assert_true(noise_create_response(&response, &to_initiator, vector->responder_index,
					  vector->responder_ephemeral));
	cookie_add_macs(&response, sizeof(response), &jar, initiator.mac1_key, NOW_NS);
}

static void shake_hands_up_to_the_response(void)
{
	create_initiation_at(vector->wall_ns);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_response();
}

static void finish(void)
{
	struct session_keys ours, theirs;
	bool is_initiator;

	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_true(noise_derive_session(&ours, &is_initiator, &to_responder));
	assert_true(is_initiator);
	assert_true(noise_derive_session(&theirs, &is_initiator, &to_initiator));
	assert_false(is_initiator);
	assert_memory_equal(ours.send, theirs.receive, KEY_LEN);
	assert_memory_equal(ours.receive, theirs.send, KEY_LEN);
	assert_memory_equal(ours.send, vector->initiator_sends, KEY_LEN);
	assert_memory_equal(ours.receive, vector->responder_sends, KEY_LEN);
}

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

static void handshake_is_to_the_byte_that_of_an_independent_implementation(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(handshake_vectors); i++)
		check_whole_handshake(&handshake_vectors[i]);
}

static void handshake_takes_the_messages_of_an_independent_implementation(void **state)
{
	create_initiation_at(vector->wall_ns);
	memcpy(&initiation, vector->initiation, sizeof(initiation));
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_response();
	memcpy(&response, vector->response, sizeof(response));
	finish();
}

static void handshake_leaves_no_secret_in_the_pair(void **state)
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

static void ephemeral_of_a_finished_exchange_is_wiped_at_once(void **state)
{
	shake_hands_up_to_the_response();
	assert_true(sodium_is_zero(to_initiator.ephemeral_private, KEY_LEN));
	assert_false(sodium_is_zero(to_responder.ephemeral_private, KEY_LEN));
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
	assert_true(sodium_is_zero(to_responder.ephemeral_private, KEY_LEN));
}

static void session_comes_only_from_a_finished_handshake(void **state)
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

static void wrong_preshared_key_gives_no_session(void **state)
{
	struct preshared_key other = {{1}};
	struct noise_pair before;

	noise_pair_init(&to_initiator, &responder, &initiator.public_key, &other);
	shake_hands_up_to_the_response();
	before = to_responder;
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
	assert_memory_equal(&to_responder, &before, sizeof(before));
}

static void missing_preshared_key_gives_no_session(void **state)
{
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, NULL);
	shake_hands_up_to_the_response();
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
}

static void alternate_key_is_taken_where_the_first_does_not_fit(void **state)
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

static void alternate_key_does_not_hinder_the_first(void **state)
{
	to_responder.alternate = (struct preshared_key){{1}};
	to_responder.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

/* Neither the zero that stands in its place, nor one that is there, when none is wanted. */
static void alternate_key_counts_only_where_there_is_one(void **state)
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

static void alternate_key_of_none_takes_a_response_without_one(void **state)
{
	noise_pair_init(&to_initiator, &responder, &initiator.public_key, NULL);
	to_responder.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

static void alternate_key_never_makes_a_response(void **state)
{
	to_initiator.alternate = (struct preshared_key){{1}};
	to_initiator.has_alternate = true;
	shake_hands_up_to_the_response();
	assert_true(noise_consume_response(&to_responder, &response, &initiator));
}

static void alternate_key_stays_with_its_key(void **state)
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

/* -- what a responder accepts -- */

static void initiation_is_a_replay_when_it_comes_again(void **state)
{
	struct noise_pair before;

	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	before = to_initiator;
	assert_int_equal(consume_initiation_at(NOW_NS + 3600 * NS_PER_S), NOISE_REPLAY);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
}

static void initiation_is_a_replay_unless_its_timestamp_is_greater(void **state)
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

static void initiation_is_a_flood_within_20_ms_of_the_last(void **state)
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

static void initiation_for_another_key_is_refused(void **state)
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

/* Somebody who knows the initiator's public key only: the static opens, the timestamp cannot. */
static void initiation_in_another_name_is_refused(void **state)
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

static void initiation_to_an_unusable_pair_is_refused(void **state)
{
	struct noise_pair before;

	noise_pair_init(&to_initiator, NULL, &initiator.public_key, NULL);
	before = to_initiator;
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_REFUSED);
	assert_memory_equal(&to_initiator, &before, sizeof(before));
}

/* Others count nanoseconds otherwise, or over 10^9; the twelve bytes are compared and nothing else. */
static void timestamps_are_compared_as_bytes(void **state)
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

static void greatest_timestamp_survives_a_new_configuration_of_the_same_key(void **state)
{
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	noise_pair_init(&to_initiator, &responder, &to_initiator.remote, &to_initiator.preshared);
	assert_int_equal(to_initiator.state, HANDSHAKE_NONE);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
	noise_pair_clear_handshake(&to_initiator);
	assert_int_equal(consume_initiation_at(NOW_NS + NS_PER_S), NOISE_REPLAY);
}

static void greatest_timestamp_does_not_pass_to_another_key(void **state)
{
	create_initiation_at(WALL_NS);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	noise_pair_init(&to_initiator, &responder, &responder.public_key, NULL);
	assert_true(sodium_is_zero(to_initiator.latest_timestamp, TIMESTAMP_LEN));
	assert_int_equal(to_initiator.last_consumed_ns, 0);
}

static void pair_without_own_key_creates_nothing(void **state)
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

static void response_is_created_only_to_an_initiation(void **state)
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

static void response_is_consumed_only_while_one_is_awaited(void **state)
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
static void response_is_refused_in_every_other_state(void **state)
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

static void response_to_an_earlier_initiation_is_refused(void **state)
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

static void response_with_another_index_is_refused(void **state)
{
	shake_hands_up_to_the_response();
	put_le32(response.receiver_index, vector->initiator_index + 1);
	assert_false(noise_consume_response(&to_responder, &response, &initiator));
}

/* tailscale-rs #334: a response anybody can make up must not end the handshake that is under way. */
static void forged_responses_leave_the_pending_handshake_alone(void **state)
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

static void initiation_from_the_peer_takes_the_place_of_ours(void **state)
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

static void both_initiations_that_cross_are_answered(void **state)
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

/* -- every bit -- */

static void flip(void *message, size_t bit)
{
	((uint8_t *)message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* As the receiver asks it: is mac1 right, then noise. mac2 is not looked at while there is no load. */
static bool is_initiation_taken(void)
{
	return get_le32(initiation.type) == MESSAGE_INITIATION &&
	       cookie_mac1_matches(&responder, &initiation, sizeof(initiation)) &&
	       consume_initiation_at(NOW_NS) == NOISE_ACCEPTED;
}

static bool is_response_taken(void)
{
	return get_le32(response.type) == MESSAGE_RESPONSE &&
	       cookie_mac1_matches(&initiator, &response, sizeof(response)) &&
	       noise_consume_response(&to_responder, &response, &initiator);
}

static void initiation_with_any_bit_flipped_is_refused(void **state)
{
	struct noise_pair before = to_initiator;

	create_initiation_at(WALL_NS);
	for (size_t bit = 0; bit < 8 * offsetof(struct message_initiation, macs.mac2); bit++) {
		flip(&initiation, bit);
		assert_false(is_initiation_taken());
		assert_memory_equal(&to_initiator, &before, sizeof(before));
		flip(&initiation, bit);
	}
	assert_true(is_initiation_taken());
}

static void response_with_any_bit_flipped_is_refused(void **state)
{
	struct noise_pair before;

	shake_hands_up_to_the_response();
	before = to_responder;
	for (size_t bit = 0; bit < 8 * offsetof(struct message_response, macs.mac2); bit++) {
		flip(&response, bit);
		assert_false(is_response_taken());
		assert_memory_equal(&to_responder, &before, sizeof(before));
		flip(&response, bit);
	}
	assert_true(is_response_taken());
}

/* mac1 needs only public keys: who knows them gets past it, so noise must refuse each bit by itself. The indices of
 * the sender are the one part that only mac1 covers. */
static void noise_alone_refuses_any_bit_of_an_initiation_flipped(void **state)
{
	struct noise_pair before = to_initiator;

	create_initiation_at(WALL_NS);
	for (size_t bit = 8 * offsetof(struct message_initiation, ephemeral);
	     bit < 8 * offsetof(struct message_initiation, macs); bit++) {
		flip(&initiation, bit);
		assert_int_equal(consume_initiation_at(NOW_NS), NOISE_REFUSED);
		assert_memory_equal(&to_initiator, &before, sizeof(before));
		flip(&initiation, bit);
	}
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
}

static void noise_alone_refuses_any_bit_of_a_response_flipped(void **state)
{
	struct noise_pair before;

	shake_hands_up_to_the_response();
	before = to_responder;
	for (size_t bit = 8 * offsetof(struct message_response, receiver_index);
	     bit < 8 * offsetof(struct message_response, macs); bit++) {
		flip(&response, bit);
		assert_false(noise_consume_response(&to_responder, &response, &initiator));
		assert_memory_equal(&to_responder, &before, sizeof(before));
		flip(&response, bit);
	}
	finish();
}

/* -- points of low order: the product is zero, which anybody knows -- */

#define LOW_ORDER_POINTS (2 * ARRAY_SIZE(x25519_low_order))

static void low_order_point(uint8_t ret_point[static KEY_LEN], size_t i)
{
	unhex(ret_point, KEY_LEN, x25519_low_order[i / 2]);
	ret_point[KEY_LEN - 1] |= i % 2 ? 0x80 : 0;
}

static void static_key_of_low_order_never_causes_a_message(void **state)
{
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		struct message_initiation untouched = initiation;
		struct public_key remote;

		low_order_point(remote.bytes, i);
		noise_pair_init(&to_responder, &initiator, &remote, NULL);
		assert_false(to_responder.is_usable);
		assert_false(noise_create_initiation(&initiation, &to_responder, &initiator, 1,
						     vector->initiator_ephemeral,
						     vector->timestamp));
		assert_memory_equal(&initiation, &untouched, sizeof(initiation));
		assert_false(noise_create_response(&response, &to_responder, 1,
						   vector->responder_ephemeral));
	}
}

static const uint8_t zero[KEY_LEN];

/* An initiation as far as its static key, for whom the product of its ephemeral and `receiver` is given: every tag is
 * right, so that only what the receiver itself checks can tell. */
static void forge_initiation(const uint8_t receiver[static KEY_LEN],
			     const uint8_t ephemeral[static KEY_LEN],
			     const uint8_t product[static KEY_LEN])
{
	uint8_t hash[HASH_LEN], chaining_key[HASH_LEN], key[KEY_LEN];

	memcpy(initiation.ephemeral, ephemeral, KEY_LEN);
	crypto_digest(chaining_key, NOISE_CONSTRUCTION, strlen(NOISE_CONSTRUCTION), NULL, 0);
	crypto_digest(hash, chaining_key, HASH_LEN, NOISE_IDENTIFIER, strlen(NOISE_IDENTIFIER));
	crypto_digest(hash, hash, HASH_LEN, receiver, KEY_LEN);
	crypto_digest(hash, hash, HASH_LEN, ephemeral, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, ephemeral, KEY_LEN);
	crypto_kdf(chaining_key, key, NULL, chaining_key, product, KEY_LEN);
	crypto_seal(initiation.sealed_static, initiator.public_key.bytes, KEY_LEN, hash, HASH_LEN,
		    0, key);
}

/* The forger's own positive control: with the true product the same bytes open. */
static void forged_initiation_with_the_true_product_opens(void **state)
{
	uint8_t ephemeral_private[KEY_LEN] = {3}, ephemeral[KEY_LEN], product[KEY_LEN];
	struct noise_opening opening;

	crypto_make_pair(ephemeral_private, ephemeral);
	assert_true(crypto_dh(product, ephemeral_private, responder.public_key.bytes));
	forge_initiation(responder.public_key.bytes, ephemeral, product);
	assert_true(noise_open_initiation(&opening, &initiation, &responder));
	assert_memory_equal(opening.remote.bytes, initiator.public_key.bytes, KEY_LEN);
}

/* Both halves of a cleared identity are zero bytes, which still multiply. */
static void initiation_to_a_cleared_identity_is_refused(void **state)
{
	uint8_t ephemeral_private[KEY_LEN] = {3}, ephemeral[KEY_LEN], product[KEY_LEN];
	struct noise_opening opening;

	identity_clear(&responder);
	crypto_make_pair(ephemeral_private, ephemeral);
	assert_true(crypto_dh(product, responder.private_key.bytes, ephemeral));
	forge_initiation(responder.public_key.bytes, ephemeral, product);
	assert_false(noise_open_initiation(&opening, &initiation, &responder));
}

static void ephemeral_of_low_order_in_an_initiation_is_refused(void **state)
{
	struct noise_opening opening, untouched;

	memset(&opening, 0xaa, sizeof(opening));
	untouched = opening;
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		uint8_t point[KEY_LEN];

		low_order_point(point, i);
		forge_initiation(responder.public_key.bytes, point, zero);
		assert_false(noise_open_initiation(&opening, &initiation, &responder));
		assert_memory_equal(&opening, &untouched, sizeof(opening));
	}
}

/* The hardest case: an attacker who knew even the initiator's chaining key. */
static void forge_response(const uint8_t point[static KEY_LEN])
{
	uint8_t hash[HASH_LEN], chaining_key[HASH_LEN], key[KEY_LEN], preshared_hash[HASH_LEN];

	memcpy(response.ephemeral, point, KEY_LEN);
	crypto_digest(hash, to_responder.hash, HASH_LEN, point, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, to_responder.chaining_key, point, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, zero, KEY_LEN);
	crypto_kdf(chaining_key, NULL, NULL, chaining_key, zero, KEY_LEN);
	crypto_kdf(chaining_key, preshared_hash, key, chaining_key, to_responder.preshared.bytes,
		   KEY_LEN);
	crypto_digest(hash, hash, HASH_LEN, preshared_hash, HASH_LEN);
	crypto_seal(response.sealed_nothing, NULL, 0, hash, HASH_LEN, 0, key);
}

static void ephemeral_of_low_order_in_a_response_is_refused(void **state)
{
	struct message_response genuine;
	struct noise_pair before;

	shake_hands_up_to_the_response();
	genuine = response;
	before = to_responder;
	for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
		uint8_t point[KEY_LEN];

		low_order_point(point, i);
		forge_response(point);
		assert_false(noise_consume_response(&to_responder, &response, &initiator));
		assert_memory_equal(&to_responder, &before, sizeof(before));
	}
	response = genuine;
	finish();
}

/* -- time -- */

static void timestamp_is_tai64n(void **state)
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

static void timestamp_shows_our_clock_in_steps_of_16_ms(void **state)
{
	uint8_t first[TIMESTAMP_LEN], timestamp[TIMESTAMP_LEN];

	assert_int_equal(TIMESTAMP_WHITENING_NS, 16777216);
	noise_timestamp(first, WALL_NS);
	noise_timestamp(timestamp, WALL_NS + 16777215);
	assert_memory_equal(timestamp, first, TIMESTAMP_LEN);
	noise_timestamp(timestamp, WALL_NS + 16777216);
	assert_true(memcmp(timestamp, first, TIMESTAMP_LEN) > 0);
}

static void timestamp_a_step_later_is_always_greater(void **state)
{
	uint8_t before[TIMESTAMP_LEN] = {0}, timestamp[TIMESTAMP_LEN];

	for (uint64_t wall_ns = WALL_NS; wall_ns < WALL_NS + 10 * NS_PER_S;
	     wall_ns += TIMESTAMP_WHITENING_NS) {
		noise_timestamp(timestamp, wall_ns);
		assert_true(memcmp(timestamp, before, TIMESTAMP_LEN) > 0);
		memcpy(before, timestamp, TIMESTAMP_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, begin)
		TEST(handshake_is_to_the_byte_that_of_an_independent_implementation),
		TEST(handshake_takes_the_messages_of_an_independent_implementation),
		TEST(handshake_leaves_no_secret_in_the_pair),
		TEST(ephemeral_of_a_finished_exchange_is_wiped_at_once),
		TEST(session_comes_only_from_a_finished_handshake),
		TEST(wrong_preshared_key_gives_no_session),
		TEST(missing_preshared_key_gives_no_session),
		TEST(alternate_key_is_taken_where_the_first_does_not_fit),
		TEST(alternate_key_does_not_hinder_the_first),
		TEST(alternate_key_counts_only_where_there_is_one),
		TEST(alternate_key_of_none_takes_a_response_without_one),
		TEST(alternate_key_never_makes_a_response),
		TEST(alternate_key_stays_with_its_key),
		TEST(initiation_is_a_replay_when_it_comes_again),
		TEST(initiation_is_a_replay_unless_its_timestamp_is_greater),
		TEST(initiation_is_a_flood_within_20_ms_of_the_last),
		TEST(initiation_for_another_key_is_refused),
		TEST(initiation_in_another_name_is_refused),
		TEST(initiation_to_an_unusable_pair_is_refused),
		TEST(timestamps_are_compared_as_bytes),
		TEST(greatest_timestamp_survives_a_new_configuration_of_the_same_key),
		TEST(greatest_timestamp_does_not_pass_to_another_key),
		TEST(pair_without_own_key_creates_nothing),
		TEST(response_is_created_only_to_an_initiation),
		TEST(response_is_consumed_only_while_one_is_awaited),
		TEST(response_is_refused_in_every_other_state),
		TEST(response_to_an_earlier_initiation_is_refused),
		TEST(response_with_another_index_is_refused),
		TEST(forged_responses_leave_the_pending_handshake_alone),
		TEST(initiation_from_the_peer_takes_the_place_of_ours),
		TEST(both_initiations_that_cross_are_answered),
		TEST(initiation_with_any_bit_flipped_is_refused),
		TEST(response_with_any_bit_flipped_is_refused),
		TEST(noise_alone_refuses_any_bit_of_an_initiation_flipped),
		TEST(noise_alone_refuses_any_bit_of_a_response_flipped),
		TEST(static_key_of_low_order_never_causes_a_message),
		TEST(forged_initiation_with_the_true_product_opens),
		TEST(initiation_to_a_cleared_identity_is_refused),
		TEST(ephemeral_of_low_order_in_an_initiation_is_refused),
		TEST(ephemeral_of_low_order_in_a_response_is_refused),
		TEST(timestamp_is_tai64n),
		TEST(timestamp_shows_our_clock_in_steps_of_16_ms),
		TEST(timestamp_a_step_later_is_always_greater),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
