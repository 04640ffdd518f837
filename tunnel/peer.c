// SPDX-License-Identifier: Apache-2.0
/*
 * The pool of peers. A peer is found by any of its public keys (a hash table under a random key,
 * since strangers choose keys) or by keyd's id. Removing a peer or a key wipes its secrets and
 * everything derived from them. A key that moves from slot to slot, ours or a peer's, keeps its
 * pairs and disturbs nothing.
 */
#include "peer.h"

#include "crypto.h"
#include "pair.h"
#include "path.h"
#include "timers.h"

static_assert(NO_PAIR == UINT32_MAX, "peer_add fills a peer's pairs with 0xff");

/* -- finding: an entry of a chain is peer_index * KEY_SLOTS + key slot; NO_PEER ends it -- */

static struct peer_key *key_at(struct tunnel_state *state, uint32_t entry)
{
	return &state->peers[entry / KEY_SLOTS].keys[entry % KEY_SLOTS];
}

static uint32_t *bucket_of(struct tunnel_state *state, const struct public_key *key)
{
	uint8_t hash[crypto_shorthash_BYTES];

	static_assert(crypto_shorthash_KEYBYTES == sizeof(state->peer_hash_key), "SipHash");
	crypto_shorthash(hash, key->bytes, KEY_LEN, state->peer_hash_key);
	return &state->peer_buckets[get_le64(hash) % PEER_BUCKETS];
}

static uint32_t find_entry(struct tunnel_state *state, const struct public_key *key)
{
	uint32_t entry = *bucket_of(state, key);

	while (entry != NO_PEER && !public_key_is_equal(&key_at(state, entry)->key, key))
		entry = key_at(state, entry)->hash_next;
	return entry;
}

uint32_t peer_find(const struct tunnel *tunnel, const struct public_key *key)
{
	uint32_t entry = find_entry(tunnel->state, key);

	return entry == NO_PEER ? NO_PEER : entry / KEY_SLOTS;
}

uint32_t peer_find_pair(const struct tunnel *tunnel, enum key_slot own,
			const struct public_key *remote)
{
	uint32_t entry = find_entry(tunnel->state, remote);

	if (entry == NO_PEER)
		return NO_PAIR;
	return tunnel_peer(tunnel, entry / KEY_SLOTS)->pairs[own][entry % KEY_SLOTS];
}

uint32_t peer_find_by_id(const struct tunnel *tunnel, uint32_t id)
{
	const struct tunnel_state *state = tunnel->state;

	for (uint32_t peer_index = 0; peer_index < state->peers_used_end; peer_index++)
		if (tunnel_peer(tunnel, peer_index)->is_used &&
		    tunnel_peer(tunnel, peer_index)->id == id)
			return peer_index;
	return NO_PEER;
}

static void link_key(struct tunnel_state *state, uint32_t peer_index, enum key_slot remote)
{
	struct peer_key *key = &state->peers[peer_index].keys[remote];
	uint32_t *bucket = bucket_of(state, &key->key);

	key->hash_next = *bucket;
	*bucket = peer_index * KEY_SLOTS + remote;
}

static void unlink_key(struct tunnel_state *state, uint32_t peer_index, enum key_slot remote)
{
	uint32_t entry = peer_index * KEY_SLOTS + remote;
	uint32_t *link = bucket_of(state, &key_at(state, entry)->key);

	while (*link != entry)
		link = &key_at(state, *link)->hash_next;
	*link = key_at(state, entry)->hash_next;
}

/* -- our keys, as one peer knows them -- */

/* The current slot has pairs even while it is empty: they hold the preshared keys. */
static bool has_pairs_of(const struct tunnel *tunnel, enum key_slot own)
{
	return own == KEY_CURRENT || tunnel->state->secrets.identities[own].is_set;
}

/* Until keyd sends the preshared keys for these pairs, reuse those of our current key. They match
 * no peer; an all-zero key would match a peer that has none. */
void peer_add_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own)
{
	struct noise_pair *noise = tunnel->state->secrets.pairs;
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
		if (!peer->keys[remote].is_set)
			continue;
		peer->pairs[own][remote] = pair_add(tunnel, peer_index, own, remote);
		noise[peer->pairs[own][remote]].preshared =
			noise[peer->pairs[KEY_CURRENT][remote]].preshared;
	}
	peer->has_proved[own] = false;
}

void peer_renew_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
		if (peer->pairs[own][remote] != NO_PAIR)
			pair_renew(tunnel, peer->pairs[own][remote]);
	peer->has_proved[own] = false;
}

void peer_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
		if (peer->pairs[own][remote] != NO_PAIR)
			pair_remove(tunnel, peer->pairs[own][remote]);
		peer->pairs[own][remote] = NO_PAIR;
	}
	peer->has_proved[own] = false;
}

static void move_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot from,
		     enum key_slot to)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
		uint32_t pair_index = peer->pairs[from][remote];

		peer->pairs[to][remote] = pair_index;
		peer->pairs[from][remote] = NO_PAIR;
		if (pair_index != NO_PAIR)
			tunnel_pair(tunnel, pair_index)->own = to;
	}
	peer->has_proved[to] = peer->has_proved[from];
	peer->has_proved[from] = false;
}

void peer_promote_own(struct tunnel *tunnel, uint32_t peer_index)
{
	move_own(tunnel, peer_index, KEY_CURRENT, KEY_PREVIOUS);
	move_own(tunnel, peer_index, KEY_NEXT, KEY_CURRENT);
}

void peer_note_proof(struct tunnel *tunnel, uint32_t session_index)
{
	uint32_t pair_index = tunnel_session(tunnel, session_index)->pair_index;
	struct peer *peer = tunnel_peer(tunnel, tunnel_session(tunnel, session_index)->peer_index);

	if (pair_index == NO_PAIR)
		return;
	peer->has_proved[tunnel_pair(tunnel, pair_index)->own] = true;
	peer->has_reached[tunnel_pair(tunnel, pair_index)->remote] = true;
}

void peer_forget_node(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	memset(peer->places, 0, sizeof(peer->places));
	peer->known_ns = tunnel->now_ns;
	peer->asked_ns = 0;
}

/* -- its handshakes -- */

static enum key_slot newest_proved(const struct tunnel *tunnel, const struct peer *peer)
{
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		if (peer->has_proved[own] && tunnel->state->secrets.identities[own].is_set)
			return own;
	return KEY_CURRENT;
}

/* While tries stay unanswered, every second one goes to the peer's current key, and the last two of
 * four come from our current key. Whichever part of our knowledge is out of date, one of the four
 * fits. */
uint32_t peer_choose_pair(const struct tunnel *tunnel, uint32_t peer_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool wants_next = peer->keys[KEY_NEXT].is_set && !(peer->unanswered & 1);
	enum key_slot own = peer->unanswered & 2 ? KEY_CURRENT : newest_proved(tunnel, peer);

	return peer->pairs[own][wants_next ? KEY_NEXT : KEY_CURRENT];
}

uint32_t peer_choose_newest_pair(const struct tunnel *tunnel, uint32_t peer_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);

	return peer->pairs[newest_proved(tunnel, peer)][peer_newest_key(peer)];
}

enum key_slot peer_newest_key(const struct peer *peer)
{
	return peer->keys[KEY_NEXT].is_set ? KEY_NEXT : KEY_CURRENT;
}

static bool has_begun_handshake(const struct tunnel *tunnel, uint32_t pair_index)
{
	return pair_index != NO_PAIR &&
	       tunnel_noise(tunnel, pair_index)->state == HANDSHAKE_INITIATION_SENT;
}

bool peer_is_initiating(const struct tunnel *tunnel, uint32_t peer_index)
{
	const uint32_t *pairs = tunnel_peer(tunnel, peer_index)->pairs[0];

	for (unsigned int i = 0; i < KEY_SLOTS * KEY_SLOTS; i++)
		if (has_begun_handshake(tunnel, pairs[i]) && !timers_allow_try(tunnel, pairs[i]))
			return true;
	return false;
}

void peer_forget_handshakes(struct tunnel *tunnel, uint32_t peer_index)
{
	const uint32_t *pairs = tunnel_peer(tunnel, peer_index)->pairs[0];

	for (unsigned int i = 0; i < KEY_SLOTS * KEY_SLOTS; i++)
		if (pairs[i] != NO_PAIR)
			pair_forget_handshake(tunnel, pairs[i]);
}

void peer_forget_initiations_but(struct tunnel *tunnel, uint32_t peer_index, uint32_t pair_index)
{
	const uint32_t *pairs = tunnel_peer(tunnel, peer_index)->pairs[0];

	for (unsigned int i = 0; i < KEY_SLOTS * KEY_SLOTS; i++)
		if (pairs[i] != pair_index && has_begun_handshake(tunnel, pairs[i]))
			pair_forget_handshake(tunnel, pairs[i]);
}

/* -- its endpoint -- */

/* For a managed peer only the published endpoints count: a relay on the path must not become its
 * address. */
static bool may_be_at(const struct peer *peer, const union endpoint *from)
{
	struct address address = endpoint_address(from);

	if (!peer->is_managed)
		return true;
	for (uint32_t i = 0; i < peer->published_count; i++) {
		struct address published = endpoint_address(&peer->published[i]);

		if (address_is_equal(&published, &address))
			return true;
	}
	return false;
}

void peer_follow(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *from,
		 const struct local_source *to)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	if (!peer->has_endpoint || !endpoint_is_equal(&peer->endpoint, from)) {
		if (!may_be_at(peer, from))
			return;
		peer->endpoint = *from;
		peer->has_endpoint = true;
		path_forget(peer);
	}
	peer->source = *to;
}

/* -- its keys -- */

/* A key of the peer, taken out of its slot, with everything that belongs to it. */
struct key_column {
	struct peer_key key;
	uint32_t pairs[KEY_SLOTS]; /* by our slot */
	bool has_reached;
};

static struct key_column take_column(struct tunnel *tunnel, uint32_t peer_index,
				     enum key_slot remote)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	struct key_column column = {
		.key = peer->keys[remote],
		.has_reached = peer->has_reached[remote],
	};

	if (column.key.is_set)
		unlink_key(tunnel->state, peer_index, remote);
	for (enum key_slot own = 0; own < KEY_SLOTS; own++) {
		column.pairs[own] = peer->pairs[own][remote];
		peer->pairs[own][remote] = NO_PAIR;
	}
	peer->keys[remote] = (struct peer_key){0};
	peer->has_reached[remote] = false;
	return column;
}

static void put_column(struct tunnel *tunnel, uint32_t peer_index, enum key_slot remote,
		       const struct key_column *column)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	peer->keys[remote] = column->key;
	peer->has_reached[remote] = column->has_reached;
	link_key(tunnel->state, peer_index, remote);
	for (enum key_slot own = 0; own < KEY_SLOTS; own++) {
		peer->pairs[own][remote] = column->pairs[own];
		if (column->pairs[own] != NO_PAIR)
			tunnel_pair(tunnel, column->pairs[own])->remote = remote;
	}
}

static void remove_column(struct tunnel *tunnel, struct peer *peer, const struct key_column *column)
{
	struct noise_pair *noise = tunnel->state->secrets.pairs;
	struct peer_former_key former = {.key = column->key.key};

	for (enum key_slot own = 0; own < KEY_SLOTS; own++) {
		uint32_t pair_index = column->pairs[own];

		if (pair_index == NO_PAIR)
			continue;
		if (memcmp(noise[pair_index].latest_timestamp, former.latest_timestamp,
			   TIMESTAMP_LEN) > 0)
			memcpy(former.latest_timestamp, noise[pair_index].latest_timestamp,
			       TIMESTAMP_LEN);
		pair_remove(tunnel, pair_index);
	}
	peer->former_key = former;
	tunnel->state->peer_key_count--;
}

static void add_key(struct tunnel *tunnel, uint32_t peer_index, enum key_slot remote,
		    const struct public_key *public_key)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	struct peer_key *key = &peer->keys[remote];

	*key = (struct peer_key){.is_set = true, .key = *public_key};
	identity_derive_mac_keys(key->mac1_key, key->cookie_key, public_key);
	link_key(tunnel->state, peer_index, remote);
	tunnel->state->peer_key_count++;
	for (enum key_slot own = 0; own < KEY_SLOTS; own++) {
		if (!has_pairs_of(tunnel, own))
			continue;
		peer->pairs[own][remote] = pair_add(tunnel, peer_index, own, remote);
		if (public_key_is_equal(&peer->former_key.key, public_key))
			memcpy(tunnel_noise(tunnel, peer->pairs[own][remote])->latest_timestamp,
			       peer->former_key.latest_timestamp, TIMESTAMP_LEN);
	}
}

/* Returns KEY_SLOTS if no column has the key. */
static enum key_slot find_column(const struct key_column columns[static KEY_SLOTS],
				 const struct public_key *key)
{
	enum key_slot slot = 0;

	while (slot < KEY_SLOTS &&
	       !(columns[slot].key.is_set && public_key_is_equal(&columns[slot].key.key, key)))
		slot++;
	return slot;
}

void peer_replace_keys(struct tunnel *tunnel, uint32_t peer_index, const struct peer_keys *keys)
{
	struct key_column before[KEY_SLOTS];

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
		before[remote] = take_column(tunnel, peer_index, remote);
	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
		enum key_slot from = find_column(before, &keys->keys[remote]);

		if (!keys->has_key[remote])
			continue;
		if (from == KEY_SLOTS) {
			add_key(tunnel, peer_index, remote, &keys->keys[remote]);
			continue;
		}
		put_column(tunnel, peer_index, remote, &before[from]);
		before[from].key.is_set = false;
	}
	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
		if (before[remote].key.is_set)
			remove_column(tunnel, tunnel_peer(tunnel, peer_index), &before[remote]);
}

uint32_t peer_pairs_of_a_key(const struct tunnel *tunnel)
{
	uint32_t count = 0;

	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		count += has_pairs_of(tunnel, own);
	return count;
}

bool peer_has_key(const struct peer *peer, const struct public_key *key)
{
	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
		if (peer->keys[remote].is_set && public_key_is_equal(&peer->keys[remote].key, key))
			return true;
	return false;
}

/* -- adding and removing -- */

static uint32_t take_place(struct tunnel_state *state)
{
	uint32_t peer_index = state->peer_free;

	if (peer_index != NO_PEER) {
		state->peer_free = state->peers[peer_index].next_free;
		return peer_index;
	}
	return state->peers_used_end < PEERS_MAX ? state->peers_used_end++ : NO_PEER;
}

uint32_t peer_add(struct tunnel *tunnel, const struct public_key *key)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t peer_index = take_place(state);

	if (peer_index == NO_PEER)
		return NO_PEER;
	*tunnel_peer(tunnel, peer_index) = (struct peer){
		.is_used = true,
		.known_ns = tunnel->now_ns,
		.next = NO_SESSION,
		.current = NO_SESSION,
		.previous = NO_SESSION,
		.former = NO_SESSION,
		.stage_head = NO_CHUNK,
		.stage_tail = NO_CHUNK,
	};
	memset(tunnel_peer(tunnel, peer_index)->pairs, 0xff,
	       sizeof(state->peers[peer_index].pairs));
	add_key(tunnel, peer_index, KEY_CURRENT, key);
	state->peer_count++;
	return peer_index;
}

void peer_remove(struct tunnel *tunnel, uint32_t peer_index)
{
	struct tunnel_state *state = tunnel->state;

	peer_replace_keys(tunnel, peer_index, &(struct peer_keys){0});
	crypto_wipe(tunnel_peer(tunnel, peer_index), sizeof(state->peers[peer_index]));
	tunnel_peer(tunnel, peer_index)->next_free = state->peer_free;
	state->peer_free = peer_index;
	state->peer_count--;
}
