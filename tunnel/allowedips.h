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
	uint64_t bits
		[2]; /* the address from its first bit, which is the highest of bits[0]; the rest is zero */
	uint8_t prefix_len;
	uint8_t family;
	bool is_stale;	      /* marked, and not inserted again since */
	uint32_t children[2]; /* 0: none; node 0 is never used */
	uint32_t parent;      /* 0: root of its family */
	uint32_t peer; /* NO_PEER: a fork, which carries no prefix and always has both children */
	uint32_t next_of_peer,
		previous_of_peer; /* the peer's prefixes, oldest first; 0 follows the last one, and the
						    first one's previous is the last */
};

struct allowedips {
	uint32_t root4, root6;
	uint32_t free_head,
		never_used; /* free list through parent, and the first node that was never taken */
	uint32_t count;	    /* prefixes */
	struct allowedips_node nodes[ALLOWEDIPS_NODES];
};

/* Throughout, peer_heads[] is indexed by peer and has the first prefix of each; all zero in the beginning. */

void allowedips_init(struct allowedips *table);

/* Gives the prefix to the peer, taking it from whoever had it; a prefix the peer has already stays where it is in its
 * list. -ENOSPC where the table holds ALLOWEDIPS_MAX prefixes; then nothing changed. */
MUST_CHECK int allowedips_insert(struct allowedips *table, uint32_t *peer_heads,
				 const struct cidr *cidr, uint32_t peer);

/* Takes the prefix from the peer; false where it did not have it. */
bool allowedips_remove(struct allowedips *table, uint32_t *peer_heads, const struct cidr *cidr,
		       uint32_t peer);

/* Takes all prefixes from the peer. */
void allowedips_remove_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer);

/*
 * Replacing a peer's prefixes: mark what it has, insert what it shall have, sweep what is still marked. An address that
 * is in the old set and in the new is never without its peer in between. A mark that is not swept means nothing.
 */
void allowedips_mark_peer(struct allowedips *table, const uint32_t *peer_heads, uint32_t peer);
void allowedips_sweep_peer(struct allowedips *table, uint32_t *peer_heads, uint32_t peer);

/* Longest match; bytes are in network order, 4 or 16 of them by family. NO_PEER: none. */
uint32_t allowedips_lookup(const struct allowedips *table, uint8_t family, const uint8_t *bytes);

/* Who has exactly this prefix. NO_PEER: nobody. */
uint32_t allowedips_owner(const struct allowedips *table, const struct cidr *cidr);

/* Walks a peer's prefixes: start with 0, pass what was returned, 0 ends. The one returned may be removed only after
 * the one behind it was asked for. */
uint32_t allowedips_next(const struct allowedips *table, const uint32_t *peer_heads, uint32_t peer,
			 uint32_t position, struct cidr *ret_cidr);
