/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node gets which prefix and which address, where several claim the same. CORE; in the caller's storage.
 *
 * This node's own pods and addresses are beyond dispute. The claims of the others are judged one after the other, the
 * strongest first, whatever they claim:
 *   1. an entry of the Node's podCIDRs that the node itself publishes too;
 *   2. an address at which a completed handshake proved the node to be, the earlier proof first;
 *   3. everything else, the older node first.
 * Behind all of these come, in the same order, the claims of nodes that are silent and addresses that their node has left
 * while another node answers there; and at the very end those of nodes without a usable record.
 *
 * A claim is accepted unless an accepted claim of another node covers it, so a dispute concerns the overlap alone: what
 * is wider stands around what is narrower and stronger. Furthermore
 *   a pod prefix   must lie in the cluster range; where this machine's route to it leads to another node, by a gateway
 *                  where that node was proved to be, only the first kind of claim stands;
 *   an address     that was proved stands inside a wider pod prefix, whatever that is: it is evidence of the network;
 *   an endpoint    takes nothing from anybody, and yields to stronger pods, its own node's included, unless it was proved;
 *                  or unless this machine reaches it without a gateway, because it could not be proved otherwise.
 *
 * What a question can decide is left as it is for the half second that an answer may take. Until then a claim that is new
 * yields to the incumbent, where an address is contested or comes to lie among pods, and to the route, where the
 * gateway's address was not yet proved. Of several unproved claimants of a gateway the first one added is asked.
 *
 * A hole is a part of our own prefixes that this machine's routes reach on another machine: our claim ends there.
 */
#pragma once

#include "prefix.h"

/* In the order in which claims of the very same prefix are told apart. */
enum claim_kind {
	CLAIM_RANGE,
	CLAIM_OWN_POD,
	CLAIM_HOLE,
	CLAIM_OWN_ADDRESS,
	CLAIM_ADDRESS,
	CLAIM_ROUTE, /* a route's destination: no claim of any node, but a witness */
	CLAIM_POD,
	CLAIM_ENDPOINT,
	CLAIM_GATEWAY /* of the route added before it */
};

/* A node that has left an address has left it to one that answered there no longer than this before. */
#define CLAIM_ANSWER_NS (10 * NS_PER_S)

#define CLAIM_NONE	UINT32_MAX
#define CLAIM_SELF	UINT32_MAX	 /* as owner */
#define CLAIM_NOBODY	(UINT32_MAX - 1) /* as owner: no node's */

/* What speaks for a claim. Times are of one clock, 0: never. */
struct claim_evidence {
	bool has_record;      /* its node published a usable one */
	bool is_silent;	      /* nothing was heard from the node, though it was asked */
	bool is_askable;      /* the node can be asked whether it is at this address */
	bool is_pod_cidr;     /* a pod prefix, and an entry of the Node's podCIDRs */
	bool is_direct;	      /* an endpoint that this machine reaches without a gateway */
	bool is_incumbent;    /* the prefix or address is its node's so far */
	uint64_t proved_ns;   /* of an address: the first handshake that was completed there */
	uint64_t answered_ns; /* and the last one */
	uint64_t left_ns;     /* the first of several questions there that have no answer */
	uint32_t age;	      /* the node's place in the order of age, 0 is the oldest */
};

struct claim {
	struct prefix_key key;
	struct claim_evidence evidence;
	uint8_t kind;	    /* enum claim_kind */
	uint8_t tier, rank; /* smaller is stronger; then the evidence decides */
	bool is_accepted;
	bool is_asked;	/* a proof at this address, or the lack of one, would decide a dispute */
	uint32_t owner; /* the caller's number, one for each node, or CLAIM_SELF */
	uint32_t place; /* where it is in claims->places */
	uint32_t
		opponent; /* of a refused claim: the one that covers it, or a route; CLAIM_NONE: it lies outside the
			      range. Of an accepted one: a claim of another node that was accepted inside it, if any */
};

/* Routes to nodes that were proved to be at the gateway: two of different nodes. */
struct claim_routes {
	uint32_t items[2];
	bool has_more; /* to other nodes than these */
	bool is_open;  /* one leads to no node that is known: no witness */
};

/* An address at the gateway of a route that was not proved, while nothing else is. */
struct claim_suspect {
	uint32_t address, route;
};

/* One prefix with all that is claimed of it. Indices of claims, CLAIM_NONE: there is none. */
struct claim_place {
	struct prefix_key key;
	uint32_t parent; /* the narrowest place that contains this one */
	bool is_range, is_hole;
	bool has_pods; /* some node claims pods here, accepted or not */

	/* accepted */
	uint32_t own_pod, own_address, pod, address;
	uint32_t inside[2]; /* in narrower places, of two owners */

	/* addresses that nodes with a record claim here */
	uint32_t first_address;
	bool is_address_contested; /* another node than that one's claims it as well */
	bool is_pending;	   /* one may still prove itself */
	uint32_t answered[2];	   /* those that answered last, of two nodes */
	uint32_t prover;	   /* the address or endpoint with the earliest proof */
	uint32_t unproved;	   /* an address without one that can be asked for it */

	/* routes to here */
	bool has_route;
	struct claim_routes routes, routes_inside;
	struct claim_suspect suspect, suspect_inside;
};

/* Storage must have room for as many of each as there are claims; `claims` starts with count 0. */
struct claims {
	struct claim *items; /* as they were added */
	uint32_t *order;     /* indices of items */
	struct claim_place *places;
	uint32_t count, place_count;
};

/* NULL: there is no evidence, as for this node's own claims. */
void claims_add(struct claims *claims, enum claim_kind kind, uint32_t owner,
		const struct cidr *cidr, const struct claim_evidence *evidence);

/* A route of this machine; gateway NULL: a direct one, or one by several ways that are not known. Takes room for two. */
void claims_add_route(struct claims *claims, const struct cidr *destination,
		      const struct address *gateway);

/* Once, after everything was added. */
void claims_judge(struct claims *claims);

/* Does any claim of pods cover this accepted address, or, inside the range, another node with a record claim it? Then
 * nothing to it leaves in cleartext, whoever sends it. */
bool claims_is_contested(const struct claims *claims, const struct claim *address);

/* Is the claim inside the cluster range? */
bool claims_is_in_range(const struct claims *claims, const struct claim *claim);
