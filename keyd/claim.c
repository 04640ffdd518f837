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
		.routes = {CLAIM_NONE, CLAIM_NONE},
		.opponent = CLAIM_NONE,
	};
}

void claims_add_route(struct claims *claims, const struct cidr *destination,
		      const struct address *gateway)
{
	struct cidr hop = gateway ? cidr_of_address(gateway) : (struct cidr){0};

	claims_add(claims, CLAIM_ROUTE, CLAIM_NOBODY, destination);
	if (gateway)
		claims_add(claims, CLAIM_GATEWAY, CLAIM_NOBODY, &hop);
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
	if (claim->kind == CLAIM_RANGE || claim->kind == CLAIM_HOLE ||
	    claim->kind == CLAIM_ENDPOINT)
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
	case CLAIM_HOLE:
	case CLAIM_ENDPOINT:
	case CLAIM_ROUTE:
	case CLAIM_GATEWAY:
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

/* The narrowest route that contains the claim, against it: CLAIM_NONE where one of several such leads to the claimant
 * or to no node that is known. *ret_any: there is one. */
static uint32_t contrary_route_above(const struct claims *claims, const struct claim *claim,
				     bool *ret_any)
{
	const struct claim *narrowest = NULL;
	uint32_t contrary = CLAIM_NONE;

	for (uint32_t up = claim->parent; up != CLAIM_NONE; up = claims->items[up].parent) {
		const struct claim *route = &claims->items[up];

		if (route->kind != CLAIM_ROUTE)
			continue;
		if (narrowest && prefix_key_compare(&narrowest->key, &route->key))
			break;
		narrowest = route;
		*ret_any = true;
		if (route->owner == claim->owner || route->owner == CLAIM_NOBODY)
			return CLAIM_NONE;
		contrary = up;
	}
	return contrary;
}

/* Where no route contains the prefix, those into parts of it are asked. */
static uint32_t contrary_route(const struct claims *claims, const struct claim *claim)
{
	bool any = false;
	uint32_t above = contrary_route_above(claims, claim, &any);

	if (any)
		return above;
	for (unsigned int i = 0; i < ARRAY_SIZE(claim->routes); i++)
		if (claim->routes[i] != CLAIM_NONE &&
		    claims->items[claim->routes[i]].owner == claim->owner)
			return CLAIM_NONE;
	return claim->routes[0];
}

static bool is_free(const struct claims *claims, struct claim *claim)
{
	bool is_in_range = false, is_in_hole = false;

	for (uint32_t up = claim->parent; up != CLAIM_NONE; up = claims->items[up].parent) {
		const struct claim *above = &claims->items[up];

		is_in_hole |= above->kind == CLAIM_HOLE;
		if (above->kind == CLAIM_OWN_POD && claim->kind == CLAIM_POD && is_in_hole)
			continue;
		if (opposes(above, claim)) {
			claim->opponent = up;
			return false;
		}
		is_in_range |= above->kind == CLAIM_RANGE;
	}
	if (claim->kind == CLAIM_POD) {
		claim->opponent = contrary_route(claims, claim);
		if (!is_in_range || claim->opponent != CLAIM_NONE)
			return false;
	}
	claim->opponent = claim->kind == CLAIM_ENDPOINT ? CLAIM_NONE : claim->below;
	return claim->opponent == CLAIM_NONE;
}

/* A node's address stands right above a gateway that is the same address. */
static uint32_t gateway_owner(const struct claims *claims, const struct claim *gateway)
{
	for (uint32_t up = gateway->parent; up != CLAIM_NONE; up = claims->items[up].parent) {
		const struct claim *above = &claims->items[up];

		if (prefix_key_compare(&above->key, &gateway->key))
			break;
		if (above->kind == CLAIM_ADDRESS && above->is_accepted)
			return above->owner;
	}
	return CLAIM_NOBODY;
}

static void note_route(struct claims *claims, uint32_t index)
{
	uint32_t owner = claims->items[index].owner;

	for (uint32_t up = claims->items[index].parent; up != CLAIM_NONE;
	     up = claims->items[up].parent) {
		uint32_t *routes = claims->items[up].routes;

		if (routes[0] == CLAIM_NONE)
			routes[0] = index;
		else if (claims->items[routes[0]].owner != owner)
			routes[1] = index;
	}
}

void claims_follow_routes(struct claims *claims)
{
	for (uint32_t i = 1; i < claims->count; i++) {
		struct claim *route = &claims->items[i - 1];

		if (claims->items[i].kind != CLAIM_GATEWAY)
			continue;
		route->owner = gateway_owner(claims, &claims->items[i]);
		if (route->owner != CLAIM_NOBODY)
			note_route(claims, i - 1);
	}
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
