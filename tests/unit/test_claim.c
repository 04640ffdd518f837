// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/claim.c: the owner of each prefix and address, each rule of the order in claim.h by
 * itself and in both families. Routes are in test_claim_routes.c, disputes that a proof would
 * decide in test_claim_questions.c, and all of them together in test_claim_model.c.
 */
#include "claim_table.h"

/* -- who contains whom -- */

CLAIM_TEST(claim_is_placed_inside_the_narrowest_that_contains_it)
{
	uint32_t narrow = add(CLAIM_POD, 1, "10.1.1.0/24"), wide = add(CLAIM_POD, 2, "10.0.0.0/9"),
		 middle = add(CLAIM_POD, 3, "10.1.0.0/16"),
		 beside = add(CLAIM_POD, 4, "10.2.0.0/16"), apart = add(CLAIM_POD, 5, "11.0.0.0/8");

	judge();
	assert_int_equal(places[items[narrow].place].parent, items[middle].place);
	assert_int_equal(places[items[middle].place].parent, items[wide].place);
	assert_int_equal(places[items[beside].place].parent, items[wide].place);
	assert_int_equal(places[items[wide].place].parent, items[0].place);
	assert_int_equal(places[items[apart].place].parent, CLAIM_NONE);
}

CLAIM_TEST(claims_of_the_same_prefix_share_a_place)
{
	uint32_t endpoint = add(CLAIM_ENDPOINT, 1, "10.0.0.1"),
		 pod = add(CLAIM_POD, 1, "10.0.0.1/32"), beside = add(CLAIM_ADDRESS, 1, "10.0.0.2");

	judge();
	assert_int_equal(items[endpoint].place, items[pod].place);
	assert_int_not_equal(items[beside].place, items[pod].place);
	assert_int_equal(claims.place_count, 3);
}

TEST(claim_families_never_touch, begin_ipv4)
{
	uint32_t v6, v4;

	add_own(CLAIM_RANGE, "fd00::/16");
	add_own(CLAIM_OWN_POD, "fd00:a::/32");
	add_own(CLAIM_OWN_POD, "10.10.0.0/16");
	v6 = add(CLAIM_POD, 1, "fd00:b::/32");
	v4 = add(CLAIM_POD, 1, "10.11.0.0/16");
	judge();
	assert_accepted(v6);
	assert_accepted(v4);
	assert_int_equal(places[items[v6].place].parent, items[1].place);
	assert_int_equal(places[items[v4].place].parent, items[0].place);
}

/* -- this node's own -- */

CLAIM_TEST(claim_of_this_node_is_beyond_dispute)
{
	uint32_t pods = add_with(CLAIM_POD, "10.1.0.0/16", 1, published(1)),
		 part = add_with(CLAIM_POD, "10.1.2.0/24", 1, published(1)),
		 address = add_with(CLAIM_ADDRESS, "10.1.0.9", 1, proved(1, EARLY)),
		 same = add_with(CLAIM_ADDRESS, "192.168.50.1", 1, proved(1, EARLY)),
		 own_pods = add_own(CLAIM_OWN_POD, "10.1.0.0/16"),
		 own_address = add_own(CLAIM_OWN_ADDRESS, "192.168.50.1");

	judge();
	assert_accepted(own_pods);
	assert_accepted(own_address);
	assert_refused_because_of(pods, own_pods);
	assert_refused_because_of(part, own_pods);
	assert_refused_because_of(address, own_pods);
	assert_refused_because_of(same, own_address);
}

CLAIM_TEST(claim_around_this_nodes_own_is_accepted_everywhere_else)
{
	uint32_t around_pods = add(CLAIM_POD, 1, "10.1.0.0/16"),
		 around_address = add(CLAIM_POD, 1, "10.2.0.0/16"),
		 own_pods = add_own(CLAIM_OWN_POD, "10.1.2.0/24"),
		 own_address = add_own(CLAIM_OWN_ADDRESS, "10.2.0.9");

	judge();
	assert_stands_except(around_pods, own_pods);
	assert_stands_except(around_address, own_address);
}

/* -- the cluster range -- */

CLAIM_TEST(claim_to_pods_outside_every_range_is_refused_without_opponent)
{
	static const char *const outside[] = {"11.0.0.0/16", "0.0.0.0/0", "8.0.0.0/6", "0.0.0.0/1"};

	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++)
		add_with(CLAIM_POD, outside[i], 1, published(1));
	judge();
	for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++)
		assert_refused_because_of(1 + i, CLAIM_NONE);
}

CLAIM_TEST(claim_to_a_whole_range_is_inside_it)
{
	uint32_t whole = add(CLAIM_POD, 1, "10.0.0.0/8");

	judge();
	assert_stands_except(whole, CLAIM_NONE);
}

CLAIM_TEST(claim_around_a_narrower_range_is_accepted_inside_a_wider_one)
{
	uint32_t pods;

	add_own(CLAIM_RANGE, "10.1.2.0/24");
	pods = add(CLAIM_POD, 1, "10.1.0.0/16");
	judge();
	assert_accepted(pods);
}

CLAIM_TEST(claim_to_addresses_and_endpoints_needs_no_range)
{
	uint32_t address = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 endpoint = add(CLAIM_ENDPOINT, 1, "192.168.50.1");

	judge();
	assert_accepted(address);
	assert_accepted(endpoint);
}

/* -- the order: published podCIDRs, then proofs, then age -- */

CLAIM_TEST(claim_of_a_published_pod_cidr_beats_a_proof)
{
	assert_beats(CLAIM_POD, published(2), CLAIM_ADDRESS, proved(1, EARLY));
}

CLAIM_TEST(claim_of_a_published_pod_cidr_beats_older_pods_and_addresses)
{
	assert_beats(CLAIM_POD, published(2), CLAIM_POD, aged(1));
	assert_beats(CLAIM_POD, published(2), CLAIM_ADDRESS, aged(1));
}

CLAIM_TEST(claim_of_two_published_pod_cidrs_is_the_older_nodes)
{
	assert_beats(CLAIM_POD, published(1), CLAIM_POD, published(2));
}

CLAIM_TEST(claim_with_a_proof_beats_an_older_one_without)
{
	assert_beats(CLAIM_ADDRESS, proved(2, LATE), CLAIM_ADDRESS, aged(1));
	assert_beats(CLAIM_ADDRESS, proved(2, LATE), CLAIM_POD, aged(1));
}

CLAIM_TEST(claim_with_the_earlier_proof_beats_the_older_node)
{
	assert_beats(CLAIM_ADDRESS, proved(2, EARLY), CLAIM_ADDRESS, proved(1, LATE));
}

/* Only the first answer counts, not the last. */
CLAIM_TEST(claim_with_a_later_proof_displaces_no_other_however_often_it_is_made)
{
	struct claim_evidence again = proved(1, LATE);

	again.answered_ns = LATE + 1000;
	assert_beats(CLAIM_ADDRESS, proved(2, EARLY), CLAIM_ADDRESS, again);
}

CLAIM_TEST(claim_without_other_evidence_is_the_older_nodes)
{
	assert_beats(CLAIM_POD, aged(1), CLAIM_POD, aged(2));
	assert_beats(CLAIM_POD, aged(1), CLAIM_ADDRESS, aged(2));
	assert_beats(CLAIM_ADDRESS, aged(1), CLAIM_ADDRESS, aged(2));
	assert_beats(CLAIM_ADDRESS, aged(1), CLAIM_POD, aged(2));
}

/* -- behind them: silent nodes, addresses that were left, nodes without a record -- */

CLAIM_TEST(claim_of_a_silent_node_yields_to_one_of_a_live_node)
{
	assert_beats(CLAIM_ADDRESS, aged(2), CLAIM_ADDRESS, silent(proved(1, EARLY)));
	assert_beats(CLAIM_ADDRESS, aged(2), CLAIM_ADDRESS, silent(aged(1)));
	assert_beats(CLAIM_POD, aged(2), CLAIM_POD, silent(published(1)));
	assert_beats(CLAIM_ADDRESS, aged(2), CLAIM_POD, silent(published(1)));
}

CLAIM_TEST(claim_of_a_silent_node_is_accepted_where_no_live_node_makes_one)
{
	uint32_t address = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, silent(aged(1))),
		 pods = add_with(CLAIM_POD, "10.1.3.0/24", 1, silent(published(1)));

	judge();
	assert_stands_except(address, CLAIM_NONE);
	assert_stands_except(pods, CLAIM_NONE);
}

CLAIM_TEST(claims_of_silent_nodes_are_judged_in_the_same_order)
{
	assert_beats(CLAIM_POD, silent(published(2)), CLAIM_ADDRESS, silent(proved(1, EARLY)));
	assert_beats(CLAIM_ADDRESS, silent(proved(2, LATE)), CLAIM_ADDRESS, silent(aged(1)));
	assert_beats(CLAIM_ADDRESS, silent(aged(1)), CLAIM_ADDRESS, silent(aged(2)));
}

CLAIM_TEST(claim_to_an_address_that_its_node_left_yields_to_the_one_that_answers)
{
	assert_beats(CLAIM_ADDRESS, proved(2, LATE), CLAIM_ADDRESS,
		     left(proved(1, EARLY), LATE - 1));
	assert_beats(CLAIM_ADDRESS, proved(2, LATE), CLAIM_ADDRESS, left(aged(1), LATE - 1));
}

CLAIM_TEST(claim_to_an_address_that_its_node_left_is_accepted_while_no_node_answers_there)
{
	assert_beats(CLAIM_ADDRESS, left(proved(1, EARLY), LATE), CLAIM_ADDRESS, aged(2));
	assert_beats(CLAIM_ADDRESS, left(aged(1), LATE), CLAIM_ADDRESS, aged(2));
}

/* The proof that counts is one of the ten seconds before, or a later one. */
CLAIM_TEST(claim_to_an_address_that_its_node_left_is_accepted_if_another_answered_long_ago)
{
	uint64_t limit = LATE + CLAIM_ANSWER_NS;

	assert_beats(CLAIM_ADDRESS, proved(2, LATE), CLAIM_ADDRESS,
		     left(proved(1, EARLY), limit - 1));
	assert_beats(CLAIM_ADDRESS, left(proved(1, EARLY), limit), CLAIM_ADDRESS, proved(2, LATE));
}

CLAIM_TEST(claim_to_an_address_that_two_nodes_left_stays_with_the_earlier_proof)
{
	struct claim_evidence one = left(proved(1, LATE), LATE + 1),
			      other = left(proved(2, LATE + 1), LATE + 2);

	assert_beats(CLAIM_ADDRESS, one, CLAIM_ADDRESS, other);
}

/* Of the node itself, that is: its last answer was before the questions that have none. */
CLAIM_TEST(address_that_its_node_left_goes_to_the_earlier_of_two_other_proofs)
{
	uint32_t gone = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, left(proved(1, LATE), LATE + 1)),
		 first = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, proved(2, LATE + 3)),
		 second = add_with(CLAIM_ADDRESS, "10.1.2.7", 3, proved(3, LATE + 2));

	judge();
	assert_accepted(second);
	assert_refused_because_of(first, second);
	assert_refused_because_of(gone, second);
}

CLAIM_TEST(node_that_left_an_address_keeps_its_others_and_its_pods)
{
	uint32_t gone = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, left(proved(1, EARLY), LATE - 1)),
		 kept = add(CLAIM_ADDRESS, 1, "10.1.2.8"), pods = add(CLAIM_POD, 1, "10.1.3.0/24"),
		 winner = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, proved(2, LATE));

	add(CLAIM_ADDRESS, 2, "10.1.2.8");
	add(CLAIM_POD, 2, "10.1.3.0/24");
	judge();
	assert_refused_because_of(gone, winner);
	assert_accepted(kept);
	assert_accepted(pods);
}

CLAIM_TEST(claim_of_a_node_without_a_record_never_wins)
{
	assert_beats(CLAIM_ADDRESS, aged(2), CLAIM_ADDRESS, without_record(1));
	assert_beats(CLAIM_POD, aged(2), CLAIM_ADDRESS, without_record(1));
	assert_beats(CLAIM_POD, aged(2), CLAIM_POD, without_record(1));
	assert_beats(CLAIM_ADDRESS, silent(aged(2)), CLAIM_ADDRESS, without_record(1));
	assert_beats(CLAIM_ADDRESS, left(aged(2), EARLY), CLAIM_ADDRESS, without_record(1));
}

CLAIM_TEST(claim_of_a_node_without_a_record_is_accepted_where_no_other_node_makes_one)
{
	uint32_t address = add_with(CLAIM_ADDRESS, "192.168.50.1", 1, without_record(1)),
		 pods = add_with(CLAIM_POD, "10.1.2.0/24", 1, without_record(1));

	judge();
	assert_stands_except(address, CLAIM_NONE);
	assert_stands_except(pods, CLAIM_NONE);
}

CLAIM_TEST(claims_of_nodes_without_a_record_are_the_older_nodes)
{
	assert_beats(CLAIM_POD, without_record(1), CLAIM_POD, without_record(2));
}

/* -- a dispute concerns the overlap alone -- */

CLAIM_TEST(wider_claim_is_accepted_around_a_narrower_and_stronger_one)
{
	uint32_t wide = add(CLAIM_POD, 2, "10.1.0.0/16"), narrow = add(CLAIM_POD, 1, "10.1.1.0/24"),
		 beside = add(CLAIM_POD, 3, "10.1.2.0/24");

	judge();
	assert_stands_except(wide, narrow);
	assert_stands_except(narrow, CLAIM_NONE);
	assert_refused_because_of(beside, wide);
}

CLAIM_TEST(narrower_and_weaker_claim_is_refused_inside_a_wider_one)
{
	uint32_t wide = add(CLAIM_POD, 1, "10.1.0.0/16"), pods = add(CLAIM_POD, 2, "10.1.1.0/24"),
		 address = add(CLAIM_ADDRESS, 2, "10.1.2.7");

	judge();
	assert_stands_except(wide, CLAIM_NONE);
	assert_refused_because_of(pods, wide);
	assert_refused_because_of(address, wide);
}

CLAIM_TEST(refused_claim_prevents_no_other)
{
	uint32_t first = add(CLAIM_POD, 1, "10.1.2.0/24"),
		 refused = add(CLAIM_POD, 2, "10.1.2.0/24"),
		 third = add(CLAIM_POD, 3, "10.1.0.0/16");

	judge();
	assert_refused_because_of(refused, first);
	assert_stands_except(third, first);
	assert_stands_except(first, CLAIM_NONE);
}

CLAIM_TEST(claim_around_the_prefixes_of_two_other_nodes_names_one_of_them)
{
	uint32_t wide = add(CLAIM_POD, 3, "10.1.0.0/16"), own = add(CLAIM_POD, 3, "10.1.3.0/24"),
		 first = add(CLAIM_POD, 1, "10.1.1.0/24"),
		 second = add(CLAIM_POD, 2, "10.1.2.0/24");

	judge();
	assert_accepted(wide);
	assert_true(items[wide].opponent == first || items[wide].opponent == second);
	assert_stands_except(own, CLAIM_NONE);
}

CLAIM_TEST(claim_inside_another_pod_prefix_of_its_owner_is_no_dispute)
{
	uint32_t narrow = add(CLAIM_POD, 1, "10.1.1.0/24"), wide = add(CLAIM_POD, 1, "10.1.0.0/16"),
		 same = add(CLAIM_POD, 1, "10.1.0.0/16"),
		 address = add(CLAIM_ADDRESS, 1, "10.1.1.7");

	judge();
	assert_stands_except(narrow, CLAIM_NONE);
	assert_stands_except(wide, CLAIM_NONE);
	assert_stands_except(same, CLAIM_NONE);
	assert_stands_except(address, CLAIM_NONE);
}

CLAIM_TEST(claim_to_an_address_that_its_owner_lists_twice_is_no_dispute)
{
	uint32_t first = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 again = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 anothers = add(CLAIM_ADDRESS, 2, "192.168.50.1");

	judge();
	assert_accepted(first);
	assert_accepted(again);
	assert_false(is_accepted(anothers));
	assert_int_equal(items[items[anothers].opponent].owner, 1);
}

/* -- a proved address is evidence of the network -- */

CLAIM_TEST(proved_address_is_accepted_inside_a_wider_pod_prefix_even_a_published_one)
{
	uint32_t pods = add_with(CLAIM_POD, "10.1.2.0/24", 1, published(1)),
		 address = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, proved(2, LATE)),
		 older = add(CLAIM_POD, 1, "10.1.3.0/24"),
		 inside_older = add_with(CLAIM_ADDRESS, "10.1.3.7", 2, proved(2, LATE));

	judge();
	assert_stands_except(pods, address);
	assert_accepted(address);
	assert_stands_except(older, inside_older);
	assert_accepted(inside_older);
}

CLAIM_TEST(unproved_address_is_accepted_in_younger_pods_and_refused_in_published_ones)
{
	uint32_t younger = add(CLAIM_POD, 2, "10.1.2.0/24"),
		 stands = add(CLAIM_ADDRESS, 1, "10.1.2.7"),
		 pods = add_with(CLAIM_POD, "10.1.3.0/24", 2, published(2)),
		 falls = add(CLAIM_ADDRESS, 1, "10.1.3.7");

	judge();
	assert_stands_except(younger, stands);
	assert_accepted(stands);
	assert_refused_because_of(falls, pods);
}

CLAIM_TEST(proof_of_a_silent_node_or_of_an_address_it_left_is_no_evidence)
{
	uint32_t pods = add(CLAIM_POD, 3, "10.1.2.0/24"),
		 quiet = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, silent(proved(1, EARLY))),
		 gone = add_with(CLAIM_ADDRESS, "10.1.2.8", 1, left(proved(1, EARLY), LATE - 1)),
		 answers = add_with(CLAIM_ADDRESS, "10.1.2.8", 2, proved(2, LATE));

	judge();
	assert_refused_because_of(quiet, pods);
	assert_accepted(answers);
	assert_refused_because_of(gone, answers);
}

/* -- endpoints -- */

CLAIM_TEST(endpoint_takes_nothing_from_another_node)
{
	uint32_t endpoint = add_with(CLAIM_ENDPOINT, "192.168.50.1", 1, proved(1, EARLY)),
		 address = add(CLAIM_ADDRESS, 2, "192.168.50.1"),
		 another = add(CLAIM_ENDPOINT, 3, "192.168.50.1"),
		 pod_endpoint = add_with(CLAIM_ENDPOINT, "10.1.2.7", 1, proved(1, EARLY)),
		 pods = add(CLAIM_POD, 2, "10.1.2.0/24");

	judge();
	assert_accepted(endpoint);
	assert_stands_except(address, CLAIM_NONE);
	assert_accepted(another);
	assert_accepted(pod_endpoint);
	assert_stands_except(pods, CLAIM_NONE);
}

CLAIM_TEST(endpoint_is_refused_in_another_nodes_pods_and_in_its_own)
{
	uint32_t anothers = add(CLAIM_POD, 1, "10.1.2.0/24"),
		 falls = add(CLAIM_ENDPOINT, 2, "10.1.2.7"), own = add(CLAIM_POD, 2, "10.1.3.0/24"),
		 falls_too = add(CLAIM_ENDPOINT, 2, "10.1.3.7"),
		 outside = add(CLAIM_ENDPOINT, 2, "10.1.4.7");

	judge();
	assert_refused_because_of(falls, anothers);
	assert_refused_because_of(falls_too, own);
	assert_accepted(outside);
}

CLAIM_TEST(proved_endpoint_is_accepted_in_any_wider_pod_prefix)
{
	uint32_t endpoints[3];

	add_with(CLAIM_POD, "10.1.2.0/24", 1, published(1));
	add(CLAIM_POD, 1, "10.1.3.0/24");
	add_with(CLAIM_POD, "10.1.4.0/24", 2, published(2));
	endpoints[0] = add_with(CLAIM_ENDPOINT, "10.1.2.7", 2, proved(2, LATE));
	endpoints[1] = add_with(CLAIM_ENDPOINT, "10.1.3.7", 2, proved(2, LATE));
	endpoints[2] = add_with(CLAIM_ENDPOINT, "10.1.4.7", 2, proved(2, LATE));
	judge();
	for (unsigned int i = 0; i < ARRAY_SIZE(endpoints); i++)
		assert_accepted(endpoints[i]);
}

CLAIM_TEST(proved_endpoint_is_refused_at_a_published_pod_prefix_of_its_own_length)
{
	uint32_t pod = add_with(CLAIM_POD, "10.1.2.7/32", 1, published(1)),
		 endpoint = add_with(CLAIM_ENDPOINT, "10.1.2.7", 2, proved(2, EARLY));

	judge();
	assert_refused_because_of(endpoint, pod);
}

CLAIM_TEST(endpoint_of_a_silent_node_has_no_proof)
{
	uint32_t pods = add_with(CLAIM_POD, "10.1.2.0/24", 1, published(1)),
		 endpoint = add_with(CLAIM_ENDPOINT, "10.1.2.7", 2, silent(proved(2, EARLY)));

	judge();
	assert_refused_because_of(endpoint, pods);
}

CLAIM_TEST(endpoint_on_the_link_is_accepted_in_another_nodes_pods_unless_published)
{
	uint32_t stands, falls, in_own, same, published_pods, own, pod;

	add(CLAIM_POD, 1, "10.1.2.0/24");
	published_pods = add_with(CLAIM_POD, "10.1.3.0/24", 1, published(1));
	own = add(CLAIM_POD, 2, "10.1.4.0/24");
	pod = add(CLAIM_POD, 1, "10.1.2.8/32");
	stands = add_with(CLAIM_ENDPOINT, "10.1.2.7", 2, direct(2));
	falls = add_with(CLAIM_ENDPOINT, "10.1.3.7", 2, direct(2));
	in_own = add_with(CLAIM_ENDPOINT, "10.1.4.7", 2, direct(2));
	same = add_with(CLAIM_ENDPOINT, "10.1.2.8", 2, direct(2));
	judge();
	assert_accepted(stands);
	assert_refused_because_of(falls, published_pods);
	assert_refused_because_of(in_own, own);
	assert_refused_because_of(same, pod);
}

CLAIM_TEST(endpoint_that_is_ours_or_in_our_pods_is_refused_despite_any_evidence)
{
	struct claim_evidence evidence = proved(1, EARLY);
	uint32_t pods = add_own(CLAIM_OWN_POD, "10.1.2.0/24"),
		 address = add_own(CLAIM_OWN_ADDRESS, "192.168.50.1"), in_pods, ours;

	evidence.is_direct = true;
	in_pods = add_with(CLAIM_ENDPOINT, "10.1.2.7", 1, evidence);
	ours = add_with(CLAIM_ENDPOINT, "192.168.50.1", 1, evidence);
	judge();
	assert_refused_because_of(in_pods, pods);
	assert_refused_because_of(ours, address);
}

/* -- holes in our own pods -- */

/* Our pods are 10.1.0.0/16 with the hole 10.1.1.0/24. Is the claim to this pod accepted? */
static bool gets_beside_our_pods(const char *pod)
{
	uint32_t index;

	add_own(CLAIM_OWN_POD, "10.1.0.0/16");
	add_own(CLAIM_HOLE, "10.1.1.0/24");
	index = add(CLAIM_POD, 1, pod);
	judge();
	return is_accepted(index);
}

CLAIM_TEST(claim_in_a_hole_of_our_own_prefix_is_accepted)
{
	assert_true(gets_beside_our_pods("10.1.1.7/32"));
}

CLAIM_TEST(claim_beside_a_hole_of_our_own_prefix_is_refused)
{
	assert_false(gets_beside_our_pods("10.1.2.7/32"));
}

CLAIM_TEST(claim_in_a_hole_but_on_our_own_pod_is_refused)
{
	add_own(CLAIM_OWN_POD, "10.1.1.7/32");
	assert_false(gets_beside_our_pods("10.1.1.7/32"));
}

CLAIM_TEST(claim_to_an_address_or_endpoint_in_a_hole_is_refused)
{
	uint32_t pods = add_own(CLAIM_OWN_POD, "10.1.0.0/16"), address, endpoint;

	add_own(CLAIM_HOLE, "10.1.1.0/24");
	address = add_with(CLAIM_ADDRESS, "10.1.1.7", 1, proved(1, EARLY));
	endpoint = add_with(CLAIM_ENDPOINT, "10.1.1.7", 1, proved(1, EARLY));
	judge();
	assert_refused_because_of(address, pods);
	assert_refused_because_of(endpoint, pods);
}
