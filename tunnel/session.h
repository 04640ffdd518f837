/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: what a finished handshake leaves behind (paper, 5.4.6). Its keys are apart, in the locked part of the
 * state, under the same slot number.
 */
#pragma once

#include "noise.h"
#include "replay.h"

#define NO_SESSION UINT32_MAX

struct session {
	bool is_used;
	bool is_initiator;
	uint32_t peer;
	uint32_t local_index, remote_index;
	uint64_t birth_ns;     /* boot clock */
	uint64_t send_counter; /* the next to use */
	struct replay replay;
};

/* False at REJECT_AFTER_MESSAGES and REJECT_AFTER_TIME: not for one packet more. */
bool session_can_send(const struct session *session, uint64_t now_ns);
bool session_can_receive(const struct session *session, uint64_t now_ns);

/* After sending: is a new handshake due (REKEY_AFTER_MESSAGES, or REKEY_AFTER_TIME as initiator)? */
bool session_wants_rekey_after_send(const struct session *session, uint64_t now_ns);

/* After receiving: as initiator, so near the end that a silent sender would be cut off. */
bool session_wants_rekey_after_receive(const struct session *session, uint64_t now_ns);
