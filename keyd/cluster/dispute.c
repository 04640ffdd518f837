// SPDX-License-Identifier: Apache-2.0
/*
 * Translates records to claims and verdicts back to members: gathers the evidence for each claim,
 * lets claim.c judge, and reports the losers. A member that lost a claim gets a reason; the member
 * that it lost to is marked as disputed, so that its presence is checked.
 */
#include "dispute.h"

static const char *prefix_text(char text[static CIDR_TEXT_LEN], const struct prefix_key *key)
{
	struct cidr cidr = prefix_key_to_cidr(key);

	return cidr_format(text, &cidr);
}

static const struct cluster_place *find_place(const struct cluster_member *member,
					      const struct address *address)
{
	for (uint32_t i = 0; i < member->place_count; i++)
		if (address_is_equal(&member->places[i].address, address))
			return &member->places[i];
	return NULL;
}

/* A record without a way to its node cannot protect that node's traffic, so it must not take other
 * nodes' either. */
static bool has_usable_record(const struct cluster_self *self, const struct cluster_member *member)
{
	const struct annotation *annotation;

	if (!member->chosen || !member->has_common_secret)
		return false;
	annotation = &member->chosen->annotation;
	for (uint32_t i = 0; i < annotation->endpoint_count; i++) {
		struct cidr cidr = cidr_of_address(&annotation->endpoints[i]);

		if ((cidr.address.family == AF_INET ? self->has_ipv4 : self->has_ipv6) &&
		    !prefix_special_name(&cidr))
			return true;
	}
	return false;
}

/* Do the maps currently assign the prefix to this node? */
static bool is_incumbent(const struct cluster_self *self, const struct cluster_member *member,
			 const struct cidr *cidr)
{
	struct prefix_key key = prefix_key_of_cidr(cidr);
	const struct prefix_entry *entry =
		prefix_entries_find(self->entries, self->entry_count, &key);

	return entry && !prefix_key_compare(&entry->key, &key) && member->id &&
	       entry->value.peer_id == member->id;
}

/* The state while the claims of one node are added. */
struct claimant {
	const struct cluster_self *self;
	struct claims *claims;
	struct cluster_member *member;
	uint32_t index;
	struct claim_evidence evidence; /* the part that all its claims share */
};

static void claim_unless_special(const struct claimant *claimant, enum claim_kind kind,
				 const struct cidr *cidr, struct claim_evidence *evidence)
{
	static const char *const nouns[] = {[CLAIM_ADDRESS] = "address",
					    [CLAIM_POD] = "pod prefix",
					    [CLAIM_ENDPOINT] = "endpoint"};
	const char *special = prefix_special_name(cidr);
	char text[CIDR_TEXT_LEN];

	if (special) {
		cluster_complain(claimant->member, "%s %s is refused: %s", nouns[kind],
				 cidr_format(text, cidr), special);
		return;
	}
	evidence->is_incumbent = is_incumbent(claimant->self, claimant->member, cidr);
	claims_add(claimant->claims, kind, claimant->index, cidr, evidence);
}

/* The node publishing an entry of its podCIDRs shows that the cluster uses them. A part of an entry
 * counts too: a node that reads its prefixes from its kernel publishes single pods. */
static bool is_pod_cidr(const struct claimant *claimant, const struct cidr *pods)
{
	const struct node *seen = claimant->member->seen;

	for (uint32_t i = 0; claimant->self->has_given_pod_cidrs && i < seen->pod_cidr_count; i++)
		if (cidr_contains(&seen->pod_cidrs[i], pods))
			return true;
	return false;
}

static void claim_pods(const struct claimant *claimant)
{
	const struct node *seen = claimant->member->seen, *chosen = claimant->member->chosen;
	const struct cidr *pods = chosen ? chosen->annotation.pods : seen->pod_cidrs;
	uint32_t count = chosen ? chosen->annotation.pod_count : seen->pod_cidr_count;

	for (uint32_t i = 0; i < count; i++) {
		struct claim_evidence evidence = claimant->evidence;

		evidence.is_pod_cidr = evidence.has_record && is_pod_cidr(claimant, &pods[i]);
		claim_unless_special(claimant, CLAIM_POD, &pods[i], &evidence);
	}
}

static bool is_in_range(const struct cluster_self *self, const struct address *address)
{
	for (uint32_t i = 0; i < self->range_count; i++)
		if (cidr_contains_address(&self->ranges[i], address))
			return true;
	return false;
}

/* Does the narrowest route to the address lead there without a gateway? */
static bool is_direct(const struct cluster_self *self, const struct address *address)
{
	const struct route *narrowest = NULL;

	for (uint32_t i = 0; i < self->route_count; i++) {
		const struct route *route = &self->routes[i];

		if (route->is_main && cidr_contains_address(&route->destination, address) &&
		    (!narrowest ||
		     route->destination.prefix_len > narrowest->destination.prefix_len))
			narrowest = route;
	}
	return narrowest && !narrowest->has_gateway && !narrowest->is_block;
}

static void claim_address(const struct claimant *claimant, enum claim_kind kind,
			  const struct address *address, bool is_askable)
{
	const struct cluster_place *place = find_place(claimant->member, address);
	struct cidr cidr = cidr_of_address(address);
	struct claim_evidence evidence = claimant->evidence;

	if (place && evidence.has_record) {
		evidence.proved_ns = place->has_lapsed ? 0 : place->proved_ns;
		evidence.answered_ns = place->has_lapsed ? 0 : place->answered_ns;
		evidence.left_ns = place->left_ns;
	}
	evidence.is_direct =
		is_in_range(claimant->self, address) && is_direct(claimant->self, address);
	evidence.is_askable = is_askable;
	claim_unless_special(claimant, kind, &cidr, &evidence);
}

/* Can the tunnel ask the node, and would an answer be a proof? */
static bool is_askable(const struct claimant *claimant)
{
	const struct node *chosen = claimant->member->chosen;

	return claimant->member->is_askable && chosen &&
	       chosen->annotation.port == claimant->self->port;
}

static void add_claims(const struct claimant *claimant)
{
	struct cluster_member *member = claimant->member;
	const struct node *seen = member->seen, *chosen = member->chosen;
	bool can_be_asked = is_askable(claimant);

	member->first_claim = claimant->claims->count;
	if (seen)
		claim_pods(claimant);
	for (uint32_t i = 0; seen && i < seen->address_count; i++)
		claim_address(claimant, CLAIM_ADDRESS, &seen->addresses[i],
			      can_be_asked && i < CLUSTER_ASKED_ADDRESSES_MAX);
	for (uint32_t i = 0; chosen && i < chosen->annotation.endpoint_count; i++)
		claim_address(claimant, CLAIM_ENDPOINT, &chosen->annotation.endpoints[i],
			      can_be_asked);
	member->claim_count = claimant->claims->count - member->first_claim;
}

static bool is_hole(const struct cluster_self *self, const struct cidr *cidr)
{
	for (uint32_t i = 0; i < self->hole_count; i++)
		if (cidr_is_equal(&self->holes[i], cidr))
			return true;
	return false;
}

/* A default route says nothing about the owner of a prefix. */
static void add_routes(struct claims *claims, const struct cluster_self *self)
{
	for (uint32_t i = 0; i < self->route_count; i++) {
		const struct route *route = &self->routes[i];

		if (route->is_main && !route->is_block && route->destination.prefix_len)
			claims_add_route(claims, &route->destination,
					 route->gateway.family ? &route->gateway : NULL);
	}
}

static void add_own_claims(struct claims *claims, const struct cluster_self *self)
{
	for (uint32_t i = 0; i < self->range_count; i++)
		claims_add(claims, CLAIM_RANGE, CLAIM_SELF, &self->ranges[i], NULL);
	for (uint32_t i = 0; i < self->hole_count; i++)
		claims_add(claims, CLAIM_HOLE, CLAIM_SELF, &self->holes[i], NULL);
	for (uint32_t i = 0; i < self->pod_count; i++)
		if (!is_hole(self, &self->pods[i]))
			claims_add(claims, CLAIM_OWN_POD, CLAIM_SELF, &self->pods[i], NULL);
	for (uint32_t i = 0; i < self->address_count; i++) {
		struct cidr cidr = cidr_of_address(&self->addresses[i]);

		claims_add(claims, CLAIM_OWN_ADDRESS, CLAIM_SELF, &cidr, NULL);
	}
}

static void explain_refusal(const struct claims *claims, const struct claim *claim,
			    struct cluster_member *member, struct cluster_member *const *members)
{
	const struct claim *other =
		claim->opponent == CLAIM_NONE ? NULL : &claims->items[claim->opponent];
	char own[CIDR_TEXT_LEN], theirs[CIDR_TEXT_LEN];

	prefix_text(own, &claim->key);
	if (!other)
		cluster_complain(member, "pod prefix %s lies outside the cluster range", own);
	else if (other->kind == CLAIM_ROUTE)
		cluster_complain(member, "%s is refused: this node's route to %s leads to node %s",
				 own, prefix_text(theirs, &other->key),
				 members[other->owner]->name);
	else if (other->kind == CLAIM_OWN_POD || other->kind == CLAIM_OWN_ADDRESS)
		cluster_complain(member, "%s overlaps %s, which belongs to this node", own,
				 prefix_text(theirs, &other->key));
	else
		cluster_complain(member, "%s overlaps %s, which %s to node %s", own,
				 prefix_text(theirs, &other->key),
				 other->owner == claim->owner ? "also belongs" : "belongs",
				 members[other->owner]->name);
}

/* The podCIDRs of a Node that publishes nothing are not its own claim; if the CNI ignores podCIDRs,
 * another node may legitimately have pods there. */
static bool is_no_dispute(const struct claims *claims, const struct claim *claim)
{
	return claim->kind == CLAIM_POD && !claim->evidence.has_record &&
	       claim->opponent != CLAIM_NONE &&
	       !claims->items[claim->opponent].evidence.is_pod_cidr;
}

static void report_claim(const struct claims *claims, const struct claim *claim,
			 struct cluster_member *member, struct cluster_member *const *members)
{
	uint32_t winner =
		claim->opponent == CLAIM_NONE ? CLAIM_NOBODY : claims->items[claim->opponent].owner;

	if (claim->is_accepted && claim->opponent == CLAIM_NONE)
		return;
	if (winner != CLAIM_SELF && winner != CLAIM_NOBODY && winner != claim->owner)
		members[winner]->is_in_dispute = true;
	if (!is_no_dispute(claims, claim))
		explain_refusal(claims, claim, member, members);
}

static void report_claims(const struct claims *claims, struct cluster_member *member,
			  struct cluster_member *const *members)
{
	static const enum claim_kind kinds[] = {CLAIM_ADDRESS, CLAIM_POD, CLAIM_ENDPOINT};

	for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++)
		for (uint32_t i = 0; i < member->claim_count; i++) {
			const struct claim *claim = &claims->items[member->first_claim + i];

			if (claim->kind == kinds[k])
				report_claim(claims, claim, member, members);
		}
}

void dispute_settle(const struct cluster_self *self, struct cluster_member *const *members,
		    uint32_t count, struct cluster_workspace *workspace)
{
	struct claims *claims = &workspace->claims;

	claims->count = 0;
	add_own_claims(claims, self);
	for (uint32_t age = 0; age < count; age++) {
		struct cluster_member *member = members[workspace->by_age[age]];
		struct claimant claimant = {
			.self = self,
			.claims = claims,
			.member = member,
			.index = workspace->by_age[age],
			.evidence = {.has_record = has_usable_record(self, member),
				     .is_silent = member->is_silent,
				     .age = age},
		};

		member->is_in_dispute = false;
		add_claims(&claimant);
	}
	add_routes(claims, self);
	claims_judge(claims);
	for (uint32_t i = 0; i < count; i++)
		report_claims(claims, members[i], members);
}
