// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's requests about keys (include/tunnel_control.h): our own in their three slots, each peer's,
 * and the preshared keys between every two of them. No key belongs to two nodes or two slots, and a
 * refused request changes nothing.
 */
#include "keyd_requests.h"

/* -- our own -- */

TUNNEL_TEST(identity_makes_the_device_managed_and_persistent_once)
{
	assert_int_equal(set_identity(9), 0);
	assert_true(tunnel.state->is_managed);
	assert_int_equal(set_identity(9), 0);
	assert_int_equal(set_identity(10), 0);
	assert_int_equal(device_log.persists, 1);
}

TUNNEL_TEST(identity_given_twice_disturbs_no_handshake)
{
	struct fingerprint before;

	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	tunnel.state->secrets.pairs[0].state = HANDSHAKE_INITIATION_SENT;
	before = take_fingerprint();
	assert_int_equal(set_identity(9), 0);
	assert_unchanged(&before);
	assert_int_equal(set_identity(10), 0);
	assert_int_equal(tunnel.state->secrets.pairs[0].state, HANDSHAKE_NONE);
}

TUNNEL_TEST(identity_keeps_its_slot_uid_and_epoch)
{
	struct control_identity identity = identity_number(9);

	identity.slot = KEY_NEXT;
	assert_int_equal(ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity)), 0);
	assert_true(tunnel.state->secrets.identities[KEY_NEXT].is_set);
	assert_false(tunnel.state->secrets.identities[KEY_CURRENT].is_set);
	assert_string_equal(tunnel.state->uid, "6e1c");
	assert_int_equal(tunnel.state->epoch, 1795348800000);
}

TUNNEL_TEST(identity_with_bad_slot_uid_or_key_is_refused)
{
	struct fingerprint before = take_fingerprint();
	struct control_identity identity = identity_number(9);

	identity.slot = KEY_SLOTS;
	assert_int_equal(ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity)), -EINVAL);
	identity = identity_number(9);
	identity.uid[0] = '\0';
	assert_int_equal(ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity)), -EINVAL);
	identity = identity_number(9);
	memset(identity.uid, 'x', sizeof(identity.uid));
	assert_int_equal(ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity)), -EINVAL);
	assert_int_equal(set_identity(0), -EINVAL);
	assert_unchanged(&before);
	assert_int_equal(device_log.persists, 0);
}

static int set_identity_in(enum key_slot slot, uint8_t number)
{
	struct control_identity identity = identity_number(number);

	identity.slot = slot;
	return ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity));
}

static struct control_hello say_hello(void)
{
	struct control_hello hello;

	assert_int_equal(ask(CONTROL_HELLO, NULL, 0), 0);
	memcpy(&hello, answer_body(), sizeof(hello));
	return hello;
}

static int clear_identity(uint32_t slot, uint64_t epoch)
{
	struct control_clear clear = {.slot = slot, .epoch = epoch};

	return ask(CONTROL_CLEAR_IDENTITY, &clear, sizeof(clear));
}

TUNNEL_TEST(promotion_moves_each_key_by_one_slot)
{
	struct control_epoch epoch = {1795348800001};
	struct control_hello before, after;

	assert_int_equal(set_identity(9), 0);
	assert_int_equal(set_identity_in(KEY_NEXT, 10), 0);
	before = say_hello();
	assert_true(before.has_key[KEY_NEXT] && !before.has_key[KEY_PREVIOUS]);
	assert_int_equal(ask(CONTROL_PROMOTE_IDENTITY, &epoch, sizeof(epoch)), 0);
	after = say_hello();
	assert_false(after.has_key[KEY_NEXT]);
	assert_memory_equal(&after.keys[KEY_CURRENT], &before.keys[KEY_NEXT], KEY_LEN);
	assert_memory_equal(&after.keys[KEY_PREVIOUS], &before.keys[KEY_CURRENT], KEY_LEN);
	assert_int_equal(after.epoch, epoch.epoch);
	epoch.epoch++;
	assert_int_equal(ask(CONTROL_PROMOTE_IDENTITY, &epoch, sizeof(epoch)), -ENOENT);
	before = say_hello();
	assert_memory_equal(&before, &after, sizeof(after));
}

TUNNEL_TEST(next_and_previous_may_be_cleared_and_current_may_not)
{
	struct fingerprint before;

	assert_int_equal(set_identity(9), 0);
	assert_int_equal(set_identity_in(KEY_NEXT, 10), 0);
	assert_int_equal(set_identity_in(KEY_PREVIOUS, 11), 0);
	before = take_fingerprint();
	assert_int_equal(clear_identity(KEY_CURRENT, 5), -EINVAL);
	assert_int_equal(clear_identity(KEY_SLOTS, 5), -EINVAL);
	assert_unchanged(&before);
	assert_int_equal(clear_identity(KEY_NEXT, 5), 0);
	assert_int_equal(clear_identity(KEY_PREVIOUS, 6), 0);
	assert_int_equal(clear_identity(KEY_PREVIOUS, 7), 0);
	assert_true(say_hello().has_key[KEY_CURRENT]);
	assert_false(say_hello().has_key[KEY_NEXT] || say_hello().has_key[KEY_PREVIOUS]);
	assert_int_equal(say_hello().epoch, 7);
}

TUNNEL_TEST(identity_that_another_slot_has_is_refused)
{
	struct fingerprint before;

	assert_int_equal(set_identity(9), 0);
	before = take_fingerprint();
	assert_int_equal(set_identity_in(KEY_NEXT, 9), -EEXIST);
	assert_unchanged(&before);
}

TUNNEL_TEST(taking_over_removes_the_peers_of_wg)
{
	struct public_key key = key_number(0x77);
	struct cidr cidr;
	uint32_t slot;

	assert_int_equal(tunnel_add_peer(&tunnel, &key, &slot), 0);
	assert_true(cidr_parse(&cidr, "0.0.0.0/0"));
	assert_int_equal(allowedips_insert(&tunnel.state->allowedips,
					   tunnel.state->allowedips_heads, &cidr, slot),
			 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(set_identity(9), 0);
	assert_int_equal(peer_find(&tunnel, &key), NO_PEER);
	assert_int_equal(find_address("203.0.113.1"), NO_PEER);
	assert_int_not_equal(find_address("10.244.2.1"), NO_PEER);
}

/* -- a peer's -- */

TUNNEL_TEST(low_order_and_own_keys_are_refused_in_every_slot)
{
	static const struct public_key zero, one = {{1}};
	struct public_key order8 = {{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
				     0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
				     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
				     0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}};
	const struct public_key *bad[] = {
		&zero, &one, &order8, &tunnel.state->secrets.identities[KEY_CURRENT].public_key};

	assert_int_equal(set_identity(9), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
			draft_peer(2);
			packet.fixed.has_key[slot] = true;
			packet.fixed.keys[slot] = *bad[i];
			assert_refused(-EADDRNOTAVAIL);
		}
}

TUNNEL_TEST(key_of_another_peer_is_refused)
{
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	draft_peer(2);
	packet.fixed.keys[KEY_CURRENT] = key_number(0x41);
	assert_refused(-EADDRINUSE);
	draft_peer(2);
	assert_int_equal(set_peer(), 0);
	draft_peer(2);
	packet.fixed.keys[KEY_CURRENT] = key_number(0x41);
	assert_refused(-EADDRINUSE);
}

TUNNEL_TEST(other_keys_of_a_peer_may_be_given)
{
	draft_peer(1);
	packet.fixed.has_key[KEY_NEXT] = true;
	packet.fixed.keys[KEY_NEXT] = key_number(0x66);
	assert_int_equal(set_peer(), 0);
}

TUNNEL_TEST(new_key_takes_the_place_of_the_old)
{
	struct public_key old_key = key_number(0x41), new_key = key_number(0x66);
	uint32_t slot;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = peer_find(&tunnel, &old_key);
	packet.fixed.keys[KEY_CURRENT] = new_key;
	assert_int_equal(set_peer(), 0);
	assert_int_equal(peer_find(&tunnel, &old_key), NO_PEER);
	assert_int_equal(peer_find(&tunnel, &new_key), slot);
	assert_int_equal(find_address("10.244.2.1"), slot);
	assert_int_equal(tunnel.state->peer_count, 1);
}

static void draft_rotating_peer(uint32_t id)
{
	draft_peer(id);
	packet.fixed.has_key[KEY_NEXT] = packet.fixed.has_key[KEY_PREVIOUS] = true;
	packet.fixed.keys[KEY_NEXT] = key_number((uint8_t)(0x60 + id));
	packet.fixed.keys[KEY_PREVIOUS] = key_number((uint8_t)(0x70 + id));
	packet.fixed.try_next_within_s = 300;
	for (uint8_t pair = 0; pair < 9; pair++)
		memset(packet.fixed.preshared[pair / 3][pair % 3].bytes, 1 + pair, KEY_LEN);
}

TUNNEL_TEST(peer_is_known_by_all_its_keys_and_no_other_peer_may_have_one)
{
	struct fingerprint before;
	struct public_key next;

	assert_int_equal(set_identity(9), 0);
	draft_rotating_peer(1);
	assert_int_equal(set_peer(), 0);
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++)
		assert_int_equal(peer_find(&tunnel, &packet.fixed.keys[slot]), 0);
	before = take_fingerprint();
	assert_int_equal(set_peer(), 0);
	assert_unchanged(&before);
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++) {
		draft_peer(2);
		packet.fixed.has_key[KEY_PREVIOUS] = true;
		packet.fixed.keys[KEY_PREVIOUS] = key_number((uint8_t[]){0x61, 0x41, 0x71}[slot]);
		assert_refused(-EADDRINUSE);
	}
	draft_peer(1);
	assert_int_equal(set_peer(), 0); /* the rotation is over */
	next = key_number(0x61);
	assert_int_equal(peer_find(&tunnel, &next), NO_PEER);
}

TUNNEL_TEST(key_in_two_slots_is_refused)
{
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++) {
		draft_rotating_peer(1);
		packet.fixed.keys[slot] = packet.fixed.keys[(slot + 1) % KEY_SLOTS];
		assert_refused(-EINVAL);
	}
}

/* -- preshared ones -- */

static uint8_t preshared_between(enum key_slot own, enum key_slot remote)
{
	return tunnel.state->secrets.pairs[peer_of(1)->pairs[own][remote]].preshared.bytes[0];
}

TUNNEL_TEST(preshared_keys_lie_between_two_statics_and_move_with_them)
{
	struct control_epoch epoch = {1795348800001};

	assert_int_equal(set_identity(9), 0);
	draft_rotating_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(set_identity_in(KEY_NEXT, 10), 0);
	/* not said yet, and so none that could be right */
	assert_int_equal(preshared_between(KEY_NEXT, KEY_CURRENT), 1 + 4);
	assert_int_equal(set_peer(), 0);
	for (uint8_t pair = 0; pair < 6; pair++)
		assert_int_equal(preshared_between(pair / 3, pair % 3), 1 + pair);
	assert_int_equal(peer_of(1)->pairs[KEY_PREVIOUS][KEY_CURRENT], NO_PAIR);
	assert_int_equal(ask(CONTROL_PROMOTE_IDENTITY, &epoch, sizeof(epoch)), 0);
	for (uint8_t pair = 0; pair < 6; pair++)
		assert_int_equal(preshared_between(1 + pair / 3, pair % 3), 1 + pair);
}

TUNNEL_TEST(alternates_lie_beside_the_preshared_keys_and_go_when_they_are_not_said)
{
	struct control_epoch epoch = {1795348800001};
	const struct noise_pair *noise;

	assert_int_equal(set_identity(9), 0);
	assert_int_equal(set_identity_in(KEY_NEXT, 10), 0);
	draft_rotating_peer(1);
	packet.fixed.has_alternate = true;
	for (uint8_t pair = 0; pair < 9; pair++)
		memset(packet.fixed.alternate[pair / 3][pair % 3].bytes, 101 + pair, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_PROMOTE_IDENTITY, &epoch, sizeof(epoch)), 0);
	for (uint8_t pair = 0; pair < 6; pair++) {
		noise = &tunnel.state->secrets.pairs[peer_of(1)->pairs[1 + pair / 3][pair % 3]];
		assert_true(noise->has_alternate);
		assert_int_equal(noise->alternate.bytes[KEY_LEN - 1], 101 + pair);
	}
	/* a new own key has no preshared key before keyd sets one */
	assert_int_equal(set_identity_in(KEY_NEXT, 11), 0);
	noise = &tunnel.state->secrets.pairs[peer_of(1)->pairs[KEY_NEXT][KEY_CURRENT]];
	assert_false(noise->has_alternate);
	packet.fixed.has_alternate = false;
	assert_int_equal(set_peer(), 0);
	noise = &tunnel.state->secrets.pairs[peer_of(1)->pairs[KEY_CURRENT][KEY_CURRENT]];
	assert_false(noise->has_alternate);
	assert_true(sodium_is_zero(noise->alternate.bytes, KEY_LEN));
}

TUNNEL_TEST(preshared_key_can_be_removed)
{
	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	memset(packet.fixed.preshared, 0, sizeof(packet.fixed.preshared));
	assert_int_equal(set_peer(), 0);
	assert_true(sodium_is_zero(tunnel.state->secrets.pairs[0].preshared.bytes, KEY_LEN));
}
