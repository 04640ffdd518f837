/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's requests for the tests of manage.c, written as keyd writes them and given to a bare
 * tunnel. Each answer is checked for its version, its length and the wiping of the request, as
 * include/tunnel_control.h promises.
 */
#pragma once

#include "bare_tunnel.h"

static uint8_t request[CONTROL_PACKET_MAX + 1];
static _Alignas(8) uint8_t answer[CONTROL_PACKET_MAX];
static size_t answer_len;

static inline const void *answer_body(void)
{
	return answer + sizeof(struct control_header);
}

static inline int send_packet(size_t len)
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

static inline int ask(enum control_verb verb, const void *body, size_t len)
{
	const struct control_header header = {.version = CONTROL_VERSION, .verb = (uint16_t)verb};

	memcpy(request, &header, sizeof(header));
	if (len)
		memcpy(request + sizeof(header), body, len);
	return send_packet(sizeof(header) + len);
}

/* -- requests -- */

static inline struct control_identity identity_number(uint8_t number)
{
	struct control_identity identity = {
		.slot = KEY_CURRENT, .uid = "6e1c", .epoch = 1795348800000};

	memset(identity.private_key.bytes, number, KEY_LEN);
	return identity;
}

static inline int set_identity(uint8_t number)
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

static inline void add_endpoint(const char *address_text, uint16_t port)
{
	struct address address = {0};

	assert_true(address_parse(&address, address_text));
	packet.endpoints[packet.fixed.endpoint_count++] = endpoint_of(&address, port);
}

static inline void add_cidr(const char *text)
{
	assert_true(cidr_parse(&packet.cidrs[packet.fixed.cidr_count++], text));
}

/* The peer most tests start from. */
static inline void draft_peer(uint32_t id)
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

static inline size_t encode_peer(uint8_t *ret_body)
{
	size_t endpoints_len = packet.fixed.endpoint_count * sizeof(packet.endpoints[0]);
	size_t cidrs_len = packet.fixed.cidr_count * sizeof(packet.cidrs[0]);

	memcpy(ret_body, &packet.fixed, sizeof(packet.fixed));
	memcpy(ret_body + sizeof(packet.fixed), packet.endpoints, endpoints_len);
	memcpy(ret_body + sizeof(packet.fixed) + endpoints_len, packet.cidrs, cidrs_len);
	return sizeof(packet.fixed) + endpoints_len + cidrs_len;
}

static inline int set_peer(void)
{
	static uint8_t body[CONTROL_PACKET_MAX];

	return ask(CONTROL_SET_PEER, body, encode_peer(body));
}

static inline struct peer *peer_of(uint32_t id)
{
	uint32_t slot = peer_find_by_id(&tunnel, id);

	assert_int_not_equal(slot, NO_PEER);
	return &tunnel.state->peers[slot];
}

static inline void assert_refused(int error)
{
	struct fingerprint before = take_fingerprint();

	assert_int_equal(set_peer(), error);
	assert_unchanged(&before);
}
