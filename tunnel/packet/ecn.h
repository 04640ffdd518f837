/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explicit congestion notification through a tunnel (RFC 6040, normal mode): the outer header shows
 * whether the inner flow supports ECN, and a mark set on the path is copied to the inner header. No
 * other part of the inner TOS is visible.
 */
#pragma once

#include "checksum.h"
#include "inner.h"

#define ECN_MASK 3
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE	 3

static inline uint8_t ecn_of_inner(const uint8_t *packet)
{
	return inner_version(packet) == 4 ? packet[1] & ECN_MASK : packet[1] >> 4 & ECN_MASK;
}

/* TOS of the outer header for this whole IP packet. */
static inline uint8_t ecn_encapsulate(const uint8_t *packet)
{
	uint8_t ecn = ecn_of_inner(packet);

	return ecn == ECN_CE ? ECN_ECT0 : ecn;
}

/* The resulting inner ECN field: a mark set on the path, or ECT(1) if it replaced ECT(0) (RFC 6040,
 * 4.2). A flow without ECN gets no mark. */
static inline uint8_t ecn_combine(uint8_t inner, uint8_t outer)
{
	if (inner && outer == ECN_CE)
		return ECN_CE;
	return inner == ECN_ECT0 && outer == ECN_ECT1 ? ECN_ECT1 : inner;
}

/* A whole IP packet arrived in an outer header with this TOS. */
static inline void ecn_decapsulate(uint8_t *packet, uint8_t outer_tos)
{
	uint8_t inner = ecn_of_inner(packet), shown = ecn_combine(inner, outer_tos & ECN_MASK);

	if (shown == inner)
		return;
	if (inner_version(packet) == 6) {
		packet[1] = (uint8_t)((packet[1] & ~(ECN_MASK << 4)) | shown << 4);
		return;
	}
	packet[1] = (uint8_t)((packet[1] & ~ECN_MASK) | shown);
	checksum_put_ip4(packet, (size_t)(packet[0] & 0xf) * 4);
}
