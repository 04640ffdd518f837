// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/claim.c: contested addresses, the questions that ask a node for a proof at them, and
 * the verdict until the answer (claim.h).
 */
#include "claim_table.h"

/* -- contested -- */

static bool is_contested(uint32_t address)
{
	assert_accepted(address);
	return claims_is_contested(&claims, &items[address]);
}

CLAIM_TEST(address_that_one_node_claims_is_not_contested)
{
	uint32_t inside = add(CLAIM_ADDRESS, 1, "10.1.2.7"),
		 outside = add(CLAIM_ADDRESS, 1, "192.168.50.1");

	add(CLAIM_ADDRESS, 1, "10.1.2.7");
	add(CLAIM_ADDRESS, 1, "192.168.50.1");
	add(CLAIM_ENDPOINT, 2, "10.1.2.7");
	judge();
	assert_false(is_contested(inside));
	assert_false(is_contested(outside));
}

CLAIM_TEST(address_that_two_nodes_claim_is_contested_inside_the_range_alone)
{
	uint32_t inside = add(CLAIM_ADDRESS, 1, "10.1.2.7"),
		 outside = add(CLAIM_ADDRESS, 1, "192.168.50.1");

	add(CLAIM_ADDRESS, 2, "10.1.2.7");
	add(CLAIM_ADDRESS, 2, "192.168.50.1");
	judge();
	assert_true(is_contested(inside));
	assert_false(is_contested(outside));
}

CLAIM_TEST(address_among_anothers_pods_is_contested)
{
	uint32_t address = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, proved(2, LATE)),
		 at_pod = add_with(CLAIM_ADDRESS, "10.1.3.7", 2, proved(2, LATE));

	add(CLAIM_POD, 1, "10.1.2.0/24");
	add(CLAIM_POD, 1, "10.1.3.7/32");
	judge();
	assert_true(is_contested(address));
	assert_true(is_contested(at_pod)); /* though the pod was refused */
}

CLAIM_TEST(address_among_the_pods_of_its_own_node_is_contested)
{
	uint32_t address = add(CLAIM_ADDRESS, 1, "10.1.2.1");

	add(CLAIM_POD, 1, "10.1.2.0/24");
	judge();
	assert_true(is_contested(address));
}

CLAIM_TEST(address_among_pods_of_a_node_without_a_record_is_contested)
{
	uint32_t address = add(CLAIM_ADDRESS, 1, "10.1.2.1");

	add_with(CLAIM_POD, "10.1.2.0/24", 2, without_record(2));
	judge();
	assert_true(is_contested(address));
}

CLAIM_TEST(address_among_pods_outside_the_range_is_not_contested)
{
	uint32_t address = add(CLAIM_ADDRESS, 1, "192.168.50.1");

	add(CLAIM_POD, 2, "192.168.0.0/16");
	judge();
	assert_false(is_contested(address));
}

CLAIM_TEST(claim_inside_the_range_is_distinguished_from_one_outside)
{
	uint32_t inside = add(CLAIM_ENDPOINT, 1, "10.1.2.1"),
		 outside = add(CLAIM_ENDPOINT, 1, "192.168.50.1");

	judge();
	assert_true(claims_is_in_range(&claims, &items[inside]));
	assert_false(claims_is_in_range(&claims, &items[outside]));
}

/* -- questions -- */

/* Of two nodes that claim an address with this evidence: which are asked? */
static void assert_asked(struct claim_evidence first, bool is_first_asked,
			 struct claim_evidence second, bool is_second_asked)
{
	static const char *const addresses[] = {"10.1.2.7", "192.168.50.1"};

	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
		uint32_t one, other;

		begin_in_range(NULL);
		one = add_with(CLAIM_ADDRESS, addresses[i], first.age, first);
		other = add_with(CLAIM_ADDRESS, addresses[i], second.age, second);
		judge();
		assert_int_equal(items[one].is_asked, is_first_asked);
		assert_int_equal(items[other].is_asked, is_second_asked);
	}
}

CLAIM_TEST(question_is_asked_of_both_claimants_without_a_proof)
{
	assert_asked(aged(1), true, aged(2), true);
	assert_asked(silent(aged(1)), true, aged(2), true);
}

CLAIM_TEST(question_is_asked_of_the_one_that_has_no_proof)
{
	assert_asked(proved(1, EARLY), false, aged(2), true);
	assert_asked(aged(1), true, proved(2, EARLY), false);
	assert_asked(silent(proved(1, EARLY)), false, aged(2), true);
}

CLAIM_TEST(question_is_asked_of_both_where_both_have_a_proof)
{
	assert_asked(proved(1, EARLY), true, proved(2, LATE), true);
	assert_asked(left(proved(1, EARLY), LATE - 1), true, proved(2, LATE), true);
}

CLAIM_TEST(question_is_not_asked_where_a_node_without_a_record_claims_the_address)
{
	assert_asked(aged(1), false, without_record(2), false);
	assert_asked(without_record(1), false, without_record(2), false);
}

CLAIM_TEST(question_is_not_asked_where_one_node_claims_the_address)
{
	assert_asked(aged(1), false, aged(1), false);
	assert_asked(proved(1, EARLY), false, proved(1, EARLY), false);
}

CLAIM_TEST(question_is_not_asked_of_one_proof_that_its_node_lists_twice)
{
	uint32_t first = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, proved(1, EARLY)),
		 again = add_with(CLAIM_ADDRESS, "10.1.2.7", 1, proved(1, EARLY)),
		 other = add(CLAIM_ADDRESS, 2, "10.1.2.7");

	judge();
	assert_true(items[other].is_asked);
	assert_false(items[first].is_asked || items[again].is_asked);
}

CLAIM_TEST(question_is_never_asked_where_pods_refuse_the_address)
{
	uint32_t first, second;

	add_with(CLAIM_POD, "10.1.2.0/24", 3, published(3));
	first = add(CLAIM_ADDRESS, 1, "10.1.2.7");
	second = add(CLAIM_ADDRESS, 2, "10.1.2.7");
	judge();
	assert_false(items[first].is_asked || items[second].is_asked);
}

CLAIM_TEST(question_is_never_asked_at_an_address_of_this_node)
{
	uint32_t first = add(CLAIM_ADDRESS, 1, "192.168.50.1"),
		 second = add(CLAIM_ADDRESS, 2, "192.168.50.1");

	add_own(CLAIM_OWN_ADDRESS, "192.168.50.1");
	judge();
	assert_false(items[first].is_asked || items[second].is_asked);
}

/* -- until the answer -- */

CLAIM_TEST(incumbent_keeps_a_contested_address_until_every_claimant_was_asked)
{
	assert_beats(CLAIM_ADDRESS, incumbent(aged(2)), CLAIM_ADDRESS, aged(1));
	assert_beats(CLAIM_ADDRESS, incumbent(aged(2)), CLAIM_ADDRESS, left(aged(1), EARLY));
	assert_beats(CLAIM_ADDRESS, incumbent(left(aged(2), EARLY)), CLAIM_ADDRESS, aged(1));
}

CLAIM_TEST(incumbent_yields_to_the_older_node_if_no_claimant_answered)
{
	assert_beats(CLAIM_ADDRESS, left(aged(1), EARLY), CLAIM_ADDRESS,
		     incumbent(left(aged(2), EARLY)));
}

CLAIM_TEST(incumbent_yields_to_a_proof)
{
	assert_beats(CLAIM_ADDRESS, proved(1, LATE), CLAIM_ADDRESS, incumbent(aged(2)));
	assert_beats(CLAIM_ADDRESS, proved(1, EARLY), CLAIM_ADDRESS, incumbent(proved(2, LATE)));
}

CLAIM_TEST(incumbent_yields_to_published_pods)
{
	assert_beats(CLAIM_POD, published(1), CLAIM_ADDRESS, incumbent(aged(2)));
}

CLAIM_TEST(incumbent_that_is_silent_or_has_no_record_yields_to_live_nodes)
{
	assert_beats(CLAIM_ADDRESS, aged(1), CLAIM_ADDRESS, incumbent(silent(aged(2))));
	assert_beats(CLAIM_ADDRESS, aged(1), CLAIM_ADDRESS, incumbent(without_record(2)));
}

/* Pods of which 10.1.2.7 is an address that is node 2's so far, and not yet or no longer to be
 * proved. */
static uint32_t lay_pods_over(struct claim_evidence pods, struct claim_evidence address)
{
	uint32_t index;

	begin_in_range(NULL);
	add_with(CLAIM_POD, "10.1.2.0/24", pods.age, pods);
	index = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, incumbent(address));
	judge();
	return index;
}

CLAIM_TEST(incumbent_keeps_an_address_under_new_pods_until_it_was_asked)
{
	uint32_t address = lay_pods_over(aged(1), direct(2));

	assert_accepted(address);
	assert_true(items[address].is_asked);
	address = lay_pods_over(aged(1), left(direct(2), EARLY));
	assert_false(is_accepted(address));
	assert_false(items[address].is_asked);
	address = lay_pods_over(aged(1), aged(2)); /* behind a gateway: perhaps a pod's */
	assert_false(is_accepted(address));
	assert_false(items[address].is_asked);
	address = lay_pods_over(published(1), direct(2));
	assert_false(is_accepted(address));
	assert_false(items[address].is_asked);
}

CLAIM_TEST(proved_address_among_pods_is_asked_if_its_node_is_still_present)
{
	uint32_t address = lay_pods_over(published(1), proved(2, EARLY));

	assert_accepted(address);
	assert_true(items[address].is_asked);
}

/* No question is asked about pods, nor about an address that nothing lies around. */
CLAIM_TEST(incumbent_that_no_question_can_prove_is_judged_by_age)
{
	uint32_t alone;

	assert_beats(CLAIM_POD, aged(1), CLAIM_POD, incumbent(aged(2)));
	assert_beats(CLAIM_ADDRESS, aged(1), CLAIM_POD, incumbent(aged(2)));
	begin_in_range(NULL);
	alone = add_with(CLAIM_ADDRESS, "10.1.2.7", 2, incumbent(aged(2)));
	judge();
	assert_accepted(alone);
	assert_false(items[alone].is_asked);
}

/* -- endpoints -- */

CLAIM_TEST(endpoint_among_pods_is_asked_until_it_is_proved)
{
	static const struct {
		const char *endpoint;
		bool is_direct, is_proved, is_asked;
	} cases[] = {
		{"10.1.2.7", true, false, true}, /* stands there for now */
		{"10.1.2.7", true, true, false},
		{"10.1.2.7", false, false, false}, /* refused */
		{"10.1.3.7", true, false, false},  /* among no pods */
		{"192.168.50.7", true, false, false},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct claim_evidence evidence = cases[i].is_proved ? proved(2, LATE) : aged(2);
		uint32_t endpoint;

		begin_in_range(NULL);
		evidence.is_direct = cases[i].is_direct;
		add(CLAIM_POD, 1, "10.1.2.0/24");
		endpoint = add_with(CLAIM_ENDPOINT, cases[i].endpoint, 2, evidence);
		judge();
		assert_int_equal(items[endpoint].is_asked, cases[i].is_asked);
	}
}
