// SPDX-License-Identifier: Apache-2.0
/* The peers: found, added, changed, followed and removed without a trace. */
#include "world.h"

static struct public_key random_key(void)
{
	struct public_key key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	return key;
}

static int check_peer_key(uint32_t slot, const struct public_key *key)
{
	const struct peer_keys keys = {.has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = *key};

	return tunnel_check_peer_keys(tunnel_of_a(), slot, &keys);
}

static void set_preshared(unsigned int node, const struct preshared_key *preshared)
{
	tunnel_set_preshared(&world->nodes[node].tunnel, world->nodes[node].peer, KEY_CURRENT,
			     KEY_CURRENT, preshared);
}

SILENT_TEST(peers_are_found_by_key_and_id_as_long_as_they_exist)
{
	static struct public_key keys[3000];
	static uint32_t slots[3000];
	struct tunnel *tunnel = tunnel_of_a();

	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		keys[i] = random_key();
		assert_int_equal(peer_find(tunnel, &keys[i]), NO_PEER);
		assert_int_equal(tunnel_add_peer(tunnel, &keys[i], &slots[i]), 0);
		tunnel->state->peers[slots[i]].id = 100 + i;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i += 3)
		tunnel_remove_peer(tunnel, slots[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		uint32_t expected = i % 3 ? slots[i] : NO_PEER;

		assert_int_equal(peer_find(tunnel, &keys[i]), expected);
		assert_int_equal(peer_find_by_id(tunnel, 100 + i), expected);
	}
	assert_int_equal(tunnel->state->peer_count, 1 + 2000);
}

SILENT_TEST(slots_of_removed_peers_are_used_again)
{
	struct tunnel *tunnel = tunnel_of_a();
	uint32_t end = tunnel->state->peers_used_end, slot;

	for (unsigned int i = 0; i < 10000; i++) {
		struct public_key key = random_key();

		assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), 0);
		tunnel_remove_peer(tunnel, slot);
	}
	assert_int_equal(tunnel->state->peers_used_end, end + 1);
}

SILENT_TEST(pool_that_is_full_refuses_and_takes_again_after_a_removal)
{
	struct tunnel *tunnel = tunnel_of_a();
	struct public_key key;
	uint32_t slot = 12345, removed = 77;

	while (tunnel->state->peer_count < PEERS_MAX) {
		key = random_key();
		memset(key.bytes, 0, 24); /* low order or not: no product is computed twice here */
		assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), 0);
	}
	slot = 12345;
	key = random_key();
	assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), -ENOSPC);
	assert_int_equal(slot, 12345);
	tunnel_remove_peer(tunnel, removed);
	assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), 0);
	assert_int_equal(slot, removed);
}

SILENT_TEST(key_that_a_peer_has_is_refused)
{
	uint32_t slot = 12345;

	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &world->nodes[B].public_key, &slot),
			 -EEXIST);
	assert_int_equal(slot, 12345);
}

SILENT_TEST(own_key_is_no_peers)
{
	struct public_key key = random_key();
	uint32_t slot;

	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &world->nodes[A].public_key, &slot),
			 -EADDRNOTAVAIL);
	assert_int_equal(tunnel_add_peer(tunnel_of_a(), &key, &slot), 0);
	assert_int_equal(check_peer_key(slot, &world->nodes[A].public_key), -EADDRNOTAVAIL);
	assert_int_equal(check_peer_key(slot, &world->nodes[B].public_key), -EEXIST);
	assert_int_equal(peer_find(tunnel_of_a(), &key), slot);
}

TALKING_TEST(peer_with_the_key_that_becomes_ours_is_removed)
{
	tunnel_set_private_key(tunnel_of_a(), KEY_CURRENT, &world->nodes[B].private_key);
	assert_int_equal(peer_find(tunnel_of_a(), &world->nodes[B].public_key), NO_PEER);
	assert_int_equal(tunnel_of_a()->state->peer_count, 0);
}

/* RFC 7748 section 6.1 and the list of points of small order that every implementation refuses. */
static const uint8_t low_order_points[][KEY_LEN] = {
	{0},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
	 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
	 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

SILENT_TEST(peers_with_low_order_keys_are_taken_and_never_cause_a_packet)
{
	struct tunnel *tunnel = tunnel_of_a();

	for (unsigned int i = 0; i < ARRAY_SIZE(low_order_points); i++) {
		struct public_key key;
		uint32_t slot;

		memcpy(key.bytes, low_order_points[i], KEY_LEN);
		assert_int_equal(tunnel_add_peer(tunnel, &key, &slot), 0);
		tunnel_set_endpoint(tunnel, slot, &world->nodes[B].address);
		tunnel_set_keepalive(tunnel, slot, 1);
		allow(tunnel, slot, "10.0.1.0/24");
		send_inner(A, 4, 100, i);
	}
	tunnel_interface_up(tunnel);
	world_sleep(60 * NS_PER_S);
	assert_int_equal(world->nodes[A].transmits, 0);
	assert_int_equal(drops(A, DROP_NO_KEY), ARRAY_SIZE(low_order_points));
	assert_int_equal(world->nodes[A].injected, ARRAY_SIZE(low_order_points));
}

TALKING_TEST(peer_that_is_removed_leaves_no_secret_behind)
{
	struct tunnel_state *tunnel_state = tunnel_of_a()->state;
	struct preshared_key preshared;
	struct session_keys keys;
	uint8_t shared[KEY_LEN];
	uint32_t slot = world->nodes[A].peer, index = current_of(A)->local_index;

	world_fill_random(NULL, preshared.bytes, KEY_LEN);
	tunnel_set_preshared(tunnel_of_a(), slot, KEY_CURRENT, KEY_CURRENT, &preshared);
	memcpy(shared, pair_of(A)->static_static, KEY_LEN);
	keys = tunnel_state->secrets.session_keys[peer_of(A)->current];
	assert_true(state_holds(A, preshared.bytes, KEY_LEN));
	assert_true(state_holds(A, shared, KEY_LEN));
	assert_true(state_holds(A, keys.receive, KEY_LEN));
	tunnel_remove_peer(tunnel_of_a(), slot);
	assert_false(state_holds(A, preshared.bytes, KEY_LEN));
	assert_false(state_holds(A, shared, KEY_LEN));
	assert_false(state_holds(A, keys.send, KEY_LEN));
	assert_false(state_holds(A, keys.receive, KEY_LEN));
	assert_null(index_find(tunnel_state, index));
	assert_int_equal(tunnel_next_deadline(tunnel_of_a()), UINT64_MAX);
	assert_int_equal(tunnel_state->allowedips.count, 0);
}

SILENT_TEST(peer_that_is_removed_takes_its_handshake_and_its_staged_packets_along)
{
	uint32_t index;

	send_inner(A, 4, 100, 1);
	send_inner(A, 4, 100, 2);
	index = handshake_of(A)->handshake_index;
	assert_non_null(index_find(tunnel_of_a()->state, index));
	tunnel_remove_peer(tunnel_of_a(), world->nodes[A].peer);
	assert_null(index_find(tunnel_of_a()->state, index));
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 2);
	world_settle(); /* B answers what A no longer knows */
	assert_int_equal(drops(A, DROP_UNKNOWN_INDEX), 1);
	send_inner(A, 4, 100, 3);
	assert_int_equal(drops(A, DROP_NO_ALLOWED_IP), 1);
}

TALKING_TEST(endpoint_follows_a_free_peer_anywhere)
{
	world->nodes[A].address = endpoint_from("203.0.113.7", 9999);
	ping(A, 1);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &world->nodes[A].address));
	ping(B, 1);
	assert_int_equal(came(A, 1), 1);
	world->nodes[A].address = endpoint_from("2001:db8::7", 9998);
	ping(A, 2);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &world->nodes[A].address));
	ping(B, 2);
	assert_int_equal(came(A, 2), 1);
}

TALKING_TEST(endpoint_of_a_managed_peer_is_always_a_published_one)
{
	union endpoint published = world->nodes[A].address;

	peer_of(B)->is_managed = true;
	peer_of(B)->published[0] = published;
	peer_of(B)->published[1] = endpoint_from("fd00::1", 51890);
	peer_of(B)->published_count = 2;
	world->nodes[A].address = endpoint_from("203.0.113.7", 51890);
	ping(A, 1);
	assert_int_equal(came(B, 1), 1); /* authentic all the same */
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &published));
	world->nodes[A].address = endpoint_from("fd00::1", 4000);
	ping(A, 2);
	assert_true(endpoint_is_equal(&peer_of(B)->endpoint, &world->nodes[A].address));
}

SILENT_TEST(preshared_keys_that_differ_make_no_session)
{
	struct preshared_key preshared;

	world_fill_random(NULL, preshared.bytes, KEY_LEN);
	set_preshared(A, &preshared);
	ping(A, 1);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 1);
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	set_preshared(B, &preshared);
	world_sleep(6 * NS_PER_S);
	assert_int_equal(came(B, 1), 1);
}
