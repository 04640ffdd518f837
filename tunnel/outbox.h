/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that wait to be sealed and sent, laid out as on the wire. Consecutive datagrams to one
 * endpoint become one send (UDP_SEGMENT), even from different calls; order is kept throughout.
 */
#pragma once

#include "tunnel.h"

struct outbox_address {
	const union endpoint *to;
	const struct local_source *from;
	uint8_t tos;
};

/* Returns room for one datagram, valid until the next call. Flushes first if the outbox is full. */
uint8_t *outbox_add(struct tunnel *tunnel, const struct outbox_address *address, size_t len);

/* Returns room for one datagram. Its last len + TAG_LEN bytes are sealed in place with the
 * session's key. */
uint8_t *outbox_add_sealed(struct tunnel *tunnel, const struct outbox_address *address,
			   size_t head_len, size_t len, uint32_t session_index, uint64_t counter);

/* Must be called before the session's key is wiped: flushes if a datagram waits to be sealed with
 * it. */
void outbox_settle_session(struct tunnel *tunnel, uint32_t session_index);
