/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs keyd/cluster/rotate.c against a tunnel, a registry and peers that are plain values. The
 * agent's passes are repeated until nothing is left to do, and keyd may crash after any step. Every
 * step checks that a published key was armed before and that a promoted key was published
 * (keyd/cluster/rotate.h).
 */
#pragma once

#include "cluster/rotate.h"
#include "filled_key.h"
#include "test.h"

#define NOW_MS	  1795348800000ULL
#define SECOND	  1000LL
#define MINUTE	  (60 * SECOND)
#define HOUR	  (60 * MINUTE)
#define OVERLAP	  (10 * MINUTE)
#define DEADLINE  (2 * MINUTE)
#define PEERS_MAX 3
#define STEPS_MAX 40

/* The state that outlives keyd: the tunnel's slots, the registry's record, the peers. */
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

static inline int begin(void **state)
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

static inline struct rotate_identity identity(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity made = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(made.uid, sizeof(made.uid), uid);
	return made;
}

static inline void see_record(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct annotation seen = {
		.epoch = epoch, .has_key[KEY_CURRENT] = true, .keys[KEY_CURRENT] = key(filling)};

	copy_text(seen.uid, sizeof(seen.uid), uid);
	rotate_record_seen(&rotate, &seen, now);
}

static inline void find_tunnel(const char *uid, uint64_t epoch, uint8_t filling)
{
	struct rotate_identity found =
		epoch ? identity(uid, epoch, filling) : (struct rotate_identity){0};

	rotate_tunnel_found(&rotate, &found, now);
}

static inline void pass_time(int64_t ms)
{
	now.mono_ms += ms;
	now.wall_ms += (uint64_t)ms;
}

/* -- its environment: an obedient tunnel, a registry, peers -- */

static inline void start_keyd(void)
{
	rotate_init(&rotate, "u-1", &settings);
	if (has_record)
		rotate_record_seen(&rotate, &record, now);
	rotate_tunnel_found(&rotate, &tunnel, now);
}

static inline void publish(void)
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
static inline void move_proofs(void)
{
	for (uint32_t i = 0; i < peer_count; i++) {
		bool *proved = peers[i].has_proved;

		proved[KEY_PREVIOUS] = proved[KEY_CURRENT];
		proved[KEY_CURRENT] = proved[KEY_NEXT];
		proved[KEY_NEXT] = false;
	}
}

static inline void obey(const struct rotate_action *action)
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

static inline void count_peers(void)
{
	struct rotate_census census = {0};

	for (uint32_t i = 0; i < peer_count; i++)
		rotate_census_add(&census, &peers[i]);
	rotate_peers_counted(&rotate, &census);
}

/* Crashes the agent here if this is the chosen moment: it forgets everything. */
static inline bool dies(void)
{
	if (++steps_made != crash_at)
		return false;
	start_keyd();
	return true;
}

/* One pass of the agent; false: nothing to do. */
static inline bool pass(void)
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
	rotate.armed = tunnel; /* empty slots included, for the comparison in publish */
	return true;
}

static inline void settle(void)
{
	unsigned int passes = 0;

	while (pass())
		assert_true(++passes < STEPS_MAX);
}

static inline void add_peer(uint64_t received_age_ms)
{
	peers[peer_count++] = (struct rotate_peer){.received_age_ms = received_age_ms};
}

static inline void prove(enum key_slot slot)
{
	for (uint32_t i = 0; i < peer_count; i++)
		peers[i].has_proved[slot] = true;
}

/* A node with one key, published; two live peers that have proved it. */
static inline void start_cluster(void)
{
	add_peer(SECOND);
	add_peer(SECOND);
	start_keyd();
	settle();
	prove(KEY_CURRENT);
	pass_time(SECOND);
	assert_int_equal(rotate_state(&rotate, now), ROTATE_CURRENT);
}

static inline bool ask(void)
{
	return rotate_ask(&rotate, ROTATE_BY_COMMAND, false, now);
}

static inline void assert_state(enum rotate_state state)
{
	assert_string_equal(rotate_state_name(rotate_state(&rotate, now)),
			    rotate_state_name(state));
}

static inline void assert_current(uint8_t filling)
{
	struct public_key expected = key(filling);

	assert_true(tunnel.has_key[KEY_CURRENT]);
	assert_true(public_key_is_equal(&tunnel.keys[KEY_CURRENT], &expected));
}

static inline void assert_published_as_armed(void)
{
	assert_true(has_record);
	assert_int_equal(record.epoch, tunnel.epoch);
	assert_memory_equal(record.has_key, tunnel.has_key, sizeof(record.has_key));
}

/* The made key of the first step, as if the tunnel had taken it. */
static inline void give_key(uint64_t epoch, uint8_t filling)
{
	struct rotate_action action = {
		.step = ROTATE_MAKE_KEY, .slot = KEY_CURRENT, .epoch = epoch};
	struct public_key made = key(filling);

	rotate_step_done(&rotate, &action, &made, now);
}
