// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/verdict.c: the lists of a pass, the verdict on the node, and the actions that it allows. */
#include "agent/verdict.h"
#include "test.h"

static struct verdict verdict; /* large */

static const struct verdict_facts whole = {.is_listed = true,
					   .has_identity = true,
					   .are_pods_known = true,
					   .is_connected = true,
					   .has_uplink = true};

static int begin(void **state)
{
	memset(&verdict, 0, sizeof(verdict));
	verdict_begin(&verdict);
	return 0;
}

TEST(pass_begins_without_reasons_and_tight, begin)
{
	verdict_add_reason(&verdict, REASON_PORT, "", "a reason");
	verdict_add_warning(&verdict, WARNING_STRAY, "", "a warning");
	verdict.is_tight = false;
	verdict.is_cut_short = true;
	verdict_begin(&verdict);
	assert_int_equal(reasons_total(&verdict.reasons), 0);
	assert_int_equal(reasons_total(&verdict.warnings), 0);
	assert_true(verdict.is_tight);
	assert_false(verdict.is_cut_short);
}

TEST(pass_leaves_its_lists_for_comparison, begin)
{
	verdict_add_reason(&verdict, REASON_PORT, "", "a reason");
	verdict_add_warning(&verdict, WARNING_STRAY, "", "a warning");
	(void)verdict_judge(&verdict, &whole);
	verdict_begin(&verdict);
	verdict_add_reason(&verdict, REASON_PORT, "", "a reason");
	verdict_add_reason(&verdict, REASON_KEYS, "", "another reason");
	assert_true(reasons_have(&verdict.reasons_before, &verdict.reasons.items[0]));
	assert_false(reasons_have(&verdict.reasons_before, &verdict.reasons.items[1]));
	assert_int_equal(reasons_total(&verdict.warnings_before), 1);
}

TEST(failure_of_the_maps_is_listed_once, begin)
{
	verdict_add_map_failure(&verdict);
	verdict_add_map_failure(&verdict);
	assert_int_equal(reasons_total(&verdict.reasons), 1);
	assert_int_equal(verdict.reasons.items[0].kind, REASON_MAPS);
}

TEST(node_is_whole_only_with_every_fact, begin)
{
	struct verdict_facts lacking;

	assert_true(verdict_is_whole(&whole));
	lacking = whole, lacking.is_listed = false;
	assert_false(verdict_is_whole(&lacking));
	lacking = whole, lacking.has_identity = false;
	assert_false(verdict_is_whole(&lacking));
	lacking = whole, lacking.are_pods_known = false;
	assert_false(verdict_is_whole(&lacking));
	lacking = whole, lacking.is_connected = false;
	assert_false(verdict_is_whole(&lacking));
	lacking = whole, lacking.has_uplink = false;
	assert_true(verdict_is_whole(&lacking));
}

TEST(node_settles_once_with_its_first_whole_pass, begin)
{
	struct verdict_facts lacking = whole;
	struct verdict_news news;

	lacking.is_connected = false;
	news = verdict_judge(&verdict, &lacking);
	assert_false(news.has_settled);
	assert_int_equal(verdict.word, VERDICT_STARTING);
	news = verdict_judge(&verdict, &whole);
	assert_true(news.has_settled);
	news = verdict_judge(&verdict, &whole);
	assert_false(news.has_settled);
	(void)verdict_judge(&verdict, &lacking);
	assert_true(verdict.has_settled);
	assert_int_equal(verdict.word, VERDICT_DEGRADED);
}

TEST(node_becomes_protected_each_time_a_reason_goes_away, begin)
{
	struct verdict_news news = verdict_judge(&verdict, &whole);

	assert_true(news.is_protected);
	news = verdict_judge(&verdict, &whole);
	assert_false(news.is_protected);
	verdict_add_map_failure(&verdict);
	news = verdict_judge(&verdict, &whole);
	assert_false(news.is_protected);
	assert_int_equal(verdict.word, VERDICT_DEGRADED);
	verdict_begin(&verdict);
	news = verdict_judge(&verdict, &whole);
	assert_true(news.is_protected);
}

TEST(warning_changes_no_verdict, begin)
{
	verdict_add_warning(&verdict, WARNING_RECORD, "n2", "node n2: refused");
	(void)verdict_judge(&verdict, &whole);
	assert_int_equal(verdict.word, VERDICT_PROTECTED);
}

TEST(boot_guard_goes_only_from_a_whole_and_tight_node_with_an_uplink, begin)
{
	struct verdict_facts lacking = whole;

	assert_true(verdict_allows_boot_guard_removal(&verdict, &whole));
	lacking.is_listed = false;
	assert_false(verdict_allows_boot_guard_removal(&verdict, &lacking));
	lacking = whole, lacking.has_uplink = false;
	assert_false(verdict_allows_boot_guard_removal(&verdict, &lacking));
	verdict.is_tight = false;
	assert_false(verdict_allows_boot_guard_removal(&verdict, &whole));
}

TEST(boot_guard_goes_also_from_a_permissive_node, begin)
{
	verdict_add_reason(&verdict, REASON_MODE, "", "permissive");
	(void)verdict_judge(&verdict, &whole);
	assert_true(verdict_allows_boot_guard_removal(&verdict, &whole));
}

TEST(pods_are_allowed_on_a_protected_or_permissive_node, begin)
{
	assert_false(verdict_allows_pods(&verdict, &whole)); /* starting */
	(void)verdict_judge(&verdict, &whole);
	assert_true(verdict_allows_pods(&verdict, &whole));
	verdict_add_reason(&verdict, REASON_MODE, "", "permissive");
	(void)verdict_judge(&verdict, &whole);
	assert_true(verdict_allows_pods(&verdict, &whole));
	verdict_add_map_failure(&verdict);
	(void)verdict_judge(&verdict, &whole);
	assert_false(verdict_allows_pods(&verdict, &whole));
}

TEST(pods_are_not_allowed_on_a_node_that_is_not_tight, begin)
{
	struct verdict_facts lacking = whole;

	(void)verdict_judge(&verdict, &whole);
	lacking.has_uplink = false;
	assert_false(verdict_allows_pods(&verdict, &lacking));
	verdict.is_tight = false;
	assert_false(verdict_allows_pods(&verdict, &whole));
}
