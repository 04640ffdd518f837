// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/ratchet.c: when a node counts as reached, and when a handshake with it is tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/ratchet.h"

static const struct control_peer_status silent;

static void node_is_reached_by_a_confirmed_session_of_any_key(void **state)
{
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		struct control_peer_status status = {0};

		status.has_reached[slot] = true;
		assert_int_equal(ratchet_next(&status, MODE_STRICT, true), RATCHET_NOTE_REACHED);
		status = (struct control_peer_status){0};
		status.has_proved[slot] = true;
		assert_int_equal(ratchet_next(&status, MODE_STRICT, true), RATCHET_NOTE_REACHED);
	}
}

static void node_is_noted_in_each_mode_also_when_it_is_not_usable_any_more(void **state)
{
	struct control_peer_status status = {0};

	status.has_reached[KEY_CURRENT] = true;
	assert_int_equal(ratchet_next(&status, MODE_STRICT, false), RATCHET_NOTE_REACHED);
	assert_int_equal(ratchet_next(&status, MODE_PERMISSIVE, false), RATCHET_NOTE_REACHED);
	assert_int_equal(ratchet_next(&status, MODE_PERMISSIVE, true), RATCHET_NOTE_REACHED);
}

static void handshake_is_tried_only_in_permissive_mode_with_a_usable_node(void **state)
{
	assert_int_equal(ratchet_next(&silent, MODE_PERMISSIVE, true), RATCHET_TRY);
	assert_int_equal(ratchet_next(&silent, MODE_PERMISSIVE, false), RATCHET_WAIT);
	assert_int_equal(ratchet_next(&silent, MODE_STRICT, true), RATCHET_WAIT);
	assert_int_equal(ratchet_next(&silent, MODE_STRICT, false), RATCHET_WAIT);
}

static void first_tries_are_spread_by_the_size_of_the_cluster(void **state)
{
	assert_int_equal(ratchet_spread_ms(0), 0);
	assert_int_equal(ratchet_spread_ms(1), 0);
	assert_int_equal(ratchet_spread_ms(5000), 9998);
}

static void tries_are_made_after_5_10_20_40_and_then_every_60_seconds(void **state)
{
	static const uint32_t delays_s[] = {5, 10, 20, 40, 60, 60};
	struct backoff tries = {0};
	uint64_t now_ns = NS_PER_S;

	backoff_begin(&tries, ratchet_spread_ms(1), now_ns, 0);
	assert_true(backoff_is_due(&tries, now_ns));
	for (unsigned int i = 0; i < ARRAY_SIZE(delays_s); i++) {
		backoff_delay(&tries, &ratchet_pace, now_ns, 0);
		assert_int_equal(tries.due_ns, now_ns + delays_s[i] * NS_PER_S);
		now_ns = tries.due_ns;
	}
}

static void tries_are_delayed_by_up_to_a_quarter_at_random(void **state)
{
	struct backoff tries = {0};
	uint64_t now_ns = NS_PER_S;

	backoff_delay(&tries, &ratchet_pace, now_ns, 1250);
	assert_int_equal(tries.due_ns, now_ns + 6250 * NS_PER_MS);
	tries = (struct backoff){0};
	backoff_delay(&tries, &ratchet_pace, now_ns, 1251);
	assert_int_equal(tries.due_ns, now_ns + 5000 * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_is_reached_by_a_confirmed_session_of_any_key),
		cmocka_unit_test(node_is_noted_in_each_mode_also_when_it_is_not_usable_any_more),
		cmocka_unit_test(handshake_is_tried_only_in_permissive_mode_with_a_usable_node),
		cmocka_unit_test(first_tries_are_spread_by_the_size_of_the_cluster),
		cmocka_unit_test(tries_are_made_after_5_10_20_40_and_then_every_60_seconds),
		cmocka_unit_test(tries_are_delayed_by_up_to_a_quarter_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
