/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol's timers (paper, 6). Callers say what happened; only timers.c knows what follows from it and when.
 * Deadlines of all peers are in one heap, so that the loop asks for the earliest and nobody walks over all peers.
 */
#pragma once

#include "util.h"

struct tunnel;

/* In the order in which they run where several are due at once: nothing wipes what another has just begun. */
enum timer {
	TIMER_ZERO_KEYS, /* three times REJECT_AFTER_TIME after the last session was made */
	TIMER_RETRANSMIT_HANDSHAKE, /* REKEY_TIMEOUT + jitter after an initiation */
	TIMER_SEND_KEEPALIVE,	    /* KEEPALIVE_TIMEOUT after data received, nothing sent */
	TIMER_NEW_HANDSHAKE, /* KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + jitter after data sent, nothing received */
	TIMER_PERSISTENT_KEEPALIVE,
	TIMER_TRY_NEXT_KEY, /* after the peer's record named one, until it is proved to the peer that we know it */
	TIMER_COUNT
};

struct timers {
	uint64_t deadline_ns[TIMER_COUNT]; /* boot clock; 0: not armed */
	uint64_t wake_ns;	/* what the heap sorts by: not after the earliest deadline */
	uint32_t heap_position; /* 0: not in the heap */
	/* with any of its keys; also set by a response; 0: none, or a handshake may start at once */
	uint64_t last_initiation_sent_ns;
	uint32_t next_key_tries; /* left */
	uint32_t attempts;	 /* retries since the last trigger from outside */
	uint64_t jitter_ns;	 /* drawn for each handshake */
	bool needs_another_keepalive;
};

/* True where neither an initiation nor a response went to the peer within REKEY_TIMEOUT. */
bool timers_allow_initiation(const struct tunnel *tunnel, uint32_t peer);

/* Of this pair alone: what was said with other keys of the same peer does not count. */
bool timers_allow_try(const struct tunnel *tunnel, uint32_t pair);

/* May the pair's initiation still be answered? Where it was retried another one took its place by then; where nobody
 * needed it any more, the peer may have forgotten the session that a response of so long ago would make here. */
bool timers_allow_response(const struct tunnel *tunnel, uint32_t pair);

/* Our key is another one now, or the last initiation met no way out: a handshake need not wait. */
void timers_forget_initiation(struct tunnel *tunnel, uint32_t peer);

/* What happened. "Data" is not a keepalive; "authenticated" is any message but a cookie; "traversed" is sent or
 * received; a handshake is complete when both sides know the session, and awaited when packets want the session of the
 * one under way. An identity is promoted for a peer whose newest session was not made with it. */
void timers_data_sent(struct tunnel *tunnel, uint32_t peer);
void timers_data_received(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_sent(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_received(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_traversed(struct tunnel *tunnel, uint32_t peer);
void timers_handshake_initiated(struct tunnel *tunnel, uint32_t pair);
void timers_question_asked(struct tunnel *tunnel, uint32_t pair);
void timers_handshake_answered(struct tunnel *tunnel, uint32_t pair);
void timers_handshake_awaited(struct tunnel *tunnel, uint32_t peer);
void timers_handshake_complete(struct tunnel *tunnel, uint32_t peer);
void timers_session_derived(struct tunnel *tunnel, uint32_t peer);
void timers_keepalive_configured(struct tunnel *tunnel, uint32_t peer);
void timers_next_key_learnt(struct tunnel *tunnel, uint32_t peer, uint64_t try_within_ns);
void timers_next_key_tried(struct tunnel *tunnel, uint32_t pair);
void timers_next_key_reached(struct tunnel *tunnel, uint32_t peer);
void timers_identity_promoted(struct tunnel *tunnel, uint32_t peer);
void timers_peer_restarted(struct tunnel *tunnel, uint32_t peer);
void timers_stop(struct tunnel *tunnel, uint32_t peer);
