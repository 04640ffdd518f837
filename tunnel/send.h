/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that the protocol itself sends: handshakes, keepalives, proofs, cookie replies. Packets
 * of the TUN go through tunnel_send.
 */
#pragma once

#include "tunnel.h"

/* Initiates a handshake. False if it is too early (REKEY_TIMEOUT), or the peer has no endpoint or
 * no usable key. Unless this is a retry, the count of attempts restarts. */
bool send_initiation(struct tunnel *tunnel, uint32_t peer_index, bool is_retry);

/* Initiates a handshake with the peer's newest key. False also while another handshake of our own
 * is under way. */
MUST_CHECK bool send_initiation_to_newest(struct tunnel *tunnel, uint32_t peer_index);

/* Sends an empty packet on the session that was made with the peer's newest key, which proves that
 * we know the key. False: no such session exists. */
MUST_CHECK bool send_proof(struct tunnel *tunnel, uint32_t peer_index);

/* Answers the initiation that was just consumed and makes the session; false if its ephemeral key
 * is unusable. */
MUST_CHECK bool send_response(struct tunnel *tunnel, uint32_t pair_index);

/* Initiates a handshake at `to`, which need not be an endpoint of the peer, to learn whether the
 * holder of its key is reached there (place.h). The endpoint in use stays, whatever the answer.
 * False: nothing was sent, because the last question or an initiation to the endpoint is too
 * recent. */
MUST_CHECK bool send_question(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *to);

/* Answers an initiation or a response with the cookie of its source. Both messages have the same
 * first fields. */
void send_cookie_reply(struct tunnel *tunnel, const struct identity *own,
		       const struct incoming *incoming, const struct message_macs *macs,
		       uint32_t sender_index, const uint8_t cookie[static COOKIE_LEN]);

/* Sends the staged packets, or an empty packet if there are none. Without a session that can send,
 * initiates a handshake. */
void send_keepalive(struct tunnel *tunnel, uint32_t peer_index);

/* Sends the staged packets, if any. Without a session that can send, initiates a handshake. */
void send_staged(struct tunnel *tunnel, uint32_t peer_index);

/* Drops the staged packets: the handshake that they wait for has failed. */
void send_purge_staged(struct tunnel *tunnel, uint32_t peer_index);
