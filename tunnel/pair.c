// SPDX-License-Identifier: Apache-2.0
/*
 * The pool of pairs of static keys. peer.c knows which peer has which pairs. Removing a pair also
 * wipes its secrets and removes its receiver index and every session's reference to it.
 */
#include "pair.h"

#include "crypto.h"
#include "index.h"
#include "session.h"

uint32_t pair_room(const struct tunnel_state *state)
{
	return PAIRS_MAX - state->pair_count;
}

static uint32_t take_place(struct tunnel_state *state)
{
	uint32_t pair_index = state->pair_free;

	if (pair_index != NO_PAIR) {
		state->pair_free = state->pairs[pair_index].next_free;
		return pair_index;
	}
	assert(state->pairs_used_end < PAIRS_MAX); /* callers check pair_room first */
	return state->pairs_used_end++;
}

uint32_t pair_add(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
		  enum key_slot remote)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t pair_index = take_place(state);

	*tunnel_pair(tunnel, pair_index) = (struct pair){
		.is_used = true,
		.peer_index = peer_index,
		.own = own,
		.remote = remote,
	};
	tunnel_noise(tunnel, pair_index)->remote =
		tunnel_peer(tunnel, peer_index)->keys[remote].key;
	state->pair_count++;
	return pair_index;
}

/* After a key changed, a handshake with the old key must not be answered, and no session may refer
 * to it. */
static void forget_keys(struct tunnel *tunnel, uint32_t pair_index)
{
	struct pair *pair = tunnel_pair(tunnel, pair_index);

	pair_forget_handshake(tunnel, pair_index);
	session_forget_pair(tunnel, pair_index);
	crypto_wipe(&pair->jar, sizeof(pair->jar));
	pair->is_derived = false;
	pair->initiated_ns = pair->last_initiation_sent_ns = 0;
}

void pair_remove(struct tunnel *tunnel, uint32_t pair_index)
{
	struct tunnel_state *state = tunnel->state;

	forget_keys(tunnel, pair_index);
	crypto_wipe(tunnel_noise(tunnel, pair_index), sizeof(struct noise_pair));
	*tunnel_pair(tunnel, pair_index) = (struct pair){.next_free = state->pair_free};
	state->pair_free = pair_index;
	state->pair_count--;
}

void pair_renew(struct tunnel *tunnel, uint32_t pair_index)
{
	struct noise_pair *noise = tunnel_noise(tunnel, pair_index);

	forget_keys(tunnel, pair_index);
	crypto_wipe(noise->static_static, sizeof(noise->static_static));
	noise->is_usable = false;
}

struct noise_pair *pair_derive(struct tunnel *tunnel, uint32_t pair_index)
{
	struct tunnel_secrets *secrets = &tunnel->state->secrets;
	struct noise_pair *noise = &secrets->pairs[pair_index];
	struct pair *pair = tunnel_pair(tunnel, pair_index);

	if (!pair->is_derived)
		noise_pair_init(noise, &secrets->identities[pair->own], &noise->remote,
				&noise->preshared);
	pair->is_derived = true;
	return noise;
}

void pair_set_handshake_index(struct tunnel *tunnel, uint32_t pair_index, uint32_t index)
{
	struct pair *pair = tunnel_pair(tunnel, pair_index);

	index_remove(tunnel->state, pair->handshake_index);
	pair->handshake_index = index;
}

void pair_forget_handshake(struct tunnel *tunnel, uint32_t pair_index)
{
	pair_set_handshake_index(tunnel, pair_index, 0);
	noise_pair_clear_handshake(tunnel_noise(tunnel, pair_index));
}
