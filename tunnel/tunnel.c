// SPDX-License-Identifier: Apache-2.0
/*
 * Initialization of the tunnel.
 */
#include "tunnel.h"

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
