/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node makes of all the others: which record of each is in use, who is refused and why, which prefixes are
 * whose. CORE: known and seen in, desired state out. A bad record of one node changes nothing for any other node, and
 * nothing that is refused here becomes clear traffic: what nobody may claim stays CLUSTER, what a node without a usable
 * record claims stays PEER of an unusable peer, and both are dropped.
 */
#pragma once

#include "resolution.h"
#include "rotate.h"

struct cluster_needs {
	uint32_t keys, claims;
};

struct cluster_needs cluster_needs(const struct cluster_self *self,
				   struct cluster_member *const *members, uint32_t count);

/* By the order of claim.h, of which this gathers the evidence. */
void cluster_resolve(const struct cluster_self *self, struct cluster_member *const *members,
		     uint32_t count, struct cluster_workspace *workspace);

/* A session was made under this key of the node: nobody else gets it, however old. */
void cluster_note_proof(struct cluster_member *member, const struct public_key *key);

/* After a resolution: does the record in use so far count no more? The caller then lets it go, and `seen` takes its
 * place if that was chosen. */
bool cluster_outgrew_good(const struct cluster_member *member);

/* The map's content, settled; ret_entries has room for cluster_needs().claims. Returns their number. */
uint32_t cluster_list_prefixes(const struct cluster_workspace *workspace,
			       struct cluster_member *const *members,
			       struct prefix_entry *ret_entries);

/* Addresses of the member at which a proof, or its lack, decides a dispute. Returns their number. */
uint32_t cluster_list_questions(const struct cluster_workspace *workspace,
				const struct cluster_member *member, struct address *ret_addresses,
				uint32_t max);

#define CLUSTER_TARGETS_MAX (ANNOTATION_ENDPOINTS_MAX + CLUSTER_QUESTIONS_MAX)

/* Where the tunnel sends datagrams for the member, or asks for it, inside the cluster range. Returns their number. */
uint32_t cluster_list_targets(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct address *ret_addresses,
			      uint32_t max);

/* Does the node claim this address, as its own or as an endpoint? */
bool cluster_claims_address(const struct cluster_workspace *workspace,
			    const struct cluster_member *member, const struct address *address);

/* What the peer may send: accepted pod prefixes, then its addresses; at most `max`. Returns their number, and in
 * *ret_pod_count how many of them are pods. */
uint32_t cluster_list_allowed(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct cidr *ret_cidrs,
			      uint32_t max, uint32_t *ret_pod_count);
