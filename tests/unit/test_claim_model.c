// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/claim.c: the outcome of many random disputes is compared with that of a model that
 * asks every pair of claims, by the rules of claim.h. The model knows no places: it takes the
 * strongest claim that is left, and looks at all the others.
 */
#include "claim_table.h"

#define OWNERS	   5
#define ROUNDS	   3000
#define HOSTS	   64 /* of each family */
#define ROUTES_MAX 6
#define GATEWAYS   3

struct wish {
	enum claim_kind kind;
	uint32_t owner;
	struct cidr prefix;
	struct claim_evidence evidence;
};

struct way {
	struct cidr destination;
	bool has_gateway;
	struct address gateway;
};

struct dispute {
	struct wish wishes[CLAIMS_MAX]; /* ours, then the owners' one after the other */
	uint32_t count;
	struct way ways[ROUTES_MAX];
	uint32_t way_count;

	/* the model's outcome */
	bool is_judged[CLAIMS_MAX], is_accepted[CLAIMS_MAX], is_asked[CLAIMS_MAX];
	bool lost_to_address[CLAIMS_MAX];
};

static uint32_t seed;

static uint32_t below(uint32_t bound)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % bound;
}

static bool one_in(uint32_t bound)
{
	return !below(bound);
}

/* -- random disputes -- */

/* From few bits, so that much touches: hosts 10.0-3.0-3.0-3 and fd00:0-3:0-3::0-3. */
static struct cidr host_number(uint32_t number, bool is_v6)
{
	char text[CIDR_TEXT_LEN];

	snprintf(text, sizeof(text), is_v6 ? "fd00:%u:%u::%u" : "10.%u.%u.%u", number / 16,
		 number / 4 % 4, number % 4);
	return cidr(text);
}

static struct cidr random_prefix(void)
{
	static const uint8_t cuts[2][6] = {{7, 8, 16, 23, 24, 32}, {15, 16, 32, 47, 48, 128}};
	bool is_v6 = below(2);
	struct cidr prefix = host_number(below(HOSTS), is_v6);

	prefix.prefix_len = cuts[is_v6][below(6)];
	cidr_clear_host_bits(&prefix);
	return prefix;
}

static void add_wish(struct dispute *dispute, struct wish wish)
{
	dispute->wishes[dispute->count++] = wish;
}

/* No two nodes prove anything at the same moment. */
static uint64_t moment(uint32_t owner)
{
	return (1 + owner + OWNERS * below(20)) * NS_PER_S;
}

/* The tunnel's knowledge of one address of one node. */
static void add_proof(struct claim_evidence *evidence, uint32_t owner)
{
	if (!one_in(3)) {
		evidence->proved_ns = moment(owner);
		evidence->answered_ns = evidence->proved_ns + below(60) * NS_PER_S;
	}
	if (one_in(3))
		evidence->left_ns = evidence->answered_ns + (1 + below(60)) * NS_PER_S;
}

/* An owner lists an address once, and its endpoints are addresses of its own, or else nothing is
 * known of them. */
static void wish_addresses(struct dispute *dispute, const struct claim_evidence *common,
			   uint32_t owner)
{
	uint32_t first = below(HOSTS), count = below(5);
	bool is_v6 = below(2);

	for (uint32_t i = 0; i < count; i++) {
		struct wish wish = {CLAIM_ADDRESS, owner, host_number((first + i) % HOSTS, is_v6),
				    *common};

		if (common->has_record)
			add_proof(&wish.evidence, owner);
		wish.evidence.is_incumbent = one_in(3);
		wish.evidence.is_direct = one_in(2);
		add_wish(dispute, wish);
		if (one_in(2))
			continue;
		wish.kind = CLAIM_ENDPOINT;
		wish.evidence.is_direct = one_in(3);
		add_wish(dispute, wish);
	}
}

static bool has_wish(const struct dispute *dispute, const struct wish *wish)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (dispute->wishes[i].kind == wish->kind &&
		    dispute->wishes[i].owner == wish->owner &&
		    cidr_is_equal(&dispute->wishes[i].prefix, &wish->prefix))
			return true;
	return false;
}

/* The evidence for a prefix does not change if its node lists it more than once. */
static void wish_pods(struct dispute *dispute, const struct claim_evidence *common, uint32_t owner)
{
	for (uint32_t n = below(5); n > 0; n--) {
		struct wish wish = {CLAIM_POD, owner, random_prefix(), *common};

		wish.evidence.is_pod_cidr = common->has_record && one_in(3);
		wish.evidence.is_incumbent = one_in(2);
		if (!has_wish(dispute, &wish))
			add_wish(dispute, wish);
	}
}

static void wish_endpoint(struct dispute *dispute, const struct claim_evidence *common,
			  uint32_t owner)
{
	struct wish wish = {CLAIM_ENDPOINT, owner, host_number(below(HOSTS), below(2)), *common};

	wish.evidence.is_direct = one_in(3);
	add_wish(dispute, wish);
}

static struct cidr gateway_number(uint32_t number)
{
	static const char *const texts[GATEWAYS] = {"192.0.2.1", "192.0.2.2", "fe00::3"};

	return cidr(texts[number]);
}

/* At most one owner has a gateway's address unproved: the caller decides which of several is first.
 */
static void wish_gateways(struct dispute *dispute, const struct claim_evidence *common,
			  uint32_t owner, const uint32_t suspects[static GATEWAYS])
{
	for (uint32_t i = 0; i < GATEWAYS; i++) {
		struct wish wish = {CLAIM_ADDRESS, owner, gateway_number(i), *common};

		if (!one_in(3))
			continue;
		if (common->has_record && suspects[i] != owner) {
			wish.evidence.proved_ns = wish.evidence.answered_ns = moment(owner);
		} else if (common->has_record && one_in(2)) {
			wish.evidence.left_ns = moment(owner);
		}
		add_wish(dispute, wish);
	}
}

static void wish_all(struct dispute *dispute, uint32_t owner, uint32_t age,
		     const uint32_t suspects[static GATEWAYS])
{
	struct claim_evidence common = {
		.has_record = !one_in(5),
		.is_askable = !one_in(4),
		.is_silent = one_in(5),
		.age = age,
	};

	wish_pods(dispute, &common, owner);
	wish_addresses(dispute, &common, owner);
	wish_endpoint(dispute, &common, owner);
	wish_gateways(dispute, &common, owner, suspects);
}

static void wish_own(struct dispute *dispute)
{
	add_wish(dispute, (struct wish){CLAIM_RANGE, CLAIM_SELF, cidr("10.0.0.0/14"), {0}});
	add_wish(dispute, (struct wish){CLAIM_RANGE, CLAIM_SELF, cidr("fd00::/30"), {0}});
	for (uint32_t n = below(3); n > 0; n--)
		add_wish(dispute, (struct wish){CLAIM_OWN_POD, CLAIM_SELF, random_prefix(), {0}});
	for (uint32_t n = below(2); n > 0; n--)
		add_wish(dispute, (struct wish){CLAIM_HOLE, CLAIM_SELF, random_prefix(), {0}});
	for (uint32_t n = below(3); n > 0; n--)
		add_wish(dispute, (struct wish){CLAIM_OWN_ADDRESS,
						CLAIM_SELF,
						host_number(below(HOSTS), below(2)),
						{0}});
}

static void lay_routes(struct dispute *dispute)
{
	dispute->way_count = below(ROUTES_MAX + 1);
	for (uint32_t i = 0; i < dispute->way_count; i++)
		dispute->ways[i] = (struct way){
			.destination =
				i && one_in(4) ? dispute->ways[i - 1].destination : random_prefix(),
			.has_gateway = !one_in(5),
			.gateway = gateway_number(below(GATEWAYS)).address,
		};
}

static void shuffle(uint32_t *numbers, uint32_t count)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t other = below(i), spare = numbers[i - 1];

		numbers[i - 1] = numbers[other];
		numbers[other] = spare;
	}
}

static void create_dispute(struct dispute *dispute)
{
	uint32_t ages[OWNERS] = {0, 1, 2, 3, 4}, suspects[GATEWAYS];

	*dispute = (struct dispute){0};
	wish_own(dispute);
	shuffle(ages, OWNERS);
	for (uint32_t i = 0; i < GATEWAYS; i++)
		suspects[i] = below(OWNERS);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		wish_all(dispute, owner, ages[owner], suspects);
	lay_routes(dispute);
}

/* -- the model: two claims, as in claim.h -- */

static bool is_at(const struct wish *wish, const struct cidr *prefix)
{
	return cidr_is_equal(&wish->prefix, prefix);
}

static bool is_in_a_range(const struct dispute *dispute, const struct cidr *prefix)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (dispute->wishes[i].kind == CLAIM_RANGE &&
		    cidr_contains(&dispute->wishes[i].prefix, prefix))
			return true;
	return false;
}

/* Between the claim and our prefix around it, or in place of that. */
static bool is_in_a_hole_of(const struct dispute *dispute, const struct wish *ours,
			    const struct cidr *prefix)
{
	for (uint32_t i = 0; i < dispute->count; i++) {
		const struct wish *hole = &dispute->wishes[i];

		if (hole->kind == CLAIM_HOLE && cidr_contains(&hole->prefix, prefix) &&
		    cidr_contains(&ours->prefix, &hole->prefix))
			return true;
	}
	return false;
}

/* A claim to the address by a node with a record. */
static bool is_address_at(const struct wish *wish, const struct cidr *prefix)
{
	return wish->kind == CLAIM_ADDRESS && wish->evidence.has_record && is_at(wish, prefix);
}

/* Another node answered there not long before, or has since. */
static bool has_left(const struct dispute *dispute, const struct wish *wish)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (wish->evidence.left_ns && is_address_at(&dispute->wishes[i], &wish->prefix) &&
		    dispute->wishes[i].owner != wish->owner &&
		    dispute->wishes[i].evidence.answered_ns &&
		    dispute->wishes[i].evidence.answered_ns + CLAIM_ANSWER_NS >
			    wish->evidence.left_ns)
			return true;
	return false;
}

static bool is_live(const struct dispute *dispute, const struct wish *wish)
{
	return wish->evidence.has_record && !wish->evidence.is_silent && !has_left(dispute, wish);
}

static bool is_proved(const struct dispute *dispute, const struct wish *wish)
{
	return wish->evidence.proved_ns && is_live(dispute, wish);
}

static bool is_contested(const struct dispute *dispute, const struct cidr *prefix)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (is_address_at(&dispute->wishes[i], prefix) &&
			    is_address_at(&dispute->wishes[k], prefix) &&
			    dispute->wishes[i].owner != dispute->wishes[k].owner)
				return true;
	return false;
}

/* No answer yet, and time for one. */
static bool may_answer(const struct wish *wish)
{
	return wish->evidence.is_askable && !wish->evidence.proved_ns && !wish->evidence.left_ns;
}

static bool is_among_pods(const struct dispute *dispute, const struct cidr *prefix)
{
	for (uint32_t i = 0; i < dispute->count; i++) {
		const struct wish *pods = &dispute->wishes[i];

		if (pods->kind == CLAIM_POD && cidr_contains(&pods->prefix, prefix) &&
		    is_in_a_range(dispute, &pods->prefix))
			return true;
	}
	return false;
}

/* Does it belong to its node so far, and may a question still decide its owner? */
static bool is_undecided(const struct dispute *dispute, const struct wish *wish)
{
	if (wish->kind != CLAIM_ADDRESS || !wish->evidence.is_incumbent)
		return false;
	for (uint32_t i = 0; i < dispute->count; i++)
		if (is_address_at(&dispute->wishes[i], &wish->prefix) &&
		    may_answer(&dispute->wishes[i]) && is_contested(dispute, &wish->prefix))
			return true;
	return may_answer(wish) && wish->evidence.is_direct &&
	       is_among_pods(dispute, &wish->prefix);
}

/* -- the model: the order -- */

struct strength {
	uint64_t parts[5]; /* the first that differs decides, the smaller is stronger */
};

static struct strength strength_of(const struct dispute *dispute, const struct wish *wish)
{
	const struct claim_evidence *evidence = &wish->evidence;
	unsigned int class = is_live(dispute, wish) ? 0 : evidence->has_record ? 1 : 2, rank = 3;

	if (evidence->is_pod_cidr)
		rank = 0;
	else if (evidence->proved_ns)
		rank = 1;
	else if (is_undecided(dispute, wish))
		rank = 2;
	return (struct strength){
		{class, rank, rank == 1 ? evidence->proved_ns : 0, evidence->age, wish->kind}};
}

static bool is_stronger(const struct strength *one, const struct strength *other)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(one->parts); i++)
		if (one->parts[i] != other->parts[i])
			return one->parts[i] < other->parts[i];
	return false;
}

/* CLAIMS_MAX: all are judged. */
static uint32_t find_strongest(const struct dispute *dispute)
{
	uint32_t found = CLAIMS_MAX;
	struct strength strongest;

	for (uint32_t i = 0; i < dispute->count; i++) {
		struct strength strength = strength_of(dispute, &dispute->wishes[i]);

		if (dispute->is_judged[i] ||
		    (found != CLAIMS_MAX && !is_stronger(&strength, &strongest)))
			continue;
		found = i;
		strongest = strength;
	}
	return found;
}

/* -- the model: the claims that refuse a claim -- */

static bool pods_stand_against(const struct dispute *dispute, const struct wish *pods,
			       const struct wish *wanted)
{
	bool is_anothers = pods->owner != wanted->owner;
	bool is_wider = !is_at(pods, &wanted->prefix);

	if (wanted->kind == CLAIM_POD)
		return is_anothers;
	if (wanted->kind == CLAIM_ADDRESS)
		return is_anothers && !(is_wider && is_proved(dispute, wanted));
	if (is_wider && is_proved(dispute, wanted))
		return false;
	return !(is_wider && is_anothers && wanted->evidence.is_direct &&
		 !pods->evidence.is_pod_cidr);
}

static bool stands_against(const struct dispute *dispute, const struct wish *held,
			   const struct wish *wanted)
{
	if (!cidr_contains(&held->prefix, &wanted->prefix))
		return false;
	if (held->kind == CLAIM_OWN_POD)
		return wanted->kind != CLAIM_POD ||
		       !is_in_a_hole_of(dispute, held, &wanted->prefix);
	if (held->kind == CLAIM_OWN_ADDRESS)
		return true;
	if (held->kind == CLAIM_POD)
		return pods_stand_against(dispute, held, wanted);
	return held->kind == CLAIM_ADDRESS && wanted->kind != CLAIM_ENDPOINT &&
	       held->owner != wanted->owner;
}

/* Nobody: no node was proved to be there. */
static uint32_t node_at_gateway(const struct dispute *dispute, const struct way *way)
{
	struct cidr prefix = cidr_of_address(&way->gateway);
	uint32_t owner = CLAIM_NOBODY;
	uint64_t earliest = UINT64_MAX;

	for (uint32_t i = 0; way->has_gateway && i < dispute->count; i++) {
		const struct wish *wish = &dispute->wishes[i];

		if ((wish->kind == CLAIM_ADDRESS || wish->kind == CLAIM_ENDPOINT) &&
		    is_at(wish, &prefix) && is_proved(dispute, wish) &&
		    wish->evidence.proved_ns < earliest) {
			earliest = wish->evidence.proved_ns;
			owner = wish->owner;
		}
	}
	return owner;
}

/* Returns the node that claims a gateway, with a record but without a proof; CLAIMS_MAX: none. */
static uint32_t find_suspect(const struct dispute *dispute, const struct way *way)
{
	struct cidr prefix = cidr_of_address(&way->gateway);

	for (uint32_t i = 0; i < dispute->count; i++)
		if (way->has_gateway && node_at_gateway(dispute, way) == CLAIM_NOBODY &&
		    is_address_at(&dispute->wishes[i], &prefix) &&
		    dispute->wishes[i].evidence.is_askable &&
		    !dispute->wishes[i].evidence.proved_ns && !is_among_pods(dispute, &prefix))
			return i;
	return CLAIMS_MAX;
}

/* The nodes to which some routes lead. */
struct led {
	bool is_to[OWNERS];
	uint32_t owners, firsts[2]; /* two are distinguished, more are only counted */
	bool is_open;		    /* one of them leads to no node */
	uint32_t suspect;	    /* the wish */
};

static void follow(const struct dispute *dispute, const struct way *way, struct led *led)
{
	uint32_t owner = node_at_gateway(dispute, way);

	if (owner == CLAIM_NOBODY) {
		led->is_open = true;
		if (led->suspect == CLAIMS_MAX)
			led->suspect = find_suspect(dispute, way);
	} else if (!led->is_to[owner]) {
		led->is_to[owner] = true;
		if (led->owners < 2)
			led->firsts[led->owners] = owner;
		led->owners++;
	}
}

/* The length of the narrowest route around the pods; -1: there is none. */
static int narrowest_route(const struct dispute *dispute, const struct cidr *pods)
{
	int narrowest = -1;

	for (uint32_t i = 0; i < dispute->way_count; i++)
		if (cidr_contains(&dispute->ways[i].destination, pods))
			narrowest = MAX(narrowest, (int)dispute->ways[i].destination.prefix_len);
	return narrowest;
}

static struct led follow_routes_around(const struct dispute *dispute, const struct cidr *pods,
				       int narrowest)
{
	struct led led = {.suspect = CLAIMS_MAX};

	for (uint32_t i = 0; i < dispute->way_count; i++)
		if (cidr_contains(&dispute->ways[i].destination, pods) &&
		    dispute->ways[i].destination.prefix_len == narrowest)
			follow(dispute, &dispute->ways[i], &led);
	return led;
}

static struct led follow_routes_inside(const struct dispute *dispute, const struct cidr *pods)
{
	struct led led = {.suspect = CLAIMS_MAX};

	for (uint32_t i = 0; i < dispute->way_count; i++)
		if (cidr_contains(pods, &dispute->ways[i].destination))
			follow(dispute, &dispute->ways[i], &led);
	return led;
}

/* Until the gateway has answered, new claims of other nodes wait. */
static bool suspect_stands_against(struct dispute *dispute, const struct wish *wanted,
				   uint32_t suspect)
{
	const struct wish *at_gateway = &dispute->wishes[suspect];
	bool is_contrary = at_gateway->owner != wanted->owner;

	if (is_contrary)
		dispute->is_asked[suspect] = true;
	return is_contrary && may_answer(at_gateway) && !wanted->evidence.is_incumbent;
}

static bool routes_stand_against(struct dispute *dispute, const struct wish *wanted)
{
	int narrowest = narrowest_route(dispute, &wanted->prefix);
	struct led led = narrowest < 0 ? follow_routes_inside(dispute, &wanted->prefix)
				       : follow_routes_around(dispute, &wanted->prefix, narrowest);

	for (uint32_t i = 0; i < MIN(led.owners, 2U); i++)
		if (led.firsts[i] == wanted->owner)
			return false;
	if (narrowest < 0 ? led.owners : !led.is_open && led.owners <= 2)
		return led.owners;
	return led.suspect != CLAIMS_MAX && suspect_stands_against(dispute, wanted, led.suspect);
}

static bool is_accepted_by_model(struct dispute *dispute, const struct wish *wanted)
{
	for (uint32_t i = 0; i < dispute->count; i++)
		if (dispute->is_accepted[i] && stands_against(dispute, &dispute->wishes[i], wanted))
			return false;
	if (wanted->kind != CLAIM_POD)
		return true;
	return is_in_a_range(dispute, &wanted->prefix) &&
	       (wanted->evidence.is_pod_cidr || !routes_stand_against(dispute, wanted));
}

/* -- the model: questions -- */

/* Does another node's address stand against it, and no pods of the very same prefix? */
static bool is_refused_for_an_address(const struct dispute *dispute, const struct wish *wanted)
{
	bool has_address = false;

	for (uint32_t i = 0; i < dispute->count; i++) {
		const struct wish *held = &dispute->wishes[i];

		if (!dispute->is_accepted[i] || !is_at(held, &wanted->prefix) ||
		    !stands_against(dispute, held, wanted))
			continue;
		if (held->kind != CLAIM_ADDRESS)
			return false;
		has_address = true;
	}
	return has_address;
}

static uint32_t proofs_at(const struct dispute *dispute, const struct cidr *prefix)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < dispute->count; i++)
		count += is_address_at(&dispute->wishes[i], prefix) &&
			 dispute->wishes[i].evidence.proved_ns;
	return count;
}

static bool is_address_asked(const struct dispute *dispute, uint32_t number)
{
	const struct wish *wish = &dispute->wishes[number];

	if (!dispute->is_accepted[number] && !dispute->lost_to_address[number])
		return false;
	if (is_contested(dispute, &wish->prefix))
		return !wish->evidence.proved_ns || proofs_at(dispute, &wish->prefix) > 1;
	if (wish->evidence.proved_ns)
		return is_among_pods(dispute, &wish->prefix);
	return is_undecided(dispute, wish);
}

static void ask_by_model(struct dispute *dispute)
{
	for (uint32_t i = 0; i < dispute->count; i++) {
		const struct wish *wish = &dispute->wishes[i];

		if (!wish->evidence.has_record || !wish->evidence.is_askable)
			continue;
		if (wish->kind == CLAIM_ADDRESS)
			dispute->is_asked[i] |= is_address_asked(dispute, i);
		if (wish->kind == CLAIM_ENDPOINT)
			dispute->is_asked[i] |= dispute->is_accepted[i] &&
						!wish->evidence.proved_ns &&
						is_among_pods(dispute, &wish->prefix);
	}
}

static void decide_by_model(struct dispute *dispute)
{
	uint32_t next;

	for (uint32_t i = 0; i < dispute->count; i++)
		dispute->is_judged[i] = dispute->is_accepted[i] =
			dispute->wishes[i].owner == CLAIM_SELF;
	while ((next = find_strongest(dispute)) != CLAIMS_MAX) {
		dispute->is_accepted[next] = is_accepted_by_model(dispute, &dispute->wishes[next]);
		dispute->lost_to_address[next] =
			is_refused_for_an_address(dispute, &dispute->wishes[next]);
		dispute->is_judged[next] = true;
	}
	ask_by_model(dispute);
}

/* -- claim.c -- */

/* The owners' wishes are added in the order of `owners`. ret_number[i]: wish i's. */
static void decide_by_claims(const struct dispute *dispute,
			     const uint32_t owners[static OWNERS + 1],
			     uint32_t ret_number[static CLAIMS_MAX])
{
	begin(NULL);
	for (unsigned int at = 0; at < OWNERS + 1; at++)
		for (uint32_t i = 0; i < dispute->count; i++) {
			const struct wish *of = &dispute->wishes[i];

			if (of->owner != owners[at])
				continue;
			ret_number[i] = claims.count;
			claims_add(&claims, of->kind, of->owner, &of->prefix, &of->evidence);
		}
	for (uint32_t i = 0; i < dispute->way_count; i++)
		claims_add_route(&claims, &dispute->ways[i].destination,
				 dispute->ways[i].has_gateway ? &dispute->ways[i].gateway : NULL);
	assert_true(claims.count <= CLAIMS_MAX);
	judge();
}

static void assert_same_verdicts(const struct dispute *dispute,
				 const uint32_t number[static CLAIMS_MAX], unsigned int round)
{
	char text[CIDR_TEXT_LEN];

	for (uint32_t i = 0; i < dispute->count; i++)
		if (is_accepted(number[i]) != dispute->is_accepted[i] ||
		    items[number[i]].is_asked != dispute->is_asked[i])
			fail_msg("round %u, kind %d, owner %u, %s: expected %s, %s", round,
				 dispute->wishes[i].kind, dispute->wishes[i].owner,
				 cidr_format(text, &dispute->wishes[i].prefix),
				 dispute->is_accepted[i] ? "accepted" : "refused",
				 dispute->is_asked[i] ? "asked" : "not asked");
}

struct figures {
	uint32_t accepted, refused, asked;
};

static void count_verdicts(const struct dispute *dispute, struct figures *figures)
{
	for (uint32_t i = 0; i < dispute->count; i++) {
		bool is_judged = dispute->wishes[i].owner != CLAIM_SELF;

		figures->accepted += is_judged && dispute->is_accepted[i];
		figures->refused += is_judged && !dispute->is_accepted[i];
		figures->asked += dispute->is_asked[i];
	}
}

TEST(claim_verdicts_are_those_of_asking_every_pair_in_any_order_of_adding, begin)
{
	uint32_t owners[OWNERS + 1] = {CLAIM_SELF, 0, 1, 2, 3, 4}, number[CLAIMS_MAX];
	struct figures figures = {0};
	struct dispute dispute;

	seed = 1;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		create_dispute(&dispute);
		decide_by_model(&dispute);
		shuffle(owners, ARRAY_SIZE(owners));
		decide_by_claims(&dispute, owners, number);
		assert_same_verdicts(&dispute, number, round);
		count_verdicts(&dispute, &figures);
	}
	/* else it proved little */
	assert_true(figures.accepted > ROUNDS && figures.refused > ROUNDS &&
		    figures.asked > ROUNDS);
}

/* -- reasons -- */

static void assert_refusal_has_a_reason(const struct dispute *dispute, const struct wish *wish,
					const struct claim *claim)
{
	const struct claim *opponent;

	if (claim->opponent == CLAIM_NONE) {
		assert_int_equal(claim->kind, CLAIM_POD);
		assert_false(is_in_a_range(dispute, &wish->prefix));
		return;
	}
	opponent = &items[claim->opponent];
	if (opponent->kind == CLAIM_ROUTE) {
		assert_int_equal(claim->kind, CLAIM_POD);
		assert_in_range(opponent->owner, 0, OWNERS - 1);
		assert_true(opponent->owner != claim->owner);
		return;
	}
	assert_true(opponent->is_accepted);
	assert_true(prefix_key_contains(&opponent->key, &claim->key));
	assert_true(opponent->owner != claim->owner || claim->kind == CLAIM_ENDPOINT);
}

/* Is any prefix inside it another node's, accepted? */
static bool has_exception(const struct claim *claim)
{
	for (uint32_t i = 0; i < claims.count; i++)
		if (items[i].is_accepted && items[i].owner != claim->owner &&
		    (items[i].kind == CLAIM_POD || items[i].kind == CLAIM_ADDRESS ||
		     items[i].kind == CLAIM_OWN_POD || items[i].kind == CLAIM_OWN_ADDRESS) &&
		    prefix_key_contains(&claim->key, &items[i].key) &&
		    prefix_key_compare(&claim->key, &items[i].key))
			return true;
	return false;
}

static void assert_exception_is_named(const struct claim *claim)
{
	const struct claim *opponent;

	assert_int_equal(claim->opponent != CLAIM_NONE,
			 claim->kind == CLAIM_POD && has_exception(claim));
	if (claim->opponent == CLAIM_NONE)
		return;
	opponent = &items[claim->opponent];
	assert_true(opponent->is_accepted && opponent->owner != claim->owner);
	assert_true(prefix_key_contains(&claim->key, &opponent->key));
}

TEST(claim_names_the_one_that_refuses_it_or_the_one_that_it_contains, begin)
{
	uint32_t owners[OWNERS + 1] = {CLAIM_SELF, 0, 1, 2, 3, 4}, number[CLAIMS_MAX];
	struct dispute dispute;

	seed = 2;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		create_dispute(&dispute);
		decide_by_claims(&dispute, owners, number);
		for (uint32_t i = 0; i < dispute.count; i++) {
			const struct claim *claim = &items[number[i]];

			if (dispute.wishes[i].owner == CLAIM_SELF)
				continue;
			if (claim->is_accepted)
				assert_exception_is_named(claim);
			else
				assert_refusal_has_a_reason(&dispute, &dispute.wishes[i], claim);
		}
	}
}

static bool has_prefix(const struct claim *claim)
{
	return claim->is_accepted && (claim->kind == CLAIM_POD || claim->kind == CLAIM_ADDRESS);
}

TEST(claim_accepted_shares_its_prefix_with_no_other_node, begin)
{
	uint32_t owners[OWNERS + 1] = {CLAIM_SELF, 0, 1, 2, 3, 4}, number[CLAIMS_MAX];
	struct dispute dispute;

	seed = 3;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		create_dispute(&dispute);
		decide_by_claims(&dispute, owners, number);
		for (uint32_t i = 0; i < claims.count; i++)
			for (uint32_t k = 0; k < i; k++)
				if (has_prefix(&items[i]) && has_prefix(&items[k]) &&
				    items[i].owner != items[k].owner)
					assert_true(
						prefix_key_compare(&items[i].key, &items[k].key));
	}
}
