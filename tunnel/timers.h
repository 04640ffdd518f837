/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol's timers (paper, 6). Callers report events; only timers.c knows which action
 * follows, and when. The deadlines of all peers are in one heap, so that the loop reads the
 * earliest without a walk over all peers.
 */
#pragma once

#include "tunnel.h"

/* True if neither an initiation nor a response was sent to the peer within REKEY_TIMEOUT. */
bool timers_allow_initiation(const struct tunnel *tunnel, uint32_t peer_index);

/* The same for one pair only: messages with other keys of the same peer do not count. */
bool timers_allow_try(const struct tunnel *tunnel, uint32_t pair_index);

/* May the pair's initiation still be answered? A retry would have replaced it by now. If no retry
 * was needed, the peer may have forgotten the session that such a late response would create
 * here. */
bool timers_allow_response(const struct tunnel *tunnel, uint32_t pair_index);

/* Our key changed, or the last initiation could not leave: the next handshake need not wait. */
void timers_forget_initiation(struct tunnel *tunnel, uint32_t peer_index);

/* Events. "Data" excludes keepalives; "authenticated" is any message but a cookie; "traversed" is
 * sent or received. A handshake is complete when both sides have the session, and awaited when
 * packets wait for the session of the handshake under way. timers_identity_promoted is for a peer
 * whose newest session was made with another key. */
void timers_data_sent(struct tunnel *tunnel, uint32_t peer_index);
void timers_data_received(struct tunnel *tunnel, uint32_t peer_index);
void timers_any_authenticated_sent(struct tunnel *tunnel, uint32_t peer_index);
void timers_any_authenticated_received(struct tunnel *tunnel, uint32_t peer_index);
void timers_any_authenticated_traversed(struct tunnel *tunnel, uint32_t peer_index);
void timers_handshake_initiated(struct tunnel *tunnel, uint32_t pair_index);
void timers_question_asked(struct tunnel *tunnel, uint32_t pair_index);
void timers_handshake_answered(struct tunnel *tunnel, uint32_t pair_index);
void timers_handshake_awaited(struct tunnel *tunnel, uint32_t peer_index);
void timers_handshake_given_up(struct tunnel *tunnel, uint32_t peer_index);
void timers_retransmit_postponed(struct tunnel *tunnel, uint32_t peer_index);
void timers_keepalive_expired(struct tunnel *tunnel, uint32_t peer_index);
void timers_handshake_complete(struct tunnel *tunnel, uint32_t peer_index);
void timers_session_derived(struct tunnel *tunnel, uint32_t peer_index);
void timers_keepalive_configured(struct tunnel *tunnel, uint32_t peer_index);
void timers_next_key_tried(struct tunnel *tunnel, uint32_t pair_index);
void timers_next_key_reached(struct tunnel *tunnel, uint32_t peer_index);
void timers_identity_promoted(struct tunnel *tunnel, uint32_t peer_index);
void timers_peer_restarted(struct tunnel *tunnel, uint32_t peer_index);
void timers_stop(struct tunnel *tunnel, uint32_t peer_index);

/* The peer's record named a new key. Returns true if it is to be tried now (expire_try_next_key);
 * otherwise it is tried at a random time within try_within_ns. */
MUST_CHECK bool timers_next_key_learnt(struct tunnel *tunnel, uint32_t peer_index,
				       uint64_t try_within_ns);

/* Takes one of the tries that are left for the peer's new key; false: none is left. After each try,
 * the caller reports whether it sent an initiation. */
MUST_CHECK bool timers_take_next_key_try(struct tunnel *tunnel, uint32_t peer_index);
void timers_next_key_try_made(struct tunnel *tunnel, uint32_t peer_index, bool is_initiation);

/* When a timer is next due, or earlier; UINT64_MAX: never. */
uint64_t timers_next_deadline(const struct tunnel *tunnel);

/* Disarms one timer that is due and returns it; false: none is due. The timers of a peer are
 * returned in the order of the enum. */
MUST_CHECK bool timers_take_due(struct tunnel *tunnel, uint32_t *ret_peer, enum timer *ret_timer);
