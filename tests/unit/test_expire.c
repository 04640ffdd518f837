// SPDX-License-Identifier: Apache-2.0
/*
 * The actions of expired timers: retries until a handshake is given up, and tries of a peer's next
 * key.
 */
#include "expire.h"

#include "world.h"

#define SECONDS(n) ((n)*NS_PER_S)
#define JITTER_MAX (334 * NS_PER_MS)

static unsigned int lose_all(struct world *w, struct datagram *datagram)
{
	return 0;
}

static unsigned int sent(unsigned int node, enum message_type type)
{
	return world->nodes[node].sent[type];
}

static uint64_t armed(unsigned int node, enum timer timer)
{
	return peer_of(node)->timers.deadline_ns[timer];
}

SILENT_TEST(handshake_is_tried_20_times_and_then_given_up)
{
	uint64_t begin = world->now_ns, last = begin;
	unsigned int count = 1;

	world->on_wire = lose_all;
	ping(A, 1);
	while (sent(A, MESSAGE_INITIATION) < 20) {
		world_sleep(NS_PER_MS);
		assert_true(world->now_ns < begin + SECONDS(120));
		if (sent(A, MESSAGE_INITIATION) == count)
			continue;
		assert_in_range(world->now_ns - last, SECONDS(5),
				SECONDS(5) + JITTER_MAX + NS_PER_MS);
		last = world->now_ns;
		count = sent(A, MESSAGE_INITIATION);
	}
	assert_int_equal(peer_of(A)->stage_count, 1);
	world_sleep(SECONDS(600));
	assert_int_equal(sent(A, MESSAGE_INITIATION), 20);
	assert_int_equal(peer_of(A)->stage_count, 0);
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 1);
	assert_int_equal(all_drops(A), 1);
}

/* No answer arrives: the staged packets are dropped, the keepalive is no longer due, the keys are
 * wiped, and a new packet starts as many tries as the first. */
TALKING_TEST(giving_up_ends_everything_until_the_next_packet)
{
	world_sleep(SECONDS(30));
	ping(B, 1); /* A owes a keepalive from now on */
	session_retire_all(&world->nodes[A].tunnel, world->nodes[A].peer);
	world->on_wire = lose_all;
	for (unsigned int i = 0; i < 5; i++)
		send_inner(A, 4, 100, i);
	assert_int_equal(peer_of(A)->stage_count, 5);
	peer_of(A)->timers.deadline_ns[TIMER_SEND_KEEPALIVE] = world->now_ns + SECONDS(1000);
	peer_of(A)->timers.deadline_ns[TIMER_ZERO_KEYS] = 0;
	while (armed(A, TIMER_RETRANSMIT_HANDSHAKE))
		world_sleep(SECONDS(1));
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1 + 20);
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 5);
	assert_int_equal(peer_of(A)->stage_count, 0);
	assert_int_equal(armed(A, TIMER_SEND_KEEPALIVE), 0);
	assert_in_range(armed(A, TIMER_ZERO_KEYS), world->now_ns + SECONDS(538),
			world->now_ns + SECONDS(540));
	ping(A, 6);
	world_sleep(SECONDS(200));
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1 + 20 + 20);
}

SILENT_TEST(abandoned_handshake_restarts_with_the_next_packet)
{
	world->on_wire = lose_all;
	ping(A, 1);
	world_sleep(SECONDS(200));
	world->on_wire = NULL;
	ping(A, 2);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 21);
	assert_int_equal(came(B, 2), 1);
	assert_int_equal(peer_of(A)->timers.attempts, 0);
}

SILENT_TEST(packets_keep_the_handshake_from_being_given_up)
{
	world->on_wire = lose_all;
	for (unsigned int i = 0; i < 300; i++) {
		ping(A, i);
		world_sleep(SECONDS(1));
	}
	assert_in_range(sent(A, MESSAGE_INITIATION), 290 / 6, 60);
	assert_int_equal(drops(A, DROP_STAGE_PURGED), 0);
}

TALKING_TEST(source_address_is_forgotten_with_every_retry)
{
	assert_int_equal(peer_of(A)->source.address.family, AF_INET);
	world->on_wire = lose_all;
	ping(A, 1);
	world_sleep(SECONDS(15) + JITTER_MAX);
	assert_int_equal(peer_of(A)->source.address.family, 0);
}

SILENT_TEST(source_address_is_forgotten_with_a_retransmission_too)
{
	world->on_wire = lose_all;
	ping(A, 1);
	for (unsigned int i = 1; i < 20; i++) {
		peer_of(A)->source.address = (struct address){AF_INET, {192, 0, 2, 1}};
		while (sent(A, MESSAGE_INITIATION) == i) {
			assert_int_equal(peer_of(A)->source.address.family, AF_INET);
			world_sleep(NS_PER_MS);
		}
		assert_int_equal(peer_of(A)->source.address.family, 0);
	}
}

/* -- what is due -- */

static uint64_t *deadline(enum timer timer)
{
	return &peer_of(A)->timers.deadline_ns[timer];
}

TALKING_TEST(timers_that_are_due_at_once_run_in_their_order_and_once)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	enum timer timer;
	uint32_t peer_index;

	timers_data_sent(tunnel, world->nodes[A].peer);
	timers_data_received(tunnel, world->nodes[A].peer);
	world_set_clock(MAX(*deadline(TIMER_NEW_HANDSHAKE), *deadline(TIMER_SEND_KEEPALIVE)));
	assert_true(timers_take_due(tunnel, &peer_index, &timer));
	assert_int_equal(peer_index, world->nodes[A].peer);
	assert_int_equal(timer, TIMER_SEND_KEEPALIVE);
	assert_int_equal(*deadline(TIMER_SEND_KEEPALIVE), 0);
	assert_true(timers_take_due(tunnel, &peer_index, &timer));
	assert_int_equal(timer, TIMER_NEW_HANDSHAKE);
	assert_false(timers_take_due(tunnel, &peer_index, &timer));
	assert_true(tunnel_next_deadline(tunnel) > world->now_ns);
}

TALKING_TEST(deadline_that_moved_away_runs_nothing_when_the_heap_wakes)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	uint64_t woken_ns;

	timers_data_sent(tunnel, world->nodes[A].peer);
	woken_ns = *deadline(TIMER_NEW_HANDSHAKE);
	*deadline(TIMER_NEW_HANDSHAKE) += SECONDS(60);
	world_set_clock(woken_ns);
	tunnel_expire(tunnel);
	tunnel_flush(tunnel);
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	assert_int_equal(*deadline(TIMER_NEW_HANDSHAKE), woken_ns + SECONDS(60));
}

/* -- a next key -- */

TALKING_TEST(tries_of_a_next_key_end_when_none_is_left)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;

	world_sleep(SECONDS(6));
	peer_of(A)->timers.next_key_tries = 1;
	*deadline(TIMER_ZERO_KEYS) = 0;
	expire_try_next_key(tunnel, world->nodes[A].peer);
	assert_int_equal(peer_of(A)->timers.next_key_tries, 0);
	assert_int_not_equal(*deadline(TIMER_TRY_NEXT_KEY), 0);
	*deadline(TIMER_TRY_NEXT_KEY) = 0;
	expire_try_next_key(tunnel, world->nodes[A].peer);
	assert_int_equal(*deadline(TIMER_TRY_NEXT_KEY), 0);
	assert_int_equal(*deadline(TIMER_ZERO_KEYS), world->now_ns + ZERO_KEYS_AFTER_NS);
}

/* The peer's key was reached: an empty packet proves that we know it, and no handshake is
 * needed. */
TALKING_TEST(key_that_was_reached_is_proved_without_a_handshake)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	unsigned int data = sent(A, MESSAGE_DATA);

	peer_of(A)->timers.next_key_tries = 5;
	peer_of(A)->has_reached[KEY_CURRENT] = true;
	expire_try_next_key(tunnel, world->nodes[A].peer);
	world_settle();
	assert_int_equal(sent(A, MESSAGE_INITIATION), 1);
	assert_int_equal(sent(A, MESSAGE_DATA), data + 1);
	assert_int_equal(*deadline(TIMER_TRY_NEXT_KEY), world->now_ns + SECONDS(1));
}
