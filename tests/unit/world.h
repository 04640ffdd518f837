/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two or three tunnels in one process under one clock that the test turns, with a wire between them
 * that is a queue: it can delay, lose, double and reorder. Every seal is watched: the same counter
 * twice under one key fails the test, wherever it happens.
 */
#pragma once

#include <errno.h>
#include <sys/mman.h>

#include "configure.h"
#include "crypto.h"
#include "index.h"
#include "outbox.h"
#include "pair.h"
#include "peer.h"
#include "receive.h"
#include "send.h"
#include "session.h"
#include "test.h"
#include "timers.h"
#include "tunnel.h"
#include "values.h"

#define A		 0
#define B		 1
#define C		 2
#define NODES_MAX	 3
#define WIRE_MAX	 8192
#define WORLD_PACKET	 65600
#define SEQUENCES_MAX	 262144
#define NONCES_MAX	 (1U << 20)
#define WORLD_BEGIN_NS	 (1000 * NS_PER_S)
#define WORLD_BEGIN_WALL (1795348800 * NS_PER_S)

/* The result of one transmit of consecutive segments; arrives as UDP_GRO would deliver it. */
struct datagram {
	unsigned int to; /* node */
	union endpoint from;
	uint64_t arrives_ns;
	uint8_t tos;
	uint32_t len, segment_len;
	uint8_t *bytes;
};

struct node {
	struct tunnel tunnel;
	struct world *world;
	unsigned int number;
	union endpoint address;
	struct private_key private_key;
	struct public_key public_key;
	uint32_t peer; /* slot of the other node; of the first other one where there are three */

	/* what it did */
	unsigned int transmits;		     /* messages handed to the kernel */
	unsigned int sent[MESSAGE_DATA + 1]; /* by type */
	unsigned int keepalives_sent;
	unsigned int path_asked; /* and what it was told: */
	uint32_t path_mtu;	 /* 0: the kernel does not know */
	unsigned int delivered, injected;
	size_t last_len, injected_len;
	uint8_t last[WORLD_PACKET], last_injected[WORLD_PACKET];
	unsigned int seen[SEQUENCES_MAX]; /* how often each numbered packet came */
};

struct world {
	uint64_t now_ns, wall_ns;
	struct node nodes[NODES_MAX];
	unsigned int count;
	struct datagram wire[WIRE_MAX];
	unsigned int wire_len;
	uint64_t latency_ns;
	uint8_t outer_tos_or; /* what routers on the way add to the TOS */
	/* Called for each datagram: how many copies arrive. NULL: one. May change it, its arrival
	 * included. */
	unsigned int (*on_wire)(struct world *world, struct datagram *datagram);
	uint32_t counter; /* for on_wire's use */
	uint64_t random;
};

static struct world *world;

static inline struct tunnel *tunnel_of(unsigned int node)
{
	return &world->nodes[node].tunnel;
}

static inline struct tunnel *tunnel_of_a(void)
{
	return tunnel_of(A);
}

/* -- determinism -- */

static inline uint64_t world_random(void)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return world->random;
}

static inline void world_fill_random(void *context, void *bytes, size_t len)
{
	(void)context;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(world_random() >> 24);
}

/* -- the nonce watch -- */

struct nonce {
	uint64_t key, counter;
};
static struct nonce nonces[NONCES_MAX];
static unsigned int nonce_count;

static inline void watch_nonce(const struct aead_job *job)
{
	uint64_t key = get_le64(job->key) | 1;
	uint64_t place = (key ^ job->counter * 0x9e3779b97f4a7c15) % NONCES_MAX;

	for (; nonces[place].key; place = (place + 1) % NONCES_MAX)
		assert_false(nonces[place].key == key && nonces[place].counter == job->counter);
	nonces[place] = (struct nonce){key, job->counter};
	assert_true(++nonce_count < NONCES_MAX / 2);
}

static inline void watching_seal(struct aead_job *jobs, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		assert_false(sodium_is_zero(jobs[i].key, KEY_LEN)); /* a wiped key */
		watch_nonce(&jobs[i]);
	}
	aead_sodium.seal(jobs, count);
}

static inline void plain_open(struct aead_job *jobs, unsigned int count)
{
	aead_sodium.open(jobs, count);
}

static const struct aead_engine watching_engine = {
	.name = "watching", .seal = watching_seal, .open = plain_open};

/* -- the wire -- */

static inline void put_on_wire(const struct datagram *datagram)
{
	struct datagram *place = &world->wire[world->wire_len++];

	assert_true(world->wire_len <= WIRE_MAX);
	*place = *datagram;
	place->bytes = malloc(datagram->len);
	memcpy(place->bytes, datagram->bytes, datagram->len);
}

static inline void count_sent(struct node *node, const struct outgoing *outgoing)
{
	assert_in_range(outgoing->count, 1, UDP_GSO_SEGMENTS);
	assert_in_range(outgoing->len, 1, UDP_GSO_BYTES);
	assert_int_equal((outgoing->len + outgoing->segment_len - 1) / outgoing->segment_len,
			 outgoing->count);
	for (uint32_t at = 0; at < outgoing->len; at += outgoing->segment_len) {
		uint32_t type = get_le32(outgoing->data + at);

		assert_in_range(type, MESSAGE_INITIATION, MESSAGE_DATA);
		node->sent[type]++;
		node->keepalives_sent += type == MESSAGE_DATA &&
					 MIN(outgoing->segment_len, outgoing->len - at) == 32;
	}
}

static inline unsigned int node_at(const union endpoint *endpoint)
{
	for (unsigned int i = 0; i < world->count; i++)
		if (endpoint_is_equal(endpoint, &world->nodes[i].address))
			return i;
	return NODES_MAX;
}

static inline void world_transmit(void *context, const struct outgoing *outgoing, uint32_t count)
{
	struct node *node = context;

	for (uint32_t i = 0; i < count; i++) {
		struct datagram datagram = {
			.to = node_at(&outgoing[i].to),
			.from = node->address,
			.arrives_ns = world->now_ns + world->latency_ns,
			.tos = outgoing[i].tos | world->outer_tos_or,
			.len = outgoing[i].len,
			.segment_len = outgoing[i].segment_len,
			.bytes = outgoing[i].data,
		};
		unsigned int copies;

		node->transmits++;
		count_sent(node, &outgoing[i]);
		if (datagram.to == NODES_MAX)
			continue; /* nobody lives there */
		copies = world->on_wire ? world->on_wire(world, &datagram) : 1;
		while (copies--)
			put_on_wire(&datagram);
	}
}

static inline void world_deliver(void *context, uint8_t *packet, size_t len)
{
	struct node *node = context;
	size_t head = packet[0] >> 4 == 4 ? 20 : 40;
	uint32_t sequence;

	node->delivered++;
	node->last_len = len;
	memcpy(node->last, packet, len);
	if (len < head + 4)
		return;
	sequence = get_be32(packet + head);
	if (sequence < SEQUENCES_MAX)
		node->seen[sequence]++;
}

static inline void world_inject(void *context, const uint8_t *packet, size_t len)
{
	struct node *node = context;

	node->injected++;
	node->injected_len = len;
	memcpy(node->last_injected, packet, len);
}

static inline uint32_t world_path_mtu(void *context, const union endpoint *to)
{
	struct node *node = context;

	(void)to;
	node->path_asked++;
	return node->path_mtu;
}

/* -- time -- */

static inline void world_set_clock(uint64_t now_ns)
{
	world->wall_ns += now_ns - world->now_ns;
	world->now_ns = now_ns;
	for (unsigned int i = 0; i < world->count; i++) {
		world->nodes[i].tunnel.now_ns = now_ns;
		world->nodes[i].tunnel.wall_ns = world->wall_ns;
	}
}

static inline void receive_bytes(struct node *node, const union endpoint *from, uint8_t *bytes,
				 uint32_t len)
{
	struct incoming incoming = {
		.from = *from,
		.to = {.address = endpoint_address(&node->address), .ifindex = 1},
		.data = bytes,
		.len = len,
	};

	tunnel_receive(&node->tunnel, &incoming, 1);
}

/* All that has arrived at the node, in one turn; false: nothing had. */
static inline bool receive_arrived(struct node *node)
{
	struct incoming incoming[64];
	uint8_t *bytes[64];
	unsigned int count = 0, kept = 0;

	for (unsigned int i = 0; i < world->wire_len; i++) {
		struct datagram *datagram = &world->wire[i];

		if (datagram->to != node->number || datagram->arrives_ns > world->now_ns ||
		    count == 64) {
			world->wire[kept++] = *datagram;
			continue;
		}
		incoming[count] = (struct incoming){
			.from = datagram->from,
			.to = {.address = endpoint_address(&node->address), .ifindex = 1},
			.tos = datagram->tos,
			.data = datagram->bytes,
			.len = datagram->len,
			.segment_len =
				datagram->segment_len == datagram->len ? 0 : datagram->segment_len,
		};
		bytes[count++] = datagram->bytes;
	}
	world->wire_len = kept;
	if (count)
		tunnel_receive(&node->tunnel, incoming, count);
	tunnel_flush(&node->tunnel);
	for (unsigned int i = 0; i < count; i++)
		free(bytes[i]);
	return count;
}

static inline bool has_arrivals(void)
{
	for (unsigned int i = 0; i < world->wire_len; i++)
		if (world->wire[i].arrives_ns <= world->now_ns)
			return true;
	return false;
}

/* Everything that happens now. */
static inline void world_settle(void)
{
	do {
		for (unsigned int i = 0; i < world->count; i++) {
			tunnel_expire(&world->nodes[i].tunnel);
			(void)receive_arrived(&world->nodes[i]);
		}
	} while (has_arrivals());
}

static inline uint64_t next_event(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < world->count; i++)
		next = MIN(next, tunnel_next_deadline(&world->nodes[i].tunnel));
	for (unsigned int i = 0; i < world->wire_len; i++)
		next = MIN(next, world->wire[i].arrives_ns);
	return next;
}

static inline void world_sleep(uint64_t duration_ns)
{
	uint64_t until = world->now_ns + duration_ns, next;

	world_settle();
	while ((next = next_event()) <= until) {
		world_set_clock(MAX(next, world->now_ns));
		world_settle();
	}
	world_set_clock(until);
	world_settle();
}

/* What is under way is lost. */
static inline void clear_wire(void)
{
	while (world->wire_len)
		free(world->wire[--world->wire_len].bytes);
}

/* -- packets -- */

/* From the node to the other, `len` bytes in all, at least the header. */
static inline void build_inner(uint8_t *packet, unsigned int from, uint8_t version, size_t len,
			       uint32_t sequence)
{
	size_t head = version == 4 ? 20 : 40;

	for (size_t i = 0; i < len; i++)
		packet[i] = (uint8_t)(i * 7 + sequence + (i >> 8));
	memset(packet, 0, head);
	packet[0] = (uint8_t)(version << 4 | (version == 4 ? 5 : 0));
	if (version == 4) {
		put_be16(packet + 2, (uint16_t)len);
		put_be16(packet + 6, 0x4000);
		packet[8] = 64;
		packet[9] = 253;
		memcpy(packet + 12,
		       (uint8_t[8]){10, 0, (uint8_t)from, 5, 10, 0, (uint8_t)(1 - from), 5}, 8);
	} else {
		put_be16(packet + 4, (uint16_t)(len - 40));
		packet[6] = 253;
		packet[7] = 64;
		packet[8] = packet[24] = 0xfd;
		packet[15] = (uint8_t)from;
		packet[31] = (uint8_t)(1 - from);
		packet[23] = packet[39] = 5;
	}
	if (len >= head + 4)
		put_be32(packet + head, sequence);
}

static inline void send_inner(unsigned int from, uint8_t version, size_t len, uint32_t sequence)
{
	static const struct virtio_net_hdr plain;
	uint8_t packet[WORLD_PACKET];

	build_inner(packet, from, version, len, sequence);
	tunnel_send(&world->nodes[from].tunnel, &plain, packet, len);
}

/* One numbered packet, and everything that follows from it at once. */
static inline void ping(unsigned int from, uint32_t sequence)
{
	send_inner(from, 4, 84, sequence);
	tunnel_flush(&world->nodes[from].tunnel);
	world_settle();
}

static inline unsigned int came(unsigned int at, uint32_t sequence)
{
	return world->nodes[at].seen[sequence];
}

static inline uint64_t drops(unsigned int node, enum drop_reason reason)
{
	return world->nodes[node].tunnel.state->drops[reason];
}

static inline uint64_t all_drops(unsigned int node)
{
	uint64_t sum = 0;

	for (unsigned int reason = 0; reason < DROP_REASON_COUNT; reason++)
		sum += drops(node, reason);
	return sum;
}

static inline struct peer *peer_of(unsigned int node)
{
	return &world->nodes[node].tunnel.state->peers[world->nodes[node].peer];
}

/* Of the current keys: its number, its secret half and the other one. */
static inline uint32_t pair_number(unsigned int node)
{
	return peer_of(node)->pairs[KEY_CURRENT][KEY_CURRENT];
}

static inline struct noise_pair *pair_of(unsigned int node)
{
	return &world->nodes[node].tunnel.state->secrets.pairs[pair_number(node)];
}

static inline struct pair *handshake_of(unsigned int node)
{
	return &world->nodes[node].tunnel.state->pairs[pair_number(node)];
}

static inline struct session *current_of(unsigned int node)
{
	uint32_t slot = peer_of(node)->current;

	assert_int_not_equal(slot, NO_SESSION);
	return &world->nodes[node].tunnel.state->sessions[slot];
}

/* -- beginning and end -- */

static inline void *world_map(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static inline void allow(struct tunnel *tunnel, uint32_t peer, const char *text)
{
	struct cidr cidr = {0};

	assert_true(cidr_parse(&cidr, text));
	assert_int_equal(allowedips_insert(&tunnel->state->allowedips,
					   tunnel->state->allowedips_heads, &cidr, peer),
			 0);
}

static inline void make_key(struct node *node)
{
	world_fill_random(NULL, node->private_key.bytes, KEY_LEN);
	crypto_make_pair(node->private_key.bytes, node->public_key.bytes);
}

static inline void node_begin(struct node *node, unsigned int number)
{
	static const struct tunnel_upcalls upcalls = {
		.transmit = world_transmit,
		.deliver = world_deliver,
		.inject = world_inject,
		.random = world_fill_random,
		.path_mtu = world_path_mtu,
	};

	node->number = number;
	node->address = endpoint_from(number ? "192.0.2.2" : "192.0.2.1", 51890);
	if (number == C)
		node->address = endpoint_from("192.0.2.3", 51890);
	tunnel_init(&node->tunnel, world_map(sizeof(struct tunnel_state)),
		    world_map(sizeof(struct outbox)), &watching_engine, &upcalls, node);
	make_key(node);
}

static inline void node_know(struct node *node, const struct node *other)
{
	struct tunnel *tunnel = &node->tunnel;

	tunnel_set_private_key(tunnel, KEY_CURRENT, &node->private_key);
	assert_int_equal(tunnel_add_peer(tunnel, &other->public_key, &node->peer), 0);
	tunnel_set_endpoint(tunnel, node->peer, &other->address);
	allow(tunnel, node->peer, other->number ? "10.0.1.0/24" : "10.0.0.0/24");
	allow(tunnel, node->peer, other->number ? "fd00:0:0:1::/64" : "fd00:0:0:0::/64");
}

/* Both nodes, configured, without a word spoken. */
static inline int world_begin(void **state)
{
	assert_int_not_equal(sodium_init(), -1);
	world = world_map(sizeof(*world));
	world->random = 0x2545f4914f6cdd1d;
	memset(nonces, 0, sizeof(nonces));
	nonce_count = 0;
	world->count = 2;
	node_begin(&world->nodes[A], A);
	node_begin(&world->nodes[B], B);
	world->wall_ns = WORLD_BEGIN_WALL;
	world->now_ns = WORLD_BEGIN_NS;
	world_set_clock(WORLD_BEGIN_NS);
	node_know(&world->nodes[A], &world->nodes[B]);
	node_know(&world->nodes[B], &world->nodes[A]);
	return 0;
}

/* The peer has this one key from now on. */
static inline void change_peer_key(struct tunnel *tunnel, uint32_t peer,
				   const struct public_key *key)
{
	const struct peer_keys keys = {.has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = *key};

	assert_int_equal(tunnel_check_peer_keys(tunnel, peer, &keys), 0);
	tunnel_change_peer_keys(tunnel, peer, &keys, 0);
}

/* A has initiated, and packets went both ways. */
static inline int world_begin_talking(void **state)
{
	world_begin(state);
	ping(A, SEQUENCES_MAX - 1);
	ping(B, SEQUENCES_MAX - 1);
	assert_int_equal(came(A, SEQUENCES_MAX - 1), 1);
	assert_int_equal(came(B, SEQUENCES_MAX - 1), 1);
	return 0;
}

static inline int world_end(void **state)
{
	clear_wire();
	for (unsigned int i = 0; i < world->count; i++) {
		munmap(world->nodes[i].tunnel.state, sizeof(struct tunnel_state));
		munmap(world->nodes[i].tunnel.outbox, sizeof(struct outbox));
	}
	munmap(world, sizeof(*world));
	return 0;
}

#define TALKING_TEST(name) TEST(name, world_begin_talking, world_end)
#define SILENT_TEST(name)  TEST(name, world_begin, world_end)

/* Does the state hold these bytes anywhere? */
static inline bool state_holds(unsigned int node, const void *bytes, size_t len)
{
	return memmem(world->nodes[node].tunnel.state, sizeof(struct tunnel_state), bytes, len);
}
