// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/reason.c: a node's state follows from the kinds of its own reasons alone. */
#include "cluster/reason.h"
#include "test.h"

static struct reasons reasons;

static int begin(void **state)
{
	reasons_clear(&reasons);
	return 0;
}

/* -- the verdict -- */

TEST(node_without_a_reason_is_protected, begin)
{
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_PROTECTED);
	assert_int_equal(reasons_judge(&reasons, true, false), VERDICT_PROTECTED);
}

TEST(node_that_knows_not_all_is_starting_and_later_degraded, begin)
{
	assert_int_equal(reasons_judge(&reasons, false, false), VERDICT_STARTING);
	assert_int_equal(reasons_judge(&reasons, false, true), VERDICT_DEGRADED);
	reasons_add(&reasons, REASON_MODE, "", "clear");
	assert_int_equal(reasons_judge(&reasons, false, false), VERDICT_STARTING);
	assert_int_equal(reasons_judge(&reasons, false, true), VERDICT_DEGRADED);
}

TEST(node_is_permissive_where_the_mode_is_the_only_reason, begin)
{
	reasons_add(&reasons, REASON_MODE, "", "the BPF maps cannot be written");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_PERMISSIVE);
	reasons_add(&reasons, REASON_MAPS, "", "THE MODE IS PERMISSIVE");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_DEGRADED);
}

TEST(one_reason_that_is_not_the_mode_is_not_permissive, begin)
{
	reasons_add(&reasons, REASON_MAPS, "", "THE MODE IS PERMISSIVE");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_DEGRADED);
}

TEST(every_reason_of_this_node_degrades_it, begin)
{
	for (enum reason_kind kind = 0; !reason_kind_is_warning(kind); kind++) {
		reasons_clear(&reasons);
		reasons_add(&reasons, kind, "", "something");
		assert_int_equal(reasons_judge(&reasons, true, true),
				 kind == REASON_MODE ? VERDICT_PERMISSIVE : VERDICT_DEGRADED);
	}
}

TEST(verdicts_have_the_names_that_status_promises, begin)
{
	assert_string_equal(reason_verdict_name(VERDICT_STARTING), "starting");
	assert_string_equal(reason_verdict_name(VERDICT_PROTECTED), "protected");
	assert_string_equal(reason_verdict_name(VERDICT_PERMISSIVE), "permissive");
	assert_string_equal(reason_verdict_name(VERDICT_DEGRADED), "degraded");
}

/* -- lists -- */

TEST(one_of_a_kind_and_subject_is_kept, begin)
{
	reasons_add(&reasons, REASON_MAPS, "", "first");
	reasons_add(&reasons, REASON_MAPS, "", "second");
	assert_int_equal(reasons.count, 1);
	assert_int_equal(reasons_total(&reasons), 1);
	assert_string_equal(reasons.items[0].text, "first");
}

TEST(subjects_and_kinds_keep_reasons_apart, begin)
{
	reasons_add(&reasons, WARNING_RECORD, "n2", "same");
	reasons_add(&reasons, WARNING_RECORD, "n3", "same");
	reasons_add(&reasons, WARNING_PEER, "n3", "same");
	assert_int_equal(reasons.count, 3);
}

TEST(reason_is_known_by_kind_subject_and_words, begin)
{
	struct reason reason = {.kind = WARNING_RECORD, .subject = "n2", .text = "node n2: 7"};

	reasons_add(&reasons, WARNING_RECORD, "n2", "node %s: %d", "n2", 7);
	assert_true(reasons_have(&reasons, &reason));
	reason.text[0] = 'N';
	assert_false(reasons_have(&reasons, &reason));
	reason.text[0] = 'n';
	reason.subject[1] = '3';
	assert_false(reasons_have(&reasons, &reason));
	reason.subject[1] = '2';
	reason.kind = WARNING_PEER;
	assert_false(reasons_have(&reasons, &reason));
}

TEST(surplus_is_counted_and_is_not_forgotten_by_the_verdict, begin)
{
	char subject[NODE_NAME_LEN];

	for (unsigned int i = 0; i < REASONS_MAX + 5; i++) {
		snprintf(subject, sizeof(subject), "n%u", i);
		reasons_add(&reasons, REASON_MODE, subject, "%u", i);
	}
	assert_int_equal(reasons.count, REASONS_MAX);
	assert_int_equal(reasons.surplus, 5);
	assert_int_equal(reasons_total(&reasons), REASONS_MAX + 5);
	assert_string_equal(reasons.items[REASONS_MAX - 1].text, "63");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_DEGRADED);
}

TEST(long_subjects_and_texts_are_cut, begin)
{
	char subject[2 * NODE_NAME_LEN], text[2 * REASON_TEXT_LEN];

	memset(subject, 's', sizeof(subject) - 1);
	memset(text, 't', sizeof(text) - 1);
	subject[sizeof(subject) - 1] = text[sizeof(text) - 1] = '\0';
	reasons_add(&reasons, REASON_UPLINK, subject, "%s", text);
	reasons_add(&reasons, REASON_UPLINK, subject, "again");
	assert_int_equal(reasons.count, 1);
	assert_int_equal(strlen(reasons.items[0].subject), NODE_NAME_LEN - 1);
	assert_int_equal(strlen(reasons.items[0].text), REASON_TEXT_LEN - 1);
}

TEST(every_kind_has_a_name_of_its_own, begin)
{
	for (enum reason_kind a = 0; a < REASON_KINDS; a++) {
		assert_non_null(reason_kind_name(a));
		for (enum reason_kind b = 0; b < a; b++)
			assert_string_not_equal(reason_kind_name(a), reason_kind_name(b));
	}
}
