// SPDX-License-Identifier: Apache-2.0
/*
 * The effects of a change from outside on peers, sessions and handshakes. A change is applied
 * completely or refused as a whole.
 */
#include "configure.h"

#include <errno.h>

#include "crypto.h"
#include "expire.h"
#include "pair.h"
#include "path.h"
#include "send.h"
#include "session.h"
#include "timers.h"

/* -- our own keys -- */

/* Sends the staged packets or initiates the handshake that they wait for; also sends a keepalive if
 * the peer wants them. */
static void wake_peer(struct tunnel *tunnel, uint32_t peer_index)
{
	const struct peer *peer = tunnel_peer(tunnel, peer_index);

	if (peer->persistent_keepalive_s)
		send_keepalive(tunnel, peer_index);
	else
		send_staged(tunnel, peer_index);
}

static bool is_same_identity(const struct identity *a, const struct identity *b)
{
	return a->is_set == b->is_set &&
	       (!a->is_set || public_key_is_equal(&a->public_key, &b->public_key));
}

/* Peers know us by this key: sessions and secrets shared with the old one are void. */
static void renew_peers(struct tunnel *tunnel)
{
	for (uint32_t peer_index = 0; peer_index < tunnel->state->peers_used_end; peer_index++) {
		if (!tunnel_peer(tunnel, peer_index)->is_used)
			continue;
		session_retire_all(tunnel, peer_index);
		peer_renew_own(tunnel, peer_index, KEY_CURRENT);
		timers_forget_initiation(tunnel, peer_index);
		wake_peer(tunnel, peer_index);
	}
}

static void remove_ourselves(struct tunnel *tunnel, const struct identity *own)
{
	uint32_t peer_index = own->is_set ? peer_find(tunnel, &own->public_key) : NO_PEER;

	if (peer_index != NO_PEER)
		tunnel_remove_peer(tunnel, peer_index);
}

/* Disturbs no traffic: handshakes for this key are accepted from now on, or no longer. */
static void rearm_peers(struct tunnel *tunnel, enum key_slot own, bool was_set, bool is_set)
{
	for (uint32_t peer_index = 0; peer_index < tunnel->state->peers_used_end; peer_index++) {
		if (!tunnel_peer(tunnel, peer_index)->is_used)
			continue;
		if (!was_set)
			peer_add_own(tunnel, peer_index, own);
		else if (is_set)
			peer_renew_own(tunnel, peer_index, own);
		else
			peer_remove_own(tunnel, peer_index, own);
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
	for (uint32_t peer_index = 0; ends_sessions && peer_index < tunnel->state->peers_used_end;
	     peer_index++)
		if (tunnel_peer(tunnel, peer_index)->is_used)
			session_remove_own(tunnel, peer_index, slot);
	tunnel_set_private_key(tunnel, slot, NULL);
}

static uint64_t birth_of(const struct tunnel_state *state, uint32_t session_index)
{
	return session_index == NO_SESSION ? 0 : state->sessions[session_index].birth_ns;
}

/* Only an active peer that knows the new key. Any other peer switches with its next handshake. */
static bool wants_fresh_session(const struct tunnel *tunnel, const struct peer *peer)
{
	const struct tunnel_state *state = tunnel->state;
	uint32_t newest = peer->current, pair_index;

	if (!peer->has_proved[KEY_CURRENT] || newest == NO_SESSION ||
	    !session_can_send(tunnel_session(tunnel, newest), tunnel->now_ns))
		return false;
	if (birth_of(state, peer->next) >= birth_of(state, newest))
		newest = peer->next;
	if (birth_of(state, peer->previous) > birth_of(state, newest))
		newest = peer->previous;
	pair_index = tunnel_session(tunnel, newest)->pair_index;
	return pair_index == NO_PAIR || tunnel_pair(tunnel, pair_index)->own != KEY_CURRENT;
}

static void promote_for(struct tunnel *tunnel, uint32_t peer_index)
{
	bool has_previous = tunnel->state->secrets.identities[KEY_PREVIOUS].is_set;

	peer_promote_own(tunnel, peer_index);
	if (!has_previous) /* no current key was set, but it had pairs */
		peer_remove_own(tunnel, peer_index, KEY_PREVIOUS);
	if (wants_fresh_session(tunnel, tunnel_peer(tunnel, peer_index)))
		timers_identity_promoted(tunnel, peer_index);
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
	for (uint32_t peer_index = 0; peer_index < tunnel->state->peers_used_end; peer_index++)
		if (tunnel_peer(tunnel, peer_index)->is_used)
			promote_for(tunnel, peer_index);
	return 0;
}

/* -- the interface -- */

/* An initiation sent while the interface was down may have met no socket, so do not wait for its
 * answer. */
void tunnel_interface_up(struct tunnel *tunnel)
{
	for (uint32_t peer_index = 0; peer_index < tunnel->state->peers_used_end; peer_index++) {
		if (!tunnel_peer(tunnel, peer_index)->is_used)
			continue;
		timers_forget_initiation(tunnel, peer_index);
		wake_peer(tunnel, peer_index);
	}
}

static void silence_peer(struct tunnel *tunnel, uint32_t peer_index)
{
	send_purge_staged(tunnel, peer_index);
	timers_stop(tunnel, peer_index);
	peer_forget_handshakes(tunnel, peer_index);
	session_remove_all(tunnel, peer_index);
}

void tunnel_interface_down(struct tunnel *tunnel)
{
	for (uint32_t peer_index = 0; peer_index < tunnel->state->peers_used_end; peer_index++)
		if (tunnel_peer(tunnel, peer_index)->is_used)
			silence_peer(tunnel, peer_index);
}

/* -- a peer's keys -- */

/* Do the new keys include a successor of a key that we know? It may already be current when we
 * first see it: a node that no peer talks to promotes at once. */
static bool has_new_key(const struct peer *peer, const struct peer_keys *keys)
{
	if (keys->has_key[KEY_NEXT])
		return !peer_has_key(peer, &keys->keys[KEY_NEXT]);
	return keys->has_key[KEY_PREVIOUS] && peer_has_key(peer, &keys->keys[KEY_PREVIOUS]) &&
	       !peer_has_key(peer, &keys->keys[KEY_CURRENT]);
}

/* The peer lost its keys, and with them our keys and all sessions. Only a handshake initiated by us
 * tells it that we are here. */
static void restart_conversation(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool was_talking = peer->current != NO_SESSION || peer->next != NO_SESSION;

	session_remove_keyless(tunnel, peer_index);
	timers_peer_restarted(tunnel, peer_index);
	memset(peer->has_proved, 0, sizeof(peer->has_proved));
	peer->unanswered = 0;
	peer->has_sent_lastminute_handshake = false;
	timers_keepalive_configured(tunnel, peer_index);
	if (was_talking || peer->stage_count)
		(void)send_initiation(tunnel, peer_index, false);
}

void tunnel_change_peer_keys(struct tunnel *tunnel, uint32_t peer_index,
			     const struct peer_keys *keys, uint64_t try_next_within_ns)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool has_lost_keys = !peer_has_key(peer, &keys->keys[KEY_CURRENT]);
	bool has_one_to_prove = has_new_key(peer, keys);

	peer_replace_keys(tunnel, peer_index, keys);
	if (has_lost_keys)
		restart_conversation(tunnel, peer_index);
	if (has_one_to_prove && timers_next_key_learnt(tunnel, peer_index, try_next_within_ns))
		expire_try_next_key(tunnel, peer_index);
}

static bool is_own_key(const struct tunnel *tunnel, const struct public_key *key)
{
	const struct identity *identities = tunnel->state->secrets.identities;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (identities[slot].is_set &&
		    public_key_is_equal(&identities[slot].public_key, key))
			return true;
	return false;
}

int tunnel_check_peer_keys(const struct tunnel *tunnel, uint32_t peer_index,
			   const struct peer_keys *keys)
{
	uint32_t added = 0;

	for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++) {
		uint32_t holder;

		if (!keys->has_key[remote])
			continue;
		if (is_own_key(tunnel, &keys->keys[remote]))
			return -EADDRNOTAVAIL;
		holder = peer_find(tunnel, &keys->keys[remote]);
		if (holder != NO_PEER && holder != peer_index)
			return -EEXIST;
		added += holder == NO_PEER;
	}
	return added * peer_pairs_of_a_key(tunnel) <= pair_room(tunnel->state) ? 0 : -ENOSPC;
}

void tunnel_set_preshared(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *preshared)
{
	uint32_t pair_index = tunnel_peer(tunnel, peer_index)->pairs[own][remote];

	if (pair_index != NO_PAIR)
		tunnel_noise(tunnel, pair_index)->preshared = *preshared;
}

void tunnel_set_alternate(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
			  enum key_slot remote, const struct preshared_key *alternate)
{
	uint32_t pair_index = tunnel_peer(tunnel, peer_index)->pairs[own][remote];
	struct noise_pair *noise;

	if (pair_index == NO_PAIR)
		return;
	noise = tunnel_noise(tunnel, pair_index);
	noise->has_alternate = alternate;
	if (alternate)
		noise->alternate = *alternate;
	else
		crypto_wipe(&noise->alternate, sizeof(noise->alternate));
}

/* -- adding and removing a peer -- */

int tunnel_add_peer(struct tunnel *tunnel, const struct public_key *key, uint32_t *ret_peer)
{
	struct peer_keys keys = {.has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = *key};
	int error = tunnel_check_peer_keys(tunnel, NO_PEER, &keys);
	uint32_t peer_index;

	if (error)
		return error;
	peer_index = peer_add(tunnel, key);
	if (peer_index == NO_PEER)
		return -ENOSPC;
	*ret_peer = peer_index;
	return 0;
}

void tunnel_remove_peer(struct tunnel *tunnel, uint32_t peer_index)
{
	send_purge_staged(tunnel, peer_index);
	timers_stop(tunnel, peer_index);
	session_remove_all(tunnel, peer_index);
	allowedips_remove_peer(&tunnel->state->allowedips, tunnel->state->allowedips_heads,
			       peer_index);
	peer_remove(tunnel, peer_index);
}

/* -- a peer's endpoint and keepalive -- */

void tunnel_set_endpoint(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *endpoint)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool had_endpoint = peer->has_endpoint;

	if (had_endpoint && endpoint_is_equal(&peer->endpoint, endpoint))
		return;
	peer->endpoint = *endpoint;
	peer->has_endpoint = true;
	peer->source = (struct local_source){0};
	path_forget(peer);
	if (!had_endpoint && peer->persistent_keepalive_s)
		send_keepalive(tunnel, peer_index);
}

void tunnel_set_keepalive(struct tunnel *tunnel, uint32_t peer_index, uint16_t interval_s)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);
	bool was_off = !peer->persistent_keepalive_s;

	if (peer->persistent_keepalive_s == interval_s)
		return;
	peer->persistent_keepalive_s = interval_s;
	timers_keepalive_configured(tunnel, peer_index);
	if (was_off)
		send_keepalive(tunnel, peer_index);
}
