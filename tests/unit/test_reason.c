// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/reason.c: what a node says of itself follows from the kinds of its own reasons alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/reason.h"

static struct reasons reasons;

static int begin(void **state)
{
	reasons_clear(&reasons);
	return 0;
}

/* -- the verdict -- */

static void node_without_a_reason_is_protected(void **state)
{
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_PROTECTED);
	assert_int_equal(reasons_judge(&reasons, true, false), VERDICT_PROTECTED);
}

static void node_that_knows_not_all_is_starting_and_later_degraded(void **state)
{
	assert_int_equal(reasons_judge(&reasons, false, false), VERDICT_STARTING);
	assert_int_equal(reasons_judge(&reasons, false, true), VERDICT_DEGRADED);
	reasons_add(&reasons, REASON_MODE, "", "clear");
	assert_int_equal(reasons_judge(&reasons, false, false), VERDICT_STARTING);
	assert_int_equal(reasons_judge(&reasons, false, true), VERDICT_DEGRADED);
}

static void node_is_permissive_where_the_mode_is_the_only_reason(void **state)
{
	reasons_add(&reasons, REASON_MODE, "", "the BPF maps cannot be written");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_PERMISSIVE);
	reasons_add(&reasons, REASON_MAPS, "", "THE MODE IS PERMISSIVE");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_DEGRADED);
}

static void one_reason_that_is_not_the_mode_is_not_permissive(void **state)
{
	reasons_add(&reasons, REASON_MAPS, "", "THE MODE IS PERMISSIVE");
	assert_int_equal(reasons_judge(&reasons, true, true), VERDICT_DEGRADED);
}

static void every_reason_of_this_node_degrades_it(void **state)
{
	for (enum reason_kind kind = 0; !reason_kind_is_warning(kind); kind++) {
		reasons_clear(&reasons);
		reasons_add(&reasons, kind, "", "something");
		assert_int_equal(reasons_judge(&reasons, true, true),
				 kind == REASON_MODE ? VERDICT_PERMISSIVE : VERDICT_DEGRADED);
	}
}

static void verdicts_have_the_names_that_status_promises(void **state)
{
	assert_string_equal(reason_verdict_name(VERDICT_STARTING), "starting");
	assert_string_equal(reason_verdict_name(VERDICT_PROTECTED), "protected");
	assert_string_equal(reason_verdict_name(VERDICT_PERMISSIVE), "permissive");
	assert_string_equal(reason_verdict_name(VERDICT_DEGRADED), "degraded");
}

/* -- lists -- */

static void one_of_a_kind_and_subject_is_kept(void **state)
{
	reasons_add(&reasons, REASON_MAPS, "", "first");
	reasons_add(&reasons, REASON_MAPS, "", "second");
	assert_int_equal(reasons.count, 1);
	assert_int_equal(reasons_total(&reasons), 1);
	assert_string_equal(reasons.items[0].text, "first");
}

static void subjects_and_kinds_keep_reasons_apart(void **state)
{
	reasons_add(&reasons, WARNING_RECORD, "n2", "same");
	reasons_add(&reasons, WARNING_RECORD, "n3", "same");
	reasons_add(&reasons, WARNING_PEER, "n3", "same");
	assert_int_equal(reasons.count, 3);
}

static void reason_is_known_by_kind_subject_and_words(void **state)
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

static void surplus_is_counted_and_is_not_forgotten_by_the_verdict(void **state)
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

static void long_subjects_and_texts_are_cut(void **state)
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

static void every_kind_has_a_name_of_its_own(void **state)
{
	for (enum reason_kind a = 0; a < REASON_KINDS; a++) {
		assert_non_null(reason_kind_name(a));
		for (enum reason_kind b = 0; b < a; b++)
			assert_string_not_equal(reason_kind_name(a), reason_kind_name(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(node_without_a_reason_is_protected, begin),
		cmocka_unit_test_setup(node_that_knows_not_all_is_starting_and_later_degraded, begin),
		cmocka_unit_test_setup(node_is_permissive_where_the_mode_is_the_only_reason, begin),
		cmocka_unit_test_setup(one_reason_that_is_not_the_mode_is_not_permissive, begin),
		cmocka_unit_test_setup(every_reason_of_this_node_degrades_it, begin),
		cmocka_unit_test_setup(verdicts_have_the_names_that_status_promises, begin),
		cmocka_unit_test_setup(one_of_a_kind_and_subject_is_kept, begin),
		cmocka_unit_test_setup(subjects_and_kinds_keep_reasons_apart, begin),
		cmocka_unit_test_setup(reason_is_known_by_kind_subject_and_words, begin),
		cmocka_unit_test_setup(surplus_is_counted_and_is_not_forgotten_by_the_verdict, begin),
		cmocka_unit_test_setup(long_subjects_and_texts_are_cut, begin),
		cmocka_unit_test_setup(every_kind_has_a_name_of_its_own, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
