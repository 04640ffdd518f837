/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel on a test stand: fresh for each input, with a clock that the target sets, randomness
 * that is the same in every run, and hooks for sent datagrams and delivered packets. The target
 * plays every other party, and holds all keys.
 */
#pragma once

#include <sys/mman.h>

#include "configure.h"
#include "crypto.h"
#include "cursor.h"
#include "outbox.h"
#include "receive.h"
#include "send.h"
#include "session.h"
#include "timers.h"
#include "tunnel.h"

#define STAND_NOW_NS  (1000 * NS_PER_S)
#define STAND_WALL_NS (1795348800 * NS_PER_S)
#define STAND_MESSAGE 2048

struct stand {
	struct tunnel tunnel;
	struct identity identity; /* its own, as configured */
	union endpoint address;
	uint32_t peer;
	uint64_t random;

	unsigned int sent[MESSAGE_DATA + 1]; /* by type */
	uint8_t last_sent[STAND_MESSAGE];
	size_t last_sent_len;
	unsigned int delivered, injected;
	/* NULL: only the fields above are updated */
	void (*on_sent)(struct stand *stand, const union endpoint *to, uint8_t *bytes, size_t len);
	void (*on_delivered)(struct stand *stand, const uint8_t *packet, size_t len);
};

static inline void stand_random(void *context, void *bytes, size_t len)
{
	struct stand *stand = context;

	for (size_t i = 0; i < len; i++) {
		stand->random ^= stand->random << 13;
		stand->random ^= stand->random >> 7;
		stand->random ^= stand->random << 17;
		((uint8_t *)bytes)[i] = (uint8_t)(stand->random >> 24);
	}
}

static inline void stand_note_sent(struct stand *stand, const union endpoint *to, uint8_t *bytes,
				   size_t len)
{
	uint32_t type = get_le32(bytes);

	MUST(type >= MESSAGE_INITIATION && type <= MESSAGE_DATA);
	stand->sent[type]++;
	stand->last_sent_len = MIN(len, sizeof(stand->last_sent));
	memcpy(stand->last_sent, bytes, stand->last_sent_len);
	if (stand->on_sent)
		stand->on_sent(stand, to, bytes, len);
}

static inline void stand_transmit(void *context, const struct outgoing *outgoing, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct outgoing *one = &outgoing[i];

		MUST(one->len && one->segment_len && one->count <= UDP_GSO_SEGMENTS);
		for (uint32_t at = 0; at < one->len; at += one->segment_len)
			stand_note_sent(context, &one->to, one->data + at,
					MIN(one->segment_len, one->len - at));
	}
}

static inline void stand_deliver(void *context, uint8_t *packet, size_t len)
{
	struct stand *stand = context;

	stand->delivered++;
	if (stand->on_delivered)
		stand->on_delivered(stand, packet, len);
}

static inline void stand_inject(void *context, const uint8_t *packet, size_t len)
{
	struct stand *stand = context;

	(void)packet;
	MUST(len && len <= 1280);
	stand->injected++;
}

static inline uint32_t stand_path_mtu(void *context, const union endpoint *to)
{
	(void)context;
	(void)to;
	return 0;
}

static inline void *stand_map(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(memory != MAP_FAILED);
	return memory;
}

static inline union endpoint stand_endpoint(const char *text, uint16_t port)
{
	struct address address = {0};

	MUST(address_parse(&address, text));
	return endpoint_of(&address, port);
}

/* The same key for the same number in every run. */
static inline void stand_make_identity(struct identity *ret_identity, uint8_t number)
{
	struct private_key key;

	memset(key.bytes, number, sizeof(key.bytes));
	identity_set(ret_identity, &key);
}

static inline void stand_allow(struct stand *stand, const char *text)
{
	struct tunnel_state *state = stand->tunnel.state;
	struct cidr cidr;

	MUST(cidr_parse(&cidr, text));
	MUST(!allowedips_insert(&state->allowedips, state->allowedips_heads, &cidr, stand->peer));
}

static inline void stand_set_clock(struct stand *stand, uint64_t now_ns)
{
	stand->tunnel.now_ns = now_ns;
	stand->tunnel.wall_ns = STAND_WALL_NS + now_ns - STAND_NOW_NS;
}

/* Resets everything: the pages that were touched are zero again. */
static inline void stand_begin(struct stand *stand, uint8_t number, const struct aead_engine *aead)
{
	static const struct tunnel_upcalls upcalls = {
		.transmit = stand_transmit,
		.deliver = stand_deliver,
		.inject = stand_inject,
		.random = stand_random,
		.path_mtu = stand_path_mtu,
	};
	struct tunnel_state *state = stand->tunnel.state;
	struct outbox *outbox = stand->tunnel.outbox;

	if (!state) {
		MUST(sodium_init() >= 0);
		state = stand_map(sizeof(*state));
		outbox = stand_map(sizeof(*outbox));
	}
	MUST(!madvise(state, sizeof(*state), MADV_DONTNEED));
	*stand = (struct stand){.random = 0x2545f4914f6cdd1d + number};
	tunnel_init(&stand->tunnel, state, outbox, aead, &upcalls, stand);
	stand_set_clock(stand, STAND_NOW_NS);
	stand_make_identity(&stand->identity, number);
	stand->address = stand_endpoint(number == 1 ? "192.0.2.1" : "192.0.2.2", 51890);
}

/* An own key and one peer, which has 10.0.N.0/24 and fd00:0:0:N::/64. */
static inline void stand_configure(struct stand *stand, const struct identity *peer,
				   const union endpoint *at, uint8_t number)
{
	char text[CIDR_TEXT_LEN];

	tunnel_set_private_key(&stand->tunnel, KEY_CURRENT, &stand->identity.private_key);
	MUST(!tunnel_add_peer(&stand->tunnel, &peer->public_key, &stand->peer));
	tunnel_set_endpoint(&stand->tunnel, stand->peer, at);
	snprintf(text, sizeof(text), "10.0.%u.0/24", number);
	stand_allow(stand, text);
	snprintf(text, sizeof(text), "fd00:0:0:%u::/64", number);
	stand_allow(stand, text);
}

/* One turn of the loop that receives this datagram; its bytes are overwritten. */
static inline void stand_receive(struct stand *stand, const union endpoint *from, uint8_t *bytes,
				 size_t len)
{
	const struct incoming incoming = {
		.from = *from,
		.to = {.address = endpoint_address(&stand->address), .ifindex = 1},
		.data = bytes,
		.len = (uint32_t)len,
	};

	tunnel_receive(&stand->tunnel, &incoming, 1);
	tunnel_flush(&stand->tunnel);
}

static inline uint64_t stand_drops(const struct stand *stand)
{
	uint64_t sum = 0;

	for (unsigned int reason = 0; reason < DROP_REASON_COUNT; reason++)
		sum += stand->tunnel.state->drops[reason];
	return sum;
}

/* Sets mac1 of a message to the owner of this key; mac2 stays empty. */
static inline void stand_add_mac1(void *message, size_t len, const struct identity *to)
{
	uint8_t *macs = (uint8_t *)message + len - sizeof(struct message_macs);

	memset(macs, 0, sizeof(struct message_macs));
	crypto_mac(macs, to->mac1_key, HASH_LEN, message, len - sizeof(struct message_macs));
}

/* A plain IPv4 packet with a number in it, from the node behind the stand's peer or to it. */
static inline void stand_build_inner(uint8_t *packet, uint8_t from, uint8_t to, size_t len,
				     uint32_t number)
{
	for (size_t i = 24; i < len; i++)
		packet[i] = (uint8_t)(i * 7 + number);
	memset(packet, 0, 20);
	packet[0] = 0x45;
	put_be16(packet + 2, (uint16_t)len);
	packet[8] = 64;
	packet[9] = 253;
	memcpy(packet + 12, (uint8_t[8]){10, 0, from, 5, 10, 0, to, 5}, 8);
	put_be32(packet + 20, number);
}

static inline void stand_send(struct stand *stand, const uint8_t *packet, size_t len)
{
	static const struct virtio_net_hdr plain;

	tunnel_send(&stand->tunnel, &plain, packet, len);
	tunnel_flush(&stand->tunnel);
}
