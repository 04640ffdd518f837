// SPDX-License-Identifier: Apache-2.0
/*
 * Static keys that rotate: the state that survives the promotion and the end of a key, the remains
 * of a retired one (none), and the state that stays with a pair of keys in any slots (README.md,
 * "The rotation of a key").
 */
#include "rotating_tunnels.h"

/* -- promotion and clearing -- */

ROTATION_TALKING_TEST(sessions_outlive_promotion_and_clearing)
{
	uint32_t index = current_of(A)->local_index;

	world->on_wire = lose_keepalives;
	keepalives_to_lose = 0;
	(void)arm_next(A);
	promote(A);
	clear(A, KEY_PREVIOUS, false);
	assert_int_equal(current_of(A)->local_index, index);
	send_between(A, B);
	send_between(B, A);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(came(A, 1), 1);
}

ROTATION_TALKING_TEST(fresh_session_is_asked_for_only_where_the_newest_is_not_under_the_new_key)
{
	unsigned int initiations;

	step_arm(A);
	world_sleep(SECONDS(5));
	initiations = world->nodes[A].sent[MESSAGE_INITIATION];
	step_promote(A); /* B's try has made a session under it */
	world_sleep(SECONDS(8));
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations);

	step_arm(A);
	world_sleep(SECONDS(6));
	/* now one more under the old key, by hand */
	memset(peer_at(A, B)->has_proved, 0, sizeof(peer_at(A, B)->has_proved));
	peer_at(A, B)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(tunnel_of(A), slots[A][B], false));
	tunnel_flush(tunnel_of(A));
	world_settle();
	peer_at(A, B)->has_proved[KEY_NEXT] = true;
	initiations = world->nodes[A].sent[MESSAGE_INITIATION];
	promote(A);
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations);
	world_sleep(SECONDS(6));
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations + 1);
	assert_int_equal(tunnel_of(A)->state->pairs[current_of(A)->pair_index].own, KEY_CURRENT);
}

/* B initiates to the key it has of A. */
static void initiate_from_b(void)
{
	peer_at(B, A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(tunnel_of(B), slots[B][A], false));
	tunnel_flush(tunnel_of(B));
	world_settle();
}

ROTATION_TALKING_TEST(previous_key_takes_handshakes_until_it_is_cleared)
{
	unsigned int responses;

	(void)arm_next(A);
	promote(A);
	world_sleep(SECONDS(1));
	responses = world->nodes[A].sent[MESSAGE_RESPONSE];
	initiate_from_b();
	assert_int_equal(world->nodes[A].sent[MESSAGE_RESPONSE], responses + 1);
	assert_true(peer_at(A, B)->has_proved[KEY_PREVIOUS]);
	clear(A, KEY_PREVIOUS, false);
	assert_false(peer_at(A, B)->has_proved[KEY_PREVIOUS]);
	world_sleep(SECONDS(1));
	initiate_from_b();
	assert_int_equal(world->nodes[A].sent[MESSAGE_RESPONSE], responses + 1);
	assert_int_equal(drops(A, DROP_BAD_MAC1), 1);
}

ROTATION_SILENT_TEST(response_to_a_key_that_moved_meanwhile_is_taken)
{
	world->latency_ns = 50 * NS_PER_MS;
	(void)arm_next(A);
	send_between(A, B); /* an initiation under the current key */
	world_sleep(60 * NS_PER_MS);
	promote(A);
	world_sleep(SECONDS(1));
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(all_drops(A), 0);
}

ROTATION_TALKING_TEST(revocation_ends_the_sessions_of_that_key_alone)
{
	uint32_t old = current_of(A)->local_index;

	step_arm(A);
	world_sleep(SECONDS(1));
	step_promote(A);
	assert_non_null(index_find(tunnel_of(A)->state, old));
	clear(A, KEY_PREVIOUS, true);
	assert_null(index_find(tunnel_of(A)->state, old));
	assert_int_not_equal(peer_at(A, B)->current, NO_SESSION);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
}

ROTATION_TALKING_TEST(nothing_of_a_retired_key_is_left_in_memory)
{
	struct private_key old, next = arm_next(A);
	uint8_t shared[KEY_LEN];
	const struct tunnel *a = tunnel_of(A);
	uint32_t pair = pair_number(A);

	old = a->state->secrets.identities[KEY_CURRENT].private_key;
	memcpy(shared, a->state->secrets.pairs[pair].static_static, KEY_LEN);
	publish(A);
	talk_for(20 * NS_PER_MS);
	promote(A);
	publish(A);
	talk_for(20 * NS_PER_MS);
	assert_true(state_holds(A, old.bytes, KEY_LEN));
	assert_true(state_holds(A, shared, KEY_LEN));
	clear(A, KEY_PREVIOUS, false);
	assert_false(state_holds(A, old.bytes, KEY_LEN));
	assert_false(state_holds(A, shared, KEY_LEN));
	assert_null(memmem(a->outbox, sizeof(*a->outbox), old.bytes, KEY_LEN));
	assert_null(memmem(a->outbox, sizeof(*a->outbox), shared, KEY_LEN));

	next = a->state->secrets.identities[KEY_CURRENT].private_key;
	(void)arm_next(A);
	promote(A);
	assert_true(state_holds(A, next.bytes, KEY_LEN));
	(void)arm_next(A);
	promote(A); /* wipes what was previous */
	assert_false(state_holds(A, next.bytes, KEY_LEN));

	next = arm_next(A);
	next.bytes[0] &= 248;
	next.bytes[31] = (uint8_t)((next.bytes[31] & 127) | 64);
	assert_true(state_holds(A, next.bytes, KEY_LEN));
	clear(A, KEY_NEXT, false);
	assert_false(state_holds(A, next.bytes, KEY_LEN));
}

/* -- what stays with a pair -- */

static struct message_initiation recorded;

static unsigned int record_initiation(struct world *w, struct datagram *datagram)
{
	if (datagram->to == B && get_le32(datagram->bytes) == MESSAGE_INITIATION)
		memcpy(&recorded, datagram->bytes, sizeof(recorded));
	return 1;
}

static void assert_replay_is_refused(void)
{
	struct message_initiation copy = recorded;
	uint64_t before = drops(B, DROP_HANDSHAKE_REPLAY);

	world_sleep(SECONDS(1));
	receive_bytes(&world->nodes[B], &world->nodes[A].address, (uint8_t *)&copy, sizeof(copy));
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY), before + 1);
}

ROTATION_SILENT_TEST(recorded_initiation_is_refused_wherever_its_keys_have_gone)
{
	struct peer_keys with_both, with_current_alone;

	world->on_wire = record_initiation;
	send_between(A, B);
	world_settle();
	assert_replay_is_refused();
	(void)arm_next(B);
	promote(B); /* ours moved */
	assert_replay_is_refused();
	(void)arm_next(A);
	promote(A);
	world->on_wire = NULL;
	publish(A); /* theirs moved */
	world_sleep(SECONDS(1));
	assert_replay_is_refused();
	with_both = with_current_alone = records[A];
	with_current_alone.has_key[KEY_PREVIOUS] = false;
	records[A] = with_current_alone;
	publish(A);
	records[A] = with_both;
	publish(A); /* theirs went, and is there again */
	assert_replay_is_refused();
}

static void set_preshared(unsigned int node, enum key_slot own, enum key_slot remote, uint8_t byte)
{
	struct preshared_key key;

	memset(key.bytes, byte, sizeof(key.bytes));
	tunnel_set_preshared(tunnel_of(node), slots[node][1 - node], own, remote, &key);
}

ROTATION_SILENT_TEST(preshared_keys_are_those_of_the_statics_that_are_used)
{
	set_preshared(A, KEY_CURRENT, KEY_CURRENT, 1);
	set_preshared(B, KEY_CURRENT, KEY_CURRENT, 1);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	(void)arm_next(A);
	set_preshared(A, KEY_NEXT, KEY_CURRENT, 2);
	publish_to(A, B); /* tries at once, and its keyd has not told it the secret yet */
	world_settle();
	assert_false(peer_at(B, A)->has_reached[KEY_NEXT]);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), 1);
	set_preshared(B, KEY_CURRENT, KEY_NEXT, 2);
	world_sleep(SECONDS(6));
	assert_true(is_proved(A, KEY_NEXT));
	promote(A);
	publish(A); /* without a word about secrets: they went along */
	world_sleep(SECONDS(6));
	initiate_from_b();
	assert_true(is_proved(A, KEY_CURRENT));
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE) + drops(B, DROP_BAD_HANDSHAKE), 1);
}

static void set_alternate(unsigned int node, uint8_t byte)
{
	struct preshared_key key;

	memset(key.bytes, byte, sizeof(key.bytes));
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
			tunnel_set_alternate(tunnel_of(node), slots[node][1 - node], own, remote,
					     &key);
}

/* Both hold the old and the new secret, and only one of them knows that yet: either may begin. */
ROTATION_SILENT_TEST(handshakes_succeed_while_only_one_side_has_gone_over_to_a_new_secret)
{
	set_preshared(A, KEY_CURRENT, KEY_CURRENT, 2);
	set_alternate(A, 1);
	set_preshared(B, KEY_CURRENT, KEY_CURRENT, 1);
	set_alternate(B, 2);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	world_sleep(SECONDS(200)); /* without a session */
	send_between(B, A);
	world_settle();
	assert_int_equal(came(A, 1), 1);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE) + drops(B, DROP_BAD_HANDSHAKE), 0);
	tunnel_set_alternate(tunnel_of(A), slots[A][B], KEY_CURRENT, KEY_CURRENT, NULL);
	world_sleep(SECONDS(200));
	send_between(A, B); /* it dropped a key too early that the other node still uses */
	world_settle();
	assert_int_equal(came(B, 2), 0);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 1);
}

ROTATION_SILENT_TEST(pairs_are_all_given_back)
{
	const struct tunnel_state *a = tunnel_of(A)->state;

	assert_int_equal(a->pair_count, 1);
	(void)arm_next(A);
	assert_int_equal(a->pair_count, 2);
	step_arm(B);
	assert_int_equal(a->pair_count, 4);
	promote(A);
	step_promote(B);
	assert_int_equal(a->pair_count, 4);
	step_arm(B);
	(void)arm_next(A);
	assert_int_equal(a->pair_count, 9);
	clear(A, KEY_NEXT, false);
	clear(A, KEY_PREVIOUS, false);
	records[B].has_key[KEY_NEXT] = records[B].has_key[KEY_PREVIOUS] = false;
	publish(B);
	assert_int_equal(a->pair_count, 1);
	tunnel_remove_peer(tunnel_of(A), slots[A][B]);
	assert_int_equal(a->pair_count, 0);
	assert_int_equal(a->peer_key_count, 0);
}

ROTATION_SILENT_TEST(keys_beyond_the_room_for_pairs_are_refused)
{
	struct tunnel *a = tunnel_of(A);
	struct peer_keys keys = {.has_key = {true, true, false}};
	uint32_t slot = 0;

	while (a->state->peer_count < PEERS_MAX) {
		world_fill_random(NULL, keys.keys, sizeof(keys.keys));
		assert_int_equal(tunnel_add_peer(a, &keys.keys[KEY_CURRENT], &slot), 0);
		if (a->state->peer_key_count < PAIRS_MAX / 2 - (PEERS_MAX - a->state->peer_count))
			tunnel_change_peer_keys(a, slot, &keys, TRY_WITHIN_NS);
	}
	assert_true(tunnel_has_room_for_identity(a, KEY_NEXT));
	(void)arm_next(A);
	assert_int_equal(pair_room(a->state), 0);
	assert_false(tunnel_has_room_for_identity(a, KEY_PREVIOUS));
	world_fill_random(NULL, &keys.keys[KEY_NEXT], KEY_LEN);
	assert_int_equal(tunnel_check_peer_keys(a, slot, &keys), -ENOSPC);
	clear(A, KEY_NEXT, false);
	assert_int_equal(tunnel_check_peer_keys(a, slot, &keys), 0);
}
