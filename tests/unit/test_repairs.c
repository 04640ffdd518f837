// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/datapath/repairs.c: the rate at which a hook may be repaired, and when another program is to
 * blame.
 */
#include "datapath/repairs.h"
#include "test.h"

TEST(hook_that_was_never_repaired_may_be)
{
	struct repairs repairs = {0};

	assert_true(repairs_may_go_on(&repairs, 1));
	assert_false(repairs_are_contested(&repairs, 1));
}

TEST(hook_is_contested_by_five_repairs_within_a_minute)
{
	struct repairs repairs = {0};

	for (unsigned int i = 0; i < 4; i++)
		repairs_note(&repairs, (100 + 10 * i) * NS_PER_S);
	assert_false(repairs_are_contested(&repairs, 130 * NS_PER_S));
	repairs_note(&repairs, 140 * NS_PER_S);
	assert_true(repairs_are_contested(&repairs, 140 * NS_PER_S));
	assert_true(repairs_are_contested(&repairs, 160 * NS_PER_S - 1));
	assert_false(repairs_are_contested(&repairs, 160 * NS_PER_S));
}

TEST(hook_repaired_now_and_then_is_never_contested)
{
	struct repairs repairs = {0};

	for (uint64_t now_s = 100; now_s < 2000; now_s += 16) {
		repairs_note(&repairs, now_s * NS_PER_S);
		assert_false(repairs_are_contested(&repairs, now_s * NS_PER_S));
	}
}

TEST(contested_hook_is_repaired_once_a_second_and_goes_on)
{
	struct repairs repairs = {0};
	uint64_t repaired = 0;

	for (uint64_t now_ns = 100 * NS_PER_S; now_ns < 200 * NS_PER_S; now_ns += 50 * NS_PER_MS) {
		if (!repairs_may_go_on(&repairs, now_ns))
			continue;
		repairs_note(&repairs, now_ns);
		repaired++;
	}
	assert_in_range(repaired, 100, 106);
	assert_int_equal(repairs.count, repaired);
}
