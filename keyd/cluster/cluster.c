// SPDX-License-Identifier: Apache-2.0
/*
 * Judges the records of other nodes as far as records alone allow (keys, epochs, prefixes,
 * endpoints), in three steps: choose the record of each node that may be used, settle the owner of
 * each key, settle the owner of each prefix. Every resolution starts from the records, never from
 * the outcome of the last one, so nothing has to be undone.
 */
#include "cluster.h"

#include <inttypes.h>

#include "dispute.h"
#include "sort.h"

#define RANK_SELF   0
#define RANK_PROVED 1
/* of the record in use so far: a node that copies a new key does not get it */
#define RANK_HELD  2
#define RANK_AGE   3 /* and up: current keys before others */
#define RANK_OTHER (RANK_AGE + (1U << 30))

static int compare_age(const void *context, const void *left, const void *right)
{
	struct cluster_member *const *members = context;
	const struct cluster_member *a = members[*(const uint32_t *)left],
				    *b = members[*(const uint32_t *)right];
	int64_t a_created = a->seen ? a->seen->created_s : INT64_MAX;
	int64_t b_created = b->seen ? b->seen->created_s : INT64_MAX;
	int order = (a_created > b_created) - (a_created < b_created);

	return order ? order : strcmp(a->name, b->name);
}

/* -- which record -- */

static bool keys_are_equal(const struct annotation *a, const struct annotation *b)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (a->has_key[slot] != b->has_key[slot] ||
		    (a->has_key[slot] && !public_key_is_equal(&a->keys[slot], &b->keys[slot])))
			return false;
	return true;
}

/* Does the tunnel hold a newer record of the same node? */
static bool is_behind_tunnel(const struct cluster_member *member,
			     const struct annotation *annotation)
{
	return annotation->epoch < member->told_epoch && !strcmp(annotation->uid, member->told_uid);
}

/* Returns the record in use so far; NULL if the Node was re-created under its name, or if the
 * tunnel, which we found only later, holds a newer record. */
static const struct node *still_good(const struct cluster_member *member)
{
	const struct node *good = member->good;

	if (!good || !member->seen || strcmp(good->uid, member->seen->uid))
		return NULL;
	return is_behind_tunnel(member, &good->annotation) ? NULL : good;
}

static bool refuse_lower(const struct annotation *new, uint64_t epoch, struct refusal *refusal)
{
	return refuse(refusal,
		      "epoch %" PRIu64 " is lower than %" PRIu64 ", which this node has seen "
		      "before: expected a higher one",
		      new->epoch, epoch);
}

static bool follows(const struct annotation *new, const struct annotation *old,
		    struct refusal *refusal)
{
	if (new->epoch < old->epoch)
		return refuse_lower(new, old->epoch, refusal);
	if (new->epoch == old->epoch && !keys_are_equal(new, old))
		return refuse(refusal,
			      "the keys have changed within epoch %" PRIu64 ": expected a higher "
			      "epoch",
			      new->epoch);
	return true;
}

/* Judging by the record alone, may the annotation of the newest record be used? */
static bool is_candidate(const struct cluster_self *self, const struct cluster_member *member,
			 struct refusal *refusal)
{
	const struct node *seen = member->seen, *good = still_good(member);
	const struct annotation *new = &seen->annotation;

	if (seen->record == RECORD_INVALID)
		return refuse(refusal, "annotation: %s", seen->refusal.text);
	if (seen->record == RECORD_MISSING)
		return good || !strcmp(member->told_uid, seen->uid)
			       ? refuse(refusal,
					"its annotation was removed: the last one stays in use")
			       : false;
	if (strcmp(new->uid, seen->uid))
		return refuse(refusal, "the annotation has uid '%s': expected the node's own, '%s'",
			      new->uid, seen->uid);
	if (new->epoch > self->now_ms + EPOCH_AHEAD_MAX_MS)
		return refuse(refusal,
			      "epoch %" PRIu64 " is more than 24 hours ahead of this node's clock",
			      new->epoch);
	if (is_behind_tunnel(member, new))
		return refuse_lower(new, member->told_epoch, refusal);
	if (member->floor && !strcmp(member->floor->uid, new->uid) &&
	    !follows(new, member->floor, refusal))
		return false;
	return !good || good == seen || follows(new, &good->annotation, refusal);
}

/* -- which key -- */

static bool has_proved(const struct cluster_member *member, const struct public_key *key)
{
	for (uint32_t i = 0; i < member->proved_count; i++)
		if (public_key_is_equal(&member->proved_keys[i], key))
			return true;
	return false;
}

static bool has_key(const struct node *node, const struct public_key *key)
{
	for (unsigned int slot = 0; node && slot < KEY_SLOTS; slot++)
		if (node->annotation.has_key[slot] &&
		    public_key_is_equal(&node->annotation.keys[slot], key))
			return true;
	return false;
}

void cluster_note_proof(struct cluster_member *member, const struct public_key *key)
{
	struct public_key newest = *key;

	if (has_proved(member, key))
		return;
	member->proved_count = MIN(member->proved_count + 1, (uint32_t)CLUSTER_PROVED_MAX);
	memmove(&member->proved_keys[1], &member->proved_keys[0],
		(member->proved_count - 1) * sizeof(newest));
	member->proved_keys[0] = newest;
}

/* The member has held the key since before any other node claimed it. */
static bool holds_key(const struct cluster_member *member, const struct public_key *key)
{
	return !member->is_good_tentative && has_key(still_good(member), key);
}

static uint32_t add_keys(struct cluster_key_claim *keys, uint32_t used,
			 const struct cluster_member *member, const struct node *node,
			 uint32_t index, uint32_t age)
{
	const struct annotation *annotation = &node->annotation;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		const struct public_key *key = &annotation->keys[slot];
		uint32_t rank = has_proved(member, key)	 ? RANK_PROVED
				: holds_key(member, key) ? RANK_HELD
				: slot == KEY_CURRENT	 ? RANK_AGE + age
							 : RANK_OTHER + age;

		if (annotation->has_key[slot])
			keys[used++] = (struct cluster_key_claim){
				.key = key,
				.member = index,
				.rank = rank,
				.age = age,
				.is_of_seen = node == member->seen,
			};
	}
	return used;
}

static int compare_keys(const void *context, const void *left, const void *right)
{
	const struct cluster_key_claim *a = left, *b = right;
	int order = memcmp(a->key->bytes, b->key->bytes, KEY_LEN);

	(void)context;
	if (!order)
		order = (a->rank > b->rank) - (a->rank < b->rank);
	return order ? order : (a->age > b->age) - (a->age < b->age);
}

/* Returns the owner among the claims of one key, the strongest claim first. A public key is not
 * secret, so if it was neither proved nor held, its claimants take turns: the node that has the
 * private key answers in its turn, which proves it. */
static const struct cluster_key_claim *find_owner(const struct cluster_self *self,
						  struct cluster_member *const *members,
						  const struct cluster_key_claim *keys,
						  uint32_t count)
{
	const struct cluster_key_claim *owner = keys;
	uint32_t equals = 0;

	while (equals < count && keys[equals].rank >= RANK_AGE && keys[equals].rank < RANK_OTHER)
		equals++;
	if (equals > 1) {
		owner = &keys[self->now_ms / CLUSTER_KEY_TURN_MS % equals];
		members[owner->member]->has_disputed_key = true;
	}
	return owner;
}

static uint32_t count_same_key(const struct cluster_key_claim *keys, uint32_t count)
{
	uint32_t same = 1;

	while (same < count && public_key_is_equal(keys[0].key, keys[same].key))
		same++;
	return same;
}

/* The claims are sorted by key. One claimant of each key owns it; any other record that contains
 * the key is refused. */
static void find_losers(const struct cluster_self *self, struct cluster_member *const *members,
			const struct cluster_key_claim *keys, uint32_t count)
{
	const struct cluster_key_claim *owner = NULL;

	for (uint32_t i = 0; i < count; i++) {
		struct cluster_member *member;

		if (!owner || !public_key_is_equal(owner->key, keys[i].key))
			owner = find_owner(self, members, &keys[i],
					   count_same_key(&keys[i], count - i));
		if (keys[i].member == owner->member)
			continue;
		member = members[keys[i].member];
		*(keys[i].is_of_seen ? &member->has_lost_seen : &member->has_lost_good) = true;
		if (member->chosen != member->seen || keys[i].is_of_seen)
			cluster_complain(
				member, "it publishes %s%s",
				owner->member == CLAIM_SELF ? "this node's own key"
							    : "a key of node ",
				owner->member == CLAIM_SELF ? "" : members[owner->member]->name);
	}
}

static void refuse_losers(struct cluster_member *const *members, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_member *member = members[i];
		const struct node *good = still_good(member);

		if (member->chosen == member->seen && member->has_lost_seen)
			member->chosen = good != member->seen ? good : NULL;
		if (member->chosen != member->seen && member->has_lost_good)
			member->chosen = NULL;
	}
}

static void settle_keys(const struct cluster_self *self, struct cluster_member *const *members,
			uint32_t count, struct cluster_workspace *workspace)
{
	struct cluster_key_claim *keys = workspace->keys;
	uint32_t used = 0;

	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++)
		if (self->has_key[slot])
			keys[used++] = (struct cluster_key_claim){
				.key = &self->keys[slot], .member = CLAIM_SELF, .rank = RANK_SELF};
	for (uint32_t age = 0; age < count; age++) {
		uint32_t index = workspace->by_age[age];
		const struct cluster_member *member = members[index];
		const struct node *good = still_good(member);

		if (member->chosen)
			used = add_keys(keys, used, member, member->chosen, index, age);
		if (good && good != member->chosen)
			used = add_keys(keys, used, member, good, index, age);
	}
	sort_heap(keys, used, sizeof(*keys), compare_keys, NULL);
	find_losers(self, members, keys, used);
	refuse_losers(members, count);
}

static void choose_records(const struct cluster_self *self, struct cluster_member *const *members,
			   uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_member *member = members[i];
		struct refusal refusal = {0};

		member->refusal = (struct refusal){0};
		member->refusal_count = 0;
		member->has_lost_seen = member->has_lost_good = member->has_disputed_key = false;
		member->chosen = NULL;
		if (member->unreadable.text[0])
			cluster_complain(member, "record: %s", member->unreadable.text);
		if (!member->seen)
			continue;
		member->chosen =
			is_candidate(self, member, &refusal) ? member->seen : still_good(member);
		if (refusal.text[0])
			cluster_complain(member, "%s", refusal.text);
	}
}

/* -- which secret -- */

static void explain_secrets(const struct cluster_self *self, struct cluster_member *member)
{
	const struct secret_ids *theirs = &member->chosen->annotation.secrets;
	char own_text[SECRET_IDS_TEXT_LEN], text[SECRET_IDS_TEXT_LEN];

	if (secret_accepts_none(&self->secrets))
		cluster_complain(
			member,
			"it requires a cluster secret (%s), but this node has %s: configure the "
			"same --cluster-secret on both",
			secret_ids_format(text, theirs),
			self->secrets.count ? "a different one" : "none");
	else if (secret_accepts_none(theirs))
		cluster_complain(
			member,
			"it has no cluster secret, but this node requires one (%s): configure the "
			"same --cluster-secret on it",
			secret_ids_format(own_text, &self->secrets));
	else
		cluster_complain(
			member,
			"its cluster secret (%s) differs from this node's (%s): configure the same "
			"--cluster-secret on both",
			secret_ids_format(text, theirs),
			secret_ids_format(own_text, &self->secrets));
}

/* Puts the reason that excludes the node before reasons that do not. */
static void refuse_secrets(const struct cluster_self *self, struct cluster_member *member)
{
	uint32_t others = member->refusal_count;

	member->refusal_count = 0;
	explain_secrets(self, member);
	member->refusal_count += others;
}

/* The record remains the reference for later ones, but without a common secret we do not talk to
 * the node. Ids may change within an epoch: a replayed record can at most make us use one of our
 * two secrets instead of the other, and only while our own file holds both. */
static void settle_secrets(const struct cluster_self *self, struct cluster_member *const *members,
			   uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_member *member = members[i];

		member->secret = 0;
		member->has_common_secret =
			member->chosen && secret_choose(&member->secret, &self->secrets,
							&member->chosen->annotation.secrets);
		if (member->chosen && !member->has_common_secret)
			refuse_secrets(self, member);
	}
}

/* -- verdicts -- */

/* Prefers IPv4 if both nodes have it, so that both ends agree on the family, and thereby on the
 * MTU. */
static void choose_endpoints(const struct cluster_self *self, struct cluster_member *member,
			     const struct claims *claims)
{
	struct address usable[ANNOTATION_ENDPOINTS_MAX];
	uint32_t count = 0;
	uint8_t family = 0;

	member->endpoint_count = 0;
	for (uint32_t i = 0; i < member->claim_count; i++) {
		const struct claim *claim = &claims->items[member->first_claim + i];
		struct address address = prefix_key_to_cidr(&claim->key).address;

		if (claim->kind != CLAIM_ENDPOINT || !claim->is_accepted ||
		    !(address.family == AF_INET ? self->has_ipv4 : self->has_ipv6))
			continue;
		usable[count++] = address;
		if (!family || address.family == AF_INET)
			family = address.family;
	}
	for (uint32_t i = 0; i < count; i++)
		if (usable[i].family == family)
			member->endpoints[member->endpoint_count++] = usable[i];
}

static void judge(const struct cluster_self *self, struct cluster_member *member,
		  const struct claims *claims)
{
	choose_endpoints(self, member, claims);
	if (member->chosen && !member->endpoint_count && !member->refusal_count)
		cluster_complain(member, "it publishes no endpoint of an address family that this "
					 "node has");
	if (member->chosen && member->endpoint_count && member->has_common_secret)
		member->state = MEMBER_USABLE;
	else
		member->state = member->refusal_count ? MEMBER_REFUSED : MEMBER_WAITING;
	member->is_held = !member->chosen && member->refusal_count &&
			  (member->was_found ||
			   (member->seen && is_behind_tunnel(member, &member->seen->annotation)));
}

void cluster_resolve(const struct cluster_self *self, struct cluster_member *const *members,
		     uint32_t count, struct cluster_workspace *workspace)
{
	for (uint32_t i = 0; i < count; i++)
		workspace->by_age[i] = i;
	sort_heap(workspace->by_age, count, sizeof(*workspace->by_age), compare_age, members);
	choose_records(self, members, count);
	settle_keys(self, members, count, workspace);
	settle_secrets(self, members, count);
	dispute_settle(self, members, count, workspace);
	for (uint32_t i = 0; i < count; i++)
		judge(self, members[i], &workspace->claims);
}

struct cluster_needs cluster_needs(const struct cluster_self *self,
				   struct cluster_member *const *members, uint32_t count)
{
	struct cluster_needs needs = {
		.keys = KEY_SLOTS * (1 + 2 * count),
		.claims = self->range_count + self->pod_count + self->hole_count +
			  self->address_count + 2 * self->route_count,
	};

	for (uint32_t i = 0; i < count; i++) {
		const struct node *seen = members[i]->seen, *good = members[i]->good;

		if (seen)
			needs.claims += seen->pod_cidr_count + seen->address_count +
					seen->annotation.pod_count +
					seen->annotation.endpoint_count;
		if (good && good != seen)
			needs.claims +=
				good->annotation.pod_count + good->annotation.endpoint_count;
	}
	return needs;
}

bool cluster_outgrew_good(const struct cluster_member *member)
{
	return member->good && member->seen != member->good &&
	       (member->chosen == member->seen || !still_good(member));
}

static uint32_t class_of(const struct claims *claims, const struct claim *claim)
{
	switch ((enum claim_kind)claim->kind) {
	case CLAIM_RANGE:
	case CLAIM_HOLE:
		return PREFIX_CLUSTER;
	case CLAIM_OWN_POD:
		return PREFIX_LOCAL;
	case CLAIM_OWN_ADDRESS:
		return PREFIX_SELF;
	case CLAIM_ADDRESS:
		return claims_is_contested(claims, claim) ? PREFIX_CONTESTED : PREFIX_NODE;
	case CLAIM_POD:
		return PREFIX_PEER;
	case CLAIM_ENDPOINT:
	case CLAIM_ROUTE:
	case CLAIM_GATEWAY:
		break;
	}
	return 0;
}

uint32_t cluster_list_prefixes(const struct cluster_workspace *workspace,
			       struct cluster_member *const *members,
			       struct prefix_entry *ret_entries)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < workspace->claims.count; i++) {
		const struct claim *claim = &workspace->claims.items[i];
		uint32_t class = class_of(&workspace->claims, claim), id;

		if (!claim->is_accepted || !class)
			continue;
		id = claim->owner == CLAIM_SELF ? 0 : members[claim->owner]->id;
		ret_entries[count++] = (struct prefix_entry){claim->key, {class, id}};
	}
	return prefix_entries_settle(ret_entries, count);
}

/* A node's address is often also its endpoint. */
static uint32_t add_once(struct address *addresses, uint32_t count, const struct prefix_key *key)
{
	struct address address = prefix_key_to_cidr(key).address;

	for (uint32_t i = 0; i < count; i++)
		if (address_is_equal(&addresses[i], &address))
			return count;
	addresses[count] = address;
	return count + 1;
}

uint32_t cluster_list_questions(const struct cluster_workspace *workspace,
				const struct cluster_member *member, struct address *ret_addresses,
				uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < member->claim_count && count < max; i++) {
		const struct claim *claim = &workspace->claims.items[member->first_claim + i];

		if (claim->is_asked)
			count = add_once(ret_addresses, count, &claim->key);
	}
	return count;
}

static bool is_target(const struct claims *claims, const struct claim *claim)
{
	if (claim->kind == CLAIM_ENDPOINT && !claim->is_accepted)
		return false;
	return (claim->kind == CLAIM_ENDPOINT || claim->is_asked) &&
	       claims_is_in_range(claims, claim);
}

uint32_t cluster_list_targets(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct address *ret_addresses,
			      uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < member->claim_count && count < max; i++) {
		const struct claim *claim = &workspace->claims.items[member->first_claim + i];

		if (is_target(&workspace->claims, claim))
			count = add_once(ret_addresses, count, &claim->key);
	}
	return count;
}

bool cluster_claims_address(const struct cluster_workspace *workspace,
			    const struct cluster_member *member, const struct address *address)
{
	struct cidr cidr = cidr_of_address(address);
	struct prefix_key key = prefix_key_of_cidr(&cidr);

	for (uint32_t i = 0; i < member->claim_count; i++) {
		const struct claim *claim = &workspace->claims.items[member->first_claim + i];

		if (claim->kind != CLAIM_POD && !prefix_key_compare(&claim->key, &key))
			return true;
	}
	return false;
}

static uint32_t list_accepted(const struct claims *claims, const struct cluster_member *member,
			      enum claim_kind kind, struct cidr *ret_cidrs, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < member->claim_count && count < max; i++) {
		const struct claim *claim = &claims->items[member->first_claim + i];

		if (claim->kind == kind && claim->is_accepted)
			ret_cidrs[count++] = prefix_key_to_cidr(&claim->key);
	}
	return count;
}

uint32_t cluster_list_allowed(const struct cluster_workspace *workspace,
			      const struct cluster_member *member, struct cidr *ret_cidrs,
			      uint32_t max, uint32_t *ret_pod_count)
{
	uint32_t pods = list_accepted(&workspace->claims, member, CLAIM_POD, ret_cidrs, max);

	*ret_pod_count = pods;
	return pods + list_accepted(&workspace->claims, member, CLAIM_ADDRESS, ret_cidrs + pods,
				    max - pods);
}
