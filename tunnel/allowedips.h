/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptokey routing (paper, 2): the peer that owns an address, by longest prefix, both families. A
 * compressed binary trie in a pool of fixed size with indices for pointers, so that the whole is
 * one serialisable value. A peer is its peer_index.
 */
#pragma once

#include "address.h"

#define ALLOWEDIPS_MAX	 262144 /* prefixes */
#define ALLOWEDIPS_NODES (2 * ALLOWEDIPS_MAX)
#define NO_PEER		 UINT32_MAX

struct allowedips_node {
	/* the address from its first bit, which is the highest of bits[0]; the rest is zero */
	uint64_t bits[2];
	uint8_t prefix_len;
	uint8_t family;
	bool is_stale;	      /* marked, and not inserted again since */
	uint32_t children[2]; /* 0: none; node 0 is never used */
	uint32_t parent;      /* 0: root of its family */
	uint32_t peer;	      /* NO_PEER: a fork, which has no prefix and always both children */
	/* The peer's prefixes, oldest first; 0 follows the last one, and the first one's previous
	 * is the last. */
	uint32_t next_of_peer, previous_of_peer;
};

struct allowedips {
	uint32_t root4, root6;
	/* free list through parent, and the first node that was never used */
	uint32_t free_head, never_used;
	uint32_t count; /* prefixes */
	struct allowedips_node nodes[ALLOWEDIPS_NODES];
};

/* In all functions, peer_heads[] is indexed by peer and holds the first prefix of each; all zero at
 * the start. */

void allowedips_init(struct allowedips *table);

/* Assigns the prefix to the peer, removing it from its former owner; a prefix that the peer already
 * has keeps its place in the peer's list. -ENOSPC if the table holds ALLOWEDIPS_MAX prefixes; then
 * nothing changed. */
MUST_CHECK int allowedips_insert(struct allowedips *table, uint32_t *peer_heads,
				 const struct cidr *cidr, uint32_t peer);

/* Removes the prefix from the peer; false if it did not have it. */
bool allowedips_remove(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr,
		       uint32_t peer);

/* Removes all prefixes of the peer. */
void allowedips_remove_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer);

/*
 * To replace a peer's prefixes: mark the present ones, insert the new ones, sweep those that are
 * still marked. An address in both sets is never without its peer in between. A mark without a
 * sweep has no effect.
 */
void allowedips_mark_peer(struct allowedips *table, const uint32_t *peer_heads, uint32_t peer);
void allowedips_sweep_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer);

/* Longest match; bytes are in network order, 4 or 16 of them by family. NO_PEER: none. */
uint32_t allowedips_lookup(const struct allowedips *table, uint8_t family, const uint8_t *bytes);

/* The owner of exactly this prefix; NO_PEER: none. */
uint32_t allowedips_owner(const struct allowedips *table, const struct cidr *cidr);

/* Walks a peer's prefixes: start with 0, pass the last result, 0 ends the walk. A prefix may be
 * removed only after the next one was fetched. */
uint32_t allowedips_next(const struct allowedips *table, const uint32_t *peer_heads, uint32_t peer,
			 uint32_t position, struct cidr *ret_cidr);
