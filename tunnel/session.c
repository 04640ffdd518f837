// SPDX-License-Identifier: Apache-2.0
/*
 * How long a session may be used (paper, 6.1, 6.2) and the order of a peer's sessions (paper, 6.3;
 * the exact rules of promotion are those of the Linux kernel). A key is wiped in the same step in
 * which its session is dropped.
 */
#include "session.h"

#include "crypto.h"
#include "index.h"
#include "outbox.h"

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

static uint32_t take_place(struct tunnel_state *state)
{
	uint32_t session_index = state->session_free;

	if (session_index != NO_SESSION) {
		state->session_free = state->sessions[session_index].next_free;
		return session_index;
	}
	assert(state->sessions_used_end <
	       SESSIONS_MAX); /* SESSIONS_PER_PEER for each: it cannot run out */
	return state->sessions_used_end++;
}

/* Drops the session that *place refers to. */
static void drop(struct tunnel *tunnel, uint32_t *place)
{
	struct tunnel_state *state = tunnel->state;
	uint32_t session_index = *place;

	*place = NO_SESSION;
	if (session_index == NO_SESSION)
		return;
	outbox_settle_session(tunnel, session_index);
	index_remove(state, tunnel_session(tunnel, session_index)->local_index);
	crypto_wipe(&state->secrets.session_keys[session_index], sizeof(struct session_keys));
	*tunnel_session(tunnel, session_index) = (struct session){.next_free = state->session_free};
	state->session_free = session_index;
}

static void move(struct tunnel *tunnel, uint32_t *to, uint32_t *from)
{
	drop(tunnel, to);
	*to = *from;
	*from = NO_SESSION;
}

/* The peer sends on one session at a time: the one it sent on last, or a new one. */
static uint64_t last_use(const struct tunnel_state *state, uint32_t session_index)
{
	const struct session *session;

	if (session_index == NO_SESSION)
		return 0;
	session = &state->sessions[session_index];
	return MAX(session->birth_ns, session->last_received_ns);
}

/* Packets on it may still be in flight: a session that can still receive is kept as former, unless
 * the present former one was used later. If sessions only follow each other by REKEY_AFTER_TIME, it
 * is too old for that and is dropped at once. */
static void put_away(struct tunnel *tunnel, struct peer *peer, uint32_t *place)
{
	const struct tunnel_state *state = tunnel->state;

	if (*place != NO_SESSION &&
	    session_can_receive(tunnel_session(tunnel, *place), tunnel->now_ns) &&
	    last_use(state, *place) >= last_use(state, peer->former))
		move(tunnel, &peer->former, place);
	else
		drop(tunnel, place);
}

/* -- the order of a peer's sessions -- */

/* We initiated, so the response has confirmed the new session. A next session that was never
 * confirmed is kept for a while to receive: if both sides initiated at once, the peer may be
 * sending on it. The same holds for the current one. */
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

/* The peer may already be sending on the next session, though its confirmation has not arrived. The
 * previous one is dropped when the new one is confirmed. */
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

static void fill(struct tunnel *tunnel, uint32_t session_index, uint32_t pair_index,
		 bool is_initiator)
{
	struct tunnel_state *state = tunnel->state;
	struct pair *pair = tunnel_pair(tunnel, pair_index);
	struct index_entry *entry = index_find(state, pair->handshake_index);

	*tunnel_session(tunnel, session_index) = (struct session){
		.is_used = true,
		.is_initiator = is_initiator,
		.peer_index = pair->peer_index,
		.pair_index = pair_index,
		.local_index = pair->handshake_index,
		.remote_index = tunnel_noise(tunnel, pair_index)->remote_index,
		.birth_ns = tunnel->now_ns,
	};
	replay_init(&tunnel_session(tunnel, session_index)->replay);
	entry->kind = INDEX_SESSION;
	entry->owner = session_index & 0x3fffffff;
	pair->handshake_index = 0;
}

bool session_begin(struct tunnel *tunnel, uint32_t pair_index)
{
	struct tunnel_state *state = tunnel->state;
	struct session_keys keys;
	bool is_initiator;
	uint32_t *place, session_index;

	if (!noise_derive_session(&keys, &is_initiator, tunnel_noise(tunnel, pair_index)))
		return false;
	place = make_room(tunnel, tunnel_peer(tunnel, tunnel_pair(tunnel, pair_index)->peer_index),
			  is_initiator);
	session_index = take_place(state);
	state->secrets.session_keys[session_index] = keys;
	crypto_wipe(&keys, sizeof(keys));
	fill(tunnel, session_index, pair_index, is_initiator);
	*place = session_index;
	return true;
}

bool session_confirm(struct tunnel *tunnel, uint32_t session_index)
{
	struct peer *peer = tunnel_peer(tunnel, tunnel_session(tunnel, session_index)->peer_index);

	if (peer->next != session_index)
		return false;
	put_away(tunnel, peer, &peer->previous);
	move(tunnel, &peer->previous, &peer->current);
	move(tunnel, &peer->current, &peer->next);
	return true;
}

static void retire(struct tunnel_state *state, uint32_t session_index)
{
	if (session_index != NO_SESSION)
		state->sessions[session_index].is_retired = true;
}

void session_retire_all(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	retire(tunnel->state, peer->next);
	retire(tunnel->state, peer->current);
}

/* -- removing -- */

struct session_places {
	uint32_t *places[SESSIONS_PER_PEER];
};

static struct session_places places_of(struct tunnel *tunnel, uint32_t peer_index)
{
	struct peer *peer = tunnel_peer(tunnel, peer_index);

	return (struct session_places){
		{&peer->next, &peer->current, &peer->previous, &peer->former}};
}

void session_remove_all(struct tunnel *tunnel, uint32_t peer_index)
{
	struct session_places all = places_of(tunnel, peer_index);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		drop(tunnel, all.places[i]);
}

void session_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own)
{
	struct session_places all = places_of(tunnel, peer_index);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++) {
		uint32_t session_index = *all.places[i];
		uint32_t pair_index = session_index == NO_SESSION
					      ? NO_PAIR
					      : tunnel_session(tunnel, session_index)->pair_index;

		if (pair_index != NO_PAIR && tunnel_pair(tunnel, pair_index)->own == own)
			drop(tunnel, all.places[i]);
	}
}

void session_remove_keyless(struct tunnel *tunnel, uint32_t peer_index)
{
	struct session_places all = places_of(tunnel, peer_index);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		if (*all.places[i] != NO_SESSION &&
		    tunnel_session(tunnel, *all.places[i])->pair_index == NO_PAIR)
			drop(tunnel, all.places[i]);
}

void session_forget_pair(struct tunnel *tunnel, uint32_t pair_index)
{
	struct session_places all = places_of(tunnel, tunnel_pair(tunnel, pair_index)->peer_index);

	for (unsigned int i = 0; i < SESSIONS_PER_PEER; i++)
		if (*all.places[i] != NO_SESSION &&
		    tunnel_session(tunnel, *all.places[i])->pair_index == pair_index)
			tunnel_session(tunnel, *all.places[i])->pair_index = NO_PAIR;
}
