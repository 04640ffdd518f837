// SPDX-License-Identifier: Apache-2.0
/*
 * A late response: how long an initiation waits for it (paper, 6.4), and the loss that a longer
 * wait would cause. The peer keeps its half of such a session no longer than other handshakes and
 * the clock allow.
 */
#include "world.h"

#define LONGEST_NS (REKEY_TIMEOUT_NS + REKEY_JITTER_NS)

static struct datagram held; /* B's last response to A */

static unsigned int hold_response(struct world *where, struct datagram *datagram)
{
	(void)where;
	if (datagram->to != A || get_le32(datagram->bytes) != MESSAGE_RESPONSE)
		return 1;
	free(held.bytes);
	held = *datagram;
	held.bytes = malloc(datagram->len);
	memcpy(held.bytes, datagram->bytes, datagram->len);
	return 0;
}

static int begin_holding(void **state)
{
	world_begin(state);
	world->on_wire = hold_response;
	return 0;
}

static int end_holding(void **state)
{
	free(held.bytes);
	held = (struct datagram){0};
	return world_end(state);
}

#define HOLDING_TEST(name) TEST(name, begin_holding, end_holding)

/* The wire is good from now on. */
static void release_response(void)
{
	assert_non_null(held.bytes);
	world->on_wire = NULL;
	receive_bytes(&world->nodes[A], &world->nodes[B].address, held.bytes, held.len);
	tunnel_flush(&world->nodes[A].tunnel);
}

static void assert_refused(void)
{
	unsigned int sent = world->nodes[A].sent[MESSAGE_DATA];
	uint32_t current = peer_of(A)->current;

	release_response();
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	assert_int_equal(all_drops(A), 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_DATA], sent);
	assert_int_equal(peer_of(A)->current, current);
}

/* A node learns the keys of the other one, of which the next one may be missing. */
static void tell_keys(unsigned int node, const struct public_key *next)
{
	const struct node *other = &world->nodes[!node];
	struct peer_keys keys = {.has_key[KEY_CURRENT] = true,
				 .keys[KEY_CURRENT] = other->public_key};

	keys.has_key[KEY_NEXT] = next;
	if (next)
		keys.keys[KEY_NEXT] = *next;
	tunnel_change_peer_keys(&world->nodes[node].tunnel, world->nodes[node].peer, &keys,
				NS_PER_S);
	tunnel_flush(&world->nodes[node].tunnel);
}

static void arm_next_key_of_a(void)
{
	struct private_key key;
	struct public_key public_key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	crypto_make_pair(key.bytes, public_key.bytes);
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_NEXT, &key);
	tell_keys(B, &public_key);
}

HOLDING_TEST(response_is_taken_as_long_as_no_retry_can_have_taken_its_place)
{
	ping(A, 1);
	world_set_clock(world->now_ns + LONGEST_NS - 1);
	release_response();
	assert_int_equal(all_drops(A), 0);
	world_settle();
	assert_int_equal(came(B, 1), 1);
}

HOLDING_TEST(response_that_is_later_makes_no_session)
{
	ping(A, 1);
	world_set_clock(world->now_ns + LONGEST_NS);
	assert_refused();
	assert_int_equal(peer_of(A)->current, NO_SESSION);
}

/* A process that stood still finds the response, and that it is time to try again. */
HOLDING_TEST(standstill_while_the_response_came_costs_a_handshake_and_no_packet)
{
	ping(A, 1);
	world_set_clock(world->now_ns + 60 * NS_PER_S);
	assert_refused();
	world_settle();
	assert_int_equal(came(B, 1), 1);
}

HOLDING_TEST(handshake_that_was_given_up_is_not_completed)
{
	ping(A, 1);
	world_sleep(REKEY_ATTEMPT_TIME_NS + 4 * REKEY_TIMEOUT_NS);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], HANDSHAKE_RETRIES_MAX + 2);
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 1);
	release_response();
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	assert_int_equal(peer_of(A)->current, NO_SESSION);
}

/* The one that arrived was made with other keys, so it left the initiation alone; B has ended the
 * resulting session when the response arrives. */
HOLDING_TEST(late_response_takes_no_packet_from_a_session_of_other_keys)
{
	ping(A, 1);
	arm_next_key_of_a(); /* B tries it at once, and packet 1 follows from there */
	world_settle();
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(pair_of(A)->state, HANDSHAKE_INITIATION_SENT);
	world_sleep(REJECT_AFTER_TIME_NS);
	assert_refused();
	ping(A, 2);
	assert_int_equal(came(B, 2), 1);
}

/* Both begin at once, and of B's handshake the response is lost. */
static unsigned int hold_response_and_lose_the_answer(struct world *where,
						      struct datagram *datagram)
{
	if (datagram->to == B && get_le32(datagram->bytes) == MESSAGE_RESPONSE)
		return 0;
	if (datagram->to == A && get_le32(datagram->bytes) == MESSAGE_INITIATION)
		datagram->arrives_ns += 4 * NS_PER_S;
	return hold_response(where, datagram);
}

HOLDING_TEST(answering_the_peers_initiation_does_not_renew_our_own)
{
	world->on_wire = hold_response_and_lose_the_answer;
	send_inner(A, 4, 100, 1);
	send_inner(B, 4, 100, 2);
	for (unsigned int i = 0; i < 2; i++)
		tunnel_flush(&world->nodes[i].tunnel);
	world_sleep(LONGEST_NS);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_RESPONSE], 1);
	assert_int_equal(pair_of(A)->state, HANDSHAKE_INITIATION_SENT);
	assert_refused();
}

/* Both rotate: one's try with the new key waits for its answer while the other's handshake is
 * completed. */
HOLDING_TEST(handshake_of_other_keys_leaves_an_initiation_that_may_still_be_answered)
{
	ping(A, 1);
	arm_next_key_of_a();
	world_settle();
	assert_int_equal(came(B, 1), 1);
	world_sleep(REKEY_TIMEOUT_NS - NS_PER_S);
	release_response();
	world_settle();
	assert_int_equal(all_drops(A), 0);
	assert_int_equal(current_of(A)->pair_index, pair_number(A));
	ping(A, 2);
	ping(B, 3);
	assert_int_equal(came(B, 2), 1);
	assert_int_equal(came(A, 3), 1);
}
