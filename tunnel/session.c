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
	       SESSIONS_MAX); /* three for each peer: it cannot run out */
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

/* -- which is which -- */

/* We initiated, so the response has confirmed it. A next one that was never confirmed is kept a while for receiving:
 * with both sides initiating at once it may be the one that the peer sends on. */
static void make_room_as_initiator(struct tunnel *tunnel, struct peer *peer)
{
	if (peer->next != NO_SESSION) {
		move(tunnel, &peer->previous, &peer->next);
		drop(tunnel, &peer->current);
	} else {
		move(tunnel, &peer->previous, &peer->current);
	}
}

static void make_room_as_responder(struct tunnel *tunnel, struct peer *peer)
{
	drop(tunnel, &peer->next);
	drop(tunnel, &peer->previous);
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

static void fill_slot(struct tunnel *tunnel, uint32_t slot, uint32_t peer_slot, bool is_initiator)
{
	struct tunnel_state *state = tunnel->state;
	struct peer *peer = &state->peers[peer_slot];
	struct index_entry *entry = index_find(state, peer->handshake_index);

	state->sessions[slot] = (struct session){
		.is_used = true,
		.is_initiator = is_initiator,
		.peer = peer_slot,
		.local_index = peer->handshake_index,
		.remote_index = state->secrets.pairs[peer_slot].remote_index,
		.birth_ns = tunnel->now_ns,
	};
	replay_init(&state->sessions[slot].replay);
	entry->kind = INDEX_SESSION;
	entry->slot = slot & 0x3fffffff;
	peer->handshake_index = 0;
}

bool session_begin(struct tunnel *tunnel, uint32_t peer_slot)
{
	struct tunnel_state *state = tunnel->state;
	struct session_keys keys;
	bool is_initiator;
	uint32_t *place, slot;

	if (!noise_derive_session(&keys, &is_initiator, &state->secrets.pairs[peer_slot]))
		return false;
	place = make_room(tunnel, &state->peers[peer_slot], is_initiator);
	slot = take_slot(state);
	state->secrets.session_keys[slot] = keys;
	crypto_wipe(&keys, sizeof(keys));
	fill_slot(tunnel, slot, peer_slot, is_initiator);
	*place = slot;
	return true;
}

bool session_confirm(struct tunnel *tunnel, uint32_t slot)
{
	struct peer *peer = &tunnel->state->peers[tunnel->state->sessions[slot].peer];

	if (peer->next != slot)
		return false;
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

void session_remove_all(struct tunnel *tunnel, uint32_t peer_slot)
{
	struct peer *peer = &tunnel->state->peers[peer_slot];

	drop(tunnel, &peer->next);
	drop(tunnel, &peer->current);
	drop(tunnel, &peer->previous);
}
