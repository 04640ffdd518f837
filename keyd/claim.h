/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which prefix, where several nodes claim the same. CORE; in the caller's storage.
 *
 * This node's own pods and addresses are beyond dispute. After them come the nodes' addresses, then their pod prefixes,
 * each time the older node first; a claim is accepted where no accepted one stands against it:
 *   a pod prefix   must lie in the cluster range, and may touch neither another's pods nor anybody's address; and where
 *                  this machine has a route to it, that must not lead to another node;
 *   an address     may be neither ours nor in our pods nor another node's;
 *   an endpoint    may be neither ours nor in anybody's pods.
 * A hole is a part of our own prefixes that this machine's routes reach on another machine: our claim ends there.
 */
#pragma once

#include "prefix.h"

/* In the order in which claims of the very same prefix nest: what is asked about follows what it is compared with. */
enum claim_kind {
	CLAIM_RANGE,
	CLAIM_OWN_POD,
	CLAIM_HOLE,
	CLAIM_OWN_ADDRESS,
	CLAIM_ADDRESS,
	CLAIM_ROUTE, /* a route's destination; no claim of anybody, but a witness */
	CLAIM_POD,
	CLAIM_ENDPOINT,
	CLAIM_GATEWAY /* of the route added before it */
};

#define CLAIM_NONE   UINT32_MAX
#define CLAIM_SELF   UINT32_MAX	      /* as owner */
#define CLAIM_NOBODY (UINT32_MAX - 1) /* as owner: no node's */

struct claim {
	struct prefix_key key;
	uint8_t kind; /* enum claim_kind */
	bool is_accepted;
	uint32_t owner;	    /* whose: the caller's number, one for each node, or CLAIM_SELF */
	uint32_t parent;    /* the narrowest claim that contains this one */
	uint32_t below;	    /* an accepted pod prefix or address inside this one */
	uint32_t routes[2]; /* inside this one, to two different nodes */
	uint32_t
		opponent; /* of a refused claim: what stands against it; CLAIM_NONE: it lies outside the range */
};

struct claims {
	struct claim *items; /* as they were added */
	uint32_t *order;     /* indices, wider prefixes first */
	uint32_t count;
};

/* Storage must have room; `claims` starts with count 0. */
void claims_add(struct claims *claims, enum claim_kind kind, uint32_t owner,
		const struct cidr *cidr);

/* A route of this machine; gateway NULL: a direct one, or one by several ways that are not known. Takes room for two. */
void claims_add_route(struct claims *claims, const struct cidr *destination,
		      const struct address *gateway);

/* Finds who contains whom and accepts what is ours. Once, after everything was added. */
void claims_nest(struct claims *claims);

/* Finds to which nodes the routes lead. Once, after the addresses are decided and before the pod prefixes are. */
void claims_follow_routes(struct claims *claims);

/* Decides the claims first .. first + count - 1, all of one owner and taken in one step, as far as they are of this kind. */
void claims_decide(struct claims *claims, enum claim_kind kind, uint32_t first, uint32_t count);
