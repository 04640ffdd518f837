// SPDX-License-Identifier: Apache-2.0
/*
 * Static keys that rotate while packets fly: what the tunnels make of keyd's steps, in their order, on wires that delay,
 * reorder and lose. Promise 3 is tested here packet by packet.
 */
#include "world.h"

#define SECONDS(n)    ((n)*NS_PER_S)
#define TRY_WITHIN_NS SECONDS(300)

/* What a node's record says. */
static struct peer_keys records[NODES_MAX];
static uint32_t slots[NODES_MAX][NODES_MAX]; /* of a peer, by whose table and which node */
static uint32_t sequence;

static struct tunnel *tunnel_of(unsigned int node)
{
	return &world->nodes[node].tunnel;
}

static struct peer *peer_at(unsigned int node, unsigned int other)
{
	return &tunnel_of(node)->state->peers[slots[node][other]];
}

static void begin_records(void)
{
	sequence = 0;
	memset(records, 0, sizeof(records));
	for (unsigned int node = 0; node < world->count; node++) {
		records[node].has_key[KEY_CURRENT] = true;
		records[node].keys[KEY_CURRENT] = world->nodes[node].public_key;
		for (unsigned int other = 0; other < world->count; other++)
			slots[node][other] =
				tunnel_find_peer(tunnel_of(node), &world->nodes[other].public_key);
	}
}

static int begin_silent(void **state)
{
	world_begin(state);
	begin_records();
	return 0;
}

static int begin_talking(void **state)
{
	world_begin_talking(state);
	begin_records();
	return 0;
}

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

/* -- keyd's steps -- */

static void publish_to(unsigned int node, unsigned int other)
{
	assert_int_equal(
		tunnel_check_peer_keys(tunnel_of(other), slots[other][node], &records[node]), 0);
	tunnel_change_peer_keys(tunnel_of(other), slots[other][node], &records[node],
				TRY_WITHIN_NS);
	tunnel_flush(tunnel_of(other));
}

static void publish(unsigned int node)
{
	for (unsigned int other = 0; other < world->count; other++)
		if (other != node)
			publish_to(node, other);
}

/* The private key, for those who search for it. */
static struct private_key arm_next(unsigned int node)
{
	struct private_key key;

	world_fill_random(NULL, key.bytes, KEY_LEN);
	tunnel_set_private_key(tunnel_of(node), KEY_NEXT, &key);
	records[node].has_key[KEY_NEXT] = true;
	crypto_make_pair(key.bytes, records[node].keys[KEY_NEXT].bytes);
	return key;
}

static void promote(unsigned int node)
{
	struct peer_keys *record = &records[node];

	assert_int_equal(tunnel_promote_identity(tunnel_of(node)), 0);
	record->keys[KEY_PREVIOUS] = record->keys[KEY_CURRENT];
	record->keys[KEY_CURRENT] = record->keys[KEY_NEXT];
	record->has_key[KEY_PREVIOUS] = true;
	record->has_key[KEY_NEXT] = false;
	tunnel_flush(tunnel_of(node));
}

static void clear(unsigned int node, enum key_slot slot, bool ends_sessions)
{
	tunnel_clear_identity(tunnel_of(node), slot, ends_sessions);
	records[node].has_key[slot] = false;
	tunnel_flush(tunnel_of(node));
}

static bool is_proved(unsigned int node, enum key_slot slot)
{
	for (unsigned int other = 0; other < world->count; other++)
		if (other != node && !peer_at(node, other)->has_proved[slot])
			return false;
	return true;
}

/* -- traffic: numbered packets between each two nodes -- */

static void send_between(unsigned int from, unsigned int to)
{
	static const struct virtio_net_hdr plain;
	uint8_t packet[100];

	build_inner(packet, from, 4, sizeof(packet), sequence++);
	packet[14] = (uint8_t)from;
	packet[18] = (uint8_t)to;
	tunnel_send(tunnel_of(from), &plain, packet, sizeof(packet));
	tunnel_flush(tunnel_of(from));
}

/* One packet between each two a millisecond. */
static void talk_for(uint64_t duration_ns)
{
	for (uint64_t end = world->now_ns + duration_ns; world->now_ns < end;) {
		for (unsigned int from = 0; from < world->count; from++)
			for (unsigned int to = 0; to < world->count; to++)
				if (from != to)
					send_between(from, to);
		world_sleep(NS_PER_MS);
	}
}

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

static void step_arm(unsigned int node)
{
	(void)arm_next(node);
	publish(node);
}

static void step_promote(unsigned int node)
{
	promote(node);
	publish(node);
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

static void rotation_of_both_at_once_loses_no_packet(void **state)
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

static void rotation_on_a_wire_that_reorders_loses_no_packet(void **state)
{
	world->on_wire = reorder;
	world->latency_ns = 5 * NS_PER_MS;
	for (unsigned int round = 0; round < 25; round++)
		rotate_all(round % 3 * 7 * NS_PER_MS, SECONDS(7));
	assert_nothing_was_lost();
}

static void rotation_of_three_at_once_loses_no_packet(void **state)
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

static void rotation_whose_handshakes_get_lost_comes_to_its_end_and_loses_no_packet(void **state)
{
	world->on_wire = lose_handshakes;
	for (unsigned int round = 0; round < 4; round++)
		rotate_all(0, SECONDS(95));
	assert_nothing_was_lost();
}

static void ordinary_rekeying_goes_on_while_a_next_key_stands_for_long(void **state)
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

static void next_key_of_a_live_peer_is_tried_and_proved_at_once(void **state)
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

static void arming_and_saying_again_send_nothing(void **state)
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

static unsigned int keepalives_to_lose;

static unsigned int lose_keepalives(struct world *w, struct datagram *datagram)
{
	if (datagram->len != 32 || !keepalives_to_lose)
		return 1;
	keepalives_to_lose--;
	return 0;
}

static void proof_that_gets_lost_is_given_again_within_seconds(void **state)
{
	world->on_wire = lose_keepalives;
	keepalives_to_lose = 2;
	step_arm(A);
	world_sleep(NS_PER_S / 2);
	assert_false(is_proved(A, KEY_NEXT));
	world_sleep(SECONDS(2));
	assert_true(is_proved(A, KEY_NEXT));
}

static void handshakes_come_from_the_newest_key_that_the_peer_has_proved(void **state)
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
static void peer_that_missed_a_rotation_is_reached_with_the_key_it_knows(void **state)
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
	publish(A); /* it reads again: current is unknown, previous is what it knew */
	world_sleep(SECONDS(1));
	assert_true(is_proved(A, KEY_CURRENT));
	assert_nothing_was_lost();
}

static void peer_that_missed_two_rotations_recovers_with_the_record(void **state)
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

static void next_keys_of_idle_peers_are_tried_at_random_within_the_window(void **state)
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

static void idle_peers_prove_a_key_without_any_traffic(void **state)
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
static void idle_peers_prove_a_key_that_was_promoted_meanwhile(void **state)
{
	step_arm(A);
	world_sleep(SECONDS(1));
	step_promote(A);
	world_sleep(TRY_WITHIN_NS + SECONDS(1));
	assert_int_equal(world->nodes[B].sent[MESSAGE_INITIATION], 1);
	assert_true(is_proved(A, KEY_CURRENT));
}

static void idle_peers_prove_a_key_that_they_learn_when_it_is_current(void **state)
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

static void
packet_that_comes_while_a_lost_try_is_under_way_waits_for_one_retry_at_most(void **state)
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

static void next_key_that_does_not_answer_costs_no_session_a_packet(void **state)
{
	publish_false_next(B);
	for (unsigned int second = 0; second < 400; second++) {
		send_between(second % 2, 1 - second % 2);
		world_sleep(SECONDS(1));
	}
	assert_nothing_was_lost();
	assert_false(peer_at(A, B)->has_reached[KEY_NEXT]);
}

static void next_key_that_does_not_answer_delays_the_first_packet_by_one_try(void **state)
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

static void peer_that_lost_its_keys_is_talked_to_at_once(void **state)
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

/* -- promotion and clearing -- */

static void sessions_outlive_promotion_and_clearing(void **state)
{
	uint32_t index = current_of(A)->local_index;

	world->on_wire = lose_keepalives;
	keepalives_to_lose = 0;
	(void)arm_next(A);
	promote(A);
	clear(A, KEY_PREVIOUS, false);
	assert_int_equal(current_of(A)->local_index, index);
	send_between(A, B);
	send_between(B, A);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(came(A, 1), 1);
}

static void fresh_session_is_asked_for_only_where_the_newest_is_not_under_the_new_key(void **state)
{
	unsigned int initiations;

	step_arm(A);
	world_sleep(SECONDS(5));
	initiations = world->nodes[A].sent[MESSAGE_INITIATION];
	step_promote(A); /* B's try has made a session under it */
	world_sleep(SECONDS(8));
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations);

	step_arm(A);
	world_sleep(SECONDS(6));
	/* now one more under the old key, by hand */
	memset(peer_at(A, B)->has_proved, 0, sizeof(peer_at(A, B)->has_proved));
	peer_at(A, B)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(tunnel_of(A), slots[A][B], false));
	tunnel_flush(tunnel_of(A));
	world_settle();
	peer_at(A, B)->has_proved[KEY_NEXT] = true;
	initiations = world->nodes[A].sent[MESSAGE_INITIATION];
	promote(A);
	world_settle();
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations);
	world_sleep(SECONDS(6));
	assert_int_equal(world->nodes[A].sent[MESSAGE_INITIATION], initiations + 1);
	assert_int_equal(tunnel_of(A)->state->pairs[current_of(A)->pair].own, KEY_CURRENT);
}

/* B initiates to the key it has of A. */
static void initiate_from_b(void)
{
	peer_at(B, A)->timers.last_initiation_sent_ns = 0;
	assert_true(send_initiation(tunnel_of(B), slots[B][A], false));
	tunnel_flush(tunnel_of(B));
	world_settle();
}

static void previous_key_takes_handshakes_until_it_is_cleared(void **state)
{
	unsigned int responses;

	(void)arm_next(A);
	promote(A);
	world_sleep(SECONDS(1));
	responses = world->nodes[A].sent[MESSAGE_RESPONSE];
	initiate_from_b();
	assert_int_equal(world->nodes[A].sent[MESSAGE_RESPONSE], responses + 1);
	assert_true(peer_at(A, B)->has_proved[KEY_PREVIOUS]);
	clear(A, KEY_PREVIOUS, false);
	assert_false(peer_at(A, B)->has_proved[KEY_PREVIOUS]);
	world_sleep(SECONDS(1));
	initiate_from_b();
	assert_int_equal(world->nodes[A].sent[MESSAGE_RESPONSE], responses + 1);
	assert_int_equal(drops(A, DROP_BAD_MAC1), 1);
}

static void response_to_a_key_that_moved_meanwhile_is_taken(void **state)
{
	world->latency_ns = 50 * NS_PER_MS;
	(void)arm_next(A);
	send_between(A, B); /* an initiation under the current key */
	world_sleep(60 * NS_PER_MS);
	promote(A);
	world_sleep(SECONDS(1));
	assert_int_equal(came(B, 0), 1);
	assert_int_equal(all_drops(A), 0);
}

static void revocation_ends_the_sessions_of_that_key_alone(void **state)
{
	uint32_t old = current_of(A)->local_index;

	step_arm(A);
	world_sleep(SECONDS(1));
	step_promote(A);
	assert_non_null(index_find(tunnel_of(A)->state, old));
	clear(A, KEY_PREVIOUS, true);
	assert_null(index_find(tunnel_of(A)->state, old));
	assert_int_not_equal(peer_at(A, B)->current, NO_SESSION);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
}

static void nothing_of_a_retired_key_is_left_in_memory(void **state)
{
	struct private_key old, next = arm_next(A);
	uint8_t shared[KEY_LEN];
	const struct tunnel *a = tunnel_of(A);
	uint32_t pair = pair_number(A);

	old = a->state->secrets.identities[KEY_CURRENT].private_key;
	memcpy(shared, a->state->secrets.pairs[pair].static_static, KEY_LEN);
	publish(A);
	talk_for(20 * NS_PER_MS);
	promote(A);
	publish(A);
	talk_for(20 * NS_PER_MS);
	assert_true(state_holds(A, old.bytes, KEY_LEN));
	assert_true(state_holds(A, shared, KEY_LEN));
	clear(A, KEY_PREVIOUS, false);
	assert_false(state_holds(A, old.bytes, KEY_LEN));
	assert_false(state_holds(A, shared, KEY_LEN));
	assert_null(memmem(a->outbox, sizeof(*a->outbox), old.bytes, KEY_LEN));
	assert_null(memmem(a->outbox, sizeof(*a->outbox), shared, KEY_LEN));

	next = a->state->secrets.identities[KEY_CURRENT].private_key;
	(void)arm_next(A);
	promote(A);
	assert_true(state_holds(A, next.bytes, KEY_LEN));
	(void)arm_next(A);
	promote(A); /* wipes what was previous */
	assert_false(state_holds(A, next.bytes, KEY_LEN));

	next = arm_next(A);
	next.bytes[0] &= 248;
	next.bytes[31] = (uint8_t)((next.bytes[31] & 127) | 64);
	assert_true(state_holds(A, next.bytes, KEY_LEN));
	clear(A, KEY_NEXT, false);
	assert_false(state_holds(A, next.bytes, KEY_LEN));
}

/* -- what stays with a pair -- */

static struct message_initiation recorded;

static unsigned int record_initiation(struct world *w, struct datagram *datagram)
{
	if (datagram->to == B && get_le32(datagram->bytes) == MESSAGE_INITIATION)
		memcpy(&recorded, datagram->bytes, sizeof(recorded));
	return 1;
}

static void assert_replay_is_refused(void)
{
	struct message_initiation copy = recorded;
	uint64_t before = drops(B, DROP_HANDSHAKE_REPLAY);

	world_sleep(SECONDS(1));
	receive_bytes(&world->nodes[B], &world->nodes[A].address, (uint8_t *)&copy, sizeof(copy));
	assert_int_equal(drops(B, DROP_HANDSHAKE_REPLAY), before + 1);
}

static void recorded_initiation_is_refused_wherever_its_keys_have_gone(void **state)
{
	struct peer_keys with_both, with_current_alone;

	world->on_wire = record_initiation;
	send_between(A, B);
	world_settle();
	assert_replay_is_refused();
	(void)arm_next(B);
	promote(B); /* ours moved */
	assert_replay_is_refused();
	(void)arm_next(A);
	promote(A);
	world->on_wire = NULL;
	publish(A); /* theirs moved */
	world_sleep(SECONDS(1));
	assert_replay_is_refused();
	with_both = with_current_alone = records[A];
	with_current_alone.has_key[KEY_PREVIOUS] = false;
	records[A] = with_current_alone;
	publish(A);
	records[A] = with_both;
	publish(A); /* theirs went, and is there again */
	assert_replay_is_refused();
}

static void set_preshared(unsigned int node, enum key_slot own, enum key_slot remote, uint8_t byte)
{
	struct preshared_key key;

	memset(key.bytes, byte, sizeof(key.bytes));
	tunnel_set_preshared(tunnel_of(node), slots[node][1 - node], own, remote, &key);
}

static void preshared_keys_are_those_of_the_statics_that_are_used(void **state)
{
	set_preshared(A, KEY_CURRENT, KEY_CURRENT, 1);
	set_preshared(B, KEY_CURRENT, KEY_CURRENT, 1);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	(void)arm_next(A);
	set_preshared(A, KEY_NEXT, KEY_CURRENT, 2);
	publish_to(A, B); /* tries at once, and its keyd has not told it the secret yet */
	world_settle();
	assert_false(peer_at(B, A)->has_reached[KEY_NEXT]);
	assert_int_equal(drops(B, DROP_BAD_HANDSHAKE), 1);
	set_preshared(B, KEY_CURRENT, KEY_NEXT, 2);
	world_sleep(SECONDS(6));
	assert_true(is_proved(A, KEY_NEXT));
	promote(A);
	publish(A); /* without a word about secrets: they went along */
	world_sleep(SECONDS(6));
	initiate_from_b();
	assert_true(is_proved(A, KEY_CURRENT));
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE) + drops(B, DROP_BAD_HANDSHAKE), 1);
}

static void set_alternate(unsigned int node, uint8_t byte)
{
	struct preshared_key key;

	memset(key.bytes, byte, sizeof(key.bytes));
	for (enum key_slot own = 0; own < KEY_SLOTS; own++)
		for (enum key_slot remote = 0; remote < KEY_SLOTS; remote++)
			tunnel_set_alternate(tunnel_of(node), slots[node][1 - node], own, remote,
					     &key);
}

/* Both hold the old and the new secret, and only one of them knows that yet: either may begin. */
static void handshakes_succeed_while_only_one_side_has_gone_over_to_a_new_secret(void **state)
{
	set_preshared(A, KEY_CURRENT, KEY_CURRENT, 2);
	set_alternate(A, 1);
	set_preshared(B, KEY_CURRENT, KEY_CURRENT, 1);
	set_alternate(B, 2);
	send_between(A, B);
	world_settle();
	assert_int_equal(came(B, 0), 1);
	world_sleep(SECONDS(200)); /* without a session */
	send_between(B, A);
	world_settle();
	assert_int_equal(came(A, 1), 1);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE) + drops(B, DROP_BAD_HANDSHAKE), 0);
	tunnel_set_alternate(tunnel_of(A), slots[A][B], KEY_CURRENT, KEY_CURRENT, NULL);
	world_sleep(SECONDS(200));
	send_between(A, B); /* it dropped too early what the other still uses */
	world_settle();
	assert_int_equal(came(B, 2), 0);
	assert_int_equal(drops(A, DROP_BAD_HANDSHAKE), 1);
}

static void pairs_are_all_given_back(void **state)
{
	const struct tunnel_state *a = tunnel_of(A)->state;

	assert_int_equal(a->pair_count, 1);
	(void)arm_next(A);
	assert_int_equal(a->pair_count, 2);
	step_arm(B);
	assert_int_equal(a->pair_count, 4);
	promote(A);
	step_promote(B);
	assert_int_equal(a->pair_count, 4);
	step_arm(B);
	(void)arm_next(A);
	assert_int_equal(a->pair_count, 9);
	clear(A, KEY_NEXT, false);
	clear(A, KEY_PREVIOUS, false);
	records[B].has_key[KEY_NEXT] = records[B].has_key[KEY_PREVIOUS] = false;
	publish(B);
	assert_int_equal(a->pair_count, 1);
	tunnel_remove_peer(tunnel_of(A), slots[A][B]);
	assert_int_equal(a->pair_count, 0);
	assert_int_equal(a->peer_key_count, 0);
}

static void keys_beyond_the_room_for_pairs_are_refused(void **state)
{
	struct tunnel *a = tunnel_of(A);
	struct peer_keys keys = {.has_key = {true, true, false}};
	uint32_t slot = 0;

	while (a->state->peer_count < PEERS_MAX) {
		world_fill_random(NULL, keys.keys, sizeof(keys.keys));
		assert_int_equal(tunnel_add_peer(a, &keys.keys[KEY_CURRENT], &slot), 0);
		if (a->state->peer_key_count < PAIRS_MAX / 2 - (PEERS_MAX - a->state->peer_count))
			tunnel_change_peer_keys(a, slot, &keys, TRY_WITHIN_NS);
	}
	assert_true(tunnel_has_room_for_identity(a, KEY_NEXT));
	(void)arm_next(A);
	assert_int_equal(pair_room(a->state), 0);
	assert_false(tunnel_has_room_for_identity(a, KEY_PREVIOUS));
	world_fill_random(NULL, &keys.keys[KEY_NEXT], KEY_LEN);
	assert_int_equal(tunnel_check_peer_keys(a, slot, &keys), -ENOSPC);
	clear(A, KEY_NEXT, false);
	assert_int_equal(tunnel_check_peer_keys(a, slot, &keys), 0);
}

#define TALKING(test) cmocka_unit_test_setup_teardown(test, begin_talking, world_end)
#define SILENT(test)  cmocka_unit_test_setup_teardown(test, begin_silent, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALKING(rotation_of_both_at_once_loses_no_packet),
		TALKING(rotation_on_a_wire_that_reorders_loses_no_packet),
		cmocka_unit_test_setup_teardown(rotation_of_three_at_once_loses_no_packet,
						begin_three, world_end),
		TALKING(rotation_whose_handshakes_get_lost_comes_to_its_end_and_loses_no_packet),
		TALKING(ordinary_rekeying_goes_on_while_a_next_key_stands_for_long),
		TALKING(next_key_of_a_live_peer_is_tried_and_proved_at_once),
		TALKING(arming_and_saying_again_send_nothing),
		TALKING(proof_that_gets_lost_is_given_again_within_seconds),
		TALKING(handshakes_come_from_the_newest_key_that_the_peer_has_proved),
		TALKING(peer_that_missed_a_rotation_is_reached_with_the_key_it_knows),
		TALKING(peer_that_missed_two_rotations_recovers_with_the_record),
		SILENT(next_keys_of_idle_peers_are_tried_at_random_within_the_window),
		SILENT(idle_peers_prove_a_key_without_any_traffic),
		SILENT(idle_peers_prove_a_key_that_was_promoted_meanwhile),
		SILENT(idle_peers_prove_a_key_that_they_learn_when_it_is_current),
		SILENT(packet_that_comes_while_a_lost_try_is_under_way_waits_for_one_retry_at_most),
		TALKING(next_key_that_does_not_answer_costs_no_session_a_packet),
		SILENT(next_key_that_does_not_answer_delays_the_first_packet_by_one_try),
		TALKING(peer_that_lost_its_keys_is_talked_to_at_once),
		TALKING(sessions_outlive_promotion_and_clearing),
		TALKING(fresh_session_is_asked_for_only_where_the_newest_is_not_under_the_new_key),
		TALKING(previous_key_takes_handshakes_until_it_is_cleared),
		SILENT(response_to_a_key_that_moved_meanwhile_is_taken),
		TALKING(revocation_ends_the_sessions_of_that_key_alone),
		TALKING(nothing_of_a_retired_key_is_left_in_memory),
		SILENT(recorded_initiation_is_refused_wherever_its_keys_have_gone),
		SILENT(preshared_keys_are_those_of_the_statics_that_are_used),
		SILENT(handshakes_succeed_while_only_one_side_has_gone_over_to_a_new_secret),
		SILENT(pairs_are_all_given_back),
		SILENT(keys_beyond_the_room_for_pairs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
