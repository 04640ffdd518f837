/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sides of a handshake and the messages between them, with keys and randomness from the vectors
 * of an independent implementation.
 */
#pragma once

#include "cookie.h"
#include "crypto.h"
#include "noise.h"
#include "test.h"
#include "vectors/handshake.h"

#define NOW_NS	1000000000000ULL
#define WALL_NS (1795348800 * NS_PER_S)

/* Two sides and the messages between them, as of the first vector; each test moves on from
 * there. */
static struct identity initiator, responder;
static struct noise_pair to_responder, to_initiator;
static struct message_initiation initiation;
static struct message_response response;
static struct cookie_jar jar;
static const struct handshake_vector *vector;

static inline void set_identity(struct identity *identity,
				const uint8_t private_key[static KEY_LEN])
{
	struct private_key key;

	memcpy(key.bytes, private_key, KEY_LEN);
	identity_set(identity, &key);
}

static inline void begin_with(const struct handshake_vector *with)
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

static inline int begin(void **state)
{
	begin_with(&handshake_vectors[0]);
	return 0;
}

static inline void create_initiation_at(uint64_t wall_ns)
{
	uint8_t timestamp[TIMESTAMP_LEN];

	noise_timestamp(timestamp, wall_ns);
	assert_true(noise_create_initiation(&initiation, &to_responder, &initiator,
					    vector->initiator_index, vector->initiator_ephemeral,
					    timestamp));
	cookie_add_macs(&initiation, sizeof(initiation), &jar, responder.mac1_key, NOW_NS);
}

static inline enum noise_verdict consume_initiation_at(uint64_t now_ns)
{
	struct noise_opening opening;

	if (!noise_open_initiation(&opening, &initiation, &responder))
		return NOISE_REFUSED;
	assert_memory_equal(opening.remote.bytes, initiator.public_key.bytes, KEY_LEN);
	return noise_consume_initiation(&to_initiator, &initiation, &opening, now_ns);
}

static inline void create_response(void)
{
	assert_true(noise_create_response(&response, &to_initiator, vector->responder_index,
					  vector->responder_ephemeral));
	cookie_add_macs(&response, sizeof(response), &jar, initiator.mac1_key, NOW_NS);
}

static inline void shake_hands_up_to_the_response(void)
{
	create_initiation_at(vector->wall_ns);
	assert_int_equal(consume_initiation_at(NOW_NS), NOISE_ACCEPTED);
	create_response();
}

static inline void finish(void)
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
