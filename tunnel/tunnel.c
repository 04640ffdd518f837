// SPDX-License-Identifier: Apache-2.0
/*
 * The tunnel as a whole: its beginning, its own key, its interface. Sending is send.c, receiving receive.c, time
 * timers.c, peers peer.c.
 */
#include "tunnel.h"

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
		peer_renew_pair(tunnel, slot);
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

void tunnel_set_private_key(struct tunnel *tunnel, enum key_slot slot,
			    const struct private_key *private_key)
{
	struct identity *own = &tunnel->state->secrets.identities[slot];
	struct identity fresh = {0};

	if (private_key)
		identity_set(&fresh, private_key);
	if (!is_same_identity(own, &fresh)) {
		remove_ourselves(tunnel, &fresh);
		*own = fresh;
		if (slot == KEY_CURRENT)
			renew_peers(tunnel);
	}
	crypto_wipe(&fresh, sizeof(fresh));
}

void tunnel_interface_up(struct tunnel *tunnel)
{
	for (uint32_t slot = 0; slot < tunnel->state->peers_used_end; slot++)
		if (tunnel->state->peers[slot].is_used)
			wake_peer(tunnel, slot);
}
