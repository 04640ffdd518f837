/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer: everything the tunnel knows of it but its secrets (struct peer, state.h), its keys, its
 * pairs and its endpoint.
 */
#pragma once

#include "tunnel.h"

/* The keys in a peer's record. The current key is always set; no key occurs twice. */
struct peer_keys {
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
};

/* The peer with the key, in any of its slots, or with the id; NO_PEER. */
uint32_t peer_find(const struct tunnel *tunnel, const struct public_key *key);
uint32_t peer_find_by_id(const struct tunnel *tunnel, uint32_t id);

/* Adds a peer with this current key. No other peer has the key, and there is room for its pairs.
 * NO_PEER: the pool is full. */
uint32_t peer_add(struct tunnel *tunnel, const struct public_key *key);

/* Wipes the peer's keys and pairs and frees its place in the pool. The caller has removed its
 * sessions, timers and prefixes. */
void peer_remove(struct tunnel *tunnel, uint32_t peer_index);

/* Replaces the peer's keys. A key that stays, in any slot, keeps its pairs; the pairs of a removed
 * key are wiped. */
void peer_replace_keys(struct tunnel *tunnel, uint32_t peer_index, const struct peer_keys *keys);
bool peer_has_key(const struct peer *peer, const struct public_key *key);

/* How many pairs each key of a peer has. */
uint32_t peer_pairs_of_a_key(const struct tunnel *tunnel);

/* The pair of our key in that slot and the peer's key `remote`; NO_PAIR. */
uint32_t peer_find_pair(const struct tunnel *tunnel, enum key_slot own,
			const struct public_key *remote);

/* The pair for the next handshake: our newest key that the peer has proved to know, and the peer's
 * next key, which it armed before publishing it. While tries stay unanswered they alternate, so
 * that no traffic depends on an old record. The newest pair always uses the peer's newest key. */
uint32_t peer_choose_pair(const struct tunnel *tunnel, uint32_t peer_index);
uint32_t peer_choose_newest_pair(const struct tunnel *tunnel, uint32_t peer_index);

/* The slot of its next key, or of the current one if there is no next key: it may have been
 * promoted before we tried it. */
enum key_slot peer_newest_key(const struct peer *peer);

/* Our key in that slot was set, replaced or cleared. There must be room for pairs. */
void peer_add_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void peer_renew_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void peer_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);

/* Our keys move by one slot; our previous key has no pairs any more. */
void peer_promote_own(struct tunnel *tunnel, uint32_t peer_index);

/* Is a handshake under way that we initiated, recent enough for an answer to arrive? */
bool peer_is_initiating(const struct tunnel *tunnel, uint32_t peer_index);

/* Wipes the handshakes under way: all, or those that we initiated with another pair. */
void peer_forget_handshakes(struct tunnel *tunnel, uint32_t peer_index);
void peer_forget_initiations_but(struct tunnel *tunnel, uint32_t peer_index, uint32_t pair_index);

/* The record now belongs to another node: discards the addresses at which the old one was
 * reached. */
void peer_forget_node(struct tunnel *tunnel, uint32_t peer_index);

/* Authenticated data arrived on the session: the peer knows our key that it was made with. */
void peer_note_proof(struct tunnel *tunnel, uint32_t session_index);

/* An authenticated datagram arrived from there: answer to that address, if the peer may be
 * there. */
void peer_follow(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *from,
		 const struct local_source *to);
