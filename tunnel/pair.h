/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pair of static keys, our own and a peer's: the handshake under way, its rate limit, its cookie.
 * The secret half (noise.h) is in the locked part of the state, under the same index. A pair
 * belongs to two keys, not to two slots: when a key moves to another slot, its pairs move with it,
 * untouched.
 */
#pragma once

#include "tunnel.h"

/* How many more pairs can be added. */
uint32_t pair_room(const struct tunnel_state *state);

/* Adds a pair of the keys that are in these slots now; there must be room. Costs no scalar
 * multiplication. */
uint32_t pair_add(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own,
		  enum key_slot remote);

/* Wipes the pair. Sessions made with it continue, with NO_PAIR. */
void pair_remove(struct tunnel *tunnel, uint32_t pair_index);

/* Our static key in its slot was replaced: only the preshared key and the replay protection
 * stay. */
void pair_renew(struct tunnel *tunnel, uint32_t pair_index);

/* Its noise half, ready for a handshake. The static-static secret is computed on first use, so that
 * changing our key does not stall traffic for one multiplication per peer. */
struct noise_pair *pair_derive(struct tunnel *tunnel, uint32_t pair_index);

/* Sets the receiver index of the handshake under way (0: none) and frees the one before. */
void pair_set_handshake_index(struct tunnel *tunnel, uint32_t pair_index, uint32_t index);

/* Wipes the handshake under way. */
void pair_forget_handshake(struct tunnel *tunnel, uint32_t pair_index);
