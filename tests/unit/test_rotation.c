// SPDX-License-Identifier: Apache-2.0
/*
 * Static keys that rotate while packets fly: the tunnels follow keyd's steps in order, on wires
 * that delay, reorder and lose. Promise 3 (README.md) is tested here packet by packet. The fate of
 * each key is in test_rotation_keys.c.
 */
#include "rotating_tunnels.h"

/* A third node that knows both, and is known to them. */
static int begin_three(void **state)
{
	world_begin(state);
	world->count = 3;
	node_begin(&world->nodes[C], C);
	world_set_clock(world->now_ns);
	tunnel_set_private_key(tunnel_of(C), KEY_CURRENT, &world->nodes[C].private_key);
	for (unsigned int i = A; i <= B; i++) {
		static const char *const prefixes[] = {"10.0.0.0/24", "10.0.1.0/24"};
		uint32_t slot;

		assert_int_equal(tunnel_add_peer(tunnel_of(C), &world->nodes[i].public_key, &slot),
				 0);
		tunnel_set_endpoint(tunnel_of(C), slot, &world->nodes[i].address);
		allow(tunnel_of(C), slot, prefixes[i]);
		assert_int_equal(tunnel_add_peer(tunnel_of(i), &world->nodes[C].public_key, &slot),
				 0);
		tunnel_set_endpoint(tunnel_of(i), slot, &world->nodes[C].address);
		allow(tunnel_of(i), slot, "10.0.2.0/24");
	}
	begin_records();
	return 0;
}

/* -- traffic: numbered packets between each two nodes -- */

static void assert_nothing_was_lost(void)
{
	world_sleep(SECONDS(1));
	for (uint32_t i = 0; i < sequence; i++) {
		unsigned int times = 0;

		for (unsigned int node = 0; node < world->count; node++)
			times += came(node, i);
		assert_int_equal(times, 1);
	}
}

static void talk_until_all_proved(enum key_slot slot, uint64_t patience_ns)
{
	uint64_t end = world->now_ns + patience_ns;
	unsigned int proved;

	do {
		talk_for(10 * NS_PER_MS);
		proved = 0;
		for (unsigned int node = 0; node < world->count; node++)
			proved += is_proved(node, slot);
		assert_true(world->now_ns < end);
	} while (proved < world->count);
}

/* Every node makes the same step, not quite at the same time. */
static void all_make_a_step(void (*step)(unsigned int node), uint64_t skew_ns)
{
	for (unsigned int node = 0; node < world->count; node++) {
		step(node);
		if (skew_ns)
			talk_for(world_random() % skew_ns);
	}
}

static void step_clear(unsigned int node)
{
	clear(node, KEY_PREVIOUS, false);
	publish(node);
}

static void rotate_all(uint64_t skew_ns, uint64_t patience_ns)
{
	all_make_a_step(step_arm, skew_ns);
	talk_until_all_proved(KEY_NEXT, patience_ns);
	all_make_a_step(step_promote, skew_ns);
	talk_for(world_random() % (100 * NS_PER_MS));
	talk_until_all_proved(KEY_CURRENT, patience_ns);
	all_make_a_step(step_clear, skew_ns);
	talk_for(world_random() % (100 * NS_PER_MS));
}

static unsigned int reorder(struct world *w, struct datagram *datagram)
{
	datagram->arrives_ns += world_random() % (20 * NS_PER_MS);
	return 1;
}

ROTATION_TALKING_TEST(rotation_of_both_at_once_loses_no_packet)
{
	world->latency_ns = NS_PER_MS;
	for (unsigned int round = 0; round < 25; round++) {
		uint64_t begin_ns = world->now_ns;

		world->latency_ns = world_random() % (20 * NS_PER_MS);
		rotate_all(round % 3 * 7 * NS_PER_MS, SECONDS(2));
		assert_in_range(world->now_ns - begin_ns, 0, SECONDS(2));
	}
	assert_nothing_was_lost();
}

ROTATION_TALKING_TEST(rotation_on_a_wire_that_reorders_loses_no_packet)
{
	world->on_wire = reorder;
	world->latency_ns = 5 * NS_PER_MS;
	for (unsigned int round = 0; round < 25; round++)
		rotate_all(round % 3 * 7 * NS_PER_MS, SECONDS(7));
	assert_nothing_was_lost();
}

TEST(rotation_of_three_at_once_loses_no_packet, begin_three, world_end)
{
	talk_for(20 * NS_PER_MS);
	for (unsigned int round = 0; round < 10; round++) {
		world->latency_ns = world_random() % (20 * NS_PER_MS);
		rotate_all(round % 3 * 7 * NS_PER_MS, SECONDS(7));
	}
	assert_nothing_was_lost();
}

static unsigned int lose_handshakes(struct world *w, struct datagram *datagram)
{
	bool is_data = get_le32(datagram->bytes) == MESSAGE_DATA && datagram->segment_len > 32;

	datagram->arrives_ns += world_random() % (10 * NS_PER_MS);
	return is_data || world_random() % 100 < 60;
}

ROTATION_TALKING_TEST(rotation_completes_without_packet_loss_though_handshakes_are_lost)
{
	world->on_wire = lose_handshakes;
	for (unsigned int round = 0; round < 4; round++)
		rotate_all(0, SECONDS(95));
	assert_nothing_was_lost();
}

ROTATION_TALKING_TEST(ordinary_rekeying_continues_while_a_next_key_waits_for_long)
{
	world->latency_ns = 5 * NS_PER_MS;
	step_arm(A);
	step_arm(B);
	for (unsigned int second = 0; second < 400; second++) {
		send_between(second % 2, 1 - second % 2);
		world_sleep(SECONDS(1));
	}
	assert_nothing_was_lost();
	assert_true(is_proved(A, KEY_NEXT) && is_proved(B, KEY_NEXT));
}

/* -- who proves what, and when -- */

ROTATION_TALKING_TEST(next_key_of_a_live_peer_is_tried_and_proved_at_once)
{
	world->latency_ns = 10 * NS_PER_MS;
	world_sleep(SECONDS(100)); /* silent, but live */
	step_arm(A);
	assert_false(is_proved(A, KEY_NEXT));
	world_sleep(50 * NS_PER_MS);
	assert_true(is_proved(A, KEY_NEXT));
	assert_true(peer_at(B, A)->has_reached[KEY_NEXT]);
	assert_false(peer_at(B, A)->has_proved[KEY_NEXT]); /* B has none */
}

ROTATION_TALKING_TEST(arming_and_saying_again_send_nothing)
{
	unsigned int sent[2];

	for (unsigned int node = A; node <= B; node++)
		sent[node] = world->nodes[node].transmits;
	(void)arm_next(A);
	world_sleep(SECONDS(2));
	assert_int_equal(world->nodes[A].transmits, sent[A]);
	publish(A);
	world_sleep(SECONDS(8));
	sent[B] = world->nodes[B].transmits;
	publish(A);
	publish(A);
	world_sleep(SECONDS(2));
	assert_int_equal(world->nodes[B].transmits, sent[B]);
}

ROTATION_TALKING_TEST(proof_that_gets_lost_is_given_again_within_seconds)
{
	world->on_wire = lose_keepalives;
	keepalives_to_lose = 2;
	step_arm(A);
	world_sleep(NS_PER_S / 2);
	assert_false(is_proved(A, KEY_NEXT));
	world_sleep(SECONDS(2));
	assert_true(is_proved(A, KEY_NEXT));
}

ROTATION_TALKING_TEST(handshakes_come_from_the_newest_key_that_the_peer_has_proved)
{
	const struct tunnel_state *a = tunnel_of(A)->state;
	uint32_t pair;

	(void)arm_next(A);
	pair = peer_choose_pair(tunnel_of(A), slots[A][B]);
	assert_int_equal(a->pairs[pair].own, KEY_CURRENT);
	publish(A);
	world_sleep(SECONDS(1));
	pair = peer_choose_pair(tunnel_of(A), slots[A][B]);
	assert_int_equal(a->pairs[pair].own, KEY_NEXT);
}

/* A straggler: it never saw the record with the new key. */
ROTATION_TALKING_TEST(peer_that_missed_a_rotation_is_reached_with_the_key_it_knows)
{
	(void)arm_next(A);
	promote(A);
	assert_int_equal(
		tunnel_of(A)->state->pairs[peer_choose_pair(tunnel_of(A), slots[A][B])].own,
		KEY_PREVIOUS);
	for (unsigned int second = 0; second < 400; second++) {
		send_between(second % 2, 1 - second % 2);
		world_sleep(SECONDS(1));
	}
	assert_false(is_proved(A, KEY_CURRENT));
	publish(A); /* it reads again: current is unknown, previous is the known key */
	world_sleep(SECONDS(1));
	assert_true(is_proved(A, KEY_CURRENT));
	assert_nothing_was_lost();
}

ROTATION_TALKING_TEST(peer_that_missed_two_rotations_recovers_with_the_record)
{
	for (unsigned int round = 0; round < 2; round++) {
		(void)arm_next(A);
		promote(A);
	}
	world_sleep(SECONDS(200)); /* what was agreed on has run out */
	send_between(B, A);
	world_sleep(SECONDS(12));
	assert_int_equal(came(A, 0), 0);
	publish(A);
	world_sleep(SECONDS(6));
	send_between(A, B);
	send_between(B, A);
	world_sleep(SECONDS(1));
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(came(A, 2), 1);
	assert_true(is_proved(A, KEY_CURRENT));
}

/* -- idle peers -- */

static unsigned int count_begun_handshakes(unsigned int node)
{
	const struct tunnel_state *state = tunnel_of(node)->state;
	unsigned int count = 0;

	for (uint32_t pair = 0; pair < state->pairs_used_end; pair++)
		count += state->secrets.pairs[pair].state == HANDSHAKE_INITIATION_SENT;
	return count;
}

ROTATION_SILENT_TEST(next_keys_of_idle_peers_are_tried_at_random_within_the_window)
{
	unsigned int buckets[10] = {0}, tried = 0;
	struct tunnel *a = tunnel_of(A);
	uint32_t first = 0;

	for (unsigned int i = 0; i < 500; i++) {
		struct peer_keys keys = {.has_key = {true, true, false}};
		uint32_t slot;

		world_fill_random(NULL, keys.keys, sizeof(keys.keys));
		assert_int_equal(tunnel_add_peer(a, &keys.keys[KEY_CURRENT], &slot), 0);
		tunnel_set_endpoint(a, slot, &(union endpoint){.in4 = {AF_INET, 9, {9}, {0}}});
		tunnel_change_peer_keys(a, slot, &keys, TRY_WITHIN_NS);
		first = i ? first : slot;
		buckets[(a->state->peers[slot].timers.deadline_ns[TIMER_TRY_NEXT_KEY] -
			 world->now_ns) *
			10 / TRY_WITHIN_NS]++;
	}
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 0);
	for (unsigned int i = 0; i < 10; i++)
		assert_in_range(buckets[i], 25, 80);
	world_sleep(SECONDS(10));
	for (unsigned int i = 0; i < 500; i++)
		tried += a->state->peers[first + i].unanswered > 0;
	assert_in_range(tried, 5, 40);
	world_sleep(TRY_WITHIN_NS);
	for (unsigned int i = 0; i < 500; i++)
		assert_true(a->state->peers[first + i].unanswered > 0);
	world_sleep(SECONDS(1000));
	assert_in_range(world->nodes[A].sent[MESSAGE_INITIATION], 500, 3 * 500);
	assert_int_equal(tunnel_next_deadline(a), UINT64_MAX);
	assert_int_equal(count_begun_handshakes(A), 0); /* their secrets are wiped */
}

ROTATION_SILENT_TEST(idle_peers_prove_a_key_without_any_traffic)
{
	step_arm(A);
	world_settle();
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 0);
	world_sleep(TRY_WITHIN_NS + SECONDS(1));
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 1);
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], 0);
	assert_true(is_proved(A, KEY_NEXT));
}

/* A rotation does not wait for them; they prove the key where they find it. */
ROTATION_SILENT_TEST(idle_peers_prove_a_key_that_was_promoted_meanwhile)
{
	step_arm(A);
	world_sleep(SECONDS(1));
	step_promote(A);
	world_sleep(TRY_WITHIN_NS + SECONDS(1));
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 1);
	assert_true(is_proved(A, KEY_CURRENT));
}

ROTATION_SILENT_TEST(idle_peers_prove_a_key_that_they_learn_when_it_is_current)
{
	(void)arm_next(A);
	promote(A);
	publish(A);
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 0);
	world_sleep(TRY_WITHIN_NS + SECONDS(1));
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 1);
	assert_true(is_proved(A, KEY_CURRENT));
}

static unsigned int lose_everything(struct world *w, struct datagram *datagram)
{
	return 0;
}

ROTATION_SILENT_TEST(packet_that_comes_while_a_lost_try_is_under_way_waits_for_one_retry_at_most)
{
	step_arm(A);
	world->on_wire = lose_everything;
	while (!peer_at(B, A)->unanswered)
		world_sleep(NS_PER_S / 10);
	world->on_wire = NULL;
	peer_at(B, A)->timers.next_key_tries = 0; /* it was the last one */
	world_sleep(SECONDS(1));
	send_between(B, A);
	world_sleep(SECONDS(5));
	assert_int_equal(came(A, 0), 1);
}

/* -- records that are wrong -- */

static void publish_false_next(unsigned int node)
{
	records[node].has_key[KEY_NEXT] = true;
	world_fill_random(NULL, &records[node].keys[KEY_NEXT], KEY_LEN);
	publish(node);
}

ROTATION_TALKING_TEST(next_key_that_does_not_answer_costs_no_session_a_packet)
{
	publish_false_next(B);
	for (unsigned int second = 0; second < 400; second++) {
		send_between(second % 2, 1 - second % 2);
		world_sleep(SECONDS(1));
	}
	assert_nothing_was_lost();
	assert_false(peer_at(A, B)->has_reached[KEY_NEXT]);
}

ROTATION_SILENT_TEST(next_key_that_does_not_answer_delays_the_first_packet_by_one_try)
{
	publish_false_next(B);
	for (unsigned int i = 0; i < 60; i++) { /* impatient traffic resets no alternation */
		send_between(A, B);
		assert_in_range(count_begun_handshakes(A), 0, 1);
		world_sleep(NS_PER_S / 10);
	}
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(count_begun_handshakes(A), 0);
	assert_nothing_was_lost();
}

ROTATION_TALKING_TEST(peer_that_lost_its_keys_is_talked_to_at_once)
{
	uint32_t index = current_of(A)->local_index;
	struct session_keys keys =
		tunnel_of(A)->state->secrets.session_keys[peer_at(A, B)->current];

	make_key(&world->nodes[B]);
	tunnel_set_private_key(tunnel_of(B), KEY_CURRENT, &world->nodes[B].private_key);
	session_remove_all(tunnel_of(B), slots[B][A]);
	records[B] = (struct peer_keys){.has_key[KEY_CURRENT] = true,
					.keys[KEY_CURRENT] = world->nodes[B].public_key};
	publish(B);
	assert_null(index_find(tunnel_of(A)->state, index));
	assert_false(state_holds(A, keys.send, KEY_LEN));
	assert_false(is_proved(A, KEY_CURRENT)); /* it forgot what it knew of us */
	world_settle();
	send_between(A, B);
	send_between(B, A);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(came(A, 1), 1);
}
