/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyd's steps of a rotation between the nodes of world.h: keys armed, promoted and cleared,
 * records published to the others; and numbered packets between each two nodes, so that one that is
 * lost is seen.
 */
#pragma once

#include "world.h"

#define SECONDS(n)    ((n)*NS_PER_S)
#define TRY_WITHIN_NS SECONDS(300)

/* What a node's record says. */
static struct peer_keys records[NODES_MAX];
static uint32_t slots[NODES_MAX][NODES_MAX]; /* index of a peer, by owner of the table and node */
static uint32_t sequence;

static inline struct peer *peer_at(unsigned int node, unsigned int other)
{
	return &tunnel_of(node)->state->peers[slots[node][other]];
}

static inline void begin_records(void)
{
	sequence = 0;
	memset(records, 0, sizeof(records));
	for (unsigned int node = 0; node < world->count; node++) {
		records[node].has_key[KEY_CURRENT] = true;
		records[node].keys[KEY_CURRENT] = world->nodes[node].public_key;
		for (unsigned int other = 0; other < world->count; other++)
			slots[node][other] =
				peer_find(tunnel_of(node), &world->nodes[other].public_key);
	}
}

static inline int begin_silent(void **state)
{
	world_begin(state);
	begin_records();
	return 0;
}

static inline int begin_talking(void **state)
{
	world_begin_talking(state);
	begin_records();
	return 0;
}

/* -- keyd's steps -- */

static inline void publish_to(unsigned int node, unsigned int other)
{
	assert_int_equal(
		tunnel_check_peer_keys(tunnel_of(other), slots[other][node], &records[node]), 0);
	tunnel_change_peer_keys(tunnel_of(other), slots[other][node], &records[node],
				TRY_WITHIN_NS);
	tunnel_flush(tunnel_of(other));
}

static inline void publish(unsigned int node)
{
	for (unsigned int other = 0; other < world->count; other++)
		if (other != node)
			publish_to(node, other);
}

/* Returns the private key, for tests that search memory for it. */
static inline struct private_key arm_next(unsigned int node)
{
	struct private_key key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	tunnel_set_private_key(tunnel_of(node), KEY_NEXT, &key);
	records[node].has_key[KEY_NEXT] = true;
	crypto_make_pair(key.bytes, records[node].keys[KEY_NEXT].bytes);
	return key;
}

static inline void promote(unsigned int node)
{
	struct peer_keys *record = &records[node];

	assert_int_equal(tunnel_promote_identity(tunnel_of(node)), 0);
	record->keys[KEY_PREVIOUS] = record->keys[KEY_CURRENT];
	record->keys[KEY_CURRENT] = record->keys[KEY_NEXT];
	record->has_key[KEY_PREVIOUS] = true;
	record->has_key[KEY_NEXT] = false;
	tunnel_flush(tunnel_of(node));
}

static inline void clear(unsigned int node, enum key_slot slot, bool ends_sessions)
{
	tunnel_clear_identity(tunnel_of(node), slot, ends_sessions);
	records[node].has_key[slot] = false;
	tunnel_flush(tunnel_of(node));
}

static inline bool is_proved(unsigned int node, enum key_slot slot)
{
	for (unsigned int other = 0; other < world->count; other++)
		if (other != node && !peer_at(node, other)->has_proved[slot])
			return false;
	return true;
}

static inline void step_arm(unsigned int node)
{
	(void)arm_next(node);
	publish(node);
}

static inline void step_promote(unsigned int node)
{
	promote(node);
	publish(node);
}

/* -- traffic: numbered packets between each two nodes -- */

static inline void send_between(unsigned int from, unsigned int to)
{
	static const struct virtio_net_hdr plain;
	uint8_t packet[100];

	build_inner(packet, from, 4, sizeof(packet), sequence++);
	packet[14] = (uint8_t)from;
	packet[18] = (uint8_t)to;
	tunnel_send(tunnel_of(from), &plain, packet, sizeof(packet));
	tunnel_flush(tunnel_of(from));
}

/* One packet between each two a millisecond. */
static inline void talk_for(uint64_t duration_ns)
{
	for (uint64_t end = world->now_ns + duration_ns; world->now_ns < end;) {
		for (unsigned int from = 0; from < world->count; from++)
			for (unsigned int to = 0; to < world->count; to++)
				if (from != to)
					send_between(from, to);
		world_sleep(NS_PER_MS);
	}
}

/* -- a wire that loses proofs -- */

static unsigned int keepalives_to_lose;

static inline unsigned int lose_keepalives(struct world *w, struct datagram *datagram)
{
	if (datagram->len != 32 || !keepalives_to_lose)
		return 1;
	keepalives_to_lose--;
	return 0;
}

#define ROTATION_TALKING_TEST(name) TEST(name, begin_talking, world_end)
#define ROTATION_SILENT_TEST(name)  TEST(name, begin_silent, world_end)
