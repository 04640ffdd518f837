/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: what a finished handshake leaves behind (paper, 5.4.6). Its keys are apart, in the locked part of the
 * state, under the same slot number. A peer has at most four: the one it sends on (current), the one before
 * (previous, for what is still under way), one that waits to be confirmed by the peer (next), and the last one that had
 * to make room for those (former): when both sides rotate, handshakes follow each other faster than packets arrive.
 *
 * A session does not depend on the statics it was made with: they may move or go while it lives.
 */
#pragma once

#include "tunnel.h"

/* False at REJECT_AFTER_MESSAGES and REJECT_AFTER_TIME: not for one packet more. */
bool session_can_send(const struct session *session, uint64_t now_ns);
bool session_can_receive(const struct session *session, uint64_t now_ns);

/* After sending: is a new handshake due (REKEY_AFTER_MESSAGES, or REKEY_AFTER_TIME as initiator)? */
bool session_wants_rekey_after_send(const struct session *session, uint64_t now_ns);

/* After receiving: as initiator, so near the end that a silent sender would be cut off. */
bool session_wants_rekey_after_receive(const struct session *session, uint64_t now_ns);

/* Makes a session of the pair's finished handshake: current where we initiated, next where we responded. */
MUST_CHECK bool session_begin(struct tunnel *tunnel, uint32_t pair_index);

/* Authenticated data came on it. True where that was the confirmation: next became current. */
bool session_confirm(struct tunnel *tunnel, uint32_t session_index);

/* The peer's sessions send no more. */
void session_retire_all(struct tunnel *tunnel, uint32_t peer_index);

/* Wipes the peer's sessions; what waits to be sealed with their keys is sent before. */
void session_remove_all(struct tunnel *tunnel, uint32_t peer_index);

/* Of those only the ones made with our key in that slot, or only those of whose keys one is gone. */
void session_remove_own(struct tunnel *tunnel, uint32_t peer_index, enum key_slot own);
void session_remove_keyless(struct tunnel *tunnel, uint32_t peer_index);

/* The pair goes; its peer's sessions no longer name it. */
void session_forget_pair(struct tunnel *tunnel, uint32_t pair_index);
