/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How this node judges the other nodes: which record of each is in use, which nodes are refused and
 * why, and which node owns each prefix. CORE: observed state in, desired state out. A bad record of
 * one node changes nothing for any other node, and nothing refused here becomes cleartext traffic:
 * an address that no node may claim remains CLUSTER, an address claimed by a node without a usable
 * record remains PEER of an unusable peer, and both are dropped.
 */
#pragma once

#include "resolution.h"
#include "rotate.h"

struct cluster_needs {
	uint32_t keys, claims;
};

struct cluster_needs cluster_needs(const struct cluster_self *self,
				   struct cluster_member *const *members, uint32_t count);

/* Gathers the evidence for claim.h and applies its order. */
void cluster_resolve(const struct cluster_self *self, struct cluster_member *const *members,
		     uint32_t count, struct cluster_workspace *workspace);

/* A session was made under this key of the node: from now on no other node gets it, however old
 * that node is. */
void cluster_note_proof(struct cluster_member *member, const struct public_key *key);

/* After a resolution: is the record in use so far obsolete? The caller then drops it, and `seen`
 * replaces it if it was chosen. */
bool cluster_outgrew_good(const struct cluster_member *member);

/* Lists the map's content, settled; ret_entries has room for cluster_needs().claims. Returns the
 * number. */
uint32_t cluster_list_prefixes(const struct cluster_workspace *workspace,
			       struct cluster_member *const *members,
			       struct prefix_entry *ret_entries);

/* Lists the member's addresses at which a proof, or its absence, decides a dispute. Returns the
 * number. */
uint32_t cluster_list_questions(const struct cluster_workspace *workspace,
				const struct cluster_member *member, struct address *ret_addresses,
				uint32_t max);

#define CLUSTER_TARGETS_MAX (ANNOTATION_ENDPOINTS_MAX + CLUSTER_QUESTIONS_MAX)

/* Lists the addresses inside the cluster range to which the tunnel sends datagrams for the member,
 * or asks for it. Returns the number. */
uint32_t cluster_list_targets(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct address *ret_addresses,
			      uint32_t max);

/* Does the node claim this address, as its own or as an endpoint? */
bool cluster_claims_address(const struct cluster_workspace *workspace,
			    const struct cluster_member *member, const struct address *address);

/* Lists the sources that the peer may use: accepted pod prefixes, then its addresses; at most
 * `max`. Returns the number, and in *ret_pod_count how many of them are pod prefixes. */
uint32_t cluster_list_allowed(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct cidr *ret_cidrs,
			      uint32_t max, uint32_t *ret_pod_count);
