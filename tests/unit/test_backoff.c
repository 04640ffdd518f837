// SPDX-License-Identifier: Apache-2.0
/* keyd/cluster/backoff.c: delays that double, up to a limit and with jitter. */
#include "cluster/backoff.h"
#include "test.h"

#define T0 (1000 * NS_PER_S)

static const struct backoff_pace plain = {.first_ms = 50, .max_ms = 1000};
static const struct backoff_pace jittered = {.first_ms = 5000, .max_ms = 60000, .jitter_parts = 4};

TEST(attempt_is_due_at_once_before_the_first_one)
{
	struct backoff backoff = {0};

	assert_false(backoff_has_begun(&backoff));
	assert_true(backoff_is_due(&backoff, T0));
}

TEST(delay_doubles_up_to_the_limit)
{
	static const uint32_t delays_ms[] = {50, 100, 200, 400, 800, 1000, 1000};
	struct backoff backoff = {0};

	for (unsigned int i = 0; i < ARRAY_SIZE(delays_ms); i++) {
		backoff_delay(&backoff, &plain, T0, 12345);
		assert_int_equal(backoff.due_ns, T0 + delays_ms[i] * NS_PER_MS);
	}
}

TEST(attempt_is_due_after_its_delay_and_not_before)
{
	struct backoff backoff = {0};

	backoff_delay(&backoff, &plain, T0, 0);
	assert_true(backoff_has_begun(&backoff));
	assert_false(backoff_is_due(&backoff, T0 + 50 * NS_PER_MS - 1));
	assert_true(backoff_is_due(&backoff, T0 + 50 * NS_PER_MS));
}

TEST(backoff_that_is_cleared_starts_with_the_first_delay)
{
	struct backoff backoff = {0};

	for (unsigned int i = 0; i < 5; i++)
		backoff_delay(&backoff, &plain, T0, 0);
	backoff = (struct backoff){0};
	backoff_delay(&backoff, &plain, T0, 0);
	assert_int_equal(backoff.due_ns, T0 + 50 * NS_PER_MS);
}

TEST(jitter_adds_at_most_its_part_of_the_delay)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t random = 0; random < 10000; random++) {
		struct backoff backoff = {0};

		backoff_delay(&backoff, &jittered, T0, random);
		least = MIN(least, backoff.due_ns);
		most = MAX(most, backoff.due_ns);
		assert_int_equal(backoff.delay_ms, 5000);
	}
	assert_int_equal(least, T0 + 5000 * NS_PER_MS);
	assert_int_equal(most, T0 + 6250 * NS_PER_MS);
}

TEST(first_attempts_are_spread)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t random = 0; random < 1000; random++) {
		struct backoff backoff = {.delay_ms = 9};

		backoff_begin(&backoff, 200, T0, random);
		least = MIN(least, backoff.due_ns);
		most = MAX(most, backoff.due_ns);
		assert_int_equal(backoff.delay_ms, 0);
	}
	assert_int_equal(least, T0);
	assert_int_equal(most, T0 + 200 * NS_PER_MS);
}

TEST(first_attempt_without_spread_is_due_now)
{
	struct backoff backoff = {0};

	backoff_begin(&backoff, 0, T0, 4711);
	assert_true(backoff_has_begun(&backoff));
	assert_true(backoff_is_due(&backoff, T0));
}
