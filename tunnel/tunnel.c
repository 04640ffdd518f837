// SPDX-License-Identifier: Apache-2.0
/*
 * The tunnel as a whole: its beginning, its own keys, its interface. Sending is send.c, receiving receive.c, time
 * timers.c, peers peer.c.
 */
#include "tunnel.h"

#include <errno.h>

#include "crypto.h"
#include "send.h"

#define DEFAULT_MTU 1420

static void init_peers(struct tunnel *tunnel)
{
	struct tunnel_state *state = tunnel->state;

	tunnel->upcalls.random(tunnel->context, state->peer_hash_key, sizeof(state->peer_hash_key));
	state->peer_free = NO_PEER;
	for (unsigned int i = 0; i < PEER_BUCKETS; i++)
		state->peer_buckets[i] = NO_PEER;
	state->pair_free = NO_PAIR;
}

static void init_ratelimit(struct tunnel *tunnel)
{
	uint8_t hash_key[sizeof(tunnel->state->ratelimit.hash_key)];

	tunnel->upcalls.random(tunnel->context, hash_key, sizeof(hash_key));
	ratelimit_init(&tunnel->state->ratelimit, hash_key);
}

void tunnel_init(struct tunnel *tunnel, struct tunnel_state *state, struct outbox *outbox,
		 const struct aead_engine *aead, const struct tunnel_upcalls *upcalls,
		 void *context)
{
	*tunnel = (struct tunnel){
		.state = state,
		.outbox = outbox,
		.aead = aead,
		.upcalls = *upcalls,
		.context = context,
		.now_ns = 1,
	};
	outbox->messages = outbox->jobs = outbox->used = 0;
	state->version = TUNNEL_STATE_VERSION;
	state->mtu = DEFAULT_MTU;
	state->session_free = NO_SESSION;
	init_peers(tunnel);
	init_ratelimit(tunnel);
	allowedips_init(&state->allowedips);
	stage_init(&state->stage);
}

/* What waits goes out, or the handshake for it; so does a keepalive where one is wanted. */
static void wake_peer(struct tunnel *tunnel, uint32_t slot)
{
	const struct peer *peer = &tunnel->state->peers[slot];

	if (peer->persistent_keepalive_s)
		send_keepalive(tunnel, slot);
	else
		send_staged(tunnel, slot);
}

static bool is_same_identity(const struct identity *a, const struct identity *b)
{
	return a->is_set == b->is_set &&
	       (!a->is_set || public_key_is_equal(&a->public_key, &b->public_key));
}

/* Peers know us by this key: what they shared with the old one is over. */
static void renew_peers(struct tunnel *tunnel)
{
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++) {
		if (!tunnel->state->peers[slot].is_used)
			continue;
		session_retire_all(tunnel, slot);
		peer_renew_own(tunnel, slot, KEY_CURRENT);
		timers_forget_initiation(tunnel, slot);
		wake_peer(tunnel, slot);
	}
}

static void remove_ourselves(struct tunnel *tunnel, const struct identity *own)
{
	uint32_t peer = own->is_set ? tunnel_find_peer(tunnel, &own->public_key) : NO_PEER;

	if (peer != NO_PEER)
		tunnel_remove_peer(tunnel, peer);
}

/* Disturbs nothing: what arrives for the key is understood from now on, or no longer. */
static void rearm_peers(struct tunnel *tunnel, enum key_slot own, bool was_set, bool is_set)
{
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++) {
		if (!tunnel->state->peers[slot].is_used)
			continue;
		if (!was_set)
			peer_add_own(tunnel, slot, own);
		else if (is_set)
			peer_renew_own(tunnel, slot, own);
		else
			peer_remove_own(tunnel, slot, own);
	}
}

bool tunnel_has_room_for_identity(const struct tunnel *tunnel, enum key_slot slot)
{
	const struct tunnel_state *state = tunnel->state;

	return slot == KEY_CURRENT || state->secrets.identities[slot].is_set ||
	       state->peer_key_count <= pair_room(state);
}

void tunnel_set_private_key(struct tunnel *tunnel, enum key_slot slot,
			    const struct private_key *private_key)
{
	struct identity *own = &tunnel->state->secrets.identities[slot];
	struct identity fresh = {0};

	if (private_key)
		identity_set(&fresh, private_key);
	if (!is_same_identity(own, &fresh)) {
		bool was_set = own->is_set;

		remove_ourselves(tunnel, &fresh);
		*own = fresh;
		if (slot == KEY_CURRENT)
			renew_peers(tunnel);
		else
			rearm_peers(tunnel, slot, was_set, own->is_set);
	}
	crypto_wipe(&fresh, sizeof(fresh));
}

void tunnel_clear_identity(struct tunnel *tunnel, enum key_slot slot, bool ends_sessions)
{
	for (uint32_t peer = 0; ends_sessions && peer < tunnel->state->peers_used_end; peer++)
		if (tunnel->state->peers[peer].is_used)
			session_remove_own(tunnel, peer, slot);
	tunnel_set_private_key(tunnel, slot, NULL);
}

static uint64_t birth_of(const struct tunnel_state *state, uint32_t session)
{
	return session == NO_SESSION ? 0 : state->sessions[session].birth_ns;
}

/* Only a peer that talks, and that knows the new key: any other comes by its next handshake. */
static bool wants_fresh_session(const struct tunnel *tunnel, const struct peer *peer)
{
	const struct tunnel_state *state = tunnel->state;
	uint32_t newest = peer->current, pair;

	if (!peer->has_proved[KEY_CURRENT] || newest == NO_SESSION ||
	    !session_can_send(&state->sessions[newest], tunnel->now_ns))
		return false;
	if (birth_of(state, peer->next) >= birth_of(state, newest))
		newest = peer->next;
	if (birth_of(state, peer->previous) > birth_of(state, newest))
		newest = peer->previous;
	pair = state->sessions[newest].pair;
	return pair == NO_PAIR || state->pairs[pair].own != KEY_CURRENT;
}

static void promote_for(struct tunnel *tunnel, uint32_t slot)
{
	bool has_previous = tunnel->state->secrets.identities[KEY_PREVIOUS].is_set;

	peer_promote_own(tunnel, slot);
	if (!has_previous) /* there was no current one, but pairs were there */
		peer_remove_own(tunnel, slot, KEY_PREVIOUS);
	if (wants_fresh_session(tunnel, &tunnel->state->peers[slot]))
		timers_identity_promoted(tunnel, slot);
}

int tunnel_promote_identity(struct tunnel *tunnel)
{
	struct identity *identities = tunnel->state->secrets.identities;

	if (!identities[KEY_NEXT].is_set)
		return -ENOENT;
	tunnel_clear_identity(tunnel, KEY_PREVIOUS, false);
	identities[KEY_PREVIOUS] = identities[KEY_CURRENT];
	identities[KEY_CURRENT] = identities[KEY_NEXT];
	identity_clear(&identities[KEY_NEXT]);
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++)
		if (tunnel->state->peers[slot].is_used)
			promote_for(tunnel, slot);
	return 0;
}

/* A handshake begun while it was down may have met no socket yet: it need not be waited for. */
void tunnel_interface_up(struct tunnel *tunnel)
{
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++) {
		if (!tunnel->state->peers[slot].is_used)
			continue;
		timers_forget_initiation(tunnel, slot);
		wake_peer(tunnel, slot);
	}
}

static void silence_peer(struct tunnel *tunnel, uint32_t slot)
{
	send_purge_staged(tunnel, slot);
	timers_stop(tunnel, slot);
	peer_forget_handshakes(tunnel, slot);
	session_remove_all(tunnel, slot);
}

void tunnel_interface_down(struct tunnel *tunnel)
{
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++)
		if (tunnel->state->peers[slot].is_used)
			silence_peer(tunnel, slot);
}
