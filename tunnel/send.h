/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that goes out by the protocol's own will; packets of the TUN go through tunnel_send.
 */
#pragma once

#include "tunnel.h"

/* Begins a handshake; false where it is too early for one (REKEY_TIMEOUT), or the peer has no endpoint or no usable key.
 * Unless it is a retry, the count of attempts begins anew. */
bool send_initiation(struct tunnel *tunnel, uint32_t peer_index, bool is_retry);

/* The same to the peer's newest key, for that key's own sake; false also while another handshake of ours is under way. */
MUST_CHECK bool send_initiation_to_newest(struct tunnel *tunnel, uint32_t peer_index);

/* An empty packet on the session that was made with the peer's newest key: it proves that we know it. False: there is no
 * such session. */
MUST_CHECK bool send_proof(struct tunnel *tunnel, uint32_t peer_index);

/* Answers the initiation that was just consumed and makes the session; false where its ephemeral is of no use. */
MUST_CHECK bool send_response(struct tunnel *tunnel, uint32_t pair_index);

/* Asks the peer for a handshake at `to`, which need not be an endpoint of its, to learn whether the holder of its key is
 * reached there (place.h). The endpoint in use stays, whatever the answer. False: nothing was sent, because the last
 * question, or an initiation to the endpoint, has only just gone out. */
MUST_CHECK bool send_question(struct tunnel *tunnel, uint32_t peer_index, const union endpoint *to);

/* Answers an initiation or a response, both of which begin alike, with the cookie of its source. */
void send_cookie_reply(struct tunnel *tunnel, const struct identity *own,
		       const struct incoming *incoming, const struct message_macs *macs,
		       uint32_t sender_index, const uint8_t cookie[static COOKIE_LEN]);

/* What is staged, or an empty packet; without a session that can send, an initiation. */
void send_keepalive(struct tunnel *tunnel, uint32_t peer_index);

/* What is staged, if anything; without a session that can send, an initiation. */
void send_staged(struct tunnel *tunnel, uint32_t peer_index);

/* Nothing will come of the handshake: what waits for it is lost. */
void send_purge_staged(struct tunnel *tunnel, uint32_t peer_index);
