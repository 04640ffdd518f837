/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be sealed and sent, laid out as it goes to the wire. Datagrams that follow each other to one endpoint
 * become one send (UDP_SEGMENT), whatever call they came from; order is kept throughout.
 */
#pragma once

#include "tunnel.h"

struct outbox_address {
	const union endpoint *to;
	const struct local_source *from;
	uint8_t tos;
};

/* Room for one datagram. Flushes before where there is none; valid until the next call. */
uint8_t *outbox_add(struct tunnel *tunnel, const struct outbox_address *address, size_t len);

/* Room for one datagram whose last len + TAG_LEN bytes are to be sealed in place with the session's key. */
uint8_t *outbox_add_sealed(struct tunnel *tunnel, const struct outbox_address *address,
			   size_t head_len, size_t len, uint32_t session_index, uint64_t counter);

/* Before the session's key is wiped: flushes if anything waits to be sealed with it. */
void outbox_settle_session(struct tunnel *tunnel, uint32_t session_index);
