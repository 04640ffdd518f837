// SPDX-License-Identifier: Apache-2.0
/*
 * The protocol's timers, seen from outside: two tunnels, a clock, and the times of the packets on
 * the wire.
 */
#include "world.h"

#define SECONDS(n) ((n)*NS_PER_S)
#define JITTER_MAX (334 * NS_PER_MS)

static unsigned int lose_all(struct world *w, struct datagram *datagram)
{
	return 0;
}

static unsigned int lose_from_b(struct world *w, struct datagram *datagram)
{
	return datagram->to == B;
}

static unsigned int lose_responses(struct world *w, struct datagram *datagram)
{
	return get_le32(datagram->bytes) != MESSAGE_RESPONSE;
}

static unsigned int sent(unsigned int node, enum message_type type)
{
	return world->nodes[node].sent[type];
}

static uint64_t armed(unsigned int node, enum timer timer)
{
	return peer_of(node)->timers.deadline_ns[timer];
}

TALKING_TEST(initiator_rekeys_at_120_seconds_of_use_and_not_before)
{
	world_sleep(SECONDS(119));
	ping(A, 1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	world_sleep(SECONDS(1));
	ping(A, 2);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
	assert_int_equal(sent(B, MESSAGE_RESPONSE), 2);
	assert_int_equal(came(B, 2), 1);
}

/* One packet a second from B to A, which says nothing, not even that it is alive; B does not
 * mind. */
static void listen_for(unsigned int seconds)
{
	for (unsigned int second = 0; second < seconds; second++) {
		world_sleep(SECONDS(1));
		peer_of(A)->timers.deadline_ns[TIMER_SEND_KEEPALIVE] = 0;
		peer_of(B)->timers.deadline_ns[TIMER_NEW_HANDSHAKE] = 0;
		ping(B, world->counter);
		assert_int_equal(came(A, world->counter++), 1);
	}
}

TALKING_TEST(responder_never_rekeys_at_120_seconds)
{
	listen_for(164);
	assert_int_equal(sent(B, MESSAGE_INITIATION), 0);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
}

TALKING_TEST(initiator_that_only_receives_rekeys_once_after_165_seconds)
{
	listen_for(164);
	world->on_wire = lose_responses;
	listen_for(1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
	ping(B, 200);
	ping(B, 201);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
	assert_true(peer_of(A)->has_sent_lastminute_handshake);
	world->on_wire = NULL;
	world_sleep(SECONDS(6));
	assert_int_equal(sent(A, MESSAGE_INITIATION), 3); /* the retry */
	assert_false(peer_of(A)->has_sent_lastminute_handshake);
}

TALKING_TEST(nothing_is_sent_on_a_session_of_180_seconds)
{
	unsigned int data;

	world_sleep(SECONDS(180));
	data = sent(B, MESSAGE_DATA);
	world->on_wire = lose_all;
	ping(B, 1);
	assert_int_equal(sent(B, MESSAGE_DATA), data);
	assert_int_equal(sent(B, MESSAGE_INITIATION), 1);
	assert_int_equal(peer_of(B)->stage_count, 1);
}

TALKING_TEST(nothing_is_received_on_a_session_of_180_seconds)
{
	world->latency_ns = SECONDS(1);
	world_sleep(SECONDS(179));
	peer_of(A)->timers.last_initiation_sent_ns = world->now_ns; /* no rekey now */
	ping(A, 1);
	world_sleep(SECONDS(1));
	assert_int_equal(came(B, 1), 0);
	assert_int_equal(drops(B, DROP_SESSION_EXPIRED), 1);
}

TALKING_TEST(keepalive_follows_10_seconds_after_data_that_was_not_answered)
{
	unsigned int before = world->nodes[B].keepalives_sent;

	world_sleep(SECONDS(30));
	before = world->nodes[B].keepalives_sent;
	ping(A, 1);
	world_sleep(SECONDS(10) - 1);
	assert_int_equal(world->nodes[B].keepalives_sent, before);
	world_sleep(1);
	assert_int_equal(world->nodes[B].keepalives_sent, before + 1);
	world_sleep(SECONDS(60));
	assert_int_equal(world->nodes[B].keepalives_sent, before + 1);
}

TALKING_TEST(keepalive_is_not_sent_where_data_went_the_other_way)
{
	unsigned int before;

	world_sleep(SECONDS(30));
	before = world->nodes[B].keepalives_sent;
	ping(A, 1);
	world_sleep(SECONDS(9));
	ping(B, 1);
	world_sleep(SECONDS(5));
	assert_int_equal(world->nodes[B].keepalives_sent, before);
}

TALKING_TEST(keepalive_is_repeated_where_more_data_came_meanwhile)
{
	unsigned int before;

	world_sleep(SECONDS(30));
	before = world->nodes[B].keepalives_sent;
	ping(A, 1);
	world_sleep(SECONDS(3));
	ping(A, 2);
	world_sleep(SECONDS(7));
	assert_int_equal(world->nodes[B].keepalives_sent, before + 1);
	world_sleep(SECONDS(10));
	assert_int_equal(world->nodes[B].keepalives_sent, before + 2);
	world_sleep(SECONDS(30));
	assert_int_equal(world->nodes[B].keepalives_sent, before + 2);
}

TALKING_TEST(handshake_begins_15_seconds_after_data_that_met_silence)
{
	uint64_t deadline;

	world_sleep(SECONDS(30));
	world->on_wire = lose_from_b;
	ping(A, 1);
	deadline = armed(A, TIMER_NEW_HANDSHAKE);
	assert_in_range(deadline, world->now_ns + SECONDS(15),
			world->now_ns + SECONDS(15) + JITTER_MAX);
	world_sleep(SECONDS(15) - 1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	world_sleep(JITTER_MAX + 1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
}

TALKING_TEST(handshake_after_silence_has_its_jitter_too)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned int i = 0; i < 100; i++) {
		uint64_t delay;

		world_sleep(SECONDS(181)); /* each in a session of its own */
		ping(A, i);
		ping(A, 100 + i);
		delay = armed(A, TIMER_NEW_HANDSHAKE) - world->now_ns;
		assert_in_range(delay, SECONDS(15), SECONDS(15) + JITTER_MAX - 1);
		least = MIN(least, delay);
		most = MAX(most, delay);
	}
	assert_true(most - least > JITTER_MAX * 3 / 4);
}

TALKING_TEST(handshake_is_not_begun_where_a_keepalive_answered)
{
	ping(A, 1);
	world_sleep(SECONDS(100));
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
}

SILENT_TEST(initiations_are_5_seconds_apart_for_any_cause)
{
	world->on_wire = lose_all;
	for (unsigned int i = 0; i < 100; i++) {
		ping(A, i);
		world_sleep(49 * NS_PER_MS);
		send_keepalive(&world->nodes[A].tunnel, world->nodes[A].peer);
	}
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
}

SILENT_TEST(retry_that_comes_too_soon_after_a_response_waits_for_its_time)
{
	uint64_t answered;

	world->on_wire = lose_all;
	ping(A, 1);
	world_sleep(SECONDS(3));
	world->on_wire = lose_responses;
	ping(B, 1);
	assert_int_equal(sent(A, MESSAGE_RESPONSE), 1);
	answered = world->now_ns;
	world->on_wire = NULL;
	timers_stop(&world->nodes[B].tunnel, world->nodes[B].peer); /* B does not try again */
	world_sleep(answered + SECONDS(5) - 1 - world->now_ns);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	world_sleep(JITTER_MAX + 1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
	assert_int_equal(came(B, 1), 1);
}

SILENT_TEST(jitter_spreads_over_a_third_of_a_second)
{
	unsigned int buckets[10] = {0};

	world->on_wire = lose_all;
	for (unsigned int i = 0; i < 5000; i++) {
		uint64_t jitter;

		peer_of(A)->timers.last_initiation_sent_ns = 0;
		assert_true(send_initiation(&world->nodes[A].tunnel, world->nodes[A].peer, false));
		jitter = armed(A, TIMER_RETRANSMIT_HANDSHAKE) - world->now_ns - SECONDS(5);
		assert_in_range(jitter, 0, JITTER_MAX - 1);
		buckets[jitter * 10 / JITTER_MAX]++;
		tunnel_flush(&world->nodes[A].tunnel);
	}
	for (unsigned int i = 0; i < 10; i++)
		assert_in_range(buckets[i], 400, 600);
}

TALKING_TEST(keys_are_gone_from_memory_540_seconds_after_the_last_session)
{
	struct session_keys keys =
		world->nodes[A].tunnel.state->secrets.session_keys[peer_of(A)->current];

	world_sleep(SECONDS(539));
	assert_true(state_holds(A, keys.send, KEY_LEN));
	assert_true(state_holds(B, keys.send, KEY_LEN));
	world_sleep(SECONDS(1));
	for (unsigned int node = A; node <= B; node++) {
		assert_false(state_holds(node, keys.send, KEY_LEN));
		assert_false(state_holds(node, keys.receive, KEY_LEN));
		assert_int_equal(peer_of(node)->current, NO_SESSION);
		assert_int_equal(peer_of(node)->previous, NO_SESSION);
		assert_int_equal(tunnel_next_deadline(&world->nodes[node].tunnel), UINT64_MAX);
	}
}

SILENT_TEST(handshake_that_was_given_up_is_wiped_after_540_seconds)
{
	uint8_t ephemeral[KEY_LEN];

	world->on_wire = lose_all;
	ping(A, 1);
	world_sleep(SECONDS(120)); /* gave up */
	memcpy(ephemeral, pair_of(A)->ephemeral_private, KEY_LEN);
	assert_true(state_holds(A, ephemeral, KEY_LEN));
	world_sleep(SECONDS(540));
	assert_false(state_holds(A, ephemeral, KEY_LEN));
	assert_int_equal(pair_of(A)->state, HANDSHAKE_NONE);
	assert_int_equal(handshake_of(A)->handshake_index, 0);
}

TALKING_TEST(persistent_keepalive_is_off_by_default_and_keeps_its_interval)
{
	unsigned int before;

	world_sleep(SECONDS(60));
	before = sent(A, MESSAGE_DATA);
	tunnel_set_keepalive(&world->nodes[A].tunnel, world->nodes[A].peer, 20);
	tunnel_flush(&world->nodes[A].tunnel);
	assert_int_equal(sent(A, MESSAGE_DATA), before + 1); /* at once */
	world_sleep(SECONDS(20) - 1);
	assert_int_equal(sent(A, MESSAGE_DATA), before + 1);
	world_sleep(1);
	assert_int_equal(sent(A, MESSAGE_DATA), before + 2);
	world_sleep(SECONDS(10));
	ping(A, 1); /* any packet counts */
	world_sleep(SECONDS(10) + SECONDS(9));
	assert_int_equal(sent(A, MESSAGE_DATA), before + 3);
	tunnel_set_keepalive(&world->nodes[A].tunnel, world->nodes[A].peer, 0);
	world_sleep(SECONDS(60));
	assert_int_equal(sent(A, MESSAGE_DATA), before + 3);
}

SILENT_TEST(persistent_keepalive_begins_a_conversation_and_never_gives_up)
{
	world->on_wire = lose_all;
	tunnel_set_keepalive(&world->nodes[A].tunnel, world->nodes[A].peer, 25);
	tunnel_flush(&world->nodes[A].tunnel);
	world_sleep(SECONDS(1000));
	assert_true(sent(A, MESSAGE_INITIATION) > 100);
	world->on_wire = NULL;
	world_sleep(SECONDS(40));
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
	assert_int_not_equal(peer_of(B)->current, NO_SESSION);
}

static void set_wall_clock(uint64_t wall_ns)
{
	world->wall_ns = wall_ns;
	world_set_clock(world->now_ns);
}

/* The wall clock affects only times for display and the timestamp of an initiation. */
TALKING_TEST(wall_clock_moves_no_timer)
{
	set_wall_clock(WORLD_BEGIN_WALL + SECONDS(1000000));
	world_sleep(SECONDS(119));
	ping(A, 1);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	set_wall_clock(SECONDS(1));
	world_sleep(SECONDS(1));
	ping(A, 2);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 2);
	assert_int_equal(peer_of(A)->last_handshake_wall_ns, SECONDS(2));
	set_wall_clock(WORLD_BEGIN_WALL);
	world_sleep(SECONDS(539));
	assert_int_not_equal(peer_of(A)->current, NO_SESSION);
	world_sleep(SECONDS(12));
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	assert_int_equal(all_drops(A) + all_drops(B), 0);
}

/* -- the heap, with many peers, against looking at all of them -- */

#define CROWD 300

static uint64_t naive_earliest(const struct tunnel_state *state)
{
	uint64_t earliest = UINT64_MAX;

	for (uint32_t peer = 0; peer < state->peers_used_end; peer++)
		for (unsigned int timer = 0; timer < TIMER_COUNT; timer++)
			if (state->peers[peer].is_used &&
			    state->peers[peer].timers.deadline_ns[timer])
				earliest =
					MIN(earliest, state->peers[peer].timers.deadline_ns[timer]);
	return earliest;
}

static void assert_heap_is_right(const struct tunnel_state *state)
{
	for (uint32_t position = 1; position <= state->deadline_count; position++) {
		const struct timers *timers = &state->peers[state->deadline_heap[position]].timers;

		assert_int_equal(timers->heap_position, position);
		if (position > 1)
			assert_true(
				state->peers[state->deadline_heap[position / 2]].timers.wake_ns <=
				timers->wake_ns);
	}
}

static void do_something(struct tunnel *tunnel, uint32_t peer)
{
	static void (*const events[])(struct tunnel * tunnel, uint32_t peer) = {
		timers_data_sent,
		timers_data_received,
		timers_any_authenticated_sent,
		timers_any_authenticated_received,
		timers_any_authenticated_traversed,
		timers_handshake_initiated,
		timers_handshake_complete,
		timers_session_derived,
		timers_stop,
	};

	events[world_random() % ARRAY_SIZE(events)](tunnel, peer);
}

SILENT_TEST(deadlines_of_many_peers_are_never_missed)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	uint32_t crowd[CROWD];

	for (unsigned int i = 0; i < CROWD; i++) {
		struct public_key key;

		world_fill_random(NULL, key.bytes, KEY_LEN);
		assert_int_equal(tunnel_add_peer(tunnel, &key, &crowd[i]), 0);
		tunnel->state->peers[crowd[i]].persistent_keepalive_s =
			i % 3 ? 0 : (uint16_t)(1 + i);
	}
	for (unsigned int step = 0; step < 20000; step++) {
		do_something(tunnel, crowd[world_random() % CROWD]);
		assert_true(tunnel_next_deadline(tunnel) <= naive_earliest(tunnel->state));
		if (step % 16)
			continue;
		assert_heap_is_right(tunnel->state);
		world_set_clock(world->now_ns + world_random() % SECONDS(4));
		tunnel_expire(tunnel);
		assert_true(naive_earliest(tunnel->state) > tunnel->now_ns);
		assert_true(tunnel_next_deadline(tunnel) > tunnel->now_ns);
	}
}
