// SPDX-License-Identifier: Apache-2.0
/*
 * keyd's requests to the tunnel as bytes, some of them in a valid layout. Each is answered within
 * bounds and wiped, and no answer contains a private key. A refused request changes nothing; after
 * an accepted one, lookups find its content.
 */
#include "device.h"

#define REQUEST_MAX 4096

static uint8_t answer[CONTROL_PACKET_MAX], page_before[CONTROL_PACKET_MAX],
	page_after[CONTROL_PACKET_MAX];

static int32_t ask(uint8_t *ret_answer, size_t *ret_len, uint16_t verb, const void *body,
		   size_t len)
{
	struct control_header header = {.version = CONTROL_VERSION, .verb = verb};
	uint8_t *request = malloc(sizeof(header) + len);

	MUST(request);
	memcpy(request, &header, sizeof(header));
	if (len)
		memcpy(request + sizeof(header), body, len);
	*ret_len = manage_handle(&stand.tunnel, &device, request, sizeof(header) + len, ret_answer);
	MUST(sodium_is_zero(request, sizeof(header) + len));
	free(request);
	MUST(*ret_len >= sizeof(header) && *ret_len <= CONTROL_PACKET_MAX);
	memcpy(&header, ret_answer, sizeof(header));
	MUST(header.version == CONTROL_VERSION && header.error <= 0);
	return header.error;
}

static size_t list_peers(uint8_t *ret_page)
{
	struct control_peer_id first = {0};
	size_t len;

	MUST(!ask(ret_page, &len, CONTROL_LIST_PEERS, &first, sizeof(first)));
	return len;
}

/* Only a few keys, uids and addresses, so that requests collide. */
static void fill_peer(struct control_peer *peer, struct cursor *cursor)
{
	uint8_t how = take_8(cursor);

	peer->id = how % 4;
	peer->uid[0] = 'a' + (how >> 2 & 1);
	peer->uid[CONTROL_UID_LEN - 1] = how == 255 ? 'x' : 0;
	peer->epoch = take_8(cursor);
	peer->has_key[KEY_CURRENT] = how != 254;
	peer->has_key[KEY_NEXT] = how >> 4 & 1;
	peer->has_key[KEY_PREVIOUS] = how >> 5 & 1;
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		struct identity identity;

		stand_make_identity(&identity, (uint8_t)(2 + take_8(cursor) % 8));
		peer->keys[slot] = identity.public_key;
	}
	peer->has_alternate = how >> 6 & 1;
	peer->endpoint_count = take_8(cursor) % (CONTROL_ENDPOINTS_MAX + 2);
	peer->cidr_count = take_8(cursor) % 32;
}

static size_t make_peer(uint8_t *body, struct cursor *cursor)
{
	struct control_peer peer = {0};
	size_t len = sizeof(peer);

	fill_peer(&peer, cursor);
	memcpy(body, &peer, sizeof(peer));
	for (unsigned int i = 0; i < peer.endpoint_count; i++) {
		struct address address = {.family = take_8(cursor) & 1 ? AF_INET6 : AF_INET};
		union endpoint endpoint;

		take(cursor, address.bytes, 2);
		endpoint = endpoint_of(&address, take_8(cursor));
		memcpy(body + len, &endpoint, sizeof(endpoint));
		len += sizeof(endpoint);
	}
	for (unsigned int i = 0; i < peer.cidr_count; i++) {
		struct cidr cidr = {.address.family = take_8(cursor) & 1 ? AF_INET6 : AF_INET};

		take(cursor, cidr.address.bytes, 2);
		cidr.prefix_len = take_8(cursor);
		if (cidr.prefix_len < 128)
			cidr_clear_host_bits(&cidr);
		memcpy(body + len, &cidr, sizeof(cidr));
		len += sizeof(cidr);
	}
	return len;
}

static size_t make_identity(uint8_t *body, struct cursor *cursor)
{
	struct control_identity identity = {.slot = take_8(cursor) % 4, .uid = "own"};

	memset(identity.private_key.bytes, take_8(cursor) % 6, KEY_LEN);
	identity.epoch = take_8(cursor);
	memcpy(body, &identity, sizeof(identity));
	return sizeof(identity);
}

/* Only a few addresses, so that a place is asked, answered and forgotten again. */
static struct address take_address(struct cursor *cursor)
{
	struct address address = {.family = take_8(cursor) & 1 ? AF_INET6 : AF_INET};

	address.bytes[0] = take_8(cursor) % 16;
	return address;
}

static size_t make_question(uint8_t *body, struct cursor *cursor)
{
	struct control_question question = {.id = take_8(cursor) % 4};
	struct address address = take_address(cursor);

	question.endpoint = endpoint_of(&address, take_8(cursor));
	memcpy(body, &question, sizeof(question));
	return sizeof(question);
}

static size_t make_place(uint8_t *body, struct cursor *cursor)
{
	struct control_place_of place = {.id = take_8(cursor) % 4};

	place.address = take_address(cursor);
	memcpy(body, &place, sizeof(place));
	return sizeof(place);
}

static size_t make_body(uint8_t *body, uint8_t verb, bool is_laid_out, struct cursor *cursor)
{
	size_t len = take_8(cursor);

	if (is_laid_out && verb == CONTROL_SET_PEER)
		return make_peer(body, cursor) - (len < 224 ? 0 : len % 32); /* all of it, or not */
	if (is_laid_out && verb == CONTROL_SET_IDENTITY)
		return make_identity(body, cursor);
	if (is_laid_out && verb == CONTROL_ASK_PEER)
		return make_question(body, cursor);
	if (is_laid_out && verb == CONTROL_FORGET_PLACE)
		return make_place(body, cursor);
	if (is_laid_out && verb == CONTROL_CLEAR_IDENTITY)
		len = sizeof(struct control_clear);
	if (is_laid_out && verb == CONTROL_PROMOTE_IDENTITY)
		len = sizeof(struct control_epoch);
	if (is_laid_out && (verb == CONTROL_REMOVE_PEER || verb == CONTROL_TRY_PEER))
		len = sizeof(struct control_peer_id);
	take(cursor, body, len);
	if (is_laid_out && len == sizeof(struct control_peer_id))
		put_le32(body, body[0] % 4);
	return len;
}

static void check_owns(const uint8_t *body)
{
	struct control_peer peer;
	struct cidr cidr;
	uint32_t slot;

	memcpy(&peer, body, sizeof(peer));
	slot = peer_find_by_id(&stand.tunnel, peer.id);
	MUST(slot != NO_PEER);
	MUST(peer_find(&stand.tunnel, &peer.keys[KEY_CURRENT]) == slot);
	body += sizeof(peer) + peer.endpoint_count * sizeof(union endpoint);
	for (unsigned int i = 0; i < peer.cidr_count; i++, body += sizeof(cidr)) {
		memcpy(&cidr, body, sizeof(cidr));
		MUST(allowedips_owner(&stand.tunnel.state->allowedips, &cidr) == slot);
	}
}

static void check_no_private_key(size_t len)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		const struct identity *own = &stand.tunnel.state->secrets.identities[slot];

		MUST(!own->is_set || !memmem(answer, len, own->private_key.bytes, KEY_LEN));
	}
}

static void ask_once(struct cursor *cursor)
{
	uint8_t body[REQUEST_MAX], verb = take_8(cursor);
	bool is_laid_out = verb & 0x80;
	size_t len, answer_len, page_len = list_peers(page_before);
	int32_t error;

	verb &= 15;
	len = make_body(body, verb, is_laid_out, cursor);
	error = ask(answer, &answer_len, verb, body, len);
	tunnel_flush(&stand.tunnel);
	check_no_private_key(answer_len);
	if (error) {
		MUST(answer_len == sizeof(struct control_header));
		MUST(list_peers(page_after) == page_len &&
		     !memcmp(page_before, page_after, page_len));
	} else if (verb == CONTROL_SET_PEER) {
		check_owns(body);
	}
	check_allowed_ips();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cursor cursor = {data, len};

	stand_begin(&stand, 1, &aead_sodium);
	for (unsigned int i = 0; i < 32 && cursor.left; i++) {
		stand_set_clock(&stand, stand.tunnel.now_ns + NS_PER_S);
		ask_once(&cursor);
		tunnel_expire(&stand.tunnel);
	}
	return 0;
}
