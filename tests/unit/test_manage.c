// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's requests, packet in, packet out (include/tunnel_control.h): the envelope, the device, and
 * the state that keyd reads. A refused request leaves the tunnel unchanged, down to the byte. Keys
 * are in test_manage_keys.c, peers in test_manage_peer.c, the addresses of peers in
 * test_manage_places.c.
 */
#include "keyd_requests.h"

/* -- the envelope -- */

TUNNEL_TEST(hello_reports_the_contents_of_the_tunnel)
{
	const struct control_hello *hello = answer_body();

	assert_int_equal(ask(CONTROL_HELLO, NULL, 0), 0);
	assert_int_equal(answer_len, sizeof(struct control_header) + sizeof(*hello));
	assert_false(hello->is_managed || hello->has_key[KEY_CURRENT] || hello->port ||
		     hello->peer_count);
	assert_string_equal(hello->interface, "podveil0");
	assert_int_equal(hello->ifindex, 5);
	assert_int_equal(hello->pid, 4321);

	tunnel.state->mtu = 1440;
	tunnel.state->port = 51890;
	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_HELLO, NULL, 0), 0);
	assert_true(hello->is_managed);
	assert_int_equal(hello->mtu, 1440);
	assert_int_equal(hello->port, 51890);
	assert_int_equal(hello->peer_count, 1);
	assert_string_equal(hello->uid, "6e1c");
	assert_int_equal(hello->epoch, 1795348800000);
	assert_true(hello->has_key[KEY_CURRENT]);
	assert_false(hello->has_key[KEY_NEXT] || hello->has_key[KEY_PREVIOUS]);
	assert_memory_equal(&hello->keys[KEY_CURRENT],
			    &tunnel.state->secrets.identities[KEY_CURRENT].public_key, KEY_LEN);
}

TUNNEL_TEST(answers_never_hold_the_private_key)
{
	uint8_t private_key[KEY_LEN];

	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	memcpy(private_key, tunnel.state->secrets.identities[KEY_CURRENT].private_key.bytes,
	       KEY_LEN);
	for (enum control_verb verb = CONTROL_HELLO; verb <= CONTROL_FORGET_PLACE; verb++) {
		static const struct control_peer_id none;

		memset(answer, 0, sizeof(answer));
		(void)ask(verb, &none, verb == CONTROL_LIST_PEERS ? sizeof(none) : 0);
		assert_null(memmem(answer, sizeof(answer), private_key, KEY_LEN));
	}
}

TUNNEL_TEST(unknown_version_and_verb_are_refused)
{
	struct control_header header = {.version = CONTROL_VERSION + 1, .verb = CONTROL_HELLO};

	memcpy(request, &header, sizeof(header));
	assert_int_equal(send_packet(sizeof(header)), -EPROTONOSUPPORT);
	assert_int_equal(ask(0, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(ask(CONTROL_FORGET_PLACE + 1, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(ask(65535, NULL, 0), -EOPNOTSUPP);
}

TUNNEL_TEST(wrong_length_is_refused_and_changes_nothing)
{
	static const size_t wanted[] = {
		[CONTROL_HELLO] = 0,
		[CONTROL_SET_IDENTITY] = sizeof(struct control_identity),
		[CONTROL_SET_DEVICE] = sizeof(struct control_device),
		[CONTROL_REMOVE_PEER] = sizeof(struct control_peer_id),
		[CONTROL_LIST_PEERS] = sizeof(struct control_peer_id),
		[CONTROL_READ_DROPS] = 0,
		[CONTROL_PROMOTE_IDENTITY] = sizeof(struct control_epoch),
		[CONTROL_CLEAR_IDENTITY] = sizeof(struct control_clear),
		[CONTROL_TRY_PEER] = sizeof(struct control_peer_id),
		[CONTROL_ASK_PEER] = sizeof(struct control_question),
		[CONTROL_FORGET_PLACE] = sizeof(struct control_place_of),
	};
	uint8_t body[256];
	struct fingerprint before;

	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	before = take_fingerprint();
	memset(body, 1, sizeof(body));
	for (unsigned int verb = CONTROL_HELLO; verb < ARRAY_SIZE(wanted); verb++)
		for (size_t len = 0; len < sizeof(body); len++)
			if (verb != CONTROL_SET_PEER && len != wanted[verb])
				assert_int_equal(ask(verb, body, len), -EINVAL);
	for (size_t len = 0; len < sizeof(struct control_header); len++)
		assert_int_equal(send_packet(len), -EINVAL);
	memset(request, 0, sizeof(request));
	assert_int_equal(send_packet(sizeof(request)), -EINVAL);
	assert_unchanged(&before);
}

TUNNEL_TEST(truncated_peer_is_refused_and_changes_nothing)
{
	uint8_t body[1024];
	struct fingerprint before = take_fingerprint();
	size_t whole;

	draft_peer(1);
	whole = encode_peer(body);
	for (size_t len = 0; len < whole + 20; len++)
		if (len != whole)
			assert_int_equal(ask(CONTROL_SET_PEER, body, len), -EINVAL);
	assert_unchanged(&before);
	assert_int_equal(ask(CONTROL_SET_PEER, body, whole), 0);
}

/* -- the device -- */

TUNNEL_TEST(device_is_opened_only_where_it_differs)
{
	struct control_device wanted = {.port = 51890, .fwmark = 3};

	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(device_log.opens, 1);
	assert_int_equal(device_log.port, 51890);
	assert_int_equal(device_log.fwmark, 3);
	wanted.fwmark = 4;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(device_log.opens, 2);
}

TUNNEL_TEST(port_zero_and_port_taken_are_refused)
{
	struct control_device wanted = {.port = 0};

	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), -EINVAL);
	assert_int_equal(device_log.opens, 0);
	wanted.port = 51820;
	device_log.error = -EADDRINUSE;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), -EADDRINUSE);
}

/* -- what keyd asks -- */

static void add_peers_in_odd_order(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = 1 + i * 11 % count; /* count is no multiple of 11: every id once */

		draft_peer(1);
		packet.fixed.id = id;
		put_be32(packet.fixed.keys[KEY_CURRENT].bytes, id);
		packet.fixed.endpoint_count = packet.fixed.cidr_count = 0;
		assert_int_equal(set_peer(), 0);
	}
}

TUNNEL_TEST(list_is_ascending_and_complete_page_by_page)
{
	const struct control_page *page = answer_body();
	struct control_peer_id after = {0};
	uint32_t pages = 0;

	add_peers_in_odd_order(2 * CONTROL_PAGE + 3);
	do {
		assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
		assert_int_equal(answer_len, sizeof(struct control_header) +
						     offsetof(struct control_page, peers) +
						     page->count * sizeof(page->peers[0]));
		for (uint32_t i = 0; i < page->count; i++)
			assert_int_equal(page->peers[i].id, ++after.id);
		pages++;
	} while (!page->is_last);
	assert_int_equal(after.id, 2 * CONTROL_PAGE + 3);
	assert_int_equal(pages, 3);
}

TUNNEL_TEST(list_of_exactly_one_page_is_the_last)
{
	const struct control_page *page = answer_body();
	struct control_peer_id after = {0};

	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_true(page->is_last && !page->count);
	add_peers_in_odd_order(CONTROL_PAGE);
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_true(page->is_last && page->count == CONTROL_PAGE);
}

TUNNEL_TEST(list_reports_the_state_of_each_peer)
{
	const struct control_page *page = answer_body();
	struct control_peer_status status;
	struct control_peer_id after = {0};
	struct peer *peer;

	draft_peer(7);
	assert_int_equal(set_peer(), 0);
	peer = peer_of(7);
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	status = page->peers[0];
	assert_string_equal(status.uid, "7f2d");
	assert_int_equal(status.epoch, 1795348800000);
	assert_false(status.has_session);
	assert_int_equal(status.last_handshake_wall_ns, 0);
	assert_true(status.last_received_age_ns == UINT64_MAX);
	assert_memory_equal(&status.key, &packet.fixed.keys[KEY_CURRENT], KEY_LEN);
	assert_true(status.has_endpoint &&
		    endpoint_is_equal(&status.endpoint, &packet.endpoints[0]));

	peer->current = 3;
	tunnel.state->sessions[3] =
		(struct session){.is_used = true, .birth_ns = tunnel.now_ns - NS_PER_S};
	peer->last_received_ns = tunnel.now_ns - 5 * NS_PER_S;
	peer->last_handshake_wall_ns = 77;
	peer->received_bytes = 10;
	peer->sent_bytes = 20;
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	status = page->peers[0];
	assert_true(status.has_session);
	assert_int_equal(status.last_received_age_ns, 5 * NS_PER_S);
	assert_int_equal(status.last_handshake_wall_ns, 77);
	assert_int_equal(status.received_bytes, 10);
	assert_int_equal(status.sent_bytes, 20);
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++)
		assert_false(status.has_proved[slot] || status.has_reached[slot]);
	peer->has_proved[KEY_NEXT] = peer->has_reached[KEY_PREVIOUS] = true;
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_memory_equal(page->peers[0].has_proved, ((uint8_t[]){1, 0, 0}), KEY_SLOTS);
	assert_memory_equal(page->peers[0].has_reached, ((uint8_t[]){0, 0, 1}), KEY_SLOTS);

	tunnel.now_ns += REJECT_AFTER_TIME_NS;
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_false(page->peers[0].has_session);
	peer->current = NO_SESSION;
}

TUNNEL_TEST(drops_are_reported_by_reason)
{
	const struct control_drops *drops = answer_body();

	tunnel_count_drop(&tunnel, DROP_REPLAYED, 3);
	assert_int_equal(ask(CONTROL_READ_DROPS, NULL, 0), 0);
	assert_int_equal(drops->count, DROP_REASON_COUNT);
	assert_int_equal(drops->packets[DROP_REPLAYED], 3);
	assert_int_equal(drops->packets[DROP_BAD_TAG], 0);
}
