// SPDX-License-Identifier: Apache-2.0
/*
 * Prefixes nest or are apart, never half over each other: sorted with the wider first, each claim's container is found
 * by one walk, and a dispute is a look up the chain of containers and one look below. So thousands of nodes cost
 * hardly more than the sorting.
 */
#include "claim.h"

#include "sort.h"

void claims_add(struct claims *claims, enum claim_kind kind, uint32_t owner,
		const struct cidr *cidr)
{
	claims->order[claims->count] = claims->count;
	claims->items[claims->count++] = (struct claim){
		.key = prefix_key_of_cidr(cidr),
		.kind = (uint8_t)kind,
		.owner = owner,
		.parent = CLAIM_NONE,
		.below = CLAIM_NONE,
		.opponent = CLAIM_NONE,
	};
}

static int compare_claims(const void *context, const void *left, const void *right)
{
	const struct claims *claims = context;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	const struct claim *one = &claims->items[a], *other = &claims->items[b];
	int order = prefix_key_compare(&one->key, &other->key);

	if (!order)
		order = one->kind - other->kind;
	return order ? order : (a > b) - (a < b);
}

static void claims_accept(struct claims *claims, uint32_t index)
{
	struct claim *claim = &claims->items[index];

	claim->is_accepted = true;
	if (claim->kind == CLAIM_RANGE || claim->kind == CLAIM_ENDPOINT)
		return;
	for (uint32_t up = claim->parent; up != CLAIM_NONE; up = claims->items[up].parent)
		if (claims->items[up].below == CLAIM_NONE)
			claims->items[up].below = index;
}

void claims_nest(struct claims *claims)
{
	uint32_t previous = CLAIM_NONE;

	sort_heap(claims->order, claims->count, sizeof(*claims->order), compare_claims, claims);
	for (uint32_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[claims->order[i]];

		claim->parent = previous;
		while (claim->parent != CLAIM_NONE &&
		       !prefix_key_contains(&claims->items[claim->parent].key, &claim->key))
			claim->parent = claims->items[claim->parent].parent;
		previous = claims->order[i];
	}
	for (uint32_t i = 0; i < claims->count; i++)
		if (claims->items[i].owner == CLAIM_SELF)
			claims_accept(claims, i);
}

/* Does an accepted claim that contains this one (or is the same prefix) stand against it? */
static bool opposes(const struct claim *above, const struct claim *claim)
{
	if (!above->is_accepted)
		return false;
	switch ((enum claim_kind)above->kind) {
	case CLAIM_RANGE:
	case CLAIM_ENDPOINT:
		return false;
	case CLAIM_OWN_POD:
	case CLAIM_OWN_ADDRESS:
		return true;
	case CLAIM_ADDRESS:
		return claim->kind == CLAIM_POD ||
		       (claim->kind == CLAIM_ADDRESS && above->owner != claim->owner);
	case CLAIM_POD:
		return claim->kind == CLAIM_ENDPOINT || above->owner != claim->owner;
	}
	return true;
}

static bool is_free(const struct claims *claims, struct claim *claim)
{
	bool is_in_range = false;

	for (uint32_t up = claim->parent; up != CLAIM_NONE; up = claims->items[up].parent) {
		if (opposes(&claims->items[up], claim)) {
			claim->opponent = up;
			return false;
		}
		is_in_range |= claims->items[up].kind == CLAIM_RANGE;
	}
	if (claim->kind == CLAIM_POD && !is_in_range)
		return false;
	claim->opponent = claim->kind == CLAIM_ENDPOINT ? CLAIM_NONE : claim->below;
	return claim->opponent == CLAIM_NONE;
}

void claims_decide(struct claims *claims, enum claim_kind kind, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		if (claims->items[i].kind == kind)
			claims->items[i].is_accepted = is_free(claims, &claims->items[i]);
	for (uint32_t i = first; i < first + count; i++)
		if (claims->items[i].kind == kind && claims->items[i].is_accepted)
			claims_accept(claims, i);
}
