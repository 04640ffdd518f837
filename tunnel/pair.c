// SPDX-License-Identifier: Apache-2.0
/*
 * The pool of pairs of statics. Which peer has which is peer.c's affair; a pair that goes takes its secrets, its
 * receiver index and every reference of a session along.
 */
#include "pair.h"

#include "crypto.h"
#include "tunnel.h"

uint32_t pair_room(const struct tunnel_state *state)
{
	return PAIRS_MAX - state->pair_count;
}

static uint32_t take_slot(struct tunnel_state *state)
{
	uint32_t slot = state->pair_free;

	if (slot != NO_PAIR) {
		state->pair_free = state->pairs[slot].next_free;
		return slot;
	}
	assert(state->pairs_used_end < PAIRS_MAX); /* whoever adds has asked for room */
	return state->pairs_used_end++;
}

uint32_t pair_add(struct tunnel *tunnel, uint32_t peer, enum key_slot own, enum key_slot remote)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t pair = take_slot(state);

	state->pairs[pair] = (struct pair){
		.is_used = true,
		.peer = peer,
		.own = own,
		.remote = remote,
	};
	state->secrets.pairs[pair].remote = state->peers[peer].keys[remote].key;
	state->pair_count++;
	return pair;
}

/* Neither may a handshake be answered that was begun with another key, nor a session name one. */
static void forget_keys(struct tunnel *tunnel, uint32_t slot)
{
	struct pair *pair = &tunnel->state->pairs[slot];

	pair_forget_handshake(tunnel, slot);
	session_forget_pair(tunnel, slot);
	crypto_wipe(&pair->jar, sizeof(pair->jar));
	pair->is_derived = false;
	pair->initiated_ns = pair->last_initiation_sent_ns = 0;
}

void pair_remove(struct tunnel *tunnel, uint32_t slot)
{
	struct tunnel_state *state = tunnel->state;

	forget_keys(tunnel, slot);
	crypto_wipe(&state->secrets.pairs[slot], sizeof(state->secrets.pairs[slot]));
	state->pairs[slot] = (struct pair){.next_free = state->pair_free};
	state->pair_free = slot;
	state->pair_count--;
}

void pair_renew(struct tunnel *tunnel, uint32_t slot)
{
	struct noise_pair *noise = &tunnel->state->secrets.pairs[slot];

	forget_keys(tunnel, slot);
	crypto_wipe(noise->static_static, sizeof(noise->static_static));
	noise->is_usable = false;
}

struct noise_pair *pair_derive(struct tunnel *tunnel, uint32_t slot)
{
	struct tunnel_secrets *secrets = &tunnel->state->secrets;
	struct noise_pair *noise = &secrets->pairs[slot];
	struct pair *pair = &tunnel->state->pairs[slot];

	if (!pair->is_derived)
		noise_pair_init(noise, &secrets->identities[pair->own], &noise->remote,
				&noise->preshared);
	pair->is_derived = true;
	return noise;
}

void pair_set_handshake_index(struct tunnel *tunnel, uint32_t slot, uint32_t index)
{
	struct pair *pair = &tunnel->state->pairs[slot];

	index_remove(tunnel->state, pair->handshake_index);
	pair->handshake_index = index;
}

void pair_forget_handshake(struct tunnel *tunnel, uint32_t slot)
{
	pair_set_handshake_index(tunnel, slot, 0);
	noise_pair_clear_handshake(&tunnel->state->secrets.pairs[slot]);
}
