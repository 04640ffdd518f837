/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: the result of a finished handshake (paper, 5.4.6). Its keys are in the locked part of
 * the state, under the same index. A peer has at most four: the one it sends on (current), the one
 * before (previous, for packets in flight), one that the peer has not confirmed yet (next), and the
 * last one that made room for those (former): when both sides rotate, handshakes follow each other
 * faster than packets arrive.
 *
 * A session does not depend on the static keys it was made with: they may move or be removed during
 * its life.
 */
#pragma once

#include "tunnel.h"

/* False from REJECT_AFTER_MESSAGES and REJECT_AFTER_TIME on, without exception. */
bool session_can_send(const struct session *session, uint64_t now_ns);
bool session_can_receive(const struct session *session, uint64_t now_ns);

/* After sending: is a new handshake due (REKEY_AFTER_MESSAGES, or REKEY_AFTER_TIME as
 * initiator)? */
bool session_wants_rekey_after_send(const struct session *session, uint64_t now_ns);

/* After receiving: are we the initiator, and is the session so near its end that a peer that only
 * sends would be cut off? */
bool session_wants_rekey_after_receive(const struct session *session, uint64_t now_ns);

/* Makes a session of the pair's finished handshake: current if we initiated, next if we
 * responded. */
MUST_CHECK bool session_begin(struct tunnel *tunnel, uint32_t pair_index);

/* Authenticated data arrived on the session. True if that confirmed it: next became current. */
bool session_confirm(struct tunnel *tunnel, uint32_t session_index);

/* Stops sending on the peer's sessions. */
void session_retire_all(struct tunnel *tunnel, uint32_t peer_index);

/* Wipes the peer's sessions, after sealing and sending the packets that wait for their keys. */
void session_remove_all(struct tunnel *tunnel, uint32_t peer_index);

/* The same for the sessions made with our key in that slot, or for those with NO_PAIR. */
void session_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void session_remove_keyless(struct tunnel *tunnel, uint32_t peer_index);

/* The pair is being removed: sets NO_PAIR in its peer's sessions. */
void session_forget_pair(struct tunnel *tunnel, uint32_t pair_index);
