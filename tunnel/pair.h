/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a pair of statics, one of ours and one of a peer's: the handshake under way, its spacing, its cookie.
 * The secret half (noise.h) lies apart, in the locked part of the state, under the same number. A pair belongs to two
 * keys and not to two slots: when a key moves to another slot, its pairs move along, untouched.
 */
#pragma once

#include "tunnel.h"

/* How many more can be made. */
uint32_t pair_room(const struct tunnel_state *state);

/* A pair of the keys that are in these slots now; there has to be room. Costs no scalar multiplication. */
uint32_t pair_add(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
		  enum key_slot remote);

/* Wipes it. Sessions made with it go on, and no longer know by which keys. */
void pair_remove(struct tunnel *tunnel, uint32_t pair_index);

/* Our own static in its slot became another one: only the preshared key and what guards against replay stay. */
void pair_renew(struct tunnel *tunnel, uint32_t pair_index);

/* Its noise half, ready for a handshake: what the statics share is computed when it is first needed, so that a new key
 * of ours does not stop the traffic for as many multiplications as there are peers. */
struct noise_pair *pair_derive(struct tunnel *tunnel, uint32_t pair_index);

/* The handshake under way has this index from now on (0: there is none); the one before is free. */
void pair_set_handshake_index(struct tunnel *tunnel, uint32_t pair_index, uint32_t index);

/* Wipes the handshake under way. */
void pair_forget_handshake(struct tunnel *tunnel, uint32_t pair_index);
