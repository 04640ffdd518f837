/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cryptokey routing (paper, 2): which peer owns an address, by longest prefix, both families. A compressed binary
 * trie in a pool of fixed size with indices for pointers, so that the whole is one serialisable value.
 */
#pragma once

#include "address.h"

#define ALLOWEDIPS_MAX	 262144 /* prefixes */
#define ALLOWEDIPS_NODES (2 * ALLOWEDIPS_MAX)
#define NO_PEER		 UINT32_MAX

struct allowedips_node {
	uint8_t bits[16];
	uint8_t prefix_len;
	uint8_t family;
	uint32_t children[2]; /* 0: none; node 0 is never used */
	uint32_t parent;      /* 0: root of its family */
	uint32_t peer;	      /* NO_PEER: a fork that carries no prefix */
	uint32_t next_of_peer, previous_of_peer; /* the peer's prefixes as a list, for removal and for wg(8) */
};

struct allowedips {
	uint32_t root4, root6;
	uint32_t free_head, never_used; /* free list, and the first node that was never taken */
	uint32_t count;			/* prefixes */
	struct allowedips_node nodes[ALLOWEDIPS_NODES];
};

void allowedips_init(struct allowedips *table);

/* Gives the prefix to the peer, taking it from whoever had it. `head` of every peer concerned is in peer_heads[],
 * indexed by peer. -ENOSPC where the pool is used up; then nothing changed. */
MUST_CHECK int allowedips_insert(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr,
				 uint32_t peer);

/* Takes the prefix from the peer; false where it did not have it. */
bool allowedips_remove(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr, uint32_t peer);

/* Takes all prefixes from the peer. */
void allowedips_remove_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer);

/* Longest match; bytes are in network order, 4 or 16 of them by family. NO_PEER: none. */
uint32_t allowedips_lookup(const struct allowedips *table, uint8_t family, const uint8_t *bytes);

/* Walks a peer's prefixes: start with 0, pass what was returned, 0 ends. */
uint32_t allowedips_next(const struct allowedips *table, const uint32_t *peer_heads, uint32_t peer, uint32_t position,
			 struct cidr *ret_cidr);
