// SPDX-License-Identifier: Apache-2.0
/* keyd/agent/ratchet.c: when a node counts as reached, and when a handshake with it is tried. */
#include "agent/ratchet.h"
#include "test.h"

static const struct control_peer_status silent;

TEST(node_is_reached_by_a_confirmed_session_of_any_key)
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

TEST(node_is_noted_in_each_mode_also_when_it_is_not_usable_any_more)
{
	struct control_peer_status status = {0};

	status.has_reached[KEY_CURRENT] = true;
	assert_int_equal(ratchet_next(&status, MODE_STRICT, false), RATCHET_NOTE_REACHED);
	assert_int_equal(ratchet_next(&status, MODE_PERMISSIVE, false), RATCHET_NOTE_REACHED);
	assert_int_equal(ratchet_next(&status, MODE_PERMISSIVE, true), RATCHET_NOTE_REACHED);
}

TEST(handshake_is_tried_only_in_permissive_mode_with_a_usable_node)
{
	assert_int_equal(ratchet_next(&silent, MODE_PERMISSIVE, true), RATCHET_TRY);
	assert_int_equal(ratchet_next(&silent, MODE_PERMISSIVE, false), RATCHET_WAIT);
	assert_int_equal(ratchet_next(&silent, MODE_STRICT, true), RATCHET_WAIT);
	assert_int_equal(ratchet_next(&silent, MODE_STRICT, false), RATCHET_WAIT);
}

TEST(first_tries_are_spread_by_the_size_of_the_cluster)
{
	assert_int_equal(ratchet_spread_ms(0), 0);
	assert_int_equal(ratchet_spread_ms(1), 0);
	assert_int_equal(ratchet_spread_ms(5000), 9998);
}

TEST(tries_are_made_after_5_10_20_40_and_then_every_60_seconds)
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

TEST(tries_are_delayed_by_up_to_a_quarter_at_random)
{
	struct backoff tries = {0};
	uint64_t now_ns = NS_PER_S;

	backoff_delay(&tries, &ratchet_pace, now_ns, 1250);
	assert_int_equal(tries.due_ns, now_ns + 6250 * NS_PER_MS);
	tries = (struct backoff){0};
	backoff_delay(&tries, &ratchet_pace, now_ns, 1251);
	assert_int_equal(tries.due_ns, now_ns + 5000 * NS_PER_MS);
}
