// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/rotate.c: when a rotation begins, and which of its steps comes next: make, publish,
 * wait for the proofs, promote, publish, wipe, publish (docs/rotation.md).
 */
#include "rotating_keyd.h"

/* -- next and current -- */

TEST(rotation_arms_next_then_publishes_it_and_waits, begin)
{
	start_cluster();
	assert_false(ask());
	assert_state(ROTATE_PREPARING);
	assert_true(pass());
	assert_true(tunnel.has_key[KEY_NEXT]);
	assert_false(record.has_key[KEY_NEXT]);
	assert_state(ROTATE_PREPARING);
	assert_false(pass());
	assert_true(record.has_key[KEY_NEXT]);
	assert_state(ROTATE_PROVING);
	assert_current(101);
}

TEST(rotation_promotes_when_every_live_peer_has_proved, begin)
{
	uint64_t before;

	start_cluster();
	before = tunnel.epoch;
	ask();
	settle();
	peers[0].has_proved[KEY_NEXT] = true;
	assert_false(pass());
	assert_current(101);
	peers[1].has_proved[KEY_NEXT] = true;
	settle();
	assert_current(102);
	assert_true(tunnel.epoch > before);
	assert_published_as_armed();
}

TEST(rotation_does_not_promote_an_unpublished_key, begin)
{
	struct rotate_action action;
	struct public_key made = key(102);

	start_cluster();
	ask();
	action = rotate_next(&rotate, now);
	assert_int_equal(action.slot, KEY_NEXT);
	rotate_step_done(&rotate, &action, &made, now);
	prove(KEY_NEXT);
	count_peers();
	pass_time(DEADLINE + OVERLAP);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	rotate_published(&rotate, now);
	count_peers();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_PROMOTE);
}

TEST(rotation_begins_from_a_published_record, begin)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 80, 6);
	ask();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	rotate_published(&rotate, now);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_MAKE_KEY);
}

TEST(rotation_waits_until_the_peers_are_counted, begin)
{
	start_cluster();
	ask();
	settle();
	prove(KEY_NEXT);
	rotate.has_census = false;
	pass_time(DEADLINE);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
}

TEST(rotation_does_not_wait_for_idle_peers, begin)
{
	start_cluster();
	peers[0].received_age_ms = ROTATE_LIVE_MS;
	peers[1].received_age_ms = UINT64_MAX;
	ask();
	settle();
	assert_current(102);
	assert_true(tunnel.has_key[KEY_PREVIOUS]); /* which they will still address */
	assert_state(ROTATE_OVERLAPPING);
}

TEST(rotation_promotes_at_the_deadline_without_stragglers, begin)
{
	start_cluster();
	ask();
	settle();
	peers[0].has_proved[KEY_NEXT] = true;
	pass_time(DEADLINE - 1);
	assert_false(pass());
	assert_false(rotate_waits_for(&rotate, &peers[0]));
	assert_true(rotate_waits_for(&rotate, &peers[1]));
	assert_int_equal(rotate_state_end(&rotate, ROTATE_PROVING) - now.mono_ms, 1);
	pass_time(1);
	settle();
	assert_current(102);
	assert_true(tunnel.has_key[KEY_PREVIOUS]);
	assert_true(rotate_waits_for(&rotate, &peers[1]));
}

TEST(rotation_has_a_shorter_deadline_with_a_short_overlap, begin)
{
	settings.overlap_ms = MINUTE;
	start_cluster();
	ask();
	settle();
	pass_time(12 * SECOND - 1);
	assert_false(pass());
	pass_time(1);
	settle();
	assert_current(102);
}

/* -- previous -- */

TEST(rotation_wipes_previous_when_all_known_peers_have_proved, begin)
{
	start_cluster();
	add_peer(UINT64_MAX);
	ask();
	settle();
	prove(KEY_NEXT);
	peers[2].has_proved[KEY_NEXT] = false;
	settle();
	assert_true(tunnel.has_key[KEY_PREVIOUS]);
	peers[2].has_proved[KEY_CURRENT] = true;
	settle();
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
	assert_false(has_ended_sessions);
	assert_published_as_armed();
	assert_state(ROTATE_CURRENT);
}

TEST(rotation_wipes_previous_only_after_the_promotion_is_published, begin)
{
	start_cluster();
	ask();
	settle();
	prove(KEY_NEXT);
	assert_true(pass()); /* promoted */
	count_peers();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	publish();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_CLEAR_KEY);
}

TEST(rotation_wipes_previous_at_the_end_of_the_overlap, begin)
{
	start_cluster();
	add_peer(UINT64_MAX); /* known, and never seen */
	ask();
	settle();
	peers[0].has_proved[KEY_NEXT] = peers[1].has_proved[KEY_NEXT] = true;
	settle();
	pass_time(OVERLAP - 1);
	assert_false(pass());
	assert_state(ROTATE_OVERLAPPING);
	pass_time(1);
	settle();
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
	assert_state(ROTATE_CURRENT);
}

TEST(rotation_keeps_previous_for_a_straggler_that_talks, begin)
{
	start_cluster();
	ask();
	settle();
	pass_time(DEADLINE);
	settle();
	pass_time(OVERLAP + HOUR);
	settle();
	assert_true(tunnel.has_key[KEY_PREVIOUS]);
	assert_state(ROTATE_DEGRADED);
	assert_true(rotate_waits_for(&rotate, &peers[0]));
	peers[0].received_age_ms = ROTATE_LIVE_MS; /* falls silent */
	peers[1].has_proved[KEY_CURRENT] = true;   /* catches up */
	settle();
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
}

TEST(rotation_strict_cuts_a_straggler_at_the_end_of_the_overlap, begin)
{
	settings.is_strict = true;
	start_cluster();
	ask();
	settle();
	pass_time(DEADLINE);
	settle();
	assert_true(tunnel.has_key[KEY_PREVIOUS]);
	pass_time(OVERLAP);
	settle();
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
}

TEST(rotation_takes_the_slot_from_a_straggler_of_the_last_one, begin)
{
	struct public_key first = key(101), second = key(102);

	start_cluster();
	ask();
	settle();
	pass_time(DEADLINE);
	settle();
	assert_true(public_key_is_equal(&tunnel.keys[KEY_PREVIOUS], &first));
	assert_false(ask()); /* while it overlaps: another rotation */
	settle();
	assert_true(tunnel.has_key[KEY_PREVIOUS] && tunnel.has_key[KEY_NEXT]);
	assert_true(record.has_key[KEY_PREVIOUS] && record.has_key[KEY_NEXT]);
	pass_time(DEADLINE);
	settle();
	assert_current(103);
	assert_true(public_key_is_equal(&tunnel.keys[KEY_PREVIOUS], &second));
}

TEST(rotation_revoked_ends_previous_and_its_sessions_at_once, begin)
{
	start_cluster();
	assert_false(rotate_ask(&rotate, ROTATE_BY_COMMAND, true, now));
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
	assert_false(has_ended_sessions);
	pass_time(DEADLINE); /* nobody has proved */
	settle();
	assert_current(102);
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
	assert_true(has_ended_sessions);
	assert_false(rotate.revokes);
	assert_published_as_armed();
}

TEST(rotation_revoked_while_it_runs_ends_previous_too, begin)
{
	start_cluster();
	ask();
	settle();
	assert_true(rotate_ask(&rotate, ROTATE_BY_COMMAND, true, now));
	prove(KEY_NEXT);
	settle();
	assert_current(102);
	assert_true(has_ended_sessions);
	has_ended_sessions = false;
	ask(); /* the next one is an ordinary one again */
	settle();
	prove(KEY_NEXT);
	settle();
	assert_current(103);
	assert_false(has_ended_sessions);
}

/* -- when one begins -- */

TEST(rotation_merges_a_second_request, begin)
{
	start_cluster();
	assert_false(ask());
	assert_true(ask());
	settle();
	assert_true(ask());
	assert_true(rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now));
	prove(KEY_NEXT);
	settle();
	pass_time(HOUR);
	settle();
	assert_current(102);
}

/* keyd crashed after it made next: the unsettled request is reported to the agent that returns
 * before the tunnel does. */
TEST(rotation_merges_a_request_from_before_it_saw_the_tunnel, begin)
{
	start_cluster();
	ask();
	settle();
	rotate_init(&rotate, "u-1", &settings);
	rotate_record_seen(&rotate, &record, now);
	rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now);
	rotate_tunnel_found(&rotate, &tunnel, now);
	settle();
	prove(KEY_NEXT);
	settle();
	prove(KEY_CURRENT);
	pass_time(HOUR);
	settle();
	assert_current(102);
	assert_state(ROTATE_CURRENT);
}

TEST(rotation_asked_for_by_the_registry_keeps_a_distance, begin)
{
	start_cluster();
	pass_time(MINUTE);
	rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now);
	settle();
	prove(KEY_NEXT);
	settle();
	assert_current(102);
	assert_false(rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now));
	settle();
	assert_false(tunnel.has_key[KEY_NEXT]);
	pass_time(ROTATE_REQUEST_SPACING_MS - 1);
	assert_false(pass());
	pass_time(1);
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
}

TEST(rotation_asked_for_by_command_begins_at_once, begin)
{
	start_cluster();
	rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now);
	assert_true(ask()); /* merged with one that waits, and ends the wait */
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
}

TEST(rotation_by_timer_begins_within_a_tenth_of_its_time, begin)
{
	settings.every_ms = 24 * HOUR;
	start_cluster();
	pass_time(24 * HOUR * 9 / 10 - MINUTE);
	settle();
	assert_current(101);
	assert_false(tunnel.has_key[KEY_NEXT]);
	pass_time(24 * HOUR / 5 + 2 * MINUTE);
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
}

TEST(rotation_by_timer_is_due_after_a_restart_too, begin)
{
	settings.every_ms = 24 * HOUR;
	start_cluster();
	pass_time(20 * HOUR);
	start_keyd();
	settle();
	assert_false(tunnel.has_key[KEY_NEXT]);
	pass_time(7 * HOUR);
	start_keyd();
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
}

TEST(rotation_by_timer_comes_at_other_times_on_other_nodes, begin)
{
	int64_t begun[2] = {0};

	settings.every_ms = 24 * HOUR;
	for (unsigned int node = 0; node < 2; node++) {
		now = (struct rotate_now){.wall_ms = NOW_MS, .mono_ms = HOUR};
		rotate_init(&rotate, node ? "u-1" : "u-2", &settings);
		find_tunnel("", 0, 0);
		give_key(NOW_MS, 5);
		rotate_published(&rotate, now);
		while (rotate_next(&rotate, now).step == ROTATE_WAIT)
			pass_time(SECOND);
		begun[node] = now.mono_ms;
	}
	assert_int_not_equal(begun[0], begun[1]);
}

TEST(rotation_never_begins_by_itself_where_it_is_off, begin)
{
	start_cluster();
	pass_time(1000 * 24 * HOUR);
	assert_false(pass());
}
