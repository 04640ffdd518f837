/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits handshakes per source address under load (paper, 5.3): a token bucket for each IPv4
 * address or IPv6 /64, 20 a second, bursts of 5, in a table of fixed size. A full table refuses new
 * addresses, so memory is bounded.
 */
#pragma once

#include "address.h"

#define RATELIMIT_PER_SECOND 20
#define RATELIMIT_BURST	     5
#define RATELIMIT_ENTRIES    65536
#define RATELIMIT_BUCKETS    16384 /* power of two; chains of four when full */

struct ratelimit_entry {
	uint8_t source[9]; /* family (4, 6 or 0: free) and eight bytes of address */
	uint32_t next;	   /* in the chain or the free list: index + 1; 0 ends it */
	uint64_t tokens_ns;
	uint64_t last_ns;
};

struct ratelimit {
	uint8_t hash_key[16]; /* random, since the attacker chooses addresses */
	uint64_t last_sweep_ns;
	uint32_t used;
	/* entries at and above it were never used: their memory is not touched */
	uint32_t used_end;
	uint32_t free; /* index + 1; 0: none */
	uint32_t buckets[RATELIMIT_BUCKETS];
	struct ratelimit_entry entries[RATELIMIT_ENTRIES];
};

/* Initializes an empty table; hash_key is 16 random bytes. */
void ratelimit_init(struct ratelimit *limit, const uint8_t hash_key[static 16]);

/* Takes a token; false if there is none, or no room for the address. Entries idle for a second are
 * reused by the first call that is a second or more after the last sweep. */
MUST_CHECK bool ratelimit_allow(struct ratelimit *limit, const union endpoint *source,
				uint64_t now_ns);
