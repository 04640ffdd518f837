// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's requests, packet in, packet out: what each verb changes, that saying it again changes nothing, and that a
 * refused one leaves the tunnel as it was, down to the byte.
 */
#include "bare_tunnel.h"

static uint8_t request[CONTROL_PACKET_MAX + 1];
static _Alignas(8) uint8_t answer[CONTROL_PACKET_MAX];
static size_t answer_len;

static const void *answer_body(void)
{
	return answer + sizeof(struct control_header);
}

static int send_packet(size_t len)
{
	struct control_header header;

	answer_len = manage_handle(&tunnel, &device, request, len, answer);
	assert_in_range(answer_len, sizeof(header), CONTROL_PACKET_MAX);
	memcpy(&header, answer, sizeof(header));
	assert_int_equal(header.version, CONTROL_VERSION);
	if (header.error)
		assert_int_equal(answer_len, sizeof(header));
	for (size_t i = 0; i < len; i++)
		assert_int_equal(request[i], 0);
	return header.error;
}

static int ask(enum control_verb verb, const void *body, size_t len)
{
	const struct control_header header = {.version = CONTROL_VERSION, .verb = (uint16_t)verb};

	memcpy(request, &header, sizeof(header));
	if (len)
		memcpy(request + sizeof(header), body, len);
	return send_packet(sizeof(header) + len);
}

/* -- requests -- */

static struct control_identity identity_number(uint8_t number)
{
	struct control_identity identity = {
		.slot = KEY_CURRENT, .uid = "6e1c", .epoch = 1795348800000};

	memset(identity.private_key.bytes, number, KEY_LEN);
	return identity;
}

static int set_identity(uint8_t number)
{
	struct control_identity identity = identity_number(number);

	return ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity));
}

struct peer_packet {
	struct control_peer fixed;
	union endpoint endpoints[CONTROL_ENDPOINTS_MAX + 1];
	struct cidr cidrs[CONTROL_CIDRS_MAX + 1];
};

static struct peer_packet packet;

static void add_endpoint(const char *address_text, uint16_t port)
{
	struct address address = {0};

	assert_true(address_parse(&address, address_text));
	packet.endpoints[packet.fixed.endpoint_count++] = endpoint_of(&address, port);
}

static void add_cidr(const char *text)
{
	assert_true(cidr_parse(&packet.cidrs[packet.fixed.cidr_count++], text));
}

/* The peer most tests start from. */
static void draft_peer(uint32_t id)
{
	memset(&packet, 0, sizeof(packet));
	packet.fixed.id = id;
	copy_text(packet.fixed.uid, sizeof(packet.fixed.uid), "7f2d");
	packet.fixed.epoch = 1795348800000;
	packet.fixed.has_key[KEY_CURRENT] = true;
	packet.fixed.keys[KEY_CURRENT] = key_number((uint8_t)(0x40 + id));
	add_endpoint("192.168.50.2", 51890);
	add_endpoint("fd00::2", 51890);
	add_cidr("10.244.2.0/24");
	add_cidr("fd00:10:244:2::/64");
}

static size_t encode_peer(uint8_t *ret_body)
{
	size_t endpoints_len = packet.fixed.endpoint_count * sizeof(packet.endpoints[0]);
	size_t cidrs_len = packet.fixed.cidr_count * sizeof(packet.cidrs[0]);

	memcpy(ret_body, &packet.fixed, sizeof(packet.fixed));
	memcpy(ret_body + sizeof(packet.fixed), packet.endpoints, endpoints_len);
	memcpy(ret_body + sizeof(packet.fixed) + endpoints_len, packet.cidrs, cidrs_len);
	return sizeof(packet.fixed) + endpoints_len + cidrs_len;
}

static int set_peer(void)
{
	static uint8_t body[CONTROL_PACKET_MAX];

	return ask(CONTROL_SET_PEER, body, encode_peer(body));
}

static struct peer *peer_of(uint32_t id)
{
	uint32_t slot = tunnel_find_peer_by_id(&tunnel, id);

	assert_int_not_equal(slot, NO_PEER);
	return &tunnel.state->peers[slot];
}

static void assert_refused(int error)
{
	struct fingerprint before = take_fingerprint();

	assert_int_equal(set_peer(), error);
	assert_unchanged(&before);
}

/* -- the envelope -- */

static void hello_tells_what_the_tunnel_holds(void **state)
{
	const struct control_hello *hello = answer_body();

	(void)state;
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

static void answers_never_hold_the_private_key(void **state)
{
	uint8_t private_key[KEY_LEN];

	(void)state;
	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	memcpy(private_key, tunnel.state->secrets.identities[KEY_CURRENT].private_key.bytes,
	       KEY_LEN);
	for (enum control_verb verb = CONTROL_HELLO; verb <= CONTROL_CLEAR_IDENTITY; verb++) {
		static const struct control_peer_id none;

		memset(answer, 0, sizeof(answer));
		(void)ask(verb, &none, verb == CONTROL_LIST_PEERS ? sizeof(none) : 0);
		assert_null(memmem(answer, sizeof(answer), private_key, KEY_LEN));
	}
}

static void unknown_version_and_verb_are_refused(void **state)
{
	struct control_header header = {.version = CONTROL_VERSION + 1, .verb = CONTROL_HELLO};

	(void)state;
	memcpy(request, &header, sizeof(header));
	assert_int_equal(send_packet(sizeof(header)), -EPROTONOSUPPORT);
	assert_int_equal(ask(0, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(ask(CONTROL_TRY_PEER + 1, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(ask(65535, NULL, 0), -EOPNOTSUPP);
}

static void wrong_length_is_refused_and_changes_nothing(void **state)
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
	};
	uint8_t body[256];
	struct fingerprint before;

	(void)state;
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

static void truncated_peer_is_refused_and_changes_nothing(void **state)
{
	uint8_t body[1024];
	struct fingerprint before = take_fingerprint();
	size_t whole;

	(void)state;
	draft_peer(1);
	whole = encode_peer(body);
	for (size_t len = 0; len < whole + 20; len++)
		if (len != whole)
			assert_int_equal(ask(CONTROL_SET_PEER, body, len), -EINVAL);
	assert_unchanged(&before);
	assert_int_equal(ask(CONTROL_SET_PEER, body, whole), 0);
}

/* -- identity and device -- */

static void identity_makes_the_device_managed_and_persistent_once(void **state)
{
	(void)state;
	assert_int_equal(set_identity(9), 0);
	assert_true(tunnel.state->is_managed);
	assert_int_equal(set_identity(9), 0);
	assert_int_equal(set_identity(10), 0);
	assert_int_equal(device_log.persists, 1);
}

static void identity_given_twice_disturbs_no_handshake(void **state)
{
	struct fingerprint before;

	(void)state;
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

static void identity_keeps_its_slot_uid_and_epoch(void **state)
{
	struct control_identity identity = identity_number(9);

	(void)state;
	identity.slot = KEY_NEXT;
	assert_int_equal(ask(CONTROL_SET_IDENTITY, &identity, sizeof(identity)), 0);
	assert_true(tunnel.state->secrets.identities[KEY_NEXT].is_set);
	assert_false(tunnel.state->secrets.identities[KEY_CURRENT].is_set);
	assert_string_equal(tunnel.state->uid, "6e1c");
	assert_int_equal(tunnel.state->epoch, 1795348800000);
}

static void identity_with_bad_slot_uid_or_key_is_refused(void **state)
{
	struct fingerprint before = take_fingerprint();
	struct control_identity identity = identity_number(9);

	(void)state;
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

static void promotion_moves_each_key_by_one_slot(void **state)
{
	struct control_epoch epoch = {1795348800001};
	struct control_hello before, after;

	(void)state;
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

static void next_and_previous_may_be_cleared_and_current_may_not(void **state)
{
	struct fingerprint before;

	(void)state;
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

static void identity_that_another_slot_has_is_refused(void **state)
{
	struct fingerprint before;

	(void)state;
	assert_int_equal(set_identity(9), 0);
	before = take_fingerprint();
	assert_int_equal(set_identity_in(KEY_NEXT, 9), -EEXIST);
	assert_unchanged(&before);
}

static void taking_over_removes_the_peers_of_wg(void **state)
{
	struct public_key key = key_number(0x77);
	struct cidr cidr;
	uint32_t slot;

	(void)state;
	assert_int_equal(tunnel_add_peer(&tunnel, &key, &slot), 0);
	assert_true(cidr_parse(&cidr, "0.0.0.0/0"));
	assert_int_equal(allowedips_insert(&tunnel.state->allowedips,
					   tunnel.state->allowedips_heads, &cidr, slot),
			 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(set_identity(9), 0);
	assert_int_equal(tunnel_find_peer(&tunnel, &key), NO_PEER);
	assert_int_equal(find_address("203.0.113.1"), NO_PEER);
	assert_int_not_equal(find_address("10.244.2.1"), NO_PEER);
}

static void device_is_opened_only_where_it_differs(void **state)
{
	struct control_device wanted = {.port = 51890, .fwmark = 3};

	(void)state;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(device_log.opens, 1);
	assert_int_equal(device_log.port, 51890);
	assert_int_equal(device_log.fwmark, 3);
	wanted.fwmark = 4;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), 0);
	assert_int_equal(device_log.opens, 2);
}

static void port_zero_and_port_taken_are_refused(void **state)
{
	struct control_device wanted = {.port = 0};

	(void)state;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), -EINVAL);
	assert_int_equal(device_log.opens, 0);
	wanted.port = 51820;
	device_log.error = -EADDRINUSE;
	assert_int_equal(ask(CONTROL_SET_DEVICE, &wanted, sizeof(wanted)), -EADDRINUSE);
}

/* -- peers -- */

static void peer_gets_all_it_was_given(void **state)
{
	struct public_key key = key_number(0x41);
	const struct peer *peer;

	(void)state;
	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	peer = peer_of(1);
	assert_true(peer->is_managed);
	assert_int_equal(tunnel_find_peer(&tunnel, &key), peer - tunnel.state->peers);
	assert_int_equal(find_address("10.244.2.1"), peer - tunnel.state->peers);
	assert_int_equal(find_address("fd00:10:244:2::1"), peer - tunnel.state->peers);
	assert_int_equal(find_address("10.244.3.1"), NO_PEER);
	assert_int_equal(peer->published_count, 2);
	assert_true(peer->has_endpoint && endpoint_is_equal(&peer->endpoint, &packet.endpoints[0]));
	assert_memory_equal(
		&tunnel.state->secrets.pairs[peer->pairs[KEY_CURRENT][KEY_CURRENT]].preshared,
		&packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT], KEY_LEN);
}

static void same_peer_twice_changes_nothing(void **state)
{
	struct fingerprint before;

	(void)state;
	assert_int_equal(set_identity(9), 0);
	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	tunnel.state->secrets.pairs[0].state = HANDSHAKE_INITIATION_SENT;
	before = take_fingerprint();
	assert_int_equal(set_peer(), 0);
	assert_unchanged(&before);
}

static void invalid_peer_is_refused_and_changes_nothing(void **state)
{
	static const char *const endpoints[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255",
						"::",	   "ff02::1",	"::ffff:192.0.2.1"};

	(void)state;
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

static void peer_is_never_taken_back_to_an_older_record(void **state)
{
	(void)state;
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

static void peer_of_another_uid_may_have_any_epoch(void **state)
{
	(void)state;
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

static void low_order_and_own_keys_are_refused_in_every_slot(void **state)
{
	static const struct public_key zero, one = {{1}};
	struct public_key order8 = {{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
				     0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
				     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
				     0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}};
	const struct public_key *bad[] = {
		&zero, &one, &order8, &tunnel.state->secrets.identities[KEY_CURRENT].public_key};

	(void)state;
	assert_int_equal(set_identity(9), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
			draft_peer(2);
			packet.fixed.has_key[slot] = true;
			packet.fixed.keys[slot] = *bad[i];
			assert_refused(-EADDRNOTAVAIL);
		}
}

static void key_of_another_peer_is_refused(void **state)
{
	(void)state;
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

static void other_keys_of_a_peer_may_be_given(void **state)
{
	(void)state;
	draft_peer(1);
	packet.fixed.has_key[KEY_NEXT] = true;
	packet.fixed.keys[KEY_NEXT] = key_number(0x66);
	assert_int_equal(set_peer(), 0);
}

static void new_key_takes_the_place_of_the_old(void **state)
{
	struct public_key old_key = key_number(0x41), new_key = key_number(0x66);
	uint32_t slot;

	(void)state;
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = tunnel_find_peer(&tunnel, &old_key);
	packet.fixed.keys[KEY_CURRENT] = new_key;
	assert_int_equal(set_peer(), 0);
	assert_int_equal(tunnel_find_peer(&tunnel, &old_key), NO_PEER);
	assert_int_equal(tunnel_find_peer(&tunnel, &new_key), slot);
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

static void peer_is_known_by_all_its_keys_and_no_other_peer_may_have_one(void **state)
{
	struct fingerprint before;
	struct public_key next;

	(void)state;
	assert_int_equal(set_identity(9), 0);
	draft_rotating_peer(1);
	assert_int_equal(set_peer(), 0);
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++)
		assert_int_equal(tunnel_find_peer(&tunnel, &packet.fixed.keys[slot]), 0);
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
	assert_int_equal(tunnel_find_peer(&tunnel, &next), NO_PEER);
}

static void key_in_two_slots_is_refused(void **state)
{
	(void)state;
	for (enum key_slot slot = 0; slot < KEY_SLOTS; slot++) {
		draft_rotating_peer(1);
		packet.fixed.keys[slot] = packet.fixed.keys[(slot + 1) % KEY_SLOTS];
		assert_refused(-EINVAL);
	}
}

static uint8_t preshared_between(enum key_slot own, enum key_slot remote)
{
	return tunnel.state->secrets.pairs[peer_of(1)->pairs[own][remote]].preshared.bytes[0];
}

static void preshared_keys_lie_between_two_statics_and_move_with_them(void **state)
{
	struct control_epoch epoch = {1795348800001};

	(void)state;
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

static void alternates_lie_beside_the_preshared_keys_and_go_when_they_are_not_said(void **state)
{
	struct control_epoch epoch = {1795348800001};
	const struct noise_pair *noise;

	(void)state;
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
	/* of a new key of ours nothing is known before keyd says it */
	assert_int_equal(set_identity_in(KEY_NEXT, 11), 0);
	noise = &tunnel.state->secrets.pairs[peer_of(1)->pairs[KEY_NEXT][KEY_CURRENT]];
	assert_false(noise->has_alternate);
	packet.fixed.has_alternate = false;
	assert_int_equal(set_peer(), 0);
	noise = &tunnel.state->secrets.pairs[peer_of(1)->pairs[KEY_CURRENT][KEY_CURRENT]];
	assert_false(noise->has_alternate);
	assert_true(sodium_is_zero(noise->alternate.bytes, KEY_LEN));
}

static void allowed_ips_are_replaced_as_a_whole(void **state)
{
	uint32_t slot;

	(void)state;
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

static void prefix_moves_to_the_peer_named_last(void **state)
{
	(void)state;
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	draft_peer(2);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(find_address("10.244.2.1"), peer_of(2) - tunnel.state->peers);
	assert_int_equal(tunnel.state->allowedips.count, 2);
}

static void peer_without_room_for_its_prefixes_is_refused(void **state)
{
	uint32_t slot;

	(void)state;
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = (uint32_t)(peer_of(1) - tunnel.state->peers);
	fill_allowed_ips(slot, 1);
	draft_peer(2);
	packet.fixed.cidr_count = 0;
	add_cidr("10.244.7.0/24");
	add_cidr("10.244.8.0/24");
	assert_refused(-ENOSPC);
	assert_int_equal(tunnel_find_peer_by_id(&tunnel, 2), NO_PEER);
	packet.fixed.cidr_count = 1;
	add_cidr("10.244.2.0/24"); /* moves, needs no room */
	assert_int_equal(set_peer(), 0);
}

static void endpoint_in_use_stays_while_it_is_published(void **state)
{
	struct peer *peer;

	(void)state;
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

static void endpoint_no_longer_published_gives_way_to_the_best(void **state)
{
	struct peer *peer;

	(void)state;
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

static void preshared_key_can_be_taken_away(void **state)
{
	(void)state;
	draft_peer(1);
	memset(packet.fixed.preshared[KEY_CURRENT][KEY_CURRENT].bytes, 0x55, KEY_LEN);
	assert_int_equal(set_peer(), 0);
	memset(packet.fixed.preshared, 0, sizeof(packet.fixed.preshared));
	assert_int_equal(set_peer(), 0);
	assert_true(sodium_is_zero(tunnel.state->secrets.pairs[0].preshared.bytes, KEY_LEN));
}

static void removed_peer_is_gone_and_is_not_found_again(void **state)
{
	struct control_peer_id id = {1}, none = {0};

	(void)state;
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &id, sizeof(id)), 0);
	assert_int_equal(tunnel.state->peer_count, 0);
	assert_int_equal(find_address("10.244.2.1"), NO_PEER);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &id, sizeof(id)), -ENOENT);
	assert_int_equal(ask(CONTROL_REMOVE_PEER, &none, sizeof(none)), -ENOENT);
}

static void peer_that_is_to_be_tried_gets_one_handshake(void **state)
{
	struct control_peer_id id = {1};
	uint32_t slot;

	(void)state;
	assert_int_equal(set_identity(1), 0);
	draft_peer(1);
	assert_int_equal(set_peer(), 0);
	slot = tunnel_find_peer_by_id(&tunnel, 1);
	assert_false(peer_is_initiating(&tunnel, slot));
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	assert_true(peer_is_initiating(&tunnel, slot));
	assert_int_equal(tunnel.state->peers[slot].unanswered, 1);
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), 0);
	assert_int_equal(tunnel.state->peers[slot].unanswered, 1);
}

static void peer_without_an_endpoint_cannot_be_tried(void **state)
{
	struct control_peer_id id = {1}, stranger = {2}, none = {0};

	(void)state;
	draft_peer(1);
	packet.fixed.endpoint_count = 0;
	assert_int_equal(set_peer(), 0);
	assert_int_equal(ask(CONTROL_TRY_PEER, &id, sizeof(id)), -EDESTADDRREQ);
	assert_int_equal(ask(CONTROL_TRY_PEER, &stranger, sizeof(stranger)), -ENOENT);
	assert_int_equal(ask(CONTROL_TRY_PEER, &none, sizeof(none)), -ENOENT);
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

static void list_is_ascending_and_complete_page_by_page(void **state)
{
	const struct control_page *page = answer_body();
	struct control_peer_id after = {0};
	uint32_t pages = 0;

	(void)state;
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

static void list_of_exactly_one_page_is_the_last(void **state)
{
	const struct control_page *page = answer_body();
	struct control_peer_id after = {0};

	(void)state;
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_true(page->is_last && !page->count);
	add_peers_in_odd_order(CONTROL_PAGE);
	assert_int_equal(ask(CONTROL_LIST_PEERS, &after, sizeof(after)), 0);
	assert_true(page->is_last && page->count == CONTROL_PAGE);
}

static void list_tells_the_state_of_each_peer(void **state)
{
	const struct control_page *page = answer_body();
	struct control_peer_status status;
	struct control_peer_id after = {0};
	struct peer *peer;

	(void)state;
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

static void drops_are_told_by_reason(void **state)
{
	const struct control_drops *drops = answer_body();

	(void)state;
	tunnel_count_drop(&tunnel, DROP_REPLAYED, 3);
	assert_int_equal(ask(CONTROL_READ_DROPS, NULL, 0), 0);
	assert_int_equal(drops->count, DROP_REASON_COUNT);
	assert_int_equal(drops->packets[DROP_REPLAYED], 3);
	assert_int_equal(drops->packets[DROP_BAD_TAG], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tunnel_begin, tunnel_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hello_tells_what_the_tunnel_holds),
		TEST(answers_never_hold_the_private_key),
		TEST(unknown_version_and_verb_are_refused),
		TEST(wrong_length_is_refused_and_changes_nothing),
		TEST(truncated_peer_is_refused_and_changes_nothing),
		TEST(identity_makes_the_device_managed_and_persistent_once),
		TEST(identity_given_twice_disturbs_no_handshake),
		TEST(identity_keeps_its_slot_uid_and_epoch),
		TEST(identity_with_bad_slot_uid_or_key_is_refused),
		TEST(promotion_moves_each_key_by_one_slot),
		TEST(next_and_previous_may_be_cleared_and_current_may_not),
		TEST(identity_that_another_slot_has_is_refused),
		TEST(taking_over_removes_the_peers_of_wg),
		TEST(device_is_opened_only_where_it_differs),
		TEST(port_zero_and_port_taken_are_refused),
		TEST(peer_gets_all_it_was_given),
		TEST(same_peer_twice_changes_nothing),
		TEST(invalid_peer_is_refused_and_changes_nothing),
		TEST(peer_is_never_taken_back_to_an_older_record),
		TEST(peer_of_another_uid_may_have_any_epoch),
		TEST(low_order_and_own_keys_are_refused_in_every_slot),
		TEST(key_of_another_peer_is_refused),
		TEST(other_keys_of_a_peer_may_be_given),
		TEST(new_key_takes_the_place_of_the_old),
		TEST(peer_is_known_by_all_its_keys_and_no_other_peer_may_have_one),
		TEST(key_in_two_slots_is_refused),
		TEST(preshared_keys_lie_between_two_statics_and_move_with_them),
		TEST(alternates_lie_beside_the_preshared_keys_and_go_when_they_are_not_said),
		TEST(allowed_ips_are_replaced_as_a_whole),
		TEST(prefix_moves_to_the_peer_named_last),
		TEST(peer_without_room_for_its_prefixes_is_refused),
		TEST(endpoint_in_use_stays_while_it_is_published),
		TEST(endpoint_no_longer_published_gives_way_to_the_best),
		TEST(preshared_key_can_be_taken_away),
		TEST(removed_peer_is_gone_and_is_not_found_again),
		TEST(peer_that_is_to_be_tried_gets_one_handshake),
		TEST(peer_without_an_endpoint_cannot_be_tried),
		TEST(list_is_ascending_and_complete_page_by_page),
		TEST(list_of_exactly_one_page_is_the_last),
		TEST(list_tells_the_state_of_each_peer),
		TEST(drops_are_told_by_reason),
	};

	return cmocka_run_group_tests_name("manage", tests, NULL, NULL);
}
