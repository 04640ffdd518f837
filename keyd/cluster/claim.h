/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides which node owns each prefix and address if several nodes claim it. CORE; in the caller's
 * storage.
 *
 * This node's own pods and addresses are beyond dispute. The claims of other nodes are judged in
 * order of strength, regardless of their kind:
 *   1. an entry of the Node's podCIDRs that the node itself publishes too;
 *   2. an address at which a completed handshake proved the node to be, the earlier proof first;
 *   3. everything else, the older node first.
 * Then follow, in the same order, the claims of silent nodes and the addresses that their node has
 * left while another node answers there; last come the claims of nodes without a usable record.
 *
 * A claim is accepted unless an accepted claim of another node covers it. A dispute therefore
 * concerns the overlap alone: a wider prefix remains accepted around a narrower, stronger one. In
 * addition:
 *   - a pod prefix must lie in the cluster range; if this machine's route to it leads to another
 *     node, through a gateway at which that node was proved to be, only a claim of the first kind
 *     is accepted;
 *   - a proved address is accepted inside any wider pod prefix, because it is evidence from the
 *     network;
 *   - an endpoint displaces no other claim and yields to stronger pods, including its own node's,
 *     unless it was proved or this machine reaches it without a gateway (it could not be proved
 *     otherwise).
 *
 * If the answer to a question can decide a dispute, nothing changes for the half second that the
 * answer may take. Until then a new claim yields to the incumbent if an address is contested or now
 * lies among pods, and to the route if the gateway's address is not proved yet. Of several unproved
 * claimants of a gateway, the first one added is asked.
 *
 * A hole is a part of our own prefixes that this machine's routes reach on another machine: our
 * claim ends there.
 */
#pragma once

#include "prefix.h"

/* In the order that ranks claims of the very same prefix. */
enum claim_kind {
	CLAIM_RANGE,
	CLAIM_OWN_POD,
	CLAIM_HOLE,
	CLAIM_OWN_ADDRESS,
	CLAIM_ADDRESS,
	CLAIM_ROUTE, /* a route's destination: not a node's claim, but a witness */
	CLAIM_POD,
	CLAIM_ENDPOINT,
	CLAIM_GATEWAY /* of the route added before it */
};

/* A node has left an address for another node if that node answered there at most this long
 * before. */
#define CLAIM_ANSWER_NS (10 * NS_PER_S)

#define CLAIM_NONE	UINT32_MAX
#define CLAIM_SELF	UINT32_MAX	 /* as owner */
#define CLAIM_NOBODY	(UINT32_MAX - 1) /* as owner: no node */

/* The evidence for a claim. All times are of one clock; 0: never. */
struct claim_evidence {
	bool has_record;      /* its node published a usable record */
	bool is_silent;	      /* the node was asked, and nothing was heard from it */
	bool is_askable;      /* the node can be asked whether it is at this address */
	bool is_pod_cidr;     /* a pod prefix, and an entry of the Node's podCIDRs */
	bool is_direct;	      /* an endpoint that this machine reaches without a gateway */
	bool is_incumbent;    /* the prefix or address belongs to its node so far */
	uint64_t proved_ns;   /* of an address: the first completed handshake there */
	uint64_t answered_ns; /* ... and the latest one */
	uint64_t left_ns;     /* the first of several unanswered questions there */
	uint32_t age;	      /* the node's rank by age, 0 is the oldest */
};

struct claim {
	struct prefix_key key;
	struct claim_evidence evidence;
	uint8_t kind;	    /* enum claim_kind */
	uint8_t tier, rank; /* smaller is stronger; if equal, the evidence decides */
	bool is_accepted;
	bool is_asked;	/* a proof at this address, or its absence, would decide a dispute */
	uint32_t owner; /* the caller's number of the node, or CLAIM_SELF */
	uint32_t place; /* index in claims->places */
	/* If refused: the claim that covers this one, or a route; CLAIM_NONE: it lies outside the
	 * range. If accepted: a claim of another node accepted inside this one, if any. */
	uint32_t opponent;
};

/* Routes to nodes proved to be at the gateway, of two different nodes. */
struct claim_routes {
	uint32_t items[2];
	bool has_more; /* to further nodes */
	bool is_open;  /* one of them leads to no known node and is no witness */
};

/* An unproved address at the gateway of a route, while no address there is proved. */
struct claim_suspect {
	uint32_t address, route;
};

/* One prefix and every claim of it. The fields are indices of claims; CLAIM_NONE: there is none. */
struct claim_place {
	struct prefix_key key;
	uint32_t parent; /* the narrowest place that contains this one */
	bool is_range, is_hole;
	bool has_pods; /* some node claims pods here, accepted or not */

	/* accepted */
	uint32_t own_pod, own_address, pod, address;
	uint32_t inside[2]; /* in narrower places, of two owners */

	/* addresses claimed here by nodes with a record */
	uint32_t first_address;
	bool is_address_contested; /* a second node claims it as well */
	bool is_pending;	   /* one of the claimants may still prove itself */
	uint32_t answered[2];	   /* the latest to answer, of two nodes */
	uint32_t prover;	   /* the address or endpoint with the earliest proof */
	uint32_t unproved;	   /* an unproved address that can be asked for a proof */

	/* routes to here */
	bool has_route;
	struct claim_routes routes, routes_inside;
	struct claim_suspect suspect, suspect_inside;
};

/* Each array needs room for as many items as there are claims; `claims` starts with count 0. */
struct claims {
	struct claim *items; /* in the order in which they were added */
	uint32_t *order;     /* indices of items */
	struct claim_place *places;
	uint32_t count, place_count;
};

/* `evidence` NULL: there is none, as for this node's own claims. */
void claims_add(struct claims *claims, enum claim_kind kind, uint32_t owner,
		const struct cidr *cidr, const struct claim_evidence *evidence);

/* A route of this machine. `gateway` NULL: a direct route, or one with several next hops that are
 * not known. Needs room for two claims. */
void claims_add_route(struct claims *claims, const struct cidr *destination,
		      const struct address *gateway);

/* Called once, after every claim was added. */
void claims_judge(struct claims *claims);

/* Does any claim of pods cover this accepted address, or, inside the range, does another node with
 * a record claim it? If so, no node may send to it in cleartext. */
bool claims_is_contested(const struct claims *claims, const struct claim *address);

/* Is the claim inside the cluster range? */
bool claims_is_in_range(const struct claims *claims, const struct claim *claim);
