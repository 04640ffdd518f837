// SPDX-License-Identifier: Apache-2.0
/*
 * How long a session may be used (paper, 6.1, 6.2) and which of a peer's sessions is which (paper, 6.3; the exact rules
 * of promotion are those of the Linux kernel). A key that leaves its slot is wiped in the same step.
 */
#include "session.h"

#include "crypto.h"
#include "index.h"
#include "outbox.h"
#include "tunnel.h"

#define LAST_MINUTE_NS (REJECT_AFTER_TIME_NS - KEEPALIVE_TIMEOUT_NS - REKEY_TIMEOUT_NS)

static uint64_t age_ns(const struct session *session, uint64_t now_ns)
{
	return now_ns - session->birth_ns;
}

bool session_can_send(const struct session *session, uint64_t now_ns)
{
	return !session->is_retired && session->send_counter < REJECT_AFTER_MESSAGES &&
	       age_ns(session, now_ns) < REJECT_AFTER_TIME_NS;
}

bool session_can_receive(const struct session *session, uint64_t now_ns)
{
	return session->replay.greatest < REJECT_AFTER_MESSAGES &&
	       age_ns(session, now_ns) < REJECT_AFTER_TIME_NS;
}

bool session_wants_rekey_after_send(const struct session *session, uint64_t now_ns)
{
	if (session->is_retired)
		return false;
	return session->send_counter > REKEY_AFTER_MESSAGES ||
	       (session->is_initiator && age_ns(session, now_ns) >= REKEY_AFTER_TIME_NS);
}

bool session_wants_rekey_after_receive(const struct session *session, uint64_t now_ns)
{
	return !session->is_retired && session->is_initiator &&
	       age_ns(session, now_ns) >= LAST_MINUTE_NS;
}

/* -- the pool -- */

static uint32_t take_slot(struct tunnel_state *state)
{
	uint32_t slot = state->session_free;

	if (slot != NO_SESSION) {
		state->session_free = state->sessions[slot].next_free;
		return slot;
	}
	assert(state->sessions_used_end <
	       SESSIONS_MAX); /* SESSIONS_PER_PEER for each: it cannot run out */
	return state->sessions_used_end++;
}

/* Empties the place that names a session. */
static void drop(struct tunnel *tunnel, uint32_t *place)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t slot = *place;

	*place = NO_SESSION;
	if (slot == NO_SESSION)
		return;
	outbox_settle_session(tunnel, slot);
	index_remove(state, state->sessions[slot].local_index);
	crypto_wipe(&state->secrets.session_keys[slot], sizeof(state->secrets.session_keys[slot]));
	state->sessions[slot] = (struct session){.next_free = state->session_free};
	state->session_free = slot;
}

static void move(struct tunnel *tunnel, uint32_t *to, uint32_t *from)
{
	drop(tunnel, to);
	*to = *from;
	*from = NO_SESSION;
}

/* The peer sends on one session at a time: on the one it sent on last, or on one that is new. */
static uint64_t last_use(const struct tunnel_state *state, uint32_t slot)
{
	const struct session *session;

	if (slot == NO_SESSION)
		return 0;
	session = &state->sessions[slot];
	return MAX(session->birth_ns, session->last_received_ns);
}

/* Packets on it may still be under way: what can still receive is kept, unless the one that was put away before was
 * used later. Where sessions follow each other by the clock alone, it is too old for that, and gone at once. */
static void put_away(struct tunnel *tunnel, struct peer *peer, uint32_t *place)
{
	const struct tunnel_state *state = tunnel->state;

	if (*place != NO_SESSION && session_can_receive(&state->sessions[*place], tunnel->now_ns) &&
	    last_use(state, *place) >= last_use(state, peer->former))
		move(tunnel, &peer->former, place);
	else
		drop(tunnel, place);
}

/* -- which is which -- */

/* We initiated, so the response has confirmed it. A next one that was never confirmed is kept a while for receiving:
 * with both sides initiating at once it may be the one that the peer sends on. So may the current one. */
static void make_room_as_initiator(struct tunnel *tunnel, struct peer *peer)
{
	put_away(tunnel, peer, &peer->previous);
	if (peer->next != NO_SESSION) {
		move(tunnel, &peer->previous, &peer->next);
		put_away(tunnel, peer, &peer->current);
	} else {
		move(tunnel, &peer->previous, &peer->current);
	}
}

/* The peer may have begun to send on the next one, though its confirmation is not here yet. The previous one goes when
 * the new one is confirmed. */
static void make_room_as_responder(struct tunnel *tunnel, struct peer *peer)
{
	put_away(tunnel, peer, &peer->next);
}

static uint32_t *make_room(struct tunnel *tunnel, struct peer *peer, bool is_initiator)
{
	if (is_initiator) {
		make_room_as_initiator(tunnel, peer);
		return &peer->current;
	}
	make_room_as_responder(tunnel, peer);
	return &peer->next;
}

static void fill_slot(struct tunnel *tunnel, uint32_t slot, uint32_t pair_slot, bool is_initiator)
{
	struct tunnel_state *state = tunnel->state;
	struct pair *pair = &state->pairs[pair_slot];
	struct index_entry *entry = index_find(state, pair->handshake_index);

	state->sessions[slot] = (struct session){
		.is_used = true,
		.is_initiator = is_initiator,
		.peer = pair->peer,
		.pair = pair_slot,
		.local_index = pair->handshake_index,
		.remote_index = state->secrets.pairs[pair_slot].remote_index,
		.birth_ns = tunnel->now_ns,
	};
	replay_init(&state->sessions[slot].replay);
	entry->kind = INDEX_SESSION;
	entry->slot = slot & 0x3fffffff;
	pair->handshake_index = 0;
}

bool session_begin(struct tunnel *tunnel, uint32_t pair)
{
	struct tunnel_state *state = tunnel->state;
	struct session_keys keys;
	bool is_initiator;
	uint32_t *place, slot;

	if (!noise_derive_session(&keys, &is_initiator, &state->secrets.pairs[pair]))
		return false;
	place = make_room(tunnel, &state->peers[state->pairs[pair].peer], is_initiator);
	slot = take_slot(state);
	state->secrets.session_keys[slot] = keys;
	crypto_wipe(&keys, sizeof(keys));
	fill_slot(tunnel, slot, pair, is_initiator);
	*place = slot;
	return true;
}

bool session_confirm(struct tunnel *tunnel, uint32_t slot)
{
	struct peer *peer = &tunnel->state->peers[tunnel->state->sessions[slot].peer];

	if (peer->next != slot)
		return false;
	put_away(tunnel, peer, &peer->previous);
	move(tunnel, &peer->previous, &peer->current);
	move(tunnel, &peer->current, &peer->next);
	return true;
}

static void retire(struct tunnel_state *state, uint32_t slot)
{
	if (slot != NO_SESSION)
		state->sessions[slot].is_retired = true;
}

void session_retire_all(struct tunnel *tunnel, uint32_t peer_slot)
{
	struct peer *peer = &tunnel->state->peers[peer_slot];

	retire(tunnel->state, peer->next);
	retire(tunnel->state, peer->current);
}

/* -- some of them, or all -- */

struct session_places {
	uint32_t *places[SESSIONS_PER_PEER];
};

static struct session_places places_of(struct tunnel *tunnel, uint32_t peer_slot)
{
	struct peer *peer = &tunnel->state->peers[peer_slot];

	return (struct session_places){
		{&peer->next, &peer->current, &peer->previous, &peer->former}};
}

void session_remove_all(struct tunnel *tunnel, uint32_t peer)
{
	struct session_places all = places_of(tunnel, peer);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		drop(tunnel, all.places[i]);
}

void session_remove_own(struct tunnel *tunnel, uint32_t peer, enum key_slot own)
{
	const struct tunnel_state *state = tunnel->state;
	struct session_places all = places_of(tunnel, peer);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++) {
		uint32_t slot = *all.places[i];
		uint32_t pair = slot == NO_SESSION ? NO_PAIR : state->sessions[slot].pair;

		if (pair != NO_PAIR && state->pairs[pair].own == own)
			drop(tunnel, all.places[i]);
	}
}

void session_remove_keyless(struct tunnel *tunnel, uint32_t peer)
{
	struct session_places all = places_of(tunnel, peer);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		if (*all.places[i] != NO_SESSION &&
		    tunnel->state->sessions[*all.places[i]].pair == NO_PAIR)
			drop(tunnel, all.places[i]);
}

void session_forget_pair(struct tunnel *tunnel, uint32_t pair)
{
	struct tunnel_state *state = tunnel->state;
	struct session_places all = places_of(tunnel, state->pairs[pair].peer);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		if (*all.places[i] != NO_SESSION && state->sessions[*all.places[i]].pair == pair)
			state->sessions[*all.places[i]].pair = NO_PAIR;
}
