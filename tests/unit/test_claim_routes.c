// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/claim.c: the evidence of this machine's routes about pod prefixes, and the gateways
 * that are witnesses (claim.h).
 */
#include "claim_table.h"

/* -- routes -- */

/* Nodes 1 to 4 were proved to be at 192.168.50.1 to .4. */
static void add_proved_nodes(void)
{
	add_with(CLAIM_ADDRESS, "192.168.50.1", 1, proved(1, EARLY));
	add_with(CLAIM_ADDRESS, "192.168.50.2", 2, proved(2, EARLY));
	add_with(CLAIM_ADDRESS, "192.168.50.3", 3, proved(3, EARLY));
	add_with(CLAIM_ADDRESS, "192.168.50.4", 4, proved(4, EARLY));
}

/* Node 1 asks for the pods; routes were added before. The number of its claim. */
static uint32_t node_1_asks_for(const char *pods)
{
	uint32_t index;

	add_proved_nodes();
	index = add(CLAIM_POD, 1, pods);
	judge();
	return index;
}

static bool node_1_gets(const char *pods)
{
	return is_accepted(node_1_asks_for(pods));
}

CLAIM_TEST(claim_is_accepted_where_the_route_leads_to_the_claimant)
{
	add_route("10.1.1.0/24", "192.168.50.1");
	add_route("10.1.0.0/16", "192.168.50.2"); /* a narrower one counts */
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_refused_where_the_route_leads_to_another_node)
{
	uint32_t index;

	add_route("10.1.1.0/24", "192.168.50.2");
	index = node_1_asks_for("10.1.1.0/24");
	assert_false(is_accepted(index));
	assert_int_equal(items[items[index].opponent].kind, CLAIM_ROUTE);
	assert_int_equal(items[items[index].opponent].owner, 2);
}

CLAIM_TEST(claim_to_part_of_a_route_to_another_node_is_refused)
{
	add_route("10.1.0.0/16", "192.168.50.2");
	assert_false(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_not_judged_by_routes_without_a_known_gateway)
{
	add_route("10.1.0.0/16", "192.168.50.2");
	add_route("10.1.1.0/24", NULL); /* an overlay's device, the node's own subnet */
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_not_judged_by_a_gateway_that_is_no_node)
{
	add_route("10.1.1.0/24", "192.168.50.254");
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_accepted_where_one_of_several_equal_routes_leads_to_the_claimant)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.1.0/24", "192.168.50.1");
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_refused_where_equal_routes_lead_to_two_other_nodes)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.1.0/24", "192.168.50.3");
	assert_false(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_is_not_judged_by_equal_routes_to_more_than_two_nodes)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.1.0/24", "192.168.50.3");
	add_route("10.1.1.0/24", "192.168.50.4");
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(claim_around_a_route_to_another_node_is_refused)
{
	add_route("10.1.1.0/24", "192.168.50.2");
	add_route("10.1.2.0/24", "192.168.50.3");
	assert_false(node_1_gets("10.1.0.0/16"));
}

CLAIM_TEST(claim_with_its_own_route_is_accepted_around_a_route_to_another_node)
{
	add_route("10.1.0.0/16", "192.168.50.1");
	add_route("10.1.1.7/32", "192.168.50.2");
	assert_true(node_1_gets("10.1.0.0/16"));
}

CLAIM_TEST(claim_of_a_published_pod_cidr_is_not_judged_by_routes)
{
	uint32_t pods;

	add_proved_nodes();
	add_route("10.1.1.0/24", "192.168.50.2");
	pods = add_with(CLAIM_POD, "10.1.1.0/24", 1, published(1));
	judge();
	assert_stands_except(pods, CLAIM_NONE);
}

/* -- which gateway is a witness -- */

#define GATEWAY 1

/* Node 1 asks for 10.1.1.0/24, to which a route leads by the GATEWAY, which node 2 claims. The
 * number of its claim. */
static uint32_t ask_past_gateway(enum claim_kind kind, struct claim_evidence evidence,
				 struct claim_evidence claimant)
{
	uint32_t pods;

	begin_in_range(NULL);
	add_with(kind, "192.168.50.2", 2, evidence);
	add_route("10.1.1.0/24", "192.168.50.2");
	pods = add_with(CLAIM_POD, "10.1.1.0/24", 1, claimant);
	judge();
	return pods;
}

static bool gets_past_gateway(enum claim_kind kind, struct claim_evidence evidence)
{
	return is_accepted(ask_past_gateway(kind, evidence, aged(1)));
}

CLAIM_TEST(gateway_is_a_witness_where_a_node_was_proved_to_be)
{
	assert_false(gets_past_gateway(CLAIM_ADDRESS, proved(2, LATE)));
	assert_false(gets_past_gateway(CLAIM_ENDPOINT, proved(2, LATE)));
	assert_false(
		is_accepted(ask_past_gateway(CLAIM_ADDRESS, proved(2, LATE), incumbent(aged(1)))));
}

CLAIM_TEST(gateway_is_no_witness_where_no_node_was_proved_to_be)
{
	assert_true(gets_past_gateway(CLAIM_ENDPOINT, aged(2)));
	assert_true(gets_past_gateway(CLAIM_ADDRESS, silent(proved(2, LATE))));
	assert_true(gets_past_gateway(CLAIM_ADDRESS, without_record(2)));
}

CLAIM_TEST(gateway_is_the_node_with_the_earliest_proof)
{
	add_with(CLAIM_ADDRESS, "192.168.50.2", 3, proved(3, LATE));
	add_with(CLAIM_ADDRESS, "192.168.50.1", 2, proved(2, EARLY - 1));
	add_route("10.1.1.0/24", "192.168.50.1");
	assert_false(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(gateway_of_a_node_that_left_is_the_one_that_answers_now)
{
	uint32_t pods;

	add_with(CLAIM_ADDRESS, "192.168.50.9", 1, left(proved(1, EARLY), LATE - 1));
	add_with(CLAIM_ADDRESS, "192.168.50.9", 2, proved(2, LATE));
	add_route("10.1.1.0/24", "192.168.50.9");
	pods = add(CLAIM_POD, 2, "10.1.1.0/24");
	judge();
	assert_accepted(pods);
}

CLAIM_TEST(gateway_that_did_not_answer_is_no_witness_but_is_asked)
{
	uint32_t pods = ask_past_gateway(CLAIM_ADDRESS, left(aged(2), EARLY), aged(1));

	assert_stands_except(pods, CLAIM_NONE);
	assert_true(items[GATEWAY].is_asked);
}

CLAIM_TEST(gateway_holds_new_claims_up_until_it_has_answered_or_not)
{
	uint32_t pods = ask_past_gateway(CLAIM_ADDRESS, aged(2), aged(1));

	assert_false(is_accepted(pods));
	assert_int_equal(items[items[pods].opponent].kind, CLAIM_ROUTE);
	assert_int_equal(items[items[pods].opponent].owner, 2);
	assert_true(items[GATEWAY].is_asked);
}

CLAIM_TEST(gateway_without_a_proof_takes_no_pods_from_their_incumbent)
{
	uint32_t pods = ask_past_gateway(CLAIM_ADDRESS, aged(2), incumbent(aged(1)));

	assert_stands_except(pods, CLAIM_NONE);
	assert_true(items[GATEWAY].is_asked);
}

CLAIM_TEST(gateway_that_was_proved_or_has_no_record_is_not_asked)
{
	ask_past_gateway(CLAIM_ADDRESS, proved(2, LATE), aged(1));
	assert_false(items[GATEWAY].is_asked);
	ask_past_gateway(CLAIM_ADDRESS, without_record(2), aged(1));
	assert_false(items[GATEWAY].is_asked);
}

CLAIM_TEST(gateway_of_the_claimant_itself_is_not_asked)
{
	uint32_t gateway = add_with(CLAIM_ADDRESS, "192.168.50.9", 1, aged(1)), pods;

	add_route("10.1.1.0/24", "192.168.50.9");
	pods = add_with(CLAIM_POD, "10.1.1.0/24", 1, aged(1));
	judge();
	assert_stands_except(pods, CLAIM_NONE);
	assert_false(items[gateway].is_asked);
}

CLAIM_TEST(gateway_is_not_asked_for_pods_that_no_route_can_take)
{
	uint32_t pods = ask_past_gateway(CLAIM_ADDRESS, aged(2), published(1));

	assert_stands_except(pods, CLAIM_NONE);
	assert_false(items[GATEWAY].is_asked);
}

CLAIM_TEST(claim_with_one_of_several_equal_routes_is_not_held_up_by_the_others)
{
	add(CLAIM_ADDRESS, 2, "192.168.50.9");
	add_route("10.1.1.0/24", "192.168.50.9");
	add_route("10.1.1.0/24", "192.168.50.1");
	assert_true(node_1_gets("10.1.1.0/24"));
}

CLAIM_TEST(gateway_is_never_asked_where_pods_refuse_its_address)
{
	uint32_t gateway;

	add_with(CLAIM_POD, "10.1.2.0/24", 3, published(3));
	gateway = add(CLAIM_ADDRESS, 2, "10.1.2.7");
	add_route("10.1.1.0/24", "10.1.2.7");
	add(CLAIM_POD, 1, "10.1.1.0/24");
	judge();
	assert_false(items[gateway].is_asked);
}

/* Nodes are added in the order of their age. */
CLAIM_TEST(gateway_that_two_nodes_claim_without_a_proof_is_taken_for_the_older_ones)
{
	for (uint32_t claimant = 1; claimant <= 2; claimant++) {
		uint32_t pods;

		begin_in_range(NULL);
		add(CLAIM_ADDRESS, 1, "192.168.50.9");
		add(CLAIM_ADDRESS, 2, "192.168.50.9");
		add_route("10.1.1.0/24", "192.168.50.9");
		pods = add(CLAIM_POD, claimant, "10.1.1.0/24");
		judge();
		assert_int_equal(is_accepted(pods), claimant == 1);
	}
}

/* The node left its endpoint as well as its address. */
CLAIM_TEST(claim_around_routes_to_three_other_nodes_is_refused_as_around_one)
{
	add_route("10.1.2.0/24", "192.168.50.2");
	add_route("10.1.3.0/24", "192.168.50.3");
	add_route("10.1.4.0/24", "192.168.50.4");
	assert_false(node_1_gets("10.1.0.0/16"));
}

/* The gateways are asked, and new claims wait until they have answered. */
CLAIM_TEST(claim_around_routes_to_suspected_gateways_waits_for_their_answers)
{
	uint32_t gateway = add_with(CLAIM_ADDRESS, "192.168.50.2", 2, aged(2)), pods;

	add_route("10.1.2.0/24", "192.168.50.2");
	pods = add(CLAIM_POD, 1, "10.1.0.0/16");
	judge();
	assert_false(is_accepted(pods));
	assert_true(items[gateway].is_asked);
}

CLAIM_TEST(gateway_of_a_node_that_left_is_no_witness_by_its_endpoint)
{
	uint32_t pods;

	add_with(CLAIM_ADDRESS, "192.168.50.9", 1, left(proved(1, EARLY), LATE - 1));
	add_with(CLAIM_ENDPOINT, "192.168.50.9", 1, left(proved(1, EARLY), LATE - 1));
	add_with(CLAIM_ADDRESS, "192.168.50.9", 2, proved(2, LATE));
	add_route("10.1.1.0/24", "192.168.50.9");
	pods = add(CLAIM_POD, 2, "10.1.1.0/24");
	judge();
	assert_accepted(pods);
}
