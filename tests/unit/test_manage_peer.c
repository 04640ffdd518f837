// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's requests about peers (include/tunnel_control.h): the effect of each part of a peer; a
 * repeated request changes nothing, and a refused one leaves the tunnel unchanged, down to the
 * byte. A peer's keys are in test_manage_keys.c.
 */
#include "keyd_requests.h"

/* -- what it was given -- */

TUNNEL_TEST(peer_gets_all_it_was_given)
{
	struct public_key key = key_number(0x41);
	const struct peer *peer;

	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	peer = peer_of(1);
	assert_true(peer->is_managed);
	assert_int_equal(peer_find(&tunnel, &key), peer - tunnel.state->peers);
	assert_int_equal(find_address("10.244.2.1"), peer - tunnel.state->peers);
	assert_int_equal(find_address("fd00:10:244:2::1"), peer - tunnel.state->peers);
	assert_int_equal(find_address("10.244.3.1"), NO_PEER);
	assert_int_equal(peer->published_count, 2);
	assert_true(peer->has_endpoint && endpoint_is_equal(&peer->endpoint, &packet.endpoints[0]));
	assert_memory_equal(
		&tunnel.state->secrets.pairs[peer->pairs[KEY_CURRENT][KEY_CURRENT]].preshared,
		&packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT], KEY_LEN);
}

TUNNEL_TEST(same_peer_twice_changes_nothing)
{
	struct fingerprint before;

	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	tunnel.state->secrets.pairs[0].state = HANDSHAKE_INITIATION_SENT;
	before = take_fingerprint();
	assert_int_equal(set_peer(), 0);
	assert_unchanged(&before);
}

TUNNEL_TEST(invalid_peer_is_refused_and_changes_nothing)
{
	static const char *const endpoints[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255",
						"::",	   "ff02::1",	"::ffff:192.0.2.1"};

	draft_peer(1);
	assert_int_equal(set_peer(), 0);

	draft_peer(0);
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.fixed.uid[0] = '\0';
	assert_refused(-EINVAL);
	memset(packet.fixed.uid, 'x', sizeof(packet.fixed.uid));
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.fixed.has_key[KEY_CURRENT] = false;
	packet.fixed.has_key[KEY_NEXT] = true;
	packet.fixed.keys[KEY_NEXT] = key_number(0x66);
	assert_refused(-EINVAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(endpoints); i++) {
		draft_peer(2);
		add_endpoint(endpoints[i], 51890);
		assert_refused(-EINVAL);
	}
	draft_peer(2);
	packet.endpoints[1].in6.sin6_port = 0;
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.endpoints[0].any.sa_family = AF_UNIX;
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.cidrs[0].prefix_len = 33;
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.cidrs[1].prefix_len = 129;
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.cidrs[1].address.bytes[15] = 1;
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.cidrs[0].address.bytes[4] = 1; /* no such byte in an IPv4 address */
	assert_refused(-EINVAL);
	draft_peer(2);
	packet.cidrs[0].address.family = 0;
	assert_refused(-EINVAL);
	draft_peer(2);
	while (packet.fixed.endpoint_count <= CONTROL_ENDPOINTS_MAX)
		add_endpoint("192.0.2.1", 1);
	assert_refused(-EINVAL);
	draft_peer(2);
	while (packet.fixed.cidr_count <= CONTROL_CIDRS_MAX)
		add_cidr("192.0.2.1/32");
	assert_refused(-EINVAL);
}

TUNNEL_TEST(peer_is_never_taken_back_to_an_older_record)
{
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	packet.fixed.epoch++;
	assert_int_equal(set_peer(), 0);
	assert_string_equal(peer_of(1)->uid, "7f2d");
	assert_int_equal(peer_of(1)->epoch, 1795348800001);

	draft_peer(1);
	assert_refused(-ESTALE);
	packet.fixed.keys[KEY_CURRENT] = key_number(0x66);
	add_cidr("10.244.3.0/24");
	assert_refused(-ESTALE);
	packet.fixed.epoch = 0;
	assert_refused(-ESTALE);
}

TUNNEL_TEST(peer_of_another_uid_may_have_any_epoch)
{
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	copy_text(packet.fixed.uid, sizeof(packet.fixed.uid), "7f2");
	packet.fixed.epoch = 1;
	assert_int_equal(set_peer(), 0);
	assert_string_equal(peer_of(1)->uid, "7f2");
	assert_int_equal(peer_of(1)->epoch, 1);
	packet.fixed.epoch = 0;
	assert_refused(-ESTALE);
}

/* -- its prefixes and endpoints -- */

TUNNEL_TEST(allowed_ips_are_replaced_as_a_whole)
{
	uint32_t slot;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = (uint32_t)(peer_of(1) - tunnel.state->peers);
	packet.fixed.cidr_count = 1;
	add_cidr("10.244.9.0/24");
	assert_int_equal(set_peer(), 0);
	assert_int_equal(find_address("10.244.2.1"), slot);
	assert_int_equal(find_address("10.244.9.1"), slot);
	assert_int_equal(find_address("fd00:10:244:2::1"), NO_PEER);
	packet.fixed.cidr_count = 0;
	assert_int_equal(set_peer(), 0);
	assert_int_equal(tunnel.state->allowedips.count, 0);
}

TUNNEL_TEST(prefix_moves_to_the_peer_named_last)
{
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	draft_peer(2);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(find_address("10.244.2.1"), peer_of(2) - tunnel.state->peers);
	assert_int_equal(tunnel.state->allowedips.count, 2);
}

TUNNEL_TEST(peer_without_room_for_its_prefixes_is_refused)
{
	uint32_t slot;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = (uint32_t)(peer_of(1) - tunnel.state->peers);
	fill_allowed_ips(slot, 1);
	draft_peer(2);
	packet.fixed.cidr_count = 0;
	add_cidr("10.244.7.0/24");
	add_cidr("10.244.8.0/24");
	assert_refused(-ENOSPC);
	assert_int_equal(peer_find_by_id(&tunnel, 2), NO_PEER);
	packet.fixed.cidr_count = 1;
	add_cidr("10.244.2.0/24"); /* moves, needs no room */
	assert_int_equal(set_peer(), 0);
}

TUNNEL_TEST(endpoint_in_use_stays_while_it_is_published)
{
	struct peer *peer;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	peer = peer_of(1);
	peer->endpoint = packet.endpoints[1]; /* roamed */
	assert_int_equal(set_peer(), 0);
	assert_true(endpoint_is_equal(&peer->endpoint, &packet.endpoints[1]));

	peer->endpoint.in6.sin6_port = htons(1024); /* behind a NAT */
	assert_int_equal(set_peer(), 0);
	assert_int_equal(endpoint_port(&peer->endpoint), 1024);

	peer->endpoint = packet.endpoints[1];
	add_endpoint("192.168.50.3", 51890);
	assert_int_equal(set_peer(), 0);
	assert_true(endpoint_is_equal(&peer->endpoint, &packet.endpoints[1]));
	assert_int_equal(peer->published_count, 3);
}

TUNNEL_TEST(endpoint_no_longer_published_gives_way_to_the_best)
{
	struct peer *peer;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	peer = peer_of(1);
	packet.fixed.endpoint_count = 0;
	add_endpoint("192.168.50.9", 51890);
	assert_int_equal(set_peer(), 0);
	assert_true(endpoint_is_equal(&peer->endpoint, &packet.endpoints[0]));
	packet.fixed.endpoint_count = 0;
	assert_int_equal(set_peer(), 0);
	assert_false(peer->has_endpoint);
	assert_int_equal(peer->published_count, 0);
	add_endpoint("192.168.50.9", 51890);
	assert_int_equal(set_peer(), 0);
	assert_true(peer->has_endpoint);
}

/* -- removed, and tried -- */

TUNNEL_TEST(removed_peer_is_gone_and_is_not_found_again)
{
	struct control_peer_id id = {1}, none = {0};

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &id, sizeof(id)), 0);
	assert_int_equal(tunnel.state->peer_count, 0);
	assert_int_equal(find_address("10.244.2.1"), NO_PEER);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &id, sizeof(id)), -ENOENT);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &none, sizeof(none)), -ENOENT);
}

TUNNEL_TEST(peer_that_is_to_be_tried_gets_one_handshake)
{
	struct control_peer_id id = {1};
	uint32_t slot;

	assert_int_equal(set_identity(1), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = peer_find_by_id(&tunnel, 1);
	assert_false(peer_is_initiating(&tunnel, slot));
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	assert_true(peer_is_initiating(&tunnel, slot));
	assert_int_equal(tunnel.state->peers[slot].unanswered, 1);
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	assert_int_equal(tunnel.state->peers[slot].unanswered, 1);
}

TUNNEL_TEST(peer_without_an_endpoint_cannot_be_tried)
{
	struct control_peer_id id = {1}, stranger = {2}, none = {0};

	draft_peer(1);
	packet.fixed.endpoint_count = 0;
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), -EDESTADDRREQ);
	assert_int_equal(ask(CONTROL_TRY_PEER, &stranger, sizeof(stranger)), -ENOENT);
	assert_int_equal(ask(CONTROL_TRY_PEER, &none, sizeof(none)), -ENOENT);
}
