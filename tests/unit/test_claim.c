// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/claim.c: who gets which prefix, each rule of claim.h by itself. All of them together are in test_claim_model.c.
 */
#include "claim_table.h"

/* The number of the claim. */
static uint32_t add(enum claim_kind kind, uint32_t owner, const char *text)
{
	struct cidr prefix = cidr(text);

	assert_true(claims.count < CLAIMS_MAX);
	claims_add(&claims, kind, owner, &prefix);
	return claims.count - 1;
}

static void add_ranges(void)
{
	add(CLAIM_RANGE, CLAIM_SELF, "10.0.0.0/8");
	add(CLAIM_RANGE, CLAIM_SELF, "fd00::/16");
}

static void assert_refused_because_of(uint32_t index, uint32_t opponent)
{
	assert_false(is_accepted(index));
	assert_int_equal(items[index].opponent, opponent);
}

/* -- who contains whom -- */

static void claim_is_inside_the_narrowest_that_contains_it(void **state)
{
	uint32_t narrow = add(CLAIM_POD, 1, "10.1.1.0/24"), wide = add(CLAIM_POD, 2, "10.0.0.0/8"),
		 middle = add(CLAIM_POD, 3, "10.1.0.0/16"),
		 beside = add(CLAIM_POD, 4, "10.2.0.0/16"), apart = add(CLAIM_POD, 5, "11.0.0.0/8");

	claims_nest(&claims);
	assert_int_equal(items[wide].parent, CLAIM_NONE);
	assert_int_equal(items[middle].parent, wide);
	assert_int_equal(items[narrow].parent, middle);
	assert_int_equal(items[beside].parent, wide);
	assert_int_equal(items[apart].parent, CLAIM_NONE);
}

static void claim_of_the_same_prefix_is_inside_the_kind_that_stands_first(void **state)
{
	uint32_t endpoint = add(CLAIM_ENDPOINT, 1, "10.0.0.1"),
		 pod = add(CLAIM_POD, 1, "10.0.0.1/32"),
		 own = add(CLAIM_OWN_ADDRESS, CLAIM_SELF, "10.0.0.1");

	claims_nest(&claims);
	assert_int_equal(items[own].parent, CLAIM_NONE);
	assert_int_equal(items[pod].parent, own);
	assert_int_equal(items[endpoint].parent, pod);
}

static void claim_families_never_touch(void **state)
{
	uint32_t v6, v4;

	add_ranges();
	add(CLAIM_OWN_POD, CLAIM_SELF, "fd00:a::/32");
	add(CLAIM_OWN_POD, CLAIM_SELF, "10.10.0.0/16");
	v6 = add(CLAIM_POD, 1, "fd00:b::/32");
	v4 = add(CLAIM_POD, 1, "10.11.0.0/16");
	claims_nest(&claims);
	decide(CLAIM_POD, v6, 2);
	assert_true(is_accepted(v6) && is_accepted(v4));
	assert_int_equal(items[v6].parent, 1);
	assert_int_equal(items[v4].parent, 0);
}

/* -- acceptance -- */

static void claim_of_this_node_is_accepted_whatever_others_claim(void **state)
{
	uint32_t theirs, pod, address;

	add_ranges();
	theirs = add(CLAIM_POD, 1, "10.1.0.0/16");
	pod = add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.0.0/16");
	address = add(CLAIM_OWN_ADDRESS, CLAIM_SELF, "10.1.0.1");
	claims_nest(&claims);
	decide(CLAIM_POD, theirs, 1);
	assert_true(is_accepted(pod) && is_accepted(address));
	assert_refused_because_of(theirs, pod);
}

static void claim_to_pods_outside_every_range_is_refused_without_opponent(void **state)
{
	static const char *const outside[] = {"11.0.0.0/16", "0.0.0.0/0", "8.0.0.0/6", "fe00::/64",
					      "fc00::/7"};

	add_ranges();
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++)
		add(CLAIM_POD, 1, outside[i]);
	claims_nest(&claims);
	decide(CLAIM_POD, 2, ARRAY_SIZE(outside));
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++)
		assert_refused_because_of(2 + i, CLAIM_NONE);
}

static void claim_to_a_whole_range_is_inside_it(void **state)
{
	uint32_t v4, v6;

	add_ranges();
	v4 = add(CLAIM_POD, 1, "10.0.0.0/8");
	v6 = add(CLAIM_POD, 1, "fd00::/16");
	claims_nest(&claims);
	decide(CLAIM_POD, v4, 2);
	assert_true(is_accepted(v4) && is_accepted(v6));
}

static void claim_around_a_narrower_range_is_accepted_inside_a_wider_one(void **state)
{
	uint32_t pod;

	add_ranges();
	add(CLAIM_RANGE, CLAIM_SELF, "10.1.2.0/24");
	pod = add(CLAIM_POD, 1, "10.1.0.0/16");
	claims_nest(&claims);
	decide(CLAIM_POD, pod, 1);
	assert_true(is_accepted(pod));
}

static void claim_to_addresses_and_endpoints_needs_no_range(void **state)
{
	uint32_t address = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 endpoint = add(CLAIM_ENDPOINT, 1, "192.168.50.1");

	claims_nest(&claims);
	decide(CLAIM_ADDRESS, 0, 2);
	decide(CLAIM_ENDPOINT, 0, 2);
	assert_true(is_accepted(address) && is_accepted(endpoint));
}

static void claim_not_yet_decided_stands_against_nobody(void **state)
{
	uint32_t later, now;

	add_ranges();
	later = add(CLAIM_POD, 1, "10.1.0.0/16");
	now = add(CLAIM_POD, 2, "10.1.1.0/24");
	claims_nest(&claims);
	decide(CLAIM_POD, now, 1);
	assert_true(is_accepted(now));
	decide(CLAIM_POD, later, 1);
	assert_refused_because_of(later, now);
}

static void claim_that_was_refused_stands_against_nobody(void **state)
{
	uint32_t own, refused, third;

	add_ranges();
	own = add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.0.0/24");
	refused = add(CLAIM_POD, 1, "10.1.0.0/16");
	third = add(CLAIM_POD, 2, "10.1.2.0/24");
	claims_nest(&claims);
	decide(CLAIM_POD, refused, 1);
	decide(CLAIM_POD, third, 1);
	assert_refused_because_of(refused, own);
	assert_true(is_accepted(third));
}

static void claim_of_another_kind_is_left_undecided(void **state)
{
	uint32_t address, pod;

	add_ranges();
	address = add(CLAIM_ADDRESS, 1, "192.168.50.1");
	pod = add(CLAIM_POD, 1, "10.1.0.0/16");
	claims_nest(&claims);
	decide(CLAIM_ADDRESS, address, 2);
	assert_true(is_accepted(address));
	assert_false(is_accepted(pod));
	decide(CLAIM_POD, address, 2);
	assert_true(is_accepted(pod));
}

/* -- opponents -- */

/* Decides `first`, then `second`, in a fresh dispute inside the ranges; says whether `second` was accepted. */
static bool accepts_after(enum claim_kind first, const char *held, enum claim_kind second,
			  uint32_t owner, const char *wanted)
{
	uint32_t holder, claimant;

	begin(NULL);
	add_ranges();
	holder = add(first, first == CLAIM_OWN_POD || first == CLAIM_OWN_ADDRESS ? CLAIM_SELF : 1,
		     held);
	claimant = add(second, owner, wanted);
	claims_nest(&claims);
	decide(first, holder, 1);
	assert_true(is_accepted(holder));
	decide(second, claimant, 1);
	if (!is_accepted(claimant))
		assert_int_equal(items[claimant].opponent, holder);
	return is_accepted(claimant);
}

static void claim_to_pods_touches_neither_others_pods_nor_any_address(void **state)
{
	static const char *const touching[] = {"10.1.0.0/16", "10.1.2.0/23", "10.1.2.0/24",
					       "10.1.2.7/32"};

	for (unsigned int i = 0; i < ARRAY_SIZE(touching); i++) {
		const char *wanted = touching[i];

		assert_false(accepts_after(CLAIM_OWN_POD, "10.1.2.0/24", CLAIM_POD, 2, wanted));
		assert_false(accepts_after(CLAIM_POD, "10.1.2.0/24", CLAIM_POD, 2, wanted));
		assert_false(accepts_after(CLAIM_OWN_ADDRESS, "10.1.2.7", CLAIM_POD, 2, wanted));
		assert_false(accepts_after(CLAIM_ADDRESS, "10.1.2.7", CLAIM_POD, 2, wanted));
		assert_false(accepts_after(CLAIM_ADDRESS, "10.1.2.7", CLAIM_POD, 1, wanted));
	}
	assert_true(accepts_after(CLAIM_POD, "10.1.2.0/24", CLAIM_POD, 2, "10.1.3.0/24"));
	assert_true(accepts_after(CLAIM_ADDRESS, "10.1.2.7", CLAIM_POD, 2, "10.1.2.8/32"));
	assert_false(accepts_after(CLAIM_POD, "fd00:1::/64", CLAIM_POD, 2, "fd00:1::/32"));
	assert_true(accepts_after(CLAIM_POD, "fd00:1::/64", CLAIM_POD, 2, "fd00:1:0:1::/64"));
}

static void claim_to_an_address_is_not_ours_nor_in_our_pods_nor_anothers(void **state)
{
	assert_false(accepts_after(CLAIM_OWN_POD, "10.1.2.0/24", CLAIM_ADDRESS, 2, "10.1.2.7"));
	assert_false(
		accepts_after(CLAIM_OWN_ADDRESS, "192.168.50.1", CLAIM_ADDRESS, 2, "192.168.50.1"));
	assert_false(
		accepts_after(CLAIM_ADDRESS, "192.168.50.1", CLAIM_ADDRESS, 2, "192.168.50.1"));
	assert_false(
		accepts_after(CLAIM_OWN_ADDRESS, "fd00:50::1", CLAIM_ADDRESS, 2, "fd00:50::1"));
	assert_true(accepts_after(CLAIM_ADDRESS, "192.168.50.1", CLAIM_ADDRESS, 2, "192.168.50.2"));
	assert_true(accepts_after(CLAIM_OWN_POD, "10.1.2.0/24", CLAIM_ADDRESS, 2, "10.1.3.7"));
}

static void claim_to_an_endpoint_is_not_ours_nor_in_anybodys_pods(void **state)
{
	assert_false(accepts_after(CLAIM_OWN_ADDRESS, "192.168.50.1", CLAIM_ENDPOINT, 2,
				   "192.168.50.1"));
	assert_false(accepts_after(CLAIM_OWN_POD, "10.1.2.0/24", CLAIM_ENDPOINT, 2, "10.1.2.7"));
	assert_false(accepts_after(CLAIM_POD, "10.1.2.0/24", CLAIM_ENDPOINT, 2, "10.1.2.7"));
	assert_false(accepts_after(CLAIM_POD, "10.1.2.0/24", CLAIM_ENDPOINT, 1, "10.1.2.7"));
	assert_true(
		accepts_after(CLAIM_ADDRESS, "192.168.50.1", CLAIM_ENDPOINT, 2, "192.168.50.1"));
	assert_true(
		accepts_after(CLAIM_ENDPOINT, "192.168.50.1", CLAIM_ENDPOINT, 2, "192.168.50.1"));
}

/* -- one owner -- */

static void claim_inside_another_pod_prefix_of_its_owner_is_accepted(void **state)
{
	uint32_t narrow, wide, same;

	add_ranges();
	narrow = add(CLAIM_POD, 1, "10.1.1.0/24");
	wide = add(CLAIM_POD, 1, "10.1.0.0/16");
	same = add(CLAIM_POD, 1, "10.1.0.0/16");
	claims_nest(&claims);
	decide(CLAIM_POD, narrow, 3);
	assert_true(is_accepted(narrow) && is_accepted(wide) && is_accepted(same));
}

static void claim_to_an_address_that_its_owner_lists_twice_is_no_dispute(void **state)
{
	uint32_t first = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 again = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 anothers = add(CLAIM_ADDRESS, 2, "192.168.50.1");

	claims_nest(&claims);
	decide(CLAIM_ADDRESS, first, 2);
	decide(CLAIM_ADDRESS, anothers, 1);
	assert_true(is_accepted(first) && is_accepted(again));
	assert_false(is_accepted(anothers));
	assert_int_equal(items[items[anothers].opponent].owner, 1);
}

/* Both ways round: the opponent is found above in the one, below in the other. */
static void claim_to_a_disputed_prefix_is_the_first_deciders(void **state)
{
	for (unsigned int older = 0; older < 2; older++) {
		uint32_t both[2], younger = !older;

		begin(NULL);
		add_ranges();
		for (uint32_t i = 0; i < 2; i++)
			both[i] = add(CLAIM_POD, i, "10.1.0.0/16");
		claims_nest(&claims);
		decide(CLAIM_POD, both[older], 1);
		decide(CLAIM_POD, both[younger], 1);
		assert_true(is_accepted(both[older]));
		assert_refused_because_of(both[younger], both[older]);
	}
}

/* -- routes -- */

static void add_route(const char *destination, const char *gateway)
{
	struct cidr prefix = cidr(destination);
	struct address hop;

	assert_true(claims.count + 2 <= CLAIMS_MAX);
	if (gateway)
		assert_true(address_parse(&hop, gateway));
	claims_add_route(&claims, &prefix, gateway ? &hop : NULL);
}

/* Nodes 1 to 3 have 192.168.50.1 to .3; node 1 asks for the prefix, and routes were added before. */
static bool node_1_gets(const char *pod)
{
	uint32_t first = claims.count, index;

	add_ranges();
	add(CLAIM_ADDRESS, 1, "192.168.50.1");
	add(CLAIM_ADDRESS, 2, "192.168.50.2");
	add(CLAIM_ADDRESS, 3, "192.168.50.3");
	index = add(CLAIM_POD, 1, pod);
	claims_nest(&claims);
	for (uint32_t i = first; i < index; i++)
		claims_decide(&claims, CLAIM_ADDRESS, i, 1);
	claims_follow_routes(&claims);
	decide(CLAIM_POD, index, 1);
	return is_accepted(index);
}

static void claim_stands_where_the_route_leads_to_the_claimant(void **state)
{
	add_route("10.1.1.0/24", "192.168.50.1");
	add_route("10.1.0.0/16", "192.168.50.2"); /* a narrower one counts */
	assert_true(node_1_gets("10.1.1.0/24"));
}

static void claim_falls_where_the_route_leads_to_another_node(void **state)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	assert_false(node_1_gets("10.1.1.0/24"));
	assert_int_equal(items[items[claims.count - 1].opponent].kind, CLAIM_ROUTE);
	assert_int_equal(items[items[claims.count - 1].opponent].owner, 2);
}

static void claim_of_a_part_of_a_route_to_another_node_falls(void **state)
{
	add_route("10.1.0.0/16", "192.168.50.2");
	assert_false(node_1_gets("10.1.1.0/24"));
}

static void claim_is_not_judged_by_routes_that_say_nothing(void **state)
{
	add_route("10.1.0.0/16", "192.168.50.2");
	add_route("10.1.1.0/24", NULL); /* an overlay's device, the node's own subnet */
	assert_true(node_1_gets("10.1.1.0/24"));
}

static void claim_is_not_judged_by_a_gateway_that_is_no_node(void **state)
{
	add_route("10.1.1.0/24", "192.168.50.254");
	assert_true(node_1_gets("10.1.1.0/24"));
}

static void claim_stands_where_one_of_several_equal_routes_leads_to_the_claimant(void **state)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.1.0/24", "192.168.50.1");
	assert_true(node_1_gets("10.1.1.0/24"));
}

static void claim_around_a_route_to_another_node_falls(void **state)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.2.0/24", "192.168.50.3");
	assert_false(node_1_gets("10.1.0.0/16"));
}

static void claim_with_its_own_route_stands_around_a_route_to_another_node(void **state)
{
	add_route("10.1.0.0/16", "192.168.50.1");
	add_route("10.1.1.7/32", "192.168.50.2");
	assert_true(node_1_gets("10.1.0.0/16"));
}

static void claim_in_a_hole_of_our_own_prefix_stands(void **state)
{
	add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.0.0/16");
	add(CLAIM_HOLE, CLAIM_SELF, "10.1.1.0/24");
	assert_true(node_1_gets("10.1.1.7/32"));
}

static void claim_beside_a_hole_of_our_own_prefix_falls(void **state)
{
	add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.0.0/16");
	add(CLAIM_HOLE, CLAIM_SELF, "10.1.1.0/24");
	assert_false(node_1_gets("10.1.2.7/32"));
}

static void claim_in_a_hole_but_on_our_own_pod_falls(void **state)
{
	add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.0.0/16");
	add(CLAIM_HOLE, CLAIM_SELF, "10.1.1.0/24");
	add(CLAIM_OWN_POD, CLAIM_SELF, "10.1.1.7/32");
	assert_false(node_1_gets("10.1.1.7/32"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(claim_is_inside_the_narrowest_that_contains_it, begin),
		cmocka_unit_test_setup(
			claim_of_the_same_prefix_is_inside_the_kind_that_stands_first, begin),
		cmocka_unit_test_setup(claim_families_never_touch, begin),
		cmocka_unit_test_setup(claim_of_this_node_is_accepted_whatever_others_claim, begin),
		cmocka_unit_test_setup(
			claim_to_pods_outside_every_range_is_refused_without_opponent, begin),
		cmocka_unit_test_setup(claim_to_a_whole_range_is_inside_it, begin),
		cmocka_unit_test_setup(claim_around_a_narrower_range_is_accepted_inside_a_wider_one,
				       begin),
		cmocka_unit_test_setup(claim_to_addresses_and_endpoints_needs_no_range, begin),
		cmocka_unit_test_setup(claim_not_yet_decided_stands_against_nobody, begin),
		cmocka_unit_test_setup(claim_that_was_refused_stands_against_nobody, begin),
		cmocka_unit_test_setup(claim_of_another_kind_is_left_undecided, begin),
		cmocka_unit_test_setup(claim_to_pods_touches_neither_others_pods_nor_any_address,
				       begin),
		cmocka_unit_test_setup(claim_to_an_address_is_not_ours_nor_in_our_pods_nor_anothers,
				       begin),
		cmocka_unit_test_setup(claim_to_an_endpoint_is_not_ours_nor_in_anybodys_pods,
				       begin),
		cmocka_unit_test_setup(claim_inside_another_pod_prefix_of_its_owner_is_accepted,
				       begin),
		cmocka_unit_test_setup(claim_to_an_address_that_its_owner_lists_twice_is_no_dispute,
				       begin),
		cmocka_unit_test_setup(claim_to_a_disputed_prefix_is_the_first_deciders, begin),
		TEST(claim_stands_where_the_route_leads_to_the_claimant),
		TEST(claim_falls_where_the_route_leads_to_another_node),
		TEST(claim_of_a_part_of_a_route_to_another_node_falls),
		TEST(claim_is_not_judged_by_routes_that_say_nothing),
		TEST(claim_is_not_judged_by_a_gateway_that_is_no_node),
		TEST(claim_stands_where_one_of_several_equal_routes_leads_to_the_claimant),
		TEST(claim_around_a_route_to_another_node_falls),
		TEST(claim_with_its_own_route_stands_around_a_route_to_another_node),
		TEST(claim_in_a_hole_of_our_own_prefix_stands),
		TEST(claim_beside_a_hole_of_our_own_prefix_falls),
		TEST(claim_in_a_hole_but_on_our_own_pod_falls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
