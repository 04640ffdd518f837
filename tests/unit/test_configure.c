// SPDX-License-Identifier: Apache-2.0
/* Changes from outside: our own key, the interface, a peer's keys and its endpoint. */
#include "world.h"

#define SECONDS(n) ((n)*NS_PER_S)

static struct public_key random_key(void)
{
	struct public_key key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	return key;
}

/* -- our own key -- */

TALKING_TEST(own_key_that_changes_ends_sending_under_the_old_one_at_once)
{
	struct session *session = current_of(A);
	uint64_t counter = session->send_counter;

	make_key(&world->nodes[A]);
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, &world->nodes[A].private_key);
	send_inner(A, 4, 100, 1);
	tunnel_flush(&world->nodes[A].tunnel);
	assert_int_equal(session->send_counter, counter);
	assert_int_equal(peer_of(A)->stage_count, 1);
	world_settle();
	assert_int_equal(drops(B, DROP_UNKNOWN_PEER), 1);
	change_peer_key(&world->nodes[B].tunnel, world->nodes[B].peer, &world->nodes[A].public_key);
	world_settle(); /* B had a session with the old key, so it speaks first */
	assert_int_equal(came(B, 1), 1);
}

/* A spoke under the old one a moment ago. */
TALKING_TEST(own_key_that_changes_begins_a_handshake_without_waiting)
{
	for (unsigned int round = 0; round < 10; round++) {
		make_key(&world->nodes[A]);
		change_peer_key(&world->nodes[B].tunnel, world->nodes[B].peer,
				&world->nodes[A].public_key);
		clear_wire();
		tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT,
				       &world->nodes[A].private_key);
		ping(A, round);
		assert_int_equal(came(B, round), 1);
	}
}

TALKING_TEST(own_key_given_again_changes_nothing)
{
	uint32_t session = peer_of(A)->current;

	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, &world->nodes[A].private_key);
	assert_int_equal(peer_of(A)->current, session);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1);
}

SILENT_TEST(own_key_that_comes_late_starts_persistent_keepalives)
{
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, NULL);
	tunnel_set_keepalive(&world->nodes[A].tunnel, world->nodes[A].peer, 25);
	world_settle();
	assert_int_equal(world->nodes[A].transmits, 0);
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, &world->nodes[A].private_key);
	world_settle();
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
	assert_int_not_equal(peer_of(B)->current, NO_SESSION);
}

SILENT_TEST(own_key_leaves_memory_when_it_is_cleared)
{
	assert_true(state_holds(A, world->nodes[A].private_key.bytes, KEY_LEN));
	tunnel_set_private_key(&world->nodes[A].tunnel, KEY_CURRENT, NULL);
	assert_false(state_holds(A, world->nodes[A].private_key.bytes, KEY_LEN));
}

/* -- the interface -- */

TALKING_TEST(interface_that_goes_down_leaves_no_session_behind)
{
	struct session_keys keys =
		world->nodes[A].tunnel.state->secrets.session_keys[peer_of(A)->current];

	world_sleep(SECONDS(120));
	world->latency_ns = SECONDS(1);
	ping(A, 1); /* and a handshake, which is under way */
	session_retire_all(&world->nodes[A].tunnel, world->nodes[A].peer);
	send_inner(A, 4, 100, 2);
	assert_int_equal(peer_of(A)->stage_count, 1);
	assert_int_equal(pair_of(A)->state, HANDSHAKE_INITIATION_SENT);
	tunnel_interface_down(&world->nodes[A].tunnel);
	assert_false(state_holds(A, keys.send, KEY_LEN));
	assert_false(state_holds(A, keys.receive, KEY_LEN));
	assert_true(sodium_is_zero(pair_of(A)->ephemeral_private, KEY_LEN));
	assert_int_equal(pair_of(A)->state, HANDSHAKE_NONE);
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 1);
	assert_int_equal(tunnel_next_deadline(&world->nodes[A].tunnel), UINT64_MAX);
	world_sleep(SECONDS(3));
	tunnel_interface_up(&world->nodes[A].tunnel);
	ping(A, 3); /* within five seconds of the last initiation */
	world_sleep(SECONDS(4));
	assert_int_equal(came(B, 3), 1);
	assert_int_equal(came(B, 2), 0);
}

/* -- a peer's keys and endpoint -- */

TALKING_TEST(changed_key_ends_the_sessions_of_the_old_one)
{
	struct session_keys keys = tunnel_of_a()->state->secrets.session_keys[peer_of(A)->current];
	struct public_key key = random_key();

	change_peer_key(tunnel_of_a(), world->nodes[A].peer, &key);
	assert_false(state_holds(A, keys.send, KEY_LEN));
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	assert_int_equal(peer_find(tunnel_of_a(), &key), world->nodes[A].peer);
	assert_int_equal(peer_find(tunnel_of_a(), &world->nodes[B].public_key), NO_PEER);
	world_settle();
	assert_int_equal(drops(B, DROP_BAD_MAC1), 1); /* a handshake at once, for the new key */
}

TALKING_TEST(key_that_stays_changes_nothing)
{
	uint32_t session = peer_of(A)->current;

	change_peer_key(tunnel_of_a(), world->nodes[A].peer, &world->nodes[B].public_key);
	assert_int_equal(peer_of(A)->current, session);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1);
}

TALKING_TEST(endpoint_set_again_keeps_the_source_and_a_new_one_clears_it)
{
	union endpoint same = peer_of(A)->endpoint, other = endpoint_from("192.0.2.77", 1);

	assert_int_equal(peer_of(A)->source.address.family, AF_INET);
	tunnel_set_endpoint(tunnel_of_a(), world->nodes[A].peer, &same);
	assert_int_equal(peer_of(A)->source.address.family, AF_INET);
	tunnel_set_endpoint(tunnel_of_a(), world->nodes[A].peer, &other);
	assert_int_equal(peer_of(A)->source.address.family, 0);
}

SILENT_TEST(endpoint_that_comes_late_starts_the_keepalives)
{
	struct public_key key;
	struct private_key private_key;
	uint32_t slot;

	world_fill_random(NULL, private_key.bytes, KEY_LEN);
	crypto_make_pair(private_key.bytes, key.bytes);
	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &key, &slot), 0);
	tunnel_set_keepalive(tunnel_of_a(), slot, 5);
	world_settle();
	assert_int_equal(world->nodes[A].transmits, 0);
	tunnel_set_endpoint(tunnel_of_a(), slot, &world->nodes[B].address);
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 1);
}

/* -- a peer's next key -- */

static void give_next_key(uint64_t try_within_ns)
{
	struct peer_keys keys = {.has_key = {[KEY_NEXT] = true, [KEY_CURRENT] = true}};

	keys.keys[KEY_NEXT] = random_key();
	keys.keys[KEY_CURRENT] = world->nodes[B].public_key;
	assert_int_equal(tunnel_check_peer_keys(tunnel_of_a(), world->nodes[A].peer, &keys), 0);
	tunnel_change_peer_keys(tunnel_of_a(), world->nodes[A].peer, &keys, try_within_ns);
}

TALKING_TEST(next_key_of_a_live_peer_is_tried_at_once)
{
	unsigned int initiations;

	ping(B, 1);
	initiations = world->nodes[A].sent[MESSAGE_INITIATION];
	world_sleep(SECONDS(5));
	give_next_key(SECONDS(300));
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations + 1);
	assert_int_equal(drops(B, DROP_BAD_MAC1), 1); /* B has no such key */
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
}

SILENT_TEST(next_key_of_an_idle_peer_is_tried_within_the_given_time)
{
	give_next_key(SECONDS(300));
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 0);
	assert_in_range(peer_of(A)->timers.deadline_ns[TIMER_TRY_NEXT_KEY], world->now_ns,
			world->now_ns + SECONDS(300));
	world_sleep(SECONDS(300));
	assert_int_not_equal(world->nodes[A].sent[MESSAGE_INITIATION], 0);
}
