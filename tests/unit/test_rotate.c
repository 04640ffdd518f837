// SPDX-License-Identifier: Apache-2.0
/*
 * keyd/cluster/rotate.c: when this node needs a key, and its survival of a crash after any step, of
 * a registry that is unreachable or outdated, and of a tunnel that lost its keys
 * (keyd/cluster/rotate.h). The rotation itself is in test_rotate_steps.c.
 */
#include "rotating_keyd.h"

static void assert_makes_key(uint64_t epoch)
{
	struct rotate_action action = rotate_next(&rotate, now);

	assert_int_equal(action.step, ROTATE_MAKE_KEY);
	assert_int_equal(action.slot, KEY_CURRENT);
	assert_int_equal(action.epoch, epoch);
	assert_null(rotate_publishable(&rotate));
}

static void assert_publishes(uint64_t epoch, uint8_t filling)
{
	const struct rotate_identity *own = rotate_publishable(&rotate);
	struct public_key expected = key(filling);

	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	assert_non_null(own);
	assert_int_equal(own->epoch, epoch);
	assert_true(public_key_is_equal(&own->keys[KEY_CURRENT], &expected));
}

/* -- a key where there is none -- */

TEST(rotate_waits_for_the_tunnel, begin)
{
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
	assert_state(ROTATE_UNKNOWN);
}

TEST(rotate_makes_the_first_key_with_the_clocks_epoch, begin)
{
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
	give_key(NOW_MS, 5);
	assert_publishes(NOW_MS, 5);
}

TEST(rotate_takes_over_the_key_of_a_running_tunnel, begin)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 5);
	assert_publishes(70, 5);
}

TEST(rotate_publishes_the_key_that_was_armed_before_a_crash, begin)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 80, 6);
	assert_publishes(80, 6);
}

TEST(rotate_replaces_a_key_behind_its_own_record, begin)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 60, 4);
	assert_makes_key(NOW_MS);
}

TEST(rotate_replaces_a_key_that_differs_at_the_same_epoch, begin)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 6);
	assert_makes_key(NOW_MS);
}

TEST(rotate_replaces_a_key_of_another_uid, begin)
{
	find_tunnel("u-2", 70, 5);
	assert_makes_key(NOW_MS);
}

TEST(rotate_empties_the_slots_of_another_uid_first, begin)
{
	tunnel = identity("u-2", 70, 5);
	tunnel.has_key[KEY_NEXT] = tunnel.has_key[KEY_PREVIOUS] = true;
	tunnel.keys[KEY_NEXT] = key(6);
	tunnel.keys[KEY_PREVIOUS] = key(4);
	start_keyd();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_CLEAR_KEY);
	settle();
	assert_current(last_filling);
	assert_false(tunnel.has_key[KEY_NEXT] || tunnel.has_key[KEY_PREVIOUS]);
	assert_string_equal(record.uid, "u-1");
	assert_published_as_armed();
}

TEST(rotate_epoch_grows_even_when_the_clock_went_back, begin)
{
	see_record("u-1", NOW_MS + 1000, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1001);
}

TEST(rotate_floor_includes_the_epoch_of_the_tunnel, begin)
{
	struct rotate_identity keyless = {.uid = "u-1", .epoch = NOW_MS + 5};

	rotate_tunnel_found(&rotate, &keyless, now);
	assert_makes_key(NOW_MS + 6);
}

TEST(rotate_ignores_records_of_others_and_from_far_ahead, begin)
{
	see_record("u-2", NOW_MS + 1000, 5);
	see_record("u-1", NOW_MS + EPOCH_AHEAD_MAX_MS + 1, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
}

TEST(rotate_replaces_a_key_from_far_ahead_which_no_peer_would_take, begin)
{
	tunnel = identity("u-1", NOW_MS + EPOCH_AHEAD_MAX_MS + 1, 5);
	start_keyd();
	settle();
	assert_int_equal(tunnel.epoch, NOW_MS);
	assert_current(last_filling);
	assert_published_as_armed();
}

/* The clock was two days ahead, and was set right while this program ran. */
TEST(rotate_comes_back_from_the_future_with_its_next_key, begin)
{
	see_record("u-1", NOW_MS, 5);
	now.wall_ms -= 2 * EPOCH_AHEAD_MAX_MS;
	find_tunnel("", 0, 0);
	assert_makes_key(now.wall_ms);
	give_key(now.wall_ms, 6);
	assert_publishes(now.wall_ms, 6);
}

TEST(rotate_makes_a_new_key_when_the_tunnel_lost_it, begin)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	rotate_tunnel_lost(&rotate);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1);
}

TEST(rotate_answers_a_record_that_overtook_it, begin)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	see_record("u-1", NOW_MS, 5); /* our own, come back */
	assert_publishes(NOW_MS, 5);
	see_record("u-1", NOW_MS + 9, 6); /* somebody else's under our name */
	assert_makes_key(NOW_MS + 10);
}

TEST(rotate_is_not_moved_by_an_older_record, begin)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	see_record("u-1", NOW_MS, 5);
	see_record("u-1", 3, 4);
	assert_publishes(NOW_MS, 5);
}

/* -- a rotation that is disturbed -- */

TEST(rotation_wipes_nothing_while_the_registry_is_unreachable, begin)
{
	struct rotate_action action;

	start_cluster();
	ask();
	settle();
	prove(KEY_NEXT);
	pass(); /* promoted, and the registry goes */
	prove(KEY_CURRENT);
	pass_time(OVERLAP + HOUR);
	count_peers();
	action = rotate_next(&rotate, now);
	assert_int_equal(action.step, ROTATE_WAIT);
	assert_true(tunnel.has_key[KEY_PREVIOUS]);
}

TEST(rotation_ends_where_the_keys_are_lost, begin)
{
	start_cluster();
	rotate_ask(&rotate, ROTATE_BY_COMMAND, true, now);
	settle();
	rotate_tunnel_lost(&rotate);
	tunnel = (struct rotate_identity){0};
	pass_time(SECOND);
	rotate_tunnel_found(&rotate, &tunnel, now);
	settle();
	assert_state(ROTATE_CURRENT);
	assert_false(tunnel.has_key[KEY_NEXT]);
	assert_published_as_armed();
	assert_false(rotate.revokes);
}

TEST(rotation_goes_on_where_the_registry_shows_an_older_record, begin)
{
	struct annotation older;

	start_cluster();
	older = record;
	ask();
	settle();
	rotate_record_seen(&rotate, &older, now);
	assert_state(ROTATE_PROVING);
	record = older;
	prove(KEY_NEXT);
	publish();
	settle();
	assert_current(102);
	assert_published_as_armed();
	rotate_record_seen(&rotate, &older, now);
	assert_non_null(rotate_publishable(&rotate));
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
}

TEST(rotation_is_not_prolonged_by_restarts, begin)
{
	start_cluster();
	add_peer(UINT64_MAX);
	ask();
	settle();
	peers[0].has_proved[KEY_NEXT] = peers[1].has_proved[KEY_NEXT] = true;
	settle();
	for (unsigned int i = 0; i < 9; i++) {
		pass_time(MINUTE);
		start_keyd();
		settle();
		assert_true(tunnel.has_key[KEY_PREVIOUS]);
	}
	pass_time(MINUTE +
		  SECOND); /* several changes in one millisecond put the epoch ahead by some */
	start_keyd();
	settle();
	assert_false(tunnel.has_key[KEY_PREVIOUS]);
}

/* -- crashes -- */

/* A whole rotation during which keyd dies once, after the given step; returns false where there are
 * not so many. */
static bool rotate_with_crash(unsigned int after, bool proves_before)
{
	uint8_t before;

	begin(NULL);
	start_cluster();
	before = last_filling;
	crash_at = after;
	steps_made = 0;
	ask();
	settle();
	if (!tunnel.has_key[KEY_NEXT] && last_filling == before)
		ask(); /* crashed before anything was made: the caller asks again */
	settle();
	if (proves_before)
		prove(KEY_NEXT);
	else
		pass_time(DEADLINE);
	settle();
	pass_time(OVERLAP);
	if (!proves_before)
		prove(KEY_CURRENT);
	settle();
	assert_int_equal(last_filling, before + 1); /* one new key, not two */
	assert_current(last_filling);
	assert_state(ROTATE_CURRENT);
	assert_published_as_armed();
	return steps_made >= after;
}

TEST(rotation_survives_a_crash_after_every_step, begin)
{
	for (unsigned int proves = 0; proves < 2; proves++) {
		unsigned int after = 1;

		while (rotate_with_crash(after, proves))
			after++;
		assert_int_equal(after, 7); /* make, publish, promote, publish, wipe, publish */
	}
}

static void set_remains(unsigned int slots, unsigned int tunnel_kind, unsigned int record_kind)
{
	static const char *const uids[] = {"u-1", "u-1", "u-2"};

	tunnel = identity(uids[tunnel_kind], tunnel_kind == 1 ? NOW_MS - 5000 : NOW_MS - 1000, 50);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		tunnel.has_key[slot] = slots & (1U << slot);
		tunnel.keys[slot] =
			tunnel.has_key[slot] ? key((uint8_t)(50 + slot)) : (struct public_key){0};
	}
	has_record = record_kind;
	if (!has_record)
		return;
	record = (struct annotation){.epoch = NOW_MS - (record_kind == 1 ? 2000 : 1000)};
	copy_text(record.uid, sizeof(record.uid), "u-1");
	memcpy(record.has_key, tunnel.has_key, sizeof(record.has_key));
	memcpy(record.keys, tunnel.keys, sizeof(record.keys));
	record.has_key[KEY_CURRENT] = true;
	if (record_kind == 3)
		record.keys[KEY_CURRENT] = key(99);
}

/* After any crash, restored registry or past of another node: one key in the end, newer than all
 * earlier ones. */
TEST(rotation_comes_to_rest_from_every_remains, begin)
{
	for (unsigned int all = 0; all < 8 * 3 * 4; all++) {
		uint64_t seen;

		begin(NULL);
		add_peer(SECOND);
		set_remains(all % 8, all / 8 % 3, all / 24);
		seen = has_record ? record.epoch : 0;
		start_keyd();
		settle();
		prove(KEY_NEXT);
		settle();
		prove(KEY_CURRENT);
		settle();
		assert_state(ROTATE_CURRENT);
		assert_published_as_armed();
		assert_string_equal(tunnel.uid, "u-1");
		assert_true(record.epoch >= seen);
		assert_false(tunnel.has_key[KEY_NEXT] || tunnel.has_key[KEY_PREVIOUS]);
	}
}
