/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol's timers (paper, 6). Callers say what happened; only timers.c knows what follows from it and when.
 * Deadlines of all peers are in one heap, so that the loop asks for the earliest and nobody walks over all peers.
 */
#pragma once

#include "util.h"

struct tunnel;

enum timer {
	TIMER_RETRANSMIT_HANDSHAKE, /* REKEY_TIMEOUT + jitter after an initiation */
	TIMER_SEND_KEEPALIVE,	    /* KEEPALIVE_TIMEOUT after data received, nothing sent */
	TIMER_NEW_HANDSHAKE,	    /* KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + jitter after data sent, nothing received */
	TIMER_ZERO_KEYS,	    /* three times REJECT_AFTER_TIME after the last session was made */
	TIMER_PERSISTENT_KEEPALIVE,
	TIMER_COUNT
};

struct timers {
	uint64_t deadline_ns[TIMER_COUNT]; /* boot clock; 0: not armed */
	uint64_t last_initiation_sent_ns;  /* also set by a response; 0: none, or a handshake may start at once */
	uint32_t attempts;		   /* initiations since the last trigger from outside */
	bool needs_another_keepalive;
	uint32_t heap_position; /* 0: not in the heap */
};

void timers_data_sent(struct tunnel *tunnel, uint32_t peer);
void timers_data_received(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_sent(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_received(struct tunnel *tunnel, uint32_t peer);
void timers_any_authenticated_traversed(struct tunnel *tunnel, uint32_t peer);
void timers_handshake_initiated(struct tunnel *tunnel, uint32_t peer);
void timers_handshake_complete(struct tunnel *tunnel, uint32_t peer);
void timers_session_derived(struct tunnel *tunnel, uint32_t peer);
void timers_keepalive_configured(struct tunnel *tunnel, uint32_t peer);
void timers_stop(struct tunnel *tunnel, uint32_t peer);
