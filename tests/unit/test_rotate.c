// SPDX-License-Identifier: Apache-2.0
/* keyd/rotate.c: when this node needs a key, which step of a rotation comes next, and what survives a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rotate.h"

#define NOW_MS	  1795348800000ULL
#define SECOND	  1000LL
#define MINUTE	  (60 * SECOND)
#define HOUR	  (60 * MINUTE)
#define OVERLAP	  (10 * MINUTE)
#define DEADLINE  (2 * MINUTE)
#define PEERS_MAX 3
#define STEPS_MAX 40

/* What outlives keyd: the tunnel's slots, the registry's record, the peers. */
static struct rotate_identity tunnel;
static struct annotation record;
static bool has_record;
static struct rotate_peer peers[PEERS_MAX];
static uint32_t peer_count;

static struct rotate_settings settings;
static struct rotate rotate;
static struct rotate_now now;
static uint8_t last_filling;
static unsigned int crash_at, steps_made; /* crash_at 0: never */
static bool has_ended_sessions;

static int begin(void **state)
{
	settings = (struct rotate_settings){.overlap_ms = OVERLAP};
	now = (struct rotate_now){.wall_ms = NOW_MS, .mono_ms = HOUR};
	tunnel = (struct rotate_identity){0};
	has_record = has_ended_sessions = false;
	memset(peers, 0, sizeof(peers));
	peer_count = 0;
	last_filling = 100;
	crash_at = steps_made = 0;
	rotate_init(&rotate, "u-1", &settings);
	return 0;
}

static struct public_key key(uint8_t filling)
{
	struct public_key made;

	memset(made.bytes, filling, KEY_LEN);
	return made;
}

static struct rotate_identity identity(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity made = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(made.uid, sizeof(made.uid), uid);
	return made;
}

static void see_record(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct annotation seen = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(seen.uid, sizeof(seen.uid), uid);
	rotate_record_seen(&rotate, &seen, now);
}

static void find_tunnel(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity found =
		epoch ? identity(uid, epoch, filling) : (struct rotate_identity){0};

	rotate_tunnel_found(&rotate, &found, now);
}

static void pass_time(int64_t ms)
{
	now.mono_ms += ms;
	now.wall_ms += (uint64_t)ms;
}

/* -- the world around it: a tunnel that does what it is told, a registry, peers -- */

static void start_keyd(void)
{
	rotate_init(&rotate, "u-1", &settings);
	if (has_record)
		rotate_record_seen(&rotate, &record, now);
	rotate_tunnel_found(&rotate, &tunnel, now);
}

static void publish(void)
{
	const struct rotate_identity *own = rotate_publishable(&rotate);

	if (!own)
		return;
	assert_memory_equal(own, &tunnel, sizeof(*own)); /* armed first, published then */
	has_record = true;
	record = (struct annotation){.epoch = own->epoch};
	copy_text(record.uid, sizeof(record.uid), own->uid);
	memcpy(record.has_key, own->has_key, sizeof(record.has_key));
	memcpy(record.keys, own->keys, sizeof(record.keys));
	rotate_published(&rotate, now);
}

/* Proofs belong to keys, and move with them. */
static void move_proofs(void)
{
	for (uint32_t i = 0; i < peer_count; i++) {
		bool *proved = peers[i].has_proved;

		proved[KEY_PREVIOUS] = proved[KEY_CURRENT];
		proved[KEY_CURRENT] = proved[KEY_NEXT];
		proved[KEY_NEXT] = false;
	}
}

static void obey(const struct rotate_action *action)
{
	if (action->step == ROTATE_MAKE_KEY) {
		copy_text(tunnel.uid, sizeof(tunnel.uid), "u-1");
		tunnel.has_key[action->slot] = true;
		tunnel.keys[action->slot] = key(++last_filling);
		for (uint32_t i = 0; i < peer_count; i++)
			peers[i].has_proved[action->slot] = false;
	} else if (action->step == ROTATE_PROMOTE) {
		assert_true(tunnel.has_key[KEY_NEXT]);
		assert_true(has_record && record.has_key[KEY_NEXT]); /* published first */
		tunnel.has_key[KEY_PREVIOUS] = true;
		tunnel.keys[KEY_PREVIOUS] = tunnel.keys[KEY_CURRENT];
		tunnel.keys[KEY_CURRENT] = tunnel.keys[KEY_NEXT];
		tunnel.has_key[KEY_NEXT] = false;
		move_proofs();
	} else {
		assert_int_not_equal(action->slot, KEY_CURRENT);
		tunnel.has_key[action->slot] = false;
		has_ended_sessions |= action->ends_sessions;
	}
	memset(&tunnel.keys[KEY_NEXT], 0, tunnel.has_key[KEY_NEXT] ? 0 : KEY_LEN);
	memset(&tunnel.keys[KEY_PREVIOUS], 0, tunnel.has_key[KEY_PREVIOUS] ? 0 : KEY_LEN);
	assert_true(action->epoch >= tunnel.epoch || action->slot == KEY_CURRENT);
	tunnel.epoch = action->epoch;
}

static void count_peers(void)
{
	struct rotate_census census = {0};

	for (uint32_t i = 0; i < peer_count; i++)
		rotate_census_add(&census, &peers[i]);
	rotate_peers_counted(&rotate, &census);
}

/* The agent dies here if it is the chosen moment: what it knew is gone. */
static bool dies(void)
{
	if (++steps_made != crash_at)
		return false;
	start_keyd();
	return true;
}

/* One pass of the agent; false: nothing to do. */
static bool pass(void)
{
	struct rotate_action action;
	struct public_key made;
	bool was_published = has_record && record.epoch == tunnel.epoch;

	publish();
	if (!was_published && has_record && record.epoch == tunnel.epoch && dies())
		return true;
	count_peers();
	action = rotate_next(&rotate, now);
	if (action.step == ROTATE_WAIT)
		return false;
	obey(&action);
	if (dies())
		return true;
	made = tunnel.keys[action.slot];
	rotate_step_done(&rotate, &action, &made, now);
	for (unsigned int slot = 0; slot < KEY_SLOTS; slot++) {
		assert_int_equal(rotate.armed.has_key[slot], tunnel.has_key[slot]);
		if (tunnel.has_key[slot])
			assert_true(
				public_key_is_equal(&rotate.armed.keys[slot], &tunnel.keys[slot]));
	}
	rotate.armed = tunnel; /* also what is in the empty slots, for the comparison in publish */
	return true;
}

static void settle(void)
{
	unsigned int passes = 0;

	while (pass())
		assert_true(++passes < STEPS_MAX);
}

static void add_peer(uint64_t received_age_ms)
{
	peers[peer_count++] = (struct rotate_peer){.received_age_ms = received_age_ms};
}

static void prove(enum key_slot slot)
{
	for (uint32_t i = 0; i < peer_count; i++)
		peers[i].has_proved[slot] = true;
}

/* A node with one key, published; two live peers that have proved it. */
static void start_cluster(void)
{
	add_peer(SECOND);
	add_peer(SECOND);
	start_keyd();
	settle();
	prove(KEY_CURRENT);
	pass_time(SECOND);
	assert_int_equal(rotate_state(&rotate, now), ROTATE_CURRENT);
}

static bool ask(void)
{
	return rotate_ask(&rotate, ROTATE_BY_COMMAND, false, now);
}

static void assert_state(enum rotate_state state)
{
	assert_string_equal(rotate_state_name(rotate_state(&rotate, now)),
			    rotate_state_name(state));
}

static void assert_current(uint8_t filling)
{
	struct public_key expected = key(filling);

	assert_true(tunnel.has_key[KEY_CURRENT]);
	assert_true(public_key_is_equal(&tunnel.keys[KEY_CURRENT], &expected));
}

static void assert_published_as_armed(void)
{
	assert_true(has_record);
	assert_int_equal(record.epoch, tunnel.epoch);
	assert_memory_equal(record.has_key, tunnel.has_key, sizeof(record.has_key));
}

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

/* The made key of the first step, as if the tunnel had taken it. */
static void give_key(uint64_t epoch, uint8_t filling)
{
	struct rotate_action action = {
		.step = ROTATE_MAKE_KEY, .slot = KEY_CURRENT, .epoch = epoch};
	struct public_key made = key(filling);

	rotate_step_done(&rotate, &action, &made, now);
}

/* -- a key where there is none -- */

static void rotate_waits_for_the_tunnel(void **state)
{
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
	assert_state(ROTATE_UNKNOWN);
}

static void rotate_makes_the_first_key_with_the_clocks_epoch(void **state)
{
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
	give_key(NOW_MS, 5);
	assert_publishes(NOW_MS, 5);
}

static void rotate_takes_over_the_key_of_a_running_tunnel(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 5);
	assert_publishes(70, 5);
}

static void rotate_publishes_what_was_armed_before_a_crash(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 80, 6);
	assert_publishes(80, 6);
}

static void rotate_replaces_a_key_behind_its_own_record(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 60, 4);
	assert_makes_key(NOW_MS);
}

static void rotate_replaces_a_key_that_differs_at_the_same_epoch(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 70, 6);
	assert_makes_key(NOW_MS);
}

static void rotate_replaces_a_key_of_another_uid(void **state)
{
	find_tunnel("u-2", 70, 5);
	assert_makes_key(NOW_MS);
}

static void rotate_empties_the_slots_of_another_uid_first(void **state)
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

static void rotate_epoch_grows_even_when_the_clock_went_back(void **state)
{
	see_record("u-1", NOW_MS + 1000, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1001);
}

static void rotate_floor_is_also_what_the_tunnel_had(void **state)
{
	struct rotate_identity keyless = {.uid = "u-1", .epoch = NOW_MS + 5};

	rotate_tunnel_found(&rotate, &keyless, now);
	assert_makes_key(NOW_MS + 6);
}

static void rotate_ignores_records_of_others_and_from_far_ahead(void **state)
{
	see_record("u-2", NOW_MS + 1000, 5);
	see_record("u-1", NOW_MS + EPOCH_AHEAD_MAX_MS + 1, 5);
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS);
}

static void rotate_replaces_a_key_from_far_ahead_which_no_peer_would_take(void **state)
{
	tunnel = identity("u-1", NOW_MS + EPOCH_AHEAD_MAX_MS + 1, 5);
	start_keyd();
	settle();
	assert_int_equal(tunnel.epoch, NOW_MS);
	assert_current(last_filling);
	assert_published_as_armed();
}

/* The clock was two days ahead, and was set right while this program ran. */
static void rotate_comes_back_from_the_future_with_its_next_key(void **state)
{
	see_record("u-1", NOW_MS, 5);
	now.wall_ms -= 2 * EPOCH_AHEAD_MAX_MS;
	find_tunnel("", 0, 0);
	assert_makes_key(now.wall_ms);
	give_key(now.wall_ms, 6);
	assert_publishes(now.wall_ms, 6);
}

static void rotate_makes_a_new_key_when_the_tunnel_lost_it(void **state)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	rotate_tunnel_lost(&rotate);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	assert_null(rotate_publishable(&rotate));
	find_tunnel("", 0, 0);
	assert_makes_key(NOW_MS + 1);
}

static void rotate_answers_a_record_that_overtook_it(void **state)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	see_record("u-1", NOW_MS, 5); /* our own, come back */
	assert_publishes(NOW_MS, 5);
	see_record("u-1", NOW_MS + 9, 6); /* somebody else's under our name */
	assert_makes_key(NOW_MS + 10);
}

static void rotate_is_not_moved_by_an_older_record(void **state)
{
	find_tunnel("", 0, 0);
	give_key(NOW_MS, 5);
	see_record("u-1", NOW_MS, 5);
	see_record("u-1", 3, 4);
	assert_publishes(NOW_MS, 5);
}

/* -- a rotation -- */

static void rotation_arms_next_then_publishes_it_and_waits(void **state)
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

static void rotation_promotes_when_every_live_peer_has_proved(void **state)
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

static void rotation_does_not_promote_what_is_not_published(void **state)
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

static void rotation_begins_from_a_published_record(void **state)
{
	see_record("u-1", 70, 5);
	find_tunnel("u-1", 80, 6);
	ask();
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
	rotate_published(&rotate, now);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_MAKE_KEY);
}

static void rotation_waits_until_the_peers_are_counted(void **state)
{
	start_cluster();
	ask();
	settle();
	prove(KEY_NEXT);
	rotate.has_census = false;
	pass_time(DEADLINE);
	assert_int_equal(rotate_next(&rotate, now).step, ROTATE_WAIT);
}

static void rotation_does_not_wait_for_idle_peers(void **state)
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

static void rotation_promotes_at_the_deadline_without_stragglers(void **state)
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

static void rotation_has_a_shorter_deadline_with_a_short_overlap(void **state)
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

static void rotation_wipes_previous_when_all_known_peers_have_proved(void **state)
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

static void rotation_wipes_previous_only_after_the_promotion_is_published(void **state)
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

static void rotation_wipes_previous_at_the_end_of_the_overlap(void **state)
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

static void rotation_keeps_previous_for_a_straggler_that_talks(void **state)
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

static void rotation_strict_cuts_a_straggler_at_the_end_of_the_overlap(void **state)
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

static void rotation_takes_the_slot_from_a_straggler_of_the_last_one(void **state)
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

static void rotation_revoked_ends_previous_and_its_sessions_at_once(void **state)
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

static void rotation_revoked_while_it_runs_ends_previous_too(void **state)
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

static void rotation_merges_a_second_request(void **state)
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

/* keyd died after making next: the request, not settled yet, is told to the one that comes back before the tunnel is. */
static void rotation_merges_a_request_from_before_it_saw_the_tunnel(void **state)
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

static void rotation_asked_for_by_the_registry_keeps_a_distance(void **state)
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

static void rotation_asked_for_by_command_begins_at_once(void **state)
{
	start_cluster();
	rotate_ask(&rotate, ROTATE_BY_REGISTRY, false, now);
	assert_true(ask()); /* merged with one that waits, and ends the wait */
	settle();
	assert_true(tunnel.has_key[KEY_NEXT]);
}

static void rotation_by_timer_begins_within_a_tenth_of_its_time(void **state)
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

static void rotation_by_timer_is_due_after_a_restart_too(void **state)
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

static void rotation_by_timer_comes_at_other_times_on_other_nodes(void **state)
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

static void rotation_never_begins_by_itself_where_it_is_off(void **state)
{
	start_cluster();
	pass_time(1000 * 24 * HOUR);
	assert_false(pass());
}

static void rotation_wipes_nothing_while_the_registry_is_away(void **state)
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

static void rotation_ends_where_the_keys_are_lost(void **state)
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

static void rotation_goes_on_where_the_registry_shows_an_older_record(void **state)
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

static void rotation_is_not_prolonged_by_restarts(void **state)
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

/* A whole rotation during which keyd dies once, after the given step; returns false where there are not so many. */
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
		ask(); /* died before anything was made: whoever asked asks again */
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

static void rotation_survives_a_crash_after_every_step(void **state)
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

/* Whatever a crash, a restored registry or another node's past left: one key in the end, newer than all that was seen. */
static void rotation_comes_to_rest_from_every_remains(void **state)
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(rotate_waits_for_the_tunnel),
		TEST(rotate_makes_the_first_key_with_the_clocks_epoch),
		TEST(rotate_takes_over_the_key_of_a_running_tunnel),
		TEST(rotate_publishes_what_was_armed_before_a_crash),
		TEST(rotate_replaces_a_key_behind_its_own_record),
		TEST(rotate_replaces_a_key_that_differs_at_the_same_epoch),
		TEST(rotate_replaces_a_key_of_another_uid),
		TEST(rotate_empties_the_slots_of_another_uid_first),
		TEST(rotate_epoch_grows_even_when_the_clock_went_back),
		TEST(rotate_floor_is_also_what_the_tunnel_had),
		TEST(rotate_ignores_records_of_others_and_from_far_ahead),
		TEST(rotate_replaces_a_key_from_far_ahead_which_no_peer_would_take),
		TEST(rotate_comes_back_from_the_future_with_its_next_key),
		TEST(rotate_makes_a_new_key_when_the_tunnel_lost_it),
		TEST(rotate_answers_a_record_that_overtook_it),
		TEST(rotate_is_not_moved_by_an_older_record),
		TEST(rotation_arms_next_then_publishes_it_and_waits),
		TEST(rotation_promotes_when_every_live_peer_has_proved),
		TEST(rotation_does_not_promote_what_is_not_published),
		TEST(rotation_begins_from_a_published_record),
		TEST(rotation_waits_until_the_peers_are_counted),
		TEST(rotation_does_not_wait_for_idle_peers),
		TEST(rotation_promotes_at_the_deadline_without_stragglers),
		TEST(rotation_has_a_shorter_deadline_with_a_short_overlap),
		TEST(rotation_wipes_previous_when_all_known_peers_have_proved),
		TEST(rotation_wipes_previous_only_after_the_promotion_is_published),
		TEST(rotation_wipes_previous_at_the_end_of_the_overlap),
		TEST(rotation_keeps_previous_for_a_straggler_that_talks),
		TEST(rotation_strict_cuts_a_straggler_at_the_end_of_the_overlap),
		TEST(rotation_takes_the_slot_from_a_straggler_of_the_last_one),
		TEST(rotation_revoked_ends_previous_and_its_sessions_at_once),
		TEST(rotation_revoked_while_it_runs_ends_previous_too),
		TEST(rotation_merges_a_second_request),
		TEST(rotation_merges_a_request_from_before_it_saw_the_tunnel),
		TEST(rotation_asked_for_by_the_registry_keeps_a_distance),
		TEST(rotation_asked_for_by_command_begins_at_once),
		TEST(rotation_by_timer_begins_within_a_tenth_of_its_time),
		TEST(rotation_by_timer_is_due_after_a_restart_too),
		TEST(rotation_by_timer_comes_at_other_times_on_other_nodes),
		TEST(rotation_never_begins_by_itself_where_it_is_off),
		TEST(rotation_wipes_nothing_while_the_registry_is_away),
		TEST(rotation_ends_where_the_keys_are_lost),
		TEST(rotation_goes_on_where_the_registry_shows_an_older_record),
		TEST(rotation_is_not_prolonged_by_restarts),
		TEST(rotation_survives_a_crash_after_every_step),
		TEST(rotation_comes_to_rest_from_every_remains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
