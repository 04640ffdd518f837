// SPDX-License-Identifier: Apache-2.0
/*
 * Two prefixes either nest or are disjoint. So the claims are sorted once, and each prefix becomes
 * a place that knows the narrowest place around it: settling a dispute means walking up from place
 * to place, at most as many steps as an address has bits. Judging the strongest claim first makes
 * the outcome independent of the order in which records arrive.
 */
#include "claim.h"

#include "sort.h"

void claims_add(struct claims *claims, enum claim_kind kind, uint32_t owner,
		const struct cidr *cidr, const struct claim_evidence *evidence)
{
	claims->items[claims->count++] = (struct claim){
		.key = prefix_key_of_cidr(cidr),
		.evidence = evidence ? *evidence : (struct claim_evidence){0},
		.kind = (uint8_t)kind,
		.owner = owner,
		.place = CLAIM_NONE,
		.opponent = CLAIM_NONE,
	};
}

void claims_add_route(struct claims *claims, const struct cidr *destination,
		      const struct address *gateway)
{
	struct cidr hop = gateway ? cidr_of_address(gateway) : (struct cidr){0};

	claims_add(claims, CLAIM_ROUTE, CLAIM_NOBODY, destination, NULL);
	if (gateway)
		claims_add(claims, CLAIM_GATEWAY, CLAIM_NOBODY, &hop, NULL);
}

/* -- places -- */

static int compare_keys(const void *context, const void *left, const void *right)
{
	const struct claims *claims = context;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	int order = prefix_key_compare(&claims->items[a].key, &claims->items[b].key);

	return order ? order : (a > b) - (a < b);
}

static void add_place(struct claims *claims, const struct prefix_key *key)
{
	uint32_t parent = claims->place_count ? claims->place_count - 1 : CLAIM_NONE;

	while (parent != CLAIM_NONE && !prefix_key_contains(&claims->places[parent].key, key))
		parent = claims->places[parent].parent;
	claims->places[claims->place_count++] = (struct claim_place){
		.key = *key,
		.parent = parent,
		.own_pod = CLAIM_NONE,
		.own_address = CLAIM_NONE,
		.pod = CLAIM_NONE,
		.address = CLAIM_NONE,
		.inside = {CLAIM_NONE, CLAIM_NONE},
		.first_address = CLAIM_NONE,
		.answered = {CLAIM_NONE, CLAIM_NONE},
		.prover = CLAIM_NONE,
		.unproved = CLAIM_NONE,
		.routes.items = {CLAIM_NONE, CLAIM_NONE},
		.routes_inside.items = {CLAIM_NONE, CLAIM_NONE},
		.suspect = {CLAIM_NONE, CLAIM_NONE},
		.suspect_inside = {CLAIM_NONE, CLAIM_NONE},
	};
}

/* Wider prefixes sort before the prefixes inside them. */
static void find_places(struct claims *claims)
{
	const struct prefix_key *previous = NULL;

	claims->place_count = 0;
	for (uint32_t i = 0; i < claims->count; i++)
		claims->order[i] = i;
	sort_heap(claims->order, claims->count, sizeof(*claims->order), compare_keys, claims);
	for (uint32_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[claims->order[i]];

		if (!previous || prefix_key_compare(previous, &claim->key))
			add_place(claims, &claim->key);
		claim->place = claims->place_count - 1;
		previous = &claim->key;
	}
}

static struct claim_place *place_of(const struct claims *claims, const struct claim *claim)
{
	return &claims->places[claim->place];
}

bool claims_is_in_range(const struct claims *claims, const struct claim *claim)
{
	for (uint32_t p = claim->place; p != CLAIM_NONE; p = claims->places[p].parent)
		if (claims->places[p].is_range)
			return true;
	return false;
}

static bool is_among_pods(const struct claims *claims, const struct claim *claim)
{
	for (uint32_t p = claim->place; p != CLAIM_NONE; p = claims->places[p].parent)
		if (claims->places[p].has_pods)
			return true;
	return false;
}

/* -- evidence -- */

/* The address now answers for another node, and no longer for this one. */
static bool has_left(const struct claims *claims, const struct claim *claim)
{
	const uint32_t *answered = place_of(claims, claim)->answered;

	if (!claim->evidence.left_ns)
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		const struct claim *other =
			answered[i] == CLAIM_NONE ? NULL : &claims->items[answered[i]];

		if (other && other->owner != claim->owner &&
		    claim->evidence.left_ns < other->evidence.answered_ns + CLAIM_ANSWER_NS)
			return true;
	}
	return false;
}

/* Keeps the latest answers of two different nodes, the newest first. */
static void note_answer(const struct claims *claims, uint32_t answered[static 2], uint32_t index)
{
	const struct claim *claim = &claims->items[index];

	if (!claim->evidence.answered_ns)
		return;
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t before = answered[i];
		bool is_newer =
			before == CLAIM_NONE ||
			claim->evidence.answered_ns > claims->items[before].evidence.answered_ns;

		if (is_newer)
			answered[i] = index;
		if (before == CLAIM_NONE || claims->items[before].owner == claim->owner)
			return;
		if (is_newer) {
			index = before;
			claim = &claims->items[index];
		}
	}
}

static bool is_live(const struct claims *claims, const struct claim *claim)
{
	return claim->evidence.has_record && !claim->evidence.is_silent && !has_left(claims, claim);
}

static bool is_proved(const struct claims *claims, const struct claim *claim)
{
	return claim->evidence.proved_ns && is_live(claims, claim);
}

/* The node may still prove itself: it can be asked, and has not failed to answer. */
static bool is_pending(const struct claim *claim)
{
	return claim->evidence.is_askable && !claim->evidence.proved_ns && !claim->evidence.left_ns;
}

static void note_address(struct claims *claims, struct claim_place *place, uint32_t index)
{
	const struct claim *claim = &claims->items[index];

	if (!claim->evidence.has_record)
		return;
	if (place->first_address == CLAIM_NONE)
		place->first_address = index;
	place->is_address_contested |= claims->items[place->first_address].owner != claim->owner;
	place->is_pending |= is_pending(claim);
	note_answer(claims, place->answered, index);
	if (claim->evidence.is_askable && !claim->evidence.proved_ns &&
	    place->unproved == CLAIM_NONE)
		place->unproved = index;
}

/* Notes the facts about a claim's place that hold whether the claim is accepted or not. */
static void note_claim(struct claims *claims, uint32_t index)
{
	const struct claim *claim = &claims->items[index];
	struct claim_place *place = place_of(claims, claim);

	switch ((enum claim_kind)claim->kind) {
	case CLAIM_RANGE:
		place->is_range = true;
		break;
	case CLAIM_HOLE:
		place->is_hole = true;
		break;
	case CLAIM_OWN_POD:
		place->own_pod = index;
		break;
	case CLAIM_OWN_ADDRESS:
		place->own_address = index;
		break;
	case CLAIM_ADDRESS:
		note_address(claims, place, index);
		break;
	case CLAIM_ROUTE:
	case CLAIM_POD:
	case CLAIM_ENDPOINT:
	case CLAIM_GATEWAY:
		break;
	}
}

static void note_prover(struct claims *claims, uint32_t index)
{
	const struct claim *claim = &claims->items[index];
	uint32_t *prover = &place_of(claims, claim)->prover;

	if ((claim->kind == CLAIM_ADDRESS || claim->kind == CLAIM_ENDPOINT) &&
	    is_proved(claims, claim) &&
	    (*prover == CLAIM_NONE ||
	     claim->evidence.proved_ns < claims->items[*prover].evidence.proved_ns))
		*prover = index;
}

static void note_evidence(struct claims *claims)
{
	for (uint32_t i = 0; i < claims->count; i++)
		note_claim(claims, i);
	for (uint32_t i = 0; i < claims->count; i++) {
		const struct claim *claim = &claims->items[i];

		note_prover(claims, i);
		if (claim->kind == CLAIM_POD && claims_is_in_range(claims, claim))
			place_of(claims, claim)->has_pods = true;
	}
}

/* -- routes -- */

static void note_witness(struct claims *claims, struct claim_routes *routes, uint32_t route)
{
	uint32_t owner = claims->items[route].owner;

	for (unsigned int i = 0; i < ARRAY_SIZE(routes->items); i++) {
		if (routes->items[i] == CLAIM_NONE)
			routes->items[i] = route;
		if (claims->items[routes->items[i]].owner == owner)
			return;
	}
	routes->has_more = true;
}

static void set_suspect(struct claim_suspect *suspect, uint32_t route, uint32_t address)
{
	if (suspect->address == CLAIM_NONE)
		*suspect = (struct claim_suspect){address, route};
}

static void note_suspect(struct claims *claims, uint32_t route, const struct claim_place *gateway)
{
	struct claim_place *place = place_of(claims, &claims->items[route]);
	uint32_t address = gateway->unproved;

	if (address == CLAIM_NONE || is_among_pods(claims, &claims->items[address]))
		return;
	claims->items[route].owner = claims->items[address].owner;
	set_suspect(&place->suspect, route, address);
	for (uint32_t p = place->parent; p != CLAIM_NONE; p = claims->places[p].parent)
		set_suspect(&claims->places[p].suspect_inside, route, address);
}

/* A gateway tells which node owns the prefix behind it only if a node has proved to be at the
 * gateway: any node may claim a router's address. */
static void follow_gateway(struct claims *claims, uint32_t route, const struct claim_place *gateway)
{
	struct claim_place *place = place_of(claims, &claims->items[route]);

	if (gateway->prover == CLAIM_NONE) {
		place->routes.is_open = true;
		note_suspect(claims, route, gateway);
		return;
	}
	claims->items[route].owner = claims->items[gateway->prover].owner;
	note_witness(claims, &place->routes, route);
	for (uint32_t p = place->parent; p != CLAIM_NONE; p = claims->places[p].parent)
		note_witness(claims, &claims->places[p].routes_inside, route);
}

static void follow_routes(struct claims *claims)
{
	for (uint32_t i = 0; i < claims->count; i++) {
		const struct claim *claim = &claims->items[i];
		bool has_gateway =
			i + 1 < claims->count && claims->items[i + 1].kind == CLAIM_GATEWAY;

		if (claim->kind != CLAIM_ROUTE)
			continue;
		place_of(claims, claim)->has_route = true;
		if (has_gateway)
			follow_gateway(claims, i, place_of(claims, &claims->items[i + 1]));
		else
			place_of(claims, claim)->routes.is_open = true;
	}
}

static bool leads_to(const struct claims *claims, const struct claim_routes *routes, uint32_t owner)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(routes->items); i++)
		if (routes->items[i] != CLAIM_NONE &&
		    claims->items[routes->items[i]].owner == owner)
			return true;
	return false;
}

/* A proof at the gateway would turn the route into a witness, so the gateway's claimant is asked if
 * the route contradicts the claim. Returns the route while the answer may still come and the claim
 * is new; else CLAIM_NONE. */
static uint32_t suspected_route(struct claims *claims, const struct claim_suspect *found,
				const struct claim *claim)
{
	struct claim *suspect =
		found->address == CLAIM_NONE ? NULL : &claims->items[found->address];
	bool is_contrary = suspect && suspect->owner != claim->owner;

	if (is_contrary)
		suspect->is_asked = true;
	return is_contrary && is_pending(suspect) && !claim->evidence.is_incumbent ? found->route
										   : CLAIM_NONE;
}

/* Returns a route to the pods that leads to another node; CLAIM_NONE: there is none. The narrowest
 * route around the pods decides; if there is none, the routes to parts of them do. */
static uint32_t contrary_route(struct claims *claims, const struct claim *claim)
{
	const struct claim_routes *routes = &place_of(claims, claim)->routes_inside;
	uint32_t p = claim->place;

	while (p != CLAIM_NONE && !claims->places[p].has_route)
		p = claims->places[p].parent;
	if (p != CLAIM_NONE)
		routes = &claims->places[p].routes;
	if (leads_to(claims, routes, claim->owner))
		return CLAIM_NONE;
	if (p == CLAIM_NONE && routes->items[0] == CLAIM_NONE)
		return suspected_route(claims, &place_of(claims, claim)->suspect_inside, claim);
	if (p != CLAIM_NONE && (routes->is_open || routes->has_more))
		return suspected_route(claims, &claims->places[p].suspect, claim);
	return routes->items[0];
}

/* -- judging -- */

/* The address belongs to its node so far, and the answer to a question may still change that. */
static bool is_undecided(const struct claims *claims, const struct claim *claim)
{
	const struct claim_place *place = place_of(claims, claim);

	if (claim->kind != CLAIM_ADDRESS || !claim->evidence.is_incumbent)
		return false;
	return (place->is_address_contested && place->is_pending) ||
	       (is_pending(claim) && claim->evidence.is_direct && is_among_pods(claims, claim));
}

enum tier { TIER_LIVE, TIER_SILENT, TIER_WITHOUT_RECORD };

static enum tier tier_of(const struct claims *claims, const struct claim *claim)
{
	if (!claim->evidence.has_record)
		return TIER_WITHOUT_RECORD;
	return is_live(claims, claim) ? TIER_LIVE : TIER_SILENT;
}

enum rank { RANK_POD_CIDR, RANK_PROOF, RANK_INCUMBENT, RANK_AGE };

static enum rank rank_of(const struct claims *claims, const struct claim *claim)
{
	if (claim->evidence.is_pod_cidr)
		return RANK_POD_CIDR;
	if (claim->evidence.proved_ns)
		return RANK_PROOF;
	return is_undecided(claims, claim) ? RANK_INCUMBENT : RANK_AGE;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_strength(const void *context, const void *left, const void *right)
{
	const struct claims *claims = context;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	const struct claim *one = &claims->items[a], *other = &claims->items[b];
	int order = ORDER(one->tier, other->tier);

	if (!order)
		order = ORDER(one->rank, other->rank);
	if (!order && one->rank == RANK_PROOF)
		order = ORDER(one->evidence.proved_ns, other->evidence.proved_ns);
	if (!order)
		order = ORDER(one->evidence.age, other->evidence.age);
	if (!order)
		order = ORDER(one->kind, other->kind);
	return order ? order : ORDER(a, b);
}

/* Does the accepted pod prefix, which contains the claim, leave no room for it? */
static bool pods_cover(const struct claims *claims, const struct claim *pods,
		       const struct claim *claim)
{
	bool is_own = pods->owner == claim->owner, is_wider = pods->place != claim->place;

	switch ((enum claim_kind)claim->kind) {
	case CLAIM_POD:
		return !is_own;
	case CLAIM_ADDRESS:
		return !is_own && !(is_wider && is_proved(claims, claim));
	case CLAIM_ENDPOINT:
		return !is_wider ||
		       !(is_proved(claims, claim) ||
			 (claim->evidence.is_direct && !is_own && !pods->evidence.is_pod_cidr));
	default:
		return false;
	}
}

static bool address_covers(const struct claim *address, const struct claim *claim)
{
	return claim->kind != CLAIM_ENDPOINT && address->owner != claim->owner;
}

/* Returns the claim accepted at a surrounding place that excludes this one; CLAIM_NONE: there is
 * none. */
static uint32_t opponent_at(const struct claims *claims, const struct claim_place *place,
			    const struct claim *claim, bool is_in_hole)
{
	if (place->own_address != CLAIM_NONE)
		return place->own_address;
	if (place->own_pod != CLAIM_NONE && !(claim->kind == CLAIM_POD && is_in_hole))
		return place->own_pod;
	if (place->pod != CLAIM_NONE && pods_cover(claims, &claims->items[place->pod], claim))
		return place->pod;
	if (place->address != CLAIM_NONE && address_covers(&claims->items[place->address], claim))
		return place->address;
	return CLAIM_NONE;
}

static uint32_t find_opponent(const struct claims *claims, const struct claim *claim)
{
	uint32_t opponent = CLAIM_NONE;
	bool is_in_hole = false;

	for (uint32_t p = claim->place; p != CLAIM_NONE && opponent == CLAIM_NONE;
	     p = claims->places[p].parent) {
		is_in_hole |= claims->places[p].is_hole;
		opponent = opponent_at(claims, &claims->places[p], claim, is_in_hole);
	}
	return opponent;
}

static bool is_free(struct claims *claims, struct claim *claim)
{
	claim->opponent = find_opponent(claims, claim);
	if (claim->opponent != CLAIM_NONE)
		return false;
	if (claim->kind != CLAIM_POD)
		return true;
	if (!claims_is_in_range(claims, claim))
		return false;
	if (!claim->evidence.is_pod_cidr)
		claim->opponent = contrary_route(claims, claim);
	return claim->opponent == CLAIM_NONE;
}

static void note_inside(struct claims *claims, uint32_t index)
{
	uint32_t owner = claims->items[index].owner;

	for (uint32_t p = place_of(claims, &claims->items[index])->parent; p != CLAIM_NONE;
	     p = claims->places[p].parent) {
		uint32_t *inside = claims->places[p].inside;

		if (inside[0] == CLAIM_NONE)
			inside[0] = index;
		else if (claims->items[inside[0]].owner != owner)
			inside[1] = index;
	}
}

static void grant(struct claims *claims, uint32_t index)
{
	struct claim *claim = &claims->items[index];
	struct claim_place *place = place_of(claims, claim);

	claim->is_accepted = true;
	switch ((enum claim_kind)claim->kind) {
	case CLAIM_POD:
		place->pod = index;
		note_inside(claims, index);
		break;
	case CLAIM_ADDRESS:
		place->address = index;
		note_inside(claims, index);
		break;
	case CLAIM_OWN_POD:
	case CLAIM_OWN_ADDRESS:
		note_inside(claims, index);
		break;
	default:
		break;
	}
}

static bool is_judged(const struct claim *claim)
{
	return claim->owner != CLAIM_SELF &&
	       (claim->kind == CLAIM_ADDRESS || claim->kind == CLAIM_POD ||
		claim->kind == CLAIM_ENDPOINT);
}

/* A pod prefix remains accepted around claims of other nodes inside it; its node's report names the
 * exception. */
static void note_exceptions(struct claims *claims)
{
	for (uint32_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[i];
		const uint32_t *inside = place_of(claims, claim)->inside;

		if (claim->kind != CLAIM_POD || !claim->is_accepted)
			continue;
		for (unsigned int k = 0; k < 2 && claim->opponent == CLAIM_NONE; k++)
			if (inside[k] != CLAIM_NONE &&
			    claims->items[inside[k]].owner != claim->owner)
				claim->opponent = inside[k];
	}
}

/* When two nodes claim an address, a proof decides: a node without one is asked for it, and if both
 * have one, each is asked whether it is still there. A node with a proved address among pods is
 * asked too, because the address may have become a pod's since. Any other address in another node's
 * pods needs no proof. */
static bool is_address_asked(const struct claims *claims, const struct claim *claim)
{
	const struct claim_place *place = place_of(claims, claim);

	if (!claim->is_accepted && claims->items[claim->opponent].kind != CLAIM_ADDRESS)
		return false;
	if (place->is_address_contested)
		return !claim->evidence.proved_ns || place->answered[1] != CLAIM_NONE;
	if (claim->evidence.proved_ns)
		return is_among_pods(claims, claim);
	return is_undecided(claims, claim);
}

/* An endpoint accepted among pods only because this machine reaches it directly must prove
 * itself. */
static bool is_endpoint_asked(const struct claims *claims, const struct claim *claim)
{
	return claim->is_accepted && !claim->evidence.proved_ns && is_among_pods(claims, claim);
}

static void note_questions(struct claims *claims)
{
	for (uint32_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[i];

		if (!claim->evidence.has_record || !claim->evidence.is_askable)
			continue;
		if (claim->kind == CLAIM_ADDRESS)
			claim->is_asked |= is_address_asked(claims, claim);
		else if (claim->kind == CLAIM_ENDPOINT)
			claim->is_asked |= is_endpoint_asked(claims, claim);
	}
}

void claims_judge(struct claims *claims)
{
	uint32_t count = 0;

	find_places(claims);
	note_evidence(claims);
	follow_routes(claims);
	for (uint32_t i = 0; i < claims->count; i++) {
		if (claims->items[i].owner == CLAIM_SELF)
			grant(claims, i);
		if (!is_judged(&claims->items[i]))
			continue;
		claims->items[i].tier = (uint8_t)tier_of(claims, &claims->items[i]);
		claims->items[i].rank = (uint8_t)rank_of(claims, &claims->items[i]);
		claims->order[count++] = i;
	}
	sort_heap(claims->order, count, sizeof(*claims->order), compare_strength, claims);
	for (uint32_t i = 0; i < count; i++)
		if (is_free(claims, &claims->items[claims->order[i]]))
			grant(claims, claims->order[i]);
	note_exceptions(claims);
	note_questions(claims);
}

bool claims_is_contested(const struct claims *claims, const struct claim *address)
{
	return is_among_pods(claims, address) || (place_of(claims, address)->is_address_contested &&
						  claims_is_in_range(claims, address));
}
