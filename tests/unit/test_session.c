// SPDX-License-Identifier: Apache-2.0
/* How long a session may be used, and which of a peer's sessions is which. */
#include "world.h"

#define BIRTH_NS (5000 * NS_PER_S)

static const struct session fresh_initiator = {
	.is_used = true, .is_initiator = true, .birth_ns = BIRTH_NS};
static const struct session fresh_responder = {.is_used = true, .birth_ns = BIRTH_NS};

TEST(session_sends_and_receives_until_180_seconds)
{
	assert_true(session_can_send(&fresh_initiator, BIRTH_NS));
	assert_true(session_can_send(&fresh_initiator, BIRTH_NS + 180 * NS_PER_S - 1));
	assert_true(session_can_receive(&fresh_responder, BIRTH_NS + 180 * NS_PER_S - 1));
	assert_false(session_can_send(&fresh_initiator, BIRTH_NS + 180 * NS_PER_S));
	assert_false(session_can_receive(&fresh_responder, BIRTH_NS + 180 * NS_PER_S));
}

TEST(session_ends_at_reject_after_messages)
{
	struct session session = fresh_initiator;

	session.send_counter = session.replay.greatest = UINT64_MAX - 8128 - 2;
	assert_true(session_can_send(&session, BIRTH_NS));
	assert_true(session_can_receive(&session, BIRTH_NS));
	session.send_counter = session.replay.greatest = UINT64_MAX - 8128 - 1;
	assert_false(session_can_send(&session, BIRTH_NS));
	assert_false(session_can_receive(&session, BIRTH_NS));
}

TEST(session_of_the_initiator_alone_wants_rekey_at_120_seconds)
{
	assert_false(
		session_wants_rekey_after_send(&fresh_initiator, BIRTH_NS + 120 * NS_PER_S - 1));
	assert_true(session_wants_rekey_after_send(&fresh_initiator, BIRTH_NS + 120 * NS_PER_S));
	assert_false(session_wants_rekey_after_send(&fresh_responder, BIRTH_NS + 179 * NS_PER_S));
}

TEST(session_wants_rekey_after_2_to_the_60_messages_in_both_roles)
{
	struct session session = fresh_responder;

	session.send_counter = 1ULL << 60;
	assert_false(session_wants_rekey_after_send(&session, BIRTH_NS));
	session.send_counter++;
	assert_true(session_wants_rekey_after_send(&session, BIRTH_NS));
}

TEST(session_of_a_receiving_initiator_wants_rekey_at_165_seconds)
{
	assert_false(
		session_wants_rekey_after_receive(&fresh_initiator, BIRTH_NS + 165 * NS_PER_S - 1));
	assert_true(session_wants_rekey_after_receive(&fresh_initiator, BIRTH_NS + 165 * NS_PER_S));
	assert_false(
		session_wants_rekey_after_receive(&fresh_responder, BIRTH_NS + 179 * NS_PER_S));
}

TEST(session_that_is_retired_receives_only_and_asks_for_nothing)
{
	struct session session = fresh_initiator;

	session.is_retired = true;
	assert_false(session_can_send(&session, BIRTH_NS));
	assert_true(session_can_receive(&session, BIRTH_NS));
	assert_false(session_wants_rekey_after_send(&session, BIRTH_NS + 130 * NS_PER_S));
	assert_false(session_wants_rekey_after_receive(&session, BIRTH_NS + 170 * NS_PER_S));
}

/* -- the slots, against the rules written out once more -- */

/* Puts the peer's pair where a finished handshake leaves it. */
static uint32_t finish_handshake(bool is_initiator)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	uint32_t index = index_add(tunnel, INDEX_HANDSHAKE, pair_number(A));

	pair_set_handshake_index(tunnel, pair_number(A), index);
	world_fill_random(NULL, pair_of(A)->chaining_key, HASH_LEN);
	pair_of(A)->state = is_initiator ? HANDSHAKE_RESPONSE_CONSUMED : HANDSHAKE_RESPONSE_SENT;
	pair_of(A)->local_index = index;
	pair_of(A)->remote_index = ~index;
	return index;
}

/* Sessions by their index; 0: none. */
struct slots {
	uint32_t next, current, previous, former;
};

static uint32_t index_at(uint32_t slot)
{
	return slot == NO_SESSION ? 0 : world->nodes[A].tunnel.state->sessions[slot].local_index;
}

static void assert_slots(const struct slots *expected)
{
	const struct tunnel_state *state = world->nodes[A].tunnel.state;
	const struct peer *peer = peer_of(A);
	unsigned int used = 0, wanted = !!expected->next + !!expected->current +
					!!expected->previous + !!expected->former;

	assert_int_equal(index_at(peer->next), expected->next);
	assert_int_equal(index_at(peer->current), expected->current);
	assert_int_equal(index_at(peer->previous), expected->previous);
	assert_int_equal(index_at(peer->former), expected->former);
	for (uint32_t slot = 0; slot < state->sessions_used_end; slot++) {
		used += state->sessions[slot].is_used;
		if (!state->sessions[slot].is_used)
			assert_true(
				sodium_is_zero((const uint8_t *)&state->secrets.session_keys[slot],
					       sizeof(state->secrets.session_keys[slot])));
	}
	assert_int_equal(used, wanted);
	assert_in_range(state->sessions_used_end, 0, SESSIONS_PER_PEER); /* slots are used again */
}

static void put_away(struct slots *model, uint32_t index)
{
	if (index)
		model->former = index;
}

static void begin_as_initiator(struct slots *model)
{
	uint32_t index = finish_handshake(true);

	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	put_away(model, model->previous);
	if (model->next)
		put_away(model, model->current);
	model->previous = model->next ? model->next : model->current;
	model->next = 0;
	model->current = index;
}

static void begin_as_responder(struct slots *model)
{
	uint32_t index = finish_handshake(false);

	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	put_away(model, model->next);
	model->next = index;
}

static void receive_on(struct slots *model, uint32_t slot)
{
	bool is_next = slot != NO_SESSION && slot == peer_of(A)->next;

	if (slot == NO_SESSION)
		return;
	assert_int_equal(session_confirm(&world->nodes[A].tunnel, slot), is_next);
	if (!is_next)
		return;
	put_away(model, model->previous);
	*model = (struct slots){0, model->next, model->current, model->former};
}

SILENT_TEST(session_slots_follow_the_rules_through_any_sequence)
{
	struct slots model = {0};

	for (unsigned int step = 0; step < 20000; step++) {
		switch (world_random() % 6) {
		case 0:
			begin_as_initiator(&model);
			break;
		case 1:
			begin_as_responder(&model);
			break;
		case 2:
			receive_on(&model, peer_of(A)->current);
			break;
		case 3:
			receive_on(&model, peer_of(A)->previous);
			break;
		default:
			receive_on(&model, peer_of(A)->next);
			break;
		}
		assert_slots(&model);
	}
	session_remove_all(&world->nodes[A].tunnel, world->nodes[A].peer);
	assert_slots(&(struct slots){0});
}

SILENT_TEST(session_that_can_receive_no_more_is_not_kept)
{
	uint32_t first = finish_handshake(true), second, third;

	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	world_set_clock(world->now_ns + 100 * NS_PER_S);
	second = finish_handshake(true);
	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	world_set_clock(world->now_ns + 100 * NS_PER_S);
	third = finish_handshake(true);
	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	assert_slots(&(struct slots){.current = third, .previous = second});
	assert_null(index_find(world->nodes[A].tunnel.state, first));
}

SILENT_TEST(sessions_of_one_own_key_end_alone)
{
	struct tunnel *tunnel = &world->nodes[A].tunnel;
	struct private_key key;
	uint32_t current = finish_handshake(true);

	assert_true(session_begin(tunnel, pair_number(A)));
	world_fill_random(NULL, key.bytes, KEY_LEN);
	tunnel_set_private_key(tunnel, KEY_NEXT, &key);
	session_remove_own(tunnel, world->nodes[A].peer, KEY_NEXT);
	assert_slots(&(struct slots){.current = current});
	session_remove_keyless(tunnel, world->nodes[A].peer);
	assert_slots(&(struct slots){.current = current});
	session_forget_pair(tunnel, pair_number(A));
	session_remove_own(tunnel, world->nodes[A].peer, KEY_CURRENT);
	assert_slots(&(struct slots){.current = current});
	session_remove_keyless(tunnel, world->nodes[A].peer);
	assert_slots(&(struct slots){0});
}

SILENT_TEST(session_begins_only_from_a_finished_handshake)
{
	for (enum handshake_state at = HANDSHAKE_NONE; at <= HANDSHAKE_INITIATION_CONSUMED; at++) {
		finish_handshake(true);
		pair_of(A)->state = at;
		assert_false(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	}
	assert_int_equal(peer_of(A)->current, NO_SESSION);
	assert_int_equal(peer_of(A)->next, NO_SESSION);
}

SILENT_TEST(session_takes_over_the_index_of_its_handshake)
{
	uint32_t index = finish_handshake(true);
	const struct index_entry *entry;

	assert_true(session_begin(&world->nodes[A].tunnel, pair_number(A)));
	entry = index_find(world->nodes[A].tunnel.state, index);
	assert_non_null(entry);
	assert_int_equal(entry->kind, INDEX_SESSION);
	assert_int_equal(entry->owner, peer_of(A)->current);
	assert_int_equal(handshake_of(A)->handshake_index, 0);
	assert_int_equal(current_of(A)->remote_index, ~index);
	session_remove_all(&world->nodes[A].tunnel, world->nodes[A].peer);
	assert_null(index_find(world->nodes[A].tunnel.state, index));
}

/* watching_seal fails the test for a key of zeros. */
TALKING_TEST(session_that_ends_has_its_last_packets_sealed_before)
{
	send_inner(A, 4, 100, 1);
	send_inner(A, 4, 100, 2);
	session_remove_all(&world->nodes[A].tunnel, world->nodes[A].peer);
	world_settle();
	assert_int_equal(came(B, 1), 1);
	assert_int_equal(came(B, 2), 1);
}
