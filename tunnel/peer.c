// SPDX-License-Identifier: Apache-2.0
/*
 * The peers: a pool of slots, found by public key (a hash under a random key, since strangers choose keys) or by keyd's
 * id. A peer that goes away, or whose key does, takes its secrets and everything derived from them along.
 */
#include "peer.h"

#include <errno.h>

#include "crypto.h"
#include "send.h"
#include "tunnel.h"

/* -- finding -- */

static uint32_t *bucket_of(struct tunnel_state *state, const struct public_key *key)
{
	uint8_t hash[crypto_shorthash_BYTES];

	static_assert(crypto_shorthash_KEYBYTES == sizeof(state->peer_hash_key), "SipHash");
	crypto_shorthash(hash, key->bytes, KEY_LEN, state->peer_hash_key);
	return &state->peer_buckets[get_le64(hash) % PEER_BUCKETS];
}

uint32_t tunnel_find_peer(const struct tunnel *tunnel, const struct public_key *key)
{
	const struct peer *peers = tunnel->state->peers;
	uint32_t slot = *bucket_of(tunnel->state, key);

	while (slot != NO_PEER && !public_key_is_equal(&peers[slot].key, key))
		slot = peers[slot].hash_next;
	return slot;
}

uint32_t tunnel_find_peer_by_id(const struct tunnel *tunnel, uint32_t id)
{
	const struct tunnel_state *state = tunnel->state;

	for (uint32_t slot = 0; slot < state->peers_used_end; slot++)
		if (state->peers[slot].is_used && state->peers[slot].id == id)
			return slot;
	return NO_PEER;
}

static void link_key(struct tunnel_state *state, uint32_t slot)
{
	uint32_t *bucket = bucket_of(state, &state->peers[slot].key);

	state->peers[slot].hash_next = *bucket;
	*bucket = slot;
}

static void unlink_key(struct tunnel_state *state, uint32_t slot)
{
	uint32_t *link = bucket_of(state, &state->peers[slot].key);

	while (*link != slot)
		link = &state->peers[*link].hash_next;
	*link = state->peers[slot].hash_next;
}

/* -- its handshake -- */

const struct identity *peer_identity(const struct tunnel *tunnel, uint32_t slot)
{
	(void)slot; /* all peers know one key of ours: the current one */
	return &tunnel->state->secrets.identities[KEY_CURRENT];
}

void peer_renew_pair(struct tunnel *tunnel, uint32_t slot)
{
	struct noise_pair *pair = &tunnel->state->secrets.pairs[slot];

	peer_forget_handshake(tunnel, slot);
	noise_pair_init(pair, peer_identity(tunnel, slot), &tunnel->state->peers[slot].key,
			&pair->preshared);
}

void peer_set_handshake_index(struct tunnel *tunnel, uint32_t slot, uint32_t index)
{
	struct peer *peer = &tunnel->state->peers[slot];

	index_remove(tunnel->state, peer->handshake_index);
	peer->handshake_index = index;
}

void peer_forget_handshake(struct tunnel *tunnel, uint32_t slot)
{
	peer_set_handshake_index(tunnel, slot, 0);
	noise_pair_clear_handshake(&tunnel->state->secrets.pairs[slot]);
}

/* -- where it is -- */

/* What keyd published is the truth about a managed peer; a relay on the way must not become its address. */
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

void peer_follow(struct tunnel *tunnel, uint32_t slot, const union endpoint *from,
		 const struct local_source *to)
{
	struct peer *peer = &tunnel->state->peers[slot];

	if (!peer->has_endpoint || !endpoint_is_equal(&peer->endpoint, from)) {
		if (!may_be_at(peer, from))
			return;
		peer->endpoint = *from;
		peer->has_endpoint = true;
	}
	peer->source = *to;
}

/* -- adding and removing -- */

static bool is_own_key(const struct tunnel *tunnel, const struct public_key *key)
{
	const struct identity *identities = tunnel->state->secrets.identities;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (identities[slot].is_set &&
		    public_key_is_equal(&identities[slot].public_key, key))
			return true;
	return false;
}

static int check_new_key(const struct tunnel *tunnel, const struct public_key *key)
{
	if (is_own_key(tunnel, key))
		return -EADDRNOTAVAIL;
	return tunnel_find_peer(tunnel, key) == NO_PEER ? 0 : -EEXIST;
}

static uint32_t take_slot(struct tunnel_state *state)
{
	uint32_t slot = state->peer_free;

	if (slot != NO_PEER) {
		state->peer_free = state->peers[slot].hash_next;
		return slot;
	}
	return state->peers_used_end < PEERS_MAX ? state->peers_used_end++ : NO_PEER;
}

static void set_key(struct tunnel *tunnel, uint32_t slot, const struct public_key *key)
{
	struct peer *peer = &tunnel->state->peers[slot];

	peer->key = *key;
	identity_derive_mac_keys(peer->remote_mac1_key, peer->remote_cookie_key, key);
	link_key(tunnel->state, slot);
	peer_renew_pair(tunnel, slot);
}

int tunnel_add_peer(struct tunnel *tunnel, const struct public_key *key, uint32_t *ret_peer)
{
	struct tunnel_state *state = tunnel->state;
	int error = check_new_key(tunnel, key);
	uint32_t slot;

	if (error)
		return error;
	slot = take_slot(state);
	if (slot == NO_PEER)
		return -ENOSPC;
	state->peers[slot] = (struct peer){
		.is_used = true,
		.next = NO_SESSION,
		.current = NO_SESSION,
		.previous = NO_SESSION,
		.stage_head = NO_CHUNK,
		.stage_tail = NO_CHUNK,
	};
	set_key(tunnel, slot, key);
	state->peer_count++;
	*ret_peer = slot;
	return 0;
}

void tunnel_remove_peer(struct tunnel *tunnel, uint32_t slot)
{
	struct tunnel_state *state = tunnel->state;

	send_purge_staged(tunnel, slot);
	timers_stop(tunnel, slot);
	peer_forget_handshake(tunnel, slot);
	session_remove_all(tunnel, slot);
	allowedips_remove_peer(&state->allowedips, state->allowedips_heads, slot);
	unlink_key(state, slot);
	crypto_wipe(&state->secrets.pairs[slot], sizeof(state->secrets.pairs[slot]));
	crypto_wipe(&state->peers[slot], sizeof(state->peers[slot]));
	state->peers[slot].hash_next = state->peer_free;
	state->peer_free = slot;
	state->peer_count--;
}

/* -- configuring -- */

int tunnel_change_peer_key(struct tunnel *tunnel, uint32_t slot, const struct public_key *key)
{
	struct peer *peer = &tunnel->state->peers[slot];
	bool was_talking = peer->current != NO_SESSION || peer->next != NO_SESSION;
	int error;

	if (public_key_is_equal(&peer->key, key))
		return 0;
	error = check_new_key(tunnel, key);
	if (error)
		return error;
	timers_stop(tunnel, slot);
	session_remove_all(tunnel, slot);
	unlink_key(tunnel->state, slot);
	crypto_wipe(&peer->jar, sizeof(peer->jar));
	peer->has_sent_lastminute_handshake = false;
	set_key(tunnel, slot, key);
	timers_keepalive_configured(tunnel, slot);
	/* The peer lost its key, and with it the session: it cannot tell us so but by a handshake of ours. */
	if (was_talking || peer->stage_count)
		(void)send_initiation(tunnel, slot, false);
	return 0;
}

void tunnel_set_preshared(struct tunnel *tunnel, uint32_t slot,
			  const struct preshared_key *preshared)
{
	tunnel->state->secrets.pairs[slot].preshared = *preshared;
}

void tunnel_set_endpoint(struct tunnel *tunnel, uint32_t slot, const union endpoint *endpoint)
{
	struct peer *peer = &tunnel->state->peers[slot];
	bool had_endpoint = peer->has_endpoint;

	if (had_endpoint && endpoint_is_equal(&peer->endpoint, endpoint))
		return;
	peer->endpoint = *endpoint;
	peer->has_endpoint = true;
	peer->source = (struct local_source){0};
	if (!had_endpoint && peer->persistent_keepalive_s)
		send_keepalive(tunnel, slot);
}

void tunnel_set_keepalive(struct tunnel *tunnel, uint32_t slot, uint16_t interval_s)
{
	struct peer *peer = &tunnel->state->peers[slot];
	bool was_off = !peer->persistent_keepalive_s;

	if (peer->persistent_keepalive_s == interval_s)
		return;
	peer->persistent_keepalive_s = interval_s;
	timers_keepalive_configured(tunnel, slot);
	if (was_off)
		send_keepalive(tunnel, slot);
}
