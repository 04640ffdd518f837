/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer: everything the tunnel knows of it but its secrets (struct peer, state.h), its keys, its pairs and its endpoint.
 */
#pragma once

#include "tunnel.h"

/* All that the peer's record names; current always, no key twice. */
struct peer_keys {
	bool has_key[KEY_SLOTS];
	struct public_key keys[KEY_SLOTS];
};

/* The peer with the key, in any of its slots, or with the id; NO_PEER. */
uint32_t peer_find(const struct tunnel *tunnel, const struct public_key *key);
uint32_t peer_find_by_id(const struct tunnel *tunnel, uint32_t id);

/* Adds a peer with this current key, which nobody else has; there has to be room for its pairs. NO_PEER: the pool is
 * full. */
uint32_t peer_add(struct tunnel *tunnel, const struct public_key *key);

/* Wipes its keys and pairs and frees its place. Its sessions, timers and prefixes are gone already. */
void peer_remove(struct tunnel *tunnel, uint32_t peer_index);

/* A key that stays, in whichever slot, keeps its pairs; those of a key that goes are wiped. */
void peer_replace_keys(struct tunnel *tunnel, uint32_t peer_index, const struct peer_keys *keys);
bool peer_has_key(const struct peer *peer, const struct public_key *key);

/* How many pairs each key of a peer needs. */
uint32_t peer_pairs_of_a_key(const struct tunnel *tunnel);

/* The pair of the statics with these public halves, ours and a peer's; NO_PAIR. */
uint32_t peer_find_pair(const struct tunnel *tunnel, enum key_slot own,
			const struct public_key *remote);

/* With which statics the next handshake is to be begun. Ours is the newest that the peer has proved to know; the peer's
 * is its next one, which it armed before it published it. Where that stays without an answer the tries alternate, so
 * that no traffic depends on a record that is old. */
uint32_t peer_choose_pair(const struct tunnel *tunnel, uint32_t peer_index);
uint32_t peer_choose_newest_pair(const struct tunnel *tunnel, uint32_t peer_index);

/* Its next key, or the current one where there is none: a next one may have been promoted before we tried it. */
enum key_slot peer_newest_key(const struct peer *peer);

/* Our key in that slot is there now, is another one than it was, or is gone. There has to be room for pairs. */
void peer_add_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void peer_renew_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void peer_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);

/* Our keys move on by one slot; there are no pairs of the previous one any more. */
void peer_promote_own(struct tunnel *tunnel, uint32_t peer_index);

/* Is a handshake under way that we began, young enough for an answer to come? */
bool peer_is_initiating(const struct tunnel *tunnel, uint32_t peer_index);

/* Wipes the handshakes under way: all, or those that we began with another pair. */
void peer_forget_handshakes(struct tunnel *tunnel, uint32_t peer_index);
void peer_forget_initiations_but(struct tunnel *tunnel, uint32_t peer_index, uint32_t pair_index);

/* The record is another node's from now on: what was learnt of the one before says nothing of it. */
void peer_forget_node(struct tunnel *tunnel, uint32_t peer_index);

/* Authenticated data came on the session: the peer knows the key of ours that it was made with. */
void peer_note_proof(struct tunnel *tunnel, uint32_t session_index);

/* An authenticated datagram came from there: answers go there, if the peer may be there. */
void peer_follow(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *from,
		 const struct local_source *to);
